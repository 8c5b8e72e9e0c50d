//! Behaviours 24 to 30: what happens when a step fails, takes too long, or the run ends otherwise than well.

use std::time::Duration;

use serde_json::json;

use crate::common::{Bench, graph};

#[test]
fn behaviour_24_a_failing_step_runs_exactly_max_attempts_times_with_growing_delays() {
    let bench = Bench::new();
    let ran = bench.run(&graph(
        "
        nodes:
          flaky: { tool: fail, retry: { max_attempts: 5, backoff: { first: 10ms, factor: 3, max: 100ms } } }
        ",
    ));
    assert_eq!(ran.status.name(), "failed");
    assert_eq!(bench.board.calls("flaky"), 5);
    assert_eq!(ran.starts("flaky").len(), 5);
    assert_eq!(ran.waits("flaky"), [10, 30, 90, 100].map(Duration::from_millis));
    assert_eq!(ran.failure_of("flaky").kind.name(), "tool");
}

#[test]
fn behaviour_24_a_step_that_recovers_is_not_tried_again() {
    let bench = Bench::new();
    let ran = bench.run(&graph(
        "
        nodes:
          flaky: { tool: fail, args: { times: 2, then: well }, retry: { max_attempts: 5, backoff: 1ms } }
        ",
    ));
    assert_eq!(ran.completed(), json!("well"));
    assert_eq!(bench.board.calls("flaky"), 3);
}

#[test]
fn behaviour_24_only_retryable_errors_are_tried_again() {
    let bench = Bench::new();
    let ran = bench.run(&graph(
        "
        nodes:
          denied: { tool: fail, args: { kind: denied }, retry: { max_attempts: 3, backoff: 1ms }, allow_failure: true }
          passing: { tool: fail, args: { kind: transport }, retry: { max_attempts: 3, backoff: 1ms }, allow_failure: true }
          named: { tool: fail, args: { kind: denied }, retry: { max_attempts: 3, backoff: 1ms, on: [denied] }, allow_failure: true }
          unnamed: { tool: fail, args: { kind: transport }, retry: { max_attempts: 3, backoff: 1ms, on: [exit, timeout] }, allow_failure: true }
        ",
    ));
    ran.completed();
    assert_eq!(["denied", "passing", "named", "unnamed"].map(|n| bench.board.calls(n)), [1, 3, 3, 1]);
}

