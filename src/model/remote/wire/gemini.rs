//! Google Gemini.

use serde_json::{Map as Json, Value as JsonValue, json};

use super::{Ask, Reader, carried, effort, number, parameters, schema::parameters as schema_of, stops, text};
use crate::{
    model::remote::{draft::DraftCall, http::in_stream, names::plain, trouble::Trouble},
    team::ProviderKind,
    turn::{Spoken, Told, arguments},
    value::Stop,
};

/// What this module sets, and what this API does not have.
const NOT_PASSED: &[&str] = &[
    "model",
    "contents",
    "messages",
    "systemInstruction",
    "tools",
    "stream",
    "max_tokens",
    "max_completion_tokens",
    "reasoning_effort",
    "stop",
    "stop_sequences",
    "n",
    "logit_bias",
    "parallel_tool_calls",
];
/// Parameters that stand beside `generationConfig`, not in it.
const BESIDE: &[&str] = &["safetySettings", "toolConfig", "cachedContent", "labels", "generationConfig"];
/// Parameters that have another name here.
const RENAMED: &[(&str, &str)] =
    &[("top_p", "topP"), ("top_k", "topK"), ("presence_penalty", "presencePenalty"), ("frequency_penalty", "frequencyPenalty")];

/// The path of a model: `models/ID`, unless the id is a path of its own (a tuned model).
pub(super) fn resource(id: &str) -> String {
    if id.contains('/') { id.to_owned() } else { format!("models/{id}") }
}

pub(super) fn body(ask: &Ask<'_>) -> JsonValue {
    let conversation = ask.conversation;
    let (mut body, mut config) = (Json::new(), Json::new());
    for (key, value) in parameters(ask.config, NOT_PASSED) {
        let name = RENAMED.iter().find(|(from, _)| *from == key).map_or(key.as_str(), |(_, to)| to);
        match (BESIDE.contains(&name), value) {
            (true, JsonValue::Object(own)) if name == "generationConfig" => config.extend(own),
            (true, value) => drop(body.insert(key, value)),
            (false, value) => drop(config.insert(name.to_owned(), value)),
        }
    }
    config.extend(ask.config.get("max_tokens").map(|max| ("maxOutputTokens".to_owned(), max.to_json())));
    config.extend(stops(ask.config).map(|stops| ("stopSequences".to_owned(), stops)));
    if let Some(effort) = effort(ask.config) {
        let asked = match has_levels(ask.id) {
            true => json!({ "thinkingLevel": level(&effort) }),
            false => json!({ "thinkingBudget": thinking(&effort, ask.id) }),
        };
        config.entry("thinkingConfig").or_insert(asked);
    }
    if let Some(schema) = conversation.schema.as_ref().filter(|_| ask.structured) {
        config.insert("responseMimeType".into(), "application/json".into());
        config.insert("responseJsonSchema".into(), schema.to_json());
    }
    body.insert("systemInstruction".into(), json!({ "parts": [{ "text": conversation.system }] }));
    body.insert("contents".into(), conversation.messages.iter().map(content).collect());
    let tools = conversation.tools.iter();
    let tools: Vec<_> = tools
        .map(|t| json!({ "name": plain(&t.name), "description": &*t.description, "parametersJsonSchema": schema_of(t) }))
        .collect();
    if !tools.is_empty() {
        body.insert("tools".into(), json!([{ "functionDeclarations": tools }]));
    }
    if conversation.must_finish {
        let choice = json!({ "functionCallingConfig": { "mode": "ANY", "allowedFunctionNames": ["finish"] } });
        body.insert("toolConfig".into(), choice);
    }
    if !config.is_empty() {
        body.insert("generationConfig".into(), JsonValue::Object(config));
    }
    JsonValue::Object(body)
}

/// Whether a model thinks by levels, as those from the third version on do, and not by tokens.
fn has_levels(id: &str) -> bool {
    let name = id.rsplit('/').next().and_then(|name| name.strip_prefix("gemini-"));
    let version = name.and_then(|name| name.split(['.', '-']).next()?.parse::<u32>().ok());
    version.is_some_and(|version| version >= 3)
}

