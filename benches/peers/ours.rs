//! How does Synod do the same work? A team file with a tool node for each line of the workload.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use synod::{
    engine::{Engine, Prepared},
    event::Status,
    store::RedbStore,
    team::Overrides,
    tool::{CallContext, Tool, Work},
    value::{EffectClass, Map, ToolSpec, Value},
};
use tokio::task::JoinSet;

use crate::{Failure, Times, graphs::Dag, table::Workload};

/// What numbers are counted in, so that they do not grow.
const MODULUS: u64 = 1_000_000_007;
/// What a node publishes, in bytes.
const PUBLISHED: usize = 200;

/// One round of a workload.
pub async fn round(dag: &Dag, workload: &Workload, times: &mut Times) -> Result<(), Failure> {
    let modes: &[_] = if workload.durable {
        &[("synod, waits", EffectClass::Idempotent), ("synod, free", EffectClass::Read)]
    } else {
        &[("synod, free", EffectClass::Read)]
    };
    for (who, effect) in modes {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        std::fs::write(folder.path().join("team.yaml"), team(dag))?;
        let builder = Engine::builder().workspace(folder.path()).tool(Arc::new(Publish(spec(*effect))))?;
        let builder =
            if workload.durable { builder.store(Arc::new(RedbStore::open(folder.path().join("store"))?)) } else { builder };
        let engine = builder.build();
        let team = engine.load("team.yaml", &Overrides::default())?;
        let took = run(engine, team, workload.sessions, last(dag)).await?;
        times.entry((*who).to_owned()).or_default().push(took.as_secs_f64() * 1e3);
    }
    Ok(())
}

/// The graph as a team file.
fn team(dag: &Dag) -> String {
    let mut text =
        format!("name: Bench\ncollaboration_pattern: graph\ncoordination_rules: {{ max_parallel: {} }}\nnodes:\n", dag.len());
    for (n, (millis, deps)) in dag.millis.iter().zip(&dag.deps).enumerate() {
        let read: String = deps.iter().map(|dep| format!("{{{{ n{dep}.output }}}} ")).collect();
        let after: Vec<String> = deps.iter().map(|dep| format!("n{dep}")).collect();
        let after = if after.is_empty() { String::new() } else { format!(", after: [{}]", after.join(", ")) };
        text.push_str(&format!("  n{n}: {{ tool: publish, args: {{ ms: {millis}, read: \"{read}\" }}{after} }}\n"));
    }
    text.push_str(&format!("output: n{}.output\n", dag.len() - 1));
    text
}

/// What the last node publishes.
fn last(dag: &Dag) -> u64 {
    let mut published: Vec<u64> = Vec::new();
    for deps in &dag.deps {
        published.push((1 + deps.iter().map(|dep| published[*dep]).sum::<u64>()) % MODULUS);
    }
    published.last().copied().unwrap_or_default()
}

async fn run(engine: Engine, team: Prepared, sessions: usize, last: u64) -> Result<Duration, Failure> {
    // A task on a worker: what runs inside `block_on` wakes another thread for every result.
    let all = tokio::spawn(async move {
        let began = Instant::now();
        let mut running = JoinSet::new();
        for _ in 0..sessions {
            let (engine, team) = (engine.clone(), team.clone());
            running.spawn(async move { engine.start(&team, "bench", Map::new()).await?.wait().await });
        }
        while let Some(ended) = running.join_next().await {
            let ended = ended??;
            let published = ended.report.output.as_str().and_then(number);
            if ended.status != Status::Completed || published != Some(last) {
                return Err(format!("it ended as {:?} with {published:?}, and {last} is right", ended.status).into());
            }
        }
        Ok::<_, Failure>(began.elapsed())
    });
    all.await?
}

fn spec(effect: EffectClass) -> ToolSpec {
    ToolSpec {
        name: Arc::from("publish"),
        description: Arc::from("Waits, and publishes what follows from what it read."),
        parameters: Value::map([("type", Value::from("object"))]),
        effect,
        untrusted: false,
    }
}

/// A node: what it published before stands at the beginning of each text that it reads.
struct Publish(ToolSpec);

fn number(published: &str) -> Option<u64> {
    published.split(';').next()?.trim().parse().ok()
}

impl Tool for Publish {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn call<'a>(&'a self, _: &'a CallContext, args: &'a Value) -> Work<'a> {
        Box::pin(async move {
            let read = args.get("read").and_then(Value::as_str).unwrap_or_default();
            let sum = 1 + read.split_whitespace().filter_map(number).sum::<u64>();
            let millis = args.get("ms").and_then(Value::as_int).and_then(|ms| u64::try_from(ms).ok()).unwrap_or_default();
            if millis > 0 {
                tokio::time::sleep(Duration::from_millis(millis)).await;
            }
            let published = format!("{};", sum % MODULUS);
            Ok(Value::from(format!("{published:f<PUBLISHED$}")))
        })
    }
}
