//! What faces call, on one replica, while the controller works on another.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::world::{LEASE, MAINTENANCE, NODE, ORDER, World, content, has_record, is_out, order_status, put_budget};
use crate::{
    model::{DrainSpec, NodeName, Ticket, testing::node_name},
    names::{DRAIN_TAINT_KEY, RECORD_ANNOTATION, REQUESTED_BY_ANNOTATION},
    operation::{
        CancelDrain, IfExists, MaintenanceChange, OperationError, Operations, OrderDrain, StartMaintenance,
        StopMaintenance, StopTarget, Taint, TakeBack, Untaint,
    },
};

const OWN: &str = "/apis/nodemaintenance.kubevirt.io/v1beta1/nodemaintenances/node02-maintenance";

fn node02() -> NodeName {
    node_name("node02")
}

fn start(ticket: Option<&str>) -> StartMaintenance {
    StartMaintenance {
        node: node02(),
        name: None,
        reason: Some("disk".into()),
        ticket: ticket.map(|id| Ticket { id: id.to_owned(), url: None }),
        drain: None,
        requested_by: Some("alice".into()),
        if_exists: IfExists::Update,
        dry_run: false,
    }
}

fn stop(ticket: Option<&str>) -> StopMaintenance {
    StopMaintenance {
        target: StopTarget::OfNode(node02()),
        ticket: ticket.map(str::to_owned),
        resource_version: None,
        force: false,
        dry_run: false,
    }
}

fn drain(id: &str) -> OrderDrain {
    OrderDrain {
        id: id.into(),
        node: node02(),
        options: DrainSpec::default(),
        requested_by: Some("alice".into()),
        dry_run: false,
    }
}

fn cancel() -> CancelDrain {
    CancelDrain { node: node02(), id: None, requested_by: None, dry_run: false }
}

fn reason<T>(result: Result<T, OperationError>) -> &'static str {
    result.map_err(|error| error.reason()).err().unwrap_or("Done")
}

/// The caches of the operations have caught up.
async fn settle() {
    sleep(Duration::from_millis(10)).await;
}

