//! `merge(facts)` and a team's own functions: what is the result?

use std::{collections::BTreeMap, sync::Arc};

use super::{sample_inputs, sample_task};
use crate::value::{
    Decision, Evidence, Failure, FailureKind, Finding, FindingId, FindingStatus, MergeFacts, Origin, OwnFacts, PartFacts,
    Position, Role, Value,
};

pub(super) const SHAPE: &str = "any value";

pub(super) fn samples() -> Vec<MergeFacts> {
    let part = |role: &str, output: Value| PartFacts {
        id: Arc::from(role),
        role: Some(Role::new(role)),
        status: "ok".into(),
        output,
        error: None,
    };
    let failed = PartFacts {
        status: "failed".into(),
        error: Some(Failure::new(FailureKind::Tool, "billing.csv: no such file")),
        ..part("cost", Value::Null)
    };
    vec![MergeFacts {
        task: sample_task(),
        inputs: sample_inputs(),
        node: "merge".into(),
        results: vec![
            part("security", answer("No sign of an attack.", 0.8)),
            part("performance", answer("Pool exhausted.", 0.9)),
            failed,
        ],
        findings: vec![Arc::new(finding())],
    }]
}

pub(super) fn own_samples() -> Vec<OwnFacts> {
    vec![OwnFacts {
        task: sample_task(),
        inputs: sample_inputs(),
        node: "score".into(),
        input: Value::map([("count", Value::Int(3))]),
        findings: vec![Arc::new(finding())],
        decisions: vec![Arc::new(decision())],
        variables: BTreeMap::from([(Arc::from("severity"), Value::text("high"))]),
    }]
}

fn answer(text: &str, confidence: f64) -> Value {
    Value::map([("answer", Value::text(text)), ("confidence", Value::Float(confidence))])
}

fn finding() -> Finding {
    Finding {
        id: FindingId::new("work/performance", 1),
        agent: Role::new("performance"),
        topic: "root_cause".into(),
        claim: "The connection pool of payment is exhausted since 14:30.".into(),
        value: Value::text("connection pool exhausted"),
        confidence: 0.9,
        status: FindingStatus::Open,
        origin: Origin::Tool,
        origins: Origin::Tool.into(),
        evidence: vec![Evidence {
            source: "logs/payment.log".into(),
            locator: "line 1042".into(),
            excerpt: "HikariPool-1 - Connection is not available".into(),
        }],
    }
}

fn decision() -> Decision {
    let position = |agent: &str, value: &str, confidence| Position {
        agent: Role::new(agent),
        value: Value::text(value),
        confidence,
        reason: "".into(),
        record: None,
    };
    Decision {
        topic: "root_cause".into(),
        outcome: Value::text("connection pool exhausted"),
        rule: "settle".into(),
        protocol: "weighted".into(),
        reason: "more confident by 0.5".into(),
        positions: vec![
            position("performance", "connection pool exhausted", 0.9),
            position("security", "credentials rotated", 0.4),
        ],
        dissent: vec![Role::new("security")],
        abstained: Vec::new(),
    }
}
