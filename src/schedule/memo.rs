//! What of a request stays the same over a session? [`Memo`] keeps it: a team of a hundred is described once, and not at each turn.
//!
//! Everything in it follows from plan and journal, so that it is no state: who lost it makes it again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    graph::{Member, TeamPlan},
    turn::{Letters, Offers, Tally, collaboration_tools},
    value::{NodeIx, TeamIx, ToolSpec, Value},
};

/// Kinds of agents whose tools are kept; beyond them they are made anew.
const MAX_KINDS: usize = 4_096;

/// Agents whose conversations are counted on; when there are more, all are counted again.
const MAX_TALLIES: usize = 4_096;

type Kinds = BTreeMap<Offers, Arc<[Arc<ToolSpec>]>>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Memo {
    rosters: Mutex<BTreeMap<TeamIx, Value>>,
    tools: Mutex<Kinds>,
    /// With the attempt whose conversation is counted.
    tallies: Mutex<BTreeMap<NodeIx, (u32, Tally)>>,
    letters: Arc<Letters>,
}

impl Memo {
    /// The members of a team, as agents read of them.
    pub(super) fn roster(&self, ix: TeamIx, team: &TeamPlan) -> Value {
        let facts = |member: &Member| Value::of(&member.facts()).unwrap_or_default();
        let made = || Value::list(team.members.iter().map(facts));
        lock(&self.rosters).entry(ix).or_insert_with(made).clone()
    }

    /// [`collaboration_tools`].
    pub(super) fn tools(&self, offers: Offers) -> Arc<[Arc<ToolSpec>]> {
        let mut kinds = lock(&self.tools);
        if let Some(known) = kinds.get(&offers) {
            return known.clone();
        }
        let made: Arc<[_]> = collaboration_tools(&offers).into();
        if kinds.len() < MAX_KINDS {
            kinds.insert(offers, made.clone());
        }
        made
    }

    /// Works with what was counted of an activation's conversation. One that goes on from another, of which it has `inherited` that many
    /// entries, goes on counting from there.
    pub(super) fn tally<T>(
        &self,
        (node, attempt): (NodeIx, u32),
        inherited: Option<(NodeIx, usize)>,
        work: impl FnOnce(&mut Tally) -> T,
    ) -> T {
        let mut tallies = lock(&self.tallies);
        if tallies.len() >= MAX_TALLIES {
            tallies.clear();
        }
        let own = tallies.remove(&node).filter(|(counted, _)| *counted == attempt);
        let before = || {
            let (before, entries) = inherited?;
            Some(tallies.remove(&before)?.1).filter(|tally| tally.entries() <= entries)
        };
        let tally = own.map(|(_, tally)| tally).or_else(before);
        let mut tally = tally.unwrap_or_else(|| Tally::sharing(self.letters.clone()));
        let done = work(&mut tally);
        tallies.insert(node, (attempt, tally));
        done
    }

    /// An activation is over, and no other goes on from it.
    pub(super) fn forget(&self, node: NodeIx) {
        lock(&self.tallies).remove(&node);
    }
}

/// A panic elsewhere leaves it whole: what is in it is taken out, or put in, at once.
fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
