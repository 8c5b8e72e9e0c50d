//! How unusual is a stretch of samples? Robust z-scores with floors, and what normal times look like under the same measure.
//!
//! A score compares the worst sustained z of a window with the 99th percentile of the same statistic over equally long
//! windows of normal data, pooled over all series of a metric: 1 is a window such as comes once in a hundred. A metric
//! that is wild in normal times thereby stops to matter, whatever its unit.

use crate::tool::metrics::{
    kind::{Bad, Class, Kind},
    stats::{self, TAILS_TO_SIGMA},
};

/// The least scale as a share of the usual level: smaller changes have no practical size.
pub const RELATIVE_FLOOR: f64 = 0.05;
/// The least scale of a fraction of failures.
pub const FRACTION_FLOOR: f64 = 0.005;
/// The least scale of all.
const TINY: f64 = 1e-12;
/// A z below this is never a change.
pub const LEAST_Z: f64 = 3.0;
/// The share of the worst z from which a sample belongs to the change.
pub const ONSET_SHARE: f64 = 0.25;
/// A window of one sample counts less, because nothing confirms it.
const SINGLE_WEIGHT: f64 = 0.7;
/// The most normal windows of one series that are looked at.
const NORMAL_WINDOWS: usize = 40;
/// From so many reference samples on, leaving a window out changes nothing.
const LONG_REFERENCE: usize = 100;
/// The reference samples that must remain beside a window left out.
const LEAST_REFERENCE: usize = 8;
/// The percentile of normal windows that a score of 1 stands for.
pub const NORMAL_QUANTILE: f64 = 0.99;

/// What is usual: a centre, and a scale that makes distances from it comparable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usual {
    /// The median.
    pub centre: f64,
    /// The robust standard deviation, not below its floors.
    pub scale: f64,
}

/// Which samples a scale trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tails {
    /// All but the outer 5 %: heavy tails are normal where they are.
    Kept,
    /// The middle 60 %: for short series that may hold the change itself.
    Cut,
}

impl Usual {
    /// What is usual among reference samples. `floor` is the least scale in the metric's own unit.
    pub fn of(reference: &[f64], floor: f64, tails: Tails) -> Self {
        let mut sorted = reference.to_vec();
        stats::sort(&mut sorted);
        let centre = stats::quantile_sorted(&sorted, 0.5);
        let between = |low: f64, high: f64| stats::quantile_sorted(&sorted, high) - stats::quantile_sorted(&sorted, low);
        // The middle 60 % of normal data is narrower than its middle 90 % by this factor.
        let spread = match tails {
            Tails::Kept => between(0.05, 0.95),
            Tails::Cut => between(0.2, 0.8) * 1.645 / 0.8416,
        };
        let scale =
            stats::mad(&sorted, centre).max(spread / TAILS_TO_SIGMA).max(RELATIVE_FLOOR * centre.abs()).max(floor).max(TINY);
        Self { centre, scale }
    }

    /// How many scales `value` is off, in the bad direction where there is one.
    pub fn z(self, value: f64, one_sided: bool) -> f64 {
        let z = (value - self.centre) / self.scale;
        if one_sided { z } else { z.abs() }
    }
}

/// Turns a metric's values so that up is bad: the share of what does not succeed for availability, the value itself otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turned {
    /// What a full success is; `None` for values that stay as they are.
    unit: Option<f64>,
    /// Whether only up is bad.
    pub one_sided: bool,
}

impl Turned {
    /// For a metric of that class, given all of its values.
    pub fn of(class: Class, values: impl Iterator<Item = f64>) -> Self {
        let one_sided = class.bad != Bad::Either;
        if class.kind != Kind::Availability {
            return Self { unit: None, one_sided };
        }
        let most = values.fold(f64::NEG_INFINITY, f64::max);
        let unit = if most <= 1.0001 {
            1.0
        } else if most <= 100.01 {
            100.0
        } else {
            most
        };
        Self { unit: Some(unit), one_sided }
    }

    /// The turned value.
    pub fn turn(self, value: f64) -> f64 {
        self.unit.map_or(value, |unit| 1.0 - value / unit)
    }

    /// The value itself again.
    pub fn back(self, turned: f64) -> f64 {
        self.unit.map_or(turned, |unit| (1.0 - turned) * unit)
    }
}

/// The worst z that lasted: the largest of the smallest among as many samples in a row as make a change and not a blip.
pub fn sustained(z: &[f64]) -> f64 {
    let run = match z.len() {
        0 => return 0.0,
        1 => return z[0] * SINGLE_WEIGHT,
        2..=5 => 2,
        _ => 3,
    };
    runs(z, run).into_iter().fold(f64::NEG_INFINITY, f64::max)
}

/// The smallest of every `length` in a row.
pub fn runs(z: &[f64], length: usize) -> Vec<f64> {
    z.windows(length).map(|run| run.iter().copied().fold(f64::INFINITY, f64::min)).collect()
}

/// [`sustained`] of windows of `length` samples inside the reference, each against all other samples of it.
pub fn normal(reference: &[f64], length: usize, one_sided: bool, floor: f64) -> Vec<f64> {
    let count = reference.len();
    if length == 0 || count < length + LEAST_REFERENCE {
        return Vec::new();
    }
    let whole = (count > LONG_REFERENCE).then(|| Usual::of(reference, floor, Tails::Kept));
    let mut rest = Vec::with_capacity(count);
    starts(count - length)
        .into_iter()
        .map(|start| {
            let window = &reference[start..start + length];
            let usual = whole.unwrap_or_else(|| {
                rest.clear();
                rest.extend_from_slice(&reference[..start]);
                rest.extend_from_slice(&reference[start + length..]);
                Usual::of(&rest, floor, Tails::Kept)
            });
            let z: Vec<f64> = window.iter().map(|value| usual.z(*value, one_sided)).collect();
            sustained(&z)
        })
        .collect()
}

/// What normal windows of a metric reach: never less than [`LEAST_Z`].
pub fn normal_level(pooled: &[f64]) -> f64 {
    stats::quantile(pooled, NORMAL_QUANTILE).max(LEAST_Z)
}

/// The score of a sustained z beside what is normal.
pub fn score(z: f64, normal: f64) -> f64 {
    z.max(0.0).ln_1p() / normal.ln_1p()
}

/// The z from which a sample belongs to a change whose worst is `z`.
pub fn onset_threshold(z: f64) -> f64 {
    LEAST_Z.max(ONSET_SHARE * z)
}

/// At most [`NORMAL_WINDOWS`] places from 0 to `last`, evenly apart.
fn starts(last: usize) -> Vec<usize> {
    let count = NORMAL_WINDOWS.min(last + 1);
    if count == 1 {
        return vec![0];
    }
    let mut starts: Vec<usize> = (0..count).map(|i| (i as f64 * (last as f64 / (count - 1) as f64)) as usize).collect();
    starts.dedup();
    starts
}
