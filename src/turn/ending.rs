//! Does a reply end the activation? [`ending`].

use std::sync::Arc;

use crate::value::{Profile, Reply, Stop, Value};

/// What a reply without calls comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// Its calls must be answered first.
    Calls,
    /// It ends the activation with this value.
    Finish(Value),
    /// It ends nothing, and the agent must be told this.
    Repair(Arc<str>),
}

/// What `reply` comes to for an agent of that profile.
pub fn ending(reply: &Reply, profile: &Profile) -> Ending {
    if !reply.calls.is_empty() {
        return Ending::Calls;
    }
    if let Some(value) = &reply.finish {
        return Ending::Finish(value.clone());
    }
    if reply.stop == Stop::Length {
        return Ending::Repair(Arc::from("the reply was cut off at max_tokens; say less, or finish with what there is"));
    }
    match (&reply.text, &profile.output_schema) {
        (Some(text), None) if !text.trim().is_empty() => Ending::Finish(Value::map([("text", Value::Text(text.clone()))])),
        (Some(text), Some(_)) => match serde_json::from_str::<serde_json::Value>(text).map(Value::try_from) {
            Ok(Ok(value)) => Ending::Finish(value),
            Ok(Err(_)) | Err(_) => {
                Ending::Repair(Arc::from("the result must be JSON of the declared shape; call finish with it"))
            }
        },
        (Some(_) | None, _) => Ending::Repair(Arc::from("the reply was empty; call a tool, or finish with a result")),
    }
}
