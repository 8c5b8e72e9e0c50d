//! What does a line say? [`Record`]: time, level, service and message, with the lines that belong to it.

use std::borrow::Cow;

use super::{
    fields::{Field, Fields},
    level::Level,
    origin::Origin,
    stamp::Clock,
    trace_id,
};
use crate::tool::strip_pod_hash;

/// What a container runtime puts before a message.
const RUNTIME: [&[u8]; 4] = [b"stdout F ", b"stderr F ", b"stdout P ", b"stderr P "];
/// What lines of a stack trace begin with.
const TRACE_STARTS: [&str; 7] = ["at ", "Caused by:", "... ", "Suppressed:", "Traceback (most", "goroutine ", "stack backtrace:"];
/// How much of a line is looked at to tell whether it is one of a stack trace, in bytes.
const HEAD: usize = 200;
/// How much may stand before an object that a message ends with, in bytes.
const BEFORE: usize = 200;
/// Parts of a message's beginning that are looked at for service, time and level.
const PREFIXES: usize = 4;

/// One message of a log.
#[derive(Debug)]
pub(super) struct Record<'a> {
    /// The number of its first line, from 1.
    pub line: u64,
    /// Microseconds since the epoch: its own, or that of the message before.
    pub time: Option<i64>,
    /// How grave.
    pub level: Option<Level>,
    /// Who wrote it.
    pub service: Cow<'a, str>,
    /// The message without what is said above.
    pub text: Cow<'a, str>,
    /// The trace id of a structured line.
    pub trace: Option<Cow<'a, str>>,
    /// Lines that belong to it, such as a stack trace.
    pub more: Cow<'a, str>,
}

/// What a line's first look tells: enough to know where a message begins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    /// Its own leading time.
    pub time: Option<i64>,
    /// Where its text begins.
    pub start: usize,
    /// Whether it belongs to the message before.
    pub continues: bool,
    /// Whether its text may be a JSON object.
    object: bool,
}

impl Head {
    /// Looks at a line.
    pub fn of(line: &[u8], clock: &Clock) -> Self {
        let (time, mut start) = match clock.leading(line) {
            Some((time, end)) => (Some(time), end + punctuation(&line[end..])),
            None => (None, 0),
        };
        if let Some(mark) = RUNTIME.iter().find(|mark| line[start..].starts_with(mark)) {
            start += mark.len();
        }
        let rest = &line[start..];
        let object = rest.trim_ascii_start().starts_with(b"{") && rest.trim_ascii_end().ends_with(b"}");
        Self { time, start, continues: !object && continues(rest, time.is_some()), object }
    }
}

impl<'a> Record<'a> {
    /// Reads a line with what is known of it; `None` for a line that is no message but a metric's sample.
    pub fn read(line: u64, text: &'a str, head: Head, more: &'a str, origin: &'a Origin, clock: &Clock) -> Option<Self> {
        let body = text.get(head.start..).unwrap_or(text).trim();
        let mut record = Self {
            line,
            time: head.time,
            level: klog_level(text, head),
            service: Cow::Borrowed(&origin.service),
            text: Cow::Borrowed(body),
            trace: None,
            more: Cow::Borrowed(more),
        };
        let fields = if head.object { Fields::json(body) } else { body.contains('=').then(|| Fields::logfmt(body)).flatten() };
        match fields.or_else(|| record.split(body, origin, clock)) {
            Some(fields) if fields.sample => return None,
            Some(fields) => record.take(fields, clock),
            None => {}
        }
        Some(record)
    }

    /// Takes over the fields of a structured line.
    fn take(&mut self, fields: Fields<'a>, clock: &Clock) {
        self.time = self.time.or(match &fields.time {
            Some(Field::Text(text)) => clock.whole(text).or_else(|| text.parse().ok().and_then(Clock::number)),
            Some(Field::Number(number)) => Clock::number(*number),
            None => None,
        });
        let level = match &fields.level {
            Some(Field::Text(name)) => Level::named(name.trim()).or_else(|| name.parse().ok().and_then(Level::numbered)),
            Some(Field::Number(number)) => Level::numbered(*number as i64),
            None => None,
        };
        if let Some(service) = fields.service {
            self.service = match service {
                Cow::Borrowed(name) => Cow::Borrowed(strip_pod_hash(name)),
                Cow::Owned(name) => Cow::Owned(strip_pod_hash(&name).to_owned()),
            };
        }
        if let Some(message) = fields.message {
            self.text = message;
        }
        self.level = level.or_else(|| Level::of(&self.text).0);
        self.trace = fields.trace.or(self.trace.take());
        if let Some(stack) = fields.stack {
            self.more = stack;
        }
    }

