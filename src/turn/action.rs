//! What can an agent do among its colleagues? [`Action`], one per collaboration tool.

use std::sync::Arc;

use serde::Deserialize;

use crate::value::{Brief, Evidence, Finding, FindingStatus, HandoffRequest, MessageKind, Origin, Role, Value};

use super::COLLABORATION;

/// A finding's topic at most, in characters.
pub const TOPIC_LIMIT: usize = 120;
/// Pieces of evidence of a finding at most; further ones are left out.
pub const EVIDENCE_LIMIT: usize = 20;
/// An excerpt at most, in characters; longer ones are cut.
pub const EXCERPT_LIMIT: usize = 500;

/// A message at most, in characters.
pub const MESSAGE_LIMIT: usize = 8_000;
/// Whom a message to all is addressed to.
pub const EVERYBODY: &str = "all";

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
    /// Write to a colleague, or to all.
    Send {
        /// To whom; `None` for all.
        to: Option<Role>,
        /// What for: a note, a question or a response.
        kind: MessageKind,
        /// What.
        content: Arc<str>,
        /// What goes with it.
        metadata: Value,
        /// Whether only its two ends see it.
        private: bool,
    },
    /// Ask a colleague, and wait for the answer.
    Ask {
        /// Whom.
        to: Role,
        /// What.
        question: Arc<str>,
    },
    /// Read the shared context.
    Read(Asked),
    /// Write a variable.
    Write {
        /// Which.
        variable: Arc<str>,
        /// What.
        value: Value,
        /// The version that it replaces; refused where another stands by then.
        version: Option<u32>,
    },
    /// Take a finding back.
    Retract {
        /// Which.
        finding: Arc<str>,
        /// Why.
        reason: Arc<str>,
    },
    /// Divide a task: this says how, as far as it can be read.
    Delegate(Value),
    /// Ask for help.
    Escalate {
        /// Why.
        reason: Arc<str>,
        /// What to ask a person.
        question: Option<Arc<str>>,
        /// The answers to choose from.
        options: Vec<Arc<str>>,
    },
    /// Pass the work on, in a relay; it ends the activation.
    HandOff {
        /// To whom, with what and why.
        wish: HandoffRequest,
        /// The result; `None`: what the brief says.
        result: Option<Value>,
    },
    /// Acknowledge what a handoff demands.
    Acknowledge {
        /// The constraints.
        constraints: Vec<Arc<str>>,
        /// What there is to say to them.
        note: Option<Arc<str>>,
    },
    /// End with a result.
    Finish(Value),
}

/// Which part of the shared context is asked for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asked {
    /// `findings`, `variables`, `decisions`; empty for all.
    pub only: Vec<String>,
    /// Findings and decisions on this topic.
    pub topic: Option<String>,
    /// Findings of this agent.
    pub agent: Option<String>,
    /// Findings that stand so: `open`, `confirmed`, `disputed`.
    pub status: Option<FindingStatus>,
    /// Findings at least so sure.
    pub min_confidence: Option<f64>,
}

impl Asked {
    /// Whether nothing is left out.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a finding is asked for.
    pub fn wants(&self, finding: &Finding) -> bool {
        self.topic.as_ref().is_none_or(|topic| **topic == *finding.topic)
            && self.agent.as_ref().is_none_or(|agent| *agent == *finding.agent.as_str())
            && self.status.is_none_or(|status| status == finding.status)
            && self.min_confidence.is_none_or(|least| finding.confidence >= least)
    }
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
    COLLABORATION.contains(&tool)
}

/// Whether a call of `tool` ends the activation, once all others of the turn are answered.
pub fn ends(tool: &str) -> bool {
    matches!(tool, "finish" | "handoff")
}

