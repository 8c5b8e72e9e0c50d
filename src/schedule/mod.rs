//! What should happen next?
//!
//! [`Scheduler`] is a pure state machine: inputs go in with the time, records and effects come out. `accept` turns an input
//! into at most one fact; `settle` draws every consequence from the state and the [`Judge`]; [`Scheduler::outstanding`] lists
//! what should be in flight. Deliberately absent: a clock, I/O, async, randomness, and the rule engine itself.

mod accept;
mod agent;
mod calls;
mod circle;
mod delegate;
mod disagree;
mod doubt;
mod elicit;
mod end;
mod escalate;
mod facts;
mod gate;
mod grow;
mod memo;
mod notify;
mod outstanding;
mod past;
mod positions;
mod provenance;
mod relay;
mod request;
mod reuse;
mod scope;
mod shared;
mod stall;
mod subtasks;
mod talk;
#[cfg(test)]
mod tests;
mod vote;

use std::sync::Arc;

pub use past::Past;

use crate::{
    event::{Effect, Event, Input, Key, Outcome, Record, Skip, Started},
    state::{Due, FoldError, Stand, State, Stopping},
    turn::Toolbox,
    value::{Failure, FailureKind, Judge, NodeIx, RuleError, Timestamp},
};
use memo::Memo;

/// What came of a call of [`Scheduler::on`].
#[derive(Debug, Default)]
pub struct Step {
    /// New facts, to be appended in this order and as one.
    pub records: Vec<Record>,
    /// What to do about them.
    pub effects: Vec<Effect>,
}

/// A session in motion.
pub struct Scheduler {
    state: State,
    judge: Arc<dyn Judge>,
    tools: Arc<dyn Toolbox>,
    memo: Memo,
    now: Timestamp,
    step: Step,
    /// What may be taken over instead of being asked for.
    past: Option<Arc<Past>>,
}

impl Scheduler {
    /// Begins a session: the first records, and the first effects.
    ///
    /// # Errors
    /// The plan is not one.
    pub fn start(
        now: Timestamp,
        started: Started,
        judge: Arc<dyn Judge>,
        tools: Arc<dyn Toolbox>,
    ) -> Result<(Self, Step), FoldError> {
        Self::start_reusing(now, started, judge, tools, None)
    }

    /// The same, and what an earlier session came to is taken over where it is the same.
    ///
    /// # Errors
    /// The plan is not one.
    pub fn start_reusing(
        now: Timestamp,
        started: Started,
        judge: Arc<dyn Judge>,
        tools: Arc<dyn Toolbox>,
        past: Option<Arc<Past>>,
    ) -> Result<(Self, Step), FoldError> {
        let first = Record { seq: crate::value::Seq(0), at: now, event: Event::Started(Arc::new(started)) };
        let state = State::start(&first)?;
        let step = Step { records: vec![first], effects: Vec::new() };
        let mut scheduler = Self { state, judge, tools, memo: Memo::default(), now, step, past };
        scheduler.settle()?;
        let step = std::mem::take(&mut scheduler.step);
        Ok((scheduler, step))
    }

    /// Goes on from records. Nothing is in flight yet: see [`Scheduler::outstanding`], after an [`Input::Resume`].
    pub fn resume(state: State, judge: Arc<dyn Judge>, tools: Arc<dyn Toolbox>) -> Self {
        let now = state.now;
        Self { state, judge, tools, memo: Memo::default(), now, step: Step::default(), past: None }
    }

    /// Takes what arrived, in order, and draws all consequences. Timers that are due come before what arrived: a result at its
    /// deadline is late. An answer counts from when it was given: give answers first, so that no deadline that had not passed by
    /// then lets it lapse. After an [`Input::Resume`] perform what is [`Scheduler::outstanding`] in place of the step's effects.
    ///
    /// # Errors
    /// The engine broke its own invariants; the scheduler must be dropped and folded anew.
    pub fn on(&mut self, now: Timestamp, inputs: impl IntoIterator<Item = Input>) -> Result<Step, FoldError> {
        self.now = now.max(self.state.now);
        for input in inputs {
            match &input {
                Input::Resume { .. } => {}
                Input::Answered { at, .. } => self.fire_deadlines((*at).min(self.now))?,
                Input::Replied { .. }
                | Input::Returned { .. }
                | Input::Elicited { .. }
                | Input::Notified { .. }
                | Input::Cancel { .. }
                | Input::Tick => self.fire_timers()?,
            }
            self.accept(input)?;
        }
        self.settle()?;
        Ok(std::mem::take(&mut self.step))
    }

    /// Where the session stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Where the session stood last.
    pub fn into_state(self) -> State {
        self.state
    }

