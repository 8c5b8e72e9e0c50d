//! How does a person hear that something is asked? A [`Notice`] goes to whoever the question waits for, once for each of its chain.

use std::sync::Arc;

use super::Scheduler;
use crate::{
    event::{Effect, Event, Notice},
    state::FoldError,
    value::{AskId, Failure, Value},
};

impl Scheduler {
    /// Shows a question, and tells whoever it waits for now.
    pub(super) fn show(&mut self, ask: AskId) {
        self.effect(Effect::Ask(ask));
        if let Some(notice) = self.notice(ask) {
            self.effect(Effect::Notify(notice));
        }
    }

    /// Somebody was told, or could not be. What is not awaited any more is no fact.
    pub(super) fn accept_notified(&mut self, ask: AskId, nth: u32, result: Result<(), Failure>) -> Result<(), FoldError> {
        if self.state.notices.get(&ask) != Some(&nth) {
            return Ok(());
        }
        self.emit(Event::Notified { ask, nth, failure: result.err().map(Arc::new) })
    }

    /// What is to be told of a question, and how; nothing where nobody is, or somebody was.
    pub(super) fn notice(&self, ask: AskId) -> Option<Notice> {
        let nth = *self.state.notices.get(&ask)?;
        let open = self.state.asks.get(&ask)?;
        let target = self.state.notify_of(open)?;
        let session = self.state.started.session;
        let key: Arc<str> = Arc::from(format!("{session}/q{ask}/{nth}"));
        let maybe = |text: &Option<Arc<str>>| text.clone().map_or(Value::Null, Value::Text);
        let payload = Value::map([
            ("key", Value::Text(key.clone())),
            ("session", Value::from(session.to_string())),
            ("team", Value::Text(self.state.team_of(open.node).1.name.clone())),
            ("node", Value::Text(self.state.path(open.node))),
            ("ask", Value::from(format!("q{ask}"))),
            ("question", Value::Text(open.question.clone())),
            ("options", Value::list(open.options.iter().cloned().map(Value::Text))),
            ("form", open.form.as_ref().map_or(Value::Null, |form| form.0.clone())),
            ("context_digest", Value::Text(open.context_digest.clone())),
            ("deadline", open.deadline.map_or(Value::Null, |at| Value::from(at.rfc3339()))),
            ("default", open.default.clone().unwrap_or_default()),
            ("to", maybe(&open.to)),
            ("answer", Value::from(format!("synod answer {session} q{ask} ANSWER"))),
        ]);
        Some(Notice { ask, nth, key, target, payload })
    }
}
