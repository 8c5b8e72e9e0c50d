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
//! | `sort_by(list, f)` | the list in ascending order of `f` (a list of keys: of the first, then the next); equals keep their order |
//! | `group_by(list, f)` | a map from the text of `f` to the list of its items |
//! | `count_by(list, f)` | a map from the text of `f` to how many there are |
//! | `unique(list)` | the list without repetitions, the first of each kept |
//! | `sides(positions)` | who stands where: `[#{ value, confidence, weight, agents }]`, the surest side first, then the larger; texts that differ in case only are the same; `confidence` is that of the surest of `agents`, `weight` the sum of all |
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
mod sides;
mod test;
mod text;

use std::{cmp::Ordering, collections::BTreeSet};

use rhai::{Array, Dynamic, EvalAltResult, FuncRegistration, Module, RhaiNativeFunc, Variant};

/// What a function gives that can fail.
pub(super) type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// Puts all helpers into `library`.
pub(super) fn register(library: &mut Module) {
    number::register(library);
    list::register(library);
    sides::register(library);
    text::register(library);
    test::register(library);
}

/// Puts one function into `library`. It leaves its arguments as they are, so that constants can be given to it.
pub(super) fn function<A: 'static, const N: usize, const X: bool, R, const F: bool, FUNC>(
    name: &str,
    library: &mut Module,
    f: FUNC,
) where
    R: Variant + Clone,
    FUNC: RhaiNativeFunc<A, N, X, R, F> + Send + Sync + 'static,
{
    FuncRegistration::new(name).in_global_namespace().with_purity(true).set_into_module(library, f);
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

/// The order of these values: numbers by size, texts by letter, false before true, lists item by item; a mixture has none.
fn order_of(values: &[Dynamic]) -> Fallible<Comparator> {
    let all = |is: fn(&Dynamic) -> bool| values.iter().all(is);
    if all(Dynamic::is_int) {
        return Ok(|a, b| a.as_int().unwrap_or_default().cmp(&b.as_int().unwrap_or_default()));
    }
    if all(Dynamic::is_string) || all(Dynamic::is_bool) || all(|value| number_of(value).is_ok()) {
        return Ok(same_kind);
    }
    if all(Dynamic::is_array) {
        let rows: Vec<Array> = values.iter().map(|row| row.clone().cast()).collect();
        let width = rows.first().map_or(0, Array::len);
        if rows.iter().any(|row| row.len() != width) {
            return Err("no order among lists of different lengths".into());
        }
        for column in 0..width {
            order_of(&rows.iter().map(|row| row[column].clone()).collect::<Vec<_>>())?;
        }
        return Ok(same_kind);
    }
    let kinds: BTreeSet<&str> = values.iter().map(|value| found_name(value.type_name())).collect();
    Err(format!("no order among {}", kinds.into_iter().collect::<Vec<_>>().join(" and ")).into())
}

/// The order of two values for which [`order_of`] has found one.
fn same_kind(a: &Dynamic, b: &Dynamic) -> Ordering {
    if let (Ok(a), Ok(b)) = (a.as_immutable_string_ref(), b.as_immutable_string_ref()) {
        return a.as_str().cmp(b.as_str());
    }
    if let (Ok(a), Ok(b)) = (a.as_bool(), b.as_bool()) {
        return a.cmp(&b);
    }
    if let (Ok(a), Ok(b)) = (a.as_array_ref(), b.as_array_ref()) {
        return a.iter().zip(b.iter()).map(|(a, b)| same_kind(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
    }
    number_of(a).unwrap_or_default().total_cmp(&number_of(b).unwrap_or_default())
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
