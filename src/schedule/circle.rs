//! How does a circle go on? Its members begin together, rest, and are woken by mail, until nobody is.

use std::sync::Arc;

use super::{
    Scheduler, grow,
    vote::{RESULT, ballot, cast},
};
use crate::{
    event::{Grown, GrownFrom, Outcome},
    graph::{Node, NodeKind, Phase, VoteProtocol},
    state::FoldError,
    value::{NodeIx, Role, SettleVerdict, Value},
};

/// What the `settle` rule is told that it settles.
const OVER: &str = "circle";

impl Scheduler {
    /// Looks at a circle that has something to decide: it grows by one activation, the rule is asked whether it has come to its
    /// end, or it has.
    pub(super) fn look_at_circle(&mut self, node: NodeIx, members: &[Role], like: &Node) -> Result<(), FoldError> {
        let Some(scope) = self.state.scopes.get(&node) else { return Err(self.idle(node)) };
        if let Some(least) = self.expired(node) {
            let there = self.last_results(node, members).len();
            if there < least as usize {
                let failure = self.too_few(node, there, least);
                return self.close(node, Err(failure));
            }
            return self.end_circle(node, members);
        }
        // Nobody is woken before all have begun, in their order.
        if let Some(role) = members.get(scope.seats.len()).cloned() {
            return self.wake_up(node, &role, like);
        }
        if scope.unjudged {
            return self.ask_whether_agreed(node, members);
        }
        if let Some(role) = members.iter().find(|role| scope.woken.contains(*role)).cloned() {
            return self.wake_up(node, &role, like);
        }
        if scope.open > 0 {
            return Err(self.idle(node));
        }
        self.end_circle(node, members)
    }

    /// The next activation of a member.
    fn wake_up(&mut self, node: NodeIx, role: &Role, like: &Node) -> Result<(), FoldError> {
        let (team_ix, team) = self.state.team_of(node);
        let Some(member) = team.agent(role) else { return Err(self.idle(node)) };
        let seats = self.state.scopes.get(&node).map(|scope| scope.seats_of(role)).unwrap_or_default();
        let number = seats.len() + 1;
        let last = seats.iter().rev().find_map(|seat| match self.state.outcome(*seat) {
            Some(Outcome::Ok(value)) if member.team.is_some() => Some(value),
            Some(Outcome::Ok(_) | Outcome::Failed(_) | Outcome::Skipped(_) | Outcome::Cancelled) | None => None,
        });
        let task = self.state.task_at(node);
        // An agent goes on from where it was; a team begins anew, from what it came to.
        let brief = last.map_or(task.clone(), |value| Arc::from(format!("{task}\n\nYour team came to this before: {value}")));
        let mut graph = grow::seat(like, member, team_ix, brief, Phase::Work);
        for seat in graph.dag.node_weights_mut() {
            seat.caught = true;
            if let NodeKind::Agent(agent) = &mut seat.kind {
                agent.live = true;
            }
        }
        let of = GrownFrom::Made { path: Arc::from(format!("{role}/{number}")), graph: Arc::new(graph) };
        self.emit(crate::event::Event::Grown(Box::new(Grown { node, of, first: 0, count: 1, call: None, bound: Value::Null })))
    }

    fn ask_whether_agreed(&mut self, node: NodeIx, members: &[Role]) -> Result<(), FoldError> {
        let ballots = self.last_results(node, members);
        let (positions, abstained) = cast(VoteProtocol::default(), ballots.iter().map(|(role, value)| ballot(role, value)));
        let scope = self.state.scopes.get(&node);
        let woken = scope.map_or(0, |scope| scope.seats.len().saturating_sub(members.len()));
        let left = members.iter().map(|role| self.state.turns_left_in(node, role)).sum();
        let round = u32::try_from(woken).unwrap_or(u32::MAX);
        let facts =
            self.settle_facts(node, OVER, &Arc::from(RESULT), (&positions, &abstained), round, left, Value::Null, members);
        match self.judge_settle(node, &facts)? {
            Ok(Some((SettleVerdict::Accept, ..))) => self.end_circle(node, members),
            Ok(Some(_) | None) => Ok(()),
            Err(failure) => self.close(node, Err(failure)),
        }
    }

    /// A circle ends with what its members came to; it fails where none came to anything and one failed.
    fn end_circle(&mut self, node: NodeIx, members: &[Role]) -> Result<(), FoldError> {
        let results = self.last_results(node, members);
        let seats = self.state.scopes.get(&node).map(|scope| scope.seats.as_slice()).unwrap_or_default();
        let failed =
            seats.iter().map(|(_, seat)| *seat).find(|seat| matches!(self.state.outcome(*seat), Some(Outcome::Failed(_))));
        match failed {
            Some(seat) if results.is_empty() => self.close(node, Err(self.child_failure(seat))),
            Some(_) | None => {
                let results = results.into_iter().map(|(role, value)| (role.0.to_string(), value));
                self.end(node, Outcome::Ok(Value::map(results)))
            }
        }
    }

    /// What each member last finished with, in their order.
    fn last_results(&self, node: NodeIx, members: &[Role]) -> Vec<(Role, Value)> {
        let scope = self.state.scopes.get(&node);
        let last = |role: &Role| {
            let own = scope.map(|scope| scope.seats_of(role)).unwrap_or_default();
            own.iter().rev().find_map(|seat| match self.state.outcome(*seat) {
                Some(Outcome::Ok(value)) => Some(value.clone()),
                Some(Outcome::Failed(_) | Outcome::Skipped(_) | Outcome::Cancelled) | None => None,
            })
        };
        members.iter().filter_map(|role| Some((role.clone(), last(role)?))).collect()
    }
}
