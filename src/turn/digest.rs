//! What was sent, in few bytes? [`digest`]: a digest of each part of a request, so that a later run can say which part is another.

use super::{Tally, prompt::of_json};
use crate::value::{Judge, Request, RequestDigest, is_offline};

/// The digest of a request as its model gets it; for a script without the words that are made of it, which it does not read. What was
/// taken in for the request before is taken from `tally`, so that the digests of a long thread cost as much as what was said in it,
/// and not its square.
pub fn digest(request: &Request, judge: &dyn Judge, tally: &mut Tally) -> RequestDigest {
    let words = if is_offline(&request.profile.model) { None } else { tally.words(request, judge).ok() };
    let [profile, tools] = tally.of_kind(request);
    let [input, context] = tally.of_given(request);
    RequestDigest::of([
        profile,
        of_json(&(&request.task, &request.phase, request.turn, request.turns_left)),
        input,
        context,
        blake3::hash(&tally.thread(request)),
        tools,
        blake3::hash(words.as_ref().map_or(&[], |words| words.as_slice())),
    ])
}
