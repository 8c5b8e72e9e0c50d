//! What can a plan cost at worst? [`worst_case`] derives it from structure alone.
//!
//! A *seat* is one agent's place: an agent node, an item of a `for_each`, a round of a `repeat`, a sub-task, a place in a relay or
//! debate. It has its profile's turns T, or the reserved V where it synthesizes, votes or debates, over all its attempts. (Two
//! turns for each question it may ask come on top once agents can ask each other.) Then
//!
//! - turns = Σ seats,
//! - model calls = turns × (1 + repairs) × attempts × (1 + fallbacks),
//! - tokens = model calls × (request cap + `max_tokens`), each model with its own window; none for scripts,
//! - cost = the same at each model's price; unknown when one has none,
//! - wall time = the longest path of timeouts × attempts and the waits between, people apart. Waiting for a free slot is not in
//!   it; a lint says when there may be some.
//!
//! All sums are checked.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use petgraph::graph::NodeIndex;

use super::{
    models::{self, Models},
    topo::Order,
};
use crate::{
    graph::{AgentBound, Bounds, GateBy, Graph, Member, Node, NodeKind, Plan, REPAIRS, Retry, ScopeKind, SettleSpec, TeamPlan},
    value::{Role, RuleKind, TeamIx, TemplateIx, Usd},
};

/// The worst case does not fit into 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow {
    /// The graph in which it was noticed.
    pub graph: TemplateIx,
    /// The node there; `None`: their sum.
    pub node: Option<NodeIndex>,
}

/// The worst case of `plan`.
pub(super) fn worst_case(plan: &Plan, models: &dyn Models) -> Result<Bounds, Overflow> {
    let counter = Counter { plan, models };
    let mut worst = counter.graph(TemplateIx(0))?;
    if let Some(finally) = plan.finally {
        let overflow = Overflow { graph: finally, node: None };
        let last = counter.graph(finally)?;
        worst.wall = worst.wall.checked_add(last.wall).ok_or(overflow)?;
        worst.tally.add(&last.tally).ok_or(overflow)?;
    }
    let Worst { tally: Tally { all, agents }, wall } = worst;
    let mut bounds = Bounds {
        turns: all.turns,
        model_calls: all.model_calls,
        tokens: all.tokens,
        cost: all.cost.map(Usd),
        wall_seconds: wall.div_ceil(1_000),
        agents: Vec::new(),
    };
    let order = |(team, role): &(TeamIx, Role)| (*team, plan.team(*team).members.iter().position(|m| m.role == *role));
    let mut seats: Vec<_> = agents.into_iter().collect();
    seats.sort_by_key(|(who, _)| order(who));
    for ((team, role), cost) in seats {
        // Roles are unique in a team only.
        let agent = if team == TeamIx(0) { role } else { Role::new(format!("{}/{role}", plan.team(team).name)) };
        let Cost { seats, turns, model_calls, tokens, cost } = cost;
        bounds.agents.push(AgentBound { agent, seats, turns, model_calls, tokens, cost: cost.map(Usd) });
    }
    Ok(bounds)
}

/// What some seats may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    seats: u64,
    turns: u64,
    model_calls: u64,
    tokens: u64,
    /// Millionths of a dollar; `None` when a model has no price.
    cost: Option<u64>,
}

const NOTHING: Cost = Cost { seats: 0, turns: 0, model_calls: 0, tokens: 0, cost: Some(0) };

impl Cost {
    fn both(self, other: Self, with: impl Fn(u64, u64) -> Option<u64>) -> Option<Self> {
        Some(Self {
            seats: with(self.seats, other.seats)?,
            turns: with(self.turns, other.turns)?,
            model_calls: with(self.model_calls, other.model_calls)?,
            tokens: with(self.tokens, other.tokens)?,
            cost: match (self.cost, other.cost) {
                (Some(a), Some(b)) => Some(with(a, b)?),
                (None, _) | (_, None) => None,
            },
        })
    }

    fn plus(self, other: Self) -> Option<Self> {
        self.both(other, u64::checked_add)
    }

