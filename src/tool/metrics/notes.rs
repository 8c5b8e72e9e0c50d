//! What should the reader of an answer know? [`Notes`], a bounded list of remarks.

/// The most remarks that are kept.
const MAX_NOTES: usize = 40;

/// Remarks on what was skipped, cut or assumed.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    texts: Vec<String>,
    further: usize,
}

impl Notes {
    /// Adds a remark, once.
    pub fn add(&mut self, text: impl Into<String>) {
        let text = text.into();
        if self.texts.contains(&text) {
            return;
        }
        if self.texts.len() < MAX_NOTES {
            self.texts.push(text);
        } else {
            self.further += 1;
        }
    }

    /// The remarks in the order they were made.
    pub fn into_texts(mut self) -> Vec<String> {
        if self.further > 0 {
            self.texts.push(format!("{} further remarks were left out", self.further));
        }
        self.texts
    }
}
