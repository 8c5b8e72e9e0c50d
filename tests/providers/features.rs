//! Does every feature make a request that its provider takes? All that may happen in a thread, with every configuration.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use synod::{
    model::Model,
    turn::{Offers, collaboration_tools},
    value::{
        Call, CallResult, EffectClass, Entry, Failure, FailureKind, Message, MessageId, MessageKind, Reply, Request, Role,
        ToolSpec, Turn, Value,
    },
};

use super::{
    kinds::Kind,
    server::Server,
    suite::{ask, is_plain, opened, plain, request},
};

/// Threads in which everything happens that may happen.
fn threads() -> Vec<Vec<Entry>> {
    let call = |id: &str, tool: &str, args: Json| Call { id: id.into(), tool: tool.into(), args: Value::try_from(args).unwrap() };
    let said = |text: &str, calls: &[Call]| {
        let text = Some(Arc::from(text)).filter(|t: &Arc<str>| !t.is_empty());
        Entry::Reply(Arc::new(Reply { text, calls: calls.to_vec(), ..Reply::default() }))
    };
    let came = |call: &Call, outcome| Entry::Result { call: call.clone(), result: Arc::new(CallResult::of(outcome)) };
    let note = |text: &str| Entry::Note(text.into());
    let mail = |text: &str| {
        Entry::Mail(Arc::from([Arc::new(Message {
            id: MessageId::new("db", 1),
            kind: MessageKind::Question,
            from: Some(Role::new("db")),
            to: None,
            content: text.into(),
            metadata: Value::Null,
            private: false,
            exchange: None,
            origins: synod::value::Origins::default(),
        })]))
    };
    let (a, b) = (call("toolu:1/größe", "a.very/odd tool", json!({ "x": 1 })), call("", &"x".repeat(90), json!("no object")));
    let (c, again) = (call("c", "Read", json!({ "path": "a" })), call("c", "Read", json!(null)));
    let wrong = call("f", "finish", json!({ "result": 7 }));
    let refused = || Err(Failure::new(FailureKind::Denied, "no"));
    vec![
        Vec::new(),
        vec![said("", &[a.clone(), b.clone()]), came(&a, Ok(Value::text(""))), mail("when?"), came(&b, refused())],
        vec![
            said("one", std::slice::from_ref(&c)),
            came(&c, refused()),
            said("two", std::slice::from_ref(&again)),
            came(&again, Ok(Value::Null)),
        ],
        vec![said("hm", &[]), said("", &[]), note("the reply was empty"), said("so", &[]), said("and so", &[])],
        vec![mail(" "), said("  ", std::slice::from_ref(&c)), note(""), note(" "), said("cut", &[])],
        vec![said("In words.", &[]), note("the result must be JSON of the declared shape; call finish with it")],
        vec![said("", std::slice::from_ref(&wrong)), note("the result does not fit output_schema")],
        vec![said("unsure", &[]), Entry::Answer { question: "which?".into(), answer: Value::Null, by: "nobody".into() }],
    ]
}

