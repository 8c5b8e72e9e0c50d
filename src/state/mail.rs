//! What did an agent get to read? Its mail, and how much of the team's knowledge it has: [`Knows`].
//!
//! An agent reads mail at the beginning of a turn. A *live* agent (one of a circle, or a node with `live: true`) reads all that
//! was said to it before that turn; its order is that of the journal. Any other reads once, at its first turn, what was said in
//! its causal past, in declared order, so that the order of arrival has no part in it.

use std::{collections::BTreeSet, sync::Arc};

use super::{Reach, Spoken, State};
use crate::{
    graph::{NodeKind, Phase},
    value::{Entry, Message, MessageKind, NodeIx, Role, Seq, Timestamp},
};

/// What a node may know: what its causal past said and found and, if it is live, all that its colleagues have until then.
#[derive(Clone, Debug)]
pub struct Knows {
    /// Who it is; it knows what it found itself.
    pub node: NodeIx,
    /// Its team at work.
    pub frame: u32,
    /// Its causal past.
    pub past: BTreeSet<NodeIx>,
    /// No record at or after this one, where it is live.
    pub live: Option<Seq>,
}

impl Knows {
    /// Whether it knows what the record `seq` tells of `node`, a colleague's.
    pub fn sees(&self, node: NodeIx, seq: Seq) -> bool {
        self.past.contains(&node) || self.live.is_some_and(|upto| seq < upto)
    }
}

/// What an agent has said and learned: what it goes on from, or answers from.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The activation.
    pub node: NodeIx,
    /// What that was asked to do.
    pub task: Arc<str>,
    /// Its thread, up to its last closed turn.
    pub thread: Vec<Entry>,
    /// How much of the session's mail it had looked at.
    pub mail: usize,
    /// What it had read when it began.
    pub began_at: Option<Seq>,
}

impl State {
    /// The seat for which an agent asks its colleagues, and how deep it stands below that: an agent that answers asks for whom it answers.
    pub fn first_asker(&self, node: NodeIx) -> (NodeIx, u32) {
        let (mut seat, mut depth) = (node, 0);
        while let (NodeKind::Agent(agent), Some(asker)) = (&self.node(seat).kind, self.instance_of(seat).scope)
            && agent.phase == Phase::Answer
        {
            (seat, depth) = (asker, depth + 1);
        }
        (self.seat_at(seat), depth)
    }

    /// What a node knows now: of an agent, what it had read at its current turn.
    pub fn knows(&self, node: NodeIx) -> Knows {
        let upto = self.activations.get(&node).map_or(self.seq, |activation| activation.read_upto);
        self.knows_upto(node, upto)
    }

    /// What an agent knew when it began: what its task was told with. It stays the same however long it is at work.
    pub fn knew(&self, node: NodeIx) -> Knows {
        let upto = self.activations.get(&node).and_then(|activation| activation.began_at).unwrap_or(self.seq);
        self.knows_upto(node, upto)
    }

    fn knows_upto(&self, node: NodeIx, upto: Seq) -> Knows {
        Knows { node, frame: self.frame_of(node), past: self.past(node), live: self.is_live(node).then_some(upto) }
    }

    /// Whether an agent sees what is said while it is at work.
    pub fn is_live(&self, node: NodeIx) -> bool {
        matches!(&self.node(node).kind, NodeKind::Agent(agent) if agent.live)
    }

