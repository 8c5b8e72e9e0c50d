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
    let past = thread.iter().filter(|entry| match entry {
        Entry::Result { call: other, result } => {
            is_same(other, call) && !matches!(&result.outcome, Err(failure) if was_refused(Detector::RepeatedMessage, failure))
        }
        Entry::Reply(_) | Entry::Mail(_) | Entry::Answer { .. } | Entry::Note(_) | Entry::Known { .. } => false,
    });
    past.count() + earlier.iter().filter(|other| is_same(other, call)).count()
}

/// To whom a message goes, in words.
pub(super) fn whom(call: &Call) -> &str {
    match &*call.tool {
        "send_message" | "ask_agent" => call.args.get("to").and_then(Value::as_str).unwrap_or("the team"),
        _ => "the team",
    }
}

/// Whether two calls say the same to the same one.
fn is_same(one: &Call, other: &Call) -> bool {
    if one.tool != other.tool {
        return false;
    }
    match (content(one), content(other)) {
        (Some(words), Some(others)) => {
            whom(one) == whom(other) && folded(words).eq(folded(others)) && one.args.get("metadata") == other.args.get("metadata")
        }
        (None, None) => one.args == other.args,
        (_, _) => false,
    }
}

/// What a message says.
fn content(call: &Call) -> Option<&str> {
    let words = |name: &str| call.args.get(name).and_then(Value::as_str);
    match &*call.tool {
        "send_message" | "ask_agent" => words("content").or(words("question")),
        _ => None,
    }
}

/// The characters of a text in lower case, with one space between words.
fn folded(text: &str) -> impl Iterator<Item = char> {
    text.split_whitespace().flat_map(|word| word.chars().flat_map(char::to_lowercase).chain([' ']))
}
