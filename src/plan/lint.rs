//! What is legal, and should be looked at? [`lints`], each with a name.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    outline::{Outline, bodies},
    permissions::{Allowed, Permission},
};
use crate::{
    graph::{GateBy, Join, NodeKind, On, Phase, Plan, ScopeKind, SettleOver},
    value::{EffectClass, Expr, Ref, TeamIx, TemplateIx},
};

/// Something that a reviewer should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// Its name, such as `unvalidated-fan-out`.
    pub name: &'static str,
    /// The node; `None`: the team, or the agent in the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What there is to see.
    pub message: String,
}

/// All lints of a plan, by name and then as declared.
pub(super) fn lints(plan: &Plan, outline: &Outline<'_>, permissions: &[Permission]) -> Vec<Lint> {
    let mut found = limits(plan);
    found.extend(fan_outs(plan, outline));
    found.extend(exfiltration(permissions, plan.tools.http.is_some()));
    found.extend(nodes(plan, outline));
    found.extend(unused_outputs(plan, outline));
    found.extend(members(plan, outline));
    found.extend(queues(plan, outline));
    found.sort_by_key(|lint| lint.name);
    found
}

fn at(name: &'static str, node: &str, message: impl Into<String>) -> Lint {
    Lint { name, node: Some(node.to_owned()), message: message.into() }
}

fn of_team(name: &'static str, message: impl Into<String>) -> Lint {
    Lint { name, node: None, message: message.into() }
}

/// The limits that are below the worst case: name, limit, worst case.
pub(super) fn cut_in(plan: &Plan) -> Vec<(&'static str, String, String)> {
    let (limits, worst) = (&plan.limits, &plan.bounds);
    let below =
        |name, limit: Option<u64>, worst: u64| limit.filter(|l| *l < worst).map(|l| (name, l.to_string(), worst.to_string()));
    let cost = limits.cost.filter(|limit| worst.cost.is_none_or(|worst| *limit < worst));
    [
        below("turns", limits.turns, worst.turns),
        below("tokens", limits.tokens, worst.tokens),
        cost.map(|limit| ("cost_usd", limit.to_string(), worst.cost.map_or("unknown".to_owned(), |w| w.to_string()))),
        below("wall_seconds", limits.wall_seconds, worst.wall_seconds),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn limits(plan: &Plan) -> Vec<Lint> {
    let cut = |(name, limit, worst)| {
        of_team(
            "limit-below-worst-case",
            format!("`limits.{name}` of {limit} may end a session as `out_of_budget`: the worst case is {worst}"),
        )
    };
    let mut found: Vec<Lint> = cut_in(plan).into_iter().map(cut).collect();
    if plan.bounds.cost.is_none_or(|cost| cost.0 > 0) && plan.limits.cost.is_none() && plan.limits.tokens.is_none() {
        found.push(of_team(
            "no-budget",
            "models cost money here, and neither `limits.cost_usd` nor `limits.tokens` holds them back",
        ));
    }
    found
}

/// Work that is done side by side and that nobody looks at before it becomes the result.
fn fan_outs(plan: &Plan, outline: &Outline<'_>) -> Vec<Lint> {
    let after = followers(outline);
    let wide = |n: &usize| {
        let step = &outline.steps[*n];
        match &step.node.kind {
            NodeKind::Scope(scope) => match &**scope {
                ScopeKind::Subtasks { max, .. } => *max > 1,
                ScopeKind::ForEach { max, body, .. } => *max > 1 && has_agents(plan, *body),
                // Those of a circle look at each other's.
                ScopeKind::Repeat { .. }
                | ScopeKind::Group { .. }
                | ScopeKind::Relay { .. }
                | ScopeKind::Circle { .. }
                | ScopeKind::Settle(_) => false,
            },
            NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) => false,
        }
    };
    let looks = |n: usize| match &outline.steps[n].node.kind {
        NodeKind::Agent(agent) => agent.phase == Phase::Validate,
        NodeKind::Ask(_) => true,
        NodeKind::Gate(GateBy::Rule(_)) => true,
        NodeKind::Scope(scope) => {
            matches!(&**scope, ScopeKind::Settle(settle) if matches!(settle.over, SettleOver::Votes | SettleOver::Result))
        }
        NodeKind::Tool(_) | NodeKind::Gate(GateBy::Expr(_) | GateBy::Members(..)) => false,
    };
    let works = |n: usize| matches!(&outline.steps[n].node.kind, NodeKind::Agent(agent) if agent.phase == Phase::Work);
    // A join that takes the first of several, such as the branch that was chosen, joins nothing.
    let joined = |n: usize| match outline.steps[n].node.join {
        Join::Any | Join::Quorum(0 | 1) => 0,
        Join::All | Join::Quorum(_) => {
            let waits = outline.before[n].iter().map(|w| &outline.waits[*w]);
            waits.filter(|wait| *wait.on != On::Failed && works(wait.from)).count()
        }
    };
    // Backwards from all that look: what leads there is looked at.
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); outline.steps.len()];
    after.iter().enumerate().for_each(|(from, next)| next.iter().for_each(|to| before[*to].push(from)));
    let mut open: Vec<usize> = (0..outline.steps.len()).filter(|n| looks(*n)).flat_map(|n| before[n].clone()).collect();
    let mut looked_at = BTreeSet::new();
    while let Some(n) = open.pop() {
        if looked_at.insert(n) {
            open.extend(&before[n]);
        }
    }
    let mut found = Vec::new();
    for n in (0..outline.steps.len()).filter(|n| !looked_at.contains(n)) {
        let what = match joined(n) {
            _ if wide(&n) => "fans out".to_owned(),
            agents if agents > 1 && !looks(n) => format!("joins the work of {agents} agents"),
            _ => continue,
        };
        let message = format!("{what}, and no vote, rule or person looks at the results before they are used");
        found.push(at("unvalidated-fan-out", &outline.steps[n].id, message));
    }
    found
}

