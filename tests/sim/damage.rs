//! What does a fold make of a journal whose records do not belong together? [`damaged`]: an error or a state, no panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;
use synod::{event::Record, state::State, value::Seq};

use crate::{random::Random, world::Violation};

/// Damaged journals that are made of each.
const DAMAGES: u64 = 60;
/// Numbers that name something, by the keys under which they stand.
const NAMES: [&str; 17] = [
    "node",
    "attempt",
    "turn",
    "call",
    "ask",
    "id",
    "of",
    "plan",
    "first",
    "count",
    "step",
    "epoch",
    "number",
    "in_doubt",
    "permit",
    "settle",
    "escalation",
];

/// Damages a journal in many ways and folds what is left of it. The start stays: it is the plan, not a record of the run.
pub fn damaged(seed: u64, records: &[Record]) -> Result<(), Violation> {
    let mut random = Random::new(seed ^ 0xda3a);
    for _ in 0..DAMAGES {
        let (how, mut journal) = damage(&mut random, records);
        for (seq, record) in (0..).zip(&mut journal) {
            record.seq = Seq(seq);
        }
        if catch_unwind(AssertUnwindSafe(|| drop(State::fold(&journal)))).is_err() {
            return Err(format!("the fold of a damaged journal panics: {how}"));
        }
    }
    Ok(())
}

fn damage(random: &mut Random, records: &[Record]) -> (String, Vec<Record>) {
    let mut journal = records.to_vec();
    let most = records.len() as u64 - 1;
    if most == 0 {
        return ("nothing".to_owned(), journal);
    }
    let at = 1 + random.below(most) as usize;
    let how = match random.below(6) {
        0 => {
            journal.remove(at);
            "dropped".to_owned()
        }
        1 => {
            journal.insert(at, records[at].clone());
            "doubled".to_owned()
        }
        2 => {
            let other = 1 + random.below(most) as usize;
            // Their times stay: a record that is older than the one before it is refused for that alone.
            let (one, two) = (journal[at].event.clone(), journal[other].event.clone());
            (journal[at].event, journal[other].event) = (two, one);
            format!("swapped with {other}")
        }
        _ => match renamed(random, &records[at]) {
            Some(record) => {
                journal[at] = record;
                format!("now {:?}", journal[at].event)
            }
            None => "left as it was".to_owned(),
        },
    };
    (format!("record {at} {how}; it was {:?}", records[at].event), journal)
}

/// The record with one of the names in it changed.
fn renamed(random: &mut Random, record: &Record) -> Option<Record> {
    let mut json = serde_json::to_value(&record.event).ok()?;
    let mut names = Vec::new();
    find("", &json, String::new(), &mut names);
    if names.is_empty() {
        return None;
    }
    let name = json.pointer_mut(random.one::<String>(&names))?;
    let number = name.as_u64()?;
    let other = match random.below(5) {
        0 => number + 1,
        1 => number.saturating_sub(1),
        2 => random.below(40),
        3 => u64::from(u32::MAX),
        _ => number + 1_000,
    };
    *name = Value::from(other);
    let event = serde_json::from_value(json).ok()?;
    Some(Record { event, ..record.clone() })
}

/// The numbers in a record that name something, as JSON pointers; `key` is that of the map around them.
fn find(key: &str, value: &Value, pointer: String, names: &mut Vec<String>) {
    match value {
        Value::Number(number) if number.is_u64() && NAMES.contains(&key) => names.push(pointer),
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                find(key, item, format!("{pointer}/{n}"), names);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                find(key, item, format!("{pointer}/{key}"), names);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
