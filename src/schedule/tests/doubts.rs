//! What becomes of calls whose outcome nobody knows, and how often may they be made again?

use std::sync::Arc;

use super::*;
use crate::{
    event::{Event, Input},
    graph::{EscalationPolicy, EscalationStep, Node, SECOND_CHANCES},
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

/// The question lapsed, the node's time was up in the same moment, and the next attempt repeated the call.
#[test]
fn a_question_of_doubt_that_lapses_fails_its_node_which_is_not_tried_again() {
    let mut plan = Plans::root(|g| {
        g.call("a", "fire", EffectClass::Irreversible).timeout(5).retry(3, &[FailureKind::Timeout, FailureKind::InDoubt]);
    });
    let deadline = Some(std::time::Duration::from_secs(10));
    plan.teams[0].escalation = vec![EscalationStep { to: "on-call".into(), deadline, notify: None }];
    let mut run = run(plan, Script::default().takes(&[("a", 60)]));
    while run.step().unwrap() {}
    run.check_fold().unwrap();
    assert_eq!((run.calls().as_str(), run.result().as_str()), ("a@0", "failed null"));
    assert_eq!(run.outcomes(), "a: failed in_doubt\n");
}

/// An answer and a look at the clock that came together let the time of the node end it before anybody heard the answer.
#[test]
fn an_answer_on_what_is_in_doubt_counts_whatever_arrives_with_it() {
    let plan = Plans::root(|g| {
        g.call("a", "fire", EffectClass::Irreversible).timeout(5).retry(3, &[]);
    });
    let mut run = run(plan, Script::default().takes(&[("a", 60)]));
    let answer = Input::Answered { ask: AskId(0), value: Value::text("happened"), by: "ann".into(), at: run.now };
    let step = run.scheduler.on(run.now, [answer, Input::Tick]).unwrap();
    run.absorb(step).unwrap();
    go(&mut run);
    assert_eq!((run.calls().as_str(), run.result().as_str()), ("a@0", "completed null"));
}

/// The session of a scope that may be tried three times, what its nodes answer, and how it ends.
#[track_caller]
fn scope_with(made: &str, outcomes: &str, script: Script, scope: impl Fn(&mut Node) + 'static, body: fn(&mut Flow<'_>)) {
    let plan = Plans::root(move |g| {
        scope(g.group("g", body).retry(3, &[]).node());
    });
    let mut run = run(plan, script.stops_after(1));
    while run.step().unwrap() {}
    run.check_fold().unwrap();
    assert_eq!((run.calls().as_str(), run.outcomes().trim()), (made, outcomes));
}

fn in_seconds(seconds: u64) -> impl Fn(&mut Node) {
    move |node| node.timeout = Some(std::time::Duration::from_secs(seconds))
}

/// The scope's next attempt made the calls again that were in flight when the time of the first was up.
#[test]
fn a_scope_whose_time_is_up_while_an_irreversible_call_is_in_flight_below_it_is_in_doubt_and_not_tried_again() {
    let slow = || Script::default().takes(&[("g/a", 60), ("g/h/a", 60)]);
    scope_with("g/a@0", "g: failed in_doubt\ng/a: cancelled", slow(), in_seconds(5), |g| {
        g.call("a", "fire", EffectClass::Irreversible);
    });
    scope_with("g/h/a@0", "g: failed in_doubt\ng/h: cancelled\ng/h/a: cancelled", slow(), in_seconds(5), |g| {
        g.group("h", |g| {
            g.call("a", "fire", EffectClass::Irreversible);
        })
        .retry(2, &[]);
    });
    let made = "g/a@0 g/a@7 g/a@16";
    scope_with(made, "g: failed timeout\ng/a: cancelled", slow(), in_seconds(5), |g| {
        g.call("a", "idem", EffectClass::Idempotent);
    });
}

/// A straggler was cut off, something else failed, and the next attempt of the scope made the straggler's call again.
#[test]
fn a_scope_with_a_call_in_doubt_is_not_tried_again_whatever_else_fails_in_it() {
    let script = || Script::default().takes(&[("g/a", 60)]).tool("g/c", vec![(1, fails(FailureKind::Tool))]);
    let cut = "g: failed in_doubt\ng/a: cancelled\ng/b: ok g/b\ng/c: failed tool";
    scope_with(
        "g/a@0 g/b@0 g/c@1",
        cut,
        script(),
        |_| {},
        |g| {
            g.call("a", "fire", EffectClass::Irreversible);
            g.tool("b");
            g.tool("c").after(&["a"]).after(&["b"]).any();
        },
    );
}

#[test]
fn a_scope_that_a_person_was_asked_about_below_is_not_tried_again_once_its_time_is_up() {
    let script = Script::default().tool("g/a", vec![(1, fails(FailureKind::Transport))]).takes(&[("g/b", 60)]);
    let ended = "g: failed in_doubt\ng/a: cancelled\ng/b: cancelled";
    scope_with("g/a@0 g/b@0", ended, script, in_seconds(5), |g| {
        g.call("a", "fire", EffectClass::Irreversible);
        g.tool("b");
    });
}

/// An agent that did not learn whether its call had happened failed later, and its next attempt made the call again.
#[test]
fn an_agent_that_does_not_know_whether_its_call_happened_is_not_tried_again() {
    let plan = Plans::root(|g| {
        g.agent("n", "a").retry(3, &[FailureKind::Model]);
    });
    let script = Script::default()
        .agent("a", |request| match request.thread.last() {
            Some(Entry::Result { .. }) => Said::Fails(FailureKind::Model),
            _ => Said::Calls(vec![("fire", json("{}"))]),
        })
        .tool("fire", vec![(1, fails(FailureKind::Transport))]);
    let mut run = run(plan, script);
    run.answer(AskId(0), "unknown").unwrap();
    go(&mut run);
    let fired = run.made.iter().filter(|m| &*m.tool == "fire").count();
    assert_eq!((fired, run.outcomes().as_str()), (1, "n: failed in_doubt\n"));
}

/// A person who skipped an agent that was cut off while firing took the doubt with it: the scope's next attempt fired again.
#[test]
fn a_scope_is_not_tried_again_after_a_person_skipped_the_agent_below_it_whose_call_is_in_doubt() {
    let mut plan = Plans::root(|g| {
        g.group("g", |g| {
            g.agent("n", "a").timeout(5);
            g.tool("b").done("n");
        })
        .retry(3, &[]);
    });
    plan.teams[0].escalation_policy = vec![EscalationPolicy::OnFailure];
    let script = shooter().takes(&[("fire", 60)]).tool("g/b", vec![(1, fails(FailureKind::Tool))]);
    let mut run = run(plan, script);
    run.answer(AskId(0), "skip").unwrap();
    go(&mut run);
    let fired = run.made.iter().filter(|m| &*m.tool == "fire").count();
    assert_eq!((fired, run.outcomes().as_str()), (1, "g: failed in_doubt\ng/b: failed tool\ng/n: skipped moot\n"));
}
