//! How does one run go in virtual time? [`run`] performs what the real scheduler wants by drawing how long it takes and what comes of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{agents::Agents, assume::Assumed, random::Random};
use crate::{
    event::{Ask, Effect, Input, Key, Record, Started},
    schedule::Scheduler,
    state::{FoldError, State},
    turn::Toolbox,
    value::{AskId, Failure, FailureKind, Judge, Timestamp, Value},
};

/// Steps of a run at most: one that takes more is broken off.
const STEPS: usize = 200_000;
/// When every run begins: later than any deadline reaches back.
const BEGIN: Timestamp = Timestamp(0);

/// A run under way.
struct World<'a> {
    scheduler: Scheduler,
    agents: Agents<'a>,
    assumed: &'a Assumed,
    random: &'a mut Random,
    now: Timestamp,
    /// What will arrive, by time and order.
    queue: BTreeMap<(Timestamp, u64), Input>,
    arrivals: u64,
    flying: BTreeSet<Key>,
    records: Vec<Record>,
}

/// The records of a run that goes as chance says.
pub(super) fn run(
    started: Started,
    judge: Arc<dyn Judge>,
    tools: Arc<dyn Toolbox>,
    agents: Agents<'_>,
    assumed: &Assumed,
    random: &mut Random,
) -> Result<Vec<Record>, FoldError> {
    let (scheduler, step) = Scheduler::start(BEGIN, started, judge, tools)?;
    let (queue, flying) = (BTreeMap::new(), BTreeSet::new());
    let mut world = World { scheduler, agents, assumed, random, now: BEGIN, queue, arrivals: 0, flying, records: step.records };
    world.perform(step.effects);
    for _ in 0..STEPS {
        if world.scheduler.state().finished.is_some() || !world.step()? {
            break;
        }
    }
    Ok(world.records)
}

impl World<'_> {
    /// Takes what comes next; whether anything does.
    fn step(&mut self) -> Result<bool, FoldError> {
        let arrival = self.queue.first_key_value().map(|((at, _), _)| *at);
        let Some(at) = arrival.into_iter().chain(self.scheduler.next_timer()).min() else { return Ok(false) };
        self.now = at.max(self.now);
        let due = self.queue.first_key_value().is_some_and(|((due, _), _)| *due <= self.now);
        let input = if due { self.queue.pop_first().map(|(_, input)| input) } else { None };
        let input = input.unwrap_or(Input::Tick);
        if let Input::Replied { key, .. } | Input::Returned { key, .. } = &input {
            self.flying.remove(key);
        }
        let step = self.scheduler.on(self.now, [input])?;
        self.records.extend(step.records);
        self.perform(step.effects);
        Ok(true)
    }

    fn arrive(&mut self, millis: f64, input: Input) {
        self.arrivals += 1;
        let after = Duration::try_from_secs_f64(millis.max(0.0) / 1e3).unwrap_or(Duration::MAX);
        self.queue.insert((self.now.after(after), self.arrivals), input);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Model(call) => {
                    let timing = self.assumed.of_model(&call.request.profile.model);
                    let (millis, fails) = (timing.millis.draw(self.random), self.random.chance(timing.fails));
                    let reply = match fails {
                        true => Err(Failure::new(FailureKind::Transport, "the model fails by chance")),
                        false => Ok(Arc::new(self.agents.reply(&call, self.random))),
                    };
                    self.flying.insert(call.key);
                    self.arrive(millis, Input::Replied { key: call.key, reply });
                }
                Effect::Tool(call) => {
                    let timing = self.assumed.of_tool(&call.tool);
                    let (millis, fails) = (timing.millis.draw(self.random), self.random.chance(timing.fails));
                    let result = match fails {
                        true => Err(Failure::new(FailureKind::Tool, "the tool fails by chance")),
                        false => Ok(Value::map([("simulated", Value::from(format!("{} {}", call.tool, self.arrivals)))])),
                    };
                    self.flying.insert(call.key);
                    self.arrive(millis, Input::Returned { key: call.key, result });
                }
                Effect::Cancel(key) => {
                    self.queue.retain(
                        |_, input| !matches!(input, Input::Replied { key: k, .. } | Input::Returned { key: k, .. } if *k == key),
                    );
                    if self.flying.remove(&key) {
                        let result = Err(Failure::new(FailureKind::Cancelled, "stopped"));
                        self.arrive(0.0, Input::Returned { key, result });
                    }
                }
                Effect::Notify(notice) => self.arrive(0.0, Input::Notified { ask: notice.ask, nth: notice.nth, result: Ok(()) }),
                Effect::Ask(ask) => self.ask(ask),
                Effect::Tell { .. } => {}
            }
        }
    }

    /// Somebody answers, in time or too late.
    fn ask(&mut self, id: AskId) {
        let millis = self.assumed.people.draw(self.random);
        let state = self.scheduler.state();
        let Some(value) = state.asks.get(&id).and_then(|ask| answer(state, ask, self.random)) else { return };
        let after = Duration::try_from_secs_f64(millis / 1e3).unwrap_or(Duration::MAX);
        let at = self.now.after(after);
        self.arrive(millis, Input::Answered { ask: id, value, by: Arc::from("a person"), at });
    }
}

/// An answer that a question takes; `None`: none of the usual ones.
fn answer(state: &State, ask: &Ask, random: &mut Random) -> Option<Value> {
    let option = random.one(&ask.options).map(|option| Value::Text(option.clone()));
    let usual = [Value::text("go on"), Value::Bool(true), Value::map::<String>([])];
    option.into_iter().chain(usual).find(|value| state.check_answer(ask.id, value).is_ok())
}
