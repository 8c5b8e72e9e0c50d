//! Does Synod behave as a good team engine does? One test for each behaviour, on real components, named after it.
//!
//! The behaviours are numbered; a number is never used for another one. Those of the compiler read a team file's diagnostics, the
//! others run a team and read its result, its journal, and what its tools saw.

mod common;

#[path = "behaviours/branch.rs"]
mod branch;
#[path = "behaviours/compile.rs"]
mod compile;
#[path = "behaviours/failure.rs"]
mod failure;
#[path = "behaviours/journal.rs"]
mod journal;
#[path = "behaviours/order.rs"]
mod order;
#[path = "behaviours/patterns.rs"]
mod patterns;
#[path = "behaviours/people.rs"]
mod people;
#[path = "behaviours/turns.rs"]
mod turns;
