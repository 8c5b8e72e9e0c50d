//! Ollama's own interface: JSON lines, and a window that has to be asked for.

use serde_json::{Map as Json, Value as JsonValue, json};

use super::{Ask, Reader, effort, number, parameters, stops, text};
use crate::{
    model::remote::{
        draft::DraftCall,
        http::in_stream,
        names::{parameters as schema_of, plain},
        trouble::Trouble,
    },
    turn::{Spoken, Told, arguments},
    value::Stop,
};

/// What this module sets.
const NOT_PASSED: &[&str] = &[
    "model",
    "messages",
    "tools",
    "stream",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "stop_sequences",
    "reasoning_effort",
    "n",
];
/// Parameters that stand beside `options`, not in it.
const BESIDE: &[&str] = &["think", "keep_alive", "format", "options", "logprobs", "top_logprobs"];

pub(super) fn body(ask: &Ask<'_>) -> JsonValue {
    let (mut body, mut options) = (Json::new(), Json::new());
    for (key, value) in parameters(ask.config, NOT_PASSED) {
        match (BESIDE.contains(&key.as_str()), value) {
            (true, JsonValue::Object(own)) if key == "options" => options.extend(own),
            (true, value) => drop(body.insert(key, value)),
            (false, value) => drop(options.insert(key, value)),
        }
    }
    options.extend(ask.config.get("max_tokens").map(|max| ("num_predict".to_owned(), max.to_json())));
    options.extend(stops(ask.config).map(|stops| ("stop".to_owned(), stops)));
    if let Some(window) = ask.window {
        // Otherwise the server cuts the conversation to its own default, without a word.
        options.entry("num_ctx").or_insert_with(|| window.into());
    }
    if let Some(effort) = effort(ask.config) {
        body.entry("think").or_insert_with(|| if effort == "none" { false.into() } else { true.into() });
    }
    body.insert("model".into(), ask.id.into());
    body.insert("stream".into(), true.into());
    let mut messages = vec![json!({ "role": "system", "content": ask.conversation.system })];
    for message in &ask.conversation.messages {
        add(&mut messages, message);
    }
    body.insert("messages".into(), messages.into());
    let tools = ask.conversation.tools.iter().map(|t| {
        let function = json!({ "name": plain(&t.name), "description": &*t.description, "parameters": schema_of(t) });
        json!({ "type": "function", "function": function })
    });
    let tools: Vec<JsonValue> = tools.collect();
    if !tools.is_empty() {
        body.insert("tools".into(), tools.into());
    }
    if let Some(schema) = ask.conversation.schema.as_ref().filter(|_| ask.structured) {
        body.insert("format".into(), schema.to_json());
    }
    if !options.is_empty() {
        body.insert("options".into(), JsonValue::Object(options));
    }
    JsonValue::Object(body)
}

fn add(messages: &mut Vec<JsonValue>, message: &Spoken) {
    match message {
        Spoken::Told(told) => {
            for part in told {
                messages.push(match part {
                    Told::Result { call, text, .. } => json!({ "role": "tool", "tool_name": plain(&call.tool), "content": text }),
                    Told::Text(text) | Told::Known(text) => json!({ "role": "user", "content": text }),
                });
            }
        }
        Spoken::Said { text, calls, .. } => {
            let mut said = json!({ "role": "assistant", "content": text.as_deref().unwrap_or_default() });
            let calls: Vec<JsonValue> = calls
                .iter()
                .map(|call| {
                    let args: Json<_, _> = arguments(call).iter().map(|(k, v)| (k.clone(), v.to_json())).collect();
                    json!({ "function": { "name": plain(&call.tool), "arguments": args } })
                })
                .collect();
            if !calls.is_empty() {
                said["tool_calls"] = calls.into();
            }
            messages.push(said);
        }
    }
}

pub(super) fn read(reader: &mut Reader, json: &JsonValue, data: &str) -> Result<(), Trouble> {
    if json.get("error").is_some() {
        return Err(in_stream(data));
    }
    reader.draft.text.push_str(text(json, "/message/content"));
    for call in json.pointer("/message/tool_calls").and_then(JsonValue::as_array).into_iter().flatten() {
        let args = call.pointer("/function/arguments").map_or_else(String::new, |args| match args {
            JsonValue::String(text) => text.clone(),
            other => other.to_string(),
        });
        let (id, tool) = (text(call, "/id").to_owned(), text(call, "/function/name").to_owned());
        reader.draft.call(DraftCall { id, tool, args })?;
    }
    if json.get("done") == Some(&JsonValue::Bool(true)) {
        let draft = &mut reader.draft;
        draft.input = number(json, "/prompt_eval_count");
        draft.output = number(json, "/eval_count");
        draft.stop = Some(if text(json, "/done_reason") == "length" { Stop::Length } else { Stop::End });
        draft.complete = true;
    }
    Ok(())
}
