//! What went wrong with a provider, and would trying again help? [`Trouble`].

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{StatusCode, header::HeaderMap};

use crate::value::{Failure, FailureKind};

/// Characters of a provider's message that are kept.
const MAX_MESSAGE: usize = 600;

/// A call that gave no reply.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    /// What the journal is told.
    pub failure: Failure,
    /// Whether trying again may help.
    pub again: bool,
    /// How long the provider wants us to wait.
    pub after: Option<Duration>,
}

impl Trouble {
    /// The provider could not be reached, was silent or broke off.
    pub fn transport(message: impl AsRef<str>) -> Self {
        Self { failure: Failure::new(FailureKind::Transport, message), again: true, after: None }
    }

    /// The provider answered with something that is no answer.
    pub fn odd(message: impl AsRef<str>) -> Self {
        Self { failure: Failure::new(FailureKind::Model, message), again: false, after: None }
    }

    /// The provider refused, by the status of the response or by an error in the stream that comes to that status.
    pub fn status(status: u16, message: &str) -> Self {
        let overloaded = matches!(status, 429 | 529);
        let again = overloaded || matches!(status, 408 | 409 | 500..=599);
        let kind = match (overloaded, again) {
            (true, _) => FailureKind::RateLimit,
            (false, true) => FailureKind::Transport,
            (false, false) => FailureKind::Model,
        };
        let message = message.trim();
        let message = if message.is_empty() { reason(status) } else { message.chars().take(MAX_MESSAGE).collect() };
        let failure = Failure { status: Some(i64::from(status)), ..Failure::new(kind, format!("{status}: {message}")) };
        Self { failure, again, after: None }
    }

    /// A response that is no success, with its body.
    pub fn response(status: StatusCode, headers: &HeaderMap, body: &str, now: Timestamp) -> Self {
        let (code, message) = said(body);
        let mut trouble = Self::status(status.as_u16(), &message);
        trouble.after = retry_after(headers, now);
        let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        match header("x-should-retry") {
            Some("true") => trouble.again = true,
            Some("false") => trouble.again = false,
            _ => {}
        }
        if code.as_deref() == Some("insufficient_quota") {
            trouble.again = false;
        }
        trouble
    }
}

fn reason(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason());
    reason.unwrap_or("the provider gave no reason").to_lowercase()
}

/// The code and the message of an error's body, whatever the provider's shape for it.
pub(super) fn said(body: &str) -> (Option<String>, String) {
    let Ok(json) = serde_json::from_str::<serde_json::Value>(body) else { return (None, body.trim().to_owned()) };
    let json = json.get(0).cloned().unwrap_or(json);
    let error = json.get("error").unwrap_or(&json);
    let text = |key: &str| error.get(key).and_then(|v| v.as_str()).map(str::to_owned);
    let message = error.as_str().map(str::to_owned).or_else(|| text("message")).or_else(|| text("detail"));
    (text("code").or_else(|| text("type")).or_else(|| text("status")), message.unwrap_or_else(|| body.trim().to_owned()))
}

/// How long a response asks us to wait: milliseconds, seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
    let date = |text: &str| rfc2822::parse(text).ok().map(|zoned| zoned.timestamp());
    if let Some(millis) = header("retry-after-ms").and_then(|text| text.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(millis / 1_000.0).ok();
    }
    let text = header("retry-after")?;
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds.max(0.0)).ok();
    }
    // By the provider's own clock, where it says what that shows.
    let now = header("date").and_then(date).unwrap_or(now);
    let span = date(text)?.duration_since(now);
    Some(Duration::try_from(span).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&'static str, &str)], body: &str) -> Trouble {
        let headers = headers.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect();
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        Trouble::response(StatusCode::from_u16(status).unwrap(), &headers, body, now)
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_cannot_succeed_is_not() {
        for status in [408, 409, 429, 500, 502, 503, 504, 529] {
            assert!(response(status, &[], "").again, "{status}");
        }
        for status in [400, 401, 403, 404, 413, 422] {
            let trouble = response(status, &[], "");
            assert!(!trouble.again && trouble.failure.kind == FailureKind::Model, "{status}");
        }
        assert_eq!(response(529, &[], "").failure.kind, FailureKind::RateLimit);
        assert_eq!(response(503, &[], "").failure.kind, FailureKind::Transport);
        assert!(!response(429, &[], r#"{"error": {"code": "insufficient_quota", "message": "pay"}}"#).again);
        assert!(!response(500, &[("x-should-retry", "false")], "").again);
    }

    #[test]
    fn the_providers_own_message_is_kept_whatever_its_shape() {
        let shapes = [
            r#"{"error": {"message": "no such model", "type": "invalid_request_error"}}"#,
            r#"{"type": "error", "error": {"type": "invalid_request_error", "message": "no such model"}}"#,
            r#"[{"error": {"code": 400, "message": "no such model", "status": "INVALID_ARGUMENT"}}]"#,
            r#"{"error": "no such model"}"#,
            r#"{"detail": "no such model"}"#,
            "no such model",
        ];
        for body in shapes {
            assert_eq!(&*response(400, &[], body).failure.message, "400: no such model", "{body}");
        }
        assert_eq!(&*response(404, &[], "").failure.message, "404: not found");
        assert!(response(400, &[], &"x".repeat(9_000)).failure.message.len() < 700);
    }

    #[test]
    fn waits_are_read_in_seconds_milliseconds_and_dates() {
        let wait = |headers: &[(&'static str, &str)]| response(429, headers, "").after;
        assert_eq!(wait(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[("retry-after", "0.25")]), Some(Duration::from_millis(250)));
        assert_eq!(wait(&[("retry-after-ms", "1500"), ("retry-after", "9")]), Some(Duration::from_millis(1_500)));
        assert_eq!(wait(&[("retry-after", "Thu, 01 Jan 2026 00:00:05 GMT")]), Some(Duration::from_secs(5)));
        assert_eq!(wait(&[("retry-after", "Wed, 31 Dec 2025 00:00:05 GMT")]), Some(Duration::ZERO));
        let skewed = [("date", "Thu, 01 Jan 2026 08:00:00 GMT"), ("retry-after", "Thu, 01 Jan 2026 08:00:02 GMT")];
        assert_eq!(wait(&skewed), Some(Duration::from_secs(2)));
        for odd in ["soon", "-1e400", "NaN", ""] {
            assert!(wait(&[("retry-after", odd)]).is_none_or(|d| d.is_zero()), "{odd}");
        }
    }
}
