//! Which parts of a text are secret? A [`Redactor`] knows some values, and the shapes of keys.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, LazyLock},
};

use memchr::memmem;
use regex::Regex;

use super::SHORTEST;
use crate::value::{Call, Failure, Map, Reply, Value};

/// Bytes of a long secret, at its beginning or end, that give it away.
const PART: usize = 12;
/// The shortest secret that counts in part.
const LONG: usize = 16;
/// The shortest line of a secret of several lines that counts by itself.
const LINE: usize = 16;

/// Keys that are known by their shape: OpenAI and Anthropic, AWS, GitHub, Google, Slack, web tokens, private keys.
static SHAPES: LazyLock<Regex> = LazyLock::new(|| {
    let shapes = [
        r"\bsk-[A-Za-z0-9_-]{20,}",
        r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
        r"\bgh[pousr]_[A-Za-z0-9]{36,}",
        r"\bgithub_pat_[A-Za-z0-9_]{36,}",
        r"\bAIza[0-9A-Za-z_-]{35}",
        r"\bxox[abeprs]-[A-Za-z0-9-]{10,}",
        r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[A-Za-z0-9+/=\s\\]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
    ];
    Regex::new(&shapes.join("|")).expect("the shapes of keys are valid expressions: a test uses each")
});

/// Takes secrets out of what is said.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Each form of each secret, with the variable that holds it.
    secrets: BTreeMap<String, Arc<str>>,
}

impl Redactor {
    pub(super) fn knows(&self, value: &str) -> bool {
        self.secrets.contains_key(value.trim())
    }

    /// This one, and one more secret.
    pub(super) fn with(&self, variable: &str, value: &str) -> Self {
        let mut more = self.clone();
        let (value, name) = (value.trim(), Arc::<str>::from(variable));
        let lines = value.lines().map(str::trim).filter(|line| line.len() >= LINE).map(str::to_owned);
        let forms = [value.to_owned(), escaped(value), percent_encoded(value)].into_iter().chain(lines);
        for form in forms.filter(|form| form.len() >= SHORTEST) {
            more.secrets.entry(form).or_insert_with(|| name.clone());
        }
        more
    }

    /// The text without secrets.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.clean(text, true)
    }

    /// The value without secrets; `None` where it has none.
    pub fn value(&self, value: &Value) -> Option<Value> {
        self.clean_value(value, true)
    }

    /// The map without secrets.
    pub fn map(&self, map: Map) -> Map {
        self.clean_map(&map, true).unwrap_or(map)
    }

    /// The failure without secrets.
    pub fn failure(&self, failure: Failure) -> Failure {
        match self.text(&failure.message) {
            Cow::Borrowed(_) => failure,
            Cow::Owned(clean) => Failure { message: Arc::from(clean), ..failure },
        }
    }

    /// What came of a tool call without secrets.
    pub fn result(&self, result: Result<Value, Failure>) -> Result<Value, Failure> {
        match result {
            Ok(value) => Ok(self.value(&value).unwrap_or(value)),
            Err(failure) => Err(self.failure(failure)),
        }
    }

    /// The reply without secrets. What only its provider reads may look like a key and stays, unless it is one that is known.
    pub fn reply(&self, mut reply: Reply) -> Reply {
        if let Some(text) = &reply.text
            && let Cow::Owned(clean) = self.text(text)
        {
            reply.text = Some(Arc::from(clean));
        }
        for Call { id, tool, args } in &mut reply.calls {
            for name in [id, tool] {
                if let Cow::Owned(clean) = self.text(name) {
                    *name = Arc::from(clean);
                }
            }
            if let Some(clean) = self.value(args) {
                *args = clean;
            }
        }
        if let Some(clean) = reply.finish.as_ref().and_then(|finish| self.value(finish)) {
            reply.finish = Some(clean);
        }
        if let Some(clean) = reply.carry.as_ref().and_then(|carry| self.clean_value(carry, false)) {
            reply.carry = Some(clean);
        }
        reply
    }

    fn clean_value(&self, value: &Value, shapes: bool) -> Option<Value> {
        match value {
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => None,
            Value::Text(text) => match self.clean(text, shapes) {
                Cow::Borrowed(_) => None,
                Cow::Owned(clean) => Some(Value::text(clean)),
            },
            Value::List(items) => {
                let mut clean: Option<Vec<Value>> = None;
                for (ix, item) in items.iter().enumerate() {
                    if let Some(item) = self.clean_value(item, shapes) {
                        clean.get_or_insert_with(|| items.to_vec())[ix] = item;
                    }
                }
                clean.map(Value::list)
            }
            Value::Map(map) => self.clean_map(map, shapes).map(Value::map),
        }
    }

    fn clean_map(&self, map: &Map, shapes: bool) -> Option<Map> {
        let mut clean: Option<Map> = None;
        for (key, value) in map {
            let (name, inner) = (self.clean(key, shapes), self.clean_value(value, shapes));
            if matches!(name, Cow::Borrowed(_)) && inner.is_none() {
                continue;
            }
            let clean = clean.get_or_insert_with(|| map.clone());
            clean.remove(key);
            clean.insert(name.into_owned(), inner.unwrap_or_else(|| value.clone()));
        }
        clean
    }

    fn clean<'t>(&self, text: &'t str, shapes: bool) -> Cow<'t, str> {
        let mut found: Vec<(Range<usize>, &str)> = Vec::new();
        for (secret, name) in &self.secrets {
            find(text, secret, &mut |span| found.push((span, name)));
        }
        if shapes {
            found.extend(SHAPES.find_iter(text).map(|key| (key.range(), "key")));
        }
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        // Where two overlap, the one that begins first and is longest gives the name.
        found.sort_by_key(|(span, name)| (span.start, std::cmp::Reverse(span.end), *name == "key"));
        let (mut clean, mut at) = (String::with_capacity(text.len()), 0);
        for (span, name) in found {
            if span.start >= at {
                clean.push_str(&text[at..span.start]);
                clean.push_str("[redacted ");
                clean.push_str(name);
                clean.push(']');
            }
            at = at.max(span.end);
        }
        clean.push_str(&text[at..]);
        Cow::Owned(clean)
    }
}

/// Where a secret stands in a text, whole or cut off at its end or its beginning.
fn find(text: &str, secret: &str, found: &mut dyn FnMut(Range<usize>)) {
    // The beginning of an address is no secret.
    let part = if secret.len() < LONG || secret.contains("://") { secret.len() } else { PART };
    let (bytes, sought) = (text.as_bytes(), secret.as_bytes());
    for start in memmem::find_iter(bytes, &sought[..part]) {
        let same = bytes[start..].iter().zip(sought).take_while(|(a, b)| a == b).count();
        found(text.floor_char_boundary(start)..text.ceil_char_boundary(start + same));
    }
    if part < sought.len() {
        for start in memmem::find_iter(bytes, &sought[sought.len() - part..]) {
            let end = start + part;
            let same = bytes[..end].iter().rev().zip(sought.iter().rev()).take_while(|(a, b)| a == b).count();
            found(text.floor_char_boundary(end - same)..text.ceil_char_boundary(end));
        }
    }
}

/// The text as it stands inside a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The text as it stands in an address.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
