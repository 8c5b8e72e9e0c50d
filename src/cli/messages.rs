//! `synod messages`: who said what to whom.

use std::collections::BTreeSet;

use clap::Args;

use super::{CommandError, Global, Outcome, output};
use crate::{
    report::{MessageRow, messages},
    state::State,
    team::did_you_mean,
};

/// Show who said what to whom
#[derive(Debug, Args)]
pub(super) struct Messages {
    /// The session's id, or the beginning of it
    session: String,
    /// Only what this agent said
    #[arg(long, value_name = "ROLE")]
    from: Option<String>,
    /// Only what was said to this agent
    #[arg(long, value_name = "ROLE")]
    to: Option<String>,
    /// Only messages of this type, such as `finding`
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only messages from this record on
    #[arg(long, value_name = "SEQ")]
    since: Option<u64>,
}

const KINDS: [&str; 7] = ["task_assignment", "finding", "question", "response", "handoff", "escalation", "note"];

impl Messages {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        if let Some(kind) = &self.kind
            && !KINDS.contains(&kind.as_str())
        {
            return Err(CommandError::Usage(format!("--type {kind}: it is one of {}", KINDS.join(", "))));
        }
        let engine = global.engine()?;
        let session = global.session(&engine, &self.session)?;
        let (records, exit) = global.records(&engine, session)?;
        let state = State::fold(&records)?;
        let plan = &state.started.plan;
        let known: BTreeSet<&str> =
            plan.teams.iter().flat_map(|team| team.members.iter().chain(&team.coordinator)).map(|m| m.role.as_str()).collect();
        for (flag, name) in [("--from", &self.from), ("--to", &self.to)] {
            if let Some(name) = name.as_deref().filter(|name| !known.contains(name)) {
                let names = || known.iter().copied();
                let hint = did_you_mean(name, names());
                let all = || names().collect::<Vec<_>>().join(", ");
                let hint = hint.unwrap_or_else(|| {
                    if known.is_empty() { "it has no agents".to_owned() } else { format!("there are {}", all()) }
                });
                return Err(CommandError::Usage(format!("{flag} {name}: nobody in the session is called that; {hint}")));
            }
        }
        let rows: Vec<MessageRow> = messages(&state).into_iter().filter(|row| self.wants(row)).collect();
        if global.json {
            output::json(&rows)?;
            return Ok(exit);
        }
        let mut page = String::new();
        for row in &rows {
            let from = row.from.as_ref().map_or("synod", |r| r.as_str());
            let to = row.to.as_ref().map_or("all", |r| r.as_str());
            page.push_str(&format!("{:>6}  {}  {from} → {to}  {}\n", row.seq.0, row.created_at, row.kind.name()));
            for line in row.content.lines() {
                page.push_str(&format!("        {line}\n"));
            }
        }
        output::text(&page)?;
        Ok(exit)
    }

    fn wants(&self, row: &MessageRow) -> bool {
        let is = |wanted: &Option<String>, role: Option<&str>| wanted.as_deref().is_none_or(|w| role == Some(w));
        is(&self.from, row.from.as_ref().map(crate::value::Role::as_str))
            && is(&self.to, row.to.as_ref().map(crate::value::Role::as_str))
            && self.kind.as_deref().is_none_or(|kind| row.kind.name() == kind)
            && self.since.is_none_or(|seq| row.seq.0 >= seq)
    }
}
