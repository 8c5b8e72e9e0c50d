//! What the keys of a team do.

use serde_json::json;
use synod::{
    event::Event,
    rule::RuleBook,
    turn::conversation,
    value::{EscalateTo, Value},
};

use crate::common::{Bench, Ran, dedent, finish, lines, say, sole_error};

/// The agents in the order of their starts.
fn starts(ran: &Ran) -> Vec<String> {
    ran.events(|e| if let Event::NodeStarted { node, .. } = e { ran.state.role_of(*node).map(ToString::to_string) } else { None })
}

fn decisions<'r>(ran: &'r Ran, topic: &str) -> Vec<&'r synod::report::DecisionRow> {
    ran.report.decisions.iter().filter(|d| &*d.topic == topic).collect()
}

#[test]
fn what_a_team_says_of_itself_is_shown_by_plan() {
    let bench = Bench::new();
    bench.file(
        "team.yaml",
        "
        name: Night Watch
        description: Looks after things at night.
        use_case: incident_response
        tags: [night, ops]
        is_public: true
        collaboration_pattern: parallel
        member_agents: [{ agent: agent, role: a }, { agent: agent, role: b }]
        may_write: { a: [b] }
        may_hand_off: { a: [b] }
        ",
    );
    let said = bench.synod(&["plan", "team.yaml", "--json"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(
        said.json()["team"],
        json!({
            "name": "Night Watch", "description": "Looks after things at night.", "use_case": "incident_response",
            "tags": ["night", "ops"], "is_public": true, "pattern": "parallel", "may_write": { "a": ["b"] }, "may_hand_off": { "a": ["b"] },
        })
    );
    let text = bench.synod(&["plan", "team.yaml"]).stdout;
    assert!(
        text.starts_with("Night Watch (parallel, for incident_response, tags night ops, public)\nLooks after things at night.\n"),
        "{text}"
    );
    let ran = bench.synod(&["run", "team.yaml", "--json", "--quiet"]);
    assert_eq!(ran.json()["task"], json!("Looks after things at night."), "it is the task where none is given");
}

#[test]
fn is_active_keeps_a_team_from_running() {
    let (code, line, ..) = sole_error(
        &Bench::new()
            .check("name: Team\nis_active: false\ncollaboration_pattern: parallel\nmember_agents: [{ agent: agent, role: a }]\n"),
    );
    assert_eq!((code, line), ("inactive", 2));
}

#[test]
fn may_write_names_members_only() {
    let (code, line, _, message) = sole_error(&Bench::new().check(
        "name: Team\ncollaboration_pattern: parallel\nmember_agents: [{ agent: agent, role: a }]\nmay_write: { a: [bob] }\n",
    ));
    assert_eq!((code, line), ("unknown-role", 4));
    assert!(message.contains("bob"), "{message}");
}

#[test]
fn messages_says_how_agents_read_them() {
    let bench = Bench::new();
    bench.script(
        "asks",
        r#"if view.turn > 0 { return #{ finish: "done" }; }
        #{ calls: [#{ tool: "send_message", args: #{ to: "b", content: "mind the gap" } }] }"#,
    );
    bench.model(
        "gpt-4",
        say(|request| {
            let read = conversation(request, &RuleBook::default(), None).unwrap();
            Ok(finish(Value::from(format!("{:?}", read.messages.last()))))
        }),
    );
    bench.file("b.yaml", "name: B\nrole: worker\nmodel: gpt-4\n");
    let team = "
        name: Team
        collaboration_pattern: sequential
        member_agents: [{ agent: asks, role: a }, { agent: b, role: b }]
        messages: { note: '{{ from }} says: {{ content }}' }
    ";
    let read = bench.run(team).completed().to_string();
    assert!(read.contains("a says: mind the gap") && !read.contains("note from a"), "{read}");
}

#[test]
fn a_template_of_messages_that_is_none_is_an_error_in_its_place() {
    let check = |messages: &str| {
        let head = "name: Team\ncollaboration_pattern: parallel\nmember_agents: [{ agent: agent, role: a }]\n";
        let found = Bench::new().check(&format!("{head}messages:\n  {messages}\n"));
        let (code, line, _, message) = sole_error(&found);
        (code, line, format!("{message} {:?}", found.iter().find(|d| d.is_error()).map(|d| &d.help)))
    };
    let (code, line, message) = check("question: '{{ form }} asks'");
    assert_eq!((code, line), ("bad-expression", 5));
    assert!(message.contains("form") && message.contains("did you mean `from`?"), "{message}");
    let (code, line, message) = check("note: '{% if x %}'");
    assert_eq!((code, line), ("bad-expression", 5));
    assert!(message.contains("does not compile"), "{message}");
    let (code, line, message) = check("qestion: 'x'");
    assert_eq!((code, line), ("unknown-key", 5));
    assert!(message.contains("did you mean `question`?"), "{message}");
    let (code, _, message) = check("task_assignment: 'x'");
    assert!(code == "unknown-key" && message.contains("prompt_template"), "{message}");
}

const BY_PRIORITY: &str = "
    name: Team
    collaboration_pattern: parallel
    member_agents:
      - { agent: agent, role: third, priority: 3 }
      - { agent: agent, role: first, priority: 1 }
      - { agent: agent, role: second, priority: 2 }
";

#[test]
fn priority_orders_starts() {
    for rules in ["max_parallel: 1", "parallel_execution: false"] {
        let ran = Bench::new().run(&format!("{BY_PRIORITY}    coordination_rules: {{ {rules} }}\n"));
        ran.completed();
        assert_eq!(starts(&ran), ["first", "second", "third"]);
    }
}

#[test]
fn without_parallel_execution_one_member_works_after_another() {
    let ran = Bench::new().run(&format!("{BY_PRIORITY}    coordination_rules: {{ parallel_execution: false }}\n"));
    ran.completed();
    assert_eq!(ran.most_at_once(""), 1);
    assert!(ran.starts("second")[0] > ran.end("first") && ran.starts("third")[0] > ran.end("second"));
}

/// Two members that hold different values with the same confidence.
fn divided(result: &str) -> (Bench, String) {
    let bench = Bench::new();
    bench.script(
        "agent",
        "
        if view.turn > 0 { return #{ finish: view.role }; }
        #{ calls: [#{ tool: \"broadcast_finding\", args: #{ topic: \"cause\", claim: view.role, value: view.role, confidence: 0.5 } }] }
        ",
    );
    let team = format!(
        "
        name: Team
        collaboration_pattern: parallel
        coordinator: lead
        member_agents: [{{ agent: agent, role: low, priority: 2 }}, {{ agent: agent, role: high, priority: 1 }}]
        coordination_rules: {{ escalation_policy: never }}
        result: {result}
        "
    );
    (bench, team)
}

#[test]
fn priority_breaks_ties_of_a_vote_unless_the_result_names_somebody() {
    for (result, wins) in [("vote", "high"), ("{ vote: { tie: low } }", "low"), ("{ by: vote, protocol: majority }", "high")] {
        let (bench, team) = divided(result);
        let ran = bench.run(&team);
        ran.completed();
        let decided = decisions(&ran, "cause");
        assert_eq!((decided[0].outcome.as_str(), &*decided[0].rule), (Some(wins), "tie"), "{result}");
        let dissent = if wins == "high" { "low" } else { "high" };
        assert_eq!(decided[0].dissent.iter().map(|r| r.as_str()).collect::<Vec<_>>(), [dissent]);
    }
}

#[test]
fn what_members_finish_with_is_their_vote_and_the_winner_is_the_output() {
    let members = "member_agents: [{ agent: agent, role: a }, { agent: agent, role: b }, { agent: agent, role: c }]";
    for (pattern, protocol, wins) in [
        ("parallel", "majority", json!("rollback")),
        ("parallel", "weighted", json!("restart")),
        ("coordinator_worker", "majority", json!("rollback")),
    ] {
        let all = if pattern == "coordinator_worker" { "delegation: all, " } else { "" };
        let bench = Bench::new();
        bench.script(
            "agent",
            "#{ finish: if view.role == \"b\" { #{ value: \"restart\", confidence: 0.9 } } else { #{ value: \"rollback\", confidence: 0.4, reason: view.role } } }",
        );
        let ran = bench.run(&format!(
            "
            name: Team
            collaboration_pattern: {pattern}
            coordinator: lead
            {members}
            coordination_rules: {{ {all}escalation_policy: never }}
            result: {{ by: vote, protocol: {protocol} }}
            "
        ));
        assert_eq!(ran.completed(), wins, "{pattern} {protocol}");
        let decided = decisions(&ran, "result");
        assert_eq!(decided[0].positions.len(), 3, "the report has the tally");
        assert_eq!(decided[0].dissent.len(), if wins == "rollback" { 1 } else { 2 });
    }
}

#[test]
fn the_protocol_of_a_vote_says_how_votes_count() {
    // Two sure voices against one very sure one; three that are not one.
    for (protocol, wins, rule) in [
        ("weighted", "other", "weighted_vote"),
        ("track_record", "other", "track_record_vote"),
        ("majority", "many", "majority_vote"),
        ("approval", "many", "approval_vote"),
        ("unanimous", "many", "tie"),
    ] {
        let bench = Bench::new();
        bench.script(
            "agent",
            "
            if view.turn > 0 { return #{ finish: 1 }; }
            let said = if view.role == \"c\" { [\"other\", 0.9] } else { [\"many\", 0.4] };
            #{ calls: [#{ tool: \"broadcast_finding\", args: #{ topic: \"cause\", claim: \"c\", value: said[0], confidence: said[1] } }] }
            ",
        );
        let ran = bench.run(&format!(
            "
            name: Team
            collaboration_pattern: parallel
            member_agents: [{{ agent: agent, role: a }}, {{ agent: agent, role: b }}, {{ agent: agent, role: c }}]
            coordination_rules: {{ escalation_policy: never }}
            result: {{ by: vote, protocol: {protocol} }}
            "
        ));
        ran.completed();
        let decided = decisions(&ran, "cause");
        assert_eq!((decided[0].outcome.as_str(), &*decided[0].rule), (Some(wins), rule), "{protocol}");
        assert_eq!(&*decided[0].protocol, protocol);
    }
}

#[test]
fn by_approval_a_member_finishes_with_a_list_and_one_that_abstains_with_nothing() {
    let bench = Bench::new();
    bench.script(
        "agent",
        "#{ finish: #{ a: #{ value: [\"x\", \"y\"] }, b: #{ value: [\"y\", \"z\"] }, c: #{ value: \"z\" }, d: #{ value: () }, e: \"abstain\", f: #{ value: [\"y\"] } }[view.role] }",
    );
    let members = ["a", "b", "c", "d", "e", "f"].map(|role| format!("{{ agent: agent, role: {role} }}")).join(", ");
    let ran = bench.run(&format!(
        "
        name: Team
        collaboration_pattern: parallel
        member_agents: [{members}]
        result: {{ by: vote, protocol: approval }}
        "
    ));
    assert_eq!(ran.completed(), json!("y"));
    let decided = decisions(&ran, "result");
    let roles = |roles: &[synod::value::Role]| roles.iter().map(|role| role.as_str().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        (roles(&decided[0].dissent), roles(&decided[0].abstained)),
        (vec!["c".to_owned()], vec!["d".to_owned(), "e".to_owned()])
    );
}

/// What members hold in sessions before counts in the next, and a session goes on with what it started with.
#[test]
fn by_track_record_those_who_were_right_before_weigh_more() {
    let bench = Bench::new();
    // While there is a third voice, it is with `b`; the last time each stands alone, and `a` is a little surer.
    bench.script(
        "agent",
        "
        let alone = view.inputs.alone;
        let said = if view.role == \"a\" { [\"x\", 0.6] } else if alone && view.role == \"c\" { [(), 0.9] } else { [\"y\", 0.5] };
        #{ finish: #{ value: said[0], confidence: said[1] } }
        ",
    );
    let team = |protocol: &str| {
        format!(
            "
            name: Team
            collaboration_pattern: parallel
            member_agents: [{{ agent: agent, role: a }}, {{ agent: agent, role: b }}, {{ agent: agent, role: c }}]
            inputs: {{ alone: {{ type: boolean, default: false }} }}
            result: {{ by: vote, protocol: {protocol} }}
            "
        )
    };
    let alone = || [("alone".to_owned(), Value::Bool(true))].into_iter().collect();
    assert_eq!(bench.run_with(&team("track_record"), alone()).completed(), json!("x"), "nobody is known, and `a` is surer");
    for _ in 0..3 {
        assert_eq!(bench.run(&team("track_record")).completed(), json!("y"));
    }
    let ran = bench.run_with(&team("track_record"), alone());
    assert_eq!(ran.completed(), json!("y"));
    let records: Vec<_> = ran.state.started.records.iter().map(|r| (r.role.as_str(), r.stood, r.held)).collect();
    assert_eq!(records, [("a", 1, 4), ("b", 3, 4), ("c", 3, 3)]);
    assert_eq!(decisions(&ran, "result")[0].positions[0].record, Some(2.0 / 6.0));
    let plain = bench.run_with(&team("weighted"), alone());
    assert_eq!((plain.completed(), plain.state.started.records.len()), (json!("x"), 0), "other votes read nothing");
}

#[test]
fn the_result_is_merged_by_rule_or_default_or_made_by_the_coordinator_or_a_rapporteur() {
    let (bench, team) = divided("merge");
    assert_eq!(bench.run(&team).completed(), json!({ "high": "high", "low": "low" }));
    let (bench, team) = divided("merge");
    bench.file("merge.rhai", "fn merge(facts) { facts.results.map(|r| r.id + \"!\") }\n");
    assert_eq!(bench.run(&format!("{}rules: [merge.rhai]\n", dedent(&team))).completed(), json!(["high!", "low!"]));
    let (bench, team) = divided("coordinator");
    assert_eq!(bench.run(&team).completed(), json!({ "summary": "all is well", "confidence": 0.9 }));
    let (bench, team) = divided("{ rapporteur: low }");
    let ran = bench.run(&team);
    assert_eq!(ran.completed(), json!("low"));
    assert_eq!(ran.report.threads["synthesize"].agent.as_str(), "low");
}

#[test]
fn a_quorum_goes_on_without_the_rest_which_is_cancelled_or_left() {
    for (stragglers, status) in [("cancel", "cancelled"), ("leave", "ok")] {
        let bench = Bench::new();
        bench.script(
            "agent",
            "
            if view.turn > 0 { return #{ finish: view.role }; }
            if view.role == \"slow\" { #{ calls: [#{ tool: \"hold\", args: #{ \"until\": \"ended merge\" } }] } }
            else { #{ calls: [#{ tool: \"hold\", args: #{ \"until\": \"called slow\" } }] } }
            ",
        );
        let ran = bench.run(&format!(
            "
            name: Team
            collaboration_pattern: parallel
            member_agents: [{{ agent: agent, role: slow }}, {{ agent: agent, role: b }}, {{ agent: agent, role: c }}]
            coordination_rules: {{ wait_for_all: false, quorum: 2, stragglers: {stragglers} }}
            "
        ));
        assert_eq!(ran.completed(), json!({ "b": "b", "c": "c" }));
        assert_eq!(ran.of("slow"), status);
    }
}

#[test]
fn deadline_seconds_lets_a_team_go_on_with_what_is_there() {
    for (pattern, slow) in [("parallel", "slow"), ("peer_to_peer", "circle/slow/1")] {
        let bench = Bench::new();
        bench.script("slow", "#{ calls: [#{ tool: \"stuck\" }] }");
        let ran = bench.run(&format!(
            "
            name: Team
            collaboration_pattern: {pattern}
            result: {{ by: merge }}
            member_agents: [{{ agent: slow, role: slow }}, {{ agent: agent, role: quick }}]
            coordination_rules: {{ deadline_seconds: 1 }}
            "
        ));
        assert_eq!(ran.completed(), json!({ "quick": "quick" }), "{pattern}");
        assert_eq!(ran.of(slow), "cancelled");
        assert_eq!(ran.events(|e| matches!(e, Event::DeadlinePassed { .. }).then_some(())).len(), 1);
    }
    let none = |pattern: &str| {
        let team = format!("name: Team\ncollaboration_pattern: {pattern}\n");
        Bench::new().check(&format!(
            "{team}member_agents: [{{ agent: agent, role: a }}]\ncoordination_rules: {{ deadline_seconds: 1 }}\n"
        ))
    };
    let refused = none("sequential");
    assert!(lines(&refused).contains("a `sequential` team has no deadline for the work of all"), "{}", lines(&refused));
}

#[test]
fn timeout_per_agent_seconds_ends_an_activation() {
    let bench = Bench::new();
    bench.script("slow", "#{ calls: [#{ tool: \"stuck\" }] }");
    let ran = bench.run(
        "
        name: Team
        collaboration_pattern: parallel
        member_agents: [{ agent: slow, role: slow }, { agent: agent, role: quick }]
        coordination_rules: { timeout_per_agent_seconds: 1 }
        ",
    );
    assert_eq!(ran.completed(), json!({ "quick": "quick" }));
    assert_eq!(ran.of("slow"), "timed_out");
    assert_eq!(bench.stops("slow"), 1);
    assert_eq!(ran.report.warnings.len(), 1);
}

#[test]
fn validate_says_who_votes_and_max_revisions_how_often_a_rejected_proposal_comes_again() {
    let team = |validate: &str, revisions: u32| {
        format!(
            "
            name: Team
            collaboration_pattern: coordinator_worker
            coordinator: lead
            member_agents: [{{ agent: agent, role: a }}, {{ agent: agent, role: b }}]
            coordination_rules: {{ validate: {validate}, max_revisions: {revisions}, escalation_policy: never }}
            "
        )
    };
    for (vote, revisions, rounds) in [("object", 0, 1), ("object", 2, 3), ("approve", 2, 1)] {
        let bench = Bench::new();
        bench.script("agent", &format!("#{{ finish: if view.phase == \"validate\" {{ #{{ vote: \"{vote}\", confidence: 0.9, reason: \"r\" }} }} else {{ 1 }} }}"));
        let ran = bench.run(&team("[a]", revisions));
        ran.completed();
        let held = decisions(&ran, "proposal");
        assert_eq!(held.len(), rounds, "{vote}");
        assert_eq!(held[0].positions.iter().map(|p| p.agent.as_str()).collect::<Vec<_>>(), ["a"]);
        let ran = bench.run(&team("true", revisions));
        assert_eq!(decisions(&ran, "proposal")[0].positions.len(), 2, "`true` is all members");
    }
}

#[test]
fn escalation_policy_says_whether_a_call_for_help_reaches_anybody() {
    for (policy, to) in [("never", EscalateTo::None), ("on_uncertainty", EscalateTo::Coordinator)] {
        let bench = Bench::new();
        bench.script(
            "agent",
            "if view.turn > 0 { #{ finish: 1 } } else { #{ calls: [#{ tool: \"escalate\", args: #{ reason: \"stuck\" } }] } }",
        );
        let ran = bench.run(&format!(
            "
            name: Team
            collaboration_pattern: parallel
            coordinator: lead
            member_agents: [{{ agent: agent, role: a }}]
            coordination_rules: {{ escalation_policy: {policy} }}
            "
        ));
        let reached = ran.events(|e| if let Event::Escalated { to, .. } = e { Some(*to) } else { None });
        assert_eq!(reached, [to]);
    }
}

/// What an agent came to that searches in vain for ever, in a team that tunes its detectors so: how it ended, its turns and what
/// it was told.
fn searches(detect: &str) -> (String, u64, Vec<&'static str>) {
    let bench = Bench::new();
    bench.script("agent", "#{ calls: [#{ tool: \"read_context\", args: #{ topic: `the cause, page ${view.turn}` } }] }");
    let ran = bench.run(&format!(
        "
        name: Team
        collaboration_pattern: graph
        member_agents: [{{ agent: agent, role: a, set: {{ max_conversation_turns: 15 }} }}]
        coordination_rules: {{ escalation_policy: never, detect: {detect} }}
        nodes: {{ x: {{ agent: a }} }}
        "
    ));
    let told = ran.events(|e| if let Event::Noted { detector: Some(d), .. } = e { Some(d.name()) } else { None });
    (ran.failure_of("x").to_string(), ran.report.metrics.turns, told)
}

#[test]
fn detect_tunes_what_agents_are_watched_for() {
    for (detect, why, turns, told) in [
        ("{ near_repetition: { times: 3 } }", "stalled: near_repetition: the last 4 turns", 4, &["near_repetition"][..]),
        ("{ near_repetition: { times: 5, similarity: 0.8 } }", "stalled: near_repetition: the last 6", 6, &["near_repetition"]),
        ("{ near_repetition: off }", "stalled: no_progress: the last 8 turns", 9, &["no_progress"]),
        ("{ near_repetition: off, no_progress: { times: 2 } }", "stalled: no_progress: the last 4 turns", 5, &["no_progress"]),
        ("{ near_repetition: off, no_progress: off }", "limit: all 15 turns", 15, &[]),
        ("off", "limit: all 15 turns", 15, &[]),
    ] {
        let (failure, taken, notes) = searches(detect);
        assert!(failure.starts_with(why), "{detect}: {failure}");
        assert_eq!((taken, &notes[..]), (turns, told), "{detect}");
    }
}

#[test]
fn detect_tunes_how_often_the_same_is_answered_and_which_failures_count() {
    for (detect, calls) in [("{ repeated_call: { times: 1 } }", 1), ("{ repeated_call: { times: 4 } }", 4)] {
        let bench = Bench::new();
        bench.script("agent", "#{ calls: [#{ tool: \"say\", args: #{ value: 1 } }] }");
        let ran = bench.run(&format!(
            "
            name: Team
            collaboration_pattern: graph
            member_agents: [{{ agent: agent, role: a }}]
            coordination_rules: {{ escalation_policy: never, detect: {detect} }}
            nodes: {{ x: {{ agent: a }} }}
            "
        ));
        let failure = ran.failure_of("x").to_string();
        assert!(failure.starts_with("stalled: repeated_call: "), "{failure}");
        assert_eq!(ran.events(|e| if let Event::ToolCalled(_) = e { Some(()) } else { None }).len(), calls, "{detect}");
    }
}

#[test]
fn premature_end_asks_for_evidence_where_the_team_requires_it() {
    for (detect, ends) in [
        ("{ premature_end: { evidence: required } }", false),
        ("{ premature_end: { evidence: declared } }", true),
        ("{ premature_end: off }", true),
    ] {
        let bench = Bench::new();
        bench.script("agent", "#{ finish: #{ cause: \"the cache\" } }");
        let ran = bench.run(&format!(
            "
            name: Team
            collaboration_pattern: graph
            member_agents: [{{ agent: agent, role: a }}]
            coordination_rules: {{ escalation_policy: on_stall, detect: {detect} }}
            escalation: [{{ to: on-call }}]
            nodes: {{ x: {{ agent: a }} }}
            "
        ));
        if ends {
            ran.completed();
            continue;
        }
        let [row] = &ran.report.escalations[..] else { panic!("{:?}", ran.report.escalations) };
        assert_eq!((row.cause, row.to, row.waits_for.as_deref()), (Some("on_stall"), "person", Some("on-call")));
        assert!(row.reason.starts_with("stalled: premature_end: this result has no `evidence`"), "{}", row.reason);
    }
}

#[test]
fn escalation_names_whom_a_question_reaches_and_until_when() {
    let bench = Bench::on_disk();
    bench.script("agent", "#{ finish: #{ confidence: 0.1, answers: view.answers.len() } }");
    let parked = bench.run(
        "
        name: Team
        collaboration_pattern: parallel
        member_agents: [{ agent: agent, role: a }]
        escalation: [{ to: on-call, deadline: 30m, notify: 'cat > paged.json' }, { to: manager, deadline: 2h, notify: 'cat > paged.json' }]
        ",
    );
    assert_eq!(parked.status.name(), "parked");
    let ask = parked.state.asks.values().next().unwrap().clone();
    assert_eq!(ask.to.as_deref(), Some("on-call"));
    assert_eq!(parked.report.escalations[0].waits_for.as_deref(), Some("on-call"));
    let paged =
        || serde_json::from_str::<serde_json::Value>(&std::fs::read_to_string(bench.path("paged.json")).unwrap()).unwrap();
    assert_eq!((&paged()["to"], &paged()["ask"]), (&json!("on-call"), &json!("q0")), "`notify` says how");
    bench.clock.pass(std::time::Duration::from_secs(2 * 3600));
    let moved = bench.resume(parked.session());
    assert_eq!(moved.status.name(), "parked", "the manager has time left");
    assert_eq!(moved.report.escalations[0].waits_for.as_deref(), Some("manager"));
    assert_eq!(paged()["to"], json!("manager"));
    assert!(moved.report.markdown().contains("waits for manager"), "{}", moved.report.markdown());
    bench.clock.pass(std::time::Duration::from_secs(3600));
    let ran = bench.resume(parked.session());
    assert_eq!(ran.completed()["a"]["answers"], json!(1), "nobody answered, and the agent goes on");
    assert_eq!(ran.report.escalations[0].state, Some("lapsed"));
}

#[test]
fn max_tasks_bounds_what_a_route_rule_may_delegate() {
    for (max, status) in [(3, "completed"), (2, "failed")] {
        let bench = Bench::new();
        bench.file(
            "route.rhai",
            "fn route(facts) { [1, 2, 3].map(|n| #{ id: `t${n}`, agent: facts.agents[0].role, task: \"x\" }) }\n",
        );
        let ran = bench.run(&format!(
            "
            name: Team
            collaboration_pattern: coordinator_worker
            coordinator: lead
            member_agents: [{{ agent: agent, role: a }}]
            coordination_rules: {{ max_tasks: {max} }}
            rules: route.rhai
            "
        ));
        assert_eq!(ran.of("work"), if status == "completed" { "ok" } else { "failed" });
        if status == "failed" {
            assert_eq!(ran.failure_of("work").kind.name(), "limit");
        }
    }
}

#[test]
fn max_handoffs_ends_a_relay() {
    for (max, seats) in [(0, vec!["a"]), (1, vec!["a", "b"]), (5, vec!["a", "b", "c"])] {
        let ran = Bench::new().run(&format!(
            "
            name: Team
            collaboration_pattern: sequential
            member_agents: [{{ agent: agent, role: a }}, {{ agent: agent, role: b }}, {{ agent: agent, role: c }}]
            coordination_rules: {{ max_handoffs: {max} }}
            "
        ));
        assert_eq!(ran.completed(), json!(seats.last().unwrap()));
        assert_eq!(starts(&ran), seats);
    }
}

#[test]
fn max_debate_rounds_ends_a_debate() {
    for rounds in [0, 1, 3] {
        let (bench, team) = divided("vote");
        bench.file("settle.rhai", "fn settle(facts) { #{ verdict: \"debate\", reason: \"again\" } }\n");
        let team = team.replace("escalation_policy: never", &format!("escalation_policy: never, max_debate_rounds: {rounds}"));
        let ran = bench.run(&format!("{}rules: [settle.rhai]\n", dedent(&team)));
        ran.completed();
        let held = ran.report.threads.values().filter(|t| t.phase == "debate").count();
        assert_eq!(held, 4 * rounds, "both hold a position on the cause and on the result in each round");
        assert_eq!(decisions(&ran, "cause").len(), 1);
    }
}

#[test]
fn calls_per_turn_refuses_further_calls() {
    let bench = Bench::new();
    bench.script(
        "agent",
        "
        if view.turn > 0 { return #{ finish: view.errors.keys() }; }
        #{ calls: [\"x\", \"y\", \"z\"].map(|n| #{ tool: \"say\", args: #{ value: n }, \"as\": n }) }
        ",
    );
    let ran = bench.run(
        "
        name: Team
        collaboration_pattern: parallel
        member_agents: [{ agent: agent, role: a }]
        coordination_rules: { calls_per_turn: 2 }
        ",
    );
    assert_eq!(ran.completed(), json!({ "a": ["z"] }));
    assert_eq!(bench.board.calls("a"), 2);
}

#[test]
fn retry_tries_every_activation_again() {
    let bench = Bench::new();
    bench.script("agent", "if view.turn == 0 { #{ calls: [#{ tool: \"count\", \"as\": \"n\" }] } } else if view.results.n < 3 { throw \"no\" } else { #{ finish: view.results.n } }");
    let ran = bench.run(
        "
        name: Team
        collaboration_pattern: parallel
        member_agents: [{ agent: agent, role: a }]
        coordination_rules: { retry: { max_attempts: 3, backoff: 1ms, on: rule } }
        ",
    );
    assert_eq!(ran.completed(), json!({ "a": 3 }));
    assert_eq!(ran.starts("a").len(), 3);
}

#[test]
fn a_member_that_is_a_team_stands_in_for_an_agent_and_gets_its_inputs() {
    let bench = Bench::new();
    bench.file(
        "inner.yaml",
        "name: Inner\ncollaboration_pattern: graph\ninputs: { word: string }\nnodes: { one: { tool: say, args: { value: 'inner {{ input.word }}' } } }\n",
    );
    let ran = bench.run_with(
        "
        name: Team
        collaboration_pattern: graph
        inputs: { word: { type: string, default: hello } }
        nodes: { sub: { team: inner, with: { word: input.word } } }
        ",
        synod::value::Map::new(),
    );
    assert_eq!(ran.completed(), json!("inner hello"));
}

const INPUTS: &str = "
    name: Team
    collaboration_pattern: graph
    inputs:
      service: { type: string, default: payment }
      count: { type: integer, default: 3 }
      data: { type: folder, default: null }
      needed: boolean
    nodes: { show: { gate: '[input.service, input.count, input.needed]' } }
";

#[test]
fn inputs_have_defaults_and_types() {
    let given = |entries: &[(&str, Value)]| entries.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    let ran = Bench::new().run_with(INPUTS, given(&[("needed", Value::from(true))]));
    assert_eq!(ran.completed(), json!(["payment", 3, true]));
    let ran = Bench::new()
        .run_with(INPUTS, given(&[("needed", Value::from(false)), ("service", Value::from("cart")), ("count", Value::from(7))]));
    assert_eq!(ran.completed(), json!(["cart", 7, false]));
    let bench = Bench::new();
    let prepared = bench.load(INPUTS);
    let refused = |entries: &[(&str, Value)]| {
        bench.block_on(async { bench.engine().start(&prepared, "t", given(entries)).await.err().unwrap().to_string() })
    };
    let yes = || ("needed", Value::from(true));
    assert_eq!(refused(&[]), "the input needed is missing; give it with --input needed=…");
    assert_eq!(refused(&[yes(), ("count", Value::from("many"))]), "the input count takes an integer, not a text");
    assert!(refused(&[yes(), ("servise", Value::from("x"))]).contains("did you mean `service`?"));
    assert!(refused(&[yes(), ("data", Value::from("nowhere"))]).contains("cannot be opened"));
}

#[test]
fn a_folder_input_may_be_read_and_nothing_else_outside_the_workspace() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("a.log"), "one line\n").unwrap();
    let path = outside.path().to_string_lossy().into_owned();
    let team = |inputs: &str| {
        format!(
            "
            name: Team
            collaboration_pattern: graph
            inputs: {{ data: {inputs} }}
            nodes: {{ look: {{ tool: Read, args: {{ path: '{{{{ input.data }}}}/a.log' }} }} }}
            "
        )
    };
    let inputs = || [("data".to_owned(), Value::from(path.clone()))].into();
    let ran = Bench::new().run_with(&team("folder"), inputs());
    assert!(ran.completed().to_string().contains("one line"));
    let ran = Bench::new().run_with(&team("string"), inputs());
    assert_eq!(ran.failure_of("look").kind.name(), "denied");
}

#[test]
fn unknown_writes_are_refused_and_declared_ones_kept() {
    let bench = Bench::new();
    bench.script(
        "agent",
        "
        if view.turn > 0 { return #{ finish: view.errors.keys() }; }
        #{ calls: [\"mine\", \"other\"].map(|v| #{ tool: \"set_variable\", args: #{ variable: v, value: 1 }, \"as\": v }) }
        ",
    );
    let ran =
        bench.run("name: Team\ncollaboration_pattern: parallel\nmember_agents: [{ agent: agent, role: a, writes: mine }]\n");
    assert_eq!(ran.completed(), json!({ "a": ["other"] }));
    assert_eq!(ran.variable("mine").map(Value::to_json), Some(json!(1)));
    assert_eq!(ran.variable("other"), None);
}

#[test]
fn unknown_files_are_warnings_or_errors_with_a_place() {
    let found = Bench::new().check("name: Team\ncollaboration_pattern: parallel\nmember_agents: [{ agent: nobody, role: a }]\n");
    let (code, line, ..) = sole_error(&found);
    assert_eq!((code, line), ("missing-reference", 3), "{}", lines(&found));
}

#[test]
fn may_write_says_who_may_message_whom() {
    let said = |rule: &str| {
        let bench = Bench::new();
        bench.script(
            "agent",
            "
            if view.role == \"b\" { return #{ finish: view.mail.map(|m| m.content) }; }
            if view.turn == 0 { return #{ calls: [#{ tool: \"send_message\", args: #{ to: \"b\", content: \"hello\" }, \"as\": \"m\" }] }; }
            #{ finish: if \"m\" in view.errors { view.errors.m.message } else { \"sent\" } }
            ",
        );
        let ran = bench.run(&format!(
            "
            name: Team
            collaboration_pattern: graph
            member_agents: [{{ agent: agent, role: a }}, {{ agent: agent, role: b }}, {{ agent: agent, role: c }}]
            nodes: {{ a: {{ agent: a }}, b: {{ agent: b, after: a }} }}
            output: '#{{ a: a.output, b: b.output }}'
            {rule}
            "
        ));
        ran.completed()
    };
    assert_eq!(said(""), json!({ "a": "sent", "b": ["hello"] }));
    assert_eq!(said("may_write: { a: [c] }"), json!({ "a": "the team lets a write to c, not to b", "b": [] }));
}

#[test]
fn may_hand_off_says_who_may_hand_over_to_whom() {
    let said = |rule: &str| {
        let bench = Bench::new();
        bench.script(
            "agent",
            "
            if view.handoff != () && view.handoff.by == \"agent\" { return #{ finish: view.handoff }; }
            if view.turn == 0 { return #{ calls: [#{ tool: \"handoff\", args: #{ to: \"c\", brief: #{ goal: \"go on\", done: [\"half\"] } }, \"as\": \"over\" }] }; }
            #{ finish: view.errors.over.message }
            ",
        );
        let ran = bench.run(&format!(
            "
            name: Team
            collaboration_pattern: sequential
            member_agents: [{{ agent: agent, role: a }}, {{ agent: agent, role: b }}, {{ agent: agent, role: c }}]
            coordination_rules: {{ max_handoffs: 1 }}
            {rule}
            "
        ));
        (starts(&ran), ran.completed())
    };
    let handed = json!({
        "from": "a", "by": "agent", "reason": null, "content": "go on\nDone:\n- half",
        "brief": { "goal": "go on", "done": ["half"], "open": [], "constraints": [], "artifacts": [] },
    });
    assert_eq!(said(""), (vec!["a".to_owned(), "c".to_owned()], handed.clone()));
    assert_eq!(said("may_hand_off: { a: c }"), (vec!["a".to_owned(), "c".to_owned()], handed));
    let refused = "all handoffs of this relay are made (`max_handoffs`): finish with what there is";
    assert_eq!(said("may_hand_off: { a: [b] }"), (vec!["a".to_owned(), "b".to_owned()], json!(refused)));
}

#[test]
fn untrusted_says_what_becomes_of_irreversible_calls_with_words_from_outside() {
    let said = |untrusted: &str, trusted: &str| {
        let bench = Bench::new();
        bench.script(
            "agent",
            "
            if view.turn == 0 { return #{ calls: [#{ tool: \"look\", args: #{} }] }; }
            if view.turn == 1 { return #{ calls: [#{ tool: \"act\", args: #{ on: \"server17\" }, \"as\": \"act\" }] }; }
            #{ finish: if \"act\" in view.errors { view.errors.act.kind } else { \"done\" } }
            ",
        );
        let ran = bench.run(&format!(
            "
            name: Team
            collaboration_pattern: parallel
            result: {{ by: merge }}
            member_agents: [{{ agent: agent, role: a, set: {{ allowed_tools: [look, act] }} }}]
            tools:
              look: {{ description: Looks, command: [echo, drop server17 now], effect: read{trusted} }}
              act: {{ description: Acts, command: [echo, '{{{{ on }}}}'], parameters: {{ on: {{ type: string, description: what }} }} }}
            {untrusted}
            "
        ));
        let asked = ran.events(|e| if let Event::Asked(ask) = e { Some(ask.question.to_string()) } else { None });
        (ran.report.output.get("a").and_then(Value::as_str).map(str::to_owned), asked.len())
    };
    let result = |word: &str| Some(word.to_owned());
    assert_eq!(said("", ""), (result("done"), 0), "a program without the network is trusted");
    assert_eq!(said("", ", network: true"), (None, 1));
    assert_eq!(said("", ", network: true, trusted: true"), (result("done"), 0));
    assert_eq!(said("", ", trusted: false"), (None, 1));
    assert_eq!(said("coordination_rules: { untrusted: ask }", ", trusted: false"), (None, 1));
    assert_eq!(said("coordination_rules: { untrusted: allow }", ", trusted: false"), (result("done"), 0));
    assert_eq!(said("coordination_rules: { untrusted: deny }", ", trusted: false"), (result("denied"), 0));
}

#[test]
fn may_hand_off_names_members_of_a_team_that_has_a_relay() {
    let team = |pattern: &str, rule: &str| {
        format!(
            "name: Team\ncollaboration_pattern: {pattern}\nmember_agents: [{{ agent: agent, role: a }}]\nmay_hand_off: {rule}\n"
        )
    };
    let found = Bench::new().check(&team("sequential", "{ a: [bob] }"));
    let (code, line, ..) = sole_error(&found);
    assert_eq!((code, line), ("unknown-role", 4), "{}", lines(&found));
    let found = Bench::new().check(&team("parallel", "{ a: [a] }"));
    let warned = found.iter().any(|d| d.message.starts_with("`may_hand_off` has no effect in a `parallel` team"));
    assert!(warned, "{}", lines(&found));
}

#[test]
fn max_asks_bounds_the_questions_of_a_seat() {
    for (most, answered) in [(0, 0), (1, 1), (2, 2), (3, 2)] {
        let bench = Bench::new();
        bench.script(
            "agent",
            "
            if view.phase == \"answer\" { return #{ finish: `answer to ${view.mail[0].content}` }; }
            if view.role == \"b\" || view.turn > 0 { return #{ finish: view.results.values().map(|r| r.answer) }; }
            #{ calls: [\"one\", \"two\"].map(|q| #{ tool: \"ask_agent\", args: #{ to: \"b\", question: q }, \"as\": q }) }
            ",
        );
        let ran = bench.run(&format!(
            "
            name: Team
            collaboration_pattern: parallel
            result: {{ by: merge }}
            member_agents: [{{ agent: agent, role: a }}, {{ agent: agent, role: b }}]
            coordination_rules: {{ max_asks: {most} }}
            "
        ));
        let expected: Vec<&str> = ["answer to one", "answer to two"].into_iter().take(answered).collect();
        assert_eq!(ran.completed()["a"], json!(expected), "{most}");
    }
}

/// Two who ask for each other's number and add them up, and how often each was woken.
const ADDERS: &str = "
    if view.turn == 0 && view.mail.len() == 0 {
        return #{ calls: [#{ tool: \"send_message\", args: #{ to: \"all\", type: \"question\", content: \"my number\", metadata: view.inputs.numbers[view.role] } }] };
    }
    let sum = view.inputs.numbers[view.role];
    for letter in view.mail { sum += letter.metadata; }
    #{ finish: #{ sum: sum, confidence: 1.0 } }
";

#[test]
fn peer_to_peer_members_talk_until_nobody_is_woken() {
    for (result, expected) in [
        ("{ by: merge }", json!({ "a": { "sum": 3, "confidence": 1.0 }, "b": { "sum": 3, "confidence": 1.0 } })),
        ("{ vote: { protocol: unanimous } }", json!({ "sum": 3 })),
    ] {
        let bench = Bench::new();
        bench.script("agent", ADDERS);
        let ran = bench.run(&format!(
            "
            name: Team
            collaboration_pattern: peer_to_peer
            member_agents: [{{ agent: agent, role: a }}, {{ agent: agent, role: b }}]
            result: {result}
            inputs: {{ numbers: {{ type: map, default: {{ a: 1, b: 2 }} }} }}
            "
        ));
        assert_eq!(ran.completed(), expected, "{result}");
    }
}

#[test]
fn a_peer_to_peer_team_needs_two_members_and_takes_no_quorum() {
    let bench = Bench::new();
    bench.script("agent", "#{ finish: 1 }");
    let team = |members: &str, rules: &str| {
        format!(
            "name: Team\ncollaboration_pattern: peer_to_peer\nresult: {{ by: merge }}\nmember_agents: [{members}]\ncoordination_rules: {{ {rules} }}\n"
        )
    };
    let two = "{ agent: agent, role: a }, { agent: agent, role: b }";
    for (members, rules, why) in [
        ("{ agent: agent, role: a }", "max_asks: 1", "a circle has at least two members"),
        (two, "wait_for_all: false", "has no quorum"),
        (two, "parallel_execution: false", "begin together"),
    ] {
        let found = bench.check(&team(members, rules));
        assert!(found.iter().any(|d| d.is_error() && d.message.contains(why)), "{why}: {}", lines(&found));
    }
}
