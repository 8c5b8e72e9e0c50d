//! What does a node of the graph language come to? One function for each kind.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    args,
    build::{Around, Builder},
    names::{View, suggest},
    trial::Wanted,
};
use crate::{
    graph::{
        AgentNode, AskNode, DEFAULT_TOOL_TIMEOUT, Divider, GateBy, Node, NodeKind, Phase, Replan, ScopeKind, SettleSpec, ToolNode,
    },
    pattern,
    team::{AskSpec, Body, Code, Delegation, Diagnostic, MemberSpec, NodeSpec, Team, ToolSpecNode, What},
    value::{EffectClass, Place, Role, RuleKind, TextTemplate, Value, WriteSpec},
};

impl Builder<'_> {
    /// Compiles the node `spec`, the `at`th of its graph, without its edges.
    pub(super) fn node(&mut self, around: &mut Around<'_>, spec: &NodeSpec, at: u32) -> Node {
        let kind = self.kind(around, spec, at);
        self.check_concurrency(spec);
        let mut node = Node::new(&spec.id, kind);
        node.join = spec.join;
        node.short_run = spec.short_run;
        node.stragglers = spec.stragglers;
        (node.join_deadline, node.work_deadline) = (spec.join_deadline, spec.work_deadline);
        node.input = spec.input.as_ref().map(|i| self.expression(around, i, View::Node(at), Wanted::Value));
        node.allow_failure = spec.allow_failure;
        node.writes.clone_from(&spec.writes);
        node.reuse = spec.reuse;
        if let Some((retry, timeout)) = scope_limits(spec) {
            (node.retry, node.timeout) = (retry, timeout);
        }
        if let NodeKind::Scope(scope) = &node.kind
            && let ScopeKind::Group { body, with: Some(_), .. } = &**scope
        {
            // A team ends when its own running time is up.
            node.timeout = node.timeout.into_iter().chain(self.wall_of(*body)).min();
        }
        if let NodeKind::Agent(agent) = &node.kind {
            node.timeout = Some(node.timeout.unwrap_or(around.team.coordination.timeout_per_agent));
            node.retry = node.retry.or_else(|| around.team.coordination.retry.clone());
            let member = member(around.team, &agent.role);
            node.writes = writes(&spec.writes, member.map(|m| &m.writes[..]).unwrap_or_default());
        } else if let NodeKind::Tool(_) = &node.kind {
            node.timeout = Some(node.timeout.unwrap_or(DEFAULT_TOOL_TIMEOUT));
        }
        node
    }

    fn kind(&mut self, around: &mut Around<'_>, spec: &NodeSpec, at: u32) -> NodeKind {
        let view = View::Node(at);
        let scope = match &spec.what {
            What::Agent { role, .. } => return self.agent(around, spec, role, at),
            What::Tool(tool) => return NodeKind::Tool(Box::new(self.tool(around, tool, at))),
            What::Gate(text) => return NodeKind::Gate(GateBy::Expr(self.expression(around, text, view, Wanted::Value))),
            What::Rule { name, members } => return NodeKind::Gate(self.rule(around, spec, name, members)),
            What::Ask(ask) => return NodeKind::Ask(Box::new(self.ask(around, ask, at))),
            What::ForEach { items, name, max, parallel, body } => {
                self.at_least_one(&spec.place, "max", *max);
                self.at_least_one(&spec.place, "parallel", parallel.unwrap_or(1));
                let items = self.expression(around, items, view, Wanted::List(*max));
                let bindings = vec![self.item_name(name, spec)];
                let body = self.body(around, spec, body, at, bindings, None).ix;
                ScopeKind::ForEach { items, name: name.clone(), max: *max, parallel: *parallel, body }
            }
            What::Repeat { max, until, body } => {
                self.at_least_one(&spec.place, "max", *max);
                let body = self.body(around, spec, body, at, vec![Arc::from("round")], until.as_ref());
                ScopeKind::Repeat { max: *max, until: body.until, body: body.ix }
            }
            What::Group { body: Body::Team { team, with } } => self.sub_team(around, spec, team, with, at),
            What::Group { body } => {
                ScopeKind::Group { body: self.body(around, spec, body, at, Vec::new(), None).ix, with: None, seat: None }
            }
            What::Subtasks { from, max, one_by_one, quorum, replan, check } => {
                self.at_least_one(&spec.place, "max", *max);
                self.quorum(spec, *quorum, *max);
                let from = self.expression(around, from, view, Wanted::List(*max));
                let all: Vec<Role> = around.team.members.iter().map(|m| m.role.clone()).collect();
                self.may_grow(around, &all);
                let like = like(around.team, spec, Phase::Work);
                if let Some(role) = check {
                    self.known_members(around, spec, std::slice::from_ref(role), 0);
                }
                self.divider(around, spec, *replan);
                let (one_by_one, quorum, check) = (*one_by_one, *quorum, check.clone());
                ScopeKind::Subtasks { from, max: *max, like, one_by_one, quorum, replan: *replan, check }
            }
            What::Relay { members, max_handoffs } => {
                self.known_members(around, spec, members, 1);
                self.may_grow(around, members);
                let like = like(around.team, spec, Phase::Work);
                let targets = targets(&around.team.may_hand_off, members);
                ScopeKind::Relay { members: members.clone(), max_handoffs: *max_handoffs, targets, like }
            }
            What::Circle { members } => {
                self.known_members(around, spec, members, 2);
                self.may_grow(around, members);
                ScopeKind::Circle { members: members.clone(), like: like(around.team, spec, Phase::Work) }
            }
            What::Settle { over, members, max_debate_rounds, protocol, tie } => {
                self.known_members(around, spec, members, 0);
                self.known_members(around, spec, tie.as_slice(), 0);
                let like = like(around.team, spec, Phase::Debate);
                let all = || around.team.members.iter().map(|m| m.role.clone()).collect();
                ScopeKind::Settle(SettleSpec {
                    over: *over,
                    members: if members.is_empty() { all() } else { members.clone() },
                    max_debate_rounds: *max_debate_rounds,
                    protocol: *protocol,
                    tie: tie.clone(),
                    like,
                })
            }
        };
        NodeKind::Scope(Box::new(scope))
    }

    fn agent(&mut self, around: &mut Around<'_>, spec: &NodeSpec, role: &Role, at: u32) -> NodeKind {
        let What::Agent { task, phase, proposal, done_when, max_turns, live, .. } = &spec.what else {
            return NodeKind::Gate(GateBy::Members(RuleKind::Merge, Vec::new()));
        };
        let team = around.team;
        if member(team, role).is_none() {
            self.found.push(unknown_role(team, role, &spec.place));
        }
        // In all but its work the coordinator of a team speaks for it.
        if *phase == Phase::Work
            && let Some(scope) = self.team_at_work(around, spec, role, at)
        {
            return NodeKind::Scope(Box::new(scope));
        }
        let task = task.as_ref().map(|t| self.template(around, t, View::Node(at)));
        let proposal = proposal.as_ref().and_then(|(id, place)| self.proposal(around, id, place, at));
        NodeKind::Agent(Box::new(AgentNode {
            role: role.clone(),
            task,
            brief: None,
            phase: *phase,
            done_when: done_when.clone(),
            proposal,
            max_turns: *max_turns,
            live: *live,
            check: false,
        }))
    }

    /// The node that makes the proposal, which must have ended before.
    fn proposal(&mut self, around: &mut Around<'_>, id: &Arc<str>, place: &Place, at: u32) -> Option<u32> {
        let frame = around.scope.frames.last_mut()?;
        let Some(&early) = frame.ids.get(id) else {
            let message = format!("the proposal `{id}` is no node of this graph");
            let help = suggest(id, frame.ids.keys().map(|k| &**k));
            self.found.push(Diagnostic::error(Code::UnknownNode, place, message).help(help));
            return None;
        };
        frame.questions.push(super::names::Question { view: View::Node(at), early, name: id.clone(), place: place.clone() });
        Some(early)
    }

    fn tool(&mut self, around: &mut Around<'_>, node: &ToolSpecNode, at: u32) -> ToolNode {
        let known = self.tools.get(&*node.tool).copied();
        let mut texts = Vec::new();
        args::templates(&node.args, &mut String::new(), &node.place, &mut texts);
        if let Some(tool) = known {
            let filled: Vec<&str> = texts.iter().map(|(pointer, _)| &**pointer).collect();
            self.found.extend(args::check(tool, node, &filled));
        }
        let mut bound = Vec::with_capacity(texts.len());
        for (pointer, text) in texts {
            let template: TextTemplate = self.template(around, &text, View::Node(at));
            bound.push((pointer, template));
        }
        let effect = node.effect.unwrap_or_else(|| match known {
            Some(tool) => {
                let unfilled = bound.iter().fold(node.args.clone(), |args, (pointer, _)| args.with(pointer, Value::Null));
                (self.effect)(&tool.name, &unfilled).unwrap_or(tool.effect)
            }
            None => EffectClass::Irreversible,
        });
        let untrusted = known.is_none_or(|tool| tool.untrusted);
        ToolNode { tool: node.tool.clone(), args: node.args.clone(), templates: bound, effect, untrusted }
    }

    fn rule(&mut self, around: &Around<'_>, spec: &NodeSpec, name: &Arc<str>, members: &[Role]) -> GateBy {
        self.known_members(around, spec, members, 0);
        let kind = RuleKind::of(name);
        let defined = around.functions.contains(name);
        match &kind {
            RuleKind::Route if around.team.coordination.delegation == Some(Delegation::All) => {
                let all = || around.team.members.iter().map(|m| m.role.clone()).collect();
                return GateBy::Members(kind, if members.is_empty() { all() } else { members.to_vec() });
            }
            RuleKind::Route | RuleKind::Merge if defined => {}
            RuleKind::Route | RuleKind::Merge if !members.is_empty() => return GateBy::Members(kind, members.to_vec()),
            RuleKind::Route | RuleKind::Merge => {
                return GateBy::Members(kind, around.team.members.iter().map(|m| m.role.clone()).collect());
            }
            RuleKind::Handoff | RuleKind::Settle | RuleKind::Escalate | RuleKind::Permit | RuleKind::Reconcile => {
                let message = format!("`{name}` is a rule that the engine asks: no node can call it");
                let help = "a `rule` node calls `route`, `merge` or a function of your own";
                self.found.push(Diagnostic::error(Code::UnknownRule, &spec.place, message).help(help));
            }
            RuleKind::Own(own) if !defined => {
                let message = format!("no script of this team defines a function `{own}`");
                let help = suggest(own, around.functions.iter().map(|f| &**f));
                self.found.push(Diagnostic::error(Code::UnknownRule, &spec.place, message).help(help));
            }
            RuleKind::Own(_) => {}
        }
        GateBy::Rule(kind)
    }

    fn ask(&mut self, around: &mut Around<'_>, ask: &AskSpec, at: u32) -> AskNode {
        let question = self.template(around, &ask.question, View::Node(at));
        if let Some(default) = &ask.default
            && !ask.options.is_empty()
            && !ask.options.iter().any(|o| default.as_str() == Some(o))
        {
            let message = format!("the default `{default}` is none of the options");
            let help = format!("the options are {}", super::names::listed(ask.options.iter().map(|o| &**o)));
            self.found.push(Diagnostic::error(Code::InvalidValue, &ask.question.place, message).help(help));
        }
        AskNode {
            question,
            options: ask.options.clone(),
            deadline: ask.deadline,
            default: ask.default.clone(),
            to: ask.to.clone(),
            notify: ask.notify.clone(),
        }
    }

    fn item_name(&mut self, name: &Arc<str>, spec: &NodeSpec) -> Arc<str> {
        if &**name != "item" && pattern::is_reserved(name) {
            let message = format!("an item cannot be called `{name}`: the word has a meaning in expressions");
            self.found.push(Diagnostic::error(Code::BadId, &spec.place, message).help("write `as: part`, say"));
        }
        name.clone()
    }

    fn known_members(&mut self, around: &Around<'_>, spec: &NodeSpec, members: &[Role], least: usize) {
        if members.len() < least {
            let message = format!("`{}` has no members", spec.id);
            self.found.push(Diagnostic::error(Code::MissingKey, &spec.place, message).help("name the roles that take part"));
        }
        for role in members {
            if member(around.team, role).is_none() {
                self.found.push(unknown_role(around.team, role, &spec.place));
            }
        }
    }

    /// Whoever divides anew must be there.
    fn divider(&mut self, around: &Around<'_>, spec: &NodeSpec, replan: Option<Replan>) {
        let Some(Replan { by, .. }) = replan else { return };
        let (there, message, help) = match by {
            Divider::Coordinator => (
                around.team.coordinator.is_some(),
                "divides anew, and the team has none: `coordinator`",
                "add `coordinator: PROFILE`",
            ),
            Divider::Rule => {
                let there = around.functions.iter().any(|name| &**name == "route");
                (there, "divides anew, and no script of this team defines a function `route`", "add it, or drop `replan`")
            }
        };
        if !there {
            let message = format!("who `{}` says {message}", spec.id);
            self.found.push(Diagnostic::error(Code::MissingReference, &spec.place, message).help(help));
        }
    }

    fn quorum(&mut self, spec: &NodeSpec, quorum: Option<u32>, max: u32) {
        if quorum.is_some_and(|n| n > max || n == 0) {
            let message =
                format!("`{}` waits for {} of at most {max} sub-tasks, which can never be", spec.id, quorum.unwrap_or(0));
            let help = format!("a quorum is a number from 1 to {max}");
            self.found.push(Diagnostic::error(Code::OutOfRange, &spec.place, message).help(help));
        }
    }

    fn at_least_one(&mut self, place: &Place, key: &str, number: u32) {
        if number == 0 {
            self.found.push(Diagnostic::error(Code::OutOfRange, place, format!("`{key}` is 0: nothing could run")));
        }
    }

    fn check_concurrency(&mut self, spec: &NodeSpec) {
        let Some(number) = spec.concurrency else { return };
        self.at_least_one(&spec.place, "concurrency", number);
        let inside = match &spec.what {
            What::ForEach { .. } | What::Repeat { .. } | What::Group { .. } => true,
            What::Agent { .. } | What::Tool(_) | What::Gate(_) | What::Rule { .. } | What::Ask(_) => false,
            What::Subtasks { .. } | What::Relay { .. } | What::Circle { .. } | What::Settle { .. } => false,
        };
        if !inside {
            let message = format!("`{}` has no nodes inside whose `concurrency` could be limited", spec.id);
            let help = "it belongs to `for_each`, `repeat` and `nodes`; `max_parallel` limits the whole team";
            self.found.push(Diagnostic::error(Code::InvalidValue, &spec.place, message).help(help));
        }
    }
}

