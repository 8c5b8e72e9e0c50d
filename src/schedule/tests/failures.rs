//! What becomes of what fails?

use super::{Plans, Script, check, compare, fails, go, run};
use crate::{
    event::{Event, Input, Outcome},
    value::{EffectClass, FailureKind, NodeIx, Value},
};

fn failing(kind: FailureKind) -> Script {
    Script::default().tool("a", vec![(1, fails(kind))])
}

#[test]
fn a_retryable_failure_is_tried_again_with_growing_waits_and_only_so_often() {
    let plan = |on: &'static [FailureKind]| {
        Plans::root(move |g| {
            g.tool("a").retry(4, on);
        })
    };
    let tried = run(plan(&[]), failing(FailureKind::Exit));
    assert_eq!((tried.calls(), tried.result()), ("a@0 a@3 a@8 a@17".to_owned(), "failed null".to_owned()));
    assert_eq!(run(plan(&[]), failing(FailureKind::Schema)).calls(), "a@0");
    assert_eq!(run(plan(&[FailureKind::Schema]), failing(FailureKind::Exit)).calls(), "a@0");
    let twice = Script::default().tool("a", vec![(1, fails(FailureKind::Tool)), (1, Ok(Value::text("at last")))]);
    assert_eq!(run(plan(&[]), twice).result(), "completed at last");
}

#[test]
fn a_timeout_stops_the_call_and_its_late_result_changes_nothing() {
    let plan = Plans::root(|g| {
        g.tool("a").timeout(5).retry(2, &[]);
        g.tool("b").after(&["a"]);
    });
    let script =
        Script::default().tool("a", vec![(60, Ok(Value::text("too late"))), (1, Ok(Value::text("second")))]).stops_after(1);
    let run = check(plan, script, "completed b", "a: ok second\nb: ok b");
    assert_eq!(run.calls(), "a@0 a@7 b@8");
    assert!(run.events().iter().any(|e| matches!(e, Event::LateResult { .. })));
    assert!(run.state().late.is_empty());
}

#[test]
fn a_result_at_the_deadline_is_late() {
    let plan = Plans::root(|g| {
        g.tool("a").timeout(5);
    });
    check(plan, Script::default().takes(&[("a", 5)]), "failed null", "a: failed timeout");
}

#[test]
fn a_timeout_that_a_tool_reports_itself_leaves_nothing_in_flight() {
    let plan = Plans::root(|g| {
        g.tool("a").timeout(5).retry(2, &[]);
    });
    let run = run(plan, failing(FailureKind::Timeout));
    assert_eq!((run.calls(), run.state().late.len()), ("a@0 a@3".to_owned(), 0));
}

#[test]
fn a_handler_runs_once_after_the_last_attempt_and_sees_the_error() {
    let plan = Plans::root(|g| {
        g.tool("a").retry(2, &[]);
        g.gate("oops", "error").failed("a");
        g.tool("next").after(&["a"]);
        g.output("oops.output");
    });
    let run = run(plan, failing(FailureKind::Tool));
    let expected = r#"completed {"kind":"tool","message":"as the script says","node":"a","status":null}"#;
    assert_eq!((run.result(), run.calls()), (expected.to_owned(), "a@0 a@3".to_owned()));
}

#[test]
fn a_handler_of_what_succeeds_is_skipped() {
    let plan = Plans::root(|g| {
        g.tool("a");
        g.tool("oops").failed("a");
    });
    check(plan, Script::default(), "completed null", "a: ok a\noops: skipped join");
}

#[test]
fn an_allowed_failure_meets_ok_edges_and_is_a_warning() {
    let plan = Plans::root(|g| {
        g.tool("a").allow_failure();
        g.tool("b").after(&["a"]);
    });
    let run = check(plan, failing(FailureKind::Tool), "completed b", "a: failed tool\nb: ok b");
    assert_eq!(run.state().warnings, [NodeIx(0)]);
}

#[test]
fn without_fail_fast_the_sibling_finishes_and_with_it_what_has_not_started_never_does() {
    let plan = |fail_fast: bool| {
        let mut plan = Plans::root(|g| {
            g.tool("a");
            g.tool("b");
            g.tool("c").after(&["b"]);
        });
        plan.teams[0].fail_fast = fail_fast;
        plan
    };
    check(plan(false), failing(FailureKind::Tool).takes(&[("b", 3)]), "failed null", "a: failed tool\nb: ok b\nc: ok c");
    let fast = run(plan(true), failing(FailureKind::Tool).takes(&[("b", 3)]));
    compare(&fast, "failed null", "a: failed tool\nb: cancelled\nc: skipped failfast");
    let failure = fast.state().finished.as_ref().and_then(|f| f.failure.clone());
    assert_eq!(failure.and_then(|f| f.node).as_deref(), Some("a"));
}

