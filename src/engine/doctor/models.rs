//! Can models be asked here? Keys are set or not, models are known or not, providers answer or not.

use std::sync::Arc;

use super::{
    Area, Diagnosis, Health,
    agents::{Agents, Need, Needed},
};
use crate::{
    engine::{Inner, Prepared, notify::SECRET},
    graph::NodeKind,
    model::{Listed, ModelError, Providers},
    plan::{DEFAULT_WINDOW, with_includes},
    team::{Model, ModelCatalog, Provider},
    value::{Failure, is_offline},
};

/// How bad it is that something fails which is needed so much.
fn lost(need: Need) -> Health {
    match need {
        Need::First => Health::Fail,
        Need::Fallback => Health::Warn,
    }
}

/// Whether the key of each provider is set.
pub(super) fn keys(catalog: &ModelCatalog, agents: Option<&Agents>) -> Vec<Diagnosis> {
    let needed = agents.map(|agents| agents.providers(catalog));
    let key = |(name, provider): (&Arc<str>, &Provider)| {
        let say = |status, detail: String| Diagnosis::new(Area::Keys, status, name.to_string(), detail);
        let Some(variable) = &provider.api_key_env else { return say(Health::Ok, "it wants no key".to_owned()) };
        if !catalog.without_key.contains(name) {
            return say(Health::Ok, format!("{variable} is set"));
        }
        let help = format!("set {variable} in the environment");
        match needed.as_ref().map(|needed| needed.get(name)) {
            None => say(Health::Warn, format!("{variable} is not set: its models cannot be used")).help(help),
            Some(None) => say(Health::Ok, format!("{variable} is not set; this team does not need it")),
            Some(Some(needed)) => {
                let detail = format!("{variable} is not set, and is needed {}", needed.whose());
                say(lost(needed.need), detail).help(format!("{help}, or take another model with --set 'ROLE.model=…'"))
            }
        }
    };
    catalog.providers.iter().map(key).collect()
}

/// Whether what people are notified of is signed, where a team notifies anybody.
pub(super) fn signature(inner: &Inner, team: Option<&Prepared>) -> Option<Diagnosis> {
    let plan = &team?.plan;
    let asks = plan.graphs.iter().flat_map(|graph| graph.dag.node_weights()).filter_map(|node| match &node.kind {
        NodeKind::Ask(ask) => ask.notify.as_ref(),
        NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Scope(_) => None,
    });
    let steps = plan.teams.iter().flat_map(|team| &team.escalation).filter_map(|step| step.notify.as_ref());
    asks.chain(steps).next()?;
    let say = |status, detail: String| Some(Diagnosis::new(Area::Keys, status, "notifications", detail));
    if inner.env.get(SECRET).is_some_and(|secret| !secret.is_empty()) {
        return say(Health::Ok, format!("{SECRET} is set: they are signed"));
    }
    let help = format!("set {SECRET} in the environment, and let whoever receives them check the signature");
    say(Health::Warn, format!("{SECRET} is not set: those of this team leave unsigned")).map(|found| found.help(help))
}

/// Whether the models of a team can be opened, and what is known of them; without a team, of those of each provider.
pub(super) fn look(inner: &Inner, team: Option<&Prepared>, agents: Option<&Agents>) -> Vec<Diagnosis> {
    let (Some(team), Some(agents)) = (team, agents) else { return by_provider(&inner.catalog) };
    let models = agents.models();
    models.iter().map(|(name, needed)| model(inner, team, name, needed)).collect()
}

fn model(inner: &Inner, team: &Prepared, name: &Arc<str>, needed: &Needed) -> Diagnosis {
    let say = |status, detail: String| Diagnosis::new(Area::Models, status, name.to_string(), detail);
    let whose = needed.whose();
    match inner.models.can_open(name, &|file| with_includes(file, &team.sources)) {
        Ok(()) if is_offline(name) => return say(Health::Ok, format!("{whose}: it needs no network")),
        Ok(()) => {}
        Err(ModelError::Key { variable, provider, .. }) => {
            let detail = format!("{whose}: {provider} wants a key, and {variable} is not set");
            return say(lost(needed.need), detail).help(format!("set {variable} in the environment"));
        }
        Err(ModelError::Unknown { .. }) => {
            let help = "name an alias that `synod models` lists, or provider/id; --models FILE adds models and providers";
            return say(lost(needed.need), format!("{whose}: no catalog has it")).help(help);
        }
        Err(ModelError::Missing { path, .. }) => {
            return say(Health::Fail, format!("{whose}: {path} is not among the files of the team"))
                .help("look at its path: it is relative to the file that names it");
        }
        Err(ModelError::Invalid { reason, .. }) => return say(Health::Fail, format!("{whose}: {reason}")),
    }
    match inner.catalog.model(name) {
        None => say(Health::Ok, format!("{whose}: this program brings it along")),
        Some(model) => {
            let (detail, gaps) = facts(&model);
            match gaps {
                None => say(Health::Ok, format!("{whose}: {detail}")),
                Some(gaps) => say(Health::Warn, format!("{whose}: {detail}; {gaps}")).help(
                    "say it in a file for --models: models: { NAME: { provider: …, id: …, context_window: …, price: { input: …, output: … } } }",
                ),
            }
        }
    }
}

