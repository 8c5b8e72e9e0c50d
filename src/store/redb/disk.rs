//! Which writes must be on the disk, and by when? [`Disk`], the file below a database, leaves out the syncs that nothing depends on.
//!
//! redb syncs wherever some use of it may need that. Here a promise is given only when records or index rows are committed, and then both
//! syncs of a commit are made: of the pages, and of the head that names them. Otherwise it is enough that whatever a power failure leaves
//! is whole. The head fits into one sector, so the disk has the old one or the new one.
//!
//! - A file that is being made has no name yet by which anybody would open it. It is synced once, when it is complete.
//! - Opening a file in order marks its head as in use. If that mark is not on the disk, the head there is that of a file in order, which
//!   it still is: nothing that it names is ever overwritten. A file that is not in order is synced as often as its repair asks for.
//! - Closing a file commits once more, with both syncs, then cuts it to its length and takes the mark from its head. A file that is too long,
//!   or marked, is what a killed process leaves, and opens as well.
//!
//! What a process wrote is there for others as soon as it is written, synced or not: syncs matter to power failures alone.
//!
//! Whoever reads or commits holds the head of the file for a moment. A process that is stopped in that moment holds it until it goes on, so nobody
//! waits for it longer than [`PATIENCE`].

use std::{
    fs::{File, OpenOptions},
    io,
    ops::{Bound, Deref},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use redb::{BackendError, Builder, Database, DatabaseError, ReadOnlyDatabase, StorageBackend, backends::FileBackend};

use super::quiet::quietly;

/// What is read and written at once when a file is put on the disk again, in bytes.
const CHUNK: usize = 256 * 1_024;

/// How long to wait for other processes that hold the head of a file, which they do for some milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 10 });

/// The first and the longest pause between two attempts.
const PAUSES: (Duration, Duration) = (Duration::from_micros(20), Duration::from_millis(2));

/// Another process held the head of the file for longer than [`PATIENCE`].
#[derive(Debug, thiserror::Error)]
#[error("another process holds it and does not give it back")]
pub struct Held;

/// The database in the file at `path`, for reading beside whoever writes it.
pub fn read_only(builder: &Builder, path: &Path) -> Result<ReadOnlyDatabase, DatabaseError> {
    let file = FileBackend::new(File::open(path)?)?;
    builder.open_read_only_with_backend(Disk::new(file, Stage::Working))
}

/// A database that is open for writing. Dropping it closes the file so that the next one to open it finds nothing to repair.
#[derive(Debug)]
pub struct Open {
    /// Present until this is dropped.
    db: Option<Database>,
    disk: Disk,
}

impl Open {
    /// The database in the file at `path`.
    pub fn existing(builder: &Builder, path: &Path) -> Result<Self, redb::Error> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Self::existing_in(builder, backend(path, file)?)
    }

    /// A new database in a new file at `path`. Nothing of it is sure to be on the disk before [`Open::is_made`].
    pub fn new(builder: &Builder, path: &Path) -> Result<Self, redb::Error> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Self::new_in(builder, backend(path, file)?)
    }

    /// Moves what is in the file together, and cuts off what is free then.
    pub fn compact(&mut self) -> Result<(), redb::Error> {
        let db = self.db.as_mut().expect("a database: it is taken out only when this is dropped");
        Ok(db.compact().map(drop)?)
    }

    /// Ends the making of a file: all of it is put on the disk.
    pub fn is_made(&self) -> io::Result<()> {
        self.disk.state().stage = Stage::Working;
        self.disk.0.file.sync_data()
    }

    fn existing_in(builder: &Builder, file: impl StorageBackend) -> Result<Self, redb::Error> {
        let disk = Disk::new(file, Stage::Opening);
        let open = Self { db: Some(builder.create_with_backend(disk.clone())?), disk };
        open.disk.state().stage = Stage::Working;
        Ok(open)
    }

    fn new_in(builder: &Builder, file: impl StorageBackend) -> Result<Self, redb::Error> {
        let disk = Disk::new(file, Stage::Making);
        Ok(Self { db: Some(builder.create_with_backend(disk.clone())?), disk })
    }
}

