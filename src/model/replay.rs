//! What was answered then? [`Replay`]: an exported session as a model.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Answer, Model};
use crate::{
    event::{Cassette, Event, TurnEnd},
    state::State,
    value::{Failure, FailureKind, Reply, Request, Role, Turn},
};

/// The replies of an exported session, by path of the node and turn.
///
/// A cassette is what `synod export` writes: see [`Cassette`]. Where a node was tried more than once, the
/// replies of its last attempt count. In a team where the node is called otherwise, an agent gets the replies of its role, if all
/// of them were given in one node.
pub struct Replay {
    replies: BTreeMap<(Arc<str>, Turn), Result<Arc<Reply>, Failure>>,
    /// The nodes that each agent worked in.
    nodes: BTreeMap<Role, BTreeSet<Arc<str>>>,
}

impl Replay {
    /// Reads a cassette.
    ///
    /// # Errors
    /// A line is no record, or the records are no session; the sentence names the line.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut state: Option<State> = None;
        let (mut replies, mut nodes) = (BTreeMap::new(), BTreeMap::<Role, BTreeSet<Arc<str>>>::new());
        for record in Cassette::read(text).map_err(|e| e.to_string())?.records {
            match &mut state {
                None => state = Some(State::start(&record).map_err(|e| e.to_string())?),
                Some(state) => {
                    if let Event::TurnEnded { node, turn, end, .. } = &record.event {
                        let reply = match end {
                            TurnEnd::Reply(reply) => Ok(reply.clone()),
                            TurnEnd::Failed(failure) => Err((**failure).clone()),
                        };
                        let path = state.path(*node);
                        if let Some(role) = state.role_of(*node) {
                            nodes.entry(role.clone()).or_default().insert(path.clone());
                        }
                        replies.insert((path, *turn), reply);
                    }
                    state.apply(&record).map_err(|e| e.to_string())?;
                }
            }
        }
        Ok(Self { replies, nodes })
    }

    /// What was replied then: in the same node, else in the only one that an agent of that role worked in.
    fn find(&self, request: &Request) -> Option<&Result<Arc<Reply>, Failure>> {
        let own = self.replies.get(&(request.node.clone(), request.turn));
        let only = || self.nodes.get(&request.role).filter(|nodes| nodes.len() == 1).and_then(BTreeSet::first);
        own.or_else(|| self.replies.get(&(only()?.clone(), request.turn)))
    }
}

impl Model for Replay {
    fn reply<'a>(&'a self, request: &'a Request, _key: &'a str) -> Answer<'a> {
        let found = self.find(request).cloned();
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
