//! `synod plan`: the worst case, before anything happens.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};

use super::{CommandError, Exit, Global, Outcome, args::TeamArgs, output, output::WholeFile};
use crate::{
    graph::{self, Node, NodeKind},
    plan as planner,
    team::Team,
    tool,
};

/// How a plan is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For Markdown pages
    Mermaid,
    /// For Graphviz
    Dot,
    /// For machines
    Json,
}

/// Show what a team would do at worst, before it does anything
#[derive(Debug, Args)]
pub(super) struct Plan {
    #[command(flatten)]
    team: TeamArgs,
    /// How to draw it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Print the team as a `graph` team file that compiles to the same plan
    #[arg(long)]
    expand: bool,
    /// With `--expand`: write the file here, whole or not at all, instead of printing it
    #[arg(long, value_name = "FILE", requires = "expand")]
    out: Option<PathBuf>,
}

impl Plan {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let engine = global.bare_engine()?;
        let prepared = self.team.load(&engine, global.quiet).inspect_err(|_| {
            if self.expand && Path::new(&self.team.team).metadata().is_ok_and(|file| file.len() == 0) {
                eprintln!("synod: a shell empties FILE of `> FILE` before it is read; write with `--expand --out FILE`");
            }
        })?;
        let Some(team) = &prepared.team else { return Err(CommandError::Usage("the plan has no team".to_owned())) };
        if self.expand {
            let spelled = planner::expand(team).map_err(|found| {
                output::diagnostics(&found);
                CommandError::Invalid
            })?;
            match &self.out {
                Some(path) => write_whole(path, &spelled)?,
                None => output::text(&spelled)?,
            }
            return Ok(Exit::Done);
        }
        let review = engine.review(&prepared);
        let format = if global.json { Format::Json } else { self.format };
        match format {
            Format::Text => output::text(&format!(
                "{}\n{}{}",
                heading(team),
                planner::describe(&prepared.plan, &review),
                commands(&prepared.plan, &review, global)
            ))?,
            Format::Mermaid => output::text(&planner::draw_mermaid(&prepared.plan))?,
            Format::Dot => output::text(&planner::draw_dot(&prepared.plan))?,
            Format::Json => {
                let mut drawn = planner::draw_json(&prepared.plan, &review);
                drawn["team"] = about(team);
                drawn["confined"] = serde_json::json!(tool::is_confined());
                drawn["confinement"] = serde_json::json!(tool::confinement());
                output::json(&drawn)?;
            }
        }
        Ok(Exit::Done)
    }
}

/// Writes a file that is there whole or not at all, even where it is the one that was read.
fn write_whole(path: &Path, text: &str) -> Result<(), CommandError> {
    let written = WholeFile::create(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.finish()
    });
    written.map_err(|e| CommandError::Usage(format!("write {}: {e}", path.display())))
}

/// What a team says of itself, for people.
fn heading(team: &Team) -> String {
    let mut words = vec![team.pattern.name().to_owned()];
    words.extend(team.use_case.as_ref().map(|case| format!("for {case}")));
    words.extend((!team.tags.is_empty()).then(|| format!("tags {}", team.tags.join(" "))));
    words.extend(team.is_public.then(|| "public".to_owned()));
    let description = team.description.as_ref().map_or_else(String::new, |d| format!("{d}\n"));
    format!("{} ({})\n{description}", team.name, words.join(", "))
}

/// What keeps commands inside their folders here, where an agent or a node may run any.
fn commands(plan: &graph::Plan, review: &planner::Review, global: &Global) -> String {
    let runs = |name: &str| name == "Bash" || plan.tools.commands.iter().any(|command| *command.name == *name);
    let called = |node: &Node| matches!(&node.kind, NodeKind::Tool(call) if runs(&call.tool));
    let any = review.permissions.iter().any(|p| p.tools.iter().any(|t| runs(&t.tool)))
        || plan.graphs.iter().any(|graph| graph.dag.node_weights().any(called));
    if !any {
        return String::new();
    }
    let policy = super::commands();
    let network = policy.network.then(|| "Bash may use the network, as SYNOD_COMMANDS_NETWORK says".to_owned());
    let read = policy.read.iter().map(|path| format!("commands may read {}, as SYNOD_COMMANDS_READ says", path.display()));
    let inside = std::env::current_dir()
        .and_then(|here| here.canonicalize())
        .is_ok_and(|here| real(&here.join(&global.store)).starts_with(here));
    // What the kernel allows of a folder it allows of all that is in it.
    let store = inside
        .then(|| format!("commands reach the store {} with the workspace; `--store` keeps it elsewhere", global.store.display()));
    let lines = std::iter::once(tool::confinement()).chain(network).chain(read).chain(store);
    format!("\ncommands\n{}", lines.map(|line| format!("  {line}\n")).collect::<String>())
}

/// The path without links, of something that may not exist yet.
fn real(path: &Path) -> PathBuf {
    let beside = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(beside).unwrap_or_else(|| path.to_owned())
}

/// The same for programs.
fn about(team: &Team) -> serde_json::Value {
    let by_role = |named: &std::collections::BTreeMap<crate::value::Role, Vec<crate::value::Role>>| {
        named.iter().map(|(from, to)| (from.to_string(), serde_json::json!(to))).collect::<serde_json::Map<_, _>>()
    };
    serde_json::json!({
        "name": team.name, "description": team.description, "use_case": team.use_case, "tags": team.tags,
        "is_public": team.is_public, "pattern": team.pattern, "may_write": by_role(&team.may_write),
        "may_hand_off": by_role(&team.may_hand_off),
    })
}
