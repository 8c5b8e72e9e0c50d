//! What do the shipped teams promise, whoever their agents are? [`bounded`] lets every agent do its worst; [`shuffled`] lets things
//! arrive in other orders.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use synod::{
    engine::{Engine, Prepared},
    event::{Ask, Key, ModelCall, ToolCall},
    graph::Limits,
    team::Overrides,
    value::{Call, Failure, FailureKind, Reply, Request, Role, Timestamp, Usage, Usd, Value, is_offline},
};

use crate::{
    life::{Told, again, telling, within},
    random::Random,
    world::{Run, Violation, World, hash},
};

/// A team of the library, ready to run.
pub struct Shipped {
    prepared: Prepared,
    /// Whether the order of arrival may change its result, as its plan says.
    ordered: bool,
}

impl Shipped {
    /// The team of that name.
    pub fn load(name: &str) -> Self {
        static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::builder().workspace(env!("CARGO_MANIFEST_DIR")).build());
        let prepared = ENGINE.load(name, &Overrides::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let ordered = !ENGINE.review(&prepared).order_sensitive.is_empty();
        Self { prepared, ordered }
    }

    /// Everybody who may speak in it or in a team inside it.
    fn roles(&self) -> Vec<Role> {
        let teams = self.prepared.plan.teams.iter();
        let mut roles: Vec<Role> =
            teams.flat_map(|team| team.members.iter().chain(&team.coordinator)).map(|m| m.role.clone()).collect();
        roles.sort();
        roles.dedup();
        roles
    }
}

/// How an agent does its worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worst {
    /// It never finishes.
    NeverFinishes,
    /// It asks colleagues, again and again.
    AlwaysAsks,
    /// It hands its work on, wherever it may.
    HandsOff,
    /// It writes to everybody, as often as it may.
    Floods,
    /// It says the opposite of what it said, and objects to everything.
    Contradicts,
    /// It delegates to whoever delegated to it.
    Delegates,
    /// It fails.
    Fails,
    /// It is never sure, and calls for help.
    Escalates,
    /// It calls what is not there, with what does not fit.
    Babbles,
    /// Whatever comes to its mind.
    AtRandom,
}

const WORST: [Worst; 10] = [
    Worst::NeverFinishes,
    Worst::AlwaysAsks,
    Worst::HandsOff,
    Worst::Floods,
    Worst::Contradicts,
    Worst::Delegates,
    Worst::Fails,
    Worst::Escalates,
    Worst::Babbles,
    Worst::AtRandom,
];

/// A world in which what an agent says depends on what it reads, and how long it takes on chance.
struct Adversaries {
    seed: u64,
    roles: Vec<Role>,
    /// Who does what; others do what the seed says.
    all: Option<Worst>,
    pace: Random,
    /// Whether every call takes as long as it may, or for ever.
    full: bool,
    /// How many calls a turn may have.
    calls: u64,
}

impl Adversaries {
    fn draw(&self, what: &str) -> Random {
        Random::new(hash(&format!("{}/{what}", self.seed)))
    }

    fn worst(&self, request: &Request, random: &mut Random) -> Worst {
        let kind = self.all.unwrap_or_else(|| *self.draw(request.role.as_str()).one(&WORST));
        match kind {
            Worst::AtRandom if random.percent(4) => Worst::Fails,
            Worst::AtRandom => {
                *random.one(&WORST[..9].iter().copied().filter(|worst| *worst != Worst::Fails).collect::<Vec<_>>())
            }
            other => other,
        }
    }

    fn wait(&mut self, most: u64) -> u64 {
        if self.pace.percent(10) { 0 } else { self.pace.below(most) }
    }

    fn say(&self, request: &Request, attempt: u32) -> Result<Reply, Failure> {
        let said: String = request.thread.iter().map(|entry| format!("{entry:?}")).collect();
        let about = format!("{} {} {} {attempt} {} {said}", request.node, request.phase, request.turn, request.context);
        let mut random = self.draw(&about);
        let worst = self.worst(request, &mut random);
        if worst == Worst::Fails {
            let kinds = [FailureKind::Transport, FailureKind::Model, FailureKind::RateLimit];
            return Err(Failure::new(*random.one(&kinds), "it does its worst"));
        }
        let has = |tool: &str| request.tools.iter().any(|spec| &*spec.name == tool);
        let count = 1 + random.below(self.calls + 2);
        let calls: Vec<(Arc<str>, Value)> = (0..count).map(|_| self.call(worst, request, &mut random)).collect();
        // What it would finish with, where that is the only way in which it can do harm.
        let ends = match worst {
            Worst::Contradicts | Worst::Escalates => random.percent(40),
            Worst::HandsOff => !has("handoff") || random.percent(10),
            Worst::Delegates => !has("delegate") || random.percent(10),
            Worst::AlwaysAsks => !has("ask_agent") && random.percent(50),
            Worst::Floods => random.percent(20),
            Worst::NeverFinishes | Worst::Fails | Worst::Babbles | Worst::AtRandom => false,
        };
        let mut reply = Reply::default();
        if !is_offline(&request.profile.model) {
            reply.usage = Usage { input: 10, cached: 0, output: 5, cost: Usd(0) };
        }
        if ends {
            reply.finish = Some(result(&mut random));
        } else {
            let named = calls.into_iter().enumerate();
            reply.calls = named.map(|(n, (tool, args))| Call { id: Arc::from(format!("call_{n}")), tool, args }).collect();
        }
        Ok(reply)
    }

