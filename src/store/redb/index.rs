//! What does the catalog say of a session? An [`Entry`], and the rows that are kept of it.

use std::sync::Arc;

use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{
    catalog::{COUNTERS, INBOX, KEYS, SESSIONS},
    codec::{from_bytes, to_bytes},
    lock::Holder,
    read::Segment,
};
use crate::{
    event::Status,
    store::{Closing, Filter, INBOX_LIMIT, InboxItem, Mail, MailId, Owner, PostError, SessionRow},
    value::{Epoch, SessionId, Tenant, Timestamp},
};

/// A session as the catalog keeps it. New fields have defaults.
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
    /// Where its records are, one stretch for each claim that wrote any, and for the newest.
    pub segments: Vec<Segment>,
}

type Key = (&'static str, &'static str, u64, u128);

impl Entry {
    /// The entry of `session`, for reading.
    pub fn get(read: &ReadTransaction, session: SessionId) -> Result<Option<Self>, redb::Error> {
        Self::look_up(&read.open_table(SESSIONS)?, &read.open_table(KEYS)?, session)
    }

    /// The entry of `session`, within a change.
    pub fn get_for_change(write: &WriteTransaction, session: SessionId) -> Result<Option<Self>, redb::Error> {
        Self::look_up(&write.open_table(SESSIONS)?, &write.open_table(KEYS)?, session)
    }

    fn look_up(
        sessions: &impl ReadableTable<Key, &'static [u8]>,
        keys: &impl ReadableTable<u128, (&'static str, &'static str, u64)>,
        session: SessionId,
    ) -> Result<Option<Self>, redb::Error> {
        let id = session.0.as_u128();
        let Some(key) = keys.get(id)? else { return Ok(None) };
        let (org, user, time) = key.value();
        let Some(row) = sessions.get((org, user, time, id))? else { return Ok(None) };
        from_bytes(row.value()).map(Some).map_err(|why| redb::Error::Corrupted(format!("the row of session {session}: {why}")))
    }

    /// Writes the entry; its tenant and its start never change.
    pub fn put(&self, write: &WriteTransaction) -> Result<(), redb::Error> {
        let id = self.session.0.as_u128();
        let (org, user, time) = (&*self.tenant.org, &*self.tenant.user, backwards(self.started_at));
        let row = to_bytes(self).map_err(redb::Error::Corrupted)?;
        write.open_table(SESSIONS)?.insert((org, user, time, id), row.as_slice())?;
        write.open_table(KEYS)?.insert(id, (org, user, time))?;
        Ok(())
    }

    /// Writes the entry in place of the one of `epoch`, unless somebody has claimed the session since. Whoever finds an owner dead may do
    /// so: within an epoch nothing else can happen any more.
    pub fn replace(&self, epoch: Epoch, write: &WriteTransaction) -> Result<bool, redb::Error> {
        let same = Self::get_for_change(write, self.session)?.is_some_and(|now| now.epoch == epoch);
        if same {
            self.put(write)?;
        }
        Ok(same)
    }

    /// Gives a session back; says whether mail is waiting. `None`: it has a newer claim.
    pub fn close(
        write: &WriteTransaction,
        session: SessionId,
        epoch: Epoch,
        closing: Closing,
    ) -> Result<Option<bool>, redb::Error> {
        let Some(mut entry) = Self::get_for_change(write, session)?.filter(|entry| entry.epoch == epoch) else { return Ok(None) };
        entry.owner = None;
        entry.stands(closing);
        entry.put(write)?;
        let inbox = write.open_table(INBOX)?;
        let waiting = inbox.range(mails(session, 0))?.next().is_some();
        Ok(Some(waiting))
    }

    /// Takes over a status and, if it is over, its time.
    pub fn stands(&mut self, closing: Closing) {
        self.status = closing.status;
        self.completed_at = closing.status.is_over().then_some(closing.at);
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

/// Puts `item` into the inbox of `session`.
pub fn post(write: &WriteTransaction, session: SessionId, item: &[u8]) -> Result<Result<(), PostError>, redb::Error> {
    let Some(entry) = Entry::get_for_change(write, session)? else { return Ok(Err(PostError::Unknown(session))) };
    if entry.status.is_over() {
        return Ok(Err(PostError::Over { session, status: entry.status }));
    }
    let mut inbox = write.open_table(INBOX)?;
    if inbox.range(mails(session, 0))?.count() >= INBOX_LIMIT {
        return Ok(Err(PostError::Full(session)));
    }
    let mut counters = write.open_table(COUNTERS)?;
    let id = counters.get("mail")?.map_or(0, |last| last.value()) + 1;
    counters.insert("mail", id)?;
    inbox.insert((session.0.as_u128(), id), item)?;
    Ok(Ok(()))
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

/// Removes an item.
pub fn remove_mail(write: &WriteTransaction, session: SessionId, mail: MailId) -> Result<(), redb::Error> {
    write.open_table(INBOX)?.remove((session.0.as_u128(), mail.0))?;
    Ok(())
}

fn mails(session: SessionId, from: u64) -> std::ops::RangeInclusive<(u128, u64)> {
    (session.0.as_u128(), from)..=(session.0.as_u128(), u64::MAX)
}

/// A time so that later ones come first.
fn backwards(time: Timestamp) -> u64 {
    !(time.0.cast_unsigned() ^ (1 << 63))
}
