//! How does a session travel? As a cassette: JSON lines, a header and then each record with its hash, all payloads in it.
//!
//! ```text
//! {"synod_cassette":1,"session":"…","team":"…","records":42,"head":"…"}
//! {"hash":"…","record":{"seq":0,"at":…,"event":{…}}}
//! ```
//!
//! A hash is the BLAKE3 of the hash before it (nothing for the first) and of the text of its record, in hexadecimal; `head` is
//! the last one, and `cut` says why the session had more records that could not be exported. So a line that was changed, lost or moved is named.
//! Lines that are bare records, without a header and hashes, are read too.

use serde::{Deserialize, Serialize};

use super::{Event, Record, Started};
use crate::value::SessionId;

/// The version of cassettes that this build writes.
pub const CASSETTE_VERSION: u32 = 1;

const BEFORE_HASH: &str = "{\"hash\":\"";
const BEFORE_RECORD: &str = "\",\"record\":";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    synod_cassette: u32,
    session: SessionId,
    team: String,
    records: u64,
    head: String,
    /// Why the records after those could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut: Option<String>,
}

/// The records of a session, and whether they are those that were written.
#[derive(Clone, Debug, PartialEq)]
pub struct Cassette {
    /// All of them, in order.
    pub records: Vec<Record>,
    /// What does not fit the hashes, line by line: a change after the export. The first few.
    pub changed: Vec<String>,
}

/// Why a text is no cassette.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CassetteError {
    /// There is nothing in it.
    #[error("the cassette is empty")]
    Empty,
    /// A later version wrote it.
    #[error(
        "the cassette has version {found} and this program knows up to {CASSETTE_VERSION}: use the version that wrote it, or a newer one"
    )]
    Newer {
        /// Its version.
        found: u32,
    },
    /// A line is no record.
    #[error("line {line} is no record: {why}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// Why not.
        why: String,
    },
}

/// How deep a record may nest as JSON: what is deeper is not read again, here or elsewhere.
const MAX_DEPTH: usize = 127;

/// Changed lines that are named at most.
const NAMED: usize = 3;

impl Cassette {
    /// The text of a cassette with those records.
    ///
    /// # Errors
    /// A record has no JSON.
    pub fn write(records: &[Record]) -> Result<String, serde_json::Error> {
        let (mut lines, mut writer) = (String::new(), CassetteWriter::default());
        for record in records {
            lines.push_str(&writer.line(record)?);
        }
        let Some(Event::Started(started)) = records.first().map(|record| &record.event) else { return Ok(lines) };
        Ok(format!("{}{lines}", writer.header(started, None)?))
    }

    /// Reads a cassette.
    ///
    /// # Errors
    /// It is empty, of a later version, or a line is no record; the sentence names the line.
    pub fn read(text: &str) -> Result<Self, CassetteError> {
        let mut reader = CassetteReader::default();
        let mut records = Vec::new();
        for line in text.lines() {
            records.extend(reader.line(line)?);
        }
        Ok(Self { records, changed: reader.finish()? })
    }
}

/// Writes a cassette line by line. The header needs the last hash: whoever writes it first makes all lines twice.
#[derive(Debug, Default)]
pub struct CassetteWriter {
    hash: String,
    records: u64,
}

impl CassetteWriter {
    /// The line of the next record.
    ///
    /// # Errors
    /// It has no JSON, or a value in it nests so deep that nobody could read it again.
    pub fn line(&mut self, record: &Record) -> Result<String, serde_json::Error> {
        let text = serde_json::to_string(record)?;
        if depth(&text) > MAX_DEPTH {
            let why = format!("record {} nests deeper than {MAX_DEPTH} levels, and could not be read again", record.seq);
            return Err(serde::ser::Error::custom(why));
        }
        self.hash = hash_of(&self.hash, &text);
        self.records += 1;
        Ok([BEFORE_HASH, &self.hash, BEFORE_RECORD, &text, "}\n"].concat())
    }

