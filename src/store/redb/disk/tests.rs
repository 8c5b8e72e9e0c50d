//! What is left when power fails? Every record that was promised, in a file that opens.
//!
//! A file in memory remembers which writes were synced. Power fails after each of them in turn: of what was not synced, some is on the disk and
//! some is not, as chance has it, and a write that came later may be there without an earlier one.

use std::sync::atomic::{AtomicU64, Ordering};

use redb::{ConcurrencyMode, ReadableDatabase, ReadableTableMetadata, TableDefinition};

use super::*;

const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

/// A file at a moment: what is on the disk, what is not yet, and how many rows were promised.
#[derive(Clone, Debug, Default)]
struct Moment {
    synced: Vec<u8>,
    pending: Vec<Change>,
    promised: u64,
}

impl Moment {
    /// What processes see.
    fn seen(&self) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        self.pending.iter().for_each(|change| change.apply(&mut bytes));
        bytes
    }

    /// What may be left when power fails.
    fn left(&self, chance: &mut u64) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        // A file's lengths are written in order, its pages in any.
        let lengths = draw(chance) as usize % (self.pending.len() + 1);
        for (place, change) in self.pending.iter().enumerate() {
            let is_there = match change {
                Change::Length(_) => place < lengths,
                Change::Write(..) => draw(chance).is_multiple_of(2),
            };
            if is_there {
                change.apply(&mut bytes);
            }
        }
        bytes
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Length(length) => bytes.resize(*length as usize, 0),
            Self::Write(offset, data) => {
                let offset = *offset as usize;
                if let Some(there) = bytes.get_mut(offset..offset + data.len()) {
                    there.copy_from_slice(data);
                }
            }
        }
    }
}

/// A file that remembers all its moments.
#[derive(Clone, Debug, Default)]
struct Remembered {
    now: Arc<Mutex<Moment>>,
    /// What processes see now.
    seen: Arc<Mutex<Vec<u8>>>,
    moments: Arc<Mutex<Vec<Moment>>>,
    syncs: Arc<AtomicU64>,
}

impl Remembered {
    fn at(moment: Moment) -> Self {
        let seen = Arc::new(Mutex::new(moment.seen()));
        Self { now: Arc::new(Mutex::new(moment)), seen, ..Self::default() }
    }

    fn pend(&self, change: Change) {
        change.apply(&mut self.seen.lock().unwrap());
        self.change(|now| now.pending.push(change));
    }

    fn change(&self, change: impl FnOnce(&mut Moment)) {
        let mut now = self.now.lock().unwrap();
        change(&mut now);
        self.moments.lock().unwrap().push(now.clone());
    }
}

impl StorageBackend for Remembered {
    fn len(&self) -> io::Result<u64> {
        Ok(self.seen.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let seen = self.seen.lock().unwrap();
        let found = seen.get(offset as usize..offset as usize + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.pend(Change::Length(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        let seen = self.seen.lock().unwrap().clone();
        self.change(|now| (now.synced, now.pending) = (seen, Vec::new()));
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.pend(Change::Write(offset, data.to_vec()));
        Ok(())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}

fn draw(chance: &mut u64) -> u64 {
    *chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
    *chance >> 33
}

fn builder(mode: ConcurrencyMode) -> Builder {
    let mut builder = Builder::new();
    builder.set_concurrency_mode(mode).set_cache_size(1 << 20);
    builder
}

/// Commits `count` rows, one after another, each of which is promised then.
fn add(db: &Open, file: &Remembered, count: u64, size: usize) {
    for _ in 0..count {
        let row = rows(db);
        let write = db.begin_write().unwrap();
        write.open_table(ROWS).unwrap().insert(row, vec![row as u8; size].as_slice()).unwrap();
        write.commit().unwrap();
        file.change(|now| now.promised = row + 1);
    }
}

fn rows(db: &Open) -> u64 {
    match db.begin_read().unwrap().open_table(ROWS) {
        Ok(table) => table.len().unwrap(),
        Err(_) => 0,
    }
}

/// A file that a few processes made and used, one after another: its moments since it was made.
fn used(mode: ConcurrencyMode) -> Vec<Moment> {
    let file = Remembered::default();
    let db = Open::new_in(&builder(mode), file.clone()).unwrap();
    db.is_made().unwrap();
    file.moments.lock().unwrap().clear();
    add(&db, &file, 3, 100);
    drop(db);
    for size in [10, 30_000, 100] {
        let db = Open::existing_in(&builder(mode), file.clone()).unwrap();
        add(&db, &file, 2, size);
    }
    file.moments.lock().unwrap().clone()
}

/// After `left` is all that there is, what was promised is there, and the file can be used.
fn check(mode: ConcurrencyMode, left: Vec<u8>, promised: u64) {
    let file = Remembered::at(Moment { synced: left, ..Moment::default() });
    let db = Open::existing_in(&builder(mode), file.clone()).unwrap();
    assert!(rows(&db) >= promised, "{promised} rows were promised and {} are there", rows(&db));
    add(&db, &file, 1, 100);
}

#[test]
fn whenever_power_fails_what_was_promised_is_there() {
    let mut chance = 1;
    for mode in [ConcurrencyMode::SingleWriter, ConcurrencyMode::MultiWriter] {
        for moment in used(mode) {
            for _ in 0..2 {
                check(mode, moment.left(&mut chance), moment.promised);
            }
        }
    }
}

#[test]
fn whenever_power_fails_after_a_kill_what_was_promised_is_there() {
    let mut chance = 2;
    for mode in [ConcurrencyMode::SingleWriter, ConcurrencyMode::MultiWriter] {
        // All of them would take minutes; a few will do.
        for killed in used(mode).into_iter().step_by(13) {
            let file = Remembered::at(killed.clone());
            let db = Open::existing_in(&builder(mode), file.clone()).unwrap();
            add(&db, &file, 1, 5_000);
            drop(db);
            let moments = file.moments.lock().unwrap().clone();
            for moment in moments {
                check(mode, moment.left(&mut chance), moment.promised);
            }
        }
    }
}

#[test]
fn a_commit_is_synced_twice_opening_never_and_closing_twice() {
    let file = Remembered::default();
    let syncs = |work: &mut dyn FnMut()| {
        let before = file.syncs.load(Ordering::Relaxed);
        work();
        file.syncs.load(Ordering::Relaxed) - before
    };
    let mode = ConcurrencyMode::SingleWriter;
    let mut db = None;
    let made = syncs(&mut || {
        let new = Open::new_in(&builder(mode), file.clone()).unwrap();
        new.is_made().unwrap();
        db = Some(new);
    });
    let committed = syncs(&mut || add(db.as_ref().unwrap(), &file, 5, 100));
    let closed = syncs(&mut || db = None);
    let opened = syncs(&mut || db = Some(Open::existing_in(&builder(mode), file.clone()).unwrap()));
    assert_eq!((made, committed, closed, opened), (1, 10, 2, 0));
}
