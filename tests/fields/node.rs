//! What the keys of a node do, where no behaviour shows it.

use std::sync::{Arc, Mutex};

use serde_json::json;
use synod::{event::Event, value::Value};

use crate::common::{Bench, finish, graph, say, sole_error};

#[test]
fn task_phase_and_done_when_reach_the_agent() {
    let bench = Bench::new();
    let told: Arc<Mutex<Vec<(String, String, u32)>>> = Arc::default();
    let seen = told.clone();
    bench.model(
        "gpt-4",
        say(move |request| {
            seen.lock().unwrap().push((request.task.to_string(), request.phase.to_string(), request.turns_left));
            Ok(finish(Value::Null))
        }),
    );
    let ran = bench.run(
        "
        name: Team
        collaboration_pattern: graph
        member_agents: [{ agent: agent, role: a, set: { model: gpt-4 } }]
        nodes:
          word: { tool: say, args: { value: pool } }
          a: { agent: a, task: 'Look at the {{ word.output }}', phase: synthesize, done_when: the size is known, max_turns: 2, after: word }
          b: { agent: a, after: a }
        ",
    );
    ran.completed();
    let told = told.lock().unwrap();
    assert_eq!(told[0], ("Look at the pool\n\nIt is done when: the size is known".to_owned(), "synthesize".to_owned(), 1));
    assert_eq!(told[1], ("the task".to_owned(), "work".to_owned(), 9));
}

#[test]
fn max_turns_ends_an_activation() {
    let bench = Bench::new();
    bench.script("agent", "#{ calls: [#{ tool: \"say\", args: #{ value: 1 } }] }");
    let ran = bench.run(
        "
        name: Team
        collaboration_pattern: graph
        member_agents: [{ agent: agent, role: a }]
        nodes: { a: { agent: a, max_turns: 2 } }
        ",
    );
    assert_eq!(ran.failure_of("a").kind.name(), "limit");
    assert_eq!(bench.board.calls("a"), 2);
}

#[test]
fn expect_seconds_lets_the_longest_way_start_first() {
    let ran = Bench::new().run(&graph(
        "
        coordination_rules: { max_parallel: 1 }
        nodes:
          short: { tool: say, args: { value: 1 }, expect_seconds: 1 }
          long: { tool: say, args: { value: 1 }, expect_seconds: 60 }
          chain: { tool: say, args: { value: 1 }, expect_seconds: 30 }
          chain2: { tool: say, args: { value: 1 }, expect_seconds: 40, after: chain }
        ",
    ));
    ran.completed();
    let order =
        ran.events(|e| if let Event::NodeStarted { node, .. } = e { Some(ran.state.path(*node).to_string()) } else { None });
    assert_eq!(order, ["chain", "long", "chain2", "short"]);
}

#[test]
fn stragglers_of_a_join_are_left_where_the_node_says_so() {
    let ran = Bench::new().run(&graph(
        "
        nodes:
          slow: { tool: hold, args: { until: ended first, value: late } }
          fast: { tool: hold, args: { until: called slow, value: fast } }
          first: { gate: '[slow.output, fast.output]', after: [slow, fast], join: any, stragglers: leave }
        output: first.output
        ",
    ));
    assert_eq!(ran.completed(), json!([null, "fast"]));
    assert_eq!(ran.of("slow"), "ok", "what a straggler says is recorded");
}

#[test]
fn deadlines_of_a_join_and_of_a_loop_go_on_with_what_there_is() {
    let run = |join: &str, at_least: &str| {
        let bench = Bench::new();
        bench.script("slow", "#{ calls: [#{ tool: \"stuck\" }] }");
        bench.script("item", "if view.task == \"2\" { #{ calls: [#{ tool: \"stuck\" }] } } else { #{ finish: view.task } }");
        bench.run(&format!(
            "
            name: Team
            collaboration_pattern: graph
            member_agents: [{{ agent: slow, role: slow }}, {{ agent: item, role: item }}]
            nodes:
              slow: {{ agent: slow }}
              word: {{ tool: say, args: {{ value: pool }} }}
              each: {{ for_each: '[1, 2, 3]', max: 3, agent: item, task: '{{{{ item }}}}', deadline: 1s, at_least: {at_least} }}
              join: {{ gate: 'word.output', after: [slow, word], join: {join} }}
            output: '#{{ join: join.output, each: each.output }}'
            "
        ))
    };
    let ran = run("{ deadline: 1s }", "2");
    assert_eq!(ran.completed(), json!({ "join": "pool", "each": ["1", null, "3"] }));
    assert_eq!(["slow", "each/1"].map(|node| ran.of(node)), ["cancelled", "cancelled"]);
    let few = run("{ deadline: 1s, at_least: 2 }", "3");
    assert_eq!(["join", "each"].map(|node| few.of(node)), ["timed_out", "timed_out"]);
}

