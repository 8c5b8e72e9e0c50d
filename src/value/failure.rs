//! What went wrong? A [`Failure`] is a fact of the journal, not an `Err` of the engine.

use std::{fmt, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Usage;

/// A place in a file of the author's: path as the author would write it, line and column from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The file, relative to where it was named.
    pub file: Arc<str>,
    /// Line, from 1; 0 when unknown.
    pub line: u32,
    /// Column in characters, from 1; 0 when unknown.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 { write!(f, "{}", self.file) } else { write!(f, "{}:{}:{}", self.file, self.line, self.column) }
    }
}

/// Why a node, turn or call did not succeed. `retry.on` in a team file names these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A time limit cut it off.
    Timeout,
    /// A command ended with a status other than 0; `status` says which.
    Exit,
    /// A tool reported an error.
    Tool,
    /// A model or its provider reported an error.
    Model,
    /// The provider or transport could not be reached, or broke off.
    Transport,
    /// The provider asked to slow down.
    RateLimit,
    /// A rule or expression failed or gave a wrong verdict; `place` says where.
    Rule,
    /// A value did not fit its schema.
    Schema,
    /// A bound of the plan was reached: turns, items, rounds.
    Limit,
    /// A budget was exhausted.
    Budget,
    /// The permission to do it was refused.
    Denied,
    /// Two writers without a merge rule met on one variable.
    Conflict,
    /// An irreversible call whose outcome nobody knows.
    InDoubt,
    /// It was cancelled.
    Cancelled,
    /// A question was not answered in time and had no default.
    Unanswered,
    /// It went round in circles, or ended too early, and did not heed that; the message names the detector.
    Stalled,
    /// Whoever checked it objects; the message is the objection.
    Rejected,
    /// A node inside this scope failed.
    Child,
}

impl FailureKind {
    /// The name that files and JSON use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Exit => "exit",
            Self::Tool => "tool",
            Self::Model => "model",
            Self::Transport => "transport",
            Self::RateLimit => "rate_limit",
            Self::Rule => "rule",
            Self::Schema => "schema",
            Self::Limit => "limit",
            Self::Budget => "budget",
            Self::Denied => "denied",
            Self::Conflict => "conflict",
            Self::InDoubt => "in_doubt",
            Self::Cancelled => "cancelled",
            Self::Unanswered => "unanswered",
            Self::Stalled => "stalled",
            Self::Rejected => "rejected",
            Self::Child => "child",
        }
    }

    /// Whether trying again may help when the author's `retry` does not say.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Timeout | Self::Exit | Self::Tool | Self::Transport | Self::RateLimit => true,
            Self::Model
            | Self::Rule
            | Self::Schema
            | Self::Limit
            | Self::Budget
            | Self::Denied
            | Self::Conflict
            | Self::InDoubt
            | Self::Cancelled
            | Self::Unanswered
            | Self::Stalled
            | Self::Rejected
            | Self::Child => false,
        }
    }
}

/// A failure as the journal keeps it and as error handlers see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What happened, as a lowercase fragment.
    pub message: Arc<str>,
    /// Exit status or HTTP status, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i64>,
    /// What a provider said that it took all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Box<Usage>>,
    /// The path of the node that failed first, where this is the failure of a scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Arc<str>>,
    /// Where in a script or file, for a rule's failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

impl Failure {
    /// A failure of that kind with that message.
    pub fn new(kind: FailureKind, message: impl AsRef<str>) -> Self {
        Self { kind, message: Arc::from(message.as_ref()), status: None, usage: None, node: None, place: None }
    }

    /// What it took.
    pub fn spent(&self) -> Usage {
        self.usage.as_deref().copied().unwrap_or_default()
    }

    /// The failure of something that took so much.
    #[must_use]
    pub fn having_spent(self, usage: Usage) -> Self {
        Self { usage: (!usage.is_nothing()).then(|| Box::new(usage)), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.message)?;
        if let Some(place) = &self.place {
            write!(f, " ({place})")?;
        }
        Ok(())
    }
}
