//! What is asked of the logs? [`Query`]: the arguments, resolved.

use std::collections::BTreeMap;

use globset::GlobMatcher;
use regex::bytes::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::{
    level::Level,
    record::Record,
    stamp::{Clock, SECOND},
    trace_id,
};
use crate::{
    tool::{glob, grep},
    value::{Failure, FailureKind, Timestamp, Value},
};

/// Rows of one call where the call does not say.
const ROWS: usize = 50;
/// Rows of one call at most.
const ROWS_LIMIT: usize = 1_000;
/// The arguments of `search_logs`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    /// `lines`: the messages themselves. `count`: how many in each group, against the baseline. `patterns`: messages by template that
    /// came up more often from some moment on. `traces`: what follows trace ids through services.
    #[serde(default)]
    pub op: Option<Op>,
    /// The file or folder. Default: the workspace.
    #[serde(default)]
    pub path: Option<String>,
    /// Only files whose path below the folder matches. Default: names that end like logs (`.log`, `.jsonl`, `.txt`, `.out`, also gzipped or rotated).
    #[serde(default)]
    pub files: Option<String>,
    /// The beginning of the window, RFC 3339 or Unix seconds.
    #[serde(default)]
    pub since: Option<Moment>,
    /// The end of the window, not in it.
    #[serde(default)]
    pub until: Option<Moment>,
    /// The normal time to compare with. Default: all before `since`.
    #[serde(default)]
    pub baseline: Option<Span>,
    /// The lowest level: `trace`, `debug`, `info`, `warn`, `error` or `fatal`. Lines without a level count as `info`. Default of `patterns`: `error`.
    #[serde(default)]
    pub level: Option<Level>,
    /// A regular expression that the message must match.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Whether upper and lower case are the same to `pattern`. Default: false.
    #[serde(default)]
    pub ignore_case: bool,
    /// Only services whose name matches this glob.
    #[serde(default)]
    pub service: Option<String>,
    /// What `count` counts. `capture` is the first group of `pattern`.
    #[serde(default)]
    pub group_by: Option<GroupBy>,
    /// How many rows. Default: 50.
    #[serde(default)]
    #[schemars(range(min = 1, max = ROWS_LIMIT))]
    pub limit: Option<usize>,
    /// Whether `lines` shows the newest instead of the oldest. Default: false.
    #[serde(default)]
    pub newest: bool,
    /// The zone of stamps that name none, such as `+08:00`. Default: UTC.
    #[serde(default)]
    pub zone: Option<String>,
    /// A regular expression whose first group is the trace id, where the common spellings do not find it.
    #[serde(default)]
    pub trace_pattern: Option<String>,
}

/// What is done with the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Op {
    /// Show them.
    Lines,
    /// Count them in groups.
    Count,
    /// Find templates that became frequent.
    Patterns,
    /// Follow traces.
    Traces,
}

/// What messages are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum GroupBy {
    /// Service and template.
    Template,
    /// Service.
    Service,
    /// Level.
    Level,
    /// File.
    File,
    /// Minute.
    Minute,
    /// Hour.
    Hour,
    /// Service and exception, with its deepest cause and first frame.
    Exception,
    /// What the first group of `pattern` matched.
    Capture,
}

/// A part of time.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Span {
    /// Its beginning, RFC 3339 or Unix seconds.
    #[serde(default)]
    since: Option<Moment>,
    /// Its end, not in it.
    #[serde(default)]
    until: Option<Moment>,
}

/// A point in time as written: text or Unix seconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Moment {
    Number(f64),
    Text(String),
}

impl JsonSchema for Moment {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number"] })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// Where in time a message lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// In the window.
    Window,
    /// In the baseline.
    Baseline,
    /// In neither.
    Neither,
}

/// The arguments, resolved.
pub(super) struct Query {
    /// What is done.
    pub op: Op,
    /// The window.
    pub window: (Option<i64>, Option<i64>),
    /// The baseline, if there is one.
    pub baseline: Option<(Option<i64>, Option<i64>)>,
    /// The lowest level.
    pub level: Option<Level>,
    /// What the message must match.
    pub pattern: Option<Regex>,
    /// Which services.
    pub service: Option<GlobMatcher>,
    /// What is counted by.
    pub group_by: GroupBy,
    /// Rows at most.
    pub limit: usize,
    /// Whether the newest come first.
    pub newest: bool,
    /// What stamps without a zone are ahead of UTC, in seconds.
    pub ahead: i64,
    /// Finds trace ids that the common spellings do not.
    pub trace: Option<Regex>,
}

