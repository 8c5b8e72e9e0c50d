//! What waits for what?

use super::{Plans, Script, check, fails, run};
use crate::value::{FailureKind, Value};

#[test]
fn the_join_of_a_diamond_starts_once_after_both_branches() {
    let plan = Plans::root(|g| {
        g.tool("a");
        g.tool("b").after(&["a"]);
        g.tool("c").after(&["a"]);
        g.tool("d").after(&["b", "c"]);
    });
    let run = check(plan, Script::default().takes(&[("c", 5)]), r#"completed d"#, "a: ok a\nb: ok b\nc: ok c\nd: ok d");
    assert_eq!(run.calls(), "a@0 b@1 c@1 d@6");
}

#[test]
fn several_roots_start_without_waiting_for_one_another() {
    let plan = Plans::root(|g| {
        g.tool("a");
        g.tool("b");
        g.tool("c").after(&["b"]);
    });
    let run = run(plan, Script::default().takes(&[("a", 9)]));
    assert_eq!((run.calls(), run.result()), ("b@0 a@0 c@1".to_owned(), r#"completed {"a":"a","c":"c"}"#.to_owned()));
}

#[test]
fn a_join_waits_for_the_longer_of_unequal_branches() {
    let plan = Plans::root(|g| {
        g.tool("a");
        g.tool("b").after(&["a"]);
        g.tool("c").after(&["b"]);
        g.tool("d").after(&["a", "c"]);
    });
    assert_eq!(run(plan, Script::default()).calls(), "a@0 b@1 c@2 d@3");
}

#[test]
fn the_longest_remaining_path_starts_first() {
    let mut plan = Plans::root(|g| {
        g.tool("short");
        g.tool("long");
        g.tool("end").after(&["long"]);
    });
    plan.max_parallel = 1;
    assert_eq!(run(plan, Script::default()).calls(), "long@0 short@1 end@2");
}

#[test]
fn at_any_the_first_wins_and_the_others_are_cancelled() {
    let plan = Plans::root(|g| {
        g.tool("root");
        g.tool("slow").after(&["root"]);
        g.tool("quick").after(&["root"]);
        g.tool("late").after(&["slow"]);
        g.tool("end").after(&["late", "quick"]).any();
    });
    check(
        plan,
        Script::default().takes(&[("slow", 9)]).stops_after(1),
        "completed end",
        "end: ok end\nlate: skipped moot\nquick: ok quick\nroot: ok root\nslow: cancelled",
    );
}

#[test]
fn a_straggler_that_somebody_else_waits_for_goes_on() {
    let plan = Plans::root(|g| {
        g.tool("slow");
        g.tool("quick");
        g.tool("end").after(&["slow", "quick"]).any();
        g.tool("other").after(&["slow"]);
    });
    check(
        plan,
        Script::default().takes(&[("slow", 9)]),
        r#"completed {"end":"end","other":"other"}"#,
        "end: ok end\nother: ok other\nquick: ok quick\nslow: ok slow",
    );
}

#[test]
fn a_handler_of_its_failure_keeps_no_straggler_alive() {
    let plan = Plans::root(|g| {
        g.tool("slow");
        g.tool("quick");
        g.tool("end").after(&["slow", "quick"]).any();
        g.tool("oops").failed("slow");
    });
    check(
        plan,
        Script::default().takes(&[("slow", 9)]),
        r#"completed {"end":"end"}"#,
        "end: ok end\noops: skipped join\nquick: ok quick\nslow: cancelled",
    );
}

#[test]
fn stragglers_that_are_left_finish() {
    let plan = Plans::root(|g| {
        g.tool("slow");
        g.tool("quick");
        g.tool("end").after(&["slow", "quick"]).any().leave();
    });
    let run =
        check(plan, Script::default().takes(&[("slow", 9)]), "completed end", "end: ok end\nquick: ok quick\nslow: ok slow");
    assert_eq!(run.calls(), "slow@0 quick@0 end@1");
}

#[test]
fn a_quorum_starts_at_the_nth_and_fails_when_too_few_are_left() {
    let plan = |n| {
        Plans::root(move |g| {
            g.tool("a");
            g.tool("b").allow_failure();
            g.tool("c");
            g.tool("d");
            g.tool("end").after(&["a", "c", "d"]).quorum(n);
        })
    };
    let script = || Script::default().takes(&[("a", 1), ("d", 9), ("c", 3)]);
    let two = run(plan(2), script());
    assert_eq!(two.calls(), "a@0 c@0 d@0 b@0 end@3");
    assert!(two.outcomes().contains("d: cancelled"), "{}", two.outcomes());
    let three = run(plan(3), script().tool("c", vec![(1, fails(FailureKind::Tool))]));
    assert!(three.outcomes().contains("end: skipped join"), "{}", three.outcomes());
    assert!(three.outcomes().contains("d: ok d"), "nobody cut it off: {}", three.outcomes());
    assert!(three.result().starts_with("failed"));
}

#[test]
fn a_short_join_runs_with_what_there_is_once_all_have_ended() {
    let plan = Plans::root(|g| {
        g.tool("a");
        g.tool("b");
        g.tool("end").after(&["a", "b"]).short();
        g.tool("handler").failed("a");
    });
    let script = Script::default().tool("a", vec![(1, fails(FailureKind::Tool))]).takes(&[("b", 5)]);
    let run = check(
        plan,
        script,
        r#"completed {"end":"end","handler":"handler"}"#,
        "a: failed tool\nb: ok b\nend: ok end\nhandler: ok handler",
    );
    assert!(run.calls().ends_with("end@5"), "{}", run.calls());
}

#[test]
fn only_the_branch_whose_condition_holds_runs_and_else_takes_the_rest() {
    let plan = |value: &'static str| {
        Plans::root(move |g| {
            g.gate("switch", value);
            g.tool("one").when("switch", "output == 1");
            g.tool("two").when("switch", "output == 2");
            g.tool("other").otherwise("switch");
            g.tool("end").done("one").done("two").done("other");
        })
    };
    let ran = |value| run(plan(value), Script::default()).calls();
    assert_eq!((ran("1"), ran("2"), ran("3")), ("one@0 end@1".into(), "two@0 end@1".into(), "other@0 end@1".into()));
}

#[test]
fn without_a_match_and_without_else_the_run_ends_well_with_the_rest_skipped() {
    let plan = Plans::root(|g| {
        g.gate("switch", "3");
        g.tool("one").when("switch", "output == 1");
        g.tool("end").after(&["one"]);
    });
    check(plan, Script::default(), "completed null", "end: skipped join\none: skipped join\nswitch: ok 3");
}

#[test]
fn a_skip_travels_on_but_an_or_join_takes_the_other_branch() {
    let plan = Plans::root(|g| {
        g.gate("switch", "1");
        g.tool("b").when("switch", "output == 1");
        g.tool("c").when("switch", "output == 2");
        g.tool("and").after(&["b", "c"]);
        g.tool("or").after(&["and", "b"]).any();
    });
    check(plan, Script::default(), "completed or", "and: skipped join\nb: ok b\nc: skipped join\nor: ok or\nswitch: ok 1");
}

#[test]
fn a_condition_that_fails_counts_whichever_edge_is_known_first() {
    for (conditional, other) in [(1, 3), (3, 1)] {
        let plan = Plans::root(|g| {
            g.tool("a");
            g.tool("b").allow_failure();
            g.tool("c").when("a", "fail").failed("b");
        });
        let run = run(plan, Script::default().takes(&[("a", conditional), ("b", other)]));
        assert!(run.outcomes().contains("c: failed rule"), "{}", run.outcomes());
    }
}

#[test]
fn a_condition_that_fails_waits_for_the_others_and_then_fails_its_target() {
    for (conditional, other) in [(1, 3), (3, 1)] {
        let plan = Plans::root(|g| {
            g.tool("a");
            g.tool("b");
            g.tool("c").when("a", "fail").after(&["b"]);
        });
        let run = run(plan, Script::default().takes(&[("a", conditional), ("b", other)]));
        assert!(run.outcomes().contains("c: failed rule"), "{}", run.outcomes());
    }
}

#[test]
fn a_condition_that_is_no_truth_value_fails_its_target() {
    let plan = Plans::root(|g| {
        g.gate("switch", "1");
        g.tool("b").when("switch", "output");
        g.tool("c").when("switch", "fail");
    });
    check(plan, Script::default(), "failed null", "b: failed rule\nc: failed rule\nswitch: ok 1");
}

#[test]
fn falsy_outputs_are_results() {
    for value in ["null", "0", "\"\"", "false"] {
        let plan = Plans::root(move |g| {
            g.gate("g", value);
            g.gate("after", "g.output").after(&["g"]);
            g.output("g.status");
        });
        assert_eq!(run(plan, Script::default()).result(), "completed ok", "{value}");
    }
}

#[test]
fn no_more_calls_are_in_flight_than_the_limit() {
    let mut plan = Plans::root(|g| {
        for n in 0..7 {
            g.tool(&format!("t{n}"));
        }
    });
    plan.max_parallel = 3;
    let run = run(plan, Script::default());
    assert_eq!(run.calls(), "t0@0 t1@0 t2@0 t3@1 t4@1 t5@1 t6@2");
}

#[test]
fn in_nested_groups_the_tighter_limit_holds() {
    let mut plan = Plans::root(|g| {
        g.group("outer", |g| {
            g.concurrency = Some(3);
            g.group("inner", |g| {
                g.concurrency = Some(1);
                g.tool("a");
                g.tool("b");
            });
            for id in ["c", "d", "e"] {
                g.tool(id);
            }
        });
        g.tool("f");
    });
    plan.max_parallel = 4;
    let run = run(plan, Script::default());
    let at = |second: &str| run.calls().split(' ').filter(|c| c.ends_with(second)).count();
    assert_eq!((at("@0"), at("@1")), (4, 2), "{}", run.calls());
}

#[test]
fn arguments_are_filled_in_from_earlier_outputs_and_checked() {
    let plan = Plans::root(|g| {
        g.gate("n", "7");
        g.tool("t").after(&["n"]).args("n.output");
    });
    assert_eq!(run(plan, Script::default()).result(), "completed 7");
    let plan = Plans::root(|g| {
        g.tool("t").args("fail");
    });
    let run = run(plan, Script::default());
    assert_eq!((run.result(), run.made.len()), ("failed null".to_owned(), 0));
    assert_eq!(Value::Null, run.state().output(crate::value::NodeIx(0)));
}
