//! What if somebody damages the files? Clear errors for what is lost, and everything else goes on.

use std::{fs, ops::Bound, path::Path};

use redb::{Database, ReadableTable, StorageBackend, TableDefinition, backends::FileBackend};

use super::{journal::RECORDS, *};
use crate::{
    event::Event,
    store::conformance::{ended, new_session, park, record, records},
    value::{Tenant, Value},
};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn store(&self) -> RedbStore {
        RedbStore::open(self.path("")).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        let folder = self.0.path().join(".synod");
        if name.is_empty() { folder } else { folder.join(name) }
    }

    fn journal(&self, number: u32) -> PathBuf {
        journal::path_of(&self.path("journals"), number)
    }

    /// A parked session of `count` records.
    fn session(&self, count: u64) -> SessionId {
        write_session(&self.store(), count)
    }

    /// Changes a file behind the store's back.
    fn change(&self, path: &Path, work: impl FnOnce(&redb::WriteTransaction)) {
        let db = Database::open(path).unwrap();
        let write = db.begin_write().unwrap();
        work(&write);
        write.commit().unwrap();
    }
}

fn write_session(store: &RedbStore, count: u64) -> SessionId {
    let claim = store.create(new_session()).unwrap();
    let session = claim.session();
    store.append(&claim, Seq(0), &records(0, count)).unwrap();
    store.release(claim, park()).wait().unwrap();
    session
}

/// The store works: what is there can be listed, and a new session can be written and read.
fn check_usable(folder: &Folder) {
    let store = folder.store();
    let session = write_session(&store, 3);
    assert_eq!(store.read_all(session).unwrap(), records(0, 3));
    assert_eq!(store.list(&Filter::of(&Tenant::default(), 1)).unwrap().len(), 1);
}

#[test]
fn a_folder_is_made_when_needed_and_kept_out_of_git() {
    let folder = Folder::new();
    assert_eq!(folder.store().list(&Filter::of(&Tenant::default(), 9)).unwrap(), []);
    assert!(!folder.path("").exists());
    folder.session(1);
    assert_eq!(fs::read_to_string(folder.path(".gitignore")).unwrap(), "*\n");
}

#[test]
fn a_session_outlasts_its_store() {
    let folder = Folder::new();
    let large = Value::text("x".repeat(1_000_000));
    let store = folder.store();
    let claim = store.create(new_session()).unwrap();
    let session = claim.session();
    store.append(&claim, Seq(0), &[ended(0, large.clone()), ended(1, large.clone())]).unwrap();
    // Neither waited for nor released: dropping the store is enough.
    drop((claim, store));
    assert_eq!(folder.store().read_all(session).unwrap(), [ended(0, large.clone()), ended(1, large)]);
    assert!(fs::metadata(folder.journal(1)).unwrap().len() < 3_000_000, "the text is there once");
    assert_eq!(folder.store().claim(session).unwrap().epoch(), Epoch(2));
}

#[test]
fn sessions_of_one_process_share_a_journal_and_a_later_process_goes_on_with_it() {
    let folder = Folder::new();
    folder.session(3);
    folder.session(3);
    assert_eq!(journal::numbers(&folder.path("journals")).unwrap().len(), 1);
    let (one, two) = (folder.store(), folder.store());
    write_session(&one, 3);
    write_session(&two, 3);
    assert_eq!(journal::numbers(&folder.path("journals")).unwrap().len(), 2);
}

