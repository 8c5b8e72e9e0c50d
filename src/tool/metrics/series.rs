//! Where do samples gather? [`Collector`] takes them one by one, within limits, and leaves sorted [`Series`].

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    kind::{self, Class},
    notes::Notes,
};

/// The most series that are kept.
pub const MAX_SERIES: usize = 20_000;
/// The most samples that are kept before every other one is let go.
pub const MAX_POINTS: usize = 12_000_000;
/// Microseconds between points, as a gap, count in multiples of the usual distance.
const GAP_FACTOR: i64 = 3;

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Microseconds since the epoch, UTC.
    pub at: i64,
    /// The value, finite.
    pub value: f64,
}

/// What tells one series from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId {
    /// The service, without a pod's hash.
    pub service: Arc<str>,
    /// The metric.
    pub metric: Arc<str>,
    /// Further labels as `key=value,…`, sorted by key; empty when there are none.
    pub labels: Arc<str>,
    /// The pod, container or host as the data has it, where it is not the service itself.
    pub instance: Arc<str>,
}

/// A series of samples, in order of time.
#[derive(Clone, Debug)]
pub struct Series {
    /// Which.
    pub id: SeriesId,
    /// What it measures.
    pub class: Class,
    /// Whether its value only grows.
    pub counter: bool,
    /// The file that its first sample came from.
    pub source: Arc<str>,
    /// The samples, sorted by time.
    pub points: Vec<Point>,
}

impl Series {
    /// The usual distance of samples, in microseconds: the median of the positive ones; 0 of fewer than two.
    pub fn grain(&self) -> i64 {
        let mut steps: Vec<i64> =
            self.points.windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].at)).filter(|d| *d > 0).collect();
        if steps.is_empty() {
            return 0;
        }
        let middle = steps.len() / 2;
        *steps.select_nth_unstable(middle).1
    }

    /// The holes in the series, as start and end, longest first: where samples are further apart than usual.
    pub fn gaps(&self) -> Vec<(i64, i64)> {
        let usual = self.grain().saturating_mul(GAP_FACTOR);
        let mut gaps: Vec<(i64, i64)> = self
            .points
            .windows(2)
            .map(|pair| (pair[0].at, pair[1].at))
            .filter(|(a, b)| usual > 0 && b.saturating_sub(*a) > usual)
            .collect();
        gaps.sort_by_key(|(a, b)| (a.saturating_sub(*b), *a));
        gaps
    }

    /// The values alone.
    pub fn values(&self) -> Vec<f64> {
        self.points.iter().map(|p| p.value).collect()
    }

    /// The samples of `[from, to]`.
    pub fn within(&self, from: Option<i64>, to: Option<i64>) -> &[Point] {
        let start = from.map_or(0, |from| self.points.partition_point(|p| p.at < from));
        let end = to.map_or(self.points.len(), |to| self.points.partition_point(|p| p.at <= to));
        self.points.get(start..end).unwrap_or_default()
    }

    /// The same samples as increase per second, for a counter; a reset begins anew from zero.
    #[must_use]
    pub fn rates(&self) -> Self {
        let points = self
            .points
            .windows(2)
            .filter(|pair| pair[1].at > pair[0].at)
            .map(|pair| {
                let grown = if pair[1].value >= pair[0].value { pair[1].value - pair[0].value } else { pair[1].value };
                let seconds = (pair[1].at - pair[0].at) as f64 / super::clock::SECOND as f64;
                Point { at: pair[1].at, value: grown / seconds }
            })
            .collect();
        Self { points, ..self.clone() }
    }
}

/// Takes samples in any order.
pub struct Collector {
    index: HashMap<String, usize>,
    building: Vec<Building>,
    key: String,
    points: usize,
    limit: usize,
    /// Every how many samples of a series one is kept.
    stride: u64,
    refused: u64,
}

struct Building {
    id: SeriesId,
    source: Arc<str>,
    counter: Option<bool>,
    keep_equal: bool,
    seen: u64,
    points: Vec<Point>,
}

/// Where a sample belongs, by borrowed names.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The service.
    pub service: &'a str,
    /// The instance; empty when the data names none.
    pub instance: &'a str,
    /// The metric.
    pub metric: &'a str,
    /// Further labels.
    pub labels: &'a str,
    /// Whether the data says that it is a counter (or is none); `None` leaves it to the name and the values.
    pub counter: Option<bool>,
    /// The file.
    pub source: &'a Arc<str>,
    /// Whether two samples with the same time and value are two facts, as rows of a bill are.
    pub keep_equal: bool,
}

impl Default for Collector {
    fn default() -> Self {
        Self::new()
    }
}

