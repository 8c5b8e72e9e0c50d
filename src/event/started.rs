//! What does a session start from, and what did that mean when it was written? [`Started`], its first event.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::EVENT_VERSION;
use crate::{
    graph::Plan,
    value::{Exchange, Map, Message, MessageId, MessageKind, Seq, SessionId, Tenant, TrackRecord, Value},
};

/// The version of events from which on a message says itself what exchange it belongs to.
const EXCHANGES: u32 = 3;
/// The version of events from which on the digest of a request is made of digests of its entries.
const DIGESTS_OF_ENTRIES: u32 = 4;

/// What a session starts from; it pins everything that the run depends on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Started {
    /// [`super::EVENT_VERSION`] of the writer.
    pub version: u32,
    /// Which session.
    pub session: SessionId,
    /// Whose.
    pub tenant: Tenant,
    /// The team as it was named: a path, or a name in the shipped library.
    pub team: Arc<str>,
    /// What is to be done, in words.
    pub task: Arc<str>,
    /// The inputs, defaults filled in.
    pub inputs: Arc<Map>,
    /// The compiled plan.
    pub plan: Arc<Plan>,
    /// The text of every script that the plan's rules, expressions and script agents need, by path.
    pub sources: BTreeMap<String, Arc<str>>,
    /// How often what agents held stood in earlier sessions, where a vote of the plan goes by that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<TrackRecord>,
    /// Behind each name of a model that the catalog knows: its provider and id, where that is, and how it is spoken to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<Arc<str>, Arc<str>>,
    /// The session whose past it shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked: Option<Point>,
    /// The session whose results it takes over where nothing has changed, as far as that had come then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse: Option<Point>,
}

impl PartialEq for Started {
    /// By identity: two starts are equal when they are of the same session.
    fn eq(&self, other: &Self) -> bool {
        self.session == other.session && self.version == other.version
    }
}

impl Started {
    /// A session of the default tenant that begins now and takes nothing over.
    pub fn new(
        session: SessionId,
        team: impl Into<Arc<str>>,
        task: impl Into<Arc<str>>,
        inputs: impl Into<Arc<Map>>,
        plan: impl Into<Arc<Plan>>,
    ) -> Self {
        Self {
            version: EVENT_VERSION,
            session,
            tenant: Tenant::default(),
            team: team.into(),
            task: task.into(),
            inputs: inputs.into(),
            plan: plan.into(),
            sources: BTreeMap::new(),
            records: Vec::new(),
            models: BTreeMap::new(),
            forked: None,
            reuse: None,
        }
    }

    /// Whether the digests of its requests are made as this build makes them.
    pub fn digests_comparable(&self) -> bool {
        self.version >= DIGESTS_OF_ENTRIES
    }

    /// A message of its journal as this build says it. In an older one the engine said in the metadata what exchange a message belongs
    /// to; what this build appends to such a journal says it itself.
    pub fn message(&self, message: &Arc<Message>) -> Arc<Message> {
        said_now(self.version, message)
    }
}

fn said_now(version: u32, message: &Arc<Message>) -> Arc<Message> {
    if version >= EXCHANGES || message.exchange.is_some() {
        return message.clone();
    }
    let key = match message.kind {
        MessageKind::Question => "answered_at",
        MessageKind::Response => "question",
        MessageKind::TaskAssignment
        | MessageKind::Finding
        | MessageKind::Handoff
        | MessageKind::Escalation
        | MessageKind::Note => return message.clone(),
    };
    let Some(said) = message.metadata.get(key).and_then(Value::as_str).map(Arc::from) else { return message.clone() };
    let mut rest = message.metadata.as_map().cloned().unwrap_or_default();
    rest.remove(key);
    let metadata = if rest.is_empty() { Value::Null } else { Value::Map(Arc::new(rest)) };
    let is_question = message.kind == MessageKind::Question;
    let exchange = if is_question { Exchange::AnsweredAt(said) } else { Exchange::Answers(MessageId(said)) };
    Arc::new(Message { metadata, exchange: Some(exchange), ..(**message).clone() })
}

/// A point in the journal of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Which session.
    pub session: SessionId,
    /// Its last record that counts.
    pub at: Seq,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Origins;

    fn message(kind: MessageKind, metadata: Value, exchange: Option<Exchange>) -> Arc<Message> {
        let (id, content) = (MessageId(Arc::from("a#m1")), Arc::from("words"));
        let (from, to, private, origins) = (None, None, false, Origins::default());
        Arc::new(Message { id, kind, from, to, content, metadata, private, exchange, origins })
    }

    #[test]
    fn a_message_of_an_older_journal_says_in_its_metadata_which_exchange_it_belongs_to() {
        let check = |kind, key: &str, text: &str, expected: Option<Exchange>| {
            let metadata = Value::map([(key, Value::text(text))]);
            let said = message(kind, metadata.clone(), None);
            let rest = if expected.is_some() { Value::Null } else { metadata };
            assert_eq!(*said_now(2, &said), *message(kind, rest, expected));
            assert_eq!(*said_now(EVENT_VERSION, &said), *said, "in a new one agents alone say what is in the metadata");
        };
        let question = Exchange::AnsweredAt(Arc::from("a/ask_1"));
        check(MessageKind::Question, "answered_at", "a/ask_1", Some(question.clone()));
        check(MessageKind::Response, "question", "a#m2", Some(Exchange::Answers(MessageId(Arc::from("a#m2")))));
        check(MessageKind::Note, "question", "a#m2", None);
        let appended = message(MessageKind::Question, Value::Null, Some(question));
        assert_eq!(*said_now(2, &appended), *appended, "what this build appends to it says it itself");
    }
}
