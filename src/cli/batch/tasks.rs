//! What is to be done? [`Tasks`] reads a file of tasks line by line, and says of each line that is none where it is wrong and what would be right.
//!
//! A line of a `.jsonl` file is `{"key": "…", "task": "…", "inputs": {…}}`; `task` and `inputs` may be left out, and empty lines count for
//! nothing. A `.csv` file has the columns `key`, `task` and `inputs.NAME`; an empty cell is an input that is not given.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;

use super::super::run::parse_input;
use crate::{
    engine::{BatchTask, Engine, EngineError, MAX_KEY, Prepared, TaskDigest},
    team::did_you_mean,
    value::{Map, Value},
};

/// The longest line, in bytes.
const MAX_LINE: u64 = 16 * 1_024 * 1_024;

/// The file that is stdin.
const STDIN: &str = "-";

/// A line that is no task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// From 1.
    pub(super) line: u64,
    /// From 1.
    pub(super) column: usize,
    /// What is wrong, and what would be right.
    pub(super) why: String,
}

/// What every task is given.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) engine: Engine,
    pub(super) team: Prepared,
    /// What is to be done where a task does not say.
    pub(super) task: Arc<str>,
    /// Inputs of `--input`.
    pub(super) inputs: Map,
}

/// The tasks of a file, as they are read.
pub(super) struct Tasks {
    common: Common,
    lines: Lines,
    /// It could not be read on: there are no more lines.
    broken: bool,
}

enum Lines {
    Json { from: Box<dyn BufRead + Send>, line: u64, text: Vec<u8> },
    Csv { from: Box<csv::Reader<Box<dyn Read + Send>>>, columns: Vec<Column>, row: csv::StringRecord },
}

