//! What do the columns mean? [`Layout`], told from their names and a first stretch of rows.

use std::collections::BTreeSet;

use super::{
    super::{
        clock::{self, Clock},
        number::{self, Cell},
    },
    Sample, Sink,
};

/// Columns that hold a time, best first.
const TIMES: [&str; 22] = [
    "timestamp",
    "time",
    "datetime",
    "date",
    "ts",
    "epoch",
    "unixtime",
    "eventtime",
    "starttime",
    "timegenerated",
    "usagestartdate",
    "usagestarttime",
    "usagedate",
    "start",
    "startdate",
    "period",
    "interval",
    "hour",
    "day",
    "bucket",
    "t",
    "when",
];
/// Columns that name a service, best first.
const SERVICES: [&str; 13] = [
    "service",
    "servicename",
    "svc",
    "app",
    "application",
    "component",
    "workload",
    "deployment",
    "job",
    "product",
    "productname",
    "entity",
    "name",
];
/// Columns that name an instance of a service, best first.
const INSTANCES: [&str; 16] = [
    "pod",
    "podname",
    "kubernetespodname",
    "instance",
    "instanceid",
    "container",
    "containername",
    "cmdbid",
    "target",
    "resource",
    "resourcename",
    "node",
    "nodename",
    "host",
    "hostname",
    "server",
];
/// Columns whose numbers are names.
const NUMBERED_SERVICES: [&str; 2] = ["service", "servicename"];
const NUMBERED_INSTANCES: [&str; 5] = ["pod", "podname", "instance", "instanceid", "cmdbid"];
/// Columns that name a metric, best first.
const METRICS: [&str; 8] = ["metric", "metricname", "kpi", "kpiname", "measurement", "countername", "field", "name"];
/// Columns that hold its value, best first.
const VALUES: [&str; 6] = ["value", "metricvalue", "val", "reading", "average", "v"];
/// Columns that never tell series apart.
const PROSE: [&str; 7] = ["message", "msg", "description", "comment", "unit", "units", "help"];
/// A text column with more distinct values than this among the first rows is an identifier, not a label.
const MAX_LABEL_VALUES: usize = 48;
/// How many of ten cells must be of a sort for their column to be.
const MOST: usize = 8;

/// What the columns of a table mean.
#[derive(Clone, Debug)]
pub struct Layout {
    time: TimeColumn,
    service: Option<usize>,
    instance: Option<usize>,
    shape: Shape,
    labels: Vec<(usize, String)>,
    decimal_comma: bool,
    line: String,
}

#[derive(Clone, Copy, Debug)]
enum TimeColumn {
    One(usize),
    /// A date and a time of day.
    Two(usize, usize),
}

#[derive(Clone, Debug)]
enum Shape {
    /// A metric a column.
    Wide(Vec<(usize, String)>),
    /// A metric a row.
    Long { metric: usize, value: usize },
}

/// What the cells of a column are, among the rows looked at.
#[derive(Clone, Debug, Default)]
struct Sort {
    filled: usize,
    numbers: usize,
    times: usize,
    absolute: usize,
    dates: usize,
    clocks: usize,
    distinct: BTreeSet<String>,
}

impl Sort {
    fn mostly(&self, count: usize) -> bool {
        self.filled > 0 && count * 10 >= self.filled * MOST
    }
}

