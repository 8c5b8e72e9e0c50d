//! What do the names in an expression stand for? [`State::names`].

use std::sync::Arc;

use super::State;
use crate::{
    event::Outcome,
    graph::{NodeKind, On, ScopeKind},
    value::{Failure, NodeIx, Ref, Seq, Value},
};
use petgraph::{Direction, visit::EdgeRef};

/// Where an expression stands.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// The instance whose graph it belongs to.
    pub instance: u32,
    /// The node that it belongs to, if it is a node's.
    pub node: Option<NodeIx>,
    /// The node whose output, status and error it reads (an edge condition).
    pub source: Option<NodeIx>,
}

impl State {
    /// Where an expression of a node stands.
    pub fn at(&self, node: NodeIx) -> At {
        At { instance: self.nodes[node.index()].instance, node: Some(node), source: None }
    }

    /// The values of `refs`, each with its name; null for what does not exist (yet).
    pub fn names<'r>(&self, refs: &'r [Ref], at: At) -> Vec<(&'r str, Value)> {
        refs.iter().map(|r| (r.name().as_ref(), self.value_of(r, at))).collect()
    }

    fn value_of(&self, r: &Ref, at: At) -> Value {
        match r {
            Ref::Node { up, local, .. } => {
                let instance = self.outwards(at.instance, *up);
                let read = instance.map(|ix| NodeIx(self.instances[ix as usize].base + local));
                read.map_or(Value::Null, |read| if self.is_late_for(read, at) { pending() } else { self.seen(read) })
            }
            Ref::Binding { name, .. } => self.binding(name, at),
            Ref::Source { name } => {
                let Some(source) = at.source else { return Value::Null };
                match name.as_ref() {
                    "output" => self.output(source),
                    "status" => Value::text(self.status_name(source)),
                    "error" => self.error(source),
                    _ => Value::Null,
                }
            }
        }
    }

    /// Whether a node ended only after the one that reads it had gone on without it.
    fn is_late_for(&self, read: NodeIx, at: At) -> bool {
        let reader = at.node.map(|node| self.nodes[node.index()].ready_at).filter(|ready| *ready > Seq(0));
        reader.is_some_and(|ready| self.outcome(read).is_some() && !self.had_ended(read, ready))
    }

    fn outwards(&self, instance: u32, up: u32) -> Option<u32> {
        let mut ix = instance;
        for _ in 0..up {
            ix = match self.instances.get(ix as usize)?.scope {
                Some(scope) => self.nodes[scope.index()].instance,
                None if self.finale == Some(ix) => 0,
                None => return None,
            };
        }
        Some(ix)
    }

    fn binding(&self, name: &str, at: At) -> Value {
        match name {
            "task" => return Value::Text(self.task_in(at.instance).clone()),
            "error" => {
                if let Some(source) = at.node.and_then(|n| self.failed_source(n)) {
                    return self.error(source);
                }
            }
            _ => {}
        }
        let mut ix = at.instance;
        loop {
            let instance = &self.instances[ix as usize];
            let Some(scope) = instance.scope else { break };
            if let NodeKind::Scope(kind) = &self.node(scope).kind {
                let bound = self.scopes.get(&scope).map(|s| &s.bound);
                match &**kind {
                    ScopeKind::ForEach { name: item, .. } if **item == *name => {
                        let items = bound.and_then(Value::as_list).unwrap_or_default();
                        return items.get(instance.number as usize).cloned().unwrap_or_default();
                    }
                    ScopeKind::Repeat { .. } if name == "round" => return Value::Int(i64::from(instance.number)),
                    ScopeKind::Group { with: Some(_), .. } if name == "input" => return bound.cloned().unwrap_or_default(),
                    ScopeKind::Group { with: Some(_), .. } if name != "input" => return Value::Null,
                    ScopeKind::ForEach { .. }
                    | ScopeKind::Repeat { .. }
                    | ScopeKind::Group { .. }
                    | ScopeKind::Subtasks { .. }
                    | ScopeKind::Relay { .. }
                    | ScopeKind::Circle { .. }
                    | ScopeKind::Settle(_) => {}
                }
            }
            ix = self.nodes[scope.index()].instance;
        }
        match name {
            "input" => Value::Map(self.started.inputs.clone()),
            _ if self.finale == Some(ix) => self.ending.get(name).cloned().unwrap_or_default(),
            _ => Value::Null,
        }
    }

    /// What the team of a node is to do.
    pub fn task_at(&self, node: NodeIx) -> &Arc<str> {
        self.task_in(self.nodes[node.index()].instance)
    }

    fn task_in(&self, instance: u32) -> &Arc<str> {
        let frame = self.instances[instance as usize].frame;
        let Some(scope) = self.instances[frame as usize].scope else { return &self.started.task };
        self.scopes.get(&scope).and_then(|scope| scope.task.as_ref()).unwrap_or_else(|| self.task_at(scope))
    }

    /// The inputs of the team of a node.
    pub fn inputs_at(&self, node: NodeIx) -> Arc<crate::value::Map> {
        match self.binding("input", self.at(node)) {
            Value::Map(map) => map,
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => {
                self.started.inputs.clone()
            }
        }
    }

    /// A node as expressions see it: `#{ output, status, error }`.
    pub fn seen(&self, node: NodeIx) -> Value {
        Value::map([("output", self.output(node)), ("status", Value::text(self.status_name(node))), ("error", self.error(node))])
    }

    /// The output of a node; null unless it succeeded.
    pub fn output(&self, node: NodeIx) -> Value {
        match self.outcome(node) {
            Some(Outcome::Ok(value)) => value.clone(),
            Some(Outcome::Failed(_) | Outcome::Skipped(_) | Outcome::Cancelled) | None => Value::Null,
        }
    }

    /// `ok`, `failed`, `timed_out`, `skipped`, `cancelled` or `pending`.
    pub fn status_name(&self, node: NodeIx) -> &'static str {
        match self.outcome(node) {
            Some(Outcome::Ok(_)) => "ok",
            Some(Outcome::Failed(failure)) if failure.kind == crate::value::FailureKind::Timeout => "timed_out",
            Some(Outcome::Failed(_)) => "failed",
            Some(Outcome::Skipped(_)) => "skipped",
            Some(Outcome::Cancelled) => "cancelled",
            None => "pending",
        }
    }

    /// The failure of a node: `#{ node, kind, message, status }`; null if it did not fail.
    pub fn error(&self, node: NodeIx) -> Value {
        let Some(Outcome::Failed(failure)) = self.outcome(node) else { return Value::Null };
        seen_failure(&Failure { node: failure.node.clone().or_else(|| Some(self.path(node))), ..(**failure).clone() })
    }

    /// The first node that a handler handles: a source whose failure met its edge.
    fn failed_source(&self, node: NodeIx) -> Option<NodeIx> {
        let instance = self.instance_of(node);
        let edges = instance.graph.dag.edges_directed(self.local(node), Direction::Incoming);
        let sources = edges
            .filter(|edge| matches!(edge.weight().on, On::Failed | On::Done))
            .map(|edge| NodeIx(instance.base + u32::try_from(edge.source().index()).unwrap_or(u32::MAX)));
        sources.filter(|source| matches!(self.outcome(*source), Some(Outcome::Failed(_)))).min()
    }

    /// What a node works on where it has no `input` filter: the outputs of the nodes it follows, by id, in declared order.
    pub fn inputs_of(&self, node: NodeIx) -> Value {
        let ok = self.followed(node).into_iter().filter(|ix| matches!(self.outcome(*ix), Some(Outcome::Ok(_))));
        Value::map(ok.map(|ix| (self.node(ix).id.to_string(), self.output(ix))))
    }

    /// The value of an instance whose graph names no output: its sole sink's, or a map of its sinks'.
    pub fn sinks(&self, instance: u32) -> Value {
        let instance = &self.instances[instance as usize];
        let sinks: Vec<NodeIx> = instance
            .graph
            .dag
            .externals(Direction::Outgoing)
            .map(|n| NodeIx(instance.base + u32::try_from(n.index()).unwrap_or(u32::MAX)))
            .collect();
        if let [only] = sinks.as_slice() {
            return self.output(*only);
        }
        Value::map(
            sinks
                .iter()
                .filter(|n| matches!(self.outcome(**n), Some(Outcome::Ok(_))))
                .map(|n| (self.node(*n).id.to_string(), self.output(*n))),
        )
    }
}

/// A node that has not ended, as expressions see it.
fn pending() -> Value {
    Value::map([("output", Value::Null), ("status", Value::text("pending")), ("error", Value::Null)])
}

/// A failure as expressions see it: `#{ node, kind, message, status }`.
pub fn seen_failure(failure: &Failure) -> Value {
    Value::map([
        ("node", failure.node.clone().map_or(Value::Null, Value::Text)),
        ("kind", Value::text(failure.kind.name())),
        ("message", Value::Text(failure.message.clone())),
        ("status", failure.status.map_or(Value::Null, Value::Int)),
    ])
}
