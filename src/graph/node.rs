//! What is a step, and what waits for what? [`Node`] and [`Edge`].

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::value::{EffectClass, Expr, FailureKind, Role, RuleKind, TemplateIx, TextTemplate, Value, WriteSpec};

/// A step of a graph.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Its id in its graph, `[a-z][a-z0-9_]*`.
    pub id: Arc<str>,
    /// What it does.
    pub kind: NodeKind,
    /// When it starts.
    pub join: Join,
    /// When its join can no longer be met: skip it (`false`), or run it with what there is once every source has ended.
    pub short_run: bool,
    /// What becomes of sources that are still at it when the join is met.
    pub stragglers: Stragglers,
    /// What it sees of the nodes before it; `None`: their outputs by id.
    pub input: Option<Expr>,
    /// How often it is tried.
    pub retry: Option<Retry>,
    /// The longest that one attempt may take.
    pub timeout: Option<Duration>,
    /// Whether its failure counts as a warning and its `ok` edges as met.
    pub allow_failure: bool,
    /// Whether somebody handles its failure: an edge on `failed` or `done`, or `on_error`.
    pub caught: bool,
    /// Variables that it may write.
    pub writes: Vec<WriteSpec>,
}

/// What a node does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum NodeKind {
    /// An activation of an agent.
    Agent(Box<AgentNode>),
    /// One tool call, no model.
    Tool(Box<ToolNode>),
    /// An expression or a rule decides; its value is the output.
    Gate(GateBy),
    /// A person decides.
    Ask(Box<AskNode>),
    /// A place where the plan grows.
    Scope(Box<ScopeKind>),
}

impl Node {
    /// A node that does `kind` when all it waits for has succeeded, once, without a time limit.
    pub fn new(id: impl AsRef<str>, kind: NodeKind) -> Self {
        Self {
            id: Arc::from(id.as_ref()),
            kind,
            join: Join::All,
            short_run: false,
            stragglers: Stragglers::Cancel,
            input: None,
            retry: None,
            timeout: None,
            allow_failure: false,
            caught: false,
            writes: Vec::new(),
        }
    }
}

impl NodeKind {
    /// `agent`, `tool`, `gate`, `ask` or `scope`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Agent(_) => "agent",
            Self::Tool(_) => "tool",
            Self::Gate(_) => "gate",
            Self::Ask(_) => "ask",
            Self::Scope(_) => "scope",
        }
    }
}

/// What an activation is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Its own work.
    #[default]
    Work,
    /// Dividing the task.
    Delegate,
    /// Making one result of all findings.
    Synthesize,
    /// Voting on a proposal; uses reserved turns.
    Validate,
    /// One more look, with the others' positions at hand.
    Debate,
    /// Answering a colleague's question, from what it knew when that was asked. No file says so: it is where somebody asks.
    #[schemars(skip)]
    Answer,
}

impl Phase {
    /// The name that files and scripts use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Delegate => "delegate",
            Self::Synthesize => "synthesize",
            Self::Validate => "validate",
            Self::Debate => "debate",
            Self::Answer => "answer",
        }
    }

    /// Turns of a seat at most, over all its attempts, where its node has no `max_turns`: `own` (the profile's) for the agent's
    /// own work and for delegation, the reserved ones for the rest.
    pub fn turns(self, own: u32) -> u32 {
        match self {
            Self::Work | Self::Delegate => own,
            Self::Synthesize | Self::Validate | Self::Debate => super::RESERVED_TURNS,
            Self::Answer => super::ANSWER_TURNS,
        }
    }
}

