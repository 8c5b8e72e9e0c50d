//! Errors name the line and column of the author's file.

use super::{book, place};
use crate::{
    rule::{RuleBook, Source, TeamScripts, free_names, run_tests, sample, template_names},
    value::{Expr, Judge, Place, RuleKind, TeamIx, TextTemplate, Value, includes},
};

fn at(place: &Place) -> (&str, u32, u32) {
    (&place.file, place.line, place.column)
}

#[test]
fn an_error_in_a_called_function_is_laid_to_the_line_that_failed() {
    let script = "// Über\nfn merge(facts) {\n    deeper(facts)\n}\n\nfn deeper(facts) {\n    facts.results.map(|part|\n        part.nothing)\n}\n";
    let error = book(script).judge(TeamIx(0), &RuleKind::Merge, &sample(&RuleKind::Merge)).unwrap_err();
    assert_eq!((at(&error.place), error.message.as_str()), (("rules.rhai", 8, 14), "no property `nothing`"));
}

#[test]
fn an_error_in_the_second_file_names_that_file() {
    let sources = vec![
        Source::new("a.rhai", "// no newline at the end, nor a semicolon\nconst LIMIT = 3"),
        Source::new("b.rhai", "\nfn merge(facts) { helper(facts) + global::LIMIT }"),
        Source::new("c.rhai", "fn helper(facts) {\n  1 / 0\n}"),
    ];
    let book = RuleBook::build(&[TeamScripts::new(sources)], [], []).unwrap();
    let error = book.judge(TeamIx(0), &RuleKind::Merge, &Value::Null).unwrap_err();
    assert_eq!(at(&error.place), ("c.rhai", 2, 5), "{error}");
}

#[test]
fn all_that_does_not_compile_is_told_at_once() {
    let sources =
        vec![Source::new("a.rhai", "fn f( {"), Source::new("b.rhai", "fn g() { 1 }"), Source::new("c.rhai", "\n  fn h() { x }")];
    let expr = Expr { source: "a +".into(), place: place(7, 3), refs: Vec::new() };
    let text = TextTemplate { source: "one\ntwo {{ b".into(), place: place(9, 5), refs: Vec::new() };
    let wrong = RuleBook::build(&[TeamScripts::new(sources)], [&expr], [&text]).unwrap_err();
    let files: Vec<_> = wrong.iter().map(|wrong| at(&wrong.place)).collect();
    assert_eq!(files, [("a.rhai", 1, 7), ("c.rhai", 2, 12), ("team.yaml", 7, 6), ("team.yaml", 10, 12)], "{wrong:#?}");
    assert_eq!(wrong[1].message, "no variable `x`");
}

#[test]
fn a_script_holds_functions_and_constants_only() {
    let wrong = |text: &str| match RuleBook::build(
        &[TeamScripts::new(vec![Source::new("a.rhai", text), Source::new("b.rhai", "fn z() { 1 }")])],
        [],
        [],
    ) {
        Ok(_) => panic!("{text} compiles"),
        Err(wrong) => wrong.into_iter().next().map(|wrong| (wrong.code, wrong.place.line, wrong.to_string())).unwrap(),
    };
    assert_eq!(wrong("fn f() { 1 }\nlet x = 3;").0, "rule-top-level");
    assert_eq!(wrong("fn f() { 1 }\n  f();").1, 2);
    assert!(wrong("fn f() { 1 }\nfn f() { 2 }").2.contains("`f` with 0 parameters stands here twice"));
    assert!(wrong("fn z() { 1 }").2.contains("`z` with 0 parameters stands here twice"));
    assert!(wrong("const A = 1;\nfn f() { A }").2.contains("reads a constant as `global::A`"));
    assert!(wrong("fn f() { 1 } /* never closed").2.contains("a comment is not closed"));
}

#[test]
fn an_expression_in_a_block_scalar_is_found_in_its_line() {
    let expr = Expr { source: "let a = 1;\nlet b = x.y;\na + b".into(), place: place(20, 9), refs: Vec::new() };
    let book = RuleBook::build(&[], [&expr], []).unwrap();
    let error = book.eval(&expr, &[("x", Value::map([("z", Value::Null)]))]).unwrap_err();
    assert_eq!(at(&error.place), ("team.yaml", 21, 19), "{error}");
    let error = book.eval(&expr, &[]).unwrap_err();
    assert_eq!((error.message.as_str(), error.place.line), ("no variable `x`", 21));
    let error = book.eval(&Expr { source: "0.0 / 0.0".into(), ..expr.clone() }, &[]).unwrap_err();
    assert_eq!(error.message, "the result is not a finite number");
    let error = book.eval(&Expr { source: "#{ a: [1, |x| x] }".into(), ..expr.clone() }, &[]).unwrap_err();
    assert_eq!(error.message, "`a[1]` is a Fn, which is not a value");
}

