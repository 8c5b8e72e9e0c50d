//! Did anything change at all, and when, if nobody says where to look? [`scan`] finds the worst run of every series.
//!
//! An incident begins inside the data: a series that is bad from its first sample on did not become bad.

use std::{collections::BTreeMap, ops::Range};

use super::{
    changes::{Against, Change, Unjudged, floors, position_of_max},
    score::{self, Tails, Turned, Usual},
};
use crate::tool::{
    Stop,
    metrics::{
        error::MetricsError,
        kind::{Kind, Scope},
        series::{Point, Series},
        stats,
    },
};

/// How many samples in a row make a change.
const RUN: usize = 3;
/// The least samples of a series that is scanned.
const LEAST_SAMPLES: usize = 24;
/// From so many samples on, a change is too short to widen its own scale.
const LONG: usize = 100;
/// The least scale as a share of the metric's usual level.
const FLOOR_SHARE: f64 = 0.02;
/// The samples of normal life before a change: so many, and this share.
const LEAD: usize = 8;
const LEAD_SHARE: f64 = 0.05;

struct Scanned<'a> {
    series: &'a Series,
    turned: Turned,
    values: Vec<f64>,
    usual: Usual,
    z: Vec<f64>,
    runs: Vec<f64>,
}

/// The worst run of every series against the series itself, the most unusual first. Series of machines, and what a service
/// sees of those it calls, are left out.
///
/// # Errors
/// The call was stopped.
pub fn scan<'a>(series: &'a [Series], hosts: bool, stop: &Stop) -> Result<(Vec<Change<'a>>, Unjudged), MetricsError> {
    let mut unjudged = Unjudged::default();
    let mut candidates = Vec::new();
    for one in series {
        let outbound_latency = one.class.scope == Scope::Outbound && one.class.kind == Kind::Latency;
        if one.class.scope == Scope::Host && !hosts {
            unjudged.hosts += 1;
        } else if one.points.len() < LEAST_SAMPLES {
            unjudged.short += 1;
        } else if !outbound_latency {
            let turned = Turned::of(one.class, one.points.iter().map(|p| p.value));
            let values: Vec<f64> = one.points.iter().map(|p| turned.turn(p.value)).collect();
            candidates.push((one, turned, values));
        }
    }
    let floors = floors(candidates.iter().map(|(one, _, values)| (*one, stats::median(values))), FLOOR_SHARE);
    let mut scanned = Vec::with_capacity(candidates.len());
    let mut pools: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (one, turned, values) in candidates {
        stop.check()?;
        let floor = floors.get(&one.id.metric).copied().unwrap_or(0.0);
        let usual = Usual::of(&values, floor, if values.len() >= LONG { Tails::Kept } else { Tails::Cut });
        let z: Vec<f64> = values.iter().map(|value| usual.z(*value, turned.one_sided)).collect();
        let runs = score::runs(&z, RUN);
        pools.entry(&one.id.metric).or_default().extend_from_slice(&runs);
        scanned.push(Scanned { series: one, turned, values, usual, z, runs });
    }
    let levels: BTreeMap<&str, f64> = pools.iter().map(|(metric, pool)| (*metric, score::normal_level(pool))).collect();
    let mut found = Vec::new();
    for one in &scanned {
        stop.check()?;
        let metric = one.series.id.metric.as_ref();
        let pool = pools.get(metric).map(Vec::as_slice).unwrap_or_default();
        let pooled = levels.get(metric).copied().unwrap_or(score::LEAST_Z);
        found.extend(worst_run(one).and_then(|(worst, first)| {
            let level = if weighs(one, worst, pool) { score::normal_level(&without(one, worst, &scanned)) } else { pooled };
            change(one, worst, first, level)
        }));
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.series.id.cmp(&b.series.id)));
    Ok((found, unjudged))
}

/// The worst run, and where the stretch that it belongs to begins; `None` when that was before the data.
fn worst_run(one: &Scanned<'_>) -> Option<(usize, usize)> {
    let runs = &one.runs;
    let lead = LEAD.max((LEAD_SHARE * one.z.len() as f64) as usize);
    let worst = position_of_max(runs);
    let first = begin(runs, worst, 0);
    if first >= lead {
        return Some((worst, first));
    }
    // Bad when the data begins: what counts is the worst that came later, if it did begin later.
    let worst = lead + position_of_max(runs.get(lead..).filter(|later| !later.is_empty())?);
    let first = begin(runs, worst, lead);
    if first <= lead && runs[lead] >= score::onset_threshold(runs[worst]) { None } else { Some((worst, first)) }
}

/// The first of the runs before `worst` that belong to the same stretch.
fn begin(runs: &[f64], worst: usize, not_before: usize) -> usize {
    let threshold = score::onset_threshold(runs[worst]);
    let mut at = worst;
    while at > not_before && runs[at - 1] >= threshold {
        at -= 1;
    }
    at
}

/// The runs of the stretch that `worst` belongs to.
fn stretch(runs: &[f64], worst: usize) -> Range<usize> {
    let threshold = score::onset_threshold(runs[worst]);
    let end = (worst + 1..runs.len()).find(|i| runs[*i] < threshold).unwrap_or(runs.len());
    begin(runs, worst, 0)..end
}

/// Whether the stretch is so large a part of the metric's pool that it would be its own measure of what is normal.
fn weighs(one: &Scanned<'_>, worst: usize, pool: &[f64]) -> bool {
    stretch(&one.runs, worst).len() as f64 >= (1.0 - score::NORMAL_QUANTILE) * pool.len() as f64
}

/// The metric's pool without the stretch.
fn without(one: &Scanned<'_>, worst: usize, scanned: &[Scanned<'_>]) -> Vec<f64> {
    let own = stretch(&one.runs, worst);
    let others =
        scanned.iter().filter(|other| other.series.id.metric == one.series.id.metric && other.series.id != one.series.id);
    let mut pool: Vec<f64> = others.flat_map(|other| other.runs.iter().copied()).collect();
    pool.extend(one.runs[..own.start].iter().chain(&one.runs[own.end..]));
    pool
}

fn change<'a>(one: &Scanned<'a>, worst: usize, first: usize, normal_z: f64) -> Option<Change<'a>> {
    let z = one.runs[worst].max(0.0);
    let threshold = score::onset_threshold(z);
    let length = one.z[first..].iter().take_while(|z| **z >= threshold).count().max(RUN);
    let level: Vec<f64> = one.values.iter().skip(first).take(length).copied().collect();
    let after = stats::median(&level);
    let at = |i: usize| one.series.points.get(i).map(|p: &Point| p.at);
    Some(Change {
        series: one.series,
        score: score::score(z, normal_z),
        z,
        normal_z,
        onset: at(first)?,
        last_good: first.checked_sub(1).and_then(at),
        before: one.turned.back(one.usual.centre),
        after: one.turned.back(after),
        worse_by: after - one.usual.centre,
        hits: level.len(),
        samples: one.values.len(),
        reference: (one.values.len(), Against::Itself),
    })
}
