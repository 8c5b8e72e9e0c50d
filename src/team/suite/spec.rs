//! What do the tests of a team say, resolved? [`Suite`], its [`Case`]s, who stands in for the world, and what is expected.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::value::{EffectClass, Failure, Map, MessageKind, Place, Reply, Role, Usd, Value};

/// The tests of one team: a file.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// The team's file, as it was found.
    pub team: Arc<str>,
    /// The runs, in the order of the file.
    pub cases: Vec<Case>,
    /// The file itself, the scripts and recordings that stand in for models, and the files that they use, by name.
    pub sources: BTreeMap<String, Arc<str>>,
}

/// One run and what must come of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it shows, unique in its file.
    pub name: Arc<str>,
    /// Where it stands.
    pub place: Place,
    /// The task; `None`: what the team is for.
    pub task: Option<Arc<str>>,
    /// The inputs, with the place of each.
    pub inputs: Map,
    /// Where the inputs stand, by name.
    pub input_places: BTreeMap<String, Place>,
    /// Changes to profiles, as `--set` takes them.
    pub set: Vec<At<Arc<str>>>,
    /// Who answers for which role, model or for all (`*`).
    pub models: Vec<(At<Arc<str>>, StandIn)>,
    /// What tools return that do not really run.
    pub tools: BTreeMap<Arc<str>, At<Vec<ToolAnswer>>>,
    /// Tools that really run, although they reach the network or cannot be taken back.
    pub real: Vec<At<Arc<str>>>,
    /// What people answer, by node or `*`.
    pub answers: BTreeMap<Arc<str>, At<Vec<Value>>>,
    /// What must come of it.
    pub expect: Expect,
}

/// Something with its place in the file.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// It.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// Who answers in place of a model.
#[derive(Clone, Debug)]
pub enum StandIn {
    /// A script, by the name of its file.
    Script(Arc<str>),
    /// An exported session, by the name of its file, or one agent's part of it.
    Recording(Arc<str>, Option<Role>),
    /// Replies in turn.
    Replies(Vec<ScriptedReply>),
    /// Replies in turn, by the path of the node or the phase (`work`, `delegate`, `synthesize`, …).
    ByPlace(BTreeMap<Arc<str>, Vec<ScriptedReply>>),
}

/// A reply that a file spells out.
#[derive(Clone, Debug)]
pub struct ScriptedReply {
    /// What is said, or how it fails.
    pub reply: Result<Reply, Failure>,
    /// How long it takes.
    pub takes: Duration,
}

/// What a tool returns that does not really run.
#[derive(Clone, Debug)]
pub struct ToolAnswer {
    /// Arguments that the call must have.
    pub when: Option<Value>,
    /// The result.
    pub result: Result<Value, Failure>,
    /// How long it takes.
    pub takes: Duration,
    /// What repeating a call would do, where nobody else says so.
    pub effect: Option<EffectClass>,
}

/// What must come of a run. What is empty may be as it is.
#[derive(Clone, Debug)]
pub struct Expect {
    /// How it ends, as reports name it.
    pub status: At<&'static str>,
    /// Words of the failure.
    pub failure: Option<At<Arc<str>>>,
    /// The result.
    pub output: Option<Want>,
    /// Variables, by name.
    pub variables: Vec<(Arc<str>, Want)>,
    /// Nodes, by path.
    pub nodes: Vec<(At<Arc<str>>, NodeWant)>,
    /// Chains of nodes that follow each other.
    pub order: Vec<At<Vec<Arc<str>>>>,
    /// Tables of the report in which there is nothing.
    pub none: Vec<At<Table>>,
    /// Messages, in whichever order.
    pub messages: Vec<At<MessageWant>>,
    /// Messages in this order.
    pub in_order: Vec<At<MessageWant>>,
    /// Findings.
    pub findings: Vec<At<FindingWant>>,
    /// Decisions.
    pub decisions: Vec<At<DecisionWant>>,
    /// How many escalations.
    pub escalation_count: Option<At<u64>>,
    /// Escalations.
    pub escalations: Vec<At<EscalationWant>>,
    /// Calls by tool.
    pub calls: Vec<(Arc<str>, At<u64>)>,
    /// The most that it may take, by the name of the measure.
    pub budget: Budget,
    /// Calls that are not made: the tool, and arguments that it must not have together.
    pub never_calls: Vec<At<(Arc<str>, Option<Value>)>>,
    /// Messages that are not said.
    pub never_messages: Vec<At<MessageWant>>,
    /// Nodes that do not begin.
    pub never_nodes: Vec<At<Arc<str>>>,
}

/// A table of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Messages.
    Messages,
    /// Findings.
    Findings,
    /// Decisions.
    Decisions,
}

impl Table {
    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Findings => "findings",
            Self::Decisions => "decisions",
        }
    }
}

/// What a value must be like: all that is given holds.
#[derive(Clone, Debug)]
pub struct Want {
    /// Where it stands.
    pub place: Place,
    /// The value itself.
    pub is: Option<Value>,
    /// What is in it.
    pub contains: Option<Value>,
    /// A JSON Schema that it fits.
    pub matches: Option<Value>,
    /// Its parts, by JSON pointer.
    pub at: Vec<(Arc<str>, Want)>,
}

/// How a node must end.
#[derive(Clone, Debug)]
pub struct NodeWant {
    /// How, as reports name it, or `absent`.
    pub status: Option<&'static str>,
    /// With what.
    pub output: Option<Want>,
    /// Words of its failure.
    pub failure: Option<Arc<str>>,
}

/// What a message must be like.
#[derive(Clone, Debug, Default)]
pub struct MessageWant {
    /// Who; `synod` is the engine.
    pub from: Option<Arc<str>>,
    /// To whom; `all` is all.
    pub to: Option<Arc<str>>,
    /// What for.
    pub kind: Option<MessageKind>,
    /// Words in it.
    pub contains: Option<Arc<str>>,
}

/// What a finding must be like.
#[derive(Clone, Debug)]
pub struct FindingWant {
    /// Who.
    pub agent: Option<Arc<str>>,
    /// On what.
    pub topic: Option<Arc<str>>,
    /// What.
    pub value: Option<Want>,
    /// Words of the claim.
    pub contains: Option<Arc<str>>,
}

/// What a decision must be like.
#[derive(Clone, Debug)]
pub struct DecisionWant {
    /// On what.
    pub topic: Option<Arc<str>>,
    /// What stands.
    pub outcome: Option<Want>,
    /// Who decides.
    pub by: Option<Arc<str>>,
    /// Exactly who holds something else.
    pub dissent: Option<Vec<Arc<str>>>,
}

/// What an escalation must be like.
#[derive(Clone, Debug)]
pub struct EscalationWant {
    /// Where.
    pub node: Option<Arc<str>>,
    /// Who.
    pub from: Option<Arc<str>>,
    /// Whom it reaches.
    pub to: Option<Arc<str>>,
    /// On what grounds.
    pub cause: Option<Arc<str>>,
    /// Words of its reason or question.
    pub contains: Option<Arc<str>>,
}

/// The most that a run may take.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    /// Turns.
    pub turns: Option<At<u64>>,
    /// Calls of models.
    pub model_calls: Option<At<u64>>,
    /// Calls of tools.
    pub tool_calls: Option<At<u64>>,
    /// Tokens.
    pub tokens: Option<At<u64>>,
    /// Cost.
    pub cost: Option<At<Usd>>,
}
