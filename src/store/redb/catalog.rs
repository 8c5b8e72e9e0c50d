//! Which sessions are there, and who has them? The [`Catalog`]: one file that every process of the store reads and writes.
//!
//! Any process may have it open (`MultiWriter`), and one writes at a time. A lock file is taken around each write, so that waiting has an end
//! and a process that is stopped in the middle of a write can be named.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use redb::{ConcurrencyMode, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, TableDefinition};

use super::{
    disk::{self, Open, PATIENCE},
    file::{Kind, io_error},
    index::{Entry, Tables},
    lock::{Holder, LockFile},
};
use crate::store::StoreError;

/// Index rows by organization, user, time counted backwards, and session.
pub const SESSIONS: TableDefinition<(&str, &str, u64, u128), &[u8]> = TableDefinition::new("sessions_v1");

/// The keys of [`SESSIONS`] by session.
pub const KEYS: TableDefinition<u128, (&str, &str, u64)> = TableDefinition::new("session_keys_v1");

/// What waits for a session's owner, by session and number.
pub const INBOX: TableDefinition<(u128, u64), &[u8]> = TableDefinition::new("inbox_v1");

/// Sessions that were removed, and journals that may still have records of them.
pub const GONE: TableDefinition<(u128, u32), ()> = TableDefinition::new("gone_v1");

/// Numbers that only grow.
pub const COUNTERS: TableDefinition<&str, u64> = TableDefinition::new("counters_v1");

/// The catalog file.
pub const CATALOG: Kind = Kind {
    name: "catalog",
    format: 1,
    mode: ConcurrencyMode::MultiWriter,
    cache: 16 * 1_024 * 1_024,
    remedy: "move it away: it is made again from the journals",
};

/// The longest pause between two attempts.
const PAUSE: Duration = Duration::from_millis(8);

/// The catalog of a store.
#[derive(Debug)]
pub struct Catalog {
    path: PathBuf,
    lock: PathBuf,
    next: PathBuf,
    /// Open from the first write on; `None` after an error.
    db: Mutex<Option<Arc<Open>>>,
    /// This process's turn: file locks do not make threads wait.
    writing: Mutex<()>,
}

