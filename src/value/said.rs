//! What was said? Messages, findings, decisions and variables of the shared context.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{FindingId, MessageId, Origin, Origins, Role, Seq, Value};

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// A (sub-)task given to an agent.
    TaskAssignment,
    /// A finding, told to all.
    Finding,
    /// A question of one agent to another.
    Question,
    /// An answer, or what an agent returned.
    Response,
    /// Work passed on.
    Handoff,
    /// Somebody is stuck.
    Escalation,
    /// For information; wakes nobody.
    Note,
}

impl MessageKind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::TaskAssignment, Self::Finding, Self::Question, Self::Response, Self::Handoff, Self::Escalation, Self::Note];

    /// The name that files and JSON use.
    pub fn name(self) -> &'static str {
        match self {
            Self::TaskAssignment => "task_assignment",
            Self::Finding => "finding",
            Self::Question => "question",
            Self::Response => "response",
            Self::Handoff => "handoff",
            Self::Escalation => "escalation",
            Self::Note => "note",
        }
    }
}

/// A message from an agent (or the coordinator, a rule, a person) to one agent or to all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// What it is for.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// Who says it; `None` for the engine on behalf of the coordinator.
    pub from: Option<Role>,
    /// To whom; `None` for all.
    pub to: Option<Role>,
    /// What is said.
    pub content: Arc<str>,
    /// What goes with it.
    #[serde(default)]
    pub metadata: Value,
    /// Only its two ends (and the audit) see it.
    #[serde(default)]
    pub private: bool,
    /// Its part in an exchange of `ask_agent`, or in a handoff. The engine says so, never an agent: what an agent sends along is in `metadata`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Exchange>,
    /// Where what it says comes from: all that its author had read, and the author.
    #[serde(default, skip_serializing_if = "Origins::is_empty")]
    pub origins: Origins,
}

/// A message's part in an exchange of `ask_agent`, or in a handoff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exchange {
    /// A question that is answered by an activation of its own, at this path: it need not wake whom it is addressed to.
    AnsweredAt(Arc<str>),
    /// The answer to that question; it is the result of the asker's call.
    Answers(MessageId),
    /// What a handoff demands is acknowledged.
    Acknowledges(MessageId),
}

impl Message {
    /// The question of `ask_agent` that it answers.
    pub fn answers(&self) -> Option<&MessageId> {
        match &self.exchange {
            Some(Exchange::Answers(question)) => Some(question),
            Some(Exchange::AnsweredAt(_) | Exchange::Acknowledges(_)) | None => None,
        }
    }

    /// The path of the activation that answers this question of `ask_agent`.
    pub fn answered_at(&self) -> Option<&str> {
        match &self.exchange {
            Some(Exchange::AnsweredAt(path)) => Some(path),
            Some(Exchange::Answers(_) | Exchange::Acknowledges(_)) | None => None,
        }
    }

    /// The handoff whose constraints it acknowledges.
    pub fn acknowledges(&self) -> Option<&MessageId> {
        match &self.exchange {
            Some(Exchange::Acknowledges(handoff)) => Some(handoff),
            Some(Exchange::Answers(_) | Exchange::AnsweredAt(_)) | None => None,
        }
    }

    /// What a handoff carries over, where somebody wrote a brief.
    pub fn brief(&self) -> Option<super::Brief> {
        let brief = self.metadata.get("brief").filter(|_| self.kind == MessageKind::Handoff)?;
        brief.to().ok()
    }
}

/// What a claim rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// A file, a tool, a document.
    pub source: Arc<str>,
    /// A line, a series, a time, a row.
    #[serde(default)]
    pub locator: Arc<str>,
    /// The words or figures themselves, at most 500 characters.
    #[serde(default)]
    pub excerpt: Arc<str>,
}

/// Where a finding stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingStatus {
    /// Said, and not contested.
    #[default]
    Open,
    /// What was settled agrees with it.
    Confirmed,
    /// What was settled differs from it.
    Disputed,
    /// Its author took it back, or the attempt that made it was thrown away.
    Retracted,
}

/// A claim on a topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Its id.
    pub id: FindingId,
    /// Who found it.
    pub agent: Role,
    /// What it is about; findings on the same topic with different values disagree.
    pub topic: Arc<str>,
    /// The claim, in words.
    pub claim: Arc<str>,
    /// The claim, as a value.
    #[serde(default)]
    pub value: Value,
    /// From 0 to 1.
    pub confidence: f64,
    /// Where it stands.
    #[serde(default)]
    pub status: FindingStatus,
    /// Where it comes from.
    pub origin: Origin,
    /// What it rests on.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    /// Where all that its author had read comes from, and the author.
    #[serde(default, skip_serializing_if = "Origins::is_empty")]
    pub origins: Origins,
}

/// One side of a disagreement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Whose.
    pub agent: Role,
    /// What it holds.
    pub value: Value,
    /// How sure it is, from 0 to 1.
    pub confidence: f64,
    /// Why, in words.
    #[serde(default)]
    pub reason: Arc<str>,
    /// How often what it held stood before, from 0 to 1, where that weighs: see [`TrackRecord`].
    #[serde(default)]
    pub record: Option<f64>,
}

/// Whether a value says that its author holds no position: nothing, or the word `abstain`.
pub fn abstains(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|word| word.trim().eq_ignore_ascii_case("abstain"))
}

/// How often what an agent held stood in decisions of its team, in the sessions before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackRecord {
    /// The name of its team.
    pub team: Arc<str>,
    /// Its id in the team.
    pub role: Role,
    /// The name of its profile.
    pub profile: Arc<str>,
    /// Decisions in which what it held stood.
    pub stood: u32,
    /// Decisions in which it held something.
    pub held: u32,
}

impl TrackRecord {
    /// What counts for somebody of whom nothing is known.
    pub const NEUTRAL: f64 = 0.5;

    /// The share that stood, with Laplace's correction: two decisions more, one of which stood.
    pub fn share(&self) -> f64 {
        (f64::from(self.stood) + 1.0) / (f64::from(self.held) + 2.0)
    }
}

/// What was settled, with the dissent kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// On what.
    pub topic: Arc<str>,
    /// What stands.
    pub outcome: Value,
    /// Which rule, protocol or person decided.
    pub rule: Arc<str>,
    /// How votes count there: `weighted`, `track_record`, `majority`, `unanimous` or `approval`. `rule` says whether one decided.
    #[serde(default)]
    pub protocol: Arc<str>,
    /// Why.
    #[serde(default)]
    pub reason: Arc<str>,
    /// What everybody held.
    pub positions: Vec<Position>,
    /// Those who held something else.
    pub dissent: Vec<Role>,
    /// Those who were heard and held nothing.
    #[serde(default)]
    pub abstained: Vec<Role>,
}

/// A version of a variable of the shared context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// Its value.
    pub value: Value,
    /// From 1, one more with each write.
    pub version: u32,
    /// Who wrote it.
    pub author: Role,
    /// The record that wrote it.
    pub seq: Seq,
    /// Where all that its author had read comes from, and the author.
    #[serde(default, skip_serializing_if = "Origins::is_empty")]
    pub origins: Origins,
}
