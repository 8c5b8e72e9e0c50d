//! How does what a test file spells become a [`Suite`]? References are followed, short forms spelled out.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    At, Budget, Case, DecisionWant, EscalationWant, Expect, FindingWant, Loader, MAX_CASES, MessageWant, NodeWant, ScriptedReply,
    StandIn, Suite, Table, ToolAnswer, Want,
    file::{
        AnswerFile, BudgetFile, CallFile, CaseFile, DecisionFile, EndFile, EscalationsFile, ExpectFile, FailsFile, FindingFile,
        MessageFile, NeverFile, NodeFile, ReplyFile, StandFile, StandInFile, SuiteFile, WantFile,
    },
};
use crate::{
    team::{
        Code, Diagnostic,
        file::Maybe,
        read::{Named, Spot},
        scalar::{Anything, Span, Words},
        tree::{Key, quoted},
    },
    value::{Call, Failure, FailureKind, Place, Reply, Role, Stop, Usage, Value, cassette},
};

impl Loader<'_> {
    pub(super) fn resolve(&mut self, file: &Arc<str>, written: SuiteFile) -> Option<Suite> {
        let team = written.team.0.and_then(|team| self.team(file, &team.value.0, &team.place));
        let mut cases: Vec<Case> = Vec::new();
        let all = written.cases.0.unwrap_or_default();
        if let Some(first) = all.get(MAX_CASES) {
            let place =
                first.name.0.as_ref().map_or_else(|| Place { file: file.clone(), line: 0, column: 0 }, |name| name.place.clone());
            let message = format!("the file has {} cases, more than the {MAX_CASES} allowed", all.len());
            self.found.push(Diagnostic::error(Code::TooLarge, &place, message).help("divide them among several files"));
        }
        for case in all.into_iter().take(MAX_CASES) {
            let Some(case) = self.case(file, case) else { continue };
            if let Some(first) = cases.iter().find(|other| other.name == case.name) {
                let error =
                    Diagnostic::error(Code::DuplicateId, &case.place, format!("two cases are called {}", quoted(&case.name)));
                self.found.push(error.label("again").related(&first.place, "first").help("give each case a name of its own"));
            }
            cases.push(case);
        }
        Some(Suite { file: file.clone(), team: team?, cases, sources: BTreeMap::new() })
    }

    fn case(&mut self, file: &Arc<str>, written: CaseFile) -> Option<Case> {
        let name = written.name.0;
        let mut models = Vec::new();
        for (key, stand_in) in written.models.into_iter().flat_map(|named| named.entries) {
            if let Some(stand_in) = self.who(file, stand_in) {
                models.push((at(&key), stand_in));
            }
        }
        let mut tools = BTreeMap::new();
        for (key, tool) in written.tools.into_iter().flat_map(|named| named.entries) {
            let answers: Vec<ToolAnswer> = tool.0.into_iter().filter_map(|answer| self.answer(&key, answer)).collect();
            tools.insert(key.name.clone(), At { value: answers, place: key.place.clone() });
        }
        let inputs: Vec<(Key, Anything)> = written.inputs.into_iter().flat_map(|named| named.entries).collect();
        let answers = written.answers.into_iter().flat_map(|named| named.entries);
        let answers = answers.map(|(key, given)| {
            (key.name, At { value: given.0.into_iter().map(|given| given.value).collect(), place: key.place })
        });
        let (name, expect) = (name?, written.expect.0?);
        let expect = expectation(expect, &name.place);
        self.check(&expect);
        Some(Case {
            name: name.value.0.clone(),
            task: written.task.map(|task| task.0),
            input_places: inputs.iter().map(|(key, value)| (key.name.to_string(), value.place.clone())).collect(),
            inputs: inputs.into_iter().map(|(key, value)| (key.name.to_string(), value.value)).collect(),
            set: each(written.set, |set| set.0),
            real: each(written.real, |tool| tool.0),
            models,
            tools,
            answers: answers.collect(),
            expect,
            place: name.place,
        })
    }

    fn who(&mut self, file: &Arc<str>, written: StandInFile) -> Option<StandIn> {
        match written {
            StandInFile::File(path) => {
                let text = &*path.value.0;
                let (script, recording) = (text.strip_prefix("script:"), cassette(text));
                if let Some(script) = script.or(Some(text).filter(|text| text.ends_with(".rhai"))) {
                    return self.stand_in(file, script, &path.place).map(StandIn::Script);
                }
                let bare = Some((text, None)).filter(|(text, _)| text.ends_with(".jsonl"));
                if let Some((recording, role)) = recording.or(bare) {
                    let role = role.map(Role::new);
                    return self.stand_in(file, recording, &path.place).map(|name| StandIn::Recording(name, role));
                }
                let help = "write `script:PATH`, `replay:PATH`, `replay:PATH#ROLE`, or a list of replies";
                self.found.push(path.error(Code::InvalidValue, format!("{} cannot answer for a model", quoted(text))).help(help));
                None
            }
            StandInFile::Replies(replies) => Some(StandIn::Replies(self.replies(replies))),
            StandInFile::ByPlace(places) => {
                let places = places.entries.into_iter().map(|(key, replies)| (key.name, self.replies(replies)));
                Some(StandIn::ByPlace(places.collect()))
            }
        }
    }

    fn replies(&mut self, written: Vec<Spot<ReplyFile>>) -> Vec<ScriptedReply> {
        written.into_iter().filter_map(|reply| self.reply(reply)).collect()
    }

    fn reply(&mut self, written: Spot<ReplyFile>) -> Option<ScriptedReply> {
        let says_nothing = written.text.is_none() && written.calls.is_none() && written.finish.is_none();
        if says_nothing == written.fails.is_none() {
            let what = if says_nothing { "the reply says nothing" } else { "the reply both fails and says something" };
            let help = "a reply has `text`, `calls` or `finish`, or else `fails`";
            self.found.push(written.error(Code::InvalidValue, what).help(help));
            return None;
        }
        let ReplyFile { text, calls, finish, fails, usage, takes, .. } = written.value;
        let usage = usage.map_or_else(Usage::default, |usage| Usage {
            input: usage.input.map_or(0, |count| count.0),
            cached: 0,
            output: usage.output.map_or(0, |count| count.0),
            cost: usage.cost_usd.map(|cost| cost.0).unwrap_or_default(),
        });
        let calls: Vec<Call> = calls.into_iter().flatten().zip(0..).map(|(call, ix): (CallFile, u32)| called(call, ix)).collect();
        let stop = if calls.is_empty() { Stop::End } else { Stop::Calls };
        let said = Reply { text: text.map(|text| text.0), calls, finish: finish.map(value_of), stop, usage, ..Reply::default() };
        let reply = fails.map_or(Ok(said), |fails| Err(failure(fails, FailureKind::Model)));
        Some(ScriptedReply { reply, takes: span(takes) })
    }

    fn answer(&mut self, tool: &Key, written: AnswerFile) -> Option<ToolAnswer> {
        let AnswerFile { when, returns, fails, takes, effect, .. } = written;
        let result = match (returns, fails) {
            (Some(value), None) => Ok(value_of(value)),
            (None, Some(fails)) => Err(failure(fails, FailureKind::Tool)),
            (Some(_), Some(_)) | (None, None) => {
                let message = format!("what {} returns is not said, or said twice", quoted(&tool.name));
                self.found.push(tool.error(Code::InvalidValue, message).help("an answer has either `returns` or `fails`"));
                return None;
            }
        };
        Some(ToolAnswer { when: when.map(|when| when.value), result, takes: span(takes), effect: effect.map(|effect| effect.0) })
    }
}

