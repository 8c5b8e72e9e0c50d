//! Where do results go? Into an [`Out`]: a file that has one line for each task that has a result, however often the batch was killed.
//!
//! A line is written at once and whole. What a kill cut off is taken away when the file is opened again; so are lines of tasks that are done
//! again: of those that were parked, and with `--retry-failed` of those that failed. The journals know what came of those tasks, so nothing is
//! lost by that. One process at a time writes the file. What is no file, as a pipe is none, is written from its beginning and never read.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    cli::CommandError,
    engine::{BatchResult, TaskDigest},
    value::SessionId,
};

/// A file of results.
#[derive(Debug)]
pub(super) struct Out {
    /// As it was named.
    path: PathBuf,
    file: File,
    /// Where it is, whatever links lead there; `None` where it is no file.
    place: Option<PathBuf>,
    /// The file that stood there before: its lock keeps others away who opened it.
    _before: Option<File>,
    line: Vec<u8>,
}

/// What an earlier run wrote of a result.
#[derive(Debug, Deserialize)]
pub(super) struct Written {
    pub(super) key: String,
    pub(super) session: Option<SessionId>,
    pub(super) status: String,
    pub(super) error: Option<String>,
    pub(super) digest: Option<TaskDigest>,
}

/// How a file of results ends.
#[derive(Debug, Default)]
struct End {
    /// Bytes of whole lines.
    whole: u64,
    /// A result was cut off after them.
    cut: bool,
    /// The last line is whole but for its newline.
    open: bool,
}

impl Out {
    /// Opens the file; nothing in it is changed.
    ///
    /// # Errors
    /// Somebody else writes it, or it cannot be written.
    pub(super) fn open(path: &Path) -> Result<Self, CommandError> {
        let failed = |e: io::Error| CommandError::Usage(format!("open --out {}: {e}", path.display()));
        let is_file = path.metadata().map_or(true, |about| about.is_file() || about.is_dir());
        let (path, line) = (path.to_owned(), Vec::new());
        if !is_file {
            let file = OpenOptions::new().write(true).open(&path).map_err(failed)?;
            return Ok(Self { path, file, place: None, _before: None, line });
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(failed)?;
        lock(&file, &path)?;
        let place = Some(path.canonicalize().map_err(failed)?);
        Ok(Self { path, file, place, _before: None, line })
    }

    /// Shows `each` every result of earlier runs. What it says against one is said with its place.
    ///
    /// # Errors
    /// `each` says so, there is something else than results, or the file cannot be read.
    pub(super) fn read(&self, mut each: impl FnMut(&Written) -> Result<(), String>) -> Result<(), CommandError> {
        self.lines(|line, written, _| each(written).map_err(|why| self.wrong(line, 1, &why))).map(drop)
    }

    /// Takes away what was cut off, and the results that `keep` does not want; says how many these were. The file is changed when all of it was
    /// read without an error.
    ///
    /// # Errors
    /// As [`Out::read`], or the file cannot be written.
    pub(super) fn take_over(&mut self, mut keep: impl FnMut(&Written) -> Result<bool, String>) -> Result<u64, CommandError> {
        let Some(place) = &self.place else { return Ok(0) };
        let unfinished = PathBuf::from(format!("{}.rewritten", place.display()));
        // Of a run that was killed while it rewrote the file.
        let _ = std::fs::remove_file(&unfinished);
        // How much of the file stays as it is, and a new one from the first line on that goes.
        let (mut kept, mut removed, mut new) = (0, 0, None::<BufWriter<File>>);
        let failed = |e: io::Error| self.failed("rewrite", &e);
        let end = self.lines(|line, written, text| {
            if keep(written).map_err(|why| self.wrong(line, 1, &why))? {
                match &mut new {
                    Some(new) => new.write_all(text).map_err(failed)?,
                    None => kept += text.len() as u64,
                }
                return Ok(());
            }
            removed += 1;
            if new.is_none() {
                new = Some(rewritten(&self.file, &unfinished, kept).map_err(failed)?);
            }
            Ok(())
        })?;
        if let Some(new) = new {
            let new = new.into_inner().map_err(|e| failed(e.into_error()))?;
            lock(&new, &self.path)?;
            let done = new.sync_all().and_then(|()| std::fs::rename(&unfinished, place)).and_then(|()| sync_folder_of(place));
            done.map_err(failed)?;
            self._before = Some(std::mem::replace(&mut self.file, new));
        } else if end.cut {
            self.file.set_len(end.whole).map_err(failed)?;
        } else if end.open {
            (&self.file).write_all(b"\n").map_err(failed)?;
        }
        Ok(removed)
    }

    /// Writes a result.
    ///
    /// # Errors
    /// It cannot be written. The next run takes away what was written of it.
    pub(super) fn write(&mut self, result: &BatchResult) -> Result<(), CommandError> {
        self.line.clear();
        let encoded = serde_json::to_writer(&mut self.line, result).map_err(io::Error::from);
        self.line.push(b'\n');
        encoded.and_then(|()| self.file.write_all(&self.line)).map_err(|e| self.unwritten(&e))
    }

    /// Waits until all that was written is on the disk.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(super) fn sync(&self) -> Result<(), CommandError> {
        // A pipe has nothing to sync.
        if self.place.is_none() { Ok(()) } else { self.file.sync_data().map_err(|e| self.unwritten(&e)) }
    }

