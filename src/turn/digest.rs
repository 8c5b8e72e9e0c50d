//! What was sent, in few bytes? [`digest`]: a digest of each part of a request, so that a later run can say which part is another.

use serde::Serialize;

use super::{Spoken, Tally, Told};
use crate::value::{Entry, Judge, Request, RequestDigest, is_offline};

/// What the names of MCP servers' tools begin with. What a server offers is its own affair and is not on the machine of a replay.
const OF_SERVERS: &str = "mcp__";

/// The digest of a request as its model gets it; for a script without the words that are made of it, which it does not read. Of the
/// thread it is of what is new since the request before: what is older stands in the digest of that one, so that the digests of a
/// long thread cost as much as what was said in it, and not its square.
pub fn digest(request: &Request, judge: &dyn Judge, tally: &mut Tally) -> RequestDigest {
    let last = request.thread.iter().rposition(|entry| matches!(entry, Entry::Reply(_))).unwrap_or(0);
    let new = request.thread.get(last.max(request.earlier)..).unwrap_or_default();
    let own: Vec<_> = request.tools.iter().filter(|tool| !tool.name.starts_with(OF_SERVERS)).collect();
    let said = if is_offline(&request.profile.model) { Some(Vec::new()) } else { said(request, judge, tally) };
    RequestDigest::of([
        &json(&request.profile),
        &json(&(&request.task, &request.phase, request.turn, request.turns_left)),
        &json(&(&request.input, &request.inputs)),
        &json(&request.context),
        &json(&new),
        &json(&own),
        &said.unwrap_or_default(),
    ])
}

fn json(part: &impl Serialize) -> Vec<u8> {
    // What has no JSON would have none in a replay either.
    serde_json::to_vec(part).unwrap_or_default()
}

/// The words that a model reads, each with its length before it; of the thread those since its last reply.
fn said(request: &Request, judge: &dyn Judge, tally: &mut Tally) -> Option<Vec<u8>> {
    let (system, first, new) = tally.news(request, judge).ok()?;
    let mut all = Vec::new();
    let mut add = |text: &str| {
        all.extend((text.len() as u64).to_le_bytes());
        all.extend(text.as_bytes());
    };
    add(&system);
    add(&first);
    for message in new {
        match message {
            Spoken::Told(told) => told.iter().for_each(|part| match part {
                Told::Result { text, .. } | Told::Known(text) | Told::Text(text) => add(text),
            }),
            Spoken::Said { text, .. } => add(text.as_deref().unwrap_or_default()),
        }
    }
    Some(all)
}
