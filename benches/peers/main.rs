//! How do others do the same work? Side by side, in one run.
//!
//! `SYNOD_PEERS=DIR cargo bench --bench peers` runs the programs of a folder of peers and Synod on the same workloads in interleaved rounds, and
//! prints medians and how many times as long each took. Without `SYNOD_PEERS` it says so and ends. The folder has `workloads/*.txt` (a line for
//! each node: number, milliseconds, the nodes that it waits for), `rust/target/release/{limits,gf,dg}` and `py/*_bench.py` with an environment
//! for each under `venv/`; a README there says how they are made. A program that is not there is named and left out. Each prints a line
//! of JSON for each run, with `variant` and `wall_ms`, or `error`. Name workloads or peers to run only these: `-- w1 langgraph`.
//!
//! A node reads what those before it published and publishes 200 bytes that follow from it; so does ours, as a tool whose argument is a
//! template. `waits` is a tool whose calls wait until their intent is on the disk, `free` one whose calls do not: DBOS and LangGraph's
//! `sync` compare with the first, what saves at the end or behind the work with the second.

#[path = "../engine/graphs.rs"]
#[allow(dead_code, reason = "shared with the benchmark of the engine, which uses other parts")]
mod graphs;
mod ours;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use graphs::Dag;
use table::{PEERS, Peer, WORKLOADS, Workload};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Rounds of everything.
const ROUNDS: usize = 3;
/// The longest that a peer may take for one workload.
const PATIENCE: Duration = Duration::from_secs(400);

/// Milliseconds of each run, by who ran.
pub type Times = BTreeMap<String, Vec<f64>>;

fn main() -> Result<(), Failure> {
    let Some(folder) = std::env::var_os("SYNOD_PEERS").map(PathBuf::from) else {
        println!("left out: SYNOD_PEERS names no folder of peers; the other benchmarks run without them");
        return Ok(());
    };
    let folder = folder.canonicalize().map_err(|e| format!("SYNOD_PEERS={}: {e}", folder.display()))?;
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let any = |names: &[&str]| names.iter().any(|name| wanted.iter().any(|w| w == name));
    let workloads: Vec<&str> = WORKLOADS.iter().map(|w| w.name).collect();
    let peers: Vec<&str> = PEERS.iter().map(|p| p.name).collect();
    let (some_workloads, some_peers) = (any(&workloads), any(&peers));
    let mut absent = Vec::new();
    for peer in &PEERS {
        let files = [Some(peer.program), peer.script];
        let missing = files.into_iter().flatten().find(|file| !folder.join(file).exists());
        absent.extend(missing.map(|file| format!("{} ({file})", peer.name)));
    }
    if !absent.is_empty() {
        println!("not found, and left out: {}", absent.join(", "));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for workload in WORKLOADS.iter().filter(|w| !some_workloads || any(&[w.name])) {
        let dag = read(&folder.join("workloads").join(format!("{}.txt", workload.file)))?;
        let mut times = Times::new();
        let mut errors = BTreeSet::new();
        for _ in 0..ROUNDS {
            runtime.block_on(ours::round(&dag, workload, &mut times))?;
            for peer in PEERS.iter().filter(|p| !some_peers || any(&[p.name])) {
                theirs(&folder, peer, workload, &mut times, &mut errors)?;
            }
        }
        show(workload, &times, &errors);
    }
    Ok(())
}

fn show(workload: &Workload, times: &Times, errors: &BTreeSet<String>) {
    let durable = if workload.durable { ", durable" } else { "" };
    println!("\n{} ({}{durable}, {} at once; medians of {ROUNDS} rounds)", workload.name, workload.file, workload.sessions);
    let medians: BTreeMap<&String, f64> = times.iter().map(|(who, runs)| (who, median(runs))).collect();
    let of = |ours: &str| medians.iter().find(|(who, _)| who.as_str() == ours).map(|(_, ms)| *ms);
    let (free, waits) = (of("synod, free"), of("synod, waits"));
    let mut rows: Vec<_> = medians.iter().collect();
    rows.sort_by(|a, b| a.1.total_cmp(b.1));
    println!("{:<52} {:>10} {:>8} {:>8}", "", "ms", "÷ free", "÷ waits");
    for (who, ms) in rows {
        let ratio = |ours: Option<f64>| ours.map_or_else(String::new, |ours| format!("{:.2}", ms / ours));
        println!("{who:<52} {ms:>10.1} {:>8} {:>8}", ratio(free), ratio(waits));
    }
    errors.iter().for_each(|error| println!("failed: {error}"));
}

fn median(runs: &[f64]) -> f64 {
    let mut runs = runs.to_vec();
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

/// Runs a peer and takes its lines.
fn theirs(
    folder: &Path,
    peer: &Peer,
    workload: &Workload,
    times: &mut Times,
    errors: &mut BTreeSet<String>,
) -> Result<(), Failure> {
    let Some(args) = peer.args(workload) else { return Ok(()) };
    let files = [Some(peer.program), peer.script];
    if files.into_iter().flatten().any(|file| !folder.join(file).exists()) {
        return Ok(());
    }
    // They write beside their scripts.
    std::fs::create_dir_all(folder.join("results"))?;
    let said = tempfile::NamedTempFile::new()?;
    let mut child = Command::new(folder.join(peer.program))
        .args(peer.script)
        .args(args)
        .current_dir(folder)
        .env("PEERS_ROOT", folder)
        .env_remove("PEERS_OUT")
        .stdout(said.reopen()?)
        .stderr(Stdio::null())
        .spawn()?;
    let began = Instant::now();
    let code = loop {
        match child.try_wait()? {
            Some(code) => break Some(code),
            None if began.elapsed() > PATIENCE => {
                child.kill()?;
                child.wait()?;
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let mut said_nothing = true;
    for line in std::fs::read_to_string(said.path())?.lines() {
        let Ok(row) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let who = format!("{}, {}", peer.name, row["variant"].as_str().unwrap_or("plain"));
        // A peer that checks what it came to says so.
        let wrong = (row["ok"] == false).then_some("its result is wrong");
        match (row["wall_ms"].as_f64(), row["error"].as_str().or(wrong)) {
            (Some(ms), None) => times.entry(who).or_default().push(ms),
            (_, Some(error)) => {
                errors.insert(format!("{who}: {error}"));
            }
            (None, None) => continue,
        }
        said_nothing = false;
    }
    if !code.is_some_and(|code| code.success()) {
        let how = code.map_or_else(|| format!("took more than {PATIENCE:?}"), |code| code.to_string());
        errors.insert(format!("{}: {how}", peer.name));
    } else if said_nothing {
        errors.insert(format!("{}: it printed no time", peer.name));
    }
    Ok(())
}

/// The graph of a file.
fn read(path: &Path) -> Result<Dag, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut dag = Dag::default();
    for line in text.lines() {
        let [_, millis, deps] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return Err(format!("{}: {line} is not `NUMBER MS DEPS`", path.display()).into());
        };
        dag.millis.push(millis.parse::<f64>()?.round() as u64);
        let deps: Result<Vec<usize>, _> = deps.split(',').filter(|dep| *dep != "-").map(str::parse).collect();
        dag.deps.push(deps?);
    }
    Ok(dag)
}
