//! How many are there of each? The operation `count`: groups of messages, in the window and against the baseline.

use std::collections::{BTreeMap, HashMap};

use super::{
    exception,
    level::Level,
    miner::Miner,
    names::Names,
    query::{GroupBy, Part, Query, number, put_time},
    record::Record,
    scan::{LogFile, Read, Sink},
    stamp::SECOND,
    stats::rate_z,
};
use crate::{
    tool::{count, lines::shorten},
    value::{Timestamp, Value},
};

/// Groups of one search; what comes later is left out and counted.
const GROUPS: usize = 20_000;
/// Characters of an example.
const WIDTH: usize = 300;
/// Characters of a stack trace.
const MORE: usize = 1_500;

/// The groups of the messages that fit.
pub(super) struct Count<'q> {
    query: &'q Query,
    files: &'q [LogFile],
    file: usize,
    names: Names,
    miner: Miner,
    groups: HashMap<Key, Tally>,
    matched: u64,
    left_out: u64,
}

/// The service, where the group has one, and the number of its name or template.
type Key = (Option<u32>, u32);

/// What is known of a group.
struct Tally {
    window: u64,
    baseline: u64,
    /// First and last in the window.
    seen: Option<(i64, i64)>,
    levels: BTreeMap<Level, u64>,
    example: Example,
}

/// One of a group: of the window, where there is one.
struct Example {
    file: usize,
    line: u64,
    text: String,
    more: String,
    of_window: bool,
}

impl<'q> Count<'q> {
    /// For that file.
    pub fn new(query: &'q Query, files: &'q [LogFile], file: usize) -> Self {
        Self {
            query,
            files,
            file,
            names: Names::default(),
            miner: Miner::default(),
            groups: HashMap::new(),
            matched: 0,
            left_out: 0,
        }
    }

    fn key(&mut self, record: &Record<'_>) -> Option<Key> {
        Some(match self.query.group_by {
            GroupBy::Template => (Some(self.names.id(&record.service)), self.miner.learn(&record.text)),
            GroupBy::Service => (None, self.names.id(&record.service)),
            GroupBy::Level => (None, self.names.id(record.level.map_or("none", Level::name))),
            GroupBy::File => (None, self.names.id(self.files[self.file].found.shown())),
            GroupBy::Minute => (None, self.names.id(&slot(record.time?, 60))),
            GroupBy::Hour => (None, self.names.id(&slot(record.time?, 3600))),
            GroupBy::Exception => {
                let name = exception::name(&record.text, &record.more)?;
                (Some(self.names.id(&record.service)), self.names.id(&name))
            }
            GroupBy::Capture => {
                let pattern = self.query.pattern.as_ref()?;
                let found = pattern.captures(record.text.as_bytes()).or_else(|| pattern.captures(record.more.as_bytes()))?;
                (None, self.names.id(&String::from_utf8_lossy(found.get(1)?.as_bytes())))
            }
        })
    }

    /// The rows, what there is in all, and a note where groups were left out.
    pub fn rows(self, read: &Read) -> (Vec<Value>, u64, Option<String>) {
        let (window, baseline) = self.query.seconds(read.span);
        let mut groups: Vec<(String, Key, f64, &Tally)> = (self.groups.iter())
            .map(|(key, tally)| (self.label(*key), *key, rate_z(tally.window, window, tally.baseline, baseline), tally))
            .collect();
        let in_time = matches!(self.query.group_by, GroupBy::Minute | GroupBy::Hour);
        groups.sort_by(|(name_a, key_a, z_a, a), (name_b, key_b, z_b, b)| {
            let by_rank = if baseline > 0.0 { z_b.abs().total_cmp(&z_a.abs()) } else { std::cmp::Ordering::Equal };
            let service = |key: &Key| key.0.map(|id| self.names.name(id).to_owned());
            let by_name = || name_a.cmp(name_b).then_with(|| service(key_a).cmp(&service(key_b)));
            if in_time { by_name() } else { by_rank.then(b.window.cmp(&a.window)).then_with(by_name) }
        });
        let rows =
            groups.iter().take(self.query.limit).map(|(name, key, z, tally)| self.row(name, *key, *z, tally, window, baseline));
        let mut notes = Vec::new();
        if groups.len() > self.query.limit {
            notes.push(format!("{} groups, the first {} are shown", groups.len(), self.query.limit));
        }
        if self.left_out > 0 {
            notes.push(format!("more than {GROUPS} groups: {} messages are not counted", self.left_out));
        }
        (rows.collect(), self.matched, (!notes.is_empty()).then(|| notes.join("; ")))
    }

    fn label(&self, key: Key) -> String {
        match self.query.group_by {
            GroupBy::Template => self.miner.text(key.1),
            GroupBy::Service
            | GroupBy::Level
            | GroupBy::File
            | GroupBy::Minute
            | GroupBy::Hour
            | GroupBy::Exception
            | GroupBy::Capture => self.names.name(key.1).to_owned(),
        }
    }

