//! Where are the facts kept? A [`Store`] has the journal, the index and the inbox of every session.
//!
//! A session is a list of records that only its owner may append to. Owning is a [`Claim`]: taking one raises the session's
//! epoch by compare-and-set, and is refused while the last owner may still write. [`Store::append`] is atomic and ordered and
//! does not wait for the disk; what must wait for it awaits the [`Ticket`]. Journals are the truth; the index is a cache of
//! them that [`Store::list`] repairs where an owner died.
//!
//! What is deliberately absent: no record is ever changed, and sessions are removed whole and only when somebody asks for it; no claim is ever
//! taken from an owner that lives or is merely stopped; and nothing here folds records into a state.
//!
//! The life of a session, as its owner sees it:
//!
//! ```
//! use synod::{
//!     event::{Event, Record, Status},
//!     store::{Closing, MemoryStore, NewSession, Store},
//!     value::{Seq, SessionId, Tenant, Timestamp},
//! };
//!
//! let store = MemoryStore::new();
//! let session = SessionId(uuid::Uuid::now_v7());
//! let at = Timestamp(1_767_623_400_000_000);
//! let claim = store.create(NewSession {
//!     session,
//!     tenant: Tenant::default(),
//!     team: "incident-response".into(),
//!     task: "why is it slow?".into(),
//!     started_at: at,
//! })?;
//! let ticket = store.append(&claim, Seq(0), &[Record { seq: Seq(0), at, event: Event::Parked }])?;
//! ticket.wait()?; // or `ticket.durable().await`
//! store.release(claim, Closing { status: Status::Parked, at }).wait()?;
//! assert_eq!(store.read_all(session)?.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bell;
mod claim;
#[cfg(test)]
mod conformance;
mod error;
mod inbox;
mod memory;
mod redb;
mod row;
mod ticket;

#[cfg(test)]
pub(crate) use self::redb::faults;
pub use bell::Bell;
pub use claim::Claim;
pub(crate) use error::process;
pub use error::{AppendError, ClaimError, FindError, PostError, ReadError, StoreError};
pub use inbox::{InboxItem, Mail, MailId};
pub use memory::MemoryStore;
pub use redb::{
    Compacted, Examined, JournalFound, RedbStore, Removal, Retention, Unread, Verified, examine, look_up, removable, verify,
};
pub use row::{Closing, Filter, NewSession, Owner, SessionRow};
pub use ticket::{Completer, Pending, Release, Ticket};

use crate::{
    event::Record,
    value::{Seq, SessionId},
};

/// The most records that one [`Store::read`] returns.
pub const READ_PAGE: usize = 4_096;

/// The most unread items an inbox holds.
pub const INBOX_LIMIT: usize = 200;

/// The longest task text that the index keeps, in characters; the journal has it in full.
pub const TASK_SHOWN: usize = 200;

/// Where sessions live. Implementations are shared by all sessions of a process, so every method takes `&self`.
///
/// All methods but [`Store::append`], [`Store::release`] and [`Store::ack`] may wait for the disk, for some milliseconds when all
/// is well; async code calls them from a thread that may block.
pub trait Store: Send + Sync {
    /// Makes a session and claims it, at epoch 1. Its index row is durable no later than its first ticket.
    ///
    /// # Errors
    /// The id is taken, it is that of a removed session that still has records ([`ClaimError::Removed`]), or the store cannot be written.
    fn create(&self, new: NewSession) -> Result<Claim, ClaimError>;

    /// Takes a session over: its epoch rises by one, and its length is fixed at [`Claim::length`]. Allowed when it was released
    /// or its owner is dead. A live or stopped owner still owns.
    ///
    /// # Errors
    /// Somebody owns it ([`ClaimError::Owned`] names the process), there is no such session, or its journal is damaged.
    fn claim(&self, session: SessionId) -> Result<Claim, ClaimError>;

