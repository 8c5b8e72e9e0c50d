//! What becomes of an agent that goes round in circles, as models do? It is told, stopped, and somebody hears of it.

use super::{Answer, Flow, Plans, Rules, Run, Said, Script, begin, go, json};
use crate::{
    event::{AskFor, Event},
    graph::{Detect, Detector, EscalationPolicy, Evidence, NodeKind, Phase, Plan, ScopeKind},
    value::{AskId, Entry, EscalateTo, Failure, FailureKind, Request, Role, Value, Verdict},
};

/// One agent `a`, in a team that watches for everything and tells the coordinator.
fn alone() -> Plan {
    watched(Plans::root(|g| {
        g.agent("a", "a");
        g.phase("boss", "boss", Phase::Synthesize).done("a");
    }))
}

fn watched(mut plan: Plan) -> Plan {
    plan.teams[0].detect = Some(Detect::default());
    plan.teams[0].coordinator = Some(super::world::agent("boss"));
    plan.teams[0].escalation_policy = vec![EscalationPolicy::OnStall];
    for member in &mut plan.teams[0].members {
        std::sync::Arc::make_mut(&mut member.profile).max_turns = 30;
    }
    plan
}

fn done(plan: Plan, script: Script) -> Run<Script> {
    let mut run = begin(plan, script, Rules::new());
    go(&mut run);
    run
}

fn turns(run: &Run<Script>, node: &str) -> usize {
    run.made.iter().filter(|made| made.tool.is_empty() && *made.path == *node).count()
}

/// What detectors told, and what was escalated on the grounds of a stall.
fn seen(run: &Run<Script>) -> (Vec<&'static str>, Vec<(String, EscalateTo)>) {
    let events = run.events();
    let told = events.iter().filter_map(|e| if let Event::Noted { detector: Some(d), .. } = e { Some(d.name()) } else { None });
    let heard = events.iter().filter_map(|e| match e {
        Event::Escalated { cause: Some(EscalationPolicy::OnStall), reason, to, .. } => Some((reason.to_string(), *to)),
        _ => None,
    });
    (told.collect(), heard.collect())
}

