//! `synod gc`: remove old sessions. `synod compact`: give back their room.

use std::time::Duration;

use clap::{ArgGroup, Args};

use super::{Exit, Global, Outcome, output};
use crate::{
    engine::{Clock, SystemClock},
    store::{RedbStore, Removal, Retention, StoreError, removable},
    value::Timestamp,
};

/// Remove sessions that are over
///
/// Removes those that ended before --older-than and are not among the newest --keep of those that are over, with their records and payloads.
/// What runs or was interrupted stays, and so does what is parked, unless --parked is given. Export a session first if it may be wanted
/// again. A session goes whole or not at all, whenever this is killed. `compact` then makes the files smaller. What is in a journal that
/// another process writes is swept by a later `gc` or `compact`; only then is a removal final: until then the session is back when the
/// session index is lost and made again. The exit code is 1 when a file cannot be read or written.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).multiple(true).args(["older_than", "keep"])))]
pub(super) struct Gc {
    /// Only sessions that ended longer ago: 30d, 12h, 1d12h
    #[arg(long, value_name = "TIME", value_parser = span)]
    older_than: Option<Duration>,
    /// Keep so many of the newest sessions that are over
    #[arg(long, value_name = "N", default_value_if("older_than", clap::builder::ArgPredicate::IsPresent, "0"))]
    keep: Option<usize>,
    /// Remove parked sessions as well; their questions are never answered then
    #[arg(long)]
    parked: bool,
    /// Sessions of all users of the organization
    #[arg(long)]
    all_users: bool,
    /// Say what would be removed, and remove nothing; not a file is changed or repaired
    #[arg(long)]
    dry_run: bool,
}

impl Gc {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let tenant = global.tenant();
        let now = SystemClock.now();
        let before = self.older_than.map(|span| ago(now, span));
        let user = (!self.all_users).then_some(tenant.user);
        let which = Retention { org: tenant.org, user, before, keep: self.keep.unwrap_or(0), parked: self.parked };
        let removal =
            if self.dry_run { removable(&global.store, &which)? } else { RedbStore::open(&global.store)?.remove(&which)? };
        if global.json {
            output::json(&as_json(&removal, self.dry_run))?;
        } else {
            output::text(&page(&removal, self.dry_run))?;
        }
        Ok(tell(&removal.later, global))
    }
}

/// Make the files of the store as small as what is in them
///
/// Files that another process writes are left as they are and named; killed in the middle it loses nothing. Sessions go on in
/// other files meanwhile. Whoever wants to read a file, or to begin or end a session, while it is made smaller (about a second for each
/// 100 MB) waits, for ten seconds at most, and is told then which process has it. The exit code is 1 when a file cannot be read or written.
#[derive(Debug, Args)]
pub(super) struct Compact {}

impl Compact {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let done = RedbStore::open(&global.store)?.compact()?;
        let [before, after] = [|file: &Sizes| file.1, |file: &Sizes| file.2].map(|of| done.files.iter().map(of).sum::<u64>());
        if global.json {
            let files = done
                .files
                .iter()
                .map(|(file, before, after)| serde_json::json!({ "file": file, "before": before, "after": after }));
            let left: Vec<String> = done.left.iter().map(ToString::to_string).collect();
            let files: Vec<_> = files.collect();
            output::json(&serde_json::json!({ "before": before, "after": after, "files": files, "left": left }))?;
        } else {
            let files = if done.files.len() == 1 { "file" } else { "files" };
            output::text(&format!("{} {files}: {} before, {} after\n", done.files.len(), bytes(before), bytes(after)))?;
        }
        Ok(tell(&done.left, global))
    }
}

type Sizes = (std::path::PathBuf, u64, u64);

fn as_json(removal: &Removal, dry_run: bool) -> serde_json::Value {
    let sessions = removal.sessions.iter().map(|row| {
        let (ended, status) = (row.completed_at.map(Timestamp::rfc3339), row.status.name());
        serde_json::json!({ "session": row.session, "team": row.team, "status": status, "completed_at": ended })
    });
    let sessions: Vec<_> = sessions.collect();
    let later: Vec<String> = removal.later.iter().map(ToString::to_string).collect();
    let kept = removal.of - sessions.len().min(removal.of);
    serde_json::json!({ "dry_run": dry_run, "sessions": sessions, "kept": kept, "bytes": removal.bytes, "later": later })
}

fn page(removal: &Removal, dry_run: bool) -> String {
    let mut table = vec![["SESSION", "TEAM", "STATUS", "ENDED", "TASK"].map(str::to_owned).to_vec()];
    for row in &removal.sessions {
        let ended = row.completed_at.map_or_else(String::new, Timestamp::rfc3339);
        let cells = [row.session.to_string(), row.team.to_string(), row.status.name().to_owned(), ended, row.task.to_string()];
        table.push(cells.to_vec());
    }
    let mut page = if removal.sessions.is_empty() { String::new() } else { output::table(&table) };
    let (count, would) = (removal.sessions.len(), if dry_run { "would be " } else { "" });
    let sessions = if count == 1 { "session" } else { "sessions" };
    page.push_str(&format!("{count} {sessions} of {} {would}removed, {} {would}freed\n", removal.of, bytes(removal.bytes)));
    page
}

/// Says what was not done. What another process stands in the way of does no harm; anything else is a failure.
fn tell(left: &[StoreError], global: &Global) -> Exit {
    for left in left {
        if !left.is_for_later() {
            eprintln!("synod: {left}");
        } else if !global.quiet {
            eprintln!("left for later: {left}");
        }
    }
    if left.iter().all(StoreError::is_for_later) { Exit::Done } else { Exit::Failed }
}

/// A size that people can read.
fn bytes(count: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = UNITS.iter().find(|(_, size)| count >= *size);
    unit.map_or_else(|| format!("{count} bytes"), |(name, size)| format!("{:.1} {name}", count as f64 / *size as f64))
}

fn ago(now: Timestamp, span: Duration) -> Timestamp {
    Timestamp(now.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
}

fn span(text: &str) -> Result<Duration, String> {
    crate::team::parse_span(text).ok_or_else(|| format!("`{text}` is no time; write 30d, 12h, 45m or 1d12h"))
}
