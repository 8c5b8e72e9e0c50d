//! Does a run that was killed go on to the same report?
//!
//! The real binary runs the incident team, is killed with SIGKILL at moments drawn from a seed, and resumed. `SYNOD_KILLS` says how often
//! (4 by default). What the tools did is counted in the tools' own log, not in the journal.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value as Json;

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
    for kill in 0..kills() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = f64::from(u32::try_from(seed >> 40).expect("24 bits fit")) / f64::from(1_u32 << 24);
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
