//! What does a server get when it asks us? [`Handler`]: folders as its roots, people's answers, and an ear for progress.

#![expect(deprecated, reason = "roots are to become arguments of the calls one day; the servers that exist ask for them")]

use std::{
    path::Path,
    sync::{Arc, Weak},
};

use rmcp::{
    ClientHandler, ErrorData, RoleClient,
    model::{
        ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationCapability,
        FormElicitationCapability, Implementation, ListRootsResult, ProgressNotificationParam, ProtocolVersion, Root,
        RootsCapabilities,
    },
    service::{NotificationContext, RequestContext},
};

use super::{calls::Calls, folders::Folders, server::Server};
use crate::value::FormAnswer;

/// Our side of a connection.
pub(super) struct Handler {
    pub(super) server: Weak<Server>,
    pub(super) name: Arc<str>,
    pub(super) folders: Folders,
    pub(super) calls: Calls,
}

/// A folder as servers want it.
fn root(folder: &Path) -> Root {
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
        let mut roots = RootsCapabilities::default();
        roots.list_changed = Some(true);
        capabilities.roots = Some(roots);
        let form = FormElicitationCapability::new().with_schema_validation(true);
        capabilities.elicitation = Some(ElicitationCapability::new().with_form(form));
        // The newest version that begins with `initialize`, which is how a connection begins here.
        ClientConfig::new(capabilities, Implementation::new("synod", env!("CARGO_PKG_VERSION")))
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }

    async fn list_roots(&self, _context: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Ok(ListRootsResult::new(self.folders.all().iter().map(|folder| root(folder)).collect()))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let ElicitRequestParams::FormElicitationParams { message, requested_schema, .. } = request else {
            tracing::warn!(target: "synod::mcp", server = %self.name, "the server wants to send a person to an address: declined");
            return Ok(ElicitResult::new(ElicitationAction::Decline));
        };
        let form = serde_json::to_value(requested_schema).map_err(|e| ErrorData::invalid_params(e.to_string(), None))?;
        let answer = tokio::select! {
            biased;
            () = context.ct.cancelled() => FormAnswer::Cancel,
            answer = self.calls.ask(&self.name, &message, form) => answer,
        };
        Ok(match answer {
            FormAnswer::Accept(content) => ElicitResult::new(ElicitationAction::Accept).with_content(content.to_json()),
            FormAnswer::Decline => ElicitResult::new(ElicitationAction::Decline),
            FormAnswer::Cancel => ElicitResult::new(ElicitationAction::Cancel),
        })
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        self.calls.hear(&params, &self.name);
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
