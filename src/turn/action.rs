//! What can an agent do among its colleagues? [`Action`], one per collaboration tool.

use std::sync::Arc;

use serde::Deserialize;

use crate::value::{EffectClass, Evidence, Origin, ToolSpec, Value};

/// A finding's topic at most, in characters.
pub const TOPIC_LIMIT: usize = 120;
/// Pieces of evidence of a finding at most; further ones are left out.
pub const EVIDENCE_LIMIT: usize = 20;
/// An excerpt at most, in characters; longer ones are cut.
pub const EXCERPT_LIMIT: usize = 500;

/// What a call of a collaboration tool means.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Tell all what was found.
    Find {
        /// On what.
        topic: Arc<str>,
        /// What, in words.
        claim: Arc<str>,
        /// What, as a value.
        value: Value,
        /// From 0 to 1.
        confidence: f64,
        /// What it rests on.
        evidence: Vec<Evidence>,
        /// Where it comes from.
        origin: Option<Origin>,
    },
    /// Read the shared context.
    Read {
        /// `findings`, `variables`, `decisions`; empty for all.
        only: Vec<String>,
        /// Findings on this topic.
        topic: Option<String>,
        /// Findings of this agent.
        agent: Option<String>,
    },
    /// Write a variable.
    Write {
        /// Which.
        variable: Arc<str>,
        /// What.
        value: Value,
    },
    /// Ask for help.
    Escalate {
        /// Why.
        reason: Arc<str>,
        /// What to ask a person.
        question: Option<Arc<str>>,
        /// The answers to choose from.
        options: Vec<Arc<str>>,
    },
    /// End with a result.
    Finish(Value),
}

/// Why a collaboration call means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// The arguments do not have the tool's shape.
    #[error("{tool}: {reason}")]
    Arguments {
        /// The tool.
        tool: &'static str,
        /// What is wrong with them.
        reason: String,
    },
}

/// Whether `tool` is one of the collaboration tools.
pub fn is_collaboration(tool: &str) -> bool {
    matches!(tool, "broadcast_finding" | "read_context" | "set_variable" | "escalate" | "finish")
}

/// Why the arguments of a call cannot be read, where a model wrote something that is no JSON: they are then its words.
pub fn unreadable(args: &Value) -> Option<String> {
    let text = args.as_str()?;
    let why = serde_json::from_str::<serde_json::Value>(text).err().map_or_else(String::new, |e| format!(": {e}"));
    Some(format!("the arguments are no JSON object{why}; call it again with one"))
}

impl Action {
    /// What a call of `tool` with `args` means; `None` for a tool that is not a collaboration tool.
    ///
    /// # Errors
    /// The arguments do not fit.
    pub fn of(tool: &str, args: &Value) -> Option<Result<Self, ActionError>> {
        Some(match tool {
            "broadcast_finding" => read::<FindArgs>("broadcast_finding", args).and_then(FindArgs::action),
            "read_context" => {
                read::<ReadArgs>("read_context", args).map(|a| Self::Read { only: a.only, topic: a.topic, agent: a.agent })
            }
            "set_variable" => {
                read::<WriteArgs>("set_variable", args).map(|a| Self::Write { variable: a.variable.into(), value: a.value })
            }
            "escalate" => read::<EscalateArgs>("escalate", args).map(|a| Self::Escalate {
                reason: a.reason.into(),
                question: a.question.map(Arc::from),
                options: a.options.into_iter().map(Arc::from).collect(),
            }),
            "finish" if unreadable(args).is_some() => {
                Err(ActionError::Arguments { tool: "finish", reason: unreadable(args).unwrap_or_default() })
            }
            "finish" => Ok(Self::Finish(args.get("result").cloned().unwrap_or_else(|| args.clone()))),
            _ => return None,
        })
    }
}