    /// When [`Input::Tick`] is due.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.state.next_timer().map(|(at, _)| at)
    }

    /// When the first open question lapses.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.state.timers.first(true).map(|(at, _)| at)
    }

    /// What should be in flight, as the state tells it.
    pub fn outstanding(&self) -> Vec<Effect> {
        outstanding::outstanding(self)
    }

    fn emit(&mut self, event: Event) -> Result<(), FoldError> {
        let record = Record { seq: self.state.seq, at: self.now, event };
        self.state.apply(&record)?;
        self.step.records.push(record);
        Ok(())
    }

    fn effect(&mut self, effect: Effect) {
        self.step.effects.push(effect);
    }

    /// Draws consequences until none is left.
    fn settle(&mut self) -> Result<(), FoldError> {
        while self.state.finished.is_none() {
            if let Some((node, failure)) = self.state.todo.faulted.first_key_value() {
                let (node, failure) = (*node, failure.clone());
                self.end(node, Outcome::Failed(failure))?;
            } else if let Some(node) = self.state.todo.moot.first().copied() {
                self.cut_off(node)?;
            } else if let Some(node) = self.state.todo.doomed.first().copied() {
                self.end(node, Outcome::Skipped(Skip::Join))?;
            } else if let Some(node) = self.state.todo.judge.first().copied() {
                self.judge_edges(node)?;
            } else if let Some(key) = self.state.todo.doubts.first().copied() {
                self.doubt(key, None)?;
            } else if let Some(node) = self.state.todo.agents.first().copied() {
                self.look_at(node)?;
            } else if let Some(node) = self.state.todo.scopes.first().copied() {
                self.look_at_scope(node)?;
            } else if let Some(node) = self.state.todo.inline.first().copied() {
                self.open(node)?;
            } else if let Some((_, node, due)) = self.state.ready.first() {
                match due {
                    Due::Start => self.begin(node)?,
                    Due::Turn => self.begin_turn(node)?,
                    Due::Call(call) => self.begin_call(node, call)?,
                }
            } else if self.state.is_idle() {
                self.finish()?;
            } else {
                break;
            }
        }
        self.park()
    }

    /// Ends a node: stops what it has in flight, closes what it asked, records the outcome.
    fn end(&mut self, node: NodeIx, outcome: Outcome) -> Result<(), FoldError> {
        self.stop_calls(node);
        self.end_returned(node, outcome)
    }

    /// Ends a node whose own call just returned.
    fn end_returned(&mut self, node: NodeIx, outcome: Outcome) -> Result<(), FoldError> {
        self.close_asks(node)?;
        if self.state.circle_of(node).is_none() {
            self.memo.forget(node);
        }
        self.emit(Event::NodeEnded { node, outcome })
    }

    /// Ends a node that nobody waits for any more.
    fn cut_off(&mut self, node: NodeIx) -> Result<(), FoldError> {
        let skip = match self.state.winding_down() {
            None => Skip::Moot,
            Some(Stopping::FailFast) => Skip::FailFast,
            Some(Stopping::Limit(_)) => Skip::Budget,
            Some(Stopping::Cancelled { .. }) => Skip::Cancelled,
        };
        match self.state.nodes[node.index()].stand {
            Stand::Waiting | Stand::Ready => self.end(node, Outcome::Skipped(skip)),
            Stand::Running | Stand::Backoff => self.end(node, Outcome::Cancelled),
            Stand::Ended => Err(FoldError::Contradiction {
                seq: self.state.seq,
                reason: format!("node {node} waits to be cut off and has ended"),
            }),
        }
    }

    /// The calls of a node in flight.
    fn flying(&self, node: NodeIx) -> Vec<Key> {
        let attempt = self.state.nodes[node.index()].attempt;
        if self.state.calling.contains(&node) {
            return vec![Key { node, attempt, turn: crate::value::Turn(0), call: None }];
        }
        self.state.activations.get(&node).map(|a| a.flying(node)).unwrap_or_default()
    }

    fn stop_calls(&mut self, node: NodeIx) {
        for key in self.flying(node) {
            self.effect(Effect::Cancel(key));
        }
    }

    fn close_asks(&mut self, node: NodeIx) -> Result<(), FoldError> {
        let open: Vec<_> = self.state.asks.values().filter(|ask| ask.node == node).map(|ask| ask.id).collect();
        for ask in open {
            self.emit(Event::AskClosed { ask, outcome: crate::event::AskOutcome::Moot })?;
        }
        Ok(())
    }
}

/// A rule's or expression's failure as a node's failure.
fn rule_failure(error: RuleError) -> Failure {
    Failure { place: Some(error.place), ..Failure::new(FailureKind::Rule, error.message) }
}
