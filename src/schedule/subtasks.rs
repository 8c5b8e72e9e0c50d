//! How are sub-tasks done? Round by round: what did not succeed is divided anew, as far as the plan allows.
//!
//! The sub-tasks of the first round hang below their scope itself (`work/ID`). Where something of a round did not succeed, the
//! coordinator divides what is left (`work/2`), or the `route` rule does, and the sub-tasks of the second round hang below that
//! (`work/2/ID`). What is done stays done. Rounds that bring nothing, and plans that give again what failed, end this
//! ([`crate::turn::fruitless`]).

use std::sync::Arc;

use super::{Scheduler, grow, rule_failure};
use crate::{
    event::{AskFor, AskOutcome, Event, Outcome},
    graph::{Detector, Divider, Node, Phase, Replan, ScopeKind},
    state::{FoldError, Progress},
    turn::{Given, fruitless, repeated},
    value::{EscalateTo, Failure, FailureKind, NodeIx, RuleKind, Subtask, Value, Verdict},
};

/// The answers that a person may give where rounds of delegation bring nothing.
const GO_ON: &str = "go_on";
const FAIL: &str = "fail";

impl Scheduler {
    /// Looks at an open scope of sub-tasks.
    pub(super) fn subtasks(&mut self, node: NodeIx, kind: &ScopeKind) -> Result<(), FoldError> {
        let ScopeKind::Subtasks { quorum, replan, .. } = kind else { return Err(self.idle(node)) };
        let Some(scope) = self.state.scopes.get(&node) else { return Err(self.idle(node)) };
        let Some(last) = scope.instances.last().copied() else {
            return match tasks_of(&scope.bound) {
                Ok(tasks) => self.hand_out(node, kind, tasks),
                Err(failure) => self.attempt_failed(node, Arc::new(failure)),
            };
        };
        let enough = quorum.is_some_and(|q| scope.succeeded >= q);
        let expired = self.expired(node);
        if scope.open > 0 && !enough && expired.is_none() {
            return Err(self.idle(node));
        }
        if let Some(least) = expired.filter(|_| !enough) {
            return self.close_subtasks_so_far(node, least);
        }
        if enough {
            return self.close_subtasks(node);
        }
        if let Some(seat) = self.state.divides(last) {
            let tasks = tasks_of(&self.state.output(seat)).unwrap_or_default();
            return if tasks.is_empty() { self.close_subtasks(node) } else { self.hand_out(node, kind, tasks) };
        }
        if self.next_round(node, kind, *replan, last)? { Ok(()) } else { self.close_subtasks(node) }
    }

    /// Begins a round.
    fn hand_out(&mut self, node: NodeIx, kind: &ScopeKind, tasks: Vec<Subtask>) -> Result<(), FoldError> {
        let ScopeKind::Subtasks { like, one_by_one, check, .. } = kind else { return Err(self.idle(node)) };
        let (ix, team) = self.state.team_of(node);
        let made = grow::subtasks(&grow::Handout { like, ix, team, one_by_one: *one_by_one, check: check.as_ref() }, tasks);
        let round = self.state.rounds(node).len() + 1;
        match made {
            Ok(graph) => self.grow_made(node, &if round == 1 { String::new() } else { round.to_string() }, graph),
            Err(failure) => self.attempt_failed(node, Arc::new(failure)),
        }
    }

    /// Ends a scope of sub-tasks with what is done.
    fn close_subtasks(&mut self, node: NodeIx) -> Result<(), FoldError> {
        let done = self.state.done_in(node);
        let rounds = self.state.rounds(node);
        let uncaught = rounds.iter().find_map(|round| self.state.instances[*round as usize].failed);
        let failed = self.state.latest_in(node).into_iter().find_map(|task| match self.state.progress(task) {
            Progress::Failed(failure) => Some(Failure { node: Some(self.state.path(task)), ..(*failure).clone() }),
            Progress::Open | Progress::Done | Progress::Left => None,
        });
        let outcome = match (uncaught, failed) {
            (Some(child), _) => Err(self.child_failure(child)),
            (None, Some(failure)) if done.is_empty() => Err(failure),
            (None, _) => Ok(Value::map(done.into_iter().map(|(id, task)| (id.to_string(), self.state.output(task))))),
        };
        self.close(node, outcome)
    }

