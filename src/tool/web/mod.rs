//! What does a page or an interface say? [`Http`] asks it: only hosts on a list, by default only public addresses.
//!
//! A name is resolved first and the request goes to the addresses that were checked, so that a name that changes its mind in between
//! leads nowhere else. Every redirect is a new request with all its checks.

mod address;
#[cfg(test)]
mod tests;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::{Method, Response, StatusCode, Url, header};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{CallContext, Outcome, Tool, Work, count, parse, spec};
use crate::{
    http,
    value::{EffectClass, Failure, FailureKind, HttpSpec, Map, ToolSpec, Value},
};

/// Bytes of an answer that are read.
const LONGEST: usize = 512 * 1024;
/// Bytes of a body that may be sent.
const LONGEST_BODY: usize = 1 << 20;
/// Redirects that are followed.
const REDIRECTS: usize = 5;
/// Seconds that a request may take, where the call does not say.
const DEFAULT_SECONDS: u64 = 30;
/// Seconds that it may take at most.
const MAX_SECONDS: u64 = 300;
/// Headers that the client writes, and those that would lead it elsewhere.
const OURS: &[&str] =
    &["host", "content-length", "connection", "transfer-encoding", "upgrade", "te", "trailer", "expect", "keep-alive"];
/// Headers of an answer that are told.
const TOLD: &[&str] = &["content-type", "last-modified", "etag", "retry-after", "link", "location"];
/// Characters of an error's body that are shown.
const SHOWN: usize = 2_000;

/// Asks servers on a list.
#[derive(Debug)]
pub struct Http {
    spec: ToolSpec,
    policy: HttpSpec,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
enum Verb {
    #[serde(rename = "GET")]
    Get,
    #[serde(rename = "POST")]
    Post,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// The address, http or https.
    url: String,
    /// `GET`, which changes nothing, or `POST`; `GET` where it is not given.
    method: Option<Verb>,
    /// Headers of the request.
    headers: Option<std::collections::BTreeMap<String, String>>,
    /// The body of a POST: a text is sent as it is, anything else as JSON.
    body: Option<serde_json::Value>,
    /// Seconds that the request may take; 30 where it is not given.
    #[schemars(range(min = 1, max = MAX_SECONDS))]
    timeout: Option<u64>,
}

/// A host that may be asked, and where it is.
struct Target {
    url: Url,
    addresses: Vec<SocketAddr>,
}

impl Http {
    /// It, with the hosts that it may ask.
    pub fn new(policy: HttpSpec) -> Self {
        let hosts: Vec<&str> = policy.hosts.iter().chain(&policy.private_hosts).map(|host| &**host).collect();
        let description = format!(
            "Asks a server over HTTP. The hosts that it may ask: {}. Answers status, headers and body, read as JSON where it is JSON; a \
             status of 400 or more is a failure that shows the beginning of the body.",
            hosts.join(", ")
        );
        Self { spec: spec::<Args>("http", EffectClass::Irreversible, &description), policy }
    }

    async fn ask(&self, call: &CallContext, args: &Args) -> Outcome {
        let verb = args.method.unwrap_or(Verb::Get);
        if verb == Verb::Get && args.body.is_some() {
            return Err(Failure::new(FailureKind::Schema, "a GET has no body; write it as a POST, or put it into the address"));
        }
        let mut url =
            Url::parse(&args.url).map_err(|e| Failure::new(FailureKind::Schema, format!("{} is no address: {e}", args.url)))?;
        for _ in 0..=REDIRECTS {
            let target = self.target(url).await?;
            let response = send(call, args, verb, &target).await?;
            match redirected(&response, &target.url)? {
                Some(_) if verb == Verb::Post => {
                    let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
                    let message = format!("{} sends us on to {to}; ask there, if that is meant", target.url);
                    return Err(Failure {
                        status: Some(response.status().as_u16().into()),
                        ..Failure::new(FailureKind::Tool, message)
                    });
                }
                Some(next) => url = next,
                None => return answer(response, &target.url).await,
            }
        }
        Err(Failure::new(FailureKind::Limit, format!("{} sends us on more than {REDIRECTS} times", args.url)))
    }

