//! How do many sessions share one thread? A [`Queue`] that makes them wait when the disk does not keep up.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The most jobs that wait.
const MAX_JOBS: usize = 4_096;

/// The most bytes that wait, but for a single job that is larger.
const MAX_BYTES: usize = 64 * 1_024 * 1_024;

/// The most jobs of one batch.
const MAX_BATCH: usize = 1_024;

/// The longest that a batch waits to become as large as was expected.
const LINGER: Duration = Duration::from_micros(200);

/// A bounded queue from many threads to one.
#[derive(Debug)]
pub struct Queue<J> {
    state: Mutex<State<J>>,
    /// Something came, or the queue was closed.
    filled: Condvar,
    /// Something went.
    drained: Condvar,
}

#[derive(Debug)]
struct State<J> {
    jobs: VecDeque<(J, usize)>,
    bytes: usize,
    closed: bool,
    /// The one thread sleeps until there are so many jobs.
    awaited: Option<usize>,
}

impl<J> Queue<J> {
    /// An empty one.
    pub fn new() -> Self {
        let state = State { jobs: VecDeque::new(), bytes: 0, closed: false, awaited: None };
        Self { state: Mutex::new(state), filled: Condvar::new(), drained: Condvar::new() }
    }

    /// Adds a job of `bytes`; blocks while there is no room. A closed queue gives it back.
    pub fn push(&self, job: J, bytes: usize) -> Result<(), J> {
        let mut state = self.lock();
        while !state.closed && !state.has_room(bytes) {
            state = self.drained.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Err(job);
        }
        state.bytes += bytes;
        state.jobs.push_back((job, bytes));
        let is_awaited = state.awaited.is_some_and(|count| state.jobs.len() >= count);
        drop(state);
        if is_awaited {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// The jobs that wait, in order, at most [`MAX_BATCH`]; blocks until there are any, and a moment longer while there are fewer than
    /// `expected`: those who waited for one batch come back for the next at about the same time, and half a batch costs as much as a whole
    /// one. `None` when the queue is closed and empty.
    pub fn batch(&self, expected: usize) -> Option<Vec<J>> {
        let mut state = self.lock();
        while state.jobs.is_empty() {
            if state.closed {
                return None;
            }
            state.awaited = Some(1);
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let until = Instant::now() + LINGER;
        while state.jobs.len() < expected.min(MAX_BATCH) && !state.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state.awaited = Some(expected.min(MAX_BATCH));
            state = self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.awaited = None;
        let count = state.jobs.len().min(MAX_BATCH);
        let batch: Vec<_> = state.jobs.drain(..count).collect();
        state.bytes -= batch.iter().map(|(_, bytes)| bytes).sum::<usize>();
        drop(state);
        self.drained.notify_all();
        Some(batch.into_iter().map(|(job, _)| job).collect())
    }

    /// Takes no more jobs; those that wait are still handed out.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.drained.notify_all();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Nothing can be half done under the lock, so a panic elsewhere does not matter.
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J> State<J> {
    fn has_room(&self, bytes: usize) -> bool {
        self.jobs.len() < MAX_JOBS && (self.bytes == 0 || self.bytes + bytes <= MAX_BYTES)
    }
}
