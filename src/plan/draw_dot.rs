//! How does a plan look in Graphviz? [`draw_dot`].

use std::fmt::Write;

use super::outline::{Outline, on, short, what};
use crate::graph::{NodeKind, On, Plan};

/// The graph in the DOT language; the body of a scope is a cluster.
pub fn draw_dot(plan: &Plan) -> String {
    let outline = Outline::of(plan);
    let mut out = String::from("digraph plan {\n  rankdir=TB;\n  compound=true;\n  node [fontname=\"sans-serif\"];\n");
    inside(plan, &outline, None, 1, &mut out);
    for wait in &outline.waits {
        let label = match wait.on {
            On::Ok => String::new(),
            _ => format!(" [label={}]", quoted(&short(on(wait.on)))),
        };
        let (from, to) = (&outline.steps[wait.from].id, &outline.steps[wait.to].id);
        writeln!(out, "  {} -> {}{label};", quoted(from), quoted(to)).ok();
    }
    out.push_str("}\n");
    out
}

fn inside(plan: &Plan, outline: &Outline<'_>, scope: Option<usize>, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    for (n, step) in outline.inside(scope) {
        let shape = match &step.node.kind {
            NodeKind::Agent(_) => "ellipse",
            NodeKind::Tool(_) => "component",
            NodeKind::Gate(_) => "diamond",
            NodeKind::Ask(_) => "parallelogram",
            NodeKind::Scope(_) => "box",
        };
        let label = quoted(&format!("{}\n{}", step.id, what(plan, step)));
        writeln!(out, "{indent}{} [shape={shape}, label={label}];", quoted(&step.id)).ok();
        if outline.inside(Some(n)).next().is_some() {
            writeln!(out, "{indent}subgraph cluster_{n} {{\n{indent}  label={};", quoted(&step.id)).ok();
            inside(plan, outline, Some(n), depth + 1, out);
            writeln!(out, "{indent}}}").ok();
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
