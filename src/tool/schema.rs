//! Do the arguments of a call fit, and if not, which and why?

use jsonschema::{
    Validator,
    error::{TypeKind, ValidationError, ValidationErrorKind},
};
use schemars::{JsonSchema, generate::SchemaSettings};

use super::nearest;
use crate::value::{EffectClass, ToolSpec, Value};

/// How many complaints one answer holds.
const COMPLAINTS: usize = 8;
/// How much of a wrong value a complaint shows, in characters.
const SHOWN: usize = 60;

/// The spec of a tool whose arguments are an `A`; doc comments of `A` become the descriptions of the arguments.
pub fn spec<A: JsonSchema>(name: &str, effect: EffectClass, description: &str) -> ToolSpec {
    let settings = SchemaSettings::draft2020_12().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    });
    let schema = settings.into_generator().into_root_schema_for::<A>();
    let mut parameters = serde_json::Value::from(schema);
    if let Some(object) = parameters.as_object_mut() {
        object.remove("title");
        object.remove("description");
        if let Some(properties) = object.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
            properties.values_mut().for_each(flatten);
        }
    }
    ToolSpec {
        name: name.into(),
        description: description.into(),
        parameters: Value::try_from(parameters).expect("schemas of our own types hold small integers only"),
        effect,
        untrusted: false,
    }
}

/// Writes an optional choice the short way, so that models read it and complaints name it: `anyOf` of something and null becomes that or null,
/// `oneOf` of constants an `enum`, and what is said of each constant goes into the description.
fn flatten(property: &mut serde_json::Value) {
    let Some(property) = property.as_object_mut() else { return };
    let optional = property.contains_key("anyOf");
    if let Some(serde_json::Value::Array(options)) = property.remove("anyOf") {
        let null = serde_json::json!({ "type": "null" });
        for option in options.into_iter().filter(|option| *option != null) {
            for (key, value) in option.as_object().into_iter().flatten() {
                property.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        if let Some(serde_json::Value::String(name)) = property.get("type").cloned() {
            property.insert("type".to_owned(), serde_json::json!([name, "null"]));
        }
    }
    if let Some(serde_json::Value::Array(options)) = property.remove("oneOf") {
        let mut names: Vec<serde_json::Value> = options.iter().filter_map(|option| option.get("const")).cloned().collect();
        let told: Vec<String> = (options.iter())
            .filter_map(|option| Some(format!("`{}`: {}", option.get("const")?.as_str()?, option.get("description")?.as_str()?)))
            .collect();
        let description = property.get("description").and_then(serde_json::Value::as_str).unwrap_or_default();
        let whole = format!("{description} {}", told.join(" "));
        property.insert("description".to_owned(), whole.trim().into());
        names.extend(optional.then_some(serde_json::Value::Null));
        property.insert("enum".to_owned(), names.into());
    }
}

/// Everything that is wrong with `args`, readable; empty when they fit.
pub(super) fn complaints(validator: &Validator, parameters: &Value, args: &Value) -> Vec<String> {
    let json = args.to_json();
    let mut all: Vec<String> = validator.iter_errors(&json).take(COMPLAINTS).map(|e| complaint(&e, parameters)).collect();
    all.dedup();
    all
}

fn complaint(error: &ValidationError<'_>, parameters: &Value) -> String {
    let at = dotted(error.instance_path().as_str());
    let here = if at.is_empty() { "the arguments".to_owned() } else { format!("`{at}`") };
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let known: Vec<&str> = parameters
                .get("properties")
                .and_then(Value::as_map)
                .map(|m| m.keys().map(String::as_str).collect())
                .unwrap_or_default();
            unexpected.iter().map(|name| unknown(name, &at, &known)).collect::<Vec<_>>().join("; ")
        }
        ValidationErrorKind::Required { property } => {
            format!("`{}` is missing", join(&at, property.as_str().unwrap_or_default()))
        }
        ValidationErrorKind::Type { kind } => {
            format!("{here} must be {}, not {}", types(kind), shown(error.instance()))
        }
        ValidationErrorKind::Enum { options } => {
            let named = options.as_array().into_iter().flatten().filter(|option| !option.is_null());
            let listed: Vec<String> = named.map(ToString::to_string).collect();
            let meant = error.instance().as_str().and_then(|given| {
                let names: Vec<&str> = options.as_array().into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
                nearest(given, names).map(|name| format!("; did you mean \"{name}\"?"))
            });
            format!("{here} must be one of {}, not {}{}", listed.join(", "), shown(error.instance()), meant.unwrap_or_default())
        }
        ValidationErrorKind::Minimum { limit } => format!("{here} must be at least {limit}, not {}", shown(error.instance())),
        ValidationErrorKind::Maximum { limit } => format!("{here} must be at most {limit}, not {}", shown(error.instance())),
        _ => format!("{here}: {error}"),
    }
}

fn unknown(name: &str, at: &str, known: &[&str]) -> String {
    let path = join(at, name);
    match (at.is_empty(), nearest(name, known.iter().copied())) {
        (true, Some(near)) => format!("`{path}` is not an argument; did you mean `{near}`?"),
        (true, None) => format!("`{path}` is not an argument; there are {}", known.join(", ")),
        (false, _) => format!("`{path}` is not known there"),
    }
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => article(&one.to_string()),
        TypeKind::Multiple(many) => {
            many.iter().map(|t| t.to_string()).filter(|t| t != "null").map(|t| article(&t)).collect::<Vec<_>>().join(" or ")
        }
    }
}

fn article(name: &str) -> String {
    match name {
        "integer" | "object" | "array" => format!("an {name}"),
        _ => format!("a {name}"),
    }
}

/// `/baseline/since` as `baseline.since`.
fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').split('/').map(|p| p.replace("~1", "/").replace("~0", "~")).collect::<Vec<_>>().join(".")
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

fn shown(value: &serde_json::Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHOWN { text } else { format!("{}…", text.chars().take(SHOWN).collect::<String>()) }
}
