//! Where does an agent at work stand? [`Activation`].

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    event::{AskFor, AskOutcome, Key},
    graph::Detector,
    turn::{comes_last, ends, is_collaboration},
    value::{Call, CallIx, CallResult, EffectClass, Entry, Failure, NodeIx, Origins, Seq, Turn, Value},
};

/// What an activation waits for.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// For what is looked up before its first turn.
    Looking(CallState),
    /// For a slot for its next turn.
    Due,
    /// For a model's reply to the current turn.
    Asked,
    /// For the calls of the current turn.
    Calls(Vec<CallState>),
    /// For a person, with the result at hand that it was unsure of.
    Unsure(Value),
    /// For a person, after a failure.
    Failing(Arc<Failure>),
}

/// Where a call of the current turn stands.
#[derive(Clone, Debug, PartialEq)]
pub enum CallState {
    /// The scheduler must look at it: at once, or when there is a slot for it.
    New(Call),
    /// A person allowed it; it waits for a slot.
    Allowed(Call),
    /// It is in flight.
    InFlight(Call),
    /// It waits for what grew below it, the instance of that number.
    Waiting(Call, u32),
    /// What grew below it has ended.
    Back(Call, u32),
    /// A person is asked.
    AtPerson(Call),
    /// The person's answer is there, and what it is for.
    Heard(Call, AskFor, AskOutcome),
    /// It is answered.
    Answered(Call, Arc<CallResult>),
}

/// An agent at work: one attempt of an agent node.
#[derive(Clone, Debug, PartialEq)]
pub struct Activation {
    /// From 1.
    pub attempt: u32,
    /// The current or next turn, from 0.
    pub turn: Turn,
    /// Whether the current turn has begun: it counts once, however often its request is sent.
    pub begun: bool,
    /// What it was asked to do.
    pub task: Arc<str>,
    /// What was said in it so far.
    pub thread: Vec<Entry>,
    /// How many entries of its thread are from before this activation.
    pub earlier: usize,
    /// What it waits for.
    pub stage: Stage,
    /// What repeating each call of the current turn would do.
    pub effects: Vec<EffectClass>,
    /// What it had read at its last turn.
    pub read_upto: Seq,
    /// What it had read at its first turn, once that has begun.
    pub began_at: Option<Seq>,
    /// How much of the session's mail it has looked at; nothing new for one that is not live after its first turn.
    pub heard: usize,
    /// Where all that it has read comes from, and itself.
    pub origins: Origins,
    /// How many entries of its thread are counted in that.
    pub read: usize,
    /// What it wrote; it takes effect when the node succeeds.
    pub writes: Vec<(Arc<str>, Value, Seq)>,
    /// What it found, by index among the findings of the session.
    pub found: Vec<usize>,
    /// How often its result was sent back to it.
    pub repairs: u32,
    /// What detectors told it, each by the place of its last word in the thread.
    pub told: BTreeMap<Detector, usize>,
    /// Whether a person was already asked about its uncertainty.
    pub asked_person: bool,
}

impl Activation {
    /// The calls of the current turn.
    pub fn calls(&self) -> &[CallState] {
        if let Stage::Calls(calls) = &self.stage { calls } else { &[] }
    }

    /// Its calls by number: those of the current turn, or the look-up before the first.
    pub fn numbered(&self) -> impl Iterator<Item = (CallIx, &CallState)> {
        let lookup = if let Stage::Looking(state) = &self.stage { Some((CallIx::LOOKUP, state)) } else { None };
        (0..).map(CallIx).zip(self.calls()).chain(lookup)
    }

    /// The call `ix`, as [`Activation::numbered`] counts.
    pub fn call(&self, ix: CallIx) -> Option<&CallState> {
        match &self.stage {
            Stage::Looking(state) => Some(state).filter(|_| ix == CallIx::LOOKUP),
            Stage::Calls(calls) => calls.get(ix.index()),
            Stage::Due | Stage::Asked | Stage::Unsure(_) | Stage::Failing(_) => None,
        }
    }

    pub(super) fn call_mut(&mut self, ix: CallIx) -> Option<&mut CallState> {
        match &mut self.stage {
            Stage::Looking(state) => Some(state).filter(|_| ix == CallIx::LOOKUP),
            Stage::Calls(calls) => calls.get_mut(ix.index()),
            Stage::Due | Stage::Asked | Stage::Unsure(_) | Stage::Failing(_) => None,
        }
    }

    /// What repeating the call `ix` would do.
    pub fn effect(&self, ix: CallIx) -> EffectClass {
        if ix == CallIx::LOOKUP { EffectClass::Read } else { self.effects.get(ix.index()).copied().unwrap_or_default() }
    }

