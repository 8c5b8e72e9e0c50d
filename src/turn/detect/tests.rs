//! What do detectors see in traces, and what do they leave alone?

use std::{collections::BTreeMap, sync::Arc};

use super::*;
use crate::value::{CallResult, Reply, Role, Value};

/// A turn of a trace: what is said, and calls as `tool {args} = result`, where a result that begins with `!` is a failure.
type Line = (String, Vec<String>);

fn line(text: &str, calls: &[&str]) -> Line {
    (text.to_owned(), calls.iter().map(|call| (*call).to_owned()).collect())
}

fn parse(written: &str) -> (Call, CallResult) {
    let (tool, rest) = written.split_once(' ').unwrap();
    let (args, result) = rest.split_once(" = ").unwrap();
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|_| Value::text(text));
    let outcome = match result.strip_prefix('!') {
        Some(why) => Err(Failure::new(FailureKind::Tool, why)),
        None => Ok(json(result)),
    };
    (Call { id: Arc::from("c"), tool: Arc::from(tool), args: json(args) }, CallResult::of(outcome))
}

/// Tools whose names begin with `write` or `run` change the world.
fn changes(call: &Call) -> bool {
    call.tool.starts_with("write") || call.tool.starts_with("run")
}

/// What the detectors do in a trace, by the number of turns before it.
fn watch_by(detect: &Detect, exchanges: impl Fn(usize) -> Vec<Exchange>, lines: impl IntoIterator<Item = Line>) -> Vec<String> {
    let (mut thread, mut told, mut did) = (Vec::new(), BTreeMap::new(), Vec::new());
    for (n, (text, calls)) in lines.into_iter().enumerate() {
        let parsed: Vec<(Call, CallResult)> = calls.iter().map(|call| parse(call)).collect();
        let calls: Vec<Call> = parsed.iter().map(|(call, _)| call.clone()).collect();
        thread.push(Entry::Reply(Arc::new(Reply { text: Some(text.into()), calls: calls.clone(), ..Reply::default() })));
        let closed = thread.clone();
        for (ix, (call, result)) in parsed.into_iter().enumerate() {
            let earlier: Vec<&Call> = calls[..ix].iter().collect();
            let refused = refusal(Some(detect), &closed, &earlier, &call, changes);
            if refused.is_some() {
                did.push(format!("{n} refuse {}", call.tool));
            }
            let result = refused.map_or(result, |failure| CallResult::of(Err(failure)));
            thread.push(Entry::Result { call, result: Arc::new(result) });
        }
        let seen = Seen::new(&thread, &told, exchanges(n + 1), changes);
        match look(detect, &seen) {
            None => {}
            Some(Verdict::Tell(detector, note)) => {
                assert!(note.starts_with(&format!("{}: ", detector.name())), "{note}");
                did.push(format!("{} tell {}", n + 1, detector.name()));
                thread.push(Entry::Note(note));
                told.insert(detector, thread.len());
            }
            Some(Verdict::Stop(detector, why)) => {
                assert!(why.starts_with(&format!("{}: ", detector.name())), "{why}");
                did.push(format!("{} stop {}", n + 1, detector.name()));
                return did;
            }
        }
    }
    did
}

fn check(lines: impl IntoIterator<Item = Line>, expected: &[&str]) {
    assert_eq!(watch_by(&Detect::default(), |_| Vec::new(), lines), expected);
}

fn healthy(lines: impl IntoIterator<Item = Line>) {
    check(lines, &[]);
}

/// Texts that have little in common.
const TEXTS: [&str; 8] =
    ["let x = 3", "assert y", "fn main", "return why", "while true", "match kind", "use serde", "loop forever"];

mod repeats {
    use super::*;

    /// Whether `read 1` is refused after that; `write` is the only tool that changes anything.
    fn check(call: &str, before: &str, expected: bool) {
        let thread: Vec<Entry> = before
            .split(',')
            .filter(|line| !line.trim().is_empty())
            .map(|line| {
                let (call, result) = parse(line.trim());
                let refused = || refused(Detector::RepeatedCall, "the same".to_owned());
                let result = if line.ends_with('!') { CallResult::of(Err(refused())) } else { result };
                Entry::Result { call, result: Arc::new(result) }
            })
            .collect();
        for detect in [None, Some(&Detect::default())] {
            let refused = refusal(detect, &thread, &[], &parse(&format!("{call} = 0")).0, changes);
            assert_eq!(refused.is_some(), expected, "{call} after {before}");
        }
    }

