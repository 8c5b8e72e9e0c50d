//! How does a person read it? [`Report::markdown`].

use std::fmt::Write as _;

use super::{Contribution, DecisionRow, DelegationRow, EscalationRow, FindingRow, Report, ReuseRow, SharedPast};
use crate::value::{Role, Timestamp, Value};

/// Characters of a value that a line shows.
const LINE: usize = 300;

/// Characters of a text of the result: what is to be done must not end in the middle.
const RESULT: usize = 20_000;

impl Report {
    /// The report as Markdown.
    pub fn markdown(&self) -> String {
        let mut page = String::new();
        self.write(&mut page).expect("writing to a string cannot fail");
        page
    }

    fn write(&self, page: &mut String) -> std::fmt::Result {
        writeln!(page, "# {}: {}\n", self.team, self.status.name().replace('_', " "))?;
        writeln!(page, "Session `{}`, started {}{}.\n", self.session, when(self.started_at), self.ended())?;
        if let Some(past) = &self.forked_from {
            let SharedPast { session, at, cost_usd, .. } = past;
            writeln!(page, "Forked from `{session}` at record {at}; of all below, ${cost_usd:.4} were spent there.\n")?;
        }
        if !self.task.is_empty() {
            writeln!(page, "Task: {}\n", self.task)?;
        }
        self.write_output(page)?;
        self.write_open(page)?;
        self.write_contributions(page)?;
        if let Some(reuse) = &self.reuse {
            section(page, &format!("Taken over from `{}`", reuse.session), &reuse.nodes, reused)?;
        }
        section(page, "Delegation", &self.delegations, delegation)?;
        section(page, "Models", &self.models, |m| {
            let lost = if m.lost_usd > 0.0 {
                format!(", of which ${:.4} at most for calls that were cut off", m.lost_usd)
            } else {
                String::new()
            };
            format!("- {}: {} calls, {} tokens, ${:.4}{lost}\n", m.model, m.calls, m.tokens, m.cost_usd)
        })?;
        section(page, "Budget", &self.budget, |pool| format!("- {pool}\n"))?;
        section(page, "Findings", &self.findings, finding)?;
        section(page, "Decisions", &self.decisions, decision)?;
        let closed: Vec<&EscalationRow> = self.escalations.iter().filter(|row| row.state != Some("open")).collect();
        section(page, "Escalations", &closed, |row| escalation(row))?;
        section(page, "Warnings", &self.warnings, |warning| format!("- {warning}\n"))?;
        self.write_metrics(page)
    }

    fn ended(&self) -> String {
        self.completed_at.map_or_else(String::new, |at| format!(", over {} ({} ms)", when(at), self.duration_ms))
    }

    fn write_output(&self, page: &mut String) -> std::fmt::Result {
        if let Some(failure) = &self.failure {
            let at = failure.node.as_ref().map_or_else(String::new, |node| format!(" at `{node}`"));
            writeln!(page, "**Failed{at}:** {failure}\n")?;
        }
        if let Some(cancelled) = &self.cancelled {
            let why = if cancelled.reason.is_empty() { String::new() } else { format!(": {}", cancelled.reason) };
            writeln!(page, "**Cancelled** by {}{why}\n", cancelled.by)?;
        }
        if self.output.is_null() {
            return Ok(());
        }
        let provisional = if self.status.is_over() { "" } else { " (so far)" };
        writeln!(page, "## Result{provisional}\n")?;
        match &self.output {
            Value::Map(map) => {
                for (key, value) in map.iter() {
                    entry(page, key, value)?;
                }
            }
            other => writeln!(page, "{other}")?,
        }
        writeln!(page)
    }

