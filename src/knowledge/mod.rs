//! What can an agent look up? [`Knowledge`]: a query goes in, passages of documents come out, the best first.
//!
//! A [`Source`] is one body of documents; [`Runbooks`], a folder of Markdown files, is the one that profiles name as
//! `knowledge: { folders: […] }`. Programs add their own by name. What was found is the result of a tool call, so it is in the
//! journal: a document that changes later changes no session.
//!
//! Deliberately absent: embeddings and any other model, so that a search is the same everywhere and costs nothing.

mod document;
mod index;
mod runbooks;
#[cfg(test)]
mod tests;
mod words;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;

pub use crate::value::QUERY_LIMIT;
pub use runbooks::{Runbooks, Survey};

/// Passages of one search at most.
pub const PASSAGES_LIMIT: usize = 20;
/// Folders that are kept indexed; when there are more, all are forgotten.
const FOLDERS_KEPT: usize = 64;

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Words: a symptom, the name of an alert, a question.
    pub text: String,
    /// For every key, one of the values that a document's front matter must have (`tags: [security]`). Case does not matter.
    pub filters: BTreeMap<String, Vec<String>>,
    /// How many passages, at most [`PASSAGES_LIMIT`].
    pub limit: usize,
}

/// A part of a document that fits a query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Passage {
    /// The document, as [`Knowledge::read`] takes it.
    pub document: String,
    /// Its title.
    pub title: String,
    /// The heading of the part that fits best; empty for the beginning.
    pub section: String,
    /// The line where that part begins, from 1.
    pub line: usize,
    /// The part, cut to a few hundred words.
    pub text: String,
    /// How well the document fits: more is better. Comparable within one search only.
    pub score: f64,
}

/// Why there is nothing to read.
#[derive(Debug, thiserror::Error)]
pub enum KnowledgeError {
    /// The folder cannot be opened.
    #[error("open the folder {folder}: {reason}")]
    Folder {
        /// Which.
        folder: String,
        /// Why not.
        reason: String,
    },
    /// There is no such document.
    #[error("there is no document {0}; search first, and take the `document` of a passage")]
    NoDocument(String),
    /// The index failed.
    #[error("search the documents: {0}")]
    Index(#[from] rusqlite::Error),
}

/// A body of documents.
pub trait Source: Send + Sync {
    /// The passages that fit best, at most one of each document, the best first. May take some milliseconds.
    ///
    /// # Errors
    /// The documents cannot be read.
    fn search(&self, query: &Query) -> Result<Vec<Passage>, KnowledgeError>;

    /// The whole text of a document.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be read.
    fn read(&self, document: &str) -> Result<String, KnowledgeError>;
}

/// Where the folder of that name is on this machine.
pub type Resolve = dyn Fn(&str) -> Result<PathBuf, String> + Send + Sync;

/// All that agents may look up: sources by name, and folders of Markdown.
pub struct Knowledge {
    resolve: Box<Resolve>,
    sources: BTreeMap<String, Arc<dyn Source>>,
    folders: Mutex<BTreeMap<String, Arc<dyn Source>>>,
}

impl Knowledge {
    /// Folders are where `resolve` says.
    pub fn new(resolve: Box<Resolve>) -> Self {
        Self { resolve, sources: BTreeMap::new(), folders: Mutex::default() }
    }

    /// Adds a source under the name that profiles use in place of a folder.
    pub fn add(&mut self, name: impl Into<String>, source: Arc<dyn Source>) {
        self.sources.insert(name.into(), source);
    }

    /// Whether a program has added documents under that name.
    pub fn has(&self, name: &str) -> bool {
        self.sources.contains_key(name)
    }

    /// The best passages of all `folders`, the best first.
    ///
    /// # Errors
    /// A folder cannot be opened or searched.
    pub fn search(&self, folders: &[String], query: &Query) -> Result<Vec<Passage>, KnowledgeError> {
        let mut passages = Vec::new();
        for folder in folders {
            for mut passage in self.source(folder)?.search(query)? {
                passage.document = format!("{folder}/{}", passage.document);
                passages.push(passage);
            }
        }
        passages.sort_by(|a, b| b.score.total_cmp(&a.score));
        passages.truncate(query.limit.min(PASSAGES_LIMIT));
        Ok(passages)
    }

    /// The whole text of a document of one of `folders`.
    ///
    /// # Errors
    /// There is none of that name there.
    pub fn read(&self, folders: &[String], document: &str) -> Result<String, KnowledgeError> {
        for folder in folders {
            if let Some(rest) = document.strip_prefix(folder.as_str()).and_then(|rest| rest.strip_prefix('/')) {
                return self.source(folder)?.read(rest);
            }
        }
        Err(KnowledgeError::NoDocument(document.to_owned()))
    }

    fn source(&self, folder: &str) -> Result<Arc<dyn Source>, KnowledgeError> {
        if let Some(source) = self.sources.get(folder) {
            return Ok(source.clone());
        }
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = folders.get(folder) {
            return Ok(source.clone());
        }
        let wrong = |reason| KnowledgeError::Folder { folder: folder.to_owned(), reason };
        let path = (self.resolve)(folder).map_err(wrong)?;
        let source: Arc<dyn Source> = Arc::new(Runbooks::open(path)?);
        if folders.len() >= FOLDERS_KEPT {
            folders.clear();
        }
        folders.insert(folder.to_owned(), source.clone());
        Ok(source)
    }
}
