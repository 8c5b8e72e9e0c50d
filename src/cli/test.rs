//! `synod test`: do teams do what their tests expect?

use std::{
    fmt::Write,
    io::{IsTerminal, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use serde::Serialize;
use walkdir::WalkDir;

use super::{CommandError, Exit, Global, Outcome, output, runtime};
use crate::{
    engine::{Engine, Kill, Moment, Pressure, Tried, library_text},
    team::{Diagnostic, LIBRARY, Suite, TEST_FILES, is_suite},
    value::{Place, Seq},
};

/// Test files that one call runs.
const MAX_FILES: usize = 10_000;
/// Folders that are not searched.
const NOT_SEARCHED: [&str; 2] = ["target", "node_modules"];

/// Run the tests of teams: files that end in .test.yaml, beside the teams
///
/// A test file names a team and cases; a case says what the team is given, who stands in for its models (scripts, exported sessions or
/// replies that the file spells out), for tools and for people, and what must come of it. No model is asked over the network, no MCP
/// server is started, nobody is notified, and nothing is kept. `synod schema test` describes the file.
///
/// A tool that the case does not script runs, unless it cannot be taken back or reaches a network: that fails the case, which either
/// scripts it or names it in `real`.
///
/// With --kill-everywhere each case that is as expected runs again for every position of its journal: the engine is dropped there,
/// early (before what follows leaves) and late (after all that follows was done, before any of it is on record), and another one
/// resumes. Nothing that is on record may be done again, and nothing irreversible twice. With --shuffle N it runs N more times, each
/// call held back by some milliseconds that a seed draws. Each time the report must be the same and all must be as expected, with these
/// exceptions: where the plan says that the order of arrival matters, the report may be another one if its own record comes to it again;
/// after a kill the budget may be exceeded, because a call that was lost is paid for; and where a kill leaves an irreversible call in
/// doubt, so that a person is asked, only the status must be the same.
///
/// Exit codes: 0 all is as expected, 1 something is not, 2 usage or an invalid file.
#[derive(Debug, Args)]
pub(super) struct Test {
    /// Files, folders (searched for files that end in .test.yaml, .test.yml or .test.json), or names of shipped teams; this folder
    /// by default
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Run the cases that have this in their name; where a file has one that is called exactly so, only that one of it
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Kill each case at every position of its journal, resume it and compare
    #[arg(long)]
    kill_everywhere: bool,
    /// Kill each case once that record is durable: SEQ, SEQ:early or SEQ:late
    #[arg(long, value_name = "SEQ[:MOMENT]", conflicts_with = "kill_everywhere", value_parser = position)]
    kill_at: Option<(u64, Option<Moment>)>,
    /// Run each case in so many other orders of arrival
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    shuffle: u32,
    /// The seed of the first order; each further one has the next
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Write a JUnit report there
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// What came of a file.
#[derive(Serialize)]
struct FileRow {
    file: Arc<str>,
    team: Arc<str>,
    cases: Vec<CaseRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mistakes: Vec<Diagnostic>,
}

/// What came of a case.
#[derive(Serialize)]
struct CaseRow {
    passed: bool,
    #[serde(flatten)]
    tried: Tried,
}

impl Test {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let engine = global.bare_engine()?;
        let names = self.files()?;
        let junit_file = self.junit.as_ref().map(|path| {
            let wrong = |e| CommandError::Usage(format!("write --junit {}: {e}", path.display()));
            // Before anything runs, so that no result is lost for it.
            std::fs::File::create(path).map(|file| (file, path)).map_err(wrong)
        });
        let junit_file = junit_file.transpose()?;
        if names.is_empty() {
            return Err(CommandError::Usage(format!("there are no files that end in {} here", TEST_FILES.join(", "))));
        }
        let files = runtime()?.block_on(async {
            let mut files = Vec::new();
            for name in &names {
                files.push(self.file(&engine, name, global).await?);
            }
            Ok::<_, CommandError>(files)
        })?;
        if global.json {
            output::json(&files)?;
        }
        if let Some((mut file, path)) = junit_file {
            let wrong = |e| CommandError::Usage(format!("write --junit {}: {e}", path.display()));
            file.write_all(junit(&files).as_bytes()).map_err(wrong)?;
        }
        let cases: Vec<&CaseRow> = files.iter().flat_map(|file| &file.cases).collect();
        let failed = cases.iter().filter(|case| !case.passed).count();
        let invalid = files.iter().filter(|file| !file.mistakes.is_empty()).count();
        if !global.quiet {
            let invalid = if invalid > 0 { format!(", {invalid} invalid") } else { String::new() };
            eprintln!(
                "{} cases in {} files: {} passed, {failed} failed{invalid}",
                cases.len(),
                files.len(),
                cases.len() - failed
            );
        }
        if cases.is_empty() && invalid == 0 {
            return Err(CommandError::Usage(match &self.filter {
                Some(filter) => format!("--filter {filter}: no case has that in its name"),
                None => format!("there is no case in {}", names.join(", ")),
            }));
        }
        Ok(match (invalid, failed) {
            (0, 0) => Exit::Done,
            (0, _) => Exit::Failed,
            (_, _) => Exit::Usage,
        })
    }

    fn pressure(&self) -> Pressure {
        let kill = match self.kill_at {
            _ if self.kill_everywhere => Kill::Everywhere,
            Some((seq, moment)) => Kill::At(Seq(seq), moment),
            None => Kill::Nowhere,
        };
        Pressure { kill, orders: self.shuffle, seed: self.seed }
    }

    /// Runs the cases of a file, and says what came of each as it comes.
    async fn file(&self, engine: &Engine, name: &str, global: &Global) -> Result<FileRow, CommandError> {
        let suite = match engine.load_suite(name) {
            Ok(suite) => suite,
            Err(mistakes) => {
                output::diagnostics(&mistakes);
                return Ok(FileRow { file: Arc::from(name), team: Arc::from(""), cases: Vec::new(), mistakes });
            }
        };
        let mut row = FileRow { file: suite.file.clone(), team: suite.team.clone(), cases: Vec::new(), mistakes: Vec::new() };
        let live = !global.quiet && std::io::stderr().is_terminal();
        let progress = move |word: &str| {
            if live {
                eprint!("\r\x1b[2K{word}");
            }
        };
        let exact = self.filter.as_ref().is_some_and(|filter| suite.cases.iter().any(|case| *case.name == **filter));
        let wanted = |name: &str| {
            self.filter.as_ref().is_none_or(|filter| if exact { name == filter } else { name.contains(filter.as_str()) })
        };
        let trial = engine.trial(&suite);
        for case in suite.cases.iter().filter(|case| wanted(&case.name)) {
            progress(&case.name);
            let tried = trial.run(case, &self.pressure(), &progress).await;
            if live {
                eprint!("\r\x1b[2K");
            }
            match tried {
                Ok(tried) => {
                    if !global.json {
                        output::text(&told(&suite, &tried))?;
                    }
                    row.cases.push(CaseRow { passed: tried.passed(), tried });
                }
                Err(found) => {
                    let fresh: Vec<Diagnostic> = found.into_iter().filter(|found| !row.mistakes.contains(found)).collect();
                    output::diagnostics(&fresh);
                    row.mistakes.extend(fresh);
                }
            }
        }
        Ok(row)
    }

    /// The test files that are meant.
    fn files(&self) -> Result<Vec<String>, CommandError> {
        let here = [".".to_owned()];
        let paths = if self.paths.is_empty() { &here[..] } else { &self.paths };
        let mut names: Vec<String> = Vec::new();
        for path in paths {
            if Path::new(path).is_dir() {
                below(Path::new(path), &mut names)?;
            } else if Path::new(path).is_file() {
                names.push(path.clone());
            } else {
                names.push(shipped(path)?);
            }
        }
        names.dedup();
        Ok(names)
    }
}

/// The test files below a folder, sorted; hidden folders, those of build tools and links to folders are left out.
fn below(folder: &Path, names: &mut Vec<String>) -> Result<(), CommandError> {
    let searched = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0 || !(name.starts_with('.') || NOT_SEARCHED.contains(&name.as_ref()) && entry.file_type().is_dir())
    };
    for entry in WalkDir::new(folder).sort_by_file_name().into_iter().filter_entry(searched) {
        let entry = entry.map_err(|e| CommandError::Usage(e.to_string()))?;
        let path = entry.path().strip_prefix("./").unwrap_or(entry.path());
        if path.to_str().is_some_and(is_suite) && !path.is_dir() {
            if names.len() >= MAX_FILES {
                return Err(CommandError::Usage(format!("there are more than {MAX_FILES} test files; name a smaller folder")));
            }
            names.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// The test file of a shipped team.
fn shipped(name: &str) -> Result<String, CommandError> {
    let path = name.strip_prefix(LIBRARY).unwrap_or(name);
    let stem = path.trim_start_matches("teams/").trim_end_matches(".yaml").trim_end_matches(".test");
    let file = format!("teams/{stem}.test.yaml");
    if library_text(&file).is_some() {
        return Ok(format!("{LIBRARY}{file}"));
    }
    Err(CommandError::Usage(format!("{name} is no file, no folder, and no shipped team that has tests")))
}

fn position(text: &str) -> Result<(u64, Option<Moment>), String> {
    let (seq, moment) = text.split_once(':').map_or((text, None), |(seq, moment)| (seq, Some(moment)));
    let seq = seq.parse().map_err(|_| format!("{seq} is no number of a record"))?;
    let moment = match moment {
        None => None,
        Some("early") => Some(Moment::Early),
        Some("late") => Some(Moment::Late),
        Some(other) => return Err(format!("{other} is no moment; it is early or late")),
    };
    Ok((seq, moment))
}

fn spot(place: &Place) -> String {
    place.to_string()
}

/// What came of a case, for people.
fn told(suite: &Suite, tried: &Tried) -> String {
    let mark = if tried.passed() { "ok  " } else { "FAIL" };
    let mut page = format!("{mark}  {}: {} ({} ms", suite.file, tried.case, tried.took_ms);
    let many = |page: &mut String, number: u32, what: &str| {
        if number > 0 {
            let _ = write!(page, ", {number} {what}");
        }
    };
    many(&mut page, tried.runs - 1, "more runs");
    many(&mut page, tried.kills, "of them killed");
    many(&mut page, tried.doubts, "left a call in doubt");
    many(&mut page, tried.other_results, "came to another result, as the plan warns");
    page.push_str(")\n");
    page.push_str(&wrong(suite, tried, "      "));
    page
}

/// What is wrong with a case, a paragraph each.
fn wrong(suite: &Suite, tried: &Tried, indent: &str) -> String {
    let mut page = String::new();
    for unmet in &tried.unmet {
        let _ = writeln!(page, "{indent}{} ({})", unmet.what, spot(&unmet.place));
        let _ = writeln!(page, "{indent}  expected  {}", unmet.expected);
        let _ = writeln!(page, "{indent}  got       {}", unmet.got);
    }
    for trouble in &tried.troubles {
        let _ = writeln!(page, "{indent}{}: {}", trouble.when, trouble.what);
        let (file, case) = (quoted(&suite.file), quoted(&tried.case));
        let _ = writeln!(page, "{indent}  again     synod test {file} --filter {case} {}", trouble.again);
    }
    page
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// The results as JUnit has them.
fn junit(files: &[FileRow]) -> String {
    let mut page = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for file in files {
        let failed = file.cases.iter().filter(|case| !case.passed).count();
        let (tests, errors) = (file.cases.len() + usize::from(!file.mistakes.is_empty()), usize::from(!file.mistakes.is_empty()));
        let took: u64 = file.cases.iter().map(|case| case.tried.took_ms).sum();
        let name = xml(&file.file);
        let _ = writeln!(
            page,
            "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failed}\" errors=\"{errors}\" time=\"{}\">",
            seconds(took)
        );
        if !file.mistakes.is_empty() {
            let lines: Vec<String> = file.mistakes.iter().map(Diagnostic::line).collect();
            let _ = writeln!(
                page,
                "    <testcase classname=\"{name}\" name=\"the file is valid\" time=\"0\"><error message=\"invalid\">{}</error></testcase>",
                xml(&lines.join("\n"))
            );
        }
        for CaseRow { passed, tried } in &file.cases {
            let head =
                format!("    <testcase classname=\"{name}\" name=\"{}\" time=\"{}\"", xml(&tried.case), seconds(tried.took_ms));
            if *passed {
                let _ = writeln!(page, "{head}/>");
                continue;
            }
            let first =
                tried.unmet.first().map(|unmet| format!("{}: expected {}, got {}", unmet.what, unmet.expected, unmet.got));
            let first = first.or_else(|| tried.troubles.first().map(|trouble| format!("{}: {}", trouble.when, trouble.what)));
            let suite =
                Suite { file: file.file.clone(), team: file.team.clone(), cases: Vec::new(), sources: Default::default() };
            let _ = writeln!(
                page,
                "{head}><failure message=\"{}\">{}</failure></testcase>",
                xml(&first.unwrap_or_default()),
                xml(&wrong(&suite, tried, ""))
            );
        }
        page.push_str("  </testsuite>\n");
    }
    page.push_str("</testsuites>\n");
    page
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}

/// A text inside XML: escaped, and without the control characters that XML cannot hold.
fn xml(text: &str) -> String {
    let mut page = String::new();
    for c in text.chars() {
        match c {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\n' => page.push_str("&#10;"),
            c if c.is_control() => page.push('\u{fffd}'),
            c => page.push(c),
        }
    }
    page
}
