//! Does an agent finish without the evidence that is declared?
//!
//! It is declared by an `output_schema` that requires `evidence`, or by the team for everybody (`evidence: required`). There is
//! some when the result has a key `evidence` that is not empty or, in the second case, when the agent broadcast a finding with some.

use crate::{
    graph::{Evidence, Watch},
    value::{Finding, Value},
};

/// What is missing from the result of an agent with that `output_schema`; `found` is what it broadcast in this activation.
pub fn lacks_evidence<'a>(
    watch: &Watch,
    schema: Option<&Value>,
    result: &Value,
    mut found: impl Iterator<Item = &'a Finding>,
) -> Option<String> {
    if gives(result.get("evidence")) {
        return None;
    }
    let schema = schema.and_then(|schema| schema.get("required")?.as_list());
    if schema.is_some_and(|keys| keys.iter().any(|key| key.as_str() == Some("evidence"))) {
        return Some("this result has no `evidence`, which its output_schema requires".to_owned());
    }
    match watch.evidence {
        Evidence::Declared => None,
        Evidence::Required if found.any(|finding| !finding.evidence.is_empty()) => None,
        Evidence::Required => Some(
            "this result has no `evidence`, and no finding with evidence was broadcast: the team requires one of them".to_owned(),
        ),
    }
}

/// Whether that is evidence: anything but nothing.
fn gives(evidence: Option<&Value>) -> bool {
    match evidence {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Text(text)) => !text.trim().is_empty(),
        Some(Value::List(items)) => items.iter().any(|item| gives(Some(item))),
        Some(Value::Map(map)) => map.values().any(|item| gives(Some(item))),
        Some(Value::Bool(true) | Value::Int(_) | Value::Float(_)) => true,
    }
}
