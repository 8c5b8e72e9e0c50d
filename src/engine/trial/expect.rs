//! Did what was expected come of a run? [`unmet`] says everything that did not.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{
    stage::Made,
    words::{NONE, decision_of, escalation_of, finding_of, line, listed, said, shown, shown_text, words_of},
};
use crate::{
    event::{Event, Outcome, Record},
    report::{MessageRow, Report, messages},
    state::State,
    team::{At, DecisionWant, EscalationWant, Expect, FindingWant, MessageWant, NodeWant, Table, Want, nearest},
    value::{NodeIx, Place, Seq, Value},
};
use serde::Serialize;

/// Something that was expected and is not so.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unmet {
    /// Where it is expected.
    #[serde(flatten)]
    pub place: Place,
    /// What, such as `output/service`.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What there is.
    pub got: String,
}

/// What a run came to.
pub(super) struct Came<'r> {
    pub(super) report: &'r Report,
    pub(super) state: &'r State,
    pub(super) records: &'r [Record],
    pub(super) made: &'r [Made],
    /// Whether a value fits a JSON Schema, and why not.
    pub(super) fits: &'r dyn Fn(&Value, &Value) -> Result<(), String>,
}

/// All that is expected and is not so.
pub(super) fn unmet(expect: &Expect, came: &Came<'_>) -> Vec<Unmet> {
    let mut found = Found { came, unmet: Vec::new() };
    found.end(expect);
    found.values(expect);
    found.nodes(expect);
    found.said(expect);
    found.settled(expect);
    found.nothing(expect);
    found.spent(expect);
    found.never(expect);
    found.unmet
}

struct Found<'r, 'c> {
    came: &'c Came<'r>,
    unmet: Vec<Unmet>,
}

impl Found<'_, '_> {
    fn add(&mut self, place: &Place, what: impl Into<String>, expected: impl Into<String>, got: impl Into<String>) {
        self.unmet.push(Unmet { place: place.clone(), what: what.into(), expected: expected.into(), got: got.into() });
    }

    fn end(&mut self, expect: &Expect) {
        let report = self.came.report;
        let wanted = &expect.status;
        let status = report.status.name();
        let why = report.failure.as_ref().map(ToString::to_string);
        if status != wanted.value {
            let open: Vec<String> = self.came.state.asks.values().map(|ask| shown_text(&ask.question)).collect();
            let got = match (&why, open.is_empty()) {
                (Some(why), _) => format!("{status}: {why}"),
                (None, false) => format!("{status}, with open questions: {}", open.join("; ")),
                (None, true) => status.to_owned(),
            };
            self.add(&wanted.place, "status", wanted.value, got);
        }
        if let Some(words) = &expect.failure {
            let why = why.unwrap_or_default();
            if !why.contains(&*words.value) {
                let got = if why.is_empty() { "no failure".to_owned() } else { why };
                self.add(&words.place, "failure", format!("words: {}", words.value), got);
            }
        }
    }

    fn values(&mut self, expect: &Expect) {
        if let Some(want) = &expect.output {
            let output = self.came.report.output.clone();
            self.value("output", want, Some(&output));
        }
        for (name, want) in &expect.variables {
            let value = self.came.report.variables.get(&**name).cloned();
            self.value(&format!("variables/{name}"), want, value.as_ref());
        }
    }

    fn value(&mut self, what: &str, want: &Want, value: Option<&Value>) {
        for (what, place, expected, got) in differences(what, want, value, self.came.fits) {
            self.add(&place, what, expected, got);
        }
    }

    fn nodes(&mut self, expect: &Expect) {
        for (path, want) in &expect.nodes {
            self.node(path, want);
        }
        for chain in &expect.order {
            for pair in chain.value.windows(2) {
                let what = format!("order/{} before {}", pair[0], pair[1]);
                let (ended, begun) = (self.ended(&pair[0]), self.begun(&pair[1]));
                match (ended, begun) {
                    (Some(ended), Some(begun)) if ended < begun => {}
                    (Some(ended), Some(begun)) => {
                        let got = format!("{} ended at record {ended}, {} began at record {begun}", pair[0], pair[1]);
                        self.add(&chain.place, what, format!("{} ends before {} begins", pair[0], pair[1]), got);
                    }
                    (None, _) => {
                        let got = self.not_so(&pair[0], "never ended");
                        self.add(&chain.place, what, format!("{} ends", pair[0]), got);
                    }
                    (_, None) => {
                        let got = self.not_so(&pair[1], "never began");
                        self.add(&chain.place, what, format!("{} begins", pair[1]), got);
                    }
                }
            }
        }
    }

