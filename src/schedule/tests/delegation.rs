//! What becomes of a task that an agent divides? It is checked, done, divided anew where it failed, and never for ever.

use super::{Plans, Rules, Run, Said, Script, begin, go, json};
use crate::{
    event::{AskFor, Event},
    graph::{Detect, Divider, EscalationPolicy, NodeKind, Phase, Plan, Replan, ScopeKind},
    value::{AskId, EscalateTo, FailureKind, Request, Role, Subtask, Value, Verdict},
};

/// The coordinator divides, in so many further rounds; then it makes the result.
fn team(replans: u32, check: Option<&str>, one_by_one: bool) -> Plan {
    let replan = (replans > 0).then_some(Replan { by: Divider::Coordinator, max: replans });
    let check = check.map(Role::new);
    let mut plan = Plans::root(move |g| {
        g.phase("delegate", "boss", Phase::Delegate);
        let from = g.expr("delegate.output");
        let like =
            Box::new(crate::graph::Node::new("like", NodeKind::Gate(crate::graph::GateBy::Rule(crate::value::RuleKind::Merge))));
        let work = ScopeKind::Subtasks { from, max: 8, like, one_by_one, quorum: None, replan, check };
        g.scope("work", work).after(&["delegate"]);
        g.phase("end", "boss", Phase::Synthesize).done("work");
    });
    plan.teams[0].coordinator = Some(super::world::agent("boss"));
    plan.teams[0].detect = Some(Detect::default());
    plan.teams[0].escalation_policy = vec![EscalationPolicy::OnStall];
    let knows = |role: &str, skill: &str, tool: &str, plan: &mut Plan| {
        let member = plan.teams[0].members.iter_mut().find(|member| member.role.as_str() == role).unwrap();
        let profile = std::sync::Arc::make_mut(&mut member.profile);
        profile.skills = vec![skill.into()];
        profile.allowed_tools = vec![tool.into()];
    };
    knows("a", "metrics", "query", &mut plan);
    knows("b", "log files", "search", &mut plan);
    knows("c", "metrics of databases", "sql", &mut plan);
    plan
}

fn done(plan: Plan, script: Script) -> Run<Script> {
    let mut run = begin(plan, script, Rules::new());
    go(&mut run);
    run
}

/// What the coordinator says when it divides, by round from 1.
fn divides(script: Script, says: impl Fn(usize) -> Said + 'static) -> Script {
    script.agent("boss", move |request| match &*request.phase {
        "delegate" => says(request.node.strip_prefix("work/").map_or(1, |round| round.parse().unwrap())),
        _ => Said::Finish(Value::text("the end")),
    })
}

fn list(tasks: &str) -> Said {
    Said::Calls(vec![("delegate", Value::map([("subtasks", json(tasks))]))])
}

/// Who was chosen, and why the coordinator's own division was not used.
fn delegated(run: &Run<Script>) -> Vec<(Vec<Subtask>, Option<String>)> {
    let one = |e: &Event| match e {
        Event::Delegated(d) => Some((d.subtasks.clone(), d.fallback.as_ref().map(ToString::to_string))),
        _ => None,
    };
    run.events().into_iter().filter_map(one).collect()
}

fn notes(run: &Run<Script>) -> Vec<String> {
    run.events().iter().filter_map(|e| if let Event::Noted { note, .. } = e { Some(note.to_string()) } else { None }).collect()
}

fn escalated(run: &Run<Script>) -> Vec<(String, EscalateTo)> {
    let one = |e: &&Event| if let Event::Escalated { reason, to, .. } = e { Some((reason.to_string(), *to)) } else { None };
    run.events().iter().filter_map(one).collect()
}

const TWO: &str = r#"[{"id":"x","agent":"a","task":"do x"},{"id":"y","agent":"b","task":"do y","depends_on":["x"]}]"#;

#[test]
fn the_coordinator_divides_by_a_call_or_by_a_finish_of_the_same_shape() {
    let call = list(TWO);
    let map = Said::Finish(Value::map([("subtasks", json(TWO))]));
    for said in [call, map, Said::Finish(json(TWO)), Said::Reply(super::reply(Some(TWO), Vec::new()))] {
        let said = std::cell::Cell::new(Some(said));
        let run = done(team(1, None, false), divides(Script::default(), move |_| said.take().expect("it divides once")));
        assert_eq!(run.calls(), "delegate@0 work/x@1 work/y@2 end@3");
        assert_eq!(run.result(), "completed the end");
        assert_eq!((delegated(&run).len(), notes(&run)), (1, Vec::new()));
    }
}

