//! How many tasks does a batch do, in how much memory, and what is left of it when it is killed?
//!
//! `cargo bench --bench batch` runs the real program on 100,000 tasks of three nodes (`SYNOD_BATCH` says how many) with its store on disk. It
//! is killed with SIGKILL three times on the way, at a quarter, a half and three quarters; at the end the output has each key once, or this
//! fails. Beside it: plain redb in the mode of journals, with as many rows in commits of as many rows as sessions run at once. Memory is read
//! from `/proc` and must not grow with what was done: but for the pages that the store keeps, up to a limit, and sixty bytes a task, by which the
//! command knows which keys it has seen. What a run has more of at its end than after its first tenth is said beside that.

#[path = "engine/plain.rs"]
mod plain;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
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
/// MiB of pages that the store keeps at most.
const PAGES: f64 = 48.0;
/// Bytes by which the command knows a key.
const KEY: f64 = 60.0;
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
    let mut written = Written { path: place.join("out.jsonl"), read: 0, lines: 0 };
    let mut grown: f64 = 0.0;
    for run in 1..=KILLS + 1 {
        let until = tasks * run / (KILLS + 1);
        let began = Instant::now();
        let mut child = start(place)?;
        let mut memory = Vec::new();
        let code = loop {
            if let Some(code) = child.try_wait()? {
                break Some(code);
            }
            let lines = written.lines()?;
            if lines >= done + (until - done) * (memory.len() + 1) / 10 && memory.len() < 10 {
                memory.push(resident(&child).unwrap_or(0) / 1_024);
            }
            if run <= KILLS && lines >= until {
                child.kill()?;
                child.wait()?;
                break None;
            }
            thread::sleep(LOOK);
        };
        let (now, seconds) = (written.lines()?, began.elapsed().as_secs_f64());
        let rate = (now - done) as f64 / seconds;
        let what = if code.is_some() { "to the end" } else { "killed" };
        println!("{what:<10} {now:>9} {seconds:>9.1} {rate:>9.0}   {memory:?}");
        if code.is_some_and(|code| !code.success()) {
            return Err(format!("the batch ended with {code:?}").into());
        }
        rates.push(rate);
        // A sample may be taken after the end, when there is nothing to read.
        memory.retain(|mib| *mib > 0);
        if let [first, .., last] = memory[..] {
            grown = grown.max(last as f64 - first as f64);
        }
        done = now;
    }
    check(&place.join("out.jsonl"), tasks)?;
    rates.sort_by(f64::total_cmp);
    let ours = rates[rates.len() / 2] * RECORDS as f64;
    let rows = (tasks * RECORDS).min(200_000);
    let redb = rows as f64 / plain::journal_on_disk(&place.join("plain.redb"), rows, rows.div_ceil(CONCURRENCY))?.as_secs_f64();
    println!("each of {tasks} keys has one result");
    let allowed = PAGES + tasks as f64 / (KILLS + 1) as f64 * KEY / 1_048_576.0;
    let word = if grown <= allowed { "" } else { ": OVER" };
    println!("memory of a run, its last tenth less its first: {grown:.0} MiB (at most {allowed:.0}){word}");
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

/// The lines of a file that grows, each counted once.
struct Written {
    path: PathBuf,
    read: u64,
    lines: usize,
}

impl Written {
    /// Whole lines that are there now. What a kill cut off is taken away when the file is opened again.
    fn lines(&mut self) -> Result<usize, Failure> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        file.seek(SeekFrom::Start(self.read))?;
        let mut new = Vec::new();
        file.read_to_end(&mut new)?;
        let whole = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        self.read += whole as u64;
        self.lines += new[..whole].iter().filter(|byte| **byte == b'\n').count();
        Ok(self.lines)
    }
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
