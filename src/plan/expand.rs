//! How is any team written as a `graph` team? [`expand`] spells its pattern out; the result compiles to the same plan.

use std::{sync::Arc, time::Duration};

use super::{doc::Doc, scripts};
use crate::{
    graph::{Deadline, Divider, Join, Phase, Replan, Retry, Reuse, SettleOver, Stragglers, VoteProtocol},
    pattern::{self, Fragment},
    team::{After, AfterOn, Body, Code, Diagnostic, NodeSpec, Pattern, Team, What},
    value::{Place, Role, Value, WriteSpec},
};

/// Keys of a team file that a `graph` team replaces or has no use for.
const REPLACED: [&str; 4] = ["collaboration_pattern", "result", "nodes", "output"];

/// The file of `team` as a `graph` team file, in YAML. It refers to profiles and scripts as the original does, so it belongs
/// beside it. A `graph` team is returned as it is written.
///
/// # Errors
/// The pattern cannot be expanded, or the text of the team's file is not at hand.
pub fn expand(team: &Team) -> Result<String, Vec<Diagnostic>> {
    let place = Place { file: team.file.clone(), line: 0, column: 0 };
    let fail = |message: String| vec![Diagnostic::error(Code::Unreadable, &place, message)];
    let text = team.sources.get(&*team.file).ok_or_else(|| fail("the text of the team's file is not at hand".to_owned()))?;
    if team.pattern == Pattern::Graph {
        return Ok(text.to_string());
    }
    let (functions, wrong) = scripts::check(team, &team.sources);
    if wrong.iter().any(Diagnostic::is_error) {
        return Err(wrong);
    }
    let Fragment { nodes, output } = pattern::expand(team, &functions)?;
    let Ok(Doc::Map(written)) = serde_saphyr::from_str::<Doc>(text) else {
        return Err(fail("the text of the team's file has changed since it was read".to_owned()));
    };
    let mut entries = Vec::with_capacity(written.len() + 2);
    for (key, value) in written {
        if key == "collaboration_pattern" {
            entries.push((key, Doc::text(Pattern::Graph.name())));
        } else if !REPLACED.contains(&&*key) {
            entries.push((key, value));
        }
    }
    entries.push(("nodes".to_owned(), Doc::Map(nodes.iter().map(|n| (n.id.to_string(), node(n))).collect())));
    entries.extend(output.map(|output| ("output".to_owned(), Doc::text(&output.source))));
    let note = format!("# {} spelled out as a graph. Paths are relative to the folder of {}.\n", team.pattern.name(), team.file);
    Ok(format!("{note}{}", Doc::Map(entries).yaml()))
}

/// `nodes:` with these nodes, a line each.
#[cfg(test)]
pub(super) fn nodes_yaml(nodes: &[NodeSpec]) -> String {
    Doc::Map(vec![("nodes".to_owned(), Doc::Map(nodes.iter().map(|n| (n.id.to_string(), node(n))).collect()))]).yaml()
}

/// Entries of a map that is being written.
type Entries = Vec<(String, Doc)>;

fn put(entries: &mut Entries, key: &str, value: Doc) {
    entries.push((key.to_owned(), value));
}

fn node(spec: &NodeSpec) -> Doc {
    let mut entries = what(spec);
    common(spec, &mut entries);
    if !spec.after.is_empty() {
        put(&mut entries, "after", after(&spec.after));
    }
    match (spec.join, spec.join_deadline) {
        (Join::All, None) => {}
        (Join::Any, None) => put(&mut entries, "join", Doc::text("any")),
        (join, deadline) => put(&mut entries, "join", Doc::Map(join_map(join, deadline))),
    }
    if let Some(Deadline { after, at_least }) = spec.work_deadline {
        put(&mut entries, "deadline", span(after));
        put(&mut entries, "at_least", Doc::number(at_least));
    }
    if spec.short_run {
        put(&mut entries, "short", Doc::text("run"));
    }
    match spec.stragglers {
        Stragglers::Cancel => {}
        Stragglers::Leave => put(&mut entries, "stragglers", Doc::text("leave")),
    }
    if let Some((handler, _)) = &spec.on_error {
        put(&mut entries, "on_error", Doc::text(handler));
    }
    if spec.allow_failure {
        put(&mut entries, "allow_failure", Doc::Scalar(true.into()));
    }
    if let Some(number) = spec.concurrency {
        put(&mut entries, "concurrency", Doc::number(number));
    }
    Doc::Map(entries)
}

