//! How does a file spell a team? [`TeamFile`] and its parts, as written.

use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{
    Delegation, InputKind, Pattern,
    detect::DetectFile,
    node_file::{NodeFile, RetryFile, ReuseFile, WriteFile},
    profile::CATALOG_COLUMNS,
    read::{Found, Must, Named, OneOrMany, Read, Spot, words, written},
    scalar::{Anything, Dollars, Expression, Id, Span, Telling, Template, Whole, Words},
    tools::{HttpFile, MetricsFile, ToolFile},
    tree::{Kind, Node},
};
use crate::graph::{EscalationPolicy, Stragglers, Untrusted, VoteProtocol};
pub(super) use crate::graph::{MAX_DELEGATION_DEPTH as DEFAULT_MAX_DEPTH, MAX_TASKS as DEFAULT_MAX_TASKS};

/// A member's place among equals, where it does not say.
pub const DEFAULT_PRIORITY: u32 = 100;
/// An activation's longest time in seconds, where the team does not say.
pub const DEFAULT_TIMEOUT_SECONDS: u64 = 300;
/// Rounds after a rejected proposal, where the team does not say.
pub const DEFAULT_MAX_REVISIONS: u32 = 1;
/// Handoffs of a relay, where the team does not say; a relay of more members has one for each step.
pub const DEFAULT_MAX_HANDOFFS: u32 = 8;
/// Questions of a seat, where the team does not say.
pub const DEFAULT_MAX_ASKS: u32 = 3;
/// Rounds of debate, where the team does not say.
pub const DEFAULT_MAX_DEBATE_ROUNDS: u32 = 1;
/// Calls of a turn, where the team does not say.
pub const DEFAULT_CALLS_PER_TURN: u32 = 8;
/// Calls of models and tools in flight, where the team does not say.
pub const DEFAULT_MAX_PARALLEL: u32 = 8;
/// The largest bound that a file may name.
pub const MAX_COUNT: u64 = 1_000_000;

/// A bound that may be 0.
pub(super) type Count = Whole<0, MAX_COUNT>;
/// A bound of at least 1.
pub(super) type Positive = Whole<1, MAX_COUNT>;

words! {
    Pattern, "a collaboration pattern": CoordinatorWorker = "coordinator_worker", PeerToPeer = "peer_to_peer",
        Hierarchical = "hierarchical", Sequential = "sequential", Parallel = "parallel", Graph = "graph";
    VoteProtocol, "a voting protocol": Weighted = "weighted", TrackRecord = "track_record", Majority = "majority",
        Unanimous = "unanimous", Approval = "approval";
    InputKind, "a type of input": String = "string", Integer = "integer", Number = "number", Boolean = "boolean",
        List = "list", Map = "map", Folder = "folder", File = "file";
    EscalationPolicy, "an escalation policy": Never = "never", OnDisagreement = "on_disagreement", OnUncertainty = "on_uncertainty",
        OnFailure = "on_failure", OnTimeout = "on_timeout", OnBudget = "on_budget", OnStall = "on_stall",
        Always = "always";
    Delegation, "a way to divide the task": Coordinator = "coordinator", Rule = "rule", All = "all";
    Stragglers, "a way with stragglers": Cancel = "cancel", Leave = "leave";
    Untrusted, "a way with what came from outside": Ask = "ask", Allow = "allow", Deny = "deny";
    ResultWord, "a way to a result": Coordinator = "coordinator", Merge = "merge", Vote = "vote", Rapporteur = "rapporteur";
}

