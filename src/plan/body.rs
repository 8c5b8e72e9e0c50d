//! What does a scope run? The graph of its body; a team in it sees its inputs only.

use std::sync::Arc;

use super::{
    build::{Around, Builder, Built, Source, file_of},
    literal::literal,
    names::{View, suggest},
    trial::Wanted,
};
use crate::{
    graph::{Join, ScopeKind},
    team::{Body, Code, Diagnostic, NodeSpec, Team, Text, What},
    value::{Expr, TemplateIx},
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
        let mut bound: Vec<(Arc<str>, Expr)> = Vec::new();
        for (name, text) in with {
            if !team.inputs.iter().any(|i| i.name == *name) {
                let message = format!("the team `{}` has no input `{name}`", team.name);
                let help = suggest(name, team.inputs.iter().map(|i| &*i.name));
                self.found.push(Diagnostic::error(Code::UnknownKey, &text.place, message).help(help));
            }
            bound.push((name.clone(), self.expression(around, text, View::Node(at), Wanted::Value)));
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
                    self.found.push(Diagnostic::error(Code::MissingKey, &spec.place, message).help(help));
                }
            }
        }
        ScopeKind::Group { body: self.team(team).unwrap_or_default(), with: Some(bound) }
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
        expect_seconds: None,
        ..spec.clone()
    }
}
