//! What goes on when somebody takes too long? Deadlines of joins and of what scopes grow.

use super::{Plans, Rules, Said, Script, begin, go, json, run, run_by, scopes::like};
use crate::{
    event::Event,
    graph::{NodeKind, Plan, ScopeKind},
    value::{Role, Value, Verdict},
};

/// Three calls that take 1, 5 and 60 seconds, and an agent that joins them and says what it sees of them.
fn three(change: impl for<'f, 'p> FnOnce(super::world::Spot<'f, 'p>) -> super::world::Spot<'f, 'p>) -> Plan {
    Plans::root(|g| {
        for id in ["a", "b", "c"] {
            g.tool(id);
        }
        change(g.agent("join", "d").after(&["a", "b", "c"]));
    })
}

fn times() -> Script {
    joined().takes(&[("a", 1), ("b", 5), ("c", 60)])
}

fn joined() -> Script {
    Script::default().agent("d", |request| Said::Finish(request.input.clone()))
}

#[test]
fn a_join_goes_on_at_its_deadline_with_what_has_ended_and_cancels_the_rest() {
    let run = run(three(|join| join.waits(10, 2)), times());
    assert_eq!((run.result(), run.calls()), (r#"completed {"a":"a","b":"b"}"#.to_owned(), "a@0 b@0 c@0 join@10".to_owned()));
    assert!(run.outcomes().contains("c: cancelled"), "{}", run.outcomes());
}

#[test]
fn a_join_that_is_met_before_its_deadline_does_not_wait_for_it() {
    let script = joined().takes(&[("a", 1), ("b", 5), ("c", 6)]);
    assert_eq!(run(three(|join| join.waits(10, 2)), script).calls(), "a@0 b@0 c@0 join@6");
}

#[test]
fn with_too_few_a_join_fails_as_timed_out_unless_it_runs_with_what_there_is() {
    let run_of = |plan| run(plan, times());
    let few = run_of(three(|join| join.waits(3, 2)));
    let failure = few.state().finished.as_ref().and_then(|f| f.failure.clone()).expect("it failed");
    assert_eq!((failure.kind.name(), &*failure.message), ("timeout", "after 3 s 1 of 3 were there, and 2 are needed"));
    assert!(few.outcomes().contains("c: cancelled"), "nobody waits for it any more: {}", few.outcomes());
    assert_eq!(run_of(three(|join| join.waits(3, 2).short())).result(), r#"completed {"a":"a"}"#);
}

#[test]
fn a_straggler_that_is_left_ends_on_the_record_and_what_went_on_does_not_use_it() {
    // The join itself takes long and is tried again after the straggler has ended.
    let plan = Plans::root(|g| {
        g.tool("a");
        g.tool("c");
        g.tool("join").args("c.output").after(&["a", "c"]).waits(10, 1).leave().retry(2, &[crate::value::FailureKind::Tool]);
    });
    let script = Script::default()
        .tool("c", vec![(12, Ok(Value::text("late")))])
        .tool("join", vec![(5, super::fails(crate::value::FailureKind::Tool)), (5, Ok(Value::text("done")))]);
    let run = run(plan, script);
    assert!(run.outcomes().contains("c: ok late"), "{}", run.outcomes());
    let asked: Vec<String> = run.made.iter().filter(|m| &*m.path == "join").map(|m| m.args.to_string()).collect();
    assert_eq!(asked, [r#"{"value":null}"#; 2]);
}

#[test]
fn findings_messages_and_results_of_a_left_agent_reach_nobody_who_went_on_without_it() {
    let plan = Plans::root(|g| {
        g.agent("x", "a");
        g.agent("y", "b");
        g.agent("z", "c").after(&["x", "y"]).waits(10, 1).leave();
    });
    let script = Script::default()
        .agent("b", |request| match request.turn.0 {
            0 => Said::Calls(vec![
                ("broadcast_finding", json(r#"{"topic":"t","claim":"early","confidence":0.5}"#)),
                ("send_message", json(r#"{"to":"c","content":"early"}"#)),
            ]),
            1 => Said::After(30, Box::new(Said::Finish(Value::text("late")))),
            _ => Said::Nothing,
        })
        .agent("c", |request| match request.turn.0 {
            0 | 1 => Said::After(25, Box::new(Said::Calls(vec![("read_context", Value::map::<&str>([]))]))),
            _ => Said::Finish(Value::from(format!("{:?} {} {}", request.thread, request.context, request.input))),
        });
    let run = run(plan, script);
    let said = run.result();
    assert!(said.contains('a') && !said.contains("early") && !said.contains("late"), "{said}");
    assert!(run.outcomes().contains("y: ok late"), "{}", run.outcomes());
}

#[test]
fn the_facts_of_a_merge_name_who_was_late() {
    let plan = || {
        Plans::root(|g| {
            g.agent("x", "a");
            g.agent("y", "b");
            g.add("m", NodeKind::Gate(crate::graph::GateBy::Rule(crate::value::RuleKind::Merge)))
                .after(&["x", "y"])
                .waits(10, 1)
                .leave();
        })
    };
    let rules = Rules::from([(
        "merge",
        Box::new(|facts: &Value| {
            let row =
                |part: &Value| Value::list(["id", "status", "output"].map(|key| part.get(key).cloned().unwrap_or_default()));
            Verdict::Value(Value::list(facts.get("results").and_then(Value::as_list).unwrap_or_default().iter().map(row)))
        }) as _,
    )]);
    let late = Script::default().agent("b", |_| Said::After(30, Box::new(Said::Finish(Value::text("late")))));
    let run = run_by(plan(), late, rules);
    assert_eq!(run.result(), r#"completed [["x","ok","a"],["y","late",null]]"#);
}

fn items(parallel: Option<u32>, at_least: u32, leave: bool) -> Plan {
    Plans::root(move |g| {
        let mut each = g
            .for_each("f", "[1, 2, 3]", 5, parallel, |g| {
                g.single = true;
                g.tool("t");
            })
            .within(10, at_least);
        if leave {
            each.node().stragglers = crate::graph::Stragglers::Leave;
        }
        g.tool("next").args("f.output").after(&["f"]);
    })
}

#[test]
fn a_for_each_ends_at_its_deadline_with_null_for_what_is_not_done() {
    let script = || Script::default().takes(&[("f/0", 1), ("f/1", 60), ("f/2", 2)]);
    let cut = run(items(None, 1, false), script());
    assert_eq!(
        (cut.result(), cut.calls()),
        (r#"completed ["f/0",null,"f/2"]"#.to_owned(), "f/0@0 f/1@0 f/2@0 next@10".to_owned())
    );
    assert!(cut.outcomes().contains("f/1: cancelled"), "{}", cut.outcomes());
    let left = run(items(None, 1, true), script());
    assert_eq!(left.result(), r#"completed ["f/0",null,"f/2"]"#);
    assert!(left.outcomes().contains("f/1: ok f/1"), "{}", left.outcomes());
    // What has not begun does not begin any more.
    let queued = run(items(Some(1), 1, true), script());
    assert_eq!(
        (queued.result(), queued.calls()),
        (r#"completed ["f/0",null,null]"#.to_owned(), "f/0@0 f/1@1 next@10".to_owned())
    );
    let few = run(items(None, 3, false), script());
    let failure = few.state().finished.as_ref().and_then(|f| f.failure.clone()).expect("it failed");
    assert_eq!((failure.kind.name(), &*failure.message), ("timeout", "after 10 s 2 were done, and 3 are needed"));
}

#[test]
fn sub_tasks_end_at_their_deadline_and_late_ones_are_not_used() {
    let plan = |leave: bool| {
        Plans::root(move |g| {
            g.gate("route", r#"[{"id":"x","agent":"a","task":"x"},{"id":"y","agent":"b","task":"y"}]"#);
            let from = g.expr("route.output");
            let work = g.scope(
                "work",
                ScopeKind::Subtasks { from, max: 5, like: like(), one_by_one: false, quorum: None, replan: None, check: None },
            );
            let mut work = work.after(&["route"]).within(10, 1);
            if leave {
                work.node().stragglers = crate::graph::Stragglers::Leave;
            }
            g.agent("z", "c").after(&["work"]);
        })
    };
    let script = || {
        Script::default()
            .agent("b", |request| match request.turn.0 {
                0 => Said::After(
                    20,
                    Box::new(Said::Calls(vec![("broadcast_finding", json(r#"{"topic":"t","claim":"late","confidence":0.5}"#))])),
                ),
                _ => Said::Finish(Value::text("late")),
            })
            .agent("c", |request| match request.turn.0 {
                0 => Said::After(30, Box::new(Said::Calls(vec![("read_context", Value::map::<&str>([]))]))),
                _ => Said::Finish(Value::from(format!("{} {} {:?}", request.input, request.context, request.thread))),
            })
    };
    for leave in [true, false] {
        let run = run(plan(leave), script());
        let said = run.result();
        assert!(said.contains(r#""x":"a""#) && !said.contains("late"), "{said}");
        assert_eq!(run.outcomes().contains("work/y: ok late"), leave, "{}", run.outcomes());
        assert_eq!(run.outcomes().contains("work/y: cancelled"), !leave, "{}", run.outcomes());
    }
    let none = run(plan(false), Script::default().agent("a", |_| Said::Nothing).agent("b", |_| Said::Nothing));
    assert!(none.outcomes().contains("work: failed timeout"), "{}", none.outcomes());
}

#[test]
fn a_circle_ends_at_its_deadline_with_what_its_members_came_to() {
    let plan = |at_least: u32| {
        Plans::root(move |g| {
            let members = ["a", "b"].map(Role::new).to_vec();
            g.scope("c", ScopeKind::Circle { members, like: like() }).within(10, at_least);
        })
    };
    let script = || Script::default().agent("b", |_| Said::After(30, Box::new(Said::Finish(Value::text("late")))));
    assert_eq!(run(plan(1), script()).result(), r#"completed {"a":"a"}"#);
    assert_eq!(run(plan(2), script()).result(), "failed null");
}

/// A deadline counts running time: an outage moves it.
#[test]
fn an_outage_moves_a_deadline_as_it_moves_a_timeout() {
    let mut run = begin(three(|join| join.waits(10, 2)), times(), Rules::new());
    for _ in 0..2 {
        run.step().unwrap();
    }
    assert_eq!(run.scheduler.next_timer().map(|at| at.0), Some(10_000_000));
    run.crash(100_000).unwrap();
    go(&mut run);
    assert!(run.result().starts_with("completed"), "{}", run.outcomes());
    let passed = run.records.iter().find(|r| matches!(r.event, Event::DeadlinePassed { .. })).map(|r| r.at.0);
    assert!(passed.is_none_or(|at| at > 100_000_000), "{passed:?}");
}

#[test]
fn a_join_that_nobody_waits_for_any_more_lets_its_deadline_pass() {
    let plan = Plans::root(|g| {
        g.agent("x", "a");
        g.agent("y", "b");
        g.tool("slow");
        g.tool("join").after(&["slow", "x"]).waits(3, 2);
        g.tool("first").after(&["y", "join"]).any();
    });
    let script = Script::default().takes(&[("slow", 60)]);
    let run = run(plan, script);
    assert!(run.result().starts_with("completed"), "{}", run.outcomes());
    assert!(run.outcomes().contains("join: skipped moot"), "{}", run.outcomes());
}
