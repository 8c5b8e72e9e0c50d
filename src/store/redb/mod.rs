//! Where do sessions live that outlast their process? A [`RedbStore`]: a folder that any number of processes of one machine share.
//!
//! ```text
//! .synod/
//!   .gitignore          *
//!   catalog.redb        session index, claims, inboxes: every process reads and writes it
//!   catalog.lock        who writes it now
//!   catalog.next        who writes it next
//!   journals/0001.redb  records and blobs: one process writes, any may read
//!   journals/0001.lock  who writes it
//! ```
//!
//! `codec` and `blob` say what a record looks like, `journal` and `queue` how records get to the disk, `read` how they come back, `catalog`,
//! `index` and `indexer` how sessions are found, `rebuild` what becomes of a lost index, `retain` how sessions are removed, `lock` how processes know
//! of each other, `watch` how one learns what another left for it, `disk` what must be synced, `look`, `examine` and `verify` what is wrong without
//! a change to anything, and `file` and `quiet` what to make of a file that is not what it should be.
//!
//! A session may be claimed when its row has no owner, or an owner that is dead: his lock is free, or somebody else's by now. A dead
//! owner cannot come back, so what he wrote is final; the claim counts it, and its segment begins there.

mod blob;
mod catalog;
mod claims;
mod codec;
mod disk;
mod examine;
#[cfg(test)]
pub(crate) mod faults;
mod file;
mod index;
mod indexer;
mod journal;
mod lock;
mod look;
mod queue;
mod quiet;
mod read;
mod rebuild;
mod retain;
#[cfg(test)]
mod tests;
mod verify;
mod watch;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

pub use examine::{Examined, JournalFound, examine};
use redb::ReadTransaction;
pub use retain::{Compacted, Removal, Retention, removable};
pub use verify::{Unread, Verified, look_up, verify};

use self::{
    catalog::Catalog,
    claims::{Claims, Held},
    file::io_error,
    index::{Entry, Taken},
    indexer::Indexer,
    journal::Journal,
    lock::Holder,
    read::{Reader, Segment},
    watch::Watch,
};
use super::{
    AppendError, Claim, ClaimError, Closing, Filter, FindError, InboxItem, Mail, MailId, NewSession, Owner, PostError, READ_PAGE,
    ReadError, Release, SessionRow, Store, StoreError, Ticket, row,
};
use crate::{
    event::{Record, Status},
    value::{Epoch, Seq, SessionId},
};

/// A store in a folder, made when the first session is. Dropping it waits until all that was appended is on the disk.
#[derive(Debug)]
pub struct RedbStore {
    folder: PathBuf,
    journals: PathBuf,
    catalog: Arc<Catalog>,
    reader: Reader,
    // The fields below are dropped in this order: the catalog is closed before the journals' locks go.
    #[expect(dead_code, reason = "it is held, not used")]
    watch: Watch,
    indexer: Indexer,
    claims: Arc<Claims>,
    /// Where new claims write.
    current: Mutex<Option<Arc<Journal>>>,
    /// One claim at a time is taken over.
    claiming: Mutex<()>,
}

impl RedbStore {
    /// The store in `folder`. Nothing is made or opened yet.
    ///
    /// # Errors
    /// There is something else at `folder`, or no thread can be started.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let folder = folder.into();
        if folder.exists() && !folder.is_dir() {
            return Err(io_error(&folder, &std::io::ErrorKind::NotADirectory.into()));
        }
        let catalog = Arc::new(Catalog::new(&folder));
        let claims = Arc::<Claims>::default();
        let journals = folder.join("journals");
        Ok(Self {
            reader: Reader::new(journals.clone()),
            journals,
            watch: Watch::start(Arc::clone(&catalog), Arc::clone(&claims))?,
            indexer: Indexer::start(Arc::clone(&catalog))?,
            catalog,
            claims,
            current: Mutex::new(None),
            claiming: Mutex::new(()),
            folder,
        })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder and what belongs in it; `first` adds to the rows that the catalog begins with.
    fn make(&self, first: impl FnOnce(&mut Vec<Entry>) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let is_new = !self.folder.exists();
        fs::create_dir_all(&self.journals).map_err(|e| io_error(&self.journals, &e))?;
        let ignore = self.folder.join(".gitignore");
        fs::write(&ignore, "*\n").map_err(|e| io_error(&ignore, &e))?;
        if is_new {
            // Its own name must survive a power failure as well. Who may not list the folder that it is in cannot see to that.
            let path = std::path::absolute(&self.folder).map_err(|e| io_error(&self.folder, &e))?;
            if path.parent().is_some_and(|parent| fs::read_dir(parent).is_ok()) {
                file::sync_folder_of(&path)?;
            }
        }
        self.catalog.make(|| {
            let owns_none = |holder| self.claims.journal_of(holder).is_some() && !self.claims.holds_any();
            let mut entries = rebuild::entries(&self.journals, &self.reader, owns_none)?;
            first(&mut entries)?;
            Ok(entries)
        })
    }

