//! How is a record written? A byte for the format, a link of the hash chain, the time, the event.
//!
//! ```text
//! | format 1 | link 16 | time 8, little-endian | event, MessagePack with named fields, large parts as blob references |
//! ```
//!
//! The link is the first half of BLAKE3 over the link before it, the sequence number and everything that follows the link; the
//! first record follows a link made from the session's id. So a record that was changed, moved, left out or taken from another
//! session does not fit, and a blob is covered by its digest. Fields are written by name: an array would be half the size, but a field that
//! is left out when empty would shift those after it, and events must be able to grow for ever.

use serde::Deserialize;

use super::blob::{self, Blobs, Digest};
use crate::{
    event::{Event, Record},
    value::{Seq, SessionId, Timestamp},
};

/// The format of a record that this build writes.
const FORMAT: u8 = 1;

/// The longest record, in bytes.
const MAX_RECORD: usize = 256 * 1_024 * 1_024;

/// Where the link, the time and the event begin.
const LINK_AT: usize = 1;
const TIME_AT: usize = LINK_AT + 16;
const EVENT_AT: usize = TIME_AT + 8;

/// A link of a session's hash chain.
pub type Link = [u8; 16];

/// A record as it is stored.
#[derive(Debug)]
pub struct Stored {
    /// Its place.
    pub seq: Seq,
    /// Its bytes.
    pub row: Vec<u8>,
    /// Its large parts.
    pub blobs: Blobs,
}

impl Stored {
    /// How many bytes wait to be written.
    pub fn weight(&self) -> usize {
        self.row.len() + self.blobs.values().map(Vec::len).sum::<usize>()
    }
}

/// What the first record of a session follows.
pub fn genesis(session: SessionId) -> Link {
    half(blake3::Hasher::new_derive_key("synod 2026 first link of a session's journal").update(session.0.as_bytes()))
}

/// `record` after the one with the link `before`, and its own link.
pub fn encode(record: &Record, before: &Link) -> Result<(Stored, Link), String> {
    let event = rmp_serde::to_vec_named(&record.event).map_err(|e| e.to_string())?;
    if event.len() > MAX_RECORD {
        return Err(format!("it is longer than {MAX_RECORD} bytes"));
    }
    let split = if let Event::Started(_) = record.event { blob::split_start } else { blob::split };
    let (event, blobs) = split(&event).map_err(|e| e.to_string())?;
    let mut row = Vec::with_capacity(EVENT_AT + event.len());
    row.push(FORMAT);
    row.extend_from_slice(&[0; 16]);
    row.extend_from_slice(&record.at.0.to_le_bytes());
    row.extend_from_slice(&event);
    let link = link(before, record.seq, &row);
    row[LINK_AT..TIME_AT].copy_from_slice(&link);
    Ok((Stored { seq: record.seq, row, blobs }, link))
}

/// The record of `row` and its link, which must follow `before`.
pub fn decode(
    row: &[u8],
    seq: Seq,
    before: &Link,
    fetch: &mut dyn FnMut(&Digest) -> Option<Vec<u8>>,
) -> Result<(Record, Link), String> {
    let found = link_of(row)?;
    if link(before, seq, row) != found {
        return Err("it does not fit to the hash chain".to_owned());
    }
    Ok((decode_unchained(row, seq, fetch)?, found))
}

/// The record of `row`, whatever it follows.
pub fn decode_unchained(row: &[u8], seq: Seq, fetch: &mut dyn FnMut(&Digest) -> Option<Vec<u8>>) -> Result<Record, String> {
    link_of(row)?;
    let time: [u8; 8] = row[TIME_AT..EVENT_AT].try_into().map_err(|_| "it is too short".to_owned())?;
    let event = blob::join(&row[EVENT_AT..], MAX_RECORD, fetch).map_err(|e| e.to_string())?;
    let event: Event = from_bytes(&event)?;
    Ok(Record { seq, at: Timestamp(i64::from_le_bytes(time)), event })
}

/// The blobs that `row` refers to.
pub fn references(row: &[u8]) -> Result<Vec<Digest>, String> {
    link_of(row)?;
    blob::references(&row[EVENT_AT..]).map_err(|e| e.to_string())
}

/// The link of `row`.
pub fn link_of(row: &[u8]) -> Result<Link, String> {
    match row.first() {
        None => return Err("it is empty".to_owned()),
        Some(&FORMAT) => {}
        Some(newer) => return Err(format!("it has format {newer} and this version knows up to {FORMAT}")),
    }
    match row.get(LINK_AT..TIME_AT).map(Link::try_from) {
        Some(Ok(link)) if row.len() >= EVENT_AT => Ok(link),
        _ => Err("it is too short".to_owned()),
    }
}

/// What was written as MessagePack.
pub fn from_bytes<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    rmp_serde::from_slice(bytes).map_err(|e| e.to_string())
}

fn link(before: &Link, seq: Seq, row: &[u8]) -> Link {
    half(blake3::Hasher::new().update(before).update(&seq.0.to_le_bytes()).update(&row[..LINK_AT]).update(&row[TIME_AT..]))
}

fn half(hasher: &blake3::Hasher) -> Link {
    let mut link = Link::default();
    hasher.finalize_xof().fill(&mut link);
    link
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::Outcome,
        value::{NodeIx, Value},
    };

    #[test]
    fn records_of_the_first_format_are_read_for_ever() {
        let session = SessionId(uuid::Uuid::from_u128(7));
        let output = Value::map([("n", Value::from(300)), ("x", Value::Float(0.5))]);
        let record = Record {
            seq: Seq(0),
            at: Timestamp(1_767_623_400_000_000),
            event: Event::NodeEnded { node: NodeIx(5), outcome: Outcome::Ok(output) },
        };
        let (stored, link) = encode(&record, &genesis(session)).unwrap();
        let hex: String = stored.row.iter().map(|byte| format!("{byte:02x}")).collect();
        let golden = concat!(
            "01",
            "e85ab148c04da7ca05c85a834512e170",
            "008adae4a4470600",
            "81aa6e6f64655f656e64656482a46e6f646505a76f7574636f6d6581a26f6b82a16ecd012ca178cb3fe0000000000000",
        );
        assert_eq!(hex, golden);
        assert_eq!(decode(&stored.row, Seq(0), &genesis(session), &mut |_| None).unwrap(), (record, link));
    }
}