written! {
    /// A team of agents: who works together, and how.
    #[schemars(title = "Synod team", inline)]
    struct TeamFile is "a team", hints CATALOG_COLUMNS;
    /// The display name.
    name: Must<Words>,
    /// One sentence for lists.
    description: Option<Words>,
    /// What it is for, such as `incident_response`.
    use_case: Option<Words>,
    /// Labels for searches.
    tags: Option<Vec<Words>>,
    /// Whether it may run.
    #[schemars(extend("default" = true))]
    is_active: Option<Spot<bool>>,
    /// Whether the whole organization may use it.
    #[schemars(extend("default" = false))]
    is_public: Option<bool>,
    /// The shape: who works when.
    collaboration_pattern: Must<Spot<Pattern>>,
    /// Who leads: a profile with the role `coordinator`. Its id in the team is `coordinator`.
    coordinator: Option<CoordinatorFile>,
    /// Who works: each an agent, or a team that stands in for one.
    member_agents: Option<Vec<MemberFile>>,
    /// How they work together.
    coordination_rules: Option<RulesFile>,
    /// Who may message whom, by role; a role that is not named may message all.
    #[schemars(extend("propertyNames" = { "pattern": super::scalar::ID_PATTERN }))]
    may_write: Option<Named<OneOrMany<Spot<Id>>>>,
    /// Whom the members of a relay may hand their work over to by a call of `handoff`, by role; a role that is not named may hand
    /// over to all others of the relay.
    #[schemars(extend("propertyNames" = { "pattern": super::scalar::ID_PATTERN }))]
    may_hand_off: Option<Named<OneOrMany<Spot<Id>>>>,
    /// How its agents read what is said to them, by type of message: templates that may name `id`, `type`, `from`, `to`, `content`,
    /// `metadata` and `private`. What comes of one stands between the marks of data, as it does without a template.
    messages: Option<LettersFile>,
    /// Who makes the result.
    result: Option<Spot<ResultFile>>,
    /// Rhai scripts with the team's rules, relative to this file, else in the shipped library.
    rules: Option<OneOrMany<Spot<Words>>>,
    /// Programs that its agents may call as tools, by name.
    tools: Option<Named<ToolFile>>,
    /// What the tool `http` may ask; without it there is no such tool.
    http: Option<HttpFile>,
    /// Servers of metrics that `query_metrics` may ask, by name; each answers as Prometheus does.
    #[schemars(extend("propertyNames" = { "pattern": super::scalar::ID_PATTERN }))]
    metrics: Option<Named<MetricsFile>>,
    /// What a run may use up.
    limits: Option<LimitsFile>,
    /// What a run takes, by name.
    #[schemars(extend("propertyNames" = { "pattern": super::scalar::ID_PATTERN }))]
    inputs: Option<Named<InputFile>>,
    /// Whom an escalation to a person reaches, in order.
    escalation: Option<Vec<StepFile>>,
    /// The nodes of a `graph` team, by id.
    #[schemars(extend("propertyNames" = { "pattern": super::scalar::ID_PATTERN }))]
    nodes: Option<Named<NodeFile>>,
    /// Nodes that run at the very end, whatever the outcome.
    #[schemars(extend("propertyNames" = { "pattern": super::scalar::ID_PATTERN }))]
    finally: Option<Named<NodeFile>>,
    /// The result of a `graph` team, an expression; without it the sole last node's output, or a map of the last ones'.
    output: Option<Expression>,
}

written! {
    /// How messages are read, by type.
    struct LettersFile is "templates of messages",
        hints &[("task_assignment", "a task is no mail: the profile's `prompt_template` says how it is read")];
    /// What a colleague found.
    finding: Option<Template>,
    /// What a colleague wants to know.
    question: Option<Template>,
    /// What a colleague answered.
    response: Option<Template>,
    /// What a colleague passes on.
    handoff: Option<Template>,
    /// That a colleague is stuck or unsure.
    escalation: Option<Template>,
    /// For information.
    note: Option<Template>,
}

written! {
    /// Who leads, with changes to the profile.
    struct CoordinatorMap is "a coordinator", hints &[("role", "the coordinator's id is always `coordinator`")];
    /// The profile: a path relative to this file, else in the shipped library.
    agent: Spot<Words>,
    /// Keys of the profile that are other in this team.
    set: Option<Tree>,
    /// Variables of the shared context that it may write.
    writes: Option<OneOrMany<WriteFile>>,
    /// What its activations together may use up.
    limits: Option<OwnLimitsFile>,
    /// In a run that takes over what is unchanged (`--reuse`): `false` for nothing of its own, `always` for what its tools returned to
    /// the same calls as well. What a node says itself comes first.
    #[schemars(extend("default" = true))]
    reuse: Option<ReuseFile>,
}

