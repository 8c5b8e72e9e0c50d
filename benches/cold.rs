//! How long does a team of five nodes take as a process, from start to exit?
//!
//! `cargo bench --bench cold` runs the binary in interleaved rounds, in a new folder and in one that has a store, beside what limits it: a
//! process that does nothing (`--version`) and one sync of the disk. The goal is 30 ms. A machine that does other things makes each wait longer
//! than the disk does; the least of the rounds says what is left without that.

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

const ROUNDS: usize = 41;
const GOAL_MS: f64 = 30.0;
/// Syncs of each round.
const SYNCS: usize = 10;

/// Five nodes in a row that only compute.
const GATES: &str = r#"
name: Five gates
use_case: measuring
collaboration_pattern: graph
nodes:
  a: { gate: "1" }
  b: { gate: "a.output + 1", after: a }
  c: { gate: "b.output + 1", after: b }
  d: { gate: "c.output + 1", after: c }
  e: { gate: "d.output + 1", after: d }
output: e.output
"#;

/// Five agents in a row that are scripts.
const AGENTS: &str = r#"
name: Five agents
use_case: measuring
collaboration_pattern: graph
member_agents:
  - { agent: worker, role: a }
  - { agent: worker, role: b }
  - { agent: worker, role: c }
  - { agent: worker, role: d }
  - { agent: worker, role: e }
nodes:
  a: { agent: a, task: "go" }
  b: { agent: b, task: "go", after: a }
  c: { agent: c, task: "go", after: b }
  d: { agent: d, task: "go", after: c }
  e: { agent: e, task: "go", after: d }
output: e.output
"#;

const WORKER: &str = r#"
name: Worker
role: worker
specialization: nothing
description: Says that it is done.
model: "script:worker.rhai"
"#;

const SCRIPT: &str = r#"fn turn(view) { #{ finish: "done" } }"#;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let folder = folder.path();
    for (name, text) in [("gates.yaml", GATES), ("agents.yaml", AGENTS), ("worker.yaml", WORKER), ("worker.rhai", SCRIPT)] {
        fs::write(folder.join(name), text)?;
    }
    let [mut sync, mut floor] = [Vec::new(), Vec::new()];
    let mut runs = ["gates", "agents"].map(|team| (team, Vec::new(), Vec::new()));
    let file = File::create(folder.join("synced"))?;
    write_at(&file, &[0; 1 << 20], 0)?;
    file.sync_all()?;
    for round in 0..=ROUNDS {
        let syncs = timed(|| (0..SYNCS).try_for_each(|page| sync_page(&file, page as u64)))? / SYNCS as f64;
        let version = timed(|| synod(folder, &["--version"]))?;
        for (team, new, there) in &mut runs {
            let team_file = format!("{team}.yaml");
            let run = |store: &str| timed(|| synod(folder, &["run", &team_file, "--json", "--quiet", "--store", store]));
            let (first, again) = (run(&format!("{team}-{round}"))?, run(&format!("{team}-there"))?);
            fs::remove_dir_all(folder.join(format!("{team}-{round}")))?;
            // The first round makes the store that is there later.
            if round > 0 {
                new.push(first);
                there.push(again);
            }
        }
        if round > 0 {
            sync.push(syncs);
            floor.push(version);
        }
    }
    println!("from start to exit, in ms; {ROUNDS} rounds; the goal is {GOAL_MS} for five nodes");
    println!("{:<38} {:>8} {:>8} {:>8}", "", "least", "median", "most");
    show("one sync of the disk", &mut sync);
    show("synod --version", &mut floor);
    for (team, mut new, mut there) in runs {
        show(&format!("five {team}, in a new store"), &mut new);
        show(&format!("five {team}, in a store that is there"), &mut there);
    }
    Ok(())
}

fn show(what: &str, times: &mut [f64]) {
    times.sort_by(f64::total_cmp);
    println!("{what:<38} {:>8.2} {:>8.2} {:>8.2}", times[0], times[times.len() / 2], times[times.len() - 1]);
}

/// Milliseconds.
fn timed(work: impl FnOnce() -> Result<(), Failure>) -> Result<f64, Failure> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

fn sync_page(file: &File, page: u64) -> Result<(), Failure> {
    write_at(file, &[7; 4_096], (page * 17 % 256) * 4_096)?;
    Ok(file.sync_data()?)
}

fn synod(folder: &Path, args: &[&str]) -> Result<(), Failure> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
    command.current_dir(folder).args(args).env_remove("SYNOD_STORE").stdout(Stdio::null());
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("synod {} ended with {status}", args.join(" ")).into()) }
}

fn write_at(mut file: &File, bytes: &[u8], place: u64) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(place))?;
    file.write_all(bytes)
}
