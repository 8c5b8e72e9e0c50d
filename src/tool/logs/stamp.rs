//! When was a line written? [`Clock::leading`]: the time stamp that a line begins with, in the formats that logs have.
//!
//! Only the stamp that leads counts. One further inside is part of the message: it may tell of another time or another zone.

use super::cursor::{Cursor, clock, days, digits};

/// Microseconds of a second.
pub(super) const SECOND: i64 = 1_000_000;
/// How far into a line a stamp in brackets is looked for, in bytes.
const BRACKETS: usize = 100;
/// How many words may stand before a stamp without brackets: levels only.
const WORDS_BEFORE: usize = 2;

/// How stamps that leave something out are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// What a stamp without a zone is ahead of UTC, in seconds.
    pub ahead: i64,
    /// The day of which a stamp without a year is the latest before, as days since the epoch.
    pub latest_day: i64,
}

/// A stamp: microseconds since the epoch, and where in the line it ends.
pub(super) type Stamp = (i64, usize);

impl Clock {
    /// The stamp that leads the line.
    pub fn leading(&self, line: &[u8]) -> Option<Stamp> {
        if line.first().is_some_and(u8::is_ascii_digit)
            && let Some(stamp) = self.at(line, 0)
        {
            return Some(stamp);
        }
        let start = skip_priority(line);
        let opened = start + line[start..].iter().take_while(|b| matches!(b, b'[' | b'(' | b'"')).count();
        self.at(line, opened).or_else(|| self.klog(line)).or_else(|| self.after_levels(line)).or_else(|| self.in_brackets(line))
    }

    /// A text that is nothing but a stamp.
    pub fn whole(&self, text: &str) -> Option<i64> {
        let text = text.trim();
        self.at(text.as_bytes(), 0).map(|(time, _)| time)
    }

    /// A number of seconds, milliseconds, microseconds or nanoseconds, told apart by size.
    pub fn number(number: f64) -> Option<i64> {
        if !number.is_finite() || number < 1e8 {
            return None;
        }
        let factor = match number {
            n if n < 1e11 => 1e6,
            n if n < 1e14 => 1e3,
            n if n < 1e17 => 1.0,
            _ => 1e-3,
        };
        Some((number * factor).round() as i64)
    }

    fn at(&self, line: &[u8], from: usize) -> Option<Stamp> {
        let first = *line.get(from)?;
        let mut cursor = Cursor { line, at: from };
        if first.is_ascii_digit() {
            return match digits(line, from) {
                4 => self.year_first(&mut cursor),
                8 | 6 => self.compact(&mut cursor),
                1 | 2 => self.day_first(&mut cursor),
                10 | 13 | 16 | 19 => epoch(&mut cursor),
                _ => None,
            };
        }
        if first.is_ascii_alphabetic() { self.month_first(&mut cursor) } else { None }
    }

    /// `2023-01-29T14:22:08.927Z`, `2023/01/29 14:22:08,927 +0800`, `2023-01-29 14:22:08.1 +0000 UTC m=+1.04`.
    fn year_first(&self, c: &mut Cursor<'_>) -> Option<Stamp> {
        let year = c.number(4)?;
        let separator = c.one_of(b"-/.")?;
        let month = c.number(2)?;
        c.one_of(&[separator])?;
        let day = c.number(2)?;
        c.one_of(b"T t_:-")?;
        self.time(c, days(year, month, day)?)
    }

    /// `20230129T142208Z`, `20230129 14:22:08`, `230129 142208`.
    fn compact(&self, c: &mut Cursor<'_>) -> Option<Stamp> {
        let year = if digits(c.line, c.at) == 8 { c.number(4)? } else { 2000 + c.number(2)? };
        let (month, day) = (c.number(2)?, c.number(2)?);
        c.one_of(b"T _-")?;
        let day = days(year, month, day)?;
        if c.line.get(c.at + 2) == Some(&b':') || c.line.get(c.at + 1) == Some(&b':') {
            return self.time(c, day);
        }
        let (hour, minute, second) = (c.number(2)?, c.number(2)?, c.number(2)?);
        let seconds = clock(hour, minute, second)?;
        self.finish(c, day, seconds)
    }

