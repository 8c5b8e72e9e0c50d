//! What may be forgotten? [`RedbStore::remove`] removes sessions, and [`RedbStore::compact`] gives back the room that they took.
//!
//! In one commit the row of a session goes and the journals are noted that have records of it ([`super::catalog::GONE`]); then each of these is
//! swept under its lock, when nobody else writes it. So at any moment a session is there or it is not. What a killed process left, or one that
//! writes stood in the way of, is swept the next time. A blob goes when nothing that stays in its journal refers to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{ReadableTable, TableError};

use super::{
    RedbStore,
    blob::{self, Digest},
    codec,
    disk::Open,
    file::io_error,
    index::{self, Entry},
    journal::{self, BLOBS, JOURNAL, RECORDS},
    lock::{Holder, LockFile},
    look::Looker,
    read::Reader,
};
use crate::{
    event::Status,
    store::{Filter, Owner, SessionRow, Store, StoreError},
    value::{SessionId, Tenant, Timestamp},
};

/// Which sessions may go: those that are over, the newest apart. What runs or was interrupted always stays.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Of which organization.
    pub org: Arc<str>,
    /// Of which of its users; `None` for all.
    pub user: Option<Arc<str>>,
    /// Only those that ended before.
    pub before: Option<Timestamp>,
    /// So many of the newest that are over stay.
    pub keep: usize,
    /// Parked ones may go as well: their questions are never answered.
    pub parked: bool,
}

/// What was removed, or would be.
#[derive(Debug, Default)]
pub struct Removal {
    /// The sessions, newest first.
    pub sessions: Vec<SessionRow>,
    /// How many of the organization, or of its user, there were.
    pub of: usize,
    /// Bytes of records and payloads that went with them.
    pub bytes: u64,
    /// Journals that could not be swept yet, and why: the next removal or compaction does it.
    pub later: Vec<StoreError>,
}

/// What a compaction made of the files.
#[derive(Debug, Default)]
pub struct Compacted {
    /// The files with their sizes before and after, in bytes.
    pub files: Vec<(PathBuf, u64, u64)>,
    /// Files that were left as they are, and why.
    pub left: Vec<StoreError>,
}

/// Sessions that are gone, by journal that has records of them.
pub type Gone = BTreeMap<u32, BTreeSet<SessionId>>;

/// What may go from a journal.
#[derive(Default)]
struct Garbage {
    /// Bytes of records and blobs.
    bytes: u64,
    blobs: Vec<Digest>,
}

/// The sessions of the store in `folder` that `which` lets go, and how many bytes that would free. Nothing is changed or repaired.
///
/// # Errors
/// The index cannot be read.
pub fn removable(folder: &Path, which: &Retention) -> Result<Removal, StoreError> {
    let looker = Looker::new(folder);
    let (mut entries, _) = looker.entries()?;
    entries.retain_mut(|entry| {
        let Tenant { org, user } = &entry.tenant;
        *org == which.org && which.user.as_ref().is_none_or(|wanted| wanted == user) && looker.settle(entry)
    });
    let mut removal = Removal { of: entries.len(), ..Removal::default() };
    let entries = which.candidates(entries, &looker.reader);
    for (number, gone) in by_journal(&entries) {
        match garbage_in(folder, number, &looker.reader, &gone) {
            Ok(garbage) => removal.bytes += garbage.bytes,
            Err(error) => removal.later.push(error),
        }
    }
    removal.sessions = entries.into_iter().map(|entry| entry.into_row(Owner::Nobody, "".into())).collect();
    Ok(removal)
}

impl Retention {
    /// Those of `entries`, newest first, that may go.
    fn candidates(&self, mut entries: Vec<Entry>, reader: &Reader) -> Vec<Entry> {
        let mut newer = 0;
        entries.retain(|entry| {
            let is_over = entry.status.is_over();
            newer += usize::from(is_over);
            entry.owner.is_none() && if is_over { newer > self.keep } else { self.parked && entry.status == Status::Parked }
        });
        // When it was over or parked is not known where its journal cannot be read.
        let ended =
            |entry: &Entry| entry.completed_at.or_else(|| reader.tail(&entry.records(), true).ok()?.last.map(|last| last.at));
        if let Some(before) = self.before {
            entries.retain(|entry| ended(entry).is_some_and(|at| at < before));
        }
        entries
    }
}