    /// Appends `records`, all or none, after those of earlier appends, and returns before they are durable. `expected` is the
    /// session's length, and the sequence number of the first record; the others follow without a gap. May block the calling thread
    /// while too much is waiting for the disk. An empty append gives a ticket for all that was appended before.
    ///
    /// After an error, here or from the ticket, the claim is dead: every later append fails, and the session is to be claimed and
    /// folded anew.
    ///
    /// # Errors
    /// The claim is dead or not the newest, `expected` is not the length, or a record cannot be encoded.
    fn append(&self, claim: &Claim, expected: Seq, records: &[Record]) -> Result<Ticket, AppendError>;

    /// The durable records from `from` on, at most `max` (and [`READ_PAGE`]) of them, each checked against the hash chain. Any process may
    /// read while the owner writes. Fewer than asked means that there were no more.
    ///
    /// # Errors
    /// There is no such session, or a record is damaged: the error names the journal and the sequence number, and the records
    /// before it can still be read.
    fn read(&self, session: SessionId, from: Seq, max: usize) -> Result<Vec<Record>, ReadError>;

    /// All durable records.
    ///
    /// # Errors
    /// As [`Store::read`].
    fn read_all(&self, session: SessionId) -> Result<Vec<Record>, ReadError> {
        let mut all = Vec::new();
        loop {
            let page = self.read(session, Seq(all.len() as u64), READ_PAGE)?;
            let last = page.len() < READ_PAGE;
            all.extend(page);
            if last {
                return Ok(all);
            }
        }
    }

    /// The durable records before the first damaged one, and what is damaged.
    ///
    /// # Errors
    /// There is no such session, or nothing of it can be read.
    fn read_intact(&self, session: SessionId) -> Result<(Vec<Record>, Option<ReadError>), ReadError> {
        let mut all = Vec::new();
        loop {
            let from = Seq(all.len() as u64);
            match self.read(session, from, READ_PAGE) {
                Ok(page) => {
                    let last = page.len() < READ_PAGE;
                    all.extend(page);
                    if last {
                        return Ok((all, None));
                    }
                }
                Err(ReadError::Damaged { seq, .. }) if seq > from => {
                    let before = usize::try_from(seq.0 - from.0).unwrap_or(READ_PAGE);
                    all.extend(self.read(session, from, before)?);
                }
                Err(damage @ ReadError::Damaged { .. }) if from > Seq(0) => return Ok((all, Some(damage))),
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives a session back, parked or over, once all that was appended is durable, and puts `closing` into the index. What
    /// comes back says whether mail was waiting: then a parked session wants to be claimed again.
    fn release(&self, claim: Claim, closing: Closing) -> Release;

    /// The sessions of an organization or one of its users, newest first. Rows whose owner died are read again from the journal.
    ///
    /// # Errors
    /// The index cannot be read.
    fn list(&self, filter: &Filter) -> Result<Vec<SessionRow>, StoreError>;

    /// One row of the index.
    ///
    /// # Errors
    /// There is no such session, or the index cannot be read.
    fn row(&self, session: SessionId) -> Result<SessionRow, FindError>;

    /// The session of `org` whose id begins with `prefix` (hexadecimal digits, dashes ignored).
    ///
    /// # Errors
    /// None or several do.
    fn find(&self, org: &str, prefix: &str) -> Result<SessionId, FindError>;

    /// Leaves something for a session's owner, present or next. The bell of his claim rings: at once in this process, soon in another. Whoever
    /// posts tries to claim afterwards: if that succeeds there is no owner to read it, and the poster is the owner now.
    ///
    /// # Errors
    /// There is no such session, it is over, or its inbox is full.
    fn post(&self, session: SessionId, item: InboxItem) -> Result<(), PostError>;

    /// What came since the last poll of this claim, in order. A new claim sees again what nobody acknowledged. [`Claim::bell`] says when to ask.
    ///
    /// # Errors
    /// The inbox cannot be read.
    fn poll(&self, claim: &Claim) -> Result<Vec<Mail>, StoreError>;

    /// Removes an item once `after`, the append of what was made of it, is durable.
    fn ack(&self, claim: &Claim, mail: MailId, after: Ticket);
}
