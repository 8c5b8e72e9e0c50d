//! What waits for what? Edges from `after` and `on_error`, and what is wrong with them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use petgraph::{
    Direction,
    graph::{DiGraph, NodeIndex},
};

use super::{
    build::{Around, Builder},
    names::{Question, View, suggest},
    topo::Circle,
    trial::Wanted,
};
use crate::{
    graph::{Edge, Join, Node, On, Stragglers},
    team::{AfterOn, Code, Diagnostic, NodeSpec},
    value::Place,
};

/// Edges that are there, by source and target.
type Pairs = BTreeSet<(u32, u32)>;

/// Nodes that follow a failure: by an edge on `failed`, or named by an `on_error`.
pub(super) fn handlers(nodes: &[NodeSpec], ids: &BTreeMap<Arc<str>, u32>) -> BTreeSet<u32> {
    let by_edge = nodes.iter().filter(|n| n.after.iter().any(|a| a.on == AfterOn::Failed)).map(|n| &n.id);
    let by_name = nodes.iter().filter_map(|n| n.on_error.as_ref().map(|(id, _)| id));
    by_edge.chain(by_name).filter_map(|id| ids.get(id).copied()).collect()
}

impl Builder<'_> {
    /// Adds the edges of `specs` to `dag`, in declared order, and says what they mean for its nodes.
    pub(super) fn edges(&mut self, around: &mut Around<'_>, specs: &[NodeSpec], dag: &mut DiGraph<Node, Edge>) {
        let mut seen = BTreeSet::new();
        for (target, spec) in specs.iter().enumerate() {
            for after in &spec.after {
                let Some(source) = self.end(around, specs, &after.node, &after.place, &spec.id, "waits for") else { continue };
                let on = match &after.on {
                    AfterOn::Ok => On::Ok,
                    AfterOn::Failed => On::Failed,
                    AfterOn::Done => On::Done,
                    AfterOn::Else => On::Else,
                    AfterOn::When(text) => On::When(self.expression(around, text, View::Edge(source), Wanted::Condition)),
                };
                self.edge(dag, &mut seen, specs, (source, target as u32), on, &after.place);
            }
        }
        self.error_handlers(around, specs, dag, &mut seen);
        for (n, spec) in specs.iter().enumerate() {
            self.check_join(spec, NodeIndex::new(n), dag);
            self.check_conditions(specs, NodeIndex::new(n), dag);
        }
        if dag.edge_count() > 0 {
            self.check_isolated(around, specs, dag);
        }
    }

    fn error_handlers(&mut self, around: &Around<'_>, specs: &[NodeSpec], dag: &mut DiGraph<Node, Edge>, seen: &mut Pairs) {
        for (source, spec) in specs.iter().enumerate() {
            let Some((handler, place)) = &spec.on_error else { continue };
            if *handler == spec.id {
                let message = format!("`{}` cannot handle its own failure", spec.id);
                self.found.push(Diagnostic::error(Code::Cycle, place, message).help("name another node, or use `retry`"));
                continue;
            }
            let Some(target) = self.end(around, specs, handler, place, &spec.id, "hands its failure to") else { continue };
            self.edge(dag, seen, specs, (source as u32, target), On::Failed, place);
            let node = &mut dag[NodeIndex::new(target as usize)];
            // A handler of several nodes runs at the first failure and cuts none of the others off.
            if specs[target as usize].after.is_empty() && node.join == Join::All {
                (node.join, node.stragglers) = (Join::Any, Stragglers::Leave);
            }
        }
    }

    /// The node that `spec` names as the other end of an edge.
    fn end(&mut self, around: &Around<'_>, specs: &[NodeSpec], named: &str, place: &Place, by: &str, verb: &str) -> Option<u32> {
        let frame = around.scope.frames.last()?;
        if let Some(&found) = frame.ids.get(named) {
            return Some(found);
        }
        let message = format!("`{by}` {verb} `{named}`, which is no node of this graph");
        let known = specs.iter().map(|n| &*n.id).filter(|id| *id != by);
        self.found.push(Diagnostic::error(Code::UnknownNode, place, message).help(suggest(named, known)));
        None
    }

    fn edge(
        &mut self,
        dag: &mut DiGraph<Node, Edge>,
        seen: &mut Pairs,
        specs: &[NodeSpec],
        ends: (u32, u32),
        on: On,
        place: &Place,
    ) {
        let (source, target) = (NodeIndex::new(ends.0 as usize), NodeIndex::new(ends.1 as usize));
        if !seen.insert(ends) {
            let (from, to) = (&specs[source.index()].id, &specs[target.index()].id);
            let message = format!("`{to}` depends on `{from}` twice");
            let help = "keep one; `done` covers success and failure, and an expression may use `||`";
            self.found.push(Diagnostic::error(Code::DuplicateEdge, place, message).help(help));
            return;
        }
        if matches!(on, On::Failed | On::Done) {
            dag[source].caught = true;
        }
        dag.add_edge(source, target, Edge { on });
    }

    fn check_join(&mut self, spec: &NodeSpec, node: NodeIndex, dag: &DiGraph<Node, Edge>) {
        let Join::Quorum(wanted) = spec.join else { return };
        let sources = dag.edges_directed(node, Direction::Incoming).count();
        if wanted as usize > sources || wanted == 0 {
            let message = format!("`{}` waits for {wanted} of {sources} nodes, which can never be", spec.id);
            let help = format!("a quorum is a number from 1 to {sources}");
            self.found.push(Diagnostic::error(Code::OutOfRange, &spec.place, message).help(help));
        }
    }

    /// An `else` needs a condition that it is the rest of.
    fn check_conditions(&mut self, specs: &[NodeSpec], source: NodeIndex, dag: &DiGraph<Node, Edge>) {
        let ways = || dag.edges_directed(source, Direction::Outgoing);
        if ways().any(|e| matches!(e.weight().on, On::When(_))) {
            return;
        }
        let from = &specs[source.index()].id;
        for edge in ways().filter(|e| e.weight().on == On::Else) {
            let spec = &specs[petgraph::visit::EdgeRef::target(&edge).index()];
            let place = spec.after.iter().find(|a| a.node == *from).map_or(&spec.place, |a| &a.place);
            let message = format!("`{}` is the `else` of `{from}`, but no other node has a condition on `{from}`", spec.id);
            let help = format!("write `after: {from}`, or give a sibling a condition such as `after: {{ {from}: 'output.ok' }}`");
            self.found.push(Diagnostic::error(Code::Unreachable, place, message).help(help));
        }
    }

    /// In a graph with edges, a node without any is likely a slip.
    fn check_isolated(&mut self, around: &Around<'_>, specs: &[NodeSpec], dag: &DiGraph<Node, Edge>) {
        let named = around.scope.frames.last().map(|f| &f.questions[..]).unwrap_or_default();
        let used: BTreeSet<u32> = named.iter().map(|q| q.early).collect();
        for (n, spec) in specs.iter().enumerate() {
            let node = NodeIndex::new(n);
            if dag.neighbors_undirected(node).next().is_none() && !used.contains(&(n as u32)) {
                let message = format!("`{}` is isolated: it waits for nothing and nothing waits for it", spec.id);
                self.found.push(
                    Diagnostic::warning(Code::Unreachable, &spec.place, message).help("add `after`, or use it in `output`"),
                );
            }
        }
    }
}

