//! When does an agent get a turn, and when is it done?

use std::sync::Arc;

use super::{Scheduler, doubt::no_more_chances, rule_failure, vote::approves};
use crate::{
    event::{AskFor, AskOutcome, Effect, Event, Key, ModelCall, Outcome, Skip},
    graph::{EscalationPolicy, Member, NodeKind, Phase, REPAIRS, SECOND_CHANCES},
    state::{FoldError, Grant, Lack, Stage, Whose},
    turn::{Ending, Tally, Verdict, digest, ending},
    value::{
        Entry, EscalateTo, Failure, FailureKind, Message, MessageKind, NodeIx, Request, Role, Turn, Usage, Value, is_offline,
    },
};

impl Scheduler {
    /// A slot is free for the start of a node.
    pub(super) fn begin(&mut self, node: NodeIx) -> Result<(), FoldError> {
        match &self.state.node(node).kind {
            NodeKind::Tool(_) => self.begin_tool(node),
            NodeKind::Agent(_) => self.begin_agent(node),
            NodeKind::Gate(_) | NodeKind::Ask(_) | NodeKind::Scope(_) => self.open(node),
        }
    }

    fn begin_agent(&mut self, node: NodeIx) -> Result<(), FoldError> {
        let task = match self.task_of(node) {
            Ok(task) => task,
            Err(failure) => return self.end(node, Outcome::Failed(Arc::new(failure))),
        };
        if let Err(error) = self.input_of(node) {
            return self.end(node, Outcome::Failed(Arc::new(rule_failure(error))));
        }
        if self.member(node).is_none() {
            let failure = Failure::new(FailureKind::Rule, format!("{} is nobody's to do", self.state.path(node)));
            return self.end(node, Outcome::Failed(Arc::new(failure)));
        }
        let attempt = self.state.nodes[node.index()].attempt + 1;
        let lookup = self.lookup(node, &task).map(Arc::new);
        self.emit(Event::NodeStarted { node, attempt, lookup })?;
        // A question is what it was given to do; whoever goes on from a rest was told before.
        if self.state.snapshots.contains_key(&node) {
            return Ok(());
        }
        self.assign(node, task)
    }

    /// Tells an agent, or a team that is a member, what to do.
    pub(super) fn assign(&mut self, node: NodeIx, task: Arc<str>) -> Result<(), FoldError> {
        let role = self.state.node(node).role().cloned();
        // A sub-task below an agent's call is that agent's to give.
        let above = self.state.instance_of(node).scope.and_then(|scope| self.state.role_of(scope).cloned());
        let leader = || self.state.team_of(node).1.coordinator.as_ref().map(|c| c.role.clone());
        let from = above.or_else(leader).filter(|from| Some(from) != role.as_ref());
        let message = Message {
            id: self.state.next_message(node),
            kind: MessageKind::TaskAssignment,
            from,
            to: role,
            content: task,
            metadata: Value::map([("node", Value::Text(self.state.path(node)))]),
            private: false,
            exchange: None,
            origins: self.state.origins_before(node),
        };
        self.emit(Event::Said { node, message: Arc::new(message) })
    }

    /// What an agent node, or a team that is a member, is asked to do.
    pub(super) fn task_of(&self, node: NodeIx) -> Result<Arc<str>, Failure> {
        let described = self.state.node(node);
        let (template, brief, done_when) = match (&described.kind, described.seat()) {
            (NodeKind::Agent(agent), _) => (&agent.task, &agent.brief, &agent.done_when),
            (_, Some(seat)) => (&seat.task, &seat.brief, &seat.done_when),
            (_, None) => return Ok(self.state.task_at(node).clone()),
        };
        let task = match (template, brief) {
            (Some(template), _) => {
                let names = self.state.names(&template.refs, self.state.at(node));
                self.judge.render(template, &names).map_err(rule_failure)?
            }
            (None, Some(brief)) => brief.clone(),
            (None, None) => self.state.task_at(node).clone(),
        };
        Ok(done_when.as_ref().map_or(task.clone(), |done| Arc::from(format!("{task}\n\nIt is done when: {done}"))))
    }

