//! Would a strict checker take a request? [`violations`]: what a provider's published interface does not allow in it.
//!
//! `tests/fixtures/requests` has a schema of each kind, of the part that is sent and closed everywhere; what a schema cannot say
//! (which result belongs to which call, who speaks next) is looked at here. Every request that a test server gets is checked.

use std::{collections::BTreeSet, sync::OnceLock};

use serde_json::{Value as Json, json};

use super::{kinds::Kind, server::Seen};

const KINDS: [(Kind, &str); 5] = [
    (Kind::Openai, include_str!("../fixtures/requests/openai.json")),
    (Kind::Responses, include_str!("../fixtures/requests/openai_responses.json")),
    (Kind::Anthropic, include_str!("../fixtures/requests/anthropic.json")),
    (Kind::Gemini, include_str!("../fixtures/requests/gemini.json")),
    (Kind::Ollama, include_str!("../fixtures/requests/ollama.json")),
];

fn validator(kind: Kind) -> &'static jsonschema::Validator {
    static ALL: OnceLock<Vec<(Kind, jsonschema::Validator)>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let compiled = |text: &str| jsonschema::validator_for(&serde_json::from_str(text).unwrap()).unwrap();
        KINDS.iter().map(|(kind, text)| (*kind, compiled(text))).collect()
    });
    &all.iter().find(|(own, _)| *own == kind).unwrap().1
}

fn kind_of(path: &str) -> Option<Kind> {
    let path = path.split('?').next().unwrap_or(path);
    let ends = [
        ("/chat/completions", Kind::Openai),
        ("/responses", Kind::Responses),
        ("/messages", Kind::Anthropic),
        (":streamGenerateContent", Kind::Gemini),
        ("/api/chat", Kind::Ollama),
    ];
    ends.into_iter().find(|(end, _)| path.ends_with(end)).map(|(_, kind)| kind)
}

/// What is wrong with a request that came.
pub fn violations(seen: &Seen) -> Vec<String> {
    let Some(kind) = kind_of(&seen.path) else { return vec![format!("there is nothing at {}", seen.path)] };
    let mut found: Vec<String> = validator(kind)
        .iter_errors(&seen.body)
        .map(|e| format!("{}: {}", e.instance_path(), e.to_string().chars().take(300).collect::<String>()))
        .collect();
    if seen.headers.get("content-type").map(String::as_str) != Some("application/json") {
        found.push("it is no JSON by its header".to_owned());
    }
    found.extend(out_of_order(kind, &seen.body));
    found
}

fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}

/// Calls and results as a provider wants them to follow each other.
fn out_of_order(kind: Kind, body: &Json) -> Vec<String> {
    match kind {
        Kind::Openai => chat(list(&body["messages"]), |call| text(&call["id"]).to_owned(), "tool_call_id"),
        Kind::Ollama => chat(list(&body["messages"]), |call| text(&call["function"]["name"]).to_owned(), "tool_name"),
        Kind::Responses => responses(list(&body["input"])),
        Kind::Anthropic => {
            let mut found = turns(list(&body["messages"]), "content", "assistant", |part| match text(&part["type"]) {
                "tool_use" => Part::Call(text(&part["id"]).to_owned()),
                "tool_result" => Part::Result(text(&part["tool_use_id"]).to_owned()),
                _ => Part::Other,
            });
            let budget = body["thinking"]["budget_tokens"].as_u64();
            if budget.is_some_and(|budget| budget >= body["max_tokens"].as_u64().unwrap_or(0)) {
                found.push("there is more thinking than reply".to_owned());
            }
            if budget.is_some() && (body.get("temperature").is_some() || body["tool_choice"]["type"] == "tool") {
                found.push("thinking goes neither with a temperature nor with a forced tool".to_owned());
            }
            if body.to_string().matches("\"cache_control\"").count() > 4 {
                found.push("there are more than four marks of the cache".to_owned());
            }
            found
        }
        Kind::Gemini => turns(list(&body["contents"]), "parts", "model", |part| {
            let name = |key: &str| text(&part[key]["name"]).to_owned();
            if part.get("functionCall").is_some() {
                Part::Call(name("functionCall"))
            } else if part.get("functionResponse").is_some() {
                Part::Result(name("functionResponse"))
            } else {
                Part::Other
            }
        }),
    }
}

