//! Which model does a name mean? [`Models`].

use std::{collections::BTreeMap, sync::Arc};

use super::{Model, Replay, Script};
use crate::{
    rule::{RuleDiagnostic, Source},
    value::{Failure, FailureKind, Profile},
};

/// The models of a session by the names that its profiles use.
#[derive(Clone, Default)]
pub struct Models {
    by_name: BTreeMap<Arc<str>, Arc<dyn Model>>,
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
}

impl Models {
    /// Adds a model under a name, in place of an earlier one.
    pub fn add(&mut self, name: impl AsRef<str>, model: Arc<dyn Model>) {
        self.by_name.insert(Arc::from(name.as_ref()), model);
    }

    /// These models, and those that the profiles name by `script:` and `replay:`, opened from `sources`: a file by its path, and
    /// behind it the files that it uses; nothing where there is no such file.
    ///
    /// # Errors
    /// A script or cassette is missing or is none.
    pub fn with_files<'p>(
        &self,
        profiles: impl Iterator<Item = &'p Arc<Profile>>,
        sources: &dyn Fn(&str) -> Vec<Source>,
    ) -> Result<Self, ModelError> {
        let mut models = self.clone();
        for profile in profiles {
            for name in std::iter::once(&profile.model).chain(&profile.fallback_models) {
                models.open(name, sources)?;
            }
        }
        Ok(models)
    }

    fn open(&mut self, name: &Arc<str>, sources: &dyn Fn(&str) -> Vec<Source>) -> Result<(), ModelError> {
        let scheme = ["script:", "replay:"].into_iter().find(|scheme| name.starts_with(scheme));
        let Some(scheme) = scheme.filter(|_| !self.by_name.contains_key(name)) else { return Ok(()) };
        let path = &name[scheme.len()..];
        let files = sources(path);
        let Some(first) = files.first() else {
            return Err(ModelError::Missing { model: name.clone(), path: path.to_owned() });
        };
        let invalid = |reason: String| ModelError::Invalid { model: name.clone(), reason };
        let model: Arc<dyn Model> = if scheme == "script:" {
            let said = |found: Vec<RuleDiagnostic>| invalid(found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
            Arc::new(Script::compile(&files).map_err(said)?)
        } else {
            Arc::new(Replay::read(&first.text).map_err(invalid)?)
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
