//! What was sent, in few bytes? [`digest`]: a digest of each part of a request, so that a later run can say which part is another.

use serde::Serialize;

use super::{Spoken, Told, conversation};
use crate::value::{Judge, Request, RequestDigest, is_offline};

/// What the names of MCP servers' tools begin with. What a server offers is its own affair and is not on the machine of a replay.
const OF_SERVERS: &str = "mcp__";

/// The digest of a request as its model gets it; for a script without the words that are made of it, which it does not read.
pub fn digest(request: &Request, judge: &dyn Judge) -> RequestDigest {
    let own: Vec<_> = request.tools.iter().filter(|tool| !tool.name.starts_with(OF_SERVERS)).collect();
    let words = if is_offline(&request.profile.model) { Some(Vec::new()) } else { words(request, judge) };
    RequestDigest::of([
        &json(&request.profile),
        &json(&(&request.task, &request.phase, request.turn, request.turns_left)),
        &json(&(&request.input, &request.inputs)),
        &json(&request.context),
        &json(&request.thread),
        &json(&own),
        &words.unwrap_or_default(),
    ])
}

fn json(part: &impl Serialize) -> Vec<u8> {
    // What has no JSON would have none in a replay either.
    serde_json::to_vec(part).unwrap_or_default()
}

/// The words that a model reads, each with its length before it.
fn words(request: &Request, judge: &dyn Judge) -> Option<Vec<u8>> {
    let conversation = conversation(request, judge, None).ok()?;
    let mut all = Vec::new();
    let mut add = |text: &str| {
        all.extend((text.len() as u64).to_le_bytes());
        all.extend(text.as_bytes());
    };
    add(&conversation.system);
    for message in &conversation.messages {
        match message {
            Spoken::Told(told) => told.iter().for_each(|part| match part {
                Told::Result { text, .. } | Told::Known(text) | Told::Text(text) => add(text),
            }),
            Spoken::Said { text, .. } => add(text.as_deref().unwrap_or_default()),
        }
    }
    Some(all)
}
