//! How often was a variable written, and by whom? [`Version`]: what a write that compares is compared with.
//!
//! A version counts the writes that its reader knows of, so that it does not depend on who of others is faster.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Knows, State};
use crate::value::{NodeIx, Role};

/// Where a variable stands for somebody who looks at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// The writes that led to it; 0 for a variable that nobody wrote.
    pub version: u32,
    /// Who wrote what stands: one agent, or all whose parallel writes were merged, in declared order.
    pub authors: Vec<Role>,
    /// Of these writes, those of live colleagues that take effect once they have finished.
    pub pending: u32,
}

impl State {
    /// The versions of the variables that a node knows of.
    pub fn visible_versions(&self, knows: &Knows) -> BTreeMap<String, Version> {
        let names: BTreeSet<&Arc<str>> = self.context.writes.keys().chain(self.context.given.keys()).collect();
        let versions = names.into_iter().map(|name| (name.to_string(), self.version_of(knows, name)));
        versions.filter(|(_, version)| version.version > 0).collect()
    }

    /// The version of a variable that an agent would replace if it wrote now. To a live agent that is how it stands at this
    /// moment, whenever it last read; what live colleagues are about to write counts, so that of two who compare only one writes.
    pub fn version_now(&self, node: NodeIx, variable: &str) -> Version {
        let live = self.is_live(node);
        let mut knows = self.knows(node);
        knows.live = live.then_some(self.seq);
        let mut version = self.version_of(&knows, variable);
        let at_work = self
            .activations
            .iter()
            .filter(|(other, _)| **other == node || (live && self.is_live(**other) && self.frame_of(**other) == knows.frame));
        for (other, activation) in at_work {
            let writes = activation.writes.iter().filter(|(name, ..)| **name == *variable).count();
            let writes = u32::try_from(writes).unwrap_or(u32::MAX);
            if let Some(role) = self.role_of(*other).filter(|_| writes > 0) {
                version.authors = vec![role.clone()];
            }
            version.version = version.version.saturating_add(writes);
            version.pending = version.pending.saturating_add(if *other == node { 0 } else { writes });
        }
        version
    }

    fn version_of(&self, knows: &Knows, variable: &str) -> Version {
        let given = self.context.given.get(variable).filter(|_| knows.frame == 0).map_or(0, |given| given.version);
        let writes = self.context.writes.get(variable).map(Vec::as_slice).unwrap_or_default();
        let known = |node: NodeIx, seq| self.frame_of(node) == knows.frame && knows.sees(node, seq);
        let mut writes: Vec<_> = writes.iter().filter(|(node, write)| known(*node, write.seq)).collect();
        writes.sort_by_cached_key(|(node, write)| (self.position(*node), write.seq));
        let version = u32::try_from(writes.len()).unwrap_or(u32::MAX).saturating_add(given);
        let authors = self.not_overwritten(writes).into_iter().map(|(_, write)| write.author.clone()).collect();
        Version { version, authors, pending: 0 }
    }
}
