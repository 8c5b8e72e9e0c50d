//! Behaviours 1 to 7: what the compiler refuses, and where it says so.

use crate::common::{Bench, graph, lines, sole_error};

#[test]
fn behaviour_01_steps_that_wait_for_each_other_in_a_circle_are_refused_and_named() {
    let found = Bench::new().check(&graph(
        "
        nodes:
          start: { tool: say, args: { value: 1 } }
          first: { tool: say, args: { value: 1 }, after: [start, third] }
          second: { tool: say, args: { value: 2 }, after: first }
          third: { tool: say, args: { value: 3 }, after: second }
          last: { tool: say, args: { value: 4 }, after: third }
        ",
    ));
    let (code, line, _, message) = sole_error(&found);
    assert_eq!((code, line), ("cycle", 5));
    assert_eq!(message, "nodes wait for each other in a circle: first → second → third → first");
    let related: Vec<u32> =
        found.iter().filter(|d| d.is_error()).flat_map(|d| d.related.iter().map(|(place, _)| place.line)).collect();
    assert_eq!(related, [6, 7], "the other steps of the circle are shown where they stand");
}

#[test]
fn behaviour_01_a_step_that_waits_for_itself_is_refused() {
    let found = Bench::new().check(&graph("nodes:\n  again: { tool: say, args: { value: 1 }, after: again }\n"));
    let (code, line, _, message) = sole_error(&found);
    assert_eq!((code, line, message.as_str()), ("cycle", 4, "`again` waits for itself"));
}

#[test]
fn behaviour_02_a_dependency_on_a_step_that_does_not_exist_is_refused_naming_both_ends() {
    let found = Bench::new().check(&graph(
        "
        nodes:
          fetch: { tool: say, args: { value: 1 } }
          build: { tool: say, args: { value: 1 }, after: fetsh }
        ",
    ));
    let (code, line, column, message) = sole_error(&found);
    assert_eq!((code, line, column), ("unknown-node", 5, 50));
    assert!(message.contains("`build`") && message.contains("`fetsh`"), "{message}");
    let help = found.iter().find_map(|d| d.help.clone()).unwrap_or_default();
    assert!(help.contains("did you mean `fetch`?"), "{help}");
}

#[test]
fn behaviour_03_two_steps_with_one_id_are_refused_not_last_one_wins() {
    let found = Bench::new().check(&graph(
        "
        nodes:
          build: { tool: say, args: { value: 1 } }
          test: { tool: say, args: { value: 2 }, after: build }
          build: { tool: say, args: { value: 3 } }
        ",
    ));
    let (code, line, column, message) = sole_error(&found);
    assert_eq!((code, line, column), ("duplicate-key", 6, 3));
    assert!(message.contains("`build`"), "{message}");
}

#[test]
fn behaviour_03_two_agents_with_one_id_are_refused() {
    let found = Bench::new().check(
        "
        name: Twins
        collaboration_pattern: parallel
        member_agents:
          - { agent: agent, role: security }
          - { agent: agent, role: cost }
          - { agent: lead, role: security }
        ",
    );
    let (code, line, _, message) = sole_error(&found);
    assert_eq!((code, line), ("duplicate-id", 6));
    assert!(message.contains("`security`"), "{message}");
}

#[test]
fn behaviour_04_the_same_edge_twice_is_refused() {
    for after in ["[fetch, fetch]", "{ fetch: ok, fetch: failed }"] {
        let found = Bench::new().check(&graph(&format!(
            "
            nodes:
              fetch: {{ tool: say, args: {{ value: 1 }} }}
              build: {{ tool: say, args: {{ value: 2 }}, after: {after} }}
            ",
        )));
        let (code, line, _, message) = sole_error(&found);
        assert!(matches!(code, "duplicate-edge" | "duplicate-key"), "{}", lines(&found));
        assert_eq!(line, 5);
        assert!(message.contains("fetch"), "{message}");
    }
}

#[test]
fn behaviour_05_an_isolated_step_is_a_named_warning() {
    let found = Bench::new().check(&graph(
        "
        nodes:
          fetch: { tool: say, args: { value: 1 } }
          build: { tool: say, args: { value: 2 }, after: fetch }
          lonely: { tool: say, args: { value: 3 } }
        output: build.output
        ",
    ));
    let [warning] = found.as_slice() else { panic!("{}", lines(&found)) };
    assert!(!warning.is_error());
    assert_eq!((warning.code.name(), warning.line), ("unreachable", 6));
    assert!(warning.message.contains("`lonely`"), "{}", warning.message);
}

