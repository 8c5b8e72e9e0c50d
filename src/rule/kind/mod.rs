//! Which decisions are there? For each [`RuleKind`] its question, the shape of its verdict, and sample facts.
//!
//! One file per kind: `samples()` gives facts as the engine would give them, and `verdict()` checks what a script said.

mod escalate;
mod handoff;
mod merge;
mod permit;
mod reconcile;
mod route;
mod settle;

use serde::Serialize;

use super::error::nearest;
use crate::value::{AgentFacts, Map, RuleKind, Value, Verdict};

/// The kinds that have a name of their own.
pub const KINDS: [RuleKind; 7] = [
    RuleKind::Route,
    RuleKind::Handoff,
    RuleKind::Settle,
    RuleKind::Escalate,
    RuleKind::Permit,
    RuleKind::Reconcile,
    RuleKind::Merge,
];

/// What an author needs to know to write a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct KindDoc {
    /// The function's name.
    pub function: String,
    /// What it decides.
    pub question: &'static str,
    /// What it must return.
    pub verdict: &'static str,
    /// What it may be given.
    pub sample: Value,
}

/// What an author needs to know to write a rule of that kind.
pub fn document(kind: &RuleKind) -> KindDoc {
    let (question, verdict) = match kind {
        RuleKind::Route => ("which sub-tasks are there, and who does them?", route::SHAPE),
        RuleKind::Handoff => ("who is next, and what is carried over?", handoff::SHAPE),
        RuleKind::Settle => ("what becomes of positions that differ?", settle::SHAPE),
        RuleKind::Escalate => ("whom does an escalation reach?", escalate::SHAPE),
        RuleKind::Permit => ("may this tool be called?", permit::SHAPE),
        RuleKind::Reconcile => ("what became of an irreversible call in doubt?", reconcile::SHAPE),
        RuleKind::Merge => ("what is the result of the parts?", merge::SHAPE),
        RuleKind::Own(_) => ("what the `rule` node that calls it wants to know", merge::SHAPE),
    };
    KindDoc { function: kind.function().to_owned(), question, verdict, sample: sample(kind) }
}

/// Facts as a rule of that kind may be given them.
pub fn sample(kind: &RuleKind) -> Value {
    samples(kind).into_iter().next().unwrap_or_default()
}

/// Several facts that lead a rule of that kind through its branches; the first is the documented one.
pub(super) fn samples(kind: &RuleKind) -> Vec<Value> {
    match kind {
        RuleKind::Route => values(&route::samples()),
        RuleKind::Handoff => values(&handoff::samples()),
        RuleKind::Settle => values(&settle::samples()),
        RuleKind::Escalate => values(&escalate::samples()),
        RuleKind::Permit => values(&permit::samples()),
        RuleKind::Reconcile => values(&reconcile::samples()),
        RuleKind::Merge => values(&merge::samples()),
        RuleKind::Own(_) => values(&merge::own_samples()),
    }
}

fn values(samples: &[impl Serialize]) -> Vec<Value> {
    samples.iter().map(|facts| Value::of(facts).expect("the numbers in samples are finite: they are literals")).collect()
}

/// Why what a rule returned is no verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It has the wrong shape, whatever the facts.
    Shape(String),
    /// It does not go with these facts: an agent that is not among them, too many sub-tasks.
    Facts(String),
}

impl Wrong {
    /// What is wrong, a lowercase fragment.
    pub fn message(&self) -> &str {
        match self {
            Self::Shape(message) | Self::Facts(message) => message,
        }
    }
}

/// What the rule `kind` said, if it is a verdict.
pub(super) fn verdict(kind: &RuleKind, said: Value, facts: &Value) -> Result<Verdict, Wrong> {
    match kind {
        RuleKind::Route => route::verdict(&said, facts),
        RuleKind::Handoff => handoff::verdict(&said, facts),
        RuleKind::Settle => settle::verdict(&said, facts),
        RuleKind::Escalate => escalate::verdict(&said, facts),
        RuleKind::Permit => permit::verdict(&said),
        RuleKind::Reconcile => reconcile::verdict(&said),
        RuleKind::Merge | RuleKind::Own(_) => Ok(Verdict::Value(said)),
    }
}

/// What is written as a verdict's shape, read field by field.
struct Fields<'a> {
    map: &'a Map,
    /// Where the map is, for messages: empty for the verdict itself, `[2]` for an item of it.
    at: String,
}

