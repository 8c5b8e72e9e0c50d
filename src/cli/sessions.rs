//! `synod sessions`: what ran here, newest first.

use clap::Args;
use serde::Serialize;

use super::{Exit, Global, Outcome, output};
use crate::{
    event::Status,
    report::{EscalationRow, Report, Standing},
    store::{Filter, SessionRow, Store},
};

/// List sessions, newest first
#[derive(Debug, Args)]
pub(super) struct Sessions {
    /// Rows at most
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Only sessions in this status
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Sessions of all users of the organization
    #[arg(long)]
    all_users: bool,
}

/// A row as `--json` prints it.
#[derive(Serialize)]
struct Row {
    session: String,
    team: String,
    task: String,
    status: &'static str,
    owner_pid: Option<u32>,
    interrupted: bool,
    started_at: String,
    completed_at: Option<String>,
    duration_ms: Option<u64>,
    /// Of a parked session: whom it waits for, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waits_for: Vec<String>,
    /// Of a parked session: who could not be told so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

const STATUSES: [Status; 8] = [
    Status::Initializing,
    Status::Running,
    Status::Aggregating,
    Status::Parked,
    Status::Completed,
    Status::Failed,
    Status::OutOfBudget,
    Status::Cancelled,
];

impl Sessions {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        if let Some(status) = &self.status
            && !STATUSES.iter().any(|s| s.name() == status)
            && status != Standing::Interrupted.name()
        {
            let names: Vec<&str> = STATUSES.iter().map(|s| s.name()).chain([Standing::Interrupted.name()]).collect();
            return Err(super::CommandError::Usage(format!("--status {status}: it is one of {}", names.join(", "))));
        }
        let engine = global.engine()?;
        let tenant = global.tenant();
        let user = (!self.all_users).then_some(tenant.user);
        let wanted = if self.status.is_some() { usize::MAX } else { self.limit };
        let rows = engine.store().list(&Filter { org: tenant.org, user, limit: wanted })?;
        let rows: Vec<Row> = rows
            .into_iter()
            .filter(|row| self.status.as_ref().is_none_or(|status| standing(row) == status))
            .take(self.limit)
            .map(|row| waiting(engine.store().as_ref(), &row, shown(&row)))
            .collect();
        if global.json {
            output::json(&rows)?;
            return Ok(Exit::Done);
        }
        let mut table = vec![["SESSION", "TEAM", "STATUS", "STARTED", "MS", "TASK"].map(str::to_owned).to_vec()];
        for row in rows {
            let status = match row.owner_pid {
                Some(pid) => format!("{} (pid {pid})", row.status),
                None if !row.warnings.is_empty() => format!("{} (not notified)", row.status),
                None => row.status.to_owned(),
            };
            let ms = row.duration_ms.map_or_else(String::new, |ms| ms.to_string());
            table.push(vec![row.session, row.team, status, row.started_at, ms, row.task]);
        }
        output::text(&output::table(&table))?;
        Ok(Exit::Done)
    }
}

fn standing(row: &SessionRow) -> &'static str {
    Standing::of(row.status, row.is_interrupted()).name()
}

fn shown(row: &SessionRow) -> Row {
    let owner_pid = match row.owner {
        crate::store::Owner::Live { pid } => Some(pid),
        crate::store::Owner::Nobody | crate::store::Owner::Dead => None,
    };
    Row {
        session: row.session.to_string(),
        team: row.team.to_string(),
        task: row.task.to_string(),
        status: standing(row),
        owner_pid,
        interrupted: row.is_interrupted(),
        started_at: row.started_at.rfc3339(),
        completed_at: row.completed_at.map(crate::value::Timestamp::rfc3339),
        duration_ms: row.duration_ms(),
        waits_for: Vec::new(),
        warnings: Vec::new(),
    }
}

/// The row of a parked session with what its journal says of the people whom it waits for. One that cannot be read is shown without.
fn waiting(store: &dyn Store, row: &SessionRow, shown: Row) -> Row {
    if row.status != Status::Parked {
        return shown;
    }
    let Some(report) = store.read_all(row.session).ok().and_then(|records| Report::of(&records).ok()) else { return shown };
    let open = || report.escalations.iter().filter(|row| row.state == Some("open"));
    let mut waits_for: Vec<String> = open().filter_map(|row| row.waits_for.as_ref().map(ToString::to_string)).collect();
    waits_for.sort();
    waits_for.dedup();
    Row { waits_for, warnings: open().flat_map(EscalationRow::untold).collect(), ..shown }
}
