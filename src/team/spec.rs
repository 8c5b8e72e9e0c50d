//! What does a team come to once every reference is followed? [`Team`], and [`NodeSpec`], the language that every pattern
//! expands into.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    graph::{
        Deadline, Detect, EscalationPolicy, EscalationStep, Join, Limits, Phase, Replan, Retry, Reuse, SettleOver, Stragglers,
        Untrusted, VoteProtocol,
    },
    value::{EffectClass, MessageKind, Place, Profile, Role, TeamTools, Value, WriteSpec},
};

/// A text of the author's with its place: an expression or a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// As written.
    pub source: Arc<str>,
    /// Where.
    pub place: Place,
}

/// A team with every reference followed and every default filled in.
#[derive(Clone, Debug)]
pub struct Team {
    /// Its file, as it was named.
    pub file: Arc<str>,
    /// The display name.
    pub name: Arc<str>,
    /// One sentence for lists.
    pub description: Option<Arc<str>>,
    /// What it is for, such as `incident_response`.
    pub use_case: Option<Arc<str>>,
    /// Labels for searches.
    pub tags: Vec<Arc<str>>,
    /// Whether the whole organization may use it.
    pub is_public: bool,
    /// The shape.
    pub pattern: Pattern,
    /// Who leads; its `role` in the team is `coordinator`.
    pub coordinator: Option<MemberSpec>,
    /// Members by priority, then as declared.
    pub members: Vec<MemberSpec>,
    /// How they work together.
    pub coordination: Coordination,
    /// Who may write to whom; absent roles may write to all.
    pub may_write: BTreeMap<Role, Vec<Role>>,
    /// Whom the members of a relay may hand over to; absent roles may hand over to all others of it.
    pub may_hand_off: BTreeMap<Role, Vec<Role>>,
    /// How messages are read, by type.
    pub letters: BTreeMap<MessageKind, Text>,
    /// Who makes the result.
    pub result: ResultBy,
    /// The rule scripts.
    pub rules: Vec<Script>,
    /// The tools that it and the teams in it bring along.
    pub tools: TeamTools,
    /// What the file allows.
    pub limits: Limits,
    /// The inputs it takes, in declared order.
    pub inputs: Vec<InputSpec>,
    /// The chain of people.
    pub escalation: Vec<EscalationStep>,
    /// The nodes of a `graph` team; empty for the other patterns.
    pub nodes: Vec<NodeSpec>,
    /// Nodes that run at the very end, whatever the outcome.
    pub finally: Vec<NodeSpec>,
    /// The result of a `graph` team.
    pub output: Option<Text>,
    /// Every file that was read, by name: what the run depends on.
    pub sources: BTreeMap<String, Arc<str>>,
}

/// A named shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// One coordinator, many workers.
    CoordinatorWorker,
    /// Everybody to everybody.
    PeerToPeer,
    /// Coordinators of coordinators.
    Hierarchical,
    /// One after another.
    Sequential,
    /// All at once.
    Parallel,
    /// As the file spells it out.
    Graph,
}

impl Pattern {
    /// The name that files use.
    pub fn name(self) -> &'static str {
        match self {
            Self::CoordinatorWorker => "coordinator_worker",
            Self::PeerToPeer => "peer_to_peer",
            Self::Hierarchical => "hierarchical",
            Self::Sequential => "sequential",
            Self::Parallel => "parallel",
            Self::Graph => "graph",
        }
    }
}

/// A member: an agent, or a team that stands in for one.
#[derive(Clone, Debug)]
pub struct MemberSpec {
    /// Its id in the team.
    pub role: Role,
    /// Where it is declared.
    pub place: Place,
    /// Its place among equals, 1 first.
    pub priority: u32,
    /// Its profile, `set` applied; of a sub-team, its coordinator's.
    pub profile: Arc<Profile>,
    /// The sub-team, where the member is one.
    pub team: Option<Arc<Team>>,
    /// The sub-team's inputs.
    pub with: Vec<(Arc<str>, Text)>,
    /// Whether each agent of the sub-team may write to the members of this team, who see what it finds.
    pub open: bool,
    /// Variables that it may write.
    pub writes: Vec<WriteSpec>,
    /// What its activations together may use up.
    pub limits: Limits,
    /// Whether what it came to in an earlier session is taken over.
    pub reuse: Reuse,
}