fn at(key: &Key) -> At<Arc<str>> {
    At { value: key.name.clone(), place: key.place.clone() }
}

fn spot<T, U>(spot: Spot<T>, with: impl FnOnce(T) -> U) -> At<U> {
    At { place: spot.place, value: with(spot.value) }
}

fn words(words: Option<Words>) -> Option<Arc<str>> {
    words.map(|words| words.0)
}

fn span(takes: Option<Span>) -> Duration {
    takes.map_or(Duration::ZERO, |span| span.0)
}

fn value_of(value: Maybe) -> Value {
    value.0.value
}

fn called(call: CallFile, ix: u32) -> Call {
    let args = call.args.map_or_else(|| Value::map::<String>([]), |args| args.value);
    Call { id: Arc::from(format!("call_{ix}")), tool: call.tool.0, args }
}

fn failure(written: FailsFile, kind: FailureKind) -> Failure {
    Failure::new(written.0.kind.map_or(kind, |kind| kind.0), &written.0.message.0)
}

fn expectation(written: ExpectFile, place: &Place) -> Expect {
    let mut none = Vec::new();
    let mut expect = Expect {
        status: At { value: "completed", place: place.clone() },
        failure: written.failure.map(|failure| spot(failure, |words| words.0)),
        output: written.output.map(want),
        variables: wants(written.variables),
        nodes: written.nodes.into_iter().flat_map(|named| named.entries).map(|(key, node)| (at(&key), node_want(node))).collect(),
        order: each(written.order, |chain| chain.into_iter().map(|node| node.0).collect()),
        messages: table(Table::Messages, written.messages, message, &mut none),
        in_order: each(written.messages_in_order, message),
        findings: table(Table::Findings, written.findings, finding, &mut none),
        decisions: table(Table::Decisions, written.decisions, decision, &mut none),
        escalation_count: None,
        escalations: Vec::new(),
        calls: written
            .calls
            .into_iter()
            .flat_map(|named| named.entries)
            .map(|(key, count)| (key.name, spot(count, |count| count.0)))
            .collect(),
        budget: written.budget.map(budget).unwrap_or_default(),
        never_calls: Vec::new(),
        never_messages: Vec::new(),
        never_nodes: Vec::new(),
        none,
    };
    if let Some(status) = written.status {
        expect.status = spot(status, end);
    }
    match written.escalations {
        Some(Spot { value: EscalationsFile::Count(count), place, .. }) => {
            expect.escalation_count = Some(At { value: count.0, place });
        }
        Some(Spot { value: EscalationsFile::These(these), place, .. }) if these.is_empty() => {
            expect.escalation_count = Some(At { value: 0, place });
        }
        Some(Spot { value: EscalationsFile::These(these), .. }) => {
            expect.escalations = each(Some(these), |row| EscalationWant {
                node: words(row.node),
                from: words(row.from),
                to: words(row.to),
                cause: words(row.cause),
                contains: words(row.contains),
            });
        }
        None => {}
    }
    if let Some(NeverFile { calls, messages, nodes, .. }) = written.never {
        expect.never_calls = each(calls, |call| (call.0.tool.0, call.0.args.map(|args| args.value)));
        expect.never_messages = each(messages, message);
        expect.never_nodes = each(nodes, |node| node.0);
    }
    expect
}

