//! What ends a session before its time?

use super::{Plans, Said, Script, compare, fails, go, json, run};
use crate::{
    event::{Event, Status},
    graph::{Limits, Plan},
    value::{FailureKind, Usd, Value},
};

fn busy(limits: Limits) -> Plan {
    let mut plan = Plans::with_finally(
        |g| {
            g.agent("x", "a");
            g.agent("y", "b").after(&["x"]);
        },
        Some(|g: &mut super::Flow<'_>| {
            g.agent("speak", "c").allow_failure();
            g.tool("tidy").done("speak");
        }),
    );
    plan.limits = limits;
    plan
}

fn calling() -> Script {
    Script::default().agent("a", |_| Said::Calls(vec![("read", json("{}"))]))
}

fn spent(limits: Limits, limit: &str) {
    let run = run(busy(limits), calling());
    compare(&run, "out_of_budget null", "speak: failed budget\ntidy: ok tidy\nx: cancelled\ny: skipped budget");
    let reached: Vec<_> = run.events().into_iter().filter(|e| matches!(e, Event::LimitReached { .. })).collect();
    assert!(
        matches!(reached.as_slice(), [Event::LimitReached { limit: found, synthesize: false }] if **found == *limit),
        "{reached:?}"
    );
}

#[test]
fn the_turns_of_a_session_are_limited() {
    spent(Limits { turns: Some(4), ..Limits::default() }, "turns");
}

#[test]
fn its_tokens_are_limited() {
    spent(Limits { tokens: Some(40), ..Limits::default() }, "tokens");
}

#[test]
fn its_cost_is_limited() {
    spent(Limits { cost: Some(Usd(300)), ..Limits::default() }, "cost_usd");
}

#[test]
fn its_running_time_is_limited_but_not_that_of_what_runs_at_the_end() {
    let mut plan = Plans::with_finally(
        |g| {
            g.tool("a");
            g.tool("b").after(&["a"]);
        },
        Some(|g: &mut super::Flow<'_>| {
            g.tool("tidy");
        }),
    );
    plan.limits.wall_seconds = Some(5);
    let run = run(plan, Script::default().takes(&[("b", 9), ("tidy", 9)]).stops_after(1));
    compare(&run, "out_of_budget null", "a: ok a\nb: cancelled\ntidy: ok tidy");
}

#[test]
fn a_limit_that_is_not_reached_changes_nothing() {
    let limits = Limits { turns: Some(3), tokens: Some(1_000), cost: Some(Usd(10_000)), wall_seconds: Some(60) };
    let run = run(busy(limits), Script::default());
    assert_eq!(run.result(), r#"completed b"#);
}

#[test]
fn parked_time_is_no_running_time() {
    let mut plan = Plans::root(|g| {
        g.ask("q", &["yes"], None, None);
        g.tool("a").after(&["q"]);
    });
    plan.limits.wall_seconds = Some(5);
    let mut run = run(plan, Script::default());
    assert_eq!((run.state().status(), run.scheduler.next_timer()), (Status::Parked, None));
    run.now = crate::value::Timestamp(3_600_000_000);
    run.give(crate::event::Input::Tick).unwrap();
    assert_eq!(run.result(), "parked");
    run.answer(crate::value::AskId(0), "yes").unwrap();
    go(&mut run);
    assert_eq!(run.result(), "completed a");
}

#[test]
fn after_parking_timers_go_on_with_what_was_left() {
    let mut plan = Plans::root(|g| {
        g.tool("first");
        g.ask("q", &["yes"], None, None).after(&["first"]);
        g.tool("a").after(&["q"]);
    });
    plan.limits.wall_seconds = Some(5);
    let mut run = run(plan, Script::default().takes(&[("first", 2), ("a", 4)]));
    run.now = run.now.after(std::time::Duration::from_secs(100_000));
    run.answer(crate::value::AskId(0), "yes").unwrap();
    go(&mut run);
    compare(&run, "out_of_budget null", "a: cancelled\nfirst: ok first\nq: ok {\"answer\":\"yes\",\"by\":\"ann\"}");
}

#[test]
fn a_session_parked_over_an_outage_still_counts_no_time() {
    let mut plan = Plans::root(|g| {
        g.ask("q", &["yes"], None, None);
        g.tool("a").after(&["q"]);
    });
    plan.limits.wall_seconds = Some(5);
    let mut run = run(plan, Script::default());
    run.crash(1_000_000_000).unwrap();
    run.now = run.now.after(std::time::Duration::from_secs(100_000));
    run.answer(crate::value::AskId(0), "yes").unwrap();
    go(&mut run);
    assert_eq!(run.result(), "completed a");
}

#[test]
fn a_failing_finale_does_not_hide_that_the_budget_ended_it() {
    let limits = Limits { turns: Some(1), ..Limits::default() };
    let run = run(busy(limits), Script::default().tool("tidy", vec![(1, fails(FailureKind::Tool))]));
    assert!(run.result().starts_with("out_of_budget"));
    assert_eq!(run.state().output(crate::value::NodeIx(0)), Value::text("a"));
}
