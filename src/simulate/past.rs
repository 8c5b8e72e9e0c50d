//! What was seen before? [`Past`] reads journals of a team: how long models, tools and people took, how often they failed, and what
//! agents said, turn by turn.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    assume::{Assumed, Course, Timing},
    quantiles::Quantiles,
};
use crate::{
    event::{AskOutcome, Event, Outcome, Record, TurnEnd},
    graph::NodeKind,
    state::{FoldError, State},
    value::{AskId, CallIx, NodeIx, Role, Timestamp},
};

/// Activations that are kept of an agent in a phase.
const COURSES: usize = 500;

/// What journals say, added up.
#[derive(Clone, Debug, Default)]
pub struct Past {
    models: BTreeMap<Arc<str>, Seen>,
    tools: BTreeMap<Arc<str>, Seen>,
    people: Vec<f64>,
    courses: BTreeMap<(Role, Arc<str>), Vec<Course>>,
    sessions: usize,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    millis: Vec<f64>,
    failed: usize,
}

impl Seen {
    fn add(&mut self, took: Duration, failed: bool) {
        self.millis.push(took.as_secs_f64() * 1e3);
        self.failed += usize::from(failed);
    }

    fn timing(self) -> Option<Timing> {
        let fails = self.failed as f64 / self.millis.len().max(1) as f64;
        Some(Timing { millis: Quantiles::fitted(self.millis)?, fails })
    }
}

/// What is under way where a journal is being read. Times are running time, apart from those of questions.
#[derive(Default)]
struct Open {
    clock: Duration,
    /// Whether this is still the past that the session shares with the one that it parted from, which counts it itself.
    is_shared: bool,
    turns: BTreeMap<NodeIx, Duration>,
    /// Calls of agents, and those of tool nodes, with the tool.
    calls: BTreeMap<(NodeIx, Option<CallIx>), (Arc<str>, Duration)>,
    asks: BTreeMap<AskId, Timestamp>,
    /// What agents say, and whether a model was asked for any of it.
    courses: BTreeMap<NodeIx, (Course, bool)>,
}

impl Open {
    /// What is in flight begins now.
    fn begin_anew(&mut self) {
        let began = self.turns.values_mut().chain(self.calls.values_mut().map(|(_, began)| began));
        began.for_each(|began| *began = self.clock);
    }
}

impl Past {
    /// Adds a session.
    ///
    /// # Errors
    /// The records are no session; nothing of it is added then.
    pub fn add(&mut self, records: &[Record]) -> Result<(), FoldError> {
        // So that no half of a session is added.
        State::fold(records)?;
        let Some(first) = records.first() else { return Err(FoldError::NoStart) };
        // A fork of a fork has both in its past.
        let parted = records.iter().rposition(|record| matches!(record.event, Event::Forked(_))).unwrap_or(0);
        let (mut state, mut open) = (State::start(first)?, Open::default());
        for (ix, record) in records.iter().enumerate().skip(1) {
            open.is_shared = ix <= parted;
            open.clock += state.running_time_until(record);
            self.see(&state, record, &mut open);
            state.apply(record)?;
        }
        self.sessions += 1;
        Ok(())
    }

    fn see(&mut self, state: &State, record: &Record, open: &mut Open) {
        let at = record.at;
        match &record.event {
            Event::Forked(_) => {
                open.asks.clear();
                open.begin_anew();
            }
            // What was in flight is asked and called again.
            Event::Resumed { .. } => open.begin_anew(),
            Event::TurnStarted { node, .. } => {
                open.turns.insert(*node, open.clock);
            }
            // What comes now took its time in another session.
            Event::TakenOver(taken) if taken.call.is_none() => {
                open.turns.remove(&taken.node);
                open.calls.remove(&(taken.node, None));
            }
            Event::TurnEnded { node, end, .. } => {
                let profile = state.role_of(*node).and_then(|role| state.team_of(*node).1.agent(role)).map(|m| &m.profile);
                let Some(profile) = profile else { return };
                let took = open.turns.remove(node).map(|began| open.clock.saturating_sub(began)).filter(|_| !open.is_shared);
                if let Some(took) = took {
                    self.models.entry(profile.model.clone()).or_default().add(took, matches!(end, TurnEnd::Failed(_)));
                }
                if let TurnEnd::Reply(reply) = end {
                    let fresh = || (Course { model: profile.model.clone(), replies: Vec::new() }, false);
                    let (course, is_own) = open.courses.entry(*node).or_insert_with(fresh);
                    course.replies.push(reply.clone());
                    *is_own |= took.is_some();
                }
            }
            Event::ToolCalled(called) => {
                let call = state.activations.get(&called.node).and_then(|a| a.call(called.call)?.call().cloned());
                if let Some(call) = call {
                    open.calls.insert((called.node, Some(called.call)), (call.tool, open.clock));
                }
            }
            Event::ToolReturned { node, call, result, .. } => {
                self.returned(open, (*node, Some(*call)), result.outcome.is_err());
            }
            Event::NodeStarted { node, .. } => {
                open.courses.remove(node);
                if let NodeKind::Tool(tool) = &state.node(*node).kind {
                    open.calls.insert((*node, None), (tool.tool.clone(), open.clock));
                }
            }
            Event::NodeRetried { node, .. } => self.returned(open, (*node, None), true),
            Event::NodeEnded { node, outcome } => {
                self.returned(open, (*node, None), !matches!(outcome, Outcome::Ok(_)));
                if let (Some((course, true)), NodeKind::Agent(agent)) = (open.courses.remove(node), &state.node(*node).kind) {
                    let kept = self.courses.entry((agent.role.clone(), Arc::from(agent.phase.name()))).or_default();
                    if kept.len() < COURSES {
                        kept.push(course);
                    }
                }
            }
            Event::Asked(ask) => {
                open.asks.insert(ask.id, at);
            }
            Event::AskClosed { ask, outcome: AskOutcome::Answered { .. } } => {
                let took = open.asks.remove(ask).filter(|_| !open.is_shared).map(|began| at.since(began));
                self.people.extend(took.map(|took| took.as_secs_f64() * 1e3));
            }
            _ => {}
        }
    }

    fn returned(&mut self, open: &mut Open, call: (NodeIx, Option<CallIx>), failed: bool) {
        if let Some((tool, began)) = open.calls.remove(&call).filter(|_| !open.is_shared) {
            self.tools.entry(tool).or_default().add(open.clock.saturating_sub(began), failed);
        }
    }

    /// What it lets one assume; what it does not know is as declared.
    pub fn assumed(self) -> Assumed {
        let fit =
            |seen: BTreeMap<Arc<str>, Seen>| seen.into_iter().filter_map(|(name, seen)| Some((name, seen.timing()?))).collect();
        let declared = Assumed::default();
        Assumed {
            models: fit(self.models),
            tools: fit(self.tools),
            people: Quantiles::fitted(self.people).unwrap_or(declared.people),
            courses: self.courses,
            sessions: self.sessions,
            model: declared.model,
            script: declared.script,
            tool: declared.tool,
        }
    }
}
