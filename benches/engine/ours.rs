//! How does Synod run the graph? [`Host`]: an engine with one tool, and plans made in code.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use synod::{
    engine::{Engine, Prepared},
    event::{Event, Status},
    graph::{Node, NodeKind, ToolNode},
    plan::{PlanBuilder, rule_book},
    store::RedbStore,
    tool::{CallContext, Tool, Work},
    value::{EffectClass, Map, SessionId, ToolSpec, Value},
};
use tokio::task::JoinSet;

use crate::{Failure, graphs::Dag, ideal};

pub struct Host {
    engine: Engine,
    effect: EffectClass,
}

impl Host {
    /// Keeps journals in memory. `effect` says which calls wait until their intent is durable: all but reading ones.
    pub fn in_memory(effect: EffectClass) -> Self {
        Self { engine: engine(Engine::builder(), effect), effect }
    }

    /// Keeps journals in `folder`.
    pub fn on_disk(folder: &Path, effect: EffectClass) -> Result<Self, Failure> {
        let store = Arc::new(RedbStore::open(folder)?);
        Ok(Self { engine: engine(Engine::builder().store(store), effect), effect })
    }

    /// A graph as something to start, with at most `workers` nodes at once.
    pub fn prepare(&self, dag: &Dag, workers: usize) -> Result<Prepared, Failure> {
        let mut plan = PlanBuilder::new().max_parallel(u32::try_from(workers).unwrap_or(u32::MAX));
        let mut nodes = Vec::new();
        for (n, millis) in dag.millis.iter().enumerate() {
            let args = Value::map([("ms", Value::Int(i64::try_from(*millis)?))]);
            let tool = ToolNode { tool: Arc::from("work"), args, templates: Vec::new(), effect: self.effect, untrusted: false };
            let node = plan.node(Node::new(format!("n{n}"), NodeKind::Tool(Box::new(tool))));
            // Only how they compare matters, so a millisecond may stand for a second.
            plan.expect_seconds(node, u32::try_from(*millis)?);
            nodes.push(node);
        }
        for (n, deps) in dag.deps.iter().enumerate() {
            deps.iter().for_each(|dep| plan.edge(nodes[*dep], nodes[n]));
        }
        let plan = plan.build()?;
        let judge = rule_book(&plan, &BTreeMap::new()).map_err(|wrong| format!("{wrong:?}"))?;
        Ok(Prepared::of_plan("bench", plan, Arc::new(judge)))
    }

    /// How long one session takes, from its start until it is over and durable.
    pub async fn run(&self, team: &Prepared) -> Result<Duration, Failure> {
        let began = Instant::now();
        let ended = self.engine.start(team, "bench", Map::new()).await?.wait().await?;
        let took = began.elapsed();
        if ended.status == Status::Completed { Ok(took) } else { Err(format!("it ended as {:?}", ended.status).into()) }
    }

    /// Runs a session until the last of its nodes starts, and breaks it off.
    pub async fn break_off(&self, team: &Prepared, nodes: usize) -> Result<SessionId, Failure> {
        let mut handle = self.engine.start(team, "bench", Map::new()).await?;
        let (session, mut events) = (handle.session(), handle.events());
        loop {
            if let Event::NodeStarted { node, .. } = &events.recv().await?.event
                && node.index() + 1 == nodes
            {
                break;
            }
        }
        handle.interrupt();
        handle.wait().await?;
        Ok(session)
    }

    /// How long it takes to go on with a session, until that is durable. Then it is broken off again.
    pub async fn resume(&self, session: SessionId) -> Result<Duration, Failure> {
        let began = Instant::now();
        let mut handle = self.engine.resume(session).await?;
        handle.events().recv().await?;
        let took = began.elapsed();
        handle.interrupt();
        handle.wait().await?;
        Ok(took)
    }

    /// How long it takes to read its journal.
    pub fn read(&self, session: SessionId) -> Result<Duration, Failure> {
        let began = Instant::now();
        self.engine.store().read_all(session)?;
        Ok(began.elapsed())
    }

    /// How long `sessions` sessions take at once.
    pub async fn run_many(&self, team: &Prepared, sessions: usize) -> Result<Duration, Failure> {
        let began = Instant::now();
        let mut all = JoinSet::new();
        for _ in 0..sessions {
            let (engine, team) = (self.engine.clone(), team.clone());
            all.spawn(async move { engine.start(&team, "bench", Map::new()).await?.wait().await });
        }
        while let Some(ended) = all.join_next().await {
            if ended??.status != Status::Completed {
                return Err("a session did not complete".into());
            }
        }
        Ok(began.elapsed())
    }
}

fn engine(builder: synod::engine::EngineBuilder, effect: EffectClass) -> Engine {
    builder.tool(Arc::new(Sleep(spec(effect)))).expect("no other tool is called work").build()
}

fn spec(effect: EffectClass) -> ToolSpec {
    ToolSpec {
        name: Arc::from("work"),
        description: Arc::from("Waits."),
        parameters: Value::map([("type", Value::from("object"))]),
        effect,
        untrusted: false,
    }
}

/// A tool that does what the plain program does.
struct Sleep(ToolSpec);

impl Tool for Sleep {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn call<'a>(&'a self, _: &'a CallContext, args: &'a Value) -> Work<'a> {
        Box::pin(async move {
            let millis = args.get("ms").and_then(Value::as_int).and_then(|ms| u64::try_from(ms).ok()).unwrap_or_default();
            ideal::work(millis).await;
            Ok(Value::Null)
        })
    }
}
