//! What are the lines of a file of any size? [`Lines`]: plain or gzipped, one at a time, in bounded memory.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use flate2::read::MultiGzDecoder;

use super::{Found, Stop};
use crate::value::Failure;

/// How much of a line is kept, in bytes; the rest is skipped and counted.
pub(super) const LINE_LIMIT: usize = 64 * 1024;
/// How much is read at a time; a call is asked to stop this often.
const CHUNK: usize = 256 * 1024;
/// How much of a file is looked at to tell text from binary.
const PROBE: usize = 8 * 1024;

/// The lines of one open file.
pub(super) struct Lines {
    source: Source,
    stop: Stop,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    spill: Vec<u8>,
    number: u64,
    bytes: u64,
}

/// One line without its end.
pub(super) struct Line<'a> {
    /// Its number, from 1.
    pub number: u64,
    /// What was kept of it.
    pub bytes: &'a [u8],
    /// How long it is.
    pub length: usize,
}

/// Why there is no next line.
pub(super) enum LineError {
    /// The call is to end.
    Stopped(Failure),
    /// The file broke off; what came before is good.
    Broken(io::Error),
}

enum Source {
    Plain(File),
    Gzip(Box<MultiGzDecoder<File>>),
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Gzip(file) => file.read(buffer),
        }
    }
}

impl Lines {
    /// Opens a file; one that begins like gzip is unpacked, whatever its name.
    ///
    /// # Errors
    /// As [`Found::open`], or the first read fails.
    pub fn open(found: &Found, stop: &Stop) -> Result<Self, Failure> {
        let mut file = found.open()?;
        let mut magic = Vec::with_capacity(2);
        file.by_ref().take(2).read_to_end(&mut magic).map_err(|e| found.failure("read", &e))?;
        file.seek(SeekFrom::Start(0)).map_err(|e| found.failure("read", &e))?;
        let packed = magic == [0x1f, 0x8b];
        let source = if packed { Source::Gzip(Box::new(MultiGzDecoder::new(file))) } else { Source::Plain(file) };
        let buffer = vec![0; CHUNK];
        Ok(Self { source, stop: stop.clone(), buffer, start: 0, end: 0, spill: Vec::new(), number: 0, bytes: 0 })
    }

    /// Whether its beginning has a zero byte, as no text has.
    pub fn is_binary(&mut self) -> Result<bool, LineError> {
        if self.end == 0 {
            self.refill()?;
        }
        Ok(memchr::memchr(0, &self.buffer[..self.end.min(PROBE)]).is_some())
    }

    /// Bytes read so far, unpacked.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next line, `None` at the end of the file.
    pub fn next(&mut self) -> Result<Option<Line<'_>>, LineError> {
        self.spill.clear();
        let mut length = 0;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.start..self.end]) {
                let from = self.start;
                self.start += at + 1;
                return Ok(Some(self.line(from, from + at, length)));
            }
            length += self.end - self.start;
            self.keep(self.start, self.end);
            if self.refill()? == 0 {
                return Ok(if length > 0 { Some(self.line(0, 0, length)) } else { None });
            }
        }
    }

    /// The line that ends with `buffer[from..to]`, after `before` bytes of which the first are in `spill`.
    fn line(&mut self, from: usize, to: usize, before: usize) -> Line<'_> {
        self.number += 1;
        let length = before + (to - from);
        let kept = if before == 0 {
            &self.buffer[from..to.min(from + LINE_LIMIT)]
        } else {
            self.keep(from, to);
            &self.spill
        };
        let mut bytes = kept.strip_suffix(b"\r").unwrap_or(kept);
        if self.number == 1 {
            bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        }
        Line { number: self.number, bytes, length }
    }

    fn keep(&mut self, from: usize, to: usize) {
        let room = LINE_LIMIT.saturating_sub(self.spill.len());
        let to = to.min(from + room);
        self.spill.extend_from_slice(&self.buffer[from..to]);
    }

    fn refill(&mut self) -> Result<usize, LineError> {
        self.stop.check().map_err(LineError::Stopped)?;
        (self.start, self.end) = (0, 0);
        let count = loop {
            match self.source.read(&mut self.buffer) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(LineError::Broken(e)),
                Ok(count) => break count,
            }
        };
        self.end = count;
        self.bytes += count as u64;
        Ok(count)
    }
}

