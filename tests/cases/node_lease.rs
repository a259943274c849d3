//! The node Lease: one at a time acts on a node.

use careen_tests::{
    case::{Case, NODE_LEASES, summary},
    objects::{condition, kinds, text},
    wait::{check, soon},
};
use serde_json::json;

pub async fn a_node_that_somebody_else_holds_is_left_alone_until_it_is_free(case: Case) {
    let a = case.node("a").await;
    let before = case.look_of(&a).await;
    let lease = format!("node-{a}");
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string();
    case.cluster()
        .create(json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": lease, "namespace": NODE_LEASES},
            "spec": {
                "holderIdentity": "someone", "leaseDurationSeconds": 3600, "acquireTime": now, "renewTime": now,
            },
        }))
        .await;
    let token = case.account_with("viewer", "careen-viewer").await;
    let viewer = case.caller(&token);
    soon("the plan says who holds the node", async || {
        let plan = viewer.get(&format!("/api/v1/nodes/{a}/plan")).await;
        let warning = &plan.body["warnings"][0];
        let is_said = warning["reason"] == "NodeLeaseHeld" && text(warning, "/message").contains("someone");
        check(is_said, || plan.body.to_string())
    })
    .await;
    let name = case.maintain(&a).await;
    let waits = case.until_maintenance(&name, "it names the holder", |found| summary(found).contains("someone")).await;
    assert_ne!(condition(&waits, "Drained"), "True", "{}", summary(&waits));
    assert!(waits["status"]["errorOnLeaseCount"].as_i64().unwrap_or(0) >= 1, "{}", waits["status"]);
    case.stays_untouched(&a, &before).await;
    let held = case.cluster().get(kinds::LEASE, NODE_LEASES, &lease).await;
    assert_eq!(held["spec"]["holderIdentity"], json!("someone"));
    case.cluster().delete(kinds::LEASE, NODE_LEASES, &lease).await;
    case.taken_out(&a).await;
    case.drained(&name).await;
    case.delete_maintenance(&name).await;
    case.looks_again(&a, &before).await;
}
