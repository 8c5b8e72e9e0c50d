//! What becomes of a question that a tool asks while its call is in flight?

use std::time::Duration;

use super::*;
use crate::{
    event::{AskOutcome, Event, Input},
    graph::{EscalationStep, MAX_CALL_QUESTIONS},
    value::{AskId, CallQuestion, EffectClass, Entry, Form, FormAnswer},
};

const SIZE: &str = r#"{"type": "object", "required": ["size"], "properties": {"size": {"enum": ["S", "M"]}}}"#;

/// The call that was made last asks something.
fn ask(run: &mut Run<Script>, nth: u32, text: &str) {
    let key = run.made.last().unwrap().key;
    let question = Arc::new(CallQuestion { nth, text: text.into(), form: Form(json(SIZE)) });
    run.give(Input::Elicited { key, question }).unwrap();
}

/// It returns.
fn returns(run: &mut Run<Script>, result: Result<Value, Failure>) {
    let key = run.made.last().unwrap().key;
    run.arrive(0, Input::Returned { key, result });
    run.step().unwrap();
}

/// Its tool waits no longer.
fn gives_up(run: &mut Run<Script>) {
    returns(run, fails(FailureKind::Unanswered));
}

/// Calls return when the test says so.
fn waiting() -> Script {
    Script::default().tool("a", vec![]).tool("look", vec![])
}

fn node(effect: EffectClass) -> Plan {
    Plans::root(|g| {
        g.call("a", "t", effect).timeout(5);
    })
}

/// An agent that makes one call and ends with what came of it.
fn agent() -> (Plan, Script) {
    let plan = Plans::root(|g| {
        g.agent("n", "a");
    });
    let script = waiting().agent("a", |request| match request.thread.last() {
        Some(Entry::Result { result, .. }) => Said::Finish(match &result.outcome {
            Ok(value) => value.clone(),
            Err(failure) => Value::text(failure.kind.name()),
        }),
        _ => Said::Calls(vec![("look", json("{}"))]),
    });
    (plan, script)
}

fn size(size: &str) -> FormAnswer {
    FormAnswer::Accept(Value::map([("size", Value::text(size))]))
}

fn told(run: &Run<Script>) -> Vec<FormAnswer> {
    run.told.iter().map(|(.., answer)| answer.clone()).collect()
}

fn asks_made(run: &Run<Script>) -> usize {
    run.records.iter().filter(|r| matches!(r.event, Event::Asked(_))).count()
}

#[test]
fn a_call_waits_in_flight_for_the_answer_and_its_time_limit_stands_still() {
    let mut run = begin(node(EffectClass::Read), waiting(), Rules::new());
    run.run_until(1_000).unwrap();
    ask(&mut run, 0, "which size?");
    run.run_until(50_000).unwrap();
    assert_eq!((run.state().in_flight(), run.state().parked), (1, false));
    assert!(run.state().check_answer(AskId(0), &Value::text("L")).unwrap_err().contains("one of S, M"));
    run.answer(AskId(0), "L").unwrap();
    assert!(run.told.is_empty(), "what does not fit is no answer");
    run.answer(AskId(0), "M").unwrap();
    assert_eq!(told(&run), [size("M")]);
    run.run_until(53_000).unwrap();
    returns(&mut run, Ok(Value::Int(1)));
    assert_eq!((run.result(), run.made.len()), ("completed 1".to_owned(), 1));
}

#[test]
fn a_call_that_nobody_answers_is_let_go_and_made_again_with_the_answer_that_comes_later() {
    let (plan, script) = agent();
    for (plan, script) in [(node(EffectClass::Idempotent), waiting()), (plan, script)] {
        let mut run = begin(plan, script, Rules::new());
        while run.made.last().is_none_or(|made| made.tool.is_empty()) {
            run.step().unwrap();
        }
        ask(&mut run, 0, "which size?");
        gives_up(&mut run);
        assert!(run.state().parked, "only the question is open");
        run.check_fold().unwrap();
        run.answer(AskId(0), "S").unwrap();
        let mut steps = 0;
        while run.made.iter().filter(|made| !made.tool.is_empty()).count() < 2 {
            steps += 1;
            assert!(steps < 10 && run.step().unwrap(), "it is made again");
        }
        ask(&mut run, 0, "which size?");
        assert_eq!((told(&run), asks_made(&run)), (vec![size("S")], 1), "nobody is asked again");
        ask(&mut run, 0, "another question?");
        assert_eq!(asks_made(&run), 2, "another question is another");
        returns(&mut run, Ok(Value::Int(1)));
        go(&mut run);
        assert_eq!(run.result(), "completed 1");
        assert!(run.state().told.is_empty() && run.state().asks.is_empty(), "nobody needs them any more");
    }
}

