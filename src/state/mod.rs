//! Where do we stand?
//!
//! [`State`] is a fold of records: [`State::start`] takes the first, [`State::apply`] each further one. The live scheduler and
//! a resumed one hold the same state, because both get it this way and no other. What follows from a fact without anybody's
//! judgement (an edge that is met, a node that became ready) is part of the fold and waits in [`Todo`] for the scheduler.

mod activation;
mod apply;
mod budget;
mod circle;
mod context;
mod doubt;
mod growth;
mod ledger;
mod mail;
mod names;
mod node;
mod origins;
mod past;
mod ready;
mod relay;
mod scope;
mod taken;
mod timers;
mod todo;
mod variables;
mod voice;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

pub use activation::{Activation, CallState, Stage};
pub use budget::{Budget, Grant, Lack, Whose};
pub use context::{Context, Found, Given, Made, Reach, Settled, Spoken, TakenBack};
pub use ledger::Progress;
pub use mail::{Heard, Knows};
pub use names::{At, seen_failure};
pub use node::{Instance, NodeState, Stand};
pub use ready::{Due, Limiter, Ready, ReadyKey};
pub use relay::RelaySeat;
pub use scope::{ScopeState, TopicState};
pub use taken::Taken;
pub use timers::{Timer, Timers};
pub use todo::Todo;
pub use variables::Version;
pub use voice::Voice;

use crate::{
    event::{Ask, AskFor, AskOutcome, Delegated, Event, Finished, Key, Point, Record, Started, Status},
    graph::NodeKind,
    value::{AskId, CallIx, Epoch, Failure, NodeIx, Origins, Role, Seq, TeamIx, Timestamp, Turn, Usage, Value},
};

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
    /// Of these, what was reserved by calls that an outage or a cancellation cut off: nobody knows what they took.
    pub lost: Usage,
}

