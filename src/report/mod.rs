//! What came of it?
//!
//! [`Report`] is a projection of the journal: what was found, said, decided and asked, who did what, and the [`Metrics`].
//! Deliberately absent: anything that is not on the record.

mod critical;
mod markdown;
mod messages;
mod metrics;
mod timeline;

use std::{collections::BTreeMap, sync::Arc};

use serde::{Serialize, Serializer};

pub use messages::{MessageRow, messages};
pub use metrics::Metrics;
pub use timeline::{Span, Timeline};

use crate::{
    event::{AskFor, AskOutcome, Event, Outcome, Record, Status},
    graph::{NodeKind, Phase},
    state::{FoldError, State},
    value::{EscalateTo, Evidence, Failure, FindingStatus, Map, NodeIx, Position, Role, SessionId, Timestamp, Usage, Value},
};

/// A session as its records tell it: what `synod report --json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which session.
    pub session: SessionId,
    /// Where it stands.
    pub status: Status,
    /// The team as it was named.
    pub team: Arc<str>,
    /// What was to be done.
    pub task: Arc<str>,
    /// The inputs.
    pub task_context: Map,
    /// `delegation`, `parallel_execution` or `synthesis`.
    pub phase: &'static str,
    /// The result; before the end, or where there is none, the best there is.
    pub output: Value,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What was found, in order.
    pub findings: Vec<FindingRow>,
    /// What was settled, in order.
    pub decisions: Vec<DecisionRow>,
    /// What each agent did, in order of role.
    pub contributions: Vec<Contribution>,
    /// Who was stuck or unsure, and what people were asked.
    pub escalations: Vec<EscalationRow>,
    /// How it went.
    pub metrics: Metrics,
    /// The conversations, by the path of their node.
    pub threads: BTreeMap<String, ThreadRow>,
    /// The variables of the shared context.
    pub variables: BTreeMap<String, Value>,
    /// Failures that did not fail the session.
    pub warnings: Vec<String>,
    /// When it started.
    #[serde(serialize_with = "rfc3339")]
    pub started_at: Timestamp,
    /// When it was over.
    #[serde(serialize_with = "maybe_rfc3339")]
    pub completed_at: Option<Timestamp>,
    /// From start to end (or to the last record), on the wall clock.
    pub duration_ms: u64,
}

/// A finding in a report.
#[derive(Clone, Debug, Serialize)]
pub struct FindingRow {
    /// Such as `f3`.
    pub id: String,
    /// Who found it.
    pub agent: Role,
    /// On what.
    pub topic: Arc<str>,
    /// What, in words.
    pub claim: Arc<str>,
    /// What, as a value.
    pub value: Value,
    /// From 0 to 1.
    pub confidence: f64,
    /// Where it stands.
    pub status: FindingStatus,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
}

/// A decision in a report.
#[derive(Clone, Debug, Serialize)]
pub struct DecisionRow {
    /// On what.
    pub topic: Arc<str>,
    /// What stands.
    pub outcome: Value,
    /// Who or what decided.
    pub rule: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
    /// What everybody held.
    pub positions: Vec<Position>,
    /// Who held something else.
    pub dissent: Vec<Role>,
}

/// What one agent did.
#[derive(Clone, Debug, Serialize)]
pub struct Contribution {
    /// Who.
    pub agent: Role,
    /// What it returned at its own work (for the coordinator: its synthesis); null when it did not.
    pub output: Value,
    /// How its last activation ended.
    pub status: &'static str,
    /// Its findings, such as `f3`.
    pub findings: Vec<String>,
    /// Turns.
    pub turns: u64,
    /// Tool calls.
    pub tool_calls: u64,
    /// Tokens read and written.
    pub tokens: u64,
    /// What it cost.
    pub cost_usd: f64,
    /// Time at work, waiting for people apart.
    pub busy_ms: f64,
}

/// An escalation or a question to a person.
#[derive(Clone, Debug, Serialize)]
pub struct EscalationRow {
    /// Where.
    pub node: Arc<str>,
    /// Who; null for a node that only asks.
    pub from: Option<Role>,
    /// On what grounds, such as `on_uncertainty`.
    pub cause: Option<&'static str>,
    /// Why, in words.
    pub reason: Arc<str>,
    /// Whom it reached: `coordinator`, `person`, `none`.
    pub to: &'static str,
    /// The question's id, such as `q0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
    /// The question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<Arc<str>>,
    /// The answers to choose from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Arc<str>>,
    /// Whom of the people it waits for, or waited for last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<Arc<str>>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_rfc3339")]
    pub deadline: Option<Timestamp>,
    /// `open`, `answered`, `lapsed` or `moot`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// What was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// Who answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
}

