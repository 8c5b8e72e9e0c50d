//! How is a person told that a question waits? [`Notifier`] runs the author's command or asks the author's address, a few times.
//!
//! What is told is JSON: on standard input, or as the body of a POST. It is told at least once, always under the same key
//! (`SYNOD_KEY`, `Idempotency-Key`, `key`). With [`SECRET`] it is signed: `t=SECONDS,v1=HEX`, where `HEX` is the HMAC-SHA256 of
//! `SECONDS.BODY`, in `SYNOD_SIGNATURE` or the header [`HEADER`], so that its receiver knows whose it is and how old. A command
//! is confined as those of agents are; an address is the author's and may be anywhere.

use std::{sync::Arc, time::Duration};

use reqwest::{StatusCode, header};
use ring::hmac;

use super::Clock;
use crate::{
    event::Notice,
    http,
    secret::Env,
    tool::{CallContext, CommandPolicy, Roots, tell_command},
    value::{Failure, FailureKind, Notify, Timestamp},
};

/// The variable with the key of signatures.
pub(super) const SECRET: &str = "SYNOD_NOTIFY_SECRET";
/// The header with the signature.
const HEADER: &str = "Synod-Signature";
/// How often it is tried.
const ATTEMPTS: u32 = 3;
/// How long a try may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long to wait after the first try; four times as long after the second.
const WAIT: Duration = Duration::from_secs(1);

/// Tells people.
#[derive(Clone)]
pub(super) struct Notifier {
    pub(super) commands: CommandPolicy,
    pub(super) roots: Arc<Roots>,
    pub(super) env: Env,
    pub(super) clock: Arc<dyn Clock>,
    /// Whether nobody is really told: a team is tested.
    pub(super) silent: bool,
}

/// Why a try came to nothing, and whether another may do better.
struct Missed {
    why: Failure,
    again: bool,
}

impl Notifier {
    /// Tells it, and tries again where that may help.
    ///
    /// # Errors
    /// Why the last try came to nothing; an address is named by its host only.
    pub(super) async fn tell(&self, notice: &Notice) -> Result<(), Failure> {
        if self.silent {
            return Ok(());
        }
        let body = notice.payload.to_json().to_string();
        let mut wait = WAIT;
        let mut tries = 1;
        loop {
            let missed = match self.attempt(notice, &body).await {
                Ok(()) => return Ok(()),
                Err(missed) => missed,
            };
            if !missed.again || tries >= ATTEMPTS {
                let times = if tries == 1 { String::new() } else { format!(" ({tries} times)") };
                let message = format!("{}{times}", self.env.redactor().text(&missed.why.message));
                return Err(Failure { message: Arc::from(message), ..missed.why });
            }
            tokio::time::sleep(wait).await;
            (wait, tries) = (wait * 4, tries + 1);
        }
    }

    async fn attempt(&self, notice: &Notice, body: &str) -> Result<(), Missed> {
        let signature = self.env.get(SECRET).filter(|secret| !secret.is_empty());
        let signature = signature.map(|secret| signature_of(&secret, self.clock.now(), body));
        match Notify::of(&notice.target) {
            Err(why) => Err(Missed { why: Failure::new(FailureKind::Schema, why), again: false }),
            Ok(Notify::Url(url)) => {
                let asked = tokio::time::timeout(LIMIT, post(url, body, &notice.key, signature.as_deref())).await;
                asked.unwrap_or_else(|_| {
                    let message = format!("{} did not answer within {} s", Notify::Url(url).shown(), LIMIT.as_secs());
                    Err(Missed { why: Failure::new(FailureKind::Timeout, message), again: true })
                })
            }
            Ok(Notify::Command(line)) => {
                let call = CallContext { key: notice.key.clone(), ..CallContext::on(self.roots.clone()) };
                let env = signature.map(|signature| ("SYNOD_SIGNATURE".into(), signature.into()));
                let told =
                    tell_command(&self.commands, &call, line, body.as_bytes().to_vec(), env.into_iter().collect(), LIMIT).await;
                told.map_err(|why| Missed { again: why.kind != FailureKind::Tool, why })
            }
        }
    }
}

async fn post(url: &str, body: &str, key: &str, signature: Option<&str>) -> Result<(), Missed> {
    let host = Notify::Url(url).shown();
    let failed = |error: &reqwest::Error, kind| {
        let mut why = String::new();
        let mut cause = std::error::Error::source(error);
        while let Some(next) = cause {
            why = format!(": {next}");
            cause = next.source();
        }
        Failure::new(kind, format!("{host} did not answer{why}"))
    };
    let client = http::client(url).build().map_err(|e| Missed { why: failed(&e, FailureKind::Tool), again: false })?;
    let mut request = client.post(url).header(header::CONTENT_TYPE, "application/json").header("Idempotency-Key", key);
    if let Some(signature) = signature {
        request = request.header(HEADER, signature);
    }
    let sent = request.body(body.to_owned()).send().await;
    let status = sent.map_err(|e| Missed { again: !e.is_builder(), why: failed(&e, FailureKind::Transport) })?.status();
    if status.is_success() {
        return Ok(());
    }
    let again = status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    let why = Failure::new(FailureKind::Transport, format!("{host} answered {status}"));
    Err(Missed { why: Failure { status: Some(i64::from(status.as_u16())), ..why }, again })
}

/// `t=SECONDS,v1=HEX`.
fn signature_of(secret: &str, now: Timestamp, body: &str) -> String {
    let seconds = now.0 / 1_000_000;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{seconds}.{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected digest is that of `printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret`.
    #[test]
    fn a_signature_is_what_others_make_of_the_same() {
        let expected = "t=1700000000,v1=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686";
        assert_eq!(signature_of("secret", Timestamp(1_700_000_000_999_999), r#"{"a":1}"#), expected);
    }
}