impl RedbStore {
    /// Removes the sessions that `which` lets go, with their records. Those that somebody claims at the same moment stay.
    ///
    /// # Errors
    /// The index cannot be read or written.
    pub fn remove(&self, which: &Retention) -> Result<Removal, StoreError> {
        // What dead owners left is repaired first.
        let filter = Filter { org: Arc::clone(&which.org), user: which.user.clone(), limit: usize::MAX };
        let of = self.list(&filter)?.len();
        self.indexer.flush();
        let mut entries = which.candidates(self.index(Vec::new(), |read| Entry::list(read, &filter))?, &self.reader);
        entries.retain(|entry| !self.claims.is_held(entry.session));
        let mut removal = Removal { of, ..Removal::default() };
        if !entries.is_empty() {
            let gone = self
                .catalog
                .write(|tables| entries.iter().map(|entry| tables.remove(entry)).collect::<Result<Vec<bool>, _>>())?;
            let gone = entries.into_iter().zip(gone).filter_map(|(entry, is_gone)| is_gone.then_some(entry));
            removal.sessions = gone.map(|entry| entry.into_row(Owner::Nobody, "".into())).collect();
        }
        for (number, gone) in self.gone()? {
            match self.alone(number, |open| self.sweep(number, open, &gone)) {
                Ok(bytes) => removal.bytes += bytes,
                Err(error) => removal.later.push(error),
            }
        }
        Ok(removal)
    }

    /// Sweeps and compacts the files that nobody has open. A compacted file is as large as what is in it.
    ///
    /// # Errors
    /// The store's folder or the index cannot be read.
    pub fn compact(&self) -> Result<Compacted, StoreError> {
        let mut done = Compacted::default();
        let mut gone = self.gone()?;
        for number in journal::numbers(&self.journals)? {
            let path = journal::path_of(&self.journals, number);
            let before = size(&path);
            let compacted = self.alone(number, |open| {
                if let Some(gone) = gone.remove(&number) {
                    self.sweep(number, open, &gone)?;
                }
                JOURNAL.guarded(&path, || open.compact())
            });
            match compacted {
                Ok(()) => done.files.push((path.clone(), before, size(&path))),
                Err(error) => done.left.push(error),
            }
        }
        if self.catalog.exists() {
            let before = size(self.catalog.path());
            match self.catalog.compact() {
                Ok(()) => done.files.push((self.catalog.path().to_owned(), before, size(self.catalog.path()))),
                Err(error) => done.left.push(error),
            }
        }
        Ok(done)
    }

    /// What was removed and is not swept yet. Of a journal that is lost nothing is left to sweep.
    fn gone(&self) -> Result<Gone, StoreError> {
        let mut all = self.index(Gone::new(), index::gone)?;
        let lost: Vec<u32> = all.keys().copied().filter(|number| !journal::path_of(&self.journals, *number).exists()).collect();
        for number in lost {
            if let Some(gone) = all.remove(&number) {
                self.catalog.write(|tables| tables.swept(number, &gone))?;
            }
        }
        Ok(all)
    }

    /// Does `work` on a journal under its lock, if nobody else has it.
    fn alone<T>(&self, number: u32, work: impl FnOnce(&mut Open) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let (path, lock) = (journal::path_of(&self.journals, number), journal::lock_of(&self.journals, number));
        if journal::mark_of(&path).exists() {
            return Err(JOURNAL.damaged(&path, "it was damaged once, and nothing is written to it since"));
        }
        let Some(_lock) = LockFile::take(&lock).map_err(|e| io_error(&lock, &e))? else {
            let pid = Holder::last(&lock).map_or(0, |holder| holder.pid);
            let why = Arc::from(format!("process {pid} writes it"));
            return Err(StoreError::InUse { path, why, remedy: "compact again when it has ended" });
        };
        // Closed before the lock goes.
        let done = JOURNAL.open(&path).and_then(|mut open| work(&mut open));
        if let Err(StoreError::Io { .. }) = &done
            && let Err(error) = JOURNAL.open_again(&path)
        {
            tracing::warn!(%error, "a journal could not be put on the disk again");
        }
        done
    }

