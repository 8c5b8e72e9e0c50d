//! What does the catalog say of a session? An [`Entry`], and the rows that are kept of it.

use std::{collections::BTreeSet, sync::Arc};

use redb::{ReadTransaction, ReadableTable, Table, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{
    catalog::{COUNTERS, GONE, INBOX, KEYS, SESSIONS},
    codec::from_bytes,
    lock::Holder,
    read::{Extent, Segment},
    retain::Gone,
};
use crate::{
    event::{Event, Record, Status},
    store::{Closing, Filter, INBOX_LIMIT, InboxItem, Mail, MailId, NewSession, Owner, PostError, SessionRow, row::shown},
    value::{Epoch, Seq, SessionId, Tenant, Timestamp},
};

/// A session as the catalog keeps it. New fields come last and have defaults; none is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Which.
    pub session: SessionId,
    /// Whose.
    pub tenant: Tenant,
    /// The team as it was named.
    pub team: Arc<str>,
    /// The beginning of the task.
    pub task: Arc<str>,
    /// As it was when last written.
    pub status: Status,
    /// When it started.
    pub started_at: Timestamp,
    /// When it was over.
    pub completed_at: Option<Timestamp>,
    /// The newest claim.
    pub epoch: Epoch,
    /// Who has it, if it was not released; his journal is the last segment's.
    pub owner: Option<Holder>,
    /// It has at least so many records: fewer are damage.
    pub length: Seq,
    /// Where its records are, one stretch for each claim that wrote any, and for the newest.
    pub segments: Vec<Segment>,
}

type Key = (&'static str, &'static str, u64, u128);
type Place = (&'static str, &'static str, u64);

/// The tables of the index within one change of the catalog.
pub struct Tables<'change> {
    sessions: Table<'change, Key, &'static [u8]>,
    keys: Table<'change, u128, Place>,
    inbox: Table<'change, (u128, u64), &'static [u8]>,
    counters: Table<'change, &'static str, u64>,
    gone: Table<'change, (u128, u32), ()>,
}

impl<'change> Tables<'change> {
    /// Those of `write`.
    pub fn open(write: &'change WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            sessions: write.open_table(SESSIONS)?,
            keys: write.open_table(KEYS)?,
            inbox: write.open_table(INBOX)?,
            counters: write.open_table(COUNTERS)?,
            gone: write.open_table(GONE)?,
        })
    }

    /// Adds a session, unless there is one of its id, or records of one that was removed.
    pub fn add(&mut self, entry: &Entry) -> Result<bool, redb::Error> {
        let is_known = self.keys.get(entry.session.0.as_u128())?.is_some();
        let is_new = !is_known && self.gone.range(gone_from(entry.session))?.next().is_none();
        if is_new {
            self.put(entry)?;
        }
        Ok(is_new)
    }

    /// Writes the entry in place of the one of `epoch`, unless somebody has claimed the session since. Whoever finds an owner dead may do
    /// so: within an epoch nothing else can happen any more.
    pub fn replace(&mut self, epoch: Epoch, entry: &Entry) -> Result<bool, redb::Error> {
        let same = self.get(entry.session)?.is_some_and(|now| now.epoch == epoch);
        if same {
            self.put(entry)?;
        }
        Ok(same)
    }

    /// Removes a session with its mail, unless somebody has claimed it since.
    pub fn forget(&mut self, session: SessionId, epoch: Epoch) -> Result<(), redb::Error> {
        let Some(entry) = self.get(session)?.filter(|entry| entry.epoch == epoch) else { return Ok(()) };
        let id = session.0.as_u128();
        self.sessions.remove((&*entry.tenant.org, &*entry.tenant.user, backwards(entry.started_at), id))?;
        self.keys.remove(id)?;
        self.inbox.retain_in(mails(session, 0), |_, _| false)?;
        Ok(())
    }

    /// Removes the session of `entry` with its mail, and notes where its records are to be swept. Not if somebody has claimed it since.
    pub fn remove(&mut self, entry: &Entry) -> Result<bool, redb::Error> {
        if self.get(entry.session)?.is_none_or(|now| now != *entry) {
            return Ok(false);
        }
        self.forget(entry.session, entry.epoch)?;
        for segment in &entry.segments {
            self.gone.insert((entry.session.0.as_u128(), segment.journal), ())?;
        }
        Ok(true)
    }

    /// Forgets that records of `gone` are in a journal: they are not, any more.
    pub fn swept(&mut self, journal: u32, gone: &BTreeSet<SessionId>) -> Result<(), redb::Error> {
        for session in gone {
            self.gone.remove((session.0.as_u128(), journal))?;
        }
        Ok(())
    }

    /// Gives a session of `length` records back; says whether mail is waiting. `None`: it has a newer claim.
    pub fn close(
        &mut self,
        session: SessionId,
        epoch: Epoch,
        length: Seq,
        closing: Closing,
    ) -> Result<Option<bool>, redb::Error> {
        let Some(mut entry) = self.get(session)?.filter(|entry| entry.epoch == epoch) else { return Ok(None) };
        entry.owner = None;
        entry.length = length;
        entry.stands(closing);
        self.put(&entry)?;
        Ok(Some(self.inbox.range(mails(session, 0))?.next().is_some()))
    }

    /// Puts `item` into the inbox of `session`.
    pub fn post(&mut self, session: SessionId, item: &InboxItem) -> Result<Result<(), PostError>, redb::Error> {
        let Some(entry) = self.get(session)? else { return Ok(Err(PostError::Unknown(session))) };
        if entry.status.is_over() {
            return Ok(Err(PostError::Over { session, status: entry.status }));
        }
        if self.inbox.range(mails(session, 0))?.count() >= INBOX_LIMIT {
            return Ok(Err(PostError::Full(session)));
        }
        let id = self.counters.get("mail")?.map_or(0, |last| last.value()) + 1;
        self.counters.insert("mail", id)?;
        let item = rmp_serde::to_vec_named(item).map_err(|e| redb::Error::Corrupted(e.to_string()))?;
        self.inbox.insert((session.0.as_u128(), id), item.as_slice())?;
        Ok(Ok(()))
    }

    /// Removes an item.
    pub fn remove_mail(&mut self, session: SessionId, mail: MailId) -> Result<(), redb::Error> {
        self.inbox.remove((session.0.as_u128(), mail.0))?;
        Ok(())
    }

    fn get(&self, session: SessionId) -> Result<Option<Entry>, redb::Error> {
        look_up(&self.sessions, &self.keys, session)
    }

    /// Writes an entry; its tenant and its start never change.
    fn put(&mut self, entry: &Entry) -> Result<(), redb::Error> {
        let id = entry.session.0.as_u128();
        let (org, user, time) = (&*entry.tenant.org, &*entry.tenant.user, backwards(entry.started_at));
        // By position, unlike records: a list of sessions reads many, and this struct leaves no field out.
        let row = rmp_serde::to_vec(entry).map_err(|e| redb::Error::Corrupted(e.to_string()))?;
        self.sessions.insert((org, user, time, id), row.as_slice())?;
        self.keys.insert(id, (org, user, time))?;
        Ok(())
    }
}

