//! Who tells an owner that something was left for him? His [`Bell`].

use std::sync::Arc;

use tokio::sync::Notify;

/// Rings when there may be mail for the owner of a claim, who polls then. It has rung when the claim is new: something may have been left
/// before. Clones are the same bell; it has one listener.
#[derive(Clone, Debug)]
pub struct Bell(Arc<Notify>);

impl Bell {
    /// That of a new claim.
    pub fn new() -> Self {
        let bell = Self(Arc::default());
        bell.ring();
        bell
    }

    /// Rings, now or as soon as somebody listens; many times count as one.
    pub fn ring(&self) {
        self.0.notify_one();
    }

    /// Waits until it rings. Nothing is lost when this is dropped before.
    pub async fn rung(&self) {
        self.0.notified().await;
    }
}

impl Default for Bell {
    fn default() -> Self {
        Self::new()
    }
}
