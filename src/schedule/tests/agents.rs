//! What happens in an activation?

use std::sync::Arc;

use super::{Plans, Rules, Said, Script, compare, fails, go, json, reply, run, run_by};
use crate::{
    event::{Event, Input, Key},
    graph::{Plan, TeamPlan},
    value::{Entry, FailureKind, Merge, NodeIx, Profile, Request, Value, Verdict},
};

fn one() -> Plan {
    Plans::root(|g| {
        g.agent("n", "a");
    })
}

fn profile(plan: &mut Plan, change: impl Fn(&mut Profile)) {
    for member in &mut plan.teams[0].members {
        change(Arc::make_mut(&mut member.profile));
    }
}

/// Says these at its turns, one after another; the last one again and again.
fn speaks(turns: Vec<fn() -> Said>) -> impl FnMut(&Request) -> Said {
    move |request| turns[(request.turn.0 as usize).min(turns.len() - 1)]()
}

fn args(text: &str) -> Value {
    json(text)
}

fn done() -> Said {
    Said::Finish(Value::text("done"))
}

/// The results that a request shows, as text.
fn results(request: &Request) -> Vec<String> {
    let shown = |entry: &Entry| match entry {
        Entry::Result { call, result } => Some(match &result.outcome {
            Ok(value) => format!("{} {value}", call.tool),
            Err(failure) => format!("{} {failure}", call.tool),
        }),
        Entry::Reply(_) | Entry::Mail(_) | Entry::Answer { .. } | Entry::Note(_) | Entry::Known { .. } => None,
    };
    request.thread.iter().filter_map(shown).collect()
}

#[test]
fn parallel_calls_are_answered_in_the_order_in_which_they_were_asked_for() {
    let calls = || Said::Calls(vec![("slow", args("{}")), ("quick", args("{}")), ("middle", args("{}"))]);
    let script = Script::default().takes(&[("slow", 5), ("quick", 1), ("middle", 3)]).agent("a", speaks(vec![calls, done]));
    let run = run(one(), script);
    assert_eq!(results(&run.world.requests[1]), ["slow slow", "quick quick", "middle middle"]);
    assert_eq!((run.calls(), run.result()), ("n@0 n@1 n@1 n@1 n@6".to_owned(), "completed done".to_owned()));
}

