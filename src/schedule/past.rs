//! What did an earlier session come to, request by request? [`Past`]: what a later session may take over.

use std::{collections::BTreeMap, sync::Arc};

use super::Scheduler;
use crate::{
    event::{Event, Outcome, Point, Record, Started, TakenOver, TurnEnd},
    graph::NodeKind,
    state::{FoldError, State},
    turn::Toolbox,
    value::{Call, CallIx, CallResult, EffectClass, Judge, NodeIx, Profile, Reply, RequestDigest, SessionId, Turn, Usage, Value},
};

/// What is known of results that need not be asked for again.
#[derive(Clone, Debug)]
pub struct Past(pub(super) Known);

/// Where it is known from.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// Those of an earlier session.
    Earlier(Box<Earlier>),
    /// Those that this session took over when it first ran: it is replayed, and comes to the same.
    Own(BTreeMap<About, Word>),
}

/// What a word is about: a turn or call of an attempt of a node.
pub(super) type About = (NodeIx, u32, Turn, Option<CallIx>);

/// Whether something is taken over.
#[derive(Clone, Debug)]
pub(super) enum Word {
    /// It is: from where, what that took, and what it is.
    Taken(SessionId, Usage, Said),
    /// It is not: why, and the session under whose key a call is made again.
    Anew(Arc<str>, Option<SessionId>),
}

/// What was said.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// By a model.
    Reply(Arc<Reply>),
    /// By a tool, to an agent.
    Result(Arc<CallResult>),
    /// By the tool of a node.
    Output(Value),
}

/// An earlier session.
#[derive(Clone, Debug)]
pub(super) struct Earlier {
    pub(super) point: Point,
    pub(super) started: Arc<Started>,
    /// By path and turn: each request that got a reply.
    pub(super) turns: BTreeMap<(Arc<str>, Turn), Vec<Asked>>,
    /// By path: each tool node that succeeded.
    pub(super) tools: BTreeMap<Arc<str>, Called>,
    /// By path: what every node came to that succeeded.
    pub(super) outputs: BTreeMap<Arc<str>, Value>,
    /// By path: an irreversible tool that an agent called, or whose result it took over.
    pub(super) irreversible: BTreeMap<Arc<str>, Arc<str>>,
}

/// A request and its reply.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) sent: Option<RequestDigest>,
    pub(super) profile: Arc<Profile>,
    pub(super) reply: Arc<Reply>,
    /// Where a model was really asked.
    pub(super) origin: SessionId,
    /// What came of the calls that were made.
    pub(super) results: BTreeMap<CallIx, Arc<CallResult>>,
}

/// The call of a tool node.
#[derive(Clone, Debug)]
pub(super) struct Called {
    pub(super) tool: Arc<str>,
    pub(super) args: Value,
    pub(super) output: Value,
    pub(super) origin: SessionId,
}

impl Past {
    /// What the session of `records` came to, whose rules and tools these are.
    ///
    /// # Errors
    /// They are no session.
    pub fn of(records: &[Record], judge: Arc<dyn Judge>, tools: Arc<dyn Toolbox>) -> Result<Self, FoldError> {
        let (first, rest) = records.split_first().ok_or(FoldError::NoStart)?;
        let mut scheduler = Scheduler::resume(State::start(first)?, judge, tools);
        let started = scheduler.state.started.clone();
        let at = records.last().map(|record| record.seq).unwrap_or_default();
        let mut earlier = Earlier {
            point: Point { session: started.session, at },
            started,
            turns: BTreeMap::new(),
            tools: BTreeMap::new(),
            outputs: BTreeMap::new(),
            irreversible: BTreeMap::new(),
        };
        let mut open = Open::default();
        for record in rest {
            earlier.see(&mut open, &scheduler, &record.event);
            scheduler.state.apply(record)?;
        }
        // A fork goes on with other inputs than it started with.
        earlier.started = scheduler.state.started.clone();
        Ok(Self(Known::Earlier(Box::new(earlier))))
    }

    /// What the session of `records` took over itself; nothing where it does not do that.
    ///
    /// # Errors
    /// They are no session.
    pub fn own(records: &[Record]) -> Result<Option<Self>, FoldError> {
        let (first, rest) = records.split_first().ok_or(FoldError::NoStart)?;
        let mut state = State::start(first)?;
        if state.started.reuse.is_none() {
            return Ok(None);
        }
        let (mut words, mut pending) = (BTreeMap::new(), None::<TakenOver>);
        for record in rest {
            let attempt = |node: NodeIx| state.nodes.get(node.index()).map_or(0, |node| node.attempt);
            match &record.event {
                Event::Anew { node, turn, why, under } => {
                    words.insert((*node, attempt(*node), *turn, None), Word::Anew(why.clone(), *under));
                }
                Event::TakenOver(taken) => pending = Some((**taken).clone()),
                event => {
                    if let Some((taken, said)) = pending.take().zip(said(event)) {
                        let about = (taken.node, attempt(taken.node), taken.turn, taken.call);
                        words.insert(about, Word::Taken(taken.session, taken.saved, said));
                    }
                }
            }
            state.apply(record)?;
        }
        Ok(Some(Self(Known::Own(words))))
    }
}

