//! What should somebody know who reviews a plan? [`Review`].

use petgraph::graph::NodeIndex;

use super::{
    compile::Machine,
    lint::{Lint, lints},
    order::{OrderSensitive, order_sensitive},
    outline::{Outline, bodies, short},
    permissions::{Permission, permissions},
    reach::{Reach, reach},
};
use crate::{
    graph::{NodeKind, Plan},
    value::{EffectClass, TemplateIx},
};

/// What a reviewer of a plan should know beside its graph.
#[derive(Clone, Debug)]
pub struct Review {
    /// The way through the plan that takes longest, by what its nodes are expected to take.
    pub longest_path: Vec<String>,
    /// Nodes that wait for a person, and whom an escalation reaches.
    pub people: Vec<String>,
    /// Calls that cannot be taken back: `node: tool`, or `agent: tool` where an agent may make them.
    pub irreversible: Vec<String>,
    /// Where the order of arrival may change the result.
    pub order_sensitive: Vec<OrderSensitive>,
    /// Who may do what.
    pub permissions: Vec<Permission>,
    /// What tools reach.
    pub reach: Vec<Reach>,
    /// What should be looked at.
    pub lints: Vec<Lint>,
}

/// Reviews `plan` on a machine with these tools.
pub fn review(plan: &Plan, machine: &Machine<'_>) -> Review {
    let outline = Outline::of(plan);
    let permissions = permissions(plan, &outline, machine);
    Review {
        longest_path: longest_path(plan, &outline),
        people: people(plan, &outline),
        irreversible: irreversible(&outline, &permissions),
        order_sensitive: order_sensitive(plan, &outline),
        lints: lints(plan, &outline, &permissions),
        reach: reach(plan, &permissions),
        permissions,
    }
}

fn people(plan: &Plan, outline: &Outline<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for step in &outline.steps {
        if let NodeKind::Ask(ask) = &step.node.kind {
            let to = ask.to.as_ref().map_or_else(String::new, |to| format!(" of {}", short(to)));
            let deadline = ask.deadline.map_or_else(|| ", no deadline".to_owned(), |d| format!(", within {}", span(d.as_secs())));
            let default = ask.default.as_ref().map_or_else(String::new, |d| format!(", then {}", short(&d.to_string())));
            found.push(format!("{}: \"{}\"{to}{deadline}{default}", step.id, short(&ask.question.source)));
        }
    }
    for step in plan.teams.iter().flat_map(|t| &t.escalation) {
        let deadline = step.deadline.map_or_else(String::new, |d| format!(", within {}", span(d.as_secs())));
        found.push(format!("escalation: {}{deadline}", short(&step.to)));
    }
    found
}

fn irreversible(outline: &Outline<'_>, permissions: &[Permission]) -> Vec<String> {
    let mut found = Vec::new();
    for step in &outline.steps {
        if let NodeKind::Tool(tool) = &step.node.kind
            && tool.effect == EffectClass::Irreversible
        {
            found.push(format!("{}: {}", step.id, short(&tool.tool)));
        }
    }
    for permission in permissions {
        for tool in
            permission.tools.iter().filter(|t| t.effect != Some(EffectClass::Read) && t.effect != Some(EffectClass::Idempotent))
        {
            let unknown = if tool.effect.is_none() { " (not on this machine)" } else { "" };
            found.push(format!("{}: {}{unknown}", permission.agent, short(&tool.tool)));
        }
        let later = |pattern: &String| format!("{}: {} (known when its server is asked)", permission.agent, short(pattern));
        found.extend(permission.mcp_only.iter().map(later));
    }
    found
}

fn longest_path(plan: &Plan, outline: &Outline<'_>) -> Vec<String> {
    let mut path = Vec::new();
    follow(plan, outline, TemplateIx(0), &mut path);
    path
}

/// Follows the highest rank, into the scopes on the way.
fn follow(plan: &Plan, outline: &Outline<'_>, ix: TemplateIx, path: &mut Vec<String>) {
    let graph = plan.graph(ix);
    let highest = |nodes: &mut dyn Iterator<Item = NodeIndex>| {
        nodes.max_by_key(|n| (graph.rank.get(n.index()).copied().unwrap_or(0), std::cmp::Reverse(n.index())))
    };
    let mut next = highest(&mut graph.dag.node_indices());
    while let Some(node) = next {
        let bodies = bodies(plan, graph.team, &graph.dag[node]).into_iter().map(|(body, _)| body);
        match bodies.max_by_key(|body| (plan.graph(*body).rank.iter().max().copied(), std::cmp::Reverse(*body))) {
            Some(body) => follow(plan, outline, body, path),
            None => path.push(outline.path(ix, node).to_owned()),
        }
        next = highest(&mut graph.dag.neighbors(node));
    }
}

/// Seconds as people say them: `90s`, `15m`, `2h 30m`.
pub(super) fn span(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let parts = [(hours, "h"), (minutes, "m"), (rest, "s")];
    let said: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if said.is_empty() { "0s".to_owned() } else { said.join(" ") }
}
