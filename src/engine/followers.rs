//! Who follows a session? [`Followers`]: those who asked for its records, and until somebody does, whoever may yet ask.
//!
//! A channel for followers takes far more memory than a session that waits, so it is made when the first one asks.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use tokio::sync::broadcast;

use crate::event::Record;

/// Records that a slow follower may be behind before it misses some.
const EVENTS_KEPT: usize = 4_096;
/// Words of progress that are kept for a slow follower.
const WORDS_KEPT: usize = 64;

/// Those who follow a session.
pub(super) struct Followers {
    records: Mutex<Records>,
    words: OnceLock<broadcast::Sender<Arc<str>>>,
}

enum Records {
    /// Nobody has asked yet: what was there so far, for the first who does.
    Kept(VecDeque<Arc<Record>>),
    /// Somebody has.
    Shown(broadcast::Sender<Arc<Record>>),
    /// Nobody has, and the one who could is gone.
    Alone,
}

/// The one who may ask: when this is dropped, nothing is kept any more.
pub(super) struct Ear(pub(super) Arc<Followers>);

impl Drop for Ear {
    fn drop(&mut self) {
        let mut records = self.0.records();
        if let Records::Kept(_) = *records {
            *records = Records::Alone;
        }
    }
}

impl Followers {
    /// Nobody yet.
    pub(super) fn new() -> Self {
        Self { records: Mutex::new(Records::Kept(VecDeque::new())), words: OnceLock::new() }
    }

    /// Shows records to whoever follows.
    pub(super) fn show(&self, records: Vec<Arc<Record>>) {
        match &mut *self.records() {
            Records::Kept(kept) => {
                kept.extend(records);
                let more = kept.len().saturating_sub(EVENTS_KEPT);
                kept.drain(..more);
            }
            Records::Shown(events) if events.receiver_count() > 0 => {
                for record in records {
                    // Nobody may be following any more.
                    let _ = events.send(record);
                }
            }
            Records::Shown(_) | Records::Alone => {}
        }
    }

    /// The records as they come; for the first who asks, from the first on.
    pub(super) fn follow(&self) -> broadcast::Receiver<Arc<Record>> {
        let mut records = self.records();
        if let Records::Shown(events) = &*records {
            return events.subscribe();
        }
        let (events, follower) = broadcast::channel(EVENTS_KEPT);
        if let Records::Kept(kept) = std::mem::replace(&mut *records, Records::Shown(events.clone())) {
            for record in kept {
                // There is a follower: this one.
                let _ = events.send(record);
            }
        }
        follower
    }

    /// Says a word of progress to whoever listens.
    pub(super) fn say(&self, word: Arc<str>) {
        if let Some(words) = self.words.get() {
            // Nobody may be listening any more.
            let _ = words.send(word);
        }
    }

    /// The words as they come.
    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<str>> {
        self.words.get_or_init(|| broadcast::channel(WORDS_KEPT).0).subscribe()
    }

    /// What is guarded is whole at every moment, so a panic elsewhere does not matter.
    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