    fn times(self, n: u64) -> Option<Self> {
        let factor = Self { seats: n, turns: n, model_calls: n, tokens: n, cost: Some(n) };
        self.both(factor, u64::checked_mul)
    }
}

/// What seats take in total and by agent. The total may be less than the sum: one of several agents takes a sub-task.
#[derive(Clone, Debug)]
struct Tally {
    all: Cost,
    agents: BTreeMap<(TeamIx, Role), Cost>,
}

impl Tally {
    fn nothing() -> Self {
        Self { all: NOTHING, agents: BTreeMap::new() }
    }

    fn of(team: TeamIx, role: &Role, cost: Cost) -> Self {
        Self { all: cost, agents: BTreeMap::from([((team, role.clone()), cost)]) }
    }

    fn add(&mut self, other: &Self) -> Option<()> {
        self.all = self.all.plus(other.all)?;
        for (who, cost) in &other.agents {
            let mine = self.agents.entry(who.clone()).or_insert(NOTHING);
            *mine = mine.plus(*cost)?;
        }
        Some(())
    }

    fn times(mut self, n: u64) -> Option<Self> {
        self.all = self.all.times(n)?;
        for cost in self.agents.values_mut() {
            *cost = cost.times(n)?;
        }
        Some(self)
    }

    /// One of both, whichever takes more.
    fn or(mut self, other: Self) -> Self {
        let most = |a: Cost, b: Cost| a.both(b, |a, b| Some(a.max(b))).unwrap_or(a);
        self.all = most(self.all, other.all);
        for (who, cost) in other.agents {
            let mine = self.agents.entry(who).or_insert(NOTHING);
            *mine = most(*mine, cost);
        }
        self
    }
}

/// The worst case of a node or graph; `wall` in milliseconds.
struct Worst {
    tally: Tally,
    wall: u64,
}

struct Counter<'a> {
    plan: &'a Plan,
    models: &'a dyn Models,
}