fn look_up(
    sessions: &impl ReadableTable<Key, &'static [u8]>,
    keys: &impl ReadableTable<u128, Place>,
    session: SessionId,
) -> Result<Option<Entry>, redb::Error> {
    let id = session.0.as_u128();
    let Some(place) = keys.get(id)? else { return Ok(None) };
    let (org, user, time) = place.value();
    let Some(row) = sessions.get((org, user, time, id))? else { return Ok(None) };
    from_bytes(row.value()).map(Some).map_err(|why| redb::Error::Corrupted(format!("the row of session {session}: {why}")))
}

impl Entry {
    /// Of a session that begins in `journal`, which is written by `owner`.
    pub fn new(new: NewSession, owner: Holder, journal: u32) -> Self {
        let NewSession { session, tenant, team, task, started_at } = new;
        let epoch = Epoch(1);
        Self {
            session,
            tenant,
            team,
            task: shown(&task),
            status: Status::Running,
            started_at,
            completed_at: None,
            epoch,
            owner: Some(owner),
            length: Seq(0),
            segments: vec![Segment { epoch, journal, from: Seq(0) }],
        }
    }

    /// The entry of `session`.
    pub fn get(read: &ReadTransaction, session: SessionId) -> Result<Option<Self>, redb::Error> {
        look_up(&read.open_table(SESSIONS)?, &read.open_table(KEYS)?, session)
    }

    /// Takes over a status and, if it is over, its time.
    pub fn stands(&mut self, closing: Closing) {
        self.status = closing.status;
        self.completed_at = closing.status.is_over().then_some(closing.at);
    }

    /// Takes over where `last`, the last record that says so, leaves the session, when nobody lives to say it.
    pub fn ends_with(&mut self, last: Option<&Record>) {
        let Some(Record { at, event, .. }) = last else { return };
        let status = if let Event::Finished(finished) = event {
            finished.status
        } else if matches!(event, Event::Parked) {
            Status::Parked
        } else {
            Status::Running
        };
        self.stands(Closing { status, at: *at });
    }

