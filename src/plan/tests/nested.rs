//! What do teams inside teams come to?

use super::{expand::shape, *};
use crate::{
    graph::{CIRCLE_RUNS, NodeKind, Phase},
    plan::{draw_mermaid, review},
    value::TeamIx,
};

/// A team of a coordinator and two agents: 2 × 10 turns of work and 6 of synthesis, each of 300 s.
const LAB: &str = "name: Lab\ncollaboration_pattern: coordinator_worker\ncoordinator: lead\n\
                   coordination_rules: { delegation: all, max_asks: 0 }\ninputs: { word: { type: string, default: none } }\n\
                   member_agents: [{ agent: a, role: x }, { agent: b, role: y }]\n";

/// A team of an agent and the lab, with `rest`.
fn outer(pattern: &str, rest: &str) -> MapSources {
    sources().with("lab.yaml", LAB).with("team.yaml", outer_text(pattern, rest))
}

fn outer_text(pattern: &str, rest: &str) -> String {
    let all = if matches!(pattern, "coordinator_worker" | "hierarchical") { "delegation: all, " } else { "" };
    format!(
        "name: T\ncollaboration_pattern: {pattern}\ncoordinator: lead\ncoordination_rules: {{ {all}max_asks: 0 }}\n\
         member_agents: [{{ agent: c, role: cid }}, {{ team: ./lab.yaml, role: lab, with: {{ word: input.word }} }}]\n\
         inputs: {{ word: {{ type: string, default: one }} }}\n{rest}"
    )
}

/// A relay in which nobody may hand over.
const CLOSED: &str = "may_hand_off: { cid: [], lab: [] }\n";

fn planned(sources: &MapSources) -> Plan {
    plan_of(&load_from(sources))
}

fn turns(sources: &MapSources) -> u64 {
    planned(sources).bounds.turns
}

#[test]
fn a_member_that_is_a_team_counts_with_all_its_agents_in_every_pattern() {
    let (cid, lab, sum) = (10, 26, 6);
    assert_eq!(turns(&outer("coordinator_worker", "")), cid + lab + sum);
    assert_eq!(turns(&outer("hierarchical", "")), cid + lab + sum);
    assert_eq!(turns(&outer("parallel", "result: { by: merge }\n")), cid + lab);
    assert_eq!(turns(&outer("sequential", CLOSED)), cid + lab);
    // Where its members or a rule may hand over, each turn of the relay may be the lab's.
    assert_eq!(turns(&outer("sequential", "")), lab * 9);
    assert_eq!(turns(&outer("sequential", &format!("rules: [own.rhai]\n{CLOSED}"))), lab * 9);
    assert_eq!(turns(&outer("peer_to_peer", "result: { by: merge }\n")), cid + lab * u64::from(CIRCLE_RUNS));
}

#[test]
fn whatever_the_coordinator_divides_may_go_to_the_team_each_time() {
    let (divide, lab, sum) = (12, 26, 6);
    for pattern in ["coordinator_worker", "hierarchical"] {
        let divided = |rules: &str| {
            let text = outer_text(pattern, "").replace("delegation: all, ", rules);
            turns(&outer(pattern, "").with("team.yaml", text))
        };
        // Two rounds of 8 sub-tasks, in the second of which it divides anew what failed.
        assert_eq!(divided(""), 2 * (divide + 8 * lab) + sum, "{pattern}");
        assert_eq!(divided("max_replans: 0, max_tasks: 3, "), divide + 3 * lab + sum);
        assert_eq!(divided("max_replans: 0, max_tasks: 3, check_done: lab, "), divide + 3 * (lab + 6) + sum);
        // The agent may give three parts of its own to the lab; the lab divides its own task by itself.
        assert_eq!(divided("max_replans: 0, max_tasks: 3, max_depth: 3, "), divide + 3 * (10 + 3 * lab) + sum);
    }
}

#[test]
fn bounds_multiply_with_each_level() {
    let middle = "name: Middle\ncollaboration_pattern: hierarchical\ncoordinator: lead\ncoordination_rules: { delegation: all, max_asks: 0 }\n\
                  member_agents: [{ team: ./lab.yaml, role: one }, { team: ./lab.yaml, role: two }]\n";
    let top = middle.replace("Middle", "Top").replace("./lab.yaml", "./middle.yaml");
    let plan = planned(&sources().with("lab.yaml", LAB).with("middle.yaml", middle).with("team.yaml", top));
    assert_eq!(plan.bounds.turns, 2 * (2 * 26 + 6) + 6);
    // A lab takes its work and its synthesis, and each level adds a synthesis of its own.
    assert_eq!(plan.bounds.wall_seconds, 4 * 300);
    assert_eq!(plan.teams.len(), 1 + 2 + 4);
}

