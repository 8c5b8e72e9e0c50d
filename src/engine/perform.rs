//! How is an effect performed? Each in a task of its own, which says what came of it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, task::AbortHandle};
use tracing::Instrument;

use super::{inbox::Inbox, notify::Notifier, toolbox::SessionTools};
use crate::{
    event::{Effect, Input, Key, ModelCall, Notice, ToolCall},
    model::Models,
    secret::Env,
    store::Ticket,
    tool::{CallContext, People, Progress, Roots, Stop},
    value::{CallQuestion, EffectClass, Failure, FailureKind, Form, FormAnswer, SessionId},
};

/// How long a call that was told to stop may take to do so before nobody waits for it any more.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// What a session works with.
pub(super) struct Means {
    pub(super) tools: Arc<SessionTools>,
    pub(super) roots: Arc<Roots>,
    pub(super) models: Models,
    pub(super) env: Env,
    pub(super) notifier: Notifier,
}

/// Performs the effects of one session.
pub(super) struct Performer {
    pub(super) session: SessionId,
    means: Means,
    pub(super) inbox: Arc<Inbox>,
    pub(super) progress: Progress,
    /// Held by each call from its beginning until it has really ended: one that was cancelled and still works counts.
    slots: Arc<Semaphore>,
    /// Boxed, since a map has room for several from the first on.
    flying: BTreeMap<Key, Box<Flight>>,
    /// People who are being told of questions.
    telling: Vec<AbortHandle>,
}

struct Flight {
    task: AbortHandle,
    stop: Stop,
    /// Whether it ends by itself once it is told to stop.
    waits: bool,
    /// Who answers what it asks.
    people: People,
}

/// Says that a call broke off if its task ends without a word, so that no session waits for ever.
struct Word {
    inbox: Arc<Inbox>,
    key: Key,
    is_model: bool,
    /// What repeating the call would do, once it has begun.
    begun: Option<EffectClass>,
    stop: Stop,
    said: bool,
}

impl Word {
    fn say(mut self, input: Input) {
        self.said = true;
        self.inbox.put(input);
    }
}

impl Word {
    /// Says nothing: the call was never made, because its intent is not on the record. The driver stops for the same reason.
    fn keep(mut self) {
        self.said = true;
    }
}

impl Drop for Word {
    fn drop(&mut self) {
        if self.said {
            return;
        }
        let key = self.key;
        let kind = match (self.is_model, self.begun) {
            (true, _) => FailureKind::Model,
            (false, Some(EffectClass::Irreversible)) => FailureKind::InDoubt,
            (false, Some(EffectClass::Read | EffectClass::Idempotent) | None) => FailureKind::Tool,
        };
        let kind = if self.stop.is_cancelled() { FailureKind::Cancelled } else { kind };
        let failure = Failure::new(kind, "the call broke off");
        let input = if self.is_model {
            Input::Replied { key, reply: Err(failure) }
        } else {
            Input::Returned { key, result: Err(failure) }
        };
        self.inbox.put(input);
    }
}

