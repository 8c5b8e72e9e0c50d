//! No text, and no facts, bring the engine down.

use proptest::prelude::*;

use super::{eval, place};
use crate::{
    rule::{RuleBook, Source, TeamScripts, free_names, run_tests, template_names},
    value::{Judge, RuleError, Value},
};

/// What scripts are made of, so that random texts get past the tokenizer.
const WORDS: &str = "fn |settle|route|(|)|{|}|[|]|#{|facts|.|?.|agents|a|b|x|=|==|+|-|*|/|%|<|>|!|&&|let |const |if |else |while |loop |for \
    | in |switch |=>|_|,|;|:|\"|`|${|'|1|0|2.5|-1|9223372036854775807|()|true|this|return |break |throw |try |catch |private |global::|map\
    |filter|push|len|to_json|sort_by|group_by|percentile|\n|//|/*|*/|eval|Fn|call|curry|0..3|..|??|**|<<|~|@|é|\u{1F600}|\0|is |import ";

fn script() -> impl Strategy<Value = String> {
    let words: Vec<&str> = WORDS.split('|').chain(["|", "||", "|x|"]).collect();
    prop_oneof![prop::collection::vec(prop::sample::select(words), 0..40).prop_map(|words| words.concat()), any::<String>()]
}

/// The engine itself did not fail.
fn sound<T>(result: Result<T, RuleError>) -> Result<T, RuleError> {
    if let Err(error) = &result {
        assert!(!error.message.contains("engine failed") && !error.message.contains("thread ended"), "{error}");
    }
    result
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_scripts_compile_or_say_why(text in script()) {
        let team = TeamScripts::new(vec![Source::new("rules.rhai", &text)]);
        if let Ok(book) = RuleBook::build(std::slice::from_ref(&team), [], []) {
            assert!(book.check(std::slice::from_ref(&team)).iter().all(|found| !found.message.contains("engine failed")));
        }
        let wrapped = TeamScripts::new(vec![Source::new("rules.rhai", format!("fn settle(facts) {{ {text} }}"))]);
        if let Ok(book) = RuleBook::build(std::slice::from_ref(&wrapped), [], []) {
            assert!(book.check(std::slice::from_ref(&wrapped)).iter().all(|found| !found.message.contains("engine failed")));
        }
        let _ = run_tests(&[Source::new("a.rhai", "fn helper(x) { x }"), Source::new("b.rhai", format!("fn test_it() {{ {text} }}"))]);
    }

    #[test]
    fn random_expressions_have_a_value_or_an_error(text in script()) {
        let _ = free_names(&text, &place(3, 7));
        let first = sound(eval(&text, &[("a", Value::Int(3)), ("b", Value::text("b")), ("x", Value::list([Value::Null, Value::Bool(true)]))]));
        let second = sound(eval(&text, &[("a", Value::Int(3)), ("b", Value::text("b")), ("x", Value::list([Value::Null, Value::Bool(true)]))]));
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
