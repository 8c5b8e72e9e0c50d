//! Which names does a text of the author's use?

use std::{collections::BTreeSet, sync::Arc};

use crate::team::{Code, Diagnostic, Text};

/// The free names of an expression, sorted.
pub(super) fn of_expression(text: &Text) -> Result<Vec<Arc<str>>, Diagnostic> {
    let mut names = BTreeSet::new();
    let (mut chars, mut before, mut word) = (text.source.chars().peekable(), ' ', String::new());
    while let Some(c) = chars.next() {
        if c == '"' {
            while let Some(c) = chars.next() {
                match c {
                    '\\' => drop(chars.next()),
                    '"' => break,
                    _ => {}
                }
            }
        } else if c.is_alphanumeric() || c == '_' {
            word.push(c);
            if chars.peek().is_some_and(|c| c.is_alphanumeric() || *c == '_') {
                continue;
            }
            let found = std::mem::take(&mut word);
            let name = found.starts_with(|c: char| c.is_ascii_lowercase());
            let key = before == '.' || matches!(chars.peek(), Some('(' | ':'));
            if name && !key && !matches!(&*found, "true" | "false" | "if" | "else" | "in" | "let" | "switch") {
                names.insert(Arc::from(found));
            }
            before = 'a';
        } else if !c.is_whitespace() {
            before = c;
        }
    }
    Ok(names.into_iter().collect())
}

/// The free names of a template, sorted.
pub(super) fn of_template(text: &Text) -> Result<Vec<Arc<str>>, Diagnostic> {
    let environment = minijinja::Environment::empty();
    let template = environment
        .template_from_str(&text.source)
        .map_err(|e| Diagnostic::error(Code::BadExpression, &text.place, format!("this template does not compile: {e}")))?;
    let names: BTreeSet<Arc<str>> = template.undeclared_variables(false).into_iter().map(Arc::from).collect();
    Ok(names.into_iter().collect())
}

/// The functions that the rule scripts of a team define, sorted.
pub(super) fn functions(scripts: &[crate::team::Script]) -> Vec<Arc<str>> {
    let mut names = BTreeSet::new();
    for script in scripts {
        for line in script.text.lines() {
            if let Some((name, _)) = line.trim_start().strip_prefix("fn ").and_then(|rest| rest.split_once('(')) {
                names.insert(Arc::from(name.trim()));
            }
        }
    }
    names.into_iter().collect()
}
