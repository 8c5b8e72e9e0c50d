//! How large may a result be? [`RESULT_LIMIT`] bytes of JSON; what is over is cut where it hurts least, and said.

use std::sync::Arc;

use crate::value::{Map, Value};

/// The largest result of a call, in bytes of JSON.
pub const RESULT_LIMIT: usize = 256 * 1024;
/// How often the largest part is halved before the result is given up: enough for 2^64 bytes in one part.
const CUTS: usize = 256;
/// The entry that says what was cut.
const NOTE: &str = "truncated";

/// The value, cut to [`RESULT_LIMIT`]: its largest lists and texts lose their ends, and `truncated` says which and how much.
pub(super) fn bound(value: Value) -> Value {
    within(value, RESULT_LIMIT)
}

fn within(value: Value, limit: usize) -> Value {
    if size(&value) <= limit {
        return value;
    }
    let mut map = match value {
        Value::Map(map) => Arc::unwrap_or_clone(map),
        other @ (Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_)) => {
            Map::from([("result".to_owned(), other)])
        }
    };
    let mut notes = std::collections::BTreeMap::new();
    for _ in 0..CUTS {
        map.insert(NOTE.to_owned(), Value::list(notes.values().map(|note: &String| Value::from(note.as_str()))));
        if map.iter().map(|(key, value)| key.len() + size(value) + 4).sum::<usize>() <= limit {
            return Value::Map(Arc::new(map));
        }
        map.remove(NOTE);
        let Some((path, note)) = halve(&mut map) else { break };
        notes.insert(path, note);
    }
    Value::map([(NOTE, Value::list([Value::from("the whole result: it has too many parts; ask for less")]))])
}

/// Halves the largest text or list below `map`; says where and what it did.
fn halve(map: &mut Map) -> Option<(String, String)> {
    let (key, value) = map.iter_mut().max_by_key(|(_, value)| size(value))?;
    let mut path = key.clone();
    let mut at = value;
    loop {
        match at {
            Value::Text(text) if text.len() > 1 => {
                let keep = floor_char(text, text.len() / 2);
                let note = format!("{path}: cut to its first {keep} bytes");
                *text = Arc::from(&text[..keep]);
                return Some((path, note));
            }
            Value::List(items) if items.len() > 1 => {
                let keep = items.len() / 2;
                Arc::make_mut(items).truncate(keep);
                return Some((path.clone(), format!("{path}: cut to its first {keep} items")));
            }
            Value::List(items) => {
                at = Arc::make_mut(items).first_mut()?;
                path.push_str("[0]");
            }
            Value::Map(inner) => {
                let (key, value) = Arc::make_mut(inner).iter_mut().max_by_key(|(_, value)| size(value))?;
                path = format!("{path}.{key}");
                at = value;
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => return None,
        }
    }
}

/// Bytes of JSON, nearly: escapes count as one byte.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Int(_) | Value::Float(_) => 12,
        Value::Text(text) => text.len() + 2,
        Value::List(items) => 2 + items.iter().map(|item| 1 + size(item)).sum::<usize>(),
        Value::Map(map) => 2 + map.iter().map(|(key, value)| key.len() + 4 + size(value)).sum::<usize>(),
    }
}

fn floor_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_result_is_left_alone() {
        let value = Value::map([("a", Value::from(1))]);
        assert_eq!(bound(value.clone()), value);
    }

    #[test]
    fn a_large_list_loses_its_end_and_says_so() {
        let rows = Value::list((0..1000).map(Value::from));
        let cut = within(Value::map([("count", Value::from(1000)), ("rows", rows)]), 4000);
        assert!(size(&cut) <= 4000);
        assert_eq!(cut.get("count"), Some(&Value::from(1000)));
        assert_eq!(cut.get("rows").and_then(Value::as_list).map(<[Value]>::len), Some(250));
        assert_eq!(cut.get(NOTE).map(ToString::to_string), Some("[\"rows: cut to its first 250 items\"]".to_owned()));
    }

    #[test]
    fn a_large_text_is_cut_between_characters() {
        let cut = within(Value::text("ü".repeat(1001)), 600);
        assert!(cut.get("result").and_then(Value::as_str).is_some_and(|t| t.chars().all(|c| c == 'ü') && t.len() <= 600));
    }

    #[test]
    fn a_deep_result_is_cut_where_its_bulk_is() {
        let rows = Value::list([Value::map([("text", Value::text("x".repeat(10_000))), ("line", Value::from(7))])]);
        let cut = within(Value::map([("rows", rows)]), 3000);
        assert!(cut.get(NOTE).is_some_and(|n| n.to_string().contains("rows[0].text")), "{cut}");
    }
}
