//! Who answers in place of a model? A [`Player`]: a script, a recording, or replies that the case spells out.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    model::{Model, Replay, Script},
    plan::with_includes,
    team::{At, ScriptedReply, StandIn},
    value::{Failure, FailureKind, Reply, Request},
};

/// Answers for a role, a model, or everybody.
pub(super) struct Player {
    key: Arc<str>,
    part: Part,
}

enum Part {
    Model(Arc<dyn Model>),
    Replies(Turns),
    ByPlace(BTreeMap<Arc<str>, Turns>),
}

/// Replies in turn: the nth new call of a node gets the nth reply, a repeated call the one that it got. What other nodes were given
/// does not count, because which of them asks first is chance.
struct Turns {
    replies: Vec<ScriptedReply>,
    /// The calls of each node, by its path.
    asked: Mutex<BTreeMap<Arc<str>, Vec<String>>>,
}

impl Player {
    /// # Errors
    /// The script or recording is none.
    pub(super) fn new(key: &At<Arc<str>>, stand_in: &StandIn, sources: &BTreeMap<String, Arc<str>>) -> Result<Self, String> {
        let part = match stand_in {
            StandIn::Script(file) => {
                let said = |found: Vec<crate::rule::RuleDiagnostic>| {
                    found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
                };
                Part::Model(Arc::new(Script::compile(&with_includes(file, sources)).map_err(said)?))
            }
            StandIn::Recording(file, role) => {
                let text = sources.get(&**file).cloned().unwrap_or_default();
                let replay = Replay::read(&text).map_err(|why| format!("{file}: {why}"))?;
                Part::Model(Arc::new(match role {
                    Some(role) => replay.of(role.clone())?,
                    None => replay,
                }))
            }
            StandIn::Replies(replies) => Part::Replies(Turns::new(replies)),
            StandIn::ByPlace(places) => {
                Part::ByPlace(places.iter().map(|(place, replies)| (place.clone(), Turns::new(replies))).collect())
            }
        };
        Ok(Self { key: key.value.clone(), part })
    }

    /// What it answers for.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Whether it answers for the agent of a request: its role, after the members that are teams around it (`forensics/analyst`).
    pub(super) fn is_for(&self, request: &Request) -> bool {
        let mut parts = self.key.rsplit('/');
        let role = parts.next().unwrap_or_default();
        *request.role.0 == *role && parts.all(|member| request.node.split('/').any(|part| part == member))
    }

    /// Its reply, and how long that takes.
    pub(super) async fn reply(&self, request: &Request, key: &str) -> (Result<Reply, Failure>, Duration) {
        let turns = match &self.part {
            Part::Model(model) => return (model.reply(request, key).await, Duration::ZERO),
            Part::Replies(turns) => turns,
            Part::ByPlace(places) => match places.get(&*request.node).or_else(|| places.get(&*request.phase)) {
                Some(turns) => turns,
                None => {
                    let known: Vec<&str> = places.keys().map(AsRef::as_ref).collect();
                    let why = format!(
                        "the case has no replies of {} for {} (phase {}); it has some for {}",
                        self.key,
                        request.node,
                        request.phase,
                        known.join(", ")
                    );
                    return (Err(Failure::new(FailureKind::Model, why)), Duration::ZERO);
                }
            },
        };
        turns.reply(&self.key, request, key)
    }
}

impl Turns {
    fn new(replies: &[ScriptedReply]) -> Self {
        Self { replies: replies.to_vec(), asked: Mutex::default() }
    }

    fn reply(&self, whose: &str, request: &Request, key: &str) -> (Result<Reply, Failure>, Duration) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = asked.entry(request.node.clone()).or_default();
        let nth = asked.iter().position(|known| known == key).unwrap_or_else(|| {
            asked.push(key.to_owned());
            asked.len() - 1
        });
        match self.replies.get(nth) {
            Some(scripted) => (scripted.reply.clone(), scripted.takes),
            None => {
                let (count, turn) = (self.replies.len(), request.turn.0 + 1);
                let why = format!(
                    "the case has {count} replies of {whose}, and this is call {} of {} (turn {turn})",
                    nth + 1,
                    request.node
                );
                (Err(Failure::new(FailureKind::Model, why)), Duration::ZERO)
            }
        }
    }
}
