//! What the keys of `limits` do: whichever is reached first ends the session as `out_of_budget`.

use serde_json::json;
use synod::{
    event::{Event, Status},
    value::{Usage, Usd, Value},
};

use crate::common::{Bench, Ran, reply, reply_with, say};

/// An agent that goes on for ever; each of its turns costs 100 tokens and a cent.
fn endless(limits: &str) -> Ran {
    let bench = Bench::new();
    let usage = Usage { input: 80, cached: 0, output: 20, cost: Usd(10_000) };
    bench.model("gpt-4", say(move |_| Ok(reply_with(reply(&[("say", Value::map([("value", Value::from(1))]))]), usage))));
    let ran = bench.run(&format!(
        "
        name: Team
        collaboration_pattern: parallel
        member_agents: [{{ agent: agent, role: a, set: {{ model: gpt-4, max_conversation_turns: 20 }} }}]
        limits: {{ {limits} }}
        "
    ));
    assert_eq!(ran.status, Status::OutOfBudget);
    ran
}

fn reached(ran: &Ran) -> Vec<String> {
    ran.events(|e| if let Event::LimitReached { limit, .. } = e { Some(limit.to_string()) } else { None })
}

#[test]
fn turns_end_the_session() {
    let ran = endless("turns: 3");
    assert_eq!((ran.report.metrics.turns, reached(&ran)), (3, vec!["turns".to_owned()]));
}

#[test]
fn tokens_end_the_session() {
    let ran = endless("tokens: 250");
    assert_eq!(reached(&ran), ["tokens"]);
    assert_eq!((ran.report.metrics.tokens, ran.report.metrics.turns), (300, 3), "what was in flight is counted");
}

#[test]
fn cost_ends_the_session() {
    let ran = endless("cost_usd: 0.04");
    assert_eq!(reached(&ran), ["cost_usd"]);
    assert_eq!((ran.report.metrics.cost_usd, ran.report.metrics.turns), (0.04, 4));
}

#[test]
fn a_cost_limit_needs_models_with_a_price() {
    let found = Bench::new().check(
        "
        name: Team
        collaboration_pattern: parallel
        member_agents: [{ agent: agent, role: a, set: { model: openai/nobody-knows } }]
        limits: { cost_usd: 1 }
        ",
    );
    assert!(found.iter().any(|d| d.is_error() && d.code.name() == "unpriced"), "{found:?}");
}

#[test]
fn running_time_ends_the_session_and_what_runs_is_stopped() {
    let bench = Bench::new();
    let ran = bench.run(
        "
        name: Team
        collaboration_pattern: graph
        limits: { wall_seconds: 1 }
        nodes:
          quick: { tool: say, args: { value: 1 } }
          slow: { tool: stuck, after: quick }
        finally: { tidy: { tool: say, args: { value: '{{ status }}' } } }
        ",
    );
    assert_eq!((ran.status, reached(&ran)), (Status::OutOfBudget, vec!["wall_seconds".to_owned()]));
    assert_eq!(["quick", "slow"].map(|n| ran.of(n)), ["ok", "cancelled"]);
    assert_eq!(bench.stops("slow"), 1);
    assert_eq!(ran.output_of("tidy"), json!("out_of_budget"));
}

#[test]
fn time_spent_waiting_for_people_is_no_running_time() {
    let bench = Bench::on_disk();
    let parked = bench.run(
        "
        name: Team
        collaboration_pattern: graph
        limits: { wall_seconds: 60 }
        nodes:
          ok: { ask: 'Go on?' }
          end: { tool: say, args: { value: 1 }, after: ok }
        ",
    );
    bench.clock.pass(std::time::Duration::from_secs(7 * 24 * 3600));
    let ran = bench.answer(parked.session(), 0, "yes").unwrap();
    assert_eq!(ran.completed(), json!(1));
    assert!(ran.report.metrics.makespan_ms < 60_000.0);
}
