//! What do the metrics say? [`QueryMetrics`], the tool `query_metrics`: it reads files of time series as a stream and
//! answers in ranked, bounded rows.
//!
//! The way of a question: [`args`] → [`read`] (files to samples) → [`series`] (samples to sorted series) →
//! [`mod@resample`] (grouped, gathered in buckets) → [`op`] (the answer). Metrics are told apart by generic words
//! ([`mod@kind`]) alone; no name of a system steers anything. Where the team declares servers of metrics, [`server`] asks one
//! of them in place of [`read`]; the rest of the way is the same.
//!
//! Deliberately absent: a query language; writing; anything kept between two calls.

mod args;
mod clock;
mod error;
mod kind;
mod notes;
mod number;
mod op;
mod read;
mod resample;
mod series;
mod server;
mod stats;
mod terms;
#[cfg(test)]
mod tests;

use args::Args;
use error::MetricsError;
use notes::Notes;
use op::{Rows, changes, seconds, time};
use read::{Edges, File};
use series::Series;
use server::{Servers, Wanted};
use terms::{Agg, Counters, Op, Span};

use std::sync::Arc;

use super::{BlockingTool, CallContext, Outcome, RESULT_LIMIT, count, parse, spec};
use crate::{
    secret::Env,
    value::{EffectClass, Map, TeamTools, ToolSpec, Value},
};

/// The name that files and models use.
pub const NAME: &str = "query_metrics";
const DESCRIPTION: &str = "Reads time series from CSV (wide or long), JSON lines or OpenMetrics files, or a folder of them, and answers: \
which series there are (list), their points (range), statistics (aggregate), what changed when and how much (changes), single \
unusual points (outliers), and a window beside a normal one (compare). Rows are ranked; `notes` say what was skipped.";
/// What rows may take of a result; names, notes and the summary have the rest.
const ROW_BYTES: usize = RESULT_LIMIT / 4 * 3;
/// The most paths of one question.
const MAX_PATHS: usize = 50;

/// The arguments that only a team with servers of metrics has.
const OF_SERVERS: [&str; 2] = ["server", "query"];

/// The tool `query_metrics`.
pub struct QueryMetrics {
    spec: ToolSpec,
    servers: Option<Servers>,
}

impl Default for QueryMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl QueryMetrics {
    /// The tool, which reads files only.
    pub fn new() -> Self {
        let mut spec = spec::<Args>(NAME, EffectClass::Read, DESCRIPTION);
        if let Value::Map(schema) = &mut spec.parameters {
            let schema = Arc::make_mut(schema);
            if let Some(Value::Map(properties)) = schema.get_mut("properties") {
                Arc::make_mut(properties).retain(|name, _| !OF_SERVERS.contains(&name.as_str()));
            }
            schema.insert("required".to_owned(), Value::list(["op", "path"].map(Value::text)));
        }
        Self { spec, servers: None }
    }

    /// The tool for the agents of a team, which also asks servers: those that the team declares, and those at hosts that its `http` tool may
    /// ask. `None` where there are neither; then nothing is different.
    pub fn of_team(tools: &TeamTools, env: &Env) -> Option<Self> {
        let servers = Servers::of(tools, env)?;
        let description = format!("{DESCRIPTION} {}", servers.description());
        Some(Self { spec: spec::<Args>(NAME, EffectClass::Read, &description), servers: Some(servers) })
    }
}

impl BlockingTool for QueryMetrics {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn run(&self, call: &CallContext, args: &Value) -> Outcome {
        Ok(answer(&parse(args)?, self.servers.as_ref(), call)?)
    }
}

/// The series of a question, and what is normal for them.
struct Gathered {
    series: Vec<Series>,
    /// Which service calls which, where a file says so.
    edges: Edges,
    baseline: Vec<Series>,
}

