//! How does a session run in virtual time? [`Run`] performs effects by asking a [`World`], and checks what must always hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::Arc,
    time::Duration,
};

use super::judge::TestTools;
use super::synod::{
    event::{Ask, AskOutcome, Effect, Event, Input, Key, ModelCall, Notice, Outcome, Record, Started, ToolCall},
    graph::Plan,
    schedule::{Scheduler, Step},
    state::{FoldError, State},
    value::{AskId, EffectClass, Epoch, Failure, FailureKind, FormAnswer, Judge, Reply, Seq, SessionId, Timestamp, Value},
};

/// What the world does about an effect: after how many milliseconds, and what. More than one entry is a duplicate, none a
/// call that never returns.
pub trait World {
    /// A model is asked.
    fn model(&mut self, call: &ModelCall) -> Vec<(u64, Result<Reply, Failure>)>;
    /// A tool is called.
    fn tool(&mut self, call: &ToolCall) -> Vec<(u64, Result<Value, Failure>)>;
    /// A call is cancelled: after how many milliseconds it has stopped.
    fn cancel(&mut self, key: Key) -> u64;
    /// A person is asked in that attempt of the node of that path: after how many milliseconds somebody says what.
    fn ask(&mut self, _ask: &Ask, _path: &str, _attempt: u32) -> Vec<(u64, Value)> {
        Vec::new()
    }
    /// A person is to be told of a question: after how many milliseconds that is done, or has failed.
    fn notify(&mut self, _notice: &Notice) -> Vec<(u64, Result<(), Failure>)> {
        vec![(100, Ok(()))]
    }
}

/// A fault in the harness, to show that it would be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The journal loses a record that is no intent.
    LoseRecord,
    /// The journal has a record twice.
    RepeatRecord,
    /// What is in doubt after an outage is done again.
    RepeatInDoubt,
    /// What is cancelled stops without a word.
    SilentStop,
}

/// Something that must always hold did not.
pub type Violation = String;

/// A call that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// When, in milliseconds.
    pub at: i64,
    /// Which.
    pub key: Key,
    /// For which node.
    pub path: Arc<str>,
    /// The tool; empty for a model.
    pub tool: Arc<str>,
    /// What repeating it would do.
    pub effect: EffectClass,
    /// With what.
    pub args: Value,
}

/// A session under test.
pub struct Run<W> {
    /// Its world.
    pub world: W,
    /// It.
    pub scheduler: Scheduler,
    /// What was appended.
    pub records: Vec<Record>,
    /// Virtual time.
    pub now: Timestamp,
    /// Every call that was made, in order.
    pub made: Vec<Made>,
    /// Questions that were shown.
    pub shown: BTreeSet<AskId>,
    /// Who was told of questions, in order.
    pub notices: Vec<Notice>,
    /// Of these, those that no process before this one told.
    telling: BTreeSet<(AskId, u32)>,
    judge: Arc<dyn Judge>,
    queue: BTreeMap<(Timestamp, u64), Input>,
    arrivals: u64,
    /// The answer that was read last: what came of it may not be on record yet.
    unacknowledged: Option<((Timestamp, u64), Input)>,
    flying: BTreeSet<Key>,
    epoch: u32,
    /// What the harness does wrong.
    pub sabotage: Option<Sabotage>,
    /// What calls in flight were told of people's answers.
    pub told: Vec<(Key, u32, FormAnswer)>,
    /// What the scheduler was given, with the time.
    pub given: Vec<(Timestamp, Input)>,
}

/// What a session of tests starts from.
pub fn started(plan: Plan) -> Started {
    Started::new(SessionId(uuid::Uuid::nil()), "test", "the task", plan.inputs.clone(), plan)
}

fn broken(error: FoldError) -> Violation {
    format!("the scheduler broke: {error}")
}

impl<W: World> Run<W> {
    /// Starts a session at time 0.
    pub fn start(plan: Plan, judge: Arc<dyn Judge>, world: W) -> Result<Self, Violation> {
        Self::start_from(started(plan), judge, world)
    }

    /// Starts that session at time 0.
    pub fn start_from(started: Started, judge: Arc<dyn Judge>, world: W) -> Result<Self, Violation> {
        let now = Timestamp(0);
        let (scheduler, step) = Scheduler::start(now, started, judge.clone(), Arc::new(TestTools)).map_err(broken)?;
        let mut run = Self {
            world,
            scheduler,
            records: Vec::new(),
            now,
            made: Vec::new(),
            shown: BTreeSet::new(),
            notices: Vec::new(),
            telling: BTreeSet::new(),
            judge,
            queue: BTreeMap::new(),
            arrivals: 0,
            unacknowledged: None,
            flying: BTreeSet::new(),
            epoch: 0,
            sabotage: None,
            told: Vec::new(),
            given: Vec::new(),
        };
        run.absorb(step)?;
        Ok(run)
    }

