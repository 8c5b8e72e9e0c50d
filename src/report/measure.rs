//! How did it go, in numbers only? [`Measured`], for whoever measures many sessions.

use std::{collections::BTreeMap, time::Duration};

use super::{Metrics, Timeline, critical::critical_chain};
use crate::{
    event::{Record, Status},
    state::FoldError,
    value::Role,
};

/// The measures of a session.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Where it stands.
    pub status: Status,
    /// The mission's measures.
    pub metrics: Metrics,
    /// The time of all calls of models and tools together.
    pub busy: Duration,
    /// The agents on its critical path with their time on it, the longest first; who has none is left out.
    pub critical: Vec<(Role, Duration)>,
}

impl Measured {
    /// Measures the session that `records` tell of.
    ///
    /// # Errors
    /// They are no session.
    pub fn of(records: &[Record]) -> Result<Self, FoldError> {
        let (state, timeline) = Timeline::of(records)?;
        let mut times: BTreeMap<Role, Duration> = BTreeMap::new();
        for node in critical_chain(&state, &timeline) {
            if let Some(role) = state.role_of(node) {
                *times.entry(role.clone()).or_default() += timeline.busy(node);
            }
        }
        let mut critical: Vec<(Role, Duration)> = times.into_iter().filter(|(_, time)| !time.is_zero()).collect();
        critical.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
        Ok(Self { status: state.status(), metrics: Metrics::of(&state, &timeline), busy: timeline.busy, critical })
    }
}
