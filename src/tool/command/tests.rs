//! Do commands see only what they may, and die with all that they started?

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::*;
use crate::tool::CallContext;
use crate::{
    tool::{
        Stop, Tool,
        suite::{Suite, call_in, call_on, json, suite},
    },
    value::{CommandSpec, CommandWord, EffectClass, Failure, FailureKind, Value},
};

fn bash() -> Arc<dyn Tool> {
    Arc::new(Bash::default())
}

fn run(folder: &Path, command: &str) -> Result<Value, Failure> {
    call_in(bash(), folder, &Value::map([("command", Value::text(command)), ("timeout", Value::from(20))]))
}

fn stdout(folder: &Path, command: &str) -> String {
    let result = run(folder, command).unwrap_or_else(|e| panic!("{command}: {e}"));
    result.get("stdout").and_then(Value::as_str).expect("it has an output").trim_end().to_owned()
}

fn failure(folder: &Path, command: &str) -> Failure {
    run(folder, command).map_or_else(|failure| failure, |value| panic!("{command} succeeds: {value}"))
}

/// Whether a process with that word on its command line lives.
fn lives(word: &str) -> bool {
    let entries = std::fs::read_dir("/proc").expect("a /proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).any(|id| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).split('\0').any(|part| part == word)
    })
}

