//! What is refused, and in which words?

use super::*;

/// The nodes of a graph, one a line, so that the first stands on line 6.
fn nodes(lines: &[&str]) -> String {
    graph(&format!("nodes:\n  {}\n", lines.join("\n  ")))
}

#[track_caller]
fn check(lines: &[&str], expected: &str) {
    assert_eq!(said(&nodes(lines)), expected);
}

#[test]
fn behaviour_01_a_circle_is_refused_and_its_nodes_are_named() {
    check(
        &["a: { gate: '1', after: c }", "b: { gate: '1', after: a }", "c: { gate: '1', after: b }", "d: { gate: '1', after: c }"],
        "team.yaml:6:3: error[cycle]: nodes wait for each other in a circle: a → b → c → a\n  \
         drop one of these dependencies; for repetition there is `repeat: { max, until }`\n",
    );
}

#[test]
fn all_circles_are_named_at_once_and_so_is_a_node_that_waits_for_itself() {
    check(
        &[
            "a: { gate: '1', after: b }",
            "b: { gate: '1', after: [a, c] }",
            "c: { gate: '1', after: b }",
            "d: { gate: '1', after: d }",
        ],
        "team.yaml:6:3: error[cycle]: nodes wait for each other in a circle: a → b → a; in circles with them: `c`\n  \
         drop one of these dependencies; for repetition there is `repeat: { max, until }`\n\
         team.yaml:9:3: error[cycle]: `d` waits for itself\n  drop that dependency\n",
    );
}

#[test]
fn behaviour_02_an_unknown_dependency_is_refused_with_both_ends() {
    check(
        &["triage: { agent: ann }", "bill: { agent: bob, after: traige }"],
        "team.yaml:7:30: error[unknown-node]: `bill` waits for `traige`, which is no node of this graph\n  \
         did you mean `triage`?\n",
    );
}

#[test]
fn behaviour_03_two_nodes_with_one_id_are_refused() {
    // A file cannot say it without a duplicate key; a program can.
    let mut team = load(&nodes(&["a: { agent: ann }", "b: { agent: bob }"]));
    team.nodes[1].id = team.nodes[0].id.clone();
    assert_eq!(said_of(&team), "team.yaml:7:3: error[duplicate-id]: two nodes have the id `a`\n");
}

#[test]
fn behaviour_04_the_same_edge_twice_is_refused() {
    check(
        &["a: { agent: ann }", "b: { agent: bob, after: [a, a] }"],
        "team.yaml:7:31: error[duplicate-edge]: `b` depends on `a` twice\n  \
         keep one; `done` covers success and failure, and an expression may use `||`\n",
    );
    check(
        &["a: { agent: ann, on_error: b }", "b: { agent: bob, after: { a: failed } }"],
        "team.yaml:6:30: error[duplicate-edge]: `b` depends on `a` twice\n  \
         keep one; `done` covers success and failure, and an expression may use `||`\n",
    );
}

#[test]
fn behaviour_05_an_isolated_node_is_warned_of() {
    check(
        &["a: { agent: ann }", "b: { agent: bob, after: a }", "c: { agent: cid }"],
        "team.yaml:8:3: warning[unreachable]: `c` is isolated: it waits for nothing and nothing waits for it\n  \
         add `after`, or use it in `output`\n",
    );
}

#[test]
fn several_roots_without_edges_are_no_mistake() {
    check(&["a: { agent: ann }", "b: { agent: bob }"], "");
}

#[test]
fn behaviour_06_unknown_targets_of_a_failure_are_refused() {
    check(
        &["a: { agent: ann, on_error: tidy }", "tidy_up: { agent: bob, after: a }"],
        "team.yaml:6:30: error[unknown-node]: `a` hands its failure to `tidy`, which is no node of this graph\n  \
         did you mean `tidy_up`?\n",
    );
    check(
        &["a: { agent: ann, on_error: a }"],
        "team.yaml:6:30: error[cycle]: `a` cannot handle its own failure\n  name another node, or use `retry`\n",
    );
}

#[test]
fn an_else_needs_a_sibling_with_a_condition() {
    check(
        &["a: { agent: ann }", "b: { agent: bob, after: { a: else } }", "c: { agent: cid, after: a }"],
        "team.yaml:7:29: error[unreachable]: `b` is the `else` of `a`, but no other node has a condition on `a`\n  \
         write `after: a`, or give a sibling a condition such as `after: { a: 'output.ok' }`\n",
    );
}

