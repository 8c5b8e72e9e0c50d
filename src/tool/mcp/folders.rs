//! Which folders do servers learn of? [`Folders`]: the workspace, and the inputs of the sessions at work.
//!
//! The servers are shared by all sessions of the process, and so is this list; the protocol cannot say that a folder is there to
//! be read only.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::server::Server;
use crate::tool::Roots;

/// The folders that servers are told of, the workspace first.
#[derive(Clone)]
pub(super) struct Folders(Arc<Inner>);

struct Inner {
    workspace: PathBuf,
    /// How many sessions work with each.
    inputs: Mutex<BTreeMap<PathBuf, usize>>,
}

/// Folders that a session lends to the servers until it is dropped.
pub struct Lent {
    folders: Folders,
    paths: Vec<PathBuf>,
    servers: Vec<Weak<Server>>,
}

impl Folders {
    pub(super) fn new(workspace: PathBuf) -> Self {
        Self(Arc::new(Inner { workspace, inputs: Mutex::default() }))
    }

    pub(super) fn all(&self) -> Vec<PathBuf> {
        let inputs = self.0.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::once(&self.0.workspace).chain(inputs.keys()).cloned().collect()
    }

    /// Tells the servers of what a session may reach.
    pub(super) fn lend(&self, roots: &Roots, servers: Vec<Weak<Server>>) -> Lent {
        let real = self.0.workspace.canonicalize();
        let is_known = |path: &Path| real.as_ref().is_ok_and(|workspace| path.starts_with(workspace));
        let paths: Vec<PathBuf> = roots.reach().map(|(path, _)| path).filter(|path| !is_known(path)).collect();
        let lent = Lent { folders: self.clone(), paths, servers };
        lent.change(|inputs, path| {
            let sessions = inputs.entry(path.to_owned()).or_default();
            *sessions += 1;
            *sessions == 1
        });
        lent
    }
}

impl Lent {
    /// Changes the entry of each folder, and tells the servers that run if one came or went.
    fn change(&self, mut change: impl FnMut(&mut BTreeMap<PathBuf, usize>, &Path) -> bool) {
        let changed = {
            let mut inputs = self.folders.0.inputs.lock().unwrap_or_else(PoisonError::into_inner);
            self.paths.iter().filter(|path| change(&mut inputs, path)).count() > 0
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        for server in self.servers.iter().filter(|_| changed).filter_map(Weak::upgrade) {
            runtime.spawn(async move { server.folders_changed().await });
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.change(|inputs, path| {
            let Some(sessions) = inputs.get_mut(path) else { return false };
            *sessions = sessions.saturating_sub(1);
            *sessions == 0 && inputs.remove(path).is_some()
        });
    }
}
