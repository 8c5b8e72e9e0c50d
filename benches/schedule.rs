//! What does the scheduler cost per node? Chains, fans, layered graphs, and groups that each allow one call at a time (a limiter
//! for every ten nodes), of calls that do nothing, beside a topological sort of the same graph by petgraph. No journal, no I/O: each result is one input, as if it had arrived alone.
//!
//! Then what folding the records of such sessions costs, which a session that goes on does first.
//!
//! `cargo bench --bench schedule`, or with sizes: `cargo bench --bench schedule -- 1000 100000`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use synod::{
    event::{Effect, Input, Key, Record, Started},
    graph::{Graph, NodeKind, Plan, ScopeKind},
    plan::PlanBuilder,
    schedule::Scheduler,
    state::State,
    turn::Toolbox,
    value::{
        EffectClass, Expr, Judge, Map, Profile, RuleError, RuleKind, SessionId, TeamIx, TemplateIx, TextTemplate, Timestamp,
        ToolSpec, Value, Verdict,
    },
};

/// What a node may cost, in nanoseconds.
const GOAL: f64 = 2_000.0;
/// Events a second that are folded at least.
const FOLDED: f64 = 3e6;
/// Nodes of one layer.
const WIDTH: usize = 100;

fn main() {
    let sizes: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1_000, 100_000, 1_000_000] } else { sizes };
    println!("{:<8} {:>9} {:>5} {:>14} {:>14} {:>8}", "graph", "nodes", "runs", "ns/node", "toposort", "≤ 2 µs");
    for (name, build) in [("chain", chain as fn(usize) -> Plan), ("fan", fan), ("layers", layers), ("limits", limits)] {
        for size in &sizes {
            measure(name, *size, build);
        }
    }
    println!("\n{:<8} {:>9} {:>5} {:>14} {:>10}", "graph", "events", "runs", "events/s", "≥ 3 M/s");
    for (name, build) in [("chain", chain as fn(usize) -> Plan), ("fan", fan), ("layers", layers)] {
        for size in &sizes {
            // A node starts and ends.
            measure_fold(name, size / 2, build);
        }
    }
}

fn measure(name: &str, size: usize, build: fn(usize) -> Plan) {
    let plan = Arc::new(build(size));
    let runs = (2_000_000 / size).clamp(5, 101);
    let per_node = |took: Duration| took.as_secs_f64() * 1e9 / size as f64;
    let schedule = median((0..runs).map(|_| per_node(timed(|| run(&plan, |records| drop(std::hint::black_box(records)))))));
    let sort = median((0..runs).map(|_| per_node(timed(|| petgraph::algo::toposort(&plan.graphs[0].dag, None).is_ok()))));
    let verdict = if schedule <= GOAL { "yes" } else { "no" };
    println!("{name:<8} {size:>9} {runs:>5} {schedule:>14.0} {sort:>14.0} {verdict:>8}");
}

