//! What must be at hand before a session can start? [`Prepared`]: a plan, a judge, and the texts that both were made from.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
};

use super::{Engine, EngineError, FileSources, Inner, Places, library};
use crate::{
    event::Started,
    graph::Plan,
    model::ModelError,
    plan::{self, Machine, Review},
    rule::RuleDiagnostic,
    team::{self, Diagnostic, InputKind, InputSpec, Known, LIBRARY, LoadedProfile, MapSources, Overrides, Sources, Team},
    tool::{Roots, RootsError},
    turn::COLLABORATION,
    value::{Judge, Map, Value},
};

/// Where folders of the library are unpacked, in the state folder.
const UNPACKED: &str = "library";

/// A team that can be started, any number of times.
#[derive(Clone)]
pub struct Prepared {
    /// The team as it was named.
    pub name: Arc<str>,
    /// The team file, resolved; `None` for a plan that was made in code.
    pub team: Option<Arc<Team>>,
    /// What it compiles into.
    pub plan: Arc<Plan>,
    /// Who decides.
    pub judge: Arc<dyn Judge>,
    /// Every file that it was made from, by name.
    pub sources: BTreeMap<String, Arc<str>>,
    /// What its author should look at.
    pub warnings: Vec<Diagnostic>,
}

/// Why a team cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// Its files have mistakes; [`team::render`] shows them.
    #[error("check the team: {} mistakes, the first: {}", .0.len(), .0.first().map(Diagnostic::line).unwrap_or_default())]
    Invalid(Vec<Diagnostic>),
    /// Its scripts do not compile.
    #[error("compile the rules: {}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Rules(Vec<RuleDiagnostic>),
    /// A model cannot be opened.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An input is missing, unknown or of the wrong type.
    #[error("{0}")]
    Input(String),
    /// An input's folder cannot be opened.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// A folder of the library cannot be unpacked.
    #[error("unpack {folder}: {reason}")]
    Unpack {
        /// Which.
        folder: String,
        /// Why not.
        reason: String,
    },
}

impl Prepared {
    /// A plan made in code, with whoever decides in it.
    pub fn of_plan(name: impl AsRef<str>, plan: Plan, judge: Arc<dyn Judge>) -> Self {
        let (plan, sources) = (Arc::new(plan), BTreeMap::new());
        Self { name: Arc::from(name.as_ref()), team: None, plan, judge, sources, warnings: Vec::new() }
    }

    /// The inputs that it takes.
    pub fn inputs(&self) -> &[InputSpec] {
        self.team.as_ref().map_or(&[], |team| &team.inputs)
    }

    /// The input of that name.
    ///
    /// # Errors
    /// Which one is meant, or which there are: there is none of that name.
    pub fn input(&self, name: &str) -> Result<&InputSpec, String> {
        let specs = self.inputs();
        specs.iter().find(|spec| *spec.name == *name).ok_or_else(|| {
            let known: Vec<&str> = specs.iter().map(|spec| &*spec.name).collect();
            team::did_you_mean(name, known.iter().copied()).unwrap_or_else(|| {
                if known.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", known.join(", ")) }
            })
        })
    }

    /// What it is for, which is what it does when nobody says.
    pub fn purpose(&self) -> Arc<str> {
        let described = self.team.as_ref().and_then(|team| team.description.clone());
        described.unwrap_or_else(|| self.name.clone())
    }
}

impl Engine {
    /// Loads and compiles the team of that name: a path relative to the workspace, or the name of a shipped team.
    ///
    /// # Errors
    /// [`PrepareError::Invalid`] with every mistake in its files.
    pub fn load(&self, name: &str, overrides: &Overrides) -> Result<Prepared, PrepareError> {
        let sources = FileSources::new(&self.inner.places.workspace);
        let models = &self.inner.catalog;
        let names = self.known_tools();
        let tools: Vec<&str> = names.iter().map(String::as_str).collect();
        let servers: Vec<&str> = self.inner.tools.mcp().names().collect();
        let known = Known { models, tools: Some(&tools), mcp_servers: Some(&servers) };
        let (team, plan, warnings) = self.compile(name, &sources, overrides, &known).map_err(PrepareError::Invalid)?;
        let plan = Arc::new(plan);
        let judge = judge_of(&plan, &team.sources)?;
        let sources = team.sources.clone();
        Ok(Prepared { name: Arc::from(name), team: Some(Arc::new(team)), plan, judge, sources, warnings })
    }
}

impl Engine {
    /// The tools of this machine, and those that every agent has among its colleagues.
    fn known_tools(&self) -> Vec<String> {
        let own = COLLABORATION.iter().map(ToString::to_string);
        self.tools().into_iter().chain(own).collect()
    }

