//! What does a node of the graph language come to? [`resolve`] finds out what it does, and that its keys belong to that.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    AskSpec, Body, Code, Coordination, Diagnostic, NodeSpec, Text, ToolSpecNode, What,
    load::Loader,
    node_file::{NodeFile, RepeatFile, Short},
    read::{Found, Spot},
    resolve::{nodes_of, role_of, roles_of, sub_team, with, writes},
    rules::{check_done, retry},
    scalar::{Id, Whole, describe, id_help, is_id},
    suggest::{count as counted, list},
    tree::{Key, quoted},
};
use crate::{
    graph::{Deadline, Join, Phase, Replan},
    value::{Map, Place, Role, Value},
};

/// What surrounds a node.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    /// The team's agents.
    pub(super) roles: &'a BTreeSet<Role>,
    /// Where bounds come from that a node does not name.
    pub(super) coordination: &'a Coordination,
    /// What the names of agents in teams below start with in overrides.
    pub(super) path: &'a str,
}

/// What nodes do, each named by its key, with the keys that belong to it.
pub(super) const KINDS: [(&str, &[&str]); 11] = [
    ("agent", &["task", "phase", "proposal", "done_when", "max_turns", "live", "reuse"]),
    ("tool", &["args", "effect", "reuse"]),
    ("gate", &[]),
    ("rule", &["members"]),
    ("ask", &["options", "deadline", "default", "to", "notify"]),
    ("subtasks", &["max", "one_by_one", "quorum", "deadline", "at_least", "replan", "check_done"]),
    ("relay", &["max_handoffs"]),
    ("circle", &["deadline", "at_least"]),
    ("settle", &["members", "max_debate_rounds", "protocol", "tie"]),
    ("team", &["with"]),
    ("nodes", &["output"]),
];
/// Loops around what a node does.
const LOOPS: [(&str, &[&str]); 2] = [("for_each", &["as", "max", "parallel", "deadline", "at_least"]), ("repeat", &[])];
/// Keys of every node.
const COMMON: [&str; 12] = [
    "after",
    "join",
    "short",
    "stragglers",
    "input",
    "on_error",
    "retry",
    "timeout",
    "allow_failure",
    "concurrency",
    "writes",
    "expect_seconds",
];
/// Names that mean something else in expressions.
const RESERVED: [&str; 6] = ["input", "output", "status", "error", "item", "round"];