impl<'a> Fields<'a> {
    /// The fields of `said`, which must be a map with no other keys than `known`.
    fn of(said: &'a Value, at: &str, shape: &str, known: &[&str]) -> Result<Self, Wrong> {
        let Some(map) = said.as_map() else {
            let at = if at.is_empty() { "the verdict".to_owned() } else { format!("item {at}") };
            return Err(Wrong::Shape(format!("{at} is {}; expected {shape}", a(said))));
        };
        if let Some(key) = map.keys().find(|key| !known.contains(&key.as_str())) {
            let hint = nearest(key, known.iter().copied()).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
            return Err(Wrong::Shape(format!("a verdict has no `{key}`{hint}; expected {shape}")));
        }
        Ok(Self { map, at: at.to_owned() })
    }

    /// The field, unless it is absent or null.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// A text that must be there.
    fn text(&self, key: &str) -> Result<&'a str, Wrong> {
        match self.get(key) {
            Some(Value::Text(text)) if !text.trim().is_empty() => Ok(text),
            Some(Value::Text(_)) => Err(self.wrong(key, "is empty", "text")),
            Some(other) => Err(self.wrong(key, &format!("is {}", a(other)), "text")),
            None => Err(self.wrong(key, "is missing", "text")),
        }
    }

    /// A text that may be absent.
    fn optional_text(&self, key: &str) -> Result<Option<&'a str>, Wrong> {
        match self.get(key) {
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(key, &format!("is {}", a(other)), "text")),
            None => Ok(None),
        }
    }

    /// A list of texts, empty when absent.
    fn texts(&self, key: &str) -> Result<Vec<&'a str>, Wrong> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let items = value.as_list().ok_or_else(|| self.wrong(key, &format!("is {}", a(value)), "a list of texts"))?;
        items.iter().map(|item| item.as_str().ok_or_else(|| self.wrong(key, &format!("holds {}", a(item)), "texts"))).collect()
    }

    /// One of a few words.
    fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Result<T, Wrong> {
        one_of(self.text(key)?, &format!("`{}`", self.path(key)), words)
    }

    fn path(&self, key: &str) -> String {
        if self.at.is_empty() { key.to_owned() } else { format!("{}.{key}", self.at) }
    }

    fn wrong(&self, key: &str, is: &str, expected: &str) -> Wrong {
        Wrong::Shape(format!("`{}` {is}; expected {expected}", self.path(key)))
    }
}

/// The meaning of a word, one of a few.
fn one_of<T: Clone>(said: &str, what: &str, words: &[(&str, T)]) -> Result<T, Wrong> {
    words.iter().find(|(word, _)| *word == said).map(|(_, meaning)| meaning.clone()).ok_or_else(|| {
        let words: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        Wrong::Shape(format!("{what} is \"{said}\"; expected {}", words.join(", ")))
    })
}

/// `a list`, `an integer`, `null`, as messages name what was found.
fn a(value: &Value) -> String {
    match value {
        Value::Null => "()".to_owned(),
        Value::Text(text) => format!("the text \"{}\"", text.chars().take(40).collect::<String>()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => value.a_kind(),
    }
}

/// The roles under `key` of the facts: of agents, or plain.
fn roles<'a>(facts: &'a Value, key: &str) -> Vec<&'a str> {
    let items = facts.get(key).and_then(Value::as_list).unwrap_or_default();
    items.iter().filter_map(|item| item.as_str().or_else(|| item.get("role")?.as_str())).collect()
}

/// The role `said`, which must be one of `known`.
fn known_role<'a>(said: &str, known: &[&'a str], what: &str) -> Result<&'a str, Wrong> {
    known.iter().find(|role| **role == said).copied().ok_or_else(|| {
        let hint = nearest(said, known.iter().copied()).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
        Wrong::Facts(format!("{what} `{said}` is not one of {}{hint}", known.join(", ")))
    })
}

/// The task of all samples.
fn sample_task() -> std::sync::Arc<str> {
    std::sync::Arc::from("Find the cause of the alert: latency of payment above 2 s since 14:30")
}

/// The inputs of all samples.
fn sample_inputs() -> std::sync::Arc<Map> {
    let inputs = Value::map([("service", Value::text("payment")), ("data", Value::text("incidents/payment-outage"))]);
    std::sync::Arc::new(inputs.as_map().cloned().unwrap_or_default())
}

/// The agents of all samples.
fn sample_agents() -> Vec<AgentFacts> {
    let agent = |role: &str, name: &str, skills: &[&str], description: &str, priority| AgentFacts {
        role: crate::value::Role::new(role),
        name: name.into(),
        specialization: Some(role.into()),
        skills: skills.iter().map(|skill| (*skill).into()).collect(),
        description: Some(description.into()),
        priority,
        tools: vec!["Read".into(), "Grep".into()],
    };
    vec![
        agent("security", "Security Specialist", &["rbac", "secrets"], "Finds what an attacker could use.", 1),
        agent("performance", "Performance Specialist", &["latency", "saturation"], "Finds what is slow and why.", 2),
        agent("cost", "Cost Specialist", &["billing"], "Finds what costs more than it should.", 3),
    ]
}
