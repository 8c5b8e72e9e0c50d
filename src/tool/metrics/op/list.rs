//! Which series are there? Each with its unit, its time range and its holes.

use std::collections::BTreeMap;

use super::{Rows, about, count, number, seconds, time};
use crate::{
    tool::metrics::{clock::SECOND, kind, series::Series},
    value::{Map, Value},
};

/// How many services and metrics are named.
const MAX_NAMES: usize = 200;

/// The series, in order of their names, and a summary of all of them.
pub fn list(series: &[Series], limit: usize) -> (Rows, Map) {
    let rows = series.iter().map(row).collect();
    (Rows::cut(rows, limit), summary(series))
}

fn row(series: &Series) -> Value {
    let mut row = about(series);
    let mut put = |key: &str, value: Value| row.insert(key.to_owned(), value);
    if let Some(unit) = kind::unit_of(&series.id.metric) {
        put("unit", Value::from(unit));
    }
    if series.counter {
        put("counter", Value::Bool(true));
    }
    if series.points.is_empty() {
        return Value::map(row);
    }
    put("points", count(series.points.len() as u64));
    if let (Some(first), Some(last)) = (series.points.first(), series.points.last()) {
        put("first", time(first.at));
        put("last", time(last.at));
        let least = series.points.iter().map(|p| p.value).fold(f64::INFINITY, f64::min);
        let most = series.points.iter().map(|p| p.value).fold(f64::NEG_INFINITY, f64::max);
        put("min", number(least));
        put("max", number(most));
    }
    put("step_s", seconds(series.grain()));
    let gaps = series.gaps();
    if let Some((from, to)) = gaps.first() {
        put(
            "gaps",
            Value::map([
                ("count", count(gaps.len() as u64)),
                ("longest_s", number((to - from) as f64 / SECOND as f64)),
                ("longest_since", time(*from)),
            ]),
        );
    }
    Value::map(row)
}

fn summary(series: &[Series]) -> Map {
    let mut services: BTreeMap<&str, i64> = BTreeMap::new();
    let mut metrics: BTreeMap<&str, i64> = BTreeMap::new();
    for one in series {
        *services.entry(&one.id.service).or_default() += 1;
        *metrics.entry(&one.id.metric).or_default() += 1;
    }
    let counts =
        |names: BTreeMap<&str, i64>| Value::map(names.into_iter().take(MAX_NAMES).map(|(k, v)| (k.to_owned(), Value::Int(v))));
    Map::from([("services".to_owned(), counts(services)), ("metrics".to_owned(), counts(metrics))])
}
