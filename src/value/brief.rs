//! What is carried over when work is passed on? A [`Brief`]; a rule and an agent write it in the same way.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Value;

/// Entries of each list of a brief at most.
pub const BRIEF_ENTRIES: usize = 50;
/// A brief at most, in bytes of JSON.
pub const BRIEF_BYTES: usize = 8_000;

/// The keys of a brief, in the order in which it is read.
const KEYS: [&str; 5] = ["goal", "done", "open", "constraints", "artifacts"];

/// Where the work stands, for whoever goes on with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Brief {
    /// What is to be reached.
    pub goal: Arc<str>,
    /// What is done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<Arc<str>>,
    /// What is still to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<Arc<str>>,
    /// What whoever goes on must keep to, and acknowledge first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Arc<str>>,
    /// What there is to build on: files, documents, findings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Arc<str>>,
}

impl Brief {
    /// What `value` says: a map of the five keys, of which `goal` must be there and the others are texts or lists of texts; or a
    /// text, which is the goal.
    ///
    /// # Errors
    /// A sentence that names the key and what was expected.
    pub fn read(value: &Value) -> Result<Self, String> {
        let map = match value {
            Value::Text(goal) if !goal.trim().is_empty() => return fits(Self { goal: goal.clone(), ..Self::default() }),
            Value::Map(map) => map,
            other => return Err(format!("the brief is {}; expected a text or {{ {} }}", other.a_kind(), KEYS.join(", "))),
        };
        if let Some(key) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(format!("a brief has no `{key}`; it has {}", KEYS.join(", ")));
        }
        let goal = match map.get("goal") {
            Some(Value::Text(goal)) if !goal.trim().is_empty() => goal.clone(),
            Some(Value::Text(_)) => return Err("the `goal` of the brief says nothing".to_owned()),
            Some(Value::Null) | None => return Err("the brief has no `goal`: say what is to be reached".to_owned()),
            Some(other) => return Err(format!("the `goal` of the brief is {}; expected a text", other.a_kind())),
        };
        let list = |key: &str| texts(key, map.get(key));
        let brief = Self {
            goal,
            done: list("done")?,
            open: list("open")?,
            constraints: list("constraints")?,
            artifacts: list("artifacts")?,
        };
        fits(brief)
    }

    /// The constraints that `said` does not name; words count, not their punctuation and case.
    pub fn unacknowledged<'b>(&'b self, said: &[Arc<str>]) -> Vec<&'b str> {
        let said: Vec<Vec<String>> = said.iter().map(|text| words(text)).collect();
        self.constraints.iter().map(AsRef::as_ref).filter(|constraint| !said.contains(&words(constraint))).collect()
    }

    /// It as a text, one part a line.
    pub fn text(&self) -> String {
        let mut text = self.goal.to_string();
        let parts =
            [("Done", &self.done), ("Open", &self.open), ("Constraints", &self.constraints), ("Artifacts", &self.artifacts)];
        for (name, entries) in parts.into_iter().filter(|(_, entries)| !entries.is_empty()) {
            text.push_str(&format!("\n{name}:"));
            entries.iter().for_each(|entry| text.push_str(&format!("\n- {entry}")));
        }
        text
    }
}

/// The texts of a list; one text stands for itself.
fn texts(key: &str, value: Option<&Value>) -> Result<Vec<Arc<str>>, String> {
    let one = |value: &Value| match value {
        Value::Text(text) if !text.trim().is_empty() => Ok(text.clone()),
        Value::Text(_) => Err(format!("`{key}` of the brief has an entry that says nothing")),
        other => Err(format!("`{key}` of the brief holds {}; expected texts", other.a_kind())),
    };
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::List(entries)) => entries.iter().map(one).collect(),
        Some(other) => Ok(vec![one(other)?]),
    }
}

fn fits(brief: Brief) -> Result<Brief, String> {
    let lists =
        [("done", &brief.done), ("open", &brief.open), ("constraints", &brief.constraints), ("artifacts", &brief.artifacts)];
    if let Some((key, list)) = lists.into_iter().find(|(_, list)| list.len() > BRIEF_ENTRIES) {
        return Err(format!("`{key}` of the brief has {} entries, it may have {BRIEF_ENTRIES}", list.len()));
    }
    let bytes = Value::of(&brief).map_or(0, |value| value.to_string().len());
    if bytes > BRIEF_BYTES {
        return Err(format!("the brief has {bytes} bytes, it may have {BRIEF_BYTES}: say where the rest stands"));
    }
    Ok(brief)
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Result<&str, &str>) {
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        let read = Brief::read(&Value::try_from(json).unwrap()).map(|brief| brief.text());
        assert_eq!(read.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn a_brief_is_a_text_or_a_map_of_known_keys() {
        check(r#""look here""#, Ok("look here"));
        check(
            r#"{"goal":"fix it","done":"a","open":["b","c"],"constraints":[],"artifacts":null}"#,
            Ok("fix it\nDone:\n- a\nOpen:\n- b\n- c"),
        );
        check("7", Err("the brief is an integer; expected a text or { goal, done, open, constraints, artifacts }"));
        check(r#"{"goals":"x"}"#, Err("a brief has no `goals`; it has goal, done, open, constraints, artifacts"));
        check("{}", Err("the brief has no `goal`: say what is to be reached"));
        check(r#"{"goal":" "}"#, Err("the `goal` of the brief says nothing"));
        check(r#"{"goal":"x","open":[1]}"#, Err("`open` of the brief holds an integer; expected texts"));
    }

    #[test]
    fn a_brief_has_a_size() {
        let long = |entries: usize| {
            let list = Value::list((0..entries).map(|n| Value::from(format!("entry {n}"))));
            Brief::read(&Value::map([("goal", Value::text("x")), ("done", list)]))
        };
        assert!(long(BRIEF_ENTRIES).is_ok());
        assert_eq!(long(BRIEF_ENTRIES + 1).unwrap_err(), "`done` of the brief has 51 entries, it may have 50");
        let wide = Brief::read(&Value::from("x".repeat(BRIEF_BYTES))).unwrap_err();
        assert!(wide.ends_with("it may have 8000: say where the rest stands"), "{wide}");
    }

    #[test]
    fn constraints_are_acknowledged_by_their_words() {
        let brief = Brief { constraints: vec!["Do not restart db-1.".into(), "Read only".into()], ..Brief::default() };
        assert_eq!(brief.unacknowledged(&["do not restart DB-1".into()]), ["Read only"]);
        assert!(brief.unacknowledged(&["read-only!".into(), "Do not restart db 1".into()]).is_empty());
    }
}
