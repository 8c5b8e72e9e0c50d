//! What can be known of an expression before a run? [`check`] evaluates it on sample facts, and [`unknown_field`] finds names
//! that no facts have.
//!
//! What an agent or a tool will say is not known, so an expression that reads it is only read. One that names nothing is the
//! same in every run: what is wrong with it is an error. What a sample shows may not hold in every run, and is a warning.

use std::sync::Arc;

use super::names::suggest;
use crate::{
    rule::{FreeName, RuleBook},
    team::{Code, Diagnostic, InputKind, InputSpec, Team},
    value::{Expr, Judge, Place, Ref, Value},
};

/// What an expression is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Any value.
    Value,
    /// True or false, over the end of a node: `output`, `status` and `error` have a meaning.
    Condition,
    /// A list of at most so many items.
    List(u32),
}

/// What a node reads as.
const NODE: [&str; 3] = ["output", "status", "error"];

/// A field that what the name stands for never has.
pub(super) fn unknown_field(found: &Ref, team: &Team, (field, place): &(Arc<str>, Place)) -> Option<Diagnostic> {
    match found {
        Ref::Node { name, .. } if !NODE.contains(&&**field) => {
            let message = format!("the node `{name}` has no `{field}`");
            Some(Diagnostic::error(Code::UnknownName, place, message).help(suggest(field, NODE)))
        }
        Ref::Binding { name, .. } if &**name == "input" && !team.inputs.iter().any(|input| input.name == *field) => {
            let names = team.inputs.iter().map(|input| &*input.name);
            let message = format!("the team has no input `{field}`");
            let help = match team.inputs.is_empty() {
                true => format!("declare it: `inputs: {{ {field}: {{ type: string }} }}`"),
                false => suggest(field, names),
            };
            Some(Diagnostic::error(Code::UnknownName, place, message).help(help))
        }
        Ref::Node { .. } | Ref::Binding { .. } | Ref::Source { .. } => None,
    }
}

/// What evaluating `expr`, which reads the names `read`, on sample facts shows.
pub(super) fn check(expr: &Expr, read: &[FreeName], team: &Team, wanted: Wanted) -> Option<Diagnostic> {
    let names: Option<Vec<(&str, Value)>> =
        expr.refs.iter().zip(read).map(|(found, name)| Some((&*name.name, sample(found, name, team)?))).collect();
    let names = names?;
    let constant = names.is_empty();
    let found = |code: Code, place: &Place, message: String| match constant {
        true => Some(Diagnostic::error(code, place, message)),
        false => Some(Diagnostic::warning(code, place, message)),
    };
    let always = if constant { "always" } else { "on sample facts" };
    let value = match RuleBook::default().eval(expr, &names) {
        Ok(value) => value,
        Err(error) => {
            let when = if constant { "whenever it is evaluated" } else { always };
            return found(Code::BadExpression, &error.place, format!("this expression fails {when}: {}", error.message));
        }
    };
    let wrong = |message: String| found(Code::WrongType, &expr.place, message);
    match (wanted, &value) {
        (Wanted::Value, _) | (Wanted::Condition, Value::Bool(_)) => None,
        (Wanted::Condition, other) => wrong(format!("a condition is true or false; this is {always} {}", other.a_kind())),
        (Wanted::List(max), Value::List(items)) if items.len() > max as usize => {
            let message = format!("this list has {} items and `max` is {max}: the node would fail", items.len());
            found(Code::OutOfRange, &expr.place, message)
        }
        (Wanted::List(_), Value::List(_)) => None,
        (Wanted::List(_), other) => wrong(format!("expected a list; this is {always} {}", other.a_kind())),
    }
}

/// A value that the name may have in a run; `None` where what will be there is not known.
fn sample(found: &Ref, read: &FreeName, team: &Team) -> Option<Value> {
    let only = |field: &str| !read.whole && read.fields.iter().all(|(name, _)| &**name == field);
    match found {
        Ref::Node { .. } if only("status") => Some(Value::map([("status", Value::text("ok"))])),
        Ref::Source { name } | Ref::Binding { name, .. } if &**name == "status" => Some(Value::text("ok")),
        Ref::Binding { name, .. } if &**name == "task" => Some(Value::text("Find the cause of the alert")),
        Ref::Binding { name, .. } if &**name == "round" => Some(Value::Int(1)),
        Ref::Binding { name, .. } if &**name == "input" && !read.whole => {
            let of = |field: &Arc<str>| team.inputs.iter().find(|input| input.name == *field).and_then(sample_input);
            let fields: Option<Vec<(&str, Value)>> =
                read.fields.iter().map(|(field, _)| of(field).map(|value| (&**field, value))).collect();
            fields.map(Value::map)
        }
        Ref::Node { .. } | Ref::Binding { .. } | Ref::Source { .. } => None,
    }
}

/// The default of an input, else a value of its type where one is as good as another.
fn sample_input(input: &InputSpec) -> Option<Value> {
    match input.kind {
        InputKind::String | InputKind::Folder | InputKind::File => {
            Some(input.default.clone().unwrap_or_else(|| Value::text("sample")))
        }
        InputKind::Integer | InputKind::Number => Some(input.default.clone().unwrap_or(Value::Int(1))),
        InputKind::Boolean => Some(input.default.clone().unwrap_or(Value::Bool(true))),
        InputKind::List | InputKind::Map => None,
    }
}
