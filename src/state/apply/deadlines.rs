//! What changes when a deadline passes? A node that waits for its join goes on with what has ended, and so does a scope.

use std::sync::Arc;

use petgraph::{Direction, graph::NodeIndex};

use crate::{
    graph::Stragglers,
    state::{FoldError, Stand, State, Timer},
    value::{Failure, FailureKind, NodeIx},
};

impl State {
    /// A node is ready: those that join it and wait so long and no longer wait from now on, unless they wait already.
    pub(in crate::state) fn await_joins(&mut self, source: NodeIx) {
        let (graph, base) = { (self.instance_of(source).graph.clone(), self.instance_of(source).base) };
        for target in graph.dag.neighbors_directed(NodeIndex::new((source.0 - base) as usize), Direction::Outgoing) {
            let Some(deadline) = graph.dag[target].join_deadline else { continue };
            let target = NodeIx(base + u32::try_from(target.index()).unwrap_or(u32::MAX));
            let waits = self.nodes.get(target.index()).is_some_and(|state| state.stand == Stand::Waiting);
            if waits && !self.timers.is_set(Timer::Join(target)) {
                self.timers.set(Timer::Join(target), self.at.after(deadline.after));
            }
        }
    }

    pub(super) fn deadline_passed(&mut self, node: NodeIx) -> Result<(), FoldError> {
        self.known(node)?;
        self.timers.clear(Timer::Join(node));
        self.timers.clear(Timer::Work(node));
        if self.todo.moot.contains(&node) {
            return Ok(());
        }
        match self.nodes[node.index()].stand {
            Stand::Waiting => self.join_expired(node),
            Stand::Running => {
                if let Some(scope) = self.scopes.get_mut(&node) {
                    scope.expired = true;
                    self.todo.scopes.insert(node);
                }
            }
            Stand::Ready | Stand::Backoff | Stand::Ended => {}
        }
        Ok(())
    }

    /// A join has been waited for long enough.
    fn join_expired(&mut self, node: NodeIx) {
        let Some(deadline) = self.node(node).join_deadline else { return };
        let (met, sources) = { (self.nodes[node.index()].met, self.nodes[node.index()].sources) };
        if met < deadline.at_least && !self.node(node).short_run {
            let seconds = deadline.after.as_secs_f64();
            let why = format!("after {seconds} s {met} of {sources} were there, and {} are needed", deadline.at_least);
            self.todo.doomed.remove(&node);
            self.todo.faulted.insert(node, Arc::new(Failure::new(FailureKind::Timeout, why)));
            return;
        }
        self.faults.remove(&node);
        self.todo.doomed.remove(&node);
        self.make_ready(node);
        if self.node(node).stragglers == Stragglers::Cancel {
            self.cut_stragglers(node);
        }
    }
}