#[test]
fn what_a_deadline_counts_must_make_sense() {
    for (node, expected) in [
        ("b: { gate: '1', after: a, join: { at_least: 1 } }", "a `join` that is a map says `quorum` or `deadline`"),
        ("b: { gate: '1', after: a, join: { deadline: 1s, at_least: 2 } }", "at least 2 cannot be met by 1 dependency"),
        ("b: { for_each: '[1]', max: 1, tool: say, args: { value: 1 }, at_least: 1, after: a }", "and there is none"),
    ] {
        let found = Bench::new().check(&graph(&format!("nodes:\n  a: {{ gate: '1' }}\n  {node}\n")));
        assert!(found.iter().any(|d| d.message.contains(expected)), "{node}: {}", crate::common::lines(&found));
    }
}

#[test]
fn a_loop_ends_when_its_condition_holds_or_at_max() {
    let team = |until: &str| {
        graph(&format!(
            "
            nodes:
              again: {{ repeat: {{ max: 4, until: '{until}' }}, nodes: {{ draft: {{ gate: 'round * 10' }} }}, output: draft.output }}
            "
        ))
    };
    assert_eq!(Bench::new().run(&team("draft.output >= 20")).completed(), json!(20));
    assert_eq!(Bench::new().run(&team("false")).completed(), json!(40));
}

#[test]
fn a_rule_of_the_team_decides_at_a_node() {
    let bench = Bench::new();
    bench.file("score.rhai", "fn score(facts) { facts.input.get(\"list\", []).len() * 2 }\n");
    let ran = bench.run(
        "
        name: Team
        collaboration_pattern: graph
        rules: [score.rhai]
        nodes:
          list: { tool: say, args: { value: [1, 2, 3] } }
          score: { rule: score, after: list }
        ",
    );
    assert_eq!(ran.completed(), json!(6));
}

#[test]
fn live_lets_an_agent_read_what_is_said_while_it_is_at_work() {
    for (live, heard) in [("true", json!(["now"])), ("false", json!([]))] {
        let bench = Bench::new();
        bench.script(
            "agent",
            "
            if view.role == \"b\" && view.turn == 0 { return #{ calls: [#{ tool: \"hold\", args: #{ \"until\": \"it is said\" } }] }; }
            if view.role == \"b\" { return #{ finish: view.mail.map(|m| m.content) }; }
            if view.turn == 0 { return #{ calls: [#{ tool: \"send_message\", args: #{ to: \"b\", content: \"now\" } }] }; }
            if view.turn == 1 { return #{ calls: [#{ tool: \"raise\", args: #{ fact: \"it is said\" } }] }; }
            #{ finish: 1 }
            ",
        );
        let ran = bench.run(&format!(
            "
            name: Team
            collaboration_pattern: graph
            member_agents: [{{ agent: agent, role: a }}, {{ agent: agent, role: b }}]
            nodes: {{ a: {{ agent: a }}, b: {{ agent: b, live: {live} }} }}
            output: b.output
            "
        ));
        assert_eq!(ran.completed(), heard, "live: {live}");
    }
}

#[test]
fn notify_tells_whom_a_question_asks_and_an_address_that_cannot_be_meant_is_an_error() {
    let bench = Bench::new();
    let parked = bench.run(&graph("nodes: { q: { ask: 'Well?', to: ann, notify: 'cat > asked.json' } }"));
    assert_eq!(parked.status.name(), "parked");
    let asked: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(bench.path("asked.json")).unwrap()).unwrap();
    assert_eq!((&asked["question"], &asked["to"]), (&json!("Well?"), &json!("ann")));
    for (notify, why) in
        [("http://example.com/x", "write https"), ("ftp://example.com", "neither https"), ("'https://a:b@c'", "password")]
    {
        let found = bench.check(&graph(&format!("nodes: {{ q: {{ ask: 'Well?', notify: {notify} }} }}")));
        let (code, line, _, message) = sole_error(&found);
        assert_eq!((code, line), ("invalid-value", 3), "{message}");
        assert!(message.contains(why), "{message}");
    }
}