impl Counter<'_> {
    fn graph(&self, ix: TemplateIx) -> Result<Worst, Overflow> {
        let graph = self.plan.graph(ix);
        let all = Overflow { graph: ix, node: None };
        let mut tally = Tally::nothing();
        let mut walls = Vec::with_capacity(graph.dag.node_count());
        for node in graph.dag.node_indices() {
            let overflow = Overflow { graph: ix, node: Some(node) };
            let worst = self.node(graph, &graph.dag[node], overflow)?;
            tally.add(&worst.tally).ok_or(overflow)?;
            walls.push(worst.wall);
        }
        Ok(Worst { tally, wall: longest(graph, &walls).ok_or(all)? })
    }

    fn node(&self, graph: &Graph, node: &Node, overflow: Overflow) -> Result<Worst, Overflow> {
        let team = self.plan.team(graph.team);
        match &node.kind {
            NodeKind::Agent(agent) => {
                let Some(member) = team.agent(&agent.role) else { return Ok(Worst { tally: Tally::nothing(), wall: 0 }) };
                let turns = agent.max_turns.unwrap_or_else(|| agent.phase.turns(member.profile.max_turns));
                let cost = self.seat(member, turns, node).ok_or(overflow)?;
                Ok(Worst { tally: Tally::of(graph.team, &agent.role, cost), wall: activation(node).ok_or(overflow)? })
            }
            NodeKind::Tool(_) => Ok(Worst { tally: Tally::nothing(), wall: activation(node).ok_or(overflow)? }),
            NodeKind::Gate(_) | NodeKind::Ask(_) => Ok(Worst { tally: Tally::nothing(), wall: 0 }),
            NodeKind::Scope(scope) => self.scope(graph, node, scope, overflow),
        }
    }

    fn scope(&self, graph: &Graph, node: &Node, scope: &ScopeKind, overflow: Overflow) -> Result<Worst, Overflow> {
        let team = self.plan.team(graph.team);
        let (seats, rounds, body) = match scope {
            ScopeKind::ForEach { max, parallel, body, .. } => (*max, max.div_ceil(parallel.unwrap_or(*max).max(1)), *body),
            ScopeKind::Repeat { max, body, .. } => (*max, *max, *body),
            ScopeKind::Group { body, .. } => (1, 1, *body),
            ScopeKind::Subtasks { max, like, one_by_one, .. } => {
                let routed = default_members(graph, scope).is_none();
                let tally = match default_members(graph, scope) {
                    Some(members) => self.each(graph.team, team, members, like),
                    None => self.any(graph.team, team, team.members.iter().map(|m| &m.role), like, *max),
                };
                // Sub-tasks may wait for each other, so that all of them in a row are the worst.
                let row = if routed || *one_by_one { *max } else { 1 };
                let wall = activation(like).and_then(|wall| wall.checked_mul(row.into()));
                return Ok(Worst { tally: tally.ok_or(overflow)?, wall: wall.ok_or(overflow)? });
            }
            ScopeKind::Relay { members, max_handoffs, like } => {
                let seats = u64::from(*max_handoffs) + 1;
                let tally = if team.rules.iter().any(|r| **r == *RuleKind::Handoff.function()) {
                    self.any(graph.team, team, members.iter(), like, u32::try_from(seats).unwrap_or(u32::MAX))
                } else {
                    // By default each member has its turn once, in order.
                    self.each(graph.team, team, &members[..members.len().min(usize::try_from(seats).unwrap_or(usize::MAX))], like)
                };
                let wall = activation(like).and_then(|wall| wall.checked_mul(seats));
                return Ok(Worst { tally: tally.ok_or(overflow)?, wall: wall.ok_or(overflow)? });
            }
            ScopeKind::Settle(settle) => return self.settle(graph.team, team, settle).ok_or(overflow),
        };
        let inner = self.graph(body)?;
        let attempts = u64::from(attempts(node.retry.as_ref()));
        let tally = u64::from(seats).checked_mul(attempts).and_then(|n| inner.tally.times(n));
        let wall = inner.wall.checked_mul(rounds.into()).map(|wall| node.timeout.map_or(wall, |t| wall.min(millis(t))));
        let wall = wall.and_then(|wall| wall.checked_mul(attempts)?.checked_add(waits(node.retry.as_ref())?));
        Ok(Worst { tally: tally.ok_or(overflow)?, wall: wall.ok_or(overflow)? })
    }

    /// Each round, every member has one more look; where a rule may ask the coordinator, that is one seat more.
    fn settle(&self, ix: TeamIx, team: &TeamPlan, settle: &SettleSpec) -> Option<Worst> {
        let rounds = u64::from(settle.max_debate_rounds);
        let mut tally = self.each(ix, team, &settle.members, &settle.like)?.times(rounds)?;
        let mut wall = activation(&settle.like)?.checked_mul(rounds)?;
        if let (Some(leader), true) = (&team.coordinator, team.rules.iter().any(|r| **r == *RuleKind::Settle.function())) {
            tally.add(&self.each(ix, team, std::slice::from_ref(&leader.role), &settle.like)?)?;
            wall = wall.checked_add(activation(&settle.like)?)?;
        }
        Some(Worst { tally, wall })
    }

    /// A seat for each of `roles`.
    fn each(&self, ix: TeamIx, team: &TeamPlan, roles: &[Role], like: &Node) -> Option<Tally> {
        let mut tally = Tally::nothing();
        for member in roles.iter().filter_map(|role| team.agent(role)) {
            tally.add(&Tally::of(ix, &member.role, self.seat(member, grown_turns(member, like), like)?))?;
        }
        Some(tally)
    }

    /// `seats` seats, each of whichever of `roles` takes most.
    fn any<'r>(
        &self,
        ix: TeamIx,
        team: &TeamPlan,
        roles: impl Iterator<Item = &'r Role>,
        like: &Node,
        seats: u32,
    ) -> Option<Tally> {
        let mut most = Tally::nothing();
        for member in roles.filter_map(|role| team.agent(role)) {
            most = most.or(Tally::of(ix, &member.role, self.seat(member, grown_turns(member, like), like)?));
        }
        most.times(seats.into())
    }

    /// What one seat of `member` may take in `turns` turns of a node like `node`.
    fn seat(&self, member: &Member, turns: u32, node: &Node) -> Option<Cost> {
        let profile = &member.profile;
        let turns = u64::from(turns);
        let asked = turns.checked_mul(u64::from(REPAIRS) + 1)?.checked_mul(attempts(node.retry.as_ref()).into())?;
        let mut cost = Cost { seats: 1, turns, ..NOTHING };
        for model in std::iter::once(&profile.model).chain(&profile.fallback_models) {
            let call = models::call(model, profile, self.models);
            let usd = match call.cost {
                Some(usd) => Some(u64::try_from(usd.checked_mul(asked.into())?.div_ceil(models::PARTS)).ok()?),
                None => None,
            };
            let calls = Cost { seats: 0, turns: 0, model_calls: asked, tokens: asked.checked_mul(call.tokens)?, cost: usd };
            cost = cost.plus(calls)?;
        }
        Some(cost)
    }
}

