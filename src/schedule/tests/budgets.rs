//! What may a call take, who waits for it, and what is left for the synthesis?

use std::sync::Arc;

use super::{Plans, Run, Said, Script, begin, compare, go, json, reply, run};
use crate::{
    event::{Event, Input, Outcome, Status},
    graph::{CallCap, Limits, Phase, Plan},
    value::{Failure, FailureKind, NodeIx, Reply, TeamIx, Usage, Usd, Value},
};

/// A call of it takes 150 tokens at most, and 600 millionths of a dollar: every request has more than 100 tokens.
const CALL: CallCap = CallCap { read: 100, written: 50, input: Usd(1_000_000), output: Usd(10_000_000) };
const NEEDS: Usage = Usage { input: 100, cached: 0, output: 50, cost: Usd(600) };

/// A plan whose agents' calls take up to [`CALL`], within a limit on tokens.
fn within(mut plan: Plan, tokens: u64) -> Plan {
    plan.limits = Limits { tokens: Some(tokens), ..Limits::default() };
    for member in plan.teams.iter_mut().flat_map(|team| &mut team.members) {
        member.call = CALL;
    }
    plan
}

/// A turn that takes as many tokens, and goes on for ever.
fn takes(tokens: u64) -> impl FnMut(&crate::value::Request) -> Said {
    move |_| {
        let usage = Usage { input: tokens, cost: Usd(tokens), ..Usage::default() };
        Said::Reply(Reply { usage, ..reply(None, vec![("read", json(&format!("{{\"n\":{tokens}}}")))]) })
    }
}

fn reached(run: &Run<Script>) -> Vec<(String, bool)> {
    let reached = run.events().into_iter().filter_map(|event| {
        if let Event::LimitReached { limit, synthesize } = event { Some((limit.to_string(), *synthesize)) } else { None }
    });
    reached.collect()
}

fn asked(run: &Run<Script>) -> Vec<(i64, String)> {
    run.made.iter().filter(|made| made.tool.is_empty()).map(|made| (made.at, made.path.to_string())).collect()
}

fn kind(run: &Run<Script>, node: u32) -> Option<FailureKind> {
    if let Some(Outcome::Failed(failure)) = run.state().outcome(NodeIx(node)) { Some(failure.kind) } else { None }
}

fn two() -> Plan {
    Plans::root(|g| {
        g.agent("x", "a");
        g.agent("y", "b");
    })
}

/// A team of two inside another, which may spend so much, beside an agent of the outer one.
fn nested(pool: u64, own: u64) -> Run<Script> {
    let mut plan = Plans::root(|g| {
        g.agent("x", "a");
        g.sub_team("s", TeamIx(1), &[], |g| {
            g.agent("y", "b");
            g.agent("z", "c");
        });
    });
    let limits = Limits { tokens: Some(own), ..Limits::default() };
    plan.teams.push(crate::graph::TeamPlan { name: "inner".into(), limits, ..super::world::team(&["b", "c"]) });
    run(within(plan, pool), Script::default().agent("a", takes(150)).agent("b", takes(140)).agent("c", takes(140)))
}

#[test]
fn a_team_inside_another_spends_no_more_than_its_own_limit() {
    let run = nested(1_500, 500);
    let inner: Vec<u64> = run.state().spent_in.values().map(|spent| spent.usage.tokens()).collect();
    assert_eq!(inner, [420], "three calls, and a fourth might take too much");
    let failures: Vec<String> = run
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::NodeEnded { outcome: Outcome::Failed(failure), .. } => Some(failure.to_string()),
            _ => None,
        })
        .collect();
    assert!(failures.iter().any(|why| why.contains("the team inner's tokens are spent")), "{failures:?}");
    assert_eq!(run.state().spent.usage.tokens(), 420 + 7 * 150, "the others go on with what is left");
}

#[test]
fn a_team_inside_another_spends_of_the_pool_of_that_and_nothing_is_kept_for_it() {
    let run = nested(600, 5_000);
    let (inner, all) =
        (run.state().spent_in.values().map(|spent| spent.usage.tokens()).sum::<u64>(), run.state().spent.usage.tokens());
    assert!(inner > 0 && all <= 600 && inner < all, "{inner} of {all}");
    assert_eq!(run.state().status(), Status::OutOfBudget);
}

