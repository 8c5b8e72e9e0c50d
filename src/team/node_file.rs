//! How does a file spell a node of a graph? [`NodeFile`] and its parts, as written.

use std::{sync::Arc, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{
    After, AfterOn, Code, Text,
    file::{CheckFile, Count, Maybe, Positive, short_or_map},
    read::{Found, Named, OneOrMany, Read, Spot, words, written, wrong},
    scalar::{Anything, Expression, Factor, Id, Span, Telling, Template, Whole, Words, id_help, is_id},
    suggest::list,
    tree::{Kind, Node, duplicates, quoted},
};
use crate::{
    graph::{Backoff, Deadline, Divider, Join, Phase, Reuse, SettleOver, Stragglers, VoteProtocol},
    value::{EffectClass, FailureKind, Merge},
};

/// The wait before the second attempt, where `retry` does not say.
pub const DEFAULT_BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// By how much each wait is longer than the one before, where `retry` does not say.
pub const DEFAULT_BACKOFF_FACTOR: f64 = 2.0;
/// The longest wait between attempts, where `retry` does not say.
pub const DEFAULT_BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Attempts that a file may ask for.
pub const MAX_ATTEMPTS: u64 = 100;

words! {
    Phase, "a phase": Work = "work", Delegate = "delegate", Synthesize = "synthesize", Validate = "validate", Debate = "debate",
        Answer = "answer";
    SettleOver, "something to settle": Findings = "findings", Votes = "votes", Result = "result";
    EffectClass, "an effect": Read = "read", Idempotent = "idempotent", Irreversible = "irreversible";
    Merge, "a way to merge": Append = "append", Sum = "sum", Min = "min", Max = "max", Last = "last", Union = "union";
    FailureKind, "a kind of failure": Timeout = "timeout", Exit = "exit", Tool = "tool", Model = "model", Transport = "transport",
        RateLimit = "rate_limit", Rule = "rule", Schema = "schema", Limit = "limit", Budget = "budget", Denied = "denied",
        Conflict = "conflict", InDoubt = "in_doubt", Cancelled = "cancelled", Unanswered = "unanswered", Stalled = "stalled",
        Rejected = "rejected", Child = "child";
    Divider, "who divides": Coordinator = "coordinator", Rule = "rule";
    ReuseWord, "whether results of earlier sessions are taken over": Always = "always";
    Short, "what becomes of a node that is short of its join": Skip = "skip", Run = "run";
}

written! {
    /// A node: one of `agent`, `tool`, `gate`, `rule`, `ask`, `subtasks`, `relay`, `circle`, `settle`, `nodes` and `team`, which `for_each` or
    /// `repeat` may run many times. In a loop over a node that is no group, `input`, `retry`, `timeout` and `writes` concern each run.
    #[schemars(extend("oneOf" = super::schema::one_of(&super::node::KINDS)))]
    #[schemars(extend("not" = { "required": ["for_each", "repeat"] }))]
    #[schemars(extend("dependencies" = { "for_each": ["max"] }))]
    #[derive(Default)]
    struct NodeFile is "a node", hints &[
        ("depends_on", "did you mean `after`?"),
        ("needs", "did you mean `after`?"),
        ("when", "conditions stand on dependencies: `after: { NODE: 'expression' }`"),
        ("if", "conditions stand on dependencies: `after: { NODE: 'expression' }`"),
        ("id", "a node's id is its key"),
        ("until", "put it into `repeat: { max, until }`"),
        ("prompt", "did you mean `task`?"),
    ];
    /// An activation of the agent with that role.
    agent: Option<Spot<Id>>,
    /// What the agent is asked, a template; by default the session's task.
    task: Option<Template>,
    /// What the activation is for.
    #[schemars(extend("default" = "work"))]
    phase: Option<Phase>,
    /// The node whose output is the proposal that a `validate` phase votes on.
    proposal: Option<Spot<Id>>,
    /// In which words it counts as done.
    done_when: Option<Words>,
    /// Turns at most, where it is not the profile's.
    max_turns: Option<Positive>,
    /// Of an agent: at each turn it sees what its colleagues have said and found until then, and not only what ended before it began.
    #[schemars(extend("default" = false))]
    live: Option<bool>,

    /// Of an agent or a tool, in a run that takes over what is unchanged (`--reuse`): `false` for nothing, `always` for what its tools
    /// returned to the same calls as well, irreversible ones included. By default only what models replied to the same requests is
    /// taken over, and tools look again.
    #[schemars(extend("default" = true))]
    reuse: Option<ReuseFile>,

    /// One tool call, no model.
    tool: Option<Spot<Words>>,
    /// The tool's arguments; texts in it are templates.
    #[schemars(with = "Option<std::collections::BTreeMap<String, Anything>>")]
    args: Option<Anything>,
    /// What repeating the call would do, where you know better than the tool.
    effect: Option<EffectClass>,

    /// An expression; its value is the output.
    gate: Option<Expression>,
    /// A function of the team's rules; its verdict is the output.
    rule: Option<Spot<Id>>,
    /// Whom a `rule` or `settle` concerns; by default all members.
    members: Option<Vec<Spot<Id>>>,

    /// A question to a person, a template.
    ask: Option<Template>,
    /// The answers to choose from; without them any text.
    options: Option<Vec<Words>>,
    /// When the question lapses; or how long the items of a `for_each`, `subtasks` or a `circle` have: then it goes on with what is
    /// done.
    deadline: Option<Span>,
    /// How many must be done when the deadline of a `for_each`, `subtasks` or a `circle` passes; with fewer it fails as timed out.
    #[schemars(extend("default" = 1))]
    at_least: Option<Positive>,
    /// The answer when it lapses; without it the node fails.
    default: Option<Maybe>,
    /// Whom the question goes to.
    to: Option<Words>,
    /// How they are told: an `https` address that gets a POST, or a command line that reads it; both a JSON object with `question`,
    /// `options`, `answer` (the command that answers) and more.
    notify: Option<Telling>,

    /// A list, an expression; what the node does is done for each of its items.
    for_each: Option<Expression>,
    /// What an item is called.
    #[schemars(extend("default" = "item"))]
    r#as: Option<Spot<Id>>,
    /// Items (of `for_each`) or sub-tasks (of `subtasks`) at most; more fail the node.
    max: Option<Positive>,
    /// Items at a time.
    parallel: Option<Positive>,
    /// What the node does is done again, until the expression is true or `max` rounds have run.
    repeat: Option<RepeatFile>,

    /// Nodes inside this one, by id.
    #[schemars(extend("propertyNames" = { "pattern": super::scalar::ID_PATTERN }))]
    nodes: Option<Named<NodeFile>>,
    /// The value of `nodes`, an expression; without it the sole last node's output, or a map of the last ones'.
    output: Option<Expression>,
    /// A team of its own, with its own shared context: a path relative to this file, else in the shipped library.
    team: Option<Spot<Words>>,
    /// The inputs of that team: expressions by name.
    with: Option<Named<Expression>>,

    /// A list of sub-tasks, an expression: each becomes a node.
    subtasks: Option<Expression>,
    /// Sub-tasks run in the order of the list, one after another.
    one_by_one: Option<bool>,
    /// How many sub-tasks must succeed; by default all must end.
    quorum: Option<Positive>,
    /// Sub-tasks that did not succeed are divided anew, round by round.
    replan: Option<ReplanFile>,
    /// Who says whether a sub-task with `done_when` is done: a role, or `true` for the coordinator.
    check_done: Option<CheckFile>,
    /// These members one after another; the `handoff` rule says who is next.
    relay: Option<Vec<Spot<Id>>>,
    /// Members who talk with each other: they begin with the task, rest when they have a result, and are woken by mail.
    circle: Option<Vec<Spot<Id>>>,
    /// Handoffs at most.
    max_handoffs: Option<Count>,
    /// What becomes of positions that differ.
    settle: Option<SettleOver>,
    /// Rounds of debate at most.
    max_debate_rounds: Option<Count>,
    /// How the votes of a `settle` count.
    #[schemars(extend("default" = "weighted"))]
    protocol: Option<VoteProtocol>,
    /// Who wins a tie of a `settle`: a role; by default the position of the member with the highest priority.
    tie: Option<Spot<Id>>,

    /// What ends first: a node, a list of nodes, or a map from node to `ok`, `failed`, `done`, `else` or an expression over its `output`.
    after: Option<AfterFile>,
    /// When it starts: `all` dependencies met, `any`, or `{ quorum: N }`; `{ deadline: 30s, at_least: N }` beside that, or for all: it
    /// waits so long from when the first of them is ready, and goes on with what is met.
    #[schemars(extend("default" = "all"))]
    join: Option<JoinFile>,
    /// When its join can no longer be met: skip it, or run it with what there is.
    #[schemars(extend("default" = "skip"))]
    short: Option<Short>,
    /// What becomes of dependencies that are still at it when it starts.
    #[schemars(extend("default" = "cancel"))]
    stragglers: Option<Stragglers>,
    /// What it sees, an expression; by default the outputs of the nodes it follows, by id.
    input: Option<Expression>,
    /// The node that handles its failure.
    on_error: Option<Spot<Id>>,
    /// How often it is tried.
    retry: Option<RetryFile>,
    /// The longest that an attempt may take.
    timeout: Option<Span>,
    /// Whether its failure is a warning.
    #[schemars(extend("default" = false))]
    allow_failure: Option<bool>,
    /// Calls in flight at most below it.
    concurrency: Option<Positive>,
    /// Variables of the shared context that it may write.
    writes: Option<OneOrMany<WriteFile>>,
    /// How long it is expected to take: nodes with the longest way before them start first.
    expect_seconds: Option<Span>,
}

written! {
    /// A bounded loop.
    #[schemars(extend("required" = ["max"]))]
    struct RepeatFile is "`repeat`", hints &[];
    /// Rounds at most.
    max: Option<Positive>,
    /// When to stop: an expression over the nodes of the round that just ended.
    until: Option<Expression>,
}

written! {
    /// How often a failing attempt is tried again.
    struct RetryFile is "`retry`", hints &[("max", "did you mean `max_attempts`?"), ("attempts", "did you mean `max_attempts`?")];
    /// Attempts at most, the first included.
    max_attempts: super::scalar::Whole<1, MAX_ATTEMPTS>,
    /// The wait before the second attempt, or how waits grow.
    #[schemars(extend("default" = "1s"))]
    backoff: Option<BackoffFile>,
    /// The failures that are tried again; by default those that may pass.
    on: Option<OneOrMany<FailureKind>>,
}

written! {
    /// Waits that grow: `first`, then each `factor` times the one before, up to `max`.
    struct BackoffMap is "`backoff`", hints &[];
    /// Before the second attempt.
    #[schemars(extend("default" = "1s"))]
    first: Option<Span>,
    /// At least 1.
    #[schemars(extend("default" = DEFAULT_BACKOFF_FACTOR))]
    factor: Option<Factor>,
    /// At most.
    #[schemars(extend("default" = "60s"))]
    max: Option<Span>,
}

written! {
    /// A variable that may be written.
    struct WriteMap is "a declared write", hints &[];
    /// Its name.
    variable: Spot<Id>,
    /// How the values of parallel writers become one; without it two are an error.
    merge: Option<Merge>,
}

/// What becomes of a node that is short of its join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum Short {
    Skip,
    Run,
}