    /// A slot is free for an agent's next turn.
    pub(super) fn begin_turn(&mut self, node: NodeIx) -> Result<(), FoldError> {
        let Some(activation) = self.state.activations.get(&node) else {
            return Err(FoldError::Contradiction { seq: self.state.seq, reason: format!("node {node} is not at work") });
        };
        let (turn, attempt, again) = (activation.turn, activation.attempt, activation.begun);
        if !again && self.turns_left(node) == 0 {
            if let Some(value) = self.answered_result(node) {
                return self.end(node, Outcome::Ok(value));
            }
            let limit = self.turn_limit(node);
            let failure = Failure::new(FailureKind::Limit, format!("all {limit} turns of {} are used", self.state.path(node)));
            return self.attempt_failed(node, Arc::new(failure));
        }
        if !again && let Some(lack) = self.state.lack_of_turns(node) {
            return self.out_of_budget(node, lack);
        }
        match if again { None } else { self.watch(node) } {
            None => {}
            Some(Verdict::Tell(detector, note)) => {
                return self.emit(Event::Noted { node, detector: Some(detector), note });
            }
            Some(Verdict::Stop(_, why)) => return self.stalled(node, &why),
        }
        let request = self.upcoming(node);
        let sent = request.as_ref().map(|request| self.counted(node, |tally| digest(request, &*self.judge, tally)));
        if !again && self.past.is_some() && self.takes_over_turn(node, (turn, attempt), sent.clone())? {
            return Ok(());
        }
        let needs = self.needs(node, request.as_ref());
        match needs.map_or(Grant::Now, |needs| self.state.grant(node, needs)) {
            Grant::Now => {}
            Grant::Wait => return self.emit(Event::TurnHeld { node, turn, needs: needs.unwrap_or_default() }),
            Grant::Never(lack) => return self.out_of_budget(node, lack),
        }
        let (read_upto, reserved) = (self.state.seq, needs.unwrap_or_default());
        self.emit(Event::TurnStarted { node, turn, attempt, read_upto, reserved, sent })?;
        if let Some(request) = request {
            let free = is_offline(&request.profile.model);
            let key = Key { node, attempt, turn, call: None };
            self.effect(Effect::Model(ModelCall { key, request: Arc::new(request), free }));
        }
        Ok(())
    }

    /// The request of the next turn of an activation, as it will be once the turn has begun.
    fn upcoming(&self, node: NodeIx) -> Option<Request> {
        let mut request = self.request(node)?;
        let begun = self.state.activations.get(&node).is_some_and(|a| a.begun);
        request.turns_left = request.turns_left.saturating_sub(u32::from(!begun));
        Some(request)
    }

    /// What the next turn of an activation may take at most; `None` for a script or recording.
    fn needs(&self, node: NodeIx, request: Option<&Request>) -> Option<Usage> {
        let member = self.member(node)?;
        // Nobody falls back from a script or recording, whatever fallbacks the profile has: an outage loses nothing of them.
        if is_offline(&member.profile.model) {
            return None;
        }
        if member.call.is_free() {
            // Old journals do not say what a call may take: then it is what it has taken that counts.
            return Some(Usage::default());
        }
        let (request, most) = (request?, member.call.read);
        let read = self.counted(node, |tally| tally.tokens(request, &*self.judge, most)).unwrap_or(most);
        Some(member.call.with(read))
    }

    /// Works with what was counted of an activation's conversation. A member of a circle that was woken goes on from where it rested.
    fn counted<T>(&self, node: NodeIx, work: impl FnOnce(&mut Tally) -> T) -> T {
        let activation = self.state.activations.get(&node);
        let before = self.state.snapshots.get(&node).map(|heard| heard.node);
        let rested = before.filter(|before| self.phase(node) != Phase::Answer && !self.state.activations.contains_key(before));
        let (attempt, earlier) = activation.map_or((0, 0), |activation| (activation.attempt, activation.earlier));
        self.memo.tally((node, attempt), rested.map(|before| (before, earlier)), work)
    }

