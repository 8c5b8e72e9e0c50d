//! How does each kind of provider want to be asked, and how does it answer? [`Wire`], one file per kind.

mod anthropic;
mod gemini;
mod ollama;
mod openai;
mod responses;
mod schema;

use std::sync::Arc;

use serde_json::{Map as Json, Value as JsonValue};

use super::{
    draft::Draft,
    frames::{Frame, Framing},
    trouble::Trouble,
};
use crate::{
    team::ProviderKind,
    turn::{Conversation, cut},
    value::{Map, ToolSpec, Usage, Value},
};

/// Characters of a tool's description that OpenAI takes at most.
const MAX_DESCRIPTION: usize = 1_024;

/// What a request is made from.
pub(super) struct Ask<'a> {
    /// What the provider calls the model.
    pub id: &'a str,
    /// What the model is to read.
    pub conversation: &'a Conversation,
    /// The profile's `model_config`.
    pub config: &'a Map,
    /// Tokens that a request and its reply may have together, where that is known.
    pub window: Option<u64>,
    /// Whether to demand a result of the declared shape by the provider's own means.
    pub structured: bool,
}

/// How a provider is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wire(pub ProviderKind);

impl Wire {
    /// What follows the base address for a model of that id.
    pub fn path(self, base: &str, id: &str) -> String {
        match self.0 {
            ProviderKind::Openai => "/chat/completions".to_owned(),
            ProviderKind::OpenaiResponses => "/responses".to_owned(),
            ProviderKind::Anthropic if base.ends_with("/v1") => "/messages".to_owned(),
            ProviderKind::Anthropic => "/v1/messages".to_owned(),
            ProviderKind::Gemini => format!("/{}:streamGenerateContent?alt=sse", gemini::resource(id)),
            ProviderKind::Ollama => "/api/chat".to_owned(),
        }
    }

    /// What follows the base address for the list of models, of which one page is enough.
    pub fn list_path(self, base: &str) -> &'static str {
        match self.0 {
            ProviderKind::Openai | ProviderKind::OpenaiResponses => "/models",
            ProviderKind::Anthropic if base.ends_with("/v1") => "/models?limit=1000",
            ProviderKind::Anthropic => "/v1/models?limit=1000",
            ProviderKind::Gemini => "/models?pageSize=1000",
            ProviderKind::Ollama => "/api/tags",
        }
    }

    /// The ids in a list of models; `None` where it is no such list.
    pub fn listed(self, body: &JsonValue) -> Option<Vec<String>> {
        let (list, id) = match self.0 {
            ProviderKind::Openai | ProviderKind::OpenaiResponses | ProviderKind::Anthropic => ("data", "id"),
            ProviderKind::Gemini | ProviderKind::Ollama => ("models", "name"),
        };
        let models = body.get(list)?.as_array()?.iter();
        Some(models.filter_map(|model| Some(model.get(id)?.as_str()?.to_owned())).collect())
    }

    /// Whether an id of a list is the model that a catalog calls `id`.
    pub fn is_listed(self, listed: &str, id: &str) -> bool {
        let short = match self.0 {
            ProviderKind::Openai | ProviderKind::OpenaiResponses | ProviderKind::Anthropic => listed,
            ProviderKind::Gemini => listed.strip_prefix("models/").unwrap_or(listed),
            ProviderKind::Ollama => listed.strip_suffix(":latest").unwrap_or(listed),
        };
        listed == id || short == id
    }

    /// The header that carries the key, and what stands before it.
    pub fn key_header(self, base: &str) -> (&'static str, &'static str) {
        match self.0 {
            ProviderKind::Openai | ProviderKind::OpenaiResponses if base.contains(".azure.com") => ("api-key", ""),
            ProviderKind::Openai | ProviderKind::OpenaiResponses | ProviderKind::Ollama => ("authorization", "Bearer "),
            ProviderKind::Anthropic => ("x-api-key", ""),
            ProviderKind::Gemini => ("x-goog-api-key", ""),
        }
    }

    /// Headers beside the key.
    pub fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self.0 {
            ProviderKind::Anthropic => &[("anthropic-version", "2023-06-01")],
            ProviderKind::Openai | ProviderKind::OpenaiResponses | ProviderKind::Gemini | ProviderKind::Ollama => &[],
        }
    }

    pub fn framing(self) -> Framing {
        match self.0 {
            ProviderKind::Ollama => Framing::Lines,
            ProviderKind::Openai | ProviderKind::OpenaiResponses | ProviderKind::Anthropic | ProviderKind::Gemini => Framing::Sse,
        }
    }

    /// The body of a request. What the engine decides is laid over what `model_config` says.
    pub fn body(self, base: &str, ask: &Ask<'_>) -> JsonValue {
        match self.0 {
            ProviderKind::Openai => openai::body(ask, base.contains("api.openai.com") || base.contains(".azure.com")),
            ProviderKind::OpenaiResponses => responses::body(ask),
            ProviderKind::Anthropic => anthropic::body(ask),
            ProviderKind::Gemini => gemini::body(ask),
            ProviderKind::Ollama => ollama::body(ask),
        }
    }

    /// Whether a result of the declared shape is demanded by the provider's own means where nobody says: only where that goes
    /// together with tools.
    pub fn structured(self) -> bool {
        match self.0 {
            ProviderKind::Openai | ProviderKind::OpenaiResponses => true,
            ProviderKind::Anthropic | ProviderKind::Gemini | ProviderKind::Ollama => false,
        }
    }
}

