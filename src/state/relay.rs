//! Who has the word in a relay, and what was it given? [`RelaySeat`].

use super::{CallState, FoldError, State};
use crate::{
    graph::{NodeKind, ScopeKind},
    value::{CallIx, Entry, HandoffRequest, Message, MessageKind, NodeIx, Role},
};

use std::sync::Arc;

/// A place in a relay.
#[derive(Clone, Copy, Debug)]
pub struct RelaySeat<'s> {
    /// The relay.
    pub scope: NodeIx,
    /// Whom its agent may hand over to by a call of `handoff`.
    pub targets: &'s [Role],
    /// Handoffs that are left when it ends.
    pub left: u32,
    /// Who sat before, with its activation; nobody before the first.
    pub before: Option<&'s (Role, NodeIx)>,
}

impl State {
    /// The place of an activation in the relay that it belongs to; `None` for what belongs to none.
    pub fn relay_seat(&self, node: NodeIx) -> Option<RelaySeat<'_>> {
        let scope = self.instance_of(node).scope?;
        let NodeKind::Scope(kind) = &self.node(scope).kind else { return None };
        let ScopeKind::Relay { max_handoffs, targets, .. } = &**kind else { return None };
        let seats = &self.scopes.get(&scope)?.seats;
        let place = seats.iter().rposition(|(_, seat)| *seat == node)?;
        let targets = targets.get(&seats[place].0).map(Vec::as_slice).unwrap_or_default();
        let left = max_handoffs.saturating_sub(u32::try_from(place).unwrap_or(u32::MAX));
        Some(RelaySeat { scope, targets, left, before: place.checked_sub(1).map(|place| &seats[place]) })
    }

    /// The message by which an activation was handed the work.
    pub fn handoff_to(&self, node: NodeIx) -> Option<&Arc<Message>> {
        self.handoff_of(self.relay_seat(node)?.before?.1)
    }

    /// The message by which an activation handed its work on.
    pub fn handoff_of(&self, giver: NodeIx) -> Option<&Arc<Message>> {
        let mut here = self.context.messages.iter().rev().filter(|spoken| spoken.node == giver).map(|spoken| &spoken.message);
        here.find(|message| message.kind == MessageKind::Handoff)
    }

    /// Whether an activation must acknowledge what it was handed before it makes its call `upto`, or before it ends.
    pub fn owes_acknowledgement(&self, node: NodeIx, upto: Option<CallIx>) -> bool {
        let Some(handoff) = self.handoff_to(node) else { return false };
        if handoff.brief().is_none_or(|brief| brief.constraints.is_empty()) {
            return false;
        }
        let Some(activation) = self.activations.get(&node) else { return true };
        let before = |ix: CallIx| upto.is_none_or(|upto| ix < upto);
        let now = activation.numbered().any(|(ix, state)| match state {
            CallState::Answered(call, result) => before(ix) && &*call.tool == "acknowledge" && result.outcome.is_ok(),
            CallState::New(_)
            | CallState::Allowed(_)
            | CallState::InFlight(_)
            | CallState::Waiting(..)
            | CallState::Back(..)
            | CallState::AtPerson(_)
            | CallState::Heard(..) => false,
        });
        let earlier = activation.thread.iter().any(
            |entry| matches!(entry, Entry::Result { call, result } if &*call.tool == "acknowledge" && result.outcome.is_ok()),
        );
        !(now || earlier)
    }

    /// An agent asked for a handoff.
    pub(super) fn handed_off(&mut self, node: NodeIx, wish: &HandoffRequest) -> Result<(), FoldError> {
        if node.index() >= self.nodes.len() {
            return Err(self.contradiction(format!("node {node} does not exist")));
        }
        let Some(scope) = self.relay_seat(node).map(|seat| seat.scope) else {
            return Err(self.contradiction(format!("node {node} is no seat of a relay")));
        };
        self.scopes.entry(scope).or_default().wish = Some(wish.clone());
        Ok(())
    }
}
