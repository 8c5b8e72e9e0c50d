//! What grows below an agent's call? The activation that answers its question, from a snapshot of its colleague's thread.

use std::sync::Arc;

use crate::{
    event::{Grown, GrownFrom},
    graph::{NodeKind, Phase},
    state::{CallState, FoldError, Heard, ScopeState, Stage, State},
    turn::ends,
    value::{CallIx, CallResult, Entry, NodeIx, Role, Value},
};

impl State {
    /// A call of an agent waits for what grows below it.
    pub(super) fn grown_below(&mut self, grown: &Grown, call: CallIx) -> Result<(), FoldError> {
        let node = grown.node;
        self.in_progress(node)?;
        let GrownFrom::Made { path, graph } = &grown.of else {
            return Err(self.contradiction(format!("a graph of the plan does not grow below agent {node}")));
        };
        if graph.team != self.team_of(node).0 {
            return Err(self.contradiction(format!("what grows below agent {node} is of another team")));
        }
        let instance = u32::try_from(self.instances.len()).unwrap_or(u32::MAX);
        let first = NodeIx(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        match self.activation(node)?.call_mut(call) {
            Some(state @ CallState::New(_)) => {
                if let Some(asked) = state.call().cloned() {
                    *state = CallState::Waiting(asked, instance);
                }
            }
            _ => return Err(self.contradiction(format!("agent {node} has no call {call} that anything could grow below"))),
        }
        let scope = self.scopes.entry(node).or_default();
        scope.instances.push(instance);
        scope.grown += 1;
        scope.open += 1;
        if let Some(NodeKind::Agent(answer)) = graph.dag.node_weights().next().map(|n| &n.kind)
            && answer.phase == Phase::Answer
        {
            *self.asks_made.entry(self.first_asker(node).0).or_default() += 1;
            let nothing = || Heard { node: first, task: self.task_at(node).clone(), thread: Vec::new(), mail: 0, began_at: None };
            let heard = self.snapshot(node, &answer.role).unwrap_or_else(nothing);
            self.snapshots.insert(first, heard);
        }
        self.instantiate(graph, Some(node), 0, path.clone());
        if let Some(question) = self.question_of(first).cloned()
            && let Some(heard) = self.snapshots.get_mut(&first)
        {
            heard.thread.push(Entry::Mail(Arc::from([question])));
        }
        self.look_again(node);
        Ok(())
    }

    /// What grew below a call of an agent has ended.
    pub(in crate::state) fn back(&mut self, node: NodeIx, instance: u32) {
        let Some(activation) = self.activations.get_mut(&node) else { return };
        let Stage::Calls(calls) = &mut activation.stage else { return };
        for state in calls {
            if let CallState::Waiting(call, below) = state
                && *below == instance
            {
                *state = CallState::Back(call.clone(), instance);
            }
        }
        self.look_again(node);
    }

    /// A new attempt of an agent has nothing below it yet.
    pub(super) fn forget_below(&mut self, node: NodeIx) {
        if let Some(scope) = self.scopes.get_mut(&node) {
            *scope = ScopeState { grown: scope.grown, ..ScopeState::default() };
        }
    }

    /// Keeps what an agent has said and learned, for questions to it and for its next activation in a circle.
    pub(super) fn remember(&mut self, node: NodeIx) {
        let NodeKind::Agent(agent) = &self.node(node).kind else { return };
        if agent.phase == Phase::Answer || !self.is_remembered(node) {
            return;
        }
        let role = agent.role.clone();
        let Some(activation) = self.activations.get(&node) else { return };
        let mut thread = activation.thread.clone();
        let last = match thread.last() {
            Some(Entry::Reply(reply)) => reply.calls.iter().find(|call| ends(&call.tool)).cloned(),
            _ => None,
        };
        if let Some(call) = last {
            let result = Arc::new(CallResult::of(Ok(Value::map([("accepted", Value::Bool(true))]))));
            thread.push(Entry::Result { call, result });
        }
        let heard = Heard { node, task: activation.task.clone(), thread, mail: activation.heard, began_at: activation.began_at };
        // Whoever asks the member that the team is, asks its coordinator.
        if let Some(above) = self.voice(node).filter(|voice| voice.leads).map(|voice| (voice.frame, voice.member.clone())) {
            self.threads.insert(above, heard.clone());
        }
        self.threads.insert((self.frame_of(node), role), heard);
    }

    /// Nobody asks the agents of a team any more that was at work below a scope that has ended.
    pub(super) fn forget_threads(&mut self, scope: NodeIx) {
        let Some(below) = self.scopes.get(&scope).filter(|_| !self.threads.is_empty()) else { return };
        let frames: Vec<u32> = below.instances.iter().copied().filter(|ix| self.instances[*ix as usize].frame == *ix).collect();
        if !frames.is_empty() {
            self.threads.retain(|(frame, _), _| !frames.contains(frame));
        }
    }

    /// Whether anybody could ask for what this agent knows.
    fn is_remembered(&self, node: NodeIx) -> bool {
        let asked = |node: NodeIx| self.has_askers(node);
        self.is_live(node) || asked(node) || self.voice(node).is_some_and(|voice| voice.leads && asked(voice.scope))
    }

    /// Whether the agents of a node's team may ask each other.
    fn has_askers(&self, node: NodeIx) -> bool {
        let team = self.team_of(node).1;
        team.max_asks > 0 && team.members.len() + usize::from(team.coordinator.is_some()) > 1
    }

    /// Whether an agent is the one of that role in a team at work, or leads the team that has it.
    fn is_asked(&self, node: NodeIx, frame: u32, role: &Role) -> bool {
        let own = self.role_of(node) == Some(role) && self.frame_of(node) == frame;
        own || self.voice(node).is_some_and(|voice| voice.leads && voice.frame == frame && voice.member == role)
    }

    /// What an agent of that role knows when a colleague at `node` asks it: its thread up to its last closed turn.
    fn snapshot(&self, node: NodeIx, role: &Role) -> Option<Heard> {
        let frame = self.frame_of(node);
        let answers = |ix: &NodeIx| matches!(&self.node(*ix).kind, NodeKind::Agent(agent) if agent.phase == Phase::Answer);
        let at_work = self.activations.iter().filter(|(ix, _)| self.is_asked(**ix, frame, role) && !answers(ix));
        let Some((ix, activation)) = at_work.max_by_key(|(ix, _)| **ix) else {
            return self.threads.get(&(frame, role.clone())).cloned();
        };
        let mut thread = activation.thread.clone();
        if matches!(activation.stage, Stage::Calls(_))
            && let Some(open) = thread.iter().rposition(|entry| matches!(entry, Entry::Reply(_)))
        {
            thread.truncate(open);
        }
        Some(Heard { node: *ix, task: activation.task.clone(), thread, mail: activation.heard, began_at: activation.began_at })
    }
}
