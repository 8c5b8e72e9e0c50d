//! A server for the tests: what it is asked it writes to the file of `SERVER_LOG`, one line each.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientResult, ContentBlock, ElicitRequest, ElicitRequestParams,
        ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, ResourceContents, ServerCapabilities, ServerConfig,
        ServerRequest, Tool, ToolAnnotations, ToolsCapability,
    },
    service::{NotificationContext, RequestContext},
    transport::{
        stdio,
        streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager},
    },
};
use serde_json::{Value as Json, json};
use synod::tool::McpServer;

/// How it is told that a process is to be a server.
pub const AS_SERVER: &str = "SYNOD_TEST_SERVER";
/// Where it writes.
pub const LOG: &str = "SERVER_LOG";

/// The server.
#[derive(Clone, Default)]
pub struct Server {
    pub log: Option<PathBuf>,
    pub grown: Arc<AtomicBool>,
}

impl Server {
    fn note(&self, line: &str) {
        if let Some(path) = &self.log {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            writeln!(file, "{line}").unwrap();
        }
    }

    /// What a person says, as `action content`.
    async fn ask(&self, context: &RequestContext<RoleServer>, params: Json) -> String {
        let request = ElicitRequest::new(serde_json::from_value::<ElicitRequestParams>(params).unwrap());
        let answer = context.peer.send_request(ServerRequest::ElicitRequest(request)).await.unwrap();
        let ClientResult::ElicitResult(answer) = answer else { panic!("{answer:?} is no answer") };
        let said = format!("{:?} {}", answer.action, answer.content.unwrap_or_default());
        self.note(&format!("told {said}"));
        said
    }

    fn tools(&self) -> Vec<Tool> {
        let text = json!({ "type": "string" });
        let mut tools = vec![
            tool("echo", "Says it again", json!({ "text": text }), &["text"])
                .with_annotations(ToolAnnotations::new().read_only(true)),
            tool("add", "Adds", json!({ "a": { "type": "integer" }, "b": { "type": "integer" } }), &["a", "b"]),
            tool("note", "Writes a line", json!({ "line": text }), &["line"])
                .with_annotations(ToolAnnotations::new().idempotent(true)),
            tool("slow", "Takes long", json!({ "steps": { "type": "integer" } }), &["steps"]),
            tool("crash", "Ends", json!({}), &[]),
            tool("fail", "Fails", json!({}), &[]),
            tool("picture", "Shows", json!({}), &[]),
            tool("grow", "Learns a tool", json!({}), &[]),
            tool("roots", "Asks for the roots", json!({}), &[]),
            tool("order", "Asks a person for the size", json!({}), &[]).with_annotations(ToolAnnotations::new().idempotent(true)),
            tool("visit", "Sends a person to an address", json!({}), &[]),
            tool("environment", "Names its variables", json!({}), &[]),
            tool("key", "Tells the key of the call", json!({}), &[]),
        ];
        if self.grown.load(Ordering::SeqCst) {
            tools.push(tool("grown", "Is new", json!({}), &[]));
        }
        tools
    }
}

fn tool(name: &'static str, description: &'static str, properties: Json, required: &[&str]) -> Tool {
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    Tool::new(name, description, Arc::new(schema.as_object().unwrap().clone()))
}

