//! Behaviours 13 to 16, 36, 37 and 40 in teams of every pattern: circles, teams inside teams, and members that work in parallel.

use serde_json::json;
use synod::event::Event;

use crate::common::{Bench, graph, sole_error};

/// Where a member is at work.
type Path = fn(&str) -> String;

/// Each pattern whose members work side by side.
const PATTERNS: [(&str, Path); 4] = [
    ("parallel", |role| role.to_owned()),
    ("coordinator_worker", |role| format!("work/{role}")),
    ("peer_to_peer", |role| format!("circle/{role}/1")),
    ("hierarchical", |role| format!("work/{role}")),
];

/// A team of three members of which the last is a team where the pattern wants one; `two` goes to the others.
fn team(pattern: &str, agent: &str, two: &str, rest: &str) -> String {
    let member = |role: &str, more: &str| format!("  - {{ agent: {agent}, role: {role}{more} }}\n");
    let last =
        if pattern == "hierarchical" { "  - { team: inner, role: c, with: { waits: input.waits } }\n" } else { &member("c", "") };
    let lead = if matches!(pattern, "coordinator_worker" | "hierarchical") { "coordinator: lead\n" } else { "" };
    format!(
        "name: Team\ncollaboration_pattern: {pattern}\n{lead}member_agents:\n{}{}{last}result: {{ by: merge }}\n{rest}",
        member("a", two),
        member("b", two)
    )
}

/// A rule that gives every member the whole task.
const ROUTE: &str = "fn route(facts) { let task = facts.task; let agents = facts.agents; \
                     agents.map(|a| #{ id: a.role, agent: a.role, task: task }) }\n";

