//! What must every tool do? [`suite`], run by the tests of each.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::Path,
    sync::Arc,
};

use super::{CallContext, RESULT_LIMIT, Registry, Roots, Stop, Tool};
use crate::value::{EffectClass, FailureKind, Value};

/// What the suite needs to know of a tool.
pub(crate) struct Suite<'a> {
    /// The tool.
    pub tool: Arc<dyn Tool>,
    /// The folder with the files that it works on.
    pub workspace: &'a Path,
    /// Arguments of a call that succeeds.
    pub good: Value,
    /// Arguments that do not fit, each with what the complaint must say.
    pub bad: Vec<(Value, &'a str)>,
    /// The argument that names a path, if there is one.
    pub path: Option<&'a str>,
}

/// The JSON text as a value.
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// Runs the tool by name on files below `workspace`.
pub(crate) fn call_in(tool: Arc<dyn Tool>, workspace: &Path, args: &Value) -> super::Outcome {
    call_on(tool, Roots::new(workspace).expect("the workspace exists"), Stop::default(), args)
}

/// Runs the tool by name on those roots, until `stop`.
pub(crate) fn call_on(tool: Arc<dyn Tool>, roots: Roots, stop: Stop, args: &Value) -> super::Outcome {
    let name = tool.spec().name.clone();
    let mut registry = Registry::default();
    registry.add(tool).expect("its schema is valid");
    let context = CallContext { stop, ..CallContext::on(Arc::new(roots)) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(registry.call(&name, &context, args))
}

/// A server that answers each request with what `answer` makes of its first line and its body.
pub(crate) fn serve(answer: impl Fn(&str, &str) -> String + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                    break;
                }
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a length");
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            let text = answer(&head, &String::from_utf8_lossy(&body));
            // A client that has read enough hangs up.
            let _ = stream.write_all(text.as_bytes());
        }
    });
    port
}

/// An answer of HTTP.
pub(crate) fn reply(status: &str, extra: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\n{extra}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// The demands on every tool.
pub(crate) fn suite(suite: &Suite<'_>) {
    its_spec_tells_a_model_what_to_give(suite);
    a_good_call_succeeds_within_the_limit(suite);
    bad_arguments_are_named(suite);
    a_stopped_call_fails_with_that_reason(suite);
    paths_do_not_lead_out(suite);
}

fn its_spec_tells_a_model_what_to_give(suite: &Suite<'_>) {
    let spec = suite.tool.spec();
    assert!(spec.description.len() > 20, "{} describes itself", spec.name);
    assert_eq!(spec.parameters.get("type"), Some(&Value::from("object")));
    assert_eq!(spec.parameters.get("additionalProperties"), Some(&Value::Bool(false)), "{} refuses unknown arguments", spec.name);
    let properties = spec.parameters.get("properties").and_then(Value::as_map).expect("it has arguments");
    for (name, property) in properties {
        assert!(property.get("description").is_some(), "{}.{name} has a description", spec.name);
    }
}

fn a_good_call_succeeds_within_the_limit(suite: &Suite<'_>) {
    let value = call_in(suite.tool.clone(), suite.workspace, &suite.good).expect("a good call succeeds");
    assert!(value.to_json().to_string().len() <= RESULT_LIMIT + RESULT_LIMIT / 4, "the result is bounded");
}

fn bad_arguments_are_named(suite: &Suite<'_>) {
    let all = suite.bad.iter().map(|(args, expected)| (args.clone(), *expected));
    let common = [(json(r#"{"zzzzqqqq": 1}"#), "`zzzzqqqq` is not an argument"), (Value::text("x"), "must be an object")];
    for (args, expected) in all.chain(common) {
        let failure = call_in(suite.tool.clone(), suite.workspace, &args).expect_err("arguments that do not fit are refused");
        assert!(failure.message.contains(expected), "{args}: {failure} should say {expected}");
        assert!(matches!(failure.kind, FailureKind::Schema | FailureKind::Tool), "{failure}");
    }
}

fn a_stopped_call_fails_with_that_reason(suite: &Suite<'_>) {
    let stop = Stop::default();
    stop.cancel();
    let roots = || Roots::new(suite.workspace).expect("the workspace exists");
    let failure = call_on(suite.tool.clone(), roots(), stop, &suite.good).expect_err("a cancelled call fails");
    assert_eq!(failure.kind, FailureKind::Cancelled);
    let late = Stop::new(Some(std::time::Instant::now()));
    let failure = call_on(suite.tool.clone(), roots(), late, &suite.good).expect_err("a late call fails");
    assert_eq!(failure.kind, FailureKind::Timeout);
}

fn paths_do_not_lead_out(suite: &Suite<'_>) {
    let Some(path) = suite.path else { return };
    let outside = tempfile::tempdir().expect("a folder");
    std::fs::write(outside.path().join("secret.log"), "secret").expect("a file");
    let link = suite.workspace.join("link-out");
    if !link.is_symlink() {
        std::os::unix::fs::symlink(outside.path(), &link).expect("a link");
    }
    let absolute = outside.path().join("secret.log").display().to_string();
    for bad in ["../", "../../etc/passwd", "a/../../x", "/etc/passwd", "/", absolute.as_str(), "link-out/secret.log", "a\0b"] {
        let mut args = suite.good.as_map().expect("arguments").clone();
        args.insert(path.to_owned(), Value::from(bad));
        let failure =
            call_in(suite.tool.clone(), suite.workspace, &Value::map(args)).expect_err("a path that leads out is refused");
        assert_eq!(failure.kind, FailureKind::Denied, "{bad}: {failure}");
        assert!(!failure.message.contains("secret\n"), "{failure}");
    }
    std::fs::remove_file(&link).expect("the link goes");
    if suite.tool.effect(&suite.good) == EffectClass::Read {
        let before = std::fs::read_dir(suite.workspace).expect("the workspace").count();
        call_in(suite.tool.clone(), suite.workspace, &suite.good).expect("a good call succeeds");
        assert_eq!(std::fs::read_dir(suite.workspace).expect("the workspace").count(), before, "a read leaves nothing behind");
    }
}
