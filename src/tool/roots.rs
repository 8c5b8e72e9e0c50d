//! Which files are in reach? [`Roots`]: the workspace, to read and write, and the inputs of the session, to read.
//!
//! Every root is opened once and files are opened relative to its handle (`openat2` with `RESOLVE_BENEATH` where the kernel has
//! it, component by component where not), so that neither `..` nor a link nor a folder swapped in between leads out of it.
//! What is reached that way must be a regular file or a folder: no pipe, no device, no socket.

use std::{
    ffi::OsString,
    fs::File,
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use cap_fs_ext::OpenOptionsSyncExt;
use cap_std::{
    ambient_authority,
    fs::{Dir, MetadataExt, OpenOptions},
};

use super::nearest;
use crate::value::{Failure, FailureKind};

/// The files in reach of a session's tools. Cheap to share, never changed once the session runs.
#[derive(Debug)]
pub struct Roots {
    workspace: PathBuf,
    roots: Vec<Arc<Root>>,
    protected: Arc<Protected>,
}

/// What no tool may touch.
#[derive(Clone, Debug, Default, PartialEq)]
struct Protected {
    /// These folders,
    folders: Vec<PathBuf>,
    /// but for inputs inside of these, which may be read.
    spared: Vec<PathBuf>,
}

#[derive(Debug)]
struct Root {
    /// As it was given, made absolute.
    given: PathBuf,
    /// With its links resolved.
    real: PathBuf,
    /// The handle that everything is opened from.
    dir: Dir,
    /// The one file in reach, where the input is a file.
    only: Option<OsString>,
    /// Whether its files may be written.
    writable: bool,
}

/// Why a folder cannot be a root.
#[derive(Debug, thiserror::Error)]
#[error("open {path}: {reason}")]
pub struct RootsError {
    /// What was to be opened.
    pub path: String,
    /// Why it was not.
    pub reason: String,
}

/// A path in reach, not necessarily of something that exists.
#[derive(Clone, Debug)]
pub struct Found {
    root: Arc<Root>,
    inner: PathBuf,
    shown: String,
    protected: Arc<Protected>,
}

impl Roots {
    /// The workspace alone.
    ///
    /// # Errors
    /// It is no folder that can be read.
    pub fn new(workspace: &Path) -> Result<Self, RootsError> {
        let root = Root::open(workspace, workspace, true)?;
        Ok(Self { workspace: root.given.clone(), roots: vec![Arc::new(root)], protected: Arc::default() })
    }

    /// Adds an input, a folder or a single file, to read. One inside the workspace adds nothing: it is in reach already.
    ///
    /// # Errors
    /// It does not exist or cannot be read.
    pub fn with_input(mut self, path: &Path) -> Result<Self, RootsError> {
        let root = Root::open(&self.workspace.join(path), path, false)?;
        self.roots.push(Arc::new(root));
        Ok(self)
    }

    /// Takes a folder out of reach, such as the one with the journals.
    #[must_use]
    pub fn without(mut self, path: &Path) -> Self {
        let folder = self.both(path);
        Arc::make_mut(&mut self.protected).folders.extend(folder);
        self
    }

    /// Lets inputs inside `path` be read although the folder around it is out of reach.
    #[must_use]
    pub fn sparing(mut self, path: &Path) -> Self {
        let folder = self.both(path);
        Arc::make_mut(&mut self.protected).spared.extend(folder);
        self
    }

    /// Whether these are the same files, under the same names: a folder that was put in the place of another is not.
    pub(crate) fn are(&self, others: &Self) -> bool {
        self.protected == others.protected
            && self.workspace == others.workspace
            && self.roots.len() == others.roots.len()
            && self.roots.iter().zip(&others.roots).all(|(root, other)| root.is(other))
    }

    /// A folder as it was given, and with its links resolved.
    fn both(&self, path: &Path) -> [PathBuf; 2] {
        let given = normal(&self.workspace.join(path));
        let real = given.canonicalize().unwrap_or_else(|_| given.clone());
        [given, real]
    }

    /// The workspace, absolute.
    pub fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// The files and folders in reach as the system knows them, without links, and whether they may be written: for child processes.
    pub(super) fn reach(&self) -> impl Iterator<Item = (PathBuf, bool)> {
        self.roots
            .iter()
            .map(|root| (root.only.as_ref().map_or_else(|| root.real.clone(), |only| root.real.join(only)), root.writable))
    }

    /// The path that a tool was given, relative to the workspace or absolute, if it is in reach.
    ///
    /// # Errors
    /// `denied` when it leads out of every root.
    pub fn find(&self, path: &str) -> Result<Found, Failure> {
        if path.contains('\0') {
            return Err(Failure::new(FailureKind::Denied, "the path has a zero byte in it"));
        }
        let whole = normal(&self.workspace.join(path));
        let reach = |root: &Arc<Root>| {
            let inner = whole.strip_prefix(&root.given).or_else(|_| whole.strip_prefix(&root.real)).ok()?;
            let fits = root.only.as_ref().is_none_or(|only| inner.as_os_str() == only);
            fits.then(|| (root.clone(), inner.to_path_buf()))
        };
        // The workspace comes first: what lies in it may be written, input or not.
        let reached = || self.roots.iter().filter_map(reach);
        let Some((root, inner)) = reached().find(|(root, inner)| self.protected.allows(root, inner)).or_else(|| reached().next())
        else {
            return Err(Failure::new(FailureKind::Denied, format!("{path} is out of reach; {}", self.remedy())));
        };
        let shown = if path.is_empty() { ".".to_owned() } else { path.to_owned() };
        let found = Found { root, inner, shown, protected: self.protected.clone() };
        found.refuse_protected(&found.inner)?;
        Ok(found)
    }

    fn remedy(&self) -> String {
        let inputs: Vec<String> = self.roots.iter().skip(1).map(|root| root.shown()).collect();
        if inputs.is_empty() {
            "give a path inside the workspace, or hand the folder to the session as an input".to_owned()
        } else {
            format!("give a path inside the workspace or inside {}", inputs.join(", "))
        }
    }
}

impl Protected {
    fn allows(&self, root: &Root, inner: &Path) -> bool {
        let whole = [root.real.join(inner), root.given.join(inner)];
        let is_in = |folders: &[PathBuf], path: &Path| folders.iter().any(|folder| path.starts_with(folder));
        let is_protected = whole.iter().any(|path| is_in(&self.folders, path));
        let is_spared =
            || !root.writable && is_in(&self.spared, &root.real) && whole.iter().all(|path| is_in(&self.spared, path));
        !is_protected || is_spared()
    }
}

impl Root {
    fn open(path: &Path, as_written: &Path, writable: bool) -> Result<Self, RootsError> {
        let fail = |e: io::Error| RootsError { path: as_written.display().to_string(), reason: reason(&e) };
        let given = normal(&std::path::absolute(path).map_err(fail)?);
        let real = given.canonicalize().map_err(fail)?;
        let only = if real.is_file() { real.file_name().map(OsString::from) } else { None };
        let (given, real) = match (&only, given.parent(), real.parent()) {
            (Some(_), Some(given), Some(real)) => (given.to_path_buf(), real.to_path_buf()),
            _ => (given, real),
        };
        let dir = Dir::open_ambient_dir(&real, ambient_authority()).map_err(fail)?;
        Ok(Self { given, real, dir, only, writable })
    }

    fn is(&self, other: &Self) -> bool {
        let names = |root: &Self| (root.given.clone(), root.real.clone(), root.only.clone(), root.writable);
        let folder = |root: &Self| root.dir.dir_metadata().ok().map(|about| (about.dev(), about.ino()));
        names(self) == names(other) && folder(self).is_some_and(|own| Some(own) == folder(other))
    }

    fn shown(&self) -> String {
        match &self.only {
            Some(file) => self.given.join(file).display().to_string(),
            None => self.given.display().to_string(),
        }
    }
}

impl Found {
    /// The path as the caller wrote it: an argument that finds it again.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The last part of the path.
    pub fn name(&self) -> String {
        self.inner.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The file or folder `name` in this folder.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        let shown = match self.shown.trim_end_matches('/') {
            "." => name.to_owned(),
            folder => format!("{folder}/{name}"),
        };
        Self { root: self.root.clone(), inner: self.inner.join(name), shown, protected: self.protected.clone() }
    }

    /// The path below `base`, which it was found from, with `/` between its parts.
    pub fn below(&self, base: &Self) -> String {
        let inner = self.inner.strip_prefix(&base.inner).unwrap_or(&self.inner);
        if inner.as_os_str().is_empty() { self.name() } else { inner.to_string_lossy().into_owned() }
    }

    /// The day it was last written, as days since the epoch; 0 where the file system does not say.
    pub(super) fn modified_day(&self) -> i64 {
        let written = self.root.dir.metadata(self.inner()).and_then(|kind| kind.modified());
        let since = written.ok().and_then(|time| time.into_std().duration_since(std::time::UNIX_EPOCH).ok());
        since.and_then(|since| i64::try_from(since.as_secs() / 86_400).ok()).unwrap_or(0)
    }

    /// Whether it is a folder.
    ///
    /// # Errors
    /// It does not exist, leads out of its root, or is neither a folder nor a regular file.
    pub fn is_folder(&self) -> Result<bool, Failure> {
        let kind = self.root.dir.metadata(self.inner()).map_err(|e| self.failure("open", &e))?;
        if kind.is_dir() || kind.is_file() { Ok(kind.is_dir()) } else { Err(self.special()) }
    }

    /// Opens the regular file for reading.
    ///
    /// # Errors
    /// It does not exist, leads out of its root, or is no regular file.
    pub fn open(&self) -> Result<File, Failure> {
        if self.is_folder()? {
            return Err(self.folder());
        }
        self.refuse_links_to_protected()?;
        // A pipe put in its place since must not block us, so the file is opened without waiting and looked at again.
        let file = self
            .root
            .dir
            .open_with(self.inner(), OpenOptions::new().read(true).nonblock(true))
            .map_err(|e| self.failure("open", &e))?;
        let kind = file.metadata().map_err(|e| self.failure("open", &e))?;
        if kind.is_file() { Ok(file.into_std()) } else { Err(self.special()) }
    }

    /// The path for a library that opens files by itself: absolute, without links. What is swapped in between is that library's to refuse.
    ///
    /// # Errors
    /// As [`Found::open`].
    pub fn real_path(&self) -> Result<PathBuf, Failure> {
        drop(self.open()?);
        let inner = self.root.dir.canonicalize(self.inner()).map_err(|e| self.failure("open", &e))?;
        Ok(self.root.real.join(inner))
    }

    /// Whether files here may be written.
    ///
    /// # Errors
    /// `denied` where the root is an input.
    pub fn writable(&self) -> Result<(), Failure> {
        if self.root.writable {
            return Ok(());
        }
        let message = format!("{} is an input of the session, to be read only; write inside the workspace", self.shown);
        Err(Failure::new(FailureKind::Denied, message))
    }

    /// The handle of the root, and the path below it.
    pub(super) fn at(&self) -> (&Dir, &Path) {
        (&self.root.dir, self.inner())
    }

    /// What an I/O error on it means to the caller.
    pub(super) fn failure(&self, verb: &str, error: &io::Error) -> Failure {
        let kind = if is_escape(error) { FailureKind::Denied } else { FailureKind::Tool };
        let mut message = format!("{verb} {}: {}", self.shown, reason(error));
        if is_escape(error) {
            message.push_str(": a link in it leads out of the folder; copy what it points to into the folder");
        } else if error.kind() == io::ErrorKind::NotFound
            && let Some(near) = self.neighbour()
        {
            message.push_str(&format!("; did you mean {near}?"));
        }
        Failure::new(kind, message)
    }

    /// Whether a link leads it into a folder that was taken out of reach.
    pub(super) fn refuse_links_to_protected(&self) -> Result<(), Failure> {
        self.refuse_link(self.inner())
    }

    /// The same for the folder of a file that may not exist yet.
    pub(super) fn refuse_links_to_protected_parent(&self, parent: &Path) -> Result<(), Failure> {
        self.refuse_link(parent)
    }

    fn refuse_link(&self, inner: &Path) -> Result<(), Failure> {
        if self.protected.folders.is_empty() {
            return Ok(());
        }
        self.root.dir.canonicalize(inner).map_or(Ok(()), |inner| self.refuse_protected(&inner))
    }

    fn refuse_protected(&self, inner: &Path) -> Result<(), Failure> {
        if !self.protected.allows(&self.root, inner) {
            let message = format!("{} belongs to the engine's own store; no tool may touch it", self.shown);
            return Err(Failure::new(FailureKind::Denied, message));
        }
        Ok(())
    }

    fn inner(&self) -> &Path {
        if self.inner.as_os_str().is_empty() { Path::new(".") } else { &self.inner }
    }

    fn folder(&self) -> Failure {
        Failure::new(FailureKind::Tool, format!("{} is a folder; name a file in it (Glob lists them)", self.shown))
    }

    fn special(&self) -> Failure {
        let message = format!("{} is neither a file nor a folder (a pipe, socket or device); name a regular file", self.shown);
        Failure::new(FailureKind::Denied, message)
    }

    /// The nearest name beside it that does exist.
    fn neighbour(&self) -> Option<String> {
        if self.root.only.is_some() {
            return None;
        }
        let parent = self.inner.parent()?;
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let names: Vec<String> = (self.root.dir.read_dir(parent).ok()?.take(1_000).flatten())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        let near = nearest(&self.name(), names.iter().map(String::as_str))?;
        match self.shown.rsplit_once('/') {
            Some((folder, _)) => Some(format!("{folder}/{near}")),
            None => Some(near.to_owned()),
        }
    }
}

/// The path without `.` and `..`, by its words alone: `..` at the top stays there.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => out.push(part),
        }
    }
    out
}

/// Whether the path led out of its root. The portable fallback reports a refused permission with a text of its own.
fn is_escape(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::CrossesDevices || error.to_string().contains("outside of the filesystem")
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is nothing of that name".to_owned(),
        io::ErrorKind::PermissionDenied if !is_escape(error) => "the permission is refused".to_owned(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::CrossesDevices => "it is out of reach".to_owned(),
        io::ErrorKind::NotADirectory => "a part of the path is a file, not a folder".to_owned(),
        _ => error.to_string().to_lowercase(),
    }
}
