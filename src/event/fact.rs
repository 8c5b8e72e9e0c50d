//! Which facts are there? [`Event`], one variant each.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Point, Started, effect::Key};
use crate::{
    graph::{Detector, EscalationPolicy, Graph},
    value::{
        AskId, Call, CallIx, CallResult, Decision, EffectClass, Epoch, EscalateTo, Failure, Finding, FindingId, Form,
        HandoffRequest, Map, Message, MessageId, NodeIx, Reply, RequestDigest, Role, RuleKind, Seq, SessionId, Subtask,
        TemplateIx, Timestamp, Turn, Usage, Value, Verdict,
    },
};

/// A fact of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The session began; the first record of every journal.
    Started(Arc<Started>),
    /// A new owner took the session over. Timers move by the time in which nobody ran it.
    Resumed {
        /// The owner's claim.
        epoch: Epoch,
    },
    /// The session parts here from the one whose past it shares: every record before this one is a copy.
    Forked(Box<Forked>),
    /// Only questions to people are open: the session may leave memory.
    Parked,
    /// A node got going. For a tool node this is the intent of its call.
    NodeStarted {
        /// Which.
        node: NodeIx,
        /// From 1.
        attempt: u32,
        /// What is looked up in the agent's name before its first turn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lookup: Option<Arc<Call>>,
    },
    /// A node's attempt failed and it is tried again.
    NodeRetried {
        /// Which.
        node: NodeIx,
        /// The attempt that failed, from 1.
        attempt: u32,
        /// Why.
        failure: Arc<Failure>,
        /// When the next attempt may start.
        not_before: Timestamp,
    },
    /// The wait before a node's next attempt is over.
    RetryDue {
        /// Which.
        node: NodeIx,
    },
    /// A node ended; it never runs again.
    NodeEnded {
        /// Which.
        node: NodeIx,
        /// How.
        outcome: Outcome,
    },
    /// The conditions on the edges out of a node were evaluated.
    EdgesJudged {
        /// The node that ended.
        node: NodeIx,
        /// One per conditional edge in declared order, `else` excluded; a failure fails the edge's target.
        met: Vec<Result<bool, Failure>>,
    },
    /// A scope's items, inputs or sub-tasks are known, and it may grow.
    ScopeOpened {
        /// Which.
        node: NodeIx,
        /// The list of items (`for_each`), the inputs (a sub-team), the sub-tasks, else null.
        bound: Value,
    },
    /// A scope grew by instances of a graph.
    Grown(Box<Grown>),
    /// A rule was asked.
    Judged {
        /// At which node.
        node: NodeIx,
        /// Which rule.
        rule: RuleKind,
        /// What it said; `None` where the team has no such rule and the default applies.
        verdict: Option<Arc<Verdict>>,
    },
    /// A model was asked. The intent; the reply follows.
    TurnStarted {
        /// By which activation.
        node: NodeIx,
        /// From 0 in each activation.
        turn: Turn,
        /// The attempt of the node, from 1.
        attempt: u32,
        /// What the agent had read: no record at or after this one.
        read_upto: Seq,
        /// What the call may take at most, which nobody else may spend until it is back.
        #[serde(default, skip_serializing_if = "Usage::is_nothing")]
        reserved: Usage,
        /// What is sent. Journals of the first version do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent: Option<RequestDigest>,
    },
    /// A turn does not fit into what is left; it waits for calls in flight, which may take less than they reserved.
    TurnHeld {
        /// Of which activation.
        node: NodeIx,
        /// Which turn.
        turn: Turn,
        /// What its call may take at most.
        needs: Usage,
    },
    /// A model replied, or did not.
    TurnEnded {
        /// To which activation.
        node: NodeIx,
        /// Which turn.
        turn: Turn,
        /// The reply, or why there is none.
        end: TurnEnd,
        /// What repeating each of its calls would do, in their order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        effects: Vec<EffectClass>,
    },
    /// What follows, the end of that turn, call or node, is taken over from an earlier session: nobody was asked or called.
    TakenOver(Box<TakenOver>),
    /// A node of a session that takes results over does its work anew from that turn on.
    Anew {
        /// Which.
        node: NodeIx,
        /// From which turn on, of its attempt; 0 for all of it.
        turn: Turn,
        /// Why nothing is taken over.
        why: Arc<str>,
        /// The session under whose key its call is made again, where that is an earlier one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        under: Option<SessionId>,
    },
    /// A tool was called for an agent. The intent; the result follows.
    ToolCalled(ToolCalled),
    /// A tool call was answered: by the tool, or by the engine's refusal.
    ToolReturned {
        /// For which activation.
        node: NodeIx,
        /// Which turn.
        turn: Turn,
        /// Which call of it.
        call: CallIx,
        /// What came of it.
        result: Arc<CallResult>,
    },
    /// Somebody said something.
    Said {
        /// In which node; a task assignment is for this node.
        node: NodeIx,
        /// What.
        message: Arc<Message>,
    },
    /// The deadline of a join, or of a scope's work, has passed: the node goes on with what has ended, or fails.
    DeadlinePassed {
        /// Which node.
        node: NodeIx,
    },
    /// An agent of a relay wants to hand its work over; it ends with its result next, and the relay decides.
    HandedOff {
        /// Which activation.
        node: NodeIx,
        /// To whom, and with what.
        wish: Box<HandoffRequest>,
    },
    /// The session ends, and these messages reached nobody: no turn of their recipient came after they were said.
    Undelivered {
        /// Which, oldest first.
        messages: Vec<MessageId>,
    },
    /// The engine told an agent what is wrong with its reply, and it gets another turn; or, before a turn, what a detector saw.
    Noted {
        /// Which activation.
        node: NodeIx,
        /// The detector that saw it; `None` for a reply that cannot be used.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detector: Option<Detector>,
        /// What it is told.
        note: Arc<str>,
    },
    /// Somebody found something.
    Found {
        /// In which node.
        node: NodeIx,
        /// What.
        finding: Arc<Finding>,
    },
    /// Somebody took a finding back.
    Retracted {
        /// In which node.
        node: NodeIx,
        /// Which finding, by its author.
        finding: FindingId,
        /// Why.
        reason: Arc<str>,
    },
    /// A variable was written; it takes effect when the node succeeds.
    Wrote {
        /// In which activation.
        node: NodeIx,
        /// Which variable.
        variable: Arc<str>,
        /// What.
        value: Value,
    },
    /// An agent has divided a task, or could not and what is done instead was decided.
    Delegated(Box<Delegated>),
    /// Something was settled.
    Decided {
        /// Where.
        node: NodeIx,
        /// What.
        decision: Arc<Decision>,
    },
    /// Somebody is stuck or unsure, and whom that reaches.
    Escalated {
        /// Where.
        node: NodeIx,
        /// Who.
        from: Option<Role>,
        /// On what grounds; `None` for an agent's own call of `escalate`.
        cause: Option<EscalationPolicy>,
        /// Why, in words.
        reason: Arc<str>,
        /// Whom it reaches.
        to: EscalateTo,
    },
    /// A person is asked.
    Asked(Arc<Ask>),
    /// A question was answered, lapsed or became moot.
    AskClosed {
        /// Which.
        ask: AskId,
        /// How.
        outcome: AskOutcome,
    },
    /// Nobody answered in time, and the next in the team's escalation chain is asked.
    AskMoved {
        /// Which question.
        ask: AskId,
        /// Whom it goes to now.
        to: Arc<str>,
        /// Until when.
        deadline: Option<Timestamp>,
    },
    /// Whoever a question waits for was told of it, or could not be: that fails nothing.
    Notified {
        /// Which question.
        ask: AskId,
        /// Which of its chain, from 0.
        nth: u32,
        /// Why not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Arc<Failure>>,
    },
    /// An irreversible call of an agent that was in doubt did not happen, as the `reconcile` rule says: it may be made again.
    NotHappened {
        /// By which activation.
        node: NodeIx,
        /// In which turn.
        turn: Turn,
        /// Which call of it.
        call: CallIx,
    },
    /// Nobody answered what a call in flight asked while its tool could wait. It was stopped, and is made again once somebody does.
    LetGo {
        /// By which node.
        node: NodeIx,
        /// In which turn.
        turn: Turn,
        /// Which call of it; the first for a tool node.
        call: CallIx,
    },
    /// A limit of the file was reached: nothing new starts.
    LimitReached {
        /// `turns`, `tokens`, `cost_usd` or `wall_seconds`.
        limit: Arc<str>,
        /// Whether the session goes on to the synthesis of what there is: no other turn that costs something begins.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        synthesize: bool,
    },
    /// Somebody wants the session to end.
    CancelRequested {
        /// Who.
        by: Arc<str>,
        /// Why.
        reason: Arc<str>,
    },
    /// A result came after its node had ended; only what it cost counts.
    LateResult {
        /// Of which call.
        key: Key,
        /// What it took; `None` when nobody knows, and it counts as what was reserved.
        usage: Option<Usage>,
    },
    /// The session is over; the last record.
    Finished(Box<Finished>),
}

