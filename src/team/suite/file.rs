//! How does a file spell the tests of a team? [`SuiteFile`] and its parts, as written.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{
    team::{
        Code, Diagnostic,
        file::{Count, Maybe, short_or_map},
        read::{Found, Must, Named, OneOrMany, Read, Spot, word, words, written, wrong},
        scalar::{Anything, Dollars, Span, Words},
        tree::{Kind, Node},
    },
    value::{EffectClass, FailureKind, MessageKind},
};

written! {
    /// Tests of a team: what it is given, who stands in for its models, tools and people, and what must come of it.
    #[schemars(title = "Synod tests of a team", inline)]
    struct SuiteFile is "a test file", hints &[("tests", "did you mean `cases`?")];
    /// The team: a path relative to this file, else the name of a shipped team.
    team: Must<Spot<Words>>,
    /// The cases, each a run of its own.
    cases: Must<Vec<CaseFile>>,
}

written! {
    /// One run and what must come of it.
    struct CaseFile is "a case", hints &[
        ("input", "did you mean `inputs`?"),
        ("expected", "did you mean `expect`?"),
        ("mocks", "did you mean `tools` or `models`?"),
    ];
    /// What it shows, unique in the file.
    name: Must<Spot<Words>>,
    /// The task; by default what the team is for.
    task: Option<Words>,
    /// The team's inputs. A folder or file is relative to this file, or `lib:PATH` of the shipped library.
    inputs: Option<Named<Anything>>,
    /// Changes to profiles for this case, as `--set` takes them: `ROLE.FIELD=VALUE`.
    set: Option<Vec<Spot<Words>>>,
    /// Who answers for a role, for a model by its name, or for everybody else (`*`): a script, an exported session, or replies, with
    /// which each node begins anew. No model is asked over the network.
    models: Option<Named<StandInFile>>,
    /// What tools return that must not really run, by name. A tool that is not named runs; one that cannot be taken back, or that
    /// reaches the network, fails the case.
    tools: Option<Named<ToolFile>>,
    /// Tools that really run, although they cannot be taken back or reach the network.
    real: Option<Vec<Spot<Words>>>,
    /// What people answer, by the path or the id of the node that asks, or `*`; a list has the answer to each question in turn.
    answers: Option<Named<OneOrManyAnswers>>,
    /// What must come of it.
    expect: Must<ExpectFile>,
}

/// Who stands in for a model: a file, replies, or replies by node or phase.
#[derive(Clone, Debug)]
pub(super) enum StandInFile {
    File(Spot<Words>),
    Replies(Vec<Spot<ReplyFile>>),
    ByPlace(Named<Vec<Spot<ReplyFile>>>),
}

impl Read for StandInFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        match node.kind {
            Kind::Text(_) => Spot::read(node, found).map(Self::File),
            Kind::List(_) => Vec::read(node, found).map(Self::Replies),
            Kind::Map(_) => Named::read(node, found).map(Self::ByPlace),
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Huge => {
                let help = "write `script:PATH`, `replay:PATH`, a list of replies, or such lists by phase or node";
                found.push(wrong(node, "who answers for a model").help(help));
                None
            }
        }
    }
}

written! {
    /// A reply of a model.
    struct ReplyFile is "a reply", hints &[
        ("say", "did you mean `text`?"), ("content", "did you mean `text`?"), ("tool", "write `calls: [{ tool: …, args: … }]`"),
        ("error", "did you mean `fails`?"),
    ];
    /// What it says beside its calls.
    text: Option<Words>,
    /// The calls that it asks for.
    calls: Option<Vec<CallFile>>,
    /// The result that ends its work.
    finish: Option<Maybe>,
    /// That it fails, and how.
    fails: Option<FailsFile>,
    /// What it takes.
    usage: Option<UsageFile>,
    /// How long it takes; at once by default.
    takes: Option<Span>,
}

written! {
    /// A call of a tool.
    struct CallFile is "a call", hints &[("name", "did you mean `tool`?"), ("arguments", "did you mean `args`?")];
    /// The tool.
    tool: Words,
    /// Its arguments.
    args: Option<Anything>,
}

written! {
    /// What a reply takes.
    struct UsageFile is "`usage`", hints &[("cost", "did you mean `cost_usd`?")];
    /// Tokens read.
    input: Option<Count>,
    /// Tokens written.
    output: Option<Count>,
    /// Cost in US dollars.
    cost_usd: Option<Dollars>,
}

