//! What comes of sessions whose agents are models of providers?

use std::time::Duration;

use serde_json::json;
use synod::{
    event::{Event, Status, TurnEnd},
    value::{FailureKind, Map},
};

use super::{
    common::{Bench, KEY, Ran, graph},
    kinds::{Kind, calls, text},
    server::{Part, Response, Seen, Server},
};

const AGENT: &str = "name: Sam\nrole: worker\nmodel: small\nsystem_prompt: You know logs.\nallowed_tools: ['Read', 'say']\n";

fn alone() -> String {
    graph("member_agents: [{ agent: agent, role: logs }]\nnodes:\n  work: { agent: logs }\n")
}

/// A bench whose agent has the model `small` of a server.
fn bench(kind: Kind, server: &Server) -> Bench {
    let bench = Bench::new();
    point(&bench, kind, server);
    bench.file("agent.yaml", AGENT);
    bench
}

fn point(bench: &Bench, kind: Kind, server: &Server) {
    bench.catalog(&format!(
        "providers:\n  local: {{ kind: {}, base_url: \"{}\", api_key_env: LOCAL_KEY }}\nmodels:\n  small: {{ provider: local, id: big }}\n",
        kind.name(),
        server.address
    ));
}

fn serve(bench: &Bench, answers: impl Fn(usize, &Seen) -> Response + Send + Sync + 'static) -> Server {
    bench.block_on(Server::start(answers))
}

/// A session in which the model says these streams, one a turn.
fn session(kind: Kind, streams: Vec<String>) -> (Ran, Vec<Seen>) {
    let first = Bench::new();
    let server = serve(&first, move |number, _| Response::stream(&streams[number.min(streams.len() - 1)], 64));
    let bench = bench(kind, &server);
    bench.file("notes.txt", "the pool ran dry at 09:14\n");
    let ran = bench.run(&alone());
    (ran, server.seen())
}

const KINDS: [Kind; 5] = [Kind::Openai, Kind::Responses, Kind::Anthropic, Kind::Gemini, Kind::Ollama];

