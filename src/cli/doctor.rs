//! `synod doctor`: what works here, what does not, and how to mend it.

use std::io::IsTerminal;

use clap::Args;

use super::{CommandError, Exit, Global, Outcome, output, run::load, runtime};
use crate::{
    engine::{Area, Diagnosis, Health},
    team::ModelCatalog,
    tool::McpServers,
};

/// Say what works here, what does not, and how to mend it
///
/// Looks at keys, models, MCP servers (each is started, asked for its tools and ended), the sandbox of commands and the store; with
/// TEAM at what a run of it needs: its models, servers, commands, documents and folders. Nothing is changed. Each line says ok, warn or
/// fail, what was looked at, what it means, and how to mend it; --json prints a list of { area, subject, status, detail, help }. The exit
/// code is 1 when something fails, 2 for an invalid team.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// A team file, or the name of a shipped team: look at what it needs
    team: Option<String>,
    /// Also ask the providers of models whether they answer, which costs nothing
    #[arg(long)]
    online: bool,
    /// Change a field of an agent's profile, as `run` does; `*` is every agent
    #[arg(long = "set", value_name = "ROLE.FIELD=VALUE", requires = "team")]
    set: Vec<String>,
}

impl Doctor {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let mut found = Vec::new();
        let servers = global.servers().unwrap_or_else(|error| {
            found.push(Diagnosis::new(Area::Mcp, Health::Fail, error.place, error.reason));
            McpServers::default()
        });
        let catalog = match global.catalog() {
            Ok(catalog) => catalog,
            Err(error) => {
                found.push(unreadable(error)?);
                ModelCatalog::built_in()
            }
        };
        let engine = global.engine_with(None, servers, catalog);
        let team = self.team.as_ref().map(|team| load(&engine, team, &self.set, true)).transpose()?;
        let count = engine.mcp_servers().len();
        if count > 0 && !global.quiet && std::io::stderr().is_terminal() {
            eprintln!("starting {count} MCP server{} …", if count == 1 { "" } else { "s" });
        }
        found.extend(runtime()?.block_on(engine.doctor(team.as_ref(), self.online))?);
        // What was found here stands before what the engine found of its area.
        found.sort_by_key(|one| one.area);
        if global.json {
            output::json(&found)?;
        } else {
            output::text(&page(&found))?;
            if !global.quiet {
                eprintln!("{}", summary(&found));
            }
        }
        Ok(if found.iter().any(|one| one.status == Health::Fail) { Exit::Failed } else { Exit::Done })
    }
}

/// A model catalog that cannot be used, as a diagnosis.
fn unreadable(error: CommandError) -> Result<Diagnosis, CommandError> {
    let why = match error {
        CommandError::Usage(why) => why,
        CommandError::Invalid => "a file of --models has mistakes".to_owned(),
        CommandError::Engine(_) | CommandError::Output(_) => return Err(error),
    };
    let found = Diagnosis::new(Area::Models, Health::Fail, "--models", format!("{why}; what follows is of the built-in catalog"));
    Ok(found.help("mend the file, or leave out --models and SYNOD_MODELS"))
}

/// The diagnoses by area, in columns.
fn page(found: &[Diagnosis]) -> String {
    /// A subject that is longer does not push the next column away.
    const WIDEST: usize = 36;
    let width = found.iter().map(|one| one.subject.chars().count().min(WIDEST)).max().unwrap_or(0);
    let mut page = String::new();
    let mut area = None;
    for one in found {
        if area.replace(one.area) != Some(one.area) {
            page.push_str(&format!("{}{}\n", if page.is_empty() { "" } else { "\n" }, one.area.name()));
        }
        let help = one.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
        // A server may have said several lines.
        let words = format!("{}{help}", one.detail).lines().map(str::trim_end).collect::<Vec<_>>().join("\n          ");
        page.push_str(&format!("  {:<4}  {:<width$}  {words}\n", one.status.name(), one.subject));
    }
    page
}

fn summary(found: &[Diagnosis]) -> String {
    let count = |status| found.iter().filter(|one| one.status == status).count();
    let many = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let (warnings, failures) = (count(Health::Warn), count(Health::Fail));
    format!("{} ok, {}, {}", count(Health::Ok), many(warnings, "warning"), many(failures, "failure"))
}