    /// Everything that is wrong with a team or profile file, plan and rules included.
    pub fn check(&self, name: &str) -> Vec<Diagnostic> {
        let sources = FileSources::new(&self.inner.places.workspace);
        let models = &self.inner.catalog;
        let names = self.known_tools();
        let tools: Vec<&str> = names.iter().map(String::as_str).collect();
        let servers: Vec<&str> = self.inner.tools.mcp().names().collect();
        let known = Known { models, tools: Some(&tools), mcp_servers: Some(&servers) };
        if team::is_profile(name, &sources) {
            return team::check(name, &sources, &known);
        }
        match self.compile(name, &sources, &Overrides::default(), &known) {
            Ok((_, _, warnings)) => warnings,
            Err(found) => found,
        }
    }

    /// A team's plan with all that its author should look at; or everything that is wrong, in whichever file and stage.
    fn compile(
        &self,
        name: &str,
        sources: &dyn Sources,
        overrides: &Overrides,
        known: &Known<'_>,
    ) -> Result<(Team, Plan, Vec<Diagnostic>), Vec<Diagnostic>> {
        let (team, mut found) = team::read_team(name, sources, overrides, known);
        let Some(team) = team else { return Err(found) };
        let specs = self.inner.tools.specs(&team.tools);
        let effect = |tool: &str, args: &Value| self.inner.tools.effect_of(&team.tools, tool, args);
        let machine = Machine { tools: &specs, effect: &effect, models: known.models };
        if found.iter().any(Diagnostic::is_error) {
            let more = plan::mistakes_beside(&found, &team, &machine);
            found.extend(more);
            team::finish(&mut found, &team.sources);
            return Err(found);
        }
        match plan::compile(&team, &machine) {
            Ok(compiled) => {
                found.extend(compiled.warnings);
                Ok((team, compiled.plan, found))
            }
            Err(more) => {
                found.extend(more);
                team::finish(&mut found, &team.sources);
                Err(found)
            }
        }
    }

    /// A profile: a path relative to the workspace, or the name of a shipped one.
    ///
    /// # Errors
    /// Every mistake in its file.
    pub fn profile(&self, name: &str) -> Result<LoadedProfile, Vec<Diagnostic>> {
        let models = &self.inner.catalog;
        let sources = FileSources::new(&self.inner.places.workspace);
        team::load_profile(name, &sources, &Known::models(models)).map(|(profile, _)| profile)
    }

    /// What a plan may do on this machine.
    pub fn review(&self, prepared: &Prepared) -> Review {
        let specs = self.inner.tools.specs(&prepared.plan.tools);
        let effect = |tool: &str, args: &Value| self.inner.tools.effect_of(&prepared.plan.tools, tool, args);
        plan::review(&prepared.plan, &Machine { tools: &specs, effect: &effect, models: &self.inner.catalog })
    }
}

/// Why what is at `path` is not the folder or file that an input wants. An empty folder is a mistake in the path far more often
/// than it is meant, and a team that finds nothing in it has been paid all the same.
pub(super) fn check_root(kind: InputKind, written: &str, path: &Path) -> Result<(), String> {
    let unreadable = |e: std::io::Error| format!("{written} cannot be read: {e}");
    let is_folder = path.metadata().map_err(unreadable)?.is_dir();
    match kind {
        InputKind::Folder if !is_folder => Err(format!("{written} is a file, and a folder is wanted")),
        InputKind::File if is_folder => Err(format!("{written} is a folder, and a file is wanted")),
        InputKind::Folder if path.read_dir().map_err(unreadable)?.next().is_none() => {
            Err(format!("the folder {written} has nothing in it"))
        }
        InputKind::Folder | InputKind::File => Ok(()),
        InputKind::String | InputKind::Integer | InputKind::Number | InputKind::Boolean | InputKind::List | InputKind::Map => {
            Ok(())
        }
    }
}

/// The judge of a plan, made from the texts that a session keeps.
pub(super) fn judge_of(plan: &Plan, sources: &BTreeMap<String, Arc<str>>) -> Result<Arc<dyn Judge>, PrepareError> {
    plan::rule_book(plan, sources).map(|book| Arc::new(book) as Arc<dyn Judge>).map_err(PrepareError::Rules)
}

impl Inner {
    /// The inputs of a session: what is given over the defaults, checked, folders made absolute.
    pub(super) fn inputs(&self, team: &Prepared, given: Map) -> Result<Map, EngineError> {
        self.inputs_or(team, given, None)
    }

