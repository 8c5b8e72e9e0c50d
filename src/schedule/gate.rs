//! What happens at a node that needs no slot? Gates decide, asks ask, scopes open.

use std::{collections::BTreeMap, sync::Arc};

use petgraph::{Direction, visit::EdgeRef};

use super::{Scheduler, rule_failure};
use crate::{
    event::{AskFor, Event, Outcome},
    graph::{AskNode, GateBy, MAX_MERGED, NodeKind, On, ScopeKind},
    state::{At, FoldError},
    value::{Failure, FailureKind, NodeIx, Role, RuleKind, Value, Verdict},
};

impl Scheduler {
    /// Opens a ready node that needs no slot.
    pub(super) fn open(&mut self, node: NodeIx) -> Result<(), FoldError> {
        let graph = self.state.instance_of(node).graph.clone();
        match &graph.dag[self.state.local(node)].kind {
            NodeKind::Gate(by) => {
                let outcome = self.decide(node, by)?;
                let outcome = outcome.map_or_else(|failure| Outcome::Failed(Arc::new(failure)), Outcome::Ok);
                self.end(node, outcome)
            }
            NodeKind::Ask(ask) => self.open_ask(node, ask),
            NodeKind::Scope(kind) => match self.bound_of(node, kind).and_then(|bound| Ok((bound, self.task_of(node)?))) {
                Ok((bound, task)) => {
                    self.emit(Event::ScopeOpened { node, bound })?;
                    if self.state.node(node).seat().is_some() { self.assign(node, task) } else { Ok(()) }
                }
                Err(failure) => self.end(node, Outcome::Failed(Arc::new(failure))),
            },
            NodeKind::Agent(_) | NodeKind::Tool(_) => self.begin(node),
        }
    }

    fn decide(&mut self, node: NodeIx, by: &GateBy) -> Result<Result<Value, Failure>, FoldError> {
        match by {
            GateBy::Expr(expr) => {
                let names = self.state.names(&expr.refs, self.state.at(node));
                Ok(self.judge.eval(expr, &names).map_err(rule_failure))
            }
            GateBy::Rule(kind) => self.decide_by_rule(node, kind),
            GateBy::Members(kind, members) => Ok(self.decide_by_default(node, kind, members)),
        }
    }

    /// Why the results of a node's sources cannot be made one.
    fn too_many_parts(&self, node: NodeIx) -> Option<Failure> {
        let count = self.parts(node).len();
        let why = || format!("{count} results are more than the {MAX_MERGED} that a merge takes: merge them in groups");
        (count > MAX_MERGED).then(|| Failure::new(FailureKind::Limit, why()))
    }

    fn decide_by_rule(&mut self, node: NodeIx, kind: &RuleKind) -> Result<Result<Value, Failure>, FoldError> {
        let input = match self.input_of(node) {
            Ok(input) => input,
            Err(error) => return Ok(Err(rule_failure(error))),
        };
        if let (RuleKind::Merge, Some(failure)) = (kind, self.too_many_parts(node)) {
            return Ok(Err(failure));
        }
        let facts = match kind {
            RuleKind::Route => self.route_facts(node, input, None),
            RuleKind::Merge => self.merge_facts(node),
            RuleKind::Handoff
            | RuleKind::Settle
            | RuleKind::Escalate
            | RuleKind::Permit
            | RuleKind::Reconcile
            | RuleKind::Own(_) => self.own_facts(node, input),
        };
        let team = self.state.team_of(node).0;
        match self.judge.judge(team, kind, &facts) {
            Ok(Some(verdict)) => {
                let value = verdict_value(&verdict);
                self.emit(Event::Judged { node, rule: kind.clone(), verdict: Some(Arc::new(verdict)) })?;
                Ok(Ok(value))
            }
            Ok(None) => Ok(self.decide_by_default(node, kind, &[])),
            Err(error) => Ok(Err(rule_failure(error))),
        }
    }

