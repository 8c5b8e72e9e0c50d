//! Which inputs become facts? Each at most one; a duplicate none; a late result only costs.

use std::sync::Arc;

use super::{Scheduler, agent::ONLY_TURN};
use crate::{
    event::{AskFor, AskOutcome, Effect, Event, Input, Key, Outcome, TurnEnd},
    graph::NodeKind,
    state::{FoldError, Stage, Timer},
    value::{CallResult, EffectClass, Failure, FailureKind, NodeIx, Reply, Timestamp, Usage, Value},
};

impl Scheduler {
    pub(super) fn accept(&mut self, input: Input) -> Result<(), FoldError> {
        match input {
            Input::Replied { key, reply } => self.accept_reply(key, reply),
            Input::Returned { key, result } => self.accept_result(key, result),
            Input::Elicited { key, question } => self.accept_question(key, &question),
            Input::Answered { ask, value, by, at } => {
                let lapsed = self.state.asks.get(&ask).and_then(|a| a.deadline).is_some_and(|deadline| at >= deadline);
                if self.is_over() || lapsed || self.state.check_answer(ask, &value).is_err() {
                    return Ok(());
                }
                self.close_ask(ask, AskOutcome::Answered { value, by })
            }
            Input::Notified { ask, nth, result } => {
                if self.is_over() {
                    Ok(())
                } else {
                    self.accept_notified(ask, nth, result)
                }
            }
            Input::Cancel { by, reason } => {
                if self.is_over() || self.state.cancelled {
                    return Ok(());
                }
                self.emit(Event::CancelRequested { by, reason })
            }
            Input::Resume { epoch } => {
                if self.is_over() {
                    return Ok(());
                }
                self.emit(Event::Resumed { epoch })
            }
            Input::Tick => Ok(()),
        }
    }

    fn is_over(&self) -> bool {
        self.state.finished.is_some()
    }

    fn accept_reply(&mut self, key: Key, reply: Result<Arc<Reply>, Failure>) -> Result<(), FoldError> {
        if self.state.late.contains(&key) {
            return match reply {
                Ok(reply) => self.late(key, Some(reply.usage)),
                Err(failure) if failure.kind == FailureKind::Cancelled => self.late(key, None),
                Err(failure) => self.late(key, Some(failure.spent())),
            };
        }
        let awaited = self
            .state
            .activations
            .get(&key.node)
            .is_some_and(|a| a.stage == Stage::Asked && a.turn == key.turn && a.attempt == key.attempt);
        if !awaited || self.is_over() || key.call.is_some() {
            return Ok(());
        }
        let (end, effects) = match reply {
            Ok(reply) => {
                let effects: Vec<EffectClass> = reply.calls.iter().map(|c| self.tools.effect(&c.tool, &c.args)).collect();
                (TurnEnd::Reply(reply), effects)
            }
            Err(failure) => (TurnEnd::Failed(Arc::new(failure)), Vec::new()),
        };
        self.emit(Event::TurnEnded { node: key.node, turn: key.turn, end, effects })
    }

    /// What was cancelled has stopped; if it arrives in the step that cancels it, there is nothing to cancel.
    fn late(&mut self, key: Key, usage: Option<Usage>) -> Result<(), FoldError> {
        self.step.effects.retain(|effect| !matches!(effect, Effect::Cancel(other) if *other == key));
        self.emit(Event::LateResult { key, usage })
    }

    fn accept_result(&mut self, key: Key, result: Result<Value, Failure>) -> Result<(), FoldError> {
        if self.state.late.contains(&key) {
            return self.late(key, None);
        }
        if self.is_over() || key.node.index() >= self.state.nodes.len() {
            return Ok(());
        }
        if !self.is_awaited(key) {
            return Ok(());
        }
        let effect = match key.call {
            None => self.effect_of(key.node),
            Some(call) => self.state.activations.get(&key.node).map(|a| a.effect(call)).unwrap_or_default(),
        };
        if let Err(failure) = &result {
            if self.is_in_doubt(effect, failure) {
                return self.doubt(key, Some(failure.clone()));
            }
            if self.let_go(key, failure)? {
                return Ok(());
            }
        }
        match (key.call, result) {
            (Some(call), outcome) => {
                let tool = self.state.activations.get(&key.node).and_then(|a| Some(a.call(call)?.call()?.tool.clone()));
                let untrusted = tool.and_then(|tool| self.tools.spec(&tool)).is_some_and(|spec| spec.untrusted);
                self.answer_with(key.node, call, CallResult { outcome, untrusted })
            }
            (None, Ok(value)) => self.end_returned(key.node, Outcome::Ok(value)),
            (None, Err(failure)) => self.attempt_failed(key.node, Arc::new(failure)),
        }
    }

