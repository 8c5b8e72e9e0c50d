//! Tests.
use std::{path::PathBuf, sync::Arc, time::Instant};
use super::*;
use crate::tool::{Roots, BlockingTool, CallContext};

#[test]
fn try_shared() {
    let Ok(root) = std::env::var("SYNOD_SHARED") else { return };
    let root = PathBuf::from(root);
    let call = CallContext::on(Arc::new(Roots::new(&root).unwrap()));
    let tool = QueryMetrics::new();
    for (folder, args) in [("ps-01", "[1681855503, 1681856403]"), ("ps-02", "[1681389908,1681390808]"), ("tt-01", "[1675002180,1675002420]"), ("tt-02", "[1674987600,1674987840]"), ("tt-01", ""), ("nab/rogue_agent_key_hold.csv", ""), ("nab/cpu_utilization_asg_misconfiguration.csv", "")] {
        let window: Option<(i64,i64)> = serde_json::from_str(args).ok();
        let mut q = serde_json::json!({"path": format!("incidents/{folder}"), "op": "changes", "limit": 1000});
        if let Some((a,b)) = window { q["from"] = a.into(); q["to"] = b.into(); }
        let t = Instant::now();
        let out = tool.run(&call, &Value::try_from(q).unwrap()).unwrap();
        println!("== {folder} {args} {:?} notes {}", t.elapsed(), out.get("notes").unwrap());
        let rows = out.get("rows").unwrap().as_list().unwrap();
        println!("{} rows judged {} step {}", rows.len(), out.get("judged").unwrap(), out.get("step_s").unwrap());
        let mut dump = String::new();
        for (i, r) in rows.iter().enumerate() {
            let line = format!("{}|{}|{}|{}|{}|{}|{}|{}\n", r.get("service").unwrap(), r.get("metric").unwrap(), r.get("score").unwrap(), r.get("z").unwrap(), r.get("normal_z").unwrap(), r.get("onset_s").unwrap(), r.get("before").unwrap(), r.get("after").unwrap());
            if i < 6 { print!("   {line}"); }
            dump.push_str(&line);
        }
        std::fs::write(format!("/tmp/m_exp/out_{}_{}.txt", folder.replace('/', "_"), window.is_some()), dump).unwrap();
    }
}
