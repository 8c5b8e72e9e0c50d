//! Do requests and replies have the shape that each kind wants, beyond what whole exchanges show?

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::{
    turn::{Offers, Spoken, Told, collaboration_tools},
    value::{Call, Stop, Turn},
};

fn call(id: &str) -> Call {
    Call { id: id.into(), tool: "Read".into(), args: Value::map([("path", Value::text("a"))]) }
}

fn told(text: &str) -> Spoken {
    Spoken::Told(vec![Told::Text(text.to_owned())])
}

fn conversation(carry: Option<Value>) -> Conversation {
    let said = Spoken::Said { text: Some("hm".into()), calls: vec![call("c1")], carry };
    let result = Told::Result { call: call("c1"), text: "found".to_owned(), is_error: false };
    let messages = vec![told("the task"), said, Spoken::Told(vec![result, Told::Text("go on".to_owned())])];
    Conversation {
        system: "be good".to_owned(),
        messages,
        tools: collaboration_tools(&Offers::default()),
        schema: None,
        must_finish: false,
        elided: 0,
    }
}

fn body(kind: ProviderKind, conversation: &Conversation, config: JsonValue, structured: bool) -> JsonValue {
    body_of("big", kind, conversation, config, structured)
}

/// The same for a model of that id.
fn body_of(id: &str, kind: ProviderKind, conversation: &Conversation, config: JsonValue, structured: bool) -> JsonValue {
    let Ok(Value::Map(config)) = Value::try_from(config) else { panic!("model_config is a map") };
    let ask = Ask { id, conversation, config: &config, window: None, structured };
    Wire(kind).body("http://h", &ask)
}

/// What comes of the events of a stream.
fn read(kind: ProviderKind, events: &[JsonValue]) -> Result<Draft, Trouble> {
    let mut reader = Reader::new(Wire(kind));
    for event in events {
        reader.read(&Frame { event: String::new(), data: event.to_string() })?;
    }
    reader.finish()
}

#[test]
fn what_a_provider_wants_back_comes_back_to_it_and_to_nobody_else() {
    let thought = json!({ "type": "thinking", "thinking": "hm hm", "signature": "sig" });
    let start = |block: JsonValue| json!({ "type": "content_block_start", "index": 0, "content_block": block });
    let delta = |delta: JsonValue| json!({ "type": "content_block_delta", "index": 0, "delta": delta });
    let draft = read(
        ProviderKind::Anthropic,
        &[
            start(json!({ "type": "thinking", "thinking": "", "signature": "" })),
            delta(json!({ "type": "thinking_delta", "thinking": "hm " })),
            delta(json!({ "type": "thinking_delta", "thinking": "hm" })),
            delta(json!({ "type": "signature_delta", "signature": "sig" })),
            json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" } }),
            json!({ "type": "message_stop" }),
        ],
    );
    let carry = draft.unwrap().reply(Turn(0), &[]).carry;
    let own = body(ProviderKind::Anthropic, &conversation(carry.clone()), json!({}), false);
    assert_eq!(own.pointer("/messages/1/content/0"), Some(&thought));
    for other in [ProviderKind::Openai, ProviderKind::OpenaiResponses, ProviderKind::Gemini, ProviderKind::Ollama] {
        let other = body(other, &conversation(carry.clone()), json!({}), false).to_string();
        assert!(!other.contains("hm hm"), "{other}");
    }
    let reasoning = json!({ "type": "reasoning", "id": "r", "summary": [], "encrypted_content": "xyz" });
    let end = json!({ "type": "response.completed", "response": { "output": [] } });
    let draft = read(ProviderKind::OpenaiResponses, &[json!({ "type": "response.output_item.done", "item": reasoning }), end]);
    let own = body(ProviderKind::OpenaiResponses, &conversation(draft.unwrap().reply(Turn(0), &[]).carry), json!({}), false);
    assert_eq!(own.pointer("/input/1"), Some(&reasoning));
    let part = json!({ "functionCall": { "name": "Read", "args": {} }, "thoughtSignature": "sig" });
    let chunk = json!({ "candidates": [{ "content": { "parts": [part] }, "finishReason": "STOP" }] });
    let own = body(
        ProviderKind::Gemini,
        &conversation(read(ProviderKind::Gemini, &[chunk]).unwrap().reply(Turn(0), &[]).carry),
        json!({}),
        false,
    );
    assert_eq!(own.pointer("/contents/1/parts/1/thoughtSignature"), Some(&json!("sig")));
}

