//! What did a session take over from an earlier one, and why not the rest? [`ReuseReport`].

use std::sync::Arc;

use serde::Serialize;

use crate::{
    graph::NodeKind,
    state::{State, Taken},
    value::{NodeIx, SessionId},
};

/// What was taken over.
#[derive(Clone, Debug, Serialize)]
pub struct ReuseReport {
    /// From which session.
    pub session: SessionId,
    /// Agents, tools and questions in declared order, as far as the session came to them.
    pub nodes: Vec<ReuseRow>,
}

/// What a node took over.
#[derive(Clone, Debug, Serialize)]
pub struct ReuseRow {
    /// Which.
    pub node: Arc<str>,
    /// `all` of it, a `part`, or `nothing`.
    pub taken: &'static str,
    /// Turns, or results of a tool node, that were taken over.
    pub turns: u32,
    /// Results of calls that were taken over.
    pub calls: u32,
    /// The session in which the models or tools were really asked.
    pub from: Option<SessionId>,
    /// Tokens that were not read and written again.
    pub saved_tokens: u64,
    /// What they cost, in US dollars.
    pub saved_usd: f64,
    /// Why not all of it.
    pub why: Option<Arc<str>>,
}

/// What a session saved.
#[derive(Clone, Debug, Serialize)]
pub struct Reused {
    /// Nodes of which all was taken over.
    pub nodes: u64,
    /// Turns that were.
    pub turns: u64,
    /// Tokens that were not read and written again.
    pub saved_tokens: u64,
    /// What they cost, in US dollars.
    pub saved_usd: f64,
}

impl ReuseReport {
    pub(super) fn of(state: &State) -> Option<Self> {
        let session = state.started.reuse?.session;
        let mut nodes: Vec<(&NodeIx, &Taken)> = state.taken.iter().collect();
        nodes.sort_by_cached_key(|(node, _)| state.position(**node));
        Some(Self { session, nodes: nodes.into_iter().map(|(node, taken)| row(state, *node, taken)).collect() })
    }
}

impl Reused {
    pub(super) fn of(state: &State) -> Option<Self> {
        state.started.reuse?;
        let all = || state.taken.values();
        let saved = all().fold(crate::value::Usage::default(), |sum, taken| sum.plus(taken.saved));
        Some(Self {
            nodes: all().filter(|taken| taken.is_whole()).count() as u64,
            turns: all().map(|taken| u64::from(taken.turns)).sum(),
            saved_tokens: super::tokens(&saved),
            saved_usd: saved.cost.dollars(),
        })
    }
}

fn row(state: &State, node: NodeIx, taken: &Taken) -> ReuseRow {
    let part = match (taken.turns, &taken.anew) {
        (0, _) => "nothing",
        (_, None) => "all",
        (_, Some(_)) => "part",
    };
    let why = taken.anew.as_ref().map(|(turn, why)| match &state.node(node).kind {
        NodeKind::Agent(_) if turn.0 > 0 => Arc::from(format!("from turn {} on: {why}", turn.0 + 1)),
        NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) | NodeKind::Scope(_) => why.clone(),
    });
    ReuseRow {
        node: state.path(node),
        taken: part,
        turns: taken.turns,
        calls: taken.calls,
        from: taken.session.filter(|_| taken.turns > 0),
        saved_tokens: super::tokens(&taken.saved),
        saved_usd: taken.saved.cost.dollars(),
        why,
    }
}
