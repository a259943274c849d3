//! Records on nodes, of those that act and of those that are gone.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::{
    process,
    world::{LEASE, MAINTENANCE, World, has_record, is_out, order_status, put_budget, put_order},
};

fn rejected(world: &World) -> u64 {
    world.cluster().metrics().rejected_records.get()
}

#[tokio::test(start_paused = true)]
async fn the_record_of_a_drain_in_a_process_is_reported_once_its_node_lease_has_lapsed() {
    let world = World::new(2);
    put_budget(&world.server, 0);
    let world = world.start();
    let drain = process::start(&world);
    drain.reports().wait_for(|report| report.progress.blocked().len() == 2).await.unwrap();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(rejected(&world), 0, "it runs");
    drop(drain);
    sleep(Duration::from_secs(200)).await;
    assert_eq!((rejected(&world), has_record(&world)), (1, true));
    sleep(Duration::from_secs(600)).await;
    assert_eq!(rejected(&world), 1, "once");
}

#[tokio::test(start_paused = true)]
async fn the_record_of_a_drain_that_is_ended_or_has_just_ended_here_is_not_reported() {
    let world = World::new(2);
    put_budget(&world.server, 0);
    let world = world.start();
    put_order(&world, "d1", &json!({}));
    world.until("it is blocked", |world| order_status(world)["blocked"] == 2).await;
    world.server.hold_watches("nodes");
    world.server.remove(super::world::ORDER);
    world.until("the record has gone", |world| !has_record(world)).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(rejected(&world), 0);
    world.server.release_watches();

    put_order(&world, "d2", &json!({}));
    world.until("it is blocked", |world| order_status(world)["blocked"] == 2).await;
    world.server.hold_watches("nodes");
    put_budget(&world.server, 100);
    world.until("it has ended", |world| order_status(world)["outcome"]["end"] == "Drained").await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(rejected(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_is_free_at_once_after_a_maintenance_although_the_watch_still_shows_its_record() {
    let world = World::new(0).start();
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    world.server.hold_watches("nodes");
    world.server.delete(MAINTENANCE);
    world.until("it goes", |world| world.server.get(MAINTENANCE).is_none()).await;
    assert!(!is_out(&world.node()));
    sleep(Duration::from_secs(1)).await;
    assert!(world.server.get(LEASE).is_none(), "held by nobody: {:?}", world.server.get(LEASE));
    sleep(Duration::from_secs(60)).await;
    assert!(world.server.get(LEASE).is_none());
}
