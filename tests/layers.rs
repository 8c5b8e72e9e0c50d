//! Do imports point one way, and does the pure core stay pure?
//!
//! Reads every `use` and every path of the sources as text. A module may import those in its row and nothing else; above the line no
//! file may name tokio, redb, a file system, a clock, randomness or an unordered map.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Each module with the modules that it may import, its own always.
const LAYERS: &[(&str, &[&str])] = &[
    ("value", &[]),
    ("graph", &["value"]),
    ("event", &["value", "graph"]),
    ("team", &["value", "graph"]),
    ("rule", &["value", "graph"]),
    ("pattern", &["value", "graph", "team", "rule"]),
    ("plan", &["value", "graph", "team", "rule", "pattern"]),
    ("turn", &["value", "graph", "event", "team"]),
    ("state", &["value", "graph", "event", "plan", "turn"]),
    ("schedule", &["value", "graph", "event", "plan", "turn", "state"]),
    ("report", &["value", "graph", "event", "plan", "turn", "state"]),
    ("simulate", &["value", "graph", "event", "plan", "turn", "state", "schedule", "report"]),
    ("http", &[]),
    ("secret", &["value"]),
    ("model", &["value", "graph", "event", "team", "rule", "turn", "state", "http", "secret"]),
    ("tool", &["value", "http", "knowledge", "secret"]),
    ("knowledge", &["value"]),
    ("store", &["value", "graph", "event", "team"]),
    (
        "engine",
        &[
            "value",
            "graph",
            "event",
            "team",
            "rule",
            "pattern",
            "plan",
            "turn",
            "state",
            "schedule",
            "report",
            "simulate",
            "model",
            "tool",
            "knowledge",
            "secret",
            "store",
        ],
    ),
];

/// The modules above the line.
const PURE: &[&str] =
    &["value", "graph", "event", "team", "rule", "pattern", "plan", "turn", "state", "schedule", "report", "simulate"];

/// What may not be named above the line.
const IMPURE: &[&str] = &[
    "tokio",
    "redb",
    "reqwest",
    "rusqlite",
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::thread",
    "Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
    "now_v7",
    "rand::",
];

/// What is allowed all the same, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    // A script that outgrows the stack runs on a larger one: a thread that is joined at once changes nothing that anybody can see.
    ("rule/engine.rs", "std::thread"),
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("read {}: {e}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder that can be read has readable entries").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file: tests and comments are left out.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        part == "tests" || part == "tests.rs" || part == "suite.rs" || part == "conformance.rs"
    })
}

/// The modules of the crate that a text imports: `crate::x` and `crate::{x, y::…}`.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let (mut depth, mut name) = (0_i32, String::new());
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => name.clear(),
                    c if depth == 0 && (c.is_alphanumeric() || c == '_') => name.push(c),
                    ':' if depth == 0 && !name.is_empty() => {
                        found.insert(std::mem::take(&mut name));
                    }
                    _ => {}
                }
            }
        } else {
            found.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    found
}

fn sources() -> BTreeMap<String, Vec<PathBuf>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = BTreeMap::new();
    for (module, _) in LAYERS {
        let mut found = Vec::new();
        files(&src.join(module), &mut found);
        assert!(!found.is_empty(), "the module {module} has no files");
        modules.insert((*module).to_owned(), found);
    }
    modules
}

#[test]
fn imports_point_one_way() {
    let known: BTreeSet<&str> = LAYERS.iter().map(|(module, _)| *module).chain(["cli"]).collect();
    let mut wrong = Vec::new();
    for (module, paths) in sources() {
        let allowed = LAYERS.iter().find(|(name, _)| *name == module).map(|(_, allowed)| *allowed).unwrap_or_default();
        for path in paths.iter().filter(|path| !is_test(path)) {
            for import in imports(&code(path)) {
                if known.contains(import.as_str()) && import != module && !allowed.contains(&import.as_str()) {
                    wrong.push(format!("{} imports {import}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point back:\n{}", wrong.join("\n"));
}

#[test]
fn the_core_has_no_io_no_clock_and_no_unordered_map() {
    let mut wrong = Vec::new();
    for (module, paths) in sources().into_iter().filter(|(module, _)| PURE.contains(&module.as_str())) {
        for path in paths.iter().filter(|path| !is_test(path)) {
            let code = code(path);
            for name in IMPURE {
                let allowed = EXCEPTIONS.iter().any(|(file, what)| path.ends_with(file) && what == name);
                if code.contains(name) && !allowed {
                    wrong.push(format!("{} ({module}) names {name}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "above the line:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_which_question_it_answers() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&src, &mut found);
    let silent: Vec<String> = found
        .iter()
        .filter(|path| !fs::read_to_string(path).is_ok_and(|text| text.starts_with("//!")))
        .map(|path| path.display().to_string())
        .collect();
    assert!(silent.is_empty(), "these do not open with //!:\n{}", silent.join("\n"));
}

#[test]
fn the_check_itself_sees_imports_in_groups() {
    let seen = imports("use crate::{event::{Key, X}, value::Y};\nlet z = crate::store::open();\nuse crate::team::Z;");
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["event", "store", "team", "value"]);
}
