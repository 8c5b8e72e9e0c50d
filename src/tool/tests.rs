//! Tests of what all tools share: the registry, the roots, stopping.

use std::{
    path::Path,
    sync::{Arc, mpsc},
};

use super::{
    suite::{call_in, json},
    *,
};

/// A tool that works until it is told to stop and then says so.
struct Endless(ToolSpec, mpsc::Sender<FailureKind>);

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoArgs {}

impl BlockingTool for Endless {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn run(&self, call: &CallContext, _: &Value) -> Outcome {
        call.progress.say("under way");
        loop {
            if let Err(failure) = call.stop.check() {
                self.1.send(failure.kind).expect("the test listens");
                return Err(failure);
            }
            std::thread::yield_now();
        }
    }
}

/// A tool with a bug.
struct Panics(ToolSpec);

impl BlockingTool for Panics {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn run(&self, _: &CallContext, _: &Value) -> Outcome {
        panic!("a bug")
    }
}

fn no_args(name: &str) -> ToolSpec {
    spec::<NoArgs>(name, EffectClass::Read, "a tool of the tests")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

fn context(folder: &Path) -> CallContext {
    CallContext::on(Arc::new(Roots::new(folder).expect("a root")))
}

#[test]
fn a_call_that_is_dropped_stops_its_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ended, listen) = mpsc::channel();
    let (started, under_way) = mpsc::channel();
    let tool = Blocking::new(Endless(no_args("Endless"), ended));
    let call =
        CallContext { progress: Progress::to(move |_| started.send(()).expect("the test listens")), ..context(folder.path()) };
    runtime().block_on(async {
        let args = json("{}");
        let mut work = tool.call(&call, &args);
        let first = std::future::poll_fn(|cx| std::task::Poll::Ready(work.as_mut().poll(cx))).await;
        assert!(first.is_pending());
        under_way.recv().expect("it starts");
        drop(work);
        assert_eq!(listen.recv(), Ok(FailureKind::Cancelled));
    });
    assert!(!call.stop.is_stopped(), "the stop of the caller is its own");
}

#[test]
fn a_call_is_stopped_by_its_caller_and_by_its_deadline() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ended, _listen) = mpsc::channel();
    let tool = Blocking::new(Endless(no_args("Endless"), ended));
    let cancelled = Stop::default();
    let canceller = cancelled.clone();
    let call = CallContext { progress: Progress::to(move |_| canceller.cancel()), stop: cancelled, ..context(folder.path()) };
    let failure = runtime().block_on(tool.call(&call, &json("{}"))).expect_err("it was cancelled");
    assert_eq!(failure.kind, FailureKind::Cancelled);
    let soon = std::time::Instant::now() + std::time::Duration::from_millis(20);
    let call = CallContext { stop: Stop::new(Some(soon)), ..context(folder.path()) };
    let failure = runtime().block_on(tool.call(&call, &json("{}"))).expect_err("its time ran out");
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert_eq!(runtime().block_on(call.stop.stopped()).kind, FailureKind::Timeout);
}

/// Such a call was tried again, although nobody knew how far it had come.
#[test]
fn a_tool_with_a_bug_leaves_a_call_that_cannot_be_repeated_in_doubt() {
    let folder = tempfile::tempdir().expect("a folder");
    let spec = spec::<NoArgs>("Panics", EffectClass::Irreversible, "a tool of the tests");
    let failure = call_in(Arc::new(Blocking::new(Panics(spec))), folder.path(), &json("{}")).expect_err("it broke off");
    assert_eq!(failure.kind, FailureKind::InDoubt, "{failure}");
}

#[test]
fn a_tool_with_a_bug_fails_its_call_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let failure =
        call_in(Arc::new(Blocking::new(Panics(no_args("Panics")))), folder.path(), &json("{}")).expect_err("it broke off");
    assert!(failure.kind == FailureKind::Tool && failure.message.contains("a bug in the tool"), "{failure}");
}

