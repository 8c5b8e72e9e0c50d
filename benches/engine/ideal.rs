//! What is the least that the work costs? A plain tokio program: a task a node, a channel for their ends, a heap of what is ready.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, task::JoinSet};

use crate::graphs::Dag;

/// How long the graph takes on `workers` workers.
pub async fn run(dag: &Dag, workers: usize) -> Duration {
    let began = Instant::now();
    go(dag.clone(), workers).await;
    began.elapsed()
}

/// How long `sessions` runs of the graph take at once.
pub async fn run_many(dag: &Dag, sessions: usize) -> Duration {
    let began = Instant::now();
    let mut all: JoinSet<()> = (0..sessions).map(|_| go(dag.clone(), usize::MAX)).collect();
    while all.join_next().await.is_some() {}
    began.elapsed()
}

async fn go(dag: Dag, workers: usize) {
    let (ranks, waiters) = (dag.ranks(), dag.waiters());
    let mut missing: Vec<usize> = dag.deps.iter().map(Vec::len).collect();
    let ready = |n: usize| (ranks[n], Reverse(n));
    let mut waiting: BinaryHeap<_> = (0..dag.len()).filter(|n| missing[*n] == 0).map(ready).collect();
    let (ended, mut ends) = mpsc::unbounded_channel();
    let mut running = 0;
    loop {
        while running < workers
            && let Some((_, Reverse(n))) = waiting.pop()
        {
            let (ended, millis) = (ended.clone(), dag.millis[n]);
            tokio::spawn(async move {
                work(millis).await;
                let _ = ended.send(n);
            });
            running += 1;
        }
        if running == 0 {
            return;
        }
        let Some(n) = ends.recv().await else { return };
        running -= 1;
        for waiter in &waiters[n] {
            missing[*waiter] -= 1;
            if missing[*waiter] == 0 {
                waiting.push(ready(*waiter));
            }
        }
    }
}

/// What a node does.
pub async fn work(millis: u64) {
    if millis > 0 {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

/// How long `count` synced writes of 256 bytes take.
pub fn syncs(path: &Path, count: usize) -> std::io::Result<Duration> {
    let mut file = File::create(path)?;
    let began = Instant::now();
    for _ in 0..count {
        file.write_all(&[7; 256])?;
        file.sync_data()?;
    }
    Ok(began.elapsed())
}
