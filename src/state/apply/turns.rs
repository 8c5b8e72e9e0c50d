//! What changes with an agent's turns and with calls?

use std::sync::Arc;

use crate::{
    event::Record,
    event::{Key, ToolCalled, TurnEnd},
    graph::{Detector, NodeKind},
    state::{CallState, Due, FoldError, Stage, State},
    value::{CallIx, CallResult, EffectClass, Entry, Failure, FailureKind, NodeIx, Seq, Turn, Usage},
};

impl State {
    pub(super) fn turn_started(
        &mut self,
        node: NodeIx,
        read_upto: Seq,
        reserved: Usage,
        record: &Record,
    ) -> Result<(), FoldError> {
        let limiter = self.limiter(node)?;
        self.unwant(node, Due::Turn);
        let mail = self.incoming(node);
        let fresh = !self.activation(node)?.begun;
        if fresh {
            self.take_mail(node, &mail, record.at);
        }
        let activation = self.activation(node)?;
        activation.read_thread();
        activation.stage = Stage::Asked;
        if fresh {
            activation.read_upto = read_upto;
            activation.began_at.get_or_insert(read_upto);
        }
        let again = std::mem::replace(&mut activation.begun, true);
        let key = Key { node, attempt: activation.attempt, turn: activation.turn, call: None };
        self.ready.take(limiter);
        if !again {
            *self.seat_turns.entry(self.seat_at(node)).or_default() += 1;
            self.spend(node, |spent| {
                spent.turns += 1;
                spent.model_calls += 1;
            });
        }
        self.reserve(key, reserved);
        let own = self.role_of(node).map(|role| (self.frame_of(node), role.clone()));
        let above = self.voice(node).filter(|voice| voice.leads).map(|voice| (voice.frame, voice.member.clone()));
        for who in own.into_iter().chain(above) {
            self.context.read(&who, read_upto, record.at);
        }
        Ok(())
    }

    /// A turn does not fit into what is left; it goes on when a call in flight is back.
    pub(super) fn turn_held(&mut self, node: NodeIx, needs: Usage) -> Result<(), FoldError> {
        self.limiter(node)?;
        self.activation(node)?;
        self.unwant(node, Due::Turn);
        self.budget.held.insert(node, needs);
        Ok(())
    }

    pub(super) fn turn_ended(&mut self, node: NodeIx, end: &TurnEnd, effects: &[EffectClass]) -> Result<(), FoldError> {
        let limiter = self.limiter(node)?;
        let activation = self.activation(node)?;
        let key = Key { node, attempt: activation.attempt, turn: activation.turn, call: None };
        let (usage, model) = match end {
            TurnEnd::Reply(reply) => {
                activation.thread.push(Entry::Reply(reply.clone()));
                activation.stage = Stage::Calls(reply.calls.iter().cloned().map(CallState::New).collect());
                activation.effects = effects.to_vec();
                (reply.usage, reply.model.as_ref())
            }
            TurnEnd::Failed(failure) => {
                activation.stage = Stage::Failing(failure.clone());
                (failure.spent(), None)
            }
        };
        let model = model.cloned();
        self.ready.give(limiter, 1);
        if self.ends_taken_over(node) {
            self.settle_unasked(&key);
        } else {
            self.settle_call(&key, Some(usage), model.as_ref());
        }
        self.look_again(node);
        Ok(())
    }

    pub(super) fn tool_called(&mut self, called: &ToolCalled) -> Result<(), FoldError> {
        let limiter = self.limiter(called.node)?;
        self.unwant(called.node, Due::Call(called.call));
        let activation = self.activation(called.node)?;
        if let Some(state) = activation.call_mut(called.call)
            && let Some(call) = state.call().cloned()
        {
            *state = CallState::InFlight(call);
        }
        self.look_again(called.node);
        self.ready.take(limiter);
        self.spend(called.node, |spent| spent.tool_calls += 1);
        Ok(())
    }

    pub(super) fn tool_returned(&mut self, node: NodeIx, call: CallIx, result: &Arc<CallResult>) -> Result<(), FoldError> {
        let limiter = self.limiter(node)?;
        self.todo.doubts.retain(|key| !(key.node == node && key.call == Some(call)));
        if let Some(told) = self.told.get_mut(&node) {
            told.retain(|(ask, _)| !ask.is_of_call(call));
        }
        if matches!(&result.outcome, Err(failure) if failure.kind == FailureKind::InDoubt) {
            self.unsure.insert(node);
        }
        let activation = self.activation(node)?;
        if let Some(state) = activation.call_mut(call) {
            let held = matches!(state, CallState::InFlight(_));
            if let Some(asked) = state.call().cloned() {
                *state = CallState::Answered(asked, result.clone());
            }
            if held {
                self.ready.give(limiter, 1);
            }
            self.unwant(node, Due::Call(call));
        }
        self.close_turn(node)
    }

