//! What is shipped in the binary? Teams, profiles, scripts, runbooks and samples, by their path in the library.

use std::{
    io,
    path::{Path, PathBuf},
};

use include_dir::{Dir, include_dir};

static GRAPHS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/graphs");
static SCRIPTS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/scripts");

/// What the library's paths to scripts begin with.
const SCRIPTS_FOLDER: &str = "scripts";

/// A file of the library.
#[derive(Clone, Copy, Debug)]
pub struct LibraryEntry {
    /// Its path, such as `teams/incident-response.yaml` or `scripts/rules/incident.rhai`.
    pub path: &'static str,
    /// Whether it is below `scripts/`, which stands beside the other folders.
    pub is_script: bool,
    /// What is in it.
    pub bytes: &'static [u8],
}

impl LibraryEntry {
    /// Its path in the library.
    pub fn name(&self) -> String {
        if self.is_script { format!("{SCRIPTS_FOLDER}/{}", self.path) } else { self.path.to_owned() }
    }
}

/// Every file of the library, sorted by path.
pub fn library_files() -> Vec<LibraryEntry> {
    let mut files = Vec::new();
    collect(&GRAPHS, false, &mut files);
    collect(&SCRIPTS, true, &mut files);
    files.sort_by_key(LibraryEntry::name);
    files
}

fn collect(dir: &'static Dir<'static>, is_script: bool, files: &mut Vec<LibraryEntry>) {
    for file in dir.files() {
        if let Some(path) = file.path().to_str() {
            files.push(LibraryEntry { path, is_script, bytes: file.contents() });
        }
    }
    for inner in dir.dirs() {
        collect(inner, is_script, files);
    }
}

fn within(path: &str) -> Option<(&'static Dir<'static>, &str)> {
    match path.strip_prefix(SCRIPTS_FOLDER) {
        Some("") => Some((&SCRIPTS, "")),
        Some(rest) if rest.starts_with('/') => Some((&SCRIPTS, &rest[1..])),
        Some(_) | None => Some((&GRAPHS, path)),
    }
}

/// The text of a library file.
pub fn library_text(path: &str) -> Option<&'static str> {
    let (dir, path) = within(path)?;
    dir.get_file(path)?.contents_utf8()
}

/// Whether the library has a file or folder of that path.
pub(super) fn exists(path: &str) -> bool {
    within(path).is_some_and(|(dir, path)| path.is_empty() || dir.get_entry(path).is_some())
}

/// The paths in a folder of the library.
pub(super) fn list(folder: &str) -> Vec<String> {
    let folder = folder.trim_end_matches('/');
    let Some((dir, inner)) = within(folder) else { return Vec::new() };
    let dir = if inner.is_empty() { Some(dir) } else { dir.get_dir(inner) };
    let Some(dir) = dir else { return Vec::new() };
    let names = dir.entries().iter().filter_map(|entry| entry.path().file_name()?.to_str());
    names.map(|name| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }).collect()
}

/// Puts a folder of the library below `target`, where tools can read it; files that are there already are left alone.
///
/// # Errors
/// The folder is not in the library, or a file cannot be written.
pub(super) fn unpack(folder: &str, target: &Path) -> io::Result<PathBuf> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("the library has no folder {folder}"));
    let (dir, inner) = within(folder.trim_end_matches('/')).ok_or_else(missing)?;
    let dir = if inner.is_empty() { dir } else { dir.get_dir(inner).ok_or_else(missing)? };
    let mut files = Vec::new();
    collect(dir, false, &mut files);
    for file in files {
        let path = target.join(file.path);
        if std::fs::metadata(&path).is_ok_and(|about| about.len() == file.bytes.len() as u64) {
            continue;
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let new = path.with_extension(format!("{}.part", std::process::id()));
        std::fs::write(&new, file.bytes)?;
        std::fs::rename(&new, &path)?;
    }
    Ok(target.join(dir.path()))
}
