//! OpenAI Responses. Nothing is stored with the provider: each request has the whole conversation.

use serde_json::{Value as JsonValue, json};

use super::{Ask, Reader, carried, effort, is_strict, number, openai::as_text, parameters, text};
use crate::{
    model::remote::{
        draft::DraftCall,
        http::in_stream,
        names::{parameters as schema_of, plain},
        trouble::Trouble,
    },
    team::ProviderKind,
    turn::{Spoken, Told, arguments},
    value::Stop,
};

/// What this module sets, and what this interface does not have.
const NOT_PASSED: &[&str] = &[
    "model",
    "input",
    "instructions",
    "messages",
    "tools",
    "stream",
    "store",
    "max_tokens",
    "max_completion_tokens",
    "reasoning_effort",
    "stop",
    "stop_sequences",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "n",
    "top_k",
];

pub(super) fn body(ask: &Ask<'_>) -> JsonValue {
    let mut body = parameters(ask.config, NOT_PASSED);
    body.insert("model".into(), ask.id.into());
    body.insert("stream".into(), true.into());
    body.insert("store".into(), false.into());
    body.insert("instructions".into(), ask.conversation.system.as_str().into());
    let max = ask.config.get("max_tokens").or_else(|| ask.config.get("max_completion_tokens"));
    if let Some(max) = max.filter(|_| !body.contains_key("max_output_tokens")) {
        body.insert("max_output_tokens".into(), max.to_json());
    }
    if let Some(effort) = effort(ask.config) {
        body.entry("reasoning").or_insert_with(|| json!({ "effort": effort }));
        // Without it the provider, which stores nothing, would forget its reasoning from turn to turn.
        body.entry("include").or_insert_with(|| json!(["reasoning.encrypted_content"]));
    }
    let mut input = Vec::new();
    for message in &ask.conversation.messages {
        add(&mut input, message);
    }
    body.insert("input".into(), input.into());
    let tools = ask.conversation.tools.iter().map(|t| {
        json!({ "type": "function", "name": plain(&t.name), "description": &*t.description, "parameters": schema_of(t), "strict": false })
    });
    let tools: Vec<JsonValue> = tools.collect();
    if !tools.is_empty() {
        body.insert("tools".into(), tools.into());
    }
    if let Some(schema) = ask.conversation.schema.as_ref().filter(|_| ask.structured) {
        let schema = schema.to_json();
        let format = json!({ "type": "json_schema", "name": "result", "strict": is_strict(&schema), "schema": schema });
        if let Some(text) = body.entry("text").or_insert_with(|| json!({})).as_object_mut() {
            text.entry("format").or_insert(format);
        }
    }
    JsonValue::Object(body)
}

fn add(input: &mut Vec<JsonValue>, message: &Spoken) {
    match message {
        Spoken::Told(told) => {
            for part in told {
                input.push(match part {
                    Told::Result { call, text, .. } => {
                        json!({ "type": "function_call_output", "call_id": &*call.id, "output": text })
                    }
                    Told::Text(text) | Told::Known(text) => json!({ "role": "user", "content": text }),
                });
            }
        }
        Spoken::Said { text, calls, carry } => {
            input.extend(carried(carry.as_ref(), ProviderKind::OpenaiResponses));
            input.extend(text.iter().map(|text| json!({ "role": "assistant", "content": &**text })));
            input.extend(calls.iter().map(|call| {
                json!({ "type": "function_call", "call_id": &*call.id, "name": plain(&call.tool), "arguments": as_text(arguments(call)) })
            }));
        }
    }
}

pub(super) fn read(reader: &mut Reader, json: &JsonValue) -> Result<(), Trouble> {
    match text(json, "/type") {
        "response.output_item.done" => item(reader, &json["item"])?,
        "response.completed" => end(reader, &json["response"], Stop::End)?,
        "response.incomplete" => {
            let filtered = text(json, "/response/incomplete_details/reason") == "content_filter";
            end(reader, &json["response"], if filtered { Stop::Filtered } else { Stop::Length })?;
        }
        "response.failed" => return Err(in_stream(&json["response"].to_string())),
        "error" => return Err(in_stream(&json.to_string())),
        _ => {}
    }
    Ok(())
}

fn item(reader: &mut Reader, item: &JsonValue) -> Result<(), Trouble> {
    match text(item, "/type") {
        "message" => {
            for part in item["content"].as_array().into_iter().flatten() {
                reader.draft.text.push_str(text(part, "/text"));
                reader.draft.text.push_str(text(part, "/refusal"));
            }
        }
        "function_call" => {
            let field = |key: &str| text(item, key).to_owned();
            reader.draft.call(DraftCall { id: field("/call_id"), tool: field("/name"), args: field("/arguments") })?;
        }
        // Only what is encrypted can be given back to a provider that stored nothing.
        "reasoning" if item.get("encrypted_content").is_some_and(JsonValue::is_string) => reader.kept.push(item.clone()),
        _ => {}
    }
    Ok(())
}

fn end(reader: &mut Reader, response: &JsonValue, stop: Stop) -> Result<(), Trouble> {
    // A server that sent no items one by one has them all here.
    if reader.draft.text.is_empty() && reader.draft.calls.is_empty() {
        for whole in response["output"].as_array().into_iter().flatten() {
            item(reader, whole)?;
        }
    }
    let draft = &mut reader.draft;
    draft.input = number(response, "/usage/input_tokens");
    draft.cached = number(response, "/usage/input_tokens_details/cached_tokens");
    draft.output = number(response, "/usage/output_tokens");
    draft.stop = Some(stop);
    draft.complete = true;
    Ok(())
}
