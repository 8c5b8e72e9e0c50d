//! Which tools are there, and how is one called? [`Registry`].

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use jsonschema::Validator;

use super::{
    Bash, Blocking, CallContext, Outcome, Tool, bound, glob::Glob, grep::Grep, logs::SearchLogs, metrics::QueryMetrics, nearest,
    read::Read, schema, sql::SqlQuery, write::Write,
};
use crate::value::{EffectClass, Failure, FailureKind, ToolSpec, Value};

/// Tools by name. Names are case-sensitive.
#[derive(Default)]
pub struct Registry {
    tools: BTreeMap<Arc<str>, Entry>,
}

struct Entry {
    tool: Arc<dyn Tool>,
    spec: Arc<ToolSpec>,
    /// Compiled when a built-in tool is called for the first time, which saves each start two milliseconds.
    validator: OnceLock<Validator>,
}

/// Why a tool could not be added.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Two tools want one name.
    #[error("add the tool `{0}`: another tool has that name")]
    Duplicate(Arc<str>),
    /// Its schema is not a JSON Schema.
    #[error("add the tool `{tool}`: its parameters are no JSON Schema: {reason}")]
    Schema {
        /// The tool.
        tool: Arc<str>,
        /// What is wrong with it.
        reason: String,
    },
}

/// The tools that every team may use.
pub fn builtin() -> Registry {
    let mut registry = Registry::default();
    let tools: Vec<Arc<dyn Tool>> = vec![
        Arc::new(Blocking::new(Read::default())),
        Arc::new(Blocking::new(Write::default())),
        Arc::new(Blocking::new(Glob::default())),
        Arc::new(Blocking::new(Grep::default())),
        Arc::new(Blocking::new(SearchLogs::default())),
        Arc::new(Blocking::new(SqlQuery::default())),
        Arc::new(Blocking::new(QueryMetrics::default())),
        Arc::new(Bash::default()),
    ];
    for tool in tools {
        registry.insert(tool, OnceLock::new()).expect("built-in tools have distinct names: a test adds them all");
    }
    registry
}

impl Registry {
    /// Adds a tool.
    ///
    /// # Errors
    /// Its name is taken or its schema is none.
    pub fn add(&mut self, tool: Arc<dyn Tool>) -> Result<(), RegistryError> {
        let validator = compile(tool.spec())?;
        self.insert(tool, OnceLock::from(validator))
    }

    fn insert(&mut self, tool: Arc<dyn Tool>, validator: OnceLock<Validator>) -> Result<(), RegistryError> {
        let spec = Arc::new(tool.spec().clone());
        if self.tools.contains_key(&spec.name) {
            return Err(RegistryError::Duplicate(spec.name.clone()));
        }
        self.tools.insert(spec.name.clone(), Entry { tool, spec, validator });
        Ok(())
    }

    /// Adds a tool in the place of one of its name.
    ///
    /// # Errors
    /// Its schema is none.
    pub fn replace(&mut self, tool: Arc<dyn Tool>) -> Result<(), RegistryError> {
        self.tools.remove(&tool.spec().name);
        self.add(tool)
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(AsRef::as_ref)
    }

    /// What a model is told of a tool.
    pub fn spec(&self, name: &str) -> Option<&Arc<ToolSpec>> {
        self.tools.get(name).map(|entry| &entry.spec)
    }

    /// The tool itself.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.tools.get(name).map(|entry| &entry.tool)
    }

    /// Whether that call could be made: the tool exists and the arguments fit its schema.
    ///
    /// # Errors
    /// `tool` with the nearest name for an unknown tool; `schema` naming every argument that is wrong and what it should be.
    pub fn check(&self, name: &str, args: &Value) -> Result<(), Failure> {
        let entry = self.entry(name)?;
        let wrong = schema::complaints(entry.validator(), &entry.spec.parameters, args);
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Failure::new(FailureKind::Schema, format!("the call of {name} does not fit: {}", wrong.join("; "))))
    }

    /// What repeating that call would do; `Irreversible` for an unknown tool.
    pub fn effect(&self, name: &str, args: &Value) -> EffectClass {
        self.tools.get(name).map_or(EffectClass::Irreversible, |entry| entry.tool.effect(args))
    }

    /// Checks the arguments, makes the call and cuts its result to [`super::RESULT_LIMIT`], with a note of what was cut.
    ///
    /// # Errors
    /// Those of [`Registry::check`] and of the tool.
    pub async fn call(&self, name: &str, call: &CallContext, args: &Value) -> Outcome {
        self.check(name, args)?;
        tracing::debug!(target: "synod::calls", key = %call.key, tool = name, "call");
        let value = self.entry(name)?.tool.call(call, args).await?;
        Ok(bound::bound(value))
    }

    fn entry(&self, name: &str) -> Result<&Entry, Failure> {
        self.tools.get(name).ok_or_else(|| {
            let meant = match nearest(name, self.names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", self.names().collect::<Vec<_>>().join(", ")),
            };
            Failure::new(FailureKind::Tool, format!("there is no tool `{name}`; {meant}"))
        })
    }
}

impl Entry {
    fn validator(&self) -> &Validator {
        self.validator.get_or_init(|| compile(&self.spec).expect("built-in tools have valid schemas: a test compiles them all"))
    }
}

fn compile(spec: &ToolSpec) -> Result<Validator, RegistryError> {
    jsonschema::validator_for(&spec.parameters.to_json())
        .map_err(|e| RegistryError::Schema { tool: spec.name.clone(), reason: e.to_string() })
}
