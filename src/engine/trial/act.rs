//! How is a case run once? An [`Act`]: a session on a stage of its own, driven to its end, people's answers given.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    LONGEST_RUN, Moment, Stage, Unmet,
    expect::{self, Came},
    kill::MortalStore,
    stage::Made,
};
use crate::{
    engine::{Engine, EngineError, Prepared, SessionHandle},
    event::{Ask, AskFor, Event, Record, Status},
    graph::NodeKind,
    report::Report,
    state::State,
    store::Store,
    team::{Case, Diagnostic, Expect, Suite},
    turn::Toolbox,
    value::{AskId, Map, Place, Seq, SessionId, Value},
};

/// Who answers questions.
const TESTER: &str = "the test";

/// A case made ready.
pub(super) struct Act {
    pub(super) engine: Engine,
    pub(super) suite: Arc<Suite>,
    pub(super) case: Arc<Case>,
    pub(super) team: Prepared,
    pub(super) task: Arc<str>,
    pub(super) inputs: Map,
    /// The tools that are there without the case.
    pub(super) known: BTreeSet<String>,
    /// Whether the plan says that the order of arrival may change the result.
    pub(super) ordered: bool,
    pub(super) warnings: Vec<Diagnostic>,
}

/// What came of a run.
pub(super) struct Run {
    pub(super) report: Report,
    pub(super) state: State,
    pub(super) records: Vec<Record>,
    /// Every call that was made, by key.
    pub(super) made: BTreeMap<String, Made>,
    pub(super) missing: BTreeSet<String>,
    /// Tools that were called, that a test does not call, and for which nobody answers.
    pub(super) withheld: BTreeSet<String>,
    /// What was on record when the engine was killed.
    pub(super) killed: Option<Vec<Record>>,
    /// Where a program can die.
    pub(super) ends: Vec<Seq>,
    /// Questions whether a call happened.
    pub(super) doubts: u32,
    /// What the run was on.
    pub(super) staged: Engine,
}

impl Act {
    /// One run, with arrivals held back as the seed says, killed there if anywhere.
    pub(super) async fn run(&self, seed: Option<u64>, dies: Option<(Seq, Moment)>) -> Result<Run, EngineError> {
        let stage = Stage::new(&self.suite, &self.case, &self.known, seed).map_err(EngineError::Broken)?;
        let (stage, store) = (Arc::new(stage), MortalStore::new(dies));
        let work = self.drive(&stage, &store);
        let too_long = || EngineError::Broken(format!("a run of a case may take {} s", LONGEST_RUN.as_secs()));
        let (session, killed, staged) = tokio::time::timeout(LONGEST_RUN, work).await.map_err(|_| too_long())??;
        let records = store.read_all(session)?;
        let asked = records.iter().filter(|record| is_doubt(&record.event)).count();
        Ok(Run {
            report: Report::of(&records)?,
            state: State::fold(&records)?,
            made: stage.made(),
            missing: stage.missing(),
            withheld: stage.withheld(),
            killed,
            ends: store.ends(),
            doubts: u32::try_from(asked).unwrap_or(u32::MAX),
            records,
            staged,
        })
    }

    async fn drive(
        &self,
        stage: &Arc<Stage>,
        store: &Arc<MortalStore>,
    ) -> Result<(SessionId, Option<Vec<Record>>, Engine), EngineError> {
        let mut engine = self.engine.staged(stage.clone(), store.clone());
        let mut handle = engine.start(&self.team, &self.task, self.inputs.clone()).await?;
        let (session, mut killed) = (handle.session(), None);
        loop {
            // Dropped with this future, a run that takes too long does not go on in secret.
            let interrupt = handle.interrupter().drop_guard();
            let ended = handle.wait().await;
            drop(interrupt.disarm());
            match ended {
                Err(_) if store.has_died() => {
                    killed = Some(store.read_all(session)?);
                    store.revive();
                    engine = self.engine.staged(stage.clone(), store.clone());
                    handle = engine.resume(session).await?;
                }
                Err(error) => return Err(error),
                Ok(ended) => {
                    let next =
                        if ended.status == Status::Parked { self.answer(&engine, session, stage, store).await? } else { None };
                    match next {
                        Some(next) => handle = next,
                        None => return Ok((session, killed, engine)),
                    }
                }
            }
        }
    }

