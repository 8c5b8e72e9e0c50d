//! What is due when? [`Timers`]: those that count running time, and the deadlines of questions, which count the wall clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::value::{AskId, NodeIx, Timestamp};

/// What becomes due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The running time of the session is spent.
    Wall,
    /// An attempt of a node took too long.
    Timeout(NodeIx),
    /// A node may be tried again.
    Retry(NodeIx),
    /// A question lapses.
    Deadline(AskId),
    /// A node has waited for its join long enough.
    Join(NodeIx),
    /// What a scope grew has had its time.
    Work(NodeIx),
}

impl Timer {
    /// Whether it counts the wall clock, outages and parked time included.
    fn is_absolute(self) -> bool {
        match self {
            Self::Deadline(_) => true,
            Self::Wall | Self::Timeout(_) | Self::Retry(_) | Self::Join(_) | Self::Work(_) => false,
        }
    }
}

/// Timers in order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timers {
    queue: BTreeSet<(Timestamp, Timer)>,
    at: BTreeMap<Timer, Timestamp>,
    paused: BTreeMap<Timer, Duration>,
}

impl Timers {
    /// Sets a timer, in place of an earlier one of the same name.
    pub fn set(&mut self, timer: Timer, at: Timestamp) {
        self.clear(timer);
        self.queue.insert((at, timer));
        self.at.insert(timer, at);
    }

    /// Clears a timer.
    pub fn clear(&mut self, timer: Timer) {
        self.paused.remove(&timer);
        if let Some(at) = self.at.remove(&timer) {
            self.queue.remove(&(at, timer));
        }
    }

    /// Stops a timer while a person is asked.
    pub fn pause(&mut self, timer: Timer, now: Timestamp) {
        if let Some(at) = self.at.remove(&timer) {
            self.queue.remove(&(at, timer));
            self.paused.insert(timer, at.since(now));
        }
    }

    /// Lets a paused timer go on.
    pub fn unpause(&mut self, timer: Timer, now: Timestamp) {
        if let Some(left) = self.paused.remove(&timer) {
            self.set(timer, now.after(left));
        }
    }

    /// The first timer; while parked only the deadlines of questions, since parked time is no running time.
    pub fn first(&self, parked: bool) -> Option<(Timestamp, Timer)> {
        self.queue.iter().find(|(_, timer)| !parked || timer.is_absolute()).copied()
    }

    /// Whether a timer is set.
    pub fn is_set(&self, timer: Timer) -> bool {
        self.at.contains_key(&timer)
    }

    /// Whether a timer is set, and due.
    pub fn is_due(&self, timer: Timer, now: Timestamp) -> bool {
        self.at.get(&timer).is_some_and(|at| *at <= now)
    }

    /// Whether a timer is set that lets something go on. One that only ends what takes too long does not: where nothing is in flight,
    /// what it would end waits for people, and the time that they take is no running time of anybody.
    pub fn has_work(&self) -> bool {
        self.at.keys().any(|timer| match timer {
            Timer::Retry(_) | Timer::Join(_) | Timer::Work(_) => true,
            Timer::Wall | Timer::Timeout(_) | Timer::Deadline(_) => false,
        })
    }

    /// Moves the timers that count running time by a span in which nothing ran.
    pub fn shift(&mut self, span: Duration) {
        if span.is_zero() {
            return;
        }
        let moved: Vec<_> = self.queue.iter().copied().filter(|(_, timer)| !timer.is_absolute()).collect();
        for (at, timer) in moved {
            self.set(timer, at.after(span));
        }
    }
}
