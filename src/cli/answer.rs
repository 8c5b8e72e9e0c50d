//! `synod answer`: what a person says to an open question.

use clap::Args;

use super::{CommandError, Exit, Global, Outcome, live, output, runtime};
use crate::{
    report::Report,
    value::{AskId, Value},
};

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
    /// Who answers; the user otherwise
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl Answer {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let engine = global.engine()?;
        let session = global.session(&engine, &self.session)?;
        let (Some(question), Some(answer)) = (&self.question, &self.answer) else {
            let report = Report::of(&engine.store().read_all(session)?)?;
            return self.list(&report, global);
        };
        let ask = question_id(question)?;
        let by = self.by.clone().unwrap_or_else(|| global.user.clone());
        runtime()?.block_on(async {
            match engine.answer(session, ask, Value::text(answer), by).await? {
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

/// `q3` as an id.
fn question_id(text: &str) -> Result<AskId, CommandError> {
    let number = text.strip_prefix('q').unwrap_or(text).parse::<u32>();
    number.map(AskId).map_err(|_| CommandError::Usage(format!("{text} is no question's id; they look like q0")))
}
