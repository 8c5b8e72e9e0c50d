//! Does a session run from start to end, and from a crash to the same end?

use std::sync::Arc;

use super::*;
use crate::{
    event::Status,
    plan::PlanBuilder,
    tool::{CallContext, Work},
    value::{EffectClass, ToolSpec},
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
