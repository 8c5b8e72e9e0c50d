//! How does a member that is a team work, in each place that a scope grows?

use std::sync::Arc;

use super::{Plans, Said, Script, json, run, world::Spot};
use crate::{
    graph::{CIRCLE_RUNS, Limits, Node, NodeKind, Phase, Plan, ScopeKind, TeamPlan},
    value::{CallResult, Entry, FailureKind, MessageKind, Request, Role, TeamIx, Value},
};

/// A plan in which `lab` is a team: a coordinator and an agent `x`, who works before the coordinator makes a result of it. The other
/// members are agents.
fn nested(members: &[&str], scope: impl FnOnce(Box<Node>, Vec<Role>) -> ScopeKind) -> Plan {
    let like = Node::new("like", NodeKind::Gate(crate::graph::GateBy::Members(crate::value::RuleKind::Merge, Vec::new())));
    let roles: Vec<Role> = members.iter().map(|role| Role::new(*role)).collect();
    let mut body = crate::value::TemplateIx(0);
    let mut plan = Plans::root(|g| {
        body = g.team_graph(TeamIx(1), |g| {
            told(g.agent("x", "x"));
            told(g.phase("sum", "coordinator", Phase::Synthesize).after(&["x"]));
        });
        g.scope("s", scope(Box::new(like), roles));
    });
    let team = |roles: &[&str]| TeamPlan { coordinator: Some(super::world::agent("coordinator")), ..super::world::team(roles) };
    plan.teams[0] = team(&members.iter().copied().filter(|role| *role != "lab").collect::<Vec<_>>());
    plan.teams[0].members.push(super::world::member_team("lab", body));
    plan.teams.push(team(&["x"]));
    plan
}

/// An activation that works on the task of its team.
fn told(mut spot: Spot<'_, '_>) {
    if let NodeKind::Agent(agent) = &mut spot.node().kind {
        agent.brief = None;
    }
}

fn tells(request: &Request) -> Said {
    Said::Finish(Value::from(format!("{}: {}", request.node, request.task)))
}

fn script() -> Script {
    ["a", "b", "x", "coordinator"].into_iter().fold(Script::default(), |script, role| script.agent(role, tells))
}

