//! What compiles, what does not, and what it is told.

use std::sync::Arc;

use super::*;
use crate::{
    pattern::sample::{Waits, agent, gate, graph, member, node, script, team, text, tool},
    team::{AfterOn, Diagnostic, Pattern, Team},
    value::{Usd, Value},
};

/// A catalog of one priced model and one without a price.
struct Catalog;

impl Models for Catalog {
    fn facts(&self, name: &str) -> Option<ModelFacts> {
        match name {
            "large" => Some(ModelFacts { window: Some(100_000), price: Some((Usd(3_000_000), Usd(15_000_000))) }),
            "local" => Some(ModelFacts { window: Some(8_000), price: None }),
            _ => None,
        }
    }

    fn names(&self) -> Vec<Arc<str>> {
        ["large", "local"].map(Arc::from).to_vec()
    }
}

fn machine() -> Machine<'static> {
    Machine { tools: &[], models: &Catalog }
}

/// The diagnostics of `team`, a line each, with their help.
fn said(found: &[Diagnostic]) -> String {
    let line = |d: &Diagnostic| match &d.help {
        Some(help) => format!("{}\n  help: {help}\n", d.line()),
        None => format!("{}\n", d.line()),
    };
    found.iter().map(line).collect()
}

fn errors(team: &Team) -> String {
    match compile(team, &machine()) {
        Ok(_) => "compiles".to_owned(),
        Err(found) => said(&found),
    }
}

fn plan(team: &Team) -> crate::graph::Plan {
    match compile(team, &machine()) {
        Ok(compiled) => compiled.plan,
        Err(found) => panic!("{}", said(&found)),
    }
}

#[test]
fn a_coordinator_worker_team_becomes_delegate_work_settle_and_rounds_of_review() {
    let mut team = team(Pattern::CoordinatorWorker, &["security", "cost"]);
    team.coordination.validate = vec![crate::value::Role::new("security")];
    let plan = plan(&team);
    insta::assert_json_snapshot!(plan.graphs);
}

#[test]
fn behaviour_01_a_circle_is_refused_and_its_nodes_are_named() {
    let team =
        graph(vec![gate("a", "1").after("c"), gate("b", "1").after("a"), gate("c", "1").after("b"), gate("d", "1").after("c")]);
    insta::assert_snapshot!(errors(&team), @"");
}