#[test]
fn a_changed_moved_or_missing_record_is_named_and_the_rest_can_be_read() {
    let check = |change: &dyn Fn(&redb::WriteTransaction, u128, u128), why: &str| {
        let folder = Folder::new();
        let (session, other) = (folder.session(9), folder.session(9));
        folder.change(&folder.journal(1), |write| change(write, session.0.as_u128(), other.0.as_u128()));
        let store = folder.store();
        let error = store.read_all(session).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, ReadError::Damaged { seq: Seq(5), .. }), "{text}");
        assert!(text.contains(&session.to_string()) && text.contains("0001.redb") && text.contains(why), "{text}");
        assert_eq!(store.read(session, Seq(0), 5).unwrap(), records(0, 5));
        let (intact, damage) = store.read_intact(session).unwrap();
        assert_eq!((intact, damage.map(|damage| damage.to_string())), (records(0, 5), Some(text)));
        assert_eq!(store.read_all(other).unwrap(), records(0, 9));
        check_usable(&folder);
    };
    let row = |write: &redb::WriteTransaction, session, seq| {
        write.open_table(RECORDS).unwrap().get((session, 1, seq)).unwrap().unwrap().value().to_vec()
    };
    let put = |write: &redb::WriteTransaction, session, row: &[u8]| {
        write.open_table(RECORDS).unwrap().insert((session, 1, 5), row).unwrap();
    };
    for byte in [0, 3, 20, 30] {
        let change = |write: &redb::WriteTransaction, session, _| {
            let mut row = row(write, session, 5);
            row[byte] ^= 1;
            put(write, session, &row);
        };
        check(&change, "");
    }
    check(&|write, session, _| put(write, session, &row(write, session, 6)), "hash chain");
    check(&|write, session, other| put(write, session, &row(write, other, 5)), "hash chain");
    check(&|write, session, _| put(write, session, &[]), "empty");
    check(&|write, session, _| put(write, session, &row(write, session, 5)[..20]), "too short");
    check(&|write, session, _| drop(write.open_table(RECORDS).unwrap().remove((session, 1, 5)).unwrap()), "missing");
}

#[test]
fn a_lost_blob_is_named() {
    let folder = Folder::new();
    let store = folder.store();
    let claim = store.create(new_session()).unwrap();
    let session = claim.session();
    store.append(&claim, Seq(0), &[record(0, Event::Parked), ended(1, Value::text("x".repeat(9_000)))]).unwrap();
    drop((claim, store));
    folder.change(&folder.journal(1), |write| assert!(write.delete_table(journal::BLOBS).unwrap()));
    let error = folder.store().read_all(session).unwrap_err();
    assert!(matches!(error, ReadError::Damaged { seq: Seq(1), .. }), "{error}");
}

#[test]
fn a_damaged_blob_does_not_harm_the_next_session_that_says_the_same() {
    let folder = Folder::new();
    let said = [record(0, Event::Parked), ended(1, Value::text("x".repeat(9_000)))];
    let say = |store: &RedbStore| {
        let claim = store.create(new_session()).unwrap();
        store.append(&claim, Seq(0), &said).unwrap().wait().unwrap();
        claim.session()
    };
    let first = say(&folder.store());
    folder.change(&folder.journal(1), |write| {
        let mut blobs = write.open_table(journal::BLOBS).unwrap();
        let digest = *blobs.first().unwrap().unwrap().0.value();
        blobs.insert(&digest, b"something else".as_slice()).unwrap();
    });
    assert!(folder.store().read_all(first).is_err());
    let second = say(&folder.store());
    assert_eq!(folder.store().read_all(second).unwrap(), said);
    assert_eq!(folder.store().read_all(first).unwrap(), said, "it is whole again");
}

/// It was tried again and again, and a session could begin in it that failed at its first write.
#[test]
fn a_damaged_journal_is_marked_and_takes_no_more_sessions_until_the_mark_is_deleted() {
    let folder = Folder::new();
    folder.session(3);
    let whole = fs::read(folder.journal(1)).unwrap();
    fs::write(folder.journal(1), &whole[..5_000]).unwrap();
    check_usable(&folder);
    let mark = folder.journal(1).with_extension("damaged");
    let text = fs::read_to_string(&mark).unwrap();
    assert!(text.contains("Nothing more is written") && text.contains("0001.redb"), "{text}");
    fs::write(folder.journal(1), &whole).unwrap();
    check_usable(&folder);
    assert_eq!(fs::read(folder.journal(1)).unwrap(), whole);
    fs::remove_file(&mark).unwrap();
    check_usable(&folder);
    assert_ne!(fs::read(folder.journal(1)).unwrap(), whole);
}

