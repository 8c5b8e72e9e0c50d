//! How is a database file opened, and what is said when it cannot be? Every file names its format, is made whole or not at all, and
//! is treated as something that anybody may have damaged.

use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::Arc,
};

use redb::{Builder, ConcurrencyMode, ReadTransaction, ReadableDatabase, TableDefinition, TableHandle, WriteTransaction};

use super::{disk::Open, quiet::quietly};
use crate::store::StoreError;

/// The table that says what a file is; its own layout never changes.
const FORMAT: TableDefinition<&str, u64> = TableDefinition::new("format");

/// What a database file is.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The row of the format table.
    pub name: &'static str,
    /// The newest format that this build knows.
    pub format: u64,
    /// Who may write it.
    pub mode: ConcurrencyMode,
    /// Memory for its pages, in bytes.
    pub cache: usize,
    /// What helps when it is damaged.
    pub remedy: &'static str,
}

impl Kind {
    /// The way to open a file of this kind.
    pub fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        builder.set_concurrency_mode(self.mode).set_cache_size(self.cache);
        builder
    }

    /// Opens the file for writing, and repairs it if its last writer died.
    pub fn open(&self, path: &Path) -> Result<Open, StoreError> {
        self.refuse_empty(path)?;
        let db = self.guarded(path, || Open::existing(&self.builder(), path))?;
        self.check_format(path, &self.guarded(path, || Ok(db.begin_read()?))?)?;
        Ok(db)
    }

    /// Makes the file with what `fill` puts into it. It appears under its name when it is complete, so that a crash leaves none that
    /// nobody can open.
    pub fn create(
        &self,
        path: &Path,
        fill: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<Open, StoreError> {
        let unfinished = path.with_extension("new");
        let removed = fs::remove_file(&unfinished);
        removed.or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(io_error(&unfinished, &e)) })?;
        let db = self.guarded(&unfinished, || {
            let db = Open::new(&self.builder(), &unfinished)?;
            let write = db.begin_write()?;
            write.open_table(FORMAT)?.insert(self.name, self.format)?;
            fill(&write)?;
            write.commit()?;
            db.is_made()?;
            Ok(db)
        })?;
        fs::rename(&unfinished, path).map_err(|e| io_error(path, &e))?;
        sync_folder_of(path)?;
        Ok(db)
    }

    /// Refuses what another program or a newer version wrote.
    pub fn check_format(&self, path: &Path, read: &ReadTransaction) -> Result<(), StoreError> {
        let found = self.guarded(path, || {
            if !read.list_tables()?.any(|table| table.name() == FORMAT.name()) {
                return Ok(None);
            }
            Ok(read.open_table(FORMAT)?.get_owned(self.name)?.map(|format| format.value()))
        })?;
        match found {
            Some(format) if format <= self.format => Ok(()),
            Some(found) => Err(StoreError::Newer { path: path.to_owned(), found, known: self.format }),
            None => Err(self.damaged(path, format!("it is not a {} of this program", self.name))),
        }
    }

    /// Refuses an empty file, which would be taken for a new one.
    pub fn refuse_empty(&self, path: &Path) -> Result<(), StoreError> {
        let about = fs::metadata(path).map_err(|e| io_error(path, &e))?;
        match (about.is_file(), about.len()) {
            (true, 0) => Err(self.damaged(path, "it is empty")),
            (true, _) => Ok(()),
            (false, _) => Err(self.damaged(path, "it is not a file")),
        }
    }

    /// Does `work` on the file. Damage that the database trips over is an error like any other.
    pub fn guarded<T>(&self, path: &Path, work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, StoreError> {
        match quietly(work) {
            Some(result) => result.map_err(|error| self.error(path, &error)),
            None => Err(self.damaged(path, "its pages contradict each other")),
        }
    }

    fn error(&self, path: &Path, error: &redb::Error) -> StoreError {
        match error {
            redb::Error::Io(io) if io.kind() == io::ErrorKind::InvalidData => self.damaged(path, "it is not a database"),
            redb::Error::Io(io) if io.kind() == io::ErrorKind::UnexpectedEof => self.damaged(path, "it is cut short"),
            redb::Error::Io(io) => io_error(path, io),
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => StoreError::Io {
                path: path.to_owned(),
                why: Arc::from("an earlier write failed"),
                remedy: "see to the disk and try again",
            },
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => StoreError::Io {
                path: path.to_owned(),
                why: Arc::from("another program has it open"),
                remedy: "end that program and try again",
            },
            other => self.damaged(path, other.to_string()),
        }
    }

    fn damaged(&self, path: &Path, why: impl Into<Arc<str>>) -> StoreError {
        StoreError::Damaged { path: path.to_owned(), why: why.into(), remedy: self.remedy }
    }
}

/// What the operating system said, and what helps.
pub fn io_error(path: &Path, error: &io::Error) -> StoreError {
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on its disk and resume",
        io::ErrorKind::PermissionDenied => "let this user write there, or name another folder with --store",
        io::ErrorKind::ReadOnlyFilesystem => "name a folder that can be written with --store",
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory | io::ErrorKind::AlreadyExists => {
            "move what stands there away, or name another folder with --store"
        }
        io::ErrorKind::NotFound => "restore it from a backup",
        _ => "see to the disk and try again",
    };
    StoreError::Io { path: path.to_owned(), why: Arc::from(error.to_string()), remedy }
}

/// Makes a name in a folder survive a power failure.
pub fn sync_folder_of(path: &Path) -> Result<(), StoreError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| io_error(folder, &e))
}
