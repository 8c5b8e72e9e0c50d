//! `reconcile(facts)`: what became of an irreversible call in doubt?

use super::{Fields, Wrong, one_of, sample_inputs, sample_task};
use crate::value::{Failure, FailureKind, ReconcileFacts, Role, Value, Verdict};

pub(super) const SHAPE: &str = "#{ happened: value }, \"not_happened\" or \"unknown\"";

pub(super) fn samples() -> Vec<ReconcileFacts> {
    let timeout = ReconcileFacts {
        task: sample_task(),
        inputs: sample_inputs(),
        node: "work/performance".into(),
        role: Some(Role::new("performance")),
        tool: "restart_service".into(),
        args: Value::map([("service", Value::text("payment"))]),
        failure: Some(Failure::new(FailureKind::Timeout, "no answer within 30 s")),
    };
    let crashed = ReconcileFacts { role: None, failure: None, ..timeout.clone() };
    vec![timeout, crashed]
}

pub(super) fn verdict(said: &Value) -> Result<Verdict, Wrong> {
    if let Some(word) = said.as_str() {
        return one_of(word, "the verdict", &[("not_happened", Some(None)), ("unknown", None)]).map(Verdict::Reconcile);
    }
    let fields = Fields::of(said, "", SHAPE, &["happened"])?;
    match fields.map.get("happened") {
        Some(value) => Ok(Verdict::Reconcile(Some(Some(value.clone())))),
        None => Err(Wrong::Shape(format!("the verdict is an empty map; expected {SHAPE}"))),
    }
}