written! {
    /// How sub-tasks that did not succeed are divided anew.
    struct ReplanFile is "`replan`", hints &[];
    /// Who divides: the coordinator or the `route` rule.
    by: Divider,
    /// Further rounds at most.
    max: Positive,
}

/// What a file says beside `true` and `false` of whether results of earlier sessions are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum ReuseWord {
    Always,
}

/// Whether results of earlier sessions are taken over.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReuseFile(pub(super) Reuse);

impl Read for ReuseFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        match node.kind {
            Kind::Bool(true) => Some(Self(Reuse::Unchanged)),
            Kind::Bool(false) => Some(Self(Reuse::Never)),
            _ => ReuseWord::read(node, found).map(|ReuseWord::Always| Self(Reuse::Always)),
        }
    }
}

/// Waits: a duration, or a map.
#[derive(Clone, Debug)]
pub(super) struct BackoffFile(pub(super) Backoff);

impl Read for BackoffFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        let map = match node.kind {
            Kind::Map(_) => BackoffMap::read(node, found)?,
            _ => BackoffMap { first: Some(Span::read(node, found)?), factor: None, max: None, keys: Default::default() },
        };
        let first = map.first.map_or(DEFAULT_BACKOFF_FIRST, |s| s.0);
        let max = map.max.map_or(DEFAULT_BACKOFF_MAX.max(first), |s| s.0);
        if max < first {
            found.push(node.error(Code::OutOfRange, "`max` is shorter than the first wait"));
        }
        Some(Self(Backoff { first, factor: map.factor.map_or(DEFAULT_BACKOFF_FACTOR, |f| f.0), max }))
    }
}

