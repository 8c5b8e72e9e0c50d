//! Does a session stay within its budgets? [`Ledger`] adds up what the records say, without the fold that wrote them.

use std::collections::{BTreeMap, BTreeSet};

use synod::{
    event::{Event, Key, Record, TurnEnd},
    graph::{Limits, Plan},
    state::State,
    value::{NodeIx, Role, TeamIx, Usage, is_offline},
};

use crate::world::Violation;

/// What is reserved and spent, in all and by agent.
#[derive(Default)]
pub struct Ledger {
    /// Whether every call takes no more than it reserved, so that the limits hold at every record.
    honest: bool,
    reserved: BTreeMap<Key, Usage>,
    spent: Usage,
    spent_by: BTreeMap<(TeamIx, Role), Usage>,
    /// Calls that had not stopped at the end.
    closed: BTreeSet<Key>,
    /// Where each activation stands: the key of its turn.
    turns: BTreeMap<NodeIx, Key>,
}

impl Ledger {
    /// An empty one. Models without a pinned size reserve nothing and may take anything.
    pub fn of(plan: &Plan) -> Self {
        let mut agents = plan.teams.iter().flat_map(|team| team.members.iter().chain(&team.coordinator));
        Self { honest: agents.all(|member| !member.call.is_free() || is_offline(&member.profile.model)), ..Self::default() }
    }

    /// Takes the next record in; gives the calls that an outage cut off.
    pub fn follow(&mut self, record: &Record, state: &State) -> Result<Vec<Key>, Violation> {
        let mut lost = Vec::new();
        match &record.event {
            Event::TurnStarted { node, turn, attempt, reserved, .. } => {
                let key = Key { node: *node, attempt: *attempt, turn: *turn, call: None };
                self.turns.insert(*node, key);
                if !reserved.is_nothing() && self.reserved.insert(key, *reserved).is_some() {
                    return Err(format!("{key:?} reserves twice"));
                }
            }
            Event::TurnEnded { node, end, .. } => {
                let usage = if let TurnEnd::Reply(reply) = end { reply.usage } else { Usage::default() };
                let key = self.turns.get(node).copied().ok_or_else(|| format!("{node} ends a turn that has not begun"))?;
                self.settle(key, Some(usage), state);
            }
            Event::LateResult { key, .. } if self.closed.contains(key) => {}
            Event::LateResult { key, usage } => self.settle(*key, *usage, state),
            Event::Finished(_) => {
                self.closed = self.reserved.keys().copied().collect();
                self.closed.clone().into_iter().for_each(|key| self.settle(key, None, state));
            }
            Event::Resumed { .. } => {
                lost = self.reserved.keys().copied().collect();
                lost.iter().for_each(|key| self.settle(*key, None, state));
            }
            _ => {}
        }
        if self.honest {
            self.check(state).map_err(|why| format!("record {}: {why}", record.seq))?;
        }
        Ok(lost)
    }

    fn settle(&mut self, key: Key, usage: Option<Usage>, state: &State) {
        let usage = usage.unwrap_or(self.reserved.get(&key).copied().unwrap_or_default());
        self.reserved.remove(&key);
        self.spent = self.spent.plus(usage);
        if let Some(seat) = seat(key.node, state) {
            let spent = self.spent_by.entry(seat).or_default();
            *spent = spent.plus(usage);
        }
    }

    fn check(&self, state: &State) -> Result<(), Violation> {
        let all = self.reserved.values().fold(self.spent, |sum, usage| sum.plus(*usage));
        fits(all, &state.started.plan.limits, "the session")?;
        for (ix, team) in (0..).map(TeamIx).zip(&state.started.plan.teams) {
            for member in team.members.iter().chain(&team.coordinator) {
                let own = (ix, member.role.clone());
                let spent = self.spent_by.get(&own).copied().unwrap_or_default();
                let theirs = self.reserved.iter().filter(|(key, _)| seat(key.node, state).as_ref() == Some(&own));
                let all = theirs.fold(spent, |sum, (_, usage)| sum.plus(*usage));
                fits(all, &member.limits, member.role.as_str())?;
            }
        }
        Ok(())
    }

    /// When all is over nothing is reserved, and the fold has counted the same.
    pub fn close(&self, state: &State) -> Result<(), Violation> {
        if !self.reserved.is_empty() || !state.budget.reserved.is_empty() || !state.budget.held.is_empty() {
            return Err(format!("it is over and has reserved {:?}", self.reserved));
        }
        if self.spent != state.spent.usage || self.spent_by.values().fold(Usage::default(), |sum, u| sum.plus(*u)) != self.spent {
            return Err(format!("its records tell of {:?}, its state of {:?}", self.spent, state.spent.usage));
        }
        Ok(())
    }
}

fn seat(node: NodeIx, state: &State) -> Option<(TeamIx, Role)> {
    Some((state.team_of(node).0, state.role_of(node)?.clone()))
}

fn fits(all: Usage, limits: &Limits, whose: &str) -> Result<(), Violation> {
    if limits.tokens.is_some_and(|limit| all.tokens() > limit) || limits.cost.is_some_and(|limit| all.cost > limit) {
        return Err(format!("{all:?} is reserved and spent of {limits:?} of {whose}"));
    }
    Ok(())
}
