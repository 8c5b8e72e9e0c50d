//! How does a plan grow?

use std::collections::BTreeMap;

use super::{Plans, Rules, Run, Said, Script, check, compare, fails, json, run, run_by};
use crate::{
    event::Event,
    graph::{Node, NodeKind, ScopeKind},
    value::{Entry, FailureKind, MessageKind, NodeIx, Request, Role, TeamIx, Value, Verdict},
};

pub(super) fn like() -> Box<Node> {
    Box::new(Node::new("like", NodeKind::Gate(crate::graph::GateBy::Members(crate::value::RuleKind::Merge, Vec::new()))))
}

fn mapped(items: &'static str, parallel: Option<u32>) -> crate::graph::Plan {
    Plans::root(move |g| {
        g.for_each("f", items, 10, parallel, |g| {
            g.single = true;
            g.tool("t").args("item");
        });
    })
}

#[test]
fn for_each_gives_results_in_item_order_whatever_the_order_of_arrival() {
    let script = Script::default().tool("f/0", vec![(9, Ok(Value::Int(10)))]).tool("f/1", vec![(1, Ok(Value::Int(20)))]);
    let run = run(mapped("[1, 2, 3]", None), script);
    assert_eq!((run.result(), run.calls()), ("completed [10,20,3]".to_owned(), "f/0@0 f/1@0 f/2@0".to_owned()));
}

#[test]
fn for_each_over_nothing_gives_nothing() {
    check(mapped("[]", None), Script::default(), "completed []", "f: ok []");
}

#[test]
fn for_each_runs_only_so_many_items_at_a_time() {
    assert_eq!(run(mapped("[1,2,3,4,5]", Some(2)), Script::default()).calls(), "f/0@0 f/1@0 f/2@1 f/3@1 f/4@2");
}

#[test]
fn for_each_fails_over_too_many_items_and_over_what_is_no_list() {
    check(mapped("[1,2,3,4,5,6,7,8,9,10,11]", None), Script::default(), "failed null", "f: failed limit");
    check(mapped("7", None), Script::default(), "failed null", "f: failed rule");
}

#[test]
fn a_failing_item_fails_for_each_once_all_have_ended() {
    let script = Script::default().tool("f/0", vec![(1, fails(FailureKind::Exit))]);
    let run = check(mapped("[1,2]", Some(1)), script, "failed null", "f: failed exit\nf/0: failed exit\nf/1: ok 2");
    let failure = run.state().finished.as_ref().and_then(|f| f.failure.clone());
    assert_eq!(failure.and_then(|f| f.node).as_deref(), Some("f/0"));
}

#[test]
fn repeat_goes_on_until_its_condition_holds_or_its_rounds_are_used() {
    let plan = |until: &'static str| {
        Plans::root(move |g| {
            g.repeat("r", 3, until, |g| {
                g.gate("n", "round");
                g.tool("t").after(&["n"]).args("n.output");
            });
        })
    };
    assert_eq!(run(plan("t.output == 2"), Script::default()).result(), "completed 2");
    assert_eq!(run(plan("t.output == 9"), Script::default()).result(), "completed 3");
    assert_eq!(run(plan(""), Script::default()).result(), "completed 3");
    assert_eq!(run(plan("t.output"), Script::default()).result(), "failed null");
}

#[test]
fn repeat_ends_with_the_failure_of_a_round() {
    let plan = Plans::root(|g| {
        g.repeat("r", 3, "", |g| {
            g.tool("t");
        });
    });
    let script = Script::default().tool("r/2/t", vec![(1, fails(FailureKind::Tool))]);
    check(plan, script, "failed null", "r: failed tool\nr/1/t: ok r/1/t\nr/2/t: failed tool");
}

#[test]
fn a_group_sees_what_is_around_it_and_gives_its_output() {
    let plan = Plans::root(|g| {
        g.gate("n", "[1,2]");
        g.group("g", |g| {
            g.gate("length", "len(n.output)");
            g.output("length.output");
        })
        .after(&["n"]);
    });
    check(plan, Script::default(), "completed 2", "g: ok 2\ng/length: ok 2\nn: ok [1,2]");
}

#[test]
fn a_sub_team_sees_only_its_inputs() {
    let mut plan = Plans::root(|g| {
        g.gate("n", "7");
        g.sub_team("s", TeamIx(1), &[("given", "n.output")], |g| {
            g.gate("inner", "input.given");
        })
        .after(&["n"]);
    });
    plan.teams.push(super::world::team(&["x"]));
    assert_eq!(run(plan, Script::default()).result(), "completed 7");
}