/// A write: a variable, or a map.
#[derive(Clone, Debug)]
pub(super) struct WriteFile(pub(super) WriteMap);

impl Read for WriteFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        match node.kind {
            Kind::Map(_) => WriteMap::read(node, found).map(Self),
            _ => Some(Self(WriteMap { variable: Spot::read(node, found)?, merge: None, keys: Default::default() })),
        }
    }
}

/// When a node starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct JoinFile {
    pub(super) join: Join,
    pub(super) deadline: Option<Deadline>,
}

written! {
    /// At the Nth dependency that is met, or at a deadline.
    struct QuorumMap is "`join`", hints &[];
    /// How many; without it all.
    quorum: Option<Positive>,
    /// How long it waits, from when the first dependency is ready; then it goes on with what is met.
    deadline: Option<Span>,
    /// How many must be met by then; with fewer it fails as timed out.
    #[schemars(extend("default" = 1))]
    at_least: Option<Positive>,
}

/// `all` or `any`.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum JoinWord {
    All,
    Any,
}

words! {
    JoinWord, "a join": All = "all", Any = "any";
}

impl Read for JoinFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        let Kind::Map(_) = node.kind else {
            let join = match JoinWord::read(node, found)? {
                JoinWord::All => Join::All,
                JoinWord::Any => Join::Any,
            };
            return Some(Self { join, deadline: None });
        };
        let map = QuorumMap::read(node, found)?;
        if map.keys.get("quorum").is_none() && map.keys.get("deadline").is_none() {
            let error = node.error(Code::MissingKey, "a `join` that is a map says `quorum` or `deadline`");
            found.push(error.help("write `join: { quorum: 2 }`, `join: { deadline: 30s }`, `all` or `any`"));
            return None;
        }
        let at_least = map.at_least.map_or(1, Whole::count);
        let join = map.quorum.map_or(Join::All, |quorum| Join::Quorum(quorum.count()));
        Some(Self { join, deadline: map.deadline.map(|span| Deadline { after: span.0, at_least }) })
    }
}

