//! What is a value? JSON without its loose ends: integers are `i64`, floats are finite, maps are sorted.
//!
//! Lists, maps and texts are shared, so that a clone costs a reference count and a node that changes its
//! input changes a copy of its own.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor},
};

/// The entries of a map value, sorted by key.
pub type Map = BTreeMap<String, Value>;

/// A value that agents, tools, rules and people exchange. Its encodings round-trip.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A finite float.
    Float(f64),
    /// Unicode text.
    Text(Arc<str>),
    /// Values in order.
    List(Arc<Vec<Value>>),
    /// Values by key.
    Map(Arc<Map>),
}

/// Floats are finite, so that what is the same in memory is equal and need not be looked into: requests are compared turn by turn, and most
/// of what is in them is what it was.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Int(one), Self::Int(other)) => one == other,
            (Self::Float(one), Self::Float(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => Arc::ptr_eq(one, other) || one == other,
            (Self::List(one), Self::List(other)) => Arc::ptr_eq(one, other) || one == other,
            (Self::Map(one), Self::Map(other)) => Arc::ptr_eq(one, other) || one == other,
            (Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Text(_) | Self::List(_) | Self::Map(_), _) => {
                false
            }
        }
    }
}

/// Why something is not a [`Value`].
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    /// Not a number or infinite.
    #[error("a number is not finite")]
    NotFinite,
    /// An integer outside `i64`.
    #[error("the integer {0} does not fit into 64 bits with sign")]
    TooLarge(u64),
    /// It could not be converted.
    #[error("convert a value: {0}")]
    Convert(String),
}

impl Value {
    /// A text.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(Arc::from(text.as_ref()))
    }

    /// A list.
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(Arc::new(items.into_iter().collect()))
    }

    /// A map.
    pub fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(Arc::new(entries.into_iter().map(|(k, v)| (k.into(), v)).collect()))
    }

    /// A float; `None` when it is not finite.
    pub fn float(number: f64) -> Option<Self> {
        // Adding zero leaves every number but -0.0 as it is, which nobody means and which reads oddly.
        number.is_finite().then_some(Self::Float(number + 0.0))
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The integer, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        if let Self::Int(number) = self { Some(*number) } else { None }
    }

    /// The number, integer or float.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Null | Self::Bool(_) | Self::Text(_) | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(truth) = self { Some(*truth) } else { None }
    }

    /// The items, if it is a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// The entries, if it is a map.
    pub fn as_map(&self) -> Option<&Map> {
        if let Self::Map(map) = self { Some(map) } else { None }
    }

    /// The entry `key` of a map; `None` for anything else.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_map().and_then(|map| map.get(key))
    }

    /// A copy in which the value at a JSON pointer (RFC 6901) is another; unchanged where the pointer leads nowhere.
    #[must_use]
    pub fn with(&self, pointer: &str, value: Self) -> Self {
        let Some(rest) = pointer.strip_prefix('/') else { return if pointer.is_empty() { value } else { self.clone() } };
        let (head, tail) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let key = head.replace("~1", "/").replace("~0", "~");
        match self {
            Self::Map(map) if map.contains_key(&key) => {
                let mut map = (**map).clone();
                if let Some(inner) = map.get_mut(&key) {
                    *inner = inner.with(tail, value);
                }
                Self::Map(Arc::new(map))
            }
            Self::List(items) => {
                let mut items = (**items).clone();
                if let Some(inner) = key.parse::<usize>().ok().and_then(|ix| items.get_mut(ix)) {
                    *inner = inner.with(tail, value);
                }
                Self::List(Arc::new(items))
            }
            Self::Map(_) | Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Text(_) => self.clone(),
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// `null`, `bool`, `integer`, `number`, `text`, `list` or `map`, as messages name it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "integer",
            Self::Float(_) => "number",
            Self::Text(_) => "text",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }

    /// Its kind with an article, for messages: `a list`, `an integer`; `null` has none.
    pub fn a_kind(&self) -> String {
        if self.is_null() { self.type_name().to_owned() } else { super::a(self.type_name()) }
    }

    /// Any serializable thing as a value.
    ///
    /// # Errors
    /// A number that is not finite or not an `i64`, or a map whose keys are not text.
    pub fn of(thing: &impl Serialize) -> Result<Self, ValueError> {
        let json = serde_json::to_value(thing).map_err(|e| ValueError::Convert(e.to_string()))?;
        Self::try_from(json)
    }

    /// This value as a typed thing.
    ///
    /// # Errors
    /// The value does not have the shape that `T` wants.
    pub fn to<T: serde::de::DeserializeOwned>(&self) -> Result<T, ValueError> {
        serde_json::from_value(self.to_json()).map_err(|e| ValueError::Convert(e.to_string()))
    }

    /// As `serde_json` has it.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(truth) => (*truth).into(),
            Self::Int(number) => (*number).into(),
            Self::Float(number) => (*number).into(),
            Self::Text(text) => text.as_ref().into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(map) => serde_json::Value::Object(map.iter().map(|(k, v)| (k.clone(), v.to_json())).collect()),
        }
    }
}

impl TryFrom<serde_json::Value> for Value {
    type Error = ValueError;

    fn try_from(json: serde_json::Value) -> Result<Self, ValueError> {
        Ok(match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(truth) => Self::Bool(truth),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(int), _, _) => Self::Int(int),
                (None, Some(large), _) => return Err(ValueError::TooLarge(large)),
                (None, None, Some(float)) => Self::float(float).ok_or(ValueError::NotFinite)?,
                (None, None, None) => return Err(ValueError::NotFinite),
            },
            serde_json::Value::String(text) => Self::Text(Arc::from(text)),
            serde_json::Value::Array(items) => {
                Self::List(Arc::new(items.into_iter().map(Self::try_from).collect::<Result<_, _>>()?))
            }
            serde_json::Value::Object(map) => {
                Self::Map(Arc::new(map.into_iter().map(|(k, v)| Ok((k, Self::try_from(v)?))).collect::<Result<_, ValueError>>()?))
            }
        })
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Arc::from(text))
    }
}

impl fmt::Display for Value {
    /// Text as it stands, everything else as compact JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::List(_) | Self::Map(_) => {
                write!(f, "{}", self.to_json())
            }
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => items.serialize(serializer),
            Self::Map(map) => map.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value: null, bool, number, text, list or map")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number).map(Value::Int).map_err(|_| E::custom(ValueError::TooLarge(number)))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        Value::float(number).ok_or_else(|| E::custom(ValueError::NotFinite))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::text(text))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(Arc::new(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, value)) = access.next_entry()? {
            map.insert(key, value);
        }
        Ok(Value::Map(Arc::new(map)))
    }
}
