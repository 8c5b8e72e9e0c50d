//! What is an expression that names nothing? [`check`] evaluates it before the run does.

use crate::{
    rule::RuleBook,
    team::{Code, Diagnostic},
    value::{Expr, Judge, Value},
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

/// What is wrong with the constant `expr`.
pub(super) fn check(expr: &Expr, wanted: Wanted) -> Option<Diagnostic> {
    let value = match RuleBook::default().eval(expr, &[]) {
        Ok(value) => value,
        Err(error) => {
            let message = format!("this expression fails whenever it is evaluated: {}", error.message);
            return Some(Diagnostic::error(Code::BadExpression, &error.place, message));
        }
    };
    let wrong = |message: String| Some(Diagnostic::error(Code::WrongType, &expr.place, message));
    match (wanted, &value) {
        (Wanted::Value, _) | (Wanted::Condition, Value::Bool(_)) => None,
        (Wanted::Condition, other) => wrong(format!("a condition is true or false; this is always {}", other.a_kind())),
        (Wanted::List(max), Value::List(items)) if items.len() > max as usize => {
            let message = format!("this list has {} items and `max` is {max}: the node would fail", items.len());
            Some(Diagnostic::error(Code::OutOfRange, &expr.place, message))
        }
        (Wanted::List(_), Value::List(_)) => None,
        (Wanted::List(_), other) => wrong(format!("expected a list; this is always {}", other.a_kind())),
    }
}
