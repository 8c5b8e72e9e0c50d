//! What did SQLite mean, and which name was meant? Its errors in our words.

use rusqlite::{Connection, Error, ErrorCode};

use crate::{
    tool::{Stop, nearest},
    value::{Failure, FailureKind},
};

/// Tables that a name is looked for in.
const SEARCHED: usize = 200;

/// An error with its remedy: the nearest table or column for one that does not exist, the place of a syntax error, the reason of an interruption.
pub(super) fn explain(connection: &Connection, shown: &str, error: &Error, stop: &Stop) -> Failure {
    if code(error) == Some(ErrorCode::OperationInterrupted)
        && let Err(failure) = stop.check()
    {
        return failure;
    }
    let text = plain(error);
    let (kind, message) = match (error, code(error)) {
        (Error::MultipleStatement, _) => {
            (FailureKind::Schema, "`sql` holds more than one statement; make one call for each".to_owned())
        }
        (_, Some(ErrorCode::AuthorizationForStatementDenied)) => (
            FailureKind::Denied,
            "the statement reaches beyond the database (ATTACH, a setting, an extension), which is refused".to_owned(),
        ),
        (_, Some(ErrorCode::ReadOnly)) => {
            (FailureKind::Denied, format!("{text}; set `write: true` if the statement should change the database"))
        }
        (_, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) => {
            (FailureKind::Tool, format!("{text}: another process writes to {shown}; try again"))
        }
        (Error::SqlInputError { sql, offset, .. }, _) => (FailureKind::Schema, input(connection, &text, sql, *offset)),
        _ if text.starts_with("no such ") => (FailureKind::Schema, input(connection, &text, "", -1)),
        _ => (FailureKind::Tool, text),
    };
    Failure::new(kind, format!("query {shown}: {message}"))
}

/// The error's own words.
pub(super) fn plain(error: &Error) -> String {
    match error {
        Error::SqlInputError { msg, .. } => msg.clone(),
        Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    }
}

/// Tables and views by name, with `table` or `view`; SQLite's own are left out.
pub(super) fn tables(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let sql = "select name, type from sqlite_schema where type in ('table', 'view') and name not like 'sqlite\\_%' escape '\\' order by name";
    let mut statement = connection.prepare(sql)?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn code(error: &Error) -> Option<ErrorCode> {
    match error {
        Error::SqliteFailure(error, _) | Error::SqlInputError { error, .. } => Some(error.code),
        _ => None,
    }
}

fn input(connection: &Connection, text: &str, sql: &str, offset: i32) -> String {
    let name = |of: &str| text.strip_prefix(of).map(|name| name.rsplit('.').next().unwrap_or(name).to_owned());
    let names = || tables(connection).unwrap_or_default().into_iter().map(|(name, _)| name).take(SEARCHED).collect::<Vec<_>>();
    if let Some(table) = name("no such table: ") {
        let known = names();
        return match nearest(&table, known.iter().map(String::as_str)) {
            Some(near) => format!("{text}; did you mean `{near}`?"),
            None => format!("{text}; there are {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") }),
        };
    }
    if let Some(column) = name("no such column: ") {
        let known: Vec<String> = names().iter().flat_map(|table| columns(connection, table)).collect();
        return match nearest(&column, known.iter().map(String::as_str)) {
            Some(near) => format!("{text}; did you mean `{near}`?"),
            None => format!("{text}; ask for `op: schema` to see the columns"),
        };
    }
    let at = usize::try_from(offset).ok().and_then(|at| sql.get(..at)).map(|before| {
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!(" (line {line}, column {column} of the statement)")
    });
    format!("{text}{}", at.unwrap_or_default())
}

fn columns(connection: &Connection, table: &str) -> Vec<String> {
    let read = || -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare("select name from pragma_table_info(?1)")?;
        statement.query_map([table], |row| row.get(0))?.collect()
    };
    read().unwrap_or_default()
}
