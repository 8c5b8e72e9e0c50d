//! Does a simulation come to what one can reckon by hand?

use std::fs;

use super::*;
use crate::{
    engine::{Engine, Prepared},
    event::{Event, Forked, Point, Record, TakenOver},
    team::{ModelCatalog, Overrides},
    value::{Epoch, Reply, Seq, Timestamp, Usage, Value},
};

const AGENT: &str = "name: Agent\nrole: worker\nmodel: script:agent.rhai\n";
const SCRIPT: &str = "fn turn(view) { #{ finish: #{ kind: \"bug\", confidence: 0.9 } } }\n";

struct Bench {
    engine: Engine,
    team: Prepared,
    _folder: tempfile::TempDir,
}

/// A graph team of agents `a`, `b` and `c` with those nodes.
fn bench(nodes: &str) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let team = format!(
        "name: T\ncollaboration_pattern: graph\nmember_agents: [{{ agent: agent, role: a }}, {{ agent: agent, role: b }}, {{ agent: agent, role: c }}]\n{nodes}\n"
    );
    for (name, text) in [("team.yaml", &*team), ("agent.yaml", AGENT), ("agent.rhai", SCRIPT)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let engine = Engine::builder().workspace(folder.path()).build();
    let team = engine.load("team.yaml", &Overrides::default()).unwrap_or_else(|error| panic!("{error}"));
    Bench { engine, team, _folder: folder }
}

impl Bench {
    fn runs(&self, assumed: Assumed, seed: u64, count: u64) -> Vec<Run> {
        let scenario = self.engine.scenario(&self.team, "it", Map::new(), assumed, seed).unwrap();
        runs(&scenario, &ModelCatalog::built_in(), 0..count).unwrap()
    }
}

/// Scripts take exactly a second.
fn second() -> Assumed {
    let script = Timing { millis: Quantiles::just(1_000.0), fails: 0.0 };
    Assumed { script, ..Assumed::default() }
}

fn measure(run: &Run, name: &str) -> f64 {
    run.measures[MEASURES.iter().position(|known| *known == name).unwrap()]
}

#[test]
fn the_same_seed_gives_the_same_runs_however_they_are_divided() {
    let bench =
        bench("nodes: { x: { agent: a }, y: { agent: b, after: { x: 'output.summary == \"?\"' } }, z: { agent: c, after: x } }");
    let assumed = Assumed { model: second().model, ..Assumed::default() };
    let scenario = |seed| bench.engine.scenario(&bench.team, "it", Map::new(), assumed.clone(), seed).unwrap();
    let catalog = ModelCatalog::built_in();
    let whole = runs(&scenario(7), &catalog, 0..20).unwrap();
    let parts: Vec<Run> = [0..3, 3..20].into_iter().flat_map(|part| runs(&scenario(7), &catalog, part).unwrap()).collect();
    assert_eq!(whole, parts);
    assert_ne!(whole, runs(&scenario(8), &catalog, 0..20).unwrap());
    assert_ne!(whole[0], whole[1]);
}

#[test]
fn a_chain_takes_the_sum_and_a_fan_the_longest() {
    let chain = bench("nodes: { x: { agent: a }, y: { agent: b, after: x }, z: { agent: c, after: y } }").runs(second(), 1, 3);
    let fan = bench("nodes: { x: { agent: a }, y: { agent: b }, z: { agent: c } }").runs(second(), 1, 3);
    for (run, expected) in
        chain.iter().map(|run| (run, [3e3, 3e3, 1.0, 1.0])).chain(fan.iter().map(|run| (run, [1e3, 3e3, 3.0, 3.0])))
    {
        assert_eq!(run.status, "completed");
        assert_eq!(["makespan_ms", "sequential_ms", "parallelism", "speedup"].map(|name| measure(run, name)), expected);
        assert_eq!(measure(run, "turns"), 3.0);
    }
}

