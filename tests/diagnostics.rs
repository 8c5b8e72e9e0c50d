//! What does a broken file look like to its author? One snapshot for each file in `tests/fixtures/broken`.
//!
//! A file is added by putting it into that folder and accepting its snapshot (`INSTA_UPDATE=always cargo test --test diagnostics`), after
//! a look at its lines and columns.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use synod::team::{Diagnostic, Known, ModelCatalog, SourceError, Sources, check, is_suite, load_suite, render};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
const LIBRARY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/graphs");

/// Files of the fixtures, named from the folder of the broken ones, and the shipped library.
struct Files;

impl Files {
    fn path(name: &str) -> String {
        match name.strip_prefix("lib:") {
            Some(name) => format!("{LIBRARY}/{name}"),
            None => format!("{FIXTURES}/broken/{name}"),
        }
    }
}

impl Sources for Files {
    fn read(&self, name: &str) -> Result<Arc<str>, SourceError> {
        fs::read_to_string(Self::path(name)).map(Arc::from).map_err(|_| SourceError::NotFound)
    }

    fn exists(&self, name: &str) -> bool {
        Path::new(&Self::path(name)).exists()
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(Self::path(folder)).into_iter().flatten().filter_map(Result::ok);
        let names: BTreeSet<_> = entries.filter_map(|e| Some(format!("{folder}/{}", e.file_name().to_str()?))).collect();
        names.into_iter().collect()
    }
}

fn found(name: &str) -> Vec<Diagnostic> {
    if is_suite(name) {
        return load_suite(name, &Files).map_or_else(|found| found, |(_, warnings)| warnings);
    }
    check(name, &Files, &Known::models(&ModelCatalog::built_in()))
}

#[test]
fn every_broken_file_is_explained_as_its_snapshot_says() {
    let mut names: Vec<_> =
        fs::read_dir(format!("{FIXTURES}/broken")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert!(names.len() >= 40, "there are {} broken files", names.len());
    for name in names {
        let found = found(&name);
        assert!(found.iter().any(Diagnostic::is_error), "{name} has no error");
        for diagnostic in &found {
            assert!(diagnostic.line == 0 || diagnostic.excerpt().is_some(), "{name} has no line {}", diagnostic.line);
        }
        insta::assert_snapshot!(name.replace('.', "-"), render(&found, false));
    }
}

#[test]
fn diagnostics_are_objects_of_seven_keys_in_json() {
    let json = serde_json::to_value(found("profile-mistyped-key.yaml")).unwrap();
    let expected = serde_json::json!([
        {
            "file": "profile-mistyped-key.yaml", "line": 4, "column": 1, "severity": "error", "code": "unknown-key",
            "message": "a profile has no key `allowed_tols`", "help": "did you mean `allowed_tools`?",
        },
        {
            "file": "profile-mistyped-key.yaml", "line": 5, "column": 1, "severity": "error", "code": "unknown-key",
            "message": "a profile has no key `mcp_server`", "help": "did you mean `mcp_servers`?",
        },
    ]);
    assert_eq!(json, expected);
}
