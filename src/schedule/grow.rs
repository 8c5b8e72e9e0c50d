//! Which graphs are made while a session runs? Sub-tasks, seats of a relay, rounds of a debate.

use std::{collections::BTreeMap, sync::Arc};

use petgraph::{
    algo::toposort,
    graph::{DiGraph, NodeIndex},
    visit::EdgeRef,
};

use crate::{
    graph::{AgentNode, Edge, Graph, Member, Node, NodeKind, On, Phase, TeamPlan, TeamSeat},
    value::{Failure, FailureKind, Role, Subtask, TeamIx},
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
    let agent = AgentNode { brief: Some(brief), done_when, ..AgentNode::new(member.role.clone(), phase) };
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

/// How sub-tasks are handed out.
pub(super) struct Handout<'a> {
    /// How their nodes are timed and retried.
    pub like: &'a Node,
    /// The team, by number.
    pub ix: TeamIx,
    /// The team.
    pub team: &'a TeamPlan,
    /// One after another, in the order of the list as far as they do not wait for each other.
    pub one_by_one: bool,
    /// Who says whether one with `done_when` is done.
    pub check: Option<&'a Role>,
}

/// A DAG of sub-tasks, each followed by the node that checks it, where somebody does.
///
/// # Errors
/// An id twice, an agent that is not a member, a dependency on nothing, or a circle.
pub(super) fn subtasks(handout: &Handout<'_>, tasks: Vec<Subtask>) -> Result<Graph, Failure> {
    let Handout { like, ix, team, one_by_one, .. } = *handout;
    let wrong = |why: String| Failure::new(FailureKind::Rule, format!("the delegation is invalid: {why}"));
    let tasks = if one_by_one { in_order(tasks) } else { tasks };
    let mut dag: DiGraph<Node, Edge> = DiGraph::new();
    let mut by_id: BTreeMap<&str, _> = BTreeMap::new();
    for task in &tasks {
        let member = team.members.iter().find(|m| m.role == task.agent);
        let member = member.ok_or_else(|| wrong(format!("{} is given to {}, who is not a member", task.id, task.agent)))?;
        let mut node = activation(like, task.id.clone(), member, task.task.clone(), Phase::Work, task.done_when.clone());
        node.caught = !team.fail_fast;
        let work = dag.add_node(node);
        let check = checked(handout, task, &tasks, work).map(|node| dag.add_node(node));
        if let Some(check) = check {
            dag.add_edge(work, check, Edge { on: On::Ok });
        }
        if by_id.insert(&task.id, (work, check)).is_some() {
            return Err(wrong(format!("two sub-tasks are called {}", task.id)));
        }
    }
    for task in &tasks {
        for dependency in &task.depends_on {
            let from = by_id.get(&**dependency);
            let (from, check) =
                from.ok_or_else(|| wrong(format!("{} depends on {dependency}, which is no sub-task", task.id)))?;
            for from in std::iter::once(from).chain(check) {
                dag.update_edge(*from, by_id[&*task.id].0, Edge { on: On::Ok });
            }
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
    Ok(Graph { dag, output: None, team: ix, single: false, concurrency: None, rank })
}

/// The list, each after those that it waits for; a circle stays at the end.
fn in_order(mut tasks: Vec<Subtask>) -> Vec<Subtask> {
    let mut sorted: Vec<Subtask> = Vec::with_capacity(tasks.len());
    loop {
        let free = |task: &Subtask| task.depends_on.iter().all(|id| sorted.iter().any(|before| before.id == *id));
        let Some(next) = tasks.iter().position(free) else { break };
        sorted.push(tasks.remove(next));
    }
    sorted.extend(tasks);
    sorted
}

/// The node that checks a sub-task: an activation of somebody else than who does it.
fn checked(handout: &Handout<'_>, task: &Subtask, tasks: &[Subtask], work: NodeIndex) -> Option<Node> {
    let (Handout { like, team, .. }, done_when) = (handout, task.done_when.as_ref()?);
    let wanted = team.agent(handout.check?).into_iter();
    let checker = wanted.chain(&team.coordinator).chain(&team.members).find(|member| member.role != task.agent)?;
    let mut id = format!("{}_check", task.id);
    while tasks.iter().any(|other| *other.id == *id) {
        id.push('_');
    }
    let brief = format!(
        "Is this sub-task of {} done? Its result is the proposal. Approve only if it is; else object, and say what is missing.\n\n\
         The sub-task: {}\n\nIt is done when: {done_when}",
        task.agent, task.task
    );
    let mut node = activation(like, Arc::from(id), checker, Arc::from(brief), Phase::Validate, None);
    node.caught = !team.fail_fast;
    if let NodeKind::Agent(agent) = &mut node.kind {
        agent.proposal = u32::try_from(work.index()).ok();
        agent.check = true;
    }
    Some(node)
}