/// Messages of roles, where each call is answered by a message of its own right after it.
fn chat(messages: &[Json], id: impl Fn(&Json) -> String, answers: &str) -> Vec<String> {
    let (mut open, mut found): (Vec<String>, _) = (Vec::new(), Vec::new());
    for message in messages {
        if message["role"] == "tool" {
            match open.iter().position(|call| call == text(&message[answers])) {
                Some(at) => drop(open.remove(at)),
                None => found.push(format!("{} answers no call", message[answers])),
            }
            continue;
        }
        found.extend(open.drain(..).map(|call| format!("{call} has no answer")));
        open.extend(list(&message["tool_calls"]).iter().map(&id));
    }
    found.extend(open.into_iter().map(|call| format!("{call} has no answer")));
    if messages.first().is_none_or(|m| m["role"] != "system") || messages.last().is_none_or(|m| m["role"] == "assistant") {
        found.push("it begins with the system and never ends with the model".to_owned());
    }
    found
}

fn responses(items: &[Json]) -> Vec<String> {
    let (mut open, mut all, mut found) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for item in items {
        let id = text(&item["call_id"]).to_owned();
        match text(&item["type"]) {
            "function_call" if !all.insert(id.clone()) => found.push(format!("{id} comes twice")),
            "function_call" => drop(open.insert(id)),
            "function_call_output" if !open.remove(&id) => found.push(format!("{id} answers no call")),
            _ => {}
        }
    }
    found.extend(open.into_iter().map(|call| format!("{call} has no answer")));
    found
}

enum Part {
    Call(String),
    Result(String),
    Other,
}

/// Messages of two who take turns, where the results of a message's calls open the next one.
fn turns(messages: &[Json], parts: &str, model: &str, part: impl Fn(&Json) -> Part) -> Vec<String> {
    let (mut open, mut found): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut all = BTreeSet::new();
    for (ix, message) in messages.iter().enumerate() {
        if (message["role"] == model) == (ix % 2 == 0) {
            found.push(format!("message {ix} is out of turn"));
        }
        let mut words = false;
        for part in list(&message[parts]).iter().map(&part) {
            match part {
                Part::Result(id) if words => found.push(format!("{id} comes after words")),
                Part::Result(id) => match open.iter().position(|call| *call == id) {
                    Some(at) => drop(open.remove(at)),
                    None => found.push(format!("{id} answers no call")),
                },
                Part::Call(id) => {
                    if parts == "content" && !all.insert(id.clone()) {
                        found.push(format!("{id} comes twice"));
                    }
                    open.push(id);
                }
                Part::Other => words = true,
            }
        }
        if message["role"] != model {
            found.extend(open.drain(..).map(|call| format!("{call} has no answer")));
        }
    }
    if messages.len().is_multiple_of(2) {
        found.push("it ends with the model".to_owned());
    }
    found
}

#[test]
fn the_checker_finds_what_providers_refuse() {
    let seen = |path: &str, body: Json| Seen {
        path: path.to_owned(),
        headers: [("content-type".to_owned(), "application/json".to_owned())].into(),
        body,
    };
    let chat = |extra: Json| {
        let mut body = json!({ "model": "m", "stream": true, "stream_options": { "include_usage": true },
            "messages": [{ "role": "system", "content": "s" }, { "role": "user", "content": "u" }] });
        extra.as_object().unwrap().iter().for_each(|(key, value)| body[key] = value.clone());
        violations(&seen("/v1/chat/completions", body))
    };
    assert_eq!(chat(json!({})), Vec::<String>::new());
    let tool = |name: &str, parameters: Json| json!({ "tools": [{ "type": "function", "function": { "name": name, "parameters": parameters } }] });
    for bad in [
        json!({ "tools": [] }),
        json!({ "surprise": 1 }),
        json!({ "temperature": "0.1" }),
        json!({ "messages": [{ "role": "system", "content": "s" }, { "role": "user", "content": " " }] }),
        json!({ "messages": [{ "role": "system", "content": "s" }, { "role": "tool", "tool_call_id": "x", "content": "" }] }),
        tool("a.b", json!({ "type": "object", "properties": {} })),
        tool("a", json!({ "type": "object", "properties": { "l": { "type": "array" } } })),
        tool("a", json!({ "type": "object", "properties": {}, "anyOf": [{}] })),
    ] {
        assert!(!chat(bad.clone()).is_empty(), "{bad}");
    }
    let said = json!({ "role": "assistant", "content": [{ "type": "tool_use", "id": "a", "name": "Read", "input": {} }] });
    let asked = json!({ "role": "user", "content": [{ "type": "text", "text": "go on" }] });
    let body = json!({ "model": "m", "max_tokens": 5, "stream": true, "messages": [asked, said, asked] });
    assert_eq!(violations(&seen("/v1/messages", body)), ["a has no answer"]);
}