#[test]
fn a_journal_that_is_none_is_named_and_others_are_used() {
    let check = |damage: &dyn Fn(&Path), why: &str| {
        let folder = Folder::new();
        let session = folder.session(3);
        damage(&folder.journal(1));
        let store = folder.store();
        let texts = [store.read_all(session).unwrap_err().to_string(), store.claim(session).unwrap_err().to_string()];
        for text in texts {
            assert!(text.contains(&session.to_string()) && text.contains("0001.redb") && text.contains(why), "{text}");
        }
        assert_eq!(store.list(&Filter::of(&Tenant::default(), 9)).unwrap().len(), 1);
        drop(store);
        check_usable(&folder);
        check_usable(&folder);
        assert_eq!(journal::numbers(&folder.path("journals")).unwrap().last(), Some(&2));
    };
    check(&|path| fs::write(path, "").unwrap(), "empty");
    check(&|path| fs::write(path, "something else").unwrap(), "not a database");
    check(&|path| fs::write(path, [0; 100_000]).unwrap(), "not a database");
    check(&|path| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(5_000).unwrap(), "damaged");
    check(&|path| fs::remove_file(path).and_then(|()| fs::create_dir(path)).unwrap(), "not a file");
    let foreign = |path: &Path| {
        fs::remove_file(path).unwrap();
        let write = Database::create(path).unwrap().begin_write().unwrap();
        write.open_table(TableDefinition::<u8, u8>::new("theirs")).unwrap().insert(1, 1).unwrap();
        write.commit().unwrap();
    };
    check(&foreign, "not a journal");
}

#[test]
fn a_lost_journal_is_named() {
    let folder = Folder::new();
    let session = folder.session(3);
    fs::remove_file(folder.journal(1)).unwrap();
    let text = folder.store().read_all(session).unwrap_err().to_string();
    assert!(text.contains("0001.redb") && text.contains("restore"), "{text}");
    check_usable(&folder);
}

#[test]
fn a_damaged_catalog_is_named_and_made_again_from_the_journals_once_it_is_moved_away() {
    let folder = Folder::new();
    let (first, second) = (folder.session(3), folder.session(4));
    let store = folder.store();
    let claim = store.claim(first).unwrap();
    store.append(&claim, Seq(3), &records(3, 2)).unwrap();
    store.release(claim, park()).wait().unwrap();
    let catalog = folder.path("catalog.redb");
    drop(store);
    for damage in ["", "something else"] {
        fs::write(&catalog, damage).unwrap();
        let store = folder.store();
        let texts =
            [store.list(&Filter::of(&Tenant::default(), 9)).unwrap_err(), store.create(new_session()).unwrap_err().into_store()];
        for text in texts.map(|error| error.to_string()) {
            assert!(text.contains("catalog.redb") && text.contains("move it away"), "{text}");
        }
    }
    fs::remove_file(&catalog).unwrap();
    let owner = write_and_hold(&folder);
    let error = folder.store().row(first).unwrap_err();
    assert!(matches!(error, FindError::Store(StoreError::Busy { .. })), "{error}");
    drop(owner);
    let store = folder.store();
    assert_eq!(store.read_all(first).unwrap(), records(0, 5));
    assert_eq!(store.read_all(second).unwrap(), records(0, 4));
    assert_eq!(store.list(&Filter::of(&Tenant::default(), 9)).unwrap().len(), 2);
    let claim = store.claim(first).unwrap();
    assert_eq!((claim.epoch(), claim.length()), (Epoch(3), Seq(5)));
    drop((claim, store));
    check_usable(&folder);
}

