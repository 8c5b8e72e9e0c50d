//! What is asked? [`Args`], as a model or a script writes them.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    clock::{self, Clock, SECOND},
    error::MetricsError,
    kind::Kind,
    op::outliers::DEFAULT_THRESHOLD,
    read::{Filter, Reading},
    terms::{Agg, Baseline, By, Counters, Op, Peers, Span, Texts, When},
};
use crate::tool::{Stop, nearest};

/// The rows of an answer when nothing else is asked.
pub const DEFAULT_ROWS: usize = 50;
/// The most rows of an answer.
pub const MAX_ROWS: usize = 1000;
/// The most patterns of one argument.
const MAX_PATTERNS: usize = 100;
/// What stands for "nothing" as a baseline.
const NO_BASELINE: &str = "none";

/// A question about metrics.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// A file or folder of metrics, or several: CSV (wide or long), JSON lines, OpenMetrics text, gzip too. Folders are searched through.
    #[serde(default)]
    pub path: Option<Texts>,
    /// In place of `path`, a server of metrics: its name in the team file, or the address of one at a host that may be asked.
    #[serde(default)]
    pub server: Option<String>,
    /// For a server: what to ask, in PromQL. With `since` it is evaluated every `step` of the window; without, `range` and `aggregate` take one
    /// instant. Without it, `metric` and `kind` say which metrics are fetched.
    #[serde(default)]
    pub query: Option<String>,
    /// What to do: `list` the series; `range` for their points; `aggregate` for statistics; `changes` for the series that changed, when and how much,
    /// against a baseline or their own earlier part; `outliers` for single unusual points; `compare` for a window beside a baseline.
    pub op: Op,
    /// Only these services: names without a pod's hash, `*` for any characters.
    #[serde(default)]
    pub service: Option<Texts>,
    /// Only these metrics: a part of the name, or a pattern with `*`.
    #[serde(default)]
    pub metric: Option<Texts>,
    /// Only these kinds: latency, error, availability, cpu, memory, saturation, traffic, network, disk, io, cost, other.
    #[serde(default)]
    pub kind: Option<Texts>,
    /// The beginning of the window, RFC 3339 or Unix seconds. For `changes`, what lies before it is normal; without it, the worst stretch is sought.
    #[serde(default)]
    pub since: Option<When>,
    /// The end of the window; a sample at that very time is in it.
    #[serde(default)]
    pub until: Option<When>,
    /// For `changes`: where the series' own normal part ends, when that is not `since`.
    #[serde(default)]
    pub before: Option<When>,
    /// What is normal: a path, or `{path, since, until}` with its own times. Without it, files called baseline, normal or reference; `none` for none.
    #[serde(default)]
    pub baseline: Option<Baseline>,
    /// Group series before anything else: `series` (the default), `service`, `metric`, `kind` or `all`.
    #[serde(default)]
    pub by: Option<By>,
    /// Buckets of time, such as `1m`, `1h`, `1d`.
    #[serde(default)]
    pub step: Option<String>,
    /// Statistics: count, min, max, mean, median, p90, p95, p99, sum, stddev, rate, first, last. The first ranks the rows, and fills buckets.
    #[serde(default)]
    pub agg: Option<Texts>,
    /// Counters as `rate` per second (the default) or as `raw` totals.
    #[serde(default)]
    pub counters: Option<Counters>,
    /// For `outliers`: how many robust standard deviations a point must be off (3.5).
    #[serde(default)]
    pub threshold: Option<f64>,
    /// For `outliers`: compare with peers at the same time instead of with the past: `instances` of one service, or `services`.
    #[serde(default)]
    pub peers: Option<Peers>,
    /// For `changes`, `outliers`, `compare`: leave out rows with a lower score.
    #[serde(default)]
    pub min_score: Option<f64>,
    /// For `changes`: also judge metrics of machines, which belong to no one service.
    #[serde(default)]
    pub hosts: bool,
    /// The most rows of the answer (50, at most 1000); what is left out is counted.
    #[serde(default)]
    pub limit: Option<usize>,
    /// Only files whose path below the folder matches, such as `billing/**`. Default: `.csv`, `.tsv`, `.jsonl`, `.ndjson`, `.prom`, `.om`, `.metrics`, also gzipped.
    #[serde(default)]
    pub files: Option<Texts>,
    /// No files that match.
    #[serde(default)]
    pub exclude: Option<Texts>,
    /// Where times without a zone were taken: `UTC` (the default), `+08:00`, `Europe/Berlin`.
    #[serde(default)]
    pub zone: Option<String>,
}

