//! Who holds what? Positions on a topic: by findings, by votes, and after debates.

use std::{collections::BTreeMap, sync::Arc};

use petgraph::Direction;

use super::{
    Scheduler,
    vote::{APPROVE, OBJECT, PROPOSAL, RESULT, approves, ballot, cast, differ},
};
use crate::{
    event::Outcome,
    graph::{NodeKind, Phase, SettleOver, SettleSpec, VoteProtocol},
    state::TopicState,
    value::{NodeIx, Position, Role, TrackRecord, Value, abstains},
};

impl Scheduler {
    /// The topics that a settle scope opens with: over findings those with different values, over votes the proposal, over the
    /// result that and findings. Each with the positions on it and with those who abstain.
    pub(super) fn topics(&self, node: NodeIx, spec: &SettleSpec) -> Value {
        let topics: Vec<(Arc<str>, Vec<Position>)> = match spec.over {
            SettleOver::Findings => self.contested(node, spec),
            SettleOver::Votes => vec![(Arc::from(PROPOSAL), self.votes(node, &spec.members))],
            SettleOver::Result => {
                let result = (Arc::from(RESULT), self.ballots(node, &spec.members));
                let others = self.contested(node, spec).into_iter().filter(|(topic, _)| **topic != *RESULT);
                std::iter::once(result).chain(others).collect()
            }
        };
        Value::list(topics.into_iter().map(|(topic, said)| {
            let (positions, abstained) = cast(spec.protocol, said);
            Value::map([
                ("topic", Value::Text(topic)),
                ("positions", Value::of(&positions).unwrap_or_default()),
                ("abstained", Value::of(&abstained).unwrap_or_default()),
            ])
        }))
    }

    fn contested(&self, node: NodeIx, spec: &SettleSpec) -> Vec<(Arc<str>, Vec<Position>)> {
        let mut topics: BTreeMap<Arc<str>, BTreeMap<usize, Position>> = BTreeMap::new();
        for finding in self.state.visible_findings(&self.state.knows(node)) {
            let Some(rank) = spec.members.iter().position(|m| *m == finding.agent) else { continue };
            let position = Position {
                agent: finding.agent.clone(),
                value: finding.value.clone(),
                confidence: finding.confidence,
                reason: finding.claim.clone(),
                record: None,
            };
            let by_rank = topics.entry(finding.topic.clone()).or_default();
            // A claim in words only takes nothing back.
            if !(finding.value.is_null() && by_rank.contains_key(&rank)) {
                by_rank.insert(rank, position);
            }
        }
        let lists = topics.into_iter().map(|(topic, by_rank)| (topic, by_rank.into_values().collect::<Vec<_>>()));
        lists.filter(|(_, said)| differ(&cast(spec.protocol, said.iter().cloned()).0)).collect()
    }

    /// What the members finished with, the last work of each.
    fn ballots(&self, node: NodeIx, members: &[Role]) -> Vec<Position> {
        let state = &self.state;
        let team = state.team_of(node).0;
        let mut ballots = BTreeMap::new();
        for voter in state.past(node) {
            let described = state.node(voter);
            let works = described.seat().is_some() || matches!(&described.kind, NodeKind::Agent(a) if a.phase == Phase::Work);
            let (Some(role), Some(Outcome::Ok(output))) = (described.role(), state.outcome(voter)) else { continue };
            let Some(rank) = members.iter().position(|m| m == role) else { continue };
            if works && state.team_of(voter).0 == team {
                ballots.insert(rank, ballot(role, output));
            }
        }
        ballots.into_values().collect()
    }

    fn votes(&self, node: NodeIx, members: &[Role]) -> Vec<Position> {
        let instance = self.state.instance_of(node);
        let mut votes = BTreeMap::new();
        for source in instance.graph.dag.neighbors_directed(self.state.local(node), Direction::Incoming) {
            let source = NodeIx(instance.base + u32::try_from(source.index()).unwrap_or(u32::MAX));
            let (Some(role), Some(Outcome::Ok(vote))) = (self.state.role_of(source), self.state.outcome(source)) else {
                continue;
            };
            let Some(rank) = members.iter().position(|m| m == role) else { continue };
            let approves = approves(vote);
            if approves.is_none() && !abstains(vote.get("vote").unwrap_or(vote)) {
                continue;
            }
            let confidence = vote.get("confidence").and_then(Value::as_f64).unwrap_or(1.0).clamp(0.0, 1.0);
            let reason = vote.get("reason").and_then(Value::as_str).unwrap_or_default();
            let value = approves.map_or(Value::Null, |approves| Value::text(if approves { APPROVE } else { OBJECT }));
            votes.insert(rank, Position { agent: role.clone(), value, confidence, reason: Arc::from(reason), record: None });
        }
        votes.into_values().collect()
    }

    /// What everybody holds after the debates, and who abstains now.
    pub(super) fn positions_now(&self, node: NodeIx, topic: &TopicState, spec: &SettleSpec) -> (Vec<Position>, Vec<Role>) {
        let mut positions = topic.positions.clone();
        for ix in &topic.debates {
            let instance = &self.state.instances[*ix as usize];
            let size = u32::try_from(instance.graph.dag.node_count()).unwrap_or(0);
            for seat in (instance.base..instance.base + size).map(NodeIx) {
                let (Some(role), Some(Outcome::Ok(said))) = (self.state.role_of(seat), self.state.outcome(seat)) else {
                    continue;
                };
                let Some(value) = said.get("value") else { continue };
                for position in positions.iter_mut().filter(|p| p.agent == *role) {
                    position.value = value.clone();
                    if let Some(confidence) = said.get("confidence").and_then(Value::as_f64) {
                        position.confidence = confidence.clamp(0.0, 1.0);
                    }
                    if let Some(reason) = said.get("reason").and_then(Value::as_str) {
                        position.reason = Arc::from(reason);
                    }
                }
            }
        }
        if spec.protocol == VoteProtocol::TrackRecord {
            for position in &mut positions {
                position.record = Some(self.record_of(node, &position.agent));
            }
        }
        let (positions, mut abstained) = cast(spec.protocol, positions);
        abstained.extend(topic.abstained.iter().cloned());
        abstained.sort_by_key(|role| spec.members.iter().position(|member| member == role));
        (positions, abstained)
    }

    /// The share of what an agent held in earlier sessions of its team that stood, as it was known when this one started.
    fn record_of(&self, node: NodeIx, role: &Role) -> f64 {
        let team = self.state.team_of(node).1;
        let profile = team.agent(role).map(|member| &member.profile.name);
        let own = |r: &&TrackRecord| r.team == team.name && r.role == *role && Some(&r.profile) == profile;
        self.state.started.records.iter().find(own).map_or(TrackRecord::NEUTRAL, TrackRecord::share)
    }

    /// The proposal that the votes before a scope are on.
    pub(super) fn proposal_before(&self, node: NodeIx) -> Value {
        let instance = self.state.instance_of(node);
        let mut proposals: Vec<u32> = instance
            .graph
            .dag
            .neighbors_directed(self.state.local(node), Direction::Incoming)
            .filter_map(|source| match &instance.graph.dag[source].kind {
                NodeKind::Agent(agent) => agent.proposal,
                NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) | NodeKind::Scope(_) => None,
            })
            .collect();
        proposals.sort_unstable();
        proposals.first().map_or(Value::Null, |local| self.state.output(NodeIx(instance.base + local)))
    }
}