fn read<T: serde::de::DeserializeOwned>(tool: &'static str, args: &Value) -> Result<T, ActionError> {
    if let Some(reason) = unreadable(args) {
        return Err(ActionError::Arguments { tool, reason });
    }
    args.to::<T>().map_err(|e| ActionError::Arguments { tool, reason: e.to_string().replace("convert a value: ", "") })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FindArgs {
    topic: String,
    claim: String,
    #[serde(default)]
    value: Value,
    confidence: f64,
    #[serde(default)]
    evidence: Vec<Evidence>,
    #[serde(default)]
    origin: Option<Origin>,
}

impl FindArgs {
    fn action(self) -> Result<Action, ActionError> {
        let wrong = |reason: String| Err(ActionError::Arguments { tool: "broadcast_finding", reason });
        if !(0.0..=1.0).contains(&self.confidence) {
            return wrong(format!("confidence is {}, it goes from 0 to 1", self.confidence));
        }
        if self.topic.trim().is_empty() || self.topic.chars().count() > TOPIC_LIMIT {
            return wrong(format!("the topic has 1 to {TOPIC_LIMIT} characters"));
        }
        let mut evidence = self.evidence;
        evidence.truncate(EVIDENCE_LIMIT);
        for piece in &mut evidence {
            piece.excerpt = cut(&piece.excerpt, EXCERPT_LIMIT);
        }
        Ok(Action::Find {
            topic: self.topic.into(),
            claim: self.claim.into(),
            value: self.value,
            confidence: self.confidence,
            evidence,
            origin: self.origin,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadArgs {
    #[serde(default)]
    only: Vec<String>,
    #[serde(default)]
    topic: Option<String>,
    #[serde(default)]
    agent: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteArgs {
    variable: String,
    #[serde(default)]
    value: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EscalateArgs {
    reason: String,
    #[serde(default)]
    question: Option<String>,
    #[serde(default)]
    options: Vec<String>,
}

/// `text` with at most `limit` characters, the last an ellipsis where something was cut.
pub fn cut(text: &Arc<str>, limit: usize) -> Arc<str> {
    if text.chars().count() <= limit {
        return text.clone();
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short.into()
}

/// The collaboration tools as a model is told of them.
pub fn collaboration_tools() -> Vec<Arc<ToolSpec>> {
    let text = |what: &str| Value::map([("type", Value::text("string")), ("description", Value::text(what))]);
    let list_of = |items: Value| Value::map([("type", Value::text("array")), ("items", items)]);
    let string = || Value::map([("type", Value::text("string"))]);
    let any = |what: &str| Value::map([("description", Value::text(what))]);
    let object = |properties: Value, required: &[&str]| {
        Value::map([
            ("type", Value::text("object")),
            ("properties", properties),
            ("required", Value::list(required.iter().map(Value::text))),
            ("additionalProperties", Value::Bool(false)),
        ])
    };
    let evidence = object(
        Value::map([
            ("source", text("a file, a tool, a document")),
            ("locator", text("a line, a series, a time, a row")),
            ("excerpt", text("the words or figures themselves")),
        ]),
        &["source"],
    );
    let tools = [
        (
            "broadcast_finding",
            "Tell the team what you found. Findings on one topic with different values count as a disagreement.",
            object(
                Value::map([
                    ("topic", text("what it is about")),
                    ("claim", text("what you found, in words")),
                    ("value", any("what you found, as a value")),
                    (
                        "confidence",
                        Value::map([("type", Value::text("number")), ("minimum", Value::Int(0)), ("maximum", Value::Int(1))]),
                    ),
                    ("evidence", list_of(evidence)),
                    ("origin", Value::map([("enum", Value::list(["tool", "model", "person"].map(Value::from)))])),
                ]),
                &["topic", "claim", "confidence"],
            ),
        ),
        (
            "read_context",
            "Read what the team knows: findings, variables, decisions.",
            object(
                Value::map([
                    ("only", list_of(string())),
                    ("topic", text("findings on this")),
                    ("agent", text("findings of this agent")),
                ]),
                &[],
            ),
        ),
        (
            "set_variable",
            "Write a variable of the shared context; others see it once you have finished.",
            object(Value::map([("variable", text("its name")), ("value", any("its value"))]), &["variable", "value"]),
        ),
        (
            "escalate",
            "Ask the coordinator or a person for help when you are stuck or not sure.",
            object(
                Value::map([("reason", text("why")), ("question", text("what to ask a person")), ("options", list_of(string()))]),
                &["reason"],
            ),
        ),
        ("finish", "End your work with a result.", object(Value::map([("result", any("your result"))]), &["result"])),
    ];
    tools
        .into_iter()
        .map(|(name, description, parameters)| {
            Arc::new(ToolSpec { name: name.into(), description: description.into(), parameters, effect: EffectClass::Read })
        })
        .collect()
}
