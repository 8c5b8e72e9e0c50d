//! How would a team do on this machine? [`Engine::simulate`] divides the runs among its processors; what is known of past sessions
//! comes from the store.

use std::{num::NonZero, ops::Range, sync::Arc, thread};

use super::{Engine, EngineError, Prepared, toolbox::SessionTools};
use crate::{
    simulate::{Assumed, MAX_RUNS, Past, Run, Scenario, Simulated, runs},
    state::FoldError,
    store::Filter,
    team::InputKind,
    value::{Map, Value},
};

/// Past sessions of a team that are read, the newest.
const SESSIONS: usize = 100;
/// Sessions of the organization among which these are looked for, the newest.
const LISTED: usize = 10_000;

impl Engine {
    /// What past sessions of a team let one assume of the next. A journal that cannot be read counts for nothing.
    ///
    /// # Errors
    /// The sessions cannot be listed.
    pub fn seen(&self, team: &Prepared) -> Result<Past, EngineError> {
        let rows = self.inner.store.list(&Filter { org: self.inner.tenant.org.clone(), user: None, limit: LISTED })?;
        let mut past = Past::default();
        for row in rows.into_iter().filter(|row| row.team == team.name && row.status.is_over()).take(SESSIONS) {
            let added = self.inner.store.read_all(row.session).ok().map(|records| past.add(&records));
            if !matches!(added, Some(Ok(()))) {
                tracing::warn!(session = %row.session, "a session is passed over: its journal cannot be read");
            }
        }
        Ok(past)
    }

    /// A scenario of a team. Inputs that are missing are made up; what is given must be as a run takes it.
    ///
    /// # Errors
    /// An input is unknown or of the wrong type, or a tool of the team has the name of one of the machine.
    pub fn scenario(
        &self,
        team: &Prepared,
        task: impl AsRef<str>,
        given: Map,
        assumed: Assumed,
        seed: u64,
    ) -> Result<Scenario, EngineError> {
        let inputs = self.inner.inputs_or(team, given, Some(made_up))?;
        Ok(Scenario {
            team: team.name.clone(),
            task: Arc::from(task.as_ref()),
            inputs,
            plan: team.plan.clone(),
            judge: team.judge.clone(),
            tools: Arc::new(SessionTools::of(&self.inner.tools, &team.plan)?),
            assumed: Arc::new(assumed),
            seed,
        })
    }

    /// Runs a scenario so many times, on all processors. It blocks the calling thread.
    ///
    /// # Errors
    /// The plan is not one.
    pub fn simulate(&self, scenario: &Scenario, count: u32) -> Result<Simulated, EngineError> {
        let count = u64::from(count.clamp(1, MAX_RUNS));
        let workers = thread::available_parallelism().map_or(1, NonZero::get) as u64;
        let part = count.div_ceil(workers.clamp(1, count));
        let parts = (0..count).step_by(usize::try_from(part).unwrap_or(usize::MAX)).map(|from| from..(from + part).min(count));
        let catalog = &self.inner.catalog;
        let done: Vec<Result<Vec<Run>, FoldError>> = thread::scope(|scope| {
            let work = |which: Range<u64>| scope.spawn(move || runs(scenario, catalog, which));
            let working: Vec<_> = parts.map(work).collect();
            working.into_iter().filter_map(|worker| worker.join().ok()).collect()
        });
        let mut all = Vec::new();
        for part in done {
            all.extend(part?);
        }
        if (all.len() as u64) < count {
            return Err(EngineError::Broken(format!("{} of {count} runs", count - all.len() as u64)));
        }
        Ok(Simulated::of(scenario, &all))
    }
}

fn made_up(kind: InputKind) -> Value {
    match kind {
        InputKind::String | InputKind::Folder | InputKind::File => Value::text("simulated"),
        InputKind::Integer => Value::Int(1),
        InputKind::Number => Value::Float(1.0),
        InputKind::Boolean => Value::Bool(true),
        InputKind::List => Value::list([Value::text("simulated")]),
        InputKind::Map => Value::map::<String>([]),
    }
}
