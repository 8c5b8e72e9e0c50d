//! Which series changed in a window, when, and by how much? [`changes`] against a baseline or the series' own earlier part.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use super::{
    Rows, about, count, number,
    score::{self, FRACTION_FLOOR, RELATIVE_FLOOR, Tails, Turned, Usual},
    seconds, time,
};
use crate::{
    tool::{
        Stop,
        metrics::{
            error::MetricsError,
            kind::{Kind, Scope},
            series::{Point, Series},
            stats,
        },
    },
    value::{Map, Value},
};

/// The reference samples without which nothing is judged.
const LEAST_REFERENCE: usize = 8;
/// The samples that a baseline must have to stand for a series.
const LEAST_BASELINE: usize = 20;
/// The most samples of a window that its normal counterparts have.
const LONGEST_NORMAL: usize = 8;

/// What is asked of [`changes`].
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Begin of the window.
    pub from: i64,
    /// End of the window.
    pub to: i64,
    /// Where the series' own normal part ends.
    pub before: i64,
    /// Whether metrics of machines are judged too.
    pub hosts: bool,
}

/// A change, or the lack of one, of one series.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// Which series.
    pub series: &'a Series,
    /// How unusual: 1 is once in a hundred normal windows.
    pub score: f64,
    /// The worst sustained robust z.
    pub z: f64,
    /// What normal windows of this metric reach.
    pub normal_z: f64,
    /// The first sample that belongs to the change.
    pub onset: i64,
    /// The sample of the window before it.
    pub last_good: Option<i64>,
    /// The usual level.
    pub before: f64,
    /// The level of the change.
    pub after: f64,
    /// By how much it is worse: as a fraction of failures for availability, else in the metric's unit.
    pub worse_by: f64,
    /// How many samples belong to the change.
    pub hits: usize,
    /// How many samples the window has.
    pub samples: usize,
    /// How many samples it was compared with, and whether they are a baseline's.
    pub reference: (usize, Against),
}

/// What a series was compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// A baseline.
    Baseline,
    /// Its own earlier part.
    Earlier,
    /// All of itself.
    Itself,
}

/// Series that could not be judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unjudged {
    /// Those of machines.
    pub hosts: usize,
    /// Without samples in the window.
    pub outside: usize,
    /// With too few samples to compare with.
    pub short: usize,
}

struct Judged<'a> {
    series: &'a Series,
    turned: Turned,
    reference: Vec<f64>,
    earlier: Vec<f64>,
    against: Against,
    window: Vec<Point>,
}

/// Every series of the window beside its reference, the most unusual first.
///
/// # Errors
/// The call was stopped.
pub fn changes<'a>(
    series: &'a [Series],
    baseline: &[Series],
    question: Question,
    stop: &Stop,
) -> Result<(Vec<Change<'a>>, Unjudged), MetricsError> {
    let baselines = Baselines::new(baseline);
    let mut unjudged = Unjudged::default();
    let judged: Vec<Judged<'a>> = series.iter().filter_map(|one| prepare(one, &baselines, question, &mut unjudged)).collect();
    let floors = floors(judged.iter().map(|j| (j.series, stats::median(&j.reference))), RELATIVE_FLOOR);
    let floor_of = |series: &Series| floors.get(&series.id.metric).copied().unwrap_or(0.0);

    let mut pools: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for one in &judged {
        stop.check()?;
        let length = one.window.len().min(LONGEST_NORMAL);
        let normal = score::normal(&one.reference, length, one.turned.one_sided, floor_of(one.series));
        pools.entry(&one.series.id.metric).or_default().extend(normal);
    }
    let levels: BTreeMap<&str, f64> = pools.into_iter().map(|(metric, pool)| (metric, score::normal_level(&pool))).collect();

    let mut found = Vec::with_capacity(judged.len());
    for one in &judged {
        stop.check()?;
        let level = levels.get(one.series.id.metric.as_ref()).copied().unwrap_or(score::LEAST_Z);
        found.push(judge(one, floor_of(one.series), level));
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.series.id.cmp(&b.series.id)));
    Ok((found, unjudged))
}

/// The least scale of every metric: a share of the level that its series usually have, so that a series near zero is not
/// measured by its own noise.
pub fn floors<'a>(centres: impl Iterator<Item = (&'a Series, f64)>, share: f64) -> BTreeMap<Arc<str>, f64> {
    let mut pooled: BTreeMap<Arc<str>, (bool, Vec<f64>)> = BTreeMap::new();
    for (series, centre) in centres {
        let entry = pooled.entry(series.id.metric.clone()).or_default();
        entry.0 = series.class.kind == Kind::Availability;
        entry.1.push(centre.abs());
    }
    pooled
        .into_iter()
        .map(|(metric, (fraction, centres))| (metric, if fraction { FRACTION_FLOOR } else { share * stats::median(&centres) }))
        .collect()
}

