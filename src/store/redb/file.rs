//! How is a database file opened, and what is said when it cannot be? Every file names its format, is made whole or not at all, and
//! is treated as something that anybody may have damaged.

use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use redb::{
    Builder, ConcurrencyMode, DatabaseError, ReadTransaction, ReadableDatabase, StorageBackend, TableDefinition, TableHandle,
    WriteTransaction, backends::InMemoryBackend,
};

use super::{
    disk::{self, Open},
    lock::Holder,
    quiet::quietly,
};
use crate::store::StoreError;

/// The table that says what a file is; its own layout never changes.
const FORMAT: TableDefinition<&str, u64> = TableDefinition::new("format");

/// The largest file that is copied to be looked at, in bytes: journals are much smaller.
const MAX_COPY: u64 = 512 * 1_024 * 1_024;

/// How often a file is looked at that cannot be read at once, and the pause in between.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);

/// A file that is open for reading. It is closed when the last handle is gone.
pub type Readable = Arc<dyn ReadableDatabase + Send + Sync>;

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

    /// Opens the file for writing after a write or a sync of it failed.
    pub fn open_again(&self, path: &Path) -> Result<Open, StoreError> {
        self.guarded(path, || disk::put_again(path))?;
        self.open(path)
    }

    /// Opens the file for reading without a change to it; says whether its last writer died before he could close it. Such a file is read
    /// in a copy that is repaired in memory, once nobody holds the lock beside it.
    pub fn look(&self, path: &Path, lock: &Path) -> Result<(Readable, bool), StoreError> {
        let mut attempt = 1;
        loop {
            match self.look_once(path, lock) {
                Err(error @ StoreError::Busy { .. }) => return Err(error),
                // Somebody may have written while it was copied.
                Err(_) if attempt < LOOKS => {
                    attempt += 1;
                    thread::sleep(PAUSE);
                }
                looked => return looked,
            }
        }
    }

    fn look_once(&self, path: &Path, lock: &Path) -> Result<(Readable, bool), StoreError> {
        self.refuse_empty(path)?;
        let opened = self.guarded(path, || match disk::read_only(&self.builder(), path) {
            Ok(db) => Ok(Some(Arc::new(db) as Readable)),
            Err(DatabaseError::RepairAborted | DatabaseError::DatabaseAlreadyOpen) => Ok(None),
            Err(error) => Err(error.into()),
        })?;
        let (db, repaired) = match (opened, Holder::last(lock).filter(|holder| holder.holds(lock))) {
            (Some(db), _) => (db, false),
            (None, Some(holder)) => return Err(StoreError::Busy { path: path.to_owned(), pid: Some(holder.pid) }),
            (None, None) => (self.copy(path)?, true),
        };
        self.check_format(path, &self.guarded(path, || Ok(db.begin_read()?))?)?;
        Ok((db, repaired))
    }

    fn copy(&self, path: &Path) -> Result<Readable, StoreError> {
        let size = fs::metadata(path).map_err(|e| io_error(path, &e))?.len();
        if size > MAX_COPY {
            let why = Arc::from(format!("its last writer died, and its {size} bytes are too many to be looked at in a copy"));
            return Err(StoreError::Io { path: path.to_owned(), why, remedy: "`synod sessions` repairs it" });
        }
        let bytes = fs::read(path).map_err(|e| io_error(path, &e))?;
        let memory = InMemoryBackend::new();
        let filled = memory.set_len(bytes.len() as u64).and_then(|()| memory.write(0, &bytes));
        filled.map_err(|e| io_error(path, &e))?;
        // Nobody else has the copy.
        let mut builder = self.builder();
        builder.set_concurrency_mode(ConcurrencyMode::ExclusiveWriter);
        self.guarded(path, || Ok(Arc::new(builder.create_with_backend(memory)?) as Readable))
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
            redb::Error::Io(io) if io.get_ref().is_some_and(|why| why.is::<disk::Held>()) => {
                let lock = path.with_extension("lock");
                StoreError::Busy { path: path.to_owned(), pid: Holder::now(&lock) }
            }
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
            redb::Error::TransactionInProgress => StoreError::InUse {
                path: path.to_owned(),
                why: Arc::from("another process reads it"),
                remedy: "try again in a moment",
            },
            other => self.damaged(path, other.to_string()),
        }
    }

    /// Says what is damaged.
    pub fn damaged(&self, path: &Path, why: impl Into<Arc<str>>) -> StoreError {
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
    #[cfg(test)]
    if let Some(done) = super::faults::sync_folder(folder) {
        return done.map_err(|e| io_error(folder, &e));
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| io_error(folder, &e))
}
