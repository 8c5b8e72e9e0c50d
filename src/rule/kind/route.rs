//! `route(facts)`: which sub-tasks are there, and who does them?

use std::sync::Arc;

use super::{Wrong, sample_agents, sample_inputs, sample_task};
use crate::value::{AgentFacts, Division, RouteFacts, Unfit, Value, Verdict};

pub(super) const SHAPE: &str = "a list of #{ id: text, agent: role (or skills: [text], and tools: [text] where it needs some), task: text, done_when: text (optional), depends_on: [id] (optional) }";

pub(super) fn samples() -> Vec<RouteFacts> {
    let facts = RouteFacts {
        task: sample_task(),
        inputs: sample_inputs(),
        node: "route".into(),
        input: Value::map::<String>([]),
        agents: sample_agents(),
        max_tasks: Some(8),
        round: 1,
        rounds_left: 0,
        ledger: Value::Null,
        stall: None,
    };
    let unbounded = RouteFacts { max_tasks: None, ..facts.clone() };
    vec![facts, unbounded, again()]
}

/// Facts of a second round.
fn again() -> RouteFacts {
    let text = |text: &str| Value::text(text);
    let row = |id: &str, status: &str, error: Value| {
        Value::map([
            ("id", text(id)),
            ("agent", text("performance")),
            ("task", text("Look at the latency.")),
            ("done_when", Value::Null),
            ("status", text(status)),
            ("error", error),
            ("round", Value::Int(1)),
            ("attempts", Value::Int(1)),
        ])
    };
    let plan = Value::list([row("cpu", "done", Value::Null), row("latency", "failed", text("timeout: took longer than 300 s"))]);
    let ledger = [("facts", Value::list([])), ("plan", plan), ("rounds", Value::Int(1)), ("rounds_left", Value::Int(1))];
    RouteFacts {
        task: sample_task(),
        inputs: sample_inputs(),
        node: "work".into(),
        input: Value::Null,
        agents: sample_agents(),
        max_tasks: Some(8),
        round: 2,
        rounds_left: 1,
        ledger: Value::map(ledger),
        stall: Some("the last round of delegation brought no new finding and no sub-task that is done".into()),
    }
}

pub(super) fn verdict(said: &Value, facts: &Value) -> Result<Verdict, Wrong> {
    let agents = facts.get("agents").and_then(|agents| agents.to::<Vec<AgentFacts>>().ok()).unwrap_or_default();
    let max = facts.get("max_tasks").and_then(Value::as_int).map(|max| u32::try_from(max).unwrap_or(0));
    let done: Vec<Arc<str>> = done(facts).into_iter().map(Arc::from).collect();
    let division = Division { agents: &agents, max, done: &done, noun: "verdict", shape: SHAPE };
    // A rule that says the whole plan each time is right: what is done is not done again.
    let open = |task: &&Value| !task.get("id").and_then(Value::as_str).is_some_and(|id| done.iter().any(|done| **done == *id));
    let said = said.as_list().map_or_else(|| said.clone(), |tasks| Value::list(tasks.iter().filter(open).cloned()));
    division.read(&said).map(Verdict::Route).map_err(|unfit| match unfit {
        Unfit::Shape(message) => Wrong::Shape(message),
        Unfit::Facts(message) => Wrong::Facts(message),
    })
}

/// The ids of sub-tasks that are done.
fn done(facts: &Value) -> Vec<&str> {
    let plan = facts.get("ledger").and_then(|ledger| ledger.get("plan")).and_then(Value::as_list).unwrap_or_default();
    let done = plan.iter().filter(|row| row.get("status").and_then(Value::as_str) == Some("done"));
    done.filter_map(|row| row.get("id")?.as_str()).collect()
}
