//! Does a case name what its team does not have? [`mistakes`] says so, because what nobody has is never called, asked or reached.

use std::collections::BTreeSet;

use super::words::listed;
use crate::{
    engine::Prepared,
    graph::{Graph, Member, Node, NodeKind, Plan, ScopeKind},
    team::{Case, Code, Diagnostic, did_you_mean, nearest},
    tool::{permits, server_prefix},
    value::{Place, TemplateIx, Value},
};

/// Groups inside groups whose nodes are offered for a misspelt path.
const DEPTH: usize = 8;

/// What a case names that its team does not have. `known` are the tools of this machine and those that the team brings along.
pub(super) fn mistakes(case: &Case, team: &Prepared, known: &BTreeSet<String>) -> Vec<Diagnostic> {
    let mut names = Names { plan: &team.plan, known, found: Vec::new() };
    names.models(case);
    for (name, place) in &case.input_places {
        if let Err(help) = team.input(name) {
            names.add(Code::UnknownName, place, format!("the team has no input `{name}`"), help);
        }
    }
    names.tools(case);
    names.nodes(case);
    names.found
}

struct Names<'a> {
    plan: &'a Plan,
    known: &'a BTreeSet<String>,
    found: Vec<Diagnostic>,
}

impl Names<'_> {
    fn add(&mut self, code: Code, place: &Place, message: String, help: String) {
        self.found.push(Diagnostic::error(code, place, message).help(help));
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.plan.teams.iter().flat_map(|team| team.members.iter().chain(&team.coordinator))
    }

    fn models(&mut self, case: &Case) {
        let mut known: Vec<String> = self.members().map(|member| member.role.to_string()).collect();
        let models = self.members().flat_map(|m| std::iter::once(&m.profile.model).chain(&m.profile.fallback_models));
        known.extend(models.map(ToString::to_string));
        known.push("*".to_owned());
        known.sort_unstable();
        known.dedup();
        for (key, _) in &case.models {
            let role = key.value.rsplit('/').next().unwrap_or_default();
            if !known.iter().any(|known| **known == *key.value || *known == role) {
                let help = did_you_mean(&key.value, known.iter().map(String::as_str));
                let help = help.unwrap_or_else(|| format!("the team has {}", known.join(", ")));
                self.add(Code::UnknownRole, &key.place, format!("the team has no agent and no model `{}`", key.value), help);
            }
        }
    }

    fn tools(&mut self, case: &Case) {
        // Tools that agents and nodes name, although neither this machine nor the team has them.
        let profiles: Vec<_> = self.members().map(|member| member.profile.clone()).collect();
        let mut named: BTreeSet<String> = self.known.clone();
        let patterns = profiles.iter().flat_map(|profile| &profile.allowed_tools);
        named.extend(patterns.filter(|p| !p.contains('*')).map(|p| p.split('(').next().unwrap_or_default().trim().to_owned()));
        let nodes = self.plan.graphs.iter().flat_map(|graph| graph.dag.node_weights());
        named.extend(
            nodes.filter_map(|node| if let NodeKind::Tool(tool) = &node.kind { Some(tool.tool.to_string()) } else { None }),
        );
        let prefixes: Vec<String> = profiles.iter().flat_map(|p| &p.mcp_servers).map(|server| server_prefix(server)).collect();
        let is_named = |name: &str| named.contains(name) || prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
        let mut wrong: Vec<(&Place, &str)> = Vec::new();
        for (name, answers) in &case.tools {
            // Whoever may call everything may call what only the case has, unless that is a slip of the pen.
            let may = profiles.iter().any(|profile| permits(&profile.allowed_tools, &profile.mcp_servers, name, &Value::Null));
            let is_meant = may && nearest(name, named.iter().map(String::as_str)).is_none();
            if !is_named(name) && !is_meant {
                wrong.push((&answers.place, name));
            }
        }
        wrong.extend(case.real.iter().filter(|real| !self.known.contains(&*real.value)).map(|real| (&real.place, &*real.value)));
        let counted = case.expect.calls.iter().map(|(tool, count)| (&count.place, &**tool));
        let never = case.expect.never_calls.iter().map(|call| (&call.place, &*call.value.0));
        wrong.extend(counted.chain(never).filter(|(_, tool)| !is_named(tool) && !case.tools.contains_key(*tool)));
        let mut offered: Vec<&str> = named.iter().map(String::as_str).collect();
        offered.extend(case.tools.keys().map(|name| &**name).filter(|name| !wrong.iter().any(|(_, wrong)| wrong == name)));
        for (place, name) in wrong {
            let help = did_you_mean(name, offered.iter().copied()).unwrap_or_else(|| there_are(&offered));
            self.add(Code::UnknownName, place, format!("the team has no tool `{name}`"), help);
        }
    }

    fn nodes(&mut self, case: &Case) {
        let plan = self.plan;
        let mut paths = Vec::new();
        for root in roots(plan) {
            below(plan, plan.graph(root), "", DEPTH, &mut paths);
        }
        let is_there = |path: &str| roots(plan).any(|root| may_be(plan, plan.graph(root), path));
        let chained = case.expect.order.iter().flat_map(|chain| chain.value.iter().map(|path| (&chain.place, path)));
        let named = case.expect.nodes.iter().map(|(path, _)| (&path.place, &path.value));
        let never = case.expect.never_nodes.iter().map(|path| (&path.place, &path.value));
        let mut wrong: Vec<(&Place, &str)> =
            chained.chain(named).chain(never).filter(|(_, path)| !is_there(path)).map(|(place, path)| (place, &**path)).collect();
        // People are asked by nodes of any graph, and by those that a run makes.
        let nodes = || plan.graphs.iter().flat_map(|graph| graph.dag.node_weights());
        let ids: BTreeSet<&str> = nodes().map(|node| &*node.id).collect();
        let is_fixed = !nodes().any(makes_nodes);
        let asks = |key: &str| {
            key == "*"
                || ids.contains(key)
                || (key.contains('/') && is_there(key))
                || !is_fixed && nearest(key, ids.iter().copied()).is_none()
        };
        wrong.extend(case.answers.iter().filter(|(key, _)| !asks(key)).map(|(key, answers)| (&answers.place, &**key)));
        for (place, path) in wrong {
            let near = did_you_mean(path, paths.iter().map(String::as_str).chain(ids.iter().copied()));
            let help = near.unwrap_or_else(|| there_are(&paths));
            self.add(Code::UnknownNode, place, format!("the team has no node `{path}`"), help);
        }
    }
}

