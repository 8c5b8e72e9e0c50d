//! What may a provider be told? Tools and calls by names that all of them take.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    turn::{Conversation, Spoken, Told},
    value::ToolSpec,
};

/// Characters of a tool's name at most.
const MAX_TOOL: usize = 64;
/// Characters of a call's id at most.
const MAX_ID: usize = 40;

fn is_plain(name: &str, most: usize) -> bool {
    !name.is_empty() && name.len() <= most && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The name of a tool as every provider takes it.
pub(super) fn plain(tool: &str) -> String {
    if is_plain(tool, MAX_TOOL) && !tool.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return tool.to_owned();
    }
    let digest = blake3::hash(tool.as_bytes()).to_hex();
    let kept: String = tool.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).take(50).collect();
    format!("t_{kept}_{}", &digest[..8])
}

/// The tool that a provider means by `name`.
pub(super) fn original(name: &str, tools: &[Arc<ToolSpec>]) -> Arc<str> {
    let known = tools.iter().find(|tool| *tool.name == *name).or_else(|| tools.iter().find(|tool| plain(&tool.name) == name));
    known.map_or_else(|| Arc::from(name), |tool| tool.name.clone())
}

/// Gives every call an id that all providers take and that no other call of the conversation has.
pub(super) fn rename_calls(conversation: &mut Conversation) {
    let mut taken = BTreeSet::new();
    let mut now: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
    let mut count = 0_u32;
    for message in &mut conversation.messages {
        match message {
            Spoken::Said { calls, .. } => {
                now.clear();
                for call in calls {
                    let mut id = call.id.clone();
                    while !is_plain(&id, MAX_ID) || taken.contains(&id) {
                        count += 1;
                        id = Arc::from(format!("call_r{count}"));
                    }
                    taken.insert(id.clone());
                    now.insert(call.id.clone(), id.clone());
                    call.id = id;
                }
            }
            Spoken::Told(told) => {
                for part in told {
                    if let Told::Result { call, .. } = part
                        && let Some(id) = now.get(&call.id)
                    {
                        call.id = id.clone();
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{EffectClass, Value};

    #[test]
    fn a_tool_goes_by_a_plain_name_and_is_found_by_it() {
        let tool = |name: &str| {
            Arc::new(ToolSpec {
                name: name.into(),
                description: "".into(),
                parameters: Value::Null,
                effect: EffectClass::Read,
                untrusted: false,
            })
        };
        let long = "x".repeat(90);
        let tools: Vec<_> = ["Read", "server.tool/a", "server.tool/b", "größe", &long, "7up"].map(tool).into();
        for tool in &tools {
            let wire = plain(&tool.name);
            assert!(is_plain(&wire, MAX_TOOL) && wire.starts_with(|c: char| c.is_ascii_alphabetic()), "{wire}");
            assert_eq!(original(&wire, &tools), tool.name);
        }
        assert_eq!((plain("Read").as_str(), &*original("what?", &tools)), ("Read", "what?"));
    }
}