/// What is known of a model, and what it means that something is not.
fn facts(model: &Model) -> (String, Option<String>) {
    let mut known = vec![format!("{} of {}", model.id, model.provider)];
    let mut gaps = Vec::new();
    match model.context_window {
        Some(window) => known.push(format!("a window of {window} tokens")),
        None => gaps.push(format!("its window is not known, and counts as {DEFAULT_WINDOW} tokens")),
    }
    match model.price {
        Some(price) => {
            known.push(format!("${} in and ${} out a million tokens", price.input.dollars(), price.output.dollars()));
        }
        None => gaps.push("its price is not known: costs count as nothing, and a limit on them is refused".to_owned()),
    }
    (known.join(", "), (!gaps.is_empty()).then(|| gaps.join("; ")))
}

fn by_provider(catalog: &ModelCatalog) -> Vec<Diagnosis> {
    let about = |name: &Arc<str>| {
        let own: Vec<_> = catalog.models.iter().filter(|(_, model)| model.provider == *name).collect();
        let without = |what: &str, lacks: fn(&Model) -> bool| {
            let names: Vec<&str> = own.iter().filter(|(_, model)| lacks(model)).map(|(alias, _)| &***alias).collect();
            if names.is_empty() { String::new() } else { format!("; no {what} is known of {}", names.join(", ")) }
        };
        let count = match own.len() {
            0 => format!("no aliases; its models go by {name}/ID"),
            1 => "1 model".to_owned(),
            count => format!("{count} models"),
        };
        let (window, price) = (without("window", |m| m.context_window.is_none()), without("price", |m| m.price.is_none()));
        Diagnosis::new(Area::Models, Health::Ok, name.to_string(), format!("{count}{window}{price}"))
    };
    catalog.providers.keys().map(about).collect()
}

/// Whether providers answer: those of a team, else those that could.
pub(super) async fn ask(inner: &Inner, agents: Option<&Agents>) -> Vec<Diagnosis> {
    let Some(providers) = inner.models.providers() else { return Vec::new() };
    let catalog = &inner.catalog;
    let needed = agents.map(|agents| agents.providers(catalog));
    let wanted =
        |name: &Arc<str>| !catalog.without_key.contains(name) && needed.as_ref().is_none_or(|needed| needed.contains_key(name));
    let mut asking = tokio::task::JoinSet::new();
    for name in catalog.providers.keys().filter(|name| wanted(name)) {
        let (name, providers): (_, Arc<Providers>) = (name.clone(), providers.clone());
        asking.spawn(async move { (providers.list(&name).await, name) });
    }
    let mut answers = asking.join_all().await;
    answers.sort_by(|(_, a), (_, b)| a.cmp(b));
    let mut found = Vec::new();
    for (answer, name) in answers {
        let Some(provider) = catalog.providers.get(&name) else { continue };
        let need = needed.as_ref().and_then(|needed| needed.get(&name)).map(|needed| needed.need);
        match answer {
            None => {}
            Some(Err(failure)) => found.push(refusal(&name, provider, need, agents.is_some(), &failure)),
            Some(Ok(listed)) => {
                found.push(answered(&name, provider, &listed));
                found.extend(agents.map_or_else(Vec::new, |agents| unlisted(agents, catalog, &name, &listed)));
            }
        }
    }
    found
}

fn address(provider: &Provider) -> &str {
    provider.base_url.as_deref().unwrap_or_else(|| provider.kind.base_url())
}

fn answered(name: &str, provider: &Provider, listed: &Listed) -> Diagnosis {
    let (address, took) = (address(provider), listed.took.as_millis());
    let say = |status, detail| Diagnosis::new(Area::Models, status, name, detail);
    match &listed.models {
        Some(models) => say(Health::Ok, format!("{address} answers in {took} ms and lists {} models", models.len())),
        None => say(Health::Warn, format!("{address} answers in {took} ms, but not with a list of models")).help(
            "some servers have none; if calls fail, look at `base_url`: it ends where the paths of the API begin, such as in /v1",
        ),
    }
}

fn refusal(name: &str, provider: &Provider, need: Option<Need>, has_team: bool, failure: &Failure) -> Diagnosis {
    // Nobody says that a server on this machine is wanted, as long as no team names it.
    let idle = !has_team && provider.api_key_env.is_none();
    let status = if idle { Health::Warn } else { lost(need.unwrap_or(Need::First)) };
    let help = match (failure.status, &provider.api_key_env) {
        (Some(401 | 403), Some(variable)) => format!("look at the key in {variable}"),
        (Some(401 | 403), None) => "it wants a key: name its variable in `api_key_env` of the provider".to_owned(),
        (Some(429), _) => "wait a little, or raise the limits of the account".to_owned(),
        (Some(_), _) => "see what the provider says of its state, and look at `base_url`".to_owned(),
        (None, _) => "look at `base_url`, at the network and its proxy, and whether the server runs".to_owned(),
    };
    Diagnosis::new(Area::Models, status, name, format!("{}: {}", address(provider), failure.message)).help(help)
}

/// The models of a team that their provider does not list.
fn unlisted(agents: &Agents, catalog: &ModelCatalog, provider: &str, listed: &Listed) -> Vec<Diagnosis> {
    let models = agents.models().into_iter().filter(|(name, _)| !is_offline(name));
    let own = models.filter_map(|(name, _)| Some((catalog.model(&name).filter(|model| *model.provider == *provider)?, name)));
    let lacking = own.filter(|(model, _)| listed.has(&model.id) == Some(false));
    let say = |(model, name): (Model, Arc<str>)| {
        Diagnosis::new(Area::Models, Health::Warn, name.to_string(), format!("{provider} does not list {}", model.id))
            .help("it may be a name that the provider knows beside those of its list; else take one that it lists")
    };
    lacking.map(say).collect()
}
