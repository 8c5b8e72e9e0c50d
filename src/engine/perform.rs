//! How is an effect performed? Each in a task of its own, which says what came of it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, task::AbortHandle};
use tracing::Instrument;

use super::toolbox::SessionTools;
use crate::{
    event::{Effect, Input, Key, ModelCall, ToolCall},
    model::Models,
    store::Ticket,
    tool::{CallContext, Progress, Roots, Stop},
    value::{EffectClass, Failure, FailureKind, SessionId},
};

/// What a session works with.
pub(super) struct Means {
    pub(super) tools: Arc<SessionTools>,
    pub(super) roots: Arc<Roots>,
    pub(super) models: Models,
}

/// Performs the effects of one session.
pub(super) struct Performer {
    pub(super) session: SessionId,
    means: Means,
    pub(super) inbox: mpsc::UnboundedSender<Input>,
    pub(super) progress: Progress,
    flying: BTreeMap<Key, Flight>,
}

struct Flight {
    task: AbortHandle,
    stop: Stop,
}

/// Says that a call broke off if its task ends without a word, so that no session waits for ever.
struct Word {
    inbox: mpsc::UnboundedSender<Input>,
    key: Key,
    is_model: bool,
    said: bool,
}

impl Word {
    fn say(mut self, input: Input) {
        self.said = true;
        // A closed inbox means that the session has gone, and with it whoever would read this.
        let _ = self.inbox.send(input);
    }
}

impl Drop for Word {
    fn drop(&mut self) {
        if self.said {
            return;
        }
        let key = self.key;
        let failure = Failure::new(if self.is_model { FailureKind::Model } else { FailureKind::Tool }, "the call broke off");
        let input = if self.is_model {
            Input::Replied { key, reply: Err(failure) }
        } else {
            Input::Returned { key, result: Err(failure) }
        };
        let _ = self.inbox.send(input);
    }
}

impl Performer {
    pub(super) fn new(session: SessionId, means: Means, inbox: mpsc::UnboundedSender<Input>, progress: Progress) -> Self {
        Self { session, means, inbox, progress, flying: BTreeMap::new() }
    }

    /// Performs an effect. What is not free waits until `ticket` says that its intent is durable.
    pub(super) fn perform(&mut self, effect: Effect, ticket: Option<&Ticket>) {
        match effect {
            Effect::Model(call) => self.ask_model(call, ticket),
            Effect::Tool(call) => self.call_tool(call, ticket),
            Effect::Cancel(key) => {
                if let Some(flight) = self.flying.remove(&key) {
                    flight.stop.cancel();
                    flight.task.abort();
                }
            }
            Effect::Ask(_) => {}
        }
    }

    /// Forgets a call that has said its word.
    pub(super) fn landed(&mut self, input: &Input) {
        match input {
            Input::Replied { key, .. } | Input::Returned { key, .. } => {
                self.flying.remove(key);
            }
            Input::Answered { .. } | Input::Cancel { .. } | Input::Resume { .. } | Input::Tick => {}
        }
    }

    /// Stops everything in flight.
    pub(super) fn stop_all(&mut self) {
        for (_, flight) in std::mem::take(&mut self.flying) {
            flight.stop.cancel();
            flight.task.abort();
        }
    }

    fn name(&self, key: Key, path: &str) -> Arc<str> {
        let call = key.call.map_or_else(String::new, |call| format!("/{call}"));
        Arc::from(format!("{}/{path}/{}/{}{call}", self.session, key.attempt, key.turn))
    }

    fn ask_model(&mut self, call: ModelCall, ticket: Option<&Ticket>) {
        let ticket = ticket.filter(|_| !call.free).cloned();
        let (models, key) = (self.means.models.clone(), call.key);
        let name = self.name(key, &call.request.node);
        let word = Word { inbox: self.inbox.clone(), key, is_model: true, said: false };
        let span = tracing::debug_span!("model", session = %self.session, node = %call.request.node, turn = %key.turn);
        let task = tokio::spawn(
            async move {
                if let Some(ticket) = ticket
                    && ticket.durable().await.is_err()
                {
                    return;
                }
                let reply = models.ask(&call.request, &name).await.map(Arc::new);
                word.say(Input::Replied { key, reply });
            }
            .instrument(span),
        );
        self.flying.insert(key, Flight { task: task.abort_handle(), stop: Stop::default() });
    }

    fn call_tool(&mut self, call: ToolCall, ticket: Option<&Ticket>) {
        let ticket = ticket.filter(|_| call.effect != EffectClass::Read).cloned();
        let key = call.key;
        let stop = Stop::new(call.timeout.and_then(|timeout| Instant::now().checked_add(timeout.max(Duration::from_millis(1)))));
        let context = CallContext {
            role: call.role.clone(),
            node: call.path.clone(),
            key: self.name(key, &call.path),
            roots: self.means.roots.clone(),
            stop: stop.clone(),
            progress: self.progress.clone(),
        };
        let word = Word { inbox: self.inbox.clone(), key, is_model: false, said: false };
        let tools = self.means.tools.clone();
        let span = tracing::debug_span!("tool", session = %self.session, node = %call.path, tool = %call.tool);
        let task = tokio::spawn(
            async move {
                if let Some(ticket) = ticket
                    && ticket.durable().await.is_err()
                {
                    return;
                }
                let result = tools.call(&call.tool, &context, &call.args).await;
                word.say(Input::Returned { key, result });
            }
            .instrument(span),
        );
        self.flying.insert(key, Flight { task: task.abort_handle(), stop });
    }
}
