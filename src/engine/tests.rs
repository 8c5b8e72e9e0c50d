//! Does a session run from start to end, and does it stop where the store does?

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use super::*;
use crate::{
    event::{Record, Status},
    graph::{AskNode, Node, NodeKind, On, ToolNode},
    plan::PlanBuilder,
    store::{NewSession, Ticket},
    tool::{Blocking, BlockingTool, CallContext, Outcome, Work},
    value::{AskId, EffectClass, Place, Seq, TextTemplate, Timestamp, ToolSpec, Value},
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
    Arc::new(Noop(ToolSpec { name, description, parameters, effect: EffectClass::Read, untrusted: false }))
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

/// What repeating the calls of a team's tool nodes would do, as its plan says.
fn effects(nodes: &str) -> Vec<EffectClass> {
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!("name: T\ncollaboration_pattern: graph\nmember_agents: []\nnodes:\n{nodes}");
    std::fs::write(folder.path().join("team.yaml"), text).expect("a file");
    let engine = Engine::builder().workspace(folder.path()).build();
    let prepared = engine.load("team.yaml", &crate::team::Overrides::default()).unwrap_or_else(|e| panic!("{e}"));
    let effect = |node: &crate::graph::Node| match &node.kind {
        crate::graph::NodeKind::Tool(tool) => Some(tool.effect),
        _ => None,
    };
    prepared.plan.graphs[0].dag.node_weights().filter_map(effect).collect()
}

/// A tool node that wrote to a database counted as one that reads, and was called again after an outage.
#[test]
fn the_effect_of_a_tool_node_follows_from_its_arguments_and_is_the_worst_where_they_are_not_known_yet() {
    use EffectClass::{Idempotent, Irreversible, Read};
    let nodes = "  a: { tool: sql_query, args: { path: a.db, sql: 'select 1' } }
  b: { tool: sql_query, args: { path: a.db, sql: 'delete from t', write: true } }
  c: { tool: sql_query, args: { path: '{{ input.path }}', sql: 'select 1', write: false } }
  d: { tool: sql_query, args: { path: a.db, sql: 'select 1', write: '{{ input.write }}' } }
  e: { tool: Write, args: { path: a, content: x } }
  f: { tool: Write, args: { path: a, content: x, append: true } }
  g: { tool: Write, args: { path: a, content: x, append: '{{ input.append }}' } }
  h: { tool: sql_query, args: { path: a.db, sql: 'delete from t', write: true }, effect: idempotent }
inputs: { path: { type: string }, write: { type: boolean }, append: { type: boolean } }
";
    let expected = [Read, Irreversible, Read, Irreversible, Idempotent, Irreversible, Irreversible, Idempotent];
    assert_eq!(effects(nodes), expected);
}

fn spec(name: &str, effect: EffectClass) -> ToolSpec {
    let parameters = Value::map([("type", Value::text("object"))]);
    ToolSpec { name: name.into(), description: "a tool of the tests".into(), parameters, effect, untrusted: false }
}

fn call(id: &str, tool: &str, effect: EffectClass) -> Node {
    let tool = ToolNode { tool: tool.into(), args: Value::map::<&str>([]), templates: Vec::new(), effect, untrusted: false };
    Node::new(id, NodeKind::Tool(Box::new(tool)))
}

fn ask(id: &str) -> Node {
    let question = TextTemplate { source: "Well?".into(), place: Place::default(), refs: Vec::new() };
    Node::new(
        id,
        NodeKind::Ask(Box::new(AskNode { question, options: Vec::new(), deadline: None, default: None, to: None, notify: None })),
    )
}

fn prepared(builder: PlanBuilder) -> Prepared {
    let plan = builder.build().expect("it has no circle");
    let judge = crate::plan::rule_book(&plan, &BTreeMap::new()).expect("no rules");
    Prepared::of_plan("test", plan, Arc::new(judge))
}

/// A chain of calls, long enough that a session of it looks up in between.
fn chain(length: usize) -> PlanBuilder {
    let mut builder = PlanBuilder::new();
    let nodes: Vec<_> = (0..length).map(|n| builder.tool(format!("n{n}"), "noop")).collect();
    nodes.windows(2).for_each(|pair| builder.edge(pair[0], pair[1]));
    builder
}

/// The inbox was read after 400 ms for the first time, and short sessions were over by then.
#[tokio::test]
async fn a_session_reads_what_other_processes_left_for_it_before_it_does_anything() {
    let engine = Engine::builder().tool(noop()).expect("a new name").build();
    let handle = engine.start(&prepared(chain(50)), "go", Map::new()).await.expect("starts");
    let item = InboxItem::Cancel { by: "me".into(), reason: "".into(), at: engine.inner.clock.now() };
    engine.store().post(handle.session(), item).expect("it is open");
    let ended = handle.wait().await.expect("runs");
    assert_eq!(ended.status, Status::Cancelled);
    assert!(ended.report.metrics.tool_calls < 50, "{}", ended.report.metrics.tool_calls);
}

/// It was the end of the session.
#[tokio::test(start_paused = true)]
async fn an_inbox_that_cannot_be_read_for_a_moment_is_read_later() {
    let item = || InboxItem::Cancel { by: "me".into(), reason: "".into(), at: Timestamp(0) };
    for (unread, expected) in [(3, Some(Status::Cancelled)), (1_000, None)] {
        let engine = Engine::builder().store(Failing::new(u32::MAX, unread)).tool(noop()).expect("a new name").build();
        let handle = engine.start(&prepared(chain(50)), "go", Map::new()).await.expect("starts");
        engine.store().post(handle.session(), item()).expect("it is open");
        let ended = handle.wait().await;
        assert_eq!(ended.as_ref().ok().map(|ended| ended.status), expected, "{:?}", ended.err());
    }
}

/// A session that parked forgot what its callers had said.
#[tokio::test]
async fn an_answer_that_comes_when_a_session_parks_is_heard() {
    let mut builder = PlanBuilder::new();
    builder.node(ask("a"));
    let handle = Engine::builder().build().start(&prepared(builder), "go", Map::new()).await.expect("starts");
    handle.answer(AskId(0), Value::text("yes"), "ann").expect("it is driven");
    assert_eq!(handle.wait().await.expect("runs").status, Status::Completed);
}

#[tokio::test]
async fn callers_who_say_more_than_a_session_can_take_are_told_so() {
    let mut builder = PlanBuilder::new();
    builder.node(ask("a"));
    let handle = Engine::builder().build().start(&prepared(builder), "go", Map::new()).await.expect("starts");
    for n in 0..inbox::CALLERS_WAIT {
        assert_eq!(handle.answer(AskId(7), Value::text("yes"), "ann"), Ok(()), "{n}");
    }
    assert_eq!(handle.cancel("ann", ""), Err(Unheard::Busy));
    tokio::task::yield_now().await;
    while !handle.task.is_finished() {
        tokio::task::yield_now().await;
    }
    assert_eq!(handle.cancel("ann", ""), Err(Unheard::Ended));
    assert_eq!(handle.wait().await.expect("runs").status, Status::Parked);
}

struct Panics(ToolSpec);

impl Tool for Panics {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn call<'a>(&'a self, _call: &'a CallContext, _args: &'a Value) -> Work<'a> {
        panic!("a bug")
    }
}