fn answer(args: &Args, servers: Option<&Servers>, call: &CallContext) -> Result<Value, MetricsError> {
    // Everything that may be wrong with the question is found before a file is opened.
    let (window, step, limit, before) = (args.window()?, args.step()?, args.rows()?, args.before()?);
    let (aggs, threshold) = (args.aggs()?, args.threshold()?);
    let mut notes = Notes::default();
    let gathered = match servers.map(|servers| servers.asked(args)).transpose()?.flatten() {
        Some(server) => server::gather(&server, &Wanted { args, window, step }, &call.stop, &mut notes)?,
        None => gather(args, window, call, &mut notes)?,
    };
    if gathered.series.is_empty() && gathered.edges.is_empty() {
        notes.add("no samples match; `op: list` without filters shows what there is");
    }
    let mut out = Map::new();
    out.insert("op".to_owned(), Value::from(args.op.name()));
    out.insert("series".to_owned(), count(gathered.series.len() as u64));
    if let Some(grain) = grain_of(&gathered.series) {
        out.insert("step_s".to_owned(), seconds(grain));
    }
    if let Some((from, to)) = extent(&gathered.series) {
        out.insert("first".to_owned(), time(from));
        out.insert("last".to_owned(), time(to));
    }
    let question = Question { args, window, step, limit, before, aggs, threshold };
    let mut rows = ask(&question, gathered, call, &mut out, &mut notes)?;
    rows.fit(ROW_BYTES);
    if rows.left_out > 0 {
        notes.add(format!("{} further rows were left out (`limit`, or the size of a result)", rows.left_out));
    }
    out.insert("rows".to_owned(), Value::list(rows.rows));
    out.insert("left_out".to_owned(), count(rows.left_out as u64));
    out.insert("notes".to_owned(), Value::list(notes.into_texts().into_iter().map(Value::from)));
    Ok(Value::map(out))
}

struct Question<'a> {
    args: &'a Args,
    window: Span,
    step: Option<i64>,
    limit: usize,
    before: Option<i64>,
    aggs: Vec<Agg>,
    threshold: f64,
}

fn ask(
    question: &Question<'_>,
    gathered: Gathered,
    call: &CallContext,
    out: &mut Map,
    notes: &mut Notes,
) -> Result<Rows, MetricsError> {
    let Question { args, window, step, limit, before, ref aggs, threshold } = *question;
    let by = args.by.unwrap_or_default();
    let least = args.min_score.unwrap_or(0.0);
    let rates = args.counters != Some(Counters::Raw);
    let lead = aggs.first().copied();
    let shaped = |series: Vec<Series>| {
        let series = if rates { as_rates(series) } else { series };
        let fill = lead.unwrap_or(if series.iter().all(|s| s.class.kind == kind::Kind::Cost) { Agg::Sum } else { Agg::Mean });
        resample::resample(series, by, step, fill)
    };
    Ok(match args.op {
        Op::List => {
            let (rows, summary) = op::list::list(&gathered.series, limit);
            out.extend(summary);
            if !gathered.edges.is_empty() {
                let edges = gathered.edges.iter().map(|(caller, callee)| Value::list([Value::text(caller), Value::text(callee)]));
                out.insert("edges".to_owned(), Value::list(edges));
            }
            rows
        }
        Op::Range => op::range::range(&shaped(gathered.series), lead.unwrap_or(Agg::Mean), limit, notes),
        Op::Aggregate => {
            let grouped = resample::group(gathered.series, by);
            let aggs = if aggs.is_empty() { &op::aggregate::DEFAULT[..] } else { aggs };
            op::aggregate::rows(&grouped, aggs, step, rates, limit, notes)
        }
        Op::Changes => {
            let (series, baseline) = (shaped(gathered.series), shaped(gathered.baseline));
            let (found, unjudged) = match window.from {
                Some(from) => {
                    let to = window.to.unwrap_or(i64::MAX);
                    let question = changes::Question { from, to, before: before.unwrap_or(from), hosts: args.hosts };
                    changes::changes(&series, &baseline, question, &call.stop)?
                }
                None => op::scan::scan(&series, args.hosts, &call.stop)?,
            };
            say_unjudged(unjudged, notes);
            out.insert("judged".to_owned(), count(found.len() as u64));
            changes::rows(&found, least, limit)
        }
        Op::Outliers => {
            let (series, baseline) = (shaped(gathered.series), shaped(gathered.baseline));
            match args.peers {
                Some(peers) => {
                    let (rows, alone) = op::peers::peers(&series, peers, least, limit, &call.stop)?;
                    say(notes, alone, "series have fewer than two peers");
                    rows
                }
                None => {
                    let (rows, short) = op::outliers::outliers(&series, &baseline, threshold, least, limit, &call.stop)?;
                    say(notes, short, "series have too few samples to tell an outlier");
                    rows
                }
            }
        }
        Op::Compare => {
            let (series, baseline) = (shaped(gathered.series), shaped(gathered.baseline));
            if baseline.is_empty() {
                let problem = "says what to compare with: a path, or `{since, until}` of a normal time in the same files";
                return Err(MetricsError::argument("baseline", problem));
            }
            let (rows, alone) = op::compare::compare(&series, &baseline, least, limit);
            say(notes, alone, "series have no counterpart in the baseline, or too few samples");
            rows
        }
    })
}

