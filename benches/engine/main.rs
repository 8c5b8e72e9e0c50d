//! What does the whole engine cost, beside a plain tokio program and the disk?
//!
//! `cargo bench --bench engine` runs all parts; name some to run only these: `cargo bench --bench engine -- calls makespan`.
//!
//! | part | work | beside |
//! |---|---|---|
//! | `calls` | 1,000 calls that do nothing, journal in memory | a tokio program that runs the same graph |
//! | `durable` | the same, journal on disk | redb with the same number of commits, and the disk's own syncs |
//! | `resume` | a session broken off at the last of 1,000 nodes, until the first record of its further run is durable | 20 ms, and reading its journal alone |
//! | `sessions` | 200 sessions at once, each 1 → 4 × 50 ms → 1 | the tokio program; 50 ms is the critical path |
//! | `makespan` | chains of slow and fast nodes, layers of nodes of 5 to 50 ms | the tokio program |
//! | `talk` | a circle of 100 agents, up to 10,000 messages, a tenth of them to all | a second, and the journal's size |
//! | `workflows` | real workflow graphs in the folder `dags` of `SYNOD_SHARED`, at 4, 16 and 64 workers | list scheduling |
//!
//! Rounds are interleaved and medians are shown. The plain program keeps no journal and can neither fail nor resume.

mod graphs;
mod ideal;
mod ours;
mod plain;
mod talk;

use std::{path::Path, time::Duration};

use graphs::{Dag, list_schedule};
use ours::Host;
use plain::journal_on_disk;
use synod::value::EffectClass;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Rounds of each measurement that takes milliseconds.
const ROUNDS: usize = 21;
/// Rounds of each measurement that takes seconds.
const SLOW_ROUNDS: usize = 3;
/// How long a node takes that nobody waits for, in milliseconds.
const FOR_EVER: u64 = 3_600_000;
/// How long the critical path of a real workflow takes here.
const WORKFLOW: Duration = Duration::from_millis(1_000);

fn main() -> Result<(), Failure> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|w| w == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // A task on a worker: what runs inside `block_on` wakes another thread for every result.
    let run = |part: &'static str| -> Result<(), Failure> {
        if !is_wanted(part) {
            return Ok(());
        }
        println!("\n{part}");
        runtime.block_on(async move {
            tokio::spawn(async move {
                match part {
                    "calls" => calls().await,
                    "durable" => durable().await,
                    "resume" => resume().await,
                    "sessions" => sessions().await,
                    "makespan" => makespan().await,
                    "talk" => talk().await,
                    _ => workflows().await,
                }
            })
            .await
        })??;
        Ok(())
    };
    ["calls", "durable", "resume", "sessions", "makespan", "talk", "workflows"].into_iter().try_for_each(run)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

async fn calls() -> Result<(), Failure> {
    println!("{:<8} {:>10} {:>10} {:>8} {:>12}", "graph", "ours µs", "tokio µs", "ratio", "≤ 5 µs/node");
    let host = Host::in_memory(EffectClass::Read);
    for (name, dag) in [("chain", Dag::chain(1_000)), ("fan", Dag::fan(1_000)), ("layers", Dag::layers(1_000))] {
        let (mut ours, mut ideal) = (Vec::new(), Vec::new());
        let team = host.prepare(&dag, usize::MAX)?;
        for _ in 0..ROUNDS {
            ours.push(millis(host.run(&team).await?));
            ideal.push(millis(ideal::run(&dag, usize::MAX).await));
        }
        // A millisecond for a thousand nodes is a microsecond a node.
        let (ours, ideal) = (median(ours), median(ideal));
        println!("{name:<8} {ours:>10.2} {ideal:>10.2} {:>8.1} {:>12}", ours / ideal, yes(ours <= 5.0));
    }
    Ok(())
}

async fn durable() -> Result<(), Failure> {
    println!("{:<22} {:>9} {:>9} {:>10} {:>8}", "1,000 nodes", "ours ms", "redb ms", "syncs ms", "÷ redb");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let cases = [
        ("chain, each waits", Dag::chain(1_000), EffectClass::Idempotent, 1_000),
        ("chain, effects free", Dag::chain(1_000), EffectClass::Read, 1),
        ("layers, each waits", Dag::layers(1_000), EffectClass::Idempotent, 10),
        ("layers, effects free", Dag::layers(1_000), EffectClass::Read, 1),
    ];
    let mut journal = 0;
    for (at, (name, dag, effect, commits)) in cases.into_iter().enumerate() {
        let (mut ours, mut redb, mut syncs) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..SLOW_ROUNDS {
            let place = |what: &str| folder.path().join(format!("{at}-{round}-{what}"));
            let host = Host::on_disk(&place("ours"), effect)?;
            let team = host.prepare(&dag, usize::MAX)?;
            ours.push(millis(host.run(&team).await?));
            drop(host);
            journal = folder_size(&place("ours").join("journals"))?;
            redb.push(millis(journal_on_disk(&place("redb"), dag.len(), commits)?));
            syncs.push(millis(ideal::syncs(&place("raw"), commits)?));
        }
        let (ours, redb, syncs) = (median(ours), median(redb), median(syncs));
        println!("{name:<22} {ours:>9.1} {redb:>9.1} {syncs:>10.1} {:>8.2}", ours / redb);
    }
    println!("the journal's file after one session: {} KB", journal / 1_000);
    Ok(())
}

