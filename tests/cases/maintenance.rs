//! The main job: a node goes into maintenance and comes back.

use std::time::Duration;

use careen_tests::{
    case::{Case, DRAIN_TAINT, NODE_LEASES, has_taint, is_taken_out, record_of, summary},
    objects::{CLUSTER, condition, conditions, kinds, list, text, uid_of},
    wait::{check, soon, stays},
};
use jiff::Timestamp;
use kube::api::ListParams;
use serde_json::{Value, json};

pub async fn the_well_known_manifest_takes_a_node_out_and_deleting_it_brings_it_back(case: Case) {
    let a = case.node("a").await;
    case.deployment("web", 4, 2).await;
    case.pod("bare", &a, json!({"spec": {"volumes": [{"name": "scratch", "emptyDir": {}}]}})).await;
    case.ready_on(&a, 5).await;
    let b = case.node("b").await;
    let before = case.look_of(&a).await;

    let name = case.maintain(&a).await;
    let node = case.taken_out(&a).await;
    let drain_taint = list(&node, "/spec/taints").iter().find(|taint| text(taint, "/key") == DRAIN_TAINT);
    assert_eq!(text(drain_taint.unwrap(), "/effect"), "NoSchedule");
    let maintenance = case.maintenance(&name).await;
    let record = record_of(&node);
    assert_eq!(record["actor"], json!({"kind": "Maintenance", "name": name, "uid": uid_of(&maintenance)}));
    assert_eq!(record["nodeUid"], node["metadata"]["uid"]);
    assert_eq!(record["wasUnschedulable"], json!(false));
    assert_eq!(record["addedTaint"], json!(DRAIN_TAINT));
    let lease = case.cluster().get(kinds::LEASE, NODE_LEASES, &format!("node-{a}")).await;
    assert_eq!(text(&lease, "/spec/holderIdentity"), format!("careen/maintenance/{}", uid_of(&maintenance)));

    let object = format!("nm/{name}");
    let _ = case.kubectl(&["wait", "--for=condition=Drained", "--timeout=60s", &object], "").await.ok();
    let drained = case.drained(&name).await;
    let status = &drained["status"];
    assert_eq!(condition(&drained, "Accepted"), "True", "{}", summary(&drained));
    assert_eq!(condition(&drained, "Draining"), "False", "{}", summary(&drained));
    assert_ne!(condition(&drained, "Stuck"), "True", "{}", summary(&drained));
    assert_eq!(status["drainProgress"], json!(100));
    assert_eq!(status["totalpods"], json!(5));
    assert_eq!(status["evictionPods"], json!(5));
    assert_eq!(list(status, "/pendingPods"), [] as [Value; 0]);
    assert!(status["lastError"].is_null(), "{status}");
    assert_eq!(status["record"], record);
    for time in ["startedAt", "drainedAt", "lastUpdate"] {
        text(status, &format!("/{time}")).parse::<Timestamp>().expect(time);
    }
    assert_eq!(case.names_on(&a).await, [] as [String; 0]);
    case.ready_on(&b, 4).await;

    let listed = case.kubectl(&["get", "nm", &name], "").await.ok().stdout;
    let row: Vec<&str> = listed.lines().nth(1).unwrap().split_whitespace().collect();
    // Without a ticket its column is empty.
    assert_eq!(row[..5], [&name, &a, "Succeeded", "100", "0"], "{listed}");
    soon("the node's conditions say that it is drained", async || {
        let node = case.get_node(&a).await;
        let so = condition(&node, "MaintenanceInProgress") == "True"
            && condition(&node, "Drained") == "True"
            && condition(&node, "DrainInProgress") != "True";
        check(so, || format!("{:#?}", conditions(&node)))
    })
    .await;
    let about = ListParams::default().fields(&format!("involvedObject.name={name}"));
    let events = case.cluster().select(kinds::EVENT, CLUSTER, about).await;
    assert!(!events.is_empty(), "no Event tells of {name}");

    case.delete_maintenance(&name).await;
    case.looks_again(&a, &before).await;
}

pub async fn a_node_that_was_cordoned_before_is_cordoned_after(case: Case) {
    let a = case.node_with("a", json!({"spec": {"unschedulable": true}})).await;
    let before = case.look_of(&a).await;
    let name = case.maintain(&a).await;
    let node = case.taken_out(&a).await;
    assert_eq!(record_of(&node)["wasUnschedulable"], json!(true));
    case.drained(&name).await;
    case.delete_maintenance(&name).await;
    case.looks_again(&a, &before).await;
}

