//! What becomes of calls whose outcome nobody knows, and how often may they be made again?

use std::sync::Arc;

use super::*;
use crate::{
    event::Event,
    graph::{EscalationPolicy, SECOND_CHANCES},
    value::{AskId, EffectClass, Entry, Expr, Judge, RuleError, RuleKind, TeamIx, TextTemplate, Verdict},
};

fn reconciles(known: Option<Option<Value>>) -> Rules {
    let mut rules = Rules::new();
    rules.insert("reconcile", Box::new(move |_| Verdict::Reconcile(known.clone())));
    rules
}

fn fire() -> Plan {
    Plans::root(|g| {
        g.call("a", "fire", EffectClass::Irreversible).timeout(5);
    })
}

fn broken_off() -> Script {
    Script::default().tool("a", vec![(1, fails(FailureKind::Transport)), (1, Ok(Value::text("at last")))])
}

/// The verdicts of `reconcile` on the record.
fn verdicts(run: &Run<Script>) -> usize {
    let judged = |e: &&Event| matches!(e, Event::Judged { rule: RuleKind::Reconcile, .. });
    run.records.iter().map(|r| &r.event).filter(judged).count()
}

#[test]
fn the_rule_says_what_became_of_a_call_before_anybody_is_asked() {
    let happened = Some(Some(Value::text("it is done")));
    for (known, result, made) in
        [(happened, r#"completed it is done"#, 1), (Some(None), "completed at last", 2), (None, "parked", 1)]
    {
        let run = run_by(fire(), broken_off(), reconciles(known.clone()));
        assert_eq!((run.result(), run.made.len(), verdicts(&run)), (result.to_owned(), made, 1), "{known:?}");
        assert_eq!(run.state().asks.len(), usize::from(known.is_none()));
    }
}

#[test]
fn the_rule_knows_the_call_and_why_no_result_came() {
    let mut rules = Rules::new();
    rules.insert("reconcile", Box::new(|facts| Verdict::Reconcile(Some(Some(facts.clone())))));
    let run = run_by(fire(), broken_off(), rules);
    let facts = json(run.result().trim_start_matches("completed "));
    let part = |key: &str| facts.get(key).map(ToString::to_string).unwrap_or_default();
    assert_eq!((part("tool"), part("node"), part("args")), ("fire".into(), "a".into(), r#"{"id":"a"}"#.into()));
    assert!(part("failure").contains("transport"), "{facts}");
}

#[test]
fn the_rule_is_asked_after_a_timeout_and_what_still_comes_is_late() {
    for (known, result) in [(Some(Some(Value::Int(7))), "completed 7"), (Some(None), "failed null")] {
        let script = Script::default().takes(&[("a", 60)]).stops_after(1);
        let mut run = run_by(fire(), script, reconciles(known));
        while run.step().unwrap() {}
        run.check_fold().unwrap();
        assert_eq!(run.result(), result);
        let late = run.records.iter().filter(|r| matches!(r.event, Event::LateResult { .. })).count();
        assert_eq!(late, run.made.len(), "each of them was cancelled");
    }
}

#[test]
fn the_rule_is_asked_after_an_outage() {
    for (known, result, made) in [(Some(Some(Value::Int(7))), "completed 7", 1), (Some(None), "completed a", 2)] {
        let mut run = begin(fire(), Script::default().takes(&[("a", 3)]), reconciles(known));
        run.run_until(1_000).and_then(|()| run.crash(60_000)).unwrap();
        go(&mut run);
        assert_eq!((run.result(), run.made.len()), (result.to_owned(), made));
    }
}

#[test]
fn a_call_that_the_rule_says_never_happened_is_made_again_so_often_and_then_fails() {
    let script = Script::default().tool("a", vec![(1, fails(FailureKind::Transport))]);
    let run = run_by(fire(), script, reconciles(Some(None)));
    assert_eq!((run.result(), run.made.len()), ("failed null".to_owned(), 1 + SECOND_CHANCES as usize));
    assert!(run.outcomes().contains("a: failed in_doubt"), "{}", run.outcomes());
}

/// An agent that fires until it gets a result, and finishes with how that came out.
fn shooter() -> Script {
    Script::default().agent("a", |request| match request.thread.last() {
        Some(Entry::Result { result, .. }) => Said::Finish(match &result.outcome {
            Ok(value) => value.clone(),
            Err(failure) => Value::text(failure.kind.name()),
        }),
        _ => Said::Calls(vec![("fire", json("{}"))]),
    })
}

fn activation() -> Plan {
    Plans::root(|g| {
        g.agent("n", "a");
    })
}

#[test]
fn an_agent_reads_what_the_rule_knows_of_its_call() {
    let broken = || shooter().tool("fire", vec![(1, fails(FailureKind::Transport))]);
    let happened = run_by(activation(), broken(), reconciles(Some(Some(Value::Int(7)))));
    assert_eq!(happened.result(), "completed 7");
    let never = run_by(activation(), broken(), reconciles(Some(None)));
    let fired = never.made.iter().filter(|m| &*m.tool == "fire").count();
    assert_eq!((never.result(), fired), ("completed in_doubt".to_owned(), 1 + SECOND_CHANCES as usize));
    let unknown = run_by(activation(), broken(), reconciles(None));
    assert_eq!(unknown.result(), "parked");
}

struct Broken(TestJudge);

impl Judge for Broken {
    fn eval(&self, expr: &Expr, names: &[(&str, Value)]) -> Result<Value, RuleError> {
        self.0.eval(expr, names)
    }

    fn judge(&self, _: TeamIx, _: &RuleKind, _: &Value) -> Result<Option<Verdict>, RuleError> {
        Err(RuleError { message: "it divides by zero".to_owned(), place: crate::value::Place::default() })
    }

    fn render(&self, template: &TextTemplate, names: &[(&str, Value)]) -> Result<Arc<str>, RuleError> {
        self.0.render(template, names)
    }

    fn fill(&self, template: &TextTemplate, names: &[(&str, Value)]) -> Result<Value, RuleError> {
        self.0.fill(template, names)
    }
}

#[test]
fn a_person_is_asked_where_the_rule_fails() {
    let mut plan = fire();
    plan.teams[0].rules = vec!["reconcile".into()];
    let mut run = Run::start(plan, Arc::new(Broken(TestJudge::default())), broken_off()).unwrap();
    go(&mut run);
    let question = run.state().asks.values().next().map(|ask| ask.question.to_string()).unwrap_or_default();
    assert!(question.contains("the rule that should know failed") && question.contains("it divides by zero"), "{question}");
}

#[test]
fn a_person_may_say_so_often_that_a_call_never_happened() {
    let script = Script::default().tool("a", vec![(1, fails(FailureKind::Transport))]);
    let mut run = run(fire(), script);
    let mut asked = 0;
    while let Some(ask) = run.state().asks.keys().next().copied() {
        asked += 1;
        assert!(asked < 10, "it asks for ever");
        run.answer(ask, "not_happened").unwrap();
        go(&mut run);
    }
    assert_eq!((run.result(), asked, run.made.len()), ("failed null".to_owned(), 3, 1 + SECOND_CHANCES as usize));
}

#[test]
fn a_person_may_say_so_often_that_a_call_of_an_agent_never_happened() {
    let mut run = run(activation(), shooter().tool("fire", vec![(1, fails(FailureKind::Transport))]));
    for _ in 0..=SECOND_CHANCES {
        let ask = *run.state().asks.keys().next().expect("it is in doubt again");
        run.answer(ask, "not_happened").unwrap();
        go(&mut run);
    }
    assert_eq!(run.result(), "completed in_doubt");
}

#[test]
fn a_person_may_order_so_many_retries_of_a_failed_agent() {
    let mut plan = activation();
    plan.teams[0].escalation_policy = vec![EscalationPolicy::OnFailure];
    let mut run = run(plan, Script::default().agent("a", |_| Said::Fails(FailureKind::Model)));
    for n in 0..SECOND_CHANCES {
        run.answer(AskId(n), "retry").unwrap();
        go(&mut run);
    }
    assert_eq!((run.result(), run.made.len()), ("failed null".to_owned(), 1 + SECOND_CHANCES as usize));
}
