//! Is a session lost when the machine stops or its disk fails?
//!
//! Real sessions run on a disk that stops, or fails, at every operation of the store in turn; of what was not synced some is there afterwards
//! and some is not. Each goes on to its end, and is compared with one that nothing happened to. `SYNOD_FAULTS` says how many of these
//! there are. What the tools and the model did is counted by them, not by the journal.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use super::*;
use crate::{
    event::{AskFor, Event, Outcome, Record, TurnEnd},
    model::Answer,
    store::{
        Filter, RedbStore,
        faults::{Fault, Keep, Machine},
    },
    team::Overrides,
    tool::{CallContext, Work},
    value::{AskId, Call, EffectClass, Reply, Request, Stop, ToolSpec, Value},
};

const TEAM: &str = r#"
name: Faults
collaboration_pattern: graph
member_agents: [{ agent: clerk, role: clerk }, { agent: payer, role: payer }]
nodes:
  first: { tool: note, args: { value: first } }
  file: { agent: clerk, after: first }
  agree: { ask: "Go?", options: ["yes"], after: first }
  pay: { agent: payer, after: [file, agree] }
  last: { tool: pay, args: { value: last }, after: pay }
output: '[file.output, pay.output]'
"#;
const CLERK: &str = "name: Clerk\nrole: worker\nmodel: script:clerk.rhai\nallowed_tools: ['*']\n";
const PAYER: &str = "name: Payer\nrole: worker\nmodel: counted\nallowed_tools: ['*']\n";
/// Text that is long enough for a blob.
const SCRIPT: &str = r#"
fn turn(view) {
    if view.turn == 0 { return #{ calls: [#{ tool: "note", args: #{ value: "one" } }, #{ tool: "note", args: #{ value: "two" } }] }; }
    let long = "0123456789";
    for n in 0..9 { long += long; }
    #{ finish: #{ long: long } }
}
"#;
/// The most times that a session is resumed: each of its irreversible calls may be in doubt.
const RESUMES: usize = 12;
/// Machines that one session may live on.
const MACHINES: u64 = 3;

/// What was done in the world, by the value that it was done with.
#[derive(Clone, Default)]
struct World(Arc<Mutex<BTreeMap<String, Vec<String>>>>);

impl World {
    fn did(&self, what: &str, key: &str) {
        // Sessions have ids of their own.
        let key = key.split_once('/').map_or(key, |(_, key)| key);
        self.0.lock().unwrap().entry(what.to_owned()).or_default().push(key.to_owned());
    }

    fn has_done(&self, what: &str) -> bool {
        self.0.lock().unwrap().contains_key(what)
    }

    fn counts(&self) -> BTreeMap<String, usize> {
        self.0.lock().unwrap().iter().map(|(what, keys)| (what.clone(), keys.len())).collect()
    }

    /// What was done, each with its only key.
    fn keys(&self) -> BTreeMap<String, String> {
        let world = self.0.lock().unwrap();
        let key = |keys: &[String]| {
            assert!(keys.iter().all(|key| *key == keys[0]), "a repetition has another key: {keys:?}");
            keys[0].clone()
        };
        world.iter().map(|(what, keys)| (what.clone(), key(keys))).collect()
    }
}

/// A tool that does something in the world and returns what it did, or nothing where nobody could tell the same afterwards.
struct Does(World, ToolSpec);

impl Tool for Does {
    fn spec(&self) -> &ToolSpec {
        &self.1
    }

    fn call<'a>(&'a self, call: &'a CallContext, args: &'a Value) -> Work<'a> {
        let value = args.get("value").cloned().unwrap_or_default();
        self.0.did(&value.to_string(), &call.key);
        Box::pin(std::future::ready(Ok(if self.1.effect == EffectClass::Idempotent { value } else { Value::Null })))
    }
}

fn does(world: &World, name: &str, effect: EffectClass) -> Arc<dyn Tool> {
    let parameters = Value::map([("type", Value::text("object"))]);
    let (name, description) = (Arc::from(name), Arc::from("does something"));
    Arc::new(Does(world.clone(), ToolSpec { name, description, parameters, effect, untrusted: false }))
}

/// A model that is asked for three turns, and costs something.
struct Counted(World);