impl Collector {
    /// An empty one.
    pub fn new() -> Self {
        Self::with_limit(MAX_POINTS)
    }

    /// An empty one for at most so many samples.
    pub fn with_limit(limit: usize) -> Self {
        Self { index: HashMap::new(), building: Vec::new(), key: String::new(), points: 0, limit, stride: 1, refused: 0 }
    }

    /// Takes a sample.
    pub fn add(&mut self, target: Target<'_>, point: Point) {
        self.key.clear();
        for part in [target.service, target.metric, target.labels, target.instance] {
            self.key.push_str(part);
            self.key.push('\0');
        }
        let at = match self.index.get(&self.key) {
            Some(at) => *at,
            None if self.building.len() >= MAX_SERIES => {
                self.refused += 1;
                return;
            }
            None => self.open(target),
        };
        let Some(series) = self.building.get_mut(at) else { return };
        series.seen += 1;
        if series.seen.is_multiple_of(self.stride) {
            series.points.push(point);
            self.points += 1;
        }
        if self.points > self.limit {
            self.thin();
        }
    }

    /// The series, sorted by service, metric, labels and instance.
    pub fn finish(self, notes: &mut Notes) -> Vec<Series> {
        if self.refused > 0 {
            notes.add(format!(
                "more than {MAX_SERIES} series: {} samples of further ones were left out; narrow with `service`, `metric` or `files`",
                self.refused
            ));
        }
        if self.stride > 1 {
            notes.add(format!(
                "more than {} samples: one of {} was kept, so that counts and sums are of those only; narrow with `service`, `metric`, `since`, `until`",
                self.limit, self.stride
            ));
        }
        let mut repeated = 0usize;
        let mut grouped: BTreeMap<SeriesId, Vec<Building>> = BTreeMap::new();
        for mut building in self.building {
            building.points.sort_by(|a, b| a.at.cmp(&b.at).then(a.value.total_cmp(&b.value)));
            let before = building.points.len();
            if !building.keep_equal {
                building.points.dedup();
            }
            repeated += before - building.points.len();
            let kin = SeriesId { instance: Arc::from(""), ..building.id.clone() };
            grouped.entry(kin).or_default().push(building);
        }
        if repeated > 0 {
            notes.add(format!("{repeated} repeated samples (same series, time and value) were counted once"));
        }
        grouped.into_values().flat_map(join_successors).collect()
    }

    fn open(&mut self, target: Target<'_>) -> usize {
        let at = self.building.len();
        self.building.push(Building {
            id: SeriesId {
                service: target.service.into(),
                metric: target.metric.into(),
                labels: target.labels.into(),
                instance: target.instance.into(),
            },
            source: target.source.clone(),
            counter: target.counter,
            keep_equal: target.keep_equal,
            seen: 0,
            points: Vec::new(),
        });
        self.index.insert(self.key.clone(), at);
        at
    }

    /// Lets go of every other sample, so that memory stays within bounds while all of the time line stays in view.
    fn thin(&mut self) {
        self.stride *= 2;
        self.points = 0;
        for series in &mut self.building {
            let mut odd = false;
            series.points.retain(|_| {
                odd = !odd;
                !odd
            });
            series.points.shrink_to_fit();
            self.points += series.points.len();
        }
    }
}

/// Joins instances of which one began after the other had ended: a pod that was replaced goes on as the same series.
fn join_successors(mut instances: Vec<Building>) -> Vec<Series> {
    instances.retain(|b| !b.points.is_empty());
    instances.sort_by(|a, b| a.points[0].at.cmp(&b.points[0].at).then_with(|| a.id.cmp(&b.id)));
    let mut joined: Vec<Building> = Vec::new();
    for next in instances {
        let begins = next.points.first().map_or(i64::MIN, |p| p.at);
        let ended = joined.iter_mut().find(|b| b.points.last().is_some_and(|p| p.at < begins));
        match ended {
            Some(earlier) => {
                earlier.points.extend(next.points);
                earlier.id.instance = next.id.instance;
            }
            None => joined.push(next),
        }
    }
    joined.sort_by(|a, b| a.id.cmp(&b.id));
    joined.into_iter().map(Building::close).collect()
}

impl Building {
    fn close(self) -> Series {
        let counter = self.counter.unwrap_or_else(|| kind::is_counter_name(&self.id.metric) && mostly_grows(&self.points));
        Series { class: kind::class_of(&self.id.metric), counter, source: self.source, id: self.id, points: self.points }
    }
}

/// Whether values grow but for a few resets; a `count` per interval goes up and down.
fn mostly_grows(points: &[Point]) -> bool {
    let falls = points.windows(2).filter(|pair| pair[1].value < pair[0].value).count();
    points.len() > 2 && falls * 10 < points.len()
}