    fn write_open(&self, page: &mut String) -> std::fmt::Result {
        let open: Vec<&EscalationRow> = self.escalations.iter().filter(|row| row.state == Some("open")).collect();
        if open.is_empty() {
            return Ok(());
        }
        writeln!(page, "## Open questions\n")?;
        for row in open {
            let id = row.ask.as_deref().unwrap_or("q?");
            writeln!(page, "- **{id}** {}", row.question.as_deref().unwrap_or(&row.reason))?;
            for option in &row.options {
                writeln!(page, "  - {option}")?;
            }
            if let Some(person) = &row.waits_for {
                writeln!(page, "  - waits for {person}")?;
            }
            if let Some(deadline) = row.deadline {
                writeln!(page, "  - until {}", when(deadline))?;
            }
            writeln!(page, "  - answer with `synod answer {} {id} ANSWER`", self.session)?;
        }
        writeln!(page)
    }

    fn write_contributions(&self, page: &mut String) -> std::fmt::Result {
        if self.contributions.is_empty() {
            return Ok(());
        }
        writeln!(page, "## Contributions\n")?;
        for c in &self.contributions {
            let summary = c.output.get("summary").and_then(Value::as_str).map_or_else(|| short(&c.output), str::to_owned);
            let said = if c.output.is_null() { c.status.to_owned() } else { summary };
            let paid = if c.tokens > 0 { format!(", {} tokens, ${:.4}", c.tokens, c.cost_usd) } else { String::new() };
            let Contribution { agent, turns, tool_calls, busy_ms, .. } = c;
            writeln!(page, "- **{agent}** ({turns} turns, {tool_calls} tool calls, {busy_ms:.0} ms{paid}): {said}")?;
            let phases: Vec<_> = self.threads.iter().filter(|(_, thread)| thread.agent == c.agent).collect();
            for (path, thread) in phases.iter().filter(|_| phases.len() > 1) {
                writeln!(page, "  - {} at `{path}`: {}, {} turns", thread.phase.replace('_', " "), thread.status, thread.turns)?;
            }
        }
        writeln!(page)
    }

    fn write_metrics(&self, page: &mut String) -> std::fmt::Result {
        let m = &self.metrics;
        writeln!(page, "## Metrics\n\n| metric | value |\n|---|---|")?;
        writeln!(page, "| makespan | {:.1} ms |", m.makespan_ms)?;
        writeln!(page, "| critical path | {:.1} ms |", m.critical_path_ms)?;
        writeln!(page, "| one after another | {:.1} ms ({:.1} ms saved) |", m.sequential_ms, m.saved_ms)?;
        writeln!(page, "| parallel utilization | {:.0} % |", m.utilization * 100.0)?;
        writeln!(page, "| coordination overhead | {:.1} % |", m.overhead * 100.0)?;
        let agreement = m.agreement.map_or_else(|| "no topic had two positions".to_owned(), |a| format!("{:.0} %", a * 100.0));
        writeln!(page, "| agreement | {agreement} |")?;
        writeln!(page, "| turns, model calls, tool calls | {}, {}, {} |", m.turns, m.model_calls, m.tool_calls)?;
        writeln!(page, "| tokens, cost | {}, ${:.4} |", m.tokens, m.cost_usd)?;
        match &m.reused {
            Some(r) => writeln!(
                page,
                "| taken over | {} nodes, {} turns; {} tokens, ${:.4} saved |",
                r.nodes, r.turns, r.saved_tokens, r.saved_usd
            ),
            None => Ok(()),
        }
    }
}

fn reused(row: &ReuseRow) -> String {
    let saved = if row.saved_tokens > 0 {
        format!(", {} tokens and ${:.4} saved", row.saved_tokens, row.saved_usd)
    } else {
        String::new()
    };
    let turns = if row.turns > 0 && row.why.is_some() { format!(" ({} turns)", row.turns) } else { String::new() };
    let why = row.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    format!("- {}: {}{turns}{saved}{why}\n", row.node, row.taken)
}

fn section<T>(page: &mut String, title: &str, rows: &[T], line: impl Fn(&T) -> String) -> std::fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(page, "## {title}\n")?;
    for row in rows {
        page.push_str(&line(row));
    }
    writeln!(page)
}

