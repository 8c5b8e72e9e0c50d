//! What do the scripts say? [`RuleBook`], the [`crate::value::Judge`] of a session, and [`ScriptAgent`].
//!
//! Rhai in a sandbox ([`Source`] in, verdict out): expressions and templates of a team file, one function per decision
//! ([`document`] tells each one's facts and verdict), and agents without a model. Everything is pure and bounded: the
//! same facts give the same verdict, on any machine, in any build.
//!
//! # Writing scripts
//! - A script holds functions and constants. A function reads a constant as `global::NAME`.
//! - `//! use PATH.rhai` at the top makes the functions of another file available ([`crate::value::includes`]).
//! - A fact that is not there is an error; `facts.get("key", default)` asks first, `a ?? b` replaces `()`.
//! - The functions beside Rhai's own: numbers `round clamp sum mean median percentile min max`, lists
//!   `min_by max_by sort_by group_by count_by unique get sides`, texts `json to_json parse_time format_time matches captures
//!   find_all similarity`, tests `assert assert_eq sample`.
//! - `test_*` functions are run by `synod rules test` ([`run_tests`]).
//! - Large lists: `map`, `filter` and the functions above take time in proportion to the list; a `push` does, too, because
//!   the size of the list is checked at each, so build long lists with `map`.
//!
//! Deliberately absent: files, terminal, network, clock, chance, `eval`, `import`, `sleep`.

mod agent;
mod book;
mod check;
mod convert;
mod engine;
mod error;
mod expr;
mod helpers;
mod jinja;
mod kind;
mod source;
mod suite;
mod template;
mod unit;

pub use agent::{ScriptAgent, ScriptCall, ScriptTurn, TURN_SHAPE};
pub use book::{RuleBook, TeamScripts};
pub use error::{RuleDiagnostic, Severity};
pub use expr::{FreeName, free_names};
pub use kind::{KINDS, KindDoc, document, sample};
pub use source::Source;
pub use suite::{TestOutcome, run_tests};
pub use template::template_names;

#[cfg(test)]
mod tests;
