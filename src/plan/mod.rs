//! What may run, in what order?
//!
//! [`compile`] turns a [`Team`] into a [`Plan`]: its pattern expands it into nodes, their names are bound, everything that can be
//! known to be wrong is reported at once, and the worst case is derived from structure.

mod args;
mod bounds;
mod build;
mod builder;
mod edges;
mod literal;
mod models;
mod names;
mod node;
#[cfg(test)]
mod tests;
mod text;
mod topo;

pub use build::{Compiled, Machine, compile};
pub use builder::{CircleError, PlanBuilder};
pub use models::{DEFAULT_MAX_TOKENS, DEFAULT_WINDOW, ModelFacts, Models};