/// It counted as failed, and was tried again.
#[tokio::test]
async fn a_call_that_cannot_be_repeated_and_breaks_off_is_in_doubt() {
    for (effect, expected) in [(EffectClass::Irreversible, Status::Parked), (EffectClass::Idempotent, Status::Failed)] {
        let engine = Engine::builder().tool(Arc::new(Panics(spec("panics", effect)))).expect("a new name").build();
        let mut builder = PlanBuilder::new();
        builder.node(call("a", "panics", effect));
        let handle = engine.start(&prepared(builder), "go", Map::new()).await.expect("starts");
        assert_eq!(handle.wait().await.expect("runs").status, expected, "{effect:?}");
    }
}

/// A tool that goes on for a while after it is told to stop, where `lingers`, and writes down when it starts and ends.
struct Slow {
    spec: ToolSpec,
    lingers: bool,
    log: Arc<Mutex<Vec<String>>>,
}

impl BlockingTool for Slow {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn run(&self, call: &CallContext, _: &Value) -> Outcome {
        let write = |what: &str| self.log.lock().expect("no thread panics with it").push(format!("{what} {}", call.node));
        write("start");
        while self.lingers && !call.stop.is_stopped() {
            std::thread::yield_now();
        }
        if self.lingers {
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        write("end");
        call.stop.check()?;
        Ok(Value::Null)
    }
}

/// What came after a call that was cut off began while that still worked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_cut_off_holds_its_slot_until_it_has_stopped() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let slow = |name: &str, lingers| -> Arc<dyn Tool> {
        Arc::new(Blocking::new(Slow { spec: spec(name, EffectClass::Read), lingers, log: log.clone() }))
    };
    let engine =
        Engine::builder().tool(slow("lingers", true)).and_then(|b| b.tool(slow("quick", false))).expect("new names").build();
    let mut builder = PlanBuilder::new().max_parallel(1);
    let a = builder.node(Node { timeout: Some(std::time::Duration::from_millis(30)), ..call("a", "lingers", EffectClass::Read) });
    let b = builder.tool("b", "quick");
    builder.edge_on(a, b, On::Done);
    let handle = engine.start(&prepared(builder), "go", Map::new()).await.expect("starts");
    assert_eq!(handle.wait().await.expect("runs").status, Status::Completed);
    assert_eq!(*log.lock().expect("no thread panics with it"), ["start a", "end a", "start b", "end b"]);
}