/// What concerns an attempt, be it of the node or of the one node in a loop.
fn common(spec: &NodeSpec, entries: &mut Entries) {
    let mut put = |key: &str, value: Option<Doc>| entries.extend(value.map(|value| (key.to_owned(), value)));
    put("input", spec.input.as_ref().map(|i| Doc::text(&i.source)));
    put("retry", spec.retry.as_ref().map(retry));
    put("timeout", spec.timeout.map(span));
    put("writes", (!spec.writes.is_empty()).then(|| Doc::List(spec.writes.iter().map(write).collect())));
    put("reuse", reuse(spec.reuse));
    put("expect_seconds", spec.expect_seconds.map(Doc::number));
}

fn reuse(reuse: Reuse) -> Option<Doc> {
    match reuse {
        Reuse::Unchanged => None,
        Reuse::Never => Some(Doc::Scalar(false.into())),
        Reuse::Always => Some(Doc::text("always")),
    }
}

fn what(spec: &NodeSpec) -> Entries {
    let mut entries = Vec::new();
    let mut put = |key: &str, value: Doc| entries.push((key.to_owned(), value));
    match &spec.what {
        What::Agent { role, task, phase, proposal, done_when, max_turns, live } => {
            put("agent", Doc::text(role.as_str()));
            if let Some(task) = task {
                put("task", Doc::text(&task.source));
            }
            if *phase != Phase::Work {
                put("phase", Doc::text(phase.name()));
            }
            if let Some((proposal, _)) = proposal {
                put("proposal", Doc::text(proposal));
            }
            if let Some(done_when) = done_when {
                put("done_when", Doc::text(done_when));
            }
            if let Some(turns) = max_turns {
                put("max_turns", Doc::number(*turns));
            }
            if *live {
                put("live", Doc::Scalar(Value::Bool(true)));
            }
        }
        What::Tool(tool) => {
            put("tool", Doc::text(&tool.tool));
            put("args", Doc::of(&tool.args));
            if let Some(effect) = tool.effect {
                put("effect", Doc::text(super::outline::effect(effect)));
            }
        }
        What::Gate(text) => put("gate", Doc::text(&text.source)),
        What::Rule { name, members } => {
            put("rule", Doc::text(name));
            if !members.is_empty() {
                put("members", roles(members));
            }
        }
        What::Ask(ask) => {
            put("ask", Doc::text(&ask.question.source));
            if !ask.options.is_empty() {
                put("options", Doc::texts(&ask.options));
            }
            if let Some(deadline) = ask.deadline {
                put("deadline", span(deadline));
            }
            if let Some(default) = &ask.default {
                put("default", Doc::of(default));
            }
            if let Some(to) = &ask.to {
                put("to", Doc::text(to));
            }
            if let Some(notify) = &ask.notify {
                put("notify", Doc::text(notify));
            }
        }
        What::ForEach { items, name, max, parallel, body: inner } => {
            put("for_each", Doc::text(&items.source));
            put("as", Doc::text(name));
            put("max", Doc::number(*max));
            if let Some(parallel) = parallel {
                put("parallel", Doc::number(*parallel));
            }
            entries.extend(body(inner));
        }
        What::Repeat { max, until, body: inner } => {
            let until = until.as_ref().map(|until| ("until".to_owned(), Doc::text(&until.source)));
            put("repeat", Doc::Map([("max".to_owned(), Doc::number(*max))].into_iter().chain(until).collect()));
            entries.extend(body(inner));
        }
        What::Group { body: inner } => entries.extend(body(inner)),
        What::Subtasks { from, max, one_by_one, quorum, replan, check } => {
            put("subtasks", Doc::text(&from.source));
            put("max", Doc::number(*max));
            if *one_by_one {
                put("one_by_one", Doc::Scalar(true.into()));
            }
            if let Some(quorum) = quorum {
                put("quorum", Doc::number(*quorum));
            }
            if let Some(Replan { by, max }) = replan {
                let by = match by {
                    Divider::Coordinator => "coordinator",
                    Divider::Rule => "rule",
                };
                let parts = [("by", Doc::text(by)), ("max", Doc::number(*max))];
                put("replan", Doc::Map(parts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()));
            }
            if let Some(check) = check {
                put("check_done", Doc::text(check.as_str()));
            }
        }
        What::Relay { members, max_handoffs } => {
            put("relay", roles(members));
            put("max_handoffs", Doc::number(*max_handoffs));
        }
        What::Circle { members } => put("circle", roles(members)),
        What::Settle { over, members, max_debate_rounds, protocol, tie } => {
            let over = match over {
                SettleOver::Findings => "findings",
                SettleOver::Votes => "votes",
                SettleOver::Result => "result",
            };
            put("settle", Doc::text(over));
            put("members", roles(members));
            put("max_debate_rounds", Doc::number(*max_debate_rounds));
            match protocol {
                VoteProtocol::Weighted => {}
                VoteProtocol::TrackRecord | VoteProtocol::Majority | VoteProtocol::Unanimous | VoteProtocol::Approval => {
                    put("protocol", Doc::text(protocol.name()));
                }
            }
            if let Some(tie) = tie {
                put("tie", Doc::text(tie.as_str()));
            }
        }
    }
    entries
}

