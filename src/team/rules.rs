//! How does a team work together, and what does it take and give? What a team file says beside its agents and nodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Code, Coordination, Diagnostic, InputKind, InputSpec, Pattern, ResultBy, Text,
    detect::DetectFile,
    file::{self, CheckFile, InputFile, LettersFile, ResultFile, ResultWord, RulesFile, StepFile, ValidateFile},
    node_file::RetryFile,
    profile::{LETTER_NAMES, check_template},
    read::{Found, Named, OneOrMany, Spot},
    resolve::{COORDINATOR, role_of, roles_of},
    scalar::{Id, Whole, Words, describe, id_help, is_id},
    suggest::count as counted,
    tree::quoted,
};
use crate::{
    graph::{Backoff, Detect, EscalationPolicy, EscalationStep, Limits, Retry, Untrusted},
    value::{MessageKind, Role, Value},
};

/// How often something is tried.
pub(super) fn retry(written: Option<&RetryFile>) -> Option<Retry> {
    use super::node_file::{DEFAULT_BACKOFF_FACTOR, DEFAULT_BACKOFF_FIRST, DEFAULT_BACKOFF_MAX};
    let default = Backoff { first: DEFAULT_BACKOFF_FIRST, factor: DEFAULT_BACKOFF_FACTOR, max: DEFAULT_BACKOFF_MAX };
    written.map(|w| Retry {
        max_attempts: w.max_attempts.count(),
        backoff: w.backoff.as_ref().map_or(default, |b| b.0),
        on: w.on.as_ref().map_or_else(Vec::new, |on| on.0.clone()),
    })
}

/// How a team works together, defaults filled in; `workers` are its members by priority.
pub(super) fn coordination(written: &RulesFile, roles: &BTreeSet<Role>, workers: Vec<Role>, found: &mut Found) -> Coordination {
    let or = |count: Option<file::Positive>, default: u32| count.map_or(default, Whole::count);
    let or0 = |count: Option<file::Count>, default: u32| count.map_or(default, Whole::count);
    let steps = u32::try_from(workers.len().saturating_sub(1)).unwrap_or(u32::MAX);
    Coordination {
        parallel_execution: written.parallel_execution.unwrap_or(true),
        quorum: quorum(written, workers.len(), found),
        stragglers: written.stragglers.unwrap_or_default(),
        deadline: written.deadline_seconds.map(|span| span.0),
        timeout_per_agent: written
            .timeout_per_agent_seconds
            .map_or(Duration::from_secs(file::DEFAULT_TIMEOUT_SECONDS), |span| span.0),
        escalation_policy: escalation_policy(written.escalation_policy.as_ref(), found),
        validate: match &written.validate {
            None | Some(ValidateFile::All(false)) => Vec::new(),
            Some(ValidateFile::All(true)) => workers,
            Some(ValidateFile::Roles(ids)) => roles_of(ids, roles, found),
        },
        max_revisions: or0(written.max_revisions, file::DEFAULT_MAX_REVISIONS),
        max_tasks: or(written.max_tasks, file::DEFAULT_MAX_TASKS),
        max_depth: or(written.max_depth, file::DEFAULT_MAX_DEPTH),
        max_replans: written.max_replans.map(Whole::count),
        delegation: written.delegation.as_ref().map(|word| word.value),
        check_done: check_done(written.check_done.as_ref(), roles, found),
        max_handoffs: or0(written.max_handoffs, file::DEFAULT_MAX_HANDOFFS.max(steps)),
        max_asks: or0(written.max_asks, file::DEFAULT_MAX_ASKS),
        untrusted: written.untrusted.unwrap_or(Untrusted::Ask),
        detect: written.detect.as_ref().map_or_else(Detect::default, DetectFile::detect),
        max_debate_rounds: or0(written.max_debate_rounds, file::DEFAULT_MAX_DEBATE_ROUNDS),
        calls_per_turn: or(written.calls_per_turn, file::DEFAULT_CALLS_PER_TURN),
        max_parallel: or(written.max_parallel, file::DEFAULT_MAX_PARALLEL),
        fail_fast: written.fail_fast.unwrap_or(false),
        retry: retry(written.retry.as_ref()),
    }
}

/// Who says whether a sub-task is done.
pub(super) fn check_done(written: Option<&CheckFile>, roles: &BTreeSet<Role>, found: &mut Found) -> Option<Role> {
    match written {
        None | Some(CheckFile::Coordinator(false)) => None,
        Some(CheckFile::Coordinator(true)) => Some(Role::new(COORDINATOR)),
        Some(CheckFile::Role(role)) => role_of(role, roles, found),
    }
}

