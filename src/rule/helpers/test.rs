//! Does a script do what its author thinks? `assert`, `assert_eq` and sample facts, for `test_*` functions.

use rhai::{Dynamic, Module};

use super::{Fallible, function};
use crate::{
    rule::{convert, kind},
    value::RuleKind,
};

pub(super) fn register(library: &mut Module) {
    function(
        "assert",
        library,
        |holds: bool| if holds { Ok(()) } else { Err("the assertion does not hold".into()) } as Fallible<()>,
    );
    function("assert", library, |holds: bool, message: &str| if holds { Ok(()) } else { Err(message.into()) } as Fallible<()>);
    function("assert_eq", library, |left: Dynamic, right: Dynamic| -> Fallible<()> {
        let (a, b) = (comparable(&left)?, comparable(&right)?);
        if a == b { Ok(()) } else { Err(format!("{a} is not {b}").into()) }
    });
    function("sample", library, |rule: &str| -> Fallible<Dynamic> {
        let facts = kind::sample(&RuleKind::of(rule));
        convert::to_dynamic(&facts).map_err(|error| error.to_string().into())
    });
}

/// As JSON: equal for equal content, whatever shares it.
fn comparable(value: &Dynamic) -> Fallible<serde_json::Value> {
    convert::to_value(value.clone()).map(|value| value.to_json()).map_err(|error| error.to_string().into())
}
