//! Where do we stand?
//!
//! [`State`] is a fold of records: [`State::start`] takes the first, [`State::apply`] each further one. The live scheduler and
//! a resumed one hold the same state, because both get it this way and no other. What follows from a fact without anybody's
//! judgement (an edge that is met, a node that became ready) is part of the fold and waits in [`Todo`] for the scheduler.

mod activation;
mod apply;
mod context;
mod growth;
mod names;
mod past;
mod ready;
mod scope;
mod timers;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub use activation::{Activation, CallState, Stage};
pub use context::{Context, Spoken};
pub use names::{At, seen_failure};
pub use ready::{Due, Limiter, Ready, ReadyKey};
pub use scope::{ScopeState, TopicState};
pub use timers::{Timer, Timers};

use crate::{
    event::{Ask, AskOutcome, Event, Finished, Key, Outcome, Record, Started, Status},
    graph::{Graph, Node, NodeKind, TeamPlan},
    value::{AskId, Epoch, Failure, NodeIx, Role, Seq, TeamIx, Timestamp, Turn, Usage, Value},
};

/// An instance of a graph: the root, a loop's item or round, a sub-team, a grown fragment.
#[derive(Clone, Debug)]
pub struct Instance {
    /// What it is an instance of.
    pub graph: Arc<Graph>,
    /// The scope that it belongs to; `None` for the root and for `finally`.
    pub scope: Option<NodeIx>,
    /// Its first node; the others follow in the order of the graph.
    pub base: u32,
    /// The item's index, the round from 1, else 0.
    pub number: u32,
    /// Its place among the instances that its scope ever had.
    pub ordinal: u32,
    /// What follows the scope's path.
    pub path: Arc<str>,
    /// Nodes that have not ended.
    pub open: u32,
    /// Of the nodes that failed and whose failure nobody handles, the first in declared order.
    pub failed: Option<NodeIx>,
    /// Who counts the calls in flight below it.
    pub limiter: u32,
    /// What the ranks of its nodes are counted from.
    pub tail: u64,
}

impl PartialEq for Instance {
    /// Of graphs it compares the size: two folds of one journal hold graphs of their own that are alike.
    fn eq(&self, other: &Self) -> bool {
        let of = |i: &Self| (i.scope, i.base, i.number, i.path.clone(), i.open, i.failed, i.limiter, i.tail);
        of(self) == of(other) && self.graph.dag.node_count() == other.graph.dag.node_count()
    }
}

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// For other nodes.
    Waiting,
    /// For a slot, or for the scheduler.
    Ready,
    /// In progress.
    Running,
    /// Between two attempts.
    Backoff,
    /// See its outcome.
    Ended,
}

/// What is known of a node; its description stands in its instance's graph.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeState {
    /// Its instance.
    pub instance: u32,
    /// Edges into it that are met.
    pub met: u32,
    /// Edges into it that cannot be met any more.
    pub unmet: u32,
    /// Edges into it.
    pub sources: u32,
    /// Attempts begun.
    pub attempt: u32,
    /// Where it stands.
    pub stand: Stand,
    /// The record at which it last became ready.
    pub ready_at: Seq,
    /// The record at which it ended.
    pub ended_at: Seq,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

/// What waits for the scheduler. Every entry leaves when the event that follows from it is applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Todo {
    /// Ended nodes whose conditional edges must be judged.
    pub judge: BTreeSet<NodeIx>,
    /// Nodes that can no longer start.
    pub doomed: BTreeSet<NodeIx>,
    /// Nodes that nobody waits for any more.
    pub moot: BTreeSet<NodeIx>,
    /// Nodes whose target edge's condition failed, with the failure.
    pub faulted: BTreeMap<NodeIx, Arc<Failure>>,
    /// Ready gates, asks and scopes: they need no slot.
    pub inline: BTreeSet<NodeIx>,
    /// Open scopes that may grow or end.
    pub scopes: BTreeSet<NodeIx>,
    /// Activations with calls that must be looked at, or with a result.
    pub agents: BTreeSet<NodeIx>,
    /// Irreversible calls whose outcome nobody knows.
    pub doubts: BTreeSet<Key>,
}

