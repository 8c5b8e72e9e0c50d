//! What is done for one task? It is begun, or what was begun under its key is taken up where it stands.

use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::{
    BatchOptions, BatchResult, BatchTask, BatchTrouble, MAX_KEY, TaskDigest,
    identity::{BatchIdentity, attempt_of},
};
use crate::{
    engine::{
        Engine, EngineError, Prepared, SessionHandle,
        begin::{Beginning, Crew},
        blocking,
        claimed::Claimed,
    },
    event::{Event, Record, Started, Status},
    report::{Report, Standing},
    state::State,
    store::{AppendError, ClaimError, Closing, FindError, SessionRow},
    value::{Map, SessionId, Value},
};

/// How often a task is looked at anew while others are quicker.
const TRIES: u32 = 5;

/// How often a task is done in all.
const MAX_ATTEMPTS: u16 = 1_000;

/// The tasks of one batch.
pub(super) struct Tasks {
    engine: Engine,
    team: Prepared,
    identity: BatchIdentity,
    options: BatchOptions,
    stop: CancellationToken,
    /// Who works in every session, where all work on the same folders.
    crew: OnceCell<Crew>,
}

/// What came of a task, and the files of the team that are not what its session began with.
type Done = (Arc<Report>, Vec<Arc<str>>);

impl Tasks {
    pub(super) fn new(engine: Engine, team: Prepared, options: BatchOptions, stop: CancellationToken) -> Self {
        let identity = engine.batch_identity(&team, &options.name);
        Self { engine, team, identity, options, stop, crew: OnceCell::new() }
    }

    /// What comes of a task.
    pub(super) async fn run(&self, task: &BatchTask) -> Result<BatchResult, BatchTrouble> {
        if task.key.is_empty() || task.key.len() > MAX_KEY {
            return Err(BatchTrouble::Key(task.key.len()));
        }
        let inputs = match self.engine.inputs(&self.team, task.inputs.clone()) {
            Ok(inputs) => inputs,
            Err(EngineError::Prepare(error)) => return Ok(BatchResult::refused(task, &error.to_string())),
            Err(other) => return Err(other.into()),
        };
        let digest = TaskDigest::of(&self.engine.inner.env.redactor().text(&task.task), task, &inputs);
        for _ in 0..TRIES {
            match self.done(task, &inputs).await {
                Err(BatchTrouble::Engine(error)) if was_quicker(&error) => {}
                done => return done.map(|(report, changed)| BatchResult::of(task, digest, &report, changed)),
            }
        }
        Err(EngineError::Claim(ClaimError::Raced(self.identity.session(&task.key, 1))).into())
    }

    /// Brings a task to its end, from wherever it stands.
    async fn done(&self, task: &BatchTask, inputs: &Map) -> Result<Done, BatchTrouble> {
        let attempt = match self.newest(task).await? {
            None => 1,
            Some((attempt, row)) if !row.status.is_over() => return self.gone_on(task, inputs, attempt).await,
            Some((_, row)) if row.status == Status::Completed || !self.options.retry_failed => {
                return self.looked_up(task, inputs, row.session).await;
            }
            Some((attempt, _)) => attempt + 1,
        };
        if attempt > MAX_ATTEMPTS {
            return Err(BatchTrouble::Attempts(MAX_ATTEMPTS));
        }
        match self.made(task, inputs, attempt, None).await {
            Ok(handle) => Ok((self.follow(handle).await?, Vec::new())),
            // It was made and never began, or somebody was quicker.
            Err(EngineError::Claim(ClaimError::Exists(_))) => self.gone_on(task, inputs, attempt).await,
            Err(other) => Err(other.into()),
        }
    }

    /// Begins a session of that attempt.
    async fn made(
        &self,
        task: &BatchTask,
        inputs: &Map,
        attempt: u16,
        claim: Option<Claimed>,
    ) -> Result<SessionHandle, EngineError> {
        let crew = self.crew(inputs).await?;
        let session = self.identity.session(&task.key, attempt);
        let beginning = Beginning { session, task: &task.task, inputs: inputs.clone(), earlier: None };
        self.engine.begin_with(&self.team, beginning, crew, claim).await
    }

    async fn crew(&self, inputs: &Map) -> Result<Crew, EngineError> {
        let inner = &self.engine.inner;
        if self.team.plan.roots.is_empty() {
            return self.crew.get_or_try_init(|| inner.crew(&self.team, inputs)).await.cloned();
        }
        inner.crew(&self.team, inputs).await
    }

    /// Waits for the end of a session, or breaks it off with the batch.
    async fn follow(&self, handle: SessionHandle) -> Result<Arc<Report>, EngineError> {
        let interrupt = handle.interrupter();
        let mut ended = std::pin::pin!(handle.wait());
        let ended = tokio::select! {
            ended = &mut ended => ended,
            () = self.stop.cancelled() => {
                interrupt.cancel();
                ended.await
            }
        };
        Ok(ended?.report)
    }

    /// The result of a session that is over.
    async fn looked_up(&self, task: &BatchTask, inputs: &Map, session: SessionId) -> Result<Done, BatchTrouble> {
        let store = self.engine.store().clone();
        let (report, first) = blocking(move || -> Result<_, EngineError> {
            let records = store.read_all(session)?;
            Ok((Report::of(&records)?, records.into_iter().next()))
        })
        .await??;
        let changed = match first {
            Some(Record { event: Event::Started(started), .. }) => self.check(task, inputs, &started)?,
            Some(_) | None => Vec::new(),
        };
        Ok((Arc::new(report), changed))
    }