/// Dependencies in declared order.
#[derive(Clone, Debug)]
pub(super) struct AfterFile(pub(super) Vec<After>);

impl Read for AfterFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        const HELP: &str = "write `after: a`, `after: [a, b]`, or `after: { a: ok, b: 'output.x > 1' }`";
        match &node.kind {
            Kind::Text(_) => Some(Self(vec![name(node, found)?])),
            Kind::List(items) => Some(Self(
                items
                    .iter()
                    .filter_map(|item| match item.kind {
                        Kind::Text(_) => name(item, found),
                        _ => {
                            found.push(wrong(item, "the id of a node").help(HELP));
                            None
                        }
                    })
                    .collect(),
            )),
            Kind::Map(entries) => {
                duplicates(entries, found);
                let mut after = Vec::new();
                for (key, value) in entries {
                    if !is_id(&key.name) {
                        found
                            .push(key.error(Code::BadId, format!("{} is not an id", quoted(&key.name))).help(id_help(&key.name)));
                    } else if let Some(on) = condition(value, found) {
                        after.push(After { node: key.name.clone(), place: key.place.clone(), on });
                    }
                }
                Some(Self(after))
            }
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Huge => {
                found.push(wrong(node, "a node, a list of nodes or a map of conditions").help(HELP));
                None
            }
        }
    }
}

/// A dependency without a condition.
fn name(node: &Node, found: &mut Found) -> Option<After> {
    let id = Id::read(node, found)?;
    Some(After { node: id.0, place: node.place.clone(), on: AfterOn::Ok })
}

/// `ok`, `failed`, `done`, `else` or an expression.
fn condition(node: &Node, found: &mut Found) -> Option<AfterOn> {
    const WORDS: [&str; 4] = ["ok", "failed", "done", "else"];
    let Kind::Text(text) = &node.kind else {
        found
            .push(wrong(node, "a condition").help(format!("a condition is one of {}, or an expression in quotes", list(&WORDS))));
        return None;
    };
    Some(match &**text {
        "ok" => AfterOn::Ok,
        "failed" => AfterOn::Failed,
        "done" => AfterOn::Done,
        "else" => AfterOn::Else,
        _ => {
            let Expression(Text { source, place }) = Expression::read(node, found)?;
            if is_id(&source) && !matches!(&*source, "output" | "true" | "false") {
                let message = format!("{} is no condition", quoted(&source));
                let near = super::suggest::did_you_mean(&source, WORDS);
                let help = format!(
                    "a condition is one of {}, or an expression over `output`, such as `output == \"{source}\"`",
                    list(&WORDS)
                );
                found.push(node.error(Code::UnknownValue, message).help(near.unwrap_or(help)));
                return None;
            }
            AfterOn::When(Text { source, place })
        }
    })
}

short_or_map! {
    BackoffFile: Span | BackoffMap;
    ReuseFile: bool | ReuseWord;
    WriteFile: Id | WriteMap;
    JoinFile: JoinWord | QuorumMap;
    AfterFile: Id | Vec<Id> | std::collections::BTreeMap<String, Arc<str>>;
}
