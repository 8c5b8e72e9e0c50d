//! Is a turn paid for twice, or something irreversible done twice, when the program is killed?
//!
//! An agent of ten turns asks a provider on loopback, which keeps every request with its idempotency key, and calls a tool that cannot be
//! taken back, which keeps a log of its own. The real program is killed with SIGKILL at moments drawn from a seed and goes on;
//! `SYNOD_KILLS` says how often (4 by default). Whether a call in doubt happened is answered from the tool's own log.

mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use wire::{Asked, Provider, Says};

const TURNS: usize = 10;
/// How long the provider and the tool take, so that a kill may hit either.
const TAKES: Duration = Duration::from_millis(25);
/// How long a child of a killed process may outlive it.
const LAST_BREATH: Duration = Duration::from_millis(300);

fn says(asked: &Asked) -> Says {
    thread::sleep(TAKES);
    let messages = asked.body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let turn = messages.iter().filter(|message| message["role"] == "assistant").count();
    let call = if turn + 1 < TURNS {
        ("deploy", json!({ "step": format!("step-{turn}") }))
    } else {
        ("finish", json!({ "result": { "steps": turn, "confidence": 1 } }))
    };
    Says::Reply(format!("turn {turn}"), vec![(call.0.to_owned(), call.1)])
}

fn synod(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
    command.current_dir(folder).args(["--models", "models.yaml", "--quiet"]).env("LOCAL_KEY", "lk-0123456789");
    command.env_remove("SYNOD_STORE").env_remove("SYNOD_LOG");
    command
}

fn json_of(command: &mut Command) -> (i32, Json) {
    let output = command.arg("--json").output().expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    let json = text.lines().last().and_then(|line| serde_json::from_str(line).ok());
    (output.status.code().unwrap_or(-1), json.unwrap_or_else(|| panic!("no JSON on stdout: {text}\n{said}")))
}

fn bench(provider: &Provider) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let team = "name: Deploys\ncollaboration_pattern: graph\n\
                tools:\n  deploy:\n    description: Deploys a step.\n    command: [sh, deploy.sh, '{{ step }}']\n    \
                parameters: { step: { type: string, description: which } }\n\
                member_agents: [{ agent: agent, role: ops }]\nnodes:\n  work: { agent: ops }\noutput: work.output\n";
    let agent =
        "name: Ops\nrole: worker\nmodel: small\nsystem_prompt: Deploy.\nallowed_tools: [deploy]\nmax_conversation_turns: 10\n";
    let tool = "sleep 0.02\necho \"$1\" >> deployed.log\nsleep 0.02\n";
    for (name, text) in [("team.yaml", team), ("agent.yaml", agent), ("deploy.sh", tool), ("models.yaml", &provider.catalog())] {
        fs::write(folder.path().join(name), text).expect("a file can be written");
    }
    folder
}

fn deployed(folder: &Path) -> Vec<String> {
    fs::read_to_string(folder.join("deployed.log")).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Whether anything of a session is on the record: its row may be durable a moment earlier.
fn has_begun(folder: &Path, session: &str) -> bool {
    synod(folder).args(["show", session, "--json"]).output().expect("the binary starts").status.success()
}

/// The turns whose replies are on the record.
fn journaled(folder: &Path, session: &str) -> BTreeSet<u64> {
    let (_, rows) = json_of(synod(folder).args(["show", session]));
    let rows = rows.as_array().cloned().unwrap_or_default();
    rows.iter()
        .filter(|row| row["event"]["turn_ended"]["end"].get("reply").is_some())
        .filter_map(|row| row["event"]["turn_ended"]["turn"].as_u64())
        .collect()
}

/// How often each turn was asked for: the keys end with it.
fn counts(provider: &Provider) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for asked in provider.asked() {
        *counts.entry(asked.key).or_default() += 1;
    }
    counts
}