    /// The same; where somebody makes up what is missing, only folders and files that are given need be there.
    pub(super) fn inputs_or(
        &self,
        team: &Prepared,
        given: Map,
        made_up: Option<fn(InputKind) -> Value>,
    ) -> Result<Map, EngineError> {
        let is_given: BTreeSet<String> = given.keys().cloned().collect();
        for name in is_given.iter().filter(|_| team.team.is_some()) {
            team.input(name).map_err(|help| PrepareError::Input(format!("the team has no input {name}; {help}")))?;
        }
        let mut inputs = team.plan.inputs.clone();
        inputs.extend(given);
        let specs = team.inputs();
        if let Some(made_up) = made_up {
            for spec in specs.iter().filter(|spec| spec.default.is_none()) {
                let value = inputs.entry(spec.name.to_string()).or_default();
                if value.is_null() {
                    *value = made_up(spec.kind);
                }
            }
        }
        let checked = inputs.into_iter().map(|(name, value)| {
            let is_there = made_up.is_none() || is_given.contains(&name);
            let value = if is_there { self.input(specs, &team.plan, &name, value)? } else { value };
            Ok((name, value))
        });
        checked.collect()
    }

    /// An input of a session, checked; a folder or file made absolute.
    pub(super) fn input(&self, specs: &[InputSpec], plan: &Plan, name: &str, value: Value) -> Result<Value, PrepareError> {
        let wrong = |why: String| PrepareError::Input(format!("the input {name}{why}"));
        let spec = specs.iter().find(|spec| *spec.name == *name);
        if let Some(spec) = spec {
            if value.is_null() && spec.default.is_none() {
                return Err(wrong(format!(" is missing; give it with --input {name}=…")));
            }
            if !team::fits(spec.kind, &value) {
                let wanted = crate::value::a(&Value::of(&spec.kind).unwrap_or_default().to_string());
                return Err(wrong(format!(" takes {wanted}, not {}", value.a_kind())));
            }
        }
        let is_root = plan.roots.iter().any(|root| **root == *name);
        let Some(written) = value.as_str().filter(|_| is_root) else { return Ok(value) };
        // An empty default says that it may be left out.
        if written.is_empty() && plan.inputs.get(name).and_then(Value::as_str) == Some("") {
            return Ok(value);
        }
        if written.trim().is_empty() {
            return Err(wrong(format!(" is empty; give a path with --input {name}=…")));
        }
        let path = self.places.absolute(written).map_err(|error| match error {
            PrepareError::Input(why) => wrong(format!(": {why}")),
            error => error,
        })?;
        if let Some(spec) = spec {
            check_root(spec.kind, written, &path).map_err(|why| wrong(format!(": {why}")))?;
        }
        Ok(Value::from(path.to_string_lossy().into_owned()))
    }

    /// The inputs that the team of a session takes, as far as the texts that it keeps say so.
    pub(super) fn inputs_of(&self, started: &Started) -> Vec<InputSpec> {
        let sources = MapSources::from(started.sources.clone());
        let known = Known::models(&self.catalog);
        let (team, _) = team::read_team(&started.team, &sources, &Overrides::default(), &known);
        team.map(|team| team.inputs).unwrap_or_default()
    }

    /// What the tools of a session may reach.
    pub(super) fn session_roots(&self, plan: &Plan, inputs: &Map) -> Result<Arc<Roots>, EngineError> {
        let mut roots = Roots::new(&self.places.workspace).map_err(PrepareError::Roots)?;
        for name in &plan.roots {
            if let Some(path) = inputs.get(&**name).and_then(Value::as_str).filter(|path| !path.is_empty()) {
                roots = roots.with_input(Path::new(path)).map_err(PrepareError::Roots)?;
            }
        }
        if let Some(folder) = &self.places.state_folder {
            roots = roots.without(folder).sparing(&folder.join(UNPACKED));
        }
        // Sessions on the same folders share what is open: a process may have few files open, and many sessions that wait.
        let mut last = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = last.upgrade().filter(|last| last.are(&roots)) {
            return Ok(same);
        }
        let roots = Arc::new(roots);
        *last = Arc::downgrade(&roots);
        Ok(roots)
    }
}

impl Places {
    /// Where a folder that a team names is on this machine; a folder of the library is unpacked first.
    pub(super) fn absolute(&self, path: &str) -> Result<PathBuf, PrepareError> {
        let Some(folder) = path.strip_prefix(LIBRARY) else {
            let found = self.workspace.join(path).canonicalize();
            return found.map_err(|e| PrepareError::Input(format!("{path} cannot be opened: {e}; give one that exists")));
        };
        let target = self.state_folder.clone().unwrap_or_else(|| std::env::temp_dir().join("synod")).join(UNPACKED);
        let unpacked = library::unpack(folder, &target).and_then(|path| path.canonicalize());
        unpacked.map_err(|e| PrepareError::Unpack { folder: folder.to_owned(), reason: e.to_string() })
    }
}