impl Layout {
    /// Tells the layout of a table.
    ///
    /// # Errors
    /// A sentence on what is missing and what would help.
    pub fn tell(header: &[String], rows: &[Vec<String>], decimal_comma: bool, sink: &mut Sink<'_>) -> Result<Self, String> {
        let names: Vec<String> = header.iter().map(|name| normal(name)).collect();
        tell_order(header.len(), rows, sink);
        let sorts: Vec<Sort> = (0..header.len()).map(|i| sort_of(i, rows, decimal_comma, &sink.clock)).collect();
        let time = time_column(&names, &sorts)
            .ok_or_else(|| "no column holds a time; name one `timestamp`, with RFC 3339 or seconds since the epoch".to_owned())?;
        let is_time = |i: &usize| match time {
            TimeColumn::One(a) => *i == a,
            TimeColumn::Two(a, b) => *i == a || *i == b,
        };
        let named = |list: &[&str], fits: &dyn Fn(&Sort) -> bool| {
            list.iter().find_map(|word| (0..names.len()).find(|i| !is_time(i) && names[*i] == *word && fits(&sorts[*i])))
        };
        let worded = |sort: &Sort| !sort.mostly(sort.numbers) || sort.filled == 0;
        let value = named(&VALUES, &|sort| sort.mostly(sort.numbers) || sort.filled == 0);
        // A `name` without a value is the name of what is measured, not of a metric.
        let metric = named(&METRICS, &|sort| worded(sort) && sort.filled > 0).filter(|i| names[*i] != "name" || value.is_some());
        let service = named(&SERVICES, &worded).filter(|i| Some(*i) != metric).or_else(|| named(&NUMBERED_SERVICES, &|_| true));
        let instance =
            named(&INSTANCES, &worded).or_else(|| named(&NUMBERED_INSTANCES, &|_| true)).filter(|i| Some(*i) != service);
        let numeric: Vec<usize> = (0..names.len())
            .filter(|i| !is_time(i) && Some(*i) != service && Some(*i) != instance)
            .filter(|i| sorts[*i].filled == 0 || sorts[*i].mostly(sorts[*i].numbers))
            .filter(|i| !sorts[*i].mostly(sorts[*i].times) || !TIMES.contains(&names[*i].as_str()))
            .filter(|i| !names[*i].is_empty() && !names[*i].starts_with("unnamed") && !is_id(&header[*i]))
            .collect();
        let shape = match (metric, value, numeric.as_slice()) {
            (Some(metric), Some(value), _) => Shape::Long { metric, value },
            (Some(metric), None, [value]) => Shape::Long { metric, value: *value },
            _ if numeric.is_empty() => return Err("no column holds numbers, so there is nothing to measure".to_owned()),
            _ => Shape::Wide(numeric.iter().map(|i| (*i, header[*i].trim().to_owned())).collect()),
        };
        let used = |i: usize| {
            is_time(&i)
                || Some(i) == service
                || Some(i) == instance
                || match &shape {
                    Shape::Wide(columns) => columns.iter().any(|(c, _)| *c == i),
                    Shape::Long { metric, value } => i == *metric || i == *value,
                }
        };
        let texts: Vec<usize> = (0..names.len())
            .filter(|i| !used(*i) && sorts[*i].filled > 0 && !sorts[*i].mostly(sorts[*i].times))
            .filter(|i| worded(&sorts[*i]) || is_id(&header[*i]))
            .filter(|i| !PROSE.contains(&names[*i].as_str()) && !names[*i].is_empty())
            .collect();
        let (labels, ids): (Vec<usize>, Vec<usize>) =
            texts.into_iter().partition(|i| sorts[*i].distinct.len() <= MAX_LABEL_VALUES);
        // Rows that differ only in an identifier are separate facts, even when their numbers are equal.
        sink.keep_equal = !ids.is_empty();
        if !ids.is_empty() {
            let ignored: Vec<&str> = ids.iter().map(|i| header[*i].as_str()).collect();
            sink.remarks.push(format!("columns with many different texts do not tell series apart: {}", ignored.join(", ")));
        }
        let mut labels: Vec<(usize, String)> = labels.into_iter().map(|i| (i, header[i].trim().to_owned())).collect();
        labels.sort_by(|a, b| a.1.cmp(&b.1));
        Ok(Self { time, service, instance, shape, labels, decimal_comma, line: String::new() })
    }

    /// Hands the samples of a row to `sink`; `cell` gives the text of a column, empty where there is none.
    pub fn take<'r>(&mut self, cell: impl Fn(usize) -> &'r str, line: u64, sink: &mut Sink<'_>) {
        let at = match self.time {
            TimeColumn::One(i) => sink.time(cell(i), line),
            TimeColumn::Two(date, time) => sink.time(&format!("{} {}", cell(date).trim(), cell(time).trim()), line),
        };
        let Some(at) = at else { return };
        self.line.clear();
        for (i, name) in &self.labels {
            let text = cell(*i).trim();
            if !text.is_empty() {
                if !self.line.is_empty() {
                    self.line.push(',');
                }
                self.line.push_str(name);
                self.line.push('=');
                self.line.push_str(text);
            }
        }
        let whose = |i: Option<usize>| i.map_or("", |i| cell(i).trim());
        let sample = Sample {
            service: whose(self.service),
            instance: whose(self.instance),
            metric: "",
            labels: &self.line,
            counter: None,
            at,
            value: 0.0,
        };
        let comma = self.decimal_comma;
        match &self.shape {
            Shape::Long { metric, value } => {
                let text = cell(*value);
                if let Some(value) = sink.cell(number::read(text, comma), text, line) {
                    sink.sample(Sample { metric: cell(*metric).trim(), value, ..sample });
                }
            }
            Shape::Wide(columns) => {
                for (i, metric) in columns {
                    let text = cell(*i);
                    if let Some(value) = sink.cell(number::read(text, comma), text, line) {
                        sink.sample(Sample { metric, value, ..sample });
                    }
                }
            }
        }
    }
}

