//! What is shipped in the binary? Teams, profiles, scripts, runbooks and samples, by their path in the library.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
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

/// The files in a folder of the library and below it, each by its path in that folder; `None` where there is no such folder.
pub(super) fn below(folder: &str) -> Option<Vec<(String, &'static [u8])>> {
    let (dir, inner) = within(folder.trim_end_matches('/'))?;
    let dir = if inner.is_empty() { dir } else { dir.get_dir(inner)? };
    let mut files = Vec::new();
    collect(dir, false, &mut files);
    let own = |path: &str| Path::new(path).strip_prefix(dir.path()).map_or(path.to_owned(), |own| own.display().to_string());
    Some(files.into_iter().map(|file| (own(file.path), file.bytes)).collect())
}

/// How old the remains of an unpacking must be to be cleared away: by then its process has died.
const STALE: Duration = Duration::from_secs(600);

/// Puts a folder of the library below `target`, where tools can read it, and says where it is. What another version of the library has
/// there is another folder, named by its digest; the whole of it appears at once, so that nobody reads a half.
///
/// # Errors
/// The folder is not in the library, or a file cannot be written.
pub(super) fn unpack(folder: &str, target: &Path) -> io::Result<PathBuf> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("the library has no folder {folder}"));
    let (dir, inner) = within(folder.trim_end_matches('/')).ok_or_else(missing)?;
    let dir = if inner.is_empty() { dir } else { dir.get_dir(inner).ok_or_else(missing)? };
    let mut files = Vec::new();
    collect(dir, false, &mut files);
    files.sort_by_key(|file| file.path);
    let version = target.join(digest(&files));
    if !is_whole(&version, &files) {
        let unfinished = target.join(format!("{}.new", uuid::Uuid::now_v7().simple()));
        let made = fill(&unfinished, &files).and_then(|()| publish(&unfinished, &version, &files));
        // What is left of it after a failure helps nobody.
        drop(fs::remove_dir_all(&unfinished));
        clear_stale(target);
        made?;
    }
    Ok(version.join(dir.path()))
}

fn digest(files: &[LibraryEntry]) -> String {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        for part in [file.path.as_bytes(), file.bytes] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

fn is_whole(version: &Path, files: &[LibraryEntry]) -> bool {
    files.iter().all(|file| fs::metadata(version.join(file.path)).is_ok_and(|about| about.len() == file.bytes.len() as u64))
}

fn fill(folder: &Path, files: &[LibraryEntry]) -> io::Result<()> {
    for file in files {
        let path = folder.join(file.path);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(&path, file.bytes)?;
    }
    Ok(())
}

/// Gives the folder its name, unless another process was quicker.
fn publish(unfinished: &Path, version: &Path, files: &[LibraryEntry]) -> io::Result<()> {
    match fs::rename(unfinished, version) {
        Err(_) if is_whole(version, files) => Ok(()),
        Err(error) if version.exists() => {
            // Somebody took files out of it.
            fs::remove_dir_all(version).map_err(|_| error)?;
            fs::rename(unfinished, version).or_else(|error| if is_whole(version, files) { Ok(()) } else { Err(error) })
        }
        renamed => renamed,
    }
}

/// Removes what processes that were killed while they unpacked have left.
fn clear_stale(target: &Path) {
    let is_stale = |entry: &fs::DirEntry| {
        let age = entry.metadata().and_then(|about| about.modified()).ok().and_then(|time| time.elapsed().ok());
        entry.path().extension().is_some_and(|end| end == "new") && age.is_some_and(|age| age > STALE)
    };
    for entry in fs::read_dir(target).into_iter().flatten().flatten().filter(is_stale) {
        // Another process may clear it too.
        drop(fs::remove_dir_all(entry.path()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "samples/payment-outage";

    fn entries(target: &Path) -> usize {
        fs::read_dir(target).expect("a folder").count()
    }

    #[test]
    fn a_folder_is_whole_whoever_unpacks_it_at_the_same_time() {
        let target = tempfile::tempdir().expect("a folder");
        let unpacked = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| unpack(SAMPLE, target.path()).expect("unpacks"))).collect();
            all.into_iter().map(|one| one.join().expect("no panic")).collect::<std::collections::BTreeSet<_>>()
        });
        assert_eq!((unpacked.len(), entries(target.path())), (1, 1), "one folder and nothing beside it");
    }

    #[test]
    fn what_is_damaged_is_unpacked_again_and_another_version_is_left_alone() {
        let target = tempfile::tempdir().expect("a folder");
        let other = target.path().join("0123456789abcdef");
        fs::create_dir(&other).expect("a folder");
        let folder = unpack(SAMPLE, target.path()).expect("unpacks");
        let file =
            fs::read_dir(&folder).expect("a folder").flatten().find(|entry| entry.path().is_file()).expect("a file").path();
        let content = fs::read(&file).expect("a file");
        fs::write(&file, "").expect("writes");
        assert_eq!(unpack(SAMPLE, target.path()).expect("unpacks"), folder);
        assert_eq!(fs::read(&file).expect("a file"), content);
        assert!(other.exists());
    }
}
