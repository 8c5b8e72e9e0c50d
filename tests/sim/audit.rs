//! Does a journal hold together by itself, without the fold that wrote it? [`audit`].

use std::collections::{BTreeMap, BTreeSet};

use synod::{
    event::{AskFor, AskOutcome, Event, Record, Status},
    graph::NodeKind,
    state::State,
    value::{AskId, Epoch, NodeIx, Value},
};

use crate::{doubts::Doubts, ledger::Ledger, world::Violation};

/// Reads the records one after another; `state` only says what a node is.
pub fn audit(records: &[Record], state: &State) -> Result<(), Violation> {
    let mut ended: BTreeSet<NodeIx> = BTreeSet::new();
    let mut attempts: BTreeMap<NodeIx, u32> = BTreeMap::new();
    let mut called = BTreeSet::new();
    let mut asked = BTreeSet::new();
    let mut open: BTreeMap<AskId, Option<(NodeIx, u32, u32)>> = BTreeMap::new();
    let mut epoch = Epoch(0);
    let mut turns: BTreeMap<NodeIx, u32> = BTreeMap::new();
    let mut over: Option<Status> = None;
    let mut cancelled = false;
    let mut doubts = Doubts::default();
    let mut ledger = Ledger::of(&state.started.plan);
    let mut before = None;
    for (at, record) in records.iter().enumerate() {
        let wrong = |what: &str| Err(format!("record {at} {what}: {:?}", record.event));
        if record.seq.index() != at || before.is_some_and(|b| record.at < b) {
            return wrong("is out of order");
        }
        before = Some(record.at);
        doubts.follow(&record.event, state)?;
        let lost = ledger.follow(record, state)?;
        for key in lost {
            called.remove(&(key.node, key.attempt, key.turn.0, None));
        }
        if over.is_some() && !matches!(record.event, Event::LateResult { .. }) {
            return wrong("comes after the end");
        }
        if let Some(node) = subject(&record.event)
            && ended.contains(&node)
        {
            return wrong("is about a node that has ended");
        }
        match &record.event {
            Event::NodeStarted { node, attempt, .. } => {
                let last = attempts.insert(*node, *attempt).unwrap_or(0);
                if *attempt != last + 1 {
                    return wrong("is no next attempt");
                }
            }
            Event::NodeEnded { node, .. } => {
                ended.insert(*node);
            }
            Event::TurnStarted { node, turn, attempt, .. } => {
                let again = !asked.insert((*node, *attempt, *turn));
                *turns.entry(*node).or_default() += u32::from(!again);
                if !called.insert((*node, *attempt, turn.0, None)) {
                    return wrong("asks a model a second time");
                }
            }
            Event::ToolCalled(call) => {
                let attempt = attempts.get(&call.node).copied().unwrap_or(0);
                if !called.insert((call.node, attempt, call.turn.0, Some(call.call.0))) {
                    return wrong("calls a second time");
                }
            }
            Event::Asked(ask) => {
                let call = if let AskFor::InDoubt(turn, call) = ask.purpose { Some((ask.node, turn.0, call.0)) } else { None };
                open.insert(ask.id, call);
            }
            Event::AskClosed { ask, outcome } => {
                let Some(call) = open.remove(ask) else { return wrong("closes what is not open") };
                if let (Some((node, turn, ix)), AskOutcome::Answered { value, .. }) = (call, outcome)
                    && *value == Value::text("not_happened")
                {
                    let attempt = attempts.get(&node).copied().unwrap_or(0);
                    called.remove(&(node, attempt, turn, Some(ix)));
                }
            }
            Event::NotHappened { node, turn, call } => {
                let attempt = attempts.get(node).copied().unwrap_or(0);
                if !called.remove(&(*node, attempt, turn.0, Some(call.0))) {
                    return wrong("is about a call that was not made");
                }
            }
            Event::LetGo { node, turn, call } => {
                let attempt = attempts.get(node).copied().unwrap_or(0);
                // That of a tool node counts with its attempt.
                called.remove(&(*node, attempt, turn.0, Some(call.0)));
            }
            Event::Notified { ask, .. } if !open.contains_key(ask) => return wrong("is about what is not open"),
            Event::AskMoved { ask, .. } if !open.contains_key(ask) => return wrong("moves what is not open"),
            Event::Resumed { epoch: taken } => {
                if *taken <= epoch {
                    return wrong("takes over with an old claim");
                }
                epoch = *taken;
            }
            Event::CancelRequested { .. } => {
                if std::mem::replace(&mut cancelled, true) {
                    return wrong("cancels a second time");
                }
            }
            Event::Finished(finished) => over = Some(finished.status),
            Event::Started(_)
            | Event::Forked(_)
            | Event::TakenOver(_)
            | Event::Anew { .. }
            | Event::Parked
            | Event::NodeRetried { .. }
            | Event::RetryDue { .. }
            | Event::EdgesJudged { .. }
            | Event::ScopeOpened { .. }
            | Event::Grown(_)
            | Event::Judged { .. }
            | Event::TurnHeld { .. }
            | Event::TurnEnded { .. }
            | Event::ToolReturned { .. }
            | Event::Said { .. }
            | Event::Noted { .. }
            | Event::Delegated(_)
            | Event::Found { .. }
            | Event::Retracted { .. }
            | Event::Wrote { .. }
            | Event::Decided { .. }
            | Event::Escalated { .. }
            | Event::AskMoved { .. }
            | Event::Notified { .. }
            | Event::LimitReached { .. }
            | Event::DeadlinePassed { .. }
            | Event::HandedOff { .. }
            | Event::Undelivered { .. }
            | Event::LateResult { .. } => {}
        }
    }
    let Some(status) = over else { return Err("the journal has no end".to_owned()) };
    ledger.close(state)?;
    if !open.is_empty() {
        return Err(format!("it is over with {open:?} open"));
    }
    let left = (0..state.nodes.len() as u32).map(NodeIx).find(|node| !ended.contains(node));
    if let Some(node) = left {
        return Err(format!("it is over and {} has not ended", state.path(node)));
    }
    for (node, count) in turns {
        let limit = turn_limit(state, node);
        if count > limit {
            return Err(format!("{} has {count} of {limit} turns", state.path(node)));
        }
    }
    let limit = state.started.plan.limits.turns;
    if limit.is_some_and(|limit| state.spent.turns > limit) && status != Status::OutOfBudget {
        return Err(format!("{} turns are more than allowed", state.spent.turns));
    }
    Ok(())
}

