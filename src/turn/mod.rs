//! What does one agent do next?
//!
//! Pure: [`Action`] says what a collaboration tool's call means, [`Toolbox`] answers what the machine's tools are, [`conversation`] is
//! what a model reads, and [`ending`] says whether its reply ends the activation. Deliberately absent: whoever does it.

mod action;
mod delegation;
mod detect;
mod digest;
mod ending;
mod knowledge;
mod offer;
mod prompt;

use std::sync::Arc;

pub use action::{Action, ActionError, Asked, EVERYBODY, MESSAGE_LIMIT, comes_last, cut, ends, is_collaboration, unreadable};
pub use delegation::{proposed, subtasks_schema};
pub use detect::{Exchange, Given, Repeated, Seen, Verdict, fruitless, lacks_evidence, look, refusal, repeated, says_the_same};
pub use digest::digest;
pub use ending::{Ending, ending};
pub use knowledge::{knowledge_args, knowledge_tool, lookup, passages};
pub use offer::{COLLABORATION, Offers, collaboration_tools};
pub use prompt::{Conversation, Letters, Spoken, Tally, Told, arguments, conversation, tokens};

use crate::value::{EffectClass, Profile, ToolSpec, Value};

/// What the core must know of the machine's tools: pure look-ups.
pub trait Toolbox: Send + Sync {
    /// What a tool is; `None` when this machine lacks it.
    fn spec(&self, tool: &str) -> Option<Arc<ToolSpec>>;

    /// Whether `args` fit the tool's schema.
    ///
    /// # Errors
    /// A sentence that names the argument and what was expected.
    fn check(&self, tool: &str, args: &Value) -> Result<(), String>;

    /// What repeating this very call would do.
    fn effect(&self, tool: &str, args: &Value) -> EffectClass;

    /// Whether an agent of that profile may make this call, by its `allowed_tools` and `mcp_servers`.
    fn allows(&self, profile: &Profile, tool: &str, args: &Value) -> bool;

    /// The tools that an agent of that profile may call with some arguments, sorted.
    fn allowed(&self, profile: &Profile) -> Vec<Arc<ToolSpec>>;

    /// Whether `value` fits a JSON Schema of the author's (`output_schema`).
    ///
    /// # Errors
    /// A sentence that names what does not fit.
    fn fits(&self, schema: &Value, value: &Value) -> Result<(), String>;
}