/// The lock of a journal, as a process would hold it that works in it.
fn write_and_hold(folder: &Folder) -> lock::LockFile {
    lock::LockFile::take(&journal::lock_of(&folder.path("journals"), 1)).unwrap().unwrap()
}

impl ClaimError {
    fn into_store(self) -> StoreError {
        let Self::Store(error) = self else { panic!("{self}") };
        error
    }
}

#[test]
fn files_of_a_newer_version_are_refused() {
    let format: TableDefinition<&str, u64> = TableDefinition::new("format");
    let folder = Folder::new();
    let session = folder.session(3);
    folder.change(&folder.journal(1), |write| drop(write.open_table(format).unwrap().insert("journal", 7).unwrap()));
    let text = folder.store().read_all(session).unwrap_err().to_string();
    assert!(text.contains("0001.redb has format 7 and this version knows up to 1"), "{text}");
    check_usable(&folder);
    folder.change(&folder.path("catalog.redb"), |write| drop(write.open_table(format).unwrap().insert("catalog", 2).unwrap()));
    let error = folder.store().list(&Filter::of(&Tenant::default(), 1)).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 2, known: 1, .. }), "{error}");
    assert!(matches!(folder.store().claim(session), Err(ClaimError::Store(StoreError::Newer { .. }))));
}

#[test]
fn whatever_bytes_are_changed_nothing_false_is_read() {
    let folder = Folder::new();
    let sessions: Vec<_> = (0..5).map(|_| folder.session(40)).collect();
    let whole = fs::read(folder.journal(1)).unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..150 {
        let mut bytes = whole.clone();
        for _ in 0..3 {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let at = (random >> 20) as usize % bytes.len();
            bytes[at] ^= (random >> 10) as u8 | 1;
        }
        fs::write(folder.journal(1), &bytes).unwrap();
        let store = folder.store();
        for session in &sessions {
            if let Ok(read) = store.read_all(*session) {
                assert_eq!(read, records(0, 40));
            }
            if let Ok((read, damage)) = store.read_intact(*session) {
                assert_eq!(read, records(0, read.len() as u64));
                assert!(read.len() == 40 || damage.is_some());
            }
        }
    }
    fs::write(folder.journal(1), &whole).unwrap();
    check_usable(&folder);
}

#[test]
fn what_stands_in_the_way_of_a_store_is_named() {
    let folder = Folder::new();
    fs::write(folder.path(""), "a file").unwrap();
    let text = RedbStore::open(folder.path("")).unwrap_err().to_string();
    assert!(text.contains(".synod") && text.contains("--store"), "{text}");
    fs::remove_file(folder.path("")).unwrap();
    fs::create_dir(folder.path("")).unwrap();
    fs::write(folder.path("journals"), "a file").unwrap();
    let text = folder.store().create(new_session()).unwrap_err().to_string();
    assert!(text.contains("journals") && text.contains("--store"), "{text}");
}

/// Holds the head of a file.
fn hold(path: std::path::PathBuf) -> FileBackend {
    let file = FileBackend::new(fs::OpenOptions::new().read(true).write(true).open(path).unwrap()).unwrap();
    assert!(file.try_lock_range(Bound::Included(0), Bound::Excluded(1)).unwrap());
    file
}

/// A compaction has the lock of a journal and holds its head to its end.
#[test]
fn whoever_waits_for_a_journal_that_is_compacted_is_told_by_which_process() {
    let folder = Folder::new();
    let session = folder.session(3);
    let lock = lock::LockFile::take(&folder.path("journals/0001.lock")).unwrap().unwrap();
    let head = hold(folder.journal(1));
    let ReadError::Store { source, .. } = folder.store().read_all(session).unwrap_err() else { panic!("it cannot be read") };
    assert!(matches!(source, StoreError::Busy { pid, .. } if pid == Some(std::process::id())), "{source}");
    assert!(source.to_string().contains("if it compacts the store, wait for it"), "{source}");
    drop((head, lock));
    assert_eq!(folder.store().read_all(session).unwrap().len(), 3);
}

