//! Is every task of a batch done once, and is its output complete, whatever happens to the program?
//!
//! The real binary runs a file of tasks. It is refused what is no task, told to stop, and killed with SIGKILL at moments drawn from a seed;
//! `SYNOD_BATCH` says how many tasks the batch has that is killed (300 by default).

mod common;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    process::{Command, Stdio},
    time::Instant,
};

use common::{Bench, PATIENCE, kill};
use serde_json::{Value as Json, json};
use synod::{
    event::{Event, Outcome},
    store::Store,
    value::SessionId,
};

/// Twice an even number; an odd one fails while there is no file `odd`.
const DOUBLE: &str = "
    name: Double
    description: Doubles a number.
    collaboration_pattern: graph
    inputs: { n: { type: integer }, words: { type: string, default: none } }
    nodes:
      check: { gate: 'if input.n % 2 == 1 { throw \"odd\" } else { input.n }' }
      double: { gate: 'check.output * 2', after: check }
    output: double.output
";

fn lines(bench: &Bench, name: &str) -> Vec<Json> {
    let text = fs::read_to_string(bench.path(name)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn keys(results: &[Json]) -> Vec<&str> {
    results.iter().map(|line| line["key"].as_str().unwrap()).collect()
}

/// Runs the batch of `tasks.jsonl` with more arguments.
fn batch(bench: &Bench, more: &[&str]) -> common::Said {
    bench.synod(&[&["batch", "team.yaml", "--tasks", "tasks.jsonl", "--out", "out.jsonl"], more].concat())
}

fn bench(team: &str, tasks: &str) -> Bench {
    let bench = Bench::new();
    bench.file("team.yaml", team).file("tasks.jsonl", tasks);
    bench
}

#[test]
fn a_line_for_each_task_says_what_came_of_it_and_the_summary_counts_them() {
    let tasks = "{\"key\": \"a\", \"inputs\": {\"n\": 2}}\n\n{\"key\": 7, \"task\": \"now\", \"inputs\": {\"n\": 4, \"words\": \"x\"}}\n{\"key\": \"c\", \"inputs\": {\"n\": 3}}";
    let bench = bench(DOUBLE, tasks);
    let said = batch(&bench, &["--json", "--ordered"]);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    let results = lines(&bench, "out.jsonl");
    assert_eq!(keys(&results), ["a", "7", "c"]);
    assert_eq!((&results[1]["output"], &results[1]["status"]), (&json!(8), &json!("completed")));
    assert!(results[1]["metrics"]["makespan_ms"].is_number() && results[1].get("error").is_none(), "{}", results[1]);
    assert!(results[2]["error"].as_str().is_some_and(|why| why.contains("odd")), "{}", results[2]);
    let summary = said.json();
    let count = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!(["tasks", "ran", "completed", "failed", "done_before"].map(count), [3, 3, 2, 1, 0]);
    assert_eq!((&summary["failures"][0]["key"], summary["failures"].as_array().unwrap().len()), (&json!("c"), 1));
    let shown = bench.synod(&["report", results[1]["session"].as_str().unwrap(), "--json"]).json();
    assert_eq!((&shown["task"], &shown["task_context"]["words"]), (&json!("now"), &json!("x")));
    let unsaid = bench.synod(&["report", results[0]["session"].as_str().unwrap(), "--json"]).json();
    assert_eq!(unsaid["task"], "Doubles a number.");

    let again = batch(&bench, &[]);
    assert_eq!(again.code, Some(1));
    for part in ["3 tasks, 2 completed, 1 failed; 3 were done before", "0 in ", "failed c (", "--retry-failed"] {
        assert!(again.stdout.contains(part), "{part} is not in {}", again.stdout);
    }
    assert_eq!(lines(&bench, "out.jsonl"), results, "nothing is done again");
    let retried = batch(&bench, &["--retry-failed", "--json"]).json();
    assert_eq!((&retried["ran"], &retried["done_before"]), (&json!(1), &json!(2)));
    let after = lines(&bench, "out.jsonl");
    assert_eq!(keys(&after), ["a", "7", "c"]);
    assert_ne!(after[2]["session"], results[2]["session"]);
}

#[test]
fn every_line_that_is_no_task_is_named_with_its_place_and_nothing_is_begun_after_the_first() {
    let tasks = [
        r#"{"key": "a", "inputs": {"n": 2}}"#,
        r#"{"key": "b", "inputs": {"m": 2}}"#,
        r#"{"key": "a", "inputs": {"n": 2}}"#,
        r#"{"task": "x"}"#,
        r#"{"key": "d", "inptus": {}}"#,
        r#"{"key": "e", "inputs": {"n": "two"}}"#,
        r#"{"key": "f""#,
        r#"{"key": "", "inputs": {"n": 2}}"#,
        r#"{"key": "g", "inputs": {"n": 2}}"#,
        r#"["h", "task", {"n": 2}]"#,
    ];
    let bench = bench(DOUBLE, &tasks.join("\n"));
    let said = batch(&bench, &[]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    for part in [
        "tasks.jsonl:2:25: the team has no input m; it takes n, words",
        "tasks.jsonl:3:2: the key a stands in line 1 already",
        "tasks.jsonl:4:13: missing field `key`",
        "tasks.jsonl:5:21: unknown field `inptus`",
        "tasks.jsonl:6:25: the input n takes an integer, not",
        "tasks.jsonl:7:11: EOF",
        "tasks.jsonl:8:2: a key has 1 to 512 bytes",
        "tasks.jsonl:10:1: it is no JSON object",
    ] {
        assert!(said.stderr.contains(part), "{part} is not in\n{}", said.stderr);
    }
    assert_eq!(keys(&lines(&bench, "out.jsonl")), ["a"]);
    let said = batch(&bench, &["--skip-invalid", "--json"]);
    assert_eq!((said.code, &said.json()["invalid"]), (Some(2), &json!(8)));
    assert_eq!(keys(&lines(&bench, "out.jsonl")), ["a", "g"]);
}

#[test]
fn tasks_come_from_a_table_and_from_stdin_too() {
    let bench = bench(DOUBLE, "");
    bench.file("tasks.csv", "key,inputs.n,task,inputs.words\na,2,,\nb,4,\"do, it\",x\n");
    let run = |more: &[&str]| bench.synod(&[&["batch", "team.yaml", "--out", "out.jsonl", "--ordered"], more].concat());
    assert_eq!(run(&["--tasks", "tasks.csv"]).code, Some(0));
    let results = lines(&bench, "out.jsonl");
    assert_eq!((keys(&results), &results[1]["output"]), (vec!["a", "b"], &json!(8)));
    let shown = bench.synod(&["report", results[1]["session"].as_str().unwrap(), "--json"]).json();
    assert_eq!((&shown["task"], &shown["task_context"]["words"]), (&json!("do, it"), &json!("x")));
    for (table, part) in [
        ("key,inputs.m\na,1\n", "tasks.csv:1:2: there is no column `inputs.m`; did you mean `inputs.n`?"),
        ("inputs.n\n1\n", "tasks.csv:1:1: the column `key` is missing"),
        ("key,inputs.n\nx,1,2\n", "tasks.csv:2:1: the row has 3 cells, and the head 2"),
        ("key,inputs.n\nx,two\n", "tasks.csv:2:2: n takes JSON here"),
        ("key,inputs.n,task\nx,1,ok\ny,2,\"do\nz,3,it\n", "tasks.csv:3:1: a cell begins with a quote here that is never closed"),
        ("key,inputs.n,inputs.n\nx,1,2\n", "tasks.csv:1:3: the column `inputs.n` stands there twice"),
    ] {
        bench.file("tasks.csv", table);
        let said = run(&["--tasks", "tasks.csv"]);
        assert!(said.code == Some(2) && said.stderr.contains(part), "{part} is not in {:?} {}", said.code, said.stderr);
    }
    let nameless = run(&["--tasks", "-"]);
    assert!(nameless.code == Some(2) && nameless.stderr.contains("--batch NAME"), "{}", nameless.stderr);
    let mut piped = Command::new(env!("CARGO_BIN_EXE_synod"));
    piped.args(["batch", "team.yaml", "--out", "piped.jsonl", "--tasks", "-", "--batch", "p", "--input", "n=6"]);
    let mut child = piped.current_dir(bench.folder()).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"{\"key\": \"a\"}\n{\"key\": \"b\", \"inputs\": {\"n\": 8}}\n").unwrap();
    assert!(child.wait().unwrap().success());
    let mut outputs: Vec<_> = lines(&bench, "piped.jsonl").iter().map(|line| line["output"].clone()).collect();
    outputs.sort_by_key(Json::as_i64);
    assert_eq!(outputs, [json!(12), json!(16)]);
}

#[test]
fn what_stands_in_the_output_decides_what_is_left_to_do_and_a_file_of_something_else_is_left_alone() {
    let task = |n: u32| format!("{{\"key\": \"k{n}\", \"inputs\": {{\"n\": {}}}}}\n", n * 2);
    let bench = bench(DOUBLE, &(0..20).map(task).collect::<String>());
    assert_eq!(batch(&bench, &["--ordered"]).code, Some(0));
    let whole = fs::read_to_string(bench.path("out.jsonl")).unwrap();
    // Cut in the middle of a line, as a kill may; and emptied: the journals have every result.
    for length in [whole.len() - 30, whole.find('\n').unwrap() + 5, 0] {
        fs::write(bench.path("out.jsonl"), &whole[..length]).unwrap();
        assert_eq!(batch(&bench, &["--ordered"]).code, Some(0));
        assert_eq!(fs::read_to_string(bench.path("out.jsonl")).unwrap(), whole, "cut at {length}");
    }
    let first = whole.lines().next().unwrap();
    for (text, why) in
        [("not a result\n", "out.jsonl:1:2: it is no result"), (&*format!("{first}\n{first}\n"), "out.jsonl:2:1: the key k0")]
    {
        fs::write(bench.path("out.jsonl"), text).unwrap();
        let said = batch(&bench, &[]);
        assert!(said.code == Some(2) && said.stderr.contains(why), "{}", said.stderr);
        assert_eq!(fs::read_to_string(bench.path("out.jsonl")).unwrap(), text);
    }
    let locked = fs::File::create(bench.path("locked.jsonl")).unwrap();
    locked.lock().unwrap();
    let said = bench.synod(&["batch", "team.yaml", "--tasks", "tasks.jsonl", "--out", "locked.jsonl"]);
    assert!(said.code == Some(2) && said.stderr.contains("another batch writes it"), "{}", said.stderr);
}

#[test]
fn a_task_that_waits_for_a_person_is_parked_and_ends_when_the_batch_is_run_after_the_answer() {
    let team = "
        name: Ask
        collaboration_pattern: graph
        inputs: { n: { type: integer } }
        nodes:
          ok: { ask: 'Ship it?', options: ['yes', 'no'] }
        output: ok.output.answer
    ";
    for ordered in [&["--ordered"][..], &[]] {
        let task = |n: u32| format!("{{\"key\": \"k{n}\", \"inputs\": {{\"n\": {n}}}}}\n");
        let bench = bench(team, &(0..4).map(task).collect::<String>());
        assert_eq!(batch(&bench, ordered).code, Some(3));
        let parked = lines(&bench, "out.jsonl");
        assert_eq!(parked.len(), 4);
        let of = |key: &str| parked.iter().find(|line| line["key"] == key).unwrap()["session"].as_str().unwrap().to_owned();
        assert_eq!(bench.synod(&["answer", &of("k1"), "q0", "yes"]).code, Some(0));
        assert_eq!(batch(&bench, ordered).code, Some(3), "three wait still");
        let results = lines(&bench, "out.jsonl");
        let mut found: Vec<_> =
            results.iter().map(|line| (line["key"].as_str().unwrap(), line["status"].as_str().unwrap())).collect();
        if !ordered.is_empty() {
            assert!(found.is_sorted(), "{found:?}");
        }
        found.sort_unstable();
        assert_eq!(found, [("k0", "parked"), ("k1", "completed"), ("k2", "parked"), ("k3", "parked")]);
    }
}

#[test]
#[cfg(unix)]
fn an_interrupted_batch_exits_with_130_and_is_completed_when_it_is_run_again() {
    let team = "
        name: Wait
        collaboration_pattern: graph
        tools:
          wait: { description: Waits., command: [sh, wait.sh], effect: idempotent }
        nodes:
          wait: { tool: wait }
        output: '\"gone\"'
    ";
    let tasks: String = (0..9).map(|n| format!("{{\"key\": \"k{n}\"}}\n")).collect();
    let bench = bench(team, &tasks);
    bench.file("wait.sh", "echo . >> begun\nwhile [ ! -e go ]; do sleep 0.01; done\n");
    let args = ["batch", "team.yaml", "--tasks", "tasks.jsonl", "--out", "out.jsonl", "--concurrency", "3"];
    let mut child = bench.spawn(&args);
    let began = Instant::now();
    while fs::read_to_string(bench.path("begun")).unwrap_or_default().lines().count() < 3 {
        assert!(began.elapsed() < PATIENCE, "no task begins");
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(lines(&bench, "out.jsonl").len(), 0);
    bench.file("go", "");
    assert_eq!(bench.synod(&args).code, Some(0));
    assert_eq!(lines(&bench, "out.jsonl").len(), 9);
    let store = bench.disk();
    let sessions = store.list(&synod::store::Filter::of(&synod::value::Tenant::default(), usize::MAX)).unwrap();
    assert_eq!(sessions.len(), 9, "no task has two sessions");
}

#[test]
fn a_team_and_its_tasks_are_known_by_their_files_however_these_are_named() {
    let bench = bench(DOUBLE, "{\"key\": \"a\", \"inputs\": {\"n\": 2}}\n");
    let [team, tasks] = ["team.yaml", "tasks.jsonl"].map(|name| bench.path(name).to_str().unwrap().to_owned());
    for (nth, args) in
        [["team.yaml", "tasks.jsonl"], ["./team.yaml", "./tasks.jsonl"], [team.as_str(), tasks.as_str()]].iter().enumerate()
    {
        let said = bench.synod(&["batch", args[0], "--tasks", args[1], "--out", &format!("{nth}.jsonl"), "--json"]);
        assert_eq!((said.code, &said.json()["batch"]), (Some(0), &json!("tasks.jsonl")), "{}", said.stderr);
    }
    assert_eq!(fs::read(bench.path("0.jsonl")).unwrap(), fs::read(bench.path("1.jsonl")).unwrap());
    assert_eq!(fs::read(bench.path("0.jsonl")).unwrap(), fs::read(bench.path("2.jsonl")).unwrap());
    for day in ["mon", "tue"] {
        bench.file(&format!("{day}/tasks.jsonl"), &format!("{{\"key\": \"a\", \"inputs\": {{\"n\": {}}}}}\n", day.len() * 2));
        bench.file(&format!("{day}/team.yaml"), &DOUBLE.replace("* 2", if day == "mon" { "* 2" } else { "* 3" }));
        let [team, tasks, out] = ["team.yaml", "tasks.jsonl", "out.jsonl"].map(|name| format!("{day}/{name}"));
        assert_eq!(bench.synod(&["batch", &team, "--tasks", &tasks, "--out", &out]).code, Some(0));
    }
    assert_eq!(["mon", "tue"].map(|day| lines(&bench, &format!("{day}/out.jsonl"))[0]["output"].clone()), [json!(12), json!(18)]);
    bench.file("team.yaml", &DOUBLE.replace("* 2", "* 5"));
    let said = bench.synod(&["batch", "team.yaml", "--tasks", "tasks.jsonl", "--out", "new.jsonl", "--json"]);
    assert!(said.stderr.contains("other files of the team") && said.stderr.contains("team.yaml"), "{}", said.stderr);
    assert_eq!((&said.json()["changed"], &lines(&bench, "new.jsonl")[0]["changed"]), (&json!(1), &json!(["team.yaml"])));
}

#[test]
fn a_line_of_the_output_counts_for_its_own_team_batch_and_task_only() {
    let bench = bench(DOUBLE, "{\"key\": \"a\", \"inputs\": {\"n\": 2}}\n{\"key\": \"b\", \"inputs\": {\"n\": 4}}\n");
    bench.file("triple.yaml", &DOUBLE.replace("* 2", "* 3"));
    assert_eq!(batch(&bench, &[]).code, Some(0));
    let whole = fs::read(bench.path("out.jsonl")).unwrap();
    let triple = bench.synod(&["batch", "triple.yaml", "--tasks", "tasks.jsonl", "--out", "out.jsonl"]);
    for said in [triple, batch(&bench, &["--batch", "other"])] {
        assert!(said.code == Some(2) && said.stderr.contains("out.jsonl:1:1: session "), "{:?} {}", said.code, said.stderr);
        assert!(said.stderr.contains("another file with --out"), "{}", said.stderr);
    }
    bench.file("tasks.jsonl", "{\"key\": \"a\", \"inputs\": {\"n\": 2}}\n{\"key\": \"b\", \"inputs\": {\"n\": 6}}\n");
    let said = batch(&bench, &["--json"]);
    assert!(said.stderr.contains("run task b: its key has the result of a task with other words or inputs"), "{}", said.stderr);
    let summary = said.json();
    assert_eq!((said.code, &summary["done_before"], &summary["not_run"]), (Some(1), &json!(1), &json!(1)));
    assert_eq!(fs::read(bench.path("out.jsonl")).unwrap(), whole);
}

#[test]
#[cfg(target_os = "linux")]
fn what_comes_through_a_pipe_is_read_once_and_results_may_go_into_one() {
    let tasks: String = (0..50).map(|n| format!("{{\"key\": \"k{n}\", \"inputs\": {{\"n\": {}}}}}\n", n * 2)).collect();
    let bench = bench(DOUBLE, &tasks);
    let shell = |line: &str| {
        let mut shell = Command::new("sh");
        for name in ["SYNOD_STORE", "SYNOD_ORG", "SYNOD_USER", "SYNOD_LOG"] {
            shell.env_remove(name);
        }
        let line = line.replace("SYNOD", &format!("timeout 60 {}", env!("CARGO_BIN_EXE_synod")));
        let out = shell.args(["-c", &line]).current_dir(bench.folder()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (out.status.code(), text(out.stdout), text(out.stderr))
    };
    let (code, _, said) = shell("cat tasks.jsonl | SYNOD batch team.yaml --tasks /dev/stdin --out out.jsonl");
    assert!(code == Some(2) && said.contains("--batch NAME"), "{said}");
    let (code, _, said) = shell("cat tasks.jsonl | SYNOD batch team.yaml --tasks /dev/stdin --batch p --out out.jsonl");
    assert_eq!((code, lines(&bench, "out.jsonl").len()), (Some(0), 50), "{said}");
    let (code, out, said) = shell("SYNOD batch team.yaml --tasks tasks.jsonl --batch p --out /dev/stdout | cat");
    assert_eq!((code, out.lines().filter(|line| line.starts_with("{\"key\"")).count()), (Some(0), 50), "{said}");
    assert!(out.lines().count() == 50 && said.contains("50 tasks, 50 completed"), "{said}");
    let (code, _, said) =
        shell("mkfifo pipe; cat pipe > piped.jsonl & SYNOD batch team.yaml --tasks tasks.jsonl --batch p --out pipe; wait");
    assert_eq!((code, lines(&bench, "piped.jsonl").len()), (Some(0), 50), "{said}");
    let (code, _, said) = shell("SYNOD batch team.yaml --tasks tasks.jsonl --batch p --out /dev/full");
    assert!(code == Some(1) && said.contains("see to the disk"), "{code:?} {said}");
}

#[test]
fn a_file_of_something_else_keeps_what_is_in_it() {
    let task = "{\"key\": \"a\", \"inputs\": {\"n\": 2}}";
    let bench = bench(DOUBLE, "");
    fs::write(bench.path("tasks.jsonl"), task).unwrap();
    for text in ["one line", task, "{\"key\": \"a\"}", "{\"key\":\"a\",\"inputs\":{}}", "{\"key\":7"] {
        fs::write(bench.path("out.jsonl"), text).unwrap();
        let said = batch(&bench, &[]);
        assert!(said.code == Some(2) && said.stderr.contains("out.jsonl:1:"), "{:?} {}", said.code, said.stderr);
        assert_eq!(fs::read_to_string(bench.path("out.jsonl")).unwrap(), text);
    }
    let said = bench.synod(&["batch", "team.yaml", "--tasks", "tasks.jsonl", "--out", "./tasks.jsonl"]);
    assert!(said.code == Some(2) && said.stderr.contains("the same file"), "{}", said.stderr);
    assert_eq!(fs::read_to_string(bench.path("tasks.jsonl")).unwrap(), task);
    // A line that an editor took the end from is a result still.
    fs::remove_file(bench.path("out.jsonl")).unwrap();
    assert_eq!(batch(&bench, &[]).code, Some(0));
    let whole = fs::read_to_string(bench.path("out.jsonl")).unwrap();
    fs::write(bench.path("out.jsonl"), whole.trim_end()).unwrap();
    assert_eq!(batch(&bench, &["--json"]).json()["done_before"], 1);
    assert_eq!(fs::read_to_string(bench.path("out.jsonl")).unwrap(), whole);
}

#[test]
fn results_make_way_only_for_new_ones_of_tasks_that_are_right() {
    let task = |n: u32| format!("{{\"key\": \"k{n}\", \"inputs\": {{\"n\": {n}}}}}\n");
    let tasks: String = (0..6).map(task).collect();
    let more = ["--ordered", "--retry-failed", "--batch", "b"];
    let bench = bench(DOUBLE, &tasks);
    assert_eq!(batch(&bench, &more).code, Some(1));
    let whole = fs::read_to_string(bench.path("out.jsonl")).unwrap();
    // k1, k3 and k5 failed. Of a file without them nothing goes.
    bench.file("tasks.jsonl", &[task(0), task(2), task(8)].concat());
    let said = batch(&bench, &more);
    assert_eq!(said.code, Some(1), "the failures count: {}", said.stderr);
    let after = fs::read_to_string(bench.path("out.jsonl")).unwrap();
    assert!(after.starts_with(&whole) && after.lines().count() == 7, "{after}");
    bench.file("tasks.jsonl", &["no task\n", &tasks].concat());
    let said = batch(&bench, &more);
    assert!(
        said.code == Some(2) && said.stderr.contains("tasks.jsonl:1:1") && said.stderr.contains("left as it is"),
        "{}",
        said.stderr
    );
    assert_eq!(fs::read_to_string(bench.path("out.jsonl")).unwrap(), after);
    // With --skip-invalid they do, and what is not among the tasks stays.
    let said = batch(&bench, &[&more[..], &["--skip-invalid"]].concat());
    assert!(said.stderr.contains("5 results in out.jsonl make way"), "{}", said.stderr);
    assert_eq!(keys(&lines(&bench, "out.jsonl")), ["k0", "k8", "k1", "k2", "k3", "k4", "k5"]);
}

#[test]
#[cfg(unix)]
fn a_file_of_results_that_is_rewritten_stays_where_and_whose_it_is() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let bench = bench(DOUBLE, "{\"key\": \"a\", \"inputs\": {\"n\": 1}}\n");
    fs::create_dir(bench.path("far")).unwrap();
    symlink("far/results.jsonl", bench.path("out.jsonl")).unwrap();
    assert_eq!(batch(&bench, &[]).code, Some(1));
    let far = bench.path("far/results.jsonl");
    fs::set_permissions(&far, fs::Permissions::from_mode(0o640)).unwrap();
    let first = fs::read(&far).unwrap();
    assert_eq!(batch(&bench, &["--retry-failed"]).code, Some(1));
    assert!(bench.path("out.jsonl").is_symlink(), "the link stays");
    assert_ne!(fs::read(&far).unwrap(), first);
    assert_eq!((lines(&bench, "out.jsonl").len(), far.metadata().unwrap().permissions().mode() & 0o777), (1, 0o640));
}

#[test]
#[cfg(unix)]
fn an_ordered_output_has_nothing_behind_a_task_that_was_broken_off() {
    let team = "
        name: Wait
        collaboration_pattern: graph
        inputs: { n: { type: integer } }
        tools:
          wait:
            description: Waits.
            command: [sh, wait.sh, '{{ n }}']
            parameters: { n: { type: integer, description: which } }
            effect: idempotent
        nodes:
          wait: { tool: wait, args: { n: '{{ input.n }}' } }
        output: '\"gone\"'
    ";
    let tasks: String = (0..6).map(|n| format!("{{\"key\": \"k{n}\", \"inputs\": {{\"n\": {n}}}}}\n")).collect();
    let bench = bench(team, &tasks);
    bench.file("wait.sh", "[ $1 != 1 ] || while [ ! -e go ]; do sleep 0.01; done\n: > done$1\n");
    let args = ["batch", "team.yaml", "--tasks", "tasks.jsonl", "--out", "out.jsonl", "--ordered", "--concurrency", "3"];
    let mut child = bench.spawn(&args);
    let began = Instant::now();
    while ![0, 2, 3, 4, 5].iter().all(|n| bench.path(&format!("done{n}")).exists()) || lines(&bench, "out.jsonl").is_empty() {
        assert!(began.elapsed() < PATIENCE, "the others do not end");
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(keys(&lines(&bench, "out.jsonl")), ["k0"]);
    bench.file("go", "");
    assert_eq!(bench.synod(&args).code, Some(0));
    assert_eq!(keys(&lines(&bench, "out.jsonl")), (0..6).map(|n| format!("k{n}")).collect::<Vec<_>>());
}

#[test]
fn a_task_that_failed_and_then_completed_is_not_done_again_when_gc_has_taken_the_failure() {
    let team = "
        name: Flaky
        collaboration_pattern: graph
        tools:
          f: { description: Tries., command: [sh, f.sh], effect: idempotent }
        nodes:
          f: { tool: f }
        output: '\"fine\"'
    ";
    let bench = bench(team, "{\"key\": \"a\"}\n");
    bench.file("f.sh", "echo . >> calls\ntest -e ok\n");
    assert_eq!(batch(&bench, &[]).code, Some(1));
    bench.file("ok", "");
    assert_eq!(batch(&bench, &["--retry-failed"]).code, Some(0));
    let result = fs::read(bench.path("out.jsonl")).unwrap();
    let calls = fs::read(bench.path("calls")).unwrap();
    assert!(bench.synod(&["gc", "--keep", "1"]).stdout.contains("1 session of 2 removed"));
    fs::remove_file(bench.path("out.jsonl")).unwrap();
    assert_eq!(batch(&bench, &[]).code, Some(0));
    assert_eq!((fs::read(bench.path("out.jsonl")).unwrap(), fs::read(bench.path("calls")).unwrap()), (result, calls));
}

#[test]
fn a_file_of_tasks_that_cannot_be_read_ends_the_batch_and_a_line_as_long_as_may_be_is_read() {
    let bench = bench(DOUBLE, "");
    fs::create_dir(bench.path("folder")).unwrap();
    for more in [&[][..], &["--skip-invalid"]] {
        let said = bench.synod(&[&["batch", "team.yaml", "--tasks", "folder", "--out", "out.jsonl"][..], more].concat());
        assert!(said.code == Some(2) && said.stderr.contains("it is a folder"), "{}", said.stderr);
        if cfg!(target_os = "linux") {
            // It can be opened, and the first read fails.
            let args = ["batch", "team.yaml", "--tasks", "/proc/self/mem", "--out", "out.jsonl"];
            let said = bench.synod(&[&args[..], more].concat());
            assert!(said.code == Some(2) && said.stderr.contains("mem:1:1: it cannot be read on"), "{}", said.stderr);
            assert_eq!(said.stderr.matches("cannot be read on").count(), 1);
        }
    }
    for (length, completed) in [(16 << 20, 2), ((16 << 20) + 1, 1)] {
        let mut text = format!("{{\"key\": \"a{length}\", \"inputs\": {{\"n\": 2}}}}");
        text.push_str(&" ".repeat(length - text.len()));
        text.push_str(&format!("\n{{\"key\": \"b{length}\", \"inputs\": {{\"n\": 4}}}}\n"));
        bench.file("tasks.jsonl", "");
        fs::write(bench.path("tasks.jsonl"), text).unwrap();
        let out = format!("{length}.jsonl");
        let said = bench.synod(&["batch", "team.yaml", "--tasks", "tasks.jsonl", "--out", &out, "--skip-invalid"]);
        assert_eq!(
            (said.code, lines(&bench, &out).len()),
            (Some(if completed == 2 { 0 } else { 2 }), completed),
            "{}",
            said.stderr
        );
    }
}

/// Three nodes, of which the second leaves a mark outside.
const MARKS: &str = "
    name: Marks
    collaboration_pattern: graph
    inputs: { n: { type: integer } }
    tools:
      mark:
        description: Leaves a mark.
        command: [sh, mark.sh, '{{ n }}']
        parameters: { n: { type: integer, description: which } }
        effect: idempotent
    nodes:
      check: { gate: 'input.n + 1' }
      mark: { tool: mark, args: { n: '{{ input.n }}' }, after: check }
      done: { gate: 'input.n * 2', after: mark }
    output: done.output
";

#[test]
fn killed_three_times_a_batch_completes_its_output_without_duplicates_and_repeats_no_node_that_had_ended() {
    let tasks: usize = std::env::var("SYNOD_BATCH").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut drawn = |most: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % most.max(1)
    };
    for more in [&["--concurrency", "32"][..], &["--concurrency", "8", "--ordered"]] {
        let task = |n: usize| format!("{{\"key\": \"task {n}\", \"inputs\": {{\"n\": {n}}}}}\n");
        let bench = bench(MARKS, &(0..tasks).map(task).collect::<String>());
        bench.file("mark.sh", "echo \"$1\" >> marks.log\n");
        let args = [&["batch", "team.yaml", "--tasks", "tasks.jsonl", "--out", "out.jsonl"][..], more].concat();
        let written = || fs::read(bench.path("out.jsonl")).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count();
        for nth in 1..=3 {
            let mut child = bench.spawn(&args);
            let (began, until) = (Instant::now(), written() + drawn(tasks / 4));
            while written() < until && child.try_wait().unwrap().is_none() {
                assert!(began.elapsed() < PATIENCE, "the batch stands still");
            }
            kill(child);
            println!("kill {nth}: {} of {tasks} were written", written());
            assert!(written() < tasks, "the kill came after the end");
        }
        let said = bench.synod(&[&args[..], &["--json"]].concat());
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        let results = lines(&bench, "out.jsonl");
        let by_key: BTreeMap<&str, &Json> = keys(&results).into_iter().zip(&results).collect();
        assert_eq!((results.len(), by_key.len()), (tasks, tasks), "each key has one line");
        if more.contains(&"--ordered") {
            assert_eq!(keys(&results), (0..tasks).map(|n| format!("task {n}")).collect::<Vec<_>>());
        }
        let mut marks: BTreeMap<usize, usize> = BTreeMap::new();
        for line in fs::read_to_string(bench.path("marks.log")).unwrap().lines() {
            *marks.entry(line.parse().unwrap()).or_default() += 1;
        }
        let store = bench.disk();
        let mut repeated = 0;
        for n in 0..tasks {
            let result = by_key[&*format!("task {n}")];
            assert_eq!((&result["status"], &result["output"]), (&json!("completed"), &json!(n * 2)));
            let session = SessionId(result["session"].as_str().unwrap().parse().unwrap());
            // Each resumption before the mark was on the record may have repeated it, under the same key; none after it.
            let records = store.read_all(session).unwrap();
            let is_marked =
                |event: &Event| matches!(event, Event::NodeEnded { node, outcome: Outcome::Ok(_) } if node.index() == 1);
            let before = records.iter().take_while(|record| !is_marked(&record.event));
            let resumed = before.filter(|record| matches!(record.event, Event::Resumed { .. })).count();
            assert!((1..=1 + resumed).contains(&marks[&n]), "task {n} left {} marks and was resumed {resumed} times", marks[&n]);
            repeated += marks[&n] - 1;
        }
        let sessions = store.list(&synod::store::Filter::of(&synod::value::Tenant::default(), usize::MAX)).unwrap().len();
        assert_eq!(sessions, tasks, "no task has two sessions");
        println!("{tasks} tasks, {repeated} marks in flight at a kill were repeated");
        let again = bench.synod(&[&args[..], &["--json"]].concat()).json();
        assert_eq!((&again["ran"], &again["done_before"]), (&json!(0), &json!(tasks)));
    }
}
