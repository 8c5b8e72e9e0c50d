//! What was sent, in few bytes? [`digest`]: a digest of each part of a request, so that a later run can say which part is another.

use serde::Serialize;

use super::Tally;
use crate::value::{Judge, Request, RequestDigest, is_offline};

/// What the names of MCP servers' tools begin with. What a server offers is its own affair and is not on the machine of a replay.
const OF_SERVERS: &str = "mcp__";

/// The digest of a request as its model gets it; for a script without the words that are made of it, which it does not read. What was
/// taken in for the request before is taken from `tally`, so that the digests of a long thread cost as much as what was said in it,
/// and not its square.
pub fn digest(request: &Request, judge: &dyn Judge, tally: &mut Tally) -> RequestDigest {
    let own: Vec<_> = request.tools.iter().filter(|tool| !tool.name.starts_with(OF_SERVERS)).collect();
    let words = if is_offline(&request.profile.model) { None } else { tally.words(request, judge).ok() };
    RequestDigest::of([
        &json(&request.profile),
        &json(&(&request.task, &request.phase, request.turn, request.turns_left)),
        &json(&(&request.input, &request.inputs)),
        &json(&request.context),
        &tally.thread(request),
        &json(&own),
        words.as_ref().map_or(&[], |words| words.as_slice()),
    ])
}

fn json(part: &impl Serialize) -> Vec<u8> {
    // What has no JSON would have none in a replay either.
    serde_json::to_vec(part).unwrap_or_default()
}