    #[test]
    fn the_third_of_the_same_is_refused() {
        check("read 1", "", false);
        check("read 1", "read 1 = 5", false);
        check("read 1", "read 1 = 5, read 1 = 5", true);
        check("read 1", "read 1 = 5, read 2 = 5", false);
        check("read 1", "read 1 = 5, look 1 = 5", false);
        check("read 1", "read 1 = 5, read 2 = 6, read 1 = 5, look 1 = 1", true);
    }

    #[test]
    fn what_gives_another_result_is_polled_for_as_long_as_it_does() {
        check("read 1", "read 1 = 5, read 1 = 6", false);
        check("read 1", "read 1 = 5, read 1 = 5, read 1 = 6", false);
        check("read 1", "read 1 = 5, read 1 = 6, read 1 = 6", true);
    }

    #[test]
    fn after_a_change_the_same_may_be_asked_again() {
        check("read 1", "read 1 = 5, write 1 = 0, read 1 = 5", false);
        check("read 1", "read 1 = 5, read 1 = 5, write 1 = 0", false);
        check("write 1", "write 1 = 0, write 1 = 0", true);
    }

    #[test]
    fn a_refusal_is_no_other_result() {
        check("read 1", "read 1 = 5, read 1 = 5, read 1 = !, read 1 = !", true);
    }

    #[test]
    fn the_same_words_are_repeated_whatever_came_of_them() {
        check("broadcast_finding 1", "broadcast_finding 1 = 0, write 1 = 0, broadcast_finding 1 = 1", true);
    }