/// How a session parts from the one whose past it shares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forked {
    /// Where.
    pub from: Point,
    /// What is to be done from here on, where that is something else: whoever has begun keeps the task that it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Arc<str>>,
    /// Inputs with another value from here on.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub inputs: Map,
    /// Variables of the session's own team with another value from here on.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub variables: Map,
    /// What came of irreversible calls, in the other session, that were in flight at that point: as far as it had come when it was
    /// forked, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meanwhile: Vec<(Key, Arc<str>)>,
}

/// What is taken over from an earlier session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakenOver {
    /// Which node; in the earlier session it had the same path.
    pub node: NodeIx,
    /// Which turn of its attempt; 0 for a tool node.
    pub turn: Turn,
    /// Which call of the turn; `None` for the model's reply and for the result of a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallIx>,
    /// The session in which it was really asked or called.
    pub session: SessionId,
    /// What that took then, and takes nobody now.
    #[serde(default, skip_serializing_if = "Usage::is_nothing")]
    pub saved: Usage,
}

/// Instances that a scope grew by. Their nodes follow the last one that exists, in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Grown {
    /// Which scope.
    pub node: NodeIx,
    /// Of what.
    pub of: GrownFrom,
    /// The number of the first instance: an item's index, a round from 1.
    pub first: u32,
    /// How many.
    pub count: u32,
    /// The call of an agent that waits for it, where `node` is no scope but an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallIx>,
    /// How the session ended, for `finally`: `{output, status, error}`; else null.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub bound: Value,
}

