//! Bad input gets a sentence where the user looks, and no half-done node.

use std::time::Duration;

use careen_tests::{
    case::{Case, RECORD, has_taint, is_taken_out, record_of, summary},
    nodes::{PLAYED, UNREACHABLE},
    objects::{CLUSTER, annotation, condition, kinds, list, text},
    wait::{DRAIN, check, soon, stays, until},
};
use serde_json::{Value, json};

pub async fn a_node_that_does_not_exist(case: Case) {
    let nobody = case.name("nobody");
    let name = case.maintain(&nobody).await;
    let why = case.refused(&name).await.message;
    assert!(why.contains(&nobody), "it names the node: {why}");
    case.delete_maintenance(&name).await;
}

pub async fn a_second_maintenance_of_a_node_names_the_first(case: Case) {
    let a = case.node("a").await;
    let before = case.look_of(&a).await;
    let first = case.maintain(&a).await;
    case.drained(&first).await;
    let second = case.name("second");
    let _ = case.apply(&case.manifest(&second, &a)).await.ok();
    let why = case.refused(&second).await.message;
    assert!(why.contains(&first), "it names the first: {why}");
    case.delete_maintenance(&second).await;
    stays(Duration::from_secs(1), "the first holds the node", async || {
        let node = case.get_node(&a).await;
        check(is_taken_out(&node), || node["spec"].to_string())
    })
    .await;
    case.drained(&first).await;
    case.delete_maintenance(&first).await;
    case.looks_again(&a, &before).await;
}

pub async fn an_empty_or_changed_node_name(case: Case) {
    let a = case.node("a").await;
    let empty = case.apply(&case.manifest(&case.name("empty"), "")).await.refused();
    assert!(empty.contains("spec.nodeName"), "{empty}");
    let mut without = case.manifest(&case.name("without"), "");
    without["spec"].as_object_mut().unwrap().remove("nodeName");
    let without = case.apply(&without).await.refused();
    assert!(without.contains("spec.nodeName"), "{without}");
    let name = case.maintain(&a).await;
    let changed = case.apply(&case.manifest(&name, "another")).await.refused();
    assert!(changed.contains("nodeName") && changed.contains("cannot be changed"), "{changed}");
    case.drained(&name).await;
}

pub async fn an_unknown_field(case: Case) {
    let a = case.node("a").await;
    let name = case.name("typo");
    let mut manifest = case.manifest(&name, &a);
    manifest["spec"]["drian"] = json!({});
    let said = case.apply(&manifest).await.refused();
    assert!(said.contains("unknown field") && said.contains("spec.drian"), "{said}");
    let mut manifest = case.manifest(&name, &a);
    manifest["spec"]["drain"] = json!({"podSelecter": "app=web"});
    let said = case.apply(&manifest).await.refused();
    assert!(said.contains("unknown field") && said.contains("spec.drain.podSelecter"), "{said}");
    let mut manifest = case.manifest(&name, &a);
    manifest["spec"]["drain"] = json!({"vmThatCannotMigrate": "Kill"});
    let said = case.apply(&manifest).await.refused();
    assert!(said.contains("spec.drain.vmThatCannotMigrate"), "{said}");
}

pub async fn a_selector_that_does_not_parse(case: Case) {
    let a = case.node("a").await;
    let before = case.look_of(&a).await;
    let name = case.maintain_with(&a, json!({"drain": {"podSelector": "app in ("}})).await;
    let why = case.refused(&name).await.message;
    assert!(why.contains("spec.drain.podSelector"), "it names the field: {why}");
    case.stays_untouched(&a, &before).await;
    // Another spec is considered again.
    let patch = json!({"spec": {"drain": {"podSelector": "app!=cache"}}});
    case.cluster().merge(kinds::MAINTENANCE, CLUSTER, &name, patch).await;
    case.drained(&name).await;
    case.delete_maintenance(&name).await;
    case.looks_again(&a, &before).await;
}

pub async fn a_maintenance_of_another_controller(case: Case) {
    let a = case.node("a").await;
    let before = case.look_of(&a).await;
    let name = case.name("others");
    let mut manifest = case.manifest(&name, &a);
    let theirs = json!(["foregroundDeleteNodeMaintenance"]);
    manifest["metadata"]["finalizers"] = theirs.clone();
    let _ = case.apply(&manifest).await.ok();
    let found = case.until_condition(&name, "Accepted", "False").await;
    let accepted = list(&found, "/status/conditions").iter().find(|found| text(found, "/type") == "Accepted").unwrap();
    assert_eq!(text(accepted, "/reason"), "ManagedByAnother");
    assert_eq!(found["metadata"]["finalizers"], theirs);
    case.stays_untouched(&a, &before).await;
    case.cluster().merge(kinds::MAINTENANCE, CLUSTER, &name, json!({"metadata": {"finalizers": null}})).await;
}

pub async fn a_node_that_vanishes_in_mid_drain_and_comes_back(case: Case) {
    let a = case.node("a").await;
    case.deployment("web", 1, 1).await;
    case.ready_on(&a, 1).await;
    case.budget("never", "web", json!({"maxUnavailable": 0}), 0).await;
    let name = case.maintain(&a).await;
    let old = record_of(&case.taken_out(&a).await);
    case.until_condition(&name, "Stuck", "True").await;
    case.cluster().delete(kinds::NODE, CLUSTER, &a).await;
    let gone = case
        .until_maintenance(&name, "it says that the node is gone", |found| summary(found).contains("NodeGone"))
        .await;
    assert_ne!(condition(&gone, "Drained"), "True", "{}", summary(&gone));
    // The same name, another node: cordoned anew, with a record of its own.
    case.cluster()
        .create(json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": a, "labels": {PLAYED: "sim", "careen-test/case": case.id}},
        }))
        .await;
    let node = case.taken_out(&a).await;
    let new = record_of(&node);
    assert_eq!(new["nodeUid"], node["metadata"]["uid"]);
    assert_ne!(new["nodeUid"], old["nodeUid"]);
    case.delete_maintenance(&name).await;
    soon("the new node is free", async || {
        let node = case.get_node(&a).await;
        let is_free = node["spec"]["unschedulable"].is_null()
            && !has_taint(&node, "medik8s.io/drain")
            && annotation(&node, RECORD).is_none();
        check(is_free, || format!("{:#}", node["spec"]))
    })
    .await;
}

pub async fn a_node_that_is_not_ready_is_never_called_drained(case: Case) {
    let a = case.node("a").await;
    case.deployment("web", 2, 1).await;
    case.ready_on(&a, 2).await;
    case.node("b").await;
    let unreachable = |value: Value| json!({"metadata": {"annotations": {UNREACHABLE: value}}});
    case.cluster().merge(kinds::NODE, CLUSTER, &a, unreachable(json!("true"))).await;
    until(DRAIN, "the node is not ready", async || {
        let node = case.get_node(&a).await;
        check(condition(&node, "Ready") != "True", || "it is ready".to_owned())
    })
    .await;
    let history = case.history(&format!("{a}-maintenance"));
    let name = case.maintain(&a).await;
    case.taken_out(&a).await;
    case.until_maintenance(&name, "it says NodeUnreachable", |found| summary(found).contains("NodeUnreachable")).await;
    stays(Duration::from_secs(2), "pods are bound to it", async || {
        let bound = case.names_on(&a).await.len();
        check(bound > 0, || "they are gone".to_owned())
    })
    .await;
    history.assert_never("Drained");
    case.cluster().merge(kinds::NODE, CLUSTER, &a, unreachable(Value::Null)).await;
    case.drained(&name).await;
    case.evictions().assert_none_accepted_twice();
}
