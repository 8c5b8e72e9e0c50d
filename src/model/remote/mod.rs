//! Who answers over the network? [`Remote`], a model of a provider; [`Providers`] opens those that a catalog names.
//!
//! A request is rendered once, waits for its gates, and is sent until there is a reply, a refusal that no repetition mends, or
//! no patience left. Only a reply that its provider has called complete is one. Dropping the call ends the HTTP request.
//! Deliberately absent: fallback models, which are chosen among in [`super::Models`].

mod draft;
mod frames;
mod gate;
mod http;
mod names;
mod patience;
mod probe;
mod trouble;
mod wire;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use self::{
    draft::Draft,
    gate::{Gate, Pass},
    patience::Patience,
    trouble::Trouble,
    wire::{Ask, Wire},
};
use super::{Answer, Model, ModelError};
use crate::{
    rule::RuleBook,
    secret::Env,
    team::{self, ModelCatalog, Provider, Structured, Timeouts},
    turn::{Conversation, conversation, tokens},
    value::{Failure, FailureKind, Reply, Request, Usage},
};

/// Tokens of a request and its reply together where the catalog does not know the window: what a plan counts with, too.
const DEFAULT_WINDOW: u64 = 200_000;
/// Tokens that a reply is expected to have where its profile has no `max_tokens`: what a plan counts with, too.
const DEFAULT_MAX_TOKENS: u64 = 4_096;
/// The most characters of an idempotency key; a longer one is digested.
const MAX_KEY: usize = 255;

pub use probe::Listed;

/// A key that no log, error or journal shows.
#[derive(Clone)]
struct Secret(Arc<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A model of a provider.
pub struct Remote {
    /// How profiles and errors name it.
    name: Arc<str>,
    model: team::Model,
    wire: Wire,
    base: String,
    key: Option<Secret>,
    env: Env,
    waits: Timeouts,
    client: reqwest::Client,
    /// The provider's gate is the first, the model's the second.
    gates: [Arc<Gate>; 2],
    judge: RuleBook,
}

/// Opens the models of a catalog. What it opened shares gates and connections.
pub struct Providers {
    catalog: ModelCatalog,
    env: Env,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    providers: BTreeMap<Arc<str>, (reqwest::Client, Arc<Gate>)>,
    /// By provider and id.
    gates: BTreeMap<(Arc<str>, Arc<str>), Arc<Gate>>,
    models: BTreeMap<Arc<str>, Arc<Remote>>,
}

impl Providers {
    /// The models of a catalog, with keys from that environment.
    pub fn new(catalog: ModelCatalog, env: Env) -> Self {
        Self { catalog, env, open: Mutex::default() }
    }

    /// What it opens models of.
    pub fn catalog(&self) -> &ModelCatalog {
        &self.catalog
    }

    /// Whether the key of a provider is at hand, or it wants none.
    pub fn has_key(&self, provider: &Provider) -> bool {
        provider.api_key_env.as_ref().is_none_or(|variable| self.key(variable).is_some())
    }

    fn key(&self, variable: &str) -> Option<Secret> {
        let key = self.env.get(variable)?;
        let key = key.trim();
        (!key.is_empty()).then(|| Secret(Arc::from(key)))
    }

    /// The model of that name; `None` when the catalog has none.
    ///
    /// # Errors
    /// Its key is not set, or it cannot be spoken to from this machine.
    pub fn open(&self, name: &str) -> Result<Option<Arc<Remote>>, ModelError> {
        let Some(model) = self.catalog.model(name) else { return Ok(None) };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(remote) = open.models.get(name) {
            return Ok(Some(remote.clone()));
        }
        let name: Arc<str> = Arc::from(name);
        let Some(provider) = self.catalog.providers.get(&model.provider) else { return Ok(None) };
        let key = match &provider.api_key_env {
            None => None,
            Some(variable) => Some(self.key(variable).ok_or_else(|| ModelError::Key {
                model: name.clone(),
                provider: model.provider.clone(),
                variable: variable.clone(),
            })?),
        };
        if key.as_ref().is_some_and(|key| HeaderValue::from_str(&key.0).is_err()) {
            let reason = "its key has characters that no key has".to_owned();
            return Err(ModelError::Invalid { model: name, reason });
        }
        let base = provider.base_url.as_deref().unwrap_or_else(|| provider.kind.base_url()).to_owned();
        let (client, gate) = match open.providers.get(&model.provider) {
            Some(known) => known.clone(),
            None => {
                let client = http::client(&provider.timeouts, &base)
                    .map_err(|e| ModelError::Invalid { model: name.clone(), reason: format!("set up HTTP: {e}") })?;
                let new = (client, Arc::new(Gate::new(provider.limits)));
                open.providers.entry(model.provider.clone()).or_insert(new).clone()
            }
        };
        let own =
            open.gates.entry((model.provider.clone(), model.id.clone())).or_insert_with(|| Arc::new(Gate::new(model.limits)));
        let gates = [gate, own.clone()];
        let (wire, waits, judge) = (Wire(provider.kind), provider.timeouts, RuleBook::default());
        let env = self.env.clone();
        let remote = Arc::new(Remote { name: name.clone(), model, wire, base, key, env, waits, client, gates, judge });
        open.models.insert(name, remote.clone());
        Ok(Some(remote))
    }
}

impl Model for Remote {
    fn reply<'a>(&'a self, request: &'a Request, key: &'a str) -> Answer<'a> {
        Box::pin(async move { self.answer(request, key).await.map_err(|failure| self.named(failure)) })
    }
}

