//! Who does what the scheduler asks for?
//!
//! [`Engine`] is the only async part: it loads teams, drives one task per session, performs effects and hands the facts to the
//! store. Everything that is decided is decided in `schedule`; what is here may be slow, fail or be killed at any moment.

mod answer;
mod batch;
mod begin;
mod claimed;
mod clock;
mod doctor;
mod drive;
#[cfg(test)]
mod faults;
mod files;
mod followers;
mod fork;
mod handle;
mod inbox;
mod library;
mod notify;
mod perform;
mod prepare;
mod publish;
mod record;
mod replay;
mod reuse;
mod simulate;
mod toolbox;
mod trial;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, Weak},
};

use uuid::Uuid;

pub use answer::MAX_ANSWERS;
pub use batch::{Batch, BatchError, BatchOptions, BatchResult, BatchTask, MAX_CONCURRENCY, MAX_KEY, TaskDigest};
pub use clock::{Clock, SystemClock};
pub use doctor::{Area, Diagnosis, Health};
pub use files::FileSources;
pub use fork::Changes;
pub use handle::{Ended, SessionHandle, Unheard};
pub use library::{LibraryEntry, library_files, library_text};
pub use prepare::{PrepareError, Prepared};
pub use replay::{Difference, Replayed};
pub use trial::{Kill, Moment, Pressure, Trial, Tried, Trouble, Unmet};

use crate::{
    knowledge::{Knowledge, Source},
    model::{Model, Models, Providers},
    report::Report,
    secret::Env,
    state::{FoldError, State},
    store::{AppendError, ClaimError, Closing, FindError, InboxItem, MemoryStore, PostError, ReadError, Store, StoreError},
    team::ModelCatalog,
    tool::{Bash, Blocking, CommandPolicy, McpPool, McpServers, Registry, RegistryError, Roots, SearchKnowledge, Tool, builtin},
    value::{Map, SEARCH_KNOWLEDGE, SessionId, Tenant},
};
use claimed::Claimed;
use notify::Notifier;
use perform::Means;
use toolbox::{MachineTools, SessionTools};

/// Runs teams. Cheap to clone; clones share store, tools and models.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    store: Arc<dyn Store>,
    tools: Arc<MachineTools>,
    models: Models,
    /// Where keys come from, and what takes them out of what is said.
    env: Env,
    /// The models that teams may name, and which of their keys are missing.
    catalog: ModelCatalog,
    knowledge: Arc<Knowledge>,
    /// What commands may reach.
    commands: CommandPolicy,
    places: Places,
    /// What the last session may reach.
    roots: Mutex<Weak<Roots>>,
    tenant: Tenant,
    clock: Arc<dyn Clock>,
    /// What stands in for the world while a team is tested.
    stage: Option<Arc<trial::Stage>>,
}

/// Where a machine keeps what teams name.
struct Places {
    workspace: PathBuf,
    state_folder: Option<PathBuf>,
}

