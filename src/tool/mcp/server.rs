//! How is one server kept? [`Server`]: started when first needed, listed, started again when it died.

use std::{
    collections::HashMap,
    ffi::OsString,
    path::PathBuf,
    sync::{Arc, OnceLock, PoisonError, RwLock, Weak},
    time::Duration,
};

use rmcp::{
    Peer, RoleClient, ServiceExt,
    service::{ClientInitializeError, RunningService, ServiceError},
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use tokio::{sync::Mutex, time::Instant};

use super::{
    calls::Calls,
    config::{McpServer, expand},
    folders::Folders,
    handler::Handler,
    stdio::Pipes,
    tools,
};
use crate::{
    secret::Env,
    tool::{
        Registry, Stop,
        process::{Launch, Limits},
    },
    value::{Failure, FailureKind},
};

/// The first wait after a failure; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A server that lived so long has not failed to start.
const SETTLED: Duration = Duration::from_secs(10);
/// How long a server may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);
/// Variables of the engine's environment that servers get.
const INHERITED: &[&str] =
    &["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "DO_NOT_TRACK"];

/// A server, whether it runs or not.
pub(super) struct Server {
    pub(super) name: Arc<str>,
    pub(super) config: McpServer,
    /// What `cwd` is relative to.
    pub(super) base: PathBuf,
    pub(super) workspace: PathBuf,
    folders: Folders,
    /// What fills in the variables that its configuration names.
    env: Env,
    pub(super) calls: Calls,
    link: Mutex<Link>,
    /// What it offers, as it was last told; a tool to try again while it cannot be reached; `None` before it was first needed.
    tools: RwLock<Option<Arc<Registry>>>,
    this: OnceLock<Weak<Server>>,
}

#[derive(Default)]
struct Link {
    up: Option<Up>,
    /// Failures in a row.
    failures: u32,
    /// When it may be tried again.
    not_before: Option<Instant>,
}

struct Up {
    service: RunningService<RoleClient, Handler>,
    since: Instant,
}

impl Server {
    pub(super) fn new(name: &str, config: McpServer, base: PathBuf, workspace: PathBuf, folders: Folders, env: Env) -> Arc<Self> {
        let server = Arc::new(Self {
            name: Arc::from(name),
            config,
            base,
            workspace,
            folders,
            env,
            calls: Calls::default(),
            link: Mutex::default(),
            tools: RwLock::default(),
            this: OnceLock::new(),
        });
        // It is set once, here.
        let _ = server.this.set(Arc::downgrade(&server));
        server
    }

    /// What it offers; nothing before it was first needed.
    pub(super) fn tools(&self) -> Option<Arc<Registry>> {
        self.tools.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_tools(&self, tools: Registry) {
        *self.tools.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(tools));
    }

    /// It as it was declared, not started.
    pub(super) fn anew(&self) -> Arc<Self> {
        Self::new(
            &self.name,
            self.config.clone(),
            self.base.clone(),
            self.workspace.clone(),
            self.folders.clone(),
            self.env.clone(),
        )
    }

    /// A connection: the one there is, or a new one. Waits where it failed a moment ago.
    ///
    /// # Errors
    /// `tool` where it cannot be reached, so that nothing was asked of it; whatever `stop` says.
    pub(super) async fn peer(&self, stop: &Stop) -> Result<Peer<RoleClient>, Failure> {
        tokio::select! {
            biased;
            failure = stop.stopped() => Err(failure),
            peer = self.connected() => peer,
        }
    }

    async fn connected(&self) -> Result<Peer<RoleClient>, Failure> {
        let mut link = self.link.lock().await;
        if let Some(up) = &link.up {
            if !up.service.peer().is_transport_closed() {
                return Ok(up.service.peer().clone());
            }
            if up.since.elapsed() < SETTLED {
                link.failed();
            } else {
                link.failures = 0;
            }
            link.up = None;
            tracing::warn!(target: "synod::mcp", server = %self.name, "the server has gone; it is started again");
        }
        if let Some(until) = link.not_before {
            tokio::time::sleep_until(until).await;
        }
        match tokio::time::timeout(self.config.startup_timeout(), self.connect()).await {
            Ok(Ok(service)) => {
                let peer = service.peer().clone();
                link.up = Some(Up { service, since: Instant::now() });
                Ok(peer)
            }
            Ok(Err(why)) => Err(self.unreachable(&mut link, &why)),
            Err(_) => {
                let seconds = self.config.startup_timeout().as_secs_f64();
                Err(self.unreachable(
                    &mut link,
                    &format!("it did not answer within {seconds} s; `startup_timeout_seconds` gives it longer"),
                ))
            }
        }
    }

    fn unreachable(&self, link: &mut Link, why: &str) -> Failure {
        link.failed();
        let failure = Failure::new(FailureKind::Tool, format!("the MCP server {} cannot be used: {why}", self.name));
        let failure = self.env.redactor().failure(failure);
        let known = self.tools().is_some_and(|tools| tools.names().count() > 1);
        if !known && let Some(this) = self.this.get().and_then(Weak::upgrade) {
            self.set_tools(tools::try_again(&this, &failure.message));
        }
        tracing::warn!(target: "synod::mcp", "{}", failure.message);
        failure
    }

    /// Starts it, greets it and lists its tools.
    async fn connect(&self) -> Result<RunningService<RoleClient, Handler>, String> {
        let handler = Handler {
            server: self.this.get().cloned().unwrap_or_default(),
            name: self.name.clone(),
            folders: self.folders.clone(),
            calls: self.calls.clone(),
        };
        let service = match (&self.config.command, &self.config.url) {
            (Some(command), _) => self.over_pipes(handler, command).await?,
            (None, Some(url)) => self.over_http(handler, url).await?,
            (None, None) => return Err("it has neither a command nor a url".to_owned()),
        };
        if service.peer().peer_info().is_some_and(|info| info.capabilities.tools.is_none()) {
            self.set_tools(Registry::default());
            return Ok(service);
        }
        self.list(service.peer()).await?;
        Ok(service)
    }

    async fn over_pipes(&self, handler: Handler, command: &str) -> Result<RunningService<RoleClient, Handler>, String> {
        let program = self.expanded(command, "`command`")?;
        let args =
            self.config.args.iter().map(|arg| self.expanded(arg, "`args`").map(OsString::from)).collect::<Result<_, _>>()?;
        let mut env: Vec<(OsString, OsString)> =
            INHERITED.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?))).collect();
        for (name, value) in &self.config.env {
            env.push((name.into(), self.expanded(value, &format!("`env.{name}`"))?.into()));
        }
        let folder = match &self.config.cwd {
            Some(cwd) => self.base.join(self.expanded(cwd, "`cwd`")?),
            None => self.workspace.clone(),
        };
        let launch = Launch {
            program: program.clone().into(),
            args,
            env,
            folder: folder.clone(),
            stdin: true,
            limits: Limits::default(),
            confinement: None,
            supervised: false,
        };
        let running = launch.start().await.map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound if !folder.is_dir() => format!("there is no folder {}", folder.display()),
            std::io::ErrorKind::NotFound => format!("there is no program `{program}`; install it"),
            _ => format!("`{program}` cannot be started: {e}"),
        })?;
        let (pipes, mut words) = Pipes::of(running, &self.name).map_err(|e| e.to_string())?;
        let error = match handler.serve(pipes).await {
            Ok(service) => return Ok(service),
            Err(error) => error,
        };
        let code = words.code().await.map_or_else(String::new, |code| format!(" with exit code {code}"));
        let said = words.text().await.map_or_else(String::new, |text| format!("; it said: {text}"));
        Err(match error {
            ClientInitializeError::ConnectionClosed(_) | ClientInitializeError::TransportError { .. } => {
                format!("`{program}` ended at once{code}{said}")
            }
            other => format!("{other}{said}"),
        })
    }

    async fn over_http(&self, handler: Handler, url: &str) -> Result<RunningService<RoleClient, Handler>, String> {
        let url = self.expanded(url, "`url`")?;
        let mut headers = HashMap::new();
        for (name, value) in &self.config.headers {
            let value = self.expanded(value, &format!("`headers.{name}`"))?;
            let name = reqwest::header::HeaderName::try_from(name.as_str())
                .map_err(|_| format!("`headers.{name}` is no name of a header"))?;
            let mut value = reqwest::header::HeaderValue::try_from(value)
                .map_err(|_| format!("`headers.{name}` holds what no header may"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let client = crate::http::client(&url)
            .connect_timeout(self.config.startup_timeout())
            .build()
            .map_err(|e| format!("there is no client for it: {e}"))?;
        let config = StreamableHttpClientTransportConfig::with_uri(url.clone()).custom_headers(headers);
        handler.serve(StreamableHttpClientTransport::with_client(client, config)).await.map_err(|error| {
            if error.is_authorization_required() { sign_in() } else { format!("{url} does not answer: {}", reasons(&error)) }
        })
    }

    /// The text with the variables of the environment that it names.
    fn expanded(&self, text: &str, whose: &str) -> Result<String, String> {
        expand(text, &|name| self.env.get(name))
            .map_err(|name| format!("{whose} needs the variable {name}, which is not set: set it, or write ${{{name}:-DEFAULT}}"))
    }

    async fn list(&self, peer: &Peer<RoleClient>) -> Result<(), String> {
        let listed = peer.list_all_tools().await.map_err(|e| format!("it does not list its tools: {}", reasons(&e)))?;
        let Some(this) = self.this.get().and_then(Weak::upgrade) else { return Ok(()) };
        self.set_tools(tools::registry(&this, listed));
        Ok(())
    }

    /// Lists its tools again, after it said that they changed.
    pub(super) async fn list_again(&self, peer: &Peer<RoleClient>) {
        if let Err(why) = self.list(peer).await {
            tracing::warn!(target: "synod::mcp", server = %self.name, why, "its tools changed, but cannot be listed");
        }
    }

    /// Tells it, if it runs, that there are other folders now.
    pub(super) async fn folders_changed(&self) {
        let peer = self.link.lock().await.up.as_ref().map(|up| up.service.peer().clone());
        if let Some(peer) = peer {
            // A server that has gone asks for them when it is started again.
            let _ = peer.notify_roots_list_changed().await;
        }
    }

    /// Forgets earlier failures: it answered.
    pub(super) async fn answered(&self) {
        let mut link = self.link.lock().await;
        link.failures = 0;
        link.not_before = None;
    }

    /// Says goodbye and ends it.
    pub(super) async fn close(&self) {
        let up = self.link.lock().await.up.take();
        if let Some(mut up) = up {
            // What does not end in time is killed when it is dropped.
            let _ = up.service.close_with_timeout(GOODBYE).await;
        }
    }
}

impl Link {
    fn failed(&mut self) {
        let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(10)).min(LONGEST_WAIT);
        // The first time it is tried again at once.
        self.not_before = (self.failures > 0).then(|| Instant::now() + wait);
        self.failures = self.failures.saturating_add(1);
    }
}

/// What went wrong with a call that was sent, as the engine sees it: `transport` where nobody knows whether it happened.
pub(super) fn failure(server: &str, tool: &str, error: &ServiceError) -> Failure {
    let fail = |kind, what: String| Failure::new(kind, format!("{tool} of the MCP server {server}: {what}"));
    match error {
        ServiceError::McpError(error) => fail(FailureKind::Tool, error.message.to_string()),
        error if error.is_authorization_required() => fail(FailureKind::Tool, sign_in()),
        ServiceError::TransportClosed => fail(FailureKind::Transport, "the server ended before it answered".to_owned()),
        ServiceError::TransportSend(_) => fail(FailureKind::Transport, format!("the connection broke off: {}", reasons(error))),
        ServiceError::Cancelled { reason } => fail(
            FailureKind::Transport,
            format!("the server broke it off: {}", reason.as_deref().unwrap_or("no reason is given")),
        ),
        other => fail(FailureKind::Tool, other.to_string()),
    }
}

fn sign_in() -> String {
    "it wants a sign-in (OAuth), which is not supported: put a token of yours into its `headers`, such as \
     \"Authorization\": \"Bearer ${TOKEN}\""
        .to_owned()
}

/// An error with what caused it: the last cause says most.
fn reasons(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !said.contains(&words) {
            said.push_str(": ");
            said.push_str(&words);
        }
        next = cause.source();
    }
    said
}
