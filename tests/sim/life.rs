//! What becomes of a session in a random world? [`live`].

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use synod::{
    event::{Ask, AskFor, Input, Key, ModelCall, Notice, Record, ToolCall},
    graph::Bounds,
    plan::{ModelFacts, Models, bounds_of},
    report::Report,
    schedule::Scheduler,
    state::State,
    value::{
        Call, EffectClass, Entry, Expr, Failure, FailureKind, Judge, NodeIx, Reply, Request, RuleError, RuleKind, TeamIx,
        TextTemplate, Timestamp, Usage, Usd, Value, Verdict, is_offline,
    },
};

use crate::{
    audit::audit,
    plan::{UNDONE, scene, timed},
    random::Random,
    world::{Run, Sabotage, TestJudge, TestTools, Violation, World, hash, started},
};

/// Where the process dies: after that many steps, and when within the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    at: u64,
    when: When,
    outage: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// Before the records are appended; effects that are free have left.
    Before,
    /// After the records are appended, before effects have left.
    Between,
    /// After effects have left.
    After,
}

impl Crash {
    /// Somewhere in a run of so many steps.
    pub fn random(random: &mut Random, steps: u64) -> Self {
        let when = *random.one(&[When::Before, When::Between, When::After]);
        Self { at: random.below(steps + 1), when, outage: random.below(100_000) }
    }

    /// All crashes at that position.
    pub fn at(at: u64) -> Vec<Self> {
        [When::Before, When::Between, When::After].map(|when| Self { at, when, outage: 1_000 * at }).to_vec()
    }
}

/// What is done wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Something in the harness.
    Harness(Sabotage),
    /// Expressions depend on how many were evaluated before.
    ByArrival,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// All that it came to, but for times; empty where that may depend on the order of arrival.
    pub end: String,
    /// Whether that may depend on the order of arrival.
    pub ordered: bool,
    /// Whether it has irreversible calls.
    pub fires: bool,
    /// What it wrote, of a run without crashes.
    pub journal: Vec<Record>,
    /// Inputs taken.
    pub steps: u64,
    /// The turns that it took, of those that its bounds allow; of runs together the most.
    pub share: f64,
    records: u64,
    crashes: u64,
    runs: u64,
    by_status: BTreeMap<String, u64>,
}

impl Told {
    /// What a run without crashes came to that took so many inputs, but for how it ended.
    pub fn of<W: World>(run: &Run<W>, steps: u64) -> Self {
        let by_status = BTreeMap::from([(run.state().status().name().to_owned(), 1)]);
        Self { steps, records: run.records.len() as u64, runs: 1, by_status, ..Self::default() }
    }

    /// Whether another run of the same session ended alike; only asked of sessions whose result is independent of order.
    pub fn same_as(&self, other: &Self, what: &str) -> Result<(), Violation> {
        if self.ordered || self.end == other.end {
            return Ok(());
        }
        let only = |these: &str, those: &str, mark: &str| -> Vec<String> {
            let known: BTreeSet<&str> = those.lines().collect();
            these.lines().filter(|line| !known.contains(line)).take(8).map(|line| format!("{mark} {line}")).collect()
        };
        let lines = [only(&self.end, &other.end, "-"), only(&other.end, &self.end, "+")].concat().join("\n");
        let lines = if lines.is_empty() { "the same lines in another order".to_owned() } else { lines };
        Err(format!("with {what} it ends otherwise:\n{lines}"))
    }

    /// Counts another run.
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.records += other.records;
        self.crashes += other.crashes;
        self.runs += other.runs;
        self.share = self.share.max(other.share);
        for (status, count) in &other.by_status {
            *self.by_status.entry(status.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, steps, records, crashes, by_status, share, .. } = self;
        write!(f, "{runs} runs, {steps} inputs, {records} records, {crashes} crashes, ended {by_status:?}")?;
        if *share > 0.0 { write!(f, ", {:.0} % of the bound on turns at most", share * 100.0) } else { Ok(()) }
    }
}