    /// What `work` finds in the catalog, `absent` where there is nothing yet. A lost catalog is made again first.
    fn index<T>(&self, absent: T, work: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        if !self.catalog.exists() && !journal::numbers(&self.journals)?.is_empty() {
            self.make(|_| Ok(()))?;
        }
        self.catalog.read(absent, work)
    }

    /// The journal for a new claim.
    fn journal(&self) -> Result<Arc<Journal>, StoreError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(journal) = current.as_ref().filter(|journal| journal.has_room()) {
            return Ok(Arc::clone(journal));
        }
        fs::create_dir_all(&self.journals).map_err(|e| io_error(&self.journals, &e))?;
        let journal = Arc::new(Journal::take(&self.journals)?);
        self.claims.writes_to(&journal);
        *current = Some(Arc::clone(&journal));
        Ok(journal)
    }

    fn entry(&self, session: SessionId) -> Result<Option<Entry>, StoreError> {
        self.index(None, |read| Entry::get(read, session))
    }

    /// Who has the session of `entry`.
    fn owner(&self, entry: &Entry) -> Owner {
        let Some(holder) = entry.owner else { return Owner::Nobody };
        if self.claims.journal_of(holder).is_some() {
            let held = self.claims.is_held(entry.session);
            return if held { Owner::Live { pid: holder.pid } } else { Owner::Dead };
        }
        let number = entry.segments.last().map_or(0, |segment| segment.journal);
        let lock = journal::lock_of(&self.journals, number);
        if holder.holds(&lock) { Owner::Live { pid: holder.pid } } else { Owner::Dead }
    }

    /// A row as it really is: what a dead owner could not write into the index any more is read from its journal. `None` where he
    /// died before the first record was durable: the session never began, and the index forgets it. `names` has those of journals.
    fn shown(&self, mut entry: Entry, names: &mut BTreeMap<Option<u32>, Arc<str>>) -> Option<SessionRow> {
        let mut owner = self.owner(&entry);
        let is_ours = entry.owner.is_some_and(|holder| self.claims.journal_of(holder).is_some());
        if owner == Owner::Dead && !is_ours {
            match self.reader.tail(&entry.records(), true) {
                Ok(tail) if tail.length == Seq(0) => {
                    self.indexer.forget(entry.session, entry.epoch);
                    return None;
                }
                Ok(tail) => {
                    entry.ends_with(tail.last.as_ref());
                    entry.owner = None;
                    owner = Owner::Nobody;
                    self.indexer.repair(entry.clone());
                }
                Err(error) => tracing::warn!(%error, "a session whose owner died cannot be read"),
            }
        }
        let number = entry.segments.last().map(|segment| segment.journal);
        let journal = names.entry(number).or_insert_with(|| number.map_or_else(String::new, name_of).into());
        Some(entry.into_row(owner, Arc::clone(journal)))
    }
}

/// The file of a journal, as it is shown.
fn name_of(number: u32) -> String {
    format!("journals/{number:04}.redb")
}

impl Drop for RedbStore {
    /// Writes what waits, then lets all files be closed side by side.
    fn drop(&mut self) {
        self.indexer.flush();
        if let Some(journal) = &*self.current.lock().unwrap_or_else(PoisonError::into_inner) {
            journal.close();
        }
    }
}

impl Store for RedbStore {
    fn create(&self, new: NewSession) -> Result<Claim, ClaimError> {
        let session = new.session;
        if self.claims.is_held(session) {
            return Err(ClaimError::Exists(session));
        }
        match self.index(None, |read| index::taken(read, session))? {
            None => {}
            Some(Taken::There) => return Err(ClaimError::Exists(session)),
            Some(Taken::Removed(number)) => {
                let pid = Holder::now(&journal::lock_of(&self.journals, number));
                return Err(ClaimError::Removed { session, journal: journal::path_of(&self.journals, number), pid });
            }
        }
        let mut first = None;
        if !self.catalog.exists() {
            // The row of the first session is made with the catalog.
            self.make(|entries| {
                let journal = self.journal()?;
                entries.push(Entry::new(new.clone(), journal.holder(), journal.number));
                first = Some(journal);
                Ok(())
            })?;
        }
        let (journal, row) = if let Some(journal) = first {
            (journal, None)
        } else {
            let journal = self.journal()?;
            let row = self.indexer.create(Entry::new(new, journal.holder(), journal.number));
            (journal, Some(row))
        };
        Ok(self.claims.hold(session, Epoch(1), journal, (Seq(0), codec::genesis(session)), row))
    }