/// The members who all get the whole task, where that is what `scope` divides; `None` when a rule divides it.
pub(super) fn default_members<'g>(graph: &'g Graph, scope: &ScopeKind) -> Option<&'g [Role]> {
    let ScopeKind::Subtasks { from, .. } = scope else { return None };
    let [crate::value::Ref::Node { up: 0, local, name }] = &from.refs[..] else { return None };
    let whole = from.source.trim().strip_prefix(&**name).is_some_and(|rest| rest.trim() == ".output");
    match &graph.dag[NodeIndex::new(*local as usize)].kind {
        NodeKind::Gate(GateBy::Members(RuleKind::Route, members)) if whole => Some(members),
        NodeKind::Gate(_) | NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Ask(_) | NodeKind::Scope(_) => None,
    }
}

fn grown_turns(member: &Member, like: &Node) -> u32 {
    match &like.kind {
        NodeKind::Agent(agent) => agent.max_turns.unwrap_or_else(|| agent.phase.turns(member.profile.max_turns)),
        NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) | NodeKind::Scope(_) => member.profile.max_turns,
    }
}

fn attempts(retry: Option<&Retry>) -> u32 {
    retry.map_or(1, |r| r.max_attempts.max(1))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}

/// The longest that all attempts of a node may take.
fn activation(node: &Node) -> Option<u64> {
    let once = node.timeout.map_or(0, millis);
    once.checked_mul(attempts(node.retry.as_ref()).into())?.checked_add(waits(node.retry.as_ref())?)
}

/// Waits that are added up one by one; the rest count as the longest.
const WAITS: u32 = 64;

/// All waits between attempts.
fn waits(retry: Option<&Retry>) -> Option<u64> {
    let Some(retry) = retry else { return Some(0) };
    let last = attempts(Some(retry));
    let mut sum = 0_u64;
    for attempt in 2..=last.min(WAITS) {
        sum = sum.checked_add(millis(retry.backoff.before(attempt)))?;
    }
    u64::from(last.saturating_sub(WAITS)).checked_mul(millis(retry.backoff.max))?.checked_add(sum)
}

/// The longest path through `graph`; where only so many of its nodes may be in flight, what they leave of the rest comes on top
/// (Graham's bound: path + (work − path) / limit).
fn longest(graph: &Graph, walls: &[u64]) -> Option<u64> {
    let order = Order::of(&graph.dag)?;
    let mut until = vec![0_u64; walls.len()];
    for &node in &order.nodes {
        let before = graph.dag.neighbors_directed(node, petgraph::Direction::Incoming).map(|n| until[n.index()]).max();
        until[node.index()] = before.unwrap_or(0).checked_add(walls[node.index()])?;
    }
    let path = until.iter().copied().max().unwrap_or(0);
    let Some(limit) = graph.concurrency else { return Some(path) };
    let work = walls.iter().try_fold(0_u64, |sum, wall| sum.checked_add(*wall))?;
    path.checked_add((work - path).div_ceil(u64::from(limit.max(1))))
}

/// A name for what overflowed.
pub(super) fn overflowing(plan_graphs: &[Arc<Graph>], overflow: Overflow) -> String {
    let graph = &plan_graphs[overflow.graph.index()];
    overflow.node.map_or_else(|| "the plan".to_owned(), |n| format!("`{}`", graph.dag[n].id))
}
