//! What does a session cost that waits for a person?
//!
//! `cargo bench --bench parked` parks 10,000 sessions of a small team in one process and prints, in one run: memory for each while it is live (a
//! person's answer is awaited beside a call in flight) and after it was released, processor time while nothing happens, bytes on disk for each, and
//! how long it takes to go on with one, and to list 100,000 sessions as `synod sessions` does. `SYNOD_PARKED` says how many are parked instead, `SYNOD_LISTED` how many are listed.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use synod::{
    engine::{Engine, Prepared, SessionHandle},
    event::Status,
    store::{Closing, Filter, NewSession, RedbStore, Store},
    team::Overrides,
    tool::{CallContext, Tool, Work},
    value::{AskId, EffectClass, Map, SessionId, Tenant, Timestamp, ToolSpec, Value},
};
use uuid::Uuid;

const SESSIONS: usize = 10_000;
/// Sessions that are started at once.
const AT_ONCE: usize = 200;
/// Sessions in the index that is listed.
const LISTED: usize = 100_000;
/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(2);
/// What is allowed for each session, in bytes.
const RELEASED: f64 = 256.0;
const LIVE: f64 = 4_096.0;
const ON_DISK: f64 = 4_096.0;
/// Processor time of all of them while nothing happens, in thousandths of it: the clock of the system has steps of ten milliseconds.
const BUSY: f64 = 10.0;
/// Milliseconds that a list may take.
const LIST: f64 = 200.0;

const PARKS: &str = r#"
name: Release
collaboration_pattern: graph
nodes:
  decide: { ask: "Ship it?", options: ["yes", "no"] }
  ship: { gate: '"shipped"', after: { decide: 'output.answer == "yes"' } }
output: ship.output
"#;
const LIVES: &str = r#"
name: Release
collaboration_pattern: graph
nodes:
  decide: { ask: "Ship it?", options: ["yes", "no"] }
  wait: { tool: wait }
  ship: { gate: '"shipped"', after: { decide: 'output.answer == "yes"' } }
output: ship.output
"#;

type Failure = Box<dyn std::error::Error>;

/// A tool whose calls last as long as their session.
struct Waits(ToolSpec);

impl Tool for Waits {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn call<'a>(&'a self, call: &'a CallContext, _: &'a Value) -> Work<'a> {
        Box::pin(async { Err(call.stop.stopped().await) })
    }
}

fn main() -> Result<(), Failure> {
    let number = |name: &str, default| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let (sessions, listed) = (number("SYNOD_PARKED", SESSIONS), number("SYNOD_LISTED", LISTED));
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    std::fs::write(folder.path().join("parks.yaml"), PARKS)?;
    std::fs::write(folder.path().join("lives.yaml"), LIVES)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(parked(folder.path(), sessions))?;
    list(&folder.path().join("listed"), listed)
}

