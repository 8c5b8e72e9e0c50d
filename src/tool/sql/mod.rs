//! What does a database say? The tool `sql_query`: one SQLite statement on a file in reach, read-only unless the call says `write`.
//!
//! Three locks, any of which would do: the file is opened read-only, `query_only` is set, and SQLite's authorizer refuses other
//! databases, extensions and settings. A statement that runs too long is interrupted between its steps.

mod open;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{
    Connection, Rows, Statement,
    types::{ToSqlOutput, ValueRef},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{BlockingTool, CallContext, Outcome, count, lines::shorten, spec};
use crate::value::{EffectClass, Failure, FailureKind, ToolSpec, Value};

/// Rows of one call where the call does not say.
const ROWS: usize = 200;
/// Rows of one call at most.
const ROWS_LIMIT: usize = 5_000;
/// Bytes of all rows.
const BYTES_LIMIT: usize = 1 << 20;
/// Characters of a text.
const TEXT: usize = 10_000;
/// Bytes of a blob that are shown.
const BLOB: usize = 64;
/// Tables that a listing shows.
const TABLES: usize = 500;

/// The tool `sql_query`.
pub(super) struct SqlQuery(ToolSpec);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// The database file.
    path: String,
    /// What to do. Default: `query`.
    #[serde(default)]
    op: Option<Op>,
    /// One SQL statement. Values belong into `params`, not into its text.
    #[serde(default)]
    sql: Option<String>,
    /// Values of `?` in order, or by name of `:name`, `@name`, `$name`.
    #[serde(default)]
    params: Option<Params>,
    /// How many rows. Default: 200.
    #[serde(default)]
    #[schemars(range(min = 1, max = ROWS_LIMIT))]
    limit: Option<usize>,
    /// Whether the statement may change the database; the profile must allow `sql_query(write)`. Default: false.
    #[serde(default)]
    write: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Op {
    /// Run `sql`.
    Query,
    /// List tables and columns.
    Schema,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Params {
    List(Vec<Value>),
    Named(BTreeMap<String, Value>),
}

impl JsonSchema for Params {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Params".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["array", "object"] })
    }

    fn inline_schema() -> bool {
        true
    }
}

impl Default for SqlQuery {
    fn default() -> Self {
        let description = "Runs one SQLite statement on a database file and returns `columns`, `rows` (one map each), `count` and, for a change, \
                           `changed` rows. Read-only unless `write` is true. `op: schema` lists tables with their columns instead.";
        Self(spec::<Args>("sql_query", EffectClass::Read, description))
    }
}

impl BlockingTool for SqlQuery {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    /// Reading is free to repeat; what a change would do twice nobody knows.
    fn effect(&self, args: &Value) -> EffectClass {
        match args.get("write") {
            None | Some(Value::Bool(false)) => EffectClass::Read,
            Some(_) => EffectClass::Irreversible,
        }
    }

    fn run(&self, call: &CallContext, args: &Value) -> Outcome {
        let args: Args = super::parse(args)?;
        let found = call.roots.find(&args.path)?;
        if args.write {
            found.writable()?;
        }
        let connection = open::open(&found, args.write, &call.stop)?;
        let explain = |e: rusqlite::Error| words::explain(&connection, found.shown(), &e, &call.stop);
        if args.op == Some(Op::Schema) {
            return schema(&connection).map_err(explain);
        }
        let Some(sql) = args.sql.as_deref().filter(|sql| !sql.trim().is_empty()) else {
            return Err(Failure::new(FailureKind::Schema, "`sql` is missing; write one statement, or ask for `op: schema`"));
        };
        let mut statement = connection.prepare(sql).map_err(explain)?;
        if statement.column_count() == 0 && statement.readonly() && statement.expanded_sql().is_none_or(|s| s.trim().is_empty()) {
            return Err(Failure::new(FailureKind::Schema, "`sql` holds no statement"));
        }
        if !args.write && !statement.readonly() {
            let message = "the statement changes the database; set `write: true` if it should, which the profile must allow";
            return Err(Failure::new(FailureKind::Denied, message));
        }
        bind(&mut statement, args.params.as_ref())?;
        let columns = columns(&statement);
        let before = connection.total_changes();
        let (rows, notes) = fetch(statement.raw_query(), &columns, args.limit.unwrap_or(ROWS)).map_err(explain)?;
        let mut result = vec![
            ("columns", Value::list(columns.iter().map(|name| Value::from(name.as_str())))),
            ("count", count(rows.len() as u64)),
            ("rows", Value::list(rows)),
            ("notes", Value::list(notes)),
        ];
        if args.write {
            result.push(("changed", count(connection.total_changes() - before)));
        }
        Ok(Value::map(result))
    }
}

/// The rows up to a limit. A change runs to its end: rows over the limit are passed over.
fn fetch(mut rows: Rows<'_>, columns: &[String], limit: usize) -> rusqlite::Result<(Vec<Value>, Vec<Value>)> {
    let (mut all, mut bytes, mut more) = (Vec::new(), 0, false);
    while let Some(row) = rows.next()? {
        if all.len() >= limit || bytes >= BYTES_LIMIT {
            more = true;
            if row.as_ref().readonly() {
                break;
            }
            continue;
        }
        let mut entries = BTreeMap::new();
        for (at, name) in columns.iter().enumerate() {
            let value = value(row.get_ref(at)?);
            bytes += name.len() + value.as_str().map_or(16, str::len);
            entries.insert(name.clone(), value);
        }
        all.push(Value::map(entries));
    }
    let note =
        if more { vec![Value::from(format!("there are more rows, the first {} are shown", all.len()))] } else { Vec::new() };
    Ok((all, note))
}

/// The columns' names, those that come twice with a number behind.
fn columns(statement: &Statement<'_>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    for name in statement.column_names() {
        let mut unique = name.to_owned();
        let mut n = 2;
        while !seen.insert(unique.clone()) {
            unique = format!("{name}_{n}");
            n += 1;
        }
        names.push(unique);
    }
    names
}

