//! What does a text say, and where does it say it? A [`Node`] is a value of YAML or JSON that knows its [`Place`].
//!
//! Everything is read from this tree rather than straight into types, so that one reading can report every mistake.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

use super::{Code, Diagnostic, syntax};
use crate::value::{Map, Place, Value};

/// Bytes of a file at most.
pub const MAX_FILE_BYTES: usize = 1 << 20;
/// Bytes of a recorded session at most, which no person writes.
pub const MAX_RECORDING_BYTES: usize = 64 << 20;
/// Levels of nesting in a file at most.
pub const MAX_DEPTH: usize = 40;
/// Values in a file at most, those that aliases repeat included.
pub const MAX_NODES: usize = 20_000;
/// Aliases in a file at most.
pub const MAX_ALIASES: usize = 500;

/// Bytes that a file of that name has at most.
pub fn max_bytes(name: &str) -> usize {
    if name.ends_with(".jsonl") { MAX_RECORDING_BYTES } else { MAX_FILE_BYTES }
}
/// Characters of a text of the author's that a message shows at most.
const MAX_SHOWN: usize = 60;

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where it starts.
    pub(super) place: Place,
    /// How many characters it has on its first line; 0 when unknown.
    pub(super) length: u32,
    /// Where its content starts: behind the quote of a quoted text, on the next line of a block.
    pub(super) content: (u32, u32),
    /// What it is.
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    /// Any other number; not finite for `.nan` and `.inf`.
    Float(f64),
    /// An integer outside of 64 bits with sign.
    Huge,
    Text(Arc<str>),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: Arc<str>,
    pub(super) place: Place,
    pub(super) length: u32,
}

impl Node {
    /// A value that no file spells out, at `place`.
    pub(super) fn made(place: &Place, kind: Kind) -> Self {
        Self { place: place.clone(), length: 0, content: (place.line, place.column), kind }
    }

    /// What messages call it.
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Bool(truth) => format!("`{truth}`"),
            Kind::Int(number) => format!("the integer {number}"),
            Kind::Float(number) if number.is_nan() => "`.nan`".to_owned(),
            Kind::Float(number) if number.is_infinite() => "`.inf`".to_owned(),
            Kind::Float(number) => format!("the number {number}"),
            Kind::Huge => "an integer that does not fit into 64 bits".to_owned(),
            Kind::Text(text) => format!("the text {}", quoted(text)),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
        }
    }

    /// The entry `key` of a map.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Kind::Map(entries) = &self.kind else { return None };
        entries.iter().find(|(k, _)| &*k.name == key).map(|(_, node)| node)
    }

    /// An error that underlines this value.
    pub(super) fn error(&self, code: Code, message: impl AsRef<str>) -> Diagnostic {
        Diagnostic::error(code, &self.place, message).length(self.length)
    }

    /// Where the first character of its content stands: what an expression's own positions count from.
    pub(super) fn content_place(&self) -> Place {
        Place { file: self.place.file.clone(), line: self.content.0, column: self.content.1 }
    }

    /// As a plain value; what cannot be one is reported.
    pub(super) fn value(&self, found: &mut Vec<Diagnostic>) -> Option<Value> {
        Some(match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(truth) => Value::Bool(*truth),
            Kind::Int(number) => Value::Int(*number),
            Kind::Float(number) if number.is_finite() => Value::Float(*number),
            Kind::Float(_) | Kind::Huge => {
                found.push(
                    self.error(Code::InvalidValue, format!("expected a finite number, found {}", self.describe()))
                        .help("quote it if it is meant as text"),
                );
                return None;
            }
            Kind::Text(text) => Value::Text(text.clone()),
            Kind::List(items) => {
                let values: Vec<_> = items.iter().map(|item| item.value(found)).collect();
                Value::list(values.into_iter().collect::<Option<Vec<_>>>()?)
            }
            Kind::Map(_) => Value::Map(Arc::new(self.map(found)?)),
        })
    }

    /// The entries of a map as plain values; what cannot be one, and a key that stands twice, is reported.
    pub(super) fn map(&self, found: &mut Vec<Diagnostic>) -> Option<Map> {
        let Kind::Map(entries) = &self.kind else { return None };
        duplicates(entries, found);
        let values: Vec<_> = entries.iter().map(|(key, node)| Some((key.name.to_string(), node.value(found)?))).collect();
        values.into_iter().collect()
    }
}

impl Key {
    /// An error that underlines this key.
    pub(super) fn error(&self, code: Code, message: impl AsRef<str>) -> Diagnostic {
        Diagnostic::error(code, &self.place, message).length(self.length)
    }
}

/// Reports every key that stands twice.
pub(super) fn duplicates(entries: &[(Key, Node)], found: &mut Vec<Diagnostic>) {
    let mut seen = std::collections::BTreeMap::new();
    for (key, _) in entries {
        if let Some(first) = seen.insert(key.name.clone(), &key.place) {
            found.push(
                key.error(Code::DuplicateKey, format!("the key {} stands twice", quoted(&key.name)))
                    .label("again")
                    .related(first, "first")
                    .help("remove one, or give it a name of its own"),
            );
        }
    }
}

