//! `coordinator_worker`: the work is divided, done in parallel, what differs is settled, and the coordinator makes one result,
//! which the validators vote on.
//!
//! `delegate` → `work` (a sub-task each) → `settle` → `review` (rounds of `synthesize`, `validate_ROLE`, `verdict`), or
//! `synthesize` alone where nobody validates.

use std::sync::Arc;

use super::{
    Fragment, deadline_of,
    make::Make,
    missing,
    result::{check_result, conclude, roles, settle},
};
use crate::{
    team::{AfterOn, Code, Coordination, Diagnostic, NodeSpec, Team, What},
    value::RuleKind,
};

pub(super) fn expand(team: &Team, functions: &[Arc<str>]) -> Result<Fragment, Vec<Diagnostic>> {
    let routed = functions.iter().any(|f| **f == *RuleKind::Route.function());
    let errors = check(team, routed);
    if !errors.is_empty() {
        return Err(errors);
    }
    let make = Make::of(team);
    let Coordination { parallel_execution, quorum, stragglers, max_tasks, .. } = team.coordination;
    let delegate = make.node("delegate", What::Rule { name: Arc::from("route"), members: roles(team) });
    let subtasks = What::Subtasks {
        from: make.text("delegate.output"),
        max: if routed { max_tasks } else { count(team) },
        one_by_one: !parallel_execution,
        quorum,
    };
    let work = NodeSpec {
        after: vec![make.after("delegate", AfterOn::Ok)],
        stragglers,
        work_deadline: deadline_of(team),
        ..make.node("work", subtasks)
    };
    let settle = NodeSpec { after: vec![make.after("work", AfterOn::Done)], ..settle(team, &make, "settle") };
    Ok(conclude(team, &make, vec![delegate, work, settle], vec![make.after("settle", AfterOn::Ok)], Some("settle")))
}

fn check(team: &Team, routed: bool) -> Vec<Diagnostic> {
    let mut errors = check_result(team);
    if team.coordinator.is_none() {
        let help = "add `coordinator: PROFILE`, or take the pattern `parallel`";
        errors.push(missing(team, "coordinator", "somebody must divide the work and make the result", help));
    }
    if team.members.is_empty() {
        errors.push(missing(
            team,
            "member_agents",
            "somebody must do the work",
            "add `member_agents: [{ agent: PROFILE, role: ID }]`",
        ));
    }
    let (members, most) = (count(team), team.coordination.max_tasks);
    if !routed && members > most {
        let message = format!("{members} members work on the task at once, and `max_tasks` is {most}");
        let help = format!("write `max_tasks: {members}`, or a `route` rule that divides the work");
        errors.push(Diagnostic::error(Code::OutOfRange, &super::place_of(team), message).help(help));
    }
    errors
}

fn count(team: &Team) -> u32 {
    u32::try_from(team.members.len()).unwrap_or(u32::MAX)
}