impl Args {
    /// The files and folders of the question.
    pub fn paths(&self) -> &[String] {
        self.path.as_ref().map(Texts::list).unwrap_or_default()
    }

    /// The zone of times without one.
    ///
    /// # Errors
    /// There is no such zone.
    pub fn time_zone(&self) -> Result<TimeZone, MetricsError> {
        self.zone.as_deref().map_or(Ok(TimeZone::UTC), clock::zone_named)
    }

    /// The window of the question.
    ///
    /// # Errors
    /// A bound is no time, or the end lies before the begin.
    pub fn window(&self) -> Result<Span, MetricsError> {
        span_of(self.since.as_ref(), self.until.as_ref(), &self.time_zone()?, "")
    }

    /// Where the normal part ends.
    ///
    /// # Errors
    /// It is no time.
    pub fn before(&self) -> Result<Option<i64>, MetricsError> {
        moment(self.before.as_ref(), &self.time_zone()?, "before")
    }

    /// The path of a baseline, `None` when it is in the same files or not asked for, and its window.
    ///
    /// # Errors
    /// A bound is no time.
    pub fn baseline_window(&self) -> Result<Option<(Option<&str>, Span)>, MetricsError> {
        Ok(match &self.baseline {
            None => None,
            Some(Baseline::Path(path)) => (path != NO_BASELINE).then_some((Some(path.as_str()), Span::default())),
            Some(Baseline::Window(window)) => Some((
                window.path.as_deref(),
                span_of(window.since.as_ref(), window.until.as_ref(), &self.time_zone()?, "baseline.")?,
            )),
        })
    }

    /// Whether files called baseline serve as such.
    pub fn seeks_baseline(&self) -> bool {
        self.baseline.is_none()
    }

    /// The buckets of time, in microseconds.
    ///
    /// # Errors
    /// It is no length of time.
    pub fn step(&self) -> Result<Option<i64>, MetricsError> {
        let Some(text) = &self.step else { return Ok(None) };
        match clock::span(text) {
            Some(micros) => Ok(Some(micros)),
            None => {
                Err(MetricsError::argument("step", format!("`{text}` is no length of time; write `30s`, `5m`, `1h` or `1d`")))
            }
        }
    }

    /// The statistics asked for, each once.
    ///
    /// # Errors
    /// There is no such statistic.
    pub fn aggs(&self) -> Result<Vec<Agg>, MetricsError> {
        let mut aggs = Vec::new();
        for name in self.agg.as_ref().map(Texts::list).unwrap_or_default() {
            let agg = named("agg", name, &Agg::ALL, Agg::name)?;
            if !aggs.contains(&agg) {
                aggs.push(agg);
            }
        }
        Ok(aggs)
    }

    /// How far off an outlier is.
    ///
    /// # Errors
    /// It is not above 0.
    pub fn threshold(&self) -> Result<f64, MetricsError> {
        match self.threshold {
            None => Ok(DEFAULT_THRESHOLD),
            Some(threshold) if threshold > 0.0 => Ok(threshold),
            Some(threshold) => Err(MetricsError::argument("threshold", format!("must be above 0, not {threshold}"))),
        }
    }

    /// The most rows of the answer.
    ///
    /// # Errors
    /// None, or more than [`MAX_ROWS`].
    pub fn rows(&self) -> Result<usize, MetricsError> {
        match self.limit {
            None => Ok(DEFAULT_ROWS),
            Some(rows @ 1..=MAX_ROWS) => Ok(rows),
            Some(_) => Err(MetricsError::argument("limit", format!("must be from 1 to {MAX_ROWS}"))),
        }
    }

