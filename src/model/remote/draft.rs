//! What has the model said so far? [`Draft`], which becomes a [`Reply`] once the provider has said that it is complete.

use std::{collections::BTreeSet, sync::Arc};

use super::{names::original, trouble::Trouble};
use crate::value::{Call, Reply, Stop, ToolSpec, Turn, Usage, Value};

/// Calls of a reply at most.
const MAX_CALLS: usize = 128;

/// A reply in the making.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// The words.
    pub text: String,
    /// The calls, in order.
    pub calls: Vec<DraftCall>,
    /// What the provider wants back.
    pub carry: Option<Value>,
    /// Tokens read, cached ones included.
    pub input: u64,
    /// Of these, from a cache.
    pub cached: u64,
    /// Tokens written.
    pub output: u64,
    /// Why it stopped; `None` while it goes on.
    pub stop: Option<Stop>,
    /// Whether the provider has said that nothing more comes.
    pub complete: bool,
}

/// A call in the making.
#[derive(Clone, Debug, Default)]
pub(super) struct DraftCall {
    /// The provider's id; empty where it gives none.
    pub id: String,
    /// The tool, as the provider knows it.
    pub tool: String,
    /// The arguments, as text.
    pub args: String,
}

impl Draft {
    /// Adds a call.
    ///
    /// # Errors
    /// There are too many.
    pub fn call(&mut self, call: DraftCall) -> Result<&mut DraftCall, Trouble> {
        if self.calls.len() >= MAX_CALLS {
            return Err(Trouble::odd(format!("a reply has more than {MAX_CALLS} calls")));
        }
        self.calls.push(call);
        let last = self.calls.len() - 1;
        Ok(&mut self.calls[last])
    }

    /// What it took so far, without its cost.
    pub fn usage(&self) -> Usage {
        Usage { input: self.input, cached: self.cached.min(self.input), output: self.output, ..Usage::default() }
    }

    /// The reply, without its cost.
    pub fn reply(mut self, turn: Turn, tools: &[Arc<ToolSpec>]) -> Reply {
        let (stop, usage) = (self.stop.unwrap_or_default(), self.usage());
        if stop == Stop::Length && self.calls.last().is_some_and(|call| unfinished(&call.args)) {
            self.calls.pop();
        }
        let mut taken = BTreeSet::new();
        let mut calls = Vec::with_capacity(self.calls.len());
        for (ix, draft) in self.calls.into_iter().enumerate() {
            let given = !draft.id.is_empty() && taken.insert(draft.id.clone());
            let id = if given { draft.id } else { format!("call_{turn}_{ix}") };
            taken.insert(id.clone());
            calls.push(Call { id: Arc::from(id), tool: original(&draft.tool, tools), args: arguments(&draft.args) });
        }
        let stop = if stop == Stop::End && !calls.is_empty() { Stop::Calls } else { stop };
        let text = Some(self.text).filter(|t| !t.trim().is_empty()).map(Arc::from);
        Reply { text, calls, stop, usage, carry: self.carry, ..Reply::default() }
    }
}

fn unfinished(args: &str) -> bool {
    !args.trim().is_empty() && serde_json::from_str::<serde::de::IgnoredAny>(args).is_err()
}

/// The arguments that a text stands for; where it is no JSON object the text itself, which the engine refuses with a reason
/// that the agent reads.
fn arguments(text: &str) -> Value {
    if text.trim().is_empty() {
        return Value::map::<String>([]);
    }
    let json: Option<serde_json::Value> = serde_json::from_str(text).ok();
    // Some models write the object into a string.
    let inner = json.as_ref().and_then(|j| j.as_str()).and_then(|s| serde_json::from_str(s).ok());
    let object = inner.or(json).filter(serde_json::Value::is_object).and_then(|json| Value::try_from(json).ok());
    object.unwrap_or_else(|| Value::text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(calls: &[(&str, &str, &str)], stop: Stop) -> Reply {
        let calls =
            calls.iter().map(|(id, tool, args)| DraftCall { id: (*id).into(), tool: (*tool).into(), args: (*args).into() });
        Draft { calls: calls.collect(), stop: Some(stop), ..Draft::default() }.reply(Turn(3), &[])
    }

    #[test]
    fn arguments_are_an_object_or_the_words_of_the_model() {
        let reply = draft(
            &[("", "a", ""), ("", "b", "{\"x\": 1}"), ("", "c", "\"{\\\"y\\\": 2}\""), ("", "d", "{\"z\":"), ("", "e", "[1]")],
            Stop::End,
        );
        let args: Vec<String> = reply.calls.iter().map(|c| c.args.to_string()).collect();
        assert_eq!(args, ["{}", "{\"x\":1}", "{\"y\":2}", "{\"z\":", "[1]"]);
        assert_eq!((reply.stop, reply.calls[4].args.as_str()), (Stop::Calls, Some("[1]")));
    }

    #[test]
    fn ids_are_unique_whatever_the_provider_gives() {
        let reply = draft(&[("x", "a", ""), ("x", "a", ""), ("", "a", ""), ("call_3_2", "a", "")], Stop::End);
        let ids: BTreeSet<_> = reply.calls.iter().map(|c| c.id.clone()).collect();
        assert_eq!(ids.len(), 4, "{ids:?}");
    }

    #[test]
    fn a_call_that_was_cut_off_is_none() {
        let reply = draft(&[("a", "Read", "{}"), ("b", "Write", "{\"path\": \"x")], Stop::Length);
        assert_eq!((reply.calls.len(), reply.stop), (1, Stop::Length));
    }
}
