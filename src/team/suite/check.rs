//! Can an expectation fail, and can it be met? What cannot is a mistake of whoever wrote it.

use super::{Expect, Loader, Want};
use crate::{
    team::{Code, Diagnostic, tree::quoted},
    value::Place,
};

impl Loader<'_> {
    /// Refuses what no run can meet, and what every run meets.
    pub(super) fn check(&mut self, expect: &Expect) {
        for chain in expect.order.iter().filter(|chain| chain.value.len() < 2) {
            let error = Diagnostic::error(Code::InvalidValue, &chain.place, "a chain of fewer than two nodes is in any order");
            self.found.push(error.help("name at least two nodes, the first first"));
        }
        let of_nodes = expect.nodes.iter().filter_map(|(_, node)| node.output.as_ref());
        let of_findings = expect.findings.iter().filter_map(|finding| finding.value.value.as_ref());
        let of_decisions = expect.decisions.iter().filter_map(|decision| decision.value.outcome.as_ref());
        let variables = expect.variables.iter().map(|(_, want)| want);
        for want in expect.output.iter().chain(variables).chain(of_nodes).chain(of_findings).chain(of_decisions) {
            self.check_want(want);
        }
    }

    fn check_want(&mut self, want: &Want) {
        let mut wrong = |place: &Place, message: String, help: &str| {
            self.found.push(Diagnostic::error(Code::InvalidValue, place, message).help(help));
        };
        if let Some(schema) = &want.matches
            && let Err(why) = jsonschema::validator_for(&schema.to_json())
        {
            let message = format!("`matches` is no JSON Schema: {why}");
            wrong(&want.place, message, "such as `{ type: object, required: [service] }`");
        }
        if want.is.is_none() && want.contains.is_none() && want.matches.is_none() && want.at.is_empty() {
            let message = "it expects nothing of the value".to_owned();
            wrong(&want.place, message, "write `is`, `contains`, `matches`, or parts below `at`");
        }
        for (pointer, part) in &want.at {
            if !pointer.starts_with('/') {
                let message = format!("{} is no JSON pointer", quoted(pointer));
                wrong(&part.place, message, &format!("write `/{pointer}`"));
            }
        }
        want.at.iter().for_each(|(_, part)| self.check_want(part));
    }
}