#[test]
fn what_always_fails_fails_every_run() {
    let bench = bench("nodes: { x: { agent: a } }");
    let script = Timing { millis: Quantiles::just(1.0), fails: 1.0 };
    let runs = bench.runs(Assumed { script, ..Assumed::default() }, 1, 5);
    let scenario = bench.engine.scenario(&bench.team, "it", Map::new(), Assumed::default(), 1).unwrap();
    let simulated = Simulated::of(&scenario, &runs);
    assert_eq!((simulated.failed, simulated.ended["failed"]), (1.0, 5));
}

#[test]
fn whoever_takes_longest_is_critical() {
    let bench = bench(
        "nodes: { x: { agent: a }, y: { repeat: { max: 3 }, nodes: { one: { agent: b } } }, z: { agent: c, after: [x, y] } }",
    );
    let scenario = bench.engine.scenario(&bench.team, "it", Map::new(), second(), 1).unwrap();
    let simulated = Simulated::of(&scenario, &bench.runs(second(), 1, 4));
    let rows: Vec<(&str, f64, f64)> =
        simulated.critical.iter().map(|row| (row.agent.as_str(), row.leads, (row.share * 100.0).round())).collect();
    assert_eq!(rows, [("b", 1.0, 75.0), ("c", 0.0, 25.0)]);
    assert_eq!(simulated.measures["makespan_ms"].max, 4e3);
}

#[test]
fn a_condition_on_what_nobody_knows_is_met_now_and_then() {
    let bench = bench(
        "nodes: { x: { agent: a }, y: { agent: b, after: { x: 'output.kind == \"bug\"' } }, z: { agent: c, after: { x: else } } }",
    );
    let runs = bench.runs(second(), 1, 60);
    let critical = |role: &str| runs.iter().filter(|run| run.critical.iter().any(|(who, _)| who.as_str() == role)).count();
    assert_eq!(critical("b") + critical("c"), 60, "one of both branches runs");
    assert!(critical("b") >= 15 && critical("c") >= 15, "{} {}", critical("b"), critical("c"));
}

#[test]
fn agents_do_again_what_they_did_in_the_past() {
    let bench = bench(
        "nodes: { x: { agent: a }, y: { agent: b, after: { x: 'output.kind == \"bug\"' } }, z: { agent: c, after: { x: else } } }",
    );
    let records = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let handle = bench.engine.start(&bench.team, "it", Map::new()).await.unwrap();
        let session = handle.session();
        assert_eq!(handle.wait().await.unwrap().report.output.get("y").and_then(|y| y.get("kind")), Some(&Value::text("bug")));
        bench.engine.store().read_all(session).unwrap()
    });
    let mut past = Past::default();
    past.add(&records).unwrap();
    let assumed = past.assumed();
    assert_eq!(assumed.sessions, 1);
    let seen: Vec<(&str, usize)> = assumed.courses.iter().map(|((role, _), all)| (role.as_str(), all.len())).collect();
    assert_eq!(seen, [("a", 1), ("b", 1)]);
    assert!(assumed.models.contains_key("script:agent.rhai"));
    let runs = bench.runs(assumed, 1, 20);
    let went: Vec<bool> = runs.iter().map(|run| run.critical.iter().any(|(who, _)| who.as_str() == "c")).collect();
    assert_eq!(went, [false; 20], "the bug is one in every run");
    assert!(Past::default().add(&[]).is_err());
}

/// The records of a run in which `a` was asked, with `event` put in after that, and all that follows later by `days`.
fn interrupted(bench: &Bench, days: i64, event: impl FnOnce(&[Record]) -> Event) -> Vec<Record> {
    let records = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let handle = bench.engine.start(&bench.team, "it", Map::new()).await.unwrap();
        let session = handle.session();
        handle.wait().await.unwrap();
        bench.engine.store().read_all(session).unwrap()
    });
    let asked = records.iter().position(|record| matches!(record.event, Event::TurnStarted { .. })).unwrap();
    let later = |at: Timestamp| Timestamp(at.0 + days * 86_400_000_000);
    let mut all = records[..=asked].to_vec();
    all.push(Record { seq: all[asked].seq, at: later(all[asked].at), event: event(&records[..=asked]) });
    all.extend(records[asked + 1..].iter().map(|record| Record { at: later(record.at), ..record.clone() }));
    for (record, seq) in all.iter_mut().zip(0..) {
        record.seq = Seq(seq);
    }
    all
}

