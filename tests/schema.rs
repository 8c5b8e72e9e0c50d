//! Are the shipped JSON Schemas those of the types, and do they judge files as the loader does?
//!
//! `SYNOD_UPDATE=1 cargo test --test schema` writes them anew.

use std::{fs, path::Path};

use serde_json::Value;
use synod::team::{
    Diagnostic, Known, MapSources, ModelCatalog, check, is_suite, load_suite, schema_profile, schema_team, schema_test,
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn the_shipped_schemas_are_those_of_the_types() {
    for (name, schema) in [("profile", schema_profile()), ("team", schema_team()), ("test", schema_test())] {
        let path = format!("{ROOT}/graphs/schema/{name}.schema.json");
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("SYNOD_UPDATE").is_some() {
            fs::write(&path, &text).unwrap();
        }
        assert!(fs::read_to_string(&path).unwrap_or_default() == text, "{path} is out of date: run with SYNOD_UPDATE=1");
    }
}

/// Every object of the schema that names its keys allows no others, and says what each is for.
#[test]
fn every_key_is_described_and_no_other_is_allowed() {
    fn walk(value: &Value, path: &str, keys: &mut usize) {
        if let Some(properties) = value.get("properties").and_then(Value::as_object) {
            assert_eq!(value.get("additionalProperties"), Some(&Value::Bool(false)), "{path}");
            for (key, schema) in properties {
                assert!(schema.get("description").is_some(), "{path}/{key} is not described");
                *keys += 1;
            }
        }
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| walk(value, &format!("{path}/{key}"), keys)),
            Value::Array(items) => items.iter().for_each(|value| walk(value, path, keys)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    for (schema, least) in [(schema_profile(), 20), (schema_team(), 90), (schema_test(), 50)] {
        let mut keys = 0;
        walk(&schema, "", &mut keys);
        assert!(keys > least, "{keys} keys");
    }
}

fn yaml(path: &Path) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_shipped_files_fit_their_schemas() {
    let profile = jsonschema::validator_for(&schema_profile()).unwrap();
    let team = jsonschema::validator_for(&schema_team()).unwrap();
    let test = jsonschema::validator_for(&schema_test()).unwrap();
    let mut files = vec![Path::new(ROOT).join("graphs")];
    let mut seen = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
            continue;
        }
        let name = path.to_str().unwrap().to_owned();
        let validator = match name.contains("/profiles/") {
            true => &profile,
            false if is_suite(&name) => &test,
            false => &team,
        };
        if name.ends_with(".yaml") && (name.contains("/profiles/") || name.contains("/teams/")) {
            seen += 1;
            let errors: Vec<_> = validator.iter_errors(&yaml(&path)).map(|e| e.to_string()).collect();
            assert_eq!(errors, Vec::<String>::new(), "{name}");
        }
    }
    assert!(seen >= 3, "{seen} files");
}

/// A schema is no use when it calls good what the loader refuses for its shape, or the other way round.
#[test]
fn schema_and_loader_agree_about_shapes() {
    let validator = jsonschema::validator_for(&schema_team()).unwrap();
    let models = ModelCatalog::built_in();
    let worker = "name: W\nrole: worker\nmodel: gpt-4\n";
    let head = "name: T\ncollaboration_pattern: graph\nmember_agents: [{ agent: w, role: a }]\n";
    let bodies = [
        ("nodes: { x: { agent: a } }", true),
        ("nodes: { x: { agent: a, after: [] } }", true),
        ("nodes: { x: { gate: 1 }, y: { gate: true, after: { x: 'output > 0' }, join: { quorum: 1 } } }", true),
        ("nodes: { x: { agent: a, timeout: 2h, retry: { max_attempts: 2, backoff: { first: 1s } } } }", true),
        ("nodes: { x: { ask: hm, deadline: 5m, default: null } }", true),
        ("nodes: { x: { repeat: { max: 2 }, nodes: { y: { agent: a, writes: v } } } }", true),
        ("inputs: { a: string, b: { type: list, default: [1] } }\nnodes: { x: { agent: a } }", true),
        ("result: merge\nnodes: { x: { agent: a } }", true),
        ("nodes: { x: { agent: a, timeout: soon } }", false),
        ("nodes: { x: { agent: a, agnt: b } }", false),
        ("nodes: { x: { agent: 5 } }", false),
        ("nodes: { X: { agent: a } }", false),
        ("nodes: { x: { agent: a, join: most } }", false),
        ("nodes: { x: { agent: a, retry: { max_attempts: 0 } } }", false),
        ("nodes: { x: { after: y } }", false),
        ("nodes: { x: { agent: a, tool: Bash } }", false),
        ("nodes: { x: { for_each: '[1]', agent: a } }", false),
        ("nodes: [x]", false),
        ("limits: { turns: 0 }\nnodes: { x: { agent: a } }", false),
        ("coordination_rules: { max_tasks: many }\nnodes: { x: { agent: a } }", false),
    ];
    for (body, good) in bodies {
        let text = format!("{head}{body}\n");
        let errors: Vec<_> = {
            let instance: Value = serde_saphyr::from_str(&text).unwrap();
            validator.iter_errors(&instance).map(|e| e.to_string()).collect()
        };
        let sources = MapSources::default().with("t.yaml", &text).with("w.yaml", worker);
        let found = check("t.yaml", &sources, &Known::models(&models));
        assert_eq!(errors.is_empty(), good, "schema: {body}: {errors:?}");
        assert_eq!(!found.iter().any(Diagnostic::is_error), good, "loader: {body}: {found:?}");
    }
}