    /// The deadline has passed, whichever round it is: what is done goes on, if it is enough.
    fn close_subtasks_so_far(&mut self, node: NodeIx, least: u32) -> Result<(), FoldError> {
        let done = self.state.done_in(node).len();
        if done >= least as usize {
            return self.close_subtasks(node);
        }
        self.close(node, Err(self.too_few(node, done, least)))
    }

    /// Whether something comes of what did not succeed in a round: somebody divides it anew, or is asked what to do.
    fn next_round(&mut self, node: NodeIx, kind: &ScopeKind, replan: Option<Replan>, last: u32) -> Result<bool, FoldError> {
        let Some(replan) = replan else { return Ok(false) };
        let (state, (_, team)) = (&self.state, self.state.team_of(node));
        let open = state.tasks_in(last).into_iter().any(|task| state.progress(task) != Progress::Done);
        let ends = state.winding_down().is_some() || state.budget.short.is_some();
        if !open || ends || team.fail_fast || state.instances[last as usize].failed.is_some() {
            return Ok(false);
        }
        let watch = team.detect.as_ref().and_then(|detect| detect.get(Detector::LoopingLedger)).copied();
        let fruitless =
            watch.and_then(|watch| fruitless(&watch, &state.news_of_rounds(node)).map(|(run, what)| (run > watch.times, what)));
        if let Some((true, what)) = &fruitless {
            return self.loops(node, what);
        }
        if state.rounds_left(node) == 0 {
            return Ok(false);
        }
        match replan.by {
            Divider::Coordinator => self.divide_anew(node, kind),
            Divider::Rule => self.route_anew(node, kind, fruitless.map(|(_, what)| what)),
        }
    }

    /// Lets the coordinator divide what is left.
    fn divide_anew(&mut self, node: NodeIx, kind: &ScopeKind) -> Result<bool, FoldError> {
        let ScopeKind::Subtasks { like, .. } = kind else { return Ok(false) };
        let (ix, team) = self.state.team_of(node);
        let Some(leader) = team.coordinator.as_ref() else { return Ok(false) };
        let left: Vec<String> = self.state.latest_in(node).into_iter().filter_map(|task| self.left(task)).collect();
        let rounds_left = self.state.rounds_left(node);
        let brief = format!(
            "{}\n\nOf the sub-tasks into which you divided this, some did not succeed:\n{}\nDivide what is left anew: give it to \
             somebody else, say it otherwise, or take another way; what is done is kept. Rounds left, this one included: \
             {rounds_left}. An empty list goes on with what there is.",
            self.state.task_at(node),
            left.join("\n")
        );
        let mut graph = grow::seat(like, leader, ix, Arc::from(brief), Phase::Delegate);
        for seat in graph.dag.node_weights_mut() {
            seat.caught = true;
        }
        let round = self.state.rounds(node).len() + 1;
        self.grow_made(node, &round.to_string(), graph)?;
        Ok(true)
    }

    /// A sub-task that did not succeed, as a line.
    fn left(&self, task: NodeIx) -> Option<String> {
        let why = match self.state.progress(task) {
            Progress::Done | Progress::Open => return None,
            Progress::Failed(failure) => failure.to_string(),
            Progress::Left => "it did not run".to_owned(),
        };
        let node = self.state.node(task);
        let agent = node.role().map_or("nobody", |role| role.as_str());
        Some(format!("- {} ({agent}): {why}", node.id))
    }

    /// Lets the `route` rule divide what is left. A plan that gives again what failed is told to it once.
    fn route_anew(&mut self, node: NodeIx, kind: &ScopeKind, fruitless: Option<String>) -> Result<bool, FoldError> {
        let mut stall = fruitless;
        let mut again = 0;
        loop {
            let facts = self.route_facts(node, Value::Null, stall.as_deref());
            let ix = self.state.team_of(node).0;
            let tasks = match self.judge.judge(ix, &RuleKind::Route, &facts) {
                Ok(Some(verdict)) => {
                    let tasks = if let Verdict::Route(tasks) = &verdict { tasks.clone() } else { Vec::new() };
                    self.emit(Event::Judged { node, rule: RuleKind::Route, verdict: Some(Arc::new(verdict)) })?;
                    tasks
                }
                Ok(None) => return Ok(false),
                Err(error) => {
                    self.attempt_failed(node, Arc::new(rule_failure(error)))?;
                    return Ok(true);
                }
            };
            if tasks.is_empty() {
                return Ok(false);
            }
            match self.given_again(node, &tasks) {
                Some((true, what)) if again > 0 => return self.loops(node, &what),
                Some((_, what)) if again == 0 => stall = Some(what),
                Some(_) | None => {
                    self.hand_out(node, kind, tasks)?;
                    return Ok(true);
                }
            }
            again += 1;
        }
    }

