//! What becomes of positions that differ? The `settle` rule says, else they are weighed.

use std::sync::Arc;

use super::{
    Scheduler, grow, rule_failure,
    vote::{OBJECT, RESULT, as_vote, chosen, differ, no_position, protocol_name, stands},
};
use crate::{
    event::{AskFor, Event, Outcome},
    graph::{EscalationPolicy, MAX_DEBATED_TOPICS, NodeKind, Phase, ScopeKind, SettleOver, SettleSpec},
    state::{FoldError, ScopeState, TopicState},
    value::{Decision, Failure, FailureKind, NodeIx, Position, RuleKind, SettleVerdict, Value, Verdict},
};

/// What the `settle` rule says: verdict, value and reason, nothing where there is no rule, or why it failed.
pub(super) type Ruled = Result<Option<(SettleVerdict, Value, Arc<str>)>, Failure>;

impl Scheduler {
    /// Looks at a settle scope: the first topic that is not settled, or the end.
    pub(super) fn settle_topics(&mut self, node: NodeIx, scope: &ScopeState, spec: &SettleSpec) -> Result<(), FoldError> {
        let Some(topic) = scope.topics.first() else {
            let output = self.settled_output(node, scope, spec);
            if spec.over == SettleOver::Result && self.won(node).is_none_or(|decision| decision.positions.is_empty()) {
                let failure = Failure::new(FailureKind::Rule, "nobody voted: no member came to a result");
                return self.close(node, Err(failure));
            }
            return self.end(node, Outcome::Ok(output));
        };
        let positions = self.positions_now(topic);
        if let Some((answer, by)) = topic.answer.clone() {
            let rule: Arc<str> = if answer.is_null() { Arc::from("default") } else { by };
            let outcome = if answer.is_null() { stands(spec, &positions).0 } else { chosen(&positions, &answer) };
            return self.decided(node, topic, positions, outcome, rule, "a person was asked");
        }
        if positions.is_empty() {
            return self.decided(node, topic, positions, no_position(spec), Arc::from("default"), "nobody took a position");
        }
        if !differ(&positions) {
            let outcome = positions[0].value.clone();
            return self.decided(node, topic, positions, outcome, Arc::from("unanimous"), "nobody holds anything else");
        }
        let left = rounds_left(scope, topic, spec);
        let ruled = match self.ask_settle(node, topic, &positions, spec, left)? {
            Ok(ruled) => ruled,
            Err(failure) => return self.close(node, Err(failure)),
        };
        match ruled {
            None => self.settle_by_default(node, topic, positions, spec),
            Some((SettleVerdict::Accept, value, reason)) => {
                let outcome = if value.is_null() { stands(spec, &positions).0 } else { value };
                self.decided(node, topic, positions, outcome, Arc::from("settle"), &reason)
            }
            Some((SettleVerdict::Vote, _, reason)) => {
                let (outcome, clear) = stands(spec, &positions);
                let rule = if clear { protocol_name(spec.protocol) } else { "tie" };
                self.decided(node, topic, positions, outcome, Arc::from(rule), &reason)
            }
            Some((SettleVerdict::Debate, _, reason)) if rounds_left(scope, topic, spec) > 0 => {
                self.debate(node, topic, &positions, spec, &reason)
            }
            Some((SettleVerdict::Coordinator, _, reason)) if may_be_debated(scope) => {
                self.leave_to_coordinator(node, topic, &positions, spec, &reason)
            }
            Some((SettleVerdict::Debate | SettleVerdict::Coordinator, ..)) => {
                self.settle_by_default(node, topic, positions, spec)
            }
            Some((SettleVerdict::Escalate, _, reason)) => self.ask_person(node, topic, &positions, &reason),
        }
    }

    fn ask_settle(
        &mut self,
        node: NodeIx,
        topic: &TopicState,
        positions: &[Position],
        spec: &SettleSpec,
        left: u32,
    ) -> Result<Ruled, FoldError> {
        let round = count(&topic.debates);
        let (over, proposal) = match spec.over {
            SettleOver::Findings | SettleOver::Result => ("findings", Value::Null),
            SettleOver::Votes => ("votes", self.proposal_before(node)),
        };
        let facts = self.settle_facts(node, over, &topic.topic, positions, round, left, proposal, &spec.members);
        self.judge_settle(node, &facts)
    }

