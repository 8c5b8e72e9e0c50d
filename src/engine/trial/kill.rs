//! What if the program dies right now? A [`MortalStore`] keeps what was appended and lets the engine that writes it die at a position.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    event::Record,
    store::{
        AppendError, Claim, ClaimError, Closing, Filter, FindError, InboxItem, Mail, MailId, MemoryStore, NewSession, PostError,
        ReadError, Release, SessionRow, Store, StoreError, Ticket,
    },
    value::{Seq, SessionId},
};

/// When the engine dies once the record of its position is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Before what follows from the record leaves, where that waits for the record.
    Early,
    /// After all that follows from it was done, and before anything of that is on record.
    Late,
}

/// A store in memory whose writer dies once.
pub(super) struct MortalStore {
    inner: MemoryStore,
    life: Mutex<Life>,
}

struct Life {
    /// Where and when it dies; `None` once it has, or if it never does.
    dies: Option<(Seq, Moment)>,
    /// Whether nothing is written any more.
    dead: bool,
    /// The last record of each append.
    ends: Vec<Seq>,
}

impl MortalStore {
    /// One whose writer dies there, if anywhere.
    pub(super) fn new(dies: Option<(Seq, Moment)>) -> Arc<Self> {
        Arc::new(Self { inner: MemoryStore::new(), life: Mutex::new(Life { dies, dead: false, ends: Vec::new() }) })
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last record of each append: where a program can die.
    pub(super) fn ends(&self) -> Vec<Seq> {
        self.life().ends.clone()
    }

    /// Whether the writer died.
    pub(super) fn has_died(&self) -> bool {
        self.life().dead
    }

    /// Lets the next writer live for ever.
    pub(super) fn revive(&self) {
        let mut life = self.life();
        (life.dies, life.dead) = (None, false);
    }
}

impl Store for MortalStore {
    fn create(&self, new: NewSession) -> Result<Claim, ClaimError> {
        self.inner.create(new)
    }

    fn claim(&self, session: SessionId) -> Result<Claim, ClaimError> {
        self.inner.claim(session)
    }

    fn append(&self, claim: &Claim, expected: Seq, records: &[Record]) -> Result<Ticket, AppendError> {
        let fenced = || AppendError::Fenced { session: claim.session(), epoch: claim.epoch() };
        let mut life = self.life();
        let overdue = matches!(life.dies, Some((position, Moment::Late)) if expected > position && !records.is_empty());
        if life.dead || overdue {
            life.dead = true;
            return Err(fenced());
        }
        let ticket = self.inner.append(claim, expected, records)?;
        if let Some(last) = records.last() {
            life.ends.push(last.seq);
            if matches!(life.dies, Some((position, Moment::Early)) if last.seq >= position) {
                life.dead = true;
                return Ok(Ticket::ready(Err(fenced())));
            }
        }
        Ok(ticket)
    }

    fn read(&self, session: SessionId, from: Seq, max: usize) -> Result<Vec<Record>, ReadError> {
        self.inner.read(session, from, max)
    }

    fn release(&self, claim: Claim, closing: Closing) -> Release {
        self.inner.release(claim, closing)
    }

    fn list(&self, filter: &Filter) -> Result<Vec<SessionRow>, StoreError> {
        self.inner.list(filter)
    }

    fn row(&self, session: SessionId) -> Result<SessionRow, FindError> {
        self.inner.row(session)
    }

    fn find(&self, org: &str, prefix: &str) -> Result<SessionId, FindError> {
        self.inner.find(org, prefix)
    }

    fn post(&self, session: SessionId, item: InboxItem) -> Result<(), PostError> {
        self.inner.post(session, item)
    }

    fn poll(&self, claim: &Claim) -> Result<Vec<Mail>, StoreError> {
        self.inner.poll(claim)
    }

    fn ack(&self, claim: &Claim, mail: MailId, after: Ticket) {
        self.inner.ack(claim, mail, after);
    }
}
