//! Verdicts, right and wrong, of every kind.

use super::judge;
use crate::{
    rule::{KINDS, document, sample},
    value::{EscalateTo, RuleKind, SettleVerdict, Value, Verdict},
};

/// What the rule says when it returns `body` on its sample facts.
fn says(kind: RuleKind, body: &str) -> Result<Verdict, String> {
    let script = format!("fn {}(facts) {{ {body} }}", kind.function());
    judge(&script, kind.clone(), &sample(&kind)).map(|verdict| verdict.expect("the script has the rule")).map_err(|error| {
        assert_eq!((&*error.place.file, error.place.line, error.place.column), ("rules.rhai", 1, 4), "{error}");
        error.message
    })
}

fn wrong(kind: RuleKind, body: &str, expected: &str) {
    let message = says(kind, body).expect_err(body);
    assert!(message.contains(expected), "{body}: {message}");
}

#[test]
fn a_route_names_agents_or_skills() {
    let Ok(Verdict::Route(tasks)) = says(
        RuleKind::Route,
        r#"[#{ id: "a", agent: "cost", task: "Look." }, #{ id: "b", skills: ["LATENCY", "rbac", "saturation"], task: "Look, too.", done_when: "found", depends_on: ["a"] }]"#,
    ) else {
        panic!("no route")
    };
    assert_eq!(tasks.iter().map(|task| task.agent.as_str()).collect::<Vec<_>>(), ["cost", "performance"]);
    assert_eq!(tasks[1].done_when.as_deref(), Some("found"));
    assert_eq!(says(RuleKind::Route, "[]"), Ok(Verdict::Route(Vec::new())));
    // Of agents that match equally, the first.
    let Ok(Verdict::Route(tasks)) = says(RuleKind::Route, r#"[#{ id: "a", skills: ["billing", "rbac"], task: "x" }]"#) else {
        panic!("no route")
    };
    assert_eq!(tasks[0].agent.as_str(), "security");
}

#[test]
fn a_wrong_route_says_what_is_wrong() {
    let one = |fields: &str| format!("[#{{ id: \"a\", agent: \"cost\", task: \"x\", {fields} }}]");
    wrong(RuleKind::Route, "42", "the verdict is an integer; expected a list of");
    wrong(RuleKind::Route, "[1]", "item [0] is an integer");
    wrong(RuleKind::Route, "[#{ agent: \"cost\", task: \"x\" }]", "`[0].id` is missing");
    wrong(RuleKind::Route, "[#{ id: \"a\", agent: \"cost\" }]", "`[0].task` is missing");
    wrong(RuleKind::Route, "[#{ id: \"a\", task: \"x\" }]", "names neither `agent` nor `skills`");
    wrong(RuleKind::Route, "[#{ id: \"A b\", agent: \"cost\", task: \"x\" }]", "an id starts with a letter");
    wrong(
        RuleKind::Route,
        "[#{ id: \"a\", agent: \"costs\", task: \"x\" }]",
        "`costs` is not one of security, performance, cost, did you mean `cost`?",
    );
    wrong(RuleKind::Route, "[#{ id: \"a\", skills: [\"juggling\"], task: \"x\" }]", "nobody has one of the skills juggling");
    wrong(RuleKind::Route, &one("dependson: []"), "no `dependson`, did you mean `depends_on`?");
    wrong(RuleKind::Route, &one("depends_on: [\"z\"]"), "depends on `z`, which is not there");
    wrong(RuleKind::Route, &one("depends_on: [\"a\"]"), "wait for each other");
    wrong(RuleKind::Route, &one("depends_on: \"a\""), "expected a list of texts");
    wrong(RuleKind::Route, "let t = #{ id: \"a\", agent: \"cost\", task: \"x\" }; [t, t]", "stands here twice");
    wrong(
        RuleKind::Route,
        "let l = []; for i in 0..9 { l.push(#{ id: `a${i}`, agent: \"cost\", task: \"x\" }); } l",
        "9 sub-tasks; the team allows 8",
    );
}

