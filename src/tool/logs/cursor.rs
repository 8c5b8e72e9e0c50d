//! What stands at this place of a line? [`Cursor`]: the parts of a time stamp, one after another.

/// A place in a line.
pub(super) struct Cursor<'a> {
    /// The line.
    pub line: &'a [u8],
    /// The place.
    pub at: usize,
}

impl Cursor<'_> {
    /// Steps over one of these bytes.
    pub fn one_of(&mut self, allowed: &[u8]) -> Option<u8> {
        let byte = *self.line.get(self.at)?;
        allowed.contains(&byte).then(|| {
            self.at += 1;
            byte
        })
    }

    /// The same where nothing follows from its absence.
    pub fn maybe(&mut self, allowed: &[u8]) -> bool {
        self.one_of(allowed).is_some()
    }

    /// Exactly `count` digits.
    pub fn number(&mut self, count: usize) -> Option<i64> {
        let part = self.line.get(self.at..self.at + count)?;
        if !part.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.at += count;
        part.iter().try_fold(0i64, |n, d| n.checked_mul(10)?.checked_add(i64::from(d - b'0')))
    }

    /// One or two digits.
    pub fn digits(&mut self) -> Option<i64> {
        match digits(self.line, self.at) {
            count @ (1 | 2) => self.number(count),
            _ => None,
        }
    }

    /// The name of a month in English, its first three letters.
    pub fn month(&mut self) -> Option<i64> {
        const MONTHS: &[u8; 36] = b"janfebmaraprmayjunjulaugsepoctnovdec";
        let name = self.line.get(self.at..self.at + 3)?.to_ascii_lowercase();
        let month = MONTHS.chunks(3).position(|m| m == name)? as i64 + 1;
        self.at += 3;
        Some(month)
    }

    /// `.927`, `,927`, `.225174443`: microseconds, further digits dropped.
    pub fn fraction(&mut self) -> i64 {
        if !matches!(self.line.get(self.at), Some(b'.' | b',')) {
            return 0;
        }
        let count = digits(self.line, self.at + 1);
        if count == 0 {
            return 0;
        }
        let start = self.at + 1;
        self.at = start + count;
        (0..6).fold(0, |n, i| n * 10 + if i < count { i64::from(self.line[start + i] - b'0') } else { 0 })
    }

    /// AM or PM: whether it is the afternoon.
    pub fn half(&mut self) -> Option<bool> {
        let rest = self.line.get(self.at..)?;
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        let afternoon = match rest.get(..2)? {
            b"AM" | b"am" => false,
            b"PM" | b"pm" => true,
            _ => return None,
        };
        self.at = self.line.len() - rest.len() + 2;
        Some(afternoon)
    }

    /// `Z`, ` UTC`, `+08:00`, ` -0500`, `+00`: seconds ahead of UTC. Go's repetition of the zone and its monotonic clock are passed over.
    pub fn zone(&mut self) -> Option<i64> {
        let spaced = self.line.get(self.at) == Some(&b' ');
        let from = self.at + usize::from(spaced);
        let ahead = match *self.line.get(from)? {
            b'Z' | b'z' if !spaced => {
                self.at = from + 1;
                return Some(0);
            }
            b'U' | b'G' if matches!(self.line.get(from..from + 3), Some(b"UTC" | b"GMT")) => {
                self.at = from + 3;
                return Some(0);
            }
            sign @ (b'+' | b'-') => {
                let mut c = Cursor { line: self.line, at: from + 1 };
                let hours = c.number(2)?;
                let minutes = match (c.maybe(b":"), digits(self.line, c.at)) {
                    (_, 2) => c.number(2)?,
                    (false, 0) if !spaced => 0,
                    _ => return None,
                };
                self.at = c.at;
                (hours * 3600 + minutes * 60) * if sign == b'-' { -1 } else { 1 }
            }
            _ => return None,
        };
        let rest = &self.line[self.at..];
        if rest.starts_with(b" UTC") {
            self.at += 4;
        }
        if self.line[self.at..].starts_with(b" m=") {
            self.at += self.line[self.at + 1..].iter().position(|b| *b == b' ').map_or(self.line.len() - self.at, |n| n + 1);
        }
        Some(ahead)
    }
}

/// Seconds of a day.
pub(super) fn clock(hour: i64, minute: i64, second: i64) -> Option<i64> {
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

/// Days since the epoch of a date of the Gregorian calendar.
pub(super) fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let [y, m, d] = [i16::try_from(year).ok()?, i16::try_from(month).ok()?, i16::try_from(day).ok()?];
    if !(1970..2200).contains(&y) || !(1..=12).contains(&m) || !(1..=31).contains(&d) {
        return None;
    }
    // Howard Hinnant's days_from_civil, for years after 1970.
    let y = year - i64::from(month <= 2);
    let era = y / 400;
    let yoe = y - era * 400;
    let doy = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    Some(era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468)
}

/// How many digits stand at `from`.
pub(super) fn digits(line: &[u8], from: usize) -> usize {
    line.get(from..).unwrap_or_default().iter().take(20).take_while(|b| b.is_ascii_digit()).count()
}