fn entry(page: &mut String, key: &str, value: &Value) -> std::fmt::Result {
    let title = key.replace('_', " ");
    match value {
        Value::List(items) if !items.is_empty() => {
            writeln!(page, "- **{title}:**")?;
            for item in items.iter() {
                writeln!(page, "  - {}", row(item))?;
            }
            Ok(())
        }
        Value::Text(text) if text.contains('\n') => writeln!(page, "- **{title}:**\n\n{text}\n"),
        other => writeln!(page, "- **{title}:** {}", cut(&other.to_string(), RESULT)),
    }
}

/// A map as `key value` pairs, anything else as it stands.
fn row(value: &Value) -> String {
    match value {
        Value::Map(map) => {
            let parts: Vec<String> =
                map.iter().map(|(key, value)| format!("{} {}", key.replace('_', " "), cut(&value.to_string(), RESULT))).collect();
            cut(&parts.join("; "), RESULT)
        }
        other => cut(&other.to_string(), RESULT),
    }
}

fn short(value: &Value) -> String {
    cut(&value.to_string(), LINE)
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most - 1).chain(['…']).collect() }
}

fn finding(row: &FindingRow) -> String {
    let mut text = format!("- `{}` **{}** on *{}* ({:.2}): {}\n", row.id, row.agent, row.topic, row.confidence, row.claim);
    for evidence in row.evidence.iter().take(3) {
        let locator = if evidence.locator.is_empty() { String::new() } else { format!(", {}", evidence.locator) };
        let excerpt = if evidence.excerpt.is_empty() { String::new() } else { format!(": {}", cut(&evidence.excerpt, LINE)) };
        text.push_str(&format!("  - {}{locator}{excerpt}\n", evidence.source));
    }
    text
}

fn decision(row: &DecisionRow) -> String {
    let mut text = format!("- **{}**: {} by {}", row.topic, cut(&row.outcome.to_string(), RESULT), row.rule);
    if !row.reason.is_empty() {
        text.push_str(&format!(" ({})", row.reason));
    }
    text.push('\n');
    for position in &row.positions {
        let reason = if position.reason.is_empty() { String::new() } else { format!(": {}", position.reason) };
        text.push_str(&format!(
            "  - {} {} ({:.2}){reason}\n",
            position.agent,
            cut(&position.value.to_string(), LINE),
            position.confidence
        ));
    }
    if !row.abstained.is_empty() {
        let who: Vec<&str> = row.abstained.iter().map(Role::as_str).collect();
        text.push_str(&format!("  - {} abstained\n", who.join(", ")));
    }
    text
}

fn escalation(row: &EscalationRow) -> String {
    let from = row.from.as_ref().map_or_else(|| row.node.to_string(), ToString::to_string);
    let mut text = format!("- {from} to {}: {}", row.to, row.reason);
    if let (Some(answer), Some(by)) = (&row.answer, &row.by) {
        text.push_str(&format!(" → {by} answered {answer}"));
    }
    let question = || row.question.as_deref().unwrap_or_default();
    match row.state {
        Some("lapsed") => text.push_str(&format!(" → nobody answered in time: {}", question())),
        Some("moot") => text.push_str(&format!(" → no longer asked: {}", question())),
        Some(_) | None => {}
    }
    text.push('\n');
    text
}

fn when(at: Timestamp) -> String {
    at.rfc3339()
}

fn delegation(row: &DelegationRow) -> String {
    let fallback = row.fallback.as_ref().map_or_else(String::new, |why| {
        let instead = if row.subtasks.is_empty() { "nothing was done instead" } else { "all work on the whole task instead" };
        format!("; it could not be used ({why}), {instead}")
    });
    let mut text = format!("- `{}`, divided by {}{fallback}\n", row.node, row.by);
    for part in &row.subtasks {
        let agent = part.agent.as_ref().map_or("nobody", |role| role.as_str());
        let error = part.error.as_ref().map_or_else(String::new, |error| format!(" ({})", cut(error, LINE)));
        let scores: Vec<String> = part.scores.iter().map(|score| format!("{} {:.2}", score.agent, score.score)).collect();
        let chosen = if scores.is_empty() { String::new() } else { format!(", chosen by skills: {}", scores.join(", ")) };
        text.push_str(&format!("  - {} ({agent}): {}{error}{chosen}\n", part.id, part.status));
    }
    text
}