/// The session of `seed` in a world where things take as long as `pace` says, with crashes and a fault.
pub fn live(seed: u64, pace: u64, crashes: &[Crash], fault: Fault) -> Result<Told, Violation> {
    let scene = scene(seed);
    let (ordered, fires) = (scene.ordered, scene.fires);
    let pinned = scene.plan.clone();
    let test = TestJudge { rules: scene.rules };
    let judge: Arc<dyn Judge> =
        if fault == Fault::ByArrival { Arc::new(Fickle { test, asked: AtomicU64::new(0) }) } else { Arc::new(test) };
    let bounds = bounds_of(&pinned, &Unpriced).ok_or("the bounds overflow")?;
    let chance = Chance::new(seed, pace, ordered, fires);
    let mut run = Run::start(scene.plan, judge.clone(), chance)?;
    if let Fault::Harness(sabotage) = fault {
        run.sabotage = Some(sabotage);
    }
    disturb(&mut run, seed, ordered);
    let mut steps = 0;
    let mut crashed = 0;
    while !run.is_over() {
        if steps > 20_000 {
            return Err(format!("it does not end:\n{}", run.outcomes()));
        }
        let crash = crashes.iter().find(|c| c.at == steps);
        steps += 1;
        let Some(step) = run.poll()? else {
            return Err(format!("nothing is to come and it is not over: {:?}\n{}", run.state().todo, run.outcomes()));
        };
        match crash {
            None => run.absorb(step)?,
            Some(crash) => {
                crashed += 1;
                match crash.when {
                    When::Before => run.perform_free(step.effects)?,
                    When::Between => run.append(step.records),
                    When::After => {
                        run.append(step.records);
                        run.perform(step.effects)?;
                    }
                }
                run.crash(crash.outage)?;
            }
        }
        if let Some(twice) = run.world.twice.take() {
            return Err(twice);
        }
    }
    while run.step()? {}
    run.check_fold()?;
    audit(&run.records, run.state())?;
    within(run.state(), &bounds)?;
    if seed.is_multiple_of(8) {
        round_trip(&run.records, run.state())?;
    }
    if crashes.is_empty() && fault == Fault::None && seed.is_multiple_of(4) {
        again(&run, pinned, judge)?;
    }
    let status = run.state().status().name().to_owned();
    let end = if ordered { String::new() } else { telling(&run)? };
    let records = run.records.len() as u64;
    let journal = if crashes.is_empty() { run.records } else { Vec::new() };
    let share = 0.0;
    let by_status = BTreeMap::from([(status, 1)]);
    Ok(Told { end, ordered, fires, journal, steps, share, records, crashes: crashed, runs: 1, by_status })
}

/// All that a session came to, but for times: its report, its messages and how its nodes ended, in declared order.
pub fn telling<W: World>(run: &Run<W>) -> Result<String, Violation> {
    let state = run.state();
    let report = Report::of(&run.records).map_err(|e| format!("it has no report: {e}"))?;
    let ids: Vec<String> = report.findings.iter().map(|f| f.id.to_string()).collect();
    unique("finding", ids)?;
    unique("message", state.context.messages.iter().map(|s| s.message.id.to_string()).collect())?;
    let mut said: Vec<_> = state.context.messages.iter().collect();
    said.sort_by_cached_key(|spoken| state.position(spoken.node));
    let said = said.into_iter().map(|spoken| format!("{} {:?}", state.path(spoken.node), spoken.message));
    let mut nodes: Vec<NodeIx> = (0..state.nodes.len() as u32).map(NodeIx).collect();
    nodes.sort_by_cached_key(|node| state.position(*node));
    let ended = nodes.into_iter().map(|node| format!("{}: {}", state.path(node), state.seen(node)));
    let report = serde_json::to_value(&report).map_err(|e| format!("its report is no JSON: {e}"))?;
    let report = serde_json::to_string_pretty(&timeless(report)).map_err(|e| e.to_string())?;
    Ok([report].into_iter().chain(said).chain(ended).collect::<Vec<_>>().join("\n"))
}

fn unique(what: &str, mut ids: Vec<String>) -> Result<(), Violation> {
    ids.sort_unstable();
    let twice = ids.windows(2).find(|pair| pair[0] == pair[1]);
    twice.map_or(Ok(()), |pair| Err(format!("two {what}s are called {}", pair[0])))
}

