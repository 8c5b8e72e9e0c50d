//! Does a team do what its tests expect? [`Engine::try_case`] runs a case on the real engine, with stand-ins for models, tools and
//! people, and says what is not as expected; under [`Pressure`] it runs it again, killed at every position or in other orders.
//!
//! Deliberately absent: a network, a store on disk, and MCP servers. What a case does not script is what it is in a run: files are read,
//! scripts work, commands of the machine are started.

mod act;
mod expect;
mod kill;
mod players;
mod pressure;
mod stage;
mod words;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;

pub use expect::Unmet;
pub use kill::Moment;
pub use pressure::Trouble;
pub(super) use stage::Stage;

use super::{Engine, EngineError, FileSources, Inner, Places, PrepareError, Prepared};
use crate::{
    store::Store,
    team::{self, Case, Code, Diagnostic, InputKind, LIBRARY, Overrides, Suite, beside, did_you_mean},
    value::{Map, Seq, Value},
};
use act::Act;

/// How hard a case is tried, beside the run that its expectations are of.
#[derive(Clone, Debug, Default)]
pub struct Pressure {
    /// Where the engine is killed.
    pub kill: Kill,
    /// How many orders of arrival are tried.
    pub orders: u32,
    /// The seed of the first of them; each further one has the next.
    pub seed: u64,
}

/// Where the engine is killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kill {
    /// Nowhere.
    #[default]
    Nowhere,
    /// Wherever a program can die between two appends, in a run each.
    Everywhere,
    /// Once that record is durable; without a moment at both.
    At(Seq, Option<Moment>),
}

/// What came of a case.
#[derive(Clone, Debug, Serialize)]
pub struct Tried {
    /// What it shows.
    pub case: Arc<str>,
    /// What is not as expected.
    pub unmet: Vec<Unmet>,
    /// What went wrong under pressure.
    pub troubles: Vec<Trouble>,
    /// Runs of it.
    pub runs: u32,
    /// Runs in which the engine was killed.
    pub kills: u32,
    /// Runs in which a call that cannot be taken back was left in doubt, so that a person was asked.
    pub doubts: u32,
    /// Runs that came to another result than the first, where the plan says that the order of arrival matters: each came to it again
    /// from its own record.
    pub other_results: u32,
    /// How long it took.
    pub took_ms: u64,
}

impl Tried {
    /// Whether all is as expected.
    pub fn passed(&self) -> bool {
        self.unmet.is_empty() && self.troubles.is_empty()
    }
}

/// Why a case cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The team or the case has mistakes.
    #[error("check the case: {}", .0.first().map(Diagnostic::line).unwrap_or_default())]
    Invalid(Vec<Diagnostic>),
    /// The engine could not do its job.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Engine {
    /// Runs a case and says what is not as expected. `progress` hears how far it is.
    ///
    /// # Errors
    /// The team or the case has mistakes.
    pub async fn try_case(
        &self,
        suite: &Suite,
        case: &Case,
        pressure: &Pressure,
        progress: &(dyn Fn(&str) + Sync),
    ) -> Result<Tried, TrialError> {
        let began = Instant::now();
        let act = self.act(suite, case)?;
        let mut tried = Tried {
            case: case.name.clone(),
            unmet: Vec::new(),
            troubles: Vec::new(),
            runs: 1,
            kills: 0,
            doubts: 0,
            other_results: 0,
            took_ms: 0,
        };
        match act.run(None, None).await {
            Ok(calm) => {
                tried.unmet = act.unmet(&calm);
                if tried.unmet.is_empty() {
                    pressure::press(&act, &calm, pressure, &mut tried, progress).await;
                }
            }
            Err(EngineError::Prepare(PrepareError::Invalid(found))) => return Err(TrialError::Invalid(found)),
            Err(error) => tried.unmet.push(Unmet {
                place: case.place.clone(),
                what: "run".to_owned(),
                expected: "a run".to_owned(),
                got: error.to_string(),
            }),
        }
        tried.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(tried)
    }

    /// The tests in a file: a path relative to the workspace, or `lib:PATH` of the shipped library.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn load_suite(&self, name: &str) -> Result<Suite, Vec<Diagnostic>> {
        team::load_suite(name, &FileSources::new(&self.inner.places.workspace)).map(|(suite, _)| suite)
    }

    /// All that is wrong with the cases of a file, their team included.
    pub fn check_suite(&self, suite: &Suite) -> Vec<Diagnostic> {
        let mut found: Vec<Diagnostic> = Vec::new();
        for case in &suite.cases {
            match self.act(suite, case) {
                Ok(act) => found.extend(act.warnings),
                Err(TrialError::Invalid(wrong)) => found.extend(wrong),
                Err(TrialError::Engine(error)) => {
                    found.push(Diagnostic::error(Code::InvalidValue, &case.place, error.to_string()));
                }
            }
        }
        team::finish(&mut found, &suite.sources);
        found
    }

    /// A case made ready.
    fn act(&self, suite: &Suite, case: &Case) -> Result<Act, TrialError> {
        let invalid = |mut found: Vec<Diagnostic>| {
            team::finish(&mut found, &suite.sources);
            TrialError::Invalid(found)
        };
        let case = Arc::new(case.clone());
        let overrides = Overrides::parse(&case.set).map_err(TrialError::Invalid)?;
        // What the case scripts may be a tool of the team's own; what is wrong with the team is said below.
        let declared = self.load(&suite.team, &overrides).map(|team| team.plan.tools.clone()).unwrap_or_default();
        let brought = declared.commands.iter().map(|command| command.name.to_string());
        let known = self.tools().into_iter().chain(brought).chain(declared.http.iter().map(|_| "http".to_owned())).collect();
        let stage = Stage::new(suite, &case, &known, None)
            .map_err(|why| invalid(vec![Diagnostic::error(Code::BadScript, &case.place, why)]))?;
        let engine = self.staged(Arc::new(stage), kill::MortalStore::new(None));
        let team = engine.load(&suite.team, &overrides).map_err(|error| match error {
            PrepareError::Invalid(found) => TrialError::Invalid(found.into_iter().filter(concerns_tests).collect()),
            other => TrialError::Engine(other.into()),
        })?;
        let wrong = mistakes(&case, &team);
        if !wrong.is_empty() {
            return Err(invalid(wrong));
        }
        let described = team.team.as_ref().and_then(|t| t.description.clone());
        let task = case.task.clone().or(described).unwrap_or_else(|| team.name.clone());
        let ordered = !engine.review(&team).order_sensitive.is_empty();
        let inputs = inputs(&case, suite, &team);
        let warnings = team.warnings.iter().filter(|found| concerns_tests(found)).cloned().collect();
        Ok(Act { engine: self.clone(), suite: Arc::new(suite.clone()), case, team, task, inputs, known, ordered, warnings })
    }

    /// This engine on a stage: with another store, and nothing of it reaches a network or a person.
    fn staged(&self, stage: Arc<Stage>, store: Arc<dyn Store>) -> Self {
        let inner = &self.inner;
        let places = Places { workspace: inner.places.workspace.clone(), state_folder: inner.places.state_folder.clone() };
        Self {
            inner: Arc::new(Inner {
                store,
                tools: Arc::new(inner.tools.staged(stage.clone())),
                models: inner.models.clone(),
                env: inner.env.clone(),
                catalog: inner.catalog.clone(),
                knowledge: inner.knowledge.clone(),
                commands: inner.commands.clone(),
                places,
                roots: Default::default(),
                tenant: inner.tenant.clone(),
                clock: inner.clock.clone(),
                stage: Some(stage),
            }),
        }
    }
}

