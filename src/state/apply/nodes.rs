//! What changes when a node starts, is tried again, or ends?

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    event::{Key, Outcome, Record},
    graph::{NodeKind, Phase, Stragglers},
    state::{Activation, CallState, Due, FoldError, Heard, Reach, Stage, Stand, State, Timer},
    turn::cut,
    value::{Call, CallIx, Failure, FailureKind, MessageKind, NodeIx, Role, Timestamp, Turn, Value},
};

/// Characters of an agent's result that its `response` message shows.
const RESPONSE_LIMIT: usize = 1_000;

impl State {
    pub(super) fn node_started(
        &mut self,
        node: NodeIx,
        attempt: u32,
        lookup: Option<&Call>,
        record: &Record,
    ) -> Result<(), FoldError> {
        let limiter = self.limiter(node)?;
        if self.nodes[node.index()].stand != Stand::Ready {
            return Err(self.contradiction(format!("node {node} starts before it is ready")));
        }
        self.unwant(node, Due::Start);
        let state = &mut self.nodes[node.index()];
        state.stand = Stand::Running;
        state.attempt = attempt;
        if let Some(timeout) = self.node(node).timeout {
            self.timers.set(Timer::Timeout(node), record.at.after(timeout));
        }
        match &self.node(node).kind {
            NodeKind::Tool(_) => {
                self.ready.take(limiter);
                self.calling.insert(node);
                self.spent.tool_calls += 1;
            }
            NodeKind::Agent(agent) => {
                let phase = agent.phase;
                self.aggregating += u32::from(self.is_own_synthesis(node));
                let heard = self.snapshots.get(&node).cloned();
                let nothing = || Heard { node, task: self.task_at(node).clone(), thread: Vec::new(), mail: 0, began_at: None };
                let Heard { task, thread, mail, began_at, .. } = heard.unwrap_or_else(nothing);
                // The question that it answers is news.
                let earlier = thread.len() - usize::from(phase == Phase::Answer && !thread.is_empty());
                self.forget_below(node);
                let origins = self.begins_with(node);
                self.activations.insert(
                    node,
                    Activation {
                        attempt,
                        turn: Turn(0),
                        begun: false,
                        task,
                        thread,
                        earlier,
                        stage: lookup.map_or(Stage::Due, |call| Stage::Looking(CallState::New(call.clone()))),
                        effects: Vec::new(),
                        read_upto: self.seq,
                        began_at,
                        heard: mail,
                        origins,
                        read: 0,
                        writes: Vec::new(),
                        found: Vec::new(),
                        repairs: 0,
                        told: BTreeMap::new(),
                        asked_person: false,
                    },
                );
                self.want(node, if lookup.is_some() { Due::Call(CallIx::LOOKUP) } else { Due::Turn });
            }
            NodeKind::Gate(_) | NodeKind::Ask(_) | NodeKind::Scope(_) => {
                return Err(self.contradiction(format!("node {node} has no attempts")));
            }
        }
        Ok(())
    }

    pub(super) fn node_retried(
        &mut self,
        node: NodeIx,
        attempt: u32,
        failure: &Failure,
        not_before: Timestamp,
        record: &Record,
    ) -> Result<(), FoldError> {
        self.in_progress(node)?;
        let kind = matches!(failure.kind, FailureKind::Timeout | FailureKind::InDoubt);
        let cut = kind && self.timers.is_due(Timer::Timeout(node), record.at);
        if cut && self.calling.contains(&node) && !self.is_in_doubt(node) {
            self.late.insert(Key { node, attempt, turn: Turn(0), call: None });
        }
        // An agent's next attempt makes other calls; a tool node makes the same again, and asks the same.
        if self.activations.contains_key(&node) {
            self.told.remove(&node);
        }
        self.leave(node, true, false);
        self.todo.forget(node);
        self.unsure.remove(&node);
        self.throw_away_children(node);
        self.nodes[node.index()].stand = Stand::Backoff;
        self.timers.set(Timer::Retry(node), not_before);
        Ok(())
    }

