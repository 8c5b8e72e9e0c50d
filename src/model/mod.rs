//! Who answers? A [`Model`]: a request goes in, a reply comes out.
//!
//! `script:PATH` is a Rhai function, `replay:PATH` an exported session and `replay:PATH#ROLE` one agent's part of it, an alias of the
//! model catalog a [`Remote`] model; programs add their own by name. [`Models`] finds the one that a profile names. Deliberately absent: budgets and the attempts
//! of a node, which belong to the scheduler.

mod registry;
mod remote;
mod replay;
mod script;
mod view;

use std::{future::Future, pin::Pin};

pub use registry::{ModelError, Models};
pub use remote::{Listed, Providers, Remote};
pub use replay::Replay;
pub use script::Script;
pub use view::{VIEW_FIELDS, sample_view, view};

use crate::value::{Failure, Reply, Request};

/// A reply under way. Dropping it stops the work.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send + 'a>>;

/// Something that answers requests.
pub trait Model: Send + Sync {
    /// Answers. `key` is stable over repetitions of the same call, so that a provider can tell them.
    fn reply<'a>(&'a self, request: &'a Request, key: &'a str) -> Answer<'a>;
}
