//! What does an agent see of a server? Its tools, each a [`RemoteTool`], in a [`Registry`].

use std::sync::{Arc, Weak};

use rmcp::{
    Peer, RoleClient,
    model::{
        CallToolRequest, CallToolRequestParams, CallToolResult, CancelledNotification, CancelledNotificationParam, ClientRequest,
        MetaObject, RequestId, RequestMetaObject, ServerResult, Tool as Listed,
    },
    service::PeerRequestOptions,
};

use super::{
    said,
    server::{self, Server},
};
use crate::{
    tool::{CallContext, Outcome, Registry, Tool, Work, allow},
    value::{EffectClass, Failure, FailureKind, ToolSpec, Value},
};

/// Characters of a tool's name that every provider takes.
const LONGEST_NAME: usize = 64;
/// Characters of a tool's description that a model is told.
const LONGEST_DESCRIPTION: usize = 4_000;
/// Tools of one server at most; further ones are left out.
const MAX_TOOLS: usize = 512;
/// Where a server finds the key of a call, which is the same when the call is repeated.
const KEY: &str = "synod/key";

/// A tool of a server.
struct RemoteTool {
    spec: ToolSpec,
    /// Its name there.
    name: String,
    server: Weak<Server>,
}

/// What a server lists, as tools; what cannot be one is left out, with a word in the log.
pub(super) fn registry(server: &Arc<Server>, listed: Vec<Listed>) -> Registry {
    let mut registry = Registry::default();
    if listed.len() > MAX_TOOLS {
        tracing::warn!(target: "synod::mcp", server = %server.name, "{} tools: only the first {MAX_TOOLS} are used", listed.len());
    }
    for tool in listed.into_iter().take(MAX_TOOLS) {
        let name = tool.name.to_string();
        let tool = RemoteTool { spec: spec(server, tool), name, server: Arc::downgrade(server) };
        if let Err(error) = registry.add(Arc::new(tool)) {
            tracing::warn!(target: "synod::mcp", server = %server.name, "a tool is left out: {error}");
        }
    }
    registry
}

fn spec(server: &Server, tool: Listed) -> ToolSpec {
    let mut parameters = said::lenient(serde_json::Value::Object((*tool.input_schema).clone()));
    if parameters.get("type").is_none() {
        let mut map = parameters.as_map().cloned().unwrap_or_default();
        map.insert("type".to_owned(), Value::text("object"));
        parameters = Value::map(map);
    }
    let description: String = tool.description.iter().flat_map(|text| text.chars()).take(LONGEST_DESCRIPTION).collect();
    let description =
        if description.trim().is_empty() { format!("{} of the MCP server {}", tool.name, server.name) } else { description };
    ToolSpec {
        name: full_name(&server.name, &tool.name),
        description: description.into(),
        parameters,
        effect: if server.config.trust_annotations { hinted(&tool) } else { EffectClass::Irreversible },
        untrusted: !server.config.trusted,
    }
}

/// The effect that a server says its tool has. What it does not say is the worst, as the protocol has it.
fn hinted(tool: &Listed) -> EffectClass {
    let Some(hints) = &tool.annotations else { return EffectClass::Irreversible };
    match (hints.read_only_hint, hints.idempotent_hint) {
        (Some(true), _) => EffectClass::Read,
        (_, Some(true)) => EffectClass::Idempotent,
        _ => EffectClass::Irreversible,
    }
}

/// `mcp__server__tool`, in the letters that every provider takes; what is too long keeps its beginning and gets a digest.
fn full_name(server: &str, tool: &str) -> Arc<str> {
    let name = format!("{}{}", allow::server_prefix(server), allow::fitting(tool));
    if name.len() <= LONGEST_NAME {
        return name.into();
    }
    let digest = blake3::hash(name.as_bytes()).to_hex();
    format!("{}_{}", &name[..LONGEST_NAME - 9], &digest[..8]).into()
}

impl Tool for RemoteTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call<'a>(&'a self, call: &'a CallContext, args: &'a Value) -> Work<'a> {
        Box::pin(async move {
            call.stop.check()?;
            let server = self.server.upgrade().ok_or_else(|| Failure::new(FailureKind::Tool, "the MCP servers were closed"))?;
            let peer = server.peer(&call.stop).await?;
            let result = tokio::select! {
                biased;
                failure = call.stop.stopped() => return Err(failure),
                result = self.ask(&server, peer, call, args) => result?,
            };
            server.answered().await;
            said::outcome(&self.spec.name, result)
        })
    }
}