    /// The mail that an activation reads at the turn that begins now, by index among the messages of the session.
    pub fn incoming(&self, node: NodeIx) -> Vec<usize> {
        let Some(activation) = self.activations.get(&node) else { return Vec::new() };
        let NodeKind::Agent(agent) = &self.node(node).kind else { return Vec::new() };
        let first = activation.began_at.is_none();
        if activation.begun || agent.phase == Phase::Answer || !(agent.live || first) {
            return Vec::new();
        }
        let frame = self.frame_of(node);
        let above = self.voice(node).filter(|voice| voice.leads);
        if agent.live && above.is_none() {
            let mail = self.context.mail_to(frame, &agent.role, activation.heard);
            return mail.filter(|(_, spoken)| self.reads(true, spoken)).map(|(index, _)| index).collect();
        }
        let mine = |spoken: &Spoken| spoken.frame == frame && concerns(&spoken.message, &agent.role);
        let ours = |spoken: &Spoken| {
            above.as_ref().is_some_and(|voice| spoken.frame == voice.frame && concerns(&spoken.message, voice.member))
        };
        let to_me = self.context.mail_from(activation.heard);
        let to_me = to_me.filter(|(_, s)| self.reads(agent.live, s) && (mine(s) || ours(s)));
        let mut mail: Vec<(usize, &Spoken)> = to_me.collect();
        if !mail.is_empty() {
            let past = self.past(node);
            // A circle has no past: a team in it reads what had come before it was put to work.
            let begun = above.as_ref().filter(|voice| self.circle_of(voice.scope).is_some());
            let begun = begun.map_or(Seq(0), |voice| self.nodes[voice.scope.index()].ready_at);
            let had_come = |s: &Spoken| s.frame != frame && s.seq < begun;
            mail.retain(|(_, s)| past.contains(&s.node) || had_come(s) || (agent.live && s.frame == frame));
        }
        if !agent.live {
            mail.sort_by_cached_key(|(_, spoken)| (self.position(spoken.node), spoken.seq));
        }
        mail.into_iter().map(|(index, _)| index).collect()
    }

    fn reads(&self, live: bool, spoken: &Spoken) -> bool {
        match spoken.reach {
            Reach::All => true,
            Reach::Live => live,
            Reach::Record => false,
        }
    }

    /// Messages by their indexes.
    pub fn messages(&self, indexes: &[usize]) -> Arc<[Arc<Message>]> {
        indexes.iter().filter_map(|index| self.context.messages.get(*index)).map(|spoken| spoken.message.clone()).collect()
    }

    /// An activation reads `mail` at the beginning of a turn.
    pub(super) fn take_mail(&mut self, node: NodeIx, mail: &[usize], at: Timestamp) {
        let entry = Entry::Mail(self.messages(mail));
        let all = self.context.mail.len();
        if let Some(activation) = self.activations.get_mut(&node) {
            activation.heard = all;
            if !mail.is_empty() {
                activation.thread.push(entry);
            }
        }
        for index in mail {
            self.context.delivered(*index, node, at);
        }
    }

    /// The question that an activation answers.
    pub fn question_of(&self, answer: NodeIx) -> Option<&Arc<Message>> {
        let asker = self.instance_of(answer).scope?;
        let path = self.path(answer);
        let asked = self.context.messages.iter().rev().filter(|s| s.node == asker).map(|s| &s.message);
        let mut here = asked.filter(|m| m.answered_at() == Some(&*path));
        here.next()
    }

    /// Mail to one agent, oldest first.
    pub fn addressed(&self) -> impl Iterator<Item = &Spoken> {
        self.context.mail_from(0).map(|(_, spoken)| spoken).filter(|s| s.reach == Reach::All && s.message.to.is_some())
    }

    /// Mail to one agent that nobody has read, oldest first.
    pub fn undelivered(&self) -> impl Iterator<Item = &Spoken> {
        self.addressed().filter(|s| s.read_by.is_empty())
    }
}

/// Whether a message is one for `role` to read: it, or all, are addressed, or it answered itself what is answered here.
pub(super) fn concerns(message: &Message, role: &Role) -> bool {
    let own_answer = is_own_answer(message);
    match (&message.from, &message.to) {
        (Some(from), _) if from == role => own_answer,
        (_, Some(to)) => to == role && !own_answer,
        (_, None) => true,
    }
}

/// Whether a message is the answer to a colleague's question: it got that as the result of its call, and mail is to whoever answered.
pub(super) fn is_own_answer(message: &Message) -> bool {
    message.kind == MessageKind::Response && message.answers().is_some()
}