    /// A call that was in doubt is known not to have happened: it is made (again).
    pub(super) fn not_happened(&mut self, node: NodeIx, call: CallIx) -> Result<(), FoldError> {
        let limiter = self.limiter(node)?;
        self.todo.doubts.retain(|key| !(key.node == node && key.call == Some(call)));
        if let Some((_, theirs)) = &mut self.forked {
            // From here on it is this session's own.
            theirs.retain(|key, _| !(key.node == node && key.call == Some(call)));
        }
        let activation = self.activation(node)?;
        if let Some(state) = activation.call_mut(call)
            && let Some(asked) = state.call().cloned()
        {
            let held = matches!(state, CallState::InFlight(_));
            *state = CallState::Allowed(asked);
            if held {
                self.ready.give(limiter, 1);
            }
        }
        self.look_again(node);
        Ok(())
    }

    /// A tool gave up waiting for the answer to what its call asked; the question stands.
    pub(super) fn call_let_go(&mut self, node: NodeIx, call: CallIx) -> Result<(), FoldError> {
        let limiter = self.limiter(node)?;
        if let Some(activation) = self.activations.get_mut(&node) {
            if let Some(state) = activation.call_mut(call)
                && let Some(asked) = state.call().cloned()
            {
                *state = CallState::AtPerson(asked);
                self.ready.give(limiter, 1);
            }
            self.look_again(node);
        } else if self.calling.remove(&node) {
            self.ready.give(limiter, 1);
        }
        Ok(())
    }

    pub(super) fn noted(&mut self, node: NodeIx, detector: Option<Detector>, note: &Arc<str>) -> Result<(), FoldError> {
        let activation = self.activation(node)?;
        let between_turns = activation.stage == Stage::Due;
        if activation.calls().is_empty() {
            activation.thread.push(Entry::Note(note.clone()));
        } else {
            activation.close_calls(&Err(Failure::new(FailureKind::Schema, note)));
        }
        match detector {
            Some(detector) => {
                activation.told.insert(detector, activation.thread.len());
            }
            None => activation.repairs += 1,
        }
        if between_turns {
            return Ok(());
        }
        self.next_turn(node);
        Ok(())
    }

    /// What came too late only costs.
    pub(super) fn late_result(&mut self, key: &Key, usage: Option<Usage>) -> Result<(), FoldError> {
        self.known(key.node)?;
        self.late.remove(key);
        if !self.budget.closed.contains(key) {
            self.settle_call(key, usage, None);
        }
        Ok(())
    }

    /// Lets the next turn come once every call of this one is answered, the first once the look-up before it is; results enter the
    /// thread in the order of the calls.
    fn close_turn(&mut self, node: NodeIx) -> Result<(), FoldError> {
        let activation = self.activation(node)?;
        if let Stage::Looking(CallState::Answered(call, result)) = &activation.stage {
            let known = Entry::Known { call: call.clone(), result: result.clone() };
            activation.thread.push(known);
            activation.stage = Stage::Due;
            self.want(node, Due::Turn);
            return Ok(());
        }
        let Stage::Calls(calls) = &activation.stage else { return Ok(()) };
        let answered: Vec<Entry> = calls
            .iter()
            .map_while(|state| match state {
                CallState::Answered(call, result) => Some(Entry::Result { call: call.clone(), result: result.clone() }),
                CallState::New(_)
                | CallState::Allowed(_)
                | CallState::InFlight(_)
                | CallState::Waiting(..)
                | CallState::Back(..)
                | CallState::AtPerson(_)
                | CallState::Heard(..) => None,
            })
            .collect();
        if answered.len() < calls.len() || calls.is_empty() {
            self.look_again(node);
            return Ok(());
        }
        activation.thread.extend(answered);
        self.next_turn(node);
        Ok(())
    }

    pub(super) fn next_turn(&mut self, node: NodeIx) {
        let Some(activation) = self.activations.get_mut(&node) else { return };
        activation.turn = activation.turn.next();
        activation.begun = false;
        activation.stage = Stage::Due;
        self.todo.agents.remove(&node);
        self.want(node, Due::Turn);
    }

    /// Lets the calls that may go now wait for slots, and the scheduler look at the others.
    pub(super) fn look_again(&mut self, node: NodeIx) {
        let Some(activation) = self.activations.get(&node) else { return };
        let (callable, look) = (activation.callable(), activation.needs_scheduler());
        for call in callable {
            self.want(node, Due::Call(call));
        }
        if look {
            self.todo.agents.insert(node);
        } else {
            self.todo.agents.remove(&node);
        }
    }

    /// After an outage, an irreversible call whose result is not on the record may or may not have happened.
    pub(super) fn doubt_irreversible(&mut self) {
        let mut doubts = Vec::new();
        for node in &self.calling {
            if let NodeKind::Tool(tool) = &self.node(*node).kind
                && tool.effect == EffectClass::Irreversible
            {
                let attempt = self.nodes[node.index()].attempt;
                doubts.push(Key { node: *node, attempt, turn: Turn(0), call: None });
            }
        }
        for (node, activation) in &self.activations {
            for (ix, state) in activation.numbered() {
                if matches!(state, CallState::InFlight(_)) && activation.effect(ix) == EffectClass::Irreversible {
                    doubts.push(Key { node: *node, attempt: activation.attempt, turn: activation.turn, call: Some(ix) });
                }
            }
        }
        self.todo.doubts.extend(doubts);
    }
}
