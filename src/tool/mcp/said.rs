//! What does the result of a call come to? [`outcome`]: a value that an agent reads, or a failure.

use std::sync::Arc;

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

use crate::{
    tool::Outcome,
    value::{Failure, FailureKind, Map, Value},
};

/// Characters of an error that are shown.
const SHOWN: usize = 8_000;

/// A result as a value: `text` (all texts, one below the other), `structured` (where the server gives one), `parts` (what is no text:
/// its kind, type and size, and the text of embedded resources).
pub(super) fn outcome(tool: &str, result: CallToolResult) -> Outcome {
    let (mut texts, mut parts) = (Vec::new(), Vec::new());
    for block in result.content {
        match block {
            ContentBlock::Text(text) => texts.push(text.text),
            other => parts.push(part(other)),
        }
    }
    let text = texts.join("\n");
    if result.is_error == Some(true) {
        let said = if text.trim().is_empty() { "no reason is given" } else { text.trim() };
        let shown: String = said.chars().take(SHOWN).collect();
        return Err(Failure::new(FailureKind::Tool, format!("{tool}: {shown}")));
    }
    let mut map = Map::new();
    // Servers repeat what is structured as text, for clients that know no better.
    let repeats =
        |structured: &serde_json::Value| serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|json| json == *structured);
    if !text.is_empty() && !result.structured_content.as_ref().is_some_and(repeats) {
        map.insert("text".to_owned(), Value::text(&text));
    }
    if let Some(structured) = result.structured_content {
        map.insert("structured".to_owned(), lenient(structured));
    }
    if !parts.is_empty() {
        map.insert("parts".to_owned(), Value::list(parts));
    }
    if map.is_empty() {
        map.insert("text".to_owned(), Value::text(""));
    }
    Ok(Value::Map(Arc::new(map)))
}

/// A part that is no text. What a model cannot read is told, not shown.
fn part(block: ContentBlock) -> Value {
    let told = |kind: &str, mime: &str, base64: &str| {
        let bytes = base64.trim_end_matches('=').len() / 4 * 3 + base64.trim_end_matches('=').len() % 4 * 3 / 4;
        Value::map([
            ("kind", Value::text(kind)),
            ("type", Value::text(mime)),
            ("bytes", crate::tool::count(bytes as u64)),
            ("note", Value::text("left out: it is no text")),
        ])
    };
    match block {
        ContentBlock::Text(text) => Value::map([("kind", Value::text("text")), ("text", Value::text(text.text))]),
        ContentBlock::Image(image) => told("image", &image.mime_type, &image.data),
        ContentBlock::Audio(audio) => told("audio", &audio.mime_type, &audio.data),
        ContentBlock::Resource(resource) => match resource.resource {
            ResourceContents::TextResourceContents { uri, mime_type, text, .. } => Value::map([
                ("kind", Value::text("resource")),
                ("uri", Value::text(uri)),
                ("type", Value::text(mime_type.unwrap_or_default())),
                ("text", Value::text(text)),
            ]),
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                let mut map =
                    told("resource", mime_type.as_deref().unwrap_or_default(), &blob).as_map().cloned().unwrap_or_default();
                map.insert("uri".to_owned(), Value::text(uri));
                Value::Map(Arc::new(map))
            }
            _ => Value::map([("kind", Value::text("resource")), ("note", Value::text("left out: of an unknown kind"))]),
        },
        ContentBlock::ResourceLink(link) => Value::map([
            ("kind", Value::text("link")),
            ("uri", Value::text(link.uri)),
            ("name", Value::text(link.name)),
            ("description", Value::text(link.description.unwrap_or_default())),
        ]),
        _ => Value::map([("kind", Value::text("unknown")), ("note", Value::text("left out: of an unknown kind"))]),
    }
}

/// JSON as a value: a whole number beyond 64 bits becomes a float, one that is no number at all null.
pub(super) fn lenient(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Array(items) => Value::list(items.into_iter().map(lenient)),
        serde_json::Value::Object(map) => Value::map(map.into_iter().map(|(key, value)| (key, lenient(value)))),
        serde_json::Value::Number(number) => {
            let float = number.as_f64();
            Value::try_from(serde_json::Value::Number(number)).ok().or_else(|| Value::float(float?)).unwrap_or_default()
        }
        other => Value::try_from(other).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Result<&str, &str>) {
        let result: CallToolResult = serde_json::from_str(json).expect("a result");
        match (outcome("x", result), expected) {
            (Ok(value), Ok(expected)) => assert_eq!(value, crate::tool::suite::json(expected), "{json}"),
            (Err(failure), Err(expected)) => assert_eq!(failure.message.as_ref(), expected, "{json}"),
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn texts_stand_one_below_the_other() {
        check(r#"{"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}"#, Ok(r#"{"text": "a\nb"}"#));
        check(r#"{"content": []}"#, Ok(r#"{"text": ""}"#));
    }

    #[test]
    fn what_is_structured_is_said_once() {
        check(
            r#"{"content": [{"type": "text", "text": "{\"a\": 1}"}], "structuredContent": {"a": 1}}"#,
            Ok(r#"{"structured": {"a": 1}}"#),
        );
        check(
            r#"{"content": [{"type": "text", "text": "one"}], "structuredContent": {"a": 18446744073709551615}}"#,
            Ok(r#"{"text": "one", "structured": {"a": 18446744073709551615.0}}"#),
        );
    }

    #[test]
    fn an_error_is_a_failure() {
        check(r#"{"content": [{"type": "text", "text": "no such file"}], "isError": true}"#, Err("x: no such file"));
        check(r#"{"content": [], "isError": true}"#, Err("x: no reason is given"));
    }

    #[test]
    fn what_is_no_text_is_told_and_not_shown() {
        check(
            r#"{"content": [{"type": "image", "data": "aGVsbG8=", "mimeType": "image/png"},
                {"type": "resource", "resource": {"uri": "file:///a", "mimeType": "text/plain", "text": "hi"}},
                {"type": "resource_link", "uri": "file:///b", "name": "b"}]}"#,
            Ok(r#"{"parts": [{"kind": "image", "type": "image/png", "bytes": 5, "note": "left out: it is no text"},
                {"kind": "resource", "uri": "file:///a", "type": "text/plain", "text": "hi"},
                {"kind": "link", "uri": "file:///b", "name": "b", "description": ""}]}"#),
        );
    }
}