    /// The first line of a cassette that has the lines so far; `started` is the session's first event, and `cut` why there are no more of them
    /// than could be read.
    ///
    /// # Errors
    /// It has no JSON.
    pub fn header(&self, started: &Started, cut: Option<String>) -> Result<String, serde_json::Error> {
        let (session, team, head) = (started.session, started.team.to_string(), self.hash.clone());
        let header = Header { synod_cassette: CASSETTE_VERSION, session, team, records: self.records, head, cut };
        Ok(format!("{}\n", serde_json::to_string(&header)?))
    }
}

/// Reads a cassette line by line.
#[derive(Debug, Default)]
pub struct CassetteReader {
    line: usize,
    begun: bool,
    header: Option<Header>,
    /// A line had a hash.
    hashed: bool,
    hash: String,
    records: u64,
    changed: Vec<String>,
}

impl CassetteReader {
    /// The record of the next line; `None` where it has none.
    ///
    /// # Errors
    /// It is neither a header nor a record, or of a later version.
    pub fn line(&mut self, line: &str) -> Result<Option<Record>, CassetteError> {
        self.line += 1;
        let (line, text) = (self.line, line.trim());
        if text.is_empty() {
            return Ok(None);
        }
        if !std::mem::replace(&mut self.begun, true) {
            self.header = header(text)?;
            if self.header.is_some() {
                return Ok(None);
            }
        }
        let (own, text) = match split(text) {
            Some((own, text)) => (Some(own), text),
            None => (None, text),
        };
        self.hashed |= own.is_some();
        if self.header.is_some() || own.is_some() {
            let expected = hash_of(&self.hash, text);
            if own != Some(&expected) && self.changed.len() < NAMED {
                self.changed.push(format!("line {line} is not what was exported"));
            }
            // The lines after it are judged by themselves.
            self.hash = own.map_or(expected, str::to_owned);
        }
        self.records += 1;
        let record: Record = serde_json::from_str(text).map_err(|e| CassetteError::Line { line, why: e.to_string() })?;
        if let (Some(header), Event::Started(started), 1) = (&self.header, &record.event, self.records)
            && header.session != started.session
        {
            self.changed.push(format!("its header is that of session {}, and its records are of another", header.session));
        }
        Ok(Some(record))
    }

    /// After the last line: what does not fit the hashes.
    ///
    /// # Errors
    /// There was nothing.
    pub fn finish(mut self) -> Result<Vec<String>, CassetteError> {
        if self.records == 0 {
            return Err(CassetteError::Empty);
        }
        match self.header {
            None if self.hashed => self.changed.insert(0, "its header is missing".to_owned()),
            Some(Header { cut: Some(why), .. }) => self.changed.insert(0, format!("it was cut when it was exported: {why}")),
            Some(header) if header.records != self.records => {
                self.changed.push(format!("it has {} records, and {} were exported", self.records, header.records));
            }
            Some(header) if header.head != self.hash => {
                self.changed.push("its last record is not the one that was exported".to_owned());
            }
            Some(_) | None => {}
        }
        self.changed.truncate(NAMED);
        Ok(self.changed)
    }
}

/// The header, where the first line is one.
fn header(line: &str) -> Result<Option<Header>, CassetteError> {
    #[derive(Deserialize)]
    struct Version {
        synod_cassette: u32,
    }
    let Ok(Version { synod_cassette: found }) = serde_json::from_str(line) else { return Ok(None) };
    if found > CASSETTE_VERSION {
        return Err(CassetteError::Newer { found });
    }
    serde_json::from_str(line).map(Some).map_err(|e| CassetteError::Line { line: 1, why: e.to_string() })
}

/// The hash and the record of a line.
fn split(line: &str) -> Option<(&str, &str)> {
    let (hash, rest) = line.strip_prefix(BEFORE_HASH)?.split_once(BEFORE_RECORD)?;
    Some((hash, rest.strip_suffix('}')?))
}