    /// Where that address leads, if it may be asked.
    async fn target(&self, url: Url) -> Result<Target, Failure> {
        let denied = |why: String| Err(Failure::new(FailureKind::Denied, why));
        if !matches!(url.scheme(), "http" | "https") {
            return denied(format!("{url} is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return denied("an address may not hold a name or password; put them into a header".to_owned());
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return denied(format!("{url} names no host"));
        };
        let listed = |hosts: &[Arc<str>]| hosts.iter().any(|pattern| covers(pattern, host, port));
        let private = listed(&self.policy.private_hosts);
        if !private && !listed(&self.policy.hosts) {
            let hosts = self.policy.hosts.iter().chain(&self.policy.private_hosts).map(|h| &**h).collect::<Vec<_>>().join(", ");
            return denied(format!(
                "{host}:{port} is not among the hosts that may be asked, which are {hosts}; the team file lists them under `http`"
            ));
        }
        let plain = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let addresses: Vec<SocketAddr> = match plain.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => match tokio::net::lookup_host((plain.as_str(), port)).await {
                Ok(found) => found.collect(),
                Err(e) => return Err(Failure::new(FailureKind::Tool, format!("{host} cannot be resolved: {e}"))),
            },
        };
        if let Some(bad) = addresses.iter().find(|a| !private && !address::is_public(a.ip())) {
            return denied(format!(
                "{host} is at {}, a private address; list it under `private_hosts` where that is meant",
                bad.ip()
            ));
        }
        if addresses.is_empty() {
            return Err(Failure::new(FailureKind::Tool, format!("{host} has no address")));
        }
        Ok(Target { url, addresses })
    }
}

impl Tool for Http {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn effect(&self, args: &Value) -> EffectClass {
        if args.get("method").and_then(Value::as_str) == Some("POST") { EffectClass::Irreversible } else { EffectClass::Read }
    }

    fn call<'a>(&'a self, call: &'a CallContext, args: &'a Value) -> Work<'a> {
        Box::pin(async move {
            call.stop.check()?;
            let args: Args = parse(args)?;
            let limit = Duration::from_secs(args.timeout.unwrap_or(DEFAULT_SECONDS).min(MAX_SECONDS));
            tokio::select! {
                biased;
                failure = call.stop.stopped() => Err(failure),
                answer = tokio::time::timeout(limit, self.ask(call, &args)) => answer.unwrap_or_else(|_| {
                    Err(Failure::new(FailureKind::Timeout, format!("{} did not answer within {} s", args.url, limit.as_secs())))
                }),
            }
        })
    }
}

/// Whether `pattern` (`host`, `*.host`, either with `:port`) covers a host. Without a port it covers those of http and https.
fn covers(pattern: &str, host: &str, port: u16) -> bool {
    let (name, ports) = match pattern.rsplit_once(':') {
        Some((name, number))
            if !name.ends_with(':') && number.parse::<u16>().is_ok() && (!name.contains(':') || name.ends_with(']')) =>
        {
            (name, number.parse::<u16>().ok())
        }
        Some(_) | None => (pattern, None),
    };
    if !ports.map_or(matches!(port, 80 | 443), |only| only == port) {
        return false;
    }
    let plain = |text: &str| text.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    let (name, host) = (plain(name), plain(host));
    if let (Ok(one), Ok(other)) = (name.parse::<IpAddr>(), host.parse::<IpAddr>()) {
        return one == other;
    }
    match name.strip_prefix("*.") {
        Some(above) => host.strip_suffix(above).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => name == host,
    }
}

