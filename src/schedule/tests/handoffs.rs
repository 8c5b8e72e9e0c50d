//! How does work change hands? By a call of an agent, with a brief that is acknowledged.

use super::{Plans, Rules, Run, Said, Script, json, run, run_by, scopes::handed};
use crate::{
    event::Event,
    graph::{Detect, Plan, ScopeKind},
    state::State,
    value::{Entry, Failure, MessageKind, Request, Role, Value, Verdict},
};

/// A relay of three, of whom each may hand over to both others.
fn relay(max_handoffs: u32) -> Plan {
    limited(max_handoffs, &[("a", &["b", "c"]), ("b", &["a", "c"]), ("c", &["a", "b"])])
}

fn limited(max_handoffs: u32, open: &[(&str, &[&str])]) -> Plan {
    let targets = open.iter().map(|(from, to)| (Role::new(*from), to.iter().map(|to| Role::new(*to)).collect())).collect();
    Plans::root(move |g| {
        let members = ["a", "b", "c"].map(Role::new).to_vec();
        g.scope("relay", ScopeKind::Relay { members, max_handoffs, targets, like: super::scopes::like() });
    })
}

fn over(to: &str, brief: &str) -> Said {
    Said::Calls(vec![("handoff", json(&format!(r#"{{"to":"{to}","brief":{brief},"result":"so far"}}"#)))])
}

/// What a call of that tool got for an answer at last, as an agent reads it at its next turn.
fn answer(request: &Request, tool: &str) -> String {
    let mut results = request.thread.iter().rev().filter_map(|entry| match entry {
        Entry::Result { call, result } if &*call.tool == tool => Some(result),
        _ => None,
    });
    results.next().map_or(String::new(), |result| match &result.outcome {
        Ok(value) => value.to_string(),
        Err(Failure { kind, message, .. }) => format!("{}: {message}", kind.name()),
    })
}

/// What was refused to whom in the whole run.
fn refusals(run: &Run<Script>) -> Vec<String> {
    let refused = run.events().into_iter().filter_map(|event| match event {
        Event::ToolReturned { node, result, .. } => {
            let failure = result.outcome.as_ref().err()?;
            Some(format!("{} {}: {}", run.state().path(*node), failure.kind.name(), failure.message))
        }
        _ => None,
    });
    refused.collect()
}

fn says(state: &State, kind: MessageKind) -> Vec<String> {
    let of_kind = state.context.messages.iter().map(|spoken| &spoken.message).filter(|message| message.kind == kind);
    let name = |role: &Option<Role>| role.as_ref().map_or("-", |role| role.as_str()).to_owned();
    of_kind.map(|m| format!("{} to {}: {} {}", name(&m.from), name(&m.to), m.content, m.metadata)).collect()
}

#[test]
fn a_handoff_ends_the_part_of_an_agent_and_seats_whom_it_names_with_its_brief() {
    let brief = r#"{"goal":"say why","done":["looked at the logs"],"open":"the pool","artifacts":["work/1#f1"]}"#;
    let script = Script::default().agent("a", move |_| over("c", brief));
    let run = run(relay(1), script);
    let words = "say why\nDone:\n- looked at the logs\nOpen:\n- the pool\nArtifacts:\n- work/1#f1";
    assert_eq!(handed(&run), [("a", String::new()), ("c", format!("from a by agent: {words}"))]);
    assert_eq!(run.result(), "completed c");
    assert!(run.outcomes().contains("relay/1: ok so far"), "{}", run.outcomes());
    let said = says(run.state(), MessageKind::Handoff);
    let metadata = r#"{"brief":{"artifacts":["work/1#f1"],"done":["looked at the logs"],"goal":"say why","open":["the pool"]},"by":"agent"}"#;
    assert_eq!(said, [format!("a to c: {words} {metadata}")]);
}

#[test]
fn without_a_result_the_brief_is_what_an_agent_came_to() {
    let hand = json(r#"{"to":"b","brief":"go on"}"#);
    let run = run(relay(1), Script::default().agent("a", move |_| Said::Calls(vec![("handoff", hand.clone())])));
    assert!(run.outcomes().contains(r#"relay/1: ok {"goal":"go on"}"#), "{}", run.outcomes());
}

#[test]
fn other_calls_of_the_turn_come_before_a_handoff() {
    let calls = || vec![("handoff", json(r#"{"to":"c","brief":"go on"}"#)), ("read", Value::map::<&str>([]))];
    let run = run(relay(1), Script::default().agent("a", move |_| Said::Calls(calls())));
    assert_eq!(run.calls(), "relay/1@0 relay/1@1 relay/2@2");
    assert_eq!(run.world.requests.last().map(|r| r.role.as_str()), Some("c"));
}

#[test]
fn a_handoff_that_the_team_does_not_allow_is_refused_with_a_reason() {
    let cases = [
        (r#"{"to":"c","brief":"x"}"#, "denied: the team lets you hand over to b, not to c"),
        (r#"{"to":"a","brief":"x"}"#, "denied: the team lets you hand over to b, not to a"),
        (r#"{"to":"b"}"#, "schema: handoff: missing field `brief`"),
        (
            r#"{"to":"b","brief":{"aim":"x"}}"#,
            "schema: handoff: a brief has no `aim`; it has goal, done, open, constraints, artifacts",
        ),
        (
            r#"{"to":"b","brief":{"goal":"x","open":[1]}}"#,
            "schema: handoff: `open` of the brief holds an integer; expected texts",
        ),
        (
            r#"{"to":"b","brief":"x","why":"y"}"#,
            "schema: handoff: unknown field `why`, expected one of `to`, `brief`, `reason`, `result`",
        ),
    ];
    for (args, expected) in cases {
        let script = Script::default().agent("a", move |request| match request.turn.0 {
            0 => Said::Calls(vec![("handoff", json(args))]),
            _ => Said::Finish(Value::from(answer(request, "handoff"))),
        });
        let run = run(limited(2, &[("a", &["b"])]), script);
        let ended = run.outcomes();
        assert!(ended.contains(&format!("relay/1: ok {expected}")), "{args}: {ended}");
    }
}

#[test]
fn an_agent_hands_over_only_in_a_relay_that_lets_it() {
    let tools = |request: &Request| request.tools.iter().any(|tool| &*tool.name == "handoff");
    let told = |request: &Request| match request.turn.0 {
        0 => Said::Calls(vec![("handoff", json(r#"{"to":"b","brief":"x"}"#))]),
        _ => Said::Finish(Value::from(answer(request, "handoff"))),
    };
    let plan = Plans::root(|g| {
        g.agent("x", "a");
    });
    let alone = run(plan, Script::default().agent("a", told));
    assert!(!tools(&alone.world.requests[0]));
    assert!(alone.result().starts_with("completed denied: nobody hands over here"), "{}", alone.result());
    let closed = run(limited(2, &[("b", &["a"])]), Script::default().agent("a", told));
    assert_eq!(closed.world.requests.iter().filter(|r| tools(r)).map(|r| r.role.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(refusals(&closed), ["relay/1 denied: the team lets you hand over to nobody, not to b"]);
}

#[test]
fn every_handoff_counts_the_returned_ones_too_and_when_they_are_spent_the_last_result_stands() {
    let to = |to: &'static str| {
        move |request: &Request| match request.turn.0 {
            0 => over(to, r#""your turn""#),
            _ => Said::Finish(Value::from(format!("{} {}", request.node, answer(request, "handoff")))),
        }
    };
    let run = run(relay(3), Script::default().agent("a", to("b")).agent("b", to("a")));
    let roles: Vec<&str> = handed(&run).into_iter().map(|(role, _)| role).collect();
    assert_eq!(roles, ["a", "b", "a", "b"]);
    let why = "limit: all handoffs of this relay are made (`max_handoffs`): finish with what there is";
    assert_eq!(run.result(), format!("completed relay/4 {why}"));
    let offered = run.world.requests.iter().filter(|r| r.tools.iter().any(|tool| &*tool.name == "handoff"));
    assert_eq!(offered.count(), 3, "the last one is not offered what it cannot do");
}

#[test]
fn the_rule_has_the_last_word_and_knows_what_the_agent_wanted() {
    let rule = |verdict: fn(&Value) -> Verdict| -> Rules { Rules::from([("handoff", Box::new(verdict) as _)]) };
    let wants_b = || Script::default().agent("relay/1", |_| over("b", r#"{"goal":"go on","constraints":["read only"]}"#));
    let other = run_by(
        relay(1),
        wants_b(),
        rule(|facts| {
            let wanted = facts.get("requested").and_then(|wish| wish.get("to")).and_then(Value::as_str) == Some("b");
            Verdict::Handoff(wanted.then(|| (Role::new("c"), Value::text("rather you"))))
        }),
    );
    assert_eq!(handed(&other)[1], ("c", "from a by rule: rather you".to_owned()));
    let granted = run_by(relay(1), wants_b().agent("b", acknowledges(&["read only"])), rule(|_| Verdict::Handoff(None)));
    assert_eq!(handed(&granted)[1], ("b", "from a by agent: go on\nConstraints:\n- read only".to_owned()));
    for verdict in [
        |_: &Value| Verdict::Handoff(Some((Role::new("a"), Value::Null))),
        |_: &Value| Verdict::Handoff(Some((Role::new("b"), Value::Int(1)))),
    ] {
        assert_eq!(run_by(relay(1), Script::default(), rule(verdict)).result(), "failed null");
    }
}

/// Acknowledges, then finishes with its role.
fn acknowledges(constraints: &'static [&'static str]) -> impl FnMut(&Request) -> Said + 'static {
    move |request| match request.turn.0 {
        0 => Said::Calls(vec![(
            "acknowledge",
            Value::map([
                ("constraints", Value::list(constraints.iter().map(|c| Value::text(*c)))),
                ("note", Value::text("I will")),
            ]),
        )]),
        _ => Said::Finish(Value::text(request.role.as_str())),
    }
}

const BOUND: &str = r#"{"goal":"fix it","constraints":["Read only.","not before 9"]}"#;

#[test]
fn constraints_are_acknowledged_first_and_that_is_on_record() {
    let script =
        Script::default().agent("relay/1", |_| over("b", BOUND)).agent("b", acknowledges(&["read only", "Not before 9!"]));
    let run = run(relay(1), script);
    assert_eq!(run.result(), "completed b");
    let offered = |role: &str| {
        let request = run.world.requests.iter().find(|r| r.role.as_str() == role).unwrap();
        request.tools.iter().any(|tool| &*tool.name == "acknowledge")
    };
    assert_eq!((offered("a"), offered("b")), (false, true));
    let said = says(run.state(), MessageKind::Response);
    let expected = r#"b to a: I will {"constraints":["Read only.","not before 9"]}"#;
    assert!(said.iter().any(|said| said == expected), "{said:?}");
    assert!(run.state().context.undelivered.is_empty());
}

#[test]
fn whatever_comes_before_the_acknowledgement_is_refused() {
    let first = "acknowledge the constraints of the handoff first: \"Read only.\", \"not before 9\". Call `acknowledge` with them, \
                 or hand the work back to a with a `reason`";
    let calls = || {
        vec![
            ("read", Value::map::<&str>([])),
            ("broadcast_finding", json(r#"{"topic":"t","claim":"c","confidence":1.0}"#)),
            ("handoff", json(r#"{"to":"c","brief":"you"}"#)),
            ("acknowledge", json(r#"{"constraints":["read only"]}"#)),
        ]
    };
    let script = Script::default().agent("relay/1", |_| over("b", BOUND)).agent("b", move |request| match request.turn.0 {
        0 => Said::Calls(calls()),
        1 => Said::Finish(Value::text("done")),
        2 => Said::Calls(vec![
            ("acknowledge", json(r#"{"constraints":["read only", "not before 9"]}"#)),
            ("read", Value::map::<&str>([])),
        ]),
        _ => Said::Finish(Value::text("now")),
    });
    let run = run(relay(2), script);
    assert!(run.outcomes().contains("relay/2: ok now"), "{}", run.outcomes());
    assert_eq!(
        refusals(&run),
        [
            format!("relay/2 denied: {first}"),
            "relay/2 schema: acknowledge all constraints in one call, in their own words; missing: \"not before 9\"".to_owned(),
            format!("relay/2 denied: {first}"),
            format!("relay/2 denied: {first}"),
        ]
    );
    let noted = run.events().into_iter().filter(|event| matches!(event, Event::Noted { note, .. } if **note == *first));
    assert_eq!(noted.count(), 1, "a finish is sent back");
    assert!(run.state().context.findings.is_empty());
    assert_eq!(run.made.iter().filter(|made| &*made.tool == "read").count(), 1, "the call in the turn of the acknowledgement");
}

#[test]
fn who_cannot_keep_the_constraints_hands_the_work_back_with_a_reason() {
    let script = Script::default()
        .agent("relay/1", |_| over("b", BOUND))
        .agent("b", |request| match request.turn.0 {
            0 => over("a", r#""yours""#),
            _ => Said::Calls(vec![("handoff", json(r#"{"to":"a","brief":"yours","reason":"I must write"}"#))]),
        })
        .agent("relay/3", |_| Said::Finish(Value::text("I did it")));
    let run = run(relay(2), script);
    assert_eq!(refusals(&run), ["relay/2 schema: say in `reason` why you hand back what you did not acknowledge"]);
    assert_eq!(
        (handed(&run)[2].clone(), run.result()),
        (("a", "from b by agent: yours".to_owned()), "completed I did it".to_owned())
    );
    assert!(says(run.state(), MessageKind::Handoff)[1].contains(r#""reason":"I must write""#));
}

#[test]
fn an_agent_that_never_acknowledges_fails_within_its_turns() {
    let script = Script::default().agent("relay/1", |_| over("b", BOUND)).agent("b", |_| Said::Finish(Value::text("done")));
    let run = run(relay(1), script);
    assert_eq!(run.result(), "failed null");
    assert!(run.outcomes().contains("relay/2: failed schema"), "{}", run.outcomes());
}

#[test]
fn a_further_attempt_acknowledges_again() {
    let mut plan = relay(1);
    let retry = crate::graph::Retry {
        max_attempts: 2,
        backoff: crate::graph::Backoff { first: std::time::Duration::ZERO, factor: 1.0, max: std::time::Duration::ZERO },
        on: Vec::new(),
    };
    let root = std::sync::Arc::make_mut(&mut plan.graphs[0]);
    for node in root.dag.node_weights_mut() {
        if let crate::graph::NodeKind::Scope(kind) = &mut node.kind
            && let ScopeKind::Relay { like, .. } = &mut **kind
        {
            like.retry = Some(retry.clone());
        }
    }
    let mut turn = 0;
    let script = Script::default().agent("relay/1", |_| over("b", BOUND)).agent("b", move |_| {
        turn += 1;
        match turn {
            1 | 4 => Said::Calls(vec![("acknowledge", json(r#"{"constraints":["read only","not before 9"]}"#))]),
            2 => Said::Fails(crate::value::FailureKind::Transport),
            3 => Said::Calls(vec![("read", Value::map::<&str>([]))]),
            _ => Said::Finish(Value::text("done")),
        }
    });
    let run = run(plan, script);
    assert_eq!(run.result(), "completed done");
    assert_eq!(refusals(&run).len(), 1, "the read before the second acknowledgement: {}", run.outcomes());
}

#[test]
fn handing_over_back_and_forth_by_calls_is_seen() {
    let mut plan = relay(30);
    plan.teams[0].detect = Some(Detect::default());
    let to = |to: &'static str| move |_: &Request| over(to, r#""your turn""#);
    let run = run(plan, Script::default().agent("a", to("b")).agent("b", to("a")));
    assert_eq!(run.result(), "failed null");
    let stalled = run.outcomes();
    assert!(stalled.contains("failed stalled"), "{stalled}");
    assert!(handed(&run).len() < 12, "{stalled}");
}
