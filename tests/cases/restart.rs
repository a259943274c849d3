//! Careen dies, is stopped, and comes back.

use careen_tests::{
    case::{Case, record_of, summary},
    objects::{CLUSTER, condition, kinds, text},
    wait::{check, soon},
};
use serde_json::json;

pub async fn a_killed_careen_goes_on_where_it_was(case: Case) {
    let a = case.node("a").await;
    case.deployment("web", 12, 2).await;
    case.ready_on(&a, 12).await;
    case.budget("two", "web", json!({"maxUnavailable": 2}), 2).await;
    case.node("b").await;
    let before = case.look_of(&a).await;
    let name = case.maintain(&a).await;
    soon("a third of the pods were evicted", async || {
        let accepted = case.evictions().answered(201);
        check(accepted >= 4, || format!("{accepted}"))
    })
    .await;
    case.suite.kill_careen().await;
    let record = record_of(&case.get_node(&a).await);
    let maintenance = case.maintenance(&name).await;
    assert_ne!(condition(&maintenance, "Drained"), "True", "it came too late: {}", summary(&maintenance));
    case.suite.start_careen().await.unwrap();
    case.drained(&name).await;
    assert_eq!(record_of(&case.get_node(&a).await), record);
    let evictions = case.evictions();
    evictions.assert_none_accepted_twice();
    assert_eq!(evictions.answered(201), 12);
    case.delete_maintenance(&name).await;
    case.looks_again(&a, &before).await;
}

pub async fn a_finalizer_removed_while_careen_was_down(case: Case) {
    let a = case.node("a").await;
    let before = case.look_of(&a).await;
    let name = case.maintain(&a).await;
    case.drained(&name).await;
    case.suite.stop_careen().await;
    super::record::remove_by_force(&case, &name).await;
    assert!(careen_tests::case::is_taken_out(&case.get_node(&a).await));
    case.suite.start_careen().await.unwrap();
    case.looks_again(&a, &before).await;
}

pub async fn a_maintenance_deleted_while_careen_was_down(case: Case) {
    let a = case.node("a").await;
    let before = case.look_of(&a).await;
    let name = case.maintain(&a).await;
    case.drained(&name).await;
    case.suite.kill_careen().await;
    let _ = case.kubectl(&["delete", "nm", &name, "--wait=false"], "").await.ok();
    case.suite.start_careen().await.unwrap();
    case.looks_again(&a, &before).await;
    soon("the maintenance is gone", async || {
        let found = case.cluster().find(kinds::MAINTENANCE, CLUSTER, &name).await;
        check(found.is_none(), || format!("{found:?}"))
    })
    .await;
}

pub async fn a_stop_releases_the_leader_lease(case: Case) {
    let holder = async || {
        let leases = case.cluster().list(kinds::LEASE, "careen").await;
        leases.iter().map(|lease| text(lease, "/spec/holderIdentity").to_owned()).collect::<String>()
    };
    soon("somebody leads", async || check(!holder().await.is_empty(), || "nobody".to_owned())).await;
    let status = case.suite.stop_careen().await.unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(holder().await, "", "who stops lets go");
    case.suite.start_careen().await.unwrap();
}
