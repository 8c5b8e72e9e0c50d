//! Which calls of a server are in flight? [`Calls`]: whom its progress reaches, and who is asked when it asks a person.
//!
//! The protocol does not say in which call a server asks. With one in flight it is that one. With several the question waits until
//! the others have ended, because a call that asks does not end before it is answered; where that takes too long it is cancelled,
//! since nobody may be shown what another session's call asks.
//!
//! A call is given up when its server is silent for too long, or when nobody answered what it asked. The time in which a person is
//! asked is no silence.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rmcp::model::{NumberOrString, ProgressNotificationParam, ProgressToken};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::said::lenient;
use crate::{
    tool::{CallContext, People, Progress, Stop},
    value::{Failure, FailureKind, Form, FormAnswer},
};

/// Characters of a progress message that are shown.
const SHOWN: usize = 200;
/// Characters of a question that are shown.
const LONGEST_QUESTION: usize = 4_000;
/// The largest form, in bytes.
const LARGEST_FORM: usize = 16 << 10;
/// Questions that one call may ask; further ones are cancelled.
const MOST_QUESTIONS: u32 = 32;
/// How long a question waits until it is clear which call asks.
const UNCLEAR: Duration = Duration::from_secs(30);
/// The longest call, whatever progress it reports.
const LONGEST_CALL: Duration = Duration::from_secs(6 * 3_600);

/// The calls of a server in flight, by the token of their progress.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Inner>);

#[derive(Default)]
struct Inner {
    calls: Mutex<BTreeMap<String, Arc<InFlight>>>,
    changed: Notify,
}

/// A call in flight.
pub(super) struct InFlight {
    progress: Progress,
    people: People,
    stop: Stop,
    /// How long it waits for a person.
    patience: Duration,
    began: Instant,
    state: Mutex<Talk>,
    /// Changes when the server said something, or a question begins or ends.
    changed: Notify,
    /// Nobody answered a question of it.
    unanswered: AtomicBool,
    /// It is no longer in flight.
    gone: CancellationToken,
}

struct Talk {
    heard: Instant,
    open: u32,
    asked: u32,
}

/// Holds a call in flight until it is dropped.
pub(super) struct Begun {
    calls: Calls,
    token: String,
    call: Arc<InFlight>,
}

impl Calls {
    /// A call leaves; `patience` is how long it waits for a person.
    pub(super) fn begin(&self, token: &ProgressToken, call: &CallContext, patience: Duration) -> Begun {
        let token = key(token);
        let call = Arc::new(InFlight {
            progress: call.progress.clone(),
            people: call.people.clone(),
            stop: call.stop.clone(),
            patience,
            began: Instant::now(),
            state: Mutex::new(Talk { heard: Instant::now(), open: 0, asked: 0 }),
            changed: Notify::new(),
            unanswered: AtomicBool::new(false),
            gone: CancellationToken::new(),
        });
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), call.clone());
        self.0.changed.notify_waiters();
        Begun { calls: self.clone(), token, call }
    }

    /// The server says how far a call is.
    pub(super) fn hear(&self, said: &ProgressNotificationParam, server: &str) {
        let call = self.0.calls.lock().unwrap_or_else(PoisonError::into_inner).get(&key(&said.progress_token)).cloned();
        let Some(call) = call else { return };
        call.talk(|_| {});
        let far = match said.total {
            Some(total) if total > 0.0 => format!("{}/{total}", said.progress),
            Some(_) | None => said.progress.to_string(),
        };
        let message: String = said.message.iter().flat_map(|m| m.chars()).take(SHOWN).collect();
        call.progress.say(format!("{server}: {far} {message}").trim_end());
    }

    /// The server asks a person.
    pub(super) async fn ask(&self, server: &str, text: &str, form: serde_json::Value) -> FormAnswer {
        let cancelled = |why: &str| {
            tracing::warn!(target: "synod::mcp", server, "a question to a person is cancelled: {why}");
            FormAnswer::Cancel
        };
        if form.to_string().len() > LARGEST_FORM {
            return cancelled(&format!("its form has more than {LARGEST_FORM} bytes"));
        }
        let Ok(call) = tokio::time::timeout(UNCLEAR, self.only()).await else {
            return cancelled("several calls are in flight, and it does not say which of them asks");
        };
        if call.talk(|talk| talk.asked += 1).asked > MOST_QUESTIONS {
            return cancelled(&format!("its call has asked {MOST_QUESTIONS} already"));
        }
        call.ask(text, Form(lenient(form))).await
    }

    /// The call in flight, once there is only one.
    async fn only(&self) -> Arc<InFlight> {
        loop {
            let changed = self.0.changed.notified();
            let only = {
                let calls = self.0.calls.lock().unwrap_or_else(PoisonError::into_inner);
                calls.values().next().filter(|_| calls.len() == 1).cloned()
            };
            if let Some(call) = only {
                return call;
            }
            changed.await;
        }
    }
}

impl InFlight {
    async fn ask(&self, text: &str, form: Form) -> FormAnswer {
        let text: String = text.chars().take(LONGEST_QUESTION).collect();
        self.talk(|talk| talk.open += 1);
        let answer = tokio::select! {
            biased;
            () = self.gone.cancelled() => Some(FormAnswer::Cancel),
            answer = self.people.ask(&self.stop, &text, form, self.patience) => answer,
        };
        if answer.is_none() {
            self.unanswered.store(true, Ordering::SeqCst);
        }
        self.talk(|talk| talk.open -= 1);
        answer.unwrap_or(FormAnswer::Cancel)
    }

    /// Something happens, so that the call is not silent.
    fn talk(&self, change: impl FnOnce(&mut Talk)) -> Talk {
        let talk = {
            let mut talk = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut talk);
            talk.heard = Instant::now();
            Talk { ..*talk }
        };
        self.changed.notify_waiters();
        talk
    }
}

impl Begun {
    /// Why nobody waits for the call any more.
    pub(super) async fn given_up(&self, server: &str, tool: &str, silence: Duration) -> Failure {
        let fail = |kind, what: String| Failure::new(kind, format!("{tool} of the MCP server {server}: {what}"));
        let longest = self.call.began + LONGEST_CALL;
        loop {
            let changed = self.call.changed.notified();
            if self.call.unanswered.load(Ordering::SeqCst) {
                let seconds = self.call.patience.as_secs_f64();
                return fail(FailureKind::Unanswered, format!("nobody answered what it asked within {seconds} s"));
            }
            let (heard, open) = {
                let talk = self.call.state.lock().unwrap_or_else(PoisonError::into_inner);
                (talk.heard, talk.open)
            };
            let until = if open > 0 { longest } else { heard.checked_add(silence).map_or(longest, |until| longest.min(until)) };
            if Instant::now() >= until {
                return fail(FailureKind::Timeout, format!("neither an answer nor progress within {} s", silence.as_secs_f64()));
            }
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = changed => {}
            }
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.calls.0.calls.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.token);
        self.call.gone.cancel();
        self.calls.0.changed.notify_waiters();
    }
}

fn key(token: &ProgressToken) -> String {
    match &token.0 {
        NumberOrString::Number(number) => number.to_string(),
        NumberOrString::String(text) => text.to_string(),
    }
}