#[test]
fn thinking_has_its_share_of_the_reply_and_no_temperature_beside_it() {
    let config = json!({ "max_tokens": 8_000, "reasoning_effort": "medium", "temperature": 0.2, "seed": 7, "metadata": { "user_id": "u" } });
    let body = body(ProviderKind::Anthropic, &conversation(None), config, false);
    assert_eq!(body["thinking"], json!({ "type": "enabled", "budget_tokens": 4_000 }));
    assert_eq!((body.get("temperature"), body.get("seed"), &body["metadata"]["user_id"]), (None, None, &json!("u")));
}

#[test]
fn later_models_of_anthropic_take_an_effort_and_no_sampling_and_earlier_ones_one_parameter_of_two() {
    let config = json!({ "max_tokens": 8_000, "temperature": 0.2, "top_p": 0.5, "top_k": 3 });
    let keys = |id: &str, more: JsonValue| {
        let mut config = config.clone();
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let body = body_of(id, ProviderKind::Anthropic, &conversation(None), config, false);
        let sent = ["temperature", "top_p", "top_k"].into_iter().filter(|key| body.get(*key).is_some());
        (sent.collect::<Vec<_>>().join(" "), body["thinking"]["type"].clone(), body["output_config"]["effort"].clone())
    };
    let none = JsonValue::Null;
    for (id, sent) in [
        ("claude-3-5-haiku-20241022", "temperature top_p top_k"),
        ("claude-sonnet-4-20250514", "temperature top_p top_k"),
        ("claude-sonnet-4-6", "temperature top_k"),
        ("claude-opus-4-7", ""),
        ("anthropic/claude-haiku-5-5", ""),
        ("us.anthropic.claude-sonnet-5", ""),
        ("somebody-elses", "temperature top_p top_k"),
    ] {
        assert_eq!(keys(id, json!({})), (sent.to_owned(), none.clone(), none.clone()), "{id}");
    }
    let asked = |effort: &str| keys("claude-opus-5-5", json!({ "reasoning_effort": effort }));
    assert_eq!(asked("minimal"), (String::new(), json!("adaptive"), json!("low")));
    assert_eq!(asked("xhigh"), (String::new(), json!("adaptive"), json!("xhigh")));
    assert_eq!(asked("none"), (String::new(), none, json!("low")));
}

#[test]
fn later_models_of_google_think_by_levels() {
    let thinks = |id: &str| {
        let config = json!({ "reasoning_effort": "minimal" });
        body_of(id, ProviderKind::Gemini, &conversation(None), config, false)["generationConfig"]["thinkingConfig"].clone()
    };
    assert_eq!(thinks("gemini-3.8-flash"), json!({ "thinkingLevel": "MINIMAL" }));
    assert!(thinks("gemini-2.5-flash").get("thinkingBudget").is_some() && thinks("big").get("thinkingLevel").is_none());
}

#[test]
fn the_cache_is_marked_after_the_system_prompt_and_after_the_last_two_things_told() {
    let body = body(ProviderKind::Anthropic, &conversation(None), json!({}), false);
    let marked = |pointer: &str| body.pointer(pointer).is_some_and(|part| part.get("cache_control").is_some());
    assert!(marked("/system/0") && marked("/messages/0/content/0") && marked("/messages/2/content/1"), "{body}");
    assert_eq!(body.to_string().matches("cache_control").count(), 3);
}