fn seen(records: &[Record]) -> Assumed {
    let mut past = Past::default();
    past.add(records).unwrap();
    past.assumed()
}

#[test]
fn outages_are_no_latency_and_what_another_session_did_does_not_count_again() {
    let bench = bench("nodes: { x: { agent: a } }");
    let outage = seen(&interrupted(&bench, 3, |_| Event::Resumed { epoch: Epoch(2) }));
    let longest = outage.models["script:agent.rhai"].millis.at(1.0);
    assert!(longest < 60_000.0, "three days count as {longest} ms");
    let taken = seen(&interrupted(&bench, 0, |past| {
        let Some(Event::TurnStarted { node, turn, .. }) = past.last().map(|record| record.event.clone()) else {
            panic!("a turn")
        };
        let (session, saved) = (SessionId(uuid::Uuid::nil()), Default::default());
        Event::TakenOver(Box::new(TakenOver { node, turn, call: None, session, saved }))
    }));
    assert!(taken.models.is_empty() && taken.courses.is_empty(), "{taken:?}");
    let mut forked = interrupted(&bench, 0, |past| {
        let from = Point { session: SessionId(uuid::Uuid::nil()), at: past.last().unwrap().seq };
        Event::Forked(Box::new(Forked { from, task: None, inputs: Map::new(), variables: Map::new(), meanwhile: Vec::new() }))
    });
    assert_eq!(seen(&forked).models.len(), 1, "the model is asked again after the fork");
    let ended = forked.iter().position(|record| matches!(record.event, Event::TurnEnded { .. })).unwrap();
    let fork = forked.iter().position(|record| matches!(record.event, Event::Forked(_))).unwrap();
    let mut moved = forked.remove(fork);
    if let Event::Forked(forked) = &mut moved.event {
        forked.from.at = Seq(ended as u64 - 1);
    }
    (moved.seq, moved.at) = (Seq(ended as u64), forked[ended - 1].at);
    forked.insert(ended, moved);
    for (record, seq) in forked.iter_mut().zip(0..) {
        record.seq = Seq(seq);
    }
    assert!(seen(&forked).models.is_empty(), "what was asked before the fork is the other session's");
}

#[test]
fn what_was_said_in_the_past_is_paid_as_the_model_of_today_is() {
    let usage = Usage { input: 1_000_000, cached: 0, output: 0, cost: crate::value::Usd(77) };
    let reply = Arc::new(Reply { usage, finish: Some(Value::Null), ..Reply::default() });
    let cost = |then: &str, now: &str| {
        let bench = bench("nodes: { x: { agent: a } }");
        let overrides = Overrides::parse(&[format!("a.model={now}")]).unwrap();
        let team = bench.engine.load("team.yaml", &overrides).unwrap();
        let course = Course { model: Arc::from(then), replies: vec![reply.clone()] };
        let courses = [((Role::new("a"), Arc::from("work")), vec![course])].into();
        let assumed = Assumed { courses, model: second().script, ..second() };
        let scenario = bench.engine.scenario(&team, "it", Map::new(), assumed, 1).unwrap();
        measure(&runs(&scenario, &ModelCatalog::built_in(), 0..1).unwrap()[0], "cost_usd")
    };
    let cheap = cost("gpt-4o", "claude-haiku");
    let dear = cost("gpt-4o", "claude-sonnet-4");
    assert!(cheap > 0.01 && dear > cheap, "{cheap} {dear}");
    assert!(cost("gpt-4o", "gpt-4o") < 0.001, "the price of then");
    assert_eq!(cost("gpt-4o", "script:agent.rhai"), 0.0);
    assert!(cost("script:agent.rhai", "claude-sonnet-4") > 0.0, "a script counts no tokens");
}
