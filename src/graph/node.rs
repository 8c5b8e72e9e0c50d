//! What is a step, and what waits for what? [`Node`] and [`Edge`].

use std::{collections::BTreeMap, sync::Arc, time::Duration};

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
    /// How long it waits for its join, from when the first of its sources is ready; then it goes on with what has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_deadline: Option<Deadline>,
    /// How long what a scope grows has; then the scope goes on with what has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_deadline: Option<Deadline>,
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
    /// Whether what it came to in an earlier session is taken over, where a session does that.
    #[serde(default, skip_serializing_if = "Reuse::is_default")]
    pub reuse: Reuse,
}

/// Whether what an agent or a tool came to in an earlier session is taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reuse {
    /// What a model replied to the same request; tools are called again, for what they see may have changed.
    #[default]
    Unchanged,
    /// Nothing.
    Never,
    /// What tools returned to the same calls as well, irreversible ones included.
    Always,
}

impl Reuse {
    /// Whether it is what holds where a file says nothing.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
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
            join_deadline: None,
            work_deadline: None,
            input: None,
            retry: None,
            timeout: None,
            allow_failure: false,
            caught: false,
            writes: Vec::new(),
            reuse: Reuse::default(),
        }
    }
}

impl Node {
    /// The member whose work it is: its agent, or the member that is a team.
    pub fn role(&self) -> Option<&Role> {
        match &self.kind {
            NodeKind::Agent(agent) => Some(&agent.role),
            NodeKind::Scope(scope) => match &**scope {
                ScopeKind::Group { seat, .. } => seat.as_ref().map(|seat| &seat.member),
                ScopeKind::ForEach { .. } | ScopeKind::Repeat { .. } | ScopeKind::Subtasks { .. } | ScopeKind::Relay { .. } => {
                    None
                }
                ScopeKind::Circle { .. } | ScopeKind::Settle(_) => None,
            },
            NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) => None,
        }
    }

    /// Whether an agent does its own work here, or a member that is a team works.
    pub fn works(&self) -> bool {
        let agent = matches!(&self.kind, NodeKind::Agent(agent) if agent.phase == Phase::Work);
        agent || self.seat().is_some()
    }

    /// What whoever works here is asked to do, in words that are no template.
    pub fn brief(&self) -> Option<&Arc<str>> {
        if let NodeKind::Agent(agent) = &self.kind { agent.brief.as_ref() } else { self.seat()?.brief.as_ref() }
    }

    /// In which words it counts as done.
    pub fn done_when(&self) -> Option<&Arc<str>> {
        if let NodeKind::Agent(agent) = &self.kind { agent.done_when.as_ref() } else { self.seat()?.done_when.as_ref() }
    }

    /// The place of a member that is a team, where that works here.
    pub fn seat(&self) -> Option<&TeamSeat> {
        let NodeKind::Scope(scope) = &self.kind else { return None };
        if let ScopeKind::Group { seat, .. } = &**scope { seat.as_deref() } else { None }
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
    /// Whether what it returns comes from outside, as the tool declares at compile time; one that is not known then does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untrusted: bool,
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
    /// How they are told: a command line or an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Arc<str>>,
}

/// A link of an escalation chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscalationStep {
    /// Whom.
    pub to: Arc<str>,
    /// How long they have.
    pub deadline: Option<Duration>,
    /// How they are told: a command line or an address.
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
        /// The member that the sub-team is, where it works as one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seat: Option<Box<TeamSeat>>,
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
    /// Members one after another; who is next is the `handoff` rule's to say, else the agent's own, else the order's. Its output is
    /// the last one's.
    Relay {
        /// Who may take part, in default order.
        members: Vec<Role>,
        /// Handoffs at most, the first assignment not counted.
        max_handoffs: u32,
        /// Whom each member may hand over to by a call of `handoff`; nobody where it does not stand here.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        targets: BTreeMap<Role, Vec<Role>>,
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
    /// `{accepted, votes, objections, abstained, value}`, where `value` is the proposal with `validation` (the votes) in it.
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

/// The place of a member that is a team: what [`AgentNode`] is for one that is an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TeamSeat {
    /// Who, in the team around it.
    pub member: Role,
    /// What it is asked to do; `None`: its `brief`, else the task of the team around it.
    pub task: Option<TextTemplate>,
    /// What it is asked to do, in words that are not a template.
    pub brief: Option<Arc<str>>,
    /// In which words it counts as done.
    pub done_when: Option<Arc<str>>,
    /// Whether each of its agents speaks for it in the team around it, and not its coordinator alone.
    #[serde(default)]
    pub open: bool,
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
    /// Each by its confidence times the share of what it held in earlier sessions of the team that stood; half for who is new.
    TrackRecord,
    /// One each; more than half of the votes cast wins.
    Majority,
    /// All who vote must agree.
    Unanimous,
    /// Each may approve several values, as a list; the one that most approve wins.
    Approval,
}

impl VoteProtocol {
    /// The name that files use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Weighted => "weighted",
            Self::TrackRecord => "track_record",
            Self::Majority => "majority",
            Self::Unanimous => "unanimous",
            Self::Approval => "approval",
        }
    }
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

/// How long something is waited for, in running time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// How long.
    pub after: Duration,
    /// How many must be there by then; with fewer it fails as timed out.
    pub at_least: u32,
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
