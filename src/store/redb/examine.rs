//! What state is a store in? [`examine`] looks at all of it and changes nothing: no lock is taken, no file repaired or made.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::Access;

use super::{
    catalog::CATALOG,
    file::io_error,
    index::Entry,
    journal::{self, JOURNAL},
    lock::Holder,
    look::{self, Looker},
};
use crate::{
    event::Status,
    store::{ReadError, StoreError},
    value::SessionId,
};

/// How long records are read; sessions that are left then are not looked at.
const PATIENCE: Duration = Duration::from_secs(20);
/// Whoever writes the index for so long does not go on.
const WRITE: Duration = Duration::from_secs(1);

/// What was found in a store.
#[derive(Debug, Default)]
pub struct Examined {
    /// Whether there is one; it is made when the first session is.
    pub exists: bool,
    /// Why it cannot be written, or made.
    pub refused: Option<StoreError>,
    /// Bytes that are free on its disk, where that is known.
    pub free: Option<u64>,
    /// The newest format of the session index that this version reads and writes.
    pub format: u64,
    /// Why the session index cannot be read.
    pub catalog: Option<StoreError>,
    /// Whether there are journals but no index: it is made again from them.
    pub catalog_lost: bool,
    /// Rows of the index that cannot be read.
    pub rows_damaged: usize,
    /// The process that has the index for writing and does not give it back.
    pub stuck: Option<u32>,
    /// The journals, in order.
    pub journals: Vec<JournalFound>,
    /// How many sessions there are.
    pub sessions: usize,
    /// How many of them were read to their end.
    pub read: usize,
    /// What cannot be read, by session.
    pub damaged: Vec<(SessionId, ReadError)>,
    /// Sessions of the organization that a process has, and which process.
    pub held: Vec<(SessionId, u32)>,
    /// Sessions of the organization that stopped in the middle, and whether that was because their owner died.
    pub interrupted: Vec<(SessionId, bool)>,
}

/// A file of records.
#[derive(Debug)]
pub struct JournalFound {
    /// The file.
    pub path: PathBuf,
    /// Its size, in bytes.
    pub bytes: u64,
    /// The process that writes it now.
    pub writer: Option<u32>,
    /// Whether its last writer died: whoever opens it next repairs it.
    pub unclean: bool,
    /// Whether nothing more is written to it, because it was damaged once; the file that says so.
    pub mark: Option<PathBuf>,
    /// Why it cannot be read.
    pub error: Option<StoreError>,
    /// Sessions of which nothing can be read because of that.
    pub unread: usize,
}

/// Looks at the store in `folder`, for somebody of organization `org`: newest sessions first, for twenty seconds at most.
pub fn examine(folder: &Path, org: &str) -> Examined {
    let journals = folder.join("journals");
    let numbers = journal::numbers(&journals);
    let mut found = Examined { exists: folder.is_dir(), free: free(folder), format: CATALOG.format, ..Examined::default() };
    found.refused = refused(folder).err();
    let numbers = match numbers {
        Ok(numbers) => numbers,
        Err(error) => {
            found.refused.get_or_insert(error);
            return found;
        }
    };
    let path = folder.join("catalog.redb");
    found.catalog_lost = !path.exists() && !numbers.is_empty();
    let lock = folder.join("catalog.lock");
    let (writing, began) = (writer(&lock), Instant::now());
    for number in numbers {
        found.journals.push(look_at(&journals, number));
    }
    if path.exists() {
        let looker = Looker::new(folder);
        match looker.entries() {
            Ok((entries, damaged)) => {
                found.rows_damaged = damaged;
                found.sessions = entries.len();
                read(&looker, entries, org, &mut found);
            }
            Err(error) => found.catalog = Some(error),
        }
    }
    if let Some(holder) = writing {
        // A write takes some milliseconds, and each is another holder.
        thread::sleep(WRITE.saturating_sub(began.elapsed()));
        found.stuck = holder.holds(&lock).then_some(holder.pid);
    }
    found
}

fn look_at(folder: &Path, number: u32) -> JournalFound {
    let path = journal::path_of(folder, number);
    let bytes = fs::metadata(&path).map_or(0, |about| about.len());
    let mark = Some(journal::mark_of(&path)).filter(|mark| mark.exists());
    let lock = journal::lock_of(folder, number);
    let looked = JOURNAL.look(&path, &lock);
    let unclean = matches!(looked, Ok((_, true)));
    JournalFound { bytes, writer: writer(&lock).map(|holder| holder.pid), unclean, mark, error: looked.err(), unread: 0, path }
}

/// Reads the sessions, and says who has them.
fn read(looker: &Looker, mut entries: Vec<Entry>, org: &str, found: &mut Examined) {
    look::by_journal(&mut entries);
    let began = Instant::now();
    for mut entry in entries {
        let session = entry.session;
        let is_in_time = began.elapsed() <= PATIENCE;
        let read = if is_in_time {
            let Some((_, read)) = looker.read_all(&mut entry) else {
                found.sessions -= 1;
                continue;
            };
            read
        } else {
            Ok(())
        };
        let owner = looker.owner(&entry);
        let is_own = *entry.tenant.org == *org;
        if let Some((pid, true)) = owner.filter(|_| is_own) {
            found.held.push((session, pid));
        }
        match read {
            Ok(()) if !is_in_time => continue,
            Ok(()) => found.read += 1,
            Err(error) => {
                match found.of_file(&error) {
                    Some(journal) => journal.unread += 1,
                    None => found.damaged.push((session, error)),
                }
                continue;
            }
        }
        if !is_own || owner.is_some_and(|(_, lives)| lives) || !looker.settle(&mut entry) {
            continue;
        }
        if entry.status != Status::Parked && !entry.status.is_over() {
            found.interrupted.push((session, owner.is_some()));
        }
    }
}

impl Examined {
    /// The journal that cannot be read, where that is the error.
    fn of_file(&mut self, error: &ReadError) -> Option<&mut JournalFound> {
        let ReadError::Store { source, .. } = error else { return None };
        self.journals.iter_mut().find(|journal| journal.error.is_some() && journal.path == source.path())
    }
}

/// Who holds the lock at `path` now.
fn writer(path: &Path) -> Option<Holder> {
    Holder::last(path).filter(|holder| holder.holds(path))
}

/// Whether what belongs to the store may be written, or made where it is not there yet.
fn refused(folder: &Path) -> Result<(), StoreError> {
    let may = |path: &Path, access: Access| {
        rustix::fs::access(path, access).map_err(|errno| io_error(path, &io::Error::from_raw_os_error(errno.raw_os_error())))
    };
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let Some(there) = absolute.ancestors().find(|path| path.symlink_metadata().is_ok()) else { return Ok(()) };
    if !there.is_dir() {
        return Err(io_error(there, &io::ErrorKind::NotADirectory.into()));
    }
    may(there, Access::WRITE_OK | Access::EXEC_OK)?;
    let inside = [folder.join("journals"), folder.join("catalog.redb"), folder.join("catalog.lock"), folder.join("catalog.next")];
    for path in inside.iter().filter(|path| path.exists()) {
        may(path, if path.is_dir() { Access::WRITE_OK | Access::EXEC_OK } else { Access::WRITE_OK })?;
    }
    Ok(())
}

/// Bytes that are free where `folder` is or will be.
fn free(folder: &Path) -> Option<u64> {
    let absolute = std::path::absolute(folder).ok()?;
    let there = absolute.ancestors().find(|path| path.exists())?;
    // What has no blocks does not count them.
    let disk = rustix::fs::statvfs(there).ok().filter(|disk| disk.f_blocks > 0)?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}