/// Whether a diagnostic of a team says something about its tests: these need neither its models nor its servers.
fn concerns_tests(found: &Diagnostic) -> bool {
    !matches!(found.code, Code::UnresolvedModel | Code::UnresolvedKey | Code::UnresolvedMcpServer)
}

/// What a case names that its team does not have.
fn mistakes(case: &Case, team: &Prepared) -> Vec<Diagnostic> {
    let members = || team.plan.teams.iter().flat_map(|team| team.members.iter().chain(&team.coordinator));
    let mut known: Vec<&str> = members().map(|member| member.role.as_str()).collect();
    known.extend(members().flat_map(|m| std::iter::once(&m.profile.model).chain(&m.profile.fallback_models)).map(AsRef::as_ref));
    known.push("*");
    known.sort_unstable();
    known.dedup();
    let mut found = Vec::new();
    for (key, _) in &case.models {
        let role = key.value.rsplit('/').next().unwrap_or_default();
        if !known.contains(&&*key.value) && !known.contains(&role) {
            let help = did_you_mean(&key.value, known.iter().copied());
            let help = help.unwrap_or_else(|| format!("the team has {}", known.join(", ")));
            let message = format!("the team has no agent and no model `{}`", key.value);
            found.push(Diagnostic::error(Code::UnknownRole, &key.place, message).help(help));
        }
    }
    let inputs: Vec<&str> = team.inputs().iter().map(|input| &*input.name).collect();
    for (name, place) in case.input_places.iter().filter(|(name, _)| !inputs.contains(&name.as_str())) {
        let help = did_you_mean(name, inputs.iter().copied());
        let help = help.unwrap_or_else(|| {
            if inputs.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", inputs.join(", ")) }
        });
        found.push(Diagnostic::error(Code::UnknownName, place, format!("the team has no input `{name}`")).help(help));
    }
    found
}

/// The inputs, their folders and files relative to the file of tests.
fn inputs(case: &Case, suite: &Suite, team: &Prepared) -> Map {
    let is_path = |name: &str| {
        let mut specs = team.inputs().iter().filter(|spec| *spec.name == *name);
        specs.any(|spec| matches!(spec.kind, InputKind::Folder | InputKind::File))
    };
    let placed = |(name, value): (&String, &Value)| {
        let path = value.as_str().filter(|path| is_path(name) && !path.is_empty() && !path.starts_with(LIBRARY));
        let path = path.and_then(|path| beside(&suite.file, path));
        (name.clone(), path.map_or_else(|| value.clone(), Value::from))
    };
    case.inputs.iter().map(placed).collect()
}

/// The longest that one run of a case may take.
const LONGEST_RUN: Duration = Duration::from_secs(600);
