//! Is the report right about sessions that did not run from start to end in one go?

use super::*;
use crate::{
    event::{Finished, Outcome, Started},
    plan::PlanBuilder,
    value::{Epoch, EscalateTo, FailureKind, Map, Message, MessageId, MessageKind, NodeIx, Role, Seq},
};

const WORK: NodeIx = NodeIx(0);

/// What comes of a session with one tool node, whose events happen at these milliseconds.
fn report(events: impl IntoIterator<Item = (i64, Event)>) -> Report {
    Report::of(&records(events)).expect("a session")
}

/// The records of such a session.
fn records(events: impl IntoIterator<Item = (i64, Event)>) -> Vec<Record> {
    let mut builder = PlanBuilder::new();
    builder.tool("work", "noop");
    let plan = builder.build().expect("one node has no circle");
    let started = Started::new(SessionId(uuid::Uuid::nil()), "team", "task", Map::new(), plan);
    let all = std::iter::once((0, Event::Started(Arc::new(started)))).chain(events);
    let record = |(seq, (ms, event)): (usize, _)| Record { seq: Seq(seq as u64), at: Timestamp(ms * 1_000), event };
    all.enumerate().map(record).collect()
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

fn said(number: usize, kind: MessageKind, from: &str, to: Option<&str>, content: &str) -> (i64, Event) {
    let message = Message {
        id: MessageId(format!("work#m{number}").into()),
        kind,
        from: Some(Role::new(from)),
        to: to.map(Role::new),
        content: content.into(),
        metadata: Value::Null,
        private: number == 1,
        exchange: None,
        origins: crate::value::Origins::default(),
    };
    (10, Event::Said { node: WORK, message: Arc::new(message) })
}

#[test]
fn who_said_what_to_whom_is_drawn_as_a_sequence_whatever_the_words() {
    let stuck = Event::Escalated {
        node: WORK,
        from: Some(Role::new("b")),
        cause: None,
        reason: "I am\nstuck".into(),
        to: EscalateTo::Person,
    };
    let page = talk(&records([
        (5, started(1)),
        said(1, MessageKind::Question, "a", Some("b"), "is #1 the end; or\n%%{not}?"),
        said(2, MessageKind::Response, "b", Some("a"), "end"),
        said(3, MessageKind::Note, "a", None, "participant p0 as <b>x</b>"),
        (20, stuck),
    ]))
    .expect("a session");
    let expected = "sequenceDiagram
  participant p0 as synod
  participant p1 as a
  participant p2 as b
  p1->>p2: question, private: is #35;1 the #101;nd#59; or #37;#37;{not}?
  p2-->>p1: response: #101;nd
  Note over p0,p2: a, note: participant p0 as #60;b#62;x#60;/b#62;
  p2->>p0: escalation to a person: I am stuck
";
    assert_eq!(page, expected);
}

#[test]
fn a_drawing_of_what_was_said_is_bounded_and_counts_what_is_left_out() {
    let begun = std::iter::once((5, started(1)));
    let page =
        talk(&records(begun.chain((0..1_000).map(|n| said(n, MessageKind::Note, "a", Some("b"), "x"))))).expect("a session");
    assert_eq!(page.matches("->>").count(), 200);
    assert!(page.ends_with("Note over p0,p2: 800 more are not drawn (synod messages has all)\n"), "{page}");
    let begun = std::iter::once((5, started(1)));
    let odd = ";".repeat(1_000);
    let page =
        talk(&records(begun.chain((0..1_000).map(|n| said(n, MessageKind::Note, "a", Some("b"), &odd))))).expect("a session");
    assert!(page.len() < 50_000 && page.contains("more are not drawn"), "{}", page.len());
    let silent = talk(&records([])).expect("a session");
    assert_eq!(silent, "sequenceDiagram\n  participant p0 as synod\n  Note over p0: nobody has said anything\n");
}

#[test]
fn the_plan_is_drawn_with_what_became_of_each_node() {
    let failed = Arc::new(Failure::new(FailureKind::Tool, "it said \"no\"; the end"));
    let ended = Event::NodeEnded { node: WORK, outcome: Outcome::Failed(failed) };
    let page = growth(&records([(5, started(1)), (6, ended)])).expect("a session");
    let expected = "flowchart TD
  n0[[\"work<br/>tool noop<br/>failed: it said #34;no#34;#59; the #101;nd\"]]
  classDef failed fill:#f8d3d0,stroke:#b3372f
  class n0 failed
";
    assert_eq!(page, expected);
    assert!(growth(&records([(5, started(1))])).expect("a session").contains("<br/>at work\"]]"));
}