/// `any` is the first of all.
fn join_map(join: Join, deadline: Option<Deadline>) -> Entries {
    let quorum = match join {
        Join::All => None,
        Join::Any => Some(1),
        Join::Quorum(n) => Some(n),
    };
    let mut entries: Entries = quorum.map(|n| ("quorum".to_owned(), Doc::number(n))).into_iter().collect();
    if let Some(Deadline { after, at_least }) = deadline {
        put(&mut entries, "deadline", span(after));
        put(&mut entries, "at_least", Doc::number(at_least));
    }
    entries
}

fn body(inner: &Body) -> Entries {
    match inner {
        Body::One(spec) => {
            let mut entries = what(spec);
            common(spec, &mut entries);
            entries
        }
        Body::Nodes { nodes, output } => {
            let nodes = Doc::Map(nodes.iter().map(|n| (n.id.to_string(), node(n))).collect());
            let output = output.as_ref().map(|output| ("output".to_owned(), Doc::text(&output.source)));
            [("nodes".to_owned(), nodes)].into_iter().chain(output).collect()
        }
        Body::Team { team, with } => {
            let with: Entries = with.iter().map(|(name, text)| (name.to_string(), Doc::text(&text.source))).collect();
            let with = (!with.is_empty()).then(|| ("with".to_owned(), Doc::Map(with)));
            [("team".to_owned(), Doc::text(&team.file))].into_iter().chain(with).collect()
        }
    }
}

fn after(after: &[After]) -> Doc {
    if after.iter().all(|a| a.on == AfterOn::Ok) {
        return match after {
            [one] => Doc::text(&one.node),
            several => Doc::texts(several.iter().map(|a| &a.node)),
        };
    }
    let on = |on: &AfterOn| match on {
        AfterOn::Ok => Doc::text("ok"),
        AfterOn::Failed => Doc::text("failed"),
        AfterOn::Done => Doc::text("done"),
        AfterOn::Else => Doc::text("else"),
        AfterOn::When(text) => Doc::text(&text.source),
    };
    Doc::Map(after.iter().map(|a| (a.node.to_string(), on(&a.on))).collect())
}

fn roles(roles: &[Role]) -> Doc {
    Doc::texts(roles.iter().map(Role::as_str))
}

fn span(span: Duration) -> Doc {
    match (span.subsec_nanos(), i64::try_from(span.as_millis())) {
        (0, _) | (_, Err(_)) => Doc::text(format!("{}s", span.as_secs())),
        (_, Ok(millis)) => Doc::text(format!("{millis}ms")),
    }
}

fn retry(retry: &Retry) -> Doc {
    let backoff = Doc::Map(vec![
        ("first".to_owned(), span(retry.backoff.first)),
        ("factor".to_owned(), Doc::Scalar(Value::Float(retry.backoff.factor))),
        ("max".to_owned(), span(retry.backoff.max)),
    ]);
    let mut entries = vec![("max_attempts".to_owned(), Doc::number(retry.max_attempts)), ("backoff".to_owned(), backoff)];
    if !retry.on.is_empty() {
        put(&mut entries, "on", Doc::texts(retry.on.iter().map(|kind| kind.name())));
    }
    Doc::Map(entries)
}

fn write(write: &WriteSpec) -> Doc {
    let variable: Arc<str> = write.variable.clone();
    let merge = write.merge.as_ref().and_then(|merge| Value::of(merge).ok());
    let merge = merge.map(|merge| ("merge".to_owned(), Doc::of(&merge)));
    Doc::Map([("variable".to_owned(), Doc::text(variable))].into_iter().chain(merge).collect())
}
