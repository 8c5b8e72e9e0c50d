//! What does a fact change? One arm per event.

use std::{collections::BTreeSet, sync::Arc};

use petgraph::{Direction, graph::NodeIndex, visit::EdgeRef};

use super::{Activation, CallState, Due, FoldError, ScopeState, Spoken, Stage, Stand, State, Stopping, Timer, TopicState};
use crate::{
    event::{Ask, AskFor, AskOutcome, Event, Key, Outcome, Record, ToolCalled, TurnEnd},
    graph::{Join, NodeKind, On, Phase, SECOND_CHANCES, Stragglers},
    turn::cut,
    value::{
        CallIx, EffectClass, Entry, EscalateTo, Failure, FailureKind, Message, MessageKind, NodeIx, Position, Role, RuleKind,
        Turn, Value, Verdict,
    },
};

/// Characters of an agent's result that its `response` message shows.
const RESPONSE_LIMIT: usize = 1_000;

impl State {
    pub(super) fn apply_event(&mut self, record: &Record) -> Result<(), FoldError> {
        if self.finished.is_some() && !matches!(record.event, Event::LateResult { .. } | Event::Resumed { .. }) {
            return Err(self.contradiction("the session is over"));
        }
        match &record.event {
            Event::Started(_) => return Err(self.contradiction("a session starts once")),
            Event::Resumed { epoch } => {
                self.timers.shift(record.at.since(self.now));
                self.epoch = *epoch;
                self.late.clear();
                self.doubt_irreversible();
            }
            Event::Parked => self.parked = true,
            Event::NodeStarted { node, attempt } => self.node_started(*node, *attempt, record)?,
            Event::NodeRetried { node, attempt, failure, not_before } => {
                self.in_progress(*node)?;
                let kind = matches!(failure.kind, FailureKind::Timeout | FailureKind::InDoubt);
                let cut = kind && self.timers.is_due(Timer::Timeout(*node), record.at);
                if cut && self.calling.contains(node) && !self.is_in_doubt(*node) {
                    self.late.insert(Key { node: *node, attempt: *attempt, turn: Turn(0), call: None });
                }
                self.leave(*node, true, false);
                self.todo.forget(*node);
                self.throw_away_children(*node);
                self.nodes[node.index()].stand = Stand::Backoff;
                self.timers.set(Timer::Retry(*node), *not_before);
            }
            Event::RetryDue { node } => {
                self.known(*node)?;
                if self.nodes[node.index()].stand != Stand::Backoff {
                    return Err(self.contradiction(format!("node {node} has no attempt to come")));
                }
                self.timers.clear(Timer::Retry(*node));
                self.make_ready(*node);
            }
            Event::NodeEnded { node, outcome } => self.node_ended(*node, outcome, record)?,
            Event::EdgesJudged { node, met } => self.edges_judged(*node, met)?,
            Event::ScopeOpened { node, bound } => self.scope_opened(*node, bound, record)?,
            Event::Grown(grown) => self.apply_grown(grown)?,
            Event::Judged { node, rule: RuleKind::Reconcile, verdict: Some(verdict) }
                if **verdict == Verdict::Reconcile(Some(None)) =>
            {
                *self.second_chances.entry(*node).or_default() += 1;
            }
            Event::Judged { .. } => {}
            Event::NotHappened { node, call, .. } => {
                let limiter = self.limiter(*node)?;
                self.todo.doubts.retain(|key| !(key.node == *node && key.call == Some(*call)));
                let activation = self.activation(*node)?;
                if let Some(state) = activation.call_mut(*call)
                    && let Some(asked) = state.call().cloned()
                {
                    let held = matches!(state, CallState::InFlight(_));
                    *state = CallState::Allowed(asked);
                    if held {
                        self.ready.give(limiter, 1);
                    }
                }
                self.look_again(*node);
            }
            Event::AskMoved { ask, to, deadline } => {
                let Some(open) = self.asks.get_mut(ask) else {
                    return Err(self.contradiction(format!("q{ask} is not open")));
                };
                let open = Arc::make_mut(open);
                (open.to, open.deadline) = (Some(to.clone()), *deadline);
                open.step = open.step.map(|step| step.saturating_add(1));
                self.timers.clear(Timer::Deadline(*ask));
                if let Some(deadline) = deadline {
                    self.timers.set(Timer::Deadline(*ask), *deadline);
                }
            }
            Event::TurnStarted { node, read_upto, .. } => self.turn_started(*node, *read_upto, record)?,
            Event::TurnEnded { node, end, effects, .. } => self.turn_ended(*node, end, effects)?,
            Event::ToolCalled(called) => self.tool_called(called)?,
            Event::ToolReturned { node, call, result, .. } => {
                let limiter = self.limiter(*node)?;
                self.todo.doubts.retain(|key| !(key.node == *node && key.call == Some(*call)));
                let activation = self.activation(*node)?;
                if let Some(state) = activation.call_mut(*call) {
                    let held = matches!(state, CallState::InFlight(_));
                    if let Some(asked) = state.call().cloned() {
                        *state = CallState::Answered(asked, result.clone());
                    }
                    if held {
                        self.ready.give(limiter, 1);
                    }
                    self.unwant(*node, Due::Call(*call));
                }
                self.close_turn(*node)?;
            }
            Event::Said { node, message } => {
                if message.kind == MessageKind::TaskAssignment
                    && let Some(activation) = self.activations.get_mut(node)
                {
                    activation.task = message.content.clone();
                }
                self.speak(*node, message.clone(), record);
            }
            Event::Noted { node, note } => {
                let activation = self.activation(*node)?;
                if activation.calls().is_empty() {
                    activation.thread.push(Entry::Note(note.clone()));
                } else {
                    activation.close_calls(&Err(Failure::new(FailureKind::Schema, note)));
                }
                activation.repairs += 1;
                self.next_turn(*node);
            }
            Event::Found(finding) => {
                if let Some(activation) = self.activations.get_mut(&finding.node) {
                    activation.found.push(finding.id);
                }
                self.context.findings.push(finding.clone());
                let message = self.message(MessageKind::Finding, Some(finding.agent.clone()), None, finding.claim.clone());
                let metadata = Value::map([
                    ("finding", Value::Text(format!("f{}", finding.id).into())),
                    ("topic", Value::Text(finding.topic.clone())),
                ]);
                self.speak(finding.node, Arc::new(Message { metadata, ..message }), record);
            }
            Event::Wrote { node, variable, value } => {
                let seq = self.seq;
                self.activation(*node)?.writes.push((variable.clone(), value.clone(), seq));
            }
            Event::Decided { node, decision } => {
                self.context.settle(decision);
                self.context.decisions.push((*node, decision.clone()));
                if let Some(scope) = self.scopes.get_mut(node) {
                    scope.topics.retain(|t| t.topic != decision.topic);
                    self.todo.scopes.insert(*node);
                }
            }
            Event::Escalated { node, from, reason, to, .. } => {
                let to = match to {
                    EscalateTo::Coordinator => self.coordinator_of(*node).cloned(),
                    EscalateTo::Person | EscalateTo::None => None,
                };
                let message = self.message(MessageKind::Escalation, from.clone(), to, reason.clone());
                self.speak(*node, Arc::new(message), record);
            }
            Event::Asked(ask) => self.asked(ask, record)?,
            Event::AskClosed { ask, outcome } => {
                let Some(open) = self.asks.remove(ask) else {
                    return Err(self.contradiction(format!("q{ask} is not open")));
                };
                self.timers.clear(Timer::Deadline(*ask));
                if !self.asks.values().any(|other| other.node == open.node) {
                    self.timers.unpause(Timer::Timeout(open.node), record.at);
                }
                self.ask_closed(&open, outcome);
            }
            Event::LimitReached { limit } => {
                self.timers.clear(Timer::Wall);
                self.stop(Stopping::Limit(limit.clone()));
            }
            Event::CancelRequested { by, reason } => {
                self.stop(Stopping::Cancelled { by: by.clone(), reason: reason.clone() });
                self.cut_all();
            }
            Event::LateResult { key, usage } => {
                self.late.remove(key);
                let role = self.role_of(key.node).cloned();
                self.spend(role.as_ref(), |spent| spent.usage = spent.usage.plus(*usage));
            }
            Event::Finished(finished) => {
                self.finished = Some(Arc::new((**finished).clone()));
                self.timers = super::Timers::default();
            }
        }
        Ok(())
    }

