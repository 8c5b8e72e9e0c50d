//! What can an agent do in the world? A [`Tool`]: a name, a JSON Schema of its arguments, an effect class, a call.
//!
//! The [`Registry`] holds the tools by name, checks arguments before a call and bounds the result after it;
//! [`builtin`] has the tools that every team may use. File tools reach what [`Roots`] reaches and nothing else.
//! Whether an agent may make a call at all is [`allows`], a pure function of its profile's patterns.
//!
//! Deliberately absent: the collaboration tools, which change the session and belong to its core; retries, timeouts
//! and the permit rule, which belong to the engine.

mod allow;
mod bound;
mod call;
mod command;
mod glob;
mod grep;
mod knowledge;
mod lines;
mod logs;
mod mcp;
mod metrics;
mod names;
mod people;
mod process;
mod read;
mod registry;
mod roots;
mod schema;
mod sql;
#[cfg(test)]
pub(crate) mod suite;
#[cfg(test)]
mod tests;
mod walk;
mod web;
mod write;

use std::{future::Future, pin::Pin, sync::Arc};

use serde::de::DeserializeOwned;

use crate::value::{EffectClass, Failure, FailureKind, ToolSpec, Value};

pub use allow::{allows, permits, server_prefix};
pub use bound::RESULT_LIMIT;
pub use call::{CallContext, Progress, Stop};
pub(crate) use command::shell;
pub(crate) use command::tell_command;
pub use command::{Bash, Command, CommandPolicy, DEFAULT_TIMEOUT, MAX_TIMEOUT, Program, abilities, confinement, is_confined};
pub(crate) use knowledge::SearchKnowledge;
pub use mcp::{Lent, MCP_FILE, McpFileError, McpGreeting, McpPool, McpServer, McpServers};
pub(crate) use metrics::{NAME as QUERY_METRICS, QueryMetrics};
pub use names::{nearest, strip_pod_hash};
pub use people::People;
pub use process::{Abilities, LANDLOCK_TCP};
pub use registry::{Registry, RegistryError, builtin};
pub use roots::{Found, Roots, RootsError};
pub use schema::spec;
pub use walk::Walk;
pub use web::{HTTP, Http};

/// What came of a call: a value, or why there is none. Either goes into the journal.
pub type Outcome = Result<Value, Failure>;

/// A call under way. Dropping it stops the work.
pub type Work<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// Something that an agent or a tool node can call.
///
/// Implement it for work that waits (HTTP, MCP, a child process); for work that computes or reads files, implement
/// [`BlockingTool`] and wrap it in [`Blocking`].
pub trait Tool: Send + Sync {
    /// The name, description, schema and effect class, as a model is told.
    fn spec(&self) -> &ToolSpec;

    /// What repeating this very call would do; the class of the spec unless the arguments say otherwise. An argument that is only
    /// known during the run is null: where the class depends on it, say the worst.
    fn effect(&self, args: &Value) -> EffectClass {
        let _ = args;
        self.spec().effect
    }

    /// Does it. The arguments fit the schema. It ends soon after `call.stop` says so, with that failure.
    fn call<'a>(&'a self, call: &'a CallContext, args: &'a Value) -> Work<'a>;
}

/// A tool that occupies a thread while it works: it reads files, computes, queries.
pub trait BlockingTool: Send + Sync + 'static {
    /// As [`Tool::spec`].
    fn spec(&self) -> &ToolSpec;

    /// As [`Tool::effect`].
    fn effect(&self, args: &Value) -> EffectClass {
        let _ = args;
        self.spec().effect
    }

    /// Does it, on a thread where blocking is fine. It asks `call.stop.check()?` at least once per megabyte read or
    /// hundred thousand steps computed.
    ///
    /// # Errors
    /// Whatever kept it from a result.
    fn run(&self, call: &CallContext, args: &Value) -> Outcome;
}

/// Makes a [`BlockingTool`] a [`Tool`] by running it on tokio's blocking threads.
pub struct Blocking<T>(Arc<T>);

impl<T: BlockingTool> Blocking<T> {
    /// That tool, off the async threads.
    pub fn new(tool: T) -> Self {
        Self(Arc::new(tool))
    }
}

impl<T: BlockingTool> Tool for Blocking<T> {
    fn spec(&self) -> &ToolSpec {
        self.0.spec()
    }

    fn effect(&self, args: &Value) -> EffectClass {
        self.0.effect(args)
    }

    fn call<'a>(&'a self, call: &'a CallContext, args: &'a Value) -> Work<'a> {
        Box::pin(async move {
            call.stop.check()?;
            let (stop, dropped) = call.stop.until_dropped();
            let context = CallContext { stop, ..call.clone() };
            let (tool, args, effect) = (self.0.clone(), args.clone(), self.effect(args));
            let ended = tokio::task::spawn_blocking(move || tool.run(&context, &args)).await;
            drop(dropped);
            ended.unwrap_or_else(|e| Err(call::broke_off(&self.spec().name, effect, &e)))
        })
    }
}

/// The arguments as a typed thing. They fit the schema, so this fails only where the schema says less than the type.
pub(crate) fn parse<A: DeserializeOwned>(args: &Value) -> Result<A, Failure> {
    args.to().map_err(|e| Failure::new(FailureKind::Schema, e.to_string()))
}

/// A count as a value.
pub(crate) fn count(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}