impl PartialEq for Grown {
    fn eq(&self, other: &Self) -> bool {
        let of = |grown: &Self| (grown.node, grown.first, grown.count, grown.call);
        of(self) == of(other) && self.bound == other.bound
    }
}

/// How an agent divided a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delegated {
    /// Which activation.
    pub node: NodeIx,
    /// The parts; those that named skills with whoever was chosen, and the scores.
    pub subtasks: Vec<Subtask>,
    /// Why the agent's own division could not be used, and these are what is done instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Arc<str>>,
}

/// Where the nodes of a [`Grown`] come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrownFrom {
    /// A graph of the plan.
    Plan(TemplateIx),
    /// A graph made for this growth: sub-tasks, a debate, the next seat of a relay. Instances of it are named `path`.
    Made {
        /// What follows the scope's path: empty for sub-tasks, `1` for the first seat of a relay, …
        path: Arc<str>,
        /// The graph.
        graph: Arc<Graph>,
    },
}

/// How a node ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With this output.
    Ok(Value),
    /// It failed, timed out included (`failure.kind` says).
    Failed(Arc<Failure>),
    /// It did not run.
    Skipped(Skip),
    /// It was cut off.
    Cancelled,
}

/// Why a node did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// Its join can no longer be met.
    Join,
    /// Nobody waits for it any more.
    Moot,
    /// A failure stops what has not started (`fail_fast`).
    FailFast,
    /// A limit was reached.
    Budget,
    /// The session was cancelled.
    Cancelled,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnEnd {
    /// With a reply.
    Reply(Arc<Reply>),
    /// Without one.
    Failed(Arc<Failure>),
}

