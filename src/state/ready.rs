//! What may start as soon as a slot is free? [`Ready`]: by longest remaining path, then in declared order.
//!
//! A slot is held by a call to a model or tool that is in flight, and by nothing else. Scopes with a limit of their own
//! ([`Limiter`]) nest; a call takes a slot in each that encloses it. Each limiter offers the first that waits in it to the one
//! around it while it has a slot free, so that finding the first of all costs nothing, however many limiters there are, and a
//! change costs as many steps as limiters enclose it.

use std::{cmp::Reverse, collections::BTreeSet};

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

/// What waits for a slot of one limiter.
#[derive(Clone, Debug, Default, PartialEq)]
struct Queue {
    /// What waits for this one first.
    own: BTreeSet<ReadyKey>,
    /// What the limiters inside it offer.
    offers: BTreeSet<(ReadyKey, u32)>,
}

/// What waits for slots.
#[derive(Clone, Debug, PartialEq)]
pub struct Ready {
    limiters: Vec<Limiter>,
    queues: Vec<Queue>,
    waiting: usize,
}

impl Ready {
    /// With a limit for the session.
    pub fn new(max_parallel: u32) -> Self {
        let session = Limiter { limit: max_parallel.max(1), in_flight: 0, parent: None };
        Self { limiters: vec![session], queues: vec![Queue::default()], waiting: 0 }
    }

    /// A further limiter inside `parent`.
    pub fn nest(&mut self, parent: u32, limit: u32) -> u32 {
        let ix = u32::try_from(self.limiters.len()).unwrap_or(u32::MAX);
        self.limiters.push(Limiter { limit: limit.max(1), in_flight: 0, parent: Some(parent) });
        self.queues.push(Queue::default());
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
        self.waiting == 0
    }

    /// How many wait for a slot.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Adds what waits.
    pub fn insert(&mut self, limiter: u32, key: ReadyKey) {
        let offered = self.offer(limiter);
        self.waiting += usize::from(self.queues[limiter as usize].own.insert(key));
        self.offer_anew(limiter, offered);
    }

    /// Removes what waits no more.
    pub fn remove(&mut self, limiter: u32, key: ReadyKey) {
        let offered = self.offer(limiter);
        self.waiting -= usize::from(self.queues[limiter as usize].own.remove(&key));
        self.offer_anew(limiter, offered);
    }

    /// The first that may take a slot now.
    pub fn first(&self) -> Option<ReadyKey> {
        self.offer(0)
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
            let offered = self.offer(ix);
            change(&mut self.limiters[ix as usize]);
            self.offer_anew(ix, offered);
            next = self.limiters[ix as usize].parent;
        }
    }

    /// The first that waits in a limiter or inside it and may take a slot, as far as this limiter goes.
    fn offer(&self, limiter: u32) -> Option<ReadyKey> {
        let Limiter { limit, in_flight, .. } = self.limiters[limiter as usize];
        if in_flight >= limit {
            return None;
        }
        let queue = &self.queues[limiter as usize];
        let inner = queue.offers.first().map(|(key, _)| *key);
        queue.own.first().copied().into_iter().chain(inner).min()
    }

    /// Tells the limiters around one what it offers now, outwards as far as that changes anything.
    fn offer_anew(&mut self, limiter: u32, offered: Option<ReadyKey>) {
        let (mut ix, mut before) = (limiter, offered);
        while let Some(parent) = self.limiters[ix as usize].parent {
            let now = self.offer(ix);
            if now == before {
                return;
            }
            let around = self.offer(parent);
            let offers = &mut self.queues[parent as usize].offers;
            if let Some(key) = before {
                offers.remove(&(key, ix));
            }
            if let Some(key) = now {
                offers.insert((key, ix));
            }
            (ix, before) = (parent, around);
        }
    }
}
