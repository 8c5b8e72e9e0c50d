//! How is a file opened? As a bounded stream: decompressed when it is gzip, without a byte order mark, stopped when the call is.

use std::{
    cell::Cell,
    io::{self, BufRead, BufReader, Read},
    rc::Rc,
};

use flate2::read::MultiGzDecoder;

use super::{super::error::MetricsError, File, Form, MAX_BYTES, MAX_RECORD};
use crate::tool::Stop;

/// How much is read at once.
const CHUNK: usize = 128 * 1024;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const UTF8_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
const UTF16_MARKS: [[u8; 2]; 2] = [[0xff, 0xfe], [0xfe, 0xff]];

/// A file being read.
pub struct Input {
    reader: BufReader<Metered>,
    budget: Budget,
    stop: Stop,
}

/// What may still be read before the current record counts as endless.
#[derive(Clone)]
pub struct Budget(Rc<Cell<usize>>);

impl Budget {
    /// A new record begins.
    pub fn renew(&self) {
        self.0.set(MAX_RECORD + 2 * CHUNK);
    }
}

struct Metered {
    inner: Box<dyn Read>,
    budget: Budget,
    left: u64,
    stop: Stop,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_stopped() {
            return Err(io::Error::other("the call was stopped"));
        }
        let read = self.inner.read(buffer)?;
        let budget = self.budget.0.get();
        if read > budget {
            return Err(io::Error::other(format!("a record is longer than {MAX_RECORD} bytes; is a quote left open?")));
        }
        self.budget.0.set(budget - read);
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| io::Error::other(format!("more than {MAX_BYTES} bytes")))?;
        Ok(read)
    }
}

impl Input {
    /// What renews the budget of a record.
    pub fn budget(&self) -> Budget {
        self.budget.clone()
    }

    /// What an I/O error means: the call's own end, or a fault of the file.
    pub fn fault(stop: &Stop, file: &File, error: &io::Error) -> MetricsError {
        match stop.check() {
            Err(failure) => failure.into(),
            Ok(()) => MetricsError::io(&file.name, error),
        }
    }

    /// When to stop.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// The first bytes, without taking them.
    pub fn peek(&mut self, file: &File) -> Result<&[u8], MetricsError> {
        let stop = self.stop.clone();
        self.reader.fill_buf().map_err(|e| Self::fault(&stop, file, &e))
    }

    /// The next line without its end, into `line`; false at the end of the file. A line that is too long is cut to
    /// [`MAX_RECORD`] bytes.
    pub fn line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        line.clear();
        self.budget.renew();
        let mut any = false;
        loop {
            let chunk = self.reader.fill_buf()?;
            if chunk.is_empty() {
                return Ok(any);
            }
            any = true;
            let end = chunk.iter().position(|b| *b == b'\n');
            let taken = end.unwrap_or(chunk.len());
            let room = MAX_RECORD.saturating_sub(line.len());
            line.extend_from_slice(&chunk[..taken.min(room)]);
            self.reader.consume(taken + usize::from(end.is_some()));
            self.budget.renew();
            if end.is_some() {
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(true);
            }
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

/// Opens the file.
///
/// # Errors
/// It is out of reach, or in an encoding that is not UTF-8.
pub fn open(file: &File, stop: &Stop) -> Result<Input, MetricsError> {
    let raw = file.found.open()?;
    let budget = Budget(Rc::default());
    budget.renew();
    let mut raw = BufReader::with_capacity(CHUNK, raw);
    let zipped = raw.fill_buf().map_err(|e| MetricsError::io(&file.name, &e))?.starts_with(&GZIP);
    let inner: Box<dyn Read> = if zipped { Box::new(MultiGzDecoder::new(raw)) } else { Box::new(raw) };
    let metered = Metered { inner, budget: budget.clone(), left: MAX_BYTES, stop: stop.clone() };
    let mut input = Input { reader: BufReader::with_capacity(CHUNK, metered), budget, stop: stop.clone() };
    let head = input.peek(file)?;
    if UTF16_MARKS.iter().any(|mark| head.starts_with(mark)) {
        return Err(MetricsError::file(&file.name, 0, "the text is UTF-16; convert it to UTF-8, for example with `iconv`"));
    }
    if head.starts_with(&UTF8_MARK) {
        input.reader.consume(UTF8_MARK.len());
    }
    Ok(input)
}

/// The form of a file whose name does not tell, by its first line.
pub fn form_of(input: &mut Input, file: &File) -> Result<Form, MetricsError> {
    let head = input.peek(file)?;
    let first = head.split(|b| *b == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default().trim_ascii();
    let is_comment = [b"# HELP".as_slice(), b"# TYPE", b"# UNIT", b"# EOF"].iter().any(|mark| first.starts_with(mark));
    if first.starts_with(b"[") {
        let problem = "a JSON array; write one object a line, for example with `jq -c '.[]'`";
        return Err(MetricsError::file(&file.name, 1, problem));
    }
    Ok(if first.starts_with(b"{") {
        Form::Lines
    } else if is_comment || (first.contains(&b'{') && !first.contains(&b',')) {
        Form::OpenMetrics
    } else {
        Form::Table
    })
}