/// A report without what tells the time or what was spent, and without the numbers of questions, which people are asked one after another.
fn timeless(report: serde_json::Value) -> serde_json::Value {
    use serde_json::Value::{Array, Object};
    const TIMES: [&str; 17] = [
        "started_at",
        "completed_at",
        "duration_ms",
        "busy_ms",
        "makespan_ms",
        "critical_path_ms",
        "sequential_ms",
        "saved_ms",
        "utilization",
        "overhead",
        "deadline",
        "ask",
        // A question that is answered before anybody was told of it leaves no word of that.
        "notified",
        // What an outage cut off counts as spent.
        "tokens",
        "cost_usd",
        "models",
        "budget",
    ];
    match report {
        Object(map) => {
            Object(map.into_iter().filter(|(k, _)| !TIMES.contains(&k.as_str())).map(|(k, v)| (k, timeless(v))).collect())
        }
        Array(items) => {
            let untold = |item: &serde_json::Value| item.as_str().is_some_and(|text| text.contains("could not be notified of q"));
            Array(items.into_iter().filter(|item| !untold(item)).map(timeless).collect())
        }
        other => other,
    }
}

/// A session in which every call takes as long as it may, and people answer at once: it stays within its bounds, wall time
/// included.
pub fn slow(seed: u64) -> Result<Told, Violation> {
    let scene = timed(seed);
    let (ordered, fires) = (scene.ordered, scene.fires);
    let bounds = bounds_of(&scene.plan, &Unpriced).ok_or("the bounds overflow")?;
    let chance = Chance { full: true, ..Chance::new(seed, 1, ordered, fires) };
    let mut run = Run::start(scene.plan, Arc::new(TestJudge { rules: scene.rules }), chance)?;
    let mut steps = 0;
    while !run.is_over() {
        steps += 1;
        if steps > 20_000 || !run.step()? {
            return Err(format!("it does not end:\n{}", run.outcomes()));
        }
    }
    let took = run.now.since(Timestamp(0));
    within(run.state(), &bounds)?;
    if took > Duration::from_secs(bounds.wall_seconds) {
        return Err(format!("it takes {took:?}, and its bound is {} s\n{}", bounds.wall_seconds, run.outcomes()));
    }
    let status = run.state().status().name().to_owned();
    let end = format!("{}\n{}", run.result(), run.outcomes());
    let records = run.records.len() as u64;
    Ok(Told {
        end,
        ordered,
        fires,
        journal: Vec::new(),
        steps,
        share: 0.0,
        records,
        crashes: 0,
        runs: 1,
        by_status: BTreeMap::from([(status, 1)]),
    })
}

/// A session spends no more turns and model calls in all than its plan says.
pub fn within(state: &State, bounds: &Bounds) -> Result<(), Violation> {
    let spent = &state.spent;
    if spent.turns > bounds.turns || spent.model_calls > bounds.model_calls {
        return Err(format!("{spent:?} is beyond the bounds: {} turns, {} model calls", bounds.turns, bounds.model_calls));
    }
    Ok(())
}

/// No model has a price.
struct Unpriced;

impl Models for Unpriced {
    fn facts(&self, _: &str) -> Option<ModelFacts> {
        None
    }
}

/// Somebody cancels, and somebody answers what nobody asked.
fn disturb(run: &mut Run<Chance>, seed: u64, ordered: bool) {
    let mut random = Random::new(seed ^ 0xd157);
    if ordered && random.percent(12) {
        let cancel = || Input::Cancel { by: Arc::from("bob"), reason: Arc::from("by chance") };
        let at = random.below(40_000);
        run.arrive(at, cancel());
        run.arrive(at + random.below(20_000), cancel());
    }
    if random.percent(20) {
        let value = Value::text("nonsense");
        let ask = synod::value::AskId(random.below(3) as u32 + 40);
        let wait = random.below(20_000);
        let at = run.now.after(Duration::from_millis(wait));
        run.arrive(wait, Input::Answered { ask, value, by: Arc::from("bob"), at });
    }
}

