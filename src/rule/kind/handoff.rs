//! `handoff(facts)`: who is next, and what is carried over?

use super::{Fields, Wrong, known_role, roles, sample_agents, sample_inputs, sample_task};
use crate::value::{Brief, HandoffFacts, HandoffRequest, Role, SeatFacts, Value, Verdict};

pub(super) const SHAPE: &str =
    "#{ to: role, brief: text or #{ goal, done, open, constraints, artifacts } (optional) }, or () for the default order";

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
    let brief = Brief {
        goal: "Say what the outage cost.".into(),
        done: vec!["Latency rose first; see work/performance#f1.".into()],
        constraints: vec!["Read only".into()],
        ..Brief::default()
    };
    let requested = HandoffRequest { to: Role::new("cost"), brief, reason: Some("billing is not mine".into()) };
    let requested = HandoffFacts { requested: Some(requested), ..facts.clone() };
    let last = HandoffFacts { handoffs_left: 1, ..facts.clone() };
    vec![facts, requested, last]
}

pub(super) fn verdict(said: &Value, facts: &Value) -> Result<Verdict, Wrong> {
    if said.is_null() {
        return Ok(Verdict::Handoff(None));
    }
    let fields = Fields::of(said, "", SHAPE, &["to", "brief"])?;
    let to = known_role(fields.text("to")?, &roles(facts, "candidates"), "the candidate")?;
    let brief = fields.get("brief").map(Brief::read).transpose().map_err(Wrong::Shape)?;
    let brief = brief.map(|brief| Value::of(&brief).unwrap_or_default()).unwrap_or_default();
    Ok(Verdict::Handoff(Some((Role::new(to), brief))))
}
