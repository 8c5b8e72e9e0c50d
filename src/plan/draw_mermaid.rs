//! How does a plan look in Mermaid? [`draw_mermaid`].

use std::fmt::Write;

use super::{
    mermaid::mermaid_text,
    outline::{Outline, SHOWN, on, what},
};
use crate::graph::{NodeKind, On, Plan};

/// Characters of a label at most; the texts in it are cut before.
const LABEL: usize = 500;

/// The graph as a Mermaid flowchart; the body of a scope is a subgraph.
pub fn draw_mermaid(plan: &Plan) -> String {
    let outline = Outline::of(plan);
    let mut out = String::from("flowchart TD\n");
    inside(plan, &outline, None, 1, &mut out);
    for wait in &outline.waits {
        let label = match wait.on {
            On::Ok => String::new(),
            _ => format!("|\"{}\"|", mermaid_text(on(wait.on), SHOWN)),
        };
        writeln!(out, "  n{} -->{label} n{}", wait.from, wait.to).ok();
    }
    out
}

/// The steps of one scope. Names are numbers, since Mermaid takes some words for its own.
fn inside(plan: &Plan, outline: &Outline<'_>, scope: Option<usize>, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    for (n, step) in outline.inside(scope) {
        let label = format!("{}<br/>{}", mermaid_text(&step.id, LABEL), mermaid_text(&what(plan, step), LABEL));
        if outline.inside(Some(n)).next().is_some() {
            writeln!(out, "{indent}subgraph n{n}[\"{label}\"]").ok();
            inside(plan, outline, Some(n), depth + 1, out);
            writeln!(out, "{indent}end").ok();
            continue;
        }
        let (open, close) = match &step.node.kind {
            NodeKind::Agent(_) => ("(", ")"),
            NodeKind::Tool(_) => ("[[", "]]"),
            NodeKind::Gate(_) => ("{", "}"),
            NodeKind::Ask(_) => ("[/", "/]"),
            NodeKind::Scope(_) => ("[", "]"),
        };
        writeln!(out, "{indent}n{n}{open}\"{label}\"{close}").ok();
    }
}
