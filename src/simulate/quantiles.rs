//! How is something distributed? [`Quantiles`] to draw from, declared or fitted to what was seen; [`Spread`] to print.

use serde::Serialize;

use super::random::Random;

/// Values that are kept of what was seen; more are thinned out evenly.
const KEPT: usize = 2_000;

/// A distribution by its quantiles: shares from 0 to 1 with the value that so many stay below, straight lines between.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantiles(Vec<(f64, f64)>);

impl Quantiles {
    /// By the values at 10, 50, 90 and 99 %; the smallest is half of the first, the largest twice the last.
    pub fn of(p10: f64, p50: f64, p90: f64, p99: f64) -> Self {
        Self(vec![(0.0, p10 / 2.0), (0.1, p10), (0.5, p50), (0.9, p90), (0.99, p99), (1.0, p99 * 2.0)])
    }

    /// Always that value.
    pub fn just(value: f64) -> Self {
        Self(vec![(0.0, value), (1.0, value)])
    }

    /// The empirical distribution of what was seen; `None` of nothing.
    pub fn fitted(mut seen: Vec<f64>) -> Option<Self> {
        seen.retain(|value| value.is_finite());
        seen.sort_by(f64::total_cmp);
        let step = seen.len().div_ceil(KEPT).max(1);
        let last = seen.last().copied()?;
        let mut kept: Vec<f64> = seen.into_iter().step_by(step).collect();
        if step > 1 {
            kept.push(last);
        }
        let width = (kept.len().max(2) - 1) as f64;
        let mut points: Vec<(f64, f64)> = kept.iter().zip(0_u32..).map(|(value, ix)| (f64::from(ix) / width, *value)).collect();
        if points.len() == 1 {
            points.push((1.0, points[0].1));
        }
        Some(Self(points))
    }

    /// The value that a share stays below.
    pub fn at(&self, share: f64) -> f64 {
        let after = self.0.partition_point(|(known, _)| *known < share);
        match (after.checked_sub(1).and_then(|ix| self.0.get(ix)), self.0.get(after)) {
            (Some((s0, v0)), Some((s1, v1))) if s1 > s0 => v0 + (v1 - v0) * (share - s0) / (s1 - s0),
            (_, Some((_, value))) | (Some((_, value)), None) => *value,
            (None, None) => 0.0,
        }
    }

    pub(super) fn draw(&self, random: &mut Random) -> f64 {
        self.at(random.share())
    }
}

/// What came of many runs, in one measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// What a tenth of the runs stays below.
    pub p10: f64,
    /// The median.
    pub p50: f64,
    /// What nine tenths stay below.
    pub p90: f64,
    /// What 99 % stay below.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of these values; all 0 of none.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let Some(max) = sorted.last().copied() else { return Self::default() };
        // The nearest rank: a value that was seen.
        let at = |share: f64| sorted[(((share * sorted.len() as f64).ceil() as usize).max(1) - 1).min(sorted.len() - 1)];
        let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
        Self { mean, p10: at(0.1), p50: at(0.5), p90: at(0.9), p99: at(0.99), max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_on_the_line_between_those_that_are_known() {
        let declared = Quantiles::of(10.0, 20.0, 100.0, 200.0);
        assert_eq!(
            [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0].map(|s| declared.at(s).round()),
            [5.0, 10.0, 15.0, 20.0, 60.0, 100.0, 200.0, 400.0]
        );
        let seen = Quantiles::fitted(vec![4.0, 1.0, 3.0, 2.0, f64::NAN]).unwrap();
        assert_eq!([0.0, 0.5, 1.0].map(|s| seen.at(s)), [1.0, 2.5, 4.0]);
        assert_eq!(Quantiles::fitted(vec![7.0]).unwrap().at(0.4), 7.0);
        assert_eq!(Quantiles::fitted(Vec::new()), None);
    }

    #[test]
    fn many_values_are_thinned_out_and_keep_their_ends() {
        let seen = Quantiles::fitted((0..10_001).map(f64::from).collect()).unwrap();
        assert_eq!((seen.at(0.0), seen.at(1.0)), (0.0, 10_000.0));
        assert!((seen.at(0.5) - 5_000.0).abs() < 20.0, "{}", seen.at(0.5));
    }

    #[test]
    fn a_spread_has_values_that_were_seen() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        let spread = Spread::of(&values);
        assert_eq!(
            (spread.p10, spread.p50, spread.p90, spread.p99, spread.max, spread.mean),
            (10.0, 50.0, 90.0, 99.0, 100.0, 50.5)
        );
        assert_eq!(Spread::of(&[]), Spread::default());
    }
}