impl Remote {
    async fn answer(&self, request: &Request, key: &str) -> Result<Reply, Failure> {
        let max_tokens = request.profile.model_config.get("max_tokens").and_then(|v| u64::try_from(v.as_int()?).ok());
        let written = max_tokens.unwrap_or(DEFAULT_MAX_TOKENS);
        let room = self.model.context_window.unwrap_or(DEFAULT_WINDOW).saturating_sub(written);
        let mut conversation = conversation(request, &self.judge, Some(room))
            .map_err(|error| Failure { place: Some(error.place), ..Failure::new(FailureKind::Rule, error.message) })?;
        names::rename_calls(&mut conversation);
        let size = tokens(&conversation).saturating_add(written);
        let body = self.body(request, &conversation);
        let mut patience = Patience::new(key, self.is_last_resort(request));
        // What tries took that failed in the middle of a reply.
        let mut lost = Usage::default();
        loop {
            let pass = self.enter(size).await;
            let trouble = match self.once(&body, key).await {
                Ok(draft) => {
                    let reply = draft.reply(request.turn, &conversation.tools);
                    pass.iter().for_each(|p| p.settle(reply.usage.input.saturating_add(reply.usage.output)));
                    let usage = self.priced(reply.usage).plus(lost);
                    return Ok(Reply { usage, elided: conversation.elided, ..reply });
                }
                Err(trouble) => trouble,
            };
            lost = lost.plus(self.priced(trouble.failure.spent()));
            let wait = patience.wait(&trouble);
            if trouble.failure.kind == FailureKind::RateLimit {
                let pause = trouble
                    .after
                    .or(wait)
                    .map_or(patience::SIBLINGS, |w| if trouble.after.is_some() { w } else { w.min(patience::SIBLINGS) });
                self.gates[1].pause(pause.min(patience::LONGEST));
            }
            drop(pass);
            let Some(wait) = wait else { return Err(trouble.failure.having_spent(lost)) };
            tracing::debug!(model = %self.name, status = trouble.failure.status, ?wait, "a model call is tried again");
            tokio::time::sleep(wait).await;
        }
    }

    async fn enter(&self, size: u64) -> [Pass; 2] {
        let [provider, own] = &self.gates;
        let own = own.enter(size).await;
        [provider.enter(size).await, own]
    }

    fn body(&self, request: &Request, conversation: &Conversation) -> Vec<u8> {
        let structured = self.model.structured.map_or_else(|| self.wire.structured(), |s| s == Structured::Native);
        let ask = Ask {
            id: &self.model.id,
            conversation,
            config: &request.profile.model_config,
            window: self.model.context_window,
            structured,
        };
        self.wire.body(&self.base, &ask).to_string().into_bytes()
    }

    async fn once(&self, body: &[u8], key: &str) -> Result<Draft, Trouble> {
        http::exchange(&self.client, self.wire, &self.url(), self.headers(key)?, body.to_vec(), &self.waits).await
    }

    /// The address of a request: the base, which may have a query of its own, and the path of the kind.
    fn url(&self) -> String {
        address(&self.base, |base| self.wire.path(base, &self.model.id))
    }

    fn headers(&self, key: &str) -> Result<HeaderMap, Trouble> {
        let mut headers = credentials(self.wire, &self.base, self.key.as_ref())?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let plain = key.len() <= MAX_KEY && key.bytes().all(|b| b.is_ascii_graphic());
        let key = if plain { key.to_owned() } else { blake3::hash(key.as_bytes()).to_hex().to_string() };
        headers.insert(HeaderName::from_static("idempotency-key"), header(&key)?);
        Ok(headers)
    }