/// The rows of an answer.
pub fn rows(found: &[Change<'_>], min_score: f64, limit: usize) -> Rows {
    let good: Vec<&Change<'_>> = found.iter().filter(|change| change.score >= min_score).collect();
    let rows = good.iter().take(limit).map(|change| Value::map(row(change))).collect::<Vec<_>>();
    Rows { left_out: good.len() - rows.len(), rows }
}

fn row(change: &Change<'_>) -> Map {
    let mut row = about(change.series);
    let mut put = |key: &str, value: Value| row.insert(key.to_owned(), value);
    put("score", number(change.score));
    put("z", number(change.z));
    put("normal_z", number(change.normal_z));
    put("onset", time(change.onset));
    put("onset_unix", seconds(change.onset));
    if let Some(at) = change.last_good {
        put("last_good", time(at));
        put("last_good_unix", seconds(at));
    }
    put("before", number(change.before));
    put("after", number(change.after));
    put("direction", Value::from(if change.after >= change.before { "up" } else { "down" }));
    put("worse_by", number(change.worse_by));
    put("hits", count(change.hits as u64));
    put("samples", count(change.samples as u64));
    let (reference, against) = change.reference;
    put("reference_samples", count(reference as u64));
    put("against", Value::from(against.name()));
    if change.series.counter {
        put("as_rate", Value::Bool(true));
    }
    row
}

impl Against {
    fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Earlier => "earlier",
            Self::Itself => "itself",
        }
    }
}

/// Baseline series by what they are compared with.
pub struct Baselines<'a> {
    by_name: BTreeMap<(&'a str, &'a str), Vec<&'a Series>>,
}

impl<'a> Baselines<'a> {
    /// An index of them.
    pub fn new(series: &'a [Series]) -> Self {
        let mut by_name: BTreeMap<(&str, &str), Vec<&Series>> = BTreeMap::new();
        for one in series {
            by_name.entry((&one.id.service, &one.id.metric)).or_default().push(one);
        }
        Self { by_name }
    }

    /// The normal samples of a series: of the same labels and instance, else of the same labels, else of its service and metric.
    pub fn points(&self, series: &Series) -> Option<Cow<'a, [Point]>> {
        let all = self.by_name.get(&(&*series.id.service, &*series.id.metric))?;
        let labelled: Vec<&&Series> = all.iter().filter(|b| b.id.labels == series.id.labels).collect();
        if let Some(same) = labelled.iter().find(|b| b.id.instance == series.id.instance) {
            return Some(Cow::Borrowed(&same.points));
        }
        let pooled: Vec<&Series> = if labelled.is_empty() { all.clone() } else { labelled.into_iter().copied().collect() };
        if let [one] = pooled.as_slice() {
            return Some(Cow::Borrowed(&one.points));
        }
        let mut points: Vec<Point> = pooled.iter().flat_map(|b| b.points.iter().copied()).collect();
        points.sort_by_key(|p| p.at);
        Some(Cow::Owned(points))
    }
}

fn prepare<'a>(series: &'a Series, baselines: &Baselines<'_>, question: Question, unjudged: &mut Unjudged) -> Option<Judged<'a>> {
    if series.class.scope == Scope::Host && !question.hosts {
        unjudged.hosts += 1;
        return None;
    }
    let window = series.within(Some(question.from), Some(question.to)).to_vec();
    if window.is_empty() {
        unjudged.outside += 1;
        return None;
    }
    let baseline = baselines.points(series);
    let normal = baseline.as_deref().unwrap_or_default();
    let turned = Turned::of(series.class, series.points.iter().chain(normal).map(|p| p.value));
    let turn = |points: &[Point]| points.iter().map(|p| turned.turn(p.value)).collect::<Vec<f64>>();
    let earlier = turn(&series.points[..series.points.partition_point(|p| p.at < question.before)]);
    let (reference, against) =
        if normal.len() >= LEAST_BASELINE { (turn(normal), Against::Baseline) } else { (earlier.clone(), Against::Earlier) };
    if reference.len() < LEAST_REFERENCE {
        unjudged.short += 1;
        return None;
    }
    Some(Judged { series, turned, reference, earlier, against, window })
}

fn judge<'a>(one: &Judged<'a>, floor: f64, normal_z: f64) -> Change<'a> {
    let usual = Usual::of(&one.reference, floor, Tails::Kept);
    let sided = one.turned.one_sided;
    let values: Vec<f64> = one.window.iter().map(|p| one.turned.turn(p.value)).collect();
    let mut z: Vec<f64> = values.iter().map(|value| usual.z(*value, sided)).collect();
    if one.against == Against::Baseline && !one.earlier.is_empty() {
        // A baseline from another time may lie elsewhere: a level that the series had before is forgiven.
        let least = one.earlier.iter().copied().fold(f64::INFINITY, f64::min);
        let own = Usual { centre: if sided { least } else { stats::median(&one.earlier) }, scale: usual.scale };
        for (z, value) in z.iter_mut().zip(&values) {
            *z = z.min(own.z(*value, sided));
        }
    }
    let worst = score::sustained(&z).max(0.0);
    let threshold = score::onset_threshold(worst);
    let hits: Vec<usize> = (0..z.len()).filter(|i| z[*i] >= threshold).collect();
    let first = hits.first().copied().unwrap_or_else(|| position_of_max(&z));
    let level: Vec<f64> = if hits.is_empty() { values } else { hits.iter().map(|i| values[*i]).collect() };
    let after = stats::median(&level);
    Change {
        series: one.series,
        score: score::score(worst, normal_z),
        z: worst,
        normal_z,
        onset: one.window.get(first).map_or(0, |p| p.at),
        last_good: first.checked_sub(1).and_then(|i| one.window.get(i)).map(|p| p.at),
        before: one.turned.back(usual.centre),
        after: one.turned.back(after),
        worse_by: after - usual.centre,
        hits: hits.len(),
        samples: one.window.len(),
        reference: (one.reference.len(), one.against),
    }
}

/// Where the largest is, the first of equals.
pub fn position_of_max(values: &[f64]) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best
}