/// What a column of a CSV file holds.
enum Column {
    Key,
    Task,
    Input(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: serde_json::Value,
    task: Option<String>,
    inputs: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Tasks {
    /// Opens the file, or stdin for [`STDIN`].
    ///
    /// # Errors
    /// It cannot be read, or the head of a CSV file names columns that mean nothing.
    pub(super) fn open(path: &Path, common: Common) -> Result<Self, Wrong> {
        let file: Box<dyn Read + Send> = if path == Path::new(STDIN) {
            Box::new(io::stdin())
        } else {
            let wrong = |why: String| Wrong { line: 1, column: 1, why };
            let file = File::open(path).map_err(|e| wrong(format!("it cannot be read: {e}")))?;
            if file.metadata().is_ok_and(|about| about.is_dir()) {
                return Err(wrong("it is a folder, and a file of tasks is wanted".to_owned()));
            }
            Box::new(file)
        };
        let lines = if is_csv(path) {
            let file: Box<dyn Read + Send> = Box::new(Quotes { from: file, state: Quote::Before, line: 1, opened: 1 });
            let mut from = Box::new(csv::ReaderBuilder::new().from_reader(file));
            let head = from.headers().map_err(|e| wrong_csv(&e))?.clone();
            let columns = columns(&head, &common)?;
            Lines::Csv { from, columns, row: csv::StringRecord::new() }
        } else {
            Lines::Json { from: Box::new(BufReader::with_capacity(64 * 1_024, file)), line: 0, text: Vec::new() }
        };
        Ok(Self { common, lines, broken: false })
    }

    /// What the digest of such a task is in its result.
    pub(super) fn digest(&self, task: &BatchTask) -> Result<TaskDigest, EngineError> {
        self.common.engine.task_digest(&self.common.team, task)
    }

    /// Whether there can be no more lines, since the file could not be read on.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Where something that is called `name` stands in the last line.
    pub(super) fn column_of(&self, name: &str) -> usize {
        self.lines.column_of(name)
    }

    /// The next task and its line. `None` at the end.
    pub(super) fn next(&mut self) -> Option<Result<(u64, BatchTask), Wrong>> {
        if self.broken {
            return None;
        }
        let (line, key, task, inputs) = match self.lines.next(&self.common)? {
            Ok(read) => read,
            Err(Unread::Line(wrong)) => return Some(Err(wrong)),
            Err(Unread::File(wrong)) => {
                self.broken = true;
                return Some(Err(wrong));
            }
        };
        let column = |name: &str| self.lines.column_of(name);
        let wrong = |name: &str, why: String| Some(Err(Wrong { line, column: column(name), why }));
        if key.is_empty() || key.len() > MAX_KEY {
            return wrong("key", format!("a key has 1 to {MAX_KEY} bytes, and this one has {}", key.len()));
        }
        let mut given = self.common.inputs.clone();
        let names: Vec<String> = inputs.keys().cloned().collect();
        given.extend(inputs);
        if let Err(error) = self.common.engine.inputs(&self.common.team, given.clone()) {
            let why = error.to_string();
            let at = names.iter().find(|name| why.contains(name.as_str())).map_or("inputs", String::as_str);
            return wrong(at, why.replace(" with --input ", " here or with --input "));
        }
        let task = task.unwrap_or_else(|| self.common.task.clone());
        Some(Ok((line, BatchTask { key, task, inputs: given })))
    }
}

type Read3 = (u64, Arc<str>, Option<Arc<str>>, Map);

/// Why there is no task.
enum Unread {
    /// The line is none.
    Line(Wrong),
    /// The file cannot be read on.
    File(Wrong),
}

impl Lines {
    fn next(&mut self, common: &Common) -> Option<Result<Read3, Unread>> {
        match self {
            Self::Json { from, line, text } => loop {
                text.clear();
                *line += 1;
                match from.take(MAX_LINE + 1).read_until(b'\n', text) {
                    Ok(0) => return None,
                    Ok(_) if text.trim_ascii().is_empty() => {}
                    Ok(_) if text.len() as u64 > MAX_LINE && text.last() != Some(&b'\n') => {
                        let why = format!("the line has more than {MAX_LINE} bytes; name a file in an input instead");
                        // The rest of it is no line of its own.
                        let skipped = skip_line(from).map_err(|e| Unread::File(unreadable(*line, &e)));
                        return Some(Err(skipped.err().unwrap_or(Unread::Line(Wrong { line: *line, column: 1, why }))));
                    }
                    Ok(_) => return Some(json(*line, text.trim_ascii_end()).map_err(Unread::Line)),
                    Err(error) => return Some(Err(Unread::File(unreadable(*line, &error)))),
                }
            },
            Self::Csv { from, columns, row } => match from.read_record(row) {
                Ok(false) => None,
                Ok(true) => Some(csv(columns, row, common).map_err(Unread::Line)),
                Err(error) if error.is_io_error() => Some(Err(Unread::File(wrong_csv(&error)))),
                Err(error) => Some(Err(Unread::Line(wrong_csv(&error)))),
            },
        }
    }

    /// Where something that is called `name` stands in the last line.
    fn column_of(&self, name: &str) -> usize {
        match self {
            Self::Json { text, .. } => {
                let text = String::from_utf8_lossy(text);
                text.find(&format!("\"{name}\"")).map_or(1, |at| text[..at].chars().count() + 1)
            }
            Self::Csv { columns, .. } => {
                let is_it = |column: &Column| match column {
                    Column::Key => name == "key",
                    Column::Task => name == "task",
                    Column::Input(input) => input == name,
                };
                columns.iter().position(is_it).map_or(1, |at| at + 1)
            }
        }
    }
}

/// Whether it is a file that can be read again, which a pipe cannot.
pub(super) fn is_file(path: &Path) -> bool {
    path != Path::new(STDIN) && path.metadata().is_ok_and(|about| about.is_file())
}

/// Whether it is a pipe or a device: what is read from it is gone.
pub(super) fn is_pipe(path: &Path) -> bool {
    path == Path::new(STDIN) || path.metadata().is_ok_and(|about| !about.is_file() && !about.is_dir())
}

/// How many tasks the file has, roughly: for the progress. Nothing else than a file may be counted: what is read here is gone.
pub(super) fn count(path: &Path) -> io::Result<u64> {
    if is_csv(path) {
        let mut rows = csv::ReaderBuilder::new().flexible(true).from_path(path).map_err(io::Error::other)?;
        return Ok(rows.byte_records().count() as u64);
    }
    let (mut file, mut buffer) = (File::open(path)?, vec![0; 64 * 1_024]);
    let (mut lines, mut last) = (0, b'\n');
    loop {
        let read = file.read(&mut buffer)?;
        let Some(end) = buffer[..read].last() else { break };
        last = *end;
        lines += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64;
    }
    Ok(lines + u64::from(last != b'\n'))
}

fn is_csv(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"))
}

/// What some editors begin a file with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn json(line: u64, text: &[u8]) -> Result<Read3, Wrong> {
    let wrong = |column: usize, why: String| Wrong { line, column: column.max(1), why };
    let text = text.strip_prefix(BYTE_ORDER_MARK).filter(|_| line == 1).unwrap_or(text);
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err(wrong(1, "it is no JSON object; a task is {\"key\": \"…\", \"task\": \"…\", \"inputs\": {…}}".to_owned()));
    }
    let parsed: Line = serde_json::from_slice(text).map_err(|e| {
        let why = e.to_string();
        let why = why.split(" at line ").next().unwrap_or_default();
        wrong(e.column(), format!("{why}; a task is {{\"key\": \"…\", \"task\": \"…\", \"inputs\": {{…}}}}"))
    })?;
    let at = |name: &str| String::from_utf8_lossy(text).find(&format!("\"{name}\"")).map_or(1, |at| at + 1);
    let key = match parsed.key {
        serde_json::Value::String(key) => key,
        serde_json::Value::Number(key) => key.to_string(),
        _ => return Err(wrong(at("key"), "a key is text or a number".to_owned())),
    };
    let mut inputs = Map::new();
    for (name, value) in parsed.inputs.unwrap_or_default() {
        let value = Value::try_from(value).map_err(|e| wrong(at(&name), format!("the input {name}: {e}")))?;
        inputs.insert(name, value);
    }
    Ok((line, key.into(), parsed.task.map(Arc::from), inputs))
}