/// How something fails: words, or a map.
#[derive(Clone, Debug)]
pub(super) struct FailsFile(pub(super) FailsMap);

written! {
    /// How something fails.
    struct FailsMap is "a failure", hints &[("type", "did you mean `kind`?")];
    /// What kind of failure; by default one of the tool or the model itself.
    kind: Option<KindFile>,
    /// What happened, in words.
    message: Words,
}

impl Read for FailsFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        match node.kind {
            Kind::Map(_) => FailsMap::read(node, found).map(Self),
            _ => {
                let message = Words::read(node, found)?;
                Some(Self(FailsMap { kind: None, message, keys: Default::default() }))
            }
        }
    }
}

/// A kind of failure.
#[derive(Clone, Copy, Debug, JsonSchema)]
pub(super) struct KindFile(pub(super) FailureKind);

impl Read for KindFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        const KINDS: [FailureKind; 10] = [
            FailureKind::Timeout,
            FailureKind::Exit,
            FailureKind::Tool,
            FailureKind::Model,
            FailureKind::Transport,
            FailureKind::RateLimit,
            FailureKind::Schema,
            FailureKind::Denied,
            FailureKind::InDoubt,
            FailureKind::Cancelled,
        ];
        word(node, "a kind of failure", &KINDS.map(|kind| (kind.name(), kind)), found).map(Self)
    }
}

/// What a tool returns: one answer to every call, or several in turn.
#[derive(Clone, Debug)]
pub(super) struct ToolFile(pub(super) Vec<AnswerFile>);

impl Read for ToolFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        match node.kind {
            Kind::List(_) => Vec::read(node, found).map(Self),
            _ => Some(Self(vec![AnswerFile::read(node, found)?])),
        }
    }
}

written! {
    /// What a tool returns to a call. Each node is given each once, in order; the last that fits stays.
    struct AnswerFile is "what a tool returns", hints &[
        ("result", "did you mean `returns`?"), ("return", "did you mean `returns`?"), ("error", "did you mean `fails`?"),
        ("args", "did you mean `when`?"),
    ];
    /// Arguments that the call must have, others aside; any call by default.
    when: Option<Anything>,
    /// The result.
    returns: Option<Maybe>,
    /// That it fails, and how.
    fails: Option<FailsFile>,
    /// How long it takes; at once by default.
    takes: Option<Span>,
    /// What repeating a call would do, for a tool that neither this machine nor the team has; `irreversible` by default.
    effect: Option<EffectFile>,
}

/// What repeating a call would do.
#[derive(Clone, Copy, Debug, JsonSchema)]
pub(super) struct EffectFile(pub(super) EffectClass);

impl Read for EffectFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        let words =
            [("read", EffectClass::Read), ("idempotent", EffectClass::Idempotent), ("irreversible", EffectClass::Irreversible)];
        word(node, "what repeating a call would do", &words, found).map(Self)
    }
}

/// Answers of people to a question that may come more than once.
#[derive(Clone, Debug)]
pub(super) struct OneOrManyAnswers(pub(super) Vec<Anything>);

impl Read for OneOrManyAnswers {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        OneOrMany::read(node, found).map(|answers| Self(answers.0))
    }
}

/// How a run may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum EndFile {
    Completed,
    Failed,
    Parked,
    OutOfBudget,
    Cancelled,
}

words! {
    EndFile, "a way to end": Completed = "completed", Failed = "failed", Parked = "parked", OutOfBudget = "out_of_budget",
        Cancelled = "cancelled";
}

