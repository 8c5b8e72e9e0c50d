//! `synod resume`: go on where the journal ends.

use clap::{ArgGroup, Args};

use super::{Exit, Global, Outcome, live, output, runtime};
use crate::{
    engine::{Engine, EngineError, PrepareError},
    event::{Event, Status},
    store::{ClaimError, Filter, SessionRow},
    team::Overrides,
    value::{Seq, SessionId, Timestamp},
};

/// Sessions that one `--due` looks at.
const DUE_LIMIT: usize = 100_000;

/// Go on with a session where it stopped
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["session", "due"])))]
pub(super) struct Resume {
    /// The session's id, or the beginning of it
    session: Option<String>,
    /// Refuse when the team's files have changed since the session started
    #[arg(long)]
    strict: bool,
    /// Go on with every parked session in which a question has lapsed, and with every interrupted one; for cron
    #[arg(long)]
    due: bool,
}

impl Resume {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let engine = global.engine()?;
        let Some(prefix) = &self.session else { return resume_due(&engine, global) };
        let session = global.session(&engine, prefix)?;
        let changed = changed(&engine, session)?;
        if !changed.is_empty() && self.strict {
            eprintln!("synod: the team's files differ from those that the session started with: {}", changed.join(", "));
            return Ok(Exit::Usage);
        }
        if !changed.is_empty() && !global.quiet {
            eprintln!("these files differ now; the session goes on with what it started with: {}", changed.join(", "));
        }
        runtime()?.block_on(async {
            let handle = engine.resume(session).await?;
            live::follow(&engine, handle, global).await
        })
    }
}

/// The files of a session's team that have another digest now.
fn changed(engine: &Engine, session: SessionId) -> Result<Vec<String>, super::CommandError> {
    let first = engine.store().read(session, Seq(0), 1)?;
    let Some(Event::Started(started)) = first.first().map(|record| &record.event) else { return Ok(Vec::new()) };
    if started.plan.digests.is_empty() {
        return Ok(Vec::new());
    }
    let now = match engine.load(&started.team, &Overrides::default()) {
        Ok(prepared) => prepared.plan.digests.clone(),
        Err(PrepareError::Invalid(_)) => return Ok(vec![format!("{} (it has mistakes now)", started.team)]),
        Err(_) => return Ok(vec![format!("{} (it cannot be read now)", started.team)]),
    };
    let differs =
        started.plan.digests.iter().filter(|(file, digest)| now.get(*file) != Some(digest)).map(|(file, _)| file.clone());
    let added = now.keys().filter(|file| !started.plan.digests.contains_key(*file)).cloned();
    Ok(differs.chain(added).collect())
}

/// Resumes what is due, one after another, and lists it.
fn resume_due(engine: &Engine, global: &Global) -> Outcome {
    let tenant = global.tenant();
    let rows = engine.store().list(&Filter { org: tenant.org, user: None, limit: DUE_LIMIT })?;
    let mut resumed = Vec::new();
    let mut exit = Exit::Done;
    runtime()?.block_on(async {
        for row in rows {
            match resume_one(engine, &row).await {
                Ok(None) => {}
                Ok(Some(status)) => {
                    if !global.json {
                        output::text(&format!("{} {}\n", row.session, status.name()))?;
                    }
                    resumed.push(serde_json::json!({ "session": row.session, "status": status }));
                }
                // The others are due as well.
                Err(error) => {
                    exit = Exit::Failed;
                    eprintln!("synod: {} cannot be resumed: {error}", row.session);
                    resumed.push(serde_json::json!({ "session": row.session, "error": error.to_string() }));
                }
            }
        }
        engine.close().await;
        Ok::<(), super::CommandError>(())
    })?;
    if global.json {
        output::json(&resumed)?;
    }
    Ok(exit)
}

/// Resumes the session of `row` if it is due, and says where it stands then.
async fn resume_one(engine: &Engine, row: &SessionRow) -> Result<Option<Status>, EngineError> {
    let lapsed = row.status == Status::Parked && has_lapsed(engine, row.session)?;
    if !lapsed && !row.is_interrupted() {
        return Ok(None);
    }
    match engine.resume(row.session).await {
        Ok(handle) => Ok(Some(handle.wait().await?.status)),
        // Somebody else goes on with it already.
        Err(EngineError::Claim(ClaimError::Owned { .. } | ClaimError::Raced(_))) => Ok(None),
        Err(error) => Err(error),
    }
}

fn has_lapsed(engine: &Engine, session: SessionId) -> Result<bool, EngineError> {
    let state = crate::state::State::fold(&engine.store().read_all(session)?)?;
    let now: Timestamp = crate::engine::Clock::now(&crate::engine::SystemClock);
    Ok(state.asks.values().any(|ask| ask.deadline.is_some_and(|deadline| deadline <= now)))
}