/// An activation of an agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgentNode {
    /// Who.
    pub role: Role,
    /// What it is asked to do; `None`: its `brief`, else the session's task.
    pub task: Option<TextTemplate>,
    /// What it is asked to do, in words that are not a template: a sub-task, a question of a debate.
    pub brief: Option<Arc<str>>,
    /// What it is for.
    pub phase: Phase,
    /// In which words it counts as done.
    pub done_when: Option<Arc<str>>,
    /// A node of the same graph whose result is the proposal that this activation sees (`validate`).
    pub proposal: Option<u32>,
    /// Turns at most, where it is not the profile's.
    pub max_turns: Option<u32>,
    /// Whether it sees at each turn what its colleagues have said and found until then, and not only what its causal past did.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub live: bool,
    /// Whether its vote says if its `proposal`, a sub-task, is done: with an objection it fails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub check: bool,
}

impl AgentNode {
    /// An activation of `role` that is asked nothing of its own.
    pub fn new(role: Role, phase: Phase) -> Self {
        Self { role, task: None, brief: None, phase, done_when: None, proposal: None, max_turns: None, live: false, check: false }
    }
}

/// One tool call, no model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToolNode {
    /// The tool.
    pub tool: Arc<str>,
    /// Its arguments; every text in them is a template.
    pub args: Value,
    /// The texts in `args` that are not plain, by JSON pointer.
    pub templates: Vec<(Arc<str>, TextTemplate)>,
    /// What repeating it would do, as the tool declares at compile time.
    pub effect: EffectClass,
}

/// What decides at a gate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum GateBy {
    /// An expression.
    Expr(Expr),
    /// A rule, with the facts of its kind.
    Rule(RuleKind),
    /// The default of that kind where the team's scripts have no such function: `route` or `merge`, for these members.
    Members(RuleKind, Vec<Role>),
}

/// A durable question to a person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AskNode {
    /// The question.
    pub question: TextTemplate,
    /// The answers to choose from; empty for free text.
    pub options: Vec<Arc<str>>,
    /// When it lapses, from its asking, on the wall clock.
    pub deadline: Option<Duration>,
    /// The answer when it lapses; without one the node fails as `unanswered`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::value::present")]
    pub default: Option<Value>,
    /// Whom it goes to, for the record and for notifications.
    pub to: Option<Arc<str>>,
}

/// A link of an escalation chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscalationStep {
    /// Whom.
    pub to: Arc<str>,
    /// How long they have.
    pub deadline: Option<Duration>,
    /// How they are told (a command or URL).
    pub notify: Option<Arc<str>>,
}

/// How a scope grows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ScopeKind {
    /// One instance of `body` per item; its output is their outputs in item order.
    ForEach {
        /// A list.
        items: Expr,
        /// What the item is called in the body.
        name: Arc<str>,
        /// Items at most; more fail the node.
        max: u32,
        /// Items at a time.
        parallel: Option<u32>,
        /// What runs for each.
        body: TemplateIx,
    },
    /// Instances of `body` one after another, until the expression is true or `max` rounds have run; its output is the last round's.
    Repeat {
        /// Rounds at most.
        max: u32,
        /// Evaluated in the round that just ended.
        until: Option<Expr>,
        /// What runs in each round.
        body: TemplateIx,
    },
    /// One instance of `body`: a group of nodes, or a sub-team.
    Group {
        /// What runs.
        body: TemplateIx,
        /// The sub-team's inputs; `None` for a plain group, which sees what its surroundings see.
        with: Option<Vec<(Arc<str>, Expr)>>,
    },
    /// A DAG of sub-tasks, one agent node each; its output is theirs by id. What fails of them may be divided anew, round by round:
    /// those of the first round hang below the scope itself, those of the second below `2`, and so on.
    Subtasks {
        /// A list of [`crate::value::Subtask`].
        from: Expr,
        /// Sub-tasks at most.
        max: u32,
        /// How each sub-task's node is joined, timed and retried.
        like: Box<Node>,
        /// One after another, in the order of the list.
        one_by_one: bool,
        /// How many must succeed for the scope to end; `None`: all must end. The node's `stragglers` says what becomes of the rest.
        quorum: Option<u32>,
        /// Whether what did not succeed is divided anew, and by whom.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replan: Option<Replan>,
        /// Who says whether a sub-task with `done_when` is done; the coordinator says it of that agent's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check: Option<Role>,
    },
    /// Members one after another; who is next is the `handoff` rule's to say. Its output is the last one's.
    Relay {
        /// Who may take part, in default order.
        members: Vec<Role>,
        /// Handoffs at most, the first assignment not counted.
        max_handoffs: u32,
        /// How each activation is timed and retried.
        like: Box<Node>,
    },
    /// Members who talk: all begin with the task, rest when they have a result, and are woken by mail while they have turns left.
    /// It ends when all rest and no mail is in flight, or when the `settle` rule accepts. Its output is what each member last
    /// finished with, by role.
    Circle {
        /// Who takes part.
        members: Vec<Role>,
        /// How each activation is timed and retried.
        like: Box<Node>,
    },
    /// What becomes of positions that differ. Over findings its output is `{accepted, decisions}`; over votes
    /// `{accepted, votes, objections, value}`, where `value` is the proposal with `validation` (the votes) in it.
    Settle(SettleSpec),
}

