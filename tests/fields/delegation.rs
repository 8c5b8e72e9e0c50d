//! What the keys of a team do that concern delegation.

use synod::event::Event;

use crate::common::{Bench, Ran};

/// What the coordinator does.
fn leads(bench: &Bench, body: &str) {
    bench.file("lead.rhai", &format!("fn turn(view) {{\n{body}\n}}\n"));
}

/// A team whose coordinator divides once into `x` for `a` and, anew, into `x` for `b`; `a` fails.
fn divided(rules: &str, lead: &str) -> Ran {
    let bench = Bench::new();
    leads(&bench, lead);
    bench.script("agent", "#{ finish: view.role }");
    bench.file("fails.rhai", "fn turn(view) { #{ finish: #{ none: 1 } } }\n");
    bench.run(&format!(
        "
        name: Team
        collaboration_pattern: coordinator_worker
        coordinator: lead
        member_agents:
          - {{ agent: agent, role: a, set: {{ model: 'script:fails.rhai', output_schema: {{ type: object, required: [some] }} }} }}
          - {{ agent: agent, role: b, set: {{ skills: [search] }} }}
        coordination_rules: {{ escalation_policy: never, {rules} }}
        "
    ))
}

/// Divides: to `a` first, then to whoever can search.
const DIVIDES: &str = "
    if view.phase != \"delegate\" { return #{ finish: #{ vote: \"object\", reason: \"too short\", confidence: 0.9 } }; }
    if view.context.ledger != () { return #{ finish: [#{ id: \"x\", skills: [\"search\"], task: \"look again\" }] }; }
    #{ calls: [#{ tool: \"delegate\", args: #{ subtasks: [
        #{ id: \"x\", agent: \"a\", task: \"look\" }, #{ id: \"y\", agent: \"b\", task: \"y\", done_when: \"it is long\" },
    ] } }] }";

#[test]
fn delegation_says_who_divides_the_task() {
    let ran = divided("delegation: coordinator", DIVIDES);
    assert_eq!((ran.of("work/x"), ran.of("work/2/x"), ran.of("work/a")), ("failed", "ok", "absent"));
    let all = divided("delegation: all", DIVIDES);
    assert_eq!((all.of("work/a"), all.of("work/b"), all.of("work/x")), ("failed", "ok", "absent"));
    let none = divided("delegation: coordinator", "#{ finish: 7 }");
    let fallbacks =
        none.events(|e| if let Event::Delegated(d) = e { d.fallback.as_ref().map(ToString::to_string) } else { None });
    assert!(fallbacks[0].starts_with("the delegation is an integer"), "{fallbacks:?}");
    assert_eq!((none.of("work/b"), none.report.delegations[0].fallback.is_some()), ("ok", true));
    let bench = Bench::new();
    bench.file("route.rhai", "fn route(facts) { [#{ id: \"r\", agent: \"a\", task: \"t\" }] }\n");
    for (word, node) in [("rule", "work/r"), ("all", "work/a")] {
        let ran = bench.run(&format!(
            "
            name: Team
            collaboration_pattern: coordinator_worker
            coordinator: lead
            member_agents: [{{ agent: agent, role: a }}]
            coordination_rules: {{ delegation: {word} }}
            rules: route.rhai
            "
        ));
        assert_eq!(ran.of(node), "ok", "{word}");
    }
}

#[test]
fn max_replans_says_how_often_what_failed_is_divided_anew() {
    for (replans, again) in [(0, "absent"), (1, "ok")] {
        assert_eq!(divided(&format!("max_replans: {replans}"), DIVIDES).of("work/2/x"), again);
    }
}

#[test]
fn check_done_says_who_checks_a_sub_task() {
    for (who, by, status) in [("false", None, "ok"), ("true", Some("coordinator"), "failed"), ("a", Some("a"), "failed")] {
        let ran = divided(&format!("max_replans: 0, check_done: {who}"), DIVIDES);
        let check = ran.state.find("work/y_check");
        assert_eq!(check.and_then(|node| ran.state.role_of(node)).map(ToString::to_string).as_deref(), by, "{who}");
        assert_eq!(ran.of("work"), status, "{who}");
    }
}

#[test]
fn max_depth_lets_whoever_has_a_sub_task_divide_it() {
    for (depth, part) in [(1, "absent"), (2, "ok")] {
        let bench = Bench::new();
        leads(&bench, "#{ finish: [#{ id: \"x\", agent: \"a\", task: \"t\" }] }");
        bench.script(
            "agent",
            "if view.role == \"b\" || view.turn > 0 { return #{ finish: 1 }; }
             #{ calls: [#{ tool: \"delegate\", args: #{ subtasks: [#{ id: \"p\", agent: \"b\", task: \"t\" }] } }] }",
        );
        let ran = bench.run(&format!(
            "
            name: Team
            collaboration_pattern: coordinator_worker
            coordinator: lead
            member_agents: [{{ agent: agent, role: a }}, {{ agent: agent, role: b }}]
            coordination_rules: {{ max_depth: {depth} }}
            "
        ));
        assert_eq!((ran.of("work/x/sub/p"), ran.of("work/x")), (part, "ok"), "{depth}");
    }
}

#[test]
fn looping_ledger_sees_a_plan_that_gives_again_what_failed() {
    let stubborn = DIVIDES.replace("skills: [\"search\"], task: \"look again\"", "agent: \"a\", task: \"Look!\"");
    for (detect, told, rounds) in [
        ("{ looping_ledger: { similarity: 0.95 } }", 1, false),
        ("{ looping_ledger: { similarity: 1.0, times: 3 } }", 1, false),
        ("{ looping_ledger: off }", 0, true),
    ] {
        let ran = divided(&format!("max_replans: 1, detect: {detect}"), &stubborn);
        let notes = ran.events(|e| if let Event::Noted { detector: Some(d), .. } = e { Some(d.name()) } else { None });
        assert_eq!(notes, vec!["looping_ledger"; told], "{detect}");
        assert_eq!(ran.of("work/2/x") != "absent", rounds, "{detect}");
    }
}

#[test]
fn a_graph_says_by_whom_and_how_often_sub_tasks_are_divided_anew_and_who_checks_them() {
    let bench = Bench::new();
    leads(
        &bench,
        "#{ finish: [#{ id: \"x\", agent: \"a\", task: `round ${view.turn} of ${view.node}`, done_when: \"never\" }] }",
    );
    bench.script("agent", "#{ finish: if view.phase == \"validate\" { #{ vote: \"object\", reason: \"no\" } } else { 1 } }");
    let ran = bench.run(
        "
        name: Team
        collaboration_pattern: graph
        coordinator: lead
        member_agents: [{ agent: agent, role: a }, { agent: agent, role: b }]
        coordination_rules: { detect: off }
        nodes:
          plan: { agent: coordinator, phase: delegate }
          work: { subtasks: plan.output, replan: { by: coordinator, max: 2 }, check_done: b, after: plan }
        ",
    );
    assert_eq!((ran.of("work/3/x"), ran.of("work/4/x")), ("ok", "absent"));
    assert_eq!(ran.failure_of("work/3/x_check").to_string(), "rejected: b objects: no");
}
