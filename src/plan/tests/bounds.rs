//! Are the bounds what one gets by hand?

use super::*;
use crate::value::Usd;

/// turns, model calls, tokens, cost in millionths, wall seconds.
fn bounds(text: &str) -> (u64, u64, u64, Option<u64>, u64) {
    let bounds = plan(text).bounds;
    (bounds.turns, bounds.model_calls, bounds.tokens, bounds.cost.map(|Usd(n)| n), bounds.wall_seconds)
}

#[test]
fn scripts_cost_turns_and_nothing_else() {
    // Two seats of 10 turns; two calls a turn, one of them a repair; the default of 300 s each, one after the other.
    let text = graph("nodes:\n  a: { agent: ann }\n  b: { agent: bob, after: a }\n");
    assert_eq!(bounds(&text), (20, 40, 0, Some(0), 600));
}

#[test]
fn attempts_multiply_calls_and_waits_add_up() {
    // 10 turns × 2 × 3 attempts; 3 × 60 s and waits of 2 s and 4 s.
    let text =
        graph("nodes:\n  a: { agent: ann, timeout: 60s, retry: { max_attempts: 3, backoff: { first: 2s, factor: 2 } } }\n");
    assert_eq!(bounds(&text), (10, 60, 0, Some(0), 186));
}

#[test]
fn fallbacks_are_each_counted_with_their_own_window_and_price() {
    // 5 turns × 2 = 10 calls of each model. large: 100,000 tokens a call, 98,000 × $3 + 2,000 × $15 = $0.324;
    // small: 10,000 tokens, 8,000 × $1 + 2,000 × $2 = $0.012. Ten of each: 1,100,000 tokens and $3.36.
    let text = "name: T\ncollaboration_pattern: parallel\nresult: { by: merge }\nmember_agents: [{ agent: llm, role: ann }]\n";
    assert_eq!(bounds(text), (5, 20, 1_100_000, Some(3_360_000), 300));
}

#[test]
fn a_model_without_a_price_makes_the_cost_unknown() {
    let text = "name: T\ncollaboration_pattern: parallel\nresult: { by: merge }\nmember_agents: [{ agent: local, role: ann }]\n";
    assert_eq!(bounds(text), (5, 10, 80_000, None, 300));
}

#[test]
fn loops_multiply_seats_and_items_at_a_time_divide_the_wall() {
    // 20 items × 10 turns, five at a time: ceil(20 / 5) × 30 s; then 3 rounds × (10 turns, 30 s); a tool has 120 s.
    let text = graph(
        "nodes:\n  f: { for_each: '[1]', max: 20, parallel: 5, agent: ann, task: '{{ item }}', timeout: 30s }\n  \
         r: { repeat: { max: 3 }, agent: bob, timeout: 30s, after: f }\n  t: { tool: Read, after: r }\n",
    );
    assert_eq!(bounds(&text), (230, 460, 0, Some(0), 120 + 90 + 120));
}

#[test]
fn parallel_branches_take_the_longer_and_people_take_nothing() {
    let text = graph(
        "nodes:\n  a: { agent: ann, timeout: 100s }\n  b: { agent: bob, timeout: 70s }\n  q: { ask: 'Well?', after: b }\n  \
         c: { agent: cid, timeout: 60s, after: q }\n",
    );
    assert_eq!(bounds(&text), (30, 60, 0, Some(0), 130));
}

#[test]
fn a_limit_on_nodes_in_flight_lengthens_the_wall() {
    // Four nodes of 10 s, two at a time: path 10 s + (40 − 10) / 2 = 25 s, Graham's bound.
    let four = "a: { agent: ann, timeout: 10s }, b: { agent: ann, timeout: 10s }, c: { agent: ann, timeout: 10s }, d: { agent: ann, timeout: 10s }";
    let text = graph(&format!("nodes:\n  g: {{ concurrency: 2, nodes: {{ {four} }} }}\n"));
    assert_eq!(bounds(&text).4, 25);
}

const WORKERS: &str = "name: T\ncollaboration_pattern: coordinator_worker\ncoordinator: lead\n\
    member_agents: [{ agent: a, role: ann }, { agent: b, role: bob, set: { max_conversation_turns: 20 } }]\n\
    coordination_rules: { validate: [ann], max_revisions: 1, max_debate_rounds: 1, timeout_per_agent_seconds: 60 }\n";

#[test]
fn a_coordinator_worker_team_counts_work_debate_and_rounds_of_review() {
    // Work: 10 + 20, both at once. Debate: 6 reserved turns each. Review: 2 rounds of a synthesis and a vote, 6 each.
    // Wall: 60 + 60 + 2 × (60 + 60).
    let plan = plan(WORKERS);
    let b = &plan.bounds;
    assert_eq!((b.turns, b.model_calls, b.wall_seconds), (30 + 12 + 24, 2 * 66, 360));
    let agents: Vec<_> = b.agents.iter().map(|a| (a.agent.as_str(), a.seats, a.turns)).collect();
    assert_eq!(agents, [("coordinator", 2, 12), ("ann", 1 + 1 + 2, 10 + 6 + 12), ("bob", 2, 26)]);
}

#[test]
fn a_route_rule_may_give_every_sub_task_to_the_longest_in_a_row() {
    // 8 sub-tasks of at most 20 turns, and each may wait for the one before.
    let plan = plan(&format!("{WORKERS}rules: [route.rhai]\n"));
    let b = &plan.bounds;
    assert_eq!((b.turns, b.wall_seconds), (8 * 20 + 12 + 24, 8 * 60 + 60 + 240));
    let agents: Vec<_> = b.agents.iter().map(|a| (a.agent.as_str(), a.turns)).collect();
    assert_eq!(agents, [("coordinator", 12), ("ann", 80 + 6 + 12), ("bob", 160 + 6)]);
}

#[test]
fn a_relay_is_bounded_by_its_handoffs_where_a_rule_decides() {
    let relay = "name: T\ncollaboration_pattern: sequential\ncoordination_rules: { max_handoffs: 4, timeout_per_agent_seconds: 10 }\n\
                 member_agents: [{ agent: a, role: ann }, { agent: llm, role: bob }]\n";
    // By default each has its turn: 10 + 5. With a rule, five seats of the longest each way.
    assert_eq!(bounds(relay).0, 15);
    let ruled = bounds(&format!("{relay}rules: [own.rhai]\n"));
    assert_eq!((ruled.0, ruled.4), (50, 50));
}

#[test]
fn a_sub_team_counts_under_its_own_name() {
    let sub = graph("nodes: { x: { agent: ann }, y: { agent: bob, after: x } }\n").replace("name: T", "name: Sub");
    let text = graph("nodes:\n  e: { for_each: '[1]', max: 3, team: ./sub.yaml }\n  a: { agent: ann, after: e }\n");
    let plan = plan_of(&load_from(&sources().with("team.yaml", text).with("sub.yaml", sub)));
    let agents: Vec<_> = plan.bounds.agents.iter().map(|a| (a.agent.as_str(), a.turns)).collect();
    assert_eq!(agents, [("ann", 10), ("Sub/ann", 30), ("Sub/bob", 30)]);
}
