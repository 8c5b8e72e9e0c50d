//! How is a database opened so that a statement reaches nothing else? [`open`].

use std::{io::Read, path::Path, time::Duration};

use rusqlite::{
    Connection, OpenFlags,
    hooks::{AuthAction, AuthContext, Authorization},
    limits::Limit,
};

use super::words;
use crate::{
    tool::{Found, Stop},
    value::{Failure, FailureKind},
};

/// Steps of SQLite's machine between two looks at the stop: a fraction of a millisecond.
const STEPS: i32 = 10_000;
/// How long another writer is waited for.
const BUSY: Duration = Duration::from_secs(2);
/// The longest text, blob or row, in bytes.
const LENGTH: i32 = 16 << 20;
/// Settings that may be read, not set.
const PRAGMAS: [&str; 12] = [
    "table_info",
    "table_xinfo",
    "table_list",
    "index_list",
    "index_info",
    "index_xinfo",
    "foreign_key_list",
    "database_list",
    "user_version",
    "page_count",
    "page_size",
    "encoding",
];
/// Functions that reach beyond the database.
const FUNCTIONS: [&str; 5] = ["load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"];
/// Where a database's header says which journal it has, and what it says of a write-ahead log.
const JOURNAL_AT: usize = 18;
const WRITE_AHEAD: u8 = 2;

/// Opens the file: for reading alone unless `write`, and so that statements are interrupted at the stop.
pub(super) fn open(found: &Found, write: bool, stop: &Stop) -> Result<Connection, Failure> {
    let uri = address(found, write)?;
    let mode = if write { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let fail = |e: rusqlite::Error| Failure::new(FailureKind::Tool, format!("open {}: {}", found.shown(), words::plain(&e)));
    let mut connection = Connection::open_with_flags(uri, flags).map_err(fail)?;
    connection.busy_timeout(BUSY).map_err(fail)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LENGTH).map_err(fail)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0).map_err(fail)?;
    if !write {
        connection.pragma_update(None, "query_only", true).map_err(fail)?;
    }
    let stop = stop.clone();
    connection.progress_handler(STEPS, Some(move || stop.is_stopped())).map_err(fail)?;
    connection.authorizer(Some(authorize)).map_err(fail)?;
    // The first look at the file: one that is no database is told here.
    let probe = connection.query_row("select count(*) from sqlite_schema", [], |_| Ok(()));
    probe.map_err(fail)?;
    Ok(connection)
}

/// What one statement may do: anything to this database, nothing to others and nothing to settings.
fn authorize(context: AuthContext<'_>) -> Authorization {
    let allowed = match context.action {
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => false,
        AuthAction::Pragma { pragma_name, pragma_value } => {
            let reads = PRAGMAS.iter().any(|name| name.eq_ignore_ascii_case(pragma_name));
            let names_a_table =
                pragma_name.to_ascii_lowercase().ends_with("info") || pragma_name.to_ascii_lowercase().ends_with("list");
            reads && (pragma_value.is_none() || names_a_table)
        }
        AuthAction::Function { function_name } => !FUNCTIONS.iter().any(|name| name.eq_ignore_ascii_case(function_name)),
        _ => true,
    };
    if allowed { Authorization::Allow } else { Authorization::Deny }
}

/// The file as SQLite's address. A database with a write-ahead log that is empty is read as it is, because SQLite would otherwise
/// make files beside it; everything else in the way SQLite does by itself.
fn address(found: &Found, write: bool) -> Result<String, Failure> {
    let path = found.real_path()?;
    let mut header = Vec::with_capacity(JOURNAL_AT + 1);
    let read = found.open()?.take(JOURNAL_AT as u64 + 1).read_to_end(&mut header);
    read.map_err(|e| found.failure("read", &e))?;
    let logged = header.get(JOURNAL_AT) == Some(&WRITE_AHEAD);
    let beside = std::path::PathBuf::from(format!("{}-wal", path.display()));
    let pending = std::fs::metadata(beside).is_ok_and(|log| log.len() > 0);
    let still = if !write && logged && !pending { "?immutable=1" } else { "" };
    Ok(format!("file:{}{still}", escaped(&path)))
}

/// A path in an address: what has a meaning there is written as its code.
fn escaped(path: &Path) -> String {
    let mut out = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(*byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
