//! How are the logs of a folder read? [`scan`]: file by file on a few threads, message by message, in bounded memory.
//!
//! Each file fills a [`Sink`] of its own; the sinks are merged in the order of the files as they get done, so that the result is the
//! same whatever the threads do and no more than a few sinks exist at a time.

use std::{
    collections::BTreeMap,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    fields::Fields,
    origin::Origin,
    record::{Head, Record},
    stamp::Clock,
};
use crate::{
    tool::{
        CallContext, Found,
        lines::{LINE_LIMIT, Line, LineError, Lines},
    },
    value::Failure,
};

/// Threads of one scan at most.
const THREADS: usize = 4;
/// Files that may be done before the first that is not.
const AHEAD: usize = 32;
/// How often a thread that is too far ahead looks whether to stop.
const PATIENCE: Duration = Duration::from_millis(50);
/// Bytes of the lines that belong to a message.
const MORE: usize = 8 * 1024;
/// Notes of one scan.
const NOTES: usize = 50;

/// Takes the messages of one file.
pub(super) trait Sink: Send {
    /// Takes a message of the file that it was made for.
    fn take(&mut self, record: &Record<'_>);
    /// Adds what a later file gave.
    fn merge(&mut self, later: Self);
}

/// A log file.
pub(super) struct LogFile {
    /// The file.
    pub found: Found,
    /// Who wrote it.
    pub origin: Origin,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Bytes, unpacked.
    pub bytes: u64,
    /// Lines.
    pub lines: u64,
    /// Messages without any time before them or in them.
    pub undated: u64,
    /// The earliest and the latest time.
    pub span: Option<(i64, i64)>,
    /// What was odd, for the reader of the result.
    pub notes: Vec<String>,
}

impl Read {
    fn merge(&mut self, later: Self) {
        self.bytes += later.bytes;
        self.lines += later.lines;
        self.undated += later.undated;
        self.span = match (self.span, later.span) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, other) => one.or(other),
        };
        let room = NOTES.saturating_sub(self.notes.len());
        self.notes.extend(later.notes.into_iter().take(room));
    }

    fn saw(&mut self, time: i64) {
        let (first, last) = self.span.unwrap_or((time, time));
        self.span = Some((first.min(time), last.max(time)));
    }
}

/// Reads all files into sinks and merges them.
pub(super) fn scan<S: Sink>(
    files: &[LogFile],
    call: &CallContext,
    ahead: i64,
    make: impl Fn(usize) -> S + Sync,
) -> Result<(Read, Option<S>), Failure> {
    let next = AtomicUsize::new(0);
    let order = Order {
        state: Mutex::new(Merged { next: 0, waiting: BTreeMap::new(), read: Read::default(), sink: None, is_broken: false }),
        done: Condvar::new(),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS).min(files.len()).max(1);
    let work = || -> Result<(), Failure> {
        let mut watch = Watch { order: &order, is_done: false };
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(index) else {
                watch.is_done = true;
                return Ok(());
            };
            if !order.wait_for_turn(index, call)? {
                // Another thread broke off, and says why.
                return Ok(());
            }
            let mut sink = make(index);
            let read = read_file(file, call, ahead, &mut sink)?;
            order.put(index, read, sink);
            call.progress.say(&format!("{} of {} files", index + 1, files.len()));
        }
    };
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut outcome = work();
        for helper in helpers {
            match helper.join() {
                Ok(ended) => outcome = outcome.and(ended),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        outcome
    })?;
    let merged = order.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((merged.read, merged.sink))
}

/// Merges sinks in the order of their files.
struct Order<S> {
    state: Mutex<Merged<S>>,
    done: Condvar,
}

struct Merged<S> {
    next: usize,
    waiting: BTreeMap<usize, (Read, S)>,
    read: Read,
    sink: Option<S>,
    /// A thread has gone without doing its file, by an error or a panic: the turns of later files never come.
    is_broken: bool,
}

/// Says when a thread breaks off.
struct Watch<'a, S: Sink> {
    order: &'a Order<S>,
    is_done: bool,
}

impl<S: Sink> Drop for Watch<'_, S> {
    fn drop(&mut self) {
        if !self.is_done {
            self.order.lock().is_broken = true;
            self.order.done.notify_all();
        }
    }
}

impl<S: Sink> Order<S> {
    fn lock(&self) -> MutexGuard<'_, Merged<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the file is too far ahead of the first that is not done. That one never waits, so all get their turn.
    /// False when its thread, or another, broke off.
    fn wait_for_turn(&self, index: usize, call: &CallContext) -> Result<bool, Failure> {
        let mut state = self.lock();
        while index > state.next + AHEAD && !state.is_broken {
            call.stop.check()?;
            state = self.done.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(!state.is_broken)
    }

    fn put(&self, index: usize, read: Read, sink: S) {
        let mut state = self.lock();
        state.waiting.insert(index, (read, sink));
        loop {
            let next = state.next;
            let Some((read, sink)) = state.waiting.remove(&next) else { break };
            state.read.merge(read);
            match &mut state.sink {
                Some(merged) => merged.merge(sink),
                None => state.sink = Some(sink),
            }
            state.next += 1;
        }
        self.done.notify_all();
    }
}

/// A message whose last line may not have come yet.
#[derive(Default)]
struct Pending {
    some: bool,
    number: u64,
    head: Head,
    line: String,
    more: String,
}

/// The reading of one file.
struct Reader<'a, S> {
    file: &'a LogFile,
    clock: Clock,
    sink: &'a mut S,
    read: Read,
    pending: Pending,
    last: Option<i64>,
    cut: u64,
    invalid: u64,
    samples: u64,
}

