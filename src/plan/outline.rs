//! How does a plan read as one list? [`Outline`]: all its nodes by path, those of a scope's body below the scope.

use std::collections::BTreeMap;

use petgraph::{graph::NodeIndex, visit::EdgeRef};

use crate::{
    graph::{CIRCLE_RUNS, Divider, GateBy, Graph, Join, Node, NodeKind, On, Phase, Plan, ScopeKind, SettleOver, VoteProtocol},
    value::{EffectClass, Role, TeamIx, TemplateIx},
};

/// A plan as one list of nodes and edges.
#[derive(Debug)]
pub struct Outline<'p> {
    /// Nodes in declared order, each scope before what it runs.
    pub steps: Vec<Step<'p>>,
    /// Edges by the numbers of the nodes that they join.
    pub waits: Vec<Wait<'p>>,
    /// For each node, the numbers of the edges that lead to it.
    pub before: Vec<Vec<usize>>,
    /// The number of each node.
    numbers: BTreeMap<(TemplateIx, NodeIndex), usize>,
}

/// A node of a plan.
#[derive(Debug)]
pub struct Step<'p> {
    /// Its path; `*` stands for the number of an item or round.
    pub id: String,
    /// How many scopes it is in.
    pub depth: usize,
    /// The scope that it is in.
    pub scope: Option<usize>,
    /// Its graph.
    pub graph: TemplateIx,
    /// Which node of that.
    pub ix: NodeIndex,
    /// Its team.
    pub team: TeamIx,
    /// What it is.
    pub node: &'p Node,
}

/// An edge of a plan.
#[derive(Debug)]
pub struct Wait<'p> {
    /// What ends first.
    pub from: usize,
    /// What waits.
    pub to: usize,
    /// For what.
    pub on: &'p On,
}

impl<'p> Outline<'p> {
    /// The outline of `plan`; what runs at the very end goes by `finally/…`.
    pub fn of(plan: &'p Plan) -> Self {
        let mut outline = Self { steps: Vec::new(), waits: Vec::new(), before: Vec::new(), numbers: BTreeMap::new() };
        outline.add(plan, TemplateIx(0), "", None);
        if let Some(finally) = plan.finally {
            outline.add(plan, finally, "finally/", None);
        }
        outline.before = vec![Vec::new(); outline.steps.len()];
        for (n, wait) in outline.waits.iter().enumerate() {
            outline.before[wait.to].push(n);
        }
        outline
    }

    fn add(&mut self, plan: &'p Plan, ix: TemplateIx, prefix: &str, scope: Option<usize>) {
        let graph: &'p Graph = plan.graph(ix);
        let depth = scope.map_or(0, |s| self.steps[s].depth + 1);
        for local in graph.dag.node_indices() {
            let node = &graph.dag[local];
            let id = match prefix.strip_suffix('/') {
                Some(instance) if graph.single && instance.ends_with('*') => instance.to_owned(),
                _ => format!("{prefix}{}", node.id),
            };
            let number = self.steps.len();
            self.numbers.insert((ix, local), number);
            self.steps.push(Step { id: id.clone(), depth, scope, graph: ix, ix: local, team: graph.team, node });
            for (body, path) in bodies(plan, graph.team, node) {
                self.add(plan, body, &format!("{id}/{path}"), Some(number));
            }
        }
        for edge in graph.dag.edge_references() {
            let number = |node| self.numbers[&(ix, node)];
            self.waits.push(Wait { from: number(edge.source()), to: number(edge.target()), on: &edge.weight().on });
        }
    }

    /// The path of a node; empty when it is not there.
    pub fn path(&self, graph: TemplateIx, ix: NodeIndex) -> &str {
        self.numbers.get(&(graph, ix)).map_or("", |n| &self.steps[*n].id)
    }

    /// The nodes that a scope runs, or those in none, with their numbers.
    pub fn inside(&self, scope: Option<usize>) -> impl Iterator<Item = (usize, &Step<'p>)> {
        let (first, depth) = scope.map_or((0, 0), |s| (s + 1, self.steps[s].depth + 1));
        let all = self.steps.iter().enumerate().skip(first);
        all.take_while(move |(_, s)| s.depth >= depth).filter(move |(_, s)| s.scope == scope)
    }
}

