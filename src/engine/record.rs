//! How often did what an agent held stand? [`track_records`] counts it over past sessions of a team, for votes that go by it.

use std::collections::BTreeMap;

use super::{EngineError, Inner};
use crate::{
    graph::{NodeKind, Plan, ScopeKind, VoteProtocol},
    report::track_record,
    state::State,
    store::Filter,
    value::TrackRecord,
};

/// Sessions of the team that are read, the newest.
const SESSIONS: usize = 50;
/// Sessions of the organization among which these are looked for, the newest.
const LISTED: usize = 1_000;

/// Whether a vote of that plan goes by track records.
pub(super) fn are_used(plan: &Plan) -> bool {
    let nodes = plan.graphs.iter().flat_map(|graph| graph.dag.node_weights());
    let scopes = nodes.filter_map(|node| if let NodeKind::Scope(scope) = &node.kind { Some(&**scope) } else { None });
    let mut votes = scopes.filter_map(|scope| if let ScopeKind::Settle(spec) = scope { Some(spec.protocol) } else { None });
    votes.any(|protocol| protocol == VoteProtocol::TrackRecord)
}

/// What is known when a session of that team starts. Sessions whose journals cannot be read count for nobody.
pub(super) fn track_records(inner: &Inner, team: &str) -> Result<Vec<TrackRecord>, EngineError> {
    let rows = inner.store.list(&Filter { org: inner.tenant.org.clone(), user: None, limit: LISTED })?;
    let own = rows.into_iter().filter(|row| *row.team == *team && row.status.is_over()).take(SESSIONS);
    let mut sums: BTreeMap<_, TrackRecord> = BTreeMap::new();
    for row in own {
        let Some(state) = inner.store.read_all(row.session).ok().and_then(|records| State::fold(&records).ok()) else { continue };
        for record in track_record(&state) {
            let key = (record.team.clone(), record.role.clone(), record.profile.clone());
            let sum = sums.entry(key).or_insert(TrackRecord { stood: 0, held: 0, ..record.clone() });
            (sum.stood, sum.held) = (sum.stood.saturating_add(record.stood), sum.held.saturating_add(record.held));
        }
    }
    Ok(sums.into_values().collect())
}