    /// Where it stands.
    pub fn state(&self) -> &State {
        self.scheduler.state()
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.state().finished.is_some()
    }

    /// What happens next: at which time.
    pub fn next_at(&self) -> Option<Timestamp> {
        let arrival = self.queue.first_key_value().map(|((at, _), _)| *at);
        let timer = self.scheduler.next_timer();
        arrival.into_iter().chain(timer).min().map(|at| at.max(self.now))
    }

    /// Takes the next input and returns what comes of it, effects not performed yet; `None` when nothing is to come.
    pub fn poll(&mut self) -> Result<Option<Step>, Violation> {
        let Some(at) = self.next_at() else { return Ok(None) };
        self.now = at;
        let input = match self.queue.first_key_value() {
            Some(((due, _), _)) if *due <= at => self.queue.pop_first().map(|(place, input)| {
                self.unacknowledged = matches!(input, Input::Answered { .. }).then(|| (place, input.clone()));
                input
            }),
            Some(_) | None => None,
        };
        let input = input.unwrap_or(Input::Tick);
        if let Input::Replied { key, .. } | Input::Returned { key, .. } = &input {
            self.flying.remove(key);
        }
        self.given.push((self.now, input.clone()));
        self.scheduler.on(self.now, [input]).map(Some).map_err(broken)
    }

    /// One step; whether there was one.
    pub fn step(&mut self) -> Result<bool, Violation> {
        let Some(step) = self.poll()? else { return Ok(false) };
        self.absorb(step)?;
        Ok(true)
    }

    /// Performs what may leave before its intent is on record.
    pub fn perform_free(&mut self, effects: Vec<Effect>) -> Result<(), Violation> {
        let free = effects.into_iter().filter(|effect| match effect {
            Effect::Model(call) => call.free,
            Effect::Tool(call) => call.effect == EffectClass::Read,
            Effect::Cancel(_) | Effect::Ask(_) | Effect::Notify(_) | Effect::Tell { .. } => false,
        });
        self.perform(free.collect())
    }

    /// Runs until it is over or waits for people only.
    pub fn run(&mut self) -> Result<(), Violation> {
        for _ in 0..100_000 {
            let asks_only = self.state().parked && self.queue.is_empty();
            if self.is_over() || asks_only || !self.step()? {
                return Ok(());
            }
        }
        Err("it does not end".to_owned())
    }

    /// Runs until a time in milliseconds, or until nothing is to come.
    pub fn run_until(&mut self, millis: i64) -> Result<(), Violation> {
        let until = Timestamp(millis * 1000);
        while self.next_at().is_some_and(|at| at <= until) && self.step()? {}
        self.now = self.now.max(until);
        Ok(())
    }

    /// Something arrives now.
    pub fn give(&mut self, input: Input) -> Result<(), Violation> {
        self.given.push((self.now, input.clone()));
        let step = self.scheduler.on(self.now, [input]).map_err(broken)?;
        self.absorb(step)
    }

    /// A person answers.
    pub fn answer(&mut self, ask: AskId, value: &str) -> Result<(), Violation> {
        self.give(Input::Answered { ask, value: Value::text(value), by: Arc::from("ann"), at: self.now })
    }

    /// Appends what a step says and performs its effects.
    pub fn absorb(&mut self, step: Step) -> Result<(), Violation> {
        self.append(step.records);
        self.perform(step.effects)?;
        self.check()
    }

    /// Appends records.
    pub fn append(&mut self, mut records: Vec<Record>) {
        let ended = records.iter().position(|r| matches!(r.event, Event::NodeEnded { .. }));
        match (self.sabotage, ended) {
            (Some(Sabotage::LoseRecord), Some(at)) => {
                records.remove(at);
            }
            (Some(Sabotage::RepeatRecord), Some(at)) => records.insert(at, records[at].clone()),
            (_, _) => {}
        }
        let first = self.records.len() as u64;
        if self.sabotage.is_some() {
            (first..).zip(&mut records).for_each(|(seq, record)| record.seq = Seq(seq));
        }
        self.records.extend(records);
    }

