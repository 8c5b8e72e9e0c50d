//! No text, and no facts, bring the engine down.

use proptest::prelude::*;

use super::{eval, place};
use crate::{
    rule::{RuleBook, Source, TeamScripts, free_names, run_tests, template_names},
    value::{Judge, Value},
};

/// Words that scripts are made of, so that random texts get past the tokenizer.
fn script() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "fn ",
        "settle",
        "route",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "#{",
        "facts",
        ".",
        "?.",
        "agents",
        "a",
        "b",
        "x",
        "=",
        "==",
        "+",
        "-",
        "*",
        "/",
        "%",
        "<",
        ">",
        "!",
        "&&",
        "||",
        "|x|",
        "||",
        "let ",
        "const ",
        "if ",
        "else ",
        "while ",
        "loop ",
        "for ",
        " in ",
        "switch ",
        "=>",
        "_",
        ",",
        ";",
        ":",
        "\"",
        "`",
        "${",
        "'",
        "1",
        "0",
        "2.5",
        "-1",
        "9223372036854775807",
        "()",
        "true",
        "this",
        "return ",
        "break ",
        "throw ",
        "try ",
        "catch ",
        "private ",
        "global::",
        "map",
        "filter",
        "push",
        "len",
        "to_json",
        "sort_by",
        "group_by",
        "percentile",
        "\n",
        "//",
        "/*",
        "*/",
        "eval",
        "Fn",
        "call",
        "curry",
        "0..3",
        "..",
        "??",
        "**",
        "<<",
        "~",
        "@",
        "é",
        "\u{1F600}",
        "\0",
        "is ",
        "import ",
    ]);
    prop_oneof![prop::collection::vec(word, 0..40).prop_map(|words| words.concat()), any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn random_scripts_compile_or_say_why(text in script()) {
        let team = TeamScripts::new(vec![Source::new("rules.rhai", &text)]);
        if let Ok(book) = RuleBook::build(std::slice::from_ref(&team), [], []) {
            book.check(std::slice::from_ref(&team));
        }
        let wrapped = TeamScripts::new(vec![Source::new("rules.rhai", format!("fn settle(facts) {{ {text} }}"))]);
        if let Ok(book) = RuleBook::build(std::slice::from_ref(&wrapped), [], []) {
            book.check(std::slice::from_ref(&wrapped));
        }
        let _ = run_tests(&[Source::new("a.rhai", "fn helper(x) { x }"), Source::new("b.rhai", format!("fn test_it() {{ {text} }}"))]);
    }

    #[test]
    fn random_expressions_have_a_value_or_an_error(text in script()) {
        let _ = free_names(&text, &place(3, 7));
        let first = eval(&text, &[("a", Value::Int(3)), ("b", Value::text("b")), ("x", Value::list([Value::Null, Value::Bool(true)]))]);
        let second = eval(&text, &[("a", Value::Int(3)), ("b", Value::text("b")), ("x", Value::list([Value::Null, Value::Bool(true)]))]);
        prop_assert_eq!(first, second);
    }

    #[test]
    fn random_templates_render_or_say_why(text in "(\\{\\{|\\}\\}|\\{%|%\\}|[a-c .|'\"()\\[\\]+*~0-9-]|for |in |if |endif|endfor|set |macro |\n|é){0,30}") {
        let template = crate::value::TextTemplate { source: text.as_str().into(), place: place(2, 5), refs: Vec::new() };
        let _ = template_names(&text, &place(2, 5));
        let names = [("a", Value::Int(3)), ("b", Value::list([Value::text("b")]))];
        let _ = RuleBook::default().render(&template, &names);
        let _ = RuleBook::default().fill(&template, &names);
    }
}
