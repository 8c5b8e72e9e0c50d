//! What does this process own? Its [`Claims`], and for each what the next record follows.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    codec::{self, Link},
    indexer::Close,
    journal::{Append, Journal},
    lock::Holder,
};
use crate::{
    event::Record,
    store::{AppendError, Closing, Mail, MailId, StoreError, Ticket, row::check_order},
    value::{Epoch, Seq, SessionId},
};

/// The claims of this process, and the journals that it writes.
#[derive(Debug, Default)]
pub struct Claims {
    held: Mutex<HashMap<SessionId, Weak<Held>>>,
    journals: Mutex<Vec<Weak<Journal>>>,
}

/// What goes with a claim.
#[derive(Debug)]
pub struct Held {
    session: SessionId,
    epoch: Epoch,
    journal: Arc<Journal>,
    /// The index row of a new session.
    row: Option<Arc<Ticket>>,
    /// Set by the journal when an append failed.
    dead: Arc<AtomicBool>,
    end: Mutex<End>,
}

/// Where the session ends.
#[derive(Debug)]
struct End {
    length: Seq,
    link: Link,
    last: Option<Ticket>,
    /// Released, or an append was refused: nothing more may be appended.
    closed: bool,
    polled: MailId,
}

impl Claims {
    /// Remembers `held` for as long as its claim lives.
    pub fn hold(&self, held: &Arc<Held>) {
        let mut all = lock(&self.held);
        // Those that are gone are swept when the map would grow, so that it stays as large as what is held.
        if all.len() == all.capacity() {
            all.retain(|_, held| held.strong_count() > 0);
        }
        all.insert(held.session, Arc::downgrade(held));
    }

    /// Whether somebody in this process may append to `session`.
    pub fn is_held(&self, session: SessionId) -> bool {
        let held = lock(&self.held).get(&session).and_then(Weak::upgrade);
        held.is_some_and(|held| held.is_alive())
    }

    /// Whether somebody in this process may append to any session.
    pub fn holds_any(&self) -> bool {
        lock(&self.held).values().filter_map(Weak::upgrade).any(|held| held.is_alive())
    }

    /// Remembers that this process writes `journal`.
    pub fn writes_to(&self, journal: &Arc<Journal>) {
        let mut journals = lock(&self.journals);
        journals.retain(|journal| journal.strong_count() > 0);
        journals.push(Arc::downgrade(journal));
    }

    /// The journal that this process writes as `holder`.
    pub fn journal_of(&self, holder: Holder) -> Option<Arc<Journal>> {
        lock(&self.journals).iter().filter_map(Weak::upgrade).find(|journal| journal.holder() == holder)
    }
}

impl Held {
    /// What goes with a claim on a session that ends at `length` with `link`.
    pub fn new(
        session: SessionId,
        epoch: Epoch,
        journal: Arc<Journal>,
        length: Seq,
        link: Link,
        row: Option<Ticket>,
    ) -> Arc<Self> {
        let end = End { length, link, last: None, closed: false, polled: MailId(0) };
        Arc::new(Self { session, epoch, journal, row: row.map(Arc::new), dead: Arc::default(), end: Mutex::new(end) })
    }

    /// Appends `records` after the others.
    pub fn append(&self, expected: Seq, records: &[Record]) -> Result<Ticket, AppendError> {
        let mut end = lock(&self.end);
        if end.closed || self.is_dead() {
            return Err(AppendError::Fenced { session: self.session, epoch: self.epoch });
        }
        let appended = self.append_to(&mut end, expected, records);
        end.closed |= appended.is_err();
        appended
    }

    fn append_to(&self, end: &mut End, expected: Seq, records: &[Record]) -> Result<Ticket, AppendError> {
        check_order(self.session, end.length, expected, records)?;
        let mut stored = Vec::with_capacity(records.len());
        for record in records {
            let failed = |why: String| AppendError::Encode { session: self.session, seq: record.seq, why: why.into() };
            let (row, link) = codec::encode(record, &end.link).map_err(failed)?;
            stored.push(row);
            end.link = link;
        }
        end.length = Seq(end.length.0 + records.len() as u64);
        if !stored.is_empty() {
            let append = Append { session: self.session, epoch: self.epoch, records: stored, dead: Arc::clone(&self.dead) };
            // Under the lock, so that appends reach the journal in order.
            end.last = Some(self.journal.append(append));
        }
        Ok(end.last.clone().unwrap_or_else(|| Ticket::ready(Ok(()))).and(self.row.clone()))
    }

    /// Ends the claim. `None` when it has ended already.
    pub fn let_go(&self, closing: Closing) -> Option<Close> {
        let mut end = lock(&self.end);
        if end.closed || self.is_dead() {
            return None;
        }
        end.closed = true;
        let (journal, after) = (Arc::clone(&self.journal), end.last.clone());
        Some(Close { session: self.session, epoch: self.epoch, length: end.length, closing, after, journal })
    }

    /// What `fetch` finds after the mail that was handed out before.
    pub fn poll(&self, fetch: impl FnOnce(MailId) -> Result<Vec<Mail>, StoreError>) -> Result<Vec<Mail>, StoreError> {
        let mut end = lock(&self.end);
        if end.closed || self.is_dead() {
            return Ok(Vec::new());
        }
        let mail = fetch(end.polled)?;
        end.polled = mail.last().map_or(end.polled, |mail| mail.id);
        Ok(mail)
    }

    fn is_alive(&self) -> bool {
        !self.is_dead() && !lock(&self.end).closed
    }

    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }
}

/// What these locks guard is whole at every moment, so a panic elsewhere does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
