//! Does a conversation fit? [`elide`] leaves out what tools returned, oldest first, until it does.

use std::sync::Arc;

use super::{Conversation, Spoken, Told};
use crate::value::{SEARCH_KNOWLEDGE, ToolSpec, Value};

/// Bytes of text that make a token. English prose has more to a token, JSON and logs about these.
const BYTES_PER_TOKEN: u64 = 3;
/// What a message or a part of one takes beside its words.
const FRAME: u64 = 12;
/// A result that is no longer than this stays: leaving it out would save nothing.
const KEPT: usize = 240;

/// About how many tokens a conversation has.
pub(super) fn tokens(conversation: &Conversation) -> u64 {
    let fixed = fixed(&conversation.system, &conversation.tools, conversation.schema.as_ref());
    fixed + conversation.messages.iter().map(of_message).sum::<u64>()
}

/// What is sent beside the messages.
pub(super) fn fixed(system: &str, tools: &[Arc<ToolSpec>], schema: Option<&Value>) -> u64 {
    let tools = tools.iter().map(|t| t.name.len() + t.description.len() + t.parameters.to_string().len());
    let schema = schema.map_or(0, |s| s.to_string().len());
    count(system.len()) + tools.map(count).sum::<u64>() + count(schema)
}

fn count(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES_PER_TOKEN) + FRAME
}

pub(super) fn of_message(message: &Spoken) -> u64 {
    match message {
        Spoken::Told(told) => told.iter().map(of_part).sum(),
        Spoken::Said { text, calls, carry } => {
            let calls: u64 = calls.iter().map(|c| count(c.tool.len() + c.id.len() + c.args.to_string().len())).sum();
            let carry = carry.as_ref().map_or(0, |c| count(c.to_string().len()));
            count(text.as_ref().map_or(0, |t| t.len())) + calls + carry
        }
    }
}

/// A text as a part of a message.
pub(super) fn of_text(text: &str) -> u64 {
    count(text.len())
}

fn of_part(part: &Told) -> u64 {
    match part {
        Told::Result { call, text, .. } => count(call.id.len() + text.len()),
        Told::Text(text) | Told::Known(text) => of_text(text),
    }
}

/// Leaves out results of tools, oldest first and never those of the last message, until about `room` tokens are left or nothing
/// more can go. The model is told.
pub(super) fn elide(conversation: &mut Conversation, room: u64) {
    let mut size = tokens(conversation);
    let last = conversation.messages.len().saturating_sub(1);
    let mut left_out = 0_u32;
    'done: for message in &mut conversation.messages[..last] {
        let Spoken::Told(told) = message else { continue };
        for part in told {
            if size <= room {
                break 'done;
            }
            let before = of_part(part);
            let (text, tool) = match part {
                Told::Result { call, text, .. } => (text, &*call.tool),
                Told::Known(text) => (text, SEARCH_KNOWLEDGE),
                Told::Text(_) => continue,
            };
            if text.len() <= KEPT {
                continue;
            }
            *text =
                format!("({} bytes that {tool} returned were left out to save room; call it again if you need them)", text.len());
            left_out += 1;
            size = size.saturating_sub(before).saturating_add(of_part(part));
        }
    }
    conversation.elided = left_out;
    if left_out > 0
        && let Some(Spoken::Told(told)) = conversation.messages.last_mut()
    {
        let word = format!(
            "Note of the engine: the conversation outgrew the model's window; the {left_out} oldest results were left out."
        );
        told.push(Told::Text(word));
    }
}
