//! When was a sample taken? [`Clock`] reads the time of a cell, in any of the forms that telemetry has.
//!
//! Seconds, milli-, micro- and nanoseconds since the epoch are told apart by their size; text may be RFC 3339,
//! ISO 8601 basic, Go's `time.String()` with its monotonic suffix, RFC 2822, a web server's, or a local date.

use jiff::{
    civil::{Date, DateTime, Time},
    tz::{Offset, TimeZone},
};

use super::error::MetricsError;

/// Microseconds of a second.
pub const SECOND: i64 = 1_000_000;
/// The longest text that is tried as a time.
const MAX_TIME_LEN: usize = 80;
/// Bare numbers below this many seconds (March 1973) are quantities, not times.
const FIRST_EPOCH_SECOND: f64 = 1e8;
/// Bare numbers from here on count milliseconds or smaller.
const FIRST_EPOCH_MILLI: f64 = 1e11;
/// The end of what counts as a time: the year 2554 in nanoseconds.
const LAST_EPOCH_NANO: f64 = 1.844e19;

/// Which of the first two numbers of `03/04/2026` is the day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateOrder {
    /// `3 April`.
    #[default]
    DayFirst,
    /// `March 4`.
    MonthFirst,
}

/// A time that was read, and how sure its place on the time line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Microseconds since the epoch, UTC.
    pub micros: i64,
    /// Whether the text itself said so, by a zone or as seconds since the epoch.
    pub absolute: bool,
}

/// Reads times of one file.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Where times without a zone were taken.
    zone: TimeZone,
    /// How dates with slashes are meant.
    pub order: DateOrder,
    /// The last text and what it meant: long tables repeat it row after row.
    last: (String, Option<Moment>),
}

impl Clock {
    /// A clock for times that, where they name no zone, are of `zone`.
    pub fn new(zone: TimeZone) -> Self {
        Self { zone, order: DateOrder::default(), last: (String::new(), None) }
    }

    /// The time that `text` names; `None` when it is not one.
    pub fn read(&mut self, text: &str) -> Option<Moment> {
        if self.last.0 != text {
            let moment = self.parse(text);
            self.last.0.clear();
            self.last.0.push_str(text);
            self.last.1 = moment;
        }
        self.last.1
    }

    /// As [`Clock::read`], remembering nothing.
    pub fn parse(&self, text: &str) -> Option<Moment> {
        let text = text.trim().trim_matches(['"', '\'', '[', ']']).trim();
        if text.is_empty() || text.len() > MAX_TIME_LEN || !text.is_ascii() {
            return None;
        }
        if let Some(moment) = epoch(text) {
            return Some(moment);
        }
        let (date, rest) = date(text, self.order)?;
        let (time, rest) = time_of_day(rest)?;
        let offset = zone_suffix(rest)?;
        let local = DateTime::from_parts(date, time);
        let stamp = match offset {
            Some(seconds) => Offset::from_seconds(seconds).ok()?.to_timestamp(local).ok()?,
            None => self.zone.to_timestamp(local).ok()?,
        };
        Some(Moment { micros: stamp.as_microsecond(), absolute: offset.is_some() })
    }
}

/// The zone that a `zone` argument names: `UTC`, `+08:00` or `Europe/Berlin`.
///
/// # Errors
/// The name is neither an offset nor in the time zone database.
pub fn zone_named(name: &str) -> Result<TimeZone, MetricsError> {
    match zone_suffix(name) {
        Some(Some(seconds)) => Offset::from_seconds(seconds).map(TimeZone::fixed).map_err(|_| MetricsError::Zone(name.into())),
        Some(None) | None => TimeZone::get(name.trim()).map_err(|_| MetricsError::Zone(name.into())),
    }
}

/// A length of time such as `30s`, `5m`, `1.5h`, `1d` or plain seconds, in microseconds; `None` when it is none or not positive.
pub fn span(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "us" => 1.0,
        "ms" => 1e3,
        "" | "s" | "sec" | "second" | "seconds" => 1e6,
        "m" | "min" | "minute" | "minutes" => 60e6,
        "h" | "hour" | "hours" => 3600e6,
        "d" | "day" | "days" => 86_400e6,
        "w" | "week" | "weeks" => 604_800e6,
        _ => return None,
    };
    let micros = (number * unit).round();
    (1.0..9e15).contains(&micros).then_some(micros as i64)
}

