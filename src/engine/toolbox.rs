//! What does the scheduler need to know of the machine's tools? [`MachineTools`].

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    tool::{Registry, allows},
    turn::Toolbox,
    value::{EffectClass, ToolSpec, Value},
};

/// Compiled `output_schema`s that are kept; when there are more, all are forgotten.
const SCHEMAS_KEPT: usize = 256;

/// The registry, as the scheduler sees it.
pub(crate) struct MachineTools {
    registry: Registry,
    schemas: Mutex<BTreeMap<String, Arc<jsonschema::Validator>>>,
}

impl MachineTools {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry, schemas: Mutex::new(BTreeMap::new()) }
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.registry.names().map(str::to_owned).collect()
    }

    pub(crate) fn specs(&self) -> Vec<ToolSpec> {
        self.registry.names().filter_map(|name| self.registry.spec(name)).map(|spec| (**spec).clone()).collect()
    }

    /// What repeating that call would do; `None` for a tool that this machine lacks.
    pub(crate) fn effect_of(&self, tool: &str, args: &Value) -> Option<EffectClass> {
        self.registry.get(tool).map(|tool| tool.effect(args))
    }

    fn validator(&self, schema: &Value) -> Result<Arc<jsonschema::Validator>, String> {
        let key = schema.to_string();
        let mut kept = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(validator) = kept.get(&key) {
            return Ok(validator.clone());
        }
        let validator =
            Arc::new(jsonschema::validator_for(&schema.to_json()).map_err(|e| format!("output_schema is no JSON Schema: {e}"))?);
        if kept.len() >= SCHEMAS_KEPT {
            kept.clear();
        }
        kept.insert(key, validator.clone());
        Ok(validator)
    }
}

impl Toolbox for MachineTools {
    fn spec(&self, tool: &str) -> Option<Arc<ToolSpec>> {
        self.registry.spec(tool).cloned()
    }

    fn check(&self, tool: &str, args: &Value) -> Result<(), String> {
        self.registry.check(tool, args).map_err(|failure| failure.message.to_string())
    }

    fn effect(&self, tool: &str, args: &Value) -> EffectClass {
        self.registry.effect(tool, args)
    }

    fn allows(&self, patterns: &[Arc<str>], tool: &str, args: &Value) -> bool {
        allows(patterns, tool, args)
    }

    fn allowed(&self, patterns: &[Arc<str>]) -> Vec<Arc<ToolSpec>> {
        let named =
            |name: &str| patterns.iter().any(|p| p.split('(').next() == Some(name)) || allows(patterns, name, &Value::Null);
        self.registry.names().filter(|name| named(name)).filter_map(|name| self.registry.spec(name).cloned()).collect()
    }

    fn fits(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let validator = self.validator(schema)?;
        let json = value.to_json();
        let wrong: Vec<String> = validator.iter_errors(&json).map(|e| format!("{}: {e}", e.instance_path())).take(5).collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }
}
