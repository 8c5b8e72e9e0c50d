//! What may still be spent? [`Budget`]: what calls in flight have reserved, and whose turns wait for it.
//!
//! A call reserves what it may take at most; when it is back, what it took is spent and the reservation gone. So what is spent and
//! reserved together stays within the limits, unless a reply took more than its call had reserved. A turn that does not fit waits
//! while calls are in flight; turns that wait go on in node order. A part of the session's limits is kept for its synthesis.
//! The limits of a team inside another are a cap on what the teams around it may spend, and no deposit: nothing is kept for it, and
//! what it spends counts for all of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Due, Spent, State};
use crate::{
    event::Key,
    graph::{Limits, NodeKind, Phase, Plan, synthesis_share},
    state::Stage,
    value::{NodeIx, Role, TeamIx, Usage},
};

/// Reservations, and who waits for them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Budget {
    /// What calls in flight may take at most, those included that were cut off and have not stopped yet.
    pub reserved: BTreeMap<Key, Usage>,
    /// Activations whose next turn waits, and what it needs.
    pub held: BTreeMap<NodeIx, Usage>,
    /// What syntheses of the session's own team have spent.
    pub synthesis: Usage,
    /// Whether the session's own team has a synthesis.
    pub synthesizes: bool,
    /// Whether that costs something, so that a share is kept for it.
    pub keeps_share: bool,
    /// Calls that had not stopped when the session was over: they count as what they had reserved, whatever comes of them.
    pub closed: BTreeSet<Key>,
    /// The limit into which nothing fits any more: only a synthesis goes on.
    pub short: Option<&'static str>,
}

/// Whether a turn may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Now.
    Now,
    /// When calls in flight leave room for it.
    Wait,
    /// Not any more.
    Never(Lack),
}

/// What a turn does not fit into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lack {
    /// `turns`, `tokens` or `cost_usd`.
    pub limit: &'static str,
    /// Whose limit it is.
    pub whose: Whose,
}

/// Whose limit a turn does not fit into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The session's.
    Session,
    /// That of a team inside another: of this run of it, by the number of its instance.
    Team(u32),
    /// That of the member that a team inside another is, which holds for all its runs: one of them, by the number of its instance.
    Member(u32),
    /// The agent's own.
    Agent,
}

/// What a limit counts.
type Part = fn(&Usage) -> u64;

/// What is used of a limit.
struct Used {
    spent: Usage,
    reserved: Usage,
    /// What is used of the share for the synthesis, where that is kept from this turn.
    kept: Option<Usage>,
}

impl Budget {
    /// Of a session that begins.
    pub(super) fn of(plan: &Plan) -> Self {
        Self { synthesizes: plan.synthesizers().next().is_some(), keeps_share: plan.keeps_share(), ..Self::default() }
    }

    /// What calls in flight have reserved, in all.
    pub fn in_flight(&self) -> Usage {
        self.reserved.values().fold(Usage::default(), |sum, usage| sum.plus(*usage))
    }
}

impl State {
    /// What an agent has spent, in whichever team it goes by that role.
    pub fn spent_of(&self, role: &Role) -> Spent {
        let shares = self.spent_by.iter().filter(|((_, who), _)| who == role);
        shares.fold(Spent::default(), |sum, (_, spent)| sum.plus(spent))
    }

    /// Whether an activation's next turn, which may take `needs`, may begin.
    pub fn grant(&self, node: NodeIx, needs: Usage) -> Grant {
        let over = self.budget.short.filter(|_| self.finale.is_none() && !self.is_own_synthesis(node));
        if let Some(limit) = over {
            return Grant::Never(Lack { limit, whose: Whose::Session });
        }
        match self.lack(node, needs) {
            Some(lack) if self.may_change(node, lack) => Grant::Wait,
            Some(lack) => Grant::Never(lack),
            None if self.comes_after_others(node) => Grant::Wait,
            None => Grant::Now,
        }
    }

