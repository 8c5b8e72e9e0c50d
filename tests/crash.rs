//! Does a run that was killed go on to the same report?
//!
//! The real binary runs the incident team, or a small one with tools that may and may not be repeated, is killed with SIGKILL at moments drawn
//! from a seed, and resumed. `SYNOD_KILLS` says how often (4 by default; 1,000 take some minutes, and the incident team is killed
//! [`MOST`] times at most). What the tools did is counted in the tools' own log, not in the journal.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value as Json;
use synod::{
    event::{Event, Outcome, Record},
    report::Report,
    state::State,
    store::{Filter, RedbStore, Store},
    value::Tenant,
};

/// The most kills of the incident team, which takes seconds.
const MOST: u64 = 20;
/// The longest that a run may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

fn synod(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
    command.current_dir(folder).env("SYNOD_LOG", "synod::calls=debug").env("NO_COLOR", "1").env_remove("SYNOD_STORE");
    command
}

fn start(folder: &Path) -> Child {
    let log = fs::File::create(folder.join("run.log")).expect("a log can be made");
    let mut run = synod(folder);
    run.args(["run", "incident-response", "--json"]).stdout(Stdio::null()).stderr(log).spawn().expect("the binary starts")
}

fn json(command: &mut Command) -> (i32, Json, String) {
    let output = command.output().expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("no JSON on stdout: {e}\n{text}\n{said}"));
    (output.status.code().unwrap_or(-1), json, said)
}

/// A report without what differs from run to run: ids, times, folders and how long it took.
fn lasting(report: &Json, folder: &Path) -> String {
    let mut report = report.clone();
    let object = report.as_object_mut().expect("a report is an object");
    for key in ["session", "metrics", "threads", "started_at", "completed_at", "duration_ms", "contributions"] {
        object.remove(key);
    }
    for finding in object.get_mut("findings").and_then(Json::as_array_mut).into_iter().flatten() {
        finding.as_object_mut().expect("a finding is an object").remove("id");
    }
    let real = folder.canonicalize().expect("the folder is there");
    serde_json::to_string_pretty(&report).expect("JSON prints").replace(&*real.to_string_lossy(), "FOLDER")
}

fn kills() -> u64 {
    std::env::var("SYNOD_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(4)
}

/// The next of a row of numbers from 0 to 1 that are as good as random.
fn draw(seed: &mut u64) -> f64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    f64::from(u32::try_from(*seed >> 40).expect("24 bits fit")) / f64::from(1_u32 << 24)
}

/// The nodes in whose names tools were called, by the tools' own log.
fn called(log: &str) -> BTreeSet<String> {
    let keys = log.lines().filter(|line| line.contains("synod::calls")).filter_map(|line| line.split("key=").nth(1));
    keys.filter_map(|key| {
        let key = key.split_whitespace().next()?;
        let parts: Vec<&str> = key.split('/').collect();
        // session / path… / turn / call / digest
        (parts.len() >= 5).then(|| parts[1..parts.len() - 3].join("/"))
    })
    .collect()
}

#[test]
fn killed_at_any_moment_a_run_goes_on_to_the_same_report() {
    let calm = tempfile::tempdir().expect("a folder can be made");
    let began = Instant::now();
    let (code, report, _) = json(synod(calm.path()).args(["run", "incident-response", "--json"]));
    let length = began.elapsed();
    assert_eq!(code, 0, "the undisturbed run completes");
    let expected = lasting(&report, calm.path());
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for kill in 0..kills().min(MOST) {
        let share = draw(&mut seed);
        let folder = tempfile::tempdir().expect("a folder can be made");
        let mut run = start(folder.path());
        thread::sleep(length.mul_f64(share));
        run.kill().expect("a child can be killed");
        run.wait().expect("a killed child ends");
        let (_, sessions, _) = json(synod(folder.path()).args(["sessions", "--json"]));
        let Some(session) = sessions[0]["session"].as_str() else {
            eprintln!("kill {kill} at {share:.2}: before the session began");
            continue;
        };
        let (_, events, _) = json(synod(folder.path()).args(["show", session, "--json"]));
        let ended: BTreeSet<&str> = events
            .as_array()
            .into_iter()
            .flatten()
            .filter(|row| row["event"].get("node_ended").is_some())
            .filter_map(|row| row["node"].as_str())
            .collect();
        let (code, report, log) = json(synod(folder.path()).args(["resume", session, "--json"]));
        assert_eq!(code, 0, "kill {kill} at {share:.2}: {log}");
        assert_eq!(lasting(&report, folder.path()), expected, "kill {kill} at {share:.2}");
        let again: Vec<String> = called(&log).into_iter().filter(|node| ended.contains(node.as_str())).collect();
        assert!(again.is_empty(), "kill {kill} at {share:.2}: tools were called again for {again:?}");
        assert!(began.elapsed() < PATIENCE * (u32::try_from(kills()).unwrap_or(u32::MAX)), "it takes far too long");
    }
}

