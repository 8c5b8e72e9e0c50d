//! `hierarchical`: a coordinator over members of which some are teams, each with a coordinator of its own, to any depth.
//!
//! The shape is that of `coordinator_worker`. What makes it a hierarchy is who works: a member that is a team gets its sub-task as that
//! team's task, divides it again, and comes back with one result, for which its coordinator votes.

use std::sync::Arc;

use super::{Fragment, coordinator_worker, place_of};
use crate::team::{Code, Diagnostic, Team};

pub(super) fn expand(team: &Team, functions: &[Arc<str>]) -> Result<Fragment, Vec<Diagnostic>> {
    let flat = !team.members.is_empty() && team.members.iter().all(|member| member.team.is_none());
    let below = flat.then(|| {
        let message = "a `hierarchical` team needs a member that is a team: all of these are agents";
        let help = "write `- { team: FILE, role: ID }` for a member, or take `coordinator_worker`";
        Diagnostic::error(Code::MissingKey, &place_of(team), message).help(help)
    });
    match (coordinator_worker::expand(team, functions), below) {
        (expanded, None) => expanded,
        (Ok(_), Some(flat)) => Err(vec![flat]),
        (Err(errors), Some(flat)) => Err(errors.into_iter().chain([flat]).collect()),
    }
}
