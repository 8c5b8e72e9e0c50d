//! What does the index say of a session? A [`SessionRow`].

use std::{fmt, ops::RangeInclusive, sync::Arc};

use uuid::Uuid;

use super::{AppendError, FindError, TASK_SHOWN};
use crate::{
    event::{Record, Status},
    value::{Epoch, Seq, SessionId, Tenant, Timestamp},
};

/// Hexadecimal digits of a session id.
const ID_DIGITS: usize = 32;

/// A session to be made.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Its id, which nobody has used.
    pub session: SessionId,
    /// Whose it is.
    pub tenant: Tenant,
    /// The team as it was named.
    pub team: Arc<str>,
    /// What is to be done, in words; the index keeps the first [`TASK_SHOWN`] characters.
    pub task: Arc<str>,
    /// When it starts.
    pub started_at: Timestamp,
}

/// How a session is given back.
#[derive(Clone, Copy, Debug)]
pub struct Closing {
    /// Parked, or one of those that are over. Any other status says that the work was broken off and can be resumed.
    pub status: Status,
    /// When; for a status that is over, the time of completion.
    pub at: Timestamp,
}

/// Who has a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody: it was released.
    Nobody,
    /// A process that is running or stopped.
    Live {
        /// Which.
        pid: u32,
    },
    /// A process that died before it gave the session back: the session was interrupted and can be resumed.
    Dead,
}

/// A session as the index has it.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRow {
    /// Which.
    pub session: SessionId,
    /// Whose.
    pub tenant: Tenant,
    /// The team as it was named.
    pub team: Arc<str>,
    /// The beginning of the task.
    pub task: Arc<str>,
    /// Where it stands: `running` from a claim until its release.
    pub status: Status,
    /// Who has it.
    pub owner: Owner,
    /// When it started.
    pub started_at: Timestamp,
    /// When it was over.
    pub completed_at: Option<Timestamp>,
    /// How often it was claimed.
    pub epoch: Epoch,
    /// The file that its newest records are in; empty for a store without files.
    pub journal: Arc<str>,
}

impl SessionRow {
    /// The time from start to completion, in milliseconds.
    pub fn duration_ms(&self) -> Option<u64> {
        let end = self.completed_at?;
        u64::try_from(end.since(self.started_at).as_millis()).ok()
    }

    /// Whether it stopped in the middle: neither parked nor over, and nobody works on it.
    pub fn is_interrupted(&self) -> bool {
        let stopped = match self.owner {
            Owner::Nobody | Owner::Dead => true,
            Owner::Live { .. } => false,
        };
        stopped && self.status != Status::Parked && !self.status.is_over()
    }
}

/// Which sessions to list.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Of which organization.
    pub org: Arc<str>,
    /// Of which of its users; `None` for all.
    pub user: Option<Arc<str>>,
    /// The most rows to return.
    pub limit: usize,
}

impl Filter {
    /// The newest `limit` sessions of one tenant.
    pub fn of(tenant: &Tenant, limit: usize) -> Self {
        Self { org: Arc::clone(&tenant.org), user: Some(Arc::clone(&tenant.user)), limit }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("nobody"),
            Self::Live { pid } => write!(f, "process {pid}"),
            Self::Dead => f.write_str("a process that died"),
        }
    }
}

/// The part of a task that the index keeps.
pub(super) fn shown(task: &str) -> Arc<str> {
    match task.char_indices().nth(TASK_SHOWN) {
        Some((end, _)) => Arc::from(&task[..end]),
        None => Arc::from(task),
    }
}

/// Whether `records` follow a session's first `length` ones without a gap.
pub(super) fn check_order(session: SessionId, length: Seq, expected: Seq, records: &[Record]) -> Result<(), AppendError> {
    let wrong = |given| Err(AppendError::Sequence { session, length, given });
    if expected != length {
        return wrong(expected);
    }
    let mut next = expected;
    for record in records {
        if record.seq != next {
            return wrong(record.seq);
        }
        next = next.next();
    }
    Ok(())
}

/// The ids that begin with `prefix`.
pub(super) fn prefix_range(prefix: &str) -> Result<RangeInclusive<SessionId>, FindError> {
    let digits: String = prefix.chars().filter(|c| *c != '-').collect();
    let is_hex = !digits.is_empty() && digits.len() <= ID_DIGITS && digits.chars().all(|c| c.is_ascii_hexdigit());
    let bound = |fill: char| {
        u128::from_str_radix(&format!("{digits}{}", fill.to_string().repeat(ID_DIGITS.saturating_sub(digits.len()))), 16)
    };
    match (is_hex, bound('0'), bound('f')) {
        (true, Ok(low), Ok(high)) => Ok(SessionId(Uuid::from_u128(low))..=SessionId(Uuid::from_u128(high))),
        _ => Err(FindError::NotAnId(Arc::from(prefix))),
    }
}

/// The only one of `ids`.
pub(super) fn only_one(prefix: &str, mut ids: impl Iterator<Item = SessionId>) -> Result<SessionId, FindError> {
    let first = ids.next().ok_or_else(|| FindError::Unknown(Arc::from(prefix)))?;
    let mut count = 1;
    let mut last = first;
    for id in ids {
        count += 1;
        last = id;
    }
    if count == 1 { Ok(first) } else { Err(FindError::Ambiguous { prefix: Arc::from(prefix), count, first, last }) }
}
