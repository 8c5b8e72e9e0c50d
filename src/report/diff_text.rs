//! How does a person read a [`Diff`]?

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::{
    Difference, NodeSide,
    diff::{About, Diff, Side},
};

/// Characters of a value that a line shows.
const SHOWN: usize = 200;
/// Differences that are listed; JSON has them all.
const LISTED: usize = 60;

impl Diff {
    /// It as text: what differed first, the differences, what both took, and a table of the nodes.
    pub fn text(&self) -> String {
        let mut page = String::new();
        self.write(&mut page).expect("writing to a string cannot fail");
        page
    }

    fn write(&self, page: &mut String) -> std::fmt::Result {
        writeln!(page, "a: {}\nb: {}", side(&self.a), side(&self.b))?;
        if let Some(last) = self.shared.checked_sub(1) {
            writeln!(page, "they share their past up to record {last}")?;
        }
        match &self.first {
            None => writeln!(page, "\nnothing differs")?,
            Some(first) => writeln!(page, "\ndiffered first: {first}")?,
        }
        if self.differences.len() > 1 {
            writeln!(page, "\nall differences, as they came:")?;
            for difference in self.differences.iter().take(LISTED) {
                writeln!(page, "- {difference}")?;
            }
            if let Some(more) = self.differences.len().checked_sub(LISTED).filter(|more| *more > 0) {
                writeln!(page, "- and {more} more, which --json lists")?;
            }
        }
        if self.nodes.is_empty() {
            return Ok(());
        }
        writeln!(page, "\n| node | a | b | output |\n|---|---|---|---|")?;
        for node in &self.nodes {
            let same = if node.same_output { "same" } else { "differs" };
            writeln!(page, "| {} | {} | {} | {same} |", node.node, cell(node.a.as_ref()), cell(node.b.as_ref()))?;
        }
        Ok(())
    }
}

fn side(side: &Side) -> String {
    let Side { session, status, turns, model_calls, tool_calls, tokens, cost_usd, makespan_ms } = side;
    format!(
        "{session} {status}, {turns} turns, {model_calls} model calls, {tool_calls} tool calls, {tokens} tokens, ${cost_usd:.4}, {makespan_ms:.1} ms"
    )
}

fn cell(side: Option<&NodeSide>) -> String {
    let Some(side) = side else { return "-".to_owned() };
    let turns = if side.turns > 0 { format!(", {} turns", side.turns) } else { String::new() };
    let paid = if side.tokens > 0 { format!(", {} tokens, ${:.4}", side.tokens, side.cost_usd) } else { String::new() };
    let reused = if side.reused { ", taken over" } else { "" };
    format!("{}{turns}{paid}, {:.0} ms{reused}", side.status, side.busy_ms)
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.about {
            About::Task => "the task",
            About::Input => "the input",
            About::File => "the file",
            About::Profile => "the profile",
            About::Model => "the model",
            About::Plan => "the plan's",
            About::Fork => "the fork sets",
            About::Request => "what was asked in",
            About::Reply => "the reply in",
            About::Call => "the result in",
            About::Verdict => "the verdict of",
            About::Finding => "the finding on",
            About::Answer => "the answer of a person",
            About::Decision => "the decision on",
            About::Output => "the output",
            About::Result => "the result",
        };
        f.write_str(what)?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        if let Some(node) = &self.node {
            write!(f, " of {node}")?;
        }
        if self.about == About::Request && self.a.is_some() && self.b.is_some() {
            return write!(f, ": another {}", self.parts().join(", "));
        }
        write!(f, ": {} | {}", shown(self.a.as_ref()), shown(self.b.as_ref()))
    }
}

impl Difference {
    /// The parts of a request that differ.
    fn parts(&self) -> Vec<&str> {
        let (Some(Json::Object(a)), Some(Json::Object(b))) = (&self.a, &self.b) else { return vec!["request"] };
        a.iter().filter(|(part, digits)| b.get(*part) != Some(digits)).map(|(part, _)| part.as_str()).collect()
    }
}

/// A value as a sentence shows it; `nothing` where there is none.
pub(crate) fn shown(value: Option<&Json>) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