/// Nodes that are named in a message at most.
const NAMED: usize = 50;

/// The error for nodes that wait for each other.
pub(super) fn circle(specs: &[NodeSpec], circle: &Circle) -> Diagnostic {
    let id = |n: &NodeIndex| &*specs[n.index()].id;
    let mut way: Vec<&str> = circle.nodes.iter().take(NAMED).map(id).collect();
    let first = way.first().copied().unwrap_or_default();
    if let [alone] = way[..] {
        let message = format!("`{alone}` waits for itself");
        return Diagnostic::error(Code::Cycle, &specs[circle.nodes[0].index()].place, message).help("drop that dependency");
    }
    if circle.nodes.len() > NAMED {
        way.push("…");
    }
    way.push(first);
    let mut message = format!("nodes wait for each other in a circle: {}", way.join(" → "));
    if !circle.others.is_empty() {
        let others = super::names::listed(circle.others.iter().map(id));
        message.push_str(&format!("; in circles with them: {others}"));
    }
    let place = |n: &NodeIndex| &specs[n.index()].place;
    let error = Diagnostic::error(Code::Cycle, place(&circle.nodes[0]), message);
    let error = error.help("drop one of these dependencies; for repetition there is `repeat: { max, until }`");
    circle.nodes.iter().skip(1).take(NAMED).fold(error, |error, n| error.related(place(n), format!("`{}` is part of it", id(n))))
}

/// The error for a name of a node that has not ended when it is used.
pub(super) fn not_before(specs: &[NodeSpec], question: &Question, late: u32) -> Diagnostic {
    let (name, by) = (&question.name, &specs[late as usize].id);
    if question.early == late {
        let message = format!("`{by}` cannot read its own output: it has none before it ends");
        return Diagnostic::error(Code::UnknownName, &question.place, message);
    }
    let message = format!("`{name}` is not before `{by}`, so its output may not be there yet");
    let help = format!("add `{name}` to the `after` of `{by}`");
    Diagnostic::error(Code::UnknownName, &question.place, message).help(help)
}
