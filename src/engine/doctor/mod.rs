//! What works on this machine, what does not, and how is it mended? [`Engine::doctor`] looks, and answers [`Diagnosis`] by diagnosis.
//!
//! It starts the MCP servers and runs the shell, as a session would, and ends both again. Nothing else happens: no store is made or
//! repaired, no model is asked for a reply. With a team the question is what a session of this team needs.

mod agents;
mod knowledge;
mod models;
mod sandbox;
mod servers;
mod store;

use serde::Serialize;

use super::{Engine, EngineError, Prepared, blocking};
use crate::team::Code;
use agents::Agents;

/// What a diagnosis is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// Keys of providers.
    Keys,
    /// Models and those who serve them.
    Models,
    /// MCP servers.
    Mcp,
    /// Tools that the team names and that are not here.
    Tools,
    /// Commands: what keeps them inside their folders, and whether their programs are here.
    Sandbox,
    /// Where sessions are kept.
    Store,
    /// Folders of documents.
    Knowledge,
    /// The workspace, and folders and files that a team takes as inputs.
    Folders,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It works, or is not needed.
    Ok,
    /// It works in part, or something that may be needed does not.
    Warn,
    /// It does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// What it is about.
    pub area: Area,
    /// Which of them, such as the name of a server.
    pub subject: String,
    /// How it is.
    pub status: Health,
    /// What was found, and what it means.
    pub detail: String,
    /// How to mend it.
    pub help: Option<String>,
}

impl Area {
    /// The name that `--json` gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Models => "models",
            Self::Mcp => "mcp",
            Self::Tools => "tools",
            Self::Sandbox => "sandbox",
            Self::Store => "store",
            Self::Knowledge => "knowledge",
            Self::Folders => "folders",
        }
    }
}

impl Health {
    /// The name that `--json` gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl Diagnosis {
    /// That of something.
    pub fn new(area: Area, status: Health, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { area, subject: subject.into(), status, detail: detail.into(), help: None }
    }

    /// With a remedy.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

impl Engine {
    /// What works here and what does not: for `team`, where one is given, else at large. With `online` the providers of models are
    /// asked whether they answer. Call it inside a tokio runtime. The diagnoses come by area, without secrets.
    ///
    /// # Errors
    /// A part of it broke off.
    pub async fn doctor(&self, team: Option<&Prepared>, online: bool) -> Result<Vec<Diagnosis>, EngineError> {
        let inner = &self.inner;
        let agents = team.map(|team| Agents::of(&team.plan));
        let mut found = models::keys(&inner.catalog, agents.as_ref());
        found.extend(models::signature(inner, team));
        found.extend(models::look(inner, team, agents.as_ref()));
        if online {
            found.extend(models::ask(inner, agents.as_ref()).await);
        }
        found.extend(servers::look(inner.tools.mcp(), agents.as_ref()).await);
        found.extend(team.map_or_else(Vec::new, missing_tools));
        found.extend(sandbox::look(inner, team, agents.as_ref()).await);
        let (folder, org) = (inner.places.state_folder.clone(), inner.tenant.org.clone());
        found.extend(blocking(move || store::look(folder.as_deref(), &org)).await?);
        let (shared, team) = (inner.clone(), team.cloned());
        found.extend(blocking(move || knowledge::look(&shared, team.as_ref(), agents.as_ref())).await?);
        let redactor = inner.env.redactor();
        let clean = |text: String| redactor.text(&text).into_owned();
        let shown = found.into_iter().map(|one| Diagnosis { detail: clean(one.detail), help: one.help.map(clean), ..one });
        Ok(shown.collect())
    }
}

/// Tools that no machine or server offers under the names that the team gives them.
fn missing_tools(team: &Prepared) -> Vec<Diagnosis> {
    let unknown = team.warnings.iter().filter(|warning| warning.code == Code::UnresolvedTool);
    let shown = unknown.map(|warning| {
        let place = format!("{}:{}", warning.file, warning.line);
        let found = Diagnosis::new(Area::Tools, Health::Warn, place, warning.message.clone());
        match &warning.help {
            Some(help) => found.help(help.clone()),
            None => found,
        }
    });
    shown.collect()
}
