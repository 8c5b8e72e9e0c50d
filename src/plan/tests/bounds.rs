//! Are the bounds what one gets by hand?

use super::*;
use crate::value::Usd;

/// turns, model calls, tokens, cost in millionths, wall seconds.
fn bounds(text: &str) -> (u64, u64, u64, Option<u64>, u64) {
    bounds_of(&load(text))
}

fn bounds_of(team: &Team) -> (u64, u64, u64, Option<u64>, u64) {
    let bounds = plan_of(team).bounds;
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

#[test]
fn what_waits_for_the_slots_of_the_session_lengthens_the_wall() {
    // Twelve calls of 120 s, eight at a time: 120 + (1,440 − 120) / 8 = 285 s; one at a time they take all 1,440 s.
    let tools: String = (0..12).map(|n| format!("  t{n}: {{ tool: Read }}\n")).collect();
    let text = graph(&format!("nodes:\n{tools}"));
    assert_eq!(bounds(&text).4, 285);
    assert_eq!(bounds(&format!("{text}coordination_rules: {{ max_parallel: 1 }}\n")).4, 1_440);
}

#[test]
fn a_limiter_around_a_loop_counts_the_work_of_all_its_items() {
    // Six items of two calls of 10 s each, three calls in flight among all items: 10 + (120 − 10) / 3, rounded up.
    let two = "x: { tool: Read, timeout: 10s }, y: { tool: Read, timeout: 10s }";
    let text = graph(&format!("nodes:\n  f: {{ for_each: '[1]', max: 6, concurrency: 3, nodes: {{ {two} }} }}\n"));
    assert_eq!(bounds(&text).4, 47);
}

#[test]
fn a_narrow_scope_among_others_waits_for_its_own_limiter_and_for_the_session() {
    // Inside: four calls of 10 s, one at a time, 40 s. Outside: two slots for that and six calls of 10 s: the path of 40 s, and the
    // rest of the work, 100 − 40, by two.
    let four = "a: { tool: Read, timeout: 10s }, b: { tool: Read, timeout: 10s }, c: { tool: Read, timeout: 10s }, d: { tool: Read, timeout: 10s }";
    let six: String = (0..6).map(|n| format!("  t{n}: {{ tool: Read, timeout: 10s }}\n")).collect();
    let text = graph(&format!(
        "coordination_rules: {{ max_parallel: 2 }}\nnodes:\n  g: {{ concurrency: 1, nodes: {{ {four} }} }}\n{six}"
    ));
    assert_eq!(bounds(&text).4, 40 + 30);
}

#[test]
fn an_agent_with_tools_may_hold_a_slot_for_each_call_of_a_turn() {
    // Two activations of 300 s with four calls at once each: eight slots are enough for both; with four, one may keep the other
    // waiting for as long as it takes.
    let team = |slots: u32, agent: &str| {
        format!(
            "name: T\ncollaboration_pattern: parallel\nresult: {{ by: merge }}\ncoordination_rules: {{ max_parallel: {slots}, calls_per_turn: 4 }}\n\
             member_agents: [{{ role: ann, agent: {agent} }}, {{ role: bob, agent: {agent} }}]\n"
        )
    };
    for agent in ["llm", "a, set: { knowledge: { folders: [lib:runbooks] } }"] {
        assert_eq!((bounds(&team(8, agent)).4, bounds(&team(4, agent)).4), (300, 600), "{agent}");
    }
    assert_eq!(bounds(&team(4, "a")).4, 300, "without tools it has its model's call only");
}

#[test]
fn the_attempts_of_every_scope_multiply_what_is_in_it() {
    // A relay of two seats of 10 s, tried twice with 2 s between.
    let text = graph(
        "nodes:\n  g: { nodes: { r: { relay: [ann, bob], max_handoffs: 1, timeout: 10s } }, retry: { max_attempts: 2, backoff: 2s } }\n",
    );
    assert_eq!((bounds(&text).0, bounds(&text).4), (40, 42));
}

const WORKERS: &str = "name: T\ncollaboration_pattern: coordinator_worker\ncoordinator: lead\n\
    member_agents: [{ agent: a, role: ann }, { agent: b, role: bob, set: { max_conversation_turns: 20 } }]\n\
    coordination_rules: { delegation: all, validate: [ann], max_revisions: 1, max_debate_rounds: 1, timeout_per_agent_seconds: 60 }\n";

#[test]
fn a_coordinator_worker_team_counts_work_debate_and_rounds_of_review() {
    // Work: 10 + 20, both at once. Review: 2 rounds of a synthesis and a vote, 6 each. Without a `settle` rule nobody debates.
    // Wall: 60 + 2 × (60 + 60).
    let plan = plan(WORKERS);
    let b = &plan.bounds;
    assert_eq!((b.turns, b.model_calls, b.wall_seconds), (30 + 24, 2 * 54, 300));
    let agents: Vec<_> = b.agents.iter().map(|a| (a.agent.as_str(), a.seats, a.turns)).collect();
    assert_eq!(agents, [("coordinator", 2, 12), ("ann", 1 + 2, 10 + 12), ("bob", 1, 20)]);
}

#[test]
fn a_settle_rule_may_debate_or_leave_to_the_coordinator_so_many_topics() {
    // Four topics of findings, each with a round of debate among two and a seat of the coordinator, 6 reserved turns a seat; the
    // two votes of the review may be left to the coordinator. Wall: a debate and the coordinator's look are 120 s a topic.
    let plan = plan(&format!("{WORKERS}rules: [settle.rhai]\n"));
    let b = &plan.bounds;
    assert_eq!((b.turns, b.wall_seconds), (54 + 4 * 18 + 2 * 6, 300 + 4 * 120 + 2 * 60));
}

#[test]
fn a_route_rule_may_give_every_sub_task_to_the_longest_in_a_row() {
    // 8 sub-tasks of at most 20 turns, and each may wait for the one before.
    let routed = format!("{}rules: [route.rhai]\n", WORKERS.replace("delegation: all, ", ""));
    let plan = plan(&routed);
    let b = &plan.bounds;
    assert_eq!((b.turns, b.wall_seconds), (8 * 20 + 24, 8 * 60 + 240));
    let agents: Vec<_> = b.agents.iter().map(|a| (a.agent.as_str(), a.turns)).collect();
    assert_eq!(agents, [("coordinator", 12), ("ann", 80 + 12), ("bob", 160)]);
}

#[test]
fn a_coordinator_that_delegates_may_do_so_again_and_every_sub_task_may_be_divided_and_checked() {
    // The lead has 12 turns to divide, and in each further round 12 to divide anew; a round is 8 sub-tasks of at most 20 turns.
    let team = |rules: &str| plan(&WORKERS.replace("delegation: all,", rules)).bounds;
    let b = team("");
    assert_eq!((b.turns, b.wall_seconds), (12 + 8 * 20 + 12 + 8 * 20 + 24, 60 + 8 * 60 + 60 + 8 * 60 + 240));
    let b = team("max_replans: 0,");
    assert_eq!((b.turns, b.wall_seconds), (12 + 8 * 20 + 24, 60 + 8 * 60 + 240));
    // Each of three sub-tasks is checked in 6 turns.
    let b = team("max_replans: 0, max_tasks: 3, check_done: true,");
    assert_eq!((b.turns, b.wall_seconds), (12 + 3 * (20 + 6) + 24, 60 + 3 * 120 + 240));
    // Two members make chains of two: below each of three sub-tasks are three more. Their time is that of whom they work for.
    let b = team("max_replans: 0, max_tasks: 3, max_depth: 5,");
    assert_eq!((b.turns, b.wall_seconds), (12 + (3 + 9) * 20 + 24, 60 + 3 * 60 + 240));
}

#[test]
fn a_relay_is_bounded_by_its_handoffs_where_a_rule_or_its_members_decide() {
    let relay = "name: T\ncollaboration_pattern: sequential\ncoordination_rules: { max_handoffs: 4, timeout_per_agent_seconds: 10 }\n\
                 member_agents: [{ agent: a, role: ann }, { agent: llm, role: bob }]\n";
    // Where nobody may hand over, each has its turn: 10 + 5. Else, five seats of the longest each way.
    let closed = format!("{relay}may_hand_off: {{ ann: [], bob: [] }}\n");
    assert_eq!(bounds(&closed).0, 15);
    for free in [relay.to_owned(), format!("{closed}rules: [own.rhai]\n"), format!("{relay}may_hand_off: {{ ann: [] }}\n")] {
        let free = bounds(&free);
        assert_eq!((free.0, free.4), (50, 50));
    }
}

#[test]
fn a_sub_team_counts_under_its_own_name() {
    let sub = graph("coordination_rules: { max_asks: 0 }\nnodes: { x: { agent: ann }, y: { agent: bob, after: x } }\n")
        .replace("name: T", "name: Sub");
    let text = graph("nodes:\n  e: { for_each: '[1]', max: 3, team: ./sub.yaml }\n  a: { agent: ann, after: e }\n");
    let plan = plan_of(&load_from(&sources().with("team.yaml", text).with("sub.yaml", sub)));
    let agents: Vec<_> = plan.bounds.agents.iter().map(|a| (a.agent.as_str(), a.turns)).collect();
    assert_eq!(agents, [("ann", 10), ("Sub/ann", 30), ("Sub/bob", 30)]);
}

#[test]
fn each_seat_may_have_so_many_questions_answered_by_whichever_colleague_takes_most() {
    let text = |members: &str| {
        format!("name: T\ncollaboration_pattern: parallel\nresult: {{ by: merge }}\nmember_agents: [{members}]\n")
    };
    let asks = |text: &str| bounds_of(&load_as_written(&sources().with("team.yaml", text)));
    let two = text("{ agent: a, role: ann }, { agent: llm, role: llm }");
    let ((turns, _, _, cost, wall), (quiet, _, _, own, quiet_wall)) = (asks(&two), bounds(&two));
    assert_eq!((turns - quiet, wall), (2 * 3 * 2, quiet_wall));
    // A fifth of what llm takes in its five turns is one turn.
    assert_eq!(cost.zip(own).map(|(all, own)| all - own), own.map(|own| own / 5 * 12));
    let alone = text("{ agent: a, role: ann }");
    assert_eq!(asks(&alone), bounds(&alone), "nobody is there to be asked");
}

#[test]
fn the_members_of_a_circle_have_their_turns_once_and_all_of_them_in_a_row_are_the_longest() {
    // Three seats of 10 turns; each turn may be an activation of its own, of 60 s at most.
    let text = graph("nodes:\n  c: { circle: [ann, bob, cid], timeout: 60s }\n");
    assert_eq!(bounds(&text), (30, 60, 0, Some(0), 30 * 60));
}
