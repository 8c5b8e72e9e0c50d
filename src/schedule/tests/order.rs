//! Is what a session comes to the same, whoever is faster?

use super::{Plans, Run, Said, Script, compare, fails, json, run, run_by};
use crate::{
    graph::{GateBy, Node, NodeKind, Plan, ScopeKind, SettleOver, SettleSpec, VoteProtocol},
    value::{FailureKind, FindingStatus, Request, Role, RuleKind, Value},
};

/// Finds that value on topic `t`, after so many seconds, and is done.
fn finds(value: &'static str, seconds: u64) -> impl FnMut(&Request) -> Said {
    move |request| {
        if request.turn.0 > 0 {
            return Said::Finish(Value::text("done"));
        }
        let claim = format!(r#"{{"topic":"t","claim":"it is {value}","value":"{value}","confidence":0.5}}"#);
        Said::After(
            seconds,
            Box::new(Said::Calls(vec![("broadcast_finding", json(&claim)), ("broadcast_finding", json(&claim))])),
        )
    }
}

/// The findings in order: id, value and status.
fn found(run: &Run<Script>) -> Vec<String> {
    run.state().findings().iter().map(|f| format!("{} {} {:?}", f.id, f.value, f.status)).collect()
}

/// Agents in groups of their own, which grow side by side.
fn groups() -> Plan {
    Plans::root(|g| {
        for role in ["a", "b"] {
            g.group(role, |g| {
                g.agent("n", role);
            });
        }
        g.agent("last", "c").after(&["a", "b"]);
    })
}

#[test]
fn ids_and_the_order_of_findings_and_messages_tell_where_they_were_made() {
    let told = |a, b| {
        let run = run(groups(), Script::default().agent("a", finds("x", a)).agent("b", finds("y", b)));
        let mut said: Vec<String> = run.state().context.messages.iter().map(|s| s.message.id.to_string()).collect();
        said.sort();
        let read = run.world.requests.last().map(|r| r.context.to_string());
        (found(&run), said, read)
    };
    let (first, second) = (told(1, 9), told(9, 1));
    assert_eq!(first, second);
    assert_eq!(first.0, ["a/n#f1 x Open", "a/n#f2 x Open", "b/n#f1 y Open", "b/n#f2 y Open"]);
    assert_eq!(first.1[..4], ["a/n#m1", "a/n#m2", "a/n#m3", "a/n#m4"]);
}

#[test]
fn findings_of_a_further_attempt_are_numbered_on() {
    let mut attempts = 0;
    let script = Script::default().agent("a", move |request| {
        attempts += u32::from(request.turn.0 == 0);
        match (attempts, request.turn.0) {
            (1, 1) => Said::Fails(FailureKind::Transport),
            (_, 0) => Said::Calls(vec![("broadcast_finding", json(r#"{"topic":"t","claim":"c","confidence":0.5}"#))]),
            (_, _) => Said::Finish(Value::text("done")),
        }
    });
    let plan = Plans::root(|g| {
        let group = g.group("g", |g| {
            g.agent("n", "a");
        });
        group.retry(2, &[FailureKind::Transport]);
    });
    let run = run(plan, script);
    assert_eq!(found(&run), ["g/n#f1 null Retracted", "g/n#f2 null Open"]);
}

/// A join whose first source failed used to be skipped, or failed by the condition on another edge, whichever was judged first.
#[test]
fn a_condition_without_an_answer_fails_its_node_whoever_is_faster() {
    let plan = || {
        Plans::root(|g| {
            g.tool("bad").allow_failure();
            g.tool("odd");
            g.tool("n").failed("bad").when("odd", "output");
        })
    };
    for (bad, odd) in [(1, 5), (5, 1)] {
        let run = run(plan(), Script::default().takes(&[("bad", bad), ("odd", odd)]));
        compare(&run, "failed null", "bad: ok bad\nn: failed rule\nodd: ok odd");
    }
}

#[test]
fn of_several_conditions_without_an_answer_the_first_in_declared_order_is_why() {
    let why = |one, two| {
        let plan = Plans::root(|g| {
            g.tool("one");
            g.tool("two");
            g.tool("n").when("one", "fail").when("two", "output");
        });
        let run = run(plan, Script::default().takes(&[("one", one), ("two", two)]));
        run.state().error(run.state().find("n").unwrap()).to_string()
    };
    assert_eq!(why(1, 5), why(5, 1));
    assert!(why(1, 5).contains("it failed"), "{}", why(1, 5));
}

#[test]
fn a_join_that_cannot_be_met_is_skipped_once_its_conditions_are_judged() {
    let plan = Plans::root(|g| {
        g.tool("bad").allow_failure();
        g.tool("slow");
        g.tool("n").failed("bad").when("slow", "output == output");
        g.tool("after").done("n");
    });
    let script = Script::default().tool("bad", vec![(1, fails(FailureKind::Exit))]).takes(&[("slow", 5)]);
    let run = run(plan, script);
    assert!(run.outcomes().contains("after: ok after"), "{}", run.outcomes());
}

/// Two branches that each found and settled the same topic used to mark each other's findings, if those were there already.
#[test]
fn a_decision_says_nothing_of_what_was_not_known_where_it_was_taken() {
    let spec = || SettleSpec {
        over: SettleOver::Findings,
        members: ["a", "b", "c", "d"].map(Role::new).to_vec(),
        max_debate_rounds: 0,
        protocol: VoteProtocol::Weighted,
        tie: None,
        like: Box::new(Node::new("like", NodeKind::Gate(GateBy::Members(RuleKind::Merge, Vec::new())))),
    };
    let told = |slow| {
        let plan = Plans::root(|g| {
            for (one, other, settle) in [("a", "b", "left"), ("c", "d", "right")] {
                g.agent(one, one);
                g.agent(other, other);
                g.scope(settle, ScopeKind::Settle(spec())).done(one).done(other);
            }
        });
        let script = Script::default()
            .agent("a", finds("x", 1))
            .agent("b", finds("y", 1))
            .agent("c", finds("y", slow))
            .agent("d", finds("x", slow));
        let run = run_by(plan, script, super::Rules::new());
        let findings = run.state().findings();
        findings.iter().map(|f| (f.agent.to_string(), f.status)).collect::<Vec<_>>()
    };
    assert_eq!(told(1), told(9));
    let stands = |role: &str| told(1).into_iter().find(|(agent, _)| agent == role).map(|(_, status)| status);
    assert_eq!((stands("a"), stands("b")), (Some(FindingStatus::Confirmed), Some(FindingStatus::Disputed)));
    assert_eq!((stands("c"), stands("d")), (Some(FindingStatus::Confirmed), Some(FindingStatus::Disputed)));
}