/// Irreversible calls that were in flight where a session was forked, each with what came of it in the other one, if that is known.
pub type Theirs = BTreeMap<Key, Option<Arc<str>>>;

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
    /// The time of the record that is being applied, or was last.
    pub at: Timestamp,
    /// The owner's claim, as far as it is recorded.
    pub epoch: Epoch,
    /// Instances of graphs, in order of growth.
    pub instances: Vec<Instance>,
    /// Nodes, in order of growth.
    pub nodes: Vec<NodeState>,
    /// Open and ended scopes.
    pub scopes: BTreeMap<NodeIx, ScopeState>,
    /// Circles that have not ended.
    pub circles: BTreeSet<NodeIx>,
    /// Agents at work.
    pub activations: BTreeMap<NodeIx, Activation>,
    /// Tool nodes whose call is in flight.
    pub calling: BTreeSet<NodeIx>,
    /// What waits for a slot.
    pub ready: Ready,
    /// What waits for the scheduler.
    pub todo: Todo,
    /// Of the conditions on edges into a waiting node that gave no answer the first: its edge, and why.
    pub faults: BTreeMap<NodeIx, (usize, Arc<Failure>)>,
    /// What is due when.
    pub timers: Timers,
    /// What the team knows.
    pub context: Context,
    /// Answers that the scheduler has yet to act upon, by the node that waits.
    pub answered: BTreeMap<NodeIx, (Arc<Ask>, AskOutcome)>,
    /// Open questions to people.
    pub asks: BTreeMap<AskId, Arc<Ask>>,
    /// What people answered to calls that have no result yet, by node: a call that is made again asks again.
    pub told: BTreeMap<NodeIx, Vec<(Arc<Ask>, AskOutcome)>>,
    /// Questions of which somebody is to be told, each with the place in its chain.
    pub notices: BTreeMap<AskId, u32>,
    /// The next question's id.
    pub next_ask: AskId,
    /// Calls that were in flight when their node ended.
    pub late: BTreeSet<Key>,
    /// Nodes that ended, or go on, with an irreversible call of which nobody knows whether it happened.
    pub unsure: BTreeSet<NodeIx>,
    /// Where what nodes came to comes from.
    pub origins: BTreeMap<NodeIx, Origins>,
    /// What was spent, in all.
    pub spent: Spent,
    /// What was spent, by agent of each team.
    pub spent_by: BTreeMap<(TeamIx, Role), Spent>,
    /// What was spent by runs of teams inside others, by the number of their instance.
    pub spent_in: BTreeMap<u32, Spent>,
    /// What was spent in the runs of members that are teams, by member of each team.
    pub spent_within: BTreeMap<(TeamIx, Role), Spent>,
    /// Tokens and cost by model.
    pub spent_on: BTreeMap<Arc<str>, Spent>,
    /// What calls in flight have reserved, and who waits for it.
    pub budget: Budget,
    /// Why nothing new starts.
    pub stopping: Option<Stopping>,
    /// Whether somebody wants it to end, whatever stopped it before.
    pub cancelled: bool,
    /// Whether only questions are open.
    pub parked: bool,
    /// Whether an activation of the coordinator that makes the result is under way.
    pub aggregating: u32,
    /// Turns begun by each seat, over all attempts and activations of it.
    pub seat_turns: BTreeMap<NodeIx, u32>,
    /// How agents divided tasks, by activation.
    pub delegated: BTreeMap<NodeIx, Arc<Delegated>>,
    /// Questions that were asked for each seat, by it and by those who answer it.
    pub asks_made: BTreeMap<NodeIx, u32>,
    /// What agents had said and learned when they last ended, by their team at work.
    pub threads: BTreeMap<(u32, Role), Heard>,
    /// What those begin with who go on from a thread: to answer a question, or after a rest.
    pub snapshots: BTreeMap<NodeIx, Heard>,
    /// Further attempts that people and the `reconcile` rule have ordered for a node or its calls.
    pub second_chances: BTreeMap<NodeIx, u32>,
    /// The instance of `finally`, once it has begun.
    pub finale: Option<u32>,
    /// What `finally` sees of the end: `{output, status, error}`.
    pub ending: Value,
    /// The result of the last synthesis in declared order, with its node: what there is to show before the end.
    pub provisional: Option<(NodeIx, Value)>,
    /// Nodes that failed and were allowed to.
    pub warnings: Vec<NodeIx>,
    /// Where it parted from the session whose past it shares, and the irreversible calls in flight there, each with what came of it in that one.
    pub forked: Option<(Point, Theirs)>,
    /// What nodes took over from an earlier session.
    pub taken: BTreeMap<NodeIx, Taken>,
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

    /// The open questions that a tool asks in a call of that node.
    pub fn questions(&self, node: NodeIx, call: CallIx) -> impl Iterator<Item = &Arc<Ask>> {
        self.asks.values().filter(move |ask| ask.node == node && ask.is_of_call(call))
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
        if let Some(form) = &open.form {
            return form.read(value).map(|_| ()).map_err(|why| format!("q{ask}: {why}"));
        }
        if open.options.is_empty() || open.options.iter().any(|option| value.as_str() == Some(option)) {
            return Ok(());
        }
        let options: Vec<&str> = open.options.iter().map(AsRef::as_ref).collect();
        Err(format!("q{ask} takes one of {}", options.join(", ")))
    }

    /// How whoever a question waits for now is told of it.
    pub fn notify_of(&self, ask: &Ask) -> Option<Arc<str>> {
        match (ask.step, &ask.purpose) {
            (Some(step), _) => {
                let chain = &self.team_of(ask.node).1.escalation;
                usize::try_from(step).ok().and_then(|step| chain.get(step)?.notify.clone())
            }
            (None, AskFor::Node) => match &self.node(ask.node).kind {
                NodeKind::Ask(node) => node.notify.clone(),
                NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Scope(_) => None,
            },
            (None, _) => None,
        }
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

    /// The running time between the last record and the next one: parked time, outages and what lies before a fork are none.
    pub fn running_time_until(&self, next: &Record) -> Duration {
        let taken_up = matches!(next.event, Event::Resumed { .. } | Event::Forked(_));
        if self.parked || self.finished.is_some() || taken_up { Duration::ZERO } else { next.at.since(self.now) }
    }

    /// How the session would end if it ended now.
    pub fn verdict_so_far(&self) -> Status {
        match &self.stopping {
            Some(Stopping::Cancelled { .. }) => Status::Cancelled,
            Some(Stopping::Limit(_)) => Status::OutOfBudget,
            Some(Stopping::FailFast) | None if self.budget.short.is_some() => Status::OutOfBudget,
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
        self.at = record.at;
        let woken = self.parked && !matches!(record.event, Event::Parked | Event::Resumed { .. } | Event::Forked(_));
        if woken {
            self.timers.shift(record.at.since(self.now));
            // That a person was told changes nothing for the session.
            self.parked = matches!(record.event, Event::Notified { .. });
        }
        self.apply_event(record)?;
        self.now = record.at;
        self.seq = self.seq.next();
        Ok(())
    }
}
