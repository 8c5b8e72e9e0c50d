//! `synod answer`: what a person says to an open question.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{CommandError, Exit, Global, Outcome, live, output, runtime};
use crate::{
    report::Report,
    value::{AskId, Value},
};

/// Bytes of a file of answers at most.
const LONGEST: u64 = 1 << 20;

/// Answer a question of a session
///
/// A parked session goes on at once, in this process; a running one gets the answer.
#[derive(Debug, Args)]
pub(super) struct Answer {
    /// The session's id, or the beginning of it
    session: String,
    /// The question's id, such as `q0`; without it the open questions are listed
    question: Option<String>,
    /// The answer: one of the question's options, or text; where a tool asks, an object as JSON, the value of the only field,
    /// `decline` or `cancel`
    #[arg(requires = "question")]
    answer: Option<String>,
    /// Answers to several questions: a JSON object such as {"q0": "yes", "q1": 3}; `-` reads it from standard input
    #[arg(long, value_name = "FILE", conflicts_with = "question")]
    file: Option<PathBuf>,
    /// Who answers; the user otherwise
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl Answer {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let engine = global.engine()?;
        let session = global.session(&engine, &self.session)?;
        let answers = match (&self.file, &self.question, &self.answer) {
            (Some(file), ..) => {
                answers_of(&read(file)?).map_err(|why| CommandError::Usage(format!("--file {}: {why}", file.display())))?
            }
            (None, Some(question), Some(answer)) => vec![(question_id(question)?, Value::text(answer))],
            (None, ..) => {
                let report = Report::of(&engine.store().read_all(session)?)?;
                return self.list(&report, global);
            }
        };
        let by = self.by.clone().unwrap_or_else(|| global.user.clone());
        runtime()?.block_on(async {
            match engine.answer_all(session, answers, by).await? {
                Some(handle) => live::follow(&engine, handle, global).await,
                None => {
                    if !global.quiet {
                        eprintln!("the process that runs the session has the answer");
                    }
                    Ok(Exit::Done)
                }
            }
        })
    }

    fn list(&self, report: &Report, global: &Global) -> Outcome {
        let open: Vec<_> = report.escalations.iter().filter(|row| row.state == Some("open")).collect();
        if self.question.is_some() {
            let example = open.first().and_then(|row| row.options.first()).map_or("ANSWER", AsRef::as_ref);
            return Err(CommandError::Usage(format!(
                "the answer is missing, such as: synod answer {} q0 {example}",
                self.session
            )));
        }
        if global.json {
            output::json(&open)?;
            return Ok(Exit::Done);
        }
        let mut page = String::new();
        for row in open {
            let id = row.ask.as_deref().unwrap_or("q?");
            let options = match &row.form {
                Some(form) => form.outline(),
                None if row.options.is_empty() => "free text".to_owned(),
                None => row.options.join(", "),
            };
            page.push_str(&format!("{id}  {}\n    {options}\n", row.question.as_deref().unwrap_or(&row.reason)));
        }
        if page.is_empty() {
            page.push_str("no question is open\n");
        }
        output::text(&page)?;
        Ok(Exit::Done)
    }
}

/// The text of a file, or of standard input.
fn read(file: &Path) -> Result<String, CommandError> {
    let mut text = String::new();
    let read = match file.to_str() {
        Some("-") => std::io::stdin().take(LONGEST).read_to_string(&mut text),
        _ => File::open(file).and_then(|file| file.take(LONGEST).read_to_string(&mut text)),
    };
    read.map(|_| text).map_err(|e| CommandError::Usage(format!("--file {}: {e}", file.display())))
}

/// Answers by the ids of their questions, in the order of the file.
fn answers_of(text: &str) -> Result<Vec<(AskId, Value)>, String> {
    let Answers(answers) = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let answer = |(question, value): (String, Value)| {
        let ask = question_id(&question).map_err(|_| format!("{question} is no question's id; they look like q0"))?;
        Ok((ask, value))
    };
    answers.into_iter().map(answer).collect()
}

/// A JSON object as it is written: an answer that is there twice is seen twice.
struct Answers(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Answers {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> serde::de::Visitor<'de> for Pairs {
            type Value = Answers;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object such as {\"q0\": \"yes\"}")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Answers, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Answers(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// `q3` as an id.
fn question_id(text: &str) -> Result<AskId, CommandError> {
    let number = text.strip_prefix('q').unwrap_or(text).parse::<u32>();
    number.map(AskId).map_err(|_| CommandError::Usage(format!("{text} is no question's id; they look like q0")))
}
