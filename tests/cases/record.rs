//! The record on the node: what it is good for, and that nobody can misuse it.

use careen_tests::{
    case::{Case, DRAIN_TAINT, RECORD, record_of},
    objects::{CLUSTER, annotation, kinds, text, uid_of},
    wait::{check, soon},
};
use serde_json::{Value, json};

pub async fn a_finalizer_removed_by_force_does_not_keep_the_node_cordoned(case: Case) {
    let a = case.node("a").await;
    let before = case.look_of(&a).await;
    let name = case.maintain(&a).await;
    case.drained(&name).await;
    remove_by_force(&case, &name).await;
    case.looks_again(&a, &before).await;
}

/// As people do when a deletion hangs.
pub async fn remove_by_force(case: &Case, name: &str) {
    let uid = uid_of(&case.maintenance(name).await).to_owned();
    let _ = case.kubectl(&["delete", "nm", name, "--wait=false"], "").await.ok();
    let none = json!({"metadata": {"uid": uid, "finalizers": null}});
    case.cluster().try_merge(kinds::MAINTENANCE, CLUSTER, name, &none).await.ok();
    soon(&format!("{name} is gone"), async || {
        let found = case.cluster().find(kinds::MAINTENANCE, CLUSTER, name).await;
        check(found.is_none(), || format!("{found:?}"))
    })
    .await;
}

pub async fn a_record_removed_by_hand_is_written_again(case: Case) {
    let a = case.node("a").await;
    let before = case.look_of(&a).await;
    let name = case.maintain(&a).await;
    case.drained(&name).await;
    let record = record_of(&case.get_node(&a).await);
    case.cluster().merge(kinds::NODE, CLUSTER, &a, json!({"metadata": {"annotations": {RECORD: null}}})).await;
    soon("the record is there again", async || {
        let node = case.get_node(&a).await;
        check(annotation(&node, RECORD).is_some(), || node["metadata"]["annotations"].to_string())
    })
    .await;
    // From the status: the node as it is now was cordoned and tainted by Careen itself.
    assert_eq!(record_of(&case.get_node(&a).await), record);
    case.delete_maintenance(&name).await;
    case.looks_again(&a, &before).await;
}

pub async fn a_record_that_does_not_parse_is_only_reported(case: Case) {
    only_reported(&case, |_| "{\"actor\": somebody}".to_owned()).await;
}

pub async fn a_record_with_somebody_elses_taint_is_only_reported(case: Case) {
    only_reported(&case, |node| {
        let mut record = record_for(node, "Maintenance");
        record["addedTaint"] = json!("somebody.example.com/else");
        record.to_string()
    })
    .await;
}

pub async fn a_record_of_an_unknown_drain_is_only_reported(case: Case) {
    only_reported(&case, |node| record_for(node, "Order").to_string()).await;
}

pub async fn a_record_of_another_node_is_only_reported(case: Case) {
    only_reported(&case, |node| {
        let mut record = record_for(node, "Maintenance");
        record["nodeUid"] = json!("00000000-0000-4000-8000-000000000001");
        record.to_string()
    })
    .await;
}

/// A record as Careen writes it, of a maintenance or drain that does not exist.
pub fn record_for(node: &Value, actor: &str) -> Value {
    json!({
        "actor": {"kind": actor, "name": "no-such-actor", "uid": "00000000-0000-4000-8000-000000000000"},
        "nodeUid": node["metadata"]["uid"], "wasUnschedulable": false, "addedTaint": DRAIN_TAINT,
        "since": "2026-11-01T00:00:00Z",
    })
}

/// Somebody writes that record on a node which somebody cordoned and tainted: a warning says so, and nothing is done.
async fn only_reported(case: &Case, record: impl FnOnce(&Value) -> String) {
    let taints = json!([
        {"key": "somebody.example.com/else", "effect": "NoSchedule"},
        {"key": DRAIN_TAINT, "effect": "NoSchedule"},
    ]);
    let a = case.node_with("a", json!({"spec": {"unschedulable": true, "taints": taints}})).await;
    let record = record(&case.get_node(&a).await);
    case.cluster().merge(kinds::NODE, CLUSTER, &a, json!({"metadata": {"annotations": {RECORD: record}}})).await;
    let before = case.look_of(&a).await;
    soon("a warning about the node", async || {
        let warnings = case.warnings_about_node(&a).await;
        check(!warnings.is_empty(), || "no Event".to_owned())
    })
    .await;
    case.stays_untouched(&a, &before).await;
    let node_writes = case.writes().that(|request| request.object.resource == "nodes");
    assert!(node_writes.is_empty(), "Careen wrote to the node:\n{node_writes}");
    let lease = case.cluster().find(kinds::LEASE, careen_tests::case::NODE_LEASES, &format!("node-{a}")).await;
    assert_eq!(lease.as_ref().map_or("", |lease| text(lease, "/spec/holderIdentity")), "");
}
