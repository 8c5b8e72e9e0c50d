//! What do the logs say? The tool `search_logs`: folders of plain, gzipped and JSON-lines logs of any size, read message by message.
//!
//! [`scan`] reads files into messages; each operation is a sink that the messages go into: [`find`] shows them, [`count`] groups them,
//! [`patterns`] and [`traces`] look for what changed. Nothing here keeps more than bounded extracts of what it read.

mod count;
mod cursor;
mod exception;
mod fields;
mod find;
mod level;
mod mask;
mod miner;
mod names;
mod origin;
mod patterns;
mod query;
mod record;
mod scan;
mod stamp;
mod stats;
#[cfg(test)]
mod tests;
mod trace;
mod trace_id;
mod traces;

use std::collections::BTreeMap;

use self::{
    count::Count,
    find::Find,
    origin::Origin,
    patterns::Patterns,
    query::{Args, Op, Query, number, put_time},
    scan::{LogFile, Read, scan},
    traces::Traces,
};
use super::{BlockingTool, CallContext, Found, Outcome, glob, spec};
use crate::value::{EffectClass, Failure, FailureKind, ToolSpec, Value};

/// Notes of one result.
const NOTES: usize = 50;

/// The tool `search_logs`.
pub(super) struct SearchLogs(ToolSpec);

impl Default for SearchLogs {
    fn default() -> Self {
        let description = "Searches log files of any size (plain, gzipped, JSON lines; many time formats) below a folder. `op: lines` \
                           shows messages with file, line, time, level, service; `op: count` groups them (by template, service, level, exception, …) with \
                           the rate in the window against that in the baseline; `op: patterns` finds templates that became frequent inside the window, \
                           with the moment; `op: traces` follows trace ids: who calls whom, which crossings became slow, which lines stay away. \
                           Always returns `rows` or the entries of `traces`, `matched`, `files`, `lines`, `first` and `last` of the data, and `notes`.";
        // What a log says, whoever sent the request may have written.
        Self(ToolSpec { untrusted: true, ..spec::<Args>("search_logs", EffectClass::Read, description) })
    }
}

impl BlockingTool for SearchLogs {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn run(&self, call: &CallContext, args: &Value) -> Outcome {
        let args: Args = super::parse(args)?;
        let query = Query::new(&args)?;
        let (files, mut notes) = files(&args, call)?;
        let mut result = BTreeMap::new();
        let read = match query.op {
            Op::Lines => {
                let (read, sink) = scan(&files, call, query.ahead, |file| Find::new(&query, &files, file))?;
                put_rows(&mut result, sink.map(Find::rows).unwrap_or_default());
                read
            }
            Op::Count => {
                let (mut read, sink) = scan(&files, call, query.ahead, |file| Count::new(&query, &files, file))?;
                let (rows, matched, note) = sink.map(|sink| sink.rows(&read)).unwrap_or_default();
                read.notes.extend(note);
                put_rows(&mut result, (rows, matched));
                put_spans(&mut result, &query, &read);
                read
            }
            Op::Patterns => {
                let (mut read, sink) = scan(&files, call, query.ahead, |file| Patterns::new(&query, &files, file))?;
                let (rows, matched, note) = sink.map(|sink| sink.rows(&read)).unwrap_or_default();
                read.notes.extend(note);
                put_rows(&mut result, (rows, matched));
                read
            }
            Op::Traces => {
                let (mut read, sink) = scan(&files, call, query.ahead, |_| Traces::new(&query))?;
                let (entries, note) = sink.map_or_else(|| Ok(Default::default()), |sink| sink.result(&call.stop))?;
                read.notes.extend(note);
                result.extend(entries);
                read
            }
        };
        notes.extend(read.notes);
        if read.undated > 0 {
            notes.push(format!("{} messages have no time; they are in no window that has a bound", read.undated));
        }
        let more = notes.len().saturating_sub(NOTES);
        notes.truncate(NOTES);
        if more > 0 {
            notes.push(format!("and {more} more notes"));
        }
        result.insert("files".to_owned(), super::count(files.len() as u64));
        result.insert("bytes".to_owned(), super::count(read.bytes));
        result.insert("lines_read".to_owned(), super::count(read.lines));
        if let Some((first, last)) = read.span {
            put_time(&mut result, "first", first);
            put_time(&mut result, "last", last);
        }
        result.insert("notes".to_owned(), Value::list(notes.into_iter().map(Value::from)));
        Ok(Value::map(result))
    }
}

fn put_rows(result: &mut BTreeMap<String, Value>, (rows, matched): (Vec<Value>, u64)) {
    result.insert("rows".to_owned(), Value::list(rows));
    result.insert("matched".to_owned(), super::count(matched));
}

fn put_spans(result: &mut BTreeMap<String, Value>, query: &Query, read: &Read) {
    let (window, baseline) = query.seconds(read.span);
    result.insert("window_seconds".to_owned(), number(window));
    if query.baseline.is_some() {
        result.insert("baseline_seconds".to_owned(), number(baseline));
    }
}

/// The log files below the path, and what was left out.
fn files(args: &Args, call: &CallContext) -> Result<(Vec<LogFile>, Vec<String>), Failure> {
    let path = args.path.as_deref().unwrap_or(".");
    let base = call.roots.find(path)?;
    let matcher = args.files.as_deref().map(glob::matcher).transpose()?;
    let single = !base.is_folder()?;
    let walk = base.walk(false, &call.stop)?;
    let wanted = |found: &Found| match &matcher {
        Some(matcher) => matcher.is_match(found.below(&base)),
        None => single || is_log(&found.name()),
    };
    let files: Vec<LogFile> = (walk.files.iter().filter(|found| wanted(found)))
        .map(|found| {
            let below = if single { String::new() } else { found.below(&base) };
            let whole = format!("{path}/{below}");
            let parts: Vec<&str> = whole.split('/').filter(|part| !matches!(*part, "" | "." | "..")).collect();
            LogFile { found: found.clone(), origin: Origin::of(&parts) }
        })
        .collect();
    if files.is_empty() && matcher.is_some() {
        let message = format!("no file below {path} matches `files`; leave it out for all logs, or list them with Glob");
        return Err(Failure::new(FailureKind::Tool, message));
    }
    let mut notes = walk.notes;
    if files.is_empty() {
        notes.push(format!("no log files below {path}"));
    }
    Ok((files, notes))
}

/// Whether a file's name is that of a log: `x.log`, `x.log.3.gz`, `x.jsonl`, `syslog`.
fn is_log(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let bare = name.strip_suffix(".gz").unwrap_or(&name);
    let bare = bare.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-' || c == '.');
    let endings = [".log", ".jsonl", ".ndjson", ".txt", ".out", ".err", "_log", "-log"];
    endings.iter().any(|ending| bare.ends_with(ending))
        || matches!(bare, "log" | "syslog" | "messages" | "stdout" | "stderr" | "catalina")
}