/// The journal is the same after it was written and read, and tells the same state.
fn round_trip(records: &[Record], live: &State) -> Result<(), Violation> {
    let encode = |record: &Record| rmp_serde::to_vec_named(record).map_err(|e| format!("encode {record:?}: {e}"));
    let mut read = Vec::with_capacity(records.len());
    for record in records {
        let bytes = encode(record)?;
        let back: Record = rmp_serde::from_slice(&bytes).map_err(|e| format!("decode {record:?}: {e}"))?;
        if back != *record || encode(&back)? != bytes {
            return Err(format!("a record changes when it is written and read: {record:?}"));
        }
        read.push(back);
    }
    match State::fold(&read) {
        Ok(state) if state == *live => Ok(()),
        Ok(_) => Err("what was written and read tells another state".to_owned()),
        Err(error) => Err(format!("what was written and read does not fold: {error}")),
    }
}

/// The same inputs at the same times give the same records.
pub fn again<W: World>(run: &Run<W>, plan: synod::graph::Plan, judge: Arc<dyn Judge>) -> Result<(), Violation> {
    let broken = |e| format!("the scheduler broke: {e}");
    let (mut scheduler, first) = Scheduler::start(Timestamp(0), started(plan), judge, Arc::new(TestTools)).map_err(broken)?;
    let mut records = first.records;
    for (now, input) in &run.given {
        records.extend(scheduler.on(*now, [input.clone()]).map_err(broken)?.records);
    }
    if records == run.records { Ok(()) } else { Err("the same inputs give other records".to_owned()) }
}

/// A judge who changes his mind.
struct Fickle {
    test: TestJudge,
    asked: AtomicU64,
}

impl Judge for Fickle {
    fn eval(&self, expr: &Expr, names: &[(&str, Value)]) -> Result<Value, RuleError> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        match self.test.eval(expr, names) {
            Ok(Value::Bool(truth)) => Ok(Value::Bool(truth == asked.is_multiple_of(2))),
            Ok(Value::Int(number)) => Ok(Value::Int(number + asked as i64)),
            other => other,
        }
    }

    fn judge(&self, team: TeamIx, kind: &RuleKind, facts: &Value) -> Result<Option<Verdict>, RuleError> {
        self.test.judge(team, kind, facts)
    }

    fn render(&self, template: &TextTemplate, names: &[(&str, Value)]) -> Result<Arc<str>, RuleError> {
        self.test.render(template, names)
    }

    fn fill(&self, template: &TextTemplate, names: &[(&str, Value)]) -> Result<Value, RuleError> {
        self.test.fill(template, names)
    }
}

/// A world in which what is said depends on what was asked, and how long it takes on chance.
struct Chance {
    seed: u64,
    ordered: bool,
    fires: bool,
    pace: Random,
    /// How often each irreversible call has happened.
    fired: BTreeMap<Key, u32>,
    /// How often each irreversible call was made.
    called: BTreeMap<Key, u32>,
    /// What must not be.
    twice: Option<Violation>,
    /// Under which name each idempotent call was made: by path, turn, call and arguments.
    idem: BTreeMap<String, String>,
    /// Whether every call takes as long as it may, or for ever, and people answer at once, without ordering further attempts.
    full: bool,
}

impl Chance {
    fn new(seed: u64, pace: u64, ordered: bool, fires: bool) -> Self {
        Self {
            seed,
            ordered,
            fires,
            pace: Random::new(seed ^ (pace << 32)),
            fired: BTreeMap::new(),
            called: BTreeMap::new(),
            twice: None,
            idem: BTreeMap::new(),
            full: false,
        }
    }

    fn draw(&self, what: &str) -> Random {
        Random::new(hash(&format!("{}/{what}", self.seed)))
    }

    fn wait(&mut self) -> u64 {
        match self.pace.below(20) {
            0 => 0,
            1 => 60_000,
            2 => 1_000 * self.pace.below(20),
            _ => self.pace.below(5_000),
        }
    }

    /// Once, sometimes twice.
    fn arrivals<T: Clone>(&mut self, result: T) -> Vec<(u64, T)> {
        let first = self.wait();
        let mut arrivals = vec![(first, result.clone())];
        if self.pace.percent(10) {
            arrivals.push((first + self.wait(), result));
        }
        arrivals
    }
}

