//! Where do runbooks come from? [`Runbooks`]: a folder of Markdown files, indexed when it is first searched and again when it changes.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use super::{KnowledgeError, Passage, Query, Source, document::Document, index::Index};

/// Documents of one folder at most; further ones are left out.
const DOCUMENTS: usize = 10_000;
/// A document at most, in bytes; larger ones are left out.
const DOCUMENT_BYTES: u64 = 1 << 20;
/// All documents of a folder together, in bytes; what is over is left out.
const FOLDER_BYTES: u64 = 64 << 20;
/// Folders within folders at most.
const DEPTH: usize = 16;

/// A folder of Markdown files.
pub struct Runbooks {
    folder: PathBuf,
    indexed: Mutex<Option<(Stamp, Index)>>,
}

/// A file as it was when it was read: enough to notice a change.
type Stamp = Vec<(PathBuf, u64, Option<SystemTime>)>;

impl Runbooks {
    /// The Markdown files in `folder` and below it.
    ///
    /// # Errors
    /// There is no such folder.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, KnowledgeError> {
        let folder = folder.into();
        let wrong = |reason: String| KnowledgeError::Folder { folder: folder.display().to_string(), reason };
        let about = fs::metadata(&folder).map_err(|e| wrong(e.to_string()))?;
        if !about.is_dir() {
            return Err(wrong("it is a file".to_owned()));
        }
        Ok(Self { folder, indexed: Mutex::default() })
    }

    /// The files that count, in order of their paths. Links are not followed.
    pub(super) fn files(&self) -> Stamp {
        let mut bytes = 0;
        self.markdown()
            .map(|(path, about)| (path, about.len(), about.modified().ok()))
            .filter(|(_, size, _)| *size <= DOCUMENT_BYTES)
            .take_while(|(_, size, _)| {
                bytes += size;
                bytes <= FOLDER_BYTES
            })
            .take(DOCUMENTS)
            .collect()
    }

    /// All Markdown files, in order of their paths.
    fn markdown(&self) -> impl Iterator<Item = (PathBuf, fs::Metadata)> {
        let walk = walkdir::WalkDir::new(&self.folder).max_depth(DEPTH).sort_by_file_name();
        walk.into_iter()
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_file() && is_markdown(entry.path()))
            .filter_map(|entry| Some((entry.path().to_owned(), entry.metadata().ok()?)))
    }

    fn index(&self, files: &Stamp) -> Result<Index, KnowledgeError> {
        let read = |path: &PathBuf| {
            let text = String::from_utf8_lossy(&fs::read(path).ok()?).into_owned();
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            Some((self.shown(path), Document::parse(&name, &text)))
        };
        Index::build(files.iter().filter_map(|(path, ..)| read(path)).collect())
    }

    pub(super) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.folder).unwrap_or(path).to_string_lossy().replace('\\', "/")
    }

    /// Does something with an index of the folder as it is now.
    fn with<T>(&self, work: impl FnOnce(&Index) -> Result<T, KnowledgeError>) -> Result<T, KnowledgeError> {
        let files = self.files();
        let mut indexed = self.indexed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((stamp, index)) = &*indexed
            && *stamp == files
        {
            return work(index);
        }
        let index = self.index(&files)?;
        work(&indexed.insert((files, index)).1)
    }

    /// The tags of the documents, each with how many have it.
    ///
    /// # Errors
    /// The index failed.
    pub fn tags(&self) -> Result<Vec<(String, usize)>, KnowledgeError> {
        self.with(|index| Ok(index.values("tags").into_iter().map(|(tag, count)| (tag.to_owned(), count)).collect()))
    }
}

/// What is in a folder of documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// How many can be found.
    pub documents: usize,
    /// How many of them pass the filters.
    pub passing: usize,
    /// Files that are left out or read otherwise than they are meant, and why, sorted.
    pub odd: Vec<(String, String)>,
}

impl Survey {
    /// Of documents by path, with how many of them pass `filters`.
    pub fn of<'d>(
        documents: impl Iterator<Item = (String, io::Result<Cow<'d, [u8]>>)>,
        filters: &BTreeMap<String, Vec<String>>,
    ) -> Self {
        let mut survey = Self::default();
        for (path, bytes) in documents {
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(error) => {
                    survey.odd.push((path, error.to_string()));
                    continue;
                }
            };
            let text = String::from_utf8_lossy(&bytes);
            survey.documents += 1;
            survey.passing += usize::from(Document::parse("", &text).passes(filters));
            if let Some(why) = Document::oddity(&text) {
                survey.odd.push((path, why));
            } else if matches!(text, Cow::Owned(_)) {
                survey.odd.push((path, "it is not UTF-8 text: what is not is left out".to_owned()));
            }
        }
        survey
    }
}

impl Runbooks {
    /// Reads every document: how many there are, how many pass `filters`, and which are not as they should be.
    pub fn survey(&self, filters: &BTreeMap<String, Vec<String>>) -> Survey {
        let files = self.files();
        let read = files.iter().map(|(path, ..)| (self.shown(path), fs::read(path).map(Cow::Owned)));
        let mut survey = Survey::of(read, filters);
        let found: BTreeSet<&PathBuf> = files.iter().map(|(path, ..)| path).collect();
        for (path, about) in self.markdown().filter(|(path, _)| !found.contains(path)) {
            let why = if about.len() > DOCUMENT_BYTES {
                format!("it has {} bytes, more than the {DOCUMENT_BYTES} that are read", about.len())
            } else {
                format!("there are more than {DOCUMENTS} documents or {FOLDER_BYTES} bytes before it")
            };
            survey.odd.push((self.shown(&path), why));
        }
        survey.odd.sort();
        survey
    }
}

impl Source for Runbooks {
    fn search(&self, query: &Query) -> Result<Vec<Passage>, KnowledgeError> {
        self.with(|index| index.search(query))
    }

    fn read(&self, document: &str) -> Result<String, KnowledgeError> {
        let path = self.files().into_iter().map(|(path, ..)| path).find(|path| self.shown(path) == document);
        let text = path.and_then(|path| fs::read(path).ok());
        text.map(|text| String::from_utf8_lossy(&text).into_owned())
            .ok_or_else(|| KnowledgeError::NoDocument(document.to_owned()))
    }
}

fn is_markdown(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("md") || ending.eq_ignore_ascii_case("markdown"))
}
