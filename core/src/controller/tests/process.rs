//! Drains in somebody's own process.

use std::time::Duration;

use tokio::time::sleep;

use super::world::{LEASE, World, has_record, put_budget, take_lease};
use crate::{
    cluster::{Cluster, client_on},
    controller::{DrainHere, ProcessDrain},
    metrics::Metrics,
    model::{DrainEnd, DrainSpec, TroubleReason, testing::node_name},
    testing::FakeServer,
};

pub(super) fn start(world: &World) -> ProcessDrain {
    start_on(world, &world.server.another_link())
}

fn start_on(world: &World, link: &FakeServer) -> ProcessDrain {
    start_with(world, link, DrainSpec::default())
}

fn start_with(world: &World, link: &FakeServer, options: DrainSpec) -> ProcessDrain {
    let metrics = Metrics::default();
    let client = client_on(link.service(), &metrics);
    let cluster = Cluster::nodes(client, [node_name("node02")], metrics);
    let request = DrainHere { id: "p1".into(), node: node_name("node02"), options, own_pod: None };
    ProcessDrain::start(cluster, world.clock, request)
}

#[tokio::test(start_paused = true)]
async fn a_node_is_drained_and_left_cordoned() {
    let world = World::new(3);
    put_budget(&world.server, 0);
    let mut drain = start(&world);
    let mut reports = drain.reports();
    reports.wait_for(|report| report.progress.blocked().len() == 3).await.unwrap();
    assert_eq!(world.server.get(LEASE).unwrap()["spec"]["holderIdentity"], "careen/drain/p1");
    put_budget(&world.server, 100);
    let outcome = drain.wait().await.unwrap();
    assert_eq!((outcome.end, outcome.left, world.server.evicted().len()), (DrainEnd::Drained, 0, 3));
    assert_eq!(drain.wait().await.unwrap(), outcome);
    assert!(world.node()["spec"]["unschedulable"] == true && !has_record(&world));
    assert!(world.server.get(LEASE).is_none());
}

#[tokio::test(start_paused = true)]
async fn cancelled_or_dropped_it_starts_nothing_more() {
    let world = World::new(2);
    put_budget(&world.server, 0);
    let mut drain = start(&world);
    drain.reports().wait_for(|report| report.progress.blocked().len() == 2).await.unwrap();
    drain.cancel();
    let outcome = drain.wait().await.unwrap();
    assert_eq!((outcome.end, outcome.left), (DrainEnd::Cancelled, 2));
    assert!(!has_record(&world) && world.server.get(LEASE).is_none());

    let drain = start(&world);
    drain.reports().wait_for(|report| report.progress.blocked().len() == 2).await.unwrap();
    drop(drain);
    put_budget(&world.server, 100);
    sleep(Duration::from_secs(600)).await;
    assert!(world.server.evicted().is_empty() && has_record(&world));
}

#[tokio::test(start_paused = true)]
async fn its_time_passes_also_while_the_api_server_refuses_what_comes_first() {
    let world = World::new(2);
    put_budget(&world.server, 0);
    let link = world.server.another_link();
    let mut drain = start_with(&world, &link, DrainSpec { timeout: Some("10m".into()), ..DrainSpec::default() });
    drain.reports().wait_for(|report| report.progress.blocked().len() == 2).await.unwrap();
    world.server.edit(super::world::NODE, |node| node["spec"] = serde_json::json!({}));
    link.refuse("PATCH /api/v1/nodes/node02$", 500);
    let ended = tokio::time::timeout(Duration::from_secs(11 * 60), drain.wait()).await;
    assert_eq!(ended.expect("its time is over").unwrap().end, DrainEnd::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_the_way_is_told_at_once() {
    let world = World::new(1);
    take_lease(&world);
    assert_eq!(start(&world).wait().await.unwrap_err().reason(), "NodeLeaseHeld");
    world.server.remove(LEASE);
    let world = world.start();
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    assert_eq!(start(&world).wait().await.unwrap_err().reason(), "UnderMaintenance");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_write_conditions_is_told_so_and_leaves_no_record() {
    let world = World::new(1);
    let link = world.server.another_link();
    link.refuse("PATCH /api/v1/nodes/node02/status", 403);
    let mut drain = start_on(&world, &link);
    let mut reports = drain.reports();
    let report = reports.wait_for(|report| report.trouble.is_some()).await.unwrap().clone();
    assert_eq!((report.phase, report.trouble.unwrap().reason), (None, TroubleReason::Forbidden));
    assert!(has_record(&world));
    drain.cancel();
    assert_eq!(drain.wait().await.unwrap().end, DrainEnd::Cancelled);
    assert!(!has_record(&world) && world.server.evicted().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_node_is_written_four_times_and_nothing_twice() {
    let world = World::new(3);
    let link = world.server.another_link();
    let outcome = start_on(&world, &link).wait().await.unwrap();
    assert_eq!(outcome.end, DrainEnd::Drained);
    let log = link.log();
    let asked: Vec<_> = log.iter().map(|logged| logged.what.as_str()).filter(|what| what.contains("/nodes/")).collect();
    let node = "/api/v1/nodes/node02";
    let status = format!("PATCH {node}/status");
    // Cordon and record; conditions; a last look; conditions; the record goes.
    let expected = [&format!("PATCH {node}"), &status, &format!("GET {node}"), &status, &format!("PATCH {node}")];
    assert_eq!(asked, expected, "{log:?}");
}
