//! `coordinator_worker`: the work is divided, done in parallel, what differs is settled, and the coordinator makes one result,
//! which the validators vote on.
//!
//! `delegate` → `work` (a sub-task each) → `settle` → `review` (rounds of `synthesize`, `validate_ROLE`, `verdict`), or
//! `synthesize` alone where nobody validates. The coordinator divides the task, a `route` rule does, or all members work on the
//! whole of it.

use std::sync::Arc;

use super::{
    Fragment, deadline_of,
    make::Make,
    missing,
    result::{check_result, conclude, roles, settle},
};
use crate::{
    graph::{Divider, Phase, Replan},
    team::{AfterOn, COORDINATOR, Code, Coordination, Delegation, Diagnostic, NodeSpec, Team, What},
    value::{Role, RuleKind},
};

/// Rounds in which the coordinator divides anew what did not succeed, where the team does not say.
const DEFAULT_REPLANS: u32 = 1;

pub(super) fn expand(team: &Team, functions: &[Arc<str>]) -> Result<Fragment, Vec<Diagnostic>> {
    let routed = functions.iter().any(|f| **f == *RuleKind::Route.function());
    let errors = check(team, routed);
    if !errors.is_empty() {
        return Err(errors);
    }
    let make = Make::of(team);
    let Coordination { parallel_execution, quorum, stragglers, max_tasks, max_replans, .. } = team.coordination;
    let route = || What::Rule { name: Arc::from("route"), members: roles(team) };
    let (delegate, max, by) = match delegation(team, routed) {
        // A delegation that stays invalid falls back to all members.
        Delegation::Coordinator => {
            let what = make.agent(&Role::new(COORDINATOR), Phase::Delegate);
            (what, max_tasks.max(count(team)), Some((Divider::Coordinator, DEFAULT_REPLANS)))
        }
        Delegation::Rule => (route(), max_tasks, Some((Divider::Rule, 0))),
        Delegation::All => (route(), count(team), None),
    };
    let replan = by.map(|(by, default)| Replan { by, max: max_replans.unwrap_or(default) }).filter(|replan| replan.max > 0);
    let delegate = make.node("delegate", delegate);
    let check = team.coordination.check_done.clone();
    let from = make.text("delegate.output");
    let subtasks = What::Subtasks { from, max, one_by_one: !parallel_execution, quorum, replan, check };
    let work = NodeSpec {
        after: vec![make.after("delegate", AfterOn::Ok)],
        stragglers,
        work_deadline: deadline_of(team),
        ..make.node("work", subtasks)
    };
    let settle = NodeSpec { after: vec![make.after("work", AfterOn::Done)], ..settle(team, &make, "settle") };
    Ok(conclude(team, &make, vec![delegate, work, settle], vec![make.after("settle", AfterOn::Ok)], Some("settle")))
}

/// Who divides the task.
fn delegation(team: &Team, routed: bool) -> Delegation {
    let default = if routed { Delegation::Rule } else { Delegation::Coordinator };
    team.coordination.delegation.unwrap_or(default)
}

fn check(team: &Team, routed: bool) -> Vec<Diagnostic> {
    let delegation = delegation(team, routed);
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
    if delegation == Delegation::All && members > most {
        let message = format!("{members} members work on the task at once, and `max_tasks` is {most}");
        let help = format!("write `max_tasks: {members}`, or let the coordinator or a `route` rule divide the work");
        errors.push(Diagnostic::error(Code::OutOfRange, &super::place_of(team), message).help(help));
    }
    if delegation == Delegation::Rule && !routed {
        let message = "`delegation: rule` needs a function `route`, and no script of this team defines one";
        let help = "add it to the team's `rules`, or write `delegation: coordinator`";
        errors.push(Diagnostic::error(Code::UnknownRule, &super::place_of(team), message).help(help));
    }
    errors
}

fn count(team: &Team) -> u32 {
    u32::try_from(team.members.len()).unwrap_or(u32::MAX)
}
