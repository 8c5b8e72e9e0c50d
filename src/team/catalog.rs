//! Which models are there, and what do they cost? A [`ModelCatalog`] of providers and aliases.
//!
//! One is built in; a repo's own file adds to it and overrides it, entry by entry.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    Code, Diagnostic, finish,
    read::{Found, Named, Read, Spot, words, written},
    scalar::{Dollars, Span, Whole, Words},
    suggest::did_you_mean,
    tree,
};
use crate::value::{Usage, Usd};

/// The catalog that the program carries.
const BUILT_IN: &str = include_str!("../../graphs/models.yaml");
/// The name of the built-in catalog in diagnostics.
const BUILT_IN_NAME: &str = "lib:models.yaml";

/// How a provider is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, schemars::JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum ProviderKind {
    /// OpenAI Chat Completions, and every server that speaks it.
    Openai,
    /// OpenAI Responses.
    OpenaiResponses,
    /// Anthropic Messages.
    Anthropic,
    /// Google Gemini.
    Gemini,
    /// Ollama.
    Ollama,
}

words! {
    ProviderKind, "a kind of provider": Openai = "openai", OpenaiResponses = "openai_responses", Anthropic = "anthropic",
        Gemini = "gemini", Ollama = "ollama";
}

/// A server of models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// How it is spoken to.
    pub kind: ProviderKind,
    /// Where it is.
    pub base_url: Option<Arc<str>>,
    /// The environment variable that holds its key; `None` where it wants none.
    pub api_key_env: Option<Arc<str>>,
    /// What all its models may take together.
    pub limits: RateLimits,
    /// How long to wait for it.
    pub timeouts: Timeouts,
}

impl ProviderKind {
    /// The name that files use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::OpenaiResponses => "openai_responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
        }
    }

    /// Where the provider is when nobody says.
    pub fn base_url(self) -> &'static str {
        match self {
            Self::Openai | Self::OpenaiResponses => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com",
            Self::Gemini => "https://generativelanguage.googleapis.com/v1beta",
            Self::Ollama => "http://127.0.0.1:11434",
        }
    }
}

/// What may be taken in a minute and at a time; `None` for no limit of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests in any minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens in any minute, read and written.
    pub tokens_per_minute: Option<u64>,
    /// Requests at a time.
    pub concurrency: Option<u32>,
}

/// How long to wait for a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the first word of a reply, from the request on.
    pub first_token: Duration,
    /// For the next word.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), first_token: Duration::from_secs(300), idle: Duration::from_secs(120) }
    }
}

/// How a model is made to give a result of the declared shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, schemars::JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Structured {
    /// By the provider's own structured output, and by `finish`.
    Native,
    /// By the schema of `finish` alone.
    Finish,
}

words! {
    Structured, "a way to structured output": Native = "native", Finish = "finish";
}

/// US dollars a million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Tokens read.
    pub input: Usd,
    /// Tokens written.
    pub output: Usd,
    /// Tokens read from a cache.
    pub cached_input: Usd,
}

/// Tokens that a [`Price`] is for.
const PER: u128 = 1_000_000;

impl Price {
    /// What a call cost, rounded up to a millionth of a dollar.
    pub fn cost(&self, usage: &Usage) -> Usd {
        let parts = |tokens: u64, price: Usd| u128::from(tokens) * u128::from(price.0);
        let fresh = usage.input.saturating_sub(usage.cached);
        let sum = parts(fresh, self.input) + parts(usage.cached, self.cached_input) + parts(usage.output, self.output);
        Usd(u64::try_from(sum.div_ceil(PER)).unwrap_or(u64::MAX))
    }
}

/// A model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The provider's name in the catalog.
    pub provider: Arc<str>,
    /// What the provider calls it.
    pub id: Arc<str>,
    /// Tokens that a request and its reply may have together.
    pub context_window: Option<u64>,
    /// What it costs; `None` when nobody said.
    pub price: Option<Price>,
    /// What it may take, within what its provider may.
    pub limits: RateLimits,
    /// How it gives a result of the declared shape; `None`: as is usual with its provider.
    pub structured: Option<Structured>,
}