#[test]
fn what_a_failed_call_took_is_spent() {
    let plan = Plans::root(|g| {
        g.agent("x", "a");
    });
    let mut run = begin(within(plan, 1_000), Script::default().agent("a", |_| Said::Nothing), Default::default());
    let usage = Usage { input: 70, cached: 0, output: 5, cost: Usd(9) };
    let failure = Failure::new(FailureKind::Transport, "it broke off").having_spent(usage);
    run.arrive(0, Input::Replied { key: run.made[0].key, reply: Err(failure) });
    go(&mut run);
    assert_eq!((run.state().spent.usage, kind(&run, 0)), (usage, Some(FailureKind::Transport)));
}

#[test]
fn a_call_reserves_what_it_may_take_and_spends_what_it_took() {
    let mut run = begin(within(two(), 1_000), Script::default(), Default::default());
    assert_eq!(run.state().budget.in_flight(), NEEDS.plus(NEEDS));
    assert_eq!(run.state().spent.usage, Usage::default());
    go(&mut run);
    assert_eq!(run.state().budget.in_flight(), Usage::default());
    assert_eq!((run.state().spent.usage.tokens(), run.state().spent.usage.cost), (30, Usd(200)));
    assert_eq!(run.state().spent_on[&Arc::from("some-model")].model_calls, 2);
}

#[test]
fn a_call_that_does_not_fit_waits_until_another_is_back_in_node_order() {
    let plan = Plans::root(|g| {
        g.agent("x", "a");
        g.agent("y", "b");
        g.agent("z", "c");
        g.tool("long").after(&["z"]);
    });
    let run = run(within(plan, 200), Script::default());
    let asked: Vec<_> = asked(&run).into_iter().map(|(at, path)| format!("{at} {path}")).collect();
    assert_eq!(asked, ["0 z", "1000 x", "2000 y"]);
    assert_eq!((run.state().status(), reached(&run)), (Status::Completed, vec![]));
}

#[test]
fn a_call_that_fits_into_nothing_ends_a_session_that_has_no_synthesis() {
    let run = run(within(two(), 149), Script::default());
    compare(&run, "out_of_budget null", "x: cancelled\ny: skipped budget");
    assert_eq!((reached(&run), asked(&run)), (vec![("tokens".to_owned(), false)], vec![]));
}

#[test]
fn a_price_is_reserved_as_tokens_are() {
    let mut plan = within(two(), 1_000);
    plan.limits = Limits { cost: Some(Usd(800)), ..Limits::default() };
    let run = run(plan, Script::default());
    assert_eq!(asked(&run).into_iter().map(|(at, _)| at).collect::<Vec<_>>(), [0, 1000]);
    assert_eq!(run.state().status(), Status::Completed);
}

fn team() -> Plan {
    Plans::root(|g| {
        g.agent("x", "a");
        g.agent("y", "b").done("x");
        g.phase("synthesize", "d", Phase::Synthesize).done("y");
    })
}

#[test]
fn when_the_budget_is_spent_the_coordinator_still_makes_a_result_of_what_there_is() {
    let run = run(within(team(), 1_000), Script::default().agent("a", takes(140)));
    assert_eq!(run.result(), "out_of_budget d");
    assert_eq!(reached(&run), [("tokens".to_owned(), true)]);
    assert_eq!([kind(&run, 0), kind(&run, 1), kind(&run, 2)], [Some(FailureKind::Budget), Some(FailureKind::Budget), None]);
    assert_eq!(run.state().spent.usage.tokens(), 6 * 140 + 15, "the share is kept from everybody else");
}

#[test]
fn a_synthesis_that_does_not_fit_fails_and_the_session_ends() {
    let run = run(within(team(), 149), Script::default());
    assert_eq!(run.result(), "out_of_budget null");
    assert_eq!(kind(&run, 2), Some(FailureKind::Budget));
}

/// What the fallbacks of its profile would take was reserved for it, and an outage lost that.
#[test]
fn a_script_reserves_nothing_and_is_stopped_by_no_limit_on_tokens() {
    let mut plan = within(two(), 1);
    for member in &mut plan.teams[0].members {
        Arc::make_mut(&mut member.profile).model = Arc::from("script:s");
    }
    assert_eq!(run(plan, Script::default()).state().status(), Status::Completed);
}

