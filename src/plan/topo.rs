//! What comes before what? Topological order, circles, ranks and questions of ancestry, each near-linear in the graph.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use petgraph::{
    Direction,
    algo::{kosaraju_scc, toposort},
    graph::{DiGraph, NodeIndex},
};

/// The nodes of a graph, each after all that it waits for.
pub(super) struct Order {
    /// The nodes in that order.
    pub nodes: Vec<NodeIndex>,
    /// The place of each node in it.
    pub place: Vec<u32>,
}

impl Order {
    /// The order of `dag`; `None` when nodes wait for each other in a circle.
    pub fn of<N, E>(dag: &DiGraph<N, E>) -> Option<Self> {
        let nodes = toposort(dag, None).ok()?;
        let mut place = vec![0; nodes.len()];
        for (position, node) in nodes.iter().enumerate() {
            place[node.index()] = position as u32;
        }
        Some(Self { nodes, place })
    }
}

/// A circle and the other nodes that are in circles with it.
pub(super) struct Circle {
    /// Nodes of a shortest circle, each before the one that waits for it; the last is before the first.
    pub nodes: Vec<NodeIndex>,
    /// The rest of its strongly connected component, in declared order.
    pub others: Vec<NodeIndex>,
}

/// All circles of `dag`, one per strongly connected component, in declared order.
///
/// Kosaraju's algorithm, since `tarjan_scc` recurses as deep as the graph is long.
pub(super) fn circles<N, E>(dag: &DiGraph<N, E>) -> Vec<Circle> {
    let mut found = Vec::new();
    for component in kosaraju_scc(dag) {
        let inside: BTreeSet<NodeIndex> = component.into_iter().collect();
        let Some(&first) = inside.first() else { continue };
        if inside.len() == 1 && !dag.contains_edge(first, first) {
            continue;
        }
        let nodes = shortest_circle(dag, first, &inside);
        let others = inside.iter().filter(|n| !nodes.contains(n)).copied().collect();
        found.push(Circle { nodes, others });
    }
    found.sort_by_key(|circle| circle.nodes.first().copied());
    found
}

/// A shortest way from `first` back to itself inside its strongly connected component, by breadth.
fn shortest_circle<N, E>(dag: &DiGraph<N, E>, first: NodeIndex, inside: &BTreeSet<NodeIndex>) -> Vec<NodeIndex> {
    let mut came_from: BTreeMap<NodeIndex, NodeIndex> = BTreeMap::new();
    let mut queue = VecDeque::from([first]);
    while let Some(node) = queue.pop_front() {
        let mut next: Vec<NodeIndex> = dag.neighbors(node).filter(|n| inside.contains(n)).collect();
        next.sort();
        for follower in next {
            if follower == first {
                let mut way = vec![node];
                while let Some(&before) = way.last().and_then(|n| came_from.get(n)) {
                    way.push(before);
                }
                way.reverse();
                return way;
            }
            came_from.entry(follower).or_insert_with(|| {
                queue.push_back(follower);
                node
            });
        }
    }
    vec![first]
}

/// For each node, the length of the longest path from it to a sink, its own length (`own`) included.
pub(super) fn ranks<N, E>(dag: &DiGraph<N, E>, order: &Order, own: impl Fn(NodeIndex) -> u32) -> Vec<u32> {
    let mut rank = vec![0_u32; order.nodes.len()];
    for &node in order.nodes.iter().rev() {
        let rest = dag.neighbors(node).map(|n| rank[n.index()]).max().unwrap_or(0);
        rank[node.index()] = own(node).max(1).saturating_add(rest);
    }
    rank
}

/// Targets that are followed through the graph at once, a bit each.
const BATCH: usize = 64;

/// For each pair `(late, early)`, whether `early` is a proper ancestor of `late`.
///
/// Those that follow directly are answered at once; for the rest, one sweep along the order carries 64 targets, so that n questions cost
/// n²/64 steps at worst instead of n².
pub(super) fn ancestors<N, E>(dag: &DiGraph<N, E>, order: &Order, pairs: &[(NodeIndex, NodeIndex)]) -> Vec<bool> {
    let direct = |late, early| dag.neighbors_directed(late, Direction::Incoming).take(BATCH).any(|n| n == early);
    let mut answers: Vec<bool> = pairs.iter().map(|&(late, early)| direct(late, early)).collect();
    let open = |n: usize| !answers[n] && order.place[pairs[n].1.index()] < order.place[pairs[n].0.index()];
    let mut asked: BTreeMap<NodeIndex, Vec<usize>> = BTreeMap::new();
    for n in (0..pairs.len()).filter(|&n| open(n)) {
        asked.entry(pairs[n].1).or_default().push(n);
    }
    let targets: Vec<(NodeIndex, Vec<usize>)> = asked.into_iter().collect();
    let mut reached = vec![0_u64; order.nodes.len()];
    for batch in targets.chunks(BATCH) {
        reached.fill(0);
        let bits: BTreeMap<NodeIndex, u64> = batch.iter().enumerate().map(|(bit, (target, _))| (*target, 1 << bit)).collect();
        for &node in &order.nodes {
            let above = dag.neighbors_directed(node, Direction::Incoming);
            reached[node.index()] |= above.fold(0, |mask, n| mask | reached[n.index()]);
            reached[node.index()] |= bits.get(&node).copied().unwrap_or(0);
        }
        for (bit, (_, questions)) in batch.iter().enumerate() {
            for &n in questions {
                answers[n] = reached[pairs[n].0.index()] & (1 << bit) != 0;
            }
        }
    }
    answers
}
