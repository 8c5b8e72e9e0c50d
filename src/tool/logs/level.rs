//! How grave is a line? [`Level`], from a field, a word near the line's beginning, an HTTP status or a crash's first words.

use schemars::JsonSchema;
use serde::Deserialize;

/// How far into a line its level is looked for, in bytes.
const HEAD: usize = 120;
/// What a program says when it crashes.
const CRASHES: [&str; 6] = ["panic:", "Traceback (most", "fatal error", "Unhandled exception", "Exception in", "panicked at"];

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// Every step.
    Trace,
    /// For developers.
    Debug,
    /// As it should be.
    Info,
    /// Not as it should be.
    Warn,
    /// Something failed.
    Error,
    /// The program cannot go on.
    Fatal,
}

impl Level {
    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// The level that loggers call by that name, whatever its case.
    pub fn named(name: &str) -> Option<Self> {
        if !(3..=13).contains(&name.len()) {
            return None;
        }
        let is = |names: &[&str]| names.iter().any(|n| n.eq_ignore_ascii_case(name));
        Some(match name.as_bytes()[0].to_ascii_lowercase() {
            b't' if is(&["trace"]) => Self::Trace,
            b'v' if is(&["verbose"]) => Self::Trace,
            b'f' if is(&["finest", "finer"]) => Self::Trace,
            b'd' if is(&["debug", "dbg"]) => Self::Debug,
            b'f' if is(&["fine"]) => Self::Debug,
            b'i' if is(&["info", "information", "informational"]) => Self::Info,
            b'n' if is(&["notice"]) => Self::Info,
            b'w' if is(&["warn", "warning"]) => Self::Warn,
            b'e' if is(&["error", "err"]) => Self::Error,
            b's' if is(&["severe"]) => Self::Error,
            b'f' if is(&["fatal"]) => Self::Fatal,
            b'c' if is(&["critical", "crit"]) => Self::Fatal,
            b'e' if is(&["emerg", "emergency"]) => Self::Fatal,
            b'p' if is(&["panic"]) => Self::Fatal,
            b'a' if is(&["alert"]) => Self::Fatal,
            _ => return None,
        })
    }

    /// The level that a number stands for: 10 to 60 as Bunyan and Pino count, 0 to 7 as syslog does.
    pub fn numbered(number: i64) -> Option<Self> {
        Some(match number {
            0..=2 => Self::Fatal,
            3 => Self::Error,
            4 => Self::Warn,
            5 | 6 => Self::Info,
            7 => Self::Debug,
            10..=19 => Self::Trace,
            20..=29 => Self::Debug,
            30..=39 => Self::Info,
            40..=49 => Self::Warn,
            50..=59 => Self::Error,
            60 => Self::Fatal,
            _ => return None,
        })
    }

    /// The level that a text tells near its beginning: where the word ends as well, unless a crash or status told it.
    pub fn of(text: &str) -> (Option<Self>, usize) {
        let head = head(text);
        let bytes = head.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            if !bytes[at].is_ascii_alphabetic() {
                at += 1;
                continue;
            }
            let length = bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
            let word = &head[at..at + length];
            let (before, after) = (at.checked_sub(1).map(|i| bytes[i]), bytes.get(at + length).copied());
            if let Some(level) = Self::named(word).filter(|_| stands_for_a_level(word, before, after, at)) {
                return (Some(level), at + length);
            }
            at += length;
        }
        if let Some(level) = status(text) {
            return (Some(level), 0);
        }
        (CRASHES.iter().any(|crash| head.contains(crash)).then_some(Self::Error), 0)
    }
}

/// Whether the word is meant as a level: in capitals, in brackets, as a field's value, or at the very beginning with a colon.
fn stands_for_a_level(word: &str, before: Option<u8>, after: Option<u8>, at: usize) -> bool {
    let capitals = word.bytes().all(|b| b.is_ascii_uppercase());
    let part_of_more =
        matches!(before, Some(b'.' | b'/' | b'-' | b'@' | b'$')) || matches!(after, Some(b'.' | b'/' | b'-' | b'(' | b'@'));
    let enclosed = matches!(
        (before, after),
        (Some(b'['), Some(b']')) | (Some(b'<'), Some(b'>')) | (Some(b'('), Some(b')')) | (Some(b':'), Some(b']'))
    );
    let value = matches!(before, Some(b'=' | b'"' | b'|'));
    (capitals && !part_of_more) || enclosed || value || (at == 0 && matches!(after, Some(b':')))
}

/// What the status of an access log's line means: `"GET / HTTP/1.1" 503 12`.
fn status(text: &str) -> Option<Level> {
    let at = text.find(" HTTP/")?;
    let rest = &text[at + 6..];
    let status = rest.split_once("\" ")?.1.get(..3)?;
    match status.as_bytes() {
        [b'5', b, c] if b.is_ascii_digit() && c.is_ascii_digit() => Some(Level::Error),
        [b'4', b, c] if b.is_ascii_digit() && c.is_ascii_digit() => Some(Level::Warn),
        [b'1'..=b'3', b, c] if b.is_ascii_digit() && c.is_ascii_digit() => Some(Level::Info),
        _ => None,
    }
}

fn head(text: &str) -> &str {
    let mut end = text.len().min(HEAD);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_told_from_words_that_only_look_like_them() {
        for (text, expected) in [
            ("ts-seat-service 22:22:09.224 INFO  s.c.Seat", Some(Level::Info)),
            ("ERROR o.a.c.c.C.[.[.[.[dispatcherServlet]#175", Some(Level::Error)),
            ("[error] 123#0: connect() failed", Some(Level::Error)),
            ("[core:error] x", Some(Level::Error)),
            ("level=warning msg=x", Some(Level::Warn)),
            ("error: no such file", Some(Level::Error)),
            ("no error was found, information follows", None),
            ("com.example.ERROR.Handler started", None),
            ("java.lang.Error: x", None),
            ("Exception in thread \"main\" java.lang.Foo", Some(Level::Error)),
            ("10.0.0.1 - - \"GET / HTTP/1.1\" 503 12", Some(Level::Error)),
            ("10.0.0.1 - - \"GET / HTTP/1.1\" 404 12", Some(Level::Warn)),
            ("WARNING: x", Some(Level::Warn)),
            ("SEVERE x", Some(Level::Error)),
            ("", None),
        ] {
            assert_eq!(Level::of(text).0, expected, "{text}");
        }
    }
}
