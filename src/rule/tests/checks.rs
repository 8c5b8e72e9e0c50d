//! What `check` finds before anything runs, and what it leaves alone.

use crate::{
    rule::{RuleBook, Severity, Source, TeamScripts},
    value::{AgentFacts, Role, Value},
};

fn check(script: &str) -> Vec<String> {
    check_team(&TeamScripts::new(vec![Source::new("r.rhai", script)]))
}

fn check_team(team: &TeamScripts) -> Vec<String> {
    let book = RuleBook::build(std::slice::from_ref(team), [], []).expect("it compiles");
    let found = book.check(std::slice::from_ref(team));
    found.iter().map(|found| format!("{}{found}", if found.severity == Severity::Warning { "warning: " } else { "" })).collect()
}

#[test]
fn an_unknown_function_is_found_where_no_sample_leads() {
    let found = check(
        "fn settle(facts) {\n  if facts.round > 99 { return frob(facts); }\n  #{ verdict: \"vote\" }\n}\nfn other(x) { x.lenn() + x.filter() }",
    );
    assert_eq!(
        found,
        [
            "r.rhai:2:32: no function `frob`",
            "r.rhai:5:17: no function `lenn`; did you mean `len`?",
            "r.rhai:5:28: `filter` is called with 0 arguments; it takes 1",
        ]
    );
}

#[test]
fn functions_that_are_there_are_no_alarm() {
    let script = "const HANDLERS = #{ add: |x| x + 1 };\nfn twice(x) { x * 2 }\nfn merge(facts) {\n  let own = #{ step: |x| x };\n  own.late = |y| y;\n  let f = Fn(\"twice\");\n  [own.step(1), own.late(2), f.call(3), 4.twice_this(), twice(5)].sort();\n  type_of(facts)\n}\nfn twice_this() { this * 2 }";
    assert_eq!(check(script), Vec::<String>::new());
}

#[test]
fn a_misspelt_fact_is_an_error_and_an_unknown_input_a_warning() {
    assert_eq!(
        check("fn settle(facts) { if facts.poistions.len() > 0 { #{ verdict: \"vote\" } } else { #{ verdict: facts.foo } } }"),
        [
            "r.rhai:1:29: the facts of `settle` have no `poistions`; did you mean `positions`?",
            "r.rhai:1:99: the facts of `settle` have no `foo`; there are abstained, has_coordinator, inputs, members, node, over, positions, proposal, round, rounds_left, task, topic",
        ]
    );
    assert_eq!(
        check("fn settle(facts) { for p in facts.positions { if p.confidance > 0.5 { return #{ verdict: \"vote\" }; } } }"),
        ["r.rhai:1:52: `settle` on sample facts: no property `confidance`; did you mean `confidence`?"]
    );
    assert_eq!(
        check("fn permit(facts) { if facts.inputs.region == \"eu\" { \"allow\" } else { \"deny\" } }"),
        ["warning: r.rhai:1:36: `permit` on sample facts: no property `region`"]
    );
}

#[test]
fn a_parameter_is_the_facts_in_the_rule_itself_only() {
    let script = "fn cost(facts) { facts.price * 2 }\nfn own(facts) { let facts = facts.inner; facts.deep }\n\
        fn route(facts) { cost(#{ price: 1 }); [#{ zork: 1 }].map(|facts| facts.zork); [] }\n\
        fn settle(facts) { for facts in [#{ one: 1 }] { facts.one; } #{ verdict: \"vote\" } }\n\
        fn escalate(facts) { try { throw #{ code: 1 } } catch (facts) { facts.code; } #{ to: \"none\" } }\n";
    assert_eq!(check(script), Vec::<String>::new());
    let found = check(&format!("{script}fn permit(facts) {{ facts.tol; cost(#{{ price: 1 }}); \"allow\" }}"));
    assert_eq!(found, ["r.rhai:6:26: the facts of `permit` have no `tol`; did you mean `tool`?"]);
}

#[test]
fn the_trial_uses_the_teams_own_agents_and_inputs() {
    let script =
        "fn route(facts) { if facts.inputs.region == \"eu\" { [#{ id: \"a\", agent: \"lawyer\", task: \"x\" }] } else { [] } }";
    let mut team = TeamScripts::new(vec![Source::new("r.rhai", script)]);
    team.inputs.insert("region".to_owned(), Value::text("eu"));
    assert_eq!(check_team(&team).len(), 1);
    team.agents.push(AgentFacts {
        role: Role::new("lawyer"),
        name: "L".into(),
        specialization: None,
        skills: Vec::new(),
        description: None,
        priority: 1,
        tools: Vec::new(),
    });
    assert_eq!(check_team(&team), Vec::<String>::new());
}

#[test]
fn a_wrong_verdict_an_endless_loop_and_a_wrong_parameter_count_are_errors() {
    assert_eq!(
        check("fn permit(facts) { \"yes\" }"),
        ["r.rhai:1:4: `permit` on sample facts: the verdict is \"yes\"; expected \"allow\", \"deny\", \"ask\""]
    );
    assert_eq!(
        check("\nfn merge(facts) {\n  loop { let x = 1; }\n}"),
        ["r.rhai:2:4: `merge` on sample facts: the script does not come to an end: its operations are used up"]
    );
    assert_eq!(
        check("fn handoff(facts, more) { () }"),
        ["r.rhai:1:4: `handoff` takes 2 parameters; a rule takes one: the facts"]
    );
}

#[test]
fn what_may_come_of_the_samples_is_a_warning() {
    assert_eq!(
        check("fn merge(facts) { facts.results[9].output }"),
        ["warning: r.rhai:1:33: `merge` on sample facts: no item 9 in a list of 3"]
    );
    assert_eq!(check("fn merge(facts) { throw \"not today\" }"), ["warning: r.rhai:1:19: `merge` on sample facts: not today"]);
    assert_eq!(
        check("fn route(facts) { [#{ id: \"a\", agent: \"lawyer\", task: \"x\" }] }"),
        ["warning: r.rhai:1:4: `route` on sample facts: the agent `lawyer` is not one of security, performance, cost"]
    );
}

#[test]
fn a_rule_that_nobody_asks_for_is_pointed_out() {
    assert_eq!(
        check("fn setle(facts) { 1 }"),
        ["warning: r.rhai:1:4: `setle` is no rule that the engine asks; did you mean `settle`?"]
    );
    assert_eq!(check("fn mergee(x) { x } fn merge(facts) { mergee(1) }"), Vec::<String>::new());
}

#[test]
fn a_closure_that_reads_what_its_method_runs_on_is_found() {
    for script in [
        "fn merge(facts) { if facts.node == \"z\" { facts.results.map(|part| facts.task) } else { 1 } }",
        "fn merge(facts) { if facts.node == \"z\" { facts.results.filter(|x| true).map(|part| facts.task) } else { 1 } }",
    ] {
        let found = check(script);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("a closure reads a variable while a method of that variable runs"), "{found:?}");
    }
    assert_eq!(check("fn merge(facts) { let list = facts.results; list.map(|part| facts.task) }"), Vec::<String>::new());
}