    /// Goes on with a session that has no end yet, or not even a beginning.
    async fn gone_on(&self, task: &BatchTask, inputs: &Map, attempt: u16) -> Result<Done, BatchTrouble> {
        let (mut claim, records) = self.claimed(self.identity.session(&task.key, attempt)).await?;
        if records.is_empty() {
            let handle = self.made(task, inputs, attempt, Some(claim)).await?;
            return Ok((self.follow(handle).await?, Vec::new()));
        }
        let state = State::fold(&records).map_err(EngineError::from)?;
        drop(records);
        claim.stands(Closing { status: state.status(), at: state.now });
        let changed = self.check(task, inputs, &state.started)?;
        let handle = self.engine.go_on(claim, state).await?;
        Ok((self.follow(handle).await?, changed))
    }

    async fn claimed(&self, session: SessionId) -> Result<(Claimed, Vec<Record>), EngineError> {
        let inner = self.engine.inner.clone();
        blocking(move || {
            let claim = Claimed::take(inner.store.clone(), session, inner.clock.now())?;
            let records = inner.store.read_all(session)?;
            Ok((claim, records))
        })
        .await?
    }

    /// The newest session of a key, whichever of the earlier ones are there: old failures may have been removed.
    async fn newest(&self, task: &BatchTask) -> Result<Option<(u16, SessionRow)>, EngineError> {
        let (store, org) = (self.engine.store().clone(), self.engine.tenant().org.clone());
        let (identity, key) = (self.identity.clone(), task.key.clone());
        blocking(move || {
            let last = match store.find(&org, &identity.prefix(&key)) {
                Ok(session) => session,
                Err(FindError::Ambiguous { last, .. }) => last,
                Err(FindError::Unknown(_)) => return Ok(None),
                Err(other) => return Err(other.into()),
            };
            // The store forgets a session that never began when it is looked at.
            for attempt in (1..=attempt_of(last)).rev() {
                match store.row(identity.session(&key, attempt)) {
                    Ok(row) => return Ok(Some((attempt, row))),
                    Err(FindError::Unknown(_)) => {}
                    Err(other) => return Err(other.into()),
                }
            }
            Ok(None)
        })
        .await?
    }

    /// Whether a session is one of this task; and the files of the team that were others when it began.
    fn check(&self, task: &BatchTask, inputs: &Map, started: &Started) -> Result<Vec<Arc<str>>, BatchTrouble> {
        let differs = |what: String| Err(BatchTrouble::Differs { session: started.session, what: what.into() });
        if *self.engine.inner.env.redactor().text(&task.task) != *started.task {
            return differs("task".to_owned());
        }
        // Those that are not given come from the team, which may have changed.
        if let Some(name) = task.inputs.keys().find(|name| inputs.get(*name) != started.inputs.get(*name)) {
            return differs(format!("input {name}"));
        }
        // By what is in them: the same files may be named from elsewhere. A plan that was made in code has none.
        let (then, now) = (&started.plan.digests, &self.team.plan.digests);
        let mut changed: Vec<Arc<str>> = Vec::new();
        for (some, others) in [(now, then), (then, now)] {
            let differ = some.iter().filter(|(_, digest)| !others.values().any(|other| other == *digest));
            changed.extend(differ.map(|(file, _)| Arc::from(file.as_str())));
        }
        changed.sort();
        changed.dedup();
        Ok(changed)
    }
}

/// Whether another process did something with the session at the same moment, so that it is to be looked at anew.
fn was_quicker(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::Claim(ClaimError::Exists(_) | ClaimError::Unknown(_) | ClaimError::Raced(_))
            | EngineError::Append(AppendError::Fenced { .. })
    )
}

impl BatchResult {
    fn of(task: &BatchTask, digest: TaskDigest, report: &Report, changed: Vec<Arc<str>>) -> Self {
        Self {
            key: task.key.clone(),
            session: Some(report.session),
            status: report.status,
            output: report.output.clone(),
            metrics: Some(report.metrics.clone()),
            error: why(report),
            digest: Some(digest),
            changed,
        }
    }

    /// Of a task that cannot be begun.
    fn refused(task: &BatchTask, why: &str) -> Self {
        Self {
            key: task.key.clone(),
            session: None,
            status: Standing::As(Status::Failed),
            output: Value::Null,
            metrics: None,
            error: Some(Arc::from(why)),
            digest: None,
            changed: Vec::new(),
        }
    }
}

/// Why a session is not completed.
fn why(report: &Report) -> Option<Arc<str>> {
    let Standing::As(status) = report.status else { return None };
    if let Some(failure) = &report.failure {
        return Some(failure.to_string().into());
    }
    match status {
        Status::Failed => Some(Arc::from("it failed")),
        Status::OutOfBudget => Some(Arc::from("a limit ended it")),
        Status::Cancelled => {
            let by = report
                .cancelled
                .as_ref()
                .map_or_else(String::new, |cancelled| format!(" by {}: {}", cancelled.by, cancelled.reason));
            Some(format!("it was cancelled{}", by.trim_end_matches(": ")).into())
        }
        Status::Parked => {
            let open = report.escalations.iter().filter(|row| row.state == Some("open")).count();
            Some(format!("it waits for a person (open questions: {open}); see: synod report {}", report.session).into())
        }
        Status::Initializing | Status::Running | Status::Aggregating | Status::Completed => None,
    }
}
