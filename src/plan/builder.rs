//! How is a plan made in code, without a team file? [`PlanBuilder`], for tests, benchmarks and programs that know their graph.

use std::{collections::BTreeMap, sync::Arc};

use petgraph::graph::{DiGraph, NodeIndex};

use super::topo::{self, Order};
use crate::{
    graph::{Bounds, Edge, GateBy, Graph, Limits, Node, NodeKind, On, Plan, TeamPlan, ToolNode},
    value::{EffectClass, Expr, Map, Place, TeamIx, TemplateIx, Value},
};

/// Makes a plan of one graph, node by node.
///
/// ```
/// use synod::plan::PlanBuilder;
///
/// let mut plan = PlanBuilder::new();
/// let fetch = plan.tool("fetch", "noop");
/// let count = plan.gate("count", "1 + 1");
/// plan.edge(fetch, count);
/// assert_eq!(plan.build()?.graphs[0].rank, [2, 1]);
/// # Ok::<(), synod::plan::CircleError>(())
/// ```
#[derive(Debug)]
pub struct PlanBuilder {
    dag: DiGraph<Node, Edge>,
    lengths: BTreeMap<NodeIndex, u32>,
    max_parallel: u32,
}

/// Nodes of a plan wait for each other in a circle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("order the nodes: {} wait for each other in a circle", .0.join(" → "))]
pub struct CircleError(
    /// The ids of the circle, each before the one that waits for it.
    pub Vec<String>,
);

impl Default for PlanBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl PlanBuilder {
    /// A plan without nodes, whose calls may all be in flight at once.
    pub fn new() -> Self {
        Self { dag: DiGraph::new(), lengths: BTreeMap::new(), max_parallel: u32::MAX }
    }

    /// Lets at most `calls` calls be in flight at once.
    #[must_use]
    pub fn max_parallel(mut self, calls: u32) -> Self {
        self.max_parallel = calls;
        self
    }

    /// Adds any node.
    pub fn node(&mut self, node: Node) -> NodeIndex {
        self.dag.add_node(node)
    }

    /// Adds a call of `tool` without arguments, free to repeat.
    pub fn tool(&mut self, id: impl AsRef<str>, tool: &str) -> NodeIndex {
        let args = Value::map::<&str>([]);
        let tool = ToolNode { tool: Arc::from(tool), args, templates: Vec::new(), effect: EffectClass::Read, untrusted: false };
        self.node(Node::new(id, NodeKind::Tool(Box::new(tool))))
    }

    /// Adds a gate with an expression that names no other node.
    pub fn gate(&mut self, id: impl AsRef<str>, expression: &str) -> NodeIndex {
        let expr = Expr { source: Arc::from(expression), place: Place::default(), refs: Vec::new() };
        self.node(Node::new(id, NodeKind::Gate(GateBy::Expr(expr))))
    }

    /// Lets `after` wait for the success of `before`.
    pub fn edge(&mut self, before: NodeIndex, after: NodeIndex) {
        self.edge_on(before, after, On::Ok);
    }

    /// Lets `after` wait for `before`.
    pub fn edge_on(&mut self, before: NodeIndex, after: NodeIndex, on: On) {
        if matches!(on, On::Failed | On::Done) {
            self.dag[before].caught = true;
        }
        self.dag.add_edge(before, after, Edge { on });
    }

    /// Says how many seconds `node` is expected to take; 1 otherwise.
    pub fn expect_seconds(&mut self, node: NodeIndex, seconds: u32) {
        self.lengths.insert(node, seconds);
    }

    /// The plan. Its bounds are those of a plan without agents: nothing but wall time, which is not derived here.
    ///
    /// # Errors
    /// Nodes wait for each other in a circle.
    pub fn build(self) -> Result<Plan, CircleError> {
        let Self { dag, lengths, max_parallel } = self;
        let Some(order) = Order::of(&dag) else {
            let circle = topo::circles(&dag).into_iter().next().map(|c| c.nodes).unwrap_or_default();
            return Err(CircleError(circle.iter().map(|n| dag[*n].id.to_string()).collect()));
        };
        let rank = topo::ranks(&dag, &order, |n| lengths.get(&n).copied().unwrap_or(1));
        let graph = Graph { dag, output: None, team: TeamIx(0), single: false, concurrency: None, rank };
        let team = TeamPlan {
            name: Arc::from("built"),
            members: Vec::new(),
            coordinator: None,
            scripts: Vec::new(),
            rules: Vec::new(),
            escalation_policy: Vec::new(),
            escalation: Vec::new(),
            fail_fast: false,
            calls_per_turn: 8,
            may_write: BTreeMap::new(),
            max_asks: 0,
            max_tasks: crate::graph::MAX_TASKS,
            max_depth: 1,
            untrusted: crate::graph::Untrusted::Ask,
            detect: None,
            letters: Arc::default(),
            limits: Limits::default(),
        };
        Ok(Plan {
            graphs: vec![Arc::new(graph)],
            teams: vec![team],
            finally: None::<TemplateIx>,
            max_parallel,
            limits: Limits::default(),
            bounds: Bounds::default(),
            inputs: Map::new(),
            roots: Vec::new(),
            tools: crate::value::TeamTools::default(),
            digests: BTreeMap::new(),
        })
    }
}
