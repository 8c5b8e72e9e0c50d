//! How is what is expected and what there is put into words? One sentence each, cut where it is long.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::{
    report::MessageRow,
    team::{DecisionWant, EscalationWant, FindingWant, MessageWant, Want},
    value::Value,
};

/// Characters of a value that a sentence shows.
const SHOWN: usize = 400;
/// What stands for an empty list.
pub(super) const NONE: &str = "none";
/// Rows that a difference lists.
const LISTED: usize = 12;

/// What is wanted, part by part.
fn wanted(what: &str, parts: &[(&str, Option<String>)]) -> String {
    let given = parts.iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
    let given: Vec<String> = given.collect();
    if given.is_empty() { what.to_owned() } else { format!("{what} with {}", given.join(", ")) }
}

fn text(text: &Option<Arc<str>>) -> Option<String> {
    text.as_ref().map(|text| format!("{text:?}"))
}

fn like(want: &Option<Want>) -> Option<String> {
    let want = want.as_ref()?;
    Some(want.is.as_ref().or(want.contains.as_ref()).map_or_else(|| "as described".to_owned(), |value| shown(Some(value))))
}

pub(super) fn words_of(want: &MessageWant) -> String {
    let kind = want.kind.map(|kind| kind.name().to_owned());
    wanted("message", &[("from", text(&want.from)), ("to", text(&want.to)), ("type", kind), ("words", text(&want.contains))])
}

pub(super) fn finding_of(want: &FindingWant) -> String {
    let parts = [
        ("agent", text(&want.agent)),
        ("topic", text(&want.topic)),
        ("value", like(&want.value)),
        ("words", text(&want.contains)),
    ];
    wanted("a finding", &parts)
}

pub(super) fn decision_of(want: &DecisionWant) -> String {
    let dissent = want.dissent.as_ref().map(|roles| format!("[{}]", roles.join(", ")));
    let parts = [("topic", text(&want.topic)), ("outcome", like(&want.outcome)), ("by", text(&want.by)), ("dissent", dissent)];
    wanted("a decision", &parts)
}

pub(super) fn escalation_of(want: &EscalationWant) -> String {
    let parts = [
        ("node", text(&want.node)),
        ("from", text(&want.from)),
        ("to", text(&want.to)),
        ("cause", text(&want.cause)),
        ("words", text(&want.contains)),
    ];
    wanted("an escalation", &parts)
}

pub(super) fn line(row: &MessageRow) -> String {
    let from = row.from.as_ref().map_or("synod", |role| role.as_str());
    let to = row.to.as_ref().map_or("all", |role| role.as_str());
    format!("{from} → {to} ({}): {}", row.kind.name(), shown_text(row.content.lines().next().unwrap_or_default()))
}

pub(super) fn said(rows: &[MessageRow]) -> String {
    listed(rows.iter().map(line))
}

/// The first rows, and how many more there are.
pub(super) fn listed(rows: impl Iterator<Item = String>) -> String {
    let rows: Vec<String> = rows.collect();
    let more = rows.len().saturating_sub(LISTED);
    let first = rows.into_iter().take(LISTED).collect::<Vec<_>>().join("; ");
    match (first.is_empty(), more) {
        (true, _) => NONE.to_owned(),
        (false, 0) => first,
        (false, more) => format!("{first}; and {more} more"),
    }
}

/// A value as a sentence shows it.
pub(super) fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| shown_text(&value.to_json().to_string()))
}

/// JSON as a sentence shows it.
pub(super) fn shown_json(value: Option<&Json>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| shown_text(&value.to_string()))
}

pub(super) fn shown_text(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
