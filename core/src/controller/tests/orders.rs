//! Drains that were ordered over the network, carried out by the controller.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::world::{
    LEADER_LEASE, LEASE, MAINTENANCE, NODE, ORDER, World, cancel_order, has_record, hold_leadership, order_path,
    order_status, put_budget, put_node, put_order, put_order_of, put_pod, status_of_order, take_lease,
};
use crate::names::RECORD_ANNOTATION;

fn end(world: &World) -> Value {
    order_status(world)["outcome"]["end"].clone()
}

fn is_cordoned(world: &World) -> bool {
    world.node()["spec"]["unschedulable"] == true
}

fn is_recorded(node: &Value) -> bool {
    node["metadata"]["annotations"][RECORD_ANNOTATION].is_string()
}

async fn until_end(world: &World, expected: &str) {
    world.until(expected, |world| end(world) == expected).await;
}

fn condition(world: &World, type_: &str) -> Value {
    let node = world.node();
    let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == type_).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_node_is_cordoned_and_drained_and_stays_cordoned() {
    let world = World::new(5).start();
    put_order(&world, "d1", &json!({}));
    until_end(&world, "Drained").await;
    assert_eq!(world.server.evicted().len(), 5, "each once");
    assert!(is_cordoned(&world) && !has_record(&world));
    assert!(world.node()["spec"]["taints"].is_null(), "a drain adds no taint");
    sleep(Duration::from_secs(1)).await;
    assert!(world.server.get(LEASE).is_none());
    assert_eq!(
        (condition(&world, "Drained")["status"].as_str(), order_status(&world)["hadToLeave"].as_i64()),
        (Some("True"), Some(5))
    );

    // The outcome is kept until the node is uncordoned, by whoever, and no longer.
    sleep(Duration::from_secs(7200)).await;
    assert_eq!(end(&world), "Drained");
    world.server.edit(NODE, |node| node["spec"] = json!({}));
    world.until("it is forgotten", |world| world.server.get(ORDER).is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn of_drains_that_are_ordered_at_once_no_more_are_carried_out_than_the_control_plane_can_do_without() {
    let world = World::new(0);
    for name in ["node02", "node03", "node04"] {
        put_node(&world.server, name);
        world.server.edit(&format!("/api/v1/nodes/{name}"), |node| {
            node["metadata"]["labels"] = json!({ "node-role.kubernetes.io/control-plane": "" });
        });
    }
    for (id, name) in [("d2", "node02"), ("d3", "node03"), ("d4", "node04")] {
        put_order_of(&world, name, id, &json!({}));
    }
    let world = world.start();
    let status = |world: &World, name: &str| status_of_order(world, name)["outcome"].clone();
    world.until("the first one is drained", |world| status(world, "node02")["end"] == "Drained").await;
    for name in ["node03", "node04"] {
        world.until("the others are refused", |world| status(world, name)["end"] == "Refused").await;
        assert_eq!(status(&world, name)["reason"], "QuorumLost");
    }
    // And as long as the first one is cordoned it is about to be switched off.
    world.server.remove(&order_path("node03"));
    put_order_of(&world, "node03", "d5", &json!({}));
    world.until("it is refused as well", |world| status(world, "node03")["end"] == "Refused").await;
}

#[tokio::test(start_paused = true)]
async fn while_it_runs_the_node_says_who_and_a_caller_sees_what_blocks() {
    let world = World::new(3);
    put_budget(&world.server, 0);
    let world = world.start();
    put_order(&world, "d1", &json!({}));
    world.until("it is blocked", |world| order_status(world)["blocked"] == 3).await;
    let status = order_status(&world);
    assert_eq!(status["blocking"][0]["reason"], "BudgetExhausted");
    assert_eq!(world.server.get(LEASE).unwrap()["spec"]["holderIdentity"], "careen/drain/d1");
    let record: Value =
        serde_json::from_str(world.node()["metadata"]["annotations"][RECORD_ANNOTATION].as_str().unwrap()).unwrap();
    assert_eq!(record["actor"], json!({ "kind": "Order", "name": "d1", "uid": "d1" }));
    assert_eq!(condition(&world, "DrainInProgress")["status"], "True");
    assert_eq!(condition(&world, "MaintenanceInProgress"), Value::Null);

    // Uncordoned by hand: it is cordoned again.
    world.server.edit(NODE, |node| node["spec"] = json!({}));
    world.until("it is cordoned again", is_cordoned).await;
    put_budget(&world.server, 100);
    until_end(&world, "Drained").await;
    assert_eq!(world.server.evicted().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn cancelled_it_starts_nothing_more_and_leaves_the_node_cordoned_and_free() {
    let world = World::new(3);
    put_budget(&world.server, 0);
    let world = world.start();
    put_order(&world, "d1", &json!({}));
    world.until("it is blocked", |world| order_status(world)["blocked"] == 3).await;
    cancel_order(&world);
    until_end(&world, "Cancelled").await;
    assert_eq!(order_status(&world)["outcome"]["left"], 3);
    put_budget(&world.server, 100);
    sleep(Duration::from_secs(600)).await;
    assert!(world.server.evicted().is_empty() && is_cordoned(&world) && !has_record(&world));
    assert!(world.server.get(LEASE).is_none());
    assert_eq!(condition(&world, "DrainInProgress")["status"], "False");

    // Another drain takes its place.
    put_order(&world, "d2", &json!({}));
    until_end(&world, "Drained").await;
    assert_eq!(world.server.evicted().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_cancelled_before_anybody_took_it_up_touches_nothing() {
    let world = World::new(1);
    let before = world.node();
    put_order(&world, "d1", &json!({}));
    cancel_order(&world);
    let world = world.start();
    until_end(&world, "Cancelled").await;
    assert_eq!(world.node(), before);
}

#[tokio::test(start_paused = true)]
async fn its_time_can_be_over() {
    let world = World::new(2);
    put_budget(&world.server, 0);
    let world = world.start();
    put_order(&world, "d1", &json!({ "timeout": "60s" }));
    until_end(&world, "TimedOut").await;
    assert!(is_cordoned(&world) && !has_record(&world));
    assert_eq!(order_status(&world)["outcome"]["left"], 2);
}

#[tokio::test(start_paused = true)]
async fn another_leader_goes_on_with_it_and_begins_nothing_twice() {
    let world = World::new(3);
    put_budget(&world.server, 0);
    let world = world.start();
    put_order(&world, "d1", &json!({ "timeout": "1h" }));
    world.until("it is blocked", |world| order_status(world)["blocked"] == 3).await;
    let begun = order_status(&world)["startedAt"].clone();
    let node = world.node();
    let world = world.stop().await;
    sleep(Duration::from_secs(300)).await;
    let world = world.start();
    sleep(Duration::from_secs(60)).await;
    assert_eq!((order_status(&world)["startedAt"].clone(), world.node()), (begun, node));
    put_budget(&world.server, 100);
    until_end(&world, "Drained").await;
    assert_eq!(world.server.evicted().len(), 3);

    // And one that has ended stays ended.
    let world = world.stop().await.start();
    put_pod(&world.server, "late", "node02");
    sleep(Duration::from_secs(600)).await;
    assert_eq!((world.server.evicted().len(), has_record(&world)), (3, false));
}

#[tokio::test(start_paused = true)]
async fn one_that_has_ended_is_not_begun_again_while_the_watch_does_not_show_its_end() {
    let world = World::new(2);
    put_budget(&world.server, 0);
    let world = world.start();
    put_order(&world, "d1", &json!({}));
    world.until("it is blocked", |world| order_status(world)["blocked"] == 2).await;
    world.server.hold_watches("configmaps");
    put_budget(&world.server, 100);
    until_end(&world, "Drained").await;
    sleep(Duration::from_secs(1)).await;
    world.server.edit(NODE, |node| node["spec"] = json!({}));
    put_pod(&world.server, "late", "node02");
    sleep(Duration::from_secs(60)).await;
    assert!(!is_cordoned(&world) && world.server.evicted().len() == 2);
    let recorded: Vec<bool> = world.server.versions(NODE).iter().flatten().map(is_recorded).collect();
    assert_eq!(recorded.windows(2).filter(|pair| !pair[0] && pair[1]).count(), 1, "taken up once");
    world.server.release_watches();
    world.until("it is forgotten", |world| world.server.get(ORDER).is_none()).await;
    put_order(&world, "d2", &json!({}));
    until_end(&world, "Drained").await;
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_does_not_begin_what_has_ended_before_its_watch_shows_it() {
    let world = World::new(1);
    hold_leadership(&world);
    let world = world.start();
    put_order(&world, "d1", &json!({}));
    sleep(Duration::from_secs(5)).await;
    world.server.hold_watches("configmaps");
    let outcome = json!({ "end": "Drained", "message": "", "at": world.clock.now().to_string() });
    let status = json!({ "id": "d1", "startedAt": world.clock.now().to_string(), "outcome": outcome });
    world.server.edit(ORDER, |order| order["data"]["status"] = json!(status.to_string()));
    world.server.remove(LEADER_LEASE);
    sleep(Duration::from_secs(60)).await;
    assert!(world.server.get(LEADER_LEASE).is_some(), "it leads");
    assert!(!is_cordoned(&world) && !has_record(&world) && world.server.evicted().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_died_in_the_middle_is_followed_by_one_that_goes_on() {
    let world = World::new(3);
    put_budget(&world.server, 0);
    let world = world.start();
    put_order(&world, "d1", &json!({}));
    world.until("it is blocked", |world| order_status(world)["blocked"] == 3).await;
    let world = world.kill();
    // What it had said is lost as well: the record on the node is enough.
    world.server.edit(ORDER, |order| drop(order["data"].as_object_mut().unwrap().remove("status")));
    put_budget(&world.server, 100);
    let world = world.start();
    until_end(&world, "Drained").await;
    assert_eq!(world.server.evicted().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_drain_and_a_maintenance_exclude_each_other() {
    let world = World::new(2);
    put_budget(&world.server, 0);
    let world = world.start();
    put_order(&world, "d1", &json!({}));
    world.until("it is blocked", |world| order_status(world)["blocked"] == 2).await;
    world.begin("m", "node02");
    world.until_phase("Failed").await;
    assert_eq!(world.condition("Accepted")["reason"], "DrainInProgress");
    world.server.delete(MAINTENANCE);
    cancel_order(&world);
    until_end(&world, "Cancelled").await;

    world.begin("n", "node02");
    let other = MAINTENANCE.replace("maintenances/m", "maintenances/n");
    world.until("it has the node", |world| world.server.get(&other).unwrap()["status"]["blocked"] == 2).await;
    world.until("the outcome is forgotten", |world| world.server.get(ORDER).is_none()).await;
    put_order(&world, "d2", &json!({}));
    until_end(&world, "Refused").await;
    assert_eq!(order_status(&world)["outcome"]["reason"], "AlreadyUnderMaintenance");
    world.server.delete(&other);
    world.until("it goes", |world| world.server.get(&other).is_none()).await;
    assert!(is_cordoned(&world), "as the drain had left it");
}

#[tokio::test(start_paused = true)]
async fn a_node_in_other_hands_is_not_touched_and_it_is_said() {
    let world = World::new(1);
    take_lease(&world);
    let before = world.node();
    let world = world.start();
    put_order(&world, "d1", &json!({}));
    world.until("it is said", |world| order_status(world)["trouble"]["reason"] == "NodeLeaseHeld").await;
    sleep(Duration::from_secs(300)).await;
    assert_eq!(world.node(), before);
    world.server.remove(LEASE);
    until_end(&world, "Drained").await;
    assert!(order_status(&world)["trouble"].is_null());
}

#[tokio::test(start_paused = true)]
async fn an_order_that_is_deleted_by_force_ends_as_if_it_were_cancelled() {
    let world = World::new(2);
    put_budget(&world.server, 0);
    let world = world.start();
    put_order(&world, "d1", &json!({}));
    world.until("it is blocked", |world| order_status(world)["blocked"] == 2).await;
    world.server.remove(ORDER);
    world.until("the record has gone", |world| !has_record(world)).await;
    sleep(Duration::from_secs(60)).await;
    assert!(world.server.get(LEASE).is_none() && is_cordoned(&world) && world.server.evicted().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_under_its_name_is_not_drained() {
    let world = World::new(2);
    put_budget(&world.server, 0);
    let world = world.start();
    put_order(&world, "d1", &json!({}));
    world.until("it is blocked", |world| order_status(world)["blocked"] == 2).await;
    world.server.remove(NODE);
    until_end(&world, "NodeGone").await;
    put_node(&world.server, "node02");
    sleep(Duration::from_secs(60)).await;
    assert!(!is_cordoned(&world) && world.server.evicted().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_idle_drain_writes_nothing() {
    let world = World::new(2);
    put_budget(&world.server, 0);
    let world = world.start();
    put_order(&world, "d1", &json!({}));
    world.until("it is blocked", |world| order_status(world)["blocked"] == 2).await;
    sleep(Duration::from_secs(10)).await;
    let before = world.link().log().len();
    sleep(Duration::from_secs(3600)).await;
    let log = world.link().log();
    let others: Vec<_> = log[before..]
        .iter()
        .map(|logged| &logged.what)
        .filter(|what| !what.contains("/leases/") && !what.starts_with("WATCH "))
        .collect();
    assert!(others.is_empty(), "{others:?}");
}