    fn call(&self, worst: Worst, request: &Request, random: &mut Random) -> (Arc<str>, Value) {
        let words = |random: &mut Random| Value::from(format!("words {}", random.bits()));
        let whom = |random: &mut Random| Value::text(random.one(&self.roles).as_str());
        let (tool, args) = match worst {
            Worst::NeverFinishes | Worst::Fails | Worst::AtRandom => {
                let tools: Vec<&str> =
                    request.profile.allowed_tools.iter().map(|tool| &**tool).filter(|tool| !tool.contains('*')).collect();
                let tool = if tools.is_empty() { "read" } else { *random.one(&tools) };
                (tool, Value::map([("path", words(random))]))
            }
            Worst::AlwaysAsks => ("ask_agent", Value::map([("to", whom(random)), ("question", words(random))])),
            Worst::HandsOff => {
                let brief = Value::map([
                    ("goal", words(random)),
                    ("done", Value::list([words(random)])),
                    ("open", Value::list([words(random)])),
                    ("constraints", if random.percent(50) { Value::list([words(random)]) } else { Value::list([]) }),
                ]);
                match random.below(4) {
                    0 => ("acknowledge", Value::map([("constraints", constraints(request))])),
                    _ => ("handoff", Value::map([("to", whom(random)), ("brief", brief)])),
                }
            }
            Worst::Floods => {
                let to = if random.percent(60) { Value::text("all") } else { whom(random) };
                let kind = Value::text(random.one(&["note", "question", "response"]));
                ("send_message", Value::map([("to", to), ("content", words(random)), ("type", kind)]))
            }
            Worst::Contradicts => {
                let claim = [
                    ("topic", Value::text(random.one(&["culprit", "t", "u"]))),
                    ("claim", words(random)),
                    ("value", Value::text(random.one(&["x", "y", "z"]))),
                    ("confidence", Value::Float(*random.one(&[0.3, 0.6, 0.9]))),
                ];
                ("broadcast_finding", Value::map(claim))
            }
            Worst::Delegates => {
                let ids = ["one", "two", "three", "four", "five"];
                let count = 1 + random.below(5) as usize;
                let task = |n: usize, random: &mut Random| {
                    let mut task = vec![("id", Value::text(ids[n])), ("agent", whom(random)), ("task", words(random))];
                    if random.percent(30) {
                        task.push(("depends_on", Value::list([Value::text(random.one(&ids))])));
                    }
                    Value::map(task)
                };
                ("delegate", Value::map([("subtasks", Value::list((0..count).map(|n| task(n, random))))]))
            }
            Worst::Escalates => ("escalate", Value::map([("reason", words(random)), ("question", words(random))])),
            Worst::Babbles => match random.below(5) {
                0 => ("missing", Value::Null),
                1 => ("finish", Value::map([("bad", Value::Int(1))])),
                2 => ("send_message", Value::map([("to", Value::text("nobody")), ("content", Value::Null)])),
                3 => ("set_variable", Value::map([("variable", words(random)), ("value", words(random))])),
                _ => ("read", Value::map([("bad", words(random))])),
            },
        };
        (Arc::from(tool), args)
    }
}

/// The constraints of the brief that a request shows, if any.
fn constraints(request: &Request) -> Value {
    let brief = request.context.get("handoff").and_then(|handoff| handoff.get("brief"));
    brief.and_then(|brief| brief.get("constraints")).cloned().unwrap_or_else(|| Value::list([]))
}

fn result(random: &mut Random) -> Value {
    Value::map([
        ("value", Value::text(random.one(&["x", "y", "z"]))),
        ("vote", Value::text(random.one(&["object", "object", "approve", "abstain"]))),
        ("reason", Value::from(format!("{}", random.bits()))),
        ("confidence", Value::Float(*random.one(&[0.1, 0.4, 0.9]))),
        // What the graphs among the shipped teams read of a result; without it they end where they begin.
        ("notes", Value::from("words ".repeat(random.below(60) as usize))),
        ("approved", Value::Bool(random.percent(80))),
    ])
}