#[test]
fn fail_fast_of_a_sub_team_stops_the_sub_team_only() {
    let mut plan = Plans::root(|g| {
        g.sub_team("s", TeamIx(1), &[], |g| {
            g.tool("a");
            g.for_each("f", "[1,2]", 5, Some(1), |g| {
                g.tool("t");
            });
        });
        g.tool("b");
    });
    plan.teams.push(crate::graph::TeamPlan { fail_fast: true, ..super::world::team(&["x"]) });
    let script = Script::default().tool("s/a", vec![(1, fails(FailureKind::Tool))]).takes(&[("s/f/0/t", 5), ("b", 9)]);
    check(plan, script, "failed null", "b: ok b\ns: failed tool\ns/a: failed tool\ns/f: cancelled\ns/f/0/t: cancelled");
}

#[test]
fn a_scope_that_times_out_takes_what_is_inside_with_it() {
    let plan = Plans::root(|g| {
        g.group("g", |g| {
            g.tool("a");
            g.tool("b").after(&["a"]);
        })
        .timeout(5);
    });
    let script = Script::default().takes(&[("g/a", 9)]).stops_after(2);
    check(plan, script, "failed null", "g: failed timeout\ng/a: cancelled\ng/b: skipped moot");
}

#[test]
fn a_scope_is_tried_again_from_the_start() {
    let plan = Plans::root(|g| {
        g.group("g", |g| {
            g.tool("a");
            g.tool("b").after(&["a"]);
        })
        .timeout(5)
        .retry(3, &[]);
    });
    let mut slow = 0;
    let script = Script::default().tool("g/b", vec![(9, Ok(Value::Null))]).stops_after(1);
    let run = run(plan, script);
    assert_eq!(run.calls(), "g/a@0 g/b@1 g/a@7 g/b@8 g/a@16 g/b@17");
    slow += run.state().late.len();
    assert_eq!((run.result(), slow), ("failed null".to_owned(), 1));
}

fn delegated(tasks: &'static str, one_by_one: bool, quorum: Option<u32>) -> crate::graph::Plan {
    Plans::root(move |g| {
        g.gate("route", tasks);
        let from = g.expr("route.output");
        g.scope("work", ScopeKind::Subtasks { from, max: 5, like: like(), one_by_one, quorum, replan: None, check: None })
            .after(&["route"]);
    })
}

const THREE: &str = r#"[{"id":"x","agent":"a","task":"do x"},{"id":"y","agent":"b","task":"do y"},{"id":"z","agent":"c","task":"do z","depends_on":["x"]}]"#;

