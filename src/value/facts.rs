//! What does a rule know? The facts of each [`super::RuleKind`], one struct each.
//!
//! The scheduler fills a struct and hands [`Value::of`] it to the judge, so that what a script reads and what the
//! engine gives cannot drift apart. A script reads the fields by these names; `Option` reads as the value or `()`.
//! All facts carry the session's `task` and `inputs` and the path of the `node` that asks.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Brief, Decision, EffectClass, Failure, Finding, Map, Origin, Position, Role, Value};

/// An agent as rules see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentFacts {
    /// Its id in the team.
    pub role: Role,
    /// Its display name.
    pub name: Arc<str>,
    /// Its domain, such as `security`.
    pub specialization: Option<Arc<str>>,
    /// What it can do.
    pub skills: Vec<Arc<str>>,
    /// One sentence.
    pub description: Option<Arc<str>>,
    /// Its place among equals, 1 first.
    pub priority: u32,
    /// The tools that it may call, for whoever divides the work; empty elsewhere.
    #[serde(default)]
    pub tools: Vec<Arc<str>>,
}

/// What `route` knows: who does what?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteFacts {
    /// What the session is to do.
    pub task: Arc<str>,
    /// The session's inputs.
    pub inputs: Arc<Map>,
    /// The path of the node that asks.
    pub node: Arc<str>,
    /// What the node sees of the nodes before it: their outputs by id, or what its `input` filter leaves.
    pub input: Value,
    /// The members, by priority, then as declared.
    pub agents: Vec<AgentFacts>,
    /// Sub-tasks at most, where the scope that takes them says so.
    pub max_tasks: Option<u32>,
    /// 1 for the first division; more where what did not succeed is divided anew.
    pub round: u32,
    /// Rounds that are left, this one included, where it is divided anew.
    pub rounds_left: u32,
    /// What was handed out and became of it: `{facts, plan, rounds, rounds_left}`; null before the first division. Sub-tasks that
    /// are done and stand in the verdict again are left out.
    pub ledger: Value,
    /// Why a further round may come to nothing: the last one brought nothing, or the last verdict gave again what had failed.
    pub stall: Option<Arc<str>>,
}

/// What `handoff` knows: who is next?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandoffFacts {
    /// What the session is to do.
    pub task: Arc<str>,
    /// The session's inputs.
    pub inputs: Arc<Map>,
    /// The path of the relay.
    pub node: Arc<str>,
    /// Who just ended.
    pub from: Role,
    /// With what output.
    pub output: Value,
    /// Who has had its turn so far, oldest first; the last is `from`.
    pub done: Vec<SeatFacts>,
    /// Who may be next, in default order.
    pub candidates: Vec<AgentFacts>,
    /// Handoffs that are left, the one in question included.
    pub handoffs_left: u32,
    /// What the agent itself asked for by a call of `handoff`, if it did; `()` as verdict grants it.
    pub requested: Option<HandoffRequest>,
}

/// An activation of a relay that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeatFacts {
    /// Whose.
    pub role: Role,
    /// With what output.
    pub output: Value,
}

/// A handoff that an agent asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandoffRequest {
    /// To whom.
    pub to: Role,
    /// What is carried over.
    pub brief: Brief,
    /// Why, where it says so.
    pub reason: Option<Arc<str>>,
}

/// What `settle` knows: what becomes of positions that differ?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettleFacts {
    /// What the session is to do.
    pub task: Arc<str>,
    /// The session's inputs.
    pub inputs: Arc<Map>,
    /// The path of the settle scope.
    pub node: Arc<str>,
    /// `findings` (differing values on one topic) or `votes` (on a proposal).
    pub over: Arc<str>,
    /// The topic of the findings; `proposal` for votes.
    pub topic: Arc<str>,
    /// What everybody holds, by priority of the members. A vote's value is `approve` or `object`.
    pub positions: Vec<Position>,
    /// Debate rounds that have been held.
    pub round: u32,
    /// Debate rounds that are left.
    pub rounds_left: u32,
    /// What is voted upon; null over findings.
    pub proposal: Value,
    /// All who may hold a position, by priority: those without one abstain or have failed.
    pub members: Vec<Role>,
    /// Those who were heard and hold nothing.
    pub abstained: Vec<Role>,
    /// Whether there is a coordinator who could decide.
    pub has_coordinator: bool,
}

