//! What do the fields of a structured line say? [`Fields`], from JSON or logfmt, whatever the logger calls them.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// How deep a JSON object is looked into.
const DEPTH: usize = 3;
/// The longest name of a field that means something.
const NAME: usize = 32;

const TIMES: [&str; 12] = [
    "timestamp",
    "time",
    "ts",
    "datetime",
    "eventtime",
    "date",
    "asctime",
    "timeunixnano",
    "createdat",
    "created",
    "instant",
    "t",
];
const LEVELS: [&str; 6] = ["level", "severity", "loglevel", "lvl", "levelname", "severitytext"];
const MESSAGES: [&str; 9] = ["message", "msg", "log", "text", "event", "body", "shortmessage", "logmessage", "description"];
const SERVICES: [&str; 14] = [
    "servicename",
    "service",
    "svc",
    "appname",
    "application",
    "app",
    "component",
    "containername",
    "kubernetescontainername",
    "container",
    "podname",
    "kubernetespodname",
    "pod",
    "microservice",
];
const TRACES: [&str; 5] = ["traceid", "trace", "requestid", "xrequestid", "correlationid"];
const STACKS: [&str; 8] =
    ["stacktrace", "stack", "exception", "errorstack", "errorstacktrace", "exceptionstacktrace", "errorobject", "throwable"];

/// What a structured line says, as far as a log search wants to know.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    /// The time as text or number.
    pub time: Option<Field<'a>>,
    /// The level as name or number.
    pub level: Option<Field<'a>>,
    /// The message.
    pub message: Option<Cow<'a, str>>,
    /// Who wrote it.
    pub service: Option<Cow<'a, str>>,
    /// The id of the trace or request.
    pub trace: Option<Cow<'a, str>>,
    /// A stack trace.
    pub stack: Option<Cow<'a, str>>,
    /// Whether it has a metric's name and value: a sample, not a message.
    pub sample: bool,
    ranks: [usize; 6],
    metric: bool,
    value: bool,
}

/// A field's value, as far as it is simple.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Field<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A number.
    Number(f64),
}

impl<'a> Fields<'a> {
    /// The fields of a JSON object; `None` when the text is none.
    pub fn json(text: &'a str) -> Option<Self> {
        let mut fields = Self { ranks: [usize::MAX; 6], ..Self::default() };
        let mut reader = serde_json::Deserializer::from_str(text);
        Object { fields: &mut fields, prefix: "", depth: 0 }.deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        fields.sample = fields.metric && fields.value && fields.message.is_none();
        fields.open_message();
        Some(fields)
    }

    /// Where the message is an object of its own, as a container's log of a structured logger is: its fields count for more.
    fn open_message(&mut self) {
        let Some(message) = self.message.as_deref().map(str::trim).filter(|m| m.starts_with('{') && m.ends_with('}')) else {
            return;
        };
        let mut inner = Fields { ranks: [usize::MAX; 6], ..Fields::default() };
        let mut reader = serde_json::Deserializer::from_str(message);
        if (Object { fields: &mut inner, prefix: "", depth: 0 }).deserialize(&mut reader).is_err() || inner.message.is_none() {
            return;
        }
        let owned = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        let field = |field: Option<Field<'_>>| match field {
            Some(Field::Text(text)) => Some(Field::Text(Cow::Owned(text.into_owned()))),
            Some(Field::Number(number)) => Some(Field::Number(number)),
            None => None,
        };
        let (time, level, message) = (field(inner.time), field(inner.level), owned(inner.message));
        let (service, trace, stack) = (owned(inner.service), owned(inner.trace), owned(inner.stack));
        self.time = self.time.take().or(time);
        self.level = level.or(self.level.take());
        self.service = service.or(self.service.take());
        self.trace = trace.or(self.trace.take());
        self.stack = stack.or(self.stack.take());
        self.message = message;
    }

    /// The fields of `level=info msg="started" service=web`; `None` when the text is not of that form.
    pub fn logfmt(text: &'a str) -> Option<Self> {
        let mut fields = Self { ranks: [usize::MAX; 6], ..Self::default() };
        let mut rest = text.trim_start();
        while let Some((name, after)) = rest.split_once('=') {
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'@')) {
                return None;
            }
            let (value, next) = logfmt_value(after)?;
            fields.put("", name, value);
            rest = next.trim_start();
        }
        (rest.is_empty() && fields.message.is_some() && (fields.level.is_some() || fields.time.is_some())).then_some(fields)
    }

    fn put(&mut self, prefix: &str, name: &str, field: Field<'a>) {
        let mut buffer = [0; NAME];
        let Some(plain) = plain(prefix, name, &mut buffer) else { return };
        let is = |names: &[&str]| names.iter().position(|n| *n == plain);
        let slots: [&[&str]; 6] = [&TIMES, &LEVELS, &MESSAGES, &SERVICES, &TRACES, &STACKS];
        self.metric |= matches!(plain, "metric" | "metricname");
        self.value |= plain == "value";
        for (slot, names) in slots.into_iter().enumerate() {
            let Some(rank) = is(names).filter(|rank| *rank < self.ranks[slot]) else { continue };
            let text = |field: Field<'a>| match field {
                Field::Text(text) if !text.is_empty() => Some(text),
                Field::Text(_) => None,
                Field::Number(number) => Some(Cow::Owned(number.to_string())),
            };
            let taken = match slot {
                0 => replace(&mut self.time, Some(field.clone())),
                1 => replace(&mut self.level, Some(field.clone())),
                2 => replace(&mut self.message, text(field.clone())),
                3 => replace(&mut self.service, text(field.clone())),
                4 => replace(&mut self.trace, text(field.clone())),
                _ => replace(&mut self.stack, text(field.clone())),
            };
            if taken {
                self.ranks[slot] = rank;
            }
        }
    }
}