/// Reads what the question is about.
fn gather(args: &Args, window: Span, call: &CallContext, notes: &mut Notes) -> Result<Gathered, MetricsError> {
    let mut files = find(args, args.paths(), call, notes)?;
    let normal = args.baseline_window()?;
    let needs_baseline = matches!(args.op, Op::Changes | Op::Outliers | Op::Compare);
    let mut baseline_files = Vec::new();
    let mut baseline_span = Span::default();
    if let Some((path, span)) = normal {
        baseline_span = span;
        match path {
            Some(path) => {
                baseline_files = find(args, std::slice::from_ref(&path.to_owned()), call, notes)?;
                files.retain(|file| !baseline_files.iter().any(|b| b.name == file.name));
            }
            None => baseline_files.clone_from(&files),
        }
    } else {
        let (marked, rest): (Vec<File>, Vec<File>) = files.into_iter().partition(File::is_baseline);
        // Where there is nothing else, the normal period itself is what is asked about.
        (files, baseline_files) = if rest.is_empty() { (marked, Vec::new()) } else { (rest, marked) };
        if !args.seeks_baseline() {
            baseline_files.clear();
        } else if needs_baseline && !baseline_files.is_empty() {
            let names: Vec<&str> = baseline_files.iter().take(5).map(|f| f.name.as_str()).collect();
            notes.add(format!("taken as normal: {}", names.join(", ")));
        } else if !baseline_files.is_empty() {
            notes.add(format!("{} files of a baseline were left out; name one as `path` to ask about it", baseline_files.len()));
        }
    }
    if files.is_empty() {
        let paths = args.paths().join(", ");
        let problem =
            format!("no metrics at {paths}: no CSV, JSON lines or OpenMetrics file; name a file, or give its pattern as `files`");
        return Err(MetricsError::Nothing(problem.into()));
    }
    // Changes need the time before the window; of the rest nothing outside it is kept.
    let kept = if args.op == Op::Changes { Span::default() } else { window };
    let (series, edges) = read::read(&files, &args.reading(kept, &call.stop)?, notes)?;
    let baseline = if needs_baseline && !baseline_files.is_empty() {
        read::read(&baseline_files, &args.reading(baseline_span, &call.stop)?, notes)?.0
    } else {
        Vec::new()
    };
    Ok(Gathered { series, edges, baseline })
}

fn find(args: &Args, paths: &[String], call: &CallContext, notes: &mut Notes) -> Result<Vec<File>, MetricsError> {
    if paths.is_empty() || paths.len() > MAX_PATHS {
        return Err(MetricsError::argument("path", format!("names {} paths; from 1 to {MAX_PATHS} are read", paths.len())));
    }
    let (include, exclude) = args.globs()?;
    let mut files: Vec<File> = Vec::new();
    for path in paths {
        for file in read::find(&call.roots.find(path)?, include.as_ref(), exclude.as_ref(), &call.stop, notes)? {
            if !files.iter().any(|known| known.name == file.name) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

fn as_rates(series: Vec<Series>) -> Vec<Series> {
    series.into_iter().map(|one| if one.counter { one.rates() } else { one }).collect()
}

/// The usual distance of samples over all series: the median of their medians.
fn grain_of(series: &[Series]) -> Option<i64> {
    let grains: Vec<f64> = series.iter().filter(|s| s.points.len() > 3).map(|s| s.grain() as f64).collect();
    (!grains.is_empty()).then(|| stats::median(&grains) as i64)
}

fn extent(series: &[Series]) -> Option<(i64, i64)> {
    let first = series.iter().filter_map(|s| s.points.first()).map(|p| p.at).min()?;
    let last = series.iter().filter_map(|s| s.points.last()).map(|p| p.at).max()?;
    Some((first, last))
}

fn say_unjudged(unjudged: changes::Unjudged, notes: &mut Notes) {
    say(notes, unjudged.hosts, "series of machines belong to no one service and were not judged (`hosts: true` judges them)");
    say(notes, unjudged.outside, "series have no sample in the window");
    say(notes, unjudged.short, "series have too few samples to compare with");
}

fn say(notes: &mut Notes, many: usize, what: &str) {
    if many > 0 {
        notes.add(format!("{many} {what}"));
    }
}

impl Op {
    fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Range => "range",
            Self::Aggregate => "aggregate",
            Self::Changes => "changes",
            Self::Outliers => "outliers",
            Self::Compare => "compare",
        }
    }
}