async fn resume() -> Result<(), Failure> {
    println!("{:<8} {:>9} {:>9} {:>8}", "graph", "ours ms", "read ms", "≤ 20 ms");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for (name, mut dag) in [("chain", Dag::chain(1_000)), ("layers", Dag::layers(1_000))] {
        dag.millis[999] = FOR_EVER;
        let host = Host::on_disk(&folder.path().join(name), EffectClass::Read)?;
        let team = host.prepare(&dag, usize::MAX)?;
        let (mut ours, mut read) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let session = host.break_off(&team, dag.len()).await?;
            read.push(millis(host.read(session)?));
            ours.push(millis(host.resume(session).await?));
        }
        let (ours, read) = (median(ours), median(read));
        println!("{name:<8} {ours:>9.1} {read:>9.1} {:>8}", yes(ours <= 20.0));
    }
    Ok(())
}

async fn sessions() -> Result<(), Failure> {
    println!("{:<12} {:>9} {:>9}", "journal", "ours ms", "tokio ms");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let dag = Dag::team();
    for name in ["in memory", "on disk"] {
        let (mut ours, mut ideal) = (Vec::new(), Vec::new());
        for round in 0..SLOW_ROUNDS {
            let host = match name {
                "in memory" => Host::in_memory(EffectClass::Read),
                _ => Host::on_disk(&folder.path().join(round.to_string()), EffectClass::Read)?,
            };
            let team = host.prepare(&dag, usize::MAX)?;
            ours.push(millis(host.run_many(&team, 200).await?));
            ideal.push(millis(ideal::run_many(&dag, 200).await));
        }
        println!("{name:<12} {:>9.1} {:>9.1}", median(ours), median(ideal));
    }
    Ok(())
}

async fn makespan() -> Result<(), Failure> {
    println!("{:<18} {:>9} {:>9} {:>14} {:>7} {:>8}", "graph", "ours ms", "tokio ms", "critical path", "ratio", "≤ 1.02");
    let graphs = [
        ("two chains", Dag::alternating(20, 5, 50)),
        ("20 × 20 chains", Dag::many_chains(20, 20)),
        ("layers of 30", Dag::slow_layers(10, 30)),
    ];
    for (name, dag) in graphs {
        for (journal, on_disk) in [("", false), (", disk", true)] {
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
            let host =
                if on_disk { Host::on_disk(folder.path(), EffectClass::Read)? } else { Host::in_memory(EffectClass::Read) };
            let team = host.prepare(&dag, usize::MAX)?;
            let (mut ours, mut ideal) = (Vec::new(), Vec::new());
            for _ in 0..SLOW_ROUNDS {
                ours.push(millis(host.run(&team).await?));
                ideal.push(millis(ideal::run(&dag, usize::MAX).await));
            }
            let (ours, ideal) = (median(ours), median(ideal));
            let ratio = ours / ideal;
            let name = format!("{name}{journal}");
            let path = list_schedule(&dag, usize::MAX);
            println!("{name:<18} {ours:>9.1} {ideal:>9.1} {path:>14} {ratio:>7.3} {:>8}", yes(ratio <= 1.02));
        }
    }
    Ok(())
}

async fn talk() -> Result<(), Failure> {
    println!("{:<12} {:>9} {:>10} {:>8} {:>14}", "messages", "memory ms", "disk ms", "≤ 1 s", "bytes/message");
    for turns in [1, 2, 5, 10] {
        let (mut memory, mut disk) = (Vec::new(), Vec::new());
        let (mut size, mut messages) = (0, 0);
        for _ in 0..SLOW_ROUNDS {
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
            memory.push(millis(talk::Circle::new(folder.path(), turns, false)?.run().await?));
            let circle = talk::Circle::new(folder.path(), turns, true)?;
            disk.push(millis(circle.run().await?));
            messages = circle.messages();
            drop(circle);
            size = folder_size(&folder.path().join(".synod").join("journals"))?;
        }
        let (memory, disk) = (median(memory), median(disk));
        let each = size / u64::from(messages);
        println!("{messages:<12} {memory:>9.0} {disk:>10.0} {:>8} {each:>14}", yes(disk <= 1_000.0));
    }
    Ok(())
}

async fn workflows() -> Result<(), Failure> {
    let Some(folder) = std::env::var_os("SYNOD_SHARED") else {
        println!("left out: SYNOD_SHARED names no folder with dags");
        return Ok(());
    };
    println!(
        "{:<34} {:>7} {:>9} {:>9} {:>9} {:>7} {:>8}",
        "workflow", "workers", "ours ms", "tokio ms", "list ms", "ratio", "≤ 1.05"
    );
    let host = Host::in_memory(EffectClass::Read);
    for (name, dag) in graphs::real(&Path::new(&folder).join("dags"), WORKFLOW)? {
        for workers in [4, 16, 64] {
            let team = host.prepare(&dag, workers)?;
            let list = list_schedule(&dag, workers) as f64;
            let ours = millis(host.run(&team).await?);
            let ideal = millis(ideal::run(&dag, workers).await);
            let ratio = ours / list;
            println!("{name:<34} {workers:>7} {ours:>9.0} {ideal:>9.0} {list:>9.0} {ratio:>7.3} {:>8}", yes(ratio <= 1.05));
        }
    }
    Ok(())
}

fn yes(held: bool) -> &'static str {
    if held { "yes" } else { "no" }
}

fn folder_size(folder: &Path) -> Result<u64, Failure> {
    let mut size = 0;
    for entry in folder.read_dir()? {
        size += entry?.metadata()?.len();
    }
    Ok(size)
}
