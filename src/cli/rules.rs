//! `synod rules`: tests of rule scripts, and what rules get to know.

use clap::{Args, Subcommand};

use super::{CommandError, Exit, Global, Outcome, output};
use crate::{
    engine::FileSources,
    model::{VIEW_FIELDS, sample_view},
    plan::with_includes,
    rule::{KINDS, Source, TURN_SHAPE, TestOutcome, document, run_tests},
    team::{LIBRARY, Sources, beside, did_you_mean},
    value::{Value, includes},
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
        /// The rule, such as `settle`, or `turn` for a script agent; all without
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

/// The function of a script agent: no rule, but what its author wants to know is the same.
const TURN: &str = "turn";

/// What `synod rules facts` says of a function.
struct Page {
    function: String,
    question: &'static str,
    verdict: &'static str,
    /// Its parameter, and what the parts of that mean where their names do not say it.
    parameter: &'static str,
    fields: &'static [(&'static str, &'static str)],
    sample: Value,
}

fn facts(name: Option<&str>, global: &Global) -> Outcome {
    let rules = KINDS.iter().map(document).map(|rule| Page {
        function: rule.function,
        question: rule.question,
        verdict: rule.verdict,
        parameter: "facts",
        fields: &[],
        sample: rule.sample,
    });
    let turn = Page {
        function: TURN.to_owned(),
        question: "what does an agent whose model is `script:PATH` do next?",
        verdict: TURN_SHAPE,
        parameter: "view",
        fields: &VIEW_FIELDS,
        sample: sample_view(),
    };
    let mut pages: Vec<Page> = rules.chain([turn]).collect();
    if let Some(name) = name {
        let known: Vec<String> = pages.iter().map(|page| page.function.clone()).collect();
        pages.retain(|page| page.function == name);
        if pages.is_empty() {
            let hint = did_you_mean(name, known.iter().map(String::as_str));
            let hint = hint.unwrap_or_else(|| format!("there are {}", known.join(", ")));
            return Err(CommandError::Usage(format!("no rule is called {name}; {hint}")));
        }
    }
    if global.json {
        let row = |page: &Page| {
            let fields: BTreeMap<_, _> = page.fields.iter().copied().collect();
            let Page { function, question, verdict, sample, .. } = page;
            serde_json::json!({ "function": function, "question": question, "verdict": verdict, "fields": fields, "sample": sample })
        };
        output::json(&pages.iter().map(row).collect::<Vec<_>>())?;
        return Ok(Exit::Done);
    }
    for Page { function, question, verdict, parameter, fields, sample } in pages {
        let mut page = format!("fn {function}({parameter})    {question}\n  returns {verdict}\n");
        for (field, meaning) in fields {
            page.push_str(&format!("  {parameter}.{field:<11} {meaning}\n"));
        }
        let sample = serde_json::to_string_pretty(&sample).unwrap_or_default();
        output::text(&format!("{page}  {parameter}, for example:\n{sample}\n\n"))?;
    }
    Ok(Exit::Done)
}