impl World for Adversaries {
    fn model(&mut self, call: &ModelCall) -> Vec<(u64, Result<Reply, Failure>)> {
        let reply = self.say(&call.request, call.key.attempt);
        if self.full && self.pace.percent(25) {
            return Vec::new();
        }
        let wait = self.wait(if self.full { 60_000 } else { 2_000 });
        vec![(wait, reply)]
    }

    fn tool(&mut self, call: &ToolCall) -> Vec<(u64, Result<Value, Failure>)> {
        let mut random = self.draw(&format!("{} {:?} {}", call.path, call.key, call.args));
        let result = match random.below(6) {
            0 => Err(Failure::new(FailureKind::Tool, "by chance")),
            _ => Ok(Value::from(format!("{}", random.bits()))),
        };
        if self.full && self.pace.percent(25) {
            let limit = call.timeout.map_or(0, |t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX));
            return vec![(limit.saturating_sub(1), result)];
        }
        let wait = self.wait(2_000);
        vec![(wait, result)]
    }

    fn cancel(&mut self, _: Key) -> u64 {
        self.wait(1_000)
    }

    fn ask(&mut self, ask: &Ask, path: &str, attempt: u32) -> Vec<(u64, Value)> {
        let mut random = self.draw(&format!("{path} {attempt} {} {:?}", ask.question, ask.purpose));
        let orders = |option: &Arc<str>| self.full && matches!(&**option, "retry" | "not_happened");
        let open: Vec<&Arc<str>> = ask.options.iter().filter(|option| !orders(option)).collect();
        let answer = if open.is_empty() { "go on" } else { random.one(&open) };
        vec![(0, Value::text(answer))]
    }
}

/// A run of the team in which everybody does its worst: it ends, and within the bounds that `synod plan` prints. With its limits and
/// detectors in a part of the seeds, without them in the others.
pub fn bounded(shipped: &Shipped, seed: u64) -> Result<Told, Violation> {
    let mut random = Random::new(seed ^ 0xbad);
    let mut plan = (*shipped.prepared.plan).clone();
    if random.percent(70) {
        plan.limits = Limits::default();
        for team in &mut plan.teams {
            team.limits = Limits::default();
        }
    }
    if random.percent(50) {
        plan.teams.iter_mut().for_each(|team| team.detect = None);
    }
    let bounds = plan.bounds.clone();
    let calls = plan.teams.iter().map(|team| u64::from(team.calls_per_turn)).max().unwrap_or(1).min(6);
    let all = random.percent(40).then(|| *random.one(&WORST));
    let full = random.percent(30);
    let world = Adversaries { seed, roles: shipped.roles(), all, pace: Random::new(seed), full, calls };
    let mut run = Run::start(plan, shipped.prepared.judge.clone(), world)?;
    let (steps, over) = drive(&mut run)?;
    run.check_fold()?;
    within(run.state(), &bounds)?;
    let took = over.since(Timestamp(0));
    if took > Duration::from_secs(bounds.wall_seconds) {
        return Err(format!("it takes {took:?}, and its bound is {} s\n{}", bounds.wall_seconds, run.outcomes()));
    }
    let mut told = Told::of(&run, steps);
    told.share = run.state().spent.turns as f64 / bounds.turns as f64;
    Ok(told)
}

/// The team run twice with agents who say the same to the same, in two orders of arrival: it comes to the same where its plan says
/// so, and elsewhere the same accepted order does.
pub fn shuffled(shipped: &Shipped, agents: u64, pace: u64) -> Result<Told, Violation> {
    let plan = (*shipped.prepared.plan).clone();
    let world = Adversaries {
        seed: agents,
        roles: shipped.roles(),
        all: Some(Worst::AtRandom),
        pace: Random::new(pace),
        full: false,
        calls: 2,
    };
    let mut run = Run::start(plan.clone(), shipped.prepared.judge.clone(), world)?;
    let (steps, _) = drive(&mut run)?;
    if shipped.ordered {
        again(&run, plan, shipped.prepared.judge.clone())?;
    }
    let end = if shipped.ordered { String::new() } else { telling(&run)? };
    let mut told = Told::of(&run, steps);
    (told.end, told.ordered) = (end, shipped.ordered);
    Ok(told)
}

/// Drives a session to its end, which is when it is returned with the steps; what was cut off stops after that.
fn drive<W: World>(run: &mut Run<W>) -> Result<(u64, Timestamp), Violation> {
    let mut steps = 0;
    while !run.is_over() {
        steps += 1;
        if steps > 200_000 || !run.step()? {
            return Err(format!("it does not end:\n{}", run.outcomes()));
        }
    }
    let over = run.now;
    while run.step()? {}
    Ok((steps, over))
}