#[test]
fn the_registry_has_the_built_in_tools_and_names_the_nearest() {
    let registry = builtin();
    for name in ["Bash", "Glob", "Grep", "Read", "Write", "search_logs", "sql_query"] {
        assert!(registry.get(name).is_some() && registry.spec(name).is_some_and(|spec| &*spec.name == name), "{name}");
    }
    for name in registry.names() {
        registry.check(name, &json(r#"{"no such thing": 1}"#)).expect_err("each schema names its arguments");
    }
    let failure = registry.check("read", &json("{}")).expect_err("names are case-sensitive");
    assert_eq!(failure.message.as_ref(), "there is no tool `read`; did you mean `Read`?");
    let failure = registry.check("qqq", &json("{}")).expect_err("there is none");
    assert!(failure.message.contains("there are Bash, Glob, Grep, Read"), "{failure}");
    assert_eq!(registry.effect("qqq", &json("{}")), EffectClass::Irreversible);
    assert_eq!(registry.effect("Write", &json(r#"{"append": true}"#)), EffectClass::Irreversible);
    let failure = registry.check("Read", &json(r#"{"path": 1, "ofset": 2}"#)).expect_err("both are wrong");
    assert!(
        failure.message.contains("`path` must be a string, not 1") && failure.message.contains("did you mean `offset`?"),
        "{failure}"
    );
}

#[test]
fn a_tool_is_added_once_and_with_a_schema() {
    let mut registry = Registry::default();
    registry.add(Arc::new(Blocking::new(Panics(no_args("X"))))).expect("a new name");
    let twice = registry.add(Arc::new(Blocking::new(Panics(no_args("X"))))).expect_err("the name is taken");
    assert_eq!(twice.to_string(), "add the tool `X`: another tool has that name");
    let broken = ToolSpec { parameters: json(r#"{"type": 3}"#), ..no_args("Y") };
    let error = registry.add(Arc::new(Blocking::new(Panics(broken)))).expect_err("3 is no type");
    assert!(error.to_string().starts_with("add the tool `Y`: its parameters are no JSON Schema"), "{error}");
}

#[test]
fn a_folder_swapped_for_a_link_while_it_is_searched_leads_nowhere() {
    // The root is opened once: a link put in the place of a folder below it afterwards must not lead out of it.
    let [folder, outside] = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    std::fs::write(outside.path().join("a.log"), "secret").expect("a file");
    std::fs::create_dir(folder.path().join("logs")).expect("a folder");
    std::fs::write(folder.path().join("logs/a.log"), "open").expect("a file");
    let roots = Roots::new(folder.path()).expect("a root");
    let found = roots.find("logs").expect("in reach").walk(false, &Stop::default()).expect("it is there").files.remove(0);
    std::fs::remove_dir_all(folder.path().join("logs")).expect("it goes");
    std::os::unix::fs::symlink(outside.path(), folder.path().join("logs")).expect("a link");
    assert_eq!(found.open().expect_err("it leads out").kind, FailureKind::Denied);
}

#[test]
fn a_link_that_stays_inside_is_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.log"), "x").expect("a file");
    std::os::unix::fs::symlink("a.log", folder.path().join("b.log")).expect("a link");
    let roots = Roots::new(folder.path()).expect("a root");
    assert!(roots.find("b.log").and_then(|found| found.open()).is_ok());
    assert!(roots.find("./x/../b.log").and_then(|found| found.open()).is_ok());
    let whole = folder.path().join("b.log");
    assert!(roots.find(&whole.display().to_string()).and_then(|found| found.open()).is_ok());
}

#[test]
fn a_root_that_is_missing_is_named() {
    let error = Roots::new(Path::new("/nowhere/at/all")).expect_err("it does not exist");
    assert_eq!(error.to_string(), "open /nowhere/at/all: there is nothing of that name");
}