    fn node(&mut self, path: &At<Arc<str>>, want: &NodeWant) {
        let state = self.came.state;
        let found = state.find(&path.value);
        let what = format!("nodes/{}", path.value);
        if let Some(wanted) = want.status {
            let status = found.map_or("absent", |node| state.status_name(node));
            if status != wanted {
                let got = if found.is_none() { self.not_so(&path.value, "absent") } else { status.to_owned() };
                let why = found.and_then(|node| state.outcome(node)).map(why).unwrap_or_default();
                self.add(&path.place, what.clone(), wanted, format!("{got}{why}"));
            }
        }
        if let Some(want) = &want.output {
            let output = found.map(|node| state.output(node));
            self.value(&format!("{what}/output"), want, output.as_ref());
        }
        if let Some(words) = &want.failure {
            let why = match found.and_then(|node| state.outcome(node)) {
                Some(Outcome::Failed(failure)) => failure.to_string(),
                Some(Outcome::Ok(_) | Outcome::Skipped(_) | Outcome::Cancelled) | None => String::new(),
            };
            if !why.contains(&**words) {
                let got = if why.is_empty() { "no failure".to_owned() } else { why };
                self.add(&path.place, format!("{what}/failure"), format!("words: {words}"), got);
            }
        }
    }

    /// What is so of a node, with the nearest name where there is none.
    fn not_so(&self, path: &str, so: &str) -> String {
        let state = self.came.state;
        if state.find(path).is_some() {
            return format!("{path} {so}");
        }
        let paths = paths(state);
        let near = nearest(path, paths.iter().map(AsRef::as_ref)).map(|near| format!("; did you mean `{near}`?"));
        let known = || format!("; there are {}", listed(paths.iter().map(ToString::to_string)));
        format!("there is no node {path}{}", near.unwrap_or_else(known))
    }

    fn ended(&self, path: &str) -> Option<Seq> {
        let node = self.came.state.find(path)?;
        let is = |event: &Event| match event {
            Event::NodeEnded { outcome: Outcome::Skipped(_), .. } => false,
            Event::NodeEnded { node: ended, .. } => *ended == node,
            _ => false,
        };
        self.came.records.iter().find(|record| is(&record.event)).map(|record| record.seq)
    }

    fn begun(&self, path: &str) -> Option<Seq> {
        let wanted = self.came.state.find(path)?;
        let is = |event: &Event| match event {
            Event::NodeStarted { node, .. } | Event::ScopeOpened { node, .. } => *node == wanted,
            Event::NodeEnded { node, outcome: Outcome::Ok(_) } => *node == wanted,
            _ => false,
        };
        self.came.records.iter().find(|record| is(&record.event)).map(|record| record.seq)
    }

    fn said(&mut self, expect: &Expect) {
        let rows = messages(self.came.state);
        for nth in unpaired(&expect.messages, &rows, &is_said) {
            let want = &expect.messages[nth];
            self.add(&want.place, format!("messages/{nth}"), words_of(&want.value), said(&rows));
        }
        let mut rest = rows.as_slice();
        for (nth, want) in expect.in_order.iter().enumerate() {
            match rest.iter().position(|row| is_said(row, &want.value)) {
                Some(at) => rest = &rest[at + 1..],
                None => {
                    let earlier = rows.iter().any(|row| is_said(row, &want.value));
                    let got = if earlier { "it is said, but earlier".to_owned() } else { said(&rows) };
                    self.add(&want.place, format!("messages_in_order/{nth}"), words_of(&want.value), got);
                }
            }
        }
    }