/// Tools as other programs describe them.
fn odd_tools() -> Vec<Arc<ToolSpec>> {
    let tool = |name: &str, description: &str, parameters: Json| {
        let parameters = Value::try_from(parameters).unwrap();
        Arc::new(ToolSpec {
            name: name.into(),
            description: description.into(),
            parameters,
            effect: EffectClass::Read,
            untrusted: false,
        })
    };
    let mut tools = collaboration_tools(&Offers::default());
    tools.extend([
        tool("mcp__a.server__do it", "", json!(null)),
        tool(&"mcp__x".repeat(20), &"describes ".repeat(300), json!({ "properties": { "list": { "type": "array" } } })),
        tool("choice", "x", json!({ "$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "anyOf": [{ "required": ["a"], "properties": { "a": { "type": ["array", "null"] } } }] })),
        tool("7up", "x", json!({ "type": "object", "properties": { "type": { "type": "string", "enum": ["array"] }, "deep": { "type": "object", "properties": { "l": { "type": "array", "items": { "type": "array" } } } } } })),
    ]);
    tools
}

/// Every thread with every configuration, shape of the result and set of tools.
pub async fn every_feature_makes_a_request_that_a_strict_provider_takes(kind: Kind) {
    let configs = [
        json!({}),
        json!({ "temperature": 0.1, "top_p": 0.5, "max_tokens": 2500, "stop": "END", "seed": 7, "parallel_tool_calls": true }),
        json!({ "reasoning_effort": "low", "max_tokens": 1024, "stop_sequences": ["a", "b"], "presence_penalty": 0.5, "frequency_penalty": 0.5 }),
        json!({ "reasoning_effort": "high", "max_tokens": 9000, "temperature": 0.7 }),
        json!({ "reasoning_effort": "none" }),
    ];
    let shapes = [
        None,
        Some(
            json!({ "type": "object", "additionalProperties": false, "required": ["a"], "properties": { "a": { "type": "string" } } }),
        ),
        Some(
            json!({ "type": "object", "properties": { "a": { "type": "number", "minimum": 0 }, "l": { "type": "array" }, "any": {}, "e": { "enum": [1, 2] } } }),
        ),
        Some(json!({ "type": "array", "items": { "type": "object" } })),
        Some(json!({ "required": ["a"] })),
    ];
    let server = Server::start(move |_, _| plain(kind)).await;
    let models = [
        ("big", ""),
        ("o3", ", structured_output: native"),
        ("gemini-2.5-pro", ", structured_output: native"),
        ("gpt-5-mini", ", structured_output: finish"),
        ("claude-opus-5-5", ", structured_output: native"),
        ("gemini-3.8-flash", ", structured_output: native"),
    ]
    .map(|(id, more)| opened(kind, &server, id, more));
    let mut count = 0;
    for (config, shape) in configs.iter().flat_map(|c| shapes.iter().map(move |s| (c, s))) {
        for (thread, tools) in
            threads().into_iter().zip([collaboration_tools(&Offers::default()), odd_tools()].into_iter().cycle())
        {
            let asked = request(thread, config.clone());
            let mut profile = (*asked.profile).clone();
            profile.output_schema = shape.clone().map(|s| Value::try_from(s).unwrap());
            let turn = Turn(u32::from(!asked.thread.is_empty()));
            let turns_left = if count % 3 == 0 { 0 } else { 5 };
            let asked = Request { profile: Arc::new(profile), tools, turn, turns_left, ..asked };
            // The models take turns through all of it, in another order for each shape.
            is_plain(&models[(count + count / 8) % models.len()].reply(&asked, "k").await);
            count += 1;
        }
    }
    assert_eq!(server.seen().len(), count, "each was asked once");
    let bare = Request { task: "".into(), tools: Vec::new(), ..request(Vec::new(), json!({})) };
    let mut profile = (*bare.profile).clone();
    profile.prompt_template = Some(" ".into());
    server.forget();
    is_plain(&ask(kind, &server, &Request { profile: Arc::new(profile), ..bare }).await);
    assert_eq!(kind.tools(&server.seen()[0].body), Vec::<String>::new());
}

pub async fn where_a_result_is_due_the_model_has_no_other_choice(kind: Kind) {
    let server = Server::start(move |_, _| plain(kind)).await;
    let shape = json!({ "type": "object", "properties": { "cause": { "type": "string" } } });
    let asked = |thread: usize, turns_left: u32, shaped: bool| {
        let asked = request(threads()[thread].clone(), json!({}));
        let mut profile = (*asked.profile).clone();
        profile.output_schema = Some(Value::try_from(shape.clone()).unwrap()).filter(|_| shaped);
        Request { profile: Arc::new(profile), turn: Turn(1), turns_left, ..asked }
    };
    let due = |body: &Json| match kind {
        Kind::Openai => body["tool_choice"] == "required" && kind.tools(body) == ["finish"],
        Kind::Responses => body["tool_choice"] == json!({ "type": "function", "name": "finish" }),
        Kind::Anthropic => body["tool_choice"] == json!({ "type": "tool", "name": "finish" }),
        Kind::Gemini => body["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"] == json!(["finish"]),
        Kind::Ollama => body["format"] == shape && body.get("tools").is_none(),
    };
    for (thread, turns_left, shaped, expected) in [
        (1, 4, true, false),
        (1, 0, true, true),
        (1, 0, false, kind != Kind::Ollama),
        (5, 4, true, true),
        (5, 4, false, false),
        (6, 4, true, true),
    ] {
        is_plain(&ask(kind, &server, &asked(thread, turns_left, shaped)).await);
        let body = server.seen().pop().unwrap().body;
        assert_eq!(due(&body), expected, "thread {thread}, {turns_left} turns left, shaped: {shaped}: {body}");
    }
}