/// The node of that id; `None` only after an error was reported.
pub(super) fn resolve(key: &Key, file: &NodeFile, scope: &Scope<'_>, loader: &mut Loader<'_>) -> Option<NodeSpec> {
    check_id(key, &mut loader.found);
    let (kind, around) = kind_of(key, file, &mut loader.found)?;
    check_keys(file, kind, around, &mut loader.found);
    check_join(file, &mut loader.found);
    let id = &key.name;
    let what = match around {
        None => what(key, kind, file, scope, loader)?,
        Some("repeat") => {
            let repeat = file.repeat.as_ref()?;
            let max = bound(&repeat.max, &repeat.keys, "repeat", &file_key(file, "repeat", key), &mut loader.found);
            let body = body(key, kind, file, scope, loader);
            let RepeatFile { until, .. } = repeat;
            What::Repeat { max: max?, until: until.as_ref().map(|e| e.0.clone()), body: body? }
        }
        Some(_) => {
            let max = bound(&file.max, &file.keys, "for_each", &file_key(file, "for_each", key), &mut loader.found);
            let name = item_name(file.r#as.as_ref(), &mut loader.found);
            let body = body(key, kind, file, scope, loader);
            let parallel = file.parallel.map(Whole::count);
            What::ForEach { items: file.for_each.as_ref()?.0.clone(), name, max: max?, parallel, body: body? }
        }
    };
    // In a loop over one node, what concerns an attempt concerns each instance and not the loop.
    let single = around.is_some() && !matches!(kind, "nodes" | "team");
    Some(spec(id, &key.place, what, file, !single, true))
}

/// What stands in for a node with mistakes, so that others may name it and its conditions are checked.
pub(super) fn stand_in(key: &Key, file: Option<&NodeFile>) -> NodeSpec {
    let what = What::Gate(Text { source: Arc::from("()"), place: key.place.clone() });
    let node = spec(&key.name, &key.place, what, file.unwrap_or(&NodeFile::default()), true, true);
    NodeSpec { concurrency: None, writes: Vec::new(), ..node }
}

/// A node with the common keys: those of an attempt where `attempt`, those of its place in the graph where `placed`.
fn spec(id: &Arc<str>, place: &Place, what: What, file: &NodeFile, attempt: bool, placed: bool) -> NodeSpec {
    let grows = match &what {
        What::Subtasks { .. } | What::Circle { .. } => true,
        // The deadline of a question that is asked for each item is the question's.
        What::ForEach { .. } => file.ask.is_none(),
        What::Agent { .. } | What::Tool(_) | What::Gate(_) | What::Rule { .. } | What::Ask(_) => false,
        What::Repeat { .. } | What::Group { .. } | What::Relay { .. } | What::Settle { .. } => false,
    };
    let at_least = file.at_least.map_or(1, Whole::count);
    let deadline = file.deadline.filter(|_| grows).map(|span| Deadline { after: span.0, at_least });
    NodeSpec {
        id: id.clone(),
        place: place.clone(),
        what,
        after: file.after.as_ref().filter(|_| placed).map_or_else(Vec::new, |a| a.0.clone()),
        join: file.join.filter(|_| placed).map_or(Join::All, |j| j.join),
        join_deadline: file.join.filter(|_| placed).and_then(|j| j.deadline),
        work_deadline: deadline.filter(|_| placed),
        short_run: placed && file.short == Some(Short::Run),
        stragglers: file.stragglers.filter(|_| placed).unwrap_or_default(),
        input: file.input.as_ref().filter(|_| attempt).map(|e| e.0.clone()),
        on_error: file.on_error.as_ref().filter(|_| placed).map(|id| (id.value.0.clone(), id.place.clone())),
        retry: if attempt { retry(file.retry.as_ref()) } else { None },
        timeout: file.timeout.filter(|_| attempt).map(|s| s.0),
        allow_failure: placed && file.allow_failure.unwrap_or(false),
        concurrency: file.concurrency.filter(|_| placed).map(Whole::count),
        writes: if attempt { writes(file.writes.as_ref()) } else { Vec::new() },
        reuse: file.reuse.filter(|_| attempt).map(|reuse| reuse.0).unwrap_or_default(),
        expect_seconds: file.expect_seconds.map(|s| u32::try_from(s.0.as_secs().max(1)).unwrap_or(u32::MAX)),
    }
}

/// What a loop runs.
fn body(key: &Key, kind: &'static str, file: &NodeFile, scope: &Scope<'_>, loader: &mut Loader<'_>) -> Option<Body> {
    match what(key, kind, file, scope, loader)? {
        What::Group { body } => Some(body),
        what => Some(Body::One(Box::new(spec(&key.name, &key.place, what, file, true, false)))),
    }
}

fn check_id(key: &Key, found: &mut Found) {
    if !is_id(&key.name) {
        found.push(key.error(Code::BadId, format!("{} is not an id", quoted(&key.name))).help(id_help(&key.name)));
    } else if RESERVED.contains(&&*key.name) {
        let error = key.error(Code::BadId, format!("`{}` means something else in expressions", key.name));
        found.push(error.help(format!("reserved are {}", list(&RESERVED))));
    }
}

/// What an item is called in the body of a `for_each`.
fn item_name(written: Option<&Spot<Id>>, found: &mut Found) -> Arc<str> {
    let Some(name) = written else { return Arc::from("item") };
    if RESERVED.contains(&&*name.value.0) && &*name.value.0 != "item" {
        found.push(name.error(Code::BadId, format!("`{}` means something else in expressions", name.value.0)));
    }
    name.value.0.clone()
}

/// What the node does, and the loop around it.
fn kind_of(key: &Key, file: &NodeFile, found: &mut Found) -> Option<(&'static str, Option<&'static str>)> {
    let keys = |names: &[(&'static str, &'static [&'static str])]| -> Vec<(&'static str, Key)> {
        names.iter().filter_map(|(name, _)| Some((*name, file.keys.get(name)?.clone()))).collect()
    };
    let (kinds, loops) = (keys(&KINDS), keys(&LOOPS));
    for (what, several) in [("does one thing", &kinds), ("is in one loop", &loops)] {
        if let [(first, at), (second, again), ..] = several.as_slice() {
            found.push(
                again
                    .error(Code::NodeKind, format!("a node {what}, and `{}` has `{first}` and `{second}`", key.name))
                    .label("a second one")
                    .related(&at.place, "the first")
                    .help("make two nodes, or put one into the other's `nodes`"),
            );
            return None;
        }
    }
    let around = loops.first().map(|(name, _)| *name);
    match (kinds.first(), around) {
        (Some((kind @ "subtasks", at)), Some(around)) => {
            let error = at.error(Code::NodeKind, format!("`{kind}` stands in a loop of its own"));
            found.push(error.help(format!("put it into the `nodes` of `{around}`")));
            None
        }
        (Some((kind, _)), around) => Some((kind, around)),
        (None, _) => {
            // A mistyped key is what it was meant to do, and was reported.
            let mistyped = file.keys.iter().any(|key| !NodeFile::KEYS.contains(&&*key.name));
            if !mistyped {
                let kinds: Vec<_> = KINDS.iter().map(|(name, _)| *name).collect();
                let error = key.error(Code::NodeKind, format!("the node `{}` does nothing", key.name));
                found.push(error.help(format!("say what it does with one of {}", list(&kinds))));
            }
            None
        }
    }
}

/// Keys that belong to another kind of node have no effect here.
fn check_keys(file: &NodeFile, kind: &str, around: Option<&str>, found: &mut Found) {
    let of = |(name, _): &&(&str, &[&str])| *name == kind || Some(*name) == around;
    let allowed: Vec<&str> =
        KINDS.iter().chain(&LOOPS).filter(of).flat_map(|(name, keys)| keys.iter().copied().chain([*name])).collect();
    for key in file.keys.iter().filter(|k| NodeFile::KEYS.contains(&&*k.name)) {
        let name = &*key.name;
        if !allowed.contains(&name) && !COMMON.contains(&name) {
            let owners: Vec<_> =
                KINDS.iter().chain(&LOOPS).filter(|(_, keys)| keys.contains(&name)).map(|(owner, _)| *owner).collect();
            let message = format!("`{name}` belongs to {}, and this node has `{kind}`", list(&owners));
            found.push(
                key.error(Code::UnknownKey, message)
                    .label("has no effect here")
                    .help("remove it, or move it to the node it is meant for"),
            );
        }
    }
}

/// A join counts dependencies that are there.
fn check_join(file: &NodeFile, found: &mut Found) {
    if let Some(key) = file.keys.get("at_least").filter(|_| file.deadline.is_none() && file.keys.get("deadline").is_none()) {
        let error = key.error(Code::MissingKey, "`at_least` counts what is there when a deadline passes, and there is none");
        found.push(error.help("add `deadline: 30s`, or remove `at_least`"));
    }
    let edges = file.after.as_ref().map_or(0, |a| a.0.len());
    let Some(join) = &file.join else { return };
    let Some(key) = file.keys.get("join") else { return };
    if let Some(Deadline { at_least, .. }) = join.deadline
        && at_least as usize > edges
    {
        let error = key.error(Code::OutOfRange, format!("at least {at_least} cannot be met by {}", counted(edges, "dependency")));
        found.push(error.help("name more nodes in `after`, or lower `at_least`"));
    }
    match join.join {
        Join::All | Join::Any => {}
        Join::Quorum(count) if count as usize > edges => {
            let error =
                key.error(Code::OutOfRange, format!("a quorum of {count} cannot be met by {}", counted(edges, "dependency")));
            found.push(error.help("name more nodes in `after`, or lower the quorum"));
        }
        Join::Quorum(_) => {}
    }
}

/// The place of a key of the node, else of the node.
fn file_key(file: &NodeFile, name: &str, key: &Key) -> Key {
    file.keys.get(name).unwrap_or(key).clone()
}

/// The bound of a loop, which must be there.
fn bound(max: &Option<super::file::Positive>, keys: &super::read::Keys, name: &str, at: &Key, found: &mut Found) -> Option<u32> {
    if max.is_none() && keys.get("max").is_none() {
        let help = if name == "repeat" {
            "write `repeat: { max: 3, until: \"…\" }`"
        } else {
            "add `max: N`: more items fail the node"
        };
        found.push(at.error(Code::MissingBound, format!("`{name}` needs the key `max`")).label("no bound").help(help));
    }
    max.map(Whole::count)
}

fn what(key: &Key, kind: &str, file: &NodeFile, scope: &Scope<'_>, loader: &mut Loader<'_>) -> Option<What> {
    Some(match kind {
        "agent" => What::Agent {
            role: {
                let written = file.agent.as_ref()?;
                role_of(written, scope.roles, &mut loader.found).unwrap_or_else(|| Role(written.value.0.clone()))
            },
            task: file.task.as_ref().map(|t| t.0.clone()),
            phase: match file.phase {
                Some(Phase::Answer) => {
                    let message = "an agent answers where a colleague asks it: that is no phase of a node";
                    let help = "`work` is what an agent does where no phase stands";
                    loader.found.push(Diagnostic::error(Code::InvalidValue, &key.place, message).help(help));
                    Phase::Work
                }
                phase => phase.unwrap_or_default(),
            },
            proposal: file.proposal.as_ref().map(|id| (id.value.0.clone(), id.place.clone())),
            done_when: file.done_when.as_ref().map(|w| w.0.clone()),
            max_turns: file.max_turns.map(Whole::count),
            live: file.live.unwrap_or(false),
        },
        "tool" => What::Tool(tool(file, loader)?),
        "gate" => What::Gate(file.gate.as_ref()?.0.clone()),
        "rule" => What::Rule { name: file.rule.as_ref()?.value.0.clone(), members: members(file, scope, &mut loader.found) },
        "ask" => What::Ask(ask(file, &mut loader.found)?),
        "subtasks" => What::Subtasks {
            from: file.subtasks.as_ref()?.0.clone(),
            max: file.max.map_or(scope.coordination.max_tasks, Whole::count),
            one_by_one: file.one_by_one.unwrap_or(false),
            quorum: file.quorum.map(Whole::count),
            replan: file.replan.as_ref().map(|replan| Replan { by: replan.by, max: replan.max.count() }),
            check: match &file.check_done {
                None => scope.coordination.check_done.clone(),
                written => check_done(written.as_ref(), scope.roles, &mut loader.found),
            },
        },
        "relay" => What::Relay {
            members: roles_of(file.relay.as_ref()?, scope.roles, &mut loader.found),
            max_handoffs: file.max_handoffs.map_or(scope.coordination.max_handoffs, Whole::count),
        },
        "circle" => What::Circle { members: roles_of(file.circle.as_ref()?, scope.roles, &mut loader.found) },
        "settle" => What::Settle {
            over: file.settle?,
            members: members(file, scope, &mut loader.found),
            max_debate_rounds: file.max_debate_rounds.map_or(scope.coordination.max_debate_rounds, Whole::count),
            protocol: file.protocol.unwrap_or_default(),
            tie: file.tie.as_ref().and_then(|tie| role_of(tie, scope.roles, &mut loader.found)),
        },
        "team" => {
            let at = file.team.as_ref()?;
            let team = sub_team(at, &format!("{}{}/", scope.path, key.name), file.with.as_ref(), loader)?;
            What::Group { body: Body::Team { team: Arc::new(team), with: with(file.with.as_ref()) } }
        }
        _ => {
            let path = format!("{}{}/", scope.path, key.name);
            let nodes = nodes_of(file.nodes.as_ref(), &Scope { path: &path, ..*scope }, loader);
            if nodes.is_empty() && loader.found.iter().all(|d| !d.is_error()) {
                let at = file_key(file, "nodes", key);
                loader.found.push(at.error(Code::MissingKey, "there are no nodes inside").help("spell at least one out"));
            }
            What::Group { body: Body::Nodes { nodes, output: file.output.as_ref().map(|e| e.0.clone()) } }
        }
    })
}

/// The members that are named; those of the team, the coordinator apart, where none is.
fn members(file: &NodeFile, scope: &Scope<'_>, found: &mut Found) -> Vec<Role> {
    file.members.as_ref().map_or_else(Vec::new, |ids| roles_of(ids, scope.roles, found))
}

fn tool(file: &NodeFile, loader: &mut Loader<'_>) -> Option<ToolSpecNode> {
    let tool = file.tool.as_ref()?;
    loader.check_tool(tool, &tool.value.0);
    let (args, place) = match &file.args {
        Some(args) => (args.value.clone(), args.place.clone()),
        None => (Value::Map(Arc::new(Map::new())), tool.place.clone()),
    };
    if args.as_map().is_none() {
        let message = format!("expected a map of arguments, found {}", describe(&args));
        loader.found.push(Diagnostic::error(Code::WrongType, &place, message).help("such as `args: { command: \"make lint\" }`"));
    }
    Some(ToolSpecNode { tool: tool.value.0.clone(), args, place, effect: file.effect })
}

fn ask(file: &NodeFile, found: &mut Found) -> Option<AskSpec> {
    let options: Vec<Arc<str>> = file.options.iter().flatten().map(|w| w.0.clone()).collect();
    let default = file.default.as_ref().map(|d| &d.0);
    if let Some(default) = default {
        let among = default.value.as_str().is_some_and(|text| options.iter().any(|o| &**o == text));
        if !options.is_empty() && !among {
            let message = format!("the default {} is not among the options", quoted(&default.value.to_string()));
            let error = Diagnostic::error(Code::InvalidValue, &default.place, message).length(default.length);
            found.push(error.help(format!("the options are {}", list(&options))));
        }
        if file.deadline.is_none() && file.keys.get("deadline").is_none() {
            let error = Diagnostic::error(
                Code::MissingKey,
                &default.place,
                "a default is taken when the deadline passes, and there is none",
            );
            found.push(error.length(default.length).help("add `deadline: 24h`, or remove `default`"));
        }
    }
    Some(AskSpec {
        question: file.ask.as_ref()?.0.clone(),
        options,
        deadline: file.deadline.map(|s| s.0),
        default: default.map(|d| d.value.clone()),
        to: file.to.as_ref().map(|w| w.0.clone()),
        notify: file.notify.as_ref().map(|w| w.0.clone()),
    })
}
