//! Values cross unchanged, templates keep types, helpers do what their table says.

use proptest::prelude::*;

use super::{eval, place};
use crate::{
    rule::RuleBook,
    value::{Judge, TextTemplate, Value},
};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_filter_map("finite", Value::float),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::list),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(Value::map),
        ]
    })
}

proptest! {
    #[test]
    fn what_goes_through_a_script_comes_back_the_same(value in value()) {
        prop_assert_eq!(eval("x", &[("x", value.clone())]), Ok(value.clone()));
        prop_assert_eq!(eval("[#{ a: x }].map(|y| y.a)[0]", &[("x", value.clone())]), Ok(value.clone()));
        prop_assert_eq!(eval("json(to_json(#{ a: x })).a", &[("x", value.clone())]), Ok(value));
    }

    #[test]
    fn a_template_that_is_one_expression_keeps_the_value(value in value()) {
        let template = TextTemplate { source: "{{ x.y }}".into(), place: place(1, 1), refs: Vec::new() };
        let filled = RuleBook::default().fill(&template, &[("x", Value::map([("y", value.clone())]))]);
        prop_assert_eq!(filled, Ok(value));
    }
}

#[test]
fn templates_write_lists_and_maps_as_json_and_escape_nothing() {
    let book = RuleBook::default();
    let render = |source: &str| {
        let names = [
            ("x", Value::map([("b", Value::list([Value::Int(1), Value::text("<two>")])), ("a", Value::Null)])),
            ("n", Value::Float(2.0)),
        ];
        let text = TextTemplate { source: source.into(), place: place(1, 1), refs: Vec::new() };
        (book.render(&text, &names).map(|text| text.to_string()), book.fill(&text, &names))
    };
    assert_eq!(render("{{ x }}\n").0.as_deref(), Ok("{\"a\":null,\"b\":[1,\"<two>\"]}\n"));
    assert_eq!(render("{{ x.b[1] }}: {{ n }}{% for i in x.b %}, {{ i }}{% endfor %}").0.as_deref(), Ok("<two>: 2.0, 1, <two>"));
    assert_eq!(render("{{ x.b[0] }}").1, Ok(Value::Int(1)));
    assert_eq!(render("{{ x.b | length + 1 }}").1, Ok(Value::Int(3)));
    assert_eq!(render("{{ x.b[0] }}{{ x.b[0] }}").1, Ok(Value::text("11")));
    assert_eq!(render(" {{ x.b[0] }} th").1, Ok(Value::text(" 1 th")));
    assert_eq!(render("plain } text").1, Ok(Value::text("plain } text")));
}

#[test]
fn helpers_do_what_their_table_says() {
    for (source, expected) in [
        ("round(2.346, 2)", "2.35"),
        ("round(7, 2)", "7"),
        ("clamp(5, 1, 3)", "3"),
        ("clamp(0.5, 1, 3)", "1"),
        ("sum([1, 2, 3])", "6"),
        ("sum([1, 2.5])", "3.5"),
        ("mean([1, 2])", "1.5"),
        ("mean([]) ?? 0", "0"),
        ("median([3, 1, 2])", "2.0"),
        ("percentile([1, 2, 3, 4], 50)", "2.5"),
        ("min([3, 1, 2])", "1"),
        ("max([\"a\", \"c\", \"b\"])", "c"),
        ("[#{ n: 2, x: 1 }, #{ n: 1, x: 1 }].max_by(|i| i.x).n", "2"),
        ("[#{ n: 2 }, #{ n: 1 }].min_by(|i| i.n).n", "1"),
        ("[[2, \"b\"], [1, \"z\"], [2, \"a\"]].sort_by(|i| [-i[0], i[1]]).map(|i| i[1])", "[\"a\",\"b\",\"z\"]"),
        ("[1, 2, 3].group_by(|i| i % 2)", "{\"0\":[2],\"1\":[1,3]}"),
        ("[\"a\", \"b\", \"a\"].count_by(|i| i)", "{\"a\":2,\"b\":1}"),
        ("[1, 2, 1, #{ a: 1 }, #{ a: 1 }].unique()", "[1,2,{\"a\":1}]"),
        (
            "[#{ agent: \"a\", value: \"X\", confidence: 0.5 }, #{ agent: \"b\", value: 2, confidence: 0.75 }, #{ agent: \"c\", value: \"x \", confidence: 0.75 }].sides()",
            "[{\"agents\":[\"c\",\"a\"],\"confidence\":0.75,\"value\":\"x \",\"weight\":1.25},{\"agents\":[\"b\"],\"confidence\":0.75,\"value\":2,\"weight\":0.75}]",
        ),
        ("#{ a: 1, b: () }.get(\"b\", 3) + #{ a: 1 }.get(\"a\", 3)", "4"),
        ("format_time(parse_time(\"2026-01-05T14:30:00.5+01:00\"))", "2026-01-05T13:30:00.5Z"),
        ("format_time(parse_time(\"2026-01-05 14:30:00,250\"))", "2026-01-05T14:30:00.25Z"),
        ("parse_time(\"soon\") ?? -1", "-1"),
        ("matches(\"error 42\", \"[0-9]+$\")", "true"),
        ("captures(\"a=1\", \"(\\\\w)=(\\\\d)(x)?\")", "[\"a=1\",\"a\",\"1\",null]"),
        ("find_all(\"a1b22\", \"[0-9]+\")", "[\"1\",\"22\"]"),
        ("similarity(\"payment\", \"payments\") > 0.8", "true"),
    ] {
        assert_eq!(eval(source, &[]).map(|value| value.to_string()).as_deref(), Ok(expected), "{source}");
    }
    for (source, expected) in [
        ("sides([#{ agent: 1, value: 2 }])", "a position has no `confidence`"),
        ("sides([3])", "a position is a map"),
        ("max([1, \"a\"])", "no order among a text and an integer"),
        ("round(1.0, 99)", "expected 0 to 15"),
        ("clamp(1, 3, 2)", "3 is above 2"),
        ("matches(\"a\", \"(\")", "regex `(`"),
        ("json(\"{\")", "json: EOF"),
        ("json(\"18446744073709551615\")", "does not fit"),
        ("format_time(9223372036854775807)", "out of range"),
        ("percentile([1], 101)", "expected 0 to 100"),
        ("matches(\"a\", \"(a{1000}){1000}\")", "regex"),
    ] {
        let error = eval(source, &[]).expect_err(source);
        assert!(error.message.contains(expected), "{source}: {error}");
    }
}
