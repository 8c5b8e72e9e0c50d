//! What comes out of lists and maps?

use std::{cmp::Ordering, collections::BTreeMap};

use rhai::{Array, Dynamic, FnPtr, Map, Module, NativeCallContext};

use super::{Fallible, function, order_of};
use crate::rule::convert;

pub(super) fn register(library: &mut Module) {
    pure("min", library, |list: &mut Array| extreme(list, Ordering::Less));
    pure("max", library, |list: &mut Array| extreme(list, Ordering::Greater));
    pure_by("min_by", library, |list, keys| extreme_by(list, &keys, Ordering::Less));
    pure_by("max_by", library, |list, keys| extreme_by(list, &keys, Ordering::Greater));
    pure_by("sort_by", library, sort_by);
    pure_by("group_by", library, |list, keys| {
        let mut groups: BTreeMap<String, Array> = BTreeMap::new();
        for (item, key) in list.iter().zip(keys) {
            groups.entry(key.to_string()).or_default().push(item.clone());
        }
        Ok(Dynamic::from_map(groups.into_iter().map(|(key, items)| (key.into(), items.into())).collect()))
    });
    pure_by("count_by", library, |_, keys| {
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for key in keys {
            *counts.entry(key.to_string()).or_default() += 1;
        }
        Ok(Dynamic::from_map(counts.into_iter().map(|(key, count)| (key.into(), count.into())).collect()))
    });
    pure("unique", library, |list: &mut Array| unique(list));
    let get = |map: &mut Map, key: &str, default: Dynamic| match map.get(key) {
        Some(value) if !value.is_unit() => value.clone(),
        _ => default,
    };
    function("get", library, get);
}

/// Registers a function that reads a list and leaves it as it is.
fn pure<R: Clone + Send + Sync + 'static>(name: &str, library: &mut Module, f: fn(&mut Array) -> Fallible<R>) {
    function(name, library, f);
}

/// The same for one that takes a function of an item, which is called once for each.
fn pure_by(name: &str, library: &mut Module, f: fn(&Array, Array) -> Fallible<Dynamic>) {
    function(name, library, move |context: NativeCallContext, list: &mut Array, key: FnPtr| -> Fallible<Dynamic> {
        let keys = list.iter().map(|item| key.call_within_context(&context, (item.clone(),))).collect::<Fallible<Array>>()?;
        f(list, keys)
    });
}

fn extreme(list: &Array, wanted: Ordering) -> Fallible<Dynamic> {
    extreme_by(list, list, wanted)
}

fn extreme_by(list: &Array, keys: &Array, wanted: Ordering) -> Fallible<Dynamic> {
    let compare = order_of(keys)?;
    let mut best = 0;
    for (index, key) in keys.iter().enumerate() {
        if compare(key, &keys[best]) == wanted {
            best = index;
        }
    }
    Ok(list.get(best).cloned().unwrap_or(Dynamic::UNIT))
}

fn sort_by(list: &Array, keys: Array) -> Fallible<Dynamic> {
    let compare = order_of(&keys)?;
    let mut pairs: Vec<_> = keys.into_iter().zip(list).collect();
    pairs.sort_by(|(a, _), (b, _)| compare(a, b));
    Ok(Dynamic::from_array(pairs.into_iter().map(|(_, item)| item.clone()).collect()))
}

/// Items are the same when their JSON is.
fn unique(list: &Array) -> Fallible<Array> {
    let mut seen = std::collections::BTreeSet::new();
    let mut kept = Array::new();
    for item in list {
        let value = convert::to_value(item.clone()).map_err(|error| error.to_string())?;
        if seen.insert(value.to_json().to_string()) {
            kept.push(item.clone());
        }
    }
    Ok(kept)
}