/// Everything that an agent reads, ids included: were any of it to depend on the order of arrival, so would what is said.
fn read(request: &Request) -> String {
    let thread: Vec<String> = request
        .thread
        .iter()
        .map(|entry| match entry {
            Entry::Result { call, result } => format!("{} {:?}", call.tool, result.outcome),
            Entry::Reply(reply) => format!("{:?}", reply.calls.len()),
            Entry::Mail(mail) => mail.iter().map(|m| format!("{} {}", m.id, m.content)).collect(),
            Entry::Answer { answer, .. } => answer.to_string(),
            Entry::Note(note) => note.to_string(),
            Entry::Known { call, result } => format!("{} {:?}", call.args, result.outcome),
        })
        .collect();
    let Request { node, phase, turn, turns_left, task, input, inputs, context, .. } = request;
    format!("{node} {phase} {turn} {turns_left} {task} {input} {inputs:?} {context} {thread:?}")
}

fn said(random: &mut Random, fires: bool, hands: bool, owes: bool) -> Result<Reply, Failure> {
    let value = Value::map([
        ("value", random.one(&[Value::text("x"), Value::text("y"), Value::text("z"), several(), Value::Null]).clone()),
        ("vote", Value::text(random.one(&["approve", "approve", "object", "object", "abstain"]))),
        ("confidence", Value::Float(*random.one(&[0.2, 0.5, 0.9]))),
    ]);
    let usage = Usage { input: 10, cached: 0, output: 5, cost: Usd(100) };
    let mut reply = Reply { usage, ..Reply::default() };
    match random.below(20) {
        0..=8 => reply.finish = Some(value),
        9 => reply.text = Some(Arc::from("that is all")),
        10 => {}
        18 | 19 => reply.calls = vec![division(random)],
        11 => {
            return Err(Failure::new(
                *random.one(&[FailureKind::Transport, FailureKind::Model, FailureKind::RateLimit]),
                "chance",
            ));
        }
        _ => {
            let count = 1 + random.below(4);
            reply.calls = (0..count).map(|n| call(random, n, &value, fires)).collect();
        }
    }
    if hands && random.percent(40) {
        let handoff = Call { id: Arc::from("over"), tool: Arc::from("handoff"), args: handoff(random) };
        let at = random.below(reply.calls.len() as u64 + 1) as usize;
        reply.calls.insert(at, handoff);
    }
    if owes && random.percent(60) {
        let constraints = CONSTRAINTS[..1 + random.below(2) as usize].iter().map(|c| Value::text(*c));
        let args = Value::map([("constraints", Value::list(constraints))]);
        reply.calls.insert(0, Call { id: Arc::from("yes"), tool: Arc::from("acknowledge"), args });
    }
    Ok(reply)
}

/// A call that divides a task: rightly, or for nobody, for too many, in a circle, for what is not there.
fn division(random: &mut Random) -> Call {
    let task = |random: &mut Random, id: u64| {
        let text = |text: &str| Value::text(text);
        let mut task =
            vec![("id", Value::text(format!("s{id}"))), ("task", text(random.one::<&str>(&["look", "Look!", "search the log"])))];
        match random.below(12) {
            0 => task.push(("agent", text("nobody"))),
            1..=3 => task.push(("skills", Value::list([text(random.one::<&str>(&["logs", "metrics", "juggling"]))]))),
            4 => {}
            _ => task.push(("agent", text(random.one::<&str>(&["a", "b", "c"])))),
        }
        if random.percent(20) {
            task.push(("depends_on", Value::list([Value::text(format!("s{}", random.below(3)))])));
        }
        if random.percent(40) {
            task.push(("done_when", text("it is")));
        }
        Value::map(task)
    };
    let count = random.below(5);
    let tasks = Value::list((0..count).map(|id| task(random, id)).collect::<Vec<_>>());
    Call { id: Arc::from("division"), tool: Arc::from("delegate"), args: Value::map([("subtasks", tasks)]) }
}

/// What one may hold where one may approve several.
fn several() -> Value {
    Value::list([Value::text("x"), Value::text("z")])
}

