//! What follows along the edges of a node that ended? Edges are met or not; joins become ready, or hopeless.

use std::{collections::BTreeSet, sync::Arc};

use petgraph::{
    Direction,
    graph::{EdgeIndex, NodeIndex},
    visit::EdgeRef,
};

use crate::{
    event::Outcome,
    graph::{Join, On, Stragglers},
    state::{FoldError, Stand, State},
    value::{Failure, NodeIx},
};

impl State {
    pub(super) fn resolve_edges(&mut self, node: NodeIx, outcome: &Outcome) {
        let (graph, base) = { (self.instance_of(node).graph.clone(), self.instance_of(node).base) };
        let local = NodeIndex::new((node.0 - base) as usize);
        let allowed = self.node(node).allow_failure;
        let failed = matches!(outcome, Outcome::Failed(_));
        let ok = matches!(outcome, Outcome::Ok(_)) || (failed && allowed);
        let judged = matches!(outcome, Outcome::Ok(_));
        let mut conditional = false;
        for edge in graph.dag.edges_directed(local, Direction::Outgoing) {
            let target = NodeIx(base + u32::try_from(edge.target().index()).unwrap_or(u32::MAX));
            match &edge.weight().on {
                On::Ok => self.resolve(target, ok),
                On::Failed => self.resolve(target, failed),
                On::Done => self.resolve(target, true),
                On::When(_) | On::Else if judged => conditional = true,
                On::When(_) => {
                    self.judged(target);
                    self.resolve(target, false);
                }
                On::Else => self.resolve(target, ok),
            }
        }
        if conditional {
            self.todo.judge.insert(node);
        }
    }

    pub(super) fn edges_judged(&mut self, node: NodeIx, met: &[Result<bool, Failure>]) -> Result<(), FoldError> {
        self.known(node)?;
        if !self.todo.judge.remove(&node) {
            return Err(self.contradiction(format!("no edge of node {node} is to be judged")));
        }
        let (graph, base) = { (self.instance_of(node).graph.clone(), self.instance_of(node).base) };
        let local = NodeIndex::new((node.0 - base) as usize);
        let mut edges: Vec<_> = graph.dag.edges_directed(local, Direction::Outgoing).collect();
        edges.sort_by_key(EdgeRef::id);
        let none_met = !met.contains(&Ok(true));
        let mut verdicts = met.iter();
        for edge in edges {
            let target = NodeIx(base + u32::try_from(edge.target().index()).unwrap_or(u32::MAX));
            match &edge.weight().on {
                On::When(_) => {
                    let Some(verdict) = verdicts.next() else {
                        return Err(self.contradiction("fewer verdicts than conditions"));
                    };
                    self.judged(target);
                    match verdict {
                        Ok(met) => self.resolve(target, *met),
                        Err(failure) => self.fault(target, edge.id(), failure),
                    }
                }
                On::Else => self.resolve(target, none_met),
                On::Ok | On::Failed | On::Done => {}
            }
        }
        Ok(())
    }

    fn judged(&mut self, target: NodeIx) {
        let state = &mut self.nodes[target.index()];
        state.conditions = state.conditions.saturating_sub(1);
    }

    /// A condition on an edge into `target` gives no answer. Of several the first in declared order is why the node fails.
    fn fault(&mut self, target: NodeIx, edge: EdgeIndex, failure: &Failure) {
        if self.nodes[target.index()].stand != Stand::Waiting {
            return;
        }
        let first = self.faults.get(&target).is_none_or(|(other, _)| edge.index() < *other);
        if first {
            self.faults.insert(target, (edge.index(), Arc::new(failure.clone())));
        }
        self.join(target);
    }

    /// One edge into `target` is met, or never will be.
    fn resolve(&mut self, target: NodeIx, met: bool) {
        let state = &mut self.nodes[target.index()];
        if met {
            state.met += 1
        } else {
            state.unmet += 1
        }
        self.join(target);
    }

    /// A node that waits starts, fails or is skipped, as far as its edges tell. It is given up only once every condition on
    /// them is judged, so that what becomes of it does not depend on which of its sources ended first.
    fn join(&mut self, target: NodeIx) {
        let state = &self.nodes[target.index()];
        if state.stand != Stand::Waiting {
            return;
        }
        let (met, unmet, sources, undecided) = (state.met, state.unmet, state.sources, state.conditions > 0);
        let (join, short_run) = { (self.node(target).join, self.node(target).short_run) };
        let (starts, hopeless) = match join {
            Join::All => (met == sources, unmet > 0),
            Join::Any => (met > 0, unmet == sources),
            Join::Quorum(n) => (met >= n, sources - unmet < n),
        };
        if starts {
            self.faults.remove(&target);
            self.make_ready(target);
            if met + unmet < sources && self.node(target).stragglers == Stragglers::Cancel {
                self.cut_stragglers(target);
            }
        } else if undecided {
            // What is still to be judged may fail it.
        } else if let Some((_, failure)) = self.faults.remove(&target) {
            self.todo.faulted.insert(target, failure);
        } else if hopeless && !short_run {
            self.todo.doomed.insert(target);
        } else if hopeless && met + unmet == sources {
            self.make_ready(target);
        }
    }

    /// Sources of a join that is met are cut off where nobody else waits for them, and so on backwards.
    pub(super) fn cut_stragglers(&mut self, join: NodeIx) {
        let (graph, base) = { (self.instance_of(join).graph.clone(), self.instance_of(join).base) };
        let ix = |node: NodeIndex| NodeIx(base + u32::try_from(node.index()).unwrap_or(u32::MAX));
        let mut cut: BTreeSet<NodeIndex> = BTreeSet::new();
        let mut look = vec![NodeIndex::new((join.0 - base) as usize)];
        while let Some(target) = look.pop() {
            for source in graph.dag.neighbors_directed(target, Direction::Incoming) {
                if self.nodes[ix(source).index()].stand == Stand::Ended || cut.contains(&source) {
                    continue;
                }
                let wanted = graph.dag.edges_directed(source, Direction::Outgoing).any(|edge| {
                    edge.weight().on != On::Failed && !cut.contains(&edge.target()) && self.awaits_stragglers(ix(edge.target()))
                });
                if !wanted {
                    cut.insert(source);
                    look.push(source);
                }
            }
        }
        self.todo.moot.extend(cut.into_iter().map(ix));
    }

    /// Whether a node still waits for its sources, or has started and lets them finish.
    fn awaits_stragglers(&self, node: NodeIx) -> bool {
        let state = &self.nodes[node.index()];
        match state.stand {
            Stand::Waiting => true,
            Stand::Ready | Stand::Running | Stand::Backoff => self.node(node).stragglers == Stragglers::Leave,
            Stand::Ended => {
                self.node(node).stragglers == Stragglers::Leave && !matches!(state.outcome, Some(Outcome::Skipped(_)))
            }
        }
    }
}
