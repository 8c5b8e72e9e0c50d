//! What stands by a vote? Positions are weighed; nothing here asks anybody.

use std::sync::Arc;

use crate::{
    graph::{SettleOver, SettleSpec, VoteProtocol},
    value::{Position, Role, TrackRecord, Value, abstains},
};

/// The topic of a vote on a proposal.
pub(super) const PROPOSAL: &str = "proposal";
/// The topic of a vote between what members finished with.
pub(super) const RESULT: &str = "result";
/// A vote for a proposal.
pub(super) const APPROVE: &str = "approve";
/// A vote against a proposal.
pub(super) const OBJECT: &str = "object";

/// Whether a vote is for the proposal; `None` for what is no vote.
pub(super) fn approves(vote: &Value) -> Option<bool> {
    match vote.get("vote").unwrap_or(vote) {
        Value::Bool(truth) => Some(*truth),
        Value::Text(text) => match text.as_ref() {
            APPROVE | "accept" | "yes" => Some(true),
            OBJECT | "reject" | "no" => Some(false),
            _ => None,
        },
        Value::Null | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => None,
    }
}

/// What stands by the vote of a scope, and whether that is clear. A proposal that all must approve stands only if all do.
pub(super) fn stands(spec: &SettleSpec, positions: &[Position]) -> (Value, bool) {
    let (value, clear) = weigh(spec.protocol, spec.tie.as_ref(), positions, &spec.members);
    match (spec.over, spec.protocol, clear) {
        (SettleOver::Votes, VoteProtocol::Unanimous, false) => (Value::text(OBJECT), false),
        (SettleOver::Votes | SettleOver::Findings | SettleOver::Result, _, _) => (value, clear),
    }
}

pub(super) fn no_position(spec: &SettleSpec) -> Value {
    match spec.over {
        SettleOver::Votes => Value::text(APPROVE),
        SettleOver::Findings | SettleOver::Result => Value::Null,
    }
}

pub(super) fn differ(positions: &[Position]) -> bool {
    positions.windows(2).any(|pair| pair[0].value != pair[1].value)
}

/// The one value that all hold.
pub(super) fn agreed(protocol: VoteProtocol, positions: &[Position]) -> Option<&Value> {
    let [value] = held(protocol, &positions.first()?.value) else { return None };
    positions.iter().all(|p| held(protocol, &p.value) == [value.clone()]).then_some(value)
}

/// Whether who holds `value` can live with `outcome`.
pub(super) fn supports(protocol: VoteProtocol, value: &Value, outcome: &Value) -> bool {
    value == outcome || held(protocol, value).contains(outcome)
}

/// What a position stands for: one value, or, where one may approve several, those of its list.
pub(super) fn held(protocol: VoteProtocol, value: &Value) -> &[Value] {
    match (protocol, value) {
        (VoteProtocol::Approval, Value::List(values)) => values,
        (
            VoteProtocol::Weighted
            | VoteProtocol::TrackRecord
            | VoteProtocol::Majority
            | VoteProtocol::Unanimous
            | VoteProtocol::Approval,
            _,
        ) => std::slice::from_ref(value),
    }
}

/// Those who hold something, and those who were heard and hold nothing.
pub(super) fn cast(protocol: VoteProtocol, said: impl IntoIterator<Item = Position>) -> (Vec<Position>, Vec<Role>) {
    let (mut positions, mut abstained) = (Vec::new(), Vec::new());
    for position in said {
        if held(protocol, &position.value).iter().all(abstains) {
            abstained.push(position.agent);
        } else {
            positions.push(position);
        }
    }
    (positions, abstained)
}

/// The value that a person's answer names: one that somebody holds, else the answer itself.
pub(super) fn chosen(protocol: VoteProtocol, positions: &[Position], answer: &Value) -> Value {
    let text = answer.to_string();
    let values = positions.iter().flat_map(|p| held(protocol, &p.value));
    values.into_iter().find(|value| value.to_string() == text).unwrap_or(answer).clone()
}

