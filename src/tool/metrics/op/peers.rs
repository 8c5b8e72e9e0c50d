//! Who is unlike its peers? [`peers`] clusters series at each moment with the DBSCAN detector of `augurs-outlier`: a series
//! outside the cluster that most of its peers form is an outlier, whatever all of them did together.

use std::collections::BTreeMap;

use augurs_outlier::{DbscanDetector, OutlierDetector};

use super::{Rows, about, count, number, seconds, time};
use crate::{
    tool::{
        Stop,
        metrics::{
            error::MetricsError,
            series::Series,
            stats::{self, MAD_TO_SIGMA},
            terms::Peers,
        },
    },
    value::Value,
};

/// The fewest series that are peers.
const LEAST_PEERS: usize = 3;
/// The most cells of a group: series times buckets.
const MAX_CELLS: i64 = 4_000_000;
/// Peers are neighbours within so many robust standard deviations of what peers usually differ by,
const NEIGHBOURS: f64 = 6.0;
/// and within this share of the usual level.
const LEAST_DISTANCE: f64 = 0.1;
/// A group without any spread still needs some distance.
const TINY: f64 = 1e-12;

struct Found<'a> {
    series: &'a Series,
    share: f64,
    outside: usize,
    first: i64,
    peers: usize,
}

/// The series that are outside the cluster of their peers, the most lasting first; and how many had no peers.
///
/// # Errors
/// The call was stopped.
pub fn peers(series: &[Series], among: Peers, min_score: f64, limit: usize, stop: &Stop) -> Result<(Rows, usize), MetricsError> {
    let mut groups: BTreeMap<(&str, &str, &str), Vec<&Series>> = BTreeMap::new();
    for one in series {
        let service = match among {
            Peers::Instances => &*one.id.service,
            Peers::Services => "",
        };
        groups.entry((service, &one.id.metric, &one.id.labels)).or_default().push(one);
    }
    let mut alone = 0usize;
    let mut found = Vec::new();
    for group in groups.into_values() {
        stop.check()?;
        if group.len() < LEAST_PEERS {
            alone += group.len();
            continue;
        }
        found.extend(unlike(&group).into_iter().filter(|f| f.share >= min_score));
    }
    found.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.series.id.cmp(&b.series.id)));
    Ok((Rows::cut(found.iter().map(row).collect(), limit), alone))
}

fn unlike<'a>(group: &[&'a Series]) -> Vec<Found<'a>> {
    let first = group.iter().filter_map(|s| s.points.first()).map(|p| p.at).min().unwrap_or(0);
    let last = group.iter().filter_map(|s| s.points.last()).map(|p| p.at).max().unwrap_or(0);
    let grain = group.iter().map(|s| s.grain()).max().unwrap_or(0).max(1);
    let most = (MAX_CELLS / i64::try_from(group.len()).unwrap_or(i64::MAX)).max(1);
    let step = grain.max(last.saturating_sub(first) / most + 1);
    let buckets = usize::try_from(last.saturating_sub(first) / step + 1).unwrap_or(1);
    let rows: Vec<Vec<f64>> = group.iter().map(|series| aligned(series, first, step, buckets)).collect();
    let borrowed: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
    let detector = DbscanDetector::with_epsilon(distance(&rows, buckets));
    let detected = detector.preprocess(&borrowed).and_then(|data| detector.detect(&data));
    // A constant group, or one without a moment in common, has no outliers.
    let Ok(detected) = detected else { return Vec::new() };
    let Some(band) = detected.cluster_band else { return Vec::new() };
    let mut found = Vec::new();
    for ((series, row), result) in group.iter().zip(&rows).zip(&detected.series_results) {
        // Where no cluster formed, nobody is outside it.
        let outside: Vec<usize> =
            (0..buckets).filter(|i| result.scores[*i] > 0.0 && row[*i].is_finite() && band.min[*i].is_finite()).collect();
        let present = row.iter().filter(|value| value.is_finite()).count();
        if let Some(at) = outside.first() {
            let first = first.saturating_add(step.saturating_mul(i64::try_from(*at).unwrap_or(0)));
            found.push(Found {
                series,
                share: outside.len() as f64 / present.max(1) as f64,
                outside: outside.len(),
                first,
                peers: group.len() - 1,
            });
        }
    }
    found
}

/// How far apart neighbours may be: by what peers differ from their middle, whatever that does over time.
fn distance(rows: &[Vec<f64>], buckets: usize) -> f64 {
    let (mut middles, mut off) = (Vec::with_capacity(buckets), Vec::new());
    for i in 0..buckets {
        let present: Vec<f64> = rows.iter().map(|row| row[i]).filter(|value| value.is_finite()).collect();
        if !present.is_empty() {
            let middle = stats::median(&present);
            middles.push(middle.abs());
            off.extend(present.iter().map(|value| (value - middle).abs()));
        }
    }
    (NEIGHBOURS * MAD_TO_SIGMA * stats::median(&off)).max(LEAST_DISTANCE * stats::median(&middles)).max(TINY)
}

/// The mean of each bucket; not a number where there is no sample.
fn aligned(series: &Series, first: i64, step: i64, buckets: usize) -> Vec<f64> {
    let mut sums = vec![(0.0, 0u32); buckets];
    for point in &series.points {
        if let Some(bucket) = usize::try_from((point.at - first) / step).ok().and_then(|i| sums.get_mut(i)) {
            bucket.0 += point.value;
            bucket.1 += 1;
        }
    }
    sums.into_iter().map(|(sum, count)| if count == 0 { f64::NAN } else { sum / f64::from(count) }).collect()
}

fn row(found: &Found<'_>) -> Value {
    let mut row = about(found.series);
    row.insert("score".to_owned(), number(found.share));
    row.insert("outside".to_owned(), count(found.outside as u64));
    row.insert("since".to_owned(), time(found.first));
    row.insert("since_unix".to_owned(), seconds(found.first));
    row.insert("peers".to_owned(), count(found.peers as u64));
    Value::map(row)
}