/// What a scope runs, each with what follows the scope's path: `*/` for items and rounds, `ROLE/` for a member that is a team,
/// `ROLE/*/` where that may run again.
pub(super) fn bodies(plan: &Plan, team: TeamIx, node: &Node) -> Vec<(TemplateIx, String)> {
    let NodeKind::Scope(scope) = &node.kind else { return Vec::new() };
    let members = |roles: &[Role], again: &str| {
        let members = plan.team(team).members.iter().filter(|member| roles.contains(&member.role));
        let teams = members.filter_map(|member| Some((member.team.as_ref()?.body, format!("{}/{again}", member.role))));
        teams.collect()
    };
    match &**scope {
        ScopeKind::ForEach { body, .. } | ScopeKind::Repeat { body, .. } => vec![(*body, "*/".to_owned())],
        ScopeKind::Group { body, .. } => vec![(*body, String::new())],
        ScopeKind::Subtasks { .. } => {
            let all: Vec<Role> = plan.team(team).members.iter().map(|member| member.role.clone()).collect();
            members(&all, "")
        }
        ScopeKind::Relay { members: roles, .. } => members(roles, ""),
        ScopeKind::Circle { members: roles, .. } => members(roles, "*/"),
        ScopeKind::Settle(_) => Vec::new(),
    }
}

/// `ok`, `failed`, `done`, `else` or the expression.
pub(super) fn on(on: &On) -> &str {
    match on {
        On::Ok => "ok",
        On::Failed => "failed",
        On::Done => "done",
        On::Else => "else",
        On::When(expr) => &expr.source,
    }
}

/// Characters of an author's text that a line shows at most.
pub(super) const SHOWN: usize = 60;

/// The author's text on one line, cut when it is long; control characters cannot steer a terminal.
pub(super) fn short(text: &str) -> String {
    let whole = whole(text);
    if whole.chars().count() <= SHOWN { whole } else { whole.chars().take(SHOWN - 1).chain(['…']).collect() }
}

/// The author's text on one line: what is permitted is shown to its end.
pub(super) fn whole(text: &str) -> String {
    let flat: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    flat.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// `a, b, c`.
pub(super) fn list<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    words.into_iter().map(|w| w.as_ref().to_owned()).collect::<Vec<_>>().join(", ")
}

fn roles(roles: &[Role]) -> String {
    list(roles.iter().map(Role::as_str))
}

/// What a node does, on one line.
pub(super) fn what(plan: &Plan, step: &Step<'_>) -> String {
    let graph = plan.graph(step.graph);
    match &step.node.kind {
        NodeKind::Agent(agent) => {
            let proposal = || agent.proposal.map_or("the proposal", |n| &*graph.dag[NodeIndex::new(n as usize)].id);
            match agent.phase {
                Phase::Work => agent
                    .task
                    .as_ref()
                    .map_or_else(|| format!("{} works", agent.role), |t| format!("{}: {}", agent.role, short(&t.source))),
                Phase::Delegate => format!("{} divides the task", agent.role),
                Phase::Synthesize => format!("{} makes one result", agent.role),
                Phase::Validate => format!("{} votes on {}", agent.role, proposal()),
                Phase::Debate => format!("{} debates", agent.role),
                Phase::Answer => format!("{} answers", agent.role),
            }
        }
        NodeKind::Tool(tool) => format!("{}, {}", tool.tool, effect(tool.effect)),
        NodeKind::Gate(GateBy::Expr(expr)) => short(&expr.source),
        NodeKind::Gate(GateBy::Rule(rule)) => format!("rule {}", rule.function()),
        NodeKind::Gate(GateBy::Members(rule, members)) => match rule {
            crate::value::RuleKind::Route => format!("the whole task for each of {}", roles(members)),
            _ => format!("the outputs of {} by role", roles(members)),
        },
        NodeKind::Ask(ask) => {
            let options = if ask.options.is_empty() { String::new() } else { format!(" [{}]", short(&list(&ask.options))) };
            format!("\"{}\"{options}", short(&ask.question.source))
        }
        NodeKind::Scope(scope) => scope_does(plan, step.team, scope),
    }
}

