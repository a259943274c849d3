//! A maintenance, as a ticketing system sees it.

use serde_json::json;

use super::simulated::Simulated;

const MAINTENANCES: &str = "nodemaintenances.nodemaintenance.kubevirt.io";

#[tokio::test]
async fn a_repeated_put_starts_once_and_changes_nothing_then() {
    let app = Simulated::start().await;
    let wanted = || Some(json!({ "reason": "Replacing node02", "ticket": { "id": "CHG1" } }));
    let first = app.admin("PUT /nodes/node02/maintenance", wanted()).await;
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(first.header("location"), "/api/v1/maintenances/node02-maintenance");
    assert_eq!(first.json()["requestedBy"], "ann");
    app.until(|snapshot| snapshot.maintenance("node02-maintenance").is_some()).await;
    let second = app.admin("PUT /nodes/node02/maintenance", wanted()).await;
    assert_eq!((second.status.as_u16(), second.json()), (200, first.json()));
    let third = app.admin("PUT /nodes/node02/maintenance", Some(json!({}))).await;
    assert_eq!((third.status.as_u16(), third.json()), (200, first.json()));
    assert_eq!(app.admin("GET /nodes/node02/maintenance", None).await.ok(), first.json());
    assert_eq!(app.admin("GET /maintenances/node02-maintenance", None).await.ok(), first.json());
    let list = app.admin("GET /maintenances?ticket=CHG1&node=node02", None).await.ok();
    assert_eq!(list["items"], json!([first.json()]));
    assert_eq!(app.admin("GET /nodes?underMaintenance=true", None).await.ok()["items"][0]["name"], "node02");
}

#[tokio::test]
async fn one_that_was_refused_is_seen_by_who_starts_it_again() {
    let app = Simulated::start_with(|kubernetes| {
        let refused = json!({
            "metadata": { "name": "node02-maintenance", "generation": 1 }, "spec": { "nodeName": "node02" },
            "status": { "phase": "Failed", "observedGeneration": 1, "conditions": [{
                "type": "Accepted", "status": "False", "reason": "DrainInProgress", "message": "it was being drained",
                "lastTransitionTime": "2026-11-28T15:00:00Z", "observedGeneration": 1,
            }] },
        });
        kubernetes.put(MAINTENANCES, refused).unwrap();
    })
    .await;
    let put = app.admin("PUT /nodes/node02/maintenance", Some(json!({}))).await;
    assert_eq!((put.status.as_u16(), &put.json()["phase"]), (200, &json!("Failed")));
    assert_eq!(app.admin("GET /nodes/node02/maintenance", None).await.ok(), put.json());
    assert_eq!(app.admin("GET /nodes/node02", None).await.ok()["maintenance"], json!(null), "the node is free");
}

