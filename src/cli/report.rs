//! `synod report`: what came of a session.

use clap::{Args, ValueEnum};

use super::{Exit, Global, Outcome, output};
use crate::{
    engine::Engine,
    event::Record,
    report::{Report, growth, talk},
    value::SessionId,
};

/// How a report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Markdown,
    /// For machines
    Json,
    /// A sequence diagram in Mermaid: who said what to whom
    Mermaid,
    /// A flowchart in Mermaid: the plan as it grew, and what became of each node
    MermaidPlan,
}

/// Show what came of a session
#[derive(Debug, Args)]
pub(super) struct ReportCommand {
    /// The session's id, or the beginning of it
    session: String,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Markdown)]
    format: Format,
}

impl ReportCommand {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let engine = global.engine()?;
        let session = global.session(&engine, &self.session)?;
        let (records, exit) = global.records(&engine, session)?;
        match self.format {
            Format::Mermaid if !global.json => output::text(&talk(&records)?)?,
            Format::MermaidPlan if !global.json => output::text(&growth(&records)?)?,
            Format::Markdown | Format::Json | Format::Mermaid | Format::MermaidPlan => {
                return self.report(global, &engine, session, &records, exit);
            }
        }
        Ok(exit)
    }

    fn report(&self, global: &Global, engine: &Engine, session: SessionId, records: &[Record], exit: Exit) -> Outcome {
        let mut report = Report::of(records)?;
        if engine.store().row(session)?.is_interrupted() {
            report = report.left_alone();
        }
        if exit == Exit::Failed {
            report
                .warnings
                .insert(0, format!("the journal is damaged after record {}: this is what stands before", records.len() - 1));
        }
        if global.json || self.format == Format::Json {
            output::json(&report)?;
        } else {
            output::text(&report.markdown())?;
        }
        Ok(exit)
    }
}
