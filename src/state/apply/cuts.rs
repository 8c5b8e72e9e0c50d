//! Whom does nobody wait for any more? Stops, failures that stop a team, and what was below a scope that is over.

use std::collections::BTreeSet;

use crate::{
    state::{Stand, State, Stopping},
    value::NodeIx,
};

impl State {
    pub(super) fn stop(&mut self, why: Stopping) {
        if self.stopping.is_some() {
            return;
        }
        self.stopping = Some(why);
        if self.finale.is_none() {
            self.cut_all();
        }
    }

    /// Everything that has not ended is to be cut off, stragglers of scopes that have ended included.
    pub(super) fn cut_all(&mut self) {
        let nodes = (0_u32..).map(NodeIx).zip(&self.nodes);
        let open = nodes.filter(|(_, state)| state.stand != Stand::Ended).map(|(node, _)| node);
        self.todo.moot.extend(open);
    }

    /// A failure that nobody around it handles stops the rest of its team.
    pub(super) fn fail_fast(&mut self, node: NodeIx) {
        let team = self.team_of(node).0;
        let mut ix = self.nodes[node.index()].instance;
        let mut inside = vec![ix];
        while let Some(scope) = self.instances[ix as usize].scope.filter(|s| self.team_of(*s).0 == team) {
            let around = self.node(scope);
            if around.caught || around.allow_failure || around.retry.is_some() {
                return;
            }
            ix = self.nodes[scope.index()].instance;
            inside.push(ix);
        }
        for ix in inside {
            self.instances[ix as usize].failed.get_or_insert(node);
        }
        if self.instances[ix as usize].scope.is_none() {
            return self.stop(Stopping::FailFast);
        }
        self.todo.moot.extend(self.open_nodes(ix));
    }

    /// Nodes below a scope that ended have nobody to work for.
    pub(super) fn abandon_children(&mut self, node: NodeIx) {
        let Some(scope) = self.scopes.get(&node) else { return };
        let open: Vec<NodeIx> = scope.instances.iter().flat_map(|ix| self.open_nodes(*ix)).collect();
        self.todo.moot.extend(open);
    }

    /// What an attempt of a scope did is thrown away: what is open below it is cut off, what was found and written is void.
    pub(super) fn throw_away_children(&mut self, scope: NodeIx) {
        if !self.scopes.contains_key(&scope) {
            return;
        }
        self.abandon_children(scope);
        let mut below = BTreeSet::new();
        self.below(scope, &mut below);
        self.context.forget(&below);
    }

    /// The nodes of an instance that have not ended.
    fn open_nodes(&self, instance: u32) -> Vec<NodeIx> {
        let instance = &self.instances[instance as usize];
        if instance.open == 0 {
            return Vec::new();
        }
        let end = instance.base + u32::try_from(instance.graph.dag.node_count()).unwrap_or(0);
        (instance.base..end).map(NodeIx).filter(|node| self.nodes[node.index()].stand != Stand::Ended).collect()
    }
}