fn each<T, U>(written: Option<Vec<Spot<T>>>, with: impl Fn(T) -> U) -> Vec<At<U>> {
    written.into_iter().flatten().map(|item| spot(item, &with)).collect()
}

/// What is expected of a table; an empty list is noted among those in which there is nothing.
fn table<T, U>(name: Table, written: Option<Spot<Vec<Spot<T>>>>, with: impl Fn(T) -> U, none: &mut Vec<At<Table>>) -> Vec<At<U>> {
    let Some(Spot { value, place, .. }) = written else { return Vec::new() };
    if value.is_empty() {
        none.push(At { value: name, place });
    }
    each(Some(value), with)
}

fn finding(written: FindingFile) -> FindingWant {
    FindingWant {
        agent: words(written.agent),
        topic: words(written.topic),
        value: written.value.map(want),
        contains: words(written.contains),
    }
}

fn decision(written: DecisionFile) -> DecisionWant {
    DecisionWant {
        topic: words(written.topic),
        outcome: written.outcome.map(want),
        by: words(written.by),
        dissent: written.dissent.map(|roles| roles.into_iter().map(|role| role.0).collect()),
    }
}

fn wants(written: Option<Named<Spot<WantFile>>>) -> Vec<(Arc<str>, Want)> {
    written.into_iter().flat_map(|named| named.entries).map(|(key, value)| (key.name, want(value))).collect()
}

fn want(written: Spot<WantFile>) -> Want {
    let place = written.place;
    match written.value {
        WantFile::Is(value) => Want { place, is: Some(value.value), contains: None, matches: None, at: Vec::new() },
        WantFile::Like(map) => Want {
            place,
            is: map.is.map(value_of),
            contains: map.contains.map(|value| value.value),
            matches: map.matches.map(|value| value.value),
            at: wants(map.at),
        },
    }
}

fn node_want(written: Spot<NodeFile>) -> NodeWant {
    let map = written.value.0;
    NodeWant { status: map.status.map(stand), output: map.output.map(want), failure: words(map.failure) }
}

fn message(written: MessageFile) -> MessageWant {
    MessageWant {
        from: words(written.from),
        to: words(written.to),
        kind: written.r#type.map(|kind| kind.0),
        contains: words(written.contains),
    }
}

fn budget(written: BudgetFile) -> Budget {
    let count = |count: Option<Spot<crate::team::file::Count>>| count.map(|count| spot(count, |count| count.0));
    Budget {
        turns: count(written.turns),
        model_calls: count(written.model_calls),
        tool_calls: count(written.tool_calls),
        tokens: count(written.tokens),
        cost: written.cost_usd.map(|cost| spot(cost, |cost| cost.0)),
    }
}

fn end(end: EndFile) -> &'static str {
    match end {
        EndFile::Completed => "completed",
        EndFile::Failed => "failed",
        EndFile::Parked => "parked",
        EndFile::OutOfBudget => "out_of_budget",
        EndFile::Cancelled => "cancelled",
    }
}

fn stand(stand: StandFile) -> &'static str {
    match stand {
        StandFile::Ok => "ok",
        StandFile::Failed => "failed",
        StandFile::TimedOut => "timed_out",
        StandFile::Skipped => "skipped",
        StandFile::Cancelled => "cancelled",
        StandFile::Pending => "pending",
        StandFile::Absent => "absent",
    }
}
