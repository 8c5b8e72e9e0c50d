//! Where do two sessions part? [`Diff`]: what differed first, all that differs, and a row for each node.
//!
//! Facts are compared by what they are about (the request of a turn of a node, the verdict of a rule there, its output), not by when
//! they came: sessions in which the same was said in another order do not differ. What a fork shares with the other is passed over.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{Metrics, Timeline, facts::facts};
use crate::{
    event::{Event, Outcome, Record, Skip, TurnEnd},
    state::{FoldError, State},
    value::{NodeIx, Seq, SessionId, Usage},
};

/// Two sessions side by side.
#[derive(Clone, Debug, Serialize)]
pub struct Diff {
    /// The one.
    pub a: Side,
    /// The other.
    pub b: Side,
    /// How many records they share, where one is a fork of the other or both are of a third.
    pub shared: u64,
    /// What differed first.
    pub first: Option<Difference>,
    /// All that differs, in the order in which it came.
    pub differences: Vec<Difference>,
    /// The nodes that ran in either, in declared order.
    pub nodes: Vec<NodeDiff>,
}

/// What one of them took.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// Which session.
    pub session: SessionId,
    /// Where it stands.
    pub status: &'static str,
    /// Turns of all agents.
    pub turns: u64,
    /// Model calls.
    pub model_calls: u64,
    /// Tool calls.
    pub tool_calls: u64,
    /// Tokens read and written.
    pub tokens: u64,
    /// What it cost, in US dollars.
    pub cost_usd: f64,
    /// From start to end, in running time.
    pub makespan_ms: f64,
}

/// What a fact is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// What was to be done.
    Task,
    /// An input.
    Input,
    /// A file of the team, by its digest.
    File,
    /// A field of an agent's profile.
    Profile,
    /// The model behind a name.
    Model,
    /// The compiled plan, by the digest of a part.
    Plan,
    /// What a fork set.
    Fork,
    /// A request to a model, by the digests of its parts.
    Request,
    /// A model's reply.
    Reply,
    /// What a tool returned to an agent.
    Call,
    /// What a rule said.
    Verdict,
    /// What was found.
    Finding,
    /// What a person answered.
    Answer,
    /// What was settled.
    Decision,
    /// How a node ended.
    Output,
    /// How the session ended.
    Result,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// What it is in.
    pub about: About,
    /// At which node.
    pub node: Option<Arc<str>>,
    /// Which of these: the name of an input or file, a turn, a rule, a topic.
    pub name: String,
    /// The record that tells it in the one.
    pub seq_a: Option<Seq>,
    /// The record that tells it in the other.
    pub seq_b: Option<Seq>,
    /// What it is in the one; nothing where it has no such thing.
    pub a: Option<Json>,
    /// What it is in the other.
    pub b: Option<Json>,
}

/// A node in both.
#[derive(Clone, Debug, Serialize)]
pub struct NodeDiff {
    /// Its path.
    pub node: Arc<str>,
    /// In the one; nothing where it did not run.
    pub a: Option<NodeSide>,
    /// In the other.
    pub b: Option<NodeSide>,
    /// Whether it came to the same.
    pub same_output: bool,
}

/// What a node took.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NodeSide {
    /// How it ended.
    pub status: &'static str,
    /// Turns that it began.
    pub turns: u32,
    /// Tokens read and written.
    pub tokens: u64,
    /// What they cost, in US dollars.
    pub cost_usd: f64,
    /// The time that it was at work, people apart.
    pub busy_ms: f64,
    /// Whether all of it was taken over from an earlier session.
    pub reused: bool,
}

impl Diff {
    /// The difference between the sessions of these records.
    ///
    /// # Errors
    /// One of them is no session.
    pub fn of(a: &[Record], b: &[Record]) -> Result<Self, FoldError> {
        let shared = shared(a, b);
        let digests = [a, b].into_iter().all(digests_comparable);
        let differences = differences(facts(a, shared, digests)?, facts(b, shared, digests)?);
        let (one, other) = (Told::of(a)?, Told::of(b)?);
        Ok(Self {
            nodes: nodes(&one, &other),
            a: one.side,
            b: other.side,
            shared: shared as u64,
            first: differences.first().cloned(),
            differences,
        })
    }
}

/// How many records two sessions share: all but the first, which names the session, are the same, their times included.
fn shared(a: &[Record], b: &[Record]) -> usize {
    let same = a.iter().zip(b).skip(1).take_while(|(a, b)| a == b).count();
    if same == 0 { 0 } else { same + 1 }
}

/// Whether the digests of a session's requests are made as this build makes them.
fn digests_comparable(records: &[Record]) -> bool {
    records.first().is_some_and(|record| matches!(&record.event, Event::Started(started) if started.digests_comparable()))
}

/// A fact: what it is about, the record that tells it, and what it says.
pub(super) type Fact = ((About, Option<Arc<str>>, String), Seq, Json);

