//! By what is a task known, whoever runs the batch and however often? By a [`BatchIdentity`], which makes ids of sessions from keys, and by a
//! [`TaskDigest`], which tells whether a key still stands for the same task.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::BatchTask;
use crate::{
    engine::{Engine, EngineError, Prepared},
    team::LIBRARY,
    value::{Map, SessionId, Tenant},
};

/// The last bytes of an id, which say which attempt it is; what comes before is the same for all attempts of a key, so that the store finds
/// them together, whichever of them are still there.
const ATTEMPT: usize = 2;

/// A batch of a team and a tenant.
#[derive(Clone, Debug)]
pub(crate) struct BatchIdentity {
    tenant: Tenant,
    team: Arc<str>,
    batch: Arc<str>,
}

/// What a task and its inputs were, in eight bytes: enough to notice that a key stands for something else by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskDigest(u64);

impl BatchIdentity {
    pub(super) fn new(tenant: Tenant, team: Arc<str>, batch: Arc<str>) -> Self {
        Self { tenant, team, batch }
    }

    /// The session of a task: always the same for the same tenant, team, batch, key and attempt, so that nobody makes it twice.
    pub(super) fn session(&self, key: &str, attempt: u16) -> SessionId {
        let mut hasher = blake3::Hasher::new_derive_key("synod 2026 session of a task of a batch");
        for part in [&*self.tenant.org, &*self.tenant.user, &*self.team, &*self.batch, key] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        bytes[16 - ATTEMPT..].copy_from_slice(&attempt.to_be_bytes());
        SessionId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// How the ids of all attempts of a key begin.
    pub(super) fn prefix(&self, key: &str) -> String {
        let mut digits = self.session(key, 0).0.simple().to_string();
        digits.truncate(2 * (16 - ATTEMPT));
        digits
    }

    /// Whether `session` is an attempt of `key`.
    pub(crate) fn is_session(&self, key: &str, session: SessionId) -> bool {
        self.session(key, attempt_of(session)) == session
    }
}

/// Which attempt of its key a session is.
pub(super) fn attempt_of(session: SessionId) -> u16 {
    let bytes = session.0.as_bytes();
    u16::from_be_bytes([bytes[14], bytes[15]])
}

impl TaskDigest {
    /// Of a task whose words have lost their secrets; `checked` are all inputs, of which those count that it sets.
    pub(super) fn of(words: &str, task: &BatchTask, checked: &Map) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("synod 2026 task of a batch");
        let value = |name: &String| checked.get(name).map_or_else(String::new, |value| value.to_json().to_string());
        let given = task.inputs.keys().flat_map(|name| [name.clone(), value(name)]);
        for part in std::iter::once(words.to_owned()).chain(given) {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        Self(u64::from_be_bytes(bytes))
    }
}

impl fmt::Display for TaskDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for TaskDigest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TaskDigest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(from)?;
        u64::from_str_radix(&digits, 16).map(Self).map_err(|_| D::Error::custom("a digest has sixteen digits from 0 to f"))
    }
}

impl Engine {
    /// Batch `name` of `team`. The team counts by its file, whatever it was called by; one of the library or made in code by its name.
    pub(crate) fn batch_identity(&self, team: &Prepared, name: &Arc<str>) -> BatchIdentity {
        let file = team.team.as_ref().map(|team| &*team.file).filter(|file| !file.starts_with(LIBRARY));
        let known = file.and_then(|file| self.known_as(Path::new(file))).map(Arc::from);
        let shipped = || team.team.as_ref().map_or(&team.name, |team| &team.file).clone();
        BatchIdentity::new(self.tenant().clone(), known.unwrap_or_else(shipped), name.clone())
    }

    /// What a file is called among all that share the store: by its place below the folder that the store is in, so that both can be moved
    /// together; elsewhere by its whole path. `None` where there is no such file.
    pub(crate) fn known_as(&self, file: &Path) -> Option<String> {
        let places = &self.inner.places;
        let path = places.workspace.join(file).canonicalize().ok()?;
        let home = places.state_folder.as_deref().and_then(home_of);
        let below = home.as_deref().and_then(|home| path.strip_prefix(home).ok());
        Some(below.unwrap_or(&path).to_string_lossy().into_owned())
    }

    /// What the digest of a task is in its result.
    ///
    /// # Errors
    /// Its inputs are not what the team takes.
    pub(crate) fn task_digest(&self, team: &Prepared, task: &BatchTask) -> Result<TaskDigest, EngineError> {
        let checked = self.inputs(team, task.inputs.clone())?;
        Ok(TaskDigest::of(&self.inner.env.redactor().text(&task.task), task, &checked))
    }
}

/// The folder that a store is in, which may not be there yet.
fn home_of(store: &Path) -> Option<PathBuf> {
    let store = std::path::absolute(store).ok()?;
    let there = store.ancestors().find(|folder| folder.exists())?;
    let whole = there.canonicalize().ok()?.join(store.strip_prefix(there).ok()?);
    whole.parent().map(Path::to_owned)
}
