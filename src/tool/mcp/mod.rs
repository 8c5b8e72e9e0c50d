//! Which tools do other programs serve? [`McpPool`]: MCP servers over pipes or HTTP, shared by all sessions of the process.
//!
//! A server is started when the first session begins whose agents name it, and stays until the pool is closed or dropped. One that
//! dies is started again by the next call, after a wait that doubles with every failure; the call in flight fails with
//! `transport`. A server that cannot be reached offers one tool, which says why and tries again. Its tools are called
//! `mcp__SERVER__TOOL`, and every call counts as irreversible unless the file trusts the server's own hints.
//!
//! What a server asks a person in a call becomes a question of the session; see [`People`](super::People) and the `calls` file.
//!
//! Deliberately absent: signing in (OAuth), sampling, and questions to people that send them to an address.

mod calls;
mod config;
mod folders;
mod handler;
mod said;
mod server;
mod stdio;
mod tools;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

pub use config::{MCP_FILE, McpFileError, McpServer, McpServers};
pub use folders::Lent;

use super::{Registry, Roots, Stop};
use crate::{secret::Env, value::Failure};
use folders::Folders;
use server::Server;

/// The MCP servers of a process.
pub struct McpPool {
    servers: BTreeMap<String, Arc<Server>>,
    folders: Folders,
}

/// What a server says of itself when it is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpGreeting {
    /// The name that it gives itself.
    pub server: String,
    /// Its version.
    pub version: String,
    /// The names of its tools as agents see them, sorted.
    pub tools: Vec<String>,
    /// How long it took to start and to list them.
    pub took: Duration,
}

impl McpPool {
    /// Those servers, none of them started; `workspace` is the first of their roots, `env` fills in the variables that they name.
    pub fn new(servers: &McpServers, workspace: &Path, env: &Env) -> Self {
        let workspace = std::path::absolute(workspace).unwrap_or_else(|_| workspace.to_owned());
        let base = servers.folder().unwrap_or(&workspace).to_owned();
        let folders = Folders::new(workspace.clone());
        let kept = |(name, config): (&str, &McpServer)| {
            (name.to_owned(), Server::new(name, config.clone(), base.clone(), workspace.clone(), folders.clone(), env.clone()))
        };
        let servers = servers.iter().map(kept).collect();
        Self { servers, folders }
    }

    /// Tells the servers of the folders of a session, as long as what this gives is kept.
    pub fn lend(&self, roots: &Roots) -> Lent {
        self.folders.lend(roots, self.servers.values().map(Arc::downgrade).collect())
    }

    /// The names of the servers, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.servers.keys().map(String::as_str)
    }

    /// What a server offers, as it was last told; `None` before it was first opened, or where there is none of that name.
    pub fn tools(&self, name: &str) -> Option<Arc<Registry>> {
        self.servers.get(name)?.tools()
    }

    /// Starts those of the servers that do not run, all at once, and lists their tools. What went wrong, by server: it is no reason
    /// not to begin.
    pub async fn open<S: AsRef<str>>(&self, names: impl IntoIterator<Item = S>) -> BTreeMap<String, Failure> {
        let mut starting = tokio::task::JoinSet::new();
        for server in names.into_iter().filter_map(|name| self.servers.get(name.as_ref())) {
            let server = server.clone();
            starting.spawn(async move { (server.name.to_string(), server.peer(&Stop::default()).await.err()) });
        }
        starting.join_all().await.into_iter().filter_map(|(name, failure)| Some((name, failure?))).collect()
    }

    /// Another pool of the same servers, none of them started.
    #[must_use]
    pub fn anew(&self) -> Self {
        let servers = self.servers.iter().map(|(name, server)| (name.clone(), server.anew()));
        Self { servers: servers.collect(), folders: self.folders.clone() }
    }

    /// How each server is reached, as it is declared.
    pub fn servers(&self) -> impl Iterator<Item = (&str, &McpServer)> {
        self.servers.iter().map(|(name, server)| (name.as_str(), &server.config))
    }

    /// Starts all servers at once, each within its own time limit: what each says of itself, or why it cannot be used.
    pub async fn greet(&self) -> BTreeMap<String, Result<McpGreeting, Failure>> {
        let mut starting = tokio::task::JoinSet::new();
        for server in self.servers.values() {
            let server = server.clone();
            starting.spawn(async move { (server.name.to_string(), greet(&server).await) });
        }
        starting.join_all().await.into_iter().collect()
    }

    /// Ends all servers.
    pub async fn close(&self) {
        let mut ending = tokio::task::JoinSet::new();
        for server in self.servers.values() {
            let server = server.clone();
            ending.spawn(async move { server.close().await });
        }
        ending.join_all().await;
    }
}

async fn greet(server: &Server) -> Result<McpGreeting, Failure> {
    let began = Instant::now();
    let peer = server.peer(&Stop::default()).await?;
    let took = began.elapsed();
    let own = peer.peer_info().and_then(|info| info.server_info.clone());
    let (name, version) = own.map(|own| (own.name, own.version)).unwrap_or_default();
    let tools = server.tools().map_or_else(Vec::new, |tools| tools.names().map(str::to_owned).collect());
    Ok(McpGreeting { server: name, version, tools, took })
}
