//! Who is next in a relay? The `handoff` rule, else the agent that ends, else the order of the members.
//!
//! An agent hands over by a call of `handoff`: the wish is recorded, the agent ends, and the relay decides. Whatever it decides is
//! said in a message of the type `handoff`, by which the next one begins. Where its brief has constraints, that one acknowledges
//! them before anything else, or hands the work back. Every handoff counts against `max_handoffs`.

use std::sync::Arc;

use super::{Scheduler, grow, rule_failure};
use crate::{
    event::{Event, Outcome},
    graph::{Node, Phase},
    state::{FoldError, ScopeState},
    turn::{MESSAGE_LIMIT, cut},
    value::{
        Brief, CallIx, Exchange, Failure, FailureKind, HandoffRequest, Message, MessageKind, NodeIx, Role, RuleKind, Value,
        Verdict,
    },
};

/// Who goes on in a relay, and with what.
struct Next {
    to: Role,
    brief: Option<Brief>,
    reason: Option<Arc<str>>,
    /// Who decided: `rule`, `agent` or `order`.
    by: &'static str,
}

impl Scheduler {
    /// Looks at a relay of which nobody is at work.
    pub(super) fn relay(
        &mut self,
        node: NodeIx,
        scope: &ScopeState,
        (members, max_handoffs): (&[Role], u32),
        like: &Node,
    ) -> Result<(), FoldError> {
        if scope.open > 0 {
            return Err(self.idle(node));
        }
        let Some((_, last)) = scope.seats.last() else {
            return match members.first() {
                Some(first) => self.seat_next(node, scope, first, like),
                None => self.end(node, Outcome::Ok(Value::Null)),
            };
        };
        if !matches!(self.state.outcome(*last), Some(Outcome::Ok(_) | Outcome::Skipped(_))) {
            return self.close(node, Err(self.child_failure(*last)));
        }
        match self.next_of_relay(node, scope, members, max_handoffs)? {
            Err(failure) => self.close(node, Err(failure)),
            Ok(None) => self.end(node, Outcome::Ok(self.state.output(*last))),
            Ok(Some(next)) => {
                self.say_handoff(scope, &next)?;
                self.seat_next(node, scope, &next.to, like)
            }
        }
    }

    fn seat_next(&mut self, node: NodeIx, scope: &ScopeState, to: &Role, like: &Node) -> Result<(), FoldError> {
        let (team_ix, team) = self.state.team_of(node);
        let Some(member) = team.agent(to) else {
            let output = scope.seats.last().map(|(_, last)| self.state.output(*last)).unwrap_or_default();
            return self.end(node, Outcome::Ok(output));
        };
        // A team is told all that it is to do in one; an agent reads what was handed over as mail.
        let task = self.state.task_at(node).clone();
        let handed = scope.seats.last().filter(|_| member.team.is_some()).and_then(|(_, last)| self.state.handoff_of(*last));
        let task = handed.map_or(task.clone(), |words| Arc::from(format!("{task}\n\nHanded over: {}", words.content)));
        let mut graph = grow::seat(like, member, team_ix, task, Phase::Work);
        if let Some(seat) = graph.dag.node_weights_mut().next() {
            seat.caught = true;
        }
        let path = (scope.seats.len() + 1).to_string();
        self.grow_made(node, &path, graph)
    }

    /// Says what is handed over, in the name of the one who ended: its brief, else its result.
    fn say_handoff(&mut self, scope: &ScopeState, next: &Next) -> Result<(), FoldError> {
        let Some((from, last)) = scope.seats.last() else { return Ok(()) };
        let words = match &next.brief {
            Some(brief) => brief.text(),
            None => self.state.output(*last).to_string(),
        };
        let mut metadata = vec![("by", Value::text(next.by))];
        metadata.extend(next.brief.as_ref().map(|brief| ("brief", Value::of(brief).unwrap_or_default())));
        metadata.extend(next.reason.clone().map(|reason| ("reason", Value::Text(reason))));
        let message = Message {
            id: self.state.next_message(*last),
            kind: MessageKind::Handoff,
            from: Some(from.clone()),
            to: Some(next.to.clone()),
            content: cut(&Arc::from(words), MESSAGE_LIMIT),
            metadata: Value::map(metadata),
            private: false,
            exchange: None,
            origins: self.state.origins_at(*last),
        };
        self.emit(Event::Said { node: *last, message: Arc::new(message) })
    }