written! {
    /// What must come of a run. What is not named may be as it is.
    struct ExpectFile is "`expect`", hints &[
        ("result", "did you mean `output`?"), ("limits", "did you mean `budget`?"), ("tools", "did you mean `calls`?"),
        ("not", "did you mean `never`?"),
    ];
    /// How it ends; `completed` by default.
    #[schemars(extend("default" = "completed"))]
    status: Option<Spot<EndFile>>,
    /// Words that the failure has in it.
    failure: Option<Spot<Words>>,
    /// The result.
    output: Option<Spot<WantFile>>,
    /// Variables of the shared context, by name.
    variables: Option<Named<Spot<WantFile>>>,
    /// How nodes end and with what, by path.
    nodes: Option<Named<Spot<NodeFile>>>,
    /// Chains of two nodes or more, by path: each has ended before the next begins.
    order: Option<Vec<Spot<Vec<Words>>>>,
    /// Messages that are said, in whichever order, each one another; an empty list: none is said.
    messages: Option<Spot<Vec<Spot<MessageFile>>>>,
    /// Messages that are said in this order; others may come between.
    messages_in_order: Option<Vec<Spot<MessageFile>>>,
    /// Findings that are published, each one another; an empty list: none is.
    findings: Option<Spot<Vec<Spot<FindingFile>>>>,
    /// Decisions that are made, each one another; an empty list: none is.
    decisions: Option<Spot<Vec<Spot<DecisionFile>>>>,
    /// Escalations and questions to people: how many, or which, each one another.
    escalations: Option<Spot<EscalationsFile>>,
    /// How often tools are called, by name.
    calls: Option<Named<Spot<Count>>>,
    /// What it may take at most.
    budget: Option<BudgetFile>,
    /// What must not happen.
    never: Option<NeverFile>,
}

/// A value, or a map that says what it must be like.
#[derive(Clone, Debug)]
pub(super) enum WantFile {
    Is(Anything),
    Like(WantMap),
}

written! {
    /// What a value must be like.
    struct WantMap is "an expectation", hints &[("equals", "did you mean `is`?"), ("schema", "did you mean `matches`?")];
    /// The value itself.
    is: Option<Maybe>,
    /// What is in it: a part of a text, an item of a list, entries of a map, at any depth.
    contains: Option<Anything>,
    /// A JSON Schema that it fits.
    matches: Option<Anything>,
    /// Its parts, by JSON pointer such as `/service` or `/timeline/0/at`.
    at: Option<Named<Spot<WantFile>>>,
}

impl Read for WantFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        match &node.kind {
            Kind::Map(entries) if !entries.is_empty() && !entries.iter().any(|(key, _)| WantMap::KEYS.contains(&&*key.name)) => {
                let error = node.error(Code::UnknownKey, "a map says what the value must be like");
                let help = "to compare with a map write `is: { … }`; for some of its entries `contains: { … }`, for its parts `at: { /KEY: … }`";
                found.push(error.help(help));
                None
            }
            Kind::Null => {
                found.push(wrong(node, "what the value must be like").help("to compare with nothing write `is: null`"));
                None
            }
            Kind::Map(entries) if entries.is_empty() => {
                found.push(nothing(node).help("write `is: {}` for an empty map, or leave it out"));
                None
            }
            Kind::Map(_) => WantMap::read(node, found).map(Self::Like),
            _ => Anything::read(node, found).map(Self::Is),
        }
    }
}

/// An expectation that whatever comes meets.
fn nothing(node: &Node) -> Diagnostic {
    node.error(Code::InvalidValue, "an empty map expects nothing")
}

/// How a node ends: a word, or a map.
#[derive(Clone, Debug)]
pub(super) struct NodeFile(pub(super) NodeMap);

/// How a node may stand at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum StandFile {
    Ok,
    Failed,
    TimedOut,
    Skipped,
    Cancelled,
    Pending,
    Absent,
}

words! {
    StandFile, "a way for a node to end": Ok = "ok", Failed = "failed", TimedOut = "timed_out", Skipped = "skipped",
        Cancelled = "cancelled", Pending = "pending", Absent = "absent";
}

written! {
    /// How a node ends.
    struct NodeMap is "an expectation of a node", hints &[("result", "did you mean `output`?")];
    /// How; `absent` where it never came to be.
    status: Option<StandFile>,
    /// With what.
    output: Option<Spot<WantFile>>,
    /// Words that its failure has in it.
    failure: Option<Words>,
}

impl Read for NodeFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        match &node.kind {
            Kind::Map(entries) if entries.is_empty() => {
                found.push(nothing(node).help("write how the node ends, such as `ok`, or leave it out"));
                None
            }
            Kind::Map(_) => NodeMap::read(node, found).map(Self),
            _ => {
                let status = Some(StandFile::read(node, found)?);
                Some(Self(NodeMap { status, output: None, failure: None, keys: Default::default() }))
            }
        }
    }
}

