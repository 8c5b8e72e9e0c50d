//! Nothing gets out, and everything ends.

use super::{eval, judge};
use crate::value::{RuleKind, Value};

/// The expression fails, and the message holds `expected`.
fn refused(source: &str, expected: &str) {
    let error = eval(source, &[]).expect_err(source);
    assert!(error.message.contains(expected), "{source}: {}", error.message);
}

#[test]
fn what_could_see_the_outside_is_not_there() {
    refused("eval(\"1\")", "`eval` is not available to scripts");
    refused("print(\"x\")", "`print` is not available to scripts");
    refused("debug(1)", "`debug` is not available to scripts");
    refused("import \"x\" as y; 1", "`import` is not available to scripts");
    refused("sleep(1)", "a script cannot sleep");
    refused("sleep(0.5)", "a script cannot sleep");
    refused("timestamp()", "no function `timestamp`");
    refused("rand()", "no function `rand`");
    refused("open_file(\"/etc/passwd\")", "no function `open_file`");
    refused("exec(1)", "no function `exec`");
    refused("fn f() { 1 } f()", "cannot define the function `f`");
}

#[test]
fn what_does_not_end_is_ended() {
    refused("loop { }", "does not come to an end");
    refused("while true { let x = 1; }", "does not come to an end");
    refused("let x = 0; do { x += 1; } while x > 0; x", "does not come to an end");
    // Every call of a closure counts, however deep they nest.
    refused(
        "let a = []; a.pad(200, 1); let b = a; let c = a; a.map(|x| b.map(|y| c.map(|z| z + 1).len()).len()).len()",
        "does not come to an end",
    );
    let error = judge("fn merge(facts) { merge(facts) }", RuleKind::Merge, &Value::Null).unwrap_err();
    assert_eq!(error.message, "calls nest too deep");
}

#[test]
fn what_grows_is_stopped() {
    for source in [
        "let s = \"abcdefgh\"; loop { s += s; }",
        "let s = \"abcdefgh\"; loop { s = s + s; }",
        "let s = \"abcdefgh\"; loop { s = `${s}${s}`; }",
        "let s = \"a\"; s.pad(1000000000, \"b\"); s",
        "let a = [1]; loop { a += a; }",
        "let a = [1]; loop { a = [a, a]; }",
        "let a = [1]; a.pad(1000000000, 1); a",
        "let m = #{}; let i = 0; loop { m[`k${i}`] = i; i += 1; }",
        "let m = #{a: 1}; loop { m = #{a: m, b: m}; }",
        "let s = \"ab\"; loop { s.replace(\"a\", \"aaaa\"); }",
    ] {
        let error = eval(source, &[]).expect_err(source);
        assert!(error.message.contains("too large") || error.message.contains("does not come"), "{source}: {}", error.message);
    }
}

#[test]
fn what_nests_without_end_does_not_exhaust_the_stack() {
    for source in [
        "let a = []; for i in 0..1200 { a = [a]; } a.len()",
        "let a = [0]; for i in 0..1200 { let b = [0]; b[0] = a; a = b; } 1",
        "let a = #{}; for i in 0..1200 { a = #{x: a}; } 1",
        "let a = #{x: 0}; for i in 0..1200 { let b = #{}; b.x = a; a = b; } 1",
        "let a = []; for i in 0..1200 { let b = []; b.push(a); a = b; } 1",
    ] {
        assert_eq!(eval(source, &[]), Ok(Value::Int(1)), "{source}");
    }
    refused("let a = []; for i in 0..1200 { a = [a]; } a", "nest deeper than 128 levels");
}

#[test]
fn a_closure_that_captures_what_holds_it_is_no_trap() {
    for source in [
        "let a = [1]; let f = || a; a.push(f); a.len()",
        "let a = #{}; let f = || a; a.f = f; a.f().len()",
        "let a = [1]; let f = || a.len(); f.call() + a.map(|x| x + a.len())[0]",
    ] {
        let _ = eval(source, &[]);
    }
    let script = "fn merge(facts) { let a = [1]; let f = || a; a.push(f); a.to_string() }";
    let _ = judge(script, RuleKind::Merge, &Value::Null);
}

#[test]
fn closures_and_function_pointers_work() {
    assert_eq!(eval("[1, 2, 3].filter(|x| x > limit).map(|x| x * 2).len()", &[("limit", Value::Int(1))]), Ok(Value::Int(2)));
    assert_eq!(eval("let f = |x| x + 1; f.call(2)", &[]), Ok(Value::Int(3)));
    assert_eq!(eval("[3, 1, 2].reduce(|sum, x| sum + x, 0)", &[]), Ok(Value::Int(6)));
}
