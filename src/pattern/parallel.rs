//! `parallel`: all members work on the task at once; the result is merged, voted upon or written by one of them.

use super::{
    Fragment, deadline_of,
    make::{Make, free_id, is_reserved},
    missing,
    result::{check_result, conclude, settle},
};
use crate::{
    graph::{Join, Phase},
    team::{After, AfterOn, Coordination, Diagnostic, NodeSpec, ResultBy, Team},
};

pub(super) fn expand(team: &Team) -> Result<Fragment, Vec<Diagnostic>> {
    let errors = check(team);
    if !errors.is_empty() {
        return Err(errors);
    }
    let make = Make::of(team);
    let Coordination { parallel_execution, quorum, stragglers, .. } = team.coordination;
    let mut nodes: Vec<NodeSpec> = Vec::new();
    for member in &team.members {
        let id = free_id(member.role.as_str(), |id| is_reserved(id) || nodes.iter().any(|n| &*n.id == id));
        let after = nodes.last().filter(|_| !parallel_execution).map(|before| make.after(&before.id, AfterOn::Done));
        let node = make.node(id, make.agent(&member.role, Phase::Work));
        nodes.push(NodeSpec { after: after.into_iter().collect(), ..node });
    }
    // All have ended, in whatever way; or so many have succeeded.
    let join = quorum.map_or(Join::All, Join::Quorum);
    let on = if quorum.is_some() { AfterOn::Ok } else { AfterOn::Done };
    let after: Vec<After> = nodes.iter().map(|n| make.after(&n.id, on.clone())).collect();
    let joined = |node: NodeSpec| NodeSpec { join, stragglers, join_deadline: deadline_of(team), ..node };
    if let ResultBy::Vote { .. } = team.result {
        let id = free_id("settle", |id| nodes.iter().any(|n| &*n.id == id));
        nodes.push(joined(NodeSpec { after, ..settle(team, &make, &id) }));
        return Ok(conclude(team, &make, nodes, Vec::new(), Some(&id)));
    }
    let mut fragment = conclude(team, &make, nodes, after, None);
    if let Some(result) = fragment.nodes.pop() {
        fragment.nodes.push(joined(result));
    }
    Ok(fragment)
}

fn check(team: &Team) -> Vec<Diagnostic> {
    let mut errors = check_result(team);
    if team.members.is_empty() {
        errors.push(missing(
            team,
            "member_agents",
            "somebody must do the work",
            "add `member_agents: [{ agent: PROFILE, role: ID }]`",
        ));
    }
    if team.result == ResultBy::Coordinator && team.coordinator.is_none() {
        let help = "add `coordinator: PROFILE`, or write `result: { by: merge }`";
        errors.push(missing(team, "coordinator", "the result is the coordinator's", help));
    }
    errors
}