#[test]
fn fail_fast_stops_at_a_scope_that_handles_the_failure() {
    let mut plan = Plans::root(|g| {
        g.group("g", |g| {
            g.tool("a");
        })
        .allow_failure();
        g.tool("b");
    });
    plan.teams[0].fail_fast = true;
    let script = Script::default().tool("g/a", vec![(1, fails(FailureKind::Tool))]).takes(&[("b", 3)]);
    check(plan, script, r#"completed {"b":"b"}"#, "b: ok b\ng: failed tool\ng/a: failed tool");
}

#[test]
fn finally_runs_once_after_success_and_sees_the_status_and_the_output() {
    let plan = Plans::with_finally(
        |g| {
            g.tool("a");
        },
        Some(|g: &mut super::Flow<'_>| {
            g.gate("status", "status");
            g.gate("output", "output");
            g.gate("node", "a.output");
            g.tool("tidy");
        }),
    );
    check(plan, Script::default(), "completed a", "a: ok a\nnode: ok a\noutput: ok a\nstatus: ok completed\ntidy: ok tidy");
}

fn tidied() -> crate::graph::Plan {
    Plans::with_finally(
        |g| {
            g.tool("a");
            g.tool("b").after(&["a"]);
        },
        Some(|g: &mut super::Flow<'_>| {
            g.gate("seen", "status");
            g.tool("tidy").after(&["seen"]).retry(2, &[]);
        }),
    )
}

#[test]
fn finally_runs_once_after_a_failure() {
    let run = run(tidied(), failing(FailureKind::Tool));
    compare(&run, "failed null", "a: failed tool\nb: skipped join\nseen: ok failed\ntidy: ok tidy");
}

#[test]
fn finally_runs_once_after_a_cancellation_and_may_retry() {
    let script =
        Script::default().takes(&[("a", 9)]).tool("tidy", vec![(1, fails(FailureKind::Tool)), (1, Ok(Value::text("tidied")))]);
    let mut run = super::begin(tidied(), script, super::Rules::new());
    run.run_until(2_000).and_then(|()| run.give(Input::Cancel { by: "ann".into(), reason: "enough".into() })).unwrap();
    go(&mut run);
    compare(&run, "cancelled null", "a: cancelled\nb: skipped cancelled\nseen: ok cancelled\ntidy: ok tidied");
}

#[test]
fn a_failure_in_finally_fails_the_session_and_keeps_its_output() {
    let script = Script::default().tool("tidy", vec![(1, fails(FailureKind::Exit))]);
    let run = run(tidied(), script);
    assert_eq!(run.result(), "failed b");
}

#[test]
fn cancelling_stops_what_runs_and_a_second_cancellation_is_no_fact() {
    let plan = Plans::root(|g| {
        g.group("g", |g| {
            g.tool("a");
        });
        g.tool("b").after(&["g"]);
    });
    let mut run = super::begin(plan, Script::default().takes(&[("g/a", 9)]).stops_after(3), super::Rules::new());
    let cancel = || Input::Cancel { by: "ann".into(), reason: "enough".into() };
    run.run_until(2_000).and_then(|()| run.give(cancel())).unwrap();
    let length = run.records.len();
    run.give(cancel()).unwrap();
    assert_eq!(run.records.len(), length);
    compare(&run, "cancelled null", "b: skipped cancelled\ng: cancelled\ng/a: cancelled");
}

#[test]
fn a_duplicate_result_is_no_fact() {
    let plan = Plans::root(|g| {
        g.tool("a");
        g.tool("b").after(&["a"]);
    });
    let mut run = super::begin(plan, Script::default(), super::Rules::new());
    let key = run.made[0].key;
    run.run_until(1_000).unwrap();
    let length = run.records.len();
    run.give(Input::Returned { key, result: Ok(Value::text("again")) }).unwrap();
    assert_eq!(run.records.len(), length);
    go(&mut run);
    assert_eq!(run.result(), "completed b");
}

