//! What becomes of positions that differ?

use super::{Plans, Rules, Run, Said, Script, go, json, run_by};
use crate::{
    graph::{EscalationPolicy, GateBy, Node, NodeKind, Phase, Plan, ScopeKind, SettleOver, SettleSpec, VoteProtocol},
    value::{AskId, Request, Role, RuleKind, SettleVerdict, Value, Verdict},
};

fn spec(over: SettleOver, protocol: VoteProtocol) -> SettleSpec {
    SettleSpec {
        over,
        members: ["a", "b", "c"].map(Role::new).to_vec(),
        max_debate_rounds: 1,
        protocol,
        tie: None,
        like: Box::new(Node::new("like", NodeKind::Gate(GateBy::Members(RuleKind::Merge, Vec::new())))),
    }
}

fn findings(change: impl FnOnce(&mut SettleSpec)) -> Plan {
    let mut spec = spec(SettleOver::Findings, VoteProtocol::Weighted);
    change(&mut spec);
    Plans::root(|g| {
        for role in ["a", "b", "c"] {
            g.agent(role, role);
        }
        g.scope("settle", ScopeKind::Settle(spec)).done("a").done("b").done("c");
    })
}

/// Finds that value with that confidence on topic `t`; in a debate it comes round to `z`.
fn holds(value: &'static str, confidence: f64) -> impl FnMut(&Request) -> Said {
    move |request| match (&*request.phase, request.turn.0) {
        ("debate", _) => Said::Finish(Value::map([("value", Value::text("z")), ("confidence", Value::Float(0.9))])),
        (_, 0) => Said::Calls(vec![(
            "broadcast_finding",
            Value::map([
                ("topic", Value::text("t")),
                ("claim", Value::text(format!("it is {value}"))),
                ("value", Value::text(value)),
                ("confidence", Value::Float(confidence)),
            ]),
        )]),
        (_, _) => Said::Finish(Value::text("done")),
    }
}

fn script() -> Script {
    Script::default().agent("a", holds("x", 0.5)).agent("b", holds("y", 0.9)).agent("c", holds("x", 0.2))
}

fn settle(verdict: SettleVerdict, value: Value) -> Rules {
    let mut rules = Rules::new();
    rules.insert("settle", Box::new(move |_| Verdict::Settle { verdict, value: value.clone(), reason: "so it is".into() }));
    rules
}

/// Outcome, rule and dissent of each decision.
fn decided(run: &Run<Script>) -> Vec<String> {
    let decisions = run.state().decisions();
    let dissent = |d: &crate::value::Decision| d.dissent.iter().map(Role::as_str).collect::<Vec<_>>().join("+");
    decisions.iter().map(|d| format!("{} {} by {} against {}", d.topic, d.outcome, d.rule, dissent(d))).collect()
}