/// What is in one and not the same in the other, in the order in which it came in either.
fn differences(a: Vec<Fact>, b: Vec<Fact>) -> Vec<Difference> {
    let map = |facts: Vec<Fact>| -> BTreeMap<_, _> { facts.into_iter().map(|(key, seq, value)| (key, (seq, value))).collect() };
    let (a, b) = (map(a), map(b));
    let keys: BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let mut found: Vec<Difference> = Vec::new();
    for key in keys {
        let (one, other) = (a.get(key), b.get(key));
        let value = |fact: Option<&(Seq, Json)>| fact.map(|(_, value)| value.clone());
        if value(one) != value(other) {
            let (about, node, name) = key.clone();
            let (seq_a, seq_b) = (one.map(|(seq, _)| *seq), other.map(|(seq, _)| *seq));
            found.push(Difference { about, node, name, seq_a, seq_b, a: value(one), b: value(other) });
        }
    }
    found.sort_by_key(|d| (d.seq_a.into_iter().chain(d.seq_b).min(), d.about));
    found
}

/// A session as far as the table of nodes goes.
struct Told {
    side: Side,
    /// By path, in declared order.
    nodes: Vec<(Arc<str>, NodeSide, Json)>,
}

impl Told {
    fn of(records: &[Record]) -> Result<Self, FoldError> {
        let (state, timeline) = Timeline::of(records)?;
        let spent = spent(records);
        let metrics = Metrics::of(&state, &timeline);
        let side = Side {
            session: state.started.session,
            status: state.status().name(),
            turns: metrics.turns,
            model_calls: metrics.model_calls,
            tool_calls: metrics.tool_calls,
            tokens: metrics.tokens,
            cost_usd: metrics.cost_usd,
            makespan_ms: metrics.makespan_ms,
        };
        let all = (0..state.nodes.len()).filter_map(|ix| u32::try_from(ix).ok().map(NodeIx));
        let mut ran: Vec<NodeIx> = all.filter(|node| has_run(&state, *node)).collect();
        ran.sort_by_cached_key(|node| state.position(*node));
        let row = |node: NodeIx| {
            let usage = spent.get(&node).copied().unwrap_or_default();
            let side = NodeSide {
                status: state.status_name(node),
                turns: state.seat_turns.get(&node).copied().unwrap_or(0),
                tokens: super::tokens(&usage),
                cost_usd: usage.cost.dollars(),
                busy_ms: timeline.busy(node).as_secs_f64() * 1e3,
                reused: state.taken.get(&node).is_some_and(|taken| taken.is_whole()),
            };
            (state.path(node), side, json!([state.output(node), state.error(node)]))
        };
        Ok(Self { side, nodes: ran.into_iter().map(row).collect() })
    }
}

fn has_run(state: &State, node: NodeIx) -> bool {
    match state.outcome(node) {
        Some(Outcome::Skipped(Skip::Join | Skip::Moot | Skip::FailFast | Skip::Budget | Skip::Cancelled)) => false,
        Some(Outcome::Ok(_) | Outcome::Failed(_) | Outcome::Cancelled) => true,
        None => state.nodes[node.index()].attempt > 0 || state.scopes.contains_key(&node),
    }
}

/// What the replies to each node took; those that were taken over took nothing.
fn spent(records: &[Record]) -> BTreeMap<NodeIx, Usage> {
    let (mut spent, mut taken) = (BTreeMap::<NodeIx, Usage>::new(), BTreeSet::new());
    for record in records {
        match &record.event {
            Event::TakenOver(over) if over.call.is_none() => {
                taken.insert(over.node);
            }
            Event::TurnEnded { node, end, .. } if !taken.remove(node) => {
                let usage = match end {
                    TurnEnd::Reply(reply) => reply.usage,
                    TurnEnd::Failed(failure) => failure.spent(),
                };
                let sum = spent.entry(*node).or_default();
                *sum = sum.plus(usage);
            }
            _ => {}
        }
    }
    spent
}

/// A row for each node of either, those of the one first, in its order.
fn nodes(a: &Told, b: &Told) -> Vec<NodeDiff> {
    let known: BTreeSet<&Arc<str>> = a.nodes.iter().map(|(path, ..)| path).collect();
    let more = b.nodes.iter().map(|(path, ..)| path).filter(|path| !known.contains(path));
    let mut seen = BTreeSet::new();
    let paths = a.nodes.iter().map(|(path, ..)| path).chain(more).filter(|path| seen.insert(*path));
    // A path that was grown twice, in a scope that was tried again, is its last node.
    let find = |told: &Told, path: &Arc<str>| told.nodes.iter().rfind(|(own, ..)| own == path).cloned();
    let row = |path: &Arc<str>| {
        let (one, other) = (find(a, path), find(b, path));
        let same_output = one.as_ref().map(|(.., output)| output) == other.as_ref().map(|(.., output)| output);
        NodeDiff { node: path.clone(), a: one.map(|(_, side, _)| side), b: other.map(|(_, side, _)| side), same_output }
    };
    paths.map(row).collect()
}
