//! Can two nodes both run? [`exclusive`] knows branches that need contradicting outcomes of one node.

use std::collections::BTreeSet;

use petgraph::{
    Direction,
    graph::{DiGraph, EdgeReference, NodeIndex},
    visit::EdgeRef,
};

use crate::graph::{Edge, Join, Node, On};

/// Whether at most one of both runs.
pub(super) fn exclusive(dag: &DiGraph<Node, Edge>, a: NodeIndex, b: NodeIndex) -> bool {
    let needed = needs(dag, b);
    needs(dag, a).iter().any(|x| needed.iter().any(|y| contradict(dag, x, y)))
}

/// The edges that must be met for `node` to run.
fn needs(dag: &DiGraph<Node, Edge>, node: NodeIndex) -> Vec<EdgeReference<'_, Edge>> {
    let (mut found, mut seen, mut open) = (Vec::new(), BTreeSet::from([node]), vec![node]);
    while let Some(node) = open.pop() {
        let waits: Vec<_> = dag.edges_directed(node, Direction::Incoming).collect();
        let weight = &dag[node];
        if weight.short_run || (weight.join != Join::All && waits.len() > 1) {
            continue;
        }
        for edge in waits {
            if edge.weight().on != On::Done && seen.insert(edge.source()) {
                open.push(edge.source());
            }
            found.push(edge);
        }
    }
    found
}

fn contradict(dag: &DiGraph<Node, Edge>, x: &EdgeReference<'_, Edge>, y: &EdgeReference<'_, Edge>) -> bool {
    if x.source() != y.source() {
        return false;
    }
    let failure_is_fine = dag[x.source()].allow_failure;
    match (&x.weight().on, &y.weight().on) {
        (On::Failed, On::Ok | On::Else | On::When(_)) | (On::Ok | On::Else | On::When(_), On::Failed) => !failure_is_fine,
        (On::Else, On::When(_)) | (On::When(_), On::Else) => true,
        (On::When(x), On::When(y)) => differ(&x.source, &y.source),
        (On::Done, _) | (_, On::Done) | (On::Ok, _) | (_, On::Ok) | (On::Else, On::Else) | (On::Failed, On::Failed) => false,
    }
}

/// Whether both compare the same thing with different constants: `output.kind == "a"` and `output.kind == "b"`.
fn differ(x: &str, y: &str) -> bool {
    fn parts(text: &str) -> Option<(&str, &str)> {
        let (left, right) = text.split_once("==")?;
        let (left, right) = (left.trim(), right.trim());
        let word = right.strip_prefix('"').and_then(|r| r.strip_suffix('"')).is_some_and(|w| !w.contains(['"', '\\']));
        let constant = word || right.parse::<i64>().is_ok();
        let path = left.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
        (path && constant).then_some((left, right))
    }
    matches!((parts(x), parts(y)), (Some(x), Some(y)) if x.0 == y.0 && x.1 != y.1)
}