fn read_file<S: Sink>(file: &LogFile, call: &CallContext, ahead: i64, sink: &mut S) -> Result<Read, Failure> {
    let found = &file.found;
    let mut lines = match Lines::open(found, &call.stop) {
        Ok(lines) => lines,
        Err(failure) => return Ok(Read { notes: vec![failure.message.to_string()], ..Read::default() }),
    };
    let clock = Clock { ahead, latest_day: found.modified_day() };
    let mut reader = Reader {
        file,
        clock,
        sink,
        read: Read::default(),
        pending: Pending::default(),
        last: None,
        cut: 0,
        invalid: 0,
        samples: 0,
    };
    match reader.all(&mut lines) {
        Ok(()) => {}
        Err(LineError::Stopped(failure)) => return Err(failure),
        Err(LineError::Broken(e)) => {
            let message = format!("{}; its first {} lines were read", found.failure("read", &e).message, reader.read.lines);
            reader.read.notes.push(message);
        }
    }
    reader.flush();
    reader.read.bytes = lines.bytes();
    Ok(reader.finish())
}

impl<S: Sink> Reader<'_, S> {
    fn all(&mut self, lines: &mut Lines) -> Result<(), LineError> {
        if lines.is_binary()? {
            self.read.notes.push(format!("{}: binary, left out", self.file.found.shown()));
            return Ok(());
        }
        while let Some(line) = lines.next()? {
            self.line(&line);
        }
        Ok(())
    }

    fn line(&mut self, line: &Line<'_>) {
        self.read.lines += 1;
        self.cut += u64::from(line.skipped() > 0);
        let text = line.text();
        self.invalid += u64::from(matches!(text, std::borrow::Cow::Owned(_)));
        let plain = plain(&text);
        let head = Head::of(plain.as_bytes(), &self.clock);
        if head.continues && self.pending.some {
            let room = MORE.saturating_sub(self.pending.more.len());
            if room > plain.len() && !plain.trim().is_empty() {
                self.pending.more.push_str(plain.get(head.start..).unwrap_or(&plain).trim_end());
                self.pending.more.push('\n');
            }
            return;
        }
        self.flush();
        let pending = &mut self.pending;
        (pending.some, pending.number, pending.head) = (!plain.trim_ascii().is_empty(), line.number, head);
        pending.line.clear();
        pending.line.push_str(&plain);
        pending.more.clear();
    }

    /// Hands the message on whose last line has come.
    fn flush(&mut self) {
        if !std::mem::take(&mut self.pending.some) {
            return;
        }
        let Pending { number, head, line, more, .. } = &self.pending;
        let Some(mut record) = Record::read(*number, line, *head, more, &self.file.origin, &self.clock) else {
            self.samples += 1;
            return;
        };
        record.time = record.time.or(self.last);
        match record.time {
            Some(time) => {
                self.last = Some(time);
                self.read.saw(time);
            }
            None => self.read.undated += 1,
        }
        self.sink.take(&record);
    }

    fn finish(self) -> Read {
        let mut read = self.read;
        let name = self.file.found.shown();
        let mut note = |count: u64, what: &str| {
            if count > 0 {
                read.notes.push(format!("{name}: {count} {what}"));
            }
        };
        let long = format!("lines longer than {LINE_LIMIT} bytes, their ends left out");
        note(self.cut, &long);
        note(self.invalid, "lines that are not valid UTF-8");
        note(self.samples, "lines that are samples of metrics, left out");
        read
    }
}

/// The line without terminal colours, and out of the envelope that Docker puts around it.
fn plain(text: &str) -> std::borrow::Cow<'_, str> {
    let text = if text.starts_with("{\"log\":\"") && text.contains("\"stream\":\"") {
        match Fields::json(text) {
            Some(Fields { time: Some(super::fields::Field::Text(time)), message: Some(message), .. }) => {
                std::borrow::Cow::Owned(format!("{time} {}", message.trim_end()))
            }
            Some(_) | None => text.into(),
        }
    } else {
        std::borrow::Cow::Borrowed(text)
    };
    if memchr::memchr(0x1b, text.as_bytes()).is_none() { text } else { without_colours(&text).into() }
}

/// The text without escape sequences such as `ESC [ 31 m`.
fn without_colours(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\x1b') {
        out.push_str(before);
        rest = match after.strip_prefix('[') {
            Some(sequence) => sequence.find(|c: char| ('@'..='~').contains(&c)).map_or("", |end| &sequence[end + 1..]),
            None => after,
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use std::{panic::AssertUnwindSafe, sync::Arc};

    use super::*;
    use crate::tool::Roots;

    /// Trips over the first message of the first file.
    struct Tripping(usize);

    impl Sink for Tripping {
        fn take(&mut self, _record: &Record<'_>) {
            assert!(self.0 > 0, "it trips");
        }

        fn merge(&mut self, _later: Self) {}
    }

    /// The others waited for ever for the turn of a file whose thread had gone.
    #[test]
    fn a_thread_that_breaks_off_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().expect("a folder");
        let roots = Arc::new(Roots::new(folder.path()).expect("a root"));
        let file = |ix: usize| {
            let name = format!("{ix:03}.log");
            std::fs::write(folder.path().join(&name), "2024-01-01T00:00:00Z INFO one\n").expect("a file");
            LogFile { found: roots.find(&name).expect("in reach"), origin: Origin::of(&[&name]) }
        };
        let files: Vec<_> = (0..3 * AHEAD).map(file).collect();
        let call = CallContext::on(roots.clone());
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| scan(&files, &call, 0, Tripping).map(|(read, _)| read.bytes)));
        assert!(outcome.is_err(), "the panic comes through");
    }
}
