//! What do the processes of one store do to each other? Real processes, real signals: the test binary starts itself as another owner.

use std::{
    io::{BufRead, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use synod::{
    event::{Event, Finished, Record, Status},
    store::{
        Claim, ClaimError, Closing, Filter, FindError, InboxItem, NewSession, Owner, ReadError, RedbStore, Store, StoreError,
    },
    value::{Epoch, NodeIx, Seq, SessionId, Tenant, Timestamp, Value},
};
use uuid::Uuid;

/// What the other process does, and where.
const ROLE: &str = "SYNOD_TEST_STORE_ROLE";
const FOLDER: &str = "SYNOD_TEST_STORE_FOLDER";

fn open(folder: &Path) -> RedbStore {
    RedbStore::open(folder.join(".synod")).unwrap()
}

fn create(store: &dyn Store) -> Claim {
    let session = SessionId(Uuid::now_v7());
    let new =
        NewSession { session, tenant: Tenant::default(), team: "team".into(), task: "task".into(), started_at: Timestamp(1) };
    store.create(new).unwrap()
}

fn record(seq: u64) -> Record {
    Record { seq: Seq(seq), at: Timestamp(1), event: Event::NodeStarted { node: NodeIx(seq as u32), attempt: 1, lookup: None } }
}

fn finish(seq: u64) -> Record {
    let finished = Finished { status: Status::Completed, output: Value::Null, failure: None };
    Record { event: Event::Finished(Box::new(finished)), at: Timestamp(3_000_001), ..record(seq) }
}

fn done() -> Closing {
    Closing { status: Status::Completed, at: Timestamp(2) }
}

/// Not a test of its own: what this binary does when it is started as another process.
#[test]
fn other_process() {
    let (Ok(role), Ok(folder)) = (std::env::var(ROLE), std::env::var(FOLDER)) else { return };
    let store = open(Path::new(&folder));
    match role.as_str() {
        "append until killed" => {
            let claim = create(&store);
            println!("> {}", claim.session());
            for seq in 0.. {
                store.append(&claim, Seq(seq), &[record(seq)]).unwrap().wait().unwrap();
                println!("> {seq}");
            }
        }
        "begin until killed" => {
            println!("> {}", create(&store).session());
            thread::park();
        }
        "resume until killed" => {
            let session = store.list(&Filter::of(&Tenant::default(), 1)).unwrap()[0].session;
            let claim = store.claim(session).unwrap();
            println!("> {}", claim.length());
            for seq in claim.length().0.. {
                store.append(&claim, Seq(seq), &[record(seq)]).unwrap().wait().unwrap();
                println!("> {seq}");
            }
        }
        "finish without a release" => {
            let claim = create(&store);
            store.append(&claim, Seq(0), &[record(0), finish(1)]).unwrap().wait().unwrap();
            println!("> {}", claim.session());
            thread::park();
        }
        "run 20 sessions" => {
            for _ in 0..20 {
                let claim = create(&store);
                for seq in 0..5 {
                    store.append(&claim, Seq(seq), &[record(seq)]).unwrap().wait().unwrap();
                }
                store.append(&claim, Seq(5), &[finish(5)]).unwrap();
                store.release(claim, done()).wait().unwrap();
            }
        }
        "write until there is no room" => {
            let first = create(&store);
            store.append(&first, Seq(0), &[record(0)]).unwrap().wait().unwrap();
            let claim = create(&store);
            let large: Arc<str> = "x".repeat(100_000).into();
            let event = |seq| Event::CancelRequested { by: format!("{seq}").into(), reason: format!("{seq}{large}").into() };
            let mut seq = 0;
            let error = loop {
                let record = Record { event: event(seq), ..record(seq) };
                match store.append(&claim, Seq(seq), &[record]).unwrap().wait() {
                    Ok(()) => seq += 1,
                    Err(error) => break error,
                }
            };
            println!("> {error}");
            // The claim is dead, and what was durable is still there.
            let session = claim.session();
            assert!(store.append(&claim, Seq(seq), &[]).is_err());
            drop(claim);
            assert!(store.read_all(session).unwrap().len() as u64 >= seq);
            assert_eq!(store.read_all(first.session()).unwrap(), [record(0)]);
            println!("> {}", store.claim(session).unwrap().length().0 >= seq);
        }
        other => panic!("{other}"),
    }
}

/// Another process and what it says.
struct Other {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Other {
    fn start(folder: &Path, role: &str) -> Self {
        Self::start_by(Command::new(std::env::current_exe().unwrap()), folder, role)
    }

    fn start_by(mut command: Command, folder: &Path, role: &str) -> Self {
        command.args(["--exact", "other_process", "--nocapture"]).env(ROLE, role).env(FOLDER, folder);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, said }
    }

    /// The next thing it says.
    fn says(&mut self) -> Option<String> {
        self.said.by_ref().map_while(Result::ok).find_map(|line| line.split_once("> ").map(|(_, said)| said.to_owned()))
    }

    fn says_session(&mut self) -> SessionId {
        SessionId(self.says().unwrap().parse().unwrap())
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_killed_owner_loses_nothing_that_was_durable_and_is_succeeded() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = Other::start(folder.path(), "append until killed");
    let session = other.says_session();
    let mut durable = 0;
    for round in 2..8 {
        for _ in 0..round * 3 {
            durable = other.says().unwrap().parse().unwrap();
        }
        other.kill();
        // What it said before it died and nobody had read yet.
        while let Some(said) = other.says() {
            durable = said.parse().unwrap();
        }
        other = Other::start(folder.path(), "resume until killed");
        let length: u64 = other.says().unwrap().parse().unwrap();
        assert!(length > durable, "{durable} was durable and {length} records are left");
        assert!(length <= durable + 2, "at most one append was in flight");
    }
    other.kill();
    let store = open(folder.path());
    let claim = store.claim(session).unwrap();
    assert_eq!(claim.epoch(), Epoch(8));
    let length = claim.length();
    store.append(&claim, length, &[finish(length.0)]).unwrap().wait().unwrap();
    let all = store.read_all(session).unwrap();
    assert!(all.iter().zip(0..).all(|(record, seq)| record.seq == Seq(seq)));
    assert_eq!(all.last(), Some(&finish(length.0)));
}

#[test]
fn a_stopped_owner_is_named_and_gets_its_mail_when_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = Other::start(folder.path(), "append until killed");
    let session = other.says_session();
    other.says().unwrap();
    let store = open(folder.path());
    let pid = other.child.id();
    let refused = || matches!(store.claim(session), Err(ClaimError::Owned { pid: owner, .. }) if owner == pid);
    assert!(refused());
    other.signal("-STOP");
    assert!(refused());
    assert_eq!(store.row(session).unwrap().owner, Owner::Live { pid });
    // It may have been stopped in the middle of a commit: then it has the head of its journal, and is named as soon as waiting is over.
    match store.read_all(session) {
        Ok(records) => assert!(!records.is_empty()),
        Err(ReadError::Store { source: StoreError::Busy { pid: owner, .. }, .. }) => assert_eq!(owner, Some(pid)),
        Err(error) => panic!("{error}"),
    }
    let cancel = InboxItem::Cancel { by: "ann".into(), reason: "enough".into(), at: Timestamp(1) };
    store.post(session, cancel.clone()).unwrap();
    other.signal("-CONT");
    other.says().unwrap();
    assert!(refused());
    other.kill();
    let claim = store.claim(session).unwrap();
    assert_eq!(store.poll(&claim).unwrap()[0].item, cancel);
}

#[test]
fn others_read_what_an_owner_writes_while_it_writes() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = Other::start(folder.path(), "append until killed");
    let session = other.says_session();
    let store = open(folder.path());
    for _ in 0..20 {
        let durable: u64 = other.says().unwrap().parse().unwrap();
        assert!(store.read_all(session).unwrap().len() as u64 > durable);
        assert_eq!(store.read(session, Seq(durable), 1).unwrap(), [record(durable)]);
    }
}

#[test]
fn processes_run_sessions_side_by_side_and_are_listed_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let mut others: Vec<_> = (0..3).map(|_| Other::start(folder.path(), "run 20 sessions")).collect();
    let list = || open(folder.path()).list(&Filter::of(&Tenant::default(), 1_000)).unwrap();
    while others.iter_mut().any(|other| other.child.try_wait().unwrap().is_none()) {
        for row in list() {
            assert!(!row.is_interrupted(), "{row:?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
    for other in &mut others {
        assert!(other.child.wait().unwrap().success());
    }
    let rows = list();
    assert_eq!(rows.len(), 60);
    for row in rows {
        assert_eq!((row.status, row.owner), (Status::Completed, Owner::Nobody));
        assert_eq!(open(folder.path()).read_all(row.session).unwrap().len(), 6);
    }
}

#[test]
fn the_index_of_a_killed_owner_is_repaired_from_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let mut finished = Other::start(folder.path(), "finish without a release");
    let mut broken_off = Other::start(folder.path(), "append until killed");
    let (over, open_ended) = (finished.says_session(), broken_off.says_session());
    broken_off.says().unwrap();
    finished.kill();
    broken_off.kill();
    for _ in 0..2 {
        let store = open(folder.path());
        let rows = store.list(&Filter::of(&Tenant::default(), 10)).unwrap();
        let row = |session| rows.iter().find(|row| row.session == session).unwrap();
        assert_eq!((row(over).status, row(over).duration_ms()), (Status::Completed, Some(3_000)));
        assert!(!row(over).is_interrupted());
        assert!(row(open_ended).is_interrupted());
    }
}

/// A run that was killed between the index and its first record was listed, and could not be resumed.
#[test]
fn a_session_whose_owner_was_killed_before_its_first_record_never_began() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = Other::start(folder.path(), "begin until killed");
    let session = other.says_session();
    other.kill();
    let found = open(folder.path()).find("default", &session.to_string()[..8]);
    assert!(matches!(found, Err(FindError::Unknown(_))), "{found:?}");
    for _ in 0..2 {
        let store = open(folder.path());
        assert_eq!(store.list(&Filter::of(&Tenant::default(), 10)).unwrap(), []);
        assert!(matches!(store.row(session), Err(FindError::Unknown(_))));
        assert!(matches!(store.claim(session), Err(ClaimError::Unknown(_))));
    }
    let store = open(folder.path());
    let claim = create(&store);
    store.append(&claim, Seq(0), &[record(0)]).unwrap().wait().unwrap();
    assert_eq!(store.list(&Filter::of(&Tenant::default(), 10)).unwrap().len(), 1);
}

#[test]
fn a_dead_owner_is_dead_although_another_process_has_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = Other::start(folder.path(), "append until killed");
    let session = other.says_session();
    other.says().unwrap();
    other.kill();
    let mut heir = Other::start(folder.path(), "append until killed");
    let theirs = heir.says_session();
    heir.says().unwrap();
    let store = open(folder.path());
    assert_eq!(store.row(session).unwrap().journal, store.row(theirs).unwrap().journal);
    assert!(matches!(store.claim(theirs), Err(ClaimError::Owned { .. })));
    let claim = store.claim(session).unwrap();
    let length = claim.length();
    store.append(&claim, length, &[record(length.0)]).unwrap().wait().unwrap();
    assert_ne!(store.row(session).unwrap().journal, store.row(theirs).unwrap().journal);
    assert_eq!(store.read_all(session).unwrap().len(), length.index() + 1);
}

#[test]
fn a_full_disk_is_an_error_that_says_so_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    let exe = std::env::current_exe().unwrap();
    // A limit on the size of files stands in for a full disk; the signal that comes with it is ignored.
    command.args(["-c", "trap '' XFSZ; ulimit -f 4000; exec \"$0\" \"$@\""]).arg(exe);
    let mut other = Other::start_by(command, folder.path(), "write until there is no room");
    let error = other.says().unwrap();
    assert!(error.contains("0001.redb: ") && error.contains("disk"), "{error}");
    assert_eq!(other.says().as_deref(), Some("true"));
    assert!(other.child.wait().unwrap().success());
}
