//! What changes the shared context on an agent's word? Variables that it writes, findings that it takes back.

use std::sync::Arc;

use super::Scheduler;
use crate::{
    event::Event,
    graph::Phase,
    state::{FoldError, Version},
    turn::cut,
    value::{CallIx, FailureKind, FindingStatus, NodeIx, Role, Value},
};

/// Characters of a value that a refusal shows.
const SHOWN: usize = 400;

impl Scheduler {
    /// An agent writes a variable: always, or only in place of the version that it has read.
    pub(super) fn write(
        &mut self,
        node: NodeIx,
        ix: CallIx,
        variable: Arc<str>,
        value: Value,
        replaces: Option<u32>,
    ) -> Result<(), FoldError> {
        match self.phase(node) {
            Phase::Work | Phase::Delegate | Phase::Synthesize | Phase::Validate => {}
            // Its author may be at work elsewhere at the same time.
            phase @ (Phase::Debate | Phase::Answer) => {
                let why = format!("nobody writes variables in order to {}: say what you hold", phase.name());
                return self.refuse(node, ix, FailureKind::Denied, why);
            }
        }
        let now = self.state.version_now(node, &variable);
        if let Some(replaces) = replaces.filter(|replaces| *replaces != now.version) {
            let why = self.outdated(node, &variable, &now, replaces);
            return self.refuse(node, ix, FailureKind::Conflict, why);
        }
        self.emit(Event::Wrote { node, variable: variable.clone(), value })?;
        let version = Value::from(i64::from(now.version) + 1);
        self.answer_call(node, ix, Ok(Value::map([("variable", Value::Text(variable)), ("version", version)])))
    }

    /// Why a write that compares is refused.
    fn outdated(&self, node: NodeIx, variable: &str, now: &Version, replaces: u32) -> String {
        if now.version == 0 {
            return format!("nobody has written {variable} yet: its version is 0, not {replaces}");
        }
        let mut knows = self.state.knows(node);
        knows.live = knows.live.map(|_| self.state.seq);
        let by = names(&now.authors);
        let value = match self.state.visible_variables(&knows).remove(variable) {
            _ if now.pending > 0 => format!("{by} is about to write it, and others see that once {by} has finished"),
            Some(value) => format!("by {by}: {}", cut(&Arc::from(value.to_string()), SHOWN)),
            None => format!("by {by}"),
        };
        format!("{variable} is at version {} now, not {replaces}, {value}. Read it and decide again", now.version)
    }

    /// An agent takes a finding back.
    pub(super) fn retract(&mut self, node: NodeIx, ix: CallIx, id: &Arc<str>, reason: &Arc<str>) -> Result<(), FoldError> {
        let knows = self.state.knows(node);
        let known = self.state.visible_findings(&knows);
        let own: Vec<&str> = known.iter().filter(|f| Some(&f.agent) == self.state.role_of(node)).map(|f| &*f.id.0).collect();
        let why = match known.iter().find(|f| f.id.0 == *id) {
            Some(finding) if Some(&finding.agent) == self.state.role_of(node) => None,
            Some(finding) => {
                Some((FailureKind::Denied, format!("{id} is a finding of {}: say what you hold instead", finding.agent)))
            }
            None if own.is_empty() => Some((FailureKind::Schema, format!("there is no finding {id}, and none of your own"))),
            None => Some((FailureKind::Schema, format!("there is no finding {id} that stands; yours are {}", own.join(", ")))),
        };
        if let Some((kind, why)) = why {
            return self.refuse(node, ix, kind, why);
        }
        let finding = crate::value::FindingId(id.clone());
        self.emit(Event::Retracted { node, finding, reason: reason.clone() })?;
        let status = Value::of(&FindingStatus::Retracted).unwrap_or_default();
        self.answer_call(node, ix, Ok(Value::map([("finding", Value::Text(id.clone())), ("status", status)])))
    }
}

/// A version as agents read it: `{version, author}`.
pub(super) fn version(found: &Version) -> Value {
    Value::map([("version", Value::from(i64::from(found.version))), ("author", Value::from(names(&found.authors)))])
}

fn names(roles: &[Role]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
}
