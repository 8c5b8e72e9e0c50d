//! When may others see a record? When it is durable. [`Publisher`] waits for that, and tells the driver when it will never be.

use std::{collections::VecDeque, sync::Arc};

use super::{EngineError, followers::Followers};
use crate::{event::Record, store::Ticket};

/// Shows the records of a session to whoever follows it, in order. What waits here waits for the disk as well, and the store bounds that.
pub(super) struct Publisher {
    followers: Arc<Followers>,
    waiting: VecDeque<(Ticket, Vec<Arc<Record>>)>,
}

impl Publisher {
    /// Shows them to `followers`.
    pub(super) fn new(followers: Arc<Followers>) -> Self {
        Self { followers, waiting: VecDeque::new() }
    }

    /// Shows `records` once `ticket` says that they are durable, while somebody waits here for that.
    pub(super) fn publish(&mut self, ticket: Ticket, records: Vec<Arc<Record>>) {
        self.waiting.push_back((ticket, records));
    }

    /// Waits until an append fails, for ever if none does.
    pub(super) async fn failed(&mut self) -> EngineError {
        match self.finish().await {
            Ok(()) => std::future::pending().await,
            Err(error) => error,
        }
    }

    /// Waits until everything was durable and shown. Nothing is lost when this is dropped before.
    pub(super) async fn finish(&mut self) -> Result<(), EngineError> {
        while let Some((ticket, _)) = self.waiting.front() {
            ticket.durable().await?;
            let records = self.waiting.pop_front().map(|(_, records)| records);
            self.followers.show(records.unwrap_or_default());
        }
        Ok(())
    }
}
