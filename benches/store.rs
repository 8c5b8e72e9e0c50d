//! How near to the disk's own limit are durable events?
//!
//! `cargo bench --bench store` prints medians of interleaved rounds, in one run beside what limits them:
//!
//! - the disk: a page written over and synced, again and again, in a file of the size that a journal has here. Nothing durable is faster alone;
//! - a commit on the disk: a few pages written over and synced, then the head of the file, which names them, written and synced. redb does this
//!   when other processes may read along (`SingleWriter`), which is the mode of journals; by itself (`ExclusiveWriter`) it syncs once;
//! - redb with nothing around it: commits of as many rows of the same size as there are producers, in both modes.

use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use redb::{Builder, ConcurrencyMode, Database, TableDefinition};
use synod::{
    event::{Event, Outcome, Record, Status},
    store::{Closing, Filter, MemoryStore, NewSession, RedbStore, Store},
    value::{NodeIx, Seq, SessionId, Tenant, Timestamp, Value},
};
use uuid::Uuid;

const ROUNDS: usize = 5;
const PRODUCERS: [usize; 3] = [1, 64, 200];
/// How long each measurement runs.
const SPAN: Duration = Duration::from_millis(400);
/// A page of a database, in bytes.
const PAGE: usize = 4_096;
/// Pages of the file that the disk is measured with.
const PAGES: usize = 256;
/// Pages that a commit of one record writes.
const PAGES_OF_COMMIT: u64 = 5;
/// Bytes of the head of a database.
const HEAD: usize = 320;
/// Sessions in the index that is listed.
const LISTED: usize = 100_000;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let [mut syncs, mut commits] = [Vec::new(), Vec::new()];
    let mut rates: Vec<[Vec<f64>; 4]> = vec![Default::default(); PRODUCERS.len()];
    for round in 0..ROUNDS {
        syncs.push(disk_rate(&folder.path().join("raw"), |file, turn| write_pages(file, turn, 1))?);
        commits.push(disk_rate(&folder.path().join("raw"), |file, turn| {
            write_pages(file, turn, PAGES_OF_COMMIT)?;
            write_at(file, &[turn as u8; HEAD], 0)?;
            Ok(file.sync_data()?)
        })?);
        for (producers, [exclusive, single, ours, memory]) in PRODUCERS.iter().zip(&mut rates) {
            let name = format!("{round}-{producers}");
            let raw = |mode, kind| raw_rate(&folder.path().join(format!("{name}-{kind}.redb")), mode, *producers);
            exclusive.push(raw(ConcurrencyMode::ExclusiveWriter, "exclusive")?);
            single.push(raw(ConcurrencyMode::SingleWriter, "single")?);
            let durable: Arc<dyn Store> = Arc::new(RedbStore::open(folder.path().join(name))?);
            ours.push(runtime.block_on(store_rate(durable, *producers))?);
            memory.push(runtime.block_on(store_rate(Arc::new(MemoryStore::new()), *producers))?);
        }
    }
    let [syncs, commits] = [median(&mut syncs), median(&mut commits)];
    println!("disk: {syncs:.0} syncs/s ({:.3} ms), {commits:.0} commits of two syncs/s ({:.3} ms)", 1e3 / syncs, 1e3 / commits);
    println!("durable events/s, each session waiting for each of its events:");
    println!(
        "{:>8}  {:>10}  {:>10}  {:>10}  {:>11}  {:>12}  {:>10}  {:>10}",
        "sessions", "redb alone", "redb read", "ours", "ours÷syncs", "ours÷commits", "ours÷redb", "in memory"
    );
    for (producers, rates) in PRODUCERS.iter().zip(&mut rates) {
        let [exclusive, single, ours, memory] = rates.each_mut().map(|rates| median(rates));
        println!(
            "{producers:>8}  {exclusive:>10.0}  {single:>10.0}  {ours:>10.0}  {:>11.2}  {:>12.2}  {:>10.2}  {memory:>10.0}",
            ours / syncs,
            ours / commits,
            ours / single,
        );
    }
    first_append(folder.path())?;
    list(&folder.path().join("listed"))
}

/// How often a second `work` is done on a file of its own.
fn disk_rate(path: &Path, work: impl Fn(&File, u64) -> Result<(), Failure>) -> Result<f64, Failure> {
    let file = File::create(path)?;
    write_at(&file, &vec![0; PAGES * PAGE], 0)?;
    file.sync_all()?;
    let mut turn = 0;
    rate(1, || {
        turn += 1;
        work(&file, turn)
    })
}