#[tokio::test]
async fn one_tickets_maintenance_is_not_anothers() {
    let app = Simulated::start().await;
    let of = |ticket: &str| Some(json!({ "ticket": { "id": ticket } }));
    app.admin("PUT /nodes/node02/maintenance", of("CHG1")).await;
    app.until(|snapshot| snapshot.maintenance("node02-maintenance").is_some()).await;
    for (what, body) in [
        ("PUT /nodes/node02/maintenance", of("CHG2")),
        ("POST /maintenances", Some(json!({ "node": "node02", "ticket": { "id": "CHG2" } }))),
    ] {
        let answer = app.admin(what, body).await;
        assert!(answer.problem(409, "AlreadyUnderMaintenance").contains("CHG1"));
        assert_eq!(answer.json()["see"], "/api/v1/maintenances/node02-maintenance");
    }
    for what in ["DELETE /nodes/node02/maintenance?ticket=CHG2", "DELETE /maintenances/node02-maintenance?ticket=CHG2"]
    {
        app.admin(what, None).await.problem(412, "TicketMismatch");
    }
    let old = [("if-match", "\"1\"")];
    app.send_with("admin", "DELETE /nodes/node02/maintenance", None, &old).await.problem(412, "PreconditionFailed");
    let bad = [("if-match", "\"a b\"")];
    app.send_with("admin", "DELETE /nodes/node02/maintenance", None, &bad).await.problem(400, "BadRequest");
    let stopped = app.admin("DELETE /nodes/node02/maintenance?ticket=CHG2&force=true", None).await;
    assert_eq!(stopped.status, 202, "{}", stopped.text());
    app.until(|snapshot| snapshot.maintenances().count() == 0).await;
    app.admin("GET /nodes/node02/maintenance", None).await.problem(404, "MaintenanceNotFound");
    app.admin("DELETE /maintenances/node02-maintenance", None).await.problem(404, "MaintenanceNotFound");
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let app = Simulated::start().await;
    let answer = app.admin("PUT /nodes/node02/maintenance?dryRun=true", Some(json!({}))).await;
    let plan = answer.ok();
    assert_eq!(
        (&plan["node"], &plan["refusal"], &plan["counts"]["evict"]),
        (&json!("node02"), &json!(null), &json!(0))
    );
    let answer = app.admin("POST /maintenances?dryRun=true", Some(json!({ "node": "node02" }))).await;
    assert_eq!(answer.ok(), plan);
    let answer = app.admin("POST /nodes/node02/drain?dryRun=true", Some(json!({}))).await;
    assert_eq!(answer.ok(), plan);
    assert!(app.kubernetes.all(MAINTENANCES).is_empty());
    app.admin("PUT /nodes/node99/maintenance?dryRun=true", Some(json!({}))).await.problem(404, "NodeNotFound");
    // Of a change it tells what the node would be drained with then, and what would be refused.
    app.admin("PUT /nodes/node02/maintenance", Some(json!({ "ticket": { "id": "CHG1" } }))).await;
    app.until(|snapshot| snapshot.maintenance("node02-maintenance").is_some()).await;
    let change = Some(json!({ "drain": { "timeout": "1h" } }));
    assert_eq!(app.admin("PUT /nodes/node02/maintenance?dryRun=true", change).await.ok()["refusal"], json!(null));
    let other = Some(json!({ "ticket": { "id": "CHG2" } }));
    let refused = app.admin("PUT /nodes/node02/maintenance?dryRun=true", other).await;
    refused.problem(409, "AlreadyUnderMaintenance");
}

/// Says what a controller would of node02's maintenance.
fn say(app: &Simulated, phase: &str, stuck: &str) {
    let object = app.kubernetes.edit(MAINTENANCES, "", "node02-maintenance", |object| {
        let since = "2026-01-01T00:00:00Z";
        let stuck =
            json!({ "type": "Stuck", "status": stuck, "reason": "X", "message": "", "lastTransitionTime": since });
        let generation = object["metadata"]["generation"].clone();
        object["status"] = json!({ "phase": phase, "observedGeneration": generation, "conditions": [stuck] });
    });
    object.unwrap();
}

