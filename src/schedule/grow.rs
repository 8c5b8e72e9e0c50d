//! Which graphs are made while a session runs? Sub-tasks, seats of a relay, rounds of a debate.

use std::{collections::BTreeMap, sync::Arc};

use petgraph::{algo::toposort, graph::DiGraph, visit::EdgeRef};

use crate::{
    graph::{AgentNode, Edge, Graph, Member, Node, NodeKind, On, Phase, TeamSeat},
    value::{Failure, FailureKind, Subtask, TeamIx},
};

/// A node that says nothing of how an activation is timed and retried.
pub(super) fn plain() -> Node {
    Node::new("like", NodeKind::Gate(crate::graph::GateBy::Members(crate::value::RuleKind::Merge, Vec::new())))
}

/// A graph with one activation of an agent, or one run of a team.
pub(super) fn seat(like: &Node, member: &Member, team: TeamIx, brief: Arc<str>, phase: Phase) -> Graph {
    let mut dag = DiGraph::new();
    dag.add_node(activation(like, member.role.0.clone(), member, brief, phase, None));
    Graph { dag, output: None, team, single: true, concurrency: None, rank: vec![1] }
}

/// A member does what the brief says: an agent in an activation, a team in a run of its own. In all but its work the team's
/// coordinator speaks for it.
fn activation(like: &Node, id: Arc<str>, member: &Member, brief: Arc<str>, phase: Phase, done_when: Option<Arc<str>>) -> Node {
    if let (Some(team), Phase::Work) = (&member.team, phase) {
        let seat = TeamSeat { member: member.role.clone(), task: None, brief: Some(brief), done_when, open: team.open };
        return team.run(id, seat);
    }
    let agent = AgentNode {
        role: member.role.clone(),
        task: None,
        brief: Some(brief),
        phase,
        done_when,
        proposal: None,
        max_turns: None,
        live: false,
    };
    Node {
        id,
        kind: NodeKind::Agent(Box::new(agent)),
        writes: member.writes.clone(),
        caught: true,
        retry: like.retry.clone(),
        timeout: like.timeout,
        ..plain()
    }
}

/// A DAG of sub-tasks.
///
/// # Errors
/// An id twice, an agent that is not a member, a dependency on nothing, or a circle.
pub(super) fn subtasks(
    like: &Node,
    members: &[Member],
    team: TeamIx,
    tasks: &[Subtask],
    one_by_one: bool,
    caught: bool,
) -> Result<Graph, Failure> {
    let wrong = |why: String| Failure::new(FailureKind::Rule, format!("the delegation is invalid: {why}"));
    let mut dag: DiGraph<Node, Edge> = DiGraph::new();
    let mut by_id: BTreeMap<&str, _> = BTreeMap::new();
    for task in tasks {
        let member = members.iter().find(|m| m.role == task.agent);
        let member = member.ok_or_else(|| wrong(format!("{} is given to {}, who is not a member", task.id, task.agent)))?;
        let mut node = activation(like, task.id.clone(), member, task.task.clone(), Phase::Work, task.done_when.clone());
        node.caught = caught;
        let ix = dag.add_node(node);
        if by_id.insert(&task.id, ix).is_some() {
            return Err(wrong(format!("two sub-tasks are called {}", task.id)));
        }
    }
    for task in tasks {
        for dependency in &task.depends_on {
            let from = by_id.get(&**dependency);
            let from = from.ok_or_else(|| wrong(format!("{} depends on {dependency}, which is no sub-task", task.id)))?;
            dag.update_edge(*from, by_id[&*task.id], Edge { on: On::Ok });
        }
    }
    if one_by_one {
        let order: Vec<_> = dag.node_indices().collect();
        for pair in order.windows(2) {
            if !dag.contains_edge(pair[0], pair[1]) {
                dag.add_edge(pair[0], pair[1], Edge { on: On::Done });
            }
        }
    }
    let order = toposort(&dag, None).map_err(|cycle| {
        let id = &dag[cycle.node_id()].id;
        wrong(format!("{id} depends on itself"))
    })?;
    let mut rank = vec![1_u32; dag.node_count()];
    for node in order.into_iter().rev() {
        let next = dag.edges(node).map(|edge| rank[edge.target().index()]).max().unwrap_or(0);
        rank[node.index()] = next.saturating_add(1);
    }
    Ok(Graph { dag, output: None, team, single: false, concurrency: None, rank })
}
