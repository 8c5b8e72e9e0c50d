//! What did a script do wrong, and where? Rhai's errors as [`RuleError`]s and [`RuleDiagnostic`]s in the author's terms.

use std::fmt;

use rhai::{EvalAltResult, ParseError, ParseErrorType, Position};

use super::engine::{MAX_ITEMS, MAX_TEXT, STOPPED};
pub(super) use crate::value::nearest;
use crate::value::{Place, RuleError};

/// How bad a [`RuleDiagnostic`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The script does not load.
    Error,
    /// It loads, and may fail at run time.
    Warning,
}

/// Something wrong with a script, found before it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleDiagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name, such as `rule-unknown-function`.
    pub code: &'static str,
    /// What is wrong, a lowercase fragment.
    pub message: String,
    /// What would be right, where that is known.
    pub help: Option<String>,
    /// Where, in the author's file.
    pub place: Place,
}

impl RuleDiagnostic {
    pub(super) fn error(code: &'static str, message: impl Into<String>, place: Place) -> Self {
        Self { severity: Severity::Error, code, message: message.into(), help: None, place }
    }

    pub(super) fn warning(code: &'static str, message: impl Into<String>, place: Place) -> Self {
        Self { severity: Severity::Warning, code, message: message.into(), help: None, place }
    }

    pub(super) fn with_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}

impl fmt::Display for RuleDiagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

/// The error that started it all: Rhai wraps it once for each call on the way out.
pub(super) fn innermost(error: &EvalAltResult) -> (&EvalAltResult, Position) {
    let mut error = error;
    let mut position = error.position();
    while let EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) = error {
        error = inner;
        if !inner.position().is_none() {
            position = inner.position();
        }
    }
    (error, position)
}

/// The one trap of Rhai that every author walks into.
pub(super) const DATA_RACE: &str = "a closure reads a variable while a method of that variable runs; \
     take the part out first, as in `let list = facts.list;`, and call the method on that";

/// What happened, as a lowercase fragment.
pub(super) fn describe(error: &EvalAltResult) -> String {
    match error {
        EvalAltResult::ErrorRuntime(thrown, _) => thrown.to_string(),
        EvalAltResult::ErrorVariableNotFound(name, _) => format!("no variable `{name}`"),
        EvalAltResult::ErrorPropertyNotFound(name, _) => format!("no property `{name}`"),
        EvalAltResult::ErrorFunctionNotFound(signature, _) => format!("no function `{}`", in_own_words(signature)),
        EvalAltResult::ErrorDotExpr(message, _) if message.starts_with("Unknown property") => {
            let plain =
                message.replace("Unknown property", "no property").replace(" - a getter is not registered for type", " in");
            in_own_words(&plain.replace(" - a setter is not registered for type", " in"))
        }
        EvalAltResult::ErrorArrayBounds(length, index, _) => format!("no item {index} in a list of {length}"),
        EvalAltResult::ErrorStringBounds(length, index, _) => format!("no character {index} in a text of {length}"),
        EvalAltResult::ErrorMismatchDataType(expected, found, _) => in_own_words(&format!("expected {expected}, found {found}")),
        EvalAltResult::ErrorMismatchOutputType(expected, found, _) => {
            in_own_words(&format!("expected {expected}, found {found}"))
        }
        EvalAltResult::ErrorDataRace(..) => DATA_RACE.to_owned(),
        EvalAltResult::ErrorStackOverflow(_) => "calls nest too deep".to_owned(),
        EvalAltResult::ErrorDataTooLarge(..) => {
            format!("a value is too large: at most {MAX_ITEMS} items and {} MiB of text", MAX_TEXT >> 20)
        }
        EvalAltResult::ErrorTerminated(token, _) if token.as_immutable_string_ref().is_ok_and(|token| *token == STOPPED) => {
            STOPPED.to_owned()
        }
        EvalAltResult::ErrorTerminated(..) => "the script does not come to an end: its operations are used up".to_owned(),
        _ => lowercased(&without_position(&error.to_string())),
    }
}

/// A syntax error as a lowercase fragment, and what to do about it.
pub(super) fn describe_parse(error: &ParseError) -> (String, Option<String>) {
    match error.err_type() {
        ParseErrorType::VariableUndefined(name) => (format!("no variable `{name}`"), None),
        ParseErrorType::BadInput(bad) => {
            let text = bad.to_string();
            match text.strip_prefix("reserved keyword '").and_then(|rest| rest.split_once('\'')) {
                Some((word, _)) => (format!("`{word}` is not available to scripts"), None),
                None => (lowercased(&text), None),
            }
        }
        ParseErrorType::Reserved(word) => (format!("`{word}` is not available to scripts"), None),
        ParseErrorType::FnDuplicatedDefinition(name, parameters) => {
            (format!("the function `{name}` with {} stands here twice", count(*parameters, "parameter")), None)
        }
        ParseErrorType::ExprTooDeep => {
            ("expressions nest too deep".to_owned(), Some("put parts of it into variables or functions".to_owned()))
        }
        other => (lowercased(&other.to_string()), None),
    }
}

/// `1 parameter`, `2 parameters`.
pub(super) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// The error of a failed evaluation; `place` says where a position is.
pub(super) fn rule_error(error: &EvalAltResult, place: impl Fn(Position) -> Place) -> RuleError {
    let (error, position) = innermost(error);
    RuleError { message: describe(error), place: place(position) }
}

/// Types by the names that the rest of the documentation uses.
fn in_own_words(text: &str) -> String {
    text.replace("&str | ImmutableString | String", "text")
        .replace("string", "text")
        .replace("i64", "integer")
        .replace("f64", "number")
        .replace("array", "list")
        .replace("'", "`")
}

fn lowercased(text: &str) -> String {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        // `NaN` and the like keep their capital.
        (Some(first), Some(second)) if !second.is_uppercase() => first.to_lowercase().chain(text.chars().skip(1)).collect(),
        _ => text.to_owned(),
    }
}

/// The text without Rhai's own `(line 1, position 2)`.
fn without_position(text: &str) -> String {
    text.lines().next().unwrap_or_default().split(" (line ").next().unwrap_or_default().to_owned()
}