    /// A turn fits into no budget: the session winds down, or the node fails.
    fn out_of_budget(&mut self, node: NodeIx, lack: Lack) -> Result<(), FoldError> {
        let limit = lack.limit;
        if lack.whose == Whose::Session
            && self.state.budget.short.is_none()
            && self.state.stopping.is_none()
            && self.state.finale.is_none()
        {
            let synthesize = limit != "turns" && self.state.budget.synthesizes;
            return self.emit(Event::LimitReached { limit: Arc::from(limit), synthesize });
        }
        let role = self.state.role_of(node).map_or("", |role| role.as_str());
        let whose = match lack.whose {
            Whose::Session => "the session's".to_owned(),
            Whose::Team(ix) => {
                let team = self.state.instances.get(ix as usize).map(|run| self.state.started.plan.team(run.graph.team));
                format!("the team {}'s", team.map_or("", |team| &team.name))
            }
            Whose::Member(ix) => {
                let scope = self.state.instances.get(ix as usize).and_then(|run| run.scope);
                format!("{}'s own", scope.and_then(|scope| self.state.node(scope).role()).map_or("", |role| role.as_str()))
            }
            Whose::Agent => format!("{role}'s own"),
        };
        self.attempt_failed(node, Arc::new(Failure::new(FailureKind::Budget, format!("{whose} {limit} are spent"))))
    }

    /// The result of an agent that was unsure, with the answer beside it: what there is when it has no turn left to go on.
    fn answered_result(&self, node: NodeIx) -> Option<Value> {
        let activation = self.state.activations.get(&node)?;
        let Some(Entry::Answer { answer, .. }) = activation.thread.last() else { return None };
        match activation.result()? {
            Value::Map(map) => {
                let mut map = (*map).clone();
                map.insert("answer".to_owned(), answer.clone());
                Some(Value::Map(Arc::new(map)))
            }
            other => Some(Value::map([("result", other), ("answer", answer.clone())])),
        }
    }

    /// The model call that an activation waits for.
    pub(super) fn model_call(&self, node: NodeIx) -> Option<Effect> {
        let activation = self.state.activations.get(&node)?;
        let request = self.request(node)?;
        let free = is_offline(&request.profile.model);
        let key = Key { node, attempt: activation.attempt, turn: activation.turn, call: None };
        Some(Effect::Model(ModelCall { key, request: Arc::new(request), free }))
    }

    /// Turns that the seat of an agent node has in all.
    pub(super) fn turn_limit(&self, node: NodeIx) -> u32 {
        let NodeKind::Agent(agent) = &self.state.node(node).kind else { return 0 };
        let own = self.member(node).map_or(0, |m| m.profile.max_turns);
        agent.max_turns.unwrap_or_else(|| agent.phase.turns(own))
    }

    pub(super) fn turns_left(&self, node: NodeIx) -> u32 {
        self.turn_limit(node).saturating_sub(self.state.seat_turns.get(&self.state.seat_at(node)).copied().unwrap_or(0))
    }

    /// The member whose activation a node is.
    pub(super) fn member(&self, node: NodeIx) -> Option<&Member> {
        self.state.team_of(node).1.agent(self.state.role_of(node)?)
    }