/// How deep a JSON text nests.
fn depth(text: &str) -> usize {
    let (mut now, mut deepest) = (0_usize, 0);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'[' | b'{' if !is_quoted => {
                now += 1;
                deepest = deepest.max(now);
            }
            b']' | b'}' if !is_quoted => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn hash_of(before: &str, record: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before.as_bytes()).update(record.as_bytes());
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Seq, Timestamp, Value};

    fn records() -> Vec<Record> {
        let wrote = |text: &str| Event::Wrote { node: crate::value::NodeIx(0), variable: "v".into(), value: Value::text(text) };
        let record = |seq, event| Record { seq: Seq(seq), at: Timestamp(7), event };
        vec![record(0, Event::Parked), record(1, wrote("with \"quotes\"},\"record\":{")), record(2, wrote("x"))]
    }

    /// As `write` does, which takes the header from the first record.
    fn text() -> String {
        let session = SessionId(uuid::Uuid::nil());
        let lines = Cassette::write(&records()).unwrap();
        let head = split(lines.lines().last().unwrap()).unwrap().0.to_owned();
        let header = Header { synod_cassette: 1, session, team: "t".to_owned(), records: 3, head, cut: None };
        format!("{}\n{lines}", serde_json::to_string(&header).unwrap())
    }

    fn check(text: &str, expected: Result<&[&str], &str>) {
        match (Cassette::read(text), expected) {
            (Ok(found), Ok(changed)) => assert_eq!(found.changed, changed),
            (Err(found), Err(expected)) => assert!(found.to_string().contains(expected), "{found}"),
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Cassette::read(&text()), Ok(Cassette { records: records(), changed: Vec::new() }));
    }

    #[test]
    fn bare_records_are_read_as_well() {
        let bare: Vec<String> = records().iter().map(|record| serde_json::to_string(record).unwrap()).collect();
        check(&bare.join("\n"), Ok(&[]));
    }

    #[test]
    fn a_line_that_was_changed_lost_or_moved_is_named() {
        let text = text();
        check(&text.replace("\"x\"", "\"y\""), Ok(&["line 4 is not what was exported"]));
        let lines: Vec<&str> = text.lines().collect();
        let without_last = lines[..3].join("\n");
        check(&without_last, Ok(&["it has 2 records, and 3 were exported"]));
        let without_middle = [lines[0], lines[1], lines[3]].join("\n");
        check(&without_middle, Ok(&["line 3 is not what was exported", "it has 2 records, and 3 were exported"]));
    }

    #[test]
    fn lines_with_hashes_are_no_cassette_without_their_header() {
        let text = text();
        let lines: Vec<&str> = text.lines().collect();
        check(&lines[1..].join("\n"), Ok(&["its header is missing"]));
        check(&lines[1..3].join("\n"), Ok(&["its header is missing"]));
        check(&lines[2..].join("\n"), Ok(&["its header is missing", "line 1 is not what was exported"]));
    }

    #[test]
    fn what_could_not_be_exported_is_missed() {
        let text = text();
        let cut = text.replacen('}', ",\"cut\":\"record 3 is damaged\"}", 1);
        check(&cut, Ok(&["it was cut when it was exported: record 3 is damaged"]));
    }

    /// What can be written can be read, however deep it nests.
    #[test]
    fn a_record_that_could_not_be_read_again_is_not_written() {
        let nested = |levels| {
            let value = (0..levels).fold(Value::text("[[{{\\\"["), |inner, _| Value::list([inner]));
            Record {
                seq: Seq(0),
                at: Timestamp(7),
                event: Event::Wrote { node: crate::value::NodeIx(0), variable: "v".into(), value },
            }
        };
        let (mut written, mut refused) = (0, 0);
        for levels in 100..150 {
            let records = vec![nested(levels)];
            match Cassette::write(&records) {
                Ok(text) => {
                    assert_eq!(Cassette::read(&text).unwrap().records, records);
                    written += 1;
                }
                Err(error) => {
                    assert!(error.to_string().contains("record 0 nests deeper"), "{error}");
                    let bare = serde_json::to_string(&records[0]).unwrap();
                    assert!(Cassette::read(&bare).is_err(), "it is not refused for nothing");
                    refused += 1;
                }
            }
        }
        assert!(written > 20 && refused > 20, "{written} {refused}");
    }

    #[test]
    fn what_is_no_cassette_is_refused_with_its_line() {
        check("", Err("empty"));
        check("\n\n", Err("empty"));
        check(text().lines().next().unwrap(), Err("empty"));
        check(&text().replacen("cassette\":1", "cassette\":9", 1), Err("version 9"));
        check(&format!("{}{{}}\n", text()), Err("line 5 is no record"));
        check("hello", Err("line 1 is no record"));
    }
}
