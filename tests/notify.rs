//! Does whoever is asked hear of it? By a real command and over real HTTP, signed, again after a kill, and without harm where it fails.

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use common::{json, synod};
use serde_json::{Value as Json, json};

const SECRET: &str = "a secret of the tests";
/// Nothing here takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request as it came.
#[derive(Clone, Debug)]
struct Heard {
    what: String,
    key: String,
    signature: Option<String>,
    text: String,
}

impl Heard {
    fn body(&self) -> Json {
        json(&self.text)
    }
}

/// A web server on loopback that answers one request after another with these statuses, the last for ever; 0 never answers.
struct Hook {
    address: String,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Hook {
    fn start(statuses: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = format!("http://{}/hook/key-of-the-hook", listener.local_addr().expect("it has an address"));
        let heard = Arc::<Mutex<Vec<Heard>>>::default();
        let log = heard.clone();
        thread::spawn(move || {
            let mut kept = Vec::new();
            for mut stream in listener.incoming().flatten() {
                let Some(request) = read(&stream) else { continue };
                let mut log = log.lock().expect("no thread panics with it");
                let status = statuses[log.len().min(statuses.len() - 1)];
                log.push(request);
                if status == 0 {
                    kept.push(stream);
                    continue;
                }
                let head =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nlocation: /elsewhere\r\nconnection: close\r\n\r\n");
                // Whoever was killed ends its connection.
                let _ = stream.write_all(head.as_bytes());
            }
        });
        Self { address, heard }
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("no thread panics with it").clone()
    }
}

fn read(stream: &std::net::TcpStream) -> Option<Heard> {
    let mut reader = BufReader::new(stream);
    let mut heard = Heard { what: String::new(), key: String::new(), signature: None, text: String::new() };
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line).ok()?;
    heard.what = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "idempotency-key" => heard.key = value.to_owned(),
            "synod-signature" => heard.signature = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    heard.text = String::from_utf8(body).ok()?;
    Some(heard)
}

/// A folder with a team that asks one person, told by `notify`.
fn folder(notify: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let team = format!(
        "name: Release\ncollaboration_pattern: graph\nnodes:\n  \
         decide: {{ ask: 'Ship it?', options: ['yes', 'no'], deadline: 2h, default: 'no', to: ann, notify: {notify:?} }}\n\
         output: decide.output.answer\n"
    );
    std::fs::write(folder.path().join("team.yaml"), team).expect("a file can be written");
    folder
}

fn run(folder: &Path, secret: Option<&str>) -> Json {
    let mut command = program(folder, &["run", "team.yaml", "--json"]);
    secret.map(|secret| command.env("SYNOD_NOTIFY_SECRET", secret));
    let out = command.output().expect("the binary starts");
    assert_eq!(out.status.code(), Some(3), "it waits for a person: {}", String::from_utf8_lossy(&out.stderr));
    json(&String::from_utf8_lossy(&out.stdout))
}

