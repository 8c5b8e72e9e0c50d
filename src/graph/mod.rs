//! What is a plan made of?
//!
//! A [`Plan`] is a set of [`Graph`]s: the root is what the session runs, the others are what its scopes
//! instantiate (the body of a loop, a sub-team), once or many times. Data only: `plan` compiles it,
//! `state` counts on it. Deliberately absent: anything that changes while a session runs.

mod bounds;
mod detect;
mod node;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use petgraph::graph::DiGraph;
use serde::{Deserialize, Serialize};

pub use bounds::{
    ANSWER_TURNS, AgentBound, Bounds, CIRCLE_RUNS, CallCap, DEFAULT_TOOL_TIMEOUT, Limits, MAX_ASK_DEPTH, MAX_CALL_QUESTIONS,
    MAX_DEBATED_TOPICS, MAX_DELEGATION_DEPTH, MAX_MERGED, MAX_TASKS, MAX_VARIABLE, REPAIRS, RESERVED_TURNS, SECOND_CHANCES,
    SYNTHESIS_SHARE, synthesis_share,
};
pub use detect::{Detect, Detector, Evidence, Watch};
pub use node::{
    AgentNode, AskNode, Backoff, Deadline, Divider, Edge, EscalationStep, GateBy, Join, Node, NodeKind, On, Phase, Replan, Retry,
    Reuse, ScopeKind, SettleOver, SettleSpec, Stragglers, TeamSeat, ToolNode, VoteProtocol,
};

use crate::value::{AgentFacts, Expr, Map, MessageKind, Profile, Role, TeamIx, TeamTools, TemplateIx, TextTemplate, WriteSpec};

/// A directed acyclic graph of nodes; edges point from what ends first to what waits for it.
/// Node and edge indices follow declared order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Graph {
    /// The nodes and edges.
    pub dag: DiGraph<Node, Edge>,
    /// The value of an instance when all its nodes have ended; `None`: a map from the ids of its sinks to their outputs,
    /// or the sole sink's output.
    pub output: Option<Expr>,
    /// The team whose members, rules and shared context its nodes use.
    pub team: TeamIx,
    /// Whether it has one node, which goes by the path of the instance itself (the body of a plain `for_each`).
    pub single: bool,
    /// Nodes in flight at most within all instances of it below one scope (the `concurrency` of the scope).
    pub concurrency: Option<u32>,
    /// For each node, the length of the longest path from it to a sink, its own length included: seconds expected, at least 1 each.
    pub rank: Vec<u32>,
}

/// A member of a team, as the run needs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Its id in the team.
    pub role: Role,
    /// Who it is.
    pub profile: Arc<Profile>,
    /// Its place among members that are equal otherwise: 1 comes first.
    pub priority: u32,
    /// Variables that it may write in activations that a scope grows (sub-tasks, a relay, a debate); those of an agent node
    /// stand in the node as well.
    pub writes: Vec<WriteSpec>,
    /// What a call of its model may take at most.
    #[serde(default)]
    pub call: CallCap,
    /// What all its activations together may use up; no running time.
    #[serde(default)]
    pub limits: Limits,
    /// Whether what it came to in an earlier session is taken over, where its node does not say.
    #[serde(default, skip_serializing_if = "Reuse::is_default")]
    pub reuse: Reuse,
    /// The team that it is, where it is one: its work is a run of that team. In all else (votes, debates, answers, a synthesis) its
    /// coordinator speaks for it, whose profile it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<MemberTeam>,
}

/// What a member that is a team runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberTeam {
    /// Its graph.
    pub body: TemplateIx,
    /// Its inputs; they see the inputs of the team around it.
    pub with: Vec<(Arc<str>, Expr)>,
    /// The longest that one run of it may take.
    pub timeout: Option<Duration>,
    /// Whether each of its agents speaks for it in the team around it, and not its coordinator alone.
    #[serde(default)]
    pub open: bool,
}

impl MemberTeam {
    /// A run of it as `seat`.
    pub fn run(&self, id: impl AsRef<str>, seat: TeamSeat) -> Node {
        let group = ScopeKind::Group { body: self.body, with: Some(self.with.clone()), seat: Some(Box::new(seat)) };
        Node { timeout: self.timeout, caught: true, ..Node::new(id, NodeKind::Scope(Box::new(group))) }
    }
}

impl Member {
    /// It as rules see it.
    pub fn facts(&self) -> AgentFacts {
        AgentFacts {
            role: self.role.clone(),
            name: self.profile.name.clone(),
            specialization: self.profile.specialization.clone(),
            skills: self.profile.skills.clone(),
            description: self.profile.description.clone(),
            priority: self.priority,
            tools: Vec::new(),
        }
    }
}

