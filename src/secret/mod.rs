//! What must nobody read? [`Env`] is the only way to the environment's secrets, and remembers each; its [`Redactor`] takes them out of
//! whatever tools and models say before it is journaled, logged or shown.
//!
//! What is taken out becomes `[redacted NAME]`: the value of a variable that a provider, an MCP server or a declared tool is given
//! (also escaped for JSON or a URL, and also cut off at either end), and whatever has the shape of a well-known kind of key,
//! as `[redacted key]`. Deliberately absent: values that are too short to be a secret ([`SHORTEST`]), folders that exist, and
//! variables that everybody may know ([`PLAIN`]), because without them no text could be read any more.

mod redactor;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

pub use redactor::Redactor;

/// The shortest value that is taken for a secret, in bytes.
pub const SHORTEST: usize = 8;

/// Variables that are no secret, whoever is given them.
pub const PLAIN: &[&str] = &[
    "HOME", "HOSTNAME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LOGNAME", "OLDPWD", "PATH", "PWD", "SHELL", "TERM", "TMPDIR",
    "TZ", "USER",
];

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// The environment, as far as secrets come from it. Clones share what was read.
#[derive(Clone)]
pub struct Env {
    lookup: Arc<Lookup>,
    known: Arc<RwLock<Arc<Redactor>>>,
}

impl Env {
    /// The environment of this process.
    pub fn process() -> Self {
        Self::of(|variable| std::env::var(variable).ok())
    }

    /// Variables as `lookup` has them.
    pub fn of(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { lookup: Arc::new(lookup), known: Arc::default() }
    }

    /// The value of a variable, which is a secret from now on.
    pub fn get(&self, variable: &str) -> Option<String> {
        let value = (self.lookup)(variable)?;
        if is_secret(variable, &value) && !self.redactor().knows(&value) {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            *known = Arc::new(known.with(variable, &value));
        }
        Some(value)
    }

    /// What takes out all secrets that were read so far.
    pub fn redactor(&self) -> Arc<Redactor> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Default for Env {
    fn default() -> Self {
        Self::process()
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env")
    }
}

fn is_secret(variable: &str, value: &str) -> bool {
    let is_folder = || Path::new(value).is_absolute() && Path::new(value).exists();
    value.trim().len() >= SHORTEST && !PLAIN.contains(&variable) && !is_folder()
}
