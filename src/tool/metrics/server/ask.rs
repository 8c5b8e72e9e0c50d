//! How is a server asked? [`Asker`] sends the requests of one question, within limits on bytes, and makes errors of what is no answer.

use reqwest::{Client, Method, Response, StatusCode, Url, header};
use serde::{Deserialize, de::IgnoredAny};

use super::{
    super::{error::MetricsError, notes::Notes},
    Server,
    answer::Envelope,
};
use crate::{
    tool::web::{Refusal, failed, target},
    value::{Failure, FailureKind},
};

/// Bytes of all answers to one question.
pub const MAX_BYTES: usize = 64 << 20;
/// Bytes of an answer that is an error.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// Bytes of arguments up to which they stand in the address; a longer question is posted, because gateways refuse long addresses.
const LONGEST_ADDRESS: usize = 2_000;
/// Characters of an error, or of a warning, that are shown.
const SHOWN: usize = 1_000;

/// Asks one server.
pub struct Asker<'a> {
    server: &'a Server,
    client: Client,
    /// Bytes that may still be read.
    left: usize,
}

impl<'a> Asker<'a> {
    /// For that server, if it may be asked.
    ///
    /// # Errors
    /// It may not, its name leads nowhere, or its key is not there.
    pub async fn open(server: &'a Server) -> Result<Self, MetricsError> {
        if let Some((variable, None)) = &server.authorization {
            let message = format!("the server `{}` wants a key: set the variable {variable} in the environment", server.name);
            return Err(Failure::new(FailureKind::Denied, message).into());
        }
        let found = target(&server.hosts, server.base.clone()).await.map_err(|refusal| refused(refusal, server))?;
        Ok(Self { server, client: found.client()?, left: MAX_BYTES })
    }

    /// Asks `/api/v1/PATH` with these arguments. What the server warns of goes into `notes`.
    ///
    /// # Errors
    /// The server reports an error, does not answer as Prometheus does, or says too much.
    pub async fn ask<T: for<'de> Deserialize<'de>>(
        &mut self,
        path: &str,
        arguments: &[(&str, &str)],
        notes: &mut Notes,
    ) -> Result<T, MetricsError> {
        let (response, url) = self.send(path, arguments).await?;
        let status = response.status();
        let limit = if status.is_success() { self.left } else { MAX_ERROR_BYTES };
        let body = self.body(response, &url, limit).await?;
        if !status.is_success() {
            return Err(self.error(status, &body));
        }
        self.left -= body.len();
        let envelope: Envelope<T> = serde_json::from_slice(&body).map_err(|e| self.garbled(&e, &body))?;
        for said in envelope.warnings.iter().chain(&envelope.infos) {
            notes.add(format!("{} warns: {}", self.server.name, shown(said)));
        }
        match envelope.data {
            Some(data) if envelope.status == "success" => Ok(data),
            Some(_) | None => Err(self.reported(status, &envelope.error_type, &envelope.error)),
        }
    }