fn program(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
    for name in ["SYNOD_STORE", "SYNOD_ORG", "SYNOD_USER", "SYNOD_LOG", "SYNOD_NOTIFY_SECRET"] {
        command.env_remove(name);
    }
    command.current_dir(folder).args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// As a receiver checks it.
fn verify(signature: &str, body: &str) {
    let (time, digest) = signature.split_once(",v1=").expect("two parts");
    let seconds = time.strip_prefix("t=").expect("a time");
    assert!(seconds.parse::<u64>().is_ok_and(|t| t > 1_700_000_000), "{signature}");
    let bytes = |at: usize| u8::from_str_radix(&digest[at..at + 2], 16).expect("hexadecimal");
    let digest: Vec<u8> = (0..digest.len()).step_by(2).map(bytes).collect();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    ring::hmac::verify(&key, format!("{seconds}.{body}").as_bytes(), &digest).expect("it is signed");
}

#[test]
fn a_web_address_gets_the_question_signed_with_what_an_answer_takes() {
    let hook = Hook::start(&[200]);
    let folder = folder(&hook.address);
    let report = run(folder.path(), Some(SECRET));
    let session = report["session"].as_str().expect("it has an id");
    let heard = hook.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    let (one, body) = (&heard[0], heard[0].body());
    assert_eq!(one.what, "POST /hook/key-of-the-hook");
    assert_eq!((one.key.as_str(), &body["key"]), (format!("{session}/q0/0").as_str(), &json!(format!("{session}/q0/0"))));
    verify(one.signature.as_deref().expect("there is a secret"), &one.text);
    assert_eq!(
        (&body["question"], &body["options"], &body["to"], &body["node"], &body["ask"], &body["default"], &body["team"]),
        (
            &json!("Ship it?"),
            &json!(["yes", "no"]),
            &json!("ann"),
            &json!("decide"),
            &json!("q0"),
            &json!("no"),
            &json!("Release")
        )
    );
    assert!(body["deadline"].as_str().is_some_and(|at| at.ends_with('Z')) && body["context_digest"].is_string(), "{body}");
    let answer: Vec<&str> = body["answer"].as_str().expect("a command").split(' ').skip(1).collect();
    let answer: Vec<&str> = answer.into_iter().map(|word| if word == "ANSWER" { "yes" } else { word }).collect();
    assert_eq!(report["escalations"][0]["notified"], json!([{ "to": "ann" }]));
    let (code, out, said) = synod(folder.path(), &[&answer[..], &["--json"]].concat());
    assert_eq!((code, &json(&out)["output"]), (0, &json!("yes")), "{said}");
    assert_eq!(hook.heard().len(), 1, "an answered question is told to nobody again");
}

#[test]
fn without_a_secret_nothing_is_signed_and_doctor_says_so() {
    let hook = Hook::start(&[204]);
    let folder = folder(&hook.address);
    run(folder.path(), None);
    assert_eq!(hook.heard()[0].signature, None);
    let found = |secret: Option<&str>| {
        let mut command = program(folder.path(), &["doctor", "team.yaml", "--json"]);
        secret.map(|secret| command.env("SYNOD_NOTIFY_SECRET", secret));
        let found = json(&String::from_utf8_lossy(&command.output().expect("the binary starts").stdout));
        let rows = found.as_array().cloned().unwrap_or_default();
        rows.into_iter().find(|row| row["subject"] == "notifications").expect("the team notifies somebody")
    };
    let unsigned = found(None);
    assert_eq!(unsigned["status"], "warn");
    assert!(unsigned["detail"].as_str().is_some_and(|text| text.contains("leave unsigned")), "{unsigned}");
    assert_eq!(found(Some(SECRET))["status"], "ok");
}

#[test]
fn a_command_reads_the_question_and_runs_as_commands_of_agents_do() {
    let told = "cat > told.json; printf %s \"$SYNOD_SIGNATURE\" > signature; printf %s \"$SYNOD_KEY\" > key; env > env";
    let folder = folder(told);
    let report = run(folder.path(), Some(SECRET));
    let file = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("the command wrote it");
    let body = file("told.json");
    assert_eq!(json(&body)["question"], "Ship it?");
    verify(&file("signature"), &body);
    assert_eq!(file("key"), format!("{}/q0/0", report["session"].as_str().expect("it has an id")));
    assert!(!file("env").contains(SECRET), "the secret is not the command's to know");
}

#[test]
fn a_server_that_fails_is_asked_again_and_one_that_refuses_is_not() {
    let hook = Hook::start(&[503, 200]);
    let report = run(folder(&hook.address).path(), None);
    let heard = hook.heard();
    assert_eq!((heard.len(), heard[0].key == heard[1].key), (2, true));
    assert_eq!(report["warnings"], json!([]));
    for status in [&[404], &[302]] {
        let hook = Hook::start(status);
        let folder = folder(&hook.address);
        let report = run(folder.path(), None);
        assert_eq!(hook.heard().len(), 1);
        let warning = report["warnings"][0].as_str().expect("there is a warning");
        assert!(warning.starts_with("decide: ann could not be notified of q0: 127.0.0.1:"), "{warning}");
        assert!(!warning.contains("key-of-the-hook"), "an address may hold a key: {warning}");
        let (_, rows, _) = synod(folder.path(), &["sessions", "--json"]);
        let row = &json(&rows)[0];
        assert_eq!((&row["waits_for"], row["warnings"][0].as_str()), (&json!(["ann"]), Some(warning)));
        let (_, table, _) = synod(folder.path(), &["sessions"]);
        assert!(table.contains("parked (not notified)"), "{table}");
    }
}

/// Whether somebody was told is not known to a process that was killed before the answer came.
#[test]
fn a_kill_before_the_receiver_answered_tells_it_again_under_the_same_key() {
    let hook = Hook::start(&[0, 200]);
    let folder = folder(&hook.address);
    let mut child = program(folder.path(), &["run", "team.yaml", "--quiet"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let began = Instant::now();
    while hook.heard().is_empty() {
        assert!(began.elapsed() < PATIENCE && child.try_wait().expect("it can be asked").is_none(), "nobody was told");
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("it lives");
    child.wait().expect("it is a child");
    let session = hook.heard()[0].body()["session"].as_str().expect("it has an id").to_owned();
    let (code, out, said) = synod(folder.path(), &["resume", &session, "--json"]);
    assert_eq!((code, json(&out)["status"].as_str()), (3, Some("parked")), "{said}");
    let heard = hook.heard();
    assert_eq!((heard.len(), &heard[0].text), (2, &heard[1].text), "{heard:?}");
    let (code, ..) = synod(folder.path(), &["resume", &session, "--json"]);
    assert_eq!((code, hook.heard().len()), (3, 2), "that it was told is on the record");
}

#[test]
fn several_questions_are_answered_at_once_from_a_file_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = |name: &str| folder.path().join(name);
    let team = "name: T\ncollaboration_pattern: graph\nnodes:\n  one: { ask: 'One?', options: [a, b] }\n  two: { ask: 'Two?' }\n\
                output: '[one.output.answer, two.output.answer]'\n";
    std::fs::write(path("team.yaml"), team).expect("a file can be written");
    let session = run(folder.path(), None)["session"].as_str().expect("it has an id").to_owned();
    let answer = |text: &str| {
        std::fs::write(path("answers.json"), text).expect("a file can be written");
        synod(folder.path(), &["answer", &session, "--file", "answers.json", "--json"])
    };
    for (wrong, why) in [
        (r#"{"q0": "c", "q1": "x"}"#, "q0 takes one of a, b"),
        (r#"{"q0": "a", "q7": "x"}"#, "q7 is not open; open are q0, q1"),
        (r#"{"q0": "a", "q0": "b"}"#, "q0 is answered twice"),
        (r#"{"first": "a"}"#, "first is no question's id"),
        (r#"["a"]"#, "an object such as"),
        ("{}", "1 to 100 are taken at once"),
    ] {
        let (code, _, said) = answer(wrong);
        assert_eq!(code, 2, "{wrong}: {said}");
        assert!(said.contains(why), "{wrong}: {said}");
    }
    let (code, out, said) = answer(r#"{"q1": "fine", "q0": "b"}"#);
    assert_eq!((code, &json(&out)["output"]), (0, &json!(["b", "fine"])), "{said}");
    let (code, _, said) = synod(folder.path(), &["answer", &session, "q0", "a"]);
    assert!(code == 2 && said.contains("answered it at") && said.contains(": b"), "{said}");
}

#[test]
fn answers_are_read_from_standard_input() {
    let folder = folder("true");
    let session = run(folder.path(), None)["session"].as_str().expect("it has an id").to_owned();
    let mut child = program(folder.path(), &["answer", &session, "--file", "-", "--json"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    child.stdin.take().expect("it is piped").write_all(br#"{"q0": "yes"}"#).expect("it reads");
    let out = child.wait_with_output().expect("it ends");
    assert_eq!(json(&String::from_utf8_lossy(&out.stdout))["output"], "yes");
}