/// For each step, what comes after it: its followers, all that is inside them, and what follows the scopes that it is in.
fn followers(outline: &Outline<'_>) -> Vec<Vec<usize>> {
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); outline.steps.len()];
    for wait in &outline.waits {
        after[wait.from].push(wait.to);
    }
    for (n, step) in outline.steps.iter().enumerate() {
        if let Some(scope) = step.scope {
            after[n].push(scope);
            // What a scope runs comes after all that is before the scope.
            for wait in &outline.before[scope] {
                after[outline.waits[*wait].from].push(n);
            }
        }
    }
    after
}

fn has_agents(plan: &Plan, graph: TemplateIx) -> bool {
    plan.graph(graph).dag.node_weights().any(|n| match &n.kind {
        NodeKind::Agent(_) => true,
        NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) => false,
        NodeKind::Scope(scope) => match &**scope {
            ScopeKind::Subtasks { .. } | ScopeKind::Relay { .. } | ScopeKind::Circle { .. } => true,
            ScopeKind::Settle(_) => false,
            ScopeKind::ForEach { body, .. } | ScopeKind::Repeat { body, .. } | ScopeKind::Group { body, .. } => {
                has_agents(plan, *body)
            }
        },
    })
}

/// Tools that read what strangers may have written.
const UNTRUSTED: [&str; 6] = ["search_logs", "WebFetch", "WebSearch", "fetch", "Bash", "browser"];
/// Tools that read what is not for strangers.
const PRIVATE: [&str; 7] = ["Read", "Grep", "Glob", "sql_query", "search_logs", "query_metrics", "Bash"];
/// Tools that can carry something out.
const OUTWARD: [&str; 6] = ["Bash", "WebFetch", "fetch", "http_request", "send_email", "browser"];

