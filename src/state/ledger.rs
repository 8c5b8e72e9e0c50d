//! What has become of the work that was handed out? The ledger: facts, plan and progress, as a projection of the state.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Found, Knows, State};
use crate::{
    event::Outcome,
    graph::{AgentNode, NodeKind, Phase, ScopeKind},
    value::{Failure, FindingStatus, NodeIx, Value},
};

/// Where a sub-task stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// It waits, or somebody is at it; or its result is being checked.
    Open,
    /// It succeeded, and whoever checks it, if anybody does, approves.
    Done,
    /// It failed, or whoever checks it objects or could not say.
    Failed(Arc<Failure>),
    /// It did not run, or was cut off.
    Left,
}

impl Progress {
    /// `open`, `done`, `failed` or `skipped`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Failed(_) => "failed",
            Self::Left => "skipped",
        }
    }
}

impl State {
    /// The nodes of an instance.
    pub fn nodes_in(&self, instance: u32) -> impl DoubleEndedIterator<Item = NodeIx> + use<> {
        let instance = &self.instances[instance as usize];
        let size = u32::try_from(instance.graph.dag.node_count()).unwrap_or(0);
        (instance.base..instance.base.saturating_add(size)).map(NodeIx)
    }

    /// The instances in which sub-tasks of a scope are done, round by round.
    pub fn rounds(&self, scope: NodeIx) -> Vec<u32> {
        let instances = self.scopes.get(&scope).map(|state| state.instances.as_slice()).unwrap_or_default();
        instances.iter().copied().filter(|ix| self.divides(*ix).is_none()).collect()
    }

    /// The activation that divides anew what is left, where an instance of a scope of sub-tasks is one.
    pub fn divides(&self, instance: u32) -> Option<NodeIx> {
        let first = NodeIx(self.instances[instance as usize].base);
        let is = self.nodes_in(instance).next().is_some() && self.agent_node(first).is_some_and(|a| a.phase == Phase::Delegate);
        is.then_some(first)
    }

    /// Whether a node divides anew what is left of sub-tasks: the scope of these.
    pub fn divides_anew(&self, node: NodeIx) -> Option<NodeIx> {
        let scope = self.instance_of(node).scope?;
        let delegates = self.agent_node(node).is_some_and(|agent| agent.phase == Phase::Delegate);
        (delegates && self.is_subtasks(scope)).then_some(scope)
    }

    /// Whether a scope is one of sub-tasks.
    pub fn is_subtasks(&self, scope: NodeIx) -> bool {
        matches!(&self.node(scope).kind, NodeKind::Scope(kind) if matches!(**kind, ScopeKind::Subtasks { .. }))
    }

    /// The sub-tasks of an instance, without those who check them.
    pub fn tasks_in(&self, instance: u32) -> Vec<NodeIx> {
        self.nodes_in(instance).filter(|node| self.node(*node).works()).collect()
    }

    /// Who checks whether a sub-task is done: the node after it, if that does.
    pub fn check_of(&self, node: NodeIx) -> Option<NodeIx> {
        let instance = self.instance_of(node);
        let own = node.0 - instance.base;
        let next = NodeIx(node.0.checked_add(1)?);
        let is_here = (own as usize).saturating_add(1) < instance.graph.dag.node_count();
        let checks = |node: &NodeIx| self.agent_node(*node).is_some_and(|a| a.check && a.proposal == Some(own));
        Some(next).filter(|_| is_here).filter(checks)
    }

    /// Whether a sub-task, or whoever checks it, had not ended when its scope did: what became of it later is not used.
    pub fn is_late(&self, node: NodeIx) -> bool {
        let ended = self.instance_of(node).scope.filter(|scope| self.outcome(*scope).is_some());
        let late = |scope: NodeIx| {
            let upto = self.nodes[scope.index()].ended_at;
            !self.had_ended(node, upto) || self.check_of(node).is_some_and(|check| !self.had_ended(check, upto))
        };
        ended.is_some_and(late)
    }

    /// Where a sub-task stands.
    pub fn progress(&self, node: NodeIx) -> Progress {
        if self.is_late(node) {
            return Progress::Left;
        }
        let stand = |node: NodeIx| match self.outcome(node) {
            None => Progress::Open,
            Some(Outcome::Ok(_)) => Progress::Done,
            Some(Outcome::Failed(failure)) => Progress::Failed(failure.clone()),
            Some(Outcome::Skipped(_) | Outcome::Cancelled) => Progress::Left,
        };
        match (stand(node), self.check_of(node)) {
            (Progress::Done, Some(check)) => stand(check),
            (own, _) => own,
        }
    }

    /// Whether the success of a node is that of a sub-task.
    pub(super) fn makes_progress(&self, scope: NodeIx, node: NodeIx) -> bool {
        if !self.is_subtasks(scope) {
            return true;
        }
        let checks = self.agent_node(node).is_some_and(|agent| agent.check);
        checks || (self.node(node).works() && self.check_of(node).is_none())
    }

    /// Ids of the sub-tasks of a scope that are done, with their results; of one that was done twice, the last.
    pub fn done_in(&self, scope: NodeIx) -> BTreeMap<Arc<str>, NodeIx> {
        let tasks = self.rounds(scope).into_iter().flat_map(|round| self.tasks_in(round));
        tasks.filter(|task| self.progress(*task) == Progress::Done).map(|task| (self.node(task).id.clone(), task)).collect()
    }

    /// Sub-tasks of a scope, of each id the last, in the order in which the ids came up.
    pub fn latest_in(&self, scope: NodeIx) -> Vec<NodeIx> {
        let mut latest: Vec<NodeIx> = Vec::new();
        let mut places: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for task in self.rounds(scope).into_iter().flat_map(|round| self.tasks_in(round)) {
            match places.get(&self.node(task).id) {
                Some(at) => latest[*at] = task,
                None => {
                    places.insert(self.node(task).id.clone(), latest.len());
                    latest.push(task);
                }
            }
        }
        latest
    }

