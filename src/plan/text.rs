//! Which names does a text of the author's use, and where? The rule engine reads it; what it cannot read is reported.

use crate::{
    rule::{FreeName, free_names, template_names},
    team::{Code, Diagnostic, Text},
    value::RuleError,
};

/// The free names of an expression, sorted.
pub(super) fn of_expression(text: &Text) -> Result<Vec<FreeName>, Box<Diagnostic>> {
    free_names(&text.source, &text.place).map_err(|error| broken("expression", &error))
}

/// The free names of a template, sorted.
pub(super) fn of_template(text: &Text) -> Result<Vec<FreeName>, Box<Diagnostic>> {
    template_names(&text.source, &text.place).map_err(|error| broken("template", &error))
}

fn broken(what: &str, error: &RuleError) -> Box<Diagnostic> {
    Box::new(Diagnostic::error(Code::BadExpression, &error.place, format!("this {what} does not compile: {}", error.message)))
}
