//! How does a large payload stay small? Parts over [`BLOB_OVER`] bytes are kept apart under their digest, once a journal.
//!
//! This works on MessagePack, not on events: [`split`] walks the encoded value and replaces each list, map or text that is still
//! too large after its own parts were taken out by a reference, an extension of type [`REFERENCE`] with the BLAKE3 digest of what stood
//! there. So the same plan in two sessions is stored once although the two events differ. [`join`] puts everything back.

use std::collections::BTreeMap;

/// Encoded values longer than this are kept apart, in bytes.
pub const BLOB_OVER: usize = 4 * 1_024;

/// Fields of a start that are longer than this are kept apart, in bytes.
pub const SHARED_OVER: usize = 256;

/// How deep the fields of an event are: within its name and its body.
const FIELD_DEPTH: usize = 2;

/// The deepest nesting of a record. Values have up to 128 levels; events add a few.
const MAX_DEPTH: usize = 256;

/// The MessagePack extension type of a reference.
const REFERENCE: u8 = 1;

/// The first bytes of a reference: an extension of 32 bytes.
const REFERENCE_HEAD: [u8; 3] = [0xc7, 32, REFERENCE];

/// BLAKE3 of a blob.
pub type Digest = [u8; 32];

/// Blobs by digest.
pub type Blobs = BTreeMap<Digest, Vec<u8>>;

/// Why bytes are not a record's.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Not MessagePack, or cut short.
    #[error("its encoding is broken at byte {0}")]
    Broken(usize),
    /// Too many lists and maps within each other.
    #[error("it is nested deeper than {MAX_DEPTH} levels")]
    Deep,
    /// Too long.
    #[error("it is longer than {0} bytes")]
    Long(usize),
    /// What a reference stands for is not there, or is something else.
    #[error("blob {0} is {1}")]
    Blob(String, &'static str),
}

/// `encoded` with its large parts replaced by references, and those parts.
pub fn split(encoded: &[u8]) -> Result<(Vec<u8>, Blobs), BlobError> {
    split_at(encoded, BLOB_OVER)
}

/// The same for a start, whose plan and files are those of other sessions: each field of it over [`SHARED_OVER`] bytes is kept apart.
pub fn split_start(encoded: &[u8]) -> Result<(Vec<u8>, Blobs), BlobError> {
    split_at(encoded, SHARED_OVER)
}

fn split_at(encoded: &[u8], field_over: usize) -> Result<(Vec<u8>, Blobs), BlobError> {
    let out = Vec::with_capacity(encoded.len().min(BLOB_OVER));
    let mut split = Split { input: encoded, out, blobs: Blobs::new(), field_over };
    let end = split.value(0, 0)?;
    if end == encoded.len() { Ok((split.out, split.blobs)) } else { Err(BlobError::Broken(end)) }
}

/// What `split` was given, from its result; `fetch` gives the blobs. At most `limit` bytes.
pub fn join(stored: &[u8], limit: usize, fetch: &mut dyn FnMut(&Digest) -> Option<Vec<u8>>) -> Result<Vec<u8>, BlobError> {
    let mut join = Join { out: Vec::with_capacity(stored.len()), limit, fetch };
    join.whole(stored, 0)?;
    Ok(join.out)
}

/// The blobs that a record's event or a blob refers to by itself.
pub fn references(stored: &[u8]) -> Result<Vec<Digest>, BlobError> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < stored.len() {
        // Parts follow their head, so that heads in a row are all there is.
        let end = head(stored, at)?.end;
        found.extend(reference(&stored[at..end]));
        at = end;
    }
    Ok(found)
}

struct Split<'a> {
    input: &'a [u8],
    out: Vec<u8>,
    blobs: Blobs,
    /// What is kept apart of the fields of an event.
    field_over: usize,
}

