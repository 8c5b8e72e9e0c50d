//! What state are the sessions in?

use std::path::Path;

use super::{Area, Diagnosis, Health};
use crate::store::{Examined, JournalFound, StoreError, examine, process};

/// Sessions of a kind that are told one by one.
const TOLD: usize = 10;
/// Bytes without which a run soon fails, and those that are little.
const FULL: u64 = 16 << 20;
const LITTLE: u64 = 256 << 20;

fn say(status: Health, subject: impl Into<String>, detail: impl Into<String>) -> Diagnosis {
    Diagnosis::new(Area::Store, status, subject, detail)
}

pub(super) fn look(folder: Option<&Path>, org: &str) -> Vec<Diagnosis> {
    let Some(folder) = folder else {
        return vec![say(Health::Ok, "memory", "sessions are kept in memory, or where this program says")];
    };
    let store = examine(folder, org);
    let shown = folder.display().to_string();
    let mut found = Vec::new();
    match (&store.refused, store.exists) {
        (Some(error), _) => found.push(error_of(&shown, error)),
        (None, false) => found.push(say(Health::Ok, &shown, "there is none yet: it will be made on the first run")),
        (None, true) => found.push(say(Health::Ok, &shown, summary(&store))),
    }
    match store.free {
        Some(free) if free < FULL => {
            found.push(say(Health::Fail, "disk", format!("{} are free", size(free))).help("make room on the disk of the store"))
        }
        Some(free) if free < LITTLE => {
            found.push(say(Health::Warn, "disk", format!("{} are free", size(free))).help("make room on the disk of the store"))
        }
        Some(free) => found.push(say(Health::Ok, "disk", format!("{} are free", size(free)))),
        None => {}
    }
    found.extend(store.catalog.as_ref().map(|error| error_of("index", error)));
    if store.catalog_lost {
        found.push(
            say(Health::Warn, "index", "catalog.redb is not there").help("`synod sessions` makes it again from the journals"),
        );
    }
    if store.rows_damaged > 0 {
        found.push(
            say(Health::Fail, "index", format!("{} of its rows are damaged", store.rows_damaged))
                .help("move catalog.redb away: it is made again from the journals"),
        );
    }
    if let Some(pid) = store.stuck {
        let detail = format!("process {pid} has it for writing and does not give it back: no session can begin or end");
        found.push(say(Health::Fail, "index", detail).help("if it is stopped, let it go on or end it"));
    }
    store.journals.iter().for_each(|journal| found.extend(look_at(journal)));
    found.extend(sessions(&store));
    found
}

fn summary(store: &Examined) -> String {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let bytes = store.journals.iter().map(|journal| journal.bytes).sum();
    let (sessions, journals) = (count(store.sessions, "session"), count(store.journals.len(), "journal"));
    let unread: usize = store.journals.iter().map(|journal| journal.unread).sum();
    let left = store.sessions - store.read - store.damaged.len() - unread;
    let left = if left > 0 { format!("; {left} of them were not looked at, for lack of time") } else { String::new() };
    format!("it can be written; format {}, {sessions} in {journals} of {}{left}", store.format, size(bytes))
}

fn look_at(journal: &JournalFound) -> Option<Diagnosis> {
    let name = journal.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Some(error) = &journal.error {
        let mut found = error_of(&name, error);
        if journal.unread > 0 {
            found.detail.push_str(&format!("; nothing can be read of {} sessions", journal.unread));
        }
        return Some(found);
    }
    if let Some(mark) = &journal.mark {
        return Some(
            say(Health::Warn, name, "nothing more is written to it, because it was damaged once")
                .help(format!("delete {} once the file is whole again", mark.display())),
        );
    }
    journal.unclean.then(|| say(Health::Ok, name, "its last writer died; whoever opens it next repairs it"))
}

fn sessions(store: &Examined) -> Vec<Diagnosis> {
    let damaged = store.damaged.iter().map(|(session, error)| say(Health::Fail, session.to_string(), error.to_string()));
    let held = store
        .held
        .iter()
        .map(|(session, pid)| say(Health::Ok, session.to_string(), format!("process {pid} has it, and is running or stopped")));
    let interrupted = store.interrupted.iter().map(|(session, died)| {
        let why = if *died { "its process died in the middle" } else { "it was broken off in the middle" };
        say(Health::Warn, session.to_string(), why).help(format!("go on with: synod resume {session}"))
    });
    let mut found = Vec::new();
    for (count, status, what, told) in [
        (store.damaged.len(), Health::Fail, "more sessions are damaged", damaged.take(TOLD).collect::<Vec<_>>()),
        (store.held.len(), Health::Ok, "more sessions are running", held.take(TOLD).collect()),
        (store.interrupted.len(), Health::Warn, "more sessions stopped in the middle", interrupted.take(TOLD).collect()),
    ] {
        let more = count - told.len();
        found.extend(told);
        if more > 0 {
            found.push(say(status, "sessions", format!("{more} {what}: `synod sessions` lists them")));
        }
    }
    found
}

/// What is wrong with a file, and what helps.
fn error_of(subject: &str, error: &StoreError) -> Diagnosis {
    match error {
        StoreError::Io { path, why, remedy } | StoreError::InUse { path, why, remedy } => {
            say(Health::Fail, subject, format!("{}: {why}", path.display())).help(*remedy)
        }
        StoreError::Damaged { path, why, remedy } => {
            say(Health::Fail, subject, format!("{} is damaged: {why}", path.display())).help(*remedy)
        }
        StoreError::Newer { path, found, known } => {
            let detail = format!("{} has format {found}, and this version knows up to {known}", path.display());
            say(Health::Fail, subject, detail).help("use the version that wrote it, or a newer one")
        }
        StoreError::Busy { path, pid } => {
            let detail = format!("{} is held by {}, which does not give it back", path.display(), process(*pid));
            say(Health::Fail, subject, detail).help("if it is stopped, let it go on or end it")
        }
    }
}

/// `1.5 GB`.
fn size(bytes: u64) -> String {
    let units = ["bytes", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes, 0);
    let mut tenths = 0;
    while value >= 1_000 && unit + 1 < units.len() {
        tenths = value % 1_000 / 100;
        value /= 1_000;
        unit += 1;
    }
    if unit == 0 || value >= 100 { format!("{value} {}", units[unit]) } else { format!("{value}.{tenths} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_said_as_people_say_them() {
        let said: Vec<String> = [0, 999, 1_234, 12_345_678, 999_999_999, 1_500_000_000, u64::MAX].map(size).into();
        assert_eq!(said, ["0 bytes", "999 bytes", "1.2 kB", "12.3 MB", "999 MB", "1.5 GB", "18446744 TB"]);
    }
}
