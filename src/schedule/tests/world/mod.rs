//! What does a session live in while it is tested? A [`Judge`] and a [`Toolbox`] that are pure and small, plans written in a
//! few lines ([`Flow`]), and [`Run`], which drives a scheduler in virtual time and checks after each step what must always hold.
//!
//! Shared by the unit tests of `schedule` and by `tests/sim.rs`.

mod drive;
mod flow;
mod judge;

use super::synod;

pub use drive::{Run, Sabotage, Violation, World, started};
pub use flow::{Flow, Plans, Spot, agent, member_team, team};
pub use judge::{Rules, TestJudge, TestTools, hash};
