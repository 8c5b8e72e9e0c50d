//! What does a reviewer see?

use super::*;
use crate::plan::{Review, describe, draw_dot, draw_json, draw_mermaid, review};

const TRIAGE: &str = r#"
name: Triage
collaboration_pattern: graph
coordinator: lead
member_agents: [{ agent: llm, role: ann }, { agent: a, role: bob }, { agent: b, role: idle }]
limits: { turns: 40, cost_usd: 1.0, wall_seconds: 600 }
escalation: [{ to: on-call, deadline: 30m }]
nodes:
  triage: { agent: ann, task: "Classify {{ input }}", timeout: 60s }
  billing: { agent: bob, after: { triage: 'output.kind == "billing" && output.sum > 1' } }
  other: { agent: bob, after: { triage: else } }
  fixes: { for_each: "triage.output.items", max: 20, parallel: 12, agent: ann, task: "{{ item }}", timeout: 30s, after: triage }
  draft: { repeat: { max: 3, until: 'review.output == "send"' }, nodes: { write: { agent: bob, timeout: 20s }, review: { ask: "Send this?", options: [send, revise], deadline: 24h, default: revise, after: write } }, output: write.output, after: [billing, other], join: any }
  lint: { tool: Bash, args: { command: "make \"lint\"" }, retry: { max_attempts: 2 }, timeout: 30s, allow_failure: true, after: fixes }
  forever: { ask: "Well?", after: lint }
finally: { tidy: { tool: Bash, args: { command: "make clean" } } }
output: draft.output
"#;

fn reviewed(text: &str) -> (Plan, Review) {
    let plan = plan(text);
    let review = review(&plan, &Machine { tools: &tools(), effect: &effect, models: &models() });
    (plan, review)
}

#[test]
fn a_plan_is_described_with_bounds_people_permissions_and_lints() {
    let (plan, review) = reviewed(TRIAGE);
    insta::assert_snapshot!(describe(&plan, &review));
}

#[test]
fn a_plan_is_drawn_in_mermaid_and_dot() {
    let plan = plan(TRIAGE);
    insta::assert_snapshot!("mermaid", draw_mermaid(&plan));
    insta::assert_snapshot!("dot", draw_dot(&plan));
}

#[test]
fn programs_read_nodes_edges_bounds_permissions_and_lints() {
    let (plan, review) = reviewed(TRIAGE);
    insta::assert_json_snapshot!(draw_json(&plan, &review));
}

/// The names of the lints of a team, with the nodes that they are about.
fn lints(text: &str) -> String {
    let (_, review) = reviewed(text);
    review.lints.iter().map(|l| format!("{} {}\n", l.name, l.node.as_deref().unwrap_or("-"))).collect()
}

#[test]
fn a_fan_out_that_somebody_votes_on_is_no_lint() {
    let open = "name: T\ncollaboration_pattern: coordinator_worker\ncoordinator: lead\n\
                member_agents: [{ agent: llm, role: ann }, { agent: llm, role: bob }]\nlimits: { tokens: 900000000 }\n";
    assert_eq!(lints(open).lines().filter(|l| l.starts_with("unvalidated")).collect::<Vec<_>>(), ["unvalidated-fan-out work"]);
    assert!(!lints(&format!("{open}coordination_rules: {{ validate: [ann] }}\n")).contains("unvalidated"));
}

#[test]
fn a_join_of_several_agents_that_nobody_looks_at_is_a_lint() {
    let joined = |rest: &str| {
        let text = graph(&format!("nodes:\n  a: {{ agent: ann }}\n  b: {{ agent: bob }}\n{rest}"));
        lints(&text).lines().filter(|l| l.starts_with("unvalidated")).map(str::to_owned).collect::<Vec<_>>()
    };
    let sum = "sum: { agent: cid, after: [a, b] }";
    assert_eq!(joined(&format!("  {sum}\n")), ["unvalidated-fan-out sum"]);
    assert_eq!(joined(&format!("  {sum}\n  q: {{ ask: 'Well?', after: sum, deadline: 1h }}\n")), Vec::<String>::new());
    assert_eq!(joined("  q: { ask: 'Well?', after: [a, b], deadline: 1h }\n"), Vec::<String>::new(), "a person looks");
    assert_eq!(joined("  c: { agent: cid, after: [a, b], join: any }\n"), Vec::<String>::new(), "it takes one of them");
    assert_eq!(joined("  c: { agent: cid, after: { a: ok, b: failed } }\n"), Vec::<String>::new(), "a failure is no work");
}

#[test]
fn a_condition_that_names_nothing_and_work_that_nobody_reads_are_lints() {
    let text = graph(
        "nodes:\n  a: { gate: '1' }\n  b: { gate: '2', after: { a: '1 > 2' } }\n  c: { gate: '3', after: a }\noutput: b.output\n",
    );
    let expected = "constant-condition b\nidle-member -\nidle-member -\nidle-member -\nunused-output c\n";
    assert_eq!(lints(&text), expected);
}

#[test]
fn a_join_of_branches_of_which_one_runs_is_not_order_sensitive() {
    let nodes = |other: &str| {
        graph(&format!(
            "nodes:\n  a: {{ gate: '1' }}\n  b: {{ gate: '2', after: {{ a: 'output > 1' }} }}\n  c: {{ gate: '3', after: {{ a: {other} }} }}\n  \
             d: {{ gate: '4', after: [b, c], join: any }}\n"
        ))
    };
    assert_eq!(reviewed(&nodes("else")).1.order_sensitive, []);
    let open = reviewed(&nodes("ok")).1.order_sensitive;
    assert_eq!((open.len(), open[0].node.as_deref()), (1, Some("d")));
}

#[test]
fn a_retry_of_what_cannot_be_repeated_is_pointed_out_through_the_scopes_around_it() {
    let retry = "retry: { max_attempts: 2 }";
    let bash = "{ tool: Bash, args: { command: make } }";
    let (_, review) = reviewed(&graph(&format!(
        "nodes:\n  all: {{ for_each: '[1, 2]', max: 2, nodes: {{ one: {{ nodes: {{ a: {bash} }} }} }}, {retry} }}\n  \
         safe: {{ nodes: {{ b: {{ gate: '1' }} }}, {retry} }}\n"
    )));
    let lints = review.lints.iter().filter(|lint| lint.name == "irreversible-retry");
    let told: Vec<_> = lints.map(|lint| (lint.node.as_deref(), lint.message.as_str())).collect();
    let why = "`Bash` in `all/*/one/a` is irreversible: an attempt whose outcome is unknown is never retried";
    assert_eq!(told, [(Some("all"), why)]);
}