/// Writes `count` pages over, here and there, and syncs them.
fn write_pages(file: &File, turn: u64, count: u64) -> Result<(), Failure> {
    for page in 0..count {
        let place = 1 + (turn * count + page) * 7_919 % (PAGES as u64 - 1);
        write_at(file, &[turn as u8; PAGE], place * PAGE as u64)?;
    }
    Ok(file.sync_data()?)
}

/// Rows per second of plain redb, `rows` in a commit, each of another session.
fn raw_rate(path: &Path, mode: ConcurrencyMode, rows: usize) -> Result<f64, Failure> {
    const TABLE: TableDefinition<(u128, u32, u64), &[u8]> = TableDefinition::new("rows");
    let db: Database = Builder::new().set_concurrency_mode(mode).set_cache_size(32 << 20).create(path)?;
    let sessions: Vec<_> = (0..rows).map(|_| Uuid::now_v7().as_u128()).collect();
    let mut seq = 0;
    rate(rows, || {
        let write = db.begin_write()?;
        {
            let mut table = write.open_table(TABLE)?;
            for session in &sessions {
                table.insert((*session, 1, seq), [7_u8; 65].as_slice())?;
            }
        }
        seq += 1;
        Ok(write.commit()?)
    })
}

/// Events per second of `producers` sessions that wait for each event before the next.
async fn store_rate(store: Arc<dyn Store>, producers: usize) -> Result<f64, Failure> {
    let begin = Instant::now();
    let produce = |store: Arc<dyn Store>| async move {
        let claim = store.create(new_session()).map_err(|e| e.to_string())?;
        store.append(&claim, Seq(0), &[]).map_err(|e| e.to_string())?.durable().await.map_err(|e| e.to_string())?;
        let start = Instant::now();
        let mut count = 0;
        while start.elapsed() < SPAN {
            let ticket = store.append(&claim, Seq(count), &[record(count)]).map_err(|e| e.to_string())?;
            ticket.durable().await.map_err(|e| e.to_string())?;
            count += 1;
            if count.is_multiple_of(64) {
                tokio::task::yield_now().await;
            }
        }
        Ok::<_, String>(count as f64 / start.elapsed().as_secs_f64())
    };
    let tasks: Vec<_> = (0..producers).map(|_| tokio::spawn(produce(Arc::clone(&store)))).collect();
    let mut events = 0.0;
    for task in tasks {
        events += task.await??;
    }
    assert!(begin.elapsed() >= SPAN, "measured for long enough");
    Ok(events)
}

/// From nothing to the first durable record, and the same in a folder that is there.
fn first_append(folder: &Path) -> Result<(), Failure> {
    let measure = |path: &Path| -> Result<f64, Failure> {
        let start = Instant::now();
        let store = RedbStore::open(path)?;
        let claim = store.create(new_session())?;
        store.append(&claim, Seq(0), &[record(0)])?.wait()?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let path = folder.join(format!("cold-{round}"));
        cold.push(measure(&path)?);
        warm.push(measure(&path)?);
    }
    println!(
        "first durable record: {:.1} ms in a new folder, {:.1} ms in one that is there",
        median(&mut cold),
        median(&mut warm)
    );
    Ok(())
}

/// How long a large index takes to list.
fn list(path: &Path) -> Result<(), Failure> {
    let store = RedbStore::open(path)?;
    let start = Instant::now();
    let releases: Result<Vec<_>, Failure> = (0..LISTED)
        .map(|_| {
            let claim = store.create(new_session())?;
            Ok(store.release(claim, Closing { status: Status::Completed, at: Timestamp(9) }))
        })
        .collect();
    for release in releases? {
        release.wait()?;
    }
    let made = start.elapsed();
    drop(store);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let rows = RedbStore::open(path)?.list(&Filter::of(&Tenant::default(), usize::MAX))?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        assert_eq!(rows.len(), LISTED);
    }
    println!("list {LISTED} sessions: {:.0} ms (made and closed in {:.1} s)", median(&mut times), made.as_secs_f64());
    Ok(())
}

/// How often `work`, which counts for `each`, is done in a second.
fn rate(each: usize, mut work: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < SPAN {
        work()?;
        count += each;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

fn new_session() -> NewSession {
    let session = SessionId(Uuid::now_v7());
    NewSession { session, tenant: Tenant::default(), team: "team".into(), task: "task".into(), started_at: Timestamp(1) }
}

fn record(seq: u64) -> Record {
    Record { seq: Seq(seq), at: Timestamp(1), event: Event::NodeEnded { node: NodeIx(1), outcome: Outcome::Ok(Value::Null) } }
}

fn write_at(mut file: &File, bytes: &[u8], place: u64) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(place))?;
    file.write_all(bytes)
}