/// A process that is stopped while it commits or begins to read has the head of the file until it goes on.
#[test]
fn nobody_waits_without_end_for_a_process_that_is_stopped_while_it_holds_the_head_of_a_file() {
    let folder = Folder::new();
    let session = folder.session(3);
    let busy = |error: StoreError| assert!(matches!(error, StoreError::Busy { pid: None, .. }), "{error}");
    let store = folder.store();
    let held = hold(folder.journal(1));
    let ReadError::Store { source, .. } = store.read_all(session).unwrap_err() else { panic!("its journal cannot be read") };
    busy(source);
    drop(held);
    assert_eq!(store.read_all(session).unwrap().len(), 3);
    let held = hold(folder.path("catalog.redb"));
    busy(store.list(&Filter::of(&Tenant::default(), 9)).unwrap_err());
    busy(store.create(new_session()).unwrap_err().into_store());
    drop(held);
    let claim = store.claim(session).unwrap();
    let held = hold(folder.journal(1));
    let error = store.append(&claim, Seq(3), &records(3, 1)).unwrap().wait().unwrap_err();
    assert!(error.to_string().contains("does not give it back"), "{error}");
    drop(held);
    drop(claim);
    let claim = store.claim(session).unwrap();
    let length = claim.length();
    store.append(&claim, length, &records(length.0, 1)).unwrap().wait().unwrap();
    assert_eq!(store.read_all(session).unwrap().len() as u64, length.0 + 1);
}

#[test]
fn a_process_that_does_not_finish_a_catalog_write_is_named() {
    let folder = Folder::new();
    let session = folder.session(1);
    let store = folder.store();
    let held = lock::LockFile::take(&folder.path("catalog.lock")).unwrap().unwrap();
    let error = store.claim(session).unwrap_err();
    assert!(matches!(error, ClaimError::Store(StoreError::Busy { pid, .. }) if pid == Some(std::process::id())), "{error}");
    assert_eq!(store.read_all(session).unwrap().len(), 1, "reading goes on");
    drop(held);
    store.claim(session).unwrap();
}

#[test]
fn a_tool_node_that_does_nothing_takes_less_than_400_bytes() {
    let folder = Folder::new();
    let store = folder.store();
    let claim = store.create(new_session()).unwrap();
    // Forty nodes at a time, whatever else the machine does.
    for first in (0..1_000).step_by(40) {
        let started = |node: u64| {
            record(2 * node, Event::NodeStarted { node: crate::value::NodeIx(node as u32), attempt: 1, lookup: None })
        };
        let both = |node: u64| [started(node), ended(2 * node + 1, Value::Null)];
        let records: Vec<_> = (first..first + 40).flat_map(both).collect();
        store.append(&claim, Seq(2 * first), &records).unwrap().wait().unwrap();
    }
    drop((claim, store));
    let size = fs::metadata(folder.journal(1)).unwrap().len();
    assert!(size < 400_000, "{size}");
}

#[test]
fn what_came_too_late_does_not_reopen_a_session_whose_owner_died() {
    let folder = Folder::new();
    let store = folder.store();
    let claim = store.create(new_session()).unwrap();
    let session = claim.session();
    let finished = crate::event::Finished { status: Status::Completed, output: Value::Null, failure: None };
    let key = crate::event::Key { node: crate::value::NodeIx(1), attempt: 1, turn: crate::value::Turn(0), call: None };
    let late = |seq| record(seq, Event::LateResult { key, usage: None });
    let mut all = vec![record(0, Event::Parked), record(1, Event::Finished(Box::new(finished)))];
    all.extend((2..40).map(late));
    store.append(&claim, Seq(0), &all).unwrap().wait().unwrap();
    // Its owner dies: nobody gives the session back.
    drop((claim, store));
    let row = folder.store().row(session).unwrap();
    assert_eq!((row.status, row.completed_at), (Status::Completed, Some(all[1].at)));
}