/// The agent does this at every turn, whatever it is told: it is stopped after so many turns, by that detector.
fn check(detector: &str, told: bool, after: usize, script: Script, does: impl Fn(u32) -> Vec<(&'static str, String)> + 'static) {
    let script = script.agent("a", move |request| {
        Said::Calls(does(request.turn.0).into_iter().map(|(tool, args)| (tool, json(&args))).collect())
    });
    let run = done(alone(), script);
    let (notes, escalated) = seen(&run);
    assert_eq!(notes, if told { vec![detector] } else { Vec::new() });
    let [(reason, EscalateTo::Coordinator)] = &escalated[..] else { panic!("{escalated:?}") };
    assert!(reason.starts_with(&format!("stalled: {detector}: ")), "{reason}");
    assert_eq!(turns(&run, "a"), after, "{}", run.outcomes());
    assert!(run.outcomes().contains("a: failed stalled"), "{}", run.outcomes());
    assert_eq!(run.result(), "completed boss");
}

fn answers(value: &str) -> Vec<Answer> {
    vec![(1, Ok(Value::text(value)))]
}

fn fails(why: &str) -> Vec<Answer> {
    vec![(1, Err(Failure::new(FailureKind::Tool, why)))]
}

#[test]
fn repetition_the_same_search_and_the_same_plea_are_stopped() {
    check("repeated_call", false, 4, Script::default().tool("search", answers("nothing")), |_| {
        vec![("search", r#"{"query":"timeout"}"#.into())]
    });
    check("repeated_message", false, 4, Script::default(), |_| {
        vec![("send_message", r#"{"to":"b","content":"please confirm"}"#.into())]
    });
    check("repeated_message", false, 4, Script::default(), |_| {
        vec![("broadcast_finding", r#"{"topic":"t","claim":"it is slow","confidence":0.5}"#.into())]
    });
}

#[test]
fn near_repetition_another_number_or_another_mark_is_no_other_thing() {
    check("near_repetition", true, 5, Script::default().tool("search", answers("nothing")), |n| {
        vec![("search", format!(r#"{{"query":"error in the payment service","page":{n}}}"#))]
    });
    check("near_repetition", true, 5, Script::default(), |n| {
        let marks = "!".repeat(n as usize);
        vec![("send_message", format!(r#"{{"to":"b","content":"I think that we should look at the database first{marks}"}}"#))]
    });
}

#[test]
fn failing_code_that_is_tried_again_and_again_is_stopped() {
    let error = "NameError: name df is not defined";
    check("failing_call", true, 5, Script::default().tool("fire_code", fails(error)), |n| {
        vec![("fire_code", format!(r#"{{"code":"print(df.head({n}))"}}"#))]
    });
    let paths = ["src/main.c", "lib/util.h", "Makefile", "docs/index.md", "test/run.sh", "a", "b", "c", "d"];
    check(
        "failing_call",
        true,
        5,
        Script::default().tool("idem_build", fails("exit 2: undefined reference to start")),
        move |n| vec![("idem_build", format!(r#"{{"target":"{}"}}"#, paths[n as usize % 9]))],
    );
}

#[test]
fn a_looping_ledger_is_stopped() {
    let mut plan = alone();
    plan = with_ledger(plan);
    let writes = |request: &Request| {
        let n = request.turn.0;
        let value = format!(r#"{{"facts":"none yet","plan":"ask for facts, then plan anew","round":{n}}}"#);
        Said::Calls(vec![("set_variable", json(&format!(r#"{{"variable":"ledger","value":{value}}}"#)))])
    };
    let run = done(plan, Script::default().agent("a", writes));
    let (told, escalated) = seen(&run);
    assert_eq!((told, turns(&run, "a")), (vec!["near_repetition"], 5));
    assert!(escalated[0].0.contains("near_repetition"), "{escalated:?}");

    // The ledger is told to everybody instead, each time in other words that say nothing: no variable, no result, no finding.
    let words =
        ["so far so good", "we are on it", "nothing to add", "plan unchanged", "as before", "will see", "hm", "wait", "next"];
    check("no_progress", true, 9, Script::default().tool("look", answers("no change")), move |n| {
        let word = words[n as usize % 9];
        let mut calls = vec![("send_message", format!(r#"{{"to":"b","content":"{word}"}}"#))];
        if n == 0 {
            calls.push(("look", "{}".into()));
        }
        calls
    });
}

fn with_ledger(mut plan: Plan) -> Plan {
    for graph in &mut plan.graphs {
        for node in std::sync::Arc::make_mut(graph).dag.node_weights_mut() {
            node.writes.push(crate::value::WriteSpec { variable: "ledger".into(), merge: None });
        }
    }
    plan
}

fn live(g: &mut Flow<'_>, id: &str) {
    if let NodeKind::Agent(agent) = &mut g.agent(id, id).node().kind {
        agent.live = true;
    }
}

#[test]
fn two_who_write_or_ask_back_and_forth_without_a_finding_are_stopped() {
    let words =
        ["after you", "no, you first", "I insist", "your field", "as you like", "really?", "sure", "fine", "well", "then", "go"];
    let polite = move |to: &'static str, tool: &'static str, key: &'static str| {
        move |request: &Request| match (&*request.phase, request.turn.0 as usize) {
            ("answer", _) => Said::Finish(Value::text(words[request.thread.len() % 11])),
            (_, n) => Said::Calls(vec![(tool, json(&format!(r#"{{"to":"{to}","{key}":"{}"}}"#, words[n % 11])))]),
        }
    };
    for (tool, key) in [("send_message", "content"), ("ask_agent", "question")] {
        let mut plan = watched(Plans::root(|g| {
            live(g, "a");
            live(g, "b");
        }));
        plan.teams[0].max_asks = 20;
        let run = done(plan, Script::default().agent("a", polite("b", tool, key)).agent("b", polite("a", tool, key)));
        let (told, escalated) = seen(&run);
        assert!(told.contains(&"ping_pong"), "{tool}: {told:?}");
        assert!(escalated.iter().any(|(reason, _)| reason.contains("ping_pong: ")), "{tool}: {escalated:?}");
        assert!(turns(&run, "a") <= 8 && turns(&run, "b") <= 8, "{tool}: {}", run.outcomes());
    }
}

#[test]
fn handing_over_back_and_forth_without_a_finding_is_stopped() {
    let plan = |max_handoffs| {
        watched(Plans::root(|g| {
            let members = ["a", "b"].map(Role::new).to_vec();
            let targets = std::collections::BTreeMap::new();
            g.scope("relay", ScopeKind::Relay { members, max_handoffs, targets, like: super::scopes::like() });
        }))
    };
    let rules = || {
        let back: Box<dyn Fn(&Value) -> Verdict + Send + Sync> = Box::new(|facts| {
            let to = if facts.get("from").and_then(Value::as_str) == Some("a") { "b" } else { "a" };
            Verdict::Handoff(Some((Role::new(to), Value::Null)))
        });
        Rules::from([("handoff", back)])
    };
    let mut run = begin(plan(30), Script::default(), rules());
    go(&mut run);
    let (told, escalated) = seen(&run);
    assert_eq!(told, ["ping_pong"]);
    assert!(escalated[0].0.starts_with("stalled: ping_pong: two agents handed over to each other 5 times"), "{escalated:?}");
    assert!(run.outcomes().contains("relay/8: failed stalled"), "{}", run.outcomes());

    let drafts =
        ["the night", "a river", "old stones", "four birds", "winter", "no sleep", "the sea", "far hills", "your name", "bread"];
    let write = move |request: &Request| Said::Finish(Value::text(drafts[request.node[6..].parse::<usize>().unwrap() % 10]));
    let mut run = begin(plan(9), Script::default().agent("a", write).agent("b", move |r| write(r)), rules());
    go(&mut run);
    assert_eq!(seen(&run), (Vec::new(), Vec::new()), "{}", run.outcomes());
}

#[test]
fn a_finish_without_the_declared_evidence_is_sent_back_once_and_then_stopped() {
    let finishes = |how: fn(Value) -> Said| move |_: &Request| how(json(r#"{"cause":"the cache","evidence":[]}"#));
    for how in [Said::Finish as fn(Value) -> Said, |value| Said::Calls(vec![("finish", Value::map([("result", value)]))])] {
        let mut plan = alone();
        let watch = plan.teams[0].detect.as_mut().and_then(|d| d.0.get_mut(&Detector::PrematureEnd)).unwrap();
        watch.evidence = Evidence::Required;
        let run = done(plan.clone(), Script::default().agent("a", finishes(how)));
        let (told, escalated) = seen(&run);
        assert_eq!((told, turns(&run, "a")), (vec!["premature_end"], 2));
        assert!(escalated[0].0.starts_with("stalled: premature_end: this result has no `evidence`"), "{escalated:?}");

        let heeds = move |request: &Request| match request.turn.0 {
            1 => Said::Calls(vec![(
                "broadcast_finding",
                json(r#"{"topic":"t","claim":"c","confidence":0.9,"evidence":[{"source":"app.log","locator":"3"}]}"#),
            )]),
            _ => how(json(r#"{"cause":"the cache"}"#)),
        };
        let run = done(plan, Script::default().agent("a", heeds));
        assert_eq!(seen(&run), (vec!["premature_end"], Vec::new()), "it is told, and heeds it");
        assert!(run.outcomes().contains("a: ok"), "{}", run.outcomes());
    }
}

#[test]
fn an_agent_that_heeds_what_it_is_told_goes_on() {
    let search = |request: &Request| match request.thread.iter().rev().find(|e| matches!(e, Entry::Note(_))) {
        None => Said::Calls(vec![(
            "search",
            json(&format!(r#"{{"query":"error in the payment service","page":{}}}"#, request.turn.0)),
        )]),
        Some(Entry::Note(note)) => Said::Finish(Value::Text(note.clone())),
        Some(_) => Said::Nothing,
    };
    let run = done(alone(), Script::default().tool("search", answers("nothing")).agent("a", search));
    assert_eq!((turns(&run, "a"), seen(&run)), (5, (vec!["near_repetition"], Vec::new())));
    let note = run.state().outcome(crate::value::NodeIx(0)).map(|outcome| format!("{outcome:?}")).unwrap();
    assert!(note.contains("near_repetition: the last 4 turns say and do nearly the same"), "{note}");
}

#[test]
fn a_person_may_let_a_stalled_agent_try_again_where_nobody_leads() {
    let mut plan = alone();
    plan.teams[0].coordinator = None;
    let stuck = |_: &Request| Said::Calls(vec![("search", json("{}"))]);
    let mut run = done(plan, Script::default().tool("search", answers("nothing")).agent("a", stuck));
    assert_eq!(run.result(), "parked");
    let asked = run.state().asks[&AskId(0)].clone();
    assert!(
        asked.question.contains("repeated_call")
            && matches!(&asked.purpose, AskFor::Failure(f) if f.kind == FailureKind::Stalled)
    );
    run.answer(AskId(0), "fail").unwrap();
    go(&mut run);
    assert!(run.outcomes().contains("a: failed stalled"), "{}", run.outcomes());
}

#[test]
fn without_a_policy_for_it_the_attempt_fails_all_the_same() {
    let mut plan = alone();
    plan.teams[0].escalation_policy = vec![EscalationPolicy::Never];
    let stuck = |_: &Request| Said::Calls(vec![("search", json("{}"))]);
    let run = done(plan, Script::default().tool("search", answers("nothing")).agent("a", stuck));
    assert_eq!((turns(&run, "a"), seen(&run).1), (4, Vec::new()));
    assert!(run.outcomes().contains("a: failed stalled"), "{}", run.outcomes());
}

#[test]
fn a_plan_from_before_detectors_goes_on_as_it_was_started() {
    let mut plan = alone();
    plan.teams[0].detect = None;
    let stuck = |_: &Request| Said::Calls(vec![("search", json("{}"))]);
    let run = done(plan, Script::default().tool("search", answers("nothing")).agent("a", stuck));
    assert_eq!((turns(&run, "a"), seen(&run)), (30, (Vec::new(), Vec::new())));
}
