//! How are many tasks done by one team? [`Engine::batch`]: tasks are pulled, results are pushed, and nothing is collected.
//!
//! Each task has a key, and the id of its session follows from that key, the batch, the file of the team and the tenant. So a task is run once: begun
//! again after a crash, the batch goes on with the sessions that had not ended and gives the results of those that had, without a list
//! that anybody has to keep. What is in memory is what runs: a reader that is slow makes the batch pull no more tasks.
//!
//! ```
//! use synod::{
//!     engine::{BatchOptions, BatchTask, Engine},
//!     team::Overrides,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let team = "name: T\ncollaboration_pattern: graph\ninputs: { n: { type: integer } }\nnodes:\n  a: { gate: 'input.n * 2' }\noutput: a.output\n";
//! # std::fs::write(folder.path().join("double.yaml"), team)?;
//! let engine = Engine::builder().workspace(folder.path()).build();
//! let team = engine.load("double.yaml", &Overrides::default())?;
//! let tasks = (0..100).map(|n| BatchTask::new(format!("task-{n}")).input("n", n));
//! let sum = tokio::runtime::Runtime::new()?.block_on(async {
//!     let mut results = engine.batch(&team, tasks, BatchOptions { ordered: true, ..BatchOptions::named("doubles") });
//!     let mut sum = 0;
//!     while let Some(result) = results.next().await {
//!         sum += result?.output.as_int().unwrap_or_default();
//!     }
//!     Ok::<_, synod::engine::BatchError>(sum)
//! })?;
//! assert_eq!(sum, 9_900);
//! # Ok(())
//! # }
//! ```

mod conduct;
mod identity;
mod task;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use self::identity::TaskDigest;
use super::{Engine, EngineError, Prepared};
use crate::{
    report::{Metrics, Standing},
    store::{AppendError, ClaimError},
    value::{Map, SessionId, Value},
};

/// The most sessions of a batch that run at once.
pub const MAX_CONCURRENCY: usize = 10_000;

/// The longest key, in bytes.
pub const MAX_KEY: usize = 512;

/// Tasks that were pulled and wait for a place.
const PULLED: usize = 16;

/// Results that wait for a reader. Beyond them no task is begun.
const UNREAD: usize = 16;

/// How many results of an ordered batch may wait for an earlier one, for each session that may run.
const AHEAD: usize = 8;

/// Something to be done, and what it is known by.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchTask {
    /// Names the task within its batch, for ever: what was done under a key is not done again.
    pub key: Arc<str>,
    /// What is to be done, in words.
    pub task: Arc<str>,
    /// Inputs of the team over its defaults.
    pub inputs: Map,
}

/// How a batch is run.
#[derive(Clone, Debug)]
pub struct BatchOptions {
    /// The batch. The same key in another batch is another task.
    pub name: Arc<str>,
    /// Sessions that run at once, at most; from 1 to [`MAX_CONCURRENCY`].
    pub concurrency: usize,
    /// Gives results in the order of the tasks; otherwise as they come.
    pub ordered: bool,
    /// Does tasks again that failed, were cancelled or ran out of budget, each in a new session; otherwise they give the result that they have.
    pub retry_failed: bool,
}

/// What came of a task: a line of the output.
#[derive(Clone, Debug, Serialize)]
pub struct BatchResult {
    /// The task's key.
    pub key: Arc<str>,
    /// Its session; `None` where the task cannot be begun, because its inputs are not what the team takes.
    pub session: Option<SessionId>,
    /// Where it stands: over, parked for a person, or broken off by [`Batch::interrupter`].
    pub status: Standing,
    /// The result; where it is not completed, the best there is.
    pub output: Value,
    /// How it went; `None` without a session.
    pub metrics: Option<Metrics>,
    /// Why it is not completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<str>>,
    /// What the task was: a later run sees by it that its key stands for the same still. `None` without a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<TaskDigest>,
    /// Files of the team that were others when the session began: it went on with those.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Arc<str>>,
}

/// Why a task has no result. It can be done later: nothing says that it was.
#[derive(Debug, thiserror::Error)]
#[error("run task {key}: {why}")]
pub struct BatchError {
    /// The task's key.
    pub key: Arc<str>,
    /// Why.
    #[source]
    pub why: BatchTrouble,
}