impl Performer {
    pub(super) fn new(session: SessionId, means: Means, inbox: Arc<Inbox>, progress: Progress, max_parallel: u32) -> Self {
        let slots = Semaphore::new(usize::try_from(max_parallel).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS));
        Self { session, means, inbox, progress, slots: Arc::new(slots), flying: BTreeMap::new(), telling: Vec::new() }
    }

    /// Performs an effect. What is not free waits until `ticket` says that its intent is durable.
    pub(super) fn perform(&mut self, effect: Effect, ticket: Option<&Ticket>) {
        match effect {
            Effect::Model(call) => self.ask_model(call, ticket),
            Effect::Tool(call) => self.call_tool(call, ticket),
            Effect::Cancel(key) => {
                if let Some(flight) = self.flying.remove(&key) {
                    flight.stop.cancel();
                    if !flight.waits {
                        flight.task.abort();
                    }
                }
            }
            Effect::Ask(_) => {}
            Effect::Notify(notice) => self.notify(notice, ticket),
            Effect::Tell { key, nth, answer } => self.tell(key, nth, answer, ticket),
        }
    }

    /// Forgets a call that has said its word.
    pub(super) fn landed(&mut self, input: &Input) {
        match input {
            Input::Replied { key, .. } | Input::Returned { key, .. } => {
                self.flying.remove(key);
            }
            Input::Elicited { .. }
            | Input::Notified { .. }
            | Input::Answered { .. }
            | Input::Cancel { .. }
            | Input::Resume { .. }
            | Input::Tick => {}
        }
    }

    /// Passes an answer to the call that asked, once it is on the record.
    fn tell(&mut self, key: Key, nth: u32, answer: FormAnswer, ticket: Option<&Ticket>) {
        let Some(asking) = self.flying.get(&key).and_then(|flight| flight.people.asking(nth)) else { return };
        let ticket = ticket.cloned();
        tokio::spawn(async move {
            let recorded = match ticket {
                Some(ticket) => ticket.durable().await.is_ok(),
                None => true,
            };
            if recorded {
                // A tool that has given up waiting hears nothing.
                let _ = asking.send(answer);
            }
        });
    }

    /// Tells a person of a question, once that is on the record. It holds no slot: nobody's work waits for it.
    fn notify(&mut self, notice: Notice, ticket: Option<&Ticket>) {
        let (ticket, inbox, notifier) = (ticket.cloned(), self.inbox.clone(), self.means.notifier.clone());
        let task = tokio::spawn(async move {
            if let Some(ticket) = ticket
                && ticket.durable().await.is_err()
            {
                return;
            }
            let result = notifier.tell(&notice).await;
            // Where the session has gone, whoever takes it over tells it again.
            inbox.put(Input::Notified { ask: notice.ask, nth: notice.nth, result });
        });
        self.telling.retain(|task| !task.is_finished());
        self.telling.push(task.abort_handle());
    }

    /// Stops everything in flight.
    pub(super) fn stop_all(&mut self) {
        for task in self.telling.drain(..) {
            task.abort();
        }
        for (_, flight) in std::mem::take(&mut self.flying) {
            flight.stop.cancel();
            flight.task.abort();
        }
    }

    /// Where a call says how far it is: each word names its node.
    fn progress_of(&self, path: &Arc<str>) -> Progress {
        let (progress, path) = (self.progress.clone(), path.clone());
        Progress::to(move |word| progress.say(&format!("{path}: {word}")))
    }

    fn ask_model(&mut self, call: ModelCall, ticket: Option<&Ticket>) {
        let ticket = ticket.filter(|_| !call.free).cloned();
        let (models, env, key) = (self.means.models.clone(), self.means.env.clone(), call.key);
        let name = format!("{}/{}/{}/{}", self.session, call.request.node, key.attempt, key.turn);
        let stop = Stop::default();
        let word = Word { inbox: self.inbox.clone(), key, is_model: true, begun: None, stop: stop.clone(), said: false };
        let slot = self.slots.clone();
        let span = tracing::debug_span!("model", session = %self.session, node = %call.request.node, turn = %key.turn);
        let task = tokio::spawn(
            async move {
                if let Some(ticket) = ticket
                    && ticket.durable().await.is_err()
                {
                    return word.keep();
                }
                let _slot = slot.acquire_owned().await;
                let reply = models.ask(&call.request, &name).await;
                let redactor = env.redactor();
                let reply = reply.map(|reply| Arc::new(redactor.reply(reply))).map_err(|failure| redactor.failure(failure));
                word.say(Input::Replied { key, reply });
            }
            .instrument(span),
        );
        let flight = Flight { task: task.abort_handle(), stop, waits: false, people: People::default() };
        self.flying.insert(key, Box::new(flight));
    }

    fn call_tool(&mut self, call: ToolCall, ticket: Option<&Ticket>) {
        let ticket = ticket.filter(|_| call.effect != EffectClass::Read).cloned();
        let key = call.key;
        let stop = Stop::new(call.timeout.and_then(|timeout| Instant::now().checked_add(timeout.max(Duration::from_millis(1)))));
        let (asked, redactor, tool) = (self.inbox.clone(), self.means.env.clone(), call.tool.clone());
        let people = People::to(move |question| {
            let redactor = redactor.redactor();
            let text = format!("{tool} asks: {} It takes {}", question.text, question.form.outline());
            let form = Form(redactor.value(&question.form.0).unwrap_or(question.form.0));
            let question = Arc::new(CallQuestion { nth: question.nth, text: Arc::from(redactor.text(&text)), form });
            asked.put(Input::Elicited { key, question });
        });
        let context = CallContext {
            people: people.clone(),
            role: call.role.clone(),
            node: call.path.clone(),
            key: Arc::from(format!("{}/{}", call.under.unwrap_or(self.session), call.name())),
            roots: self.means.roots.clone(),
            stop: stop.clone(),
            progress: self.progress_of(&call.path),
        };
        let mut word = Word { inbox: self.inbox.clone(), key, is_model: false, begun: None, stop: stop.clone(), said: false };
        let slot = self.slots.clone();
        let (tools, env) = (self.means.tools.clone(), self.means.env.clone());
        let span = tracing::debug_span!("tool", session = %self.session, node = %call.path, tool = %call.tool);
        let task = tokio::spawn(
            async move {
                if let Some(ticket) = ticket
                    && ticket.durable().await.is_err()
                {
                    return word.keep();
                }
                let _slot = slot.acquire_owned().await;
                if let Err(stopped) = context.stop.check() {
                    return word.say(Input::Returned { key, result: Err(stopped) });
                }
                word.begun = Some(call.effect);
                let called = tools.call(&call.tool, &context, &call.args);
                let Some(result) = context.stop.or_soon_after(STOP_WAIT, called).await else { return };
                word.say(Input::Returned { key, result: env.redactor().result(result) });
            }
            .instrument(span),
        );
        self.flying.insert(key, Box::new(Flight { task: task.abort_handle(), stop, waits: true, people }));
    }
}
