//! What did it cost, and what is left? Rows of a report by model and by limit.

use std::{fmt, sync::Arc};

use serde::Serialize;

use crate::{
    graph::Limits,
    state::State,
    value::{Role, TeamIx, Usage, Usd, Value, is_offline},
};

/// What a model took.
#[derive(Clone, Debug, Serialize)]
pub struct ModelRow {
    /// Its name in the catalog.
    pub model: Arc<str>,
    /// Calls that are back, those included that an outage or a cancellation cut off.
    pub calls: u64,
    /// Tokens read and written.
    pub tokens: u64,
    /// What it cost.
    pub cost_usd: f64,
    /// Of this, what was reserved by calls that were cut off: nobody knows what they took.
    pub lost_usd: f64,
}

/// What is used of a limit.
#[derive(Clone, Debug, Serialize)]
pub struct PoolRow {
    /// Whose: an agent's; `None`: the session's.
    pub agent: Option<Role>,
    /// `tokens` or `cost_usd`.
    pub limit: &'static str,
    /// What the file allows.
    pub of: Value,
    /// What was spent.
    pub spent: Value,
    /// What calls in flight may take.
    pub reserved: Value,
    /// What is left beside both.
    pub left: Value,
}

impl fmt::Display for PoolRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = self.agent.as_ref().map_or("session", Role::as_str);
        let Self { limit, of, spent, reserved, left, .. } = self;
        write!(f, "budget of {whose}, {limit}: {spent} spent, {reserved} reserved, {left} left of {of}")
    }
}

pub(super) fn models(state: &State) -> Vec<ModelRow> {
    let paid = state.spent_on.iter().filter(|(model, _)| !is_offline(model));
    let row = |(model, spent): (&Arc<str>, &crate::state::Spent)| ModelRow {
        model: model.clone(),
        calls: spent.model_calls,
        tokens: spent.usage.tokens(),
        cost_usd: spent.usage.cost.dollars(),
        lost_usd: spent.lost.cost.dollars(),
    };
    paid.map(row).collect()
}

/// What is used of the limits on tokens and cost.
pub fn budget(state: &State) -> Vec<PoolRow> {
    let plan = &state.started.plan;
    let mut rows = pools(None, &plan.limits, state.spent.usage, state.budget.in_flight());
    for (ix, team) in (0_u32..).map(TeamIx).zip(&plan.teams) {
        for member in team.members.iter().chain(&team.coordinator) {
            let seat = (ix, member.role.clone());
            rows.extend(pools(Some(&member.role), &member.limits, state.spent_as(&seat).usage, state.reserved_by(&seat)));
        }
    }
    rows
}

fn pools(agent: Option<&Role>, limits: &Limits, spent: Usage, reserved: Usage) -> Vec<PoolRow> {
    let count = |n: u64| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
    let dollars = |n: u64| Value::float(Usd(n).dollars()).unwrap_or_default();
    let row = |limit, of: u64, (spent, reserved): (u64, u64), show: &dyn Fn(u64) -> Value| PoolRow {
        agent: agent.cloned(),
        limit,
        of: show(of),
        spent: show(spent),
        reserved: show(reserved),
        left: show(of.saturating_sub(spent).saturating_sub(reserved)),
    };
    let tokens = limits.tokens.map(|of| row("tokens", of, (spent.tokens(), reserved.tokens()), &count));
    let cost = limits.cost.map(|of| row("cost_usd", of.0, (spent.cost.0, reserved.cost.0), &dollars));
    tokens.into_iter().chain(cost).collect()
}