/// Providers and models by name.
#[derive(Clone, Debug, Default)]
pub struct ModelCatalog {
    /// Providers by name.
    pub providers: BTreeMap<Arc<str>, Provider>,
    /// Models by alias.
    pub models: BTreeMap<Arc<str>, Model>,
    /// Providers whose key this machine lacks; empty where nobody has looked.
    pub without_key: BTreeSet<Arc<str>>,
}

impl ModelCatalog {
    /// The catalog that the program carries.
    pub fn built_in() -> Self {
        let mut catalog = Self::default();
        let found = catalog.extend(BUILT_IN_NAME, BUILT_IN);
        debug_assert!(found.is_empty(), "the built-in catalog is valid");
        catalog
    }

    /// Adds what the file `name` says, over what is there; returns what is wrong with it. A file with an error changes nothing.
    pub fn extend(&mut self, name: &str, text: &str) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let file = Arc::from(name);
        match tree::parse(&file, text) {
            Err(error) => found.push(*error),
            Ok(node) => {
                if let Some(written) = CatalogFile::read(&node, &mut found) {
                    self.add(written, &mut found);
                }
            }
        }
        finish(&mut found, &BTreeMap::from([(name.to_owned(), Arc::from(text))]));
        found
    }

    /// The model that a profile names: an alias, or `provider/id` with a known provider.
    pub fn model(&self, name: &str) -> Option<Model> {
        if let Some(model) = self.models.get(name) {
            return Some(model.clone());
        }
        let (provider, id) = name.split_once('/')?;
        let (provider, _) = self.providers.get_key_value(provider)?;
        let same = self.models.values().find(|m| m.provider == *provider && &*m.id == id);
        Some(same.cloned().unwrap_or_else(|| Model {
            provider: provider.clone(),
            id: Arc::from(id),
            context_window: None,
            price: None,
            limits: RateLimits::default(),
            structured: None,
        }))
    }

    fn add(&mut self, written: CatalogFile, found: &mut Found) {
        let providers = written.providers.map_or_else(Vec::new, |p| p.entries);
        let known = |name: &str| self.providers.contains_key(name) || providers.iter().any(|(key, _)| &*key.name == name);
        let models = written.models.map_or_else(Vec::new, |m| m.entries);
        for (_, model) in models.iter().filter(|(_, m)| !known(&m.provider.value.0)) {
            let names = self.providers.keys().map(|k| &**k).chain(providers.iter().map(|(k, _)| &*k.name));
            found.push(
                model
                    .provider
                    .error(Code::UnknownValue, format!("no provider is called `{}`", model.provider.value.0))
                    .maybe_help(did_you_mean(&model.provider.value.0, names)),
            );
        }
        for url in providers.iter().filter_map(|(_, p)| p.base_url.as_ref()) {
            check_url(url, found);
        }
        if found.iter().any(Diagnostic::is_error) {
            return;
        }
        for (key, file) in providers {
            let kind = file.kind;
            let waits = Timeouts::default();
            let timeouts = file.timeouts.map_or(waits, |written| Timeouts {
                connect: written.connect.map_or(waits.connect, |s| s.0),
                first_token: written.first_token.map_or(waits.first_token, |s| s.0),
                idle: written.idle.map_or(waits.idle, |s| s.0),
            });
            let (base_url, api_key_env) = (file.base_url.map(|w| w.value.0), file.api_key_env.map(|w| w.0));
            let provider = Provider { kind, base_url, api_key_env, limits: limits(file.limits), timeouts };
            self.providers.insert(key.name, provider);
        }
        for (key, file) in models {
            let price = file.price.map(|p| Price {
                input: p.input.0,
                output: p.output.0,
                cached_input: p.cached_input.map_or(p.input.0, |c| c.0),
            });
            let window = file.context_window.map(|w| w.0);
            let (limits, structured) = (limits(file.limits), file.structured_output);
            let model =
                Model { provider: file.provider.value.0, id: file.id.0, context_window: window, price, limits, structured };
            self.models.insert(key.name, model);
        }
    }
}

