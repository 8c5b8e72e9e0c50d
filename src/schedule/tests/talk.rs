//! What do agents say to each other, and who gets to read it?

use std::sync::Arc;

use super::{Flow, Plans, Rules, Said, Script, begin, go, json, run};
use crate::{
    event::Event,
    graph::{MAX_ASK_DEPTH, NodeKind, Phase, Plan},
    turn::MESSAGE_LIMIT,
    value::{Entry, FailureKind, MessageKind, Request, Role, Value},
};

/// Says these at its turns, then finishes with what its calls gave.
fn says(turns: Vec<Vec<(&'static str, String)>>) -> impl FnMut(&Request) -> Said {
    move |request| match turns.get(request.turn.0 as usize) {
        Some(calls) if &*request.phase != "answer" => Said::Calls(calls.iter().map(|(tool, args)| (*tool, json(args))).collect()),
        _ => Said::Finish(Value::from(results(request).join("; "))),
    }
}

fn send(to: &str, content: &str) -> (&'static str, String) {
    ("send_message", format!(r#"{{"to":"{to}","content":"{content}"}}"#))
}

fn ask(to: &str, question: &str) -> (&'static str, String) {
    ("ask_agent", format!(r#"{{"to":"{to}","question":"{question}"}}"#))
}

/// The results that a request shows.
fn results(request: &Request) -> Vec<String> {
    let shown = |entry: &Entry| match entry {
        Entry::Result { result, .. } => Some(match &result.outcome {
            Ok(value) => value.to_string(),
            Err(failure) => failure.to_string(),
        }),
        Entry::Reply(_) | Entry::Mail(_) | Entry::Answer { .. } | Entry::Note(_) | Entry::Known { .. } => None,
    };
    request.thread.iter().filter_map(shown).collect()
}

/// The mail that a request shows, as `from: content`.
fn mail(request: &Request) -> Vec<String> {
    let letters = request.thread.iter().filter_map(|entry| if let Entry::Mail(mail) = entry { Some(mail) } else { None });
    let shown = |m: &Arc<crate::value::Message>| format!("{}: {}", m.from.as_ref().unwrap(), m.content);
    letters.flat_map(|mail| mail.iter().map(shown)).collect()
}

/// What the agent at `path` had read at its last turn.
fn read_by(run: &super::Run<Script>, path: &str) -> Vec<String> {
    mail(run.world.requests.iter().rev().find(|r| *r.node == *path).unwrap_or_else(|| panic!("{path} was not asked")))
}

/// What `from` says in its only turn, and what it is told about it.
fn told(plan: Plan, call: (&'static str, String)) -> String {
    let run = run(plan, Script::default().agent("a", says(vec![vec![call]])));
    results(run.world.requests.iter().rfind(|r| *r.node == *"a").unwrap()).join("; ")
}

/// `a` and `b` at once, then `c`.
fn two_then_one() -> Plan {
    Plans::root(|g| {
        g.agent("a", "a");
        g.agent("b", "b");
        g.agent("c", "c").after(&["a", "b"]);
    })
}

fn live(g: &mut Flow<'_>, id: &str) {
    if let NodeKind::Agent(agent) = &mut g.agent(id, id).node().kind {
        agent.live = true;
    }
}

#[test]
fn an_agent_reads_what_was_said_to_it_in_its_past_and_in_declared_order() {
    for (a, b) in [(1, 9), (9, 1)] {
        let slow = |wait: u64, calls: Vec<(&'static str, String)>| {
            let mut speaks = says(vec![calls]);
            move |request: &Request| Said::After(wait, Box::new(speaks(request)))
        };
        let script = Script::default()
            .agent("a", slow(a, vec![send("c", "one"), send("all", "two"), send("b", "three")]))
            .agent("b", slow(b, vec![send("c", "four"), send("a", "five")]));
        let run = run(two_then_one(), script);
        assert_eq!(read_by(&run, "c"), ["a: one", "a: two", "b: four"]);
        assert_eq!((read_by(&run, "a"), read_by(&run, "b")), (vec![], vec![]));
        let lost: Vec<String> = run.state().undelivered().map(|s| s.message.id.to_string()).collect();
        assert_eq!(lost, if a < b { ["a#m4", "b#m3"] } else { ["b#m3", "a#m4"] });
        let told = run
            .events()
            .into_iter()
            .find_map(|e| if let Event::Undelivered { messages } = e { Some(messages.len()) } else { None });
        assert_eq!((told, run.result().as_str()), (Some(2), "completed c"));
    }
}

#[test]
fn a_live_agent_reads_at_each_turn_what_was_said_before_it() {
    let plan = Plans::root(|g| {
        live(g, "a");
        live(g, "b");
    });
    let script = Script::default()
        .agent("a", says(vec![vec![send("b", "one")], vec![send("all", "two")], vec![("read", "{}".into())]]))
        .agent("b", |request| {
            Said::After(2, Box::new(says(vec![vec![("read", "{}".into())], vec![send("a", "three")]])(request)))
        });
    let run = run(plan, script);
    let by_turn =
        |node: &str| -> Vec<usize> { run.world.requests.iter().filter(|r| *r.node == *node).map(|r| mail(r).len()).collect() };
    assert_eq!((by_turn("b"), read_by(&run, "b")), (vec![0, 2, 2], vec!["a: one".into(), "a: two".into()]));
    assert!(run.state().undelivered().map(|s| &*s.message.content).eq(["three"]), "a had ended when b wrote");
}

#[test]
fn a_live_agent_learns_of_findings_as_mail_and_finds_them_when_it_looks() {
    let plan = Plans::root(|g| {
        live(g, "a");
        live(g, "b");
    });
    let found = r#"{"topic":"t","claim":"so it is","confidence":0.9,"value":1}"#.to_owned();
    let script = Script::default().agent("a", says(vec![vec![("broadcast_finding", found)]])).agent("b", |r| {
        Said::After(3, Box::new(says(vec![vec![("read", "{}".into())], vec![("read_context", "{}".into())]])(r)))
    });
    let run = run(plan, script);
    assert_eq!(read_by(&run, "b"), ["a: so it is"]);
    let last = run.world.requests.iter().rfind(|r| *r.node == *"b").unwrap();
    assert!(results(last)[1].contains("a#f1"), "{:?}", results(last));
    assert_eq!(
        last.context.get("findings").and_then(Value::as_list).map(<[Value]>::len),
        Some(0),
        "what its task was told with stays"
    );
}

#[test]
fn a_private_message_is_seen_by_its_two_ends_only() {
    let private = ("send_message", r#"{"to":"c","content":"psst","private":true}"#.to_owned());
    let mut plan = Plans::root(|g| {
        g.agent("a", "a");
        g.agent("c", "c").after(&["a"]);
        g.agent("d", "d").after(&["a"]);
        g.phase("boss", "boss", Phase::Synthesize).after(&["d"]);
    });
    plan.teams[0].coordinator = Some(super::world::agent("boss"));
    let run = run(
        plan,
        Script::default()
            .agent("a", says(vec![vec![private, ("send_message", r#"{"to":"b","content":"hey","private":true}"#.into())]])),
    );
    assert_eq!((read_by(&run, "c"), read_by(&run, "d")), (vec!["a: psst".to_owned()], vec![]));
    let boss = run.world.requests.iter().rfind(|r| *r.node == *"boss").unwrap();
    assert_eq!(
        boss.context.get("undelivered").and_then(Value::as_list).map(<[Value]>::len),
        Some(0),
        "private words are not told on"
    );
}

#[test]
fn the_coordinator_is_shown_what_reached_nobody() {
    let mut plan = Plans::root(|g| {
        g.agent("a", "a");
        g.phase("boss", "boss", Phase::Synthesize).after(&["a"]);
    });
    plan.teams[0].coordinator = Some(super::world::agent("boss"));
    let run = run(plan, Script::default().agent("a", says(vec![vec![send("b", "are you there?")]])));
    let boss = run.world.requests.iter().rfind(|r| *r.node == *"boss").unwrap();
    let first = boss.context.get("undelivered").and_then(Value::as_list).and_then(<[Value]>::first);
    assert_eq!(first.and_then(|m| m.get("content")), Some(&Value::text("are you there?")));
}

#[test]
fn who_may_write_to_whom_is_the_teams_to_say_and_a_refusal_says_so() {
    let mut closed = two_then_one();
    closed.teams[0].may_write.insert(Role::new("a"), vec![Role::new("c")]);
    let refused = |call, why: &str| {
        let said = told(closed.clone(), call);
        assert!(said.contains(why), "{said}");
    };
    refused(send("b", "x"), "denied: the team lets a write to c, not to b");
    refused(send("all", "x"), "denied: a may not write to `all`, only to c");
    refused(send("z", "x"), "schema: there is no z in this team; a may write to c");
    refused(send("a", "x"), "denied: nobody writes to themselves");
    refused(ask("b", "x"), "denied: the team lets a write to c, not to b");
    refused(send("c", " "), "schema: send_message: `content` says nothing");
    refused(send("c", &"x".repeat(MESSAGE_LIMIT + 1)), "a message has at most 8000");
    let private_to_all = ("send_message", r#"{"to":"all","content":"x","private":true}"#.to_owned());
    refused(private_to_all, "a message to `all` cannot be private");
    assert_eq!(told(closed.clone(), send("c", "x")), r#"{"message":"a#m2"}"#);
    let tools = |plan: Plan| {
        let run = run(plan, Script::default());
        let names: Vec<String> = run.world.requests[0].tools.iter().map(|t| t.name.to_string()).collect();
        ["send_message", "ask_agent"].map(|name| names.contains(&name.to_owned()))
    };
    assert_eq!(tools(two_then_one()), [true, true]);
    let mut alone = two_then_one();
    alone.teams[0].may_write.insert(Role::new("a"), Vec::new());
    assert_eq!(tools(alone), [false, false], "who may write to nobody has no tool for it");
    let mut silent = two_then_one();
    silent.teams[0].max_asks = 0;
    assert_eq!(tools(silent), [true, false]);
}

#[test]
fn an_answer_comes_from_what_the_other_has_said_and_learned_so_far_and_both_are_put_into_its_mail() {
    let plan = Plans::root(|g| {
        g.agent("a", "a");
        g.agent("b", "b");
        g.agent("late", "b").after(&["a", "b"]);
    });
    let script = Script::default()
        .agent("b", |request| match &*request.phase {
            "answer" => Said::Finish(Value::from(format!("{} {}", results(request).join(","), mail(request).join(",")))),
            _ if request.turn.0 == 0 => Said::Calls(vec![("read", json(r#"{"value":"the log"}"#))]),
            _ => Said::After(60, Box::new(Said::Finish(Value::text("done")))),
        })
        .agent("a", |r| Said::After(if r.turn.0 == 0 { 5 } else { 1 }, Box::new(says(vec![vec![ask("b", "what?")]])(r))));
    let run = run(plan, script);
    let answer = run.world.requests.iter().find(|r| &*r.phase == "answer").unwrap();
    assert_eq!((&*answer.node, answer.turns_left, &*answer.task), ("a/ask_1", 1, "b"));
    let asked = run.world.requests.iter().rfind(|r| *r.node == *"a").unwrap();
    assert_eq!(results(asked), [r#"{"answer":"the log a: what?","from":"b"}"#]);
    assert_eq!(read_by(&run, "late"), ["a: what?", "b: the log a: what?"]);
    let kinds: Vec<MessageKind> = run
        .state()
        .context
        .messages
        .iter()
        .map(|s| s.message.kind)
        .filter(|k| matches!(k, MessageKind::Question | MessageKind::Response))
        .collect();
    assert_eq!(kinds.iter().filter(|k| **k == MessageKind::Question).count(), 1);
    assert!(run.state().undelivered().next().is_none());
}

#[test]
fn two_agents_that_ask_each_other_at_the_same_moment_both_get_answers() {
    let script = Script::default().agent("a", says(vec![vec![ask("b", "you?")]])).agent("b", says(vec![vec![ask("a", "you?")]]));
    let run = run(two_then_one(), script);
    for who in ["a", "b"] {
        let last = run.world.requests.iter().rfind(|r| *r.node == *who).unwrap();
        assert!(results(last)[0].contains("\"answer\""), "{who}: {:?}", results(last));
    }
    assert_eq!(run.result(), "completed c");
}

#[test]
fn an_agent_that_has_not_begun_answers_from_its_profile_and_one_that_has_ended_from_its_thread() {
    let plan = Plans::root(|g| {
        g.agent("b", "b");
        g.agent("a", "a").after(&["b"]);
        g.agent("c", "c").after(&["a"]);
    });
    let script = Script::default()
        .agent("b", says(vec![vec![("read", r#"{"value":"old"}"#.into())]]))
        .agent("c", |r| Said::Finish(Value::from(format!("{} of {}", results(r).len(), r.phase))))
        .agent("a", says(vec![vec![ask("b", "one?"), ask("c", "two?")]]));
    let run = run(plan, script);
    let last = run.world.requests.iter().rfind(|r| *r.node == *"a").unwrap();
    assert_eq!(results(last), [r#"{"answer":"old","from":"b"}"#, r#"{"answer":"0 of answer","from":"c"}"#]);
}

#[test]
fn a_seat_has_so_many_questions_and_those_asked_to_answer_it_count() {
    let mut plan = two_then_one();
    plan.teams[0].max_asks = 2;
    let asks = |other: &'static str| {
        move |request: &Request| match request.turn.0 {
            0 => {
                Said::Calls(vec![("ask_agent", json(&format!(r#"{{"to":"{other}","question":"and you, {}?"}}"#, request.node)))])
            }
            _ => Said::Finish(Value::from(results(request).join("; "))),
        }
    };
    let script = Script::default().agent("a", asks("b")).agent("b", asks("a")).agent("c", |_| Said::Finish(Value::text("c")));
    let run = run(plan, script);
    let nodes: Vec<&str> = run.world.requests.iter().map(|r| &*r.node).filter(|n| n.contains("ask")).collect();
    assert!(nodes.contains(&"a/ask_1/ask_1") && !nodes.contains(&"a/ask_1/ask_1/ask_1"), "{nodes:?}");
    let deepest = run.world.requests.iter().rfind(|r| *r.node == *"a/ask_1/ask_1").unwrap();
    assert!(results(deepest).concat().contains("limit: all 2 questions of a are used"), "{:?}", results(deepest));
    assert_eq!(run.result(), "completed c");
}

#[test]
fn questions_within_questions_are_so_deep_at_most() {
    let mut plan = two_then_one();
    plan.teams[0].max_asks = 100;
    let asks = |other: &'static str| {
        move |request: &Request| match request.turn.0 {
            0 if request.tools.iter().any(|t| &*t.name == "ask_agent") => {
                Said::Calls(vec![("ask_agent", json(&format!(r#"{{"to":"{other}","question":"{}?"}}"#, request.node)))])
            }
            _ => Said::Finish(Value::text("enough")),
        }
    };
    let script = Script::default().agent("a", asks("b")).agent("b", asks("a"));
    let run = run(plan, script);
    let depth = run.world.requests.iter().map(|r| r.node.matches("ask_").count()).max();
    assert_eq!((depth, run.result().as_str()), (Some(MAX_ASK_DEPTH as usize), "completed c"));
}

#[test]
fn an_answer_that_fails_is_an_error_that_the_asker_reads_and_no_failure_of_its_own() {
    let mut plan = two_then_one();
    plan.teams[0].fail_fast = true;
    let script =
        Script::default().agent("a", says(vec![vec![ask("b", "well?")]])).agent("a/ask_1", |_| Said::Fails(FailureKind::Model));
    let run = run(plan, script);
    let last = run.world.requests.iter().rfind(|r| *r.node == *"a").unwrap();
    assert_eq!(results(last), ["child: b could not answer: as the script says"]);
    assert_eq!(run.result(), "completed c");
}

#[test]
fn an_asker_whose_time_is_up_takes_its_question_along() {
    let plan = Plans::root(|g| {
        g.agent("a", "a").timeout(5).retry(2, &[]);
        g.agent("b", "b");
    });
    let script = Script::default()
        .agent("a", says(vec![vec![ask("b", "well?")]]))
        .agent("a/ask_1", |_| Said::Nothing)
        .agent("a/ask_2", |_| Said::Finish(Value::text("now")));
    let mut run = begin(plan, script.stops_after(1), Rules::new());
    go(&mut run);
    assert_eq!(run.outcomes(), "a: ok {\"answer\":\"now\",\"from\":\"b\"}\na/ask_1: cancelled\na/ask_2: ok now\nb: ok b\n");
}

#[test]
fn a_hundred_agents_that_ask_in_a_ring_all_get_answers() {
    const AGENTS: usize = 100;
    let names: Vec<&'static str> = (0..AGENTS).map(|n| &*Box::leak(format!("r{n}").into_boxed_str())).collect();
    let mut plan = Plans::root(|g| {
        for name in &names {
            g.agent(name, name);
        }
    });
    plan.teams[0] = super::world::team(&names);
    let script = names
        .iter()
        .enumerate()
        .fold(Script::default(), |script, (n, name)| script.agent(name, says(vec![vec![ask(names[(n + 1) % AGENTS], "you?")]])));
    let run = run(plan, script);
    let answered =
        |name: &&&str| results(run.world.requests.iter().rfind(|r| *r.node == ***name).unwrap())[0].contains("\"answer\"");
    assert_eq!((names.iter().filter(answered).count(), run.world.requests.len()), (AGENTS, 3 * AGENTS));
}