    /// Takes service, wall clock and level from the beginning of a plain message; returns the fields of an object that it ends with.
    fn split(&mut self, body: &'a str, origin: &'a Origin, clock: &Clock) -> Option<Fields<'a>> {
        let (level, _) = Level::of(body);
        self.level = self.level.or(level);
        let mut rest = body;
        for _ in 0..PREFIXES {
            let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let bare = word.trim_matches(['[', ']', '(', ')', ':', '|', ',']);
            let name = strip_pod_hash(bare);
            if !bare.is_empty() && name == origin.service {
                // The file's own service, said again.
            } else if let Some(program) = origin.program(bare, after) {
                self.service = Cow::Borrowed(program.0);
                rest = program.1.trim_start();
                continue;
            } else if origin.mixed && self.service == origin.service && is_service(bare) {
                self.service = Cow::Borrowed(name);
            } else if !is_level(word, bare) && !is_clock(bare, clock) && !matches!(bare, "" | "-") {
                break;
            }
            rest = after.trim_start();
        }
        self.text = Cow::Borrowed(if rest.is_empty() { body } else { rest });
        let (before, object) = rest.ends_with('}').then(|| rest.split_at_checked(rest.find("{\"")?)).flatten()?;
        let fields = (before.len() <= BEFORE).then(|| Fields::json(object)).flatten()?;
        self.trace = trace_id::find(before).map(Cow::Borrowed);
        (fields.message.is_some()).then_some(fields)
    }
}

/// The letter that klog begins a line with.
fn klog_level(text: &str, head: Head) -> Option<Level> {
    let bytes = text.as_bytes();
    if head.time.is_none() || !bytes.get(1..5)?.iter().all(u8::is_ascii_digit) {
        return None;
    }
    match bytes[0] {
        b'I' => Some(Level::Info),
        b'W' => Some(Level::Warn),
        b'E' => Some(Level::Error),
        b'F' => Some(Level::Fatal),
        b'D' => Some(Level::Debug),
        _ => None,
    }
}

/// Whether a word is a level and not the beginning of a sentence: in capitals or with marks around it.
fn is_level(word: &str, bare: &str) -> bool {
    Level::named(bare).is_some() && (word != bare || bare.bytes().all(|b| b.is_ascii_uppercase()))
}

/// Whether a word is the name of a service: words in lower case with a dash or underscore between.
fn is_service(word: &str) -> bool {
    word.len() <= 64
        && word.contains(['-', '_'])
        && word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'))
}

/// Whether a word is a time of day or a whole stamp.
fn is_clock(word: &str, clock: &Clock) -> bool {
    let bytes = word.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let time = digit(0) && digit(1) && bytes.get(2) == Some(&b':') && digit(3) && digit(4) && bytes.get(5) == Some(&b':');
    let date = digit(0) && digit(3) && bytes.get(4) == Some(&b'-') && digit(5) && bytes.get(7) == Some(&b'-') && digit(9);
    time || date || (digit(0) && clock.whole(word).is_some())
}

/// How many bytes of punctuation follow a stamp.
fn punctuation(rest: &[u8]) -> usize {
    rest.iter().take_while(|b| matches!(b, b']' | b')' | b'"' | b',' | b':' | b'|')).count()
        + usize::from(rest.iter().find(|b| !matches!(b, b']' | b')' | b'"' | b',' | b':' | b'|')) == Some(&b' '))
}

/// Whether a text goes on with the message before it.
fn continues(rest: &[u8], dated: bool) -> bool {
    let bare = rest.trim_ascii_start();
    // Every line of a collector has a stamp: of those only what is a stack trace for sure goes on.
    if dated && !matches!(bare.first(), Some(b'a' | b'C' | b'.')) {
        return false;
    }
    let head = &bare[..bare.len().min(HEAD)];
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(e) => std::str::from_utf8(&head[..e.valid_up_to()]).unwrap_or_default(),
    };
    if dated {
        return text.starts_with("Caused by:") || text.starts_with("... ") || (text.starts_with("at ") && text.contains('('));
    }
    let indented = bare.len() < rest.len();
    let trace = TRACE_STARTS.iter().any(|start| text.starts_with(start));
    bare.is_empty() || indented || trace || text.starts_with(['}', ')', ']']) || is_exception(text) || is_frame(text)
}

/// `java.lang.IllegalStateException: …`, `ValueError: …`.
fn is_exception(text: &str) -> bool {
    let name = text.split([':', ' ']).next().unwrap_or_default();
    (name.ends_with("Exception") || (name.ends_with("Error") && name.len() > 5))
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'$' | b'_'))
}

