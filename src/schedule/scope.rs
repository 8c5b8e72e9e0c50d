//! Does a scope grow, or is it done?

use std::sync::Arc;

use super::{Scheduler, grow, rule_failure};
use crate::{
    event::{Event, Grown, GrownFrom, Outcome},
    graph::{Node, NodeKind, Phase, ScopeKind},
    state::{At, FoldError, ScopeState},
    value::{Expr, Failure, FailureKind, NodeIx, Role, RuleKind, TemplateIx, Value, Verdict},
};

impl Scheduler {
    /// Looks at an open scope: grows it, ends it, or leaves it to its children.
    pub(super) fn look_at_scope(&mut self, node: NodeIx) -> Result<(), FoldError> {
        let graph = self.state.instance_of(node).graph.clone();
        let NodeKind::Scope(kind) = &graph.dag[self.state.local(node)].kind else {
            return Err(FoldError::Contradiction { seq: self.state.seq, reason: format!("node {node} is no scope") });
        };
        let Some(scope) = self.state.scopes.get(&node) else {
            return Err(FoldError::Contradiction { seq: self.state.seq, reason: format!("scope {node} is not open") });
        };
        match &**kind {
            ScopeKind::ForEach { parallel, body, .. } => self.for_each(node, *parallel, *body),
            ScopeKind::Repeat { max, until, body } => self.repeat(node, *max, until.as_ref(), *body),
            ScopeKind::Group { body, .. } => self.group(node, *body),
            ScopeKind::Subtasks { .. } => self.subtasks(node, kind),
            ScopeKind::Relay { members, max_handoffs, like } => {
                let scope = scope.clone();
                self.relay(node, &scope, members, *max_handoffs, like)
            }
            ScopeKind::Circle { members, like } => self.look_at_circle(node, members, like),
            ScopeKind::Settle(spec) => {
                let scope = scope.clone();
                self.settle_topics(node, &scope, spec)
            }
        }
    }

    fn grow(&mut self, node: NodeIx, of: GrownFrom, first: u32, count: u32) -> Result<(), FoldError> {
        self.emit(Event::Grown(Box::new(Grown { node, of, first, count, call: None, bound: Value::Null })))
    }

    pub(super) fn grow_made(&mut self, node: NodeIx, path: &str, graph: crate::graph::Graph) -> Result<(), FoldError> {
        self.grow(node, GrownFrom::Made { path: Arc::from(path), graph: Arc::new(graph) }, 0, 1)
    }

    pub(super) fn idle(&self, node: NodeIx) -> FoldError {
        FoldError::Contradiction { seq: self.state.seq, reason: format!("scope {node} has nothing to decide") }
    }

    /// How many instances a scope has, how many of them are open, and the last.
    fn extent(&self, node: NodeIx) -> (u32, u32, Option<u32>) {
        let scope = self.state.scopes.get(&node);
        scope.map_or((0, 0, None), |s| (count(&s.instances), s.open, s.instances.last().copied()))
    }

    /// Ends a scope, or lets it be tried again.
    pub(super) fn close(&mut self, node: NodeIx, outcome: Result<Value, Failure>) -> Result<(), FoldError> {
        match outcome {
            Ok(value) => self.end(node, Outcome::Ok(value)),
            Err(failure) => self.attempt_failed(node, Arc::new(failure)),
        }
    }

    fn for_each(&mut self, node: NodeIx, parallel: Option<u32>, body: TemplateIx) -> Result<(), FoldError> {
        let (grown, open, _) = self.extent(node);
        let items = self.state.scopes.get(&node).and_then(|s| s.bound.as_list()).map_or(0, count);
        let room = parallel.map_or(u32::MAX, |limit| limit.max(1).saturating_sub(open));
        let more = (items - grown.min(items)).min(room);
        if more > 0 {
            return self.grow(node, GrownFrom::Plan(body), grown, more);
        }
        if open > 0 {
            return Err(self.idle(node));
        }
        let instances = self.state.scopes.get(&node).map(|s| s.instances.as_slice()).unwrap_or_default();
        let outputs = instances.iter().map(|instance| self.instance_value(*instance)).collect::<Result<Vec<_>, _>>();
        self.close(node, outputs.map(Value::list))
    }

    fn repeat(&mut self, node: NodeIx, max: u32, until: Option<&Expr>, body: TemplateIx) -> Result<(), FoldError> {
        let (round, open, last) = self.extent(node);
        if open > 0 {
            return Err(self.idle(node));
        }
        let Some(last) = last else {
            return self.grow(node, GrownFrom::Plan(body), 1, 1);
        };
        let done = if round >= max || self.state.instances[last as usize].failed.is_some() {
            Ok(true)
        } else {
            self.is_done(last, until)
        };
        let outcome = match done {
            Ok(false) => return self.grow(node, GrownFrom::Plan(body), round + 1, 1),
            Ok(true) => self.instance_value(last),
            Err(failure) => Err(failure),
        };
        self.close(node, outcome)
    }

    fn is_done(&self, instance: u32, until: Option<&Expr>) -> Result<bool, Failure> {
        let Some(expr) = until else { return Ok(false) };
        let names = self.state.names(&expr.refs, At { instance, node: None, source: None });
        match self.judge.eval(expr, &names).map_err(rule_failure)? {
            Value::Bool(truth) => Ok(truth),
            other => {
                let failure = Failure::new(FailureKind::Rule, format!("until gave {}, not true or false", other.a_kind()));
                Err(Failure { place: Some(expr.place.clone()), ..failure })
            }
        }
    }