#[test]
fn a_reply_that_takes_more_than_was_reserved_is_counted_in_full() {
    let run = run(within(two(), 400), Script::default().agent("a", takes(390)));
    assert_eq!((run.state().status(), reached(&run).len()), (Status::OutOfBudget, 1));
    assert_eq!(run.state().spent.usage.tokens(), 390 + 15);
}

#[test]
fn what_an_outage_cut_off_counts_as_spent_and_is_reserved_anew() {
    let plan = Plans::root(|g| {
        g.agent("x", "a");
    });
    let mut run = begin(within(plan, 400), Script::default(), Default::default());
    run.crash(1_000).unwrap();
    assert_eq!((run.state().spent.lost, run.state().budget.in_flight()), (NEEDS, NEEDS));
    assert_eq!(run.state().seat_turns[&NodeIx(0)], 1, "a turn that is asked for again is the same turn");
    run.crash(1_000).unwrap();
    go(&mut run);
    assert_eq!((run.result(), reached(&run)), ("out_of_budget null".to_owned(), vec![("tokens".to_owned(), false)]));
    assert_eq!((run.state().spent.usage, run.state().spent.lost), (NEEDS.plus(NEEDS), NEEDS.plus(NEEDS)));
    assert_eq!(run.state().budget.in_flight(), Usage::default());
}

#[test]
fn what_a_cancelled_call_took_counts_as_what_it_reserved() {
    let plan = Plans::root(|g| {
        g.agent("x", "a").timeout(2);
    });
    let mut run = run(within(plan, 400), Script::default().agent("a", |_| Said::Nothing).stops_after(1));
    while run.step().unwrap() {}
    assert_eq!((kind(&run, 0), run.state().spent.lost), (Some(FailureKind::Timeout), NEEDS));
}

#[test]
fn an_agent_that_has_spent_its_own_budget_fails_and_the_others_go_on() {
    for (limits, turns) in [
        (Limits { tokens: Some(400), ..Limits::default() }, 2),
        (Limits { cost: Some(Usd(1_000)), ..Limits::default() }, 3),
        (Limits { turns: Some(4), ..Limits::default() }, 4),
    ] {
        let mut plan = within(two(), 100_000);
        plan.teams[0].members[0].limits = limits;
        let run = run(plan, Script::default().agent("a", takes(140)));
        assert_eq!([kind(&run, 0), kind(&run, 1)], [Some(FailureKind::Budget), None]);
        assert_eq!((run.state().status(), run.state().seat_turns[&NodeIx(0)]), (Status::Failed, turns), "{limits:?}");
        assert!(reached(&run).is_empty());
    }
}

#[test]
fn two_seats_of_an_agent_share_its_budget_and_wait_for_each_other_only() {
    let mut plan = Plans::root(|g| {
        g.agent("x", "a");
        g.agent("y", "a");
        g.agent("z", "b");
    });
    plan = within(plan, 100_000);
    plan.teams[0].members[0].limits = Limits { tokens: Some(200), ..Limits::default() };
    let run = run(plan, Script::default());
    let asked: Vec<_> = asked(&run).into_iter().map(|(at, path)| format!("{at} {path}")).collect();
    assert_eq!((run.state().status(), asked), (Status::Completed, vec!["0 x".into(), "0 z".into(), "1000 y".into()]));
}

#[test]
fn a_spent_budget_is_no_reason_to_try_again_but_one_to_ask_a_person_where_the_team_says_so() {
    let mut plan = Plans::root(|g| {
        g.agent("x", "a").retry(3, &[FailureKind::Budget]);
    });
    plan = within(plan, 100_000);
    plan.teams[0].members[0].limits = Limits { tokens: Some(400), ..Limits::default() };
    plan.teams[0].escalation_policy = vec![crate::graph::EscalationPolicy::OnBudget];
    let mut run = run(plan, Script::default().agent("a", takes(140)));
    assert_eq!(run.state().status(), Status::Parked);
    run.answer(crate::value::AskId(0), "fail").unwrap();
    go(&mut run);
    assert_eq!((kind(&run, 0), run.state().nodes[0].attempt), (Some(FailureKind::Budget), 1));
    assert_eq!(run.state().output(NodeIx(0)), Value::Null);
}
