//! Who is at work in a circle, who rests, and who is woken?
//!
//! A member of a circle is one seat with one thread and so many turns. Each of its activations goes on from the thread of the one
//! before. It rests when that ends; mail that asks for something wakes it while it has turns left. The members who are woken wait
//! in [`super::ScopeState::woken`] for the scheduler, which grows their next activation.

use super::{Heard, Reach, Spoken, Stand, State, mail::concerns};
use crate::{
    graph::{CIRCLE_RUNS, Node, NodeKind, ScopeKind},
    value::{Message, MessageKind, NodeIx, Role},
};

impl State {
    /// The members of a circle and what their activations are like; `None` for any other node.
    pub fn circle(&self, scope: NodeIx) -> Option<(&[Role], &Node)> {
        let NodeKind::Scope(kind) = &self.node(scope).kind else { return None };
        if let ScopeKind::Circle { members, like } = &**kind { Some((members, like)) } else { None }
    }

    /// The circle in which a node is an activation.
    pub fn circle_of(&self, node: NodeIx) -> Option<NodeIx> {
        self.instance_of(node).scope.filter(|scope| self.circle(*scope).is_some())
    }

    /// The seat of an agent node: itself, or the first activation of the same member in its circle.
    pub fn seat_at(&self, node: NodeIx) -> NodeIx {
        let first = || {
            let circle = self.scopes.get(&self.circle_of(node)?)?;
            let role = self.role_of(node)?;
            circle.seats_of(role).first().copied()
        };
        first().unwrap_or(node)
    }

    /// The turns that a member of a circle has left; of one that is a team, the runs.
    pub fn turns_left_in(&self, scope: NodeIx, role: &Role) -> u32 {
        let (Some((_, like)), Some(state)) = (self.circle(scope), self.scopes.get(&scope)) else { return 0 };
        let own_seats = state.seats_of(role);
        let Some(member) = self.team_of(scope).1.agent(role) else { return 0 };
        if member.team.is_some() {
            return CIRCLE_RUNS.saturating_sub(u32::try_from(own_seats.len()).unwrap_or(u32::MAX));
        }
        let Some(seat) = own_seats.first() else { return 0 };
        let own = member.profile.max_turns;
        let most = if let NodeKind::Agent(agent) = &like.kind { agent.max_turns.unwrap_or(own) } else { own };
        most.saturating_sub(self.seat_turns.get(seat).copied().unwrap_or(0))
    }

    fn has_turns(&self, scope: NodeIx, role: &Role) -> bool {
        self.turns_left_in(scope, role) > 0
    }

    /// Whether a member of a circle has ended its last activation.
    fn is_resting(&self, scope: NodeIx, role: &Role) -> bool {
        let last = self.scopes.get(&scope).and_then(|state| state.seats_of(role).last());
        last.is_some_and(|node| self.nodes.get(node.index()).is_some_and(|n| n.stand == Stand::Ended))
    }

    /// A member's activation has begun: it goes on from its last one.
    pub(super) fn seat_in(&mut self, scope: NodeIx, role: Role, node: NodeIx) {
        if self.circle(scope).is_some() {
            let before = self.threads.get(&(self.frame_of(scope), role.clone()));
            let seats = self.scopes.get(&scope).map(|state| state.seats_of(&role)).unwrap_or_default();
            let own = |heard: &&Heard| seats.contains(&heard.node);
            if let Some(heard) = before.filter(own).cloned() {
                self.snapshots.insert(node, heard);
            }
        }
        let state = self.scopes.entry(scope).or_default();
        state.woken.remove(&role);
        state.wish = None;
        state.own_seats.entry(role.clone()).or_default().push(node);
        state.seats.push((role, node));
    }

    /// A member that comes to rest has looked at all mail up to its last turn; one that had no turn, at all there is.
    pub(super) fn looked_upto(&mut self, node: NodeIx) {
        let Some(circle) = self.circle_of(node) else { return };
        let (Some(role), all) = (self.role_of(node).cloned(), self.context.mail.len()) else { return };
        let looked = self.activations.get(&node).filter(|a| a.begun || a.turn.0 > 0).map_or(all, |activation| activation.heard);
        if let Some(state) = self.scopes.get_mut(&circle) {
            state.rested.insert(role, looked);
        }
    }

    /// A member of a circle has come to rest; mail that came meanwhile wakes it at once.
    pub(super) fn rests(&mut self, scope: NodeIx, instance: u32) {
        let node = NodeIx(self.instances[instance as usize].base);
        let Some(role) = self.node(node).role().cloned() else { return };
        let looked = match self.node(node).seat() {
            // A team reads what had come before it was put to work.
            Some(_) => self.context.mail_before(self.nodes[node.index()].ready_at),
            None => self.scopes.get(&scope).and_then(|state| state.rested.get(&role).copied()).unwrap_or(0),
        };
        let frame = self.frame_of(scope);
        let calls = |s: &Spoken| calls_up(&s.message, s.reach, &role);
        let woken = self.context.mail_to(frame, &role, looked).any(|(_, spoken)| calls(spoken)) && self.has_turns(scope, &role);
        let ruled = self.team_of(scope).1.rules.iter().any(|rule| &**rule == "settle");
        if let Some(state) = self.scopes.get_mut(&scope) {
            if woken {
                state.woken.insert(role);
            }
            state.unjudged = ruled;
        }
        self.circle_is_due(scope);
    }

    /// A message wakes those of a circle to whom it is addressed, if they rest.
    pub(super) fn wake(&mut self, frame: u32, message: &Message, reach: Reach) {
        if self.circles.is_empty() || reach == Reach::Record {
            return;
        }
        let here: Vec<NodeIx> = self.circles.iter().copied().filter(|scope| self.frame_of(*scope) == frame).collect();
        for scope in here {
            let Some((members, _)) = self.circle(scope) else { continue };
            let woken: Vec<Role> = members
                .iter()
                .filter(|role| calls_up(message, reach, role) && self.is_resting(scope, role) && self.has_turns(scope, role))
                .cloned()
                .collect();
            if let Some(state) = self.scopes.get_mut(&scope) {
                state.woken.extend(woken);
            }
            self.circle_is_due(scope);
        }
    }

    /// The rule was asked whether a circle has come to its end.
    pub(super) fn judged_circle(&mut self, scope: NodeIx) {
        if let Some(state) = self.scopes.get_mut(&scope) {
            state.unjudged = false;
        }
        self.circle_is_due(scope);
    }

    /// Whether the scheduler has something to do about a circle: to ask the rule, to grow it, or to end it.
    pub(super) fn circle_is_due(&mut self, scope: NodeIx) {
        let Some(state) = self.scopes.get(&scope) else { return };
        let grown = self.circle(scope).is_some_and(|(members, _)| state.seats.len() >= members.len());
        let due = !grown || state.unjudged || !state.woken.is_empty() || state.open == 0 || state.expired;
        if due && self.nodes[scope.index()].stand == Stand::Running {
            self.todo.scopes.insert(scope);
        } else {
            self.todo.scopes.remove(&scope);
        }
    }
}

/// Whether a message wakes `role`: it is addressed, and it is no note and no question that is answered elsewhere.
fn calls_up(message: &Message, reach: Reach, role: &Role) -> bool {
    let asks = match message.kind {
        MessageKind::Note | MessageKind::TaskAssignment => false,
        MessageKind::Question => message.answered_at().is_none(),
        MessageKind::Response => message.answers().is_none(),
        MessageKind::Finding | MessageKind::Handoff | MessageKind::Escalation => true,
    };
    asks && reach != Reach::Record && concerns(message, role)
}