impl Catalog {
    /// The catalog in `folder`. Nothing is opened yet.
    pub fn new(folder: &Path) -> Self {
        Self {
            path: folder.join("catalog.redb"),
            lock: folder.join("catalog.lock"),
            next: folder.join("catalog.next"),
            db: Mutex::new(None),
            writing: Mutex::new(()),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is one.
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// What `work` finds; `absent` where there is no catalog yet, or not the table that it wants.
    pub fn read<T>(&self, absent: T, work: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        if !self.exists() {
            return Ok(absent);
        }
        let snapshot = self.snapshot()?;
        let found = CATALOG.guarded(&self.path, || match work(&snapshot.read) {
            Err(redb::Error::TableDoesNotExist(_)) => Ok(None),
            found => found.map(Some),
        })?;
        Ok(found.unwrap_or(absent))
    }

    /// Commits what `work` does, unless it returns an error.
    pub fn write<T>(&self, work: impl FnOnce(&mut Tables<'_>) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let (_turn, _lock) = self.turn()?;
        let db = self.open_in_turn()?;
        let done = CATALOG.guarded(&self.path, || {
            let write = db.begin_write()?;
            let done = work(&mut Tables::open(&write)?)?;
            write.commit()?;
            Ok(done)
        });
        if done.is_err() {
            *self.handle() = None;
        }
        drop(db);
        self.put_again_after(&done);
        done
    }

    /// Gives back the room of what is no more.
    pub fn compact(&self) -> Result<(), StoreError> {
        let (_turn, _lock) = self.turn()?;
        // Nobody may have it open while its pages are moved.
        *self.handle() = None;
        let done = CATALOG.open(&self.path).and_then(|mut db| CATALOG.guarded(&self.path, || db.compact()));
        self.put_again_after(&done);
        done
    }

    /// As with a journal: what a failed sync left unwritten is put on the disk, in one's turn. If that fails, the next write tries.
    fn put_again_after<T>(&self, done: &Result<T, StoreError>) {
        if let Err(StoreError::Io { .. }) = done {
            *self.handle() = CATALOG.open_again(&self.path).ok().map(Arc::new);
        }
    }

    /// Makes the catalog, with `entries`, unless there is one by now.
    pub fn make(&self, entries: impl FnOnce() -> Result<Vec<Entry>, StoreError>) -> Result<(), StoreError> {
        let (_turn, _lock) = self.turn()?;
        if self.exists() {
            return Ok(());
        }
        let entries = entries()?;
        let db = CATALOG.create(&self.path, |write| {
            let mut tables = Tables::open(write)?;
            entries.iter().try_for_each(|entry| tables.add(entry).map(drop))
        })?;
        *self.handle() = Some(Arc::new(db));
        Ok(())
    }

    fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let open = self.handle().clone();
        if let Some(db) = open {
            match CATALOG.guarded(&self.path, || Ok(db.begin_read()?)) {
                Ok(read) => return Ok(Snapshot { read, _open: Held::Writable(db) }),
                // A write that nobody was told of may have failed, and a handle remembers that: only a new one tells what is there now.
                Err(StoreError::Io { .. }) => self.let_go(&db),
                Err(error) => return Err(error),
            }
        }
        // Whoever only reads needs no right to write, and waits for no writer.
        CATALOG.refuse_empty(&self.path)?;
        let opened = CATALOG.guarded(&self.path, || match disk::read_only(&CATALOG.builder(), &self.path) {
            Ok(db) => Ok(Some((db.begin_read()?, db))),
            Err(DatabaseError::RepairAborted | DatabaseError::DatabaseAlreadyOpen) => Ok(None),
            Err(error) => Err(error.into()),
        })?;
        let snapshot = if let Some((read, db)) = opened {
            Snapshot { read, _open: Held::ReadOnly(db) }
        } else {
            let (_turn, _lock) = self.turn()?;
            let db = self.open_in_turn()?;
            Snapshot { read: CATALOG.guarded(&self.path, || Ok(db.begin_read()?))?, _open: Held::Writable(db) }
        };
        CATALOG.check_format(&self.path, &snapshot.read)?;
        Ok(snapshot)
    }

    /// The right to write, among the threads of this process and among processes. Whoever comes next waits at a lock of its own, so that
    /// a process that writes again and again cannot overtake it for ever.
    fn turn(&self) -> Result<(MutexGuard<'_, ()>, LockFile), StoreError> {
        let turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + PATIENCE;
        let next = self.wait_for(&self.next, until)?;
        let lock = self.wait_for(&self.lock, until)?;
        drop(next);
        Ok((turn, lock))
    }

    fn wait_for(&self, path: &Path, until: Instant) -> Result<LockFile, StoreError> {
        let mut pause = Duration::from_micros(100);
        loop {
            if let Some(lock) = LockFile::take(path).map_err(|e| io_error(path, &e))? {
                return Ok(lock);
            }
            if Instant::now() > until {
                return Err(StoreError::Busy { path: self.path.clone(), pid: Holder::now(path) });
            }
            thread::sleep(pause);
            pause = (pause * 2).min(PAUSE);
        }
    }

    fn open_in_turn(&self) -> Result<Arc<Open>, StoreError> {
        let mut handle = self.handle();
        if let Some(db) = &*handle {
            return Ok(Arc::clone(db));
        }
        let db = Arc::new(CATALOG.open(&self.path)?);
        *handle = Some(Arc::clone(&db));
        Ok(db)
    }

    /// Forgets `db`, unless another one took its place.
    fn let_go(&self, db: &Arc<Open>) {
        let mut handle = self.handle();
        if handle.as_ref().is_some_and(|held| Arc::ptr_eq(held, db)) {
            *handle = None;
        }
    }

    fn handle(&self) -> MutexGuard<'_, Option<Arc<Open>>> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A moment of the catalog. The transaction ends before its file is closed.
struct Snapshot {
    read: ReadTransaction,
    _open: Held,
}

#[expect(dead_code, reason = "the files are held, not used")]
enum Held {
    Writable(Arc<Open>),
    ReadOnly(ReadOnlyDatabase),
}
