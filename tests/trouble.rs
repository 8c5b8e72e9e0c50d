//! What if there is no room, no right to write, or the clock goes back? An error that says what to do, and a session that goes on once the
//! cause is gone.

mod common;

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use common::{Bench, json, synod};
use synod::{
    engine::{Clock, SystemClock},
    event::Status,
    value::{AskId, Map, Timestamp, Value},
};

/// A chain whose nodes say 60 KB each, all different. The calls between them make records of their own of each.
fn long_team(nodes: usize) -> String {
    let node = |n: usize| {
        let after = if n > 0 { format!(", after: t{}", n - 1) } else { String::new() };
        format!(
            "  n{n}: {{ gate: 'let t = \"{n} 4567890\"; for i in 0..13 {{ t += t; }} t.sub_string(0, 60000)'{after} }}\n  \
             t{n}: {{ tool: Glob, args: {{ pattern: none }}, after: n{n} }}\n"
        )
    };
    let nodes_text: String = (0..nodes).map(node).collect();
    format!("name: Long\ncollaboration_pattern: graph\nnodes:\n{nodes_text}output: n{}.output.len()\n", nodes - 1)
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    fs::write(folder.path().join("long.yaml"), long_team(40)).expect("a file can be written");
    folder
}

/// The only session of a store, which was interrupted.
#[track_caller]
fn interrupted(folder: &Path, store: &str) -> String {
    let (code, out, said) = synod(folder, &["sessions", "--store", store, "--json"]);
    let rows = json(&out);
    assert_eq!((code, rows.as_array().map(Vec::len)), (0, Some(1)), "{out}{said}");
    assert_eq!(rows[0]["interrupted"], true, "{out}");
    rows[0]["session"].as_str().expect("a session has an id").to_owned()
}

#[test]
fn a_run_that_finds_no_room_says_so_and_goes_on_when_there_is_some() {
    let folder = folder();
    let script = "trap '' XFSZ; ulimit -f 2000; exec \"$0\" run long.yaml --json";
    let out = Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_synod")]).current_dir(folder.path()).output();
    let out = out.expect("a shell starts");
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(130), "{said}");
    assert!(said.contains("0001.redb") && said.contains("File too large") && said.contains("disk"), "{said}");
    let session = interrupted(folder.path(), ".synod");
    let (code, out, said) = synod(folder.path(), &["resume", &session, "--json"]);
    assert_eq!((code, &json(&out)["output"]), (0, &60_000.into()), "{said}");
}

/// The same on a real disk without room; only who may mount one can try it.
#[test]
fn a_full_disk_is_named_and_a_session_on_it_goes_on_when_there_is_room() {
    let folder = folder();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).expect("a folder can be made");
    let mount = |options: &str| {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&disk).output();
        mount.is_ok_and(|mount| mount.status.success())
    };
    if !mount("size=1500k") {
        println!("no disk can be mounted here: not tried");
        return;
    }
    let (code, _, said) = synod(folder.path(), &["run", "long.yaml", "--store", "disk/s", "--json"]);
    let full = code == 130 && said.contains("No space left on device") && said.contains("make room on its disk and resume");
    let more = mount("remount,size=64m");
    let after = full.then(|| {
        let session = interrupted(folder.path(), "disk/s");
        synod(folder.path(), &["resume", &session, "--store", "disk/s", "--json"])
    });
    let read_only = mount("remount,ro");
    let (refused, _, why) = synod(folder.path(), &["run", "long.yaml", "--store", "disk/s", "--json"]);
    let (listed, _, _) = synod(folder.path(), &["sessions", "--store", "disk/s", "--json"]);
    Command::new("umount").arg(&disk).status().expect("it is there");
    assert!(full, "{code}: {said}");
    let (code, out, said) = after.expect("it was full");
    assert!(more && code == 0, "{said}");
    assert_eq!(json(&out)["output"], 60_000);
    assert!(!read_only || (refused != 0 && why.contains("Read-only file system") && why.contains("with --store")), "{why}");
    assert_eq!(listed, 0, "reading goes on");
}

#[test]
fn who_may_not_write_is_told_where() {
    let folder = folder();
    let store = folder.path().join("theirs");
    fs::create_dir(&store).expect("a folder can be made");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    fs::set_permissions(&store, fs::Permissions::from_mode(0o555)).expect("it is ours");
    let run = || {
        let mut run = Command::new(env!("CARGO_BIN_EXE_synod"));
        run.current_dir(folder.path()).args(["run", "long.yaml", "--json", "--store", "theirs/s"]);
        if fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
            // The one user whom no permissions stop becomes another.
            run.uid(65_534);
        }
        run
    };
    let Ok(out) = run().output() else {
        println!("the program cannot be started as another user here: not tried");
        return;
    };
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("theirs/s") && said.contains("Permission denied") && said.contains("--store"), "{said}");
    fs::set_permissions(&store, fs::Permissions::from_mode(0o777)).expect("it is ours");
    let out = run().output().expect("it started before");
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
}

/// A clock that somebody sets.
#[derive(Default)]
struct Set(AtomicI64);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0 + self.0.load(Ordering::Relaxed))
    }
}

#[test]
fn a_clock_that_goes_back_changes_nothing_but_the_time() {
    let bench = Bench::on_disk();
    let clock = Arc::new(Set::default());
    bench.file(
        "asks.yaml",
        r#"
        name: Asks
        collaboration_pattern: graph
        nodes:
          a: { gate: '1' }
          decide: { ask: "Go?", options: ["yes"], deadline: 2h, after: a }
          b: { gate: '2', after: decide }
        output: b.output
        "#,
    );
    let engine = || {
        let builder = synod::engine::Engine::builder().workspace(bench.folder()).store(bench.store().clone());
        builder.clock(clock.clone()).build()
    };
    let records = bench.block_on(async {
        let team = engine().load("asks.yaml", &Default::default()).unwrap();
        let handle = engine().start(&team, "the task", Map::new()).await.unwrap();
        let session = handle.session();
        assert_eq!(handle.wait().await.unwrap().status, Status::Parked);
        // Three days back; what is due is not.
        clock.0.store(-3 * 86_400 * 1_000_000, Ordering::Relaxed);
        let handle = engine().resume(session).await.unwrap();
        assert_eq!(handle.wait().await.unwrap().status, Status::Parked);
        let handle = engine().answer(session, AskId(0), Value::text("yes"), "ann").await.unwrap();
        let ended = handle.expect("nobody has it").wait().await.unwrap();
        assert_eq!((ended.status, ended.report.output.as_int()), (Status::Completed, Some(2)));
        bench.store().read_all(session).unwrap()
    });
    assert!(records.windows(2).all(|pair| pair[0].at <= pair[1].at), "the time of a session never goes back");
}
