//! Who answers without a model? [`Script`], a Rhai function `turn(view)`.
use std::{collections::BTreeMap, sync::Arc};

use super::{Answer, Model};
use crate::value::{Failure, FailureKind, Request};

/// A script agent.
pub struct Script;

impl Script {
    /// Compiles `text`, the file at `path`.
    pub fn compile(_path: &str, _text: &str, _sources: &BTreeMap<String, Arc<str>>) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Model for Script {
    fn reply<'a>(&'a self, _request: &'a Request, _key: &'a str) -> Answer<'a> {
        Box::pin(std::future::ready(Err(Failure::new(FailureKind::Model, "no"))))
    }
}