    /// For each round of a scope whether it brought a finding that did not come in a round before, or a sub-task that is done.
    pub fn news_of_rounds(&self, scope: NodeIx) -> Vec<bool> {
        let mut known: BTreeSet<(&str, String, String)> = BTreeSet::new();
        let mut news = |round: u32| {
            let mut inside: BTreeSet<NodeIx> = self.nodes_in(round).collect();
            self.nodes_in(round).for_each(|node| self.below(node, &mut inside));
            let taken = self.context.taken_back.iter().filter(|taken| inside.contains(&taken.node));
            let taken: BTreeSet<usize> = taken.map(|taken| taken.finding).collect();
            let stands = |(index, found): &(usize, &Found)| {
                found.finding.status != FindingStatus::Retracted && inside.contains(&found.node) && !taken.contains(index)
            };
            let said = |found: &'_ Found| found.finding.claim.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
            let found = self.context.findings.iter().enumerate().filter(stands).map(|(_, found)| found);
            let new = found.filter(|f| known.insert((&*f.finding.topic, f.finding.value.to_string(), said(f)))).count();
            new > 0 || self.tasks_in(round).into_iter().any(|task| self.progress(task) == Progress::Done)
        };
        self.rounds(scope).into_iter().map(&mut news).collect()
    }

    /// What was handed out in a scope of sub-tasks and became of it.
    pub fn ledger_of(&self, scope: NodeIx) -> Value {
        let mut knows = self.knows(scope);
        self.below(scope, &mut knows.past);
        knows.past.insert(scope);
        self.ledger(&knows)
    }

    /// What was handed out and became of it, as far as somebody knows: `{facts, plan, rounds, rounds_left}`. Null where nothing was.
    pub fn ledger(&self, knows: &Knows) -> Value {
        let known = |scope: &&NodeIx| self.is_subtasks(**scope) && self.frame_of(**scope) == knows.frame;
        let mut plan: Vec<Value> = Vec::new();
        let (mut most, mut left, mut inside) = (0, 0, false);
        let mut scopes: Vec<NodeIx> = self.scopes.keys().filter(known).copied().collect();
        scopes.sort_by_cached_key(|scope| self.position(*scope));
        for scope in scopes {
            let rounds = self.rounds(scope);
            let here = knows.past.contains(&scope) || self.divides_anew(knows.node) == Some(scope);
            if !here {
                continue;
            }
            inside = true;
            most = most.max(rounds.len());
            left = left.max(self.rounds_left(scope));
            for (number, round) in (1_i64..).zip(&rounds) {
                plan.extend(self.tasks_in(*round).into_iter().map(|task| self.row(task, number)));
            }
        }
        if !inside {
            return Value::Null;
        }
        let facts = self.visible_findings(knows).into_iter().map(|f| {
            Value::map([
                ("topic", Value::Text(f.topic.clone())),
                ("claim", Value::Text(f.claim.clone())),
                ("agent", Value::Text(f.agent.0.clone())),
                ("confidence", Value::float(f.confidence).unwrap_or_default()),
                ("status", Value::of(&f.status).unwrap_or_default()),
            ])
        });
        Value::map([
            ("facts", Value::list(facts)),
            ("plan", Value::list(plan)),
            ("rounds", Value::Int(i64::try_from(most).unwrap_or(i64::MAX))),
            ("rounds_left", Value::Int(i64::from(left))),
        ])
    }

    /// The rounds in which what is left of a scope of sub-tasks may be divided anew.
    pub fn rounds_left(&self, scope: NodeIx) -> u32 {
        let NodeKind::Scope(kind) = &self.node(scope).kind else { return 0 };
        let ScopeKind::Subtasks { replan: Some(replan), .. } = &**kind else { return 0 };
        let held = u32::try_from(self.rounds(scope).len()).unwrap_or(u32::MAX).saturating_sub(1);
        replan.max.saturating_sub(held)
    }

    /// A line of the plan.
    fn row(&self, task: NodeIx, round: i64) -> Value {
        let node = self.node(task);
        let progress = self.progress(task);
        let text = |text: Option<&Arc<str>>| text.cloned().map_or(Value::Null, Value::Text);
        let error = if let Progress::Failed(failure) = &progress { Value::text(failure.to_string()) } else { Value::Null };
        Value::map([
            ("id", Value::Text(node.id.clone())),
            ("agent", text(node.role().map(|role| &role.0))),
            ("task", text(node.brief())),
            ("done_when", text(node.done_when())),
            ("status", Value::text(progress.name())),
            ("error", error),
            ("round", Value::Int(round)),
            ("attempts", Value::Int(i64::from(self.nodes[task.index()].attempt))),
        ])
    }

    /// What an agent node does.
    pub fn agent_node(&self, node: NodeIx) -> Option<&AgentNode> {
        if let NodeKind::Agent(agent) = &self.node(node).kind { Some(agent) } else { None }
    }

    /// The activation of a sub-task and those who delegated it, upwards to the one that the coordinator or `route` gave out;
    /// `None` for what is no sub-task.
    pub fn chain(&self, node: NodeIx) -> Option<Vec<NodeIx>> {
        let mut chain = vec![node];
        let mut at = node;
        while let Some(above) = self.instance_of(at).scope {
            match &self.node(above).kind {
                NodeKind::Agent(_) => chain.push(above),
                NodeKind::Scope(_) if self.is_subtasks(above) => return Some(chain),
                NodeKind::Scope(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) => return None,
            }
            at = above;
        }
        None
    }
}