written! {
    /// A message.
    struct MessageFile is "an expectation of a message", hints &[("kind", "did you mean `type`?"), ("content", "did you mean `contains`?")];
    /// Who says it; `synod` for the engine.
    from: Option<Words>,
    /// To whom; `all` for all.
    to: Option<Words>,
    /// What for.
    r#type: Option<MessageType>,
    /// Words that it has in it.
    contains: Option<Words>,
}

/// A type of message.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageType(pub(super) MessageKind);

impl Read for MessageType {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        word(node, "a type of message", &MessageKind::ALL.map(|kind| (kind.name(), kind)), found).map(Self)
    }
}

impl JsonSchema for MessageType {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MessageType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": MessageKind::ALL.map(MessageKind::name) })
    }
}

written! {
    /// A finding.
    struct FindingFile is "an expectation of a finding", hints &[("from", "did you mean `agent`?")];
    /// Who publishes it.
    agent: Option<Words>,
    /// On what.
    topic: Option<Words>,
    /// What, as a value.
    value: Option<Spot<WantFile>>,
    /// Words that the claim has in it.
    contains: Option<Words>,
}

written! {
    /// A decision.
    struct DecisionFile is "an expectation of a decision", hints &[("value", "did you mean `outcome`?"), ("rule", "did you mean `by`?")];
    /// On what.
    topic: Option<Words>,
    /// What stands.
    outcome: Option<Spot<WantFile>>,
    /// Who or what decides, such as `settle`, `vote` or `coordinator`.
    by: Option<Words>,
    /// Exactly who holds something else.
    dissent: Option<Vec<Words>>,
}

/// How many escalations, or which.
#[derive(Clone, Debug)]
pub(super) enum EscalationsFile {
    Count(Count),
    These(Vec<Spot<EscalationFile>>),
}

impl Read for EscalationsFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        match node.kind {
            Kind::List(_) => Vec::read(node, found).map(Self::These),
            _ => Count::read(node, found).map(Self::Count),
        }
    }
}

written! {
    /// An escalation, or a question to a person.
    struct EscalationFile is "an expectation of an escalation", hints &[("reason", "did you mean `contains`?")];
    /// The path of the node.
    node: Option<Words>,
    /// Who.
    from: Option<Words>,
    /// Whom it reaches: `coordinator`, `person` or `none`.
    to: Option<Words>,
    /// On what grounds, such as `on_disagreement`.
    cause: Option<Words>,
    /// Words that its reason or question has in it.
    contains: Option<Words>,
}

written! {
    /// What a run may take at most.
    struct BudgetFile is "`budget`", hints &[("cost", "did you mean `cost_usd`?")];
    /// Turns of all agents.
    turns: Option<Spot<Count>>,
    /// Calls of models.
    model_calls: Option<Spot<Count>>,
    /// Calls of tools.
    tool_calls: Option<Spot<Count>>,
    /// Tokens read and written.
    tokens: Option<Spot<Count>>,
    /// Cost in US dollars.
    cost_usd: Option<Spot<Dollars>>,
}

written! {
    /// What must not happen.
    struct NeverFile is "`never`", hints &[("tools", "did you mean `calls`?")];
    /// Calls of tools.
    calls: Option<Vec<Spot<NeverCallFile>>>,
    /// Messages.
    messages: Option<Vec<Spot<MessageFile>>>,
    /// Nodes that begin, by path.
    nodes: Option<Vec<Spot<Words>>>,
}

/// A call that must not be made: a tool, or one with some arguments.
#[derive(Clone, Debug)]
pub(super) struct NeverCallFile(pub(super) CallFile);

impl Read for NeverCallFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        match node.kind {
            Kind::Map(_) => CallFile::read(node, found).map(Self),
            _ => Some(Self(CallFile { tool: Words::read(node, found)?, args: None, keys: Default::default() })),
        }
    }
}

short_or_map! {
    StandInFile: Words | Vec<ReplyFile> | Named<Vec<ReplyFile>>;
    FailsFile: Words | FailsMap;
    ToolFile: AnswerFile | Vec<AnswerFile>;
    OneOrManyAnswers: Anything;
    WantFile: NotAMap | WantMap;
    NodeFile: StandFile | NodeMap;
    EscalationsFile: Count | Vec<EscalationFile>;
    NeverCallFile: Words | CallFile;
}

/// Any value but a map and nothing, for the schema.
struct NotAMap;

impl JsonSchema for NotAMap {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NotAMap".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["boolean", "number", "string", "array"] })
    }
}