impl Query {
    /// Resolves the arguments.
    pub fn new(args: &Args) -> Result<Self, Failure> {
        let ahead = args.zone.as_deref().map_or(Ok(0), zone)?;
        let moment = |name: &str, moment: &Option<Moment>| moment.as_ref().map(|m| m.micros(name, ahead)).transpose();
        let window = (moment("since", &args.since)?, moment("until", &args.until)?);
        let op = args.op.unwrap_or(if args.group_by.is_some() { Op::Count } else { Op::Lines });
        let baseline = match &args.baseline {
            Some(span) => Some((moment("baseline.since", &span.since)?, moment("baseline.until", &span.until)?)),
            None => window.0.map(|since| (None, Some(since))),
        };
        for (name, span) in [("", Some(window)), ("baseline.", baseline)] {
            if let Some((Some(since), Some(until))) = span
                && since >= until
            {
                return Err(bad(format!("`{name}since` must be before `{name}until`")));
            }
        }
        let group_by = args.group_by.unwrap_or(GroupBy::Template);
        let pattern = args.pattern.as_deref().map(|text| grep::pattern(text, args.ignore_case)).transpose()?;
        if group_by == GroupBy::Capture && pattern.as_ref().is_none_or(|p| p.captures_len() < 2) {
            return Err(bad("`group_by: capture` wants a `pattern` with a group, such as `user=(\\w+)`".to_owned()));
        }
        let level = args.level.or((op == Op::Patterns).then_some(Level::Error));
        Ok(Self {
            op,
            window,
            baseline,
            level,
            pattern,
            service: args.service.as_deref().map(glob::matcher).transpose()?,
            group_by,
            limit: args.limit.unwrap_or(ROWS),
            newest: args.newest,
            ahead,
            trace: args.trace_pattern.as_deref().map(|text| grep::pattern(text, false)).transpose()?,
        })
    }

    /// Where in time a message lies; one without time lies in a window without bounds.
    pub fn part(&self, time: Option<i64>) -> Part {
        let within =
            |span: (Option<i64>, Option<i64>), time: i64| span.0.is_none_or(|s| time >= s) && span.1.is_none_or(|u| time < u);
        match time {
            Some(time) if within(self.window, time) => Part::Window,
            Some(time) if self.baseline.is_some_and(|span| within(span, time)) => Part::Baseline,
            None if self.window == (None, None) => Part::Window,
            Some(_) | None => Part::Neither,
        }
    }

    /// Whether service, level and pattern fit.
    pub fn fits(&self, record: &Record<'_>) -> bool {
        self.fits_service(record)
            && self.level.is_none_or(|least| record.level.unwrap_or(Level::Info) >= least)
            && self.pattern.as_ref().is_none_or(|p| p.is_match(record.text.as_bytes()) || p.is_match(record.more.as_bytes()))
    }

    /// Whether the service fits.
    pub fn fits_service(&self, record: &Record<'_>) -> bool {
        self.service.as_ref().is_none_or(|s| s.is_match(record.service.as_ref()))
    }

    /// The trace id of a message.
    pub fn trace_of<'r>(&self, record: &'r Record<'_>) -> Option<&'r str> {
        if let Some(pattern) = &self.trace {
            let found = pattern.captures(record.text.as_bytes())?;
            let id = found.iter().skip(1).flatten().next().or_else(|| found.get(0))?;
            return record.text.get(id.start()..id.end());
        }
        record.trace.as_deref().filter(|t| t.len() >= trace_id::SHORTEST).or_else(|| trace_id::find(&record.text))
    }

    /// How many seconds of the data the window and the baseline cover.
    pub fn seconds(&self, data: Option<(i64, i64)>) -> (f64, f64) {
        let Some((first, last)) = data else { return (0.0, 0.0) };
        let cover = |(since, until): (Option<i64>, Option<i64>)| {
            let from = since.map_or(first, |s| s.max(first));
            let to = until.map_or(last, |u| u.min(last));
            (to - from).max(0) as f64 / SECOND as f64
        };
        (cover(self.window), self.baseline.map_or(0.0, cover))
    }
}

impl Moment {
    fn micros(&self, name: &str, ahead: i64) -> Result<i64, Failure> {
        let clock = Clock { ahead, latest_day: 0 };
        let found = match self {
            Self::Number(number) => Clock::number(*number),
            Self::Text(text) => clock.whole(text).or_else(|| clock.whole(&format!("{text}T00:00:00"))),
        };
        found.ok_or_else(|| bad(format!("`{name}` is no time; write it as 2026-01-05T14:30:00Z or as Unix seconds")))
    }
}

/// `+08:00`, `-0530` or `UTC` as seconds ahead of UTC.
fn zone(text: &str) -> Result<i64, Failure> {
    let now = format!("2000-01-01T00:00:00{}", if text.eq_ignore_ascii_case("utc") { "Z" } else { text });
    let clock = Clock { ahead: i64::MIN, latest_day: 0 };
    let fits = text.eq_ignore_ascii_case("utc") || text == "Z" || text.starts_with(['+', '-']);
    fits.then(|| Clock { ahead: 0, ..clock }.whole(&now))
        .flatten()
        .map(|time| 946_684_800 - time / SECOND)
        .ok_or_else(|| bad(format!("`zone` is no offset from UTC: {text}; write it as +08:00")))
}

fn bad(message: String) -> Failure {
    Failure::new(FailureKind::Schema, message)
}

/// The entries of a row for a point in time: `NAME` in RFC 3339 and `NAME_unix` in seconds.
pub(super) fn put_time(row: &mut BTreeMap<String, Value>, name: &str, time: i64) {
    row.insert(name.to_owned(), Value::from(Timestamp(time).rfc3339()));
    row.insert(format!("{name}_unix"), number(time as f64 / SECOND as f64));
}

/// A number as a value; null where it is none. Rounded to six digits behind the point.
pub(super) fn number(number: f64) -> Value {
    Value::float((number * 1e6).round() / 1e6).unwrap_or(Value::Null)
}
