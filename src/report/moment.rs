//! How did a session stand after one of its records, and what did one agent know of it then? [`Moment`].
//!
//! It is a fold of the records up to that one and of no later one. An agent knows what its turns up to then were begun with: what
//! its causal past found, wrote and settled (a live agent: all that was told before its last turn), the mail that it had read,
//! and what it said itself. Of one that had ended, it is what it knew at its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;

use super::{
    DecisionRow, EscalationRow, FindingRow, MessageRow,
    escalations::escalations,
    messages::{messages, row},
    rows,
    work::{TopicRow, WorkRow, at_work, unsettled, waiting},
};
use crate::{
    event::{Event, Record},
    graph::{NodeKind, Phase},
    state::{FoldError, Spoken, State},
    value::{Entry, MessageId, MessageKind, NodeIx, Role, Seq, SessionId, Timestamp, Value, Variable},
};

/// A session as it stood, or as one agent knew it: what `synod show --as-of --json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Moment {
    /// Which session.
    pub session: SessionId,
    /// After which record.
    pub as_of: Seq,
    /// When that was.
    #[serde(serialize_with = "super::rfc3339")]
    pub at: Timestamp,
    /// Where the session stood.
    pub status: &'static str,
    /// Who looks; null for all that there is.
    pub seen_by: Option<Viewer>,
    /// What was found, in declared order of the nodes where it was.
    pub findings: Vec<FindingRow>,
    /// The variables, by name.
    pub variables: Vec<VariableRow>,
    /// What was settled, in declared order of the nodes where it was.
    pub decisions: Vec<DecisionRow>,
    /// What was said, in the order in which it was.
    pub messages: Vec<MessageRow>,
    /// Who is at work; of an agent that looks, itself.
    pub at_work: Vec<WorkRow>,
    /// Nodes that could start and wait for a slot; nobody at work sees these.
    pub waiting: Vec<Arc<str>>,
    /// Topics on which positions differ and that are not settled; nobody at work sees these.
    pub unsettled: Vec<TopicRow>,
    /// Questions to people that are open; of an agent that looks, those that it waits for.
    pub open: Vec<EscalationRow>,
}

/// The agent that looks.
#[derive(Clone, Debug, Serialize)]
pub struct Viewer {
    /// Who.
    pub role: Role,
    /// In which node; null while it has not begun.
    pub node: Option<Arc<str>>,
    /// It had read what was told before this record; null before its first turn.
    pub read_upto: Option<Seq>,
}

/// A variable with its last write that counts.
#[derive(Clone, Debug, Serialize)]
pub struct VariableRow {
    /// Its name.
    pub name: String,
    /// Its value, parallel writes merged.
    pub value: Value,
    /// From 1, one more with each write.
    pub version: u32,
    /// Who wrote it last; nobody of the team where it was set from outside.
    pub author: Option<Role>,
    /// The record that wrote it.
    pub seq: Seq,
}

/// Why there is nothing to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MomentError {
    /// The records are no session.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// It has not come to this record.
    #[error("the last record of the session is {last}")]
    Later {
        /// Its last record.
        last: Seq,
    },
    /// The name is no agent's.
    #[error("no agent is called that")]
    Nobody,
    /// An agent is at work more than once.
    #[error("it is at work in {}: name one of these nodes", .nodes.join(", "))]
    Several {
        /// Their paths.
        nodes: Vec<String>,
    },
}

/// What one agent had read by its last turn.
struct Read {
    upto: Seq,
    mail: BTreeSet<MessageId>,
}

