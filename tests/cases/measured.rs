//! Measured, not asserted: `cargo test -p careen-tests --features controlplane -- --ignored --nocapture measured`.

use std::time::Instant;

use careen_tests::case::Case;
use serde_json::{Value, json};

pub async fn a_node_with_110_pods_of_30_seconds(case: Case) {
    let a = case.node("a").await;
    case.deployment("web", 110, 30).await;
    case.ready_on(&a, 110).await;
    case.node("b").await;
    measure(&case, &[a], "110 pods of 30 s").await;
}

pub async fn five_nodes_with_ten_pods_of_ten_seconds(case: Case) {
    let mut nodes = Vec::new();
    for suffix in ["a", "b", "c", "d", "e"] {
        let node = case.node(suffix).await;
        for number in 0..10 {
            let grace = json!({"spec": {"terminationGracePeriodSeconds": 10}});
            case.pod(&format!("{suffix}{number}"), &node, grace).await;
        }
        nodes.push(node);
    }
    for node in &nodes {
        case.ready_on(node, 10).await;
    }
    measure(&case, &nodes, "5 nodes, 10 pods of 10 s each, one kubectl apply").await;
}

async fn measure(case: &Case, nodes: &[String], what: &str) {
    let audit = case.suite.audit();
    let manifests: Vec<Value> = nodes.iter().map(|node| case.manifest(&format!("{node}-maintenance"), node)).collect();
    let (mark, started) = (audit.mark(), Instant::now());
    let _ = case.apply(&json!({"apiVersion": "v1", "kind": "List", "items": manifests})).await.ok();
    for node in nodes {
        case.drained(&format!("{node}-maintenance")).await;
    }
    let seconds = started.elapsed().as_secs_f64();
    let requests = audit.since(mark).of_careen();
    let counted = requests.clone().counted();
    println!(
        "\n{what}: {seconds:.1} s, {} requests ({} with renewals of Leases and ended watches):\n{}",
        counted.len(),
        requests.len(),
        counted.summary()
    );
}
