//! The whole controller against an API server in memory, in paused time.

mod call_backs;
mod events;
mod operations;
mod orders;
mod process;
mod receipts;
mod records;
mod world;

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    names::{FINALIZER, RECORD_ANNOTATION},
    testing::Mood,
};
use world::{
    LEADER_LEASE, LEASE, MAINTENANCE, NODE, World, content, is_out, put_budget, put_node, put_pod, take_lease,
};

#[tokio::test(start_paused = true)]
async fn a_node_goes_out_of_service_and_comes_back_as_it_was() {
    let world = World::new(5).start();
    let before = content(world.node());
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    assert_eq!(world.server.evicted().len(), 5, "each once");
    assert!(is_out(&world.node()));
    let status = &world.maintenance()["status"];
    assert_eq!(
        (&status["drainProgress"], &status["evictionPods"], &status["totalpods"]),
        (&json!(100), &json!(5), &json!(5))
    );
    assert_eq!(world.maintenance()["metadata"]["finalizers"], json!([FINALIZER]));
    assert_eq!(world.server.get(LEASE).unwrap()["spec"]["holderIdentity"], "careen/maintenance/uid-m");

    world.server.delete(MAINTENANCE);
    world.until("it goes", |world| world.server.get(MAINTENANCE).is_none()).await;
    assert_eq!(content(world.node()), before);
    assert!(world.server.get(LEASE).is_none());
    let world = world.stop().await;
    assert_eq!(world.server.get(LEADER_LEASE).unwrap()["spec"]["holderIdentity"], "");
}

