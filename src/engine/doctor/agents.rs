//! What do the agents of a team need of a machine? [`Agents`].

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    graph::{NodeKind, Plan},
    team::ModelCatalog,
    tool::{permits, server_prefix},
    value::{KnowledgeSpec, Profile, Value, is_offline},
};

/// The agents of a plan, by role, and what its tool nodes call.
#[derive(Clone, Debug)]
pub(super) struct Agents {
    pub(super) profiles: Vec<(String, Arc<Profile>)>,
    called: Vec<Arc<str>>,
}

/// How much depends on something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    /// It is taken where something else fails.
    Fallback,
    /// Nothing stands in for it.
    First,
}

/// Who needs something, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Needed {
    pub(super) need: Need,
    pub(super) by: Vec<String>,
}

impl Agents {
    pub(super) fn of(plan: &Plan) -> Self {
        let members = plan.teams.iter().flat_map(|team| team.coordinator.iter().chain(&team.members));
        let nodes = plan.graphs.iter().flat_map(|graph| graph.dag.node_weights());
        let called =
            nodes.filter_map(|node| if let NodeKind::Tool(tool) = &node.kind { Some(tool.tool.clone()) } else { None }).collect();
        Self { profiles: members.map(|member| (member.role.to_string(), member.profile.clone())).collect(), called }
    }

    /// The models that they name.
    pub(super) fn models(&self) -> BTreeMap<Arc<str>, Needed> {
        let mut models = BTreeMap::new();
        for (role, profile) in &self.profiles {
            note(&mut models, &profile.model, Need::First, role);
            // A script is never out of reach, so that nothing falls back from it.
            if !is_offline(&profile.model) {
                profile.fallback_models.iter().for_each(|name| note(&mut models, name, Need::Fallback, role));
            }
        }
        models
    }

    /// The providers of these models.
    pub(super) fn providers(&self, catalog: &ModelCatalog) -> BTreeMap<Arc<str>, Needed> {
        let mut providers = BTreeMap::new();
        for (name, needed) in self.models().into_iter().filter(|(name, _)| !is_offline(name)) {
            if let Some(model) = catalog.model(&name) {
                needed.by.iter().for_each(|role| note(&mut providers, &model.provider, needed.need, role));
            }
        }
        providers
    }

    /// The MCP servers that they name.
    pub(super) fn servers(&self) -> BTreeMap<Arc<str>, Needed> {
        let mut servers = BTreeMap::new();
        for (role, profile) in &self.profiles {
            profile.mcp_servers.iter().for_each(|name| note(&mut servers, name, Need::First, role));
        }
        servers
    }

    /// Whether an agent names the MCP server, or the plan calls a tool of it.
    pub(super) fn need_server(&self, server: &str) -> bool {
        let prefix = server_prefix(server);
        self.profiles.iter().any(|(_, profile)| profile.mcp_servers.iter().any(|name| **name == *server))
            || self.called.iter().any(|tool| tool.starts_with(&prefix))
    }

    /// Whether anybody may call the tool, or the plan does.
    pub(super) fn may_call(&self, tool: &str) -> bool {
        let patterns = |profile: &Profile| -> Vec<Arc<str>> {
            let name = |pattern: &Arc<str>| Arc::from(pattern.split('(').next().unwrap_or_default().trim());
            profile.allowed_tools.iter().map(name).collect()
        };
        self.called.iter().any(|called| **called == *tool)
            || self.profiles.iter().any(|(_, profile)| permits(&patterns(profile), &profile.mcp_servers, tool, &Value::Null))
    }

    /// The folders that they look things up in, each with who does so.
    pub(super) fn knowledge(&self) -> BTreeMap<Arc<str>, Vec<(&str, &KnowledgeSpec)>> {
        let mut folders: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (role, profile) in &self.profiles {
            for folder in &profile.knowledge.folders {
                folders.entry(folder.clone()).or_default().push((role.as_str(), &profile.knowledge));
            }
        }
        folders
    }
}

fn note(all: &mut BTreeMap<Arc<str>, Needed>, name: &Arc<str>, need: Need, role: &str) {
    let needed = all.entry(name.clone()).or_insert(Needed { need, by: Vec::new() });
    needed.need = needed.need.max(need);
    if !needed.by.iter().any(|known| known == role) {
        needed.by.push(role.to_owned());
    }
}

impl Needed {
    /// `for security and cost`.
    pub(super) fn whose(&self) -> String {
        let what = match self.need {
            Need::First => "for",
            Need::Fallback => "as a fallback for",
        };
        format!("{what} {}", self.by.join(", "))
    }
}
