//! How is a team file written by a program? [`Doc`]: a value whose maps keep their order, and its YAML.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use crate::value::Value;

/// A value of a file, with maps in written order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Doc {
    /// Nothing, a truth value, a number or a text.
    Scalar(Value),
    /// Items.
    List(Vec<Doc>),
    /// Entries in order.
    Map(Vec<(String, Doc)>),
}

impl Doc {
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Scalar(Value::text(text))
    }

    pub fn number(number: impl Into<i64>) -> Self {
        Self::Scalar(Value::Int(number.into()))
    }

    pub fn texts<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => Self::Scalar(value.clone()),
            Value::List(items) => Self::List(items.iter().map(Self::of).collect()),
            Value::Map(map) => Self::Map(map.iter().map(|(key, value)| (key.clone(), Self::of(value))).collect()),
        }
    }

    /// As YAML: what fits stands on one line, the rest on lines of its own.
    pub fn yaml(&self) -> String {
        let mut out = String::new();
        self.block(0, &mut out);
        out
    }

    fn block(&self, depth: usize, out: &mut String) {
        let indent = "  ".repeat(depth);
        let mut put = |start: String, value: &Self, outermost: bool| {
            let line = value.to_string();
            let long = start.chars().count() + line.chars().count() > WIDTH;
            match value {
                Self::Map(entries) if (long || outermost) && !entries.is_empty() => {
                    out.push_str(&format!("{start}\n"));
                    value.block(depth + 1, out);
                }
                Self::List(items) if long && !items.is_empty() => {
                    out.push_str(&format!("{start}\n"));
                    value.block(depth + 1, out);
                }
                Self::Scalar(_) | Self::List(_) | Self::Map(_) => out.push_str(&format!("{start} {line}\n")),
            }
        };
        match self {
            Self::Map(entries) => {
                entries.iter().for_each(|(key, value)| put(format!("{indent}{}:", key_text(key)), value, depth == 0));
            }
            Self::List(items) => items.iter().for_each(|item| out.push_str(&format!("{indent}- {item}\n"))),
            Self::Scalar(_) => {}
        }
    }
}

/// Columns of a line that is not broken.
const WIDTH: usize = 120;

impl fmt::Display for Doc {
    /// In one line, in the notation that YAML shares with JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(Value::Text(text)) => f.write_str(&key_text(text)),
            Self::Scalar(value) => write!(f, "{}", value.to_json()),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Self::Map(entries) if entries.is_empty() => f.write_str("{}"),
            Self::Map(entries) => {
                let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{}: {value}", key_text(key))).collect();
                write!(f, "{{ {} }}", entries.join(", "))
            }
        }
    }
}

/// Words that YAML may take for something else than a text.
const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// A key or text, in quotes unless it is a plain word.
fn key_text(key: &str) -> String {
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain && !WORDS.contains(&&*key.to_lowercase()) { key.to_owned() } else { serde_json::Value::from(key).to_string() }
}

impl<'de> Deserialize<'de> for Doc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocVisitor)
    }
}

struct DocVisitor;

impl<'de> Visitor<'de> for DocVisitor {
    type Value = Doc;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a team file")
    }

    fn visit_unit<E>(self) -> Result<Doc, E> {
        Ok(Doc::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Doc, E> {
        Ok(Doc::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Doc, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Doc, E> {
        Ok(Doc::Scalar(Value::Bool(truth)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Doc, E> {
        Ok(Doc::number(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Doc, E> {
        i64::try_from(number).map(Doc::number).map_err(|_| E::custom(format!("{number} is too large")))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Doc, E> {
        Value::float(number).map(Doc::Scalar).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Doc, E> {
        Ok(Doc::text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Doc, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Doc::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Doc, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Doc::Map(entries))
    }
}
