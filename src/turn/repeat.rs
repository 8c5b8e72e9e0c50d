//! Has an agent said or asked the very same before? [`is_repeated`].
//!
//! A model that is stuck does the same again and again. Twice is a second look; the third time is refused, with a reason that it
//! can read ([`repeated`]). What counts is what happened in one activation:
//!
//! - a message is repeated when the same words were said twice before, whatever came of them;
//! - any other call is repeated when the same tool was called twice before with the same arguments and gave the same result, and
//!   nothing was done in between that may have changed the world. So polling goes on while results change, and a check may be
//!   run after every change. Calls of the same turn count by their arguments alone: they do not know each other's results.

use crate::value::{Call, CallResult, Entry, Failure, FailureKind};

/// How often the same is answered.
pub const SAME_AT_MOST: usize = 2;

/// Why a repeated call is refused.
pub fn repeated(call: &Call) -> Failure {
    let tool = &call.tool;
    let why = format!(
        "this was the same call of {tool} as {SAME_AT_MOST} before, and nothing has changed: it is refused. \
         Use what came of it, try something else, or finish with what there is"
    );
    Failure::new(FailureKind::Denied, why)
}

/// Whether `call` must be refused, after the closed turns of `thread` and the calls before it in its own turn. `changes` says
/// whether a call may change the world.
pub fn is_repeated(thread: &[Entry], earlier: &[&Call], call: &Call, changes: impl Fn(&Call) -> bool) -> bool {
    let same = |other: &Call| other.tool == call.tool && other.args == call.args;
    if earlier.iter().filter(|other| same(other)).count() >= SAME_AT_MOST {
        return true;
    }
    let refused = CallResult { outcome: Err(repeated(call)) };
    let past = thread.iter().rev().filter_map(|entry| match entry {
        Entry::Result { call, result } => Some((call, result)),
        Entry::Reply(_) | Entry::Mail(_) | Entry::Answer { .. } | Entry::Note(_) | Entry::Known { .. } => None,
    });
    let mut last: Option<&CallResult> = None;
    let mut count = 0;
    for (other, result) in past {
        if !same(other) {
            if !is_message(call) && changes(other) {
                return false;
            }
        } else if **result != refused {
            if !is_message(call) && last.is_some_and(|last| last != &**result) {
                return false;
            }
            last = Some(&**result);
            count += 1;
            if count >= SAME_AT_MOST {
                return true;
            }
        }
    }
    false
}

/// Whether a call says something to somebody.
fn is_message(call: &Call) -> bool {
    matches!(&*call.tool, "broadcast_finding" | "send_message" | "ask_agent" | "escalate")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::value::Value;

    fn call(tool: &str, arg: i64) -> Call {
        Call { id: Arc::from("c"), tool: Arc::from(tool), args: Value::map([("n", Value::Int(arg))]) }
    }

    /// Calls in words: `read 1 = 5` is a call of `read` with 1 that gave 5, `read 1 = !` one that was refused.
    fn thread(words: &str) -> Vec<Entry> {
        let entry = |line: &str| {
            let parts: Vec<&str> = line.split_whitespace().collect();
            let call = call(parts[0], parts[1].parse().unwrap());
            let outcome = if parts[3] == "!" { Err(repeated(&call)) } else { Ok(Value::Int(parts[3].parse().unwrap())) };
            Entry::Result { call, result: Arc::new(CallResult { outcome }) }
        };
        words.split(',').filter(|line| !line.trim().is_empty()).map(entry).collect()
    }

    /// Whether `read 1` is refused after that; `write` is the only tool that changes anything.
    fn check(tool: &str, words: &str, expected: bool) {
        let refused = is_repeated(&thread(words), &[], &call(tool, 1), |other| &*other.tool == "write");
        assert_eq!(refused, expected, "{tool} 1 after {words}");
    }

    #[test]
    fn the_third_of_the_same_is_refused() {
        check("read", "", false);
        check("read", "read 1 = 5", false);
        check("read", "read 1 = 5, read 1 = 5", true);
        check("read", "read 1 = 5, read 2 = 5", false);
        check("read", "read 1 = 5, look 1 = 5", false);
        check("read", "read 1 = 5, read 2 = 6, read 1 = 5, look 1 = 1", true);
    }

    #[test]
    fn what_gives_another_result_is_polled_for_as_long_as_it_does() {
        check("read", "read 1 = 5, read 1 = 6", false);
        check("read", "read 1 = 5, read 1 = 5, read 1 = 6", false);
        check("read", "read 1 = 5, read 1 = 6, read 1 = 6", true);
    }

    #[test]
    fn after_a_change_the_same_may_be_asked_again() {
        check("read", "read 1 = 5, write 1 = 0, read 1 = 5", false);
        check("read", "read 1 = 5, read 1 = 5, write 1 = 0", false);
        check("write", "write 1 = 0, write 1 = 0", true);
    }

    #[test]
    fn a_refusal_is_no_other_result() {
        check("read", "read 1 = 5, read 1 = 5, read 1 = !, read 1 = !", true);
    }

    #[test]
    fn the_same_words_are_repeated_whatever_came_of_them() {
        check("broadcast_finding", "broadcast_finding 1 = 0, write 1 = 0, broadcast_finding 1 = 1", true);
    }

    #[test]
    fn calls_of_one_turn_count_by_their_arguments() {
        let (one, two) = (call("read", 1), call("read", 2));
        assert!(is_repeated(&[], &[&one, &two, &one], &one, |_| false));
        assert!(!is_repeated(&[], &[&one, &two], &one, |_| false));
    }
}
