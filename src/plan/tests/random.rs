//! Does any graph compile or give an error, and is it an error just when there is a circle?

use std::sync::LazyLock;

use petgraph::{algo::tarjan_scc, graph::DiGraph};
use proptest::prelude::*;

use super::*;
use crate::{
    plan::topo::{self, Order},
    team::{After, AfterOn, NodeSpec, Text},
};

/// Any graph of up to 12 nodes.
fn graphs() -> impl Strategy<Value = DiGraph<(), ()>> {
    (1_usize..12).prop_flat_map(|n| {
        proptest::collection::btree_set((0..n, 0..n), 0..n * 2).prop_map(move |edges| {
            let mut dag = DiGraph::new();
            for _ in 0..n {
                dag.add_node(());
            }
            dag.extend_with_edges(edges.into_iter().map(|(a, b)| (a as u32, b as u32)));
            dag
        })
    })
}

fn circular(dag: &DiGraph<(), ()>) -> bool {
    tarjan_scc(dag).iter().any(|scc| scc.len() > 1 || dag.contains_edge(scc[0], scc[0]))
}

fn team(dag: &DiGraph<(), ()>, texts: &[String]) -> Team {
    static ONE: LazyLock<Team> = LazyLock::new(|| load(&graph("nodes: { n0: { gate: '1' } }\n")));
    let mut team = ONE.clone();
    let place = team.nodes[0].place.clone();
    let text = |n: usize| Text { source: texts.get(n).map_or("1", |t| t).into(), place: place.clone() };
    let first = team.nodes[0].clone();
    let node = |n: usize| NodeSpec {
        id: format!("n{n}").into(),
        what: crate::team::What::Gate(text(n)),
        after: dag
            .neighbors_directed((n as u32).into(), petgraph::Direction::Incoming)
            .map(|source| After { node: format!("n{}", source.index()).into(), place: place.clone(), on: AfterOn::Done })
            .collect(),
        ..first.clone()
    };
    team.nodes = (0..dag.node_count()).map(node).collect();
    team
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_graph_is_refused_just_when_it_has_a_circle(dag in graphs()) {
        let said = said_of(&team(&dag, &[]));
        prop_assert_eq!(said.contains("error[cycle]"), circular(&dag), "{}", said);
        prop_assert_eq!(Order::of(&dag).is_none(), circular(&dag));
    }

    #[test]
    fn no_text_makes_the_compiler_panic(dag in graphs(), texts in proptest::collection::vec("(n[0-9]{1,2}|[a-z\"{}%.+ ]{0,3}|\\PC){0,8}", 0..12)) {
        drop(compiled(&team(&dag, &texts)));
    }

    #[test]
    fn ancestry_is_what_a_walk_finds(dag in graphs()) {
        if let Some(order) = Order::of(&dag) {
            let pairs: Vec<_> = dag.node_indices().flat_map(|a| dag.node_indices().map(move |b| (a, b))).collect();
            for ((late, early), answer) in pairs.iter().zip(topo::ancestors(&dag, &order, &pairs)) {
                let expected = late != early && petgraph::algo::has_path_connecting(&dag, *early, *late, None);
                prop_assert_eq!(answer, expected);
            }
        }
    }

    #[test]
    fn ranks_fall_along_every_edge(dag in graphs()) {
        if let Some(order) = Order::of(&dag) {
            let rank = topo::ranks(&dag, &order, |n| n.index() as u32);
            for edge in dag.edge_indices() {
                let (a, b) = dag.edge_endpoints(edge).unwrap();
                prop_assert!(rank[a.index()] >= rank[b.index()] + (a.index() as u32).max(1));
            }
        }
    }
}

#[test]
fn ten_thousand_nodes_compile_as_a_chain_and_as_a_fan() {
    let mut chain = DiGraph::new();
    let nodes: Vec<_> = (0..10_000).map(|_| chain.add_node(())).collect();
    chain.extend_with_edges(nodes.windows(2).map(|w| (w[0], w[1])));
    let texts: Vec<String> =
        (0..10_000).map(|n| if n > 1 { format!("n0.output + n{}.output", n - 2) } else { "1".into() }).collect();
    let plan = plan_of(&team(&chain, &texts));
    assert_eq!(plan.graphs[0].rank[0], 10_000);
    let mut fan = DiGraph::new();
    let nodes: Vec<_> = (0..10_000).map(|_| fan.add_node(())).collect();
    fan.extend_with_edges(nodes[1..9_999].iter().flat_map(|&n| [(nodes[0], n), (n, nodes[9_999])]));
    assert_eq!(plan_of(&team(&fan, &[])).graphs[0].rank[0], 3);
}

#[test]
fn a_circle_of_ten_thousand_nodes_does_not_overflow_the_stack() {
    let mut dag = DiGraph::new();
    let nodes: Vec<_> = (0..10_000).map(|_| dag.add_node(())).collect();
    dag.extend_with_edges(nodes.windows(2).map(|w| (w[0], w[1])));
    dag.add_edge(nodes[9_999], nodes[0], ());
    assert!(said_of(&team(&dag, &[])).contains("n48 → n49 → … → n0"));
}