#[test]
fn a_shape_is_demanded_by_each_kinds_own_means() {
    let shape = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    let shaped = Conversation { schema: Value::try_from(shape.clone()).ok(), ..conversation(None) };
    let at = |kind, pointer: &str, structured| body(kind, &shaped, json!({}), structured).pointer(pointer).cloned();
    for (kind, pointer) in [
        (ProviderKind::Openai, "/response_format/json_schema/schema"),
        (ProviderKind::OpenaiResponses, "/text/format/schema"),
        (ProviderKind::Anthropic, "/output_config/format/schema"),
        (ProviderKind::Gemini, "/generationConfig/responseJsonSchema"),
        (ProviderKind::Ollama, "/format"),
    ] {
        let mut expected = shape.clone();
        if kind == ProviderKind::Anthropic {
            expected["additionalProperties"] = json!(false);
        }
        assert_eq!(at(kind, pointer, true), Some(expected), "{kind:?}");
        assert_eq!(at(kind, pointer, false), None, "{kind:?}");
    }
    assert_eq!(
        at(ProviderKind::Openai, "/response_format/json_schema/strict", true),
        Some(json!(false)),
        "an open object is not strict"
    );
}

#[test]
fn only_closed_objects_all_of_whose_properties_are_required_are_strict() {
    let closed = |extra: JsonValue| {
        let mut schema = json!({ "type": "object", "additionalProperties": false, "required": ["a"], "properties": { "a": { "type": "string" } } });
        for (key, value) in extra.as_object().unwrap() {
            schema[key] = value.clone();
        }
        schema::is_strict(&schema)
    };
    assert!(closed(json!({})));
    assert!(closed(json!({ "properties": { "a": { "type": "array", "items": { "type": "integer", "enum": [1, 2] } } } })));
    assert!(!closed(json!({ "properties": { "a": { "type": "array" } } })), "it does not say what it holds");
    assert!(!closed(json!({ "properties": { "a": { "enum": [1, 2] } } })), "it has no type");
    assert!(!closed(json!({ "properties": { "a": { "type": ["object", "null"] } } })));
    assert!(!closed(json!({ "required": [] })));
    assert!(!closed(json!({ "additionalProperties": true })));
    assert!(!closed(json!({ "patternProperties": {} })));
    assert!(!closed(json!({ "properties": { "a": { "type": "object" } } })));
}

#[test]
fn a_tools_parameters_are_an_object_without_choices_at_the_top() {
    let odd = json!({ "$schema": "x", "properties": { "a": { "type": "array" }, "type": { "enum": ["array"] } },
        "oneOf": [{ "required": ["b"], "properties": { "b": { "type": "string", "default": { "type": "array" } } } }] });
    let effect = crate::value::EffectClass::Read;
    let tool = ToolSpec {
        name: "t".into(),
        description: "".into(),
        parameters: Value::try_from(odd).unwrap(),
        effect,
        untrusted: false,
    };
    let plain = json!({ "type": "object", "properties": { "a": { "type": "array", "items": {} }, "type": { "enum": ["array"] },
        "b": { "type": "string", "default": { "type": "array" } } } });
    assert_eq!(schema::parameters(&tool), plain);
}

#[test]
fn a_schema_is_closed_where_it_can_be_and_left_out_where_something_may_be_anything() {
    let open = json!({ "type": "object", "properties": { "n": { "type": "integer", "minimum": 1 }, "l": { "type": "array", "items": { "oneOf": [{ "type": "string" }] } } } });
    let closed = json!({ "type": "object", "additionalProperties": false,
        "properties": { "n": { "type": "integer" }, "l": { "type": "array", "items": { "anyOf": [{ "type": "string" }] } } } });
    assert_eq!(schema::closed(&open), Some(closed));
    for anything in
        [json!({}), json!({ "type": "object" }), json!({ "type": "array" }), json!({ "$ref": "#/$defs/a" }), json!(true)]
    {
        assert_eq!(schema::closed(&anything), None, "{anything}");
    }
}

