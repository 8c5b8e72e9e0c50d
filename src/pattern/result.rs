//! How does a team make one result of what its members found, and who votes on it?

use std::sync::Arc;

use super::{
    Fragment,
    make::{Make, free_id},
    place_of,
};
use crate::{
    graph::{Phase, SettleOver},
    team::{After, AfterOn, Body, COORDINATOR, Code, Coordination, Diagnostic, NodeSpec, ResultBy, Team, What},
    value::Role,
};

/// The roles of the members, in order.
pub(super) fn roles(team: &Team) -> Vec<Role> {
    team.members.iter().map(|m| m.role.clone()).collect()
}

/// What is wrong with `result`.
pub(super) fn check_result(team: &Team) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    if matches!(team.result, ResultBy::Vote { .. }) && !team.coordination.validate.is_empty() {
        let message = "the result is voted upon, so that there is no proposal to validate";
        let help = "drop `validate`, or let `result` be by `coordinator`, `merge` or a rapporteur";
        errors.push(Diagnostic::error(Code::InvalidValue, &place_of(team), message).help(help));
    }
    errors
}

/// A gate that settles the members' findings, and their results where the team votes on it.
pub(super) fn settle(team: &Team, make: &Make, id: &str) -> NodeSpec {
    let (over, protocol, tie) = match &team.result {
        ResultBy::Vote { protocol, tie } => (SettleOver::Result, *protocol, tie.clone()),
        ResultBy::Coordinator | ResultBy::Merge | ResultBy::Rapporteur(_) => (SettleOver::Findings, Default::default(), None),
    };
    let Coordination { max_debate_rounds, .. } = team.coordination;
    make.node(id, What::Settle { over, members: roles(team), max_debate_rounds, protocol, tie })
}

/// The last nodes of a team: who makes the result, after `after`, and who votes on it. `settle` is the node that settled the
/// findings, and gives the result of a vote.
pub(super) fn conclude(team: &Team, make: &Make, mut nodes: Vec<NodeSpec>, after: Vec<After>, settle: Option<&str>) -> Fragment {
    let maker = match &team.result {
        ResultBy::Coordinator => Some(("synthesize", make.agent(&Role::new(COORDINATOR), Phase::Synthesize))),
        ResultBy::Rapporteur(role) => Some(("synthesize", make.agent(role, Phase::Synthesize))),
        ResultBy::Merge => Some(("merge", What::Rule { name: Arc::from("merge"), members: roles(team) })),
        ResultBy::Vote { .. } => None,
    };
    let Some((name, what)) = maker else {
        let output = settle.map(|id| make.text(format!("{id}.output")));
        return Fragment { nodes, output };
    };
    let taken = |id: &str| nodes.iter().any(|n| &*n.id == id);
    let node = if team.coordination.validate.is_empty() {
        make.node(free_id(name, taken), what)
    } else {
        make.node(free_id("review", taken), review(team, make, make.node(name, what)))
    };
    let output = Some(make.text(format!("{}.output", node.id)));
    nodes.push(NodeSpec { after, ..node });
    Fragment { nodes, output }
}

/// Rounds of: make a proposal, let the validators vote, until they accept.
fn review(team: &Team, make: &Make, proposer: NodeSpec) -> What {
    let rules = &team.coordination;
    let vote = |role: &Role| {
        let what = What::Agent {
            role: role.clone(),
            task: None,
            phase: Phase::Validate,
            proposal: Some((proposer.id.clone(), make.place())),
            done_when: None,
            max_turns: None,
            live: false,
        };
        let after = vec![make.after(&proposer.id, AfterOn::Ok)];
        NodeSpec { after, ..make.node(format!("validate_{role}"), what) }
    };
    let votes: Vec<NodeSpec> = rules.validate.iter().map(vote).collect();
    let verdict = What::Settle {
        over: SettleOver::Votes,
        members: rules.validate.clone(),
        max_debate_rounds: 0,
        protocol: Default::default(),
        tie: None,
    };
    let after = votes.iter().map(|v| make.after(&v.id, AfterOn::Done)).collect();
    let verdict = NodeSpec { after, ..make.node("verdict", verdict) };
    let nodes = [vec![proposer], votes, vec![verdict]].concat();
    What::Repeat {
        max: rules.max_revisions.saturating_add(1),
        until: Some(make.text("verdict.output.accepted")),
        body: Body::Nodes { nodes, output: Some(make.text("verdict.output.value")) },
    }
}
