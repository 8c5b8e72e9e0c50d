//! How is a written type read from a tree, so that every mistake is reported and not the first only? Through [`Read`], which
//! [`written!`] implements for structs.

use std::{collections::BTreeMap, ops::Deref, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{
    Code, Diagnostic,
    suggest::{did_you_mean, list, nearest},
    tree::{Key, Kind, Node, duplicates, quoted},
};
use crate::value::Place;

/// The mistakes found so far.
pub(super) type Found = Vec<Diagnostic>;

/// What can be read from a tree.
pub(super) trait Read: Sized {
    /// Reads it; `None` when something was reported instead.
    fn read(node: &Node, found: &mut Found) -> Option<Self>;

    /// What stands for a key that is not there; `None` when it must be.
    fn absent() -> Option<Self> {
        None
    }

    /// What stands for a value after its mistake was reported, so that what surrounds it is still read; `None` when nothing can.
    fn broken() -> Option<Self> {
        None
    }
}

impl<T: Read> Read for Option<T> {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        if matches!(node.kind, Kind::Null) {
            found.push(node.error(Code::WrongType, "expected a value, found nothing").help("write a value, or remove the key"));
            return None;
        }
        T::read(node, found).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn broken() -> Option<Self> {
        Some(None)
    }
}

/// A value that must be there; `None` only after that was reported.
#[derive(Clone, Debug)]
pub(super) struct Must<T>(pub(super) Option<T>);

impl<T: Read> Read for Must<T> {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        Some(Self(T::read(node, found)))
    }

    fn broken() -> Option<Self> {
        Some(Self(None))
    }
}

/// A value that remembers where it stands.
#[derive(Clone, Debug)]
pub(super) struct Spot<T> {
    pub(super) value: T,
    /// Where it stands.
    pub(super) place: Place,
    /// How many characters it has.
    pub(super) length: u32,
}

impl<T> Spot<T> {
    /// An error that underlines it.
    pub(super) fn error(&self, code: Code, message: impl AsRef<str>) -> Diagnostic {
        Diagnostic::error(code, &self.place, message).length(self.length)
    }

    /// A warning that underlines it.
    pub(super) fn warning(&self, code: Code, message: impl AsRef<str>) -> Diagnostic {
        Diagnostic::warning(code, &self.place, message).length(self.length)
    }
}

impl<T> Deref for Spot<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Read> Read for Spot<T> {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        Some(Self { value: T::read(node, found)?, place: node.place.clone(), length: node.length })
    }
}

/// A list; items with a mistake are left out.
impl<T: Read> Read for Vec<T> {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        let Kind::List(items) = &node.kind else {
            found.push(wrong(node, "a list").help("write `[a, b]`, or one item a line after `- `"));
            return None;
        };
        Some(items.iter().filter_map(|item| T::read(item, found)).collect())
    }
}

/// One thing, or a list of them.
#[derive(Clone, Debug)]
pub(super) struct OneOrMany<T>(pub(super) Vec<T>);

impl<T: Read> Read for OneOrMany<T> {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        match &node.kind {
            Kind::List(_) => Vec::read(node, found).map(Self),
            _ => Some(Self(vec![T::read(node, found)?])),
        }
    }
}

/// Things by name, in the order of the file; those with a mistake are left out.
#[derive(Clone, Debug)]
pub(super) struct Named<T> {
    pub(super) entries: Vec<(Key, T)>,
    /// All its keys, those of entries with a mistake too.
    pub(super) keys: Keys,
}

impl<T: Read> Read for Named<T> {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            found.push(wrong(node, "a map").help("write `name: value` lines, or `{ name: value }`"));
            return None;
        };
        duplicates(entries, found);
        let keys = Keys::of(node);
        Some(Self {
            entries: entries.iter().filter_map(|(key, value)| Some((key.clone(), T::read(value, found)?))).collect(),
            keys,
        })
    }
}

/// The keys that a map has, with their places.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys(Vec<Key>);