    async fn send(&self, path: &str, arguments: &[(&str, &str)]) -> Result<(Response, Url), MetricsError> {
        let mut url = self.server.base.clone();
        url.set_path(&format!("{}/api/v1/{path}", self.server.base.path().trim_end_matches('/')));
        let mut asked = url.clone();
        asked.query_pairs_mut().extend_pairs(arguments);
        let encoded = asked.query().unwrap_or_default();
        // The names of labels are only read.
        let posts = encoded.len() > LONGEST_ADDRESS && !path.starts_with("label/");
        let mut request = if posts {
            let form = "application/x-www-form-urlencoded";
            self.client.request(Method::POST, url.clone()).header(header::CONTENT_TYPE, form).body(encoded.to_owned())
        } else {
            self.client.request(Method::GET, asked.clone())
        };
        if let Some((variable, Some(value))) = &self.server.authorization {
            let value = value.trim();
            let whole = if value.contains(char::is_whitespace) { value.to_owned() } else { format!("Bearer {value}") };
            let mut value = header::HeaderValue::try_from(whole).map_err(|_| {
                Failure::new(FailureKind::Denied, format!("the value of {variable} is none that a header can have"))
            })?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let response = request.send().await.map_err(|e| failed(&e, &url))?;
        Ok((response, url))
    }

    async fn body(&self, mut response: Response, url: &Url, limit: usize) -> Result<Vec<u8>, MetricsError> {
        let is_answer = response.status().is_success();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| failed(&e, url))? {
            if chunk.len() > limit - body.len() {
                if !is_answer {
                    break;
                }
                let message = format!(
                    "{} answers with more than {} MiB; narrow the window or the metrics, or sum up in `query`: `sum by (service) (…)`",
                    self.server.name,
                    MAX_BYTES >> 20
                );
                return Err(Failure::new(FailureKind::Limit, message).into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// What an answer with a status other than success means.
    fn error(&self, status: StatusCode, body: &[u8]) -> MetricsError {
        if let Ok(envelope) = serde_json::from_slice::<Envelope<IgnoredAny>>(body)
            && envelope.status == "error"
        {
            return self.reported(status, &envelope.error_type, &envelope.error);
        }
        let text = String::from_utf8_lossy(body);
        let hint = match status.as_u16() {
            300..=399 => "; it sends us on to another address: name that one",
            401 | 403 => "; name the variable with its key as `authorization_env` in the team file",
            404 => "; is there a Prometheus at that address?",
            _ => "",
        };
        let said = shown(&text);
        let colon = if said.is_empty() { "" } else { ": " };
        self.failure(status, "", format!("{} answered {status}{colon}{said}{hint}", self.server.name))
    }

    /// What the server itself calls an error.
    fn reported(&self, status: StatusCode, kind: &str, error: &str) -> MetricsError {
        let (kind, error) = (shown(kind), shown(error));
        let what = if kind.is_empty() && error.is_empty() { "no data".to_owned() } else { format!("{kind}: {error}") };
        self.failure(status, &kind, format!("{} answered with an error: {what}", self.server.name))
    }

    fn failure(&self, status: StatusCode, said: &str, message: String) -> MetricsError {
        let kind = match (status.as_u16(), said) {
            (429, _) => FailureKind::RateLimit,
            (401 | 403, _) => FailureKind::Denied,
            (_, "timeout" | "canceled") => FailureKind::Timeout,
            _ => FailureKind::Tool,
        };
        Failure { status: Some(i64::from(status.as_u16())), ..Failure::new(kind, message) }.into()
    }

    /// An answer that is not the JSON of Prometheus.
    fn garbled(&self, error: &serde_json::Error, body: &[u8]) -> MetricsError {
        let name = &self.server.name;
        let message = if error.is_eof() {
            format!("the answer of {name} breaks off after {} bytes", body.len())
        } else {
            let begins: String = String::from_utf8_lossy(&body[..body.len().min(200)]).trim().to_owned();
            format!("{name} does not answer as Prometheus does: {error}; its answer begins: {begins}")
        };
        Failure::new(FailureKind::Tool, message).into()
    }
}

fn refused(refusal: Refusal, server: &Server) -> MetricsError {
    let message = match refusal {
        Refusal::NotListed(host) => {
            let listed: Vec<&str> = server.hosts.hosts.iter().chain(&server.hosts.private_hosts).map(|host| &**host).collect();
            let hosts = if listed.is_empty() { "none".to_owned() } else { listed.join(", ") };
            format!(
                "{host} is no host that may be asked; the team file declares servers under `metrics` and hosts under `http` ({hosts})"
            )
        }
        Refusal::Private { host, address } => {
            format!(
                "{host} is at {address}, a private address; where that is meant, the team file says `private: true` of the server"
            )
        }
        Refusal::Failed(failure) => return failure.into(),
    };
    Failure::new(FailureKind::Denied, message).into()
}

fn shown(text: &str) -> String {
    text.trim().chars().take(SHOWN).collect()
}
