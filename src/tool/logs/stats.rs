//! Is that more than chance? Poisson rates, ranks, shares.

/// How sure it is that a rate changed: the difference of two Poisson counts over `span` and `base_span` seconds in standard deviations,
/// by Anscombe's square root, which holds for small counts too.
pub(super) fn rate_z(count: u64, span: f64, base: u64, base_span: f64) -> f64 {
    if span <= 0.0 || base_span <= 0.0 {
        return 0.0;
    }
    let ratio = span / base_span;
    let root = |n: f64| (n + 0.375).sqrt();
    2.0 * (root(count as f64) - root(base as f64) * ratio.sqrt()) / (1.0 + ratio).sqrt()
}

/// Minus the decimal logarithm of the chance to see `count` or more events where `expected` are.
pub(super) fn surprise(count: u64, expected: f64) -> f64 {
    if count == 0 || expected <= 0.0 {
        return 0.0;
    }
    let n = count as f64;
    if n <= expected {
        return 0.0;
    }
    // The tail is its first term times a series that falls faster than a geometric one.
    let first = n * expected.ln() - expected - ln_factorial(count);
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..200 {
        term *= expected / (n + f64::from(k));
        sum += term;
        if term < 1e-12 {
            break;
        }
    }
    (-(first + sum.ln()) / std::f64::consts::LN_10).max(0.0)
}

fn ln_factorial(n: u64) -> f64 {
    if n < 32 {
        return (2..=n).map(|k| (k as f64).ln()).sum();
    }
    // Stirling's series.
    let x = n as f64 + 1.0;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + 1.0 / (12.0 * x)
}

/// The ranks of values from 1, equal ones sharing their mean rank.
pub(super) fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut at = 0;
    while at < order.len() {
        let mut end = at + 1;
        while end < order.len() && values[order[end]] == values[order[at]] {
            end += 1;
        }
        let mean = (at + end + 1) as f64 / 2.0;
        for index in &order[at..end] {
            ranks[*index] = mean;
        }
        at = end;
    }
    ranks
}

/// How sure it is that values after a split are larger than those before (Mann, Whitney), for every split of `values` from `min` on each side:
/// index and standard deviations of the best split that `allowed` lets stand.
pub(super) fn best_rise(values: &[f64], min: usize, allowed: impl Fn(usize) -> bool) -> Option<(usize, f64)> {
    let n = values.len();
    let ranks = ranks(values);
    let total: f64 = ranks.iter().sum();
    let mut before = 0.0;
    let mut best: Option<(usize, f64)> = None;
    for split in 1..n {
        before += ranks[split - 1];
        let after = n - split;
        if split < min || after < min || !allowed(split) {
            continue;
        }
        let (a, b) = (after as f64, split as f64);
        let larger = (total - before - a * (a + 1.0) / 2.0) / (a * b);
        let z = (larger - 0.5) * (12.0 * a * b / (n as f64 + 1.0)).sqrt();
        if best.is_none_or(|(_, most)| z > most) {
            best = Some((split, z));
        }
    }
    best
}

/// A change of a share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ShareChange {
    /// The first index after the change.
    pub split: usize,
    /// The share before.
    pub before: f64,
    /// The share after.
    pub after: f64,
    /// Standard deviations of the difference.
    pub z: f64,
}

/// The split where the share of `true` changes most surely, with `min` on each side, that `allowed` lets stand.
pub(super) fn best_share_change(hits: &[bool], min: usize, allowed: impl Fn(usize) -> bool) -> Option<ShareChange> {
    let n = hits.len();
    let total = hits.iter().filter(|hit| **hit).count() as f64;
    let overall = (total + 1.0) / (n as f64 + 2.0);
    let mut seen = 0.0;
    let mut best: Option<ShareChange> = None;
    for split in 1..n {
        seen += f64::from(u8::from(hits[split - 1]));
        if split < min || n - split < min || !allowed(split) {
            continue;
        }
        let (a, b) = (split as f64, (n - split) as f64);
        let (before, after) = ((seen + 0.5) / (a + 1.0), (total - seen + 0.5) / (b + 1.0));
        let z = (after - before) / (overall * (1.0 - overall) * (1.0 / a + 1.0 / b)).sqrt();
        if best.is_none_or(|found| z.abs() > found.z.abs()) {
            best = Some(ShareChange { split, before, after, z });
        }
    }
    best
}

/// The middle of values; 0 for none.
pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match n {
        0 => 0.0,
        _ if n % 2 == 1 => values[n / 2],
        _ => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_stays_is_no_surprise_and_one_that_jumps_is() {
        assert!(rate_z(100, 60.0, 1000, 600.0).abs() < 0.1);
        assert!(rate_z(200, 60.0, 1000, 600.0) > 5.0);
        assert!(rate_z(0, 60.0, 1000, 600.0) < -10.0);
        assert_eq!(rate_z(5, 0.0, 1, 1.0), 0.0);
    }

    #[test]
    fn the_tail_of_poisson_is_right() {
        // P(X >= 5 | 1) = 0.0036598, P(X >= 10 | 10) = 0.5420703 (not a surprise by definition here), P(X >= 40 | 10) = 7.6e-13.
        assert!((surprise(5, 1.0) - 0.003_659_8f64.log10().abs()).abs() < 1e-4);
        assert_eq!(surprise(10, 10.0), 0.0);
        assert!((surprise(40, 10.0) - 12.1).abs() < 0.2, "{}", surprise(40, 10.0));
        assert!(surprise(100_000, 1.0).is_finite());
        assert_eq!(surprise(0, 1.0), 0.0);
    }

    #[test]
    fn equal_values_share_a_rank() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0]), [2.5, 1.0, 2.5]);
    }

    #[test]
    fn the_split_is_where_values_rise() {
        let values = [1.0, 2.0, 1.5, 1.2, 9.0, 8.0, 9.5];
        assert_eq!(best_rise(&values, 3, |_| true).map(|(split, _)| split), Some(4));
        assert_eq!(best_rise(&values, 4, |_| true), None);
        assert_eq!(best_rise(&[], 3, |_| true), None);
    }

    #[test]
    fn the_split_is_where_a_share_changes() {
        let change = best_share_change(&[true, true, true, true, false, false, false], 3, |_| true).expect("a change");
        assert_eq!(change.split, 4);
        assert!(change.z < -2.0 && change.before > 0.8 && change.after < 0.2);
    }
}
