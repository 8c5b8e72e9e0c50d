//! What does a session share with the one that it was forked from? [`SharedPast`].

use serde::Serialize;

use crate::{
    event::{Event, Record},
    state::{FoldError, State},
    value::{Seq, SessionId},
};

/// The past that a fork shares with another session. All that a report counts includes it.
#[derive(Clone, Debug, Serialize)]
pub struct SharedPast {
    /// The other session.
    pub session: SessionId,
    /// The last record that both have.
    pub at: Seq,
    /// Turns of all agents in it.
    pub turns: u64,
    /// Tokens read and written in it.
    pub tokens: u64,
    /// What it cost, in US dollars.
    pub cost_usd: f64,
}

impl SharedPast {
    pub(super) fn of(records: &[Record]) -> Result<Option<Self>, FoldError> {
        let fork =
            records.iter().rev().find_map(|record| if let Event::Forked(fork) = &record.event { Some(fork) } else { None });
        let Some(from) = fork.map(|fork| fork.from) else { return Ok(None) };
        let spent = State::fold(&records[..records.len().min(from.at.index() + 1)])?.spent;
        let (turns, tokens, cost_usd) = (spent.turns, super::tokens(&spent.usage), spent.usage.cost.dollars());
        Ok(Some(Self { session: from.session, at: from.at, turns, tokens, cost_usd }))
    }
}
