//! What does the team know? [`Context`]: findings, messages, variables, decisions.
//!
//! Each is kept in the order of the journal, with the node where it was made. What anybody is shown of it, and its ids, follow
//! from those nodes alone: see [`State::findings`], [`State::decisions`] and the views of a node's past.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    State,
    mail::{concerns, is_own_answer},
};
use crate::value::{
    Decision, Finding, FindingId, FindingStatus, Message, MessageId, NodeIx, Origins, Role, Seq, Timestamp, Value, Variable,
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
    /// In which team at work: that of the node, or the one around that for which its agent spoke.
    pub frame: u32,
    /// When its recipient had read it.
    pub read_at: Option<Timestamp>,
    /// The activations that read it as mail, where it is addressed to one agent.
    pub read_by: Vec<NodeIx>,
    /// Who reads it as mail.
    pub reach: Reach,
}

/// Who reads a message as mail, of those to whom it is addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Each, once it is in its past or, to a live agent, said.
    All,
    /// Live agents only; the others see what it tells in the shared context.
    Live,
    /// Nobody: it is for the record, and reaches its reader another way.
    Record,
}

/// A finding with its place in the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// In which node it was found.
    pub node: NodeIx,
    /// For which team at work: that of the node, or the one around that for which its agent spoke.
    pub frame: u32,
    /// The record that tells it.
    pub seq: Seq,
    /// What; open or retracted, whatever was decided: whether it stands depends on the decisions that one knows of.
    pub finding: Arc<Finding>,
}

/// A finding that its author took back.
#[derive(Clone, Debug, PartialEq)]
pub struct TakenBack {
    /// In which node: who knows of what was done there knows that it does not stand.
    pub node: NodeIx,
    /// The record that tells it.
    pub seq: Seq,
    /// Which finding, by its index.
    pub finding: usize,
}

/// A decision with its place in the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// Where it was taken.
    pub node: NodeIx,
    /// The record that tells it.
    pub seq: Seq,
    /// What was decided.
    pub decision: Arc<Decision>,
    /// The findings that it settles, by their index: those on its topic that were known where it was taken.
    pub about: BTreeSet<usize>,
}

/// How much was made in the nodes of one path, over all attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Findings.
    pub findings: u32,
    /// Messages.
    pub messages: u32,
}

/// A variable that was set from outside: where a session parts from the one whose past it shares.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// Its value, until somebody writes it.
    pub value: Value,
    /// The writes that it stands for, itself included.
    pub version: u32,
}

/// What was said so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context {
    /// Findings.
    pub findings: Vec<Found>,
    /// Messages.
    pub messages: Vec<Spoken>,
    /// Those of them that are mail, by their index: most messages only tell of what reaches its reader another way.
    pub mail: Vec<usize>,
    /// Letters that concern one agent of a team at work, and those to all of it, by their place in the mail.
    pub letters: BTreeMap<(u32, Option<Role>), Vec<usize>>,
    /// Messages to one agent of a team at work that are no mail and that it has not read, by their index.
    pub unread: BTreeMap<(u32, Role), Vec<usize>>,
    /// Committed writes by variable, in order of commit: the node, what it wrote and who it was.
    pub writes: BTreeMap<Arc<str>, Vec<(NodeIx, Variable)>>,
    /// Variables of the session's own team that were set from outside, beneath what is written later.
    pub given: BTreeMap<Arc<str>, Given>,
    /// Findings that were taken back.
    pub taken_back: Vec<TakenBack>,
    /// Decisions.
    pub decisions: Vec<Settled>,
    /// Messages that reached nobody, once the session is over.
    pub undelivered: BTreeSet<MessageId>,
    /// What the next ids are counted from, by path.
    pub made: BTreeMap<Arc<str>, Made>,
}

impl State {
    /// The id of the next finding in a node.
    pub fn next_finding(&self, node: NodeIx) -> FindingId {
        let path = self.path(node);
        let made = self.context.made.get(&path).map_or(0, |made| made.findings);
        FindingId::new(&path, made.saturating_add(1))
    }

    /// The id of the next message in a node.
    pub fn next_message(&self, node: NodeIx) -> MessageId {
        let path = self.path(node);
        let made = self.context.made.get(&path).map_or(0, |made| made.messages);
        MessageId::new(&path, made.saturating_add(1))
    }
}

impl Context {
    /// Takes a finding in and returns its index.
    pub(super) fn add(&mut self, path: Arc<str>, found: Found) -> usize {
        let made = self.made.entry(path).or_default();
        made.findings = made.findings.saturating_add(1);
        self.findings.push(found);
        self.findings.len() - 1
    }

