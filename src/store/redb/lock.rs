//! Who holds a file? A [`LockFile`] beside it says, and lets go of it by itself when its process dies.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write},
    path::Path,
};

use uuid::Uuid;

/// Who holds or held a lock. A process that takes a lock again is another holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// Drawn each time a lock is taken: process ids come back.
    pub token: Uuid,
}

/// A lock that is held until it is dropped, or until the process dies. A stopped process holds on.
#[derive(Debug)]
pub struct LockFile {
    /// Its lock is what counts; it is never removed, since two processes could then hold two files of one name.
    _file: File,
    /// Us.
    pub holder: Holder,
}

impl LockFile {
    /// Takes the lock at `path` unless somebody has it.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let holder = Holder { pid: std::process::id(), token: Uuid::now_v7() };
        file.write_all(holder.line().as_bytes())?;
        Ok(Some(Self { _file: file, holder }))
    }
}

impl Holder {
    /// Whoever wrote the lock at `path` last.
    pub fn last(path: &Path) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(path).ok()?)
    }

    /// The process that has the lock at `path`, if any.
    pub fn now(path: &Path) -> Option<u32> {
        Self::last(path).filter(|last| last.holds(path)).map(|last| last.pid)
    }

    /// Whether this holder still has the lock at `path`. A lock that cannot be looked at counts as held: it is better to refuse a
    /// session than to give it to two.
    pub fn holds(self, path: &Path) -> bool {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) => return error.kind() != io::ErrorKind::NotFound,
        };
        // A shared lock, so that two who look do not take each other for the holder.
        match file.try_lock_shared() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => Self::last(path).is_none_or(|last| last == self),
            Err(TryLockError::Error(_)) => true,
        }
    }

    fn line(self) -> String {
        format!("{:>10} {}\n", self.pid, self.token.as_simple())
    }

    fn parse(line: &str) -> Option<Self> {
        let (pid, token) = line.trim().split_once(' ')?;
        Some(Self { pid: pid.parse().ok()?, token: token.parse().ok()? })
    }
}