    fn row(&self, name: &str, key: Key, z: f64, tally: &Tally, window: f64, baseline: f64) -> Value {
        let mut row = BTreeMap::new();
        let mut put = |name: &str, value: Value| row.insert(name.to_owned(), value);
        if let Some(service) = key.0 {
            put("service", Value::from(self.names.name(service)));
        }
        let label = match self.query.group_by {
            GroupBy::Template => "template",
            GroupBy::Service => "service",
            GroupBy::Level => "level",
            GroupBy::File => "file",
            GroupBy::Minute | GroupBy::Hour => "time",
            GroupBy::Exception => "exception",
            GroupBy::Capture => "capture",
        };
        put(label, Value::from(name));
        put("count", count(tally.window));
        put("levels", Value::map(tally.levels.iter().map(|(level, n)| (level.name(), count(*n)))));
        put("per_minute", rate(tally.window, window));
        let mut example = vec![
            ("file", Value::from(self.files[tally.example.file].found.shown())),
            ("line", count(tally.example.line)),
            ("text", Value::from(tally.example.text.as_str())),
        ];
        if !tally.example.more.is_empty() {
            example.push(("more", Value::from(tally.example.more.as_str())));
        }
        put("example", Value::map(example));
        if baseline > 0.0 {
            put("baseline_count", count(tally.baseline));
            put("baseline_per_minute", rate(tally.baseline, baseline));
            put("new", Value::Bool(tally.baseline == 0));
            put("z", number(z));
            let ratio = (tally.window as f64 / window) / (tally.baseline as f64 / baseline);
            put("ratio", number(ratio));
        }
        if let Some((first, last)) = tally.seen {
            put_time(&mut row, "first", first);
            put_time(&mut row, "last", last);
        }
        Value::map(row)
    }
}

impl Sink for Count<'_> {
    fn take(&mut self, record: &Record<'_>) {
        let part = self.query.part(record.time);
        if part == Part::Neither || !self.query.fits(record) {
            return;
        }
        let Some(key) = self.key(record) else { return };
        let of_window = part == Part::Window;
        self.matched += u64::from(of_window);
        if self.groups.len() >= GROUPS && !self.groups.contains_key(&key) {
            self.left_out += 1;
            return;
        }
        let example = |file: usize| Example {
            file,
            line: record.line,
            text: shorten(&record.text, WIDTH),
            more: if self.query.group_by == GroupBy::Exception { shorten(&record.more, MORE) } else { String::new() },
            of_window,
        };
        let file = self.file;
        let tally = self.groups.entry(key).or_insert_with(|| Tally {
            window: 0,
            baseline: 0,
            seen: None,
            levels: BTreeMap::new(),
            example: example(file),
        });
        if of_window && !tally.example.of_window {
            tally.example = example(file);
        }
        tally.window += u64::from(of_window);
        tally.baseline += u64::from(!of_window);
        if of_window {
            if let Some(level) = record.level {
                *tally.levels.entry(level).or_default() += 1;
            }
            tally.seen = join(tally.seen, record.time.map(|t| (t, t)));
        }
    }

    fn merge(&mut self, later: Self) {
        self.matched += later.matched;
        self.left_out += later.left_out;
        // In the order of their numbers, so that templates grow the same way every time.
        let mut groups: Vec<(Key, Tally)> = later.groups.into_iter().collect();
        groups.sort_by_key(|(key, _)| *key);
        for ((service, id), theirs) in groups {
            let service = service.map(|service| self.names.id(later.names.name(service)));
            let id = match self.query.group_by {
                GroupBy::Template => self.miner.adopt(&later.miner, id),
                GroupBy::Service
                | GroupBy::Level
                | GroupBy::File
                | GroupBy::Minute
                | GroupBy::Hour
                | GroupBy::Exception
                | GroupBy::Capture => self.names.id(later.names.name(id)),
            };
            let key = (service, id);
            if self.groups.len() >= GROUPS && !self.groups.contains_key(&key) {
                self.left_out += theirs.window + theirs.baseline;
                continue;
            }
            match self.groups.entry(key) {
                std::collections::hash_map::Entry::Vacant(slot) => {
                    slot.insert(theirs);
                }
                std::collections::hash_map::Entry::Occupied(mut slot) => slot.get_mut().merge(theirs),
            }
        }
    }
}

impl Tally {
    fn merge(&mut self, later: Self) {
        self.window += later.window;
        self.baseline += later.baseline;
        self.seen = join(self.seen, later.seen);
        for (level, n) in later.levels {
            *self.levels.entry(level).or_default() += n;
        }
        if later.example.of_window && !self.example.of_window {
            self.example = later.example;
        }
    }
}

fn join(one: Option<(i64, i64)>, other: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (one, other) {
        (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
        (one, other) => one.or(other),
    }
}

fn slot(time: i64, seconds: i64) -> String {
    let width = seconds * SECOND;
    Timestamp(time.div_euclid(width) * width).rfc3339()
}

fn rate(n: u64, seconds: f64) -> Value {
    number(n as f64 * 60.0 / seconds)
}