    fn settled(&mut self, expect: &Expect) {
        let (report, fits) = (self.came.report, self.came.fits);
        for nth in unpaired(&expect.findings, &report.findings, &|row, want| is_found(row, want, fits)) {
            let want = &expect.findings[nth];
            self.add(&want.place, format!("findings/{nth}"), finding_of(&want.value), findings(report));
        }
        for nth in unpaired(&expect.decisions, &report.decisions, &|row, want| is_decided(row, want, fits)) {
            let want = &expect.decisions[nth];
            self.add(&want.place, format!("decisions/{nth}"), decision_of(&want.value), decisions(report));
        }
        let rows = || {
            let row = |row: &crate::report::EscalationRow| {
                format!("{} to {} ({}): {}", row.node, row.to, row.cause.unwrap_or("no policy"), shown_text(&row.reason))
            };
            listed(report.escalations.iter().map(row))
        };
        if let Some(count) = &expect.escalation_count
            && count.value != report.escalations.len() as u64
        {
            self.add(&count.place, "escalations", count.value.to_string(), format!("{}: {}", report.escalations.len(), rows()));
        }
        for nth in unpaired(&expect.escalations, &report.escalations, &is_escalated) {
            let want = &expect.escalations[nth];
            self.add(&want.place, format!("escalations/{nth}"), escalation_of(&want.value), rows());
        }
    }

    fn nothing(&mut self, expect: &Expect) {
        let report = self.came.report;
        for table in &expect.none {
            let got = match table.value {
                Table::Messages => said(&messages(self.came.state)),
                Table::Findings => findings(report),
                Table::Decisions => decisions(report),
            };
            if got != NONE {
                self.add(&table.place, table.value.name(), NONE, got);
            }
        }
    }

    fn spent(&mut self, expect: &Expect) {
        for (tool, count) in &expect.calls {
            let made = self.came.made.iter().filter(|made| made.effect.is_some() && made.what == *tool).count() as u64;
            if made != count.value {
                let mut known: Vec<String> =
                    self.came.made.iter().filter(|made| made.effect.is_some()).map(|made| made.what.to_string()).collect();
                known.dedup();
                let got = if made == 0 { format!("0; called were {}", listed(known.into_iter())) } else { made.to_string() };
                self.add(&count.place, format!("calls/{tool}"), count.value.to_string(), got);
            }
        }
        let (metrics, budget) = (&self.came.report.metrics, &expect.budget);
        let counts = [
            ("turns", &budget.turns, metrics.turns),
            ("model_calls", &budget.model_calls, metrics.model_calls),
            ("tool_calls", &budget.tool_calls, metrics.tool_calls),
            ("tokens", &budget.tokens, metrics.tokens),
        ];
        for (what, most, spent) in counts {
            if let Some(most) = most.as_ref().filter(|most| spent > most.value) {
                self.add(&most.place, format!("budget/{what}"), format!("at most {}", most.value), spent.to_string());
            }
        }
        if let Some(most) = budget.cost.as_ref().filter(|most| metrics.cost_usd > most.value.dollars()) {
            let (place, expected) = (most.place.clone(), format!("at most ${}", most.value.dollars()));
            self.add(&place, "budget/cost_usd", expected, format!("${}", metrics.cost_usd));
        }
    }

    fn never(&mut self, expect: &Expect) {
        for call in &expect.never_calls {
            let (tool, args) = &call.value;
            let fits = |made: &&Made| {
                made.effect.is_some() && made.what == *tool && args.as_ref().is_none_or(|args| contains(&made.args, args))
            };
            if let Some(made) = self.came.made.iter().find(fits) {
                let got = format!("{tool} was called with {}", shown(Some(&made.args)));
                self.add(&call.place, "never/calls", format!("no such call of {tool}"), got);
            }
        }
        let rows = messages(self.came.state);
        for want in &expect.never_messages {
            if let Some(row) = rows.iter().find(|row| is_said(row, &want.value)) {
                self.add(&want.place, "never/messages", format!("no {}", words_of(&want.value)), line(row));
            }
        }
        for node in &expect.never_nodes {
            if let Some(at) = self.begun(&node.value) {
                self.add(
                    &node.place,
                    "never/nodes",
                    format!("{} does not begin", node.value),
                    format!("it began at record {at}"),
                );
            }
        }
    }
}