impl Moment {
    /// The session after its record `as_of`, without which after its last; as the agent `seen_by`, a role or the path of a node,
    /// knew it.
    ///
    /// # Errors
    /// The records are no session, or have no such record or agent.
    pub fn of(records: &[Record], as_of: Option<Seq>, seen_by: Option<&str>) -> Result<Self, MomentError> {
        let last = records.last().ok_or(FoldError::NoStart)?.seq;
        let as_of = as_of.unwrap_or(last);
        if as_of > last {
            return Err(MomentError::Later { last });
        }
        let records = &records[..records.iter().take_while(|record| record.seq <= as_of).count()];
        let state = State::fold(records)?;
        let Some(name) = seen_by else { return Ok(Self::whole(&state, records, as_of)) };
        match seat(&state, name)? {
            Some((role, node)) => Self::seen(&state, records, as_of, role, node),
            None => Ok(Self::bare(&state, as_of, Some(Viewer { role: Role::new(name), node: None, read_upto: None }))),
        }
    }

    fn bare(state: &State, as_of: Seq, seen_by: Option<Viewer>) -> Self {
        Self {
            session: state.started.session,
            as_of,
            at: state.now,
            status: state.status().name(),
            seen_by,
            findings: Vec::new(),
            variables: Vec::new(),
            decisions: Vec::new(),
            messages: Vec::new(),
            at_work: Vec::new(),
            waiting: Vec::new(),
            unsettled: Vec::new(),
            open: Vec::new(),
        }
    }

    fn whole(state: &State, records: &[Record], as_of: Seq) -> Self {
        Self {
            findings: rows::findings(state),
            variables: variables(state, state.variables(), |_, _| true),
            decisions: rows::decisions(state),
            messages: messages(state),
            at_work: at_work(state),
            waiting: waiting(state),
            unsettled: unsettled(state),
            open: open(state, records),
            ..Self::bare(state, as_of, None)
        }
    }

    fn seen(now: &State, records: &[Record], as_of: Seq, role: Role, node: NodeIx) -> Result<Self, MomentError> {
        let path = now.path(node);
        let (state, read) = to_its_end(records, node)?;
        let viewer = Viewer { role: role.clone(), node: Some(path.clone()), read_upto: read.as_ref().map(|read| read.upto) };
        let mut seen = Self::bare(now, as_of, Some(viewer));
        seen.at_work = at_work(now).into_iter().filter(|row| row.node == path).collect();
        seen.open = open(now, records).into_iter().filter(|row| row.node == path).collect();
        let Some(read) = read else { return Ok(seen) };
        let mut knows = state.knows(node);
        knows.live = knows.live.map(|_| read.upto);
        seen.findings = state.visible_findings(&knows).iter().map(|finding| FindingRow::of(finding)).collect();
        let known = |at: NodeIx, write: &Variable| state.frame_of(at) == knows.frame && knows.sees(at, write.seq);
        seen.variables = variables(&state, state.visible_variables(&knows), known);
        seen.decisions = state.visible_decisions(&knows).iter().map(|decision| DecisionRow::of(decision)).collect();
        seen.messages = heard(&state, node, &role, &read).into_iter().map(|spoken| row(&state, spoken)).collect();
        Ok(seen)
    }
}

/// The agent that is meant and its node: the one at that path, else the one at work in that role, else the one in that role that
/// ended last. `None` where it has not begun.
fn seat(state: &State, name: &str) -> Result<Option<(Role, NodeIx)>, MomentError> {
    let at_path = state.find(name).and_then(|node| Some((state.role_of(node)?.clone(), node)));
    if at_path.is_some() {
        return Ok(at_path);
    }
    let nodes = (0..state.nodes.len()).filter_map(|ix| u32::try_from(ix).ok().map(NodeIx));
    let own = nodes.filter(|ix| match &state.node(*ix).kind {
        NodeKind::Agent(agent) => agent.role.as_str() == name && agent.phase != Phase::Answer,
        NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) | NodeKind::Scope(_) => false,
    });
    let own: Vec<NodeIx> = own.filter(|ix| state.nodes[ix.index()].attempt > 0).collect();
    let working: Vec<NodeIx> = own.iter().copied().filter(|ix| state.activations.contains_key(ix)).collect();
    let last = || own.iter().copied().max_by_key(|ix| (state.nodes[ix.index()].ended_at, *ix));
    match working.as_slice() {
        [] => match last() {
            Some(node) => Ok(Some((Role::new(name), node))),
            None if state.started.plan.teams.iter().any(|team| team.agent(&Role::new(name)).is_some()) => Ok(None),
            None => Err(MomentError::Nobody),
        },
        [one] => Ok(Some((Role::new(name), *one))),
        several => Err(MomentError::Several { nodes: several.iter().map(|ix| state.path(*ix).to_string()).collect() }),
    }
}

