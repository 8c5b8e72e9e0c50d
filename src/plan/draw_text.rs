//! How does a plan look on a terminal? [`draw_text`] and [`describe`].

use std::fmt::Write;

use super::{
    outline::{Outline, effect, join, list, on, short, what, whole},
    review::{Review, span},
};
use crate::{
    graph::{Bounds, Limits, Node, NodeKind, Plan, Reuse, SYNTHESIS_SHARE, ScopeKind, Stragglers},
    value::Usd,
};

/// The graph: a line for each node with what it does and what it waits for, scopes before what they run.
pub fn draw_text(plan: &Plan) -> String {
    let outline = Outline::of(plan);
    let rows: Vec<[String; 4]> = outline
        .steps
        .iter()
        .enumerate()
        .map(|(n, step)| {
            let id = format!("{}{}", "  ".repeat(step.depth), step.id);
            [id, step.node.kind.name().to_owned(), what(plan, step), waits(&outline, n, step.node)]
        })
        .collect();
    let mut out = columns(&rows);
    if let Some(output) = &plan.graphs[0].output {
        writeln!(out, "output: {}", short(&output.source)).ok();
    }
    out
}

/// Everything that `synod plan` shows of a plan.
pub fn describe(plan: &Plan, review: &Review) -> String {
    let mut out = draw_text(plan);
    let mut section = |title: &str, text: &str| {
        if !text.is_empty() {
            write!(out, "\n{title}\n{text}").ok();
        }
    };
    section("worst case", &format!("{}{}", bounds(&plan.bounds, &plan.limits), kept(plan)));
    section("by agent", &by_agent(&plan.bounds));
    section("limits of agents and teams", &own_limits(plan));
    section("longest path", &format!("  {}\n", review.longest_path.join(" → ")));
    section("people", &lines(&review.people));
    section("irreversible", &lines(&review.irreversible));
    let sensitive = review.order_sensitive.iter().map(|o| match &o.node {
        Some(node) => format!("{node}: {}", o.because),
        None => o.because.clone(),
    });
    section("order-sensitive", &lines(&sensitive.collect::<Vec<_>>()));
    section("permissions", &permissions(review));
    let reach: Vec<[String; 2]> = review.reach.iter().map(|r| [format!("  {}", r.what), whole(&r.reaches.join(", "))]).collect();
    section("reach of tools", &columns(&reach));
    let lint = review.lints.iter().map(|l| match &l.node {
        Some(node) => format!("{}: {node}: {}", l.name, l.message),
        None => format!("{}: {}", l.name, l.message),
    });
    section("lints", &lines(&lint.collect::<Vec<_>>()));
    out
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

/// What a node waits for and what holds for its attempts.
fn waits(outline: &Outline<'_>, number: usize, node: &Node) -> String {
    let sources = outline.before[number].iter().map(|w| &outline.waits[*w]).map(|w| {
        let from = &outline.steps[w.from].node.id;
        match w.on {
            crate::graph::On::Ok => from.to_string(),
            _ => format!("{from} ({})", short(on(w.on))),
        }
    });
    let sources = list(sources);
    let mut parts = Vec::new();
    if !sources.is_empty() {
        parts.push(format!("after {}{sources}", join(node.join)));
    }
    // A scope says how long each activation that it grows may take.
    let timed = like(node).unwrap_or(node);
    if let Some(timeout) = timed.timeout {
        parts.push(format!("{} at most", span(timeout.as_secs().max(1))));
    }
    if let Some(retry) = timed.retry.as_ref().filter(|r| r.max_attempts > 1) {
        parts.push(format!("{} attempts", retry.max_attempts));
    }
    for (holds, word) in [
        (node.allow_failure, "may fail"),
        (node.short_run, "runs with what there is"),
        (node.stragglers == Stragglers::Leave, "leaves stragglers"),
        (node.join_deadline.is_some(), "has a deadline for its join"),
        (node.work_deadline.is_some(), "has a deadline for its work"),
        (node.reuse == Reuse::Never, "is never taken over"),
        (node.reuse == Reuse::Always, "is taken over with what its calls returned"),
    ] {
        if holds {
            parts.push(word.to_owned());
        }
    }
    if !node.writes.is_empty() {
        parts.push(format!("writes {}", list(node.writes.iter().map(|w| &w.variable))));
    }
    parts.join("; ")
}

fn like(node: &Node) -> Option<&Node> {
    let NodeKind::Scope(scope) = &node.kind else { return None };
    match &**scope {
        ScopeKind::Subtasks { like, .. } | ScopeKind::Relay { like, .. } | ScopeKind::Circle { like, .. } => Some(like),
        ScopeKind::Settle(settle) => (settle.max_debate_rounds > 0).then_some(&*settle.like),
        ScopeKind::ForEach { .. } | ScopeKind::Repeat { .. } | ScopeKind::Group { .. } => None,
    }
}

fn bounds(bounds: &Bounds, limits: &Limits) -> String {
    let number = |n: Option<u64>| n.map_or_else(|| "none".to_owned(), grouped);
    let cost = |cost: Option<Usd>, none: &str| cost.map_or_else(|| none.to_owned(), |c| c.to_string());
    let wall = limits.wall_seconds.map_or_else(|| "none".to_owned(), span);
    columns(&[
        ["".to_owned(), "at worst".to_owned(), "limit".to_owned()],
        ["  turns".to_owned(), grouped(bounds.turns), number(limits.turns)],
        ["  model calls".to_owned(), grouped(bounds.model_calls), String::new()],
        ["  tokens".to_owned(), grouped(bounds.tokens), number(limits.tokens)],
        ["  cost".to_owned(), cost(bounds.cost, "unknown"), cost(limits.cost, "none")],
        ["  wall time".to_owned(), span(bounds.wall_seconds), wall],
    ])
}

/// What nobody but the synthesis may spend of the limits.
fn kept(plan: &Plan) -> String {
    let limits = plan.limits.kept_for_synthesis();
    let tokens = limits.tokens.map(|tokens| format!("{} tokens", grouped(tokens)));
    let shares: Vec<String> = tokens.into_iter().chain(limits.cost.map(|cost| cost.to_string())).collect();
    if !plan.keeps_share() || shares.is_empty() {
        return String::new();
    }
    format!("  kept for the synthesis: {} ({SYNTHESIS_SHARE}% of the limit)\n", shares.join(", "))
}

/// Those of members, and those of teams inside the session's own, which hold each time that they run.
fn own_limits(plan: &Plan) -> String {
    let of = |limits: &Limits| {
        let counts = [(limits.turns, "turns"), (limits.tokens, "tokens")];
        let counts = counts.into_iter().filter_map(|(n, what)| Some(format!("{} {what}", grouped(n?))));
        counts.chain(limits.cost.map(|cost| cost.to_string())).chain(limits.wall_seconds.map(span)).collect::<Vec<_>>().join(", ")
    };
    let mut limited = Vec::new();
    for (ix, team) in plan.teams.iter().enumerate() {
        let inside = if ix == 0 { String::new() } else { format!("{}/", whole(&team.name)) };
        if team.limits != Limits::default() {
            limited.push(format!("each run of {}: {}", whole(&team.name), of(&team.limits)));
        }
        let members = team.members.iter().chain(&team.coordinator).filter(|member| member.limits != Limits::default());
        limited.extend(members.map(|member| format!("{inside}{}: {}", member.role, of(&member.limits))));
    }
    lines(&limited)
}

fn by_agent(bounds: &Bounds) -> String {
    let mut rows = vec![["", "seats", "turns", "model calls", "tokens", "cost"].map(str::to_owned)];
    rows.extend(bounds.agents.iter().map(|a| {
        let cost = a.cost.map_or_else(|| "unknown".to_owned(), |c| c.to_string());
        [format!("  {}", a.agent), grouped(a.seats), grouped(a.turns), grouped(a.model_calls), grouped(a.tokens), cost]
    }));
    if rows.len() == 1 { String::new() } else { columns(&rows) }
}

fn permissions(review: &Review) -> String {
    let mut rows = Vec::new();
    for permission in &review.permissions {
        let tools = permission.tools.iter().map(|t| {
            let only = t.only.as_ref().map_or_else(String::new, |only| format!("({})", whole(only)));
            format!("{}{only} ({})", whole(&t.tool), t.effect.map_or("not on this machine", effect))
        });
        let servers = permission.mcp_servers.iter().map(|s| format!("mcp {}", whole(s)));
        let knowledge = permission.knowledge.iter().map(|k| format!("knowledge {}", whole(k)));
        let writes = permission.writes.iter().map(|w| format!("writes {w}"));
        let only = permission.mcp_only.iter().map(|pattern| format!("of mcp only {}", whole(pattern)));
        let rule = permission.narrowed_by_rule.then(|| "each call asks the rule `permit`".to_owned());
        let all = list(tools.chain(servers).chain(only).chain(knowledge).chain(writes).chain(rule));
        rows.push([format!("  {}", permission.path.join(" → ")), if all.is_empty() { "no tools".to_owned() } else { all }]);
    }
    columns(&rows)
}

/// `12,345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A column wider than this does not push the next one away.
const WIDEST: usize = 56;

/// Rows with their columns aligned, without trailing blanks.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count().min(WIDEST)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end()).ok();
    }
    out
}
