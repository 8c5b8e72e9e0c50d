//! Tests of the tool on real databases.

use std::{path::Path, sync::Arc, time::Instant};

use super::*;
use crate::tool::{
    Blocking, Outcome, Roots, Stop, Tool,
    suite::{Suite, call_in, call_on, json, suite},
};

fn tool() -> Arc<dyn Tool> {
    Arc::new(Blocking::new(SqlQuery::default()))
}

fn database() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let connection = Connection::open(folder.path().join("a.db")).expect("a database");
    let sql = "create table orders (id integer primary key, customer text not null, total real, note blob);
               insert into orders values (1, 'ann', 9.5, x'00ff'), (2, 'bob', 9e999, null), (3, 'ann', 1, 'x');
               create view sums as select customer, sum(total) as total from orders group by customer;";
    connection.execute_batch(sql).expect("tables");
    folder
}

fn query(folder: &Path, args: &str) -> Outcome {
    let mut args = json(args).as_map().expect("arguments").clone();
    args.entry("path".to_owned()).or_insert(Value::from("a.db"));
    call_in(tool(), folder, &Value::map(args))
}

fn rows(folder: &Path, args: &str) -> String {
    query(folder, args).unwrap_or_else(|e| panic!("{args}: {e}")).get("rows").expect("rows").to_string()
}

fn fails(folder: &Path, args: &str, expected: &str) {
    let failure = query(folder, args).expect_err(args);
    assert!(failure.message.contains(expected), "{args}: {failure} should say {expected}");
}

