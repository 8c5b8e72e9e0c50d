//! `permit(facts)`: may this tool be called?

use std::collections::BTreeMap;

use super::{Wrong, a, one_of, sample_inputs, sample_task};
use crate::value::{EffectClass, Origin, PermitFacts, Role, Value, Verdict};

pub(super) const SHAPE: &str = "\"allow\", \"deny\" or \"ask\", or () for the policy of the team";

const WORDS: [(&str, Option<bool>); 3] = [("allow", Some(true)), ("deny", Some(false)), ("ask", None)];

pub(super) fn samples() -> Vec<PermitFacts> {
    let command = PermitFacts {
        task: sample_task(),
        inputs: sample_inputs(),
        node: "work/performance".into(),
        role: Role::new("performance"),
        tool: "Bash".into(),
        args: Value::map([("command", Value::text("kubectl rollout restart deployment/payment"))]),
        effect: EffectClass::Irreversible,
        turn: 2,
        origins: vec![Origin::Tool, Origin::Model],
        args_from: BTreeMap::new(),
    };
    let outside = PermitFacts {
        origins: vec![Origin::Tool, Origin::Model, Origin::Untrusted],
        args_from: BTreeMap::from([("/command".into(), vec![Origin::Untrusted])]),
        ..command.clone()
    };
    let read = PermitFacts {
        tool: "Read".into(),
        args: Value::map([("path", Value::text("deploys.log"))]),
        effect: EffectClass::Read,
        turn: 0,
        origins: Vec::new(),
        ..command.clone()
    };
    vec![command, read, outside]
}

pub(super) fn verdict(said: &Value) -> Result<Verdict, Wrong> {
    if said.is_null() {
        return Ok(Verdict::Value(Value::Null));
    }
    let word = said.as_str().ok_or_else(|| Wrong::Shape(format!("the verdict is {}; expected {SHAPE}", a(said))))?;
    one_of(word, "the verdict", &WORDS).map(Verdict::Permit)
}
