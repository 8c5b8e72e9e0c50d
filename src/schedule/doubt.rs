//! What becomes of an irreversible call whose outcome nobody knows? The `reconcile` rule says, else a person.

use std::sync::Arc;

use super::{Scheduler, rule_failure};
use crate::{
    event::{AskFor, Event, Key, Outcome, Point},
    graph::{NodeKind, SECOND_CHANCES},
    state::FoldError,
    value::{Failure, FailureKind, NodeIx, RuleKind, Value, Verdict},
};

/// What a rule knows of a call in doubt: it happened with that result, or it did not happen.
type Known = Option<Value>;

impl Scheduler {
    /// An irreversible call may or may not have happened; `failure` says why no result came, `None` that the engine was stopped.
    pub(super) fn doubt(&mut self, key: Key, failure: Option<Failure>) -> Result<(), FoldError> {
        let (tool, args) = self.called(&key);
        let stopped = || self.why_unknown(&key);
        let mut why = failure.as_ref().map_or_else(stopped, |failure| failure.message.to_string());
        match self.reconcile(&key, &tool, &args, failure)? {
            Ok(Some(Some(result))) => return self.happened(key, result),
            Ok(Some(None)) => return self.not_happened(key),
            Ok(None) => {}
            Err(error) => why = format!("{why}; and the rule that should know failed: {error}"),
        }
        let path = self.state.path(key.node);
        let question = format!("{path} called {tool} with {args}, and no result came: {why}. Did the call happen?");
        let purpose = AskFor::InDoubt(key.turn, key.call.unwrap_or_default());
        let options = Self::options_of(&purpose).iter().map(|o| Arc::from(*o)).collect();
        self.ask(key.node, purpose, Arc::from(question), options)
    }

    /// Why no result of a call came, where no failure says it.
    fn why_unknown(&self, key: &Key) -> String {
        let forked = self.state.forked.as_ref();
        match forked.and_then(|(from, theirs)| Some((from, theirs.get(key)?))) {
            Some((Point { session, at }, became)) => {
                let became = became.as_ref().map_or_else(String::new, |words| format!("; {words}"));
                format!(
                    "it is a call of session {session}, from which this one was forked at record {at} while it was in flight{became}"
                )
            }
            None => "the engine was stopped".to_owned(),
        }
    }

    /// The tool and the arguments of a call.
    fn called(&self, key: &Key) -> (Arc<str>, Value) {
        match (key.call, &self.state.node(key.node).kind) {
            (None, NodeKind::Tool(tool)) => (tool.tool.clone(), self.tool_args(key.node).unwrap_or_default()),
            (call, _) => {
                let call = call.and_then(|ix| self.state.activations.get(&key.node)?.call(ix)?.call().cloned());
                call.map_or((Arc::from("a tool"), Value::Null), |c| (c.tool, c.args))
            }
        }
    }

    /// What the team's `reconcile` rule says; `None` where it does not know, or there is none.
    fn reconcile(
        &mut self,
        key: &Key,
        tool: &Arc<str>,
        args: &Value,
        failure: Option<Failure>,
    ) -> Result<Result<Option<Known>, Failure>, FoldError> {
        let (ix, team) = self.state.team_of(key.node);
        if !team.rules.iter().any(|rule| **rule == *RuleKind::Reconcile.function()) {
            return Ok(Ok(None));
        }
        let facts = self.reconcile_facts(key.node, tool, args, failure);
        match self.judge.judge(ix, &RuleKind::Reconcile, &facts) {
            Ok(Some(verdict)) => {
                let known = if let Verdict::Reconcile(known) = &verdict { known.clone() } else { None };
                self.emit(Event::Judged { node: key.node, rule: RuleKind::Reconcile, verdict: Some(Arc::new(verdict)) })?;
                Ok(Ok(known))
            }
            Ok(None) => Ok(Ok(None)),
            Err(error) => Ok(Err(rule_failure(error))),
        }
    }

    /// The failure of an attempt; in doubt if it leaves an irreversible call of which nobody knows whether it happened, its own
    /// or one below it: the next attempt would repeat that. A tool node knows of its own call by how that failed.
    pub(super) fn doubtful(&self, node: NodeIx, failure: Arc<Failure>) -> Arc<Failure> {
        let is_tool = matches!(self.state.node(node).kind, NodeKind::Tool(_));
        if is_tool || failure.kind == FailureKind::InDoubt {
            return failure;
        }
        let Some(child) = self.state.in_doubt(node) else { return failure };
        let path = self.state.path(child);
        let why = format!("{}, and an irreversible call of {path} may or may not have happened", failure.message);
        let first = (child != node).then_some(path);
        Arc::new(Failure { node: first, ..Failure::new(FailureKind::InDoubt, why) })
    }

    fn happened(&mut self, key: Key, result: Value) -> Result<(), FoldError> {
        match key.call {
            None => self.end_returned(key.node, Outcome::Ok(result)),
            Some(call) => self.answer_call(key.node, call, Ok(result)),
        }
    }

    /// The rule says that a call did not happen: it is made again, so often.
    fn not_happened(&mut self, key: Key) -> Result<(), FoldError> {
        let Key { node, attempt, turn, call } = key;
        let again = self.state.chances_ordered(node) <= SECOND_CHANCES;
        match (call, again) {
            (None, true) => {
                let failure = Arc::new(Failure::new(FailureKind::InDoubt, "the call did not happen"));
                self.emit(Event::NodeRetried { node, attempt, failure, not_before: self.now })
            }
            (None, false) => self.attempt_failed(node, Arc::new(no_more_chances())),
            (Some(call), true) => self.emit(Event::NotHappened { node, turn, call }),
            (Some(call), false) => self.answer_call(node, call, Err(no_more_chances())),
        }
    }
}

/// Why a call that did not happen is not made again.
pub(super) fn no_more_chances() -> Failure {
    let why = format!("the call did not happen, and it was made again {SECOND_CHANCES} times already");
    Failure::new(FailureKind::InDoubt, why)
}