#[test]
fn free_names_of_expressions_are_found_where_they_stand() {
    let found = free_names("let own = a.b;\nown + [c].map(|x| x + d.x).len() + own", &place(4, 10)).unwrap();
    let found: Vec<_> = found.iter().map(|free| (&*free.name, free.place.line, free.place.column)).collect();
    assert_eq!(found, [("a", 4, 20), ("c", 5, 17), ("d", 5, 32)]);
    let error = free_names("foo(1)", &place(4, 10)).unwrap_err();
    assert_eq!((error.message.as_str(), error.place.column), ("no function `foo`", 10));
    assert_eq!(free_names("xs.lenn()", &place(1, 1)).unwrap_err().message, "no function `lenn`; did you mean `len`?");
    assert_eq!(
        free_names("xs.filter(1, 2, 3)", &place(1, 1)).unwrap_err().message,
        "`filter` is called with 3 arguments; it takes 1"
    );
    assert_eq!(free_names("  ", &place(1, 1)).unwrap_err().message, "the expression is empty");
}

#[test]
fn free_names_of_templates_are_found_where_they_stand() {
    let source = "a ticket: {{ input.ticket }}\n{% for x in triage.output %}{{ x }} {{ ticket }}{% endfor %}{{ range(3) }}";
    let found = template_names(source, &place(3, 5)).unwrap();
    let found: Vec<_> = found.iter().map(|free| (&*free.name, free.place.line, free.place.column)).collect();
    assert_eq!(found, [("input", 3, 18), ("ticket", 4, 44), ("triage", 4, 17)]);
}

#[test]
fn a_template_error_names_what_is_missing() {
    let book = RuleBook::default();
    let text = |source: &str| TextTemplate { source: source.into(), place: place(5, 3), refs: Vec::new() };
    let names = [("input", Value::map([("ticket", Value::text("T-1"))]))];
    let error = book.render(&text("Hi\n{{ input.tickett }}"), &names).unwrap_err();
    assert_eq!((error.message.as_str(), error.place.line), ("`input.tickett` is not defined", 6));
    let error = book.fill(&text("{{ input.tickett }}"), &names).unwrap_err();
    assert_eq!(error.message, "`input.tickett` is not defined");
    let error = book.render(&text("{{ input | shout }}"), &names).unwrap_err();
    assert!(error.message.contains("shout"), "{error}");
    let error =
        book.render(&text("{% for a in range(9000) %}{% for b in range(9000) %}x{% endfor %}{% endfor %}"), &names).unwrap_err();
    assert_eq!(error.message, "the template does not come to an end");
}

#[test]
fn a_failed_test_names_its_line() {
    let outcomes = run_tests(&[Source::new(
        "r.rhai",
        "fn test_a() { assert(true); }\n\nfn test_b() {\n  assert_eq(1 + 1, 3);\n}\nfn test_c(x) { x }",
    )])
    .unwrap();
    assert_eq!(
        outcomes.iter().map(|test| (&*test.name, test.passed())).collect::<Vec<_>>(),
        [("test_a", true), ("test_b", false)]
    );
    let failure = outcomes[1].failure.as_ref().unwrap();
    assert_eq!((failure.message.as_str(), at(&failure.place)), ("2 is not 3", ("r.rhai", 4, 3)));
    assert_eq!(at(&outcomes[1].place), ("r.rhai", 3, 4));
}

#[test]
fn includes_are_read_from_the_top_only() {
    let text = "//! Finds causes. use the best.rhai you have\n//! use ../lib/time.rhai\n\n// a note\n//!   use lists.rhai  \nfn f() {}\n//! use late.rhai";
    let found: Vec<_> = includes("a.rhai", text)
        .into_iter()
        .map(|include| (include.path.to_string(), include.place.line, include.place.column))
        .collect();
    assert_eq!(found, [("../lib/time.rhai".to_owned(), 2, 9), ("lists.rhai".to_owned(), 5, 11)]);
}
