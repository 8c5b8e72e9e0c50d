//! What does `reuse` do, at a node, a member and a coordinator?

use synod::value::Map;

use crate::common::{Bench, Ran, graph, sole_error};

/// What is taken over of each node when the team runs again.
fn taken(team: &str) -> Vec<(String, &'static str)> {
    let bench = Bench::new();
    let first = bench.run(team);
    let prepared = bench.load(team);
    let second: Ran = bench.block_on(async {
        let handle = bench.engine().start_reusing(&prepared, "the task", Map::new(), first.session()).await.unwrap();
        bench.ended(handle).await
    });
    second.completed();
    let rows = &second.report.reuse.as_ref().unwrap().nodes;
    rows.iter().map(|row| (row.node.to_string(), row.taken)).collect()
}

#[test]
fn reuse_of_a_node_comes_before_that_of_its_agent_and_a_loop_hands_it_to_each_item() {
    let team = |own: &str, node: &str| {
        graph(&format!(
            "
            member_agents: [{{ agent: agent, role: a{own} }}]
            nodes:
              one: {{ agent: a }}
              each: {{ for_each: '[1, 2]', max: 2, agent: a, after: one{node} }}
              put: {{ tool: put, args: {{ value: 1 }}{node} }}
            "
        ))
    };
    let all = |own, node| taken(&team(own, node)).into_iter().map(|(_, taken)| taken).collect::<Vec<_>>();
    assert_eq!(all("", ""), ["all", "all", "all", "nothing"]);
    assert_eq!(all(", reuse: true", ""), ["all", "all", "all", "nothing"]);
    assert_eq!(all(", reuse: false", ""), ["nothing"; 4]);
    assert_eq!(all(", reuse: false", ", reuse: always"), ["nothing", "all", "all", "all"]);
    assert_eq!(all("", ", reuse: false"), ["all", "nothing", "nothing", "nothing"]);
}

#[test]
fn reuse_of_a_coordinator_is_its_own() {
    let team = |own: &str| {
        format!(
            "name: Team\ncollaboration_pattern: coordinator_worker\ncoordinator: {{ agent: lead{own} }}\nmember_agents: [{{ agent: agent, role: a }}]\n"
        )
    };
    assert!(taken(&team("")).iter().all(|(_, taken)| *taken == "all"));
    for (node, taken) in taken(&team(", reuse: false")) {
        assert_eq!(taken, if node == "work/a" { "all" } else { "nothing" }, "{node}");
    }
}

#[test]
fn reuse_takes_a_boolean_or_always_and_belongs_to_agents_and_tools() {
    let bench = Bench::new();
    let (code, line, _, message) = sole_error(&bench.check(&graph("nodes: { a: { gate: '1', reuse: false } }")));
    assert_eq!((code, line), ("unknown-key", 3), "{message}");
    assert!(message.contains("agent") && message.contains("tool"), "{message}");
    let wrong = bench.check(&graph("nodes: { a: { tool: say, args: { value: 1 }, reuse: sometimes } }"));
    let (code, line, _, message) = sole_error(&wrong);
    assert_eq!((code, line), ("unknown-value", 3), "{message}");
    bench.file(
        "inner.yaml",
        "name: Inner\ncollaboration_pattern: coordinator_worker\ncoordinator: lead\nmember_agents: [{ agent: agent, role: a }]\n",
    );
    let team = "name: T\ncollaboration_pattern: parallel\nmember_agents: [{ team: ./inner.yaml, role: b, reuse: false }, { agent: agent, role: c }]\nresult: { by: merge }\n";
    let found = bench.check(team);
    assert!(
        found.iter().any(|d| d.is_error() && d.message.contains("`reuse` belongs to a member that is an agent")),
        "{found:?}"
    );
}