/// How many must succeed; `None` when all must end.
fn quorum(written: &RulesFile, members: usize, found: &mut Found) -> Option<u32> {
    let waits = written.wait_for_all.unwrap_or(true);
    let Some(quorum) = &written.quorum else { return (!waits).then_some(1) };
    if waits {
        let error = quorum.error(Code::InvalidValue, "a quorum has no effect while the team waits for all");
        found.push(error.help("add `wait_for_all: false`, or remove `quorum`"));
    }
    let count = quorum.value.count();
    if members > 0 && count as usize > members {
        let error =
            quorum.error(Code::OutOfRange, format!("a quorum of {count} cannot be met by {}", counted(members, "member")));
        found.push(error.help(format!("at most {members}")));
    }
    Some(count)
}

/// When a team escalates that does not say.
const DEFAULT_POLICY: [EscalationPolicy; 3] =
    [EscalationPolicy::OnDisagreement, EscalationPolicy::OnUncertainty, EscalationPolicy::OnStall];

fn escalation_policy(written: Option<&Spot<OneOrMany<EscalationPolicy>>>, found: &mut Found) -> Vec<EscalationPolicy> {
    let Some(written) = written else { return DEFAULT_POLICY.to_vec() };
    let mut policies = written.value.0.clone();
    let alone = |p: &EscalationPolicy| matches!(p, EscalationPolicy::Never | EscalationPolicy::Always);
    policies.sort_unstable();
    policies.dedup();
    if policies.len() > 1 && policies.iter().any(alone) {
        let error = written.error(Code::InvalidValue, "`never` and `always` stand alone in an escalation policy");
        found.push(error.help("remove them, or all others"));
    }
    policies
}

/// Who may message whom, or hand over to whom.
pub(super) fn by_role(
    written: Option<&Named<OneOrMany<Spot<Id>>>>,
    roles: &BTreeSet<Role>,
    found: &mut Found,
) -> BTreeMap<Role, Vec<Role>> {
    let mut may = BTreeMap::new();
    for (key, to) in written.iter().flat_map(|w| &w.entries) {
        let from = Spot { value: Id(key.name.clone()), place: key.place.clone(), length: key.length };
        let to = roles_of(&to.0, roles, found);
        if let Some(from) = role_of(&from, roles, found) {
            may.insert(from, to);
        }
    }
    may
}

/// How messages are read; each template must compile and name what a message has.
pub(super) fn letters(written: Option<&LettersFile>, found: &mut Found) -> BTreeMap<MessageKind, Text> {
    let Some(file) = written else { return BTreeMap::new() };
    let of = |kind| match kind {
        // A task is told in the first message, not as mail.
        MessageKind::TaskAssignment => None,
        MessageKind::Finding => file.finding.as_ref(),
        MessageKind::Question => file.question.as_ref(),
        MessageKind::Response => file.response.as_ref(),
        MessageKind::Handoff => file.handoff.as_ref(),
        MessageKind::Escalation => file.escalation.as_ref(),
        MessageKind::Note => file.note.as_ref(),
    };
    let texts = MessageKind::ALL.into_iter().filter_map(|kind| Some((kind, of(kind)?.0.clone())));
    let texts: BTreeMap<_, _> = texts.collect();
    for text in texts.values() {
        check_template(text, &LETTER_NAMES, found);
    }
    texts
}

