//! What changes when something is taken over from an earlier session?

use std::sync::Arc;

use crate::{
    event::TakenOver,
    graph::NodeKind,
    state::{FoldError, State},
    value::{NodeIx, SessionId, Turn},
};

impl State {
    /// The reply or result that follows was paid for in another session: it costs nothing here, and is no call.
    pub(super) fn taken_over(&mut self, taken: &TakenOver) -> Result<(), FoldError> {
        self.known(taken.node)?;
        let is_reply = taken.call.is_none() && matches!(self.node(taken.node).kind, NodeKind::Agent(_));
        if is_reply {
            self.spend(taken.node, |spent| spent.model_calls = spent.model_calls.saturating_sub(1));
        }
        let entry = self.taken.entry(taken.node).or_default();
        match taken.call {
            Some(_) => entry.calls = entry.calls.saturating_add(1),
            None => entry.turns = entry.turns.saturating_add(1),
        }
        entry.session = Some(taken.session);
        entry.saved = entry.saved.plus(taken.saved);
        entry.pending = is_reply;
        Ok(())
    }

    pub(super) fn works_anew(
        &mut self,
        node: NodeIx,
        turn: Turn,
        why: &Arc<str>,
        under: Option<SessionId>,
    ) -> Result<(), FoldError> {
        self.known(node)?;
        let taken = self.taken.entry(node).or_default();
        taken.anew.get_or_insert_with(|| (turn, why.clone()));
        taken.session = under.or(taken.session);
        Ok(())
    }

    /// Whether the turn of a node that ends now is taken over.
    pub(super) fn ends_taken_over(&mut self, node: NodeIx) -> bool {
        self.taken.get_mut(&node).is_some_and(|taken| std::mem::take(&mut taken.pending))
    }
}
