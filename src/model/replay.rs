//! What was answered then? [`Replay`]: an exported session as a model.

use std::{collections::BTreeMap, sync::Arc};

use super::{Answer, Model};
use crate::{
    event::{Cassette, Event, TurnEnd},
    graph::NodeKind,
    state::State,
    value::{Failure, FailureKind, Reply, Request, Role, Turn},
};

/// The replies of an exported session, by path of the node and turn.
///
/// A cassette is what `synod export` writes: see [`Cassette`]. Where a node was tried more than once, the
/// replies of its last attempt count. In a team where the node is called otherwise, an agent gets the replies of its role, or of the
/// role that is named ([`Replay::of`]), if all of that kind (work, votes, synthesis, …)
/// were given in one node.
pub struct Replay {
    /// Whose part is taken; that of the agent who asks otherwise.
    role: Option<Role>,
    replies: BTreeMap<(Arc<str>, Turn), Result<Arc<Reply>, Failure>>,
    /// The nodes that each agent worked in, and what each was for.
    nodes: BTreeMap<Role, BTreeMap<Arc<str>, &'static str>>,
}

impl Replay {
    /// Reads a cassette.
    ///
    /// # Errors
    /// A line is no record, or the records are no session; the sentence names the line.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut state: Option<State> = None;
        let (mut replies, mut nodes) = (BTreeMap::new(), BTreeMap::<Role, BTreeMap<Arc<str>, &str>>::new());
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
                        if let (Some(role), NodeKind::Agent(agent)) = (state.role_of(*node), &state.node(*node).kind) {
                            nodes.entry(role.clone()).or_default().insert(path.clone(), agent.phase.name());
                        }
                        replies.insert((path, *turn), reply);
                    }
                    state.apply(&record).map_err(|e| e.to_string())?;
                }
            }
        }
        Ok(Self { role: None, replies, nodes })
    }

    /// That agent's part of it, whoever asks.
    ///
    /// # Errors
    /// No such agent was asked anything; the sentence names those that were.
    pub fn of(self, role: Role) -> Result<Self, String> {
        if self.nodes.contains_key(&role) {
            return Ok(Self { role: Some(role), ..self });
        }
        let known: Vec<&str> = self.nodes.keys().map(Role::as_str).collect();
        Err(format!("no agent of the cassette is called {role}; it has {}", known.join(", ")))
    }

    /// What was replied then: in the same node, else in the only one of that kind (work, votes, synthesis, …) that the agent worked in.
    fn find(&self, request: &Request) -> Option<&Result<Arc<Reply>, Failure>> {
        let nodes = self.nodes.get(self.role.as_ref().unwrap_or(&request.role));
        let may = self.role.is_none() || nodes.is_some_and(|nodes| nodes.contains_key(&request.node));
        let own = self.replies.get(&(request.node.clone(), request.turn)).filter(|_| may);
        let only = || {
            let mut alike = nodes?.iter().filter(|(_, phase)| ***phase == *request.phase);
            alike.next().filter(|_| alike.next().is_none()).map(|(path, _)| path.clone())
        };
        own.or_else(|| self.replies.get(&(only()?, request.turn)))
    }
}

impl Model for Replay {
    fn reply<'a>(&'a self, request: &'a Request, _key: &'a str) -> Answer<'a> {
        let found = self.find(request).cloned();
        Box::pin(std::future::ready(match found {
            Some(Ok(reply)) => Ok((*reply).clone()),
            Some(Err(failure)) => Err(failure),
            None => {
                let whose = self.role.as_ref().map_or_else(String::new, |role| format!(" of the agent {role}"));
                let why = format!("the cassette has no reply{whose} for turn {} of {}", request.turn, request.node);
                Err(Failure::new(FailureKind::Model, why))
            }
        }))
    }
}