#[test]
fn it_keeps_the_rules_of_tools() {
    let folder = database();
    std::fs::write(folder.path().join("text.db"), "this is no database at all, only text").expect("a file");
    suite(&Suite {
        tool: tool(),
        workspace: folder.path(),
        good: json(r#"{"path": "a.db", "sql": "select * from orders"}"#),
        bad: vec![
            (json(r#"{}"#), "`path` is missing"),
            (json(r#"{"path": "a.db"}"#), "`sql` is missing"),
            (json(r#"{"path": "a.db", "sql": " -- nothing"}"#), "`sql` holds no statement"),
            (json(r#"{"path": "a.db", "sqll": "x"}"#), "did you mean `sql`?"),
            (json(r#"{"path": "a.db", "sql": "select * from order"}"#), "syntax error (line 1, column 15"),
            (json(r#"{"path": "a.db", "sql": "select * from ordres"}"#), "did you mean `orders`?"),
            (json(r#"{"path": "a.db", "sql": "select custmer from orders"}"#), "did you mean `customer`?"),
            (json(r#"{"path": "a.db", "sql": "select ?"}"#), "the statement has 1 parameters"),
            (json(r#"{"path": "a.db", "sql": "select ?", "params": [1, 2]}"#), "`params` has 2 values"),
            (json(r#"{"path": "a.db", "sql": "select :a", "params": {"b": 1}}"#), "`:a` has no value"),
            (json(r#"{"path": "a.db", "sql": "select :a", "params": {"a": 1, "b": 1}}"#), "no parameter `b`"),
            (json(r#"{"path": "a.db", "sql": "select 1; select 2"}"#), "more than one statement"),
            (json(r#"{"path": "text.db", "sql": "select 1"}"#), "not a database"),
            (json(r#"{"path": "b.db", "sql": "select 1"}"#), "did you mean a.db?"),
        ],
        path: Some("path"),
    });
}

#[test]
fn values_keep_their_types_and_columns_their_names() {
    let folder = database();
    let expected = r#"[{"customer":"ann","id":1,"note":{"bytes":2,"hex":"00ff"},"total":9.5},{"customer":"bob","id":2,"note":null,"total":"inf"}]"#;
    assert_eq!(rows(folder.path(), r#"{"sql": "select * from orders where id < ?", "params": [3]}"#), expected);
    assert_eq!(rows(folder.path(), r#"{"sql": "select 1 as a, :x as a", "params": {"x": [1]}}"#), r#"[{"a":1,"a_2":"[1]"}]"#);
    let cut = query(folder.path(), r#"{"sql": "select id from orders", "limit": 2}"#).expect("it runs");
    assert!(cut.get("notes").is_some_and(|n| n.to_string().contains("there are more rows")), "{cut}");
    let schema = query(folder.path(), r#"{"op": "schema"}"#).expect("it lists");
    assert!(schema.to_string().contains(r#"{"name":"customer","not_null":true,"primary_key":false,"type":"TEXT"}"#), "{schema}");
    assert!(schema.to_string().contains(r#""kind":"view","name":"sums""#), "{schema}");
}

#[test]
fn nothing_is_changed_and_nothing_else_reached_without_leave() {
    let folder = database();
    let before = std::fs::read(folder.path().join("a.db")).expect("the file");
    for sql in ["delete from orders", "create table x (y)", "create temp table x (y)", "vacuum", "drop table orders"] {
        fails(folder.path(), &format!(r#"{{"sql": "{sql}"}}"#), "the database");
    }
    for write in ["", r#", "write": true"#] {
        for sql in [
            "attach 'b.db' as b",
            "attach ':memory:' as b",
            "select load_extension('x')",
            "pragma query_only = 0",
            "pragma journal_mode = wal",
            "pragma writable_schema = 1",
            "vacuum into 'c.db'",
        ] {
            query(folder.path(), &format!(r#"{{"sql": "{sql}"{write}}}"#)).expect_err(sql);
        }
    }
    assert_eq!(std::fs::read(folder.path().join("a.db")).expect("the file"), before);
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 1);
    assert!(rows(folder.path(), r#"{"sql": "pragma table_info(orders)"}"#).contains("customer"));
}

#[test]
fn a_change_is_made_where_it_is_asked_for_but_not_in_an_input() {
    let folder = database();
    let args = r#"{"sql": "update orders set total = 0 where customer = ? returning id", "params": ["ann"], "write": true}"#;
    let result = query(folder.path(), args).expect("it changes");
    assert_eq!(result.get("changed"), Some(&Value::from(2)));
    assert_eq!(result.get("rows").map(ToString::to_string).as_deref(), Some(r#"[{"id":1},{"id":3}]"#));
    assert_eq!(rows(folder.path(), r#"{"sql": "select count(*) as n from orders where total = 0"}"#), r#"[{"n":2}]"#);
    assert_eq!(tool().effect(&json(args)), EffectClass::Irreversible);
    assert_eq!(tool().effect(&json("{}")), EffectClass::Read);

    let workspace = tempfile::tempdir().expect("a folder");
    let roots = Roots::new(workspace.path()).expect("a root").with_input(folder.path()).expect("an input");
    let path = Value::from(folder.path().join("a.db").display().to_string());
    let args = Value::map([("path", path), ("sql", Value::from("delete from orders")), ("write", Value::Bool(true))]);
    let failure = call_on(tool(), roots, Stop::default(), &args).expect_err("an input stays as it is");
    assert!(failure.message.contains("to be read only"), "{failure}");
}

#[test]
fn a_write_ahead_log_is_read_and_no_file_is_made_beside_the_database() {
    let folder = database();
    let path = folder.path().join("a.db");
    let writer = Connection::open(&path).expect("the database");
    writer.pragma_update(None, "journal_mode", "wal").expect("a log");
    writer.execute("insert into orders (id, customer) values (4, 'cyd')", []).expect("a row");
    assert_eq!(
        rows(folder.path(), r#"{"sql": "select count(*) as n from orders"}"#),
        r#"[{"n":4}]"#,
        "what is still in the log counts"
    );
    drop(writer);
    assert_eq!(rows(folder.path(), r#"{"sql": "select count(*) as n from orders"}"#), r#"[{"n":4}]"#);
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 1);
}

#[test]
fn a_statement_without_end_is_interrupted() {
    let folder = database();
    let sql = "with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n";
    let args = Value::map([("path", Value::from("a.db")), ("sql", Value::from(sql))]);
    let stop = Stop::new(Some(Instant::now() + std::time::Duration::from_millis(50)));
    let failure = call_on(tool(), Roots::new(folder.path()).expect("a root"), stop, &args).expect_err("it is interrupted");
    assert_eq!(failure.kind, FailureKind::Timeout);
}
