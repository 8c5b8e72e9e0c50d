//! What has this process to say to a session? It goes into an [`Inbox`], which takes no room while it is empty: most sessions wait for long.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::Unheard;
use crate::event::Input;

/// What callers have said and the session has yet to take, at most.
pub(super) const CALLERS_WAIT: usize = 64;

/// Where others put what a session is to know.
#[derive(Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Default)]
struct Waiting {
    /// What callers said.
    said: VecDeque<Input>,
    /// What came of calls: each in flight says one word, and what it asks of people.
    came: VecDeque<Input>,
    closed: bool,
}

/// The one who takes it out: when this is dropped, nobody listens any more.
pub(super) struct Hearing(Arc<Inbox>);

impl Inbox {
    /// An empty one, and who listens.
    pub(super) fn new() -> (Arc<Self>, Hearing) {
        let inbox = Arc::<Self>::default();
        (inbox.clone(), Hearing(inbox))
    }

    /// What came of a call. Where nobody listens any more the session has gone, and with it whoever would want to know.
    pub(super) fn put(&self, input: Input) {
        let mut waiting = self.waiting();
        if !waiting.closed {
            waiting.came.push_back(input);
            self.filled.notify_one();
        }
    }

    /// What a caller says.
    pub(super) fn say(&self, input: Input) -> Result<(), Unheard> {
        let mut waiting = self.waiting();
        if waiting.closed {
            return Err(Unheard::Ended);
        }
        if waiting.said.len() >= CALLERS_WAIT {
            return Err(Unheard::Busy);
        }
        waiting.said.push_back(input);
        self.filled.notify_one();
        Ok(())
    }

    /// What is guarded is whole at every moment, so a panic elsewhere does not matter.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hearing {
    /// Waits until there may be something. Nothing is lost when this is dropped before.
    pub(super) async fn filled(&self) {
        self.0.filled.notified().await;
    }

    /// Takes what is there, at most so much, callers first.
    pub(super) fn take(&self, most: usize) -> Vec<Input> {
        let mut waiting = self.0.waiting();
        let Waiting { said, came, .. } = &mut *waiting;
        let (callers, calls) = (said.len().min(most), came.len().min(most - said.len().min(most)));
        let taken = said.drain(..callers).chain(came.drain(..calls)).collect();
        if said.is_empty() && came.is_empty() {
            (*said, *came) = Default::default();
        } else {
            self.0.filled.notify_one();
        }
        taken
    }

    /// Whether a caller waits to be heard.
    pub(super) fn is_spoken_to(&self) -> bool {
        !self.0.waiting().said.is_empty()
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        *self.0.waiting() = Waiting { closed: true, ..Waiting::default() };
    }
}