    pub(super) fn hear(&mut self, path: Arc<str>, spoken: Spoken) {
        let made = self.made.entry(path).or_default();
        made.messages = made.messages.saturating_add(1);
        if let Some(to) = spoken.message.to.as_ref().filter(|_| spoken.reach == Reach::Record) {
            self.unread.entry((spoken.frame, to.clone())).or_default().push(self.messages.len());
        }
        if spoken.reach != Reach::Record {
            // Whoever answers reads its own answer; whom it is addressed to got it as the result of the question.
            let (from, to) = (&spoken.message.from, &spoken.message.to);
            let whose = if is_own_answer(&spoken.message) && to.is_some() { from } else { to };
            self.letters.entry((spoken.frame, whose.clone())).or_default().push(self.mail.len());
            self.mail.push(self.messages.len());
        }
        self.messages.push(spoken);
    }

    /// Mail from the `from`th letter on, each with its index among the messages.
    pub fn mail_from(&self, from: usize) -> impl Iterator<Item = (usize, &Spoken)> {
        let indexes = self.mail.get(from..).unwrap_or_default();
        indexes.iter().filter_map(|index| Some((*index, self.messages.get(*index)?)))
    }

    /// The same, of those that concern `role` of a team at work alone.
    pub(super) fn mail_to(&self, frame: u32, role: &Role, from: usize) -> impl Iterator<Item = (usize, &Spoken)> {
        let some = |whose: Option<Role>| {
            let letters = self.letters.get(&(frame, whose)).map(Vec::as_slice).unwrap_or_default();
            letters[letters.partition_point(|place| *place < from)..].iter().copied().peekable()
        };
        let (mut own, mut all) = (some(Some(role.clone())), some(None));
        let next = move || match (own.peek(), all.peek()) {
            (Some(one), Some(other)) if one < other => own.next(),
            (Some(_), None) => own.next(),
            (_, _) => all.next(),
        };
        let letters = std::iter::from_fn(next).filter_map(|place| self.mail.get(place));
        letters
            .filter_map(|index| Some((*index, self.messages.get(*index)?)))
            .filter(|(_, spoken)| concerns(&spoken.message, role))
    }

    /// How many letters there were before a record.
    pub(super) fn mail_before(&self, seq: Seq) -> usize {
        self.mail.partition_point(|index| self.messages.get(*index).is_some_and(|spoken| spoken.seq < seq))
    }

    /// An agent reads what was said to it before `upto`.
    pub(super) fn read(&mut self, who: &(u32, Role), upto: Seq, at: Timestamp) {
        let Some(unread) = self.unread.get_mut(who) else { return };
        let messages = &mut self.messages;
        unread.retain(|index| match messages.get_mut(*index) {
            Some(spoken) if spoken.seq < upto => {
                spoken.read_at = Some(at);
                false
            }
            _ => true,
        });
    }

    /// A message has reached an agent to which it is addressed alone.
    pub(super) fn delivered(&mut self, index: usize, reader: NodeIx, at: Timestamp) {
        if let Some(spoken) = self.messages.get_mut(index).filter(|s| s.message.to.is_some()) {
            spoken.read_at.get_or_insert(at);
            spoken.read_by.push(reader);
        }
    }

    /// Voids what an attempt found, and what it took back.
    pub(super) fn void(&mut self, node: NodeIx, findings: &[usize]) {
        self.taken_back.retain(|taken| taken.node != node);
        for index in findings {
            if let Some(found) = self.findings.get_mut(*index) {
                Arc::make_mut(&mut found.finding).status = FindingStatus::Retracted;
            }
        }
    }

    /// Voids what was found and written in `nodes`.
    pub(super) fn forget(&mut self, nodes: &BTreeSet<NodeIx>) {
        for found in self.findings.iter_mut().filter(|f| nodes.contains(&f.node)) {
            Arc::make_mut(&mut found.finding).status = FindingStatus::Retracted;
        }
        self.taken_back.retain(|taken| !nodes.contains(&taken.node));
        for versions in self.writes.values_mut() {
            versions.retain(|(node, _)| !nodes.contains(node));
        }
    }

    /// What a node wrote becomes visible: the node, its agent and where all that that had read comes from.
    pub(super) fn commit(
        &mut self,
        (node, author, origins): (NodeIx, &Role, Origins),
        variable: &Arc<str>,
        value: &Value,
        seq: Seq,
    ) {
        let versions = self.writes.entry(variable.clone()).or_default();
        let version = u32::try_from(versions.len()).unwrap_or(u32::MAX).saturating_add(1);
        versions.push((node, Variable { value: value.clone(), version, author: author.clone(), seq, origins }));
    }
}
