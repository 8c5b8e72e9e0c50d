//! Does an agent make the very same call again? [`is_repeated`].
//!
//! A call is repeated when the same tool was called so often before with the same arguments and gave the same result, and nothing
//! was done in between that may have changed the world. So polling goes on while results change, and a check may be run after
//! every change. Calls of the same turn count by their arguments alone: they do not know each other's results.

use super::{Sighting, refused_again, seen::Seen, was_refused};
use crate::{
    graph::{Detector, Watch},
    value::{Call, CallResult, Entry},
};

/// The same was called again after it was refused.
pub(super) fn seen(seen: &Seen<'_>, _: &Watch) -> Option<Sighting> {
    refused_again(seen, Detector::RepeatedCall)
}

/// Whether `call` must be refused, after the closed turns of `thread` and the calls before it in its own turn: it was made `most`
/// times. `changes` says whether a call may change the world.
pub(super) fn is_repeated(
    thread: &[Entry],
    earlier: &[&Call],
    call: &Call,
    most: usize,
    changes: impl Fn(&Call) -> bool,
) -> bool {
    let same = |other: &Call| other.tool == call.tool && other.args == call.args;
    if earlier.iter().filter(|other| same(other)).count() >= most {
        return true;
    }
    let past = thread.iter().rev().filter_map(|entry| match entry {
        Entry::Result { call, result } => Some((call, result)),
        Entry::Reply(_) | Entry::Mail(_) | Entry::Answer { .. } | Entry::Note(_) | Entry::Known { .. } => None,
    });
    let mut last: Option<&CallResult> = None;
    let mut count = 0;
    for (other, result) in past {
        if !same(other) {
            if changes(other) {
                return false;
            }
        } else if !matches!(&result.outcome, Err(failure) if was_refused(Detector::RepeatedCall, failure)) {
            if last.is_some_and(|last| last != &**result) {
                return false;
            }
            last = Some(&**result);
            count += 1;
            if count >= most {
                return true;
            }
        }
    }
    false
}
