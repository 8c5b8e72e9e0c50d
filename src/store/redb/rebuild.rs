//! What if the catalog is lost? Its index is made again from the journals, which are the truth. Mail that nobody had read is gone.

use std::{collections::BTreeMap, path::Path};

use redb::{ReadableDatabase, TableError};
use uuid::Uuid;

use super::{
    index::Entry,
    journal::{self, JOURNAL, RECORDS},
    lock::Holder,
    read::{Extent, Reader, Segment},
};
use crate::{
    event::{Event, Record, Status},
    store::{ReadError, StoreError, row},
    value::{Epoch, Seq, SessionId, Tenant},
};

/// The sessions of all journals in `folder`. What cannot be read is left out.
///
/// # Errors
/// A process writes one of the journals: what it owns is known to the lost catalog alone. Of this process `owns_none` says that it owns nothing.
pub fn entries(folder: &Path, reader: &Reader, owns_none: impl Fn(Holder) -> bool) -> Result<Vec<Entry>, StoreError> {
    let mut sessions: BTreeMap<SessionId, Vec<Segment>> = BTreeMap::new();
    for number in journal::numbers(folder)? {
        let lock = journal::lock_of(folder, number);
        if let Some(holder) = Holder::last(&lock).filter(|holder| holder.holds(&lock) && !owns_none(*holder)) {
            return Err(StoreError::Busy { path: journal::path_of(folder, number), pid: Some(holder.pid) });
        }
        let found = reader.open(number).and_then(|db| segments(&journal::path_of(folder, number), number, &*db));
        match found {
            Ok(found) => found.into_iter().for_each(|(session, segment)| sessions.entry(session).or_default().push(segment)),
            Err(error) => tracing::warn!(%error, "the sessions of a journal are left out of the index"),
        }
    }
    let mut entries = Vec::with_capacity(sessions.len());
    for (session, mut segments) in sessions {
        segments.sort_by_key(|segment| segment.epoch);
        match entry(reader, session, segments) {
            Ok(entry) => entries.extend(entry),
            Err(error) => tracing::warn!(%error, "a session is left out of the index"),
        }
    }
    Ok(entries)
}

/// Where the stretches of one journal begin. Reads a record of each, not all.
fn segments(path: &Path, number: u32, db: &dyn ReadableDatabase) -> Result<Vec<(SessionId, Segment)>, StoreError> {
    JOURNAL.guarded(path, || {
        let records = match db.begin_read()?.open_table(RECORDS) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            opened => opened?,
        };
        let mut found = Vec::new();
        let mut after = (0, 0, 0);
        while let Some(first) = records.range(after..)?.next() {
            let (session, epoch, from) = first?.0.value();
            found.push((SessionId(Uuid::from_u128(session)), Segment { epoch: Epoch(epoch), journal: number, from: Seq(from) }));
            after = (session, epoch, u64::MAX);
        }
        Ok(found)
    })
}

fn entry(reader: &Reader, session: SessionId, segments: Vec<Segment>) -> Result<Option<Entry>, ReadError> {
    let extent = Extent { session, segments: &segments, length: Seq(0) };
    let first = reader.read(&extent, Seq(0), 1)?.pop();
    let tail = reader.tail(&extent, true)?;
    let (Some(first), Some(newest)) = (first, segments.last()) else { return Ok(None) };
    let (tenant, team, task) = about(&first);
    let mut entry = Entry {
        session,
        tenant,
        team,
        task,
        status: Status::Running,
        started_at: first.at,
        completed_at: None,
        epoch: newest.epoch,
        owner: None,
        length: tail.length,
        segments,
    };
    entry.ends_with(tail.last.as_ref());
    Ok(Some(entry))
}

fn about(first: &Record) -> (Tenant, std::sync::Arc<str>, std::sync::Arc<str>) {
    if let Event::Started(started) = &first.event {
        (started.tenant.clone(), started.team.clone(), row::shown(&started.task))
    } else {
        (Tenant::default(), "".into(), "".into())
    }
}