impl Line<'_> {
    /// As text, with a mark for every byte that is none.
    pub fn text(&self) -> Cow<'_, str> {
        // Text is the rule and its check is several times faster than the search for what to replace.
        std::str::from_utf8(self.bytes).map_or_else(|_| String::from_utf8_lossy(self.bytes), Cow::Borrowed)
    }

    /// How many bytes were skipped because it is longer than [`LINE_LIMIT`].
    pub fn skipped(&self) -> usize {
        self.length.saturating_sub(LINE_LIMIT)
    }
}

/// The first `limit` characters of a text, with an ellipsis where it goes on.
pub(super) fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::tool::Roots;

    fn check(content: &[u8], expected: &[(u64, &str, usize)]) {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("f"), content).expect("a file");
        assert_eq!(read(folder.path()).0, expected.iter().map(|(n, t, l)| (*n, (*t).to_owned(), *l)).collect::<Vec<_>>());
    }

    fn read(folder: &std::path::Path) -> (Vec<(u64, String, usize)>, bool) {
        let found = Roots::new(folder).expect("a root").find("f").expect("in reach");
        let mut lines = Lines::open(&found, &Stop::default()).expect("it opens");
        let mut all = Vec::new();
        loop {
            match lines.next() {
                Ok(Some(line)) => all.push((line.number, line.text().into_owned(), line.length)),
                Ok(None) => return (all, true),
                Err(_) => return (all, false),
            }
        }
    }

    #[test]
    fn lines_end_with_a_newline_a_carriage_return_or_the_file() {
        check(b"", &[]);
        check(b"a", &[(1, "a", 1)]);
        check(b"\xef\xbb\xbfa\r\n\nb\n", &[(1, "a", 5), (2, "", 0), (3, "b", 1)]);
        check(b"a\xffb", &[(1, "a\u{fffd}b", 3)]);
    }

    #[test]
    fn a_line_longer_than_the_buffer_keeps_its_beginning_and_its_length() {
        let folder = tempfile::tempdir().expect("a folder");
        let long = 5 * 1024 * 1024;
        let mut content = vec![b'x'; long];
        content.extend_from_slice(b"\nnext\n");
        std::fs::write(folder.path().join("f"), content).expect("a file");
        let (all, _) = read(folder.path());
        assert_eq!((all[0].1.len(), all[0].2), (LINE_LIMIT, long));
        assert_eq!(all[1], (2, "next".to_owned(), 4));
    }

    #[test]
    fn lines_across_chunks_stay_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let text: Vec<String> = (0..40_000).map(|i| format!("line number {i}")).collect();
        std::fs::write(folder.path().join("f"), text.join("\n")).expect("a file");
        assert!(read(folder.path()).0.iter().map(|l| &l.1).eq(text.iter()));
    }

    #[test]
    fn gzip_is_unpacked_and_a_broken_one_gives_what_it_has() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let text: Vec<String> = (0..100_000u64).map(|i| format!("line {}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        packer.write_all(text.join("\n").as_bytes()).expect("it packs");
        let packed = packer.finish().expect("it packs");
        std::fs::write(folder.path().join("f"), &packed).expect("a file");
        let (all, whole) = read(folder.path());
        assert!(whole && all.iter().map(|l| &l.1).eq(text.iter()));
        std::fs::write(folder.path().join("f"), &packed[..packed.len() / 2]).expect("a file");
        let (all, whole) = read(folder.path());
        assert!(!whole && all.len() > 1000 && all.iter().map(|l| &l.1).zip(&text).all(|(a, b)| a == b));
    }
}
