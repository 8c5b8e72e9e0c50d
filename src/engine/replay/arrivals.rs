//! What did the world say, and when? [`arrivals`] finds in the records of a session the inputs that they follow from.
//!
//! An input and what follows from it have the same time. So a record with a new time is an input, or follows from a timer.

use std::sync::Arc;

use crate::{
    event::{Ask, AskFor, AskOutcome, Event, Input, Key, Outcome, Record, TurnEnd},
    state::{CallState, FoldError, State, Timer},
    value::{CallIx, CallQuestion, Failure, FailureKind, NodeIx, Reply, RuleKind, Timestamp, Turn},
};

/// What one step of the scheduler took.
pub(super) struct Arrivals {
    pub(super) at: Timestamp,
    pub(super) inputs: Vec<Input>,
}

/// Why a call is in doubt of which only a rule was asked: the words are not on the record.
const BROKE_OFF: &str = "the connection broke off";
/// Where the words stand that say why a call is in doubt.
const DOUBT: (&str, &str) = ("and no result came: ", ". Did the call happen?");

/// The steps after the first one, which begin at record `from` or later.
pub(super) fn arrivals(records: &[Record], from: usize) -> Result<Vec<Arrivals>, FoldError> {
    let mut state = State::fold(&records[..from.min(records.len())])?;
    let mut steps: Vec<Arrivals> = Vec::new();
    // Whether the next record may have been taken in the same step: only what was taken stands between it and the step's beginning.
    let mut taking = false;
    for (ix, record) in records.iter().enumerate().skip(from) {
        let same_time = record.at == state.now;
        let own = input(&state, record).filter(|_| !(same_time && is_ruled(&records[ix - 1], record)));
        let fires = own.is_none() && is_timer(&state, record);
        if own.is_some() || fires || !same_time {
            if !(taking && same_time) {
                steps.push(Arrivals { at: record.at, inputs: Vec::new() });
            }
            taking = own.is_some() || fires;
            let own = own.or_else(|| if fires { None } else { failure(&state, &records[ix..]) });
            if let Some(step) = steps.last_mut() {
                step.inputs.extend(own.or_else(|| fires.then_some(Input::Tick)));
            }
        } else {
            taking = false;
        }
        state.apply(record)?;
    }
    for step in &mut steps {
        // Whoever takes a session over looks at the clock once everything else was taken.
        if step.inputs.iter().any(|input| matches!(input, Input::Resume { .. })) {
            step.inputs.push(Input::Tick);
        }
    }
    Ok(steps)
}

/// Whether the result of a call is the word of the `reconcile` rule, which was asked just before.
fn is_ruled(before: &Record, record: &Record) -> bool {
    let Event::Judged { node: asked, rule: RuleKind::Reconcile, .. } = &before.event else { return false };
    match &record.event {
        Event::NodeEnded { node, .. } | Event::NodeRetried { node, .. } | Event::ToolReturned { node, .. } => node == asked,
        _ => false,
    }
}

/// Whether a record begins something: it is an input, or a timer that was due.
pub(in crate::engine) fn begins(state: &State, record: &Record) -> bool {
    matches!(record.event, Event::Forked(_)) || input(state, record).is_some() || is_timer(state, record)
}

/// The input that a record is the acceptance of.
fn input(state: &State, record: &Record) -> Option<Input> {
    match &record.event {
        Event::Resumed { epoch } => Some(Input::Resume { epoch: *epoch }),
        Event::CancelRequested { by, reason } => Some(Input::Cancel { by: by.clone(), reason: reason.clone() }),
        Event::AskClosed { ask, outcome: AskOutcome::Answered { value, by } } => {
            // It was given before the deadline, whenever it was read.
            let deadline = state.asks.get(ask).and_then(|ask| ask.deadline);
            let at = deadline.map_or(record.at, |deadline| record.at.min(Timestamp(deadline.0.saturating_sub(1))));
            Some(Input::Answered { ask: *ask, value: value.clone(), by: by.clone(), at })
        }
        Event::TurnEnded { node, .. } if state.taken.get(node).is_some_and(|taken| taken.pending) => None,
        Event::TurnEnded { node, turn, end, .. } => {
            let attempt = state.activations.get(node)?.attempt;
            let reply = match end {
                TurnEnd::Reply(reply) => Ok(reply.clone()),
                TurnEnd::Failed(failure) => Err((**failure).clone()),
            };
            Some(Input::Replied { key: Key { node: *node, attempt, turn: *turn, call: None }, reply })
        }
        Event::ToolReturned { node, turn, call, result } => {
            let activation = state.activations.get(node)?;
            let flies = matches!(activation.call(*call), Some(CallState::InFlight(_)));
            let key = Key { node: *node, attempt: activation.attempt, turn: *turn, call: Some(*call) };
            flies.then(|| Input::Returned { key, result: result.outcome.clone() })
        }
        Event::Asked(ask) => {
            let AskFor::Elicited(_, call, nth) = ask.purpose else { return None };
            let form = ask.form.clone()?;
            let key = flying(state, ask.node, call)?;
            Some(Input::Elicited { key, question: Arc::new(CallQuestion { nth, text: ask.question.clone(), form }) })
        }
        Event::LetGo { node, call, .. } => {
            let failure = Failure::new(FailureKind::Unanswered, "nobody answered in time");
            Some(Input::Returned { key: flying(state, *node, *call)?, result: Err(failure) })
        }
        Event::NodeEnded { node, outcome: Outcome::Ok(value) } => {
            let key = only_call(state, *node)?;
            Some(Input::Returned { key, result: Ok(value.clone()) })
        }
        Event::NodeEnded { node, outcome: Outcome::Failed(failure) } | Event::NodeRetried { node, failure, .. } => {
            let key = only_call(state, *node).filter(|_| !is_timer(state, record))?;
            Some(Input::Returned { key, result: Err((**failure).clone()) })
        }
        Event::LateResult { key, usage } => {
            let gone = || Failure::new(FailureKind::Cancelled, "it came to nothing that is on the record");
            let reply = usage.map(|usage| Arc::new(Reply { usage, ..Reply::default() })).ok_or_else(gone);
            Some(Input::Replied { key: *key, reply })
        }
        Event::Notified { ask, nth, failure } => {
            let result = failure.as_ref().map_or(Ok(()), |failure| Err((**failure).clone()));
            Some(Input::Notified { ask: *ask, nth: *nth, result })
        }
        Event::Started(_)
        | Event::Forked(_)
        | Event::TakenOver(_)
        | Event::Anew { .. }
        | Event::Parked
        | Event::NodeStarted { .. }
        | Event::RetryDue { .. }
        | Event::NodeEnded { outcome: Outcome::Skipped(_) | Outcome::Cancelled, .. }
        | Event::EdgesJudged { .. }
        | Event::ScopeOpened { .. }
        | Event::Grown(_)
        | Event::Judged { .. }
        | Event::TurnStarted { .. }
        | Event::TurnHeld { .. }
        | Event::ToolCalled(_)
        | Event::NotHappened { .. }
        | Event::Said { .. }
        | Event::Noted { .. }
        | Event::Delegated(_)
        | Event::DeadlinePassed { .. }
        | Event::HandedOff { .. }
        | Event::Undelivered { .. }
        | Event::Found { .. }
        | Event::Retracted { .. }
        | Event::Wrote { .. }
        | Event::Decided { .. }
        | Event::Escalated { .. }
        | Event::AskClosed { outcome: AskOutcome::Lapsed | AskOutcome::Moot, .. }
        | Event::AskMoved { .. }
        | Event::LimitReached { .. }
        | Event::Finished(_) => None,
    }
}

