//! What the Events say.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::world::{MAINTENANCE, World};

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