    /// Whether no other model answers when this one does not.
    fn is_last_resort(&self, request: &Request) -> bool {
        let profile = &request.profile;
        std::iter::once(&profile.model).chain(&profile.fallback_models).last().is_none_or(|last| *last == self.name)
    }

    fn priced(&self, usage: Usage) -> Usage {
        Usage { cost: self.model.price.map(|price| price.cost(&usage)).unwrap_or_default(), ..usage }
    }

    /// The failure, with the model's name and without its key.
    fn named(&self, failure: Failure) -> Failure {
        let said = self.env.redactor().text(&failure.message).into_owned();
        let mut message = format!("{} of {}: {said}", self.name, self.model.provider);
        if matches!(failure.status, Some(401 | 403))
            && let Some(Secret(_)) = &self.key
        {
            message.push_str("; look at the key that is set for it");
        }
        Failure { message: Arc::from(message), ..failure }
    }
}

/// The address of what a path leads to: the base may have a query of its own.
fn address(base: &str, path: impl FnOnce(&str) -> String) -> String {
    let (base, query) = base.split_once('?').map_or((base, None), |(base, query)| (base, Some(query)));
    let base = base.trim_end_matches('/');
    let path = path(base);
    match query {
        Some(query) => format!("{base}{path}{}{query}", if path.contains('?') { '&' } else { '?' }),
        None => format!("{base}{path}"),
    }
}

/// What every request of a provider carries.
fn credentials(wire: Wire, base: &str, key: Option<&Secret>) -> Result<HeaderMap, Trouble> {
    let mut headers = HeaderMap::new();
    for (name, text) in wire.headers() {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(text));
    }
    if let Some(Secret(secret)) = key {
        let (name, before) = wire.key_header(base);
        let mut secret = header(&format!("{before}{secret}"))?;
        secret.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), secret);
    }
    Ok(headers)
}

fn header(text: &str) -> Result<HeaderValue, Trouble> {
    HeaderValue::from_str(text).map_err(|_| Trouble::odd("a header has characters that none may have"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_without_its_key_is_refused_with_the_variable_to_set() {
        let providers = Providers::new(ModelCatalog::built_in(), Env::of(|_| None));
        let error = providers.open("claude-sonnet-4").err().unwrap().to_string();
        assert!(error.contains("ANTHROPIC_API_KEY") && error.contains("claude-sonnet-4"), "{error}");
        assert!(providers.open("nobody-knows").unwrap().is_none());
    }

    #[test]
    fn addresses_are_made_from_the_base_of_each_kind() {
        let url = |base: &str, kind: &str| {
            let mut catalog = ModelCatalog::default();
            let text = format!(
                "providers: {{ p: {{ kind: {kind}, base_url: \"{base}\" }} }}\nmodels: {{ m: {{ provider: p, id: big }} }}"
            );
            assert_eq!(catalog.extend("m.yaml", &text), []);
            Providers::new(catalog, Env::of(|_| None)).open("m").unwrap().unwrap().url()
        };
        assert_eq!(url("http://h/v1/", "openai"), "http://h/v1/chat/completions");
        assert_eq!(url("http://h/d?api-version=1", "openai"), "http://h/d/chat/completions?api-version=1");
        assert_eq!(url("http://h/v1", "openai_responses"), "http://h/v1/responses");
        assert_eq!(url("http://h", "anthropic"), "http://h/v1/messages");
        assert_eq!(url("http://h/v1", "anthropic"), "http://h/v1/messages");
        assert_eq!(url("http://h/v1beta", "gemini"), "http://h/v1beta/models/big:streamGenerateContent?alt=sse");
        assert_eq!(url("http://h", "ollama"), "http://h/api/chat");
    }

    #[test]
    fn a_key_is_in_no_debug_text_and_in_no_failure() {
        let providers = Providers::new(ModelCatalog::built_in(), Env::of(|_| Some("sk-very-secret".to_owned())));
        let remote = providers.open("gpt-4").unwrap().unwrap();
        assert!(!format!("{:?} {:?}", remote.key, remote.headers("k").unwrap()).contains("very-secret"));
        let failure = remote.named(Failure { status: Some(401), ..Failure::new(FailureKind::Model, "bad key sk-very-secret") });
        assert!(!failure.message.contains("very-secret") && failure.message.contains("[redacted "), "{failure}");
    }
}
