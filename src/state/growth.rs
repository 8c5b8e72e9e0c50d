//! How does a plan come to life? Instances of graphs, at the start and wherever a scope grows.

use std::{collections::BTreeMap, sync::Arc};

use super::{Budget, Due, FoldError, Instance, NodeState, Ready, Stand, State, Todo};
use crate::{
    event::{EVENT_VERSION, Event, Grown, GrownFrom, Record},
    graph::{Graph, NodeKind, On, ScopeKind},
    state::{Context, Spent, Timer, Timers},
    value::{AskId, Epoch, NodeIx, Seq, TemplateIx, Value},
};

impl State {
    /// The state after the first record.
    ///
    /// # Errors
    /// The record is not the start of a session, or of a later version.
    pub fn start(first: &Record) -> Result<Self, FoldError> {
        let Event::Started(started) = &first.event else { return Err(FoldError::NoStart) };
        if first.seq != Seq(0) {
            return Err(FoldError::Gap { expected: Seq(0), found: first.seq });
        }
        if started.version > EVENT_VERSION {
            return Err(FoldError::Version { found: started.version, known: EVENT_VERSION });
        }
        let plan = started.plan.clone();
        let mut state = Self {
            started: started.clone(),
            started_at: first.at,
            seq: Seq(1),
            now: first.at,
            at: first.at,
            epoch: Epoch(0),
            instances: Vec::new(),
            nodes: Vec::new(),
            scopes: BTreeMap::new(),
            circles: std::collections::BTreeSet::new(),
            activations: BTreeMap::new(),
            calling: std::collections::BTreeSet::new(),
            ready: Ready::new(plan.max_parallel),
            todo: Todo::default(),
            faults: BTreeMap::new(),
            timers: Timers::default(),
            context: Context::default(),
            answered: BTreeMap::new(),
            asks: BTreeMap::new(),
            told: BTreeMap::new(),
            notices: BTreeMap::new(),
            next_ask: AskId(0),
            late: std::collections::BTreeSet::new(),
            unsure: std::collections::BTreeSet::new(),
            origins: BTreeMap::new(),
            spent: Spent::default(),
            spent_by: BTreeMap::new(),
            spent_in: BTreeMap::new(),
            spent_within: BTreeMap::new(),
            spent_on: BTreeMap::new(),
            budget: Budget::of(&plan),
            stopping: None,
            cancelled: false,
            parked: false,
            aggregating: 0,
            finale: None,
            ending: Value::Null,
            seat_turns: BTreeMap::new(),
            second_chances: BTreeMap::new(),
            delegated: BTreeMap::new(),
            asks_made: BTreeMap::new(),
            threads: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            provisional: None,
            warnings: Vec::new(),
            forked: None,
            taken: BTreeMap::new(),
            finished: None,
        };
        if let Some(seconds) = plan.limits.wall_seconds {
            state.timers.set(Timer::Wall, first.at.after(std::time::Duration::from_secs(seconds)));
        }
        let Some(root) = plan.graphs.first() else { return Err(state.contradiction("the plan has no graph")) };
        state.instantiate(root, None, 0, Arc::from(""));
        Ok(state)
    }

