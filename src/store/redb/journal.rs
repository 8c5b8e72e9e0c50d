//! Where do the records of this process go? Into a [`Journal`]: one file, one thread that commits for all sessions together.
//!
//! A file has one writer, the process that holds the lock beside it. While it writes others read. A process takes the first file that is
//! neither locked, full nor damaged, else makes one. One commit takes whatever has come since the last, so that a hundred sessions pay for one sync.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use redb::{ConcurrencyMode, ReadableTable, TableDefinition};

use super::{
    codec::Stored,
    disk::Open,
    file::{Kind, io_error},
    lock::{Holder, LockFile},
    queue::Queue,
};
use crate::{
    store::{AppendError, Completer, StoreError, Ticket},
    value::{Epoch, Seq, SessionId},
};

/// Records by session, epoch and sequence number.
pub const RECORDS: TableDefinition<(u128, u32, u64), &[u8]> = TableDefinition::new("records_v1");

/// Large parts of records by their BLAKE3 digest.
pub const BLOBS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("blobs_v1");

/// A journal file.
pub const JOURNAL: Kind = Kind {
    name: "journal",
    format: 1,
    mode: ConcurrencyMode::SingleWriter,
    cache: 32 * 1_024 * 1_024,
    remedy: "restore it from a backup; the sessions of other journals are not touched",
};

/// A file that has grown beyond this takes no more sessions, in bytes. Repair after a crash takes about a second for each 100 MB.
const FULL: u64 = 64 * 1_024 * 1_024;

/// The most journals of a store.
const MAX_JOURNALS: u32 = 9_999;

/// A journal that this process writes.
#[derive(Debug)]
pub struct Journal {
    /// Its number.
    pub number: u32,
    path: PathBuf,
    holder: Holder,
    queue: Arc<Queue<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// Records to be committed.
#[derive(Debug)]
pub struct Append {
    /// Of which session.
    pub session: SessionId,
    /// Under which claim.
    pub epoch: Epoch,
    /// In order.
    pub records: Vec<Stored>,
    /// Set when an append of the claim failed: the later ones must not be written.
    pub dead: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Job {
    Append(Append, Completer<()>),
    Flush(Completer<()>),
}

/// The file of journal `number` in the folder of journals.
pub fn path_of(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:04}.redb"))
}

/// The lock beside it.
pub fn lock_of(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:04}.lock"))
}

/// What says that nothing more is written to a journal, because its file is damaged.
pub fn mark_of(journal: &Path) -> PathBuf {
    journal.with_extension("damaged")
}

/// Lets no more sessions into a journal whose file is damaged; what stands in it is read as before.
fn mark(journal: &Path, why: &StoreError) {
    let text = format!("{why}\n\nNothing more is written to {}. Delete this file once it is whole again.\n", journal.display());
    if let Err(error) = fs::write(mark_of(journal), text) {
        tracing::warn!(%error, "a damaged journal could not be marked");
    }
}

/// The numbers of all journals of a folder, in order.
pub fn numbers(folder: &Path) -> Result<BTreeSet<u32>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(io_error(folder, &error)),
    };
    let number = |name: &str| name.strip_suffix(".redb")?.parse().ok();
    Ok(entries.filter_map(|entry| number(entry.ok()?.file_name().to_str()?)).collect())
}

impl Journal {
    /// Takes the first free one of `folder`, else makes one.
    pub fn take(folder: &Path) -> Result<Self, StoreError> {
        let there = numbers(folder)?;
        for number in &there {
            match Self::take_number(folder, *number) {
                Ok(Some(journal)) => return Ok(journal),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "a journal is left alone");
                    if matches!(error, StoreError::Damaged { .. }) {
                        mark(&path_of(folder, *number), &error);
                    }
                }
            }
        }
        for number in there.last().map_or(1, |last| last + 1)..=MAX_JOURNALS {
            if let Some(journal) = Self::take_number(folder, number)? {
                return Ok(journal);
            }
        }
        Err(StoreError::Io {
            path: folder.to_owned(),
            why: Arc::from(format!("it has {MAX_JOURNALS} journals")),
            remedy: "name another folder with --store",
        })
    }

    fn take_number(folder: &Path, number: u32) -> Result<Option<Self>, StoreError> {
        let path = path_of(folder, number);
        if is_full(&path) || mark_of(&path).exists() {
            return Ok(None);
        }
        let lock_path = lock_of(folder, number);
        let Some(lock) = LockFile::take(&lock_path).map_err(|e| io_error(&lock_path, &e))? else { return Ok(None) };
        let db = if path.exists() { JOURNAL.open(&path)? } else { JOURNAL.create(&path, |_| Ok(()))? };
        let queue = Arc::new(Queue::new());
        let holder = lock.holder;
        let writer = Writer { path: path.clone(), queue: Arc::clone(&queue), db: Some(db), _lock: lock };
        let thread = thread::Builder::new().name(format!("journal {number}")).spawn(move || writer.run());
        let thread = Some(thread.map_err(|e| io_error(&path, &e))?);
        Ok(Some(Self { number, path, holder, queue, thread }))
    }

    /// Who we are to other processes.
    pub fn holder(&self) -> Holder {
        self.holder
    }

    /// Whether it takes new sessions: it is not full, and was not given up after an error.
    pub fn has_room(&self) -> bool {
        !self.queue.is_closed() && !is_full(&self.path)
    }

    /// Commits `append` after all that came before.
    pub fn append(&self, append: Append) -> Ticket {
        let fenced = AppendError::Fenced { session: append.session, epoch: append.epoch };
        let (completer, ticket) = Ticket::new(fenced);
        let weight = append.records.iter().map(Stored::weight).sum();
        // A closed queue drops the job, and its completer says so.
        drop(self.queue.push(Job::Append(append, completer), weight));
        ticket
    }

    /// Takes no more records. What waits is committed, then the file is closed, while the caller goes on.
    pub fn close(&self) {
        self.queue.close();
    }

    /// Waits until all that came before is committed or refused.
    pub fn flush(&self) {
        let closed = StoreError::Io { path: self.path.clone(), why: Arc::from("it was closed"), remedy: "open the store again" };
        let (completer, ticket) = Ticket::new(closed.into());
        drop(self.queue.push(Job::Flush(completer), 0));
        // Whether the appends before succeeded is told by their own tickets.
        drop(ticket.wait());
    }
}