    /// Where its records are to be found.
    pub fn records(&self) -> Extent<'_> {
        Extent { session: self.session, segments: &self.segments, length: self.length }
    }

    /// As others see it.
    pub fn into_row(self, owner: Owner, journal: Arc<str>) -> SessionRow {
        let Self { session, tenant, team, task, status, started_at, completed_at, epoch, .. } = self;
        SessionRow { session, tenant, team, task, status, owner, started_at, completed_at, epoch, journal }
    }

    /// The newest entries that `filter` wants.
    pub fn list(read: &ReadTransaction, filter: &Filter) -> Result<Vec<Self>, redb::Error> {
        let sessions = read.open_table(SESSIONS)?;
        let org = &*filter.org;
        let mut found = Vec::new();
        let mut keep = |row: &[u8]| match from_bytes::<Self>(row) {
            Ok(entry) => found.push(entry),
            Err(error) => tracing::warn!(error, "a damaged row of the session index is left out"),
        };
        if let Some(user) = &filter.user {
            for row in sessions.range((org, &**user, 0, 0)..=(org, &**user, u64::MAX, u128::MAX))?.take(filter.limit) {
                keep(row?.1.value());
            }
        } else {
            for row in sessions.range((org, "", 0, 0)..)? {
                let (key, row) = row?;
                if key.value().0 != org {
                    break;
                }
                keep(row.value());
            }
            found.sort_by_key(|entry| std::cmp::Reverse((entry.started_at, entry.session)));
            found.truncate(filter.limit);
        }
        Ok(found)
    }
}

/// The entries of all organizations, and how many rows are damaged.
pub fn all(read: &ReadTransaction) -> Result<(Vec<Entry>, usize), redb::Error> {
    let (mut found, mut damaged) = (Vec::new(), 0);
    for row in read.open_table(SESSIONS)?.iter()? {
        match from_bytes::<Entry>(row?.1.value()) {
            Ok(entry) => found.push(entry),
            Err(_) => damaged += 1,
        }
    }
    Ok((found, damaged))
}

/// Why there cannot be a new session of an id.
#[derive(Clone, Copy, Debug)]
pub enum Taken {
    /// There is one.
    There,
    /// One was removed, and this journal still has records of it, which would be mixed up.
    Removed(u32),
}

/// Whether there cannot be a new session of that id, and why.
pub fn taken(read: &ReadTransaction, session: SessionId) -> Result<Option<Taken>, redb::Error> {
    if read.open_table(KEYS)?.get(session.0.as_u128())?.is_some() {
        return Ok(Some(Taken::There));
    }
    let gone = match read.open_table(GONE) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        gone => gone?,
    };
    let first = gone.range(gone_from(session))?.next().transpose()?;
    Ok(first.map(|(key, _)| Taken::Removed(key.value().1)))
}

/// What was removed and is not swept yet.
pub fn gone(read: &ReadTransaction) -> Result<Gone, redb::Error> {
    let mut found = Gone::new();
    for row in read.open_table(GONE)?.iter()? {
        let (session, journal) = row?.0.value();
        found.entry(journal).or_default().insert(SessionId(uuid::Uuid::from_u128(session)));
    }
    Ok(found)
}

fn gone_from(session: SessionId) -> std::ops::RangeInclusive<(u128, u32)> {
    (session.0.as_u128(), 0)..=(session.0.as_u128(), u32::MAX)
}

/// The sessions of `org` whose ids are in `range`.
pub fn ids(read: &ReadTransaction, org: &str, range: std::ops::RangeInclusive<SessionId>) -> Result<Vec<SessionId>, redb::Error> {
    let keys = read.open_table(KEYS)?;
    let mut found = Vec::new();
    for row in keys.range(range.start().0.as_u128()..=range.end().0.as_u128())? {
        let (id, key) = row?;
        if key.value().0 == org {
            found.push(SessionId(uuid::Uuid::from_u128(id.value())));
        }
    }
    Ok(found)
}

/// What waits for the owner of `session` after item `polled`.
pub fn mail(read: &ReadTransaction, session: SessionId, polled: MailId) -> Result<Vec<Mail>, redb::Error> {
    let inbox = read.open_table(INBOX)?;
    let mut found = Vec::new();
    for row in inbox.range(mails(session, polled.0.saturating_add(1)))? {
        let (key, row) = row?;
        let item: InboxItem = from_bytes(row.value()).map_err(redb::Error::Corrupted)?;
        found.push(Mail { id: MailId(key.value().1), item });
    }
    Ok(found)
}

/// How many items were ever left, and the sessions for which some wait; `None` when there were `seen` before.
pub fn news(read: &ReadTransaction, seen: Option<u64>) -> Result<Option<(u64, Vec<SessionId>)>, redb::Error> {
    let last = read.open_table(COUNTERS)?.get("mail")?.map_or(0, |last| last.value());
    if seen == Some(last) {
        return Ok(None);
    }
    let inbox = read.open_table(INBOX)?;
    let (mut found, mut from) = (Vec::new(), 0);
    // From session to session, however much waits for each.
    while let Some(row) = inbox.range((from, 0)..)?.next() {
        let (session, _) = row?.0.value();
        found.push(SessionId(uuid::Uuid::from_u128(session)));
        let Some(next) = session.checked_add(1) else { break };
        from = next;
    }
    Ok(Some((last, found)))
}

fn mails(session: SessionId, from: u64) -> std::ops::RangeInclusive<(u128, u64)> {
    (session.0.as_u128(), from)..=(session.0.as_u128(), u64::MAX)
}

/// A time so that later ones come first.
fn backwards(time: Timestamp) -> u64 {
    !(time.0.cast_unsigned() ^ (1 << 63))
}
