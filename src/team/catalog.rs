//! Which models are there, and what do they cost? A [`ModelCatalog`] of providers and aliases.
//!
//! One is built in; a repo's own file adds to it and overrides it, entry by entry.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Code, Diagnostic, finish,
    read::{Found, Named, Read, Spot, words, written},
    scalar::{Dollars, Whole, Words},
    suggest::did_you_mean,
    tree,
};
use crate::value::Usd;

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
}

/// Providers and models by name.
#[derive(Clone, Debug, Default)]
pub struct ModelCatalog {
    /// Providers by name.
    pub providers: BTreeMap<Arc<str>, Provider>,
    /// Models by alias.
    pub models: BTreeMap<Arc<str>, Model>,
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
        if found.iter().any(Diagnostic::is_error) {
            return;
        }
        for (key, file) in providers {
            let kind = file.kind;
            let provider = Provider { kind, base_url: file.base_url.map(|w| w.0), api_key_env: file.api_key_env.map(|w| w.0) };
            self.providers.insert(key.name, provider);
        }
        for (key, file) in models {
            let price = file.price.map(|p| Price {
                input: p.input.0,
                output: p.output.0,
                cached_input: p.cached_input.map_or(p.input.0, |c| c.0),
            });
            let window = file.context_window.map(|w| w.0);
            self.models.insert(key.name, Model { provider: file.provider.value.0, id: file.id.0, context_window: window, price });
        }
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
    base_url: Option<Words>,
    /// The environment variable that holds its key.
    api_key_env: Option<Words>,
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
    fn a_broken_catalog_is_reported_and_changes_nothing() {
        let mut catalog = ModelCatalog::built_in();
        let found = catalog.extend("m.yaml", "models:\n  gpt-4: { provider: opnai, id: x }\n  a: { provider: openai }\n");
        let codes: Vec<_> = found.iter().map(|d| (d.line, d.code)).collect();
        assert_eq!(codes, [(2, Code::UnknownValue), (3, Code::MissingKey)]);
        let found = catalog.extend("m.yaml", "models:\n  gpt-4: { provider: opnai, id: x }\n");
        assert_eq!((found[0].code, found[0].column), (Code::UnknownValue, 22));
        assert_eq!(found[0].help.as_deref(), Some("did you mean `openai`?"));
        assert_eq!(&*catalog.model("gpt-4").unwrap().id, "gpt-4");
    }
}