    /// `29/Jan/2023:14:22:08 +0000`, `29-Jan-2023 14:22:08`, `29 Jan 2023 14:22:08 GMT`, `29.01.2023 14:22:08`, `01/29/2023 2:22:08 PM`.
    fn day_first(&self, c: &mut Cursor<'_>) -> Option<Stamp> {
        let first = c.digits()?;
        let separator = c.one_of(b"/-. ")?;
        let (month, day) = if c.line.get(c.at).is_some_and(u8::is_ascii_digit) {
            let second = c.number(2)?;
            // Where both are digits, dots mean day first and slashes month first, but for what cannot be a month.
            if separator == b'.' || first > 12 { (second, first) } else { (first, second) }
        } else {
            (c.month()?, first)
        };
        c.one_of(&[separator])?;
        let year = c.number(4)?;
        c.maybe(b",");
        c.one_of(b": T")?;
        self.time(c, days(year, month, day)?)
    }

    /// `Jan  5 14:22:08`, `Jan 29, 2023 2:22:08 PM`, `Sun Jan 29 14:22:08.1 2023`, `Sun, 29 Jan 2023 14:22:08 GMT`.
    fn month_first(&self, c: &mut Cursor<'_>) -> Option<Stamp> {
        if is_weekday(c.line.get(c.at..c.at + 3)?) {
            c.at += 3;
            c.maybe(b",");
            c.one_of(b" ")?;
            if c.line.get(c.at).is_some_and(u8::is_ascii_digit) {
                return self.day_first(c);
            }
        }
        let month = c.month()?;
        c.one_of(b" ")?;
        c.maybe(b" ");
        let day = c.digits()?;
        c.maybe(b",");
        c.one_of(b" ")?;
        if digits(c.line, c.at) == 4 {
            let year = c.number(4)?;
            c.one_of(b" ")?;
            return self.time(c, days(year, month, day)?);
        }
        let date = self.latest(month, day)?;
        let (time, end) = self.time(c, date)?;
        // A year behind the time, as `ctime` writes it.
        let mut after = Cursor { line: c.line, at: end };
        if after.one_of(b" ").is_some()
            && digits(c.line, after.at) == 4
            && let Some(year) = after.number(4).filter(|y| (1970..2200).contains(y))
        {
            return Some((time + (days(year, month, day)? - date) * 86_400 * SECOND, after.at));
        }
        Some((time, end))
    }

    /// `I0129 14:22:08.123456`: the level's letter, month and day.
    fn klog(&self, line: &[u8]) -> Option<Stamp> {
        if !matches!(line.first()?, b'I' | b'W' | b'E' | b'F' | b'D') || digits(line, 1) != 4 {
            return None;
        }
        let mut c = Cursor { line, at: 1 };
        let (month, day) = (c.number(2)?, c.number(2)?);
        c.one_of(b" ")?;
        self.time(&mut c, self.latest(month, day)?)
    }

    /// `INFO 2023-01-29 14:22:08`, `[WARN] [main] 2023-…`: nothing but levels and brackets stand before.
    fn after_levels(&self, line: &[u8]) -> Option<Stamp> {
        let mut from = 0;
        for _ in 0..WORDS_BEFORE {
            let word = line[from..].iter().take(16).position(|b| b.is_ascii_whitespace()).filter(|length| *length > 0)?;
            let bare: &[u8] = line[from..from + word].trim_ascii();
            let inner = bare.iter().filter(|b| b.is_ascii_alphabetic()).copied().collect::<Vec<u8>>();
            let level = std::str::from_utf8(&inner).ok().and_then(super::level::Level::named);
            if level.is_none() && !(bare.starts_with(b"[") && bare.ends_with(b"]")) {
                return None;
            }
            from += word;
            from += line[from..].iter().take_while(|b| b.is_ascii_whitespace()).count();
            if let Some(stamp) = self.at(line, from + usize::from(line.get(from) == Some(&b'['))) {
                return Some(stamp);
            }
        }
        None
    }

    /// `10.0.0.1 - - [29/Jan/2023:14:22:08 +0000] …`.
    fn in_brackets(&self, line: &[u8]) -> Option<Stamp> {
        let head = &line[..line.len().min(BRACKETS)];
        memchr::memchr_iter(b'[', head).find_map(|at| {
            let inside = line.get(at + 1).filter(|b| b.is_ascii_alphanumeric()).and_then(|_| self.at(line, at + 1));
            inside.map(|(time, end)| (time, end + usize::from(line.get(end) == Some(&b']'))))
        })
    }