impl Split<'_> {
    /// Copies the value at `at`, and returns where it ends.
    fn value(&mut self, at: usize, depth: usize) -> Result<usize, BlobError> {
        if depth > MAX_DEPTH {
            return Err(BlobError::Deep);
        }
        let head = head(self.input, at)?;
        let start = self.out.len();
        self.out.extend_from_slice(&self.input[at..head.end]);
        let mut end = head.end;
        for _ in 0..head.children {
            end = self.value(end, depth + 1)?;
        }
        let over = if depth == FIELD_DEPTH { self.field_over } else { BLOB_OVER };
        if self.out.len() - start > over {
            let blob = self.out.split_off(start);
            let digest = *blake3::hash(&blob).as_bytes();
            self.blobs.insert(digest, blob);
            self.out.extend_from_slice(&REFERENCE_HEAD);
            self.out.extend_from_slice(&digest);
        }
        Ok(end)
    }
}

struct Join<'a> {
    out: Vec<u8>,
    limit: usize,
    fetch: &'a mut dyn FnMut(&Digest) -> Option<Vec<u8>>,
}

impl Join<'_> {
    fn whole(&mut self, input: &[u8], depth: usize) -> Result<(), BlobError> {
        let end = self.value(input, 0, depth)?;
        if end == input.len() { Ok(()) } else { Err(BlobError::Broken(end)) }
    }

    fn value(&mut self, input: &[u8], at: usize, depth: usize) -> Result<usize, BlobError> {
        if depth > MAX_DEPTH {
            return Err(BlobError::Deep);
        }
        let head = head(input, at)?;
        if let Some(digest) = reference(&input[at..head.end]) {
            let named = |what| BlobError::Blob(blake3::Hash::from_bytes(digest).to_hex()[..16].to_owned(), what);
            let blob = (self.fetch)(&digest).ok_or_else(|| named("missing"))?;
            if *blake3::hash(&blob).as_bytes() != digest {
                return Err(named("not what was written"));
            }
            self.whole(&blob, depth + 1)?;
            return Ok(head.end);
        }
        if self.out.len() + (head.end - at) > self.limit {
            return Err(BlobError::Long(self.limit));
        }
        self.out.extend_from_slice(&input[at..head.end]);
        let mut end = head.end;
        for _ in 0..head.children {
            end = self.value(input, end, depth + 1)?;
        }
        Ok(end)
    }
}

fn reference(value: &[u8]) -> Option<Digest> {
    value.strip_prefix(&REFERENCE_HEAD)?.try_into().ok()
}

/// The head of a value: where it and its own bytes end, and how many values follow as its parts.
struct Head {
    end: usize,
    children: usize,
}

