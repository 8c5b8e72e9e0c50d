//! The rules that come with the engine do what their tests say.

use crate::rule::{RuleBook, Source, TeamScripts, run_tests};

#[test]
fn the_incident_rules_pass_their_tests_and_the_check() {
    let source = Source::new("scripts/rules/incident.rhai", include_str!("../../../scripts/rules/incident.rhai"));
    let outcomes = run_tests(std::slice::from_ref(&source)).expect("it compiles");
    let failed: Vec<String> =
        outcomes.iter().filter_map(|test| test.failure.as_ref().map(|why| format!("{}: {why}", test.name))).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(outcomes.len() >= 7, "{outcomes:#?}");
    let team = [TeamScripts::new(vec![source])];
    let book = RuleBook::build(&team, [], []).expect("it compiles");
    assert_eq!(book.check(&team), []);
}