    pub(super) fn apply_grown(&mut self, grown: &Grown) -> Result<(), FoldError> {
        if self.started.plan.finally.is_some_and(|f| matches!(&grown.of, GrownFrom::Plan(ix) if *ix == f)) {
            return self.begin_finale(grown);
        }
        let scope = grown.node;
        let Some(open) = self.scopes.get(&scope).filter(|_| self.nodes[scope.index()].stand == Stand::Running) else {
            return Err(self.contradiction(format!("node {scope} is no open scope")));
        };
        let items = open.bound.as_list().map_or(0, |items| items.len().saturating_sub(open.instances.len()));
        if grown.count as usize > items.max(1) {
            return Err(self.contradiction(format!("scope {scope} grows beyond its items")));
        }
        self.todo.scopes.remove(&scope);
        self.hand_on_origins(scope);
        for offset in 0..grown.count {
            let number = grown.first.saturating_add(offset);
            let (graph, path) = match &grown.of {
                GrownFrom::Plan(ix) => (self.plan_graph(*ix)?, self.instance_path(scope, number)),
                GrownFrom::Made { path, graph } => (graph.clone(), path.clone()),
            };
            if graph.team.index() >= self.started.plan.teams.len() {
                return Err(self.contradiction(format!("the plan has no team {}", graph.team)));
            }
            let instance = u32::try_from(self.instances.len()).unwrap_or(u32::MAX);
            let state = self.scopes.entry(scope).or_default();
            state.instances.push(instance);
            state.grown += 1;
            state.open += 1;
            if let Some(topic) = state.topics.first_mut() {
                topic.debates.push(instance);
            }
            if let Some(role) = graph.dag.node_weights().next().and_then(|n| n.role())
                && self.seats_members(scope)
            {
                let first = NodeIx(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
                self.seat_in(scope, role.clone(), first);
            }
            self.instantiate(&graph, Some(scope), number, path);
        }
        if self.circle(scope).is_some() {
            self.circle_is_due(scope);
        }
        Ok(())
    }

    fn plan_graph(&self, ix: TemplateIx) -> Result<Arc<Graph>, FoldError> {
        let graph = self.started.plan.graphs.get(ix.index()).cloned();
        graph.ok_or_else(|| self.contradiction(format!("the plan has no graph {ix}")))
    }

    /// What runs at the very end runs to its own end: the session's running time is no limit to it.
    fn begin_finale(&mut self, grown: &Grown) -> Result<(), FoldError> {
        if self.finale.is_some() {
            return Err(self.contradiction("`finally` runs once"));
        }
        let GrownFrom::Plan(ix) = &grown.of else { return Err(self.contradiction("`finally` is a graph of the plan")) };
        let graph = self.plan_graph(*ix)?;
        self.timers.clear(Timer::Wall);
        self.finale = u32::try_from(self.instances.len()).ok();
        self.ending = grown.bound.clone();
        self.instantiate(&graph, None, 0, Arc::from(""));
        Ok(())
    }

    /// Whether a scope runs a team of its own.
    fn opens_frame(&self, scope: NodeIx) -> bool {
        matches!(&self.node(scope).kind, NodeKind::Scope(kind) if matches!(**kind, ScopeKind::Group { with: Some(_), .. }))
    }

    /// Whether a scope grows by the work of one member after another.
    fn seats_members(&self, scope: NodeIx) -> bool {
        let seats = |kind: &ScopeKind| matches!(kind, ScopeKind::Relay { .. } | ScopeKind::Circle { .. });
        matches!(&self.node(scope).kind, NodeKind::Scope(kind) if seats(kind))
    }

    fn instance_path(&self, scope: NodeIx, number: u32) -> Arc<str> {
        match &self.node(scope).kind {
            NodeKind::Scope(kind) => match &**kind {
                ScopeKind::ForEach { .. } | ScopeKind::Repeat { .. } => Arc::from(number.to_string()),
                ScopeKind::Group { .. }
                | ScopeKind::Subtasks { .. }
                | ScopeKind::Relay { .. }
                | ScopeKind::Circle { .. }
                | ScopeKind::Settle(_) => Arc::from(""),
            },
            NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) => Arc::from(""),
        }
    }

    /// The first instance of a scope's current attempt, where `ix` is a further one: what limits one limits them all together.
    fn first_instance(&self, scope: Option<NodeIx>, ix: u32) -> Option<&super::Instance> {
        let first = *self.scopes.get(&scope?)?.instances.first().filter(|first| **first != ix)?;
        self.instances.get(first as usize)
    }

