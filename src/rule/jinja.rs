//! How does a [`Value`] look to a template? By reference: only what a template reads is converted.

use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Value as Jinja};

use crate::value::{Map, Value};

/// The value as a template reads it.
pub(super) fn to_jinja(value: &Value) -> Jinja {
    match value {
        Value::Null => Jinja::from(()),
        Value::Bool(truth) => Jinja::from(*truth),
        Value::Int(number) => Jinja::from(*number),
        Value::Float(number) => Jinja::from(*number),
        Value::Text(text) => Jinja::from(&**text),
        Value::List(items) => Jinja::from_object(List(items.clone())),
        Value::Map(map) => Jinja::from_object(Entries(map.clone())),
    }
}

#[derive(Debug)]
struct List(Arc<Vec<Value>>);

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.0.get(key.as_usize()?).map(to_jinja)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }
}

#[derive(Debug)]
struct Entries(Arc<Map>);

impl Object for Entries {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.0.get(key.as_str()?).map(to_jinja)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let keys: Vec<Jinja> = self.0.keys().map(|key| Jinja::from(key.as_str())).collect();
        Enumerator::Iter(Box::new(keys.into_iter()))
    }
}
