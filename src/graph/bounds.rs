//! What can it cost at worst? [`Bounds`] from structure, [`Limits`] from the file.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::value::{Role, Usage, Usd};

/// Turns of one activation that synthesizes, votes or debates (V). They are kept for it, whatever the seat has spent of its own.
pub const RESERVED_TURNS: u32 = 6;

/// Turns of one activation that answers a colleague's question.
pub const ANSWER_TURNS: u32 = 2;

/// Runs of a team that is a member of a circle: the first, and one each time that mail wakes it after that.
pub const CIRCLE_RUNS: u32 = 3;

/// How deep questions may be asked to answer questions.
pub const MAX_ASK_DEPTH: u32 = 4;

/// Sub-tasks of a delegation at most, where a team does not say.
pub const MAX_TASKS: u32 = 8;

/// Levels of delegation at most, where a team does not say.
pub const MAX_DELEGATION_DEPTH: u32 = 1;

/// What plans had from before there was delegation by agents.
pub(super) fn max_tasks() -> u32 {
    MAX_TASKS
}

/// What plans had from before there was delegation by agents.
pub(super) fn max_depth() -> u32 {
    MAX_DELEGATION_DEPTH
}

/// Repairs of a reply that is not as it must be, per turn: model calls that are no turns of their own.
pub const REPAIRS: u32 = 1;

/// Further attempts of a node or call in a session, beside those of its `retry`, that people and the `reconcile` rule may order
/// together: a `retry` after a failure, a `not_happened` after a call in doubt.
pub const SECOND_CHANCES: u32 = 2;

/// Questions that one call of a tool may ask people, with those that it asks when it is made again; further ones are cancelled.
pub const MAX_CALL_QUESTIONS: usize = 8;

/// Values that are merged into one at most: parallel writes to a variable, the results that a `merge` makes one of.
pub const MAX_MERGED: usize = 10_000;

/// The largest value of a variable as it is written, in bytes of JSON.
pub const MAX_VARIABLE: usize = 256 << 10;

/// Topics of one settle scope, the first in order, that may be debated or left to the coordinator; those after go to the vote.
pub const MAX_DEBATED_TOPICS: u32 = 4;

/// How long an attempt of a tool node may take where nobody says; the compiler fills it in.
pub const DEFAULT_TOOL_TIMEOUT: Duration = Duration::from_secs(120);

/// Percent of a session's tokens and cost that are kept for the synthesis of its coordinator, where that costs something:
/// nobody else may reserve them, so that there is a result when the rest is spent.
pub const SYNTHESIS_SHARE: u64 = 10;

/// The part of a limit on tokens or cost that is kept for the synthesis.
pub fn synthesis_share(limit: u64) -> u64 {
    limit / 100 * SYNTHESIS_SHARE + limit % 100 * SYNTHESIS_SHARE / 100
}

/// Millions of tokens are what prices are for.
const PRICED_TOKENS: u128 = 1_000_000;

/// What a call of an agent's model may take at most: the dearest of its model and its fallbacks in each regard. The default is
/// that of a script or recording, which takes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCap {
    /// Tokens of a request.
    pub read: u64,
    /// Tokens of a reply.
    pub written: u64,
    /// What a million tokens read cost.
    pub input: Usd,
    /// What a million tokens written cost.
    pub output: Usd,
}

impl CallCap {
    /// What a call takes at most whose request has about `read` tokens.
    pub fn with(&self, read: u64) -> Usage {
        let input = read.min(self.read);
        let parts = |tokens: u64, price: Usd| u128::from(tokens) * u128::from(price.0);
        let cost = (parts(input, self.input).saturating_add(parts(self.written, self.output))).div_ceil(PRICED_TOKENS);
        Usage { input, cached: 0, output: self.written, cost: Usd(u64::try_from(cost).unwrap_or(u64::MAX)) }
    }

    /// Whether it takes nothing.
    pub fn is_free(&self) -> bool {
        *self == Self::default()
    }
}

/// What a file allows; whichever is reached first ends the session as `out_of_budget`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Turns of all agents together.
    pub turns: Option<u64>,
    /// Tokens read and written.
    pub tokens: Option<u64>,
    /// Cost.
    pub cost: Option<Usd>,
    /// Running time in seconds; parked time does not count.
    pub wall_seconds: Option<u64>,
}

impl Limits {
    /// What of them is kept for the synthesis, where there is one that costs something.
    pub fn kept_for_synthesis(&self) -> Self {
        let cost = self.cost.map(|cost| Usd(synthesis_share(cost.0)));
        Self { tokens: self.tokens.map(synthesis_share), cost, ..Self::default() }
    }
}

/// The worst case of a plan, in total and by agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Σ over seats of T, or of the reserved V.
    pub turns: u64,
    /// turns × (1 + repairs) × attempts × (1 + fallbacks).
    pub model_calls: u64,
    /// model calls × (request cap + `max_tokens`); 0 for scripts.
    pub tokens: u64,
    /// Cost; `None` when a model has no price.
    pub cost: Option<Usd>,
    /// The longest path of timeouts and waits for slots; people apart.
    pub wall_seconds: u64,
    /// The same by agent, in declared order.
    pub agents: Vec<AgentBound>,
}

/// The share of one agent in [`Bounds`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentBound {
    /// Who.
    pub agent: Role,
    /// Its seats at most.
    pub seats: u64,
    /// Turns of them all.
    pub turns: u64,
    /// Model calls of them all.
    pub model_calls: u64,
    /// Tokens of them all.
    pub tokens: u64,
    /// Cost; `None` when its model has no price.
    pub cost: Option<Usd>,
    /// What the file allows it.
    #[serde(default)]
    pub limits: Limits,
}
