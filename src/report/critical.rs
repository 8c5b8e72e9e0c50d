//! Which chain of nodes took longest? The critical path of what really ran.

use std::{collections::BTreeMap, time::Duration};

use petgraph::Direction;

use super::Timeline;
use crate::{
    graph::{NodeKind, ScopeKind},
    state::State,
    value::NodeIx,
};

/// When a node ended on the longest chain up to it, and the node of that chain before it.
type Ends = BTreeMap<NodeIx, (Duration, Option<NodeIx>)>;

/// The longest chain of node times along edges, scopes and rounds.
pub(super) fn critical_path(state: &State, timeline: &Timeline) -> Duration {
    ends(state, timeline).values().map(|(end, _)| *end).max().unwrap_or_default()
}

/// The nodes of that chain, the first one first; a scope stands for none of its time.
pub(super) fn critical_chain(state: &State, timeline: &Timeline) -> Vec<NodeIx> {
    let ends = ends(state, timeline);
    // Of equals the first that ended.
    let last = timeline.ended.iter().rev().max_by_key(|node| ends.get(node).map(|(end, _)| *end));
    let mut chain: Vec<NodeIx> = std::iter::successors(last.copied(), |node| ends.get(node)?.1).collect();
    chain.reverse();
    chain.retain(|node| !matches!(state.node(*node).kind, NodeKind::Scope(_)));
    chain
}

fn ends(state: &State, timeline: &Timeline) -> Ends {
    let mut ends = Ends::new();
    for node in &timeline.ended {
        let (start, before) = start_of(state, &ends, *node);
        let end = match &state.node(*node).kind {
            NodeKind::Scope(_) => {
                latest(children(state, *node), &ends).map_or((start, before), |(end, child)| (end, Some(child)))
            }
            NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) => {
                (start + timeline.busy(*node), before)
            }
        };
        ends.insert(*node, end);
    }
    ends
}

/// The node that ends last, the first of equals.
fn latest(nodes: impl Iterator<Item = NodeIx>, ends: &Ends) -> Option<(Duration, NodeIx)> {
    let ended = nodes.filter_map(|node| Some((ends.get(&node)?.0, node)));
    ended.reduce(|best, next| if next.0 > best.0 { next } else { best })
}

fn start_of(state: &State, ends: &Ends, node: NodeIx) -> (Duration, Option<NodeIx>) {
    let instance = state.instance_of(node);
    let sources = instance.graph.dag.neighbors_directed(state.local(node), Direction::Incoming);
    let sources = sources.map(|s| NodeIx(instance.base + u32::try_from(s.index()).unwrap_or(u32::MAX)));
    let mut start = later((Duration::ZERO, None), latest(sources, ends));
    let Some(scope) = instance.scope else { return start };
    let around = start_of(state, ends, scope);
    if around.0 > start.0 {
        start = around;
    }
    let own = state.nodes[node.index()].instance;
    let earlier = match &state.node(scope).kind {
        NodeKind::Scope(kind) => match &**kind {
            ScopeKind::Repeat { .. } | ScopeKind::Relay { .. } | ScopeKind::Subtasks { .. } | ScopeKind::Settle(_) => {
                latest(children(state, scope).filter(|c| state.nodes[c.index()].instance < own), ends)
            }
            ScopeKind::ForEach { .. } | ScopeKind::Group { .. } | ScopeKind::Circle { .. } => None,
        },
        NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) => None,
    };
    later(start, earlier)
}

fn later(start: (Duration, Option<NodeIx>), other: Option<(Duration, NodeIx)>) -> (Duration, Option<NodeIx>) {
    match other {
        Some((end, node)) if end > start.0 || (start.1.is_none() && end == start.0) => (end, Some(node)),
        Some(_) | None => start,
    }
}

fn children(state: &State, scope: NodeIx) -> impl Iterator<Item = NodeIx> {
    let instances = state.scopes.get(&scope).map(|s| s.instances.as_slice()).unwrap_or_default();
    instances.iter().flat_map(|ix| {
        let instance = &state.instances[*ix as usize];
        (instance.base..instance.base + u32::try_from(instance.graph.dag.node_count()).unwrap_or(0)).map(NodeIx)
    })
}
