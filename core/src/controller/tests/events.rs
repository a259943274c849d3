//! What the Events say.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::world::{
    LEASE, MAINTENANCE, ORDER, World, has_record, is_out, order_status, put_budget, put_order, take_lease,
};

const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";

/// What the Events of that reason say.
fn said(world: &World, reason: &str) -> Vec<String> {
    let events = world.server.all(&format!("{EVENTS}/")).into_iter().filter(|event| event["reason"] == reason);
    events.map(|event| event["note"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn another_sentence_is_another_event_and_the_same_is_counted() {
    let world = World::new(0).start();
    world.begin("m", "node97");
    world.until_phase("Failed").await;
    for node in ["node98", "node99", "node99"] {
        world.server.edit(MAINTENANCE, |object| {
            object["spec"]["nodeName"] = json!(node);
            let generation = object["metadata"]["generation"].as_i64().unwrap();
            object["metadata"]["generation"] = json!(generation + 1);
        });
        sleep(Duration::from_secs(5)).await;
    }
    let said = said(&world, "FailedMaintenance");
    for node in ["node97", "node98", "node99"] {
        assert_eq!(said.iter().filter(|note| note.contains(node)).count(), 1, "{said:?}");
    }
    assert_eq!(world.link().count(&format!("PATCH {EVENTS}/")), 1, "the last one is counted");
}

#[tokio::test(start_paused = true)]
async fn why_a_node_whose_maintenance_was_removed_by_force_is_not_restored_yet_is_said_once() {
    let world = World::new(0).start();
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    take_lease(&world);
    world.server.remove(MAINTENANCE);
    sleep(Duration::from_secs(600)).await;
    assert!(is_out(&world.node()));
    let said = said(&world, "NotRestoredYet");
    assert!(said.len() == 1 && said[0].contains("fence-agents"), "{said:?}");
    assert_eq!(world.link().count(&format!("PATCH {EVENTS}/")), 0);
    world.server.remove(LEASE);
    world.until("it is restored", |world| !is_out(&world.node())).await;
}

#[tokio::test(start_paused = true)]
async fn why_a_drain_whose_order_was_deleted_has_not_ended_yet_is_said_once() {
    let world = World::new(2);
    put_budget(&world.server, 0);
    let world = world.start();
    put_order(&world, "d1", &json!({}));
    world.until("it is blocked", |world| order_status(world)["blocked"] == 2).await;
    take_lease(&world);
    world.until("that is noticed", |world| order_status(world)["trouble"]["reason"] == "NodeLeaseHeld").await;
    world.server.remove(ORDER);
    sleep(Duration::from_secs(600)).await;
    let said = said(&world, "NotEndedYet");
    assert!(said.len() == 1 && said[0].contains("fence-agents") && said[0].contains("d1"), "{said:?}");
    assert_eq!(world.link().count(&format!("PATCH {EVENTS}/")), 0);
    world.server.remove(LEASE);
    world.until("it has ended", |world| !has_record(world)).await;
}

#[tokio::test(start_paused = true)]
async fn why_a_drain_does_not_begin_is_said_once_where_its_order_cannot_be_read() {
    let world = World::new(1).start();
    world.link().refuse(&format!("GET {ORDER}"), 403);
    put_order(&world, "d1", &json!({}));
    sleep(Duration::from_secs(600)).await;
    let said = said(&world, "NotBegunYet");
    assert!(said.len() == 1 && said[0].contains("grant that right"), "{said:?}");
    world.link().refuse_nothing();
    world.until("it is drained", |world| order_status(world)["outcome"]["end"] == "Drained").await;
}