fn limits(written: Option<LimitsFile>) -> RateLimits {
    written.map_or_else(RateLimits::default, |w| RateLimits {
        requests_per_minute: w.requests_per_minute.map(Whole::count),
        tokens_per_minute: w.tokens_per_minute.map(|n| n.0),
        concurrency: w.concurrency.map(Whole::count),
    })
}

/// An address must be one that a request can be sent to, and may not hold a password.
fn check_url(url: &Spot<Words>, found: &mut Found) {
    let text = &*url.value.0;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let wrong = match host {
        None | Some("") => Some("an address starts with `http://` or `https://` and names a host"),
        Some(host) if host.contains('@') => Some("keys come from the environment only: name the variable in `api_key_env`"),
        Some(_) if text.chars().any(|c| c.is_whitespace() || c.is_control()) => Some("an address has no white space"),
        Some(_) => None,
    };
    if let Some(help) = wrong {
        found.push(url.error(Code::InvalidValue, "this is no address of a provider").help(help));
    }
}

written! {
    /// Models and where they are served.
    struct CatalogFile is "a model catalog", hints &[];
    /// Servers by name.
    providers: Option<Named<ProviderFile>>,
    /// Models by the alias that profiles use.
    models: Option<Named<ModelFile>>,
}

written! {
    /// A server of models.
    struct ProviderFile is "a provider", hints &[("api_key", "keys come from the environment only: name the variable in `api_key_env`")];
    /// How it is spoken to.
    kind: ProviderKind,
    /// Where it is.
    base_url: Option<Spot<Words>>,
    /// The environment variable that holds its key.
    api_key_env: Option<Words>,
    /// What all its models may take together.
    limits: Option<LimitsFile>,
    /// How long to wait for it.
    timeouts: Option<TimeoutsFile>,
}

written! {
    /// What may be taken in a minute and at a time, by all sessions of a process together.
    struct LimitsFile is "`limits`", hints &[];
    /// Requests in any minute.
    requests_per_minute: Option<Whole<1, 1_000_000>>,
    /// Tokens in any minute, read and written.
    tokens_per_minute: Option<Whole<1, 1_000_000_000_000>>,
    /// Requests at a time.
    concurrency: Option<Whole<1, 10_000>>,
}

written! {
    /// How long to wait for a provider.
    struct TimeoutsFile is "`timeouts`", hints &[];
    /// For a connection; 10 seconds where it is not given.
    connect: Option<Span>,
    /// For the first word of a reply, from the request on; 5 minutes where it is not given.
    first_token: Option<Span>,
    /// For the next word; 2 minutes where it is not given.
    idle: Option<Span>,
}

written! {
    /// A model.
    struct ModelFile is "a model", hints &[];
    /// The provider's name.
    provider: Spot<Words>,
    /// What the provider calls it.
    id: Words,
    /// Tokens that a request and its reply may have together.
    context_window: Option<Whole<1, 1_000_000_000>>,
    /// What it costs.
    price: Option<PriceFile>,
    /// What it may take, within what its provider may.
    limits: Option<LimitsFile>,
    /// How it gives a result of the declared shape: `native` by the provider's structured output, else `finish`.
    structured_output: Option<Structured>,
}

