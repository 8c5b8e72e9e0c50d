//! What came of it?
//!
//! [`Report`] is a projection of the journal: what was found, said, decided and asked, who did what, and the [`Metrics`].
//! Its ids and the order of its rows follow from where things were made, not from when they arrived. Deliberately absent:
//! anything that is not on the record.

mod critical;
mod delegation;
mod diff;
mod diff_text;
mod escalations;
mod facts;
mod growth;
mod markdown;
mod measure;
mod messages;
mod metrics;
mod moment;
mod moment_text;
mod record;
mod reuse;
mod rows;
mod shared;
mod spending;
mod talk;
#[cfg(test)]
mod tests;
mod timeline;
mod work;

use std::{collections::BTreeMap, sync::Arc};

use serde::{Serialize, Serializer};

pub use delegation::{DelegationRow, SubtaskRow};
pub use diff::{About, Diff, Difference, NodeDiff, NodeSide, Side};
pub(crate) use diff_text::shown;
pub use escalations::{EscalationRow, NotifiedRow};
pub use growth::growth;
pub use measure::Measured;
pub use messages::{MessageRow, messages};
pub use metrics::Metrics;
pub use moment::{Moment, MomentError, VariableRow, Viewer};
pub use record::track_record;
pub use reuse::{ReuseReport, ReuseRow, Reused};
pub use rows::{Contribution, DecisionRow, FindingRow, ThreadRow};
pub use shared::SharedPast;
pub use spending::{ModelRow, PoolRow, budget};
pub use talk::talk;
pub use timeline::{Span, Timeline};
pub use work::{TopicRow, WorkRow};

use crate::{
    event::{Event, Record, Status},
    state::FoldError,
    value::{Failure, Map, SessionId, Timestamp, Usage, Value},
};

/// A session as its records tell it: what `synod report --json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which session.
    pub session: SessionId,
    /// Where it stands.
    pub status: Standing,
    /// The session whose past it shares, and what that past took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<SharedPast>,
    /// The team as it was named.
    pub team: Arc<str>,
    /// What was to be done.
    pub task: Arc<str>,
    /// The inputs.
    pub task_context: Map,
    /// `delegation`, `parallel_execution` or `synthesis`.
    pub phase: &'static str,
    /// The result; before the end, or where there is none, the best there is.
    pub output: Value,
    /// Who ended it before it was done, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<Cancelled>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What was taken over from an earlier session, and why not the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reuse: Option<ReuseReport>,
    /// How tasks were divided, and what became of the parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub delegations: Vec<DelegationRow>,
    /// What was found, in declared order of the nodes where it was.
    pub findings: Vec<FindingRow>,
    /// What was settled, in declared order of the nodes where it was.
    pub decisions: Vec<DecisionRow>,
    /// What each agent did, in order of role.
    pub contributions: Vec<Contribution>,
    /// What each model took, scripts and recordings apart.
    pub models: Vec<ModelRow>,
    /// What is used of the limits on tokens and cost: the session's first, then those of agents.
    pub budget: Vec<PoolRow>,
    /// Who was stuck or unsure, and what people were asked, in declared order of nodes.
    pub escalations: Vec<EscalationRow>,
    /// How it went.
    pub metrics: Metrics,
    /// The conversations, by the path of their node.
    pub threads: BTreeMap<String, ThreadRow>,
    /// The variables of the shared context.
    pub variables: BTreeMap<String, Value>,
    /// Failures that did not fail the session, look-ups that failed and people who could not be told of a question among them.
    pub warnings: Vec<String>,
    /// When it started.
    #[serde(serialize_with = "rfc3339")]
    pub started_at: Timestamp,
    /// When it was over.
    #[serde(serialize_with = "maybe_rfc3339")]
    pub completed_at: Option<Timestamp>,
    /// From start to end (or to the last record), on the wall clock.
    pub duration_ms: u64,
}

/// Where a session stands, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As its records say.
    As(Status),
    /// In the middle, and nobody works on it: it can be resumed.
    Interrupted,
}

impl Standing {
    /// The status that the records say, unless `is_interrupted`; what is parked or over cannot be interrupted.
    pub fn of(status: Status, is_interrupted: bool) -> Self {
        if is_interrupted && status != Status::Parked && !status.is_over() { Self::Interrupted } else { Self::As(status) }
    }

    /// The name that JSON uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::As(status) => status.name(),
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether nothing can happen any more.
    pub fn is_over(self) -> bool {
        match self {
            Self::As(status) => status.is_over(),
            Self::Interrupted => false,
        }
    }
}

impl Serialize for Standing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Report {
    /// The report of a session that nobody works on.
    #[must_use]
    pub fn left_alone(mut self) -> Self {
        if let Standing::As(status) = self.status {
            self.status = Standing::of(status, true);
        }
        self
    }

    /// What came of the session that `records` tell of.
    ///
    /// # Errors
    /// They are no session.
    pub fn of(records: &[Record]) -> Result<Self, FoldError> {
        let (state, timeline) = Timeline::of(records)?;
        let finished = state.finished.clone();
        let output = finished
            .as_ref()
            .map_or_else(|| state.provisional.as_ref().map(|(_, v)| v.clone()).unwrap_or_default(), |f| f.output.clone());
        let completed_at = finished.as_ref().map(|_| timeline.over_at.unwrap_or(state.now));
        let last = completed_at.unwrap_or(state.now);
        // What a fork shares with another session was that one's time.
        let forked = records.iter().rev().find(|record| matches!(record.event, Event::Forked(_)));
        let started_at = forked.map_or(state.started_at, |forked| forked.at);
        let escalations = escalations::escalations(&state, records);
        let mut warnings = rows::warnings(&state, records);
        warnings.extend(escalations.iter().flat_map(EscalationRow::untold));
        Ok(Self {
            session: state.started.session,
            status: Standing::As(state.status()),
            forked_from: SharedPast::of(records)?,
            team: state.started.team.clone(),
            task: state.started.task.clone(),
            task_context: (*state.started.inputs).clone(),
            phase: state.phase(),
            output,
            cancelled: records.iter().find_map(Cancelled::of),
            failure: finished.and_then(|f| f.failure.clone()),
            reuse: ReuseReport::of(&state),
            delegations: delegation::delegations(&state),
            findings: rows::findings(&state),
            decisions: rows::decisions(&state),
            contributions: rows::contributions(&state, &timeline),
            models: spending::models(&state),
            budget: spending::budget(&state),
            escalations,
            metrics: Metrics::of(&state, &timeline),
            threads: rows::threads(&state, &timeline),
            variables: state.variables(),
            warnings,
            started_at,
            completed_at,
            duration_ms: u64::try_from(last.since(started_at).as_millis()).unwrap_or(u64::MAX),
        })
    }
}

/// A wish that a session ends.
#[derive(Clone, Debug, Serialize)]
pub struct Cancelled {
    /// Whose.
    pub by: Arc<str>,
    /// Why; may be empty.
    pub reason: Arc<str>,
}

impl Cancelled {
    fn of(record: &Record) -> Option<Self> {
        let Event::CancelRequested { by, reason } = &record.event else { return None };
        Some(Self { by: by.clone(), reason: reason.clone() })
    }
}

fn tokens(usage: &Usage) -> u64 {
    usage.input.saturating_add(usage.output)
}

fn rfc3339<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.rfc3339())
}

fn maybe_rfc3339<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.serialize_str(&at.rfc3339()),
        None => serializer.serialize_none(),
    }
}
