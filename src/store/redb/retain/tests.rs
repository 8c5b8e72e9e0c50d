//! Does what should stay, stay, and does what should go, go, whenever the machine stops?

use super::*;
use crate::{
    event::{Event, Record},
    store::{
        ClaimError, Closing, FindError, NewSession, ReadError,
        conformance::{ended, new_session, park, record},
        redb::faults::{Fault, Keep, Machine},
        verify,
    },
    value::{Seq, Value},
};

/// What sessions say: a blob that all share, and one of their own.
fn said(nth: u64) -> Vec<Record> {
    let shared = Value::text("shared ".repeat(2_000));
    let own = Value::text(format!("{nth} ").repeat(5_000));
    vec![record(0, Event::Parked), ended(1, shared), ended(2, own), ended(3, Value::Null)]
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join(".synod")
    }

    fn store(&self) -> RedbStore {
        RedbStore::open(self.path()).unwrap()
    }

    /// Sessions one after the other, each started a second after the one before, that are given back like that.
    fn fill(&self, statuses: &[Status]) -> Vec<SessionId> {
        let store = self.store();
        let session = |(nth, status): (usize, &Status)| {
            let at = Timestamp(1_000_000 * (1 + nth as i64));
            let claim = store.create(NewSession { started_at: at, ..new_session() }).unwrap();
            store.append(&claim, Seq(0), &said(nth as u64)).unwrap();
            let session = claim.session();
            store.release(claim, Closing { status: *status, at }).wait().unwrap();
            session
        };
        statuses.iter().enumerate().map(session).collect()
    }
}

fn keeping(keep: usize) -> Retention {
    let Tenant { org, user } = Tenant::default();
    Retention { org, user: Some(user), before: None, keep, parked: false }
}

fn ids(removal: &Removal) -> Vec<SessionId> {
    removal.sessions.iter().map(|row| row.session).collect()
}

const MIXED: [Status; 6] =
    [Status::Completed, Status::Failed, Status::Parked, Status::Completed, Status::Running, Status::Cancelled];

#[test]
fn what_is_over_goes_the_oldest_first_and_what_may_go_on_stays() {
    let folder = Folder::new();
    let all = folder.fill(&MIXED);
    let store = folder.store();
    let gone = vec![all[1], all[0]];
    let removable = removable(&folder.path(), &keeping(2)).unwrap();
    assert_eq!(ids(&removable), gone);
    let removed = store.remove(&keeping(2)).unwrap();
    assert_eq!((ids(&removed), removed.bytes), (gone.clone(), removable.bytes), "it does what it said");
    assert!(removed.later.is_empty(), "{:?}", removed.later);
    for session in gone {
        assert!(matches!(store.read_all(session), Err(ReadError::Unknown(_))));
        assert!(matches!(store.row(session), Err(FindError::Unknown(_))));
        assert!(matches!(store.claim(session), Err(ClaimError::Unknown(_))));
    }
    for (nth, session) in (0..).zip(&all).skip(2) {
        assert_eq!(store.read_all(*session).unwrap(), said(nth), "with the blob that it shared");
    }
    let parked = store.remove(&Retention { parked: true, ..keeping(9) }).unwrap();
    assert_eq!(ids(&parked), [all[2]]);
    let old = store.remove(&Retention { before: Some(Timestamp(4_500_000)), ..keeping(0) }).unwrap();
    assert_eq!(ids(&old), [all[3]]);
    assert_eq!(store.list(&Filter::of(&Tenant::default(), 9)).unwrap().len(), 2);
}

#[test]
fn a_compacted_store_has_the_size_of_what_is_in_it() {
    let folder = Folder::new();
    let all = folder.fill(&[Status::Completed; 60]);
    let store = folder.store();
    let removed = store.remove(&keeping(1)).unwrap();
    assert_eq!(removed.sessions.len(), 59);
    assert!(removed.bytes > 59 * 10_000, "each with its own blob: {}", removed.bytes);
    let done = store.compact().unwrap();
    assert!(done.left.is_empty(), "{:?}", done.left);
    let sizes = |of: fn(&(PathBuf, u64, u64)) -> u64| done.files.iter().map(of).sum::<u64>();
    assert!(sizes(|file| file.2) + removed.bytes / 2 < sizes(|file| file.1), "{done:?}");
    assert_eq!(store.read_all(all[59]).unwrap(), said(59));
}

#[test]
fn a_journal_that_somebody_writes_is_swept_later() {
    let folder = Folder::new();
    let all = folder.fill(&[Status::Completed; 3]);
    let owner = folder.store();
    let claim = owner.create(new_session()).unwrap();
    owner.append(&claim, Seq(0), &said(1)).unwrap().wait().unwrap();
    let other = folder.store();
    let removed = other.remove(&keeping(0)).unwrap();
    assert_eq!(removed.sessions.len(), 3);
    let later = removed.later.iter().map(ToString::to_string).collect::<String>();
    assert!(later.contains("0001.redb") && later.contains(&std::process::id().to_string()), "{later}");
    assert_eq!(other.list(&Filter::of(&Tenant::default(), 9)).unwrap().len(), 1, "they are not shown any more");
    let again = NewSession { session: all[0], ..new_session() };
    let mixed = other.create(again.clone()).unwrap_err();
    let us = Some(std::process::id());
    assert!(matches!(&mixed, ClaimError::Removed { pid, .. } if *pid == us), "their records would be mixed up: {mixed}");
    assert!(matches!(other.claim(all[0]), Err(ClaimError::Unknown(_))));
    owner.append(&claim, Seq(4), &[ended(4, Value::Null)]).unwrap().wait().unwrap();
    owner.release(claim, park()).wait().unwrap();
    drop(owner);
    let left = other.create(again.clone()).unwrap_err();
    assert!(matches!(&left, ClaimError::Removed { pid: None, .. }) && left.to_string().contains("synod compact"), "{left}");
    let done = other.compact().unwrap();
    assert!(done.left.is_empty(), "{:?}", done.left);
    assert_eq!(folder.store().gone().unwrap(), Gone::new());
    let claim = other.create(again).unwrap();
    other.append(&claim, Seq(0), &said(7)).unwrap().wait().unwrap();
    assert_eq!(other.read_all(all[0]).unwrap(), said(7));
}

