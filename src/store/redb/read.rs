//! What was written? A [`Reader`] stitches the segments of a session together and checks every link.
//!
//! Files are opened for each read and closed after it (a quarter of a millisecond), so that a reader never stands in the way of a
//! process that repairs or takes a journal.

use std::{
    collections::BTreeMap,
    fmt, mem,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use redb::{DatabaseError, ReadTransaction, ReadableDatabase, TableError};
use serde::{Deserialize, Serialize};

use super::{
    blob::Digest,
    codec::{self, Link},
    disk,
    file::{Readable, io_error},
    journal::{BLOBS, JOURNAL, RECORDS, lock_of, path_of},
    lock::{Holder, LockFile},
};
use crate::{
    event::{Event, Record},
    store::{ReadError, StoreError},
    value::{Epoch, Seq, SessionId},
};

/// How long to wait for a process that repairs a journal.
const PATIENCE: Duration = Duration::from_secs(10);

/// Journals that are kept open at most: each takes memory for its pages, or for a copy of all of it.
const KEPT: usize = 2;

/// Records that are read at once, from the end of a session backwards.
const LOOK_BACK: u64 = 16;

/// A stretch of a session's records: those of one claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Whose.
    pub epoch: Epoch,
    /// In which file.
    pub journal: u32,
    /// The first one; they end where the next segment begins.
    pub from: Seq,
}

/// What is known of a session's records before any is read.
#[derive(Clone, Copy, Debug)]
pub struct Extent<'a> {
    /// Which session.
    pub session: SessionId,
    /// Where they are, in order.
    pub segments: &'a [Segment],
    /// At least so many there must be.
    pub length: Seq,
}

/// Where a session ends.
#[derive(Debug)]
pub struct Tail {
    /// How many records there are.
    pub length: Seq,
    /// What the next one follows.
    pub link: Link,
    /// The last record that says where the session stands, if there is one and it was asked for.
    pub last: Option<Record>,
}

/// Reads the journals of a folder.
#[derive(Clone)]
pub struct Reader {
    folder: PathBuf,
    /// What one that changes nothing has tried: a journal whose last writer died is copied as seldom as can be.
    kept: Option<Arc<Mutex<Kept>>>,
}

#[derive(Default)]
struct Kept {
    /// The last few, the newest last.
    open: Vec<(u32, Readable)>,
    /// Those that cannot be opened: it is tried for some time, and not again for each session.
    failed: BTreeMap<u32, StoreError>,
}