/// A quantity of microseconds as `90s`, `5m` or `2h`, the largest unit that divides it.
pub fn span_name(micros: i64) -> String {
    for (unit, name) in [(86_400 * SECOND, "d"), (3600 * SECOND, "h"), (60 * SECOND, "m"), (SECOND, "s"), (1000, "ms")] {
        if micros >= unit && micros % unit == 0 {
            return format!("{}{name}", micros / unit);
        }
    }
    format!("{:.3}s", micros as f64 / SECOND as f64)
}

/// Which order the dates of a column have, if it can be told: one number above 12 settles it.
pub fn date_order<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<DateOrder> {
    for text in texts {
        let mut numbers = text.trim().splitn(3, ['/', '-', '.']);
        let (Some(a), Some(b)) = (numbers.next(), numbers.next()) else { continue };
        let (Ok(a), Ok(b)) = (a.parse::<u32>(), b.parse::<u32>()) else { continue };
        match (a, b) {
            (13..=31, 1..=12) => return Some(DateOrder::DayFirst),
            (1..=12, 13..=31) => return Some(DateOrder::MonthFirst),
            _ => {}
        }
    }
    None
}

/// Whether the text is a date whose order of day and month cannot be told from itself.
pub fn is_slashed(text: &str) -> bool {
    let text = text.trim();
    let mut numbers = text.splitn(3, ['/', '-', '.']);
    let short = |part: Option<&str>| part.is_some_and(|p| (1..=2).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()));
    short(numbers.next()) && short(numbers.next()) && numbers.next().is_some_and(|p| p.starts_with(|c: char| c.is_ascii_digit()))
}

fn epoch(text: &str) -> Option<Moment> {
    let bytes = text.as_bytes();
    if !bytes.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+')) {
        return None;
    }
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    // Dates without separators are read as dates: as numbers they would be quantities or the far future.
    if digits == bytes.len() && matches!(digits, 8 | 14) && date(text, DateOrder::default()).is_some() {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    if !(FIRST_EPOCH_SECOND..LAST_EPOCH_NANO).contains(&number) {
        return None;
    }
    let mut per_second = 1.0;
    while number / per_second >= FIRST_EPOCH_MILLI {
        per_second *= 1000.0;
    }
    // Whole numbers are divided as integers: a float has no room for nanoseconds since 1970.
    let micros = match (text.parse::<i64>(), per_second as i64) {
        (Ok(whole), unit @ 1_000_000_000) => whole / (unit / SECOND),
        (Ok(whole), unit) => whole.checked_mul(SECOND / unit)?,
        (Err(_), _) => (number * (SECOND as f64 / per_second)).round() as i64,
    };
    Some(Moment { micros, absolute: true })
}

/// The date at the start of the text, and what follows it.
fn date(text: &str, order: DateOrder) -> Option<(Date, &str)> {
    let text = match text.split_once([',', ' ']) {
        // `Sun, 29 Jan 2023` and `Sun Jan 29 2023`.
        Some((day, rest)) if day.len() >= 3 && month(day).is_none() && day.bytes().all(|b| b.is_ascii_alphabetic()) => {
            rest.trim_start()
        }
        Some(_) | None => text,
    };
    let (first, rest) = word(text)?;
    if first.len() == 8 && first.bytes().all(|b| b.is_ascii_digit()) {
        return Some((ymd(&first[..4], &first[4..6], &first[6..])?, rest));
    }
    if first.len() == 14 && first.bytes().all(|b| b.is_ascii_digit()) {
        return Some((ymd(&first[..4], &first[4..6], &first[6..8])?, &text[8..]));
    }
    let (second, rest) = word(rest.strip_prefix(['-', '/', '.', ' '])?)?;
    let rest = rest.strip_prefix(',').unwrap_or(rest);
    let (third, rest) = word(rest.strip_prefix(['-', '/', '.', ' '])?)?;
    if first.len() == 4 {
        return Some((ymd(first, second, third)?, rest));
    }
    if third.len() != 4 {
        return None;
    }
    if month(first).is_some() {
        return Some((ymd(third, first, second)?, rest));
    }
    let day_first = month(second).is_some_and(|_| second.parse::<u8>().is_err()) || order == DateOrder::DayFirst;
    let date = if day_first { ymd(third, second, first) } else { ymd(third, first, second) };
    Some((date?, rest))
}

