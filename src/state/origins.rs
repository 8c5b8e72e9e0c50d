//! Where does what somebody says come from? Labels flow along the edges of the plan, with mail and with results of calls.
//!
//! An agent's words carry the labels of all that it had read when it said them: of what its causal past came to, of its mail, of
//! the results of its calls; and its own, `model`, or `tool` for a script. A node's output carries those of its agent, or of all
//! that went into it. Whatever flows back from parallel work is joined where the plan joins it, so that the order of arrival has no part.

use super::{Activation, State};
use crate::{
    graph::{NodeKind, ScopeKind},
    turn::is_collaboration,
    value::{Entry, NodeIx, Origin, Origins, is_offline},
};

impl State {
    /// The labels of what a node says now, or of what it came to.
    pub fn origins_at(&self, node: NodeIx) -> Origins {
        match self.activations.get(&node) {
            Some(activation) => activation.origins,
            None => self.origins.get(&node).copied().unwrap_or_else(|| self.origins_before(node)),
        }
    }

    /// The labels of all that came before a node.
    pub fn origins_before(&self, node: NodeIx) -> Origins {
        let mut found = Origins::default();
        let mut look = node;
        loop {
            found = found.with(self.followed(look).iter().map(|source| self.came_to(*source)).collect::<Origins>());
            if self.finale == Some(self.nodes[look.index()].instance) {
                found = found.with(self.origins.values().copied().collect::<Origins>());
            }
            let Some(scope) = self.instance_of(look).scope else { return found };
            found = found.with(self.scopes.get(&scope).map_or(Origins::default(), |state| state.origins));
            // Who is asked reads what it is asked.
            found = found.with(self.activations.get(&scope).map_or(Origins::default(), |asker| asker.origins));
            look = scope;
        }
    }

    fn came_to(&self, node: NodeIx) -> Origins {
        self.origins.get(&node).copied().unwrap_or_default()
    }

    /// The labels that an activation begins with.
    pub(super) fn begins_with(&self, node: NodeIx) -> Origins {
        let member = self.role_of(node).and_then(|role| self.team_of(node).1.agent(role));
        let script = member.is_some_and(|member| is_offline(&member.profile.model));
        self.origins_before(node).with(if script { Origin::Tool } else { Origin::Model })
    }

    /// A node ends: the labels of what it came to are kept.
    pub(super) fn keep_origins(&mut self, node: NodeIx) {
        let before = || self.origins_before(node);
        let origins = match &self.node(node).kind {
            NodeKind::Agent(_) => self.origins_at(node),
            NodeKind::Tool(tool) => before().with(if tool.untrusted { Origin::Untrusted } else { Origin::Tool }),
            NodeKind::Gate(_) => before(),
            NodeKind::Ask(_) => before().with(Origin::Person),
            NodeKind::Scope(_) => {
                let instances = self.scopes.get(&node).map(|scope| scope.instances.as_slice()).unwrap_or_default();
                before().with(instances.iter().map(|instance| self.came_to_in(*instance)).collect::<Origins>())
            }
        };
        if !origins.is_empty() {
            self.origins.insert(node, origins);
        }
    }

    /// The labels of all that an instance came to.
    pub fn came_to_in(&self, instance: u32) -> Origins {
        let instance = &self.instances[instance as usize];
        let size = u32::try_from(instance.graph.dag.node_count()).unwrap_or(0);
        (instance.base..instance.base + size).map(|node| self.came_to(NodeIx(node))).collect()
    }

    /// Rounds, those of delegation too, seats of a relay and debates come one after another: a further one begins with what the last one came to.
    pub(super) fn hand_on_origins(&mut self, scope: NodeIx) {
        let NodeKind::Scope(kind) = &self.node(scope).kind else { return };
        match &**kind {
            ScopeKind::Repeat { .. } | ScopeKind::Subtasks { .. } | ScopeKind::Relay { .. } | ScopeKind::Settle(_) => {}
            ScopeKind::ForEach { .. } | ScopeKind::Group { .. } | ScopeKind::Circle { .. } => return,
        }
        let last = self.scopes.get(&scope).and_then(|state| state.instances.last().copied());
        let Some(came) = last.map(|instance| self.came_to_in(instance)) else { return };
        if let Some(state) = self.scopes.get_mut(&scope) {
            state.origins = state.origins.with(came);
        }
    }
}

impl Activation {
    /// It has read its thread up to now.
    pub(super) fn read_thread(&mut self) {
        let read = self.thread.iter().skip(self.read).map(origins).collect::<Origins>();
        self.origins = self.origins.with(read);
        self.read = self.thread.len();
    }
}

/// The labels of an entry of a thread.
fn origins(entry: &Entry) -> Origins {
    match entry {
        Entry::Result { result, .. } | Entry::Known { result, .. } if result.untrusted => Origin::Untrusted.into(),
        Entry::Known { .. } => Origin::Tool.into(),
        Entry::Result { call, .. } if !is_collaboration(&call.tool) => Origin::Tool.into(),
        Entry::Result { call, result } => {
            let answered = &*call.tool == "escalate" && result.outcome.as_ref().is_ok_and(|value| value.get("answer").is_some());
            if answered { Origin::Person.into() } else { Origins::default() }
        }
        Entry::Mail(mail) => mail.iter().map(|message| message.origins).collect(),
        Entry::Answer { .. } => Origin::Person.into(),
        Entry::Reply(_) | Entry::Note(_) => Origins::default(),
    }
}