    /// The limit on turns that is reached, if one is.
    pub fn lack_of_turns(&self, node: NodeIx) -> Option<Lack> {
        let over = |limit: Option<u64>, turns: u64| limit.is_some_and(|limit| turns >= limit);
        let own = self.own_limits(node).and_then(|limits| limits.turns);
        let lack = |whose| Some(Lack { limit: "turns", whose });
        let in_team = |(ix, limits): &(u32, &Limits)| over(limits.turns, self.spent_in.get(ix).map_or(0, |spent| spent.turns));
        if over(self.started.plan.limits.turns, self.spent.turns) {
            lack(Whose::Session)
        } else if let Some((ix, _)) = self.limited_teams(node).into_iter().find(in_team) {
            lack(Whose::Team(ix))
        } else if let Some((ix, ..)) =
            self.limited_members(node).into_iter().find(|(_, seat, limits)| over(limits.turns, self.spent_as(seat).turns))
        {
            lack(Whose::Member(ix))
        } else if over(own, self.spent_as(&self.seat_of(node)?).turns) {
            lack(Whose::Agent)
        } else {
            None
        }
    }

    /// The limit into which a call does not fit beside what is spent and reserved.
    fn lack(&self, node: NodeIx, needs: Usage) -> Option<Lack> {
        if let (Some(seat), Some(limits)) = (self.seat_of(node), self.own_limits(node)) {
            let used = Used { spent: self.spent_as(&seat).usage, reserved: self.reserved_by(&seat), kept: None };
            if let Some(limit) = used.exceeds(limits, needs) {
                return Some(Lack { limit, whose: Whose::Agent });
            }
        }
        for (ix, seat, limits) in self.limited_members(node) {
            let used = Used { spent: self.spent_as(&seat).usage, reserved: self.reserved_by(&seat), kept: None };
            if let Some(limit) = used.exceeds(limits, needs) {
                return Some(Lack { limit, whose: Whose::Member(ix) });
            }
        }
        for (ix, limits) in self.limited_teams(node) {
            let spent = self.spent_in.get(&ix).map(|spent| spent.usage).unwrap_or_default();
            let used = Used { spent, reserved: self.reserved_where(|key| self.is_in(key.node, ix)), kept: None };
            if let Some(limit) = used.exceeds(limits, needs) {
                return Some(Lack { limit, whose: Whose::Team(ix) });
            }
        }
        let keeps = self.budget.keeps_share && self.finale.is_none() && !self.is_own_synthesis(node);
        let share = || self.budget.synthesis.plus(self.reserved_where(|key| self.is_own_synthesis(key.node)));
        let used = Used { spent: self.spent.usage, reserved: self.budget.in_flight(), kept: keeps.then(share) };
        used.exceeds(&self.started.plan.limits, needs).map(|limit| Lack { limit, whose: Whose::Session })
    }

    /// Whether a call in flight may leave room where there is none.
    fn may_change(&self, node: NodeIx, lack: Lack) -> bool {
        self.budget.reserved.keys().any(|key| self.share_limit(node, key.node, lack.whose))
    }

    /// Whether somebody before it waits for the same: a synthesis waits for nobody else's turn.
    fn comes_after_others(&self, node: NodeIx) -> bool {
        if self.is_own_synthesis(node) {
            return false;
        }
        let mut earlier = self.budget.held.range(..node);
        earlier.any(|(other, needs)| self.lack(*other, *needs).is_some_and(|lack| self.share_limit(*other, node, lack.whose)))
    }

    /// Whether a limit that holds for one node holds for another one too.
    fn share_limit(&self, node: NodeIx, other: NodeIx, whose: Whose) -> bool {
        match whose {
            Whose::Session => true,
            Whose::Team(ix) => self.is_in(other, ix),
            Whose::Member(ix) => self.member_of(ix).is_some_and(|seat| self.counts_for(other, &seat)),
            Whose::Agent => self.seat_of(node).is_some_and(|seat| self.counts_for(other, &seat)),
        }
    }

    /// The runs of teams inside others that a node belongs to, innermost first, by the numbers of their instances.
    fn inner_teams(&self, node: NodeIx) -> Vec<u32> {
        let (mut found, mut ix) = (Vec::new(), self.nodes[node.index()].instance);
        while let Some(scope) = self.instances[ix as usize].scope {
            let outer = self.nodes[scope.index()].instance;
            if self.instances[outer as usize].graph.team != self.instances[ix as usize].graph.team {
                found.push(ix);
            }
            ix = outer;
        }
        found
    }

    /// Those of them that have limits.
    fn limited_teams(&self, node: NodeIx) -> Vec<(u32, &Limits)> {
        let teams = self.inner_teams(node).into_iter();
        let with = teams.map(|ix| (ix, &self.started.plan.team(self.instances[ix as usize].graph.team).limits));
        with.filter(|(_, limits)| **limits != Limits::default()).collect()
    }

