//! What can a plan cost at worst? [`worst_case`] derives it from structure alone.
//!
//! A *seat* is one agent's place: an agent node, an item of a `for_each`, a round of a `repeat`, a sub-task, a place in a relay or
//! debate. It has its profile's turns T, or the reserved V where it synthesizes, votes or debates, over all its attempts; and for
//! each of its `max_asks` questions two turns of whichever colleague answers, where it may ask at all. Rounds of delegation
//! (`max_replans`), whoever checks a sub-task (`check_done`) and levels of delegation (`max_depth`, each with up to `max_tasks` below
//! every sub-task) multiply the seats of sub-tasks. Then
//!
//! - turns = Σ seats (T or V, + 2 · `max_asks`),
//! - model calls = turns × (1 + repairs) × attempts × (1 + fallbacks),
//! - tokens = model calls × (request cap + `max_tokens`), each model with its own window; none for scripts,
//! - cost = the same at each model's price; unknown when one has none,
//! - wall time = the longest path of timeouts × attempts and the waits between, and what waiting for slots adds to it (see
//!   [`super::wall`]). People are apart: neither the time that they take nor the attempts that they order are in it.
//!
//! All sums are checked.

use std::{collections::BTreeMap, sync::Arc};

use petgraph::graph::NodeIndex;

use super::{
    models::{self, Models},
    wall::{self, Wall, attempts},
};
use crate::{
    graph::{
        ANSWER_TURNS, AgentBound, AgentNode, Bounds, CIRCLE_RUNS, Divider, EscalationPolicy, GateBy, Graph, MAX_DEBATED_TOPICS,
        Member, Node, NodeKind, Phase, Plan, REPAIRS, Replan, SECOND_CHANCES, ScopeKind, SettleOver, SettleSpec, TeamPlan,
        TeamSeat,
    },
    value::{EffectClass, Role, RuleKind, TeamIx, TemplateIx, Usd},
};

/// The worst case does not fit into 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow {
    /// The graph in which it was noticed.
    pub graph: TemplateIx,
    /// The node there; `None`: their sum.
    pub node: Option<NodeIndex>,
}

/// The worst case of a plan, however it was made; `None` when it does not fit into 64 bits. A call without a time limit counts as
/// one that takes no time.
pub fn bounds_of(plan: &Plan, models: &dyn Models) -> Option<Bounds> {
    worst_case(plan, models).ok()
}

