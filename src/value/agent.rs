//! Who is an agent? [`Profile`]: what a profile file says once it is resolved.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Map, Value};

/// What an agent may be in a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProfileRole {
    /// May lead a team: delegates, settles, synthesizes.
    Coordinator,
    /// Knows one domain.
    Specialist,
    /// Does what it is told.
    Worker,
}

/// How an agent talks; it shapes its prompt and the length of its findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// A claim of at most 200 characters.
    Concise,
    /// A claim of at most 2,000 characters.
    #[default]
    Detailed,
    /// A claim of at most 2,000 characters, with identifiers and figures.
    Technical,
}

impl Style {
    /// How many characters a finding's claim may have; a longer one is cut, with an ellipsis.
    pub fn claim_limit(self) -> usize {
        match self {
            Self::Concise => 200,
            Self::Detailed | Self::Technical => 2_000,
        }
    }
}

/// The name of the tool that looks things up in what a profile names as its `knowledge`.
pub const SEARCH_KNOWLEDGE: &str = "search_knowledge";

/// The longest query of it that is read, in characters; the rest is left out.
pub const QUERY_LIMIT: usize = 2_000;

/// Which runbooks an agent may search and how many go into its prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnowledgeSpec {
    /// Folders of Markdown files, relative to the profile's file.
    pub folders: Vec<Arc<str>>,
    /// How many passages are looked up before the first turn of each activation; 0 for none.
    pub top_k: u32,
    /// Only documents that carry one of the values for every key (`tags: [security]`).
    pub filters: BTreeMap<String, Vec<String>>,
}

impl KnowledgeSpec {
    /// Whether something is looked up before the first turn.
    pub fn looks_up(&self) -> bool {
        self.top_k > 0 && !self.folders.is_empty()
    }
}

/// A resolved profile: everything that a run needs to know of an agent. It is pinned in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The display name.
    pub name: Arc<str>,
    /// What it may be in a team.
    pub role: ProfileRole,
    /// The domain, such as `security`.
    pub specialization: Option<Arc<str>>,
    /// One sentence for lists.
    pub description: Option<Arc<str>>,
    /// What it can do, for searches and for delegation by skill.
    pub skills: Vec<Arc<str>>,
    /// An alias of the model catalog, `provider/id`, `script:PATH`, `replay:PATH` or `replay:PATH#ROLE`; the path is absolute or in
    /// the shipped library.
    pub model: Arc<str>,
    /// Parameters of the model as written; `max_tokens` bounds a reply.
    pub model_config: Map,
    /// Models taken in turn on outage or overload.
    pub fallback_models: Vec<Arc<str>>,
    /// Who the agent is, as the model reads it.
    pub system_prompt: Arc<str>,
    /// A minijinja template of the first user message; `None` for the default one.
    pub prompt_template: Option<Arc<str>>,
    /// Tools it may call, by name or pattern.
    pub allowed_tools: Vec<Arc<str>>,
    /// MCP servers it may use, by name.
    pub mcp_servers: Vec<Arc<str>>,
    /// What it may look up.
    pub knowledge: KnowledgeSpec,
    /// How it talks.
    pub style: Style,
    /// Turns of one of its seats in a session.
    pub max_turns: u32,
    /// Whether a finish below `uncertainty_threshold` escalates.
    pub escalate_on_uncertainty: bool,
    /// A confidence from 0 to 1.
    pub uncertainty_threshold: f64,
    /// JSON Schema of what it must return.
    pub output_schema: Option<Value>,
    /// Labels for searches.
    pub tags: Vec<Arc<str>>,
}

/// A declared write to a variable of the shared context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteSpec {
    /// The variable.
    pub variable: Arc<str>,
    /// How parallel writes become one value; `None` makes two parallel writers an error of the team file.
    pub merge: Option<Merge>,
}

/// How the values of parallel writers become one, taken in declared order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Merge {
    /// A list of the values.
    Append,
    /// The sum of the numbers.
    Sum,
    /// The smallest number.
    Min,
    /// The largest number.
    Max,
    /// The last in declared order.
    Last,
    /// The entries of all maps; for a key that several have, the last.
    Union,
}

/// Whether a model is a script or a recording, which costs nothing and needs neither catalog nor key.
pub fn is_offline(model: &str) -> bool {
    model.starts_with("script:") || model.starts_with("replay:")
}

/// The file of a `replay:PATH` or `replay:PATH#ROLE` model, and the agent whose part of it is taken, where it is named.
pub fn cassette(model: &str) -> Option<(&str, Option<&str>)> {
    let path = model.strip_prefix("replay:")?;
    let is_role = |role: &str| {
        role.starts_with(|c: char| c.is_ascii_lowercase())
            && role.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    Some(match path.rsplit_once('#').filter(|(_, role)| is_role(role)) {
        Some((path, role)) => (path, Some(role)),
        None => (path, None),
    })
}

#[cfg(test)]
mod tests {
    use super::cassette;

    #[test]
    fn a_cassette_may_name_the_agent_whose_part_is_taken() {
        assert_eq!(cassette("replay:a/run.jsonl"), Some(("a/run.jsonl", None)));
        assert_eq!(cassette("replay:a/run.jsonl#web_2"), Some(("a/run.jsonl", Some("web_2"))));
        assert_eq!(cassette("replay:a/run #2.jsonl"), Some(("a/run #2.jsonl", None)));
        assert_eq!(cassette("script:a#b"), None);
    }
}