/// Rows are read first, and records much later: those that were removed meanwhile are not damaged.
#[test]
fn what_is_removed_while_it_is_looked_at_is_left_out() {
    let folder = Folder::new();
    let all = folder.fill(&[Status::Completed, Status::Completed, Status::Parked, Status::Completed]);
    let looker = Looker::new(&folder.path());
    let (mut entries, _) = looker.entries().unwrap();
    let store = folder.store();
    assert_eq!(ids(&store.remove(&keeping(1)).unwrap()), [all[1], all[0]]);
    // One comes back meanwhile, in another journal.
    let owner = folder.store();
    let other = owner.create(new_session()).unwrap();
    owner.append(&other, Seq(0), &said(1)).unwrap().wait().unwrap();
    let claim = store.create(NewSession { session: all[1], ..new_session() }).unwrap();
    store.append(&claim, Seq(0), &said(7)[..1]).unwrap().wait().unwrap();
    let read = entries.iter_mut().map(|entry| looker.read_all(entry).map(|(records, read)| (records, read.is_ok())));
    assert_eq!(read.collect::<Vec<_>>(), [Some((4, true)), Some((4, true)), Some((1, true)), None]);
}

/// A removal of all but the newest, and a compaction.
fn work(store: &RedbStore) -> Result<(), StoreError> {
    let removed = store.remove(&keeping(1))?;
    store.compact()?.left.into_iter().chain(removed.later).try_for_each(Err)
}

/// A copy of `full` on a machine of its own, and what came of the work there.
fn run(full: &Folder, fault: Fault, seed: u64) -> (Folder, Arc<Machine>, Result<(), StoreError>) {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path().join("journals")).unwrap();
    for file in ["catalog.redb", "journals/0001.redb"] {
        std::fs::copy(full.path().join(file), folder.path().join(file)).unwrap();
    }
    let machine = Machine::new(&folder.path(), fault, seed);
    let done = work(&folder.store());
    (folder, machine, done)
}

/// On what is left of a stopped machine each of [`MIXED`] is whole or gone, and the work can be done.
fn check(machine: &Machine, all: &[SessionId], what: &str) {
    let folder = Folder::new();
    machine.restore(&folder.path());
    let store = folder.store();
    let listed = store.list(&Filter::of(&Tenant::default(), 9)).unwrap();
    for (nth, session) in all.iter().enumerate() {
        match store.read_all(*session) {
            Ok(records) => assert_eq!(records, said(nth as u64), "{what}"),
            Err(ReadError::Unknown(_)) if [0, 1, 3].contains(&nth) => {}
            Err(error) => panic!("{what}: session {nth}: {error}"),
        }
    }
    assert!(listed.len() >= 3);
    work(&store).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(store.list(&Filter::of(&Tenant::default(), 9)).unwrap().len(), 3);
    drop(store);
    let found = verify(&folder.path(), None, &mut |_, _| ()).unwrap();
    assert!(found.is_whole() && found.sessions == 3, "{what}: {found:?}");
}

fn points() -> u64 {
    std::env::var("SYNOD_FAULTS").ok().and_then(|n| n.parse().ok()).unwrap_or(40)
}

/// A machine that stops at any operation of a removal and a compaction leaves each session whole or gone.
#[test]
fn stopped_at_any_moment_nothing_that_stays_is_lost() {
    let points = points();
    let full = Folder::new();
    let all = full.fill(&MIXED);
    let (_folder, machine, done) = run(&full, Fault::Never, 0);
    done.unwrap();
    let operations = machine.operations();
    for point in 0..points {
        let at = 1 + point * operations / points;
        let keep = [Keep::Some, Keep::All, Keep::Nothing, Keep::Journals, Keep::Catalog][point as usize % 5];
        let (_broken, machine, _) = run(&full, Fault::Stop { at, keep }, point);
        machine.stop(keep);
        check(&machine, &all, &format!("{keep:?} at {at}"));
    }
    println!("{points} stops at {operations} operations of a removal and a compaction");
}

/// A disk that fails once takes what it lost for written. The work goes on, and when power fails nothing depends on what was lost.
#[test]
fn after_an_error_of_the_disk_all_of_a_file_is_put_there_again() {
    let points = points();
    let full = Folder::new();
    let all = full.fill(&MIXED);
    let (_folder, machine, done) = run(&full, Fault::Never, 0);
    done.unwrap();
    let operations = machine.operations();
    for point in 0..points {
        let at = 1 + point * operations / points;
        let what = format!("an error at {at} of {operations}");
        let (folder, machine, done) = run(&full, Fault::Fail { at, count: 1, errno: 5 }, point);
        if let Err(error) = done {
            assert!(matches!(error, StoreError::Io { .. }) && !error.is_for_later(), "{what}: {error}");
        }
        if point % 2 == 0 {
            work(&folder.store()).unwrap_or_else(|e| panic!("{what}: {e}"));
        }
        machine.stop(if point % 4 < 2 { Keep::Nothing } else { Keep::Some });
        check(&machine, &all, &what);
    }
}
