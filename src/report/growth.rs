//! How did the plan grow, and what became of it, as a drawing? [`growth`]: a flowchart in Mermaid.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use petgraph::visit::EdgeRef;

use crate::{
    event::{Outcome, Record},
    graph::{NodeKind, On},
    plan::mermaid_text,
    state::{FoldError, Stand, State},
    value::NodeIx,
};

/// Nodes of a drawing at most.
const MAX_NODES: usize = 150;
/// Edges of a drawing at most; Mermaid draws 500.
const MAX_EDGES: usize = 400;
/// Bytes of its nodes at most; Mermaid reads 50,000 characters.
const MAX_BYTES: usize = 30_000;
/// Characters of a text in a node or at an edge.
const SHOWN: usize = 50;

/// The colours of what became of a node.
const CLASSES: [(&str, &str); 6] = [
    ("ok", "fill:#d5f0d8,stroke:#3a7d44"),
    ("failed", "fill:#f8d3d0,stroke:#b3372f"),
    ("skipped", "fill:#eeeeee,stroke:#999999,color:#777777"),
    ("cancelled", "fill:#eeeeee,stroke:#b3372f"),
    ("working", "fill:#fff3c4,stroke:#b08900"),
    ("pending", "fill:#ffffff,stroke:#999999"),
];

/// The nodes of the session of `records`, all that grew included, with what became of each. What is beyond the bounds of a drawing is
/// counted.
///
/// # Errors
/// The records are no session.
pub fn growth(records: &[Record]) -> Result<String, FoldError> {
    let state = State::fold(records)?;
    let mut drawing =
        Drawing { state: &state, page: String::from("flowchart TD\n"), drawn: BTreeSet::new(), classes: BTreeMap::new() };
    let outermost = state.instances.iter().enumerate().filter(|(_, instance)| instance.scope.is_none());
    for (ix, _) in outermost {
        drawing.instance(ix, 1);
    }
    drawing.edges();
    let left = state.nodes.len() - drawing.drawn.len();
    let mut page = drawing.page;
    if left > 0 {
        writeln!(page, "  more[\"{left} more nodes are not drawn\"]").ok();
    }
    for (class, colours) in CLASSES {
        if let Some(nodes) = drawing.classes.get(class) {
            writeln!(page, "  classDef {class} {colours}\n  class {} {class}", nodes.join(",")).ok();
        }
    }
    Ok(page)
}

struct Drawing<'s> {
    state: &'s State,
    page: String,
    drawn: BTreeSet<NodeIx>,
    classes: BTreeMap<&'static str, Vec<String>>,
}