/// Which of the expectations have no row of their own, each row meeting one of them at most.
fn unpaired<W, R>(wants: &[At<W>], rows: &[R], meets: &dyn Fn(&R, &W) -> bool) -> Vec<usize> {
    let fitting = |want: &At<W>| (0..rows.len()).filter(|row| meets(&rows[*row], &want.value)).collect();
    let fitting: Vec<Vec<usize>> = wants.iter().map(fitting).collect();
    let (mut row_of, mut want_of) = (BTreeMap::new(), BTreeMap::new());
    (0..wants.len()).filter(|want| !pair(*want, &fitting, &mut row_of, &mut want_of)).collect()
}

/// Finds a row for an expectation; whoever has it takes another one, where there is one.
fn pair(want: usize, fitting: &[Vec<usize>], row_of: &mut BTreeMap<usize, usize>, want_of: &mut BTreeMap<usize, usize>) -> bool {
    let (mut asked_by, mut queue) = (BTreeMap::new(), VecDeque::from([want]));
    while let Some(want) = queue.pop_front() {
        for &row in &fitting[want] {
            if asked_by.contains_key(&row) {
                continue;
            }
            asked_by.insert(row, want);
            if let Some(other) = want_of.get(&row) {
                queue.push_back(*other);
                continue;
            }
            // It is free: from the last to the first each takes the row that it asked for.
            let mut free = Some(row);
            while let Some(row) = free {
                let want = asked_by[&row];
                free = row_of.insert(want, row);
                want_of.insert(row, want);
            }
            return true;
        }
    }
    false
}

fn findings(report: &Report) -> String {
    listed(report.findings.iter().map(|row| format!("{} on {}: {}", row.agent, row.topic, shown(Some(&row.value)))))
}

fn decisions(report: &Report) -> String {
    listed(report.decisions.iter().map(|row| {
        let dissent: Vec<&str> = row.dissent.iter().map(|role| role.as_str()).collect();
        format!("{}: {} by {}, dissent [{}]", row.topic, shown(Some(&row.outcome)), row.rule, dissent.join(", "))
    }))
}

fn why(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(failure) => format!(": {failure}"),
        Outcome::Ok(_) | Outcome::Skipped(_) | Outcome::Cancelled => String::new(),
    }
}

fn paths(state: &State) -> Vec<Arc<str>> {
    (0..state.nodes.len()).filter_map(|ix| u32::try_from(ix).ok()).map(|ix| state.path(NodeIx(ix))).collect()
}

type Difference = (String, Place, String, String);

/// What a value is not like.
fn differences(
    what: &str,
    want: &Want,
    value: Option<&Value>,
    fits: &dyn Fn(&Value, &Value) -> Result<(), String>,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut add = |expected: String, got: String| found.push((what.to_owned(), want.place.clone(), expected, got));
    if let Some(is) = &want.is
        && !value.is_some_and(|value| same(value, is))
    {
        add(shown(Some(is)), shown(value));
    }
    if let Some(part) = &want.contains
        && !value.is_some_and(|value| contains(value, part))
    {
        add(format!("something that contains {}", shown(Some(part))), shown(value));
    }
    if let Some(schema) = &want.matches
        && let Err(why) = value.map_or_else(|| Err("there is nothing".to_owned()), |value| fits(schema, value))
    {
        add(format!("something that fits {}", shown(Some(schema))), format!("{} ({why})", shown(value)));
    }
    for (pointer, want) in &want.at {
        let json = value.map(Value::to_json);
        let part = json.as_ref().and_then(|json| json.pointer(pointer)).cloned().and_then(|part| Value::try_from(part).ok());
        found.extend(differences(&format!("{what}{pointer}"), want, part.as_ref(), fits));
    }
    found
}

/// Whether two values are the same; an integer and a float of the same amount are.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|((k, a), (l, b))| k == l && same(a, b))
        }
        (Value::Int(_), Value::Float(_)) | (Value::Float(_), Value::Int(_)) => a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

/// Whether `part` is in `whole`: a part of a text, an item of a list, entries of a map, at any depth.
pub(super) fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Text(whole), Value::Text(part)) => whole.contains(&**part),
        (Value::Map(whole), Value::Map(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| contains(whole, part)))
        }
        (Value::List(whole), Value::List(parts)) => parts.iter().all(|part| whole.iter().any(|item| contains(item, part))),
        (Value::List(whole), part) => whole.iter().any(|item| contains(item, part)),
        (whole, part) => same(whole, part),
    }
}

