//! How does a session come to share the past of another one? [`Engine::fork`] copies the records up to a point and goes on from there.
//!
//! They are copied, and not referred to: a record is chained to the id of its session, so that none can be passed off as another
//! session's, and whoever drops or moves a session need not know who else reads it. What is large in them (the plan, long replies)
//! stands in a journal once, under its digest, however many sessions have it.

use std::{collections::BTreeSet, sync::Arc};

use uuid::Uuid;

use super::{
    Engine, EngineError, Inner, blocking, prepare,
    replay::{RecordedTools, begins},
    toolbox::SessionTools,
};
use crate::{
    event::{Event, Forked, Key, Outcome, Point, Record, Started},
    graph::Plan,
    schedule::{Past, Scheduler},
    state::State,
    store::{Closing, NewSession},
    team::{InputSpec, did_you_mean},
    turn::{Toolbox, cut},
    value::{Map, Seq, SessionId, Timestamp},
};

/// Characters that are shown of what came of a call.
const SHOWN: usize = 300;

/// What is another way from the fork on.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// What is to be done; whoever has begun keeps the task that it was given.
    pub task: Option<String>,
    /// Inputs, by name.
    pub inputs: Map,
    /// Variables of the session's own team, by name.
    pub variables: Map,
}

impl Engine {
    /// The inputs that the team of a session takes, as far as the texts that it keeps say so.
    pub fn inputs_of(&self, started: &Started) -> Vec<InputSpec> {
        self.inner.inputs_of(started)
    }

    /// Makes a session that shares the past of another one up to record `at`, and is its own from there on: [`Engine::resume`] goes
    /// on with it. Records that tell of one thing (a message, and that it was sent) are shared together; [`Forked::from`] and the
    /// first record say where that ends. What was in flight there is asked and called anew under the new session's keys; an irreversible call without a
    /// result there is in doubt, as after a crash.
    ///
    /// # Errors
    /// There is no such record, the session is over by then, a change is one of something that the plan does not have, or the
    /// store cannot be read or written.
    pub async fn fork(&self, session: SessionId, at: Seq, changes: Changes) -> Result<SessionId, EngineError> {
        let inner = self.inner.clone();
        blocking(move || inner.fork(session, at, changes)).await?
    }
}

impl Inner {
    fn fork(&self, session: SessionId, at: Seq, changes: Changes) -> Result<SessionId, EngineError> {
        let mut records = self.store.read_all(session)?;
        let state = self.point(&records, at)?;
        let at = Seq(state.seq.0.saturating_sub(1));
        let (id, now) = (SessionId(Uuid::now_v7()), self.clock.now().max(state.now));
        let mut forked = self.forked(&state, Point { session, at }, changes)?;
        let theirs =
            State::fold(records[..=at.index()].iter().chain([&fact(at, now, &forked)]))?.forked.map(|(_, theirs)| theirs);
        let later = &records[at.index() + 1..];
        let became = |key: Key| became(key, later).map(|words| (key, words));
        forked.meanwhile = theirs.into_iter().flat_map(std::collections::BTreeMap::into_keys).filter_map(became).collect();
        records.truncate(at.index() + 1);
        if let Some(Record { event: Event::Started(started), .. }) = records.first_mut() {
            let started = Arc::make_mut(started);
            (started.session, started.tenant, started.forked) = (id, self.tenant.clone(), Some(forked.from));
        }
        let new = NewSession {
            session: id,
            tenant: self.tenant.clone(),
            team: state.started.team.clone(),
            task: forked.task.clone().unwrap_or_else(|| state.started.task.clone()),
            started_at: now,
        };
        records.push(fact(at, now, &forked));
        let status = State::fold(&records)?.status();
        let claim = self.store.create(new)?;
        // As one: a part of the past would be another past.
        self.store.append(&claim, Seq(0), &records)?;
        self.store.release(claim, Closing { status, at: now }).wait()?;
        Ok(id)
    }

    /// Where a session stood after record `at`, and those after it that belong to the same.
    fn point(&self, records: &[Record], at: Seq) -> Result<State, EngineError> {
        let last = records.last().map_or(Seq(0), |record| record.seq);
        if at > last {
            return Err(EngineError::Fork(format!("the session has no record {at}: the last one is {last}")));
        }
        let mut state = State::fold(&records[..=at.index()])?;
        let (plan, sources) = (&state.started.plan, &state.started.sources);
        let judge = prepare::judge_of(plan, sources)?;
        let tools: Arc<dyn Toolbox> = Arc::new(RecordedTools::of(records, SessionTools::of(&self.tools, plan)?)?);
        let past = Past::own(records)?.map(Arc::new);
        while let Some(next) = records.get(state.seq.index()) {
            let scheduler = Scheduler::resume(state.clone(), judge.clone(), tools.clone()).reusing(past.clone());
            if is_whole(scheduler, &records[state.seq.index()..]) {
                break;
            }
            state.apply(next)?;
        }
        if state.finished.is_some() {
            let end = records.iter().position(|record| matches!(record.event, Event::Finished(_))).unwrap_or(0);
            let why = format!("the session is over at record {at}; choose one before {end}, which ends it");
            return Err(EngineError::Fork(why));
        }
        Ok(state)
    }