#[test]
fn the_coordinator_of_a_team_votes_for_it_and_makes_a_result_for_it() {
    let plan = planned(&outer("coordinator_worker", "result: { by: rapporteur, rapporteur: lab }\n"));
    let phases: Vec<(&str, Phase)> = plan
        .graphs
        .iter()
        .filter(|g| g.team == TeamIx(0))
        .flat_map(|g| g.dag.node_weights())
        .filter_map(|n| match &n.kind {
            NodeKind::Agent(agent) => Some((agent.role.as_str(), agent.phase)),
            NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) | NodeKind::Scope(_) => None,
        })
        .collect();
    assert_eq!(phases, [("lab", Phase::Synthesize)]);
    assert_eq!(&*plan.teams[0].members[1].profile.name, "Lead");
}

#[test]
fn a_hierarchy_without_a_team_in_it_is_none() {
    let text = graph("").replace(" graph", " hierarchical");
    let expected = "team.yaml: error[missing-key]: a `hierarchical` team needs a member that is a team: all of these are agents\n  \
                    write `- { team: FILE, role: ID }` for a member, or take `coordinator_worker`\n";
    assert_eq!(said(&text), expected);
}

#[test]
fn the_running_time_of_a_team_inside_another_ends_its_scope() {
    let limited = |text: &str| text.replace("name: Lab\n", "name: Lab\nlimits: { wall_seconds: 40 }\n");
    let all = |pattern: &str, rest| outer(pattern, rest).with("lab.yaml", limited(LAB));
    // The agent beside it takes 300 s, and whoever makes the result as long again.
    assert_eq!(planned(&all("coordinator_worker", "")).bounds.wall_seconds, 600);
    assert_eq!(planned(&all("sequential", CLOSED)).bounds.wall_seconds, 340);
    let nodes = graph("nodes: { only: { team: ./lab.yaml } }\n");
    let plan = planned(&sources().with("lab.yaml", limited(LAB)).with("team.yaml", nodes));
    assert_eq!(node(&plan, 0, 0).timeout, Some(std::time::Duration::from_secs(40)));
    assert_eq!(plan.bounds.wall_seconds, 40);
}

#[test]
fn inputs_of_a_member_that_grows_see_the_inputs_of_its_team_alone() {
    let nodes = "nodes:\n  a: { agent: cid }\n  r: { relay: [cid, lab], max_handoffs: 1, after: a }\n";
    let sources = outer("graph", nodes);
    let plan = planned(&sources);
    assert_eq!(&*plan.teams[0].members[1].team.as_ref().unwrap().with[0].1.source, "input.word");
    let wrong = outer("graph", nodes).with(
        "team.yaml",
        graph(nodes).replace(
            "{ agent: b, role: bob }, { agent: c, role: cid }",
            "{ agent: c, role: cid }, { team: ./lab.yaml, role: lab, with: { word: a.output } }",
        ),
    );
    let told = said_of(&load_from(&wrong));
    assert!(told.contains("error[unknown-name]: `a` is neither a node nor anything else that is known here"), "{told}");
}

#[test]
fn a_drawing_shows_what_members_that_are_teams_run() {
    let plan = planned(&outer("peer_to_peer", "result: { by: merge }\n"));
    let page = draw_mermaid(&plan);
    assert!(page.contains("a circle of cid, lab, at most 3 runs of lab"), "{page}");
    assert!(page.contains("circle/lab/*/synthesize"), "{page}");
    let machine = Machine { tools: &[], effect: &effect, models: &models() };
    let agents: Vec<String> = review(&plan, &machine).permissions.into_iter().map(|p| p.path.join(" → ")).collect();
    assert_eq!(
        agents,
        ["coordinator", "cid", "lab", "circle/lab → coordinator", "circle/lab → coordinator → x", "circle/lab → coordinator → y"]
    );
}

#[test]
fn a_team_of_teams_keeps_its_plan_when_spelled_out() {
    for pattern in ["coordinator_worker", "hierarchical", "sequential", "peer_to_peer", "parallel"] {
        let sources = outer(pattern, "");
        let text = crate::plan::expand(&load_from(&sources)).unwrap_or_else(|found| panic!("{}", render(&found, false)));
        let written = sources.clone().with("team.yaml", &text);
        assert_eq!(shape(&planned(&written)), shape(&planned(&sources)), "{text}");
    }
}

#[test]
fn a_limit_on_cost_reaches_the_agents_of_every_team_inside() {
    let lab = LAB.replace("{ agent: a, role: x }", "{ agent: local, role: x }");
    let limited = |from: &str, to: &str| {
        let sources = outer("hierarchical", "").with("lab.yaml", lab.clone());
        let text = outer_text("hierarchical", "").replace(from, to);
        said_of(&load_from(&sources.with("team.yaml", text)))
    };
    let expected = "`limits.cost_usd` of $1.0000 cannot be kept: `local` has no price";
    assert!(limited("name: T", "name: T\nlimits: { cost_usd: 1 }").contains(expected));
    assert!(limited("role: lab,", "role: lab, limits: { cost_usd: 1 },").contains(expected));
    assert!(!limited("role: cid", "role: cid, limits: { cost_usd: 1 }").contains("no price"));
}