fn exfiltration(permissions: &[Permission], asks_hosts: bool) -> Vec<Lint> {
    let mut found = Vec::new();
    for permission in permissions {
        let named = |names: &[&str]| permission.tools.iter().find(|t| names.contains(&&*t.tool)).map(|t| format!("`{}`", t.tool));
        let server = || permission.mcp_servers.first().map(|s| format!("the MCP server `{s}`"));
        // What a model asks a host of its choice is said to that host.
        let asks = |t: &Allowed| t.tool == "query_metrics" && asks_hosts;
        let sends = |t: &&Allowed| t.effect == Some(EffectClass::Irreversible) && t.tool != "Write" || asks(t);
        let outward =
            named(&OUTWARD).or_else(|| permission.tools.iter().find(sends).map(|t| format!("`{}`", t.tool))).or_else(server);
        let private =
            named(&PRIVATE).or_else(|| (!permission.knowledge.is_empty()).then(|| "its knowledge".to_owned())).or_else(server);
        if let (Some(untrusted), Some(private), Some(outward)) = (named(&UNTRUSTED).or_else(server), private, outward) {
            let message = format!(
                "`{}` reads untrusted input ({untrusted}), holds private data ({private}) and can send outward ({outward})",
                permission.agent
            );
            found.push(of_team("untrusted-private-outward", message));
        }
    }
    found
}

fn nodes(plan: &Plan, outline: &Outline<'_>) -> Vec<Lint> {
    let mut found = Vec::new();
    for step in &outline.steps {
        match &step.node.kind {
            NodeKind::Agent(agent) if agent.phase == Phase::Work => {
                let member = plan.team(step.team).agent(&agent.role);
                if member.is_some_and(|m| m.profile.allowed_tools.is_empty() && m.profile.mcp_servers.is_empty()) {
                    let message = format!("`{}` has no tools: it can only reason on what it is told", agent.role);
                    found.push(at("agent-without-tools", &step.id, message));
                }
            }
            NodeKind::Tool(tool) if tool.effect == EffectClass::Irreversible => {
                let around =
                    std::iter::successors(step.scope, |scope| outline.steps[*scope].scope).map(|scope| &outline.steps[scope]);
                for tried in std::iter::once(step).chain(around).filter(|step| step.node.retry.is_some()) {
                    let inside = if tried.id == step.id { String::new() } else { format!(" in `{}`", step.id) };
                    let why = "is irreversible: an attempt whose outcome is unknown is never retried";
                    found.push(at("irreversible-retry", &tried.id, format!("`{}`{inside} {why}", tool.tool)));
                }
            }
            NodeKind::Ask(ask) if ask.deadline.is_none() => {
                found.push(at("ask-without-deadline", &step.id, "waits for a person for as long as it takes"));
            }
            NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) | NodeKind::Scope(_) => {}
        }
    }
    for wait in &outline.waits {
        if let On::When(expr) = wait.on
            && expr.refs.is_empty()
        {
            let (from, to) = (&outline.steps[wait.from].id, &outline.steps[wait.to].id);
            let message =
                format!("its condition on `{from}` is always the same: `{}` names nothing", super::outline::short(&expr.source));
            found.push(at("constant-condition", to, message));
        }
    }
    found
}

