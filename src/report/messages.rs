//! What was said, to whom, and when was it read? [`messages`].

use serde::Serialize;
use std::sync::Arc;

use crate::{
    state::State,
    value::{MessageId, MessageKind, Role, Seq, Timestamp, Value},
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
    /// What goes with it; `node` is where it was said.
    pub metadata: Value,
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

/// The messages of a session, in the order in which they were said.
pub fn messages(state: &State) -> Vec<MessageRow> {
    let row = |spoken: &crate::state::Spoken| {
        let message = &spoken.message;
        let mut metadata = message.metadata.as_map().cloned().unwrap_or_default();
        metadata.entry("node".to_owned()).or_insert_with(|| Value::Text(state.path(spoken.node)));
        MessageRow {
            seq: spoken.seq,
            id: message.id.clone(),
            from: message.from.clone(),
            to: message.to.clone(),
            kind: message.kind,
            content: message.content.clone(),
            metadata: Value::Map(Arc::new(metadata)),
            is_broadcast: message.to.is_none(),
            is_private: message.private,
            created_at: spoken.at,
            read_at: spoken.read_at,
            undelivered: state.context.undelivered.contains(&message.id),
        }
    };
    state.context.messages.iter().map(row).collect()
}
