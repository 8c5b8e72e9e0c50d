//! How does a request reach its provider and what comes back? [`exchange`]: one try, bounded in time and size.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, header::HeaderMap};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    draft::Draft,
    frames::{FrameError, Framing, Splitter},
    trouble::{Trouble, said},
    wire::{Reader, Wire},
};
use crate::team::Timeouts;

/// Bytes of an error's body that are read.
const MAX_ERROR: usize = 64 << 10;
/// How long the rest of a response is waited for once the reply is complete, so that its connection can be used again.
const REST: Duration = Duration::from_millis(100);

/// A client for a provider.
///
/// # Errors
/// TLS cannot be set up on this machine.
pub(super) fn client(waits: &Timeouts, base: &str) -> Result<Client, reqwest::Error> {
    crate::http::client(base).connect_timeout(waits.connect).build()
}

/// Sends a request and reads the reply to its end.
pub(super) async fn exchange(
    client: &Client,
    wire: Wire,
    url: &str,
    headers: HeaderMap,
    body: Vec<u8>,
    waits: &Timeouts,
) -> Result<Draft, Trouble> {
    let mut reader = Reader::new(wire);
    let sent = client.post(url).headers(headers).body(body);
    let read = stream(sent, wire.framing(), &mut reader, waits).await;
    let usage = reader.usage();
    read.and_then(|()| reader.finish()).map_err(|mut trouble| {
        trouble.failure = trouble.failure.having_spent(usage);
        trouble
    })
}

/// Sends a request and hands what comes to `reader`.
async fn stream(sent: RequestBuilder, framing: Framing, reader: &mut Reader, waits: &Timeouts) -> Result<(), Trouble> {
    let deadline = Instant::now() + waits.first_token;
    let silent = || Trouble::transport(format!("no word of a reply within {:?}", waits.first_token));
    let sent = timeout_at(deadline, sent.send()).await.map_err(|_| silent())?;
    let mut response = sent.map_err(|e| broken(&e))?;
    if !response.status().is_success() {
        return Err(refused(response, waits.idle).await);
    }
    let is_json = response.headers().get("content-type").is_some_and(|t| t.as_bytes().starts_with(b"application/json"));
    let mut splitter = Splitter::new(framing);
    let mut spoken = false;
    loop {
        while let Some(frame) = splitter.next() {
            spoken = true;
            reader.read(&frame)?;
            if reader.is_complete() {
                // Whatever comes of it, the reply is there.
                let _ = timeout(REST, async { while let Ok(Some(_)) = response.chunk().await {} }).await;
                return Ok(());
            }
        }
        let next = if spoken {
            let silent = || Trouble::transport(format!("the reply broke off: not a word for {:?}", waits.idle));
            timeout(waits.idle, response.chunk()).await.map_err(|_| silent())?
        } else {
            timeout_at(deadline, response.chunk()).await.map_err(|_| silent())?
        };
        match next.map_err(|e| broken(&e))? {
            Some(bytes) => splitter.feed(&bytes).map_err(odd)?,
            None => break,
        }
    }
    splitter.end().map_err(odd)?;
    while let Some(frame) = splitter.next() {
        spoken = true;
        reader.read(&frame)?;
    }
    if !spoken && is_json {
        return Err(Trouble::odd("the server answered in one piece; it must stream"));
    }
    Ok(())
}

fn odd(error: FrameError) -> Trouble {
    Trouble::odd(error.to_string())
}

/// A response that is no success, with as much of its body as says why.
pub(super) async fn refused(mut response: Response, wait: Duration) -> Trouble {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    let read = async {
        while let Ok(Some(bytes)) = response.chunk().await {
            body.extend_from_slice(&bytes);
            if body.len() > MAX_ERROR {
                break;
            }
        }
    };
    // What came so far is what there is.
    let _ = timeout(wait, read).await;
    Trouble::response(status, &headers, &String::from_utf8_lossy(&body), jiff::Timestamp::now())
}

/// The transport failed. The address is left out: it stands in the models file.
pub(super) fn broken(error: &reqwest::Error) -> Trouble {
    let mut why = String::new();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        why = inner.to_string();
        source = inner.source();
    }
    let what = if error.is_connect() {
        "the provider cannot be reached"
    } else if error.is_timeout() {
        "the provider does not answer"
    } else {
        "the connection broke off"
    };
    if error.is_builder() {
        return Trouble::odd(format!("its base_url is no address: {why}"));
    }
    Trouble::transport(if why.is_empty() { what.to_owned() } else { format!("{what}: {why}") })
}

/// An error in the stream, as the status that it comes to.
pub(super) fn in_stream(data: &str) -> Trouble {
    let (code, message) = said(data);
    let number = serde_json::from_str::<serde_json::Value>(data).ok().and_then(|json| {
        let error = json.get("error").unwrap_or(&json);
        ["status_code", "code"].iter().find_map(|key| error.get(key)?.as_u64())
    });
    let status = match (number, code.as_deref()) {
        (Some(status @ 400..=599), _) => u16::try_from(status).unwrap_or(500),
        (_, Some("overloaded_error" | "overloaded" | "UNAVAILABLE")) => 529,
        (_, Some("rate_limit_error" | "rate_limit_exceeded" | "RESOURCE_EXHAUSTED" | "too_many_requests")) => 429,
        (_, Some("invalid_request_error" | "invalid_prompt" | "INVALID_ARGUMENT" | "context_length_exceeded")) => 400,
        (_, Some("authentication_error" | "permission_error" | "UNAUTHENTICATED" | "PERMISSION_DENIED")) => 403,
        (_, Some("not_found_error" | "NOT_FOUND")) => 404,
        (_, Some("timeout_error" | "DEADLINE_EXCEEDED")) => 408,
        (_, Some(_) | None) => 500,
    };
    Trouble::status(status, &message)
}