/// The intent of a tool call of an agent. Tool and arguments stand in the turn's reply, those of a look-up in the start of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCalled {
    /// By which activation.
    pub node: NodeIx,
    /// In which turn.
    pub turn: Turn,
    /// Which call of it.
    pub call: CallIx,
    /// What repeating it would do.
    pub effect: EffectClass,
}

/// A durable question to a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// Its id in the session.
    pub id: AskId,
    /// The node that waits for the answer.
    pub node: NodeIx,
    /// What the answer is for.
    pub purpose: AskFor,
    /// The question.
    pub question: Arc<str>,
    /// The answers to choose from; empty for free text.
    pub options: Vec<Arc<str>>,
    /// What the answer must fit, where a tool asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// Until when, on the wall clock.
    pub deadline: Option<Timestamp>,
    /// The answer if nobody gives one in time; `None`: it lapses.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::value::present")]
    pub default: Option<Value>,
    /// Whom it goes to.
    pub to: Option<Arc<str>>,
    /// The step of the team's escalation chain that it has reached, from 0; `None`: it follows no chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// BLAKE3 (hex, 16 characters) of what was known when it was asked.
    pub context_digest: Arc<str>,
}

impl Ask {
    /// Whether a tool asks it in that call of its node.
    pub fn is_of_call(&self, call: CallIx) -> bool {
        matches!(self.purpose, AskFor::Elicited(_, ix, _) if ix == call)
    }
}

/// What the answer to a question is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskFor {
    /// It is the output of an `ask` node.
    Node,
    /// It is put beside the result of an unsure agent, as `answer`.
    Uncertain,
    /// It says what becomes of a failed node: `retry`, `skip` or `fail`.
    Failure(Arc<Failure>),
    /// It settles the topic of that number in the scope's list.
    Settle(u32),
    /// It allows or denies a tool call: `allow` or `deny`.
    Permit(Turn, CallIx),
    /// It is the result of an agent's call of `escalate`.
    Escalation(Turn, CallIx),
    /// It says what became of an irreversible call: `happened`, `not_happened` or `unknown`.
    InDoubt(Turn, CallIx),
    /// It is passed to the tool, which asks while its call is in flight: its question of that number, from 0.
    Elicited(Turn, CallIx, u32),
}

/// How a question was closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskOutcome {
    /// Somebody answered.
    Answered {
        /// What.
        value: Value,
        /// Who.
        by: Arc<str>,
    },
    /// Its deadline passed.
    Lapsed,
    /// Its node ended otherwise.
    Moot,
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing has started.
    Initializing,
    /// Work is in progress.
    Running,
    /// The coordinator makes one result of what was found.
    Aggregating,
    /// Only questions to people are open.
    Parked,
    /// Over, with a result.
    Completed,
    /// Over, without one.
    Failed,
    /// A limit ended it.
    OutOfBudget,
    /// Somebody ended it.
    Cancelled,
}

impl Status {
    /// The name that files and JSON use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Running => "running",
            Self::Aggregating => "aggregating",
            Self::Parked => "parked",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::OutOfBudget => "out_of_budget",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing can happen any more.
    pub fn is_over(self) -> bool {
        match self {
            Self::Initializing | Self::Running | Self::Aggregating | Self::Parked => false,
            Self::Completed | Self::Failed | Self::OutOfBudget | Self::Cancelled => true,
        }
    }
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// One of the four that are over.
    pub status: Status,
    /// The result; for another status than `completed`, the best there is.
    pub output: Value,
    /// Why it failed.
    pub failure: Option<Failure>,
}
