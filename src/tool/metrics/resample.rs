//! How do many series become one, and many points one? [`resample`]: grouped by name, gathered in buckets of time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    kind::{Class, Kind},
    series::{Point, Series, SeriesId},
    stats,
    terms::{Agg, By},
};

/// The series, grouped as `by` says and each bucket of `step` microseconds filled with one statistic; without a `step`,
/// grouped only. Buckets begin at multiples of the step since the epoch, and one without samples is left out.
pub fn resample(series: Vec<Series>, by: By, step: Option<i64>, agg: Agg) -> Vec<Series> {
    let grouped = group(series, by);
    let Some(step) = step else { return grouped };
    grouped
        .into_iter()
        .map(|one| {
            let points = bucketed(&one.points, step, |points| aggregate(points, one.counter, agg));
            Series { points, counter: false, ..one }
        })
        .collect()
}

/// One statistic of every bucket that has samples.
pub fn bucketed(points: &[Point], step: i64, of: impl Fn(&[Point]) -> f64) -> Vec<Point> {
    points
        .chunk_by(|a, b| a.at.div_euclid(step) == b.at.div_euclid(step))
        .map(|bucket| Point { at: bucket.first().map_or(0, |p| p.at.div_euclid(step).saturating_mul(step)), value: of(bucket) })
        .filter(|point| point.value.is_finite())
        .collect()
}

/// The series in groups, samples of a group merged in order of time.
pub fn group(series: Vec<Series>, by: By) -> Vec<Series> {
    if by == By::Series {
        return series;
    }
    let mut groups: BTreeMap<SeriesId, Vec<Series>> = BTreeMap::new();
    for one in series {
        groups.entry(group_id(&one.id, one.class, by)).or_default().push(one);
    }
    groups.into_iter().filter_map(|(id, members)| merge(id, members, by)).collect()
}

/// One statistic of samples in order of time; of a counter, of its increase.
pub fn aggregate(points: &[Point], counter: bool, agg: Agg) -> f64 {
    let values = || points.iter().map(|p| p.value);
    let sample: Vec<f64> = values().collect();
    match agg {
        Agg::Count => points.len() as f64,
        Agg::Min => values().fold(f64::INFINITY, f64::min),
        Agg::Max => values().fold(f64::NEG_INFINITY, f64::max),
        Agg::Mean => stats::mean(&sample),
        Agg::Median => stats::median(&sample),
        Agg::P90 => stats::quantile(&sample, 0.90),
        Agg::P95 => stats::quantile(&sample, 0.95),
        Agg::P99 => stats::quantile(&sample, 0.99),
        Agg::Sum if counter => growth(points),
        Agg::Sum => values().sum(),
        Agg::Stddev => stats::stddev(&sample),
        Agg::Rate => rate(points, counter),
        Agg::First => points.first().map_or(f64::NAN, |p| p.value),
        Agg::Last => points.last().map_or(f64::NAN, |p| p.value),
    }
}

fn rate(points: &[Point], counter: bool) -> f64 {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return f64::NAN };
    let seconds = (last.at - first.at) as f64 / super::clock::SECOND as f64;
    if seconds <= 0.0 {
        return f64::NAN;
    }
    let change = if counter { growth(points) } else { last.value - first.value };
    change / seconds
}

/// How much a counter grew; a fall is a reset to zero.
fn growth(points: &[Point]) -> f64 {
    points.windows(2).map(|pair| if pair[1].value >= pair[0].value { pair[1].value - pair[0].value } else { pair[1].value }).sum()
}

fn group_id(id: &SeriesId, class: Class, by: By) -> SeriesId {
    let none = || Arc::from("");
    let id_of =
        |service: &Arc<str>, metric: Arc<str>| SeriesId { service: service.clone(), metric, labels: none(), instance: none() };
    match by {
        By::Series => id.clone(),
        By::Service => id_of(&id.service, id.metric.clone()),
        By::Metric => id_of(&none(), id.metric.clone()),
        By::Kind => id_of(&id.service, Arc::from(class.kind.name())),
        By::All => id_of(&none(), none()),
    }
}

fn merge(id: SeriesId, members: Vec<Series>, by: By) -> Option<Series> {
    let first = members.first()?;
    let kind_is_shared = members.iter().all(|m| m.class == first.class);
    let class = match by {
        By::All if !kind_is_shared => Class { kind: Kind::Other, bad: Kind::Other.bad(), ..first.class },
        By::All | By::Series | By::Service | By::Metric | By::Kind => first.class,
    };
    let (source, counter) = (first.source.clone(), first.counter);
    // Totals of counters of several instances say nothing together; their rates do.
    let as_rates = counter && members.len() > 1;
    let mut points: Vec<Point> =
        members.into_iter().flat_map(|m| if as_rates && m.counter { m.rates().points } else { m.points }).collect();
    points.sort_by(|a, b| a.at.cmp(&b.at).then(a.value.total_cmp(&b.value)));
    Some(Series { id, class, counter: counter && !as_rates, source, points })
}