fn turn_limit(state: &State, node: NodeIx) -> u32 {
    let NodeKind::Agent(agent) = &state.node(node).kind else { return 0 };
    let own = state.team_of(node).1.agent(&agent.role).map_or(0, |m| m.profile.max_turns);
    agent.max_turns.unwrap_or_else(|| agent.phase.turns(own))
}

/// The node that an event moves on.
fn subject(event: &Event) -> Option<NodeIx> {
    match event {
        Event::NodeStarted { node, .. }
        | Event::NodeRetried { node, .. }
        | Event::RetryDue { node }
        | Event::NodeEnded { node, .. }
        | Event::ScopeOpened { node, .. }
        | Event::TurnStarted { node, .. }
        | Event::TurnHeld { node, .. }
        | Event::TurnEnded { node, .. }
        | Event::ToolReturned { node, .. }
        | Event::NotHappened { node, .. }
        | Event::LetGo { node, .. }
        | Event::Noted { node, .. }
        | Event::Wrote { node, .. }
        | Event::DeadlinePassed { node }
        | Event::HandedOff { node, .. }
        | Event::Found { node, .. }
        | Event::Retracted { node, .. }
        | Event::Decided { node, .. } => Some(*node),
        Event::ToolCalled(call) => Some(call.node),
        Event::Delegated(delegated) => Some(delegated.node),
        Event::Asked(ask) => Some(ask.node),
        Event::Started(_)
        | Event::Resumed { .. }
        | Event::Forked(_)
        | Event::TakenOver(_)
        | Event::Anew { .. }
        | Event::Parked
        | Event::EdgesJudged { .. }
        | Event::Grown(_)
        | Event::Judged { .. }
        | Event::Said { .. }
        | Event::AskClosed { .. }
        | Event::AskMoved { .. }
        | Event::Notified { .. }
        | Event::Escalated { .. }
        | Event::LimitReached { .. }
        | Event::Undelivered { .. }
        | Event::CancelRequested { .. }
        | Event::LateResult { .. }
        | Event::Finished(_) => None,
    }
}
