//! What can be asked of series? One file for each question; each gives an answer with ranked [`Rows`].

pub mod aggregate;
pub mod changes;
pub mod compare;
pub mod list;
pub mod outliers;
pub mod peers;
pub mod range;
pub mod scan;
pub mod score;

use super::{
    kind::{Class, Scope},
    series::{Series, SeriesId},
};
use crate::value::{Map, Timestamp, Value};

pub(super) use crate::tool::count;

/// Digits that a number of an answer keeps.
const DIGITS: i32 = 6;

/// The rows of an answer, best first, and how many there would have been.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// The rows.
    pub rows: Vec<Value>,
    /// How many were left out.
    pub left_out: usize,
}

impl Rows {
    /// Leaves out the last rows until the rest has at most so many bytes of JSON.
    pub fn fit(&mut self, bytes: usize) {
        let mut left = bytes;
        let fitting = self.rows.iter().take_while(|row| {
            let size = row.to_json().to_string().len() + 1;
            let fits = size <= left;
            left = left.saturating_sub(size);
            fits
        });
        // One row that is too large by itself is the registry's to cut.
        let keep = fitting.count().max(1).min(self.rows.len());
        self.left_out += self.rows.len() - keep;
        self.rows.truncate(keep);
    }

    /// The first `limit` of `rows`.
    pub fn cut(mut rows: Vec<Value>, limit: usize) -> Self {
        let left_out = rows.len().saturating_sub(limit);
        rows.truncate(limit);
        Self { rows, left_out }
    }
}

/// A time, as RFC 3339.
pub fn time(micros: i64) -> Value {
    Value::from(Timestamp(micros).rfc3339())
}

/// A time, as seconds since the epoch.
pub fn seconds(micros: i64) -> Value {
    Value::Float(micros as f64 / super::clock::SECOND as f64)
}

/// A number to six digits; null when it is not finite.
pub fn number(value: f64) -> Value {
    if value == 0.0 || !value.is_finite() {
        return Value::float(value.abs()).unwrap_or(Value::Null);
    }
    let magnitude = value.abs().log10().floor() as i32;
    let shift = DIGITS - 1 - magnitude;
    // Beyond these powers rounding would lose the number itself.
    if !(-290..=290).contains(&shift) {
        return Value::Float(value);
    }
    let factor = 10f64.powi(shift.abs());
    let rounded = if shift >= 0 { (value * factor).round() / factor } else { (value / factor).round() * factor };
    Value::float(rounded).unwrap_or(Value::Float(value))
}

/// What a row says of the series it is about.
pub fn about(series: &Series) -> Map {
    let mut row = named(&series.id, series.class);
    row.insert("source".to_owned(), Value::text(&series.source));
    row
}

/// The name and class of a series.
pub fn named(id: &SeriesId, class: Class) -> Map {
    let mut row = Map::new();
    for (key, text) in [("service", &id.service), ("metric", &id.metric), ("labels", &id.labels), ("instance", &id.instance)] {
        if !text.is_empty() {
            row.insert(key.to_owned(), Value::text(text));
        }
    }
    row.insert("kind".to_owned(), Value::from(class.kind.name()));
    row.insert("bad".to_owned(), Value::from(class.bad.name()));
    if class.scope != Scope::Own {
        row.insert("scope".to_owned(), Value::from(class.scope.name()));
    }
    row
}