/// A store whose appends fail from some on, in their tickets only: what group commit does on a full disk. Its inboxes cannot be read at first.
struct Failing {
    inner: MemoryStore,
    appends: AtomicU32,
    unread: AtomicU32,
}

impl Failing {
    fn new(appends: u32, unread: u32) -> Arc<Self> {
        Arc::new(Self { inner: MemoryStore::new(), appends: appends.into(), unread: unread.into() })
    }
}

impl Store for Failing {
    fn create(&self, new: NewSession) -> Result<crate::store::Claim, ClaimError> {
        self.inner.create(new)
    }
    fn claim(&self, session: SessionId) -> Result<crate::store::Claim, ClaimError> {
        self.inner.claim(session)
    }
    fn append(&self, claim: &crate::store::Claim, expected: Seq, records: &[Record]) -> Result<Ticket, AppendError> {
        if self.appends.fetch_sub(1, Ordering::Relaxed) > 1 {
            return self.inner.append(claim, expected, records);
        }
        let full = StoreError::Io { path: "j".into(), why: Arc::from("no space left"), remedy: "make room" };
        Ok(Ticket::ready(Err(full.into())))
    }
    fn read(&self, session: SessionId, from: Seq, max: usize) -> Result<Vec<Record>, ReadError> {
        self.inner.read(session, from, max)
    }
    fn release(&self, claim: crate::store::Claim, closing: Closing) -> crate::store::Release {
        self.inner.release(claim, closing)
    }
    fn list(&self, filter: &crate::store::Filter) -> Result<Vec<crate::store::SessionRow>, StoreError> {
        self.inner.list(filter)
    }
    fn row(&self, session: SessionId) -> Result<crate::store::SessionRow, FindError> {
        self.inner.row(session)
    }
    fn find(&self, org: &str, prefix: &str) -> Result<SessionId, FindError> {
        self.inner.find(org, prefix)
    }
    fn post(&self, session: SessionId, item: InboxItem) -> Result<(), PostError> {
        self.inner.post(session, item)
    }
    fn poll(&self, claim: &crate::store::Claim) -> Result<Vec<crate::store::Mail>, StoreError> {
        if self.unread.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Err(StoreError::Busy { path: "c".into(), pid: None });
        }
        self.inner.poll(claim)
    }
    fn ack(&self, claim: &crate::store::Claim, mail: crate::store::MailId, after: Ticket) {
        self.inner.ack(claim, mail, after);
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
        let spec = ToolSpec {
            name: "pay".into(),
            description: "pays".into(),
            parameters,
            effect: EffectClass::Irreversible,
            untrusted: false,
        };
        let store = Failing::new(durable + 1, 0);
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
    let fill = || {
        std::fs::create_dir(folder.path().join("data")).expect("a folder");
        std::fs::write(folder.path().join("data/a.log"), "x").expect("a file");
    };
    let asks = "name: Asks\ncollaboration_pattern: graph\ninputs: { data: { type: folder } }\n\
                nodes:\n  ask: { ask: \"Go?\", options: [\"yes\"] }\n  then: { gate: '1', after: ask }\n";
    std::fs::write(folder.path().join("asks.yaml"), asks).expect("a file");
    fill();
    let first = engine();
    let team = first.load("asks.yaml", &Default::default()).expect("a team");
    let inputs: Map = [("data".to_owned(), Value::text("data"))].into_iter().collect();
    let handle = first.start(&team, "go", inputs).await.expect("starts");
    let session = handle.session();
    assert_eq!(handle.wait().await.expect("parks").status, Status::Parked);
    std::fs::remove_dir_all(folder.path().join("data")).expect("a folder");
    let error = first.resume(session).await.map(drop).expect_err("its input is gone");
    assert!(matches!(error, EngineError::Prepare(_)), "{error}");
    fill();
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
