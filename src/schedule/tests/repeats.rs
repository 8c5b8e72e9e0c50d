//! What happens to an agent that does the same again and again?

use super::*;
use crate::value::Entry;

/// Says the same in each turn; what came of it, turn by turn.
fn stubborn(tool: &'static str, args: &str, answers: Vec<Answer>) -> Vec<String> {
    let args = json(args);
    let script = Script::default().tool(tool, answers).agent("a", move |request| {
        if request.turn.0 < 4 { Said::Calls(vec![(tool, args.clone())]) } else { Said::Finish(Value::Null) }
    });
    let plan = Plans::root(|g| {
        g.agent("n", "a");
    });
    let run = run(plan, script);
    assert_eq!(run.result(), "completed null");
    let last = run.world.requests.last().expect("it has turns").clone();
    let came = last.thread.iter().filter_map(|entry| match entry {
        Entry::Result { result, .. } => Some(match &result.outcome {
            Ok(value) => value.to_string(),
            Err(failure) => failure.to_string(),
        }),
        _ => None,
    });
    came.collect()
}

#[test]
fn the_third_call_of_the_same_is_refused_with_a_reason_that_the_agent_reads() {
    let came = stubborn("read", "{}", vec![(1, Ok(Value::text("it is down")))]);
    assert_eq!(came[..2], ["it is down", "it is down"]);
    for refused in &came[2..] {
        assert!(refused.contains("denied") && refused.contains("try something else"), "{refused}");
    }
}

#[test]
fn the_third_finding_in_the_same_words_is_refused() {
    let came = stubborn("broadcast_finding", r#"{"topic":"t","claim":"it is down","confidence":0.5}"#, Vec::new());
    assert_eq!(came[..2], [r##"{"finding":"n#f1"}"##, r##"{"finding":"n#f2"}"##]);
    assert!(came[2].contains("denied") && came[3].contains("denied"), "{came:?}");
}

#[test]
fn only_the_first_two_of_three_equal_calls_of_one_turn_are_made() {
    let script = Script::default().agent("a", |request| match request.turn.0 {
        0 => Said::Calls(vec![("read", json("{}")), ("read", json("{}")), ("read", json("{}"))]),
        _ => Said::Finish(Value::Null),
    });
    let plan = Plans::root(|g| {
        g.agent("n", "a");
    });
    let run = run(plan, script);
    assert_eq!(run.made.iter().filter(|m| &*m.tool == "read").count(), 2);
}