/// The findings of an agent's own that it knows of.
fn own_findings(request: &Request) -> Vec<Value> {
    let known = request.context.get("findings").and_then(Value::as_list).unwrap_or_default();
    let earlier = known.iter().filter(|f| f.get("agent").and_then(Value::as_str) == Some(request.role.as_str()));
    let ids = earlier.filter_map(|f| f.get("id").cloned());
    let new = request.thread.iter().filter_map(|entry| match entry {
        Entry::Result { call, result } if &*call.tool == "broadcast_finding" => {
            result.outcome.as_ref().ok()?.get("finding").cloned()
        }
        _ => None,
    });
    ids.chain(new).collect()
}

/// What a handoff may demand.
const CONSTRAINTS: [&str; 2] = ["read only", "not before nine"];

fn handoff(random: &mut Random) -> Value {
    let to = Value::text(random.one(&["a", "b", "c", "nobody"]));
    let demands = CONSTRAINTS[..random.below(3) as usize].iter().map(|c| Value::text(*c));
    let brief = match random.below(8) {
        0 => Value::Int(1),
        1 => Value::text("go on"),
        _ => Value::map([("goal", Value::text(random.one(&["x", "y"]))), ("constraints", Value::list(demands))]),
    };
    let reason = if random.percent(50) { Value::text("by chance") } else { Value::Null };
    Value::map([("to", to), ("brief", brief), ("reason", reason)])
}

fn call(random: &mut Random, n: u64, value: &Value, fires: bool) -> Call {
    let nothing = || Value::map::<&str>([]);
    let colleague = |random: &mut Random| Value::text(random.one(&["a", "b", "c", "boss", "nobody"]));
    let (tool, args) = match random.below(20) {
        0..=3 => ("read", nothing()),
        4 => ("idem", nothing()),
        5 | 6 if fires => ("fire", nothing()),
        7 => ("missing", nothing()),
        8 => ("read", Value::map([("bad", Value::Int(1))])),
        9 => ("read_context", nothing()),
        10 => ("escalate", Value::map([("reason", Value::text("chance"))])),
        11 => ("finish", Value::map([("result", value.clone())])),
        13 => {
            let to = if random.percent(30) { Value::text("all") } else { colleague(random) };
            let kind = Value::text(random.one(&["note", "question", "response"]));
            let private = Value::Bool(random.percent(20));
            let words = Value::text(random.one(&["well", "so", "yes"]));
            ("send_message", Value::map([("to", to), ("content", words), ("type", kind), ("private", private)]))
        }
        14 | 15 => ("ask_agent", Value::map([("to", colleague(random)), ("question", Value::text("and you?"))])),
        12 => {
            let mut args = vec![("variable", Value::text(random.one(&["v", "w"]))), ("value", Value::Int(n as i64))];
            if random.percent(50) {
                args.push(("version", Value::Int(random.below(3) as i64)));
            }
            ("set_variable", Value::map(args))
        }
        16 => ("retract_finding", Value::map([("finding", Value::text("none")), ("reason", Value::text("it was wrong"))])),
        _ => {
            let claim = [
                ("topic", Value::text(random.one(&["t", "u"]))),
                ("claim", Value::text("so it is")),
                ("value", random.one(&[Value::text("x"), Value::text("y"), several(), Value::text("abstain")]).clone()),
                ("confidence", Value::Float(*random.one(&[0.3, 0.6, 0.9]))),
            ];
            ("broadcast_finding", Value::map(claim))
        }
    };
    Call { id: Arc::from(format!("call_{n}")), tool: Arc::from(tool), args }
}

impl World for Chance {
    fn model(&mut self, call: &ModelCall) -> Vec<(u64, Result<Reply, Failure>)> {
        let mut random = self.draw(&format!("{} {}", call.key.attempt, read(&call.request)));
        let has = |tool: &str| call.request.tools.iter().any(|offered| &*offered.name == tool);
        let mut reply = said(&mut random, self.fires, has("handoff"), has("acknowledge"));
        let own = own_findings(&call.request);
        if let Ok(reply) = &mut reply
            && &*call.request.phase == "delegate"
            && random.percent(60)
        {
            *reply = Reply { usage: reply.usage, calls: vec![division(&mut random)], ..Reply::default() };
        }
        if let Ok(reply) = &mut reply {
            if is_offline(&call.request.profile.model) {
                reply.usage = Usage::default();
            }
            for taken in reply.calls.iter_mut().filter(|call| &*call.tool == "retract_finding" && !own.is_empty()) {
                taken.args = taken.args.with("/finding", random.one(&own).clone());
            }
        }
        if self.full {
            return match random.below(4) {
                0 => Vec::new(),
                1 => vec![(0, reply)],
                _ => vec![(random.below(20_000), reply)],
            };
        }
        self.arrivals(reply)
    }

