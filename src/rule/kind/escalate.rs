//! `escalate(facts)`: whom does an escalation reach?

use std::sync::Arc;

use super::{Fields, Wrong, sample_inputs, sample_task};
use crate::value::{EscalateFacts, EscalateTo, Failure, FailureKind, Role, Value, Verdict};

pub(super) const SHAPE: &str = "#{ to: \"coordinator\", \"person\" or \"none\", question: text (optional; the reason when absent), options: [text] (optional) }";

const WORDS: [(&str, EscalateTo); 3] =
    [("coordinator", EscalateTo::Coordinator), ("person", EscalateTo::Person), ("none", EscalateTo::None)];

pub(super) fn samples() -> Vec<EscalateFacts> {
    let uncertain = EscalateFacts {
        task: sample_task(),
        inputs: sample_inputs(),
        node: "work/security".into(),
        from: Some(Role::new("security")),
        cause: Some("on_uncertainty".into()),
        reason: "confidence 0.4 is below 0.6".into(),
        confidence: Some(0.4),
        threshold: Some(0.6),
        output: Value::map([("answer", Value::text("Perhaps a leaked key.")), ("confidence", Value::Float(0.4))]),
        failure: None,
        has_coordinator: true,
        people: vec!["on-call".into(), "manager".into()],
    };
    let failed = EscalateFacts {
        cause: Some("on_failure".into()),
        reason: "model: the provider is overloaded".into(),
        confidence: None,
        threshold: None,
        output: Value::Null,
        failure: Some(Failure::new(FailureKind::Model, "the provider is overloaded")),
        ..uncertain.clone()
    };
    let coordinator = EscalateFacts {
        node: "synthesize".into(),
        from: Some(Role::new("coordinator")),
        has_coordinator: false,
        ..uncertain.clone()
    };
    let own_call = EscalateFacts { cause: None, confidence: None, threshold: None, output: Value::Null, ..uncertain.clone() };
    let budget = EscalateFacts {
        from: None,
        cause: Some("on_budget".into()),
        reason: "the limit of 300 turns is reached".into(),
        people: Vec::new(),
        ..own_call.clone()
    };
    vec![uncertain, failed, coordinator, own_call, budget]
}

pub(super) fn verdict(said: &Value, facts: &Value) -> Result<Verdict, Wrong> {
    let fields = Fields::of(said, "", SHAPE, &["to", "question", "options"])?;
    let to = fields.word("to", &WORDS)?;
    if to == EscalateTo::Coordinator && facts.get("has_coordinator").and_then(Value::as_bool) == Some(false) {
        return Err(Wrong::Facts("there is no coordinator whom this could reach".to_owned()));
    }
    let reason = facts.get("reason").and_then(Value::as_str).unwrap_or_default();
    Ok(Verdict::Escalate {
        to,
        question: Arc::from(fields.optional_text("question")?.unwrap_or(reason)),
        options: fields.texts("options")?.into_iter().map(Arc::from).collect(),
    })
}
