//! What do the names in expressions and templates stand for?

use super::*;
use crate::{
    graph::{GateBy, NodeKind, On, ScopeKind},
    value::{Expr, Ref},
};

/// The names of an expression, as `name@up:local` for nodes, `name@up` for bindings, and `name` for the source of an edge.
fn refs(expr: &Expr) -> String {
    let one = |r: &Ref| match r {
        Ref::Node { name, up, local } => format!("{name}@{up}:{local}"),
        Ref::Binding { name, up } => format!("{name}@{up}"),
        Ref::Source { name } => name.to_string(),
    };
    expr.refs.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn gate(plan: &Plan, graph: usize, n: usize) -> String {
    match &node(plan, graph, n).kind {
        NodeKind::Gate(GateBy::Expr(expr)) => refs(expr),
        _ => panic!("not a gate"),
    }
}

#[test]
fn nodes_are_named_by_id_and_inputs_by_input() {
    let plan = plan(&graph(
        "inputs: { n: { type: integer } }\nnodes:\n  a: { gate: 'input.n' }\n  b: { gate: 'a.output + input.n', after: a }\n",
    ));
    assert_eq!((gate(&plan, 0, 0), gate(&plan, 0, 1)), ("input@0".into(), "a@0:0 input@0".into()));
}

#[test]
fn names_reach_out_of_scopes_and_items_stay_inside() {
    let plan = plan(&graph(
        r#"
nodes:
  a: { gate: '[1, 2]' }
  f:
    for_each: a.output
    as: part
    max: 2
    nodes:
      x: { gate: 'part + a.output.len()' }
      r: { repeat: { max: 3, until: 'y.output > round' }, nodes: { y: { gate: 'round + part + x.output + task.len()' } }, after: x }
    output: r.output
    after: a
  z: { gate: 'f.output', after: f }
output: z.output
"#,
    ));
    assert_eq!(gate(&plan, 1, 0), "a@1:0 part@0");
    assert_eq!(gate(&plan, 2, 0), "part@1 round@0 task@2 x@1:0");
    let NodeKind::Scope(repeat) = &node(&plan, 1, 1).kind else { panic!("a scope") };
    let ScopeKind::Repeat { until: Some(until), .. } = &**repeat else { panic!("a loop") };
    assert_eq!(refs(until), "round@0 y@0:0");
    assert_eq!(refs(plan.graphs[0].output.as_ref().unwrap()), "z@0:2");
}

#[test]
fn a_condition_reads_the_output_of_its_source_and_what_was_before_it() {
    let plan = plan(&graph(
        "nodes:\n  a: { gate: '1' }\n  b: { gate: '2', after: a }\n  c: { gate: '3', after: { b: 'output > a.output && b.output > 1' } }\n",
    ));
    let edge = &plan.graphs[0].dag[petgraph::graph::EdgeIndex::new(1)];
    let On::When(expr) = &edge.on else { panic!("a condition") };
    assert_eq!(refs(expr), "a@0:0 b@0:1 output");
}

#[test]
fn a_handler_reads_the_error_and_finally_reads_how_it_ended() {
    let plan = plan(&graph(
        "nodes:\n  a: { agent: ann, on_error: h }\n  h: { gate: 'error.kind + status' }\n\
         finally:\n  t: { gate: 'status + a.output + task' }\n",
    ));
    assert_eq!(gate(&plan, 0, 1), "error@0 status@0");
    assert_eq!(gate(&plan, plan.finally.unwrap().index(), 0), "a@1:0 status@0 task@1");
}

#[test]
fn a_sub_team_sees_its_inputs_and_nothing_else() {
    let sub = graph(
        "inputs: { part: { type: integer }, k: { type: string, default: 'a\"b' } }\nnodes: { x: { gate: 'input.part' } }\n",
    );
    let text = graph(
        "nodes:\n  a: { gate: '[1]' }\n  e: { for_each: a.output, as: part, max: 2, team: ./sub.yaml, with: { part: 'part + a.output[0]' }, after: a }\n",
    );
    let plan = plan_of(&load_from(&sources().with("team.yaml", text).with("sub.yaml", sub)));
    assert_eq!((plan.teams.len(), plan.graphs.len()), (2, 3));
    let NodeKind::Scope(scope) = &node(&plan, 1, 0).kind else { panic!("a scope") };
    let ScopeKind::Group { body, with: Some(with), .. } = &**scope else { panic!("a team") };
    assert_eq!((refs(&with[0].1), &*with[1].1.source), ("a@1:0 part@0".into(), r#""a\"b""#));
    assert_eq!((body.index(), gate(&plan, 2, 0)), (2, "input@0".into()));
    assert_eq!((plan.graphs[1].team.0, plan.graphs[2].team.0, plan.graphs[1].single), (0, 1, true));
}

#[test]
fn a_name_of_a_later_or_parallel_node_is_refused() {
    let text = graph(
        "nodes:\n  a: { gate: 'b.output' }\n  b: { gate: '1', after: a }\n  c: { gate: 'a.output + d.output', after: b }\n  d: { gate: 'd.output', after: a }\n",
    );
    assert_eq!(
        said(&text),
        "team.yaml:6:15: error[unknown-name]: `b` is not before `a`, so its output may not be there yet\n  \
         add `b` to the `after` of `a`\n\
         team.yaml:8:26: error[unknown-name]: `d` is not before `c`, so its output may not be there yet\n  \
         add `d` to the `after` of `c`\n\
         team.yaml:9:15: error[unknown-name]: `d` cannot read its own output: it has none before it ends\n"
    );
}

#[test]
fn a_name_that_nothing_binds_is_refused_with_the_nearest() {
    let text = graph(
        "nodes:\n  triage: { gate: '1' }\n  b: { gate: 'traige.output + item + round', after: triage }\n  c: { agent: ann, task: 'Do {{ imput.x }} of {{ output }}', after: b }\n",
    );
    assert_eq!(
        said(&text),
        "team.yaml:7:15: error[unknown-name]: `traige` is neither a node nor anything else that is known here\n  \
         did you mean `triage`?\n\
         team.yaml:7:31: error[unknown-name]: `item` is neither a node nor anything else that is known here\n  \
         `item` is there inside a `for_each` that does not name it otherwise\n\
         team.yaml:7:38: error[unknown-name]: `round` is neither a node nor anything else that is known here\n  \
         `round` is there inside a `repeat`\n\
         team.yaml:8:33: error[unknown-name]: `imput` is neither a node nor anything else that is known here\n  \
         did you mean `input`?\n\
         team.yaml:8:50: error[unknown-name]: `output` is neither a node nor anything else that is known here\n  \
         `output` is there in a condition of `after` and in `until`; elsewhere name the node: `triage.output`\n"
    );
}

#[test]
fn expressions_that_name_nothing_are_tried() {
    let text = graph(
        "nodes:\n  a: { gate: '1 / 0' }\n  b: { for_each: '[1, 2, 3]', max: 2, agent: ann, after: a }\n  \
         c: { for_each: '7', max: 2, agent: ann, after: b }\n  d: { gate: '1', after: { c: '1 + 1' } }\n",
    );
    assert_eq!(
        said(&text),
        "team.yaml:6:17: error[bad-expression]: this expression fails whenever it is evaluated: division by zero: 1 / 0\n\
         team.yaml:7:19: error[out-of-range]: this list has 3 items and `max` is 2: the node would fail\n\
         team.yaml:8:19: error[wrong-type]: expected a list; this is always an integer\n\
         team.yaml:9:32: error[wrong-type]: a condition is true or false; this is always an integer\n"
    );
}

#[test]
fn a_text_that_does_not_compile_is_refused_at_its_place() {
    let text = graph(
        "nodes:\n  a: { gate: '1 +' }\n  b: { agent: ann, task: 'Do {{ x', after: a }\n  c: { gate: 'nofunction(1)', after: b }\n",
    );
    assert_eq!(
        said(&text),
        "team.yaml:6:18: error[bad-expression]: this expression does not compile: script is incomplete\n\
         team.yaml:7:33: error[bad-expression]: this template does not compile: \
         unexpected end of input, expected end of variable block\n\
         team.yaml:8:15: error[bad-expression]: this expression does not compile: no function `nofunction`\n"
    );
}

#[test]
fn rules_are_tried_on_sample_facts() {
    let text = graph("nodes: { a: { rule: own } }\nrules: [wrong.rhai]\n");
    let sources = sources().with("team.yaml", text).with("wrong.rhai", "fn own(facts) {\n  nofunction(facts)\n}\n");
    assert_eq!(said_of(&load_from(&sources)), "wrong.rhai:2:3: error[bad-rule]: no function `nofunction`\n");
}