#[test]
fn a_model_that_reasons_is_sent_no_sampling() {
    for (id, reasons) in [
        ("o3", true),
        ("openai/o4-mini", true),
        ("gpt-5-mini", true),
        ("gpt-6.1-sol", true),
        ("gpt-5-chat-latest", false),
        ("gpt-4.1", false),
        ("o30b", false),
    ] {
        let config = Value::try_from(json!({ "temperature": 0.1, "stop_sequences": ["x"], "max_tokens": 50 })).unwrap();
        let Value::Map(config) = config else { panic!("it is a map") };
        for kind in [ProviderKind::Openai, ProviderKind::OpenaiResponses] {
            let ask = Ask { id, conversation: &conversation(None), config: &config, window: None, structured: false };
            let body = Wire(kind).body("https://api.openai.com/v1", &ask);
            assert_eq!(body.get("temperature").is_none(), reasons, "{id}: {body}");
            assert_eq!(body.get("stop").is_none(), reasons || kind == ProviderKind::OpenaiResponses, "{id}: {body}");
        }
    }
}

#[test]
fn calls_are_told_apart_when_a_server_numbers_them_badly() {
    let part = |call: JsonValue| json!({ "choices": [{ "delta": { "tool_calls": [call] } }] });
    let named = |index: JsonValue, id: &str, args: &str| json!({ "index": index, "id": id, "function": { "name": "Read", "arguments": args } });
    let more = |index: JsonValue, args: &str| json!({ "index": index, "function": { "arguments": args } });
    let end = json!({ "choices": [{ "delta": {}, "finish_reason": "tool_calls" }] });
    let run = |parts: Vec<JsonValue>| {
        let events: Vec<_> = parts.into_iter().map(part).chain([end.clone()]).collect();
        let calls = read(ProviderKind::Openai, &events).unwrap().calls;
        calls.into_iter().map(|c| (c.id, c.args)).collect::<Vec<_>>()
    };
    let two = [("a", "{}"), ("b", "[1]")].map(|(id, args)| (id.to_owned(), args.to_owned()));
    assert_eq!(run(vec![named(json!(0), "a", "{}"), named(json!(0), "b", "["), more(json!(0), "1]")]), two);
    assert_eq!(run(vec![named(JsonValue::Null, "a", "{}"), named(JsonValue::Null, "b", "["), more(JsonValue::Null, "1]")]), two);
    assert_eq!(run(vec![named(json!(0), "a", "{"), named(json!(1), "b", "["), more(json!(0), "}"), more(json!(1), "1]")]), two);
}

#[test]
fn no_event_makes_a_reader_panic() {
    let odd = [
        "null",
        "[]",
        "7",
        "\"x\"",
        "{}",
        r#"{"type": "content_block_delta", "index": 9, "delta": {"type": "input_json_delta"}}"#,
        r#"{"choices": [{"delta": {"tool_calls": [{}, 7, {"index": -1}]}}]}"#,
        r#"{"candidates": [{"content": {"parts": [{}, 1]}}]}"#,
        r#"{"type": "response.completed"}"#,
        r#"{"done": true}"#,
        r#"{"error": null}"#,
        r#"{"message": {"tool_calls": [{"function": {"arguments": 5}}]}}"#,
    ];
    for kind in
        [ProviderKind::Openai, ProviderKind::OpenaiResponses, ProviderKind::Anthropic, ProviderKind::Gemini, ProviderKind::Ollama]
    {
        for text in odd {
            let mut reader = Reader::new(Wire(kind));
            // Whatever comes of it, it is a draft or a trouble.
            let _ = reader.read(&Frame { event: String::new(), data: text.to_owned() });
            let _ = reader.finish().map(|draft| draft.reply(Turn(0), &[Arc::clone(&collaboration_tools(&Offers::default())[0])]));
        }
    }
    let stop = read(ProviderKind::Ollama, &[json!({ "done": true, "done_reason": "length" })]).unwrap().stop;
    assert_eq!(stop, Some(Stop::Length));
}