    /// Whether results go where the summary would.
    #[cfg(unix)]
    pub(super) fn is_stdout(&self) -> bool {
        use std::os::{fd::AsFd, unix::fs::MetadataExt};
        let stdout = io::stdout().as_fd().try_clone_to_owned().and_then(|stdout| File::from(stdout).metadata());
        let same = |stdout: std::fs::Metadata, out: std::fs::Metadata| (stdout.dev(), stdout.ino()) == (out.dev(), out.ino());
        stdout.is_ok_and(|stdout| self.file.metadata().is_ok_and(|out| same(stdout, out)))
    }

    /// Whether results go where the summary would.
    #[cfg(not(unix))]
    pub(super) fn is_stdout(&self) -> bool {
        false
    }

    /// Calls `each` with the number of each line, what it says and how, a newline at its end.
    fn lines(&self, mut each: impl FnMut(u64, &Written, &[u8]) -> Result<(), CommandError>) -> Result<End, CommandError> {
        let mut end = End::default();
        if self.place.is_none() {
            return Ok(end);
        }
        let failed = |e: io::Error| self.failed("read", &e);
        (&self.file).seek(SeekFrom::Start(0)).map_err(failed)?;
        let (mut from, mut text) = (BufReader::with_capacity(64 * 1_024, &self.file), Vec::new());
        for line in 1.. {
            text.clear();
            if from.read_until(b'\n', &mut text).map_err(failed)? == 0 {
                break;
            }
            end.open = text.last() != Some(&b'\n');
            let written: Written = match serde_json::from_slice(&text) {
                Ok(written) => written,
                Err(_) if end.open && is_beginning(&text) => {
                    (end.cut, end.open) = (true, false);
                    break;
                }
                Err(e) => {
                    let why = format!("it is no result of a batch ({e}); move the file away, or name another one with --out");
                    return Err(self.wrong(line, e.column().max(1), &why));
                }
            };
            if end.open {
                text.push(b'\n');
            }
            end.whole += text.len() as u64;
            each(line, &written, &text)?;
        }
        Ok(end)
    }

    fn wrong(&self, line: u64, column: usize, why: &str) -> CommandError {
        CommandError::Usage(format!("{}:{line}:{column}: {why}", self.path.display()))
    }

    fn failed(&self, what: &str, error: &io::Error) -> CommandError {
        CommandError::Usage(format!("{what} --out {}: {error}", self.path.display()))
    }

    fn unwritten(&self, error: &io::Error) -> CommandError {
        let why = format!("{}: {error}; see to the disk and run the batch again: nothing is done twice", self.path.display());
        CommandError::Output(io::Error::new(error.kind(), why))
    }
}

/// Whether `text` is what a kill may have left of a result: key and session come first.
fn is_beginning(text: &[u8]) -> bool {
    let follows = |text: &[u8], what: &[u8]| text.starts_with(what) || what.starts_with(text);
    let Some(rest) = text.strip_prefix(b"{\"key\":") else { return follows(text, b"{\"key\":") };
    let mut key = serde_json::Deserializer::from_slice(rest).into_iter::<String>();
    match key.next() {
        None => true,
        Some(Ok(_)) => follows(&rest[key.byte_offset()..], b",\"session\":"),
        Some(Err(error)) => error.is_eof(),
    }
}

/// A file beside the old one that has its first `kept` bytes, and whose readers and writers are the same.
fn rewritten(old: &File, path: &Path, kept: u64) -> io::Result<BufWriter<File>> {
    let new = OpenOptions::new().read(true).append(true).create_new(true).open(path)?;
    new.set_permissions(old.metadata()?.permissions())?;
    let mut from = old.try_clone()?;
    let place = from.stream_position()?;
    from.seek(SeekFrom::Start(0))?;
    let mut to = BufWriter::with_capacity(64 * 1_024, new);
    io::copy(&mut io::Read::take(&from, kept), &mut to)?;
    from.seek(SeekFrom::Start(place))?;
    Ok(to)
}

/// Makes a name in a folder survive a power failure.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        Some(_) | None => Ok(()),
    }
}

fn lock(file: &File, path: &Path) -> Result<(), CommandError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let why = format!("--out {}: another batch writes it; wait for its end, or name another file", path.display());
            Err(CommandError::Usage(why))
        }
        // A file system without locks: whoever uses it has to take care.
        Err(TryLockError::Error(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::is_beginning;

    #[test]
    fn only_what_begins_as_a_result_does_may_be_what_a_kill_left_of_one() {
        let whole = r#"{"key":"a \"b\" ü","session":null,"status":"failed"}"#.as_bytes();
        assert!((1..whole.len()).all(|length| is_beginning(&whole[..length])));
        for other in ["notes", "{\"task\":", "{\"key\":7", "{\"key\":\"a\",\"inputs\":{}}", "{\"key\":\"a\"}", "[1]"] {
            assert!(!is_beginning(other.as_bytes()), "{other}");
        }
    }
}
