//! What does the scheduler need to know of the tools? [`MachineTools`] are those of the process, [`SessionTools`] what a session sees:
//! these, the tools that its team brings along, and those of the MCP servers that its agents name.
//!
//! The scheduler only looks up what is known. So the servers are started and listed before a session's first step; what they offer
//! later is seen from the next turn on, because every look-up goes to the server's current list.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use super::trial::{Stage, timeless};
use crate::{
    graph::{NodeKind, Plan},
    secret::Env,
    tool::{
        Blocking, CallContext, Command, HTTP, Http, Lent, McpPool, McpServers, Outcome, QUERY_METRICS, QueryMetrics, Registry,
        RegistryError, Roots, Tool, permits, server_prefix,
    },
    turn::Toolbox,
    value::{CommandSpec, EffectClass, Profile, TeamTools, ToolSpec, Value},
};

/// Compiled `output_schema`s that are kept; when there are more, all are forgotten.
const SCHEMAS_KEPT: usize = 256;

/// The tools of this process.
pub(crate) struct MachineTools {
    registry: Arc<Registry>,
    mcp: McpPool,
    env: Env,
    schemas: Mutex<BTreeMap<String, Arc<jsonschema::Validator>>>,
    /// What answers in place of some of them while a team is tested.
    stage: Option<Arc<Stage>>,
}

impl MachineTools {
    pub(crate) fn new(registry: Registry, mcp: McpPool, env: Env) -> Self {
        Self { registry: Arc::new(registry), mcp, env, schemas: Mutex::new(BTreeMap::new()), stage: None }
    }

    /// The same tools on a stage, without any server.
    pub(crate) fn staged(&self, stage: Arc<Stage>) -> Self {
        let mcp = McpPool::new(&McpServers::default(), Path::new("."), &self.env);
        let schemas = Mutex::new(BTreeMap::new());
        Self { registry: self.registry.clone(), mcp, env: self.env.clone(), schemas, stage: Some(stage) }
    }

    /// Tools that only the stage has.
    fn stubs(&self) -> Option<&Arc<Registry>> {
        self.stage.as_ref().map(|stage| stage.stubs())
    }

    pub(crate) fn mcp(&self) -> &McpPool {
        &self.mcp
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let stubs = self.stubs().into_iter().flat_map(|stubs| stubs.names());
        self.registry.names().chain(stubs).map(str::to_owned).collect()
    }

    /// Calls a tool of this machine, for no session.
    pub(crate) async fn call_own(&self, tool: &str, context: &CallContext, args: &Value) -> Outcome {
        self.registry.call(tool, context, args).await
    }

    /// The tools of this machine and those that a team brings along.
    pub(crate) fn specs(&self, team: &TeamTools) -> Vec<ToolSpec> {
        let brought: Vec<ToolSpec> = self.brought(team).iter().map(|tool| tool.spec().clone()).collect();
        let registries = std::iter::once(&self.registry).chain(self.stubs());
        let own = registries.flat_map(|registry| registry.names().filter_map(|name| registry.spec(name)));
        let own = own.filter(|own| !brought.iter().any(|spec| spec.name == own.name));
        let own: Vec<ToolSpec> = own.map(|spec| (**spec).clone()).collect();
        own.into_iter().chain(brought).collect()
    }

    /// What repeating that call would do; `None` for a tool that neither this machine nor the team has.
    pub(crate) fn effect_of(&self, team: &TeamTools, tool: &str, args: &Value) -> Option<EffectClass> {
        let brought = self.brought(team).into_iter().find(|own| *own.spec().name == *tool);
        let mut registries = std::iter::once(&self.registry).chain(self.stubs());
        let found = brought.or_else(|| registries.find_map(|registry| registry.get(tool)).cloned());
        found.map(|tool| tool.effect(args))
    }

    /// The tools that a team brings along, among them those of the machine that it changes: `query_metrics`, where it has servers to ask.
    fn brought(&self, team: &TeamTools) -> Vec<Arc<dyn Tool>> {
        let command = |spec: &CommandSpec| Arc::new(Command::new(spec.clone(), self.env.clone())) as Arc<dyn Tool>;
        let http = team.http.iter().map(|http| Arc::new(Http::new(http.clone())) as Arc<dyn Tool>);
        let metrics = QueryMetrics::of_team(team, &self.env).map(|tool| Arc::new(Blocking::new(tool)) as Arc<dyn Tool>);
        team.commands.iter().map(command).chain(http).chain(metrics).collect()
    }

    fn validator(&self, schema: &Value) -> Result<Arc<jsonschema::Validator>, String> {
        let key = schema.to_string();
        let mut kept = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(validator) = kept.get(&key) {
            return Ok(validator.clone());
        }
        let validator =
            Arc::new(jsonschema::validator_for(&schema.to_json()).map_err(|e| format!("output_schema is no JSON Schema: {e}"))?);
        if kept.len() >= SCHEMAS_KEPT {
            kept.clear();
        }
        kept.insert(key, validator.clone());
        Ok(validator)
    }
}

