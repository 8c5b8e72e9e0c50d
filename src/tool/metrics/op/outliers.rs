//! Which single points stand out? [`outliers`] by the double median absolute deviation of `augurs-outlier`, which
//! has a scale of its own above and below the median, so that a skewed series is not all outliers on one side.

use augurs_outlier::{MADDetector, OutlierDetector};

use super::{
    Rows, about,
    changes::Baselines,
    count, number,
    score::{RELATIVE_FLOOR, Tails, Usual},
    seconds, time,
};
use crate::{
    tool::{
        Stop,
        metrics::{
            error::MetricsError,
            series::{Point, Series},
            stats,
        },
    },
    value::Value,
};

/// How far off a point must be when nothing else is asked, in robust standard deviations.
pub const DEFAULT_THRESHOLD: f64 = 3.5;
/// The samples without which nothing is judged.
const LEAST: usize = 8;
/// The stretches of one series that are told.
const MAX_STRETCHES: usize = 5;
/// A score is no larger, however constant the series was.
const MAX_SCORE: f64 = 1e6;

/// The outliers of one series.
struct Found<'a> {
    series: &'a Series,
    score: f64,
    usual: f64,
    stretches: Vec<Stretch>,
}

/// Outliers in a row.
struct Stretch {
    from: i64,
    to: i64,
    peak: Point,
    score: f64,
    points: usize,
}

/// The series with outliers, the most extreme first, against a baseline where there is one, else against themselves; and
/// how many series were too short to tell.
///
/// # Errors
/// The call was stopped.
pub fn outliers(
    series: &[Series],
    baseline: &[Series],
    threshold: f64,
    min_score: f64,
    limit: usize,
    stop: &Stop,
) -> Result<(Rows, usize), MetricsError> {
    let baselines = Baselines::new(baseline);
    let mut short = 0usize;
    let mut found = Vec::new();
    for one in series {
        stop.check()?;
        let own = one.values();
        let normal: Vec<f64> = match baselines.points(one) {
            Some(points) if points.len() >= LEAST => points.iter().map(|p| p.value).collect(),
            Some(_) | None if own.len() >= LEAST => own.clone(),
            Some(_) | None => {
                short += 1;
                continue;
            }
        };
        let scores = scores(&normal, &own);
        let usual = stats::median(&normal);
        let stretches = stretches(one, &scores, threshold, RELATIVE_FLOOR * usual.abs(), usual);
        let score = stretches.iter().map(|s| s.score).fold(0.0, f64::max);
        if !stretches.is_empty() && score >= min_score {
            found.push(Found { series: one, score, usual, stretches });
        }
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.series.id.cmp(&b.series.id)));
    Ok((Rows::cut(found.iter().map(row).collect(), limit), short))
}

/// The distance of every value from the median, in robust standard deviations of its side.
fn scores(normal: &[f64], values: &[f64]) -> Vec<f64> {
    let by_detector = || {
        let medians = MADDetector::calculate_double_medians(&[normal]).ok()?;
        let mut detector = MADDetector::with_threshold(DEFAULT_THRESHOLD);
        detector.set_medians(medians);
        let found = detector.detect(&detector.preprocess(&[values]).ok()?).ok()?;
        found.series_results.into_iter().next().map(|series| series.scores)
    };
    by_detector().filter(|scores| scores.len() == values.len()).unwrap_or_else(|| {
        // Where half of the samples are equal there is no deviation to divide by: the floors of a scale remain.
        let usual = Usual::of(normal, 0.0, Tails::Kept);
        values.iter().map(|value| usual.z(*value, false)).collect()
    })
}

fn stretches(series: &Series, scores: &[f64], threshold: f64, least: f64, usual: f64) -> Vec<Stretch> {
    let mut all: Vec<Stretch> = Vec::new();
    let mut open = false;
    for (point, score) in series.points.iter().zip(scores) {
        let stands_out = *score > threshold && (point.value - usual).abs() >= least;
        let score = score.min(MAX_SCORE);
        match all.last_mut() {
            Some(stretch) if stands_out && open => {
                stretch.to = point.at;
                stretch.points += 1;
                if score > stretch.score {
                    stretch.score = score;
                    stretch.peak = *point;
                }
            }
            Some(_) | None if stands_out => {
                all.push(Stretch { from: point.at, to: point.at, peak: *point, score, points: 1 });
            }
            Some(_) | None => {}
        }
        open = stands_out;
    }
    all.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.from.cmp(&b.from)));
    all
}

fn row(found: &Found<'_>) -> Value {
    let mut row = about(found.series);
    row.insert("score".to_owned(), number(found.score));
    row.insert("usual".to_owned(), number(found.usual));
    row.insert("outliers".to_owned(), count(found.stretches.iter().map(|s| s.points as u64).sum()));
    row.insert("stretches".to_owned(), count(found.stretches.len() as u64));
    let worst = found.stretches.iter().take(MAX_STRETCHES).map(|s| {
        Value::map([
            ("since", time(s.from)),
            ("since_unix", seconds(s.from)),
            ("until", time(s.to)),
            ("points", count(s.points as u64)),
            ("peak", number(s.peak.value)),
            ("peak_at", time(s.peak.at)),
            ("direction", Value::from(if s.peak.value >= found.usual { "up" } else { "down" })),
            ("score", number(s.score)),
        ])
    });
    row.insert("worst".to_owned(), Value::list(worst));
    Value::map(row)
}
