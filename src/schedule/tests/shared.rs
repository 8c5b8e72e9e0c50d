//! What changes the shared context, and who knows of it?

use super::{Plans, Rules, Said, Script, begin, go, json, run};
use crate::{
    graph::{Node, NodeKind, Plan, ScopeKind},
    value::{Entry, FailureKind, Merge, Request, Role, Value, WriteSpec},
};

fn calls(calls: &[(&'static str, &str)]) -> Said {
    Said::Calls(calls.iter().map(|(tool, args)| (*tool, json(args))).collect())
}

/// What came of an agent's calls so far: results, or the words of refusals.
fn results(request: &Request) -> Value {
    Value::list(request.thread.iter().filter_map(|entry| match entry {
        Entry::Result { result, .. } => Some(
            result.outcome.clone().unwrap_or_else(|failure| Value::from(format!("{}: {}", failure.kind.name(), failure.message))),
        ),
        _ => None,
    }))
}

/// A circle of agents that write `v`.
fn circle(members: &[&str]) -> Plan {
    let roles = members.iter().map(|role| Role::new(*role)).collect();
    let mut plan = Plans::root(move |g| {
        let like = Node::new("like", NodeKind::Gate(crate::graph::GateBy::Members(crate::value::RuleKind::Merge, Vec::new())));
        g.scope("c", ScopeKind::Circle { members: roles, like: Box::new(like) });
    });
    plan.teams[0] = super::world::team(members);
    for member in &mut plan.teams[0].members {
        member.writes = vec![WriteSpec { variable: "v".into(), merge: Some(Merge::Last) }];
    }
    plan
}

#[test]
fn a_write_that_compares_is_refused_with_what_stands_where_another_version_is_current() {
    let plan = Plans::root(|g| {
        g.agent("x", "a").writes("v", None);
        g.agent("y", "b").writes("v", None).after(&["x"]);
    });
    let first = |request: &Request| match request.turn.0 {
        0 => calls(&[("set_variable", r#"{"variable":"v","value":"one","version":0}"#)]),
        _ => Said::Finish(results(request)),
    };
    let second = |request: &Request| match request.turn.0 {
        0 => calls(&[
            ("set_variable", r#"{"name":"v","value":"two","version":0}"#),
            ("read_context", r#"{"only":["variables"]}"#),
            ("set_variable", r#"{"variable":"v","value":"two","version":1}"#),
            ("set_variable", r#"{"variable":"v","value":"three","version":1}"#),
            ("set_variable", r#"{"variable":"v","value":"three"}"#),
            ("set_variable", r#"{"variable":"v","value":"four","version":-1}"#),
        ]),
        _ => Said::Finish(results(request)),
    };
    let run = run(plan, Script::default().agent("a", first).agent("b", second));
    assert_eq!(run.outcomes().lines().next(), Some(r#"x: ok [{"variable":"v","version":1}]"#));
    let output = run.state().output(crate::value::NodeIx(1));
    let lines: Vec<String> = output.as_list().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(lines[0], "conflict: v is at version 1 now, not 0, by a: one. Read it and decide again");
    assert_eq!(lines[1], r#"{"variables":{"v":"one"},"versions":{"v":{"author":"a","version":1}}}"#);
    assert_eq!(lines[2], r#"{"variable":"v","version":2}"#);
    assert_eq!(lines[3], "conflict: v is at version 2 now, not 1, by b: one. Read it and decide again");
    assert_eq!(lines[4], r#"{"variable":"v","version":3}"#, "one that does not compare is written");
    assert!(lines[5].starts_with("schema: set_variable"), "{}", lines[5]);
    assert_eq!(run.state().variables().get("v"), Some(&Value::text("three")));
}

#[test]
fn of_two_live_agents_that_compare_with_one_version_only_the_first_writes() {
    let writes = |request: &Request| match request.turn.0 {
        0 => calls(&[("set_variable", r#"{"variable":"v","value":1,"version":0}"#)]),
        _ => Said::Finish(results(request)),
    };
    let run = run(circle(&["a", "b"]), Script::default().agent("a", writes).agent("b", writes));
    assert_eq!(
        run.result(),
        "completed {\"a\":[{\"variable\":\"v\",\"version\":1}],\"b\":[\"conflict: v is at version 1 now, not 0, a is about to write it, \
         and others see that once a has finished. Read it and decide again\"]}"
    );
}

#[test]
fn the_version_of_merged_parallel_writes_counts_them_all_and_names_all_their_authors() {
    let plan = Plans::root(|g| {
        g.agent("x", "a").writes("v", Some(Merge::Sum));
        g.agent("y", "b").writes("v", Some(Merge::Sum));
        g.agent("z", "c").after(&["x", "y"]);
    });
    let writes = |request: &Request| match request.turn.0 {
        0 => calls(&[("set_variable", r#"{"variable":"v","value":2,"version":0}"#)]),
        _ => Said::Finish(results(request)),
    };
    let reads = |request: &Request| Said::Finish(request.context.get("versions").cloned().unwrap_or_default());
    let run = run(plan, Script::default().agent("a", writes).agent("b", writes).agent("c", reads));
    assert_eq!(run.result(), r#"completed {"v":{"author":"a, b","version":2}}"#);
}

const FIND: (&str, &str) = ("broadcast_finding", r#"{"topic":"t","claim":"so it is","value":"x","confidence":0.9}"#);

/// `a` finds something and takes it back in its next turn; `b` works beside it, `c` after both.
fn retracting(second: &'static str) -> super::Run<Script> {
    let plan = Plans::root(|g| {
        g.agent("x", "a");
        g.agent("y", "b").after(&["x"]);
    });
    let retracts = move |request: &Request| match request.turn.0 {
        0 => calls(&[FIND]),
        1 => calls(&[("retract_finding", second)]),
        _ => Said::Finish(results(request)),
    };
    let sees = |request: &Request| match request.turn.0 {
        0 => calls(&[("retract_finding", r#"{"finding":"x#f1","reason":"I do not like it"}"#)]),
        _ => {
            let count = request.context.get("findings").and_then(Value::as_list).map_or(0, <[Value]>::len);
            Said::Finish(Value::list([Value::Int(count as i64), results(request)]))
        }
    };
    run(plan, Script::default().agent("a", retracts).agent("b", sees))
}

#[test]
fn an_author_takes_a_finding_back_and_nobody_after_it_sees_it_any_more() {
    let run = retracting(r#"{"id":"x#f1","reason":"the clock was wrong"}"#);
    assert_eq!(
        run.outcomes(),
        "x: ok [{\"finding\":\"x#f1\"},{\"finding\":\"x#f1\",\"status\":\"retracted\"}]\n\
         y: ok [0,[\"schema: there is no finding x#f1, and none of your own\"]]\n"
    );
    let statuses: Vec<_> = run.state().findings().iter().map(|f| format!("{:?}", f.status)).collect();
    assert_eq!(statuses, ["Retracted"]);
    let told = run.state().context.messages.iter().find(|s| s.message.metadata.get("retracted").is_some()).unwrap();
    assert_eq!(&*told.message.content, "a takes back x#f1 (so it is): the clock was wrong");
}

#[test]
fn nobody_takes_back_what_is_not_there_what_is_anothers_or_without_a_reason() {
    let run = retracting(r#"{"finding":"x#f2","reason":"no"}"#);
    assert_eq!(
        run.outcomes(),
        "x: ok [{\"finding\":\"x#f1\"},\"schema: there is no finding x#f2 that stands; yours are x#f1\"]\n\
         y: ok [1,[\"denied: x#f1 is a finding of a: say what you hold instead\"]]\n"
    );
    let run = retracting(r#"{"finding":"x#f1","reason":" "}"#);
    assert!(run.outcomes().contains("`reason` says nothing"), "{}", run.outcomes());
}

#[test]
fn what_a_failed_attempt_took_back_stands_again_as_far_as_others_found_it() {
    let plan = Plans::root(|g| {
        g.agent("x", "a");
        g.agent("y", "a").after(&["x"]).retry(2, &[FailureKind::Model]);
    });
    let mut attempts = 0;
    let script = Script::default().agent("x", |r| if r.turn.0 == 0 { calls(&[FIND]) } else { Said::Finish(Value::Null) }).agent(
        "y",
        move |request| match (request.turn.0, attempts) {
            (0, 0) => {
                attempts += 1;
                calls(&[("retract_finding", r#"{"finding":"x#f1","reason":"hasty"}"#)])
            }
            (1, 1) => {
                attempts += 1;
                Said::Fails(FailureKind::Model)
            }
            _ => Said::Finish(Value::text("done")),
        },
    );
    let run = run(plan, script);
    assert_eq!(run.result(), "completed done");
    assert_eq!(format!("{:?}", run.state().findings()[0].status), "Open");
}

/// A debate and an answer are had while their author may be at work elsewhere.
#[test]
fn nobody_writes_variables_in_order_to_answer() {
    let mut plan = Plans::root(|g| {
        g.agent("x", "a");
        g.agent("y", "b");
    });
    for member in &mut plan.teams[0].members {
        member.writes = vec![WriteSpec { variable: "v".into(), merge: None }];
    }
    plan.teams[0].max_asks = 1;
    let asks = |request: &Request| match request.turn.0 {
        0 => calls(&[("ask_agent", r#"{"to":"b","question":"and you?"}"#)]),
        _ => Said::Finish(results(request)),
    };
    let answers = |request: &Request| match (&*request.phase, request.turn.0) {
        ("answer", 0) => calls(&[("set_variable", r#"{"variable":"v","value":1}"#)]),
        ("answer", _) => Said::Finish(results(request)),
        (_, _) => Said::Finish(Value::Null),
    };
    let mut run = begin(plan, Script::default().agent("a", asks).agent("b", answers), Rules::new());
    go(&mut run);
    assert!(run.result().contains("nobody writes variables in order to answer"), "{}", run.result());
}