fn is_said(row: &MessageRow, want: &MessageWant) -> bool {
    let from = row.from.as_ref().map_or("synod", |role| role.as_str());
    let to = row.to.as_ref().map_or("all", |role| role.as_str());
    want.from.as_ref().is_none_or(|wanted| **wanted == *from)
        && want.to.as_ref().is_none_or(|wanted| **wanted == *to)
        && want.kind.is_none_or(|wanted| wanted == row.kind)
        && want.contains.as_ref().is_none_or(|words| row.content.contains(&**words))
}

fn is_found(row: &crate::report::FindingRow, want: &FindingWant, fits: &dyn Fn(&Value, &Value) -> Result<(), String>) -> bool {
    want.agent.as_ref().is_none_or(|agent| **agent == *row.agent.as_str())
        && want.topic.as_ref().is_none_or(|topic| *topic == row.topic)
        && want.contains.as_ref().is_none_or(|words| row.claim.contains(&**words))
        && want.value.as_ref().is_none_or(|want| differences("", want, Some(&row.value), fits).is_empty())
}

fn is_decided(
    row: &crate::report::DecisionRow,
    want: &DecisionWant,
    fits: &dyn Fn(&Value, &Value) -> Result<(), String>,
) -> bool {
    let dissent = |wanted: &Vec<Arc<str>>| {
        wanted.len() == row.dissent.len() && row.dissent.iter().all(|role| wanted.iter().any(|name| **name == *role.as_str()))
    };
    want.topic.as_ref().is_none_or(|topic| *topic == row.topic)
        && want.by.as_ref().is_none_or(|by| *by == row.rule)
        && want.dissent.as_ref().is_none_or(dissent)
        && want.outcome.as_ref().is_none_or(|want| differences("", want, Some(&row.outcome), fits).is_empty())
}

fn is_escalated(row: &crate::report::EscalationRow, want: &EscalationWant) -> bool {
    let words = |words: &Arc<str>| {
        row.reason.contains(&**words) || row.question.as_ref().is_some_and(|question| question.contains(&**words))
    };
    want.node.as_ref().is_none_or(|node| *node == row.node)
        && want.from.as_ref().is_none_or(|from| row.from.as_ref().is_some_and(|role| *role.as_str() == **from))
        && want.to.as_ref().is_none_or(|to| **to == *row.to)
        && want.cause.as_ref().is_none_or(|cause| row.cause == Some(&**cause))
        && want.contains.as_ref().is_none_or(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        Value::try_from(serde_json::from_str::<serde_json::Value>(json).unwrap()).unwrap()
    }

    #[test]
    fn each_row_meets_one_expectation_and_whoever_can_have_another_row_gives_way() {
        let wants: Vec<At<&str>> = ["", "a", ""].map(|value| At { value, place: Place::default() }).into();
        let meets = |row: &&str, want: &&str| row.contains(want);
        assert_eq!(unpaired(&wants, &["a", "b", "c"], &meets), Vec::<usize>::new());
        assert_eq!(unpaired(&wants[..2], &["a", "b"], &meets), Vec::<usize>::new(), "the first of both takes the second row");
        assert_eq!(unpaired(&wants, &["a", "b"], &meets), [2]);
        assert_eq!(unpaired(&wants[..2], &["b", "b"], &meets), [1]);
    }

    #[test]
    fn a_part_is_found_at_any_depth_and_numbers_are_compared_by_amount() {
        let check = |whole: &str, part: &str, expected| {
            assert_eq!(contains(&value(whole), &value(part)), expected, "{part} in {whole}");
        };
        check(r#""a text""#, r#""tex""#, true);
        check(r#"{ "a": { "b": [1, { "c": 2 }] }, "d": 3 }"#, r#"{ "a": { "b": { "c": 2.0 } } }"#, true);
        check(r#"{ "a": 1 }"#, r#"{ "a": 1, "b": 2 }"#, false);
        check(r#"["one", "two"]"#, r#"["two", "one"]"#, true);
        check(r#"["one"]"#, r#"["one", "two"]"#, false);
        check("1", "1.0", true);
        check(r#""1""#, "1", false);
        assert!(!same(&value("[1, 2]"), &value("[2, 1]")) && same(&value(r#"{ "a": [1] }"#), &value(r#"{ "a": [1.0] }"#)));
    }
}
