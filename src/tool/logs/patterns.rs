//! What began to be said more often? The operation `patterns`: per service and template, the moment from which on there were most more than before.

use std::collections::{BTreeMap, HashMap};

use super::{
    level::Level,
    miner::Miner,
    names::Names,
    query::{Query, number, put_time},
    record::Record,
    scan::{LogFile, Read, Sink},
    stamp::SECOND,
    stats::surprise,
    trace::{TraceLog, by_name},
};
use crate::{
    tool::{count, lines::shorten},
    value::Value,
};

/// Patterns of one search; what comes later is left out and counted.
const PATTERNS: usize = 5_000;
/// Slots of time that one pattern's messages are counted in; their width doubles when there are more.
const SLOTS: usize = 4_096;
/// The first width of a slot, in microseconds.
const WIDTH: i64 = 1_000;
/// Seconds that must be left of the window after a change.
const AFTER: f64 = 10.0;
/// What a surprise is divided by to make 1 a noteworthy score: one in a thousand.
const NOTEWORTHY: f64 = 3.0;

/// The patterns of the messages that fit.
pub(super) struct Patterns<'q> {
    query: &'q Query,
    files: &'q [LogFile],
    file: usize,
    names: Names,
    miner: Miner,
    found: HashMap<(u32, u32), Found>,
    traces: TraceLog,
    matched: u64,
    left_out: u64,
}

struct Found {
    slots: Slots,
    level: Level,
    example: (usize, u64, String),
}

/// Counts over time.
struct Slots {
    width: i64,
    counts: BTreeMap<i64, u64>,
}

/// The best moment to call a change.
struct Change {
    at: i64,
    before: u64,
    after: u64,
    expected: f64,
    score: f64,
}

impl<'q> Patterns<'q> {
    /// For that file.
    pub fn new(query: &'q Query, files: &'q [LogFile], file: usize) -> Self {
        Self {
            query,
            files,
            file,
            names: Names::default(),
            miner: Miner::default(),
            found: HashMap::new(),
            traces: TraceLog::default(),
            matched: 0,
            left_out: 0,
        }
    }

    /// The rows by score, what there is in all, and a note where something was left out.
    pub fn rows(self, read: &Read) -> (Vec<Value>, u64, Option<String>) {
        let Some((first, last)) = read.span else { return (Vec::new(), self.matched, None) };
        let end = self.query.window.1.map_or(last, |until| until.min(last));
        let before_errors = self.traces.before_errors();
        let mut rows: Vec<(f64, (u32, u32), Change, &Found)> = (self.found.iter())
            .filter_map(|(key, found)| {
                let change = found.slots.change(self.query.window, first, end)?;
                Some((change.score, *key, change, found))
            })
            .collect();
        rows.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.2.after.cmp(&a.2.after)).then(a.1.cmp(&b.1)));
        let total = rows.len();
        let made = rows.into_iter().take(self.query.limit).map(|(score, key, change, found)| {
            let mut row = BTreeMap::new();
            let mut put = |name: &str, value: Value| row.insert(name.to_owned(), value);
            put("service", Value::from(self.names.name(key.0)));
            put("template", Value::from(self.miner.text(key.1)));
            put("level", Value::from(found.level.name()));
            put("before", count(change.before));
            put("after", count(change.after));
            put("ratio", number(change.after as f64 / change.expected));
            put("score", number(score));
            put("new", Value::Bool(change.before == 0));
            if let Some(counts) = before_errors.get(&key) {
                put("spoke_last", by_name(counts, &self.names));
            }
            let (file, line, text) = &found.example;
            let example = [
                ("file", Value::from(self.files[*file].found.shown())),
                ("line", count(*line)),
                ("text", Value::from(text.as_str())),
            ];
            put("example", Value::map(example));
            put_time(&mut row, "onset", change.at);
            Value::map(row)
        });
        let made = made.collect();
        let mut notes = Vec::new();
        if total > self.query.limit {
            notes.push(format!("{total} patterns, the first {} are shown", self.query.limit));
        }
        if self.left_out > 0 {
            notes.push(format!("more than {PATTERNS} patterns: {} messages are not counted", self.left_out));
        }
        (made, self.matched, (!notes.is_empty()).then(|| notes.join("; ")))
    }
}

