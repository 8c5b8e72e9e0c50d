//! Which model does a name mean? [`Models`].

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Model, Providers, Replay, Script};
use crate::{
    rule::{RuleDiagnostic, Source},
    value::{Failure, FailureKind, Profile, Reply, Request, Role, Usage, cassette},
};

/// How long a model that failed is passed over where its agent has another.
const COOL_DOWN: Duration = Duration::from_secs(60);

/// The models of a session by the names that its profiles use. Clones share providers and what is known of outages.
#[derive(Clone, Default)]
pub struct Models {
    by_name: BTreeMap<Arc<str>, Arc<dyn Model>>,
    providers: Option<Arc<Providers>>,
    /// Models that were down or overloaded a moment ago, and until when they are passed over.
    cooling: Arc<Mutex<BTreeMap<Arc<str>, Instant>>>,
}

/// Why a model cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The text behind a `script:` or `replay:` model is not at hand.
    #[error("open the model {model}: {path} is not among the files of the team")]
    Missing {
        /// The model.
        model: Arc<str>,
        /// The path.
        path: String,
    },
    /// The script or cassette is not one.
    #[error("open the model {model}: {reason}")]
    Invalid {
        /// The model.
        model: Arc<str>,
        /// Why not.
        reason: String,
    },
    /// Its provider wants a key, and there is none.
    #[error(
        "open the model {model}: {provider} wants a key; set {variable} in the environment, or take another model with \
         --set '*.model=…'; `synod doctor` says what else is missing here"
    )]
    Key {
        /// The model.
        model: Arc<str>,
        /// The provider.
        provider: Arc<str>,
        /// The environment variable.
        variable: Arc<str>,
    },
    /// Nobody knows it.
    #[error(
        "open the model {model}: no catalog has it; name an alias that `synod models` lists, provider/id, script:PATH, replay:PATH or replay:PATH#ROLE"
    )]
    Unknown {
        /// The model.
        model: Arc<str>,
    },
}

impl Models {
    /// Adds a model under a name, in place of an earlier one.
    pub fn add(&mut self, name: impl AsRef<str>, model: Arc<dyn Model>) {
        self.by_name.insert(Arc::from(name.as_ref()), model);
    }

    /// Takes what no other model is named like from there.
    pub fn set_providers(&mut self, providers: Arc<Providers>) {
        self.providers = Some(providers);
    }

    /// Where the models of the catalog are taken from.
    pub fn providers(&self) -> Option<&Arc<Providers>> {
        self.providers.as_ref()
    }

