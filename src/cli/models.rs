//! `synod models`: which models may a team name, and can they be used here?

use clap::Args;
use serde::Serialize;

use super::{Exit, Global, Outcome, output};
use crate::{team::Price, value::Usd};

/// List models, what they cost, and which keys are set
///
/// The built-in catalog and the files of --models. Any other model of a provider goes by `provider/id`. Such a file is YAML:
/// `providers: { local: { kind: openai, base_url: "http://127.0.0.1:4030/v1", api_key_env: LOCAL_KEY } }` and `models: { small:
/// { provider: local, id: gpt-4.1, context_window: 128000, price: { input: 2.0, output: 8.0, cached_input: 0.5 } } }`, with prices in
/// US dollars a million tokens. Kinds are openai, openai_responses, anthropic, gemini and ollama. `synod doctor --online` asks whether
/// a provider answers.
#[derive(Debug, Args)]
pub(super) struct ModelsCommand {
    /// Words that must be in a model's alias, provider or id
    words: Vec<String>,
}

/// A model as `--json` prints it. Prices are US dollars a million tokens.
#[derive(Serialize)]
struct Row {
    alias: String,
    provider: String,
    kind: &'static str,
    id: String,
    base_url: String,
    context_window: Option<u64>,
    price: Option<RowPrice>,
    api_key_env: Option<String>,
    /// Whether the key is set, or none is wanted.
    usable: bool,
}

#[derive(Serialize)]
struct RowPrice {
    input: f64,
    output: f64,
    cached_input: f64,
}

impl ModelsCommand {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let engine = global.bare_engine()?;
        let catalog = engine.catalog();
        let mut rows = Vec::new();
        for (alias, model) in &catalog.models {
            let Some(provider) = catalog.providers.get(&model.provider) else { continue };
            rows.push(Row {
                alias: alias.to_string(),
                provider: model.provider.to_string(),
                kind: provider.kind.name(),
                id: model.id.to_string(),
                base_url: provider.base_url.as_deref().unwrap_or_else(|| provider.kind.base_url()).to_owned(),
                context_window: model.context_window,
                price: model.price.map(|price| shown(&price)),
                api_key_env: provider.api_key_env.as_ref().map(ToString::to_string),
                usable: !catalog.without_key.contains(&model.provider),
            });
        }
        rows.retain(|row| {
            let all = format!("{} {} {}", row.alias, row.provider, row.id).to_lowercase();
            self.words.iter().all(|word| all.contains(&word.to_lowercase()))
        });
        if global.json {
            output::json(&rows)?;
            return Ok(Exit::Done);
        }
        let mut table = vec![["MODEL", "PROVIDER", "ID", "WINDOW", "IN", "CACHED", "OUT", "KEY"].map(str::to_owned).to_vec()];
        for row in rows {
            let price = |of: fn(&RowPrice) -> f64| row.price.as_ref().map_or_else(|| "-".to_owned(), |p| format!("${}", of(p)));
            let key = match (&row.api_key_env, row.usable) {
                (None, _) => "none wanted".to_owned(),
                (Some(variable), true) => format!("{variable} is set"),
                (Some(variable), false) => format!("{variable} is not set"),
            };
            let window = row.context_window.map_or_else(|| "-".to_owned(), |w| w.to_string());
            let prices = [price(|p| p.input), price(|p| p.cached_input), price(|p| p.output)];
            let provider =
                if row.kind == row.provider { row.provider.clone() } else { format!("{} ({})", row.provider, row.kind) };
            let [input, cached, output] = prices;
            table.push(vec![row.alias, provider, row.id, window, input, cached, output, key]);
        }
        output::text(&output::table(&table))?;
        if !global.quiet {
            eprintln!("prices are US dollars a million tokens; any other model of a provider goes by provider/id");
        }
        Ok(Exit::Done)
    }
}

fn shown(price: &Price) -> RowPrice {
    let dollars = |usd: Usd| usd.dollars();
    RowPrice { input: dollars(price.input), output: dollars(price.output), cached_input: dollars(price.cached_input) }
}
