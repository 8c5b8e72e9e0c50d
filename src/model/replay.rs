//! What was answered then? [`Replay`]: an exported session as a model.

use std::{collections::BTreeMap, sync::Arc};

use super::{Answer, Model};
use crate::{
    event::{Event, Record, TurnEnd},
    state::State,
    value::{Failure, FailureKind, Reply, Request, Turn},
};

/// The replies of an exported session, by path of the node and turn.
///
/// A cassette is a file of JSON lines, one record each, as `synod export` writes it. Where a node was tried more than once, the
/// replies of its last attempt count.
pub struct Replay {
    replies: BTreeMap<(Arc<str>, Turn), Result<Arc<Reply>, Failure>>,
}

impl Replay {
    /// Reads a cassette.
    ///
    /// # Errors
    /// A line is no record, or the records are no session; the sentence names the line.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut state: Option<State> = None;
        let mut replies = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let record: Record = serde_json::from_str(line).map_err(|e| format!("line {number} is no record: {e}"))?;
            match &mut state {
                None => state = Some(State::start(&record).map_err(|e| format!("line {number}: {e}"))?),
                Some(state) => {
                    if let Event::TurnEnded { node, turn, end, .. } = &record.event {
                        let reply = match end {
                            TurnEnd::Reply(reply) => Ok(reply.clone()),
                            TurnEnd::Failed(failure) => Err((**failure).clone()),
                        };
                        replies.insert((state.path(*node), *turn), reply);
                    }
                    state.apply(&record).map_err(|e| format!("line {number}: {e}"))?;
                }
            }
        }
        if state.is_none() {
            return Err("the cassette is empty".to_owned());
        }
        Ok(Self { replies })
    }
}

impl Model for Replay {
    fn reply<'a>(&'a self, request: &'a Request, _key: &'a str) -> Answer<'a> {
        let found = self.replies.get(&(request.node.clone(), request.turn)).cloned();
        Box::pin(std::future::ready(match found {
            Some(Ok(reply)) => Ok((*reply).clone()),
            Some(Err(failure)) => Err(failure),
            None => {
                let why = format!("the cassette has no reply for turn {} of {}", request.turn, request.node);
                Err(Failure::new(FailureKind::Model, why))
            }
        }))
    }
}