    /// Looks at a node that has something to decide.
    pub(super) fn look_at(&mut self, node: NodeIx) -> Result<(), FoldError> {
        if let Some((ask, outcome)) = self.state.answered.get(&node).cloned() {
            return self.heard(node, &ask.purpose, ask.default.clone(), outcome);
        }
        let Some(activation) = self.state.activations.get(&node) else {
            return Err(FoldError::Contradiction { seq: self.state.seq, reason: format!("nothing to decide at node {node}") });
        };
        match &activation.stage {
            Stage::Failing(failure) => {
                let failure = failure.clone();
                self.attempt_failed(node, failure)
            }
            Stage::Calls(calls) if calls.is_empty() => self.take_reply(node),
            Stage::Calls(_) => self.look_at_calls(node),
            Stage::Looking(_) | Stage::Due | Stage::Asked | Stage::Unsure(_) => {
                Err(FoldError::Contradiction { seq: self.state.seq, reason: format!("node {node} has nothing to decide") })
            }
        }
    }

    /// A reply without calls.
    fn take_reply(&mut self, node: NodeIx) -> Result<(), FoldError> {
        let activation = self.state.activations.get(&node);
        let said = |entry: &Entry| if let Entry::Reply(reply) = entry { Some(reply.clone()) } else { None };
        let reply = activation.and_then(|a| a.thread.iter().rev().find_map(said));
        let profile = self.member(node).map(|m| m.profile.clone());
        match (reply, profile) {
            (Some(reply), Some(profile)) => match ending(&reply, &profile) {
                Ending::Finish(value) => self.conclude(node, value),
                Ending::Repair(note) => self.repair(node, note),
                Ending::Calls => self.repair(node, Arc::from("the reply had calls that nobody answered")),
            },
            (_, _) => self.attempt_failed(node, Arc::new(Failure::new(FailureKind::Model, "the model gave no reply"))),
        }
    }

    /// Tells an agent what is wrong with its reply, or gives up.
    pub(super) fn repair(&mut self, node: NodeIx, note: Arc<str>) -> Result<(), FoldError> {
        let repairs = self.state.activations.get(&node).map_or(0, |a| a.repairs);
        if repairs < REPAIRS && self.turns_left(node) > 0 {
            return self.emit(Event::Noted { node, detector: None, note });
        }
        self.attempt_failed(node, Arc::new(Failure::new(FailureKind::Schema, note)))
    }

    /// An agent has a result: it is checked, doubted, or accepted.
    pub(super) fn conclude(&mut self, node: NodeIx, value: Value) -> Result<(), FoldError> {
        let Some(profile) = self.member(node).map(|m| m.profile.clone()) else {
            return self.end(node, Outcome::Ok(value));
        };
        if self.state.owes_acknowledgement(node, None) {
            return self.repair(node, Arc::from(self.first_acknowledge(node)));
        }
        let phase = self.phase(node);
        if phase == Phase::Delegate {
            return self.divide(node, &value);
        }
        if self.state.agent_node(node).is_some_and(|agent| agent.check) {
            return self.checked(node, value);
        }
        let own_work = matches!(phase, Phase::Work | Phase::Synthesize);
        if phase == Phase::Work
            && let Some(told) = self.ends_early(node, &value)
        {
            return told;
        }
        if let Some(schema) = profile.output_schema.as_ref().filter(|_| own_work)
            && let Err(why) = self.tools.fits(schema, &value)
        {
            return self.repair(node, Arc::from(format!("the result does not fit output_schema: {why}")));
        }
        let confidence = value.get("confidence").and_then(Value::as_f64);
        let asked = self.state.activations.get(&node).is_some_and(|a| a.asked_person);
        let unsure = profile.escalate_on_uncertainty && confidence.is_some_and(|c| c < profile.uncertainty_threshold);
        if unsure && own_work && !asked && self.escalates(node, EscalationPolicy::OnUncertainty) {
            let person = self.escalate_unsure(node, &value, confidence.unwrap_or(0.0), profile.uncertainty_threshold)?;
            if person {
                return Ok(());
            }
        }
        self.end(node, Outcome::Ok(value))
    }

