//! Is everything there that was written? [`verify`] reads all of it, checks each record against its hash chain, and changes nothing.

use std::path::Path;

use super::{
    journal,
    look::{self, Looker},
};
use crate::{
    store::{FindError, ReadError, StoreError},
    value::SessionId,
};

/// What was read, and what of it is damaged.
#[derive(Debug, Default)]
pub struct Verified {
    /// Sessions that were read to their end, or to their first damaged record.
    pub sessions: usize,
    /// Records that are as they were written.
    pub records: u64,
    /// Journals that were opened.
    pub journals: usize,
    /// Files that cannot be read as a whole.
    pub files: Vec<Unread>,
    /// The first damage of each session that has any.
    pub damaged: Vec<ReadError>,
    /// Rows of the index that cannot be read: their sessions are not among those above.
    pub rows: usize,
}

/// A file that cannot be read as a whole.
#[derive(Debug)]
pub struct Unread {
    /// Why not.
    pub error: StoreError,
    /// Sessions of which nothing can be read because of that.
    pub sessions: usize,
}

impl Verified {
    /// Whether all is as it was written.
    pub fn is_whole(&self) -> bool {
        self.files.is_empty() && self.damaged.is_empty() && self.rows == 0
    }
}

/// The session of `org` in the store in `folder` whose id begins with `prefix`. Nothing is changed.
///
/// # Errors
/// None or several do, or the index cannot be read.
pub fn look_up(folder: &Path, org: &str, prefix: &str) -> Result<SessionId, FindError> {
    Looker::new(folder).find(org, prefix)
}

/// Reads the sessions of the store in `folder`, or one of them, and tells `progress` how many of how many it has read. What others remove
/// meanwhile is left out.
///
/// # Errors
/// The folder cannot be read, or there is no such session.
pub fn verify(folder: &Path, session: Option<SessionId>, progress: &mut dyn FnMut(usize, usize)) -> Result<Verified, ReadError> {
    let looker = Looker::new(folder);
    let mut found = Verified::default();
    let failed = |source| ReadError::Store { session: session.unwrap_or(SessionId(uuid::Uuid::nil())), source };
    let numbers = journal::numbers(&folder.join("journals")).map_err(failed)?;
    let mut unread = |error| found.files.push(Unread { error, sessions: 0 });
    let mut known = match session {
        Some(session) => {
            let (mut known, _) = looker.entries().map_err(failed)?;
            known.retain(|entry| entry.session == session);
            if known.is_empty() {
                return Err(ReadError::Unknown(session));
            }
            known
        }
        None => {
            let broken = numbers.iter().filter_map(|number| looker.reader.open(*number).err());
            let broken = broken.map(&mut unread).count();
            found.journals = numbers.len() - broken;
            let (known, rows) = looker.entries().unwrap_or_else(|error| {
                unread(error);
                Default::default()
            });
            found.rows = rows;
            known
        }
    };
    look::by_journal(&mut known);
    let all = known.len();
    for (done, mut entry) in known.into_iter().enumerate() {
        progress(done, all);
        let Some((records, read)) = looker.read_all(&mut entry) else { continue };
        if let Err(ReadError::Store { source, .. }) = &read
            && let Some(file) = found.files.iter_mut().find(|file| file.error.path() == source.path())
        {
            file.sessions += 1;
            continue;
        }
        found.damaged.extend(read.err());
        found.sessions += 1;
        found.records += records;
    }
    progress(all, all);
    Ok(found)
}