/// Who makes the result; by default the coordinator, where there is one and the pattern leaves it to somebody.
pub(super) fn result_by(
    written: Option<&Spot<ResultFile>>,
    pattern: Option<Pattern>,
    roles: &BTreeSet<Role>,
    found: &mut Found,
) -> Option<ResultBy> {
    let led = roles.contains(&Role::new(COORDINATOR));
    let Some(at) = written else {
        let by_coordinator = led && pattern.is_some_and(|p| !matches!(p, Pattern::Sequential | Pattern::Graph));
        return Some(if by_coordinator { ResultBy::Coordinator } else { ResultBy::Merge });
    };
    let ResultFile(map) = &at.value;
    let word = match (map.by, &map.vote, &map.rapporteur) {
        (Some(by), None, None) => by,
        (None | Some(ResultWord::Vote), Some(_), None) => ResultWord::Vote,
        (None | Some(ResultWord::Rapporteur), None, Some(_)) => ResultWord::Rapporteur,
        _ => {
            let error = at.error(Code::InvalidValue, "`result` says who makes the result, once");
            found.push(
                error.help("write one of `by: coordinator`, `by: merge`, `vote: { protocol, tie }` and `rapporteur: ROLE`"),
            );
            return None;
        }
    };
    if word != ResultWord::Vote {
        for key in ["protocol", "tie"].iter().filter_map(|key| map.keys.get(key)) {
            found.push(
                key.error(Code::UnknownKey, format!("`{}` belongs to a vote", key.name)).help("write `by: vote`, or remove it"),
            );
        }
    }
    match word {
        ResultWord::Coordinator if !led => {
            found.push(
                at.error(Code::MissingKey, "the result is the coordinator's, and the team has none").help("add `coordinator:`"),
            );
            None
        }
        ResultWord::Coordinator => Some(ResultBy::Coordinator),
        ResultWord::Merge => Some(ResultBy::Merge),
        ResultWord::Vote => {
            let (protocol, tie) = map.vote.as_ref().map_or((map.protocol, map.tie.as_ref()), |v| (v.protocol, v.tie.as_ref()));
            let tie = match tie {
                Some(tie) => Some(role_of(tie, roles, found)?),
                None => None,
            };
            Some(ResultBy::Vote { protocol: protocol.unwrap_or_default(), tie })
        }
        ResultWord::Rapporteur => match &map.rapporteur {
            Some(role) => role_of(role, roles, found).map(ResultBy::Rapporteur),
            None => {
                found.push(at.error(Code::MissingKey, "`rapporteur` needs a role").help("write `result: { rapporteur: ROLE }`"));
                None
            }
        },
    }
}

/// What a run may use up.
pub(super) fn limits(written: &file::LimitsFile) -> Limits {
    Limits {
        turns: written.turns.map(|w| w.0),
        tokens: written.tokens.map(|w| w.0),
        cost: written.cost_usd.map(|d| d.0),
        // A fraction of a second counts as a whole one: a limit is never 0.
        wall_seconds: written.wall_seconds.map(|s| s.0.as_secs() + u64::from(s.0.subsec_nanos() > 0)),
    }
}

/// What an agent may use up.
pub(super) fn own_limits(written: Option<&file::OwnLimitsFile>) -> Limits {
    written.map_or_else(Limits::default, |written| Limits {
        turns: written.turns.map(|w| w.0),
        tokens: written.tokens.map(|w| w.0),
        cost: written.cost_usd.map(|d| d.0),
        wall_seconds: None,
    })
}

/// What a run takes.
pub(super) fn inputs(written: Option<&Named<InputFile>>, found: &mut Found) -> Vec<InputSpec> {
    let mut inputs = Vec::new();
    for (key, InputFile(map)) in written.iter().flat_map(|w| &w.entries) {
        if !is_id(&key.name) {
            found.push(key.error(Code::BadId, format!("{} is not an id", quoted(&key.name))).help(id_help(&key.name)));
        }
        let default = map.default.as_ref().map(|d| &d.0);
        if let Some(default) = default.filter(|d| !fits(map.r#type, &d.value)) {
            let kind = input_name(map.r#type);
            let error = Diagnostic::error(
                Code::WrongType,
                &default.place,
                format!("the default is {} and the input is of type `{kind}`", describe(&default.value)),
            );
            found.push(error.length(default.length).help("write a default of that type, or `null` for none"));
        }
        inputs.push(InputSpec {
            name: key.name.clone(),
            kind: map.r#type,
            default: default.map(|d| d.value.clone()),
            description: map.description.as_ref().map(|w| w.0.clone()),
        });
    }
    inputs
}

/// Whether a value may be given to an input; nothing always may.
pub fn fits(kind: InputKind, value: &Value) -> bool {
    match (kind, value) {
        (_, Value::Null) => true,
        (InputKind::String | InputKind::Folder | InputKind::File, value) => value.as_str().is_some(),
        (InputKind::Integer, value) => value.as_int().is_some(),
        (InputKind::Number, value) => value.as_f64().is_some(),
        (InputKind::Boolean, value) => value.as_bool().is_some(),
        (InputKind::List, value) => value.as_list().is_some(),
        (InputKind::Map, value) => value.as_map().is_some(),
    }
}

/// The name that files use.
fn input_name(kind: InputKind) -> &'static str {
    match kind {
        InputKind::String => "string",
        InputKind::Integer => "integer",
        InputKind::Number => "number",
        InputKind::Boolean => "boolean",
        InputKind::List => "list",
        InputKind::Map => "map",
        InputKind::Folder => "folder",
        InputKind::File => "file",
    }
}

/// A link of the escalation chain.
pub(super) fn step(written: StepFile) -> EscalationStep {
    let text = |words: Words| words.0;
    EscalationStep { to: text(written.to), deadline: written.deadline.map(|s| s.0), notify: written.notify.map(|n| n.0) }
}
