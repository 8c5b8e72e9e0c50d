//! When may a request leave? [`Gate`]: one for a provider and one for each of its models, shared by all sessions of an engine.
//!
//! Limits are exact: in no minute more than is allowed, not even after a pause. Requests leave in the order in which they came.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

use crate::team::RateLimits;

/// A minute, and what a request may take on its way to whoever counts.
const WINDOW: Duration = Duration::from_secs(61);

/// Lets requests through.
#[derive(Debug)]
pub(super) struct Gate {
    slots: Option<Arc<Semaphore>>,
    /// Whoever holds it is the next.
    head: tokio::sync::Mutex<()>,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    limits: RateLimits,
    /// What left in the last minute, oldest first.
    taken: VecDeque<Taken>,
    /// The sum of its tokens.
    tokens: u64,
    next: u64,
    /// Nothing leaves before.
    paused: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    number: u64,
    at: Instant,
    tokens: u64,
}

/// A request that was let through. Its slot is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    number: Option<u64>,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Gate {
    pub fn new(limits: RateLimits) -> Self {
        let slots = limits.concurrency.map(|n| Arc::new(Semaphore::new(n as usize)));
        let window = Window { limits, taken: VecDeque::new(), tokens: 0, next: 0, paused: None };
        Self { slots, head: tokio::sync::Mutex::new(()), window: Mutex::new(window) }
    }

    /// Waits until a request of about `tokens` may leave.
    pub async fn enter(self: &Arc<Self>, tokens: u64) -> Pass {
        let slot = match &self.slots {
            // It is never closed.
            Some(slots) => slots.clone().acquire_owned().await.ok(),
            None => None,
        };
        let _head = self.head.lock().await;
        loop {
            let until = match self.window().take(Instant::now(), tokens) {
                Ok(number) => return Pass { gate: self.clone(), number, _slot: slot },
                Err(until) => until,
            };
            sleep_until(until).await;
        }
    }

    /// Lets nothing through for that long.
    pub fn pause(&self, span: Duration) {
        let until = Instant::now().checked_add(span);
        let mut window = self.window();
        window.paused = window.paused.max(until);
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// The request took so many tokens, not those that were expected.
    pub fn settle(&self, tokens: u64) {
        let Some(number) = self.number else { return };
        let mut window = self.gate.window();
        let Some(taken) = window.taken.iter_mut().find(|t| t.number == number) else { return };
        let before = std::mem::replace(&mut taken.tokens, tokens);
        window.tokens = window.tokens.saturating_sub(before).saturating_add(tokens);
    }
}

impl Window {
    /// Takes `tokens`, or says when to ask again. Where nothing is limited nothing is kept.
    fn take(&mut self, now: Instant, tokens: u64) -> Result<Option<u64>, Instant> {
        if let Some(paused) = self.paused {
            if now < paused {
                return Err(paused);
            }
            self.paused = None;
        }
        let RateLimits { requests_per_minute, tokens_per_minute, concurrency: _ } = self.limits;
        if requests_per_minute.is_none() && tokens_per_minute.is_none() {
            return Ok(None);
        }
        while let Some(old) = self.taken.front().copied().filter(|t| t.at + WINDOW <= now) {
            self.tokens = self.tokens.saturating_sub(old.tokens);
            self.taken.pop_front();
        }
        // A request that is larger than what a minute allows goes alone.
        let tokens = tokens_per_minute.map_or(tokens, |most| tokens.min(most));
        let most = requests_per_minute.map_or(usize::MAX, |n| n as usize);
        let too_many = self.taken.len() >= most;
        let too_large = tokens_per_minute.is_some_and(|most| self.tokens.saturating_add(tokens) > most);
        if let Some(oldest) = self.taken.front().filter(|_| too_many || too_large) {
            return Err(oldest.at + WINDOW);
        }
        let number = self.next;
        self.next += 1;
        self.tokens = self.tokens.saturating_add(tokens);
        self.taken.push_back(Taken { number, at: now, tokens });
        Ok(Some(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(requests: Option<u32>, tokens: Option<u64>, concurrency: Option<u32>) -> Arc<Gate> {
        Arc::new(Gate::new(RateLimits { requests_per_minute: requests, tokens_per_minute: tokens, concurrency }))
    }

    /// The seconds after which requests of those sizes, all there at once, leave.
    async fn departures(gate: &Arc<Gate>, sizes: &[u64]) -> Vec<u64> {
        let start = Instant::now();
        let mut left = Vec::new();
        for size in sizes {
            gate.enter(*size).await;
            left.push(start.elapsed().as_secs());
        }
        left
    }

    #[tokio::test(start_paused = true)]
    async fn no_minute_has_more_requests_than_allowed() {
        assert_eq!(departures(&gate(Some(3), None, None), &[1; 7]).await, [0, 0, 0, 61, 61, 61, 122]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_minute_has_more_tokens_than_allowed_and_a_large_request_goes_alone() {
        assert_eq!(departures(&gate(None, Some(100), None), &[60, 40, 1, 1_000, 1]).await, [0, 0, 61, 122, 183]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_used_is_given_back() {
        let gate = gate(None, Some(100), None);
        gate.enter(100).await.settle(10);
        assert_eq!(departures(&gate, &[90]).await, [0]);
        gate.enter(1).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_everybody_up_and_ends() {
        let gate = gate(None, None, None);
        gate.pause(Duration::from_secs(5));
        gate.pause(Duration::from_secs(2));
        assert_eq!(departures(&gate, &[1, 1]).await, [5, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_is_free_again_when_its_request_is_over_or_given_up() {
        let gate = gate(None, None, Some(1));
        let first = gate.enter(1).await;
        let waiting = tokio::time::timeout(Duration::from_secs(9), gate.enter(1)).await;
        assert!(waiting.is_err(), "there is one slot");
        drop(first);
        gate.enter(1).await;
    }
}
