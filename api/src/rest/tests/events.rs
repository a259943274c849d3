//! Streams of events, as the service gives them. What happened just before may be told once more after a `snapshot`.

use serde_json::{Value, json};

use super::simulated::{Event, Events, Simulated};

const MAINTENANCE: &str = "/maintenances/node02-maintenance/events";

/// The first event that is so.
async fn until(events: &mut Events, is_so: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = events.next().await.expect("the stream goes on");
        if is_so(&event) {
            return event;
        }
    }
}

async fn put_reason(app: &Simulated, reason: &str) {
    let answer = app.admin("PUT /nodes/node02/maintenance", Some(json!({ "reason": reason }))).await;
    assert!(answer.status.is_success(), "{}", answer.text());
    app.until(|snapshot| {
        snapshot.maintenance("node02-maintenance").is_some_and(|found| found.spec.reason.as_deref() == Some(reason))
    })
    .await;
}

#[tokio::test]
async fn a_maintenance_is_followed_to_its_end_across_a_break() {
    let app = Simulated::start().await;
    put_reason(&app, "first").await;
    let mut events = app.stream(MAINTENANCE, None).await;
    assert_eq!(events.expect("snapshot").await.data["reason"], "first");
    put_reason(&app, "second").await;
    let seen = until(&mut events, |event| event.data["reason"] == "second").await;
    assert_eq!(seen.name, "MaintenanceChanged");
    drop(events);

    // Meanwhile it goes on, and ends; and another's drain is not its business.
    put_reason(&app, "third").await;
    app.admin("PUT /nodes/node01/maintenance", Some(json!({}))).await;
    let mut events = app.stream(MAINTENANCE, Some(&seen.id)).await;
    let third = events.expect("MaintenanceChanged").await;
    assert_eq!((&third.data["reason"], &third.data["name"]), (&json!("third"), &json!("node02-maintenance")));
    app.admin("DELETE /nodes/node02/maintenance", None).await;
    let end = events.expect("MaintenanceEnded").await;
    assert_eq!((&end.data["phase"], &end.data["reason"]), (&json!("Ended"), &json!("third")));
    assert!(events.next().await.is_none(), "nothing comes after the end");
    // Who has missed the end is told, and who has seen it finds nothing more.
    let mut late = app.stream(MAINTENANCE, Some(&third.id)).await;
    late.expect("MaintenanceEnded").await;
    for id in [end.id.as_str(), "", "of-another-replica-7"] {
        let headers = [("last-event-id", id)];
        let gone = app.send_with("admin", &format!("GET {MAINTENANCE}"), None, &headers).await;
        gone.problem(404, "MaintenanceNotFound");
    }
    app.admin("GET /maintenances/none/events", None).await.problem(404, "MaintenanceNotFound");
}

#[tokio::test]
async fn who_comes_again_just_after_the_end_is_told_of_it() {
    let app = Simulated::start().await;
    put_reason(&app, "first").await;
    let seen = app.stream(MAINTENANCE, None).await.expect("snapshot").await;
    app.admin("DELETE /nodes/node02/maintenance", None).await;
    // The caches know before it is written down what has happened.
    app.until(|snapshot| snapshot.maintenance("node02-maintenance").is_none()).await;
    let mut events = app.stream(MAINTENANCE, Some(&seen.id)).await;
    until(&mut events, |event| event.name == "MaintenanceEnded").await;
}

#[tokio::test]
async fn the_end_of_an_earlier_one_is_not_that_of_its_successor() {
    let app = Simulated::start().await;
    put_reason(&app, "first").await;
    app.admin("DELETE /nodes/node02/maintenance", None).await;
    app.until(|snapshot| snapshot.maintenance("node02-maintenance").is_none()).await;
    put_reason(&app, "second").await;
    // What happens is written down up to 100 ms later than it is known.
    let mut events = app.stream(MAINTENANCE, None).await;
    let second = events.expect("snapshot").await.data["uid"].clone();
    put_reason(&app, "third").await;
    let third = until(&mut events, |event| {
        assert_eq!((event.name.as_str(), &event.data["uid"]), ("MaintenanceChanged", &second));
        event.data["reason"] == "third"
    });
    third.await;
}

#[tokio::test]
async fn a_drain_is_followed() {
    let app = Simulated::start().await;
    app.admin("GET /nodes/node02/drain/events", None).await.problem(404, "DrainNotFound");
    let ordered = app.admin("POST /nodes/node02/drain", Some(json!({}))).await;
    let node = "node02".parse().unwrap();
    app.until(|snapshot| snapshot.drain_order(&node).is_some()).await;
    let mut events = app.stream("/nodes/node02/drain/events", None).await;
    let all = events.expect("snapshot").await;
    assert_eq!((&all.data["id"], &all.data["phase"]), (&ordered.json()["id"], &json!("Ordered")));
    app.admin("DELETE /nodes/node02/drain", None).await;
    until(&mut events, |event| event.name == "DrainChanged" && event.data["phase"] == "Cancelling").await;
}

#[tokio::test]
async fn everything_is_followed() {
    let app = Simulated::start().await;
    let mut events = app.stream("/events", None).await;
    let all = events.expect("snapshot").await.data;
    let names: Vec<&Value> = all["nodes"].as_array().unwrap().iter().map(|node| &node["name"]).collect();
    assert_eq!(names, ["node01", "node02"]);
    assert_eq!((&all["maintenances"], &all["drains"]), (&json!([]), &json!([])));
    app.admin("POST /nodes/node01/cordon", None).await.ok();
    let node = events.expect("NodeChanged").await.data;
    assert_eq!((&node["name"], &node["schedulable"]), (&json!("node01"), &json!(false)));
    put_reason(&app, "first").await;
    events.expect("MaintenanceChanged").await;
    let node = events.expect("NodeChanged").await;
    assert_eq!((&node.data["name"], &node.data["maintenance"]), (&json!("node02"), &json!("node02-maintenance")));

    // Another replica knows nothing of that place, and says so.
    let other = Simulated::start().await;
    other.stream("/events", Some(&node.id)).await.expect("resync").await;
    let mut resumed = app.stream("/events", Some(&node.id)).await;
    app.shutdown.request();
    for events in [&mut events, &mut resumed] {
        let goodbye = events.expect("goodbye").await;
        assert_eq!(goodbye.id, node.id);
        assert!(events.next().await.is_none());
    }
}