/// Why the engine could not do its job. A failed agent is not among the reasons: that is an event.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The session could not be claimed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// A record could not be written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The journal could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The session could not be found.
    #[error(transparent)]
    Find(#[from] FindError),
    /// Something could not be left for a session.
    #[error(transparent)]
    Post(#[from] PostError),
    /// The index could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The records contradict each other.
    #[error("fold the journal: {0}")]
    Fold(#[from] FoldError),
    /// The team of a session cannot be made from its records.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// A tool could not be added.
    #[error(transparent)]
    Tool(#[from] RegistryError),
    /// An answer that the session does not take.
    #[error("{0}")]
    Answer(String),
    /// A session cannot be forked like this.
    #[error("fork the session: {0}")]
    Fork(String),
    /// A session cannot be imported.
    #[error("import the session: {0}")]
    Import(String),
    /// The task of a session broke off.
    #[error("the session's task broke off: {0}")]
    Broken(String),
}

/// Puts an [`Engine`] together.
pub struct EngineBuilder {
    store: Option<Arc<dyn Store>>,
    tools: Registry,
    mcp: McpServers,
    commands: CommandPolicy,
    models: Models,
    catalog: ModelCatalog,
    env: Env,
    workspace: PathBuf,
    state_folder: Option<PathBuf>,
    tenant: Tenant,
    clock: Arc<dyn Clock>,
    knowledge: Vec<(String, Arc<dyn Source>)>,
}

impl EngineBuilder {
    /// Keeps sessions there; in memory otherwise.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Adds a tool.
    ///
    /// # Errors
    /// Its name is taken, or its schema is none.
    pub fn tool(mut self, tool: Arc<dyn Tool>) -> Result<Self, EngineError> {
        if *tool.spec().name == *SEARCH_KNOWLEDGE {
            return Err(RegistryError::Duplicate(tool.spec().name.clone()).into());
        }
        self.tools.add(tool)?;
        Ok(self)
    }

    /// Knows these MCP servers. None is started before a session has an agent that names it.
    #[must_use]
    pub fn mcp(mut self, servers: McpServers) -> Self {
        self.mcp = servers;
        self
    }

    /// Lets commands reach this, beside the files of their session.
    #[must_use]
    pub fn commands(mut self, policy: CommandPolicy) -> Self {
        self.commands = policy.clone();
        self.tools.replace(Arc::new(Bash::new(policy))).expect("the schema of a built-in tool is valid: a test adds it");
        self
    }

    /// Adds a model under the name that profiles use.
    #[must_use]
    pub fn model(mut self, name: impl AsRef<str>, model: Arc<dyn Model>) -> Self {
        self.models.add(name, model);
        self
    }

    /// Adds documents under the name that profiles use in place of a folder.
    #[must_use]
    pub fn knowledge(mut self, name: impl Into<String>, source: Arc<dyn Source>) -> Self {
        self.knowledge.push((name.into(), source));
        self
    }

    /// Takes the models of that catalog, in place of the built-in one.
    #[must_use]
    pub fn catalog(mut self, catalog: ModelCatalog) -> Self {
        self.catalog = catalog;
        self
    }

    /// Takes keys from there; from the environment of the process otherwise. Whatever was read there becomes `[redacted NAME]`
    /// wherever a tool or a model says it.
    #[must_use]
    pub fn env(mut self, env: Env) -> Self {
        self.env = env;
        self
    }

    /// Lets file tools read and write there; the current folder otherwise.
    #[must_use]
    pub fn workspace(mut self, folder: impl Into<PathBuf>) -> Self {
        self.workspace = folder.into();
        self
    }

    /// Keeps the engine's own files there, out of the tools' reach.
    #[must_use]
    pub fn state_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state_folder = Some(folder.into());
        self
    }

    /// Works for this organization and user.
    #[must_use]
    pub fn tenant(mut self, tenant: Tenant) -> Self {
        self.tenant = tenant;
        self
    }

    /// Tells the time by that clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The engine.
    pub fn build(mut self) -> Engine {
        let store = self.store.unwrap_or_else(|| Arc::new(MemoryStore::new()));
        let places = Places { workspace: self.workspace.clone(), state_folder: self.state_folder.clone() };
        let mut knowledge = Knowledge::new(Box::new(move |folder| places.absolute(folder).map_err(|e| e.to_string())));
        for (name, source) in self.knowledge {
            knowledge.add(name, source);
        }
        let knowledge = Arc::new(knowledge);
        let search: Arc<dyn Tool> = Arc::new(Blocking::new(SearchKnowledge::new(knowledge.clone())));
        self.tools.add(search).expect("no other tool has that name: `tool` refuses it");
        let (mut models, mut catalog) = (self.models, self.catalog.clone());
        let providers = Providers::new(self.catalog, self.env.clone());
        let keyless = catalog.providers.iter().filter(|(_, provider)| !providers.has_key(provider));
        catalog.without_key = keyless.map(|(name, _)| name.clone()).collect();
        models.set_providers(Arc::new(providers));
        Engine {
            inner: Arc::new(Inner {
                store,
                tools: Arc::new(MachineTools::new(
                    self.tools,
                    McpPool::new(&self.mcp, &self.workspace, &self.env),
                    self.env.clone(),
                )),
                models,
                env: self.env,
                catalog,
                knowledge,
                commands: self.commands,
                places: Places { workspace: self.workspace, state_folder: self.state_folder },
                roots: Mutex::default(),
                tenant: self.tenant,
                clock: self.clock,
                stage: None,
            }),
        }
    }
}

impl Engine {
    /// An engine with the built-in tools, in memory, in the current folder.
    pub fn builder() -> EngineBuilder {
        EngineBuilder {
            store: None,
            tools: builtin(),
            mcp: McpServers::default(),
            commands: CommandPolicy::default(),
            models: Models::default(),
            catalog: ModelCatalog::built_in(),
            env: Env::process(),
            workspace: PathBuf::from("."),
            state_folder: None,
            tenant: Tenant::default(),
            clock: Arc::new(SystemClock),
            knowledge: Vec::new(),
        }
    }

    /// Where sessions are kept.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// The names of the tools that this machine has, sorted.
    pub fn tools(&self) -> Vec<String> {
        self.inner.tools.names()
    }

    /// The names of the MCP servers that this engine knows, sorted.
    pub fn mcp_servers(&self) -> Vec<String> {
        self.inner.tools.mcp().names().map(str::to_owned).collect()
    }

    /// Ends the MCP servers. A session that goes on starts those that it needs again.
    pub async fn close(&self) {
        self.inner.tools.mcp().close().await;
    }

    /// The models that teams may name.
    pub fn catalog(&self) -> &ModelCatalog {
        &self.inner.catalog
    }

    /// For whom this engine works.
    pub fn tenant(&self) -> &Tenant {
        &self.inner.tenant
    }

    /// Starts a session of `team` on `task`, with `inputs` over the team's defaults. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// An input is missing, a folder cannot be opened, or the store cannot be written.
    pub async fn start(&self, team: &Prepared, task: impl AsRef<str>, inputs: Map) -> Result<SessionHandle, EngineError> {
        self.begin(team, task.as_ref(), inputs, None).await
    }

    /// Starts a session that takes over what models replied in `earlier` to the same requests: [`Report::reuse`] says what that was, and why
    /// the rest was not. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// As [`Engine::start`], or the earlier session cannot be read.
    pub async fn start_reusing(
        &self,
        team: &Prepared,
        task: impl AsRef<str>,
        inputs: Map,
        earlier: SessionId,
    ) -> Result<SessionHandle, EngineError> {
        self.begin(team, task.as_ref(), inputs, Some(earlier)).await
    }

    async fn begin(
        &self,
        team: &Prepared,
        task: &str,
        inputs: Map,
        earlier: Option<SessionId>,
    ) -> Result<SessionHandle, EngineError> {
        let inputs = self.inner.inputs(team, self.inner.env.redactor().map(inputs))?;
        let crew = self.inner.crew(team, &inputs).await?;
        let beginning = begin::Beginning { session: SessionId(Uuid::now_v7()), task, inputs, earlier };
        self.begin_with(team, beginning, crew, None).await
    }

    /// Goes on with a session where its journal ends. A session that is over gives its result again, and nothing runs.
    ///
    /// # Errors
    /// Somebody else runs it, its journal is damaged, or it cannot be read.
    pub async fn resume(&self, session: SessionId) -> Result<SessionHandle, EngineError> {
        let inner = self.inner.clone();
        let (claim, state) = blocking(move || -> Result<_, EngineError> {
            let mut claim = Claimed::take(inner.store.clone(), session, inner.clock.now())?;
            let state = State::fold(&inner.store.read_all(session)?)?;
            claim.stands(Closing { status: state.status(), at: state.now });
            Ok((claim, state))
        })
        .await??;
        self.go_on(claim, state).await
    }

    /// Ends a session, wherever it runs. `None`: its owner has the word.
    ///
    /// # Errors
    /// The session is over or cannot be reached.
    pub async fn cancel(
        &self,
        session: SessionId,
        by: impl AsRef<str>,
        reason: impl AsRef<str>,
    ) -> Result<Option<SessionHandle>, EngineError> {
        let at = self.inner.clock.now();
        let item = InboxItem::Cancel {
            by: Arc::from(by.as_ref()),
            reason: Arc::from(self.inner.env.redactor().text(reason.as_ref())),
            at,
        };
        self.post(session, vec![item]).await
    }

    /// Leaves something for the owner, and becomes the owner if there is none.
    async fn post(&self, session: SessionId, items: Vec<InboxItem>) -> Result<Option<SessionHandle>, EngineError> {
        let store = self.inner.store.clone();
        blocking(move || items.into_iter().try_for_each(|item| store.post(session, item))).await??;
        match self.resume(session).await {
            Ok(handle) => Ok(Some(handle)),
            // Somebody who was quicker has it now, and reads what was left.
            Err(EngineError::Claim(ClaimError::Owned { .. } | ClaimError::Raced(_))) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What came of a session so far, from its journal.
    ///
    /// # Errors
    /// The journal is damaged or cannot be read.
    pub async fn report(&self, session: SessionId) -> Result<Report, EngineError> {
        let store = self.inner.store.clone();
        blocking(move || -> Result<Report, EngineError> {
            let report = Report::of(&store.read_all(session)?)?;
            Ok(if store.row(session)?.is_interrupted() { report.left_alone() } else { report })
        })
        .await?
    }
}

/// Runs what may wait for the disk away from the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, EngineError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| EngineError::Broken(e.to_string()))
}

impl Inner {
    /// What a session works with.
    fn means(&self, tools: Arc<SessionTools>, roots: Arc<Roots>, models: Models) -> Means {
        let notifier = Notifier {
            commands: self.commands.clone(),
            roots: roots.clone(),
            env: self.env.clone(),
            clock: self.clock.clone(),
            silent: self.stage.is_some(),
        };
        Means { tools, roots, models, env: self.env.clone(), notifier }
    }

    /// The tools of a session, its MCP servers started.
    async fn session_tools(&self, plan: &crate::graph::Plan, roots: &Roots) -> Result<Arc<SessionTools>, EngineError> {
        let mut tools = SessionTools::of(&self.tools, plan)?;
        tools.open(roots).await;
        Ok(Arc::new(tools))
    }

    fn session_models(&self, plan: &crate::graph::Plan, sources: &BTreeMap<String, Arc<str>>) -> Result<Models, EngineError> {
        if let Some(stage) = &self.stage {
            return Ok(stage.models(&self.models, plan, sources).map_err(PrepareError::Model)?);
        }
        let profiles = plan.teams.iter().flat_map(|team| team.members.iter().chain(&team.coordinator)).map(|m| &m.profile);
        Ok(self.models.with_files(profiles, &|file| crate::plan::with_includes(file, sources)).map_err(PrepareError::Model)?)
    }
}

#[cfg(test)]
mod tests;
