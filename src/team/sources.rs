//! Where do texts come from? [`Sources`] answers; the loader itself touches no file system.
//!
//! A name is a path as the author would write it (`teams/x.yaml`, `/repo/x.yaml`), or a path in the shipped library
//! (`lib:profiles/devops/security.yaml`). The mark stays on whatever is found from a library file, so that an embedded library
//! works from any folder, and `..` works inside it and never leads out of it.

use std::{collections::BTreeMap, sync::Arc};

/// Marks a name in the shipped library.
pub const LIBRARY: &str = "lib:";

/// Why a text could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Nothing has that name.
    #[error("no such file")]
    NotFound,
    /// Its bytes are not UTF-8.
    #[error("the file is not UTF-8 text")]
    NotText,
    /// It is larger than [`super::MAX_FILE_BYTES`].
    #[error("the file has {0} bytes, too many to be read")]
    TooLarge(u64),
    /// The system said no.
    #[error("{0}")]
    Other(String),
}

/// Names to texts.
pub trait Sources {
    /// The text of that name.
    ///
    /// # Errors
    /// There is none (a folder is [`SourceError::NotFound`], for other names are tried then), or it cannot be read.
    fn read(&self, name: &str) -> Result<Arc<str>, SourceError>;

    /// Whether a file or folder has that name.
    fn exists(&self, name: &str) -> bool;

    /// The names in a folder, for suggestions; they may be incomplete.
    fn list(&self, folder: &str) -> Vec<String> {
        let _ = folder;
        Vec::new()
    }
}

/// Texts in memory.
#[derive(Clone, Debug, Default)]
pub struct MapSources(BTreeMap<String, Arc<str>>);

impl MapSources {
    /// The same, with one more text.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, text: impl AsRef<str>) -> Self {
        self.0.insert(name.into(), Arc::from(text.as_ref()));
        self
    }
}

impl From<BTreeMap<String, Arc<str>>> for MapSources {
    fn from(texts: BTreeMap<String, Arc<str>>) -> Self {
        Self(texts)
    }
}

impl Sources for MapSources {
    fn read(&self, name: &str) -> Result<Arc<str>, SourceError> {
        self.0.get(name).cloned().ok_or(SourceError::NotFound)
    }

    fn exists(&self, name: &str) -> bool {
        let folder = within(name);
        self.0.keys().any(|key| key == name || key.starts_with(&folder))
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let folder = within(folder);
        self.0.keys().filter(|key| key.strip_prefix(&folder).is_some_and(|rest| !rest.contains('/'))).cloned().collect()
    }
}

/// What the names in a folder start with.
fn within(folder: &str) -> String {
    if folder.is_empty() || folder.ends_with(['/', ':']) { folder.to_owned() } else { format!("{folder}/") }
}

/// The extensions that a reference to a profile or team may leave out.
pub(super) const FILES: &[&str] = &["yaml", "yml", "json"];
/// The extension that a reference to a script may leave out.
pub(super) const SCRIPTS: &[&str] = &["rhai"];

/// The names that `reference` may stand for in the file `from`, best first: relative to that file, then in the library.
pub(super) fn candidates(from: &str, reference: &str, extensions: &[&str]) -> Vec<String> {
    let mut names: Vec<_> = beside(from, reference).into_iter().collect();
    let only_beside = reference.starts_with(['.', '/', '\\']) || reference.starts_with(LIBRARY);
    if !only_beside && let Some(name) = beside(LIBRARY, reference) {
        names.push(name);
    }
    names.dedup();
    names.iter().flat_map(|name| spelled(name, extensions)).collect()
}

/// `name` with each extension that it may lack.
pub(super) fn spelled(name: &str, extensions: &[&str]) -> Vec<String> {
    let file = name.rsplit('/').next().unwrap_or(name);
    if extensions.is_empty()
        || extensions.iter().any(|e| file.strip_suffix(e).is_some_and(|stem| stem.len() > 1 && stem.ends_with('.')))
    {
        return vec![name.to_owned()];
    }
    extensions.iter().map(|extension| format!("{name}.{extension}")).collect()
}

/// The name of `reference` relative to the file `from`; `None` where it would leave the library.
pub fn beside(from: &str, reference: &str) -> Option<String> {
    if let Some(path) = reference.strip_prefix(LIBRARY) {
        return clean("", path).filter(|path| !path.starts_with("..")).map(|path| format!("{LIBRARY}{path}"));
    }
    if reference.starts_with('/') {
        return Some(reference.to_owned());
    }
    match from.strip_prefix(LIBRARY) {
        Some(path) => {
            let path = clean(folder(path), reference)?;
            if path.starts_with("..") { None } else { Some(format!("{LIBRARY}{path}")) }
        }
        None => clean(folder(from), reference),
    }
}

/// The folder of a path; empty for a bare name.
pub(super) fn folder(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) => "/",
        Some(end) => &path[..end],
        None => "",
    }
}

/// `folder/path` without `.` and, as far as can be told, without `..`; `None` where nothing is left.
fn clean(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let root = if folder.starts_with('/') { "/" } else { "" };
    (!parts.is_empty()).then(|| format!("{root}{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(from: &str, reference: &str, expected: &[&str]) {
        assert_eq!(candidates(from, reference, &["yaml"]), expected, "{reference} in {from}");
    }

    #[test]
    fn a_reference_is_relative_to_the_naming_file_and_else_in_the_library() {
        check("teams/x.yaml", "profiles/a", &["teams/profiles/a.yaml", "lib:profiles/a.yaml"]);
        check("x.yaml", "a.yaml", &["a.yaml", "lib:a.yaml"]);
        check("/repo/teams/x.yaml", "../p/a", &["/repo/p/a.yaml"]);
        check("teams/x.yaml", "./a", &["teams/a.yaml"]);
        check("x.yaml", "../a", &["../a.yaml"]);
        check("x.yaml", "/abs/a.yaml", &["/abs/a.yaml"]);
    }

    #[test]
    fn dots_work_inside_the_library_and_never_lead_out_of_it() {
        check("lib:teams/x.yaml", "../profiles/a", &["lib:profiles/a.yaml"]);
        check("lib:teams/x.yaml", "profiles/a", &["lib:teams/profiles/a.yaml", "lib:profiles/a.yaml"]);
        check("lib:teams/x.yaml", "../../etc/passwd", &[]);
        check("teams/x.yaml", "lib:profiles/a", &["lib:profiles/a.yaml"]);
        check("teams/x.yaml", "lib:../a", &[]);
    }

    #[test]
    fn a_dot_in_a_name_is_no_extension() {
        check("x.yaml", "v1.2", &["v1.2.yaml", "lib:v1.2.yaml"]);
        check("x.yaml", ".yaml", &[".yaml.yaml"]);
    }

    #[test]
    fn folders_of_texts_in_memory_exist() {
        let sources = MapSources::default().with("lib:runbooks/a/b.md", "x");
        assert!(sources.exists("lib:runbooks") && sources.exists("lib:runbooks/a/b.md") && !sources.exists("lib:run"));
        assert_eq!(sources.list("lib:runbooks/a"), ["lib:runbooks/a/b.md"]);
    }
}
