//! For whom is a call made, with what, and for how long? [`CallContext`].

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{People, Roots};
use crate::value::{EffectClass, Failure, FailureKind, Role};

/// What a tool knows of the call that it serves.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// The agent; `None` for a tool node.
    pub role: Option<Role>,
    /// The path of the node.
    pub node: Arc<str>,
    /// `session/node/turn/call/digest`: stable over repetitions of the same call, so that an idempotent tool can tell them.
    pub key: Arc<str>,
    /// The files in reach.
    pub roots: Arc<Roots>,
    /// When to stop.
    pub stop: Stop,
    /// Where to say how far it is.
    pub progress: Progress,
    /// Whom to ask what only a person knows.
    pub people: People,
}

impl CallContext {
    /// A call of nobody in particular, without a time limit, on these files.
    pub fn on(roots: Arc<Roots>) -> Self {
        Self {
            role: None,
            node: Arc::from(""),
            key: Arc::from(""),
            roots,
            stop: Stop::default(),
            progress: Progress::default(),
            people: People::default(),
        }
    }
}

/// Says whether a call should go on: it ends at its deadline or when somebody cancels it. Cheap to clone; clones stop together.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    token: CancellationToken,
    deadline: Option<Instant>,
    pause: Arc<Pause>,
}

/// The time in which a call waited for people, which its time limit leaves out.
#[derive(Debug, Default)]
struct Pause {
    clock: Mutex<PauseClock>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct PauseClock {
    /// Questions that are open, and since when.
    open: u32,
    since: Option<Instant>,
    /// How long earlier ones were.
    total: Duration,
}

/// Stops the time of a call until it is dropped.
#[derive(Debug)]
pub(super) struct Paused(Arc<Pause>);

impl Pause {
    fn change(&self, change: impl FnOnce(&mut PauseClock)) {
        change(&mut self.clock.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        self.0.change(|clock| {
            clock.open = clock.open.saturating_sub(1);
            if clock.open == 0 {
                clock.total += clock.since.take().map_or(Duration::ZERO, |since| since.elapsed());
            }
        });
    }
}

impl Stop {
    /// Stops at `deadline`, if there is one, or when cancelled.
    pub fn new(deadline: Option<Instant>) -> Self {
        Self { token: CancellationToken::new(), deadline, pause: Arc::default() }
    }

    /// Asks the work to end. It fails with `cancelled` soon after.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// When the time is up, if there is a limit that runs: it stands still while a person is asked.
    pub fn deadline(&self) -> Option<Instant> {
        let clock = self.pause.clock.lock().unwrap_or_else(PoisonError::into_inner);
        self.deadline.filter(|_| clock.open == 0).and_then(|deadline| deadline.checked_add(clock.total))
    }

    /// Stops the time until what it gives is dropped.
    pub(super) fn pause(&self) -> Paused {
        self.pause.change(|clock| {
            clock.open = clock.open.saturating_add(1);
            clock.since.get_or_insert_with(Instant::now);
        });
        Paused(self.pause.clone())
    }

    /// Whether to end now.
    pub fn is_stopped(&self) -> bool {
        self.check().is_err()
    }

    /// Goes on, or says why not.
    ///
    /// # Errors
    /// `cancelled` when somebody cancelled, `timeout` when the deadline passed.
    pub fn check(&self) -> Result<(), Failure> {
        if self.token.is_cancelled() {
            return Err(Failure::new(FailureKind::Cancelled, "the call was cancelled"));
        }
        if self.deadline().is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Failure::new(FailureKind::Timeout, "the call ran into its time limit"));
        }
        Ok(())
    }

    /// Waits until the work should end and says why: for async tools, beside their own waiting.
    pub async fn stopped(&self) -> Failure {
        loop {
            let changed = self.pause.changed.notified();
            if let Err(failure) = self.check() {
                return failure;
            }
            let time_is_up = async {
                match self.deadline() {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.token.cancelled() => {}
                () = time_is_up => {}
                () = changed => {}
            }
        }
    }

    /// Whether somebody cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// What comes of `work`; `None` if it still goes on so long after somebody cancelled.
    pub(crate) async fn or_soon_after<T>(&self, wait: Duration, work: impl Future<Output = T>) -> Option<T> {
        let patience = async {
            self.token.cancelled().await;
            tokio::time::sleep(wait).await;
        };
        tokio::select! {
            biased;
            result = work => Some(result),
            () = patience => None,
        }
    }

    /// A stop that follows this one and also stops when the guard is dropped.
    pub(super) fn until_dropped(&self) -> (Self, DropGuard) {
        let token = self.token.child_token();
        (Self { token: token.clone(), deadline: self.deadline, pause: self.pause.clone() }, token.drop_guard())
    }
}

/// Takes short words on how far a call is, for the live view. They are not journaled.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Listener>>);

type Listener = dyn Fn(&str) + Send + Sync;

impl Progress {
    /// Hands every word to `listener`, which must return at once.
    pub fn to(listener: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    /// Says how far the call is.
    pub fn say(&self, word: &str) {
        if let Some(listener) = &self.0 {
            listener(word);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Progress(listener)" } else { "Progress" })
    }
}

/// The failure of a call whose thread ended without a result: nobody knows how far it came.
pub(super) fn broke_off(tool: &str, effect: EffectClass, error: &tokio::task::JoinError) -> Failure {
    let (kind, message) = if error.is_panic() {
        (FailureKind::Tool, format!("{tool} broke off: a bug in the tool, please report it with these arguments"))
    } else {
        (FailureKind::Cancelled, format!("{tool} was stopped before it could return"))
    };
    Failure::new(if effect == EffectClass::Irreversible { FailureKind::InDoubt } else { kind }, message)
}