    fn known(&self, node: NodeIx) -> Result<(), FoldError> {
        if node.index() < self.nodes.len() { Ok(()) } else { Err(self.contradiction(format!("node {node} does not exist"))) }
    }

    fn in_progress(&self, node: NodeIx) -> Result<(), FoldError> {
        self.known(node)?;
        match self.nodes[node.index()].stand {
            Stand::Running => Ok(()),
            Stand::Waiting | Stand::Ready | Stand::Backoff | Stand::Ended => {
                Err(self.contradiction(format!("node {node} is not in progress")))
            }
        }
    }

    fn coordinator_of(&self, node: NodeIx) -> Option<&Role> {
        self.team_of(node).1.coordinator.as_ref().map(|c| &c.role)
    }

    fn limiter(&self, node: NodeIx) -> Result<u32, FoldError> {
        self.known(node)?;
        Ok(self.instance_of(node).limiter)
    }

    fn activation(&mut self, node: NodeIx) -> Result<&mut Activation, FoldError> {
        let error = self.contradiction(format!("node {node} is not at work"));
        self.activations.get_mut(&node).ok_or(error)
    }

    fn spend(&mut self, role: Option<&Role>, change: impl Fn(&mut super::Spent)) {
        change(&mut self.spent);
        if let Some(role) = role {
            change(self.spent_by.entry(role.clone()).or_default());
        }
    }

