//! What are the statistics? A group a row, ranked by its first statistic, over the whole time or a bucket at a time.

use super::{Rows, about, number, time};
use crate::{
    tool::metrics::{
        notes::Notes,
        resample::aggregate,
        series::{Point, Series},
        terms::Agg,
    },
    value::{Map, Value},
};

/// Statistics when none are asked for.
pub const DEFAULT: [Agg; 5] = [Agg::Mean, Agg::Min, Agg::P95, Agg::Max, Agg::Count];
/// The most buckets of an answer.
const MAX_BUCKETS: usize = 4000;

/// The statistics of every group, those with the largest first statistic first.
pub fn rows(series: &[Series], aggs: &[Agg], step: Option<i64>, rates: bool, limit: usize, notes: &mut Notes) -> Rows {
    let lead = aggs.first().copied().unwrap_or(Agg::Mean);
    let mut ranked: Vec<(f64, &Series, Series)> = series
        .iter()
        .map(|one| {
            let shown = if one.counter && rates { one.rates() } else { one.clone() };
            (value_of(one, &shown, &one.points, &shown.points, lead), one, shown)
        })
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.id.cmp(&b.1.id)));
    let shown = ranked.len().min(limit);
    let mut buckets_left = MAX_BUCKETS;
    let rows = ranked
        .iter()
        .take(shown)
        .map(|(_, raw, shown)| {
            let mut row = about(raw);
            row.extend(statistics(raw, shown, &raw.points, &shown.points, aggs));
            if let (Some(first), Some(last)) = (raw.points.first(), raw.points.last()) {
                row.insert("first_at".to_owned(), time(first.at));
                row.insert("last_at".to_owned(), time(last.at));
            }
            if let Some(step) = step {
                row.insert("windows".to_owned(), windows(raw, shown, step, aggs, &mut buckets_left));
            }
            Value::map(row)
        })
        .collect();
    if buckets_left == 0 {
        notes.add(format!("more than {MAX_BUCKETS} buckets: the rest was left out; narrow the window or widen `step`"));
    }
    Rows { rows, left_out: ranked.len() - shown }
}

fn windows(raw: &Series, shown: &Series, step: i64, aggs: &[Agg], left: &mut usize) -> Value {
    let buckets = shown.points.chunk_by(|a, b| a.at.div_euclid(step) == b.at.div_euclid(step));
    let windows = buckets.take(*left).map(|bucket| {
        let begin = bucket.first().map_or(0, |p| p.at.div_euclid(step).saturating_mul(step));
        let end = begin.saturating_add(step - 1);
        let mut row = statistics(raw, shown, raw.within(Some(begin), Some(end)), bucket, aggs);
        row.insert("since".to_owned(), time(begin));
        Value::map(row)
    });
    let windows: Vec<Value> = windows.collect();
    *left -= windows.len();
    Value::list(windows)
}

fn statistics(raw: &Series, shown: &Series, raw_points: &[Point], points: &[Point], aggs: &[Agg]) -> Map {
    aggs.iter().map(|agg| (agg.name().to_owned(), number(value_of(raw, shown, raw_points, points, *agg)))).collect()
}

/// Sums and rates of a counter are of the counter itself; everything else is of what is shown, its rate.
fn value_of(raw: &Series, shown: &Series, raw_points: &[Point], points: &[Point], agg: Agg) -> f64 {
    match agg {
        Agg::Sum | Agg::Rate | Agg::Count => aggregate(raw_points, raw.counter, agg),
        Agg::Min | Agg::Max | Agg::Mean | Agg::Median | Agg::P90 | Agg::P95 | Agg::P99 | Agg::Stddev | Agg::First | Agg::Last => {
            aggregate(points, shown.counter, agg)
        }
    }
}
