//! What becomes of an agent that goes round in circles? It is told, and stopped when it goes on.

use std::{collections::BTreeMap, sync::Arc};

use super::Scheduler;
use crate::{
    event::Event,
    graph::{Detector, EscalationPolicy},
    state::FoldError,
    turn::{Exchange, Seen, Verdict, fruitless, is_collaboration, lacks_evidence, look, says_the_same},
    value::{Call, EffectClass, Failure, FailureKind, MessageKind, NodeIx, Role, Seq, Value},
};

/// Messages that are looked back on at most.
const MESSAGES: usize = 256;

impl Scheduler {
    /// What the detectors of its team say to an agent's next turn.
    pub(super) fn watch(&self, node: NodeIx) -> Option<Verdict> {
        let detect = self.state.team_of(node).1.detect.as_ref()?;
        let activation = self.state.activations.get(&node)?;
        if let Some(told) = self.fruitless_rounds(node) {
            return Some(told);
        }
        let exchanges = if detect.get(Detector::PingPong).is_some() { self.exchanges(node) } else { Vec::new() };
        let seen = Seen::new(&activation.thread, &activation.told, exchanges, |call| self.changes(call));
        let seen = seen.handed_back(self.handed_back(node));
        look(detect, &seen)
    }

    /// What whoever divides anew is told before it begins, where rounds brought nothing.
    fn fruitless_rounds(&self, node: NodeIx) -> Option<Verdict> {
        let scope = self.state.divides_anew(node)?;
        let (detector, activation) = (Detector::LoopingLedger, self.state.activations.get(&node)?);
        let watch = self.state.team_of(node).1.detect.as_ref()?.get(detector)?;
        if activation.turn.0 > 0 || activation.told.contains_key(&detector) {
            return None;
        }
        let (_, what) = fruitless(watch, &self.state.news_of_rounds(scope))?;
        let note = format!(
            "{}: {what}. Divide what is left otherwise: other agents, other steps, smaller parts. If the next round brings nothing \
             either, there is no further one, and somebody else is asked",
            detector.name()
        );
        Some(Verdict::Tell(detector, note.into()))
    }

    /// Whether a call may change the world.
    pub(super) fn changes(&self, call: &Call) -> bool {
        !is_collaboration(&call.tool) && self.tools.effect(&call.tool, &call.args) != EffectClass::Read
    }

    /// An agent was told and went on: its attempt ends.
    pub(super) fn stalled(&mut self, node: NodeIx, why: &Arc<str>) -> Result<(), FoldError> {
        self.attempt_failed(node, Arc::new(Failure::new(FailureKind::Stalled, why)))
    }

    /// On what grounds a stall escalates: as such, else as any failure.
    pub(super) fn stall_policy(&self, node: NodeIx) -> EscalationPolicy {
        if self.escalates(node, EscalationPolicy::OnStall) { EscalationPolicy::OnStall } else { EscalationPolicy::OnFailure }
    }

    /// Tells an agent that finishes without the declared evidence, and stops it the second time; `None` where nothing is missing.
    pub(super) fn ends_early(&mut self, node: NodeIx, value: &Value) -> Option<Result<(), FoldError>> {
        let watch = self.state.team_of(node).1.detect.as_ref()?.get(Detector::PrematureEnd)?;
        let (activation, member) = (self.state.activations.get(&node)?, self.member(node)?);
        let found = activation.found.iter().filter_map(|ix| self.state.context.findings.get(*ix));
        let lack = lacks_evidence(watch, member.profile.output_schema.as_ref(), value, found.map(|found| &*found.finding))?;
        let (detector, name) = (Detector::PrematureEnd, Detector::PrematureEnd.name());
        if activation.told.contains_key(&detector) || self.turns_left(node) == 0 {
            return Some(self.stalled(node, &Arc::from(format!("{name}: {lack}"))));
        }
        let note =
            Arc::from(format!("{name}: {lack}. Give what it rests on, or escalate; if it is missing again, you are stopped"));
        Some(self.emit(Event::Noted { node, detector: Some(detector), note }))
    }

    /// What an agent and its colleagues said to each other, back and forth, since either of the two found something.
    fn exchanges(&self, node: NodeIx) -> Vec<Exchange> {
        let Some(own) = self.state.role_of(node) else { return Vec::new() };
        let frame = self.state.frame_of(node);
        let lately = self.state.context.messages.iter().rev().take(MESSAGES);
        let lately = lately.filter(|s| {
            matches!(s.message.kind, MessageKind::Note | MessageKind::Question | MessageKind::Response) && s.frame == frame
        });
        // What the agent and a colleague said to each other, the last first: by whom and when.
        let mut between: BTreeMap<&Role, Vec<(&Role, Seq)>> = BTreeMap::new();
        for spoken in lately {
            let (Some(from), Some(to)) = (&spoken.message.from, &spoken.message.to) else { continue };
            if from == own || to == own {
                between.entry(if from == own { to } else { from }).or_default().push((from, spoken.seq));
            }
        }
        let rounds = |with: &Role, said: &[(&Role, Seq)]| {
            let since = self.found_by(frame, [own, with]);
            let mut turns: Vec<&Role> = said.iter().take_while(|(_, seq)| *seq > since).map(|(from, _)| *from).collect();
            turns.dedup();
            turns.len() / 2
        };
        let exchanges = between.iter().map(|(with, said)| Exchange { with: (*with).clone(), rounds: rounds(with, said) });
        exchanges.filter(|exchange| exchange.rounds > 0 && !self.gets_on(frame, &exchange.with)).collect()
    }

    /// How often two agents of a relay handed over to each other, up to this seat, since either found something or said something
    /// new.
    fn handed_back(&self, node: NodeIx) -> usize {
        let scope = self.state.instance_of(node).scope.filter(|scope| self.state.circle(*scope).is_none());
        let relay = scope.and_then(|scope| self.state.scopes.get(&scope)).map(|scope| &scope.seats);
        let Some(relay) = relay else { return 0 };
        let Some(seat) = relay.iter().position(|(_, seat)| *seat == node) else { return 0 };
        let said = |at: usize| self.state.output(relay[at].1).to_string();
        let news = |at: usize| {
            let found = self.state.context.findings.iter().any(|found| found.node == relay[at].1);
            found || at < 2 || !says_the_same(&said(at), &said(at - 2))
        };
        let back = |at: &usize| relay[*at].0 == relay[*at - 2].0 && !news(*at - 1);
        (2..=seat).rev().take_while(back).count()
    }

    /// When one of these agents last found something.
    fn found_by(&self, frame: u32, who: [&Role; 2]) -> Seq {
        let theirs = |f: &&crate::state::Found| who.contains(&&f.finding.agent) && f.frame == frame;
        self.state.context.findings.iter().rev().find(theirs).map_or(Seq(0), |found| found.seq)
    }

    /// Whether an agent that is at work gets results of its own beside what it says.
    fn gets_on(&self, frame: u32, role: &Role) -> bool {
        let theirs = |node: &NodeIx| self.state.role_of(*node) == Some(role) && self.state.frame_of(*node) == frame;
        self.state.activations.iter().filter(|(node, _)| theirs(node)).any(|(_, activation)| {
            let seen = Seen::new(&activation.thread, &activation.told, Vec::new(), |call| self.changes(call));
            seen.news_in_last(3) > 0
        })
    }
}