impl Todo {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.judge.is_empty()
            && self.doomed.is_empty()
            && self.moot.is_empty()
            && self.faulted.is_empty()
            && self.inline.is_empty()
            && self.scopes.is_empty()
            && self.agents.is_empty()
            && self.doubts.is_empty()
    }

    fn forget(&mut self, node: NodeIx) {
        self.doomed.remove(&node);
        self.moot.remove(&node);
        self.faulted.remove(&node);
        self.inline.remove(&node);
        self.scopes.remove(&node);
        self.agents.remove(&node);
    }
}

/// Why nothing new starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopping {
    /// A node failed and its team stops at the first failure.
    FailFast,
    /// A limit was reached: which.
    Limit(Arc<str>),
    /// Somebody wants it.
    Cancelled {
        /// Who.
        by: Arc<str>,
        /// Why.
        reason: Arc<str>,
    },
}

/// What was spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Turns begun.
    pub turns: u64,
    /// Replies that were asked for.
    pub model_calls: u64,
    /// Tool calls made.
    pub tool_calls: u64,
    /// Tokens and cost.
    pub usage: Usage,
}

/// A session as its records tell it.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// What it started from.
    pub started: Arc<Started>,
    /// When it started.
    pub started_at: Timestamp,
    /// The next record's position.
    pub seq: Seq,
    /// The last record's time.
    pub now: Timestamp,
    /// The owner's claim, as far as it is recorded.
    pub epoch: Epoch,
    /// Instances of graphs, in order of growth.
    pub instances: Vec<Instance>,
    /// Nodes, in order of growth.
    pub nodes: Vec<NodeState>,
    /// Open and ended scopes.
    pub scopes: BTreeMap<NodeIx, ScopeState>,
    /// Agents at work.
    pub activations: BTreeMap<NodeIx, Activation>,
    /// Tool nodes whose call is in flight.
    pub calling: BTreeSet<NodeIx>,
    /// What waits for a slot.
    pub ready: Ready,
    /// Conditions on edges that failed, by the node that waits and by the edge's source.
    pub faults: BTreeMap<NodeIx, BTreeMap<NodeIx, Arc<Failure>>>,
    /// What waits for the scheduler.
    pub todo: Todo,
    /// What is due when.
    pub timers: Timers,
    /// What the team knows.
    pub context: Context,
    /// Answers that the scheduler has yet to act upon, by the node that waits.
    pub answered: BTreeMap<NodeIx, (Arc<Ask>, AskOutcome)>,
    /// Open questions to people.
    pub asks: BTreeMap<AskId, Arc<Ask>>,
    /// The next question's id.
    pub next_ask: AskId,
    /// Calls that were in flight when their node ended.
    pub late: BTreeSet<Key>,
    /// What was spent, in all.
    pub spent: Spent,
    /// What was spent, by agent.
    pub spent_by: BTreeMap<Role, Spent>,
    /// Why nothing new starts.
    pub stopping: Option<Stopping>,
    /// Whether only questions are open.
    pub parked: bool,
    /// Whether an activation of the coordinator that makes the result is under way.
    pub aggregating: u32,
    /// Turns begun by each agent node, over all its attempts.
    pub seat_turns: BTreeMap<NodeIx, u32>,
    /// Further attempts that people and the `reconcile` rule have ordered for a node or its calls.
    pub second_chances: BTreeMap<NodeIx, u32>,
    /// The instance of `finally`, once it has begun.
    pub finale: Option<u32>,
    /// What `finally` sees of the end: `{output, status, error}`.
    pub ending: Value,
    /// The last result of a synthesis: what there is to show before the end.
    pub provisional: Option<Value>,
    /// Nodes that failed and were allowed to.
    pub warnings: Vec<NodeIx>,
    /// How it ended.
    pub finished: Option<Arc<Finished>>,
}

/// Why records do not make a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// There is no first record, or it is not a start.
    #[error("the journal does not begin with the start of a session")]
    NoStart,
    /// A record is missing.
    #[error("record {expected} is missing: the next one is {found}")]
    Gap {
        /// What should come.
        expected: Seq,
        /// What comes.
        found: Seq,
    },
    /// A record contradicts those before it.
    #[error("record {seq} contradicts those before it: {reason}")]
    Contradiction {
        /// Which.
        seq: Seq,
        /// How.
        reason: String,
    },
    /// A record of a later version.
    #[error("the journal was written by a later version ({found}); this one reads up to {known}")]
    Version {
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
}

