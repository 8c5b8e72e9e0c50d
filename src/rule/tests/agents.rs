//! Agents without a model.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    rule::{ScriptAgent, ScriptTurn, Source},
    value::{RuleError, Value},
};

fn agent(text: &str) -> ScriptAgent {
    ScriptAgent::compile(&[Source::new("a.rhai", text)]).expect("it compiles")
}

fn turn(body: &str) -> Result<ScriptTurn, RuleError> {
    agent(&format!("fn turn(view) {{ {body} }}")).turn(&Value::map([("turn", Value::Int(0))]))
}

#[test]
fn a_turn_calls_tools_or_finishes() {
    let Ok(ScriptTurn::Calls { say, calls }) = turn(
        r#"#{ say: "Looking.", calls: [#{ tool: "Read", args: #{ path: "a" }, name: "file" }, #{ tool: "Glob", "as": "found" }] }"#,
    ) else {
        panic!("no calls")
    };
    assert_eq!((say.as_deref(), calls.len()), (Some("Looking."), 2));
    assert_eq!(
        (&*calls[0].tool, calls[0].name.as_deref(), calls[1].name.as_deref(), calls[1].args.to_string()),
        ("Read", Some("file"), Some("found"), "{}".to_owned())
    );
    assert_eq!(turn("#{ finish: view.turn }"), Ok(ScriptTurn::Finish { say: None, value: Value::Int(0) }));
    assert_eq!(turn("#{ finish: () }"), Ok(ScriptTurn::Finish { say: None, value: Value::Null }));
}

#[test]
fn what_is_no_turn_says_why_and_where() {
    for (body, expected) in [
        ("1", "`turn` returned an integer"),
        ("#{}", "`turn` returned neither `calls` nor `finish`"),
        ("#{ calls: [], finish: 1 }", "`turn` returned both `calls` and `finish`"),
        ("#{ calls: [] }", "`calls` is empty"),
        ("#{ calls: 1 }", "`calls` is an integer"),
        ("#{ calls: [1] }", "`calls[0]`: it is an integer"),
        ("#{ calls: [#{ args: #{} }] }", "`calls[0]`: `tool` is missing"),
        ("#{ calls: [#{ tool: \"a\", args: [] }] }", "`calls[0]`: `args` is a list"),
        ("#{ calls: [#{ tool: \"a\", arg: 1 }] }", "`calls[0]`: there is no `arg`, did you mean `args`?"),
        ("#{ calls: [#{ tool: \"a\", name: \"x\" }, #{ tool: \"a\", name: \"x\" }] }", "two calls have the name \"x\""),
        ("#{ finnish: 1 }", "there is no `finnish`, did you mean `finish`?"),
    ] {
        let error = turn(body).expect_err(body);
        assert!(error.message.starts_with(expected), "{body}: {}", error.message);
        assert_eq!((&*error.place.file, error.place.line, error.place.column), ("a.rhai", 1, 4));
    }
}

#[test]
fn what_cannot_run_does_not_compile() {
    let wrong = |text: &str| ScriptAgent::compile(&[Source::new("a.rhai", text)]).map(drop).unwrap_err()[0].to_string();
    assert!(wrong("fn turn() { 1 }").contains("has a function `turn(view)`"));
    assert!(wrong("fn turn(view) { helper(view) }").contains("a.rhai:1:17: no function `helper`"));
    assert!(wrong("fn turn(view) { ").starts_with("a.rhai:1:"));
}

#[test]
fn agents_share_functions() {
    let main = Source::new("a.rhai", "//! use lib.rhai\nfn turn(view) { #{ finish: half(view.turn) } }");
    let agent = ScriptAgent::compile(&[main, Source::new("lib.rhai", "fn half(x) {\n  10 / x\n}")]).expect("it compiles");
    let error = agent.turn(&Value::map([("turn", Value::Int(0))])).unwrap_err();
    assert_eq!((&*error.place.file, error.place.line), ("lib.rhai", 2));
}

#[test]
fn thousands_of_rows_are_no_limit() {
    let row = |n: i64| Value::map([("n", Value::Int(n)), ("text", Value::text("a line of a log"))]);
    let view = Value::map([("rows", Value::list((0..5_000).map(row)))]);
    let script = "fn turn(view) { let even = view.rows.filter(|row| row.n % 2 == 0); #{ finish: even.map(|row| row.n).sum() } }";
    assert_eq!(agent(script).turn(&view), Ok(ScriptTurn::Finish { say: None, value: Value::Int(6_247_500) }));
}

#[test]
fn a_turn_without_end_can_be_stopped() {
    let stop = Arc::new(AtomicBool::new(false));
    let agent = agent("fn turn(view) { loop { } }");
    let error = std::thread::scope(|scope| {
        let turn = scope.spawn(|| agent.turn_until(&Value::Null, &stop));
        stop.store(true, Ordering::Relaxed);
        turn.join().expect("it does not panic").unwrap_err()
    });
    assert_eq!(error.message, "stopped");
}
