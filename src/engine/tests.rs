//! Does a session run from start to end, and does it stop where the store does?

use std::sync::Arc;

use super::*;
use crate::{
    event::{Record, Status},
    plan::PlanBuilder,
    store::Ticket,
    tool::{CallContext, Work},
    value::{EffectClass, Seq, ToolSpec},
};

struct Noop(ToolSpec);

impl Tool for Noop {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn call<'a>(&'a self, _call: &'a CallContext, _args: &'a Value) -> Work<'a> {
        Box::pin(std::future::ready(Ok(Value::Null)))
    }
}

fn noop() -> Arc<dyn Tool> {
    let parameters = Value::map([("type", Value::text("object"))]);
    let (name, description) = (Arc::from("noop"), Arc::from("does nothing"));
    Arc::new(Noop(ToolSpec { name, description, parameters, effect: EffectClass::Read }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_of_calls_completes() {
    let engine = Engine::builder().tool(noop()).expect("a new name").build();
    let mut builder = PlanBuilder::new();
    let mut last = builder.tool("n0", "noop");
    for n in 1..1_000 {
        let next = builder.tool(format!("n{n}"), "noop");
        builder.edge(last, next);
        last = next;
    }
    let plan = builder.build().expect("a chain has no circle");
    let judge = crate::plan::rule_book(&plan, &BTreeMap::new()).expect("no rules");
    let prepared = Prepared::of_plan("chain", plan, Arc::new(judge));
    for _ in 0..3 {
        let began = std::time::Instant::now();
        let handle = engine.start(&prepared, "go", Map::new()).await.expect("starts");
        let ended = handle.wait().await.expect("runs");
        eprintln!("{:?}", began.elapsed());
        assert_eq!(ended.status, Status::Completed);
        assert_eq!(ended.report.metrics.tool_calls, 1_000);
    }
}

/// A store whose appends fail from the second on, in their tickets only: what group commit does on a full disk.
struct Failing(MemoryStore, std::sync::atomic::AtomicU32);

impl Store for Failing {
    fn create(&self, new: NewSession) -> Result<crate::store::Claim, ClaimError> {
        self.0.create(new)
    }
    fn claim(&self, session: SessionId) -> Result<crate::store::Claim, ClaimError> {
        self.0.claim(session)
    }
    fn append(&self, claim: &crate::store::Claim, expected: Seq, records: &[Record]) -> Result<Ticket, AppendError> {
        if self.1.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) > 1 {
            return self.0.append(claim, expected, records);
        }
        let full = StoreError::Io { path: "j".into(), why: Arc::from("no space left"), remedy: "make room" };
        Ok(Ticket::ready(Err(full.into())))
    }
    fn read(&self, session: SessionId, from: Seq, max: usize) -> Result<Vec<Record>, ReadError> {
        self.0.read(session, from, max)
    }
    fn release(&self, claim: crate::store::Claim, closing: Closing) -> crate::store::Release {
        self.0.release(claim, closing)
    }
    fn list(&self, filter: &crate::store::Filter) -> Result<Vec<crate::store::SessionRow>, StoreError> {
        self.0.list(filter)
    }
    fn row(&self, session: SessionId) -> Result<crate::store::SessionRow, FindError> {
        self.0.row(session)
    }
    fn find(&self, org: &str, prefix: &str) -> Result<SessionId, FindError> {
        self.0.find(org, prefix)
    }
    fn post(&self, session: SessionId, item: InboxItem) -> Result<(), PostError> {
        self.0.post(session, item)
    }
    fn poll(&self, claim: &crate::store::Claim) -> Result<Vec<crate::store::Mail>, StoreError> {
        self.0.poll(claim)
    }
    fn ack(&self, claim: &crate::store::Claim, mail: crate::store::MailId, after: Ticket) {
        self.0.ack(claim, mail, after);
    }
}

/// Counts its calls.
struct Counting(ToolSpec, Arc<std::sync::atomic::AtomicU32>);

impl Tool for Counting {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn call<'a>(&'a self, _call: &'a CallContext, _args: &'a Value) -> Work<'a> {
        self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(Value::Null)))
    }
}

