//! What do the files hold? [`read`] walks a file or folder and gathers every sample that passes the [`Filter`].
//!
//! A file is read as a stream, record by record; memory holds the samples that are kept and one record.
//! One unreadable file of a folder is a remark, of a path that names it an error.

mod files;
mod graph;
mod labels;
mod layout;
mod lines;
mod open;
mod openmetrics;
mod table;

use std::sync::Arc;

use globset::GlobSet;
use jiff::tz::TimeZone;

pub use files::{File, Form, find};
pub use graph::Edges;
use graph::{Graph, MAX_EDGES};
pub use labels::{Identity, NAME};
pub use layout::Layout;

use super::{
    clock::Clock,
    error::MetricsError,
    kind,
    notes::Notes,
    series::{Collector, Point, Series, Target},
};
use crate::{
    tool::{Stop, strip_pod_hash},
    value::FailureKind,
};

/// The longest record or line, in bytes.
pub const MAX_RECORD: usize = 1 << 20;
/// The most bytes of one file, decompressed.
pub const MAX_BYTES: u64 = 16 << 30;
/// The most columns of a table.
pub const MAX_COLUMNS: usize = 4096;
/// How many records are looked at before the columns are given their meaning.
pub const SNIFFED: usize = 256;

/// Which samples are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Services; none means all.
    pub service: Option<GlobSet>,
    /// Metrics; none means all.
    pub metric: Option<GlobSet>,
    /// Kinds; empty means all.
    pub kinds: Vec<kind::Kind>,
    /// Not before, in microseconds.
    pub from: Option<i64>,
    /// Not after, in microseconds.
    pub to: Option<i64>,
}

impl Filter {
    /// Whether series of that service are wanted.
    pub fn takes_service(&self, service: &str) -> bool {
        self.service.as_ref().is_none_or(|set| set.is_match(service))
    }

    /// Whether series of that metric are wanted.
    pub fn takes_metric(&self, metric: &str) -> bool {
        self.metric.as_ref().is_none_or(|set| set.is_match(metric))
            && (self.kinds.is_empty() || self.kinds.contains(&kind::class_of(metric).kind))
    }
}

/// The service and the instance of a series whose data names them so; an instance that is the service itself is none.
pub fn placed<'a>(service: &'a str, instance: &'a str, default_service: &'a str) -> (&'a str, &'a str) {
    let named = if service.is_empty() { instance } else { service };
    let service = if named.is_empty() { default_service } else { strip_pod_hash(named) };
    (service, if instance == service { "" } else { instance })
}

/// How files are read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Where times without a zone were taken.
    pub zone: TimeZone,
    /// Which samples are wanted.
    pub filter: Filter,
    /// When to stop.
    pub stop: Stop,
}

/// Gathers the samples of `files`, and the edges of call graphs among them.
///
/// # Errors
/// The only file cannot be read as metrics, none of several can, or the call was stopped.
pub fn read(files: &[File], how: &Reading, notes: &mut Notes) -> Result<(Vec<Series>, Edges), MetricsError> {
    let mut collector = Collector::new();
    let mut edges = Edges::new();
    let mut first_error = None;
    let mut good = 0usize;
    for file in files {
        how.stop.check()?;
        let mut sink = Sink::new(&mut collector, how, &file.name, files::service_of_file(&file.name));
        match read_one(file, how, &mut sink) {
            Ok(()) => {
                good += 1;
                edges.append(&mut sink.edges);
                sink.remark(notes);
            }
            Err(MetricsError::Failed(failure)) if matches!(failure.kind, FailureKind::Cancelled | FailureKind::Timeout) => {
                return Err(failure.into());
            }
            Err(error) => {
                sink.remark(notes);
                notes.add(format!("{error} (left out)"));
                first_error.get_or_insert(error);
            }
        }
    }
    match first_error {
        Some(error) if good == 0 => Err(error),
        Some(_) | None => Ok((collector.finish(notes), edges)),
    }
}

fn read_one(file: &File, how: &Reading, sink: &mut Sink<'_>) -> Result<(), MetricsError> {
    let mut input = open::open(file, &how.stop)?;
    let form = match file.form {
        Some(form) => form,
        None => open::form_of(&mut input, file)?,
    };
    match form {
        Form::Table => table::read(input, file, sink),
        Form::Lines => lines::read(input, file, sink),
        Form::OpenMetrics => openmetrics::read(input, file, sink),
    }
}