/// Results that nothing reads: no edge goes out, no expression names the node, and the output is something else.
fn unused_outputs(plan: &Plan, outline: &Outline<'_>) -> Vec<Lint> {
    let leads: BTreeSet<usize> = outline.waits.iter().map(|w| w.from).collect();
    let mut named: BTreeSet<(TemplateIx, u32)> = BTreeSet::new();
    let mut read = |graph: TemplateIx, expr: &Expr| {
        named.extend(expr.refs.iter().filter_map(|r| match r {
            Ref::Node { up: 0, local, .. } => Some((graph, *local)),
            Ref::Node { .. } | Ref::Binding { .. } | Ref::Source { .. } => None,
        }));
    };
    for (n, graph) in plan.graphs.iter().enumerate() {
        graph.output.iter().for_each(|output| read(TemplateIx(n as u32), output));
    }
    for step in &outline.steps {
        if let NodeKind::Scope(scope) = &step.node.kind
            && let ScopeKind::Repeat { until: Some(until), body, .. } = &**scope
        {
            read(*body, until);
        }
    }
    let mut found = Vec::new();
    for (n, step) in outline.steps.iter().enumerate() {
        let works = match &step.node.kind {
            NodeKind::Agent(_) | NodeKind::Gate(_) | NodeKind::Ask(_) => true,
            NodeKind::Scope(_) => {
                let bodies = bodies(plan, step.team, step.node);
                bodies.is_empty() || bodies.iter().any(|(body, _)| has_agents(plan, *body))
            }
            NodeKind::Tool(_) => false,
        };
        let graph = plan.graph(step.graph);
        let last = Some(step.graph) == plan.finally;
        if works
            && !last
            && graph.output.is_some()
            && !leads.contains(&n)
            && !named.contains(&(step.graph, step.ix.index() as u32))
        {
            found.push(at("unused-output", &step.id, "nothing waits for it and `output` does not name it"));
        }
    }
    found
}

/// Members that no node gives anything to do.
fn members(plan: &Plan, outline: &Outline<'_>) -> Vec<Lint> {
    let mut busy: BTreeMap<TeamIx, BTreeSet<&str>> = BTreeMap::new();
    let mut anybody: BTreeSet<TeamIx> = BTreeSet::new();
    for step in &outline.steps {
        let team = busy.entry(step.team).or_default();
        team.extend(step.node.role().map(|r| r.as_str()));
        match &step.node.kind {
            NodeKind::Scope(scope) => match &**scope {
                ScopeKind::Subtasks { .. } => drop(anybody.insert(step.team)),
                ScopeKind::Relay { members, .. } | ScopeKind::Circle { members, .. } => {
                    team.extend(members.iter().map(|m| m.as_str()));
                }
                ScopeKind::ForEach { .. } | ScopeKind::Repeat { .. } | ScopeKind::Group { .. } | ScopeKind::Settle(_) => {}
            },
            NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) => {}
        }
    }
    let mut found = Vec::new();
    for (n, team) in plan.teams.iter().enumerate().filter(|(n, _)| !anybody.contains(&TeamIx(*n as u32))) {
        let busy = busy.get(&TeamIx(n as u32));
        for member in team.members.iter().filter(|m| !busy.is_some_and(|b| b.contains(m.role.as_str()))) {
            found.push(of_team("idle-member", format!("no node of `{}` gives `{}` anything to do", team.name, member.role)));
        }
    }
    found
}

/// Scopes that may want more calls at once than the session allows.
fn queues(plan: &Plan, outline: &Outline<'_>) -> Vec<Lint> {
    let mut found = Vec::new();
    for step in &outline.steps {
        let NodeKind::Scope(scope) = &step.node.kind else { continue };
        let wide = match &**scope {
            ScopeKind::ForEach { max, parallel, .. } => parallel.unwrap_or(*max).min(*max),
            ScopeKind::Subtasks { max, one_by_one: false, .. } => *max,
            ScopeKind::Circle { members, .. } => u32::try_from(members.len()).unwrap_or(u32::MAX),
            ScopeKind::Subtasks { .. } | ScopeKind::Repeat { .. } | ScopeKind::Group { .. } | ScopeKind::Relay { .. } => 1,
            ScopeKind::Settle(_) => 1,
        };
        if wide > plan.max_parallel {
            let message = format!(
                "up to {wide} may want a call at once and `max_parallel` is {}: some will wait, which the wall time of the worst case counts",
                plan.max_parallel
            );
            found.push(at("may-queue", &step.id, message));
        }
    }
    found
}