async fn send(call: &CallContext, args: &Args, verb: Verb, target: &Target) -> Result<Response, Failure> {
    let host = target.url.host_str().unwrap_or_default();
    let client = http::client(target.url.as_str())
        .no_proxy()
        .resolve_to_addrs(host, &target.addresses)
        .build()
        .map_err(|e| Failure::new(FailureKind::Tool, format!("there is no client for it: {e}")))?;
    let method = if verb == Verb::Post { Method::POST } else { Method::GET };
    let mut request = client.request(method, target.url.clone());
    // Headers may hold keys: they are for the host that was named, not for one that it sends us on to.
    let same = Url::parse(&args.url).is_ok_and(|first| first.origin() == target.url.origin());
    for (name, value) in args.headers.iter().flatten().filter(|_| same) {
        let lower = name.to_ascii_lowercase();
        if OURS.contains(&lower.as_str()) || lower.starts_with("proxy-") {
            return Err(Failure::new(FailureKind::Schema, format!("the header {name} cannot be set; leave it out")));
        }
        request = request.header(name, value);
    }
    if verb == Verb::Post {
        if !call.key.is_empty() {
            request = request.header("idempotency-key", &*call.key);
        }
        request = match &args.body {
            Some(serde_json::Value::String(text)) => request.body(sized(text.clone())?),
            Some(json) => request.header(header::CONTENT_TYPE, "application/json").body(sized(json.to_string())?),
            None => request,
        };
    }
    request.send().await.map_err(|e| failed(&e, &target.url))
}

fn sized(body: String) -> Result<String, Failure> {
    if body.len() > LONGEST_BODY {
        return Err(Failure::new(
            FailureKind::Limit,
            format!("the body has {} bytes, more than the {LONGEST_BODY} allowed", body.len()),
        ));
    }
    Ok(body)
}

/// Where the answer sends us on to, if it does.
fn redirected(response: &Response, from: &Url) -> Result<Option<Url>, Failure> {
    let on = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let Some(to) = response.headers().get(header::LOCATION).filter(|_| on) else { return Ok(None) };
    let next = to.to_str().ok().and_then(|to| from.join(to).ok());
    next.map(Some).ok_or_else(|| Failure::new(FailureKind::Tool, format!("{from} sends us on to something that is no address")))
}

async fn answer(mut response: Response, url: &Url) -> Outcome {
    let status = response.status();
    let mut headers = Map::new();
    for name in TOLD {
        if let Some(value) = response.headers().get(*name).and_then(|value| value.to_str().ok()) {
            headers.insert((*name).to_owned(), Value::text(value));
        }
    }
    let mut body = Vec::new();
    let mut whole = true;
    while let Some(chunk) = response.chunk().await.map_err(|e| failed(&e, url))? {
        let room = LONGEST - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            whole = false;
            break;
        }
    }
    let text = String::from_utf8_lossy(&body).into_owned();
    if status.as_u16() >= 400 {
        return Err(refused(status, &text, url));
    }
    let json = if whole {
        serde_json::from_str::<serde_json::Value>(&text).ok().and_then(|json| Value::try_from(json).ok())
    } else {
        None
    };
    let mut map = Map::from([
        ("status".to_owned(), Value::from(i64::from(status.as_u16()))),
        ("url".to_owned(), Value::text(url.as_str())),
        ("headers".to_owned(), Value::map(headers)),
        (
            "body".to_owned(),
            json.filter(|json| json.as_map().is_some() || json.as_list().is_some()).unwrap_or_else(|| Value::text(&text)),
        ),
    ]);
    if !whole {
        map.insert("truncated".to_owned(), Value::text(format!("only the first {LONGEST} bytes of the body are here")));
    }
    map.insert("bytes".to_owned(), count(body.len() as u64));
    Ok(Value::Map(Arc::new(map)))
}

fn refused(status: StatusCode, body: &str, url: &Url) -> Failure {
    let kind = if status == StatusCode::TOO_MANY_REQUESTS { FailureKind::RateLimit } else { FailureKind::Tool };
    let shown: String = body.trim().chars().take(SHOWN).collect();
    let failure = Failure::new(kind, format!("{url} answered {status}: {shown}"));
    Failure { status: Some(i64::from(status.as_u16())), ..failure }
}

/// What became of a request that got no answer. One that was never sent is no matter of doubt.
fn failed(error: &reqwest::Error, url: &Url) -> Failure {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        said = next.to_string();
        cause = next.source();
    }
    if error.is_builder() {
        return Failure::new(FailureKind::Schema, format!("the request to {url} cannot be made: {said}"));
    }
    let kind = if error.is_connect() { FailureKind::Tool } else { FailureKind::Transport };
    Failure::new(kind, format!("{url} did not answer: {said}"))
}
