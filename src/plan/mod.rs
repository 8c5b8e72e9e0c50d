//! What may run, in what order?
//!
//! [`compile`] turns a [`Team`] into a [`Plan`]: its pattern expands it into nodes, their names are bound, everything that can be
//! known to be wrong is reported at once, and the worst case is derived from structure.

mod args;
mod body;
mod bounds;
mod build;
mod builder;
mod compile;
mod doc;
mod draw_dot;
mod draw_json;
mod draw_mermaid;
mod draw_text;
mod edges;
mod exclusive;
mod expand;
mod lint;
mod literal;
mod mermaid;
mod models;
mod names;
mod node;
mod order;
mod outline;
mod permissions;
mod reach;
mod review;
mod scripts;
#[cfg(test)]
mod tests;
mod text;
mod topo;
mod trial;
mod wall;
mod writes;

pub use bounds::bounds_of;
pub use build::{MAX_DEPTH, MAX_NODES};
pub use builder::{CircleError, PlanBuilder};
pub use compile::{Compiled, Machine, compile, mistakes_beside};
pub use draw_dot::draw_dot;
pub use draw_json::draw_json;
pub use draw_mermaid::draw_mermaid;
pub use draw_text::{describe, draw_text};
pub use expand::expand;
pub use lint::Lint;
pub use mermaid::mermaid_text;
pub use models::{DEFAULT_MAX_TOKENS, DEFAULT_WINDOW, ModelFacts, Models};
pub use order::OrderSensitive;
pub use outline::{Outline, Step, Wait};
pub use permissions::{Allowed, Permission};
pub use reach::Reach;
pub use review::{Review, review};
pub use scripts::{model_digest, rule_book, with_includes};