/// What keeps a task from being run.
#[derive(Debug, thiserror::Error)]
pub enum BatchTrouble {
    /// The engine could not do its job.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It has no key, or one that is too long.
    #[error("a key has 1 to {MAX_KEY} bytes, and this one has {0}")]
    Key(usize),
    /// Its key stands for another task.
    #[error("its key stands for a task with another {what} in session {session}; give it another key, or name another batch")]
    Differs {
        /// The session of that task.
        session: SessionId,
        /// `task` or `input NAME`.
        what: Arc<str>,
    },
    /// It was retried too often.
    #[error("it failed {0} times; give it another key, or name another batch")]
    Attempts(u16),
}

/// The results of a batch as they come. Dropping it breaks the batch off: what runs can be resumed by the same batch.
#[derive(Debug)]
pub struct Batch {
    results: mpsc::Receiver<Result<BatchResult, BatchError>>,
    stop: CancellationToken,
}

impl BatchTask {
    /// A task without words and inputs.
    pub fn new(key: impl AsRef<str>) -> Self {
        Self { key: Arc::from(key.as_ref()), task: Arc::from(""), inputs: Map::new() }
    }

    /// What is to be done.
    #[must_use]
    pub fn task(mut self, task: impl AsRef<str>) -> Self {
        self.task = Arc::from(task.as_ref());
        self
    }

    /// Sets an input.
    #[must_use]
    pub fn input(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.inputs.insert(name.into(), value.into());
        self
    }
}

impl BatchOptions {
    /// Sixteen sessions at once, results as they come, failures as they are.
    pub fn named(name: impl AsRef<str>) -> Self {
        Self { name: Arc::from(name.as_ref()), concurrency: 16, ordered: false, retry_failed: false }
    }
}

impl Engine {
    /// Runs `tasks`, some at once, each in a session of `team`. They are pulled on a thread of its own, so an iterator may wait for a disk or
    /// a network; no more than a few are pulled before there is room for them. Call it inside a tokio runtime.
    ///
    /// The results end when the tasks do, when the batch is interrupted, and after an error that would stop every other task as well.
    pub fn batch<T>(&self, team: &Prepared, tasks: T, options: BatchOptions) -> Batch
    where
        T: IntoIterator<Item = BatchTask>,
        T::IntoIter: Send + 'static,
    {
        let stop = CancellationToken::new();
        let (results, read) = mpsc::channel(UNREAD);
        let pulled = conduct::pull(tasks.into_iter());
        tokio::spawn(conduct::Conductor::new(self.clone(), team.clone(), options, stop.clone()).run(pulled, results));
        Batch { results: read, stop }
    }

    /// What a session of `team` would take as its inputs: those that are given over the defaults, checked, folders made absolute.
    ///
    /// # Errors
    /// One is missing, unknown, of the wrong type, or names a folder that cannot be opened.
    pub fn inputs(&self, team: &Prepared, given: Map) -> Result<Map, EngineError> {
        self.inner.inputs(team, self.inner.env.redactor().map(given))
    }
}

impl Batch {
    /// The next result. `None` when there are no more.
    ///
    /// # Errors
    /// A task could not be run. Others may follow.
    pub async fn next(&mut self) -> Option<Result<BatchResult, BatchError>> {
        self.results.recv().await
    }

    /// A switch that ends the batch early: no task is begun any more, and what runs is broken off where it stands. Results that are there
    /// still come.
    pub fn interrupter(&self) -> CancellationToken {
        self.stop.clone()
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl BatchError {
    /// Whether other tasks would meet the same: the store cannot be used.
    pub fn is_fatal(&self) -> bool {
        match &self.why {
            BatchTrouble::Engine(error) => match error {
                EngineError::Append(AppendError::Store(_)) | EngineError::Store(_) | EngineError::Claim(ClaimError::Store(_)) => {
                    true
                }
                EngineError::Append(_)
                | EngineError::Claim(_)
                | EngineError::Read(_)
                | EngineError::Find(_)
                | EngineError::Post(_)
                | EngineError::Fork(_)
                | EngineError::Import(_)
                | EngineError::Fold(_)
                | EngineError::Prepare(_)
                | EngineError::Tool(_)
                | EngineError::Answer(_)
                | EngineError::Broken(_) => false,
            },
            BatchTrouble::Key(_) | BatchTrouble::Differs { .. } | BatchTrouble::Attempts(_) => false,
        }
    }
}