#[test]
fn behaviour_05_a_step_that_can_never_start_is_an_error() {
    let found = Bench::new().check(&graph(
        "
        nodes:
          triage: { tool: say, args: { value: 1 } }
          rest: { tool: say, args: { value: 2 }, after: { triage: else } }
        ",
    ));
    let (code, line, _, message) = sole_error(&found);
    assert_eq!((code, line), ("unreachable", 5));
    assert!(message.contains("`rest`") && message.contains("`triage`"), "{message}");
}

#[test]
fn behaviour_06_a_route_to_a_step_that_does_not_exist_is_refused() {
    let found = Bench::new().check(&graph(
        "
        nodes:
          triage: { tool: say, args: { value: billing } }
          billing: { tool: say, args: { value: 1 }, after: { triage: 'output == \"billing\"' } }
          lint: { tool: say, args: { value: 1 }, on_error: nobody }
          other: { tool: say, args: { value: 1 }, after: { triag: else, lint: done } }
        ",
    ));
    let errors: Vec<_> = found.iter().filter(|d| d.is_error()).map(|d| (d.code.name(), d.line)).collect();
    assert_eq!(errors, [("unknown-node", 6), ("unknown-node", 7)], "{}", lines(&found));
    assert!(found[0].message.contains("`lint`") && found[0].message.contains("`nobody`"), "{}", found[0].message);
}

#[test]
fn behaviour_06_a_rule_that_routes_to_nobody_is_a_clear_fault_at_run_time() {
    let bench = Bench::new();
    bench.file(
        "route.rhai",
        "fn route(facts) { if facts.task == \"the task\" { [#{ id: \"one\", agent: \"nobody\", task: \"x\" }] } else { [] } }\n",
    );
    let ran = bench.run(
        "
        name: Team
        collaboration_pattern: coordinator_worker
        coordinator: lead
        member_agents: [{ agent: agent, role: security }]
        rules: [route.rhai]
        ",
    );
    assert_eq!(ran.status.name(), "failed");
    let failure = ran.report.failure.clone().unwrap();
    assert_eq!((failure.kind.name(), failure.node.as_deref()), ("rule", Some("delegate")));
    assert!(failure.message.contains("nobody") && failure.message.contains("security"), "{failure}");
    assert_eq!(failure.place.map(|p| (p.file.to_string(), p.line)), Some(("route.rhai".to_owned(), 1)));
}

#[test]
fn behaviour_06_a_handoff_to_nobody_is_a_clear_fault_at_run_time() {
    let bench = Bench::new();
    bench.file(
        "handoff.rhai",
        "fn handoff(facts) { if facts.task == \"the task\" { #{ to: \"nobody\", brief: 1 } } else { () } }\n",
    );
    let ran = bench.run(
        "
        name: Team
        collaboration_pattern: sequential
        member_agents: [{ agent: agent, role: first }, { agent: agent, role: second }]
        rules: [handoff.rhai]
        ",
    );
    assert_eq!(ran.status.name(), "failed");
    let failure = ran.report.failure.clone().unwrap();
    assert_eq!(failure.kind.name(), "rule");
    assert!(failure.message.contains("nobody"), "{failure}");
}

#[test]
fn behaviour_07_an_unknown_key_is_refused_with_its_position() {
    let found = Bench::new().check(&graph(
        "
        nodes:
          fetch:
            tool: say
            argz: { value: 1 }
        ",
    ));
    let (code, line, column, message) = sole_error(&found);
    assert_eq!((code, line, column), ("unknown-key", 6, 5));
    assert!(message.contains("`argz`"), "{message}");
    assert!(found.iter().any(|d| d.excerpt() == Some("    argz: { value: 1 }")), "the line is shown");
}

#[test]
fn behaviour_07_a_wrong_type_is_refused_with_its_position() {
    let found = Bench::new().check(
        "
        name: Team
        collaboration_pattern: parallel
        member_agents: [{ agent: agent, role: security }]
        coordination_rules:
          parallel_execution: often
          max_parallel: [4]
        inputs:
          service: { type: string, default: 5 }
        ",
    );
    let errors: Vec<_> = found.iter().filter(|d| d.is_error()).map(|d| (d.code.name(), d.line, d.column)).collect();
    assert_eq!(errors, [("wrong-type", 5, 23), ("wrong-type", 6, 17), ("wrong-type", 8, 37)], "{}", lines(&found));
}
