//! When may others see a record? When it is durable. [`Publisher`] waits for that, and tells the driver when it will never be.

use std::sync::Arc;

use tokio::{sync::mpsc, task::JoinHandle};

use super::{EngineError, followers::Followers};
use crate::{
    event::Record,
    store::{AppendError, Ticket},
};

/// Shows the records of a session to whoever follows it, in order. What waits here waits for the disk as well, and the store bounds that.
pub(super) struct Publisher {
    appends: Option<mpsc::UnboundedSender<(Ticket, Vec<Record>)>>,
    /// `None` once it was said why it ended.
    task: Option<JoinHandle<Result<(), AppendError>>>,
}

impl Publisher {
    /// Shows them to `followers`.
    pub(super) fn start(followers: Arc<Followers>) -> Self {
        let (appends, mut waiting) = mpsc::unbounded_channel::<(Ticket, Vec<Record>)>();
        let task = tokio::spawn(async move {
            while let Some((ticket, records)) = waiting.recv().await {
                ticket.durable().await?;
                followers.show(records);
            }
            Ok(())
        });
        Self { appends: Some(appends), task: Some(task) }
    }

    /// Shows `records` once `ticket` says that they are durable.
    pub(super) fn publish(&self, ticket: Ticket, records: Vec<Record>) {
        if let Some(appends) = &self.appends {
            // It is closed only after an append failed, which `failed` says.
            let _ = appends.send((ticket, records));
        }
    }

    /// Waits until an append fails, for ever if none does.
    pub(super) async fn failed(&mut self) -> EngineError {
        let Some(task) = &mut self.task else { return std::future::pending().await };
        let ended = task.await;
        self.task = None;
        match ended {
            Ok(Err(error)) => error.into(),
            Ok(Ok(())) => EngineError::Broken("its publisher ended early".to_owned()),
            Err(error) => EngineError::Broken(error.to_string()),
        }
    }

    /// Waits until everything was durable and shown.
    pub(super) async fn finish(mut self) -> Result<(), EngineError> {
        drop(self.appends.take());
        let Some(task) = self.task.take() else { return Ok(()) };
        task.await.map_err(|e| EngineError::Broken(e.to_string()))?.map_err(EngineError::from)
    }
}
