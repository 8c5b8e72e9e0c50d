//! What does a server get when it asks us? [`Handler`]: the workspace as its root, a refusal of questions to people, and an ear for progress.

#![expect(deprecated, reason = "roots are to become arguments of the calls one day; the servers that exist ask for them")]

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use rmcp::{
    ClientHandler, ErrorData, RoleClient,
    model::{
        ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult, ElicitationAction, Implementation, ListRootsResult,
        NumberOrString, ProgressNotificationParam, ProgressToken, Root, RootsCapabilities,
    },
    service::{NotificationContext, RequestContext},
};

use super::server::Server;
use crate::tool::Progress;

/// Characters of a progress message that are shown.
const SHOWN: usize = 200;

/// Those who want to know how far a call is, by its token.
#[derive(Clone, Default)]
pub(super) struct Listeners(Arc<Mutex<BTreeMap<String, Progress>>>);

/// Listens until dropped.
pub(super) struct Listening {
    listeners: Listeners,
    token: String,
}

impl Listeners {
    /// Has the progress of a call told.
    pub(super) fn listen(&self, token: &ProgressToken, progress: Progress) -> Listening {
        let token = key(token);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), progress);
        Listening { listeners: self.clone(), token }
    }

    fn hear(&self, said: &ProgressNotificationParam, server: &str) {
        let listener = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key(&said.progress_token)).cloned();
        let Some(listener) = listener else { return };
        let far = match said.total {
            Some(total) if total > 0.0 => format!("{}/{total}", said.progress),
            Some(_) | None => said.progress.to_string(),
        };
        let message: String = said.message.iter().flat_map(|m| m.chars()).take(SHOWN).collect();
        listener.say(format!("{server}: {far} {message}").trim_end());
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.listeners.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.token);
    }
}

fn key(token: &ProgressToken) -> String {
    match &token.0 {
        NumberOrString::Number(number) => number.to_string(),
        NumberOrString::String(text) => text.to_string(),
    }
}

/// Our side of a connection.
pub(super) struct Handler {
    pub(super) server: Weak<Server>,
    pub(super) name: Arc<str>,
    pub(super) roots: Vec<Root>,
    pub(super) listeners: Listeners,
}

/// A folder as servers want it.
pub(super) fn root(folder: &Path) -> Root {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let root = Root::new(file_uri(folder));
    name.map_or(root.clone(), |name| root.with_name(name))
}

/// `file:///a%20b`: what is neither letter, digit nor one of a few signs is escaped.
fn file_uri(path: &Path) -> String {
    let mut uri = "file://".to_owned();
    for byte in path.to_string_lossy().bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.roots = Some(RootsCapabilities::default());
        ClientConfig::new(capabilities, Implementation::new("synod", env!("CARGO_PKG_VERSION")))
    }

    async fn list_roots(&self, _context: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Ok(ListRootsResult::new(self.roots.clone()))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        tracing::warn!(target: "synod::mcp", server = %self.name, ?request, "the server asked a person something: declined, nobody is there to answer");
        Ok(ElicitResult::new(ElicitationAction::Decline))
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        self.listeners.hear(&params, &self.name);
    }

    async fn on_tool_list_changed(&self, context: NotificationContext<RoleClient>) {
        let Some(server) = self.server.upgrade() else { return };
        // Asking back from here would wait for an answer that comes through here.
        tokio::spawn(async move { server.list_again(&context.peer).await });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_becomes_an_address() {
        assert_eq!(file_uri(Path::new("/a b/ü-1.x")), "file:///a%20b/%C3%BC-1.x");
    }
}