/// Reads the events of a reply.
pub(super) struct Reader {
    wire: Wire,
    draft: Draft,
    /// What later events refer to by number.
    open: Vec<(u64, Part)>,
    /// What the provider wants back.
    kept: Vec<JsonValue>,
}

/// A part of a reply that may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The call of that number.
    Call(usize),
    /// What is kept under that number.
    Kept(usize),
}

impl Reader {
    pub fn new(wire: Wire) -> Self {
        Self { wire, draft: Draft::default(), open: Vec::new(), kept: Vec::new() }
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// It says that something went wrong, or says nothing that this kind of provider says.
    pub fn read(&mut self, frame: &Frame) -> Result<(), Trouble> {
        if frame.data.trim() == "[DONE]" {
            self.draft.complete = self.draft.stop.is_some();
            return Ok(());
        }
        let json: JsonValue = serde_json::from_str(&frame.data)
            .map_err(|e| Trouble::transport(format!("the reply has an event that is no JSON: {e}")))?;
        match self.wire.0 {
            ProviderKind::Openai => openai::read(self, &json, &frame.data),
            ProviderKind::OpenaiResponses => responses::read(self, &json),
            ProviderKind::Anthropic => anthropic::read(self, &json, &frame.data),
            ProviderKind::Gemini => gemini::read(self, &json, &frame.data),
            ProviderKind::Ollama => ollama::read(self, &json, &frame.data),
        }
    }

    /// The part that an event refers to.
    fn part(&self, number: u64) -> Option<Part> {
        self.open.iter().rev().find(|(open, _)| *open == number).map(|(_, part)| *part)
    }

    /// What the provider has said that the call took.
    pub fn usage(&self) -> Usage {
        self.draft.usage()
    }

    /// Whether the provider has said that nothing more comes.
    pub fn is_complete(&self) -> bool {
        self.draft.complete
    }

    /// The reply.
    ///
    /// # Errors
    /// The stream ended before the provider had said why the model stopped: that is no answer.
    pub fn finish(mut self) -> Result<Draft, Trouble> {
        // Gemini has no last word beside the reason, and some servers that speak OpenAI's language leave `[DONE]` out.
        let says_so = !matches!(self.wire.0, ProviderKind::Openai | ProviderKind::Gemini);
        if self.draft.stop.is_none() || (says_so && !self.draft.complete) {
            return Err(Trouble::transport("the reply broke off before it was complete"));
        }
        if !self.kept.is_empty() {
            let kept = JsonValue::Array(self.kept);
            self.draft.carry = Value::try_from(serde_json::json!({ "kind": self.wire.0.name(), "kept": kept })).ok();
        }
        Ok(self.draft)
    }
}

/// What a provider of that kind wanted back with a reply.
fn carried(carry: Option<&Value>, kind: ProviderKind) -> Vec<JsonValue> {
    let own = carry.filter(|carry| carry.get("kind").and_then(Value::as_str) == Some(kind.name()));
    own.and_then(|carry| carry.get("kept")?.as_list()).map_or_else(Vec::new, |kept| kept.iter().map(Value::to_json).collect())
}

/// The profile's parameters without those that this module sets itself or that the provider does not have.
fn parameters(config: &Map, not: &[&str]) -> Json<String, JsonValue> {
    config.iter().filter(|(key, _)| !not.contains(&key.as_str())).map(|(key, value)| (key.clone(), value.to_json())).collect()
}

/// `stop` as a list.
fn stops(config: &Map) -> Option<JsonValue> {
    match config.get("stop").or_else(|| config.get("stop_sequences"))? {
        Value::Null => None,
        Value::List(list) => Some(list.iter().map(Value::to_json).collect()),
        other => Some(JsonValue::Array(vec![other.to_json()])),
    }
}

/// The effort that the profile asks for, in lower case; `None` where it asks for none.
fn effort(config: &Map) -> Option<String> {
    let effort = config.get("reasoning_effort")?.as_str()?.to_lowercase();
    Some(effort)
}

/// Parameters that models which reason refuse.
const SAMPLING: &[&str] = &[
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "stop",
    "stop_sequences",
];

/// Whether a model of OpenAI, by its id, reasons before it answers.
fn reasons(id: &str) -> bool {
    let id = id.rsplit('/').next().unwrap_or(id);
    let family = id.split('-').next().unwrap_or(id);
    let version = id.strip_prefix("gpt-").and_then(|rest| rest.split(['.', '-']).next()?.parse::<u32>().ok());
    matches!(family, "o1" | "o3" | "o4") || (version.is_some_and(|version| version >= 5) && !id.contains("chat"))
}

/// The profile's parameters for a model of OpenAI.
fn sampled(ask: &Ask<'_>, not: &[&str]) -> Json<String, JsonValue> {
    let mut set = parameters(ask.config, not);
    if reasons(ask.id) {
        set.retain(|key, _| !SAMPLING.contains(&key.as_str()));
    }
    set
}

/// What OpenAI reads of a tool's description.
fn described(tool: &ToolSpec) -> Arc<str> {
    cut(&tool.description, MAX_DESCRIPTION)
}

/// A number of an event; 0 where it has none.
fn number(json: &JsonValue, pointer: &str) -> u64 {
    json.pointer(pointer).and_then(JsonValue::as_u64).unwrap_or(0)
}

/// A text of an event; empty where it has none.
fn text<'j>(json: &'j JsonValue, pointer: &str) -> &'j str {
    json.pointer(pointer).and_then(JsonValue::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
