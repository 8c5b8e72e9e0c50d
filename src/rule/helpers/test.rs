//! Does a script do what its author thinks? `assert`, `assert_eq` and sample facts, for `test_*` functions.

use rhai::{Dynamic, Engine};

use super::Fallible;
use crate::{
    rule::{convert, kind},
    value::RuleKind,
};

pub(super) fn register(engine: &mut Engine) {
    engine.register_fn(
        "assert",
        |holds: bool| if holds { Ok(()) } else { Err("the assertion does not hold".into()) } as Fallible<()>,
    );
    engine.register_fn("assert", |holds: bool, message: &str| if holds { Ok(()) } else { Err(message.into()) } as Fallible<()>);
    engine.register_fn("assert_eq", |left: Dynamic, right: Dynamic| -> Fallible<()> {
        let (a, b) = (comparable(&left)?, comparable(&right)?);
        if a == b { Ok(()) } else { Err(format!("{a} is not {b}").into()) }
    });
    engine.register_fn("sample", |rule: &str| -> Fallible<Dynamic> {
        let facts = kind::sample(&RuleKind::of(rule));
        convert::to_dynamic(&facts).map_err(|error| error.to_string().into())
    });
}

/// As JSON: equal for equal content, whatever shares it.
fn comparable(value: &Dynamic) -> Fallible<serde_json::Value> {
    convert::to_value(value.clone()).map(|value| value.to_json()).map_err(|error| error.to_string().into())
}
