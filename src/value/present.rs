//! How is "null" told from "nothing"? An `Option<Value>` that holds null must come back as `Some`, or a resumed session would differ from
//! the one that was killed.

use serde::{Deserialize, Deserializer};

use super::Value;

/// For a field that is left out when it is `None`: what is there is `Some`, null included. Use it with `default` and
/// `skip_serializing_if = "Option::is_none"`.
///
/// # Errors
/// It is not a value.
pub fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// For an option within an option: null, an empty list, or a list of one value.
pub mod nested {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Value;

    /// Writes it.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &Option<Option<Value>>, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(Option::as_slice).serialize(serializer)
    }

    /// Reads it.
    ///
    /// # Errors
    /// It is neither null nor a list.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Value>>, D::Error> {
        let list = Option::<Vec<Value>>::deserialize(deserializer)?;
        Ok(list.map(|list| list.into_iter().next()))
    }
}

#[cfg(test)]
mod tests {
    use crate::value::{Reply, Value, Verdict};

    fn check(thing: &(impl serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug)) {
        let bytes = rmp_serde::to_vec_named(thing).unwrap();
        assert_eq!(rmp_serde::from_slice(&bytes).ok().as_ref(), Some(thing), "MessagePack");
        let json = serde_json::to_string(thing).unwrap();
        assert_eq!(serde_json::from_str(&json).ok().as_ref(), Some(thing), "{json}");
    }

    #[test]
    fn null_comes_back_as_something_and_nothing_as_nothing() {
        for finish in [None, Some(Value::Null), Some(Value::from(1))] {
            check(&Reply { finish, ..Reply::default() });
        }
        for verdict in [None, Some(None), Some(Some(Value::Null)), Some(Some(Value::list([])))] {
            check(&Verdict::Reconcile(verdict));
        }
    }
}