    /// Performs effects.
    pub fn perform(&mut self, effects: Vec<Effect>) -> Result<(), Violation> {
        for effect in effects {
            match effect {
                Effect::Model(call) => {
                    let path = call.request.node.clone();
                    self.made_call(call.key, path, Arc::from(""), EffectClass::Read, Value::Null)?;
                    for (wait, reply) in self.world.model(&call) {
                        self.arrive(wait, Input::Replied { key: call.key, reply: reply.map(Arc::new) });
                    }
                }
                Effect::Tool(call) => {
                    self.made_call(call.key, call.path.clone(), call.tool.clone(), call.effect, call.args.clone())?;
                    for (wait, result) in self.world.tool(&call) {
                        self.arrive(wait, Input::Returned { key: call.key, result });
                    }
                }
                Effect::Cancel(key) if self.sabotage == Some(Sabotage::SilentStop) => {
                    self.flying.remove(&key);
                }
                Effect::Cancel(key) => {
                    let theirs = |input: &Input| matches!(input, Input::Replied { key: k, .. } | Input::Returned { key: k, .. } if *k == key);
                    self.queue.retain(|_, input| !theirs(input));
                    let wait = if self.flying.insert(key) { 0 } else { self.world.cancel(key) };
                    let result = Err(Failure::new(FailureKind::Cancelled, "stopped"));
                    self.arrive(wait, Input::Returned { key, result });
                }
                Effect::Tell { key, nth, answer } => self.told.push((key, nth, answer)),
                Effect::Notify(notice) => {
                    if !self.telling.insert((notice.ask, notice.nth)) {
                        return Err(format!("{} is told a second time by the same process", notice.key));
                    }
                    for (wait, result) in self.world.notify(&notice) {
                        self.arrive(wait, Input::Notified { ask: notice.ask, nth: notice.nth, result });
                    }
                    self.notices.push(notice);
                }
                Effect::Ask(id) => {
                    self.shown.insert(id);
                    let Some(ask) = self.state().asks.get(&id).cloned() else { continue };
                    let path = self.state().path(ask.node);
                    let attempt = self.state().nodes[ask.node.index()].attempt;
                    for (wait, value) in self.world.ask(&ask, &path, attempt) {
                        let at = self.now.after(Duration::from_millis(wait));
                        self.arrive(wait, Input::Answered { ask: id, value, by: Arc::from("ann"), at });
                    }
                }
            }
        }
        Ok(())
    }

    fn made_call(&mut self, key: Key, path: Arc<str>, tool: Arc<str>, effect: EffectClass, args: Value) -> Result<(), Violation> {
        if !self.flying.insert(key) {
            return Err(format!("{path} is called while its call {key:?} is in flight"));
        }
        self.made.push(Made { at: self.now.0 / 1000, key, path, tool, effect, args });
        Ok(())
    }

    /// Lets an input arrive after some milliseconds.
    pub fn arrive(&mut self, millis: u64, input: Input) {
        self.arrivals += 1;
        self.queue.insert((self.now.after(Duration::from_millis(millis)), self.arrivals), input);
    }

    /// The process dies, with all that is in flight, and another takes over from what was appended, some time later. What
    /// people answer lies in the mail: the next owner finds what was given meanwhile.
    pub fn crash(&mut self, outage_millis: u64) -> Result<(), Violation> {
        self.queue.retain(|_, input| matches!(input, Input::Answered { .. }));
        self.queue.extend(self.unacknowledged.take());
        self.flying.clear();
        self.telling.clear();
        self.now = self.now.after(Duration::from_millis(outage_millis));
        let later = self.queue.split_off(&(self.now, u64::MAX));
        let mail: Vec<Input> = std::mem::replace(&mut self.queue, later).into_values().collect();
        let state = State::fold(&self.records).map_err(|e| format!("the journal does not fold: {e}"))?;
        let counts = |input: &Input| match input {
            Input::Answered { ask, value, at, .. } => {
                let in_time = state.asks.get(ask)?.deadline.is_none_or(|deadline| *at < deadline);
                (in_time && state.finished.is_none() && state.check_answer(*ask, value).is_ok()).then_some(*ask)
            }
            Input::Replied { .. }
            | Input::Returned { .. }
            | Input::Elicited { .. }
            | Input::Notified { .. }
            | Input::Cancel { .. }
            | Input::Resume { .. }
            | Input::Tick => None,
        };
        let answered: BTreeSet<AskId> = mail.iter().filter_map(counts).collect();
        self.scheduler = Scheduler::resume(state, self.judge.clone(), Arc::new(TestTools));
        self.epoch += 1;
        let in_doubt = if self.sabotage == Some(Sabotage::RepeatInDoubt) { self.scheduler.outstanding() } else { Vec::new() };
        let resume = [Input::Resume { epoch: Epoch(self.epoch) }];
        let step = self.scheduler.on(self.now, resume.into_iter().chain(mail).chain([Input::Tick])).map_err(broken)?;
        let heard = |asked: &AskId| {
            let closes =
                |event: &Event| matches!(event, Event::AskClosed { ask, outcome: AskOutcome::Answered { .. } } if ask == asked);
            step.records.iter().any(|record| closes(&record.event))
        };
        if let Some(lost) = answered.iter().find(|ask| !heard(ask)) {
            return Err(format!("the answer to q{lost}, given in time, is lost"));
        }
        self.append(step.records);
        let late = self.state().late.iter().copied().map(Effect::Cancel).collect();
        self.perform(late)?;
        let mut outstanding = self.scheduler.outstanding();
        outstanding.retain(|effect| !matches!(effect, Effect::Ask(ask) if self.shown.contains(ask)));
        self.perform(outstanding)?;
        for effect in in_doubt {
            if let Effect::Tool(call) = effect
                && call.effect == EffectClass::Irreversible
            {
                self.world.tool(&call);
            }
        }
        self.check()
    }