fn level(effort: &str) -> &'static str {
    match effort {
        "none" | "minimal" => "MINIMAL",
        "low" => "LOW",
        "medium" => "MEDIUM",
        _ => "HIGH",
    }
}

/// Tokens for thinking.
fn thinking(effort: &str, id: &str) -> u64 {
    match effort {
        // The larger models cannot do without.
        "none" if id.contains("pro") => 128,
        "none" => 0,
        "minimal" | "low" => 1_024,
        "medium" => 8_192,
        _ => 24_576,
    }
}

fn content(message: &Spoken) -> JsonValue {
    match message {
        Spoken::Told(told) => {
            let parts: Vec<JsonValue> = told
                .iter()
                .map(|part| match part {
                    Told::Text(text) | Told::Known(text) => json!({ "text": text }),
                    Told::Result { call, text, is_error } => {
                        let response = if *is_error { json!({ "error": text }) } else { json!({ "result": text }) };
                        json!({ "functionResponse": { "name": plain(&call.tool), "response": response } })
                    }
                })
                .collect();
            json!({ "role": "user", "parts": parts })
        }
        Spoken::Said { text, calls, carry } => {
            let kept = carried(carry.as_ref(), ProviderKind::Gemini);
            let signature = |ix: usize| {
                let own = kept.iter().find(|k| number(k, "/call") == ix as u64 && k.get("call").is_some());
                own.and_then(|k| k.get("signature").cloned())
            };
            let mut parts: Vec<JsonValue> = text.iter().map(|text| json!({ "text": &**text })).collect();
            for (ix, call) in calls.iter().enumerate() {
                let args: Json<_, _> = arguments(call).iter().map(|(k, v)| (k.clone(), v.to_json())).collect();
                let mut part = Json::new();
                part.insert("functionCall".into(), json!({ "name": plain(&call.tool), "args": args }));
                part.extend(signature(ix).map(|signature| ("thoughtSignature".to_owned(), signature)));
                parts.push(JsonValue::Object(part));
            }
            json!({ "role": "model", "parts": parts })
        }
    }
}

pub(super) fn read(reader: &mut Reader, json: &JsonValue, data: &str) -> Result<(), Trouble> {
    if json.get("error").is_some() {
        return Err(in_stream(data));
    }
    if json.get("usageMetadata").is_some() {
        let draft = &mut reader.draft;
        draft.input = number(json, "/usageMetadata/promptTokenCount");
        draft.cached = number(json, "/usageMetadata/cachedContentTokenCount");
        draft.output =
            number(json, "/usageMetadata/candidatesTokenCount").saturating_add(number(json, "/usageMetadata/thoughtsTokenCount"));
    }
    if let Some(reason) = json.pointer("/promptFeedback/blockReason").and_then(JsonValue::as_str) {
        return Err(Trouble::odd(format!("the provider refused the prompt: {reason}")));
    }
    let Some(candidate) = json.pointer("/candidates/0") else { return Ok(()) };
    for part in candidate.pointer("/content/parts").and_then(JsonValue::as_array).into_iter().flatten() {
        if let Some(call) = part.get("functionCall") {
            let args = call.get("args").map_or_else(String::new, JsonValue::to_string);
            let draft = DraftCall { id: text(call, "/id").to_owned(), tool: text(call, "/name").to_owned(), args };
            reader.draft.call(draft)?;
            if let Some(signature) = part.get("thoughtSignature") {
                reader.kept.push(json!({ "call": reader.draft.calls.len() - 1, "signature": signature }));
            }
        } else if part.get("thought") != Some(&JsonValue::Bool(true)) {
            reader.draft.text.push_str(text(part, "/text"));
        }
    }
    reader.draft.stop = match text(candidate, "/finishReason") {
        "" | "FINISH_REASON_UNSPECIFIED" => reader.draft.stop,
        "MAX_TOKENS" => Some(Stop::Length),
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "LANGUAGE" | "IMAGE_SAFETY" => {
            Some(Stop::Filtered)
        }
        _ => Some(Stop::End),
    };
    Ok(())
}
