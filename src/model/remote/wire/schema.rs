//! Which JSON Schema does a provider take? A tool's [`parameters`], and the shape of a result: [`is_strict`], [`closed`].
//!
//! What is left out or widened here is checked all the same: the engine holds every call and every result against the schema as
//! its author wrote it.

use serde_json::{Map as Json, Value as JsonValue, json};

use crate::value::ToolSpec;

type Object = Json<String, JsonValue>;

/// What no provider takes at the top of a tool's parameters.
const NOT_AT_TOP: &[&str] = &["$schema", "$id", "anyOf", "oneOf", "allOf", "not", "enum", "const", "if", "then", "else"];
/// Keywords under which a value stands, and no schema.
const VALUES: &[&str] = &["default", "const", "enum", "examples", "example"];

/// A tool's parameters as every provider takes them: an object of properties, with arrays that say what they hold.
pub(super) fn parameters(tool: &ToolSpec) -> JsonValue {
    let mut schema = match tool.parameters.to_json() {
        JsonValue::Object(map) => map,
        _ => Object::new(),
    };
    let mut properties = match schema.remove("properties") {
        Some(JsonValue::Object(properties)) => properties,
        _ => Object::new(),
    };
    for choice in ["anyOf", "oneOf", "allOf"] {
        for branch in schema.get(choice).and_then(JsonValue::as_array).into_iter().flatten() {
            for (name, inner) in branch.get("properties").and_then(JsonValue::as_object).into_iter().flatten() {
                properties.entry(name).or_insert_with(|| inner.clone());
            }
        }
    }
    schema.retain(|key, _| !NOT_AT_TOP.contains(&key.as_str()));
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), properties.into());
    filled(JsonValue::Object(schema))
}

/// The schema with `items` for every array: OpenAI refuses one that does not say what it holds.
pub(super) fn filled(mut schema: JsonValue) -> JsonValue {
    fill(&mut schema);
    schema
}

fn fill(schema: &mut JsonValue) {
    match schema {
        JsonValue::Object(map) => {
            if is(map, "array") && !map.contains_key("items") && !map.contains_key("prefixItems") {
                map.insert("items".into(), json!({}));
            }
            map.iter_mut().filter(|(key, _)| !VALUES.contains(&key.as_str())).for_each(|(_, inner)| fill(inner));
        }
        JsonValue::Array(list) => list.iter_mut().for_each(fill),
        JsonValue::Null | JsonValue::Bool(_) | JsonValue::Number(_) | JsonValue::String(_) => {}
    }
}

/// Whether `type` of a schema is that one, or one of those is it.
fn is(schema: &Object, kind: &str) -> bool {
    match schema.get("type") {
        Some(JsonValue::String(own)) => own == kind,
        Some(JsonValue::Array(own)) => own.iter().any(|own| own == kind),
        _ => false,
    }
}

/// Whether a result of that schema is an object: OpenAI's own means make nothing else.
pub(super) fn is_object(schema: &JsonValue) -> bool {
    schema.get("type").and_then(JsonValue::as_str) == Some("object")
}

/// Whether a schema keeps to what OpenAI's strict mode takes: everything has a type, and objects are closed and have all of
/// their properties required.
pub(super) fn is_strict(schema: &JsonValue) -> bool {
    const KNOWN: &[&str] =
        &["type", "properties", "required", "additionalProperties", "items", "enum", "const", "description", "title", "anyOf"];
    let JsonValue::Object(map) = schema else { return false };
    let closed = !is(map, "object") || {
        let names: Vec<&String> =
            map.get("properties").and_then(JsonValue::as_object).map_or_else(Vec::new, |p| p.keys().collect());
        let required = map.get("required").and_then(JsonValue::as_array);
        let is_required = |name: &&String| required.is_some_and(|r| r.iter().any(|n| n.as_str() == Some(name)));
        map.get("additionalProperties") == Some(&JsonValue::Bool(false)) && names.iter().all(is_required)
    };
    let typed = map.contains_key("type") || map.contains_key("anyOf");
    let inner = |key: &str| match map.get(key) {
        Some(JsonValue::Object(properties)) if key == "properties" => properties.values().all(is_strict),
        Some(JsonValue::Array(items)) => items.iter().all(is_strict),
        Some(inner) => is_strict(inner),
        None => key != "items" || !is(map, "array"),
    };
    typed && closed && map.keys().all(|k| KNOWN.contains(&k.as_str())) && ["properties", "items", "anyOf"].into_iter().all(inner)
}

/// The schema as Anthropic's structured output takes it: closed objects, no bounds. `None` where it cannot say so, because
/// something in it may be anything.
pub(super) fn closed(schema: &JsonValue) -> Option<JsonValue> {
    const KEPT: &[&str] = &["type", "required", "enum", "const", "description", "title"];
    let map = schema.as_object()?;
    let mut own: Object =
        map.iter().filter(|(key, _)| KEPT.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect();
    if let Some(choices) = map.get("anyOf").or_else(|| map.get("oneOf")).and_then(JsonValue::as_array) {
        own.insert("anyOf".into(), choices.iter().map(closed).collect::<Option<Vec<_>>>()?.into());
    } else if !["type", "enum", "const"].iter().any(|key| own.contains_key(*key)) {
        return None;
    }
    if is(map, "object") {
        let properties = map.get("properties").and_then(JsonValue::as_object).filter(|p| !p.is_empty())?;
        let properties: Option<Object> = properties.iter().map(|(name, inner)| Some((name.clone(), closed(inner)?))).collect();
        own.insert("properties".into(), properties?.into());
        own.insert("additionalProperties".into(), false.into());
    }
    if is(map, "array") {
        own.insert("items".into(), closed(map.get("items")?)?);
    }
    Some(JsonValue::Object(own))
}
