//! Does the `http` tool ask only what it may, and say what came of it?

use std::{net::TcpListener, path::Path};

use super::{guard::covers, *};
use crate::tool::suite::{Suite, call_in, json, reply, serve, suite};

fn http(hosts: &[&str], private: &[&str]) -> Arc<dyn Tool> {
    let list = |hosts: &[&str]| hosts.iter().map(|host| Arc::from(*host)).collect();
    Arc::new(Http::new(HttpSpec { hosts: list(hosts), private_hosts: list(private) }))
}

fn ask(tool: Arc<dyn Tool>, args: &str) -> Outcome {
    call_in(tool, Path::new("/"), &json(args))
}

#[test]
fn it_does_what_every_tool_must() {
    let port = serve(|_, _| reply("200 OK", "", "hello"));
    let folder = tempfile::tempdir().expect("a folder");
    suite(&Suite {
        tool: http(&[], &[&format!("127.0.0.1:{port}")]),
        workspace: folder.path(),
        good: json(&format!(r#"{{"url": "http://127.0.0.1:{port}/"}}"#)),
        bad: vec![
            (json("{}"), "`url` is missing"),
            (json(r#"{"url": "x", "method": "PUT"}"#), "`method` must be one of"),
            (json(r#"{"url": "no address"}"#), "is no address"),
            (json(r#"{"url": "http://x", "body": "y"}"#), "a GET has no body"),
        ],
        path: None,
    });
}

#[test]
fn json_comes_as_a_value_and_a_post_sends_one() {
    let port = serve(|head, body| {
        assert!(head.starts_with("POST /x HTTP/1.1") && head.to_lowercase().contains("x-a: b"), "{head}");
        reply("200 OK", "Content-Type: application/json\r\n", &format!(r#"{{"got": {body}}}"#))
    });
    let args =
        format!(r#"{{"url": "http://127.0.0.1:{port}/x", "method": "POST", "body": {{"a": [1]}}, "headers": {{"X-A": "b"}}}}"#);
    let found = ask(http(&[], &["127.0.0.1:*", &format!("127.0.0.1:{port}")]), &args).expect("it answers");
    assert_eq!(found.get("body"), Some(&json(r#"{"got": {"a": [1]}}"#)));
    assert_eq!(found.get("status"), Some(&Value::Int(200)));
}

#[test]
fn a_host_that_is_not_listed_is_refused_and_so_is_a_private_address() {
    for (hosts, url, expected) in [
        (&["example.com"][..], "http://example.org/", "not among the hosts"),
        (&["example.com"], "http://example.com:8080/", "not among the hosts"),
        (&["127.0.0.1"], "http://127.0.0.1/", "a private address"),
        (&["localhost"], "http://localhost/", "a private address"),
        (&["[::1]"], "http://[::1]/", "a private address"),
        (&["127.0.0.1"], "http://0x7f.1/", "a private address"),
        (&["127.0.0.1"], "http://2130706433/", "a private address"),
        (&["[::ffff:169.254.169.254]"], "http://[::ffff:169.254.169.254]/", "a private address"),
        (&["169.254.169.254"], "http://169.254.169.254/latest", "a private address"),
        (&["*"], "http://example.com/", "not among the hosts"),
        (&["example.com"], "http://example.com@127.0.0.1/", "name or password"),
        (&["example.com"], "file:///etc/passwd", "neither http nor https"),
    ] {
        let failure = ask(http(hosts, &[]), &format!(r#"{{"url": "{url}"}}"#)).expect_err(url);
        assert_eq!(failure.kind, FailureKind::Denied, "{url}: {failure}");
        assert!(failure.message.contains(expected), "{url}: {failure}");
    }
}

#[test]
fn a_redirect_is_checked_like_any_address() {
    let end = serve(|_, _| reply("200 OK", "", "the end"));
    let port = serve(move |head, _| {
        let to = match head.split(' ').nth(1).unwrap_or_default() {
            "/out" => "http://169.254.169.254/".to_owned(),
            "/end" => format!("http://127.0.0.1:{end}/"),
            _ => "/loop".to_owned(),
        };
        reply("302 Found", &format!("Location: {to}\r\n"), "")
    });
    let tool = || http(&["169.254.169.254"], &[&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{end}")]);
    let at = |path: &str| format!(r#"{{"url": "http://127.0.0.1:{port}{path}"}}"#);
    assert_eq!(ask(tool(), &at("/end")).expect("it arrives").get("body"), Some(&Value::text("the end")));
    assert_eq!(ask(tool(), &at("/out")).expect_err("it is refused").kind, FailureKind::Denied);
    assert_eq!(ask(tool(), &at("/loop")).expect_err("it never ends").kind, FailureKind::Limit);
}

#[test]
fn an_error_shows_what_the_server_said_and_a_flood_is_cut() {
    let port = serve(|head, _| match head.split(' ').nth(1).unwrap_or_default() {
        "/busy" => reply("429 Too Many Requests", "", "later"),
        "/bad" => reply("400 Bad Request", "", "wrong query"),
        _ => reply("200 OK", "", &"x".repeat(2 * LONGEST)),
    });
    let tool = || http(&[], &[&format!("127.0.0.1:{port}")]);
    let at = |path: &str| format!(r#"{{"url": "http://127.0.0.1:{port}{path}"}}"#);
    let failure = ask(tool(), &at("/bad")).expect_err("400");
    assert_eq!((failure.kind, failure.status), (FailureKind::Tool, Some(400)));
    assert!(failure.message.contains("wrong query"), "{failure}");
    assert_eq!(ask(tool(), &at("/busy")).expect_err("429").kind, FailureKind::RateLimit);
    let found = ask(tool(), &at("/")).expect("it answers");
    assert!(found.get("truncated").is_some() && found.get("bytes") == Some(&count(LONGEST as u64)));
}

#[test]
fn a_server_that_is_not_there_was_asked_nothing() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let args = format!(r#"{{"url": "http://127.0.0.1:{port}/", "method": "POST"}}"#);
    let failure = ask(http(&[], &[&format!("127.0.0.1:{port}")]), &args).expect_err("nobody listens");
    assert_eq!(failure.kind, FailureKind::Tool, "{failure}");
}

#[test]
fn patterns_cover_hosts_and_ports() {
    for (pattern, host, port, expected) in [
        ("example.com", "example.com", 443, true),
        ("Example.com", "example.com.", 80, true),
        ("example.com", "a.example.com", 443, false),
        ("*.example.com", "a.b.example.com", 443, true),
        ("*.example.com", "example.com", 443, false),
        ("*.example.com", "notexample.com", 443, false),
        ("example.com:9090", "example.com", 9090, true),
        ("example.com:9090", "example.com", 443, false),
        ("[::1]:80", "[::1]", 80, true),
        ("::1", "[::1]", 80, true),
        ("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", 80, true),
    ] {
        assert_eq!(covers(pattern, host, port), expected, "{pattern} on {host}:{port}");
    }
}