impl crate::model::Model for Counted {
    fn reply<'a>(&'a self, request: &'a Request, key: &'a str) -> Answer<'a> {
        let turn = request.turn.0;
        self.0.did(&format!("turn {turn}"), key);
        let call = |value: &str| Call { id: value.into(), tool: "pay".into(), args: Value::map([("value", Value::text(value))]) };
        let reply = match turn {
            0 => Reply { calls: vec![call("left"), call("right")], stop: Stop::Calls, ..Reply::default() },
            1 => Reply { calls: vec![call("rest")], stop: Stop::Calls, ..Reply::default() },
            _ => Reply { finish: Some(Value::text("paid")), ..Reply::default() },
        };
        Box::pin(std::future::ready(Ok(reply)))
    }
}

/// The files of a team, in a folder that outlasts every machine.
struct Bench {
    files: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

/// A session in a world, on one machine after the other.
struct Life<'a> {
    bench: &'a Bench,
    world: World,
    folder: tempfile::TempDir,
    machines: u64,
    session: Option<SessionId>,
    /// What followers were shown: all of it was promised.
    shown: Vec<Record>,
    /// Questions that were answered, and the answer acknowledged.
    answered: Vec<AskId>,
    doubts: bool,
}

impl Bench {
    fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        for (name, text) in [("team.yaml", TEAM), ("clerk.yaml", CLERK), ("payer.yaml", PAYER), ("clerk.rhai", SCRIPT)] {
            std::fs::write(files.path().join(name), text).unwrap();
        }
        Self { files, runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap() }
    }

    fn life(&self) -> Life<'_> {
        let (world, folder) = (World::default(), tempfile::tempdir().unwrap());
        let (session, shown, answered) = (None, Vec::new(), Vec::new());
        Life { bench: self, world, folder, machines: 1, session, shown, answered, doubts: false }
    }
}

impl Life<'_> {
    fn store(&self) -> PathBuf {
        self.folder.path().join(format!("{}", self.machines)).join(".synod")
    }

    fn machine(&self, fault: Fault, seed: u64) -> Arc<Machine> {
        let folder = self.store();
        std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
        Machine::new(&folder, fault, seed)
    }

    fn engine(&self) -> Engine {
        let store = Arc::new(RedbStore::open(self.store()).unwrap());
        let builder = Engine::builder().workspace(self.bench.files.path()).state_folder(self.store()).store(store);
        let builder = builder.model("counted", Arc::new(Counted(self.world.clone())));
        let note = does(&self.world, "note", EffectClass::Idempotent);
        let pay = does(&self.world, "pay", EffectClass::Irreversible);
        builder.tool(note).and_then(|builder| builder.tool(pay)).unwrap().build()
    }

    /// Goes on to the end, from wherever the session is.
    fn go_on(&mut self, engine: &Engine) -> Result<Report, EngineError> {
        let bench = self.bench;
        if let Some(session) = self.session
            && self.shown.is_empty()
        {
            match engine.store().read(session, crate::value::Seq(0), 1) {
                // It never began, and nothing was promised.
                Ok(none) if none.is_empty() => self.session = None,
                Err(crate::store::ReadError::Unknown(_)) => self.session = None,
                read => drop(read?),
            }
        }
        let session = match self.session {
            Some(session) => session,
            None => {
                let team = engine.load("team.yaml", &Overrides::default())?;
                let session = bench.runtime.block_on(async {
                    let handle = engine.start(&team, "the task", Map::new()).await?;
                    self.session = Some(handle.session());
                    self.follow(handle).await
                });
                session?;
                self.session.expect("it was set")
            }
        };
        for _ in 0..RESUMES {
            let state = State::fold(&engine.store().read_all(session)?)?;
            if state.finished.is_some() {
                return Ok(Report::of(&engine.store().read_all(session)?)?);
            }
            let ask = state.asks.values().find(|ask| !self.answered.contains(&ask.id)).cloned();
            bench.runtime.block_on(async {
                let Some(ask) = ask else { return self.follow(engine.resume(session).await?).await };
                let answer = if ask.purpose == AskFor::Node {
                    "yes"
                } else {
                    self.doubts = true;
                    let paid = ["left", "right", "rest", "last"].into_iter().find(|what| ask.question.contains(what));
                    let paid = paid.unwrap_or_else(|| panic!("it asks about a payment: {}", ask.question));
                    if self.world.has_done(paid) { "happened" } else { "not_happened" }
                };
                let handle = engine.answer(session, ask.id, Value::text(answer), "ann").await?;
                self.answered.push(ask.id);
                match handle {
                    Some(handle) => self.follow(handle).await,
                    None => Ok(()),
                }
            })?;
        }
        panic!("it does not end");
    }

    /// Waits until the session is over, parked or broken off.
    async fn follow(&mut self, mut handle: SessionHandle) -> Result<(), EngineError> {
        let mut events = handle.events();
        let ended = handle.wait().await;
        while let Ok(record) = events.try_recv() {
            self.shown.push((*record).clone());
        }
        ended.map(drop)
    }

    /// What must hold of the store once the machine runs again. What is on the record is not done again.
    fn look(&mut self, engine: &Engine, what: &str) -> BTreeMap<String, usize> {
        let rows = engine.store().list(&Filter::of(&Tenant::default(), 9)).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(rows.len() <= 1 || self.shown.is_empty(), "{what}: {rows:?}");
        let begun = rows.first().map(|row| row.session);
        assert!(begun.is_some() || self.shown.is_empty(), "{what}: the session is lost");
        assert!(begun.is_none() || self.session.is_none() || begun == self.session, "{what}");
        self.session = begun;
        let Some(session) = begun else {
            assert!(self.world.counts().is_empty(), "{what}: something was done before the session began");
            return BTreeMap::new();
        };
        let records = engine.store().read_all(session).unwrap_or_else(|e| panic!("{what}: {e}"));
        for shown in &self.shown {
            assert_eq!(records.get(shown.seq.index()), Some(shown), "{what}: a record that was promised is lost");
        }
        // An answer that was acknowledged is in the journal or in the inbox, where the next owner finds it.
        let counts = self.world.counts();
        let kept = on_record(&records);
        for done in &kept {
            assert!(counts.contains_key(done), "{what}: {done} is on the record and was not done");
        }
        counts.into_iter().filter(|(done, _)| kept.contains(done)).collect()
    }
}