/// How sub-tasks that did not succeed are divided anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replan {
    /// Who divides.
    pub by: Divider,
    /// Further rounds at most.
    pub max: u32,
}

/// Who divides a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Divider {
    /// The coordinator.
    Coordinator,
    /// The `route` rule.
    Rule,
}

/// How disagreement is settled at a scope.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SettleSpec {
    /// What is settled.
    pub over: SettleOver,
    /// Whose findings or votes.
    pub members: Vec<Role>,
    /// Debate rounds at most.
    pub max_debate_rounds: u32,
    /// How votes count.
    pub protocol: VoteProtocol,
    /// Who wins a tie; `None`: the position of the member that comes first in `members`.
    pub tie: Option<Role>,
    /// How an activation of a debate is timed and retried.
    pub like: Box<Node>,
}

/// What a settle scope settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettleOver {
    /// Findings on the same topic with different values.
    Findings,
    /// Votes on the proposal of the nodes that it follows.
    Votes,
    /// What members finished with, each a vote, under the topic `result`; and findings as above. The winner is the output.
    Result,
}

/// How votes count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VoteProtocol {
    /// Each by its confidence.
    #[default]
    Weighted,
    /// One each; more than half wins.
    Majority,
    /// All must agree.
    Unanimous,
}

/// When a node starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Join {
    /// When all its edges are met.
    #[default]
    All,
    /// At the first that is.
    Any,
    /// At the Nth that is.
    Quorum(u32),
}

/// What becomes of sources that are still at it when a join is met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stragglers {
    /// They are cancelled, unless somebody else waits for them.
    #[default]
    Cancel,
    /// They finish; what they say is recorded.
    Leave,
}

/// How often a failing attempt is tried again, and after how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts at most, the first included.
    pub max_attempts: u32,
    /// The waits between them.
    pub backoff: Backoff,
    /// The failures that are tried again; empty: those that [`FailureKind::is_retryable`] names.
    pub on: Vec<FailureKind>,
}

/// Waits that grow: `first`, then each `factor` times the one before, up to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backoff {
    /// Before the second attempt.
    pub first: Duration,
    /// At least 1.
    pub factor: f64,
    /// At most.
    pub max: Duration,
}

impl Backoff {
    /// The wait before attempt `attempt` (2 is the first retry).
    pub fn before(&self, attempt: u32) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(2)).unwrap_or(i32::MAX);
        let seconds = self.first.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        if seconds.is_finite() { Duration::try_from_secs_f64(seconds).unwrap_or(self.max).min(self.max) } else { self.max }
    }
}

/// What a node waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// When it counts as met.
    pub on: On,
}

/// When an edge counts as met, once its source has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum On {
    /// The source succeeded, or failed with `allow_failure`.
    #[default]
    Ok,
    /// The source failed or timed out.
    Failed,
    /// The source ended, in whatever way, skipped included.
    Done,
    /// The source succeeded and none of its edges with an expression is met.
    Else,
    /// The source succeeded and the expression over its `output` is true.
    When(Expr),
}