#[test]
fn a_quorum_fits_its_sources() {
    // The loader says so of a file; a program may ask the compiler alone.
    let mut team = load(&nodes(&["a: { agent: ann }", "b: { agent: bob, after: a }"]));
    team.nodes[1].join = crate::graph::Join::Quorum(2);
    let expected = "team.yaml:7:3: error[out-of-range]: `b` waits for 2 of 1 nodes, which can never be\n  \
                    a quorum is a number from 1 to 1\n";
    assert_eq!(said_of(&team), expected);
    check(
        &["a: { subtasks: '[]', max: 2, quorum: 3 }"],
        "team.yaml:6:3: error[out-of-range]: `a` waits for 3 of at most 2 sub-tasks, which can never be\n  \
         a quorum is a number from 1 to 2\n",
    );
}

#[test]
fn concurrency_belongs_to_nodes_with_nodes_inside() {
    check(
        &["a: { agent: ann, concurrency: 2 }"],
        "team.yaml:6:3: error[invalid-value]: `a` has no nodes inside whose `concurrency` could be limited\n  \
         it belongs to `for_each`, `repeat` and `nodes`; `max_parallel` limits the whole team\n",
    );
}

#[test]
fn behaviour_14_parallel_writers_of_one_variable_are_refused() {
    check(
        &["a: { agent: ann, writes: plan }", "b: { agent: bob, writes: plan }", "c: { agent: cid, after: [a, b] }"],
        "team.yaml:7:3: error[write-conflict]: `a` and `b` may run at the same time and both write `plan`\n  \
         let one be `after` the other, or give both the same merge: `writes: [{ variable: plan, merge: append }]`\n",
    );
}

#[test]
fn writers_that_are_ordered_merged_or_exclusive_are_fine() {
    check(&["a: { agent: ann, writes: plan }", "b: { agent: bob, after: a }", "c: { agent: cid, after: b, writes: plan }"], "");
    check(
        &["a: { agent: ann, writes: [{ variable: n, merge: sum }] }", "b: { agent: bob, writes: [{ variable: n, merge: sum }] }"],
        "",
    );
    check(
        &[
            "t: { agent: ann }",
            "a: { agent: ann, after: { t: 'output.kind == \"x\"' }, writes: plan }",
            "b: { agent: bob, after: { t: 'output.kind == \"y\"' }, writes: plan }",
            "c: { agent: cid, after: { t: else } }",
            "d: { agent: cid, after: c, writes: plan }",
            "e: { agent: cid, after: { t: failed }, writes: plan }",
        ],
        "",
    );
}

#[test]
fn writers_inside_scopes_count_and_so_do_instances_of_one_body() {
    check(
        &[
            "g: { nodes: { x: { agent: ann, writes: plan } } }",
            "b: { agent: bob, writes: plan }",
            "f: { for_each: '[1, 2]', max: 2, agent: cid, task: '{{ item }}', writes: seen, after: [g, b] }",
        ],
        "team.yaml:7:3: error[write-conflict]: `g` and `b` may run at the same time and both write `plan`\n  \
         let one be `after` the other, or give both the same merge: `writes: [{ variable: plan, merge: append }]`\n\
         team.yaml:8:3: error[write-conflict]: the instances of `f` may run at the same time and write `seen`\n  \
         say how the values become one: `writes: [{ variable: seen, merge: append }]`\n",
    );
}

#[test]
fn behaviour_14_members_of_a_circle_and_of_sub_tasks_that_write_one_variable_without_a_merge_are_refused() {
    let scopes = ["c: { circle: [ann, bob] }", "c: { subtasks: '[]', max: 2 }"];
    for scope in scopes {
        let team = |merge: &str| {
            format!(
                "name: Team\ncollaboration_pattern: graph\nmember_agents:\n  - {{ agent: a, role: ann, writes: [{{ variable: plan{merge} }}] }}\n  \
                 - {{ agent: b, role: bob, writes: [{{ variable: plan{merge} }}] }}\n  - {{ agent: c, role: cid }}\nnodes:\n  {scope}\n"
            )
        };
        assert_eq!(
            said(&team("")),
            "team.yaml:8:3: error[write-conflict]: `ann` and `bob`, members of `c` may run at the same time and write `plan`\n  \
             say how the values become one: `writes: [{ variable: plan, merge: append }]`\n",
            "{scope}"
        );
        assert_eq!(said(&team(", merge: append")), "", "{scope}");
    }
    check(
        &[
            "a: { agent: ann, live: true, writes: plan }",
            "b: { agent: bob, live: true, writes: plan }",
            "c: { agent: cid, after: [a, b] }",
        ],
        "team.yaml:7:3: error[write-conflict]: `a` and `b` may run at the same time and both write `plan`\n  \
         let one be `after` the other, or give both the same merge: `writes: [{ variable: plan, merge: append }]`\n",
    );
}

