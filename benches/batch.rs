//! How many tasks does a batch do, in how much memory, and what is left of it when it is killed?
//!
//! `cargo bench --bench batch` runs the real program on 100,000 tasks of three nodes (`SYNOD_BATCH` says how many) with its store on disk. It
//! is killed with SIGKILL three times on the way, at a quarter, a half and three quarters; at the end the output has each key once, or this
//! fails. Beside it: plain redb in the mode of journals, with as many rows in commits of as many rows as sessions run at once. Memory is read
//! from `/proc` and must not grow with what was done: but for fifty bytes a task, by which the command knows which keys it has seen.

#[path = "engine/plain.rs"]
mod plain;

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

type Failure = Box<dyn std::error::Error>;

/// Sessions that run at once.
const CONCURRENCY: usize = 200;
/// Records of a session of three nodes: its start, its nodes, its end.
const RECORDS: usize = 5;
/// Kills on the way.
const KILLS: usize = 3;
/// How often memory and output are looked at.
const LOOK: Duration = Duration::from_millis(50);

const TEAM: &str = r#"
name: Three gates
collaboration_pattern: graph
inputs: { n: { type: integer } }
nodes:
  a: { gate: "input.n + 1" }
  b: { gate: "a.output * 2", after: a }
  c: { gate: "b.output - 2", after: b }
output: c.output
"#;

fn main() -> Result<(), Failure> {
    let tasks: usize = std::env::var("SYNOD_BATCH").ok().map_or(Ok(100_000), |n| n.parse())?;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let place = folder.path();
    fs::write(place.join("team.yaml"), TEAM)?;
    let task = |n: usize| format!("{{\"key\":\"task-{n}\",\"inputs\":{{\"n\":{n}}}}}\n");
    fs::write(place.join("tasks.jsonl"), (0..tasks).map(task).collect::<String>())?;
    println!("{tasks} tasks of three nodes, {CONCURRENCY} at once, journal on disk, {KILLS} kills on the way");
    println!("{:<10} {:>9} {:>9} {:>9} {:>22}", "run", "results", "seconds", "tasks/s", "memory MiB, in tenths");
    let (mut done, mut rates) = (0, Vec::new());
    for run in 1..=KILLS + 1 {
        let until = tasks * run / (KILLS + 1);
        let began = Instant::now();
        let mut child = start(place)?;
        let mut memory = Vec::new();
        let code = loop {
            if let Some(code) = child.try_wait()? {
                break Some(code);
            }
            let written = count(&place.join("out.jsonl"))?;
            if written >= done + (until - done) * (memory.len() + 1) / 10 && memory.len() < 10 {
                memory.push(resident(&child).unwrap_or(0) / 1_024);
            }
            if run <= KILLS && written >= until {
                child.kill()?;
                child.wait()?;
                break None;
            }
            thread::sleep(LOOK);
        };
        let (now, seconds) = (count(&place.join("out.jsonl"))?, began.elapsed().as_secs_f64());
        let rate = (now - done) as f64 / seconds;
        let what = if code.is_some() { "to the end" } else { "killed" };
        println!("{what:<10} {now:>9} {seconds:>9.1} {rate:>9.0}   {memory:?}");
        if code.is_some_and(|code| !code.success()) {
            return Err(format!("the batch ended with {code:?}").into());
        }
        rates.push(rate);
        done = now;
    }
    check(&place.join("out.jsonl"), tasks)?;
    rates.sort_by(f64::total_cmp);
    let ours = rates[rates.len() / 2] * RECORDS as f64;
    let rows = (tasks * RECORDS).min(200_000);
    let redb = rows as f64 / plain::journal_on_disk(&place.join("plain.redb"), rows, rows.div_ceil(CONCURRENCY))?.as_secs_f64();
    println!("each of {tasks} keys has one result");
    println!("records/s: {ours:.0} ours, {redb:.0} plain redb in commits of {CONCURRENCY} rows ({:.2})", ours / redb);
    Ok(())
}

fn start(place: &Path) -> Result<Child, Failure> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
    for name in ["SYNOD_STORE", "SYNOD_ORG", "SYNOD_USER", "SYNOD_LOG"] {
        command.env_remove(name);
    }
    command.args(["batch", "team.yaml", "--tasks", "tasks.jsonl", "--out", "out.jsonl", "--quiet"]);
    command.args(["--concurrency", &CONCURRENCY.to_string()]);
    Ok(command.current_dir(place).stdout(Stdio::null()).spawn()?)
}

/// Whole lines of a file.
fn count(path: &Path) -> Result<usize, Failure> {
    Ok(if path.exists() { fs::read(path)?.iter().filter(|byte| **byte == b'\n').count() } else { 0 })
}

/// Memory of a process that is in use, in KiB.
fn resident(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

fn check(out: &Path, tasks: usize) -> Result<(), Failure> {
    let mut keys = BTreeSet::new();
    for line in fs::read_to_string(out)?.lines() {
        let result: serde_json::Value = serde_json::from_str(line)?;
        let key = result["key"].as_str().ok_or("a result without a key")?.to_owned();
        let n: usize = key.strip_prefix("task-").ok_or("a strange key")?.parse()?;
        if result["output"].as_u64() != Some(2 * n as u64) || !keys.insert(n) {
            return Err(format!("{key} is wrong, or there twice").into());
        }
    }
    if keys.len() == tasks { Ok(()) } else { Err(format!("{} of {tasks} results", keys.len()).into()) }
}
