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

fn schema_of<T: JsonSchema>() -> Json {
    // Editors support draft 7 best.
    SchemaSettings::draft07().into_generator().into_root_schema_for::<T>().to_value()
}

/// A profile of which nothing has to be there: what a member may `set`.
pub(super) fn part_of_a_profile(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = ProfileFile::json_schema(generator);
    for key in ["required", "title", "description"] {
        schema.remove(key);
    }
    schema
}
