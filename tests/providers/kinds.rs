//! How does each kind of provider say a thing? [`Kind`]: streams as the provider writes them, requests as it reads them.

use serde_json::{Value as Json, json};

/// A kind of provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Openai,
    Responses,
    Anthropic,
    Gemini,
    Ollama,
}

/// Something that a model says.
#[derive(Clone, Debug, Default)]
pub struct Says {
    pub text: &'static str,
    /// Tool and arguments as text, which may be no JSON where the kind can say such a thing.
    pub calls: Vec<(&'static str, &'static str)>,
    /// Whether it ran into `max_tokens`.
    pub cut: bool,
}

pub fn text(text: &'static str) -> Says {
    Says { text, ..Says::default() }
}

pub fn calls(calls: &[(&'static str, &'static str)]) -> Says {
    Says { calls: calls.to_vec(), ..Says::default() }
}

fn sse(events: &[(&str, Json)]) -> String {
    let event = |name: &str| if name.is_empty() { String::new() } else { format!("event: {name}\n") };
    events.iter().map(|(name, data)| format!("{}data: {data}\n\n", event(name))).collect()
}

/// A text in two halves.
fn halves(text: &str) -> [String; 2] {
    let middle = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    [text[..middle].to_owned(), text[middle..].to_owned()]
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Responses => "openai_responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
        }
    }

    /// The path of a request for the model `big`.
    pub fn path(self) -> &'static str {
        match self {
            Self::Openai => "/chat/completions",
            Self::Responses => "/responses",
            Self::Anthropic => "/v1/messages",
            Self::Gemini => "/models/big:streamGenerateContent?alt=sse",
            Self::Ollama => "/api/chat",
        }
    }

    /// The header with the key, and what stands before it.
    pub fn key(self) -> (&'static str, &'static str) {
        match self {
            Self::Openai | Self::Responses | Self::Ollama => ("authorization", "Bearer "),
            Self::Anthropic => ("x-api-key", ""),
            Self::Gemini => ("x-goog-api-key", ""),
        }
    }

    /// Whether arguments that are no JSON can come over its wire.
    pub fn writes_arguments_as_text(self) -> bool {
        matches!(self, Self::Openai | Self::Responses | Self::Anthropic)
    }

    /// The stream of a reply: 100 tokens read, 60 of them cached (but with Ollama, which has no such count), 7 written.
    pub fn stream(self, says: &Says) -> String {
        let args = |text: &str| serde_json::from_str::<Json>(text).unwrap_or_else(|_| json!({}));
        let [one, two] = halves(says.text);
        match self {
            Self::Openai => {
                let delta = |delta: Json, why: Json| {
                    ("", json!({ "id": "c", "choices": [{ "index": 0, "delta": delta, "finish_reason": why }] }))
                };
                let mut events = vec![
                    delta(json!({ "role": "assistant", "content": one }), Json::Null),
                    delta(json!({ "content": two }), Json::Null),
                ];
                for (ix, (tool, args)) in says.calls.iter().enumerate() {
                    let [one, two] = halves(args);
                    let call = json!({ "index": ix, "id": format!("id_{ix}"), "type": "function", "function": { "name": tool, "arguments": one } });
                    events.push(delta(json!({ "tool_calls": [call] }), Json::Null));
                    events.push(delta(json!({ "tool_calls": [{ "index": ix, "function": { "arguments": two } }] }), Json::Null));
                }
                let why = if says.cut {
                    "length"
                } else if says.calls.is_empty() {
                    "stop"
                } else {
                    "tool_calls"
                };
                events.push(delta(json!({}), why.into()));
                let usage =
                    json!({ "prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": { "cached_tokens": 60 } });
                events.push(("", json!({ "id": "c", "choices": [], "usage": usage })));
                format!(": warming up\n\n{}data: [DONE]\n\n", sse(&events))
            }
            Self::Responses => {
                let mut items = Vec::new();
                if !says.text.is_empty() {
                    items.push(json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": says.text }] }));
                }
                for (ix, (tool, args)) in says.calls.iter().enumerate() {
                    items
                        .push(json!({ "type": "function_call", "call_id": format!("id_{ix}"), "name": tool, "arguments": args }));
                }
                let typed = |name: &'static str, mut data: Json| {
                    data["type"] = name.into();
                    (name, data)
                };
                let mut events = vec![typed("response.created", json!({ "response": { "status": "in_progress" } }))];
                events.push(typed("response.output_text.delta", json!({ "delta": one })));
                events.extend(items.iter().map(|item| typed("response.output_item.done", json!({ "item": item }))));
                let usage = json!({ "input_tokens": 100, "input_tokens_details": { "cached_tokens": 60 }, "output_tokens": 7 });
                let name = if says.cut { "response.incomplete" } else { "response.completed" };
                events.push(typed(name, json!({ "response": { "output": items, "usage": usage, "incomplete_details": { "reason": "max_output_tokens" } } })));
                sse(&events)
            }
            Self::Anthropic => {
                let typed = |name: &'static str, mut data: Json| {
                    data["type"] = name.into();
                    (name, data)
                };
                let usage = json!({ "input_tokens": 30, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10, "output_tokens": 1 });
                let mut events = vec![typed("message_start", json!({ "message": { "usage": usage } })), typed("ping", json!({}))];
                let mut index = 0;
                let mut block = |start: Json, deltas: Vec<Json>| {
                    events.push(typed("content_block_start", json!({ "index": index, "content_block": start })));
                    events.extend(
                        deltas.into_iter().map(|delta| typed("content_block_delta", json!({ "index": index, "delta": delta }))),
                    );
                    events.push(typed("content_block_stop", json!({ "index": index })));
                    index += 1;
                };
                if !says.text.is_empty() {
                    let deltas = [one, two].map(|half| json!({ "type": "text_delta", "text": half }));
                    block(json!({ "type": "text", "text": "" }), deltas.to_vec());
                }
                for (ix, (tool, args)) in says.calls.iter().enumerate() {
                    let deltas = halves(args).map(|half| json!({ "type": "input_json_delta", "partial_json": half }));
                    block(json!({ "type": "tool_use", "id": format!("id_{ix}"), "name": tool, "input": {} }), deltas.to_vec());
                }
                let why = if says.cut {
                    "max_tokens"
                } else if says.calls.is_empty() {
                    "end_turn"
                } else {
                    "tool_use"
                };
                events.push(typed("message_delta", json!({ "delta": { "stop_reason": why }, "usage": { "output_tokens": 7 } })));
                events.push(typed("message_stop", json!({})));
                sse(&events)
            }
            Self::Gemini => {
                let chunk = |parts: Json| ("", json!({ "candidates": [{ "content": { "role": "model", "parts": parts } }] }));
                let mut events = vec![chunk(json!([{ "text": one }])), chunk(json!([{ "text": two }]))];
                for (tool, text) in &says.calls {
                    events.push(chunk(json!([{ "functionCall": { "name": tool, "args": args(text) } }])));
                }
                let usage = json!({ "promptTokenCount": 100, "cachedContentTokenCount": 60, "candidatesTokenCount": 5, "thoughtsTokenCount": 2 });
                let why = if says.cut { "MAX_TOKENS" } else { "STOP" };
                events.push(("", json!({ "candidates": [{ "finishReason": why }], "usageMetadata": usage })));
                sse(&events).replace('\n', "\r\n")
            }
            Self::Ollama => {
                let line = |message: Json| json!({ "model": "big", "message": message, "done": false });
                let mut lines: Vec<Json> = [one, two].map(|half| line(json!({ "role": "assistant", "content": half }))).to_vec();
                for (tool, text) in &says.calls {
                    let call = json!({ "function": { "name": tool, "arguments": args(text) } });
                    lines.push(line(json!({ "role": "assistant", "content": "", "tool_calls": [call] })));
                }
                let why = if says.cut { "length" } else { "stop" };
                lines.push(json!({ "message": { "content": "" }, "done": true, "done_reason": why, "prompt_eval_count": 100, "eval_count": 7 }));
                lines.iter().map(|line| format!("{line}\n")).collect()
            }
        }
    }

    /// An error in the middle of a stream that says that the provider is overloaded.
    pub fn overloaded(self) -> String {
        match self {
            Self::Openai => "data: {\"error\": {\"message\": \"busy\", \"code\": 429}}\n\n".to_owned(),
            Self::Responses => {
                let failed = json!({ "type": "response.failed", "response": { "error": { "code": "rate_limit_exceeded", "message": "busy" } } });
                sse(&[("response.failed", failed)])
            }
            Self::Anthropic => {
                sse(&[("error", json!({ "type": "error", "error": { "type": "overloaded_error", "message": "busy" } }))])
            }
            Self::Gemini => sse(&[("", json!({ "error": { "code": 503, "message": "busy", "status": "UNAVAILABLE" } }))]),
            Self::Ollama => "{\"error\": \"busy\"}\n".to_owned(),
        }
    }

    /// The results of tools in a request: the call's id or tool, and the text.
    pub fn results(self, body: &Json) -> Vec<(String, String)> {
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let list = |json: &Json| json.as_array().cloned().unwrap_or_default();
        match self {
            Self::Openai => {
                let messages = list(&body["messages"]);
                messages.iter().filter(|m| m["role"] == "tool").map(|m| (text(&m["tool_call_id"]), text(&m["content"]))).collect()
            }
            Self::Responses => {
                let items = list(&body["input"]);
                let results = items.iter().filter(|i| i["type"] == "function_call_output");
                results.map(|i| (text(&i["call_id"]), text(&i["output"]))).collect()
            }
            Self::Anthropic => {
                let parts = list(&body["messages"]).into_iter().flat_map(|m| list(&m["content"])).collect::<Vec<_>>();
                parts
                    .iter()
                    .filter(|p| p["type"] == "tool_result")
                    .map(|p| (text(&p["tool_use_id"]), text(&p["content"])))
                    .collect()
            }
            Self::Gemini => {
                let parts = list(&body["contents"]).into_iter().flat_map(|m| list(&m["parts"])).collect::<Vec<_>>();
                let results = parts.iter().map(|p| &p["functionResponse"]).filter(|r| r.is_object());
                results
                    .map(|r| (text(&r["name"]), format!("{}{}", text(&r["response"]["result"]), text(&r["response"]["error"]))))
                    .collect()
            }
            Self::Ollama => {
                let messages = list(&body["messages"]);
                messages.iter().filter(|m| m["role"] == "tool").map(|m| (text(&m["tool_name"]), text(&m["content"]))).collect()
            }
        }
    }

    /// The system prompt of a request.
    pub fn system(self, body: &Json) -> String {
        let at = match self {
            Self::Openai | Self::Ollama => "/messages/0/content",
            Self::Responses => "/instructions",
            Self::Anthropic => "/system/0/text",
            Self::Gemini => "/systemInstruction/parts/0/text",
        };
        body.pointer(at).and_then(Json::as_str).unwrap_or_default().to_owned()
    }

    /// The names of the tools in a request.
    pub fn tools(self, body: &Json) -> Vec<String> {
        let (list, name) = match self {
            Self::Openai | Self::Ollama => ("/tools", "/function/name"),
            Self::Responses | Self::Anthropic => ("/tools", "/name"),
            Self::Gemini => ("/tools/0/functionDeclarations", "/name"),
        };
        let tools = body.pointer(list).and_then(Json::as_array).cloned().unwrap_or_default();
        tools.iter().filter_map(|t| t.pointer(name).and_then(Json::as_str).map(str::to_owned)).collect()
    }
}