#[test]
fn two_runs_in_one_folder_and_a_list_beside_them_all_succeed() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut runs = [start(folder.path()), start(folder.path())];
    let mut lists = 0;
    while runs.iter_mut().any(|run| run.try_wait().expect("a child can be asked").is_none()) {
        let (code, _, said) = json(synod(folder.path()).args(["sessions", "--json"]));
        assert_eq!(code, 0, "{said}");
        lists += 1;
        thread::sleep(Duration::from_millis(100));
    }
    for mut run in runs {
        assert!(run.wait().expect("it ended").success());
    }
    assert!(lists > 0);
    let (_, sessions, _) = json(synod(folder.path()).args(["sessions", "--json"]));
    let sessions = sessions.as_array().expect("a list");
    assert_eq!(sessions.len(), 2);
    assert!(sessions.iter().all(|row| row["status"] == "completed"), "{sessions:?}");
}

const STEPS: usize = 4;
const NOTE: &str = "echo \"$1\" >> done.log\n";

/// A team of script agents and commands: `note` may be repeated, `pay` may not.
fn small() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let tool = |name: &str, more: &str| {
        format!(
            "  {name}:\n    description: Does a step.\n    command: [sh, step.sh, '{{{{ step }}}}']\n{more}    parameters: {{ step: {{ type: string, description: which }} }}\n"
        )
    };
    let nodes: String = (0..STEPS)
        .map(|n| {
            let after = if n > 0 { format!(", after: p{}", n - 1) } else { String::new() };
            format!("  n{n}: {{ tool: note, args: {{ step: note{n} }}{after} }}\n  p{n}: {{ tool: pay, args: {{ step: pay{n} }}, after: n{n} }}\n")
        })
        .collect();
    let team = format!(
        "name: Steps\ncollaboration_pattern: graph\ntools:\n{}{}member_agents: [{{ agent: agent, role: clerk }}]\nnodes:\n{nodes}  \
         work: {{ agent: clerk, after: n0 }}\noutput: '[p{}.status, work.output]'\n",
        tool("note", "    effect: idempotent\n"),
        tool("pay", ""),
        STEPS - 1
    );
    let agent = "name: Clerk\nrole: worker\nmodel: script:agent.rhai\nallowed_tools: [note, pay]\n";
    let script = "fn turn(view) {\n    switch view.turn {\n        0 => #{ calls: [#{ tool: \"note\", args: #{ step: \"note-a\" } }] },\n        \
                  1 => #{ calls: [#{ tool: \"pay\", args: #{ step: \"pay-a\" } }] },\n        _ => #{ finish: \"worked\" }\n    }\n}\n";
    for (name, text) in [("team.yaml", &*team), ("agent.yaml", agent), ("agent.rhai", script), ("step.sh", NOTE)] {
        fs::write(folder.path().join(name), text).expect("a file can be written");
    }
    folder
}

/// How often each step was done, by the tool's own log.
fn done(folder: &Path) -> BTreeMap<String, usize> {
    let log = fs::read_to_string(folder.join("done.log")).unwrap_or_default();
    let mut counts = BTreeMap::new();
    for step in log.lines() {
        *counts.entry(step.to_owned()).or_default() += 1;
    }
    counts
}