    /// The changes as a fact, checked against the plan.
    fn forked(&self, state: &State, from: Point, changes: Changes) -> Result<Forked, EngineError> {
        let redactor = self.env.redactor();
        let plan = &state.started.plan;
        let takes = self.inputs_of(&state.started);
        let mut inputs = Map::new();
        for (name, value) in redactor.map(changes.inputs) {
            let known: BTreeSet<&str> = state.started.inputs.keys().chain(plan.inputs.keys()).map(String::as_str).collect();
            if !known.contains(name.as_str()) {
                return Err(unknown("input", &name, &known));
            }
            let value = self.input(&takes, plan, &name, value)?;
            inputs.insert(name, value);
        }
        let known = variables(plan, state);
        for name in changes.variables.keys() {
            if !known.contains(name.as_str()) {
                return Err(unknown("variable", name, &known));
            }
        }
        let variables = redactor.map(changes.variables);
        let task = changes.task.map(|task| Arc::from(redactor.text(&task)));
        Ok(Forked { from, task, inputs, variables, meanwhile: Vec::new() })
    }
}

/// Whether a session stands whole between the records before and those that are `left`: whoever goes on from there comes to these.
/// In the middle of what one step of the scheduler says, something would be left out, or said twice.
fn is_whole(mut scheduler: Scheduler, left: &[Record]) -> bool {
    let (now, at) = (scheduler.state().now, left.first().map(|record| record.at));
    if at != Some(now) || left.first().is_none_or(|next| begins(scheduler.state(), next)) {
        return true;
    }
    let Ok(step) = scheduler.on(now, []) else { return false };
    !step.records.is_empty() && step.records.len() <= left.len() && step.records.iter().zip(left).all(|(is, was)| alike(is, was))
}

/// Whether two records say the same; what a request looked like depends on the tools of the machine, and decides nothing.
fn alike(one: &Record, two: &Record) -> bool {
    match (&one.event, &two.event) {
        (Event::TurnStarted { node, turn, .. }, Event::TurnStarted { node: other, turn: same, .. }) => {
            node == other && turn == same
        }
        (one, two) => one == two,
    }
}

/// The record that says where a session parts.
fn fact(after: Seq, at: Timestamp, forked: &Forked) -> Record {
    Record { seq: after.next(), at, event: Event::Forked(Box::new(forked.clone())) }
}

/// What came of a call in flight, as the records after it say.
fn became(key: Key, later: &[Record]) -> Option<Arc<str>> {
    let result = later.iter().find_map(|record| match (&record.event, key.call) {
        (Event::ToolReturned { node, turn, call, result }, Some(own)) if (*node, *turn, *call) == (key.node, key.turn, own) => {
            Some(result.outcome.clone())
        }
        (Event::NodeEnded { node, outcome: Outcome::Ok(value) }, None) if *node == key.node => Some(Ok(value.clone())),
        (Event::NodeEnded { node, outcome: Outcome::Failed(failure) }, None) if *node == key.node => {
            Some(Err((**failure).clone()))
        }
        _ => None,
    })?;
    let words = match result {
        Ok(value) => format!("there it returned {value}"),
        Err(failure) => format!("there it failed: {failure}"),
    };
    Some(cut(&Arc::from(words), SHOWN))
}

/// The variables that somebody in the session's own team may write or has written.
fn variables<'s>(plan: &'s Plan, state: &'s State) -> BTreeSet<&'s str> {
    let nodes = plan.graphs.iter().filter(|graph| graph.team.0 == 0).flat_map(|graph| graph.dag.node_weights());
    let members = plan.teams.first().into_iter().flat_map(|team| team.members.iter().chain(&team.coordinator));
    let declared = nodes.flat_map(|node| &node.writes).chain(members.flat_map(|member| &member.writes));
    let written = state.context.writes.keys().chain(state.context.given.keys());
    declared.map(|write| &*write.variable).chain(written.map(|name| &**name)).collect()
}

fn unknown(what: &str, name: &str, known: &BTreeSet<&str>) -> EngineError {
    let all: Vec<&str> = known.iter().copied().collect();
    let hint = did_you_mean(name, all.iter().copied())
        .unwrap_or_else(|| if all.is_empty() { "it has none".to_owned() } else { format!("it has {}", all.join(", ")) });
    EngineError::Fork(format!("the session has no {what} {name}; {hint}"))
}
