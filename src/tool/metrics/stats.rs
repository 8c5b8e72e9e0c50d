//! How are numbers summed up? Medians, quantiles and robust scales of finite samples.
//!
//! Quantiles interpolate linearly between order statistics (type 7 of Hyndman and Fan), as numpy and R do.

/// Makes a median absolute deviation comparable to a standard deviation of normal data.
pub const MAD_TO_SIGMA: f64 = 1.4826;
/// The distance between the 5th and the 95th percentile of normal data, in standard deviations.
pub const TAILS_TO_SIGMA: f64 = 3.29;

/// Sorts samples; they are finite.
pub fn sort(samples: &mut [f64]) {
    samples.sort_unstable_by(f64::total_cmp);
}

/// The quantile `q` (0 to 1) of sorted samples; 0 of none.
pub fn quantile_sorted(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = q.clamp(0.0, 1.0) * last as f64;
    let below = (place.floor() as usize).min(last);
    let above = (below + 1).min(last);
    let share = place - below as f64;
    sorted[below] + (sorted[above] - sorted[below]) * share
}

/// The quantile `q` (0 to 1) of samples in any order; 0 of none.
pub fn quantile(samples: &[f64], q: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sort(&mut sorted);
    quantile_sorted(&sorted, q)
}

/// The middle value; the mean of the two middle ones of an even number; 0 of none.
pub fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

/// The mean; 0 of none.
pub fn mean(samples: &[f64]) -> f64 {
    if samples.is_empty() { 0.0 } else { samples.iter().sum::<f64>() / samples.len() as f64 }
}

/// The standard deviation of a sample (n − 1); 0 of fewer than two.
pub fn stddev(samples: &[f64]) -> f64 {
    if samples.len() < 2 {
        return 0.0;
    }
    let centre = mean(samples);
    (samples.iter().map(|x| (x - centre).powi(2)).sum::<f64>() / (samples.len() - 1) as f64).sqrt()
}

/// The median absolute deviation from `centre`, scaled to a standard deviation.
pub fn mad(samples: &[f64], centre: f64) -> f64 {
    let distances: Vec<f64> = samples.iter().map(|x| (x - centre).abs()).collect();
    MAD_TO_SIGMA * median(&distances)
}
