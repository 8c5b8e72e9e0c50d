//! How does a [`Value`] look to a script, and what does a script's result come to? One to one, but for three things:
//! a character becomes a text, NaN and infinity are errors, and so is what is no value (a function, a range).

use rhai::Dynamic;

use crate::value::Value;

/// How deep lists and maps may nest; deeper ones are errors, so that no value can exhaust the stack.
pub(super) const MAX_DEPTH: usize = 128;

/// Why a value could not be handed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConvertError {
    /// NaN or infinite.
    #[error("{at} is not a finite number")]
    NotFinite {
        /// Where in the value.
        at: String,
    },
    /// Something that is no value.
    #[error("{at} is {}, which is not a value", crate::value::a(.what))]
    NotAValue {
        /// Where in the value.
        at: String,
        /// What it is, as Rhai names it.
        what: String,
    },
    /// Too deep.
    #[error("lists and maps nest deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// The value as a script reads it.
pub(super) fn to_dynamic(value: &Value) -> Result<Dynamic, ConvertError> {
    into_dynamic(value, MAX_DEPTH)
}

fn into_dynamic(value: &Value, depth: usize) -> Result<Dynamic, ConvertError> {
    Ok(match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(truth) => Dynamic::from_bool(*truth),
        Value::Int(number) => Dynamic::from_int(*number),
        Value::Float(number) => Dynamic::from_float(*number),
        Value::Text(text) => Dynamic::from(rhai::ImmutableString::from(&**text)),
        Value::List(items) => {
            let depth = depth.checked_sub(1).ok_or(ConvertError::TooDeep)?;
            Dynamic::from_array(items.iter().map(|item| into_dynamic(item, depth)).collect::<Result<_, _>>()?)
        }
        Value::Map(map) => {
            let depth = depth.checked_sub(1).ok_or(ConvertError::TooDeep)?;
            let entries = map.iter().map(|(key, item)| Ok((key.as_str().into(), into_dynamic(item, depth)?)));
            Dynamic::from_map(entries.collect::<Result<_, ConvertError>>()?)
        }
    })
}

/// What a script gave, as a value.
pub(super) fn to_value(dynamic: Dynamic) -> Result<Value, ConvertError> {
    let mut path = Vec::new();
    from_dynamic(dynamic, &mut path)
}

/// A step from the whole to a part, for messages.
enum Step {
    Key(String),
    Index(usize),
}

fn from_dynamic(dynamic: Dynamic, path: &mut Vec<Step>) -> Result<Value, ConvertError> {
    let dynamic = dynamic.flatten();
    if dynamic.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(truth) = dynamic.as_bool() {
        return Ok(Value::Bool(truth));
    }
    if let Ok(number) = dynamic.as_int() {
        return Ok(Value::Int(number));
    }
    if let Ok(number) = dynamic.as_float() {
        return Value::float(number).ok_or_else(|| ConvertError::NotFinite { at: shown(path) });
    }
    if let Ok(character) = dynamic.as_char() {
        return Ok(Value::text(character.to_string()));
    }
    if let Ok(text) = dynamic.as_immutable_string_ref() {
        return Ok(Value::text(text.as_str()));
    }
    if !dynamic.is_array() && !dynamic.is_map() {
        return Err(ConvertError::NotAValue {
            at: shown(path),
            what: dynamic.type_name().rsplit("::").next().unwrap_or("thing").to_owned(),
        });
    }
    if path.len() >= MAX_DEPTH {
        return Err(ConvertError::TooDeep);
    }
    match dynamic.try_cast_result::<rhai::Array>() {
        Ok(items) => {
            let mut list = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                path.push(Step::Index(index));
                list.push(from_dynamic(item, path)?);
                path.pop();
            }
            Ok(Value::List(list.into()))
        }
        Err(map) => {
            let mut entries = crate::value::Map::new();
            for (key, item) in map.cast::<rhai::Map>() {
                path.push(Step::Key(key.to_string()));
                let item = from_dynamic(item, path)?;
                path.pop();
                entries.insert(key.into(), item);
            }
            Ok(Value::Map(entries.into()))
        }
    }
}

/// The path as messages name it: `the result`, or `` `tasks[2].agent` ``.
fn shown(path: &[Step]) -> String {
    if path.is_empty() {
        return "the result".to_owned();
    }
    let mut shown = "`".to_owned();
    for step in path {
        match step {
            Step::Key(key) if shown.len() == 1 => shown.push_str(key),
            Step::Key(key) => {
                shown.push('.');
                shown.push_str(key);
            }
            Step::Index(index) => shown.push_str(&format!("[{index}]")),
        }
    }
    shown.push('`');
    shown
}
