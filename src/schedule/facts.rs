//! What does each rule get to know?

use std::{collections::BTreeMap, sync::Arc};

use petgraph::Direction;

use super::Scheduler;
use crate::{
    event::Outcome,
    graph::{Member, NodeKind, ScopeKind},
    state::{Progress, ScopeState},
    value::{
        AgentFacts, Call, EffectClass, Failure, HandoffFacts, MergeFacts, NodeIx, Origin, OwnFacts, PartFacts, PermitFacts,
        Position, ReconcileFacts, Role, RouteFacts, SeatFacts, SettleFacts, Value,
    },
};

impl Scheduler {
    /// What a node works on: what its `input` filter leaves, else the outputs of the nodes it follows.
    pub(super) fn input_of(&self, node: NodeIx) -> Result<Value, crate::value::RuleError> {
        match &self.state.node(node).input {
            Some(expr) => self.judge.eval(expr, &self.state.names(&expr.refs, self.state.at(node))),
            None => Ok(self.state.inputs_of(node)),
        }
    }

    pub(super) fn agents(&self, node: NodeIx, only: &[Role]) -> Vec<AgentFacts> {
        let members = self.state.team_of(node).1.members.iter();
        members.filter(|m| only.is_empty() || only.contains(&m.role)).map(Member::facts).collect()
    }

    /// What `route` knows, at a gate or where what is left of sub-tasks is divided anew; `stall` says why that may come to nothing.
    pub(super) fn route_facts(&self, node: NodeIx, input: Value, stall: Option<&str>) -> Value {
        let anew = self.state.is_subtasks(node);
        let rounds = if anew { self.state.rounds(node).len() } else { 0 };
        let facts = RouteFacts {
            task: self.state.task_at(node).clone(),
            inputs: self.state.inputs_at(node),
            node: self.state.path(node),
            input,
            agents: self.able(node, &[]),
            max_tasks: anew.then_some(self.state.team_of(node).1.max_tasks),
            round: u32::try_from(rounds + 1).unwrap_or(u32::MAX),
            rounds_left: if anew { self.state.rounds_left(node) } else { 0 },
            ledger: if anew { self.state.ledger_of(node) } else { Value::Null },
            stall: stall.map(Arc::from),
        };
        Value::of(&facts).unwrap_or_default()
    }

    pub(super) fn handoff_facts(&self, scope: NodeIx, state: &ScopeState, candidates: &[Role], left: u32) -> Value {
        let relay = &state.seats;
        let Some((from, last)) = relay.last() else { return Value::Null };
        let facts = HandoffFacts {
            task: self.state.task_at(scope).clone(),
            inputs: self.state.inputs_at(scope),
            node: self.state.path(scope),
            from: from.clone(),
            output: self.state.output(*last),
            done: relay.iter().map(|(role, node)| SeatFacts { role: role.clone(), output: self.state.output(*node) }).collect(),
            candidates: self.agents(scope, candidates),
            handoffs_left: left,
            requested: state.wish.clone(),
        };
        Value::of(&facts).unwrap_or_default()
    }

    #[expect(clippy::too_many_arguments, reason = "one argument per fact of the rule")]
    pub(super) fn settle_facts(
        &self,
        scope: NodeIx,
        over: &str,
        topic: &Arc<str>,
        (positions, abstained): (&[Position], &[Role]),
        round: u32,
        rounds_left: u32,
        proposal: Value,
        members: &[Role],
    ) -> Value {
        let facts = SettleFacts {
            task: self.state.task_at(scope).clone(),
            inputs: self.state.inputs_at(scope),
            node: self.state.path(scope),
            over: Arc::from(over),
            topic: topic.clone(),
            positions: positions.to_vec(),
            round,
            rounds_left,
            proposal,
            members: members.to_vec(),
            abstained: abstained.to_vec(),
            has_coordinator: self.state.team_of(scope).1.coordinator.is_some(),
        };
        Value::of(&facts).unwrap_or_default()
    }

    pub(super) fn permit_facts(&self, node: NodeIx, call: &Call, effect: EffectClass) -> Value {
        let from = self.args_from(node, &call.args);
        let facts = PermitFacts {
            task: self.state.task_at(node).clone(),
            inputs: self.state.inputs_at(node),
            node: self.state.path(node),
            role: self.state.role_of(node).cloned().unwrap_or_else(|| Role::new("tool")),
            tool: call.tool.clone(),
            args: call.args.clone(),
            effect,
            turn: self.state.activations.get(&node).map_or(0, |a| a.turn.0),
            origins: self.state.origins_at(node).list(),
            args_from: from.into_keys().map(|pointer| (pointer, vec![Origin::Untrusted])).collect(),
        };
        Value::of(&facts).unwrap_or_default()
    }