/// `main.main()`, as Go writes its frames.
fn is_frame(text: &str) -> bool {
    text.trim_end().ends_with(')') && !text.contains(' ') && text.contains('.') && text.contains('(')
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: Clock = Clock { ahead: 0, latest_day: 19_400 };

    fn check(file: &str, line: &str, expected: (Option<&str>, Option<Level>, &str, &str)) {
        let origin = Origin::of(&[file]);
        let head = Head::of(line.as_bytes(), &CLOCK);
        let record = Record::read(1, line, head, "", &origin, &CLOCK).unwrap_or_else(|| panic!("{line} is a message"));
        let time = record.time.map(|t| crate::value::Timestamp(t).rfc3339());
        assert_eq!((time.as_deref(), record.level, record.service.as_ref(), record.text.as_ref()), expected, "{line}");
    }

    #[test]
    fn the_leading_clock_wins_over_the_one_in_the_message() {
        check(
            "web-64469b5b48-25zj6.log",
            "2023-01-29T14:22:09.225174443Z web 22:22:09.224 INFO  s.c.Seat#57 TraceID: ab51 [x][TravelDate: 2023-01-29 15:38:06]",
            (
                Some("2023-01-29T14:22:09.225174Z"),
                Some(Level::Info),
                "web",
                "s.c.Seat#57 TraceID: ab51 [x][TravelDate: 2023-01-29 15:38:06]",
            ),
        );
    }

    #[test]
    fn lines_of_many_kinds_are_read() {
        let t = Some("2023-01-29T14:22:08Z");
        for (file, line, expected) in [
            ("a.log", "2023-01-29 14:22:08 ERROR [main] c.e.Foo - boom", (t, Some(Level::Error), "a", "[main] c.e.Foo - boom")),
            ("a.log", "[2023-01-29 14:22:08] [error] boom", (t, Some(Level::Error), "a", "boom")),
            ("a.log", "2023-01-29T14:22:08Z stdout F WARN boom", (t, Some(Level::Warn), "a", "boom")),
            ("a.log", r#"{"ts":1675002128,"level":50,"msg":"boom","service":"pay"}"#, (t, Some(Level::Error), "pay", "boom")),
            (
                "a.log",
                r#"2023-01-29T14:22:08Z {"level":"warn","msg":"boom","pod":"pay-64469b5b48-25zj6"}"#,
                (t, Some(Level::Warn), "pay", "boom"),
            ),
            ("a.log", r#"time="2023-01-29T14:22:08Z" level=info msg="boom" app=pay"#, (t, Some(Level::Info), "pay", "boom")),
            ("syslog", "Jan 29 14:22:08 host pay[12]: boom", (t, None, "pay", "boom")),
            ("all.log", "2023-01-29T14:22:08Z pay-service ERROR boom", (t, Some(Level::Error), "pay-service", "boom")),
            ("a.log", "E0129 14:22:08.000000       1 main.go:12] boom", (t, Some(Level::Error), "a", "1 main.go:12] boom")),
            (
                "access.log",
                "10.0.0.1 - - [29/Jan/2023:14:22:08 +0000] \"GET /x HTTP/1.1\" 503 12",
                (t, Some(Level::Error), "access", "\"GET /x HTTP/1.1\" 503 12"),
            ),
            (
                "pay.log",
                r#"2023-01-29T14:22:08Z pay 22:22:08 TraceID: ab51f0bbcfb19d13 {"severity":"info","message":"error rate is 0"}"#,
                (t, Some(Level::Info), "pay", "error rate is 0"),
            ),
            (
                "pay.log",
                r#"{"time":"2023-01-29T14:22:08Z","log":"{\"level\":\"warn\",\"message\":\"slow\"}"}"#,
                (t, Some(Level::Warn), "pay", "slow"),
            ),
            ("a.log", "just words", (None, None, "a", "just words")),
            ("a.log", "", (None, None, "a", "")),
            ("a.log", "{broken", (None, None, "a", "{broken")),
        ] {
            check(file, line, expected);
        }
    }

    #[test]
    fn lines_of_a_stack_trace_go_on_with_the_message_before() {
        for (line, expected) in [
            ("\tat java.lang.Thread.run(Thread.java:829)", true),
            ("Caused by: java.net.ConnectException: refused", true),
            ("java.lang.IllegalStateException: x", true),
            ("ValueError: x", true),
            ("main.main()", true),
            ("", true),
            ("2023-01-29T14:22:08Z \tat java.lang.Thread.run(Thread.java:829)", true),
            ("2023-01-29T14:22:08Z at last the server is up", false),
            ("Error: x", false),
            ("words", false),
            ("{\"a\":1}", false),
        ] {
            assert_eq!(Head::of(line.as_bytes(), &CLOCK).continues, expected, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_it_panic(line: String) {
            let origin = Origin::of(&["all.log"]);
            let _ = Record::read(1, &line, Head::of(line.as_bytes(), &CLOCK), "", &origin, &CLOCK);
        }
    }
}