/// How a team works together; defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Coordination {
    /// `false`: by priority, one after another.
    pub parallel_execution: bool,
    /// How many must succeed; `None`: all must end.
    pub quorum: Option<u32>,
    /// What becomes of the rest.
    pub stragglers: Stragglers,
    /// How long the work of all members has.
    pub deadline: Option<Duration>,
    /// An activation's longest time.
    pub timeout_per_agent: Duration,
    /// When to escalate.
    pub escalation_policy: Vec<EscalationPolicy>,
    /// Who votes on the proposal.
    pub validate: Vec<Role>,
    /// Rounds after a rejected proposal.
    pub max_revisions: u32,
    /// Delegated sub-tasks at most.
    pub max_tasks: u32,
    /// Levels of delegation at most.
    pub max_depth: u32,
    /// Further rounds of delegation; `None`: as many as suit whoever divides.
    pub max_replans: Option<u32>,
    /// Who divides the task; `None`: the `route` rule, where there is one, else the coordinator.
    pub delegation: Option<Delegation>,
    /// Who says whether a sub-task with `done_when` is done.
    pub check_done: Option<Role>,
    /// Handoffs of a relay.
    pub max_handoffs: u32,
    /// Questions of a seat.
    pub max_asks: u32,
    /// What becomes of an irreversible call with an argument from outside.
    pub untrusted: Untrusted,
    /// What agents are watched for.
    pub detect: Detect,
    /// Rounds of debate.
    pub max_debate_rounds: u32,
    /// Calls of a turn.
    pub calls_per_turn: u32,
    /// Calls of models and tools in flight.
    pub max_parallel: u32,
    /// Whether the first failure stops the rest.
    pub fail_fast: bool,
    /// How often an agent's activation is tried.
    pub retry: Option<Retry>,
}

/// Who divides the task of a `coordinator_worker` team.
#[derive(Clone, Copy, Debug, PartialEq, Eq, schemars::JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Delegation {
    /// The coordinator.
    Coordinator,
    /// The `route` rule.
    Rule,
    /// Nobody: every member works on the whole task.
    All,
}

/// Who makes the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultBy {
    /// The coordinator's synthesis.
    Coordinator,
    /// The `merge` rule; without one, a map from role to output.
    Merge,
    /// A vote: what each member finished with is its vote, and the winner is the result.
    Vote {
        /// How votes count.
        protocol: VoteProtocol,
        /// Who wins a tie: a role; `None`: the position of the member with the highest priority.
        tie: Option<Role>,
    },
    /// A member's synthesis.
    Rapporteur(Role),
}

/// A script with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its file.
    pub file: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
}

/// An input of a team.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSpec {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub kind: InputKind,
    /// Its default; without one it must be given.
    pub default: Option<Value>,
    /// One sentence for help texts.
    pub description: Option<Arc<str>>,
}

/// The type of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// A list.
    List,
    /// A map.
    Map,
    /// A folder that the file tools may read.
    Folder,
    /// A file that the file tools may read.
    File,
}

/// A node of the graph language.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// Its id.
    pub id: Arc<str>,
    /// Where its id stands.
    pub place: Place,
    /// What it does.
    pub what: What,
    /// What it waits for, in declared order.
    pub after: Vec<After>,
    /// When it starts.
    pub join: Join,
    /// `short: run`.
    pub short_run: bool,
    /// What becomes of stragglers.
    pub stragglers: Stragglers,
    /// How long it waits for its join.
    pub join_deadline: Option<Deadline>,
    /// How long what it grows has.
    pub work_deadline: Option<Deadline>,
    /// What it sees.
    pub input: Option<Text>,
    /// The node that handles its failure.
    pub on_error: Option<(Arc<str>, Place)>,
    /// How often it is tried.
    pub retry: Option<Retry>,
    /// The longest an attempt may take.
    pub timeout: Option<Duration>,
    /// Whether its failure is a warning.
    pub allow_failure: bool,
    /// Calls in flight at most below it.
    pub concurrency: Option<u32>,
    /// Variables that it may write.
    pub writes: Vec<WriteSpec>,
    /// Whether what it came to in an earlier session is taken over.
    pub reuse: Reuse,
    /// How long it is expected to take.
    pub expect_seconds: Option<u32>,
}

/// A dependency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// The node that ends first.
    pub node: Arc<str>,
    /// Where it is named.
    pub place: Place,
    /// When it counts as met.
    pub on: AfterOn,
}