#[tokio::test]
async fn an_answer_is_held_until_it_is_done_or_stuck_or_the_time_is_up() {
    let app = Simulated::start().await;
    let exists = |snapshot: &careen_core::cluster::Snapshot| snapshot.maintenance("node02-maintenance").is_some();
    let body = || Some(json!({}));
    let (answer, ()) = tokio::join!(app.admin("PUT /nodes/node02/maintenance?wait=60s", body()), async {
        app.until(exists).await;
        say(&app, "Running", "False");
        say(&app, "Succeeded", "False");
    });
    assert_eq!((answer.status.as_u16(), &answer.json()["phase"]), (201, &json!("Succeeded")));
    // What is settled already is answered at once.
    let again = app.admin("PUT /nodes/node02/maintenance?wait=60s", body()).await.ok();
    assert_eq!(again["phase"], "Succeeded");
    // A change has to be looked at first.
    let (answer, ()) = tokio::join!(
        app.admin("PUT /nodes/node02/maintenance?wait=60s", Some(json!({ "drain": { "timeout": "1h" } }))),
        async {
            app.until(|snapshot| snapshot.maintenances().any(|object| object.metadata.generation == Some(2))).await;
            say(&app, "Running", "True");
        }
    );
    assert_eq!((answer.status.as_u16(), &answer.json()["phase"]), (200, &json!("Running")));
    say(&app, "Running", "False");
    app.until(|snapshot| snapshot.maintenances().all(|object| object.condition("Stuck").unwrap().status == "False"))
        .await;
    let up = app.admin("PUT /nodes/node02/maintenance?wait=100ms", body()).await.ok();
    assert_eq!(up["phase"], "Running");

    for bad in ["61s", "1h", "60", "-1s", "soon", ""] {
        let answer = app.admin(&format!("PUT /nodes/node02/maintenance?wait={bad}"), body()).await;
        assert!(answer.problem(400, "BadRequest").contains(&format!("wait={bad} in the query")), "{}", answer.text());
    }
    // It has no finalizer here, so it ends as soon as it is stopped.
    let ended = app.admin("DELETE /nodes/node02/maintenance?wait=60s", None).await.ok();
    assert_eq!(ended["phase"], "Ended");
}

#[tokio::test]
async fn its_etag_is_what_if_match_takes() {
    let app = Simulated::start().await;
    let started = app.admin("PUT /nodes/node02/maintenance", Some(json!({}))).await;
    let tag = started.header("etag").to_owned();
    assert_eq!(tag, format!("\"{}\"", started.json()["resourceVersion"].as_str().unwrap()));
    assert_eq!(started.header("link"), "</api/v1/maintenances/node02-maintenance/events>; rel=\"monitor\"");
    app.until(|snapshot| snapshot.maintenance("node02-maintenance").is_some()).await;
    let read = app.admin("GET /maintenances/node02-maintenance", None).await;
    assert_eq!(read.header("etag"), tag);
    let known = [("if-none-match", tag.as_str())];
    assert_eq!(app.send_with("admin", "GET /maintenances/node02-maintenance", None, &known).await.status, 304);
    say(&app, "Running", "False");
    app.until(|snapshot| snapshot.maintenances().all(|object| object.status.is_some())).await;
    let stop = "DELETE /maintenances/node02-maintenance";
    let old = [("if-match", tag.as_str())];
    app.send_with("admin", stop, None, &old).await.problem(412, "PreconditionFailed");
    let tag = app.admin("GET /maintenances/node02-maintenance", None).await.header("etag").to_owned();
    let dry = format!("{stop}?dryRun=true&force=true");
    assert_eq!(app.send_with("admin", &dry, None, &old).await.status, 200, "forced");
    let several = format!("\"1\", W/{tag}");
    assert_eq!(app.send_with("admin", stop, None, &[("if-match", several.as_str())]).await.status, 202);
}

#[tokio::test]
async fn what_a_body_may_not_have_is_refused_by_field() {
    let app = Simulated::start().await;
    for (body, status, reason, field) in [
        (json!({ "reson": "x" }), 422, "Invalid", "reson"),
        (json!({ "ticket": "CHG1" }), 422, "Invalid", "ticket"),
        (json!({ "ticket": { "id": "CHG1", "uri": "x" } }), 422, "Invalid", "ticket.uri"),
        (json!({ "ticket": { "id": "" } }), 422, "InvalidArgument", "ticket.id"),
        (json!({ "drain": { "timout": "1h" } }), 422, "Invalid", "drain"),
        (json!({ "drain": { "timeout": "1 hour" } }), 422, "InvalidArgument", "timeout"),
    ] {
        let answer = app.admin("PUT /nodes/node02/maintenance", Some(body)).await;
        answer.problem(status, reason);
        assert!(answer.json()["field"].as_str().unwrap().contains(field), "{}", answer.text());
    }
}