#[test]
fn behaviour_13_in_every_pattern_results_merge_in_declared_order_whatever_order_they_come_in() {
    for (pattern, path) in PATTERNS {
        for order in [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"]] {
            let bench = Bench::new();
            bench.script(
                "writer",
                "
                if view.turn == 0 { return #{ calls: [#{ tool: \"hold\", args: #{ \"until\": view.inputs.waits[view.role] } }] }; }
                #{ finish: view.role }
                ",
            );
            bench.file("rules.rhai", &format!("fn merge(facts) {{ facts.results.map(|part| part.role) }}\n{ROUTE}"));
            let inner = "name: Inner\ncollaboration_pattern: parallel\ncoordinator: lead\nmember_agents: [{ agent: writer, role: c }]\n\
                         result: { by: merge }\ninputs: { waits: { type: map } }\n";
            bench.file("inner.yaml", inner);
            let waits = |role: &str| match order.iter().position(|r| *r == role) {
                Some(0) | None => format!("started {}", path("a")),
                Some(n) => format!("ended {}", path(order[n - 1])),
            };
            let waits: Vec<String> = ["a", "b", "c"].map(|role| format!("{role}: '{}'", waits(role))).into();
            let rest =
                format!("rules: [rules.rhai]\ninputs: {{ waits: {{ type: map, default: {{ {} }} }} }}\n", waits.join(", "));
            let ran = bench.run(&team(pattern, "writer", "", &rest));
            assert_eq!(ran.completed(), json!(["a", "b", "c"]), "{pattern}");
            let ends = order.map(|role| ran.end(&path(role)));
            assert!(ends[0] < ends[1] && ends[1] < ends[2], "{pattern}: they came in another order");
        }
    }
}

#[test]
fn behaviour_14_in_every_pattern_two_parallel_writers_of_one_key_without_a_merge_are_an_error_that_names_it() {
    for (pattern, _) in PATTERNS {
        let bench = Bench::new();
        let inner = "name: Inner\ncollaboration_pattern: parallel\ncoordinator: lead\nmember_agents: [{ agent: agent, role: c }]\n\
                     result: { by: merge }\ninputs: { waits: { type: map, default: {} } }\n";
        bench.file("inner.yaml", inner).file("rules.rhai", ROUTE);
        let rest = "rules: [rules.rhai]\ninputs: { waits: { type: map, default: {} } }\n";
        let found = bench.check(&team(pattern, "agent", ", writes: [{ variable: verdict }]", rest));
        let (code, _, _, message) = sole_error(&found);
        assert_eq!(code, "write-conflict", "{pattern}");
        assert!(message.contains("`verdict`") && message.contains("`a`") && message.contains("`b`"), "{pattern}: {message}");
        bench.load(&team(pattern, "agent", ", writes: [{ variable: verdict, merge: last }]", rest));
    }
}

#[test]
fn behaviour_15_a_team_that_changes_its_input_changes_it_for_nobody_around_it() {
    let bench = Bench::new();
    bench.script("greedy", "view.inputs.list.push(3); #{ finish: view.inputs.list }");
    let inner = "name: Inner\ncollaboration_pattern: parallel\nmember_agents: [{ agent: greedy, role: c }]\n\
                 result: { by: merge }\ninputs: { list: { type: list } }\n";
    bench.file("inner.yaml", inner);
    let ran = bench.run(&graph(
        "
        member_agents: [{ agent: greedy, role: a }]
        inputs: { list: { type: list, default: [1, 2] } }
        nodes:
          lab: { team: inner, with: { list: input.list } }
          again: { team: inner, with: { list: input.list }, after: lab }
          a: { agent: a, after: again }
          own: { gate: input.list, after: a }
        output: '[lab.output.c, again.output.c, a.output, own.output]'
        ",
    ));
    assert_eq!(ran.completed(), json!([[1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 2]]));
}

#[test]
fn behaviour_16_a_team_is_mapped_over_a_list_and_results_stand_in_item_order() {
    for (list, expected) in [("[2, 0, 1]", json!([20, 0, 10])), ("[]", json!([]))] {
        let bench = Bench::new();
        bench.script("times", "#{ finish: view.inputs.number * 10 }");
        bench.script("lead", "#{ finish: view.context.results.filter(|r| r.phase == \"work\")[0].output }");
        let inner = "name: Inner\ncollaboration_pattern: coordinator_worker\ncoordinator: lead\nrules: [rules.rhai]\n\
                     member_agents: [{ agent: times, role: c }]\ninputs: { number: { type: integer } }\n";
        bench.file("inner.yaml", inner).file("rules.rhai", ROUTE);
        bench.file("lead.yaml", "name: Lead\nrole: coordinator\nmodel: script:lead.rhai\n");
        let ran = bench.run(&graph(&format!(
            "
            nodes:
              each: {{ for_each: '{list}', as: number, max: 5, team: inner, with: {{ number: number }} }}
            "
        )));
        assert_eq!(ran.completed(), expected);
    }
}

#[test]
fn behaviour_36_in_a_circle_two_members_ask_people_and_are_answered_apart_the_other_question_outlasts_a_restart() {
    let bench = Bench::on_disk();
    bench.script(
        "asker",
        "
        if view.turn == 0 {
            let question = `What of ${view.role}?`;
            return #{ calls: [#{ tool: \"escalate\", \"as\": \"asked\", args: #{ reason: \"unsure\", question: question, options: [\"yes\", \"no\"] } }] };
        }
        #{ finish: `${view.results.asked}` }
        ",
    );
    let parked = bench.run(
        "
        name: Team
        collaboration_pattern: peer_to_peer
        member_agents: [{ agent: asker, role: a }, { agent: asker, role: b }]
        result: { by: merge }
        ",
    );
    let open = |ran: &crate::common::Ran| -> Vec<(u32, String)> {
        ran.state.asks.values().map(|ask| (ask.id.0, ask.question.to_string())).collect()
    };
    assert_eq!(parked.status.name(), "parked");
    let mut asked = open(&parked);
    asked.sort_by(|one, other| one.1.cmp(&other.1));
    assert_eq!(asked.iter().map(|(_, q)| q.as_str()).collect::<Vec<_>>(), ["What of a?", "What of b?"]);
    let (first, second) = (asked[0].0, asked[1].0);

    let ran = bench.answer(parked.session(), second, "no").unwrap();
    assert_eq!((ran.status.name(), ran.of("circle/b/1"), ran.of("circle/a/1")), ("parked", "ok", "pending"));
    let ran = bench.resume(ran.session());
    assert_eq!(open(&ran), [(first, "What of a?".to_owned())], "after a restart it is shown again");
    assert!(bench.answer(ran.session(), second, "yes").is_err(), "an answered question is not answered twice");
    let ran = bench.answer(ran.session(), first, "yes").unwrap();
    let output = ran.completed();
    assert!(output["a"].as_str().unwrap().contains("yes") && output["b"].as_str().unwrap().contains("no"), "{output}");
}

#[test]
fn behaviour_37_in_a_circle_a_call_that_a_person_denies_is_not_made_and_the_agent_reads_why() {
    for (answer, calls, paid) in [("deny", 0, "denied"), ("allow", 1, "paid")] {
        let bench = Bench::on_disk();
        bench.file("permit.rhai", "fn permit(facts) { if facts.tool == \"pay\" { \"ask\" } else { \"allow\" } }\n");
        bench.script(
            "payer",
            "
            if view.turn == 0 && view.role == \"a\" { return #{ calls: [#{ tool: \"pay\", args: #{ value: \"paid\" }, \"as\": \"p\" }] }; }
            #{ finish: view.results.get(\"p\", view.errors.get(\"p\", #{ kind: \"rests\" }).kind) }
            ",
        );
        let parked = bench.run(
            "
            name: Team
            collaboration_pattern: peer_to_peer
            rules: [permit.rhai]
            member_agents: [{ agent: payer, role: a }, { agent: payer, role: b }]
            result: { by: merge }
            ",
        );
        assert_eq!(parked.status.name(), "parked");
        let ran = bench.answer(parked.session(), 0, answer).unwrap();
        assert_eq!(ran.completed(), json!({ "a": paid, "b": "rests" }));
        assert_eq!(bench.board.calls("circle/a/1"), calls);
    }
}

/// An agent that goes wrong, what the team is told to watch for, and the beginning of the reason.
const WRONG: [(&str, &str, &str); 3] = [
    ("#{ calls: [#{ tool: \"say\", args: #{ value: 1 } }] }", "{ repeated_call: { times: 3 } }", "stalled: repeated_call: "),
    (
        "#{ calls: [#{ tool: \"read_context\", args: #{ topic: `the cause, page ${view.turn}` } }] }",
        "{ near_repetition: { times: 3 } }",
        "stalled: near_repetition: ",
    ),
    ("#{ finish: \"TERMINATE\" }", "{ premature_end: { evidence: required } }", "stalled: premature_end: "),
];

#[test]
fn behaviour_40_in_every_pattern_an_agent_that_repeats_itself_or_ends_without_evidence_is_stopped_and_a_person_told_why() {
    for (pattern, path) in PATTERNS {
        for (body, detect, why) in WRONG {
            let bench = Bench::new();
            bench.script("wrong", body);
            bench.script("right", "#{ finish: #{ value: 1, evidence: [#{ source: \"log\", excerpt: \"it says so\" }] } }");
            // Where there is a coordinator it is told first, unless the rule says otherwise.
            let person = "fn escalate(facts) { #{ to: \"person\", question: facts.reason, options: [] } }\n";
            bench.file("rules.rhai", &format!("{ROUTE}{person}"));
            let inner = "name: Inner\ncollaboration_pattern: parallel\ncoordinator: lead\nmember_agents: [{ agent: right, role: c }]\n\
                         result: { by: merge }\ninputs: { waits: { type: map, default: {} } }\n";
            bench.file("inner.yaml", inner);
            let rest = format!(
                "rules: [rules.rhai]\ninputs: {{ waits: {{ type: map, default: {{}} }} }}\nescalation: [{{ to: on-call }}]\n\
                 coordination_rules: {{ escalation_policy: on_stall, detect: {detect} }}\n"
            );
            let text = team(pattern, "right", "", &rest).replace("agent: right, role: b", "agent: wrong, role: b");
            let ran = bench.run(&text);
            assert_eq!(ran.status.name(), "parked", "{pattern}: {:#?}", ran.outcomes());
            let [row] = &ran.report.escalations[..] else { panic!("{pattern}: {:?}", ran.report.escalations) };
            assert_eq!((row.cause, row.to, row.waits_for.as_deref()), (Some("on_stall"), "person", Some("on-call")));
            assert!(row.reason.starts_with(why), "{pattern}: {}", row.reason);
            assert_eq!(ran.of(&path("b")), "pending", "{pattern}");
            let turns = ran.events(|e| if let Event::TurnStarted { node, .. } = e { Some(*node) } else { None });
            let own = turns.iter().filter(|node| ran.state.path(**node).starts_with(&path("b"))).count();
            assert!(own <= 6, "{pattern}: {own} turns before it was stopped");
        }
    }
}