/// Takes the samples of one file: reads their times, filters them, counts what it cannot use.
pub struct Sink<'a> {
    collector: &'a mut Collector,
    filter: &'a Filter,
    /// The clock of this file.
    pub clock: Clock,
    source: Arc<str>,
    /// The service of samples that name none.
    pub default_service: String,
    /// Whether equal samples are separate facts.
    pub keep_equal: bool,
    /// What is odd about the file as a whole.
    pub remarks: Vec<String>,
    /// Which service calls which, where the file is a call graph.
    pub edges: Edges,
    samples: u64,
    missing: u64,
    local: u64,
    timeless: Odd,
    wordy: Odd,
    broken: Odd,
}

/// How often something odd was met, and where first.
#[derive(Default)]
struct Odd {
    count: u64,
    line: u64,
    text: String,
}

impl Odd {
    fn add(&mut self, line: u64, text: &str) {
        if self.count == 0 {
            self.line = line;
            self.text = text.chars().take(40).collect();
        }
        self.count += 1;
    }

    fn say(&self, notes: &mut Notes, source: &str, what: &str) {
        if self.count > 0 {
            notes.add(format!("{source}: {} {what} (first: line {}, `{}`)", self.count, self.line, self.text));
        }
    }
}

/// A sample as a file has it.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The service; empty for the file's own.
    pub service: &'a str,
    /// The instance, as written; empty when there is none.
    pub instance: &'a str,
    /// The metric.
    pub metric: &'a str,
    /// Further labels.
    pub labels: &'a str,
    /// Whether the file says that it is a counter.
    pub counter: Option<bool>,
    /// When, in microseconds.
    pub at: i64,
    /// The value.
    pub value: f64,
}

impl<'a> Sink<'a> {
    /// For samples of `source`, which are of `default_service` where they name none.
    pub fn new(collector: &'a mut Collector, how: &'a Reading, source: &str, default_service: String) -> Self {
        Self {
            collector,
            filter: &how.filter,
            clock: Clock::new(how.zone.clone()),
            source: source.into(),
            default_service,
            keep_equal: false,
            remarks: Vec::new(),
            edges: Edges::new(),
            samples: 0,
            missing: 0,
            local: 0,
            timeless: Odd::default(),
            wordy: Odd::default(),
            broken: Odd::default(),
        }
    }

    /// The time of a record; `None`, and counted, when it has none.
    pub fn time(&mut self, text: &str, line: u64) -> Option<i64> {
        let Some(moment) = self.clock.read(text) else {
            self.timeless.add(line, text);
            return None;
        };
        self.local += u64::from(!moment.absolute);
        Some(moment.micros)
    }

    /// Takes a cell as a value of a sample; anything but a finite number is counted and dropped.
    pub fn cell(&mut self, cell: super::number::Cell, text: &str, line: u64) -> Option<f64> {
        match cell {
            super::number::Cell::Number(value) => return Some(value),
            super::number::Cell::Missing => self.missing += 1,
            super::number::Cell::Text => self.wordy.add(line, text),
        }
        None
    }

    /// Takes a sample.
    pub fn sample(&mut self, sample: Sample<'_>) {
        if !sample.value.is_finite() {
            self.missing += 1;
            return;
        }
        let (service, instance) = placed(sample.service, sample.instance, &self.default_service);
        self.samples += 1;
        let filter = self.filter;
        let wanted = filter.from.is_none_or(|from| sample.at >= from)
            && filter.to.is_none_or(|to| sample.at <= to)
            && filter.takes_service(service)
            && filter.takes_metric(sample.metric);
        if wanted {
            let target = Target {
                service,
                instance,
                metric: sample.metric,
                labels: sample.labels,
                counter: sample.counter,
                source: &self.source,
                keep_equal: self.keep_equal,
            };
            self.collector.add(target, Point { at: sample.at, value: sample.value });
        }
    }

    /// A record that could not be read at all.
    pub fn broken(&mut self, line: u64, text: &str) {
        self.broken.add(line, text);
    }

    /// How many values were none: NaN, infinite.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// How many samples the file had, wanted or not.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    fn remark(&self, notes: &mut Notes) {
        let source = &self.source;
        for remark in &self.remarks {
            notes.add(format!("{source}: {remark}"));
        }
        self.timeless.say(notes, source, "records without a readable time were left out");
        self.broken.say(notes, source, "records could not be read and were left out");
        self.wordy.say(notes, source, "values are no numbers and were left out");
        if self.local > 0 {
            notes.add("some times name no zone and were taken as `zone` says (default UTC)".to_owned());
        }
        if self.missing > 0 && self.samples == 0 {
            notes.add(format!("{source}: all {} values are missing (empty, NaN, infinite)", self.missing));
        }
    }
}
