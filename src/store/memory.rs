//! Where do sessions live that nobody resumes? A [`MemoryStore`]: for tests, simulations and runs that leave no trace.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{
    AppendError, Bell, Claim, ClaimError, Closing, Filter, FindError, INBOX_LIMIT, InboxItem, Mail, MailId, NewSession, Owner,
    PostError, READ_PAGE, ReadError, Release, SessionRow, Store, StoreError, Ticket, row, row::prefix_range,
};
use crate::{
    event::{Record, Status},
    value::{Epoch, Seq, SessionId},
};

/// A store that ends with the process. Everything in it is durable at once.
#[derive(Debug, Default)]
pub struct MemoryStore {
    sessions: Mutex<BTreeMap<SessionId, Session>>,
}

#[derive(Debug)]
struct Session {
    row: SessionRow,
    records: Vec<Record>,
    inbox: BTreeMap<MailId, InboxItem>,
    next_mail: MailId,
    /// What the owner's claim holds on to.
    held: Weak<Held>,
}

#[derive(Debug)]
struct Held {
    bell: Bell,
    state: Mutex<HeldState>,
}

#[derive(Debug, Default)]
struct HeldState {
    /// An append failed.
    dead: bool,
    /// The mail that was handed out.
    polled: Option<MailId>,
}

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SessionId, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn create(&self, new: NewSession) -> Result<Claim, ClaimError> {
        let mut sessions = self.lock();
        if sessions.contains_key(&new.session) {
            return Err(ClaimError::Exists(new.session));
        }
        let held = Held::new();
        let session = Session {
            row: SessionRow {
                session: new.session,
                tenant: new.tenant,
                team: new.team,
                task: row::shown(&new.task),
                status: Status::Running,
                owner: Owner::Nobody,
                started_at: new.started_at,
                completed_at: None,
                epoch: Epoch(1),
                journal: Arc::from(""),
            },
            records: Vec::new(),
            inbox: BTreeMap::new(),
            next_mail: MailId(0),
            held: Arc::downgrade(&held),
        };
        sessions.insert(new.session, session);
        Ok(Claim::new(new.session, Epoch(1), Seq(0), held.bell.clone(), held))
    }

    fn claim(&self, session: SessionId) -> Result<Claim, ClaimError> {
        let mut sessions = self.lock();
        let found = sessions.get_mut(&session).ok_or(ClaimError::Unknown(session))?;
        if found.is_held() {
            return Err(ClaimError::Owned { session, pid: std::process::id() });
        }
        let held = Held::new();
        found.held = Arc::downgrade(&held);
        found.row.epoch = found.row.epoch.next();
        found.row.status = Status::Running;
        found.row.completed_at = None;
        Ok(Claim::new(session, found.row.epoch, Seq(found.records.len() as u64), held.bell.clone(), held))
    }

    fn append(&self, claim: &Claim, expected: Seq, records: &[Record]) -> Result<Ticket, AppendError> {
        let session = claim.session();
        let fenced = || AppendError::Fenced { session, epoch: claim.epoch() };
        let held = claim.state::<Held>().ok_or_else(fenced)?;
        let mut sessions = self.lock();
        let found = sessions.get_mut(&session).ok_or_else(fenced)?;
        let mut state = held.lock();
        if state.dead || found.row.epoch != claim.epoch() {
            return Err(fenced());
        }
        row::check_order(session, Seq(found.records.len() as u64), expected, records).inspect_err(|_| state.dead = true)?;
        found.records.extend_from_slice(records);
        Ok(Ticket::ready(Ok(())))
    }

    fn read(&self, session: SessionId, from: Seq, max: usize) -> Result<Vec<Record>, ReadError> {
        let sessions = self.lock();
        let found = sessions.get(&session).ok_or(ReadError::Unknown(session))?;
        Ok(found.records.iter().skip(from.index()).take(max.min(READ_PAGE)).cloned().collect())
    }

    fn release(&self, claim: Claim, closing: Closing) -> Release {
        let session = claim.session();
        let fenced = AppendError::Fenced { session, epoch: claim.epoch() };
        let mut sessions = self.lock();
        let Some(found) = sessions.get_mut(&session).filter(|found| found.row.epoch == claim.epoch()) else {
            return Release::ready(Err(fenced));
        };
        if claim.state::<Held>().is_none_or(|held| held.lock().dead) {
            return Release::ready(Err(fenced));
        }
        found.held = Weak::new();
        found.row.status = closing.status;
        found.row.completed_at = closing.status.is_over().then_some(closing.at);
        Release::ready(Ok(!found.inbox.is_empty()))
    }

    fn list(&self, filter: &Filter) -> Result<Vec<SessionRow>, StoreError> {
        let wanted =
            |row: &SessionRow| row.tenant.org == filter.org && filter.user.as_ref().is_none_or(|user| *user == row.tenant.user);
        let mut rows: Vec<_> = self.lock().values().map(Session::row).filter(wanted).collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.started_at, row.session)));
        rows.truncate(filter.limit);
        Ok(rows)
    }

    fn row(&self, session: SessionId) -> Result<SessionRow, FindError> {
        self.lock().get(&session).map(Session::row).ok_or_else(|| FindError::Unknown(session.to_string().into()))
    }

    fn find(&self, org: &str, prefix: &str) -> Result<SessionId, FindError> {
        let range = prefix_range(prefix)?;
        let sessions = self.lock();
        let ids = sessions.range(range).filter(|(_, found)| &*found.row.tenant.org == org).map(|(id, _)| *id);
        row::only_one(prefix, ids)
    }

    fn post(&self, session: SessionId, item: InboxItem) -> Result<(), PostError> {
        let mut sessions = self.lock();
        let found = sessions.get_mut(&session).ok_or(PostError::Unknown(session))?;
        if found.row.status.is_over() {
            return Err(PostError::Over { session, status: found.row.status });
        }
        if found.inbox.len() >= INBOX_LIMIT {
            return Err(PostError::Full(session));
        }
        let id = found.next_mail;
        found.next_mail = MailId(id.0 + 1);
        found.inbox.insert(id, item);
        if let Some(held) = found.held.upgrade() {
            held.bell.ring();
        }
        Ok(())
    }

    fn poll(&self, claim: &Claim) -> Result<Vec<Mail>, StoreError> {
        let sessions = self.lock();
        let (Some(found), Some(held)) = (sessions.get(&claim.session()), claim.state::<Held>()) else { return Ok(Vec::new()) };
        let mut state = held.lock();
        if state.dead || found.row.epoch != claim.epoch() {
            return Ok(Vec::new());
        }
        let fresh = found.inbox.iter().filter(|(id, _)| state.polled.is_none_or(|polled| **id > polled));
        let mail: Vec<_> = fresh.map(|(id, item)| Mail { id: *id, item: item.clone() }).collect();
        state.polled = mail.last().map(|mail| mail.id).or(state.polled);
        Ok(mail)
    }

    fn ack(&self, claim: &Claim, mail: MailId, after: Ticket) {
        if after.outcome().is_some_and(|outcome| outcome.is_ok())
            && let Some(found) = self.lock().get_mut(&claim.session())
        {
            found.inbox.remove(&mail);
        }
    }
}

impl Session {
    /// Whether the last claim is still in somebody's hands.
    fn is_held(&self) -> bool {
        self.held.upgrade().is_some_and(|held| !held.lock().dead)
    }

    fn row(&self) -> SessionRow {
        let owner = if self.is_held() { Owner::Live { pid: std::process::id() } } else { Owner::Nobody };
        SessionRow { owner, ..self.row.clone() }
    }
}

impl Held {
    fn new() -> Arc<Self> {
        Arc::new(Self { bell: Bell::new(), state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, HeldState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
