//! What does an agent get to see at its next turn?

use std::sync::Arc;

use super::Scheduler;
use crate::{
    graph::{NodeKind, Phase},
    state::State,
    turn::{collaboration_tools, knowledge_tool, lookup},
    value::{Call, Entry, FindingStatus, Message, MessageKind, NodeIx, Request, Role, SEARCH_KNOWLEDGE, Value},
};

impl Scheduler {
    /// The request of an activation's current turn.
    pub fn request(&self, node: NodeIx) -> Option<Request> {
        let activation = self.state.activations.get(&node)?;
        let member = self.member(node)?;
        let NodeKind::Agent(agent) = &self.state.node(node).kind else { return None };
        let mut tools = collaboration_tools();
        if !member.profile.knowledge.folders.is_empty() {
            tools.push(knowledge_tool());
        }
        tools.extend(self.tools.allowed(&member.profile).into_iter().filter(|tool| *tool.name != *SEARCH_KNOWLEDGE));
        let mail = self.mail(node, &member.role);
        let mut thread = Vec::with_capacity(activation.thread.len() + 1);
        if !mail.is_empty() {
            thread.push(Entry::Mail(mail));
        }
        thread.extend(activation.thread.iter().cloned());
        Some(Request {
            role: member.role.clone(),
            profile: member.profile.clone(),
            node: self.state.path(node),
            phase: Arc::from(agent.phase.name()),
            turn: activation.turn,
            turns_left: self.turns_left(node),
            task: activation.task.clone(),
            input: self.input_of(node).unwrap_or_default(),
            inputs: self.frame_inputs(node),
            context: self.context_of(node, &[], None, None),
            thread,
            tools,
        })
    }

    /// What is looked up before an agent's first turn. Folders have their paths in the session's inputs, whatever a sub-team calls them.
    pub(super) fn lookup(&self, node: NodeIx, task: &str) -> Option<Call> {
        let knowledge = Some(&self.member(node)?.profile.knowledge).filter(|knowledge| knowledge.looks_up())?;
        let started = &self.state.started;
        let folders = || started.plan.roots.iter().filter_map(|name| started.inputs.get(&**name)?.as_str());
        let found = self.state.visible_findings(node, &self.state.past(node));
        Some(lookup(knowledge, task, &self.frame_inputs(node), |text| folders().any(|folder| folder == text), &found))
    }

    /// The inputs of the team that a node belongs to.
    fn frame_inputs(&self, node: NodeIx) -> Arc<crate::value::Map> {
        let input = crate::value::Ref::Binding { name: Arc::from("input"), up: 0 };
        let names = self.state.names(std::slice::from_ref(&input), self.state.at(node));
        match names.into_iter().next() {
            Some((_, Value::Map(map))) => map,
            _ => self.state.started.inputs.clone(),
        }
    }

    /// Messages for an agent from its causal past, in declared order of the nodes where they were said.
    fn mail(&self, node: NodeIx, role: &Role) -> Vec<Arc<Message>> {
        let team = self.state.instance_of(node).graph.team;
        let wanted = |kind: MessageKind| match kind {
            MessageKind::Question | MessageKind::Handoff | MessageKind::Escalation | MessageKind::Note => true,
            MessageKind::TaskAssignment | MessageKind::Finding | MessageKind::Response => false,
        };
        if !self.state.context.messages.iter().any(|s| wanted(s.message.kind)) {
            return Vec::new();
        }
        let past = self.state.past(node);
        let for_me = |m: &Message| m.to.as_ref() == Some(role) || (m.to.is_none() && m.from.as_ref() != Some(role));
        let messages = self.state.context.messages.iter();
        let mut mail: Vec<_> = messages
            .filter(|s| wanted(s.message.kind) && past.contains(&s.node) && self.state.instance_of(s.node).graph.team == team)
            .filter(|s| for_me(&s.message))
            .collect();
        mail.sort_by_cached_key(|s| (self.state.position(s.node), s.seq));
        mail.into_iter().map(|s| s.message.clone()).collect()
    }

    /// The shared context as an agent may see it: `{findings, decisions, variables, results, team, proposal, objections}`.
    pub(super) fn context_of(&self, node: NodeIx, only: &[String], topic: Option<&str>, agent: Option<&str>) -> Value {
        let state = &self.state;
        let past = state.past(node);
        let wants = |what: &str| only.is_empty() || only.iter().any(|o| o == what);
        let mut entries: Vec<(&str, Value)> = Vec::new();
        if wants("findings") {
            let findings = state.visible_findings(node, &past);
            let kept = findings.iter().filter(|f| {
                topic.is_none_or(|t| *f.topic == *t)
                    && agent.is_none_or(|a| f.agent.as_str() == a)
                    && f.status != FindingStatus::Retracted
            });
            entries.push(("findings", Value::list(kept.map(|f| Value::of(&**f).unwrap_or_default()))));
        }
        let decisions = state.visible_decisions(&past);
        if wants("decisions") {
            entries.push(("decisions", Value::list(decisions.iter().map(|d| Value::of(&**d).unwrap_or_default()))));
        }
        if wants("variables") {
            entries.push(("variables", Value::map(state.visible_variables(&past))));
        }
        if only.is_empty() && topic.is_none() && agent.is_none() {
            entries.push(("results", results(state, &past)));
            let team = self.agents(node, &[]);
            entries.push(("team", Value::list(team.iter().map(|a| Value::of(a).unwrap_or_default()))));
            entries.push(("proposal", self.proposal_of(node)));
            let rejected = decisions.iter().rev().find(|d| &*d.topic == "proposal");
            let objections = rejected.map(|d| d.positions.iter().filter(|p| p.value.as_str() != Some("approve")));
            let objections = objections.into_iter().flatten().map(|p| Value::of(p).unwrap_or_default());
            entries.push(("objections", Value::list(objections)));
        }
        Value::map(entries)
    }

    /// What a validating agent votes on.
    fn proposal_of(&self, node: NodeIx) -> Value {
        let NodeKind::Agent(agent) = &self.state.node(node).kind else { return Value::Null };
        let base = self.state.instance_of(node).base;
        agent.proposal.map_or(Value::Null, |local| self.state.output(NodeIx(base + local)))
    }
}

/// What the agents of the past came to: `[{node, role, phase, status, output, error}]`, in declared order.
fn results(state: &State, past: &std::collections::BTreeSet<NodeIx>) -> Value {
    let agents = past.iter().filter_map(|ix| match &state.node(*ix).kind {
        NodeKind::Agent(agent) if agent.phase != Phase::Delegate => Some((*ix, agent)),
        NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) | NodeKind::Scope(_) => None,
    });
    let mut agents: Vec<_> = agents.collect();
    agents.sort_by_cached_key(|(ix, _)| state.position(*ix));
    Value::list(agents.into_iter().map(|(ix, agent)| {
        Value::map([
            ("node", Value::Text(state.path(ix))),
            ("role", Value::Text(agent.role.0.clone())),
            ("phase", Value::text(agent.phase.name())),
            ("status", Value::text(state.status_name(ix))),
            ("output", state.output(ix)),
            ("error", state.error(ix)),
        ])
    }))
}
