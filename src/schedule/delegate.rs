//! How does an agent divide a task? By `delegate`, or by a finish of the same shape; the engine says what may be given to whom.
//!
//! The coordinator divides the team's task, and what is left of it after a round; a division that cannot be used is sent back once
//! with the reason, then every member works on the whole task from its own angle (of what is left, nobody does). With
//! `max_depth` above 1 whoever has a sub-task may divide it once in turn, among colleagues who are not above it in its chain: these
//! parts grow below its call, whose result they are.

use std::sync::Arc;

use super::{Scheduler, grow};
use crate::{
    event::{Delegated, Event, Grown, GrownFrom, Outcome},
    graph::{Detector, Phase, REPAIRS},
    state::FoldError,
    turn::proposed,
    value::{AgentFacts, CallIx, Division, Entry, Failure, FailureKind, NodeIx, Role, Subtask, Value},
};

/// How a division is written by agents.
const SHAPE: &str = "a list of { id, agent (or skills, and tools where some are needed), task, done_when (optional), depends_on: [id] (optional) }";

/// What the parts that an agent gives to colleagues are called below it. It does so once.
const PARTS: &str = "sub";

impl Scheduler {
    /// The coordinator has divided the task, or what is left of it.
    pub(super) fn divide(&mut self, node: NodeIx, said: &Value) -> Result<(), FoldError> {
        let anew = self.state.divides_anew(node);
        let done: Vec<Arc<str>> = anew.map(|scope| self.state.done_in(scope).into_keys().collect()).unwrap_or_default();
        let tasks = match self.division(node, &self.able(node, &[]), &done, said) {
            Ok(tasks) if tasks.is_empty() && anew.is_none() => Err("there is no sub-task in it".to_owned()),
            other => other,
        };
        let tasks = match tasks {
            Ok(tasks) => tasks,
            Err(why) => return self.cannot_divide(node, &why),
        };
        if let Some(scope) = anew
            && let Some((all, what)) = self.given_again(scope, &tasks)
        {
            if !self.was_told_of_its_plan(node) && self.turns_left(node) > 0 {
                let (detector, name) = (Detector::LoopingLedger, Detector::LoopingLedger.name());
                let note = format!(
                    "{name}: {what}. Give it to somebody else, say it otherwise or take another way, or finish with an empty list; if \
                     you give the same again, you are stopped"
                );
                return self.emit(Event::Noted { node, detector: Some(detector), note: note.into() });
            }
            if all {
                let why = format!("{}: {what}, and it went on after it was told", Detector::LoopingLedger.name());
                return self.stalled(node, &Arc::from(why));
            }
        }
        self.delegated(node, tasks, None)
    }

    /// Whether an agent was told that its plan gives again what failed.
    fn was_told_of_its_plan(&self, node: NodeIx) -> bool {
        self.state.activations.get(&node).is_some_and(|activation| {
            let told = activation.told.get(&Detector::LoopingLedger).copied().unwrap_or(0);
            activation.thread.iter().take(told).any(|entry| matches!(entry, Entry::Reply(_)))
        })
    }

    /// A division cannot be used: it is sent back once.
    fn cannot_divide(&mut self, node: NodeIx, why: &str) -> Result<(), FoldError> {
        let repairs = self.state.activations.get(&node).map_or(0, |a| a.repairs);
        if repairs < REPAIRS && self.turns_left(node) > 0 {
            let note = Arc::from(format!("the delegation cannot be used: {why}. Give all of it again, corrected"));
            return self.emit(Event::Noted { node, detector: None, note });
        }
        self.fall_back(node, why)
    }

    /// Whether an agent that divides the task has come to nothing that could be used.
    pub(super) fn falls_back(&self, node: NodeIx, failure: &Failure) -> bool {
        let unusable = matches!(failure.kind, FailureKind::Limit | FailureKind::Schema);
        unusable && self.phase(node) == Phase::Delegate && self.state.winding_down().is_none()
    }

    /// Every member works on the whole task; of what is left after a round nobody does.
    pub(super) fn fall_back(&mut self, node: NodeIx, why: &str) -> Result<(), FoldError> {
        let tasks = if self.state.divides_anew(node).is_some() { Vec::new() } else { self.everybody(node, &self.roles(node)) };
        self.delegated(node, tasks, Some(Arc::from(why)))
    }

    fn delegated(&mut self, node: NodeIx, subtasks: Vec<Subtask>, fallback: Option<Arc<str>>) -> Result<(), FoldError> {
        let output = Value::of(&subtasks).unwrap_or_default();
        self.emit(Event::Delegated(Box::new(Delegated { node, subtasks, fallback })))?;
        self.end(node, Outcome::Ok(output))
    }

