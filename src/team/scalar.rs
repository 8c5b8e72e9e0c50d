//! Which numbers, texts and spans of time may a file hold? Each has a type that reads it, checks it and describes it in the schema.

use std::{borrow::Cow, sync::Arc, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{
    Code, Text,
    read::{Found, Read, wrong},
    tree::{Kind, Node, quoted},
};
use crate::value::{Notify, Place, Usd, Value};

/// The longest span of time that a file may name.
pub const MAX_SPAN: Duration = Duration::from_secs(366 * 24 * 3600);

/// An integer from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole<const MIN: u64, const MAX: u64>(pub(super) u64);

impl<const MIN: u64, const MAX: u64> Whole<MIN, MAX> {
    /// As a count; `MAX` of a count fits.
    pub(super) fn count(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> Read for Whole<MIN, MAX> {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        let number = match &node.kind {
            Kind::Int(number) => u64::try_from(*number).ok(),
            Kind::Huge => None,
            Kind::Null | Kind::Bool(_) | Kind::Float(_) | Kind::Text(_) | Kind::List(_) | Kind::Map(_) => {
                found.push(wrong(node, "an integer"));
                return None;
            }
        };
        let fits = number.filter(|n| (MIN..=MAX).contains(n));
        if fits.is_none() {
            let range = if MAX >= i64::MAX as u64 { format!("{MIN} or more") } else { format!("from {MIN} to {MAX}") };
            found.push(node.error(Code::OutOfRange, format!("expected an integer, {range}, found {}", node.describe())));
        }
        fits.map(Self)
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for Whole<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Whole_{MIN}_{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// Any finite number.
fn number(node: &Node, expected: &str, found: &mut Found) -> Option<f64> {
    match &node.kind {
        Kind::Int(number) => Some(*number as f64),
        Kind::Float(number) if number.is_finite() => Some(*number),
        Kind::Float(_) | Kind::Huge => {
            found.push(node.error(Code::OutOfRange, format!("expected {expected}, found {}", node.describe())));
            None
        }
        Kind::Null | Kind::Bool(_) | Kind::Text(_) | Kind::List(_) | Kind::Map(_) => {
            found.push(wrong(node, expected));
            None
        }
    }
}

/// A number within `range`, which `expected` names.
fn within(node: &Node, expected: &str, range: std::ops::RangeInclusive<f64>, found: &mut Found) -> Option<f64> {
    let number = number(node, expected, found)?;
    if !range.contains(&number) {
        found.push(node.error(Code::OutOfRange, format!("expected {expected}, found {}", node.describe())));
        return None;
    }
    Some(number)
}

/// A share from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fraction(pub(super) f64);

impl Read for Fraction {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        within(node, "a number from 0 to 1", 0.0..=1.0, found).map(Self)
    }
}

/// A factor by which waits grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factor(pub(super) f64);

impl Factor {
    /// The largest that a file may name.
    const MAX: f64 = 100.0;
}

impl Read for Factor {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        within(node, "a number from 1 to 100", 1.0..=Self::MAX, found).map(Self)
    }
}

/// US dollars.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dollars(pub(super) Usd);

impl Read for Dollars {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        const EXPECTED: &str = "an amount of dollars, 0 or more";
        let amount = number(node, EXPECTED, found)?;
        let usd = Usd::from_dollars(amount);
        if usd.is_none() {
            found.push(node.error(Code::OutOfRange, format!("expected {EXPECTED}, found {}", node.describe())));
        }
        usd.map(Self)
    }
}

/// A span of time: `30s`, `5m`, `2h`, `1d`, `250ms`, or seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span(pub(super) Duration);

impl Read for Span {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        const EXPECTED: &str = "a duration";
        const HELP: &str = "write `250ms`, `30s`, `5m`, `2h` or `1d`, or a number of seconds";
        let span = match &node.kind {
            Kind::Int(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
            Kind::Float(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
            Kind::Text(text) => parse_span(text),
            Kind::Huge => None,
            Kind::Null | Kind::Bool(_) | Kind::List(_) | Kind::Map(_) => {
                found.push(wrong(node, EXPECTED).help(HELP));
                return None;
            }
        };
        match span {
            Some(span) if span.is_zero() || span > MAX_SPAN => {
                found.push(node.error(Code::OutOfRange, "a duration is more than nothing and at most 366 days").help(HELP));
                None
            }
            Some(span) => Some(Self(span)),
            None => {
                found.push(
                    node.error(Code::BadDuration, format!("{} is no duration", node.describe()))
                        .label("not a duration")
                        .help(HELP),
                );
                None
            }
        }
    }
}

/// `30s` and the like; `1h30m` is the sum of its parts.
pub fn parse_span(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut sum = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let amount: u64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let unit = &after[..after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len())];
        let part = match unit {
            "ms" => Duration::from_millis(amount),
            "s" => Duration::from_secs(amount),
            "m" => Duration::from_secs(amount.checked_mul(60)?),
            "h" => Duration::from_secs(amount.checked_mul(3_600)?),
            "d" => Duration::from_secs(amount.checked_mul(86_400)?),
            _ => return None,
        };
        sum = sum.checked_add(part)?;
        rest = &after[unit.len()..];
    }
    Some(sum)
}

/// An id: `[a-z][a-z0-9_]*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(pub(super) Arc<str>);

/// What an id may look like, for schemas.
pub(super) const ID_PATTERN: &str = "^[a-z][a-z0-9_]*$";
/// Characters of an id at most.
pub(super) const MAX_ID: usize = 64;

/// Whether `text` is an id.
pub(super) fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= MAX_ID
        && bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_')
}

