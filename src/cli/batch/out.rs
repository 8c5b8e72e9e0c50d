//! Where do results go? Into an [`Out`]: a file that has one line for each task that has a result, however often the batch was killed.
//!
//! A line is written at once and whole. What a kill cut off is taken away when the file is opened again; so are lines that do not stand any
//! more: of tasks that were parked, and with `--retry-failed` of those that failed. The journals know what came of those tasks, so nothing
//! is lost by that. One process at a time writes the file.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::keys::Keys;
use crate::{cli::CommandError, engine::BatchResult, value::SessionId};

/// A file of results.
#[derive(Debug)]
pub(super) struct Out {
    path: PathBuf,
    file: File,
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
}

impl Out {
    /// Opens the file. Each result in it that `stands` is remembered in `keys`; where the order counts (`ordered`), those after the first that
    /// does not are taken away as well, and come again in their place.
    ///
    /// # Errors
    /// Somebody else writes it, it holds something else than results, or it cannot be written.
    pub(super) fn open(
        path: &Path,
        ordered: bool,
        keys: &mut Keys,
        mut stands: impl FnMut(&Written) -> bool,
    ) -> Result<Self, CommandError> {
        let failed = |what: &str, e: &io::Error| CommandError::Usage(format!("{what} --out {}: {e}", path.display()));
        let open = || OpenOptions::new().read(true).append(true).create(true).open(path);
        let file = open().map_err(|e| failed("open", &e))?;
        lock(&file, path)?;
        let (mut from, mut text) = (BufReader::with_capacity(64 * 1_024, &file), Vec::new());
        // How much of the file stands, and the lines after it that do.
        let (mut kept, mut line, mut rest) = (0, 0, None::<BufWriter<File>>);
        let unfinished = PathBuf::from(format!("{}.rewritten", path.display()));
        // Of a run that was killed while it rewrote the file.
        let _ = std::fs::remove_file(&unfinished);
        let mut cut = false;
        loop {
            text.clear();
            let read = from.read_until(b'\n', &mut text).map_err(|e| failed("read", &e))?;
            line += 1;
            if text.last() != Some(&b'\n') {
                // What a kill cut off, or nothing.
                cut |= read > 0;
                break;
            }
            let written: Written = serde_json::from_slice(&text).map_err(|e| {
                CommandError::Usage(format!(
                    "{}:{line}:{}: it is no result of a batch ({e}); move the file away, or name another one with --out",
                    path.display(),
                    e.column().max(1),
                ))
            })?;
            if stands(&written) {
                if !keys.has_result(&written.key) {
                    let key = &written.key;
                    let why = format!("{}:{line}:1: the key {key} has a result already; remove one of them", path.display());
                    return Err(CommandError::Usage(why));
                }
                match &mut rest {
                    Some(rest) => rest.write_all(&text).map_err(|e| failed("rewrite", &e))?,
                    None => kept += read as u64,
                }
            } else if ordered {
                cut = true;
                break;
            } else if rest.is_none() {
                rest = Some(rewritten(&file, &unfinished, kept).map_err(|e| failed("rewrite", &e))?);
            }
        }
        drop(from);
        let (file, before) = match rest {
            Some(rest) => {
                let new = rest.into_inner().map_err(|e| failed("rewrite", e.error()))?;
                lock(&new, path)?;
                new.sync_all().and_then(|()| std::fs::rename(&unfinished, path)).map_err(|e| failed("rewrite", &e))?;
                (new, Some(file))
            }
            None => {
                if cut {
                    file.set_len(kept).map_err(|e| failed("cut", &e))?;
                }
                (file, None)
            }
        };
        Ok(Self { path: path.to_owned(), file, _before: before, line: Vec::new() })
    }

    /// Writes a result.
    ///
    /// # Errors
    /// It cannot be written. The next run takes away what was written of it.
    pub(super) fn write(&mut self, result: &BatchResult) -> Result<(), CommandError> {
        self.line.clear();
        let encoded = serde_json::to_writer(&mut self.line, result).map_err(io::Error::from);
        self.line.push(b'\n');
        encoded.and_then(|()| self.file.write_all(&self.line)).map_err(|e| self.failed(&e))
    }

    /// Waits until all that was written is on the disk.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(super) fn sync(&self) -> Result<(), CommandError> {
        match self.file.sync_data() {
            // A pipe has nothing to sync.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            done => done.map_err(|e| self.failed(&e)),
        }
    }

    fn failed(&self, error: &io::Error) -> CommandError {
        let why = format!("{}: {error}; see to the disk and run the batch again: nothing is done twice", self.path.display());
        CommandError::Output(io::Error::new(error.kind(), why))
    }
}

/// A file beside the old one that has its first `kept` bytes.
fn rewritten(old: &File, path: &Path, kept: u64) -> io::Result<BufWriter<File>> {
    let new = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    new.set_len(0)?;
    let mut from = old.try_clone()?;
    let place = from.stream_position()?;
    from.seek(SeekFrom::Start(0))?;
    let mut to = BufWriter::with_capacity(64 * 1_024, new);
    io::copy(&mut io::Read::take(&from, kept), &mut to)?;
    from.seek(SeekFrom::Start(place))?;
    Ok(to)
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