    fn claim(&self, session: SessionId) -> Result<Claim, ClaimError> {
        let _one_at_a_time = self.claiming.lock().unwrap_or_else(PoisonError::into_inner);
        if self.claims.is_held(session) {
            return Err(ClaimError::Owned { session, pid: std::process::id() });
        }
        // What an earlier claim of this process left behind comes first.
        self.indexer.flush();
        let seen = self.entry(session)?.ok_or(ClaimError::Unknown(session))?;
        if let Owner::Live { pid } = self.owner(&seen) {
            return Err(ClaimError::Owned { session, pid });
        }
        if let Some(journal) = seen.owner.and_then(|holder| self.claims.journal_of(holder)) {
            journal.flush();
        }
        let tail = self.reader.tail(&seen.records(), false)?;
        let journal = self.journal()?;
        let mut entry = seen.clone();
        entry.epoch = seen.epoch.next();
        entry.owner = Some(journal.holder());
        entry.stands(Closing { status: Status::Running, at: seen.started_at });
        entry.length = tail.length;
        entry.segments.retain(|segment| segment.from < tail.length);
        entry.segments.push(Segment { epoch: entry.epoch, journal: journal.number, from: tail.length });
        if !self.catalog.write(|tables| tables.replace(seen.epoch, &entry))? {
            return Err(ClaimError::Raced(session));
        }
        Ok(self.claims.hold(session, entry.epoch, journal, (tail.length, tail.link), None))
    }

    fn append(&self, claim: &Claim, expected: Seq, records: &[Record]) -> Result<Ticket, AppendError> {
        let fenced = AppendError::Fenced { session: claim.session(), epoch: claim.epoch() };
        claim.state::<Held>().ok_or(fenced)?.append(expected, records)
    }

    fn read(&self, session: SessionId, from: Seq, max: usize) -> Result<Vec<Record>, ReadError> {
        let row = || self.entry(session).map_err(|source| ReadError::Store { session, source });
        let mut seen = row()?;
        for attempt in 1.. {
            let Some(entry) = &seen else { break };
            match self.reader.read(&entry.records(), from, max.min(READ_PAGE)) {
                // A row is changed or removed before records are, so it tells whether they should be there.
                Err(error @ ReadError::Damaged { .. }) => {
                    let now = row()?;
                    if attempt >= look::ATTEMPTS || now == seen {
                        return Err(error);
                    }
                    seen = now;
                }
                read => return read,
            }
        }
        // A session that was just made here has no row yet, and no durable record either.
        if self.claims.is_held(session) { Ok(Vec::new()) } else { Err(ReadError::Unknown(session)) }
    }

    fn release(&self, claim: Claim, closing: Closing) -> Release {
        let Some(close) = claim.state::<Held>().and_then(|held| held.let_go(closing)) else {
            return Release::ready(Err(AppendError::Fenced { session: claim.session(), epoch: claim.epoch() }));
        };
        self.indexer.close(close)
    }

    fn list(&self, filter: &Filter) -> Result<Vec<SessionRow>, StoreError> {
        let entries = self.index(Vec::new(), |read| Entry::list(read, filter))?;
        let mut names = BTreeMap::new();
        Ok(entries.into_iter().filter_map(|entry| self.shown(entry, &mut names)).collect())
    }

    fn row(&self, session: SessionId) -> Result<SessionRow, FindError> {
        let row = self.entry(session)?.and_then(|entry| self.shown(entry, &mut BTreeMap::new()));
        row.ok_or_else(|| FindError::Unknown(session.to_string().into()))
    }

    fn find(&self, org: &str, prefix: &str) -> Result<SessionId, FindError> {
        let range = row::prefix_range(prefix)?;
        let ids = self.index(Vec::new(), |read| index::ids(read, org, range))?;
        Ok(self.row(row::only_one(prefix, ids.into_iter())?)?.session)
    }

    fn post(&self, session: SessionId, item: InboxItem) -> Result<(), PostError> {
        if self.entry(session)?.is_none() {
            return Err(PostError::Unknown(session));
        }
        self.catalog.write(|tables| tables.post(session, &item))??;
        self.claims.ring(&[session]);
        Ok(())
    }

    fn poll(&self, claim: &Claim) -> Result<Vec<Mail>, StoreError> {
        let Some(held) = claim.state::<Held>() else { return Ok(Vec::new()) };
        held.poll(|polled| self.catalog.read(Vec::new(), |read| index::mail(read, claim.session(), polled)))
    }

    fn ack(&self, claim: &Claim, mail: MailId, after: Ticket) {
        self.indexer.ack(claim.session(), mail, after);
    }
}