/// Puts all of a file on the disk again after a sync that failed: the system takes pages for written then that are not, and no later sync
/// would write them. What it would find there after a power failure is at each moment what it would have found before, or newer.
pub fn put_again(path: &Path) -> Result<(), redb::Error> {
    let file = backend(path, OpenOptions::new().read(true).write(true).open(path)?)?;
    let length = file.len()?;
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    while at < length {
        chunk.truncate(usize::try_from(length - at).unwrap_or(CHUNK));
        file.read(at, &mut chunk)?;
        file.write(at, &chunk)?;
        at += chunk.len() as u64;
    }
    Ok(file.sync_data()?)
}

#[cfg(not(test))]
fn backend(_: &Path, file: File) -> Result<impl StorageBackend, redb::Error> {
    Ok(FileBackend::new(file)?)
}

/// On a machine that breaks, where a test has set one up.
#[cfg(test)]
fn backend(path: &Path, file: File) -> Result<impl StorageBackend + use<>, redb::Error> {
    Ok(super::faults::Faulty::around(path, FileBackend::new(file)?))
}

impl Deref for Open {
    type Target = Database;

    fn deref(&self) -> &Database {
        self.db.as_ref().expect("a database: it is taken out only when this is dropped")
    }
}

impl Drop for Open {
    /// Closing writes once more, and may find damage that nobody has asked about.
    fn drop(&mut self) {
        self.disk.state().stage = Stage::Closing;
        quietly(|| drop(self.db.take()));
    }
}

/// The file of a database, and what is being done with it.
#[derive(Clone, Debug)]
struct Disk(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    file: Box<dyn StorageBackend>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    /// How often it was written since it was opened.
    writes: u64,
    /// How often it was synced since a page was last written.
    syncs: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Making,
    Opening,
    Working,
    Closing,
}

impl State {
    /// Whether nothing depends on a sync, as far as one can tell yet.
    fn is_free(&self) -> bool {
        match self.stage {
            Stage::Making => true,
            Stage::Opening => self.writes == 1,
            Stage::Working => false,
            Stage::Closing => self.syncs >= 2,
        }
    }
}

impl Disk {
    fn new(file: impl StorageBackend, stage: Stage) -> Self {
        let state = Mutex::new(State { stage, writes: 0, syncs: 0 });
        Self(Arc::new(Parts { file: Box::new(file), state }))
    }

    /// A panic elsewhere leaves the state whole: each field stands for itself.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorageBackend for Disk {
    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.is_free() {
            return Ok(());
        }
        state.syncs += 1;
        drop(state);
        self.0.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.file.set_len(len)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        if state.stage == Stage::Opening && state.writes == 1 {
            // It is repaired, so the sync after the first write was needed.
            self.0.file.sync_data()?;
        }
        state.writes += 1;
        // The head is at the beginning, on a page of its own.
        if offset > 0 {
            state.syncs = 0;
        }
        drop(state);
        self.0.file.write(offset, data)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.file.read(offset, out)
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        patiently(|| self.0.file.try_lock_range(start, end))
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        patiently(|| self.0.file.try_lock_shared_range(start, end))
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.query_lock_range(start, end)
    }
}

/// Attempts to take a lock until it is there, or [`PATIENCE`] is over.
fn patiently(attempt: impl Fn() -> Result<bool, BackendError>) -> Result<(), BackendError> {
    let started = Instant::now();
    let (mut pause, longest) = PAUSES;
    while !attempt()? {
        if started.elapsed() > PATIENCE {
            return Err(BackendError::Io(io::Error::new(io::ErrorKind::TimedOut, Held)));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(longest);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
