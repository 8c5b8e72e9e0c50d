//! Synod runs teams of AI agents from files: a team compiles into a DAG whose worst case is known before a token is spent, small
//! scripts decide, and every fact is journaled, so that a killed run goes on where it stood.
//!
//! ```
//! use synod::{engine::Engine, event::Status, team::Overrides, value::Map};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # std::fs::write(folder.path().join("hello.yaml"), r#"
//! # name: Hello
//! # collaboration_pattern: graph
//! # inputs: { who: { type: string, default: world } }
//! # nodes:
//! #   greet: { gate: '"hello, " + input.who' }
//! # output: greet.output
//! # "#)?;
//! # let folder = folder.path().to_owned();
//! let engine = Engine::builder().workspace(folder).build();
//! let team = engine.load("hello.yaml", &Overrides::default())?;
//! let ended = tokio::runtime::Runtime::new()?.block_on(async {
//!     let handle = engine.start(&team, "say hello", Map::new()).await?;
//!     handle.wait().await
//! })?;
//! assert_eq!(ended.status, Status::Completed);
//! assert_eq!(ended.report.output.as_str(), Some("hello, world"));
//! # Ok(())
//! # }
//! ```
//!
//! # Architecture
//!
//! The core is pure: no I/O, no clock, no randomness, no async, no unordered map. Inputs go in with the time, records and effects
//! come out; state is a fold of records. What touches the world stands below the line.
//!
//! | module | the question it answers |
//! |---|---|
//! | [`value`] | What passes between parts? |
//! | [`graph`] | What is a plan made of? |
//! | [`event`] | What happened? |
//! | [`team`] | What did the author ask for? |
//! | [`rule`] | What do the scripts say? |
//! | [`pattern`] | Which shapes have names? |
//! | [`plan`] | What may run, in what order? |
//! | [`turn`] | What does one agent do next? |
//! | [`state`] | Where do we stand? |
//! | [`schedule`] | What should happen next? |
//! | [`report`] | What came of it? |
//! | [`simulate`] | How would it go? |
//! | — | *I/O begins here* |
//! | `http` | How does this program ask others over HTTP? |
//! | [`secret`] | What must nobody read? |
//! | [`model`], [`tool`], [`knowledge`], [`store`] | one trait each, one file for each implementation |
//! | [`engine`] | Who does what the scheduler asks for? The only async loop. |
//! | [`cli`] | What can be typed? |
//!
//! A run, end to end: [`engine::Engine::load`] reads files through [`team::Sources`] into a [`team::Team`], which [`plan::compile`] makes a
//! [`graph::Plan`]. [`engine::Engine::start`] gives the plan to a [`schedule::Scheduler`], appends the records of each step to a
//! [`store::Store`] and performs the effects; what comes back are inputs of the next step. [`report::Report`] is a projection of
//! the journal.
//!
//! What is deliberately absent: a graph that is changed while it runs, state that is overwritten, a super-step that waits for the
//! slowest, and a server to set up.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::panic, clippy::exit))]

pub mod cli;
pub mod engine;
pub mod event;
pub mod graph;
mod http;
pub mod knowledge;
pub mod model;
pub mod pattern;
pub mod plan;
pub mod report;
pub mod rule;
pub mod schedule;
pub mod secret;
pub mod simulate;
pub mod state;
pub mod store;
pub mod team;
pub mod tool;
pub mod turn;
pub mod value;
