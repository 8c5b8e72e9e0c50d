//! How does a person's answer reach a session? [`Engine::answer`] checks it, leaves it, and goes on with a session that nobody drives.

use std::sync::Arc;

use super::{Engine, EngineError, SessionHandle, blocking};
use crate::{
    event::{AskOutcome, Event, Record},
    state::State,
    store::InboxItem,
    value::{AskId, SessionId, Timestamp, Value},
};

/// Answers that are given at once, at most.
pub const MAX_ANSWERS: usize = 100;

impl Engine {
    /// Answers a question of a session, wherever it runs: its owner gets the answer, or this process takes it over and goes on.
    /// `None`: the owner has it.
    ///
    /// # Errors
    /// The question is not open or does not take that answer, or the session cannot be reached.
    pub async fn answer(
        &self,
        session: SessionId,
        ask: AskId,
        value: Value,
        by: impl AsRef<str>,
    ) -> Result<Option<SessionHandle>, EngineError> {
        self.answer_all(session, vec![(ask, value)], by).await
    }

    /// Answers several questions of a session at once, at most [`MAX_ANSWERS`]: all of them, or none where one is refused.
    ///
    /// # Errors
    /// As [`Engine::answer`], with what is wrong with each.
    pub async fn answer_all(
        &self,
        session: SessionId,
        answers: Vec<(AskId, Value)>,
        by: impl AsRef<str>,
    ) -> Result<Option<SessionHandle>, EngineError> {
        let inner = self.inner.clone();
        let at = inner.clock.now();
        let by: Arc<str> = Arc::from(by.as_ref());
        let redactor = inner.env.redactor();
        let clean = |(ask, value): (AskId, Value)| (ask, redactor.value(&value).unwrap_or(value));
        let answers: Vec<(AskId, Value)> = answers.into_iter().map(clean).collect();
        let items = answers.iter().map(|(ask, value)| InboxItem::Answer { ask: *ask, value: value.clone(), by: by.clone(), at });
        let items: Vec<InboxItem> = items.collect();
        blocking(move || -> Result<(), EngineError> {
            let records = inner.store.read_all(session)?;
            let state = State::fold(&records)?;
            let refused = refusals(&state, &records, &answers, at);
            if refused.is_empty() { Ok(()) } else { Err(EngineError::Answer(refused.join("\n"))) }
        })
        .await??;
        self.post(session, items).await
    }
}

/// Why answers are not taken, a sentence each.
fn refusals(state: &State, records: &[Record], answers: &[(AskId, Value)], at: Timestamp) -> Vec<String> {
    if answers.is_empty() || answers.len() > MAX_ANSWERS {
        return vec![format!("{} answers: 1 to {MAX_ANSWERS} are taken at once", answers.len())];
    }
    let refused = answers.iter().enumerate().filter_map(|(nth, (ask, value))| {
        if answers[..nth].iter().any(|(other, _)| other == ask) {
            return Some(format!("q{ask} is answered twice: it takes one answer"));
        }
        let Some(open) = state.asks.get(ask) else {
            let why = state.check_answer(*ask, value).err()?;
            return Some(closed(records, *ask).map_or(why.clone(), |how| format!("{why} ({how})")));
        };
        let lapsed = open.deadline.filter(|deadline| at >= *deadline);
        let late = lapsed.map(|deadline| format!("q{ask} lapsed at {deadline}; resume the session to go on"));
        late.or_else(|| state.check_answer(*ask, value).err())
    });
    refused.collect()
}

/// How a question was closed.
fn closed(records: &[Record], ask: AskId) -> Option<String> {
    records.iter().rev().find_map(|record| match &record.event {
        Event::AskClosed { ask: closed, outcome } if *closed == ask => Some(match outcome {
            AskOutcome::Answered { value, by } => format!("{by} answered it at {}: {value}", record.at),
            AskOutcome::Lapsed => format!("nobody answered it in time, which ended at {}", record.at),
            AskOutcome::Moot => format!("nobody waits for it since {}", record.at),
        }),
        _ => None,
    })
}
