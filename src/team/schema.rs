//! What may stand in a file, as an editor wants to know it? JSON Schemas, generated from the written types.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value as Json;

use super::{file::TeamFile, profile::ProfileFile};

/// The JSON Schema of a profile file.
pub fn schema_profile() -> Json {
    schema_of::<ProfileFile>()
}

/// The JSON Schema of a team file.
pub fn schema_team() -> Json {
    schema_of::<TeamFile>()
}

/// The JSON Schema of what a written type stands for.
pub(super) fn schema_of<T: JsonSchema>() -> Json {
    // Editors support draft 7 best.
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>().to_value();
    without_null(&mut schema);
    schema
}

/// Takes "or nothing" from every key: one that is not given is left out, and the loader refuses a key without a value.
fn without_null(schema: &mut Json) {
    if let Some(properties) = schema.get_mut("properties").and_then(Json::as_object_mut) {
        for key in properties.values_mut().filter_map(Json::as_object_mut) {
            let null = |form: &Json| form.get("type").and_then(Json::as_str) == Some("null");
            if let Some(Json::Array(types)) = key.get_mut("type") {
                types.retain(|name| name.as_str() != Some("null"));
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    key.insert("type".to_owned(), one);
                }
            }
            if let Some(Json::Array(forms)) = key.get_mut("anyOf") {
                forms.retain(|form| !null(form));
                if forms.len() == 1 {
                    // Draft 7 ignores what stands beside a reference, such as the description.
                    let forms = key.remove("anyOf");
                    key.extend(forms.map(|forms| ("allOf".to_owned(), forms)));
                }
            }
        }
    }
    match schema {
        Json::Object(map) => map.values_mut().for_each(without_null),
        Json::Array(items) => items.iter_mut().for_each(without_null),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// A profile of which nothing has to be there: what a member may `set`.
pub(super) fn part_of_a_profile(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = ProfileFile::json_schema(generator);
    for key in ["required", "title", "description"] {
        schema.remove(key);
    }
    schema
}

/// That exactly one of these keys is there.
pub(super) fn one_of(keys: &[(&str, &[&str])]) -> Json {
    keys.iter().map(|(key, _)| serde_json::json!({ "required": [key] })).collect()
}