/// Whether a row holds values rather than names: it has a time in it, or nothing but numbers.
pub fn is_data(cells: &[String], clock: &Clock) -> bool {
    let filled: Vec<&String> = cells.iter().filter(|c| !c.trim().is_empty()).collect();
    let numbers = filled.iter().filter(|c| matches!(number::read(c, false), Cell::Number(_))).count();
    filled.iter().any(|c| clock.parse(c).is_some()) || (!filled.is_empty() && numbers == filled.len())
}

fn normal(name: &str) -> String {
    name.trim().chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether a column's name says that its numbers are names.
fn is_id(name: &str) -> bool {
    let name = name.trim();
    let lower = name.to_ascii_lowercase();
    lower == "id"
        || lower.ends_with("_id")
        || lower.ends_with(" id")
        || lower.ends_with("-id")
        || name.ends_with("Id")
        || name.ends_with("ID")
}

fn tell_order(columns: usize, rows: &[Vec<String>], sink: &mut Sink<'_>) {
    let mut doubtful = false;
    for i in 0..columns {
        let texts = || rows.iter().filter_map(|row| row.get(i)).map(String::as_str).filter(|text| clock::is_slashed(text));
        match clock::date_order(texts()) {
            Some(order) => {
                sink.clock.order = order;
                return;
            }
            None => doubtful |= texts().next().is_some(),
        }
    }
    if doubtful {
        sink.remarks.push("dates such as 03/04/2026 were read as day/month/year; nothing in the first rows tells".to_owned());
    }
}

fn sort_of(column: usize, rows: &[Vec<String>], decimal_comma: bool, clock: &Clock) -> Sort {
    let mut sort = Sort::default();
    for text in rows.iter().filter_map(|row| row.get(column)).map(|text| text.trim()) {
        match number::read(text, decimal_comma) {
            Cell::Missing => continue,
            Cell::Number(_) => sort.numbers += 1,
            Cell::Text => {}
        }
        sort.filled += 1;
        if let Some(moment) = clock.parse(text) {
            sort.times += 1;
            sort.absolute += usize::from(moment.absolute);
            sort.dates += usize::from(!text.contains(':') && !moment.absolute);
        } else if clock.parse(&format!("2000-01-01 {text}")).is_some() && text.contains(':') {
            sort.clocks += 1;
        }
        if sort.distinct.len() <= MAX_LABEL_VALUES {
            sort.distinct.insert(text.to_owned());
        }
    }
    sort
}

/// The column to take times from: one that says where on the time line it is, then by name, then by place.
fn time_column(names: &[String], sorts: &[Sort]) -> Option<TimeColumn> {
    let rank = |i: usize| TIMES.iter().position(|word| *word == names[i]).unwrap_or(TIMES.len());
    let looks = |i: usize| ["time", "date"].iter().any(|word| names[i].contains(word));
    let best = (0..names.len())
        .filter(|i| sorts[*i].mostly(sorts[*i].times))
        // Plain numbers are times only under a name that says so.
        .filter(|i| rank(*i) < TIMES.len() || looks(*i) || !sorts[*i].mostly(sorts[*i].numbers))
        .min_by_key(|i| (!sorts[*i].mostly(sorts[*i].absolute), rank(*i), *i))?;
    if sorts[best].mostly(sorts[best].dates)
        && let Some(clock) = (0..names.len()).find(|i| sorts[*i].mostly(sorts[*i].clocks) && names[*i].contains("time"))
    {
        return Some(TimeColumn::Two(best, clock));
    }
    Some(TimeColumn::One(best))
}
