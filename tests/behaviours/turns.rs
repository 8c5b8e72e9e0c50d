//! Behaviours 38 and 39: what becomes of a model that never stops calling tools, and of calls that cannot be made.

use std::sync::{Arc, Mutex};

use synod::{
    event::Event,
    value::{Entry, FailureKind, Request, Usage, Value},
};

use crate::common::{Bench, finish, graph, reply, reply_with, say};

const AGENT: &str = "name: A\nrole: worker\nmodel: gpt-4\nmax_conversation_turns: 3\nallowed_tools: [say, Read]\n";

fn alone(bench: &Bench) -> String {
    bench.file("agent.yaml", AGENT);
    graph("member_agents: [{ agent: agent, role: a }]\nnodes:\n  work: { agent: a }\n")
}

/// What each call of the thread was answered, by its id.
fn answers(request: &Request) -> Vec<(String, String)> {
    let answer = |entry: &Entry| match entry {
        Entry::Result { call, result } => {
            let said = result.outcome.as_ref().map_or_else(|failure| format!("{failure}"), Value::to_string);
            Some((call.id.to_string(), said))
        }
        Entry::Reply(_) | Entry::Known { .. } | Entry::Mail(_) | Entry::Answer { .. } | Entry::Note(_) => None,
    };
    request.thread.iter().filter_map(answer).collect()
}

#[test]
fn behaviour_38_a_model_that_never_stops_calling_tools_ends_at_its_limit_with_results_and_tokens_kept() {
    let bench = Bench::new();
    let usage = Usage { input: 100, output: 20, ..Usage::default() };
    bench.model(
        "gpt-4",
        say(move |request| {
            let value = Value::text(format!("said in turn {}", request.turn));
            Ok(reply_with(reply(&[("say", Value::map([("value", value)]))]), usage))
        }),
    );
    let ran = bench.run(&alone(&bench));
    let failure = ran.failure_of("work");
    assert_eq!(failure.kind, FailureKind::Limit, "{failure}");
    assert!(failure.message.contains("all 3 turns of work are used"), "{failure}");
    assert_eq!(ran.status.name(), "failed");
    assert_eq!(bench.board.calls("work"), 3, "the calls of the last turn are made as well");
    let kept = ran.events(|event| match event {
        Event::ToolReturned { result, .. } => Some(result.outcome.clone().expect("each of them succeeds").to_string()),
        _ => None,
    });
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert!((0..3).all(|turn| kept.iter().any(|said| said.contains(&format!("said in turn {turn}")))), "{kept:?}");
    let metrics = serde_json::to_value(&ran.report.metrics).unwrap();
    assert_eq!(metrics["tokens"].as_u64(), Some(3 * 120), "{metrics}");
}

#[test]
fn behaviour_39_a_call_of_an_unknown_tool_or_with_wrong_arguments_is_answered_with_an_error_and_nothing_runs() {
    let bench = Bench::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let heard = seen.clone();
    bench.model(
        "gpt-4",
        say(move |request| {
            if request.turn.0 > 0 {
                *heard.lock().unwrap() = answers(request);
                return Ok(finish(Value::text("done")));
            }
            let map = |key: &str, value: Value| Value::map([(key, value)]);
            Ok(reply(&[
                ("no_such_tool", Value::map::<String>([])),
                ("Read", map("path", Value::Int(7))),
                ("Read", map("way", Value::text("notes.txt"))),
                ("gate", map("name", Value::text("not among its tools"))),
                ("Read", Value::text("not even a map")),
            ]))
        }),
    );
    let ran = bench.run(&alone(&bench));
    assert_eq!(ran.completed(), serde_json::json!("done"));
    assert_eq!(ran.events(|event| matches!(event, Event::ToolCalled(_)).then_some(())).len(), 0, "nothing is executed");
    assert_eq!(bench.board.calls("work"), 0);
    let seen = seen.lock().unwrap().clone();
    let ids: Vec<&str> = seen.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["c0", "c1", "c2", "c3", "c4"], "no id is left unanswered: {seen:?}");
    for ((_, said), expected) in seen.iter().zip(["there is no tool no_such_tool", "path", "path", "gate", "schema"]) {
        assert!(said.contains(expected), "{said} should say {expected}");
    }
}
