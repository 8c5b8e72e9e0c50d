//! Which messages are these? The operation `lines`.

use std::collections::BTreeMap;

use super::{
    query::{Part, Query, put_time},
    record::Record,
    scan::{LogFile, Sink},
};
use crate::{
    tool::{count, lines::shorten},
    value::Value,
};

/// Characters of a message.
const WIDTH: usize = 1_000;
/// Characters of the lines that belong to it.
const MORE: usize = 2_000;

/// The first or last messages that fit.
pub(super) struct Find<'q> {
    query: &'q Query,
    files: &'q [LogFile],
    file: usize,
    matched: u64,
    /// By time, file and line; the newest first where those are wanted.
    rows: Vec<(Key, Value)>,
}

/// Messages without time come last.
type Key = (i64, usize, u64);

impl<'q> Find<'q> {
    /// For that file.
    pub fn new(query: &'q Query, files: &'q [LogFile], file: usize) -> Self {
        Self { query, files, file, matched: 0, rows: Vec::new() }
    }

    /// The rows and how many there are in all.
    pub fn rows(mut self) -> (Vec<Value>, u64) {
        self.shrink();
        (self.rows.into_iter().map(|(_, row)| row).collect(), self.matched)
    }

    fn shrink(&mut self) {
        self.rows.sort_by(|a, b| if self.query.newest { b.0.cmp(&a.0) } else { a.0.cmp(&b.0) });
        self.rows.truncate(self.query.limit);
    }

    /// Whether a message with that key would be dropped again at once.
    fn is_late(&self, key: Key) -> bool {
        let full = self.rows.len() >= self.query.limit;
        full && self
            .rows
            .get(self.query.limit - 1)
            .is_some_and(|(last, _)| if self.query.newest { key < *last } else { key > *last })
    }
}

impl Sink for Find<'_> {
    fn take(&mut self, record: &Record<'_>) {
        if self.query.part(record.time) != Part::Window || !self.query.fits(record) {
            return;
        }
        self.matched += 1;
        let undated = if self.query.newest { i64::MIN } else { i64::MAX };
        let key = (record.time.unwrap_or(undated), self.file, record.line);
        if self.is_late(key) {
            return;
        }
        let mut row = BTreeMap::from([
            ("file".to_owned(), Value::from(self.files[self.file].found.shown())),
            ("line".to_owned(), count(record.line)),
            ("service".to_owned(), Value::from(record.service.as_ref())),
            ("text".to_owned(), Value::from(shorten(&record.text, WIDTH))),
        ]);
        if let Some(time) = record.time {
            put_time(&mut row, "time", time);
        }
        if let Some(level) = record.level {
            row.insert("level".to_owned(), Value::from(level.name()));
        }
        if !record.more.is_empty() {
            row.insert("more".to_owned(), Value::from(shorten(&record.more, MORE)));
        }
        self.rows.push((key, Value::map(row)));
        if self.rows.len() >= 2 * self.query.limit {
            self.shrink();
        }
    }

    fn merge(&mut self, later: Self) {
        self.matched += later.matched;
        self.rows.extend(later.rows);
        self.shrink();
    }
}