    /// Who is next in a relay, and what is carried over; nobody when all have had their turn or no handoff is left.
    fn next_of_relay(
        &mut self,
        node: NodeIx,
        scope: &ScopeState,
        members: &[Role],
        max_handoffs: u32,
    ) -> Result<Result<Option<Next>, Failure>, FoldError> {
        let made = u32::try_from(scope.seats.len()).unwrap_or(u32::MAX).saturating_sub(1);
        let left = max_handoffs.saturating_sub(made);
        if left == 0 {
            return Ok(Ok(None));
        }
        let last = scope.seats.last().map(|(role, _)| role.clone());
        let candidates: Vec<Role> = members.iter().filter(|m| Some(*m) != last.as_ref()).cloned().collect();
        let unseated = members.iter().find(|m| !scope.seats.iter().any(|(role, _)| role == *m)).cloned();
        let unasked = match &scope.wish {
            Some(HandoffRequest { to, brief, reason }) => {
                Some(Next { to: to.clone(), brief: Some(brief.clone()), reason: reason.clone(), by: "agent" })
            }
            None => unseated.map(|to| Next { to, brief: None, reason: None, by: "order" }),
        };
        let (ix, team) = self.state.team_of(node);
        if !team.rules.iter().any(|r| &**r == "handoff") {
            return Ok(Ok(unasked));
        }
        let facts = self.handoff_facts(node, scope, &candidates, left);
        let verdict = match self.judge.judge(ix, &RuleKind::Handoff, &facts) {
            Ok(Some(verdict)) => verdict,
            Ok(None) => return Ok(Ok(unasked)),
            Err(error) => return Ok(Err(rule_failure(error))),
        };
        let next = match &verdict {
            Verdict::Handoff(Some((to, _))) if !candidates.contains(to) => {
                let why = format!("handoff names {to}, who has no part in this relay or has just had the word");
                Err(Failure::new(FailureKind::Rule, why))
            }
            Verdict::Handoff(Some((to, Value::Null))) => Ok(Some(Next { to: to.clone(), brief: None, reason: None, by: "rule" })),
            Verdict::Handoff(Some((to, brief))) => Brief::read(brief)
                .map(|brief| Some(Next { to: to.clone(), brief: Some(brief), reason: None, by: "rule" }))
                .map_err(|why| Failure::new(FailureKind::Rule, format!("handoff: {why}"))),
            Verdict::Handoff(None) => Ok(unasked),
            Verdict::Route(_)
            | Verdict::Settle { .. }
            | Verdict::Escalate { .. }
            | Verdict::Permit(_)
            | Verdict::Reconcile(_)
            | Verdict::Value(_) => Err(Failure::new(FailureKind::Rule, "handoff gave another kind of verdict")),
        };
        self.emit(Event::Judged { node, rule: RuleKind::Handoff, verdict: Some(Arc::new(verdict)) })?;
        Ok(next)
    }

    /// An agent hands its work over: it ends with what it came to so far, and the relay says who goes on.
    pub(super) fn hand_off(
        &mut self,
        node: NodeIx,
        ix: CallIx,
        wish: HandoffRequest,
        result: Option<Value>,
    ) -> Result<(), FoldError> {
        if let Some((kind, why)) = self.no_handoff(node, ix, &wish) {
            return self.refuse(node, ix, kind, why);
        }
        if let Some(value) = &result
            && let Some(schema) = self.member(node).and_then(|member| member.profile.output_schema.as_ref())
            && let Err(why) = self.tools.fits(schema, value)
        {
            return self.refuse(node, ix, FailureKind::Schema, format!("the result does not fit output_schema: {why}"));
        }
        let result = result.unwrap_or_else(|| Value::of(&wish.brief).unwrap_or_default());
        self.emit(Event::HandedOff { node, wish: Box::new(wish) })?;
        self.end(node, Outcome::Ok(result))
    }

