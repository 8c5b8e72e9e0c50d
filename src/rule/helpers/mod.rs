//! What can scripts call beside what Rhai has? A few pure functions for numbers, lists, texts and tests.
//!
//! All can be called as methods, too: `facts.positions.max_by(|p| p.confidence)`. Where a list is empty or a text does
//! not parse, the answer is `()`, so that `?? default` says what then.
//!
//! | function | gives |
//! |---|---|
//! | `round(x, digits)` | `x` with so many digits after the point |
//! | `clamp(x, low, high)` | `x`, but not below `low` or above `high` |
//! | `sum(list)`, `mean(list)`, `median(list)`, `percentile(list, p)` | of numbers; `p` from 0 to 100, interpolated |
//! | `min(list)`, `max(list)` | the least and the greatest of numbers or texts |
//! | `min_by(list, f)`, `max_by(list, f)` | the item for which `f` is least or greatest; the first of equals |
//! | `sort_by(list, f)` | the list in ascending order of `f`; equals keep their order |
//! | `group_by(list, f)` | a map from the text of `f` to the list of its items |
//! | `count_by(list, f)` | a map from the text of `f` to how many there are |
//! | `unique(list)` | the list without repetitions, the first of each kept |
//! | `get(map, key, default)` | the entry, or `default` where there is none or it is `()` |
//! | `json(text)`, `to_json(value)` | from and to JSON |
//! | `parse_time(text)` | milliseconds since 1970 of RFC 3339, or of `2026-01-05 14:30:00` taken as UTC |
//! | `format_time(ms)` | RFC 3339 in UTC |
//! | `matches(text, regex)` | whether the regex matches somewhere |
//! | `captures(text, regex)` | the first match and its groups as a list |
//! | `find_all(text, regex)` | all matches, 10,000 at most |
//! | `similarity(a, b)` | from 0 (nothing in common) to 1 (equal), by edit distance of their first 1,000 characters |
//! | `assert(condition)`, `assert(condition, message)`, `assert_eq(a, b)` | nothing, or an error |
//! | `sample(rule)` | sample facts of a rule, such as `sample("settle")` |
//!
//! Deliberately absent: whatever could see the outside (files, time, chance) or depend on the order of a hash.

mod list;
mod number;
mod test;
mod text;

use std::{cmp::Ordering, collections::BTreeSet};

use rhai::{Dynamic, Engine, EvalAltResult};

/// What a function gives that can fail.
pub(super) type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// Puts all helpers into `engine`.
pub(super) fn register(engine: &mut Engine) {
    number::register(engine);
    list::register(engine);
    text::register(engine);
    test::register(engine);
}

/// The number, integer or float.
fn number_of(value: &Dynamic) -> Fallible<f64> {
    match (value.as_int(), value.as_float()) {
        (Ok(number), _) => Ok(number as f64),
        (_, Ok(number)) => Ok(number),
        (Err(found), Err(_)) => Err(format!("expected a number, found {}", found_name(found)).into()),
    }
}

/// A total order of two values of the same kind.
type Comparator = fn(&Dynamic, &Dynamic) -> Ordering;

/// The order of these values: numbers by size, texts by letter, false before true; a mixture has none.
fn order_of(values: &[Dynamic]) -> Fallible<Comparator> {
    let all = |is: fn(&Dynamic) -> bool| values.iter().all(is);
    if all(Dynamic::is_int) {
        Ok(|a, b| a.as_int().unwrap_or_default().cmp(&b.as_int().unwrap_or_default()))
    } else if all(Dynamic::is_string) {
        Ok(|a, b| match (a.as_immutable_string_ref(), b.as_immutable_string_ref()) {
            (Ok(a), Ok(b)) => a.as_str().cmp(b.as_str()),
            _ => Ordering::Equal,
        })
    } else if all(Dynamic::is_bool) {
        Ok(|a, b| a.as_bool().unwrap_or_default().cmp(&b.as_bool().unwrap_or_default()))
    } else if all(|value| number_of(value).is_ok()) {
        Ok(|a, b| number_of(a).unwrap_or_default().total_cmp(&number_of(b).unwrap_or_default()))
    } else {
        let kinds: BTreeSet<&str> = values.iter().map(|value| found_name(value.type_name())).collect();
        Err(format!("no order among {}", kinds.into_iter().collect::<Vec<_>>().join(" and ")).into())
    }
}

fn found_name(rhai_name: &str) -> &str {
    match rhai_name {
        "()" => "()",
        "i64" => "an integer",
        "f64" => "a number",
        "string" => "a text",
        "array" => "a list",
        "map" => "a map",
        other => other,
    }
}
