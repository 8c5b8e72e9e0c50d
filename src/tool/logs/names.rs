//! Which number stands for a name? [`Names`]: names that come up again and again, each kept once.

use std::collections::HashMap;

/// Names of one collection; what comes later shares the last.
const NAMES: usize = 500_000;

/// Names by number and numbers by name.
#[derive(Default)]
pub(super) struct Names {
    ids: HashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
}

impl Names {
    /// The number of a name, a new one where it has none.
    pub fn id(&mut self, name: &str) -> u32 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        if self.names.len() >= NAMES {
            return (NAMES - 1) as u32;
        }
        let id = self.names.len() as u32;
        self.names.push(name.into());
        self.ids.insert(name.into(), id);
        id
    }

    /// The name with that number.
    pub fn name(&self, id: u32) -> &str {
        self.names.get(id as usize).map_or("", |name| name)
    }
}
