//! OpenAI Chat Completions, and every server that speaks it: vLLM, llama.cpp, OpenRouter, Azure.

use serde_json::{Value as JsonValue, json};

use super::{Ask, Part, Reader, is_strict, number, parameters, text};
use crate::{
    model::remote::{
        draft::DraftCall,
        http::in_stream,
        names::{parameters as schema_of, plain},
        trouble::Trouble,
    },
    turn::{Spoken, Told, arguments},
    value::{Map, Stop, Value},
};

/// What this module sets.
const NOT_PASSED: &[&str] = &["model", "messages", "tools", "stream", "stream_options", "max_tokens", "n"];

/// The body of a request. OpenAI itself wants `max_completion_tokens`, which not every other server knows.
pub(super) fn body(ask: &Ask<'_>, is_openai: bool) -> JsonValue {
    let mut body = parameters(ask.config, NOT_PASSED);
    body.insert("model".into(), ask.id.into());
    body.insert("stream".into(), true.into());
    body.insert("stream_options".into(), json!({ "include_usage": true }));
    if let Some(max) = ask.config.get("max_tokens").filter(|_| !body.contains_key("max_completion_tokens")) {
        body.insert(if is_openai { "max_completion_tokens" } else { "max_tokens" }.into(), max.to_json());
    }
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
        let schema = schema.to_json();
        let shape = json!({ "name": "result", "strict": is_strict(&schema), "schema": schema });
        body.entry("response_format").or_insert_with(|| json!({ "type": "json_schema", "json_schema": shape }));
    }
    JsonValue::Object(body)
}

fn add(messages: &mut Vec<JsonValue>, message: &Spoken) {
    match message {
        Spoken::Told(told) => {
            for part in told {
                messages.push(match part {
                    Told::Result { call, text, .. } => json!({ "role": "tool", "tool_call_id": &*call.id, "content": text }),
                    Told::Text(text) | Told::Known(text) => json!({ "role": "user", "content": text }),
                });
            }
        }
        Spoken::Said { text, calls, .. } => {
            let mut said = serde_json::Map::from_iter([("role".to_owned(), JsonValue::from("assistant"))]);
            said.extend(text.iter().map(|text| ("content".to_owned(), JsonValue::from(&**text))));
            let calls: Vec<JsonValue> = calls
                .iter()
                .map(|call| {
                    let function = json!({ "name": plain(&call.tool), "arguments": as_text(arguments(call)) });
                    json!({ "id": &*call.id, "type": "function", "function": function })
                })
                .collect();
            if !calls.is_empty() {
                said.insert("tool_calls".into(), calls.into());
            }
            messages.push(JsonValue::Object(said));
        }
    }
}

/// Arguments as the text that both of OpenAI's interfaces want.
pub(super) fn as_text(arguments: Map) -> String {
    Value::Map(std::sync::Arc::new(arguments)).to_string()
}

pub(super) fn read(reader: &mut Reader, json: &JsonValue, data: &str) -> Result<(), Trouble> {
    if json.get("error").is_some_and(|e| !e.is_null()) {
        return Err(in_stream(data));
    }
    if json.get("usage").is_some_and(JsonValue::is_object) {
        reader.draft.input = number(json, "/usage/prompt_tokens");
        reader.draft.cached = number(json, "/usage/prompt_tokens_details/cached_tokens");
        reader.draft.output = number(json, "/usage/completion_tokens");
    }
    let Some(choice) = json.pointer("/choices/0") else { return Ok(()) };
    reader.draft.text.push_str(text(choice, "/delta/content"));
    reader.draft.text.push_str(text(choice, "/delta/refusal"));
    for part in choice.pointer("/delta/tool_calls").and_then(JsonValue::as_array).into_iter().flatten() {
        add_call(reader, part)?;
    }
    reader.draft.stop = match text(choice, "/finish_reason") {
        "" => reader.draft.stop,
        "tool_calls" | "function_call" => Some(Stop::Calls),
        "length" => Some(Stop::Length),
        "content_filter" => Some(Stop::Filtered),
        "error" => return Err(Trouble::status(500, "the model broke off")),
        _ => Some(Stop::End),
    };
    Ok(())
}

/// A piece of a call: the first has its id and name, the others more of its arguments.
fn add_call(reader: &mut Reader, part: &JsonValue) -> Result<(), Trouble> {
    let (id, name, args) = (text(part, "/id"), text(part, "/function/name"), text(part, "/function/arguments"));
    // Some servers give every call the number 0 or none, but an id of its own.
    let index = part.get("index").and_then(JsonValue::as_u64);
    let known = match index {
        Some(index) => reader.part(index),
        None if id.is_empty() => reader.draft.calls.len().checked_sub(1).map(Part::Call),
        None => None,
    };
    let known = known.and_then(|part| if let Part::Call(at) = part { Some(at) } else { None });
    let same =
        known.and_then(|at| reader.draft.calls.get_mut(at)).filter(|call| id.is_empty() || call.id.is_empty() || call.id == id);
    if let Some(call) = same {
        if call.tool.is_empty() {
            name.clone_into(&mut call.tool);
        }
        if call.id.is_empty() {
            id.clone_into(&mut call.id);
        }
        call.args.push_str(args);
        return Ok(());
    }
    reader.draft.call(DraftCall { id: id.to_owned(), tool: name.to_owned(), args: args.to_owned() })?;
    reader.open.push((index.unwrap_or(u64::MAX), Part::Call(reader.draft.calls.len() - 1)));
    Ok(())
}