    pub(super) fn reconcile_facts(&self, node: NodeIx, tool: &Arc<str>, args: &Value, failure: Option<Failure>) -> Value {
        let facts = ReconcileFacts {
            task: self.state.task_at(node).clone(),
            inputs: self.state.inputs_at(node),
            node: self.state.path(node),
            role: self.state.role_of(node).cloned(),
            tool: tool.clone(),
            args: args.clone(),
            failure,
        };
        Value::of(&facts).unwrap_or_default()
    }

    /// The parts that a node joins: the nodes that it follows, in declared order. Where findings were settled in between, those
    /// before that; of a scope that members work in, their work one by one.
    pub(super) fn parts(&self, node: NodeIx) -> Vec<PartFacts> {
        let instance = self.state.instance_of(node);
        let sources = instance.graph.dag.neighbors_directed(self.state.local(node), Direction::Incoming);
        let mut sources: Vec<NodeIx> =
            sources.map(|source| NodeIx(instance.base + u32::try_from(source.index()).unwrap_or(u32::MAX))).collect();
        sources.sort();
        let followed = self.state.followed(node);
        let part = |source: NodeIx| match followed.contains(&source) {
            true => self.work_of(source),
            false => vec![self.late_part(source)],
        };
        sources.into_iter().flat_map(part).collect()
    }

    /// A part that had not ended when it was needed; what became of it later is not used.
    fn late_part(&self, node: NodeIx) -> PartFacts {
        let role = self.state.node(node).role().cloned();
        PartFacts { id: self.state.node(node).id.clone(), role, status: Arc::from("late"), output: Value::Null, error: None }
    }

    fn work_of(&self, node: NodeIx) -> Vec<PartFacts> {
        let NodeKind::Scope(kind) = &self.state.node(node).kind else { return vec![self.part(node)] };
        let scope = self.state.scopes.get(&node);
        match &**kind {
            ScopeKind::Settle(_) => self.parts(node),
            ScopeKind::Subtasks { .. } => self.state.latest_in(node).into_iter().map(|task| self.subtask(task)).collect(),
            ScopeKind::Circle { members, .. } => {
                let seats = scope.map(|scope| scope.seats.as_slice()).unwrap_or_default();
                let own =
                    |role: &Role| seats.iter().filter(|(member, _)| member == role).map(|(_, seat)| *seat).collect::<Vec<_>>();
                let ok = |seat: &NodeIx| matches!(self.state.outcome(*seat), Some(Outcome::Ok(_)));
                let last = |role: &Role| own(role).iter().rfind(|seat| ok(seat)).or(own(role).last()).copied();
                let part = |role: &Role| Some(PartFacts { id: role.0.clone(), ..self.part(last(role)?) });
                members.iter().filter_map(part).collect()
            }
            ScopeKind::ForEach { .. } | ScopeKind::Repeat { .. } | ScopeKind::Group { .. } | ScopeKind::Relay { .. } => {
                vec![self.part(node)]
            }
        }
    }

    /// The part that is a sub-task: it failed when whoever checked it objects.
    fn subtask(&self, task: NodeIx) -> PartFacts {
        if self.state.is_late(task) {
            return self.late_part(task);
        }
        let part = self.part(task);
        match self.state.progress(task) {
            Progress::Failed(failure) if part.error.is_none() => {
                PartFacts { status: Arc::from("failed"), output: Value::Null, error: Some((*failure).clone()), ..part }
            }
            Progress::Failed(_) | Progress::Open | Progress::Done | Progress::Left => part,
        }
    }

    fn part(&self, node: NodeIx) -> PartFacts {
        let error = match self.state.outcome(node) {
            Some(Outcome::Failed(failure)) => Some((**failure).clone()),
            Some(Outcome::Ok(_) | Outcome::Skipped(_) | Outcome::Cancelled) | None => None,
        };
        PartFacts {
            id: self.state.node(node).id.clone(),
            role: self.state.node(node).role().cloned(),
            status: Arc::from(self.state.status_name(node)),
            output: self.state.output(node),
            error,
        }
    }

    pub(super) fn merge_facts(&self, node: NodeIx) -> Value {
        let facts = MergeFacts {
            task: self.state.task_at(node).clone(),
            inputs: self.state.inputs_at(node),
            node: self.state.path(node),
            results: self.parts(node),
            findings: self.state.visible_findings(&self.state.knows(node)),
        };
        Value::of(&facts).unwrap_or_default()
    }

    pub(super) fn own_facts(&self, node: NodeIx, input: Value) -> Value {
        let knows = self.state.knows(node);
        let variables: BTreeMap<Arc<str>, Value> =
            self.state.visible_variables(&knows).into_iter().map(|(k, v)| (Arc::from(k), v)).collect();
        let facts = OwnFacts {
            task: self.state.task_at(node).clone(),
            inputs: self.state.inputs_at(node),
            node: self.state.path(node),
            input,
            findings: self.state.visible_findings(&knows),
            decisions: self.state.visible_decisions(&knows),
            variables,
        };
        Value::of(&facts).unwrap_or_default()
    }
}