impl State {
    /// The state that `records` tell.
    ///
    /// # Errors
    /// They do not begin with a start, have a gap, or contradict each other.
    pub fn fold<'r>(records: impl IntoIterator<Item = &'r Record>) -> Result<Self, FoldError> {
        let mut records = records.into_iter();
        let first = records.next().ok_or(FoldError::NoStart)?;
        let mut state = Self::start(first)?;
        for record in records {
            state.apply(record)?;
        }
        Ok(state)
    }

    /// The instance of a node.
    pub fn instance_of(&self, node: NodeIx) -> &Instance {
        &self.instances[self.nodes[node.index()].instance as usize]
    }

    /// The description of a node.
    pub fn node(&self, node: NodeIx) -> &Node {
        let instance = self.instance_of(node);
        &instance.graph.dag[petgraph::graph::NodeIndex::new((node.0 - instance.base) as usize)]
    }

    /// The index of a node in its instance's graph.
    pub fn local(&self, node: NodeIx) -> petgraph::graph::NodeIndex {
        petgraph::graph::NodeIndex::new((node.0 - self.instance_of(node).base) as usize)
    }

    /// The team of a node.
    pub fn team_of(&self, node: NodeIx) -> (TeamIx, &TeamPlan) {
        let ix = self.instance_of(node).graph.team;
        (ix, self.started.plan.team(ix))
    }

    /// The agent of an agent node.
    pub fn role_of(&self, node: NodeIx) -> Option<&Role> {
        if let NodeKind::Agent(agent) = &self.node(node).kind { Some(&agent.role) } else { None }
    }

    /// The path of a node, such as `review/1/synthesize`.
    pub fn path(&self, node: NodeIx) -> Arc<str> {
        let instance = self.instance_of(node);
        let id = &self.node(node).id;
        let Some(scope) = instance.scope else { return id.clone() };
        let mut path = self.path(scope).to_string();
        if !instance.path.is_empty() {
            path.push('/');
            path.push_str(&instance.path);
        }
        if !instance.graph.single {
            path.push('/');
            path.push_str(id);
        }
        path.into()
    }

    /// The node at a path.
    pub fn find(&self, path: &str) -> Option<NodeIx> {
        (0..self.nodes.len()).filter_map(|ix| u32::try_from(ix).ok().map(NodeIx)).find(|ix| *self.path(*ix) == *path)
    }

    /// Where a node stands in declared order: places of instances and of nodes, outermost first. The order in which scopes
    /// happened to grow has no part in it.
    pub fn position(&self, node: NodeIx) -> Vec<u32> {
        let instance = self.instance_of(node);
        let mut position = instance.scope.map(|scope| self.position(scope)).unwrap_or_default();
        position.extend([instance.ordinal, node.0 - instance.base]);
        position
    }

    /// The nodes that a node follows and that had ended when it became ready, in the order of its graph. One that never did,
    /// because it was skipped, followed nothing: which of its sources had ended by then is chance.
    pub fn followed(&self, node: NodeIx) -> Vec<NodeIx> {
        let instance = self.instance_of(node);
        let ready = self.nodes[node.index()].ready_at;
        let sources = instance.graph.dag.neighbors_directed(self.local(node), petgraph::Direction::Incoming);
        let sources = sources.map(|source| NodeIx(instance.base + u32::try_from(source.index()).unwrap_or(u32::MAX)));
        let ended = |source: &NodeIx| {
            let source = &self.nodes[source.index()];
            source.stand == Stand::Ended && source.ended_at <= ready
        };
        let mut followed: Vec<NodeIx> = sources.filter(ended).collect();
        followed.sort_unstable();
        followed
    }

    /// How a node ended, if it has.
    pub fn outcome(&self, node: NodeIx) -> Option<&Outcome> {
        self.nodes[node.index()].outcome.as_ref()
    }

    /// Where the session stands.
    pub fn status(&self) -> Status {
        match &self.finished {
            Some(finished) => finished.status,
            None if self.parked => Status::Parked,
            None if self.seq.0 <= 1 => Status::Initializing,
            None if self.aggregating > 0 => Status::Aggregating,
            None => Status::Running,
        }
    }

    /// The mission's phase: `delegation`, `parallel_execution` or `synthesis`.
    pub fn phase(&self) -> &'static str {
        if self.aggregating > 0 || self.provisional.is_some() || self.finished.is_some() {
            "synthesis"
        } else if self.spent.turns > 0 || !self.calling.is_empty() {
            "parallel_execution"
        } else {
            "delegation"
        }
    }

    /// How many further attempts people and the `reconcile` rule have ordered for a node.
    pub fn chances_ordered(&self, node: NodeIx) -> u32 {
        self.second_chances.get(&node).copied().unwrap_or(0)
    }

    /// Checks an answer before it becomes a fact.
    ///
    /// # Errors
    /// A sentence that says which questions are open, or which answers this one takes.
    pub fn check_answer(&self, ask: AskId, value: &Value) -> Result<(), String> {
        let Some(open) = self.asks.get(&ask) else {
            let ids: Vec<String> = self.asks.keys().map(|id| format!("q{id}")).collect();
            return Err(if ids.is_empty() {
                format!("q{ask} is not open: this session has no open question")
            } else {
                format!("q{ask} is not open; open are {}", ids.join(", "))
            });
        };
        if open.options.is_empty() || open.options.iter().any(|option| value.as_str() == Some(option)) {
            return Ok(());
        }
        let options: Vec<&str> = open.options.iter().map(AsRef::as_ref).collect();
        Err(format!("q{ask} takes one of {}", options.join(", ")))
    }

    /// The model or tool calls in flight, as the records tell it.
    pub fn in_flight(&self) -> u32 {
        self.ready.in_flight()
    }

    /// The turn that an activation waits for.
    pub fn awaited_turn(&self, node: NodeIx) -> Option<Turn> {
        let activation = self.activations.get(&node)?;
        matches!(activation.stage, Stage::Asked).then_some(activation.turn)
    }

    /// The next timer, with its time.
    pub fn next_timer(&self) -> Option<(Timestamp, Timer)> {
        self.timers.first(self.parked)
    }

    /// Why nothing new starts; what runs at the very end starts all the same.
    pub fn winding_down(&self) -> Option<&Stopping> {
        self.stopping.as_ref().filter(|_| self.finale.is_none())
    }

    /// Whether nothing is left to do but to end: all nodes of the root (and of `finally`) have ended, and no straggler is at work.
    pub fn is_idle(&self) -> bool {
        let closed = |ix: u32| self.instances.get(ix as usize).is_none_or(|instance| instance.open == 0);
        closed(0)
            && self.finale.is_none_or(closed)
            && self.activations.is_empty()
            && self.calling.is_empty()
            && self.asks.is_empty()
            && !self.timers.has_work()
    }

    /// How the session would end if it ended now.
    pub fn verdict_so_far(&self) -> Status {
        match &self.stopping {
            Some(Stopping::Cancelled { .. }) => Status::Cancelled,
            Some(Stopping::Limit(_)) => Status::OutOfBudget,
            Some(Stopping::FailFast) => Status::Failed,
            None if self.instances.first().is_some_and(|root| root.failed.is_some()) => Status::Failed,
            None => Status::Completed,
        }
    }

    fn contradiction(&self, reason: impl Into<String>) -> FoldError {
        FoldError::Contradiction { seq: self.seq, reason: reason.into() }
    }

    /// Applies the next record.
    ///
    /// # Errors
    /// It is not the next one, or contradicts those before it.
    pub fn apply(&mut self, record: &Record) -> Result<(), FoldError> {
        if record.seq != self.seq {
            return Err(FoldError::Gap { expected: self.seq, found: record.seq });
        }
        if record.at < self.now {
            return Err(self.contradiction("it is older than the one before it"));
        }
        let woken = self.parked && !matches!(record.event, Event::Parked | Event::Resumed { .. });
        if woken {
            self.timers.shift(record.at.since(self.now));
            self.parked = false;
        }
        self.apply_event(record)?;
        self.now = record.at;
        self.seq = self.seq.next();
        Ok(())
    }
}