    fn latest(&self, month: i64, day: i64) -> Option<i64> {
        let year = year_of(self.latest_day);
        let this = days(year, month, day).or_else(|| days(year - 1, month, day))?;
        // A day of slack: the file may have been copied from another zone.
        if this <= self.latest_day + 1 { Some(this) } else { days(year - 1, month, day) }
    }

    fn time(&self, c: &mut Cursor<'_>, day: i64) -> Option<Stamp> {
        let hour = c.digits()?;
        c.one_of(b":")?;
        let minute = c.number(2)?;
        let second = if c.maybe(b":") { c.number(2)? } else { 0 };
        let seconds = clock(hour, minute, second)?;
        self.finish(c, day, seconds)
    }

    fn finish(&self, c: &mut Cursor<'_>, day: i64, mut seconds: i64) -> Option<Stamp> {
        let micros = c.fraction();
        if let Some(afternoon) = c.half() {
            seconds = (seconds % (12 * 3600)) + if afternoon { 12 * 3600 } else { 0 };
        }
        let ahead = c.zone().unwrap_or(self.ahead);
        Some(((day * 86_400 + seconds - ahead) * SECOND + micros, c.at))
    }
}

/// Seconds, milliseconds, microseconds or nanoseconds since the epoch, with a fraction of seconds.
fn epoch(c: &mut Cursor<'_>) -> Option<Stamp> {
    let count = digits(c.line, c.at);
    let number = c.number(count)?;
    if c.line.get(c.at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'-') {
        return None;
    }
    let micros = match count {
        10 => number * SECOND + c.fraction(),
        13 => number * 1_000,
        16 => number,
        _ => number / 1_000,
    };
    // From 2001 to 2100: other numbers of that length are ids.
    (978_307_200 * SECOND..4_102_444_800 * SECOND).contains(&micros).then_some((micros, c.at))
}

/// The year of a day since the epoch.
fn year_of(day: i64) -> i64 {
    let mut year = 1970 + day / 366;
    while days(year + 1, 1, 1).is_some_and(|next| next <= day) {
        year += 1;
    }
    year
}

/// `<134>` or `<134>1 `, as syslog sends it.
fn skip_priority(line: &[u8]) -> usize {
    if line.first() != Some(&b'<') {
        return 0;
    }
    let count = digits(line, 1);
    if count == 0 || count > 3 || line.get(count + 1) != Some(&b'>') {
        return 0;
    }
    let end = count + 2;
    if line[end..].starts_with(b"1 ") { end + 2 } else { end }
}

