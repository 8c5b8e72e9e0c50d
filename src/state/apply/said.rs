//! What does the team know now? Messages, findings, variables and decisions enter the shared context.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    event::Record,
    state::{FoldError, Found, Reach, Settled, Spoken, State, TakenBack},
    value::{Decision, EscalateTo, Finding, FindingId, FindingStatus, Message, MessageKind, NodeIx, Role, Value},
};

impl State {
    pub(super) fn said(&mut self, node: NodeIx, message: &Arc<Message>, record: &Record) -> Result<(), FoldError> {
        self.known(node)?;
        if message.kind == MessageKind::TaskAssignment
            && let Some(activation) = self.activations.get_mut(&node)
        {
            activation.task = message.content.clone();
        }
        if message.kind == MessageKind::TaskAssignment
            && self.node(node).seat().is_some()
            && let Some(scope) = self.scopes.get_mut(&node)
        {
            scope.task = Some(message.content.clone());
        }
        let told = message.kind == MessageKind::TaskAssignment || message.acknowledges().is_some();
        let reach = if told { Reach::Record } else { Reach::All };
        let message = self.started.message(message);
        self.speak(node, message, reach, record);
        Ok(())
    }

    pub(super) fn found(&mut self, node: NodeIx, finding: &Arc<Finding>, record: &Record) -> Result<(), FoldError> {
        self.known(node)?;
        let index = self.context.add(
            self.path(node),
            Found { node, frame: self.said_in(node, Some(&finding.agent)), seq: record.seq, finding: finding.clone() },
        );
        if let Some(activation) = self.activations.get_mut(&node) {
            activation.found.push(index);
        }
        let message = self.message(node, MessageKind::Finding, Some(finding.agent.clone()), None, finding.claim.clone());
        let metadata = Value::map([
            ("finding", Value::Text(finding.id.0.clone())),
            ("topic", Value::Text(finding.topic.clone())),
            ("value", finding.value.clone()),
            ("confidence", Value::float(finding.confidence).unwrap_or_default()),
        ]);
        self.speak(node, Arc::new(Message { metadata, ..message }), Reach::Live, record);
        Ok(())
    }

    pub(super) fn retracted(
        &mut self,
        node: NodeIx,
        id: &FindingId,
        reason: &Arc<str>,
        record: &Record,
    ) -> Result<(), FoldError> {
        self.known(node)?;
        let Some(index) = self.context.findings.iter().rposition(|f| f.finding.id == *id) else {
            return Err(self.contradiction(format!("there is no finding {id} to take back")));
        };
        self.context.taken_back.push(TakenBack { node, seq: record.seq, finding: index });
        let finding = self.context.findings[index].finding.clone();
        let content = Arc::from(format!("{} takes back {id} ({}): {reason}", finding.agent, finding.claim));
        let message = self.message(node, MessageKind::Finding, Some(finding.agent.clone()), None, content);
        let metadata = Value::map([
            ("finding", Value::Text(id.0.clone())),
            ("topic", Value::Text(finding.topic.clone())),
            ("retracted", Value::Bool(true)),
        ]);
        self.speak(node, Arc::new(Message { metadata, ..message }), Reach::Live, record);
        Ok(())
    }

    pub(super) fn wrote(&mut self, node: NodeIx, variable: &Arc<str>, value: &Value) -> Result<(), FoldError> {
        let seq = self.seq;
        self.activation(node)?.writes.push((variable.clone(), value.clone(), seq));
        Ok(())
    }

    pub(super) fn decided(&mut self, node: NodeIx, decision: &Arc<Decision>) -> Result<(), FoldError> {
        self.known(node)?;
        let about = self.about(node, &decision.topic);
        self.context.decisions.push(Settled { node, seq: self.seq, decision: decision.clone(), about });
        if let Some(scope) = self.scopes.get_mut(&node) {
            scope.topics.retain(|t| t.topic != decision.topic);
            self.todo.scopes.insert(node);
        }
        Ok(())
    }

    /// The findings on a topic that were known where it is settled, what came up in its debates included.
    fn about(&self, node: NodeIx, topic: &str) -> BTreeSet<usize> {
        let findings = self.context.findings.iter().enumerate();
        let mut on_topic =
            findings.filter(|(_, f)| *f.finding.topic == *topic && f.finding.status != FindingStatus::Retracted).peekable();
        if on_topic.peek().is_none() {
            return BTreeSet::new();
        }
        let mut known = self.past(node);
        self.below(node, &mut known);
        on_topic.filter(|(_, f)| known.contains(&f.node) && f.frame == self.frame_of(node)).map(|(index, _)| index).collect()
    }

    pub(super) fn escalated(
        &mut self,
        node: NodeIx,
        from: Option<&Role>,
        reason: &Arc<str>,
        to: EscalateTo,
        record: &Record,
    ) -> Result<(), FoldError> {
        self.known(node)?;
        // What the coordinator of an inner team cannot do goes to the team above.
        let above = self.voice(node).filter(|voice| voice.leads && to == EscalateTo::Coordinator);
        let above = above.map(|voice| (voice.member.clone(), self.coordinator_of(voice.scope).cloned()));
        let (from, to) = match (to, above) {
            (_, Some((member, above))) => (Some(member), above),
            (EscalateTo::Coordinator, None) => (from.cloned(), self.coordinator_of(node).cloned()),
            (EscalateTo::Person | EscalateTo::None, None) => (from.cloned(), None),
        };
        let message = self.message(node, MessageKind::Escalation, from, to, reason.clone());
        self.speak(node, Arc::new(message), Reach::All, record);
        Ok(())
    }

    pub(super) fn message(
        &self,
        node: NodeIx,
        kind: MessageKind,
        from: Option<Role>,
        to: Option<Role>,
        content: Arc<str>,
    ) -> Message {
        Message {
            id: self.next_message(node),
            kind,
            from,
            to,
            content,
            metadata: Value::Null,
            private: false,
            exchange: None,
            origins: self.origins_at(node),
        }
    }

    pub(super) fn speak(&mut self, node: NodeIx, message: Arc<Message>, reach: Reach, record: &Record) {
        let frame = self.said_in(node, message.from.as_ref());
        self.wake(frame, &message, reach);
        self.context.hear(
            self.path(node),
            Spoken { message, seq: record.seq, at: record.at, node, frame, read_at: None, read_by: Vec::new(), reach },
        );
    }

    pub(in crate::state) fn coordinator_of(&self, node: NodeIx) -> Option<&Role> {
        self.team_of(node).1.coordinator.as_ref().map(|c| &c.role)
    }
}
