//! Does a session come to the same again? Its pinned plan is run by the scheduler and its rules as they are now, with the
//! replies, results, answers and times that are on its record: without a network, a key or a clock, and no tool is called.
//!
//! Deliberately absent: a store. A replay leaves nothing behind.

mod arrivals;
mod compare;
mod tools;

use std::sync::Arc;

pub use compare::Difference;
pub(super) use compare::first_difference;

use super::{Engine, EngineError, prepare, toolbox::SessionTools};
use crate::{
    event::{Effect, Event, Input, Key, Record, Status},
    report::Report,
    schedule::Scheduler,
    state::{FoldError, State},
    store::{ClaimError, Closing, NewSession},
    turn::Toolbox,
    value::{Failure, FailureKind, SessionId},
};
use tools::RecordedTools;

/// Steps that a replay which has left its record takes at most.
const STEPS: usize = 100_000;
/// Records that an import appends at once.
const BATCH: usize = 1_024;

/// What came of a replay.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The report, which is the same as the session's where nothing differs.
    pub report: Report,
    /// Where it stands.
    pub status: Status,
    /// The first thing that differs from the record.
    pub difference: Option<Difference>,
}

impl Engine {
    /// Runs a session again from its records.
    ///
    /// # Errors
    /// They are no session, or its plan cannot be made from them.
    pub fn replay(&self, records: &[Record]) -> Result<Replayed, EngineError> {
        let Some(Record { at, event: Event::Started(started), .. }) = records.first() else {
            return Err(FoldError::NoStart.into());
        };
        let judge = prepare::judge_of(&started.plan, &started.sources)?;
        let here = SessionTools::of(&self.inner.tools, &started.plan)?;
        let tools: Arc<dyn Toolbox> = Arc::new(RecordedTools::of(records, here)?);
        let (mut scheduler, step) = Scheduler::start(*at, (**started).clone(), judge.clone(), tools.clone())?;
        let mut replayed = step.records;
        for arrivals in arrivals::arrivals(records)? {
            let inputs = if arrivals.inputs.is_empty() { vec![Input::Tick] } else { arrivals.inputs };
            replayed.extend(scheduler.on(arrivals.at, inputs)?.records);
        }
        let recorded = State::fold(records)?;
        let stops = recorded.finished.is_none();
        go_on(&mut scheduler, &mut replayed, stops)?;
        let difference = compare::difference(records, &replayed, &judge, &tools)?;
        let report = Report::of(&replayed)?.left_alone();
        Ok(Replayed { report, status: scheduler.state().status(), difference })
    }

    /// Puts the records of a session into the store, under the id and the tenant that they name. A session that is there with
    /// the same records stays as it is.
    ///
    /// # Errors
    /// They are no session, another one has its id, or the store cannot be written.
    pub fn import(&self, records: &[Record]) -> Result<SessionId, EngineError> {
        let state = State::fold(records)?;
        let started = &state.started;
        let new = NewSession {
            session: started.session,
            tenant: started.tenant.clone(),
            team: started.team.clone(),
            task: started.task.clone(),
            started_at: state.started_at,
        };
        let store = &self.inner.store;
        let claim = match store.create(new) {
            Ok(claim) => claim,
            Err(ClaimError::Exists(session)) if store.read_all(session)? == records => return Ok(session),
            Err(error) => return Err(error.into()),
        };
        for batch in records.chunks(BATCH) {
            store.append(&claim, batch[0].seq, batch)?;
        }
        store.release(claim, Closing { status: state.status(), at: state.now }).wait()?;
        Ok(started.session)
    }
}

/// Ends a session that has left its record: what was never answered then fails now. One that stopped on its record stops here too.
fn go_on(scheduler: &mut Scheduler, replayed: &mut Vec<Record>, stops: bool) -> Result<(), FoldError> {
    for _ in 0..STEPS {
        let state = scheduler.state();
        if stops || state.finished.is_some() || state.parked {
            return Ok(());
        }
        let now = state.now;
        let missing = |key: Key| format!("the record has no answer to {} of {}", what(key), state.path(key.node));
        let unanswered = scheduler.outstanding().into_iter().filter_map(|effect| match effect {
            Effect::Model(call) => {
                let reply = Err(Failure::new(FailureKind::Model, missing(call.key)));
                Some(Input::Replied { key: call.key, reply })
            }
            Effect::Tool(call) => {
                let result = Err(Failure::new(FailureKind::Tool, missing(call.key)));
                Some(Input::Returned { key: call.key, result })
            }
            Effect::Cancel(_) | Effect::Ask(_) | Effect::Notify(_) | Effect::Tell { .. } => None,
        });
        let inputs: Vec<Input> = unanswered.collect();
        let step = match (inputs.is_empty(), scheduler.next_timer()) {
            (false, _) => scheduler.on(now, inputs)?,
            (true, Some(at)) => scheduler.on(at, [Input::Tick])?,
            (true, None) => return Ok(()),
        };
        replayed.extend(step.records);
    }
    Ok(())
}

fn what(key: Key) -> String {
    match key.call {
        Some(call) => format!("call {call} of turn {}", key.turn),
        None => format!("turn {}", key.turn),
    }
}