    /// Whether the scheduler has something to decide: a result, a failure, a collaboration call, a person's word.
    pub(super) fn needs_scheduler(&self) -> bool {
        let Stage::Calls(calls) = &self.stage else { return matches!(self.stage, Stage::Failing(_)) };
        // What ends or divides the work comes when everything else is answered.
        let last = |state: &CallState| match state {
            CallState::New(call) => comes_last(&call.tool),
            _ => state.call().is_some_and(|call| ends(&call.tool)),
        };
        let waits = calls.iter().any(|state| !matches!(state, CallState::Answered(..)) && !last(state));
        calls.is_empty()
            || calls.iter().any(|state| match state {
                CallState::New(call) if comes_last(&call.tool) => !waits,
                CallState::New(call) => is_collaboration(&call.tool),
                CallState::Heard(..) | CallState::Back(..) => true,
                CallState::Allowed(_)
                | CallState::InFlight(_)
                | CallState::Waiting(..)
                | CallState::AtPerson(_)
                | CallState::Answered(..) => false,
            })
    }

    /// Moves the calls of the turn into the thread, each with its result; the one that was to finish gets `finish`.
    pub(super) fn close_calls(&mut self, finish: &Result<Value, Failure>) {
        let Stage::Calls(calls) = std::mem::replace(&mut self.stage, Stage::Due) else { return };
        let finish = Arc::new(CallResult::of(finish.clone()));
        self.thread.extend(calls.into_iter().map(|state| match state {
            CallState::Answered(call, result) => Entry::Result { call, result },
            CallState::New(call)
            | CallState::Allowed(call)
            | CallState::InFlight(call)
            | CallState::Waiting(call, _)
            | CallState::Back(call, _)
            | CallState::AtPerson(call)
            | CallState::Heard(call, ..) => Entry::Result { call, result: finish.clone() },
        }));
    }

    /// The calls that may be wanted now: all that can be repeated, and the first irreversible one once those are answered.
    pub(super) fn callable(&self) -> Vec<CallIx> {
        let open = |state: &CallState| matches!(state, CallState::New(_) | CallState::Allowed(_));
        let unanswered = self.numbered().filter_map(|(ix, state)| Some((ix, state, state.call()?)));
        let last = |state: &CallState, call: &Call| match state {
            CallState::New(_) => comes_last(&call.tool),
            _ => ends(&call.tool),
        };
        let waiting: Vec<_> = unanswered.filter(|(_, state, call)| !last(state, call)).collect();
        let (alone, together): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|(ix, _, call)| !is_collaboration(&call.tool) && self.effect(*ix) == EffectClass::Irreversible);
        if together.is_empty() {
            return alone.into_iter().take(1).filter(|(_, state, _)| open(state)).map(|(ix, ..)| ix).collect();
        }
        let external = together.into_iter().filter(|(_, state, call)| open(state) && !is_collaboration(&call.tool));
        external.map(|(ix, ..)| ix).collect()
    }

    /// The result that its last reply gives, by `finish`, as structured output or as text.
    pub fn result(&self) -> Option<Value> {
        let reply =
            self.thread.iter().rev().find_map(|entry| if let Entry::Reply(reply) = entry { Some(reply) } else { None })?;
        let called = reply.calls.iter().find(|call| &*call.tool == "finish");
        match (called, &reply.finish, &reply.text) {
            (Some(call), _, _) => Some(call.args.get("result").cloned().unwrap_or_else(|| call.args.clone())),
            (None, Some(value), _) => Some(value.clone()),
            (None, None, Some(text)) => Some(Value::map([("text", Value::Text(text.clone()))])),
            (None, None, None) => None,
        }
    }

    /// Its calls in flight.
    pub fn flying(&self, node: NodeIx) -> Vec<Key> {
        let key = |call| Key { node, attempt: self.attempt, turn: self.turn, call };
        match &self.stage {
            Stage::Asked => vec![key(None)],
            Stage::Calls(_) | Stage::Looking(_) => self
                .numbered()
                .filter(|(_, state)| matches!(state, CallState::InFlight(_)))
                .map(|(ix, _)| key(Some(ix)))
                .collect(),
            Stage::Due | Stage::Unsure(_) | Stage::Failing(_) => Vec::new(),
        }
    }

    /// Slots that it holds.
    pub fn in_flight(&self) -> u32 {
        u32::try_from(self.flying(NodeIx(0)).len()).unwrap_or(u32::MAX)
    }
}

impl CallState {
    /// The call, while it is not answered.
    pub fn call(&self) -> Option<&Call> {
        match self {
            Self::New(call)
            | Self::Allowed(call)
            | Self::InFlight(call)
            | Self::Waiting(call, _)
            | Self::Back(call, _)
            | Self::AtPerson(call)
            | Self::Heard(call, ..) => Some(call),
            Self::Answered(..) => None,
        }
    }
}
