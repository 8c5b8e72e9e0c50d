//! Does a command see a key of the engine, or outlive it? Asked of the real program, with a key in its environment.

#![cfg(target_os = "linux")]

mod common;

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use common::{Bench, graph};

/// A key, as no machine has it.
const SECRET: &str = "key-7f3a9c51e0b24d68";
/// How long a process of a killed program may live on.
const PATIENCE: Duration = Duration::from_secs(10);

fn start(bench: &Bench) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
    command.args(["run", "team.yaml", "--store", ".synod"]).current_dir(bench.folder());
    command
        .env("OPENAI_API_KEY", SECRET)
        .env("SOME_TOKEN", SECRET)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    // A command learns here whom to look at.
    std::fs::write(bench.path("engine.pid.part"), child.id().to_string()).unwrap();
    std::fs::rename(bench.path("engine.pid.part"), bench.path("engine.pid")).unwrap();
    child
}

/// Whether a process with that word on its command line lives.
fn lives(word: &str) -> bool {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).any(|id| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).split('\0').any(|part| part == word)
    })
}

#[test]
fn a_command_finds_no_key_in_any_environment_or_memory() {
    let bench = Bench::new();
    let (attach, read) = if cfg!(target_arch = "x86_64") { (101, 310) } else { (117, 270) };
    let script = format!(
        r#"
        env
        echo "-- own"; tr '\0' '\n' < /proc/self/environ
        until [ -e engine.pid ]; do sleep 0.05; done
        for pid in $(cat engine.pid) $1; do
          echo "-- of $pid"; tr '\0' '\n' < /proc/$pid/environ; tr '\0' '\n' < /proc/$pid/cmdline; head -c 100 /proc/$pid/mem
          ls -l /proc/$pid/fd /proc/$pid/cwd/ /proc/$pid/root/
          perl -e 'print "ATTACHED\n" if syscall({attach}, 16, {seize}, 0, 0) == 0' -- $pid
          perl -e '$b = "x" x 16; $l = pack("QQ", unpack("Q", pack("p", $b)), 16); $r = pack("QQ", 0x400000, 16);
            print "MEMORYREAD\n" if syscall({read}, {seize}, $l, 1, $r, 1, 0) >= 0 || $!{{EFAULT}}' -- $pid
          kill -0 $pid && echo SIGNALLED
        done
        true
        "#,
        seize = "$ARGV[0] + 0",
    );
    bench.file("look.sh", &script);
    bench.file(
        "team.yaml",
        &graph("nodes: { look: { tool: Bash, args: { command: 'bash look.sh $PPID 2>&1', timeout: 60 } } }\noutput: look.output"),
    );
    let said = start(&bench).wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success(), "{text}\n{}", String::from_utf8_lossy(&said.stderr));
    assert!(text.contains("PATH=") && text.contains("-- of "), "{text}");
    assert!(!text.contains("redacted") && !text.contains(SECRET), "{text}");
    if synod::tool::is_confined() {
        for word in ["ATTACHED", "MEMORYREAD", "SIGNALLED", "OPENAI_API_KEY"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
        assert!(text.matches("Permission denied").count() >= 6, "{text}");
    } else {
        println!("not confined: {}", synod::tool::confinement());
    }
}

#[test]
fn nothing_that_a_command_started_outlives_a_killed_engine() {
    let bench = Bench::new();
    let words = ["7401.5", "7402.5", "7403.5", "7404.5"];
    let command = "sleep 7401.5 & setsid sleep 7402.5 & env -i setsid -f sh -c \"trap : TERM HUP; sleep 7403.5\"; sleep 7404.5";
    bench.file("team.yaml", &graph(&format!("nodes: {{ n: {{ tool: Bash, args: {{ command: '{command}' }} }} }}")));
    let mut child = start(&bench);
    let began = Instant::now();
    while !words.iter().all(|word| lives(word)) {
        assert!(began.elapsed() < PATIENCE && child.try_wait().unwrap().is_none(), "they do not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let began = Instant::now();
    while words.iter().any(|word| lives(word)) {
        assert!(began.elapsed() < PATIENCE, "they live on: {:?}", words.iter().filter(|word| lives(word)).collect::<Vec<_>>());
        std::thread::sleep(Duration::from_millis(20));
    }
}