    /// Whoever checks a sub-task has voted: with an objection the sub-task is not done.
    fn checked(&mut self, node: NodeIx, vote: Value) -> Result<(), FoldError> {
        match approves(&vote) {
            Some(true) => self.end(node, Outcome::Ok(vote)),
            Some(false) => {
                let why = vote.get("reason").and_then(Value::as_str).filter(|why| !why.trim().is_empty());
                let by = self.state.role_of(node).map_or("nobody", Role::as_str);
                let why = format!("{by} objects: {}", why.unwrap_or("it is not done"));
                self.end(node, Outcome::Failed(Arc::new(Failure::new(FailureKind::Rejected, why))))
            }
            None => self.repair(node, Arc::from("call `finish` with `vote`, which is `approve` or `object`, and a `reason`")),
        }
    }

    /// What an activation is for.
    pub(super) fn phase(&self, node: NodeIx) -> Phase {
        if let NodeKind::Agent(agent) = &self.state.node(node).kind { agent.phase } else { Phase::Work }
    }

    /// An attempt failed: it is tried again, somebody is asked, or the node fails.
    pub(super) fn attempt_failed(&mut self, node: NodeIx, failure: Arc<Failure>) -> Result<(), FoldError> {
        let failure = self.doubtful(node, failure);
        let attempt = self.state.nodes[node.index()].attempt;
        let retry = self.state.node(node).retry.clone();
        // What is around a moot node has just been given up: another attempt would work for nobody.
        let moot = self.state.todo.moot.contains(&node);
        let final_word = moot || matches!(failure.kind, FailureKind::InDoubt | FailureKind::Budget);
        if let Some(retry) = retry.filter(|_| self.state.winding_down().is_none() && !final_word) {
            let wanted = if retry.on.is_empty() { failure.kind.is_retryable() } else { retry.on.contains(&failure.kind) };
            if wanted && attempt < retry.max_attempts {
                let not_before = self.now.after(retry.backoff.before(attempt + 1));
                return self.emit(Event::NodeRetried { node, attempt, failure, not_before });
            }
        }
        if !moot && self.falls_back(node, &failure) {
            return self.fall_back(node, &failure.message);
        }
        if !moot && self.escalate_failure(node, &failure)? {
            return Ok(());
        }
        self.end_returned(node, Outcome::Failed(failure))
    }

    /// A person's word on a node has come.
    fn heard(&mut self, node: NodeIx, purpose: &AskFor, default: Option<Value>, outcome: AskOutcome) -> Result<(), FoldError> {
        let answer = match outcome.clone() {
            AskOutcome::Answered { value, by } => Some((value, by)),
            AskOutcome::Lapsed | AskOutcome::Moot => default.map(|value| (value, Arc::from("nobody"))),
        };
        match purpose {
            AskFor::Node => {
                let outcome = match answer {
                    Some((value, by)) => Outcome::Ok(Value::map([("answer", value), ("by", Value::Text(by))])),
                    None => Outcome::Failed(Arc::new(Failure::new(FailureKind::Unanswered, "nobody answered in time"))),
                };
                self.end(node, outcome)
            }
            AskFor::Failure(failure) if self.state.is_subtasks(node) => self.heard_of_rounds(node, failure, &outcome),
            AskFor::Failure(failure) => match answer.as_ref().and_then(|(value, _)| value.as_str()) {
                Some("retry") => {
                    let attempt = self.state.nodes[node.index()].attempt;
                    let (failure, not_before) = (failure.clone(), self.now);
                    self.emit(Event::NodeRetried { node, attempt, failure, not_before })
                }
                Some("skip") => self.end(node, Outcome::Skipped(Skip::Moot)),
                _ => self.end(node, Outcome::Failed(failure.clone())),
            },
            AskFor::InDoubt(..) => {
                let failure = Failure::new(FailureKind::InDoubt, "nobody knows whether the call happened");
                let again = self.state.chances_ordered(node) <= SECOND_CHANCES;
                match answer.as_ref().and_then(|(value, _)| value.as_str()) {
                    Some("happened") => self.end(node, Outcome::Ok(Value::Null)),
                    Some("not_happened") if !again => self.attempt_failed(node, Arc::new(no_more_chances())),
                    Some("not_happened") => {
                        let attempt = self.state.nodes[node.index()].attempt;
                        self.emit(Event::NodeRetried { node, attempt, failure: Arc::new(failure), not_before: self.now })
                    }
                    _ => self.attempt_failed(node, Arc::new(failure)),
                }
            }
            // The call of a tool node was let go: with the answer at hand it is made again.
            AskFor::Elicited(..) => {
                let failure = Arc::new(Failure::new(FailureKind::Unanswered, "nobody answered in time what the call asked"));
                if answer.is_none() {
                    return self.attempt_failed(node, failure);
                }
                let attempt = self.state.nodes[node.index()].attempt;
                self.emit(Event::NodeRetried { node, attempt, failure, not_before: self.now })
            }
            AskFor::Uncertain | AskFor::Settle(_) | AskFor::Permit(..) | AskFor::Escalation(..) => {
                Err(FoldError::Contradiction { seq: self.state.seq, reason: format!("an answer for node {node} has no use") })
            }
        }
    }

