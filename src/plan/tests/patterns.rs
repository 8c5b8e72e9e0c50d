//! What does each pattern come to?

use super::*;
use crate::{
    graph::{GateBy, Join, NodeKind, Phase, ScopeKind},
    plan::draw_text,
};

const INCIDENT: &str = r#"
name: Incident
collaboration_pattern: coordinator_worker
coordinator: lead
member_agents: [{ agent: a, role: security }, { agent: b, role: cost }]
coordination_rules: { validate: [security], max_revisions: 2, timeout_per_agent_seconds: 60 }
"#;

#[test]
fn coordinator_worker_becomes_delegate_work_settle_and_rounds_of_review() {
    insta::assert_snapshot!(draw_text(&plan(INCIDENT)));
}

#[test]
fn a_route_rule_decides_the_sub_tasks_up_to_max_tasks() {
    let plan = plan(&format!("{INCIDENT}rules: [route.rhai]\n"));
    assert!(matches!(&node(&plan, 0, 0).kind, NodeKind::Gate(GateBy::Rule(crate::value::RuleKind::Route))));
    let NodeKind::Scope(work) = &node(&plan, 0, 1).kind else { panic!("work is a scope") };
    assert!(matches!(&**work, ScopeKind::Subtasks { max: 8, one_by_one: false, quorum: None, .. }));
}

#[test]
fn who_divides_the_task_is_the_file_s_to_say() {
    let by = |rules: &str, scripts: &str| {
        let plan = plan(&format!("{}{scripts}", INCIDENT.replace("max_revisions: 2", rules)));
        let NodeKind::Scope(work) = &node(&plan, 0, 1).kind else { panic!("work is a scope") };
        let ScopeKind::Subtasks { max, replan, check, .. } = &**work else { panic!("of sub-tasks") };
        let who = match &node(&plan, 0, 0).kind {
            NodeKind::Agent(agent) => agent.phase.name(),
            NodeKind::Gate(GateBy::Rule(_)) => "rule",
            NodeKind::Gate(GateBy::Members(..)) => "all",
            other => other.name(),
        };
        (who, *max, replan.map(|replan| (replan.by, replan.max)), check.as_ref().map(ToString::to_string))
    };
    let routed = "rules: [route.rhai]\n";
    use crate::graph::Divider::{Coordinator, Rule};
    assert_eq!(by("max_tasks: 1", ""), ("delegate", 2, Some((Coordinator, 1)), None), "all of them are the fallback");
    assert_eq!(by("max_tasks: 4, check_done: cost", routed), ("rule", 4, None, Some("cost".to_owned())));
    assert_eq!(by("max_replans: 2", routed), ("rule", 8, Some((Rule, 2)), None));
    assert_eq!(
        by("delegation: coordinator, max_replans: 0, check_done: true", routed),
        ("delegate", 8, None, Some("coordinator".to_owned()))
    );
    assert_eq!(by("delegation: all", routed), ("all", 2, None, None));
}

#[test]
fn without_validators_the_coordinator_synthesizes_once() {
    let plan = plan(&INCIDENT.replace("validate: [security]", "validate: []"));
    let last = plan.graphs[0].dag.node_weights().last().unwrap();
    assert_eq!((&*last.id, plan.graphs.len()), ("synthesize", 1));
    let NodeKind::Agent(agent) = &last.kind else { panic!("an agent synthesizes") };
    assert_eq!((agent.role.as_str(), agent.phase), ("coordinator", Phase::Synthesize));
}

#[test]
fn coordinator_worker_needs_a_coordinator_and_room_for_its_members() {
    let team = INCIDENT.replace("max_revisions: 2", "delegation: all, max_tasks: 1");
    let expected = "team.yaml: error[out-of-range]: 2 members work on the task at once, and `max_tasks` is 1\n  \
                    write `max_tasks: 2`, or let the coordinator or a `route` rule divide the work\n";
    assert_eq!(said(&team), expected);
    let expected = "team.yaml: error[unknown-rule]: `delegation: rule` needs a function `route`, and no script of this team defines one\n  \
                    add it to the team's `rules`, or write `delegation: coordinator`\n";
    assert_eq!(said(&INCIDENT.replace("max_revisions: 2", "delegation: rule")), expected);
}

#[test]
fn sequential_becomes_a_relay_by_priority() {
    let text = "name: T\ncollaboration_pattern: sequential\ncoordination_rules: { max_handoffs: 3 }\n\
                member_agents: [{ agent: a, role: ann, priority: 2 }, { agent: b, role: bob, priority: 1 }]\n";
    insta::assert_snapshot!(draw_text(&plan(text)));
}

const PARALLEL: &str = "name: T\ncollaboration_pattern: parallel\nresult: { by: merge }\n\
    member_agents: [{ agent: a, role: merge }, { agent: b, role: bob }, { agent: c, role: cid }]\n";

#[test]
fn parallel_runs_all_at_once_and_merges_beside_a_member_called_merge() {
    insta::assert_snapshot!(draw_text(&plan(PARALLEL)));
}

#[test]
fn parallel_with_a_quorum_goes_on_when_so_many_have_succeeded() {
    let plan = plan(&format!("{PARALLEL}coordination_rules: {{ quorum: 2, wait_for_all: false, stragglers: leave }}\n"));
    let last = plan.graphs[0].dag.node_weights().last().unwrap();
    assert_eq!((last.join, last.stragglers), (Join::Quorum(2), crate::graph::Stragglers::Leave));
}

#[test]
fn parallel_may_vote_or_let_a_rapporteur_write() {
    let vote = plan(&PARALLEL.replace("by: merge", "vote: { protocol: majority, tie: bob }"));
    let NodeKind::Scope(settle) = &vote.graphs[0].dag.node_weights().last().unwrap().kind else { panic!("a scope") };
    let ScopeKind::Settle(settle) = &**settle else { panic!("a vote settles") };
    assert_eq!((settle.protocol, settle.tie.as_ref().unwrap().as_str()), (crate::graph::VoteProtocol::Majority, "bob"));
    assert_eq!(&*vote.graphs[0].output.as_ref().unwrap().source, "settle.output");
    let report = plan(&PARALLEL.replace("by: merge", "rapporteur: cid"));
    let NodeKind::Agent(agent) = &report.graphs[0].dag.node_weights().last().unwrap().kind else { panic!("an agent") };
    assert_eq!((agent.role.as_str(), agent.phase), ("cid", Phase::Synthesize));
}

#[test]
fn peer_to_peer_is_a_circle_whose_findings_are_settled_before_the_result_is_made() {
    let plan = plan(&PARALLEL.replace("collaboration_pattern: parallel", "collaboration_pattern: peer_to_peer"));
    let dag = &plan.graphs[0].dag;
    let ids: Vec<&str> = dag.node_weights().map(|node| &*node.id).collect();
    assert_eq!(ids, ["circle", "settle", "merge"]);
    let NodeKind::Scope(circle) = &dag.node_weights().next().unwrap().kind else { panic!("a scope") };
    assert!(matches!(&**circle, ScopeKind::Circle { members, .. } if members.len() == 3));
}
