//! Does a scope grow, or is it done?

use std::sync::Arc;

use super::{Scheduler, rule_failure};
use crate::{
    event::{Event, Grown, GrownFrom, Outcome},
    graph::{NodeKind, ScopeKind},
    state::{At, FoldError},
    value::{Expr, Failure, FailureKind, NodeIx, TemplateIx, Value},
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
            ScopeKind::Relay { members, max_handoffs, like, .. } => {
                let scope = scope.clone();
                self.relay(node, &scope, (members, *max_handoffs), like)
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
        if let Some(least) = self.expired(node) {
            return self.for_each_so_far(node, items, least);
        }
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

    /// How many must have ended for a scope to go on, once its deadline has passed.
    pub(super) fn expired(&self, node: NodeIx) -> Option<u32> {
        let expired = self.state.scopes.get(&node).is_some_and(|scope| scope.expired);
        self.state.node(node).work_deadline.filter(|_| expired).map(|deadline| deadline.at_least)
    }

    /// Too few had ended when the deadline passed.
    pub(super) fn too_few(&self, node: NodeIx, there: usize, least: u32) -> Failure {
        let seconds = self.state.node(node).work_deadline.map_or(0.0, |deadline| deadline.after.as_secs_f64());
        Failure::new(FailureKind::Timeout, format!("after {seconds} s {there} were done, and {least} are needed"))
    }

    /// The deadline has passed: the items that are done, null for the others.
    fn for_each_so_far(&mut self, node: NodeIx, items: u32, least: u32) -> Result<(), FoldError> {
        let instances = self.state.scopes.get(&node).map(|s| s.instances.as_slice()).unwrap_or_default();
        let done = instances.iter().filter(|instance| self.state.instances[**instance as usize].open == 0).count();
        if done < least as usize {
            let failure = self.too_few(node, done, least);
            return self.close(node, Err(failure));
        }
        let value = |instance: &u32| match self.state.instances[*instance as usize].open {
            0 => self.instance_value(*instance),
            _ => Ok(Value::Null),
        };
        let outputs = instances.iter().map(value).collect::<Result<Vec<_>, _>>();
        let outputs = outputs.map(|mut outputs| {
            outputs.resize(outputs.len().max(items as usize), Value::Null);
            Value::list(outputs)
        });
        self.close(node, outputs)
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
}

fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}