/// The tools of one session.
pub(crate) struct SessionTools {
    machine: Arc<MachineTools>,
    /// Those that the team brings along.
    team: Arc<Registry>,
    /// The servers that it may use, by what the names of their tools begin with.
    servers: BTreeMap<String, String>,
    /// The folders of the session, which its servers know as long as it is at work.
    lent: Option<Lent>,
}

impl SessionTools {
    /// Those of a plan. Its servers are not started yet.
    ///
    /// # Errors
    /// A tool of the team has the name of one of the machine.
    pub(crate) fn of(machine: &Arc<MachineTools>, plan: &Plan) -> Result<Self, RegistryError> {
        let mut team = Registry::default();
        for tool in machine.brought(&plan.tools) {
            if *tool.spec().name != *QUERY_METRICS && machine.registry.get(&tool.spec().name).is_some() {
                return Err(RegistryError::Duplicate(tool.spec().name.clone()));
            }
            team.add(tool)?;
        }
        let profiles = plan.teams.iter().flat_map(|team| team.members.iter().chain(&team.coordinator)).map(|m| &m.profile);
        let named: BTreeSet<&str> = profiles.flat_map(|profile| &profile.mcp_servers).map(|name| &**name).collect();
        let nodes = plan.graphs.iter().flat_map(|graph| graph.dag.node_weights());
        let called: Vec<&str> =
            nodes.filter_map(|node| if let NodeKind::Tool(tool) = &node.kind { Some(&*tool.tool) } else { None }).collect();
        let servers = machine.mcp.names().map(|name| (server_prefix(name), name.to_owned())).filter(|(prefix, name)| {
            named.contains(name.as_str()) || called.iter().any(|tool| tool.starts_with(prefix.as_str()))
        });
        Ok(Self { machine: machine.clone(), team: Arc::new(team), servers: servers.collect(), lent: None })
    }

    /// Starts its servers and lists their tools. One that cannot be reached is said, and the session begins all the same.
    pub(crate) async fn open(&mut self, roots: &Roots) {
        if !self.servers.is_empty() {
            self.lent = Some(self.machine.mcp.lend(roots));
        }
        for failure in self.machine.mcp.open(self.servers.values()).await.into_values() {
            tracing::warn!(target: "synod::mcp", "{}", failure.message);
        }
    }

    /// Makes a call.
    pub(crate) async fn call(&self, tool: &str, context: &CallContext, args: &Value) -> Outcome {
        let registry = self.registry(tool);
        if let Some(stage) = &self.machine.stage {
            registry.check(tool, args)?;
            let asks_server = tool == QUERY_METRICS && args.get("server").is_some_and(|server| !server.is_null());
            let is_remote = self.team.get(tool).is_some() && (tool == HTTP || asks_server);
            if let Some(outcome) = stage.tool(tool, registry.effect(tool, args), is_remote, context, args).await {
                return outcome;
            }
            return timeless(registry.call(tool, context, args).await);
        }
        registry.call(tool, context, args).await
    }

    /// The registry that has a tool; the machine's where none has it, because it names the nearest.
    fn registry(&self, tool: &str) -> Arc<Registry> {
        let mut others = std::iter::once(self.team.clone()).chain(self.servers()).chain(self.machine.stubs().cloned());
        others.find(|registry| registry.get(tool).is_some()).unwrap_or_else(|| self.machine.registry.clone())
    }

    /// What its servers offer now.
    fn servers(&self) -> impl Iterator<Item = Arc<Registry>> {
        self.servers.values().filter_map(|name| self.machine.mcp.tools(name))
    }
}

impl Toolbox for SessionTools {
    fn spec(&self, tool: &str) -> Option<Arc<ToolSpec>> {
        self.registry(tool).spec(tool).cloned()
    }

    fn check(&self, tool: &str, args: &Value) -> Result<(), String> {
        self.registry(tool).check(tool, args).map_err(|failure| failure.message.to_string())
    }

    fn effect(&self, tool: &str, args: &Value) -> EffectClass {
        self.registry(tool).effect(tool, args)
    }

    fn allows(&self, profile: &Profile, tool: &str, args: &Value) -> bool {
        permits(&profile.allowed_tools, &profile.mcp_servers, tool, args)
    }

    fn allowed(&self, profile: &Profile) -> Vec<Arc<ToolSpec>> {
        // A pattern with brackets covers some calls of its tool, so that the tool is shown.
        let patterns: Vec<Arc<str>> =
            profile.allowed_tools.iter().map(|p| p.split('(').next().unwrap_or_default().trim().into()).collect();
        let mut found: BTreeMap<Arc<str>, Arc<ToolSpec>> = BTreeMap::new();
        for registry in [self.machine.registry.clone(), self.team.clone()]
            .into_iter()
            .chain(self.servers())
            .chain(self.machine.stubs().cloned())
        {
            let named = registry.names().filter(|name| permits(&patterns, &profile.mcp_servers, name, &Value::Null));
            found.extend(named.filter_map(|name| registry.spec(name)).map(|spec| (spec.name.clone(), spec.clone())));
        }
        found.into_values().collect()
    }

    fn fits(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let validator = self.machine.validator(schema)?;
        let json = value.to_json();
        let wrong: Vec<String> = validator.iter_errors(&json).map(|e| format!("{}: {e}", e.instance_path())).take(5).collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }
}