    fn is_in(&self, node: NodeIx, team: u32) -> bool {
        self.inner_teams(node).contains(&team)
    }

    /// The member that a run of a team is in the team around it.
    fn member_of(&self, run: u32) -> Option<(TeamIx, Role)> {
        let scope = self.instances.get(run as usize)?.scope?;
        Some((self.team_of(scope).0, self.node(scope).seat()?.member.clone()))
    }

    /// The members with limits in whose runs a node is, innermost first, each with the number of that run.
    fn limited_members(&self, node: NodeIx) -> Vec<(u32, (TeamIx, Role), &Limits)> {
        let runs = self.inner_teams(node).into_iter().filter_map(|run| Some((run, self.member_of(run)?)));
        let with = runs.filter_map(|(run, seat)| {
            let limits = &self.started.plan.team(seat.0).agent(&seat.1)?.limits;
            Some((run, seat, limits))
        });
        with.filter(|(.., limits)| **limits != Limits::default()).collect()
    }

    /// Whether what a node spends is spent by a member of a team: by itself, or in a run of the team that it is.
    fn counts_for(&self, node: NodeIx, seat: &(TeamIx, Role)) -> bool {
        self.seat_of(node).as_ref() == Some(seat)
            || self.inner_teams(node).into_iter().any(|run| self.member_of(run).as_ref() == Some(seat))
    }

    /// What a member has spent, by itself and in the runs of the team that it is.
    pub fn spent_as(&self, seat: &(TeamIx, Role)) -> Spent {
        let spent = |by: &BTreeMap<(TeamIx, Role), Spent>| by.get(seat).copied().unwrap_or_default();
        spent(&self.spent_by).plus(&spent(&self.spent_within))
    }

    /// What calls of a member in flight have reserved, those in runs of the team that it is included.
    pub fn reserved_by(&self, seat: &(TeamIx, Role)) -> Usage {
        self.reserved_where(|key| self.counts_for(key.node, seat))
    }

    fn reserved_where(&self, counts: impl Fn(&Key) -> bool) -> Usage {
        let reserved = self.budget.reserved.iter().filter(|(key, _)| counts(key));
        reserved.fold(Usage::default(), |sum, (_, usage)| sum.plus(*usage))
    }

    /// Whether an activation makes the session's result; that of a team inside it is that team's.
    pub(super) fn is_own_synthesis(&self, node: NodeIx) -> bool {
        self.team_of(node).0 == TeamIx(0)
            && matches!(&self.node(node).kind, NodeKind::Agent(agent) if agent.phase == Phase::Synthesize)
    }

    fn seat_of(&self, node: NodeIx) -> Option<(TeamIx, Role)> {
        Some((self.team_of(node).0, self.role_of(node)?.clone()))
    }

    fn own_limits(&self, node: NodeIx) -> Option<&Limits> {
        let limits = &self.team_of(node).1.agent(self.role_of(node)?)?.limits;
        (*limits != Limits::default()).then_some(limits)
    }

    /// Counts what an agent did.
    pub(super) fn spend(&mut self, node: NodeIx, change: impl Fn(&mut Spent)) {
        change(&mut self.spent);
        if let Some(seat) = self.seat_of(node) {
            change(self.spent_by.entry(seat).or_default());
        }
        for ix in self.inner_teams(node) {
            change(self.spent_in.entry(ix).or_default());
            if let Some(member) = self.member_of(ix) {
                change(self.spent_within.entry(member).or_default());
            }
        }
    }

    /// Holds back what a call may take.
    pub(super) fn reserve(&mut self, key: Key, usage: Usage) {
        self.budget.held.remove(&key.node);
        if !usage.is_nothing() {
            self.budget.reserved.insert(key, usage);
        }
        self.let_go();
    }