impl Keys {
    pub(super) fn of(node: &Node) -> Self {
        match &node.kind {
            Kind::Map(entries) => Self(entries.iter().map(|(key, _)| key.clone()).collect()),
            _ => Self::default(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Key> {
        self.0.iter().find(|key| &*key.name == name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }
}

/// Defines a struct as a file spells it, with its schema and its reader. A key that is not `Option` must be there; an unknown
/// one is reported with the nearest known one, or with the hint that the struct has for it.
macro_rules! written {
    (
        $(#[$meta:meta])*
        struct $name:ident is $what:literal, hints $hints:expr;
        $($(#[$key_meta:meta])* $key:ident: $type:ty,)+
    ) => {
        #[derive(Clone, Debug, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        $(#[$meta])*
        pub(super) struct $name {
            $($(#[$key_meta])* pub(super) $key: $type,)+
            #[schemars(skip)]
            #[allow(dead_code, reason = "not every struct needs the places of its keys")]
            pub(super) keys: $crate::team::read::Keys,
        }

        impl $name {
            /// The keys it knows.
            pub(super) const KEYS: &'static [&'static str] = &[$($crate::team::read::plain(stringify!($key))),+];
        }

        impl $crate::team::read::Read for $name {
            fn read(node: &$crate::team::tree::Node, found: &mut $crate::team::read::Found) -> Option<Self> {
                let entries = $crate::team::read::known(node, $what, Self::KEYS, $hints, found)?;
                $(let $key = $crate::team::read::field::<$type>(node, entries, $what, Self::KEYS, $crate::team::read::plain(stringify!($key)), found);)+
                Some(Self { $($key: $key?,)+ keys: $crate::team::read::Keys::of(node) })
            }
        }
    };
}
pub(super) use written;

/// A field's name without the mark of a raw identifier.
pub(super) const fn plain(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// The entries of a map whose keys are all known; others are reported.
pub(super) fn known<'a>(
    node: &'a Node,
    what: &str,
    keys: &[&str],
    hints: &[(&str, &str)],
    found: &mut Found,
) -> Option<&'a [(Key, Node)]> {
    let Kind::Map(entries) = &node.kind else {
        found.push(wrong(node, what).help(format!("{what} is a map with the keys {}", list(keys))));
        return None;
    };
    duplicates(entries, found);
    for (key, _) in entries {
        if !keys.contains(&&*key.name) {
            found.push(unknown_key(key, what, keys, hints));
        }
    }
    Some(entries)
}

fn unknown_key(key: &Key, what: &str, keys: &[&str], hints: &[(&str, &str)]) -> Diagnostic {
    let hint = hints.iter().find(|(name, _)| *name == &*key.name).map(|(_, help)| (*help).to_owned());
    let help =
        hint.or_else(|| did_you_mean(&key.name, keys.iter().copied())).unwrap_or_else(|| format!("the keys are {}", list(keys)));
    key.error(Code::UnknownKey, format!("{what} has no key {}", quoted(&key.name))).label("unknown").help(help)
}

/// Whether `key` is there under a name that is not in `known` and was meant to be it: a mistake that was reported already.
pub(super) fn mistyped<'a>(key: &str, keys: impl IntoIterator<Item = &'a Key>, known: &[&str]) -> bool {
    keys.into_iter().any(|k| !known.contains(&&*k.name) && nearest(&k.name, known.iter().copied()) == Some(key))
}

/// The value of `key`, or what stands for it; a missing one is reported.
pub(super) fn field<T: Read>(
    node: &Node,
    entries: &[(Key, Node)],
    what: &str,
    keys: &[&str],
    key: &str,
    found: &mut Found,
) -> Option<T> {
    let read = match entries.iter().find(|(k, _)| &*k.name == key) {
        Some((_, value)) => T::read(value, found),
        None => T::absent().or_else(|| {
            if mistyped(key, entries.iter().map(|(key, _)| key), keys) {
                return None;
            }
            let message = format!("{what} needs the key `{key}`");
            found.push(
                Diagnostic::error(Code::MissingKey, &node.place, message).label("not in this map").help(format!("add `{key}:`")),
            );
            None
        }),
    };
    read.or_else(T::broken)
}

/// The error for a value that is not `expected`.
pub(super) fn wrong(node: &Node, expected: &str) -> Diagnostic {
    node.error(Code::WrongType, format!("expected {expected}, found {}", node.describe())).label(format!("not {expected}"))
}

/// Hides the place from the schema: a `Spot<T>` looks like a `T`.
macro_rules! schema_like {
    ([$($bound:tt)*] $name:ty, $inner:ty) => {
        impl<$($bound)*> JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                <$inner as JsonSchema>::schema_name()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                generator.subschema_for::<$inner>()
            }
        }
    };
}
schema_like!([T: JsonSchema] Spot<T>, T);
schema_like!([T: JsonSchema] Must<T>, T);
schema_like!([T: JsonSchema] Named<T>, BTreeMap<String, T>);

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// Reads words that stand for the variants of an enum.
macro_rules! words {
    ($($name:ty, $what:literal: $($variant:ident = $word:literal),+;)+) => {$(
        impl $crate::team::read::Read for $name {
            fn read(node: &$crate::team::tree::Node, found: &mut $crate::team::read::Found) -> Option<Self> {
                // One more variant and this does not compile before it is listed.
                const _: fn($name) -> &'static str = |one| match one {
                    $(<$name>::$variant => $word,)+
                };
                $crate::team::read::word(node, $what, &[$(($word, <$name>::$variant)),+], found)
            }
        }
    )+};
}
pub(super) use words;

/// The thing that a word stands for; another word is reported with the nearest one.
pub(super) fn word<T: Clone>(node: &Node, what: &str, words: &[(&str, T)], found: &mut Found) -> Option<T> {
    let names = || words.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let Kind::Text(text) = &node.kind else {
        found.push(wrong(node, what).help(format!("one of {}", list(&names()))));
        return None;
    };
    if let Some((_, thing)) = words.iter().find(|(name, _)| *name == &**text) {
        return Some(thing.clone());
    }
    let all = format!("one of {}", list(&names()));
    let help = did_you_mean(text, names()).map_or_else(|| all.clone(), |near| format!("{near} It is {all}"));
    found.push(node.error(Code::UnknownValue, format!("{} is not {what}", quoted(text))).label("unknown").help(help));
    None
}

impl Read for Arc<str> {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        match &node.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Huge => {
                found.push(wrong(node, "a text").help("put it in quotes"));
                None
            }
            Kind::Null | Kind::List(_) | Kind::Map(_) => {
                found.push(wrong(node, "a text"));
                None
            }
        }
    }
}

impl Read for bool {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        match &node.kind {
            Kind::Bool(truth) => Some(*truth),
            Kind::Null | Kind::Int(_) | Kind::Float(_) | Kind::Huge | Kind::Text(_) | Kind::List(_) | Kind::Map(_) => {
                found.push(wrong(node, "`true` or `false`"));
                None
            }
        }
    }
}