written! {
    /// A member.
    #[schemars(extend("oneOf" = [{ "required": ["agent"] }, { "required": ["team"] }]))]
    struct MemberFile is "a member", hints &[("agent_id", "name the profile's file in `agent`"), ("model", "put keys of the profile into `set: { … }`")];
    /// The profile: a path relative to this file, else in the shipped library.
    agent: Option<Spot<Words>>,
    /// A team that stands in for an agent; its coordinator speaks and votes for it. How long it may take and what is tried again in it
    /// stands in its own file.
    team: Option<Spot<Words>>,
    /// Its id in the team.
    role: Must<Spot<Id>>,
    /// Its place among equals, 1 first: orders starts and breaks ties.
    #[schemars(extend("default" = DEFAULT_PRIORITY))]
    priority: Option<Positive>,
    /// Keys of the profile that are other in this team.
    set: Option<Tree>,
    /// The inputs of a member that is a team: expressions by name.
    with: Option<Named<Expression>>,
    /// Of a member that is a team: whether each of its agents may write to the members of this team, who see what it finds. By
    /// default only its coordinator speaks for it.
    #[schemars(extend("default" = false))]
    open: Option<bool>,
    /// Variables of the shared context that it may write.
    writes: Option<OneOrMany<WriteFile>>,
    /// What its activations, or its runs if it is a team, may use up together; then it fails as `budget`, and the others go on.
    limits: Option<OwnLimitsFile>,
    /// Of an agent, in a run that takes over what is unchanged (`--reuse`): `false` for nothing of its own, `always` for what its tools
    /// returned to the same calls as well. What a node says itself comes first.
    #[schemars(extend("default" = true))]
    reuse: Option<ReuseFile>,
}

written! {
    /// What an agent may use up in a session.
    struct OwnLimitsFile is "the `limits` of an agent", hints &[
        ("cost", "did you mean `cost_usd`?"),
        ("wall_seconds", "an agent's time is limited by `timeout_per_agent_seconds`"),
    ];
    /// Turns of all its activations together.
    turns: Option<Whole<1, { i64::MAX as u64 }>>,
    /// Tokens read and written.
    tokens: Option<Whole<1, { i64::MAX as u64 }>>,
    /// Cost in US dollars.
    cost_usd: Option<Dollars>,
}

written! {
    /// How a team works together.
    #[derive(Default)]
    struct RulesFile is "`coordination_rules`", hints &[
        ("timeout", "did you mean `timeout_per_agent_seconds`?"),
        ("parallel", "did you mean `parallel_execution` or `max_parallel`?"),
    ];
    /// Members work at once; `false`: by priority, one after another.
    #[schemars(extend("default" = true))]
    parallel_execution: Option<bool>,
    /// All must end before the team goes on; `false`: as soon as `quorum` succeeded.
    #[schemars(extend("default" = true))]
    wait_for_all: Option<bool>,
    /// With `wait_for_all: false`: how many must succeed; 1 is any.
    #[schemars(extend("default" = 1))]
    quorum: Option<Spot<Positive>>,
    /// What becomes of those who are still at it.
    #[schemars(extend("default" = "cancel"))]
    stragglers: Option<Stragglers>,
    /// How long the work of all members has: then the team goes on with what is there, if anything is, and `stragglers` says what
    /// becomes of the rest.
    deadline_seconds: Option<Span>,
    /// The longest that an activation may take.
    #[schemars(extend("default" = DEFAULT_TIMEOUT_SECONDS))]
    timeout_per_agent_seconds: Option<Span>,
    /// When to escalate.
    #[schemars(extend("default" = ["on_disagreement", "on_uncertainty", "on_stall"]))]
    escalation_policy: Option<Spot<OneOrMany<EscalationPolicy>>>,
    /// Who votes on the proposal: roles, or `true` for all members.
    #[schemars(extend("default" = false))]
    validate: Option<ValidateFile>,
    /// Rounds after a rejected proposal.
    #[schemars(extend("default" = DEFAULT_MAX_REVISIONS))]
    max_revisions: Option<Count>,
    /// Who divides the task among the members of a `coordinator_worker` team: the coordinator, the `route` rule, or nobody, so that
    /// all members work on the whole of it. By default `rule` where the scripts have `route`, else `coordinator`.
    delegation: Option<Spot<Delegation>>,
    /// Sub-tasks of one delegation.
    #[schemars(extend("default" = DEFAULT_MAX_TASKS))]
    max_tasks: Option<Positive>,
    /// Levels of delegation: with more than 1 whoever has a sub-task may divide it once among colleagues.
    #[schemars(extend("default" = DEFAULT_MAX_DEPTH))]
    max_depth: Option<Positive>,
    /// Further rounds in which whoever divides the task divides anew what did not succeed. By default 1 where that is the
    /// coordinator, else none.
    max_replans: Option<Count>,
    /// Who says whether a sub-task with `done_when` is done: the coordinator (`true`), or a role, for whose own sub-tasks it is the
    /// coordinator. With an objection the sub-task fails.
    #[schemars(extend("default" = false))]
    check_done: Option<CheckFile>,
    /// Handoffs of a relay.
    #[schemars(extend("default" = DEFAULT_MAX_HANDOFFS))]
    max_handoffs: Option<Count>,
    /// Questions of a seat to other agents.
    #[schemars(extend("default" = DEFAULT_MAX_ASKS))]
    max_asks: Option<Count>,
    /// What becomes of an irreversible call with an argument that came from outside (the web, a log, an MCP server that is not
    /// `trusted`), where no `permit` rule says so: a person is asked, it goes ahead, or it is refused.
    #[schemars(extend("default" = "ask"))]
    untrusted: Option<Untrusted>,
    /// What agents are watched for: each of these tells an agent that goes round in circles, then stops it and escalates
    /// (`on_stall`). `off` for none.
    detect: Option<DetectFile>,
    /// Rounds of debate.
    #[schemars(extend("default" = DEFAULT_MAX_DEBATE_ROUNDS))]
    max_debate_rounds: Option<Count>,
    /// Tool calls of one turn.
    #[schemars(extend("default" = DEFAULT_CALLS_PER_TURN))]
    calls_per_turn: Option<Positive>,
    /// Calls of models and tools in flight.
    #[schemars(extend("default" = DEFAULT_MAX_PARALLEL))]
    max_parallel: Option<Positive>,
    /// Whether the first failure stops the rest.
    #[schemars(extend("default" = false))]
    fail_fast: Option<bool>,
    /// How often a failing activation is tried.
    retry: Option<RetryFile>,
}