    /// How files are read for it: `span` is what is kept of them.
    ///
    /// # Errors
    /// A pattern, a kind or the zone is none.
    pub fn reading(&self, span: Span, stop: &Stop) -> Result<Reading, MetricsError> {
        let kinds = self.kind.as_ref().map(Texts::list).unwrap_or_default().iter();
        let kinds = kinds.map(|name| named("kind", name, &Kind::ALL, Kind::name)).collect::<Result<Vec<Kind>, _>>()?;
        let service = globs("service", self.service.as_ref(), str::to_owned)?;
        let metric =
            globs("metric", self.metric.as_ref(), |text| if text.contains('*') { text.to_owned() } else { format!("*{text}*") })?;
        Ok(Reading {
            zone: self.time_zone()?,
            filter: Filter { service, metric, kinds, from: span.from, to: span.to },
            stop: stop.clone(),
        })
    }

    /// The files to take and those to leave.
    ///
    /// # Errors
    /// A pattern is none.
    pub fn globs(&self) -> Result<(Option<GlobSet>, Option<GlobSet>), MetricsError> {
        Ok((globs("files", self.files.as_ref(), str::to_owned)?, globs("exclude", self.exclude.as_ref(), str::to_owned)?))
    }
}

/// The one of `all` with that name.
fn named<T: Copy>(argument: &str, text: &str, all: &[T], name: impl Fn(T) -> &'static str) -> Result<T, MetricsError> {
    if let Some(found) = all.iter().find(|one| name(**one) == text) {
        return Ok(*found);
    }
    let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
    let meant = nearest(text, names.iter().copied()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Err(MetricsError::argument(argument, format!("`{text}` is none of {}{meant}", names.join(", "))))
}

fn span_of(since: Option<&When>, until: Option<&When>, zone: &TimeZone, prefix: &str) -> Result<Span, MetricsError> {
    let span =
        Span { from: moment(since, zone, &format!("{prefix}since"))?, to: moment(until, zone, &format!("{prefix}until"))? };
    if let (Some(from), Some(to)) = (span.from, span.to)
        && to < from
    {
        return Err(MetricsError::argument(&format!("{prefix}until"), "lies before the begin of the window"));
    }
    Ok(span)
}

fn moment(when: Option<&When>, zone: &TimeZone, name: &str) -> Result<Option<i64>, MetricsError> {
    let Some(when) = when else { return Ok(None) };
    let clock = Clock::new(zone.clone());
    let read = match when {
        When::Text(text) => clock.parse(text).map(|moment| moment.micros),
        // Small numbers are seconds too here: nobody means a quantity.
        When::Number(number) if number.abs() < 1e8 => Some((number * SECOND as f64) as i64),
        When::Number(number) => clock.parse(&format!("{number}")).map(|moment| moment.micros),
    };
    let problem = || format!("`{}` is no time; write `2026-01-05T14:30:00Z` or seconds since the epoch", shown(when));
    read.map(Some).ok_or_else(|| MetricsError::argument(name, problem()))
}

fn shown(when: &When) -> String {
    match when {
        When::Number(number) => number.to_string(),
        When::Text(text) => text.chars().take(60).collect(),
    }
}

fn globs(name: &str, texts: Option<&Texts>, pattern: impl Fn(&str) -> String) -> Result<Option<GlobSet>, MetricsError> {
    let texts = texts.map(Texts::list).unwrap_or_default();
    if texts.is_empty() {
        return Ok(None);
    }
    if texts.len() > MAX_PATTERNS {
        return Err(MetricsError::argument(name, format!("{} patterns; at most {MAX_PATTERNS} are taken", texts.len())));
    }
    let mut set = GlobSetBuilder::new();
    for text in texts {
        // Only `*` is special: the names of metrics have brackets and question marks of their own.
        let escaped: String = pattern(text.trim())
            .chars()
            .flat_map(|c| if matches!(c, '?' | '[' | ']' | '{' | '}' | '\\') { vec!['\\', c] } else { vec![c] })
            .collect();
        let glob = GlobBuilder::new(&escaped).case_insensitive(true).backslash_escape(true).build();
        set.add(glob.map_err(|e| MetricsError::argument(name, format!("`{text}` is no pattern: {}", e.kind())))?);
    }
    set.build().map(Some).map_err(|e| MetricsError::argument(name, e.kind().to_string()))
}