    #[test]
    fn a_message_is_the_same_in_other_case_and_spaces_and_another_to_somebody_else() {
        let said = |to: &str, words: &str| format!(r#"send_message {{"to":"{to}"; "content":"{words}"}}"#).replace(';', ",");
        let refused = |call: &str| {
            let before = [said("b", "Any news?"), said("b", "any  news?"), said("c", "any news?")];
            let thread: Vec<Entry> = before
                .iter()
                .map(|call| parse(&format!("{call} = 1")))
                .map(|(call, result)| Entry::Result { call, result: Arc::new(result) })
                .collect();
            refusal(None, &thread, &[], &parse(&format!("{call} = 1")).0, changes).map(|f| f.message.to_string())
        };
        let why = refused(&said("b", "ANY NEWS?")).unwrap();
        assert!(why.starts_with("repeated_message: b was told the same words 2 times before"), "{why}");
        assert_eq!(refused(&said("c", "any news?")), None);
        assert_eq!(refused(&said("b", "any news today?")), None);
    }

    #[test]
    fn calls_of_one_turn_count_by_their_arguments() {
        let (one, two) = (parse("read 1 = 0").0, parse("read 2 = 0").0);
        assert!(refusal(None, &[], &[&one, &two, &one], &one, |_| false).is_some());
        assert!(refusal(None, &[], &[&one, &two], &one, |_| false).is_none());
    }

    #[test]
    fn a_detector_that_is_off_refuses_nothing_and_one_that_is_tuned_later() {
        let thread: Vec<Entry> =
            (0..3).map(|_| parse("read 1 = 5")).map(|(call, result)| Entry::Result { call, result: Arc::new(result) }).collect();
        let refused = |detect: &Detect| refusal(Some(detect), &thread, &[], &parse("read 1 = 5").0, changes).is_some();
        let mut detect = Detect::default();
        assert!(refused(&detect));
        detect.0.get_mut(&Detector::RepeatedCall).unwrap().times = 4;
        assert!(!refused(&detect));
        detect.0.remove(&Detector::RepeatedCall);
        assert!(!refused(&detect));
    }
}

#[test]
fn who_makes_a_refused_call_again_is_stopped() {
    let same = std::iter::repeat_n(line("let me look", &[r#"read {"file":"a"} = nothing"#]), 9);
    check(same, &["2 refuse read", "3 refuse read", "4 stop repeated_call"]);
    let plea = std::iter::repeat_n(line("", &[r#"send_message {"to":"b","content":"Are you done?"} = 1"#]), 9);
    check(plea, &["2 refuse send_message", "3 refuse send_message", "4 stop repeated_message"]);
}

#[test]
fn a_refusal_is_forgotten_once_something_new_has_come() {
    let file = |n: usize| line("", &[&format!(r#"read {{"file":"{n}"}} = text {n}"#)]);
    let same = || line("", &[r#"look {} = unchanged"#]);
    let trace = vec![same(), same(), same(), file(1), file(2), same(), file(3), file(4)];
    check(trace, &["2 refuse look", "5 refuse look"]);
}

#[test]
fn nearly_the_same_search_again_and_again_is_told_and_stopped() {
    let search = |n: usize| {
        let call = format!(r#"grep {{"pattern":"error code {n}","path":"/var/log/app"}} = no match"#);
        line(&format!("Attempt {n}: I search the log for the error."), &[&call])
    };
    check((1..20).map(search), &["4 tell near_repetition", "5 stop near_repetition"]);
}

#[test]
fn nearly_the_same_words_to_a_colleague_are_told_and_stopped() {
    let nag = |n: usize| {
        let content = format!("I am still waiting for your part of the report, please send it over{}", ".".repeat(n));
        line("", &[&format!(r#"send_message {{"to":"b","content":"{content}"}} = {{"message":"m{n}"}}"#)])
    };
    check((1..20).map(nag), &["4 tell near_repetition", "5 stop near_repetition"]);
}

#[test]
fn a_circle_of_two_steps_is_a_repetition_too() {
    let step = |n: usize| match n % 2 {
        0 => line("Now I open the config.", &[&format!(r#"open {{"file":"config.yaml","try":{n}}} = empty"#)]),
        _ => line("Back to the listing of the folder.", &[&format!(r#"list {{"folder":"/etc/app","try":{n}}} = 1 file"#)]),
    };
    assert_eq!(watch_by(&Detect::default(), |_| Vec::new(), (0..20).map(step)).last().unwrap(), "6 stop near_repetition");
}

#[test]
fn polling_goes_on_while_results_change_and_so_does_a_walk_through_many_like_things() {
    healthy((0..30).map(|n| line("I wait for the build.", &[&format!(r#"status {{"build":7}} = {n} percent"#)])));
    healthy((0..30).map(|n| line("Next host.", &[&format!(r#"metrics {{"host":"web-{n}"}} = load {n}"#)])));
    healthy((0..30).map(|n| line("Restart.", &[&format!(r#"write_state {{"host":"web-{n}","state":"up"}} = ok"#)])));
    let finds = |n: usize| format!(r#"broadcast_finding {{"topic":"host_{n}","claim":"it is down","confidence":0.9}} = f{n}"#);
    healthy((0..30).map(|n| line("Noted.", &[&finds(n)])));
}

#[test]
fn a_tool_that_fails_in_the_same_way_is_told_and_stopped() {
    let code = |n: usize| {
        let call =
            format!(r#"run {{"code":"df=load('x.csv'); print(df.mean{n}())"}} = !NameError: load is not defined, line {n}"#);
        line("Let me fix the code.", &[&call])
    };
    check((1..20).map(code), &["4 tell failing_call", "5 stop failing_call"]);
}

#[test]
fn the_same_error_after_every_edit_is_seen_although_the_edits_succeed() {
    let step = |n: usize| match n % 2 {
        0 => line("Fix.", &[&format!(r#"write_file {{"text":"{}"}} = ok"#, TEXTS[n % 8].repeat(n + 1))]),
        _ => line("Test.", &[r#"run_tests {} = {"exit_code":1,"output":"AssertionError: 3 != 4"}"#]),
    };
    let did = watch_by(&Detect::default(), |_| Vec::new(), (0..40).map(step));
    assert_eq!(did, ["8 tell failing_call", "10 stop failing_call"]);
}

#[test]
fn failures_that_differ_or_end_in_success_are_honest_work() {
    let errors =
        ["no such column: usr", "syntax error near WHERE", "table orders is locked", "permission denied", "division by zero"];
    healthy(errors.iter().enumerate().flat_map(|(n, error)| {
        let edit = line("Fix.", &[&format!(r#"write_query {{"text":"{}"}} = ok"#, TEXTS[n])]);
        [edit, line("Test.", &[&format!(r#"run_query {{}} = !{error}"#)])]
    }));
    healthy((0..12).map(|n| match n % 3 {
        2 => line("", &[&format!(r#"read {{"file":"{n}"}} = text {n}"#)]),
        _ => line("", &[&format!(r#"read {{"file":"{n}"}} = !no such file"#)]),
    }));
}

#[test]
fn turns_without_anything_new_are_told_and_stopped() {
    let words =
        ["inspect everything", "look around", "who knows", "maybe later", "think hard", "begin afresh", "hm", "ponder", "rest"];
    let idle = |n: usize| line(words[n], &[&format!(r#"look {{"way":"{}"}} = same view"#, words[(n * 5 + 3) % 9])]);
    check((0..9).map(idle), &["7 tell no_progress", "9 stop no_progress"]);
}

#[test]
fn a_ledger_that_only_counts_up_is_no_progress() {
    let ledger = |n: usize| {
        let value =
            format!(r#"{{"facts":"the service is slow and nobody knows why","plan":"look again, then report","round":{n}}}"#);
        line(
            "I update the ledger.",
            &[&format!(r#"set_variable {{"variable":"ledger","value":{value}}} = {{"variable":"ledger"}}"#)],
        )
    };
    let did = watch_by(&Detect::default(), |_| Vec::new(), (1..20).map(ledger));
    assert_eq!(did, ["4 tell near_repetition", "5 stop near_repetition"]);
    let grows = |n: usize| {
        let value =
            format!(r#"{{"done":"{}"}}"#, ["logs", "metrics", "deploys", "traces", "tickets", "people", "code", "costs"][n]);
        line(
            "I update the ledger.",
            &[&format!(r#"set_variable {{"variable":"ledger","value":{value}}} = {{"variable":"ledger"}}"#)],
        )
    };
    healthy((0..8).map(grows));
}

#[test]
fn two_who_only_talk_to_each_other_are_told_and_stopped() {
    let said = [
        "shall you begin?",
        "or should I?",
        "what would be best?",
        "it is your area",
        "I would not interfere",
        "your call",
        "so?",
    ];
    let talk = |n: usize| line("", &[&format!(r#"send_message {{"to":"b","content":"{}"}} = {{"message":"m{n}"}}"#, said[n])]);
    let rounds = |n: usize| vec![Exchange { with: Role::new("b"), rounds: n }];
    let did = watch_by(&Detect::default(), rounds, (0..7).map(talk));
    assert_eq!(did, ["4 tell ping_pong", "6 stop ping_pong"]);
    let one_way = |_| vec![Exchange { with: Role::new("b"), rounds: 1 }];
    let did = watch_by(&Detect::default(), one_way, (0..5).map(talk));
    assert!(did.is_empty(), "b does not answer: {did:?}");
}

#[test]
fn two_who_talk_about_what_they_find_are_left_alone() {
    let talk = |n: usize| {
        let read = format!(r#"read {{"file":"{n}"}} = text {n}"#);
        line("", &[&read, &format!(r#"send_message {{"to":"b","content":"file {n} is read"}} = {{"message":"m{n}"}}"#)])
    };
    let rounds = |n: usize| vec![Exchange { with: Role::new("b"), rounds: n }];
    assert!(watch_by(&Detect::default(), rounds, (0..12).map(talk)).is_empty());
}

#[test]
fn a_detector_that_is_off_sees_nothing_and_a_tuned_one_earlier() {
    let search =
        |n: usize| line("search", &[&format!(r#"grep {{"pattern":"error code {n}","path":"/var/log/app"}} = no match"#)]);
    let mut detect = Detect::default();
    detect.0.get_mut(&Detector::NearRepetition).unwrap().times = 2;
    assert_eq!(watch_by(&detect, |_| Vec::new(), (1..9).map(search)), ["2 tell near_repetition", "3 stop near_repetition"]);
    detect.0.clear();
    assert!(watch_by(&detect, |_| Vec::new(), (1..20).map(search)).is_empty());
}

#[test]
fn evidence_is_declared_by_a_schema_or_by_the_team() {
    use crate::graph::Evidence;
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let requires = r#"{"type":"object","required":["cause","evidence"]}"#;
    for (schema, evidence, result, lacks) in [
        (None, Evidence::Declared, r#"{"text":"done"}"#, false),
        (Some(requires), Evidence::Declared, r#"{"cause":"x"}"#, true),
        (Some(requires), Evidence::Declared, r#"{"cause":"x","evidence":[]}"#, true),
        (Some(requires), Evidence::Declared, r#"{"cause":"x","evidence":["  "]}"#, true),
        (Some(requires), Evidence::Declared, r#"{"cause":"x","evidence":["app.log:3"]}"#, false),
        (None, Evidence::Required, r#"{"text":"done"}"#, true),
        (None, Evidence::Required, r#"{"text":"done","evidence":{"source":"app.log"}}"#, false),
    ] {
        let watch = Watch { evidence, ..Detector::PrematureEnd.default_bounds() };
        let lack = lacks_evidence(&watch, schema.map(json).as_ref(), &json(result), std::iter::empty());
        assert_eq!(lack.is_some(), lacks, "{result}: {lack:?}");
    }
}