fn dies(word: &str) {
    let began = Instant::now();
    while lives(word) {
        assert!(began.elapsed() < Duration::from_secs(10), "the process with {word} lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn bash_does_what_every_tool_must() {
    let folder = tempfile::tempdir().expect("a folder");
    suite(&Suite {
        tool: bash(),
        workspace: folder.path(),
        good: json(r#"{"command": "echo hello"}"#),
        bad: vec![
            (json("{}"), "`command` is missing"),
            (json(r#"{"command": ["ls"]}"#), "`command` must be a string"),
            (json(r#"{"command": ""}"#), "`command`"),
            (json(r#"{"command": "ls", "timeout": 0}"#), "`timeout` must be at least 1"),
            (json(r#"{"command": "ls", "timeout": 999999}"#), "`timeout` must be at most 3600"),
        ],
        path: None,
    });
}

#[test]
fn it_answers_status_and_both_outputs() {
    let folder = tempfile::tempdir().expect("a folder");
    let result = run(folder.path(), "echo out; echo err >&2; pwd").expect("it succeeds");
    let real = folder.path().canonicalize().expect("it exists");
    assert_eq!(result.get("stdout").and_then(Value::as_str), Some(format!("out\n{}\n", real.display()).as_str()));
    assert_eq!(result.get("stderr").and_then(Value::as_str), Some("err\n"));
    assert_eq!(result.get("status"), Some(&Value::Int(0)));
}

#[test]
fn a_status_other_than_0_is_a_failure_that_shows_what_was_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let failure = failure(folder.path(), "echo half; echo broken >&2; exit 3");
    assert_eq!((failure.kind, failure.status), (FailureKind::Exit, Some(3)));
    assert!(failure.message.contains("broken") && failure.message.contains("half"), "{failure}");
    let failure = run(folder.path(), "kill -9 $$").expect_err("it kills itself");
    assert_eq!((failure.kind, failure.status), (FailureKind::Exit, Some(137)));
}

#[test]
fn nothing_that_it_starts_outlives_the_call() {
    let folder = tempfile::tempdir().expect("a folder");
    for (word, command) in [
        ("7301.5", "sleep 7301.5 & echo started"),
        ("7302.5", "setsid sleep 7302.5 & sleep 0.1; echo started"),
        ("7303.5", "(setsid nohup sleep 7303.5 >/dev/null 2>&1 &) ; sleep 0.1; echo started"),
        // What has neither its group nor its environment is found all the same.
        ("7310.5", "env -i setsid sleep 7310.5 & sleep 0.1; echo started"),
        ("7311.5", "unset SYNOD_JOB; (setsid -f nohup sleep 7311.5 >/dev/null 2>&1 &); sleep 0.1; echo started"),
        (
            "7312.5",
            "env -i setsid -f setsid -f sh -c 'trap \"\" HUP TERM INT; sleep 7312.5 & sleep 7312.5' & sleep 0.1; echo started",
        ),
        ("7313.5", "exec env -i sh -c '(sleep 7313.5 >/dev/null 2>&1 &); echo started'"),
    ] {
        assert_eq!(stdout(folder.path(), command), "started");
        dies(word);
    }
}

#[test]
fn at_its_time_limit_it_dies_with_its_children() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = json(
        r#"{"command": "echo begun; sleep 7304.5 & setsid sleep 7305.5 & env -i setsid -f sleep 7314.5; trap '' TERM; sleep 7306.5", "timeout": 1}"#,
    );
    let failure = call_in(bash(), folder.path(), &args).expect_err("it takes too long");
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(failure.message.contains("after 1 s") && failure.message.contains("begun"), "{failure}");
    for word in ["7304.5", "7305.5", "7306.5", "7314.5"] {
        dies(word);
    }
}

#[test]
fn a_cancelled_call_kills_it_and_so_does_a_dropped_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let stop = Stop::default();
    let other = stop.clone();
    std::thread::spawn(move || {
        while !lives("7307.5") {
            std::thread::sleep(Duration::from_millis(5));
        }
        other.cancel();
    });
    let roots = crate::tool::Roots::new(folder.path()).expect("a root");
    let failure = call_on(bash(), roots, stop, &json(r#"{"command": "env -i setsid -f sleep 7315.5; sleep 7307.5"}"#));
    assert_eq!(failure.expect_err("it is cancelled").kind, FailureKind::Cancelled);
    dies("7307.5");
    dies("7315.5");

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let call = CallContext::on(Arc::new(crate::tool::Roots::new(folder.path()).expect("a root")));
    let task = runtime.spawn(async move {
        Bash::default().call(&call, &json(r#"{"command": "env -i setsid -f sleep 7316.5; sleep 7308.5"}"#)).await
    });
    while !lives("7308.5") {
        std::thread::sleep(Duration::from_millis(5));
    }
    task.abort();
    dies("7308.5");
    dies("7316.5");
}

#[test]
fn it_sees_no_variable_that_it_was_not_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = stdout(folder.path(), "env | cut -d= -f1 | sort | tr '\\n' ' '");
    let known =
        ["HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "PWD", "SHLVL", "SYNOD_JOB", "SYNOD_KEY", "TMPDIR", "TZ", "_", "OLDPWD"];
    let other: Vec<&str> = names.split_whitespace().filter(|name| !known.contains(name)).collect();
    assert!(other.is_empty() && names.contains("PATH"), "{names}");
    assert_eq!(
        stdout(folder.path(), "test \"$HOME\" = \"$TMPDIR\" && test -z \"$(ls -A ~)\" && touch ~/x && echo empty"),
        "empty"
    );
}

#[test]
fn a_flood_of_output_is_cut_and_a_flood_without_end_is_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = stdout(folder.path(), "seq 1 100000");
    assert!(text.starts_with("1\n2\n") && text.ends_with("\n100000") && text.contains("bytes left out") && text.len() < 100_000);
    let failure = failure(folder.path(), "yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_eq!(failure.kind, FailureKind::Limit);
    assert!(failure.message.contains("wrote more than"), "{}", &failure.message[..100]);
    let failure =
        self::failure(folder.path(), "setsid -f sh -c 'yes errrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrror >&2'; sleep 7317.5");
    assert_eq!(failure.kind, FailureKind::Limit, "another process may not write without end either");
    dies("7317.5");
}

#[cfg(target_os = "linux")]
#[test]
fn a_bomb_of_processes_is_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let failure = failure(folder.path(), "for i in $(seq 1 700); do sleep 7309.5 & done; wait");
    assert_eq!(failure.kind, FailureKind::Limit, "{failure}");
    assert!(failure.message.contains("more than 512 processes"), "{failure}");
    dies("7309.5");
    for bomb in [
        "for i in $(seq 1 700); do env -i setsid sleep 7318.5 & done; wait",
        "f() { if [ $1 -gt 9 ]; then sleep 7318.5; else f $(($1 + 1)) & f $(($1 + 1)) & wait; fi; }; f 0",
    ] {
        let failure = self::failure(folder.path(), bomb);
        assert!(failure.kind == FailureKind::Limit && failure.message.contains("more than 512 processes"), "{bomb}: {failure}");
        dies("7318.5");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_of_all_that_it_started_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = CommandPolicy::default();
    let one = "perl -e '$x = \"x\" x (5 << 30); sleep 20'";
    let failure = call_in(Arc::new(Bash::new(policy)), folder.path(), &Value::map([("command", Value::text(one))]));
    let failure = failure.expect_err("it wants more than there is for it");
    assert!(matches!(failure.kind, FailureKind::Limit | FailureKind::Exit), "{failure}");
}

#[test]
fn its_end_is_told_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    for (command, status, expected) in [
        ("exit 7", 7, "exit status 7"),
        ("kill -TERM $$", 143, "ended by signal 15"),
        ("kill -SEGV $$", 139, "it crashed"),
        ("kill -HUP $$", 129, "ended by signal 1"),
        ("exec no-such-program", 127, "not found"),
        ("sleep 7319.5 & exit 3", 3, "exit status 3"),
    ] {
        let failure = failure(folder.path(), command);
        assert_eq!((failure.kind, failure.status), (FailureKind::Exit, Some(status)), "{command}: {failure}");
        assert!(failure.message.contains(expected), "{command}: {failure}");
    }
    dies("7319.5");
}

#[cfg(target_os = "linux")]
#[test]
fn where_the_kernel_can_confine_it_reaches_its_folders_only() {
    if !is_confined() {
        println!("skipped: {}", confinement());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let outside = tempfile::tempdir().expect("a folder");
    let input = tempfile::tempdir().expect("a folder");
    std::fs::write(outside.path().join("secret"), "the secret").expect("a file");
    std::fs::write(input.path().join("log"), "a line").expect("a file");
    std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).expect("a link");
    let try_it = |command: &str| {
        let roots = crate::tool::Roots::new(folder.path()).expect("a root").with_input(input.path()).expect("an input");
        call_on(bash(), roots, Stop::default(), &Value::map([("command", Value::text(command))]))
    };
    let (outside, input) = (outside.path().display(), input.path().display());
    for command in [
        format!("cat {outside}/secret"),
        format!("ls {outside}"),
        "cat link/secret".to_owned(),
        format!("echo x > {outside}/new"),
        format!("echo x > {input}/new"),
        format!("ln -s {outside} own && cat own/secret"),
        format!("ln {outside}/secret hard && cat hard"),
        format!("mv {outside}/secret moved"),
        format!("cat /proc/self/root{outside}/secret"),
        format!("cat /proc/self/cwd/../../{outside}/secret"),
        format!("cd {outside} && cat secret"),
        format!("exec 3< {outside}/secret && cat <&3"),
        format!("mount --bind {outside} . && cat secret"),
        format!("chroot {outside} /secret"),
        format!("unshare -r cat {outside}/secret"),
        "cat /proc/self/environ".to_owned(),
        "cat /proc/self/maps".to_owned(),
        "ls /proc/self/fd".to_owned(),
        "cat /proc/$PPID/environ".to_owned(),
        "cat /proc/$PPID/mem".to_owned(),
        "cat /proc/1/environ".to_owned(),
        "cat /etc/shadow".to_owned(),
        "ls /root /home /tmp".to_owned(),
        "kill -0 $PPID".to_owned(),
    ] {
        let failure = try_it(&command).expect_err(&command);
        assert_eq!(failure.kind, FailureKind::Exit, "{command}: {failure}");
        assert!(!failure.message.contains("the secret"), "{command}: {failure}");
    }
    for command in [
        format!("cat {input}/log"),
        "echo x > new && cat new && mkdir -p a/b && mv new a/b/ && rm -r a".to_owned(),
        "echo x > $TMPDIR/y && cat ~/y && cat < /dev/null > /dev/null".to_owned(),
        "cat <(echo piped) | sort | sed s/piped/done/".to_owned(),
        "date; uname; id; nproc; git --version || true".to_owned(),
    ] {
        try_it(&command).unwrap_or_else(|e| panic!("{command}: {e}"));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn where_the_kernel_can_confine_it_has_no_network() {
    if !crate::tool::process::abilities().network() {
        println!("skipped: {}", confinement());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo connected");
    assert_eq!(failure(folder.path(), &connect).kind, FailureKind::Exit);
    assert_eq!(failure(folder.path(), &format!("exec 3<>/dev/udp/127.0.0.1/{port} && echo x >&3")).kind, FailureKind::Exit);
    let open = Arc::new(Bash::new(CommandPolicy { network: true, ..CommandPolicy::default() }));
    let result =
        call_in(open, folder.path(), &Value::map([("command", Value::text(connect))])).expect("with the network it connects");
    assert_eq!(result.get("stdout").and_then(Value::as_str), Some("connected\n"));
}

#[cfg(target_os = "linux")]
#[test]
fn where_the_kernel_can_confine_it_no_socket_of_any_kind_opens() {
    if !crate::tool::process::abilities().network() {
        println!("skipped: {}", confinement());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let socket = |domain: i32, kind: i32| format!("perl -e 'print socket(my $s, {domain}, {kind}, 0) ? \"open\" : \"$!\"'");
    for (domain, kind) in [
        (libc::AF_INET, libc::SOCK_STREAM),
        (libc::AF_INET, libc::SOCK_DGRAM),
        (libc::AF_INET, libc::SOCK_RAW),
        (libc::AF_INET6, libc::SOCK_STREAM),
        (libc::AF_INET6, libc::SOCK_DGRAM),
        (libc::AF_UNIX, libc::SOCK_STREAM),
        (libc::AF_UNIX, libc::SOCK_DGRAM),
        (libc::AF_NETLINK, libc::SOCK_RAW),
        (libc::AF_PACKET, libc::SOCK_RAW),
        (libc::AF_VSOCK, libc::SOCK_STREAM),
    ] {
        assert_eq!(stdout(folder.path(), &socket(domain, kind)), "Permission denied", "{domain} {kind}");
    }
    // A server of this machine, one in the workspace, and one without a file: nobody is reached by any of them.
    let listener = std::os::unix::net::UnixListener::bind(folder.path().join("s")).expect("a socket");
    let connect = "perl -MIO::Socket::UNIX -e 'print IO::Socket::UNIX->new(Peer => \"s\") ? \"connected\" : \"no\"'";
    assert_eq!(stdout(folder.path(), connect), "no");
    let open = Arc::new(Bash::new(CommandPolicy { network: true, ..CommandPolicy::default() }));
    let result = call_in(open, folder.path(), &Value::map([("command", Value::text(connect))])).expect("it runs");
    assert_eq!(
        result.get("stdout").and_then(Value::as_str),
        Some("connected"),
        "the same is possible where the network is allowed"
    );
    drop(listener);
    // A name is looked up by a question over UDP, or of a server of the machine.
    let failure = failure(folder.path(), "perl -e 'exit(gethostbyname(\"synod.example.com\") ? 0 : 5)'");
    assert_eq!(failure.status, Some(5), "{failure}");
}

fn declared(command: &[&str], change: impl FnOnce(&mut CommandSpec)) -> Arc<dyn Tool> {
    let mut spec = CommandSpec {
        name: "security_scanner".into(),
        description: "Scans a file for what an attacker could use.".into(),
        parameters: json(
            r#"{"type": "object", "properties": {"path": {"type": "string", "description": "which"}}, "required": ["path"],
                "additionalProperties": false}"#,
        ),
        command: command.iter().map(|word| CommandWord::One((*word).into())).collect(),
        effect: EffectClass::Read,
        timeout: Duration::from_secs(20),
        folder: None,
        env: Vec::new(),
        read: Vec::new(),
        network: false,
        untrusted: false,
        success: vec![0],
        json: false,
    };
    change(&mut spec);
    Arc::new(Command::new(spec, crate::secret::Env::process()))
}

#[test]
fn a_declared_command_does_what_every_tool_must() {
    let folder = tempfile::tempdir().expect("a folder");
    suite(&Suite {
        tool: declared(&["echo", "{{ path }}"], |_| {}),
        workspace: folder.path(),
        good: json(r#"{"path": "a; b"}"#),
        bad: vec![(json("{}"), "`path` is missing"), (json(r#"{"path": 1}"#), "`path` must be a string")],
        path: None,
    });
}

#[test]
fn a_declared_command_runs_without_a_shell() {
    let folder = tempfile::tempdir().expect("a folder");
    let tool = declared(&["printf", "[%s]", "{{ path }}"], |_| {});
    let result = call_in(tool, folder.path(), &json(r#"{"path": "$(id); `id` * 'x'"}"#)).expect("it runs");
    assert_eq!(result.get("stdout").and_then(Value::as_str), Some("[$(id); `id` * 'x']"));
}

#[test]
fn what_a_declaration_says_of_its_output_and_status_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = json(r#"{"path": "x"}"#);
    let found = call_in(declared(&["echo", r#"{"found": 2}"#], |c| c.json = true), folder.path(), &args).expect("it is JSON");
    assert_eq!(found.get("found"), Some(&Value::Int(2)));
    let failure = call_in(declared(&["echo", "no json"], |c| c.json = true), folder.path(), &args).expect_err("it is none");
    assert!(failure.message.contains("did not write JSON") && failure.message.contains("no json"), "{failure}");
    let found =
        call_in(declared(&["sh", "-c", "exit 1"], |c| c.success = vec![0, 1]), folder.path(), &args).expect("1 is no failure");
    assert_eq!(found.get("status"), Some(&Value::Int(1)));
    let failure = call_in(declared(&["no-such-program"], |_| {}), folder.path(), &args).expect_err("there is none");
    assert!(failure.message.contains("no program `no-such-program`"), "{failure}");
    std::fs::create_dir(folder.path().join("sub")).expect("a folder");
    let tool = declared(&["pwd"], |c| c.folder = Some("sub".into()));
    let found = call_in(tool, folder.path(), &args).expect("it runs there");
    assert!(found.get("stdout").and_then(Value::as_str).is_some_and(|path| path.ends_with("/sub\n")), "{found}");
}
