//! What was found, settled and done, and by whom? The rows of a report, in declared order of the nodes where they were made.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use super::{Timeline, maybe_rfc3339, tokens};
use crate::{
    event::{Event, Outcome, Record},
    graph::{AgentNode, NodeKind, Phase},
    state::State,
    value::{
        CallIx, Decision, Evidence, Finding, FindingId, FindingStatus, NodeIx, Origins, Position, Role, TeamIx, Timestamp, Value,
    },
};

/// A finding in a report.
#[derive(Clone, Debug, Serialize)]
pub struct FindingRow {
    /// Such as `work/security#f1`.
    pub id: FindingId,
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
    /// Where all that its author had read comes from: `tool`, `model`, `person`, `untrusted`.
    pub origins: Origins,
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
    /// How votes count there, such as `weighted`.
    pub protocol: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
    /// What everybody held.
    pub positions: Vec<Position>,
    /// Who held something else.
    pub dissent: Vec<Role>,
    /// Who was heard and held nothing.
    pub abstained: Vec<Role>,
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
    /// Its findings, such as `work/security#f1`.
    pub findings: Vec<FindingId>,
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

impl FindingRow {
    pub(super) fn of(f: &Finding) -> Self {
        Self {
            id: f.id.clone(),
            agent: f.agent.clone(),
            topic: f.topic.clone(),
            claim: f.claim.clone(),
            value: f.value.clone(),
            confidence: f.confidence,
            status: f.status,
            evidence: f.evidence.clone(),
            origins: f.origins,
        }
    }
}

impl DecisionRow {
    pub(super) fn of(d: &Decision) -> Self {
        Self {
            topic: d.topic.clone(),
            outcome: d.outcome.clone(),
            rule: d.rule.clone(),
            protocol: d.protocol.clone(),
            reason: d.reason.clone(),
            positions: d.positions.clone(),
            dissent: d.dissent.clone(),
            abstained: d.abstained.clone(),
        }
    }
}

pub(super) fn findings(state: &State) -> Vec<FindingRow> {
    state.findings().iter().map(|finding| FindingRow::of(finding)).collect()
}

pub(super) fn decisions(state: &State) -> Vec<DecisionRow> {
    state.decisions().iter().map(|decision| DecisionRow::of(decision)).collect()
}

/// The agent nodes that ever started, in declared order.
fn agent_nodes(state: &State) -> Vec<(NodeIx, &AgentNode)> {
    let nodes = (0..state.nodes.len()).filter_map(|ix| u32::try_from(ix).ok().map(NodeIx));
    let agents = nodes.filter_map(|ix| match &state.node(ix).kind {
        NodeKind::Agent(agent) if state.nodes[ix.index()].attempt > 0 => Some((ix, &**agent)),
        NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) | NodeKind::Scope(_) => None,
    });
    let mut agents: Vec<_> = agents.collect();
    agents.sort_by_cached_key(|(ix, _)| state.position(*ix));
    agents
}

/// The members of the session's own team by role, those of the teams inside it by the member or node that the team is: `lab/logs`.
pub(super) fn contributions(state: &State, timeline: &Timeline) -> Vec<Contribution> {
    let mut by_seat: BTreeMap<(TeamIx, Role), Contribution> = BTreeMap::new();
    for (ix, role, own) in seats(state) {
        let seat = (state.team_of(ix).0, role);
        let spent = state.spent_as(&seat);
        let entry = by_seat.entry(seat.clone()).or_insert_with(|| Contribution {
            agent: name(state, ix, &seat.1),
            output: Value::Null,
            status: "pending",
            findings: Vec::new(),
            turns: spent.turns,
            tool_calls: spent.tool_calls,
            tokens: tokens(&spent.usage),
            cost_usd: spent.usage.cost.dollars(),
            busy_ms: 0.0,
        });
        if own {
            entry.status = state.status_name(ix);
            if let Some(Outcome::Ok(value)) = state.outcome(ix) {
                entry.output = value.clone();
            }
        }
        entry.busy_ms += timeline.busy(ix).as_secs_f64() * 1e3;
    }
    for (team, finding) in state.findings_by_team() {
        if let Some(entry) = by_seat.get_mut(&(team, finding.agent.clone())) {
            entry.findings.push(finding.id.clone());
        }
    }
    let mut rows: Vec<Contribution> = by_seat.into_values().collect();
    rows.sort_by(|a, b| a.agent.cmp(&b.agent));
    rows
}

/// The members that ever began something, in declared order, and whether that is their own work.
fn seats(state: &State) -> Vec<(NodeIx, Role, bool)> {
    let own = |phase| match phase {
        Phase::Work | Phase::Delegate | Phase::Synthesize => true,
        Phase::Validate | Phase::Debate | Phase::Answer => false,
    };
    let nodes = (0..state.nodes.len()).filter_map(|ix| u32::try_from(ix).ok().map(NodeIx));
    let begun = nodes.filter(|ix| state.nodes[ix.index()].attempt > 0);
    let seats = begun.filter_map(|ix| match &state.node(ix).kind {
        NodeKind::Agent(agent) => Some((ix, agent.role.clone(), own(agent.phase))),
        NodeKind::Scope(_) => state.node(ix).role().map(|member| (ix, member.clone(), true)),
        NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) => None,
    });
    let mut seats: Vec<_> = seats.collect();
    seats.sort_by_cached_key(|(ix, ..)| state.position(*ix));
    seats
}

/// A member's role, after the names of what its team is in the teams around it.
fn name(state: &State, node: NodeIx, role: &Role) -> Role {
    let frame = state.frame_of(node);
    match state.instances.get(frame as usize).and_then(|instance| instance.scope) {
        None => role.clone(),
        Some(scope) => {
            let inside = state.node(scope).role().cloned().unwrap_or_else(|| Role(state.node(scope).id.clone()));
            Role::new(format!("{}/{role}", name(state, scope, &inside)))
        }
    }
}

pub(super) fn threads(state: &State, timeline: &Timeline) -> BTreeMap<String, ThreadRow> {
    let rows = agent_nodes(state).into_iter().map(|(ix, agent)| {
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

pub(super) fn warnings(state: &State, records: &[Record]) -> Vec<String> {
    let nodes = (0..state.nodes.len()).filter_map(|ix| u32::try_from(ix).ok().map(NodeIx));
    let failed = nodes.filter_map(|ix| match state.outcome(ix) {
        Some(Outcome::Failed(failure)) => Some((ix, failure)),
        Some(Outcome::Ok(_) | Outcome::Skipped(_) | Outcome::Cancelled) | None => None,
    });
    let mut handled: Vec<_> = failed.filter(|(ix, _)| state.node(*ix).allow_failure || state.node(*ix).caught).collect();
    handled.sort_by_cached_key(|(ix, _)| state.position(*ix));
    let mut told: Vec<String> = Vec::new();
    for (ix, failure) in handled {
        let path = failure.node.clone().unwrap_or_else(|| state.path(ix));
        let warning = format!("{path}: {failure}");
        // A scope hands the failure of a node inside it on.
        if !told.contains(&warning) {
            told.push(warning);
        }
    }
    let lookups = records.iter().filter_map(|record| {
        let Event::ToolReturned { node, call: CallIx::LOOKUP, result, .. } = &record.event else { return None };
        Some((*node, result.outcome.as_ref().err()?))
    });
    let mut failed: Vec<_> = lookups.collect();
    failed.sort_by_cached_key(|(ix, _)| state.position(*ix));
    told.extend(failed.into_iter().map(|(ix, failure)| format!("{}: it began without its knowledge: {failure}", state.path(ix))));
    told
}
