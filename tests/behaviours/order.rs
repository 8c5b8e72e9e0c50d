//! Behaviours 8 to 16: what starts when, how many at once, and in which order results come together.

use serde_json::json;

use crate::common::{Bench, graph, sole_error};

#[test]
fn behaviour_08_the_end_of_a_diamond_starts_after_both_sides_and_runs_once() {
    let bench = Bench::new();
    let ran = bench.run(&graph(
        "
        nodes:
          a: { tool: say, args: { value: 1 } }
          b: { tool: say, args: { value: 2 }, after: a }
          c: { tool: say, args: { value: 3 }, after: a }
          d: { tool: say, args: { value: \"{{ b.output + c.output }}\" }, after: [b, c] }
        ",
    ));
    assert_eq!(ran.completed(), json!(5));
    let starts = ran.starts("d");
    assert_eq!(starts.len(), 1);
    assert!(starts[0] > ran.end("b") && starts[0] > ran.end("c"));
    assert_eq!(bench.board.calls("d"), 1);
}

#[test]
fn behaviour_09_a_join_of_unequal_branches_waits_for_the_longer_one() {
    let bench = Bench::new();
    // The long branch cannot go on before the short one has ended.
    let ran = bench.run(&graph(
        "
        nodes:
          a: { tool: say, args: { value: 1 } }
          short: { tool: say, args: { value: s }, after: a }
          long1: { tool: hold, args: { until: ended short }, after: a }
          long2: { tool: say, args: { value: 2 }, after: long1 }
          long3: { tool: say, args: { value: l }, after: long2 }
          join: { gate: '[short.output, long3.output]', after: [short, long3] }
        ",
    ));
    assert_eq!(ran.completed(), json!(["s", "l"]));
    assert!(ran.end("join") > ran.end("long3"));
}

#[test]
fn behaviour_10_several_roots_start_without_waiting_for_one_another() {
    let bench = Bench::new();
    // Each root waits for all four to be at it.
    let ran = bench.run(&graph(
        "
        nodes:
          a: { tool: meet, args: { of: 4 } }
          b: { tool: meet, args: { of: 4 } }
          c: { tool: meet, args: { of: 4 } }
          d: { tool: meet, args: { of: 4 } }
        ",
    ));
    ran.completed();
    assert_eq!(bench.board.most("anywhere"), 4);
}

#[test]
fn behaviour_11_never_more_run_at_once_than_the_limit_and_the_limit_is_reached() {
    for limit in [1, 3, 5] {
        let bench = Bench::new();
        let ran = bench.run(&graph(&format!(
            "
            coordination_rules: {{ max_parallel: {limit} }}
            nodes:
              each: {{ for_each: '[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]', max: 10, tool: meet, args: {{ of: {limit}, value: '{{{{ item }}}}' }} }}
            ",
        )));
        assert_eq!(ran.completed(), json!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
        assert_eq!(bench.board.most("anywhere"), limit);
        assert_eq!(ran.most_at_once("each/"), limit as usize);
    }
}

#[test]
fn behaviour_11_the_limit_holds_for_items_of_a_loop() {
    let bench = Bench::new();
    let ran = bench.run(&graph(
        "
        nodes:
          each: { for_each: '[0, 1, 2, 3, 4, 5, 6]', max: 10, parallel: 2, tool: meet, args: { of: 2 } }
        ",
    ));
    ran.completed();
    assert_eq!(bench.board.most("anywhere"), 2);
}

#[test]
fn behaviour_12_in_nested_groups_the_tighter_limit_holds() {
    let bench = Bench::new();
    let ran = bench.run(&graph(
        "
        nodes:
          wide:
            concurrency: 4
            nodes:
              tight: { for_each: '[1, 2, 3, 4, 5, 6]', max: 6, concurrency: 2, tool: meet, args: { of: 2, at: tight } }
              rest: { for_each: '[1, 2, 3, 4]', max: 4, tool: meet, args: { of: 2, at: rest } }
          narrow:
            concurrency: 3
            nodes:
              loose: { for_each: '[1, 2, 3, 4, 5, 6]', max: 6, concurrency: 5, tool: meet, args: { of: 3, at: loose } }
        ",
    ));
    ran.completed();
    assert_eq!(bench.board.most("tight"), 2, "its own limit is the tighter one");
    assert_eq!(bench.board.most("loose"), 3, "the limit around it is the tighter one");
    assert_eq!(ran.most_at_once("wide/tight/"), 2);
    assert!(ran.most_at_once("wide/") <= 4);
    assert!(ran.most_at_once("wide/rest/") >= 2);
    assert_eq!(ran.most_at_once("narrow/"), 3);
}

#[test]
fn behaviour_13_results_merge_in_declared_order_whatever_order_they_come_in() {
    for order in [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"]] {
        let [first, second, third] = order;
        let bench = Bench::new();
        // `last` names whose end each one waits for.
        bench.script(
            "writer",
            "
            switch view.turn {
                0 => #{ calls: [#{ tool: \"hold\", args: #{ \"until\": view.task } }] },
                1 => #{ calls: [#{ tool: \"set_variable\", args: #{ variable: \"order\", value: view.role } },
                                #{ tool: \"broadcast_finding\", args: #{ topic: \"t\", claim: view.role, confidence: 0.5 } }] },
                _ => #{ finish: view.role }
            }
            ",
        );
        let waits = |role: &str| match role {
            r if r == second => format!("ended {first}"),
            r if r == third => format!("ended {second}"),
            _ => "started a".to_owned(),
        };
        let ran = bench.run(&format!(
            "
            name: Team
            collaboration_pattern: graph
            member_agents:
              - {{ agent: writer, role: a, writes: [{{ variable: order, merge: append }}] }}
              - {{ agent: writer, role: b, writes: [{{ variable: order, merge: append }}] }}
              - {{ agent: writer, role: c, writes: [{{ variable: order, merge: append }}] }}
            nodes:
              a: {{ agent: a, task: {} }}
              b: {{ agent: b, task: {} }}
              c: {{ agent: c, task: {} }}
              all: {{ rule: merge, after: [a, b, c] }}
              list: {{ gate: '[a.output, b.output, c.output]', after: all }}
            output: '[all.output.keys(), list.output]'
            ",
            waits("a"),
            waits("b"),
            waits("c"),
        ));
        assert_eq!(ran.completed(), json!([["a", "b", "c"], ["a", "b", "c"]]));
        assert!(ran.end(first) < ran.end(second) && ran.end(second) < ran.end(third), "they came in another order");
        assert_eq!(ran.variable("order").unwrap().to_json(), json!(["a", "b", "c"]));
        let findings: Vec<_> = ran.report.findings.iter().map(|f| f.agent.as_str().to_owned()).collect();
        assert_eq!(findings, ["a", "b", "c"]);
    }
}

#[test]
fn behaviour_14_two_parallel_writers_of_one_key_without_a_merge_are_an_error_that_names_it() {
    let bench = Bench::new();
    let team = |after: &str, merge: &str| {
        format!(
            "
            name: Team
            collaboration_pattern: graph
            member_agents:
              - {{ agent: agent, role: a, writes: [{{ variable: verdict{merge} }}] }}
              - {{ agent: agent, role: b, writes: [{{ variable: verdict{merge} }}] }}
            nodes:
              a: {{ agent: a }}
              b: {{ agent: b{after} }}
            "
        )
    };
    let (code, line, _, message) = sole_error(&bench.check(&team("", "")));
    assert_eq!((code, line), ("write-conflict", 8));
    assert!(message.contains("`verdict`") && message.contains("`a`") && message.contains("`b`"), "{message}");
    bench.load(&team(", after: a", ""));
    bench.load(&team("", ", merge: last"));
}

#[test]
fn behaviour_14_items_of_a_loop_that_write_one_key_without_a_merge_are_an_error_that_names_it() {
    let found = Bench::new().check(
        "
        name: Team
        collaboration_pattern: graph
        member_agents: [{ agent: agent, role: a }]
        nodes:
          each: { for_each: '[1, 2]', max: 2, agent: a, writes: verdict }
        ",
    );
    let (code, line, _, message) = sole_error(&found);
    assert_eq!((code, line), ("write-conflict", 5));
    assert!(message.contains("`verdict`"), "{message}");
}

#[test]
fn behaviour_15_a_step_that_changes_its_input_changes_it_for_nobody_else() {
    let bench = Bench::new();
    bench.script(
        "greedy",
        "let mine = view.input.source; mine.push(99); view.input.source.push(3); #{ finish: [mine, view.input.source] }",
    );
    let ran = bench.run(
        "
        name: Team
        collaboration_pattern: graph
        member_agents: [{ agent: greedy, role: one }, { agent: greedy, role: two }]
        nodes:
          source: { tool: say, args: { value: [1, 2] } }
          one: { agent: one, after: source }
          two: { agent: two, after: source }
          three: { gate: 'source.output', after: [one, two] }
        output: three.output
        ",
    );
    assert_eq!(ran.completed(), json!([1, 2]));
    for sibling in ["one", "two"] {
        assert_eq!(ran.output_of(sibling), json!([[1, 2, 99], [1, 2, 3]]));
    }
    assert_eq!(ran.output_of("source"), json!([1, 2]), "what is on the record stays as it was");
}

#[test]
fn behaviour_16_a_step_is_mapped_over_a_list_and_results_stand_in_item_order() {
    let bench = Bench::new();
    // Each item waits for the one after it, so that they end from the last to the first.
    let ran = bench.run(&graph(
        "
        nodes:
          list: { tool: say, args: { value: [0, 1, 2, 3] } }
          each:
            for_each: list.output
            as: number
            max: 10
            after: list
            tool: hold
            args: { until: \"{% if number == 3 %}started each/3{% else %}ended each/{{ number + 1 }}{% endif %}\", value: \"{{ number * 10 }}\" }
        ",
    ));
    assert_eq!(ran.completed(), json!([0, 10, 20, 30]));
    assert!(ran.end("each/3") < ran.end("each/0"));
    for item in 0..4 {
        assert_eq!(bench.board.calls(&format!("each/{item}")), 1);
    }
}

#[test]
fn behaviour_16_an_empty_list_gives_an_empty_result_and_a_finished_run() {
    let bench = Bench::new();
    let ran = bench.run(&graph(
        "
        nodes:
          list: { tool: say, args: { value: [] } }
          each: { for_each: list.output, max: 10, tool: say, args: { value: '{{ item }}' }, after: list }
          after: { gate: 'each.output.len()', after: each }
        output: '[each.output, after.output]'
        ",
    ));
    assert_eq!(ran.completed(), json!([[], 0]));
}

#[test]
fn behaviour_16_more_items_than_max_fail_the_step() {
    let ran = Bench::new().run(&graph(
        "
        nodes:
          list: { tool: say, args: { value: [1, 2, 3] } }
          each: { for_each: list.output, max: 2, tool: say, args: { value: '{{ item }}' }, after: list }
        ",
    ));
    assert_eq!(ran.status.name(), "failed");
    assert_eq!(ran.failure_of("each").kind.name(), "limit");
}