impl Kept {
    /// The journal as it is kept, or as `look` finds it.
    fn open(&mut self, number: u32, look: impl FnOnce() -> Result<Readable, StoreError>) -> Result<Readable, StoreError> {
        if let Some(error) = self.failed.get(&number) {
            return Err(error.clone());
        }
        let place = self.open.iter().position(|(kept, _)| *kept == number);
        let kept = place.map(|place| self.open.remove(place).1);
        if kept.is_none() && self.open.len() >= KEPT {
            self.open.remove(0);
        }
        let opened = kept.map_or_else(look, Ok);
        match &opened {
            Ok(db) => self.open.push((number, db.clone())),
            Err(error) => drop(self.failed.insert(number, error.clone())),
        }
        opened
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Reader {
    /// Of the folder of journals.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, kept: None }
    }

    /// The same, but one that changes nothing, not even to repair it.
    pub fn that_only_looks(folder: PathBuf) -> Self {
        Self { folder, kept: Some(Arc::default()) }
    }

    /// Opens files anew: what was kept open may be a copy that is older than what was learnt since.
    pub fn look_again(&self) {
        if let Some(kept) = &self.kept {
            drop(mem::take(&mut kept.lock().unwrap_or_else(PoisonError::into_inner).open));
        }
    }

    /// At most `max` records from `from` on.
    pub fn read(&self, extent: &Extent<'_>, from: Seq, max: usize) -> Result<Vec<Record>, ReadError> {
        let &Extent { session, segments, length } = extent;
        let mut records = Vec::new();
        // The record before the first one is read for its link only.
        let (mut before, mut next) = match from.0.checked_sub(1) {
            None => (Some(codec::genesis(session)), from),
            Some(anchor) => (None, Seq(anchor)),
        };
        for (ix, segment) in segments.iter().enumerate() {
            // A segment ends where the next one begins; the last one has no end but a least length.
            let following = segments.get(ix + 1).map(|following| following.from);
            let (end, least) = (following.unwrap_or(Seq(u64::MAX)), following.unwrap_or(length));
            let room = max.saturating_sub(records.len()) + usize::from(before.is_none());
            if end <= next || room == 0 {
                continue;
            }
            let stretch = self.stretch(session, segment).map_err(|source| match source {
                // What stands in the journals before this one can still be read.
                StoreError::Damaged { path, why, .. } if ix > 0 => ReadError::Damaged { session, journal: path, seq: next, why },
                source => ReadError::Store { session, source },
            })?;
            let (rows, broken) = stretch.rows(next, end, room);
            let count = rows.len();
            for (seq, row) in rows {
                if seq != next {
                    return Err(stretch.damaged(next, "it is missing"));
                }
                let link = match before {
                    None => codec::link_of(&row).map_err(|why| stretch.damaged(seq, why))?,
                    Some(before) => {
                        let (record, link) = stretch.decode(seq, |fetch| codec::decode(&row, seq, &before, fetch))?;
                        records.push(record);
                        link
                    }
                };
                before = Some(link);
                next = next.next();
            }
            match broken {
                Some(StoreError::Damaged { why, .. }) => return Err(stretch.damaged(next, why)),
                Some(source) => return Err(ReadError::Store { session, source }),
                None if count < room && next < least => return Err(stretch.damaged(next, "it is missing")),
                None => {}
            }
        }
        Ok(records)
    }

    /// Where the records end; with the last one if `with_record` is set.
    pub fn tail(&self, extent: &Extent<'_>, with_record: bool) -> Result<Tail, ReadError> {
        let session = extent.session;
        for segment in extent.segments.iter().rev() {
            let stretch = self.stretch(session, segment).map_err(|source| ReadError::Store { session, source })?;
            let last = stretch.last()?;
            let end = last.as_ref().map_or(segment.from, |(seq, _)| seq.next());
            if end < extent.length {
                return Err(stretch.damaged(end, "it is missing"));
            }
            let Some((seq, row)) = last else { continue };
            let link = codec::link_of(&row).map_err(|why| stretch.damaged(seq, why))?;
            let last = if with_record { self.telling(extent, seq)? } else { None };
            return Ok(Tail { length: seq.next(), link, last });
        }
        Ok(Tail { length: Seq(0), link: codec::genesis(session), last: None })
    }

    /// The last record up to `seq` that says where the session stands: one that came too late to matter does not.
    fn telling(&self, extent: &Extent<'_>, seq: Seq) -> Result<Option<Record>, ReadError> {
        let mut end = seq.next();
        while end > Seq(0) {
            let from = Seq(end.0.saturating_sub(LOOK_BACK));
            let count = usize::try_from(end.0 - from.0).unwrap_or(usize::MAX);
            let page = self.read(extent, from, count)?;
            if let Some(found) = page.into_iter().rev().find(|record| !matches!(record.event, Event::LateResult { .. })) {
                return Ok(Some(found));
            }
            end = from;
        }
        Ok(None)
    }

    fn stretch(&self, session: SessionId, segment: &Segment) -> Result<Stretch, StoreError> {
        let path = path_of(&self.folder, segment.journal);
        let db = self.open(segment.journal)?;
        let (read, db) = JOURNAL.guarded(&path, || Ok((db.begin_read()?, db)))?;
        Ok(Stretch { session, epoch: segment.epoch, path, read, _db: db })
    }

    /// A journal for reading. If its last writer died it is opened for writing once, which repairs it.
    pub fn open(&self, number: u32) -> Result<Readable, StoreError> {
        let path = path_of(&self.folder, number);
        let lock = lock_of(&self.folder, number);
        if let Some(kept) = &self.kept {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            return kept.open(number, || JOURNAL.look(&path, &lock).map(|(db, _)| db));
        }
        JOURNAL.refuse_empty(&path)?;
        let started = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            let opened = JOURNAL.guarded(&path, || match disk::read_only(&JOURNAL.builder(), &path) {
                Ok(db) => Ok(Some(db)),
                Err(DatabaseError::RepairAborted | DatabaseError::DatabaseAlreadyOpen) => Ok(None),
                Err(error) => Err(error.into()),
            })?;
            if let Some(db) = opened {
                JOURNAL.check_format(&path, &JOURNAL.guarded(&path, || Ok(db.begin_read()?))?)?;
                return Ok(Arc::new(db));
            }
            match LockFile::take(&lock).map_err(|e| io_error(&lock, &e))? {
                Some(held) => {
                    drop(JOURNAL.open(&path)?);
                    drop(held);
                }
                None if started.elapsed() > PATIENCE => {
                    return Err(StoreError::Busy { path, pid: Holder::now(&lock) });
                }
                None => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(50));
                }
            }
        }
    }
}

