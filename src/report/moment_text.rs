//! How does a person read a [`Moment`]?

use std::fmt::Write as _;

use super::Moment;
use crate::value::{FindingStatus, Role};

impl Moment {
    /// It as text.
    pub fn text(&self) -> String {
        let mut page = String::new();
        self.write(&mut page).expect("writing to a string cannot fail");
        page
    }

    fn write(&self, page: &mut String) -> std::fmt::Result {
        writeln!(page, "session {} after record {} at {}: {}", self.session, self.as_of, self.at, self.status)?;
        if let Some(viewer) = &self.seen_by {
            match (&viewer.node, viewer.read_upto) {
                (Some(node), Some(upto)) => {
                    writeln!(page, "as {} knew it in {node}, which had read up to record {upto}", viewer.role)?
                }
                (Some(node), None) => writeln!(page, "as {} knew it in {node}, before its first turn: nothing", viewer.role)?,
                (None, _) => writeln!(page, "as {} knew it, which had not begun: nothing", viewer.role)?,
            }
        }
        part(page, "findings", &self.findings, |f| {
            let status = match f.status {
                FindingStatus::Open => "open",
                FindingStatus::Confirmed => "confirmed",
                FindingStatus::Disputed => "disputed",
                FindingStatus::Retracted => "retracted",
            };
            let outside = if f.origins.is_untrusted() { ", untrusted" } else { "" };
            format!("{} {} on {} ({:.2}, {status}{outside}): {} = {}", f.id, f.agent, f.topic, f.confidence, f.claim, f.value)
        })?;
        part(page, "variables", &self.variables, |v| {
            let by = v.author.as_ref().map_or("a fork", Role::as_str);
            format!("{} = {} (version {} by {by}, record {})", v.name, v.value, v.version, v.seq)
        })?;
        part(page, "decisions", &self.decisions, |d| {
            let reason = if d.reason.is_empty() { String::new() } else { format!(": {}", d.reason) };
            let dissent: Vec<&str> = d.dissent.iter().map(Role::as_str).collect();
            let dissent = if dissent.is_empty() { String::new() } else { format!("; dissent of {}", dissent.join(", ")) };
            format!("{} = {} ({}{reason}){dissent}", d.topic, d.outcome, d.rule)
        })?;
        if !self.messages.is_empty() {
            writeln!(page, "\nmessages")?;
            self.messages.iter().for_each(|message| page.push_str(&message.text()));
        }
        part(page, "at work", &self.at_work, |w| {
            let what = match (&w.role, w.phase) {
                (Some(role), Some(phase)) => format!(" ({role}, {phase})"),
                (Some(_) | None, _) => String::new(),
            };
            let turn = w.turn.map_or_else(String::new, |turn| format!(", turn {turn}"));
            format!("{}{what}, attempt {}{turn}, waits for {}", w.node, w.attempt, w.waits_for)
        })?;
        part(page, "waiting for a slot", &self.waiting, ToString::to_string)?;
        part(page, "not settled", &self.unsettled, |t| {
            let positions: Vec<String> = t.positions.iter().map(|p| format!("{} holds {}", p.agent, p.value)).collect();
            format!("{} at {}: {}", t.topic, t.node, positions.join(", "))
        })?;
        part(page, "open questions", &self.open, |row| {
            let (ask, question) = (row.ask.as_deref().unwrap_or(""), row.question.as_deref().unwrap_or(""));
            let to = row.waits_for.as_ref().map_or_else(String::new, |to| format!(" of {to}"));
            format!("{ask}{to} at {}: {question}", row.node)
        })
    }
}

fn part<T>(page: &mut String, name: &str, rows: &[T], line: impl Fn(&T) -> String) -> std::fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(page, "\n{name}")?;
    rows.iter().try_for_each(|row| writeln!(page, "  {}", line(row)))
}
