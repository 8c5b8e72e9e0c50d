//! Does a tool fail again and again, in the same way?
//!
//! A failure is the same as the one before when its error is like that, or its arguments are and nothing was changed in between.
//! A success of the tool ends the row, as does a failure of another kind. Refusals of repeated calls are left to who refuses.

use super::{
    Sighting,
    seen::{Seen, error_of},
    was_refused,
    words::{folded, similarity},
};
use crate::{
    graph::{Detector, Watch},
    value::CallResult,
};

/// A turn in which the tool failed.
struct Failure {
    at: usize,
    args: String,
    error: String,
    shown: String,
}

/// So many turns with the same failure.
pub(super) fn seen(seen: &Seen<'_>, watch: &Watch) -> Option<Sighting> {
    let last = seen.turns.last()?;
    let tools = last.calls.iter().filter(|(_, result)| error(result).is_some()).map(|(call, _)| &*call.tool);
    tools.filter_map(|tool| row(seen, watch, tool)).next()
}

fn row(seen: &Seen<'_>, watch: &Watch, tool: &str) -> Option<Sighting> {
    let mut row: Vec<Failure> = Vec::new();
    let mut changed = false;
    for turn in seen.turns.iter().rev() {
        let mut calls = turn.calls.iter().filter(|(call, _)| *call.tool == *tool).peekable();
        if calls.peek().is_none() {
            changed |= turn.changed;
            continue;
        }
        // The first call speaks for the turn; one that succeeds ends the row, however many beside it fail.
        let mut first = None;
        for (call, result) in calls {
            let Some(shown) = error(result) else {
                first = None;
                break;
            };
            let (args, error) = (folded(&call.args.to_string(), true), folded(&shown, true));
            first.get_or_insert(Failure { at: turn.at, args, error, shown });
        }
        let Some(failure) = first else { break };
        let same = row.last().is_none_or(|later| {
            let alike = |a: &str, b: &str| similarity(a, b) >= watch.similarity;
            alike(&failure.error, &later.error) || (!changed && alike(&failure.args, &later.args))
        });
        if !same {
            break;
        }
        changed = turn.changed;
        row.push(failure);
    }
    if row.is_empty() || row.len() < usize::try_from(watch.times).unwrap_or(usize::MAX) {
        return None;
    }
    let shown: String = row[0].shown.chars().take(120).collect();
    let what = format!("{tool} has failed {} times in a row, in the same way ({shown})", row.len());
    Some(Sighting { turns: row.iter().rev().map(|failure| failure.at).collect(), told: None, what })
}

/// Why a call failed, where it was not refused for being repeated.
fn error(result: &CallResult) -> Option<String> {
    if let Err(failure) = &result.outcome
        && (was_refused(Detector::RepeatedCall, failure) || was_refused(Detector::RepeatedMessage, failure))
    {
        return None;
    }
    error_of(result)
}