    fn group(&mut self, node: NodeIx, body: TemplateIx) -> Result<(), FoldError> {
        let (_, open, instance) = self.extent(node);
        let Some(instance) = instance else {
            return self.grow(node, GrownFrom::Plan(body), 0, 1);
        };
        if open > 0 {
            return Err(self.idle(node));
        }
        self.close(node, self.instance_value(instance))
    }

    /// What an instance comes to: its graph's output, or why it has none.
    pub(super) fn instance_value(&self, instance: u32) -> Result<Value, Failure> {
        let state = &self.state.instances[instance as usize];
        if let Some(node) = state.failed {
            return Err(self.child_failure(node));
        }
        match &state.graph.output {
            None => Ok(self.state.sinks(instance)),
            Some(expr) => {
                let names = self.state.names(&expr.refs, At { instance, node: None, source: None });
                self.judge.eval(expr, &names).map_err(rule_failure)
            }
        }
    }

    /// The failure of a node as the failure of what is around it.
    pub(super) fn child_failure(&self, node: NodeIx) -> Failure {
        let path = self.state.path(node);
        match self.state.outcome(node) {
            Some(Outcome::Failed(failure)) => Failure { node: Some(failure.node.clone().unwrap_or(path)), ..(**failure).clone() },
            Some(Outcome::Ok(_) | Outcome::Skipped(_) | Outcome::Cancelled) | None => {
                Failure { node: Some(path), ..Failure::new(FailureKind::Child, "a node inside failed") }
            }
        }
    }

    fn relay(
        &mut self,
        node: NodeIx,
        scope: &ScopeState,
        members: &[Role],
        max_handoffs: u32,
        like: &Node,
    ) -> Result<(), FoldError> {
        if scope.open > 0 {
            return Err(self.idle(node));
        }
        let (next, brief) = match scope.seats.last() {
            None => (members.first().cloned(), Value::Null),
            Some((_, last)) if !matches!(self.state.outcome(*last), Some(Outcome::Ok(_) | Outcome::Skipped(_))) => {
                return self.close(node, Err(self.child_failure(*last)));
            }
            Some(_) => match self.next_of_relay(node, scope, members, max_handoffs)? {
                Ok(next) => next,
                Err(failure) => return self.close(node, Err(failure)),
            },
        };
        let (team_ix, team) = self.state.team_of(node);
        let Some(member) = next.as_ref().and_then(|role| team.agent(role)) else {
            let output = scope.seats.last().map(|(_, last)| self.state.output(*last)).unwrap_or_default();
            return self.end(node, Outcome::Ok(output));
        };
        let task = &self.state.started.task;
        let brief = match scope.seats.last() {
            Some((from, _)) => grow::handed_over(task, from, &brief),
            None => task.clone(),
        };
        let mut graph = grow::seat(like, member, team_ix, brief, Phase::Work);
        if let Some(seat) = graph.dag.node_weights_mut().next() {
            seat.caught = true;
        }
        let path = (scope.seats.len() + 1).to_string();
        self.grow_made(node, &path, graph)
    }

    /// Who is next in a relay, and what is carried over; nobody when all have had their turn or no handoff is left.
    fn next_of_relay(
        &mut self,
        node: NodeIx,
        scope: &ScopeState,
        members: &[Role],
        max_handoffs: u32,
    ) -> Result<Result<(Option<Role>, Value), Failure>, FoldError> {
        let made = u32::try_from(scope.seats.len()).unwrap_or(u32::MAX).saturating_sub(1);
        let left = max_handoffs.saturating_sub(made);
        if left == 0 {
            return Ok(Ok((None, Value::Null)));
        }
        let last = scope.seats.last().map(|(role, _)| role.clone());
        let candidates: Vec<Role> = members.iter().filter(|m| Some(*m) != last.as_ref()).cloned().collect();
        let output = scope.seats.last().map(|(_, n)| self.state.output(*n)).unwrap_or_default();
        let default = members.iter().find(|m| !scope.seats.iter().any(|(role, _)| role == *m)).cloned();
        let (ix, team) = self.state.team_of(node);
        if !team.rules.iter().any(|r| &**r == "handoff") {
            return Ok(Ok((default, output)));
        }
        let facts = self.handoff_facts(node, &scope.seats, &candidates, left);
        match self.judge.judge(ix, &RuleKind::Handoff, &facts) {
            Ok(Some(verdict)) => {
                let next = match &verdict {
                    Verdict::Handoff(Some((to, _))) if !members.contains(to) => {
                        Err(Failure::new(FailureKind::Rule, format!("handoff names {to}, who has no part in this relay")))
                    }
                    Verdict::Handoff(Some((to, brief))) => Ok((Some(to.clone()), brief.clone())),
                    Verdict::Handoff(None) => Ok((default, output)),
                    Verdict::Route(_)
                    | Verdict::Settle { .. }
                    | Verdict::Escalate { .. }
                    | Verdict::Permit(_)
                    | Verdict::Reconcile(_)
                    | Verdict::Value(_) => Err(Failure::new(FailureKind::Rule, "handoff gave another kind of verdict")),
                };
                self.emit(Event::Judged { node, rule: RuleKind::Handoff, verdict: Some(Arc::new(verdict)) })?;
                Ok(next)
            }
            Ok(None) => Ok(Ok((default, output))),
            Err(error) => Ok(Err(rule_failure(error))),
        }
    }
}

fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}