    /// What repeating the call of a tool node would do.
    fn effect_of(&self, node: NodeIx) -> EffectClass {
        match &self.state.node(node).kind {
            NodeKind::Tool(tool) => tool.effect,
            NodeKind::Agent(_) | NodeKind::Gate(_) | NodeKind::Ask(_) | NodeKind::Scope(_) => EffectClass::Read,
        }
    }

    /// Whether nobody knows if a call that failed like this has happened, and it must not happen twice.
    fn is_in_doubt(&self, effect: EffectClass, failure: &Failure) -> bool {
        effect == EffectClass::Irreversible
            && matches!(
                failure.kind,
                FailureKind::Timeout
                    | FailureKind::Transport
                    | FailureKind::Cancelled
                    | FailureKind::InDoubt
                    | FailureKind::Unanswered
            )
    }

    /// What is due becomes fact.
    pub(super) fn fire_timers(&mut self) -> Result<(), FoldError> {
        while let Some((at, timer)) = self.state.next_timer() {
            if at > self.now || self.is_over() {
                break;
            }
            match timer {
                Timer::Wall => {
                    self.emit(Event::LimitReached { limit: Arc::from("wall_seconds"), synthesize: false })?;
                }
                Timer::Timeout(node) => self.timed_out(node)?,
                Timer::Retry(node) => self.emit(Event::RetryDue { node })?,
                Timer::Join(node) | Timer::Work(node) => self.emit(Event::DeadlinePassed { node })?,
                Timer::Deadline(ask) => self.deadline_passed(ask, at)?,
            }
        }
        Ok(())
    }

    /// The deadlines of questions that had passed at that time become fact.
    pub(super) fn fire_deadlines(&mut self, until: Timestamp) -> Result<(), FoldError> {
        while let Some((at, Timer::Deadline(ask))) = self.state.timers.first(true) {
            if at > until || self.is_over() {
                break;
            }
            self.deadline_passed(ask, at)?;
        }
        Ok(())
    }

    fn timed_out(&mut self, node: NodeIx) -> Result<(), FoldError> {
        let seconds = self.state.node(node).timeout.unwrap_or_default().as_secs_f64();
        let runs = self.state.scopes.get(&node).and_then(|scope| scope.instances.first());
        let team =
            runs.map(|run| self.state.instances[*run as usize].graph.team).filter(|team| *team != self.state.team_of(node).0);
        let took = match team.map(|team| &self.state.started.plan.team(team).name) {
            Some(team) => format!("the team {team} took longer than its {seconds} s"),
            None => format!("took longer than {seconds} s"),
        };
        if self.state.todo.moot.contains(&node) {
            return self.cut_off(node);
        }
        self.stop_calls(node);
        if self.state.calling.contains(&node) && self.effect_of(node) == EffectClass::Irreversible {
            let only = Key { node, attempt: self.state.nodes[node.index()].attempt, turn: ONLY_TURN, call: None };
            return self.doubt(only, Some(Failure::new(FailureKind::Timeout, took)));
        }
        self.attempt_failed(node, Arc::new(Failure::new(FailureKind::Timeout, took)))
    }

    /// The answers that a question to a person takes where it is not free text.
    pub(super) fn options_of(purpose: &AskFor) -> &'static [&'static str] {
        match purpose {
            AskFor::Failure(_) => &["retry", "skip", "fail"],
            AskFor::Permit(..) => &["allow", "deny"],
            AskFor::InDoubt(..) => &["happened", "not_happened", "unknown"],
            AskFor::Node | AskFor::Uncertain | AskFor::Settle(_) | AskFor::Escalation(..) | AskFor::Elicited(..) => &[],
        }
    }
}
