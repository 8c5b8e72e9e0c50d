//! Does an agent begin with what its profile has looked up, whatever becomes of the search?

use super::*;
use synod::{
    event::{Event, Input},
    report::Report,
    value::{CallIx, CallResult, Entry, NodeIx, SEARCH_KNOWLEDGE, Verdict},
};

/// A plan whose agent `a` has two passages looked up.
fn plan(build: impl FnOnce(&mut Flow<'_>)) -> Plan {
    let mut plan = Plans::root(build);
    let mut team = world::team(&["a", "b"]);
    let profile = Arc::make_mut(&mut team.members[0].profile);
    profile.knowledge.folders = vec![Arc::from("runbooks")];
    profile.knowledge.top_k = 2;
    profile.knowledge.filters = BTreeMap::from([("tags".to_owned(), vec!["logs".to_owned()])]);
    plan.teams = vec![team];
    plan
}

fn one_agent() -> Plan {
    plan(|flow| {
        flow.agent("n", "a");
    })
}

fn found() -> Value {
    json(r#"{"passages": [{"document": "runbooks/pool.md", "title": "Pool", "section": "", "line": 1, "text": "raise it"}]}"#)
}

fn searching(seconds: u64, result: Result<Value, Failure>) -> Script {
    Script::default().tool(SEARCH_KNOWLEDGE, vec![(seconds, result)])
}

/// What the first request of `n` knows.
fn known(run: &Run<Script>) -> Arc<CallResult> {
    let first = run.world.requests.iter().find(|request| &*request.node == "n").expect("n was asked");
    let Some(Entry::Known { result, .. }) = first.thread.first() else { panic!("{:?}", first.thread) };
    assert_eq!((first.turn.0, first.thread.len()), (0, 1));
    result.clone()
}

#[test]
fn what_is_found_is_in_the_first_request_and_the_search_is_a_call_on_the_record() {
    let run = run(one_agent(), searching(2, Ok(found())));
    assert_eq!((run.calls(), run.result()), ("n@0 n@2".to_owned(), r#"completed a"#.to_owned()));
    assert_eq!(known(&run).outcome, Ok(found()));
    let made = &run.made[0];
    assert_eq!((&*made.tool, made.key.call), (SEARCH_KNOWLEDGE, Some(CallIx::LOOKUP)));
    assert_eq!(
        made.args.to_string(),
        r#"{"filters":{"tags":["logs"]},"folders":["runbooks"],"limit":2,"query":"n"}"#,
        "the brief of the activation is what is looked for, where its profile says"
    );
    assert_eq!((run.state().spent.tool_calls, run.state().spent.turns), (1, 1));
    let told = |event: &&Event| matches!(event, Event::ToolCalled(called) if called.call == CallIx::LOOKUP);
    assert_eq!(run.events().into_iter().filter(told).count(), 1);
}

#[test]
fn what_was_found_before_is_looked_for_too() {
    let plan = plan(|flow| {
        flow.agent("m", "b");
        flow.agent("n", "a").after(&["m"]);
    });
    let finding = json(r#"{"topic": "cause", "claim": "the pool is full", "confidence": 0.9}"#);
    let script = searching(1, Ok(found())).agent("b", move |request| match request.turn.0 {
        0 => Said::Calls(vec![("broadcast_finding", finding.clone())]),
        _ => Said::Finish(Value::Null),
    });
    let run = run(plan, script);
    let search = run.made.iter().find(|made| &*made.tool == SEARCH_KNOWLEDGE).expect("n looks it up");
    assert_eq!(search.args.get("query").and_then(Value::as_str), Some("n\nthe pool is full"));
}

#[test]
fn an_agent_without_folders_or_without_a_number_looks_nothing_up() {
    for (folders, top_k) in [(false, 2), (true, 0)] {
        let mut plan = one_agent();
        let profile = Arc::make_mut(&mut plan.teams[0].members[0].profile);
        profile.knowledge.top_k = top_k;
        if !folders {
            profile.knowledge.folders.clear();
        }
        let run = run(plan, Script::default());
        assert_eq!((run.calls(), run.state().spent.tool_calls), ("n@0".to_owned(), 0));
    }
}

#[test]
fn every_attempt_of_an_agent_looks_it_up_anew() {
    let plan = plan(|flow| {
        flow.agent("n", "a").retry(2, &[]);
    });
    let mut asked = 0;
    let script = searching(1, Ok(found())).agent("a", move |_| {
        asked += 1;
        if asked == 1 { Said::Fails(FailureKind::Transport) } else { Said::Finish(Value::text("done")) }
    });
    assert_eq!(run(plan, script).calls(), "n@0 n@1 n@4 n@5");
}

#[test]
fn a_search_that_fails_fails_nothing_and_the_report_warns() {
    let run = run(one_agent(), searching(1, fails(FailureKind::Tool)));
    assert_eq!(run.result(), "completed a");
    assert!(known(&run).outcome.is_err());
    let warnings = Report::of(&run.records).unwrap().warnings;
    assert_eq!(warnings, ["n: it began without its knowledge: tool: as the script says"]);
}

#[test]
fn no_permit_rule_is_asked_and_no_pattern_must_allow_the_search() {
    let mut plan = one_agent();
    Arc::make_mut(&mut plan.teams[0].members[0].profile).allowed_tools.clear();
    let mut rules = Rules::new();
    rules.insert("permit", Box::new(|_| Verdict::Permit(Some(false))));
    let run = run_by(plan, searching(1, Ok(found())), rules);
    assert_eq!((known(&run).outcome.clone(), run.result()), (Ok(found()), "completed a".to_owned()));
}

#[test]
fn a_search_in_flight_at_a_crash_is_made_once_more() {
    let mut run = begin(one_agent(), searching(5, Ok(found())), Rules::new());
    run.run_until(1_000).unwrap();
    run.crash(1_000).unwrap();
    go(&mut run);
    assert_eq!((run.calls(), run.result()), ("n@0 n@2 n@7".to_owned(), "completed a".to_owned()));
    assert_eq!(run.state().spent.tool_calls, 1, "the intent is on the record once");
}

#[test]
fn a_result_that_comes_twice_answers_no_other_call() {
    let script = searching(1, Ok(found())).agent("a", |request| match request.turn.0 {
        0 => Said::Calls(vec![("slow", json("{}")), (SEARCH_KNOWLEDGE, json(r#"{"query": "x"}"#))]),
        _ => Said::Finish(Value::Int(request.thread.len() as i64)),
    });
    let mut run = begin(one_agent(), script.tool("slow", vec![(9, Ok(Value::text("slow")))]), Rules::new());
    run.run_until(2_500).unwrap();
    let lookup = run.made[0].key;
    let before = run.records.len();
    run.give(Input::Returned { key: lookup, result: Ok(Value::text("again")) }).unwrap();
    assert_eq!(run.records.len(), before);
    go(&mut run);
    assert_eq!(run.result(), "completed 4");
    let again = Value::text("again");
    let took = |entry: &Entry| matches!(entry, Entry::Result { result, .. } | Entry::Known { result, .. } if result.outcome == Ok(again.clone()));
    assert!(!run.world.requests.iter().flat_map(|request| &request.thread).any(took));
}

#[test]
fn the_time_limit_of_an_agent_counts_its_search() {
    let plan = plan(|flow| {
        flow.agent("n", "a").timeout(3);
    });
    let mut run = check(plan, searching(60, Ok(found())).stops_after(1), "failed null", "n: failed timeout");
    assert_eq!((run.calls(), run.state().late.len()), ("n@0".to_owned(), 1));
    run.run_until(9_000).unwrap();
    assert_eq!(run.state().late.len(), 0, "the search has stopped");
}

#[test]
fn searches_wait_for_slots_like_other_calls() {
    let plan = |slots| {
        let mut plan = plan(|flow| {
            flow.agent("m", "a");
            flow.agent("n", "a");
        });
        plan.max_parallel = slots;
        plan
    };
    let script = || searching(2, Ok(found()));
    assert_eq!(run(plan(2), script()).calls(), "m@0 n@0 m@2 n@2");
    assert_eq!(run(plan(1), script()).calls(), "m@0 m@2 n@3 n@5");
}

#[test]
fn a_journal_in_which_nothing_was_looked_up_reads_as_it_was_written() {
    let event = Event::NodeStarted { node: NodeIx(0), attempt: 1, lookup: None };
    let written = serde_json::to_string(&event).unwrap();
    assert_eq!(written, r#"{"node_started":{"node":0,"attempt":1}}"#);
    assert_eq!(serde_json::from_str::<Event>(&written).unwrap(), event);
}
