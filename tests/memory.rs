//! Does memory stay flat, however many sessions have run? Two hundred at a time, round after round, against a server that takes
//! its time and refuses every fifth request. In a program of its own: what is measured is the whole process.
#![cfg(target_os = "linux")]

#[path = "common/mod.rs"]
mod common;
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
#[path = "providers/kinds.rs"]
mod kinds;
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
#[path = "providers/requests.rs"]
mod requests;
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
#[path = "providers/server.rs"]
mod server;

use std::time::Duration;

use common::{Bench, graph};
use kinds::{Kind, text};
use server::{Part, Response, Server};
use synod::{event::Status, value::Map};

/// Memory of this process that is in use now, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn memory_stays_flat_over_rounds_of_two_hundred_sessions() {
    let kind = Kind::Openai;
    let bench = Bench::on_disk();
    let server = bench.block_on(Server::start(move |number, _| {
        if number % 5 == 0 {
            return Response::error(429, "slow down").header("retry-after", "0");
        }
        let mut said = Response::stream(&kind.stream(&text("done")), 4_096);
        said.body.insert(0, Part::Wait(Duration::from_millis(50)));
        said
    }));
    bench.catalog(&format!(
        "providers:\n  local: {{ kind: openai, base_url: \"{}\", limits: {{ concurrency: 32 }} }}\nmodels:\n  small: {{ provider: local, id: big }}\n",
        server.address
    ));
    bench.file("agent.yaml", "name: Sam\nrole: worker\nmodel: small\nsystem_prompt: You know logs.\n");
    let team = bench.load(&graph("member_agents: [{ agent: agent, role: logs }]\nnodes:\n  work: { agent: logs }\n"));
    let engine = bench.engine();
    let round = |sessions: usize| {
        bench.block_on(async {
            let mut handles = Vec::new();
            for _ in 0..sessions {
                handles.push(engine.start(&team, "the task", Map::new()).await.unwrap());
            }
            for handle in handles {
                assert_eq!(handle.wait().await.unwrap().status, Status::Completed);
            }
        });
        // What the server remembers is not the engine's.
        server.forget();
        resident()
    };
    let before = resident();
    let after: Vec<u64> = [100, 200, 200, 200, 200].map(round).to_vec();
    println!("resident: {before} KiB before, after rounds of 100, 200, 200, 200 and 200 sessions {after:?} KiB");
    let (second, last) = (after[1], after[4]);
    // An allocator keeps an arena more or less; 600 sessions that were not let go of would take more than this.
    assert!(last <= second + second * 3 / 10, "600 more sessions take more than three tenths of {second} KiB: {after:?}");
}
