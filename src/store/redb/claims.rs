//! What does this process own? Its [`Claims`], and for each what the next record follows.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    codec::{self, Link},
    indexer::Close,
    journal::{Append, Journal},
    lock::Holder,
};
use crate::{
    event::Record,
    store::{AppendError, Bell, Claim, Closing, Mail, MailId, StoreError, Ticket, row::check_order},
    value::{Epoch, Seq, SessionId},
};

/// The claims of this process, and the journals that it writes.
#[derive(Debug, Default)]
pub struct Claims {
    held: Mutex<All>,
    /// The first claim came, or the store is closed.
    changed: Condvar,
    journals: Mutex<Vec<Weak<Journal>>>,
}

#[derive(Debug, Default)]
struct All {
    by_session: BTreeMap<SessionId, Weak<Held>>,
    closed: bool,
}

/// What goes with a claim.
#[derive(Debug)]
pub struct Held {
    session: SessionId,
    epoch: Epoch,
    bell: Bell,
    journal: Arc<Journal>,
    /// The index row of a new session.
    row: Option<Arc<Ticket>>,
    /// Set by the journal when an append failed.
    dead: Arc<AtomicBool>,
    end: Mutex<End>,
    claims: Arc<Claims>,
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
    /// A claim on a session that ends at `length` with `link`. It is known here for as long as it lives.
    pub fn hold(
        self: &Arc<Self>,
        session: SessionId,
        epoch: Epoch,
        journal: Arc<Journal>,
        (length, link): (Seq, Link),
        row: Option<Ticket>,
    ) -> Claim {
        let end = End { length, link, last: None, closed: false, polled: MailId(0) };
        let held = Arc::new(Held {
            session,
            epoch,
            bell: Bell::new(),
            journal,
            row: row.map(Arc::new),
            dead: Arc::default(),
            end: Mutex::new(end),
            claims: Arc::clone(self),
        });
        let mut all = lock(&self.held);
        all.by_session.insert(session, Arc::downgrade(&held));
        if all.by_session.len() == 1 {
            self.changed.notify_all();
        }
        drop(all);
        Claim::new(session, epoch, length, held.bell.clone(), held)
    }

    /// Whether somebody in this process may append to `session`.
    pub fn is_held(&self, session: SessionId) -> bool {
        let held = lock(&self.held).get(session);
        held.is_some_and(|held| held.is_alive())
    }

    /// Whether somebody in this process may append to any session.
    pub fn holds_any(&self) -> bool {
        // None may be dropped under the lock.
        let held: Vec<_> = lock(&self.held).by_session.values().filter_map(Weak::upgrade).collect();
        held.iter().any(|held| held.is_alive())
    }

    /// Waits until there are claims, and so long; true when there still are, false when no more are to come.
    pub fn wait(&self, pause: Duration) -> bool {
        let mut all = lock(&self.held);
        loop {
            let none = |all: &mut All| all.by_session.is_empty() && !all.closed;
            all = self.changed.wait_while(all, none).unwrap_or_else(PoisonError::into_inner);
            let waited = self.changed.wait_timeout_while(all, pause, |all| !all.closed);
            all = waited.unwrap_or_else(PoisonError::into_inner).0;
            if all.closed || !all.by_session.is_empty() {
                return !all.closed;
            }
        }
    }

    /// No more claims are to come.
    pub fn close(&self) {
        lock(&self.held).closed = true;
        self.changed.notify_all();
    }

    /// Rings for those of `sessions` that this process has.
    pub fn ring(&self, sessions: &[SessionId]) {
        for session in sessions {
            let held = lock(&self.held).get(*session);
            if let Some(held) = held {
                held.bell.ring();
            }
        }
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

impl All {
    /// What is dropped last of it must not be dropped under the lock.
    fn get(&self, session: SessionId) -> Option<Arc<Held>> {
        self.by_session.get(&session)?.upgrade()
    }
}

impl Held {
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

impl Drop for Held {
    fn drop(&mut self) {
        let mut all = lock(&self.claims.held);
        // A newer claim of the same session stays.
        if all.by_session.get(&self.session).is_some_and(|held| held.strong_count() == 0) {
            all.by_session.remove(&self.session);
        }
    }
}

/// What these locks guard is whole at every moment, so a panic elsewhere does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::lock;
    use crate::store::{
        ClaimError, RedbStore, Store,
        conformance::{new_session, park, records},
    };
    use crate::value::Seq;

    #[test]
    fn nothing_is_kept_of_claims_that_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let store = RedbStore::open(folder.path().join(".synod")).unwrap();
        let count = || lock(&store.claims.held).by_session.len();
        let mut claims: Vec<_> = (0..10).map(|_| store.create(new_session()).unwrap()).collect();
        assert_eq!(count(), 10);
        let (released, dropped) = (claims.remove(0), claims.remove(0));
        let session = released.session();
        store.append(&released, Seq(0), &records(0, 1)).unwrap();
        store.release(released, park()).wait().unwrap();
        drop(dropped);
        assert_eq!(count(), 8);
        // An earlier claim that goes leaves a newer one alone.
        let earlier = claims.remove(0);
        assert!(store.append(&earlier, Seq(9), &records(9, 1)).is_err());
        store.append(&claims[0], Seq(0), &records(0, 1)).unwrap().wait().unwrap();
        let newer = store.claim(earlier.session()).unwrap();
        drop(earlier);
        assert!(matches!(store.claim(newer.session()), Err(ClaimError::Owned { .. })));
        let parked = store.claim(session).unwrap();
        assert_eq!(count(), 9);
        drop((claims, newer, parked));
        assert_eq!(count(), 0);
    }
}