#[test]
fn an_irreversible_call_that_nobody_answers_is_in_doubt_and_never_made_again_unasked() {
    let mut run = begin(node(EffectClass::Irreversible), waiting(), Rules::new());
    run.run_until(1_000).unwrap();
    ask(&mut run, 0, "which size?");
    gives_up(&mut run);
    assert_eq!(run.state().asks.len(), 2, "what it asks, and whether it happened");
    run.answer(AskId(0), "M").unwrap();
    go(&mut run);
    assert_eq!((run.made.len(), run.state().parked), (1, true), "an answer says nothing of what happened");
    run.answer(AskId(1), "not_happened").unwrap();
    run.step().unwrap();
    assert_eq!(run.made.len(), 2);
    ask(&mut run, 0, "which size?");
    assert_eq!(told(&run), [size("M")]);
    run.check_fold().unwrap();
}

#[test]
fn a_question_outlives_an_outage_and_a_repeated_call_waits_for_the_same_answer() {
    let mut run = begin(node(EffectClass::Read), waiting(), Rules::new());
    run.run_until(1_000).unwrap();
    ask(&mut run, 0, "which size?");
    run.crash(60_000).unwrap();
    assert_eq!((run.made.len(), run.state().asks.len()), (2, 1));
    ask(&mut run, 0, "which size?");
    assert_eq!(asks_made(&run), 1);
    run.answer(AskId(0), "S").unwrap();
    assert_eq!(told(&run), [size("S")]);
    // It is told again after the next outage, whether it heard it or not.
    run.crash(60_000).unwrap();
    ask(&mut run, 0, "which size?");
    assert_eq!(told(&run), [size("S"), size("S")]);
}

#[test]
fn a_question_that_lapses_is_cancelled_where_the_call_waits_and_fails_it_where_it_was_let_go() {
    for lets_go in [false, true] {
        let (mut plan, script) = agent();
        let deadline = Some(Duration::from_secs(10));
        plan.teams[0].escalation = vec![EscalationStep { to: "on-call".into(), deadline, notify: None }];
        let mut run = begin(plan, script, Rules::new());
        while run.made.last().is_none_or(|made| made.tool.is_empty()) {
            run.step().unwrap();
        }
        ask(&mut run, 0, "which size?");
        if lets_go {
            gives_up(&mut run);
        }
        run.run_until(20_000).unwrap();
        let lapsed = |r: &crate::event::Record| matches!(&r.event, Event::AskClosed { outcome: AskOutcome::Lapsed, .. });
        assert!(run.records.iter().any(lapsed));
        if lets_go {
            assert_eq!((told(&run), run.result().as_str()), (vec![], "completed unanswered"));
        } else {
            assert_eq!(told(&run), [FormAnswer::Cancel], "it goes on");
        }
    }
}

#[test]
fn a_call_asks_so_often_and_one_that_is_over_asks_nobody() {
    let mut run = begin(node(EffectClass::Read), waiting(), Rules::new());
    run.run_until(1_000).unwrap();
    for nth in 0..=MAX_CALL_QUESTIONS as u32 {
        ask(&mut run, nth, "more?");
    }
    assert_eq!((told(&run), run.state().asks.len()), (vec![FormAnswer::Cancel], MAX_CALL_QUESTIONS));
    returns(&mut run, Ok(Value::Int(1)));
    ask(&mut run, 90, "still there?");
    assert_eq!((asks_made(&run), run.state().asks.len(), run.result().as_str()), (MAX_CALL_QUESTIONS, 0, "completed 1"));
}
