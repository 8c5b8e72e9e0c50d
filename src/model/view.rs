//! What does a script agent see? [`view`]: a request as one map.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;

use crate::{
    turn::passages,
    value::{Entry, Failure, Map, Profile, Request, Role, Turn, Value},
};

/// `#{ role, phase, node, turn, turns_left, task, input, inputs, results, errors, mail, context, answers, notes, knowledge, profile }`.
///
/// `results` has the value of every call that succeeded by its `as` name, `errors` `#{ kind, message }` of every call that
/// failed; a later call of the same name wins. `answers` has what people answered, `notes` what the engine remarked.
/// `knowledge` has the passages that were looked up before the first turn, `#{ document, title, section, line, text, score }` each, if
/// the profile has a `top_k`; where that failed, `errors.knowledge` says why.
pub fn view(request: &Request) -> Value {
    let mut results = BTreeMap::new();
    let mut errors = BTreeMap::new();
    let (mut mail, mut answers, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let mut knowledge: &[Value] = &[];
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
                        errors.insert(name, error(failure));
                    }
                }
            }
            Entry::Known { call, result } => {
                knowledge = passages(result);
                errors.extend(result.outcome.as_ref().err().map(|failure| (call.id.to_string(), error(failure))));
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
        ("knowledge", Value::list(knowledge.iter().cloned())),
        ("profile", about),
    ])
}

/// A view as a script may be given it, for those who write one: an agent in its second turn.
///
/// # Errors
/// The sample does not fit the types any more; a test reads it.
pub fn sample() -> Result<Value, serde_json::Error> {
    let sample: Sample = serde_json::from_str(include_str!("sample.json"))?;
    Ok(view(&Request {
        role: Role::new("logs"),
        profile: Arc::new(sample.profile),
        node: "work/logs".into(),
        phase: "work".into(),
        turn: Turn(1),
        turns_left: 8,
        task: sample.task,
        input: Value::Null,
        inputs: Arc::new(sample.inputs),
        context: sample.context,
        thread: sample.thread,
        tools: Vec::new(),
    }))
}

#[derive(Deserialize)]
struct Sample {
    profile: Profile,
    task: Arc<str>,
    inputs: Map,
    context: Value,
    thread: Vec<Entry>,
}

fn error(failure: &Failure) -> Value {
    Value::map([("kind", Value::text(failure.kind.name())), ("message", Value::Text(failure.message.clone()))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_shows_every_part_of_a_view() {
        let sample = sample().unwrap();
        for (part, value) in sample.as_map().unwrap() {
            let empty = value.as_list().is_some_and(<[Value]>::is_empty) || value.as_map().is_some_and(Map::is_empty);
            assert!(!empty, "{part} of the sample is empty");
        }
        assert_eq!(sample.get("knowledge").unwrap().as_list().unwrap().len(), 1);
    }
}
