//! `route(facts)`: which sub-tasks are there, and who does them?

use std::{collections::BTreeMap, sync::Arc};

use super::{Fields, Wrong, a, known_role, roles, sample_agents, sample_inputs, sample_task};
use crate::value::{Role, RouteFacts, Subtask, Value, Verdict};

pub(super) const SHAPE: &str = "a list of #{ id: text, agent: role (or skills: [text]), task: text, done_when: text (optional), depends_on: [id] (optional) }";

const FIELDS: [&str; 6] = ["id", "agent", "skills", "task", "done_when", "depends_on"];

pub(super) fn samples() -> Vec<RouteFacts> {
    let facts = RouteFacts {
        task: sample_task(),
        inputs: sample_inputs(),
        node: "route".into(),
        input: Value::map::<String>([]),
        agents: sample_agents(),
        max_tasks: Some(8),
    };
    let unbounded = RouteFacts { max_tasks: None, ..facts.clone() };
    vec![facts, unbounded]
}

pub(super) fn verdict(said: &Value, facts: &Value) -> Result<Verdict, Wrong> {
    let items = said.as_list().ok_or_else(|| Wrong::Shape(format!("the verdict is {}; expected {SHAPE}", a(said))))?;
    if let Some(max) = facts.get("max_tasks").and_then(Value::as_int)
        && items.len() as i64 > max
    {
        return Err(Wrong::Facts(format!("{} sub-tasks; the team allows {max}", items.len())));
    }
    let agents = roles(facts, "agents");
    let mut subtasks = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        subtasks.push(subtask(item, index, facts, &agents)?);
    }
    check_ids(&subtasks)?;
    Ok(Verdict::Route(subtasks))
}

fn subtask(item: &Value, index: usize, facts: &Value, agents: &[&str]) -> Result<Subtask, Wrong> {
    let at = format!("[{index}]");
    let fields = Fields::of(item, &at, SHAPE, &FIELDS)?;
    let id = fields.text("id")?;
    if !is_id(id) {
        return Err(Wrong::Shape(format!("`{at}.id` is \"{id}\"; an id starts with a letter a to z, then a to z, 0 to 9 and _")));
    }
    let skills = fields.texts("skills")?;
    let agent = match fields.optional_text("agent")? {
        Some(agent) => known_role(agent, agents, "the agent")?,
        None if skills.is_empty() => {
            return Err(Wrong::Shape(format!("`{at}` names neither `agent` nor `skills`; expected {SHAPE}")));
        }
        None => most_skilled(&skills, facts)
            .ok_or_else(|| Wrong::Facts(format!("nobody has one of the skills {}", skills.join(", "))))?,
    };
    Ok(Subtask {
        id: Arc::from(id),
        agent: Role::new(agent),
        task: Arc::from(fields.text("task")?),
        done_when: fields.optional_text("done_when")?.map(Arc::from),
        depends_on: fields.texts("depends_on")?.into_iter().map(Arc::from).collect(),
    })
}

/// The agent with most of these skills; of several, the first. Skills are compared without regard to case.
fn most_skilled<'a>(skills: &[&str], facts: &'a Value) -> Option<&'a str> {
    let agents = facts.get("agents").and_then(Value::as_list).unwrap_or_default();
    let mut best: Option<(usize, &str)> = None;
    for agent in agents {
        let has = agent.get("skills").and_then(Value::as_list).unwrap_or_default();
        let matching = skills
            .iter()
            .filter(|wanted| has.iter().filter_map(Value::as_str).any(|skill| skill.eq_ignore_ascii_case(wanted)))
            .count();
        if matching > best.map_or(0, |(most, _)| most) {
            best = agent.get("role").and_then(Value::as_str).map(|role| (matching, role));
        }
    }
    best.map(|(_, role)| role)
}

fn is_id(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Ids are unique, and what a sub-task waits for exists and does not wait for it in turn.
fn check_ids(subtasks: &[Subtask]) -> Result<(), Wrong> {
    let mut waits: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for subtask in subtasks {
        if waits.insert(&subtask.id, subtask.depends_on.iter().map(|id| &**id).collect()).is_some() {
            return Err(Wrong::Shape(format!("the id `{}` stands here twice", subtask.id)));
        }
    }
    for subtask in subtasks {
        if let Some(unknown) = subtask.depends_on.iter().find(|id| !waits.contains_key(&***id)) {
            return Err(Wrong::Shape(format!("`{}` depends on `{unknown}`, which is not there", subtask.id)));
        }
    }
    loop {
        let free: Vec<&str> = waits.iter().filter(|(_, on)| on.is_empty()).map(|(id, _)| *id).collect();
        if free.is_empty() {
            break;
        }
        waits.retain(|id, _| !free.contains(id));
        waits.values_mut().for_each(|on| on.retain(|id| !free.contains(id)));
    }
    match waits.keys().next() {
        Some(_) => Err(Wrong::Shape(format!(
            "{} wait for each other",
            waits.keys().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
        ))),
        None => Ok(()),
    }
}
