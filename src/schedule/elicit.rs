//! What becomes of a question that a tool asks while its call is in flight?
//!
//! It becomes a durable question of the session, and the call waits for the answer in flight: it holds its slot, its node's time
//! limit stands still. An answer is passed on; a deadline that passes is passed on as `cancel`. A tool does not wait for ever: once
//! it gives up, its call is let go, or in doubt where it is irreversible, and the question stands, so that the session can park. An
//! answer that comes then is kept. It is given at once when the call is made again and asks the same: by itself where that does no
//! harm, and where it is irreversible only after the `reconcile` rule or a person has said that it did not happen.

use std::sync::Arc;

use super::Scheduler;
use crate::{
    event::{Ask, AskFor, AskOutcome, Effect, Event, Key},
    graph::MAX_CALL_QUESTIONS,
    state::{CallState, FoldError},
    value::{AskId, CallIx, CallQuestion, Failure, FailureKind, FormAnswer, NodeIx, Turn},
};

impl Scheduler {
    /// A call in flight asks. One that was made again is told what it was told before.
    pub(super) fn accept_question(&mut self, key: Key, question: &CallQuestion) -> Result<(), FoldError> {
        if self.state.finished.is_some() || !self.is_awaited(key) {
            return Ok(());
        }
        let call = key.call.unwrap_or_default();
        let purpose = AskFor::Elicited(key.turn, call, question.nth);
        let same =
            |ask: &Ask| ask.purpose == purpose && ask.question == question.text && ask.form.as_ref() == Some(&question.form);
        if self.state.questions(key.node, call).any(|ask| same(ask)) {
            return Ok(());
        }
        let told = self.state.told.get(&key.node).into_iter().flatten();
        let of_call: Vec<_> = told.filter(|(ask, _)| ask.is_of_call(call)).collect();
        if let Some((ask, outcome)) = of_call.iter().find(|(ask, _)| same(ask)) {
            let answer = said(ask, outcome);
            self.effect(Effect::Tell { key, nth: question.nth, answer });
            return Ok(());
        }
        if self.state.questions(key.node, call).count() + of_call.len() >= MAX_CALL_QUESTIONS {
            self.effect(Effect::Tell { key, nth: question.nth, answer: FormAnswer::Cancel });
            return Ok(());
        }
        let form = Some(question.form.clone());
        self.ask_with(key.node, purpose, question.text.clone(), Vec::new(), form)
    }

    /// Closes a question; a call in flight that asked it hears the answer.
    pub(super) fn close_ask(&mut self, id: AskId, outcome: AskOutcome) -> Result<(), FoldError> {
        let ask = self.state.asks.get(&id).cloned();
        self.emit(Event::AskClosed { ask: id, outcome: outcome.clone() })?;
        if let Some(ask) = ask
            && let AskFor::Elicited(turn, call, nth) = ask.purpose
        {
            let attempt = self.state.nodes[ask.node.index()].attempt;
            let of_agent = self.state.activations.contains_key(&ask.node);
            let key = Key { node: ask.node, attempt, turn, call: of_agent.then_some(call) };
            if self.is_awaited(key) {
                self.effect(Effect::Tell { key, nth, answer: said(&ask, &outcome) });
            }
        }
        Ok(())
    }

    /// A tool has waited long enough for an answer, and its call can be made again without harm: it is stopped, and the question
    /// stands. Whether it was so.
    pub(super) fn let_go(&mut self, key: Key, failure: &Failure) -> Result<bool, FoldError> {
        let call = key.call.unwrap_or_default();
        if failure.kind != FailureKind::Unanswered || self.state.questions(key.node, call).next().is_none() {
            return Ok(false);
        }
        self.emit(Event::LetGo { node: key.node, turn: key.turn, call })?;
        Ok(true)
    }

    /// Nobody needs the answers to what a call asked once it has its result.
    pub(super) fn close_questions(&mut self, node: NodeIx, call: CallIx) -> Result<(), FoldError> {
        let open: Vec<AskId> = self.state.questions(node, call).map(|ask| ask.id).collect();
        open.into_iter().try_for_each(|ask| self.emit(Event::AskClosed { ask, outcome: AskOutcome::Moot }))
    }

    /// Whether a tool call is in flight and its result will count.
    pub(super) fn is_awaited(&self, key: Key) -> bool {
        let Some(call) = key.call else {
            let current = self.state.nodes.get(key.node.index()).is_some_and(|node| node.attempt == key.attempt);
            return current && self.state.calling.contains(&key.node) && key.turn == Turn(0);
        };
        self.state.activations.get(&key.node).is_some_and(|a| {
            a.attempt == key.attempt && a.turn == key.turn && matches!(a.call(call), Some(CallState::InFlight(_)))
        })
    }
}

/// What a tool hears of a closed question.
fn said(ask: &Arc<Ask>, outcome: &AskOutcome) -> FormAnswer {
    match (outcome, &ask.form) {
        (AskOutcome::Answered { value, .. }, Some(form)) => form.read(value).unwrap_or(FormAnswer::Cancel),
        (AskOutcome::Answered { .. } | AskOutcome::Lapsed | AskOutcome::Moot, _) => FormAnswer::Cancel,
    }
}