#[test]
fn arguments_that_are_known_fit_the_tool() {
    check(
        &[
            "a: { tool: Bash, args: { comand: ls } }",
            "b: { tool: Bash, args: { command: '{{ a.output }}', seconds: soon }, after: a }",
            "c: { tool: Bash, args: { command: ls, seconds: '{{ b.output }}' }, after: b }",
        ],
        "team.yaml:6:26: error[invalid-value]: the arguments of `Bash` do not fit the tool: \"command\" is a required property\n\
         team.yaml:6:26: error[invalid-value]: the arguments of `Bash` do not fit the tool: \
         Additional properties are not allowed ('comand' was unexpected)\n\
         team.yaml:7:26: error[invalid-value]: the arguments of `Bash` do not fit the tool at `/seconds`: \
         \"soon\" is not of type \"integer\"\n",
    );
}

#[test]
fn rules_are_functions_of_the_team() {
    let text = format!(
        "{}rules: [own.rhai]\n",
        nodes(&[
            "a: { rule: scor }",
            "b: { rule: settle, after: a }",
            "c: { rule: score, after: b }",
            "d: { rule: merge, after: c }"
        ])
    );
    assert_eq!(
        said(&text),
        "team.yaml:6:3: error[unknown-rule]: no script of this team defines a function `scor`\n  did you mean `score`?\n\
         team.yaml:7:3: error[unknown-rule]: `settle` is a rule that the engine asks: no node can call it\n  \
         a `rule` node calls `route`, `merge` or a function of your own\n",
    );
}

#[test]
fn a_proposal_is_made_before_it_is_voted_on() {
    check(
        &[
            "p: { agent: ann }",
            "v: { agent: bob, phase: validate, proposal: p }",
            "w: { agent: cid, phase: validate, proposal: q, after: [p, v] }",
        ],
        "team.yaml:7:47: error[unknown-name]: `p` is not before `v`, so its output may not be there yet\n  \
         add `p` to the `after` of `v`\n\
         team.yaml:8:47: error[unknown-node]: the proposal `q` is no node of this graph\n  known: `p`, `v`, `w`\n",
    );
}

#[test]
fn a_cost_limit_needs_prices() {
    let text = "name: T\ncollaboration_pattern: parallel\nresult: { by: merge }\nlimits: { cost_usd: 1.0 }\n\
                member_agents: [{ agent: local, role: bob }]\n";
    assert_eq!(
        said(text),
        "team.yaml: error[unpriced]: `limits.cost_usd` of $1.0000 cannot be kept: `local` has no price\n  \
         give it a `price` in the model catalog, or limit `tokens` instead\n",
    );
}

#[test]
fn a_worst_case_beyond_64_bits_is_refused_where_it_arises() {
    let million = "for_each: 'input[\"list\"]', max: 1000000";
    let inner = format!("c: {{ {million}, agent: ann }}");
    let text = nodes(&[&format!("a: {{ {million}, nodes: {{ b: {{ {million}, nodes: {{ {inner} }} }} }} }}")]);
    assert_eq!(
        said(&text),
        "team.yaml:6:3: error[bound-overflow]: the worst case of `a` does not fit into 64 bits\n  \
         lower `max`, `max_tasks`, `max_attempts` or the turns of its agents\n"
    );
}

#[test]
fn a_team_that_contains_itself_is_refused_even_when_made_in_code() {
    let text = nodes(&["a: { team: ./sub.yaml }"]);
    let sub = graph("nodes: { x: { agent: ann } }\n");
    let mut team = load_from(&sources().with("team.yaml", text).with("sub.yaml", sub));
    team.file = "sub.yaml".into();
    assert_eq!(said_of(&team), "sub.yaml: error[recursive-team]: the team contains itself: sub.yaml → sub.yaml\n");
}

#[test]
fn everything_is_reported_at_once() {
    let text =
        nodes(&["a: { agent: ann, after: x }", "b: { gate: 'nope', after: [a, a] }", "c: { agent: bob, after: { a: else } }"]);
    let found = compiled(&load(&text)).unwrap_err();
    let codes: Vec<_> = found.iter().map(|d| d.code.name()).collect();
    assert_eq!(codes, ["unknown-node", "unknown-name", "duplicate-edge", "unreachable"]);
}
