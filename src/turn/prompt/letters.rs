//! How do a hundred agents read one letter? [`Letters`] puts it into words, and into JSON, once for all of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::letter;
use crate::value::{Judge, Message, MessageKind, Request, TextTemplate};

/// Letters that are kept; when there are more, all are made again. Most of a letter's readers read it soon.
const MAX_LETTERS: usize = 1_024;

type Templates = Arc<BTreeMap<MessageKind, TextTemplate>>;

/// The letters of a session that are addressed to more than one agent.
#[derive(Debug, Default)]
pub struct Letters(Mutex<BTreeMap<usize, Letter>>);

#[derive(Debug)]
struct Letter {
    /// Held, so that its place in memory is nobody else's.
    #[expect(dead_code, reason = "it is held, not used")]
    message: Arc<Message>,
    /// With the templates of whoever read it.
    words: Option<(Templates, Arc<str>)>,
    json: Option<Arc<[u8]>>,
}

impl Letters {
    /// Adds a message as an agent reads it to `text`.
    pub(super) fn say(&self, message: &Arc<Message>, request: &Request, judge: &dyn Judge, text: &mut String) {
        if message.to.is_some() {
            return text.push_str(&letter(message, request, judge));
        }
        let mut letters = self.lock();
        let words = &mut of(&mut letters, message).words;
        let known = words.take().filter(|(templates, _)| Arc::ptr_eq(templates, &request.letters));
        let made = || (request.letters.clone(), Arc::from(letter(message, request, judge)));
        text.push_str(&words.insert(known.unwrap_or_else(made)).1);
    }

    /// Adds a message as JSON to `bytes`.
    pub(super) fn write(&self, message: &Arc<Message>, bytes: &mut Vec<u8>) {
        // What has no JSON would have none in a replay either.
        let made = || serde_json::to_vec(message).unwrap_or_default();
        if message.to.is_some() {
            return bytes.extend(made());
        }
        let mut letters = self.lock();
        bytes.extend_from_slice(of(&mut letters, message).json.get_or_insert_with(|| made().into()));
    }

    /// A panic elsewhere leaves it whole: what is kept is put in at once.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Letter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of<'a>(letters: &'a mut BTreeMap<usize, Letter>, message: &Arc<Message>) -> &'a mut Letter {
    let place = Arc::as_ptr(message).addr();
    if letters.len() >= MAX_LETTERS && !letters.contains_key(&place) {
        letters.clear();
    }
    letters.entry(place).or_insert_with(|| Letter { message: message.clone(), words: None, json: None })
}
