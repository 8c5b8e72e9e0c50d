//! What does a stream say, event by event? [`Splitter`]: bytes in, in whatever pieces they come; [`Frame`]s out.
//!
//! Server-sent events as the HTML standard has them (unknown fields and comments are ignored), and JSON lines.

use std::collections::VecDeque;

/// Bytes of a stream at most.
pub(super) const MAX_STREAM: usize = 32 << 20;

/// How events follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// `event:` and `data:` lines, an empty line after each event.
    Sse,
    /// One JSON document a line.
    Lines,
}

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    /// Its name; empty where it has none.
    pub event: String,
    /// What it says.
    pub data: String,
}

/// Why bytes are no stream of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    /// It goes on and on.
    #[error("the reply is longer than {} MiB", MAX_STREAM >> 20)]
    TooLong,
    /// It is no text.
    #[error("the reply is no UTF-8")]
    NotText,
}

/// Takes a stream apart.
#[derive(Debug)]
pub(super) struct Splitter {
    framing: Framing,
    /// The line that is not complete yet.
    line: Vec<u8>,
    /// Whether the last byte was a carriage return, which a line feed may follow.
    after_return: bool,
    /// The event that is not complete yet.
    event: String,
    data: Option<String>,
    ready: VecDeque<Frame>,
    taken: usize,
}

impl Splitter {
    pub fn new(framing: Framing) -> Self {
        let (line, ready) = (Vec::new(), VecDeque::new());
        Self { framing, line, after_return: false, event: String::new(), data: None, ready, taken: 0 }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// There are too many, or they are no text.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        self.taken = self.taken.saturating_add(bytes.len());
        if self.taken > MAX_STREAM {
            return Err(FrameError::TooLong);
        }
        for &byte in bytes {
            let follows_return = std::mem::take(&mut self.after_return);
            match byte {
                b'\n' if follows_return => {}
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    self.line(&line)?;
                }
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    /// The stream has ended: a JSON line needs no line feed, an event that has no empty line after it is none.
    ///
    /// # Errors
    /// The last bytes are no text.
    pub fn end(&mut self) -> Result<(), FrameError> {
        let line = std::mem::take(&mut self.line);
        match self.framing {
            Framing::Lines => self.line(&line),
            Framing::Sse => Ok(()),
        }
    }

    /// The next event that is complete.
    pub fn next(&mut self) -> Option<Frame> {
        self.ready.pop_front()
    }

    fn line(&mut self, line: &[u8]) -> Result<(), FrameError> {
        let line = std::str::from_utf8(line).map_err(|_| FrameError::NotText)?;
        match self.framing {
            Framing::Lines if line.trim().is_empty() => {}
            Framing::Lines => self.ready.push_back(Frame { event: String::new(), data: line.to_owned() }),
            Framing::Sse if line.is_empty() => {
                let event = std::mem::take(&mut self.event);
                if let Some(data) = self.data.take() {
                    self.ready.push_back(Frame { event, data });
                }
            }
            Framing::Sse => {
                let (field, value) = line.split_once(':').unwrap_or((line, ""));
                let value = value.strip_prefix(' ').unwrap_or(value);
                match (field.trim_start_matches('\u{feff}'), &mut self.data) {
                    ("data", Some(data)) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                    ("data", none) => *none = Some(value.to_owned()),
                    ("event", _) => value.clone_into(&mut self.event),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(framing: Framing, pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut splitter = Splitter::new(framing);
        for piece in pieces {
            splitter.feed(piece).unwrap();
        }
        splitter.end().unwrap();
        std::iter::from_fn(|| splitter.next()).map(|f| (f.event, f.data)).collect()
    }

    const STREAM: &str = "\u{feff}: hello\nevent: a\ndata: {\"x\":\ndata: \"é\"}\r\n\r\nid: 7\nretry: x\nodd\ndata:[DONE]\r\revent: lost\n\ndata: cut";

    #[test]
    fn events_are_found_however_the_bytes_are_cut() {
        let whole = split(Framing::Sse, &[STREAM.as_bytes()]);
        let expected = [("a", "{\"x\":\n\"é\"}"), ("", "[DONE]")].map(|(e, d)| (e.to_owned(), d.to_owned()));
        assert_eq!(whole, expected);
        let single: Vec<&[u8]> = STREAM.as_bytes().chunks(1).collect();
        assert_eq!(split(Framing::Sse, &single), expected);
    }

    #[test]
    fn json_lines_need_no_last_line_feed() {
        let lines = split(Framing::Lines, &[b"{\"a\":1}\n\n{\"b\"", b":2}"]);
        assert_eq!(lines.iter().map(|l| l.1.as_str()).collect::<Vec<_>>(), ["{\"a\":1}", "{\"b\":2}"]);
    }

    #[test]
    fn a_stream_without_end_is_an_error() {
        let mut splitter = Splitter::new(Framing::Sse);
        let piece = vec![b'x'; 1 << 20];
        let outcome = (0..40).try_for_each(|_| splitter.feed(&piece));
        assert_eq!(outcome, Err(FrameError::TooLong));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_the_same_events_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>()) {
            let run = |pieces: &[&[u8]]| {
                let mut splitter = Splitter::new(Framing::Sse);
                for piece in pieces {
                    splitter.feed(piece)?;
                }
                splitter.end()?;
                Ok::<_, FrameError>(std::iter::from_fn(|| splitter.next()).collect::<Vec<_>>())
            };
            let cut = if bytes.is_empty() { 0 } else { at.index(bytes.len()) };
            prop_assert_eq!(run(&[&bytes]), run(&[&bytes[..cut], &bytes[cut..]]));
        }
    }
}
