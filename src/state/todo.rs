//! What waits for the scheduler? [`Todo`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    event::Key,
    value::{Failure, NodeIx},
};

/// What waits for the scheduler. Every entry leaves when the event that follows from it is applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Todo {
    /// Ended nodes whose conditional edges must be judged.
    pub judge: BTreeSet<NodeIx>,
    /// Nodes that can no longer start.
    pub doomed: BTreeSet<NodeIx>,
    /// Nodes that nobody waits for any more.
    pub moot: BTreeSet<NodeIx>,
    /// Nodes whose target edge's condition failed, with the failure.
    pub faulted: BTreeMap<NodeIx, Arc<Failure>>,
    /// Ready gates, asks and scopes: they need no slot.
    pub inline: BTreeSet<NodeIx>,
    /// Open scopes that may grow or end.
    pub scopes: BTreeSet<NodeIx>,
    /// Activations with calls that must be looked at, or with a result.
    pub agents: BTreeSet<NodeIx>,
    /// Irreversible calls whose outcome nobody knows.
    pub doubts: BTreeSet<Key>,
}

impl Todo {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.judge.is_empty()
            && self.doomed.is_empty()
            && self.moot.is_empty()
            && self.faulted.is_empty()
            && self.inline.is_empty()
            && self.scopes.is_empty()
            && self.agents.is_empty()
            && self.doubts.is_empty()
    }

    pub(super) fn forget(&mut self, node: NodeIx) {
        self.doomed.remove(&node);
        self.moot.remove(&node);
        self.faulted.remove(&node);
        self.inline.remove(&node);
        self.scopes.remove(&node);
        self.agents.remove(&node);
    }
}