fn measure_fold(name: &str, size: usize, build: fn(usize) -> Plan) {
    let mut records = Vec::new();
    run(&Arc::new(build(size)), |more| records.extend(more));
    let runs = (2_000_000 / size).clamp(5, 101);
    let rate = |took: Duration| records.len() as f64 / took.as_secs_f64();
    let rate = median((0..runs).map(|_| rate(timed(|| State::fold(&records).map(|state| state.seq)))));
    let verdict = if rate >= FOLDED { "yes" } else { "no" };
    println!("{name:<8} {:>9} {runs:>5} {rate:>14.0} {verdict:>10}", records.len());
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let began = Instant::now();
    std::hint::black_box(work());
    began.elapsed()
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// One session from its start to its end; `keep` takes the records of each step.
fn run(plan: &Arc<Plan>, mut keep: impl FnMut(Vec<Record>)) {
    let started = Started::new(SessionId(uuid::Uuid::nil()), "bench", "nothing", Map::new(), plan.clone());
    let (mut scheduler, step) = Scheduler::start(Timestamp(0), started, Arc::new(Nobody), Arc::new(Nobody)).expect("it starts");
    keep(step.records);
    let mut waiting: Vec<Key> = calls(step.effects).collect();
    let mut done = 0;
    while let Some(key) = waiting.pop() {
        let returned = Input::Returned { key, result: Ok(Value::Null) };
        let step = scheduler.on(Timestamp(done), [returned]).expect("it goes on");
        keep(step.records);
        waiting.extend(calls(step.effects));
        done += 1;
    }
    assert!(scheduler.state().finished.is_some(), "it is over");
}

fn calls(effects: Vec<Effect>) -> impl Iterator<Item = Key> {
    effects.into_iter().filter_map(|effect| match effect {
        Effect::Tool(call) => Some(call.key),
        Effect::Model(_) | Effect::Cancel(_) | Effect::Ask(_) | Effect::Notify(_) | Effect::Tell { .. } => None,
    })
}

fn chain(size: usize) -> Plan {
    let mut plan = PlanBuilder::new();
    let nodes: Vec<_> = (0..size).map(|n| plan.tool(format!("n{n}"), "noop")).collect();
    nodes.windows(2).for_each(|pair| plan.edge(pair[0], pair[1]));
    plan.build().expect("a chain has no circle")
}

fn fan(size: usize) -> Plan {
    let mut plan = PlanBuilder::new();
    let first = plan.tool("first", "noop");
    let middle: Vec<_> = (0..size - 2).map(|n| plan.tool(format!("n{n}"), "noop")).collect();
    let last = plan.tool("last", "noop");
    for node in middle {
        plan.edge(first, node);
        plan.edge(node, last);
    }
    plan.build().expect("a fan has no circle")
}

/// Layers in which each node follows three of the layer before.
fn layers(size: usize) -> Plan {
    let mut plan = PlanBuilder::new();
    let nodes: Vec<_> = (0..size).map(|n| plan.tool(format!("n{n}"), "noop")).collect();
    for (at, node) in nodes.iter().enumerate().skip(WIDTH) {
        let layer = at / WIDTH * WIDTH - WIDTH;
        for source in [at % WIDTH, (at * 7 + 1) % WIDTH, (at * 13 + 2) % WIDTH] {
            plan.edge(nodes[layer + source], *node);
        }
    }
    plan.build().expect("layers have no circle")
}

/// Groups of nine calls, each with room for one call at a time: all groups have something that waits.
fn limits(size: usize) -> Plan {
    let mut body = PlanBuilder::new();
    for n in 0..9 {
        body.tool(format!("n{n}"), "noop");
    }
    let body = body.build().expect("nodes without edges have no circle");
    let mut plan = PlanBuilder::new();
    for n in 0..size / 10 {
        plan.tool(format!("g{n}"), "noop");
    }
    let mut plan = plan.build().expect("nodes without edges have no circle");
    let (mut root, mut inner) = (Graph::clone(&plan.graphs[0]), Graph::clone(&body.graphs[0]));
    for node in root.dag.node_weights_mut() {
        node.kind = NodeKind::Scope(Box::new(ScopeKind::Group { body: TemplateIx(1), with: None, seat: None }));
    }
    inner.concurrency = Some(1);
    plan.graphs = vec![Arc::new(root), Arc::new(inner)];
    plan
}

/// Decides nothing and knows no tool: no node of these plans asks.
struct Nobody;

fn never() -> RuleError {
    RuleError { message: "nobody was to be asked".to_owned(), place: synod::value::Place::default() }
}

impl Judge for Nobody {
    fn eval(&self, _: &Expr, _: &[(&str, Value)]) -> Result<Value, RuleError> {
        Err(never())
    }

    fn judge(&self, _: TeamIx, _: &RuleKind, _: &Value) -> Result<Option<Verdict>, RuleError> {
        Err(never())
    }

    fn render(&self, _: &TextTemplate, _: &[(&str, Value)]) -> Result<Arc<str>, RuleError> {
        Err(never())
    }

    fn fill(&self, _: &TextTemplate, _: &[(&str, Value)]) -> Result<Value, RuleError> {
        Err(never())
    }
}

impl Toolbox for Nobody {
    fn spec(&self, _: &str) -> Option<Arc<ToolSpec>> {
        None
    }

    fn check(&self, _: &str, _: &Value) -> Result<(), String> {
        Ok(())
    }

    fn effect(&self, _: &str, _: &Value) -> EffectClass {
        EffectClass::Read
    }

    fn allows(&self, _: &Profile, _: &str, _: &Value) -> bool {
        false
    }

    fn allowed(&self, _: &Profile) -> Vec<Arc<ToolSpec>> {
        Vec::new()
    }

    fn fits(&self, _: &Value, _: &Value) -> Result<(), String> {
        Ok(())
    }
}
