//! Does the program forget what it may, keep the rest, and name what is damaged, whenever it is killed?

mod common;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use common::{Bench, json, synod};
use serde_json::Value as Json;
use synod::{
    store::{Closing, NewSession, RedbStore, Store},
    value::{Seq, SessionId, Tenant, Timestamp},
};

const RUNS: &str = "name: Runs\ncollaboration_pattern: graph\ninputs: { n: { type: integer, default: 0 } }\nnodes:\n  \
                    say: { gate: 'let t = `${input.n} `; for i in 0..12 { t += t; } t' }\noutput: say.output.len()\n";
const ASKS: &str = "name: Asks\ncollaboration_pattern: graph\nnodes:\n  go_on: { ask: \"Go on?\", options: [\"yes\"] }\n";

fn bench() -> Bench {
    let bench = Bench::on_disk();
    bench.file("runs.yaml", RUNS).file("asks.yaml", ASKS);
    bench
}

fn run(folder: &Path, team: &str, n: usize) -> String {
    let mut args = vec!["run".to_owned(), team.to_owned(), "--json".to_owned()];
    if team == "runs.yaml" {
        args.extend(["--input".to_owned(), format!("n={n}")]);
    }
    let (code, out, said) = synod(folder, &args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(code == 0 || code == 3, "{said}");
    json(&out)["session"].as_str().expect("a session has an id").to_owned()
}

fn sessions(folder: &Path) -> Vec<String> {
    let (_, out, _) = synod(folder, &["sessions", "--json"]);
    let id = |row: &Json| row["session"].as_str().expect("an id").to_owned();
    json(&out).as_array().expect("a list").iter().map(id).collect()
}

#[test]
fn what_is_not_there_is_not_verified() {
    let bench = bench();
    let (code, _, said) = synod(bench.folder(), &["--store", "typo", "verify"]);
    assert!(code == 2 && said.contains("there is no store at typo") && said.contains("--store"), "{said}");
}

#[test]
fn old_sessions_are_removed_and_the_files_become_smaller() {
    let bench = bench();
    let folder = bench.folder();
    let parked = run(folder, "asks.yaml", 0);
    let over: Vec<String> = (0..4).map(|n| run(folder, "runs.yaml", n)).collect();
    let (code, _, said) = synod(folder, &["gc"]);
    assert!(code == 2 && said.contains("--older-than"), "it says what it wants: {said}");
    let (code, _, said) = synod(folder, &["gc", "--older-than", "30 days"]);
    assert!(code == 2 && said.contains("30d"), "{said}");
    let (code, out, _) = synod(folder, &["gc", "--older-than", "30d"]);
    assert_eq!((code, out.as_str()), (0, "0 sessions of 5 removed, 0 bytes freed\n"));
    let gc = |more: &[&str]| {
        let (code, out, said) = synod(folder, &[&["gc", "--keep", "1", "--json"], more].concat());
        assert_eq!(code, 0, "{said}");
        json(&out)
    };
    let would = gc(&["--dry-run"]);
    let ids = |removed: &Json| {
        removed["sessions"].as_array().expect("a list").iter().map(|row| row["session"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&would), [over[2].as_str(), &over[1], &over[0]], "newest first");
    assert_eq!(sessions(folder).len(), 5, "nothing is removed yet");
    let removed = gc(&["--older-than", "0s"]);
    assert_eq!((ids(&removed), &removed["bytes"], &removed["kept"]), (ids(&would), &would["bytes"], &2.into()));
    assert!(removed["bytes"].as_u64().is_some_and(|bytes| bytes > 3 * 8_000), "{removed}");
    assert_eq!(sessions(folder), [over[3].clone(), parked.clone()]);
    let (code, _, said) = synod(folder, &["show", &over[0]]);
    assert!(code == 2 && said.contains("there is no session"), "{said}");
    let (code, out, said) = synod(folder, &["compact", "--json"]);
    let done = json(&out);
    assert!(code == 0 && done["after"].as_u64() < done["before"].as_u64(), "{out}{said}");
    let (code, out, said) = synod(folder, &["answer", &parked, "q0", "yes", "--json"]);
    assert_eq!((code, json(&out)["status"].as_str()), (0, Some("completed")), "{said}");
    let (code, out, _) = synod(folder, &["verify"]);
    assert!(code == 0 && out.contains("of 2 sessions are read, all as they were written"), "{out}");
}

#[test]
fn parked_sessions_are_removed_only_when_asked_for() {
    let bench = bench();
    let parked = run(bench.folder(), "asks.yaml", 0);
    for (more, left) in [(None, vec![parked]), (Some("--parked"), vec![])] {
        let mut args = vec!["gc", "--keep", "0"];
        args.extend(more);
        assert_eq!(synod(bench.folder(), &args).0, 0);
        assert_eq!(sessions(bench.folder()), left);
    }
}

#[test]
fn beside_a_process_that_works_nothing_of_it_is_touched() {
    let bench = bench();
    let folder = bench.folder();
    let over = run(folder, "runs.yaml", 0);
    assert_eq!(synod(folder, &["export", &over, "--out", "over.jsonl"]).0, 0);
    let owner = RedbStore::open(bench.path(".synod")).expect("a store");
    let session = SessionId(uuid::Uuid::now_v7());
    let at = Timestamp(1_767_623_400_000_000);
    let new = NewSession { session, tenant: Tenant::default(), team: "t".into(), task: "t".into(), started_at: at };
    let claim = owner.create(new).expect("a new id");
    let parked = |seq| synod::event::Record { seq: Seq(seq), at, event: synod::event::Event::Parked };
    owner.append(&claim, Seq(0), &[parked(0)]).expect("ours").wait().expect("room");
    for args in [&["gc", "--keep", "0"][..], &["compact"]] {
        let (code, _, said) = synod(folder, args);
        assert!(code == 0 && said.contains(&format!("process {} writes it", std::process::id())), "{said}");
    }
    assert_eq!(sessions(folder), [session.to_string()], "what is removed is not shown, and {over} was");
    let (code, _, said) = synod(folder, &["import", "over.jsonl"]);
    let writes = format!("which process {} writes: run `synod compact` when it has ended", std::process::id());
    assert!(code == 1 && said.contains(&format!("session {over} was removed")) && said.contains(&writes), "{said}");
    owner.append(&claim, Seq(1), &[parked(1)]).expect("ours").wait().expect("room");
    owner.release(claim, Closing { status: synod::event::Status::Parked, at }).wait().expect("ours");
    drop(owner);
    let (code, _, said) = synod(folder, &["compact"]);
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(synod(folder, &["verify", &session.to_string()]).0, 0);
    let (code, _, said) = synod(folder, &["import", "over.jsonl"]);
    assert_eq!(code, 0, "{said}");
}

/// Changes record 2 of a session in the first journal.
fn damage(bench: &Bench, session: &str) {
    use redb::ReadableTable;
    const RECORDS: redb::TableDefinition<'_, (u128, u32, u64), &[u8]> = redb::TableDefinition::new("records_v1");
    let id: uuid::Uuid = session.parse().expect("an id");
    let db = redb::Database::open(bench.path(".synod/journals/0001.redb")).expect("a journal");
    let write = db.begin_write().expect("nobody else has it");
    {
        let mut records = write.open_table(RECORDS).expect("it is there");
        let mut row = records.get((id.as_u128(), 1, 2)).expect("it is there").expect("a record").value().to_vec();
        *row.last_mut().expect("a byte") ^= 1;
        records.insert((id.as_u128(), 1, 2), row.as_slice()).expect("it takes it");
    }
    write.commit().expect("room");
}

/// The files of a store.
fn files(bench: &Bench) -> Vec<(PathBuf, Vec<u8>)> {
    let inside = |folder: PathBuf| fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let all = inside(bench.path(".synod")).chain(inside(bench.path(".synod/journals"))).filter(|path| path.is_file());
    let mut all: Vec<_> = all.map(|path| (path.clone(), fs::read(path).expect("a file"))).collect();
    all.sort();
    all
}

#[test]
fn what_is_exported_of_a_damaged_session_is_not_taken_for_all_of_it() {
    let bench = bench();
    let folder = bench.folder();
    let broken = run(folder, "runs.yaml", 1);
    fs::write(bench.path("old.jsonl"), "what stood there").expect("a file can be written");
    std::os::unix::fs::symlink("old.jsonl", bench.path("cut.jsonl")).expect("a link can be made");
    fs::set_permissions(bench.path("old.jsonl"), Permissions::from_mode(0o600)).expect("ours");
    damage(&bench, &broken);
    let (code, out, said) = synod(folder, &["export", &broken, "--out", "cut.jsonl"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(said.contains(&format!("record 2 of session {broken} in .synod/journals/0001.redb is damaged")), "{said}");
    let (code, out, _) = synod(folder, &["export", &broken]);
    assert_eq!((code, out), (1, fs::read_to_string(bench.path("old.jsonl")).expect("a file")), "the link is still one");
    let mode = fs::metadata(bench.path("old.jsonl")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (code, _, said) = synod(folder, &["import", "cut.jsonl", "--store", "other"]);
    assert!(code == 2 && said.contains("it was cut when it was exported: record 2 is damaged"), "{said}");
    let (_, _, said) = synod(folder, &["replay", "cut.jsonl"]);
    assert!(said.contains("it was cut when it was exported"), "{said}");
    // Where nothing can be read, nothing is replaced.
    fs::write(bench.path(".synod/journals/0001.redb"), "nothing").expect("a file can be written");
    let before = fs::read(bench.path("old.jsonl")).expect("a file");
    assert_eq!(synod(folder, &["export", &broken, "--out", "cut.jsonl"]).0, 1);
    assert_eq!(fs::read(bench.path("old.jsonl")).expect("a file"), before);
}

#[test]
fn of_a_journal_that_cannot_be_read_one_line_is_said_and_not_one_for_each_of_its_sessions() {
    let bench = bench();
    let folder = bench.folder();
    (0..3).for_each(|n| drop(run(folder, "runs.yaml", n)));
    fs::write(bench.path(".synod/journals/0001.redb"), "nothing").expect("a file can be written");
    let (code, out, _) = synod(folder, &["verify"]);
    assert_eq!(code, 1);
    assert!(out.contains("nothing can be read of 3 sessions") && out.matches("0001.redb").count() == 1, "{out}");
    assert!(out.contains("0 records of 0 sessions are read"), "{out}");
    let (_, out, _) = synod(folder, &["verify", "--json"]);
    let found = json(&out);
    assert_eq!((&found["damaged"], &found["journals"], &found["whole"]), (&Json::Array(vec![]), &0.into(), &false.into()));
    let (code, out, _) = synod(folder, &["doctor"]);
    assert!(code == 1 && out.contains("nothing can be read of 3 sessions") && !out.contains("read session"), "{out}");
}

/// Of a session whose owner died the index says less than its journal; what only looks reads both, and writes nothing.
#[test]
fn what_says_that_nothing_is_changed_changes_nothing() {
    let bench = bench();
    let folder = bench.folder();
    let over = run(folder, "runs.yaml", 0);
    let session = SessionId(uuid::Uuid::now_v7());
    let at = Timestamp(1_767_623_400_000_000);
    let owner = RedbStore::open(bench.path(".synod")).expect("a store");
    let new = NewSession { session, tenant: Tenant::default(), team: "t".into(), task: "t".into(), started_at: at };
    let claim = owner.create(new).expect("a new id");
    let parked = synod::event::Record { seq: Seq(0), at, event: synod::event::Event::Parked };
    owner.append(&claim, Seq(0), &[parked]).expect("ours").wait().expect("room");
    drop((claim, owner));
    let before = files(&bench);
    let session = session.to_string();
    assert_eq!(synod(folder, &["verify", &session]).0, 0);
    assert_eq!(synod(folder, &["verify", "ffffffff"]).0, 2);
    let (code, out, said) = synod(folder, &["gc", "--keep", "0", "--parked", "--dry-run"]);
    assert_eq!(code, 0, "{said}");
    assert!(out.contains(&session) && out.contains(&over) && out.contains("2 sessions of 2 would be removed"), "{out}");
    assert!(files(&bench) == before, "nothing is written");
    let (_, out, _) = synod(folder, &["gc", "--keep", "0", "--parked"]);
    assert!(out.contains(&session) && out.contains("2 sessions of 2 removed"), "{out}");
}

#[test]
fn the_first_damaged_record_is_named_with_its_file() {
    let bench = bench();
    let folder = bench.folder();
    let (whole, broken) = (run(folder, "runs.yaml", 0), run(folder, "runs.yaml", 1));
    damage(&bench, &broken);
    let before = fs::read(bench.path(".synod/journals/0001.redb")).expect("a file");
    let (code, out, _) = synod(folder, &["verify"]);
    assert_eq!(code, 1);
    assert!(out.contains(&format!("record 2 of session {broken} in .synod/journals/0001.redb is damaged")), "{out}");
    let (code, out, _) = synod(folder, &["verify", "--json"]);
    let found = json(&out);
    assert_eq!((code, &found["whole"], &found["sessions"]), (1, &false.into(), &2.into()));
    let damage = &found["damaged"][0];
    assert_eq!((damage["session"].as_str(), &damage["seq"]), (Some(broken.as_str()), &2.into()));
    assert!(damage["journal"].as_str().is_some_and(|file| file.ends_with("0001.redb")) && damage["why"].is_string(), "{damage}");
    assert_eq!(found["damaged"].as_array().map(Vec::len), Some(1));
    assert_eq!(synod(folder, &["verify", &whole]).0, 0, "the other one is whole");
    assert_eq!(synod(folder, &["verify", &broken]).0, 1);
    assert_eq!(fs::read(bench.path(".synod/journals/0001.redb")).expect("a file"), before, "nothing is changed");
}

/// `SYNOD_KILLS` says how often (4 by default).
#[test]
fn killed_at_any_moment_a_removal_or_a_compaction_loses_nothing_that_stays() {
    let kills: u32 = std::env::var("SYNOD_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let full = bench();
    let parked = run(full.folder(), "asks.yaml", 0);
    let over: Vec<String> = (0..6).map(|n| run(full.folder(), "runs.yaml", n)).collect();
    let copy = || {
        let bench = bench();
        fs::create_dir_all(bench.path(".synod/journals")).expect("a folder can be made");
        for file in ["catalog.redb", "journals/0001.redb"] {
            fs::copy(full.path(".synod").join(file), bench.path(".synod").join(file)).expect("a file can be copied");
        }
        bench
    };
    let commands: [&[&str]; 2] = [&["gc", "--keep", "1"], &["compact"]];
    let lengths = commands.map(|args| {
        let bench = copy();
        let began = Instant::now();
        let ended = bench.spawn(args).wait().expect("it ends");
        assert!(ended.success(), "{args:?}");
        began.elapsed()
    });
    let mut hit = 0;
    for kill in 0..kills {
        let bench = copy();
        let which = kill as usize % commands.len();
        let mut child = bench.spawn(commands[which]);
        thread::sleep(lengths[which] * (2 * kill + 1) / (2 * kills));
        hit += usize::from(child.try_wait().expect("ours").is_none());
        child.kill().expect("a child can be killed");
        child.wait().expect("a killed child ends");
        let left = sessions(bench.folder());
        assert!(left.contains(&parked) && left.contains(&over[5]), "{kill}: {left:?}");
        let (code, out, said) = synod(bench.folder(), &["verify"]);
        assert_eq!(code, 0, "{kill}: {out}{said}");
        assert_eq!(synod(bench.folder(), &["gc", "--keep", "1"]).0, 0);
        assert_eq!(synod(bench.folder(), &["compact"]).0, 0);
        assert_eq!(sessions(bench.folder()), [over[5].clone(), parked.clone()]);
        let (code, _, said) = synod(bench.folder(), &["answer", &parked, "q0", "yes"]);
        assert_eq!(code, 0, "{kill}: {said}");
    }
    println!("{hit} of {kills} kills met a command that was not over");
    assert!(hit > 0, "all commands were over when they were killed: {lengths:?}");
}
