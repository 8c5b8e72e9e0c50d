//! Who may do what? [`permissions`] of every agent on every way that the work takes to it.

use serde::Serialize;

use super::{
    compile::Machine,
    outline::{Outline, Step, bodies},
};
use crate::{
    graph::{Member, NodeKind, Plan, ScopeKind},
    value::{EffectClass, Profile, Role, TeamIx, fits_star},
};

/// Tools that every agent has.
pub(super) const COLLABORATION: [&str; 6] =
    ["broadcast_finding", "escalate", "finish", "read_context", "retract_finding", "set_variable"];

/// What an agent may do, on one way of delegation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Permission {
    /// Who; of a sub-team with the path of its node before it.
    pub agent: String,
    /// The way the work takes: the nodes of teams around it, the coordinator that delegates, the agent.
    pub path: Vec<String>,
    /// Tools that its `allowed_tools` cover.
    pub tools: Vec<Allowed>,
    /// Tools that every agent has.
    pub collaboration: Vec<&'static str>,
    /// MCP servers, all of whose tools it may call, unless `mcp_only` has a pattern for the server.
    pub mcp_servers: Vec<String>,
    /// Patterns of `allowed_tools` that narrow the tools of the servers that they name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mcp_only: Vec<String>,
    /// Folders of documents that it may search.
    pub knowledge: Vec<String>,
    /// Variables that it may write.
    pub writes: Vec<String>,
    /// Whether a `permit` rule may narrow it, call by call.
    pub narrowed_by_rule: bool,
}

/// A tool that an agent may call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Allowed {
    /// The tool, or the pattern where this machine has none that it covers.
    pub tool: String,
    /// What repeating a call would do; `None` when this machine does not have it.
    pub effect: Option<EffectClass>,
    /// The part in brackets that narrows it: `git log:*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
}

/// What the agents of `plan` may do, the coordinator of each team first.
pub(super) fn permissions(plan: &Plan, outline: &Outline<'_>, machine: &Machine<'_>) -> Vec<Permission> {
    let mut found = Vec::new();
    for (number, team) in plan.teams.iter().enumerate() {
        let ix = TeamIx(number as u32);
        let way = way_to(plan, outline, ix);
        let delegates = team.coordinator.as_ref().filter(|_| outline.steps.iter().any(|s| s.team == ix && is_subtasks(s)));
        let narrowed = team.rules.iter().any(|r| &**r == "permit");
        for member in team.coordinator.iter().chain(&team.members) {
            let leader = delegates.filter(|leader| leader.role != member.role).map(|leader| leader.role.to_string());
            let path: Vec<String> = way.iter().cloned().chain(leader).chain([member.role.to_string()]).collect();
            let agent = way.iter().map(String::as_str).chain([member.role.as_str()]).collect::<Vec<_>>().join("/");
            found.push(Permission {
                agent,
                path,
                tools: tools(&member.profile, machine),
                collaboration: COLLABORATION.to_vec(),
                mcp_servers: member.profile.mcp_servers.iter().map(ToString::to_string).collect(),
                mcp_only: mcp_only(&member.profile),
                knowledge: member.profile.knowledge.folders.iter().map(ToString::to_string).collect(),
                writes: writes(plan, ix, member),
                narrowed_by_rule: narrowed,
            });
        }
    }
    found
}

fn is_subtasks(step: &Step<'_>) -> bool {
    matches!(&step.node.kind, NodeKind::Scope(scope) if matches!(**scope, ScopeKind::Subtasks { .. }))
}

/// The node at which a sub-team hangs; nothing for the session's own team.
fn way_to(plan: &Plan, outline: &Outline<'_>, team: TeamIx) -> Option<String> {
    outline.steps.iter().filter(|step| step.team != team).find_map(|step| {
        let (_, path) = bodies(plan, step.team, step.node).into_iter().find(|(body, _)| plan.graph(*body).team == team)?;
        let path = path.trim_end_matches('/').trim_end_matches('*').trim_end_matches('/');
        Some(if path.is_empty() { step.id.clone() } else { format!("{}/{path}", step.id) })
    })
}

/// Whether a pattern is about tools of MCP servers, which this machine learns of when a run begins.
fn is_of_servers(pattern: &str) -> bool {
    pattern.trim().starts_with("mcp__")
}

/// The tools of this machine that a profile's patterns cover.
pub(super) fn tools(profile: &Profile, machine: &Machine<'_>) -> Vec<Allowed> {
    let mut found: Vec<Allowed> = Vec::new();
    for pattern in profile.allowed_tools.iter().filter(|pattern| !is_of_servers(pattern)) {
        let (name, only) = match pattern.split_once('(') {
            Some((name, rest)) => (name.trim(), Some(rest.trim_end().strip_suffix(')').unwrap_or(rest).to_owned())),
            None => (pattern.trim(), None),
        };
        let covered = machine.tools.iter().filter(|t| fits_star(name, &t.name));
        let before = found.len();
        found.extend(covered.map(|t| Allowed { tool: t.name.to_string(), effect: Some(t.effect), only: only.clone() }));
        if found.len() == before {
            found.push(Allowed { tool: name.to_owned(), effect: None, only });
        }
    }
    let mut kept: Vec<Allowed> = Vec::with_capacity(found.len());
    for tool in found {
        if !kept.contains(&tool) {
            kept.push(tool);
        }
    }
    kept
}

fn mcp_only(profile: &Profile) -> Vec<String> {
    if profile.mcp_servers.is_empty() {
        return Vec::new();
    }
    profile.allowed_tools.iter().filter(|pattern| is_of_servers(pattern)).map(|pattern| pattern.trim().to_owned()).collect()
}

fn writes(plan: &Plan, team: TeamIx, member: &Member) -> Vec<String> {
    let by_node = plan.graphs.iter().filter(|g| g.team == team).flat_map(|g| g.dag.node_weights());
    let of_agent = by_node.filter(|n| n.role() == Some::<&Role>(&member.role)).flat_map(|n| &n.writes);
    let all: std::collections::BTreeSet<String> = member.writes.iter().chain(of_agent).map(|w| w.variable.to_string()).collect();
    all.into_iter().collect()
}