#[test]
fn a_handoff_goes_to_a_candidate_or_takes_the_default() {
    assert_eq!(says(RuleKind::Handoff, "()"), Ok(Verdict::Handoff(None)));
    let brief = |brief: &str| {
        let said = says(RuleKind::Handoff, &format!("#{{ to: \"cost\", brief: {brief} }}"));
        let Ok(Verdict::Handoff(Some((to, brief)))) = said else { panic!("no handoff") };
        assert_eq!(to.as_str(), "cost");
        brief.to_string()
    };
    assert_eq!(brief("()"), "null");
    assert_eq!(brief("\"look here\""), r#"{"goal":"look here"}"#);
    assert_eq!(brief(r#"#{ goal: "x", open: ["y"], done: "z" }"#), r#"{"done":["z"],"goal":"x","open":["y"]}"#);
    wrong(RuleKind::Handoff, r#"#{ to: "cost", brief: #{ seen: 3 } }"#, "a brief has no `seen`; it has goal, done, open");
    wrong(RuleKind::Handoff, r#"#{ to: "cost", brief: 7 }"#, "the brief is an integer; expected a text or { goal, done");
    wrong(RuleKind::Handoff, "#{ brief: 1 }", "`to` is missing");
    wrong(RuleKind::Handoff, r#"#{ to: "security" }"#, "the candidate `security` is not one of performance, cost");
    wrong(RuleKind::Handoff, r#""cost""#, "the verdict is the text \"cost\"; expected #{ to: role");
}

#[test]
fn a_settlement_is_one_of_five_words() {
    for (word, meaning) in [
        ("vote", SettleVerdict::Vote),
        ("debate", SettleVerdict::Debate),
        ("coordinator", SettleVerdict::Coordinator),
        ("escalate", SettleVerdict::Escalate),
    ] {
        let said = says(RuleKind::Settle, &format!("#{{ verdict: \"{word}\", reason: \"r\" }}"));
        assert_eq!(said, Ok(Verdict::Settle { verdict: meaning, value: Value::Null, reason: "r".into() }));
    }
    let said = says(RuleKind::Settle, r#"#{ verdict: "accept", value: facts.positions[0].value }"#);
    assert_eq!(
        said,
        Ok(Verdict::Settle {
            verdict: SettleVerdict::Accept,
            value: Value::text("connection pool exhausted"),
            reason: "".into()
        })
    );
    wrong(RuleKind::Settle, r#"#{ verdict: "acept" }"#, "`verdict` is \"acept\"; expected \"accept\", \"vote\"");
    wrong(RuleKind::Settle, r#"#{ verdict: "accept" }"#, "to accept needs the `value` that stands");
    wrong(RuleKind::Settle, "#{ verdict: 3 }", "`verdict` is an integer; expected text");
    wrong(RuleKind::Settle, "", "the verdict is ()");
}

#[test]
fn an_escalation_reaches_somebody_or_nobody() {
    let said = says(RuleKind::Escalate, r#"#{ to: "person", question: "Which?", options: ["a", "b"] }"#);
    assert_eq!(
        said,
        Ok(Verdict::Escalate { to: EscalateTo::Person, question: "Which?".into(), options: vec!["a".into(), "b".into()] })
    );
    let Ok(Verdict::Escalate { question, .. }) = says(RuleKind::Escalate, r#"#{ to: "none" }"#) else { panic!("no escalation") };
    assert_eq!(&*question, "confidence 0.4 is below 0.6");
    wrong(RuleKind::Escalate, r#"#{ to: "boss" }"#, "`to` is \"boss\"");
    wrong(RuleKind::Escalate, r#"#{ to: "person", options: [1] }"#, "`options` holds an integer; expected texts");
}

#[test]
fn permits_and_reconciliations_are_words() {
    assert_eq!(says(RuleKind::Permit, "\"allow\""), Ok(Verdict::Permit(Some(true))));
    assert_eq!(says(RuleKind::Permit, "\"deny\""), Ok(Verdict::Permit(Some(false))));
    assert_eq!(says(RuleKind::Permit, "return \"ask\";"), Ok(Verdict::Permit(None)));
    wrong(RuleKind::Permit, "true", "the verdict is a bool; expected \"allow\", \"deny\" or \"ask\"");
    wrong(RuleKind::Permit, "\"maybe\"", "the verdict is \"maybe\"");
    assert_eq!(says(RuleKind::Reconcile, "\"unknown\""), Ok(Verdict::Reconcile(None)));
    assert_eq!(says(RuleKind::Reconcile, "\"not_happened\""), Ok(Verdict::Reconcile(Some(None))));
    assert_eq!(says(RuleKind::Reconcile, "#{ happened: () }"), Ok(Verdict::Reconcile(Some(Some(Value::Null)))));
    wrong(RuleKind::Reconcile, "#{}", "an empty map");
    wrong(RuleKind::Reconcile, "#{ happend: 1 }", "did you mean `happened`?");
}

#[test]
fn merge_and_own_functions_give_any_value() {
    assert_eq!(says(RuleKind::Merge, "facts.results.len()"), Ok(Verdict::Value(Value::Int(3))));
    assert_eq!(says(RuleKind::of("score"), "facts.input.count * 2"), Ok(Verdict::Value(Value::Int(6))));
    assert_eq!(judge("fn other(x) { x }", RuleKind::Settle, &Value::Null), Ok(None));
    assert_eq!(judge("private fn settle(x) { x }", RuleKind::Settle, &Value::Null), Ok(None));
    assert_eq!(says(RuleKind::Merge, "exit(4)"), Ok(Verdict::Value(Value::Int(4))));
}

#[test]
fn every_kind_documents_a_sample_with_fields() {
    for kind in KINDS.iter().chain([&RuleKind::of("score")]) {
        let told = document(kind);
        assert!(told.sample.as_map().is_some_and(|facts| facts.contains_key("task") && facts.contains_key("node")), "{told:?}");
        assert!(!told.question.is_empty() && !told.verdict.is_empty());
    }
}
