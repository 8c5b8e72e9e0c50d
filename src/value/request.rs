//! What does a model see, and what does it say? [`Request`] and [`Reply`], neutral of any provider.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Failure, Map, Message, MessageKind, Profile, Role, TextTemplate, Turn, Usd, Value};

/// What repeating a call would do to the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EffectClass {
    /// Nothing: free to repeat.
    Read,
    /// Nothing more, under the same key.
    Idempotent,
    /// Something a second time: never repeated. The default for what says nothing.
    #[default]
    Irreversible,
}

/// A tool as a model is told of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Its name.
    pub name: Arc<str>,
    /// What it does, in a sentence or a few.
    pub description: Arc<str>,
    /// JSON Schema of its arguments, an object.
    pub parameters: Value,
    /// What repeating a call would do.
    pub effect: EffectClass,
    /// Whether what it returns comes from outside, where anybody may have written it: a page of the web, a log, an MCP server that
    /// nobody vouches for. A tool that does not say so answers from this machine and from what people gave the session.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untrusted: bool,
}

/// A tool call that a model asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The model's id of the call, unique in its turn.
    pub id: Arc<str>,
    /// The tool's name.
    pub tool: Arc<str>,
    /// The arguments.
    pub args: Value,
}

/// What came of a tool call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallResult {
    /// The result, or why there is none; an agent reads either.
    pub outcome: Result<Value, Failure>,
    /// Whether what it says comes from outside: see [`ToolSpec::untrusted`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untrusted: bool,
}

impl CallResult {
    /// What came of a call that nobody from outside had a say in.
    pub fn of(outcome: Result<Value, Failure>) -> Self {
        Self { outcome, untrusted: false }
    }
}

/// Tokens of a model call. Zero for scripts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read, cached ones included.
    pub input: u64,
    /// Of these, from a cache.
    pub cached: u64,
    /// Tokens written.
    pub output: u64,
    /// What it cost.
    pub cost: Usd,
}

impl Usage {
    /// Tokens read and written.
    pub fn tokens(&self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// Whether it is nothing at all.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cached: self.cached.saturating_add(other.cached),
            output: self.output.saturating_add(other.output),
            cost: self.cost.plus(other.cost),
        }
    }
}

/// Digests of the parts of a request, 8 hexadecimal digits each, in the order of [`RequestDigest::PARTS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestDigest(Arc<str>);

impl RequestDigest {
    /// What a request is made of; `words` are what a model reads, made of all the others.
    pub const PARTS: [&str; 7] = ["profile", "task", "input", "context", "thread", "tools", "words"];
    /// Digits of a part.
    const DIGITS: usize = 8;

    /// The digest of parts that have these.
    pub fn of(parts: [blake3::Hash; 7]) -> Self {
        let digits = parts.map(|part| part.to_hex()[..Self::DIGITS].to_owned());
        Self(Arc::from(digits.concat()))
    }

    /// The digits of each part, by its name.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        Self::PARTS.into_iter().enumerate().map(|(ix, name)| (name, self.part(ix)))
    }

    fn part(&self, ix: usize) -> &str {
        self.0.get(ix * Self::DIGITS..(ix + 1) * Self::DIGITS).unwrap_or_default()
    }

    /// The first part that differs, and the digits of both.
    pub fn first_difference<'d>(&'d self, other: &'d Self) -> Option<(&'static str, &'d str, &'d str)> {
        let all = Self::PARTS.into_iter().enumerate().map(|(ix, name)| (name, self.part(ix), other.part(ix)));
        all.into_iter().find(|(_, one, two)| one != two)
    }
}

/// Why a model stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// It was done.
    #[default]
    End,
    /// It wants its calls answered.
    Calls,
    /// It ran into `max_tokens`.
    Length,
    /// The provider withheld the rest.
    Filtered,
}

/// One model reply. The default one says nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// What it said beside its calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Arc<str>>,
    /// The calls it asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Call>,
    /// A structured result that ends the activation, where the model gave one without calling `finish`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::present")]
    pub finish: Option<Value>,
    /// Why it stopped.
    pub stop: Stop,
    /// What it took.
    #[serde(default)]
    pub usage: Usage,
    /// The model that answered, where it was not the one asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Arc<str>>,
    /// What the provider wants back with this reply in later requests, such as signatures of its reasoning; it means nothing to
    /// anybody else.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::present")]
    pub carry: Option<Value>,
    /// How many tool results, oldest first, were left out of the request because it would not have fitted into the window.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub elided: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// One entry of a thread, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// What the model said.
    Reply(Arc<Reply>),
    /// What came of a call of the reply before, in the order of its calls.
    Result {
        /// The call.
        call: Call,
        /// What came of it.
        result: Arc<CallResult>,
    },
    /// Messages that the agent read before its turn.
    Mail(Arc<[Arc<Message>]>),
    /// A person's answer to what the agent was unsure of.
    Answer {
        /// What was asked.
        question: Arc<str>,
        /// What was answered; null where nobody did in time.
        answer: Value,
        /// Who answered.
        by: Arc<str>,
    },
    /// A word of the engine, such as a repair after an invalid finish.
    Note(Arc<str>),
    /// What the engine looked up in the agent's name before its first turn.
    Known {
        /// The call.
        call: Call,
        /// What came of it.
        result: Arc<CallResult>,
    },
}

/// What a model is asked: all of it by reference, so that building one copies nothing that was said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Request {
    /// The agent.
    pub role: Role,
    /// Who it is.
    pub profile: Arc<Profile>,
    /// The path of its node.
    pub node: Arc<str>,
    /// What this activation is for: `work`, `delegate`, `synthesize`, `validate`, `debate`, `answer`.
    pub phase: Arc<str>,
    /// The turn, from 0 in each activation.
    pub turn: Turn,
    /// The turns left to the seat after this one.
    pub turns_left: u32,
    /// The rendered task.
    pub task: Arc<str>,
    /// The node's input: what its `input` filter leaves, else the outputs of the nodes it follows, by id.
    pub input: Value,
    /// The session's inputs.
    pub inputs: Arc<Map>,
    /// The shared context that the agent may see: `{findings, variables, decisions, positions, proposal, agents}`.
    pub context: Value,
    /// The conversation so far.
    pub thread: Vec<Entry>,
    /// How many entries of it, the first, are from before this activation: it goes on from them.
    pub earlier: usize,
    /// How it reads messages, by type, where its team has words of its own for them.
    pub letters: Arc<BTreeMap<MessageKind, TextTemplate>>,
    /// The tools it may call.
    pub tools: Vec<Arc<ToolSpec>>,
}
