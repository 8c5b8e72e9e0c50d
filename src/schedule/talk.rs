//! What do agents say to each other? Messages, and questions that a colleague answers from what it knows.
//!
//! A question grows an activation of the asked agent below the call that asks: it goes on from a snapshot of that agent's thread,
//! whatever the agent itself is doing meanwhile. So nobody waits for anybody who waits, and two agents may ask each other at the
//! same moment. A seat has so many questions (`max_asks`), those included that are asked in order to answer it, and questions
//! within questions are [`MAX_ASK_DEPTH`] deep at most.

use std::sync::Arc;

use super::{Scheduler, grow};
use crate::{
    event::{Event, Grown, GrownFrom, Outcome},
    graph::{MAX_ASK_DEPTH, Phase},
    state::FoldError,
    turn::{EVERYBODY, Offers},
    value::{CallIx, CallResult, Exchange, Failure, FailureKind, Message, MessageKind, NodeIx, Role, Value},
};

impl Scheduler {
    /// What an agent may do among its colleagues, beside what everybody may. It stays the same in all turns of an activation.
    pub(super) fn offers(&self, node: NodeIx) -> Offers {
        let Some(role) = self.state.role_of(node) else { return Offers::default() };
        let writes_to: Vec<Arc<str>> = self.state.team_of(node).1.reach(role).into_iter().map(|r| r.0.clone()).collect();
        let asks = if self.asks_at_all(node).is_ok() { writes_to.clone() } else { Vec::new() };
        let above = self.reach_above(node).into_iter().map(|role| role.0.clone()).filter(|role| !writes_to.contains(role));
        let above: Vec<Arc<str>> = above.collect();
        let members = |apart: &[Role]| {
            let members = self.state.team_of(node).1.members.iter().filter(|member| !apart.contains(&member.role));
            members.map(|member| member.role.0.clone()).collect()
        };
        let delegates = match self.phase(node) {
            Phase::Delegate => members(&[]),
            Phase::Work => self.may_delegate(node).map_or_else(|_| Vec::new(), |chain| members(&chain)),
            Phase::Synthesize | Phase::Validate | Phase::Debate | Phase::Answer => Vec::new(),
        };
        let hands_to = match self.state.relay_seat(node).filter(|seat| seat.left > 0) {
            Some(seat) => seat.targets.iter().map(|role| role.0.clone()).collect(),
            None => Vec::new(),
        };
        Offers { writes_to: [writes_to, above].concat(), asks, delegates, hands_to, acknowledges: self.constraints(node) }
    }

    /// An agent writes to a colleague, or to all.
    pub(super) fn send(&mut self, node: NodeIx, ix: CallIx, mut message: Message) -> Result<(), FoldError> {
        if message.to.as_ref().is_some_and(|to| self.is_above(node, to)) {
            message.from = self.state.voice(node).map(|voice| voice.member.clone());
        } else if let Some((kind, why)) = self.no_way_to(node, message.to.as_ref()) {
            return self.refuse(node, ix, kind, why);
        }
        let id = Value::Text(message.id.0.clone());
        self.emit(Event::Said { node, message: Arc::new(message) })?;
        self.answer_call(node, ix, Ok(Value::map([("message", id)])))
    }

    /// Whom an agent that speaks for its team may write to in the team around that.
    fn reach_above(&self, node: NodeIx) -> Vec<&Role> {
        let Some(voice) = self.state.voice(node) else { return Vec::new() };
        self.state.team_of(voice.scope).1.reach(voice.member)
    }

    /// Whether an agent that writes to `to` writes to the team around its own: a role of its own team comes first.
    fn is_above(&self, node: NodeIx, to: &Role) -> bool {
        let own = self.state.team_of(node).1.agent(to).is_some() && self.state.role_of(node) != Some(to);
        !own && self.reach_above(node).contains(&to)
    }

    /// Whether somebody of the teams around an agent's own has that role.
    fn is_outside(&self, node: NodeIx, role: &Role) -> bool {
        let mut frame = self.state.frame_of(node);
        while let Some(scope) = self.state.instances.get(frame as usize).and_then(|instance| instance.scope) {
            if self.state.team_of(scope).1.agent(role).is_some() {
                return true;
            }
            frame = self.state.frame_of(scope);
        }
        false
    }

    /// Why a message cannot be addressed so.
    fn no_way_to(&self, node: NodeIx, to: Option<&Role>) -> Option<(FailureKind, String)> {
        let (_, team) = self.state.team_of(node);
        let from = self.state.role_of(node)?;
        let reach = team.reach(from);
        let open = || if reach.is_empty() { "nobody".to_owned() } else { names(&reach) };
        match to {
            None if reach.is_empty() => Some((FailureKind::Denied, format!("{from} may write to nobody in this team"))),
            None if team.may_write.contains_key(from)
                && reach.len() < team.members.len() + usize::from(team.coordinator.is_some()) - 1 =>
            {
                Some((FailureKind::Denied, format!("{from} may not write to `{EVERYBODY}`, only to {}", open())))
            }
            None => None,
            Some(to) if to == from => Some((FailureKind::Denied, "nobody writes to themselves".to_owned())),
            Some(to) if team.agent(to).is_none() && self.is_outside(node, to) => {
                let above = self.reach_above(node);
                let who = match (&team.coordinator, above.is_empty()) {
                    (_, false) => format!("in the team above {from} may write to {}", names(&above)),
                    (Some(leader), true) if leader.role != *from => {
                        format!("what goes to the team above goes through {}; {from} may write to {}", leader.role, open())
                    }
                    (_, true) => format!("{from} may write to {}", open()),
                };
                Some((FailureKind::Denied, format!("{to} is not of this team: {who}")))
            }
            Some(to) if team.agent(to).is_none() => {
                Some((FailureKind::Schema, format!("there is no {to} in this team; {from} may write to {}", open())))
            }
            Some(to) if !reach.contains(&to) => {
                Some((FailureKind::Denied, format!("the team lets {from} write to {}, not to {to}", open())))
            }
            Some(_) => None,
        }
    }

