//! Which chain of nodes took longest? The critical path of what really ran.

use std::{collections::BTreeMap, time::Duration};

use petgraph::Direction;

use super::Timeline;
use crate::{
    graph::{NodeKind, ScopeKind},
    state::State,
    value::NodeIx,
};

/// The longest chain of node times along edges, scopes and rounds.
pub(super) fn critical_path(state: &State, timeline: &Timeline) -> Duration {
    let mut ends: BTreeMap<NodeIx, Duration> = BTreeMap::new();
    let mut longest = Duration::ZERO;
    for node in &timeline.ended {
        let start = start_of(state, &ends, *node);
        let end = match &state.node(*node).kind {
            NodeKind::Scope(_) => children(state, *node).filter_map(|child| ends.get(&child)).max().copied().unwrap_or(start),
            NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) => start + timeline.busy(*node),
        };
        longest = longest.max(end);
        ends.insert(*node, end);
    }
    longest
}

fn start_of(state: &State, ends: &BTreeMap<NodeIx, Duration>, node: NodeIx) -> Duration {
    let instance = state.instance_of(node);
    let sources = instance.graph.dag.neighbors_directed(state.local(node), Direction::Incoming);
    let sources = sources.map(|s| NodeIx(instance.base + u32::try_from(s.index()).unwrap_or(u32::MAX)));
    let before = sources.filter_map(|source| ends.get(&source)).max().copied().unwrap_or_default();
    let Some(scope) = instance.scope else { return before };
    let around = start_of(state, ends, scope);
    let own = state.nodes[node.index()].instance;
    let earlier = match &state.node(scope).kind {
        NodeKind::Scope(kind) => match &**kind {
            ScopeKind::Repeat { .. } | ScopeKind::Relay { .. } | ScopeKind::Subtasks { .. } | ScopeKind::Settle(_) => {
                let done = children(state, scope).filter(|c| state.nodes[c.index()].instance < own);
                done.filter_map(|child| ends.get(&child)).max().copied().unwrap_or_default()
            }
            ScopeKind::ForEach { .. } | ScopeKind::Group { .. } | ScopeKind::Circle { .. } => Duration::ZERO,
        },
        NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) => Duration::ZERO,
    };
    before.max(around).max(earlier)
}

fn children(state: &State, scope: NodeIx) -> impl Iterator<Item = NodeIx> {
    let instances = state.scopes.get(&scope).map(|s| s.instances.as_slice()).unwrap_or_default();
    instances.iter().flat_map(|ix| {
        let instance = &state.instances[*ix as usize];
        (instance.base..instance.base + u32::try_from(instance.graph.dag.node_count()).unwrap_or(0)).map(NodeIx)
    })
}