/// Reports every key of a map that stands twice.
pub(super) fn duplicates_of(node: &Node, found: &mut Vec<Diagnostic>) {
    if let Kind::Map(entries) = &node.kind {
        duplicates(entries, found);
    }
}

/// A text of the author's, in backquotes and cut to a size that fits a message.
pub(super) fn quoted(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    match line.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("`{}…`", &line[..end]),
        None if line.len() < text.trim_end().len() => format!("`{line} …`"),
        None => format!("`{line}`"),
    }
}

/// The tree of `text`, which is YAML or JSON (a subset of it).
pub(super) fn parse(file: &Arc<str>, text: &str) -> Result<Node, Box<Diagnostic>> {
    let whole = Place { file: file.clone(), line: 0, column: 0 };
    if text.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes, more than the {MAX_FILE_BYTES} allowed", text.len());
        return Err(Diagnostic::error(Code::TooLarge, &whole, message).help("keep data in files of its own").into());
    }
    let node = parse_value(file, text)?;
    if matches!(node.kind, Kind::Null) {
        return Err(Diagnostic::error(Code::EmptyFile, &whole, "the file is empty")
            .help("a profile or team starts with `name:`")
            .into());
    }
    Ok(node)
}

/// The tree of `text`, which may be any value, nothing too.
pub(super) fn parse_value(file: &Arc<str>, text: &str) -> Result<Node, Box<Diagnostic>> {
    let spanned: Spanned<Raw> =
        serde_saphyr::from_str_with_options(text, options()).map_err(|e| Box::new(syntax::explain(file, text, &e)))?;
    node(file, &Lines::new(text), spanned)
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_events: MAX_NODES * 4,
            max_aliases: MAX_ALIASES,
            max_depth: MAX_DEPTH,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_NODES },
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
        reject_unsupported_tags: true,
        emit_comments: false,
    }
}

/// The lines of a text, for places of contents and lengths.
struct Lines<'a>(Vec<&'a str>);

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self(text.strip_prefix('\u{feff}').unwrap_or(text).lines().collect())
    }

    fn get(&self, line: u32) -> &'a str {
        line.checked_sub(1).and_then(|n| self.0.get(n as usize)).copied().unwrap_or("")
    }

    /// Where the content of the text at a place starts. The parser places a block at its content, anything else at its quote.
    fn content(&self, place: &Place) -> (u32, u32) {
        let (line, start) = (self.get(place.line), place.column.saturating_sub(1) as usize);
        let above = self.get(place.line.saturating_sub(1)).trim_end_matches(['-', '+', ' ', '1', '2', '4']);
        let block = line.chars().take(start).all(char::is_whitespace) && above.ends_with(['|', '>']);
        let quote = matches!(line.chars().nth(start), Some('"' | '\''));
        (place.line, if quote && !block { place.column + 1 } else { place.column })
    }

    /// The words at a place.
    fn slice(&self, place: &Place, length: u32) -> String {
        self.get(place.line).chars().skip(place.column.saturating_sub(1) as usize).take(length as usize).collect()
    }

    /// `length`, cut at the end of the line.
    fn clip(&self, place: &Place, length: u64) -> u32 {
        let left = self.get(place.line).trim_end().chars().count().saturating_sub(place.column.saturating_sub(1) as usize);
        u32::try_from(length.min(left as u64)).unwrap_or(0)
    }
}

/// What `serde` gives.
enum Raw {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Huge,
    Text(Arc<str>),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<Self>, Spanned<Self>)>),
}