    /// A call is back, or nobody knows what it took (`None`), and it counts as what it had reserved.
    pub(super) fn settle_call(&mut self, key: &Key, usage: Option<Usage>, model: Option<&Arc<str>>) {
        let reserved = self.budget.reserved.remove(key).unwrap_or_default();
        let lost = if usage.is_none() { reserved } else { Usage::default() };
        let usage = usage.unwrap_or(reserved);
        let count = |spent: &mut Spent| {
            spent.usage = spent.usage.plus(usage);
            spent.lost = spent.lost.plus(lost);
        };
        self.spend(key.node, count);
        if self.is_own_synthesis(key.node) {
            self.budget.synthesis = self.budget.synthesis.plus(usage);
        }
        let member = self.role_of(key.node).and_then(|role| self.team_of(key.node).1.agent(role));
        let model = model.or_else(|| member.map(|member| &member.profile.model)).cloned();
        if let Some(model) = model.filter(|_| key.call.is_none()) {
            let spent = self.spent_on.entry(model).or_default();
            spent.model_calls += 1;
            count(spent);
        }
        self.let_go();
    }

    /// Nobody was asked here: the reply was taken over, or is another session's.
    pub(super) fn settle_unasked(&mut self, key: &Key) {
        self.budget.reserved.remove(key);
        self.let_go();
    }

    /// After an outage nobody knows what the calls in flight took. The turns that wait for a reply begin anew.
    pub(super) fn lose_reserved(&mut self) {
        self.cut_off_reserved(|state, key| state.settle_call(key, None, None));
    }

    /// The calls in flight are those of another session, which pays for them: nothing of them counts here.
    pub(super) fn release_reserved(&mut self) {
        self.cut_off_reserved(Self::settle_unasked);
    }

    fn cut_off_reserved(&mut self, settle: impl Fn(&mut Self, &Key)) {
        let cut_off: Vec<Key> = self.budget.reserved.keys().copied().collect();
        for key in cut_off {
            settle(self, &key);
            let limiter = self.instance_of(key.node).limiter;
            let awaited = |a: &&mut super::Activation| a.stage == Stage::Asked && a.turn == key.turn && a.attempt == key.attempt;
            if !self.late.contains(&key)
                && let Some(activation) = self.activations.get_mut(&key.node).filter(awaited)
            {
                activation.stage = Stage::Due;
                self.ready.give(limiter, 1);
                self.want(key.node, Due::Turn);
            }
        }
    }

    /// The session is over: nobody hears of the calls that have not stopped yet.
    pub(super) fn close_budget(&mut self) {
        self.budget.closed = self.budget.reserved.keys().copied().collect();
        for key in self.budget.closed.clone() {
            self.settle_call(&key, None, None);
        }
    }

    /// Nothing fits into a limit of the session any more, but what is kept for its synthesis.
    pub(super) fn run_short(&mut self, limit: &Arc<str>) {
        self.budget.short = Some(if **limit == *"tokens" { "tokens" } else { "cost_usd" });
        for (node, _) in std::mem::take(&mut self.budget.held) {
            self.want(node, Due::Turn);
        }
    }

    /// Lets the first that waits go on, once nothing in flight stands in its way.
    pub(super) fn let_go(&mut self) {
        let next = self.budget.held.iter().find(|(node, needs)| self.grant(**node, **needs) != Grant::Wait);
        if let Some((node, _)) = next.map(|(node, needs)| (*node, *needs)) {
            self.budget.held.remove(&node);
            self.want(node, Due::Turn);
        }
    }
}

impl Used {
    /// The limit into which `needs` does not fit. A call that nobody could size fits while anything is left.
    fn exceeds(&self, limits: &Limits, needs: Usage) -> Option<&'static str> {
        let sums: [(Option<u64>, Part, &'static str); 2] =
            [(limits.tokens, Usage::tokens, "tokens"), (limits.cost.map(|usd| usd.0), |usage| usage.cost.0, "cost_usd")];
        let over = |limit: u64, part: Part| {
            if needs.is_nothing() {
                return limit > 0 && part(&self.spent) >= limit;
            }
            let kept = self.kept.map_or(0, |used| synthesis_share(limit).saturating_sub(part(&used)));
            let sum = [&self.spent, &self.reserved, &needs].into_iter().fold(kept, |sum, usage| sum.saturating_add(part(usage)));
            part(&needs) > 0 && sum > limit
        };
        sums.into_iter().find_map(|(limit, part, name)| limit.filter(|limit| over(*limit, part)).map(|_| name))
    }
}

impl Spent {
    /// The sum of both.
    #[must_use]
    fn plus(self, other: &Self) -> Self {
        Self {
            turns: self.turns + other.turns,
            model_calls: self.model_calls + other.model_calls,
            tool_calls: self.tool_calls + other.tool_calls,
            usage: self.usage.plus(other.usage),
            lost: self.lost.plus(other.lost),
        }
    }
}