impl Drop for Journal {
    /// Commits what waits and closes the file before the lock goes.
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn is_full(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| about.len() >= FULL)
}

/// The thread's side of a journal.
struct Writer {
    path: PathBuf,
    queue: Arc<Queue<Job>>,
    /// `None` when it could not be opened again after an error.
    db: Option<Open>,
    /// Goes with the thread, after the file is closed.
    _lock: LockFile,
}

impl Writer {
    fn run(mut self) {
        let mut expected = 1;
        while let Some(jobs) = self.queue.batch(expected) {
            expected = jobs.len();
            let appends: Vec<_> = jobs.iter().filter_map(Job::live_append).collect();
            let outcome = if appends.is_empty() { Ok(()) } else { self.commit(&appends) };
            if let Err(error) = &outcome {
                appends.iter().for_each(|append| append.dead.store(true, Ordering::Release));
                if matches!(error, StoreError::Damaged { .. }) {
                    mark(&self.path, error);
                    self.queue.close();
                } else {
                    self.open_again();
                }
            }
            for job in jobs {
                match (job, &outcome) {
                    (Job::Flush(completer), _) => completer.complete(Ok(())),
                    (Job::Append(_, completer), Err(error)) => completer.complete(Err(error.clone().into())),
                    (Job::Append(append, completer), Ok(())) if append.is_live() => completer.complete(Ok(())),
                    // Dropping the completer says that the claim is dead.
                    (Job::Append(_, completer), Ok(())) => drop(completer),
                }
            }
        }
    }

    fn commit(&mut self, appends: &[&Append]) -> Result<(), StoreError> {
        let Some(db) = self.db.take() else {
            let why = Arc::from("an earlier write failed");
            return Err(StoreError::Io { path: self.path.clone(), why, remedy: "see to the disk and resume" });
        };
        JOURNAL.guarded(&self.path, || {
            let write = db.begin_write()?;
            {
                let mut records = write.open_table(RECORDS)?;
                for append in appends {
                    let session = append.session.0.as_u128();
                    for Stored { seq: Seq(seq), row, .. } in &append.records {
                        records.insert((session, append.epoch.0, *seq), row.as_slice())?;
                    }
                }
            }
            let mut large = appends.iter().flat_map(|append| &append.records).flat_map(|stored| &stored.blobs).peekable();
            if large.peek().is_some() {
                let mut blobs = write.open_table(BLOBS)?;
                for (digest, blob) in large {
                    // A damaged one would make every session that says the same unreadable.
                    if blobs.get(digest)?.is_none_or(|there| there.value() != blob.as_slice()) {
                        blobs.insert(digest, blob.as_slice())?;
                    }
                }
            }
            Ok(write.commit()?)
        })?;
        self.db = Some(db);
        Ok(())
    }

    /// After a failed sync nobody knows what is on the disk: all of it is put there again, and opening the file tells what it is. If that fails too the journal is given up, so
    /// that others may try.
    fn open_again(&mut self) {
        match JOURNAL.open_again(&self.path) {
            Ok(db) => self.db = Some(db),
            Err(error) => {
                tracing::warn!(%error, "a journal is given up");
                self.queue.close();
            }
        }
    }
}

impl Append {
    fn is_live(&self) -> bool {
        !self.dead.load(Ordering::Acquire)
    }
}

impl Job {
    fn live_append(&self) -> Option<&Append> {
        match self {
            Self::Append(append, _) => append.is_live().then_some(append),
            Self::Flush(_) => None,
        }
    }
}
