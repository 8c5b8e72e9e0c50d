//! Is it durable? A [`Ticket`] says so, to those who await it and those who ask.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use super::AppendError;

/// Something that the store will have done; clones wait for the same thing. It completes in every case, also when the store is
/// dropped.
#[derive(Clone, Debug)]
pub struct Pending<T> {
    shared: Arc<Shared<T>>,
    /// What has to be done as well: the index row of a new session.
    also: Option<Arc<Ticket>>,
}

/// For the durability of an append.
pub type Ticket = Pending<()>;

/// For the release of a session: true when mail was waiting.
pub type Release = Pending<bool>;

/// The other end of a [`Pending`]. Dropped without an outcome it fails with the error it was made with.
#[derive(Debug)]
pub struct Completer<T> {
    shared: Arc<Shared<T>>,
    lost: Option<AppendError>,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    done: Condvar,
}

#[derive(Debug)]
struct State<T> {
    outcome: Option<Result<T, AppendError>>,
    wakers: Vec<Waker>,
    /// How many threads are blocked.
    blocked: usize,
}

impl<T: Clone> Pending<T> {
    /// One that is to be completed; `lost` is its outcome when its completer is dropped.
    pub fn new(lost: AppendError) -> (Completer<T>, Self) {
        let shared = Arc::new(Shared::of(None));
        (Completer { shared: Arc::clone(&shared), lost: Some(lost) }, Self { shared, also: None })
    }

    /// One that is complete.
    pub fn ready(outcome: Result<T, AppendError>) -> Self {
        Self { shared: Arc::new(Shared::of(Some(outcome))), also: None }
    }

    /// This one, complete only when `other` is too.
    #[must_use]
    pub fn and(self, other: Option<Arc<Ticket>>) -> Self {
        Self { shared: self.shared, also: other }
    }

    /// The outcome, if there is one yet.
    pub fn outcome(&self) -> Option<Result<T, AppendError>> {
        match self.also.as_ref().map(|also| also.outcome()) {
            Some(None) => None,
            Some(Some(Err(error))) => Some(Err(error)),
            Some(Some(Ok(()))) | None => self.shared.lock().outcome.clone(),
        }
    }

    /// Waits without blocking the thread.
    ///
    /// # Errors
    /// It failed; the claim is dead.
    pub async fn durable(&self) -> Result<T, AppendError> {
        self.clone().await
    }

    /// Blocks the thread until it is done.
    ///
    /// # Errors
    /// It failed; the claim is dead.
    pub fn wait(&self) -> Result<T, AppendError> {
        if let Some(also) = &self.also {
            also.wait()?;
        }
        let mut state = self.shared.lock();
        loop {
            if let Some(outcome) = &state.outcome {
                return outcome.clone();
            }
            state.blocked += 1;
            state = self.shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.blocked -= 1;
        }
    }

    fn poll_outcome(&self, context: &mut Context<'_>) -> Poll<Result<T, AppendError>> {
        if let Some(also) = &self.also {
            match also.poll_outcome(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {}
            }
        }
        let mut state = self.shared.lock();
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(outcome.clone());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

impl<T: Clone> Future for Pending<T> {
    type Output = Result<T, AppendError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_outcome(context)
    }
}

impl<T> Completer<T> {
    /// Says how it went, and wakes all who wait.
    pub fn complete(mut self, outcome: Result<T, AppendError>) {
        self.lost = None;
        self.shared.finish(outcome);
    }
}

impl<T> Drop for Completer<T> {
    fn drop(&mut self) {
        if let Some(error) = self.lost.take() {
            self.shared.finish(Err(error));
        }
    }
}

impl<T> Shared<T> {
    fn of(outcome: Option<Result<T, AppendError>>) -> Self {
        Self { state: Mutex::new(State { outcome, wakers: Vec::new(), blocked: 0 }), done: Condvar::new() }
    }

    /// A panic elsewhere leaves the state whole: it is only ever replaced.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, outcome: Result<T, AppendError>) {
        let (wakers, blocked) = {
            let mut state = self.lock();
            state.outcome = Some(outcome);
            (std::mem::take(&mut state.wakers), state.blocked)
        };
        if blocked > 0 {
            self.done.notify_all();
        }
        wakers.into_iter().for_each(Waker::wake);
    }
}