    pub(super) fn instantiate(&mut self, graph: &Arc<Graph>, scope: Option<NodeIx>, number: u32, path: Arc<str>) {
        let base = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let ix = u32::try_from(self.instances.len()).unwrap_or(u32::MAX);
        let (outer, tail) = scope.map_or((0, 0), |s| (self.instance_of(s).limiter, self.rank(s)));
        let ordinal = scope.and_then(|s| self.scopes.get(&s)).map_or(u32::from(ix > 0 && scope.is_none()), |s| s.grown);
        let limiter = graph.concurrency.map_or(outer, |limit| match self.first_instance(scope, ix) {
            Some(first) => first.limiter,
            None => self.ready.nest(outer, limit),
        });
        // What runs at the very end belongs to the session's own team.
        let frame = scope.map_or(0, |s| if self.opens_frame(s) { ix } else { self.frame_of(s) });
        let size = graph.dag.node_count();
        let mut sources = vec![(0_u32, 0_u32); size];
        for edge in graph.dag.raw_edges() {
            let (all, conditions) = &mut sources[edge.target().index()];
            *all += 1;
            *conditions += u32::from(matches!(edge.weight.on, On::When(_)));
        }
        self.instances.push(Instance {
            graph: graph.clone(),
            scope,
            base,
            number,
            path,
            open: u32::try_from(size).unwrap_or(u32::MAX),
            failed: None,
            limiter,
            tail,
            ordinal,
            frame,
        });
        self.nodes.reserve(size);
        for (count, conditions) in &sources {
            self.nodes.push(NodeState {
                instance: ix,
                met: 0,
                unmet: 0,
                sources: *count,
                conditions: *conditions,
                attempt: 0,
                stand: Stand::Waiting,
                ready_at: Seq(0),
                ended_at: Seq(0),
                outcome: None,
            });
        }
        for (offset, (count, _)) in (0_u32..).zip(&sources) {
            if *count == 0 {
                self.make_ready(NodeIx(base + offset));
            }
        }
        if size == 0
            && let Some(scope) = scope
        {
            self.close_instance(scope, ix);
        }
    }

    /// The longest path from a node to the end of the session, in expected seconds.
    pub fn rank(&self, node: NodeIx) -> u64 {
        let instance = self.instance_of(node);
        let own = instance.graph.rank.get((node.0 - instance.base) as usize).copied().unwrap_or(1);
        instance.tail.saturating_add(u64::from(own))
    }

    pub(super) fn make_ready(&mut self, node: NodeIx) {
        let state = &mut self.nodes[node.index()];
        state.stand = Stand::Ready;
        // A further attempt works with what there was for the first one: what came too late for that is too late.
        if state.ready_at == Seq(0) {
            state.ready_at = self.seq;
        }
        self.timers.clear(Timer::Join(node));
        self.await_joins(node);
        match &self.node(node).kind {
            NodeKind::Agent(_) | NodeKind::Tool(_) => self.want(node, Due::Start),
            NodeKind::Gate(_) | NodeKind::Ask(_) | NodeKind::Scope(_) => {
                self.todo.inline.insert(node);
            }
        }
    }

    /// Puts `due` of a node among what waits for a slot.
    pub(super) fn want(&mut self, node: NodeIx, due: Due) {
        let key = (std::cmp::Reverse(self.rank(node)), node, due);
        self.ready.insert(self.instance_of(node).limiter, key);
    }

    /// Takes `due` of a node from what waits for a slot.
    pub(super) fn unwant(&mut self, node: NodeIx, due: Due) {
        let key = (std::cmp::Reverse(self.rank(node)), node, due);
        let limiter = self.instance_of(node).limiter;
        self.ready.remove(limiter, key);
    }

    /// One instance of a scope, or of what grew below an agent, has no open node any more.
    pub(super) fn close_instance(&mut self, scope: NodeIx, instance: u32) {
        if matches!(self.node(scope).kind, NodeKind::Agent(_)) {
            return self.back(scope, instance);
        }
        let Some(state) = self.scopes.get_mut(&scope) else { return };
        state.open = state.open.saturating_sub(1);
        if self.circle(scope).is_some() {
            return self.rests(scope, instance);
        }
        let Some(state) = self.scopes.get(&scope) else { return };
        let complete = state.open == 0;
        let more = state.bound.as_list().is_some_and(|items| state.instances.len() < items.len());
        if (complete || (more && self.is_for_each(scope))) && self.nodes[scope.index()].stand == Stand::Running {
            self.todo.scopes.insert(scope);
        }
    }

    fn is_for_each(&self, scope: NodeIx) -> bool {
        matches!(&self.node(scope).kind, NodeKind::Scope(kind) if matches!(**kind, ScopeKind::ForEach { .. }))
    }
}
