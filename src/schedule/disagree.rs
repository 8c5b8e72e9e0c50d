//! What becomes of positions that differ? The `settle` rule says, else they are weighed.

use std::sync::Arc;

use super::{
    Scheduler, grow, rule_failure,
    vote::{OBJECT, RESULT, agreed, as_vote, chosen, held, no_position, protocol_name, stands, supports},
};
use crate::{
    event::{AskFor, Event, Outcome},
    graph::{EscalationPolicy, MAX_DEBATED_TOPICS, NodeKind, Phase, ScopeKind, SettleOver, SettleSpec},
    state::{FoldError, ScopeState, TopicState},
    value::{Decision, EscalateTo, Failure, FailureKind, NodeIx, Position, Role, RuleKind, SettleVerdict, Value, Verdict},
};

/// What the `settle` rule says: verdict, value and reason, nothing where there is no rule, or why it failed.
pub(super) type Ruled = Result<Option<(SettleVerdict, Value, Arc<str>)>, Failure>;

/// A topic that is not settled, and who holds what by now.
struct Case<'a> {
    node: NodeIx,
    spec: &'a SettleSpec,
    topic: &'a TopicState,
    positions: Vec<Position>,
    abstained: Vec<Role>,
    /// Rounds of debate that it may still have.
    left: u32,
}

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
        let (positions, abstained) = self.positions_now(node, topic, spec);
        let case = Case { node, spec, topic, positions, abstained, left: rounds_left(scope, topic, spec) };
        if let Some((answer, by)) = &topic.answer {
            let rule = if answer.is_null() { "default" } else { by };
            let outcome = if answer.is_null() { case.stands().0 } else { chosen(spec.protocol, &case.positions, answer) };
            return self.decided(case, outcome, rule, "a person was asked");
        }
        if case.positions.is_empty() {
            return self.decided(case, no_position(spec), "default", "nobody took a position");
        }
        if let Some(outcome) = agreed(spec.protocol, &case.positions).cloned() {
            return self.decided(case, outcome, "unanimous", "nobody holds anything else");
        }
        let ruled = match self.ask_settle(&case)? {
            Ok(ruled) => ruled,
            Err(failure) => return self.close(node, Err(failure)),
        };
        match ruled {
            None => self.settle_by_default(case),
            Some((SettleVerdict::Accept, value, reason)) => {
                let outcome = if value.is_null() { case.stands().0 } else { value };
                self.decided(case, outcome, "settle", &reason)
            }
            Some((SettleVerdict::Vote, _, reason)) => self.decide_by_vote(case, &reason),
            Some((SettleVerdict::Debate, _, reason)) if case.left > 0 => self.debate(&case, &reason),
            Some((SettleVerdict::Coordinator, _, reason)) if may_be_debated(scope) => self.leave_to_coordinator(case, &reason),
            Some((SettleVerdict::Debate | SettleVerdict::Coordinator, ..)) => self.settle_by_default(case),
            Some((SettleVerdict::Escalate, _, reason)) => self.ask_person(&case, &reason),
        }
    }

    fn ask_settle(&mut self, case: &Case<'_>) -> Result<Ruled, FoldError> {
        let (node, spec) = (case.node, case.spec);
        let round = count(&case.topic.debates);
        let (over, proposal) = match spec.over {
            SettleOver::Findings | SettleOver::Result => ("findings", Value::Null),
            SettleOver::Votes => ("votes", self.proposal_before(node)),
        };
        let held = (&case.positions[..], &case.abstained[..]);
        let facts = self.settle_facts(node, over, &case.topic.topic, held, round, case.left, proposal, &spec.members);
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

    /// Without a rule: the vote, without a debate, so that no plan has to reckon with one. Where it gives no clear answer the
    /// escalation policy applies, else the tie rule.
    fn settle_by_default(&mut self, case: Case<'_>) -> Result<(), FoldError> {
        let (outcome, clear) = case.stands();
        let rejected = case.spec.over == SettleOver::Votes && outcome.as_str() == Some(OBJECT);
        let last = !rejected || self.is_last_round(case.node);
        let unsettled = !clear || (rejected && last);
        if unsettled && self.escalates(case.node, EscalationPolicy::OnDisagreement) {
            return self.escalate_disagreement(case, "the vote gives no clear answer");
        }
        self.decide_by_vote(case, "")
    }

    fn decide_by_vote(&mut self, case: Case<'_>, reason: &str) -> Result<(), FoldError> {
        let (outcome, clear) = case.stands();
        let rule = if clear { protocol_name(case.spec.protocol) } else { "tie" };
        self.decided(case, outcome, rule, reason)
    }

    /// What a vote leaves open reaches a person, or whom the `escalate` rule names: the coordinator decides, or the vote stands.
    fn escalate_disagreement(&mut self, case: Case<'_>, reason: &str) -> Result<(), FoldError> {
        let node = case.node;
        if self.coordinator_sat(&case).is_some() {
            return self.leave_to_coordinator(case, reason);
        }
        if !self.state.team_of(node).1.rules.iter().any(|rule| &**rule == "escalate") {
            return self.ask_person(&case, reason);
        }
        let question: Arc<str> = Arc::from(case.question(reason));
        let cause = Some(EscalationPolicy::OnDisagreement);
        let held = Value::of(&case.positions).unwrap_or_default();
        let (to, question, options) = match self.judge_escalation(node, cause, &question, &held, None, None)? {
            Ok(escalation) => escalation,
            Err(failure) => return self.close(node, Err(failure)),
        };
        let may_sit = self.state.scopes.get(&node).is_some_and(may_be_debated);
        self.emit(Event::Escalated { node, from: None, cause, reason: Arc::from(reason), to })?;
        match to {
            EscalateTo::Person => {
                let options = if options.is_empty() { case.options() } else { options };
                self.ask(node, AskFor::Settle(0), question, options)
            }
            EscalateTo::Coordinator if may_sit && self.state.team_of(node).1.coordinator.is_some() => {
                self.leave_to_coordinator(case, reason)
            }
            EscalateTo::Coordinator | EscalateTo::None => self.decide_by_vote(case, reason),
        }
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

    fn decided(&mut self, case: Case<'_>, outcome: Value, rule: &str, reason: &str) -> Result<(), FoldError> {
        let Case { node, spec, topic, positions, abstained, .. } = case;
        let against = positions.iter().filter(|p| !supports(spec.protocol, &p.value, &outcome));
        let decision = Decision {
            topic: topic.topic.clone(),
            rule: Arc::from(rule),
            protocol: Arc::from(spec.protocol.name()),
            reason: Arc::from(reason),
            dissent: against.map(|p| p.agent.clone()).collect(),
            outcome,
            positions,
            abstained,
        };
        self.emit(Event::Decided { node, decision: Arc::new(decision) })
    }

    fn ask_person(&mut self, case: &Case<'_>, reason: &str) -> Result<(), FoldError> {
        let question = Arc::from(case.question(reason));
        let (node, reason) = (case.node, Arc::from(reason));
        let cause = Some(EscalationPolicy::OnDisagreement);
        self.emit(Event::Escalated { node, from: None, cause, reason, to: EscalateTo::Person })?;
        self.ask(node, AskFor::Settle(0), question, case.options())
    }

    /// One more look at a topic by those who hold a position on it.
    fn debate(&mut self, case: &Case<'_>, reason: &str) -> Result<(), FoldError> {
        let (team_ix, team) = self.state.team_of(case.node);
        let brief: Arc<str> = Arc::from(format!(
            "The team disagrees on {}: {}. {reason} Look again, and finish with value, confidence and reason.",
            case.topic.topic,
            case.held(|position| format!(": {}", position.reason))
        ));
        let mut dag = petgraph::graph::DiGraph::new();
        for position in &case.positions {
            if let Some(member) = team.agent(&position.agent) {
                let seat = grow::seat(&case.spec.like, member, team_ix, brief.clone(), Phase::Debate);
                for node in seat.dag.node_weights() {
                    dag.add_node(node.clone());
                }
            }
        }
        let rank = vec![1; dag.node_count()];
        let graph = crate::graph::Graph { dag, output: None, team: team_ix, single: false, concurrency: None, rank };
        let path = format!("debate_{}", self.state.scopes.get(&case.node).map_or(0, |s| s.instances.len()) + 1);
        self.grow_made(case.node, &path, graph)
    }

    /// Where the coordinator has looked at a topic.
    fn coordinator_sat(&self, case: &Case<'_>) -> Option<NodeIx> {
        let coordinator = &self.state.team_of(case.node).1.coordinator.as_ref()?.role;
        let mut seats = case.topic.debates.iter().map(|ix| NodeIx(self.state.instances[*ix as usize].base));
        seats.find(|seat| self.state.role_of(*seat) == Some(coordinator))
    }

    /// The coordinator looks at the positions and decides.
    fn leave_to_coordinator(&mut self, case: Case<'_>, reason: &str) -> Result<(), FoldError> {
        let (team_ix, team) = self.state.team_of(case.node);
        match (self.coordinator_sat(&case), &team.coordinator) {
            (Some(seat), _) => {
                let said = self.state.output(seat);
                let outcome = said.get("value").cloned().unwrap_or_else(|| case.stands().0);
                self.decided(case, outcome, "coordinator", reason)
            }
            (None, Some(coordinator)) => {
                let held: Vec<String> = case.positions.iter().map(|p| format!("{} holds {}", p.agent, p.value)).collect();
                let brief = format!("Decide on {}: {}. Finish with value and reason.", case.topic.topic, held.join("; "));
                let graph = grow::seat(&case.spec.like, coordinator, team_ix, Arc::from(brief), Phase::Debate);
                let path = format!("coordinator_{}", self.state.scopes.get(&case.node).map_or(0, |s| s.instances.len()) + 1);
                self.grow_made(case.node, &path, graph)
            }
            (None, None) => self.settle_by_default(case),
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
        let abstained = first.and_then(|topic| topic.get("abstained")).cloned().unwrap_or_default();
        Value::map([
            ("accepted", Value::Bool(accepted)),
            ("votes", votes),
            ("objections", objections),
            ("abstained", abstained),
            ("value", value),
        ])
    }
}

fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

impl Case<'_> {
    /// What stands by the vote, and whether that is clear.
    fn stands(&self) -> (Value, bool) {
        stands(self.spec, &self.positions)
    }

    /// What a person is asked.
    fn question(&self, reason: &str) -> String {
        format!("{} is not settled ({reason}): {}. What stands?", self.topic.topic, self.held(|_| String::new()))
    }

    /// The values that somebody holds.
    fn options(&self) -> Vec<Arc<str>> {
        let mut options: Vec<Arc<str>> = Vec::new();
        for value in self.positions.iter().flat_map(|p| held(self.spec.protocol, &p.value)) {
            let text: Arc<str> = Arc::from(value.to_string());
            if !options.contains(&text) {
                options.push(text);
            }
        }
        options
    }

    /// Who holds what, in words, with something more about each.
    fn held(&self, more: impl Fn(&Position) -> String) -> String {
        let each = |p: &Position| format!("{} holds {} ({:.2}){}", p.agent, p.value, p.confidence, more(p));
        self.positions.iter().map(each).collect::<Vec<_>>().join("; ")
    }
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
