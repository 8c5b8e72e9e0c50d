//! What did a command say? [`Output`]: the beginning and the end of it, within a limit.

use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes kept from the beginning.
const HEAD: usize = 48 * 1024;
/// Bytes kept from the end.
const TAIL: usize = 16 * 1024;
/// Bytes read at once.
const CHUNK: usize = 16 * 1024;

/// What was written to a pipe.
#[derive(Debug, Default)]
pub(super) struct Output {
    head: Vec<u8>,
    /// The last bytes, up to twice as many as are kept.
    tail: Vec<u8>,
    /// Bytes in all.
    pub total: u64,
}

/// More was written than anybody reads.
#[derive(Debug)]
pub(super) struct TooLong;

impl Output {
    /// Takes what was written next.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let (first, rest) = bytes.split_at(bytes.len().min(HEAD - self.head.len()));
        self.head.extend_from_slice(first);
        self.tail.extend_from_slice(&rest[rest.len().saturating_sub(TAIL)..]);
        if self.tail.len() > 2 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
    }

    /// Reads until the end, or until the future is dropped; what was read so far stays.
    ///
    /// # Errors
    /// More than `limit` was written.
    pub(super) async fn read(&mut self, pipe: &mut (impl AsyncRead + Unpin), limit: u64) -> Result<(), TooLong> {
        let mut buffer = vec![0; CHUNK];
        loop {
            match pipe.read(&mut buffer).await {
                Ok(0) | Err(_) => return Ok(()),
                Ok(count) => self.push(&buffer[..count]),
            }
            if self.total > limit {
                return Err(TooLong);
            }
        }
    }

    /// Bytes that are left out.
    pub(super) fn cut(&self) -> u64 {
        self.total - self.head.len() as u64 - self.end().len() as u64
    }

    /// The end of what was written after the beginning.
    fn end(&self) -> &[u8] {
        &self.tail[self.tail.len().saturating_sub(TAIL)..]
    }

    /// As text: what is no UTF-8 is replaced, what was left out is said.
    pub(super) fn text(&self) -> String {
        if self.cut() == 0 {
            let whole = [self.head.as_slice(), self.end()].concat();
            return String::from_utf8_lossy(&whole).into_owned();
        }
        let (head, tail) = (String::from_utf8_lossy(&self.head), String::from_utf8_lossy(self.end()));
        format!("{head}\n[… {} bytes left out …]\n{tail}", self.cut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_output_is_whole() {
        let mut output = Output::default();
        output.push(b"gr\xc3");
        output.push(b"\xbcn");
        assert_eq!((output.text().as_str(), output.cut()), ("grün", 0));
    }

    #[test]
    fn of_a_long_output_the_beginning_and_the_end_stay() {
        let mut output = Output::default();
        for number in 0..100_000 {
            output.push(format!("{number}\n").as_bytes());
        }
        let text = output.text();
        assert!(text.starts_with("0\n1\n2\n") && text.ends_with("99998\n99999\n"), "{}", &text[..40]);
        assert!(text.len() < HEAD + TAIL + 100 && text.contains(" bytes left out"));
    }
}