#[test]
fn the_coordinator_sees_whom_it_may_give_what() {
    let run = done(team(1, None, false), divides(Script::default(), |_| list(TWO)));
    let first: &Request = &run.world.requests[0];
    let tool = first.tools.iter().find(|tool| &*tool.name == "delegate").expect("it has the tool");
    assert!(tool.parameters.to_json().to_string().contains(r#""enum":["a","b","c","d"]"#));
    let members = first.context.get("team").and_then(Value::as_list).unwrap();
    let has = |at: usize, key: &str| members[at].get(key).unwrap().to_string();
    assert_eq!((has(0, "skills"), has(0, "tools")), (r#"["metrics"]"#.to_owned(), r#"["query"]"#.to_owned()));
    let others: Vec<&str> = run.world.requests[1..].iter().map(|r| &*r.node).collect();
    let offered = |r: &Request| r.tools.iter().any(|tool| &*tool.name == "delegate");
    assert!(!run.world.requests[1..].iter().any(|r| offered(r)), "{others:?}");
}

#[test]
fn who_fits_the_skills_best_and_has_the_tools_does_it_and_the_scores_are_on_record() {
    let tasks = r#"[{"id":"x","skills":["metrics"],"task":"x"},{"id":"y","skills":["logs","metrics"],"tools":["sql"],"task":"y"},
                    {"id":"z","skills":["files"],"task":"z"}]"#;
    let run = done(team(0, None, false), divides(Script::default(), move |_| list(tasks)));
    let (tasks, fallback) = delegated(&run).remove(0);
    assert_eq!(fallback, None);
    let who: Vec<&str> = tasks.iter().map(|task| task.agent.as_str()).collect();
    assert_eq!(who, ["a", "c", "b"]);
    let scored: Vec<&str> = tasks[0].scores.iter().map(|score| score.agent.as_str()).collect();
    assert_eq!(scored, ["a", "c"], "of two who fit equally well the first member is chosen");
    assert!(tasks[0].scores[0].score > 0.0, "{:?}", tasks[0].scores);
    assert_eq!(run.result(), "completed the end");
}

#[test]
fn a_division_that_cannot_be_used_is_sent_back_once_with_the_reason() {
    for (tasks, why) in [
        (r#"[{"id":"x","agent":"nobody","task":"t"}]"#, "the agent `nobody` is not one of a, b, c, d"),
        (r#"[{"id":"x","skills":["juggling"],"task":"t"}]"#, "nobody has one of the skills juggling"),
        (r#"[{"id":"x","agent":"a","task":"t","depends_on":["y"]}]"#, "depends on `y`, which is not there"),
        (r#"[{"id":"x","agent":"a","task":"t","depends_on":["x"]}]"#, "wait for each other"),
        (r#"[{"id":"X","agent":"a","task":"t"}]"#, "an id starts with a letter"),
        ("[]", "there is no sub-task in it"),
        ("7", "the delegation is an integer"),
    ] {
        let turn = std::cell::Cell::new(0);
        let says = move |_| {
            turn.set(turn.get() + 1);
            list(if turn.get() == 1 { tasks } else { TWO })
        };
        let run = done(team(1, None, false), divides(Script::default(), says));
        let told = notes(&run);
        assert!(told.len() == 1 && told[0].contains(why), "{told:?}");
        assert_eq!(delegated(&run)[0].1, None);
        assert!(run.outcomes().contains("work/y: ok b"), "{}", run.outcomes());
    }
}

#[test]
fn a_division_that_stays_unusable_lets_everybody_work_on_the_whole_task_and_that_is_on_record() {
    let mut plan = team(1, None, false);
    plan.teams[0].max_tasks = 1;
    let run = done(plan, divides(Script::default(), |_| list(TWO)));
    let (tasks, fallback) = delegated(&run).remove(0);
    assert_eq!(fallback.as_deref(), Some("2 sub-tasks; the team allows 1"));
    assert_eq!(
        tasks.iter().map(|task| (&*task.id, &*task.task)).collect::<Vec<_>>(),
        ["a", "b", "c", "d"].map(|id| (id, "the task"))
    );
    assert_eq!(run.calls(), "delegate@0 delegate@1 work/a@2 work/b@2 work/c@2 work/d@2 end@3");
    // One that never divides does not hold the team up for ever.
    let finds = |request: &Request| {
        let claim = ["disk", "memory", "network", "queue", "clock", "cache", "quota", "lock", "index", "shard"]
            [request.turn.0 as usize % 10];
        Said::Calls(vec![(
            "broadcast_finding",
            json(&format!(r#"{{"topic":"{claim}","claim":"the {claim} is fine","confidence":0.5}}"#)),
        )])
    };
    let script = Script::default().agent("delegate", finds);
    let (tasks, fallback) = delegated(&done(team(1, None, false), script)).remove(0);
    assert_eq!((tasks.len(), fallback.as_deref()), (4, Some("all 10 turns of delegate are used")));
}

#[test]
fn what_failed_is_divided_anew_and_what_is_done_is_kept() {
    let script = Script::default().agent("a", |_| Said::Fails(FailureKind::Model));
    let run = done(
        team(1, None, false),
        divides(script, |round| match round {
            1 => list(
                r#"[{"id":"x","agent":"a","task":"do x"},{"id":"y","agent":"b","task":"do y"},{"id":"z","agent":"c","task":"z","depends_on":["x"]}]"#,
            ),
            _ => list(
                r#"[{"id":"x","agent":"d","task":"do x","depends_on":["y"]},{"id":"z","agent":"c","task":"z","depends_on":["x"]}]"#,
            ),
        }),
    );
    assert_eq!(run.calls(), "delegate@0 work/x@1 work/y@1 work/2@2 work/2/x@3 work/2/z@4 end@5");
    assert!(run.outcomes().contains(r#"work: ok {"x":"d","y":"b","z":"c"}"#), "{}", run.outcomes());
    let seen = |node: &str| run.world.requests.iter().find(|r| &*r.node == node).unwrap().context.get("ledger").cloned().unwrap();
    let rows = |ledger: &Value| {
        let row = |row: &Value| ["id", "agent", "status", "round"].map(|key| row.get(key).unwrap().to_string()).join(" ");
        ledger.get("plan").and_then(Value::as_list).unwrap().iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(rows(&seen("work/2")), ["x a failed 1", "y b done 1", "z c skipped 1"]);
    assert_eq!(seen("work/2").get("rounds_left").and_then(Value::as_int), Some(1));
    assert_eq!(rows(&seen("end")), ["x a failed 1", "y b done 1", "z c skipped 1", "x d done 2", "z c done 2"]);
    let task = run.world.requests.iter().find(|r| &*r.node == "work/2").unwrap().task.to_string();
    assert!(task.contains("- x (a): model") && task.contains("- z (c): it did not run"), "{task}");
}

#[test]
fn a_team_goes_on_with_what_there_is_when_no_round_is_left_or_the_coordinator_leaves_it_at_that() {
    let run = |replans, again: &'static str| {
        let script = Script::default().agent("a", |_| Said::Fails(FailureKind::Model));
        done(
            team(replans, None, false),
            divides(script, move |round| match round {
                1 => list(r#"[{"id":"x","agent":"a","task":"do x"},{"id":"y","agent":"b","task":"do y"}]"#),
                _ => list(again),
            }),
        )
    };
    assert_eq!(run(0, "[]").calls(), "delegate@0 work/x@1 work/y@1 end@2");
    assert_eq!(run(1, "[]").calls(), "delegate@0 work/x@1 work/y@1 work/2@2 end@3");
    let invalid = run(1, r#"[{"id":"y","agent":"c","task":"do y"}]"#);
    assert_eq!(invalid.calls(), "delegate@0 work/x@1 work/y@1 work/2@2 work/2@3 end@4");
    assert!(delegated(&invalid)[1].1.as_deref().unwrap().contains("`y` is done"), "{:?}", delegated(&invalid));
    assert_eq!(invalid.result(), "completed the end");
}

#[test]
fn a_plan_that_gives_again_what_failed_is_told_of_once_and_then_stopped_and_escalated() {
    let script = Script::default().agent("a", |_| Said::Fails(FailureKind::Model));
    let mut run = done(
        team(5, None, false),
        divides(script, |round| match round {
            1 => list(r#"[{"id":"x","agent":"a","task":"Read the log, attempt 1"},{"id":"y","agent":"b","task":"do y"}]"#),
            n => list(&format!(r#"[{{"id":"x{n}","agent":"a","task":"Read the log; attempt {n}"}}]"#)),
        }),
    );
    let told = notes(&run);
    assert!(
        told.len() == 1 && told[0].starts_with("looping_ledger: the new plan gives to a again what has failed before"),
        "{told:?}"
    );
    let [(reason, EscalateTo::Person)] = &escalated(&run)[..] else { panic!("{:?}", escalated(&run)) };
    assert!(reason.starts_with("stalled: looping_ledger: "), "{reason}");
    assert_eq!(run.calls(), "delegate@0 work/x@1 work/y@1 work/2@2 work/2@3");
    run.answer(AskId(0), "skip").unwrap();
    go(&mut run);
    assert_eq!(run.result(), "completed the end");
    assert!(run.outcomes().contains(r#"work: ok {"y":"b"}"#), "{}", run.outcomes());
}

#[test]
fn rounds_that_bring_nothing_are_told_of_once_and_then_no_further_one_begins_and_a_person_decides() {
    let run = |answer: &str| {
        let fails = |_: &Request| Said::Fails(FailureKind::Model);
        let script = ["a", "b", "c", "d"].into_iter().fold(Script::default(), |script, who| script.agent(who, fails));
        let mut run = done(
            team(5, None, false),
            divides(script, |round| {
                let (agent, task) = [("a", "Read the log"), ("b", "Look at the metrics"), ("c", "Ask the database")][round - 1];
                list(&format!(r#"[{{"id":"x{round}","agent":"{agent}","task":"{task}"}}]"#))
            }),
        );
        let told = notes(&run);
        assert!(
            told.len() == 1 && told[0].starts_with("looping_ledger: the last round of delegation brought no new"),
            "{told:?}"
        );
        let [(reason, EscalateTo::Person)] = &escalated(&run)[..] else { panic!("{:?}", escalated(&run)) };
        assert!(reason.contains("looping_ledger: the last 2 rounds of delegation brought no new finding"), "{reason}");
        let ask = run.state().asks.values().next().expect("a person is asked").clone();
        assert!(matches!(ask.purpose, AskFor::Failure(_)));
        assert_eq!(ask.options.iter().map(|option| &**option).collect::<Vec<_>>(), ["go_on", "fail"]);
        run.answer(ask.id, answer).unwrap();
        go(&mut run);
        run
    };
    let failed = run("fail");
    assert!(failed.outcomes().contains("work: failed stalled"), "{}", failed.outcomes());
    assert!(run("go_on").outcomes().contains("work: failed model"), "nothing is done that one could go on with");
    assert_eq!(failed.calls(), "delegate@0 work/x1@1 work/2@2 work/2/x2@3 end@4");
}

#[test]
fn a_finding_is_progress_even_where_a_sub_task_fails() {
    let finds = |n: u32| format!(r#"{{"topic":"t","claim":"number {n}","confidence":0.5}}"#);
    let worker = move |request: &Request| match request.turn.0 {
        0 => Said::Calls(vec![("broadcast_finding", json(&finds(request.task.len() as u32)))]),
        _ => Said::Reply(super::reply(None, Vec::new())),
    };
    let script = ["a", "b", "c"].into_iter().fold(Script::default(), |script, who| script.agent(who, worker));
    let mut plan = team(2, None, false);
    for member in &mut plan.teams[0].members {
        std::sync::Arc::make_mut(&mut member.profile).max_turns = 1;
    }
    let run = done(
        plan,
        divides(script, |round| {
            let (agent, task) = [("a", "Read the log"), ("b", "Look at the metrics"), ("c", "Ask the database")][round - 1];
            list(&format!(r#"[{{"id":"x{round}","agent":"{agent}","task":"{task}"}}]"#))
        }),
    );
    assert_eq!((notes(&run), escalated(&run)), (Vec::new(), Vec::new()), "{}", run.outcomes());
    assert!(run.outcomes().contains("work/3/x3: failed limit"), "{}", run.outcomes());
}

#[test]
fn somebody_else_says_whether_a_sub_task_is_done_and_an_objection_fails_it() {
    let tasks =
        r#"[{"id":"x","agent":"a","task":"do x","done_when":"it is x"},{"id":"y","agent":"b","task":"do y","depends_on":["x"]}]"#;
    let run = |check: &'static str, vote: &'static str| {
        let votes = move |request: &Request| {
            assert_eq!((&*request.phase, request.context.get("proposal").unwrap().to_string()), ("validate", "a".to_owned()));
            assert!(request.task.contains("It is done when: it is x"), "{}", request.task);
            Said::Finish(json(&format!(r#"{{"vote":"{vote}","confidence":0.9,"reason":"no y"}}"#)))
        };
        done(team(0, Some(check), false), divides(Script::default().agent("work/x_check", votes), move |_| list(tasks)))
    };
    let approved = run("boss", "approve");
    assert_eq!(approved.calls(), "delegate@0 work/x@1 work/x_check@2 work/y@3 end@4");
    let objected = run("c", "object");
    let outcomes = objected.outcomes();
    assert!(outcomes.contains("work/x_check: failed rejected") && outcomes.contains("work/y: skipped join"), "{outcomes}");
    assert!(outcomes.contains("work: failed rejected"), "{outcomes}");
    let by = |run: &Run<Script>| run.world.requests.iter().find(|r| &*r.node == "work/x_check").unwrap().role.to_string();
    assert_eq!((by(&approved), by(&objected), by(&run("a", "object"))), ("boss".into(), "c".into(), "boss".into()));
}

#[test]
fn sub_tasks_one_by_one_keep_the_order_as_far_as_they_do_not_wait_for_later_ones() {
    let tasks = r#"[{"id":"x","agent":"a","task":"x","depends_on":["z"]},{"id":"y","agent":"b","task":"y"},{"id":"z","agent":"c","task":"z"}]"#;
    let run = done(team(0, None, true), divides(Script::default(), move |_| list(tasks)));
    assert_eq!(run.calls(), "delegate@0 work/y@1 work/z@2 work/x@3 end@4");
}

#[test]
fn a_route_rule_divides_anew_with_the_ledger_before_it_and_what_is_done_is_left_out() {
    let mut plan = team(0, None, false);
    plan.graphs = Plans::root(|g| {
        g.add("delegate", NodeKind::Gate(crate::graph::GateBy::Rule(crate::value::RuleKind::Route)));
        let from = g.expr("delegate.output");
        let like =
            Box::new(crate::graph::Node::new("like", NodeKind::Gate(crate::graph::GateBy::Rule(crate::value::RuleKind::Merge))));
        let replan = Some(Replan { by: Divider::Rule, max: 3 });
        g.scope("work", ScopeKind::Subtasks { from, max: 8, like, one_by_one: false, quorum: None, replan, check: None })
            .after(&["delegate"]);
    })
    .graphs;
    let task = |id: &str, agent: &str| Subtask { id: id.into(), agent: Role::new(agent), ..subtask() };
    let rule = move |stubborn: bool| -> Box<dyn Fn(&Value) -> Verdict + Send + Sync> {
        Box::new(move |facts: &Value| {
            let round = facts.get("round").and_then(Value::as_int).unwrap();
            let stall = facts.get("stall").is_some_and(|stall| !stall.is_null());
            Verdict::Route(match (round, stall || !stubborn) {
                (1, _) => vec![task("x", "a"), task("y", "b")],
                (_, true) if !stubborn => vec![task("x", "c")],
                _ => vec![task("x", "a")],
            })
        })
    };
    let run = |stubborn| {
        let script = Script::default().agent("a", |_| Said::Fails(FailureKind::Model));
        let mut run = begin(plan.clone(), script, Rules::from([("route", rule(stubborn))]));
        go(&mut run);
        run
    };
    let heeds = run(false);
    compare_calls(&heeds, "work/x@0 work/y@0 work/2/x@1", r#"completed {"x":"c","y":"b"}"#);
    // Told in its facts that it gives again what failed, and no other plan: to the coordinator, as nobody's own.
    let stubborn = run(true);
    compare_calls(&stubborn, "work/x@0 work/y@0", r#"completed {"y":"b"}"#);
    assert!(matches!(&escalated(&stubborn)[..], [(reason, EscalateTo::Coordinator)] if reason.contains("looping_ledger")));
}

fn compare_calls(run: &Run<Script>, calls: &str, result: &str) {
    assert_eq!((run.calls(), run.result()), (calls.to_owned(), result.to_owned()), "{}", run.outcomes());
}

fn subtask() -> Subtask {
    let nothing = Vec::new;
    Subtask {
        id: "x".into(),
        agent: Role::new("a"),
        task: "do it".into(),
        done_when: None,
        depends_on: nothing(),
        skills: nothing(),
        tools: nothing(),
        scores: Vec::new(),
    }
}

/// `a` has a sub-task and says these, turn by turn, with so many levels.
fn nested(levels: u32, says: Vec<&'static str>) -> Run<Script> {
    let mut plan = team(0, None, false);
    plan.teams[0].max_depth = levels;
    let delegate = move |request: &Request| match says.get(request.turn.0 as usize) {
        Some(tasks) => list(tasks),
        None => {
            let last = request.thread.iter().rev().find_map(|entry| match entry {
                crate::value::Entry::Result { result, .. } => Some(result.outcome.clone()),
                _ => None,
            });
            Said::Finish(last.map_or(Value::Null, |outcome| outcome.unwrap_or_else(|failure| Value::text(failure.to_string()))))
        }
    };
    done(plan, divides(Script::default().agent("work/x", delegate), |_| list(r#"[{"id":"x","agent":"a","task":"do x"}]"#)))
}

#[test]
fn whoever_has_a_sub_task_may_divide_it_among_colleagues_and_gets_their_results() {
    let run =
        nested(2, vec![r#"[{"id":"m","agent":"b","task":"m"},{"id":"n","skills":["databases"],"task":"n","depends_on":["m"]}]"#]);
    assert_eq!(run.calls(), "delegate@0 work/x@1 work/x/sub/m@2 work/x/sub/n@3 work/x@4 end@5");
    assert!(run.outcomes().contains(r#"work/x: ok {"failed":{},"results":{"m":"b","n":"c"}}"#), "{}", run.outcomes());
    let from = run.state().context.messages.iter().find(|spoken| spoken.message.to == Some(Role::new("b")));
    assert_eq!(from.and_then(|spoken| spoken.message.from.clone()), Some(Role::new("a")), "the task comes from who gave it");
}

#[test]
fn work_is_not_given_back_up_nor_too_deep_nor_twice() {
    for (levels, says, why) in [
        (1, vec![r#"[{"id":"m","agent":"b","task":"m"}]"#], "over 1 level at most (`max_depth`)"),
        (2, vec![r#"[{"id":"m","agent":"a","task":"m"}]"#], "a is above or at this sub-task (a)"),
        (2, vec![r#"[{"id":"m","agent":"zoe","task":"m"}]"#], "the agent `zoe` is not one of b, c, d"),
        (2, vec![r#"[{"id":"m","agent":"b","task":"m"}]"#, r#"[{"id":"o","agent":"c","task":"o"}]"#], "you have delegated once"),
    ] {
        let run = nested(levels, says);
        assert!(run.outcomes().contains(why), "{why}: {}", run.outcomes());
        assert_eq!(run.result(), "completed the end");
    }
    // b, below a, may not give it back to a; and nobody is below b with two levels.
    let mut plan = team(0, None, false);
    plan.teams[0].max_depth = 3;
    let back = |to: &'static str| {
        move |request: &Request| match request.turn.0 {
            0 => list(&format!(r#"[{{"id":"p","agent":"{to}","task":"p"}}]"#)),
            _ => Said::Finish(Value::text(format!("{:?}", request.thread.last()))),
        }
    };
    let script = Script::default().agent("work/x", back("b")).agent("work/x/sub/p", back("a"));
    let run = done(plan, divides(script, |_| list(r#"[{"id":"x","agent":"a","task":"do x"}]"#)));
    assert!(run.outcomes().contains("a is above or at this sub-task (a → b)"), "{}", run.outcomes());
}

#[test]
fn the_other_calls_of_a_turn_come_before_what_it_delegates() {
    let mut plan = team(0, None, false);
    plan.teams[0].max_depth = 2;
    let both = |request: &Request| match request.turn.0 {
        0 => Said::Calls(vec![
            ("delegate", Value::map([("subtasks", json(r#"[{"id":"m","agent":"b","task":"m"}]"#))])),
            ("query", Value::map::<&str>([])),
            ("finish", Value::map([("result", Value::text("done"))])),
        ]),
        _ => Said::Finish(Value::text("a")),
    };
    let script = Script::default().agent("work/x", both).tool("query", vec![(3, Ok(Value::Null))]);
    let run = done(plan, divides(script, |_| list(r#"[{"id":"x","agent":"a","task":"do x"}]"#)));
    assert_eq!(run.calls(), "delegate@0 work/x@1 work/x@2 work/x/sub/m@5 end@6");
    assert!(run.outcomes().contains("work/x: ok done"), "{}", run.outcomes());
}

#[test]
fn a_team_that_stops_at_the_first_failure_divides_nothing_anew() {
    let mut plan = team(3, None, false);
    plan.teams[0].fail_fast = true;
    let script = Script::default().agent("a", |_| Said::Fails(FailureKind::Model));
    let run = done(plan, divides(script, |_| list(r#"[{"id":"x","agent":"a","task":"x"}]"#)));
    assert_eq!(run.calls(), "delegate@0 work/x@1 end@2");
}
