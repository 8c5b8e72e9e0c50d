//! Behaviours 17 to 23: which branches run, what joins do, what a step sees and what counts as its result.

use serde_json::json;

use crate::common::{Bench, graph};
use synod::event::{Event, Outcome, Skip};

/// A triage that says `word`, two branches with conditions, and what else there is.
fn switch(word: &str, more: &[&str]) -> String {
    let nodes = graph(&format!(
        "
        nodes:
          triage: {{ tool: say, args: {{ value: {word} }} }}
          billing: {{ tool: say, args: {{ value: b }}, after: {{ triage: 'output == \"billing\"' }} }}
          technical: {{ tool: say, args: {{ value: t }}, after: {{ triage: 'output == \"technical\"' }} }}
        "
    ));
    format!("{nodes}{}\n", more.join("\n"))
}

#[test]
fn behaviour_17_only_the_matching_branch_runs_and_the_others_are_recorded_as_skipped() {
    let bench = Bench::new();
    let ran = bench.run(&switch("billing", &["  reply: { tool: say, args: { value: r }, after: technical }"]));
    assert_eq!(ran.completed(), json!({ "billing": "b" }));
    assert_eq!(["billing", "technical", "reply"].map(|n| ran.of(n)), ["ok", "skipped", "skipped"]);
    assert_eq!(["billing", "technical", "reply"].map(|n| bench.board.calls(n)), [1, 0, 0]);
    let skipped = ran.events(|e| match e {
        Event::NodeEnded { node, outcome: Outcome::Skipped(skip) } => Some((ran.state.path(*node).to_string(), *skip)),
        _ => None,
    });
    assert_eq!(skipped, [("technical".to_owned(), Skip::Join), ("reply".to_owned(), Skip::Join)]);
}

#[test]
fn behaviour_18_without_a_match_and_a_default_the_run_goes_on_with_its_data_unchanged() {
    let bench = Bench::new();
    let ran = bench.run(&switch(
        "cooking",
        &["  after: { gate: triage.output, after: { triage: ok, billing: done, technical: done } }", "output: after.output"],
    ));
    assert_eq!(ran.completed(), json!("cooking"));
    assert_eq!(["billing", "technical"].map(|n| ran.of(n)), ["skipped", "skipped"]);
    let bench = Bench::new();
    let ran = bench.run(&switch("cooking", &["output: triage.output"]));
    assert_eq!(ran.completed(), json!("cooking"), "it may also end there");
}

#[test]
fn behaviour_19_without_a_match_the_default_runs() {
    let other = &["  other: { tool: say, args: { value: o }, after: { triage: else } }"];
    let ran = Bench::new().run(&switch("cooking", other));
    assert_eq!(ran.completed(), json!({ "other": "o" }));
    assert_eq!(["billing", "technical", "other"].map(|n| ran.of(n)), ["skipped", "skipped", "ok"]);
    let ran = Bench::new().run(&switch("technical", other));
    assert_eq!(ran.completed(), json!({ "technical": "t" }), "with a match it does not");
    assert_eq!(ran.of("other"), "skipped");
}

#[test]
fn behaviour_20_a_join_on_either_runs_and_a_join_on_both_is_left_out() {
    // `c` is skipped in the first team and fails in the second.
    for (c, status) in [
        ("c: { tool: say, args: { value: 3 }, after: { a: 'output == 9' } }", "skipped"),
        ("c: { tool: fail, after: a, on_error: caught }\n              caught: { tool: say, args: { value: h } }", "failed"),
    ] {
        let bench = Bench::new();
        let ran = bench.run(&graph(&format!(
            "
            nodes:
              a: {{ tool: say, args: {{ value: 1 }} }}
              b: {{ tool: say, args: {{ value: 2 }}, after: a }}
              {c}
              either: {{ tool: say, args: {{ value: either }}, after: [b, c], join: any, stragglers: leave }}
              both: {{ tool: say, args: {{ value: both }}, after: [b, c] }}
              later: {{ tool: say, args: {{ value: later }}, after: [both, either], join: any }}
            output: '[either.output, both.output, later.output]'
            "
        )));
        assert_eq!(ran.completed(), json!(["either", null, "later"]));
        assert_eq!(["c", "either", "both", "later"].map(|n| ran.of(n)), [status, "ok", "skipped", "ok"]);
        assert_eq!(bench.board.calls("both"), 0);
    }
}