fn scope_does(plan: &Plan, team: TeamIx, scope: &ScopeKind) -> String {
    match scope {
        ScopeKind::ForEach { items, name, max, parallel, .. } => {
            let at_a_time = parallel.map_or_else(String::new, |n| format!(", {n} at a time"));
            format!("for each {name} of {}, at most {max}{at_a_time}", short(&items.source))
        }
        ScopeKind::Repeat { max, until, .. } => {
            let until = until.as_ref().map_or_else(String::new, |u| format!(" until {}", short(&u.source)));
            format!("at most {max} rounds{until}")
        }
        ScopeKind::Group { body, with: Some(_), seat } => {
            let team = format!("the team {}", short(&plan.team(plan.graph(*body).team).name));
            match seat.as_ref().map(|seat| (&seat.member, &seat.task)) {
                Some((member, Some(task))) => format!("{member}, {team}: {}", short(&task.source)),
                Some((member, None)) => format!("{member}, {team}"),
                None => team,
            }
        }
        ScopeKind::Group { with: None, .. } => "a group".to_owned(),
        ScopeKind::Subtasks { from, max, one_by_one, quorum, replan, check, .. } => {
            let order = if *one_by_one { ", one by one" } else { "" };
            let quorum = quorum.map_or_else(String::new, |n| format!(", {n} must succeed"));
            let check = check.as_ref().map_or_else(String::new, |role| format!(", checked by {role}"));
            let replan = replan.map_or_else(String::new, |replan| {
                let by = match replan.by {
                    Divider::Coordinator => "the coordinator",
                    Divider::Rule => "`route`",
                };
                let rounds = if replan.max == 1 { "once".to_owned() } else { format!("up to {} times", replan.max) };
                format!("; what fails {by} divides anew, {rounds}")
            });
            format!("the sub-tasks of {}, at most {max}{order}{quorum}{check}{replan}", short(&from.source))
        }
        ScopeKind::Relay { members, max_handoffs, targets, .. } => {
            let all = |role: &Role| targets.get(role).is_some_and(|to| to.len() + 1 == members.len());
            let only = members.iter().filter(|role| !all(role));
            let only: Vec<String> = only
                .map(|role| format!("{role} to {}", targets.get(role).map_or_else(|| "nobody".to_owned(), |to| roles(to))))
                .collect();
            let only = if only.is_empty() { String::new() } else { format!("; by themselves {}", list(only)) };
            format!("a relay of {}, at most {max_handoffs} handoffs{only}", roles(members))
        }
        ScopeKind::Circle { members, .. } => {
            let teams = members.iter().filter(|role| plan.team(team).agent(role).is_some_and(|m| m.team.is_some()));
            let teams: Vec<&str> = teams.map(Role::as_str).collect();
            let runs = if teams.is_empty() { String::new() } else { format!(", at most {CIRCLE_RUNS} runs of {}", list(teams)) };
            format!("a circle of {}{runs}", roles(members))
        }
        ScopeKind::Settle(settle) => {
            let over = match settle.over {
                SettleOver::Findings => "findings",
                SettleOver::Votes => "votes",
                SettleOver::Result => "result",
            };
            let protocol = match settle.protocol {
                VoteProtocol::Weighted => "",
                VoteProtocol::Majority => ", by majority",
                VoteProtocol::Unanimous => ", unanimously",
                VoteProtocol::Approval => ", by approval",
                VoteProtocol::TrackRecord => ", by track record",
            };
            let debate = match settle.max_debate_rounds {
                0 => String::new(),
                n => format!(", at most {n} round{} of debate", if n == 1 { "" } else { "s" }),
            };
            format!("settles the {over} of {}{protocol}{debate}", roles(&settle.members))
        }
    }
}

/// `read`, `idempotent` or `irreversible`.
pub(super) fn effect(effect: EffectClass) -> &'static str {
    match effect {
        EffectClass::Read => "read",
        EffectClass::Idempotent => "idempotent",
        EffectClass::Irreversible => "irreversible",
    }
}

/// How a node waits: `` for all, `any of`, `2 of`.
pub(super) fn join(join: Join) -> String {
    match join {
        Join::All => String::new(),
        Join::Any => "any of ".to_owned(),
        Join::Quorum(n) => format!("{n} of "),
    }
}
