//! What does the team know? [`Context`]: findings, messages, variables, decisions.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::value::{
    Decision, Finding, FindingId, FindingStatus, Message, MessageId, NodeIx, Role, Seq, Timestamp, Value, Variable,
};

/// A message with its place in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Spoken {
    /// What was said.
    pub message: Arc<Message>,
    /// The record that said it.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// In which node it was said.
    pub node: NodeIx,
    /// When its recipient had read it.
    pub read_at: Option<Timestamp>,
}

/// What was said so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context {
    /// Findings by id.
    pub findings: Vec<Arc<Finding>>,
    /// Messages by id.
    pub messages: Vec<Spoken>,
    /// Messages to one agent that it has not read.
    pub unread: BTreeMap<Role, Vec<MessageId>>,
    /// Committed writes by variable, in order of commit: the node, what it wrote and who it was.
    pub writes: BTreeMap<Arc<str>, Vec<(NodeIx, Variable)>>,
    /// Decisions in order, with the node where they were taken.
    pub decisions: Vec<(NodeIx, Arc<Decision>)>,
}

impl Context {
    /// The next finding's id.
    pub fn next_finding(&self) -> FindingId {
        FindingId(u32::try_from(self.findings.len()).unwrap_or(u32::MAX))
    }

    /// The next message's id.
    pub fn next_message(&self) -> MessageId {
        MessageId(u32::try_from(self.messages.len()).unwrap_or(u32::MAX))
    }

    pub(super) fn hear(&mut self, spoken: Spoken) {
        let id = self.next_message();
        if let Some(to) = &spoken.message.to {
            self.unread.entry(to.clone()).or_default().push(id);
        }
        self.messages.push(spoken);
    }

    /// An agent reads what was said to it before `upto`.
    pub(super) fn read(&mut self, role: &Role, upto: Seq, at: Timestamp) {
        let Some(unread) = self.unread.get_mut(role) else { return };
        let messages = &mut self.messages;
        unread.retain(|id| match messages.get_mut(id.index()) {
            Some(spoken) if spoken.seq < upto => {
                spoken.read_at = Some(at);
                false
            }
            _ => true,
        });
    }

    pub(super) fn retract(&mut self, findings: &[FindingId]) {
        for id in findings {
            if let Some(finding) = self.findings.get_mut(id.index()) {
                Arc::make_mut(finding).status = FindingStatus::Retracted;
            }
        }
    }

    /// Voids what was found and written in `nodes`.
    pub(super) fn forget(&mut self, nodes: &BTreeSet<NodeIx>) {
        for finding in self.findings.iter_mut().filter(|f| nodes.contains(&f.node)) {
            Arc::make_mut(finding).status = FindingStatus::Retracted;
        }
        for versions in self.writes.values_mut() {
            versions.retain(|(node, _)| !nodes.contains(node));
        }
    }

    /// Marks the findings on a decided topic as confirmed or disputed.
    pub(super) fn settle(&mut self, decision: &Decision) {
        for finding in &mut self.findings {
            if finding.topic == decision.topic && finding.status != FindingStatus::Retracted {
                let agrees = finding.value == decision.outcome;
                Arc::make_mut(finding).status = if agrees { FindingStatus::Confirmed } else { FindingStatus::Disputed };
            }
        }
    }

    pub(super) fn commit(&mut self, node: NodeIx, author: &Role, variable: &Arc<str>, value: &Value, seq: Seq) {
        let versions = self.writes.entry(variable.clone()).or_default();
        let version = u32::try_from(versions.len()).unwrap_or(u32::MAX).saturating_add(1);
        versions.push((node, Variable { value: value.clone(), version, author: author.clone(), seq }));
    }
}