/// What a member that finished with `output` votes for: `{value, confidence, reason}`, where `value` may be left out and is then
/// the rest. How sure somebody is and why makes no other vote of it.
pub(super) fn ballot(agent: &Role, output: &Value) -> Position {
    let confidence = output.get("confidence").and_then(Value::as_f64).unwrap_or(1.0).clamp(0.0, 1.0);
    let reason = output.get("reason").and_then(Value::as_str).unwrap_or_default();
    let value = match (output.get("value"), output) {
        (Some(value), _) => value.clone(),
        (None, Value::Map(map)) => {
            let own = map.iter().filter(|(key, _)| !["confidence", "reason"].contains(&key.as_str()));
            Value::map(own.map(|(key, value)| (key.clone(), value.clone())))
        }
        (None, Value::Text(text)) => Value::text(text.trim()),
        (None, Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_)) => output.clone(),
    };
    Position { agent: agent.clone(), value, confidence, reason: Arc::from(reason), record: None }
}

/// A position on a proposal as a vote: `{agent, vote, confidence, reason}`.
pub(super) fn as_vote(position: &Value) -> Value {
    let part = |key: &str| position.get(key).cloned().unwrap_or_default();
    Value::map([
        ("agent", part("agent")),
        ("vote", part("value")),
        ("confidence", part("confidence")),
        ("reason", part("reason")),
    ])
}

pub(super) fn protocol_name(protocol: VoteProtocol) -> &'static str {
    match protocol {
        VoteProtocol::Weighted => "weighted_vote",
        VoteProtocol::TrackRecord => "track_record_vote",
        VoteProtocol::Majority => "majority_vote",
        VoteProtocol::Unanimous => "unanimous_vote",
        VoteProtocol::Approval => "approval_vote",
    }
}

/// The value that a vote gives, and whether it is clear. A tie, or too few votes, falls to `tie`, else to the first member: to what
/// that holds of the best, else to what it holds first.
fn weigh(protocol: VoteProtocol, tie: Option<&Role>, positions: &[Position], members: &[Role]) -> (Value, bool) {
    let mut tally: Vec<(&Value, f64)> = Vec::new();
    for position in positions {
        let values = held(protocol, &position.value);
        for (at, value) in values.iter().enumerate().filter(|(_, value)| !abstains(value)) {
            let again = values[..at].contains(value);
            match tally.iter_mut().find(|(known, _)| *known == value) {
                Some(_) if again => {}
                Some((_, weight)) => *weight += weight_of(protocol, position),
                None => tally.push((value, weight_of(protocol, position))),
            }
        }
    }
    let best = tally.iter().map(|(_, weight)| *weight).fold(0.0, f64::max);
    let winners: Vec<&Value> = tally.iter().filter(|(_, weight)| (weight - best).abs() < 1e-9).map(|(value, _)| *value).collect();
    let enough = match protocol {
        VoteProtocol::Weighted | VoteProtocol::TrackRecord | VoteProtocol::Approval => true,
        VoteProtocol::Majority => best * 2.0 > f64::from(u32::try_from(positions.len()).unwrap_or(u32::MAX)),
        VoteProtocol::Unanimous => tally.len() == 1,
    };
    if let ([value], true) = (winners.as_slice(), enough) {
        return ((*value).clone(), true);
    }
    let of = |role: &Role| {
        let values = held(protocol, &positions.iter().find(|p| p.agent == *role)?.value);
        values.iter().find(|value| winners.contains(value)).or(values.first()).cloned()
    };
    let value = tie.and_then(of).or_else(|| members.iter().find_map(of)).unwrap_or_default();
    (value, false)
}

/// What one position counts.
fn weight_of(protocol: VoteProtocol, position: &Position) -> f64 {
    match protocol {
        VoteProtocol::Weighted => position.confidence,
        VoteProtocol::TrackRecord => position.confidence * position.record.unwrap_or(TrackRecord::NEUTRAL),
        VoteProtocol::Majority | VoteProtocol::Unanimous | VoteProtocol::Approval => 1.0,
    }
}