/// What came of calls and turns, as far as the journal has it.
fn on_record(records: &[Record]) -> Vec<String> {
    let state = State::fold(records).expect("the journal folds");
    let mut done = Vec::new();
    let mut calls = BTreeMap::new();
    for record in records {
        match &record.event {
            Event::TurnEnded { node, turn, end: TurnEnd::Reply(reply), .. } => {
                calls.extend((0..).zip(&reply.calls).map(|(nth, call)| ((*node, *turn, nth), call.args.get("value").cloned())));
                if &*state.path(*node) == "pay" {
                    done.push(format!("turn {turn}"));
                }
            }
            Event::ToolReturned { node, turn, call, result } if result.outcome.is_ok() => {
                done.extend(calls.get(&(*node, *turn, call.0)).cloned().flatten().map(|value| value.to_string()));
            }
            Event::NodeEnded { node, outcome: Outcome::Ok(_) } => {
                done.extend(["first", "last"].map(str::to_owned).into_iter().filter(|name| **name == *state.path(*node)));
            }
            _ => {}
        }
    }
    done
}

/// A report without what differs from run to run: ids, times, and who was asked what became of a call.
fn lasting(report: &Report) -> String {
    let mut report = serde_json::to_value(report).unwrap();
    let object = report.as_object_mut().unwrap();
    for key in [
        "session",
        "metrics",
        "models",
        "budget",
        "threads",
        "started_at",
        "completed_at",
        "duration_ms",
        "contributions",
        "escalations",
    ] {
        object.remove(key);
    }
    serde_json::to_string_pretty(&report).unwrap()
}

/// What a session comes to that nothing happens to.
struct Calm {
    report: String,
    keys: BTreeMap<String, String>,
    operations: u64,
}

fn calm(bench: &Bench) -> Calm {
    let mut life = bench.life();
    let machine = life.machine(Fault::Never, 0);
    let engine = life.engine();
    let report = life.go_on(&engine).unwrap();
    drop(engine);
    assert_eq!(life.world.counts().len(), 10, "{:?}", life.world.counts());
    assert!(life.world.counts().values().all(|count| *count == 1), "{:?}", life.world.counts());
    Calm { report: lasting(&report), keys: life.world.keys(), operations: machine.operations() }
}