    pub(super) fn retry_due(&mut self, node: NodeIx) -> Result<(), FoldError> {
        self.known(node)?;
        if self.nodes[node.index()].stand != Stand::Backoff {
            return Err(self.contradiction(format!("node {node} has no attempt to come")));
        }
        self.timers.clear(Timer::Retry(node));
        self.make_ready(node);
        Ok(())
    }

    pub(super) fn node_ended(&mut self, node: NodeIx, outcome: &Outcome, record: &Record) -> Result<(), FoldError> {
        self.known(node)?;
        if self.nodes[node.index()].stand == Stand::Ended {
            return Err(self.contradiction(format!("node {node} ended twice")));
        }
        if self.nodes[node.index()].stand == Stand::Ready {
            self.unwant(node, Due::Start);
        }
        if self.calling.contains(&node) && !self.is_in_doubt(node) && self.was_cut_off(node, outcome, record) {
            let attempt = self.nodes[node.index()].attempt;
            self.late.insert(Key { node, attempt, turn: Turn(0), call: None });
        }
        self.give_up(node, outcome);
        self.keep_origins(node);
        self.conclude_agent(node, outcome, record);
        self.circles.remove(&node);
        self.forget_threads(node);
        self.answered.remove(&node);
        self.told.remove(&node);
        self.faults.remove(&node);
        self.todo.forget(node);
        let state = &mut self.nodes[node.index()];
        let waited = state.stand == Stand::Waiting;
        state.stand = Stand::Ended;
        state.ended_at = self.seq;
        state.outcome = Some(outcome.clone());
        let in_vain = waited && matches!(outcome, Outcome::Failed(_)) && self.node(node).join_deadline.is_some();
        if in_vain && self.node(node).stragglers == Stragglers::Cancel {
            self.cut_stragglers(node);
        }
        if !(matches!(outcome, Outcome::Ok(_)) && self.node(node).stragglers == Stragglers::Leave) {
            self.abandon_children(node);
        }
        self.account(node, outcome);
        self.resolve_edges(node, outcome);
        Ok(())
    }

    /// What an agent leaves behind: its writes take effect when it succeeded; what it found stays unless it was cut off.
    fn conclude_agent(&mut self, node: NodeIx, outcome: &Outcome, record: &Record) {
        let role = self.role_of(node).cloned();
        if let (Some(role), Some(activation), Outcome::Ok(value)) = (&role, self.activations.get(&node), outcome) {
            for (variable, written, seq) in activation.writes.clone() {
                self.context.commit((node, role, activation.origins), &variable, &written, seq);
            }
            if self.is_own_synthesis(node) {
                self.provide(node, value);
            }
            self.respond(node, role, value, record);
        }
        if let (Some(seat), Outcome::Ok(value)) = (self.node(node).seat(), outcome) {
            self.respond(node, &seat.member.clone(), value, record);
        }
        self.looked_upto(node);
        if matches!(outcome, Outcome::Ok(_)) {
            self.remember(node);
        }
        self.snapshots.remove(&node);
        let keep = match outcome {
            Outcome::Ok(_) => true,
            Outcome::Failed(failure) => matches!(failure.kind, FailureKind::Limit | FailureKind::Budget),
            Outcome::Skipped(_) | Outcome::Cancelled => false,
        };
        self.leave(node, true, keep);
    }

    /// What a member came to goes to its coordinator, for the record.
    fn respond(&mut self, node: NodeIx, role: &Role, value: &Value, record: &Record) {
        let text = value.get("summary").or_else(|| value.get("text")).unwrap_or(value).to_string();
        let content = cut(&Arc::from(text), RESPONSE_LIMIT);
        let to = self.coordinator_of(node).filter(|c| *c != role).cloned();
        let message = self.message(node, MessageKind::Response, Some(role.clone()), to, content);
        self.speak(node, Arc::new(message), Reach::Record, record);
    }

