//! How does a caller follow a session? [`SessionHandle`].

use std::sync::Arc;

use tokio::{sync::broadcast, task::JoinHandle};

use super::{
    Clock, EngineError,
    followers::Ear,
    inbox::{CALLERS_WAIT, Inbox},
};
use crate::{
    event::{Input, Record, Status},
    report::Report,
    secret::Env,
    value::{AskId, SessionId, Value},
};

/// How the drive of a session ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Where the session stands: over, parked, or broken off by [`SessionHandle::interrupt`].
    pub status: Status,
    /// What came of it so far.
    pub report: Arc<Report>,
}

/// Why a session does not hear a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unheard {
    /// Nobody drives it any more: leave the word with the engine.
    #[error("reach the session: it is over or parked")]
    Ended,
    /// It has not taken what was said before.
    #[error("reach the session: {CALLERS_WAIT} words wait for it already; say it again later")]
    Busy,
}

/// A session that this process drives. Dropping the handle lets the session go on.
pub struct SessionHandle {
    pub(super) session: SessionId,
    pub(super) inbox: Arc<Inbox>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) env: Env,
    pub(super) followers: Ear,
    pub(super) interrupt: tokio_util::sync::CancellationToken,
    pub(super) task: JoinHandle<Result<Ended, EngineError>>,
}

impl SessionHandle {
    /// Which session.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The records as they come, from the first on where this is called once and first. A slow reader misses some: see the journal.
    pub fn events(&mut self) -> broadcast::Receiver<Arc<Record>> {
        self.followers.0.follow()
    }

    /// Short words of tools on how far they are, each as `node: word`. They are not journaled.
    pub fn words(&self) -> broadcast::Receiver<Arc<str>> {
        self.followers.0.listen()
    }

    /// Wants the session to end; what is in flight is stopped, `finally` still runs.
    ///
    /// # Errors
    /// The session does not hear it.
    pub fn cancel(&self, by: impl AsRef<str>, reason: impl AsRef<str>) -> Result<(), Unheard> {
        let reason = Arc::from(self.env.redactor().text(reason.as_ref()));
        self.inbox.say(Input::Cancel { by: Arc::from(by.as_ref()), reason })
    }

    /// Answers an open question of a session that is being driven. A wrong answer changes nothing.
    ///
    /// # Errors
    /// The session does not hear it.
    pub fn answer(&self, ask: AskId, value: Value, by: impl AsRef<str>) -> Result<(), Unheard> {
        let value = self.env.redactor().value(&value).unwrap_or(value);
        self.inbox.say(Input::Answered { ask, value, by: Arc::from(by.as_ref()), at: self.clock.now() })
    }

    /// Breaks the drive off: what is in flight is stopped, the journal is made durable, the session can be resumed.
    pub fn interrupt(&self) {
        self.interrupt.cancel();
    }

    /// A switch that breaks the drive off, for signal handlers.
    pub fn interrupter(&self) -> tokio_util::sync::CancellationToken {
        self.interrupt.clone()
    }

    /// Waits until the session is over, parked or broken off.
    ///
    /// # Errors
    /// The engine could not do its job; the session can be resumed.
    pub async fn wait(self) -> Result<Ended, EngineError> {
        let Self { followers, task, .. } = self;
        // Nobody can ask for its records now.
        drop(followers);
        task.await.map_err(|e| EngineError::Broken(e.to_string()))?
    }
}