/// Whom each member of a relay may hand over to, in the order of the relay.
fn targets(named: &BTreeMap<Role, Vec<Role>>, members: &[Role]) -> BTreeMap<Role, Vec<Role>> {
    let open = |from: &Role| {
        let others = members.iter().filter(|to| *to != from && named.get(from).is_none_or(|open| open.contains(to)));
        (from.clone(), others.cloned().collect::<Vec<_>>())
    };
    members.iter().map(open).filter(|(_, to)| !to.is_empty()).collect()
}

/// Retry and timeout of the node itself; `None` where they are meant for each activation that it grows.
fn scope_limits(spec: &NodeSpec) -> Option<(Option<crate::graph::Retry>, Option<std::time::Duration>)> {
    match &spec.what {
        What::Subtasks { .. } | What::Relay { .. } | What::Circle { .. } | What::Settle { .. } => None,
        What::Agent { .. } | What::Tool(_) | What::Gate(_) | What::Rule { .. } | What::Ask(_) => {
            Some((spec.retry.clone(), spec.timeout))
        }
        What::ForEach { .. } | What::Repeat { .. } | What::Group { .. } => Some((spec.retry.clone(), spec.timeout)),
    }
}

/// How the activations that a scope grows are timed and retried. The run fills in their role and brief.
fn like(team: &Team, spec: &NodeSpec, phase: Phase) -> Box<Node> {
    let agent = AgentNode::new(Role::new(""), phase);
    let mut node = Node::new(&spec.id, NodeKind::Agent(Box::new(agent)));
    node.timeout = Some(spec.timeout.unwrap_or(team.coordination.timeout_per_agent));
    node.retry = spec.retry.clone().or_else(|| team.coordination.retry.clone());
    node.writes.clone_from(&spec.writes);
    Box::new(node)
}

/// A member or the coordinator.
pub(super) fn member<'t>(team: &'t Team, role: &Role) -> Option<&'t MemberSpec> {
    team.members.iter().chain(&team.coordinator).find(|m| m.role == *role)
}

fn unknown_role(team: &Team, role: &Role, place: &Place) -> Diagnostic {
    let known = team.members.iter().chain(&team.coordinator).map(|m| m.role.as_str());
    Diagnostic::error(Code::UnknownRole, place, format!("nobody in the team has the role `{role}`"))
        .help(suggest(role.as_str(), known))
}

/// What a node may write: what it says itself, then what its agent may write anyway.
fn writes(own: &[WriteSpec], members: &[WriteSpec]) -> Vec<WriteSpec> {
    let more = members.iter().filter(|w| !own.iter().any(|o| o.variable == w.variable));
    own.iter().chain(more).cloned().collect()
}
