//! What is in a Markdown file? [`Document`]: front matter, a title, sections.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::words::spaced;

/// A Markdown file, taken apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Document {
    /// From the front matter, else the first heading, else the file's name.
    pub(super) title: String,
    /// The file's name without its ending.
    pub(super) name: String,
    /// The front matter: what a key holds, each value as text, in lower case.
    pub(super) fields: BTreeMap<String, Vec<String>>,
    /// The parts, in order; the first has no heading and may be empty.
    pub(super) sections: Vec<Section>,
}

/// What stands below a heading.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Section {
    pub(super) heading: String,
    /// Where it begins, from 1.
    pub(super) line: usize,
    pub(super) text: String,
}

/// A value of the front matter.
#[derive(Deserialize)]
#[serde(untagged)]
enum Field {
    Text(String),
    Number(f64),
    Flag(bool),
    List(Vec<Self>),
    /// Anything else says nothing that a filter could ask for.
    Other(serde::de::IgnoredAny),
}

impl Field {
    fn texts(&self) -> Vec<String> {
        match self {
            Self::Text(text) => vec![text.to_lowercase()],
            Self::Number(number) => vec![number.to_string()],
            Self::Flag(flag) => vec![flag.to_string()],
            Self::List(items) => items.iter().flat_map(Self::texts).collect(),
            Self::Other(_) => Vec::new(),
        }
    }
}

impl Document {
    /// Takes `text` apart. Front matter that is no YAML counts as text.
    pub(super) fn parse(name: &str, text: &str) -> Self {
        let (front, body, first) = front_matter(text);
        let front: BTreeMap<String, Field> = front.and_then(|yaml| serde_saphyr::from_str(yaml).ok()).unwrap_or_default();
        let titled = match front.get("title") {
            Some(Field::Text(title)) => Some(title.trim().to_owned()),
            _ => None,
        };
        let sections = sections(body, first);
        let headed = || sections.iter().find(|section| !section.heading.is_empty()).map(|section| section.heading.clone());
        Self {
            title: titled.filter(|title| !title.is_empty()).or_else(headed).unwrap_or_else(|| spaced(name)),
            name: name.to_owned(),
            fields: front.iter().map(|(key, field)| (key.to_lowercase(), field.texts())).collect(),
            sections,
        }
    }

    /// What its author may have meant otherwise: front matter that is not read as such.
    pub(super) fn oddity(text: &str) -> Option<String> {
        let (front, ..) = front_matter(text);
        if let Some(yaml) = front {
            let read: Result<BTreeMap<String, Field>, _> = serde_saphyr::from_str(yaml);
            let why = read.err()?.to_string();
            let why = why.lines().next().unwrap_or_default();
            return Some(format!("its front matter is no YAML map: {}", why.trim_start_matches("error: ")));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let opens = text.lines().next().is_some_and(|line| line.trim_end() == "---");
        opens.then(|| "its front matter is not closed with a line of ---".to_owned())
    }

    /// Whether it has one of the values for every key.
    pub(super) fn passes(&self, filters: &BTreeMap<String, Vec<String>>) -> bool {
        filters.iter().all(|(key, wanted)| {
            let has = self.fields.get(&key.to_lowercase()).map(Vec::as_slice).unwrap_or_default();
            wanted.iter().any(|value| has.contains(&value.to_lowercase()))
        })
    }
}

/// The YAML between two lines of `---` at the very beginning, what follows, and the line where that begins.
fn front_matter(text: &str) -> (Option<&str>, &str, usize) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Some(rest) = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n")) else { return (None, text, 1) };
    let mut end = 0;
    for (at, line) in rest.split_inclusive('\n').enumerate() {
        if line.trim_end() == "---" {
            return (Some(&rest[..end]), &rest[end + line.len()..], at + 3);
        }
        end += line.len();
    }
    (None, text, 1)
}

/// The parts of a text, by its headings outside of code.
fn sections(body: &str, first: usize) -> Vec<Section> {
    let mut sections = vec![Section { line: first, ..Section::default() }];
    let mut fenced = false;
    for (at, line) in body.lines().enumerate() {
        if line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~") {
            fenced = !fenced;
        }
        let heading = (!fenced).then(|| heading(line)).flatten();
        match (heading, sections.last_mut()) {
            (Some(heading), _) => sections.push(Section { heading, line: first + at, text: String::new() }),
            (None, Some(section)) => {
                section.text.push_str(line);
                section.text.push('\n');
            }
            (None, None) => {}
        }
    }
    sections
}

fn heading(line: &str) -> Option<String> {
    let rest = line.trim_start_matches('#');
    let level = line.len() - rest.len();
    (1..=6)
        .contains(&level)
        .then(|| rest.strip_prefix(' '))
        .flatten()
        .map(|text| text.trim().trim_end_matches('#').trim().to_owned())
}