    /// The whole task of a node's team for each of these.
    pub(super) fn everybody(&self, node: NodeIx, roles: &[Role]) -> Vec<Subtask> {
        let task = |role: &Role| Subtask {
            id: role.0.clone(),
            agent: role.clone(),
            task: self.state.task_at(node).clone(),
            done_when: None,
            depends_on: Vec::new(),
            skills: Vec::new(),
            tools: Vec::new(),
            scores: Vec::new(),
        };
        roles.iter().map(task).collect()
    }

    /// The members of a team with their tools, those apart who may not be given anything.
    pub(super) fn able(&self, node: NodeIx, apart: &[Role]) -> Vec<AgentFacts> {
        let members = self.state.team_of(node).1.members.iter().filter(|member| !apart.contains(&member.role));
        let tools =
            |member: &crate::graph::Member| self.tools.allowed(&member.profile).iter().map(|tool| tool.name.clone()).collect();
        members.map(|member| AgentFacts { tools: tools(member), ..member.facts() }).collect()
    }

    fn division(&self, node: NodeIx, agents: &[AgentFacts], done: &[Arc<str>], said: &Value) -> Result<Vec<Subtask>, String> {
        let max = Some(self.state.team_of(node).1.max_tasks);
        let division = Division { agents, max, done, noun: "delegation", shape: SHAPE };
        division.read(&proposed(said)).map_err(|unfit| unfit.message().to_owned())
    }

    /// Whom an agent may give parts of its own work to; why it may not, where it may not.
    pub(super) fn may_delegate(&self, node: NodeIx) -> Result<Vec<Role>, String> {
        let team = self.state.team_of(node).1;
        let levels = |most: u32| format!("{most} level{}", if most == 1 { "" } else { "s" });
        let Some(chain) = self.state.chain(node).filter(|_| self.phase(node) == Phase::Work) else {
            return Err("only the coordinator and those who have a sub-task delegate: do it yourself".to_owned());
        };
        if chain.len() >= team.max_depth as usize {
            return Err(format!("the team delegates over {} at most (`max_depth`): do it yourself", levels(team.max_depth)));
        }
        Ok(chain.iter().filter_map(|above| self.state.role_of(*above).cloned()).collect())
    }

    /// An agent at work gives parts of it to colleagues, and waits for what they come to.
    pub(super) fn delegate_parts(&mut self, node: NodeIx, ix: CallIx, said: &Value) -> Result<(), FoldError> {
        let chain = match self.may_delegate(node) {
            Ok(chain) => chain,
            Err(why) => return self.refuse(node, ix, FailureKind::Denied, why),
        };
        if self.state.delegated.contains_key(&node) {
            let why = "you have delegated once, and nobody does so twice for one sub-task: go on with what came of it";
            return self.refuse(node, ix, FailureKind::Limit, why);
        }
        let said = proposed(said);
        let given = said.as_list().unwrap_or_default().iter().filter_map(|task| task.get("agent").and_then(Value::as_str));
        if let Some(above) = given.into_iter().find(|agent| chain.iter().any(|role| role.as_str() == *agent)) {
            let way: Vec<&str> = chain.iter().rev().map(Role::as_str).collect();
            let why = format!("{above} is above or at this sub-task ({}): work is not given back up", way.join(" → "));
            return self.refuse(node, ix, FailureKind::Denied, why);
        }
        let tasks = match self.division(node, &self.able(node, &chain), &[], &said) {
            Ok(tasks) if tasks.is_empty() => Err("there is no sub-task in it".to_owned()),
            other => other,
        };
        let (team_ix, team) = self.state.team_of(node);
        let like = self.plain_seat(node);
        let handout = grow::Handout { like: &like, ix: team_ix, team, one_by_one: false, check: None };
        let made = tasks.and_then(|tasks| match grow::subtasks(&handout, tasks.clone()) {
            Ok(graph) => Ok((tasks, graph)),
            Err(failure) => Err(failure.message.to_string()),
        });
        let (subtasks, mut graph) = match made {
            Ok(made) => made,
            Err(why) => return self.refuse(node, ix, FailureKind::Schema, format!("the delegation cannot be used: {why}")),
        };
        for part in graph.dag.node_weights_mut() {
            part.caught = true;
        }
        self.emit(Event::Delegated(Box::new(Delegated { node, subtasks, fallback: None })))?;
        let of = GrownFrom::Made { path: Arc::from(PARTS), graph: Arc::new(graph) };
        self.emit(Event::Grown(Box::new(Grown { node, of, first: 0, count: 1, call: Some(ix), bound: Value::Null })))
    }
}