    /// What the team's `settle` rule says to these facts.
    pub(super) fn judge_settle(&mut self, node: NodeIx, facts: &Value) -> Result<Ruled, FoldError> {
        let (ix, team) = self.state.team_of(node);
        if !team.rules.iter().any(|r| &**r == "settle") {
            return Ok(Ok(None));
        }
        match self.judge.judge(ix, &RuleKind::Settle, facts) {
            Ok(Some(verdict)) => {
                let parts = match &verdict {
                    Verdict::Settle { verdict, value, reason } => Ok(Some((*verdict, value.clone(), reason.clone()))),
                    Verdict::Route(_)
                    | Verdict::Handoff(_)
                    | Verdict::Escalate { .. }
                    | Verdict::Permit(_)
                    | Verdict::Reconcile(_)
                    | Verdict::Value(_) => Err(Failure::new(FailureKind::Rule, "settle gave another kind of verdict")),
                };
                self.emit(Event::Judged { node, rule: RuleKind::Settle, verdict: Some(Arc::new(verdict)) })?;
                Ok(parts)
            }
            Ok(None) => Ok(Ok(None)),
            Err(error) => Ok(Err(rule_failure(error))),
        }
    }

    /// Without a rule: the vote, and where it gives no clear answer the person of the escalation policy, else the tie rule.
    fn settle_by_default(
        &mut self,
        node: NodeIx,
        topic: &TopicState,
        positions: Vec<Position>,
        spec: &SettleSpec,
    ) -> Result<(), FoldError> {
        let (outcome, clear) = stands(spec, &positions);
        let rejected = spec.over == SettleOver::Votes && outcome.as_str() == Some(OBJECT);
        let last = !rejected || self.is_last_round(node);
        let unsettled = !clear || (rejected && last);
        if unsettled && self.escalates(node, EscalationPolicy::OnDisagreement) {
            return self.ask_person(node, topic, &positions, "the vote gives no clear answer");
        }
        let rule = if clear { protocol_name(spec.protocol) } else { "tie" };
        self.decided(node, topic, positions, outcome, Arc::from(rule), "")
    }