fn there_are(names: &[impl ToString]) -> String {
    format!("there are {}", listed(names.iter().map(ToString::to_string)))
}

/// The graphs whose nodes have no path before their id.
fn roots(plan: &Plan) -> impl Iterator<Item = TemplateIx> {
    std::iter::once(TemplateIx(0)).chain(plan.finally)
}

/// Whether a run may have a node at that path below a graph: what a run makes may have any name.
fn may_be(plan: &Plan, graph: &Graph, path: &str) -> bool {
    let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let mut nodes = graph.dag.node_weights();
    if graph.single {
        return nodes.next().is_some_and(|node| may_be_below(plan, node, path));
    }
    nodes.find(|node| *node.id == *first).is_some_and(|node| rest.is_none_or(|rest| may_be_below(plan, node, rest)))
}

fn may_be_below(plan: &Plan, node: &Node, path: &str) -> bool {
    match group(node) {
        Some(body) => may_be(plan, plan.graph(body), path),
        None => matches!(node.kind, NodeKind::Scope(_) | NodeKind::Agent(_)),
    }
}

/// What runs once below a node, under names that the plan knows.
fn group(node: &Node) -> Option<TemplateIx> {
    let NodeKind::Scope(scope) = &node.kind else { return None };
    if let ScopeKind::Group { body, .. } = &**scope { Some(*body) } else { None }
}

/// Whether a run makes nodes below that one with names of its own.
fn makes_nodes(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Scope(scope) => match &**scope {
            ScopeKind::ForEach { .. } | ScopeKind::Repeat { .. } | ScopeKind::Group { .. } => false,
            ScopeKind::Subtasks { .. } | ScopeKind::Relay { .. } | ScopeKind::Circle { .. } | ScopeKind::Settle(_) => true,
        },
        NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) => false,
    }
}

/// The paths of a graph's nodes that the plan knows.
fn below(plan: &Plan, graph: &Graph, before: &str, depth: usize, paths: &mut Vec<String>) {
    for node in graph.dag.node_weights() {
        let path = match (graph.single, before) {
            (true, before) => before.to_owned(),
            (false, "") => node.id.to_string(),
            (false, before) => format!("{before}/{}", node.id),
        };
        if let Some(body) = group(node).filter(|_| depth > 0) {
            below(plan, plan.graph(body), &path, depth - 1, paths);
        }
        paths.push(path);
    }
}
