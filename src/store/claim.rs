//! Who may write? The holder of a [`Claim`].

use std::{any::Any, fmt, sync::Arc};

use super::Bell;
use crate::value::{Epoch, Seq, SessionId};

/// The right to append to a session. Dropping it without a release leaves the session to the next claim of the same process; other processes
/// see it as owned for as long as this one lives.
pub struct Claim {
    session: SessionId,
    epoch: Epoch,
    length: Seq,
    bell: Bell,
    state: Arc<dyn Any + Send + Sync>,
}

impl Claim {
    /// For implementations of [`super::Store`]: a claim with the bell that the store rings, and what it keeps for it, which is dropped with it.
    pub fn new(session: SessionId, epoch: Epoch, length: Seq, bell: Bell, state: Arc<dyn Any + Send + Sync>) -> Self {
        Self { session, epoch, length, bell, state }
    }

    /// Of which session.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The number of the claim, from 1 in each session.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How many records the session had when it was claimed: what the first append expects.
    pub fn length(&self) -> Seq {
        self.length
    }

    /// Rings when there may be mail, from the beginning on.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }

    /// What the store keeps for it; `None` for the claim of another kind of store.
    pub fn state<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Arc::clone(&self.state).downcast().ok()
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claim({} epoch {} from {})", self.session, self.epoch, self.length)
    }
}
