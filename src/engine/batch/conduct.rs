//! Which task is begun when? The [`Conductor`] keeps some running, and begins no more than its reader reads.

use std::{collections::BTreeMap, sync::Arc};

use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{AHEAD, BatchError, BatchOptions, BatchResult, BatchTask, MAX_CONCURRENCY, PULLED, task::Tasks};
use crate::engine::{Engine, EngineError, Prepared};

type Outcome = Result<BatchResult, BatchError>;

/// Pulls tasks on a thread of its own, a few ahead. It ends with its reader, or with the process where it waits for a task then.
pub(super) fn pull(tasks: impl Iterator<Item = BatchTask> + Send + 'static) -> mpsc::Receiver<BatchTask> {
    let (pulled, waiting) = mpsc::channel(PULLED);
    let run = move || {
        for task in tasks {
            if pulled.blocking_send(task).is_err() {
                return;
            }
        }
    };
    // Without a thread there are no tasks, which the reader sees at once.
    let started = std::thread::Builder::new().name("batch".to_owned()).spawn(run);
    if let Err(error) = started {
        tracing::error!(%error, "the tasks of a batch cannot be pulled");
    }
    waiting
}

/// Runs the tasks of one batch.
pub(super) struct Conductor {
    tasks: Arc<Tasks>,
    stop: CancellationToken,
    concurrency: usize,
    /// Results that may wait for an earlier one; `None` where they are given as they come.
    ahead: Option<usize>,
    /// How many tasks were begun.
    begun: usize,
    running: JoinSet<(usize, Outcome)>,
    /// Results that wait for an earlier one, by the number of their task.
    held: BTreeMap<usize, Outcome>,
    /// The number of the task whose result is next.
    next: usize,
}

impl Conductor {
    pub(super) fn new(engine: Engine, team: Prepared, options: BatchOptions, stop: CancellationToken) -> Self {
        let concurrency = options.concurrency.clamp(1, MAX_CONCURRENCY);
        let ahead = options.ordered.then(|| concurrency.saturating_mul(AHEAD));
        let tasks = Arc::new(Tasks::new(engine, team, options, stop.clone()));
        Self { tasks, stop, concurrency, ahead, begun: 0, running: JoinSet::new(), held: BTreeMap::new(), next: 0 }
    }

    pub(super) async fn run(mut self, mut pulled: mpsc::Receiver<BatchTask>, results: mpsc::Sender<Outcome>) {
        let mut more = true;
        loop {
            more &= !self.stop.is_cancelled();
            let room = self.running.len() < self.concurrency && self.ahead.is_none_or(|ahead| self.begun - self.next < ahead);
            tokio::select! {
                biased;
                () = self.stop.cancelled(), if more => {}
                Some(ended) = self.running.join_next() => {
                    // A task of ours neither panics nor is aborted: what it runs is in tasks of their own.
                    let Ok((number, outcome)) = ended else { continue };
                    self.held.insert(number, outcome);
                    if !self.give(&results).await {
                        self.stop.cancel();
                    }
                }
                task = pulled.recv(), if more && room => match task {
                    Some(task) => self.begin(task),
                    None => more = false,
                },
                else => break,
            }
        }
    }

    fn begin(&mut self, task: BatchTask) {
        let (tasks, number, key) = (self.tasks.clone(), self.begun, task.key.clone());
        self.begun += 1;
        self.running.spawn(async move {
            let ran = tokio::spawn(async move { tasks.run(&task).await }).await;
            let outcome = ran.unwrap_or_else(|e| Err(EngineError::Broken(e.to_string()).into()));
            (number, outcome.map_err(|why| BatchError { key, why }))
        });
    }

    /// Gives the results that are due, and waits until somebody reads them. False when no task is to be begun any more.
    async fn give(&mut self, results: &mpsc::Sender<Outcome>) -> bool {
        let mut goes_on = true;
        while let Some(number) = self.due() {
            let Some(outcome) = self.held.remove(&number) else { break };
            self.next += 1;
            goes_on &= !outcome.as_ref().is_err_and(BatchError::is_fatal);
            goes_on &= results.send(outcome).await.is_ok();
        }
        goes_on
    }

    /// The number of a result that may be given now.
    fn due(&self) -> Option<usize> {
        match self.ahead {
            Some(_) => self.held.contains_key(&self.next).then_some(self.next),
            None => self.held.keys().next().copied(),
        }
    }
}
