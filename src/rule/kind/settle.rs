//! `settle(facts)`: what becomes of positions that differ?

use std::sync::Arc;

use super::{Fields, Wrong, sample_agents, sample_inputs, sample_task};
use crate::value::{Position, Role, SettleFacts, SettleVerdict, Value, Verdict};

pub(super) const SHAPE: &str = "#{ verdict: \"accept\", \"vote\", \"debate\", \"coordinator\" or \"escalate\", \
     value: value (what stands; needed to accept one of several findings), reason: text (optional) }";

const WORDS: [(&str, SettleVerdict); 5] = [
    ("accept", SettleVerdict::Accept),
    ("vote", SettleVerdict::Vote),
    ("debate", SettleVerdict::Debate),
    ("coordinator", SettleVerdict::Coordinator),
    ("escalate", SettleVerdict::Escalate),
];

pub(super) fn samples() -> Vec<SettleFacts> {
    let position = |agent: &str, value: &str, confidence, reason: &str| Position {
        agent: Role::new(agent),
        value: Value::text(value),
        confidence,
        reason: reason.into(),
        record: None,
    };
    let findings = SettleFacts {
        task: sample_task(),
        inputs: sample_inputs(),
        node: "settle".into(),
        over: "findings".into(),
        topic: "root_cause".into(),
        positions: vec![
            position("performance", "connection pool exhausted", 0.9, "waits for a connection began at 14:29"),
            position("security", "credentials rotated", 0.4, "a rotation at 14:10"),
        ],
        round: 0,
        rounds_left: 1,
        proposal: Value::Null,
        members: sample_agents().into_iter().map(|agent| agent.role).collect(),
        abstained: vec![Role::new("cost")],
        has_coordinator: true,
    };
    let alone = SettleFacts { positions: findings.positions[..1].to_vec(), has_coordinator: false, ..findings.clone() };
    let spent = SettleFacts {
        round: 1,
        rounds_left: 0,
        positions: vec![
            Position { record: Some(0.75), ..position("performance", "pool", 0.5, "") },
            position("cost", "quota", 0.5, ""),
        ],
        abstained: Vec::new(),
        ..findings.clone()
    };
    let votes = SettleFacts {
        node: "settle2".into(),
        over: "votes".into(),
        topic: "proposal".into(),
        positions: vec![
            position("performance", "approve", 0.9, ""),
            position("security", "object", 0.6, "the rotation is not explained"),
        ],
        proposal: Value::map([("root_cause", Value::text("connection pool exhausted")), ("confidence", Value::Float(0.8))]),
        ..findings.clone()
    };
    let circle = SettleFacts { node: "circle".into(), over: "circle".into(), topic: "result".into(), ..findings.clone() };
    vec![findings, alone, spent, votes, circle]
}

pub(super) fn verdict(said: &Value, facts: &Value) -> Result<Verdict, Wrong> {
    let fields = Fields::of(said, "", SHAPE, &["verdict", "value", "reason"])?;
    let verdict = fields.word("verdict", &WORDS)?;
    let over_findings = facts.get("over").and_then(Value::as_str) == Some("findings");
    if verdict == SettleVerdict::Accept && over_findings && !fields.map.contains_key("value") {
        return Err(Wrong::Shape(format!("to accept needs the `value` that stands; expected {SHAPE}")));
    }
    Ok(Verdict::Settle {
        verdict,
        value: fields.get("value").cloned().unwrap_or_default(),
        reason: Arc::from(fields.optional_text("reason")?.unwrap_or_default()),
    })
}
