//! What does a decision cost? Medians of a realistic rule with its facts, an expression, a template and the parts of each.

use std::{hint::black_box, time::Instant};

use synod::{
    rule::{RuleBook, ScriptAgent, Source, TeamScripts, sample},
    value::{Expr, Judge, Place, RuleKind, TeamIx, TextTemplate, Value},
};

const ROUNDS: usize = 200;
const PER_ROUND: usize = 50;

fn main() {
    let script = Source::new("incident.rhai", include_str!("../scripts/rules/incident.rhai"));
    let started = Instant::now();
    let teams = [TeamScripts::new(vec![script])];
    let book = RuleBook::build(&teams, [], []).expect("the shipped rules compile");
    println!("{:<44} {:>9.1} µs, once", "compile incident.rhai", started.elapsed().as_secs_f64() * 1e6);
    let started = Instant::now();
    let found = book.check(&teams);
    assert!(found.is_empty(), "{found:#?}");
    println!("{:<44} {:>9.1} µs, once", "check incident.rhai on sample facts", started.elapsed().as_secs_f64() * 1e6);

    for kind in [RuleKind::Settle, RuleKind::Route, RuleKind::Escalate] {
        let facts = sample(&kind);
        median(&format!("judge {} (limit 20)", kind.function()), || {
            book.judge(TeamIx(0), &kind, &facts).map(drop).expect("a verdict")
        });
        let json = facts.to_json();
        median(&format!("  facts of {} from JSON", kind.function()), || drop(Value::try_from(json.clone())));
    }

    let expr = Expr { source: "triage.output.kind == \"billing\"".into(), place: Place::default(), refs: Vec::new() };
    let template =
        TextTemplate { source: "Classify {{ input.ticket }} for {{ item }}".into(), place: Place::default(), refs: Vec::new() };
    let book = RuleBook::build(&[], [&expr], [&template]).expect("both compile");
    let triage = Value::map([("output", Value::map([("kind", Value::text("billing"))])), ("status", Value::text("ok"))]);
    median("evaluate an edge condition", || book.eval(&expr, &[("triage", triage.clone())]).map(drop).expect("a value"));
    let names = [("input", Value::map([("ticket", Value::text("no refund"))])), ("item", Value::Int(3))];
    median("render a task", || book.render(&template, &names).map(drop).expect("a text"));

    let agent = ScriptAgent::compile(&[Source::new(
        "a.rhai",
        "fn turn(view) { #{ finish: view.rows.filter(|row| row.n % 2 == 0).len() } }",
    )]);
    let agent = agent.expect("it compiles");
    for rows in [10, 1_000, 10_000] {
        let row =
            |n: i64| Value::map([("n", Value::Int(n)), ("text", Value::text("a line of a log")), ("level", Value::text("INFO"))]);
        let view = Value::map([("rows", Value::list((0..rows).map(row)))]);
        let started = Instant::now();
        agent.turn(&view).expect("a turn");
        println!("{:<44} {:>9.1} µs, once", format!("a turn over {rows} rows"), started.elapsed().as_secs_f64() * 1e6);
    }
}

fn median(what: &str, mut f: impl FnMut()) {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            (0..PER_ROUND).for_each(|_| black_box(&mut f)());
            started.elapsed().as_secs_f64() * 1e6 / PER_ROUND as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{what:<44} {:>9.2} µs, median", times[ROUNDS / 2]);
}
