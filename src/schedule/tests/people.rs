//! What is a person asked, and what becomes of the answer?

use super::{Plans, Rules, Said, Script, compare, fails, go, json, run, run_by};
use crate::{
    event::{AskOutcome, Event, Input},
    graph::{EscalationPolicy, EscalationStep, Plan},
    value::{AskId, Entry, EscalateTo, FailureKind, Request, Timestamp, Value, Verdict},
};

fn asking(deadline: Option<u64>, default: Option<Value>) -> Plan {
    Plans::root(move |g| {
        g.ask("q", &["yes", "no"], deadline, default.clone());
        g.tool("a").when("q", r#"output.answer == "yes""#);
        g.tool("b").failed("q");
    })
}

#[test]
fn a_session_parks_until_a_person_answers() {
    let mut run = run(asking(None, None), Script::default());
    assert_eq!((run.result(), run.shown.len()), ("parked".to_owned(), 1));
    run.answer(AskId(0), "perhaps").unwrap();
    run.answer(AskId(7), "yes").unwrap();
    assert_eq!(run.result(), "parked", "neither another answer nor another question counts");
    run.answer(AskId(0), "yes").unwrap();
    go(&mut run);
    assert_eq!((run.calls(), run.result()), ("a@0".to_owned(), r#"completed {"a":"a"}"#.to_owned()));
}

#[test]
fn two_open_questions_are_shown_again_after_a_restart_and_answered_one_by_one() {
    let plan = Plans::root(|g| {
        g.ask("q", &[], None, None);
        g.ask("r", &[], None, None);
        g.tool("a").after(&["q"]);
        g.tool("b").after(&["r"]);
    });
    let mut run = run(plan, Script::default());
    run.answer(AskId(1), "this").unwrap();
    go(&mut run);
    run.shown.clear();
    run.crash(1_000).unwrap();
    assert_eq!((run.calls(), run.shown.iter().copied().collect::<Vec<_>>()), ("b@0".to_owned(), vec![AskId(0)]));
    run.answer(AskId(0), "that").unwrap();
    go(&mut run);
    assert_eq!(run.result(), r#"completed {"a":"a","b":"b"}"#);
}

#[test]
fn a_question_lapses_into_its_default_or_fails_its_node() {
    let run_out = |plan| {
        let mut run = run(plan, Script::default());
        run.run_until(20_000).unwrap();
        go(&mut run);
        run.result()
    };
    assert_eq!(run_out(asking(Some(10), Some(Value::text("yes")))), r#"completed {"a":"a"}"#);
    assert_eq!(run_out(asking(Some(10), None)), r#"completed {"b":"b"}"#);
}

#[test]
fn an_answer_after_the_deadline_is_refused_even_when_nobody_was_there_at_the_deadline() {
    let mut run = run(asking(Some(10), None), Script::default());
    run.now = Timestamp(30_000_000);
    run.answer(AskId(0), "yes").unwrap();
    go(&mut run);
    assert_eq!(run.calls(), "b@30");
    assert!(run.events().iter().any(|e| matches!(e, Event::AskClosed { outcome: AskOutcome::Lapsed, .. })));
    let mut again = super::run(asking(Some(10), None), Script::default());
    again.crash(30_000).unwrap();
    go(&mut again);
    assert_eq!(again.calls(), "b@30");
}

#[test]
fn cancelling_closes_questions() {
    let mut run = run(asking(None, None), Script::default());
    run.give(Input::Cancel { by: "ann".into(), reason: "enough".into() }).unwrap();
    compare(&run, "cancelled null", "a: skipped cancelled\nb: skipped cancelled\nq: cancelled");
    assert!(run.state().asks.is_empty());
}

fn unsure(policy: EscalationPolicy) -> Plan {
    let mut plan = Plans::root(|g| {
        g.agent("n", "a");
    });
    plan.teams[0].escalation_policy = vec![policy];
    plan.teams[0].escalation =
        vec![EscalationStep { to: "on-call".into(), deadline: Some(std::time::Duration::from_secs(60)), notify: None }];
    plan
}

fn guesses(request: &Request) -> Said {
    let answered =
        request.thread.iter().find_map(|e| if let Entry::Answer { answer, .. } = e { Some(answer.clone()) } else { None });
    let result = Value::map([("confidence", Value::Float(0.3)), ("heard", answered.unwrap_or_default())]);
    Said::Calls(vec![("finish", Value::map([("result", result)]))])
}

#[test]
fn an_uncertain_finish_asks_a_person_and_goes_on_with_the_answer() {
    let mut run = run(unsure(EscalationPolicy::OnUncertainty), Script::default().agent("a", guesses));
    assert_eq!(run.result(), "parked");
    run.answer(AskId(0), "it was the cat").unwrap();
    go(&mut run);
    assert_eq!(run.result(), r#"completed {"confidence":0.3,"heard":"it was the cat"}"#);
    let answered = run.world.requests[1].thread.iter().filter(|e| matches!(e, Entry::Result { .. })).count();
    assert_eq!(answered, 1, "no call stays unanswered");
}

#[test]
fn an_uncertain_finish_on_the_last_turn_ends_with_the_answer_beside_it() {
    let mut plan = unsure(EscalationPolicy::OnUncertainty);
    for member in &mut plan.teams[0].members {
        std::sync::Arc::make_mut(&mut member.profile).max_turns = 1;
    }
    let mut run = run(plan, Script::default().agent("a", guesses));
    run.answer(AskId(0), "cat").unwrap();
    go(&mut run);
    assert_eq!(run.result(), r#"completed {"answer":"cat","confidence":0.3,"heard":null}"#);
}

#[test]
fn an_uncertain_finish_that_nobody_answers_goes_on_without() {
    let mut run = run(unsure(EscalationPolicy::OnUncertainty), Script::default().agent("a", guesses));
    run.run_until(90_000).unwrap();
    go(&mut run);
    assert_eq!(run.result(), r#"completed {"confidence":0.3,"heard":null}"#);
}

#[test]
fn without_the_policy_an_uncertain_finish_is_a_finish() {
    let run = run(unsure(EscalationPolicy::OnFailure), Script::default().agent("a", guesses));
    assert_eq!(run.result(), r#"completed {"confidence":0.3,"heard":null}"#);
}

#[test]
fn a_person_says_what_becomes_of_a_failed_agent() {
    for (answer, result, outcome) in [
        ("retry", "completed done", "ok done"),
        ("skip", "completed null", "skipped moot"),
        ("fail", "failed null", "failed model"),
    ] {
        let mut first = true;
        let script = Script::default().agent("a", move |_| {
            if std::mem::take(&mut first) { Said::Fails(FailureKind::Model) } else { Said::Finish(Value::text("done")) }
        });
        let mut run = run(unsure(EscalationPolicy::OnFailure), script);
        assert_eq!(run.result(), "parked");
        run.answer(AskId(0), answer).unwrap();
        go(&mut run);
        compare(&run, result, &format!("n: {outcome}"));
    }
}

#[test]
fn a_tool_node_that_fails_asks_nobody() {
    let mut plan = Plans::root(|g| {
        g.tool("a");
    });
    plan.teams[0].escalation_policy = vec![EscalationPolicy::Always];
    assert_eq!(run(plan, Script::default().tool("a", vec![(1, fails(FailureKind::Tool))])).result(), "failed null");
}

#[test]
fn an_agent_may_escalate_and_gets_the_answer_as_the_result_of_its_call() {
    let calls = |request: &Request| match request.turn.0 {
        0 => Said::Calls(vec![("escalate", json(r#"{"reason":"stuck","question":"which?","options":["x","y"]}"#))]),
        _ => {
            let last = request.thread.last().cloned();
            let Some(Entry::Result { result, .. }) = last else { panic!("a result was expected") };
            Said::Finish(result.outcome.clone().unwrap_or_default())
        }
    };
    let mut run = run(unsure(EscalationPolicy::OnFailure), Script::default().agent("a", calls));
    let ask = run.state().asks.values().next().cloned().expect("it asks");
    assert_eq!((&*ask.question, ask.options.len(), ask.to.as_deref()), ("which?", 2, Some("on-call")));
    run.answer(ask.id, "x").unwrap();
    go(&mut run);
    assert_eq!(run.result(), r#"completed {"answer":"x","by":"ann"}"#);
}

#[test]
fn the_escalate_rule_says_whom_it_reaches() {
    let rules = |to: EscalateTo| {
        let mut rules = Rules::new();
        rules.insert("escalate", Box::new(move |_| Verdict::Escalate { to, question: "what now?".into(), options: Vec::new() }));
        rules
    };
    let of = |to| run_by(unsure(EscalationPolicy::OnUncertainty), Script::default().agent("a", guesses), rules(to));
    assert_eq!(of(EscalateTo::None).result(), r#"completed {"confidence":0.3,"heard":null}"#);
    let asked = of(EscalateTo::Person);
    assert_eq!(asked.state().asks.values().map(|a| &*a.question).collect::<Vec<_>>(), ["what now?"]);
}

/// How an agent gets stuck on these grounds.
fn stuck(cause: Option<EscalationPolicy>) -> impl FnMut(&Request) -> Said {
    move |request| match (cause, request.turn.0) {
        (Some(EscalationPolicy::OnUncertainty), _) => guesses(request),
        (Some(EscalationPolicy::OnFailure), _) => Said::Fails(FailureKind::Model),
        (Some(EscalationPolicy::OnTimeout), _) => Said::Nothing,
        (_, 0) => Said::Calls(vec![("escalate", json(r#"{"reason":"stuck"}"#))]),
        (_, _) => Said::Finish(Value::text("done")),
    }
}

/// Those of disagreement, stalls and budgets stand where these are tested.
#[test]
fn each_cause_escalates_where_the_policy_has_it_to_whom_the_rule_says_and_not_otherwise() {
    use EscalationPolicy::{Always, Never, OnFailure, OnTimeout, OnUncertainty};
    for cause in [Some(OnUncertainty), Some(OnFailure), Some(OnTimeout), None] {
        let others = [OnUncertainty, OnFailure, OnTimeout].into_iter().filter(|other| Some(*other) != cause);
        for policy in cause.into_iter().chain([Always, Never]).chain(others) {
            for to in [EscalateTo::Person, EscalateTo::Coordinator, EscalateTo::None] {
                let mut plan = unsure(policy);
                let mut graph = (*plan.graphs[0]).clone();
                graph.dag[petgraph::graph::NodeIndex::new(0)].timeout = Some(std::time::Duration::from_secs(5));
                plan.graphs[0] = graph.into();
                plan.teams[0].coordinator = Some(super::world::agent("boss"));
                let mut rules = Rules::new();
                rules.insert(
                    "escalate",
                    Box::new(move |facts| {
                        let name = cause.map_or(Value::Null, |cause| Value::text(cause.name()));
                        assert_eq!(facts.get("cause"), Some(&name));
                        Verdict::Escalate { to, question: "what now?".into(), options: Vec::new() }
                    }),
                );
                let run = run_by(plan, Script::default().agent("a", stuck(cause)), rules);
                let escalated = run.events().into_iter().find_map(|e| match e {
                    Event::Escalated { cause, to, .. } => Some((*cause, *to)),
                    _ => None,
                });
                let wanted = cause.is_none() || policy == Always || Some(policy) == cause;
                let expected = match (wanted, policy) {
                    (true, Never) => Some((cause, EscalateTo::None)),
                    (true, _) => Some((cause, to)),
                    (false, _) => None,
                };
                assert_eq!(escalated, expected, "{cause:?} under {policy:?}");
                let asks = expected.is_some_and(|(_, to)| to == EscalateTo::Person);
                assert_eq!(run.result() == "parked", asks, "{cause:?} under {policy:?} to {to:?}: {}", run.result());
            }
        }
    }
}

#[test]
fn a_timeout_does_not_run_while_a_person_is_asked() {
    let mut plan = unsure(EscalationPolicy::OnUncertainty);
    let mut graph = (*plan.graphs[0]).clone();
    graph.dag[petgraph::graph::NodeIndex::new(0)].timeout = Some(std::time::Duration::from_secs(5));
    plan.graphs[0] = graph.into();
    let mut run = run(plan, Script::default().agent("a", guesses));
    run.run_until(30_000).unwrap();
    assert_eq!(run.result(), "parked");
    run.answer(AskId(0), "x").unwrap();
    go(&mut run);
    assert!(run.result().starts_with("completed"), "{}", run.result());
}

/// An unsure agent whose question goes to on-call for a minute, then to the manager for two.
fn chain(last: Option<u64>) -> Plan {
    let mut plan = unsure(EscalationPolicy::OnUncertainty);
    let step = |to: &str, seconds: Option<u64>| EscalationStep {
        to: to.into(),
        deadline: seconds.map(std::time::Duration::from_secs),
        notify: None,
    };
    plan.teams[0].escalation = vec![step("on-call", Some(60)), step("manager", last)];
    plan
}

/// Whom the open question waits for, and until which second.
fn waits_for(run: &super::Run<Script>) -> Option<(String, Option<i64>)> {
    let ask = run.state().asks.values().next()?;
    Some((ask.to.as_deref().unwrap_or_default().to_owned(), ask.deadline.map(|at| at.0 / 1_000_000)))
}

#[test]
fn a_question_that_nobody_answers_in_time_goes_to_the_next_in_the_chain_and_lapses_after_the_last() {
    let mut run = run(chain(Some(120)), Script::default().agent("a", guesses));
    assert_eq!(waits_for(&run), Some(("on-call".into(), Some(61))));
    run.run_until(61_000).unwrap();
    assert_eq!(waits_for(&run), Some(("manager".into(), Some(181))));
    assert_eq!(run.result(), "parked");
    let moved = |e: &&Event| matches!(e, Event::AskMoved { to, .. } if &**to == "manager");
    assert_eq!(run.records.iter().map(|r| &r.event).filter(moved).count(), 1, "it is on the record");
    run.run_until(180_900).unwrap();
    assert_eq!(run.state().asks.len(), 1);
    run.run_until(181_000).unwrap();
    go(&mut run);
    assert_eq!(run.result(), r#"completed {"confidence":0.3,"heard":null}"#);
}

/// A chain whose steps are notified, of an agent that is unsure.
fn paged(last: Option<u64>) -> Plan {
    let mut plan = chain(last);
    for (step, notify) in plan.teams[0].escalation.iter_mut().zip(["page on-call", "https://example.com/manager"]) {
        step.notify = Some(notify.into());
    }
    plan
}

fn told(run: &super::Run<Script>) -> Vec<(String, String)> {
    run.notices.iter().map(|n| (n.key.rsplit_once("/q").unwrap().1.to_owned(), n.target.to_string())).collect()
}

#[test]
fn each_in_the_chain_is_told_once_under_a_key_of_its_own_and_the_session_parks_meanwhile() {
    let mut run = run(paged(Some(120)), Script::default().agent("a", guesses));
    assert_eq!((run.result().as_str(), told(&run)), ("parked", vec![("0/0".into(), "page on-call".into())]));
    assert!(run.state().notices.is_empty(), "it is on the record");
    let payload = run.notices[0].payload.clone();
    let text = |key: &str| payload.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    assert_eq!(
        (text("ask"), text("node"), text("to"), text("deadline")),
        ("q0".into(), "n".into(), "on-call".into(), "1970-01-01T00:01:01Z".into())
    );
    assert!(text("question").contains("needs help") && text("answer").contains(" q0 ") && text("key").ends_with("/q0/0"));
    run.run_until(61_000).unwrap();
    run.run_until(62_000).unwrap();
    assert_eq!(told(&run)[1..], [("0/1".to_owned(), "https://example.com/manager".to_owned())]);
    assert_eq!(run.result(), "parked");
    run.run_until(181_000).unwrap();
    go(&mut run);
    assert_eq!((run.result().as_str(), run.notices.len()), (r#"completed {"confidence":0.3,"heard":null}"#, 2));
    let notified = run.events().into_iter().filter(|e| matches!(e, Event::Notified { .. })).count();
    assert_eq!(notified, 2);
}

#[test]
fn an_outage_before_somebody_was_told_repeats_it_under_the_same_key_and_one_after_that_does_not() {
    let mut run = super::begin(paged(Some(120)), Script::default().agent("a", guesses), Rules::new());
    run.run_until(1_050).unwrap();
    assert_eq!(told(&run).len(), 1);
    run.crash(10_000).unwrap();
    run.run_until(20_000).unwrap();
    run.crash(10_000).unwrap();
    run.run_until(40_000).unwrap();
    assert_eq!(told(&run), vec![("0/0".to_owned(), "page on-call".to_owned()); 2]);
    assert_eq!(waits_for(&run), Some(("on-call".into(), Some(61))), "it moves nobody's deadline");
}

#[test]
fn a_notification_that_fails_or_comes_late_fails_nothing_and_is_on_the_record() {
    let mut run = super::begin(paged(None), Script::default().agent("a", guesses), Rules::new());
    run.run_until(1_050).unwrap();
    let result = Err(crate::value::Failure::new(FailureKind::Transport, "no pager"));
    run.give(Input::Notified { ask: AskId(0), nth: 1, result: Ok(()) }).unwrap();
    run.give(Input::Notified { ask: AskId(7), nth: 0, result: Ok(()) }).unwrap();
    run.give(Input::Notified { ask: AskId(0), nth: 0, result }).unwrap();
    run.run_until(50_000).unwrap();
    assert_eq!(run.result(), "parked", "what nobody waits for is no fact, and the second word on it neither");
    let report = crate::report::Report::of(&run.records).unwrap();
    assert_eq!(report.warnings, ["n: on-call could not be notified of q0: no pager"]);
    run.answer(AskId(0), "cat").unwrap();
    go(&mut run);
    assert_eq!(run.result(), r#"completed {"confidence":0.3,"heard":"cat"}"#);
}

#[test]
fn an_ask_node_tells_whom_it_asks() {
    let plan = Plans::root(|g| {
        let mut spot = g.ask("q", &["yes"], None, None);
        if let crate::graph::NodeKind::Ask(ask) = &mut spot.node().kind {
            (ask.to, ask.notify) = (Some("ann".into()), Some("page ann".into()));
        }
    });
    let mut run = run(plan, Script::default());
    assert_eq!(told(&run), [("0/0".to_owned(), "page ann".to_owned())]);
    run.answer(AskId(0), "yes").unwrap();
    go(&mut run);
    assert_eq!(run.result(), r#"completed {"answer":"yes","by":"ann"}"#);
}

/// Time that passed while a person was told while all else was parked counted as running time.
#[test]
fn what_is_told_while_a_session_is_parked_takes_none_of_its_time() {
    let mut plan = paged(None);
    plan.limits.wall_seconds = Some(5);
    let mut run = super::begin(plan, Script::default().agent("a", guesses), Rules::new());
    run.run_until(1_050).unwrap();
    run.crash(600_000).unwrap();
    run.run_until(900_000).unwrap();
    run.answer(AskId(0), "cat").unwrap();
    go(&mut run);
    assert_eq!(run.result(), r#"completed {"confidence":0.3,"heard":"cat"}"#);
}

#[test]
fn whoever_has_the_question_last_may_answer_it() {
    let mut run = run(chain(Some(120)), Script::default().agent("a", guesses));
    run.run_until(100_000).unwrap();
    run.answer(AskId(0), "it was the dog").unwrap();
    go(&mut run);
    assert_eq!(run.result(), r#"completed {"confidence":0.3,"heard":"it was the dog"}"#);
}

#[test]
fn a_last_step_without_a_deadline_waits_for_as_long_as_it_takes() {
    let mut run = run(chain(None), Script::default().agent("a", guesses));
    run.run_until(1_000_000_000).unwrap();
    assert_eq!(waits_for(&run), Some(("manager".into(), None)));
}

#[test]
fn an_outage_gives_nobody_in_the_chain_more_time() {
    let mut moved = run(chain(Some(120)), Script::default().agent("a", guesses));
    moved.crash(100_000).unwrap();
    assert_eq!(waits_for(&moved), Some(("manager".into(), Some(181))));
    let mut lapsed = run(chain(Some(120)), Script::default().agent("a", guesses));
    lapsed.crash(500_000).unwrap();
    go(&mut lapsed);
    assert_eq!(lapsed.result(), r#"completed {"confidence":0.3,"heard":null}"#);
}

/// An answer that was given in time and read too late was lost.
#[test]
fn an_answer_counts_from_when_it_was_given() {
    for (given, result) in [(9, "completed early"), (10, "completed nobody")] {
        let plan = Plans::root(|g| {
            g.ask("a", &[], Some(10), Some(Value::text("nobody")));
            g.output("a.output.answer");
        });
        let mut run = super::begin(plan, Script::default(), super::Rules::new());
        run.now = Timestamp(60_000_000);
        let at = Timestamp(given * 1_000_000);
        run.give(Input::Answered { ask: AskId(0), value: Value::text("early"), by: "ann".into(), at }).unwrap();
        go(&mut run);
        assert_eq!(run.result(), result);
    }
}

#[test]
fn the_time_that_a_person_takes_is_no_running_time_of_the_scopes_around_the_question() {
    let plan = Plans::root(|g| {
        g.group("team", |g| {
            g.ask("q", &["yes", "no"], None, None);
            g.tool("slow").after(&["q"]);
        })
        .timeout(60);
    });
    let script = |seconds| Script::default().takes(&[("team/slow", seconds)]);
    let answered = |mut run: super::Run<Script>| {
        assert_eq!(run.result(), "parked");
        run.now = Timestamp(3_600_000_000);
        run.answer(AskId(0), "yes").unwrap();
        go(&mut run);
        run
    };
    assert_eq!(answered(run(plan.clone(), script(50))).result(), "completed team/slow");
    let late = answered(run(plan, script(70)));
    assert!(late.outcomes().contains("team: failed timeout"), "its running time counts: {}", late.outcomes());
}
