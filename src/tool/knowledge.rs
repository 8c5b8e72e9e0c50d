//! What do the runbooks say? The tool `search_knowledge`.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{BlockingTool, CallContext, Outcome, spec};
use crate::{
    knowledge::{Knowledge, PASSAGES_LIMIT, Query},
    value::{EffectClass, Failure, FailureKind, SEARCH_KNOWLEDGE, ToolSpec, Value},
};

/// Passages of one call where the call does not say.
const PASSAGES: usize = 5;

/// The tool `search_knowledge`.
pub(crate) struct SearchKnowledge {
    spec: ToolSpec,
    knowledge: Arc<Knowledge>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// What to look for: a symptom, the name of an alert, a question.
    #[serde(default)]
    query: Option<String>,
    /// Instead of a query: the document to read whole, as a passage names it.
    #[serde(default)]
    document: Option<String>,
    /// How many passages. Default: 5.
    #[serde(default)]
    #[schemars(range(min = 1, max = PASSAGES_LIMIT))]
    limit: Option<usize>,
    /// Folders of Markdown files: paths relative to the workspace, or `lib:` and a folder of the shipped library. Those of the profile for an agent.
    #[serde(default)]
    folders: Vec<String>,
    /// For every key, one of the values that the front matter of a document must have. Those of the profile for an agent.
    #[serde(default)]
    filters: BTreeMap<String, Vec<String>>,
}

impl SearchKnowledge {
    /// Searches in that.
    pub(crate) fn new(knowledge: Arc<Knowledge>) -> Self {
        let description = "Searches runbooks and other documents in Markdown. Returns `passages`, the best first: `document`, `title`, `section`, \
                           `line`, `text`, `score`. With `document` instead of `query`, the whole text of that document.";
        Self { spec: spec::<Args>(SEARCH_KNOWLEDGE, EffectClass::Read, description), knowledge }
    }
}

impl BlockingTool for SearchKnowledge {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn run(&self, call: &CallContext, args: &Value) -> Outcome {
        let args: Args = super::parse(args)?;
        call.stop.check()?;
        let wrong = |e: crate::knowledge::KnowledgeError| Failure::new(FailureKind::Tool, e.to_string());
        match (args.query, args.document) {
            (Some(text), None) => {
                let query = Query { text, filters: args.filters, limit: args.limit.unwrap_or(PASSAGES) };
                let passages = self.knowledge.search(&args.folders, &query).map_err(wrong)?;
                let passages = Value::of(&passages).map_err(|e| Failure::new(FailureKind::Tool, e.to_string()))?;
                Ok(Value::map([("passages", passages)]))
            }
            (None, Some(document)) => {
                let text = self.knowledge.read(&args.folders, &document).map_err(wrong)?;
                Ok(Value::map([("document", Value::from(document)), ("text", Value::from(text))]))
            }
            (Some(_), Some(_)) | (None, None) => Err(Failure::new(FailureKind::Schema, "give either `query` or `document`")),
        }
    }
}
