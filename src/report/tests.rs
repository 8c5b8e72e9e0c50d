//! Is the report right about sessions that did not run from start to end in one go?

use super::*;
use crate::{
    event::{EVENT_VERSION, Finished, Outcome, Started},
    plan::PlanBuilder,
    value::{Epoch, FailureKind, NodeIx, Seq},
};

const WORK: NodeIx = NodeIx(0);

/// What comes of a session with one tool node, whose events happen at these milliseconds.
fn report(events: impl IntoIterator<Item = (i64, Event)>) -> Report {
    let mut builder = PlanBuilder::new();
    builder.tool("work", "noop");
    let started = Started {
        version: EVENT_VERSION,
        session: SessionId(uuid::Uuid::nil()),
        tenant: Default::default(),
        team: "team".into(),
        task: "task".into(),
        inputs: Arc::default(),
        plan: Arc::new(builder.build().expect("one node has no circle")),
        sources: BTreeMap::new(),
    };
    let all = std::iter::once((0, Event::Started(Box::new(started)))).chain(events);
    let record = |(seq, (ms, event)): (usize, _)| Record { seq: Seq(seq as u64), at: Timestamp(ms * 1_000), event };
    Report::of(&all.enumerate().map(record).collect::<Vec<_>>()).expect("a session")
}

fn started(attempt: u32) -> Event {
    Event::NodeStarted { node: WORK, attempt, lookup: None }
}

fn retried() -> Event {
    let failure = Arc::new(Failure::new(FailureKind::Tool, "it broke"));
    Event::NodeRetried { node: WORK, attempt: 1, failure, not_before: Timestamp(0) }
}

fn finished(output: Value) -> Event {
    Event::Finished(Box::new(Finished { status: Status::Completed, output, failure: None }))
}

#[test]
fn what_still_runs_counts_with_its_time_so_far() {
    let metrics = report([(10, started(1)), (60, retried())]).metrics;
    assert_eq!((metrics.makespan_ms, metrics.sequential_ms, metrics.critical_path_ms), (60.0, 50.0, 50.0));
}

#[test]
fn an_outage_counts_nowhere() {
    let ended = Event::NodeEnded { node: WORK, outcome: Outcome::Ok(Value::Null) };
    let events = [
        (10, started(1)),
        (60, retried()),
        (9_000, Event::Resumed { epoch: Epoch(2) }),
        (9_000, Event::RetryDue { node: WORK }),
        (9_000, started(2)),
        (9_040, ended),
    ];
    let metrics = report(events).metrics;
    assert_eq!((metrics.makespan_ms, metrics.sequential_ms, metrics.critical_path_ms), (100.0, 90.0, 90.0));
    assert!((0.0..=1.0).contains(&metrics.utilization), "{}", metrics.utilization);
}

#[test]
fn a_session_without_work_has_zeros_without_a_sign() {
    let metrics = report([(5, finished(Value::Null))]).metrics;
    for number in [metrics.sequential_ms, metrics.saved_ms, metrics.overhead, metrics.cost_usd] {
        assert!(number.is_sign_positive());
    }
}

#[test]
fn the_result_is_shown_whole() {
    let remedy = format!("{} and restart it", "raise the pool's limit, ".repeat(40));
    let because = format!("{} at 14:30", "the pool is exhausted, ".repeat(40));
    let candidates = Value::list([Value::map([("because", Value::text(&because))])]);
    let output = Value::map([("remedy", Value::text(&remedy)), ("candidates", candidates)]);
    let page = report([(5, finished(output))]).markdown();
    assert!(page.contains(&remedy) && page.contains(&because), "{page}");
}

#[test]
fn who_cancelled_it_and_why_is_told() {
    let cancel = Event::CancelRequested { by: "ann".into(), reason: "not today".into() };
    let page = report([(5, cancel)]).markdown();
    assert!(page.contains("**Cancelled** by ann: not today"), "{page}");
}

#[test]
fn a_session_that_nobody_works_on_is_interrupted_unless_it_is_parked_or_over() {
    let status = |event| report([(5, event)]).left_alone().status;
    assert_eq!(status(started(1)), Standing::Interrupted);
    assert_eq!(status(Event::Parked), Standing::As(Status::Parked));
    assert_eq!(status(finished(Value::Null)), Standing::As(Status::Completed));
}