/// What an event says that follows the word that it is taken over.
fn said(event: &Event) -> Option<Said> {
    match event {
        Event::TurnEnded { end: TurnEnd::Reply(reply), .. } => Some(Said::Reply(reply.clone())),
        Event::ToolReturned { result, .. } => Some(Said::Result(result.clone())),
        Event::NodeEnded { outcome: Outcome::Ok(value), .. } => Some(Said::Output(value.clone())),
        _ => None,
    }
}

/// What is on its way while an earlier session is read.
#[derive(Default)]
struct Open {
    /// The request that a node waits for.
    sent: BTreeMap<NodeIx, Option<RequestDigest>>,
    /// Calls of the current turn that were made or taken over.
    made: BTreeMap<NodeIx, Vec<CallIx>>,
    /// Where what a node says next was really said.
    origins: BTreeMap<NodeIx, SessionId>,
}

impl Earlier {
    /// Takes the next event in, before it changes the state.
    fn see(&mut self, open: &mut Open, scheduler: &Scheduler, event: &Event) {
        let state = &scheduler.state;
        match event {
            Event::TurnStarted { node, sent, .. } => {
                open.sent.insert(*node, sent.clone().filter(|_| self.started.digests_comparable()));
                open.made.remove(node);
            }
            Event::TakenOver(taken) => {
                open.origins.insert(taken.node, taken.session);
                open.made.entry(taken.node).or_default().extend(taken.call);
                if let Some(call) = taken.call {
                    let effect = state.activations.get(&taken.node).map(|activation| activation.effect(call));
                    self.note_irreversible(state, taken.node, call, effect.unwrap_or_default());
                }
            }
            Event::Anew { node, under, .. } => open.origins.extend(under.map(|under| (*node, under))),
            Event::TurnEnded { node, turn, end: TurnEnd::Reply(reply), .. } => {
                let (Some(sent), Some(member)) = (open.sent.remove(node), scheduler.member(*node)) else { return };
                let origin = open.origins.remove(node).unwrap_or(self.point.session);
                let profile = member.profile.clone();
                let asked = Asked { sent, profile, reply: reply.clone(), origin, results: BTreeMap::new() };
                self.turns.entry((state.path(*node), *turn)).or_default().push(asked);
            }
            Event::ToolCalled(called) => {
                open.made.entry(called.node).or_default().push(called.call);
                self.note_irreversible(state, called.node, called.call, called.effect);
            }
            Event::ToolReturned { node, turn, call, result } => {
                if open.made.get(node).is_some_and(|made| made.contains(call))
                    && let Some(asked) = self.turns.get_mut(&(state.path(*node), *turn)).and_then(|all| all.last_mut())
                {
                    asked.results.insert(*call, result.clone());
                }
            }
            Event::NodeEnded { node, outcome: Outcome::Ok(value) } => {
                let path = state.path(*node);
                if let NodeKind::Tool(tool) = &state.node(*node).kind
                    && let Ok(args) = scheduler.tool_args(*node)
                {
                    let origin = open.origins.remove(node).unwrap_or(self.point.session);
                    self.tools.insert(path.clone(), Called { tool: tool.tool.clone(), args, output: value.clone(), origin });
                }
                self.outputs.insert(path, value.clone());
            }
            // What came before was asked and called in the session that this one parts from there.
            Event::Forked(forked) => {
                let (own, other) = (self.point.session, forked.from.session);
                let asked = self.turns.values_mut().flatten().map(|asked| &mut asked.origin);
                let called = self.tools.values_mut().map(|called| &mut called.origin);
                asked.chain(called).filter(|origin| **origin == own).for_each(|origin| *origin = other);
            }
            _ => {}
        }
    }

    /// Notes a call that was made or taken over, where it is irreversible.
    fn note_irreversible(&mut self, state: &State, node: NodeIx, call: CallIx, effect: EffectClass) {
        let call = state.activations.get(&node).and_then(|activation| activation.call(call)?.call());
        if let Some(call) = call.filter(|_| effect == EffectClass::Irreversible) {
            self.irreversible.insert(state.path(node), call.tool.clone());
        }
    }

    /// What came of a call of a reply that is taken over.
    pub(super) fn result(
        &self,
        path: &Arc<str>,
        turn: Turn,
        reply: &Arc<Reply>,
        (ix, call): (CallIx, &Call),
    ) -> Option<(SessionId, Arc<CallResult>)> {
        let asked = self.turns.get(&(path.clone(), turn))?.iter().find(|asked| asked.reply == *reply)?;
        let same = asked.reply.calls.get(ix.index()).is_some_and(|own| own == call);
        Some((asked.origin, asked.results.get(&ix).filter(|_| same)?.clone()))
    }
}