/// Reads the head at `at`, as <https://github.com/msgpack/msgpack/blob/master/spec.md> has it.
fn head(input: &[u8], at: usize) -> Result<Head, BlobError> {
    let broken = || BlobError::Broken(at);
    let number = |width: usize| -> Result<usize, BlobError> {
        let bytes = input.get(at + 1..at + 1 + width).ok_or_else(broken)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    };
    let (own, children) = match *input.get(at).ok_or_else(broken)? {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (1, 0),
        byte @ 0x80..=0x8f => (1, 2 * usize::from(byte & 0x0f)),
        byte @ 0x90..=0x9f => (1, usize::from(byte & 0x0f)),
        byte @ 0xa0..=0xbf => (1 + usize::from(byte & 0x1f), 0),
        0xc4 | 0xd9 => (2 + number(1)?, 0),
        0xc5 | 0xda => (3 + number(2)?, 0),
        0xc6 | 0xdb => (5 + number(4)?, 0),
        0xc7 => (3 + number(1)?, 0),
        0xc8 => (4 + number(2)?, 0),
        0xc9 => (6 + number(4)?, 0),
        0xcc | 0xd0 => (2, 0),
        0xcd | 0xd1 => (3, 0),
        0xca | 0xce | 0xd2 => (5, 0),
        0xcb | 0xcf | 0xd3 => (9, 0),
        byte @ 0xd4..=0xd8 => (2 + (1 << (byte - 0xd4)), 0),
        0xdc => (3, number(2)?),
        0xdd => (5, number(4)?),
        0xde => (3, 2 * number(2)?),
        0xdf => (5, 2 * number(4)?),
        0xc1 => return Err(broken()),
    };
    let end = at + own;
    if end > input.len() { Err(broken()) } else { Ok(Head { end, children }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(value: &impl serde::Serialize) -> Vec<u8> {
        rmp_serde::to_vec_named(value).unwrap()
    }

    fn check(value: &impl serde::Serialize) -> (Vec<u8>, Blobs) {
        let encoded = encode(value);
        let (stored, blobs) = split(&encoded).unwrap();
        let joined = join(&stored, usize::MAX, &mut |digest| blobs.get(digest).cloned()).unwrap();
        assert_eq!(joined, encoded);
        (stored, blobs)
    }

    #[test]
    fn what_is_small_stays_as_it_is() {
        let (stored, blobs) = check(&("a", -3_i64, 1.5, None::<u8>, vec![1_000_000_u64; 9], "ä".repeat(300)));
        assert!(blobs.is_empty());
        assert!(stored.len() < 800);
    }

    #[test]
    fn large_parts_are_kept_once_however_they_are_wrapped() {
        let plan: Vec<String> = (0..2_000).map(|node| format!("node {node}")).collect();
        let (first, mut blobs) = check(&("session one", &plan, "x".repeat(70_000)));
        let (second, more) = check(&(2, &plan));
        assert!(first.len() < 200 && second.len() < 200);
        blobs.extend(more);
        assert_eq!(blobs.len(), 2, "the plan and the text");
    }

    #[test]
    fn a_list_of_large_parts_is_a_blob_of_references() {
        let (stored, blobs) = check(&(0..500).map(|part| format!("{part}{}", "y".repeat(5_000))).collect::<Vec<_>>());
        assert_eq!((stored.len(), blobs.len()), (35, 501));
    }

    /// The plan of a small team was in the journal again for every session.
    #[test]
    fn fields_of_a_start_are_kept_once_although_they_are_small() {
        let plan: Vec<u32> = (100_000..100_100).collect();
        let start = |task: &str| BTreeMap::from([("started", BTreeMap::from([("plan", encode(&plan)), ("task", task.into())]))]);
        let [(first, mut blobs), (second, more)] = ["a", "b"].map(|task| split_start(&encode(&start(task))).unwrap());
        assert!(first.len() < 100 && second.len() < 100, "{} and {}", first.len(), second.len());
        assert_eq!((blobs.len(), &blobs), (1, &more));
        blobs.extend(more);
        let joined = join(&first, 9_999, &mut |digest| blobs.get(digest).cloned()).unwrap();
        assert_eq!(joined, encode(&start("a")));
    }

    #[test]
    fn a_missing_or_altered_blob_is_named() {
        let (stored, blobs) = split(&encode(&"z".repeat(5_000))).unwrap();
        let missing = join(&stored, 9_999, &mut |_| None).unwrap_err().to_string();
        assert!(missing.contains("is missing"), "{missing}");
        let altered = join(&stored, 9_999, &mut |digest| blobs.get(digest).map(|blob| [blob, &[0][..]].concat())).unwrap_err();
        assert!(altered.to_string().contains("not what was written"), "{altered}");
        let long = join(&stored, 4_999, &mut |digest| blobs.get(digest).cloned()).unwrap_err();
        assert!(matches!(long, BlobError::Long(4_999)));
    }

    #[test]
    fn depth_is_bounded() {
        let deep = [vec![0x91; 300], vec![0xc0]].concat();
        assert!(matches!(split(&deep), Err(BlobError::Deep)));
        assert!(matches!(join(&deep, 9_999, &mut |_| None), Err(BlobError::Deep)));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(0_u8.., 0..200)) {
            let split = split(&bytes);
            let joined = join(&bytes, 1_000, &mut |_| None);
            if let (Ok((stored, _)), Ok(joined)) = (split, joined) {
                assert_eq!(stored, joined);
            }
        }
    }
}