/// The letters or the digits at the start, and what follows them.
fn word(text: &str) -> Option<(&str, &str)> {
    let first = *text.as_bytes().first()?;
    let same = |b: &u8| if first.is_ascii_digit() { b.is_ascii_digit() } else { b.is_ascii_alphabetic() };
    let end = text.as_bytes().iter().take_while(|b| same(b)).count();
    (end > 0).then(|| text.split_at(end))
}

fn ymd(year: &str, month_text: &str, day: &str) -> Option<Date> {
    let year: i16 = year.parse().ok()?;
    if !(1970..=2600).contains(&year) || day.len() > 2 {
        return None;
    }
    let number = match month_text.parse::<i8>() {
        Ok(number) if month_text.len() <= 2 => number,
        Ok(_) => return None,
        Err(_) => month(month_text)?,
    };
    Date::new(year, number, day.parse().ok()?).ok()
}

fn month(text: &str) -> Option<i8> {
    const NAMES: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let short = text.get(..3)?.to_ascii_lowercase();
    let at = NAMES.iter().position(|name| *name == short)?;
    i8::try_from(at + 1).ok()
}

/// The time of day at the start of the text (midnight when nothing follows), and what follows it.
fn time_of_day(text: &str) -> Option<(Time, &str)> {
    let rest = text.trim_start_matches(['T', 't', ' ', '_', ':']);
    if rest.is_empty() || (rest.len() == text.len() && !text.starts_with(|c: char| c.is_ascii_digit())) {
        return rest.is_empty().then_some((Time::midnight(), ""));
    }
    let (first, after) = word(rest)?;
    let (hour, minute, second, after) = match first.len() {
        6 => (&first[..2], &first[2..4], &first[4..], after),
        4 => (&first[..2], &first[2..], "0", after),
        1 | 2 => {
            let (minute, after) = word(after.strip_prefix(':')?)?;
            match after.strip_prefix(':') {
                Some(after) => {
                    let (second, after) = word(after)?;
                    (first, minute, second, after)
                }
                None => (first, minute, "0", after),
            }
        }
        _ => return None,
    };
    let (nanos, after) = match after.strip_prefix(['.', ',']) {
        Some(after) => {
            let (digits, after) = word(after)?;
            let value: u64 = digits.get(..9.min(digits.len()))?.parse().ok()?;
            (i32::try_from(value * 10u64.pow(9 - u32::try_from(digits.len().min(9)).ok()?)).ok()?, after)
        }
        None => (0, after),
    };
    let (mut hour, minute, second): (i8, i8, i8) = (hour.parse().ok()?, minute.parse().ok()?, second.parse().ok()?);
    let trimmed = after.trim_start();
    let after = match trimmed.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some(half @ ("am" | "pm")) if (1..=12).contains(&hour) => {
            hour = hour % 12 + if half == "pm" { 12 } else { 0 };
            &trimmed[2..]
        }
        Some(_) | None => after,
    };
    // A leap second is counted with the second before it, as every log shipper does.
    Some((Time::new(hour, minute, second.min(59), nanos).ok()?, after))
}

/// The offset in seconds that a suffix names: `Some(None)` when there is no suffix, `None` when it is not understood.
fn zone_suffix(text: &str) -> Option<Option<i32>> {
    let mut offset = None;
    for part in text.split_ascii_whitespace() {
        if part.starts_with("m=") || (part.starts_with('[') && part.ends_with(']')) {
            continue;
        }
        // Go writes the offset and then the zone's own abbreviation.
        if offset.is_some() && part.bytes().all(|b| b.is_ascii_alphabetic()) {
            continue;
        }
        let name = part.split_once('[').map_or(part, |(name, _)| name);
        let name = name.strip_prefix("UTC").or_else(|| name.strip_prefix("GMT")).filter(|rest| !rest.is_empty()).unwrap_or(name);
        offset = Some(match name {
            "Z" | "z" | "UTC" | "GMT" | "utc" => 0,
            signed => numeric_offset(signed)?,
        });
    }
    Some(offset)
}

fn numeric_offset(text: &str) -> Option<i32> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits.parse::<i32>().ok()?, 0),
        4 => (digits[..2].parse().ok()?, digits[2..].parse().ok()?),
        _ => return None,
    };
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}