#[test]
fn irreversible_calls_of_a_turn_run_alone_and_in_order_after_the_others() {
    let calls = || Said::Calls(vec![("fire_1", args("{}")), ("read", args("{}")), ("fire_2", args("{}")), ("idem", args("{}"))]);
    let run = run(one(), Script::default().agent("a", speaks(vec![calls, done])));
    let tools: Vec<String> = run.made.iter().map(|m| format!("{}@{}", m.tool, m.at / 1000)).collect();
    assert_eq!(tools, ["@0", "read@1", "idem@1", "fire_1@2", "fire_2@3", "@4"]);
    let answered: Vec<String> =
        results(&run.world.requests[1]).into_iter().map(|r| r.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(answered, ["fire_1", "read", "fire_2", "idem"]);
}

#[test]
fn an_unknown_tool_wrong_arguments_and_one_call_too_many_are_refused_and_not_executed() {
    let calls = || {
        let mut calls = vec![("missing", args("{}")), ("read", args(r#"{"bad": 1}"#)), ("read_context", args(r#"{"bad": 1}"#))];
        calls.extend((0..3).map(|_| ("read", args("{}"))));
        Said::Calls(calls)
    };
    let mut plan = one();
    plan.teams[0].calls_per_turn = 5;
    let run = run(plan, Script::default().agent("a", speaks(vec![calls, done])));
    let shown = results(&run.world.requests[1]);
    assert_eq!((run.made.iter().filter(|m| !m.tool.is_empty()).count(), shown.len()), (2, 6));
    assert!(shown[0].contains("there is no tool missing"), "{shown:?}");
    assert!(shown[1].contains("`bad`") && shown[2].contains("bad"), "{shown:?}");
    assert!(shown[5].contains("at most 5 calls"), "{shown:?}");
}

#[test]
fn a_tool_that_the_profile_does_not_allow_is_refused() {
    let mut plan = one();
    profile(&mut plan, |p| p.allowed_tools = vec!["read".into()]);
    let calls = || Said::Calls(vec![("write", args("{}")), ("read", args("{}"))]);
    let run = run(plan, Script::default().agent("a", speaks(vec![calls, done])));
    let shown = results(&run.world.requests[1]);
    assert!(shown[0].contains("denied") && shown[1] == "read n", "{shown:?}");
}

#[test]
fn the_failure_of_a_call_is_a_result_that_the_agent_reads() {
    let calls = || Said::Calls(vec![("read", args("{}"))]);
    let script = Script::default().tool("read", vec![(1, fails(FailureKind::Exit))]).agent("a", speaks(vec![calls, done]));
    let run = run(one(), script);
    assert_eq!(
        (results(&run.world.requests[1]), run.result()),
        (vec!["read exit: as the script says".to_owned()], "completed done".to_owned())
    );
}

#[test]
fn an_agent_that_never_stops_calling_ends_at_its_turn_limit_with_its_findings_kept() {
    let mut plan = one();
    profile(&mut plan, |p| p.max_turns = 3);
    let calls =
        || Said::Calls(vec![("read", args("{}")), ("broadcast_finding", args(r#"{"topic":"t","claim":"c","confidence":0.5}"#))]);
    let run = run(plan, Script::default().agent("a", speaks(vec![calls])));
    compare(&run, "failed null", "n: failed limit");
    let state = run.state();
    // The third finding in the same words is refused.
    assert_eq!((state.spent.turns, state.spent.usage.input, state.context.findings.len()), (3, 30, 2));
    assert!(state.context.findings.iter().all(|f| f.finding.status == crate::value::FindingStatus::Open));
}

#[test]
fn a_finish_that_does_not_fit_its_schema_is_sent_back_once_with_every_call_answered() {
    let plan = || {
        let mut plan = one();
        profile(&mut plan, |p| p.output_schema = Some(json(r#"["cause"]"#)));
        plan
    };
    let wrong = || Said::Calls(vec![("read", args("{}")), ("finish", args(r#"{"result": {"x": 1}}"#))]);
    let right = || Said::Calls(vec![("finish", args(r#"{"result": {"cause": 1}}"#))]);
    let repaired = run(plan(), Script::default().agent("a", speaks(vec![wrong, right])));
    assert_eq!(repaired.result(), r#"completed {"cause":1}"#);
    let shown = results(&repaired.world.requests[1]);
    assert!(shown[0] == "read n" && shown[1].contains("`cause` is missing"), "{shown:?}");
    compare(&run(plan(), Script::default().agent("a", speaks(vec![wrong]))), "failed null", "n: failed schema");
}

#[test]
fn text_ends_an_activation_and_an_empty_reply_is_sent_back() {
    let text = || Said::Reply(reply(Some("that is all"), Vec::new()));
    let empty = || Said::Reply(reply(None, Vec::new()));
    assert_eq!(run(one(), Script::default().agent("a", speaks(vec![text]))).result(), r#"completed {"text":"that is all"}"#);
    let run = run(one(), Script::default().agent("a", speaks(vec![empty, done])));
    assert_eq!(run.result(), "completed done");
    assert!(matches!(run.world.requests[1].thread.last(), Some(Entry::Note(note)) if note.contains("empty")));
}

#[test]
fn a_model_that_fails_is_tried_again_where_the_node_says_so() {
    let plan = Plans::root(|g| {
        g.agent("n", "a").retry(2, &[]);
    });
    let mut first = true;
    let script = Script::default()
        .agent("a", move |_| if std::mem::take(&mut first) { Said::Fails(FailureKind::Transport) } else { done() });
    let tried = run(plan, script);
    assert_eq!((tried.calls(), tried.result()), ("n@0 n@3".to_owned(), "completed done".to_owned()));
    compare(
        &run(one(), Script::default().agent("a", |_| Said::Fails(FailureKind::Transport))),
        "failed null",
        "n: failed transport",
    );
}

#[test]
fn a_timeout_throws_away_what_the_attempt_wrote_and_found_and_the_next_one_starts_clean() {
    let plan = Plans::root(|g| {
        g.agent("n", "a").timeout(5).retry(2, &[]).writes("v", None);
        g.agent("after", "b").after(&["n"]);
    });
    let mut attempts = 0;
    let script = Script::default().stops_after(1).agent("a", move |request| {
        attempts += u32::from(request.turn.0 == 0);
        match (attempts, request.turn.0) {
            (1, 0) => Said::Calls(vec![
                ("set_variable", args(r#"{"variable":"v","value":"old"}"#)),
                ("broadcast_finding", args(r#"{"topic":"t","claim":"old","confidence":0.5}"#)),
            ]),
            (1, _) => Said::Nothing,
            (_, 0) => Said::Calls(vec![("broadcast_finding", args(r#"{"topic":"t","claim":"new","confidence":0.5}"#))]),
            (_, _) => done(),
        }
    });
    let run = run(plan, script);
    assert_eq!((run.result(), run.calls()), ("completed b".to_owned(), "n@0 n@1 n@7 n@8 after@9".to_owned()));
    let seen = &run.world.requests[4].context;
    let claims: Vec<_> =
        seen.get("findings").and_then(Value::as_list).unwrap().iter().map(|f| f.get("claim").unwrap().clone()).collect();
    assert_eq!((claims, seen.get("variables")), (vec![Value::text("new")], Some(&json("{}"))));
    assert_eq!(run.world.requests[2].thread, [], "the second attempt starts clean");
}

#[test]
fn an_attempt_that_times_out_in_an_irreversible_call_is_not_tried_again() {
    let plan = Plans::root(|g| {
        g.agent("n", "a").timeout(5).retry(3, &[]);
    });
    let calls = || Said::Calls(vec![("fire", args("{}"))]);
    let run = run(plan, Script::default().tool("fire", vec![]).agent("a", speaks(vec![calls])));
    compare(&run, "failed null", "n: failed in_doubt");
    assert_eq!(run.made.iter().filter(|m| &*m.tool == "fire").count(), 1);
}

#[test]
fn after_an_outage_an_agent_goes_on_where_it_stood_and_a_person_says_what_became_of_its_call() {
    let calls = || Said::Calls(vec![("read", args("{}")), ("fire", args("{}"))]);
    for (answer, made) in [("happened", 1), ("not_happened", 2), ("unknown", 1)] {
        let mut run =
            super::begin(one(), Script::default().takes(&[("fire", 9)]).agent("a", speaks(vec![calls, done])), Rules::new());
        run.run_until(4_000).and_then(|()| run.crash(1_000)).unwrap();
        go(&mut run);
        assert_eq!(run.result(), "parked");
        run.answer(crate::value::AskId(0), answer).unwrap();
        go(&mut run);
        let models = run.made.iter().filter(|m| m.tool.is_empty()).count();
        let fired = run.made.iter().filter(|m| &*m.tool == "fire").count();
        assert_eq!((run.result(), models, fired), ("completed done".to_owned(), 2, made), "{answer}");
    }
}

#[test]
fn a_reply_that_is_journaled_is_not_asked_for_again() {
    let calls = || Said::Calls(vec![("read", args("{}"))]);
    let mut run =
        super::begin(one(), Script::default().takes(&[("read", 5)]).agent("a", speaks(vec![calls, done])), Rules::new());
    run.run_until(3_000).and_then(|()| run.crash(1_000)).unwrap();
    go(&mut run);
    assert_eq!(run.made.iter().map(|m| &*m.tool).collect::<Vec<_>>(), ["", "read", "read", ""]);
}

#[test]
fn the_permit_rule_allows_denies_or_asks() {
    let rules = || {
        let mut rules = Rules::new();
        rules.insert(
            "permit",
            Box::new(|facts| {
                Verdict::Permit(match facts.get("tool").and_then(Value::as_str) {
                    Some("read") => Some(true),
                    Some("secret") => Some(false),
                    _ => None,
                })
            }),
        );
        rules
    };
    let calls = || Said::Calls(vec![("read", args("{}")), ("secret", args("{}")), ("fire", args("{}"))]);
    for (answer, shown) in [("allow", "fire n"), ("deny", "fire denied: ann denied the call")] {
        let mut run = run_by(one(), Script::default().agent("a", speaks(vec![calls, done])), rules());
        assert_eq!(run.result(), "parked");
        assert!(run.state().check_answer(crate::value::AskId(0), &Value::text("maybe")).is_err());
        run.answer(crate::value::AskId(0), answer).unwrap();
        go(&mut run);
        let results = results(&run.world.requests[1]);
        assert_eq!((results[1].as_str(), results[2].as_str()), ("secret denied: the permit rule denies this call", shown));
    }
}

#[test]
fn writes_must_be_declared_and_parallel_ones_are_merged_in_declared_order() {
    let plan = Plans::root(|g| {
        g.agent("x", "a").writes("list", Some(Merge::Append)).writes("sum", Some(Merge::Sum));
        g.agent("y", "b").writes("list", Some(Merge::Append)).writes("sum", Some(Merge::Sum));
        g.agent("z", "c").writes("list", Some(Merge::Append)).after(&["x"]);
        g.agent("end", "d").after(&["x", "y"]);
    });
    fn writes(request: &Request) -> Said {
        let value = |v: i64| Value::map([("variable", Value::text("list")), ("value", Value::Int(v))]);
        let n = if request.role.as_str() == "a" { 1 } else { 2 };
        match request.turn.0 {
            0 => Said::After(
                u64::try_from(10 - 5 * n).unwrap(),
                Box::new(Said::Calls(vec![
                    ("set_variable", value(n)),
                    ("set_variable", Value::map([("variable", Value::text("sum")), ("value", Value::Int(n))])),
                    ("set_variable", args(r#"{"variable":"other","value":1}"#)),
                ])),
            ),
            _ => done(),
        }
    }
    let run = run(plan, Script::default().agent("a", writes).agent("b", writes));
    let last = run.world.requests.iter().find(|r| r.role.as_str() == "d").unwrap();
    assert_eq!(last.context.get("variables"), Some(&json(r#"{"list":[1,2],"sum":3}"#)));
    let refused = run.events().into_iter().filter(|e| matches!(e, Event::ToolReturned { result, .. } if result.outcome.is_err()));
    assert_eq!(refused.count(), 2);
}

#[test]
fn a_variable_holds_so_much_and_more_is_refused_with_the_limit() {
    let plan = Plans::root(|g| {
        g.agent("x", "a").writes("v", None);
    });
    let run = run(
        plan,
        Script::default().agent("a", |request| match request.turn.0 {
            0 => Said::Calls(vec![(
                "set_variable",
                Value::map([("variable", Value::text("v")), ("value", Value::text("x".repeat(crate::graph::MAX_VARIABLE)))]),
            )]),
            _ => done(),
        }),
    );
    let told = results(&run.world.requests[1])[0].clone();
    assert!(told.contains("has 262146 bytes of JSON, and a variable holds 262144"), "{told}");
    assert!(run.state().variables().is_empty());
}

#[test]
fn a_later_write_replaces_one_that_it_knew_of() {
    let plan = Plans::root(|g| {
        g.agent("x", "a").writes("v", Some(Merge::Sum));
        g.agent("y", "b").writes("v", Some(Merge::Sum)).after(&["x"]);
        g.agent("end", "d").after(&["y"]);
    });
    let write = |v: i64| {
        move |request: &Request| match request.turn.0 {
            0 => Said::Calls(vec![("set_variable", Value::map([("variable", Value::text("v")), ("value", Value::Int(v))]))]),
            _ => done(),
        }
    };
    let run = run(plan, Script::default().agent("a", write(5)).agent("b", write(7)));
    assert_eq!(run.world.requests.last().unwrap().context.get("variables"), Some(&json(r#"{"v":7}"#)));
}

#[test]
fn an_agent_sees_what_its_past_found_in_declared_order_and_nothing_of_its_siblings() {
    let plan = Plans::root(|g| {
        g.agent("x", "a");
        g.agent("y", "b");
        g.agent("z", "c");
        g.agent("end", "d").after(&["x", "y"]);
    });
    fn finds(request: &Request) -> Said {
        let role = request.role.as_str();
        let claim = Value::map([("topic", Value::text("t")), ("claim", Value::text(role)), ("confidence", Value::Float(0.5))]);
        match (request.turn.0, role) {
            (0, "a") => Said::After(5, Box::new(Said::Calls(vec![("broadcast_finding", claim)]))),
            (0, _) => Said::Calls(vec![("broadcast_finding", claim)]),
            (_, _) => done(),
        }
    }
    let run = run(plan, Script::default().agent("a", finds).agent("b", finds).agent("c", finds));
    let last = run.world.requests.last().unwrap();
    let claims: Vec<&str> =
        last.context.get("findings").and_then(Value::as_list).unwrap().iter().filter_map(|f| f.get("claim")?.as_str()).collect();
    assert_eq!((last.role.as_str(), claims), ("d", vec!["a", "b"]));
}

/// Behind a node that was skipped early, a source that was still at it used to come into the past of an agent between two of
/// its turns: what it knew depended on the order of arrival.
#[test]
fn what_an_agent_knows_does_not_change_between_its_turns() {
    let plan = Plans::root(|g| {
        g.agent("slow", "a");
        g.tool("bad").allow_failure();
        g.tool("skipped").after(&["slow"]).failed("bad");
        g.agent("n", "b").done("skipped");
    });
    let script = Script::default()
        .agent("a", |_| Said::After(5, Box::new(Said::Finish(Value::text("a")))))
        .takes(&[("bad", 1), ("read", 9)])
        .agent("b", speaks(vec![|| Said::Calls(vec![("read", args("{}"))]), done]));
    let run = run(plan, script);
    let seen: Vec<&Value> = run.world.requests.iter().filter(|r| r.role.as_str() == "b").map(|r| &r.context).collect();
    assert_eq!((run.calls(), seen[0] == seen[1]), ("slow@0 bad@0 n@1 n@2 n@11".to_owned(), true));
}

#[test]
fn an_input_filter_leaves_only_what_it_says_and_its_failure_fails_the_node() {
    let plan = |input: &'static str| {
        Plans::root(move |g| {
            g.gate("n", r#"{"keep": [1], "drop": 2}"#);
            g.agent("x", "a").after(&["n"]).input(input);
        })
    };
    assert_eq!(run(plan("n.output.keep"), Script::default()).world.requests[0].input, json("[1]"));
    let run = run(plan("fail"), Script::default());
    assert_eq!((run.result(), run.world.requests.len()), ("failed null".to_owned(), 0));
}

#[test]
fn a_late_reply_costs_and_changes_nothing_else() {
    let plan = Plans::root(|g| {
        g.agent("n", "a").timeout(5);
    });
    let mut run = super::begin(plan, Script::default().stops_after(60).agent("a", |_| Said::Nothing), Rules::new());
    run.run_until(6_000).unwrap();
    let key = Key { node: NodeIx(0), attempt: 1, turn: crate::value::Turn(0), call: None };
    let said = run.scheduler.on(run.now, [Input::Replied { key, reply: Ok(Arc::new(reply(Some("late"), Vec::new()))) }]).unwrap();
    assert!(matches!(said.records.as_slice(), [record] if matches!(record.event, Event::LateResult { .. })));
    assert_eq!((run.result(), run.state().spent.usage.input), ("failed null".to_owned(), 10));
}

#[test]
fn the_coordinator_is_told_by_its_own_role() {
    let mut plan = Plans::root(|g| {
        g.agent("n", "a");
        g.agent("end", "boss").after(&["n"]);
    });
    plan.teams[0] = TeamPlan { coordinator: Some(super::world::agent("boss")), ..plan.teams[0].clone() };
    let calls = || Said::Calls(vec![("escalate", args(r#"{"reason":"stuck"}"#))]);
    let run = run(plan, Script::default().agent("a", speaks(vec![calls, done])));
    assert_eq!(run.result(), "completed boss");
    let mail = run.world.requests.last().unwrap().thread.first().cloned();
    assert!(matches!(&mail, Some(Entry::Mail(mail)) if &*mail[0].content == "stuck"), "{mail:?}");
}