#[test]
fn schema_and_loader_agree_about_the_shapes_of_tests() {
    let validator = jsonschema::validator_for(&schema_test()).unwrap();
    let expect = [
        ("{}", true),
        ("{ status: parked, failure: words, output: 5 }", true),
        ("{ output: { is: { a: 1 }, contains: x, matches: { type: object }, at: { /a: 1, /b: { is: { c: 2 } } } } }", true),
        ("{ output: { service: x } }", false),
        ("{ output: [null], variables: { a: [1], b: { is: null } } }", true),
        ("{ nodes: { a: ok, b: { status: failed, failure: words }, c: { output: { contains: x } } }, order: [[a, b]] }", true),
        ("{ nodes: { a: fine } }", false),
        ("{ order: [a, b] }", false),
        ("{ messages: [{ from: a, to: all, type: note, contains: x }], messages_in_order: [] }", true),
        ("{ messages: [{ kind: note }] }", false),
        ("{ messages: [{ type: letter }] }", false),
        (
            "{ findings: [{ agent: a, topic: t, value: 1, contains: x }], decisions: [{ topic: t, outcome: 1, by: vote, dissent: [a] }] }",
            true,
        ),
        ("{ escalations: 2, calls: { Bash: 0 }, budget: { turns: 1, tokens: 5, cost_usd: 0.5 } }", true),
        (
            "{ escalations: [{ to: person, cause: on_stall }], never: { calls: [Bash, { tool: Read, args: { path: x } }], nodes: [a] } }",
            true,
        ),
        ("{ budget: { turns: -1 } }", false),
        ("{ never: [Bash] }", false),
    ];
    let whole = |expect: &str| format!("team: t\ncases: [{{ name: one, expect: {expect} }}]\n");
    let case = |rest: &str| format!("team: t\ncases: [{{ name: one, expect: {{}}, {rest} }}]\n");
    let mut texts: Vec<(String, bool)> = expect.iter().map(|(text, good)| (whole(text), *good)).collect();
    texts.extend([
        (case("models: { a: 's.rhai', b: [{ finish: 1 }], c: { work: [{ text: hm, calls: [{ tool: t, args: {} }] }] } }"), true),
        (case("models: { a: [{ fails: oh, takes: 5ms, usage: { input: 1 } }], b: [{ fails: { kind: transport, message: oh } }] }"), true),
        (case("models: { a: [{ say: hm }] }"), false),
        (case("models: { a: [{ fails: { kind: worse, message: oh } }] }"), false),
        (case("models: { a: 5 }"), false),
        (case("tools: { t: { returns: null }, u: [{ when: { x: 1 }, fails: oh, effect: read }, { returns: [1] }] }"), true),
        (case("tools: { t: { result: 1 } }"), false),
        (case("answers: { q: yes, r: [1, 2] }, set: ['a.model=x'], inputs: { a: 1 }, task: do it"), true),
        ("team: t\ncases: []\ntests: []\n".to_owned(), false),
        ("cases: []\n".to_owned(), false),
    ]);
    let sources = MapSources::default().with("t.yaml", "name: T\n").with("s.rhai", "fn turn(view) { #{ finish: 1 } }\n");
    for (text, good) in texts {
        let instance: Value = serde_saphyr::from_str(&text).unwrap();
        let errors: Vec<_> = validator.iter_errors(&instance).map(|e| e.to_string()).collect();
        assert_eq!(errors.is_empty(), good, "schema: {text}: {errors:?}");
        let found =
            load_suite("x.test.yaml", &sources.clone().with("x.test.yaml", &text)).map_or_else(|found| found, |(_, found)| found);
        assert_eq!(!found.iter().any(Diagnostic::is_error), good, "loader: {text}: {found:?}");
    }
}