    fn tool(&mut self, call: &ToolCall) -> Vec<(u64, Result<Value, Failure>)> {
        let Key { attempt, turn, call: nth, .. } = call.key;
        let mut random = self.draw(&format!("{} {} {attempt} {turn} {nth:?} {}", call.path, call.tool, call.args));
        use FailureKind::{Exit, Schema, Timeout, Tool, Transport};
        let calls = self.called.entry(call.key).or_default();
        *calls += u32::from(call.effect == EffectClass::Irreversible);
        let failure = (random.percent(25) && *calls < 3).then(|| *random.one(&[Exit, Schema, Timeout, Tool, Transport]));
        let happens = failure != Some(Transport) || random.percent(50);
        let result = match failure {
            Some(kind) if happens => Err(Failure::new(kind, "by chance")),
            Some(kind) => Err(Failure::new(kind, format!("by chance, {UNDONE}"))),
            None => Ok(random.one(&[Value::Null, Value::Int(0), Value::text("x"), Value::Bool(true)]).clone()),
        };
        match call.effect {
            EffectClass::Read => {}
            EffectClass::Idempotent => {
                let what = format!("{} {turn} {nth:?} {} {}", call.path, call.tool, call.args);
                let before = self.idem.insert(what, call.name());
                if before.is_some_and(|name| name != call.name()) {
                    self.twice = Some(format!("the same call of {} is made under two names", call.path));
                }
            }
            EffectClass::Irreversible => {
                if happens {
                    let times = self.fired.entry(call.key).or_default();
                    *times += 1;
                    if *times > 1 {
                        self.twice = Some(format!("{} happened twice: {:?}", call.path, call.key));
                    }
                }
            }
        }
        if self.full {
            let limit = call.timeout.map_or(0, |t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX));
            return if random.percent(30) { Vec::new() } else { vec![(limit.saturating_sub(1), result)] };
        }
        // What is in doubt comes once: the call may be made again under its key, and a second word on the first would answer it.
        let in_doubt = call.effect == EffectClass::Irreversible && matches!(failure, Some(Timeout | Transport));
        if in_doubt { vec![(self.wait(), result)] } else { self.arrivals(result) }
    }

    fn cancel(&mut self, _: Key) -> u64 {
        self.wait()
    }

    fn notify(&mut self, notice: &Notice) -> Vec<(u64, Result<(), Failure>)> {
        let mut random = self.draw(&notice.key);
        let result = if random.percent(40) { Err(Failure::new(FailureKind::Transport, "by chance")) } else { Ok(()) };
        // One that breaks off without a word is told again by whoever takes over, and holds up nothing meanwhile.
        if random.percent(10) { Vec::new() } else { self.arrivals(result) }
    }

    fn ask(&mut self, ask: &Ask, path: &str, attempt: u32) -> Vec<(u64, Value)> {
        if self.full {
            let orders = |option: &&Arc<str>| matches!(&***option, "retry" | "not_happened");
            let answer = ask.options.iter().find(|option| !orders(option)).map_or("go on", |option| &**option);
            return vec![(0, Value::text(answer))];
        }
        let purpose = format!("{:?}", ask.purpose);
        let answer = if let AskFor::InDoubt(turn, call) = ask.purpose {
            let happened = self.fired.keys().any(|k| k.node == ask.node && k.turn == turn && k.call.unwrap_or_default() == call);
            Value::text(if happened { "happened" } else { "not_happened" })
        } else {
            let mut random = self.draw(&format!("{path} {attempt} {} {purpose}", ask.question));
            if ask.options.is_empty() { Value::text("go on") } else { Value::text(random.one(&ask.options)) }
        };
        let wait = self.wait() * if self.ordered { 3 } else { 1 };
        vec![(wait / 2, Value::Int(7)), (wait, answer)]
    }
}