/// The worst case of `plan`.
pub(super) fn worst_case(plan: &Plan, models: &dyn Models) -> Result<Bounds, Overflow> {
    let counter = Counter { plan, models };
    let root = TemplateIx(0);
    let mut worst = counter.graph(root, plan.max_parallel)?;
    worst.limit(plan.graph(root)).ok_or(Overflow { graph: root, node: None })?;
    if let Some(finally) = plan.finally {
        let overflow = Overflow { graph: finally, node: None };
        let mut last = counter.graph(finally, plan.max_parallel)?;
        last.limit(plan.graph(finally)).ok_or(overflow)?;
        worst.wall = worst.wall.then(last.wall).ok_or(overflow)?;
        worst.tally.add(&last.tally).ok_or(overflow)?;
    }
    let Worst { tally: Tally { all, agents }, wall } = worst;
    let wall = wall.limited(plan.max_parallel).ok_or(Overflow { graph: root, node: None })?;
    let mut bounds = Bounds {
        turns: all.turns,
        model_calls: all.model_calls,
        tokens: all.tokens,
        cost: all.cost.map(Usd),
        wall_seconds: wall.path.div_ceil(1_000),
        agents: Vec::new(),
    };
    let order = |(team, role): &(TeamIx, Role)| (*team, plan.team(*team).members.iter().position(|m| m.role == *role));
    let mut seats: Vec<_> = agents.into_iter().collect();
    seats.sort_by_key(|(who, _)| order(who));
    for ((team, role), cost) in seats {
        let limits = plan.team(team).agent(&role).map(|member| member.limits);
        // Roles are unique in a team only.
        let agent = if team == TeamIx(0) { role } else { Role::new(format!("{}/{role}", plan.team(team).name)) };
        let limits = limits.unwrap_or_default();
        let Cost { seats, turns, model_calls, tokens, cost } = cost;
        bounds.agents.push(AgentBound { agent, seats, turns, model_calls, tokens, cost: cost.map(Usd), limits });
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

/// The worst case of a node or graph.
#[derive(Clone)]
struct Worst {
    tally: Tally,
    wall: Wall,
}

impl Worst {
    /// One of both, whichever takes more.
    fn or(self, other: Self) -> Self {
        Self { tally: self.tally.or(other.tally), wall: self.wall.or(other.wall) }
    }

    /// One after the other.
    fn then(mut self, next: &Self) -> Option<Self> {
        self.tally.add(&next.tally)?;
        Some(Self { wall: self.wall.then(next.wall)?, ..self })
    }

    /// At the same time.
    fn beside(mut self, other: &Self) -> Option<Self> {
        self.tally.add(&other.tally)?;
        Some(Self { wall: self.wall.beside(other.wall)?, ..self })
    }

    /// With the slots that `graph` has for all its instances below one scope.
    fn limit(&mut self, graph: &Graph) -> Option<()> {
        if let Some(slots) = graph.concurrency {
            self.wall = self.wall.limited(slots)?;
        }
        Some(())
    }
}

struct Counter<'a> {
    plan: &'a Plan,
    models: &'a dyn Models,
}

impl Counter<'_> {
    /// One instance of a graph, inside limiters of which the narrowest has `slots`.
    fn graph(&self, ix: TemplateIx, slots: u32) -> Result<Worst, Overflow> {
        let graph = self.plan.graph(ix);
        let slots = slots.min(graph.concurrency.unwrap_or(slots)).max(1);
        let mut tally = Tally::nothing();
        let mut walls = Vec::with_capacity(graph.dag.node_count());
        for node in graph.dag.node_indices() {
            let overflow = Overflow { graph: ix, node: Some(node) };
            let worst = self.node(graph, &graph.dag[node], slots, overflow)?;
            tally.add(&worst.tally).ok_or(overflow)?;
            walls.push(worst.wall);
        }
        let wall = wall::together(&graph.dag, &walls).ok_or(Overflow { graph: ix, node: None })?;
        Ok(Worst { tally, wall })
    }

    fn node(&self, graph: &Graph, node: &Node, slots: u32, overflow: Overflow) -> Result<Worst, Overflow> {
        let team = self.plan.team(graph.team);
        match &node.kind {
            NodeKind::Agent(agent) => {
                let Some(member) = team.agent(&agent.role) else { return Ok(nothing()) };
                let turns = agent.max_turns.unwrap_or_else(|| agent.phase.turns(member.profile.max_turns));
                let tally = self.seat(graph.team, member, (turns, agent.phase), node).ok_or(overflow)?;
                let at_once = at_once(team, member, agent.phase, slots).ok_or(overflow)?;
                Ok(Worst { tally, wall: Wall::calls(node, at_once, 0).ok_or(overflow)? })
            }
            NodeKind::Tool(tool) => {
                let again = tool.effect == EffectClass::Irreversible && has_rule(team, &RuleKind::Reconcile);
                let wall = Wall::calls(node, 1, if again { SECOND_CHANCES } else { 0 }).ok_or(overflow)?;
                Ok(Worst { tally: Tally::nothing(), wall })
            }
            NodeKind::Gate(_) | NodeKind::Ask(_) => Ok(nothing()),
            NodeKind::Scope(scope) => {
                let Worst { tally, wall } = self.attempt(graph, scope, slots, overflow)?;
                let tally = tally.times(attempts(node.retry.as_ref()).into()).ok_or(overflow)?;
                Ok(Worst { tally, wall: wall.attempts_of(node).ok_or(overflow)? })
            }
        }
    }

    /// One attempt of a scope.
    fn attempt(&self, graph: &Graph, scope: &ScopeKind, slots: u32, overflow: Overflow) -> Result<Worst, Overflow> {
        let team = self.plan.team(graph.team);
        let (seats, at_once, body) = match scope {
            ScopeKind::ForEach { max, parallel, body, .. } => (*max, parallel.unwrap_or(*max), *body),
            ScopeKind::Repeat { max, body, .. } => (*max, 1, *body),
            ScopeKind::Group { body, .. } => (1, 1, *body),
            ScopeKind::Subtasks { .. } => return self.subtasks(graph, scope, slots).ok_or(overflow),
            ScopeKind::Relay { members, max_handoffs, targets, like } => {
                let free = !targets.is_empty();
                return self.relay(graph.team, (members, *max_handoffs, free), like, slots).ok_or(overflow);
            }
            ScopeKind::Circle { members, like } => return self.circle(graph.team, members, like, slots).ok_or(overflow),
            ScopeKind::Settle(settle) => return self.settle(graph.team, team, settle, slots).ok_or(overflow),
        };
        let Worst { tally, wall } = self.graph(body, slots)?;
        let tally = tally.times(seats.into()).ok_or(overflow)?;
        let wall = wall.times(seats.into(), at_once.into()).ok_or(overflow)?;
        let mut all = Worst { tally, wall };
        all.limit(self.plan.graph(body)).ok_or(overflow)?;
        Ok(all)
    }

    /// Rounds of sub-tasks, each with the one who checks it; between the rounds somebody divides anew.
    fn subtasks(&self, graph: &Graph, scope: &ScopeKind, slots: u32) -> Option<Worst> {
        let ScopeKind::Subtasks { max, like, one_by_one, replan, check, .. } = scope else { return Some(nothing()) };
        let (ix, team) = (graph.team, self.plan.team(graph.team));
        let given = self.given(ix, like, slots)?;
        let mut one = given.values().cloned().fold(nothing(), Worst::or);
        if check.is_some() {
            one = one.then(&self.any_speaks(ix, &in_phase(like, Phase::Validate), slots)?)?;
        }
        // Sub-tasks may wait for each other, so that all of them in a row are the worst; or for nobody, so that all may want a slot
        // at once.
        let round = |count: u32| {
            let row = one.wall.times(count.into(), 1)?;
            let at_once = if *one_by_one { 1 } else { u64::from(count) };
            let wall = Wall { demand: row.demand.checked_mul(at_once)?, ..row };
            Some(Worst { tally: one.tally.clone().times(count.into())?, wall })
        };
        let mut all = match default_members(graph, scope) {
            Some(roles) => {
                let mut whole = roles.iter().filter_map(|role| given.get(role));
                let with = if *one_by_one { Worst::then } else { Worst::beside };
                whole.try_fold(nothing(), with)?
            }
            None => round(*max)?,
        };
        let Some(Replan { by, max: further }) = replan else { return Some(all) };
        // Later rounds hold what the team allows, the first what the scope takes.
        let mut next = round(team.max_tasks)?;
        if let (Divider::Coordinator, Some(leader)) = (by, &team.coordinator) {
            next = next.then(&self.speaks(ix, leader, &in_phase(like, Phase::Delegate), slots)?)?;
        }
        let further = u64::from(*further);
        all = all.then(&Worst { tally: next.tally.times(further)?, wall: next.wall.times(further, 1)? })?;
        Some(all)
    }

    /// What a sub-task may take, by who has it: an agent may give parts of it to others below it, all in its own time, and a team
    /// divides it by itself.
    fn given(&self, ix: TeamIx, like: &Node, slots: u32) -> Option<BTreeMap<Role, Worst>> {
        let (team, plain) = (self.plan.team(ix), plain(like));
        let (mut given, mut part) = (BTreeMap::new(), nothing());
        for member in &team.members {
            let own = self.works(ix, member, like, slots)?;
            part = part.or(if member.team.is_some() { own.clone() } else { self.works(ix, member, &plain, slots)? });
            given.insert(member.role.clone(), own);
        }
        let parts = parts_of_one(team)?;
        for member in team.members.iter().filter(|member| parts > 0 && member.team.is_none()) {
            let Some(own) = given.get_mut(&member.role) else { continue };
            own.tally.add(&part.tally.clone().times(parts)?)?;
            let demand = own.wall.demand.checked_add(part.wall.demand.checked_mul(parts)?)?;
            own.wall = Wall::calls(like, u32::try_from(demand).ok()?, 0)?;
        }
        Some(given)
    }

    /// One of the team says something in a node like `like`.
    fn any_speaks(&self, ix: TeamIx, like: &Node, slots: u32) -> Option<Worst> {
        let team = self.plan.team(ix);
        let mut all = team.members.iter().chain(&team.coordinator).map(|member| self.speaks(ix, member, like, slots));
        all.try_fold(nothing(), |most, one| Some(most.or(one?)))
    }

    /// An agent, for a team its coordinator, says something in a node like `like`.
    fn speaks(&self, ix: TeamIx, member: &Member, like: &Node, slots: u32) -> Option<Worst> {
        let (turns, phase) = grown(member, like);
        let at_once = at_once(self.plan.team(ix), member, phase, slots)?;
        Some(Worst { tally: self.seat(ix, member, (turns, phase), like)?, wall: Wall::calls(like, at_once, 0)? })
    }

    /// `free`: whether members may hand over as they like.
    fn relay(&self, ix: TeamIx, (members, max_handoffs, free): (&[Role], u32, bool), like: &Node, slots: u32) -> Option<Worst> {
        let seats = u64::from(max_handoffs).checked_add(1)?;
        if free || has_rule(self.plan.team(ix), &RuleKind::Handoff) {
            let Worst { tally, wall } = self.heaviest(ix, members, like, slots)?;
            return Some(Worst { tally: tally.times(seats)?, wall: wall.times(seats, 1)? });
        }
        // Where nobody says who is next, each member has its turn once, in order.
        let seats = seats.min(u64::try_from(members.len()).ok()?);
        self.each_works(ix, &members[..usize::try_from(seats).ok()?], like, slots)
    }

    /// Each member is one seat, however often it is woken. Nothing keeps all of them from having each turn after all those before, each
    /// in an activation of its own. A team is woken to a run of its own each time.
    fn circle(&self, ix: TeamIx, members: &[Role], like: &Node, slots: u32) -> Option<Worst> {
        let team = self.plan.team(ix);
        let (mut tally, mut turns, mut runs) = (Tally::nothing(), 0_u64, Wall::default());
        for member in members.iter().filter_map(|role| team.agent(role)) {
            let Worst { tally: one, wall } = self.works(ix, member, like, slots)?;
            if member.team.is_some() {
                tally.add(&one.times(CIRCLE_RUNS.into())?)?;
                runs = runs.then(wall.times(CIRCLE_RUNS.into(), 1)?)?;
            } else {
                tally.add(&one)?;
                turns = turns.checked_add(grown(member, like).0.into())?;
            }
        }
        let agents = members.iter().filter(|role| team.agent(role).is_some_and(|m| m.team.is_none()));
        let wall = Wall::calls(like, widest(team, agents, like, slots)?, 0)?.times(turns, 1)?.then(runs)?;
        let at_once = u64::try_from(members.len()).ok()?;
        Some(Worst { tally, wall: Wall { demand: wall.demand.checked_mul(at_once)?, ..wall } })
    }

    /// Only a rule lets members have one more look at a topic, or leaves it to the coordinator, which is one seat more; the latter
    /// the `escalate` rule may do as well.
    fn settle(&self, ix: TeamIx, team: &TeamPlan, settle: &SettleSpec, slots: u32) -> Option<Worst> {
        let settles = has_rule(team, &RuleKind::Settle);
        let policies = [EscalationPolicy::OnDisagreement, EscalationPolicy::Always];
        let escalates =
            has_rule(team, &RuleKind::Escalate) && policies.iter().any(|policy| team.escalation_policy.contains(policy));
        if !settles && !escalates {
            return Some(nothing());
        }
        let topics = match settle.over {
            SettleOver::Findings | SettleOver::Result => u64::from(MAX_DEBATED_TOPICS),
            SettleOver::Votes => 1,
        };
        let rounds = if settles { u64::from(settle.max_debate_rounds) } else { 0 };
        let members = u64::try_from(settle.members.len()).ok()?;
        let mut tally = self.each_speaks(ix, &settle.members, &settle.like)?.times(rounds)?;
        let seat = Wall::calls(&settle.like, widest(team, settle.members.iter(), &settle.like, slots)?, 0)?;
        let mut wall = seat.times(members, members)?.times(rounds, 1)?;
        if let Some(leader) = &team.coordinator {
            tally.add(&self.each_speaks(ix, std::slice::from_ref(&leader.role), &settle.like)?)?;
            wall = wall.then(Wall::calls(&settle.like, calls_at_once(team, leader, slots), 0)?)?;
        }
        Some(Worst { tally: tally.times(topics)?, wall: wall.times(topics, 1)? })
    }

    /// A seat for each of `roles`, in which one speaks for a member that is a team.
    fn each_speaks(&self, ix: TeamIx, roles: &[Role], like: &Node) -> Option<Tally> {
        let mut tally = Tally::nothing();
        for member in roles.iter().filter_map(|role| self.plan.team(ix).agent(role)) {
            tally.add(&self.seat(ix, member, grown(member, like), like)?)?;
        }
        Some(tally)
    }

    /// Each of `roles` works, one after another.
    fn each_works(&self, ix: TeamIx, roles: &[Role], like: &Node, slots: u32) -> Option<Worst> {
        let mut works = roles.iter().filter_map(|role| self.plan.team(ix).agent(role));
        works.try_fold(nothing(), |all, member| all.then(&self.works(ix, member, like, slots)?))
    }

    /// Whichever of `roles` takes most works.
    fn heaviest(&self, ix: TeamIx, roles: &[Role], like: &Node, slots: u32) -> Option<Worst> {
        let mut works = roles.iter().filter_map(|role| self.plan.team(ix).agent(role));
        works.try_fold(nothing(), |most, member| Some(most.or(self.works(ix, member, like, slots)?)))
    }

    /// A member works where a scope grows: in an activation like `like`, or as the team that it is.
    fn works(&self, ix: TeamIx, member: &Member, like: &Node, slots: u32) -> Option<Worst> {
        let Some(team) = &member.team else { return self.speaks(ix, member, like, slots) };
        let mut run = self.graph(team.body, slots).ok()?;
        run.limit(self.plan.graph(team.body))?;
        let seat = TeamSeat { member: member.role.clone(), task: None, brief: None, done_when: None, open: team.open };
        Some(Worst { wall: run.wall.attempts_of(&team.run("run", seat))?, ..run })
    }

    /// What one seat of `member` may take in so many turns of a node like `node`, with the answers to its questions.
    fn seat(&self, ix: TeamIx, member: &Member, (turns, phase): (u32, Phase), node: &Node) -> Option<Tally> {
        let mut tally = Tally::of(ix, &member.role, self.turns(member, turns, node)?);
        let team = self.plan.team(ix);
        if !asks(team, member, phase) {
            return Some(tally);
        }
        // Whoever is asked may ask in turn, at the expense of the first.
        let mut answers = Tally::nothing();
        for other in team.members.iter().chain(&team.coordinator) {
            answers =
                answers.or(Tally::of(ix, &other.role, self.turns(other, ANSWER_TURNS, &Node::new("answer", node.kind.clone()))?));
        }
        tally.add(&answers.times(team.max_asks.into())?)?;
        Some(tally)
    }

    /// What an agent may take in so many turns of a node like `node`.
    fn turns(&self, member: &Member, turns: u32, node: &Node) -> Option<Cost> {
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

/// The turns and phase of an activation of `member` that a scope grows.
fn grown(member: &Member, like: &Node) -> (u32, Phase) {
    match &like.kind {
        NodeKind::Agent(agent) => (agent.max_turns.unwrap_or_else(|| agent.phase.turns(member.profile.max_turns)), agent.phase),
        NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) | NodeKind::Scope(_) => (member.profile.max_turns, Phase::Work),
    }
}

/// The sub-tasks that may grow below one, over all levels.
fn parts_of_one(team: &TeamPlan) -> Option<u64> {
    let (mut parts, mut level) = (0_u64, 1_u64);
    // Nobody gives work back up, so that a chain has each member once.
    let levels = usize::try_from(team.max_depth).unwrap_or(usize::MAX).min(team.members.len());
    for _ in 1..levels {
        level = level.checked_mul(team.max_tasks.into())?;
        parts = parts.checked_add(level)?;
    }
    Some(parts)
}

/// A node like `like` in another phase.
fn in_phase(like: &Node, phase: Phase) -> Node {
    Node { kind: NodeKind::Agent(Box::new(AgentNode::new(Role::new(""), phase))), ..like.clone() }
}

/// A node like `like` that is tried once.
fn plain(like: &Node) -> Node {
    Node { retry: None, ..like.clone() }
}

fn has_rule(team: &TeamPlan, kind: &RuleKind) -> bool {
    team.rules.iter().any(|rule| **rule == *kind.function())
}

/// Calls that an activation may have in flight at once: those of a turn, if it has tools, or its model's.
fn calls_at_once(team: &TeamPlan, member: &Member, slots: u32) -> u32 {
    let profile = &member.profile;
    let tools = !(profile.allowed_tools.is_empty() && profile.mcp_servers.is_empty() && profile.knowledge.folders.is_empty());
    if tools { team.calls_per_turn.clamp(1, slots.max(1)) } else { 1 }
}

/// Whether an agent may ask its colleagues while it does that.
fn asks(team: &TeamPlan, member: &Member, phase: Phase) -> bool {
    let own = matches!(phase, Phase::Work | Phase::Delegate | Phase::Synthesize);
    own && team.max_asks > 0 && !team.reach(&member.role).is_empty()
}

/// Calls that a seat may have in flight at once: its own, and those of everybody who answers it.
fn at_once(team: &TeamPlan, member: &Member, phase: Phase, slots: u32) -> Option<u32> {
    let own = calls_at_once(team, member, slots);
    if !asks(team, member, phase) {
        return Some(own);
    }
    let others = team.members.iter().chain(&team.coordinator).map(|m| calls_at_once(team, m, slots)).max().unwrap_or(1);
    own.checked_add(others.checked_mul(team.max_asks)?)
}

/// The most calls that an activation of any of `roles`, like `like`, may have in flight.
fn widest<'r>(team: &TeamPlan, roles: impl Iterator<Item = &'r Role>, like: &Node, slots: u32) -> Option<u32> {
    let mut most = 1;
    for member in roles.filter_map(|role| team.agent(role)) {
        most = most.max(at_once(team, member, grown(member, like).1, slots)?);
    }
    Some(most)
}

fn nothing() -> Worst {
    Worst { tally: Tally::nothing(), wall: Wall::default() }
}

/// A name for what overflowed.
pub(super) fn overflowing(plan_graphs: &[Arc<Graph>], overflow: Overflow) -> String {
    let graph = &plan_graphs[overflow.graph.index()];
    overflow.node.map_or_else(|| "the plan".to_owned(), |n| format!("`{}`", graph.dag[n].id))
}