/// The steps whose results are on the record.
fn on_record(records: &[Record]) -> BTreeSet<String> {
    let Ok(state) = State::fold(records) else { panic!("the journal does not fold") };
    let step = |path: &str| match path.split_at(1) {
        ("n", n) => Some(format!("note{n}")),
        ("p", n) => Some(format!("pay{n}")),
        _ => None,
    };
    let ended = records.iter().filter_map(|record| match &record.event {
        Event::NodeEnded { node, outcome: Outcome::Ok(_) } => step(&state.path(*node)),
        Event::ToolReturned { turn, result, .. } if result.outcome.is_ok() => {
            Some(if turn.0 == 0 { "note-a".to_owned() } else { "pay-a".to_owned() })
        }
        _ => None,
    });
    ended.collect()
}

/// Waits until nothing that was started in a folder is left: a child may outlive a killed process by a moment.
fn alone(folder: &Path) {
    let folder = folder.canonicalize().expect("it is there");
    let is_there = |entry: std::io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == folder))
    };
    while fs::read_dir("/proc").is_ok_and(|mut all| all.any(is_there)) {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn killed_at_any_moment_a_small_team_repeats_nothing_that_is_on_the_record() {
    let calm = small();
    let began = Instant::now();
    let (code, report, said) = json(synod(calm.path()).args(["run", "team.yaml", "--json", "--quiet"]));
    let length = began.elapsed();
    assert_eq!(code, 0, "{said}");
    let output = report["output"].clone();
    let all = done(calm.path());
    assert_eq!(all.len(), 2 * STEPS + 2, "{all:?}");
    let (mut seed, mut again, mut doubts, mut early) = (0x2545_f491_4f6c_dd1d_u64, 0, 0, 0);
    for kill in 0..kills() {
        let share = draw(&mut seed);
        let folder = small();
        let mut run = synod(folder.path());
        let mut run =
            run.args(["run", "team.yaml", "--quiet"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        thread::sleep(length.mul_f64(share));
        run.kill().expect("a child can be killed");
        run.wait().expect("a killed child ends");
        alone(folder.path());
        let open = || RedbStore::open(folder.path().join(".synod")).expect("a store");
        let row = open().list(&Filter::of(&Tenant::default(), 9)).expect("the index is whole").pop();
        let Some(session) = row.map(|row| row.session) else {
            assert_eq!(done(folder.path()), BTreeMap::new(), "kill {kill}: nothing is done before the session begins");
            early += 1;
            continue;
        };
        let (before, kept) = (done(folder.path()), on_record(&open().read_all(session).expect("it is whole")));
        assert!(kept.iter().all(|step| before.contains_key(step)), "kill {kill} at {share:.2}: {kept:?} of {before:?}");
        let id = session.to_string();
        let (mut code, mut report, mut said) = json(synod(folder.path()).args(["resume", &id, "--json", "--quiet"]));
        while code == 3 {
            doubts += 1;
            let state = State::fold(&open().read_all(session).expect("it is whole")).expect("it folds");
            let ask = state.asks.values().next().expect("a parked session asks");
            let step = all.keys().find(|step| ask.question.contains(&format!("\"{step}\""))).expect("it asks about a step");
            let word = if done(folder.path()).contains_key(step) { "happened" } else { "not_happened" };
            let question = format!("q{}", ask.id);
            (code, report, said) = json(synod(folder.path()).args(["answer", &id, &question, word, "--json", "--quiet"]));
        }
        assert_eq!((code, &report["output"]), (0, &output), "kill {kill} at {share:.2}: {said}");
        Report::of(&open().read_all(session).expect("it is whole")).expect("it reports");
        let after = done(folder.path());
        assert_eq!(after.keys().collect::<Vec<_>>(), all.keys().collect::<Vec<_>>(), "kill {kill} at {share:.2}");
        for (step, count) in &after {
            let first = before.get(step).copied().unwrap_or(0);
            let is_payment = step.starts_with("pay");
            assert!(*count <= if is_payment { 1 } else { 2 }, "kill {kill} at {share:.2}: {step} was done {count} times");
            assert!(
                !kept.contains(step) || *count == first,
                "kill {kill} at {share:.2}: {step} was on the record and was done again"
            );
            again += count - 1;
        }
    }
    let ran = kills() - early;
    println!(
        "{ran} kills in a session, {early} before it: {again} steps repeated that may be, {doubts} calls in doubt, none lost"
    );
}
