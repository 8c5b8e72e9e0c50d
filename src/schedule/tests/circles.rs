//! How does a circle talk, and when does it end?

use std::sync::Arc;

use super::{Plans, Rules, Said, Script, json, run, run_by};
use crate::{
    event::Event,
    graph::{Node, NodeKind, Plan, ScopeKind},
    value::{Entry, FailureKind, Request, Role, SettleVerdict, Value, Verdict},
};

fn circle(members: &[&str], turns: u32) -> Plan {
    let roles = members.iter().map(|role| Role::new(*role)).collect();
    let mut plan = Plans::root(move |g| {
        let like =
            Box::new(Node::new("like", NodeKind::Gate(crate::graph::GateBy::Members(crate::value::RuleKind::Merge, Vec::new()))));
        g.scope("c", ScopeKind::Circle { members: roles, like });
    });
    plan.teams[0] = super::world::team(members);
    for member in &mut plan.teams[0].members {
        Arc::make_mut(&mut member.profile).max_turns = turns;
    }
    plan
}

fn send(to: &str, kind: &str, content: &str) -> Said {
    Said::Calls(vec![("send_message", json(&format!(r#"{{"to":"{to}","type":"{kind}","content":"{content}"}}"#)))])
}

/// All the mail that a request shows.
fn mail(request: &Request) -> Vec<String> {
    let letters = request.thread.iter().filter_map(|entry| if let Entry::Mail(mail) = entry { Some(mail) } else { None });
    letters.flat_map(|mail| mail.iter().map(|m| m.content.to_string())).collect()
}

fn done(request: &Request) -> Said {
    Said::Finish(Value::from(format!("{}: {}", request.node, mail(request).join(","))))
}

#[test]
fn members_begin_together_rest_and_are_woken_by_mail_which_a_note_is_not() {
    let script = Script::default()
        .agent("a", |r| match &*r.node {
            "c/a/1" if r.turn.0 == 0 => send("b", "question", "well?"),
            _ => done(r),
        })
        .agent("b", |r| match (&*r.node, r.turn.0) {
            ("c/b/2", 0) => send("a", "response", "yes"),
            _ => done(r),
        })
        .agent("c", |r| if r.turn.0 == 0 { Said::After(5, Box::new(send("all", "note", "by the way"))) } else { done(r) });
    let run = run(circle(&["a", "b", "c"], 5), script);
    let begun: Vec<String> = run
        .events()
        .iter()
        .filter_map(|e| if let Event::NodeStarted { node, .. } = e { Some(run.state().path(*node).to_string()) } else { None })
        .collect();
    assert_eq!(begun, ["c/a/1", "c/b/1", "c/c/1", "c/b/2", "c/a/2"]);
    assert_eq!(run.result(), r#"completed {"a":"c/a/2: yes","b":"c/b/2: well?","c":"c/c/1: "}"#);
}

#[test]
fn what_an_agent_sends_along_with_a_message_does_not_change_to_whom_it_goes() {
    let with = |to: &str, kind: &str, metadata: Value| {
        let args = [("to", to), ("type", kind), ("content", kind)].map(|(key, text)| (key, Value::text(text)));
        Said::Calls(vec![("send_message", Value::map(args.into_iter().chain([("metadata", metadata)])))])
    };
    let script = Script::default()
        .agent("a", move |r| match &*r.node {
            "c/a/1" if r.turn.0 == 0 => with("b", "question", Value::map([("answered_at", Value::text("c/b/1"))])),
            _ => done(r),
        })
        .agent("b", move |r| match (&*r.node, r.turn.0) {
            ("c/b/2", 0) => with("a", "response", Value::map([("question", Value::text("c/a/1#m2"))])),
            _ => done(r),
        });
    let run = run(circle(&["a", "b"], 5), script);
    assert_eq!(run.result(), r#"completed {"a":"c/a/2: response","b":"c/b/2: question"}"#);
}

#[test]
fn an_activation_goes_on_from_the_thread_of_the_one_before() {
    let script = Script::default()
        .agent("a", |r| match (&*r.node, r.turn.0) {
            ("c/a/1", 0) => Said::Calls(vec![("read", json(r#"{"value":"what it found"}"#))]),
            _ => done(r),
        })
        .agent("b", |r| match (&*r.node, r.turn.0) {
            ("c/b/1", 0) => Said::After(9, Box::new(send("a", "question", "what is it?"))),
            _ => done(r),
        });
    let run = run(circle(&["a", "b"], 5), script);
    let woken = run.world.requests.iter().find(|r| *r.node == *"c/a/2").unwrap();
    let kinds: Vec<&str> = woken
        .thread
        .iter()
        .map(|entry| match entry {
            Entry::Reply(_) => "reply",
            Entry::Result { .. } => "result",
            Entry::Mail(_) => "mail",
            Entry::Answer { .. } | Entry::Note(_) | Entry::Known { .. } => "other",
        })
        .collect();
    assert_eq!(kinds, ["reply", "result", "reply", "mail"]);
    assert_eq!((woken.earlier, woken.turns_left, &*woken.task), (3, 2, &*run.state().started.task));
}

#[test]
fn members_that_never_stop_talking_stop_when_their_turns_are_spent_and_what_comes_then_is_undelivered() {
    let chatter = |to: &'static str| {
        move |r: &Request| if r.turn.0 == 0 { send(to, "question", &format!("{} {}", r.node, r.turns_left)) } else { done(r) }
    };
    let run = run(circle(&["a", "b"], 6), Script::default().agent("a", chatter("b")).agent("b", chatter("a")));
    assert_eq!((run.state().spent.turns, run.result().split(' ').next()), (12, Some("completed")));
    assert!(run.state().undelivered().next().is_some());
}

#[test]
fn findings_wake_the_others_and_a_member_that_failed_is_woken_too() {
    let found = r#"{"topic":"t","claim":"so it is","confidence":0.9}"#;
    let script = Script::default()
        .agent("a", move |r| {
            if r.turn.0 == 0 && &*r.node == "c/a/1" {
                Said::After(5, Box::new(Said::Calls(vec![("broadcast_finding", json(found))])))
            } else {
                done(r)
            }
        })
        .agent("b", |r| if &*r.node == "c/b/1" { Said::Fails(FailureKind::Model) } else { done(r) });
    let run = run(circle(&["a", "b"], 5), script);
    assert_eq!(run.result(), r#"completed {"a":"c/a/1: ","b":"c/b/2: so it is"}"#);
}

#[test]
fn a_circle_of_which_nobody_comes_to_anything_fails() {
    let script =
        Script::default().agent("a", |_| Said::Fails(FailureKind::Model)).agent("b", |_| Said::Fails(FailureKind::Model));
    let run = run(circle(&["a", "b"], 5), script);
    assert_eq!(run.result(), "failed null");
}

#[test]
fn the_settle_rule_may_end_a_circle_while_others_are_at_work() {
    let script = || Script::default().agent("b", |r| Said::After(60, Box::new(done(r))));
    let settles = |accepts: bool| {
        Rules::from([(
            "settle",
            Box::new(move |facts: &Value| {
                assert_eq!((facts.get("over"), facts.get("topic")), (Some(&Value::text("circle")), Some(&Value::text("result"))));
                let verdict = if accepts { SettleVerdict::Accept } else { SettleVerdict::Vote };
                Verdict::Settle { verdict, value: Value::Null, reason: Arc::from("enough") }
            }) as Box<dyn Fn(&Value) -> Verdict + Send + Sync>,
        )])
    };
    let ended = run_by(circle(&["a", "b"], 5), script().stops_after(1), settles(true));
    assert_eq!((ended.result(), ended.now < crate::value::Timestamp(10_000_000)), (r#"completed {"a":"a"}"#.to_owned(), true));
    let went_on = run_by(circle(&["a", "b"], 5), script(), settles(false));
    assert_eq!(went_on.result(), r#"completed {"a":"a","b":"c/b/1: "}"#);
}
