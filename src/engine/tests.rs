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