#[test]
fn behaviour_25_an_error_handler_runs_once_after_the_retries_with_step_and_error_and_routes_on() {
    let bench = Bench::new();
    let ran = bench.run(&graph(
        "
        nodes:
          lint: { tool: fail, args: { kind: exit, status: 2, message: two warnings }, retry: { max_attempts: 3, backoff: 1ms }, on_error: oops }
          oops: { tool: say, args: { value: \"{{ error.node }} ended with {{ error.status }}: {{ error.message }}\" } }
          fix: { tool: say, args: { value: \"fixed: {{ oops.output }}\" }, after: oops }
          publish: { tool: say, args: { value: never }, after: lint }
        output: fix.output
        ",
    ));
    assert_eq!(ran.completed(), json!("fixed: lint ended with 2: two warnings"));
    assert_eq!(["lint", "oops", "fix", "publish"].map(|n| bench.board.calls(n)), [3, 1, 1, 0]);
    assert!(ran.starts("oops")[0] > ran.end("lint"));
    let ran = Bench::new().run(&graph(
        "
        nodes:
          lint: { tool: fail, args: { times: 1, then: clean }, retry: { max_attempts: 3, backoff: 1ms }, on_error: oops }
          oops: { tool: say, args: { value: 1 } }
        output: lint.output
        ",
    ));
    assert_eq!(ran.completed(), json!("clean"));
    assert_eq!(ran.of("oops"), "skipped", "without a failure the handler does not run");
}

#[test]
fn behaviour_26_a_caught_error_ends_in_completed_and_carries_type_status_and_path() {
    let ran = Bench::new().run(&graph(
        "
        nodes:
          work:
            nodes:
              deep:
                nodes:
                  call: { tool: fail, args: { kind: exit, status: 7, message: no route } }
          handler: { gate: 'error', after: { work: failed } }
        output: handler.output
        ",
    ));
    assert_eq!(ran.completed(), json!({ "kind": "exit", "status": 7, "node": "work/deep/call", "message": "no route" }));
    assert_eq!(ran.report.warnings, ["work/deep/call: exit: no route"]);
}

#[test]
fn behaviour_26_an_uncaught_error_faults_the_run_and_carries_type_status_and_path() {
    let ran = Bench::new().run(&graph(
        "
        nodes:
          work:
            nodes:
              call: { tool: fail, args: { kind: exit, status: 7, message: no route } }
          handler: { gate: 'error', after: { work: done, other: failed } }
          other: { tool: say, args: { value: 1 } }
        ",
    ));
    assert_eq!(ran.completed(), json!(null), "a handler that is short of its join does not run, and `done` handles a failure");
    let ran = Bench::new().run(&graph(
        "
        nodes:
          work:
            nodes:
              call: { tool: fail, args: { kind: exit, status: 7, message: no route } }
          next: { tool: say, args: { value: 1 }, after: work }
        ",
    ));
    assert_eq!(ran.status.name(), "failed");
    let failure = ran.report.failure.clone().unwrap();
    assert_eq!((failure.kind.name(), failure.status, failure.node.as_deref()), ("exit", Some(7), Some("work/call")));
    assert_eq!(ran.of("next"), "skipped");
}

#[test]
fn behaviour_27_with_fail_fast_off_the_sibling_finishes() {
    let bench = Bench::new();
    let ran = bench.run(&graph(
        "
        nodes:
          broken: { tool: fail }
          sibling: { tool: hold, args: { until: ended broken, value: 1 } }
          later: { tool: say, args: { value: 2 }, after: sibling }
        ",
    ));
    assert_eq!(ran.status.name(), "failed");
    assert_eq!(["broken", "sibling", "later"].map(|n| ran.of(n)), ["failed", "ok", "ok"]);
}

#[test]
fn behaviour_27_with_fail_fast_on_unstarted_steps_stay_unstarted() {
    let bench = Bench::new();
    let ran = bench.run(&graph(
        "
        coordination_rules: { fail_fast: true, max_parallel: 2 }
        nodes:
          broken: { tool: hold, args: { until: called sibling, value: 1 } }
          breaks: { tool: fail, after: broken, expect_seconds: 9 }
          sibling: { tool: stuck }
          queued: { tool: say, args: { value: 2 } }
          later: { tool: say, args: { value: 2 }, after: sibling }
        ",
    ));
    assert_eq!(ran.status.name(), "failed");
    assert_eq!(["breaks", "sibling", "queued", "later"].map(|n| ran.of(n)), ["failed", "cancelled", "skipped", "skipped"]);
    assert_eq!(["queued", "later"].map(|n| bench.board.calls(n)), [0, 0]);
    assert_eq!(bench.stops("sibling"), 1, "what was running is really stopped");
}

#[test]
fn behaviour_28_a_failure_that_is_allowed_lets_dependants_run_and_ends_in_a_warning() {
    let bench = Bench::new();
    let ran = bench.run(&graph(
        "
        nodes:
          lint: { tool: fail, args: { message: untidy }, allow_failure: true }
          build: { tool: say, args: { value: built }, after: lint }
        ",
    ));
    assert_eq!(ran.completed(), json!("built"));
    assert_eq!(ran.of("lint"), "failed");
    assert_eq!(ran.report.warnings, ["lint: tool: untidy"], "the result says that it is not all well");
    let ran = Bench::new().run(&graph("nodes:\n  build: { tool: say, args: { value: built } }\n"));
    ran.completed();
    assert!(ran.report.warnings.is_empty());
}

#[test]
fn behaviour_29_a_timeout_really_stops_the_step_and_the_retry_starts_clean() {
    let bench = Bench::new();
    bench.script(
        "hasty",
        "
        switch view.turn {
            0 => #{ calls: [#{ tool: \"count\", \"as\": \"n\" }] },
            1 => #{ calls: [#{ tool: \"set_variable\", args: #{ variable: \"attempt\", value: view.results.n } },
                            #{ tool: \"broadcast_finding\", args: #{ topic: \"attempt\", claim: `call ${view.results.n}`, confidence: 0.9 } },
                            #{ tool: \"stuck\", args: #{ times: 2 }, \"as\": \"stuck\" }] },
            _ => #{ finish: #{ results: view.results.keys(), calls: view.results.stuck } }
        }
        ",
    );
    // `count` and `stuck` share the count of the node's calls: the first attempt makes calls 1 and 2, the second 3 and 4.
    let ran = bench.run(
        "
        name: Team
        collaboration_pattern: graph
        member_agents: [{ agent: hasty, role: hasty, writes: attempt }]
        nodes:
          step: { agent: hasty, timeout: 2s, retry: { max_attempts: 2, backoff: 1ms, on: timeout } }
        ",
    );
    assert_eq!(ran.completed(), json!({ "results": ["call_0", "call_1", "n", "stuck"], "calls": 4 }));
    assert_eq!(bench.stops("step"), 1, "the first attempt was really stopped");
    assert_eq!(ran.variable("attempt").unwrap().to_json(), json!(3), "what the first attempt wrote is thrown away");
    let findings: Vec<_> = ran.report.findings.iter().map(|f| (f.claim.to_string(), format!("{:?}", f.status))).collect();
    assert_eq!(findings, [("call 1".to_owned(), "Retracted".to_owned()), ("call 3".to_owned(), "Open".to_owned())]);
}

#[test]
fn behaviour_29_what_a_step_wrote_before_it_timed_out_for_good_is_thrown_away() {
    let bench = Bench::new();
    bench.script(
        "stuck",
        "
        switch view.turn {
            0 => #{ calls: [#{ tool: \"set_variable\", args: #{ variable: \"x\", value: 1 } }] },
            _ => #{ calls: [#{ tool: \"stuck\" }] }
        }
        ",
    );
    let ran = bench.run(
        "
        name: Team
        collaboration_pattern: graph
        member_agents: [{ agent: stuck, role: stuck, writes: x }]
        nodes:
          step: { agent: stuck, timeout: 500ms }
          after: { gate: step.status, after: { step: done } }
        ",
    );
    assert_eq!(ran.completed(), json!("timed_out"));
    assert_eq!(ran.variable("x"), None);
    assert_eq!(bench.stops("step"), 1);
}

#[test]
fn behaviour_30_cleanup_runs_exactly_once_and_sees_how_the_run_ended() {
    let team = |work: &str| {
        graph(&format!(
            "
            nodes:
              work: {{ {work} }}
            finally:
              tidy: {{ tool: say, args: {{ value: '{{{{ status }}}} {{{{ output }}}} {{{{ error.kind if error else \"\" }}}}' }} }}
              then: {{ tool: put, args: {{ value: 1 }}, after: tidy }}
            "
        ))
    };
    for (work, status, said) in [
        ("tool: say, args: { value: well }", "completed", "completed well "),
        ("tool: fail, args: { kind: exit }", "failed", "failed null exit"),
        ("tool: stuck", "cancelled", "cancelled null "),
    ] {
        let bench = Bench::new();
        let ran = match status {
            "cancelled" => bench.run_and(&team(work), "called work", |session| session.cancel("me", "enough").unwrap()),
            _ => bench.run(&team(work)),
        };
        assert_eq!(ran.status.name(), status);
        assert_eq!(ran.output_of("tidy"), json!(said));
        assert_eq!(["tidy", "then"].map(|n| bench.board.calls(n)), [1, 1]);
        assert!(ran.starts("tidy")[0] > ran.end("work"));
    }
}
