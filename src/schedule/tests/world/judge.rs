//! Who decides in tests? [`TestJudge`]: a tiny language of expressions, and rules by table.

use std::{collections::BTreeMap, sync::Arc};

use super::synod::{
    turn::Toolbox,
    value::{EffectClass, Expr, Judge, Profile, RuleError, RuleKind, TeamIx, TextTemplate, ToolSpec, Value, Verdict},
};

/// FNV-1a, so that tests need no random numbers of the machine.
pub fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// A rule: facts in, verdict out.
pub type Rule = Box<dyn Fn(&Value) -> Verdict + Send + Sync>;
/// Rules by function name.
pub type Rules = BTreeMap<&'static str, Rule>;

/// Expressions are: JSON, a path such as `a.output.kind`, `len(x)`, `hash(x)` (true for about half of all values), `fail`,
/// and `x == y` of such.
#[derive(Default)]
pub struct TestJudge {
    /// The team's rules.
    pub rules: Rules,
}

fn evaluate(text: &str, names: &[(&str, Value)]) -> Result<Value, String> {
    let text = text.trim();
    if let Some((left, right)) = text.split_once("==") {
        return Ok(Value::Bool(evaluate(left, names)? == evaluate(right, names)?));
    }
    if text == "fail" {
        return Err("it failed".to_owned());
    }
    if let Some(inner) = text.strip_prefix("len(").and_then(|t| t.strip_suffix(')')) {
        let value = evaluate(inner, names)?;
        return value.as_list().map(|l| Value::Int(l.len() as i64)).ok_or_else(|| format!("{} has no length", value.type_name()));
    }
    if let Some(inner) = text.strip_prefix("hash(").and_then(|t| t.strip_suffix(')')) {
        return Ok(Value::Bool(hash(&evaluate(inner, names)?.to_string()).is_multiple_of(2)));
    }
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(text) {
        return Value::try_from(json).map_err(|e| e.to_string());
    }
    let mut parts = text.split('.');
    let head = parts.next().unwrap_or_default();
    let mut value =
        names.iter().find(|(name, _)| *name == head).map(|(_, v)| v.clone()).ok_or_else(|| format!("{head} is not known"))?;
    for part in parts {
        value = value.get(part).cloned().unwrap_or_default();
    }
    Ok(value)
}

impl Judge for TestJudge {
    fn eval(&self, expr: &Expr, names: &[(&str, Value)]) -> Result<Value, RuleError> {
        evaluate(&expr.source, names).map_err(|message| RuleError { message, place: expr.place.clone() })
    }

    fn judge(&self, _: TeamIx, kind: &RuleKind, facts: &Value) -> Result<Option<Verdict>, RuleError> {
        Ok(self.rules.get(kind.function()).map(|rule| rule(facts)))
    }

    fn render(&self, template: &TextTemplate, names: &[(&str, Value)]) -> Result<Arc<str>, RuleError> {
        self.fill(template, names).map(|value| Arc::from(value.to_string()))
    }

    fn fill(&self, template: &TextTemplate, names: &[(&str, Value)]) -> Result<Value, RuleError> {
        let inner = template.source.strip_prefix("{{").and_then(|t| t.strip_suffix("}}"));
        let Some(inner) = inner else { return Ok(Value::Text(template.source.clone())) };
        evaluate(inner, names).map_err(|message| RuleError { message, place: template.place.clone() })
    }
}

/// Tools whose effect is told by their name: `fire…` cannot be undone, `idem…` may be repeated under its key, all else reads.
/// What `fetch…` brings comes from outside. There is no tool `missing`; an argument `bad` fits no tool.
pub struct TestTools;

impl Toolbox for TestTools {
    fn spec(&self, tool: &str) -> Option<Arc<ToolSpec>> {
        (tool != "missing").then(|| {
            Arc::new(ToolSpec {
                name: Arc::from(tool),
                description: Arc::from(""),
                parameters: Value::Null,
                effect: self.effect(tool, &Value::Null),
                untrusted: tool.starts_with("fetch"),
            })
        })
    }

    fn check(&self, _: &str, args: &Value) -> Result<(), String> {
        if args.get("bad").is_some() { Err("`bad` is not an argument".to_owned()) } else { Ok(()) }
    }

    fn effect(&self, tool: &str, _: &Value) -> EffectClass {
        if tool.starts_with("fire") {
            EffectClass::Irreversible
        } else if tool.starts_with("idem") {
            EffectClass::Idempotent
        } else {
            EffectClass::Read
        }
    }

    fn allows(&self, profile: &Profile, tool: &str, _: &Value) -> bool {
        profile.allowed_tools.iter().any(|p| **p == *tool || &**p == "*")
    }

    fn allowed(&self, profile: &Profile) -> Vec<Arc<ToolSpec>> {
        profile.allowed_tools.iter().filter(|p| &***p != "*").filter_map(|p| self.spec(p)).collect()
    }

    fn fits(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let missing = schema.as_list().unwrap_or_default().iter().filter_map(Value::as_str).find(|k| value.get(k).is_none());
        missing.map_or(Ok(()), |key| Err(format!("`{key}` is missing")))
    }
}
