//! What the keys of `limits` do: whichever is reached first ends the session as `out_of_budget`.

use serde_json::json;
use synod::{
    event::{Event, Outcome, Status},
    value::{Usage, Usd, Value},
};

use crate::common::{Bench, Ran, graph, reply, reply_with, say};

/// An agent that goes on for ever; each of its turns takes 4,020 tokens and ten cents.
fn endless(limits: &str) -> Ran {
    let bench = Bench::new();
    let usage = Usage { input: 4_000, cached: 0, output: 20, cost: Usd(100_000) };
    bench.model("gpt-4", say(move |_| Ok(reply_with(reply(&[("say", Value::map([("value", Value::from(1))]))]), usage))));
    let ran = bench.run(&format!(
        "
        name: Team
        collaboration_pattern: parallel
        member_agents: [{{ agent: agent, role: a, set: {{ model: gpt-4, max_conversation_turns: 20, model_config: {{ max_tokens: 20 }} }} }}]
        coordination_rules: {{ detect: off }}
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
fn tokens_end_the_session_before_a_call_that_may_take_too_many() {
    let ran = endless("tokens: 20000");
    assert_eq!(reached(&ran), ["tokens"]);
    let (tokens, turns) = (ran.report.metrics.tokens, ran.report.metrics.turns);
    assert!((2..5).contains(&turns) && tokens == turns * 4_020, "{tokens} in {turns} turns");
    let [pool] = &ran.report.budget[..] else { panic!("{:?}", ran.report.budget) };
    assert_eq!((pool.limit, &pool.of, &pool.reserved), ("tokens", &Value::from(20_000), &Value::from(0)));
    let [model] = &ran.report.models[..] else { panic!("{:?}", ran.report.models) };
    assert_eq!((&*model.model, model.calls, model.tokens), ("gpt-4", turns, tokens));
}

#[test]
fn cost_ends_the_session_before_a_call_that_may_cost_too_much() {
    let ran = endless("cost_usd: 1");
    assert_eq!(reached(&ran), ["cost_usd"]);
    assert!((0.5..=1.0).contains(&ran.report.metrics.cost_usd), "{}", ran.report.metrics.cost_usd);
}

#[test]
fn the_limits_of_a_team_inside_another_end_that_team_and_the_others_go_on() {
    let bench = Bench::new();
    bench.model("gpt-4", say(|_| Ok(reply(&[("say", Value::map([("value", Value::from(1))]))]))));
    bench.file(
        "inner.yaml",
        "
        name: Inner
        collaboration_pattern: parallel
        member_agents: [{ agent: agent, role: a, set: { model: gpt-4, max_conversation_turns: 20 } }]
        limits: { turns: 3 }
        ",
    );
    let ran = bench.run(&graph(
        "
        nodes:
          inner: { team: inner, allow_failure: true }
          other: { gate: '7' }
        output: other.output
        ",
    ));
    assert_eq!((ran.status, &ran.report.output, ran.report.metrics.turns), (Status::Completed, &Value::from(7), 3));
    let failed = |e: &Event| match e {
        Event::NodeEnded { outcome: Outcome::Failed(failure), .. } => Some(failure.message.to_string()),
        _ => None,
    };
    assert!(ran.events(failed).contains(&"the team Inner's turns are spent".to_owned()), "{:?}", ran.events(failed));
}

#[test]
fn an_agent_that_has_used_up_its_own_limits_fails_and_the_others_go_on() {
    let bench = Bench::new();
    let turn = || say(|_| Ok(reply(&[("say", Value::map([("value", Value::from(1))]))])));
    bench.model("gpt-4", turn());
    let team = "
        name: Team
        collaboration_pattern: graph
        member_agents:
          - { agent: agent, role: a, set: { model: gpt-4 }, limits: { turns: 2, tokens: 500000, cost_usd: 90 } }
          - { agent: agent, role: b }
        nodes:
          x: { agent: a, allow_failure: true }
          y: { agent: b }
        ";
    let ran = bench.run(team);
    assert_eq!((ran.status, ["x", "y"].map(|node| ran.of(node))), (Status::Completed, ["failed", "ok"]));
    assert_eq!(ran.report.warnings, ["x: budget: a's own turns are spent"]);
    bench.file("team.yaml", team);
    let plan = bench.synod(&["plan", "team.yaml"]).stdout;
    assert!(plan.contains("a: 2 turns, 500,000 tokens, $90.0000"), "{plan}");
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
