//! Is everything there that was written? [`verify`] reads all of it, checks each record against its hash chain, and changes nothing.

use std::path::{Path, PathBuf};

use super::{
    catalog::CATALOG,
    examine::entries,
    journal::{self, JOURNAL},
    read::Reader,
};
use crate::{
    store::{READ_PAGE, ReadError, StoreError},
    value::{Seq, SessionId},
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
    /// Files that cannot be read as a whole, and why.
    pub files: Vec<StoreError>,
    /// The first damage of each session that has any.
    pub damaged: Vec<ReadError>,
    /// Rows of the index that cannot be read: their sessions are not among those above.
    pub rows: usize,
}

impl Verified {
    /// Whether all is as it was written.
    pub fn is_whole(&self) -> bool {
        self.files.is_empty() && self.damaged.is_empty() && self.rows == 0
    }
}

/// Reads the sessions of the store in `folder`, or one of them, and tells `progress` how many of how many it has read.
///
/// # Errors
/// The folder cannot be read, or there is no such session.
pub fn verify(folder: &Path, session: Option<SessionId>, progress: &mut dyn FnMut(usize, usize)) -> Result<Verified, ReadError> {
    let journals = folder.join("journals");
    let mut found = Verified::default();
    let failed = |source| ReadError::Store { session: session.unwrap_or(SessionId(uuid::Uuid::nil())), source };
    let path = folder.join("catalog.redb");
    let numbers = journal::numbers(&journals).map_err(failed)?;
    if session.is_none() {
        for number in &numbers {
            found.files.extend(JOURNAL.look(&journal::path_of(&journals, *number), &journal::lock_of(&journals, *number)).err());
        }
        found.journals = numbers.len() - found.files.len();
    }
    let known = match path.exists() {
        true => entries(&path, &folder.join("catalog.lock")),
        false if numbers.is_empty() => Ok((Vec::new(), 0)),
        false => Err(lost(path)),
    };
    let mut known = match (known, session) {
        (Ok((known, rows)), None) => {
            found.rows = rows;
            known
        }
        (Ok((known, _)), Some(_)) => known,
        (Err(error), Some(_)) => return Err(failed(error)),
        (Err(error), None) => {
            found.files.push(error);
            Vec::new()
        }
    };
    if let Some(session) = session {
        known.retain(|entry| entry.session == session);
        if known.is_empty() {
            return Err(ReadError::Unknown(session));
        }
    }
    let reader = Reader::that_only_looks(journals);
    for (done, entry) in known.iter().enumerate() {
        progress(done, known.len());
        let mut from = Seq(0);
        loop {
            match reader.read(&entry.records(), from, READ_PAGE) {
                Ok(page) => {
                    from = Seq(from.0 + page.len() as u64);
                    if page.len() < READ_PAGE {
                        break;
                    }
                }
                Err(error) => {
                    if let ReadError::Damaged { seq, .. } = &error {
                        from = *seq;
                    }
                    found.damaged.push(error);
                    break;
                }
            }
        }
        found.sessions += 1;
        found.records += from.0;
    }
    progress(known.len(), known.len());
    Ok(found)
}

fn lost(path: PathBuf) -> StoreError {
    CATALOG.damaged(&path, "it is lost; `synod sessions` makes it again from the journals")
}
