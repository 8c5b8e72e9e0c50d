//! Who stands in for the world when a team is tested? The [`Stage`]: it answers for models and tools, and counts what is done.
//!
//! What it says depends on the key of a call and on what was said before, never on the engine that asks: so a session that is
//! dropped and resumed on the same stage finds the world as it left it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::players::Player;
use crate::{
    graph::Plan,
    model::{Answer, Model, Models},
    plan::with_includes,
    team::{Case, Suite, ToolAnswer},
    tool::{CallContext, Outcome, Registry, Tool, Work},
    value::{EffectClass, Failure, FailureKind, Profile, Reply, Request, ToolSpec, Value, is_offline},
};

/// The longest that a shuffled arrival is held back.
const LONGEST_DELAY: u64 = 12_000;

/// The world of one run, and what was done in it.
pub(in crate::engine) struct Stage {
    case: Arc<Case>,
    players: Vec<Player>,
    stubs: Arc<Registry>,
    /// What holds arrivals back, each by its own key.
    seed: Option<u64>,
    done: Mutex<Done>,
}

/// Calls by key, with the place of the answer that each got.
type Given = Vec<(String, usize)>;

/// What was done.
#[derive(Default)]
struct Done {
    /// Calls by key, without the session.
    made: BTreeMap<String, Made>,
    /// Which answers of a scripted tool were given to which calls of a node.
    given: BTreeMap<(Arc<str>, Arc<str>), Given>,
    /// Who asked a model for whom nobody answers.
    missing: BTreeSet<String>,
    /// Tools that were called, that a test does not call, and for which nobody answers.
    withheld: BTreeSet<String>,
}

/// A call and how often it was made.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// What repeating it would do; `None` for a model.
    pub(super) effect: Option<EffectClass>,
    /// The tool, or the agent who asked its model.
    pub(super) what: Arc<str>,
    /// The arguments.
    pub(super) args: Value,
    /// How often.
    pub(super) count: u32,
}

impl Stage {
    /// The stage of a case. `known` says which tools are there without it.
    ///
    /// # Errors
    /// A script or recording is none.
    pub(super) fn new(suite: &Suite, case: &Arc<Case>, known: &BTreeSet<String>, seed: Option<u64>) -> Result<Self, String> {
        let players: Result<Vec<Player>, String> =
            case.models.iter().map(|(key, stand_in)| Player::new(key, stand_in, &suite.sources)).collect();
        let mut stubs = Registry::default();
        for (name, answers) in case.tools.iter().filter(|(name, _)| !known.contains(&***name)) {
            let effect = answers.value.iter().find_map(|answer| answer.effect).unwrap_or_default();
            stubs.add(Arc::new(Stub(stub(name, effect)))).map_err(|e| e.to_string())?;
        }
        Ok(Self { case: case.clone(), players: players?, stubs: Arc::new(stubs), seed, done: Mutex::default() })
    }

    fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tools that only the stage has.
    pub(in crate::engine) fn stubs(&self) -> &Arc<Registry> {
        &self.stubs
    }

    /// Every call that was made, by its key.
    pub(super) fn made(&self) -> BTreeMap<String, Made> {
        self.done().made.clone()
    }

    /// Who asked a model for whom nobody answers.
    pub(super) fn missing(&self) -> BTreeSet<String> {
        self.done().missing.clone()
    }

    /// Tools that were called, that a test does not call, and for which nobody answers.
    pub(super) fn withheld(&self) -> BTreeSet<String> {
        self.done().withheld.clone()
    }

    /// How often calls were made whose key begins so.
    pub(super) fn times(&self, prefix: &str) -> u32 {
        let done = self.done();
        let within = done.made.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        within.filter(|(_, made)| made.effect.is_some()).map(|(_, made)| made.count).sum()
    }

    fn note(&self, key: &str, effect: Option<EffectClass>, what: &Arc<str>, args: &Value) {
        let fresh = || Made { effect, what: what.clone(), args: args.clone(), count: 0 };
        self.done().made.entry(key.to_owned()).or_insert_with(fresh).count += 1;
    }

