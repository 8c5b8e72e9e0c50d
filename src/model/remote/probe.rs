//! Does a provider answer? [`Providers::list`] asks for its models, which costs nothing.

use std::time::{Duration, Instant};

use reqwest::{Response, StatusCode};

use super::{Providers, address, credentials, http, trouble::Trouble, wire::Wire};
use crate::value::Failure;

/// How long a provider may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a list that are read; a longer one counts as none.
const MAX_LIST: usize = 8 << 20;

/// What a provider said when it was asked for its models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The ids in its list; `None` where it answered with no list of models.
    pub models: Option<Vec<String>>,
    /// How long it took.
    pub took: Duration,
    wire: Wire,
}

impl Listed {
    /// Whether its list has a model of that id; `None` where there is no list.
    pub fn has(&self, id: &str) -> Option<bool> {
        Some(self.models.as_ref()?.iter().any(|listed| self.wire.is_listed(listed, id)))
    }
}

impl Providers {
    /// Asks the provider of that name for its models, within ten seconds. `None` where the catalog has no such provider.
    ///
    /// # Errors
    /// It cannot be reached, is silent, or refuses: the provider's own words, without the key.
    pub async fn list(&self, name: &str) -> Option<Result<Listed, Failure>> {
        let provider = self.catalog.providers.get(name)?;
        let wire = Wire(provider.kind);
        let base = provider.base_url.as_deref().unwrap_or_else(|| provider.kind.base_url());
        let key = provider.api_key_env.as_ref().and_then(|variable| self.key(variable));
        let asked = async {
            let client = http::client(&provider.timeouts, base).map_err(|e| Trouble::odd(format!("set up HTTP: {e}")))?;
            let url = address(base, |base| wire.list_path(base).to_owned());
            let request = client.get(url).headers(credentials(wire, base, key.as_ref())?);
            let began = Instant::now();
            let response = request.send().await.map_err(|e| http::broken(&e))?;
            let took = began.elapsed();
            let status = response.status();
            if status.is_success() {
                return Ok(Listed { models: models(wire, response).await, took, wire });
            }
            // What is where a provider should be, and has no list, is an answer too.
            if matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED) {
                return Ok(Listed { models: None, took, wire });
            }
            Err(http::refused(response, PATIENCE).await)
        };
        let silent = || Trouble::transport(format!("no answer within {} s", PATIENCE.as_secs()));
        let ended = tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(silent()));
        Some(ended.map_err(|trouble| self.env.redactor().failure(trouble.failure)))
    }
}

/// The ids in a response, if it is a list of models.
async fn models(wire: Wire, mut response: Response) -> Option<Vec<String>> {
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.ok()? {
        body.extend_from_slice(&bytes);
        if body.len() > MAX_LIST {
            return None;
        }
    }
    wire.listed(&serde_json::from_slice(&body).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::ProviderKind;

    fn check(kind: ProviderKind, body: &str, has: &str, lacks: &str) {
        let wire = Wire(kind);
        let models = wire.listed(&serde_json::from_str(body).unwrap());
        let listed = Listed { models, took: Duration::ZERO, wire };
        assert_eq!((listed.has(has), listed.has(lacks)), (Some(true), Some(false)), "{body}");
    }

    #[test]
    fn a_model_is_found_in_the_list_of_each_kind_as_catalogs_call_it() {
        let openai = r#"{"object": "list", "data": [{"id": "gpt-4.1"}, {"object": "odd"}]}"#;
        check(ProviderKind::Openai, openai, "gpt-4.1", "gpt-4");
        check(ProviderKind::OpenaiResponses, openai, "gpt-4.1", "gpt-4");
        check(ProviderKind::Anthropic, r#"{"data": [{"type": "model", "id": "claude-x"}]}"#, "claude-x", "claude");
        let gemini = r#"{"models": [{"name": "models/gemini-2.5-pro"}]}"#;
        check(ProviderKind::Gemini, gemini, "gemini-2.5-pro", "gemini-2.5");
        check(ProviderKind::Gemini, gemini, "models/gemini-2.5-pro", "models/x");
        let ollama = r#"{"models": [{"name": "llama3:latest"}, {"name": "qwen:7b"}]}"#;
        check(ProviderKind::Ollama, ollama, "llama3", "qwen");
        check(ProviderKind::Ollama, ollama, "qwen:7b", "llama3:8b");
    }

    #[test]
    fn what_is_no_list_of_models_says_nothing_of_a_model() {
        let wire = Wire(ProviderKind::Openai);
        for body in ["{}", "[]", r#"{"data": "x"}"#, "7"] {
            assert_eq!(wire.listed(&serde_json::from_str(body).unwrap()), None, "{body}");
        }
        assert_eq!(Listed { models: None, took: Duration::ZERO, wire }.has("x"), None);
    }
}
