//! How often did what an agent held stand? [`track_record`] counts it over the decisions of one session.

use std::collections::BTreeMap;

use crate::{state::State, value::TrackRecord};

/// What a session adds to the record of each of its agents: the decisions on which two or more held something.
pub fn track_record(state: &State) -> Vec<TrackRecord> {
    let mut records: BTreeMap<_, TrackRecord> = BTreeMap::new();
    for settled in state.context.decisions.iter().filter(|settled| settled.decision.positions.len() >= 2) {
        let (_, team) = state.team_of(settled.node);
        for position in &settled.decision.positions {
            let Some(member) = team.agent(&position.agent) else { continue };
            let key = (team.name.clone(), position.agent.clone());
            let record = records.entry(key).or_insert_with(|| TrackRecord {
                team: team.name.clone(),
                role: position.agent.clone(),
                profile: member.profile.name.clone(),
                stood: 0,
                held: 0,
            });
            record.held = record.held.saturating_add(1);
            let stood = !settled.decision.dissent.contains(&position.agent);
            record.stood = record.stood.saturating_add(u32::from(stood));
        }
    }
    records.into_values().collect()
}
