//! Who is at work, and what waits for what? [`WorkRow`] and [`TopicRow`].

use std::sync::Arc;

use serde::Serialize;

use crate::{
    graph::NodeKind,
    state::{Activation, CallState, Stage, Stand, State},
    value::{NodeIx, Position, Role},
};

/// An agent or a tool at work.
#[derive(Clone, Debug, Serialize)]
pub struct WorkRow {
    /// Where.
    pub node: Arc<str>,
    /// Who; null for the call of a tool node.
    pub role: Option<Role>,
    /// What for, such as `work`; null for the call of a tool node.
    pub phase: Option<&'static str>,
    /// From 1.
    pub attempt: u32,
    /// From 1; null before the first and for the call of a tool node.
    pub turn: Option<u32>,
    /// What it waits for, in words.
    pub waits_for: &'static str,
}

/// A topic that is being settled.
#[derive(Clone, Debug, Serialize)]
pub struct TopicRow {
    /// Where.
    pub node: Arc<str>,
    /// On what.
    pub topic: Arc<str>,
    /// What everybody holds.
    pub positions: Vec<Position>,
}

/// Agents and calls of tools that have begun and not ended, in declared order.
pub(super) fn at_work(state: &State) -> Vec<WorkRow> {
    let begun = nodes(state, |stand| match stand {
        Stand::Running | Stand::Backoff => true,
        Stand::Waiting | Stand::Ready | Stand::Ended => false,
    });
    begun.into_iter().filter_map(|node| work(state, node)).collect()
}

/// Nodes that wait for a slot, in declared order.
pub(super) fn waiting(state: &State) -> Vec<Arc<str>> {
    nodes(state, |stand| stand == Stand::Ready).into_iter().map(|node| state.path(node)).collect()
}

/// What is being settled, in declared order.
pub(super) fn unsettled(state: &State) -> Vec<TopicRow> {
    let open = nodes(state, |stand| stand == Stand::Running).into_iter();
    let topics = open.filter_map(|node| Some((node, &state.scopes.get(&node)?.topics)));
    let rows = topics.flat_map(|(node, topics)| {
        let node = state.path(node);
        topics.iter().map(move |t| TopicRow { node: node.clone(), topic: t.topic.clone(), positions: t.positions.clone() })
    });
    rows.collect()
}

fn nodes(state: &State, wanted: impl Fn(Stand) -> bool) -> Vec<NodeIx> {
    let all = (0..state.nodes.len()).filter_map(|ix| u32::try_from(ix).ok().map(NodeIx));
    let mut nodes: Vec<NodeIx> = all.filter(|ix| wanted(state.nodes[ix.index()].stand)).collect();
    nodes.sort_by_cached_key(|ix| state.position(*ix));
    nodes
}

fn work(state: &State, node: NodeIx) -> Option<WorkRow> {
    let (role, phase) = match &state.node(node).kind {
        NodeKind::Agent(agent) => (Some(agent.role.clone()), Some(agent.phase.name())),
        NodeKind::Tool(_) => (None, None),
        NodeKind::Gate(_) | NodeKind::Ask(_) | NodeKind::Scope(_) => return None,
    };
    let activation = state.activations.get(&node);
    let waits_for = match (activation, state.nodes[node.index()].stand) {
        (Some(activation), _) => waits_for(activation),
        (None, Stand::Backoff) => "its next attempt",
        (None, Stand::Running | Stand::Waiting | Stand::Ready | Stand::Ended) => "its tool",
    };
    let turn = activation.filter(|a| a.began_at.is_some()).map(|a| a.turn.0.saturating_add(1));
    Some(WorkRow { node: state.path(node), role, phase, attempt: state.nodes[node.index()].attempt, turn, waits_for })
}

fn waits_for(activation: &Activation) -> &'static str {
    let calls = match &activation.stage {
        Stage::Looking(_) => return "what is looked up for it",
        Stage::Due => return "a slot for its next turn",
        Stage::Asked => return "its model",
        Stage::Unsure(_) | Stage::Failing(_) => return "a person",
        Stage::Calls(calls) => calls,
    };
    if calls.iter().any(|call| matches!(call, CallState::AtPerson(_))) {
        "a person"
    } else if calls.iter().any(|call| matches!(call, CallState::Waiting(..))) {
        "a colleague"
    } else {
        "its tools"
    }
}