fn replace<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    let some = value.is_some();
    if some {
        *slot = value;
    }
    some
}

/// `service` + `name` as `servicename`: lower case, letters and digits only.
fn plain<'b>(prefix: &str, name: &str, buffer: &'b mut [u8; NAME]) -> Option<&'b str> {
    let mut length = 0;
    for byte in prefix.bytes().chain(name.bytes()).filter(u8::is_ascii_alphanumeric) {
        *buffer.get_mut(length)? = byte.to_ascii_lowercase();
        length += 1;
    }
    std::str::from_utf8(&buffer[..length]).ok()
}

/// The value at the beginning of `text` and what follows it.
fn logfmt_value(text: &str) -> Option<(Field<'_>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return Some((Field::Text(Cow::Borrowed(&text[..end])), &text[end..]));
    };
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => {
                let inner = &quoted[..at];
                let value = if inner.contains('\\') {
                    Cow::Owned(inner.replace("\\n", "\n").replace("\\t", "\t").replace("\\\"", "\"").replace("\\\\", "\\"))
                } else {
                    Cow::Borrowed(inner)
                };
                return Some((Field::Text(value), &quoted[at + 1..]));
            }
            _ => escaped = false,
        }
    }
    None
}

/// Reads an object into the fields.
struct Object<'f, 'a, 'p> {
    fields: &'f mut Fields<'a>,
    prefix: &'p str,
    depth: usize,
}

impl<'a> DeserializeSeed<'a> for Object<'_, 'a, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Object<'_, 'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            let seed = Member { fields: self.fields, prefix: self.prefix, name: &name, depth: self.depth };
            map.next_value_seed(seed)?;
        }
        Ok(())
    }
}

/// A key, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(v.to_owned())))
            }
        }
        deserializer.deserialize_str(V)
    }
}

/// Reads one value of an object into the fields.
struct Member<'f, 'a, 'p> {
    fields: &'f mut Fields<'a>,
    prefix: &'p str,
    name: &'p str,
    depth: usize,
}

impl<'a> DeserializeSeed<'a> for Member<'_, 'a, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Member<'_, 'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<(), E> {
        self.fields.put(self.prefix, self.name, Field::Text(Cow::Borrowed(text)));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.fields.put(self.prefix, self.name, Field::Text(Cow::Owned(text.to_owned())));
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.fields.put(self.prefix, self.name, Field::Number(number));
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.fields.put(self.prefix, self.name, Field::Number(number as f64));
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.fields.put(self.prefix, self.name, Field::Number(number as f64));
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        if self.depth >= DEPTH {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        // `{"service": {"name": …}}` is `service.name`; what only groups fields adds nothing to their names.
        let groups = matches!(
            self.name,
            "fields" | "attributes" | "resource" | "labels" | "metadata" | "data" | "log" | "k8s" | "kubernetes"
        );
        let prefix = if groups { self.prefix } else { self.name };
        while let Some(Name(name)) = map.next_key()? {
            map.next_value_seed(Member { fields: self.fields, prefix, name: &name, depth: self.depth + 1 })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_under_their_many_names() {
        for text in [
            r#"{"@timestamp":"T","level":"error","message":"m","service":"s","trace_id":"x"}"#,
            r#"{"time":"T","severity":"error","msg":"m","service.name":"s","traceId":"x"}"#,
            r#"{"ts":"T","lvl":"error","log":"m","service":{"name":"s"},"trace":{"id":"x"}}"#,
            r#"{"a":[1,{"b":2}],"n":null,"timestamp":"T","log":{"level":"error"},"message":"m","kubernetes":{"container":"s"},"TraceID":"x"}"#,
        ] {
            let fields = Fields::json(text).unwrap_or_else(|| panic!("{text}"));
            let seen = (fields.time, fields.level, fields.message.as_deref(), fields.service.as_deref(), fields.trace.as_deref());
            let text_field = |t: &'static str| Some(Field::Text(Cow::Borrowed(t)));
            assert_eq!(seen, (text_field("T"), text_field("error"), Some("m"), Some("s"), Some("x")), "{text}");
        }
        let fields = Fields::logfmt(r#"ts=T level=error msg="a \"b\"" svc=s"#).expect("logfmt");
        assert_eq!((fields.message.as_deref(), fields.service.as_deref()), (Some("a \"b\""), Some("s")));
    }

    #[test]
    fn a_metric_sample_is_no_message_and_other_text_has_no_fields() {
        assert!(Fields::json(r#"{"time":1,"service":"s","metric":"cpu","value":0.3}"#).is_some_and(|f| f.sample));
        assert!(Fields::json("{broken").is_none());
        assert!(Fields::json(r#"{"a":1} trailing"#).is_none());
        assert!(Fields::json("[1]").is_none());
        assert!(Fields::logfmt("a plain message with x=1 in it").is_none());
        assert!(Fields::logfmt("x=\"unclosed").is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = Fields::json(&text);
            let _ = Fields::logfmt(&text);
        }
    }
}