    /// These models, and those that the profiles name: by `script:` and `replay:`, opened from `sources` (a file by its path, and
    /// behind it the files that it uses; nothing where there is no such file), or as the catalog does.
    ///
    /// # Errors
    /// A script or cassette is missing or is none, nobody knows a model, or its key is not set. A fallback that the catalog
    /// does not open is passed over.
    pub fn with_files<'p>(
        &self,
        profiles: impl Iterator<Item = &'p Arc<Profile>>,
        sources: &dyn Fn(&str) -> Vec<Source>,
    ) -> Result<Self, ModelError> {
        let mut models = self.clone();
        for profile in profiles {
            models.open(&profile.model, sources)?;
            for name in &profile.fallback_models {
                match models.open(name, sources) {
                    Ok(()) | Err(ModelError::Key { .. } | ModelError::Unknown { .. }) => {}
                    Err(error @ (ModelError::Missing { .. } | ModelError::Invalid { .. })) => return Err(error),
                }
            }
        }
        Ok(models)
    }

    /// Whether the model of that name can be opened here, as [`Models::with_files`] does it.
    ///
    /// # Errors
    /// Why not.
    pub fn can_open(&self, name: &Arc<str>, sources: &dyn Fn(&str) -> Vec<Source>) -> Result<(), ModelError> {
        self.clone().open(name, sources)
    }

    /// Asks the model of a profile, and where it cannot be reached or is overloaded its fallbacks in turn. One that failed a
    /// moment ago is passed over while there is another. The reply names the one that answered where it was not the first.
    ///
    /// # Errors
    /// What the last of them failed with.
    pub async fn ask(&self, request: &Request, key: &str) -> Result<Reply, Failure> {
        let profile = &request.profile;
        let known = profile.fallback_models.iter().filter(|name| self.by_name.contains_key(*name));
        let all: Vec<&Arc<str>> = std::iter::once(&profile.model).chain(known).collect();
        let warm: Vec<&Arc<str>> = all.iter().copied().filter(|name| !self.is_cooling(name)).collect();
        let order = if warm.is_empty() { all } else { warm };
        let mut last = Failure::new(FailureKind::Model, "there is no model to ask");
        // What those that failed took counts too.
        let mut lost = Usage::default();
        for (place, &name) in order.iter().enumerate() {
            let first = *name == profile.model;
            let own = if first { key.to_owned() } else { format!("{key}/{name}") };
            match self.get(name)?.reply(request, &own).await {
                Ok(mut reply) => {
                    if !first {
                        reply.model.get_or_insert_with(|| name.clone());
                    }
                    reply.usage = reply.usage.plus(lost);
                    return Ok(reply);
                }
                Err(failure) => {
                    let passes = matches!(failure.kind, FailureKind::Transport | FailureKind::RateLimit);
                    lost = lost.plus(failure.spent());
                    last = failure.having_spent(lost);
                    if !passes {
                        break;
                    }
                    if place + 1 < order.len() {
                        self.cool(name);
                    }
                }
            }
        }
        Err(last)
    }

    fn is_cooling(&self, name: &str) -> bool {
        let cooling = self.cooling.lock().unwrap_or_else(PoisonError::into_inner);
        cooling.get(name).is_some_and(|until| *until > Instant::now())
    }

    fn cool(&self, name: &Arc<str>) {
        let mut cooling = self.cooling.lock().unwrap_or_else(PoisonError::into_inner);
        cooling.insert(name.clone(), Instant::now() + COOL_DOWN);
    }

    fn open(&mut self, name: &Arc<str>, sources: &dyn Fn(&str) -> Vec<Source>) -> Result<(), ModelError> {
        if self.by_name.contains_key(name) {
            return Ok(());
        }
        let scheme = ["script:", "replay:"].into_iter().find(|scheme| name.starts_with(scheme));
        let Some(scheme) = scheme else {
            let Some(providers) = &self.providers else { return Ok(()) };
            let unknown = || ModelError::Unknown { model: name.clone() };
            let model = providers.open(name)?.ok_or_else(unknown)?;
            self.by_name.insert(name.clone(), model);
            return Ok(());
        };
        let (path, role) = cassette(name).unwrap_or((&name[scheme.len()..], None));
        let files = sources(path);
        let Some(first) = files.first() else {
            return Err(ModelError::Missing { model: name.clone(), path: path.to_owned() });
        };
        let invalid = |reason: String| ModelError::Invalid { model: name.clone(), reason };
        let model: Arc<dyn Model> = if scheme == "script:" {
            let said = |found: Vec<RuleDiagnostic>| invalid(found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
            Arc::new(Script::compile(&files).map_err(said)?)
        } else {
            let replay = Replay::read(&first.text).map_err(invalid)?;
            Arc::new(match role {
                Some(role) => replay.of(Role::new(role)).map_err(invalid)?,
                None => replay,
            })
        };
        self.by_name.insert(name.clone(), model);
        Ok(())
    }

    /// The model of that name.
    ///
    /// # Errors
    /// There is none: a fact for the journal, with what to do about it.
    pub fn get(&self, name: &str) -> Result<Arc<dyn Model>, Failure> {
        self.by_name.get(name).cloned().ok_or_else(|| {
            let why =
                format!("no provider for the model {name} is configured; use script:PATH, replay:PATH or --set '*.model=…'");
            Failure::new(FailureKind::Model, why)
        })
    }
}
