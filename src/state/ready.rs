//! What may start as soon as a slot is free? [`Ready`]: by longest remaining path, then in declared order.
//!
//! A slot is held by a call to a model or tool that is in flight, and by nothing else. Scopes with a limit of their own
//! ([`Limiter`]) nest; a call takes a slot in each that encloses it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use crate::value::{CallIx, NodeIx};

/// What a slot is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// A call of the turn.
    Call(CallIx),
    /// The next turn.
    Turn,
    /// The node.
    Start,
}

/// The order of starts.
pub type ReadyKey = (Reverse<u64>, NodeIx, Due);

/// A limit on calls in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limiter {
    /// At most.
    pub limit: u32,
    /// Now.
    pub in_flight: u32,
    /// The limiter around it.
    pub parent: Option<u32>,
}

/// What waits for slots, by the innermost limiter that it needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Ready {
    limiters: Vec<Limiter>,
    waiting: BTreeMap<u32, BTreeSet<ReadyKey>>,
}

impl Ready {
    /// With a limit for the session.
    pub fn new(max_parallel: u32) -> Self {
        Self { limiters: vec![Limiter { limit: max_parallel.max(1), in_flight: 0, parent: None }], waiting: BTreeMap::new() }
    }

    /// A further limiter inside `parent`.
    pub fn nest(&mut self, parent: u32, limit: u32) -> u32 {
        let ix = u32::try_from(self.limiters.len()).unwrap_or(u32::MAX);
        self.limiters.push(Limiter { limit: limit.max(1), in_flight: 0, parent: Some(parent) });
        ix
    }

    /// The limiters: the session's first.
    pub fn limiters(&self) -> &[Limiter] {
        &self.limiters
    }

    /// Calls in flight, in all.
    pub fn in_flight(&self) -> u32 {
        self.limiters[0].in_flight
    }

    /// Whether nothing waits for a slot.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many wait for a slot.
    pub fn len(&self) -> usize {
        self.waiting.values().map(BTreeSet::len).sum()
    }

    /// Adds what waits.
    pub fn insert(&mut self, limiter: u32, key: ReadyKey) {
        self.waiting.entry(limiter).or_default().insert(key);
    }

    /// Removes what waits no more.
    pub fn remove(&mut self, limiter: u32, key: ReadyKey) {
        if let Some(set) = self.waiting.get_mut(&limiter) {
            set.remove(&key);
            if set.is_empty() {
                self.waiting.remove(&limiter);
            }
        }
    }

    /// The first that may take a slot now.
    pub fn first(&self) -> Option<ReadyKey> {
        if self.limiters[0].in_flight >= self.limiters[0].limit {
            return None;
        }
        let free = |limiter: u32| {
            let mut next = Some(limiter);
            while let Some(ix) = next {
                let limiter = &self.limiters[ix as usize];
                if limiter.in_flight >= limiter.limit {
                    return false;
                }
                next = limiter.parent;
            }
            true
        };
        self.waiting.iter().filter(|(limiter, _)| free(**limiter)).filter_map(|(_, set)| set.first().copied()).min()
    }

    /// Takes a slot.
    pub fn take(&mut self, limiter: u32) {
        self.each(limiter, |l| l.in_flight += 1);
    }

    /// Gives `slots` back.
    pub fn give(&mut self, limiter: u32, slots: u32) {
        self.each(limiter, |l| l.in_flight = l.in_flight.saturating_sub(slots));
    }

    fn each(&mut self, limiter: u32, change: impl Fn(&mut Limiter)) {
        let mut next = Some(limiter);
        while let Some(ix) = next {
            change(&mut self.limiters[ix as usize]);
            next = self.limiters[ix as usize].parent;
        }
    }
}
