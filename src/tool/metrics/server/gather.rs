//! What is asked of a server, and at which step? [`gather()`]: the samples as they were scraped where they are not too many, else, and of an
//! expression, points at a step that keeps within limits.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    super::{
        Gathered,
        args::Args,
        clock::{SECOND, span_name},
        error::MetricsError,
        kind,
        notes::Notes,
        read::{Edges, Filter, Identity, NAME, Reading, Sink, placed},
        series::{Collector, Series, SeriesId},
        terms::{Op, Span},
    },
    Server,
    answer::Found,
    ask::Asker,
};
use crate::{
    tool::Stop,
    value::{Failure, FailureKind},
};

/// How long all requests of a question may take together.
const MAX_TIME: Duration = Duration::from_secs(60);
/// The most samples of a fetch.
const MAX_POINTS: i64 = 1_000_000;
/// The most series of a fetch.
const MAX_SERIES: i64 = 5_000;
/// The most metrics that are fetched without a `query`.
const MAX_METRICS: usize = 100;
/// The most points of a series: what Prometheus gives.
const MAX_STEPS: i64 = 11_000;
/// The points of a series where no step is given.
const STEPS: i64 = 1_000;
/// The least step where none is given: what is usually between two scrapes.
const LEAST_STEP: i64 = 15 * SECOND;
/// The least step that a server can be asked for.
const LEAST: i64 = SECOND / 1000;
/// Steps that people choose, in seconds.
const ROUND: [i64; 12] = [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 86_400];
/// The window where none is given, and the least that counts as normal before one.
const HOUR: i64 = 3600 * SECOND;
/// The longest query, in bytes.
const MAX_QUERY: usize = 10_000;

/// What a question wants of a server.
pub struct Wanted<'a> {
    /// The question.
    pub args: &'a Args,
    /// Its window.
    pub window: Span,
    /// Its buckets of time.
    pub step: Option<i64>,
}

/// A stretch of time, both ends known.
#[derive(Clone, Copy)]
struct Window {
    from: i64,
    to: i64,
}

/// Asks the server. Runs on a thread where blocking is fine.
///
/// # Errors
/// The server may not be asked, reports an error, takes too long or has too much to say; the call was stopped.
pub fn gather(server: &Server, wanted: &Wanted<'_>, stop: &Stop, notes: &mut Notes) -> Result<Gathered, MetricsError> {
    let runtime = tokio::runtime::Handle::try_current()
        .map_err(|_| Failure::new(FailureKind::Tool, "a server can only be asked inside of a runtime"))?;
    let reading = wanted.args.reading(Span::default(), stop)?;
    runtime.block_on(async {
        tokio::select! {
            biased;
            failure = stop.stopped() => Err(failure.into()),
            found = tokio::time::timeout(MAX_TIME, of_server(server, wanted, &reading, notes)) => found.unwrap_or_else(|_| {
                let message = format!("{} did not answer within {} s; narrow the question", server.name, MAX_TIME.as_secs());
                Err(Failure::new(FailureKind::Timeout, message).into())
            }),
        }
    })
}

async fn of_server(server: &Server, wanted: &Wanted<'_>, reading: &Reading, notes: &mut Notes) -> Result<Gathered, MetricsError> {
    let (args, window) = (wanted.args, wanted.window);
    let normal = normal(args)?;
    if args.query.as_ref().is_some_and(|query| query.trim().is_empty() || query.len() > MAX_QUERY) {
        return Err(MetricsError::argument("query", format!("must have from 1 to {MAX_QUERY} bytes")));
    }
    let mut fetch = Fetch { asker: Asker::open(server).await?, server, wanted, reading };
    let until = window.to.unwrap_or_else(|| jiff::Timestamp::now().as_microsecond());
    let begin = window.from.unwrap_or_else(|| until.saturating_sub(HOUR));
    let asked = Window { from: begin, to: until };
    let at_once = args.query.as_ref().filter(|_| window.from.is_none() && matches!(args.op, Op::Range | Op::Aggregate));
    if window.from.is_none() && at_once.is_none() {
        notes.add("no `since`: the last hour was asked for");
    }
    if args.op == Op::List {
        return Ok(Gathered { series: fetch.list(asked, notes).await?, edges: Edges::new(), baseline: Vec::new() });
    }
    let series = match at_once {
        Some(query) => fetch.instant(query, until, notes).await?,
        None => fetch.series(fetched(args, asked)?, notes).await?,
    };
    let needs_baseline = matches!(args.op, Op::Changes | Op::Outliers | Op::Compare);
    let baseline = match normal {
        Some(normal) if needs_baseline => fetch.series(normal, notes).await?,
        Some(_) | None => Vec::new(),
    };
    Ok(Gathered { series, edges: Edges::new(), baseline })
}

/// The time that counts as normal, where the question names one.
fn normal(args: &Args) -> Result<Option<Window>, MetricsError> {
    match args.baseline_window()? {
        None => Ok(None),
        Some((Some(_), _)) => Err(MetricsError::argument("baseline", "of a server is a time: `{since, until}`")),
        Some((None, Span { from: Some(from), to: Some(to) })) => Ok(Some(Window { from, to })),
        Some((None, _)) => Err(MetricsError::argument("baseline", "of a server names both `since` and `until`")),
    }
}

