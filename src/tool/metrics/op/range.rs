//! What are the points? A series a row, thinned to what an answer holds.

use super::{Rows, about, number, seconds, time};
use crate::{
    tool::metrics::{
        clock::{SECOND, span_name},
        notes::Notes,
        resample::{aggregate, bucketed},
        series::Series,
        terms::Agg,
    },
    value::Value,
};

/// The most points of one row.
const MAX_POINTS_A_ROW: usize = 500;
/// The most points of an answer.
const MAX_POINTS: usize = 5000;

/// The points of the first `limit` series, `[time, value]` each; a series with too many is gathered in wider buckets.
pub fn range(series: &[Series], agg: Agg, limit: usize, notes: &mut Notes) -> Rows {
    let shown = series.len().min(limit).min(MAX_POINTS);
    let each = (MAX_POINTS / shown.max(1)).clamp(1, MAX_POINTS_A_ROW);
    let mut widened = 0usize;
    let rows = series
        .iter()
        .take(shown)
        .map(|one| {
            let mut row = about(one);
            let mut points = one.points.clone();
            if let Some(step) = fitting_step(one, each) {
                points = bucketed(&one.points, step, |bucket| aggregate(bucket, one.counter, agg));
                row.insert("step_s".to_owned(), seconds(step));
                row.insert("step".to_owned(), Value::from(span_name(step)));
                widened += 1;
            }
            row.insert("points".to_owned(), Value::list(points.iter().map(|p| Value::list([time(p.at), number(p.value)]))));
            Value::map(row)
        })
        .collect();
    if widened > 0 {
        notes.add(format!(
            "{widened} series have more than {each} points: shown as {} of wider buckets (`step_s`); narrow `since` and `until`",
            agg.name()
        ));
    }
    Rows { rows, left_out: series.len() - shown }
}

/// The round step at which the points fit, if they do not as they are.
fn fitting_step(series: &Series, each: usize) -> Option<i64> {
    const ROUND: [i64; 14] = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400];
    if series.points.len() <= each {
        return None;
    }
    let (first, last) = (series.points.first()?.at, series.points.last()?.at);
    let wanted = last.saturating_sub(first) / i64::try_from(each).ok()? + 1;
    let seconds = wanted / SECOND + 1;
    let round = ROUND.iter().find(|s| **s >= seconds).copied().unwrap_or_else(|| (seconds / 86_400 + 1) * 86_400);
    Some(round.saturating_mul(SECOND))
}