/// What an id could have been meant as, for a remedy.
pub(super) fn id_help(text: &str) -> String {
    let mut like: String =
        text.to_lowercase().chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' }).collect();
    like.truncate(MAX_ID);
    let rule = format!("an id has lower-case letters, digits and `_`, starts with a letter and has at most {MAX_ID} characters");
    if is_id(&like) { format!("{rule}, such as `{like}`") } else { rule }
}

impl Read for Id {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        let text = <Arc<str>>::read(node, found)?;
        if !is_id(&text) {
            found.push(node.error(Code::BadId, format!("{} is not an id", quoted(&text))).help(id_help(&text)));
            return None;
        }
        Some(Self(text))
    }
}

/// A text that holds something other than white space.
#[derive(Clone, Debug)]
pub(super) struct Words(pub(super) Arc<str>);

impl Read for Words {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        let text = <Arc<str>>::read(node, found)?;
        if text.trim().is_empty() {
            found.push(node.error(Code::InvalidValue, "the text is empty").help("write something, or remove the key"));
            return None;
        }
        Some(Self(text))
    }
}

/// How somebody is told: a command line or an address.
#[derive(Clone, Debug)]
pub(super) struct Telling(pub(super) Arc<str>);

impl Read for Telling {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        let text = Words::read(node, found)?.0;
        if let Err(why) = Notify::of(&text) {
            let help = "write `https://HOST/PATH` (or `http` on this machine), or a command line such as `./page.sh on-call`";
            found.push(node.error(Code::InvalidValue, why).help(help));
            return None;
        }
        Some(Self(text))
    }
}

/// A Rhai expression. A number or truth value stands for itself.
#[derive(Clone, Debug)]
pub(super) struct Expression(pub(super) Text);

impl Read for Expression {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        let source = match &node.kind {
            Kind::Bool(truth) => Arc::from(truth.to_string()),
            Kind::Int(number) => Arc::from(number.to_string()),
            Kind::Text(_) => Words::read(node, found)?.0,
            Kind::Null | Kind::Float(_) | Kind::Huge | Kind::List(_) | Kind::Map(_) => {
                found.push(wrong(node, "an expression").help("an expression is a text, such as `\"input.service\"`"));
                return None;
            }
        };
        Some(Self(Text { source, place: node.content_place() }))
    }
}

/// A text with `{{ … }}` in it.
#[derive(Clone, Debug)]
pub(super) struct Template(pub(super) Text);

impl Read for Template {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        let help_with_braces = matches!(node.kind, Kind::Map(_));
        if help_with_braces {
            found.push(wrong(node, "a text").help("put a text that starts with `{{` in quotes"));
            return None;
        }
        Some(Self(Text { source: Words::read(node, found)?.0, place: node.content_place() }))
    }
}

/// Any value, with the place where it stands.
#[derive(Clone, Debug)]
pub(super) struct Anything {
    pub(super) value: Value,
    pub(super) place: Place,
    pub(super) length: u32,
}

/// What messages call a value.
pub(super) fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Int(_) => "an integer",
        Value::Float(_) => "a number",
        Value::Text(_) => "a text",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
    }
}

impl Read for Anything {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        Some(Self { value: node.value(found)?, place: node.place.clone(), length: node.length })
    }
}

macro_rules! inline_schema {
    ($($name:ident = { $($json:tt)* };)+) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ $($json)* })
            }
        }
    )+};
}

inline_schema! {
    Fraction = { "type": "number", "minimum": 0, "maximum": 1 };
    Factor = { "type": "number", "minimum": 1, "maximum": 100 };
    Dollars = { "type": "number", "minimum": 0 };
    Span = { "anyOf": [
        { "type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$", "examples": ["30s", "5m", "2h", "1d"] },
        { "type": "number", "exclusiveMinimum": 0, "description": "Seconds." },
    ] };
    Id = { "type": "string", "pattern": ID_PATTERN, "maxLength": MAX_ID };
    Words = { "type": "string", "pattern": "\\S" };
    Telling = { "type": "string", "pattern": "\\S" };
    Expression = { "type": ["string", "integer", "boolean"] };
    Template = { "type": "string", "pattern": "\\S" };
    Anything = {};
}
