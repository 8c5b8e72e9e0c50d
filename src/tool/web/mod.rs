//! What does a page or an interface say? [`Http`] asks it: only hosts on a list, by default only public addresses.
//!
//! Every redirect is a new request with all the checks of [`mod@guard`].

mod address;
mod guard;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use reqwest::{Method, Response, StatusCode, Url, header};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{CallContext, Outcome, Tool, Work, count, parse, spec};
use crate::value::{EffectClass, Failure, FailureKind, HttpSpec, Map, ToolSpec, Value};
pub(super) use guard::{Refusal, Target, failed, target};

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

/// What the tool is called.
pub const HTTP: &str = "http";

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

impl Http {
    /// It, with the hosts that it may ask.
    pub fn new(policy: HttpSpec) -> Self {
        let hosts: Vec<&str> = policy.hosts.iter().chain(&policy.private_hosts).map(|host| &**host).collect();
        let description = format!(
            "Asks a server over HTTP. The hosts that it may ask: {}. Answers status, headers and body, read as JSON where it is JSON; a \
             status of 400 or more is a failure that shows the beginning of the body.",
            hosts.join(", ")
        );
        let spec = spec::<Args>(HTTP, EffectClass::Irreversible, &description);
        Self { spec: ToolSpec { untrusted: true, ..spec }, policy }
    }

    async fn ask(&self, call: &CallContext, args: &Args) -> Outcome {
        let verb = args.method.unwrap_or(Verb::Get);
        if verb == Verb::Get && args.body.is_some() {
            return Err(Failure::new(FailureKind::Schema, "a GET has no body; write it as a POST, or put it into the address"));
        }
        let mut url =
            Url::parse(&args.url).map_err(|e| Failure::new(FailureKind::Schema, format!("{} is no address: {e}", args.url)))?;
        for _ in 0..=REDIRECTS {
            let target = target(&self.policy, url).await.map_err(|refusal| told(refusal, &self.policy))?;
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
}

/// The refusal, with what would be right.
fn told(refusal: Refusal, policy: &HttpSpec) -> Failure {
    match refusal {
        Refusal::NotListed(host) => {
            let hosts = policy.hosts.iter().chain(&policy.private_hosts).map(|h| &**h).collect::<Vec<_>>().join(", ");
            let message = format!(
                "{host} is not among the hosts that may be asked, which are {hosts}; the team file lists them under `http`"
            );
            Failure::new(FailureKind::Denied, message)
        }
        Refusal::Private { host, address } => {
            let message = format!("{host} is at {address}, a private address; list it under `private_hosts` where that is meant");
            Failure::new(FailureKind::Denied, message)
        }
        Refusal::Failed(failure) => failure,
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

async fn send(call: &CallContext, args: &Args, verb: Verb, target: &Target) -> Result<Response, Failure> {
    let client = target.client()?;
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
