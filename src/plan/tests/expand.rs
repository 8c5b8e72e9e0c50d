//! Does a team that is spelled out compile to the plan that it had?

use super::*;
use crate::plan::expand;

/// The graphs and bounds of a plan, without the places of its texts.
pub(super) fn shape(plan: &Plan) -> serde_json::Value {
    fn forget(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(map) => {
                map.remove("place");
                map.values_mut().for_each(forget);
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(forget),
            _ => {}
        }
    }
    let mut json = serde_json::json!({ "graphs": plan.graphs, "teams": plan.teams, "bounds": plan.bounds, "limits": plan.limits,
        "inputs": plan.inputs, "finally": plan.finally, "max_parallel": plan.max_parallel });
    forget(&mut json);
    json
}

#[track_caller]
fn same(text: &str) -> String {
    let expanded = expand(&load(text)).unwrap_or_else(|found| panic!("{}", render(&found, false)));
    assert_eq!(shape(&plan(&expanded)), shape(&plan(text)), "{expanded}");
    expanded
}

const MEMBERS: &str = "member_agents:\n  - { agent: a, role: ann, priority: 2, writes: [{ variable: seen, merge: append }] }\n  \
    - { agent: b, role: bob, priority: 1, set: { max_conversation_turns: 7 } }\n\
    inputs: { zeta: { type: string, default: 'on: \"x\"\n' }, alpha: { type: folder } }\n\
    limits: { turns: 30, cost_usd: 0.5 }\nescalation: [{ to: me, deadline: 30m }]\n\
    finally: { tidy: { tool: Read }, also: { gate: 'status', after: tidy } }\n";

#[test]
fn a_coordinator_worker_team_keeps_its_plan_when_spelled_out() {
    let text = format!(
        "name: 'Yes: \"quoted\"'\ncollaboration_pattern: coordinator_worker\ncoordinator: {{ agent: lead, set: {{ max_conversation_turns: 3 }} }}\n\
         coordination_rules: {{ validate: true, max_revisions: 2, retry: {{ max_attempts: 2, backoff: 3s, on: [timeout] }}, parallel_execution: false }}\n\
         {MEMBERS}"
    );
    insta::assert_snapshot!(same(&text));
    same(&format!("{text}rules: [route.rhai]\n"));
    same(&text.replace("validate: true", "validate: []"));
    same(&text.replace("validate: true", "wait_for_all: false, quorum: 1, stragglers: leave"));
}

#[test]
fn the_other_patterns_keep_their_plans_too() {
    let relay = format!("name: T\ncollaboration_pattern: sequential\n{MEMBERS}");
    same(&relay);
    for result in ["{ by: merge }", "{ vote: { protocol: unanimous, tie: ann } }", "{ rapporteur: bob }"] {
        same(&format!("name: T\ncollaboration_pattern: parallel\nresult: {result}\n{MEMBERS}"));
    }
    same(&format!(
        "name: T\ncollaboration_pattern: parallel\nresult: {{ by: merge }}\n\
         coordination_rules: {{ validate: [ann], parallel_execution: false }}\n{MEMBERS}"
    ));
}

#[test]
fn a_graph_team_is_spelled_out_already() {
    let text = graph("# Why this node is here.\nnodes: { a: { agent: ann } }\n");
    assert_eq!(expand(&load(&text)).unwrap(), text);
}

#[test]
fn every_kind_of_node_survives_being_written() {
    // Written by a program: the nodes of a graph team, put into a file by the same means as those of a pattern.
    let text = graph(
        r#"
nodes:
  t: { agent: ann, task: "Do {{ input }}", done_when: done, max_turns: 3, timeout: 1500ms }
  b: { agent: bob, after: { t: 'output.kind == "x"' }, on_error: o }
  c: { agent: cid, after: { t: else }, allow_failure: true }
  f: { for_each: "t.output.items", as: part, max: 20, parallel: 5, agent: ann, task: "{{ part }}", retry: { max_attempts: 2 }, after: t }
  g: { for_each: "[1, 2]", max: 2, nodes: { x: { gate: "item" }, y: { gate: "x.output", after: x } }, output: y.output, concurrency: 1, after: f }
  r: { repeat: { max: 3, until: "round > 1" }, agent: bob, writes: [{ variable: v, merge: last }], after: [b, c], join: any, stragglers: leave }
  a: { ask: "Send {{ r.output }}?", options: [send, revise], deadline: 24h, default: revise, to: me, after: { r: done } }
  l: { tool: Bash, args: { command: "make '{{ a.output }}'" }, effect: idempotent, retry: { max_attempts: 3, backoff: { first: 2s, factor: 3, max: 9s }, on: [timeout, exit] }, timeout: 30s, after: a, expect_seconds: 12 }
  o: { rule: score }
  s: { settle: votes, members: [ann, bob], protocol: majority, tie: bob, max_debate_rounds: 2, after: { l: failed, g: done }, join: { quorum: 1 }, short: run }
  m: { rule: merge, members: [ann], input: "s.output", after: s }
  w: { subtasks: "[]", max: 3, one_by_one: true, quorum: 2, after: s }
  y: { relay: [ann, cid], max_handoffs: 1, after: w }
output: y.output
rules: [own.rhai]
"#,
    );
    let team = load(&text);
    let nodes = crate::plan::expand::nodes_yaml(&team.nodes);
    let again = graph(&format!("{nodes}output: y.output\nrules: [own.rhai]\n"));
    assert_eq!(shape(&plan(&again)), shape(&plan(&text)), "{again}");
}
