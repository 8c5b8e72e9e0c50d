//! What was handed out, round by round, to whom and why, and what became of it? [`DelegationRow`].

use std::sync::Arc;

use serde::Serialize;

use crate::{
    graph::{GateBy, NodeKind, Phase},
    state::{Progress, State},
    value::{NodeIx, Role, RuleKind, Score, Subtask, Value},
};

/// A task that was divided.
#[derive(Clone, Debug, Serialize)]
pub struct DelegationRow {
    /// Where its parts hang: `work`, `work/2` for the second round, `work/ID/sub` for what an agent gave to colleagues.
    pub node: Arc<str>,
    /// Who divided it: a role, `route`, or `nobody` where all members work on the whole.
    pub by: Arc<str>,
    /// Why the division of that agent could not be used, so that something else was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Arc<str>>,
    /// The parts.
    pub subtasks: Vec<SubtaskRow>,
}

/// A part of it.
#[derive(Clone, Debug, Serialize)]
pub struct SubtaskRow {
    /// Where it was done.
    pub node: Arc<str>,
    /// Its id.
    pub id: Arc<str>,
    /// Who did it.
    pub agent: Option<Role>,
    /// What was to be done.
    pub task: Arc<str>,
    /// How one sees that it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_when: Option<Arc<str>>,
    /// `open`, `done`, `failed` or `skipped`.
    pub status: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Attempts that were made.
    pub attempts: u32,
    /// How well agents fitted the skills that it asked for, the one who was chosen first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<Score>,
}

/// Every division of a task, in declared order.
pub(super) fn delegations(state: &State) -> Vec<DelegationRow> {
    let mut above: Vec<NodeIx> = state.scopes.keys().copied().filter(|node| state.is_subtasks(*node)).collect();
    above.extend(state.delegated.keys().copied().filter(|node| state.agent_node(*node).is_some_and(|a| a.phase == Phase::Work)));
    above.sort_by_cached_key(|node| state.position(*node));
    above
        .into_iter()
        .flat_map(|node| if state.is_subtasks(node) { rounds(state, node) } else { vec![below(state, node)] })
        .collect()
}

/// The rounds of a scope.
fn rounds(state: &State, scope: NodeIx) -> Vec<DelegationRow> {
    let Some(open) = state.scopes.get(&scope) else { return Vec::new() };
    let mut rows = Vec::new();
    let first =
        state.followed(scope).into_iter().find(|node| state.agent_node(*node).is_some_and(|a| a.phase == Phase::Delegate));
    let mut seat = first;
    let mut said = open.bound.clone();
    for instance in &open.instances {
        if let Some(divider) = state.divides(*instance) {
            (seat, said) = (Some(divider), state.output(divider));
            if said.as_list().is_none_or(<[Value]>::is_empty) {
                rows.push(row(state, state.path(divider), by(state, divider), Some(divider), Vec::new()));
            }
            continue;
        }
        let who = seat.map_or_else(|| by(state, scope), |seat| by(state, seat));
        let node = match rows.len() {
            0 => state.path(scope),
            _ => Arc::from(format!("{}/{}", state.path(scope), state.instances[*instance as usize].path)),
        };
        rows.push(row(state, node, who, seat, parts(state, *instance, &said)));
        (seat, said) = (None, Value::Null);
    }
    rows
}

/// What an agent gave to colleagues.
fn below(state: &State, agent: NodeIx) -> DelegationRow {
    let instances = state.scopes.get(&agent).map(|scope| scope.instances.as_slice()).unwrap_or_default();
    let instance = instances.iter().find(|ix| !state.tasks_in(**ix).is_empty());
    let said = state.delegated.get(&agent).and_then(|d| Value::of(&d.subtasks).ok()).unwrap_or_default();
    let parts = instance.map(|ix| parts(state, *ix, &said)).unwrap_or_default();
    row(state, Arc::from(format!("{}/sub", state.path(agent))), by(state, agent), Some(agent), parts)
}

fn row(state: &State, node: Arc<str>, by: Arc<str>, seat: Option<NodeIx>, subtasks: Vec<SubtaskRow>) -> DelegationRow {
    let fallback = seat.and_then(|seat| state.delegated.get(&seat)?.fallback.clone());
    DelegationRow { node, by, fallback, subtasks }
}

/// Who divided: an agent, or what the scope follows.
fn by(state: &State, node: NodeIx) -> Arc<str> {
    if let Some(role) = state.role_of(node) {
        return role.0.clone();
    }
    let before = state.followed(node);
    let all = |node: &NodeIx| matches!(&state.node(*node).kind, NodeKind::Gate(GateBy::Members(RuleKind::Route, _)));
    Arc::from(if before.iter().any(all) { "nobody" } else { "route" })
}

fn parts(state: &State, instance: u32, said: &Value) -> Vec<SubtaskRow> {
    let said = said.to::<Vec<Subtask>>().unwrap_or_default();
    let part = |task: NodeIx| {
        let (described, progress) = (state.node(task), state.progress(task));
        let id = described.id.clone();
        let scores = said.iter().find(|other| other.id == id).map(|other| other.scores.clone()).unwrap_or_default();
        SubtaskRow {
            node: state.path(task),
            agent: described.role().cloned(),
            task: described.brief().cloned().unwrap_or_default(),
            done_when: described.done_when().cloned(),
            status: progress.name(),
            error: if let Progress::Failed(failure) = &progress { Some(failure.to_string()) } else { None },
            attempts: state.nodes[task.index()].attempt,
            scores,
            id,
        }
    };
    state.tasks_in(instance).into_iter().map(part).collect()
}
