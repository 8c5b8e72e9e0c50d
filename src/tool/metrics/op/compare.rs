//! How does a window differ from a baseline? Level, spread and tail of both, ranked by how far the level moved.

use super::{
    Rows, about,
    changes::{Baselines, floors},
    count, number,
    score::{RELATIVE_FLOOR, Tails, Usual},
};
use crate::{
    tool::metrics::{
        series::{Point, Series},
        stats,
    },
    value::{Map, Value},
};

/// The fewest samples of either side.
const LEAST: usize = 2;

/// Every series that both sides have, the largest move of the median first, in robust standard deviations of the baseline.
pub fn compare(series: &[Series], baseline: &[Series], min_score: f64, limit: usize) -> (Rows, usize) {
    let baselines = Baselines::new(baseline);
    let mut pairs = Vec::new();
    let mut alone = 0usize;
    for one in series {
        match baselines.points(one) {
            Some(normal) if normal.len() >= LEAST && one.points.len() >= LEAST => {
                pairs.push((one, values(&normal), one.values()))
            }
            Some(_) | None => alone += 1,
        }
    }
    let floors = floors(pairs.iter().map(|(one, normal, _)| (*one, stats::median(normal))), RELATIVE_FLOOR);
    let mut ranked: Vec<(f64, &Series, Map)> = pairs
        .iter()
        .map(|(one, normal, now)| {
            let floor = floors.get(&one.id.metric).copied().unwrap_or(0.0);
            let usual = Usual::of(normal, floor, Tails::Kept);
            let moved = stats::median(now) - usual.centre;
            let mut row = about(one);
            row.insert("score".to_owned(), number(moved.abs() / usual.scale));
            row.insert("change".to_owned(), number(moved));
            if usual.centre != 0.0 {
                row.insert("ratio".to_owned(), number(stats::median(now) / usual.centre));
            }
            row.insert("now".to_owned(), summary(now));
            row.insert("normal".to_owned(), summary(normal));
            (moved.abs() / usual.scale, *one, row)
        })
        .filter(|(score, _, _)| *score >= min_score)
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.id.cmp(&b.1.id)));
    (Rows::cut(ranked.into_iter().map(|(_, _, row)| Value::map(row)).collect(), limit), alone)
}

fn values(points: &[Point]) -> Vec<f64> {
    points.iter().map(|p| p.value).collect()
}

fn summary(values: &[f64]) -> Value {
    let mut sorted = values.to_vec();
    stats::sort(&mut sorted);
    Value::map([
        ("count", count(sorted.len() as u64)),
        ("mean", number(stats::mean(&sorted))),
        ("median", number(stats::quantile_sorted(&sorted, 0.5))),
        ("p95", number(stats::quantile_sorted(&sorted, 0.95))),
        ("min", number(stats::quantile_sorted(&sorted, 0.0))),
        ("max", number(stats::quantile_sorted(&sorted, 1.0))),
        ("sum", number(sorted.iter().sum())),
    ])
}