fn node(file: &Arc<str>, lines: &Lines<'_>, spanned: Spanned<Raw>) -> Result<Node, Box<Diagnostic>> {
    let at = spanned.referenced;
    let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let place = Place { file: file.clone(), line: narrow(at.line()), column: narrow(at.column()) };
    let mut length = lines.clip(&place, at.span().len());
    let mut content = (place.line, place.column);
    let kind = match spanned.value {
        Raw::Null => Kind::Null,
        Raw::Bool(truth) => Kind::Bool(truth),
        Raw::Int(number) => Kind::Int(number),
        // The parser gives integers beyond 64 bits as floats.
        Raw::Float(number)
            if number.is_finite() && number.abs() > 9e18 && !lines.slice(&place, length).contains(['.', 'e', 'E']) =>
        {
            Kind::Huge
        }
        Raw::Float(number) => Kind::Float(number),
        Raw::Huge => Kind::Huge,
        Raw::Text(text) => {
            let defined = spanned.defined;
            let there = Place { file: file.clone(), line: narrow(defined.line()), column: narrow(defined.column()) };
            content = lines.content(&there);
            Kind::Text(text)
        }
        Raw::List(items) => {
            length = 0;
            Kind::List(items.into_iter().map(|item| node(file, lines, item)).collect::<Result<_, _>>()?)
        }
        Raw::Map(entries) => {
            length = 0;
            let entry = |(key, value)| -> Result<_, Box<Diagnostic>> {
                let key = node(file, lines, key)?;
                let Kind::Text(name) = &key.kind else {
                    let error = match key.kind {
                        Kind::Map(_) => key
                            .error(Code::WrongType, "expected a text, found `{{` without quotes")
                            .help("put a text that holds a template in quotes: `\"{{ … }}\"`"),
                        _ => key
                            .error(Code::WrongType, format!("expected a key, found {}", key.describe()))
                            .help("a key is a text: put it in quotes"),
                    };
                    return Err(error.into());
                };
                Ok((Key { name: name.clone(), place: key.place.clone(), length: key.length }, node(file, lines, value)?))
            };
            Kind::Map(entries.into_iter().map(entry).collect::<Result<_, _>>()?)
        }
    };
    Ok(Node { place, length, content, kind })
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Raw, E> {
        Ok(Raw::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Raw, E> {
        Ok(i64::try_from(number).map_or(Raw::Huge, Raw::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Raw, E> {
        Ok(Raw::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(Arc::from(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Node {
        parse(&Arc::from("f"), text).unwrap()
    }

    /// What is wrong with a text, and where.
    fn wrong(text: &str) -> (Code, u32, u32) {
        let error = parse(&Arc::from("f"), text).map(|n| n.describe()).unwrap_err();
        (error.code, error.line, error.column)
    }

    #[test]
    fn the_content_of_a_text_starts_behind_its_quote() {
        let node = parsed("a: \"x\"\nb: y\nc: |\n  \"z\" w\nd:\n  'q'\n");
        let contents: Vec<_> = ["a", "b", "c", "d"].iter().map(|key| node.get(key).unwrap().content).collect();
        assert_eq!(contents, [(1, 5), (2, 4), (4, 3), (6, 4)]);
    }

    #[test]
    fn numbers_without_a_place_in_64_bits_are_told_apart() {
        let node = parsed("a: 99999999999999999999999\nb: 9223372036854775808\nc: .nan\nd: 1e30\ne: -9223372036854775808\n");
        let kind = |key: &str| node.get(key).unwrap().kind.clone();
        assert!(matches!(kind("a"), Kind::Huge) && matches!(kind("b"), Kind::Huge));
        assert!(matches!(kind("c"), Kind::Float(n) if n.is_nan()) && matches!(kind("d"), Kind::Float(_)));
        assert!(matches!(kind("e"), Kind::Int(i64::MIN)));
    }

    #[test]
    fn what_looks_like_a_word_is_one() {
        let node = parsed("a: yes\nb: 0777\nc: 1_000\nd: on\n");
        assert!(["a", "b", "c", "d"].iter().all(|key| matches!(node.get(key).unwrap().kind, Kind::Text(_))));
    }

    #[test]
    fn an_alias_stands_where_it_is_used() {
        let node = parsed("x: &a hello\ny: *a\n");
        let alias = node.get("y").unwrap();
        assert_eq!((alias.place.line, alias.place.column, alias.content), (2, 4, (1, 7)));
    }

    #[test]
    fn limits_hold_whatever_breaks_them() {
        let nested = |n| format!("{}{}", "[".repeat(n), "]".repeat(n));
        let bomb: String = "bcdefg"
            .chars()
            .zip("abcdef".chars())
            .map(|(n, l)| format!("{n}: &{n} [{}]\n", vec![format!("*{l}"); 9].join(",")))
            .collect();
        assert!(parse(&Arc::from("f"), &nested(MAX_DEPTH)).is_ok());
        assert_eq!(wrong(&nested(MAX_DEPTH + 1)).0, Code::TooLarge);
        assert_eq!(wrong(&nested(100_000)).0, Code::TooLarge);
        assert_eq!(wrong(&(0..60).map(|i| format!("{}a:\n", " ".repeat(i))).collect::<String>()).0, Code::TooLarge);
        assert_eq!(wrong(&format!("a: &a [x,x,x,x,x,x,x,x,x]\n{bomb}")).0, Code::TooLarge);
        assert_eq!(wrong(&format!("[{}]", "x,".repeat(MAX_NODES))).0, Code::TooLarge);
        assert_eq!(wrong(&" ".repeat(MAX_FILE_BYTES + 1)).0, Code::TooLarge);
    }

    #[test]
    fn what_is_no_yaml_is_placed() {
        assert_eq!(wrong(""), (Code::EmptyFile, 0, 0));
        assert_eq!(wrong("a:\n\tb: 1\n"), (Code::Syntax, 2, 2));
        assert_eq!(wrong("a: 1\n---\nb: 2\n"), (Code::Syntax, 2, 1));
        assert_eq!(wrong("a: &x [*x]\n"), (Code::Syntax, 1, 8));
        assert_eq!(wrong("a: {{ item }}\n"), (Code::WrongType, 1, 5));
        assert_eq!(wrong("1: x\n"), (Code::WrongType, 1, 1));
    }
}
