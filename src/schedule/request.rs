//! What does an agent get to see at its next turn?

use std::sync::Arc;

use super::Scheduler;
use crate::{
    graph::{NodeKind, Phase},
    state::{Knows, Spoken, State},
    turn::{Asked, knowledge_tool, lookup},
    value::{Call, Entry, FindingStatus, NodeIx, Request, SEARCH_KNOWLEDGE, Value},
};

impl Scheduler {
    /// The request of an activation's current turn.
    pub fn request(&self, node: NodeIx) -> Option<Request> {
        let activation = self.state.activations.get(&node)?;
        let member = self.member(node)?;
        let NodeKind::Agent(agent) = &self.state.node(node).kind else { return None };
        let team = self.state.team_of(node).1;
        let mut tools = self.memo.tools(self.offers(node)).to_vec();
        if !member.profile.knowledge.folders.is_empty() {
            tools.push(knowledge_tool());
        }
        tools.extend(self.tools.allowed(&member.profile).into_iter().filter(|tool| *tool.name != *SEARCH_KNOWLEDGE));
        let mut thread = activation.thread.clone();
        let mail = self.state.incoming(node);
        if !mail.is_empty() {
            thread.push(Entry::Mail(self.state.messages(&mail)));
        }
        Some(Request {
            role: member.role.clone(),
            profile: member.profile.clone(),
            node: self.state.path(node),
            phase: Arc::from(agent.phase.name()),
            turn: activation.turn,
            turns_left: self.turns_left(node),
            task: activation.task.clone(),
            input: self.input_of(node).unwrap_or_default(),
            inputs: self.state.inputs_at(node),
            context: self.context_of(&self.state.knew(node), &Asked::default()),
            thread,
            earlier: activation.earlier,
            letters: team.letters.clone(),
            tools,
        })
    }

    /// What is looked up before an agent's first turn. Folders have their paths in the session's inputs, whatever a sub-team calls them.
    pub(super) fn lookup(&self, node: NodeIx, task: &str) -> Option<Call> {
        let knowledge = Some(&self.member(node)?.profile.knowledge).filter(|knowledge| knowledge.looks_up())?;
        let started = &self.state.started;
        let folders = || started.plan.roots.iter().filter_map(|name| started.inputs.get(&**name)?.as_str());
        let found = self.state.visible_findings(&self.state.knew(node));
        let handed = self.state.handoff_to(node).map(|handoff| format!("{task}\n\n{}", handoff.content));
        let task = handed.as_deref().unwrap_or(task);
        Some(lookup(knowledge, task, &self.state.inputs_at(node), |text| folders().any(|folder| folder == text), &found))
    }

    /// The shared context as an agent may see it: `{findings, decisions, variables, versions, results, team, proposal,
    /// objections, undelivered, ledger}`; of a part of it only what was asked for.
    pub(super) fn context_of(&self, knows: &Knows, asked: &Asked) -> Value {
        let (state, node) = (&self.state, knows.node);
        let wants = |what: &str| asked.only.is_empty() || asked.only.iter().any(|o| o == what);
        let mut entries: Vec<(&str, Value)> = Vec::new();
        if wants("findings") {
            let findings = state.visible_findings(knows);
            let kept = findings.iter().filter(|f| f.status != FindingStatus::Retracted && asked.wants(f));
            entries.push(("findings", Value::list(kept.map(|f| Value::of(&**f).unwrap_or_default()))));
        }
        let decisions = state.visible_decisions(knows);
        if wants("decisions") {
            let kept = decisions.iter().filter(|d| asked.topic.as_ref().is_none_or(|topic| **topic == *d.topic));
            entries.push(("decisions", Value::list(kept.map(|d| Value::of(&**d).unwrap_or_default()))));
        }
        if wants("variables") {
            entries.push(("variables", Value::map(state.visible_variables(knows))));
            let versions = state.visible_versions(knows).into_iter().map(|(name, found)| (name, super::shared::version(&found)));
            entries.push(("versions", Value::map(versions)));
        }
        if asked.is_everything() {
            entries.push(("results", results(state, knows)));
            let team = if self.phase(node) == Phase::Delegate {
                Value::list(self.able(node, &[]).iter().map(|a| Value::of(a).unwrap_or_default()))
            } else {
                let (ix, team) = state.team_of(node);
                self.memo.roster(ix, team)
            };
            entries.push(("team", team));
            entries.push(("proposal", self.proposal_of(node)));
            let rejected = decisions.iter().rev().find(|d| &*d.topic == "proposal");
            let objections = rejected.map(|d| d.positions.iter().filter(|p| p.value.as_str() != Some("approve")));
            let objections = objections.into_iter().flatten().map(|p| Value::of(p).unwrap_or_default());
            entries.push(("objections", Value::list(objections)));
            entries.push(("undelivered", self.unread(knows)));
            let leads = matches!(self.phase(node), Phase::Delegate | Phase::Synthesize);
            entries.push(("ledger", if leads { state.ledger(knows) } else { Value::Null }));
        }
        Value::map(entries)
    }

