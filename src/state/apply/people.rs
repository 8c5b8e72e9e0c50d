//! What changes when a person is asked, and when the question is closed?

use std::sync::Arc;

use crate::{
    event::{Ask, AskFor, AskOutcome, Key, Record},
    graph::SECOND_CHANCES,
    state::{CallState, Due, FoldError, Stage, Stand, State, Timer},
    value::{AskId, CallIx, Entry, Timestamp, Turn, Value},
};

impl State {
    pub(super) fn asked(&mut self, ask: &Arc<Ask>, record: &Record) -> Result<(), FoldError> {
        self.known(ask.node)?;
        let node = ask.node;
        let expected = if ask.purpose == AskFor::Node { Stand::Ready } else { Stand::Running };
        if self.nodes[node.index()].stand != expected {
            return Err(self.contradiction(format!("node {node} has nothing to ask")));
        }
        self.next_ask = ask.id.next();
        self.asks.insert(ask.id, ask.clone());
        self.owe_notice(ask.id);
        if let Some(deadline) = ask.deadline {
            self.timers.set(Timer::Deadline(ask.id), deadline);
        }
        let timed_out = self.timers.is_due(Timer::Timeout(node), record.at);
        self.timers.pause(Timer::Timeout(node), record.at);
        match &ask.purpose {
            AskFor::Node => {
                self.todo.inline.remove(&node);
                self.nodes[node.index()].stand = Stand::Running;
            }
            AskFor::Uncertain => {
                let synthesizes = self.is_own_synthesis(node);
                let activation = self.activation(node)?;
                let value = activation.result().unwrap_or_default();
                activation.close_calls(&Ok(Value::map([("asked", Value::text("a person"))])));
                activation.stage = Stage::Unsure(value.clone());
                activation.asked_person = true;
                self.todo.agents.remove(&node);
                if synthesizes {
                    self.provide(node, &value);
                }
            }
            AskFor::Failure(failure) => {
                self.todo.scopes.remove(&node);
                self.leave(node, false, false);
                self.abandon_children(node);
                if let Some(activation) = self.activations.get_mut(&node) {
                    activation.stage = Stage::Failing(failure.clone());
                }
                self.todo.agents.remove(&node);
            }
            AskFor::Settle(topic) => {
                if let Some(topic) = self.scopes.get_mut(&node).and_then(|s| s.topics.get_mut(*topic as usize)) {
                    topic.asked = Some(ask.id);
                }
                self.todo.scopes.remove(&node);
            }
            // The call goes on, in flight.
            AskFor::Elicited(..) => {}
            AskFor::Permit(_, call) | AskFor::Escalation(_, call) | AskFor::InDoubt(_, call) => {
                let listed = self.todo.doubts.len();
                self.todo.doubts.retain(|key| !(key.node == node && key.call.unwrap_or_default() == *call));
                let from_outage = self.todo.doubts.len() < listed;
                let limiter = self.limiter(node)?;
                if let Some(activation) = self.activations.get_mut(&node)
                    && let Some(state) = activation.call_mut(*call)
                    && let Some(asked) = state.call().cloned()
                {
                    let held = matches!(state, CallState::InFlight(_));
                    *state = CallState::AtPerson(asked);
                    if held {
                        self.ready.give(limiter, 1);
                    }
                    self.unwant(node, Due::Call(*call));
                    self.look_again(node);
                } else if self.calling.remove(&node) {
                    self.ready.give(limiter, 1);
                    // While nobody knows whether it happened no time limit ends or repeats it.
                    self.timers.clear(Timer::Timeout(node));
                    if timed_out && !from_outage {
                        let attempt = self.nodes[node.index()].attempt;
                        self.late.insert(Key { node, attempt, turn: Turn(0), call: None });
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn close_ask(&mut self, ask: AskId, outcome: &AskOutcome, record: &Record) -> Result<(), FoldError> {
        let Some(open) = self.asks.remove(&ask) else {
            return Err(self.contradiction(format!("q{ask} is not open")));
        };
        self.notices.remove(&ask);
        self.timers.clear(Timer::Deadline(ask));
        if !self.asks.values().any(|other| other.node == open.node) {
            self.timers.unpause(Timer::Timeout(open.node), record.at);
        }
        self.ask_closed(&open, outcome);
        Ok(())
    }

    /// A question that nobody answered in time goes to the next one of its chain.
    pub(super) fn ask_moved(&mut self, ask: AskId, to: &Arc<str>, deadline: Option<Timestamp>) -> Result<(), FoldError> {
        let Some(open) = self.asks.get_mut(&ask) else {
            return Err(self.contradiction(format!("q{ask} is not open")));
        };
        let open = Arc::make_mut(open);
        (open.to, open.deadline) = (Some(to.clone()), deadline);
        open.step = open.step.map(|step| step.saturating_add(1));
        self.timers.clear(Timer::Deadline(ask));
        if let Some(deadline) = deadline {
            self.timers.set(Timer::Deadline(ask), deadline);
        }
        self.owe_notice(ask);
        Ok(())
    }

    /// Whoever a question waits for now is to be told, where the file says how; who it waited for before need not be any more.
    fn owe_notice(&mut self, ask: AskId) {
        self.notices.remove(&ask);
        let Some(open) = self.asks.get(&ask) else { return };
        if self.notify_of(open).is_some() {
            self.notices.insert(ask, open.step.unwrap_or(0));
        }
    }

    pub(super) fn notified(&mut self, ask: AskId, nth: u32) -> Result<(), FoldError> {
        if self.notices.get(&ask) != Some(&nth) {
            return Err(self.contradiction(format!("nobody was to be told of q{ask}")));
        }
        self.notices.remove(&ask);
        Ok(())
    }

    fn ask_closed(&mut self, ask: &Arc<Ask>, outcome: &AskOutcome) {
        let node = ask.node;
        if orders_another(&ask.purpose, outcome) {
            *self.second_chances.entry(node).or_default() += 1;
        }
        match &ask.purpose {
            AskFor::Node | AskFor::Failure(_) => {
                self.answered.insert(node, (ask.clone(), outcome.clone()));
                self.todo.agents.insert(node);
            }
            AskFor::Uncertain => {
                let Some(activation) = self.activations.get_mut(&node) else { return };
                let (answer, by) = match outcome {
                    AskOutcome::Answered { value, by } => (value.clone(), by.clone()),
                    AskOutcome::Lapsed | AskOutcome::Moot => (ask.default.clone().unwrap_or_default(), Arc::from("nobody")),
                };
                activation.thread.push(Entry::Answer { question: ask.question.clone(), answer, by });
                self.next_turn(node);
            }
            AskFor::Settle(topic) => {
                if let Some(topic) = self.scopes.get_mut(&node).and_then(|s| s.topics.get_mut(*topic as usize)) {
                    topic.asked = None;
                    topic.answer = Some(match outcome {
                        AskOutcome::Answered { value, by } => (value.clone(), by.clone()),
                        AskOutcome::Lapsed | AskOutcome::Moot => (Value::Null, Arc::from("nobody")),
                    });
                }
                self.todo.scopes.insert(node);
            }
            AskFor::Elicited(_, call, _) => self.told(ask, *call, outcome),
            AskFor::Permit(_, call) | AskFor::Escalation(_, call) | AskFor::InDoubt(_, call) => {
                let goes_on = allows(&ask.purpose, outcome)
                    || (orders_another(&ask.purpose, outcome) && self.chances_ordered(node) <= SECOND_CHANCES);
                if let Some(activation) = self.activations.get_mut(&node)
                    && let Some(state) = activation.call_mut(*call)
                    && let Some(asked) = state.call().cloned()
                {
                    *state = if goes_on {
                        CallState::Allowed(asked)
                    } else {
                        CallState::Heard(asked, ask.purpose.clone(), outcome.clone())
                    };
                    self.look_again(node);
                } else {
                    self.answered.insert(node, (ask.clone(), outcome.clone()));
                    self.todo.agents.insert(node);
                }
            }
        }
    }
}

impl State {
    /// What a tool asked is answered. A call in flight hears it, one that was let go is made again; one in doubt waits for the word
    /// on that.
    fn told(&mut self, ask: &Arc<Ask>, call: CallIx, outcome: &AskOutcome) {
        let node = ask.node;
        if *outcome == AskOutcome::Moot {
            return;
        }
        self.told.entry(node).or_default().push((ask.clone(), outcome.clone()));
        let doubted = |other: &Arc<Ask>| other.node == node && matches!(other.purpose, AskFor::InDoubt(_, ix) if ix == call);
        if self.asks.values().any(doubted) {
            return;
        }
        if let Some(activation) = self.activations.get_mut(&node) {
            if let Some(state) = activation.call_mut(call)
                && let CallState::AtPerson(asked) = state
            {
                *state = match outcome {
                    AskOutcome::Answered { .. } => CallState::Allowed(asked.clone()),
                    AskOutcome::Lapsed | AskOutcome::Moot => {
                        CallState::Heard(asked.clone(), ask.purpose.clone(), outcome.clone())
                    }
                };
                self.look_again(node);
            }
        } else if self.nodes[node.index()].stand == Stand::Running && !self.calling.contains(&node) {
            self.answered.insert(node, (ask.clone(), outcome.clone()));
            self.todo.agents.insert(node);
        }
    }
}

/// Whether a person's answer allows a call.
fn allows(purpose: &AskFor, outcome: &AskOutcome) -> bool {
    match (purpose, outcome) {
        (AskFor::Permit(..), AskOutcome::Answered { value, .. }) => value.as_str() == Some("allow"),
        (_, AskOutcome::Answered { .. } | AskOutcome::Lapsed | AskOutcome::Moot) => false,
    }
}

/// Whether a person's answer orders a further attempt of a node, or of a call.
fn orders_another(purpose: &AskFor, outcome: &AskOutcome) -> bool {
    let AskOutcome::Answered { value, .. } = outcome else { return false };
    match purpose {
        AskFor::Failure(_) => value.as_str() == Some("retry"),
        AskFor::InDoubt(..) => value.as_str() == Some("not_happened"),
        AskFor::Node
        | AskFor::Uncertain
        | AskFor::Settle(_)
        | AskFor::Permit(..)
        | AskFor::Escalation(..)
        | AskFor::Elicited(..) => false,
    }
}
