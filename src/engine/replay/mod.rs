//! Does a session come to the same again? Its pinned plan is run by the scheduler and its rules as they are now, with the
//! replies, results, answers and times that are on its record: without a network, a key or a clock, and no tool is called.
//!
//! Deliberately absent: a store. A replay leaves nothing behind.

mod arrivals;
mod compare;
mod tools;

use std::sync::Arc;

pub(super) use arrivals::begins;
pub use compare::Difference;
pub(super) use compare::first_difference;
pub(super) use tools::RecordedTools;

use super::{Engine, EngineError, prepare, toolbox::SessionTools};
use crate::{
    event::{Effect, Event, Input, Key, Record, Status},
    report::Report,
    schedule::{Past, Scheduler},
    state::{FoldError, State},
    store::{ClaimError, Closing, NewSession, READ_PAGE},
    turn::Toolbox,
    value::{Failure, FailureKind, Seq, SessionId},
};

/// Steps that a replay which has left its record takes at most.
const STEPS: usize = 100_000;

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
        let past = shared(records);
        let taken = Past::own(records)?.map(Arc::new);
        let (mut scheduler, mut replayed) = if past > 0 {
            let state = State::fold(&records[..past])?;
            (Scheduler::resume(state, judge.clone(), tools.clone()).reusing(taken), records[..past].to_vec())
        } else {
            let (scheduler, step) = Scheduler::start_reusing(*at, (**started).clone(), judge.clone(), tools.clone(), taken)?;
            (scheduler, step.records)
        };
        for arrivals in arrivals::arrivals(records, past.max(1))? {
            let inputs = if arrivals.inputs.is_empty() { vec![Input::Tick] } else { arrivals.inputs };
            replayed.extend(scheduler.on(arrivals.at, inputs)?.records);
        }
        let recorded = State::fold(records)?;
        let stops = recorded.finished.is_none();
        go_on(&mut scheduler, &mut replayed, stops)?;
        let records = &compare::comparable(records, started);
        let difference = compare::difference(records, &replayed, &judge, &tools)?;
        let report = Report::of(&replayed)?.left_alone();
        Ok(Replayed { report, status: scheduler.state().status(), difference })
    }

    /// Puts the records of a session into the store, under the id and the tenant that they name. A session that is there with
    /// the same records stays as it is; of one that is there with the first of them, the rest is added.
    ///
    /// # Errors
    /// They are no session, another one has its id, or the store cannot be written.
    pub fn import(&self, records: &[Record]) -> Result<SessionId, EngineError> {
        self.put(&State::fold(records)?, records)
    }

    /// The same with the records that `each` hands out, in order.
    ///
    /// # Errors
    /// As [`Engine::import`], and those of `each`.
    pub fn import_from<E: From<EngineError>>(
        &self,
        mut each: impl FnMut(&mut dyn FnMut(Record) -> Result<(), E>) -> Result<(), E>,
    ) -> Result<SessionId, E> {
        let (mut state, mut records): (Option<State>, _) = (None, Vec::new());
        each(&mut |record| {
            match &mut state {
                None => state = Some(State::start(&record).map_err(EngineError::from)?),
                Some(state) => state.apply(&record).map_err(EngineError::from)?,
            }
            records.push(record);
            Ok(())
        })?;
        // An empty journal does not fold.
        let state = state.map_or_else(|| State::fold(&[]), Ok).map_err(EngineError::from)?;
        Ok(self.put(&state, &records)?)
    }

    /// Puts the records that make `state` into the store.
    fn put(&self, state: &State, records: &[Record]) -> Result<SessionId, EngineError> {
        let (store, started) = (&self.inner.store, &state.started);
        let session = started.session;
        let new = NewSession {
            session,
            tenant: started.tenant.clone(),
            team: started.team.clone(),
            task: started.task.clone(),
            started_at: state.started_at,
        };
        let (claim, there) = match store.create(new) {
            Ok(claim) => (claim, 0),
            Err(ClaimError::Exists(_)) => {
                let there = self.same(session, records)?;
                if there == records.len() {
                    return Ok(session);
                }
                (store.claim(session)?, there)
            }
            Err(error) => return Err(error.into()),
        };
        // As one: a part of a session could be resumed, and would then be another session.
        store.append(&claim, Seq(there as u64), &records[there..])?;
        store.release(claim, Closing { status: state.status(), at: state.now }).wait()?;
        Ok(session)
    }

    /// How many records a session has that is there, if they are the first of these.
    fn same(&self, session: SessionId, records: &[Record]) -> Result<usize, EngineError> {
        let other = |seq: usize| {
            EngineError::Import(format!(
                "session {session} is in this store already and is another one from record {seq} on; give another store with --store"
            ))
        };
        // As they are written: two starts are equal when they are of the same session.
        let json = |record: &Record| serde_json::to_value(record).unwrap_or_default();
        let mut there = 0;
        loop {
            let page = self.inner.store.read(session, Seq(there as u64), READ_PAGE)?;
            if page.is_empty() {
                return Ok(there);
            }
            for record in page {
                if records.get(there).is_none_or(|own| json(own) != json(&record)) {
                    return Err(other(there));
                }
                there += 1;
            }
        }
    }
}

/// How many records a session shares with the one that it was forked from, the fork included: they are taken as they are, since
/// what led to them may go on in that one alone.
fn shared(records: &[Record]) -> usize {
    records.iter().rposition(|record| matches!(record.event, Event::Forked(_))).map_or(0, |fork| fork + 1)
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
