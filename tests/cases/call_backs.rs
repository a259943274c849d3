//! Call-backs: what a receiver hears of a maintenance.

use careen_tests::{
    case::Case,
    objects::text,
    receiver::Receiver,
    wait::{check, soon},
};
use serde_json::{Value, json};

/// The last word of each type.
fn types(told: &[Value]) -> Vec<&str> {
    told.iter().map(|event| text(event, "/type").rsplit('.').next().unwrap_or_default()).collect()
}

pub async fn a_receiver_hears_of_the_whole_life_over_a_restart(case: Case) {
    let suite = case.suite;
    let receiver = Receiver::start(suite.control_plane.folder()).await;
    suite.stop_careen().await;
    suite.start_careen_with(&receiver.options()).await.unwrap();

    let a = case.node("a").await;
    case.pod("web", &a, json!({})).await;
    case.ready_on(&a, 1).await;
    let before = case.look_of(&a).await;
    let name = case.maintain(&a).await;
    case.drained(&name).await;
    let hears = async |what: &[&str]| {
        soon("the receiver hears of it", async || {
            let told = receiver.told_of(&a);
            check(types(&told) == what, || format!("{:?}", types(&told)))
        })
        .await;
    };
    hears(&["accepted", "drained"]).await;
    suite.kill_careen().await;
    suite.start_careen_with(&receiver.options()).await.unwrap();
    case.delete_maintenance(&name).await;
    case.looks_again(&a, &before).await;
    hears(&["accepted", "drained", "ended"]).await;

    let told = receiver.told_of(&a);
    assert!(receiver.attempts() > told.len(), "the attempt that was refused was repeated");
    let report = &told[2]["data"]["report"];
    assert_eq!((&report["evictionPods"], &report["moved"], &report["stopped"]), (&json!(1), &json!([]), &json!([])));
    assert_eq!(text(&told[2], "/data/maintenance/name"), name);

    // The cases after this one have a server that tells nobody.
    suite.stop_careen().await;
    suite.start_careen().await.unwrap();
}