/// The records of one session and claim in one open journal.
struct Stretch {
    session: SessionId,
    epoch: Epoch,
    path: PathBuf,
    read: ReadTransaction,
    /// Keeps the file open.
    _db: Readable,
}

/// A record's place and its bytes.
type Row = (Seq, Vec<u8>);

impl Stretch {
    /// At most `max` rows from `from` to before `end`, and what went wrong after them.
    fn rows(&self, from: Seq, end: Seq, max: usize) -> (Vec<Row>, Option<StoreError>) {
        let mut rows = Vec::new();
        let read = JOURNAL.guarded(&self.path, || {
            let table = match self.read.open_table(RECORDS) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(()),
                opened => opened?,
            };
            for row in table.range(self.key(from)..self.key(end))?.take(max) {
                let (key, row) = row?;
                rows.push((Seq(key.value().2), row.value().to_vec()));
            }
            Ok(())
        });
        let Err(broken) = read else { return (rows, None) };
        // A range looks at its far end first, and may stumble there: one by one, what stands before the damage is read.
        while rows.len() < max {
            let seq = Seq(from.0 + rows.len() as u64);
            let one = || Ok(self.read.open_table(RECORDS)?.get(self.key(seq))?.map(|row| row.value().to_vec()));
            match JOURNAL.guarded(&self.path, one) {
                Ok(Some(row)) if seq < end => rows.push((seq, row)),
                Ok(_) | Err(_) => return (rows, Some(broken)),
            }
        }
        (rows, None)
    }

    fn last(&self) -> Result<Option<Row>, ReadError> {
        let read = JOURNAL.guarded(&self.path, || {
            let table = match self.read.open_table(RECORDS) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                opened => opened?,
            };
            let Some(row) = table.range(self.key(Seq(0))..=self.key(Seq(u64::MAX)))?.next_back() else { return Ok(None) };
            let (key, row) = row?;
            Ok(Some((Seq(key.value().2), row.value().to_vec())))
        });
        read.map_err(|source| ReadError::Store { session: self.session, source })
    }

    /// Does `decode` with a way to get at blobs.
    fn decode<T>(
        &self,
        seq: Seq,
        decode: impl FnOnce(&mut dyn FnMut(&Digest) -> Option<Vec<u8>>) -> Result<T, String>,
    ) -> Result<T, ReadError> {
        let mut unread = None;
        let mut fetch = |digest: &Digest| {
            let found =
                JOURNAL.guarded(&self.path, || Ok(self.read.open_table(BLOBS)?.get(digest)?.map(|blob| blob.value().to_vec())));
            found.unwrap_or_else(|error| {
                unread = Some(error);
                None
            })
        };
        let decoded = decode(&mut fetch);
        decoded.map_err(|why| match unread {
            None => self.damaged(seq, why),
            Some(StoreError::Damaged { why, .. }) => self.damaged(seq, why),
            Some(other) => ReadError::Store { session: self.session, source: other },
        })
    }

    fn key(&self, seq: Seq) -> (u128, u32, u64) {
        (self.session.0.as_u128(), self.epoch.0, seq.0)
    }

    fn damaged(&self, seq: Seq, why: impl Into<Arc<str>>) -> ReadError {
        ReadError::Damaged { session: self.session, journal: self.path.clone(), seq, why: why.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Readable {
        Arc::new(redb::Builder::new().create_with_backend(redb::backends::InMemoryBackend::new()).unwrap())
    }

    #[test]
    fn a_few_journals_stay_open_and_one_that_cannot_be_opened_is_tried_once() {
        let mut kept = Kept::default();
        for number in [1, 2, 1, 3, 3, 1] {
            kept.open(number, || Ok(database())).unwrap();
            assert!(kept.open.len() <= KEPT);
        }
        assert_eq!(kept.open.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [3, 1], "the last that were used");
        let mut tries = 0;
        for _ in 0..3 {
            let look = || {
                tries += 1;
                Err(JOURNAL.damaged("0004.redb".as_ref(), "it is empty"))
            };
            assert!(kept.open(4, look).is_err());
        }
        assert_eq!(tries, 1);
    }
}
