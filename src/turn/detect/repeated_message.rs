//! Does an agent say the same words to the same colleague again? What came of them does not matter.

use super::{Sighting, refused_again, seen::Seen, was_refused};
use crate::{
    graph::{Detector, Watch},
    value::{Call, Entry, Value},
};

/// The same was said again after it was refused.
pub(super) fn seen(seen: &Seen<'_>, _: &Watch) -> Option<Sighting> {
    refused_again(seen, Detector::RepeatedMessage)
}

/// Whether a call says something to somebody.
pub(super) fn is_message(call: &Call) -> bool {
    matches!(&*call.tool, "broadcast_finding" | "send_message" | "ask_agent" | "escalate")
}

/// How often the same words were said to the same one before. Of a message its words and its recipient count, case and spaces not;
/// of the others all that they say.
pub(super) fn said(thread: &[Entry], earlier: &[&Call], call: &Call) -> usize {
    let words = key(call);
    let same = |other: &Call| other.tool == call.tool && key(other) == words;
    let past = thread.iter().filter(|entry| match entry {
        Entry::Result { call, result } => {
            same(call) && !matches!(&result.outcome, Err(failure) if was_refused(Detector::RepeatedMessage, failure))
        }
        Entry::Reply(_) | Entry::Mail(_) | Entry::Answer { .. } | Entry::Note(_) | Entry::Known { .. } => false,
    });
    past.count() + earlier.iter().filter(|other| same(other)).count()
}

/// To whom a message goes, in words.
pub(super) fn whom(call: &Call) -> &str {
    match &*call.tool {
        "send_message" | "ask_agent" => call.args.get("to").and_then(Value::as_str).unwrap_or("the team"),
        _ => "the team",
    }
}

/// Whom it goes to, and what it says.
fn key(call: &Call) -> (&str, String) {
    let words = |name: &str| call.args.get(name).and_then(Value::as_str);
    match (&*call.tool, words("content").or(words("question"))) {
        ("send_message" | "ask_agent", Some(text)) => {
            let metadata = call.args.get("metadata").map(ToString::to_string).unwrap_or_default();
            let text = text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
            (whom(call), format!("{text} {metadata}"))
        }
        _ => ("", call.args.to_string()),
    }
}