#[test]
fn an_agent_reads_a_file_and_finishes() {
    for kind in KINDS {
        let (ran, seen) = session(
            kind,
            vec![
                kind.stream(&calls(&[("Read", r#"{"path": "notes.txt"}"#), ("say", r#"{"value": "hm"}"#)])),
                kind.stream(&calls(&[("finish", r#"{"result": {"cause": "pool", "confidence": 0.9}}"#)])),
            ],
        );
        assert_eq!(ran.completed(), json!({ "cause": "pool", "confidence": 0.9 }), "{kind:?}");
        let results = kind.results(&seen[1].body);
        assert!(results[0].1.contains("the pool ran dry"), "{kind:?}: {results:?}");
        assert_eq!((seen.len(), results.len()), (2, 2), "{kind:?}");
        let (a, b) = (&seen[0].headers["idempotency-key"], &seen[1].headers["idempotency-key"]);
        assert!(a != b && a.ends_with("work/1/0") && b.ends_with("work/1/1"), "{a} {b}");
    }
}

#[test]
fn an_agent_reads_why_its_call_was_refused() {
    for kind in KINDS {
        let wrong = calls(&[("Raed", r#"{"path": "notes.txt"}"#), ("Read", r#"{"path": "#), ("finish", r#"{"result": {"#)]);
        let (ran, seen) = session(kind, vec![kind.stream(&wrong), kind.stream(&calls(&[("finish", r#"{"result": "done"}"#)]))]);
        if kind.writes_arguments_as_text() {
            assert_eq!(ran.completed(), json!("done"), "{kind:?}");
            let results = kind.results(&seen[1].body);
            assert!(results[0].1.contains("there is no tool Raed; you have Read"), "{results:?}");
            assert!(results[1].1.contains("no JSON object"), "{results:?}");
            assert!(results[2].1.contains("error"), "{results:?}");
            assert!(seen[1].body.to_string().contains("finish: the arguments are no JSON object"), "{}", seen[1].body);
        } else {
            assert_eq!(seen.len(), 1, "such a provider writes no arguments that are no object, and `finish` ends the turn");
        }
    }
}

#[test]
fn a_reply_in_words_is_the_result_and_an_empty_one_is_sent_back() {
    for kind in KINDS {
        let (ran, seen) = session(kind, vec![kind.stream(&text("")), kind.stream(&text("The pool ran dry."))]);
        assert_eq!(ran.completed(), json!({ "text": "The pool ran dry." }), "{kind:?}");
        assert!(seen[1].body.to_string().contains("the reply was empty"), "{kind:?}");
    }
}

#[test]
fn a_shape_that_is_declared_reaches_the_model_and_its_answer_in_words_is_taken() {
    let shape = "output_schema: { type: object, additionalProperties: false, required: [cause], properties: { cause: { type: string } } }\n";
    for kind in KINDS {
        let first = Bench::new();
        let server = serve(&first, move |_, _| Response::stream(&kind.stream(&text(r#"{"cause": "pool"}"#)), 64));
        let bench = bench(kind, &server);
        bench.file("agent.yaml", &format!("{AGENT}{shape}"));
        assert_eq!(bench.run(&alone()).completed(), json!({ "cause": "pool" }), "{kind:?}");
        let body = &server.seen()[0].body;
        let native = match kind {
            Kind::Openai => body.pointer("/response_format/json_schema/strict") == Some(&json!(true)),
            Kind::Responses => body.pointer("/text/format/strict") == Some(&json!(true)),
            Kind::Anthropic | Kind::Gemini | Kind::Ollama => body.to_string().matches("\"cause\"").count() >= 2,
        };
        assert!(native, "{kind:?}: {body}");
    }
}

#[test]
fn a_fallback_answers_for_a_provider_that_is_down_and_the_next_call_goes_to_it_at_once() {
    let first = Bench::new();
    let kind = Kind::Anthropic;
    let down = serve(&first, |_, _| Response::error(529, "overloaded").header("retry-after", "0"));
    let streams = [calls(&[("say", r#"{"value": "hm"}"#)]), text("done")].map(|s| kind.stream(&s));
    let up = serve(&first, move |number, _| Response::stream(&streams[number], 64));
    let bench = Bench::new();
    bench.catalog(&format!(
        "providers:\n  a: {{ kind: anthropic, base_url: \"{}\" }}\n  b: {{ kind: anthropic, base_url: \"{}\" }}\nmodels:\n  one: {{ provider: a, id: x }}\n  two: {{ provider: b, id: y }}\n",
        down.address, up.address
    ));
    bench.file("agent.yaml", &AGENT.replace("model: small", "model: one\nfallback_models: [two]"));
    let ran = bench.run(&alone());
    assert_eq!(ran.completed(), json!({ "text": "done" }));
    assert_eq!((down.seen().len(), up.seen().len()), (3, 2), "less patience where another stands by, and then a cool-down");
    let models = ran.events(|e| match e {
        Event::TurnEnded { end: TurnEnd::Reply(reply), .. } => reply.model.as_ref().map(ToString::to_string),
        _ => None,
    });
    assert_eq!(models, ["two", "two"], "the switch is on the record");
    assert!(up.seen()[0].headers["idempotency-key"].ends_with("/two"));
}

#[test]
fn a_refusal_fails_the_agent_at_once_with_the_providers_words() {
    let first = Bench::new();
    let server = serve(&first, |_, _| Response::error(404, r#"{"error": {"message": "the model `big` does not exist"}}"#));
    let bench = bench(Kind::Openai, &server);
    let ran = bench.run(&alone());
    let failure = ran.failure_of("work");
    assert_eq!((failure.kind, failure.status, server.seen().len()), (FailureKind::Model, Some(404), 1));
    assert!(failure.message.contains("does not exist"), "{failure}");
}

#[test]
fn a_session_that_is_cancelled_ends_its_requests() {
    let first = Bench::new();
    let server = serve(&first, |_, _| Response { body: vec![Part::Stall], ..Response::stream("", 1) });
    let bench = bench(Kind::Openai, &server);
    let ran = bench.run_and(&alone(), "turn 0 of work", |handle| {
        while server.seen().is_empty() {
            std::thread::yield_now();
        }
        handle.cancel("me", "enough").unwrap();
    });
    assert_eq!(ran.status.name(), "cancelled");
    first.block_on(server.left(1));
}

#[test]
fn a_model_that_cannot_be_used_is_refused_before_anything_happens() {
    let bench = Bench::new();
    for (model, word) in [("nobody-knows-it", "synod models"), ("claude-haiku", "ANTHROPIC_API_KEY")] {
        bench.file("agent.yaml", &AGENT.replace("model: small", &format!("model: {model}")));
        let prepared = bench.load(&alone());
        let engine = synod::engine::Engine::builder().workspace(bench.folder()).env(synod::secret::Env::of(|_| None)).build();
        let started = bench.block_on(engine.start(&prepared, "task", synod::value::Map::new()));
        let error = started.err().unwrap().to_string();
        assert!(error.contains(model) && error.contains(word), "{error}");
        let said: Vec<String> = engine.check("team.yaml").iter().map(|d| d.code.name().to_owned()).collect();
        assert!(said.iter().any(|code| code.starts_with("unresolved-")), "{model}: {said:?}");
    }
}

#[test]
fn nothing_that_a_session_leaves_behind_has_the_key() {
    let first = Bench::new();
    let server = serve(&first, |_, _| Response::error(401, &format!("{{\"error\": {{\"message\": \"{KEY} is not valid\"}}}}")));
    let bench = bench(Kind::Openai, &server);
    let ran = bench.run(&alone());
    let everything = format!("{} {:?}", ran.report.markdown(), ran.records);
    assert!(everything.contains("is not valid") && !everything.contains(KEY), "{everything}");
}

/// The limiter is one for all sessions, so that a refusal of one slows the others and fails none.
#[test]
fn two_hundred_sessions_share_their_limits_and_lose_nothing_to_refusals() {
    const SESSIONS: usize = 200;
    let (first, kind) = (Bench::new(), Kind::Openai);
    let server = serve(&first, move |number, _| {
        if number % 5 == 0 {
            return Response::error(429, "slow down").header("retry-after", "0");
        }
        let mut said = Response::stream(&kind.stream(&text("done")), 4_096);
        said.body.insert(0, Part::Wait(Duration::from_millis(50)));
        said
    });
    let bench = bench(kind, &server);
    bench.catalog(&format!(
        "providers:\n  local: {{ kind: openai, base_url: \"{}\", limits: {{ concurrency: 16 }} }}\nmodels:\n  small: {{ provider: local, id: big }}\n",
        server.address
    ));
    let (engine, team) = (bench.engine(), bench.load(&alone()));
    bench.block_on(async {
        let mut handles = Vec::new();
        for _ in 0..SESSIONS {
            handles.push(engine.start(&team, "the task", Map::new()).await.unwrap());
        }
        for handle in handles {
            assert_eq!(handle.wait().await.unwrap().status, Status::Completed);
        }
    });
    let seen = server.seen();
    let refused = seen.len().div_ceil(5);
    assert_eq!(seen.len() - refused, SESSIONS, "every session is answered once");
    assert!((2..=16).contains(&server.peak()), "{} at a time", server.peak());
    let keys: std::collections::BTreeSet<_> = seen.iter().map(|s| s.headers["idempotency-key"].clone()).collect();
    assert_eq!(keys.len(), SESSIONS);
}

#[test]
fn a_conversation_that_outgrows_the_window_loses_its_oldest_results_and_the_record_says_so() {
    let (first, kind) = (Bench::new(), Kind::Openai);
    let server = serve(&first, move |number, _| {
        let read = calls(&[("Read", [r#"{"path": "a.txt"}"#, r#"{"path": "b.txt"}"#, r#"{"path": "c.txt"}"#][number.min(2)])]);
        Response::stream(&kind.stream(&if number < 3 { read } else { text("done") }), 4_096)
    });
    let bench = bench(kind, &server);
    bench.catalog(&format!(
        "providers:\n  local: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n  small: {{ provider: local, id: big, context_window: 9500 }}\n",
        server.address
    ));
    for name in ["a.txt", "b.txt", "c.txt"] {
        bench.file(name, &format!("{name} {}\n", "word word word word\n".repeat(250)));
    }
    let ran = bench.run(&alone());
    assert_eq!(ran.completed(), json!({ "text": "done" }));
    let elided = ran.events(|e| match e {
        Event::TurnEnded { end: TurnEnd::Reply(reply), .. } => Some(reply.elided),
        _ => None,
    });
    assert_eq!(elided[..2], [0, 0], "{elided:?}");
    assert!(elided[3] >= 1, "{elided:?}");
    let last = server.seen()[3].body.clone();
    let results = kind.results(&last);
    assert!(results[0].1.contains("left out to save room") && results[2].1.contains("word word"), "{last}");
    assert!(last.to_string().contains("outgrew the model's window"));
}
