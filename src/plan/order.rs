//! Where may the order in which things arrive change the result? [`order_sensitive`] names every such place.
//!
//! Everything else reads what it joins in declared order.

use serde::Serialize;

use super::{exclusive::exclusive, outline::Outline};
use crate::graph::{Join, NodeKind, Plan, ScopeKind, Stragglers};

/// A place where the order of arrival matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderSensitive {
    /// The node; `None`: the session.
    pub node: Option<String>,
    /// Why.
    pub because: String,
}

/// Every place of `plan` where the order of arrival may change the result.
pub(super) fn order_sensitive(plan: &Plan, outline: &Outline<'_>) -> Vec<OrderSensitive> {
    let mut found = Vec::new();
    for (number, step) in outline.steps.iter().enumerate() {
        let mut add = |because: String| found.push(OrderSensitive { node: Some(step.id.clone()), because });
        let rest = match step.node.stragglers {
            Stragglers::Cancel => "the rest is cancelled",
            Stragglers::Leave => "the rest finishes unread",
        };
        let sources = outline.before[number].len();
        match step.node.join {
            Join::Any if one_at_most(plan, outline, number) => {}
            Join::Any if sources > 1 => add(format!("starts at the first of {sources} nodes; {rest}")),
            Join::Quorum(n) if (n as usize) < sources => add(format!("starts at the first {n} of {sources} nodes; {rest}")),
            Join::All | Join::Any | Join::Quorum(_) => {}
        }
        if let Some(deadline) = step.node.join_deadline {
            add(format!("goes on after {} s with what has ended by then; {rest}", deadline.after.as_secs_f64()));
        }
        if let Some(deadline) = step.node.work_deadline {
            add(format!("ends after {} s with what is done by then; {rest}", deadline.after.as_secs_f64()));
        }
        match &step.node.kind {
            NodeKind::Ask(ask) if ask.deadline.is_some() => {
                add("a person's answer counts only before the deadline".to_owned());
            }
            NodeKind::Scope(scope) => {
                if let ScopeKind::Circle { .. } = &**scope {
                    add("its members read what the others say while they are at work".to_owned());
                }
                if let ScopeKind::Subtasks { quorum: Some(n), .. } = &**scope {
                    add(format!("ends at the first {n} sub-tasks that succeed; {rest}"));
                }
            }
            NodeKind::Agent(agent) if agent.live => {
                add("reads what its colleagues say while they are at work".to_owned());
            }
            NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) => {}
        }
    }
    let mut session = |because: String| found.push(OrderSensitive { node: None, because });
    for (what, limit, worst) in super::lint::cut_in(plan) {
        session(format!("`limits.{what}` of {limit} may run out before the worst case of {worst}"));
    }
    let asks = |team: &crate::graph::TeamPlan| {
        let mut all = team.members.iter().chain(&team.coordinator);
        team.max_asks > 0 && all.any(|member| !team.reach(&member.role).is_empty())
    };
    if plan.teams.iter().any(asks) {
        session("agents may ask each other (`max_asks`): an answer depends on what is known by then".to_owned());
    }
    if plan.teams.iter().any(|t| t.fail_fast) {
        session("`fail_fast`: the first failure decides what still starts".to_owned());
    }
    if plan.teams.iter().flat_map(|t| &t.escalation).any(|step| step.deadline.is_some()) {
        session("an escalation moves on when its deadline passes".to_owned());
    }
    found
}

/// Nodes whose sources are compared pair by pair.
const COMPARED: usize = 32;

/// Whether at most one of the sources of a node runs, so that there is no first one.
fn one_at_most(plan: &Plan, outline: &Outline<'_>, number: usize) -> bool {
    let sources: Vec<_> = outline.before[number].iter().map(|w| outline.steps[outline.waits[*w].from].ix).collect();
    let dag = &plan.graph(outline.steps[number].graph).dag;
    let pairs = || (0..sources.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
    sources.len() <= COMPARED && pairs().all(|(a, b)| exclusive(dag, sources[a], sources[b]))
}
