//! What do the tools of a plan reach? [`reach`]: files, and the hosts, folders and variables of the tools that the team brings along.

use serde::Serialize;

use super::permissions::Permission;
use crate::{
    graph::{NodeKind, Plan},
    value::CommandSpec,
};

/// What a tool, or all of them, can reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// A tool that the team brings along; `files` for all that read or write files.
    pub what: String,
    /// What it reaches, in words.
    pub reaches: Vec<String>,
}

/// What the tools of `plan` reach; nothing where it calls none.
pub(super) fn reach(plan: &Plan, permissions: &[Permission]) -> Vec<Reach> {
    let mut found = Vec::new();
    let calls = plan.graphs.iter().flat_map(|g| g.dag.node_weights()).any(|node| matches!(node.kind, NodeKind::Tool(_)));
    if calls || permissions.iter().any(|p| !p.tools.is_empty()) {
        let inputs = plan.roots.iter().map(|input| format!("input {input} (read)"));
        found.push(Reach {
            what: "files".to_owned(),
            reaches: std::iter::once("the workspace (read and write)".to_owned()).chain(inputs).collect(),
        });
    }
    found.extend(plan.tools.commands.iter().map(command));
    let hosts: Vec<String> = plan
        .tools
        .http
        .iter()
        .flat_map(|http| {
            let public = http.hosts.iter().map(|host| format!("host {host}"));
            public.chain(http.private_hosts.iter().map(|host| format!("host {host} (private addresses too)")))
        })
        .collect();
    if plan.tools.http.is_some() {
        found.push(Reach { what: "http".to_owned(), reaches: hosts.clone() });
    }
    if plan.tools.http.is_some() || !plan.tools.metrics.is_empty() {
        let servers = plan.tools.metrics.iter().map(|server| {
            let private = if server.private { " (private addresses too)" } else { "" };
            let key = server.authorization_env.as_ref().map_or_else(String::new, |name| format!(" with the key {name}"));
            format!("server {} at {}{private}{key}", server.name, server.url)
        });
        found.push(Reach { what: "query_metrics".to_owned(), reaches: servers.chain(hosts).collect() });
    }
    found
}

fn command(command: &CommandSpec) -> Reach {
    let network = if command.network { "the network" } else { "no network" };
    let read = command.read.iter().map(|path| format!("{path} (read)"));
    let env = command.env.iter().map(|name| format!("the variable {name}"));
    Reach { what: command.name.to_string(), reaches: std::iter::once(network.to_owned()).chain(read).chain(env).collect() }
}