/// Goes on to the end, and answers what is in doubt from the tool's own log.
fn to_the_end(folder: &Path, session: &str) -> Json {
    let (mut code, mut report) = json_of(synod(folder).args(["resume", session]));
    for _ in 0..TURNS {
        if code != 3 {
            break;
        }
        let (_, rows) = json_of(synod(folder).args(["show", session]));
        let asked = rows.as_array().and_then(|rows| rows.iter().rev().find_map(|row| row["event"].get("asked"))).cloned();
        let ask = asked.expect("a parked session asks");
        let question = ask["question"].as_str().expect("a question").to_owned();
        let step = (0..TURNS).map(|n| format!("step-{n}")).find(|step| question.contains(&format!("\"{step}\"")));
        let step = step.unwrap_or_else(|| panic!("it asks about a step: {question}"));
        let word = if deployed(folder).contains(&step) { "happened" } else { "not_happened" };
        (code, report) = json_of(synod(folder).args(["answer", session, &format!("q{}", ask["id"]), word]));
    }
    assert_eq!(code, 0, "{report}");
    report
}

#[test]
fn killed_at_any_moment_no_journaled_reply_is_asked_for_again_and_nothing_irreversible_is_repeated() {
    let kills: u32 = std::env::var("SYNOD_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let calm = Provider::start(says);
    let folder = bench(&calm);
    let began = Instant::now();
    let (code, report) = json_of(synod(folder.path()).args(["run", "team.yaml"]));
    let length = began.elapsed();
    assert_eq!((code, report["output"]["steps"].as_u64()), (0, Some(9)), "{report}");
    assert_eq!(calm.asked().len(), TURNS);
    let (mut again, mut doubts) = (0, 0);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for kill in 0..kills {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = f64::from(u32::try_from(seed >> 40).expect("24 bits fit")) / f64::from(1_u32 << 24);
        let provider = Provider::start(says);
        let folder = bench(&provider);
        let mut run = synod(folder.path());
        let mut run =
            run.args(["run", "team.yaml"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
        thread::sleep(length.mul_f64(share));
        run.kill().expect("a child can be killed");
        run.wait().expect("a killed child ends");
        thread::sleep(LAST_BREATH);
        let (_, sessions) = json_of(synod(folder.path()).arg("sessions"));
        let Some(session) = sessions[0]["session"].as_str() else { continue };
        if !has_begun(folder.path(), session) {
            assert!(
                provider.asked().is_empty() && deployed(folder.path()).is_empty(),
                "kill {kill}: nothing is asked before the start"
            );
            continue;
        }
        let (before, kept) = (counts(&provider), journaled(folder.path(), session));
        let report = to_the_end(folder.path(), session);
        assert_eq!(report["output"]["steps"].as_u64(), Some(9), "kill {kill} at {share:.2}");
        let (after, steps) = (counts(&provider), deployed(folder.path()));
        for (key, count) in &after {
            let turn: u64 = key.rsplit('/').next().and_then(|turn| turn.parse().ok()).expect("a key ends with its turn");
            let first = before.get(key).copied().unwrap_or(0);
            if kept.contains(&turn) {
                assert_eq!((first, *count), (1, 1), "kill {kill} at {share:.2}: {key} was journaled and asked for again");
            }
            assert!(*count <= 2, "kill {kill} at {share:.2}: {key} was asked for {count} times");
            again += count - 1;
        }
        assert_eq!(after.len(), TURNS, "kill {kill}: a repetition has the same key: {after:?}");
        let expected: Vec<String> = (0..TURNS - 1).map(|n| format!("step-{n}")).collect();
        assert_eq!(steps, expected, "kill {kill} at {share:.2}: the tool's own log");
        doubts += usize::from(report["escalations"].as_array().is_some_and(|rows| !rows.is_empty()));
    }
    println!("{kills} kills: {again} requests repeated under their key, {doubts} runs with a call in doubt, no step repeated");
}