/// Whether a call of `tool` is looked at when all others of the turn are answered: what divides the work comes before what ends it.
pub fn comes_last(tool: &str) -> bool {
    ends(tool) || tool == "delegate"
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
            "send_message" => read::<SendArgs>("send_message", args).and_then(SendArgs::action),
            "ask_agent" => read::<AskArgs>("ask_agent", args).and_then(AskArgs::action),
            "read_context" => read::<Asked>("read_context", args).map(Self::Read),
            "set_variable" => read::<WriteArgs>("set_variable", args).map(|a| Self::Write {
                variable: a.variable.into(),
                value: a.value,
                version: a.version,
            }),
            "retract_finding" => read::<RetractArgs>("retract_finding", args).and_then(RetractArgs::action),
            "escalate" => read::<EscalateArgs>("escalate", args).map(|a| Self::Escalate {
                reason: a.reason.into(),
                question: a.question.map(Arc::from),
                options: a.options.into_iter().map(Arc::from).collect(),
            }),
            "delegate" if unreadable(args).is_some() => {
                Err(ActionError::Arguments { tool: "delegate", reason: unreadable(args).unwrap_or_default() })
            }
            "delegate" => Ok(Self::Delegate(args.clone())),
            "handoff" => read::<HandOffArgs>("handoff", args).and_then(HandOffArgs::action),
            "acknowledge" => read::<AcknowledgeArgs>("acknowledge", args).map(|a| Self::Acknowledge {
                constraints: a.constraints.into_iter().map(Arc::from).collect(),
                note: a.note.map(Arc::from),
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
struct SendArgs {
    to: String,
    content: String,
    #[serde(default, rename = "type")]
    kind: Sent,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    private: bool,
}

/// What an agent may send a message for; the other types have calls of their own.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sent {
    #[default]
    Note,
    Question,
    Response,
}

impl SendArgs {
    fn action(self) -> Result<Action, ActionError> {
        let tool = "send_message";
        let to = (self.to != EVERYBODY).then(|| Role::new(&self.to));
        if self.private && to.is_none() {
            let reason = format!("a message to `{EVERYBODY}` cannot be private");
            return Err(ActionError::Arguments { tool, reason });
        }
        let kind = match self.kind {
            Sent::Note => MessageKind::Note,
            Sent::Question => MessageKind::Question,
            Sent::Response => MessageKind::Response,
        };
        let content = words(tool, "content", &self.content)?;
        if self.metadata.to_string().len() > MESSAGE_LIMIT {
            let reason = format!("the metadata is longer than {MESSAGE_LIMIT} bytes");
            return Err(ActionError::Arguments { tool, reason });
        }
        Ok(Action::Send { to, kind, content, metadata: self.metadata, private: self.private })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskArgs {
    to: String,
    question: String,
}

impl AskArgs {
    fn action(self) -> Result<Action, ActionError> {
        Ok(Action::Ask { to: Role::new(&self.to), question: words("ask_agent", "question", &self.question)? })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HandOffArgs {
    to: String,
    brief: Value,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    result: Option<Value>,
}

impl HandOffArgs {
    fn action(self) -> Result<Action, ActionError> {
        let wrong = |reason| ActionError::Arguments { tool: "handoff", reason };
        let reason = self.reason.map(|reason| words("handoff", "reason", &reason)).transpose()?;
        let brief = Brief::read(&self.brief).map_err(wrong)?;
        let result = self.result.filter(|result| !result.is_null());
        Ok(Action::HandOff { wish: HandoffRequest { to: Role::new(&self.to), brief, reason }, result })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcknowledgeArgs {
    constraints: Vec<String>,
    #[serde(default)]
    note: Option<String>,
}

/// What is said in a message: something, and not too much of it.
fn words(tool: &'static str, name: &str, text: &str) -> Result<Arc<str>, ActionError> {
    let characters = text.chars().count();
    let reason = if text.trim().is_empty() {
        format!("`{name}` says nothing")
    } else if characters > MESSAGE_LIMIT {
        format!(
            "`{name}` has {characters} characters, a message has at most {MESSAGE_LIMIT}: say it shorter, or say where it stands"
        )
    } else {
        return Ok(Arc::from(text));
    };
    Err(ActionError::Arguments { tool, reason })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteArgs {
    #[serde(alias = "name")]
    variable: String,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    version: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetractArgs {
    #[serde(alias = "id")]
    finding: String,
    reason: String,
}

impl RetractArgs {
    fn action(self) -> Result<Action, ActionError> {
        let reason = words("retract_finding", "reason", &self.reason)?;
        Ok(Action::Retract { finding: self.finding.into(), reason })
    }
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
