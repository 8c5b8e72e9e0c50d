//! How does a tool ask a person while its call is in flight? [`People`].

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use super::Stop;
use crate::value::{CallQuestion, Form, FormAnswer};

/// Asks people on behalf of one call. The question becomes one of the session and is on its record; where nobody listens it is
/// cancelled at once.
#[derive(Clone, Default)]
pub struct People(Option<Arc<Asking>>);

struct Asking {
    listener: Box<Listener>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    asked: u32,
    waiting: BTreeMap<u32, oneshot::Sender<FormAnswer>>,
}

type Listener = dyn Fn(CallQuestion) + Send + Sync;

impl People {
    /// Hands every question to `listener`, which must return at once; the answer goes to [`People::asking`].
    pub fn to(listener: impl Fn(CallQuestion) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(Asking { listener: Box::new(listener), open: Mutex::default() })))
    }

    /// Where the answer to the question `nth` goes, once.
    pub fn asking(&self, nth: u32) -> Option<oneshot::Sender<FormAnswer>> {
        self.0.as_ref()?.open.lock().unwrap_or_else(PoisonError::into_inner).waiting.remove(&nth)
    }

    /// What a person says to `text`, for which `form` is to be filled in; `None` where nobody said anything in so long. Meanwhile the
    /// time of `stop` stands still. A tool that gets nothing fails with `unanswered`: then the question stands, and the call is made
    /// again once it is answered, if that does no harm.
    pub async fn ask(&self, stop: &Stop, text: &str, form: Form, patience: Duration) -> Option<FormAnswer> {
        let Some(asking) = &self.0 else { return Some(FormAnswer::Cancel) };
        let (sender, answer) = oneshot::channel();
        let nth = {
            let mut open = asking.open.lock().unwrap_or_else(PoisonError::into_inner);
            let nth = open.asked;
            open.asked = open.asked.saturating_add(1);
            open.waiting.insert(nth, sender);
            nth
        };
        let _paused = stop.pause();
        (asking.listener)(CallQuestion { nth, text: Arc::from(text), form });
        tokio::time::timeout(patience, answer).await.ok()?.ok()
    }
}

impl std::fmt::Debug for People {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "People(listener)" } else { "People" })
    }
}
