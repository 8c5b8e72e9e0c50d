//! What can go wrong in a store? An error for each operation, with the file and the remedy in its text.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    event::Status,
    value::{Epoch, Seq, SessionId},
};

/// Why a store as a whole, or a file of it, cannot be used. Cheap to clone: one failed sync fails many appends.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("use {path}: {why}; {remedy}")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What it said.
        why: Arc<str>,
        /// What helps.
        remedy: &'static str,
    },
    /// A newer version of the program wrote it.
    #[error("{path} has format {found} and this version knows up to {known}: use the version that wrote it, or a newer one")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest that is known.
        known: u64,
    },
    /// It is not what it should be.
    #[error("{path} is damaged: {why}; {remedy}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What was found.
        why: Arc<str>,
        /// What helps.
        remedy: &'static str,
    },
    /// Another process works with it, as it may: what was wanted can be done later.
    #[error("use {path}: {why}; {remedy}")]
    InUse {
        /// Which file.
        path: PathBuf,
        /// Who does what.
        why: Arc<str>,
        /// What helps.
        remedy: &'static str,
    },
    /// Another process has it for longer than it should.
    #[error("{path} is held by {}, which does not give it back: if it compacts the store, wait for it; if it is stopped, let it go on or end \
             it", process(*pid))]
    Busy {
        /// Which file.
        path: PathBuf,
        /// Whose, as far as is known.
        pid: Option<u32>,
    },
}

impl StoreError {
    /// Which file or folder it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::Newer { path, .. }
            | Self::Damaged { path, .. }
            | Self::InUse { path, .. }
            | Self::Busy { path, .. } => path,
        }
    }

    /// Whether another process has the file, so that the same can be done when it has ended.
    pub fn is_for_later(&self) -> bool {
        match self {
            Self::InUse { .. } | Self::Busy { .. } => true,
            Self::Io { .. } | Self::Newer { .. } | Self::Damaged { .. } => false,
        }
    }
}

/// Who holds a file, in words.
pub(crate) fn process(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// Why a session cannot be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// No such session.
    #[error("there is no session {0}")]
    Unknown(SessionId),
    /// A new session has the id of another.
    #[error("session {0} exists already")]
    Exists(SessionId),
    /// A new session has the id of one that was removed and has records left.
    #[error("session {session} was removed, and its records are still in {}, then try again", left_in(journal, *pid))]
    Removed {
        /// Which session.
        session: SessionId,
        /// A journal that has records of it.
        journal: PathBuf,
        /// Who writes that journal, if anybody does.
        pid: Option<u32>,
    },
    /// Somebody has it.
    #[error("session {session} belongs to process {pid}, which is running or stopped: wait for it, let it go on, or end it")]
    Owned {
        /// Which session.
        session: SessionId,
        /// The process.
        pid: u32,
    },
    /// Somebody took it at the same moment.
    #[error("session {0} was taken over by another process at the same moment: try again")]
    Raced(SessionId),
    /// Its journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where something was left, and what sweeps it.
fn left_in(journal: &Path, pid: Option<u32>) -> String {
    let path = journal.display();
    pid.map_or_else(
        || format!("{path}, which nobody writes: run `synod compact`"),
        |pid| format!("{path}, which process {pid} writes: run `synod compact` when it has ended"),
    )
}

/// Why records were not appended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The claim is of another kind of store, was released, replaced by a newer one, or died of an earlier error.
    #[error("the claim of epoch {epoch} on session {session} is no longer valid: claim the session again")]
    Fenced {
        /// Which session.
        session: SessionId,
        /// The claim's epoch.
        epoch: Epoch,
    },
    /// The records do not follow the last one.
    #[error("session {session} has {length} records, and record {given} was to be the next")]
    Sequence {
        /// Which session.
        session: SessionId,
        /// Its length.
        length: Seq,
        /// The sequence number that was given.
        given: Seq,
    },
    /// A record has no encoding.
    #[error("encode record {seq} of session {session}: {why}")]
    Encode {
        /// Which session.
        session: SessionId,
        /// Which record.
        seq: Seq,
        /// Why.
        why: Arc<str>,
    },
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why records cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// No such session.
    #[error("there is no session {0}")]
    Unknown(SessionId),
    /// A record is not what was written.
    #[error(
        "record {seq} of session {session} in {journal} is damaged: {why}; what stands before it can still be read, and other sessions \
         are not touched; to go on with this one restore the file from a backup"
    )]
    Damaged {
        /// Which session.
        session: SessionId,
        /// In which file.
        journal: PathBuf,
        /// Which record.
        seq: Seq,
        /// What was found.
        why: Arc<str>,
    },
    /// The journal as a whole cannot be read.
    #[error("read session {session}: {source}")]
    Store {
        /// Which session.
        session: SessionId,
        /// Why.
        source: StoreError,
    },
}

/// Why there is not exactly one such session.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FindError {
    /// Not the beginning of an id.
    #[error("`{0}` is not the beginning of a session id: ids consist of the digits 0 to 9 and a to f")]
    NotAnId(Arc<str>),
    /// None.
    #[error("there is no session {0}: `synod sessions` lists those there are")]
    Unknown(Arc<str>),
    /// Several.
    #[error("`{prefix}` is the beginning of {count} session ids, {first} and {last} among them: give more of it")]
    Ambiguous {
        /// What was given.
        prefix: Arc<str>,
        /// How many there are.
        count: usize,
        /// One of them.
        first: SessionId,
        /// Another.
        last: SessionId,
    },
    /// The index cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why something was not put into an inbox.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PostError {
    /// No such session.
    #[error("there is no session {0}")]
    Unknown(SessionId),
    /// Nothing can happen in it any more.
    #[error("session {session} is over ({})", status.name())]
    Over {
        /// Which session.
        session: SessionId,
        /// How it ended.
        status: Status,
    },
    /// Nobody reads it.
    #[error("the inbox of session {0} is full: its owner does not read it")]
    Full(SessionId),
    /// The inbox cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}
