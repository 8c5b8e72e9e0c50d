//! What compiles, what does not, and what it is told.

use super::*;
use crate::{
    pattern::sample::{Waits, agent, gate, graph, member, node, script, team, text, tool},
    team::{AfterOn, Diagnostic, Pattern, Team},
    value::Value,
};

fn machine() -> Machine<'static> {
    Machine { tools: &[] }
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