/// When a dependency counts as met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterOn {
    /// It succeeded.
    Ok,
    /// It failed.
    Failed,
    /// It ended.
    Done,
    /// None of its conditions was met.
    Else,
    /// A condition over its output.
    When(Text),
}

/// What a node does, as the graph language says it.
#[derive(Clone, Debug)]
pub enum What {
    /// `agent: ROLE`.
    Agent {
        /// Who.
        role: Role,
        /// What it is asked.
        task: Option<Text>,
        /// What it is for.
        phase: Phase,
        /// `proposal: NODE`: what it votes on.
        proposal: Option<(Arc<str>, Place)>,
        /// When it counts as done.
        done_when: Option<Arc<str>>,
        /// Turns at most.
        max_turns: Option<u32>,
        /// `live: true`: it sees what is said while it is at work.
        live: bool,
    },
    /// `tool: NAME`.
    Tool(ToolSpecNode),
    /// `gate: EXPR`.
    Gate(Text),
    /// `rule: NAME`.
    Rule {
        /// The function.
        name: Arc<str>,
        /// `members: [ROLE]`: whom the default of `route` and `merge` concerns; empty: all.
        members: Vec<Role>,
    },
    /// `ask: TEXT`.
    Ask(AskSpec),
    /// `for_each: EXPR`.
    ForEach {
        /// The list.
        items: Text,
        /// What an item is called.
        name: Arc<str>,
        /// Items at most.
        max: u32,
        /// Items at a time.
        parallel: Option<u32>,
        /// What runs for each.
        body: Body,
    },
    /// `repeat: { max, until }`.
    Repeat {
        /// Rounds at most.
        max: u32,
        /// When to stop.
        until: Option<Text>,
        /// What runs in each round.
        body: Body,
    },
    /// `nodes: { … }` alone, or `team: FILE`.
    Group {
        /// What runs.
        body: Body,
    },
    /// `subtasks: EXPR`.
    Subtasks {
        /// The list of sub-tasks.
        from: Text,
        /// Sub-tasks at most.
        max: u32,
        /// In the order of the list.
        one_by_one: bool,
        /// How many must succeed.
        quorum: Option<u32>,
        /// Whether what did not succeed is divided anew.
        replan: Option<Replan>,
        /// `check_done: ROLE`: who says whether a sub-task is done.
        check: Option<Role>,
    },
    /// `relay: [ROLE]`.
    Relay {
        /// Who may take part.
        members: Vec<Role>,
        /// Handoffs at most.
        max_handoffs: u32,
    },
    /// `circle: [ROLE]`.
    Circle {
        /// Who takes part.
        members: Vec<Role>,
    },
    /// `settle: findings | votes`.
    Settle {
        /// What is settled.
        over: SettleOver,
        /// Whose.
        members: Vec<Role>,
        /// Rounds of debate.
        max_debate_rounds: u32,
        /// `protocol: weighted | majority | unanimous`.
        protocol: VoteProtocol,
        /// `tie: ROLE`.
        tie: Option<Role>,
    },
}

/// What a scope runs.
#[derive(Clone, Debug)]
pub enum Body {
    /// One node, which goes by the path of the instance (`fixes/3`).
    One(Box<NodeSpec>),
    /// Nodes, with the value of an instance.
    Nodes {
        /// The nodes.
        nodes: Vec<NodeSpec>,
        /// The value; `None`: the sole sink's output, or a map of the sinks'.
        output: Option<Text>,
    },
    /// A team of its own, with its own shared context.
    Team {
        /// The team.
        team: Arc<Team>,
        /// Its inputs.
        with: Vec<(Arc<str>, Text)>,
    },
}

/// A tool node as written.
#[derive(Clone, Debug)]
pub struct ToolSpecNode {
    /// The tool.
    pub tool: Arc<str>,
    /// Its arguments; texts are templates.
    pub args: Value,
    /// Where the arguments stand.
    pub place: Place,
    /// `effect: read | idempotent | irreversible`, where the author knows better than the tool.
    pub effect: Option<EffectClass>,
}

/// An ask node as written.
#[derive(Clone, Debug)]
pub struct AskSpec {
    /// The question, a template.
    pub question: Text,
    /// The answers to choose from.
    pub options: Vec<Arc<str>>,
    /// When it lapses.
    pub deadline: Option<Duration>,
    /// The answer then.
    pub default: Option<Value>,
    /// Whom it goes to.
    pub to: Option<Arc<str>>,
    /// How they are told.
    pub notify: Option<Arc<str>>,
}