    /// What must hold after each step.
    pub fn check(&mut self) -> Result<(), Violation> {
        let again = self.scheduler.on(self.now, []).map_err(broken)?;
        if !again.records.is_empty() || !again.effects.is_empty() {
            return Err(format!("a settled state settles to {:?}", again.records));
        }
        let state = self.scheduler.state();
        let calls = self.scheduler.outstanding().into_iter().filter_map(|effect| match effect {
            Effect::Model(call) => Some(call.key),
            Effect::Tool(call) => Some(call.key),
            Effect::Cancel(_) | Effect::Ask(_) | Effect::Notify(_) | Effect::Tell { .. } => None,
        });
        let calls: BTreeSet<Key> = calls.collect();
        if state.finished.is_some() && !calls.is_empty() {
            return Err(format!("it is over with {calls:?} in flight"));
        }
        if let Some(both) = calls.intersection(&state.late).next() {
            return Err(format!("{both:?} is outstanding and late"));
        }
        let expected: BTreeSet<Key> = calls.union(&state.late).copied().collect();
        if expected != self.flying {
            return Err(format!("in flight are {:?}, outstanding or late {expected:?}", self.flying));
        }
        if state.in_flight() as usize != calls.len() {
            return Err(format!("{} slots are held by {} calls", state.in_flight(), calls.len()));
        }
        if let Some(full) = state.ready.limiters().iter().find(|l| l.in_flight > l.limit) {
            return Err(format!("a limiter is exceeded: {full:?}"));
        }
        if let Some(untold) = state.notices.iter().find(|(ask, nth)| !self.telling.contains(&(**ask, **nth))) {
            return Err(format!("{untold:?} is to be told to somebody and nobody does"));
        }
        if let Some((ask, _)) = state.notices.iter().find(|(ask, _)| !state.asks.contains_key(ask)) {
            return Err(format!("q{ask} is not open, and somebody is to be told of it"));
        }
        let open: BTreeSet<AskId> = state.asks.keys().copied().collect();
        if !open.is_subset(&self.shown) {
            return Err(format!("{open:?} are open, {:?} were shown", self.shown));
        }
        Ok(())
    }

    /// The journal tells the state that it stands in.
    pub fn check_fold(&self) -> Result<(), Violation> {
        let folded = State::fold(&self.records).map_err(|e| format!("the journal does not fold: {e}"))?;
        if &folded == self.state() { Ok(()) } else { Err("the journal tells another state".to_owned()) }
    }

    /// How every node ended, by path, in order of paths; one line each.
    pub fn outcomes(&self) -> String {
        let state = self.state();
        let nodes = (0..state.nodes.len() as u32).map(super::synod::value::NodeIx);
        let mut by_path: BTreeMap<String, String> = BTreeMap::new();
        for node in nodes {
            let text = match state.outcome(node) {
                Some(Outcome::Ok(value)) => format!("ok {value}"),
                Some(Outcome::Failed(failure)) => format!("failed {}", failure.kind.name()),
                Some(Outcome::Skipped(skip)) => format!("skipped {skip:?}").to_lowercase(),
                Some(Outcome::Cancelled) => "cancelled".to_owned(),
                None => format!("{:?}", state.nodes[node.index()].stand).to_lowercase(),
            };
            by_path.insert(state.path(node).to_string(), text);
        }
        by_path.iter().fold(String::new(), |mut text, (path, outcome)| {
            let _ = writeln!(text, "{path}: {outcome}");
            text
        })
    }

    /// The paths of the calls made, in order, with the time in seconds.
    pub fn calls(&self) -> String {
        self.made.iter().map(|m| format!("{}@{}", m.path, m.at as f64 / 1000.0)).collect::<Vec<_>>().join(" ")
    }

    /// How it ended, and with what.
    pub fn result(&self) -> String {
        self.state().finished.as_ref().map_or_else(
            || self.state().status().name().to_owned(),
            |finished| format!("{} {}", finished.status.name(), finished.output),
        )
    }

    /// The names of the events, in order.
    pub fn events(&self) -> Vec<&Event> {
        self.records.iter().map(|r| &r.event).collect()
    }
}
