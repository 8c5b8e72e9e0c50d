//! Tests of the rules, by topic.

mod agents;
mod checks;
mod garbage;
mod places;
mod sandbox;
mod shipped;
mod values;
mod verdicts;

use super::{RuleBook, Source, TeamScripts};
use crate::value::{Expr, Judge, Place, RuleError, RuleKind, TeamIx, Value, Verdict};

/// A place in a file of no interest.
pub(super) fn place(line: u32, column: u32) -> Place {
    Place { file: "team.yaml".into(), line, column }
}

/// The value of an expression in line 1, column 1.
pub(super) fn eval(source: &str, names: &[(&str, Value)]) -> Result<Value, RuleError> {
    RuleBook::default().eval(&Expr { source: source.into(), place: place(1, 1), refs: Vec::new() }, names)
}

/// The rules of one script, `rules.rhai`.
pub(super) fn book(script: &str) -> RuleBook {
    match RuleBook::build(&[TeamScripts::new(vec![Source::new("rules.rhai", script)])], [], []) {
        Ok(book) => book,
        Err(wrong) => panic!("{}", wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

/// What a rule says on facts.
pub(super) fn judge(script: &str, kind: RuleKind, facts: &Value) -> Result<Option<Verdict>, RuleError> {
    book(script).judge(TeamIx(0), &kind, facts)
}
