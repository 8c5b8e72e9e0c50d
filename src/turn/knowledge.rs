//! What does an agent look up? Its own searches in what its profile names as `knowledge`, and the one before its first turn.

use std::sync::Arc;

use crate::value::{Call, CallResult, EffectClass, KnowledgeSpec, Map, QUERY_LIMIT, SEARCH_KNOWLEDGE, ToolSpec, Value};

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
    Arc::new(ToolSpec { name: SEARCH_KNOWLEDGE.into(), description: description.into(), parameters, effect: EffectClass::Read })
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

/// What is looked up before the first turn of an activation with that task; `None` where the profile wants nothing. Of the inputs
/// all words count but those for which `is_folder` is true: a path says nothing of the case.
pub fn lookup(knowledge: &KnowledgeSpec, task: &str, inputs: &Map, is_folder: impl Fn(&str) -> bool) -> Option<Call> {
    if knowledge.top_k == 0 || knowledge.folders.is_empty() {
        return None;
    }
    let mut words: Vec<&str> = vec![task];
    inputs.values().for_each(|value| texts(value, &mut words));
    words.retain(|text| !text.trim().is_empty() && !is_folder(text));
    let query: String = words.join("\n").chars().take(QUERY_LIMIT).collect();
    let limit = Value::Int(knowledge.top_k.min(PASSAGES_LIMIT).into());
    let args = Value::map([("query", Value::from(query)), ("limit", limit)]);
    Some(Call { id: LOOKUP.into(), tool: SEARCH_KNOWLEDGE.into(), args })
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

    fn query(spec: &KnowledgeSpec, inputs: &str) -> Option<Value> {
        let inputs: Value = serde_json::from_str(inputs).unwrap();
        let call = lookup(spec, "find the cause", inputs.as_map().unwrap(), |text| text == "/data/case")?;
        Some(call.args)
    }

    #[test]
    fn a_lookup_asks_for_the_task_and_the_words_of_the_inputs_but_not_for_folders() {
        let spec = KnowledgeSpec { folders: vec!["runbooks".into()], top_k: 90, ..KnowledgeSpec::default() };
        let args = query(&spec, r#"{"alert": {"labels": ["PodCrash"], "n": 3}, "data": "/data/case", "on": " "}"#).unwrap();
        assert_eq!(args.to_string(), r#"{"limit":20,"query":"find the cause\nPodCrash"}"#);
        let long = query(&spec, &format!(r#"{{"text": "{}"}}"#, "ö".repeat(QUERY_LIMIT))).unwrap();
        assert_eq!(long.get("query").unwrap().as_str().unwrap().chars().count(), QUERY_LIMIT);
        assert_eq!(query(&KnowledgeSpec { top_k: 0, ..spec.clone() }, "{}"), None);
        assert_eq!(query(&KnowledgeSpec { folders: Vec::new(), ..spec }, "{}"), None);
    }
}