written! {
    /// What a run may use up; whatever is reached first ends it as `out_of_budget`.
    struct LimitsFile is "`limits`", hints &[
        ("cost", "did you mean `cost_usd`?"),
        ("time", "did you mean `wall_seconds`?"),
        ("timeout", "did you mean `wall_seconds`?"),
    ];
    /// Turns of all agents together.
    turns: Option<Whole<1, { i64::MAX as u64 }>>,
    /// Tokens read and written.
    tokens: Option<Whole<1, { i64::MAX as u64 }>>,
    /// Cost in US dollars.
    cost_usd: Option<Dollars>,
    /// Running time; the time spent waiting for people does not count.
    wall_seconds: Option<Span>,
}

written! {
    /// An input of a team.
    struct InputMap is "an input", hints &[];
    /// Its type; a `folder` or `file` may be read by the file tools.
    r#type: InputKind,
    /// Its value where a run gives none; without it a run must.
    default: Option<Maybe>,
    /// One sentence for help texts.
    description: Option<Words>,
}

written! {
    /// A link of the escalation chain.
    struct StepFile is "a step of the escalation", hints &[];
    /// Whom.
    to: Words,
    /// How long they have.
    deadline: Option<Span>,
    /// How they are told: an `https` address that gets a POST, or a command line that reads it; both a JSON object with `question`,
    /// `options`, `deadline`, `answer` (the command that answers) and more. With `SYNOD_NOTIFY_SECRET` it is signed.
    notify: Option<Telling>,
}

/// Who leads: a reference, or a map.
#[derive(Clone, Debug)]
pub(super) struct CoordinatorFile(pub(super) CoordinatorMap);

impl Read for CoordinatorFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        match node.kind {
            Kind::Map(_) => CoordinatorMap::read(node, found).map(Self),
            _ => Some(Self(CoordinatorMap {
                agent: Spot::read(node, found)?,
                set: None,
                writes: None,
                limits: None,
                reuse: None,
                keys: Default::default(),
            })),
        }
    }
}

/// An input: its type, or a map.
#[derive(Clone, Debug)]
pub(super) struct InputFile(pub(super) InputMap);

