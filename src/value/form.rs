//! What may a person answer when a tool asks? [`Form`]: a flat object, described by a JSON Schema.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Map, Value};

/// The answer that gives nothing and lets the tool go on.
const DECLINE: &str = "decline";
/// The answer that gives nothing and wants the tool to stop.
const CANCEL: &str = "cancel";
/// Fields that a question names.
const NAMED: usize = 20;

/// A question of a tool whose call is in flight.
#[derive(Clone, Debug, PartialEq)]
pub struct CallQuestion {
    /// Which of the questions of its call, from 0.
    pub nth: u32,
    /// In words.
    pub text: Arc<str>,
    /// What it takes.
    pub form: Form,
}

/// What a tool hears of a person.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FormAnswer {
    /// An object that fits the form.
    Accept(Value),
    /// The person does not want to say.
    Decline,
    /// The person wants the tool to stop, or nobody answered.
    Cancel,
}

/// A JSON Schema of an object whose fields are texts, numbers, truths or lists of choices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Form(pub Value);

impl Form {
    /// What an answer comes to: an object, the same as JSON text, or, where there is one field only, its value. `decline` and
    /// `cancel` give nothing.
    ///
    /// # Errors
    /// A sentence that says what does not fit, and what would.
    pub fn read(&self, answer: &Value) -> Result<FormAnswer, String> {
        let wanted = || format!("{}; or {DECLINE}, or {CANCEL}", self.outline());
        let given = match answer {
            Value::Map(_) => answer.clone(),
            Value::Text(text) if text.trim() == DECLINE => return Ok(FormAnswer::Decline),
            Value::Text(text) if text.trim() == CANCEL => return Ok(FormAnswer::Cancel),
            Value::Text(text) if text.trim_start().starts_with('{') => {
                serde_json::from_str(text).map_err(|e| format!("the answer is no JSON ({e}); it takes {}", wanted()))?
            }
            other => match self.fields().first().filter(|_| self.fields().len() == 1) {
                Some((name, field)) => Value::map([(name.as_str(), typed(field, other))]),
                None => return Err(format!("the answer is an object, as JSON: {}", wanted())),
            },
        };
        let schema = jsonschema::options().should_validate_formats(true).build(&self.0.to_json());
        let validator = schema.map_err(|e| format!("the form of the tool is no JSON Schema, so that nothing fits it: {e}"))?;
        let json = given.to_json();
        match validator.iter_errors(&json).next() {
            Some(wrong) => Err(format!("{}{wrong}; it takes {}", at(&wrong.instance_path().to_string()), wanted())),
            None => Ok(FormAnswer::Accept(given)),
        }
    }

    /// Its fields in words: `size (one of S, M), count (integer, optional)`.
    pub fn outline(&self) -> String {
        let required = self.0.get("required").and_then(Value::as_list).unwrap_or_default();
        let words = |(name, field): &(String, Value)| {
            let optional = if required.iter().any(|r| r.as_str() == Some(name)) { "" } else { ", optional" };
            format!("{name} ({}{optional})", kind(field))
        };
        let fields: Vec<String> = self.fields().iter().take(NAMED).map(words).collect();
        if fields.is_empty() { "{}".to_owned() } else { fields.join(", ") }
    }

    fn fields(&self) -> Vec<(String, Value)> {
        let fields: Option<&Map> = self.0.get("properties").and_then(Value::as_map);
        fields.into_iter().flatten().map(|(name, field)| (name.clone(), field.clone())).collect()
    }
}

fn at(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}

/// What a field takes, in words.
fn kind(field: &Value) -> String {
    let source = field.get("items").unwrap_or(field);
    let listed = source.get("enum").and_then(Value::as_list).unwrap_or_default().iter().map(ToString::to_string);
    let titled = ["oneOf", "anyOf"].iter().filter_map(|key| source.get(key)?.as_list()).flatten();
    let titled = titled.filter_map(|choice| Some(choice.get("const")?.to_string()));
    let choices: Vec<String> = listed.chain(titled).map(|choice| choice.trim_matches('"').to_owned()).collect();
    let kind = source.get("type").and_then(Value::as_str).unwrap_or("text");
    let kind = if kind == "string" { source.get("format").and_then(Value::as_str).unwrap_or("text") } else { kind };
    let many = if field.get("items").is_some() { "a list of " } else { "" };
    if choices.is_empty() { format!("{many}{kind}") } else { format!("{many}one of {}", choices.join(", ")) }
}

/// A bare answer as the field wants it: from a command line everything is text.
fn typed(field: &Value, answer: &Value) -> Value {
    let wants_text = field.get("type").and_then(Value::as_str).is_none_or(|kind| kind == "string");
    match answer {
        Value::Text(text) if !wants_text => serde_json::from_str(text.trim()).unwrap_or_else(|_| answer.clone()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        serde_json::from_str(json).unwrap()
    }

    fn check(form: &str, answer: Value, expected: Result<FormAnswer, &str>) {
        match (Form(value(form)).read(&answer), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found} does not say {expected}"),
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }

    const TWO: &str = r#"{"type": "object", "required": ["size"], "properties": {
        "size": {"type": "string", "enum": ["S", "M"]}, "count": {"type": "integer", "minimum": 1}}}"#;
    const ONE: &str = r#"{"type": "object", "properties": {"sure": {"type": "boolean"}}}"#;

    #[test]
    fn an_object_or_its_text_is_taken_where_it_fits() {
        let full = r#"{"size": "M", "count": 2}"#;
        check(TWO, value(full), Ok(FormAnswer::Accept(value(full))));
        check(TWO, Value::text(full), Ok(FormAnswer::Accept(value(full))));
        check(
            TWO,
            value(r#"{"size": "L"}"#),
            Err("it takes count (integer, optional), size (one of S, M); or decline, or cancel"),
        );
        check(TWO, value(r#"{"count": 2}"#), Err("\"size\" is a required property"));
        check(TWO, Value::text("{oops"), Err("no JSON"));
        check(TWO, Value::text("M"), Err("an object, as JSON"));
    }

    #[test]
    fn a_form_of_one_field_takes_its_bare_value() {
        check(ONE, Value::text("true"), Ok(FormAnswer::Accept(value(r#"{"sure": true}"#))));
        check(ONE, Value::Bool(false), Ok(FormAnswer::Accept(value(r#"{"sure": false}"#))));
        check(ONE, Value::text("perhaps"), Err("/sure"));
        let mail = r#"{"type": "object", "properties": {"to": {"type": "string", "format": "email"}}}"#;
        check(mail, Value::text("12"), Err("email"));
        check(mail, Value::text("a@b.org"), Ok(FormAnswer::Accept(value(r#"{"to": "a@b.org"}"#))));
    }

    #[test]
    fn a_person_may_decline_or_cancel() {
        check(TWO, Value::text("decline"), Ok(FormAnswer::Decline));
        check(TWO, Value::text(" cancel "), Ok(FormAnswer::Cancel));
    }

    #[test]
    fn what_is_no_schema_is_said_and_takes_nothing() {
        check(r#"{"type": 7, "properties": {"a": {}}}"#, Value::text("x"), Err("no JSON Schema"));
    }
}
