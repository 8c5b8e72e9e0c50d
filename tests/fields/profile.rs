//! What the keys of a profile do.

use std::sync::{Arc, Mutex};

use serde_json::json;
use synod::{
    event::{Event, TurnEnd},
    value::{Failure, FailureKind, Request, Style, Value},
};

use crate::common::{Bench, Ran, finish, reply, say, sole_error};

/// A team of one agent whose profile has these keys.
fn alone(set: &str) -> String {
    format!(
        "
        name: Team
        collaboration_pattern: parallel
        member_agents: [{{ agent: agent, role: a, set: {{ {set} }} }}]
        "
    )
}

fn escalations(ran: &Ran) -> usize {
    ran.events(|e| matches!(e, Event::Escalated { .. }).then_some(())).len()
}

#[test]
fn communication_style_limits_the_length_of_findings_and_reaches_the_model() {
    for (style, wanted, length) in
        [("concise", Style::Concise, 200), ("detailed", Style::Detailed, 2_000), ("technical", Style::Technical, 2_000)]
    {
        let bench = Bench::new();
        bench.model(
            "gpt-4",
            say(move |request| {
                assert_eq!(request.profile.style, wanted);
                let claim = Value::from("x".repeat(3_000));
                let args = Value::map([("topic", Value::from("t")), ("claim", claim), ("confidence", Value::from(1))]);
                Ok(if request.turn.0 == 0 { reply(&[("broadcast_finding", args)]) } else { finish(Value::Null) })
            }),
        );
        let ran = bench.run(&alone(&format!("model: gpt-4, communication_style: {style}")));
        ran.completed();
        assert_eq!(ran.report.findings[0].claim.chars().count(), length);
        assert!(ran.report.findings[0].claim.ends_with('…'));
    }
}

#[test]
fn is_active_keeps_a_profile_out_of_teams() {
    let bench = Bench::new();
    bench.file("asleep.yaml", "name: Asleep\nrole: worker\nmodel: script:agent.rhai\nis_active: false\n");
    let (code, line, ..) = sole_error(&bench.check(
        "
        name: Team
        collaboration_pattern: parallel
        member_agents:
          - { agent: agent, role: a }
          - { agent: asleep, role: b }
        ",
    ));
    assert_eq!((code, line), ("inactive", 5));
}

#[test]
fn role_says_who_may_lead() {
    let team = |leader: &str| {
        format!(
            "name: Team\ncollaboration_pattern: parallel\ncoordinator: {leader}\nmember_agents: [{{ agent: agent, role: a }}]\n"
        )
    };
    let (code, line, ..) = sole_error(&Bench::new().check(&team("agent")));
    assert_eq!((code, line), ("wrong-coordinator", 3));
    Bench::new().load(&team("lead"));
}

#[test]
fn max_conversation_turns_ends_an_agent_that_never_does_and_what_it_found_stays() {
    let bench = Bench::new();
    bench.script(
        "agent",
        "
        #{ calls: [#{ tool: \"say\", args: #{ value: view.turns_left } },
                   #{ tool: \"broadcast_finding\", args: #{ topic: `t${view.turn}`, claim: \"c\", confidence: 0.5 } }] }
        ",
    );
    let ran = bench.run(
        "
        name: Team
        collaboration_pattern: graph
        member_agents: [{ agent: agent, role: a, set: { max_conversation_turns: 3 } }]
        nodes: { a: { agent: a } }
        ",
    );
    assert_eq!(ran.failure_of("a").kind, FailureKind::Limit);
    assert_eq!(ran.report.metrics.turns, 3);
    assert_eq!(bench.board.calls("a"), 3);
    assert_eq!(ran.report.findings.len(), 3);
}

#[test]
fn an_unsure_agent_escalates_below_its_threshold_unless_told_not_to() {
    for (set, escalated) in [
        ("uncertainty_threshold: 0.6", 1),
        ("uncertainty_threshold: 0.5", 0),
        ("uncertainty_threshold: 0.6, auto_escalate_on_uncertainty: false", 0),
    ] {
        let bench = Bench::new();
        bench.script("agent", "#{ finish: #{ confidence: 0.5 } }");
        let ran = bench.run(&alone(set));
        assert_eq!(escalations(&ran), escalated, "{set}");
        assert_eq!(ran.status.name(), if escalated == 0 { "completed" } else { "parked" });
    }
}

