//! Anthropic Messages.

use serde_json::{Map as Json, Value as JsonValue, json};

use super::{
    Ask, Part, Reader, carried, effort, number, parameters,
    schema::{closed, parameters as schema_of},
    stops, text,
};
use crate::{
    model::remote::{draft::DraftCall, http::in_stream, names::plain, trouble::Trouble},
    team::ProviderKind,
    turn::{Spoken, Told, arguments},
    value::Stop,
};

/// Tokens of a reply where the profile does not say: the API wants a number.
const DEFAULT_MAX_TOKENS: u64 = 4_096;
/// The fewest tokens that the API takes for thinking.
const LEAST_THINKING: u64 = 1_024;
/// The first version that thinks as much as it sees fit, and takes an effort and no sampling parameters.
const ADAPTIVE: (u32, u32) = (4, 7);
/// The first version that takes a temperature or `top_p`, and not both.
const ONE_OF_BOTH: (u32, u32) = (4, 1);
const SAMPLING: &[&str] = &["temperature", "top_k", "top_p"];
/// What this module sets, and what this API does not have.
const NOT_PASSED: &[&str] = &[
    "model",
    "messages",
    "system",
    "tools",
    "stream",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "stop_sequences",
    "reasoning_effort",
    "seed",
    "parallel_tool_calls",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "n",
];

pub(super) fn body(ask: &Ask<'_>) -> JsonValue {
    let conversation = ask.conversation;
    let mut body = parameters(ask.config, NOT_PASSED);
    let max_tokens = ask.config.get("max_tokens").and_then(|v| u64::try_from(v.as_int()?).ok()).unwrap_or(DEFAULT_MAX_TOKENS);
    body.insert("model".into(), ask.id.into());
    body.insert("max_tokens".into(), max_tokens.into());
    body.insert("stream".into(), true.into());
    body.extend(stops(ask.config).map(|stops| ("stop_sequences".to_owned(), stops)));
    let version = version(ask.id);
    let adaptive = version.is_some_and(|version| version >= ADAPTIVE);
    let asked = effort(ask.config).filter(|_| !body.contains_key("thinking"));
    if let Some(effort) = asked.as_deref().filter(|_| adaptive) {
        let config = body.entry("output_config").or_insert_with(|| json!({}));
        if let Some(config) = config.as_object_mut() {
            config.entry("effort").or_insert_with(|| level(effort).into());
        }
        if effort != "none" {
            body.insert("thinking".into(), json!({ "type": "adaptive" }));
        }
    } else if let Some(budget) = asked.and_then(|effort| thinking(&effort, max_tokens)) {
        body.insert("thinking".into(), json!({ "type": "enabled", "budget_tokens": budget }));
    }
    // The API refuses them beside thinking, later models refuse them at all, and those between take one of the first two.
    if adaptive || body.contains_key("thinking") {
        SAMPLING.iter().for_each(|key| drop(body.remove(*key)));
    } else if version.is_some_and(|version| version >= ONE_OF_BOTH) && body.contains_key("temperature") {
        body.remove("top_p");
    }
    // The mark ends what is cached: the tools and the system prompt here, the conversation so far below.
    body.insert("system".into(), json!([{ "type": "text", "text": conversation.system, "cache_control": mark() }]));
    let tools = conversation.tools.iter();
    let tools: Vec<_> =
        tools.map(|t| json!({ "name": plain(&t.name), "description": &*t.description, "input_schema": schema_of(t) })).collect();
    if !tools.is_empty() {
        body.insert("tools".into(), tools.into());
    }
    let mut messages: Vec<JsonValue> = conversation.messages.iter().map(message).collect();
    for message in messages.iter_mut().rev().filter(|m| m["role"] == "user").take(2) {
        if let Some(JsonValue::Object(last)) = message["content"].as_array_mut().and_then(|parts| parts.last_mut()) {
            last.insert("cache_control".into(), mark());
        }
    }
    body.insert("messages".into(), messages.into());
    // The API refuses a choice together with thinking.
    let thinks = body.get("thinking").is_some_and(|t| text(t, "/type") != "disabled");
    if conversation.must_finish && !thinks {
        body.insert("tool_choice".into(), json!({ "type": "tool", "name": "finish" }));
    }
    let schema = conversation.schema.as_ref().filter(|_| ask.structured);
    if let Some(schema) = schema.and_then(|schema| closed(&schema.to_json())) {
        let config = body.entry("output_config").or_insert_with(|| json!({}));
        if let Some(config) = config.as_object_mut() {
            config.insert("format".into(), json!({ "type": "json_schema", "schema": schema }));
        }
    }
    JsonValue::Object(body)
}

fn mark() -> JsonValue {
    json!({ "type": "ephemeral" })
}

/// The version of a model, by its id: `claude-haiku-4-5-20251001` is 4.5. `None` for a model of somebody else.
fn version(id: &str) -> Option<(u32, u32)> {
    let name = id.rsplit(['/', '.']).next()?.strip_prefix("claude-")?;
    let mut numbers = name.split('-').filter(|part| part.len() <= 2).filter_map(|part| part.parse::<u32>().ok());
    Some((numbers.next()?, numbers.next().unwrap_or(0)))
}

/// An effort as the API names it.
fn level(effort: &str) -> &'static str {
    match effort {
        "none" | "minimal" | "low" => "low",
        "medium" => "medium",
        "xhigh" => "xhigh",
        "max" => "max",
        _ => "high",
    }
}