impl Read for InputFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        match node.kind {
            Kind::Map(_) => InputMap::read(node, found).map(Self),
            _ => {
                let r#type = InputKind::read(node, found)?;
                Some(Self(InputMap { r#type, default: None, description: None, keys: Default::default() }))
            }
        }
    }
}

/// Any value, and nothing too.
#[derive(Clone, Debug)]
pub(super) struct Maybe(pub(super) Anything);

impl Read for Option<Maybe> {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        Some(Some(Maybe(Anything::read(node, found)?)))
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn broken() -> Option<Self> {
        Some(None)
    }
}

/// Who votes.
#[derive(Clone, Debug)]
pub(super) enum ValidateFile {
    All(bool),
    Roles(Vec<Spot<Id>>),
}

impl Read for ValidateFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        match node.kind {
            Kind::Bool(all) => Some(Self::All(all)),
            _ => OneOrMany::read(node, found).map(|roles| Self::Roles(roles.0)),
        }
    }
}

/// Who checks sub-tasks: nobody, the coordinator, or a role.
#[derive(Clone, Debug)]
pub(super) enum CheckFile {
    Coordinator(bool),
    Role(Spot<Id>),
}

impl Read for CheckFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        match node.kind {
            Kind::Bool(coordinator) => Some(Self::Coordinator(coordinator)),
            _ => Spot::read(node, found).map(Self::Role),
        }
    }
}

/// The ways to a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum ResultWord {
    Coordinator,
    Merge,
    Vote,
    Rapporteur,
}

written! {
    /// Who makes the result.
    struct ResultMap is "`result`", hints &[];
    /// The coordinator's synthesis, the `merge` rule, or a vote: what each member finishes with is its vote (`value`, or all of it
    /// but `confidence` and `reason`), the winner is the output, and the report has the tally and the dissent.
    by: Option<ResultWord>,
    /// How votes count.
    #[schemars(extend("default" = "weighted"))]
    protocol: Option<VoteProtocol>,
    /// Who wins a tie: a role; by default the position of the member with the highest priority.
    tie: Option<Spot<Id>>,
    /// A vote between what the members finish with, and its protocol.
    vote: Option<VoteFile>,
    /// The role whose synthesis is the result.
    rapporteur: Option<Spot<Id>>,
}

written! {
    /// How a vote is held.
    struct VoteFile is "a vote", hints &[];
    /// How votes count.
    #[schemars(extend("default" = "weighted"))]
    protocol: Option<VoteProtocol>,
    /// Who wins a tie: a role; by default the position of the member with the highest priority.
    tie: Option<Spot<Id>>,
}

/// Who makes the result: a word, or a map.
#[derive(Clone, Debug)]
pub(super) struct ResultFile(pub(super) ResultMap);

impl Read for ResultFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        match node.kind {
            Kind::Map(_) => ResultMap::read(node, found).map(Self),
            _ => {
                let by = Some(ResultWord::read(node, found)?);
                Some(Self(ResultMap { by, protocol: None, tie: None, vote: None, rapporteur: None, keys: Default::default() }))
            }
        }
    }
}

/// A part of a file as it stands, read later.
#[derive(Clone, Debug)]
pub(super) struct Tree(pub(super) Arc<Node>);

impl Read for Tree {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        if !matches!(node.kind, Kind::Map(_)) {
            found.push(super::read::wrong(node, "a map").help("such as `set: { model: claude-haiku }`"));
            return None;
        }
        Some(Self(Arc::new(node.clone())))
    }
}

/// The schema of what may be written short or as a map.
macro_rules! short_or_map {
    ($($name:ident: $($form:ty)|+;)+) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let forms = [$(generator.subschema_for::<$form>()),+];
                schemars::json_schema!({ "anyOf": forms })
            }
        }
    )+};
}
pub(super) use short_or_map;

short_or_map! {
    CoordinatorFile: Words | CoordinatorMap;
    InputFile: InputKind | InputMap;
    ValidateFile: bool | OneOrMany<Id>;
    CheckFile: bool | Id;
    ResultFile: ResultWord | ResultMap;
}

impl JsonSchema for Maybe {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Maybe".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({})
    }
}

impl JsonSchema for Tree {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ProfileChanges".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        super::schema::part_of_a_profile(generator)
    }
}
