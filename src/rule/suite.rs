//! Do the scripts do what their authors think? `synod rules test` runs their `test_*` functions.

use std::sync::Arc;

use super::{
    check,
    engine::Tier,
    error::{RuleDiagnostic, Severity},
    source::Source,
    unit::Unit,
};
use crate::value::{Place, RuleError};

/// What came of a `test_*` function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestOutcome {
    /// The function's name.
    pub name: Arc<str>,
    /// Where it stands.
    pub place: Place,
    /// Why it failed and where, if it did.
    pub failure: Option<RuleError>,
}

impl TestOutcome {
    /// Whether it passed.
    pub fn passed(&self) -> bool {
        self.failure.is_none()
    }
}

/// Runs every function of the scripts whose name starts with `test_` and that takes no parameter, in the order in which
/// they stand. A test passes unless it throws; `assert`, `assert_eq` and `sample("settle")` help.
///
/// # Errors
/// The scripts do not compile, or call functions that do not exist.
pub fn run_tests(sources: &[Source]) -> Result<Vec<TestOutcome>, Vec<RuleDiagnostic>> {
    let unit = Unit::compile(sources)?;
    let unknown = check::unknown_calls(&unit.ast, &unit.functions, |position| unit.place(position));
    if unknown.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Err(unknown);
    }
    let tests = unit.functions.iter().filter(|function| function.name.starts_with("test_") && function.params.is_empty());
    let outcome = |function| unit.call(Tier::Agent, None, function, &[]).err();
    Ok(tests
        .map(|function| TestOutcome { name: function.name.clone(), place: function.place.clone(), failure: outcome(function) })
        .collect())
}
