//! What does the team know now? Messages, findings, variables and decisions enter the shared context.

use std::sync::Arc;

use crate::{
    event::Record,
    state::{FoldError, Spoken, State},
    value::{Decision, EscalateTo, Finding, Message, MessageKind, NodeIx, Role, Value},
};

impl State {
    pub(super) fn said(&mut self, node: NodeIx, message: &Arc<Message>, record: &Record) {
        if message.kind == MessageKind::TaskAssignment
            && let Some(activation) = self.activations.get_mut(&node)
        {
            activation.task = message.content.clone();
        }
        self.speak(node, message.clone(), record);
    }

    pub(super) fn found(&mut self, finding: &Arc<Finding>, record: &Record) {
        if let Some(activation) = self.activations.get_mut(&finding.node) {
            activation.found.push(finding.id);
        }
        self.context.findings.push(finding.clone());
        let message = self.message(MessageKind::Finding, Some(finding.agent.clone()), None, finding.claim.clone());
        let metadata = Value::map([
            ("finding", Value::Text(format!("f{}", finding.id).into())),
            ("topic", Value::Text(finding.topic.clone())),
        ]);
        self.speak(finding.node, Arc::new(Message { metadata, ..message }), record);
    }

    pub(super) fn wrote(&mut self, node: NodeIx, variable: &Arc<str>, value: &Value) -> Result<(), FoldError> {
        let seq = self.seq;
        self.activation(node)?.writes.push((variable.clone(), value.clone(), seq));
        Ok(())
    }

    pub(super) fn decided(&mut self, node: NodeIx, decision: &Arc<Decision>) {
        self.context.settle(decision);
        self.context.decisions.push((node, decision.clone()));
        if let Some(scope) = self.scopes.get_mut(&node) {
            scope.topics.retain(|t| t.topic != decision.topic);
            self.todo.scopes.insert(node);
        }
    }

    pub(super) fn escalated(&mut self, node: NodeIx, from: Option<&Role>, reason: &Arc<str>, to: EscalateTo, record: &Record) {
        let to = match to {
            EscalateTo::Coordinator => self.coordinator_of(node).cloned(),
            EscalateTo::Person | EscalateTo::None => None,
        };
        let message = self.message(MessageKind::Escalation, from.cloned(), to, reason.clone());
        self.speak(node, Arc::new(message), record);
    }

    pub(super) fn message(&self, kind: MessageKind, from: Option<Role>, to: Option<Role>, content: Arc<str>) -> Message {
        Message { id: self.context.next_message(), kind, from, to, content, metadata: Value::Null, private: false }
    }

    pub(super) fn speak(&mut self, node: NodeIx, message: Arc<Message>, record: &Record) {
        self.context.hear(Spoken { message, seq: record.seq, at: record.at, node, read_at: None });
    }

    pub(super) fn coordinator_of(&self, node: NodeIx) -> Option<&Role> {
        self.team_of(node).1.coordinator.as_ref().map(|c| &c.role)
    }
}