    fn message(&self, kind: MessageKind, from: Option<Role>, to: Option<Role>, content: Arc<str>) -> Message {
        Message { id: self.context.next_message(), kind, from, to, content, metadata: Value::Null, private: false }
    }

    fn speak(&mut self, node: NodeIx, message: Arc<Message>, record: &Record) {
        self.context.hear(Spoken { message, seq: record.seq, at: record.at, node, read_at: None });
    }

    fn node_started(&mut self, node: NodeIx, attempt: u32, record: &Record) -> Result<(), FoldError> {
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
                self.aggregating += u32::from(agent.phase == Phase::Synthesize);
                self.activations.insert(
                    node,
                    Activation {
                        attempt,
                        turn: Turn(0),
                        task: self.started.task.clone(),
                        thread: Vec::new(),
                        stage: Stage::Due,
                        effects: Vec::new(),
                        read_upto: self.seq,
                        writes: Vec::new(),
                        found: Vec::new(),
                        repairs: 0,
                        asked_person: false,
                    },
                );
                self.want(node, Due::Turn);
            }
            NodeKind::Gate(_) | NodeKind::Ask(_) | NodeKind::Scope(_) => {
                return Err(self.contradiction(format!("node {node} has no attempts")));
            }
        }
        Ok(())
    }

    fn scope_opened(&mut self, node: NodeIx, bound: &Value, record: &Record) -> Result<(), FoldError> {
        self.known(node)?;
        self.todo.inline.remove(&node);
        let state = &mut self.nodes[node.index()];
        if state.stand != Stand::Ready {
            return Err(self.contradiction(format!("scope {node} opens before it is ready")));
        }
        state.stand = Stand::Running;
        state.attempt += 1;
        if let Some(timeout) = self.node(node).timeout {
            self.timers.set(Timer::Timeout(node), record.at.after(timeout));
        }
        let topics = self.topics_of(node, bound);
        let grown = self.scopes.get(&node).map_or(0, |earlier| earlier.grown);
        self.scopes.insert(node, ScopeState { bound: bound.clone(), topics, grown, ..ScopeState::default() });
        self.todo.scopes.insert(node);
        Ok(())
    }

    /// The topics that a settle scope was opened with: a list of `{topic, positions}`.
    fn topics_of(&self, node: NodeIx, bound: &Value) -> Vec<TopicState> {
        let is_settle =
            matches!(&self.node(node).kind, NodeKind::Scope(kind) if matches!(&**kind, crate::graph::ScopeKind::Settle(_)));
        if !is_settle {
            return Vec::new();
        }
        let topic = |entry: &Value| {
            let positions = entry.get("positions").map(Value::to::<Vec<Position>>).and_then(Result::ok).unwrap_or_default();
            let topic = entry.get("topic").and_then(Value::as_str).unwrap_or_default();
            TopicState { topic: Arc::from(topic), positions, debates: Vec::new(), asked: None, answer: None }
        };
        bound.as_list().unwrap_or_default().iter().map(topic).collect()
    }

    fn turn_started(&mut self, node: NodeIx, read_upto: crate::value::Seq, record: &Record) -> Result<(), FoldError> {
        let limiter = self.limiter(node)?;
        self.unwant(node, Due::Turn);
        let activation = self.activation(node)?;
        activation.stage = Stage::Asked;
        activation.read_upto = read_upto;
        self.ready.take(limiter);
        *self.seat_turns.entry(node).or_default() += 1;
        let role = self.role_of(node).cloned();
        self.spend(role.as_ref(), |spent| {
            spent.turns += 1;
            spent.model_calls += 1;
        });
        if let Some(role) = &role {
            self.context.read(role, read_upto, record.at);
        }
        Ok(())
    }

    fn turn_ended(&mut self, node: NodeIx, end: &TurnEnd, effects: &[EffectClass]) -> Result<(), FoldError> {
        let limiter = self.limiter(node)?;
        let role = self.role_of(node).cloned();
        let activation = self.activation(node)?;
        let usage = match end {
            TurnEnd::Reply(reply) => {
                activation.thread.push(Entry::Reply(reply.clone()));
                activation.stage = Stage::Calls(reply.calls.iter().cloned().map(CallState::New).collect());
                activation.effects = effects.to_vec();
                Some(reply.usage)
            }
            TurnEnd::Failed(failure) => {
                activation.stage = Stage::Failing(failure.clone());
                None
            }
        };
        self.ready.give(limiter, 1);
        if let Some(usage) = usage {
            self.spend(role.as_ref(), |spent| spent.usage = spent.usage.plus(usage));
        }
        self.look_again(node);
        Ok(())
    }

    fn tool_called(&mut self, called: &ToolCalled) -> Result<(), FoldError> {
        let limiter = self.limiter(called.node)?;
        self.unwant(called.node, Due::Call(called.call));
        let activation = self.activation(called.node)?;
        if let Some(state) = activation.call_mut(called.call)
            && let Some(call) = state.call().cloned()
        {
            *state = CallState::InFlight(call);
        }
        self.look_again(called.node);
        self.ready.take(limiter);
        let role = self.role_of(called.node).cloned();
        self.spend(role.as_ref(), |spent| spent.tool_calls += 1);
        Ok(())
    }

    /// Lets the next turn come once every call of this one is answered; results enter the thread in the order of the calls.
    fn close_turn(&mut self, node: NodeIx) -> Result<(), FoldError> {
        let activation = self.activation(node)?;
        let Stage::Calls(calls) = &activation.stage else { return Ok(()) };
        let answered: Vec<Entry> = calls
            .iter()
            .map_while(|state| match state {
                CallState::Answered(call, result) => Some(Entry::Result { call: call.clone(), result: result.clone() }),
                CallState::New(_)
                | CallState::Allowed(_)
                | CallState::InFlight(_)
                | CallState::AtPerson(_)
                | CallState::Heard(..) => None,
            })
            .collect();
        if answered.len() < calls.len() || calls.is_empty() {
            self.look_again(node);
            return Ok(());
        }
        activation.thread.extend(answered);
        self.next_turn(node);
        Ok(())
    }

    fn next_turn(&mut self, node: NodeIx) {
        let Some(activation) = self.activations.get_mut(&node) else { return };
        activation.turn = activation.turn.next();
        activation.stage = Stage::Due;
        self.todo.agents.remove(&node);
        self.want(node, Due::Turn);
    }

    /// Lets the calls that may go now wait for slots, and the scheduler look at the others.
    fn look_again(&mut self, node: NodeIx) {
        let Some(activation) = self.activations.get(&node) else { return };
        let (callable, look) = (activation.callable(), activation.needs_scheduler());
        for call in callable {
            self.want(node, Due::Call(call));
        }
        if look {
            self.todo.agents.insert(node);
        } else {
            self.todo.agents.remove(&node);
        }
    }

    fn asked(&mut self, ask: &Arc<Ask>, record: &Record) -> Result<(), FoldError> {
        self.known(ask.node)?;
        let node = ask.node;
        self.next_ask = ask.id.next();
        self.asks.insert(ask.id, ask.clone());
        if let Some(deadline) = ask.deadline {
            self.timers.set(Timer::Deadline(ask.id), deadline);
        }
        let timed_out = self.timers.is_due(Timer::Timeout(node), record.at);
        self.timers.pause(Timer::Timeout(node), record.at);
        match &ask.purpose {
            AskFor::Node => {
                self.todo.inline.remove(&node);
                self.nodes[node.index()].stand = Stand::Running;
            }
            AskFor::Uncertain => {
                let synthesizes = self.is_synthesis(node);
                let activation = self.activation(node)?;
                let value = activation.result().unwrap_or_default();
                activation.close_calls(&Ok(Value::map([("asked", Value::text("a person"))])));
                activation.stage = Stage::Unsure(value.clone());
                activation.asked_person = true;
                self.todo.agents.remove(&node);
                if synthesizes {
                    self.provisional = Some(value);
                }
            }
            AskFor::Failure(failure) => {
                self.leave(node, false, false);
                if let Some(activation) = self.activations.get_mut(&node) {
                    activation.stage = Stage::Failing(failure.clone());
                }
                self.todo.agents.remove(&node);
            }
            AskFor::Settle(topic) => {
                if let Some(topic) = self.scopes.get_mut(&node).and_then(|s| s.topics.get_mut(*topic as usize)) {
                    topic.asked = Some(ask.id);
                }
                self.todo.scopes.remove(&node);
            }
            AskFor::Permit(_, call) | AskFor::Escalation(_, call) | AskFor::InDoubt(_, call) => {
                let listed = self.todo.doubts.len();
                self.todo.doubts.retain(|key| !(key.node == node && key.call.unwrap_or_default() == *call));
                let from_outage = self.todo.doubts.len() < listed;
                let limiter = self.limiter(node)?;
                if let Some(activation) = self.activations.get_mut(&node)
                    && let Some(state) = activation.call_mut(*call)
                    && let Some(asked) = state.call().cloned()
                {
                    let held = matches!(state, CallState::InFlight(_));
                    *state = CallState::AtPerson(asked);
                    if held {
                        self.ready.give(limiter, 1);
                    }
                    self.unwant(node, Due::Call(*call));
                    self.look_again(node);
                } else if self.calling.remove(&node) {
                    self.ready.give(limiter, 1);
                    if timed_out && !from_outage {
                        let attempt = self.nodes[node.index()].attempt;
                        self.late.insert(Key { node, attempt, turn: Turn(0), call: None });
                    }
                }
            }
        }
        Ok(())
    }

    fn ask_closed(&mut self, ask: &Arc<Ask>, outcome: &AskOutcome) {
        let node = ask.node;
        if orders_another(&ask.purpose, outcome) {
            *self.second_chances.entry(node).or_default() += 1;
        }
        match &ask.purpose {
            AskFor::Node | AskFor::Failure(_) => {
                self.answered.insert(node, (ask.clone(), outcome.clone()));
                self.todo.agents.insert(node);
            }
            AskFor::Uncertain => {
                let Some(activation) = self.activations.get_mut(&node) else { return };
                let (answer, by) = match outcome {
                    AskOutcome::Answered { value, by } => (value.clone(), by.clone()),
                    AskOutcome::Lapsed | AskOutcome::Moot => (ask.default.clone().unwrap_or_default(), Arc::from("nobody")),
                };
                activation.thread.push(Entry::Answer { question: ask.question.clone(), answer, by });
                self.next_turn(node);
            }
            AskFor::Settle(topic) => {
                if let Some(topic) = self.scopes.get_mut(&node).and_then(|s| s.topics.get_mut(*topic as usize)) {
                    topic.asked = None;
                    topic.answer = Some(match outcome {
                        AskOutcome::Answered { value, by } => (value.clone(), by.clone()),
                        AskOutcome::Lapsed | AskOutcome::Moot => (Value::Null, Arc::from("nobody")),
                    });
                }
                self.todo.scopes.insert(node);
            }
            AskFor::Permit(_, call) | AskFor::Escalation(_, call) | AskFor::InDoubt(_, call) => {
                let goes_on = allows(&ask.purpose, outcome)
                    || (orders_another(&ask.purpose, outcome) && self.chances_ordered(node) <= SECOND_CHANCES);
                if let Some(activation) = self.activations.get_mut(&node)
                    && let Some(state) = activation.call_mut(*call)
                    && let Some(asked) = state.call().cloned()
                {
                    *state = if goes_on {
                        CallState::Allowed(asked)
                    } else {
                        CallState::Heard(asked, ask.purpose.clone(), outcome.clone())
                    };
                    self.look_again(node);
                } else {
                    self.answered.insert(node, (ask.clone(), outcome.clone()));
                    self.todo.agents.insert(node);
                }
            }
        }
    }

    fn is_synthesis(&self, node: NodeIx) -> bool {
        matches!(&self.node(node).kind, NodeKind::Agent(agent) if agent.phase == Phase::Synthesize)
    }

    /// Ends an attempt's hold on slots, timers and calls; `drop` forgets the activation, `keep` keeps what it found.
    fn leave(&mut self, node: NodeIx, drop: bool, keep: bool) {
        let limiter = self.instance_of(node).limiter;
        self.timers.clear(Timer::Timeout(node));
        self.timers.clear(Timer::Retry(node));
        if self.calling.remove(&node) {
            self.ready.give(limiter, 1);
        }
        self.todo.doubts.retain(|key| key.node != node);
        let Some(activation) = self.activations.get(&node) else { return };
        self.ready.give(limiter, activation.in_flight());
        let flying = activation.flying(node);
        let waiting: Vec<Due> = std::iter::once(Due::Turn)
            .chain((0..activation.calls().len()).filter_map(|ix| u32::try_from(ix).ok()).map(|ix| Due::Call(CallIx(ix))))
            .collect();
        let found = activation.found.clone();
        for due in waiting {
            self.unwant(node, due);
        }
        self.late.extend(flying);
        self.todo.agents.remove(&node);
        self.answered.remove(&node);
        if drop {
            if !keep {
                self.context.retract(&found);
            }
            self.activations.remove(&node);
            if self.is_synthesis(node) {
                self.aggregating = self.aggregating.saturating_sub(1);
            }
        }
    }

    fn node_ended(&mut self, node: NodeIx, outcome: &Outcome, record: &Record) -> Result<(), FoldError> {
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
        self.conclude_agent(node, outcome, record);
        self.answered.remove(&node);
        self.faults.remove(&node);
        self.todo.forget(node);
        let state = &mut self.nodes[node.index()];
        state.stand = Stand::Ended;
        state.ended_at = self.seq;
        state.outcome = Some(outcome.clone());
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
                self.context.commit(node, role, &variable, &written, seq);
            }
            if self.is_synthesis(node) {
                self.provisional = Some(value.clone());
            }
            let text = value.get("summary").or_else(|| value.get("text")).unwrap_or(value).to_string();
            let content = cut(&Arc::from(text), RESPONSE_LIMIT);
            let to = self.coordinator_of(node).filter(|c| *c != role).cloned();
            let message = self.message(MessageKind::Response, Some(role.clone()), to, content);
            self.speak(node, Arc::new(message), record);
        }
        let keep = match outcome {
            Outcome::Ok(_) => true,
            Outcome::Failed(failure) => failure.kind == FailureKind::Limit,
            Outcome::Skipped(_) | Outcome::Cancelled => false,
        };
        self.leave(node, true, keep);
    }

    /// Nodes below a scope that ended have nobody to work for.
    fn abandon_children(&mut self, node: NodeIx) {
        let Some(scope) = self.scopes.get(&node) else { return };
        let open: Vec<NodeIx> = scope.instances.iter().flat_map(|ix| self.open_nodes(*ix)).collect();
        self.todo.moot.extend(open);
    }

    /// What an attempt of a scope did is thrown away: what is open below it is cut off, what was found and written is void.
    fn throw_away_children(&mut self, scope: NodeIx) {
        if !self.scopes.contains_key(&scope) {
            return;
        }
        self.abandon_children(scope);
        let mut below = BTreeSet::new();
        self.below(scope, &mut below);
        self.context.forget(&below);
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
            if self.finale.is_none() && self.team_of(node).1.fail_fast {
                self.fail_fast(node);
            }
        }
        let instance = &mut self.instances[ix];
        instance.open = instance.open.saturating_sub(1);
        let (open, scope) = (instance.open, instance.scope);
        let Some(scope) = scope else { return };
        if matches!(outcome, Outcome::Ok(_))
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
            self.close_instance(scope);
        }
    }

    fn quorum_of(&self, scope: NodeIx) -> Option<u32> {
        let NodeKind::Scope(kind) = &self.node(scope).kind else { return None };
        if let crate::graph::ScopeKind::Subtasks { quorum, .. } = &**kind { *quorum } else { None }
    }

    fn stop(&mut self, why: Stopping) {
        if self.stopping.is_some() {
            return;
        }
        self.stopping = Some(why);
        if self.finale.is_none() {
            self.cut_all();
        }
    }

    /// Everything that has not ended is to be cut off, stragglers of scopes that have ended included.
    fn cut_all(&mut self) {
        let nodes = (0_u32..).map(NodeIx).zip(&self.nodes);
        let open = nodes.filter(|(_, state)| state.stand != Stand::Ended).map(|(node, _)| node);
        self.todo.moot.extend(open);
    }

    /// A failure that nobody around it handles stops the rest of its team.
    fn fail_fast(&mut self, node: NodeIx) {
        let team = self.team_of(node).0;
        let mut ix = self.nodes[node.index()].instance;
        let mut inside = vec![ix];
        while let Some(scope) = self.instances[ix as usize].scope.filter(|s| self.team_of(*s).0 == team) {
            let around = self.node(scope);
            if around.caught || around.allow_failure || around.retry.is_some() {
                return;
            }
            ix = self.nodes[scope.index()].instance;
            inside.push(ix);
        }
        for ix in inside {
            self.instances[ix as usize].failed.get_or_insert(node);
        }
        if self.instances[ix as usize].scope.is_none() {
            return self.stop(Stopping::FailFast);
        }
        self.todo.moot.extend(self.open_nodes(ix));
    }

    /// The nodes of an instance that have not ended.
    fn open_nodes(&self, instance: u32) -> Vec<NodeIx> {
        let instance = &self.instances[instance as usize];
        if instance.open == 0 {
            return Vec::new();
        }
        let end = instance.base + u32::try_from(instance.graph.dag.node_count()).unwrap_or(0);
        (instance.base..end).map(NodeIx).filter(|node| self.nodes[node.index()].stand != Stand::Ended).collect()
    }

    fn resolve_edges(&mut self, node: NodeIx, outcome: &Outcome) {
        let (graph, base) = { (self.instance_of(node).graph.clone(), self.instance_of(node).base) };
        let local = NodeIndex::new((node.0 - base) as usize);
        let allowed = self.node(node).allow_failure;
        let failed = matches!(outcome, Outcome::Failed(_));
        let ok = matches!(outcome, Outcome::Ok(_)) || (failed && allowed);
        let judged = matches!(outcome, Outcome::Ok(_));
        let mut conditional = false;
        for edge in graph.dag.edges_directed(local, Direction::Outgoing) {
            let target = NodeIx(base + u32::try_from(edge.target().index()).unwrap_or(u32::MAX));
            match &edge.weight().on {
                On::Ok => self.resolve(target, ok),
                On::Failed => self.resolve(target, failed),
                On::Done => self.resolve(target, true),
                On::When(_) | On::Else if judged => conditional = true,
                On::When(_) => self.resolve(target, false),
                On::Else => self.resolve(target, ok),
            }
        }
        if conditional {
            self.todo.judge.insert(node);
        }
    }

    fn edges_judged(&mut self, node: NodeIx, met: &[Result<bool, Failure>]) -> Result<(), FoldError> {
        self.known(node)?;
        self.todo.judge.remove(&node);
        let (graph, base) = { (self.instance_of(node).graph.clone(), self.instance_of(node).base) };
        let local = NodeIndex::new((node.0 - base) as usize);
        let mut edges: Vec<_> = graph.dag.edges_directed(local, Direction::Outgoing).collect();
        edges.sort_by_key(EdgeRef::id);
        let none_met = !met.contains(&Ok(true));
        let mut verdicts = met.iter();
        for edge in edges {
            let target = NodeIx(base + u32::try_from(edge.target().index()).unwrap_or(u32::MAX));
            match &edge.weight().on {
                On::When(_) => match verdicts.next() {
                    Some(Ok(met)) => self.resolve(target, *met),
                    Some(Err(failure)) => {
                        if self.nodes[target.index()].stand == Stand::Waiting {
                            self.faults.entry(target).or_default().insert(node, Arc::new(failure.clone()));
                            self.look_at_join(target);
                        }
                    }
                    None => return Err(self.contradiction("fewer verdicts than conditions")),
                },
                On::Else => self.resolve(target, none_met),
                On::Ok | On::Failed | On::Done => {}
            }
        }
        Ok(())
    }

    /// One edge into `target` is met, or never will be.
    fn resolve(&mut self, target: NodeIx, met: bool) {
        let state = &mut self.nodes[target.index()];
        if met {
            state.met += 1
        } else {
            state.unmet += 1
        }
        if state.stand == Stand::Waiting {
            self.look_at_join(target);
        }
    }

    /// Whether a waiting node starts, can no longer start, or fails because of a condition. A failing condition counts where the
    /// others are met: a node that is skipped needs none, and which of them is known first is chance.
    fn look_at_join(&mut self, target: NodeIx) {
        let state = &self.nodes[target.index()];
        let (met, unmet, sources) = (state.met, state.unmet, state.sources);
        let (join, short_run) = { (self.node(target).join, self.node(target).short_run) };
        if let Some(faults) = self.faults.get(&target) {
            let all = met as usize + unmet as usize + faults.len() == sources as usize;
            let fails = join != Join::All || (all && (unmet == 0 || short_run));
            if let Some(failure) = faults.values().next().filter(|_| fails) {
                self.todo.faulted.insert(target, failure.clone());
                return;
            }
        }
        let (starts, hopeless) = match join {
            Join::All => (met == sources, unmet > 0),
            Join::Any => (met > 0, unmet == sources),
            Join::Quorum(n) => (met >= n, sources - unmet < n),
        };
        if starts {
            self.make_ready(target);
            if met + unmet < sources && self.node(target).stragglers == Stragglers::Cancel {
                self.cut_stragglers(target);
            }
        } else if hopeless && !short_run {
            self.todo.doomed.insert(target);
        } else if hopeless && met + unmet == sources {
            self.make_ready(target);
        }
    }

    /// Sources of a join that is met are cut off where nobody else waits for them, and so on backwards.
    fn cut_stragglers(&mut self, join: NodeIx) {
        let (graph, base) = { (self.instance_of(join).graph.clone(), self.instance_of(join).base) };
        let ix = |node: NodeIndex| NodeIx(base + u32::try_from(node.index()).unwrap_or(u32::MAX));
        let mut cut: BTreeSet<NodeIndex> = BTreeSet::new();
        let mut look = vec![NodeIndex::new((join.0 - base) as usize)];
        while let Some(target) = look.pop() {
            for source in graph.dag.neighbors_directed(target, Direction::Incoming) {
                if self.nodes[ix(source).index()].stand == Stand::Ended || cut.contains(&source) {
                    continue;
                }
                let wanted = graph.dag.edges_directed(source, Direction::Outgoing).any(|edge| {
                    edge.weight().on != On::Failed && !cut.contains(&edge.target()) && self.awaits_stragglers(ix(edge.target()))
                });
                if !wanted {
                    cut.insert(source);
                    look.push(source);
                }
            }
        }
        self.todo.moot.extend(cut.into_iter().map(ix));
    }

    /// Whether a node still waits for its sources, or has started and lets them finish.
    fn awaits_stragglers(&self, node: NodeIx) -> bool {
        let state = &self.nodes[node.index()];
        match state.stand {
            Stand::Waiting => true,
            Stand::Ready | Stand::Running | Stand::Backoff => self.node(node).stragglers == Stragglers::Leave,
            Stand::Ended => {
                self.node(node).stragglers == Stragglers::Leave && !matches!(state.outcome, Some(Outcome::Skipped(_)))
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

    /// After an outage, an irreversible call whose result is not on the record may or may not have happened.
    fn doubt_irreversible(&mut self) {
        let mut doubts = Vec::new();
        for node in &self.calling {
            if let NodeKind::Tool(tool) = &self.node(*node).kind
                && tool.effect == EffectClass::Irreversible
            {
                let attempt = self.nodes[node.index()].attempt;
                doubts.push(Key { node: *node, attempt, turn: Turn(0), call: None });
            }
        }
        for (node, activation) in &self.activations {
            for (ix, state) in (0..).map(CallIx).zip(activation.calls()) {
                if matches!(state, CallState::InFlight(_)) && activation.effect(ix) == EffectClass::Irreversible {
                    doubts.push(Key { node: *node, attempt: activation.attempt, turn: activation.turn, call: Some(ix) });
                }
            }
        }
        self.todo.doubts.extend(doubts);
    }
}

/// Whether a person's answer allows a call.
fn allows(purpose: &AskFor, outcome: &AskOutcome) -> bool {
    match (purpose, outcome) {
        (AskFor::Permit(..), AskOutcome::Answered { value, .. }) => value.as_str() == Some("allow"),
        (_, AskOutcome::Answered { .. } | AskOutcome::Lapsed | AskOutcome::Moot) => false,
    }
}

/// Whether a person's answer orders a further attempt of a node, or of a call.
fn orders_another(purpose: &AskFor, outcome: &AskOutcome) -> bool {
    let AskOutcome::Answered { value, .. } = outcome else { return false };
    match purpose {
        AskFor::Failure(_) => value.as_str() == Some("retry"),
        AskFor::InDoubt(..) => value.as_str() == Some("not_happened"),
        AskFor::Node | AskFor::Uncertain | AskFor::Settle(_) | AskFor::Permit(..) | AskFor::Escalation(..) => false,
    }
}
