//! How did a session stand, and what did an agent know, at any moment?

mod common;

use synod::{
    event::Event,
    report::{Moment, MomentError},
    value::{MessageKind, Seq},
};

use common::Bench;

#[test]
fn an_agent_knew_what_had_been_told_before_its_last_turn_and_nothing_later() {
    let bench = Bench::new();
    bench.script(
        "asks",
        r#"if view.turn > 0 { return #{ finish: "done" }; }
        #{ calls: [#{ tool: "ask_agent", args: #{ to: "b", question: "well?" } }] }"#,
    );
    let ran = bench.run(
        "
        name: Team
        collaboration_pattern: graph
        member_agents: [{ agent: asks, role: a }, { agent: agent, role: b }]
        nodes:
          b: { agent: b, live: true }
          a: { agent: a, after: b }
        ",
    );
    ran.completed();
    let kinds = |agent: &str, as_of: Option<Seq>| -> Vec<&'static str> {
        let moment = Moment::of(&ran.records, as_of, Some(agent)).unwrap();
        moment.messages.iter().map(|m| m.kind.name()).filter(|kind| ["question", "response"].contains(kind)).collect()
    };
    let is_question = |event: &Event| matches!(event, Event::Said { message, .. } if message.kind == MessageKind::Question);
    let asked = ran.records.iter().find(|record| is_question(&record.event));
    let asked = asked.unwrap().seq;
    assert_eq!(kinds("a", Some(asked)), ["question"]);
    assert_eq!(kinds("a/ask_1", None), ["question", "response"], "who answers has the question, and said the answer");
    assert!(kinds("a", None).starts_with(&["question", "response"]), "{:?}", kinds("a", None));
    assert!(!kinds("b", None).contains(&"question"), "it had ended when it was asked");
    let beyond = Moment::of(&ran.records, Some(Seq(1 << 40)), None).unwrap_err();
    assert!(matches!(beyond, MomentError::Later { .. }));
}

#[test]
fn an_agent_that_is_at_work_twice_is_named_by_its_node() {
    let bench = Bench::new();
    let ran = bench.run("name: Team\ncollaboration_pattern: graph\nmember_agents: [{ agent: agent, role: a }]\nnodes: { x: { agent: a }, y: { agent: a } }\n");
    let both = ran.starts("x").into_iter().chain(ran.starts("y")).max().unwrap();
    let error = Moment::of(&ran.records, Some(both), Some("a")).unwrap_err();
    assert_eq!(error.to_string(), "it is at work in x, y: name one of these nodes");
    assert!(Moment::of(&ran.records, Some(both), Some("y")).is_ok());
    let whole = Moment::of(&ran.records, Some(both), None).unwrap();
    assert_eq!(whole.at_work.iter().map(|w| &*w.node).collect::<Vec<_>>(), ["x", "y"]);
}