    async fn hold_back(&self, key: &str, takes: Duration) {
        let drawn = self.seed.map_or(0, |seed| {
            let hash = blake3::hash(format!("{seed} {key}").as_bytes());
            let mut first = [0; 8];
            first.copy_from_slice(&hash.as_bytes()[..8]);
            u64::from_le_bytes(first) % LONGEST_DELAY
        });
        let wait = takes + Duration::from_micros(drawn);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Notes a call of a tool, and gives its scripted result; `None`: it is to be made. One that cannot be taken back, or that
    /// reaches a network, is only made where the case says that it is.
    pub(in crate::engine) async fn tool(
        &self,
        tool: &str,
        effect: EffectClass,
        is_remote: bool,
        context: &CallContext,
        args: &Value,
    ) -> Option<Outcome> {
        let key = without_session(&context.key).to_owned();
        self.note(&key, Some(effect), &Arc::from(tool), args);
        let Some((name, answers)) = self.case.tools.get_key_value(tool) else {
            self.hold_back(&key, Duration::ZERO).await;
            let what = match (effect, is_remote) {
                (_, true) => "reaches a network",
                (EffectClass::Irreversible, false) => "cannot be taken back",
                (EffectClass::Read | EffectClass::Idempotent, false) => return None,
            };
            if self.case.real.iter().any(|real| *real.value == *tool) {
                return None;
            }
            self.done().withheld.insert(tool.to_owned());
            let why = format!("a test does not call {tool}, which {what}: add it to the `tools` of the case, or to `real`");
            return Some(Err(Failure::new(FailureKind::Denied, why)));
        };
        let answer = self.answer(name, &context.node, &answers.value, &key, args);
        let takes = answer.map_or(Duration::ZERO, |answer| answer.takes);
        self.hold_back(&key, takes).await;
        let unfit = || Failure::new(FailureKind::Tool, format!("the case says nothing of a call of {tool} with {args}"));
        Some(answer.map_or_else(|| Err(unfit()), |answer| answer.result.clone()))
    }

    /// What answers a call: the same again for the same call, else the first that fits and was not given; the last that fits stays.
    /// What other nodes were given does not count, because which of them calls first is chance.
    fn answer<'a>(
        &self,
        tool: &Arc<str>,
        node: &Arc<str>,
        answers: &'a [ToolAnswer],
        key: &str,
        args: &Value,
    ) -> Option<&'a ToolAnswer> {
        let mut done = self.done();
        let given = done.given.entry((tool.clone(), node.clone())).or_default();
        if let Some((_, ix)) = given.iter().find(|(known, _)| known == key) {
            return answers.get(*ix);
        }
        let fits = |answer: &ToolAnswer| answer.when.as_ref().is_none_or(|when| super::expect::contains(args, when));
        let fitting: Vec<usize> = (0..answers.len()).filter(|ix| fits(&answers[*ix])).collect();
        let fresh = fitting.iter().find(|ix| !given.iter().any(|(_, used)| used == *ix));
        let ix = *fresh.or(fitting.last())?;
        given.push((key.to_owned(), ix));
        answers.get(ix)
    }

    /// The models of a session, each behind the stage. Nothing of it reaches a network.
    ///
    /// # Errors
    /// A script or recording that a profile names is none.
    pub(in crate::engine) fn models(
        self: &Arc<Self>,
        own: &Models,
        plan: &Plan,
        sources: &BTreeMap<String, Arc<str>>,
    ) -> Result<Models, crate::model::ModelError> {
        let mut models = Models::default();
        let profiles = plan.teams.iter().flat_map(|team| team.members.iter().chain(&team.coordinator)).map(|m| &m.profile);
        for profile in profiles {
            for name in std::iter::once(&profile.model).chain(&profile.fallback_models) {
                if models.get(name).is_ok() {
                    continue;
                }
                let real = match own.get(name) {
                    Ok(added) => Some(added),
                    Err(_) if is_offline(name) => {
                        let alone = Arc::new(Profile { model: name.clone(), fallback_models: Vec::new(), ..(**profile).clone() });
                        let opened = Models::default().with_files([&alone].into_iter(), &|file| with_includes(file, sources))?;
                        opened.get(name).ok()
                    }
                    Err(_) => None,
                };
                models.add(name, Arc::new(Staged { stage: self.clone(), name: name.clone(), real }));
            }
        }
        Ok(models)
    }

    /// Who answers a request that goes to the model of that name: a role before a model, a model before all.
    fn player(&self, request: &Request, name: &str) -> Option<&Player> {
        let is_fallback = *request.profile.model != *name;
        let own = |player: &&Player| player.is_for(request);
        let named = |player: &&Player| player.key() == name;
        let by_role = self.players.iter().filter(own).max_by_key(|player| player.key().len());
        let by_model = self.players.iter().find(named);
        let first = if is_fallback { by_model.or(by_role) } else { by_role.or(by_model) };
        first.or_else(|| self.players.iter().find(|player| player.key() == "*"))
    }

    async fn reply(&self, request: &Request, key: &str, name: &str, real: Option<&Arc<dyn Model>>) -> Result<Reply, Failure> {
        let own = without_session(key);
        self.note(own, None, &request.role.0, &Value::Null);
        let (reply, takes) = match (self.player(request, name), real) {
            (Some(player), _) => player.reply(request, own).await,
            (None, Some(real)) => (real.reply(request, key).await, Duration::ZERO),
            (None, None) => {
                self.done().missing.insert(request.role.to_string());
                let why = format!(
                    "the case names nobody who answers for {} ({name}): add `{}` to its `models`",
                    request.role, request.role
                );
                (Err(Failure::new(FailureKind::Model, why)), Duration::ZERO)
            }
        };
        self.hold_back(own, takes).await;
        reply
    }
}

/// A result without the time that a command took, which differs from run to run.
pub(in crate::engine) fn timeless(outcome: Outcome) -> Outcome {
    const TOOK: &str = "/milliseconds";
    let is_of_command = |value: &Value| ["stdout", "stderr", "milliseconds"].iter().all(|key| value.get(key).is_some());
    outcome.map(|value| if is_of_command(&value) { value.with(TOOK, Value::Int(0)) } else { value })
}

/// The key of a call without the session that it is of.
fn without_session(key: &str) -> &str {
    key.split_once('/').map_or(key, |(_, own)| own)
}

/// A model behind the stage.
struct Staged {
    stage: Arc<Stage>,
    name: Arc<str>,
    /// The model itself, where it needs no network.
    real: Option<Arc<dyn Model>>,
}

impl Model for Staged {
    fn reply<'a>(&'a self, request: &'a Request, key: &'a str) -> Answer<'a> {
        Box::pin(self.stage.reply(request, key, &self.name, self.real.as_ref()))
    }
}

/// A tool that nobody but the stage has.
struct Stub(ToolSpec);

fn stub(name: &Arc<str>, effect: EffectClass) -> ToolSpec {
    ToolSpec {
        name: name.clone(),
        description: Arc::from("stands in for a tool that this machine does not have"),
        parameters: Value::map([("type", Value::text("object"))]),
        effect,
        untrusted: false,
    }
}

impl Tool for Stub {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn call<'a>(&'a self, _call: &'a CallContext, _args: &'a Value) -> Work<'a> {
        Box::pin(std::future::ready(Err(Failure::new(
            FailureKind::Tool,
            "it stands in for a tool, and the stage answers for it",
        ))))
    }
}