#[test]
fn an_irreversible_call_that_times_out_is_not_repeated_but_asked_about() {
    let plan = || {
        Plans::root(|g| {
            g.call("a", "fire", EffectClass::Irreversible).timeout(5).retry(3, &[]);
        })
    };
    let slow = || Script::default().takes(&[("a", 60)]).stops_after(1);
    for (answer, result, made) in
        [("happened", "completed null", 1), ("unknown", "failed null", 1), ("not_happened", "failed null", 2)]
    {
        let mut run = run(plan(), slow());
        assert_eq!((run.result(), run.made.len()), ("parked".to_owned(), 1));
        let ask = *run.state().asks.keys().next().unwrap();
        run.answer(ask, answer).unwrap();
        go(&mut run);
        if answer == "not_happened" {
            let again = *run.state().asks.keys().next().expect("it timed out again");
            run.answer(again, "unknown").unwrap();
            go(&mut run);
        }
        assert_eq!((run.result(), run.made.len()), (result.to_owned(), made), "{answer}");
    }
}

#[test]
fn an_irreversible_call_whose_transport_broke_is_asked_about() {
    let plan = Plans::root(|g| {
        g.call("a", "fire", EffectClass::Irreversible).retry(3, &[]);
    });
    let run = run(plan, failing(FailureKind::Transport));
    assert_eq!((run.result(), run.made.len()), ("parked".to_owned(), 1));
}

#[test]
fn after_an_outage_a_read_is_repeated_and_an_irreversible_call_is_asked_about() {
    let plan = Plans::root(|g| {
        g.tool("a");
        g.call("b", "fire", EffectClass::Irreversible);
        g.tool("c").after(&["b"]);
    });
    let mut run = super::begin(plan, Script::default().takes(&[("a", 3), ("b", 9)]), super::Rules::new());
    run.run_until(2_000).and_then(|()| run.crash(60_000)).unwrap();
    go(&mut run);
    assert_eq!((run.calls(), run.result()), ("b@0 a@0 a@62".to_owned(), "parked".to_owned()));
    run.answer(crate::value::AskId(0), "happened").unwrap();
    go(&mut run);
    compare(&run, r#"completed {"a":"a","c":"c"}"#, "a: ok a\nb: ok null\nc: ok c");
}

#[test]
fn an_outage_does_not_count_as_running_time() {
    let plan = Plans::root(|g| {
        g.tool("a").timeout(10);
        g.tool("b").retry(2, &[]);
    });
    let script = Script::default().takes(&[("a", 8)]).tool("b", vec![(1, fails(FailureKind::Tool)), (1, Ok(Value::text("b")))]);
    let mut run = super::begin(plan, script, super::Rules::new());
    run.run_until(1_500).and_then(|()| run.crash(3_600_000)).unwrap();
    go(&mut run);
    let ended = run.records.iter().filter(|r| matches!(&r.event, Event::NodeEnded { outcome: Outcome::Ok(_), .. }));
    assert_eq!((run.result(), ended.count()), (r#"completed {"a":"a","b":"b"}"#.to_owned(), 2));
}

#[test]
fn a_finished_session_takes_nothing_more() {
    let plan = Plans::root(|g| {
        g.tool("a");
    });
    let mut run = run(plan, Script::default());
    let length = run.records.len();
    run.give(Input::Resume { epoch: crate::value::Epoch(9) }).unwrap();
    run.give(Input::Cancel { by: "ann".into(), reason: "late".into() }).unwrap();
    assert_eq!(run.records.len(), length);
}

/// A session that a failure had stopped recorded every wish to cancel it.
#[test]
fn a_session_is_cancelled_once_whatever_stopped_it_before() {
    let mut plan = Plans::with_finally(
        |g| {
            g.tool("a");
        },
        Some(|g: &mut super::Flow<'_>| {
            g.tool("tidy");
        }),
    );
    plan.teams[0].fail_fast = true;
    let mut run = super::begin(plan, failing(FailureKind::Tool).takes(&[("tidy", 9)]), super::Rules::new());
    run.run_until(3_000).unwrap();
    for _ in 0..3 {
        run.give(Input::Cancel { by: "ann".into(), reason: "".into() }).unwrap();
    }
    go(&mut run);
    let wishes = run.events().iter().filter(|e| matches!(e, Event::CancelRequested { .. })).count();
    assert_eq!(wishes, 1);
}
