//! `Idempotency-Key`.

use serde_json::{Value, json};

use super::{app::Answer, simulated::Simulated};

const MAINTENANCES: &str = "nodemaintenances.nodemaintenance.kubevirt.io";

async fn post(app: &Simulated, token: &str, key: &str, body: Value) -> Answer {
    app.send_with(token, "POST /maintenances", Some(body), &[("idempotency-key", key)]).await
}

#[tokio::test]
async fn a_replay_is_told_what_became_of_it() {
    let app = Simulated::start().await;
    let wanted = json!({ "node": "node02", "ticket": { "id": "CHG1" } });
    let first = post(&app, "admin", "CHG1-start", wanted.clone()).await;
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(first.header("location"), "/api/v1/maintenances/node02-maintenance");
    assert!(first.headers.get("idempotency-replayed").is_none());
    app.until(|snapshot| snapshot.maintenance("node02-maintenance").is_some()).await;
    let again = post(&app, "admin", "CHG1-start", wanted.clone()).await;
    assert_eq!((again.status.as_u16(), again.json()), (201, first.json()));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(app.kubernetes.all(MAINTENANCES).len(), 1);

    // Without the key, or under another, it is another request.
    app.admin("POST /maintenances", Some(wanted.clone())).await.problem(409, "AlreadyUnderMaintenance");
    post(&app, "admin", "CHG1-again", wanted.clone()).await.problem(409, "AlreadyUnderMaintenance");
    let other = post(&app, "admin", "CHG1-start", json!({ "node": "node01" })).await;
    other.problem(422, "IdempotencyKeyReused");
    assert_eq!(other.json()["field"], "Idempotency-Key");
    // Somebody else's key tells nothing.
    let other = post(&app, "second", "CHG1-start", wanted).await;
    other.problem(422, "IdempotencyKeyReused");
    assert!(!other.text().contains("ann") && !other.text().contains("node02-maintenance"), "{}", other.text());
    post(&app, "admin", "", json!({ "node": "node01" })).await.problem(400, "BadRequest");
    // Nothing of a dry run is remembered.
    let dry = [("idempotency-key", "dry")];
    let wanted = Some(json!({ "node": "node01" }));
    let plan = app.send_with("admin", "POST /maintenances?dryRun=true", wanted.clone(), &dry).await.ok();
    assert_eq!(plan["node"], "node01");
    assert_eq!(app.send_with("admin", "POST /maintenances", wanted, &dry).await.status, 201);
}
