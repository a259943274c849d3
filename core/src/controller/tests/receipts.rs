//! Maintenances that are asked for under a key, on several replicas, while the controller works on another.

use std::time::Duration;

use futures::future::join;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::world::{World, put_budget};
use crate::{
    model::testing::node_name,
    names::RECEIPT_ANNOTATION,
    operation::{IfExists, OnceError, OnceKey, OnceOutcome, StartMaintenance, StopMaintenance, StopTarget},
    testing::Mood,
};

const OWN: &str = "/apis/nodemaintenance.kubevirt.io/v1beta1/nodemaintenances/node02-maintenance";
const RECEIPT: &str = "/api/v1/namespaces/careen/configmaps/receipt-k1";
const DAY: Duration = Duration::from_secs(24 * 3600);

fn start() -> StartMaintenance {
    StartMaintenance {
        node: node_name("node02"),
        name: None,
        reason: Some("disk".to_owned()),
        ticket: None,
        drain: None,
        requested_by: Some("alice".to_owned()),
        if_exists: IfExists::Refuse,
        dry_run: false,
    }
}

fn key() -> OnceKey {
    OnceKey { key: "k1".to_owned(), request: "h".to_owned(), caller: "alice".to_owned() }
}

fn stop() -> StopMaintenance {
    let target = StopTarget::OfNode(node_name("node02"));
    StopMaintenance { target, ticket: None, resource_version: None, force: false, dry_run: false }
}

/// The caches of the operations have caught up.
async fn settle() {
    sleep(Duration::from_millis(10)).await;
}

fn result(world: &World) -> Value {
    let text = world.server.get(RECEIPT).and_then(|receipt| receipt["data"]["result"].as_str().map(str::to_owned));
    text.map(|text| serde_json::from_str(&text).unwrap()).unwrap_or_default()
}

/// Another replica has taken the request, and got no further.
fn put_receipt(world: &World) {
    let created_at = world.clock.now().to_string();
    let request =
        json!({ "hash": "h", "caller": "alice", "maintenance": "node02-maintenance", "createdAt": created_at });
    let metadata = json!({ "name": "receipt-k1", "namespace": "careen", "uid": "uid-receipt" });
    world.server.put(RECEIPT, json!({ "metadata": metadata, "data": { "request": request.to_string() } }));
}

/// As if it had ended so long ago: a day is too long to be waited for, even in paused time.
fn ended_ago(world: &World, ago: Duration) {
    let mut result = result(world);
    result["endedAt"] = json!((world.clock.now() - ago).to_string());
    world.server.edit(RECEIPT, |receipt| receipt["data"]["result"] = json!(result.to_string()));
}

#[tokio::test(start_paused = true)]
async fn a_repeat_is_told_what_became_of_it_on_any_replica_and_after_the_end() {
    let world = World::new(2).start();
    let one = world.operations().await;
    let first = one.start_maintenance_once(&start(), &key()).await.unwrap();
    assert_eq!(first.outcome, OnceOutcome::Started);
    // At once, before any cache shows it; later; and elsewhere.
    let again = one.start_maintenance_once(&start(), &key()).await.unwrap();
    assert_eq!((again.outcome, &again.object.metadata.uid), (OnceOutcome::Replayed, &first.object.metadata.uid));
    world.until("it is drained", |world| world.server.get(OWN).unwrap()["status"]["phase"] == "Succeeded").await;
    settle().await;
    let other = world.operations().await;
    let again = other.start_maintenance_once(&start(), &key()).await.unwrap();
    assert_eq!((again.outcome, &again.object.metadata.uid), (OnceOutcome::Replayed, &first.object.metadata.uid));
    assert!(again.object.status.as_ref().unwrap().drained_at.is_some(), "as it is now");
    for (what, key) in [
        ("another request", OnceKey { request: "x".to_owned(), ..key() }),
        ("another caller", OnceKey { caller: "bob".to_owned(), ..key() }),
    ] {
        assert_eq!(other.start_maintenance_once(&start(), &key).await, Err(OnceError::KeyReused), "{what}");
    }

    other.stop_maintenance(&stop()).await.unwrap();
    world.until("its end is noted", |world| result(world)["endedAt"].is_string()).await;
    assert!(world.server.get(OWN).is_none());
    settle().await;
    let after = one.start_maintenance_once(&start(), &key()).await.unwrap();
    assert_eq!((after.outcome, &after.object.metadata.uid), (OnceOutcome::Ended, &first.object.metadata.uid));
    assert!(after.object.status.as_ref().unwrap().drained_at.is_some(), "as it was last seen");

    ended_ago(&world, DAY.saturating_sub(Duration::from_secs(60)));
    sleep(Duration::from_secs(50)).await;
    assert!(world.server.get(RECEIPT).is_some());
    sleep(Duration::from_secs(20)).await;
    assert!(world.server.get(RECEIPT).is_none(), "forgotten after a day");
    assert_eq!(one.start_maintenance_once(&start(), &key()).await.unwrap().outcome, OnceOutcome::Started);
}

#[tokio::test(start_paused = true)]
async fn two_replicas_that_are_asked_at_the_same_time_start_one() {
    let world = World::new(2).start();
    let (one, other) = (world.operations().await, world.operations().await);
    let (request, key) = (start(), key());
    let both = join(one.start_maintenance_once(&request, &key), other.start_maintenance_once(&request, &key));
    let (one, other) = Box::pin(both).await;
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.object.metadata.uid, other.object.metadata.uid);
    assert!([one.outcome, other.outcome].contains(&OnceOutcome::Replayed));
}