/// The session when the agent's node had ended, else as it stands, and what the agent had read by then. A further attempt begins
/// anew.
fn to_its_end(records: &[Record], node: NodeIx) -> Result<(State, Option<Read>), FoldError> {
    let (first, rest) = records.split_first().ok_or(FoldError::NoStart)?;
    let (mut state, mut read) = (State::start(first)?, None);
    for record in rest {
        state.apply(record)?;
        match &record.event {
            Event::NodeStarted { node: at, .. } if *at == node => read = None,
            Event::TurnStarted { node: at, .. } if *at == node => {
                read = state.activations.get(&node).map(|activation| {
                    let mail = activation.thread.iter().filter_map(|entry| match entry {
                        Entry::Mail(mail) => Some(mail),
                        Entry::Reply(_) | Entry::Result { .. } | Entry::Answer { .. } | Entry::Note(_) | Entry::Known { .. } => {
                            None
                        }
                    });
                    Read { upto: activation.read_upto, mail: mail.flat_map(|m| m.iter().map(|m| m.id.clone())).collect() }
                });
            }
            Event::NodeEnded { node: at, .. } if *at == node => break,
            _ => {}
        }
    }
    Ok((state, read))
}

/// The messages that the agent had before it: mail, its task, what it said itself, the question that it answers, and answers to its
/// questions. What is private has two ends.
fn heard<'s>(state: &'s State, node: NodeIx, role: &Role, read: &Read) -> Vec<&'s Spoken> {
    let all = || state.context.messages.iter();
    let own_questions = all().filter(|spoken| spoken.node == node && spoken.message.kind == MessageKind::Question);
    let asked: BTreeSet<&str> = own_questions.map(|spoken| &*spoken.message.id.0).collect();
    let question = state.question_of(node).map(|question| &question.id);
    let has = |spoken: &&Spoken| {
        let message = &spoken.message;
        let (is_from, is_to) = (message.from.as_ref() == Some(role), message.to.as_ref() == Some(role));
        let own = spoken.node == node && (is_from || message.kind == MessageKind::TaskAssignment);
        let answer = is_to && spoken.seq < read.upto && message.answers().is_some_and(|question| asked.contains(&*question.0));
        let is_open_to_it = is_from || is_to || !message.private;
        is_open_to_it && (own || answer || question == Some(&message.id) || read.mail.contains(&message.id))
    };
    all().filter(has).collect()
}

fn variables(state: &State, values: BTreeMap<String, Value>, known: impl Fn(NodeIx, &Variable) -> bool) -> Vec<VariableRow> {
    let rows = values.into_iter().filter_map(|(name, value)| {
        let given = state.context.given.get(name.as_str());
        let before = given.map_or(0, |given| given.version);
        let writes = state.context.writes.get(name.as_str()).into_iter().flatten().filter(|(node, write)| known(*node, write));
        let last = writes.max_by_key(|(_, write)| (write.version, write.seq));
        let (version, author, seq) = match (last, &state.forked) {
            (Some((_, last)), _) => (last.version.saturating_add(before), Some(last.author.clone()), last.seq),
            (None, Some((from, _))) => (before, None, from.at.next()),
            (None, None) => return None,
        };
        Some(VariableRow { name, value, version, author, seq })
    });
    rows.collect()
}

fn open(state: &State, records: &[Record]) -> Vec<EscalationRow> {
    escalations(state, records).into_iter().filter(|row| row.state == Some("open")).collect()
}