fn is_weekday(name: &[u8]) -> bool {
    matches!(name, b"Mon" | b"Tue" | b"Wed" | b"Thu" | b"Fri" | b"Sat" | b"Sun")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: Clock = Clock { ahead: 0, latest_day: 19_400 }; // 2023-02-12

    fn check(line: &str, expected: Option<(&str, &str)>) {
        let found =
            CLOCK.leading(line.as_bytes()).map(|(time, end)| (crate::value::Timestamp(time).rfc3339(), line[end..].to_owned()));
        assert_eq!(found, expected.map(|(time, rest)| (time.to_owned(), rest.to_owned())), "{line}");
    }

    #[test]
    fn stamps_of_many_kinds_are_read() {
        for (line, time, rest) in [
            ("2023-01-29T14:22:09.225174443Z x", "2023-01-29T14:22:09.225174Z", " x"),
            ("2023-01-29T14:22:09Z", "2023-01-29T14:22:09Z", ""),
            ("2023-01-29 14:22:08,927 INFO", "2023-01-29T14:22:08.927Z", " INFO"),
            ("2023-01-29T22:22:08+08:00 x", "2023-01-29T14:22:08Z", " x"),
            ("2023-01-29 09:22:08.5 -0500 x", "2023-01-29T14:22:08.5Z", " x"),
            ("2023-01-29 14:22:08+00 LOG", "2023-01-29T14:22:08Z", " LOG"),
            ("2023-01-29 14:22:08.1 +0000 UTC m=+1.04 x", "2023-01-29T14:22:08.1Z", " x"),
            ("[2023-01-29 14:22:08] x", "2023-01-29T14:22:08Z", "] x"),
            ("2023/01/29 14:22:08 [error] x", "2023-01-29T14:22:08Z", " [error] x"),
            ("29/Jan/2023:14:22:08 +0000 x", "2023-01-29T14:22:08Z", " x"),
            ("10.0.0.1 - bob [29/Jan/2023:14:22:08 +0000] \"GET /\"", "2023-01-29T14:22:08Z", " \"GET /\""),
            ("29-Jan-2023 14:22:08.927 INFO", "2023-01-29T14:22:08.927Z", " INFO"),
            ("29.01.2023 14:22:08 x", "2023-01-29T14:22:08Z", " x"),
            ("01/29/2023 2:22:08 PM x", "2023-01-29T14:22:08Z", " x"),
            ("Jan 29 14:22:08 host app[1]: x", "2023-01-29T14:22:08Z", " host app[1]: x"),
            ("Dec  5 14:22:08 host x", "2022-12-05T14:22:08Z", " host x"),
            ("<134>Jan  5 14:22:08 host x", "2023-01-05T14:22:08Z", " host x"),
            ("<165>1 2023-01-29T14:22:08.003Z host app", "2023-01-29T14:22:08.003Z", " host app"),
            ("Jan 29, 2023 2:22:08 PM x", "2023-01-29T14:22:08Z", " x"),
            ("[Sun Jan 29 14:22:08.1 2023] [core:error]", "2023-01-29T14:22:08.1Z", "] [core:error]"),
            ("Sun, 29 Jan 2023 14:22:08 GMT x", "2023-01-29T14:22:08Z", " x"),
            ("I0129 14:22:08.123456       1 main.go:12] x", "2023-01-29T14:22:08.123456Z", "       1 main.go:12] x"),
            ("20230129T142208Z x", "2023-01-29T14:22:08Z", " x"),
            ("081109 203518 143 INFO dfs", "2008-11-09T20:35:18Z", " 143 INFO dfs"),
            ("1675002128 x", "2023-01-29T14:22:08Z", " x"),
            ("1675002128.5 x", "2023-01-29T14:22:08.5Z", " x"),
            ("1675002128927\tx", "2023-01-29T14:22:08.927Z", "\tx"),
            ("INFO 2023-01-29 14:22:08 x", "2023-01-29T14:22:08Z", " x"),
            ("[WARN] [main] 2023-01-29T14:22:08Z x", "2023-01-29T14:22:08Z", " x"),
        ] {
            check(line, Some((time, rest)));
        }
    }

    #[test]
    fn what_is_no_leading_stamp_is_none() {
        for line in [
            "",
            "   at java.base/java.lang.Thread.run(Thread.java:829)",
            "Order created at 2023-01-29 15:38:06",
            "22:22:09.224 INFO x",
            "12345678901234567890",
            "2023-13-29 14:22:08",
            "2023-01-29",
            "2023-01-29T25:00:00Z",
            "Java 8",
            "Mon",
            "I01",
            "<999",
            "9999999999999999999 x",
            "März 2023",
        ] {
            check(line, None);
        }
    }

    #[test]
    fn a_stamp_without_a_zone_is_read_in_the_one_given() {
        let clock = Clock { ahead: 8 * 3600, ..CLOCK };
        assert_eq!(clock.whole("2023-01-29 22:22:08").map(|t| t / SECOND), Some(1_675_002_128));
        assert_eq!(clock.whole("2023-01-29 14:22:08Z").map(|t| t / SECOND), Some(1_675_002_128));
    }

    #[test]
    fn numbers_are_told_apart_by_size() {
        for number in [1_675_002_128.0, 1_675_002_128_000.0, 1_675_002_128_000_000.0, 1_675_002_128_000_000_000.0] {
            assert_eq!(Clock::number(number).map(|t| t / SECOND), Some(1_675_002_128), "{number}");
        }
        assert_eq!(Clock::number(f64::NAN), None);
        assert_eq!(Clock::number(12.0), None);
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_it_panic(line: Vec<u8>) {
            let _ = CLOCK.leading(&line);
        }

        #[test]
        fn nothing_that_looks_like_a_stamp_makes_it_panic(line in "[<\\[IJanSuFebZ0-9:. ,/+TPM-]{0,60}") {
            let _ = CLOCK.leading(line.as_bytes());
        }
    }
}
