//! `peer_to_peer`: a circle of members who talk with each other, without rounds; what differs is settled, and one result is made.

use super::{
    Fragment, deadline_of,
    make::Make,
    missing, place_of,
    result::{check_result, conclude, roles, settle},
};
use crate::team::{AfterOn, Code, Diagnostic, NodeSpec, ResultBy, Team, What};

pub(super) fn expand(team: &Team) -> Result<Fragment, Vec<Diagnostic>> {
    let errors = check(team);
    if !errors.is_empty() {
        return Err(errors);
    }
    let make = Make::of(team);
    let circle = NodeSpec {
        stragglers: team.coordination.stragglers,
        work_deadline: deadline_of(team),
        ..make.node("circle", What::Circle { members: roles(team) })
    };
    let settle = NodeSpec { after: vec![make.after("circle", AfterOn::Ok)], ..settle(team, &make, "settle") };
    Ok(conclude(team, &make, vec![circle, settle], vec![make.after("settle", AfterOn::Ok)], Some("settle")))
}

fn check(team: &Team) -> Vec<Diagnostic> {
    let mut errors = check_result(team);
    let place = place_of(team);
    if team.members.len() < 2 {
        let help = "add `member_agents: [{ agent: PROFILE, role: ID }, { agent: PROFILE, role: ID }]`";
        errors.push(missing(team, "member_agents", "a circle has at least two members", help));
    }
    if team.result == ResultBy::Coordinator && team.coordinator.is_none() {
        let help = "add `coordinator: PROFILE`, or write `result: { by: merge }`";
        errors.push(missing(team, "coordinator", "the result is the coordinator's", help));
    }
    if team.coordination.quorum.is_some() {
        let message = "a `peer_to_peer` team has no quorum: it ends when all rest, or when its `settle` rule accepts";
        let help = "write `wait_for_all: true`, or take `parallel`";
        errors.push(Diagnostic::error(Code::InvalidValue, &place, message).help(help));
    }
    if !team.coordination.parallel_execution {
        let message = "the members of a `peer_to_peer` team begin together";
        let help = "remove `parallel_execution: false`, or take `sequential`";
        errors.push(Diagnostic::error(Code::InvalidValue, &place, message).help(help));
    }
    errors
}
