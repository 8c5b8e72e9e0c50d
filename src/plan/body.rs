//! What does a scope run? The graph of its body; a team in it sees its inputs only.

use std::{sync::Arc, time::Duration};

use super::{
    build::{Around, Builder, Built, Source, file_of},
    literal::literal,
    names::{Scope, View, suggest},
    node::member,
    trial::Wanted,
};
use crate::{
    graph::{Join, Member, MemberTeam, Reuse, ScopeKind, TeamSeat},
    team::{Body, Code, Diagnostic, MemberSpec, NodeSpec, Team, Text, What},
    value::{Expr, Place, Role, TemplateIx},
};

impl Builder<'_> {
    /// The body of a scope; a team in it becomes a group of its own.
    pub(super) fn body(
        &mut self,
        around: &mut Around<'_>,
        spec: &NodeSpec,
        body: &Body,
        at: u32,
        bindings: Vec<Arc<str>>,
        until: Option<&Text>,
    ) -> Built {
        if let Some(frame) = around.scope.frames.last_mut() {
            frame.view = View::Node(at);
        }
        let built = match body {
            Body::One(node) => {
                let nodes = std::slice::from_ref(&**node);
                self.graph(around, Source { nodes, until, single: true, concurrency: spec.concurrency, bindings, output: None })
            }
            Body::Nodes { nodes, output } => {
                if nodes.is_empty() {
                    let message = format!("`{}` has no nodes to run", spec.id);
                    self.found.push(Diagnostic::error(Code::MissingKey, &spec.place, message).help("add `nodes: { … }`"));
                }
                let output = output.as_ref();
                self.graph(around, Source { nodes, until, output, concurrency: spec.concurrency, bindings, single: false })
            }
            Body::Team { team, with } => {
                let inner = group_of_team(spec, team, with);
                let nodes = std::slice::from_ref(&inner);
                self.graph(around, Source { nodes, until, single: true, bindings, ..Source::default() })
            }
        };
        built.unwrap_or(Built { ix: TemplateIx(0), until: None })
    }

    /// A team inside this one: a group that sees its inputs only.
    pub(super) fn sub_team(
        &mut self,
        around: &mut Around<'_>,
        spec: &NodeSpec,
        team: &Team,
        with: &[(Arc<str>, Text)],
        at: u32,
    ) -> ScopeKind {
        let bound = self.inputs_of(around, &spec.place, team, with, View::Node(at));
        ScopeKind::Group { body: self.team(team).unwrap_or_default(), with: Some(bound), seat: None }
    }

    /// A node in which a member that is a team works. Its inputs see what the node sees.
    pub(super) fn team_at_work(&mut self, around: &mut Around<'_>, spec: &NodeSpec, role: &Role, at: u32) -> Option<ScopeKind> {
        let What::Agent { task, done_when, max_turns, live, .. } = &spec.what else { return None };
        let member = member(around.team, role)?;
        let team = member.team.as_ref()?;
        for (given, key) in [(max_turns.is_some(), "max_turns"), (*live, "live")] {
            if given {
                let message = format!("`{role}` is a team, and `{key}` belongs to an agent");
                let help = "limit the agents of that team in its own file";
                self.found.push(Diagnostic::error(Code::InvalidValue, &spec.place, message).help(help));
            }
        }
        let with = self.inputs_of(around, &spec.place, team, &member.with, View::Node(at));
        let task = task.as_ref().map(|t| self.template(around, t, View::Node(at)));
        let seat = TeamSeat { member: role.clone(), task, brief: None, done_when: done_when.clone(), open: member.open };
        let body = self.member_team(around, member).unwrap_or_default();
        Some(ScopeKind::Group { body, with: Some(with), seat: Some(Box::new(seat)) })
    }

    /// Makes the members that are teams ready to work wherever a scope grows. Their inputs see those of the team around them alone:
    /// what else there is to see differs from place to place.
    pub(super) fn may_grow(&mut self, around: &mut Around<'_>, roles: &[Role]) {
        for member in around.team.members.iter().filter(|member| roles.contains(&member.role)) {
            let known = |m: &Member| m.role == member.role && m.team.is_some();
            let Some(team) = &member.team else { continue };
            if self.teams[around.ix.index()].members.iter().any(known) {
                continue;
            }
            let mut outside = Around { scope: Scope::default(), functions: Vec::new(), ..*around };
            let with = self.inputs_of(&mut outside, &member.place, team, &member.with, View::End);
            let Some(body) = self.member_team(around, member) else { continue };
            let timeout = self.wall_of(body);
            if let Some(m) = self.teams[around.ix.index()].members.iter_mut().find(|m| m.role == member.role) {
                m.team = Some(MemberTeam { body, with, timeout, open: member.open });
            }
        }
    }

    /// How long a run of the team of that graph may take, as its file says.
    pub(super) fn wall_of(&self, body: TemplateIx) -> Option<Duration> {
        let graph = self.graphs.get(body.index())?.as_ref()?;
        self.teams.get(graph.team.index())?.limits.wall_seconds.map(Duration::from_secs)
    }

    /// The graph of a member that is a team, the same wherever it works.
    fn member_team(&mut self, around: &Around<'_>, member: &MemberSpec) -> Option<TemplateIx> {
        let key = (around.ix, member.role.clone());
        if let Some(made) = self.member_teams.get(&key) {
            return *made;
        }
        let made = member.team.as_ref().and_then(|team| self.team(team));
        self.member_teams.insert(key, made);
        made
    }

    fn inputs_of(
        &mut self,
        around: &mut Around<'_>,
        place: &Place,
        team: &Team,
        with: &[(Arc<str>, Text)],
        view: View,
    ) -> Vec<(Arc<str>, Expr)> {
        let mut bound: Vec<(Arc<str>, Expr)> = Vec::new();
        for (name, text) in with {
            if !team.inputs.iter().any(|i| i.name == *name) {
                let message = format!("the team `{}` has no input `{name}`", team.name);
                let help = suggest(name, team.inputs.iter().map(|i| &*i.name));
                self.found.push(Diagnostic::error(Code::UnknownKey, &text.place, message).help(help));
            }
            bound.push((name.clone(), self.expression(around, text, view, Wanted::Value)));
        }
        for input in team.inputs.iter().filter(|i| !with.iter().any(|(name, _)| *name == i.name)) {
            match &input.default {
                Some(value) => {
                    let expr = Expr { source: Arc::from(literal(value)), place: file_of(team), refs: Vec::new() };
                    bound.push((input.name.clone(), expr));
                }
                None => {
                    let message = format!("the team `{}` needs the input `{}`", team.name, input.name);
                    let help = format!("write `with: {{ {}: EXPRESSION }}`", input.name);
                    self.found.push(Diagnostic::error(Code::MissingKey, place, message).help(help));
                }
            }
        }
        bound
    }
}

fn group_of_team(spec: &NodeSpec, team: &Arc<Team>, with: &[(Arc<str>, Text)]) -> NodeSpec {
    NodeSpec {
        what: What::Group { body: Body::Team { team: team.clone(), with: with.to_vec() } },
        after: Vec::new(),
        join: Join::All,
        short_run: false,
        input: None,
        on_error: None,
        retry: None,
        timeout: None,
        allow_failure: false,
        writes: Vec::new(),
        reuse: Reuse::default(),
        expect_seconds: None,
        ..spec.clone()
    }
}
