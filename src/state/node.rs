//! Where is a node, and where does it stand? [`Instance`] and [`NodeState`], and the ways from a node to its description, its
//! team, its path and its place in declared order.

use std::sync::Arc;

use super::State;
use crate::{
    event::Outcome,
    graph::{Graph, Node, NodeKind, TeamPlan},
    value::{NodeIx, Role, Seq, TeamIx},
};

/// An instance of a graph: the root, a loop's item or round, a sub-team, a grown fragment.
#[derive(Clone, Debug)]
pub struct Instance {
    /// What it is an instance of.
    pub graph: Arc<Graph>,
    /// The scope that it belongs to; `None` for the root and for `finally`.
    pub scope: Option<NodeIx>,
    /// Its first node; the others follow in the order of the graph.
    pub base: u32,
    /// The item's index, the round from 1, else 0.
    pub number: u32,
    /// Its place among the instances that its scope ever had.
    pub ordinal: u32,
    /// What follows the scope's path.
    pub path: Arc<str>,
    /// Nodes that have not ended.
    pub open: u32,
    /// Of the nodes that failed and whose failure nobody handles, the first in declared order.
    pub failed: Option<NodeIx>,
    /// Who counts the calls in flight below it.
    pub limiter: u32,
    /// What the ranks of its nodes are counted from.
    pub tail: u64,
    /// The instance that is the outermost of its team: those who share it share their context.
    pub frame: u32,
}

impl PartialEq for Instance {
    /// Of graphs it compares the size: two folds of one journal hold graphs of their own that are alike.
    fn eq(&self, other: &Self) -> bool {
        let of = |i: &Self| (i.scope, i.base, i.number, i.path.clone(), i.open, i.failed, i.limiter, i.tail, i.frame);
        of(self) == of(other) && self.graph.dag.node_count() == other.graph.dag.node_count()
    }
}

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// For other nodes.
    Waiting,
    /// For a slot, or for the scheduler.
    Ready,
    /// In progress.
    Running,
    /// Between two attempts.
    Backoff,
    /// See its outcome.
    Ended,
}

/// What is known of a node; its description stands in its instance's graph.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeState {
    /// Its instance.
    pub instance: u32,
    /// Edges into it that are met.
    pub met: u32,
    /// Edges into it that cannot be met any more.
    pub unmet: u32,
    /// Edges into it.
    pub sources: u32,
    /// Conditions on them that are not judged yet.
    pub conditions: u32,
    /// Attempts begun.
    pub attempt: u32,
    /// Where it stands.
    pub stand: Stand,
    /// The record at which it last became ready.
    pub ready_at: Seq,
    /// The record at which it ended.
    pub ended_at: Seq,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

impl State {
    /// The instance of a node.
    pub fn instance_of(&self, node: NodeIx) -> &Instance {
        &self.instances[self.nodes[node.index()].instance as usize]
    }

    /// The description of a node.
    pub fn node(&self, node: NodeIx) -> &Node {
        let instance = self.instance_of(node);
        &instance.graph.dag[petgraph::graph::NodeIndex::new((node.0 - instance.base) as usize)]
    }

    /// The index of a node in its instance's graph.
    pub fn local(&self, node: NodeIx) -> petgraph::graph::NodeIndex {
        petgraph::graph::NodeIndex::new((node.0 - self.instance_of(node).base) as usize)
    }

    /// The team of a node.
    pub fn team_of(&self, node: NodeIx) -> (TeamIx, &TeamPlan) {
        let ix = self.instance_of(node).graph.team;
        (ix, self.started.plan.team(ix))
    }

    /// The outermost instance of a node's team: one for each time that the team is at work.
    pub fn frame_of(&self, node: NodeIx) -> u32 {
        self.instance_of(node).frame
    }

    /// The agent of an agent node.
    pub fn role_of(&self, node: NodeIx) -> Option<&Role> {
        if let NodeKind::Agent(agent) = &self.node(node).kind { Some(&agent.role) } else { None }
    }

    /// The path of a node, such as `review/1/synthesize`.
    pub fn path(&self, node: NodeIx) -> Arc<str> {
        let instance = self.instance_of(node);
        let id = &self.node(node).id;
        let Some(scope) = instance.scope else { return id.clone() };
        let mut path = self.path(scope).to_string();
        if !instance.path.is_empty() {
            path.push('/');
            path.push_str(&instance.path);
        }
        if !instance.graph.single {
            path.push('/');
            path.push_str(id);
        }
        path.into()
    }

    /// The node at a path.
    pub fn find(&self, path: &str) -> Option<NodeIx> {
        (0..self.nodes.len()).filter_map(|ix| u32::try_from(ix).ok().map(NodeIx)).find(|ix| *self.path(*ix) == *path)
    }

    /// Where a node stands in declared order: places of instances and of nodes, outermost first. The order in which scopes
    /// happened to grow has no part in it.
    pub fn position(&self, node: NodeIx) -> Vec<u32> {
        let instance = self.instance_of(node);
        let mut position = instance.scope.map(|scope| self.position(scope)).unwrap_or_default();
        position.extend([instance.ordinal, node.0 - instance.base]);
        position
    }

    /// The nodes that a node follows and that had ended when it became ready, in the order of its graph. One that never did,
    /// because it was skipped, followed nothing: which of its sources had ended by then is chance.
    pub fn followed(&self, node: NodeIx) -> Vec<NodeIx> {
        let instance = self.instance_of(node);
        let ready = self.nodes[node.index()].ready_at;
        let sources = instance.graph.dag.neighbors_directed(self.local(node), petgraph::Direction::Incoming);
        let sources = sources.map(|source| NodeIx(instance.base + u32::try_from(source.index()).unwrap_or(u32::MAX)));
        let ended = |source: &NodeIx| {
            let source = &self.nodes[source.index()];
            source.stand == Stand::Ended && source.ended_at <= ready
        };
        let mut followed: Vec<NodeIx> = sources.filter(ended).collect();
        followed.sort_unstable();
        followed
    }

    /// How a node ended, if it has.
    pub fn outcome(&self, node: NodeIx) -> Option<&Outcome> {
        self.nodes[node.index()].outcome.as_ref()
    }
}
