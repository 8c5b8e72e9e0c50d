//! What comes out of texts?

use std::{cell::RefCell, collections::BTreeMap};

use regex::{Regex, RegexBuilder};
use rhai::{Array, Dynamic, Map, Module};

use super::{Fallible, function};
use crate::{rule::convert, value::Value};

/// Bytes that a compiled regex may take; matching is linear in the text whatever the regex.
const MAX_REGEX: usize = 1 << 20;
/// Compiled regexes that a thread keeps.
const KEPT_REGEXES: usize = 64;
/// Matches that `find_all` gives at most.
const MAX_MATCHES: usize = 10_000;
/// Characters that `similarity` looks at; its cost is their square.
const MAX_COMPARED: usize = 1_000;

thread_local! {
    /// Regexes that this thread compiled lately. A cache: it never changes an answer.
    static REGEXES: RefCell<BTreeMap<String, Regex>> = const { RefCell::new(BTreeMap::new()) };
}

pub(super) fn register(library: &mut Module) {
    function("json", library, |text: &str| -> Fallible<Dynamic> {
        let json: serde_json::Value = serde_json::from_str(text).map_err(|error| format!("json: {error}"))?;
        let value = Value::try_from(json).map_err(|error| format!("json: {error}"))?;
        convert::to_dynamic(&value).map_err(|error| format!("json: {error}").into())
    });
    function("to_json", library, to_json);
    // Rhai's own for maps writes what is no JSON.
    function("to_json", library, |map: &mut Map| to_json(Dynamic::from_map(map.clone())));
    function("parse_time", library, |text: &str| parse_time(text).map_or(Dynamic::UNIT, Dynamic::from_int));
    function("format_time", library, |ms: i64| -> Fallible<String> {
        jiff::Timestamp::from_millisecond(ms)
            .map(|time| time.to_string())
            .map_err(|_| format!("format_time: {ms} is out of range").into())
    });
    function("matches", library, |text: &str, pattern: &str| with_regex(pattern, |regex| regex.is_match(text)));
    function("captures", library, |text: &str, pattern: &str| {
        with_regex(pattern, |regex| match regex.captures(text) {
            Some(found) => {
                let group = |group: Option<regex::Match>| group.map_or(Dynamic::UNIT, |group| group.as_str().into());
                Dynamic::from_array(found.iter().map(group).collect())
            }
            None => Dynamic::UNIT,
        })
    });
    function("find_all", library, |text: &str, pattern: &str| {
        with_regex(pattern, |regex| regex.find_iter(text).take(MAX_MATCHES).map(|found| found.as_str().into()).collect::<Array>())
    });
    function("similarity", library, |a: &str, b: &str| {
        let start = |text: &str| text.chars().take(MAX_COMPARED).collect::<String>();
        strsim::normalized_damerau_levenshtein(&start(a), &start(b))
    });
}

fn to_json(value: Dynamic) -> Fallible<String> {
    let value = convert::to_value(value).map_err(|error| format!("to_json: {error}"))?;
    serde_json::to_string(&value).map_err(|error| format!("to_json: {error}").into())
}

/// Milliseconds since the Unix epoch; a time without an offset is UTC.
fn parse_time(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_millisecond());
    }
    // Log files write the fraction of a second behind a comma, too.
    let civil: jiff::civil::DateTime = text.replace(',', ".").parse().ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

fn with_regex<T>(pattern: &str, f: impl FnOnce(&Regex) -> T) -> Fallible<T> {
    REGEXES.with_borrow_mut(|regexes| {
        if let Some(regex) = regexes.get(pattern) {
            return Ok(f(regex));
        }
        let built = RegexBuilder::new(pattern).size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).build();
        let regex =
            built.map_err(|error| format!("regex `{pattern}`: {}", error.to_string().lines().last().unwrap_or_default()))?;
        if regexes.len() >= KEPT_REGEXES {
            regexes.clear();
        }
        Ok(f(regexes.entry(pattern.to_owned()).or_insert(regex)))
    })
}