    /// Whether the loop around a scope has no further round.
    fn is_last_round(&self, node: NodeIx) -> bool {
        let instance = self.state.instance_of(node);
        let Some(scope) = instance.scope else { return true };
        match &self.state.node(scope).kind {
            NodeKind::Scope(kind) => match &**kind {
                ScopeKind::Repeat { max, .. } => instance.number >= *max,
                ScopeKind::ForEach { .. }
                | ScopeKind::Group { .. }
                | ScopeKind::Subtasks { .. }
                | ScopeKind::Relay { .. }
                | ScopeKind::Circle { .. }
                | ScopeKind::Settle(_) => true,
            },
            NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) => true,
        }
    }

    fn decided(
        &mut self,
        node: NodeIx,
        topic: &TopicState,
        positions: Vec<Position>,
        outcome: Value,
        rule: Arc<str>,
        reason: &str,
    ) -> Result<(), FoldError> {
        let dissent = positions.iter().filter(|p| p.value != outcome).map(|p| p.agent.clone()).collect();
        let decision = Decision { topic: topic.topic.clone(), outcome, rule, reason: Arc::from(reason), positions, dissent };
        self.emit(Event::Decided { node, decision: Arc::new(decision) })
    }

    fn ask_person(&mut self, node: NodeIx, topic: &TopicState, positions: &[Position], reason: &str) -> Result<(), FoldError> {
        let held: Vec<String> =
            positions.iter().map(|p| format!("{} holds {} ({:.2})", p.agent, p.value, p.confidence)).collect();
        let question = format!("{} is not settled ({reason}): {}. What stands?", topic.topic, held.join("; "));
        let mut options: Vec<Arc<str>> = Vec::new();
        for position in positions {
            let text: Arc<str> = Arc::from(position.value.to_string());
            if !options.contains(&text) {
                options.push(text);
            }
        }
        let reason: Arc<str> = Arc::from(reason);
        let cause = Some(EscalationPolicy::OnDisagreement);
        self.emit(Event::Escalated { node, from: None, cause, reason, to: crate::value::EscalateTo::Person })?;
        self.ask(node, AskFor::Settle(0), Arc::from(question), options)
    }

    /// One more look at a topic by those who hold a position on it.
    fn debate(
        &mut self,
        node: NodeIx,
        topic: &TopicState,
        positions: &[Position],
        spec: &SettleSpec,
        reason: &str,
    ) -> Result<(), FoldError> {
        let (team_ix, team) = self.state.team_of(node);
        let held: Vec<String> =
            positions.iter().map(|p| format!("{} holds {} ({:.2}): {}", p.agent, p.value, p.confidence, p.reason)).collect();
        let brief: Arc<str> = Arc::from(format!(
            "The team disagrees on {}: {}. {reason} Look again, and finish with value, confidence and reason.",
            topic.topic,
            held.join("; ")
        ));
        let mut dag = petgraph::graph::DiGraph::new();
        for position in positions {
            if let Some(member) = team.agent(&position.agent) {
                let seat = grow::seat(&spec.like, member, team_ix, brief.clone(), Phase::Debate);
                for node in seat.dag.node_weights() {
                    dag.add_node(node.clone());
                }
            }
        }
        let rank = vec![1; dag.node_count()];
        let graph = crate::graph::Graph { dag, output: None, team: team_ix, single: false, concurrency: None, rank };
        let path = format!("debate_{}", self.state.scopes.get(&node).map_or(0, |s| s.instances.len()) + 1);
        self.grow_made(node, &path, graph)
    }

    /// The coordinator looks at the positions and decides.
    fn leave_to_coordinator(
        &mut self,
        node: NodeIx,
        topic: &TopicState,
        positions: &[Position],
        spec: &SettleSpec,
        reason: &str,
    ) -> Result<(), FoldError> {
        let (team_ix, team) = self.state.team_of(node);
        let asked = topic.debates.iter().find_map(|ix| {
            let base = NodeIx(self.state.instances[*ix as usize].base);
            (self.state.role_of(base) == team.coordinator.as_ref().map(|c| &c.role)).then_some(base)
        });
        match (asked, &team.coordinator) {
            (Some(seat), _) => {
                let said = self.state.output(seat);
                let outcome = said.get("value").cloned().unwrap_or_else(|| stands(spec, positions).0);
                self.decided(node, topic, positions.to_vec(), outcome, Arc::from("coordinator"), reason)
            }
            (None, Some(coordinator)) => {
                let held: Vec<String> = positions.iter().map(|p| format!("{} holds {}", p.agent, p.value)).collect();
                let brief = format!("Decide on {}: {}. Finish with value and reason.", topic.topic, held.join("; "));
                let graph = grow::seat(&spec.like, coordinator, team_ix, Arc::from(brief), Phase::Debate);
                let path = format!("coordinator_{}", self.state.scopes.get(&node).map_or(0, |s| s.instances.len()) + 1);
                self.grow_made(node, &path, graph)
            }
            (None, None) => self.settle_by_default(node, topic, positions.to_vec(), spec),
        }
    }

    /// What was decided on the result of a team that votes.
    fn won(&self, node: NodeIx) -> Option<&Decision> {
        let decisions = self.state.context.decisions.iter().filter(|s| s.node == node);
        decisions.map(|s| &*s.decision).find(|decision| &*decision.topic == RESULT)
    }

    fn settled_output(&self, node: NodeIx, scope: &ScopeState, spec: &SettleSpec) -> Value {
        if spec.over == SettleOver::Result {
            return self.won(node).map_or(Value::Null, |decision| decision.outcome.clone());
        }
        let decisions: Vec<&Arc<Decision>> =
            self.state.context.decisions.iter().filter(|s| s.node == node).map(|s| &s.decision).collect();
        if spec.over == SettleOver::Findings {
            let decisions = decisions.iter().map(|d| Value::of(&***d).unwrap_or_default());
            return Value::map([("accepted", Value::Bool(true)), ("decisions", Value::list(decisions))]);
        }
        let accepted = decisions.first().is_none_or(|d| d.outcome.as_str() != Some(OBJECT));
        let first = scope.bound.as_list().and_then(<[Value]>::first);
        let votes = first.and_then(|topic| topic.get("positions")).cloned().unwrap_or_default();
        let votes = Value::list(votes.as_list().unwrap_or_default().iter().map(as_vote));
        let objections =
            votes.as_list().unwrap_or_default().iter().filter(|v| v.get("vote").and_then(Value::as_str) == Some(OBJECT));
        let objections = Value::list(objections.cloned());
        let proposal = self.proposal_before(node);
        let value = match &proposal {
            Value::Map(map) => {
                let mut map = (**map).clone();
                map.insert("validation".to_owned(), votes.clone());
                Value::Map(Arc::new(map))
            }
            other => Value::map([("result", other.clone()), ("validation", votes.clone())]),
        };
        Value::map([("accepted", Value::Bool(accepted)), ("votes", votes), ("objections", objections), ("value", value)])
    }
}

fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

/// Whether seats may be grown for the first open topic of a scope: topics are what agents say, so that their number alone would
/// be no bound.
fn may_be_debated(scope: &ScopeState) -> bool {
    let all = scope.bound.as_list().map_or(0, count);
    all.saturating_sub(count(&scope.topics)) < MAX_DEBATED_TOPICS
}

/// Rounds of debate that the first open topic may still have.
fn rounds_left(scope: &ScopeState, topic: &TopicState, spec: &SettleSpec) -> u32 {
    if may_be_debated(scope) { spec.max_debate_rounds.saturating_sub(count(&topic.debates)) } else { 0 }
}