fn two_calls(tool: &str) -> Prepared {
    let mut builder = PlanBuilder::new();
    let (one, two) = (builder.tool("one", tool), builder.tool("two", tool));
    builder.edge(one, two);
    let mut plan = builder.build().expect("a chain has no circle");
    let graph = Arc::get_mut(&mut plan.graphs[0]).expect("a new plan");
    for node in graph.dag.node_weights_mut() {
        if let crate::graph::NodeKind::Tool(tool) = &mut node.kind {
            tool.effect = EffectClass::Irreversible;
        }
    }
    let judge = crate::plan::rule_book(&plan, &BTreeMap::new()).expect("no rules");
    Prepared::of_plan("two", plan, Arc::new(judge))
}

#[tokio::test]
async fn nothing_is_done_or_shown_whose_intent_is_not_on_the_record() {
    for durable in 0..3 {
        let calls = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let parameters = Value::map([("type", Value::text("object"))]);
        let spec = ToolSpec { name: "pay".into(), description: "pays".into(), parameters, effect: EffectClass::Irreversible };
        let store = Arc::new(Failing(MemoryStore::new(), (durable + 1).into()));
        let tool = Arc::new(Counting(spec, calls.clone()));
        let engine = Engine::builder().store(store.clone()).tool(tool).expect("a new name").build();
        let mut handle = engine.start(&two_calls("pay"), "go", Map::new()).await.expect("starts");
        let (session, mut shown) = (handle.session(), handle.events());
        let error = handle.wait().await.expect_err("it stops");
        assert!(matches!(&error, EngineError::Append(AppendError::Store(_))), "it says why: {error}");
        let records = store.read_all(session).expect("records");
        let intents = records.iter().filter(|record| matches!(record.event, crate::event::Event::NodeStarted { .. })).count();
        assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed) as usize, intents, "{durable} appends were durable");
        let mut seen = Vec::new();
        while let Ok(record) = shown.try_recv() {
            seen.push((*record).clone());
        }
        assert_eq!(seen, records);
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_resumed_is_given_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = || {
        let store = Arc::new(crate::store::RedbStore::open(folder.path().join(".synod")).expect("a store"));
        Engine::builder().store(store).workspace(folder.path()).tool(noop()).expect("a new name").build()
    };
    let asks = "name: Asks\ncollaboration_pattern: graph\ninputs: { data: { type: folder } }\n\
                nodes:\n  ask: { ask: \"Go?\", options: [\"yes\"] }\n  then: { gate: '1', after: ask }\n";
    std::fs::write(folder.path().join("asks.yaml"), asks).expect("a file");
    std::fs::create_dir(folder.path().join("data")).expect("a folder");
    let first = engine();
    let team = first.load("asks.yaml", &Default::default()).expect("a team");
    let inputs: Map = [("data".to_owned(), Value::text("data"))].into_iter().collect();
    let handle = first.start(&team, "go", inputs).await.expect("starts");
    let session = handle.session();
    assert_eq!(handle.wait().await.expect("parks").status, Status::Parked);
    std::fs::remove_dir(folder.path().join("data")).expect("a folder");
    let error = first.resume(session).await.map(drop).expect_err("its input is gone");
    assert!(matches!(error, EngineError::Prepare(_)), "{error}");
    std::fs::create_dir(folder.path().join("data")).expect("a folder");
    // Another process, while the first one lives.
    let second = engine();
    let released = || {
        let row = second.store().row(session).expect("a row");
        (row.status == Status::Parked && row.owner == crate::store::Owner::Nobody).then_some(())
    };
    while released().is_none() {
        tokio::task::yield_now().await;
    }
    for engine in [&second, &first] {
        let handle = engine.resume(session).await.expect("resumes");
        assert_eq!(handle.wait().await.expect("parks again").status, Status::Parked);
    }
}
