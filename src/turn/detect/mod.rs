//! Does an agent go round in circles? [`look`] asks every detector that its team has on, before each turn.
//!
//! Pure: what is looked at ([`Seen`]) follows from the journal alone, so that a replay sees the same. A detector that fires for the
//! first time tells the agent ([`Verdict::Tell`]); one that goes on after that stops it ([`Verdict::Stop`]). One file each; the
//! [`TABLE`] lists them. Two do not stand in it for all of what they do: repeated calls and messages are refused as they come
//! ([`refusal`]), which tells the agent, and the evidence of a finish is looked at when it finishes ([`lacks_evidence`]). Rounds of
//! delegation are no turns: they are looked at when one has ended, and when a new plan is there ([`fruitless`], [`repeated`]).

mod failing_call;
mod looping_ledger;
mod near_repetition;
mod no_progress;
mod ping_pong;
mod premature_end;
mod repeated_call;
mod repeated_message;
mod seen;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;

pub use looping_ledger::{Given, Repeated, fruitless, repeated};
pub use premature_end::lacks_evidence;
pub use seen::{Exchange, Seen, says_the_same};

use crate::{
    graph::{Detect, Detector, Watch},
    value::{Call, Entry, Failure, FailureKind},
};

/// What a detector saw.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sighting {
    /// The turns that it is about, by the places of their replies in the thread.
    turns: Vec<usize>,
    /// From which place in the thread on the agent knows of it otherwise than by a note: by a refusal.
    told: Option<usize>,
    /// What, as a sentence without a full stop.
    what: String,
}

/// What comes of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The agent is told this before its turn.
    Tell(Detector, Arc<str>),
    /// It was told and went on: it gets no turn, for this reason.
    Stop(Detector, Arc<str>),
}

/// A row of the table: a detector, what it looks for, and how many more turns of it an agent has after it was told.
type Row = (Detector, fn(&Seen<'_>, &Watch) -> Option<Sighting>, usize);

/// The detectors that look before each turn, in that order.
const TABLE: &[Row] = &[
    (Detector::RepeatedCall, repeated_call::seen, 1),
    (Detector::RepeatedMessage, repeated_message::seen, 1),
    (Detector::FailingCall, failing_call::seen, 1),
    (Detector::NearRepetition, near_repetition::seen, 1),
    (Detector::PingPong, ping_pong::seen, 2),
    (Detector::NoProgress, no_progress::seen, 2),
];

/// What the detectors of a team say to an agent's next turn. It is told of one thing before a turn.
pub fn look(detect: &Detect, seen: &Seen<'_>) -> Option<Verdict> {
    let mut tell = None;
    for (detector, looks, patience) in TABLE {
        let Some(sighting) = detect.get(*detector).and_then(|watch| looks(seen, watch)) else { continue };
        match sighting.told.or_else(|| seen.told(*detector)) {
            Some(told) if sighting.turns.iter().filter(|at| **at >= told).count() >= *patience => {
                let why = format!("{}: {}, and it went on after it was told", detector.name(), sighting.what);
                return Some(Verdict::Stop(*detector, why.into()));
            }
            Some(_) => {}
            None if tell.is_none() && !seen.just_told() => {
                let note = format!(
                    "{}: {}. Do something else, finish with what there is, or escalate; if this goes on, you are stopped",
                    detector.name(),
                    sighting.what
                );
                tell = Some(Verdict::Tell(*detector, note.into()));
            }
            None => {}
        }
    }
    tell
}

/// How often the same call or message is answered in a team without detectors of its own.
const ANSWERED: u32 = 2;

/// Why `call` is refused, after the closed turns of `thread` and the calls before it in its own turn: it is one too many of the
/// same. `changes` says whether a call may change the world.
pub fn refusal(
    detect: Option<&Detect>,
    thread: &[Entry],
    earlier: &[&Call],
    call: &Call,
    changes: impl Fn(&Call) -> bool,
) -> Option<Failure> {
    let message = repeated_message::is_message(call);
    let detector = if message { Detector::RepeatedMessage } else { Detector::RepeatedCall };
    let times = match detect {
        Some(detect) => detect.get(detector)?.times,
        None => ANSWERED,
    };
    let most = usize::try_from(times).unwrap_or(usize::MAX);
    if message {
        let same = repeated_message::said(thread, earlier, call) >= most;
        return same
            .then(|| refused(detector, format!("{} was told the same words {most} times before", repeated_message::whom(call))));
    }
    let same = repeated_call::is_repeated(thread, earlier, call, most, changes);
    same.then(|| refused(detector, format!("this was the same call of {} as {most} before, and nothing has changed", call.tool)))
}

fn refused(detector: Detector, what: String) -> Failure {
    let advice = "it is refused. Use what came of it, try something else, or finish with what there is";
    Failure::new(FailureKind::Denied, format!("{}: {what}: {advice}", detector.name()))
}

/// Whether a call came to a refusal of that detector.
fn was_refused(detector: Detector, failure: &Failure) -> bool {
    failure.kind == FailureKind::Denied
        && failure
            .message
            .strip_prefix(detector.name())
            .is_some_and(|rest| rest.starts_with(": ") && rest.contains("it is refused."))
}

/// The turns in which the same was refused again, with nothing new since the first refusal; that one told the agent.
fn refused_again(seen: &Seen<'_>, detector: Detector) -> Option<Sighting> {
    let mut first = None;
    let mut again = Vec::new();
    let mut tool = "";
    for turn in &seen.turns {
        let refused = turn.calls.iter().find(|(_, r)| matches!(&r.outcome, Err(failure) if was_refused(detector, failure)));
        match (refused, first) {
            (Some((call, _)), None) => (first, tool) = (Some(turn.at), &*call.tool),
            (Some((call, _)), Some(_)) => {
                again.push(turn.at);
                tool = &*call.tool;
            }
            (None, _) if turn.news => (first, again) = (None, Vec::new()),
            (None, _) => {}
        }
    }
    let last = *again.last()?;
    if seen.turns.last().is_none_or(|turn| turn.at != last) {
        return None;
    }
    let what = format!("{tool} was called with the same again, {} times after it was refused", again.len());
    Some(Sighting { turns: again, told: first.map(|at| at + 1), what })
}