fn subtasks(like: Box<Node>, roles: Vec<Role>) -> ScopeKind {
    let tasks: Vec<String> =
        roles.iter().map(|role| format!(r#"{{"id":"to_{role}","agent":"{role}","task":"part of {role}"}}"#)).collect();
    let from = crate::value::Expr {
        source: Arc::from(format!("[{}]", tasks.join(","))),
        place: crate::value::Place::default(),
        refs: Vec::new(),
    };
    ScopeKind::Subtasks { from, max: 5, like, one_by_one: false, quorum: None, replan: None, check: None }
}

#[test]
fn a_sub_task_of_a_team_runs_its_whole_plan_on_the_words_of_the_sub_task() {
    let run = run(nested(&["a", "lab"], subtasks), script());
    assert_eq!(
        run.result(),
        r#"completed {"to_a":"s/to_a: part of a","to_lab":"s/to_lab/sum: part of lab"}"#,
        "{}",
        run.outcomes()
    );
    let said = |kind| {
        let of_kind = run.state().context.messages.iter().filter(|s| s.message.kind == kind);
        let row = |s: &crate::state::Spoken| {
            let role = |role: &Option<Role>| role.as_ref().map_or("-".to_owned(), ToString::to_string);
            format!("{} {}>{}: {}", run.state().path(s.node), role(&s.message.from), role(&s.message.to), s.message.content)
        };
        of_kind.map(row).collect::<Vec<_>>()
    };
    assert!(said(MessageKind::TaskAssignment).contains(&"s/to_lab coordinator>lab: part of lab".to_owned()));
    assert!(said(MessageKind::TaskAssignment).contains(&"s/to_lab/x coordinator>x: part of lab".to_owned()));
    assert!(said(MessageKind::Response).contains(&"s/to_lab lab>coordinator: s/to_lab/sum: part of lab".to_owned()));
}

#[test]
fn a_relay_goes_on_from_what_a_team_came_to() {
    let relay = |like, members| ScopeKind::Relay { members, max_handoffs: 5, targets: std::collections::BTreeMap::new(), like };
    let script = script().agent("b", |r| Said::Finish(Value::from(format!("{}, {}", r.task, mail(r).join(", ")))));
    let run = run(nested(&["lab", "b"], relay), script);
    assert_eq!(run.result(), "completed the task, lab: s/1/sum: the task", "{}", run.outcomes());
}

#[test]
fn a_team_that_fails_is_one_settled_input_that_names_who_failed() {
    let script = script().agent("x", |_| Said::Fails(FailureKind::Denied));
    let run = run(nested(&["a", "lab"], subtasks), script);
    assert_eq!(run.result(), r#"completed {"to_a":"s/to_a: part of a"}"#, "{}", run.outcomes());
    let lab = run.state().find("s/to_lab").unwrap();
    assert_eq!(run.state().status_name(lab), "failed");
    assert_eq!(run.state().error(lab).get("node").and_then(Value::as_str), Some("s/to_lab/x"));
}

fn send(to: &str, kind: &str, content: &str) -> Said {
    Said::Calls(vec![("send_message", json(&format!(r#"{{"to":"{to}","type":"{kind}","content":"{content}"}}"#)))])
}

/// All the mail that a request shows, and who sent it.
fn mail(request: &Request) -> Vec<String> {
    let letters = request.thread.iter().filter_map(|entry| if let Entry::Mail(mail) = entry { Some(mail) } else { None });
    let letter = |m: &crate::value::Message| format!("{}: {}", m.from.as_ref().map_or("-", |role| role.as_str()), m.content);
    letters.flat_map(|mail| mail.iter().map(|m| letter(m))).collect()
}

/// What the last call came to.
fn result(request: &Request) -> Option<&CallResult> {
    request.thread.iter().rev().find_map(|entry| if let Entry::Result { result, .. } = entry { Some(&**result) } else { None })
}

#[test]
fn mail_to_a_team_wakes_it_to_another_run_in_which_its_coordinator_reads_and_answers_it() {
    let circle = |like, members| ScopeKind::Circle { members, like };
    let script = script()
        .agent("a", |r| match r.turn.0 {
            0 if &*r.node == "s/a/1" => Said::After(5, Box::new(send("lab", "question", "well?"))),
            _ => Said::Finish(Value::from(mail(r).join(", "))),
        })
        .agent("coordinator", |r| match (&*r.node, r.turn.0) {
            ("s/lab/2/sum", 0) => send("a", "response", &format!("read {}", mail(r).join(", "))),
            _ => tells(r),
        });
    let run = run(nested(&["a", "lab"], circle), script);
    let expected = concat!(
        r#"completed {"a":"lab: read a: well?","#,
        r#""lab":"s/lab/2/sum: the task\n\nYour team came to this before: s/lab/1/sum: the task"}"#
    );
    assert_eq!(run.result(), expected, "{}", run.outcomes());
}

#[test]
fn a_team_in_a_circle_runs_so_often_and_what_it_is_sent_after_that_nobody_reads() {
    let circle = |like, members| ScopeKind::Circle { members, like };
    let script =
        script().agent("a", |r| if r.turn.0 < 6 { Said::After(9, Box::new(send("lab", "question", "and?"))) } else { tells(r) });
    let mut plan = nested(&["a", "lab"], circle);
    plan.teams[0].detect = None;
    let run = run(plan, script);
    let runs = run.state().instances.iter().filter(|i| i.graph.team == TeamIx(1)).count();
    assert_eq!(runs, CIRCLE_RUNS as usize, "{}", run.outcomes());
    assert!(run.result().starts_with("completed"), "{}", run.result());
}

#[test]
fn only_the_coordinator_of_a_team_is_heard_outside_and_the_others_are_told_so() {
    let seen: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let told = seen.clone();
    let script = script()
        .agent("x", move |r| match r.turn.0 {
            0 => send("b", "note", "out"),
            _ => {
                let why = result(r).and_then(|r| r.outcome.as_ref().err()).map(|why| why.message.to_string());
                told.lock().unwrap().extend(why);
                tells(r)
            }
        })
        .agent("b", |r| Said::Finish(Value::from(mail(r).join(", "))))
        .agent("coordinator", |r| if r.turn.0 == 0 { send("b", "note", "from the lab") } else { tells(r) });
    let relay = |like, members| ScopeKind::Relay { members, max_handoffs: 5, targets: std::collections::BTreeMap::new(), like };
    let run = run(nested(&["lab", "b"], relay), script);
    assert_eq!(run.result(), "completed lab: s/1/sum: the task, lab: from the lab", "{}", run.outcomes());
    assert_eq!(
        *seen.lock().unwrap(),
        ["b is not of this team: what goes to the team above goes through coordinator; x may write to coordinator"]
    );
}

#[test]
fn what_the_coordinator_of_a_team_finds_is_known_above_in_the_name_of_the_member_and_what_others_find_is_not() {
    let find = |topic: &str| {
        let args = format!(r#"{{"topic":"{topic}","claim":"so","value":1,"confidence":1.0}}"#);
        Said::Calls(vec![("broadcast_finding", json(&args))])
    };
    let script = |known: Arc<std::sync::Mutex<String>>| {
        script()
            .agent("x", move |r| if r.turn.0 == 0 { find("inside") } else { tells(r) })
            .agent("coordinator", move |r| if r.turn.0 == 0 { find("outside") } else { tells(r) })
            .agent("b", move |r| {
                let findings = r.context.get("findings").and_then(Value::as_list).unwrap_or_default();
                let row = |f: &Value| format!("{} {}", f.get("agent").unwrap_or(f), f.get("topic").unwrap_or(f));
                *known.lock().unwrap() = findings.iter().map(row).collect::<Vec<_>>().join(", ");
                tells(r)
            })
    };
    let known: Arc<std::sync::Mutex<String>> = Arc::default();
    let relay = |like, members| ScopeKind::Relay { members, max_handoffs: 5, targets: std::collections::BTreeMap::new(), like };
    run(nested(&["lab", "b"], relay), script(known.clone()));
    assert_eq!(*known.lock().unwrap(), "lab outside");
    let mut open = nested(&["lab", "b"], relay);
    let lab = open.teams[0].members.iter_mut().find_map(|member| member.team.as_mut()).unwrap();
    lab.open = true;
    run(open, script(known.clone()));
    assert_eq!(*known.lock().unwrap(), "lab inside, lab outside");
}

#[test]
fn limits_of_a_member_that_is_a_team_hold_for_all_its_runs_together() {
    let twice = |like, _| {
        let task = |n| format!(r#"{{"id":"n{n}","agent":"lab","task":"part {n}"}}"#);
        let source = Arc::from(format!("[{},{}]", task(1), task(2)));
        let from = crate::value::Expr { source, place: crate::value::Place::default(), refs: Vec::new() };
        ScopeKind::Subtasks { from, max: 5, like, one_by_one: true, quorum: None, replan: None, check: None }
    };
    let mut plan = nested(&["lab"], twice);
    plan.teams[0].members[0].limits = Limits { turns: Some(3), ..Limits::default() };
    let run = run(plan, script());
    assert_eq!(run.result(), r#"completed {"n1":"s/n1/sum: part 1"}"#, "{}", run.outcomes());
    let failed = run.state().find("s/n2").unwrap();
    assert_eq!(run.state().error(failed).get("message").and_then(Value::as_str), Some("lab's own turns are spent"));
}

#[test]
fn a_team_whose_running_time_is_up_ends_and_the_others_go_on() {
    let mut plan = nested(&["a", "lab"], subtasks);
    let lab = plan.teams[0].members.iter_mut().find_map(|member| member.team.as_mut()).unwrap();
    lab.timeout = Some(std::time::Duration::from_secs(5));
    let run = run(plan, script().agent("x", |r| Said::After(60, Box::new(tells(r)))));
    assert_eq!(run.result(), r#"completed {"to_a":"s/to_a: part of a"}"#, "{}", run.outcomes());
    let failed = run.state().find("s/to_lab").unwrap();
    let error = run.state().error(failed);
    assert_eq!(error.get("message").and_then(Value::as_str), Some("the team test took longer than its 5 s"));
    assert_eq!(run.state().status_name(failed), "timed_out");
}

#[test]
fn whoever_asks_a_team_is_answered_by_its_coordinator_from_what_that_knows() {
    let script = script().agent("b", |r| match r.turn.0 {
        0 => Said::Calls(vec![("ask_agent", json(r#"{"to":"lab","question":"why?"}"#))]),
        _ => Said::Finish(result(r).and_then(|r| r.outcome.as_ref().ok()).cloned().unwrap_or_default()),
    });
    let script = script.agent("lab", |r| {
        let before = r.thread.iter().filter(|entry| matches!(entry, Entry::Reply(_))).count();
        Said::Finish(Value::from(format!("{} of {before}: {}", r.phase, r.task)))
    });
    let relay = |like, members| ScopeKind::Relay { members, max_handoffs: 5, targets: std::collections::BTreeMap::new(), like };
    let run = run(nested(&["lab", "b"], relay), script);
    assert_eq!(run.result(), r#"completed {"answer":"answer of 1: the task","from":"lab"}"#, "{}", run.outcomes());
}

#[test]
fn nobody_asks_beyond_the_own_team() {
    let script = script().agent("coordinator", |r| match r.turn.0 {
        0 => Said::Calls(vec![("ask_agent", json(r#"{"to":"b","question":"why?"}"#))]),
        _ => Said::Finish(
            result(r).and_then(|r| r.outcome.as_ref().err()).map_or(Value::Null, |why| Value::Text(why.message.clone())),
        ),
    });
    let relay = |like, members| ScopeKind::Relay { members, max_handoffs: 0, targets: std::collections::BTreeMap::new(), like };
    let run = run(nested(&["lab", "b"], relay), script);
    let told = "completed b is not of this team, and questions stay within a team: send b a message";
    assert_eq!(run.result(), told, "{}", run.outcomes());
}