fn text(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let mut tools = ToolsCapability::default();
        tools.list_changed = Some(true);
        let mut capabilities = ServerCapabilities::default();
        capabilities.tools = Some(tools);
        let mut config = ServerConfig::default();
        config.capabilities = capabilities;
        config
    }

    async fn on_roots_list_changed(&self, _context: NotificationContext<RoleServer>) {
        self.note("roots changed");
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.note("list");
        Ok(ListToolsResult::with_all_items(self.tools()))
    }

    #[expect(deprecated, reason = "roots are what clients have today")]
    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let args = Json::Object(request.arguments.unwrap_or_default());
        self.note(&format!("call {} {args}", request.name));
        Ok(match request.name.as_ref() {
            "echo" => text(args["text"].as_str().unwrap()),
            "add" => {
                let sum = json!({ "sum": args["a"].as_i64().unwrap() + args["b"].as_i64().unwrap() });
                CallToolResult::structured(sum).into()
            }
            "note" => text("written"),
            "slow" => {
                let token = context.meta.get_progress_token();
                let steps = args["steps"].as_u64().unwrap();
                for step in 1..=steps {
                    if let Some(token) = &token {
                        let said = ProgressNotificationParam::new(token.clone(), step as f64).with_total(steps as f64);
                        context.peer.notify_progress(said.with_message("on the way")).await.unwrap();
                    }
                    tokio::select! {
                        () = context.ct.cancelled() => {
                            self.note("cancelled");
                            return Ok(text("cancelled"));
                        }
                        () = tokio::time::sleep(Duration::from_millis(100)) => {}
                    }
                }
                text("done")
            }
            "crash" => std::process::exit(3),
            "fail" => CallToolResult::error(vec![ContentBlock::text("it does not work today")]).into(),
            "picture" => CallToolResult::success(vec![
                ContentBlock::image("aGVsbG8=", "image/png"),
                ContentBlock::resource(ResourceContents::text("inside", "file:///a")),
            ])
            .into(),
            "grow" => {
                self.grown.store(true, Ordering::SeqCst);
                context.peer.notify_tool_list_changed().await.unwrap();
                text("grown")
            }
            "grown" => text("new"),
            "roots" => {
                let roots = context.peer.list_roots().await.unwrap().roots;
                text(roots.into_iter().map(|root| root.uri).collect::<Vec<_>>().join(" "))
            }
            "order" => {
                let form = json!({ "type": "object", "required": ["size"], "properties": { "size": { "type": "string", "enum": ["S", "M"] } } });
                text(self.ask(&context, json!({ "mode": "form", "message": "Which size?", "requestedSchema": form })).await)
            }
            "visit" => {
                let visit = json!({ "mode": "url", "message": "Sign here", "url": "http://127.0.0.1:1/", "elicitationId": "1" });
                text(self.ask(&context, visit).await)
            }
            "environment" => text(std::env::vars().map(|(name, _)| name).collect::<Vec<_>>().join(" ")),
            "key" => text(context.meta.get("synod/key").and_then(Json::as_str).unwrap_or("none")),
            other => return Err(ErrorData::invalid_params(format!("there is no tool {other}"), None)),
        })
    }
}

/// The program that calls this, which has a test `serve`, as a server that logs there.
pub fn this_program(log: &Path) -> McpServer {
    McpServer {
        command: Some(std::env::current_exe().unwrap().to_string_lossy().into_owned()),
        args: ["--exact", "serve", "--nocapture", "--test-threads=1"].map(str::to_owned).to_vec(),
        env: [(AS_SERVER.to_owned(), "1".to_owned()), (LOG.to_owned(), log.to_string_lossy().into_owned())].into(),
        ..McpServer::default()
    }
}

/// The processes that are servers with that log.
pub fn processes(log: &Path) -> Vec<i32> {
    let mark = log.to_string_lossy().into_owned();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|id| {
        let variables = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&variables).split('\0').any(|v| v.strip_prefix("SERVER_LOG=") == Some(&mark))
    })
    .collect()
}

/// Serves on the standard streams until they close.
pub fn on_pipes() -> ! {
    // What the harness has begun to write ends here.
    println!("\nthis line is no message");
    eprintln!("the server begins");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server { log: std::env::var_os(LOG).map(PathBuf::from), ..Server::default() };
        let running = server.serve(stdio()).await.unwrap();
        running.waiting().await.unwrap();
    });
    std::process::exit(0);
}

/// Serves over HTTP on this machine; the address.
pub async fn over_http(server: Server) -> String {
    let config = StreamableHttpServerConfig::default();
    let service = StreamableHttpService::new(move || Ok(server.clone()), Arc::new(LocalSessionManager::default()), config);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper_util::service::TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let builder = hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new());
                // A client may hang up whenever it likes.
                let _ = builder.serve_connection(hyper_util::rt::TokioIo::new(stream), service).await;
            });
        }
    });
    address
}
