//! What is done for one task? It is begun, or what was begun under its key is taken up where it stands.

use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::{BatchOptions, BatchResult, BatchTask, BatchTrouble, MAX_KEY};
use crate::{
    engine::{
        Engine, EngineError, Prepared, SessionHandle,
        begin::{Beginning, Crew},
        blocking,
        claimed::Claimed,
    },
    event::{Record, Status},
    report::{Report, Standing},
    state::State,
    store::{ClaimError, Closing, FindError, SessionRow},
    value::{Map, SessionId, Tenant, Value},
};

/// How often its newest session is looked for while others make it at the same time.
const TRIES: u32 = 5;

/// How often a task is done in all.
const MAX_ATTEMPTS: u32 = 1_000;

/// The tasks of one batch.
pub(super) struct Tasks {
    engine: Engine,
    team: Prepared,
    options: BatchOptions,
    stop: CancellationToken,
    /// Who works in every session, where all work on the same folders.
    crew: OnceCell<Crew>,
}

/// The session of a task: always the same for the same tenant, team, batch, key and attempt, so that nobody makes it twice.
pub(super) fn session_of(tenant: &Tenant, team: &str, batch: &str, key: &str, attempt: u32) -> SessionId {
    let mut hasher = blake3::Hasher::new_derive_key("synod 2026 session of a task of a batch");
    for part in [&*tenant.org, &*tenant.user, team, batch, key] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    hasher.update(&attempt.to_le_bytes());
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    SessionId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

impl Tasks {
    pub(super) fn new(engine: Engine, team: Prepared, options: BatchOptions, stop: CancellationToken) -> Self {
        Self { engine, team, options, stop, crew: OnceCell::new() }
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
        let report = match self.made(task, &inputs, 1, None).await {
            Ok(handle) => self.follow(handle).await?,
            Err(EngineError::Claim(ClaimError::Exists(_))) => self.taken_up(task, &inputs).await?,
            Err(other) => return Err(other.into()),
        };
        Ok(BatchResult::of(task, &report))
    }

    fn session(&self, task: &BatchTask, attempt: u32) -> SessionId {
        session_of(self.engine.tenant(), &self.team.name, &self.options.name, &task.key, attempt)
    }

    /// Begins a session of that attempt.
    async fn made(
        &self,
        task: &BatchTask,
        inputs: &Map,
        attempt: u32,
        claim: Option<Claimed>,
    ) -> Result<SessionHandle, EngineError> {
        let crew = self.crew(inputs).await?;
        let beginning =
            Beginning { session: self.session(task, attempt), task: &task.task, inputs: inputs.clone(), earlier: None };
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

    /// The result of what was begun under the key of `task`, brought to its end where it has none.
    async fn taken_up(&self, task: &BatchTask, inputs: &Map) -> Result<Arc<Report>, BatchTrouble> {
        let mut attempt = 1;
        for _ in 0..TRIES {
            if let Some((newest, row)) = self.newest(task, attempt).await? {
                attempt = newest;
                if !row.status.is_over() {
                    return self.gone_on(task, inputs, attempt).await;
                }
                if row.status == Status::Completed || !self.options.retry_failed {
                    let report = self.engine.report(row.session).await?;
                    self.check(task, inputs, row.session, &report.task, &report.task_context)?;
                    return Ok(Arc::new(report));
                }
                attempt += 1;
            }
            if attempt > MAX_ATTEMPTS {
                return Err(BatchTrouble::Attempts(MAX_ATTEMPTS));
            }
            match self.made(task, inputs, attempt, None).await {
                Ok(handle) => return Ok(self.follow(handle).await?),
                Err(EngineError::Claim(ClaimError::Exists(_))) => {}
                Err(other) => return Err(other.into()),
            }
            // It was made and never began, or somebody was quicker.
            match self.gone_on(task, inputs, attempt).await {
                Err(BatchTrouble::Engine(EngineError::Claim(ClaimError::Unknown(_)))) => {}
                gone_on => return gone_on,
            }
        }
        Err(EngineError::Claim(ClaimError::Raced(self.session(task, attempt))).into())
    }

    /// Goes on with a session that has no end yet, or not even a beginning.
    async fn gone_on(&self, task: &BatchTask, inputs: &Map, attempt: u32) -> Result<Arc<Report>, BatchTrouble> {
        let session = self.session(task, attempt);
        let (mut claim, records) = self.claimed(session).await?;
        if records.is_empty() {
            let handle = self.made(task, inputs, attempt, Some(claim)).await?;
            return Ok(self.follow(handle).await?);
        }
        let state = State::fold(&records).map_err(EngineError::from)?;
        drop(records);
        claim.stands(Closing { status: state.status(), at: state.now });
        self.check(task, inputs, session, &state.started.task, &state.started.inputs)?;
        let handle = self.engine.go_on(claim, state).await?;
        Ok(self.follow(handle).await?)
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

    /// The newest session of a key, from attempt `first` on.
    async fn newest(&self, task: &BatchTask, first: u32) -> Result<Option<(u32, SessionRow)>, EngineError> {
        let (store, tenant, team) = (self.engine.store().clone(), self.engine.tenant().clone(), self.team.name.clone());
        let (batch, key) = (self.options.name.clone(), task.key.clone());
        blocking(move || {
            let mut newest = None;
            for attempt in first..=MAX_ATTEMPTS {
                match store.row(session_of(&tenant, &team, &batch, &key, attempt)) {
                    Ok(row) => newest = Some((attempt, row)),
                    Err(FindError::Unknown(_)) => break,
                    Err(other) => return Err(other.into()),
                }
            }
            Ok(newest)
        })
        .await?
    }

    /// Whether a session is one of this task.
    fn check(
        &self,
        task: &BatchTask,
        inputs: &Map,
        session: SessionId,
        task_then: &str,
        inputs_then: &Map,
    ) -> Result<(), BatchTrouble> {
        let differs = |what: String| Err(BatchTrouble::Differs { session, what: what.into() });
        if *self.engine.inner.env.redactor().text(&task.task) != *task_then {
            return differs("task".to_owned());
        }
        // Those that are not given come from the team, which may have changed.
        match task.inputs.keys().find(|name| inputs.get(*name) != inputs_then.get(*name)) {
            Some(name) => differs(format!("input {name}")),
            None => Ok(()),
        }
    }
}

impl BatchResult {
    fn of(task: &BatchTask, report: &Report) -> Self {
        Self {
            key: task.key.clone(),
            session: Some(report.session),
            status: report.status,
            output: report.output.clone(),
            metrics: Some(report.metrics.clone()),
            error: why(report),
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
