//! Do journals of every version still say what they said, and go on where they parked?
//!
//! `tests/fixtures/journals` has an exported session of each [`EVENT_VERSION`], parked and completed: 1, 3 and 4 as the programs of their time
//! wrote them, 2 as 3 with the exchanges of `ask_agent` in the metadata, where 2 had them; of 4 a fork and a session that took results
//! over as well; a session (of 2, and the same in any) that is parked before somebody asks a colleague; and a store as version 1 left it.
//! `SYNOD_UPDATE=1` writes the reports anew, which is right only when a report tells more than before.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use common::Bench;
use synod::{
    engine::Engine,
    event::{Cassette, EVENT_VERSION, Event, Record, Status},
    report::{About, Diff, Difference, Report},
    store::{Filter, RedbStore, Store, verify},
    value::{AskId, Tenant, Value},
};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journals").join(name)
}

/// The journals that there are of a version.
fn kinds(version: u32) -> &'static [&'static str] {
    if version < 4 { &["parked", "completed"] } else { &["parked", "completed", "forked", "reused"] }
}

/// The journal of a version, one of its [`kinds`].
fn journal(version: u32, kind: &str) -> Vec<Record> {
    let path = fixture(&format!("{kind}-v{version}.cassette"));
    let text = fs::read_to_string(&path).unwrap_or_else(|e| {
        panic!("{}: {e}; export a session of each version before it changes, and keep it there", path.display())
    });
    let Cassette { records, changed } = Cassette::read(&text).unwrap();
    assert_eq!(changed, Vec::<String>::new());
    let Event::Started(started) = &records[0].event else { panic!("{kind}-v{version} begins with {:?}", records[0].event) };
    assert_eq!(started.version, version);
    records
}

/// A report without the id of its session and without times.
fn lasting(report: &Report) -> serde_json::Value {
    let mut report = serde_json::to_value(report).unwrap();
    let object = report.as_object_mut().unwrap();
    for key in ["session", "metrics", "started_at", "completed_at", "duration_ms", "contributions"] {
        object.remove(key);
    }
    report
}

#[test]
fn a_journal_of_any_version_reports_what_it_did() {
    for version in 1..=EVENT_VERSION {
        for kind in kinds(version) {
            let report = Report::of(&journal(version, kind)).unwrap_or_else(|e| panic!("{kind}-v{version}: {e}"));
            let report = format!("{}\n", serde_json::to_string_pretty(&report).unwrap());
            let path = fixture(&format!("{kind}-v{version}.report.json"));
            if std::env::var_os("SYNOD_UPDATE").is_some() {
                fs::write(&path, &report).unwrap();
            }
            assert_eq!(report, fs::read_to_string(&path).unwrap(), "{}", path.display());
        }
    }
}

#[test]
fn a_parked_session_of_any_version_goes_on_to_the_end_that_it_had() {
    for version in 1..=EVENT_VERSION {
        let bench = Bench::on_disk();
        let session = bench.engine().import(&journal(version, "parked")).unwrap();
        let report = bench.block_on(async {
            let handle = bench.engine().answer(session, AskId(0), Value::text("yes"), "default").await.unwrap();
            handle.expect("nobody has it").wait().await.unwrap()
        });
        assert_eq!(report.status, Status::Completed);
        let then = Report::of(&journal(version, "completed")).unwrap();
        assert_eq!(lasting(&report.report), lasting(&then), "version {version}");
    }
}

#[test]
fn a_journal_of_any_version_is_replayed_to_the_same() {
    for version in 1..=EVENT_VERSION {
        for kind in kinds(version) {
            let replayed = Engine::builder().build().replay(&journal(version, kind)).unwrap();
            assert_eq!(replayed.status, if *kind == "parked" { Status::Parked } else { Status::Completed });
            let difference = replayed.difference.map(|difference| difference.to_string());
            if version < 3 {
                // Where words come from was not said with them then, and is now.
                assert!(difference.as_ref().is_some_and(|d| d.contains("/origins: recorded nothing")), "{difference:?}");
            } else {
                assert_eq!(difference, None, "{kind}-v{version}");
            }
        }
    }
}

#[test]
fn whoever_is_asked_in_a_session_of_any_version_that_goes_on_has_the_question() {
    let text = fs::read_to_string(fixture("asks-v2.cassette")).unwrap();
    let parked = Cassette::read(&text).unwrap().records;
    for version in 1..=EVENT_VERSION {
        let mut parked = parked.clone();
        let Event::Started(started) = &mut parked[0].event else { panic!("it begins with {:?}", parked[0].event) };
        Arc::make_mut(started).version = version;
        let bench = Bench::on_disk();
        let session = bench.engine().import(&parked).unwrap();
        // Where somebody else asks: `Bench::answer` replays it, and nothing may differ.
        let ran = bench.answer(session, 0, "yes").unwrap();
        assert!(ran.completed().to_string().contains("mail: 1"), "version {version}: {}", ran.output());
    }
}

#[test]
fn requests_of_versions_that_made_their_digests_otherwise_are_not_compared() {
    for version in 1..4 {
        let (old, new) = (journal(version, "completed"), journal(4, "completed"));
        for (a, b) in [(&old, &new), (&new, &old)] {
            let diff = Diff::of(a, b).unwrap();
            let requests: Vec<_> = diff.differences.iter().filter(|d| d.about == About::Request).collect();
            assert_eq!(requests, Vec::<&Difference>::new(), "version {version}");
        }
        let bench = Bench::on_disk();
        let earlier = bench.engine().import(&old).unwrap();
        let Event::Started(started) = &old[0].event else { panic!("it begins with {:?}", old[0].event) };
        for (name, text) in &started.sources {
            bench.file(name, text);
        }
        let team = bench.load(&started.sources["team.yaml"]);
        let report = bench.block_on(async {
            let handle = bench.engine().start_reusing(&team, "team.yaml", (*started.inputs).clone(), earlier).await.unwrap();
            handle.wait().await.unwrap().report
        });
        let rows = &report.reuse.as_ref().unwrap().nodes;
        let look = rows.iter().find(|row| &*row.node == "look").unwrap();
        let why = look.why.as_deref().unwrap_or_default();
        assert!(look.taken == "nothing" && why.contains("an earlier version ran that session"), "version {version}: {why}");
    }
}

#[test]
fn a_store_of_the_first_version_is_opened_and_its_session_goes_on() {
    let bench = Bench::new();
    let folder = bench.path(".synod");
    fs::create_dir_all(folder.join("journals")).unwrap();
    for file in ["catalog.redb", "journals/0001.redb"] {
        fs::copy(fixture("store-v1").join(file), folder.join(file)).unwrap();
    }
    let store = Arc::new(RedbStore::open(&folder).unwrap());
    let rows = store.list(&Filter::of(&Tenant::default(), 9)).unwrap();
    assert_eq!(rows.iter().map(|row| row.status).collect::<Vec<_>>(), [Status::Parked]);
    let engine = bench.engine_on(store.clone());
    let ended = bench.block_on(async {
        let handle = engine.answer(rows[0].session, AskId(0), Value::text("no"), "ann").await.unwrap();
        handle.expect("nobody has it").wait().await.unwrap()
    });
    assert_eq!(ended.status, Status::Completed);
    assert_eq!(ended.report.output, Value::map([("shipped", Value::Bool(false))]));
    drop((engine, store));
    assert!(verify(&folder, None, &mut |_, _| ()).unwrap().is_whole());
}