    /// Answers what the case has answers to; `None`: it has none to any open question.
    async fn answer(
        &self,
        engine: &Engine,
        session: SessionId,
        stage: &Stage,
        store: &MortalStore,
    ) -> Result<Option<SessionHandle>, EngineError> {
        let records = store.read_all(session)?;
        let state = State::fold(&records)?;
        let mut answers: Vec<(AskId, Value)> = Vec::new();
        for ask in state.asks.values() {
            let Some((value, place)) = self.answer_to(ask, &state, &records, stage) else { continue };
            let wrong = |why| EngineError::Answer(format!("{place}: the answer to {}: {why}", state.path(ask.node)));
            state.check_answer(ask.id, &value).map_err(wrong)?;
            answers.push((ask.id, value));
        }
        if answers.is_empty() { Ok(None) } else { engine.answer_all(session, answers, TESTER).await }
    }

    /// What the case answers to a question, and where it does.
    fn answer_to(&self, ask: &Ask, state: &State, records: &[Record], stage: &Stage) -> Option<(Value, &Place)> {
        if let AskFor::InDoubt(turn, call) = &ask.purpose {
            let path = state.path(ask.node);
            let is_tool = matches!(state.node(ask.node).kind, NodeKind::Tool(_));
            let call = if is_tool { format!("{path}/0/") } else { format!("{path}/{turn}/{call}/") };
            let word = if stage.times(&call) > 0 { "happened" } else { "not_happened" };
            return Some((Value::text(word), &self.case.place));
        }
        let key = self.answer_key(&state.path(ask.node))?;
        let given = self.case.answers.get(key)?;
        let earlier = records.iter().filter(|record| match &record.event {
            Event::Asked(other) => {
                other.id < ask.id && !is_doubt(&record.event) && self.answer_key(&state.path(other.node)) == Some(key)
            }
            _ => false,
        });
        let value = given.value.get(earlier.count()).or(given.value.last())?;
        Some((value.clone(), &given.place))
    }

    /// Under which name the case has answers for a node.
    fn answer_key(&self, path: &str) -> Option<&str> {
        let id = path.rsplit('/').next().unwrap_or_default();
        [path, id, "*"].into_iter().find_map(|key| self.case.answers.get_key_value(key)).map(|(key, _)| &**key)
    }

    /// What is not as expected of a run.
    pub(super) fn unmet(&self, run: &Run) -> Vec<Unmet> {
        self.unmet_of(&self.case.expect, run)
    }

    /// What of that is not so.
    pub(super) fn unmet_of(&self, expected: &Expect, run: &Run) -> Vec<Unmet> {
        let made: Vec<Made> = run.made.values().cloned().collect();
        let tools = crate::engine::toolbox::SessionTools::of(&run.staged.inner.tools, &self.team.plan);
        let fits = |schema: &Value, value: &Value| match &tools {
            Ok(tools) => tools.fits(schema, value),
            Err(error) => Err(error.to_string()),
        };
        let came = Came { report: &run.report, state: &run.state, records: &run.records, made: &made, fits: &fits };
        let mut unmet = expect::unmet(expected, &came);
        for tool in &run.withheld {
            unmet.insert(
                0,
                Unmet {
                    place: self.case.place.clone(),
                    what: "tools".to_owned(),
                    expected: format!(
                        "{tool} in `tools`, or in `real` where it is to be called: it cannot be taken back, or reaches a network"
                    ),
                    got: "nobody who answers for it".to_owned(),
                },
            );
        }
        // Who was not answered for explains the rest.
        if !unmet.is_empty() && !run.missing.is_empty() {
            let missing: Vec<&str> = run.missing.iter().map(String::as_str).collect();
            let unanswered = Unmet {
                place: self.case.place.clone(),
                what: "models".to_owned(),
                expected: "somebody who answers for everybody who asks a model".to_owned(),
                got: format!("nobody for {}: add them to the `models` of the case", missing.join(", ")),
            };
            unmet.insert(0, unanswered);
        }
        unmet
    }
}

/// Whether an event asks a person if a call happened.
pub(super) fn is_doubt(event: &Event) -> bool {
    matches!(event, Event::Asked(ask) if matches!(ask.purpose, AskFor::InDoubt(..)))
}