#[test]
fn sub_tasks_run_in_parallel_but_after_those_that_they_depend_on() {
    let run = run(delegated(THREE, false, None), Script::default());
    assert_eq!(run.result(), r#"completed {"x":"a","y":"b","z":"c"}"#);
    assert_eq!(run.calls(), "work/x@0 work/y@0 work/z@1");
    let tasks: Vec<&str> = run.world.requests.iter().map(|r| &*r.task).collect();
    assert_eq!(tasks, ["do x", "do y", "do z"]);
}

#[test]
fn sub_tasks_one_by_one_keep_the_order_of_the_list_past_failures() {
    let script = Script::default().agent("a", |_| Said::Fails(FailureKind::Model));
    let run = run(delegated(THREE, true, None), script);
    compare(
        &run,
        r#"completed {"y":"b"}"#,
        &format!("route: ok {}\nwork: ok {{\"y\":\"b\"}}\nwork/x: failed model\nwork/y: ok b\nwork/z: skipped join", json(THREE)),
    );
    assert_eq!(run.calls(), "work/x@0 work/y@1");
}

#[test]
fn a_quorum_of_sub_tasks_ends_the_scope_and_the_stragglers() {
    let script = Script::default().agent("b", |_| Said::After(9, Box::new(Said::Finish(Value::Null))));
    let run = run(delegated(THREE, false, Some(2)), script);
    assert_eq!(run.result(), r#"completed {"x":"a","z":"c"}"#);
    assert!(run.outcomes().contains("work/y: cancelled"), "{}", run.outcomes());
}

#[test]
fn an_invalid_delegation_fails_the_scope() {
    for (tasks, what) in [
        (r#"[{"id":"x","agent":"nobody","task":"t"}]"#, "nobody"),
        (r#"[{"id":"x","agent":"a","task":"t","depends_on":["y"]}]"#, "no sub-task"),
        (r#"[{"id":"x","agent":"a","task":"t","depends_on":["x"]}]"#, "itself"),
        (r#"[{"id":"x","agent":"a","task":"t"},{"id":"x","agent":"a","task":"t"}]"#, "two"),
        (r#"[7]"#, "list of sub-tasks"),
    ] {
        let run = run(delegated(tasks, false, None), Script::default());
        let failure = run.state().finished.as_ref().and_then(|f| f.failure.clone()).expect("it failed");
        assert!(failure.message.contains(what), "{failure}");
    }
    check(delegated("[]", false, None), Script::default(), "completed {}", "route: ok []\nwork: ok {}");
}

fn relay(max_handoffs: u32) -> crate::graph::Plan {
    Plans::root(move |g| {
        let members = ["a", "b", "c"].map(Role::new).to_vec();
        g.scope("relay", ScopeKind::Relay { members, max_handoffs, targets: BTreeMap::new(), like: like() });
    })
}

/// Who had the word, and what each read of the last handoff.
pub fn handed(run: &Run<Script>) -> Vec<(&str, String)> {
    let read = |request: &Request| {
        let letters = request.thread.iter().filter_map(|entry| if let Entry::Mail(mail) = entry { Some(mail) } else { None });
        let handoff = letters.flat_map(|mail| mail.iter()).rfind(|message| message.kind == MessageKind::Handoff).cloned();
        handoff.map_or(String::new(), |message| {
            let by = message.metadata.get("by").map(ToString::to_string).unwrap_or_default();
            format!("from {} by {by}: {}", message.from.as_ref().map_or("", |role| role.as_str()), message.content)
        })
    };
    let first = run.world.requests.iter().filter(|request| request.turn.0 == 0);
    first.map(|request| (request.role.as_str(), read(request))).collect()
}

#[test]
fn a_relay_passes_the_word_in_default_order_with_what_the_last_one_said() {
    let run = run(relay(5), Script::default());
    assert_eq!((run.calls(), run.result()), ("relay/1@0 relay/2@1 relay/3@2".to_owned(), "completed c".to_owned()));
    assert_eq!(
        handed(&run),
        [("a", String::new()), ("b", "from a by order: a".to_owned()), ("c", "from b by order: b".to_owned())]
    );
}

#[test]
fn a_relay_ends_after_its_last_handoff_and_with_the_failure_of_a_seat() {
    assert_eq!(run(relay(1), Script::default()).calls(), "relay/1@0 relay/2@1");
    let script = Script::default().agent("b", |_| Said::Fails(FailureKind::Model));
    check(relay(5), script, "failed null", "relay: failed model\nrelay/1: ok a\nrelay/2: failed model");
}

#[test]
fn the_handoff_rule_says_who_is_next_and_with_what_brief() {
    let rules = || {
        let mut rules = Rules::new();
        rules.insert(
            "handoff",
            Box::new(|facts| {
                let last = facts.get("done").and_then(Value::as_list).map_or(0, <[Value]>::len) == 2;
                Verdict::Handoff((!last).then(|| (Role::new("c"), Value::text("look here"))))
            }),
        );
        rules
    };
    let run = run_by(relay(2), Script::default(), rules());
    let expected = [("a", ""), ("c", "from a by rule: look here"), ("b", "from c by order: c")];
    assert_eq!((handed(&run), run.result()), (expected.map(|(r, h)| (r, h.to_owned())).to_vec(), "completed b".to_owned()));
    let mut wrong = Rules::new();
    wrong.insert("handoff", Box::new(|_| Verdict::Handoff(Some((Role::new("stranger"), Value::Null)))));
    assert_eq!(run_by(relay(2), Script::default(), wrong).result(), "failed null");
}

/// A scope and one inside it ran out of time at once: both were tried again, the inner one for nobody.
#[test]
fn a_scope_whose_time_is_up_together_with_that_of_the_one_around_it_is_not_tried_again_for_nobody() {
    let plan = Plans::root(|g| {
        g.group("g", |g| {
            g.group("h", |g| {
                g.tool("a");
            })
            .timeout(5)
            .retry(2, &[]);
        })
        .timeout(5)
        .retry(2, &[]);
    });
    let mut run = run(plan, Script::default().takes(&[("g/h/a", 60)]).stops_after(1));
    while run.step().unwrap() {}
    run.check_fold().unwrap();
    let tried = |path: &str| {
        let node = |node: &NodeIx| *run.state().path(*node) == *path;
        run.events().iter().filter(|e| matches!(e, Event::NodeRetried { node: n, .. } if node(n))).count()
    };
    assert_eq!((tried("g"), tried("g/h")), (1, 0));
    assert_eq!(run.calls(), "g/h/a@0 g/h/a@7");
}