    /// Takes the records of `gone` out of a journal, then notes that it is done. Returns how many bytes went.
    fn sweep(&self, number: u32, open: &Open, gone: &BTreeSet<SessionId>) -> Result<u64, StoreError> {
        let path = journal::path_of(&self.journals, number);
        let bytes = JOURNAL.guarded(&path, || {
            let write = open.begin_write()?;
            let garbage = {
                let mut records = write.open_table(RECORDS)?;
                let mut blobs = write.open_table(BLOBS)?;
                let garbage = garbage(&records, Some(&blobs), gone)?;
                for session in gone {
                    records.retain_in(of(*session), |_, _| false)?;
                }
                for digest in &garbage.blobs {
                    blobs.remove(digest)?;
                }
                garbage
            };
            write.commit()?;
            Ok(garbage.bytes)
        })?;
        self.catalog.write(|tables| tables.swept(number, gone))?;
        Ok(bytes)
    }
}

/// What the records of `gone` take in a journal.
fn garbage_in(folder: &Path, number: u32, reader: &Reader, gone: &BTreeSet<SessionId>) -> Result<Garbage, StoreError> {
    let db = reader.open(number)?;
    JOURNAL.guarded(&journal::path_of(&folder.join("journals"), number), || {
        let read = db.begin_read()?;
        let records = match read.open_table(RECORDS) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Garbage::default()),
            opened => opened?,
        };
        let blobs = match read.open_table(BLOBS) {
            Err(TableError::TableDoesNotExist(_)) => None,
            opened => Some(opened?),
        };
        garbage(&records, blobs.as_ref(), gone)
    })
}

fn by_journal(entries: &[Entry]) -> Gone {
    let mut gone = Gone::new();
    for entry in entries {
        for segment in &entry.segments {
            gone.entry(segment.journal).or_default().insert(entry.session);
        }
    }
    gone
}

type Key = (u128, u32, u64);

/// The records of a session.
fn of(session: SessionId) -> std::ops::RangeInclusive<Key> {
    let id = session.0.as_u128();
    (id, 0, 0)..=(id, u32::MAX, u64::MAX)
}

/// What goes with the records of `gone`: the blobs that no other record refers to. Where a record that stays is damaged, nobody can tell,
/// and all blobs stay.
fn garbage(
    records: &impl ReadableTable<Key, &'static [u8]>,
    blobs: Option<&impl ReadableTable<&'static Digest, &'static [u8]>>,
    gone: &BTreeSet<SessionId>,
) -> Result<Garbage, redb::Error> {
    let mut garbage = Garbage::default();
    let [mut going, mut staying] = [BTreeSet::new(), BTreeSet::new()];
    for row in records.iter()? {
        let (key, row) = row?;
        let is_gone = gone.contains(&SessionId(uuid::Uuid::from_u128(key.value().0)));
        if is_gone {
            garbage.bytes += row.value().len() as u64;
        }
        match (codec::references(row.value()), is_gone) {
            (Ok(found), true) => going.extend(found),
            (Ok(found), false) => staying.extend(found),
            (Err(_), true) => {}
            (Err(_), false) => return Ok(garbage),
        }
    }
    let Some(blobs) = blobs else { return Ok(garbage) };
    let staying = reached(blobs, staying)?;
    for digest in reached(blobs, going)?.difference(&staying) {
        if let Some(blob) = blobs.get(digest)? {
            garbage.bytes += blob.value().len() as u64;
            garbage.blobs.push(*digest);
        }
    }
    Ok(garbage)
}

/// These blobs and those that they refer to.
fn reached(
    blobs: &impl ReadableTable<&'static Digest, &'static [u8]>,
    first: BTreeSet<Digest>,
) -> Result<BTreeSet<Digest>, redb::Error> {
    let mut next: Vec<Digest> = first.iter().copied().collect();
    let mut reached = first;
    while let Some(digest) = next.pop() {
        let Some(blob) = blobs.get(&digest)? else { continue };
        for inner in blob::references(blob.value()).unwrap_or_default() {
            if reached.insert(inner) {
                next.push(inner);
            }
        }
    }
    Ok(reached)
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |about| about.len())
}

#[cfg(test)]
mod tests;