    /// The roles of a team that rules and defaults count in order.
    pub(super) fn roles(&self, node: NodeIx) -> Vec<Role> {
        self.state.team_of(node).1.members.iter().map(|m| m.role.clone()).collect()
    }

    /// Whether a result reaches a person, as the rule of the team says.
    fn escalate_unsure(&mut self, node: NodeIx, value: &Value, confidence: f64, threshold: f64) -> Result<bool, FoldError> {
        let reason: Arc<str> = Arc::from(format!("a confidence of {confidence:.2} is below the threshold of {threshold:.2}"));
        let verdict = self.judge_escalation(
            node,
            Some(EscalationPolicy::OnUncertainty),
            &reason,
            value,
            Some((confidence, threshold)),
            None,
        )?;
        let (to, question, options) = match verdict {
            Ok(verdict) => verdict,
            Err(failure) => {
                self.end(node, Outcome::Failed(Arc::new(failure)))?;
                return Ok(true);
            }
        };
        let from = self.state.role_of(node).cloned();
        self.emit(Event::Escalated { node, from, cause: Some(EscalationPolicy::OnUncertainty), reason, to })?;
        if to != EscalateTo::Person {
            return Ok(false);
        }
        self.ask(node, AskFor::Uncertain, question, options)?;
        Ok(true)
    }

    /// Whether a failure waits for a person.
    fn escalate_failure(&mut self, node: NodeIx, failure: &Arc<Failure>) -> Result<bool, FoldError> {
        let policy = if failure.kind == FailureKind::Timeout {
            EscalationPolicy::OnTimeout
        } else if failure.kind == FailureKind::Budget {
            EscalationPolicy::OnBudget
        } else if failure.kind == FailureKind::Stalled {
            self.stall_policy(node)
        } else {
            EscalationPolicy::OnFailure
        };
        let is_agent = self.state.activations.contains_key(&node) && self.state.chances_ordered(node) < SECOND_CHANCES;
        let ends = self.state.winding_down().is_some() || self.state.budget.short.is_some();
        if !is_agent || ends || !self.escalates(node, policy) {
            return Ok(false);
        }
        let reason: Arc<str> = Arc::from(failure.to_string());
        let Ok((to, question, _)) = self.judge_escalation(node, Some(policy), &reason, &Value::Null, None, Some(failure))? else {
            return Ok(false);
        };
        let from = self.state.role_of(node).cloned();
        self.emit(Event::Escalated { node, from, cause: Some(policy), reason, to })?;
        if to != EscalateTo::Person {
            return Ok(false);
        }
        let purpose = AskFor::Failure(failure.clone());
        let options = Self::options_of(&purpose).iter().map(|o| Arc::from(*o)).collect();
        self.ask(node, purpose, question, options)?;
        Ok(true)
    }
}

/// The turn of a tool node's only call.
pub(super) const ONLY_TURN: Turn = Turn(0);
