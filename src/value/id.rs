//! Which one? A newtype for every id and counter, so that none is mistaken for another.

use std::{fmt, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The position as an array index.
            pub fn index(self) -> usize {
                self.0 as usize
            }

            /// The one that follows.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter!(
    /// A node of a live plan, in the order in which nodes came to be.
    NodeIx(u32)
);
counter!(
    /// A template (a graph of nodes that is instantiated once or many times) of a plan.
    TemplateIx(u32)
);
counter!(
    /// A team of a plan: 0 is the session's own, the others are its sub-teams.
    TeamIx(u32)
);
counter!(
    /// The position of a record in its session's journal, from 0.
    Seq(u64)
);
counter!(
    /// A turn of one activation, from 0.
    Turn(u32)
);
counter!(
    /// A tool call of one turn, from 0, in the order in which the model asked for them.
    CallIx(u32)
);
impl CallIx {
    /// The look-up before the first turn, which is none of the calls of a reply: what comes of it can answer none of them.
    pub const LOOKUP: Self = Self(u32::MAX);
}

counter!(
    /// How often a session was claimed: the owner with the highest epoch is the only one that may append.
    Epoch(u32)
);
counter!(
    /// A question to a person, from 0 in each session; shown as `q0`, `q1`, …
    AskId(u32)
);

macro_rules! made_in {
    ($(#[$doc:meta])* $name:ident, $letter:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Arc<str>);

        impl $name {
            /// The id of the one of that number, from 1, among those made in the node at `path`.
            pub fn new(path: &str, number: u32) -> Self {
                Self(Arc::from(format!(concat!("{}#", $letter, "{}"), path, number)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

made_in!(
    /// A finding: the path of the node in which it was found, and its number there, as in `work/security#f1`. The order in
    /// which findings of other nodes arrived has no part in it.
    FindingId,
    "f"
);
made_in!(
    /// A message: the path of the node in which it was said, and its number there, as in `work/security#m1`. The order in
    /// which messages of other nodes arrived has no part in it.
    MessageId,
    "m"
);

/// One run of a team on one task. Ids sort by the time of their making (UUID version 7), but for those of tasks of a batch, which follow from
/// the task's key (version 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub Uuid);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An agent's id in its team: its role, matching `[a-z][a-z0-9_]*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Role(pub Arc<str>);

impl Role {
    /// The role of that name.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(Arc::from(name.as_ref()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whose sessions and catalog rows these are; part of every key of the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tenant {
    /// The organization (`--org`, `SYNOD_ORG`, else `default`).
    pub org: Arc<str>,
    /// The user (`--user`, `SYNOD_USER`, else `default`).
    pub user: Arc<str>,
}

impl Default for Tenant {
    fn default() -> Self {
        Self { org: Arc::from("default"), user: Arc::from("default") }
    }
}
