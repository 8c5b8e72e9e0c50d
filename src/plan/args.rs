//! Do the arguments of a tool node fit the tool? [`check`] looks at those that are known before the run.

use jsonschema::error::ValidationErrorKind as Kind;

use crate::{
    team::{Code, Diagnostic, ToolSpecNode},
    value::ToolSpec,
};

/// Mistakes that are reported of one node at most.
const REPORTED: usize = 8;

/// What is wrong with the arguments of `node`, those apart that are filled in during the run (`filled`, JSON pointers).
pub(super) fn check(tool: &ToolSpec, node: &ToolSpecNode, filled: &[&str]) -> Vec<Diagnostic> {
    let place = &node.place;
    let validator = match jsonschema::validator_for(&tool.parameters.to_json()) {
        Ok(validator) => validator,
        Err(error) => {
            let message = format!("the tool `{}` declares its arguments by a schema that does not compile: {error}", tool.name);
            return vec![Diagnostic::warning(Code::UnresolvedTool, place, message)];
        }
    };
    let args = node.args.to_json();
    let mut found = Vec::new();
    for error in validator.iter_errors(&args) {
        let at = error.instance_path().to_string();
        // What is a template here may be anything there, and so may what holds it where a schema has alternatives.
        let whole = matches!(error.kind(), Kind::Required { .. } | Kind::AdditionalProperties { .. } | Kind::Type { .. });
        let open = |f: &&str| **f == at || (!whole && f.starts_with(&at));
        if filled.iter().any(|f| open(&f)) {
            continue;
        }
        let at = if at.is_empty() { String::new() } else { format!(" at `{at}`") };
        let message = format!("the arguments of `{}` do not fit the tool{at}: {error}", tool.name);
        found.push(Diagnostic::error(Code::InvalidValue, place, message));
        if found.len() == REPORTED {
            break;
        }
    }
    found
}
