//! What do other processes want of a session? An [`InboxItem`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::value::{AskId, Timestamp, Value};

/// What a command of another process leaves for the owner of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InboxItem {
    /// An answer to a question.
    Answer {
        /// Which question.
        ask: AskId,
        /// What.
        value: Value,
        /// Who.
        by: Arc<str>,
        /// When; after the question's deadline it counts no more.
        at: Timestamp,
    },
    /// A wish that the session ends.
    Cancel {
        /// Who.
        by: Arc<str>,
        /// Why.
        reason: Arc<str>,
        /// When.
        at: Timestamp,
    },
}

/// Which item of an inbox; later items have higher ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailId(pub u64);

/// An item as the owner gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    /// For the acknowledgement.
    pub id: MailId,
    /// What was left.
    pub item: InboxItem,
}
