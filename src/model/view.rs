//! What does a script agent see? [`view`]: a request as one map.

use std::collections::BTreeMap;

use crate::value::{Entry, Request, Value};

/// `#{ role, phase, node, turn, turns_left, task, input, inputs, results, errors, mail, context, answers, notes, profile }`.
///
/// `results` has the value of every call that succeeded by its `as` name, `errors` `#{ kind, message }` of every call that
/// failed; a later call of the same name wins. `answers` has what people answered, `notes` what the engine remarked.
pub fn view(request: &Request) -> Value {
    let mut results = BTreeMap::new();
    let mut errors = BTreeMap::new();
    let (mut mail, mut answers, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for entry in &request.thread {
        match entry {
            Entry::Result { call, result } => {
                let name = call.id.to_string();
                match &result.outcome {
                    Ok(value) => {
                        errors.remove(&name);
                        results.insert(name, value.clone());
                    }
                    Err(failure) => {
                        results.remove(&name);
                        let kind = Value::text(failure.kind.name());
                        errors.insert(name, Value::map([("kind", kind), ("message", Value::Text(failure.message.clone()))]));
                    }
                }
            }
            Entry::Mail(messages) => mail.extend(messages.iter().map(|m| Value::of(&**m).unwrap_or_default())),
            Entry::Answer { question, answer, by } => answers.push(Value::map([
                ("question", Value::Text(question.clone())),
                ("answer", answer.clone()),
                ("by", Value::Text(by.clone())),
            ])),
            Entry::Note(note) => notes.push(Value::Text(note.clone())),
            Entry::Reply(_) => {}
        }
    }
    let profile = &request.profile;
    let texts = |list: &[std::sync::Arc<str>]| Value::list(list.iter().cloned().map(Value::Text));
    let about = Value::map([
        ("name", Value::Text(profile.name.clone())),
        ("specialization", profile.specialization.clone().map_or(Value::Null, Value::Text)),
        ("skills", texts(&profile.skills)),
        ("style", Value::of(&profile.style).unwrap_or_default()),
        ("allowed_tools", texts(&profile.allowed_tools)),
        ("tags", texts(&profile.tags)),
        ("uncertainty_threshold", Value::float(profile.uncertainty_threshold).unwrap_or_default()),
    ]);
    Value::map([
        ("role", Value::Text(request.role.0.clone())),
        ("phase", Value::Text(request.phase.clone())),
        ("node", Value::Text(request.node.clone())),
        ("turn", Value::Int(i64::from(request.turn.0))),
        ("turns_left", Value::Int(i64::from(request.turns_left))),
        ("task", Value::Text(request.task.clone())),
        ("input", request.input.clone()),
        ("inputs", Value::Map(request.inputs.clone())),
        ("results", Value::map(results)),
        ("errors", Value::map(errors)),
        ("mail", Value::list(mail)),
        ("context", request.context.clone()),
        ("answers", Value::list(answers)),
        ("notes", Value::list(notes)),
        ("profile", about),
    ])
}
