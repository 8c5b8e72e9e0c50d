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

#[test]
fn without_a_rule_nobody_debates_and_with_one_a_debate_is_had_once() {
    let script = || Script::default().agent("a", holds("x", 0.5)).agent("b", holds("y", 0.5));
    let run = run_by(findings(|_| ()), script(), Rules::new());
    assert_eq!((decided(&run), run.outcomes().contains("debate")), (vec!["t x by tie against b".to_owned()], false));
    let run = run_by(findings(|_| ()), script(), settle(SettleVerdict::Debate, Value::Null));
    assert_eq!(decided(&run), ["t z by unanimous against "]);
}

/// Finds that value, of whatever kind, with full confidence.
fn likes(value: &'static str) -> impl FnMut(&Request) -> Said {
    move |request| match request.turn.0 {
        0 => {
            let claim = [("topic", Value::text("t")), ("claim", Value::text("so it is")), ("value", json(value))];
            Said::Calls(vec![("broadcast_finding", Value::map(claim.into_iter().chain([("confidence", Value::Int(1))])))])
        }
        _ => Said::Finish(Value::text("done")),
    }
}

fn liking(a: &'static str, b: &'static str, c: &'static str) -> Script {
    Script::default().agent("a", likes(a)).agent("b", likes(b)).agent("c", likes(c))
}

