//! Which tools does a team bring along? [`TeamTools`]: programs, and servers on the web and of metrics, as its file declares them.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{EffectClass, Value};

/// The tools that a team declares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TeamTools {
    /// Programs.
    pub commands: Vec<CommandSpec>,
    /// What the `http` tool may ask; nothing where there is none.
    pub http: Option<HttpSpec>,
    /// Servers that the tool `query_metrics` may ask beside files.
    #[serde(default)]
    pub metrics: Vec<MetricsSpec>,
}

/// What the `http` tool may ask: hosts, `*.` for all below one, `:port` for another port than those of http and https.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpSpec {
    /// Hosts at public addresses.
    pub hosts: Vec<Arc<str>>,
    /// Hosts at whatever address.
    pub private_hosts: Vec<Arc<str>>,
}

/// A server that answers as Prometheus does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsSpec {
    /// What calls name it by.
    pub name: Arc<str>,
    /// Where it is: `/api/v1/…` follows.
    pub url: Arc<str>,
    /// Whether it may be at a private address: of this machine, of this network.
    pub private: bool,
    /// The variable of the environment with the value of the `Authorization` header.
    pub authorization_env: Option<Arc<str>>,
}

/// A program that agents may call by name: no shell, each word of its command line one argument.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandSpec {
    /// The name of the tool.
    pub name: Arc<str>,
    /// What it does, as a model is told.
    pub description: Arc<str>,
    /// JSON Schema of its arguments, an object.
    pub parameters: Value,
    /// The program and its arguments.
    pub command: Vec<CommandWord>,
    /// What repeating a call would do.
    pub effect: EffectClass,
    /// The longest that a call may take.
    pub timeout: Duration,
    /// Where it runs, relative to the workspace.
    pub folder: Option<Arc<str>>,
    /// Variables of the environment that it gets beside the usual ones.
    pub env: Vec<Arc<str>>,
    /// Files and folders outside the workspace that it may read; `~` is the user's home.
    pub read: Vec<Arc<str>>,
    /// Whether it may use the network.
    pub network: bool,
    /// Whether its output comes from outside.
    #[serde(default)]
    pub untrusted: bool,
    /// Exit statuses that are no failure.
    pub success: Vec<i32>,
    /// Whether its output is JSON, to be read as a value.
    pub json: bool,
}

/// A part of a command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandWord {
    /// A template of one argument; where it is nothing but `{{ name }}` and that is a list, of as many.
    One(Arc<str>),
    /// Templates that are left out together when an argument that they name is not given.
    Optional(Vec<Arc<str>>),
}