    /// Why an agent cannot hand over so.
    fn no_handoff(&self, node: NodeIx, ix: CallIx, wish: &HandoffRequest) -> Option<(FailureKind, String)> {
        let denied = |why: String| Some((FailureKind::Denied, why));
        let Some(seat) = self.state.relay_seat(node) else {
            return denied(
                "nobody hands over here: this is no relay; finish, and say in the result what is left to do".to_owned(),
            );
        };
        if seat.left == 0 {
            let why = "all handoffs of this relay are made (`max_handoffs`): finish with what there is";
            return Some((FailureKind::Limit, why.to_owned()));
        }
        if !seat.targets.contains(&wish.to) {
            let open: Vec<&str> = seat.targets.iter().map(Role::as_str).collect();
            let open = if open.is_empty() { "nobody".to_owned() } else { open.join(", ") };
            return denied(format!("the team lets you hand over to {open}, not to {}", wish.to));
        }
        let back = seat.before.is_some_and(|(giver, _)| *giver == wish.to);
        if self.state.owes_acknowledgement(node, Some(ix)) {
            if !back {
                return denied(self.first_acknowledge(node));
            }
            if wish.reason.is_none() {
                return Some((FailureKind::Schema, "say in `reason` why you hand back what you did not acknowledge".to_owned()));
            }
        }
        None
    }

    /// What an agent is told that does something else before it has acknowledged its handoff.
    pub(super) fn first_acknowledge(&self, node: NodeIx) -> String {
        let giver = self.state.relay_seat(node).and_then(|seat| seat.before).map_or("your colleague", |(role, _)| role.as_str());
        let constraints: Vec<String> = self.constraints(node).iter().map(|constraint| format!("{constraint:?}")).collect();
        let constraints = constraints.join(", ");
        format!(
            "acknowledge the constraints of the handoff first: {constraints}. Call `acknowledge` with them, or hand the work back to \
             {giver} with a `reason`"
        )
    }

    /// The constraints that an agent was handed the work with.
    pub(super) fn constraints(&self, node: NodeIx) -> Vec<Arc<str>> {
        self.state.handoff_to(node).and_then(|handoff| handoff.brief()).map(|brief| brief.constraints).unwrap_or_default()
    }

    /// An agent acknowledges what it was handed.
    pub(super) fn acknowledge(
        &mut self,
        node: NodeIx,
        ix: CallIx,
        constraints: &[Arc<str>],
        note: Option<Arc<str>>,
    ) -> Result<(), FoldError> {
        let handoff = self.state.handoff_to(node).cloned();
        let Some((handoff, brief)) = handoff.and_then(|handoff| Some((handoff.clone(), handoff.brief()?))) else {
            return self.refuse(node, ix, FailureKind::Denied, "there is nothing to acknowledge: no brief was handed to you");
        };
        let missing = brief.unacknowledged(constraints);
        if !missing.is_empty() {
            let missing: Vec<String> = missing.iter().map(|constraint| format!("{constraint:?}")).collect();
            let why = format!("acknowledge all constraints in one call, in their own words; missing: {}", missing.join(", "));
            return self.refuse(node, ix, FailureKind::Schema, why);
        }
        let list = Value::list(brief.constraints.iter().cloned().map(Value::Text));
        let message = Message {
            id: self.state.next_message(node),
            kind: MessageKind::Response,
            from: self.state.role_of(node).cloned(),
            to: handoff.from.clone(),
            content: cut(&note.unwrap_or_else(|| Arc::from("acknowledged")), MESSAGE_LIMIT),
            metadata: Value::map([("constraints", list.clone())]),
            private: false,
            exchange: Some(Exchange::Acknowledges(handoff.id.clone())),
            origins: self.state.origins_at(node),
        };
        self.emit(Event::Said { node, message: Arc::new(message) })?;
        self.answer_call(node, ix, Ok(Value::map([("acknowledged", list)])))
    }
}
