//! `handoff(facts)`: who is next, and what is carried over?

use super::{Fields, Wrong, known_role, roles, sample_agents, sample_inputs, sample_task};
use crate::value::{HandoffFacts, HandoffRequest, Role, SeatFacts, Value, Verdict};

pub(super) const SHAPE: &str = "#{ to: role, brief: value (optional) }, or () for the default order";

pub(super) fn samples() -> Vec<HandoffFacts> {
    let output = Value::map([("answer", Value::text("No sign of an attack.")), ("confidence", Value::Float(0.8))]);
    let facts = HandoffFacts {
        task: sample_task(),
        inputs: sample_inputs(),
        node: "relay".into(),
        from: Role::new("security"),
        output: output.clone(),
        done: vec![SeatFacts { role: Role::new("security"), output }],
        candidates: sample_agents().split_off(1),
        handoffs_left: 3,
        requested: None,
    };
    let brief = Value::text("Latency rose first; see work/performance#f1.");
    let requested = HandoffFacts { requested: Some(HandoffRequest { to: Role::new("cost"), brief }), ..facts.clone() };
    let last = HandoffFacts { handoffs_left: 1, ..facts.clone() };
    vec![facts, requested, last]
}

pub(super) fn verdict(said: &Value, facts: &Value) -> Result<Verdict, Wrong> {
    if said.is_null() {
        return Ok(Verdict::Handoff(None));
    }
    let fields = Fields::of(said, "", SHAPE, &["to", "brief"])?;
    let to = known_role(fields.text("to")?, &roles(facts, "candidates"), "the candidate")?;
    Ok(Verdict::Handoff(Some((Role::new(to), fields.get("brief").cloned().unwrap_or_default()))))
}
