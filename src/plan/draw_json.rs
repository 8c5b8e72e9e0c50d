//! How does a plan look to a program? [`draw_json`].

use serde_json::{Value, json};

use super::{
    outline::{Outline, on, what},
    review::Review,
};
use crate::graph::{NodeKind, Plan, SYNTHESIS_SHARE, ScopeKind};

/// The contract of `synod plan --json`: `nodes`, `edges`, `bounds`, `permissions`, `lints`, and more beside them.
pub fn draw_json(plan: &Plan, review: &Review) -> Value {
    let outline = Outline::of(plan);
    let nodes: Vec<Value> = outline
        .steps
        .iter()
        .map(|step| {
            let mut node = json!({ "id": step.id, "kind": step.node.kind.name(), "does": what(plan, step) });
            if let Some(role) = step.node.role() {
                node["agent"] = json!(role);
            }
            if let NodeKind::Scope(scope) = &step.node.kind {
                node["scope"] = json!(scope_name(scope));
            }
            if let NodeKind::Tool(tool) = &step.node.kind {
                (node["tool"], node["effect"]) = (json!(tool.tool), json!(tool.effect));
            }
            node
        })
        .collect();
    let path = |n: usize| &outline.steps[n].id;
    let edges: Vec<Value> =
        outline.waits.iter().map(|w| json!({ "from": path(w.from), "to": path(w.to), "on": on(w.on) })).collect();
    let (bounds, limits) = (&plan.bounds, &plan.limits);
    let agents: Vec<Value> = bounds
        .agents
        .iter()
        .map(|a| {
            json!({
                "agent": a.agent, "seats": a.seats, "turns": a.turns, "model_calls": a.model_calls, "tokens": a.tokens,
                "cost_usd": a.cost.map(|c| c.dollars()),
            })
        })
        .collect();
    json!({
        "nodes": nodes,
        "edges": edges,
        "bounds": {
            "turns": bounds.turns, "model_calls": bounds.model_calls, "tokens": bounds.tokens,
            "cost_usd": bounds.cost.map(|c| c.dollars()), "wall_seconds": bounds.wall_seconds, "agents": agents,
        },
        "limits": {
            "turns": limits.turns, "tokens": limits.tokens, "cost_usd": limits.cost.map(|c| c.dollars()),
            "wall_seconds": limits.wall_seconds,
        },
        "kept_for_synthesis": plan.keeps_share().then(|| {
            let kept = limits.kept_for_synthesis();
            json!({ "percent": SYNTHESIS_SHARE, "tokens": kept.tokens, "cost_usd": kept.cost.map(|c| c.dollars()) })
        }),
        "permissions": review.permissions,
        "reach": review.reach,
        "lints": review.lints,
        "longest_path": review.longest_path,
        "people": review.people,
        "irreversible": review.irreversible,
        "order_sensitive": review.order_sensitive,
    })
}

fn scope_name(scope: &ScopeKind) -> &'static str {
    match scope {
        ScopeKind::ForEach { .. } => "for_each",
        ScopeKind::Repeat { .. } => "repeat",
        ScopeKind::Group { with: None, .. } => "group",
        ScopeKind::Group { with: Some(_), .. } => "team",
        ScopeKind::Subtasks { .. } => "subtasks",
        ScopeKind::Relay { .. } => "relay",
        ScopeKind::Circle { .. } => "circle",
        ScopeKind::Settle(_) => "settle",
    }
}