#[tokio::test(start_paused = true)]
async fn the_status_is_written_every_two_seconds_at_most_while_it_changes_and_not_at_all_while_it_does_not() {
    let world = World::new(0).start();
    put_budget(&world.server, 0);
    world.begin("m", "node02");
    for number in 0..100 {
        put_pod(&world.server, &format!("late-{number}"), "node02");
        sleep(Duration::from_millis(130)).await;
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.maintenance()["status"]["blocked"], 100);
    let writes = world.status_writes();
    assert!((5..=9).contains(&writes.len()), "{} in 13 seconds", writes.len());
    assert!(writes.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_secs(2)), "{writes:?}");
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(world.status_writes().len(), writes.len());
    assert!(world.server.evicted().is_empty());
    let requests = world.link().log();
    let idle = requests.iter().filter(|logged| logged.at > writes[writes.len() - 1] + Duration::from_secs(1));
    let others: Vec<_> = idle.filter(|logged| !logged.what.contains("/leases/")).map(|logged| &logged.what).collect();
    assert!(others.iter().all(|what| what.starts_with("WATCH ")), "nothing is asked again and again: {others:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_another_holds_is_not_touched_until_it_is_let_go() {
    let world = World::new(1);
    take_lease(&world);
    let before = world.node();
    let world = world.start();
    world.begin("m", "node02");
    world.until("it is said", |world| world.condition("Degraded")["status"] == "True").await;
    let degraded = world.condition("Degraded");
    assert_eq!(degraded["reason"], "NodeLeaseHeld");
    assert!(degraded["message"].as_str().unwrap().contains("held by fence-agents"), "{degraded}");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(world.node(), before);
    assert_eq!(world.maintenance()["status"]["errorOnLeaseCount"], 1);
    assert_eq!(world.status_writes().len(), 1, "nothing has changed since");

    world.server.remove(LEASE);
    let freed = Instant::now();
    world.until_phase("Succeeded").await;
    assert!(freed.elapsed() < Duration::from_secs(15));
    assert_eq!(world.condition("Degraded")["status"], "False");
    assert!(world.maintenance()["status"]["lastError"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_maintenance_that_did_nothing_goes_at_once_although_another_holds_the_node() {
    let world = World::new(1);
    take_lease(&world);
    let world = world.start();
    world.begin("m", "node02");
    world.until("it is held", |world| world.condition("Degraded")["status"] == "True").await;
    world.server.delete(MAINTENANCE);
    sleep(Duration::from_secs(5)).await;
    assert!(world.server.get(MAINTENANCE).is_none());
    assert_eq!(world.server.get(LEASE).unwrap()["spec"]["holderIdentity"], "fence-agents");
}

#[tokio::test(start_paused = true)]
async fn nothing_new_starts_after_the_node_lease_is_lost_and_restoring_waits_for_it() {
    let world = World::new(3);
    put_budget(&world.server, 0);
    let world = world.start();
    world.begin("m", "node02");
    world.until("it is blocked", |world| world.maintenance()["status"]["blocked"] == 3).await;
    take_lease(&world);
    world.until("it is said", |world| world.condition("Degraded")["reason"] == "NodeLeaseHeld").await;
    put_budget(&world.server, 100);
    sleep(Duration::from_secs(300)).await;
    assert!(world.server.evicted().is_empty());
    assert!(is_out(&world.node()), "and nothing is undone");

    // A record that somebody writes meanwhile is not taken for ours.
    let record = world.node()["metadata"]["annotations"][RECORD_ANNOTATION].as_str().unwrap().to_owned();
    let forged = record.replace("\"wasUnschedulable\":false", "\"wasUnschedulable\":true");
    assert_ne!(forged, record);
    world.server.edit(NODE, |node| node["metadata"]["annotations"][RECORD_ANNOTATION] = json!(forged));
    sleep(Duration::from_secs(30)).await;
    assert_eq!(world.maintenance()["status"]["record"]["wasUnschedulable"], false);

    world.server.delete(MAINTENANCE);
    sleep(Duration::from_secs(60)).await;
    assert!(is_out(&world.node()), "whoever holds the node does not expect it to change");
    let before = world.link().requests();
    for number in 0..200 {
        put_budget(&world.server, 100 - number % 2);
        sleep(Duration::from_millis(50)).await;
    }
    assert!(world.link().requests() - before < 20, "news of others is no reason to try again");
    world.server.remove(LEASE);
    world.until("it goes", |world| world.server.get(MAINTENANCE).is_none()).await;
    assert!(!is_out(&world.node()));
    assert!(
        world.node()["spec"]["unschedulable"].is_null(),
        "restored from what was there before, not from what was forged"
    );
    assert!(world.server.evicted().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_drain_goes_on_when_a_lost_node_lease_is_free_again() {
    let world = World::new(3);
    put_budget(&world.server, 0);
    let world = world.start();
    world.begin("m", "node02");
    world.until("it is blocked", |world| world.maintenance()["status"]["blocked"] == 3).await;
    take_lease(&world);
    world.until("it is said", |world| world.condition("Degraded")["reason"] == "NodeLeaseHeld").await;
    world.server.remove(LEASE);
    put_budget(&world.server, 100);
    world.until_phase("Succeeded").await;
    assert_eq!(world.server.evicted().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_cannot_be_written_is_written_later_and_holds_nothing_up() {
    let world = World::new(2).start();
    world.link().refuse(&format!("PATCH {MAINTENANCE}/status"), 500);
    world.begin("m", "node02");
    world.until("the pods have gone", |world| world.server.evicted().len() == 2).await;
    sleep(Duration::from_secs(60)).await;
    assert!(world.maintenance()["status"].is_null());
    let tries = world.status_writes();
    assert!(tries.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_secs(2)), "{tries:?}");
    world.link().refuse_nothing();
    world.until_phase("Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn another_leader_goes_on_and_writes_nothing_that_was_written() {
    let world = World::new(3).start();
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    sleep(Duration::from_secs(10)).await;
    let (object, node) = (world.maintenance(), world.node());
    let world = world.stop().await;
    sleep(Duration::from_secs(300)).await;
    let world = world.start();
    sleep(Duration::from_secs(60)).await;
    let writes: Vec<_> = world.link().log().into_iter().filter(|logged| logged.method != "GET").collect();
    let writes: Vec<_> = writes.iter().map(|logged| &logged.what).filter(|what| !what.contains("/leases")).collect();
    assert!(writes.is_empty(), "{writes:?}");
    assert_eq!((world.maintenance(), world.node()), (object, node));
    assert_eq!(world.server.evicted().len(), 3);
    world.server.delete(MAINTENANCE);
    world.until("it goes", |world| world.server.get(MAINTENANCE).is_none()).await;
    assert!(!is_out(&world.node()));
}

#[tokio::test(start_paused = true)]
async fn a_spec_that_was_spoilt_drains_nothing_after_a_restart_and_the_node_is_held_and_restored() {
    let world = World::new(0).start();
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    let world = world.stop().await;
    world.server.edit(MAINTENANCE, |object| object["spec"]["drain"] = json!({"podSelector": "app in"}));
    put_pod(&world.server, "left-out", "node02");
    let world = world.start();
    sleep(Duration::from_secs(120)).await;
    assert!(world.server.evicted().is_empty(), "nobody wrote that it may be evicted");
    assert_eq!(world.condition("Degraded")["reason"], "InvalidSpec");
    assert!(is_out(&world.node()));
    world.server.edit(MAINTENANCE, |object| object["spec"]["drain"] = json!({}));
    world.until("it goes on", |world| world.server.evicted().len() == 1).await;
    world.server.delete(MAINTENANCE);
    world.until("it goes", |world| world.server.get(MAINTENANCE).is_none()).await;
    assert!(!is_out(&world.node()));
}

#[tokio::test(start_paused = true)]
async fn a_node_is_restored_by_the_taint_that_was_added_whatever_the_setting_says_now() {
    let world = World::new(0).start();
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    let mut world = world.stop().await;
    world.drain_taint_key = "example.com/new".to_owned();
    let world = world.start();
    world.server.delete(MAINTENANCE);
    world.until("it goes", |world| world.server.get(MAINTENANCE).is_none()).await;
    assert!(!is_out(&world.node()));
    assert!(world.node()["spec"]["taints"].is_null(), "{}", world.node());
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_told_why_and_nothing_is_touched() {
    let world = World::new(1).start();
    world.begin("m", "node99");
    world.until_phase("Failed").await;
    let accepted = world.condition("Accepted");
    assert_eq!((&accepted["status"], &accepted["reason"]), (&json!("False"), &json!("NodeNotFound")));
    assert!(world.maintenance()["metadata"]["finalizers"].is_null());
    // Also when such a node comes: only a changed spec is considered again.
    put_node(&world.server, "node99");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(
        (world.condition("Accepted")["reason"].as_str(), world.status_writes().len()),
        (Some("NodeNotFound"), 1)
    );
    world.server.edit(MAINTENANCE, |object| object["metadata"]["generation"] = json!(2));
    world.until_phase("Succeeded").await;
    world.server.delete(MAINTENANCE);
    world.until("it goes", |world| world.server.get(MAINTENANCE).is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_maintenance_was_removed_by_force_is_restored() {
    let world = World::new(1).start();
    let before = content(world.node());
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    world.server.remove(MAINTENANCE);
    world.until("it is restored", |world| !is_out(&world.node())).await;
    assert_eq!(content(world.node()), before);
    sleep(Duration::from_secs(60)).await;
    assert!(world.server.get(LEASE).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_restored_already_is_let_go_when_its_maintenance_is_removed_by_force() {
    let world = World::new(1).start();
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    world.link().refuse(&format!("DELETE {LEASE}"), 503);
    world.server.delete(MAINTENANCE);
    world.until("it is restored", |world| !is_out(&world.node())).await;
    assert!(world.server.get(LEASE).is_some());
    world.server.remove(MAINTENANCE);
    world.link().refuse_nothing();
    world.until("nobody holds it", |world| world.server.get(LEASE).is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_undone_by_hand_is_done_again_and_the_record_keeps_what_was_before() {
    let world = World::new(1).start();
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    let record = world.node()["metadata"]["annotations"][RECORD_ANNOTATION].clone();
    world.server.edit(NODE, |node| {
        node["spec"] = json!({});
        node["metadata"]["annotations"] = json!({});
    });
    world.until("it is taken out again", |world| is_out(&world.node())).await;
    assert_eq!(world.node()["metadata"]["annotations"][RECORD_ANNOTATION], record);
    put_pod(&world.server, "late", "node02");
    world.until("a pod that arrives leaves too", |world| world.server.evicted().len() == 2).await;
    world.until_phase("Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn many_nodes_go_at_once_and_the_metrics_count_them() {
    let world = World::new(2);
    put_budget(&world.server, 0);
    put_pod(&world.server, "other", "node03");
    let world = world.start();
    world.begin("m", "node02");
    world.begin("n", "node03");
    world
        .until("both are blocked", |world| {
            let other = world.server.get(&MAINTENANCE.replace("maintenances/m", "maintenances/n")).unwrap();
            world.maintenance()["status"]["blocked"] == 2 && other["status"]["blocked"] == 1
        })
        .await;
    let metrics = world.cluster().metrics().clone();
    let blocked = || {
        let labels = crate::metrics::ReasonLabels::from(crate::plan::BlockReason::BudgetExhausted);
        metrics.blocked_workloads.get_or_create(&labels).get()
    };
    assert_eq!((blocked(), metrics.leader.get()), (3, 1));
    put_budget(&world.server, 100);
    world.until_phase("Succeeded").await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(blocked(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_names_no_node_goes_although_it_came_with_a_finalizer_from_a_copy() {
    let world = World::new(0).start();
    world.begin("m", "NO NODE");
    world.server.edit(MAINTENANCE, |object| object["metadata"]["finalizers"] = json!([FINALIZER]));
    world.until_phase("Failed").await;
    world.server.delete(MAINTENANCE);
    sleep(Duration::from_secs(60)).await;
    assert!(world.server.get(MAINTENANCE).is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_the_spec_does_not_hide_what_is_wrong_with_the_node() {
    let world = World::new(0).start();
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    world.server.edit(MAINTENANCE, |object| object["spec"]["drain"] = json!({"podSelector": "app in"}));
    world.until("it is said", |world| world.condition("Degraded")["reason"] == "InvalidSpec").await;
    take_lease(&world);
    world.until("the worse is said", |world| world.condition("Degraded")["reason"] == "NodeLeaseHeld").await;
    sleep(Duration::from_secs(5)).await;
    let written = world.status_writes().len();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(world.status_writes().len(), written, "and stays said");
    assert_eq!(world.maintenance()["status"]["errorOnLeaseCount"], 1);
    world.server.remove(LEASE);
    world.until("the other is said again", |world| world.condition("Degraded")["reason"] == "InvalidSpec").await;
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_cannot_be_followed_any_more_is_named_and_nothing_else_stops() {
    let world = World::new(1).start();
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    world.link().refuse("WATCH /api/v1/pods", 403);
    world.link().refuse("LIST /api/v1/pods", 403);
    world.server.close_watches("pods");
    world.until("it is said", |world| world.condition("Degraded")["reason"] == "CachesOld").await;
    let message = world.condition("Degraded")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("Pod"), "{message}");
    assert_eq!(world.maintenance()["status"]["phase"], "Succeeded");
    world.link().refuse_nothing();
    world.until("it is over", |world| world.condition("Degraded")["status"] == "False").await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_refused_because_the_watch_of_nodes_is_behind() {
    let world = World::new(0).start();
    world.until("it is watched", |world| world.cluster().snapshot().nodes().count() == 2).await;
    world.server.hold_watches("nodes");
    put_node(&world.server, "node04");
    world.begin("m", "node04");
    let looks = || world.link().count("GET /api/v1/nodes/node04");
    for number in 0..400 {
        // Much happens elsewhere.
        put_pod(&world.server, "web", "node03");
        world
            .server
            .edit("/api/v1/namespaces/shop/pods/web", |pod| pod["metadata"]["labels"]["n"] = json!(number.to_string()));
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(world.condition("Accepted"), json!(null));
    assert!((2..=21).contains(&looks()), "{} looks in 40 s", looks());
    world.server.release_watches();
    world.until_phase("Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn a_vm_leaves_although_the_watch_of_nodes_is_behind() {
    let world = World::new(0);
    for plural in ["virtualmachines", "virtualmachineinstances", "virtualmachineinstancemigrations", "kubevirts"] {
        world.server.install(&format!("{plural}.kubevirt.io"));
    }
    let vmi = json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
        "metadata": { "namespace": "shop", "name": "db", "uid": "uid-db" },
        "spec": { "evictionStrategy": "LiveMigrate" },
        "status": {
            "phase": "Running", "nodeName": "node02", "conditions": [{ "type": "LiveMigratable", "status": "True" }],
        },
    });
    world.server.put("/apis/kubevirt.io/v1/namespaces/shop/virtualmachineinstances/db", vmi);
    let labels =
        json!({ "kubevirt.io": "virt-launcher", "vm.kubevirt.io/name": "db", "kubevirt.io/created-by": "uid-db" });
    let owner = json!([{
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": "db", "uid": "uid-db", "controller": true,
    }]);
    put_pod(&world.server, "virt-launcher-db", "node02");
    world.server.edit("/api/v1/namespaces/shop/pods/virt-launcher-db", |pod| {
        pod["metadata"]["labels"] = labels;
        pod["metadata"]["annotations"] = json!({ "kubevirt.io/domain": "db" });
        pod["metadata"]["ownerReferences"] = owner;
    });
    let world = world.start();
    world.until("it is watched", |world| world.cluster().snapshot().nodes().count() == 2).await;
    world.server.hold_watches("nodes");
    world.begin("m", "node02");
    let begun = Instant::now();
    world.until("it is asked to leave", |world| !world.server.evicted().is_empty()).await;
    // Held back, it shows nothing until it is renewed.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_an_older_definition_does_not_keep_of_a_status_is_not_written_for_ever() {
    let world = World::new(2);
    world.server.prune("evictionPods");
    let world = world.start();
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    sleep(Duration::from_secs(10)).await;
    let written = world.status_writes().len();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(world.status_writes().len(), written);
    // What it keeps is written as ever.
    put_budget(&world.server, 0);
    put_pod(&world.server, "late", "node02");
    world.until("it is said", |world| world.condition("Drained")["status"] == "False").await;
}

#[tokio::test(start_paused = true)]
async fn a_kind_whose_requests_are_not_answered_any_more_is_named_as_well() {
    let world = World::new(1).start();
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    world.link().set_mood_for("WATCH /api/v1/pods", Mood::Hang);
    world.link().set_mood_for("LIST /api/v1/pods", Mood::Hang);
    world.server.close_watches("pods");
    world.until("it is said", |world| world.condition("Degraded")["reason"] == "CachesOld").await;
}