#[test]
fn output_schema_sends_a_result_back_once_and_then_fails() {
    let schema = "output_schema: { type: object, required: [answer], properties: { answer: { type: integer } } }";
    for (better, status) in [(true, "ok"), (false, "failed")] {
        let bench = Bench::new();
        bench.model(
            "gpt-4",
            say(move |request| {
                let answer = if better && request.turn.0 > 0 { Value::from(42) } else { Value::from("many") };
                Ok(finish(Value::map([("answer", answer)])))
            }),
        );
        let ran = bench.run(&alone(&format!("model: gpt-4, {schema}")));
        assert_eq!(ran.of("a"), status);
        let notes = ran.events(|e| if let Event::Noted { note, .. } = e { Some(note.to_string()) } else { None });
        assert_eq!(notes.len(), 1);
        assert!(notes[0].contains("output_schema") && notes[0].contains("many"), "{}", notes[0]);
        if !better {
            assert_eq!(ran.failure_of("a").kind, FailureKind::Schema);
        }
    }
}

#[test]
fn allowed_tools_say_which_tools_an_agent_is_told_of_and_may_call() {
    let bench = Bench::new();
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = told.clone();
    bench.model(
        "gpt-4",
        say(move |request| {
            *seen.lock().unwrap() = request.tools.iter().map(|t| t.name.to_string()).collect();
            let one = Value::map([("value", Value::from(1))]);
            Ok(if request.turn.0 == 0 {
                reply(&[("say", one.clone()), ("put", one.clone()), ("nosuch", one)])
            } else {
                finish(Value::of(&request.thread).unwrap())
            })
        }),
    );
    let ran = bench.run(&alone("model: gpt-4, allowed_tools: [say]"));
    let told = told.lock().unwrap();
    assert!(told.contains(&"say".to_owned()) && !told.contains(&"put".to_owned()), "{told:?}");
    assert_eq!(bench.board.calls("a"), 1);
    let results = ran.events(|e| match e {
        Event::ToolReturned { result, .. } => Some(result.outcome.as_ref().map(Value::to_json).map_err(|f| f.kind.name())),
        _ => None,
    });
    assert_eq!(results.len(), 3, "no call is left unanswered");
    assert!(results.contains(&Ok(json!(1))) && results.contains(&Err("denied")) && results.contains(&Err("tool")));
}

#[test]
fn model_says_who_answers_and_fallback_models_take_over_on_outage_only() {
    for (kind, status) in [(FailureKind::Transport, "ok"), (FailureKind::RateLimit, "ok"), (FailureKind::Model, "failed")] {
        let bench = Bench::new();
        bench.model("gpt-4", say(move |_| Err(Failure::new(kind, "no answer"))));
        bench.model("gpt-4o", say(|_| Ok(finish(Value::from("from the fallback")))));
        let ran = bench.run(&alone("model: gpt-4, fallback_models: [gpt-4o]"));
        assert_eq!(ran.of("a"), status, "{kind:?}");
        if status == "ok" {
            assert_eq!(ran.completed(), json!({ "a": "from the fallback" }));
            let by = ran.events(|e| match e {
                Event::TurnEnded { end: TurnEnd::Reply(reply), .. } => reply.model.clone(),
                _ => None,
            });
            assert_eq!(by.iter().map(|m| &**m).collect::<Vec<_>>(), ["gpt-4o"], "the switch is on the record");
        }
    }
}

