//! `synod verify`: is every record as it was written?

use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

use clap::Args;

use super::{CommandError, Exit, Global, Outcome, output};
use crate::store::{ReadError, Unread, Verified, look_up, verify};

/// How often it is said how far this is.
const EVERY: Duration = Duration::from_millis(200);

/// Read every record and check it against its hash chain
///
/// Names the first damaged record of each session, with its journal, and files that cannot be read. Nothing is changed or repaired; other
/// processes may go on. The exit code is 1 when something is damaged.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// A session's id, or the beginning of it; all sessions by default
    session: Option<String>,
}

impl Verify {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        if !global.store.is_dir() {
            let folder = global.store.display();
            return Err(CommandError::Usage(format!(
                "there is no store at {folder}: nothing ran here yet, or --store names another folder"
            )));
        }
        let find = |prefix: &String| look_up(&global.store, &global.org, prefix);
        let session = self.session.as_ref().map(find).transpose()?;
        let mut said = Instant::now();
        let shows = !global.quiet && std::io::stderr().is_terminal();
        let found = verify(&global.store, session, &mut |done, all| {
            if shows && (said.elapsed() > EVERY || done == all) {
                said = Instant::now();
                eprint!("\r{done} of {all} sessions{}", if done == all { "\n" } else { "" });
                // A progress that is not seen does no harm.
                drop(std::io::stderr().flush());
            }
        })?;
        if global.json {
            output::json(&as_json(&found))?;
        } else {
            output::text(&page(&found))?;
        }
        Ok(if found.is_whole() { Exit::Done } else { Exit::Failed })
    }
}

fn as_json(found: &Verified) -> serde_json::Value {
    let damaged = found.damaged.iter().map(|error| match error {
        ReadError::Damaged { session, journal, seq, why } => {
            serde_json::json!({ "session": session, "journal": journal, "seq": seq, "why": why })
        }
        ReadError::Unknown(session) | ReadError::Store { session, .. } => {
            serde_json::json!({ "session": session, "why": error.to_string() })
        }
    });
    let damaged: Vec<_> = damaged.collect();
    let files: Vec<String> = found.files.iter().map(line).collect();
    let Verified { sessions, records, journals, rows, .. } = found;
    serde_json::json!({
        "whole": found.is_whole(), "sessions": sessions, "records": records, "journals": journals,
        "damaged": damaged, "files": files, "damaged_rows": rows,
    })
}

fn line(file: &Unread) -> String {
    let Unread { error, sessions } = file;
    if *sessions == 0 { error.to_string() } else { format!("{error}; nothing can be read of {sessions} sessions") }
}

fn page(found: &Verified) -> String {
    let mut page = String::new();
    for file in &found.files {
        page.push_str(&format!("{}\n", line(file)));
    }
    for damage in &found.damaged {
        page.push_str(&format!("{damage}\n"));
    }
    if found.rows > 0 {
        page.push_str(&format!(
            "{} rows of the session index are damaged; move catalog.redb away: it is made again\n",
            found.rows
        ));
    }
    let word = if found.is_whole() { "all as they were written" } else { "and what stands above is damaged" };
    page.push_str(&format!("{} records of {} sessions are read, {word}\n", found.records, found.sessions));
    page
}