/// Lives through `fault`, then through others, and says how often something was done again under its key.
fn survive(bench: &Bench, calm: &Calm, fault: Fault, seed: u64) -> usize {
    let what = format!("{fault:?} seed {seed}");
    let mut life = bench.life();
    let mut fault = fault;
    let report = loop {
        let machine = life.machine(fault, seed);
        let engine = life.engine();
        let kept = if life.machines > 1 && fault == Fault::Never { life.look(&engine, &what) } else { BTreeMap::new() };
        let gone = life.go_on(&engine);
        if let Err(error) = &gone {
            assert!(machine.is_broken(), "{what}: {error}");
            check_words(error, &what);
        }
        for (done, count) in &kept {
            assert_eq!(life.world.counts().get(done), Some(count), "{what}: {done} was on the record and was done again");
        }
        let gone = match (fault, gone) {
            // The same process goes on, once the cause is gone.
            (Fault::Fail { .. }, gone) => {
                machine.heal();
                gone.or_else(|_| life.go_on(&engine)).unwrap_or_else(|e| panic!("{what}: {e}"))
            }
            (Fault::Never, Ok(report)) if life.machines >= MACHINES => break report,
            (Fault::Never, Err(error)) => panic!("{what}: {error}"),
            (Fault::Stop { .. } | Fault::Never, _) => {
                drop(engine);
                machine.stop(keep(fault));
                life.move_to_the_next(&machine);
                fault = life.next_fault(seed);
                continue;
            }
        };
        assert_eq!(lasting(&gone), calm.report, "{what}");
        drop(engine);
        machine.stop(Keep::Nothing);
        life.move_to_the_next(&machine);
        fault = Fault::Never;
    };
    assert_eq!(lasting(&report), calm.report, "{what}");
    assert_eq!(life.world.keys(), calm.keys, "{what}: a repetition has the same key");
    let counts = life.world.counts();
    for payment in ["left", "right", "rest", "last"] {
        assert_eq!(counts[payment], 1, "{what}: {payment} was paid more than once");
    }
    counts.values().map(|count| count - 1).sum()
}

/// What is left on the disk of a machine when it is stopped at the end: every promise is kept by what was synced.
fn keep(fault: Fault) -> Keep {
    match fault {
        Fault::Stop { keep, .. } => keep,
        Fault::Never | Fault::Fail { .. } => Keep::Nothing,
    }
}

impl Life<'_> {
    fn move_to_the_next(&mut self, machine: &Machine) {
        self.machines += 1;
        machine.restore(&self.store());
    }

    /// Some sessions are hit again while they recover; on the last machine nothing happens.
    fn next_fault(&self, seed: u64) -> Fault {
        if self.machines == 2 && seed.is_multiple_of(3) {
            return Fault::Stop { at: 1 + seed / 3 % 80, keep: KEEPS[(seed / 3) as usize % KEEPS.len()] };
        }
        Fault::Never
    }
}

fn check_words(error: &EngineError, what: &str) {
    let text = error.to_string();
    let remedies = ["make room on its disk", "see to the disk", "let this user write", "name a folder that can be written"];
    assert!(remedies.iter().any(|remedy| text.contains(remedy)), "{what}: {text}");
}

const KEEPS: [Keep; 5] = [Keep::Some, Keep::All, Keep::Nothing, Keep::Journals, Keep::Catalog];
/// An error of the disk, no room, and a disk that went read-only, as the system numbers them.
const ERRORS: [i32; 3] = [5, 28, 30];

/// What happens at point `point` of operation `at`.
fn fault(point: u64, at: u64) -> Fault {
    match point % 8 {
        nth @ 0..5 => Fault::Stop { at, keep: KEEPS[nth as usize] },
        5 => Fault::Stop { at, keep: Keep::Some },
        6 => Fault::Fail { at, count: 1, errno: ERRORS[0] },
        _ => Fault::Fail { at, count: u64::MAX, errno: ERRORS[(point / 8) as usize % ERRORS.len()] },
    }
}

#[test]
fn stopped_or_failing_at_any_operation_of_the_disk_no_session_is_lost_and_no_report_changes() {
    let points: u64 = std::env::var("SYNOD_FAULTS").ok().and_then(|n| n.parse().ok()).unwrap_or(48);
    let calm = calm(&Bench::new());
    let lanes = std::thread::available_parallelism().map_or(1, usize::from);
    let live = |bench: &Bench, point: u64| {
        let at = 1 + u64::try_from(u128::from(point) * u128::from(calm.operations) / u128::from(points)).unwrap();
        survive(bench, &calm, fault(point, at), point)
    };
    if let Some(point) = std::env::var("SYNOD_FAULT").ok().and_then(|n| n.parse().ok()) {
        live(&Bench::new(), point);
        return;
    }
    let lane = |first: usize| {
        let bench = Bench::new();
        (0..points).skip(first).step_by(lanes).map(|point| live(&bench, point)).sum::<usize>()
    };
    let again: usize = std::thread::scope(|scope| {
        let lane = &lane;
        let lanes: Vec<_> = (0..lanes).map(|first| scope.spawn(move || lane(first))).collect();
        lanes
            .into_iter()
            .map(|lane| lane.join().expect("SYNOD_FAULT=SEED, with the same SYNOD_FAULTS, lives through what is printed, alone"))
            .sum()
    });
    println!("{points} faults at {} operations of the disk: {again} effects in flight repeated under their key", calm.operations);
}
