//! What does a redactor take out, and what does it leave?

use super::*;
use crate::value::{Failure, FailureKind, Reply, Value};

const KEY: &str = "q7-Zx\"91/plain+words";

fn env() -> Env {
    let env = Env::of(|name| match name {
        "KEY" => Some(KEY.to_owned()),
        "LONG" => Some("0123456789abcdefghijklmnopqrstuvwxyz".to_owned()),
        "LEVEL" => Some("debug".to_owned()),
        "HOME" => Some("/home/of/somebody".to_owned()),
        "HERE" => Some("/usr/bin".to_owned()),
        "HOOK" => Some("https://hooks.example.com/services/T0/B0/xyzxyz".to_owned()),
        _ => None,
    });
    for name in ["KEY", "LONG", "LEVEL", "HOME", "HERE", "HOOK", "NONE"] {
        env.get(name);
    }
    env
}

fn check(text: &str, expected: &str) {
    assert_eq!(env().redactor().text(text), expected);
}

#[test]
fn a_secret_is_taken_out_wherever_it_stands() {
    check(&format!("Bearer {KEY}, again {KEY}."), "Bearer [redacted KEY], again [redacted KEY].");
    check(&serde_json::Value::from(KEY).to_string(), "\"[redacted KEY]\"");
    check("?key=q7-Zx%2291%2Fplain%2Bwords&x=1", "?key=[redacted KEY]&x=1");
    check("https://hooks.example.com/services/T0/B0/xyzxyz", "[redacted HOOK]");
}

#[test]
fn a_long_secret_that_is_cut_off_is_taken_out_as_well() {
    check("it wrote: 0123456789abcdefg", "it wrote: [redacted LONG]");
    check("…pqrstuvwxyz and more, öpqrstuvwxyz", "…pqrstuvwxyz and more, öpqrstuvwxyz");
    check("…mnopqrstuvwxyz", "…[redacted LONG]");
    check("0123456789abcdefghijklmnopqrstuvwxyz", "[redacted LONG]");
}

#[test]
fn what_everybody_may_know_stays() {
    for text in ["debug", "/home/of/somebody/x", "/usr/bin/env", "0123456", "https://hooks.example.com/other", "a key, sk-1"] {
        check(text, text);
    }
}

#[test]
fn keys_are_known_by_their_shape() {
    for key in [
        "sk-ant-api03-0123456789012345678901234567890",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_012345678901234567890123456789012345",
        "github_pat_0123456789012345678901234567890123456789",
        "AIzaSyA0123456789012345678901234567890a",
        "xoxb-0123456789-abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
    ] {
        check(&format!("<{key}>"), "<[redacted key]>");
    }
}

#[test]
fn values_lose_secrets_in_texts_and_keys_and_stay_the_same_otherwise() {
    let redactor = env().redactor();
    let value = Value::map([(KEY, Value::list([Value::Int(1), Value::text(format!("is {KEY}"))])), ("b", Value::Null)]);
    let clean = redactor.value(&value).unwrap().to_string();
    assert!(!clean.contains("plain") && clean.contains("is [redacted KEY]") && clean.contains("\"b\""), "{clean}");
    assert_eq!(redactor.value(&Value::list([Value::text("nothing")])), None);
    let failure = redactor.failure(Failure { status: Some(401), ..Failure::new(FailureKind::Model, KEY) });
    assert_eq!((&*failure.message, failure.status), ("[redacted KEY]", Some(401)));
}

#[test]
fn a_reply_keeps_what_only_its_provider_reads() {
    let signature = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N";
    let reply = Reply { text: Some(KEY.into()), carry: Some(Value::text(signature)), ..Reply::default() };
    let clean = env().redactor().reply(reply);
    assert_eq!(clean.text.as_deref(), Some("[redacted KEY]"));
    assert_eq!(clean.carry, Some(Value::text(signature)));
}

#[test]
fn nothing_is_known_of_a_variable_that_nobody_asked_for() {
    let env = Env::of(|_| Some(KEY.to_owned()));
    assert_eq!(env.redactor().text(KEY), KEY);
    env.get("KEY");
    assert_eq!(env.redactor().text(KEY), "[redacted KEY]");
    assert_eq!(format!("{env:?}"), "Env");
}