#[test]
fn by_approval_each_may_hold_several_values_and_the_one_that_most_hold_stands() {
    let approval = || findings(|s| s.protocol = VoteProtocol::Approval);
    let run = run_by(approval(), liking(r#"["x", "y"]"#, r#"["y", "z", "y"]"#, r#""x""#), Rules::new());
    assert_eq!(decided(&run), ["t x by tie against b"], "x and y have two each: of these the first member holds x first");
    let run = run_by(approval(), liking(r#"["x", "y"]"#, r#"["z", "y"]"#, r#""z""#), Rules::new());
    assert_eq!(decided(&run), ["t y by tie against c"], "the first member holds y of the two that have two each");
    let run = run_by(approval(), liking(r#"["x", "y"]"#, r#"["y", "y"]"#, r#""z""#), Rules::new());
    assert_eq!(decided(&run), ["t y by approval_vote against c"]);
    let statuses: Vec<_> = run.state().findings().iter().map(|f| format!("{:?}", f.status)).collect();
    assert_eq!(statuses, ["Confirmed", "Confirmed", "Disputed"]);
    assert_eq!(&*run.state().decisions()[0].protocol, "approval");
    let run = run_by(approval(), liking(r#"["x", "y"]"#, r#"[]"#, r#"["x"]"#), Rules::new());
    assert_eq!(decided(&run), ["t x by approval_vote against "]);
    assert_eq!(run.state().decisions()[0].abstained, [Role::new("b")], "who approves nothing abstains");
}

#[test]
fn a_person_chooses_among_the_single_values_of_an_approval() {
    let plan = findings(|s| s.protocol = VoteProtocol::Approval);
    let mut run = run_by(plan, liking(r#"["x", "y"]"#, r#"["y"]"#, r#""z""#), settle(SettleVerdict::Escalate, Value::Null));
    let ask = run.state().asks.values().next().cloned().expect("it asks");
    assert_eq!(ask.options.iter().map(|o| &**o).collect::<Vec<_>>(), ["x", "y", "z"]);
    run.answer(ask.id, "x").unwrap();
    go(&mut run);
    assert_eq!(decided(&run), ["t x by ann against b+c"]);
}

#[test]
fn who_abstains_holds_no_position_and_is_listed() {
    let majority = || findings(|s| s.protocol = VoteProtocol::Majority);
    let run = run_by(majority(), liking(r#""x""#, r#"" Abstain""#, r#""y""#), Rules::new());
    assert_eq!(decided(&run), ["t x by tie against c"], "one of two is no majority of those who vote");
    assert_eq!(run.state().decisions()[0].abstained, [Role::new("b")]);
    let statuses: Vec<_> = run.state().findings().iter().map(|f| format!("{:?}", f.status)).collect();
    assert_eq!(statuses, ["Confirmed", "Open", "Disputed"], "an abstention is neither confirmed nor disputed");
    let nobody = run_by(majority(), liking(r#""x""#, "null", r#""abstain""#), Rules::new());
    assert!(decided(&nobody).is_empty(), "one position is no disagreement");
}

#[test]
fn who_gives_its_position_up_in_a_debate_abstains() {
    let gives_up = |request: &Request| match &*request.phase {
        "debate" => Said::Finish(json(r#"{"value": null, "reason": "I was wrong"}"#)),
        _ => holds("x", 0.5)(request),
    };
    let keeps = |request: &Request| match &*request.phase {
        "debate" => Said::Finish(json(r#"{"value": "y"}"#)),
        _ => holds("y", 0.5)(request),
    };
    let script = Script::default().agent("a", gives_up).agent("b", keeps);
    let run = run_by(findings(|_| ()), script, settle(SettleVerdict::Debate, Value::Null));
    assert_eq!(
        (decided(&run), run.state().decisions()[0].abstained.clone()),
        (vec!["t y by unanimous against ".to_owned()], vec![Role::new("a")])
    );
}

#[test]
fn the_settle_rule_knows_who_abstains() {
    let mut rules = Rules::new();
    let accept = |facts: &Value| Verdict::Settle {
        verdict: SettleVerdict::Accept,
        value: facts.get("abstained").cloned().unwrap_or_default(),
        reason: "".into(),
    };
    rules.insert("settle", Box::new(accept));
    let run = run_by(findings(|_| ()), liking(r#""x""#, r#""y""#, r#""abstain""#), rules);
    assert_eq!(decided(&run), [r#"t ["c"] by settle against a+b"#]);
}

#[test]
fn by_track_record_who_was_right_more_often_weighs_more_and_who_is_new_weighs_half() {
    use crate::value::TrackRecord;
    let record =
        |role: &str, stood, held| TrackRecord { team: "test".into(), role: Role::new(role), profile: role.into(), stood, held };
    let voted = |records: Vec<TrackRecord>| {
        let mut plan = findings(|s| s.protocol = VoteProtocol::TrackRecord);
        plan.teams[0].name = "test".into();
        for member in &mut plan.teams[0].members {
            std::sync::Arc::make_mut(&mut member.profile).name = member.role.0.clone();
        }
        plan.teams[0].rules = Vec::new();
        let script = Script::default().agent("a", holds("x", 0.6)).agent("b", holds("y", 0.5));
        let mut run = super::Run::start_from(
            crate::event::Started { records, ..super::world::started(plan) },
            std::sync::Arc::new(super::TestJudge { rules: Rules::new() }),
            script,
        )
        .unwrap();
        go(&mut run);
        let weights: Vec<_> = run.state().decisions()[0].positions.iter().map(|p| p.record).collect();
        (decided(&run).remove(0), weights)
    };
    assert_eq!(voted(Vec::new()), ("t x by track_record_vote against b".to_owned(), vec![Some(0.5), Some(0.5)]));
    let (decision, weights) = voted(vec![record("a", 1, 8), record("b", 7, 8), record("c", 8, 8)]);
    assert_eq!((decision.as_str(), weights), ("t y by track_record_vote against a", vec![Some(0.2), Some(0.8)]));
    let elsewhere =
        vec![TrackRecord { team: "other".into(), ..record("b", 9, 9) }, TrackRecord { profile: "z".into(), ..record("b", 9, 9) }];
    assert_eq!(voted(elsewhere).0, "t x by track_record_vote against b", "another team's record, and another profile's");
}

#[test]
fn the_escalate_rule_says_whom_a_disagreement_reaches() {
    use crate::value::EscalateTo::{Coordinator, None as Nobody, Person};
    let to = |to| {
        let mut rules = Rules::new();
        let verdict = move |facts: &Value| {
            assert_eq!(facts.get("cause"), Some(&Value::text("on_disagreement")));
            assert_eq!(facts.get("output").and_then(Value::as_list).map(<[Value]>::len), Some(2), "the positions");
            Verdict::Escalate { to, question: "Which?".into(), options: Vec::new() }
        };
        rules.insert("escalate", Box::new(verdict));
        let mut plan = findings(|_| ());
        plan.teams[0].coordinator = Some(super::world::agent("boss"));
        plan.teams[0].escalation_policy = vec![EscalationPolicy::OnDisagreement];
        let script = Script::default().agent("a", holds("x", 0.5)).agent("b", holds("y", 0.5));
        run_by(plan, script.agent("boss", |_| Said::Finish(json(r#"{"value": "w"}"#))), rules)
    };
    assert_eq!(decided(&to(Nobody)), ["t x by tie against b"]);
    assert_eq!(decided(&to(Coordinator)), ["t w by coordinator against a+b"]);
    let escalated = to(Coordinator).events().into_iter().filter(|e| matches!(e, crate::event::Event::Escalated { .. })).count();
    assert_eq!(escalated, 1);
    let mut asked = to(Person);
    let ask = asked.state().asks.values().next().cloned().expect("it asks");
    assert_eq!((&*ask.question, ask.options.len()), ("Which?", 2));
    asked.answer(ask.id, "y").unwrap();
    go(&mut asked);
    assert_eq!(decided(&asked), ["t y by ann against a"]);
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
    use VoteProtocol::{Approval, Majority, Unanimous, Weighted};
    let (yes, no) = (("approve", 0.2), ("object", 0.9));
    let accepted = |protocol, a, b, c| voted(protocol, a, b, c).get("accepted").and_then(Value::as_bool);
    assert_eq!(accepted(Weighted, yes, yes, no), Some(false));
    assert_eq!(accepted(Majority, yes, yes, no), Some(true));
    assert_eq!(accepted(Unanimous, yes, yes, no), Some(false));
    assert_eq!(accepted(Unanimous, yes, yes, yes), Some(true));
    assert_eq!(accepted(Majority, no, no, no), Some(false));
    assert_eq!(accepted(Weighted, ("nonsense", 1.0), yes, yes), Some(true));
    assert_eq!(accepted(Approval, yes, yes, no), Some(true));
    assert_eq!(accepted(Unanimous, yes, yes, ("abstain", 1.0)), Some(true), "all who vote approve");
    assert_eq!(accepted(Majority, yes, no, ("abstain", 1.0)), Some(true), "a tie falls to the first");
}

#[test]
fn validators_who_abstain_are_listed_beside_the_votes() {
    let output = voted(VoteProtocol::Majority, ("approve", 0.2), ("abstain", 0.3), ("object", 0.9));
    assert_eq!(output.get("abstained"), Some(&json(r#"["b"]"#)));
    assert_eq!(output.get("votes").and_then(Value::as_list).map(<[Value]>::len), Some(2));
}

/// Two of three object, and the `settle` rule or the policy says what becomes of the proposal.
fn contested_proposal(rules: Rules, change: impl FnOnce(&mut Plan)) -> Run<Script> {
    let mut plan = voting(VoteProtocol::Majority);
    plan.teams[0].coordinator = Some(super::world::agent("boss"));
    change(&mut plan);
    let script =
        Script::default().agent("a", votes("approve", 0.9)).agent("b", votes("object", 0.4)).agent("c", votes("object", 0.3));
    run_by(plan, script.agent("boss", |_| Said::Finish(json(r#"{"value": "approve"}"#))), rules)
}

#[test]
fn objections_of_several_validators_reach_a_person_where_the_rule_escalates() {
    let mut run = contested_proposal(settle(SettleVerdict::Escalate, Value::Null), |_| ());
    let ask = run.state().asks.values().next().cloned().expect("it asks");
    assert_eq!(ask.options.iter().map(|o| &**o).collect::<Vec<_>>(), ["approve", "object"]);
    run.answer(ask.id, "approve").unwrap();
    go(&mut run);
    assert_eq!(decided(&run), ["proposal approve by ann against b+c"]);
    assert!(run.result().contains(r#""accepted":true"#), "{}", run.result());
}

#[test]
fn objections_of_several_validators_are_the_coordinators_to_weigh_where_the_rule_says_so() {
    let run = contested_proposal(settle(SettleVerdict::Coordinator, Value::Null), |_| ());
    assert_eq!(decided(&run), ["proposal approve by coordinator against b+c"]);
}

#[test]
fn a_proposal_that_is_rejected_for_good_reaches_a_person_where_the_policy_says_so() {
    let run = contested_proposal(Rules::new(), |_| ());
    assert_eq!(decided(&run), ["proposal object by majority_vote against a"]);
    let policy = |plan: &mut Plan| plan.teams[0].escalation_policy = vec![EscalationPolicy::OnDisagreement];
    let mut run = contested_proposal(Rules::new(), policy);
    run.answer(AskId(0), "object").unwrap();
    go(&mut run);
    assert_eq!(decided(&run), ["proposal object by ann against a"]);
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