    /// An agent asks a colleague: the answer is the result of its call.
    pub(super) fn ask_agent(&mut self, node: NodeIx, ix: CallIx, to: &Role, question: &Arc<str>) -> Result<(), FoldError> {
        if self.is_above(node, to) {
            let why = format!("{to} is not of this team, and questions stay within a team: send {to} a message");
            return self.refuse(node, ix, FailureKind::Denied, why);
        }
        if let Some((kind, why)) = self.no_way_to(node, Some(to)) {
            return self.refuse(node, ix, kind, why);
        }
        if let Err(why) = self.asks_at_all(node).and_then(|()| self.asks_again(node)) {
            return self.refuse(node, ix, FailureKind::Limit, why);
        }
        let (team, plan) = self.state.team_of(node);
        let Some(member) = plan.agent(to) else { return self.refuse(node, ix, FailureKind::Schema, "no such agent") };
        let like = self.plain_seat(node);
        let mut graph = grow::seat(&like, member, team, question.clone(), Phase::Answer);
        for answer in graph.dag.node_weights_mut() {
            answer.caught = true;
        }
        let number = self.state.scopes.get(&node).map_or(0, |below| below.grown) + 1;
        let path: Arc<str> = Arc::from(format!("ask_{number}"));
        let message = Message {
            id: self.state.next_message(node),
            kind: MessageKind::Question,
            from: self.state.role_of(node).cloned(),
            to: Some(to.clone()),
            content: question.clone(),
            metadata: Value::Null,
            private: false,
            exchange: Some(Exchange::AnsweredAt(Arc::from(format!("{}/{path}", self.state.path(node))))),
            origins: self.state.origins_at(node),
        };
        self.emit(Event::Said { node, message: Arc::new(message) })?;
        let of = GrownFrom::Made { path, graph: Arc::new(graph) };
        self.emit(Event::Grown(Box::new(Grown { node, of, first: 0, count: 1, call: Some(ix), bound: Value::Null })))
    }

    /// Whether an agent may ask at all.
    fn asks_at_all(&self, node: NodeIx) -> Result<(), String> {
        let team = self.state.team_of(node).1;
        if team.max_asks == 0 {
            return Err("nobody asks anybody in this team: `max_asks` is 0".to_owned());
        }
        let (seat, depth) = self.state.first_asker(node);
        match self.phase(seat) {
            Phase::Work | Phase::Delegate | Phase::Synthesize => {}
            phase @ (Phase::Validate | Phase::Debate | Phase::Answer) => {
                return Err(format!("nobody asks colleagues in order to {}: say what you hold", phase.name()));
            }
        }
        if depth >= MAX_ASK_DEPTH {
            return Err(format!("this question is asked to answer a question, {MAX_ASK_DEPTH} deep: answer with what you know"));
        }
        Ok(())
    }

    /// Whether a seat has a question left.
    fn asks_again(&self, node: NodeIx) -> Result<(), String> {
        let (seat, _) = self.state.first_asker(node);
        let most = self.state.team_of(node).1.max_asks;
        if self.state.asks_made.get(&seat).copied().unwrap_or(0) < most {
            return Ok(());
        }
        let path = self.state.path(seat);
        Err(format!(
            "all {most} questions of {path} are used, those included that were asked to answer it: go on with what you know"
        ))
    }

    /// A colleague has answered, or could not.
    pub(super) fn answered_below(&mut self, node: NodeIx, ix: CallIx, instance: u32) -> Result<(), FoldError> {
        if !self.state.tasks_in(instance).is_empty() {
            let untrusted = self.state.came_to_in(instance).is_untrusted();
            return self.answer_with(node, ix, CallResult { outcome: Ok(self.delegated_below(instance)), untrusted });
        }
        let answer = NodeIx(self.state.instances[instance as usize].base);
        let from = self.state.role_of(answer).cloned();
        let value = match self.state.outcome(answer) {
            Some(Outcome::Ok(value)) => value.clone(),
            Some(Outcome::Failed(_) | Outcome::Skipped(_) | Outcome::Cancelled) | None => {
                let failure = self.child_failure(answer);
                let why = format!("{} could not answer: {}", from.as_ref().map_or("it", |role| role.as_str()), failure.message);
                return self.answer_call(node, ix, Err(Failure { node: failure.node, ..Failure::new(FailureKind::Child, why) }));
            }
        };
        let words = value.get("text").or_else(|| value.get("answer")).unwrap_or(&value);
        let message = Message {
            id: self.state.next_message(answer),
            kind: MessageKind::Response,
            from: from.clone(),
            to: self.state.role_of(node).cloned(),
            content: crate::turn::cut(&Arc::from(words.to_string()), crate::turn::MESSAGE_LIMIT),
            metadata: Value::Null,
            private: false,
            exchange: self.state.question_of(answer).map(|question| Exchange::Answers(question.id.clone())),
            origins: self.state.origins_at(answer),
        };
        self.emit(Event::Said { node: answer, message: Arc::new(message) })?;
        let from = from.map_or(Value::Null, |role| Value::Text(role.0));
        let outcome = Ok(Value::map([("from", from), ("answer", value)]));
        self.answer_with(node, ix, CallResult { outcome, untrusted: self.state.origins_at(answer).is_untrusted() })
    }
}

fn names(roles: &[&Role]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
}