/// A conversation in a report.
#[derive(Clone, Debug, Serialize)]
pub struct ThreadRow {
    /// Whose.
    pub agent: Role,
    /// What for.
    pub phase: &'static str,
    /// How it ended, or `pending`.
    pub status: &'static str,
    /// Attempts.
    pub attempts: u32,
    /// Turns.
    pub turns: u32,
    /// When it started.
    #[serde(serialize_with = "maybe_rfc3339")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(serialize_with = "maybe_rfc3339")]
    pub completed_at: Option<Timestamp>,
}

impl Report {
    /// What came of the session that `records` tell of.
    ///
    /// # Errors
    /// They are no session.
    pub fn of(records: &[Record]) -> Result<Self, FoldError> {
        let (state, timeline) = Timeline::of(records)?;
        let finished = state.finished.clone();
        let output = finished.as_ref().map_or_else(|| state.provisional.clone().unwrap_or_default(), |f| f.output.clone());
        let completed_at = finished.as_ref().map(|_| timeline.over_at.unwrap_or(state.now));
        let last = completed_at.unwrap_or(state.now);
        Ok(Self {
            session: state.started.session,
            status: state.status(),
            team: state.started.team.clone(),
            task: state.started.task.clone(),
            task_context: (*state.started.inputs).clone(),
            phase: state.phase(),
            output,
            failure: finished.and_then(|f| f.failure.clone()),
            findings: findings(&state),
            decisions: decisions(&state),
            contributions: contributions(&state, &timeline),
            escalations: escalations(&state, records),
            metrics: Metrics::of(&state, &timeline),
            threads: threads(&state, &timeline),
            variables: state.variables(),
            warnings: warnings(&state),
            started_at: state.started_at,
            completed_at,
            duration_ms: u64::try_from(last.since(state.started_at).as_millis()).unwrap_or(u64::MAX),
        })
    }
}

fn findings(state: &State) -> Vec<FindingRow> {
    let mut found: Vec<_> = state.context.findings.iter().collect();
    found.sort_by_key(|f| (f.node, f.id));
    let row = |f: &Arc<crate::value::Finding>| FindingRow {
        id: format!("f{}", f.id),
        agent: f.agent.clone(),
        topic: f.topic.clone(),
        claim: f.claim.clone(),
        value: f.value.clone(),
        confidence: f.confidence,
        status: f.status,
        evidence: f.evidence.clone(),
    };
    found.into_iter().map(row).collect()
}

fn decisions(state: &State) -> Vec<DecisionRow> {
    let row = |d: &Arc<crate::value::Decision>| DecisionRow {
        topic: d.topic.clone(),
        outcome: d.outcome.clone(),
        rule: d.rule.clone(),
        reason: d.reason.clone(),
        positions: d.positions.clone(),
        dissent: d.dissent.clone(),
    };
    state.context.decisions.iter().map(|(_, decision)| row(decision)).collect()
}

/// The agent nodes that ever started, in order of growth.
fn agent_nodes(state: &State) -> impl Iterator<Item = (NodeIx, &crate::graph::AgentNode)> {
    (0..state.nodes.len()).filter_map(|ix| u32::try_from(ix).ok().map(NodeIx)).filter_map(|ix| match &state.node(ix).kind {
        NodeKind::Agent(agent) if state.nodes[ix.index()].attempt > 0 => Some((ix, &**agent)),
        NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) | NodeKind::Scope(_) => None,
    })
}

fn contributions(state: &State, timeline: &Timeline) -> Vec<Contribution> {
    let mut by_role: BTreeMap<Role, Contribution> = BTreeMap::new();
    for (ix, agent) in agent_nodes(state) {
        let spent = state.spent_by.get(&agent.role).copied().unwrap_or_default();
        let entry = by_role.entry(agent.role.clone()).or_insert_with(|| Contribution {
            agent: agent.role.clone(),
            output: Value::Null,
            status: "pending",
            findings: Vec::new(),
            turns: spent.turns,
            tool_calls: spent.tool_calls,
            tokens: tokens(&spent.usage),
            cost_usd: spent.usage.cost.dollars(),
            busy_ms: 0.0,
        });
        let own = match agent.phase {
            Phase::Work | Phase::Delegate | Phase::Synthesize => true,
            Phase::Validate | Phase::Debate => false,
        };
        if own {
            entry.status = state.status_name(ix);
            if let Some(Outcome::Ok(value)) = state.outcome(ix) {
                entry.output = value.clone();
            }
        }
        entry.busy_ms += timeline.busy(ix).as_secs_f64() * 1e3;
    }
    for finding in &state.context.findings {
        if let Some(entry) = by_role.get_mut(&finding.agent) {
            entry.findings.push(format!("f{}", finding.id));
        }
    }
    by_role.into_values().collect()
}

fn tokens(usage: &Usage) -> u64 {
    usage.input.saturating_add(usage.output)
}