    /// To the coordinator: what was said to one agent in its past and reached nobody, private words excepted.
    fn unread(&self, knows: &Knows) -> Value {
        let leads = self.state.team_of(knows.node).1.coordinator.as_ref().map(|c| &c.role) == self.state.role_of(knows.node);
        if !leads {
            return Value::list([]);
        }
        let own = self.state.role_of(knows.node);
        // That somebody reads it elsewhere at the same time is nothing that it knows.
        let read = |s: &Spoken| s.read_by.iter().any(|reader| knows.live.is_some() || knows.past.contains(reader));
        let mut unread: Vec<&Spoken> = self
            .state
            .addressed()
            .filter(|s| !s.message.private && s.message.to.as_ref() != own && !read(s))
            .filter(|s| s.frame == knows.frame && knows.sees(s.node, s.seq))
            .collect();
        unread.sort_by_cached_key(|s| (self.state.position(s.node), s.seq));
        Value::list(unread.into_iter().map(|s| Value::of(&*s.message).unwrap_or_default()))
    }

    /// What a validating agent votes on.
    fn proposal_of(&self, node: NodeIx) -> Value {
        let NodeKind::Agent(agent) = &self.state.node(node).kind else { return Value::Null };
        let base = self.state.instance_of(node).base;
        agent.proposal.map_or(Value::Null, |local| self.state.output(NodeIx(base + local)))
    }
}

/// What the members of the past came to: `[{node, role, phase, status, output, error}]`, in declared order. Of a team that is a
/// member it is what the team came to, and not what those in it did.
fn results(state: &State, knows: &Knows) -> Value {
    let members = knows.past.iter().filter(|ix| state.frame_of(**ix) == knows.frame);
    let members = members.filter_map(|ix| match (&state.node(*ix).kind, state.node(*ix).seat()) {
        (NodeKind::Agent(agent), _) if !matches!(agent.phase, Phase::Delegate | Phase::Answer) => {
            Some((*ix, &agent.role, agent.phase))
        }
        (NodeKind::Scope(_), Some(seat)) => Some((*ix, &seat.member, Phase::Work)),
        (NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) | NodeKind::Scope(_), _) => None,
    });
    let mut members: Vec<_> = members.collect();
    members.sort_by_cached_key(|(ix, ..)| state.position(*ix));
    Value::list(members.into_iter().map(|(ix, role, phase)| {
        Value::map([
            ("node", Value::Text(state.path(ix))),
            ("role", Value::Text(role.0.clone())),
            ("phase", Value::text(phase.name())),
            ("status", Value::text(state.status_name(ix))),
            ("output", state.output(ix)),
            ("error", state.error(ix)),
        ])
    }))
}