fn value(cell: ValueRef<'_>) -> Value {
    match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(number) => Value::float(number).unwrap_or_else(|| Value::from(number.to_string())),
        ValueRef::Text(text) => Value::from(shorten(&String::from_utf8_lossy(text), TEXT)),
        ValueRef::Blob(blob) => {
            let hex: String = blob.iter().take(BLOB).map(|byte| format!("{byte:02x}")).collect();
            Value::map([("bytes", count(blob.len() as u64)), ("hex", Value::from(hex))])
        }
    }
}

fn bind(statement: &mut Statement<'_>, params: Option<&Params>) -> Result<(), Failure> {
    let wanted = statement.parameter_count();
    let wrong = |message: String| Failure::new(FailureKind::Schema, message);
    let sql = |e: rusqlite::Error| wrong(format!("bind `params`: {e}"));
    match params {
        None if wanted == 0 => Ok(()),
        None => Err(wrong(format!("the statement has {wanted} parameters; give their values in `params`"))),
        Some(Params::List(values)) => {
            if values.len() != wanted {
                return Err(wrong(format!("the statement has {wanted} parameters, `params` has {} values", values.len())));
            }
            values.iter().enumerate().try_for_each(|(at, value)| statement.raw_bind_parameter(at + 1, Bound(value)).map_err(sql))
        }
        Some(Params::Named(values)) => {
            let names: Vec<Option<String>> = (1..=wanted).map(|at| statement.parameter_name(at).map(str::to_owned)).collect();
            for (at, name) in names.iter().enumerate() {
                let Some(name) = name else {
                    return Err(wrong("the statement has `?` parameters; give `params` as a list".to_owned()));
                };
                let bare = name.trim_start_matches([':', '@', '$']);
                let value = values.get(bare).or_else(|| values.get(name));
                let Some(value) = value else { return Err(wrong(format!("the parameter `{name}` has no value in `params`"))) };
                statement.raw_bind_parameter(at + 1, Bound(value)).map_err(sql)?;
            }
            let known =
                |key: &str| names.iter().flatten().any(|name| name == key || name.trim_start_matches([':', '@', '$']) == key);
            match values.keys().find(|key| !known(key)) {
                Some(extra) => Err(wrong(format!("the statement has no parameter `{extra}`"))),
                None => Ok(()),
            }
        }
    }
}

/// A value as SQLite takes it; lists and maps as their JSON.
struct Bound<'v>(&'v Value);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Bool(truth) => i64::from(*truth).into(),
            Value::Int(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Value::List(_) | Value::Map(_) => self.0.to_string().into(),
        })
    }
}

/// Tables and views with their columns.
fn schema(connection: &Connection) -> rusqlite::Result<Value> {
    let mut tables = Vec::new();
    let names = words::tables(connection)?;
    for (name, kind) in names.iter().take(TABLES) {
        let mut statement = connection.prepare("select name, type, \"notnull\", pk from pragma_table_info(?1)")?;
        let columns = statement.query_map([name], |row| {
            Ok(Value::map([
                ("name", Value::from(row.get::<_, String>(0)?)),
                ("type", Value::from(row.get::<_, String>(1)?)),
                ("not_null", Value::Bool(row.get(2)?)),
                ("primary_key", Value::Bool(row.get::<_, i64>(3)? > 0)),
            ]))
        })?;
        let columns = columns.collect::<rusqlite::Result<Vec<_>>>()?;
        tables.push(Value::map([
            ("name", Value::from(name.as_str())),
            ("kind", Value::from(kind.as_str())),
            ("columns", Value::list(columns)),
        ]));
    }
    let notes = if names.len() > TABLES {
        vec![Value::from(format!("{} tables, the first {TABLES} are shown", names.len()))]
    } else {
        vec![]
    };
    Ok(Value::map([("tables", Value::list(tables)), ("count", count(names.len() as u64)), ("notes", Value::list(notes))]))
}
