//! What changes when a scope opens?

use std::sync::Arc;

use crate::{
    event::Record,
    graph::{NodeKind, ScopeKind},
    state::{FoldError, ScopeState, Stand, State, Timer, TopicState},
    value::{NodeIx, Position, Role, Value},
};

impl State {
    pub(super) fn scope_opened(&mut self, node: NodeIx, bound: &Value, record: &Record) -> Result<(), FoldError> {
        self.known(node)?;
        if !matches!(self.node(node).kind, NodeKind::Scope(_)) {
            return Err(self.contradiction(format!("node {node} is no scope")));
        }
        self.todo.inline.remove(&node);
        let state = &mut self.nodes[node.index()];
        if state.stand != Stand::Ready {
            return Err(self.contradiction(format!("scope {node} opens before it is ready")));
        }
        state.stand = Stand::Running;
        state.attempt += 1;
        if let Some(timeout) = self.node(node).timeout {
            self.timers.set(Timer::Timeout(node), record.at.after(timeout));
        }
        if let Some(deadline) = self.node(node).work_deadline {
            self.timers.set(Timer::Work(node), record.at.after(deadline.after));
        }
        let topics = self.topics_of(node, bound);
        let grown = self.scopes.get(&node).map_or(0, |earlier| earlier.grown);
        self.scopes.insert(node, ScopeState { bound: bound.clone(), topics, grown, ..ScopeState::default() });
        self.todo.scopes.insert(node);
        if self.circle(node).is_some() {
            self.circles.insert(node);
        }
        Ok(())
    }

    /// The topics that a settle scope was opened with: a list of `{topic, positions, abstained}`.
    fn topics_of(&self, node: NodeIx, bound: &Value) -> Vec<TopicState> {
        let is_settle = matches!(&self.node(node).kind, NodeKind::Scope(kind) if matches!(&**kind, ScopeKind::Settle(_)));
        if !is_settle {
            return Vec::new();
        }
        let topic = |entry: &Value| {
            let positions = entry.get("positions").map(Value::to::<Vec<Position>>).and_then(Result::ok).unwrap_or_default();
            let abstained = entry.get("abstained").map(Value::to::<Vec<Role>>).and_then(Result::ok).unwrap_or_default();
            let topic = entry.get("topic").and_then(Value::as_str).unwrap_or_default();
            TopicState { topic: Arc::from(topic), positions, abstained, debates: Vec::new(), asked: None, answer: None }
        };
        bound.as_list().unwrap_or_default().iter().map(topic).collect()
    }

    pub(super) fn quorum_of(&self, scope: NodeIx) -> Option<u32> {
        let NodeKind::Scope(kind) = &self.node(scope).kind else { return None };
        if let ScopeKind::Subtasks { quorum, .. } = &**kind { *quorum } else { None }
    }
}