impl RemoteTool {
    async fn ask(
        &self,
        server: &Server,
        peer: Peer<RoleClient>,
        call: &CallContext,
        args: &Value,
    ) -> Result<CallToolResult, Failure> {
        let failed = |error| server::failure(&server.name, &self.name, &error);
        let mut params = CallToolRequestParams::new(self.name.clone());
        if let serde_json::Value::Object(arguments) = args.to_json() {
            params = params.with_arguments(arguments);
        }
        let mut options = PeerRequestOptions::default();
        if !call.key.is_empty() {
            let mut meta = MetaObject::default();
            meta.insert(KEY.to_owned(), (*call.key).into());
            options = options.with_meta(RequestMetaObject(meta));
        }
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let handle = peer.send_cancellable_request(request, options).await.map_err(failed)?;
        let in_flight = server.calls.begin(&handle.progress_token, call, server.config.answer_timeout());
        let mut cancel = CancelOnDrop { peer, id: Some(handle.id.clone()) };
        let answer = tokio::select! {
            biased;
            answer = handle.await_response() => answer,
            failure = in_flight.given_up(&server.name, &self.name, server.config.call_timeout()) => return Err(failure),
        };
        cancel.id = None;
        match answer.map_err(failed)? {
            ServerResult::CallToolResult(result) => Ok(result),
            ServerResult::EmptyResult(_) => Ok(CallToolResult::success(Vec::new())),
            _ => Err(Failure::new(
                FailureKind::Tool,
                format!("{}: the server answered with something that is no result of a call", self.spec.name),
            )),
        }
    }
}

/// Tells the server that nobody waits for a call any more.
struct CancelOnDrop {
    peer: Peer<RoleClient>,
    id: Option<RequestId>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let (Some(id), Ok(runtime)) = (self.id.take(), tokio::runtime::Handle::try_current()) else { return };
        let peer = self.peer.clone();
        runtime.spawn(async move {
            let params = CancelledNotificationParam::new(Some(id), Some("the call was cancelled".to_owned()));
            // A server that has gone needs no telling.
            let _ = peer.send_notification(CancelledNotification::new(params).into()).await;
        });
    }
}

/// What stands for the tools of a server that cannot be reached: a tool to try again, which says why.
pub(super) fn try_again(server: &Arc<Server>, why: &str) -> Registry {
    let spec = ToolSpec {
        name: full_name(&server.name, "connect"),
        description: format!("{why}. Call this to try again; its tools are there at your next turn, if it works then.").into(),
        parameters: Value::map([
            ("type", Value::text("object")),
            ("properties", Value::map::<&str>([])),
            ("additionalProperties", Value::Bool(false)),
        ]),
        effect: EffectClass::Read,
        untrusted: false,
    };
    let mut registry = Registry::default();
    registry.add(Arc::new(TryAgain { spec, server: Arc::downgrade(server) })).expect("the first name, with a schema of ours");
    registry
}

struct TryAgain {
    spec: ToolSpec,
    server: Weak<Server>,
}

impl Tool for TryAgain {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call<'a>(&'a self, call: &'a CallContext, _args: &'a Value) -> Work<'a> {
        Box::pin(async move { self.connect(call).await })
    }
}

impl TryAgain {
    async fn connect(&self, call: &CallContext) -> Outcome {
        let server = self.server.upgrade().ok_or_else(|| Failure::new(FailureKind::Tool, "the MCP servers were closed"))?;
        server.peer(&call.stop).await?;
        let tools = server.tools();
        let names = tools.iter().flat_map(|tools| tools.names()).map(Value::text);
        Ok(Value::map([("tools", Value::list(names))]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_every_provider() {
        assert_eq!(&*full_name("my server", "get.item"), "mcp__my_server__get_item");
        let long = full_name("kube", &"x".repeat(100));
        assert_eq!(long.len(), LONGEST_NAME);
        assert_ne!(long, full_name("kube", &"x".repeat(101)));
    }
}