fn phase(world: &World) -> Value {
    world.server.get(OWN).map(|object| object["status"]["phase"].clone()).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_maintenance_is_started_once_however_often_it_is_asked_for() {
    let world = World::new(2).start();
    let operations = world.operations().await;
    let before = content(world.node());
    let first = operations.start_maintenance(&start(Some("CHG1"))).await.unwrap();
    assert_eq!(first.change, MaintenanceChange::Created);
    // At once, before the cache shows it; later; and from another replica.
    let again = operations.start_maintenance(&start(Some("CHG1"))).await.unwrap();
    assert_eq!(
        (again.change, again.object.metadata.uid.clone()),
        (MaintenanceChange::None, first.object.metadata.uid.clone())
    );
    world.until("it is drained", |world| phase(world) == "Succeeded").await;
    let other = world.operations().await;
    assert_eq!(other.start_maintenance(&start(Some("CHG1"))).await.unwrap().change, MaintenanceChange::None);
    assert_eq!(world.server.get(OWN).unwrap()["metadata"]["annotations"][REQUESTED_BY_ANNOTATION], "alice");
    assert_eq!(reason(other.start_maintenance(&start(Some("CHG2"))).await), "AlreadyUnderMaintenance");

    for (what, result) in [
        ("cordon", operations.cordon(&node02(), false).await),
        ("uncordon", operations.uncordon(&node02(), TakeBack::Allowed, false).await),
    ] {
        assert_eq!(reason(result), "UnderMaintenance", "{what}");
    }
    let drain_taint = Untaint { key: DRAIN_TAINT_KEY.parse().unwrap(), effect: None };
    assert_eq!(reason(operations.untaint(&node02(), &drain_taint, false).await), "UnderMaintenance");
    assert_eq!(reason(operations.order_drain(&drain("d1")).await), "AlreadyUnderMaintenance");
    assert_eq!(reason(operations.stop_maintenance(&stop(Some("CHG2"))).await), "TicketMismatch");
    assert!(is_out(&world.node()));

    operations.stop_maintenance(&stop(Some("CHG1"))).await.unwrap();
    world.until("it goes", |world| world.server.get(OWN).is_none()).await;
    settle().await;
    assert_eq!(content(world.node()), before);
    assert_eq!(reason(operations.stop_maintenance(&stop(None)).await), "MaintenanceNotFound");
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_ordered_seen_and_cancelled_from_any_replica() {
    let world = World::new(3);
    put_budget(&world.server, 0);
    let world = world.start();
    let (one, other) = (world.operations().await, world.operations().await);
    assert!(one.order_drain(&drain("d1")).await.unwrap().created);
    assert!(!one.order_drain(&drain("d1")).await.unwrap().created, "a repeat before the cache shows it");
    let repeated = one.order_drain(&drain("d2")).await.unwrap();
    assert_eq!((repeated.created, repeated.order.id().as_str()), (false, "d1"), "the answer was lost");
    let mut other_options = drain("d2");
    other_options.options.timeout = Some("5m".to_owned());
    assert_eq!(reason(one.order_drain(&other_options).await), "DrainInProgress");
    world.until("it is blocked", |world| order_status(world)["blocked"] == 3).await;
    settle().await;
    assert_eq!(reason(other.start_maintenance(&start(None)).await), "DrainInProgress");
    assert_eq!(reason(other.uncordon(&node02(), TakeBack::Allowed, false).await), "DrainInProgress");
    assert!(!other.cancel_drain(&cancel()).await.unwrap().already);
    assert!(other.cancel_drain(&cancel()).await.unwrap().already);
    world.until("it has ended", |world| order_status(world)["outcome"]["end"] == "Cancelled").await;
    settle().await;

    assert!(other.uncordon(&node02(), TakeBack::Allowed, true).await.unwrap().changed);
    assert_eq!(world.node()["spec"]["unschedulable"], true, "a dry run changes nothing");
    assert!(other.uncordon(&node02(), TakeBack::Allowed, false).await.unwrap().changed);
    assert!(world.node()["spec"]["unschedulable"].is_null());
    assert!(world.node()["status"]["conditions"].as_array().unwrap().iter().all(|entry| entry["type"] == "Ready"));
    settle().await;
    assert!(!other.uncordon(&node02(), TakeBack::Allowed, false).await.unwrap().changed);
    world.until("the outcome is forgotten", |world| world.server.get(ORDER).is_none()).await;
    settle().await;
    assert_eq!(reason(one.cancel_drain(&cancel()).await), "DrainNotFound");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_left_behind_is_restored_from_when_the_node_is_uncordoned() {
    let world = World::new(0).start();
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    let world = world.kill();
    world.server.remove(MAINTENANCE);
    world.server.remove(LEASE);
    let operations = world.operations().await;
    let left = operations.uncordon(&node02(), TakeBack::Allowed, false).await.unwrap();
    assert_eq!(left.restored_from.unwrap().name, "m");
    assert!(!has_record(&world) && world.node()["spec"]["taints"].is_null());
    assert!(world.node()["spec"]["unschedulable"].is_null());
    assert!(world.server.get(LEASE).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_drain_still_runs_in_somebodys_process_is_left_alone() {
    let world = World::new(0);
    let record = json!({
        "actor": { "kind": "Process", "name": "p1", "uid": "p1" }, "nodeUid": "uid-node02", "wasUnschedulable": false,
        "since": world.clock.now().to_string(),
    });
    world.server.edit(NODE, |node| {
        node["metadata"]["annotations"] = json!({ RECORD_ANNOTATION: record.to_string() });
        node["spec"] = json!({ "unschedulable": true });
    });
    let now = world.clock.now().to_string();
    let spec = json!({ "holderIdentity": "careen/drain/p1", "leaseDurationSeconds": 90, "renewTime": now });
    let metadata = json!({ "name": "node-node02", "namespace": "medik8s-leases", "uid": "l" });
    world.server.put(LEASE, json!({ "metadata": metadata, "spec": spec }));
    let operations = world.operations().await;
    assert_eq!(reason(operations.uncordon(&node02(), TakeBack::Allowed, false).await), "DrainInProgress");
    assert!(has_record(&world));
    // Its process has died.
    sleep(Duration::from_secs(120)).await;
    assert!(operations.uncordon(&node02(), TakeBack::Allowed, false).await.unwrap().changed);
    assert!(!has_record(&world));
}

#[tokio::test(start_paused = true)]
async fn taints_come_and_go_and_kubevirts_is_never_written() {
    let world = World::new(0);
    let operations = world.operations().await;
    let taint = |key: &str| Taint {
        key: key.parse().unwrap(),
        value: "yes".parse().unwrap(),
        effect: crate::model::TaintEffect::NoSchedule,
    };
    assert!(operations.taint(&node02(), &taint("example.com/a"), false).await.unwrap().changed);
    settle().await;
    assert!(!operations.taint(&node02(), &taint("example.com/a"), false).await.unwrap().changed);
    assert_eq!(reason(operations.taint(&node02(), &taint("kubevirt.io/drain"), false).await), "KubeVirtDrainTaint");
    let gone = Untaint { key: "example.com/a".parse().unwrap(), effect: None };
    assert!(operations.untaint(&node02(), &gone, false).await.unwrap().changed);
    assert!(world.node()["spec"]["taints"].is_null());
    assert_eq!(reason(operations.cordon(&node_name("node99"), false).await), "NodeNotFound");
}

/// One thing that somebody does.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Start,
    Stop,
    Drain,
    Cancel,
    Cordon,
    Uncordon,
    Budget(i64),
    Pause(u64),
    NextLeader,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        Just(Deed::Start),
        Just(Deed::Stop),
        Just(Deed::Drain),
        Just(Deed::Cancel),
        Just(Deed::Cordon),
        Just(Deed::Uncordon),
        prop_oneof![Just(0), Just(100)].prop_map(Deed::Budget),
        prop_oneof![0..50_u64, 1_000..90_000_u64].prop_map(Deed::Pause),
        Just(Deed::NextLeader),
    ];
    proptest::collection::vec(deed, 1..16)
}

async fn carry_out(deeds: Vec<Deed>) -> World {
    let mut world = World::new(2).start();
    let replicas = [world.operations().await, world.operations().await];
    for (number, deed) in deeds.into_iter().enumerate() {
        perform(deed, number, &mut world, &replicas[number % 2]).await;
    }
    // In the end everybody lets go.
    put_budget(&world.server, 100);
    sleep(Duration::from_secs(120)).await;
    replicas[0].stop_maintenance(&stop(None)).await.ok();
    replicas[0].cancel_drain(&cancel()).await.ok();
    world.until("nobody acts any more", |world| world.server.get(OWN).is_none() && !has_record(world)).await;
    sleep(Duration::from_secs(60)).await;
    replicas[0].uncordon(&node02(), TakeBack::Allowed, false).await.unwrap();
    world
}

async fn perform(deed: Deed, number: usize, world: &mut World, operations: &Operations) {
    // A refusal is as good an answer as any.
    match deed {
        Deed::Start => drop(operations.start_maintenance(&start(None)).await),
        Deed::Stop => drop(operations.stop_maintenance(&stop(None)).await),
        Deed::Drain => drop(operations.order_drain(&drain(&format!("d{number}"))).await),
        Deed::Cancel => drop(operations.cancel_drain(&cancel()).await),
        Deed::Cordon => drop(operations.cordon(&node02(), false).await),
        Deed::Uncordon => drop(operations.uncordon(&node02(), TakeBack::Allowed, false).await),
        Deed::Budget(allows) => put_budget(&world.server, allows),
        Deed::Pause(millis) => sleep(Duration::from_millis(millis)).await,
        Deed::NextLeader => world.next_leader().await,
    }
}

fn actor(node: &Value) -> Option<Value> {
    let record: Value = serde_json::from_str(node["metadata"]["annotations"][RECORD_ANNOTATION].as_str()?).unwrap();
    Some(record["actor"].clone())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_node_is_never_both_restored_and_acted_on(deeds in deeds()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let world = runtime.block_on(carry_out(deeds));
        for node in world.server.evicted_from() {
            prop_assert!(node["spec"]["unschedulable"] == true && actor(&node).is_some(), "evicted from {}", node);
        }
        let versions = world.server.versions(NODE);
        for pair in versions.windows(2) {
            let (Some(before), Some(after)) = (&pair[0], &pair[1]) else { continue };
            prop_assert!(actor(after).is_none() || after["spec"]["unschedulable"] == true, "acted on: {}", after);
            let handed_over = actor(before).is_some() && actor(after).is_some() && actor(before) != actor(after);
            prop_assert!(!handed_over, "{} and then {}", before, after);
        }
        let node = world.node();
        prop_assert!(node["spec"]["unschedulable"].is_null() && node["spec"]["taints"].is_null() && !has_record(&world), "{}", node);
        prop_assert!(world.server.get(LEASE).is_none());
        drop(world);
    }
}