    fn decide_by_default(&self, node: NodeIx, kind: &RuleKind, members: &[Role]) -> Result<Value, Failure> {
        match kind {
            RuleKind::Route => {
                let roles = if members.is_empty() { self.roles(node) } else { members.to_vec() };
                Ok(Value::of(&self.everybody(node, &roles)).unwrap_or_default())
            }
            RuleKind::Merge => {
                let parts = self.parts(node).into_iter().filter(|part| &*part.status == "ok");
                Ok(Value::map(parts.map(|part| (part.id.to_string(), part.output))))
            }
            RuleKind::Handoff
            | RuleKind::Settle
            | RuleKind::Escalate
            | RuleKind::Permit
            | RuleKind::Reconcile
            | RuleKind::Own(_) => {
                Err(Failure::new(FailureKind::Rule, format!("the team's scripts have no function {}", kind.function())))
            }
        }
    }

    fn open_ask(&mut self, node: NodeIx, ask: &AskNode) -> Result<(), FoldError> {
        self.says_a_person_is_asked(node)?;
        let names = self.state.names(&ask.question.refs, self.state.at(node));
        match self.judge.render(&ask.question, &names) {
            Ok(question) => {
                let deadline = ask.deadline.map(|span| self.now.after(span));
                let plain = self.question(node, AskFor::Node, question, ask.options.clone());
                self.put(crate::event::Ask { deadline, default: ask.default.clone(), to: ask.to.clone(), ..plain })
            }
            Err(error) => self.end(node, Outcome::Failed(Arc::new(rule_failure(error)))),
        }
    }

    /// What a scope is opened with.
    fn bound_of(&self, node: NodeIx, kind: &ScopeKind) -> Result<Value, Failure> {
        let eval = |expr: &crate::value::Expr| {
            let names = self.state.names(&expr.refs, self.state.at(node));
            self.judge.eval(expr, &names).map_err(rule_failure)
        };
        let list = |value: Value, max: u32, what: &str| match value.as_list() {
            Some(items) if items.len() <= max as usize => Ok(value),
            Some(items) => Err(Failure::new(FailureKind::Limit, format!("{} {what} are more than max: {max}", items.len()))),
            None => Err(Failure::new(FailureKind::Rule, format!("a list of {what} was expected, not {}", value.a_kind()))),
        };
        match kind {
            ScopeKind::ForEach { items, max, .. } => list(eval(items)?, *max, "items"),
            ScopeKind::Subtasks { from, max, .. } => list(eval(from)?, *max, "sub-tasks"),
            ScopeKind::Group { with: Some(with), .. } => {
                let mut inputs = BTreeMap::new();
                for (name, expr) in with {
                    inputs.insert(name.to_string(), eval(expr)?);
                }
                Ok(Value::Map(Arc::new(inputs)))
            }
            ScopeKind::Settle(spec) => Ok(self.topics(node, spec)),
            ScopeKind::Group { with: None, .. }
            | ScopeKind::Repeat { .. }
            | ScopeKind::Relay { .. }
            | ScopeKind::Circle { .. } => Ok(Value::Null),
        }
    }

    /// Evaluates the conditions on the edges out of a node, in declared order.
    pub(super) fn judge_edges(&mut self, node: NodeIx) -> Result<(), FoldError> {
        let instance = self.state.instance_of(node);
        let graph = instance.graph.clone();
        let at = At { instance: self.state.nodes[node.index()].instance, node: None, source: Some(node) };
        let mut edges: Vec<_> = graph.dag.edges_directed(self.state.local(node), Direction::Outgoing).collect();
        edges.sort_by_key(EdgeRef::id);
        let mut met = Vec::new();
        for edge in edges {
            let On::When(expr) = &edge.weight().on else { continue };
            let names = self.state.names(&expr.refs, at);
            met.push(match self.judge.eval(expr, &names) {
                Ok(Value::Bool(truth)) => Ok(truth),
                Ok(other) => {
                    let failure =
                        Failure::new(FailureKind::Rule, format!("a condition gave {}, not true or false", other.a_kind()));
                    Err(Failure { place: Some(expr.place.clone()), ..failure })
                }
                Err(error) => Err(rule_failure(error)),
            });
        }
        self.emit(Event::EdgesJudged { node, met })
    }
}

/// A verdict as the output of a gate.
fn verdict_value(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Route(tasks) => Value::of(tasks).unwrap_or_default(),
        Verdict::Value(value) => value.clone(),
        Verdict::Handoff(_) | Verdict::Settle { .. } | Verdict::Escalate { .. } | Verdict::Permit(_) | Verdict::Reconcile(_) => {
            Value::of(verdict).unwrap_or_default()
        }
    }
}
