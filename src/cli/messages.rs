//! `synod messages`: who said what to whom.

use std::{collections::BTreeSet, str::FromStr};

use clap::Args;

use super::{CommandError, Global, Outcome, output};
use crate::{
    report::{MessageRow, messages},
    state::State,
    team::{did_you_mean, nearest},
    value::{MessageKind, Role, Timestamp},
};

/// Show who said what to whom
///
/// All messages are shown, private ones too: this is the audit. Filters add up: a message is shown when it passes all of them.
#[derive(Debug, Args)]
pub(super) struct Messages {
    /// The session's id, or the beginning of it
    session: String,
    /// Only what this agent said
    #[arg(long, value_name = "ROLE")]
    from: Option<String>,
    /// Only what was said to this agent; `all` for what was said to everybody
    #[arg(long, value_name = "ROLE")]
    to: Option<String>,
    /// Only messages of this type: `task_assignment`, `finding`, `question`, `response`, `handoff`, `escalation` or `note`; may be
    /// given more than once
    #[arg(long = "type", value_name = "TYPE", value_parser = kind)]
    kinds: Vec<MessageKind>,
    /// Only messages from this record on, or from this time on, such as `2026-01-05T14:30:00Z`
    #[arg(long, value_name = "SEQ|TIME")]
    since: Option<Since>,
    /// Only messages to one agent that it had not read when the session ended
    #[arg(long)]
    undelivered: bool,
}

/// Where the messages begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Record(u64),
    Time(Timestamp),
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(seq) = text.parse() {
            return Ok(Self::Record(seq));
        }
        let why = || "it is the number of a record, or a time with its zone, such as `2026-01-05T14:30:00Z`".to_owned();
        Timestamp::parse(text).map(Self::Time).ok_or_else(why)
    }
}

/// The type that is named.
fn kind(name: &str) -> Result<MessageKind, String> {
    let names = || MessageKind::ALL.iter().map(|kind| kind.name());
    let all = || format!("it is one of {}", names().collect::<Vec<_>>().join(", "));
    let found = MessageKind::ALL.into_iter().find(|kind| kind.name() == name);
    found.ok_or_else(|| did_you_mean(name, names()).unwrap_or_else(all))
}

/// What `--to` calls everybody.
const ALL: &str = "all";

impl Messages {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let engine = global.engine()?;
        let session = global.session(&engine, &self.session)?;
        let (records, exit) = global.records(&engine, session)?;
        let state = State::fold(&records)?;
        let roles = roles(&state);
        for (flag, name) in [("--from", &self.from), ("--to", &self.to)] {
            let everybody = flag == "--to" && name.as_deref() == Some(ALL);
            if let Some(name) = name.as_deref().filter(|name| !everybody && !roles.contains(name)) {
                return Err(CommandError::Usage(format!("{flag} {name}: {}", nobody(name, &roles))));
            }
        }
        let rows: Vec<MessageRow> = messages(&state).into_iter().filter(|row| self.wants(row)).collect();
        if global.json {
            output::json(&rows)?;
            return Ok(exit);
        }
        output::text(&rows.iter().map(MessageRow::text).collect::<String>())?;
        Ok(exit)
    }

    fn wants(&self, row: &MessageRow) -> bool {
        let to = match (&self.to, &row.to) {
            (None, _) => true,
            (Some(wanted), Some(role)) => role.as_str() == wanted,
            (Some(wanted), None) => wanted == ALL,
        };
        to && self.from.as_deref().is_none_or(|wanted| row.from.as_ref().map(Role::as_str) == Some(wanted))
            && (self.kinds.is_empty() || self.kinds.contains(&row.kind))
            && match self.since {
                None => true,
                Some(Since::Record(seq)) => row.seq.0 >= seq,
                Some(Since::Time(at)) => row.created_at >= at,
            }
            && (!self.undelivered || row.undelivered)
    }
}

/// Everybody in the teams of a session.
pub(super) fn roles(state: &State) -> BTreeSet<&str> {
    let teams = state.started.plan.teams.iter();
    teams.flat_map(|team| team.members.iter().chain(&team.coordinator)).map(|m| m.role.as_str()).collect()
}

/// That nobody is called `name`, and who is meant or who there is.
pub(super) fn nobody(name: &str, roles: &BTreeSet<&str>) -> String {
    let hint = match nearest(name, roles.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if roles.is_empty() => "it has no agents".to_owned(),
        None => format!("there are {}", roles.iter().copied().collect::<Vec<_>>().join(", ")),
    };
    format!("nobody in the session is called that; {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_begin_at_a_record_or_at_a_time() {
        assert_eq!("17".parse(), Ok(Since::Record(17)));
        assert_eq!("1970-01-01T00:00:01.5Z".parse(), Ok(Since::Time(Timestamp(1_500_000))));
        assert_eq!("1970-01-01T01:00:00+01:00".parse(), Ok(Since::Time(Timestamp(0))));
        for wrong in ["", "-1", "yesterday", "1970-01-01", "1970-01-01T00:00:00"] {
            assert!(wrong.parse::<Since>().is_err_and(|why| why.contains("such as")), "{wrong}");
        }
    }

    #[test]
    fn a_mistyped_type_or_role_is_told_the_nearest_one_else_all() {
        assert_eq!(kind("note"), Ok(MessageKind::Note));
        assert_eq!(kind("qestion"), Err("did you mean `question`?".to_owned()));
        assert!(kind("zzz").is_err_and(|why| why.contains("task_assignment, finding")));
        let roles = BTreeSet::from(["network", "database"]);
        assert!(nobody("netwrok", &roles).ends_with("did you mean `network`?"));
        assert!(nobody("zz", &roles).ends_with("there are database, network"));
        assert!(nobody("zz", &BTreeSet::new()).ends_with("it has no agents"));
    }
}
