//! What the keys of a member that is a team do: `team`, `with`, `open`, `limits`, and the limits of its own file.

use serde_json::{Value as Json, json};
use synod::{
    event::{Event, Outcome, Status},
    value::MessageKind,
};

use crate::common::{Bench, Ran, sole_error};

/// A bench with the team `lab`: an agent `x` who writes to `b`, finds something on the topic `t` and says its task, and a lead who
/// repeats what the member said.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.file(
        "lab.yaml",
        "
        name: Lab
        collaboration_pattern: coordinator_worker
        coordinator: { agent: lead, set: { model: 'script:sum.rhai' } }
        member_agents: [{ agent: agent, role: x, set: { model: 'script:x.rhai' } }]
        coordination_rules: { delegation: all, max_asks: 0 }
        inputs: { word: { type: string, default: none } }
        ",
    );
    bench.script(
        "x",
        r##"
        if view.turn > 0 { return #{ finish: `${view.task} with ${view.inputs.word}` }; }
        let found = #{ topic: "t", claim: "so", value: 1, confidence: 1.0 };
        #{ calls: [
            #{ tool: "send_message", args: #{ to: "b", content: "hello" } },
            #{ tool: "broadcast_finding", args: found },
        ] }
        "##,
    );
    bench.script("sum", r##"#{ finish: `lab: ${view.context.results[0].output}` }"##);
    bench
}

/// A relay of the lab, which has `keys`, and of an agent `b`, who says what it knows.
fn relay(bench: &Bench, keys: &str) -> Ran {
    bench.script(
        "b",
        r##"#{ finish: #{ task: view.task, mail: view.mail.map(|m| `${m.from}: ${m.content}`), found: view.context.findings.map(|f| f.agent) } }"##,
    );
    bench.run(&format!(
        "
        name: Team
        collaboration_pattern: sequential
        coordinator: lead
        inputs: {{ word: {{ type: string, default: care }} }}
        member_agents:
          - {{ team: lab, role: lab, priority: 1, with: {{ word: input.word }}{keys} }}
          - {{ agent: agent, role: b, priority: 2, set: {{ model: 'script:b.rhai' }} }}
        coordination_rules: {{ max_asks: 0 }}
        "
    ))
}

#[test]
fn a_team_in_a_relay_gets_the_task_and_its_inputs_and_hands_its_result_on() {
    let done = relay(&bench(), "").completed();
    assert_eq!(done, json!({ "task": "the task", "mail": ["lab: lab: the task with care"], "found": [] }));
}

#[test]
fn an_open_team_is_heard_by_the_team_around_it_in_its_own_name() {
    let bench = bench();
    let ran = relay(&bench, ", open: true");
    let done = ran.completed();
    assert_eq!((&done["mail"], &done["found"]), (&json!(["lab: lab: the task with care", "lab: hello"]), &json!(["lab"])));
    let sent = |e: &Event| match e {
        Event::Said { message, .. } if message.kind == MessageKind::Note => message.from.as_ref().map(ToString::to_string),
        _ => None,
    };
    assert_eq!(ran.events(sent), ["lab"]);
}

#[test]
fn an_agent_is_not_open() {
    let found = Bench::new().check(
        "
        name: Team
        collaboration_pattern: parallel
        member_agents: [{ agent: agent, role: a, open: true }]
        ",
    );
    let (code, _, _, text) = sole_error(&found);
    assert_eq!((code, text.as_str()), ("unknown-key", "`open` belongs to a member that is a team"));
}

/// What became of a sub-task of the lab, which has `keys`, beside one of `b`; `head` is part of the lab's file.
fn divided(bench: &Bench, keys: &str, head: &str) -> (Json, Vec<String>) {
    let lab = std::fs::read_to_string(bench.path("lab.yaml")).expect("it was written");
    bench.file("lab.yaml", &lab.replace("name: Lab\n", &format!("name: Lab\n{head}")));
    let ran = bench.run(&format!(
        "
        name: Team
        collaboration_pattern: hierarchical
        coordinator: lead
        member_agents:
          - {{ team: lab, role: lab{keys} }}
          - {{ agent: agent, role: b }}
        coordination_rules: {{ delegation: all, max_asks: 0 }}
        result: {{ by: merge }}
        "
    ));
    let failed = |e: &Event| match e {
        Event::NodeEnded { outcome: Outcome::Failed(failure), .. } => Some(failure.message.to_string()),
        _ => None,
    };
    assert_eq!(ran.status, Status::Completed);
    (serde_json::to_value(&ran.report.output).expect("JSON"), ran.events(failed))
}

#[test]
fn a_coordinator_gives_a_sub_task_to_a_team_by_what_its_lead_can_do() {
    let bench = bench();
    bench.file(
        "leads.rhai",
        r##"
        fn turn(view) {
            if view.phase != "delegate" { return #{ finish: view.context.results.map(|r| `${r.role}: ${r.output}`) }; }
            let part = #{ id: "part", skills: ["baking"], task: "bake", done_when: "it is warm" };
            #{ calls: [#{ tool: "delegate", args: #{ subtasks: [part] } }] }
        }
        "##,
    );
    bench.file(
        "lab.yaml",
        &std::fs::read_to_string(bench.path("lab.yaml"))
            .expect("it was written")
            .replace("model: 'script:sum.rhai'", "model: 'script:sum.rhai', skills: [baking]"),
    );
    let ran = bench.run(
        "
        name: Team
        collaboration_pattern: hierarchical
        coordinator: { agent: lead, set: { model: 'script:leads.rhai' } }
        member_agents:
          - { agent: agent, role: b }
          - { team: lab, role: lab }
        coordination_rules: { max_asks: 0 }
        ",
    );
    assert_eq!(ran.completed(), json!(["lab: lab: bake\n\nIt is done when: it is warm with none"]));
    let row = &ran.report.delegations[0].subtasks[0];
    assert_eq!((&*row.node, row.status, row.scores.len()), ("work/part", "done", 1));
}

#[test]
fn limits_of_a_member_that_is_a_team_end_it_and_the_others_go_on() {
    let (output, failed) = divided(&bench(), ", limits: { turns: 1 }", "");
    assert_eq!(output, json!({ "b": "b" }));
    assert!(failed.contains(&"lab's own turns are spent".to_owned()), "{failed:?}");
}

#[test]
fn running_time_of_a_team_inside_another_ends_it_and_the_others_go_on() {
    let bench = bench();
    bench.script("x", r##"#{ calls: [#{ tool: "stuck", args: #{} }] }"##);
    let (output, failed) = divided(&bench, "", "limits: { wall_seconds: 1 }\n");
    assert_eq!(output, json!({ "b": "b" }));
    assert!(failed.contains(&"the team Lab took longer than its 1 s".to_owned()), "{failed:?}");
}

#[test]
fn a_node_gives_a_team_a_task_of_its_own() {
    let ran = bench().run(
        "
        name: Team
        collaboration_pattern: graph
        member_agents: [{ team: lab, role: lab }]
        nodes:
          a: { gate: '\"this\"' }
          b: { agent: lab, task: 'do {{ a.output }}', done_when: it is done, after: a }
        ",
    );
    assert_eq!(ran.completed(), json!("lab: do this\n\nIt is done when: it is done with none"));
}