#[test]
fn what_a_profile_says_reaches_the_model() {
    let bench = Bench::new();
    bench.file("runbooks/pool.md", "---\ntitle: Pool\n---\nRaise it.\n");
    bench.file(
        "full.yaml",
        "
        name: Database Specialist
        role: specialist
        specialization: databases
        description: Knows pools.
        skills: [postgres, pools]
        model: gpt-4
        model_config: { temperature: 0.2, max_tokens: 500, top_p: 0.9 }
        system_prompt: You know databases.
        prompt_template: 'Do this: {{ task }}'
        mcp_servers: [pg]
        knowledge: { folders: [runbooks], top_k: 3 }
        knowledge_base_filters: { tags: [db, pool] }
        tags: [data]
        ",
    );
    let told: Arc<Mutex<Option<Request>>> = Arc::default();
    let seen = told.clone();
    bench.model(
        "gpt-4",
        say(move |request| {
            *seen.lock().unwrap() = Some(request.clone());
            Ok(finish(Value::Null))
        }),
    );
    let ran = bench.run("name: Team\ncollaboration_pattern: parallel\nmember_agents: [{ agent: full, role: db }]\n");
    ran.completed();
    let request = told.lock().unwrap().clone().unwrap();
    let profile = &request.profile;
    assert_eq!((&*profile.name, profile.specialization.as_deref()), ("Database Specialist", Some("databases")));
    assert_eq!(&*profile.system_prompt, "You know databases.");
    assert_eq!(profile.prompt_template.as_deref(), Some("Do this: {{ task }}"));
    assert_eq!(json!(profile.model_config), json!({ "temperature": 0.2, "max_tokens": 500, "top_p": 0.9 }));
    assert_eq!(profile.knowledge.folders.iter().map(|f| &**f).collect::<Vec<_>>(), ["runbooks"]);
    assert_eq!((profile.knowledge.top_k, json!(profile.knowledge.filters)), (3, json!({ "tags": ["db", "pool"] })));
    assert_eq!(profile.mcp_servers.iter().map(|s| &**s).collect::<Vec<_>>(), ["pg"]);
    let team = request.context.get("team").unwrap().to_json();
    assert_eq!(team[0]["skills"], json!(["postgres", "pools"]), "colleagues see what it can do");
    assert_eq!(team[0]["description"], json!("Knows pools."));
    let warnings: Vec<_> =
        bench.check("name: Team\ncollaboration_pattern: parallel\nmember_agents: [{ agent: full, role: db }]\n");
    assert!(warnings.iter().any(|d| d.code.name() == "unresolved-mcp-server" && &*d.file == "full.yaml"), "{warnings:?}");
}

#[test]
fn max_tokens_raises_the_worst_case_of_the_cost() {
    let bench = Bench::new();
    let cost = |tokens: u32| {
        bench.load(&alone(&format!("model: gpt-4, model_config: {{ max_tokens: {tokens} }}"))).plan.bounds.cost.unwrap()
    };
    assert!(cost(4_000) > cost(100));
}

#[test]
fn agents_are_listed_with_what_they_are_and_found_by_skill_and_word() {
    let bench = Bench::new();
    bench.file(
        "rare.yaml",
        "
        name: Quartz Specialist
        role: specialist
        specialization: geology
        description: Finds quartz.
        skills: [spectroscopy]
        model: script:agent.rhai
        allowed_tools: [Read]
        tags: [minerals]
        is_public: true
        ",
    );
    let found = |more: &[&str]| {
        let said = bench.synod(&[&["agents", "--from", "rare.yaml", "--json"], more].concat());
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        said.json().as_array().unwrap().clone()
    };
    for search in [&["--skill", "spectroscopy"][..], &["minerals"], &["geology"], &["finds", "quartz"]] {
        let rows = found(search);
        assert_eq!(rows.len(), 1, "{search:?}");
        let row = &rows[0];
        let of = |key: &str| row[key].clone();
        assert_eq!(
            ["name", "role", "specialization", "description", "skills", "tags", "tools", "is_public", "is_active"].map(of),
            [
                json!("Quartz Specialist"),
                json!("specialist"),
                json!("geology"),
                json!("Finds quartz."),
                json!(["spectroscopy"]),
                json!(["minerals"]),
                json!(["Read"]),
                json!(true),
                json!(true)
            ]
        );
    }
    assert!(found(&["--skill", "astrology"]).is_empty());
}