/// What is fetched for a window: for changes, the time before it as well, as long as it and at least an hour.
fn fetched(args: &Args, window: Window) -> Result<Window, MetricsError> {
    if args.op != Op::Changes || args.since.is_none() {
        return Ok(window);
    }
    let ends = args.before()?.unwrap_or(window.from).min(window.from);
    let from = ends.saturating_sub(window.width().max(HOUR));
    Ok(Window { from, ..window })
}

struct Fetch<'a> {
    asker: Asker<'a>,
    server: &'a Server,
    wanted: &'a Wanted<'a>,
    reading: &'a Reading,
}

impl Fetch<'_> {
    /// The series of a window.
    async fn series(&mut self, window: Window, notes: &mut Notes) -> Result<Vec<Series>, MetricsError> {
        let wanted = self.wanted;
        match &wanted.args.query {
            Some(query) => {
                // Where it cannot be counted, because it is a number or because it is wrong, asking it itself says so.
                let counted = self.number(&format!("count(\n{query}\n)"), window.to, notes).await.ok().flatten();
                let many = self.within(counted.unwrap_or(1))?;
                let step = self.step(window, many)?;
                self.range(query, window, step, notes).await
            }
            None => self.scraped(window, notes).await,
        }
    }

    /// The series of the metrics that the filters leave, as they were scraped where that is not too much.
    async fn scraped(&mut self, window: Window, notes: &mut Notes) -> Result<Vec<Series>, MetricsError> {
        let names = self.names(window, notes).await?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        if names.len() > MAX_METRICS {
            let problem = format!(
                "{} metrics of {} match, more than the {MAX_METRICS} that are fetched at once; narrow it or `kind`, or give a `query` \
                 (`op: list` shows the names)",
                names.len(),
                self.server.name
            );
            return Err(MetricsError::argument("metric", problem));
        }
        let all = selector(&names);
        let stretch = format!("{all}[{}ms]", (window.width() / 1000).max(1));
        let many = self.number(&format!("count(count_over_time({stretch}))"), window.to, notes).await?;
        let Some(many) = many.filter(|many| *many > 0) else { return Ok(Vec::new()) };
        self.within(many)?;
        let points = self.number(&format!("sum(count_over_time({stretch}))"), window.to, notes).await?.unwrap_or(0);
        if points <= MAX_POINTS {
            return self.instant(&stretch, window.to, notes).await;
        }
        let step = fitting(window, many);
        notes.add(format!("{points} samples are more than {MAX_POINTS}: one of every {} was taken", span_name(step)));
        self.range(&all, window, step, notes).await
    }

    /// What `query` is at one time.
    async fn instant(&mut self, query: &str, at: i64, notes: &mut Notes) -> Result<Vec<Series>, MetricsError> {
        let found: Found = self.asker.ask("query", &[("query", query), ("time", &seconds(at))], notes).await?;
        Ok(self.taken(&found, query, notes))
    }

    /// What `query` is at every step of the window.
    async fn range(&mut self, query: &str, window: Window, step: i64, notes: &mut Notes) -> Result<Vec<Series>, MetricsError> {
        // Steps lie at multiples of their length, as buckets do, unless there is none in the window.
        let first = (window.from + step - 1).div_euclid(step).saturating_mul(step);
        let first = if first > window.to { window.from } else { first };
        let (start, end, step) = (seconds(first), seconds(window.to), seconds(step.max(LEAST)));
        let arguments = [("query", query), ("start", &start), ("end", &end), ("step", &step)];
        let found: Found = self.asker.ask("query_range", &arguments, notes).await?;
        Ok(self.taken(&found, query, notes))
    }

    /// The number that an expression is at one time.
    async fn number(&mut self, query: &str, at: i64, notes: &mut Notes) -> Result<Option<i64>, MetricsError> {
        let found: Found = self.asker.ask("query", &[("query", query), ("time", &seconds(at))], notes).await?;
        Ok(found.number().map(|number| number as i64))
    }

    fn taken(&self, found: &Found, query: &str, notes: &mut Notes) -> Vec<Series> {
        let mut collector = Collector::new();
        let mut sink = Sink::new(&mut collector, self.reading, &self.server.name, String::new());
        let odd = found.take(query, &mut sink);
        let missing = sink.missing();
        for (many, what) in [
            (missing, "values are NaN or infinite and were left out"),
            (odd.wordy as u64, "values are no numbers and were left out"),
            (odd.histograms as u64, "native histograms were left out; ask for `histogram_quantile(…)` or `histogram_avg(…)`"),
            (u64::from(odd.text), "result is a text, which has no samples"),
        ] {
            if many > 0 {
                notes.add(format!("{}: {many} {what}", self.server.name));
            }
        }
        collector.finish(notes)
    }

    /// The series that there are, by their labels alone.
    async fn list(&mut self, window: Window, notes: &mut Notes) -> Result<Vec<Series>, MetricsError> {
        let wanted = self.wanted;
        let matching = match &wanted.args.query {
            Some(query) => query.clone(),
            None => {
                let names = self.names(window, notes).await?;
                if names.is_empty() {
                    return Ok(Vec::new());
                }
                if names.len() > MAX_METRICS {
                    notes.add(format!(
                        "{} metrics: these are their names; `metric` or `kind` that leave at most {MAX_METRICS} show their series",
                        names.len()
                    ));
                    let none = BTreeMap::new();
                    return Ok(names.iter().filter_map(|name| self.of_labels(name, &none)).map(|id| self.empty(id)).collect());
                }
                selector(&names)
            }
        };
        let (start, end) = (seconds(window.from), seconds(window.to));
        let arguments = [("match[]", matching.as_str()), ("start", &start), ("end", &end)];
        let found: Vec<BTreeMap<String, String>> = self.asker.ask("series", &arguments, notes).await?;
        let name = |labels: &BTreeMap<String, String>| labels.get(NAME).cloned().unwrap_or_default();
        let ids: BTreeSet<SeriesId> = found.iter().filter_map(|labels| self.of_labels(&name(labels), labels)).collect();
        Ok(ids.into_iter().map(|id| self.empty(id)).collect())
    }

    /// The series of those labels, where the filters leave it.
    fn of_labels(&self, name: &str, labels: &BTreeMap<String, String>) -> Option<SeriesId> {
        let filter: &Filter = &self.reading.filter;
        let pairs: Vec<(&String, &String)> = labels.iter().collect();
        let identity = Identity::of(name, &pairs);
        let (service, instance) = placed(identity.service, identity.instance, "");
        let by_name = labels.is_empty() || filter.takes_service(service);
        (by_name && filter.takes_metric(name)).then(|| SeriesId {
            service: service.into(),
            metric: name.into(),
            labels: identity.labels.as_str().into(),
            instance: instance.into(),
        })
    }

    fn empty(&self, id: SeriesId) -> Series {
        let (class, counter) = (kind::class_of(&id.metric), kind::is_counter_name(&id.metric));
        Series { id, class, counter, source: self.server.name.clone(), points: Vec::new() }
    }

    /// The names of the metrics that the filters leave.
    async fn names(&mut self, window: Window, notes: &mut Notes) -> Result<Vec<String>, MetricsError> {
        let (start, end) = (seconds(window.from), seconds(window.to));
        let arguments = [("start", start.as_str()), ("end", end.as_str())];
        let mut names: Vec<String> = self.asker.ask("label/__name__/values", &arguments, notes).await?;
        names.retain(|name| self.reading.filter.takes_metric(name));
        Ok(names)
    }

    /// So many series, if they are not too many.
    fn within(&self, many: i64) -> Result<i64, MetricsError> {
        if many <= MAX_SERIES {
            return Ok(many.max(1));
        }
        let message = format!(
            "{many} series match, more than the {MAX_SERIES} that are fetched; narrow `metric`, or sum up in `query`: `sum by (service) (…)`"
        );
        Err(Failure::new(FailureKind::Limit, message).into())
    }

    /// The step at which an expression is evaluated: the one that was asked for, unless it stands for buckets that several points fill.
    fn step(&self, window: Window, many: i64) -> Result<i64, MetricsError> {
        let fits = fitting(window, many);
        let Some(step) = self.wanted.step else { return Ok(fits) };
        if self.wanted.args.op == Op::Aggregate || self.wanted.args.agg.is_some() {
            return Ok(fits.min(step));
        }
        let points = window.width() / step + 1;
        if points <= MAX_STEPS && points.saturating_mul(many) <= MAX_POINTS {
            return Ok(step);
        }
        let problem = format!(
            "`{}` makes {points} points of each of {many} series, more than {MAX_STEPS} of one or {MAX_POINTS} in all; `{}` fits",
            span_name(step),
            span_name(fits)
        );
        Err(MetricsError::argument("step", problem))
    }
}

impl Window {
    fn width(self) -> i64 {
        self.to.saturating_sub(self.from).max(0)
    }
}

/// The round step at which so many series fit.
fn fitting(window: Window, many: i64) -> i64 {
    let steps = (MAX_POINTS / many.max(1)).clamp(1, STEPS);
    let wanted = (window.width() / steps + 1).max(LEAST_STEP);
    let seconds = (wanted + SECOND - 1) / SECOND;
    let days = (seconds + 86_399) / 86_400 * 86_400;
    ROUND.iter().find(|round| **round >= seconds).copied().unwrap_or(days).saturating_mul(SECOND)
}

/// What selects metrics by name.
fn selector(names: &[String]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
    match names {
        [only] => format!("{{{NAME}={}}}", quoted(only)),
        names => {
            let all: Vec<String> = names.iter().map(|name| regex::escape(name)).collect();
            format!("{{{NAME}=~{}}}", quoted(&all.join("|")))
        }
    }
}

/// A time or length as seconds with a fraction.
fn seconds(micros: i64) -> String {
    format!("{:.3}", micros as f64 / SECOND as f64)
}