    /// Whether a plan gives again what has failed: whether it gives nothing else, and in which words that is told.
    pub(super) fn given_again(&self, scope: NodeIx, plan: &[Subtask]) -> Option<(bool, String)> {
        let state = &self.state;
        let watch = state.team_of(scope).1.detect.as_ref()?.get(Detector::LoopingLedger)?;
        let tasks = state.rounds(scope).into_iter().flat_map(|round| state.tasks_in(round));
        let failed = tasks.filter(|task| matches!(state.progress(*task), Progress::Failed(_)));
        let failed = failed.map(|task| state.node(task));
        let failed: Vec<Given<'_>> = failed.filter_map(|node| Some(Given { agent: node.role()?, task: node.brief()? })).collect();
        let plan: Vec<Given<'_>> = plan.iter().map(|task| Given { agent: &task.agent, task: &task.task }).collect();
        repeated(watch, &failed, &plan).map(|again| (again.all, again.what))
    }

    /// The rounds of a scope go round in circles: no further one begins. Whether a person is asked.
    fn loops(&mut self, scope: NodeIx, what: &str) -> Result<bool, FoldError> {
        let policy = self.stall_policy(scope);
        if !self.escalates(scope, policy) {
            return Ok(false);
        }
        let why = format!("{}: {what}, and whoever divides the work had been told", Detector::LoopingLedger.name());
        let failure = Arc::new(Failure::new(FailureKind::Stalled, why));
        // It is the coordinator who is stuck, if it divides.
        let instances = self.state.scopes.get(&scope).map(|state| state.instances.clone()).unwrap_or_default();
        let node = instances.into_iter().rev().find_map(|ix| self.state.divides(ix)).unwrap_or(scope);
        let reason: Arc<str> = Arc::from(failure.to_string());
        let Ok((to, question, _)) = self.judge_escalation(node, Some(policy), &reason, &Value::Null, None, Some(&failure))?
        else {
            return Ok(false);
        };
        let from = self.state.role_of(node).cloned();
        self.emit(Event::Escalated { node, from, cause: Some(policy), reason, to })?;
        if to != EscalateTo::Person {
            return Ok(false);
        }
        self.ask(scope, AskFor::Failure(failure), question, vec![Arc::from(GO_ON), Arc::from(FAIL)])?;
        Ok(true)
    }

    /// A person's word on rounds of delegation that bring nothing; nobody's lets the team go on with what there is.
    pub(super) fn heard_of_rounds(
        &mut self,
        scope: NodeIx,
        failure: &Arc<Failure>,
        outcome: &AskOutcome,
    ) -> Result<(), FoldError> {
        match outcome {
            AskOutcome::Answered { value, .. } if value.as_str() == Some(FAIL) => {
                self.end(scope, Outcome::Failed(failure.clone()))
            }
            AskOutcome::Answered { .. } | AskOutcome::Lapsed | AskOutcome::Moot => self.close_subtasks(scope),
        }
    }

    /// Sub-tasks that an agent gave to colleagues have ended.
    pub(super) fn delegated_below(&self, instance: u32) -> Value {
        let tasks = self.state.tasks_in(instance);
        let name = |task: NodeIx| self.state.node(task).id.to_string();
        let done = tasks.iter().filter(|task| self.state.progress(**task) == Progress::Done);
        let results = Value::map(done.map(|task| (name(*task), self.state.output(*task))));
        let failed = tasks.iter().filter_map(|task| match self.state.progress(*task) {
            Progress::Done => None,
            Progress::Failed(failure) => Some((name(*task), Value::text(failure.to_string()))),
            Progress::Open | Progress::Left => Some((name(*task), Value::text("it did not run"))),
        });
        Value::map([("results", results), ("failed", Value::map(failed))])
    }

    /// How the activations are timed that grow below a call of an agent: as it is itself.
    pub(super) fn plain_seat(&self, node: NodeIx) -> Node {
        Node { timeout: self.state.node(node).timeout, ..grow::plain() }
    }
}

fn tasks_of(value: &Value) -> Result<Vec<Subtask>, Failure> {
    let wrong = |e| Failure::new(FailureKind::Rule, format!("the delegation is no list of sub-tasks: {e}"));
    value.to::<Vec<Subtask>>().map_err(wrong)
}
