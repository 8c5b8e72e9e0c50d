//! How is a store read without a change to it? A [`Looker`] takes no lock, repairs and makes no file, and is not misled by what others remove
//! meanwhile.

use std::path::{Path, PathBuf};

use redb::ReadTransaction;

use super::{
    catalog::CATALOG,
    index::{self, Entry},
    journal,
    read::Reader,
};
use crate::{
    store::{FindError, READ_PAGE, ReadError, StoreError, row},
    value::{Seq, SessionId},
};

/// How often a session is read whose row changes meanwhile.
pub const ATTEMPTS: u32 = 3;

/// Reads the store in a folder.
#[derive(Debug)]
pub struct Looker {
    folder: PathBuf,
    /// Of its journals.
    pub reader: Reader,
}

impl Looker {
    /// Of the store in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), reader: Reader::that_only_looks(folder.join("journals")) }
    }

    /// The rows of the index, newest first, and how many cannot be read.
    pub fn entries(&self) -> Result<(Vec<Entry>, usize), StoreError> {
        let (mut entries, damaged) = self.index((Vec::new(), 0), index::all)?;
        entries.sort_by_key(|entry| std::cmp::Reverse((entry.started_at, entry.session)));
        Ok((entries, damaged))
    }

    /// The session of `org` whose id begins with `prefix`.
    pub fn find(&self, org: &str, prefix: &str) -> Result<SessionId, FindError> {
        let range = row::prefix_range(prefix)?;
        let ids = self.index(Vec::new(), |read| index::ids(read, org, range))?;
        row::only_one(prefix, ids.into_iter())
    }

    /// Reads a session to its end, or to what is damaged first, and says how many records are as they were written. `entry` is then the row as it
    /// was when they were read; `None` when the session was removed meanwhile.
    pub fn read_all(&self, entry: &mut Entry) -> Option<(u64, Result<(), ReadError>)> {
        let mut attempt = 1;
        loop {
            let (records, read) = self.pages(entry);
            // A row is changed or removed before records are, so it tells whether they should be there.
            let now = match &read {
                Err(ReadError::Damaged { session, .. }) if attempt < ATTEMPTS => {
                    self.index(None, |read| index::Entry::get(read, *session))
                }
                _ => return Some((records, read)),
            };
            match now {
                Ok(None) => return None,
                Ok(Some(now)) if now != *entry => {
                    *entry = now;
                    self.reader.look_again();
                    attempt += 1;
                }
                Ok(Some(_)) | Err(_) => return Some((records, read)),
            }
        }
    }

    fn pages(&self, entry: &Entry) -> (u64, Result<(), ReadError>) {
        let mut from = Seq(0);
        loop {
            match self.reader.read(&entry.records(), from, READ_PAGE) {
                Ok(page) => {
                    from = Seq(from.0 + page.len() as u64);
                    if page.len() < READ_PAGE {
                        return (from.0, Ok(()));
                    }
                }
                Err(error) => {
                    let intact = if let ReadError::Damaged { seq, .. } = &error { seq.0 } else { from.0 };
                    return (intact, Err(error));
                }
            }
        }
    }

    /// The process that has a session, or had it when it died, and whether it lives.
    pub fn owner(&self, entry: &Entry) -> Option<(u32, bool)> {
        let journal = entry.segments.last().map_or(0, |segment| segment.journal);
        let holds = |holder: super::lock::Holder| holder.holds(&journal::lock_of(&self.folder.join("journals"), journal));
        entry.owner.map(|holder| (holder.pid, holds(holder)))
    }

    /// Puts into the row what an owner who died could not. False where he died before the session began.
    pub fn settle(&self, entry: &mut Entry) -> bool {
        if self.owner(entry).is_none_or(|(_, lives)| lives) {
            return true;
        }
        match self.reader.tail(&entry.records(), true) {
            Ok(tail) if tail.length == Seq(0) => false,
            Ok(tail) => {
                entry.ends_with(tail.last.as_ref());
                entry.owner = None;
                true
            }
            Err(_) => true,
        }
    }

    /// What `work` finds in the catalog; `absent` where there is nothing yet.
    fn index<T>(&self, absent: T, work: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let path = self.folder.join("catalog.redb");
        if !path.exists() {
            let lost = !journal::numbers(&self.folder.join("journals"))?.is_empty();
            let why = "it is lost; `synod sessions` makes it again from the journals";
            return if lost { Err(CATALOG.damaged(&path, why)) } else { Ok(absent) };
        }
        let (db, _) = CATALOG.look(&path, &self.folder.join("catalog.lock"))?;
        CATALOG.guarded(&path, || match work(&db.begin_read()?) {
            Err(redb::Error::TableDoesNotExist(_)) => Ok(absent),
            found => found,
        })
    }
}

/// So that each journal is opened once if that can be: the sessions of one after those of another, in the order in which journals come first.
pub fn by_journal(entries: &mut [Entry]) {
    let of = |entry: &Entry| entry.segments.last().map(|segment| segment.journal);
    let mut ranks = std::collections::BTreeMap::new();
    for entry in entries.iter() {
        let next = ranks.len();
        ranks.entry(of(entry)).or_insert(next);
    }
    entries.sort_by_key(|entry| ranks.get(&of(entry)).copied());
}
