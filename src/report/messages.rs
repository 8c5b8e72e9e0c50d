//! What was said, to whom, and when was it read? [`messages`].

use serde::Serialize;
use std::sync::Arc;

use crate::{
    state::{Spoken, State},
    value::{Exchange, MessageId, MessageKind, Origins, Role, Seq, Timestamp, Value},
};

/// A message as `synod messages --json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct MessageRow {
    /// The record that said it.
    pub seq: Seq,
    /// Such as `work/security#m1`.
    pub id: MessageId,
    /// Who; null for the engine.
    pub from: Option<Role>,
    /// To whom; null for all.
    pub to: Option<Role>,
    /// What for.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// What.
    pub content: Arc<str>,
    /// What goes with it, and what the engine adds: `node`, where it was said, and of an exchange of `ask_agent` `answered_at` (the
    /// path of who answers it) or `question` (the id of what it answers), of an acknowledgement `acknowledges` (the id of the handoff).
    pub metadata: Value,
    /// Where what it says comes from: `tool`, `model`, `person`, `untrusted`.
    pub origins: Origins,
    /// Whether all may read it.
    pub is_broadcast: bool,
    /// Whether only its two ends may.
    pub is_private: bool,
    /// When.
    #[serde(serialize_with = "super::rfc3339")]
    pub created_at: Timestamp,
    /// When its recipient had read it.
    #[serde(serialize_with = "super::maybe_rfc3339")]
    pub read_at: Option<Timestamp>,
    /// Whether the session ended before its recipient could read it.
    pub undelivered: bool,
}

impl MessageRow {
    /// It as people read it: a line that says who and to whom, then the words.
    pub fn text(&self) -> String {
        let from = self.from.as_ref().map_or("synod", Role::as_str);
        let to = self.to.as_ref().map_or("all", Role::as_str);
        let private = if self.is_private { ", private" } else { "" };
        let lost = if self.undelivered { ", never read" } else { "" };
        let outside = if self.origins.is_untrusted() { ", untrusted" } else { "" };
        let marks = format!("{private}{outside}{lost}");
        let head = format!("{:>6}  {}  {from} → {to}  {}{marks}\n", self.seq.0, self.created_at, self.kind.name());
        self.content.lines().fold(head, |page, line| page + "        " + line + "\n")
    }
}

/// The messages of a session, in the order in which they were said.
pub fn messages(state: &State) -> Vec<MessageRow> {
    state.context.messages.iter().map(|spoken| row(state, spoken)).collect()
}

pub(super) fn row(state: &State, spoken: &Spoken) -> MessageRow {
    let message = &spoken.message;
    let mut metadata = message.metadata.as_map().cloned().unwrap_or_default();
    let own = |key: &str, text: &Arc<str>| (key.to_owned(), Value::Text(text.clone()));
    metadata.extend([own("node", &state.path(spoken.node))]);
    metadata.extend(message.exchange.as_ref().map(|exchange| match exchange {
        Exchange::AnsweredAt(path) => own("answered_at", path),
        Exchange::Answers(question) => own("question", &question.0),
        Exchange::Acknowledges(handoff) => own("acknowledges", &handoff.0),
    }));
    MessageRow {
        seq: spoken.seq,
        id: message.id.clone(),
        from: message.from.clone(),
        to: message.to.clone(),
        kind: message.kind,
        content: message.content.clone(),
        metadata: Value::Map(Arc::new(metadata)),
        origins: message.origins,
        is_broadcast: message.to.is_none(),
        is_private: message.private,
        created_at: spoken.at,
        read_at: spoken.read_at,
        undelivered: state.context.undelivered.contains(&message.id),
    }
}