#[test]
fn without_a_rule_findings_are_weighed_by_confidence_and_dissent_is_kept() {
    let run = run_by(findings(|_| ()), script(), Rules::new());
    assert_eq!(decided(&run), ["t y by weighted_vote against a+c"]);
    let statuses: Vec<_> = run.state().findings().iter().map(|f| format!("{:?}", f.status)).collect();
    assert_eq!(statuses, ["Disputed", "Confirmed", "Disputed"]);
    assert!(run.result().contains(r#""accepted":true"#), "{}", run.result());
}

#[test]
fn a_majority_counts_heads() {
    let run = run_by(findings(|s| s.protocol = VoteProtocol::Majority), script(), Rules::new());
    assert_eq!(decided(&run), ["t x by majority_vote against b"]);
}

#[test]
fn findings_that_agree_need_no_settling() {
    let script = Script::default().agent("a", holds("x", 0.5)).agent("b", holds("x", 0.9));
    let run = run_by(findings(|_| ()), script, settle(SettleVerdict::Escalate, Value::Null));
    assert_eq!((decided(&run).len(), run.result().starts_with("completed")), (0, true));
}

#[test]
fn a_tie_falls_to_the_first_member_or_to_whom_the_team_says() {
    let script = || Script::default().agent("a", holds("x", 0.5)).agent("b", holds("y", 0.5));
    assert_eq!(decided(&run_by(findings(|_| ()), script(), Rules::new())), ["t x by tie against b"]);
    let tie = findings(|s| s.tie = Some(Role::new("b")));
    assert_eq!(decided(&run_by(tie, script(), Rules::new())), ["t y by tie against a"]);
}

#[test]
fn the_rule_may_accept_a_value() {
    let run = run_by(findings(|_| ()), script(), settle(SettleVerdict::Accept, Value::text("x")));
    assert_eq!(decided(&run), ["t x by settle against b"]);
}

#[test]
fn the_rule_may_let_them_vote() {
    let run = run_by(findings(|_| ()), script(), settle(SettleVerdict::Vote, Value::Null));
    assert_eq!(decided(&run), ["t y by weighted_vote against a+c"]);
}

#[test]
fn the_rule_may_let_them_debate_once_and_then_they_are_weighed() {
    let run = run_by(findings(|_| ()), script(), settle(SettleVerdict::Debate, Value::Null));
    assert_eq!(decided(&run), ["t z by unanimous against "]);
    let debates = run.made.iter().filter(|m| m.path.starts_with("settle/debate_1/")).count();
    assert_eq!(debates, 3);
    let stubborn = |value: &'static str| {
        let mut first = holds(value, 0.5);
        move |request: &Request| match &*request.phase {
            "debate" => Said::Finish(Value::map([("value", Value::text(value)), ("confidence", Value::Float(0.8))])),
            _ => first(request),
        }
    };
    let script = Script::default().agent("a", stubborn("x")).agent("b", stubborn("y")).agent("c", stubborn("y"));
    let run = run_by(findings(|_| ()), script, settle(SettleVerdict::Debate, Value::Null));
    assert_eq!(decided(&run), ["t y by weighted_vote against a"]);
    assert_eq!(run.made.iter().filter(|m| m.path.contains("debate")).count(), 3, "one round at most");
}

#[test]
fn the_rule_may_leave_it_to_the_coordinator() {
    let mut plan = findings(|_| ());
    plan.teams[0].coordinator = Some(super::world::agent("boss"));
    let script = script().agent("boss", |_| Said::Finish(json(r#"{"value": "w"}"#)));
    let run = run_by(plan, script, settle(SettleVerdict::Coordinator, Value::Null));
    assert_eq!(decided(&run), ["t w by coordinator against a+b+c"]);
    let alone = run_by(findings(|_| ()), super::settling::script(), settle(SettleVerdict::Coordinator, Value::Null));
    assert_eq!(decided(&alone), ["t y by weighted_vote against a+c"]);
}

#[test]
fn the_rule_may_ask_a_person() {
    let mut run = run_by(findings(|_| ()), script(), settle(SettleVerdict::Escalate, Value::Null));
    let ask = run.state().asks.values().next().cloned().expect("it asks");
    assert_eq!((run.result().as_str(), ask.options.iter().map(|o| &**o).collect::<Vec<_>>()), ("parked", vec!["x", "y"]));
    run.answer(ask.id, "x").unwrap();
    go(&mut run);
    assert_eq!(decided(&run), ["t x by ann against b"]);
}

#[test]
fn a_rule_that_fails_fails_the_scope() {
    let mut rules = Rules::new();
    rules.insert("settle", Box::new(|_| Verdict::Permit(None)));
    let run = run_by(findings(|_| ()), script(), rules);
    assert!(run.outcomes().contains("settle: failed rule"), "{}", run.outcomes());
}

#[test]
fn an_unclear_vote_asks_a_person_where_the_policy_says_so() {
    let mut plan = findings(|_| ());
    plan.teams[0].escalation_policy = vec![EscalationPolicy::OnDisagreement];
    let script = Script::default().agent("a", holds("x", 0.5)).agent("b", holds("y", 0.5));
    let mut run = run_by(plan, script, Rules::new());
    run.answer(AskId(0), "y").unwrap();
    go(&mut run);
    assert_eq!(decided(&run), ["t y by ann against a"]);
}

fn voting(protocol: VoteProtocol) -> Plan {
    let spec = spec(SettleOver::Votes, protocol);
    Plans::root(|g| {
        g.gate("draft", r#"{"cause": "cat"}"#);
        for role in ["a", "b", "c"] {
            let mut spot = g.phase(role, role, Phase::Validate).after(&["draft"]);
            if let NodeKind::Agent(agent) = &mut spot.node().kind {
                agent.proposal = Some(0);
            }
        }
        g.scope("settle", ScopeKind::Settle(spec)).done("a").done("b").done("c");
        g.output("settle.output");
    })
}

fn votes(vote: &'static str, confidence: f64) -> impl FnMut(&Request) -> Said {
    move |request| {
        assert_eq!(request.context.get("proposal"), Some(&json(r#"{"cause": "cat"}"#)));
        let vote = [("vote", Value::text(vote)), ("confidence", Value::Float(confidence)), ("reason", Value::text("because"))];
        Said::Finish(Value::map(vote))
    }
}

fn voted(protocol: VoteProtocol, a: (&'static str, f64), b: (&'static str, f64), c: (&'static str, f64)) -> Value {
    let script = Script::default().agent("a", votes(a.0, a.1)).agent("b", votes(b.0, b.1)).agent("c", votes(c.0, c.1));
    let run = run_by(voting(protocol), script, Rules::new());
    run.state().finished.as_ref().expect("it is over").output.clone()
}

#[test]
fn a_proposal_is_voted_upon_by_each_protocol() {
    use VoteProtocol::{Majority, Unanimous, Weighted};
    let (yes, no) = (("approve", 0.2), ("object", 0.9));
    let accepted = |protocol, a, b, c| voted(protocol, a, b, c).get("accepted").and_then(Value::as_bool);
    assert_eq!(accepted(Weighted, yes, yes, no), Some(false));
    assert_eq!(accepted(Majority, yes, yes, no), Some(true));
    assert_eq!(accepted(Unanimous, yes, yes, no), Some(false));
    assert_eq!(accepted(Unanimous, yes, yes, yes), Some(true));
    assert_eq!(accepted(Majority, no, no, no), Some(false));
    assert_eq!(accepted(Weighted, ("nonsense", 1.0), yes, yes), Some(true));
}

#[test]
fn votes_and_objections_stand_in_the_result() {
    let output = voted(VoteProtocol::Majority, ("approve", 0.2), ("approve", 0.3), ("object", 0.9));
    let roles = |key: &str| -> Vec<String> {
        output.get(key).and_then(Value::as_list).unwrap().iter().map(|v| v.get("agent").unwrap().to_string()).collect()
    };
    assert_eq!((roles("votes"), roles("objections")), (vec!["a".into(), "b".into(), "c".into()], vec!["c".to_owned()]));
    let value = output.get("value").unwrap();
    assert_eq!(
        (value.get("cause"), value.get("validation").and_then(Value::as_list).map(<[Value]>::len)),
        (Some(&Value::text("cat")), Some(3))
    );
}
