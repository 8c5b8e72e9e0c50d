//! What does a fact change? One arm per event.

mod below;
mod cuts;
mod deadlines;
mod edges;
mod fork;
mod nodes;
mod people;
mod said;
mod scopes;
mod taken;
mod turns;

use super::{Activation, FoldError, Stand, State, Stopping};
use crate::{
    event::{Event, Record},
    value::{NodeIx, RuleKind, Verdict},
};

impl State {
    pub(super) fn apply_event(&mut self, record: &Record) -> Result<(), FoldError> {
        if self.finished.is_some() && !matches!(record.event, Event::LateResult { .. } | Event::Resumed { .. }) {
            return Err(self.contradiction("the session is over"));
        }
        match &record.event {
            Event::Started(_) => return Err(self.contradiction("a session starts once")),
            Event::Resumed { epoch } => {
                self.timers.shift(record.at.since(self.now));
                self.epoch = *epoch;
                self.lose_reserved();
                self.late.clear();
                self.doubt_irreversible();
            }
            Event::Forked(forked) => self.parted(forked, record)?,
            Event::Parked => self.parked = true,
            Event::NodeStarted { node, attempt, lookup } => self.node_started(*node, *attempt, lookup.as_deref(), record)?,
            Event::NodeRetried { node, attempt, failure, not_before } => {
                self.node_retried(*node, *attempt, failure, *not_before, record)?;
            }
            Event::RetryDue { node } => self.retry_due(*node)?,
            Event::NodeEnded { node, outcome } => self.node_ended(*node, outcome, record)?,
            Event::EdgesJudged { node, met } => self.edges_judged(*node, met)?,
            Event::ScopeOpened { node, bound } => self.scope_opened(*node, bound, record)?,
            Event::Grown(grown) => match grown.call {
                Some(call) => self.grown_below(grown, call)?,
                None => self.apply_grown(grown)?,
            },
            Event::Judged { node, rule: RuleKind::Reconcile, verdict: Some(verdict) }
                if **verdict == Verdict::Reconcile(Some(None)) =>
            {
                self.known(*node)?;
                *self.second_chances.entry(*node).or_default() += 1;
            }
            Event::Judged { node, rule, .. } => {
                self.known(*node)?;
                if *rule == RuleKind::Settle && self.circle(*node).is_some() {
                    self.judged_circle(*node);
                }
            }
            Event::NotHappened { node, call, .. } => self.not_happened(*node, *call)?,
            Event::LetGo { node, call, .. } => self.call_let_go(*node, *call)?,
            Event::TurnStarted { node, read_upto, reserved, .. } => self.turn_started(*node, *read_upto, *reserved, record)?,
            Event::TurnHeld { node, needs, .. } => self.turn_held(*node, *needs)?,
            Event::TurnEnded { node, end, effects, .. } => self.turn_ended(*node, end, effects)?,
            Event::TakenOver(taken) => self.taken_over(taken)?,
            Event::Anew { node, turn, why, under } => self.works_anew(*node, *turn, why, *under)?,
            Event::ToolCalled(called) => self.tool_called(called)?,
            Event::ToolReturned { node, call, result, .. } => self.tool_returned(*node, *call, result)?,
            Event::Said { node, message } => self.said(*node, message, record)?,
            Event::DeadlinePassed { node } => self.deadline_passed(*node)?,
            Event::HandedOff { node, wish } => self.handed_off(*node, wish)?,
            Event::Undelivered { messages } => self.context.undelivered.extend(messages.iter().cloned()),
            Event::Noted { node, detector, note } => self.noted(*node, *detector, note)?,
            Event::Found { node, finding } => self.found(*node, finding, record)?,
            Event::Delegated(delegated) => {
                self.in_progress(delegated.node)?;
                self.delegated.insert(delegated.node, std::sync::Arc::new((**delegated).clone()));
            }
            Event::Retracted { node, finding, reason } => self.retracted(*node, finding, reason, record)?,
            Event::Wrote { node, variable, value } => self.wrote(*node, variable, value)?,
            Event::Decided { node, decision } => self.decided(*node, decision)?,
            Event::Escalated { node, from, reason, to, .. } => self.escalated(*node, from.as_ref(), reason, *to, record)?,
            Event::Asked(ask) => self.asked(ask, record)?,
            Event::Notified { ask, nth, .. } => self.notified(*ask, *nth)?,
            Event::AskMoved { ask, to, deadline } => self.ask_moved(*ask, to, *deadline)?,
            Event::AskClosed { ask, outcome } => self.close_ask(*ask, outcome, record)?,
            Event::LimitReached { limit, synthesize: true } => self.run_short(limit),
            Event::LimitReached { limit, synthesize: false } => {
                self.timers.clear(super::Timer::Wall);
                self.stop(Stopping::Limit(limit.clone()));
            }
            Event::CancelRequested { by, reason } => {
                self.cancelled = true;
                self.stop(Stopping::Cancelled { by: by.clone(), reason: reason.clone() });
                self.cut_all();
            }
            Event::LateResult { key, usage } => self.late_result(key, *usage)?,
            Event::Finished(finished) => {
                self.close_budget();
                self.finished = Some(std::sync::Arc::new((**finished).clone()));
                self.timers = super::Timers::default();
            }
        }
        Ok(())
    }

    fn known(&self, node: NodeIx) -> Result<(), FoldError> {
        if node.index() < self.nodes.len() { Ok(()) } else { Err(self.contradiction(format!("node {node} does not exist"))) }
    }

    fn in_progress(&self, node: NodeIx) -> Result<(), FoldError> {
        self.known(node)?;
        match self.nodes[node.index()].stand {
            Stand::Running => Ok(()),
            Stand::Waiting | Stand::Ready | Stand::Backoff | Stand::Ended => {
                Err(self.contradiction(format!("node {node} is not in progress")))
            }
        }
    }

    fn limiter(&self, node: NodeIx) -> Result<u32, FoldError> {
        self.known(node)?;
        Ok(self.instance_of(node).limiter)
    }

    fn activation(&mut self, node: NodeIx) -> Result<&mut Activation, FoldError> {
        let error = self.contradiction(format!("node {node} is not at work"));
        self.activations.get_mut(&node).ok_or(error)
    }
}