#[test]
fn behaviour_20_a_quorum_runs_at_the_nth_and_is_left_out_when_it_cannot_be_met() {
    let ran = Bench::new().run(&graph(
        "
        nodes:
          a: { tool: say, args: { value: 1 } }
          b: { tool: say, args: { value: 1 }, after: a }
          c: { tool: say, args: { value: 1 }, after: { a: 'output == 9' } }
          d: { tool: say, args: { value: 1 }, after: a }
          two: { tool: say, args: { value: two }, after: [b, c, d], join: { quorum: 2 } }
          three: { tool: say, args: { value: three }, after: [b, c, d], join: { quorum: 3 } }
          short: { gate: '[b.output, c.output, d.output]', after: [b, c, d], short: run }
        ",
    ));
    ran.completed();
    assert_eq!(["two", "three", "short"].map(|n| ran.of(n)), ["ok", "skipped", "ok"]);
    assert_eq!(ran.output_of("short"), json!([1, null, 1]), "with `short: run` it runs with what there is");
}

#[test]
fn behaviour_21_a_step_sees_only_what_its_input_filter_leaves() {
    let bench = Bench::new();
    bench.script("look", "#{ finish: view.input }");
    let ran = bench.run(
        "
        name: Team
        collaboration_pattern: graph
        member_agents: [{ agent: look, role: look }]
        nodes:
          source: { tool: say, args: { value: { name: x, secret: y, count: 3, items: [1, 2] } } }
          map: { agent: look, after: source, input: '#{ name: source.output.name }' }
          scalar: { agent: look, after: source, input: source.output.count }
          list: { agent: look, after: source, input: source.output.items }
          nothing: { agent: look, after: source, input: '()' }
          all: { agent: look, after: source }
        ",
    );
    let whole = json!({ "name": "x", "secret": "y", "count": 3, "items": [1, 2] });
    assert_eq!(
        ran.completed(),
        json!({ "map": { "name": "x" }, "scalar": 3, "list": [1, 2], "nothing": null, "all": { "source": whole } })
    );
}

#[test]
fn behaviour_21_a_filter_that_fails_fails_its_step_and_names_its_place() {
    let ran = Bench::new().run(
        "
        name: Team
        collaboration_pattern: graph
        member_agents: [{ agent: agent, role: look }]
        nodes:
          source: { tool: say, args: { value: { name: x } } }
          look: { agent: look, after: source, input: source.output.name.first.letter }
        ",
    );
    assert_eq!(ran.status.name(), "failed");
    let failure = ran.failure_of("look");
    assert_eq!((failure.kind.name(), failure.place.map(|p| p.line)), ("rule", Some(6)));
}

#[test]
fn behaviour_22_null_zero_empty_and_false_are_results() {
    for bench in [Bench::new(), Bench::on_disk()] {
        for (name, value) in [("nothing", "()"), ("zero", "0"), ("empty", "\"\""), ("no", "false")] {
            bench.script(name, &format!("#{{ finish: {value} }}"));
        }
        let ran = bench.run(
            "
            name: Team
            collaboration_pattern: graph
            member_agents:
              - { agent: nothing, role: nothing }
              - { agent: zero, role: zero }
              - { agent: empty, role: empty }
              - { agent: no, role: no }
            nodes:
              t1: { tool: say, args: { value: null } }
              t2: { tool: say, args: { value: 0 } }
              t3: { tool: say, args: { value: '' } }
              t4: { tool: say, args: { value: false } }
              a1: { agent: nothing, after: t1 }
              a2: { agent: zero, after: t2 }
              a3: { agent: empty, after: t3 }
              a4: { agent: no, after: t4 }
              g1: { gate: '()', after: a1 }
            output: '[[t1.status, t1.output], [t2.status, t2.output], [t3.status, t3.output], [t4.status, t4.output],
              [a1.status, a1.output], [a2.status, a2.output], [a3.status, a3.output], [a4.status, a4.output], [g1.status, g1.output]]'
            ",
        );
        let falsy = [json!(null), json!(0), json!(""), json!(false)];
        let expected: Vec<_> = falsy.iter().chain(&falsy).chain([&json!(null)]).map(|v| json!(["ok", v])).collect();
        assert_eq!(ran.completed(), json!(expected));
    }
}

#[test]
fn behaviour_23_of_a_race_exactly_one_result_is_used_and_the_others_are_cancelled() {
    let bench = Bench::new();
    bench.script("look", "#{ finish: view.input }");
    let ran = bench.run(
        "
        name: Team
        collaboration_pattern: graph
        member_agents: [{ agent: look, role: look }]
        nodes:
          slow: { tool: stuck }
          agent: { agent: look, after: slow }
          fast: { tool: hold, args: { until: called slow, value: fast } }
          first: { agent: look, after: [agent, fast], join: any }
        output: first.output
        ",
    );
    assert_eq!(ran.completed(), json!({ "fast": "fast" }), "one result is used");
    assert_eq!(["slow", "agent", "fast"].map(|n| ran.of(n)), ["cancelled", "skipped", "ok"]);
    assert_eq!(bench.stops("slow"), 1);
    assert_eq!(bench.board.log()[2..], ["end fast", "stop slow"], "the loser is really stopped");
}
