//! When did what happen? [`Timeline`]: running time only, parked time and outages left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    event::{Event, Outcome, Record},
    graph::NodeKind,
    state::{FoldError, State},
    value::{AskId, NodeIx, Timestamp},
};

/// When a node ran.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// When its first attempt started, on the wall clock.
    pub from: Timestamp,
    /// When it ended.
    pub to: Option<Timestamp>,
    /// The running time between.
    pub length: Duration,
    /// Of that, time in which it waited for a person.
    pub asked: Duration,
}

/// What a fold sees on the way.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Nodes that started, scopes and gates included.
    pub nodes: BTreeMap<NodeIx, Span>,
    /// Ended nodes in order, then those that have not ended.
    pub ended: Vec<NodeIx>,
    /// Running time of the session.
    pub makespan: Duration,
    /// Σ running calls · dt.
    pub busy: Duration,
    /// Σ min(limit, running + waiting for a slot) · dt.
    pub possible: Duration,
    /// Running time with no call and no question in flight.
    pub idle: Duration,
    /// When the session was over.
    pub over_at: Option<Timestamp>,
    /// When those that have not ended began, in running time.
    running: BTreeMap<NodeIx, Duration>,
    asking: BTreeMap<AskId, NodeIx>,
}

impl Timeline {
    /// Folds `records`, with an eye on the time.
    ///
    /// # Errors
    /// They are no session.
    pub fn of(records: &[Record]) -> Result<(State, Self), FoldError> {
        let first = records.first().ok_or(FoldError::NoStart)?;
        let mut state = State::start(first)?;
        let mut timeline = Self::default();
        let mut clock = Duration::ZERO;
        for record in &records[1..] {
            let span = state.running_time_until(record);
            timeline.pass(&state, span);
            clock += span;
            timeline.mark(&state, record, clock);
            state.apply(record)?;
        }
        timeline.makespan = clock;
        timeline.stop(&state, clock);
        Ok((state, timeline))
    }

    /// The time that a node was at work, people apart.
    pub fn busy(&self, node: NodeIx) -> Duration {
        self.nodes.get(&node).map_or(Duration::ZERO, |span| span.length.saturating_sub(span.asked))
    }

    fn pass(&mut self, state: &State, span: Duration) {
        if span.is_zero() {
            return;
        }
        let running = state.in_flight();
        let limit = state.started.plan.max_parallel.max(1);
        let wanted = running.saturating_add(u32::try_from(state.ready.len()).unwrap_or(u32::MAX)).min(limit);
        self.busy += span * running;
        self.possible += span * wanted;
        if running == 0 && state.asks.is_empty() {
            self.idle += span;
        }
        let asked: BTreeSet<NodeIx> = self.asking.values().copied().collect();
        for node in asked {
            if let Some(entry) = self.nodes.get_mut(&node) {
                entry.asked += span;
            }
        }
    }

    fn mark(&mut self, state: &State, record: &Record, clock: Duration) {
        match &record.event {
            Event::NodeStarted { node, .. } | Event::ScopeOpened { node, .. } => self.begin(*node, record.at, clock),
            Event::Asked(ask) => {
                self.begin(ask.node, record.at, clock);
                self.asking.insert(ask.id, ask.node);
            }
            Event::AskClosed { ask, .. } => {
                self.asking.remove(ask);
            }
            Event::NodeEnded { node, outcome } => {
                if matches!(outcome, Outcome::Skipped(_)) && !self.running.contains_key(node) {
                    return;
                }
                if matches!(state.node(*node).kind, NodeKind::Gate(_)) {
                    self.begin(*node, record.at, clock);
                }
                let began = self.running.remove(node).unwrap_or(clock);
                if let Some(span) = self.nodes.get_mut(node) {
                    span.to = Some(record.at);
                    span.length = clock.saturating_sub(began);
                }
                self.ended.push(*node);
            }
            Event::Finished(_) => self.over_at = Some(record.at),
            _ => {}
        }
    }

    /// Counts the time so far of what has not ended: the session is parked, broken off or running.
    fn stop(&mut self, state: &State, clock: Duration) {
        for (node, began) in std::mem::take(&mut self.running) {
            if let Some(span) = self.nodes.get_mut(&node) {
                span.length = clock.saturating_sub(began);
            }
            if !matches!(state.node(node).kind, NodeKind::Scope(_)) {
                self.ended.push(node);
            }
        }
    }

    fn begin(&mut self, node: NodeIx, at: Timestamp, clock: Duration) {
        self.running.entry(node).or_insert(clock);
        self.nodes.entry(node).or_insert(Span { from: at, to: None, length: Duration::ZERO, asked: Duration::ZERO });
    }
}
