//! What does a call of a model take at most? [`Models`] tells what the compiler must know of them.

use crate::{
    graph::CallCap,
    team::ModelCatalog,
    value::{Profile, Usd, is_offline},
};

/// What a catalog knows of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelFacts {
    /// Tokens that a request and its reply may have together.
    pub window: Option<u64>,
    /// US dollars a million tokens, read and written; `None` when nobody said.
    pub price: Option<(Usd, Usd)>,
}

/// Where the compiler looks models up.
pub trait Models {
    /// What is known of the model that a profile names; `None` when nobody knows it.
    fn facts(&self, name: &str) -> Option<ModelFacts>;
}

impl Models for ModelCatalog {
    fn facts(&self, name: &str) -> Option<ModelFacts> {
        let model = self.model(name)?;
        Some(ModelFacts { window: model.context_window, price: model.price.map(|p| (p.input, p.output)) })
    }
}

/// Tokens that a reply may have where its profile's `model_config` has no `max_tokens`.
pub const DEFAULT_MAX_TOKENS: u64 = 4_096;

/// Tokens of a request and its reply together where the catalog does not know the window.
pub const DEFAULT_WINDOW: u64 = 200_000;

/// Parts of a millionth of a dollar that [`Call::cost`] counts: prices are per million tokens.
pub(super) const PARTS: u128 = 1_000_000;

/// What one call takes at most.
pub(super) struct Call {
    /// Tokens read and written.
    pub tokens: u64,
    /// In millionths of a millionth of a dollar; `None` when the model has no price.
    pub cost: Option<u128>,
}

/// What one call for `profile` takes at most: the dearest of its model and its fallbacks in each regard.
pub(super) fn cap(profile: &Profile, models: &dyn Models) -> CallCap {
    let names = std::iter::once(&profile.model).chain(&profile.fallback_models).filter(|name| !is_offline(name));
    names.fold(CallCap::default(), |most, name| {
        let facts = models.facts(name).unwrap_or_default();
        let written = written(profile);
        let (input, output) = facts.price.unwrap_or_default();
        CallCap {
            read: most.read.max(facts.window.unwrap_or(DEFAULT_WINDOW).saturating_sub(written)),
            written,
            input: most.input.max(input),
            output: most.output.max(output),
        }
    })
}

/// Tokens that a reply may have.
fn written(profile: &Profile) -> u64 {
    let set = profile.model_config.get("max_tokens").and_then(|v| v.as_int()).and_then(|n| u64::try_from(n).ok());
    set.unwrap_or(DEFAULT_MAX_TOKENS)
}

/// What one call of `name` for `profile` takes at most: the request fills what the reply leaves of the window.
pub(super) fn call(name: &str, profile: &Profile, models: &dyn Models) -> Call {
    if is_offline(name) {
        return Call { tokens: 0, cost: Some(0) };
    }
    let facts = models.facts(name).unwrap_or_default();
    let written = written(profile);
    let window = facts.window.unwrap_or(DEFAULT_WINDOW).max(written);
    let read = window - written;
    let cost =
        facts.price.map(|(input, output)| u128::from(read) * u128::from(input.0) + u128::from(written) * u128::from(output.0));
    Call { tokens: window, cost }
}