/// Tokens for thinking out of those of the reply; `None` where none is asked for or there is no room for it.
fn thinking(effort: &str, max_tokens: u64) -> Option<u64> {
    let share = match effort {
        "none" => return None,
        "minimal" | "low" => max_tokens / 4,
        "medium" => max_tokens / 2,
        _ => max_tokens / 4 * 3,
    };
    (max_tokens > LEAST_THINKING).then(|| share.max(LEAST_THINKING))
}

fn message(message: &Spoken) -> JsonValue {
    match message {
        Spoken::Told(told) => {
            let parts: Vec<JsonValue> = told
                .iter()
                .map(|part| match part {
                    Told::Text(text) | Told::Known(text) => json!({ "type": "text", "text": text }),
                    Told::Result { call, text, is_error } => {
                        let mut part = Json::new();
                        part.insert("type".into(), "tool_result".into());
                        part.insert("tool_use_id".into(), (*call.id).into());
                        part.insert("content".into(), text.as_str().into());
                        if *is_error {
                            part.insert("is_error".into(), true.into());
                        }
                        JsonValue::Object(part)
                    }
                })
                .collect();
            json!({ "role": "user", "content": parts })
        }
        Spoken::Said { text, calls, carry } => {
            let mut parts = carried(carry.as_ref(), ProviderKind::Anthropic);
            parts.extend(text.iter().map(|text| json!({ "type": "text", "text": &**text })));
            parts.extend(calls.iter().map(|call| {
                let input: JsonValue =
                    arguments(call).iter().map(|(k, v)| (k.clone(), v.to_json())).collect::<Json<_, _>>().into();
                json!({ "type": "tool_use", "id": &*call.id, "name": plain(&call.tool), "input": input })
            }));
            json!({ "role": "assistant", "content": parts })
        }
    }
}

pub(super) fn read(reader: &mut Reader, json: &JsonValue, data: &str) -> Result<(), Trouble> {
    match text(json, "/type") {
        "message_start" => usage(reader, &json["message"]),
        "content_block_start" => start(reader, number(json, "/index"), &json["content_block"])?,
        "content_block_delta" => delta(reader, number(json, "/index"), &json["delta"]),
        "message_delta" => {
            usage(reader, json);
            reader.draft.stop = match text(json, "/delta/stop_reason") {
                "" => reader.draft.stop,
                "tool_use" => Some(Stop::Calls),
                "max_tokens" | "model_context_window_exceeded" => Some(Stop::Length),
                "refusal" => Some(Stop::Filtered),
                _ => Some(Stop::End),
            };
        }
        "message_stop" => {
            reader.draft.stop = Some(reader.draft.stop.unwrap_or_default());
            reader.draft.complete = true;
            // What was thought without a signature cannot be given back.
            reader.kept.retain(|block| text(block, "/type") != "thinking" || !text(block, "/signature").is_empty());
        }
        "error" => return Err(in_stream(data)),
        _ => {}
    }
    Ok(())
}

/// The counts are cumulative; those that an event does not have stay.
fn usage(reader: &mut Reader, json: &JsonValue) {
    let draft = &mut reader.draft;
    if json.pointer("/usage/input_tokens").is_some_and(JsonValue::is_u64) {
        draft.cached = number(json, "/usage/cache_read_input_tokens");
        let written = number(json, "/usage/cache_creation_input_tokens");
        draft.input = number(json, "/usage/input_tokens").saturating_add(draft.cached).saturating_add(written);
    }
    if json.pointer("/usage/output_tokens").is_some() {
        draft.output = number(json, "/usage/output_tokens");
    }
}

fn start(reader: &mut Reader, index: u64, block: &JsonValue) -> Result<(), Trouble> {
    match text(block, "/type") {
        "text" => reader.draft.text.push_str(text(block, "/text")),
        "tool_use" => {
            let (id, tool) = (text(block, "/id").to_owned(), text(block, "/name").to_owned());
            let whole = block.get("input").filter(|i| i.as_object().is_some_and(|o| !o.is_empty()));
            reader.draft.call(DraftCall { id, tool, args: whole.map_or_else(String::new, JsonValue::to_string) })?;
            reader.open.push((index, Part::Call(reader.draft.calls.len() - 1)));
        }
        "thinking" | "redacted_thinking" => {
            reader.kept.push(block.clone());
            reader.open.push((index, Part::Kept(reader.kept.len() - 1)));
        }
        _ => {}
    }
    Ok(())
}

fn delta(reader: &mut Reader, index: u64, delta: &JsonValue) {
    match (text(delta, "/type"), reader.part(index)) {
        ("text_delta", _) => reader.draft.text.push_str(text(delta, "/text")),
        ("input_json_delta", Some(Part::Call(at))) => {
            if let Some(call) = reader.draft.calls.get_mut(at) {
                call.args.push_str(text(delta, "/partial_json"));
            }
        }
        ("thinking_delta", Some(Part::Kept(at))) => append(reader.kept.get_mut(at), "thinking", text(delta, "/thinking")),
        ("signature_delta", Some(Part::Kept(at))) => append(reader.kept.get_mut(at), "signature", text(delta, "/signature")),
        _ => {}
    }
}

fn append(block: Option<&mut JsonValue>, key: &str, more: &str) {
    let Some(block) = block.and_then(JsonValue::as_object_mut) else { return };
    let before = block.get(key).and_then(JsonValue::as_str).unwrap_or_default();
    let joined = format!("{before}{more}");
    block.insert(key.to_owned(), joined.into());
}
