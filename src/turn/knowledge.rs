//! What does an agent look up? Its own searches in what its profile names as `knowledge`, and the one before its first turn.

use std::sync::Arc;

use crate::value::{Call, CallResult, EffectClass, Finding, KnowledgeSpec, Map, QUERY_LIMIT, SEARCH_KNOWLEDGE, ToolSpec, Value};

/// Passages of a look-up at most, whatever a profile says.
const PASSAGES_LIMIT: u32 = 20;
/// The id of the call that looks up: what a script finds in `errors` where it failed.
const LOOKUP: &str = "knowledge";

/// The tool that searches as an agent is told of it: where to look is its profile's to say.
pub fn knowledge_tool() -> Arc<ToolSpec> {
    let typed = |name: &str, what: &str| Value::map([("type", Value::text(name)), ("description", Value::text(what))]);
    let parameters = Value::map([
        ("type", Value::text("object")),
        (
            "properties",
            Value::map([
                ("query", typed("string", "what to look for: a symptom, the name of an alert, a question")),
                ("document", typed("string", "instead of a query: the document to read whole, as a passage names it")),
                ("limit", typed("integer", "how many passages; 5 where it is not given")),
            ]),
        ),
        ("additionalProperties", Value::Bool(false)),
    ]);
    let description =
        "Search your runbooks. Passages come with their document, section and line; give a document to read it whole.";
    Arc::new(ToolSpec {
        name: SEARCH_KNOWLEDGE.into(),
        description: description.into(),
        parameters,
        effect: EffectClass::Read,
        untrusted: false,
    })
}

/// The arguments of a search by an agent with the folders and filters of its profile.
pub fn knowledge_args(args: &Value, knowledge: &KnowledgeSpec) -> Value {
    let mut map = args.as_map().cloned().unwrap_or_default();
    let list = |items: &[String]| Value::list(items.iter().map(Value::text));
    map.insert("folders".to_owned(), Value::list(knowledge.folders.iter().map(|folder| Value::Text(folder.clone()))));
    let filters = knowledge.filters.iter().map(|(key, values)| (key.clone(), list(values)));
    map.insert("filters".to_owned(), Value::Map(Arc::new(filters.collect())));
    Value::Map(Arc::new(map))
}

/// The look-up before the first turn of an activation: by its task, by the texts of the inputs but for those that `is_folder` says are
/// paths, which tell nothing of the case, and by what was found before it.
pub fn lookup(
    knowledge: &KnowledgeSpec,
    task: &str,
    inputs: &Map,
    is_folder: impl Fn(&str) -> bool,
    found: &[Arc<Finding>],
) -> Call {
    let mut words: Vec<&str> = vec![task];
    inputs.values().for_each(|value| texts(value, &mut words));
    words.extend(found.iter().map(|finding| &*finding.claim));
    words.retain(|text| !text.trim().is_empty() && !is_folder(text));
    let query: String = words.join("\n").chars().take(QUERY_LIMIT).collect();
    let limit = Value::Int(knowledge.top_k.min(PASSAGES_LIMIT).into());
    let args = Value::map([("query", Value::from(query)), ("limit", limit)]);
    Call { id: LOOKUP.into(), tool: SEARCH_KNOWLEDGE.into(), args }
}

/// The texts in a value, in its order.
fn texts<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Text(text) => found.push(text),
        Value::List(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Map(map) => map.values().for_each(|item| texts(item, found)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
    }
}

/// The passages that a look-up found; none where it failed.
pub fn passages(result: &CallResult) -> &[Value] {
    let found = result.outcome.as_ref().ok().and_then(|found| found.get("passages"));
    found.and_then(Value::as_list).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(spec: &KnowledgeSpec, inputs: &str, found: &str) -> Value {
        let inputs: Value = serde_json::from_str(inputs).unwrap();
        let found: Vec<Arc<Finding>> = serde_json::from_str(found).unwrap();
        lookup(spec, "find the cause", inputs.as_map().unwrap(), |text| text == "/data/case", &found).args
    }

    #[test]
    fn a_lookup_asks_for_the_task_the_words_of_the_inputs_but_folders_and_what_was_found() {
        let spec = KnowledgeSpec { folders: vec!["runbooks".into()], top_k: 90, ..KnowledgeSpec::default() };
        let inputs = r#"{"alert": {"labels": ["PodCrash"], "n": 3}, "data": "/data/case", "on": " "}"#;
        let found = r#"[{"id": "m#f1", "agent": "m", "topic": "t", "claim": "the pool is full", "value": 1, "confidence": 1.0, "status": "open",
                         "origin": "tool", "evidence": []}]"#;
        let args = query(&spec, inputs, found);
        assert_eq!(args.to_string(), r#"{"limit":20,"query":"find the cause\nPodCrash\nthe pool is full"}"#);
        let long = query(&spec, &format!(r#"{{"text": "{}"}}"#, "ö".repeat(QUERY_LIMIT)), "[]");
        assert_eq!(long.get("query").unwrap().as_str().unwrap().chars().count(), QUERY_LIMIT);
    }
}