fn csv(columns: &[Column], row: &csv::StringRecord, common: &Common) -> Result<Read3, Wrong> {
    let line = row.position().map_or(0, csv::Position::line);
    let (mut key, mut task, mut inputs) = (Arc::from(""), None, Map::new());
    for (at, (column, cell)) in columns.iter().zip(row).enumerate() {
        match column {
            Column::Key => key = Arc::from(cell),
            Column::Task if cell.is_empty() => {}
            Column::Task => task = Some(Arc::from(cell)),
            Column::Input(_) if cell.is_empty() => {}
            Column::Input(name) => {
                let value = parse_input(&common.team, name, cell);
                inputs.insert(name.clone(), value.map_err(|why| Wrong { line, column: at + 1, why })?);
            }
        }
    }
    Ok((line, key, task, inputs))
}

fn columns(head: &csv::StringRecord, common: &Common) -> Result<Vec<Column>, Wrong> {
    let inputs: Vec<String> = common.team.inputs().iter().map(|spec| format!("inputs.{}", spec.name)).collect();
    let known = || ["key", "task"].into_iter().chain(inputs.iter().map(String::as_str));
    let mut columns = Vec::new();
    for (at, name) in head.iter().map(str::trim).enumerate() {
        let input = name.strip_prefix("inputs.").filter(|_| inputs.iter().any(|known| known == name));
        columns.push(match (name, input) {
            ("key", _) => Column::Key,
            ("task", _) => Column::Task,
            (_, Some(input)) => Column::Input(input.to_owned()),
            (_, None) => {
                let hint = did_you_mean(name, known());
                let hint = hint.unwrap_or_else(|| format!("it is one of {}", known().collect::<Vec<_>>().join(", ")));
                return Err(Wrong { line: 1, column: at + 1, why: format!("there is no column `{name}`; {hint}") });
            }
        });
    }
    let names: Vec<&str> = head.iter().map(str::trim).collect();
    if let Some(at) = (1..names.len()).find(|at| names[..*at].contains(&names[*at])) {
        return Err(Wrong { line: 1, column: at + 1, why: format!("the column `{}` stands there twice; remove one", names[at]) });
    }
    if !names.contains(&"key") {
        return Err(Wrong { line: 1, column: 1, why: "the column `key` is missing; it names each task".to_owned() });
    }
    Ok(columns)
}