/// What the run needs to know of a team.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TeamPlan {
    /// Its name.
    pub name: Arc<str>,
    /// Members by priority, then as declared. The coordinator is not among them.
    pub members: Vec<Member>,
    /// Who leads it.
    pub coordinator: Option<Member>,
    /// Its rule scripts, by the names under which the session keeps their texts.
    pub scripts: Vec<Arc<str>>,
    /// Names of the rule functions that its scripts define, sorted.
    pub rules: Vec<Arc<str>>,
    /// When it escalates.
    pub escalation_policy: Vec<EscalationPolicy>,
    /// Whom an escalation to a person reaches, in order.
    pub escalation: Vec<EscalationStep>,
    /// Whether the first failure stops the rest.
    pub fail_fast: bool,
    /// Tool calls of one turn at most; further ones are refused.
    pub calls_per_turn: u32,
    /// Who may write to whom; who does not stand here may write to all.
    #[serde(default)]
    pub may_write: BTreeMap<Role, Vec<Role>>,
    /// Questions of a seat to its colleagues at most, those included that are asked to answer them.
    #[serde(default)]
    pub max_asks: u32,
    /// Sub-tasks of one delegation at most.
    #[serde(default = "bounds::max_tasks")]
    pub max_tasks: u32,
    /// Levels of delegation at most: with more than 1 whoever has a sub-task may divide it once.
    #[serde(default = "bounds::max_depth")]
    pub max_depth: u32,
    /// What becomes of an irreversible call with an argument from outside.
    #[serde(default)]
    pub untrusted: Untrusted,
    /// What its agents are watched for; `None` in plans from before there were detectors: the third same call is refused, no more.
    #[serde(default)]
    pub detect: Option<Detect>,
    /// How its agents read messages, by type, where the team has words of its own for them.
    #[serde(default)]
    pub letters: Arc<BTreeMap<MessageKind, TextTemplate>>,
    /// What a team inside another may spend each time it runs, of what the session may; those of the session's own team stand in
    /// [`Plan::limits`].
    #[serde(default)]
    pub limits: Limits,
}

impl TeamPlan {
    /// The member or coordinator of that role.
    pub fn agent(&self, role: &Role) -> Option<&Member> {
        self.members.iter().chain(&self.coordinator).find(|m| m.role == *role)
    }

    /// Whom an agent of that role may write to, in declared order, the coordinator last.
    pub fn reach(&self, from: &Role) -> Vec<&Role> {
        let all = self.members.iter().chain(&self.coordinator).map(|m| &m.role).filter(|role| *role != from);
        match self.may_write.get(from) {
            None => all.collect(),
            Some(open) => all.filter(|role| open.contains(role)).collect(),
        }
    }
}

/// What becomes of an irreversible call with an argument from outside, where no `permit` rule says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Untrusted {
    /// A person is asked.
    Ask,
    /// It goes ahead. So do plans from before there were labels.
    #[default]
    Allow,
    /// It is refused.
    Deny,
}

impl Untrusted {
    /// The name that files use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// When a team escalates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EscalationPolicy {
    /// Not at all; agents' own calls of `escalate` are recorded only.
    Never,
    /// Positions differ and were not settled.
    OnDisagreement,
    /// An agent is less sure than its threshold.
    OnUncertainty,
    /// An agent failed.
    OnFailure,
    /// An agent ran out of time.
    OnTimeout,
    /// A budget ran out.
    OnBudget,
    /// An agent goes round in circles, or ends too early.
    OnStall,
    /// In each of these cases.
    Always,
}

impl EscalationPolicy {
    /// The name that files use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::OnDisagreement => "on_disagreement",
            Self::OnUncertainty => "on_uncertainty",
            Self::OnFailure => "on_failure",
            Self::OnTimeout => "on_timeout",
            Self::OnBudget => "on_budget",
            Self::OnStall => "on_stall",
            Self::Always => "always",
        }
    }
}

/// The compiled plan of a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Graphs by [`TemplateIx`]; 0 is the root.
    pub graphs: Vec<Arc<Graph>>,
    /// Teams by [`TeamIx`]; 0 is the session's own.
    pub teams: Vec<TeamPlan>,
    /// The graph that runs once at the very end, whatever the outcome. Its names reach outwards (`up: 1`) to the nodes of the
    /// root, and `output`, `status` and `error` are bindings of its own: how the session ended.
    pub finally: Option<TemplateIx>,
    /// Calls of models and tools in flight at most, over the whole session.
    pub max_parallel: u32,
    /// What the file allows.
    pub limits: Limits,
    /// The worst case, from structure.
    pub bounds: Bounds,
    /// The inputs that the file declares, with their defaults (null where there is none).
    pub inputs: Map,
    /// The inputs that name a folder or file which the tools may read.
    pub roots: Vec<Arc<str>>,
    /// The tools that its teams bring along.
    #[serde(default)]
    pub tools: TeamTools,
    /// Digests (BLAKE3, hex) of every file that the plan was made from, by name.
    pub digests: BTreeMap<String, String>,
}

impl Plan {
    /// The graph at `ix`.
    pub fn graph(&self, ix: TemplateIx) -> &Arc<Graph> {
        &self.graphs[ix.index()]
    }

    /// The team at `ix`.
    pub fn team(&self, ix: TeamIx) -> &TeamPlan {
        &self.teams[ix.index()]
    }

    /// Who makes the result of the session's own team, for each node that does.
    pub fn synthesizers(&self) -> impl Iterator<Item = &Member> {
        let nodes = self.graphs.iter().filter(|graph| graph.team == TeamIx(0)).flat_map(|graph| graph.dag.node_weights());
        nodes.filter_map(|node| match &node.kind {
            NodeKind::Agent(agent) if agent.phase == Phase::Synthesize => self.teams.first()?.agent(&agent.role),
            NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) | NodeKind::Scope(_) => None,
        })
    }

    /// Whether a part of the session's limits is kept for its synthesis: where that costs something.
    pub fn keeps_share(&self) -> bool {
        self.synthesizers().any(|leader| !leader.call.is_free())
    }
}