/// That call of a node, if it is in flight.
fn flying(state: &State, node: NodeIx, call: CallIx) -> Option<Key> {
    only_call(state, node).or_else(|| {
        let activation = state.activations.get(&node)?;
        let key = Key { node, attempt: activation.attempt, turn: activation.turn, call: Some(call) };
        matches!(activation.call(call), Some(CallState::InFlight(_))).then_some(key)
    })
}

/// The call of a tool node that is in flight.
fn only_call(state: &State, node: NodeIx) -> Option<Key> {
    let attempt = state.nodes.get(node.index())?.attempt;
    state.calling.contains(&node).then_some(Key { node, attempt, turn: Turn(0), call: None })
}

/// Whether a timer that is due is what a record tells of.
fn is_timer(state: &State, record: &Record) -> bool {
    match &record.event {
        Event::RetryDue { .. } | Event::AskMoved { .. } => true,
        Event::AskClosed { outcome, .. } => matches!(outcome, AskOutcome::Lapsed),
        Event::LimitReached { limit, .. } => &**limit == "wall_seconds",
        Event::NodeEnded { node, .. } | Event::NodeRetried { node, .. } => state.timers.is_due(Timer::Timeout(*node), record.at),
        _ => false,
    }
}

/// A failure that is not on the record by itself, but in what was made of it: a call in doubt, or a question about a tool node.
fn failure(state: &State, rest: &[Record]) -> Option<Input> {
    let first = rest.first()?;
    let node = match &first.event {
        Event::Judged { node, .. } | Event::Escalated { node, .. } => *node,
        Event::Asked(ask) => ask.node,
        _ => return None,
    };
    if state.timers.is_due(Timer::Timeout(node), first.at) {
        return None;
    }
    rest.iter().take_while(|record| record.at == first.at).find_map(|record| {
        let (call, failure) = match &record.event {
            Event::Asked(ask) if ask.node == node => asked(ask)?,
            Event::NodeEnded { node: ended, outcome: Outcome::Failed(failure) } if *ended == node => (None, (**failure).clone()),
            Event::NodeRetried { node: tried, failure, .. } if *tried == node => (None, (**failure).clone()),
            Event::NodeEnded { node: ended, outcome: Outcome::Ok(_) } if *ended == node => (None, broken(BROKE_OFF)),
            Event::NotHappened { node: other, call, .. } | Event::ToolReturned { node: other, call, .. } if *other == node => {
                (Some(*call), broken(BROKE_OFF))
            }
            _ => return None,
        };
        let key = match (only_call(state, node), state.activations.get(&node)) {
            (Some(key), _) => key,
            (None, Some(activation)) => Key { node, attempt: activation.attempt, turn: activation.turn, call: Some(call?) },
            (None, None) => return None,
        };
        Some(Input::Returned { key, result: Err(failure) })
    })
}

fn asked(ask: &Ask) -> Option<(Option<CallIx>, Failure)> {
    match &ask.purpose {
        AskFor::Failure(failure) => Some((None, (**failure).clone())),
        AskFor::InDoubt(_, call) => {
            let why = ask.question.split_once(DOUBT.0)?.1;
            Some((Some(*call), broken(why.strip_suffix(DOUBT.1).unwrap_or(why))))
        }
        AskFor::Node
        | AskFor::Uncertain
        | AskFor::Settle(_)
        | AskFor::Permit(..)
        | AskFor::Escalation(..)
        | AskFor::Elicited(..) => None,
    }
}

fn broken(why: &str) -> Failure {
    Failure::new(FailureKind::Transport, why)
}