pub async fn foreign_taints_stay_in_their_order(case: Case) {
    let taints = json!([
        {"key": "zone.example.com/last", "effect": "NoSchedule", "value": "z"},
        {"key": "app.example.com/first", "effect": "PreferNoSchedule"},
        {"key": "zone.example.com/last", "effect": "PreferNoSchedule"},
    ]);
    let a = case.node_with("a", json!({"spec": {"taints": taints}})).await;
    let before = case.look_of(&a).await;
    let name = case.maintain(&a).await;
    case.drained(&name).await;
    let node = case.get_node(&a).await;
    let foreign: Vec<&Value> =
        list(&node, "/spec/taints").iter().filter(|taint| text(taint, "/key").contains("example.com")).collect();
    assert_eq!(json!(foreign), taints);
    // One that comes meanwhile is somebody else's as well.
    let mut all: Vec<Value> = list(&node, "/spec/taints").to_vec();
    let late = json!({"key": "late.example.com/x", "effect": "PreferNoSchedule"});
    all.push(late.clone());
    case.cluster().merge(kinds::NODE, CLUSTER, &a, json!({"spec": {"taints": all}})).await;
    case.delete_maintenance(&name).await;
    soon("the late taint is all that is new", async || {
        let node = case.get_node(&a).await;
        let mut wanted = taints.as_array().unwrap().clone();
        wanted.push(late.clone());
        check(list(&node, "/spec/taints") == wanted, || node["spec"]["taints"].to_string())
    })
    .await;
    case.cluster().merge(kinds::NODE, CLUSTER, &a, json!({"spec": {"taints": taints}})).await;
    case.looks_again(&a, &before).await;
}

pub async fn a_drain_taint_that_was_there_before_stays(case: Case) {
    let taint = json!([{"key": DRAIN_TAINT, "effect": "NoSchedule"}]);
    let a = case.node_with("a", json!({"spec": {"taints": taint}})).await;
    let before = case.look_of(&a).await;
    let name = case.maintain(&a).await;
    assert!(record_of(&case.taken_out(&a).await)["addedTaint"].is_null());
    case.drained(&name).await;
    case.delete_maintenance(&name).await;
    case.looks_again(&a, &before).await;
    assert!(has_taint(&case.get_node(&a).await, DRAIN_TAINT));
}

pub async fn a_node_uncordoned_by_hand_is_cordoned_again(case: Case) {
    let a = case.node("a").await;
    let before = case.look_of(&a).await;
    let name = case.maintain(&a).await;
    case.drained(&name).await;
    let record = record_of(&case.get_node(&a).await);
    let _ = case.kubectl(&["uncordon", &a], "").await.ok();
    case.taken_out(&a).await;
    let _ = case.kubectl(&["taint", "node", &a, &format!("{DRAIN_TAINT}:NoSchedule-")], "").await.ok();
    let node = case.taken_out(&a).await;
    assert_eq!(record_of(&node), record, "the record says what there was before, not what drifted");
    case.drained(&name).await;
    case.delete_maintenance(&name).await;
    case.looks_again(&a, &before).await;
}

pub async fn three_nodes_at_once_do_not_wait_for_each_other(case: Case) {
    let mut nodes = Vec::new();
    for suffix in ["a", "b", "c"] {
        let node = case.node(suffix).await;
        let labels = json!({"spec": {"terminationGracePeriodSeconds": 4}});
        for number in 0..3 {
            case.pod(&format!("{suffix}{number}"), &node, labels.clone()).await;
        }
        case.ready_on(&node, 3).await;
        nodes.push(node);
    }
    let manifests: Vec<Value> = nodes.iter().map(|node| case.manifest(&format!("{node}-maintenance"), node)).collect();
    let _ = case.apply(&json!({"apiVersion": "v1", "kind": "List", "items": manifests})).await.ok();
    let mut started = Vec::new();
    let mut drained = Vec::new();
    for node in &nodes {
        let status = case.drained(&format!("{node}-maintenance")).await["status"].take();
        started.push(text(&status, "/startedAt").parse::<Timestamp>().unwrap());
        drained.push(text(&status, "/drainedAt").parse::<Timestamp>().unwrap());
    }
    assert!(started.iter().max() < drained.iter().min(), "started {started:?}, drained {drained:?}");
}

pub async fn deleting_it_in_mid_drain_stops_the_drain_and_restores(case: Case) {
    let a = case.node("a").await;
    case.deployment("web", 3, 1).await;
    case.ready_on(&a, 3).await;
    // Nobody else can take them, so that the drain does not come to its end.
    case.budget("web", "web", json!({"minAvailable": 2}), 1).await;
    let before = case.look_of(&a).await;
    let name = case.maintain(&a).await;
    soon("one pod was evicted", async || {
        let accepted = case.evictions().answered(201);
        check(accepted == 1, || format!("{accepted}"))
    })
    .await;
    case.delete_maintenance(&name).await;
    case.looks_again(&a, &before).await;
    // The node takes pods again, so the budget would allow another eviction.
    case.ready_on(&a, 3).await;
    stays(Duration::from_secs(1), "nothing more is evicted", async || {
        let accepted = case.evictions().answered(201);
        check(accepted == 1, || format!("{accepted} evictions"))
    })
    .await;
    assert!(!is_taken_out(&case.get_node(&a).await));
}
