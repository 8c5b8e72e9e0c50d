//! Do the arguments of a tool node fit the tool? [`check`] looks at those that are known before the run; [`templates`] are the rest.

use std::sync::Arc;

use jsonschema::error::ValidationErrorKind as Kind;

use crate::{
    team::{Code, Diagnostic, Text, ToolSpecNode},
    value::{Place, TextTemplate, ToolSpec, Value},
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
        if filled.iter().any(open) {
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

/// The texts in `value` that are templates, by JSON pointer.
pub(super) fn templates(value: &Value, pointer: &mut String, place: &Place, found: &mut Vec<(Arc<str>, Text)>) {
    let length = pointer.len();
    match value {
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
        Value::Text(source) => {
            let text = Text { source: source.clone(), place: place.clone() };
            if !(TextTemplate { source: source.clone(), place: place.clone(), refs: Vec::new() }).is_plain() {
                found.push((Arc::from(&**pointer), text));
            }
        }
        Value::List(items) => {
            for (n, item) in items.iter().enumerate() {
                pointer.push_str(&format!("/{n}"));
                templates(item, pointer, place, found);
                pointer.truncate(length);
            }
        }
        Value::Map(map) => {
            for (key, item) in map.iter() {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                templates(item, pointer, place, found);
                pointer.truncate(length);
            }
        }
    }
}
