//! `synod rules`: tests of rule scripts, and what rules get to know.

use clap::{Args, Subcommand};

use super::{CommandError, Exit, Global, Outcome, output};
use crate::{
    engine::FileSources,
    model::sample,
    plan::with_includes,
    rule::{KINDS, KindDoc, Source, TURN, TestOutcome, document, run_tests},
    team::{LIBRARY, Sources, beside, did_you_mean},
    value::{RuleKind, includes},
};
use std::{collections::BTreeMap, sync::Arc};

/// Files that one script may use, and those that they use.
const MAX_FILES: usize = 256;

/// Test rule scripts, and show what rules get to know
#[derive(Debug, Args)]
pub(super) struct Rules {
    #[command(subcommand)]
    command: RulesCommand,
}

#[derive(Debug, Subcommand)]
enum RulesCommand {
    /// Run the `test_*` functions of rule scripts
    Test {
        /// Script files (`.rhai`), or teams whose rule scripts are tested
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<String>,
    },
    /// Print what a rule decides, what it must return, and a sample of what it gets to know
    Facts {
        /// The rule, such as `settle`, or `turn` for what script agents are asked; all without
        name: Option<String>,
    },
}

impl Rules {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        match &self.command {
            RulesCommand::Test { paths } => test(paths, global),
            RulesCommand::Facts { name } => facts(name.as_deref(), global),
        }
    }
}

fn test(paths: &[String], global: &Global) -> Outcome {
    let engine = global.bare_engine()?;
    let mut scripts: Vec<Vec<Source>> = Vec::new();
    for path in paths {
        if path.ends_with(".rhai") {
            scripts.push(read_script(path)?);
            continue;
        }
        let prepared = super::run::load(&engine, path, &[], true)?;
        let files = prepared.plan.teams.iter().flat_map(|team| &team.scripts);
        scripts.extend(files.map(|file| with_includes(file, &prepared.sources)));
    }
    let mut outcomes: Vec<TestOutcome> = Vec::new();
    for sources in &scripts {
        match run_tests(sources) {
            Ok(found) => outcomes.extend(found),
            Err(wrong) => {
                for diagnostic in wrong {
                    eprintln!("{diagnostic}");
                }
                return Err(CommandError::Invalid);
            }
        }
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    if global.json {
        let rows: Vec<_> = outcomes
            .iter()
            .map(|o| {
                let failure = o.failure.as_ref().map(|f| serde_json::json!({ "message": f.message, "at": f.place.to_string() }));
                serde_json::json!({ "name": o.name, "file": o.place.file, "line": o.place.line, "passed": o.passed(), "failure": failure })
            })
            .collect();
        output::json(&rows)?;
    } else {
        let mut page = String::new();
        for outcome in &outcomes {
            match &outcome.failure {
                None => page.push_str(&format!("ok      {}\n", outcome.name)),
                Some(error) => page.push_str(&format!("FAILED  {}: {error}\n", outcome.name)),
            }
        }
        page.push_str(&format!("{} tests, {failed} failed\n", outcomes.len()));
        output::text(&page)?;
    }
    if outcomes.is_empty() {
        eprintln!("synod: no function is called test_*");
    }
    Ok(if failed > 0 || outcomes.is_empty() { Exit::Failed } else { Exit::Done })
}

/// A script file with the files that it uses.
fn read_script(path: &str) -> Result<Vec<Source>, CommandError> {
    let files = FileSources::new(".");
    let mut texts: BTreeMap<String, Arc<str>> = BTreeMap::new();
    let mut look = vec![path.to_owned()];
    while let Some(name) = look.pop() {
        if texts.contains_key(&name) || texts.len() >= MAX_FILES {
            continue;
        }
        let text = files.read(&name).or_else(|_| files.read(&format!("{LIBRARY}{name}")));
        let text = text.map_err(|e| CommandError::Usage(format!("read {name}: {e}")))?;
        look.extend(includes(&name, &text).iter().filter_map(|include| beside(&name, &include.path)));
        texts.insert(name, text);
    }
    Ok(with_includes(path, &texts))
}

/// What agents in place of a model are asked: no rule of a team, but a function all the same.
fn turn() -> KindDoc {
    let sample = sample().unwrap_or_default();
    KindDoc { function: "turn".to_owned(), question: "what does an agent without a model do next?", verdict: TURN, sample }
}

fn facts(name: Option<&str>, global: &Global) -> Outcome {
    let kinds: Vec<RuleKind> = match name {
        None => KINDS.to_vec(),
        Some("turn") => Vec::new(),
        Some(name) => {
            let known: Vec<&str> = KINDS.iter().map(RuleKind::function).chain(["turn"]).collect();
            if !known.contains(&name) {
                let hint = did_you_mean(name, known.iter().copied()).unwrap_or_else(|| format!("there are {}", known.join(", ")));
                return Err(CommandError::Usage(format!("no rule is called {name}; {hint}")));
            }
            vec![RuleKind::of(name)]
        }
    };
    let agents = name.is_none_or(|name| name == "turn");
    let docs: Vec<_> = kinds.iter().map(document).chain(agents.then(turn)).collect();
    if global.json {
        let rows: Vec<_> = docs
            .iter()
            .map(|d| serde_json::json!({ "function": d.function, "question": d.question, "verdict": d.verdict, "sample": d.sample }))
            .collect();
        output::json(&rows)?;
        return Ok(Exit::Done);
    }
    for doc in docs {
        let about = if doc.function == "turn" { "view" } else { "facts" };
        let sample = serde_json::to_string_pretty(&doc.sample).unwrap_or_default();
        output::text(&format!(
            "fn {}({about})    {}\n  returns {}\n  {about}, for example:\n{sample}\n\n",
            doc.function, doc.question, doc.verdict
        ))?;
    }
    Ok(Exit::Done)
}