fn threads(state: &State, timeline: &Timeline) -> BTreeMap<String, ThreadRow> {
    let rows = agent_nodes(state).map(|(ix, agent)| {
        let span = timeline.nodes.get(&ix);
        let row = ThreadRow {
            agent: agent.role.clone(),
            phase: agent.phase.name(),
            status: state.status_name(ix),
            attempts: state.nodes[ix.index()].attempt,
            turns: state.seat_turns.get(&ix).copied().unwrap_or(0),
            started_at: span.map(|s| s.from),
            completed_at: span.and_then(|s| s.to),
        };
        (state.path(ix).to_string(), row)
    });
    rows.collect()
}

fn warnings(state: &State) -> Vec<String> {
    let nodes = (0..state.nodes.len()).filter_map(|ix| u32::try_from(ix).ok().map(NodeIx));
    let failed = nodes.filter_map(|ix| match state.outcome(ix) {
        Some(Outcome::Failed(failure)) => Some((ix, failure)),
        Some(Outcome::Ok(_) | Outcome::Skipped(_) | Outcome::Cancelled) | None => None,
    });
    let handled = failed.filter(|(ix, _)| state.node(*ix).allow_failure || state.node(*ix).caught);
    let mut told: Vec<String> = Vec::new();
    for (ix, failure) in handled {
        let path = failure.node.clone().unwrap_or_else(|| state.path(ix));
        let warning = format!("{path}: {failure}");
        // A scope hands the failure of a node inside it on.
        if !told.contains(&warning) {
            told.push(warning);
        }
    }
    told
}

fn escalations(state: &State, records: &[Record]) -> Vec<EscalationRow> {
    let mut rows: Vec<EscalationRow> = Vec::new();
    let mut by_ask: BTreeMap<crate::value::AskId, usize> = BTreeMap::new();
    for record in records {
        match &record.event {
            Event::Escalated { node, from, cause, reason, to } => rows.push(EscalationRow {
                node: state.path(*node),
                from: from.clone(),
                cause: cause.map(crate::graph::EscalationPolicy::name),
                reason: reason.clone(),
                to: target(*to),
                ask: None,
                question: None,
                options: Vec::new(),
                waits_for: None,
                deadline: None,
                state: None,
                answer: None,
                by: None,
            }),
            Event::Asked(ask) => {
                let path = state.path(ask.node);
                let waits = |row: &EscalationRow| row.node == path && row.to == "person" && row.ask.is_none();
                let own = !matches!(ask.purpose, AskFor::Node | AskFor::Permit(..) | AskFor::InDoubt(..));
                let at = rows.iter().rposition(waits).filter(|_| own).unwrap_or_else(|| {
                    rows.push(EscalationRow {
                        node: path.clone(),
                        from: state.role_of(ask.node).cloned(),
                        cause: None,
                        reason: Arc::from(purpose(&ask.purpose)),
                        to: "person",
                        ask: None,
                        question: None,
                        options: Vec::new(),
                        waits_for: None,
                        deadline: None,
                        state: None,
                        answer: None,
                        by: None,
                    });
                    rows.len() - 1
                });
                by_ask.insert(ask.id, at);
                let row = &mut rows[at];
                row.ask = Some(format!("q{}", ask.id));
                row.question = Some(ask.question.clone());
                row.options.clone_from(&ask.options);
                row.waits_for.clone_from(&ask.to);
                row.deadline = ask.deadline;
                row.state = Some("open");
            }
            Event::AskMoved { ask, to, deadline } => {
                let Some(row) = by_ask.get(ask).and_then(|at| rows.get_mut(*at)) else { continue };
                (row.waits_for, row.deadline) = (Some(to.clone()), *deadline);
            }
            Event::AskClosed { ask, outcome } => {
                let Some(row) = by_ask.get(ask).and_then(|at| rows.get_mut(*at)) else { continue };
                match outcome {
                    AskOutcome::Answered { value, by } => {
                        row.state = Some("answered");
                        row.answer = Some(value.clone());
                        row.by = Some(by.clone());
                    }
                    AskOutcome::Lapsed => row.state = Some("lapsed"),
                    AskOutcome::Moot => row.state = Some("moot"),
                }
            }
            _ => {}
        }
    }
    rows
}

fn target(to: EscalateTo) -> &'static str {
    match to {
        EscalateTo::Coordinator => "coordinator",
        EscalateTo::Person => "person",
        EscalateTo::None => "none",
    }
}

fn purpose(purpose: &AskFor) -> &'static str {
    match purpose {
        AskFor::Node => "the plan asks a person here",
        AskFor::Uncertain => "an agent is not sure",
        AskFor::Failure(_) => "a node failed",
        AskFor::Settle(_) => "positions differ",
        AskFor::Permit(..) => "a call needs a permission",
        AskFor::Escalation(..) => "an agent asks for help",
        AskFor::InDoubt(..) => "nobody knows whether a call happened",
    }
}

fn rfc3339<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.rfc3339())
}

fn maybe_rfc3339<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.serialize_str(&at.rfc3339()),
        None => serializer.serialize_none(),
    }
}