fn wrong_csv(error: &csv::Error) -> Wrong {
    if let csv::ErrorKind::Io(error) = error.kind()
        && let Some(Unclosed { line }) = error.get_ref().and_then(|why| why.downcast_ref())
    {
        let why =
            "a cell begins with a quote here that is never closed; close it, or double the quotes inside of a cell".to_owned();
        return Wrong { line: *line, column: 1, why };
    }
    let at = error.position();
    let why = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("the row has {len} cells, and the head {expected_len}; put a cell with commas in quotes")
        }
        csv::ErrorKind::Utf8 { .. } => "it is not UTF-8".to_owned(),
        _ => error.to_string(),
    };
    Wrong { line: at.map_or(1, csv::Position::line), column: 1, why }
}

/// A CSV file, with an eye on its quotes: one that is never closed would make one cell of all that follows.
struct Quotes {
    from: Box<dyn Read + Send>,
    state: Quote,
    line: u64,
    /// The line in which the last quoted cell begins.
    opened: u64,
}

/// Where in a cell something stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    Before,
    Bare,
    Inside,
    /// Behind a quote inside of a quoted cell, which closes it unless another follows.
    Closing,
}

/// A quote was not closed.
#[derive(Debug, thiserror::Error)]
#[error("a quote in line {line} is never closed")]
struct Unclosed {
    line: u64,
}

impl Read for Quotes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        if count == 0 && !buffer.is_empty() && self.state == Quote::Inside {
            return Err(io::Error::new(io::ErrorKind::InvalidData, Unclosed { line: self.opened }));
        }
        for byte in &buffer[..count] {
            self.state = match (self.state, byte) {
                (Quote::Inside, b'"') => Quote::Closing,
                (Quote::Inside, _) | (Quote::Closing, b'"') => Quote::Inside,
                (_, b',' | b'\n' | b'\r') => Quote::Before,
                (Quote::Before, b'"') => {
                    self.opened = self.line;
                    Quote::Inside
                }
                (_, _) => Quote::Bare,
            };
            self.line += u64::from(*byte == b'\n');
        }
        Ok(count)
    }
}

fn unreadable(line: u64, error: &io::Error) -> Wrong {
    Wrong { line, column: 1, why: format!("it cannot be read on: {error}") }
}

fn skip_line(from: &mut dyn BufRead) -> io::Result<()> {
    loop {
        let held = from.fill_buf()?;
        let (used, ended) = match memchr::memchr(b'\n', held) {
            Some(at) => (at + 1, true),
            None => (held.len(), held.is_empty()),
        };
        from.consume(used);
        if ended {
            return Ok(());
        }
    }
}

/// Where a line stands, as editors and terminals understand it.
pub(super) fn place(path: &Path, wrong: &Wrong) -> String {
    let name = if path == Path::new(STDIN) { PathBuf::from("stdin") } else { path.to_owned() };
    format!("{}:{}:{}: {}", name.display(), wrong.line, wrong.column, wrong.why)
}