written! {
    /// US dollars a million tokens.
    struct PriceFile is "a price", hints &[];
    /// Tokens read.
    input: Dollars,
    /// Tokens written.
    output: Dollars,
    /// Tokens read from a cache; as `input` where it is not given.
    cached_input: Option<Dollars>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_catalog_knows_the_aliases_that_profiles_use() {
        let catalog = ModelCatalog::built_in();
        for alias in ["claude-sonnet-4", "claude-haiku", "gpt-4"] {
            let model = catalog.model(alias).unwrap();
            assert!(model.price.is_some() && model.context_window.is_some(), "{alias}");
            assert!(catalog.providers.contains_key(&model.provider), "{alias}");
        }
    }

    #[test]
    fn a_file_adds_to_the_catalog_and_overrides_it() {
        let mut catalog = ModelCatalog::built_in();
        let text = r#"
providers:
  local: { kind: openai, base_url: "http://127.0.0.1:4030/v1", api_key_env: LOCAL_KEY }
models:
  small: { provider: local, id: gpt-4.1, context_window: 128000, price: { input: 2.0, output: 8.0, cached_input: 0.5 } }
  gpt-4: { provider: local, id: other }
"#;
        assert_eq!(catalog.extend("models.yaml", text), []);
        assert_eq!(catalog.model("small").unwrap().price.unwrap().cached_input, Usd(500_000));
        assert_eq!(catalog.model("gpt-4").unwrap().price, None);
        assert_eq!(catalog.model("local/llama").unwrap().id.as_ref(), "llama");
        assert_eq!(catalog.model("local/gpt-4.1").unwrap().context_window, Some(128_000));
        assert!(catalog.model("claude-sonnet-4").is_some() && catalog.model("nobody/x").is_none());
    }

    #[test]
    fn limits_and_waits_are_read_and_a_wrong_address_is_not() {
        let mut catalog = ModelCatalog::built_in();
        let text = r#"
providers:
  local: { kind: ollama, limits: { requests_per_minute: 60, concurrency: 4 }, timeouts: { idle: 90s } }
models:
  small: { provider: local, id: x, limits: { tokens_per_minute: 9000 }, structured_output: native }
"#;
        assert_eq!(catalog.extend("models.yaml", text), []);
        let (local, small) = (&catalog.providers["local"], &catalog.models["small"]);
        assert_eq!((local.limits.requests_per_minute, local.limits.concurrency), (Some(60), Some(4)));
        assert_eq!((local.timeouts.idle, local.timeouts.connect), (Duration::from_secs(90), Timeouts::default().connect));
        assert_eq!((small.limits.tokens_per_minute, small.structured), (Some(9_000), Some(Structured::Native)));
        for url in ["example.org/v1", "http://", "https://me:secret@example.org", "http://a b"] {
            let found = catalog.extend("m.yaml", &format!("providers:\n  a: {{ kind: openai, base_url: \"{url}\" }}\n"));
            assert_eq!(found.iter().map(|d| d.code).collect::<Vec<_>>(), [Code::InvalidValue], "{url}");
        }
    }

    #[test]
    fn a_call_costs_what_its_tokens_do_and_cached_ones_cost_less() {
        let price = Price { input: Usd(3_000_000), output: Usd(15_000_000), cached_input: Usd(300_000) };
        let usage = Usage { input: 1_000, cached: 600, output: 10, cost: Usd(0) };
        assert_eq!(price.cost(&usage), Usd(1_200 + 180 + 150));
        assert_eq!(price.cost(&Usage { input: 1, ..Usage::default() }), Usd(3));
    }

    #[test]
    fn a_broken_catalog_is_reported_and_changes_nothing() {
        let mut catalog = ModelCatalog::built_in();
        let found = catalog.extend("m.yaml", "models:\n  gpt-4: { provider: opnai, id: x }\n  a: { provider: openai }\n");
        let codes: Vec<_> = found.iter().map(|d| (d.line, d.code)).collect();
        assert_eq!(codes, [(2, Code::UnknownValue), (3, Code::MissingKey)]);
        let found = catalog.extend("m.yaml", "models:\n  gpt-4: { provider: opnai, id: x }\n");
        assert_eq!((found[0].code, found[0].column), (Code::UnknownValue, 22));
        assert_eq!(found[0].help.as_deref(), Some("did you mean `openai`?"));
        assert_eq!(&*catalog.model("gpt-4").unwrap().id, "gpt-4.1");
    }
}
