//! Who gives a session back? [`Claimed`]: whatever happens to its holder, the claim is released.

use std::sync::Arc;

use crate::{
    event::Status,
    store::{Claim, ClaimError, Closing, NewSession, Release, Store},
    value::{Epoch, SessionId, Timestamp},
};

/// How often a session is claimed when others try at the same moment. Whoever wins is its owner, which the next attempt says.
const ATTEMPTS: u32 = 5;

/// A claim that is released when it is dropped; anybody may resume the session then.
pub(super) struct Claimed {
    store: Arc<dyn Store>,
    /// Present until it is released.
    claim: Option<Claim>,
    closing: Closing,
}

impl Claimed {
    /// Makes a session and claims it.
    pub(super) fn create(store: Arc<dyn Store>, new: NewSession) -> Result<Self, ClaimError> {
        let at = new.started_at;
        let claim = store.create(new)?;
        Ok(Self::broken_off(store, claim, at))
    }

    /// Claims a session, at time `at`.
    pub(super) fn take(store: Arc<dyn Store>, session: SessionId, at: Timestamp) -> Result<Self, ClaimError> {
        let mut attempt = 1;
        let claim = loop {
            match store.claim(session) {
                Err(ClaimError::Raced(_)) if attempt < ATTEMPTS => attempt += 1,
                claimed => break claimed?,
            }
        };
        Ok(Self::broken_off(store, claim, at))
    }

    fn broken_off(store: Arc<dyn Store>, claim: Claim, at: Timestamp) -> Self {
        Self { store, claim: Some(claim), closing: Closing { status: Status::Running, at } }
    }

    /// Where the session stands while nothing happens in it: what is said if the claim is dropped.
    pub(super) fn stands(&mut self, closing: Closing) {
        self.closing = closing;
    }

    /// The claim itself.
    pub(super) fn get(&self) -> &Claim {
        self.claim.as_ref().expect("a claim: it is taken out only when this is gone")
    }

    /// Its number.
    pub(super) fn epoch(&self) -> Epoch {
        self.get().epoch()
    }

    /// Gives the session back, and says where it stands.
    pub(super) fn release(mut self, closing: Closing) -> Option<Release> {
        Some(self.store.release(self.claim.take()?, closing))
    }
}

impl Drop for Claimed {
    /// A claim that died of a failed append cannot be released; nothing is lost by trying.
    fn drop(&mut self) {
        if let Some(claim) = self.claim.take() {
            drop(self.store.release(claim, self.closing));
        }
    }
}