/// What `escalate` knows: whom does it reach?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EscalateFacts {
    /// What the session is to do.
    pub task: Arc<str>,
    /// The session's inputs.
    pub inputs: Arc<Map>,
    /// The path of the node in question.
    pub node: Arc<str>,
    /// The agent; null when a tool, a gate or a budget is the reason.
    pub from: Option<Role>,
    /// The policy that applies, as files name it (`on_uncertainty`, …); null for an agent's own call of `escalate`.
    pub cause: Option<Arc<str>>,
    /// Why, in words.
    pub reason: Arc<str>,
    /// How sure the agent is, where that is the reason.
    pub confidence: Option<f64>,
    /// What its profile asks for, where that is the reason.
    pub threshold: Option<f64>,
    /// The result that is uncertain, or the topic's positions; null otherwise.
    pub output: Value,
    /// What went wrong, where something did.
    pub failure: Option<Failure>,
    /// Whether there is a coordinator, and it is not the one who escalates.
    pub has_coordinator: bool,
    /// Whom a question to a person would reach, in order.
    pub people: Vec<Arc<str>>,
}

/// What `permit` knows: may this tool be called?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PermitFacts {
    /// What the session is to do.
    pub task: Arc<str>,
    /// The session's inputs.
    pub inputs: Arc<Map>,
    /// The path of the activation.
    pub node: Arc<str>,
    /// Who wants to call.
    pub role: Role,
    /// The tool.
    pub tool: Arc<str>,
    /// The arguments, which fit the tool's schema.
    pub args: Value,
    /// What repeating the call would do.
    pub effect: EffectClass,
    /// The turn, from 0.
    pub turn: u32,
    /// Where what the agent has read comes from, and itself (`model`, or `tool` for a script), each once: `untrusted` means that part
    /// of it came from outside.
    pub origins: Vec<Origin>,
    /// The arguments with a word from outside, by JSON pointer (`/command`), each with the labels of that word: `untrusted`.
    pub args_from: BTreeMap<Arc<str>, Vec<Origin>>,
}

/// What `reconcile` knows: what became of an irreversible call in doubt?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReconcileFacts {
    /// What the session is to do.
    pub task: Arc<str>,
    /// The session's inputs.
    pub inputs: Arc<Map>,
    /// The path of the node that called.
    pub node: Arc<str>,
    /// Who called; null for a tool node.
    pub role: Option<Role>,
    /// The tool.
    pub tool: Arc<str>,
    /// The arguments.
    pub args: Value,
    /// Why there is no result; null when the engine was stopped in mid-call.
    pub failure: Option<Failure>,
}

/// What `merge` knows: what is the result of the parts?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MergeFacts {
    /// What the session is to do.
    pub task: Arc<str>,
    /// The session's inputs.
    pub inputs: Arc<Map>,
    /// The path of the node that asks.
    pub node: Arc<str>,
    /// The parts in declared order.
    pub results: Vec<PartFacts>,
    /// Findings that the node may see, in order.
    pub findings: Vec<Arc<Finding>>,
}

/// A part of the work that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartFacts {
    /// The id of its node.
    pub id: Arc<str>,
    /// Who did it; null where no agent did.
    pub role: Option<Role>,
    /// `ok`, `failed`, `timed_out`, `skipped` or `cancelled`; `late` where it had not ended when it was needed.
    pub status: Arc<str>,
    /// Its output; null unless `ok`.
    pub output: Value,
    /// Why it failed.
    pub error: Option<Failure>,
}

/// What a team's own function knows, called by a `rule` node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnFacts {
    /// What the session is to do.
    pub task: Arc<str>,
    /// The session's inputs.
    pub inputs: Arc<Map>,
    /// The path of the node.
    pub node: Arc<str>,
    /// What the node sees of the nodes before it: their outputs by id, or what its `input` filter leaves.
    pub input: Value,
    /// Findings that the node may see, in order.
    pub findings: Vec<Arc<Finding>>,
    /// Decisions that the node may see, in order.
    pub decisions: Vec<Arc<Decision>>,
    /// Variables of the shared context that the node may see.
    pub variables: BTreeMap<Arc<str>, Value>,
}
