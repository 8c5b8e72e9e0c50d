//! Does a team do what its tests expect? A [`Trial`] runs cases on the real engine, with stand-ins for models, tools and people, and
//! says what is not as expected; under [`Pressure`] it runs them again, killed at every position or in other orders.
//!
//! Deliberately absent: a network, a store on disk, and MCP servers. What a case does not script is what it is in a run (files are read,
//! scripts work, commands of the machine are started), unless it cannot be taken back or reaches a network: such a call fails the case.

mod act;
mod expect;
mod kill;
mod names;
mod players;
mod pressure;
mod stage;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;

pub use expect::Unmet;
pub use kill::Moment;
pub use pressure::Trouble;
pub(super) use stage::{Stage, timeless};

use super::{Engine, EngineError, FileSources, Inner, Places, PrepareError, Prepared};
use crate::{
    store::Store,
    team::{self, Case, Code, Diagnostic, InputKind, LIBRARY, OVERRIDES_NAME, Overrides, Suite, beside},
    tool::HTTP,
    value::{Map, Place, Seq, Value},
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
enum TrialError {
    /// The team or the case has mistakes.
    Invalid(Vec<Diagnostic>),
    /// The engine could not do its job.
    Engine(EngineError),
}

/// The tests of a file, ready to be run. A team is loaded once for all cases that change it alike.
pub struct Trial {
    engine: Engine,
    suite: Arc<Suite>,
    teams: Mutex<BTreeMap<Change, Result<Prepared, Vec<Diagnostic>>>>,
}

/// What a case changes of its team: the overrides, and the tools that only the case has, each with what repeating a call would do.
type Change = (Vec<Arc<str>>, Vec<String>);

impl Trial {
    /// Runs a case and says what is not as expected. `progress` hears how far it is.
    ///
    /// # Errors
    /// Every mistake of the team and the case.
    pub async fn run(
        &self,
        case: &Case,
        pressure: &Pressure,
        progress: &(dyn Fn(&str) + Sync),
    ) -> Result<Tried, Vec<Diagnostic>> {
        let began = Instant::now();
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
        let done = match self.act(case) {
            Ok(act) => match act.run(None, None).await {
                Ok(calm) => {
                    tried.unmet = act.unmet(&calm);
                    if tried.unmet.is_empty() {
                        pressure::press(&act, &calm, pressure, &mut tried, progress).await;
                    }
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Err(TrialError::Invalid(found)) => return Err(found),
            Err(TrialError::Engine(error)) => Err(error),
        };
        match done {
            Ok(()) => {}
            Err(EngineError::Prepare(PrepareError::Invalid(found))) => return Err(found),
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

    /// All that is wrong with the cases, their team included.
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut found: Vec<Diagnostic> = Vec::new();
        for case in &self.suite.cases {
            match self.act(case) {
                Ok(act) => found.extend(act.warnings),
                Err(TrialError::Invalid(wrong)) => found.extend(wrong),
                Err(TrialError::Engine(error)) => {
                    found.push(Diagnostic::error(Code::InvalidValue, &case.place, error.to_string()));
                }
            }
        }
        team::finish(&mut found, &self.suite.sources);
        found
    }

    /// A case made ready.
    fn act(&self, case: &Case) -> Result<Act, TrialError> {
        let invalid = |mut found: Vec<Diagnostic>| {
            found.iter_mut().for_each(|wrong| place_override(wrong, case));
            team::finish(&mut found, &self.suite.sources);
            TrialError::Invalid(found)
        };
        let case = Arc::new(case.clone());
        let set: Vec<Arc<str>> = case.set.iter().map(|set| set.value.clone()).collect();
        let overrides = Overrides::parse(&set).map_err(&invalid)?;
        let load = |engine: &Engine, change: Change| self.load(engine, change, &overrides)?.map_err(&invalid);
        let mut team = load(&self.engine, (set.clone(), Vec::new()))?;
        let declared = &team.plan.tools;
        let brought = declared.commands.iter().map(|command| command.name.to_string());
        let known: BTreeSet<String> =
            self.engine.tools().into_iter().chain(brought).chain(declared.http.iter().map(|_| HTTP.to_owned())).collect();
        let wrong = names::mistakes(&case, &team, &known);
        if !wrong.is_empty() {
            return Err(invalid(wrong));
        }
        let stage = Stage::new(&self.suite, &case, &known, None)
            .map_err(|why| invalid(vec![Diagnostic::error(Code::BadScript, &case.place, why)]))?;
        let stubs = stage.stubs().names().filter_map(|name| stage.stubs().spec(name));
        let stubs: Vec<String> = stubs.map(|spec| format!("{} {:?}", spec.name, spec.effect)).collect();
        let engine = self.engine.staged(Arc::new(stage), kill::MortalStore::new(None));
        if !stubs.is_empty() {
            team = load(&engine, (set, stubs))?;
        }
        Ok(Act {
            engine: self.engine.clone(),
            suite: self.suite.clone(),
            task: case.task.clone().unwrap_or_else(|| team.purpose()),
            ordered: !engine.review(&team).order_sensitive.is_empty(),
            inputs: inputs(&case, &self.suite, &team),
            warnings: team.warnings.iter().filter(|found| concerns_tests(found)).cloned().collect(),
            case,
            team,
            known,
        })
    }

    /// The team of these tests, as a case changes it.
    fn load(
        &self,
        engine: &Engine,
        change: Change,
        overrides: &Overrides,
    ) -> Result<Result<Prepared, Vec<Diagnostic>>, TrialError> {
        let mut teams = self.teams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = teams.get(&change) {
            return Ok(known.clone());
        }
        let loaded = match engine.load(&self.suite.team, overrides) {
            Ok(team) => Ok(team),
            Err(PrepareError::Invalid(found)) => Err(found.into_iter().filter(concerns_tests).collect()),
            Err(other) => return Err(TrialError::Engine(other.into())),
        };
        teams.insert(change, loaded.clone());
        Ok(loaded)
    }
}

impl Engine {
    /// The tests in a file: a path relative to the workspace, or `lib:PATH` of the shipped library.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn load_suite(&self, name: &str) -> Result<Suite, Vec<Diagnostic>> {
        team::load_suite(name, &FileSources::new(&self.inner.places.workspace)).map(|(suite, _)| suite)
    }

    /// The tests of a file, ready to be run.
    pub fn trial(&self, suite: &Suite) -> Trial {
        Trial { engine: self.clone(), suite: Arc::new(suite.clone()), teams: Mutex::default() }
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

/// Places what is wrong with an override where the case has it.
fn place_override(wrong: &mut Diagnostic, case: &Case) {
    let written = |line: u32| Some(case.set.get(usize::try_from(line).ok()?.checked_sub(1)?)?.place.clone());
    for (place, _) in wrong.related.iter_mut().filter(|(place, _)| *place.file == *OVERRIDES_NAME) {
        *place = written(place.line).unwrap_or_else(|| case.place.clone());
    }
    if *wrong.file == *OVERRIDES_NAME {
        let Place { file, line, column } = written(wrong.line).unwrap_or_else(|| case.place.clone());
        (wrong.file, wrong.line, wrong.column, wrong.length, wrong.source) = (file, line, column, 0, None);
    }
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
