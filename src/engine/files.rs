//! Where do the texts of a team come from? [`FileSources`]: the file system, and the library in the binary.

use std::{
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::library;
use crate::team::{LIBRARY, SourceError, Sources, max_bytes};

/// Reads files relative to a folder, and `lib:` names from the shipped library.
#[derive(Clone, Debug)]
pub struct FileSources {
    folder: PathBuf,
}

impl FileSources {
    /// Names are relative to `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Sources for FileSources {
    fn read(&self, name: &str) -> Result<Arc<str>, SourceError> {
        if let Some(path) = name.strip_prefix(LIBRARY) {
            return library::library_text(path).map(Arc::from).ok_or(SourceError::NotFound);
        }
        read_text(&self.path(name))
    }

    fn exists(&self, name: &str) -> bool {
        match name.strip_prefix(LIBRARY) {
            Some(path) => library::exists(path),
            None => self.path(name).exists(),
        }
    }

    fn list(&self, folder: &str) -> Vec<String> {
        if let Some(path) = folder.strip_prefix(LIBRARY) {
            return library::list(path).into_iter().map(|file| format!("{LIBRARY}{file}")).collect();
        }
        let Ok(entries) = self.path(folder).read_dir() else { return Vec::new() };
        let mut names: Vec<String> = entries
            .filter_map(Result::ok)
            .filter_map(|entry| entry.file_name().into_string().ok())
            .map(|name| if folder.is_empty() { name } else { format!("{}/{name}", folder.trim_end_matches('/')) })
            .collect();
        names.sort();
        names
    }
}

/// The text of a file, which must be no larger than a team file may be.
fn read_text(path: &Path) -> Result<Arc<str>, SourceError> {
    let file = std::fs::File::open(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => SourceError::NotFound,
        _ => SourceError::Other(e.to_string()),
    })?;
    let about = file.metadata().map_err(|e| SourceError::Other(e.to_string()))?;
    if about.is_dir() {
        return Err(SourceError::NotFound);
    }
    let limit = max_bytes(&path.to_string_lossy()) as u64;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| SourceError::Other(e.to_string()))?;
    if bytes.len() as u64 > limit {
        return Err(SourceError::TooLarge(about.len().max(limit + 1)));
    }
    String::from_utf8(bytes).map(Arc::from).map_err(|_| SourceError::NotText)
}