impl Drawing<'_> {
    fn instance(&mut self, ix: usize, depth: usize) {
        let Some(instance) = self.state.instances.get(ix) else { return };
        let size = u32::try_from(instance.graph.dag.node_count()).unwrap_or(0);
        for node in (instance.base..instance.base.saturating_add(size)).map(NodeIx) {
            self.node(node, depth);
        }
    }

    fn is_full(&self) -> bool {
        self.drawn.len() >= MAX_NODES || self.page.len() >= MAX_BYTES
    }

    fn node(&mut self, node: NodeIx, depth: usize) {
        if self.is_full() {
            return;
        }
        self.drawn.insert(node);
        let (class, became) = self.became(node);
        self.classes.entry(class).or_default().push(format!("n{node}"));
        let label = format!(
            "{}<br/>{}<br/>{}",
            mermaid_text(&self.name(node), SHOWN),
            mermaid_text(&what(self.state, node), SHOWN),
            mermaid_text(&became, SHOWN)
        );
        let below: Vec<u32> = self.state.scopes.get(&node).map_or_else(Vec::new, |scope| scope.instances.clone());
        let below =
            below.into_iter().filter(|ix| self.state.instances.get(*ix as usize).is_some_and(|i| i.graph.dag.node_count() > 0));
        let below: Vec<usize> = below.map(|ix| ix as usize).collect();
        let indent = "  ".repeat(depth);
        let is_scope = matches!(self.state.node(node).kind, NodeKind::Scope(_));
        if is_scope && !below.is_empty() && !self.is_full() {
            writeln!(self.page, "{indent}subgraph n{node}[\"{label}\"]").ok();
            below.into_iter().for_each(|ix| self.instance(ix, depth + 1));
            writeln!(self.page, "{indent}end").ok();
            return;
        }
        let (open, close) = match &self.state.node(node).kind {
            NodeKind::Agent(_) => ("(", ")"),
            NodeKind::Tool(_) => ("[[", "]]"),
            NodeKind::Gate(_) => ("{", "}"),
            NodeKind::Ask(_) => ("[/", "/]"),
            NodeKind::Scope(_) => ("[", "]"),
        };
        writeln!(self.page, "{indent}n{node}{open}\"{label}\"{close}").ok();
        // What grew below an agent answers it.
        below.into_iter().for_each(|ix| self.instance(ix, depth));
    }

    /// The path of a node below that of its scope.
    fn name(&self, node: NodeIx) -> String {
        let path = self.state.path(node);
        let scope = self.state.instance_of(node).scope.map(|scope| self.state.path(scope));
        let below = scope.and_then(|scope| path.strip_prefix(&*scope)?.strip_prefix('/').map(str::to_owned));
        below.unwrap_or_else(|| path.to_string())
    }

    /// Its class and what became of it, in words.
    fn became(&self, node: NodeIx) -> (&'static str, String) {
        let state = &self.state.nodes[node.index()];
        let attempts = if state.attempt > 1 { format!(", attempt {}", state.attempt) } else { String::new() };
        let (class, words) = match (&state.outcome, state.stand) {
            (Some(Outcome::Ok(_)), _) => ("ok", "ok".to_owned()),
            (Some(Outcome::Failed(failure)), _) => ("failed", format!("{}: {}", self.state.status_name(node), failure.message)),
            (Some(Outcome::Skipped(_)), _) => ("skipped", "skipped".to_owned()),
            (Some(Outcome::Cancelled), _) => ("cancelled", "cancelled".to_owned()),
            (None, Stand::Running | Stand::Backoff) => ("working", "at work".to_owned()),
            (None, Stand::Waiting | Stand::Ready | Stand::Ended) => ("pending", "pending".to_owned()),
        };
        (class, format!("{words}{attempts}"))
    }

    /// The edges between what is drawn, and from agents to those that answer them.
    fn edges(&mut self) {
        let mut lines = Vec::new();
        for instance in &self.state.instances {
            let node = |local: petgraph::graph::NodeIndex| NodeIx(instance.base + u32::try_from(local.index()).unwrap_or(0));
            for edge in instance.graph.dag.edge_references() {
                let (from, to) = (node(edge.source()), node(edge.target()));
                if self.drawn.contains(&from) && self.drawn.contains(&to) {
                    lines.push(format!("  n{from} -->{} n{to}", condition(&edge.weight().on)));
                }
            }
            let asker = instance.scope.filter(|scope| matches!(self.state.node(*scope).kind, NodeKind::Agent(_)));
            if let Some(asker) = asker.filter(|asker| self.drawn.contains(asker) && self.drawn.contains(&NodeIx(instance.base))) {
                lines.push(format!("  n{asker} -.-> n{}", instance.base));
            }
        }
        let mut bytes = 0;
        for line in lines.iter().take(MAX_EDGES) {
            bytes += line.len() + 1;
            if bytes > MAX_BYTES / 2 {
                break;
            }
            self.page.push_str(line);
            self.page.push('\n');
        }
    }
}

fn condition(on: &On) -> String {
    let text = match on {
        On::Ok => return String::new(),
        On::Failed => "failed",
        On::Done => "done",
        On::Else => "else",
        On::When(expr) => &expr.source,
    };
    format!("|\"{}\"|", mermaid_text(text, SHOWN))
}

fn what(state: &State, node: NodeIx) -> String {
    match &state.node(node).kind {
        NodeKind::Agent(agent) => format!("{}, {}", agent.role, agent.phase.name()),
        NodeKind::Tool(tool) => format!("tool {}", tool.tool),
        NodeKind::Gate(_) => "gate".to_owned(),
        NodeKind::Ask(_) => "asks a person".to_owned(),
        NodeKind::Scope(_) => match state.node(node).role() {
            Some(member) => format!("{member}, a team"),
            None => grew(state, node),
        },
    }
}

fn grew(state: &State, node: NodeIx) -> String {
    match state.scopes.get(&node).map_or(0, |scope| scope.instances.len()) {
        0 => "has not grown".to_owned(),
        1 => "grew once".to_owned(),
        times => format!("grew {times} times"),
    }
}