async fn parked(folder: &Path, sessions: usize) -> Result<(), Failure> {
    let place = folder.join(".synod");
    let open = || -> Result<Engine, Failure> {
        let parameters = Value::map([("type", Value::text("object"))]);
        let (name, description) = (Arc::from("wait"), Arc::from("waits"));
        let waits = Waits(ToolSpec { name, description, parameters, effect: EffectClass::Read, untrusted: false });
        let builder = Engine::builder().workspace(folder).state_folder(&place).store(Arc::new(RedbStore::open(&place)?));
        Ok(builder.tool(Arc::new(waits))?.build())
    };
    let engine = open()?;
    let (parks, lives) = (engine.load("parks.yaml", &Overrides::default())?, engine.load("lives.yaml", &Overrides::default())?);
    // What the first sessions need is needed once.
    park(&engine, &parks, AT_ONCE).await?;
    drop(engine);
    let engine = open()?;
    let (before, disk) = (resident()?, size(&place)?);
    let began = Instant::now();
    let ids = park(&engine, &parks, sessions).await?;
    let took = began.elapsed();
    let each = |bytes: u64, less: u64| bytes.saturating_sub(less) as f64 / sessions as f64;
    let with_pages = each(resident()?, before);
    let began = cpu()?;
    tokio::time::sleep(IDLE).await;
    say("parked: thousandths of a processor for all", (cpu()? - began).as_secs_f64() / IDLE.as_secs_f64() * 1e3, BUSY);
    say("parked: bytes on disk for each, all it said included", each(size(&place)?, disk), ON_DISK);
    println!("{sessions} sessions were parked in {:.1} s", took.as_secs_f64());
    // The store keeps pages of its files up to a limit, however many sessions there are: it is closed and opened again.
    drop(engine);
    let engine = open()?;
    say("released: bytes of memory for each", each(resident()?, before), RELEASED);
    println!("with the pages that the store keeps, at most 48 MiB in all: {with_pages:.0}");

    let began = Instant::now();
    let handle = engine.answer(ids[sessions / 2], AskId(0), Value::text("yes"), "bench").await?;
    let ended = handle.ok_or("nobody else has it")?.wait().await?;
    assert_eq!(ended.status, Status::Completed);
    println!("answered, taken over, run to its end and given back in {:.1} ms", began.elapsed().as_secs_f64() * 1e3);

    let before = resident()?;
    let mut handles: Vec<SessionHandle> = Vec::new();
    for _ in 0..sessions {
        handles.push(engine.start(&lives, "release it", Map::new()).await?);
    }
    tokio::time::sleep(IDLE).await;
    say("live: bytes of memory for each", each(resident()?, before), LIVE);
    let began = cpu()?;
    tokio::time::sleep(IDLE).await;
    say("live: thousandths of a processor for all", (cpu()? - began).as_secs_f64() / IDLE.as_secs_f64() * 1e3, BUSY);
    handles.iter().for_each(SessionHandle::interrupt);
    for handle in handles {
        handle.wait().await?;
    }
    Ok(())
}

async fn park(engine: &Engine, team: &Prepared, sessions: usize) -> Result<Vec<SessionId>, Failure> {
    let mut ids = Vec::with_capacity(sessions);
    while ids.len() < sessions {
        let mut handles = Vec::new();
        for _ in 0..AT_ONCE.min(sessions - ids.len()) {
            handles.push(engine.start(team, "release it", Map::new()).await?);
        }
        for handle in handles {
            ids.push(handle.session());
            assert_eq!(handle.wait().await?.status, Status::Parked);
        }
    }
    Ok(ids)
}

/// How long a large index takes to list.
fn list(path: &Path, listed: usize) -> Result<(), Failure> {
    let store = RedbStore::open(path)?;
    let mut releases = Vec::new();
    for nth in 0..listed {
        let tenant = Tenant::default();
        let session = SessionId(Uuid::now_v7());
        let at = Timestamp(1_767_623_400_000_000 + nth as i64);
        let new =
            NewSession { session, tenant, team: "incident-response".into(), task: "why is it slow?".into(), started_at: at };
        releases.push(store.release(store.create(new)?, Closing { status: Status::Completed, at }));
    }
    for release in releases {
        release.wait()?;
    }
    drop(store);
    for (what, limit) in [("the newest 100", 100), ("all", usize::MAX)] {
        let mut times = Vec::new();
        for _ in 0..5 {
            let began = Instant::now();
            let rows = RedbStore::open(path)?.list(&Filter::of(&Tenant::default(), limit))?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
            assert_eq!(rows.len(), limit.min(listed));
        }
        times.sort_by(f64::total_cmp);
        say(&format!("list {what} of {listed} sessions: milliseconds"), times[2], LIST);
    }
    Ok(())
}

fn say(what: &str, found: f64, limit: f64) {
    let word = if found <= limit { "" } else { ": OVER" };
    println!("{what}: {found:.0} (at most {limit:.0}){word}");
}

/// Memory of this process that is in use, in bytes.
fn resident() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    Ok(1_024 * line.split_whitespace().nth(1).ok_or("no number")?.parse::<u64>()?)
}

/// Processor time that this process has taken.
fn cpu() -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name may have spaces; what follows it has none. utime and stime are fields 14 and 15, in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit_once(')').ok_or("no name")?.1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(10 * ticks))
}

fn size(folder: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}
