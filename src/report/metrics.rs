//! How did it go? [`Metrics`], the mission's success metrics, from the journal.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use super::{Reused, Timeline, critical::critical_path};
use crate::{
    graph::NodeKind,
    state::State,
    value::{FindingStatus, NodeIx, Role, Value, abstains},
};

/// Times are running time in milliseconds: parked time and outages do not count.
#[derive(Clone, Debug, Serialize)]
pub struct Metrics {
    /// From start to end.
    pub makespan_ms: f64,
    /// The longest chain of node times; no schedule can be faster.
    pub critical_path_ms: f64,
    /// The sum of the times of all agents and tool nodes, people apart: what one after another would take. Of what still runs, so far.
    pub sequential_ms: f64,
    /// `sequential_ms` − `makespan_ms`, where positive.
    pub saved_ms: f64,
    /// Busy time ÷ Σ min(limit, running + waiting for a slot) · dt: the share of the possible parallel time that was used. 1 when nothing could run.
    pub utilization: f64,
    /// Time with no model, tool or question in flight ÷ makespan.
    pub overhead: f64,
    /// Topics with a majority value and no objection ÷ topics with two or more positions; null without such topics.
    pub agreement: Option<f64>,
    /// Turns of all agents.
    pub turns: u64,
    /// Model calls, scripts included.
    pub model_calls: u64,
    /// Tool calls, collaboration apart.
    pub tool_calls: u64,
    /// Tokens read and written.
    pub tokens: u64,
    /// What it cost, in US dollars.
    pub cost_usd: f64,
    /// What was taken over from an earlier session, where one does that. Its turns count above, its calls, tokens and cost do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reused: Option<Reused>,
}

impl Metrics {
    pub(super) fn of(state: &State, timeline: &Timeline) -> Self {
        let ms = |d: std::time::Duration| d.as_secs_f64() * 1e3;
        let makespan = ms(timeline.makespan);
        let work = timeline.nodes.keys().filter(|ix| is_work(state, **ix));
        let sequential = ms(work.map(|ix| timeline.busy(*ix)).sum());
        let share = |part: std::time::Duration, whole: f64| if whole > 0.0 { ms(part) / whole } else { 0.0 };
        Self {
            makespan_ms: makespan,
            critical_path_ms: ms(critical_path(state, timeline)).min(makespan),
            sequential_ms: sequential,
            saved_ms: if sequential > makespan { sequential - makespan } else { 0.0 },
            utilization: if timeline.possible.is_zero() { 1.0 } else { share(timeline.busy, ms(timeline.possible)) },
            overhead: share(timeline.idle, makespan),
            agreement: agreement(state),
            turns: state.spent.turns,
            model_calls: state.spent.model_calls,
            tool_calls: state.spent.tool_calls,
            tokens: super::tokens(&state.spent.usage),
            cost_usd: state.spent.usage.cost.dollars(),
            reused: Reused::of(state),
        }
    }
}

fn is_work(state: &State, node: NodeIx) -> bool {
    match &state.node(node).kind {
        NodeKind::Agent(_) | NodeKind::Tool(_) => true,
        NodeKind::Gate(_) | NodeKind::Ask(_) | NodeKind::Scope(_) => false,
    }
}

/// Agreement over the topics of findings, of each team at work, and over votes on results and proposals. Who abstains holds no
/// position.
fn agreement(state: &State) -> Option<f64> {
    let mut topics: BTreeMap<(u32, Arc<str>), BTreeMap<Role, Value>> = BTreeMap::new();
    for (node, finding) in state.findings_by_node() {
        if finding.status != FindingStatus::Retracted && !abstains(&finding.value) {
            let topic = topics.entry((state.frame_of(node), finding.topic.clone())).or_default();
            topic.insert(finding.agent.clone(), finding.value.clone());
        }
    }
    let of_findings = topics.values().filter(|held| held.len() >= 2).map(|held| has_majority(held.values()));
    let decisions = state.decisions();
    let voted = |topic: &'static str| decisions.iter().filter(move |d| *d.topic == *topic && d.positions.len() >= 2);
    let of_results = voted("result").map(|d| has_majority(d.positions.iter().map(|p| &p.value)));
    let of_proposals = voted("proposal").map(|d| d.positions.iter().all(|p| p.value.as_str() == Some("approve")));
    let agreed: Vec<bool> = of_findings.chain(of_results).chain(of_proposals).collect();
    if agreed.is_empty() {
        return None;
    }
    let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    Some(count(agreed.iter().filter(|a| **a).count()) / count(agreed.len()))
}

/// Whether more than half hold the same.
fn has_majority<'v>(values: impl Iterator<Item = &'v Value>) -> bool {
    let values: Vec<&Value> = values.collect();
    values.iter().any(|value| values.iter().filter(|other| other == &value).count() * 2 > values.len())
}
