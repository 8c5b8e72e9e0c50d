//! What was seen before? [`Past`] reads journals of a team: how long models, tools and people took, how often they failed, and what
//! agents said, turn by turn.

use std::{collections::BTreeMap, sync::Arc};

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
    fn add(&mut self, began: Timestamp, ended: Timestamp, failed: bool) {
        self.millis.push(ended.since(began).as_secs_f64() * 1e3);
        self.failed += usize::from(failed);
    }

    fn timing(self) -> Option<Timing> {
        let fails = self.failed as f64 / self.millis.len().max(1) as f64;
        Some(Timing { millis: Quantiles::fitted(self.millis)?, fails })
    }
}

/// What is under way where a journal is being read.
#[derive(Default)]
struct Open {
    turns: BTreeMap<NodeIx, Timestamp>,
    /// Calls of agents, and those of tool nodes, with the tool.
    calls: BTreeMap<(NodeIx, Option<CallIx>), (Arc<str>, Timestamp)>,
    asks: BTreeMap<AskId, Timestamp>,
    courses: BTreeMap<NodeIx, Course>,
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
        let (mut state, mut open) = (State::start(first)?, Open::default());
        for record in &records[1..] {
            self.see(&state, record, &mut open);
            state.apply(record)?;
        }
        self.sessions += 1;
        Ok(())
    }

    fn see(&mut self, state: &State, record: &Record, open: &mut Open) {
        let at = record.at;
        match &record.event {
            Event::TurnStarted { node, .. } => {
                open.turns.insert(*node, at);
            }
            Event::TurnEnded { node, end, .. } => {
                let profile = state.role_of(*node).and_then(|role| state.team_of(*node).1.agent(role)).map(|m| &m.profile);
                let (Some(profile), Some(began)) = (profile, open.turns.remove(node)) else { return };
                let seen = self.models.entry(profile.model.clone()).or_default();
                seen.add(began, at, matches!(end, TurnEnd::Failed(_)));
                if let TurnEnd::Reply(reply) = end {
                    open.courses.entry(*node).or_insert(Course { replies: Vec::new() }).replies.push(reply.clone());
                }
            }
            Event::ToolCalled(called) => {
                let call = state.activations.get(&called.node).and_then(|a| a.call(called.call)?.call().cloned());
                if let Some(call) = call {
                    open.calls.insert((called.node, Some(called.call)), (call.tool, at));
                }
            }
            Event::ToolReturned { node, call, result, .. } => {
                self.returned(open.calls.remove(&(*node, Some(*call))), at, result.outcome.is_err());
            }
            Event::NodeStarted { node, .. } => {
                open.courses.remove(node);
                if let NodeKind::Tool(tool) = &state.node(*node).kind {
                    open.calls.insert((*node, None), (tool.tool.clone(), at));
                }
            }
            Event::NodeRetried { node, .. } => self.returned(open.calls.remove(&(*node, None)), at, true),
            Event::NodeEnded { node, outcome } => {
                self.returned(open.calls.remove(&(*node, None)), at, !matches!(outcome, Outcome::Ok(_)));
                if let (Some(course), NodeKind::Agent(agent)) = (open.courses.remove(node), &state.node(*node).kind) {
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
                self.people.extend(open.asks.remove(ask).map(|began| at.since(began).as_secs_f64() * 1e3));
            }
            _ => {}
        }
    }

    fn returned(&mut self, call: Option<(Arc<str>, Timestamp)>, at: Timestamp, failed: bool) {
        if let Some((tool, began)) = call {
            self.tools.entry(tool).or_default().add(began, at, failed);
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