impl Sink for Patterns<'_> {
    fn take(&mut self, record: &Record<'_>) {
        let Some(time) = record.time else { return };
        if self.query.window.1.is_some_and(|until| time >= until) || !self.query.fits_service(record) {
            return;
        }
        let service = self.names.id(&record.service);
        let fits = self.query.fits(record);
        let template = if fits { self.miner.learn(&record.text) } else { 0 };
        if let Some(trace) = self.query.trace_of(record) {
            self.traces.add(trace, time, service, template, fits);
        }
        if !fits {
            return;
        }
        self.matched += 1;
        let key = (service, template);
        if self.found.len() >= PATTERNS && !self.found.contains_key(&key) {
            self.left_out += 1;
            return;
        }
        let level = record.level.unwrap_or(Level::Info);
        let found = self.found.entry(key).or_insert_with(|| Found {
            slots: Slots::default(),
            level,
            example: (self.file, record.line, shorten(&record.text, 300)),
        });
        found.level = found.level.max(level);
        found.slots.add(time, 1);
    }

    fn merge(&mut self, later: Self) {
        self.matched += later.matched;
        self.left_out += later.left_out;
        let mut templates: HashMap<u32, u32> = HashMap::new();
        let mut found: Vec<_> = later.found.into_iter().collect();
        found.sort_by_key(|(key, _)| *key);
        for ((service, template), theirs) in found {
            let adopted = *templates.entry(template).or_insert_with(|| self.miner.adopt(&later.miner, template));
            let key = (self.names.id(later.names.name(service)), adopted);
            match self.found.entry(key) {
                std::collections::hash_map::Entry::Occupied(mut ours) => {
                    let ours = ours.get_mut();
                    ours.level = ours.level.max(theirs.level);
                    ours.slots.merge(theirs.slots);
                }
                std::collections::hash_map::Entry::Vacant(slot) => {
                    slot.insert(theirs);
                }
            }
        }
        let names = &mut self.names;
        self.traces.merge(later.traces, |service, template| {
            (names.id(later.names.name(service)), templates.get(&template).copied().unwrap_or(0))
        });
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self { width: WIDTH, counts: BTreeMap::new() }
    }
}

impl Slots {
    fn add(&mut self, time: i64, n: u64) {
        *self.counts.entry(time.div_euclid(self.width)).or_default() += n;
        if self.counts.len() > SLOTS {
            self.widen();
        }
    }

    fn merge(&mut self, later: Self) {
        for (slot, n) in later.counts {
            self.add(slot * later.width, n);
        }
    }

    fn widen(&mut self) {
        self.width = self.width.saturating_mul(2);
        let mut counts = BTreeMap::new();
        for (slot, n) in std::mem::take(&mut self.counts) {
            *counts.entry(slot.div_euclid(2)).or_default() += n;
        }
        self.counts = counts;
    }

    /// The moment in the window from which on there were most more than before, one of the messages' own; the score allows for the
    /// number of moments that were tried.
    fn change(&self, window: (Option<i64>, Option<i64>), first: i64, end: i64) -> Option<Change> {
        let total: u64 = self.counts.values().sum();
        let (mut before, mut tried) = (0, 0u32);
        let mut best: Option<Change> = None;
        let seconds = |span: i64| span as f64 / SECOND as f64;
        for (slot, n) in &self.counts {
            let at = slot.saturating_mul(self.width);
            let left = seconds(end - at) + 1.0;
            if window.0.is_none_or(|since| at >= since) && window.1.is_none_or(|until| at < until) {
                tried += 1;
                if left >= AFTER {
                    let after = total - before;
                    let expected = (before as f64 + 0.5) * left / seconds(at - first).max(1.0);
                    let score = surprise(after, expected);
                    if best.as_ref().is_none_or(|found| score > found.score) {
                        best = Some(Change { at: at.max(first), before, after, expected, score });
                    }
                }
            }
            before += n;
        }
        let mut best = best?;
        best.score = (best.score - f64::from(tried).log10()).max(0.0) / NOTEWORTHY;
        Some(best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_found_where_it_begins_and_a_steady_stream_is_none() {
        let second = |s: i64| s * SECOND;
        let window = (Some(second(600)), Some(second(900)));
        let (mut burst, mut steady) = (Slots::default(), Slots::default());
        for s in (0..900).step_by(60) {
            burst.add(second(s), 1);
            steady.add(second(s), 1);
        }
        for s in 700..760 {
            burst.add(second(s), 1);
        }
        let change = burst.change(window, 0, second(900)).expect("a change");
        assert_eq!(change.at, second(700));
        assert!(change.score > 3.0, "{}", change.score);
        assert!(steady.change(window, 0, second(900)).is_none_or(|c| c.score < 0.5));
    }

    #[test]
    fn slots_stay_few_whatever_the_span() {
        let mut slots = Slots::default();
        for s in 0..100_000 {
            slots.add(s * 7 * SECOND, 1);
        }
        assert!(slots.counts.len() <= SLOTS);
        assert_eq!(slots.counts.values().sum::<u64>(), 100_000);
    }
}
