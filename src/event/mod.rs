//! What happened?
//!
//! An [`Input`] is what the world says; an [`Event`] is what the session accepted as fact; an
//! [`Effect`] is what the engine must do. Events are additive: a new field has a default, a variant
//! is never renamed or removed, and golden journals of every version must fold for ever.

mod cassette;
mod effect;
mod fact;
mod started;

use serde::{Deserialize, Serialize};

pub use cassette::{CASSETTE_VERSION, Cassette, CassetteError, CassetteReader, CassetteWriter};
pub use effect::{Effect, Input, Key, ModelCall, Notice, ToolCall};
pub use fact::{
    Ask, AskFor, AskOutcome, Delegated, Event, Finished, Forked, Grown, GrownFrom, Outcome, Skip, Status, TakenOver, ToolCalled,
    TurnEnd,
};
pub use started::{Point, Started};

use crate::value::{Seq, Timestamp};

/// The version of the events that this build writes. The second has digests of requests and questions of calls in flight; the
/// third says what belongs to an exchange of `ask_agent` beside the metadata, and no longer in it; in the fourth the digest of a
/// request is made of digests of its entries.
pub const EVENT_VERSION: u32 = 4;

/// An event with its place in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its position, from 0 without gaps.
    pub seq: Seq,
    /// When it was accepted; never before the record before it.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}