#[tokio::test(start_paused = true)]
async fn who_dies_in_between_leaves_it_to_the_repeat_and_to_the_leader() {
    let world = World::new(2);
    put_budget(&world.server, 0);
    let world = world.start();
    // It died before the maintenance was made.
    put_receipt(&world);
    settle().await;
    let operations = world.operations().await;
    let started = operations.start_maintenance_once(&start(), &key()).await.unwrap();
    assert_eq!((started.outcome, started.object.name()), (OnceOutcome::Started, "node02-maintenance"));
    // Or afterwards: the leader notes it, and who repeats it meanwhile finds it.
    put_receipt(&world);
    let again = operations.start_maintenance_once(&start(), &key()).await.unwrap();
    assert_eq!((again.outcome, &again.object.metadata.uid), (OnceOutcome::Replayed, &started.object.metadata.uid));
    put_receipt(&world);
    world.until("the leader has noted it", |world| result(world)["maintenance"].is_object()).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_leaves_nothing_and_may_be_asked_again() {
    let world = World::new(1).start();
    let operations = world.operations().await;
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    settle().await;
    let refused = operations.start_maintenance_once(&start(), &key()).await;
    assert!(matches!(&refused, Err(OnceError::Operation(error)) if error.reason() == "AlreadyUnderMaintenance"));
    assert!(world.server.get(RECEIPT).is_none());
    operations.stop_maintenance(&stop()).await.unwrap();
    world.until("it goes", |world| world.server.get(super::world::MAINTENANCE).is_none()).await;
    settle().await;
    let started = operations.start_maintenance_once(&start(), &key()).await.unwrap();
    assert_eq!(started.outcome, OnceOutcome::Started);
    let annotations = world.server.get(OWN).unwrap()["metadata"]["annotations"].clone();
    assert_eq!(annotations[RECEIPT_ANNOTATION], "receipt-k1");
}

#[tokio::test(start_paused = true)]
async fn so_many_keys_are_remembered_and_no_more() {
    let world = World::new(1);
    let created_at = (world.clock.now() - DAY + Duration::from_secs(60)).to_string();
    for number in 0..crate::receipt::MOST {
        let name = format!("receipt-other{number}");
        let request = json!({ "hash": "h", "caller": "bob", "maintenance": "gone", "createdAt": created_at });
        let metadata = json!({ "name": name, "namespace": "careen", "uid": name });
        let path = format!("/api/v1/namespaces/careen/configmaps/{name}");
        world.server.put(&path, json!({ "metadata": metadata, "data": { "request": request.to_string() } }));
    }
    let world = world.start();
    let operations = world.operations().await;
    assert_eq!(operations.start_maintenance_once(&start(), &key()).await, Err(OnceError::TooManyKeys));
    assert!(world.server.get(OWN).is_none());
    sleep(Duration::from_secs(70)).await;
    assert!(operations.start_maintenance_once(&start(), &key()).await.is_ok(), "old ones have made room");
}

#[tokio::test(start_paused = true)]
async fn what_became_of_it_is_asked_for_where_the_cache_does_not_know_before_anything_is_started() {
    let world = World::new(0);
    put_receipt(&world);
    let operations = world.operations().await;
    world.server.hold_watches("configmaps");
    let maintenance = json!({
        "apiVersion": "nodemaintenance.kubevirt.io/v1beta1", "kind": "NodeMaintenance",
        "metadata": { "name": "node02-maintenance", "uid": "uid-ended" }, "spec": { "nodeName": "node02" },
    });
    let result = json!({ "maintenance": maintenance, "endedAt": world.clock.now().to_string() });
    world.server.edit(RECEIPT, |receipt| receipt["data"]["result"] = json!(result.to_string()));
    let again = operations.start_maintenance_once(&start(), &key()).await.unwrap();
    assert_eq!(again.outcome, OnceOutcome::Ended);
    assert!(world.server.get(OWN).is_none(), "nobody has asked for another");
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_leaves_the_receipt_of_another_replica() {
    let world = World::new(0).start();
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    let behind = world.operations().await;
    world.server.hold_watches("nodemaintenances");
    world.server.remove(super::world::MAINTENANCE);
    // Another replica knows that, and is about to start it.
    put_receipt(&world);
    let refused = behind.start_maintenance_once(&start(), &key()).await;
    assert!(matches!(&refused, Err(OnceError::Operation(error)) if error.reason() == "AlreadyUnderMaintenance"));
    assert!(world.server.get(RECEIPT).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_receipt_that_another_has_taken_away_meanwhile_is_made_again() {
    let world = World::new(0);
    let link = world.server.another_link();
    let operations = world.operations_over(&link).await;
    link.set_mood(Mood::Slow(Duration::from_secs(1)));
    let taken_away = async {
        world.until("it is made", |world| world.server.get(OWN).is_some()).await;
        world.server.remove(RECEIPT);
    };
    let (request, key) = (start(), key());
    let (started, ()) = join(operations.start_maintenance_once(&request, &key), taken_away).await;
    let started = started.unwrap();
    assert_eq!(started.outcome, OnceOutcome::Started);
    assert_eq!(result(&world)["maintenance"]["metadata"]["uid"], json!(started.object.metadata.uid));
}

#[tokio::test(start_paused = true)]
async fn one_that_has_just_ended_is_known_to_have_before_the_leader_has_noted_it() {
    let world = World::new(0);
    let operations = world.operations().await;
    let first = operations.start_maintenance_once(&start(), &key()).await.unwrap();
    settle().await;
    world.server.remove(OWN);
    settle().await;
    assert!(result(&world)["endedAt"].is_null(), "nobody leads");
    let again = operations.start_maintenance_once(&start(), &key()).await.unwrap();
    assert_eq!((again.outcome, &again.object.metadata.uid), (OnceOutcome::Ended, &first.object.metadata.uid));
    assert!(world.server.get(OWN).is_none(), "nobody has asked for another");
}
