//! How does an agent write a division of its task? [`proposed`] takes the list out of what it said; [`subtasks_schema`] tells models
//! what is expected.

use std::sync::Arc;

use crate::value::Value;

/// The list of sub-tasks in what an agent said: the value of `subtasks`, a list, or either as JSON in a text.
pub fn proposed(said: &Value) -> Value {
    let inner = said.get("subtasks").unwrap_or(said);
    let text = match (inner, inner.get("text")) {
        (Value::Text(text), _) | (Value::Map(_), Some(Value::Text(text))) => text,
        _ => return inner.clone(),
    };
    let json = serde_json::from_str::<serde_json::Value>(text).ok().and_then(|json| Value::try_from(json).ok());
    json.map_or_else(|| inner.clone(), |value| value.get("subtasks").cloned().unwrap_or(value))
}

/// JSON Schema of a list of sub-tasks that are given to `roles`; to whoever has a role, where none is named.
pub fn subtasks_schema(roles: &[Arc<str>]) -> Value {
    let text = |what: &str| vec![("type", Value::text("string")), ("description", Value::text(what))];
    let texts = |what: &str| {
        let items = Value::map([("type", Value::text("string"))]);
        Value::map([("type", Value::text("array")), ("description", Value::text(what)), ("items", items)])
    };
    let names = Value::list(roles.iter().cloned().map(Value::Text));
    let mut who = text("who does it, by role; without it name `skills`");
    who.extend((!roles.is_empty()).then_some(("enum", names)));
    let task = Value::map([
        ("type", Value::text("object")),
        (
            "properties",
            Value::map([
                ("id", Value::map(text("a short id of the sub-task: lower case letters, digits and _"))),
                ("agent", Value::map(who)),
                ("skills", texts("what whoever does it must know; the engine takes the member that fits best")),
                ("tools", texts("with `skills`: the tools that whoever does it must have")),
                ("task", Value::map(text("what it is to do, with all that must be known for it"))),
                ("done_when", Value::map(text("how one sees that it is done"))),
                ("depends_on", texts("ids of sub-tasks that must end first")),
            ]),
        ),
        ("required", Value::list(["id", "task"].map(Value::from))),
        ("additionalProperties", Value::Bool(false)),
    ]);
    Value::map([("type", Value::text("array")), ("items", task)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_found_in_a_map_in_a_list_and_in_a_text() {
        let list = Value::list([Value::Int(1)]);
        let map = Value::map([("subtasks", list.clone())]);
        for said in [list.clone(), map, Value::text("[1]"), Value::map([("text", Value::text("{\"subtasks\": [1]}"))])] {
            assert_eq!(proposed(&said), list, "{said}");
        }
        assert_eq!(proposed(&Value::text("I would not know")), Value::text("I would not know"));
    }
}
