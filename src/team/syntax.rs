//! What does the parser of YAML mean? [`explain`] says it in words that an author can act upon.

use std::sync::Arc;

use serde_saphyr::{Error, budget::BudgetBreach};

use super::{
    Code, Diagnostic,
    tree::{MAX_ALIASES, MAX_DEPTH, MAX_NODES},
};
use crate::value::Place;

/// What the parser says, in our words.
pub(super) fn explain(file: &Arc<str>, text: &str, error: &Error) -> Diagnostic {
    let at = error.location().filter(|l| l.line() > 0);
    let place = Place {
        file: file.clone(),
        line: at.map_or(0, |l| u32::try_from(l.line()).unwrap_or(u32::MAX)),
        column: at.map_or(0, |l| u32::try_from(l.column()).unwrap_or(u32::MAX)),
    };
    let error = innermost(error);
    let too_large = |what: &str| {
        Diagnostic::error(Code::TooLarge, &place, format!("the file is too large: {what}"))
            .help(format!("a file may have {MAX_NODES} values, {MAX_DEPTH} levels and {MAX_ALIASES} aliases"))
    };
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or(&said);
    match error {
        Error::Budget { breach: BudgetBreach::Documents { .. }, .. } | Error::MultipleDocuments { .. } => {
            Diagnostic::error(Code::Syntax, &place, "a second document starts here")
                .help("a file holds one profile or team: remove the `---`")
        }
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => too_large("it is nested too deep"),
        Error::Budget { breach: BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. }, .. } => {
            too_large("it has too many values")
        }
        Error::Budget { breach: BudgetBreach::Aliases { .. }, .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => too_large("its aliases repeat too much"),
        Error::Budget { .. } => too_large(said),
        _ if said == "recursion limit exceeded" => too_large("it is nested too deep"),
        _ if said.starts_with("recursive references") => {
            Diagnostic::error(Code::Syntax, &place, "an alias that contains itself").help("write the value out")
        }
        _ => {
            let line = place.line.checked_sub(1).and_then(|n| text.lines().nth(n as usize)).unwrap_or("");
            Diagnostic::error(Code::Syntax, &place, said).maybe_help(syntax_help(said, line))
        }
    }
}

/// The error itself, without what the parser wraps around it.
fn innermost(error: &Error) -> &Error {
    match error.without_snippet() {
        Error::AliasError { error, .. } => innermost(error),
        other => other,
    }
}

/// The mistakes that people make most in YAML.
fn syntax_help(said: &str, line: &str) -> Option<String> {
    let indent = &line[..line.len() - line.trim_start().len()];
    let help = if said.contains("did not find expected ','") {
        "a comma is missing before this, or a bracket is not closed"
    } else if indent.contains('\t') {
        "indent with spaces: YAML allows no tabs there"
    } else if line.contains("{{") || line.contains("{%") {
        "put a text that holds a template in quotes"
    } else if line.matches(": ").count() > 1 && !line.contains('{') {
        "put a text that holds `: ` in quotes"
    } else {
        return None;
    };
    Some(help.to_owned())
}