    /// Ends an attempt's hold on slots, timers and calls; `drop` forgets the activation, `keep` keeps what it found.
    pub(super) fn leave(&mut self, node: NodeIx, drop: bool, keep: bool) {
        let limiter = self.instance_of(node).limiter;
        self.timers.clear(Timer::Timeout(node));
        self.timers.clear(Timer::Retry(node));
        self.timers.clear(Timer::Join(node));
        self.timers.clear(Timer::Work(node));
        if self.calling.remove(&node) {
            self.ready.give(limiter, 1);
        }
        self.todo.doubts.retain(|key| key.node != node);
        let Some(activation) = self.activations.get(&node) else { return };
        self.budget.held.remove(&node);
        self.ready.give(limiter, activation.in_flight());
        let flying = activation.flying(node);
        let waiting: Vec<Due> = std::iter::once(Due::Turn).chain(activation.numbered().map(|(ix, _)| Due::Call(ix))).collect();
        let found = activation.found.clone();
        for due in waiting {
            self.unwant(node, due);
        }
        self.late.extend(flying);
        self.let_go();
        self.todo.agents.remove(&node);
        self.answered.remove(&node);
        if drop {
            if !keep {
                self.context.void(node, &found);
            }
            self.activations.remove(&node);
            if self.is_own_synthesis(node) {
                self.aggregating = self.aggregating.saturating_sub(1);
            }
        }
    }

    /// Whether a node ended while its call was still at it.
    fn was_cut_off(&self, node: NodeIx, outcome: &Outcome, record: &Record) -> bool {
        match outcome {
            // A rule may know that a call happened whose time was up.
            Outcome::Ok(_) => self.timers.is_due(Timer::Timeout(node), record.at),
            Outcome::Failed(failure) => {
                matches!(failure.kind, FailureKind::Timeout | FailureKind::InDoubt)
                    && self.timers.is_due(Timer::Timeout(node), record.at)
            }
            Outcome::Skipped(_) | Outcome::Cancelled => true,
        }
    }

    /// Whether the call of a tool node was in flight at an outage, and nobody knows more of it.
    fn is_in_doubt(&self, node: NodeIx) -> bool {
        self.todo.doubts.iter().any(|key| key.node == node && key.call.is_none())
    }

    fn account(&mut self, node: NodeIx, outcome: &Outcome) {
        let allowed = self.node(node).allow_failure;
        let caught = self.node(node).caught;
        let ix = self.nodes[node.index()].instance as usize;
        let failed = matches!(outcome, Outcome::Failed(_));
        if failed && allowed {
            self.warnings.push(node);
        }
        if failed && !allowed && !caught {
            let first = &mut self.instances[ix].failed;
            *first = Some(first.map_or(node, |other| other.min(node)));
            let synthesizes = self.budget.short.is_some() && is_budget(outcome);
            if self.finale.is_none() && !synthesizes && self.team_of(node).1.fail_fast {
                self.fail_fast(node);
            }
        }
        let instance = &mut self.instances[ix];
        instance.open = instance.open.saturating_sub(1);
        let (open, scope) = (instance.open, instance.scope);
        let Some(scope) = scope else { return };
        if matches!(outcome, Outcome::Ok(_))
            && self.makes_progress(scope, node)
            && let Some(state) = self.scopes.get_mut(&scope)
        {
            state.succeeded += 1;
            let quorum = self.quorum_of(scope);
            if quorum.is_some_and(|q| self.scopes.get(&scope).is_some_and(|s| s.succeeded >= q))
                && self.nodes[scope.index()].stand == Stand::Running
            {
                self.todo.scopes.insert(scope);
            }
        }
        if open == 0 {
            self.close_instance(scope, u32::try_from(ix).unwrap_or(u32::MAX));
        }
    }

    /// Keeps the result of a synthesis as what there is to show: of several that of the last in declared order.
    pub(super) fn provide(&mut self, node: NodeIx, value: &Value) {
        let later = self.provisional.as_ref().is_none_or(|(other, _)| self.position(*other) <= self.position(node));
        if later {
            self.provisional = Some((node, value.clone()));
        }
    }
}

fn is_budget(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(failure) if failure.kind == FailureKind::Budget)
}
